"""What stands in for the outer edge: a clock that is walked, a server, a source, a disk. Everything between is real.

clock = FakeClock()
server = FakeServer(clock)                              # an httpx transport that remembers who asked when
source = FakeSource().message("$GME to the moon").fails_once(Unavailable("gone"))
kept = Kept()                                           # where batches go; ``kept.breaks_once(error)``
poller = make_poller([make_target("pond", source, "frogs")], server, clock, kept)
await walk(poller, clock, seconds=300)
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import httpx

from tracker.clock import SystemClock
from tracker.errors import RateLimited, SourceError
from tracker.http import Access, Client, Gate, Http, Tally
from tracker.ingest import Analysis, Attempt, PollPlan, conclude
from tracker.mentions import make_finder
from tracker.models import Batch, Cursor, Item, Limit, Message, Page, Stream
from tracker.pacing import Budget, Pace
from tracker.poller import Poller, Target, settle
from tracker.store import Opening, Store
from tracker.tone import make_scorer

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
KEY = b"k" * 32


class FakeClock(SystemClock):
    """Stands still until it is walked. ``set_wall`` sets the wall alone, as an operator or a time server does."""

    def __init__(self, start: datetime = NOON) -> None:
        super().__init__()
        self._steady = start
        self._off = timedelta(0)

    def now(self) -> datetime:
        return self._steady + self._off

    def monotonic(self) -> float:
        return (self._steady - NOON).total_seconds()

    def steady(self) -> datetime:
        return self._steady

    def advance(self, seconds: float) -> None:
        self._steady += timedelta(seconds=seconds)

    def set_wall(self, seconds: float) -> None:
        """The wall jumps by so many seconds; nothing has taken any time."""
        self._off += timedelta(seconds=seconds)


class FakeGate(Gate):
    """The gate of one scope, on a clock that is walked."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def shut(self, seconds: float) -> None:
        self._until = max(self._until, self._clock.monotonic() + seconds)

    def check(self, subject: str) -> None:
        left = self._until - self._clock.monotonic()
        if left > 0:
            raise RateLimited("not before the time that the server named", subject, retry_after_s=left)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the server saw it."""

    seconds: float  # after noon, on the steady clock
    host: str
    path: str


class FakeServer(httpx.AsyncBaseTransport):
    """Answers 200 to everybody unless told otherwise, and remembers each request."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._answers: dict[str, deque[httpx.Response]] = {}
        self.asked: list[Asked] = []
        self.inside = 0  # requests that wait for their answer right now
        self.most_inside = 0
        self._open = asyncio.Event()
        self._open.set()

    def will(self, path: str, status: int, headers: Mapping[str, str] | None = None) -> Self:
        """The next request of ``/path`` is answered like this."""
        self._answers.setdefault(f"/{path}", deque()).append(httpx.Response(status, headers=headers))
        return self

    def hold(self) -> None:
        """Answer nobody until ``release``."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def times(self, path: str | None = None) -> list[float]:
        return [asked.seconds for asked in self.asked if path is None or asked.path == f"/{path}"]

    def paths(self) -> list[str]:
        return [asked.path.strip("/") for asked in self.asked]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(Asked(self._clock.monotonic(), request.url.host, request.url.path))
        self.inside += 1
        self.most_inside = max(self.inside, self.most_inside)
        try:
            await self._open.wait()
        finally:
            self.inside -= 1
        waiting = self._answers.get(request.url.path)
        return waiting.popleft() if waiting else httpx.Response(200, text="[]")


class FakeSource:
    """Asks the server once a page (a request is ``GET base_url/STREAM``), then does what it was told to do next."""

    TERMS = "invented"
    NEEDS_ACKNOWLEDGEMENT = False
    DEFAULT_ON = False
    BASE_URL = "https://pond.example"
    INTERVAL = 60.0
    BUDGET = (1000, 60.0)
    CREDENTIALS: tuple[str, ...] = ()
    KEEP = "all"

    def __init__(self, name: str = "pond", pages: int = 1) -> None:
        self.name = name
        self.pages = pages  # how many requests a poll would like to make
        self.cursors: list[Cursor | None] = []  # with which cursor it was called
        self._next: deque[Page | BaseException] = deque()
        self._made = 0

    def page(self, *items: Item, cursor: Cursor | None = None, **more: object) -> Self:
        """The next answer; the cursor counts the pages unless one is given."""
        self._made += 1
        self._next.append(Page(items, cursor if cursor is not None else {"n": self._made}, **more))  # type: ignore[arg-type]
        return self

    def message(self, text: str) -> Self:
        return self.page(message(text, f"m{self._made + 1}", source=self.name))

    def fails_once(self, error: BaseException) -> Self:
        """The next answer is an error: one of ours, or a bug."""
        self._next.append(error)
        return self

    def streams(self, symbols: tuple[str, ...]) -> tuple[str, ...]:
        return ("frogs",)

    def stream_name(self, given: str) -> str:
        return given

    def parse(self, body: bytes) -> list[Item]:
        return []

    def _answer(self, cursor: Cursor | None) -> Page:
        if not self._next:
            return Page((), cursor)
        found = self._next.popleft()
        if isinstance(found, BaseException):
            raise found
        return found

    async def fetch(self, client: Client, stream: Stream, cursor: Cursor | None) -> Page:
        self.cursors.append(cursor)
        for _ in range(min(self.pages, client.access.max_pages)):
            await client.get(stream.name)
        return self._answer(cursor)


class FakePushSource(FakeSource):
    """Connects (one request) and yields what it was told to; the connection ends after the last page, or stays."""

    def __init__(self, name: str = "pond", *, stays: bool = False) -> None:
        super().__init__(name)
        self._stays = stays
        self.closed = 0

    async def listen(self, client: Client, stream: Stream, cursor: Cursor | None) -> AsyncIterator[Page]:
        self.cursors.append(cursor)
        await client.get(stream.name)
        try:
            while self._next:
                yield self._answer(cursor)
            if self._stays:
                await asyncio.Event().wait()
        finally:
            self.closed += 1


def message(text: str, id_: str = "m1", *, source: str = "pond", at: datetime | None = NOON, **more: object) -> Message:
    return Message(source, id_, at, text, **more)  # type: ignore[arg-type]


@cache
def analysis(only: frozenset[str] | None = None) -> Analysis:
    """The real finder and the real scorer, under a key that is no secret."""
    return Analysis(make_finder(("GME", "BABA")), make_scorer("lexicon"), KEY, only)


def make_plan(name: str = "pond", **more: object) -> PollPlan:
    """``interval_s``, ``max_backoff_s``, ``breaker_s``, ``scope``, ``keep``, ``max_pages``, ``base_url``."""
    access = Access(
        source=name,
        base_url=str(more.get("base_url", f"https://{name}.example")),
        own_base_url=False,
        user_agent="tests",
        max_pages=int(str(more.get("max_pages", 10))),
    )
    spans = (("interval_s", 60.0), ("max_backoff_s", 1800.0), ("breaker_s", 3600.0))
    pace = Pace(*(float(str(more.get(key, usual))) for key, usual in spans))
    return PollPlan(access, pace, str(more.get("scope", f"source:{name}")), str(more.get("keep", "all")))


def make_target(
    name: str, source: FakeSource, *streams: str, budget: tuple[int, float] = (1000, 60.0), **more: object
) -> Target:
    source.name = name
    return Target(name, source, make_plan(name, **more), Budget(*budget), streams)


@dataclass
class Kept:
    """Where batches go; a disk that fails as often as it is told to."""

    batches: list[Batch] = field(default_factory=list)
    _errors: deque[BaseException] = field(default_factory=deque)

    def breaks_once(self, error: BaseException) -> Self:
        self._errors.append(error)
        return self

    async def __call__(self, batch: Batch) -> None:
        if self._errors:
            raise self._errors.popleft()
        self.batches.append(batch)

    @property
    def statuses(self) -> list[str]:
        return [batch.report.status for batch in self.batches]

    @property
    def cursors(self) -> list[Cursor | None]:
        return [batch.stream.cursor if batch.stream is not None else None for batch in self.batches]


def make_poller(
    targets: Sequence[Target],
    server: FakeServer,
    clock: FakeClock,
    kept: Kept,
    *,
    concurrency: int = 8,
    deadline_s: float = 30.0,
    streams: Sequence[Stream] = (),
    limits: Sequence[Limit] = (),
    used: Mapping[str, Sequence[tuple[datetime, int]]] | None = None,
) -> Poller:
    """A poller that has taken up where ``streams``, ``limits`` and ``used`` say the last run stopped."""
    http = Http(server, clock.now)
    plans = [plan for target in targets for plan in (target.plan, *target.homes.values())]
    gates = {plan.scope: FakeGate(clock) for plan in plans}

    def gated_plan(plan: PollPlan) -> PollPlan:
        return replace(plan, gate=gates[plan.scope])

    gated = [
        replace(
            target,
            plan=gated_plan(target.plan),
            homes={stream: gated_plan(plan) for stream, plan in target.homes.items()},
        )
        for target in targets
    ]
    poller = Poller(gated, http, analysis(), clock, kept, concurrency=concurrency, deadline_s=deadline_s)
    poller.stand(streams, limits, used or {})
    return poller


async def walk(poller: Poller, clock: FakeClock, seconds: float, step: float = 5.0) -> None:
    """Tick each ``step`` seconds from now on for so many seconds; every poll ends before the clock goes on."""
    for _ in range(int(seconds / step)):
        await settle(poller.tick(push=False))
        clock.advance(step)


# ------------------------------------------------------------------------------------------------------- a file

METER: dict[str, float | int | str] = {
    "k": 4, "band_1": 25, "band_2": 45, "band_3": 55, "band_4": 75, "zone": "America/New_York",
    "baseline_days": 28, "spike_z": 3, "spike_messages": 10, "spike_authors": 5,
}  # fmt: skip


def prepare(
    store: Store, settings: Sequence[tuple[str, str]] = (("tone.scorer", "lexicon"),), now: datetime = NOON
) -> None:
    store.prepare(now, METER, settings, ["GME"], {"memes": ["GME", "BABA"]}, [("GME", "Game Shop", "stock", "listed")])


@cache
def _prepared() -> bytes:
    with TemporaryDirectory() as folder:
        store = Store(Opening(Path(folder) / "t.duckdb"))
        prepare(store)
        return store.opening.path.read_bytes()


def make_store(folder: Path, spill_limit: int = 256_000_000) -> Store:
    """A store on a file of the newest shape that holds no facts; the same file again when it is there."""
    path = folder / "t.duckdb"
    if not path.exists():
        path.write_bytes(_prepared())
    return Store(Opening(path), spill_limit)


def make_batch(
    *items: Item,
    number: int = 1,
    at: datetime = NOON,
    stream: str = "frogs",
    failed: SourceError | None = None,
    **more: object,
) -> Batch:
    """What one poll of the source ``pond`` makes of these items, cursor ``{"n": number}``; ``more`` goes to the page."""
    page = None if failed is not None else Page(items, {"n": number}, **more)  # type: ignore[arg-type]
    attempt = Attempt(at, 20, Tally(requests=1, bytes=100), at)
    return conclude(Stream("pond", stream), make_plan(), analysis(), attempt, page, failed).batch


def rows(store: Store, statement: str) -> list[tuple[object, ...]]:
    with store.reading() as connection:
        return connection.execute(statement).fetchall()
