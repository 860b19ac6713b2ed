"""News feeds: RSS 0.90 to 2.0, RSS 1.0 (RDF) and Atom, one stream a feed. News, not talk: it goes into ``headlines``.

Terms: each feed has its own, and they are the operator's to keep. Unless configured only press-release wires are read,
which publish their feeds to be read by programs. The feeds of Yahoo, Nasdaq, Seeking Alpha, CNBC and MarketWatch are for
personal, non-commercial reading; Google News allows its feeds "solely within a personal feed reader" and forbids every
other use. None of these is read unless you name it in ``streams``. The SEC answers only those who leave an e-mail address
(``[tracker] contact``).

Access: one GET a feed, conditional where the server gave an ETag or a Last-Modified. Each feed lives on a host of its own:
``budget`` and rate limits hold for each host by itself, a request goes to the host of the stream and nowhere else, and
what a feed links to is never asked for. With a ``base_url`` of the operator's ``https://host/path`` is asked for at
``base_url/host/path``.

Streams: ``feed/https://host/path`` is any feed; ``globenewswire``, ``prnewswire``, ``fed``, ``halts``, ``cnbc``, ``marketwatch``
and ``sec/8-K`` (any form) are presets; ``yahoo/BABA``, ``nasdaq/BABA``, ``seekingalpha/BABA`` and ``google/BABA`` are the feeds of one
symbol, which every headline in them is then filed under. Addresses are stored and shown, so none may hold a password.

Quirks: an id that is unique only within its feed is hashed with the feed's site; without one it is the hash of link and
title. A headline without a date is as old as its first sight. Only the beginning of a text is kept. A feed's ``ttl`` is obeyed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

from tracker.errors import AccessDenied
from tracker.feed import Entry, Feed, read_feed
from tracker.models import Cursor, Flaw, Headline, Item, Page, Stream
from tracker.wire import symbol_text, to_yahoo

if TYPE_CHECKING:
    from tracker.http import Client

TERMS = "each feed has its own: wires are meant to be read, most others for personal use only; read them first"
NEEDS_ACKNOWLEDGEMENT = False
DEFAULT_ON = True
BASE_URL = "https://www.globenewswire.com"  # each stream has its own, see home()
INTERVAL = 600.0
BUDGET = (1, 2.0)  # of each host
CREDENTIALS: tuple[str, ...] = ()
KEEP = "mentions"  # headlines that name no symbol are about nothing that we follow
BRINGS = "news"
MAX_PAGES = 1

_SOURCE: Final = "rss"
_PRESETS: Final = {
    "globenewswire": "https://www.globenewswire.com/RssFeed/orgclass/1/feedTitle/GlobeNewswire%20-%20News%20about%20Public%20Companies",
    "prnewswire": "https://www.prnewswire.com/rss/news-releases-list.rss",
    "fed": "https://www.federalreserve.gov/feeds/press_all.xml",
    "halts": "https://www.nasdaqtrader.com/rss.aspx?feed=tradehalts",
    "cnbc": "https://www.cnbc.com/id/100003114/device/rss/rss.html",
    "marketwatch": "https://feeds.content.dowjones.io/public/rss/mw_topstories",
}
_OF_SYMBOL: Final = {
    "yahoo": "https://feeds.finance.yahoo.com/rss/2.0/headline?s={}&region=US&lang=en-US",
    "nasdaq": "https://www.nasdaq.com/feed/rssoutbound?symbol={}",
    "seekingalpha": "https://seekingalpha.com/api/sa/combined/{}.xml",
    "google": "https://news.google.com/rss/search?q={}+stock+when:1d&hl=en-US&gl=US&ceid=US:en",
}
_SEC: Final = "https://www.sec.gov/cgi-bin/browse-edgar?action=getcurrent&type={}&company=&dateb=&owner=include&count=100&output=atom"
_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9 /-]{0,19}", re.ASCII)
_GLOBAL = re.compile(r"(?:https?://|tag:|urn:)\S{3,400}", re.IGNORECASE)
_EXPECTED: Final = f"expected feed/https://host/path, one of {', '.join(_PRESETS)}, sec/FORM, or {', '.join(f'{name}/SYMBOL' for name in _OF_SYMBOL)}"


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """The two large wires, whatever the watch-list says: every listed company's releases are on one of them."""
    return ("globenewswire", "prnewswire")


def stream_name(given: str) -> str:
    """A preset, ``sec/8-K``, ``yahoo/BABA``, or the address of a feed with or without ``feed/`` before it."""
    text = given.strip()
    kind, slash, rest = text.partition("/")
    kind = kind.lower()
    if not slash and kind in _PRESETS:
        return kind
    if kind == "sec" and _FORM.fullmatch(rest.strip()):
        return f"sec/{rest.strip().upper()}"
    if kind in _OF_SYMBOL and (symbol := symbol_text(rest)):
        return f"{kind}/{symbol}"
    url = _address(rest if kind == "feed" else text)
    if url is None:
        raise ValueError(f"{_EXPECTED}, without user and password")
    return f"feed/{url}"


def _address(given: str) -> str | None:
    """The address of a feed as it is asked for: no fragment, host in lower case; None for what can't be one."""
    if len(given) > 1000 or not given.isprintable() or " " in given:
        return None
    try:
        parts = urlsplit(given)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return urlunsplit((parts.scheme.lower(), host + port, parts.path or "/", parts.query, ""))


def address_of(stream: str) -> str:
    """Where a stream's feed lies; KeyError for a name that ``stream_name`` did not make."""
    kind, _, rest = stream.partition("/")
    if kind == "feed":
        return rest
    if kind == "sec":
        return _SEC.format(quote_plus(rest))
    if kind in _OF_SYMBOL:
        return _OF_SYMBOL[kind].format(quote(to_yahoo(rest) if kind == "yahoo" else rest, safe=""))
    return _PRESETS[stream]


def home(stream: str) -> str:
    """Scheme and host of a stream's feed: its requests go there and nowhere else."""
    parts = urlsplit(address_of(stream))
    return f"{parts.scheme}://{parts.netloc}"


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """The feed as it stands; what was in it before falls away by its id."""
    url = address_of(stream.name)
    if client.access.own_base_url:
        url = "/" + url.partition("://")[2]
    elif stream.name.startswith("sec/") and "@" not in client.access.user_agent:
        raise AccessDenied("the SEC answers only those who leave an e-mail address", _SOURCE, "set [tracker] contact")
    answer = await client.get(url, validators=dict((cursor or {}).get("validators") or {}))
    if answer.unchanged:
        return Page((), None, unchanged=True)
    feed = read_feed(answer.body, _SOURCE)
    kind, _, symbol = stream.name.partition("/")
    own = (symbol,) if kind in _OF_SYMBOL else ()
    items = tuple(replace(item, symbols=own) if isinstance(item, Headline) else item for item in _items(feed))
    note = None if items else "the feed is empty"
    return Page(items, {"validators": dict(answer.validators)}, wait_s=feed.ttl_s, note=note)


def parse(body: bytes) -> list[Item]:
    """The headlines of a feed of any kind; Malformed for anything else."""
    return _items(read_feed(body, _SOURCE))


def _items(feed: Feed) -> list[Item]:
    return [_headline(entry, feed, f"entry[{number}]") for number, entry in enumerate(feed.entries)]


def _headline(entry: Entry, feed: Feed, place: str) -> Headline | Flaw:
    publisher = entry.publisher or feed.title
    title = entry.title or (entry.summary or "").partition("\n")[0]
    if entry.publisher:  # an aggregator: "Something happened - Example Wire"
        title = title.removesuffix(f" - {entry.publisher}")
    title = title.strip()
    if not title:
        return Flaw("neither a title nor a summary", place)
    return Headline(
        source=_SOURCE, id=_id(entry, feed), created_at=entry.at, title=title, text=entry.summary, url=entry.link,
        publisher=publisher, lang=feed.lang,
    )  # fmt: skip


def _id(entry: Entry, feed: Feed) -> str:
    if entry.id and _GLOBAL.fullmatch(entry.id):
        return entry.id
    if entry.id:
        try:
            site = urlsplit(feed.link or "").hostname
        except ValueError:
            site = None
        return _hash(site or feed.title or "", entry.id)
    return _hash(entry.link or "", entry.title or entry.summary or "")


def _hash(*parts: str) -> str:
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
