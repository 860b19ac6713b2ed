"""The database, and the only place that imports duckdb.

``Store`` is what the rest of the program sees: it keeps batches durably, commits them when the file is free, rolls up
and reads. The file is never held open between two calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

from tracker.errors import StoreFatal
from tracker.models import Batch, Limit, RecheckRow, Stream, ToneRow
from tracker.store import authors, derive, forget, migrate, recheck, rescore, scrub, second, state, universe, upkeep
from tracker.store.connect import Connection, Opening, aware_utc, naive_utc, opened, transaction
from tracker.store.journal import Journal, peek
from tracker.store.sqlfiles import folder
from tracker.store.write import Applied, apply

__all__ = ["Applied", "Connection", "Opening", "Standing", "Store", "aware_utc", "naive_utc"]

_AT_ONCE = 2000  # messages in one transaction: big enough to be fast, small enough to let readers in between


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the tracker stands when it starts: what the file and the journal beside it say."""

    streams: tuple[Stream, ...]
    limits: tuple[Limit, ...]
    used: Mapping[str, Sequence[tuple[datetime, int]]]  # source -> (when, requests) of its recent polls
    rechecks: tuple[RecheckRow, ...] = ()  # the newest pass of each source


class Store:
    """One DuckDB file with its journal. All calls are blocking; the daemon makes them in one thread of their own."""

    def __init__(self, opening: Opening, spill_limit: int = 256_000_000) -> None:
        self.opening = opening
        self.journal = Journal(opening.path.with_suffix(".journal"), spill_limit)
        self.committed = Applied(0, 0)  # messages since the start
        self.has_remains = True  # as far as known: bytes of the file may hold what was taken away; False once looked up

    # ------------------------------------------------------------------------------------------------ opening

    @contextmanager
    def reading(self, wait_s: float = 5.0) -> Iterator[Connection]:
        """A read-only connection for one question; StoreLocked when a writer does not let go in time."""
        with opened(self.opening, read_only=True, wait_s=wait_s) as connection:
            migrate.refuse_newer(connection)
            yield connection

    @contextmanager
    def writing(self, wait_s: float = 10.0) -> Iterator[Connection]:
        with opened(self.opening, wait_s=wait_s) as connection:
            yield connection

    @property
    def exists(self) -> bool:
        return self.opening.path.exists()

    def prepare(
        self,
        now: datetime,
        meter: Mapping[str, float | int | str],
        settings: Sequence[tuple[str, str]],
        watchlist: Sequence[str],
        groups: Mapping[str, Sequence[str]],
        symbols: Sequence[tuple[str, str | None, str, str]],
        wait_s: float = 10.0,
        windows: Sequence[tuple[str, int]] | None = None,
    ) -> None:
        """Create or migrate the file, define the metrics, and write down what is in force. Touches nothing that is as it should be."""
        try:
            self.opening.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreFatal("the data folder can't be made", str(self.opening.path.parent), error) from error
        mark = definitions_mark()
        with self.writing(wait_s) as connection:
            changed = migrate.migrate(connection, now)
            if changed or _stored_mark(connection) != mark:
                migrate.define_metrics(connection)
            migrate.set_meter(connection, meter, windows)
            state.save_configuration(connection, now, [*settings, ("queries.mark", mark)], watchlist, groups, symbols)
            if changed:
                connection.execute("CHECKPOINT")

    def is_current(self, wait_s: float = 5.0) -> bool:
        """True when the file has the shape of this program, so that there is nothing to prepare but the settings."""
        if not self.exists:
            return False
        with self.reading(wait_s) as connection:
            is_shaped = migrate.stored_version(connection) == migrate.migrations()[-1][0]
            return is_shaped and _stored_mark(connection) == definitions_mark()

    def standing(self, since: datetime, wait_s: float = 10.0) -> Standing:
        """Streams, limits and budgets as stored, with what the journal knows on top; loads the journal."""
        with self.reading(wait_s) as connection:
            applied = state.applied_sequence(connection)
            streams = {stream.key: stream for stream in state.load_streams(connection)}
            limits = {limit.scope: limit for limit in state.load_limits(connection)}
            used = state.requests_since(connection, since)
            rechecks = {row.source: row for row in recheck.load_rechecks(connection)}
        self.journal.load(applied)
        for _, batch in self.journal.waiting:
            if batch.stream is not None:
                streams[batch.stream.key] = batch.stream
            limits.update({limit.scope: limit for limit in batch.limits})
            if batch.recheck is not None:
                rechecks[batch.recheck.source] = batch.recheck
            used.setdefault(batch.report.source, []).append((batch.report.started_at, batch.report.requests))
        return Standing(tuple(streams.values()), tuple(limits.values()), used, tuple(rechecks.values()))

    def next_to_recheck(
        self, source: str, known_before: datetime, after: recheck.Place | None, limit: int, wait_s: float = 5.0
    ) -> list[recheck.Place]:
        """(created_at, id) of the messages that a pass asks about next."""
        with self.reading(wait_s) as connection:
            return recheck.next_messages(connection, source, known_before, after, limit)

    # ------------------------------------------------------------------------------------------------ writing

    def keep(self, batch: Batch) -> None:
        """Make a batch durable in the journal; it counts as stored only when it is committed."""
        self.journal.append(batch)

    @property
    def waiting(self) -> int:
        """Batches that are durable and not yet in the tables."""
        return len(self.journal.waiting)

    @property
    def full(self) -> bool:
        return self.journal.full

    def flush(
        self, wait_s: float = 1.0, until: datetime | None = None, connection: Connection | None = None
    ) -> Applied:
        """Commit what waits, oldest first (only what was fetched at or before ``until``); StoreLocked when somebody holds the file.

        It ends at the first record that is too young: two polls may be kept in another order than they were fetched in,
        and the database remembers one number, below which nothing may be missing.
        """
        due = list(takewhile(lambda record: until is None or record[1].fetched_at <= until, self.journal.waiting))
        if not due:
            return Applied(0, 0)
        if connection is None:
            with self.writing(wait_s) as own:
                return self._flush(own, due)
        return self._flush(connection, due)

    def _flush(self, connection: Connection, due: list[tuple[int, Batch]]) -> Applied:
        added = updated = 0
        start = 0
        while start < len(due):
            end, size = start, 0
            while end < len(due) and (end == start or size + len(due[end][1].messages) <= _AT_ONCE):
                size += len(due[end][1].messages)
                end += 1
            part = due[start:end]
            with transaction(connection):
                done = apply(connection, [batch for _, batch in part], part[-1][0])
            self.journal.applied(part[-1][0])
            self.has_remains = self.has_remains or scrub.has_remains(connection)
            added, updated, start = added + done.added, updated + done.updated, end
            self.committed = Applied(self.committed.added + done.added, self.committed.updated + done.updated)
        return Applied(added, updated)

    def load(self, batches: Sequence[Batch], connection: Connection) -> Applied:
        """Commit batches directly, without the journal: for archives, which can be read again."""
        with transaction(connection):
            return apply(connection, batches)

    def save_streams(self, streams: Sequence[Stream], wait_s: float = 10.0) -> None:
        with self.writing(wait_s) as connection, transaction(connection):
            state.save_streams(connection, streams)

    # ------------------------------------------------------------------------------------------------ deriving

    def rollup(self, wait_s: float = 5.0) -> int:
        """Facts into buckets, for what was touched; the number of symbol-days."""
        with self.writing(wait_s) as connection:
            if derive.derived_lost(connection):
                derive.touch_everything(connection)
            return derive.rollup(connection)

    def rebuild(self, wait_s: float = 30.0, *, readings: bool = False, scorer: str | None = None) -> int:
        """Throw away what is derived and make it again from the facts; the number of symbol-days.

        Readings stay, they are what the meter showed. With ``readings`` those of the simulated clock, which depend on
        nothing but the facts, are made again too, in the name of the ``scorer`` in force.
        """
        with self.writing(wait_s) as connection:
            days, hour_days = derive.baseline_days(connection)
            moments = derive.forget_replayed_readings(connection) if readings else []
            derive.touch_everything(connection)
            rolled_up = derive.rollup(connection)
            derive.ensure_baselines(connection, days)
            derive.ensure_hour_scales(connection, hour_days)
            derive.take_readings(connection, moments, None, scorer=scorer)
            return rolled_up

    def take_readings(
        self,
        at: datetime,
        now: datetime,
        wait_s: float = 5.0,
        then: Callable[[Connection], None] | None = None,
        scorer: str | None = None,
    ) -> int:
        """The readings of one moment, from what was fetched until then; what came later waits in the journal meanwhile.

        ``then`` runs in the same transaction; ``scorer`` is the name of the one in force.
        """
        with self.writing(wait_s) as connection:
            self.flush(until=at, connection=connection)
            derive.rollup(connection)
            return derive.take_readings(connection, [at], now, then, scorer)

    def learn_forms(self, now: datetime, wait_s: float = 5.0) -> bool:
        """Count how whole days that are over write their symbols, and sum it up for today; True when there was anything."""
        today = now.astimezone(UTC).date()
        with self.reading(wait_s) as connection:
            days = universe.days_to_count(connection, today)
            stale = universe.priors_are_stale(connection, today)
        if not days and not stale:
            return False
        with self.writing(wait_s) as connection:
            for day in days:
                universe.count_forms(connection, day)
            universe.keep_unverified(connection, now - timedelta(days=2), now)
            universe.compute_priors(connection, today)
        return True

    def sample(
        self, scorer: str, share: float, since: datetime, limit: int, wait_s: float = 5.0
    ) -> list[tuple[str, str, str]]:
        """(source, id, text) of messages to ask a second opinion about."""
        with self.reading(wait_s) as connection:
            return second.sample(connection, scorer, share, since, limit)

    def add_tones(self, rows: Sequence[ToneRow], wait_s: float = 5.0) -> None:
        """Scores of messages that are stored, beside those that they have; mentions do not change."""
        if rows:
            with self.writing(wait_s) as connection, transaction(connection):
                rescore.add_tones(connection, rows)

    # ------------------------------------------------------------------------------------------------ keeping house

    def publish(self, target: Path) -> None:
        """A whole copy of the file for those who stay connected, made aside and put in place by a rename."""
        upkeep.publish(self.opening, target)

    def prune(
        self,
        *,
        text_before: datetime,
        mentions_before: datetime,
        polls_before: datetime,
        text_before_of: Mapping[str, datetime] | None = None,
        wait_s: float = 5.0,
    ) -> upkeep.Pruned:
        """Retention: texts (of some services at a time of their own), then mentions and tones, then attempts that are past their time."""
        with self.writing(wait_s) as connection:
            done = upkeep.prune(connection, text_before, mentions_before, polls_before, text_before_of or {})
        self.has_remains = self.has_remains or done.texts > 0
        return done

    def look(self, wish: forget.Wish, wait_s: float = 15.0) -> forget.Forgotten:
        """What ``forget`` would reach; nothing is changed."""
        waiting = forget.waiting_ids(peek(self.journal.path), wish)
        with self.reading(wait_s) as connection:
            return forget.look(connection, wish, waiting)

    def forget(
        self, wish: forget.Wish, now: datetime, scorer: str | None, *, alone: bool, wait_s: float = 60.0
    ) -> forget.Forgotten:
        """Take away what is meant, for ever, stored or still in the journal; make anew what was derived from it.

        ``alone``: no daemon works here, so what lies in the journal is committed first and its words with it; a daemon
        does that itself within seconds, and meets the tombstones.
        """
        waiting = forget.waiting_ids(
            peek(self.journal.path), wish
        )  # before the file: what has left it by then is stored
        with self.writing(wait_s) as connection:
            if alone:
                self._settle(connection)
            return forget.forget(connection, wish, waiting, now, scorer)

    def unlink_authors(self, wait_s: float = 60.0) -> authors.Unlinked:
        """Author hashes become random names, those in the journal too; the caller knows that no daemon works here."""
        with self.writing(wait_s) as connection:
            self._settle(connection)
            return authors.unlink(connection)

    def _settle(self, connection: Connection) -> None:
        self.journal.load(state.applied_sequence(connection))
        self.flush(connection=connection)

    def scrub(self, wait_s: float = 5.0) -> scrub.Rewritten | None:
        """Rewrite the file if its unused bytes may hold what was taken away; None when there is nothing of that kind.

        StoreLocked when somebody holds the file, StoreError when there is no room: it stands as it was then.
        """
        with self.reading(wait_s) as connection:
            self.has_remains = scrub.has_remains(connection)
        if not self.has_remains:
            return None
        done = scrub.rewrite(self.opening, wait_s)
        self.has_remains = False
        return done


def _stored_mark(connection: Connection) -> str | None:
    """``definitions_mark`` of the program that defined the objects in the file; None for a file without any."""
    row = connection.execute("SELECT arg_max(value, since) FROM settings WHERE key = 'queries.mark'").fetchone()
    return row[0] if row else None


def definitions_mark() -> str:
    """A hash of all files that define objects for people: they are defined anew only when one has changed."""
    digest = hashlib.blake2b(digest_size=12)
    for path in [folder() / "macros.sql", *sorted((folder() / "metrics").glob("*.sql"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
