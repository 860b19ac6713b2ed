"""Passes over what is stored: which messages come next, and where each pass stands."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tracker.models import RecheckRow
from tracker.store.connect import Connection, aware_utc, naive_utc

Place = tuple[datetime, str]  # created_at and id of a message

_COLUMNS = "source, began_at, place_at, place_id, asked, gone, requests, failures, last_at, next_at, ended_at, error"


def save_rechecks(connection: Connection, rows: Iterable[RecheckRow]) -> None:
    """Insert or replace; a handful of rows."""
    for row in rows:
        connection.execute(
            f"INSERT OR REPLACE INTO rechecks ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                row.source, naive_utc(row.began_at), naive_utc(row.place_at), row.place_id, row.asked, row.gone, row.requests,
                row.failures, naive_utc(row.last_at), naive_utc(row.next_at), naive_utc(row.ended_at), row.error,
            ],
        )  # fmt: skip


def load_rechecks(connection: Connection) -> list[RecheckRow]:
    """The newest pass of each source."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM rechecks QUALIFY row_number() OVER (PARTITION BY source ORDER BY began_at DESC) = 1 ORDER BY source"
    ).fetchall()
    found = []
    for source, began, place_at, place_id, asked, gone, requests, failures, last_at, next_at, ended_at, error in rows:
        began_at = aware_utc(began)
        assert began_at is not None
        found.append(
            RecheckRow(
                source,
                began_at,
                aware_utc(place_at),
                place_id,
                asked,
                gone,
                requests,
                failures,
                aware_utc(last_at),
                aware_utc(next_at),
                aware_utc(ended_at),
                error,
            )
        )
    return found


def next_messages(
    connection: Connection, source: str, known_before: datetime, after: Place | None, limit: int
) -> list[Place]:
    """The oldest messages after a place that still have words or an author, and were first known before a moment.

    What a person has loaded from an archive of their own (streams ``archive/…``) is theirs to keep, as in retention.
    """
    place_at, place_id = after or (None, None)
    rows = connection.execute(
        """SELECT created_at, id FROM messages
           WHERE source = $1 AND (text IS NOT NULL OR author IS NOT NULL) AND deleted_at IS NULL AND fetched_at < $2
             AND NOT starts_with(stream, 'archive/')
             AND ($3::TIMESTAMP IS NULL OR created_at > $3::TIMESTAMP OR (created_at = $3::TIMESTAMP AND id > $4))
           ORDER BY created_at, id LIMIT $5""",
        [source, naive_utc(known_before), naive_utc(place_at), place_id, limit],
    ).fetchall()
    found = []
    for created, id_ in rows:
        created_at = aware_utc(created)
        assert created_at is not None
        found.append((created_at, str(id_)))
    return found
