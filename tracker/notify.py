"""Telling: what waits in the outbox goes to its receivers, each channel at its own pace, and nobody else waits for it.

    outbox ─► due rows, by channel ─► one Courier a channel ─► the result of each row, committed as it comes

A row is written in the transaction of the readings that caused it (``notify_rules``). It is sent at least once: a kill
between the answer of a receiver and our commit repeats it, with the same key.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from tracker import metrics, notify_rules
from tracker.alerts import DIGEST_LATE, digest_due, mark_of
from tracker.clock import SystemClock, floor_to
from tracker.config import Config
from tracker.config_schema import AlertRule, Alerts, Channel
from tracker.errors import StoreError, StoreLocked
from tracker.log import Changes, event
from tracker.notify_post import Courier, Letter, Outcome
from tracker.notify_rules import ITSELF, Ground, ground_of
from tracker.pacing import http_date, parse_retry_after
from tracker.store import Connection, Store
from tracker.store import alerts as outbox
from tracker.store.alerts import Alert

log = logging.getLogger(__name__)

GIVE_UP = timedelta(hours=24)  # after this nobody wants to be told any more
LONGEST_BACKOFF_S = 3600.0
LONGEST_NAMED_S = 86_400.0  # a receiver may ask for so much patience; more is a mistake of it
READINGS_LATE = timedelta(minutes=2)  # a digest waits so long for the readings of its moment
LOOK_S = 60.0  # the outbox is looked at so often at least: a person may have put something back into it
_AGAIN_S = 0.5  # between two attempts to write down a result while somebody holds the file

NextTime = Callable[[str, str, datetime], datetime | None]  # (crontab, zone, after) -> the next moment after it


class InStore(Protocol):
    """Runs a blocking call in the one thread that may touch the database."""

    def __call__(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Awaitable[Any]: ...


# ------------------------------------------------------------------------------------------------ deciding


def wait_s(alerts: Alerts, outcome: Outcome, attempts: int, now: datetime) -> float:
    """Seconds until the next attempt after so many: doubling, and never before the receiver wants it."""
    backoff = min(LONGEST_BACKOFF_S, alerts.backoff_s * 2.0 ** min(attempts - 1, 40))
    named = parse_retry_after(outcome.retry_after, http_date(outcome.date) or now) if outcome.retry_after else None
    return max(backoff, min(named or 0.0, LONGEST_NAMED_S))


def verdict(alerts: Alerts, alert: Alert, outcome: Outcome, now: datetime) -> tuple[str, datetime | None]:
    """(status, next attempt) of a row after one more attempt."""
    if outcome.ok:
        return "sent", None
    attempts = alert.attempts + 1
    again = now + timedelta(seconds=wait_s(alerts, outcome, attempts, now))
    if attempts >= alerts.attempts or again - alert.created_at > GIVE_UP:
        return "failed", None
    return "waiting", again


# ------------------------------------------------------------------------------------------------ acting


class Teller:
    """The rules of a running tracker: evaluated with its readings, told from its outbox."""

    def __init__(
        self, config: Config, store: Store, clock: SystemClock, in_store: InStore, fail: Callable[[BaseException], None]
    ) -> None:
        self._alerts: Alerts = config.alerts
        self._ground: Ground = ground_of(config)
        self._store, self._clock, self._in_store, self._fail = store, clock, in_store, fail
        self._tasks: dict[str, asyncio.Task[None]] = {}  # channel -> who sends to it
        self._look = True  # something may be due that we have not seen
        self._looked = 0.0  # when we have looked, on the steady clock
        self._next: datetime | None = None  # when the next of those that wait is due; None: none waits
        self._digests: dict[str, datetime] | None = None  # rule -> the last moment it was due; None: not read yet
        self._changes = Changes("reached")
        self._stopping = False

    # -------------------------------------------------------------------------------------- with the readings

    @property
    def has_rules(self) -> bool:
        return bool(self._alerts.rules)

    def evaluate(self, connection: Connection, at: datetime, now: datetime) -> None:
        """Look at every rule, within the transaction of the readings of ``at``."""
        if notify_rules.evaluate(connection, self._ground, at, now):
            self._look = True

    # -------------------------------------------------------------------------------------- every few seconds

    async def tick(self, next_time: NextTime) -> None:
        """Write digests that are due, start sending what waits; returns at once, sending goes on by itself."""
        if not self._alerts.channels or self._stopping:
            return
        try:
            await self._write_digests(next_time)
            await self._start_due()
        except StoreLocked:  # a few seconds later is early enough
            return

    async def settle(self) -> None:
        """Wait for all that is being sent."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def drain(self, within_s: float) -> None:
        """No more after the ones that are under way; who takes longer is sent home, and tells again after a restart."""
        self._stopping = True
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=within_s)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -------------------------------------------------------------------------------------- the outbox

    async def _start_due(self) -> None:
        now, steady = self._clock.now(), self._clock.monotonic()
        is_due = self._next is not None and now >= self._next
        if not self._look and not is_due and steady - self._looked < LOOK_S:
            return
        self._looked = steady
        due, self._next = await self._in_store(self._read_due, now)
        self._look = False
        waiting: dict[str, list[Alert]] = defaultdict(list)
        for alert in due:
            waiting[alert.channel].append(alert)
        for name, alerts in waiting.items():
            channel = self._alerts.channels.get(name)
            if name not in self._tasks:
                send = self._send_all(channel, alerts) if channel else self._forsake(name, alerts)
                task = asyncio.create_task(self._watched(name, send), name=f"alerts to {name}")
                self._tasks[name] = task
                task.add_done_callback(partial(self._over, name))

    def _read_due(self, now: datetime) -> tuple[list[Alert], datetime | None]:
        with self._store.reading(1.0) as connection:
            return outbox.due(connection, now), outbox.next_try(connection)

    def _over(self, name: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(name, None)
        self._look = True  # its rows have changed, and more may have come for it

    async def _watched(self, name: str, send: Awaitable[None]) -> None:
        """A task of its own has nobody above it: what goes wrong is said here."""
        try:
            await send
        except StoreError as error:  # what was told could not be written down: rather stop than tell it again and again
            self._fail(error)
        except Exception as error:
            event(log, "error", "sending failed through an error of ours", channel=name, exc_info=error)

    async def _send_all(self, channel: Channel, alerts: Sequence[Alert]) -> None:
        """One after the other; after a failure the channel has a rest."""
        async with Courier(channel, self._alerts.timeout_s) as courier:
            for alert in alerts:
                if self._stopping:
                    return
                outcome = await courier.send(Letter(alert.event_key, alert.title, alert.body))
                await self._write_down(alert, outcome)
                if not outcome.ok:
                    return

    async def _forsake(self, name: str, alerts: Sequence[Alert]) -> None:
        """Alerts for a channel that is no longer configured."""
        for alert in alerts:
            await self._write_down(alert, Outcome(False, "there is no such channel any more"), lost=True)

    async def _write_down(self, alert: Alert, outcome: Outcome, *, lost: bool = False) -> None:
        """Commit a result before anything else is sent; while somebody holds the file, it is tried again and again."""
        now = self._clock.now()
        status, again = ("failed", None) if lost else verdict(self._alerts, alert, outcome, now)
        rest = None if outcome.ok else now + timedelta(seconds=wait_s(self._alerts, outcome, 1, now))
        while True:
            try:
                await self._in_store(self._record, alert, status, again, now, outcome, rest)
                break
            except StoreLocked:
                await asyncio.sleep(_AGAIN_S)
        self._say(alert, status, outcome)

    def _record(
        self, alert: Alert, status: str, again: datetime | None, now: datetime, outcome: Outcome, rest: datetime | None
    ) -> None:
        with self._store.writing(5.0) as connection:
            outbox.record(connection, alert, status, again, now if outcome.ok else None, outcome.error, rest)

    def _say(self, alert: Alert, status: str, outcome: Outcome) -> None:
        """One line when a channel stops working and when it works again, one for each alert that is given up."""
        if self._changes.changed(alert.channel, "reached" if outcome.ok else "not reached"):
            if outcome.ok:
                event(log, "info", "alerts reach the channel again", channel=alert.channel)
            else:
                event(log, "warning", "alerts do not reach the channel", channel=alert.channel, reason=outcome.error)
        if status == "failed":
            event(
                log, "error", "an alert is given up", channel=alert.channel, rule=alert.rule, symbol=alert.symbol,
                attempts=alert.attempts + 1, reason=outcome.error,
            )  # fmt: skip

    # -------------------------------------------------------------------------------------- digests

    async def _write_digests(self, next_time: NextTime) -> None:
        rules = [rule for rule in self._alerts.rules.values() if rule.when == "digest"]
        if not rules:
            return
        now = self._clock.now()
        if self._digests is None:
            self._digests = await self._in_store(self._read_digests, rules, now)
        for rule in rules:
            last = self._digests[rule.name]
            due = digest_due(last, now, partial(next_time, rule.cron, self._ground.zone))
            if due is not None and await self._write_digest(rule, due, now):
                self._digests[rule.name] = due

    def _read_digests(self, rules: Sequence[AlertRule], now: datetime) -> dict[str, datetime]:
        """When each digest was last due. One that is new, or told by a clock that ran ahead, begins now."""
        with self._store.reading(1.0) as connection:
            stored = outbox.states(connection)
        known = {rule: stored.get((rule.name, ITSELF)) for rule in rules}
        begun = {
            rule.name: one.at
            for rule, one in known.items()
            if one is not None and one.state == mark_of(rule) and one.at <= now + timedelta(days=1)
        }
        for rule in rules:
            if rule.name not in begun:
                with self._store.writing(1.0) as connection:
                    notify_rules.save_digest(connection, rule, self._ground, now, now, None)
        return {rule.name: begun.get(rule.name, now) for rule in rules}

    async def _write_digest(self, rule: AlertRule, due: datetime, now: datetime) -> bool:
        """Put a digest into the outbox, or only remember one that is far too late; False: its readings are not there yet."""
        told = None
        if now - due <= DIGEST_LATE:
            ready, moment, symbols = await self._in_store(self._digest_symbols, rule, due, now)
            if not ready and now - due < READINGS_LATE:
                return False
            # one question a symbol: others get at the file in between
            sentences = [await self._in_store(self._lead, symbol, moment) for symbol in symbols]
            told = notify_rules.digest_event(rule, due, moment, sentences)
        await self._in_store(self._save_digest, rule, due, now, told)
        self._look = True
        return True

    def _digest_symbols(self, rule: AlertRule, due: datetime, now: datetime) -> tuple[bool, datetime, list[str]]:
        """Whether the readings of that moment are there, the moment that is told of, and its symbols.

        A digest that is told late is about the newest readings, not about those that were new when it was due.
        """
        with self._store.reading(1.0) as connection:
            newest = metrics.newest_moment(connection, now)
            ready = newest is not None and newest >= floor_to(due, self._ground.step.total_seconds())
            moment = due if newest is None or now - due < READINGS_LATE else newest
            return ready, moment, notify_rules.digest_symbols(connection, rule, self._ground, moment)

    def _lead(self, symbol: str, at: datetime) -> str:
        with self._store.reading(1.0) as connection:
            return notify_rules.lead(connection, symbol, at, self._ground.zone)

    def _save_digest(self, rule: AlertRule, due: datetime, now: datetime, told: Any) -> None:
        with self._store.writing(1.0) as connection:
            notify_rules.save_digest(connection, rule, self._ground, due, now, told)


# ------------------------------------------------------------------------------------------------ tests of channels


async def try_channels(channels: Mapping[str, Channel], timeout_s: float, letter: Letter | None) -> dict[str, Outcome]:
    """One letter to each, all at the same time; without a letter only whether each can be used at all."""

    async def one(channel: Channel) -> Outcome:
        async with Courier(channel, timeout_s) as courier:
            if letter is not None:
                return await courier.send(letter)
            error = courier.refused or courier.lost
            return Outcome(error is None, error)

    found = await asyncio.gather(*(one(channel) for channel in channels.values()))
    return dict(zip(channels, found, strict=True))
