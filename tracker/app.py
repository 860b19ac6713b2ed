"""Everything that a running tracker is made of, put together in one place and taken apart again.

The daemon, ``once``, ``poll`` and the tests build the same ``App``; what differs is who calls it and with which clock
and transport.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx

from tracker import config as configuration
from tracker import sources
from tracker.clock import SystemClock, floor_to
from tracker.config import Config, SourceDefaults, SourceSettings
from tracker.errors import BadInput, StoreError, StoreFatal, StoreLocked
from tracker.http import Access, Gate, Http
from tracker.ingest import Analysis, PollPlan
from tracker.log import Changes, event
from tracker.mentions import make_finder
from tracker.models import Batch
from tracker.notify import NextTime, Teller
from tracker.pacing import Budget, Pace, limit_scope
from tracker.poller import Poller, Target
from tracker.store import Opening, Store
from tracker.tone import make_scorer
from tracker.universe import Universe, load_universe

log = logging.getLogger(__name__)
T = TypeVar("T")

READING_GRID_S = 300.0  # readings are taken at multiples of five minutes: that is how fine buckets are
LEAST_FREE_BYTES = 64 * 1024 * 1024  # below this much free disk nobody is asked any more


def source_defaults() -> dict[str, SourceDefaults]:
    """What every source says of itself, for the configuration."""
    found = {}
    for name in sources.names():
        source = sources.load(name)
        found[name] = SourceDefaults(
            base_url=source.BASE_URL, interval_s=source.INTERVAL, budget=source.BUDGET, default_on=source.DEFAULT_ON,
            needs_acknowledgement=source.NEEDS_ACKNOWLEDGEMENT, credentials=source.CREDENTIALS, stream_name=source.stream_name,
            default_streams=source.streams, keep=source.KEEP, overlap_s=getattr(source, "OVERLAP", None),
            max_pages=getattr(source, "MAX_PAGES", None),
        )  # fmt: skip
    return found


def load_config(path: str | None, env: Mapping[str, str], data_dir: str | None = None) -> Config:
    """The configuration of this installation; ConfigError with every problem at once."""
    return configuration.load(path, env, known_sources=source_defaults(), data_dir=data_dir)


def access_of(settings: SourceSettings) -> Access:
    return Access(
        source=settings.name, base_url=settings.base_url, own_base_url=settings.own_base_url, user_agent=settings.user_agent,
        deadline_s=settings.deadline_s, max_body=settings.max_body, credentials=settings.credentials, overlap_s=settings.overlap_s,
        max_pages=settings.max_pages, page_every_s=settings.page_every_s, watchdog_s=settings.watchdog_s,
        other_urls=() if settings.own_base_url else tuple(getattr(sources.load(settings.name), "OTHER_URLS", ())),
    )  # fmt: skip


def target_of(settings: SourceSettings, gates: dict[str, Gate]) -> Target:
    """A source that is on, with how it is asked; ``gates`` holds one for each scope of limits."""
    scope = limit_scope(settings.name, settings.base_url, settings.pace_by)
    plan = PollPlan(
        access=access_of(settings),
        pace=Pace(settings.interval_s, settings.max_backoff_s, settings.breaker_s),
        scope=scope,
        gate=gates.setdefault(scope, Gate()),
        keep=settings.keep,
    )
    return Target(settings.name, sources.load(settings.name), plan, Budget(*settings.budget), settings.streams)


def author_key(data_dir: Path) -> bytes:
    """The install's own key for author hashes: made once, readable by its owner alone."""
    path = data_dir / "author.key"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_bytes()
            if len(key) != 32:
                raise BadInput(
                    "the key of the author hashes is damaged: expected 32 bytes", str(path), f"found {len(key)}"
                ) from None
            return key
        with os.fdopen(handle, "wb") as file:
            key = secrets.token_bytes(32)
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        return key
    except OSError as error:
        raise StoreError("the data folder can't be used", str(data_dir), error) from error


class DaemonLock:
    """One daemon a data folder: the second is refused, with the pid of the first."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "daemon.lock"
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("a+")
        except OSError as error:
            raise StoreError("the data folder can't be used", str(self.path.parent), error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise StoreError(
                f"a tracker already runs on this data folder, as process {holder}",
                str(self.path.parent),
                "stop it first, or give this one another --data-dir",
            ) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def analysis_of(config: Config) -> Analysis:
    extract = config.extract
    return Analysis(
        finder=make_finder(
            config.watchlist.watched,
            threshold=extract.threshold,
            block=extract.block,
            allow=extract.allow,
            aliases=extract.aliases,
        ),
        scorer=make_scorer(config.tone.scorer, config.tone.neutral_band, config.tone.lexicon),
        author_key=author_key(config.tracker.data_dir),
        only=None if config.watchlist.discover else frozenset(config.watchlist.watched),
    )


def universe_of(config: Config) -> Universe:
    return load_universe(extra=(*config.watchlist.watched, *config.extract.allow, *config.extract.aliases.values()))


def store_of(config: Config) -> Store:
    settings = config.store
    return Store(
        Opening(settings.path, f"{settings.memory_limit // 1_000_000}MB", settings.threads), settings.spill_limit
    )


def meter_constants(config: Config) -> dict[str, float | int | str]:
    """The one row of ``meter_settings``."""
    bands = config.meter.bands
    return {
        "k": config.meter.k, "band_1": bands[0], "band_2": bands[1], "band_3": bands[2], "band_4": bands[3],
        "zone": config.tracker.timezone, "baseline_days": config.meter.baseline_days, "spike_z": config.spikes.z,
        "spike_messages": config.spikes.minimum_messages, "spike_authors": config.spikes.minimum_authors,
    }  # fmt: skip


def prepare_store(config: Config, store: Store, universe: Universe, now: datetime, wait_s: float = 10.0) -> None:
    """Create or migrate the file and write down what is in force."""
    symbols = [
        (info.symbol, info.name, info.kind, info.status)
        for info in (universe.get(symbol) for symbol in universe)
        if info is not None
    ]
    store.prepare(
        now, meter_constants(config), configuration.in_force(config), config.watchlist.symbols, config.watchlist.groups, sorted(symbols), wait_s=wait_s,
        windows=[(window.name, round(window.seconds)) for window in config.meter.windows],
    )  # fmt: skip


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
        self.stopping = asyncio.Event()
        self.failure: BaseException | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._last_reading_at: datetime | None = None
        self._changes = Changes(False)
        self.teller = Teller(config, self.store, self.clock, self.in_store, self.fail)
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

    def _prepare(self, wait_s: float) -> None:
        prepare_store(self.config, self.store, self.universe, self.clock.now(), wait_s)
        self._prepared = True

    def _load(self) -> None:
        longest = max((target.budget.seconds for target in self.poller.targets.values()), default=0.0)
        standing = self.store.standing(self.clock.now() - timedelta(seconds=longest))
        self.poller.stand(standing.streams, standing.limits, standing.used)
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

    async def in_store(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Run a blocking call in the one thread that may touch the database."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer, lambda: call(*arguments, **named))

    async def keep(self, batch: Batch) -> None:
        """Durable before anything else happens."""
        await asyncio.to_thread(self.store.keep, batch)

    # ------------------------------------------------------------------------------------------- what jobs call

    def poll_due(self, *, push: bool | None = None) -> list[asyncio.Task[None]]:
        """Start what is due, unless what was brought can't be put away."""
        if self.stopping.is_set():
            return []
        if self.poller.failure is not None:
            self.fail(self.poller.failure)
            return []
        if self.store.full:
            if self._changes.changed("full", True):
                event(
                    log,
                    "error",
                    "polling pauses: the journal is full and the database can't be written",
                    journal=str(self.store.journal.path),
                )
            return []
        self._changes.changed("full", False)
        if self._short_of_disk():
            return []
        return self.poller.tick(push=push)

    def _short_of_disk(self) -> bool:
        folder = os.statvfs(self.store.opening.path.parent)
        free = folder.f_bavail * folder.f_frsize
        short = free < LEAST_FREE_BYTES and free < folder.f_blocks * folder.f_frsize // 10
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

    async def flush(self, wait_s: float = 1.0) -> None:
        """Commit what waits. At each five minutes the readings are taken first, from what was known until then."""
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
        if self._changes.changed("locked", False):
            event(log, "info", "the database is free again; everything that was kept is stored")

    def _take_readings(self, at: datetime, wait_s: float) -> None:
        """Readings, and what the rules make of them, in one transaction. A mistake in a rule never costs the readings."""
        now = self.clock.now()
        if not self.teller.has_rules:
            self.store.take_readings(at, now, wait_s)
            return
        try:
            self.store.take_readings(at, now, wait_s, lambda connection: self.teller.evaluate(connection, at, now))
        except (StoreLocked, StoreFatal):
            raise
        except Exception as error:
            event(log, "error", "the rules of alerts failed; the readings are taken without them", exc_info=error)
            self.store.take_readings(at, now, wait_s)

    def _say_held(self, error: StoreLocked) -> None:
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

    async def prune(self) -> None:
        """What is past its time goes; counts stay."""
        settings = self.config.store
        now = self.clock.now()
        try:
            await self.in_store(
                self.store.prune,
                text_before=now - timedelta(seconds=settings.text_s),
                mentions_before=now - timedelta(seconds=settings.mentions_s),
                polls_before=now - timedelta(seconds=settings.polls_s),
            )
        except StoreLocked:  # a day later is early enough
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
        if self.failure is None:
            try:
                await self.flush(wait_s=1.0)
            except StoreError as error:
                event(log, "error", "what is kept in the journal is stored at the next start", reason=str(error))
        self._writer.shutdown(wait=True)
