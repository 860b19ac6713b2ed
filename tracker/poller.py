"""Who is due, and polling them: at most so many at a time, never before a named time, one attempt a row.

Being due is data: ``Stream.next_poll_at`` and ``Limit.not_before`` are stored with each batch and loaded at the start.
While the process runs they are kept on the steady clock, so that a clock which is set neither stops nor hurries anybody.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tracker.clock import SystemClock
from tracker.errors import SourceError, Unavailable
from tracker.http import Http, Tally
from tracker.ingest import Analysis, Attempt, Outcome, PollPlan, conclude, poll
from tracker.log import event
from tracker.models import Batch, Limit, Stream
from tracker.pacing import MAX_NAMED_WAIT_S, Budget, bound_on_load, share_of
from tracker.sources import PushSource, Source

log = logging.getLogger(__name__)

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """A source that is on: its module, how it is asked, what it may use."""

    name: str
    source: Source
    plan: PollPlan
    budget: Budget
    streams: tuple[str, ...]
    homes: Mapping[str, PollPlan] = field(default_factory=dict)  # how streams are asked that live on hosts of their own

    def plan_of(self, stream: str) -> PollPlan:
        return self.homes.get(stream, self.plan)

    def pool_of(self, stream: str) -> str:
        """Whose budget a stream draws on: its source's, or its host's where it lives on one of its own."""
        return f"{self.name} {self.homes[stream].scope}" if stream in self.homes else self.name

    @property
    def beside(self) -> str:
        """The pool of what is asked beside the polls: a share of the budget."""
        return f"{self.name} beside"

    @property
    def push(self) -> bool:
        return isinstance(self.source, PushSource)


@dataclass(slots=True)
class _State:
    """What changes: where each stream stands, on the steady clock."""

    streams: dict[Key, Stream] = field(default_factory=dict)
    due_at: dict[Key, datetime] = field(default_factory=dict)
    not_before: dict[str, datetime] = field(default_factory=dict)
    used: dict[str, list[datetime]] = field(default_factory=dict)  # requests of each pool, one entry a request
    running: dict[Key, asyncio.Task[None]] = field(default_factory=dict)
    allowed: dict[Key, int] = field(default_factory=dict)  # requests that each of those that run may make


def who_is_due(
    targets: Mapping[str, Target], state: _State, steady: datetime, slots: int, push: bool | None = None
) -> list[tuple[Target, Stream, int]]:
    """(target, stream, requests it may make) of those that may be asked now, longest waiting first. Pure.

    Streams of one pool share what is left of its budget: together they may never make more requests than that.
    ``slots`` counts those that are asked and answer; a stream that stays connected takes none.
    """
    waiting = sorted(
        (key for key in state.streams if key not in state.running and state.due_at[key] <= steady),
        key=lambda key: (state.due_at[key], key),
    )
    chosen: list[tuple[Target, Stream]] = []
    left: dict[str, int] = {}
    planned: dict[str, int] = {}
    for key in waiting:
        target = targets[key[0]]
        pool = target.pool_of(key[1])
        if push is not None and target.push is not push:
            continue
        if slots < 1 and not target.push:
            continue
        if state.not_before.get(target.plan_of(key[1]).scope, steady) > steady:
            continue
        if pool not in left:
            running = sum(
                allowed
                for (source, stream), allowed in state.allowed.items()
                if targets[source].pool_of(stream) == pool
            )
            left[pool] = target.budget.left(steady, state.used.get(pool, ())) - running
        if planned.get(pool, 0) >= left[pool]:
            continue
        planned[pool] = planned.get(pool, 0) + 1
        slots -= not target.push
        chosen.append((target, state.streams[key]))
    pools = [(target, stream, target.pool_of(stream.name)) for target, stream in chosen]
    return [(target, stream, left[pool] // planned[pool]) for target, stream, pool in pools]


def has_room_beside(target: Target, state: _State, steady: datetime, slots: int) -> bool:
    """True when one request may go out beside a source's polls: those that run and those that are due come first. Pure."""
    if slots < 1 or state.not_before.get(target.plan.scope, steady) > steady:
        return False
    running = sum(allowed for (source, _), allowed in state.allowed.items() if source == target.name)
    due = sum(
        key[0] == target.name and key not in state.running and when <= steady for key, when in state.due_at.items()
    )
    left = target.budget.left(steady, state.used.get(target.name, ())) - running - due
    return left > 0 and share_of(target.budget).left(steady, state.used.get(target.beside, ())) > 0


def requests_of(target: Target) -> int:
    """The most that one poll makes: a page each, or the one that opens a connection."""
    return 1 if target.push else max(1, target.plan.access.max_pages)


class Poller:
    """Asks what is due and hands each outcome to ``keep``."""

    def __init__(
        self,
        targets: Iterable[Target],
        http: Http,
        analysis: Analysis,
        clock: SystemClock,
        keep: Callable[[Batch], Awaitable[None]],
        *,
        concurrency: int,
        deadline_s: float,
    ) -> None:
        self.targets = {target.name: target for target in targets}
        self._http, self._analysis, self._clock, self._keep = http, analysis, clock, keep
        self._concurrency, self._deadline_s = concurrency, deadline_s
        self._state = _State()
        self._failing: dict[str, set[str]] = {}  # source -> streams that failed last time; no entry: not heard of yet
        self.failure: BaseException | None = None  # what could not be kept: the process has to stop
        self.outcomes: list[Outcome] | None = None  # collected only where somebody asked for them (`once`)
        self.polls: Counter[tuple[str, str]] = Counter()  # (source, status) of those that ended since the start
        self.brought: Counter[tuple[str, str]] = Counter()  # (source, what): items fetched, messages kept, gaps

    def use(self, analysis: Analysis) -> None:
        """Another universe, another finder: for every page from now on."""
        self._analysis = analysis

    def stand(
        self, streams: Sequence[Stream], limits: Sequence[Limit], used: Mapping[str, Sequence[tuple[datetime, int]]]
    ) -> None:
        """Take up where the last run stopped: cursors, due times, limits and budgets as stored."""
        now = self._clock.now()
        shift = self._clock.steady() - now  # stored moments are of the wall clock
        stored = {stream.key: stream for stream in streams}
        for target in self.targets.values():
            longest = max(
                target.plan.pace.interval_s,
                target.plan.pace.max_backoff_s,
                target.plan.pace.breaker_s,
                MAX_NAMED_WAIT_S,
            )
            for name in target.streams:
                stream = replace(stored.get((target.name, name), Stream(target.name, name)), enabled=True)
                due = stream.next_poll_at
                self._state.streams[stream.key] = stream
                self._state.due_at[stream.key] = (bound_on_load(due, now, longest) if due is not None else now) + shift
            moments = [when + shift for when, requests in used.get(target.name, ()) for _ in range(requests)]
            for pool in {target.name, target.beside, *map(target.pool_of, target.streams)}:
                # which host each went to is not kept: each host counts them all, and waits a little longer
                self._state.used[pool] = list(moments)
        for limit in limits:
            self._state.not_before[limit.scope] = bound_on_load(limit.not_before, now, MAX_NAMED_WAIT_S) + shift

    @property
    def streams(self) -> tuple[Stream, ...]:
        return tuple(self._state.streams.values())

    def tick(self, *, push: bool | None = None) -> list[asyncio.Task[None]]:
        """Start a poll of every stream that is due; returns at once. ``push`` True or False looks at such streams only."""
        slots = self._slots()
        started: list[asyncio.Task[None]] = []
        for target, stream, left in who_is_due(self.targets, self._state, self._clock.steady(), slots, push):
            self._state.allowed[stream.key] = min(left, requests_of(target))
            task = asyncio.create_task(
                self._run(target, stream, left, stay=push is True), name=f"{stream.source}/{stream.name}"
            )
            self._state.running[stream.key] = task
            task.add_done_callback(partial(self._over, stream.key))
            started.append(task)
        return started

    def start_beside(
        self, name: str, stream: str, run: Callable[[], Coroutine[Any, Any, None]]
    ) -> asyncio.Task[None] | None:
        """Start ``run``, which makes one request to a source beside its polls; None where that has to wait."""
        target, key = self.targets[name], (name, stream)
        if key in self._state.running or not has_room_beside(target, self._state, self._clock.steady(), self._slots()):
            return None
        self._state.allowed[key] = 1
        task = asyncio.create_task(run(), name=f"{name}/{stream}")
        self._state.running[key] = task
        task.add_done_callback(partial(self._over, key))
        return task

    def _slots(self) -> int:
        return self._concurrency - sum(1 for source, _ in self._state.running if not self.targets[source].push)

    def _over(self, key: Key, task: asyncio.Task[None]) -> None:
        self._state.running.pop(key, None)
        self._state.allowed.pop(key, None)
        if not task.cancelled() and (error := task.exception()) is not None and self.failure is None:
            self.failure = error

    def wait_s(self, name: str) -> float:
        """Seconds until one more request to a source may go out: its budget, and what a server has named."""
        target, steady = self.targets[name], self._clock.steady()
        named = self._state.not_before.get(target.plan.scope, steady)
        return max(0.0, (named - steady).total_seconds(), target.budget.wait_s(steady, self._state.used.get(name, ())))

    def limits(self) -> dict[str, float]:
        """Scope -> seconds for which a server still wants not to be asked."""
        steady = self._clock.steady()
        waits = {scope: (until - steady).total_seconds() for scope, until in self._state.not_before.items()}
        return {scope: wait_s for scope, wait_s in waits.items() if wait_s > 0}

    def budgets(self) -> dict[str, tuple[int, int]]:
        """Pool -> (requests that may go out now, requests in its whole span)."""
        steady = self._clock.steady()
        pools = {target.pool_of(stream): target.budget for target in self.targets.values() for stream in target.streams}
        return {
            pool: (budget.left(steady, self._state.used.get(pool, ())), budget.requests)
            for pool, budget in pools.items()
        }

    async def take(self, name: str, outcome: Outcome) -> None:
        """Keep an outcome that somebody else made of a source (a backfill), with all that follows from it."""
        await self._finish(self.targets[name], outcome)

    async def take_beside(self, name: str, outcome: Outcome) -> None:
        """Keep the outcome of what was asked beside the polls; its limits hold for them too, no stream moves."""
        target = self.targets[name]
        outcome = await self._durable(outcome)
        requests = outcome.batch.report.requests
        self._count(target.name, requests, target.budget)
        self._count(target.beside, requests, share_of(target.budget))
        if self.outcomes is not None:
            self.outcomes.append(outcome)

    async def drain(self, wait_s: float) -> None:
        """Let polls in hand finish for ``wait_s`` seconds, then give them up: their cursors have not moved."""
        tasks = list(self._state.running.values())
        if tasks:
            push = [task for key, task in self._state.running.items() if self.targets[key[0]].push]
            for task in push:
                task.cancel()
            await asyncio.wait(tasks, timeout=wait_s)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -------------------------------------------------------------------------------------------- one stream

    async def _run(self, target: Target, stream: Stream, left: int, *, stay: bool) -> None:
        plan = target.plan_of(stream.name)
        plan = replace(plan, access=replace(plan.access, max_pages=max(1, min(plan.access.max_pages, left))))
        if stay and isinstance(target.source, PushSource):
            await self._listen(target, plan, stream)
            return
        started_at, started, tally = self._clock.now(), self._clock.monotonic(), Tally()
        try:
            async with asyncio.timeout(self._deadline_s):
                outcome = await poll(target.source, stream, plan, self._http, self._analysis, self._clock, tally)
        except TimeoutError:
            failed = Unavailable(f"the poll took longer than {self._deadline_s:g} s", target.name)
            outcome = self._failed(stream, plan, failed, started_at, started, tally)
        except Exception as error:
            event(
                log,
                "error",
                "poll failed through an error of ours",
                source=stream.source,
                stream=stream.name,
                exc_info=error,
            )
            outcome = self._failed(
                stream, plan, SourceError("an error of ours", target.name, repr(error)), started_at, started, tally
            )
        await self._finish(target, outcome)

    def _failed(
        self, stream: Stream, plan: PollPlan, failed: SourceError, started_at: datetime, started: float, tally: Tally
    ) -> Outcome:
        took = round((self._clock.monotonic() - started) * 1000)
        return conclude(stream, plan, self._analysis, Attempt(started_at, took, tally, self._clock.now()), None, failed)

    async def _listen(self, target: Target, plan: PollPlan, stream: Stream) -> None:
        """Stay connected: every page is an outcome of its own; the error that ends the connection is one too."""
        source: Any = target.source
        started_at, started = self._clock.now(), self._clock.monotonic()
        asked = 1
        try:
            async with self._http.session(plan.access, plan.gate) as client:
                async with aclosing(source.listen(client, stream, stream.cursor)) as pages:
                    async for page in pages:
                        took = round((self._clock.monotonic() - started) * 1000)
                        attempt = Attempt(
                            started_at, took, Tally(requests=asked, bytes=client.tally.bytes), self._clock.now()
                        )
                        client.tally.bytes = 0
                        outcome = await asyncio.to_thread(conclude, stream, plan, self._analysis, attempt, page, None)
                        # due at once when the process starts again, and when the connection is lost
                        after = outcome.batch.stream
                        assert after is not None
                        after = replace(after, next_poll_at=attempt.ended_at)
                        await self._finish(
                            target, replace(outcome, batch=replace(outcome.batch, stream=after), wait_s=0.0)
                        )
                        stream = after
                        started_at, started, asked = self._clock.now(), self._clock.monotonic(), 0
                raise Unavailable("the stream ended", target.name)
        except SourceError as failed:
            await self._finish(target, self._failed(stream, plan, failed, started_at, started, Tally(requests=asked)))
        except Exception as error:
            if error is self.failure:  # it could not be kept: that is nobody's poll
                raise
            event(
                log,
                "error",
                "listening failed through an error of ours",
                source=stream.source,
                stream=stream.name,
                exc_info=error,
            )
            await self._finish(
                target,
                self._failed(
                    stream,
                    plan,
                    SourceError("an error of ours", target.name, repr(error)),
                    started_at,
                    started,
                    Tally(requests=asked),
                ),
            )

    async def _finish(self, target: Target, outcome: Outcome) -> None:
        """Durable first; only then does the stream move on. A cursor that is not kept has not moved."""
        outcome = await self._durable(outcome)
        stream = outcome.batch.stream
        assert stream is not None
        self._state.streams[stream.key] = stream
        self._state.due_at[stream.key] = self._clock.steady() + timedelta(seconds=outcome.wait_s)
        batch = outcome.batch
        self._count(target.pool_of(stream.name), batch.report.requests, target.budget)
        self.polls[target.name, batch.report.status] += 1
        for what, count in (
            ("fetched", batch.report.fetched), ("messages", len(batch.messages)), ("gaps", len(batch.gaps))
        ):  # fmt: skip
            self.brought[target.name, what] += count
        self._tell(target, outcome)
        if self.outcomes is not None:
            self.outcomes.append(outcome)

    async def _durable(self, outcome: Outcome) -> Outcome:
        """Kept, with those of its limits that stand: of two on one scope the longer one, as a poll that was under way
        may come home with a shorter one.
        """
        until = self._clock.steady() + timedelta(seconds=outcome.wait_s)
        limits = tuple(
            limit for limit in outcome.batch.limits if until >= self._state.not_before.get(limit.scope, until)
        )
        self._state.not_before.update({limit.scope: until for limit in limits})
        batch = replace(outcome.batch, limits=limits)
        try:
            await asyncio.shield(self._keep(batch))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.failure = error
            raise
        return replace(outcome, batch=batch)

    def _count(self, pool: str, requests: int, budget: Budget) -> None:
        """These requests were made just now."""
        steady = self._clock.steady()
        horizon = steady - timedelta(seconds=budget.seconds)
        used = [*self._state.used.get(pool, ()), *[steady] * requests]
        self._state.used[pool] = [when for when in used if when > horizon]

    def _tell(self, target: Target, outcome: Outcome) -> None:
        """One line a poll at debug; one line a change, of the source as a whole, that everybody sees."""
        report = outcome.batch.report
        event(
            log, "debug", "polled", source=report.source, stream=report.stream, status=report.status, fetched=report.fetched,
            messages=len(outcome.batch.messages), skipped=report.skipped, ms=report.duration_ms, wait_s=round(outcome.wait_s, 1),
        )  # fmt: skip
        for gap in outcome.batch.gaps:
            event(
                log,
                "warning",
                "messages were lost",
                source=gap.source,
                stream=gap.stream,
                from_at=gap.from_at,
                to_at=gap.to_at,
                reason=gap.reason,
            )
        heard = target.name in self._failing
        failing = self._failing.setdefault(target.name, set())
        was_well = not failing
        if outcome.error is None:
            failing.discard(report.stream)
        else:
            failing.add(report.stream)
        if heard and was_well == (not failing):
            return  # a source with one dead stream among many is said once; `status` names each
        if outcome.error is not None:
            again = self._clock.now() + timedelta(seconds=outcome.wait_s)
            event(
                log, "warning", f"{target.name} {_plainly(outcome.error)}", stream=report.stream, reason=str(outcome.error),
                tries_again_at=again.strftime("%Y-%m-%dT%H:%M:%SZ"), in_s=round(outcome.wait_s),
            )  # fmt: skip
        else:
            event(log, "info", f"{target.name} answers", stream=report.stream, messages=report.fetched)


def _plainly(error: SourceError) -> str:
    words = {
        "unavailable": "can't be reached",
        "rate_limited": "asks us to wait",
        "denied": "refuses us",
        "malformed": "sends something else than it should",
    }
    return words.get(error.status, "failed")


async def settle(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait for all of them; an error that is not ours to handle goes up."""
    pending = list(tasks)
    if pending:
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*pending)
