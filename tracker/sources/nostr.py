"""Nostr: notes with certain hashtags, one relay a stream, over the relay's WebSocket (NIP-01).

Terms: open, no account; each relay has its own limits and may want a login, which we don't have. Who asks for a note's
deletion (kind 5) gets it, here too; relays need not honour it, so we do.

Streams: ``tag/nvda+stocks`` (any of up to 50 hashtags, at ``base_url``) and ``tag/nvda+stocks@nos.lol`` (the same at one
of the other relays below). A relay has only what was sent to it; the same note from two of them is stored once, by its id.
With a ``base_url`` of the operator's only that relay is asked. Cashtags are plain text here and can't be asked for.

Quirks: a note's time is what its author wrote, so the position never runs ahead of the relay's own clock, and ``overlap``
reaches back for what was sent late. A relay answers with the newest stored notes up to a number of its own choice: we go
back with ``until`` until nothing new comes. Silence is usual with rare hashtags: after half of ``watchdog`` the same is
asked again, and a relay that does not answer at all is gone.

An event's id must be the SHA-256 of its content, or it is a flaw. The signature is not verified, only its shape: that
takes elliptic curves, which Python does not bring along and which cost some ten milliseconds a note without a library
for nothing else. So a relay could put words into somebody's mouth, as the server of any other source can. What a kind 5
names is deleted only where we know that the note is by the same key: of the notes that this connection brought, and of
the newest hundred before it, which the cursor remembers (by a digest, not by their authors). Deletions are asked for
by the ids of these.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from heapq import nlargest
from typing import TYPE_CHECKING, Any, Final

from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, SourceError, Unavailable
from tracker.models import Cursor, Deletion, Flaw, Gap, Item, Message, Page, Stream
from tracker.wire import EARLIEST, SAMPLE_BYTES, clean, decode_text, from_epoch, looks_like_html

if TYPE_CHECKING:
    from tracker.http import Client

TERMS = "open, no account; each relay has its own limits; deletions are honoured; mostly crypto and much spam"
NEEDS_ACKNOWLEDGEMENT = False
DEFAULT_ON = False
BASE_URL = "wss://relay.damus.io"
OTHER_URLS = ("wss://nos.lol", "wss://relay.primal.net", "wss://relay.snort.social")
INTERVAL = 30.0
BUDGET = (30, 300.0)
CREDENTIALS: tuple[str, ...] = ()
KEEP = "mentions"
DELETIONS = "announced (kind 5), and kept to where we know that the same key wrote the note"

_SOURCE: Final = "nostr"
_GENERAL: Final = ("investing", "stockmarket", "stocks", "wallstreetbets")
_MAX_TAGS: Final = 50
_STORED: Final = 500  # stored events of one answer; relays cap it as they like
_FIRST: Final = 100  # of the first answer ever
_PAGE_ITEMS: Final = 1_000
_MAX_EVENT: Final = 65_536  # characters of a frame
_HEARD: Final = 10_000  # notes that one connection remembers
_REMEMBERED: Final = 100  # notes whose deletion is asked for, and that the cursor remembers
_CUT: Final = "the relay keeps more notes than it was asked for"

_LIVE, _BACK, _GONE = "live", "back", "gone"  # names of subscriptions
_RELAYS: Final = {url.partition("://")[2]: url for url in OTHER_URLS}
_HEX_64 = re.compile(r"[0-9a-f]{64}")
_HEX_128 = re.compile(r"[0-9a-f]{128}")
_TAG = re.compile(r"[\w-]{1,64}")
_LANG = re.compile(r"[a-z]{2}")
_SYMBOL = re.compile(r"[A-Z][A-Z0-9.]{1,11}")
# the order to stay out: ask rarely, with no other face
_SHUT: Final = ("auth-required", "restricted", "blocked", "payment-required")


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """The watch-list's symbols and a few general words as hashtags, as many at a time as one stream takes."""
    tags = sorted({*_GENERAL, *(tag for symbol in symbols if (tag := _hashtag(symbol)))})
    return tuple("tag/" + "+".join(tags[start : start + _MAX_TAGS]) for start in range(0, len(tags), _MAX_TAGS))


def _hashtag(symbol: str) -> str | None:
    """``BRK.B`` as ``brkb``, ``BTC.X`` as ``btc``; none for a single letter, which could mean anything."""
    bare = symbol.removesuffix(".X").replace(".", "").lower()
    return bare if _SYMBOL.fullmatch(symbol) and len(bare) > 1 else None


def stream_name(given: str) -> str:
    """``#NVDA``, ``tag/Stocks+NVDA`` or ``tag/nvda@nos.lol`` as ``tag/nvda+stocks[@RELAY]``; ValueError for anything else."""
    words, at, relay = given.strip().lower().partition("@")
    tags = sorted({tag.removeprefix("#") for tag in words.removeprefix("tag/").split("+")})
    fits = all(_TAG.fullmatch(tag) for tag in tags) and len(tags) <= _MAX_TAGS
    if not fits or (at and relay not in _RELAYS):
        raise ValueError(
            f"expected up to {_MAX_TAGS} hashtags such as tag/nvda+stocks, or tag/nvda@{' or @'.join(_RELAYS)}"
        )
    return f"tag/{'+'.join(tags)}{at}{relay}"


# ------------------------------------------------------------------------------------------------------- listening


async def listen(client: Client, stream: Stream, cursor: Cursor | None) -> AsyncGenerator[Page, None]:
    """Subscribe once and yield a page every ``page_every_s`` seconds or when one is full; ends with a SourceError."""
    async with aclosing(_pages(client, stream.name, cursor, drain=False)) as pages:
        async for page in pages:
            yield page


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """Subscribe and drain: one page of what the relay has stored, or of what comes in ``page_every_s`` seconds."""
    async with aclosing(_pages(client, stream.name, cursor, drain=True)) as pages:
        return await anext(pages)


async def _pages(client: Client, name: str, cursor: Cursor | None, *, drain: bool) -> AsyncGenerator[Page, None]:
    words, _, relay = name.removeprefix("tag/").partition("@")
    if relay and _RELAYS[relay] not in client.access.other_urls:
        raise NotFound("with a base_url of your own only that relay is asked", relay)
    access, loop = client.access, asyncio.get_running_loop()
    async with client.connect(_RELAYS[relay] if relay else "") as socket:
        opened, served_at = loop.time(), socket.served_at.timestamp()
        talk = _Talk(words.split("+"), cursor, access.overlap_s, access.max_pages, served_at)
        heard = opened
        while True:
            failure: SourceError | None = None
            closes = loop.time() + access.page_every_s
            try:
                while not talk.full and loop.time() < closes and not (drain and talk.settled):
                    for frame in talk.to_send():
                        await socket.send(frame, access.deadline_s)
                    silent_at = heard + (access.watchdog_s / 2 if talk.settled else access.watchdog_s)
                    came = await socket.receive(max(0.0, min(closes, silent_at) - loop.time()))
                    now = served_at + loop.time() - opened
                    if came is not None and talk.take(came, now):
                        heard = loop.time()
                    elif loop.time() >= heard + access.watchdog_s:
                        raise Unavailable(f"silent: nothing for {access.watchdog_s:g} s", _SOURCE, talk.said)
                    elif loop.time() >= silent_at:
                        talk.ask(now)
            except SourceError as error:
                failure = error
            if talk.items or failure is None:
                yield talk.page()
            if failure is not None:
                raise failure


@dataclass(slots=True)
class _Answer:
    """A question that is not answered to its end yet."""

    sub: str  # live or back
    asked_at: float  # the relay's clock
    since: int | None  # how far back it reaches
    oldest: int | None = None  # how far back the answer has come
    fresh: int = 0  # notes that were not known
    pages: int = 1  # which question it is of this walk


class _Talk:
    """What one connection has brought, what it has to say next, and how far the stream is covered. Touches nothing."""

    def __init__(self, tags: list[str], cursor: Cursor | None, overlap_s: float, pages: int, now: float) -> None:
        state = cursor or {}
        since, known = state.get("since"), state.get("known")
        usable = isinstance(since, int | float) and not isinstance(since, bool) and since >= EARLIEST.timestamp()
        # a clock that once ran ahead must not hide what comes now
        self._position = min(float(since), now) if usable and isinstance(since, int | float) else None
        # id of a note: (its time or its place in the cursor, digest of id and author)
        self._notes: dict[str, tuple[float, str]] = {}
        for place, (id_, digest) in enumerate(known.items() if isinstance(known, dict) else ()):
            if isinstance(digest, str) and place < _REMEMBERED:
                self._notes[id_] = (-1.0 - place, digest)
        self._tags, self._overlap_s, self._pages = tags, overlap_s, pages
        self._sending: list[str] = []
        self._answer: _Answer | None = None
        self._watched: dict[str, str] = {}  # the notes whose deletion was asked for
        self._waits_for_gone = False
        self._covers: float | None = None  # of the page that is being made
        self._gap: Gap | None = None
        self._stored: Cursor | None = cursor
        self.said: str | None = None  # the relay's last words to a person
        self._notice: str | None = None
        self.items: list[Item] = []
        self.ask(now)

    @property
    def full(self) -> bool:
        return len(self.items) >= _PAGE_ITEMS

    @property
    def settled(self) -> bool:
        """True when everything that was asked has been answered."""
        return self._answer is None and not self._waits_for_gone and not self._sending

    def to_send(self) -> list[str]:
        sending, self._sending = self._sending, []
        return sending

    # ------------------------------------------------------------------------------------------------- asking

    def ask(self, now: float) -> None:
        """Ask for the notes since the position, and to be told what comes from now on."""
        since = None if self._position is None else max(0, math.floor(self._position - self._overlap_s))
        bounds = {"limit": _FIRST} if since is None else {"since": since, "limit": _STORED}
        self._request(_LIVE, {"kinds": [1, 6], "#t": self._tags, **bounds})
        self._answer = _Answer(_LIVE, now, since)

    def _ask_back(self, answer: _Answer) -> None:
        bounds = {"since": answer.since, "until": answer.oldest, "limit": _STORED}
        self._request(_BACK, {"kinds": [1, 6], "#t": self._tags, **bounds})
        self._answer = _Answer(_BACK, answer.asked_at, answer.since, answer.oldest, pages=answer.pages + 1)

    def _watch(self) -> None:
        """Ask for the deletions of the newest notes, where these are others than last time."""
        newest = self._newest()
        if newest and newest != self._watched:
            self._watched = newest
            self._waits_for_gone = True
            self._request(_GONE, {"kinds": [5], "#e": list(newest), "limit": _STORED})

    def _request(self, sub: str, filter_: dict[str, Any]) -> None:
        self._sending.append(json.dumps(["REQ", sub, filter_], ensure_ascii=False))

    def _newest(self) -> dict[str, str]:
        best = nlargest(_REMEMBERED, self._notes.items(), key=lambda note: note[1][0])
        return {id_: digest for id_, (_, digest) in best}

    # ------------------------------------------------------------------------------------------------ hearing

    def take(self, frame: str | bytes, now: float) -> bool:
        """Take one frame; True when it belongs to what was asked. SourceError when the relay ends it."""
        parts = _load(frame)
        if not isinstance(parts, list) or not parts or not isinstance(parts[0], str):
            self.items.append(Flaw("not a message of a relay"))
            return False
        kind, sub = parts[0], parts[1] if len(parts) > 1 else None
        if kind in ("NOTICE", "AUTH"):
            self.said = _words(sub) if kind == "NOTICE" else "the relay offers a login"
            self._notice = self.said if kind == "NOTICE" else self._notice
            return False
        if sub not in (_LIVE, _BACK, _GONE):
            return False
        if kind == "EVENT":
            self._hear(str(sub), parts[2] if len(parts) > 2 else None, now)
        elif kind == "EOSE":
            self._end(str(sub), cut=False)
        elif kind == "CLOSED":
            self._closed(str(sub), _words(parts[2] if len(parts) > 2 else None))
        return kind in ("EVENT", "EOSE", "CLOSED")

    def _hear(self, sub: str, raw: object, now: float) -> None:
        event = _event(raw)
        if isinstance(event, Flaw):
            self.items.append(event)
            return
        if event.kind == 5 and sub == _GONE:
            found = _deletions(event, {id_: digest for id_, (_, digest) in self._notes.items()})
            self.items.extend(found)
            for deletion in found:  # honoured: once is enough
                self._notes.pop(deletion.id or "", None)
        if event.kind not in (1, 6) or sub == _GONE:
            return
        answer = self._answer
        if (
            answer is not None
            and answer.sub == sub
            and event.created_at >= max(answer.since or 0, EARLIEST.timestamp())
        ):
            answer.oldest = event.created_at if answer.oldest is None else min(answer.oldest, event.created_at)
        if answer is None:
            self._position = max(self._position or 0.0, min(float(event.created_at), now))
        if event.id in self._notes:
            return
        if answer is not None and answer.sub == sub:
            answer.fresh += 1
        self._notes[event.id] = (min(float(event.created_at), now), _digest(event.id, event.pubkey))
        if len(self._notes) > _HEARD:
            self._notes = dict(nlargest(_HEARD // 2, self._notes.items(), key=lambda note: note[1][0]))
        if (item := _message(event)) is not None:
            self.items.append(item)

    def _end(self, sub: str, *, cut: bool) -> None:
        """The stored part of an answer is over: ask for what is older, or everything is here."""
        if sub == _GONE:
            self._waits_for_gone = False
            return
        answer = self._answer
        if answer is None or answer.sub != sub:
            return
        more = answer.since is not None and answer.fresh > 0 and (answer.oldest or 0) > answer.since
        if more and not cut and answer.pages < self._pages:
            self._ask_back(answer)
            return
        self._answer = None
        begins = self._position if self._position is not None else answer.oldest
        if (more or cut) and self._position is not None and answer.oldest and answer.oldest > self._position:
            self._gap = Gap(_at(self._position), _at(answer.oldest), _CUT)
            begins = answer.oldest
        self._covers = begins if begins is not None else answer.asked_at
        self._position = max(self._position or 0.0, answer.asked_at)
        if answer.pages > 1:
            self._sending.append(json.dumps(["CLOSE", _BACK]))
        self._watch()

    def _closed(self, sub: str, words: str) -> None:
        """The relay has ended a subscription: without the one that counts there is nothing to stay for."""
        prefix = words.partition(":")[0].strip()
        if sub == _GONE:
            self._waits_for_gone = False
            self._notice = f"the relay tells no deletions: {words}"
        elif sub == _BACK:
            self._end(sub, cut=True)
        elif prefix in _SHUT:
            raise AccessDenied("the relay wants more than a guest", _SOURCE, words)
        elif prefix == "rate-limited":
            raise RateLimited("too many requests", _SOURCE, words)
        else:
            raise Unavailable("the relay ended the subscription", _SOURCE, words or self.said)

    # ------------------------------------------------------------------------------------------------- giving

    def page(self) -> Page:
        """What came since the last page."""
        items, self.items = tuple(self.items), []
        gap, self._gap = self._gap, None
        covers, caught_up = self._covers, self._answer is None
        cursor: Cursor | None = None
        if caught_up and self._position is not None:
            found: Cursor = {"since": math.floor(self._position), "known": self._newest()}
            cursor = found if found != self._stored else None
            self._stored = found
            self._covers = self._position
            self._watch()
        shown = covers if caught_up else None
        return Page(
            items=items,
            cursor=cursor,
            covers_from=_at(shown) if shown is not None else None,
            gap=gap,
            more=len(items) >= _PAGE_ITEMS,
            note=self._notice,
        )


def _words(said: object) -> str:
    return (clean(said) or "").strip()[:200]


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


# --------------------------------------------------------------------------------------------------------- parsing


@dataclass(frozen=True, slots=True)
class _Event:
    """An event whose id is the hash of the rest."""

    id: str
    pubkey: str
    created_at: int
    kind: int
    tags: list[list[str]]
    content: str


def parse(body: bytes) -> list[Item]:
    """Items of a recording, one frame or event a line; Malformed when it is none or its last line was cut.

    A deletion counts only where the note that it names is here too, by the same key.
    """
    if looks_like_html(body):
        raise Malformed("HTML where events were expected", _SOURCE, body=body[:SAMPLE_BYTES])
    lines = [line for line in body.splitlines() if line.strip()]
    if not lines:
        raise Malformed("empty body where events were expected", _SOURCE)
    loaded = [_load(line) for line in lines]
    if loaded[-1] is None:
        raise Malformed("the last line is cut", _SOURCE, body=lines[-1][:SAMPLE_BYTES])
    if not any(isinstance(found, dict) or (isinstance(found, list) and _is_frame(found)) for found in loaded):
        raise Malformed("no line is an event", _SOURCE, body=body[:SAMPLE_BYTES])
    events: list[_Event | Flaw] = []
    for number, found in enumerate(loaded, 1):
        if isinstance(found, list) and _is_frame(found) and found[0] != "EVENT":
            continue
        raw = found[-1] if isinstance(found, list) and _is_frame(found) else found
        events.append(_event(raw, f"line {number}"))
    known = {event.id: _digest(event.id, event.pubkey) for event in events if isinstance(event, _Event)}
    items: list[Item] = []
    for event in events:
        if isinstance(event, Flaw):
            items.append(event)
        elif event.kind == 5:
            items.extend(_deletions(event, known))
        elif event.kind in (1, 6) and (item := _message(event)) is not None:
            items.append(item)
    return items


def _load(frame: str | bytes) -> Any:
    """The JSON of a frame; None where it is none, or too large to be a note."""
    if len(frame) > _MAX_EVENT:
        return None
    try:
        return json.loads(frame if isinstance(frame, str) else decode_text(frame))
    except (ValueError, RecursionError):
        return None


def _is_frame(found: list[Any]) -> bool:
    return len(found) > 1 and found[0] in ("EVENT", "EOSE", "NOTICE", "CLOSED", "AUTH", "OK")


def _event(raw: object, place: str = "") -> _Event | Flaw:
    """The event, if it has the shape of one and its id is the hash of its content."""
    if not isinstance(raw, dict):
        return Flaw("not an event", place)
    id_, pubkey, sig = raw.get("id"), raw.get("pubkey"), raw.get("sig")
    created_at, kind, tags, content = (raw.get(key) for key in ("created_at", "kind", "tags", "content"))
    if not isinstance(id_, str) or not _HEX_64.fullmatch(id_):
        return Flaw("an event without a usable id", place)
    named = isinstance(pubkey, str) and _HEX_64.fullmatch(pubkey) and isinstance(sig, str) and _HEX_128.fullmatch(sig)
    whole = type(created_at) is int and type(kind) is int and isinstance(content, str)
    lists = isinstance(tags, list) and all(
        isinstance(tag, list) and all(isinstance(part, str) for part in tag) for tag in tags
    )
    if not (named and whole and lists):
        return Flaw(f"event {id_} has not the shape of one", place)
    event = _Event(id_, str(pubkey), created_at, kind, tags, content)  # type: ignore[arg-type]
    if id_ not in _ids(event):
        return Flaw(f"event {id_} is not what its id says", place)
    return event


_ESCAPES: Final = str.maketrans(
    {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
)


def _ids(event: _Event) -> tuple[str, ...]:
    """The id that the content leads to: as most programs write control characters, and as NIP-01 has it."""
    head = (0, event.pubkey, event.created_at, event.kind)
    usual = json.dumps([*head, event.tags, event.content], separators=(",", ":"), ensure_ascii=False)
    tags = ",".join("[" + ",".join(_quoted(part) for part in tag) + "]" for tag in event.tags)
    literal = f'[0,"{event.pubkey}",{event.created_at},{event.kind},[{tags}],{_quoted(event.content)}]'
    try:
        return tuple(sha256(form.encode()).hexdigest() for form in dict.fromkeys((usual, literal)))
    except UnicodeEncodeError:  # half of a character: no program can have hashed it
        return ()


def _quoted(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'


def _digest(id_: str, pubkey: str) -> str:
    """Tells whether a note is by a key, without telling the key."""
    return sha256(f"{id_}{pubkey}".encode()).hexdigest()[:16]


def _deletions(event: _Event, known: dict[str, str]) -> list[Deletion]:
    """The notes that a kind 5 names, as far as they are known to be by the same key: nobody deletes for others."""
    named = dict.fromkeys(tag[1] for tag in event.tags if len(tag) > 1 and tag[0] == "e")
    return [
        Deletion(_SOURCE, id=id_, author=event.pubkey, deleted_at=from_epoch(event.created_at))
        for id_ in named
        if id_ in known and known[id_] == _digest(id_, event.pubkey)
    ]


def _message(event: _Event) -> Message | None:
    """A note, or a note passed on; None where it says nothing."""
    original = _passed_on(event) if event.kind == 6 else None
    text = clean(original.content if original is not None else event.content if event.kind == 1 else "")
    if not text or not text.strip():
        return None
    return Message(
        source=_SOURCE,
        id=event.id,
        created_at=from_epoch(event.created_at),
        text=text,
        author=event.pubkey,
        lang=_lang(event.tags),
        url=f"https://njump.me/{_bech32('note', event.id)}",
        reply_to=_parent(event.tags) if event.kind == 1 else None,
        reshare_of=original.id if original is not None else None,
    )


def _passed_on(event: _Event) -> _Event | None:
    """The note inside a repost, if it is the one that is named."""
    original = _event(_load(event.content))
    named = {tag[1] for tag in event.tags if len(tag) > 1 and tag[0] == "e"}
    return original if isinstance(original, _Event) and original.kind == 1 and original.id in named else None


def _parent(tags: list[list[str]]) -> str | None:
    """The note that is answered: marked as such (NIP-10), or the last one named by those who mark nothing."""
    named = [tag for tag in tags if len(tag) > 1 and tag[0] == "e" and _HEX_64.fullmatch(tag[1])]
    marks = {tag[3]: tag[1] for tag in named if len(tag) > 3 and tag[3] in ("root", "reply", "mention")}
    if marks:
        return marks.get("reply") or marks.get("root")
    return named[-1][1] if named else None


def _lang(tags: list[list[str]]) -> str | None:
    found = (tag[1] for tag in tags if len(tag) > 2 and tag[0] == "l" and tag[2] == "ISO-639-1")
    return next((word for word in found if _LANG.fullmatch(word)), None)


_LETTERS: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def _bech32(prefix: str, hexadecimal: str) -> str:
    """A key or an id as people pass it on (NIP-19)."""
    bits = int(hexadecimal, 16) << 4  # 256 bits in 52 groups of five
    data = [bits >> shift & 31 for shift in range(255, -1, -5)]
    check = 1
    for value in [
        *(ord(letter) >> 5 for letter in prefix),
        0,
        *(ord(letter) & 31 for letter in prefix),
        *data,
        *[0] * 6,
    ]:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for place, constant in enumerate(_GENERATOR):
            check ^= constant if top >> place & 1 else 0
    data += [(check ^ 1) >> 5 * (5 - place) & 31 for place in range(6)]
    return f"{prefix}1{''.join(_LETTERS[value] for value in data)}"
