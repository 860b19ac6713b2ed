"""Rewriting the file, so that none of its bytes keeps what was taken away.

DuckDB reuses blocks and does not wipe them: words of a deleted message would stay readable in the file until chance
writes over them. ``mark`` notes in the transaction that takes words away that there are remains; ``rewrite`` copies what
stands into a new file and puts it in place by a rename.

The copy is made from a read-only connection, and the rename happens while it is still open: readers are never kept
out, and nobody can write the old file between its copy and its end.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tracker.errors import StoreError, StoreLocked
from tracker.store.connect import FORMAT, Connection, Opening, describe, opened, private, transaction

BESIDE = ".rewrite"  # ending of the new file while it is being made
ROOM = 64 * 1024 * 1024  # bytes that have to stay free beside a second copy of the file

LEAST_PAUSE_S = 30.0  # between two rewrites: with flush and hand-over a small file is clean within a minute
SHARE = 0.01  # of the time may go into rewriting: a large file is rewritten less often


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a rewrite did."""

    took_s: float
    bytes_before: int
    bytes_after: int


def next_rewrite(ended_s: float, took_s: float) -> float:
    """When the next one may begin, on the clock of ``ended_s``: it takes at most ``SHARE`` of the time."""
    return ended_s + max(LEAST_PAUSE_S, took_s / SHARE)


def mark(connection: Connection, reason: str) -> None:
    """Note that something was taken away; the caller holds the transaction that does it."""
    connection.execute("INSERT INTO remains SELECT ? WHERE NOT EXISTS (FROM remains)", [reason])


def has_remains(connection: Connection) -> bool:
    row = connection.execute("SELECT count(*) > 0 FROM remains").fetchone()
    return bool(row and row[0])


def rewrite(opening: Opening, wait_s: float) -> Rewritten:
    """A new file in place of the old one. StoreLocked when somebody holds it, StoreError when there is no room; the old file stands then."""
    began, before = time.monotonic(), opening.path.stat().st_size
    folder = os.statvfs(opening.path.parent)
    if folder.f_bavail * folder.f_frsize < before + ROOM:
        raise StoreError(
            "there is no room to rewrite the file", str(opening.path), f"{before + ROOM:,} bytes are needed"
        )
    aside = opening.path.with_name(opening.path.name + BESIDE)
    with opened(opening, wait_s=wait_s) as connection:
        connection.execute("CHECKPOINT")  # what waits in the WAL belongs to the old file: none may be left
    with private(), opened(opening, read_only=True, wait_s=wait_s) as connection:
        if _waits_in_the_wal(opening.path):
            raise StoreLocked(str(opening.path), None)  # somebody has written in between: another time
        _clear(aside)
        try:
            _copy(connection, aside)
            shutil.copymode(opening.path, aside)
            _sync(aside)
            aside.replace(opening.path)
            _sync(opening.path.parent)
        except duckdb.Error as error:
            raise StoreError(
                "the file can't be rewritten; it stays as it is", str(opening.path), describe(error)
            ) from error
        except OSError as error:
            raise StoreError("the file can't be rewritten; it stays as it is", str(opening.path), error) from error
        finally:
            _clear(aside)
    return Rewritten(time.monotonic() - began, before, opening.path.stat().st_size)


def _copy(connection: Connection, aside: Path) -> None:
    row = connection.execute("SELECT current_database()").fetchone()
    name = str(row[0]) if row else ""
    place = str(aside).replace("'", "''")
    connection.execute(f"ATTACH '{place}' AS rewritten (READ_WRITE, STORAGE_VERSION '{FORMAT}')")
    connection.execute(f'COPY FROM DATABASE "{name}" TO rewritten')
    before, after = _counts(connection, name), _counts(connection, "rewritten")
    if before != after:
        raise StoreError("a rewritten file does not hold what the old one holds; the old one stays", str(aside))
    with transaction(connection):
        connection.execute("DELETE FROM rewritten.remains")
    connection.execute("CHECKPOINT rewritten")
    connection.execute("DETACH rewritten")
    if _waits_in_the_wal(aside):
        raise StoreError("a rewritten file was not closed whole; the old one stays", str(aside))


def _counts(connection: Connection, database: str) -> dict[str, int]:
    """Table -> rows, as counted; and how many views, macros and comments there are."""
    tables = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? ORDER BY 1", [database]
    ).fetchall()
    found = {
        name: int(connection.execute(f'SELECT count(*) FROM "{database}"."{name}"').fetchall()[0][0])
        for (name,) in tables
    }
    for what in ("views", "functions", "constraints", "sequences"):
        ((number,),) = connection.execute(
            f"SELECT count(*) FROM duckdb_{what}() WHERE database_name = ?", [database]
        ).fetchall()
        found[f"({what})"] = int(number)
    return found


def _waits_in_the_wal(path: Path) -> bool:
    wal = path.with_name(path.name + ".wal")
    return wal.exists() and wal.stat().st_size > 0


def _clear(aside: Path) -> None:
    for path in (aside, aside.with_name(aside.name + ".wal")):
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
