"""The files of an archive, digested into rows: piece by piece, by two processes where there is much to do, in one order.

    files ─► chunks ─► parse ─► settle ─► find, score ─► Read
             here      └───── in two processes ─────┘

Here no table is touched: ``tracker.replay`` takes what comes out.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, islice
from multiprocessing import get_context
from operator import attrgetter
from typing import Any, BinaryIO

from tracker.archive import EXPORT, ArchiveFile, Chunk, chunks, parser_of, read_items
from tracker.config import Config
from tracker.config_schema import Alerts, Second, UniverseLists
from tracker.errors import BadInput
from tracker.ingest import Analysis, digest
from tracker.log import event
from tracker.models import BallotRow, Deletion, DeletionRow, Flaw, Item, MentionRow, Message, MessageRow, ToneRow
from tracker.parts import Learned, analysis_of, model_of
from tracker.wire import EARLIEST, FUTURE_SLACK

log = logging.getLogger(__name__)

_WORKERS = 2
_AHEAD = 16  # chunks that are under way at a time: enough to do while a transaction is written
_FEW_CHUNKS = 3  # an archive of no more is read here: starting a process takes longer


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of one file."""

    file: int
    stream: str
    fmt: str
    keep: str
    latest: datetime
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Part:
    """What a piece holds of one source; rows as plain tuples, which cross to another process five times as fast."""

    fetched: int
    messages: list[tuple[Any, ...]]
    mentions: list[tuple[Any, ...]]
    tones: list[tuple[Any, ...]]
    ballots: list[tuple[Any, ...]]
    deletions: list[tuple[Any, ...]]  # the last field, the time, is None where nothing before it in the piece has one
    oldest: datetime | None
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class Read:
    """A piece, digested."""

    file: int
    position: int
    size: int
    parts: dict[str, Part]  # by source
    skipped: int
    readable: int
    reason: str | None
    seconds: float


class _Exported(Analysis):
    """In an export authors are hashed already."""

    def hash_author(self, source: str, author: str | None) -> str | None:
        return author


_message_fields = attrgetter(*MessageRow.__slots__)
_mention_fields = attrgetter(*MentionRow.__slots__)
_tone_fields = attrgetter(*ToneRow.__slots__)
_ballot_fields = attrgetter(*BallotRow.__slots__)
_deletion_fields = attrgetter(*DeletionRow.__slots__)


def _digest_job(job: Job, analysis: Analysis) -> Read:
    started = time.perf_counter()
    if job.fmt == EXPORT:
        analysis = _Exported(analysis.finder, analysis.scorer, analysis.author_key, analysis.only)
    found = read_items(job.chunk.body, job.chunk.is_document, parser_of(job.fmt))
    by_source, skipped = _settle(found.items, job.latest)
    parts = {}
    for source, settled in by_source.items():
        rows = digest(settled.items, analysis, stream=job.stream, fetched_at=None, keep=job.keep)
        early = digest(settled.early, analysis, stream=job.stream, fetched_at=job.latest).deletions
        parts[source] = Part(
            fetched=len(settled.items) + len(early),
            messages=list(map(_message_fields, rows.messages)),
            mentions=list(map(_mention_fields, rows.mentions)),
            tones=list(map(_tone_fields, rows.tones)),
            ballots=list(map(_ballot_fields, rows.ballots)),
            deletions=[
                *((*_deletion_fields(row)[:-1], None) for row in early),
                *map(_deletion_fields, rows.deletions),
            ],
            oldest=settled.oldest,
            newest=settled.newest,
        )
        skipped += rows.skipped
    return Read(
        job.file,
        job.chunk.position,
        len(job.chunk.body),
        parts,
        skipped + found.unreadable,
        found.readable,
        found.reason,
        time.perf_counter() - started,
    )


@dataclass(slots=True)
class _Settled:
    """Items of one source, each with a time."""

    items: list[Item] = field(default_factory=list)
    early: list[Deletion] = field(default_factory=list)  # without a time, and before anything that has one
    oldest: datetime | None = None
    newest: datetime | None = None


def _settle(items: Sequence[Item], latest: datetime) -> tuple[dict[str, _Settled], int]:
    """Items by source, and how many were skipped: live, a wrong time gives way to ours; here there is none but it.

    A deletion without a time was seen after the newest message before it.
    """
    found: dict[str, _Settled] = {}
    skipped = 0
    for item in items:
        if isinstance(item, Flaw):
            skipped += 1
            continue
        settled = found.setdefault(item.source, _Settled())
        if isinstance(item, Deletion):
            when = item.deleted_at or settled.newest
            if when is None:
                settled.early.append(item)
            else:
                settled.items.append(replace(item, deleted_at=min(when, latest)))
        elif not isinstance(item, Message) or item.created_at is None or not EARLIEST <= item.created_at <= latest:
            skipped += 1
        else:
            settled.items.append(item)
            settled.oldest = earlier(settled.oldest, item.created_at)
            settled.newest = later(settled.newest, item.created_at)
    return found, skipped


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)


# ---------------------------------------------------------------------------------------- two processes, one order


_theirs: Analysis | None = None  # in a process of the pool: what it digests with


def _begin(config: Config, learned: Learned) -> None:
    global _theirs
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us decides when to stop
    _theirs = analysis_of(config, learned)


def _digest_there(job: Job) -> Read:
    assert _theirs is not None
    return _digest_job(job, _theirs)


def read_all(
    files: Sequence[ArchiveFile],
    fmt: str,
    keep: str,
    now: datetime,
    config: Config,
    learned: Learned,
    stdin: BinaryIO | None,
) -> Generator[Read, None, None]:
    """Everything, digested, in the order of the files; the error of a damaged one comes after what was read before."""
    failures: list[BadInput] = []
    jobs = _jobs(files, fmt, keep, now + FUTURE_SLACK, stdin, failures)
    analysis = analysis_of(config, learned)  # also makes the key of the author hashes, before two processes try
    first = list(islice(jobs, _FEW_CHUNKS + 1))
    if len(first) <= _FEW_CHUNKS or (os.cpu_count() or 1) < 2:
        for job in chain(first, jobs):
            yield _digest_job(job, analysis)
    else:
        yield from _read_by_two(chain(first, jobs), config, learned, analysis)
    if failures:
        raise failures[0]


def _jobs(
    files: Sequence[ArchiveFile],
    fmt: str,
    keep: str,
    latest: datetime,
    stdin: BinaryIO | None,
    failures: list[BadInput],
) -> Iterator[Job]:
    """Ends at the first file that can't be read to its end, with the reason in ``failures``."""
    for number, file in enumerate(files):
        try:
            for chunk in chunks(file, stdin):
                yield Job(number, file.stream, fmt, keep, latest, chunk)
        except BadInput as error:
            failures.append(error)
            return


def _read_by_two(jobs: Iterator[Job], config: Config, learned: Learned, analysis: Analysis) -> Iterator[Read]:
    """The same in two processes, in the same order. Should they die (no memory), their work is done here."""
    waiting: deque[tuple[Job, Future[Read] | None]] = deque()
    lost: list[BrokenProcessPool] = []

    def give_up(error: BrokenProcessPool) -> None:
        if not lost:
            event(log, "warning", "the worker processes are gone, their part is done here", reason=str(error))
        lost.append(error)

    def submit(job: Job) -> Future[Read] | None:
        try:
            return None if lost else pool.submit(_digest_there, job)
        except BrokenProcessPool as error:
            give_up(error)
            return None

    def result(job: Job, future: Future[Read] | None) -> Read:
        try:
            return _digest_job(job, analysis) if future is None else future.result()
        except BrokenProcessPool as error:
            give_up(error)
            return _digest_job(job, analysis)

    pool = ProcessPoolExecutor(
        _WORKERS, get_context("spawn"), initializer=_begin, initargs=(_portable(config), learned)
    )
    try:
        for job in jobs:
            waiting.append((job, submit(job)))
            if len(waiting) >= _AHEAD:
                yield result(*waiting.popleft())
        while waiting:
            yield result(*waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _portable(config: Config) -> Config:
    """What an Analysis is made of, in a form that can be handed to another process: without any credential."""
    return replace(
        config,
        sources={},
        written={},
        watchlist=replace(config.watchlist, groups=dict(config.watchlist.groups)),
        # both score with the same weights, whatever is promoted meanwhile
        tone=replace(config.tone, model=model_of(config), second=Second(labels={})),
        extract=replace(config.extract, aliases=dict(config.extract.aliases)),
        alerts=Alerts(rules={}, channels={}),
        universe=UniverseLists(addresses={}),
    )
