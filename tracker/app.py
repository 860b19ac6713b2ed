"""Everything that a running tracker is made of, put together in one place and taken apart again.

The daemon, ``once``, ``poll`` and the tests build the same ``App``; what differs is who calls it and with which clock
and transport.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import httpx

from tracker.clock import SystemClock, floor_to
from tracker.config import Config
from tracker.errors import BadInput, StoreError, StoreFatal, StoreLocked
from tracker.http import Gate, Http
from tracker.learn_apart import learn_apart
from tracker.log import Changes, event
from tracker.models import Batch, ToneRow
from tracker.notify import NextTime, Teller
from tracker.pacing import share_of
from tracker.parts import (
    analysis_of,
    learned_from,
    model_of,
    not_rechecked,
    prepare_store,
    scorer_of,
    store_of,
    target_of,
    text_times,
    universe_of,
    universe_plan,
)
from tracker.poller import Poller
from tracker.promotion import load_standing
from tracker.pulse import Pulse
from tracker.recheck import Rechecker
from tracker.store.scrub import next_rewrite
from tracker.store.universe import load_lists, load_priors
from tracker.tone.second import SecondOpinion, load_second
from tracker.universe_refresh import Teller as UniverseTeller
from tracker.universe_refresh import refresh
from tracker.verdicts import Verdicts, load_verdicts

log = logging.getLogger(__name__)
T = TypeVar("T")

READING_GRID_S = 300.0  # readings are taken at multiples of five minutes: that is how fine buckets are
SOONER = (
    0.7  # of the flush interval has to be over before a page that was handed over is committed: readers need their turn
)
SECOND_LOOKS_BACK_S = 3600.0  # messages older than this are not asked about any more
SECOND_AT_ONCE = 64  # messages a run: seconds of work
LEAST_FREE_BYTES = 64 * 1024 * 1024  # below this much free disk nobody is asked any more


class App:
    """A tracker that can poll and store. Open it with ``await app.open()``, close it with ``await app.close()``."""

    def __init__(
        self,
        config: Config,
        clock: SystemClock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        record: bool = False,
        whole: bool = True,
    ) -> None:
        self.config = config
        self._whole = whole  # False: a part of the sources only, the others keep their place
        self.clock = clock or SystemClock()
        self.universe = universe_of(config)
        self.analysis = analysis_of(config)
        self.store = store_of(config)
        self.http = Http(transport, self.clock.now, record=record)
        gates: dict[str, Gate] = {}
        targets = [target_of(settings, gates) for settings in config.sources.values() if settings.enabled]
        self.poller = Poller(
            targets, self.http, self.analysis, self.clock, self.keep,
            concurrency=config.jobs.concurrency, deadline_s=config.jobs.poll_deadline_s,
        )  # fmt: skip
        asked = {name: settings.recheck_s for name, settings in config.sources.items() if settings.enabled and not_rechecked(settings) is None}  # fmt: skip
        self.rechecker = Rechecker(
            asked, self.poller, self.store, self.http, self.analysis, self.clock, self.in_store, config.jobs.poll_deadline_s
        )  # fmt: skip
        self.stopping = asyncio.Event()
        self.failure: BaseException | None = None
        self.pulse = Pulse(self.clock.monotonic)
        self.held_since: float | None = None  # on the steady clock; None: nobody else holds the file
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._last_reading_at: datetime | None = None
        self._tried_to_learn_at: datetime | None = None
        self._changes = Changes(False)
        self.teller = Teller(config, self.store, self.clock, self.in_store, self.fail)
        self._lists_told = UniverseTeller()
        self._verdicts = Verdicts()
        self._second: SecondOpinion | None = None
        self._weights = model_of(config)  # what the scorer in force was made of
        self._stands = False  # it knows where it stands: before that nothing may be committed
        self._flushed_at = 0.0  # steady seconds at which the last flush began
        self._handed_over = False  # a page of a push stream waits
        self._next_scrub = 0.0  # steady seconds before which the file is not rewritten again
        self._prepared = False  # the file has the shape and the settings of this program

    async def open(self) -> None:
        """Prepare the file, load where we stand. StoreError when the file can't be used."""
        try:
            await self.in_store(self._prepare, 10.0)
        except StoreLocked as error:
            # a reader may hold the file for hours: what it holds can be read all the same, and polls go into the journal
            if not await self.in_store(self.store.is_current):
                raise
            self._say_held(error)
        await self.in_store(self._load)
        self._stands = True
        await self._take_up(await self.in_store(self._has_learned))

    def _prepare(self, wait_s: float) -> None:
        prepare_store(self.config, self.store, self.universe, self.clock.now(), wait_s)
        self._prepared = True

    def _load(self) -> None:
        longest = max((share_of(target.budget).seconds for target in self.poller.targets.values()), default=0.0)
        standing = self.store.standing(self.clock.now() - timedelta(seconds=longest))
        self.poller.stand(standing.streams, standing.limits, standing.used)
        self.rechecker.stand(standing.rechecks)
        retired = [
            stream
            for stream in standing.streams
            if stream.enabled and stream.key not in {s.key for s in self.poller.streams}
        ]
        if retired and self._whole and self._prepared:  # no longer configured: their place is kept, they are not asked
            self.store.save_streams([replace(stream, enabled=False) for stream in retired])
        with self.store.reading() as connection:
            row = connection.execute('SELECT max("at") FROM readings').fetchone()
        self._last_reading_at = row[0].replace(tzinfo=self.clock.now().tzinfo) if row and row[0] else None

    def _has_learned(self) -> bool:
        """True when the file holds more than the tables that come with the program."""
        with self.store.reading() as connection:
            return bool(load_lists(connection)) or load_priors(connection)[0] is not None

    async def in_store(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Run a blocking call in the one thread that may touch the database."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer, lambda: call(*arguments, **named))

    async def keep(self, batch: Batch) -> None:
        """Durable before anything else happens."""
        await asyncio.to_thread(self.store.keep, batch)
        target = self.poller.targets.get(batch.report.source)
        self._handed_over = self._handed_over or (target is not None and target.push)

    # ------------------------------------------------------------------------------------------- what jobs call

    def poll_due(self, *, push: bool | None = None) -> list[asyncio.Task[None]]:
        """Start what is due, unless what was brought can't be put away."""
        return self.poller.tick(push=push) if self._may_ask() else []

    def recheck(self) -> list[asyncio.Task[None]]:
        """Ask whether what is stored is still there, one request to each source that is due, as far as polls leave room."""
        return self.rechecker.tick() if self._may_ask() else []

    def _may_ask(self) -> bool:
        """False while what is brought can't be put away."""
        if self.stopping.is_set():
            return False
        if self.poller.failure is not None:
            self.fail(self.poller.failure)
            return False
        if self.store.full:
            if self._changes.changed("full", True):
                event(
                    log,
                    "error",
                    "polling pauses: the journal is full and the database can't be written",
                    journal=str(self.store.journal.path),
                )
            return False
        self._changes.changed("full", False)
        return not self._short_of_disk()

    def disk(self) -> tuple[int, bool]:
        """(bytes that are free, whether they are too few to go on)."""
        folder = os.statvfs(self.store.opening.path.parent)
        free = folder.f_bavail * folder.f_frsize
        return free, free < LEAST_FREE_BYTES and free < folder.f_blocks * folder.f_frsize // 10

    def _short_of_disk(self) -> bool:
        free, short = self.disk()
        if self._changes.changed("disk", short):
            if short:
                event(
                    log,
                    "error",
                    "polling pauses: the disk is nearly full",
                    free_bytes=free,
                    folder=str(self.store.opening.path.parent),
                )
            else:
                event(log, "info", "polling goes on: there is space again", free_bytes=free)
        return short

    async def flush_due(self) -> None:
        """Commit what has waited for long enough; at once what a push stream hands over, for that has waited already."""
        passed, every_s = self.clock.monotonic() - self._flushed_at, self.config.store.flush_s
        if passed >= every_s or (self._handed_over and passed >= SOONER * every_s):
            await self.flush()

    async def flush(self, wait_s: float = 1.0) -> None:
        """Commit what waits. At each five minutes the readings are taken first, from what was known until then."""
        self._flushed_at, self._handed_over = self.clock.monotonic(), False
        await self.in_store(self._flush, wait_s)

    def _flush(self, wait_s: float) -> None:
        at = floor_to(
            self.clock.now(),
            max(READING_GRID_S, self.config.jobs.readings_s - self.config.jobs.readings_s % READING_GRID_S),
        )
        try:
            if not self._prepared:
                self._prepare(wait_s)
            if self._last_reading_at is None or at > self._last_reading_at:
                self._take_readings(at, wait_s)
                self._last_reading_at = at
            if self.store.waiting:
                self.store.flush(wait_s)
        except StoreLocked as error:
            self._say_held(error)
            return
        self.held_since = None
        if self._changes.changed("locked", False):
            event(log, "info", "the database is free again; everything that was kept is stored")

    def _take_readings(self, at: datetime, wait_s: float) -> None:
        """Readings, and what the rules make of them, in one transaction. A mistake in a rule never costs the readings."""
        now, scorer = self.clock.now(), self.analysis.scorer.name
        if not self.teller.has_rules:
            self.store.take_readings(at, now, wait_s, scorer=scorer)
            return
        try:
            self.store.take_readings(
                at, now, wait_s, lambda connection: self.teller.evaluate(connection, at, now), scorer
            )
        except (StoreLocked, StoreFatal):
            raise
        except Exception as error:
            event(log, "error", "the rules of alerts failed; the readings are taken without them", exc_info=error)
            self.store.take_readings(at, now, wait_s, scorer=scorer)

    def _say_held(self, error: StoreLocked) -> None:
        self.held_since = self.held_since or self.pulse.monotonic()
        if self._changes.changed("locked", True):
            words = "the database is held by somebody else; messages are kept in the journal"
            event(log, "warning", words, holder_pid=error.holder_pid, waiting=self.store.waiting)

    async def rollup(self) -> None:
        """Facts into buckets and spikes."""
        try:
            await self.in_store(self.store.rollup, 1.0)
        except StoreLocked:  # flush says so once; the next one makes it up
            return

    async def tell(self, next_time: NextTime) -> None:
        """Digests that are due into the outbox, and what waits there to its receivers; they are told by themselves."""
        await self.teller.tick(next_time)

    async def publish(self) -> None:
        """The read copy, where one is configured."""
        target = self.config.store.publish
        if target is not None:
            await self.in_store(self.store.publish, target)

    async def scrub(self) -> None:
        """The file anew without what was taken away, and the read copy after it; as often as the size of the file allows."""
        if not self._prepared or not self.store.has_remains or self.clock.monotonic() < self._next_scrub:
            return
        began = self.clock.monotonic()
        try:
            done = await self.in_store(self.store.scrub, 1.0)
            if done is None:
                return
            await self.publish()
            event(log, "debug", "the file was rewritten without what was taken away", took_s=round(done.took_s, 2), bytes=done.bytes_after)  # fmt: skip
        except StoreFatal:
            raise
        except StoreLocked:  # flush says so; the next one makes it up
            return
        except StoreError as error:
            if self._changes.changed("scrub", str(error)):
                event(
                    log,
                    "warning",
                    "bytes of deleted words stay in the file until it can be rewritten",
                    reason=str(error),
                )
        ended = self.clock.monotonic()
        self._next_scrub = next_rewrite(ended, ended - began)

    async def prune(self) -> None:
        """What is past its time goes; counts stay."""
        settings = self.config.store
        now = self.clock.now()
        try:
            await self.in_store(
                self.store.prune,
                text_before=now - timedelta(seconds=settings.text_s),
                text_before_of={service: now - timedelta(seconds=s) for service, s in text_times(self.config).items()},
                mentions_before=now - timedelta(seconds=settings.mentions_s),
                polls_before=now - timedelta(seconds=settings.polls_s),
            )
        except StoreLocked:  # a day later is early enough
            return

    async def refresh_universe(self) -> None:
        """The published lists that are due, then how the stream writes its symbols; a new universe is taken up at once."""
        if not self._prepared:  # somebody holds the file: what is known stands
            return
        now, changed = self.clock.now(), False
        try:
            if self.config.universe.enabled:
                report = await refresh(self.http, universe_plan(self.config), self.store, now, self.in_store)
                self._lists_told.tell(report)
                changed = report.changed
            changed = await self.in_store(self.store.learn_forms, now) or changed
            await self._take_up(changed)
        except StoreLocked:  # an hour later is early enough
            return

    async def _take_up(self, changed: bool) -> None:
        """Make a finder of what the file and the person say now, beside the work, and put it in place of the old one."""
        try:
            verdicts = load_verdicts(self.config.tracker.data_dir)
        except BadInput as error:
            if self._changes.changed("verdicts", str(error)):
                event(log, "warning", "what was said of bare symbols can't be read; what was known stands", reason=str(error))  # fmt: skip
            verdicts = self._verdicts
        if not changed and verdicts == self._verdicts:
            return
        learned = await self.in_store(learned_from, self.store, verdicts)
        weights = model_of(self.config)
        analysis = await asyncio.to_thread(analysis_of, self.config, learned)
        await asyncio.to_thread(lambda: analysis.finder.prefilter)  # takes most of a second, which the loop has not
        self.analysis = analysis
        self.poller.use(self.analysis)
        self._verdicts, self._weights = verdicts, weights
        event(log, "info", "the finder knows a new universe", symbols=len(learned.lists), taught=len(learned.counters))

    async def learn(self) -> None:
        """Take up the model in force; where the configuration says so and a run is due, learn one in a process of its own."""
        await self._take_up_model()
        if not self.config.tone.learn:
            return
        try:
            last = load_standing(self.config.tracker.data_dir).learned_at
        except BadInput:  # said while taking up
            return
        tried = max((moment for moment in (last, self._tried_to_learn_at) if moment is not None), default=None)
        now = self.clock.now()
        if tried is not None and tried <= now < tried + timedelta(seconds=self.config.jobs.learn_s):
            return
        self._tried_to_learn_at = now
        done = await learn_apart(self.config)
        if done.report is None:
            event(log, "warning", "nothing was learned", reason=done.reason)
            return
        checks = "; ".join(
            f"{check['what']}: AUC {check['in_force']} -> {check['new']}" for check in done.report["checks"]
        )
        event(
            log,
            "info",
            "learned the tone",
            outcome=done.report["outcome"],
            why=done.report["why"],
            checks=checks or None,
        )
        await self._take_up_model()

    async def _take_up_model(self) -> None:
        """Put the scorer of the model in force in place of the old one, between two pages."""
        try:
            weights = model_of(self.config)
            if weights == self._weights:
                return
            scorer = await asyncio.to_thread(scorer_of, self.config)
        except BadInput as error:
            if self._changes.changed("model", str(error)):
                event(log, "warning", "the model in force can't be used; what was known stands", reason=str(error))
            return
        self._weights = weights
        self.analysis = replace(self.analysis, scorer=scorer)
        self.poller.use(self.analysis)
        event(log, "info", "another scorer is in force", scorer=scorer.name)

    async def ask_second(self) -> None:
        """A second opinion on a share of what came in the last hour, into the table tones and nowhere else."""
        settings = self.config.tone.second
        if settings.model is None or not self._prepared:
            return
        try:
            if self._second is None:
                self._second = await asyncio.to_thread(
                    load_second, settings.model, self.config.tone.neutral_band, settings.labels
                )
            opinion = self._second
            since = self.clock.now() - timedelta(seconds=SECOND_LOOKS_BACK_S)
            asked = await self.in_store(self.store.sample, opinion.name, settings.share, since, SECOND_AT_ONCE)
            tones = await asyncio.to_thread(opinion.score_many, [text for _, _, text in asked])
            rows = [
                ToneRow(source, id_, tone.scorer, tone.tone, tone.p_bullish, tone.stance)
                for (source, id_, _), tone in zip(asked, tones, strict=True)
            ]
            await self.in_store(self.store.add_tones, rows)
        except BadInput as error:
            if self._changes.changed("second", str(error)):
                event(log, "warning", "nobody gives a second opinion", reason=str(error))
        except StoreLocked:  # a minute later is early enough
            return

    def fail(self, error: BaseException) -> None:
        """Stop loudly: what has been acknowledged is on the disk, a restart goes on from there."""
        if self.failure is None:
            self.failure = error
            event(log, "error", "the tracker stops", reason=str(error))
        self.stopping.set()

    async def close(self, drain_s: float = 2.0) -> None:
        """Finish the pages in hand, commit, let go."""
        self.stopping.set()
        await asyncio.gather(self.poller.drain(drain_s), self.teller.drain(drain_s))
        if self.failure is None and self._stands:
            try:
                await self.flush(wait_s=1.0)
            except StoreError as error:
                event(log, "error", "what is kept in the journal is stored at the next start", reason=str(error))
        self._writer.shutdown(wait=True)
