"""Sources' services on 127.0.0.1, small and with known truth, and a tracker that asks them.

    shop = Lemmy(clock)
    async with tracker(shop, folder, clock) as asking:      # the real App, client and file; only time is invented
        shop.publish(5)
        await asking.until_quiet()
        assert await asking.rows() == shop.expected()

Where ``world.py`` lets a whole daemon run against four services in real time, a shop is one service of any source, and
time moves only when somebody walks it. Each says of itself what a test can show of its wire, or in one line why it can't:
``NO_PAGES``, ``NO_CONDITION``, ``named`` and ``sick``.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from fakes import FakeClock, FakeGate
from loopback import Asked, loopback, reply

from tracker.app import App
from tracker.ingest import Outcome
from tracker.models import Stream
from tracker.parts import load_config
from tracker.poller import settle
from tracker.sources import service_of

OVERLAP_S = 300
_ROUNDS = 80  # polls after which a walk counts as endless
HTML = b"<!DOCTYPE html><html><head><title>Hold on</title></head><body><h1>Not now</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Note:
    """One message of a shop."""

    at: int  # when it was written, Unix seconds
    place: int  # how many were published before it

    @property
    def number(self) -> int:
        """An id that counts time, as most services' do; what is published late is sorted in where it belongs."""
        return self.at * 1000 + self.place % 1000

    @property
    def text(self) -> str:
        return f"$GME number {self.place}"

    @property
    def iso(self) -> str:
        return datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in place of the right one."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    frames: tuple[str | bytes, ...] | None = None  # of a WebSocket that opens: what comes before it is closed


@dataclass(frozen=True, slots=True)
class Named:
    """A way in which a service asks to be left alone."""

    seconds: float | Callable[[datetime], float]  # for how long, from that moment of its own clock on
    reply: Callable[[datetime], Reply]
    refused: bool = True  # False: a good answer that says so

    def until(self, now: datetime) -> datetime:
        seconds = self.seconds if isinstance(self.seconds, int | float) else self.seconds(now)
        return now + timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Sick:
    """An answer that is none."""

    reply: Reply
    status: str  # of the poll that got it


def json_of(document: Any) -> bytes:
    return json.dumps(document).encode()


def too_many(**headers: str) -> Reply:
    return Reply(429, b"Too many requests", {name.replace("_", "-"): value for name, value in headers.items()})


def asks_to_wait(ways: dict[str, Named] | None = None) -> dict[str, Named]:
    """What every service may say, in both spellings, then its own ``ways``."""
    return {
        "Retry-After in seconds": Named(1800, lambda now: too_many(Retry_After="1800")),
        "Retry-After as a date": Named(
            1500, lambda now: too_many(Retry_After=format_datetime(now + timedelta(seconds=1500), usegmt=True))
        ),
        **(ways or {}),
    }


def is_sick(wrong: bytes = b'{"weather": "fine"}', **instead: str) -> dict[str, Sick]:
    """Answers that are none; each offers a validator, which nobody may keep. ``wrong`` is right JSON, wrongly shaped."""
    offers = {"ETag": '"poison"', "Last-Modified": "Sun, 01 Mar 2026 00:00:00 GMT"}
    page = {**offers, "Content-Type": "text/html"}
    cut = gzip.compress(b'{"data": [1, 2, 3]}' * 50)[:-20]
    found = {
        "403 page": Sick(Reply(403, HTML, page), "denied"),
        "200 page": Sick(Reply(200, HTML, page), "malformed"),
        "empty": Sick(Reply(200, b"", offers), "malformed"),
        "gzip that was cut": Sick(Reply(200, cut, {**offers, "Content-Encoding": "gzip"}), "malformed"),
        "wrong shape": Sick(Reply(200, wrong, offers), "malformed"),
    }
    return {
        name: replace(sick, status=instead.get(name.replace(" ", "_"), sick.status)) for name, sick in found.items()
    }


class Shop:
    """One service. Subclasses answer; what is the same for all is here."""

    SOURCE: ClassVar[str]
    STREAM: ClassVar[str]
    SETTINGS: ClassVar[str] = ""  # further lines of its table in config.toml
    PAGE: ClassVar[int] = 1  # messages of one answer
    PAGES_A_POLL: ClassVar[int] = 2  # a walk over more goes on at the next poll
    NO_PAGES: ClassVar[str] = ""  # why one answer is all there is; "": it has pages
    NO_CONDITION: ClassVar[str] = ""  # why no request of it is conditional; "": they are
    SELECT: ClassVar[str] = "SELECT id, text FROM messages WHERE source = '{service}'"

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.notes: list[Note] = []  # in the order of their publication
        self.asked: list[Asked] = []
        self.times: list[float] = []  # when each of these came, seconds on the clock
        self.fault: Reply | None = None  # in place of every answer
        self.faults: dict[int, Reply] = {}  # in place of the answer to the n-th request
        self.budget = "10000/1m"
        self.unchanged = 0  # answers with status 304
        self.waits_until = clock.now()  # the last time that it has named
        self.url = ""

    # ------------------------------------------------------------------------------------------- what it offers

    @property
    def newest_first(self) -> list[Note]:
        return sorted(self.notes, key=lambda note: note.number, reverse=True)

    @property
    def now(self) -> int:
        return int(self.clock.now().timestamp())

    def publish(self, count: int) -> None:
        """So many notes, one a second, the last of them half a minute old."""
        self.publish_at(range(self.now - 30 - count, self.now - 30))

    def publish_at(self, times: Iterable[int]) -> None:
        for at in times:
            self.notes.append(Note(at, len(self.notes)))

    def native(self, note: Note) -> str:
        """The id under which a note has to be stored."""
        return str(note.number)

    def expected(self) -> set[tuple[Any, ...]]:
        return {(self.native(note), note.text) for note in self.notes}

    # ------------------------------------------------------------------------------------------- what it says

    named: ClassVar[dict[str, Named]] = asks_to_wait()
    sick: ClassVar[dict[str, Sick]] = is_sick()

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        """The right answer."""
        raise NotImplementedError

    def validators(self, asked: Asked, body: bytes) -> dict[str, str]:
        """What it offers for the next request: everybody has an ETag, whether or not it is of use."""
        return {"ETag": '"' + hashlib.blake2b(body, digest_size=8).hexdigest() + '"'}

    def is_current(self, asked: Asked, offered: dict[str, str]) -> bool:
        return asked.headers.get("if-none-match") == offered.get("ETag")

    def conditions(self) -> list[str]:
        """The validators that have come so far."""
        names = ("if-none-match", "if-modified-since")
        return [asked.headers[name] for asked in self.asked for name in names if name in asked.headers]

    # ------------------------------------------------------------------------------------------------ serving

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        async def script(asked: Asked, writer: Any) -> None:
            self.asked.append(asked)
            self.times.append(self.clock.monotonic())
            writer.write(self._wire(asked))
            await writer.drain()

        async with loopback(script) as server:
            yield server.url

    def _wire(self, asked: Asked) -> bytes:
        dated = {"Date": format_datetime(self.clock.now(), usegmt=True)}
        fault = self.faults.get(len(self.asked), self.fault)
        if fault is not None and fault.status != HTTPStatus.OK:
            return reply(fault.status, fault.body, {**dated, **fault.headers})
        parts = urlsplit(asked.target)
        body = self.answer(parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()})
        if fault is not None:
            good = fault.headers.get("X-Is-Good")  # the right answer with further headers
            return reply(200, body if good else fault.body, {**dated, **fault.headers})
        offered = self.validators(asked, body)
        if not self.NO_CONDITION and self.is_current(asked, offered):
            self.unchanged += 1
            return reply(304, b"", {**dated, **offered})
        return reply(200, body, {**dated, **offered})


# --------------------------------------------------------------------------------------------------- the tracker


class Asking:
    """A tracker that asks one shop, poll by poll."""

    def __init__(self, app: App, shop: Shop, clock: FakeClock) -> None:
        self.app, self.shop, self.clock = app, shop, clock
        self.app.poller.outcomes = []
        self._brought: set[str] = set()  # ids that have come so far

    async def tick(self) -> Outcome | None:
        """Ask what is due now; None when nobody was asked."""
        outcomes = self.app.poller.outcomes
        assert outcomes is not None
        outcomes.clear()
        await settle(self.app.poll_due())
        assert self.app.poller.failure is None
        return outcomes[0] if outcomes else None

    async def poll(self) -> Outcome:
        """Walk to the moment when the stream is due and ask it once."""
        self.walk_until_due()
        found = await self.tick()
        assert found is not None, "nobody was asked"
        return found

    def walk_until_due(self) -> None:
        due = self.stream.next_poll_at
        if due is not None:
            self.clock.advance(max(0.0, (due - self.clock.now()).total_seconds()))

    @property
    def stream(self) -> Stream:
        return self.app.poller.streams[0]

    async def until_quiet(self) -> None:
        """Poll until everything is read: nothing is left of a walk, and a poll brings no id that is new."""
        for _ in range(_ROUNDS):
            outcome = await self.poll()
            assert outcome.error is None
            batch = outcome.batch
            ids = {row.id for row in (*batch.messages, *batch.headlines)}
            if outcome.wait_s > 2 and ids <= self._brought:
                return
            self._brought |= ids
        raise AssertionError(f"it still walks after {_ROUNDS} polls")

    async def values(self, *statements: str) -> list[list[tuple[Any, ...]]]:
        """What stands in the file, for each statement."""
        await self.app.in_store(self.app.store.flush)
        with self.app.store.reading() as connection:
            return [connection.execute(statement).fetchall() for statement in statements]

    async def rows(self) -> set[tuple[Any, ...]]:
        """What is stored of the shop, each once."""
        (found,) = await self.values(self.shop.SELECT.format(service=service_of(self.shop.SOURCE)))
        assert len(found) == len(set(found))
        return set(found)


@asynccontextmanager
async def serving(shop: Shop) -> AsyncIterator[Shop]:
    async with shop.open() as url:
        shop.url = url
        yield shop


@asynccontextmanager
async def tracker(shop: Shop, folder: Path, clock: FakeClock) -> AsyncIterator[Asking]:
    """The app on the folder's file, whoever has used it before, asking a shop that is open."""
    path = folder / "config.toml"
    path.write_text(
        f'[tracker]\ndata_dir = "{folder}/data"\n[universe]\nenabled = false\n[watchlist]\nsymbols = ["GME"]\n'
        f'[sources.{shop.SOURCE}]\nenabled = true\nacknowledge_terms = true\nbase_url = "{shop.url}"\nbudget = "{shop.budget}"\n'
        f'every = "1m"\noverlap = "{OVERLAP_S}s"\nmax_pages = {shop.PAGES_A_POLL}\nmax_backoff = "10m"\npage_every = "500ms"\n'
        f'streams = ["{shop.STREAM}"]\n{shop.SETTINGS}\n'
    )
    config = load_config(str(path), {})
    app = App(replace(config, sources={shop.SOURCE: config.sources[shop.SOURCE]}), clock)
    for name, target in app.poller.targets.items():
        app.poller.targets[name] = replace(target, plan=replace(target.plan, gate=FakeGate(clock)))
    try:
        await app.open()
        yield Asking(app, shop, clock)
    finally:
        await app.close()
    assert app.failure is None
