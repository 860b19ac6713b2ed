"""From the configuration to the parts of a tracker: sources with their pace, finder, scorer, store.

The daemon puts them to work together (``app``); a command takes the one that it needs.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import IO

from tracker import __version__, sources
from tracker import config as configuration
from tracker.config import Config, SourceDefaults, SourceSettings
from tracker.errors import BadInput, StoreError
from tracker.http import Access, Gate
from tracker.ingest import Analysis, PollPlan
from tracker.mentions import Counts, make_finder
from tracker.pacing import Budget, Pace, limit_scope
from tracker.poller import Target
from tracker.promotion import promoted_model
from tracker.store import Opening, Store
from tracker.store.universe import load_priors, load_rows
from tracker.tone import Scorer, make_scorer
from tracker.universe import SymbolInfo, Universe, load_universe
from tracker.universe_lists import ADDRESSES, chosen
from tracker.universe_merge import OWN, infos_of
from tracker.universe_refresh import Plan
from tracker.verdicts import Verdicts, merged


def source_defaults() -> dict[str, SourceDefaults]:
    """What every source says of itself, for the configuration."""
    found = {}
    for name in sources.names():
        source = sources.load(name)
        found[name] = SourceDefaults(
            base_url=source.BASE_URL, interval_s=source.INTERVAL, budget=source.BUDGET, default_on=source.DEFAULT_ON,
            needs_acknowledgement=source.NEEDS_ACKNOWLEDGEMENT, credentials=source.CREDENTIALS, stream_name=source.stream_name,
            default_streams=source.streams, keep=source.KEEP, overlap_s=getattr(source, "OVERLAP", None),
            max_pages=getattr(source, "MAX_PAGES", None), show=getattr(source, "SHOW", True),
            recheck_s=source.RECHECK_EVERY if isinstance(source, sources.RecheckSource) else None,
            text_at_most_s=getattr(source, "TEXT_AT_MOST", None),
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
        brings=sources.brings(settings.name),
    )
    homes = _homes(settings, plan, gates)
    return Target(settings.name, sources.load(settings.name), plan, Budget(*settings.budget), settings.streams, homes)


def not_rechecked(settings: SourceSettings) -> str | None:
    """Why a source is not asked whether what is stored of it is still there; None when it is, while it is on."""
    source = sources.load(settings.name)
    if not isinstance(source, sources.RecheckSource):
        return "there is nobody to ask"
    if not settings.recheck_s:
        return "recheck is off"
    missing = [name for name in source.RECHECK_NEEDS if name not in settings.credentials]
    if missing:
        return f"it takes {' and '.join(missing)}"
    if source.RECHECK_ELSEWHERE and settings.own_base_url:
        return "another host answers than the base_url, and is left alone"
    return None


def _homes(settings: SourceSettings, plan: PollPlan, gates: dict[str, Gate]) -> dict[str, PollPlan]:
    """How streams are asked that live on hosts of their own: each host by itself, unless the operator has a mirror of all."""
    home_of = getattr(sources.load(settings.name), "home", None)
    if home_of is None or settings.own_base_url:
        return {}
    found = {}
    for stream in settings.streams:
        access = replace(plan.access, base_url=home_of(stream), other_urls=())
        scope = limit_scope(settings.name, access.base_url, "host")
        found[stream] = replace(plan, access=access, scope=scope, gate=gates.setdefault(scope, Gate()))
    return found


PENDING_KEY = "author.key.new"  # stands there only while the key is changed


def author_key(data_dir: Path) -> bytes:
    """The install's own key for author hashes: made once, readable by its owner alone."""
    path = data_dir / "author.key"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
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


class KeyChange:
    """A new key for author hashes, made beside the old one and put in its place when the file knows nothing of the old any more.

    A kill before ``finish`` leaves the old key in force and the new one unused: nothing was ever made with it, so nothing
    can be linked to it, and the change is made once more from the start.
    """

    def __init__(self, data_dir: Path) -> None:
        self._key = data_dir / "author.key"
        self._aside = data_dir / PENDING_KEY

    def begin(self) -> None:
        """The new key is on the disk, unused."""
        try:
            handle = os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(32))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError("a new key can't be made", str(self._aside), error) from error

    def finish(self) -> None:
        """The new key is in force, the old one is nowhere."""
        try:
            self._aside.replace(self._key)
            folder = os.open(self._key.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StoreError("the new key can't be put in force", str(self._key), error) from error


class DaemonLock:
    """One daemon a data folder: the second is refused, with the pid of the first."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "daemon.lock"
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+")
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


@dataclass(frozen=True, slots=True)
class Learned:
    """What the finder knows beyond the tables that come with the program."""

    lists: tuple[SymbolInfo, ...] = ()  # what the published lists say
    counters: Mapping[str, Counts] = field(default_factory=dict)  # how the stream writes its symbols
    verdicts: Verdicts = field(default_factory=Verdicts)  # what a person has said of bare symbols


def learned_from(store: Store, verdicts: Verdicts) -> Learned:
    """What the file holds of it."""
    with store.reading() as connection:
        rows = load_rows(connection)
        _, priors = load_priors(connection)
    taught = {letters: Counts(*forms) for letters, forms in priors.items()}
    return Learned(tuple(infos_of(row for row in rows if row.lists != (OWN,))), taught, verdicts)


def analysis_of(config: Config, learned: Learned | None = None) -> Analysis:
    extract, known = config.extract, learned or Learned()
    allow, block = merged(known.verdicts, extract.allow, extract.block)
    return Analysis(
        finder=make_finder(
            config.watchlist.watched,
            threshold=extract.threshold,
            block=block,
            allow=allow,
            aliases=extract.aliases,
            lists=known.lists,
            counters=known.counters,
        ),
        scorer=scorer_of(config),
        author_key=author_key(config.tracker.data_dir),
        only=None if config.watchlist.discover else frozenset(config.watchlist.watched),
    )


def text_times(config: Config) -> dict[str, float]:
    """Services whose words have a time of their own: service -> seconds. Of two ways to one service the stricter counts.

    Where the terms name a longest time it is not passed between two prunings either.
    """
    found: dict[str, float] = {}
    for name, settings in config.sources.items():
        at_most = getattr(sources.load(name), "TEXT_AT_MOST", None)
        if settings.text_s is None and at_most is None:
            continue
        kept = config.store.text_s if settings.text_s is None else settings.text_s
        if at_most is not None:
            kept = min(kept, max(0.0, at_most - config.jobs.prune_s))
        service = sources.service_of(name)
        found[service] = min(kept, found.get(service, kept))
    return found


def scorer_of(config: Config) -> Scorer:
    """The scorer in force. BadInput for a word list or a model that can't be used."""
    tone = config.tone
    return make_scorer(tone.scorer, tone.neutral_band, tone.lexicon, model_of(config))


def model_of(config: Config) -> Path | None:
    """The weights in force: those that the configuration names, else the promoted ones; None for those that come along."""
    if config.tone.scorer != "learned":
        return None
    return config.tone.model or promoted_model(config.tracker.data_dir)


def universe_plan(config: Config) -> Plan:
    """Which lists of securities are fetched, from where, and as whom."""
    settings, contact = config.universe, config.tracker.contact
    agent = config.http.user_agent
    return Plan(
        lists=chosen(settings.lists, settings.foreign),
        user_agent=configuration.user_agent(config),
        contact=agent if agent and "@" in agent else f"tracker/{__version__} {contact}" if "@" in contact else None,
        addresses={**ADDRESSES, **settings.addresses},
        every_s=settings.every_s,
        deadline_s=config.http.deadline_s,
        max_body=config.http.max_body,
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
