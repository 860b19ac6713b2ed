"""Going back to a span of time that nobody listened to, stretch by stretch, as politely as the daemon asks.

    source.backfill ─► Stretch ─► find, score ─► Batch ─► journal ─► tables
          └── never before its budget and every named time allow it

Where a backfill stands is stored with what it brought, as a stream of its own (``backfill/r/stocks``) that is never
polled, so it can be ended at any moment and is gone on with by the same words; the stream that is polled keeps its
cursor. Each stretch that came whole leaves a row in ``polls`` that ends with its span and begins with it
(``covers_from``): that time counts as listened to. Messages carry the moment of their fetching, so that no reading of
the past knew them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from tracker import sources
from tracker.app import App
from tracker.errors import AccessDenied, BadInput, Malformed, NotFound, SourceError, StoreError, Unavailable
from tracker.http import Client, Tally
from tracker.ingest import Attempt, Outcome, conclude
from tracker.log import event
from tracker.models import Cursor, Message, Page, PollReport, Stream, Stretch
from tracker.poller import Target
from tracker.sources import BackfillSource
from tracker.store.connect import aware_utc
from tracker.wire import from_iso

log = logging.getLogger(__name__)

PREFIX = "backfill/"  # of the stream under which the place and the coverage of a backfill are stored

_PATIENCE_S = 1800.0  # who is to wait longer than this is told when to come again
_FAILURES = 5  # in a row, then it is left for another day
_FLUSH_AFTER = 20  # stretches
_LOCKED_S = 10.0  # for whoever holds the database
_FINAL = (AccessDenied, NotFound, Malformed)  # asking once more changes nothing


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backfill is."""

    done: float  # part of the span that has come whole, 0..1
    messages: int  # that have come so far, in this run
    waits_s: float = 0.0  # how long it waits before it asks again


@dataclass(frozen=True, slots=True)
class BackfillReport:
    """What a backfill came to."""

    source: str
    stream: str
    since: datetime
    until: datetime
    finished: bool  # the whole span is read, as far as it can be had
    covered: float  # part of the span that counts as listened to, 0..1
    requests: int
    fetched: int  # messages within the span, repeats included
    added: int  # that were new
    skipped: int  # items that could not be read
    gap: str | None = None  # what of the span can't be had, and why
    stopped: str | None = None  # why it ended before its time; the same command goes on from there


@dataclass(slots=True)
class _Place:
    """Where a backfill stands: the cursor of its stream."""

    since: datetime
    until: datetime
    at: Cursor | None = None  # the source's own; None: at its beginning
    heard_s: float = 0.0  # seconds that came whole
    gap: str | None = None
    finished: bool = False

    @classmethod
    def of(cls, cursor: Cursor | None) -> _Place | None:
        """As it was kept; None where there is none that can be used."""
        state = cursor or {}
        since, until = from_iso(state.get("since")), from_iso(state.get("until"))
        if since is None or until is None:
            return None
        at, gap, heard = state.get("at"), state.get("gap"), state.get("heard_s")
        return cls(
            since,
            until,
            at if isinstance(at, dict) else None,
            float(heard) if isinstance(heard, int | float) else 0.0,
            gap if isinstance(gap, str) else None,
            state.get("finished") is True,
        )

    def kept(self) -> Cursor:
        since, until = self.since.isoformat(), self.until.isoformat()
        return {
            "since": since, "until": until, "at": self.at, "heard_s": self.heard_s, "gap": self.gap, "finished": self.finished,
        }  # fmt: skip

    def take(self, stretch: Stretch) -> None:
        """A stretch has come."""
        self.at, self.finished = stretch.place, stretch.place is None
        if stretch.covers is not None:
            self.heard_s += (stretch.covers[1] - stretch.covers[0]).total_seconds()
        if stretch.gap is not None:
            self.gap = f"{stretch.gap.from_at:%Y-%m-%dT%H:%M:%SZ}..{stretch.gap.to_at:%Y-%m-%dT%H:%M:%SZ}: {stretch.gap.reason}"

    @property
    def share(self) -> float:
        return min(1.0, self.heard_s / (self.until - self.since).total_seconds())


@dataclass(slots=True)
class _Count:
    """What this run has used and brought."""

    started_at: datetime
    requests: int = 0
    fetched: int = 0
    skipped: int = 0
    unflushed: int = 0
    failures: int = 0  # in a row
    progress: Callable[[Progress], None] = field(default=lambda _: None)


async def backfill(
    app: App,
    source: str,
    stream: str,
    since: datetime,
    until: datetime | None = None,
    *,
    again: bool = False,
    progress: Callable[[Progress], None] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> BackfillReport:
    """Read what ``stream`` carried from ``since`` to ``until`` (None: to where listening to it began, else to now).

    ``app`` is open and has the source among its targets. A backfill of the same span that was interrupted is gone on
    with; one that is finished asks nothing, unless ``again``. BadInput where the source can't go back or the span is
    none; StoreError where nothing can be stored any more. What fails underway is told in the report.
    """
    target = app.poller.targets[source]
    if not isinstance(target.source, BackfillSource):
        able = ", ".join(name for name in sources.names() if isinstance(sources.load(name), BackfillSource))
        raise BadInput("this source can't go back in time", source, f"those that can: {able}")
    now = app.clock.now()
    place = await _begin(app, source, stream, since, None if until is None else min(until, now), now, again)
    run = _Run(app, target, stream, place, _Count(now, progress=progress or (lambda _: None)), sleep)
    before = await app.in_store(_stored, app, source, stream)
    stopped = None if place.finished else await run.run()
    await app.flush(wait_s=_LOCKED_S)
    await app.rollup()
    added = await app.in_store(_stored, app, source, stream) - before
    return BackfillReport(
        source, stream, place.since, place.until, place.finished, round(place.share, 6),
        run.count.requests, run.count.fetched, added, run.count.skipped, place.gap, stopped,
    )  # fmt: skip


async def _begin(
    app: App, source: str, stream: str, since: datetime, until: datetime | None, now: datetime, again: bool
) -> _Place:
    """The place to begin at: that of the same span, if there is one, else its end."""
    standing = await app.in_store(app.store.standing, now)
    held = next((s for s in standing.streams if s.key == (source, PREFIX + stream)), None)
    before = _Place.of(held.cursor) if held is not None else None
    if before is not None and not again and before.since == since and until in (None, before.until):
        return before
    if until is None:
        first = await app.in_store(_heard_from, app, sources.service_of(source), stream)
        until = first if first is not None and since < first < now else now
    if since >= until:
        raise BadInput("the span is empty", f"{since:%Y-%m-%dT%H:%M:%SZ}", f"expected a time before {until:%Y-%m-%dT%H:%M:%SZ}")  # fmt: skip
    return _Place(since, until)


def _heard_from(app: App, service: str, stream: str) -> datetime | None:
    """When listening to a stream began; None where nobody has listened to it yet."""
    with app.store.reading() as connection:
        row = connection.execute(
            """SELECT least((SELECT min(covers_from) FROM polls WHERE source = $1 AND stream = $2 AND up = 1),
                            (SELECT min(hour_start) FROM coverage_hours WHERE source = $1 AND stream = $2))""",
            [service, stream],
        ).fetchone()
    return aware_utc(row[0]) if row else None


def _stored(app: App, source: str, stream: str) -> int:
    """Messages that were first met by backfills of a stream."""
    with app.store.reading() as connection:
        row = connection.execute(
            "SELECT count(*) FROM messages WHERE source = $1 AND stream = $2",
            [sources.service_of(source), PREFIX + stream],
        ).fetchone()
    return int(row[0]) if row else 0


class _Run:
    """One run: asks for stretches, keeps each, and says why it ended early (None: it did not)."""

    def __init__(
        self,
        app: App,
        target: Target,
        stream: str,
        place: _Place,
        count: _Count,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.count = count
        self._app, self._target, self._place, self._sleep = app, target, place, sleep
        self._live = Stream(target.name, stream)
        self._held = Stream(target.name, PREFIX + stream, enabled=False)
        self._service = sources.service_of(target.name)

    async def run(self) -> str | None:
        plan, source = self._target.plan, cast(BackfillSource, self._target.source)
        while not self._place.finished:
            if (late := await self._pause(0.0)) is not None:
                return late
            async with self._app.http.session(plan.access, plan.gate) as client:
                asked = source.backfill(client, self._live, self._place.since, self._place.until, self._place.at)
                async with aclosing(cast(Any, asked)) as stretches:
                    failed = await self._take_all(client, stretches)
            if isinstance(failed, str):
                return failed
            if failed is not None:
                if isinstance(failed.error, _FINAL) or self.count.failures >= _FAILURES:
                    return str(failed.error)
                if (late := await self._pause(failed.wait_s)) is not None:
                    return f"{failed.error}; {late}"
        return None

    async def _take_all(self, client: Client, stretches: AsyncIterator[Stretch]) -> Outcome | str | None:
        """Every stretch that one client brings; the outcome that failed, or why it is too late to go on."""
        while True:
            clock = self._app.clock
            started_at, started = clock.now(), clock.monotonic()
            stretch: Stretch | None = None
            failed: SourceError | None = None
            try:
                async with asyncio.timeout(self._app.config.jobs.poll_deadline_s):
                    stretch = await anext(stretches, None)
            except TimeoutError:
                failed = Unavailable("a step took too long", self._target.name)
            except SourceError as error:
                failed = error
            if stretch is None and failed is None:
                self._place.finished = True  # it ended without saying so: nothing is left
                return None
            used = Tally(client.tally.requests, client.tally.bytes, client.tally.http_status, client.tally.wait_s)
            client.tally.requests, client.tally.bytes, client.tally.wait_s = 0, 0, None
            took = round((clock.monotonic() - started) * 1000)
            outcome = await self._keep(Attempt(started_at, took, used, clock.now()), stretch, failed)
            if failed is not None:
                return outcome
            if self._place.finished:
                return None
            if (late := await self._pause(outcome.wait_s if used.requests else 0.0)) is not None:
                return late

    async def _keep(self, attempt: Attempt, stretch: Stretch | None, failed: SourceError | None) -> Outcome:
        """One step, durable: what came together with the place behind it, then what it used of the budget."""
        page = None
        if stretch is not None:
            self._place.take(stretch)
            items = tuple(item for item in stretch.items if self._is_within(item))
            page = Page(items, self._place.kept(), gap=stretch.gap, more=not self._place.finished, note=self._place.gap)
            self.count.fetched += sum(isinstance(item, Message) for item in items)
        outcome = conclude(self._held, self._target.plan, self._app.analysis, attempt, page, failed)
        batch = outcome.batch
        assert batch.stream is not None
        self._held = replace(batch.stream, enabled=False, next_poll_at=None)
        gaps = tuple(replace(gap, source=self._service) for gap in batch.gaps)
        batch = replace(batch, stream=self._held, gaps=gaps)
        if stretch is not None and stretch.covers is not None:
            heard = PollReport(
                self._service, self._held.name, stretch.covers[1], attempt.duration_ms, "ok", fetched=batch.report.fetched,
                skipped=batch.report.skipped, covers_from=stretch.covers[0],
            )  # fmt: skip
            await self._app.keep(replace(batch, report=heard, limits=()))
            batch = replace(batch, messages=(), mentions=(), tones=(), deletions=(), ballots=(), gaps=())
        self.count.requests += batch.report.requests
        self.count.skipped += batch.report.skipped
        self.count.failures = 0 if failed is None else self.count.failures + 1
        self.count.unflushed += 1
        await self._app.poller.take(self._target.name, replace(outcome, batch=batch))
        await self._flush()
        self.count.progress(Progress(self._place.share, self.count.fetched))
        return outcome

    def _is_within(self, item: object) -> bool:
        """False for messages from outside the span, which came along."""
        if not isinstance(item, Message) or item.created_at is None:
            return True
        return self._place.since <= item.created_at < self._place.until

    async def _flush(self) -> None:
        """Commit now and then; StoreError when nothing more can be put away."""
        if self.count.unflushed >= _FLUSH_AFTER or self._app.store.full:
            self.count.unflushed = 0
            await self._app.flush(wait_s=_LOCKED_S)
        if self._app.store.full:
            raise StoreError("the journal is full and the database can't be written", str(self._app.store.journal.path))

    async def _pause(self, at_least_s: float) -> str | None:
        """Wait until the source may be asked again; the reason to end where that is too long."""
        wait_s = max(at_least_s, self._app.poller.wait_s(self._target.name))
        if wait_s > _PATIENCE_S:
            when = self._app.clock.now() + timedelta(seconds=wait_s)
            return f"{self._target.name} may be asked again at {when.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
        if wait_s > 0:
            self.count.progress(Progress(self._place.share, self.count.fetched, wait_s))
            event(log, "debug", "a backfill waits", source=self._target.name, seconds=round(wait_s, 1))
            await self._sleep(wait_s)
        return None
