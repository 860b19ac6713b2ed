"""The small tables that say where the tracker stands: streams, limits, settings, watch-list, symbols."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from tracker.models import Limit, Stream
from tracker.store.columns import insert_columns
from tracker.store.connect import Connection, aware_utc, naive_utc, transaction
from tracker.store.universe import load_rows, replace_symbols
from tracker.universe_merge import Row, seed


def save_streams(connection: Connection, streams: Iterable[Stream]) -> None:
    """Insert or replace; a handful of rows."""
    for stream in streams:
        connection.execute(
            "INSERT OR REPLACE INTO streams VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                stream.source, stream.name, None if stream.cursor is None else json.dumps(stream.cursor), stream.enabled, stream.failures,
                naive_utc(stream.next_poll_at), naive_utc(stream.last_success_at), naive_utc(stream.last_message_at), stream.note,
            ],
        )  # fmt: skip


def load_streams(connection: Connection) -> list[Stream]:
    rows = connection.execute(
        "SELECT source, name, cursor, enabled, failures, next_poll_at, last_success_at, last_message_at, note FROM streams ORDER BY source, name"
    ).fetchall()
    return [
        Stream(
            source,
            name,
            None if cursor is None else json.loads(cursor),
            enabled,
            failures,
            aware_utc(due),
            aware_utc(success),
            aware_utc(newest),
            note,
        )
        for source, name, cursor, enabled, failures, due, success, newest, note in rows
    ]


def load_limits(connection: Connection) -> list[Limit]:
    rows = connection.execute("SELECT scope, not_before, reason FROM limits").fetchall()
    found = []
    for scope, moment, reason in rows:
        not_before = aware_utc(moment)
        assert not_before is not None
        found.append(Limit(scope, not_before, reason))
    return found


def requests_since(connection: Connection, since: datetime) -> dict[str, list[tuple[datetime, int]]]:
    """What each source has used of its budget: (when, requests) of the polls since then."""
    used: dict[str, list[tuple[datetime, int]]] = {}
    rows = connection.execute(
        "SELECT source, started_at, requests FROM polls WHERE started_at >= ? AND requests > 0 ORDER BY started_at",
        [naive_utc(since)],
    ).fetchall()
    for source, started_at, requests in rows:
        when = aware_utc(started_at)
        assert when is not None
        used.setdefault(source, []).append((when, requests))
    return used


def applied_sequence(connection: Connection) -> int:
    row = connection.execute("SELECT max(sequence) FROM journal_applied").fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def save_configuration(
    connection: Connection,
    now: datetime,
    settings: Sequence[tuple[str, str]],
    watchlist: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    symbols: Sequence[tuple[str, str | None, str, str]],
) -> None:
    """What is in force: settings that changed get a new row, the watch-list is replaced, our own symbols are put in."""
    with transaction(connection):
        mark = hashlib.blake2b(repr(list(symbols)).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        settings = [*settings, ("symbols.mark", mark)]
        before = dict(
            connection.execute("SELECT key, arg_max_null(value, since) FROM settings GROUP BY key").fetchall()
        )
        changed: list[tuple[str, str | None, datetime]] = [
            (key, value, now) for key, value in settings if before.get(key) != value
        ]
        names = {key for key, _ in settings}
        changed += [(key, None, now) for key, value in before.items() if key not in names and value is not None]
        insert_columns(connection, "settings", {"key": "VARCHAR", "value": "VARCHAR", "since": "TIMESTAMP"}, changed)
        connection.execute("DELETE FROM watchlist")
        rows: list[tuple[str, str | None]] = [(symbol, None) for symbol in watchlist]
        rows += [(symbol, group) for group, members in groups.items() for symbol in members]
        insert_columns(connection, "watchlist", {"symbol": "VARCHAR", "group_name": "VARCHAR"}, rows)
        stored = connection.execute("SELECT count(*) FROM symbols").fetchone()
        if stored is None or stored[0] == 0 or before.get("symbols.mark") != mark:
            own = [Row(symbol, name or None, None, kind, status="retired" if status == "retired" else "listed") for symbol, name, kind, status in symbols]  # fmt: skip
            replace_symbols(connection, seed(load_rows(connection), own))
