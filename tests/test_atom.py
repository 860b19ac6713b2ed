"""The Atom reader: what it reads, and what it refuses by name."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker import atom, xml_tree
from tracker.errors import Malformed

SHARED = Path(os.environ.get("TRACKER_SHARED", Path(__file__).parents[1] / ".." / "shared"))

ENTRY = """<entry><id>tag:invented,2026:1</id><title>Tin &amp; copper</title>
<author><name>/u/tin_meadow</name><uri>https://example.org/u</uri></author>
<author><name>second</name></author>
<category term="metals" label="Metals"/><category term="copper"/>
<link rel="self" href="https://example.org/self"/><link href="https://example.org/1"/>
<published>2026-10-01T14:31:02+02:00</published><updated>2026-10-01T13:00:00.123456789Z</updated>
<content type="html">&lt;p&gt;a &amp;amp; b&lt;/p&gt;</content></entry>"""


def feed(*entries: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> bytes:
    return f'{head}<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title>{"".join(entries)}</feed>'.encode()


def read(body: bytes) -> atom.Entry:
    (entry,) = atom.entries(body, "test")
    return entry


def refused(body: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        atom.entries(body, "test")
    assert caught.value.subject == "test"
    return str(caught.value)


def test_every_field_of_an_entry_is_read() -> None:
    assert read(feed(ENTRY)) == atom.Entry(
        id="tag:invented,2026:1",
        title="Tin & copper",
        author="/u/tin_meadow",
        link="https://example.org/1",
        published=datetime(2026, 10, 1, 12, 31, 2, tzinfo=UTC),
        updated=datetime(2026, 10, 1, 13, 0, 0, 123456, tzinfo=UTC),
        content="<p>a &amp; b</p>",
        categories=("metals", "copper"),
    )


def test_an_empty_entry_has_nothing_made_up() -> None:
    assert read(feed("<entry/>")) == atom.Entry(None, "", None, None, None, None, "", ())


def test_xhtml_content_comes_as_html_with_its_comments() -> None:
    markup = (
        '<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><!-- SC_OFF --><p class="a&quot;b">1 &lt; 2'
        "<br/>x</p><!-- SC_ON --></div></content>"
    )
    found = read(feed(f"<entry>{markup}</entry>")).content
    assert found == '<div><!-- SC_OFF --><p class="a&quot;b">1 &lt; 2<br>x</p><!-- SC_ON --></div>'


def test_plain_content_comes_as_html() -> None:
    assert read(feed("<entry><content>1 &lt; 2</content></entry>")).content == "1 &lt; 2"


def test_a_title_in_html_comes_as_plain_text() -> None:
    title = '<title type="html">Tin &amp;amp; &lt;b&gt;copper&lt;/b&gt;</title>'
    assert read(feed(f"<entry>{title}</entry>")).title == "Tin & copper"


def test_the_summary_stands_in_for_missing_content() -> None:
    assert read(feed('<entry><summary type="html">&lt;p&gt;s</summary></entry>')).content == "<p>s"


def test_an_address_that_is_not_http_is_dropped() -> None:
    assert read(feed('<entry><link href="javascript:alert(1)"/></entry>')).link is None


def test_the_declared_charset_is_used() -> None:
    head = '<?xml version="1.0" encoding="ISO-8859-1"?>'
    body = feed("<entry><title>Börse</title></entry>", head=head).decode().encode("latin-1")
    assert read(body).title == "Börse"


def test_utf_16_is_read() -> None:
    body = feed("<entry><title>Börse</title></entry>", head='<?xml version="1.0"?>').decode().encode("utf-16")
    assert read(body).title == "Börse"


@pytest.mark.parametrize("broken", [b"\xff", b"\x00", b"\x0b"], ids=["not utf-8", "NUL", "control"])
def test_one_broken_character_does_not_cost_the_page(broken: bytes) -> None:
    body = feed("<entry><title>a@b</title></entry>", "<entry><title>c</title></entry>").replace(b"@", broken)
    assert [entry.title for entry in atom.entries(body, "test")] == ["a\ufffdb", "c"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty body"),
        (b" \n", "empty body"),
        (b"<!DOCTYPE html><html></html>", "HTML where a feed"),
        (b"<?xml version='1.0'?><html/>", "not an Atom feed, it is <html>"),
        (b"<rss version='2.0'><channel/></rss>", "not an Atom feed, it is <rss>"),
        (b"<feed><entry/></feed>", "not an Atom feed, it is <feed>"),
        (b"{}", "not a whole XML document"),
        (feed(ENTRY)[:-30], "not a whole XML document"),
        (feed(ENTRY) + b"<feed/>", "not a whole XML document"),
        (feed("<entry/>", head='<?xml version="1.0" encoding="klingon"?>'), "not a whole XML document"),
    ],
)
def test_what_is_no_atom_feed_is_refused_by_name(body: bytes, reason: str) -> None:
    assert reason in refused(body)


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE feed [<!ENTITY a "b">]>',
        '<!DOCTYPE feed SYSTEM "file:///etc/hostname">',
        '<!DOCTYPE feed [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
    ],
    ids=["entity", "external", "expansion"],
)
def test_a_document_type_is_refused(head: str) -> None:
    assert "document type" in refused(feed("<entry/>", head=head))


def test_nesting_is_capped() -> None:
    deep = "<x>" * xml_tree.MAX_DEPTH + "</x>" * xml_tree.MAX_DEPTH
    assert "nested deeper" in refused(feed(f"<entry>{deep}</entry>"))
    fits = xml_tree.MAX_DEPTH - 2
    assert len(atom.entries(feed(f"<entry>{'<x>' * fits}{'</x>' * fits}</entry>"), "test")) == 1


def test_attributes_are_capped() -> None:
    def with_attributes(number: int) -> bytes:
        return feed("<entry " + " ".join(f'a{index}="1"' for index in range(number)) + "/>")

    assert "attributes" in refused(with_attributes(xml_tree.MAX_ATTRIBUTES + 1))
    assert len(atom.entries(with_attributes(xml_tree.MAX_ATTRIBUTES), "test")) == 1


def test_half_a_megabyte_of_attributes_is_refused_at_once() -> None:
    body = feed("<entry " + " ".join(f'attribute{index}="{index:012d}"' for index in range(20_000)) + "/>")
    began = time.perf_counter()
    refused(body)
    assert time.perf_counter() - began < 2


def test_entries_are_capped() -> None:
    assert "entries" in refused(feed("<entry/>" * (atom.MAX_ENTRIES + 1)))
    assert len(atom.entries(feed("<entry/>" * atom.MAX_ENTRIES), "test")) == atom.MAX_ENTRIES


def test_a_field_is_capped() -> None:
    assert "longer than" in refused(feed(f"<entry><title>{'x' * (atom.MAX_TEXT + 1)}</title></entry>"))


@given(cut=st.integers(0, len(feed(ENTRY, ENTRY)) - 1))
def test_a_feed_cut_anywhere_is_refused(cut: int) -> None:
    refused(feed(ENTRY, ENTRY)[:cut])


@given(body=st.binary(max_size=300))
def test_arbitrary_bytes_raise_malformed_and_nothing_else(body: bytes) -> None:
    refused(b"<feed " + body)


@pytest.mark.parametrize(
    ("name", "number"), [("reddit-home.rss.xml", 24), ("feedburner.atom.xml", 25), ("heise.atom.xml", 15)]
)
def test_recorded_feeds_are_read_whole(name: str, number: int) -> None:
    path = SHARED / "samples" / "rss" / name
    if not path.exists():
        pytest.skip("the recorded feeds are not here (TRACKER_SHARED)")
    found = atom.entries(path.read_bytes(), "test")
    assert len(found) == number
    assert all(entry.id and entry.title and entry.link for entry in found)
