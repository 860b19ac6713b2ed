"""The reader of feeds: what it makes of the many kinds that are about, and what it refuses by name."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import Malformed
from tracker.feed import MAX_ENTRIES, MAX_SUMMARY, MAX_TITLE, Entry, Feed, read_feed
from tracker.xml_tree import MAX_ATTRIBUTES, MAX_DEPTH, MAX_ELEMENTS, read_tree

SHARED = Path(os.environ.get("TRACKER_SHARED", Path(__file__).parents[1] / ".." / "shared"))
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def rss(*items: str, channel: str = "<title>t</title><link>https://a.example/x/</link>", head: str = "") -> bytes:
    return f'{head}<rss version="2.0"><channel>{channel}{"".join(items)}</channel></rss>'.encode()


def entry(inside: str, **more: str) -> Entry:
    (found,) = read_feed(rss(f"<item>{inside}</item>", **more), "test").entries
    return found


def refused(body: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        read_feed(body, "test")
    assert caught.value.subject == "test"
    return str(caught.value)


# ----------------------------------------------------------------------------------------------------- the kinds

ONE = "<item><title>One</title><link>https://a.example/1</link></item>"
KINDS = {
    "rss 2.0": f'<rss version="2.0"><channel><title>t</title>{ONE}</channel></rss>',
    "rss 0.91 with items beside the channel": f'<rss version="0.91"><channel><title>t</title></channel>{ONE}</rss>',
    "rss without version": f"<RSS><Channel><Title>t</Title>{ONE}</Channel></RSS>",
    "rdf 1.0": f'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"><channel><title>t</title></channel>{ONE}</r:RDF>',
    "rdf 0.90": f'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://my.netscape.com/rdf/simple/0.9/"><channel><title>t</title></channel>{ONE}</r:RDF>',
    "atom 1.0": '<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title><entry><title>One</title><link href="https://a.example/1"/></entry></feed>',
    "atom 0.3": '<feed version="0.3" xmlns="http://purl.org/atom/ns#"><title>t</title><entry><title>One</title><link rel="alternate" href="https://a.example/1"/></entry></feed>',
}


@pytest.mark.parametrize("body", KINDS.values(), ids=KINDS.keys())
def test_every_kind_of_feed_is_read(body: str) -> None:
    found = read_feed(body.encode(), "test")
    assert found.title == "t"
    assert [(one.title, one.link) for one in found.entries] == [("One", "https://a.example/1")]


def test_a_feed_without_entries_is_a_feed() -> None:
    assert read_feed(rss(), "test") == Feed("t", "https://a.example/x/", None, None, ())


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"<head><title>Moved</title></head><body>here</body>", "HTML"),
        (b"<opml><body/></opml>", "<opml>"),
        (b"<rss/>", "channel"),
        (b"<rss><channel><title>t", "whole"),
        (b'{"items": []}', "whole"),
        (rss(head='<?xml version="1.0" encoding="gossip"?>'), "whole"),
    ],
)
def test_what_is_no_feed_is_refused_by_name(body: bytes, named: str) -> None:
    assert named in refused(body)


# --------------------------------------------------------------------------------------------------- its fields


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("<pubDate>Fri, 20 Nov 2026 12:00:00 GMT</pubDate>", NOON),
        ("<pubDate>Fri, 20 Nov 2026 07:00:00 EST</pubDate>", NOON),
        ("<pubDate>20 Nov 26 13:00 +0100</pubDate>", NOON),
        ("<pubDate> 2026-11-20T12:00:00Z </pubDate>", NOON),
        ("<pubDate>2026-11-20 12:00:00</pubDate>", NOON),
        ('<d:date xmlns:d="http://purl.org/dc/elements/1.1/">2026-11-20T07:00:00-05:00</d:date>', NOON),
        ("<pubDate>yesterday</pubDate><updated>2026-11-20T12:00:00Z</updated>", NOON),
        ("<pubDate>yesterday</pubDate>", None),
        ("<pubDate>Fri, 20 Nov 99999 12:00:00 GMT</pubDate>", None),
        ("<pubDate></pubDate>", None),
        ("", None),
    ],
)
def test_dates_come_in_two_spellings_or_not_at_all(written: str, at: datetime | None) -> None:
    assert entry(f"<title>x</title>{written}").at == at


@pytest.mark.parametrize(
    ("written", "link"),
    [
        ("<link>https://b.example/1?a=1&amp;b=2</link>", "https://b.example/1?a=1&b=2"),
        ("<link>1.html</link>", "https://a.example/x/1.html"),
        ("<link>/1.html</link>", "https://a.example/1.html"),
        ("<link>//c.example/1</link>", "https://c.example/1"),
        ('<link xmlns="http://www.w3.org/2005/Atom" rel="self" href="/me"/><link>/you</link>', "https://a.example/you"),
        ("<link/><guid>https://b.example/2</guid>", "https://b.example/2"),
        ('<guid isPermaLink="false">https://b.example/2</guid>', None),
        ("<link>javascript:alert(1)</link>", None),
        ("<link>data:text/html,x</link>", None),
        ("<link>http://[bad</link>", None),
        ("", None),
    ],
)
def test_addresses_are_whole_and_on_the_web(written: str, link: str | None) -> None:
    assert entry(f"<title>x</title>{written}").link == link


def test_an_address_stands_below_the_nearest_base() -> None:
    feed = '<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://a.example/"><entry xml:base="https://b.example/c/"><link href="1"/></entry><entry><link href="2"/></entry></feed>'
    assert [one.link for one in read_feed(feed.encode(), "test").entries] == [
        "https://b.example/c/1",
        "https://a.example/2",
    ]


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("AT&amp;T up", "AT&T up"),
        ("AT&amp;amp;T up", "AT&T up"),
        ("<![CDATA[AT&T <b>up</b>]]>", "AT&T up"),
        ("Pond Co. &lt;POND&gt; a &lt; b", "Pond Co. <POND> a < b"),
        (" two\n lines ", "two lines"),
        ("caf&eacute;&nbsp;&nosuchthing;", "café &nosuchthing;"),
        ("a\x0bb", "a\ufffdb"),
        ("x" * 1000, "x" * MAX_TITLE),
        ("", ""),
    ],
)
def test_titles_are_plain_text_on_one_line(written: str, title: str) -> None:
    assert entry(f"<title>{written}</title>").title == title


def test_a_picture_has_no_say_in_the_title_and_the_summary() -> None:
    media = 'xmlns:m="http://search.yahoo.com/mrss/"'
    found = entry(f"<m:title {media}>pic</m:title><m:description {media}>of a pond</m:description><title>x</title>")
    assert (found.title, found.summary) == ("x", None)


def test_the_summary_goes_before_the_content_and_only_its_beginning_is_kept() -> None:
    content = '<c:encoded xmlns:c="http://purl.org/rss/1.0/modules/content/">&lt;p&gt;whole&lt;/p&gt;</c:encoded>'
    assert entry(f"{content}<description>&lt;i&gt;short&lt;/i&gt;</description>").summary == "short"
    assert entry(f"{content}<description> </description>").summary == "whole"
    long = entry(f"<description>{'word ' * 2000}</description>").summary or ""
    assert len(long) <= MAX_SUMMARY + 1
    assert long.endswith("word…")


@pytest.mark.parametrize(
    ("channel", "lang"),
    [("<language>en-us</language>", "en-us"), ("<language>English, really</language>", None), ("<language/>", None)],
)
def test_the_language_is_a_tag_or_nothing(channel: str, lang: str | None) -> None:
    assert read_feed(rss(channel=channel), "test").lang == lang


@pytest.mark.parametrize(("ttl", "seconds"), [("60", 3600.0), ("0", None), ("-5", None), ("soon", None), ("", None)])
def test_a_time_to_live_is_in_minutes(ttl: str, seconds: float | None) -> None:
    assert read_feed(rss(channel=f"<ttl>{ttl}</ttl>"), "test").ttl_s == seconds


def test_the_declared_charset_is_used() -> None:
    body = rss(channel="<title>Börse</title>", head='<?xml version="1.0" encoding="ISO-8859-1"?>')
    assert read_feed(body.decode().encode("latin-1"), "test").title == "Börse"
    assert read_feed(rss(channel="<title>Börse</title>").decode().encode("utf-16"), "test").title == "Börse"


@pytest.mark.parametrize("charset", ["gb2312", "Big5", "shift_jis", "euc-kr", "windows-1251"])
def test_charsets_of_other_places_are_read(charset: str) -> None:
    title = "Рынок" if charset == "windows-1251" else "市場" if charset != "gb2312" else "市场"
    body = rss(channel=f"<title>{title}</title>", head=f'<?xml version="1.0" encoding="{charset}"?>')
    assert read_feed(body.decode().encode(charset), "test").title == title


def test_a_blank_before_the_declaration_is_overlooked() -> None:
    assert read_feed(b"\r\n  " + rss(head='<?xml version="1.0" encoding="UTF-8"?>'), "test").title == "t"


def test_a_prefix_that_nobody_declared_means_what_it_usually_does() -> None:
    found = entry(
        '<title a:b="1">x</title><dc:date>2026-11-20T12:00:00Z</dc:date><content:encoded>y</content:encoded>'
        '<media:description>z</media:description><m:w xmlns:m="urn:m"/>'
    )
    assert (found.at, found.summary) == (NOON, "y")


def test_one_broken_character_costs_that_character() -> None:
    body = rss(channel="<title>B\xf6rse</title>").decode().encode("latin-1")
    assert read_feed(body, "test").title == "B\ufffdrse"


# ------------------------------------------------------------------------------------------------ hostile feeds

BOMB = '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><rss><channel><title>&b;</title></channel></rss>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE r SYSTEM "http://127.0.0.1:9/r.dtd"><rss><channel/></rss>'
FILE = '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/hostname">]><rss><channel><title>&f;</title></channel></rss>'


@pytest.mark.parametrize("body", [BOMB, OUTSIDE, FILE], ids=["entities", "outside", "file"])
def test_document_types_and_entities_are_refused(body: str) -> None:
    assert "document type" in refused(body.encode())


def test_everything_that_can_be_made_large_has_a_cap() -> None:
    assert "nested" in refused(b"<rss>" + b"<x>" * MAX_DEPTH + b"</x>" * MAX_DEPTH + b"</rss>")
    assert "attributes" in refused(b"<rss " + b" ".join(b'a%d="1"' % n for n in range(MAX_ATTRIBUTES + 1)) + b"/>")
    assert "elements" in refused(b"<rss><channel>" + b"<x/>" * MAX_ELEMENTS + b"</channel></rss>")
    assert "entries" in refused(rss("<item/>" * (MAX_ENTRIES + 1)))
    assert len(read_feed(rss("<item/>" * MAX_ENTRIES), "test").entries) == MAX_ENTRIES


def test_half_a_megabyte_of_anything_is_read_or_refused_at_once() -> None:
    size = 500_000
    started = time.process_time()
    for body in (
        b"<rss " + b"".join(b'a%d="" ' % n for n in range(size // 10)) + b"/>",
        rss("<item><description>" + "&lt;" * (size // 4) + "</description></item>"),
        rss("<item><title>" + "&lt;b " * (size // 6) + "</title></item>"),
        b"<" * size,
        rss("<item><title>&" + "a" * size + ";</title></item>"),
        rss("<item><title>" + "&eacute;" * (size // 8) + "</title></item>"),
    ):
        with suppress(Malformed):
            read_feed(body, "test")
    assert time.process_time() - started < 10


@given(st.binary(max_size=300))
def test_any_bytes_are_a_feed_or_malformed(body: bytes) -> None:
    for given_body in (
        body,
        rss("<item>") + body,
        b"<rss><channel><item><title>" + body + b"</title></item></channel></rss>",
    ):
        try:
            read_feed(given_body, "test")
        except Malformed as error:
            str(error).encode()


# -------------------------------------------------------------------------------------------------------- the tree


def test_what_stands_in_an_element_can_be_written_as_html() -> None:
    body = b'<a xmlns:x="urn:x"><P Class="q&quot;">1 &lt; 2<br/><x:i>z</x:i></P></a>'
    root = read_tree(body, "test")
    assert root.markup() == '<p class="q&quot;">1 &lt; 2<br><i>z</i></p>'
    assert root.text() == "1 < 2z"


# ------------------------------------------------------------------------------------------------- recorded feeds

RECORDED = sorted((SHARED / "samples" / "rss").glob("*.xml"))


@pytest.mark.skipif(not RECORDED, reason="the recorded feeds are not here (TRACKER_SHARED)")
def test_recorded_feeds_are_read_but_for_the_page() -> None:
    found = {}
    for path in RECORDED:
        try:
            found[path.name] = read_feed(path.read_bytes(), path.name)
        except Malformed:
            found[path.name] = None
    assert [name for name, feed in found.items() if feed is None] == ["unrecognized.rss.xml"]
    for name, feed in found.items():
        for one in feed.entries if feed else ():
            assert one.title or one.summary or name.endswith("-fields.atom.xml")
            assert one.link is None or one.link.startswith("http")
