"""Archives through the same pipeline as polls, on a simulated clock.

    files ─► replay_read ─► Batch ─► tables ─► rollup ─► spikes, readings at every hour or day
             two processes  here

Each message was known when it was made (``fetched_at = created_at``), and each file counts as one poll that listened
from its oldest message to its newest. What is there already is not added again, so a run that was interrupted is
simply started again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Literal

from tracker.archive import ArchiveFile, find_files, parser_of
from tracker.config import Config
from tracker.errors import BadInput
from tracker.log import event
from tracker.models import (
    BallotRow,
    Batch,
    DeletionRow,
    MentionRow,
    MessageRow,
    PollReport,
    ToneRow,
)
from tracker.notify_dry import rehearse
from tracker.notify_rules import ground_of
from tracker.parts import learned_from, prepare_store, scorer_of, universe_of
from tracker.replay_read import Part, Read, earlier, later, read_all
from tracker.store import Connection, Store, derive
from tracker.store.connect import aware_utc, naive_utc, transaction
from tracker.store.write import apply
from tracker.verdicts import load_verdicts

log = logging.getLogger(__name__)

Readings = Literal["hourly", "daily"]
Stage = Literal["reading", "rollup", "readings", "alerts"]

FOLLOWS = timedelta(days=31)  # a file that begins so soon after the one before goes on where that ended
_AT_ONCE = 5_000  # messages in one transaction
_HELD_FOR = (
    4  # transactions before the database is let go for a moment: opening and closing take as long as half of one
)
_WAIT_S = 30.0  # for whoever holds the database
_MOMENTS_AT_ONCE = {"hourly": 24 * 40, "daily": 240}
_STEP = {"hourly": timedelta(hours=1), "daily": timedelta(days=1)}
_MARK = "replay under way: "  # in polls.error, only within a transaction


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay is."""

    stage: Stage
    files_done: int
    files_total: int
    bytes_done: int  # as the files lie on the disk
    bytes_total: int | None  # None: the standard input is among them, nobody knows
    messages: int  # read so far
    moments_done: int = 0  # of the simulated clock
    moments_total: int = 0


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay came to."""

    files: int  # that were read; those in ``warnings`` left out
    messages_read: int  # repeats included
    added: int  # messages that were new
    updated: int  # messages whose text was replaced or that were deleted
    skipped: int  # items that could not be read or have no time
    readings: int  # that were new
    spikes: int  # that stand in the time that the archive covers; 0 without the clock
    first_at: datetime | None  # oldest message; None without any
    last_at: datetime | None  # newest message
    alerts: int = 0  # events in that time that the rules would have told; nothing is sent
    passed_over: int = 0  # files in folders whose suffix the format does not claim
    warnings: tuple[str, ...] = ()  # files that are no such archive, each with the reason


def replay(
    paths: Sequence[Path | Literal["-"]],
    fmt: str,
    *,
    config: Config,
    store: Store,
    readings: Readings | None = None,
    clock: bool = True,
    progress: Callable[[Progress], None] | None = None,
    keep: str = "all",
    stdin: BinaryIO | None = None,
    now: datetime | None = None,
) -> ReplayReport:
    """Load archives and, with ``clock``, let rollups, spikes and readings happen as they would have.

    ``paths``: files, folders and ``-`` for the standard input. ``fmt``: see ``archive.formats``. ``readings``: at every
    UTC hour or midnight from the first after the oldest message to the first at or after the newest; None for none.
    ``keep``: "all" messages, or only those with "mentions". ``now``: messages later than this are not believed, None
    for the wall clock. BadInput for an unknown format, a missing path or a damaged file (what was read before stays);
    StoreLocked when somebody else keeps the database for longer than half a minute.
    """
    parser_of(fmt)
    if readings is not None and readings not in _STEP:
        raise BadInput("expected readings hourly, daily or none", "replay", repr(readings))
    found = find_files(paths, fmt)
    now = now or datetime.now(UTC)
    if not store.exists:
        prepare_store(config, store, universe_of(config), now)
    # read once: an archive in pieces is read like one that is read at once, so a replay teaches the finder nothing
    learned = learned_from(store, load_verdicts(config.tracker.data_dir))
    run = _Run(store, found.files, progress or (lambda _: None))
    with run, closing(read_all(found.files, fmt, keep, now, config, learned, stdin)) as reads:
        try:
            for read in reads:
                run.take(read, now)
        except BadInput as error:
            run.finish(error)
            raise
        run.finish()
    spikes = taken = alerts = 0
    if clock:
        run.tell("rollup")
        store.rollup(_WAIT_S)
        spikes = run.count_spikes()
        if readings is not None:
            taken = run.take_readings(readings, scorer_of(config).name)
            alerts = run.rehearse_alerts(config, now)
    return ReplayReport(
        files=sum(not state.warning for state in run.states),
        messages_read=run.messages,
        added=run.added,
        updated=run.updated,
        skipped=sum(state.skipped for state in run.states if not state.warning),
        readings=taken,
        spikes=spikes,
        first_at=run.first_at,
        last_at=run.last_at,
        alerts=alerts,
        passed_over=found.passed_over,
        warnings=tuple(state.warning for state in run.states if state.warning),
    )


def moments(first: datetime, last: datetime, step: timedelta) -> list[datetime]:
    """Every multiple of ``step`` (since 1970) after ``first``, up to the first at or after ``last``; at least one."""
    since = datetime(1970, 1, 1, tzinfo=UTC)
    start, end = (first - since) // step + 1, -((since - last) // step)
    return [since + number * step for number in range(start, max(start, end) + 1)]


# ------------------------------------------------------------------------------------------------ into the tables


@dataclass(slots=True)
class _Tally:
    """What one file has brought of one source."""

    fetched: int = 0
    added: int = 0
    updated: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None


@dataclass(slots=True)
class _State:
    """How far one file is."""

    file: ArchiveFile
    tallies: dict[str, _Tally] = field(default_factory=dict)  # by source
    position: int = 0  # bytes on the disk
    size: int = 0  # bytes unpacked
    seconds: float = 0.0  # that digesting it took
    skipped: int = 0
    readable: int = 0  # lines and documents of the format
    reason: str | None = None  # what was wrong with the first that was not
    warning: str | None = None  # why the file is no such archive
    failure: str | None = None  # why it could not be read to its end

    def judge(self) -> None:
        if not self.readable and self.reason is not None:
            self.warning = f"{self.file.name}: not such an archive: {self.reason}"
        elif not self.skipped and not any(tally.fetched for tally in self.tallies.values()):
            self.warning = f"{self.file.name}: holds no messages"


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when one file of one source listened."""

    source: str
    file: int  # index of the file
    oldest: datetime
    newest: datetime


def joined(spans: Sequence[Span]) -> list[tuple[Span, datetime]]:
    """Each span with its covers_from: a file that follows another of its source within a month goes on from its end."""
    reached: dict[str, datetime] = {}
    found = []
    for span in sorted(spans, key=lambda span: (span.oldest, span.newest, span.file)):
        before = reached.get(span.source)
        follows = before is not None and before < span.oldest <= before + FOLLOWS
        found.append((span, before if follows and before is not None else span.oldest))
        reached[span.source] = max(span.newest, before or span.newest)
    return found


class _Run:
    """One replay: takes what was digested, commits it some thousand messages at a time and keeps count."""

    def __init__(self, store: Store, files: Sequence[ArchiveFile], progress: Callable[[Progress], None]) -> None:
        self.states = [_State(file) for file in files]
        self.messages = self.added = self.updated = 0
        self.first_at: datetime | None = None
        self.last_at: datetime | None = None
        self._store = store
        self._progress = progress
        self._reading = 0  # index of the file
        self._waiting: list[Batch] = []
        self._held = 0  # rows in them
        self._opened = ExitStack()
        self._connection: Connection | None = None
        self._transactions = 0  # through this connection

    def take(self, read: Read, now: datetime) -> None:
        """One more piece."""
        self._reading = read.file
        state = self.states[read.file]
        state.position, state.reason = read.position, state.reason or read.reason
        state.size, state.seconds = state.size + read.size, state.seconds + read.seconds
        state.skipped, state.readable = state.skipped + read.skipped, state.readable + read.readable
        for source, part in sorted(read.parts.items()):
            tally = state.tallies.setdefault(source, _Tally())
            batch = _batch(source, state.file.stream, read.file, part, tally.newest or part.newest or now)
            self._waiting.append(batch)
            self._held += len(batch.messages) + len(batch.deletions)
            self.messages += part.fetched - len(part.deletions)
            tally.fetched += part.fetched
            tally.oldest, tally.newest = earlier(tally.oldest, part.oldest), later(tally.newest, part.newest)
            self.first_at, self.last_at = earlier(self.first_at, part.oldest), later(self.last_at, part.newest)
        if self._held >= _AT_ONCE:
            self._commit()
        self.tell("reading")

    def _commit(self) -> None:
        """What waits, in one transaction. Rows of ``polls`` count what was new; the file's own row comes at the end."""
        if not self._waiting:
            return
        connection = self._connect()
        with transaction(connection):
            applied = apply(connection, self._waiting)
            counted = connection.execute(
                """SELECT error, source, sum(added)::BIGINT, sum(updated)::BIGINT FROM polls
                   WHERE starts_with(error, $1) GROUP BY ALL""",
                [_MARK],
            ).fetchall()
            connection.execute("DELETE FROM polls WHERE starts_with(error, $1)", [_MARK])
        for mark, source, added, updated in counted:
            tally = self.states[int(mark.removeprefix(_MARK))].tallies[source]
            tally.added, tally.updated = tally.added + added, tally.updated + updated
        self.added, self.updated = self.added + applied.added, self.updated + applied.updated
        self._waiting, self._held = [], 0
        self._transactions += 1
        if self._transactions >= _HELD_FOR:
            self._let_go()

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._opened.__exit__(*error)  # what went wrong in the database is named there

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection, self._transactions = self._opened.enter_context(self._store.writing(_WAIT_S)), 0
        return self._connection

    def _let_go(self) -> None:
        """Close the database, so that others may read."""
        self._connection = None
        self._opened.close()

    def finish(self, failure: BadInput | None = None) -> None:
        """Commit the rest and leave a row in ``polls`` for each file and source. ``failure`` is what ended the run."""
        self._commit()
        for number, state in enumerate(self.states):
            if failure is not None and state.file.name == failure.subject:
                state.failure = str(failure)
            elif failure is None or number < self._reading:
                state.judge()
            if state.warning:
                event(log, "warning", "a file is passed over", reason=state.warning)
        if failure is None:
            self._reading = len(self.states)
        reports = self._reports()
        connection = self._connect()
        with transaction(connection):
            _write_reports(connection, reports)
            _join_stored(connection)
        self._let_go()

    def _reports(self) -> list[tuple[PollReport, _Tally]]:
        spans = [
            Span(source, number, tally.oldest, tally.newest)
            for number, state in enumerate(self.states)
            for source, tally in state.tallies.items()
            if tally.oldest is not None and tally.newest is not None
        ]
        return [
            (_report(self.states[span.file], span, covers_from), self.states[span.file].tallies[span.source])
            for span, covers_from in joined(spans)
        ]

    def tell(self, stage: Stage, done: int = 0, total: int = 0) -> None:
        position = sum(state.position for state in self.states)
        known = all(state.file.path is not None for state in self.states)
        size = sum(state.file.size for state in self.states) if known else None
        self._progress(Progress(stage, self._reading, len(self.states), position, size, self.messages, done, total))

    # -------------------------------------------------------------------------------------- the simulated clock

    def count_spikes(self) -> int:
        """Spikes in the time of the archive."""
        with self._store.reading(_WAIT_S) as connection:
            row = connection.execute(
                "SELECT count(*) FROM spikes WHERE bucket_start + bucket_width > $1 AND bucket_start <= $2",
                [naive_utc(self.first_at), naive_utc(self.last_at)],
            ).fetchone()
        return int(row[0]) if row else 0

    def take_readings(self, every: Readings, scorer: str) -> int:
        """The readings of each moment, many in one statement; how many were new."""
        if self.first_at is None or self.last_at is None:
            return 0
        wanted = moments(self.first_at, self.last_at, _STEP[every])
        if not self.added and not self.updated:  # the same archive again: only what an interrupted run has left
            with self._store.reading(_WAIT_S) as connection:
                rows = connection.execute(
                    'SELECT DISTINCT "at" FROM readings WHERE "at" BETWEEN $1 AND $2',
                    [naive_utc(wanted[0]), naive_utc(wanted[-1])],
                ).fetchall()
            there = {aware_utc(at) for (at,) in rows}
            wanted = [moment for moment in wanted if moment not in there]
        taken = 0
        size = _MOMENTS_AT_ONCE[every]
        for start in range(0, len(wanted), size):
            self.tell("readings", start, len(wanted))
            with self._store.writing(_WAIT_S) as connection:
                taken += derive.take_readings(connection, wanted[start : start + size], None, scorer=scorer)
        self.tell("readings", len(wanted), len(wanted))
        return taken

    def rehearse_alerts(self, config: Config, now: datetime) -> int:
        """Dry alerts of all simulated readings; how many events lie in the time of this archive."""
        if self.first_at is None or self.last_at is None or not config.alerts.rules:
            return 0
        self.tell("alerts")
        with self._store.writing(_WAIT_S) as connection:
            told = rehearse(connection, ground_of(config), now)
        last = moments(self.first_at, self.last_at, _STEP["daily"])[-1]
        return sum(self.first_at <= event.at <= last for event in told)


def _batch(source: str, stream: str, file: int, part: Part, known_at: datetime) -> Batch:
    """A piece as rows again. ``known_at``: when deletions without a time became known."""
    report = PollReport(source, stream, part.newest or known_at, 0, "ok", fetched=part.fetched, error=f"{_MARK}{file}")
    return Batch(
        report,
        None,
        messages=tuple(MessageRow(*row) for row in part.messages),
        mentions=tuple(MentionRow(*row) for row in part.mentions),
        tones=tuple(ToneRow(*row) for row in part.tones),
        ballots=tuple(BallotRow(*row) for row in part.ballots),
        deletions=tuple(DeletionRow(*(*row[:-1], row[-1] or known_at)) for row in part.deletions),
        fetched_at=part.newest or known_at,
    )


def _write_reports(connection: Connection, reports: Sequence[tuple[PollReport, _Tally]]) -> None:
    """One row of ``polls`` each, save for those that stand there already and have nothing new to tell."""
    stored_reports = connection.execute(
        """SELECT source, stream, started_at, min(covers_from) FROM polls
           WHERE up = 1 AND starts_with(stream, 'archive/') GROUP BY ALL"""
    ).fetchall()
    known = {(source, stream, started_at): covers_from for source, stream, started_at, covers_from in stored_reports}
    marked: dict[str, tuple[PollReport, _Tally]] = {}
    for number, (report, tally) in enumerate(reports):
        stored = known.get((report.source, report.stream, naive_utc(report.started_at)))
        covers_from = naive_utc(report.covers_from)
        is_known = stored is not None and covers_from is not None and stored <= covers_from
        if tally.added or tally.updated or not is_known:
            marked[f"{_MARK}{number}"] = (report, tally)
    if not marked:
        return
    told = [Batch(replace(r, error=mark), None, fetched_at=r.started_at) for mark, (r, _) in marked.items()]
    apply(connection, told)
    connection.execute(
        """UPDATE polls SET added = told.added, updated = told.updated, error = told.error
           FROM (SELECT unnest($1::VARCHAR[]) AS mark, unnest($2::BIGINT[]) AS added, unnest($3::BIGINT[]) AS updated,
                        unnest($4::VARCHAR[]) AS error) AS told
           WHERE polls.error = told.mark""",
        [
            list(marked),
            [tally.added for _, tally in marked.values()],
            [tally.updated for _, tally in marked.values()],
            [report.error for report, _ in marked.values()],
        ],
    )


def _join_stored(connection: Connection) -> None:
    """The same for files of other runs: an archive in pieces was listened to like one that is read at once."""
    moved = connection.execute(
        """UPDATE polls SET covers_from = ended.before FROM (
               SELECT source, stream, started_at, covers_from,
                      max(started_at) OVER (PARTITION BY source ORDER BY covers_from, started_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
               FROM polls WHERE up = 1 AND covers_from IS NOT NULL AND starts_with(stream, 'archive/')) AS ended
           WHERE polls.source = ended.source AND polls.stream = ended.stream AND polls.started_at = ended.started_at AND polls.covers_from = ended.covers_from
             AND ended.before < ended.covers_from AND ended.covers_from <= ended.before + to_seconds($1)
           RETURNING polls.source, polls.stream, polls.covers_from""",
        [FOLLOWS.total_seconds()],
    ).fetchall()
    for source, stream, covers_from in moved:
        connection.execute("INSERT INTO touched_coverage VALUES (?, ?, ?)", [source, stream, covers_from])


def _report(state: _State, span: Span, covers_from: datetime) -> PollReport:
    """One file as one poll, made when its newest message was."""
    failed = state.failure is not None
    return PollReport(
        source=span.source,
        stream=state.file.stream,
        started_at=span.newest,
        duration_ms=round(state.seconds * 1000),
        status="malformed" if failed else "ok",
        fetched=state.tallies[span.source].fetched,
        skipped=state.skipped,
        bytes=state.size,
        error=state.failure,
        covers_from=None if failed else covers_from,
    )
