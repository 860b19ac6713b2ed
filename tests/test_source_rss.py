"""News feeds: names of streams, the one host that each is asked at, and what a poll brings."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from loopback import loopback, reply

from tracker.errors import AccessDenied, Malformed, Unavailable
from tracker.http import Access, Http
from tracker.models import Cursor, Headline, Page, Stream
from tracker.sources import rss

SAMPLE = (Path(__file__).parent / "samples" / "rss.wire.xml").read_bytes()
EMPTY = b"<rss><channel><title>t</title></channel></rss>"


async def fetch(
    name: str,
    base_url: str,
    cursor: Cursor | None = None,
    *,
    own: bool = False,
    agent: str = "tracker-tests (+desk@pond.example)",
    transport: httpx.AsyncBaseTransport | None = None,
) -> Page:
    access = Access(source="rss", base_url=base_url, own_base_url=own, user_agent=agent, max_pages=1)
    async with Http(transport).session(access) as client:
        return await rss.fetch(client, Stream("rss", name), cursor)


# --------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (" GlobeNewswire ", "globenewswire"),
        ("Yahoo/baba", "yahoo/BABA"),
        ("yahoo/$brk.b", "yahoo/BRK.B"),
        ("sec/8-k", "sec/8-K"),
        ("https://News.Example.ORG/feed?a=1#top", "feed/https://news.example.org/feed?a=1"),
        ("feed/http://127.0.0.1:8000", "feed/http://127.0.0.1:8000/"),
        ("feed/https://[::1]:8443/x", "feed/https://[::1]:8443/x"),
    ],
)
def test_streams_have_one_name_each(given: str, name: str) -> None:
    assert rss.stream_name(given) == name
    assert rss.stream_name(name) == name


@pytest.mark.parametrize(
    "given",
    [
        "feed/", "feed/ftp://a.example/x", "feed/https://", "https://user:secret@a.example/x", "feed/file:///etc/passwd",
        "https://a.example/a b", "https://a.example:port/", "https://a.example/\x00", "yahoo/", "yahoo/a b", "sec/", "wire",
        "https://" + "a" * 1000,
    ],
)  # fmt: skip
def test_what_can_be_no_feed_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="expected feed/https"):
        rss.stream_name(given)


def test_default_streams_are_the_two_wires_whatever_is_watched() -> None:
    assert rss.streams(("BABA", "NVDA")) == rss.streams(()) == ("globenewswire", "prnewswire")


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("yahoo/BRK.B", "https://feeds.finance.yahoo.com/rss/2.0/headline?s=BRK-B&region=US&lang=en-US"),
        ("yahoo/BTC.X", "https://feeds.finance.yahoo.com/rss/2.0/headline?s=BTC-USD&region=US&lang=en-US"),
        ("nasdaq/BABA", "https://www.nasdaq.com/feed/rssoutbound?symbol=BABA"),
        ("feed/https://a.example/x?y=1", "https://a.example/x?y=1"),
    ],
)
def test_a_preset_has_its_address(name: str, address: str) -> None:
    assert rss.address_of(name) == address
    assert address.startswith(rss.home(name) + "/")


# ---------------------------------------------------------------------------------------------------------- a poll


async def test_a_feed_is_asked_at_its_own_address_and_then_only_for_what_has_changed() -> None:
    answers = (reply(200, SAMPLE, {"ETag": '"one"'}), reply(304))
    async with loopback(*answers) as server:
        name = rss.stream_name(f"{server.url}/news.xml?a=1")
        first = await fetch(name, rss.home(name))
        second = await fetch(name, rss.home(name), first.cursor)
    assert [asked.target for asked in server.asked] == ["/news.xml?a=1"] * 2
    assert server.asked[1].headers["if-none-match"] == '"one"'
    assert (len(first.items), first.unchanged, first.wait_s) == (5, False, 900.0)
    assert (second.items, second.unchanged, second.cursor) == ((), True, None)
    assert first.covers_from is None
    assert first.gap is None


async def test_a_mirror_gets_every_feed_below_its_own_address() -> None:
    async with loopback(reply(200, EMPTY)) as server:
        page = await fetch("yahoo/BABA", f"{server.url}/mirror", own=True)
        await fetch("feed/https://a.example:8443/x", f"{server.url}/mirror", own=True)
    assert [asked.target for asked in server.asked] == [
        "/mirror/feeds.finance.yahoo.com/rss/2.0/headline?s=BABA&region=US&lang=en-US",
        "/mirror/a.example:8443/x",
    ]
    assert page.note == "the feed is empty"


async def test_the_feed_of_a_symbol_is_about_it() -> None:
    async with loopback(reply(200, SAMPLE)) as server:
        page = await fetch("yahoo/BABA", server.url, own=True)
    assert {item.symbols for item in page.items if isinstance(item, Headline)} == {("BABA",)}


async def test_no_feed_leads_anywhere_else() -> None:
    """Neither by a redirect nor by what it links to: the host of the stream is the only one that is asked."""
    async with loopback(reply(200, SAMPLE)) as other:
        moved = reply(302, b"", {"Location": f"{other.url.replace('127.0.0.1', 'localhost')}/x"})
        async with loopback(moved) as server:
            name = rss.stream_name(server.url)
            with pytest.raises(Unavailable, match="another host"):
                await fetch(name, rss.home(name))
    assert other.asked == []


async def test_a_stream_on_another_host_than_its_home_is_never_asked() -> None:
    with pytest.raises(ValueError, match="only its own host"):
        await fetch("feed/https://a.example/x", "https://b.example")


async def test_the_sec_is_not_asked_without_an_address_to_answer_to() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["user-agent"])
        return httpx.Response(200, content=EMPTY)

    transport = httpx.MockTransport(answer)
    with pytest.raises(AccessDenied, match="contact"):
        await fetch("sec/8-K", "https://www.sec.gov", agent="tracker/1", transport=transport)
    assert seen == []
    await fetch("sec/8-K", "https://www.sec.gov", transport=transport)
    assert seen == ["tracker-tests (+desk@pond.example)"]


async def test_a_page_in_place_of_a_feed_is_malformed() -> None:
    async with loopback(reply(200, b"<html><body>Sign in</body></html>")) as server:
        name = rss.stream_name(server.url)
        with pytest.raises(Malformed, match="HTML"):
            await fetch(name, rss.home(name))


# ------------------------------------------------------------------------------------------------------------- ids


def id_of(item: str, site: str = "https://a.example/") -> str:
    body = f"<rss><channel><title>t</title><link>{site}</link><item><title>x</title>{item}</item></channel></rss>"
    (found,) = rss.parse(body.encode())
    assert isinstance(found, Headline)
    return found.id


def test_an_id_that_holds_everywhere_stays_and_another_is_bound_to_its_site() -> None:
    assert id_of("<guid>https://a.example/1</guid>") == "https://a.example/1"
    assert id_of("<guid>urn:uuid:1-2</guid>") == "urn:uuid:1-2"
    assert id_of("<guid>17</guid>") != id_of("<guid>17</guid>", "https://b.example/")
    assert id_of("<guid>17</guid>") == id_of("<guid>17</guid>", "https://a.example/other?s=GME")


def test_without_an_id_link_and_title_make_one_whatever_else_changes() -> None:
    one = id_of("<link>https://a.example/1</link><pubDate>Fri, 20 Nov 2026 12:00:00 GMT</pubDate>")
    assert one == id_of("<link>https://a.example/1</link><description>more</description>")
    assert one != id_of("<link>https://a.example/2</link>")
