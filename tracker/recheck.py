"""Asking whether what is stored is still there, of sources that delete without a word.

    stored ids, oldest first ─► source.recheck ─► Deletion ─► Batch (tombstones, the place in the pass) ─► journal ─► tables
                                     └── beside the polls: one request at a time, a share of the budget, never before a named time

A pass goes over all messages of a source that still have words or an author; the next one begins no sooner than
``recheck`` after the beginning of the one before. Its place is kept in the batch of each attempt, so a kill costs one
request. An attempt leaves a row in ``polls`` (stream ``recheck``) that never counts as listening. A page that can't be
answered for (three times something that is no answer) is left behind: nothing is known of it, so nothing is deleted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

from tracker.clock import SystemClock
from tracker.errors import AccessDenied, RateLimited, SourceError, StoreError, StoreFatal, Unavailable
from tracker.http import Http, Tally
from tracker.ingest import Analysis, Attempt, Outcome, PollPlan, conclude
from tracker.log import event
from tracker.models import Deletion, Page, RecheckRow, Stream
from tracker.pacing import MAX_NAMED_WAIT_S, bound_on_load
from tracker.poller import Poller
from tracker.sources import RecheckSource
from tracker.store import Store

log = logging.getLogger(__name__)

STREAM = "recheck"  # under which attempts stand in ``polls``

_AT_ONCE = 2000  # ids that are read from the file at a time
_PATIENCE = 3  # answers in a row that are none, then a page is left behind
_LOCKED_S = 10.0  # for whoever holds the database
_TRANSIENT = (Unavailable, RateLimited, AccessDenied)  # these say nothing about the page that was asked for

InStore = Callable[..., Awaitable[Any]]


@dataclass(slots=True)
class _Queue:
    """What of a pass has been read from the file and waits to be asked about."""

    ids: deque[tuple[datetime, str]] = field(default_factory=deque)  # only those that can be asked about
    read_to: tuple[datetime, str] | None = None  # the last message that was read, asked about or not
    last: bool = False  # nothing comes after it


def begin_at(row: RecheckRow | None, every_s: float, now: datetime) -> datetime:
    """When a source may be asked again, after what is stored of its passes. Pure."""
    if row is None:
        return now
    due = row.next_at or now
    if row.ended_at is not None:
        due = max(due, row.began_at + timedelta(seconds=every_s))
    return bound_on_load(max(due, now), now, max(every_s, MAX_NAMED_WAIT_S))


def step_on(
    row: RecheckRow, ids: Sequence[str], place: tuple[datetime, str] | None, ended: bool, outcome: Outcome
) -> RecheckRow:
    """The pass after an attempt on ``ids``, which end at ``place``. Pure."""
    report, at = outcome.batch.report, outcome.batch.fetched_at
    row = replace(row, requests=row.requests + report.requests, last_at=at, error=report.error)
    passed_over = row.failures + 1 >= _PATIENCE and not isinstance(outcome.error, _TRANSIENT)
    if outcome.error is not None and not passed_over:
        return replace(row, failures=row.failures + 1, next_at=at + timedelta(seconds=outcome.wait_s))
    known = 0 if outcome.error is not None else len(ids)
    return replace(
        row,
        place_at=row.place_at if place is None else place[0],
        place_id=row.place_id if place is None else place[1],
        asked=row.asked + known,
        gone=row.gone + len(outcome.batch.deletions),
        failures=0,
        next_at=at + timedelta(seconds=outcome.wait_s) if outcome.wait_s else None,
        ended_at=at if ended else None,
    )


class Rechecker:
    """Goes over what is stored of sources that are on, one request of each at a time."""

    def __init__(
        self,
        every_s: dict[str, float],
        poller: Poller,
        store: Store,
        http: Http,
        analysis: Analysis,
        clock: SystemClock,
        in_store: InStore,
        deadline_s: float,
    ) -> None:
        """``every_s``: source -> seconds between the beginnings of two passes."""
        self._every_s, self._poller, self._store = every_s, poller, store
        self._http, self._analysis, self._clock = http, analysis, clock
        self._in_store, self._deadline_s = in_store, deadline_s
        self._rows: dict[str, RecheckRow] = {}
        self._due_at: dict[str, datetime] = {}  # on the steady clock
        self._queues: dict[str, _Queue] = {}

    def stand(self, rows: Iterable[RecheckRow]) -> None:
        """Take up where the last run stopped."""
        now = self._clock.now()
        self._rows = {row.source: row for row in rows}
        for name, every_s in self._every_s.items():
            self._due_at[name] = begin_at(self._rows.get(name), every_s, now) + (self._clock.steady() - now)

    def tick(self) -> list[asyncio.Task[None]]:
        """Start one request to every source that is due and has room beside its polls; returns at once."""
        steady = self._clock.steady()
        due = [name for name, when in self._due_at.items() if when <= steady]
        started = (self._poller.start_beside(name, STREAM, partial(self._step, name)) for name in due)
        return [task for task in started if task is not None]

    async def _step(self, name: str) -> None:
        """One attempt: the next page of ids, the answer, what it says of the pass."""
        clock = self._clock
        row = self._rows.get(name)
        if row is None or row.ended_at is not None:
            row = RecheckRow(name, began_at=clock.now())
            self._queues.pop(name, None)
        try:
            ids, place, ended = await self._next_page(name, row)
        except StoreFatal:
            raise
        except StoreError as error:
            event(log, "debug", "a re-check waits for the database", source=name, reason=str(error))
            self._due_at[name] = clock.steady() + timedelta(seconds=_LOCKED_S)
            return
        outcome = await self._ask(name, ids, row.failures)
        after = step_on(row, ids, place, ended, outcome)
        if outcome.error is not None and after.failures == 0:
            event(log, "warning", "stored messages could not be asked about", source=name, messages=len(ids), reason=str(outcome.error))  # fmt: skip
        batch = replace(outcome.batch, stream=None, recheck=after)
        await self._poller.take_beside(name, replace(outcome, batch=batch))
        self._move(name, ids, row, after)

    def _move(self, name: str, ids: Sequence[str], before: RecheckRow, after: RecheckRow) -> None:
        """What was kept is so."""
        self._rows[name] = after
        now = self._clock.now()
        self._due_at[name] = begin_at(after, self._every_s[name], now) + (self._clock.steady() - now)
        if after.failures == 0:
            queue = self._queues[name]
            for _ in ids:
                queue.ids.popleft()
        if after.failures > 0 and before.failures == 0:
            event(log, "warning", "what is stored can't be asked about for now", source=name, reason=after.error)
        elif after.ended_at is not None:
            event(log, "info", "what is stored was asked about", source=name, asked=after.asked, gone=after.gone)

    async def _next_page(self, name: str, row: RecheckRow) -> tuple[list[str], tuple[datetime, str] | None, bool]:
        """(ids to ask about, the place behind them, does the pass end there)."""
        target = self._poller.targets[name]
        source = cast(RecheckSource, target.source)
        place = None if row.place_at is None or row.place_id is None else (row.place_at, row.place_id)
        queue = self._queues.setdefault(name, _Queue(read_to=place))
        while len(queue.ids) < source.RECHECK and not queue.last:
            found = await self._in_store(self._store.next_to_recheck, name, row.began_at, queue.read_to, _AT_ONCE)
            base_url = target.plan.access.base_url
            queue.ids.extend(place for place in found if source.recheckable(base_url, place[1]))
            queue.read_to = found[-1] if found else queue.read_to
            queue.last = len(found) < _AT_ONCE
        page = list(queue.ids)[: source.RECHECK]
        ended = queue.last and len(page) == len(queue.ids)
        return [id_ for _, id_ in page], queue.read_to if ended else page[-1], ended

    async def _ask(self, name: str, ids: Sequence[str], failures: int) -> Outcome:
        """The outcome of asking about these; without any, that there was nothing to ask."""
        target, clock, tally = self._poller.targets[name], self._clock, Tally()
        source, plan = cast(RecheckSource, target.source), target.plan
        started_at, started = clock.now(), clock.monotonic()
        gone: list[Deletion] = []
        failed: SourceError | None = None
        try:
            if ids:
                async with asyncio.timeout(self._deadline_s):
                    async with self._http.session(plan.access, plan.gate) as client:
                        client.tally = tally
                        gone = await source.recheck(client, ids)
        except TimeoutError:
            failed = Unavailable(f"it took longer than {self._deadline_s:g} s", name)
        except SourceError as error:
            failed = error
        except Exception as error:
            event(log, "error", "a re-check failed through an error of ours", source=name, exc_info=error)
            failed = SourceError("an error of ours", name, repr(error))
        took = round((clock.monotonic() - started) * 1000)
        attempt = Attempt(started_at, took, tally, clock.now())
        told = tuple(deletion for deletion in gone if deletion.id in ids)  # nobody deletes what was not asked about
        return conclude_recheck(name, plan, self._analysis, attempt, ids, told, failed, failures)


def conclude_recheck(
    name: str,
    plan: PollPlan,
    analysis: Analysis,
    attempt: Attempt,
    ids: Sequence[str],
    gone: tuple[Deletion, ...],
    failed: SourceError | None,
    failures: int,
) -> Outcome:
    """The batch of one attempt: that of a poll, but for what it counts and whom it stops. Pure."""
    stream = Stream(name, STREAM, failures=failures)
    page = Page(gone, None, unchanged=not ids) if failed is None else None
    outcome = conclude(stream, plan, analysis, attempt, page, failed)
    batch = outcome.batch
    report = replace(batch.report, fetched=0 if failed else len(ids), brings="recheck", covers_from=None)
    # a refusal of this question, perhaps by another host, is none of the polls; a named time and a limit are
    limits = () if isinstance(failed, AccessDenied) else batch.limits
    wait_s = outcome.wait_s if failed is not None or limits else 0.0
    return replace(outcome, batch=replace(batch, report=report, limits=limits), wait_s=wait_s)
