"""Opening the database: who may, with which settings, and what it means when it fails.

The file is opened for the moment and closed again, because while one process has it open for writing no other can
open it, not even to read (docs/design.md, *The lock*). Inside this process one lock keeps openings apart: DuckDB
shares an instance among all connections of a process, and closing any other descriptor of the file would drop the
process's lock on it.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from tracker.errors import StoreError, StoreFatal, StoreLocked

FORMAT = "v1.0.0"  # the oldest storage format: every client of the last years opens it, at no measured price
_HOLDER = re.compile(r"PID (\d+)")
_DAMAGED = re.compile(r"corrupt|checksum|replaying WAL|could not read enough bytes|not a valid DuckDB", re.IGNORECASE)
_RETRY_S = 0.02  # first pause between two attempts on a locked file; doubles up to ten times that
_inside = threading.RLock()

Connection = duckdb.DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Opening:
    """Where the file is and what a connection may use."""

    path: Path
    memory_limit: str = "512MB"
    threads: int = 2


def naive_utc(moment: datetime | None) -> datetime | None:
    """The one converter at the border: aware times become naive UTC, as TIMESTAMP columns hold them."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def aware_utc(moment: datetime | None) -> datetime | None:
    """The way back: what a TIMESTAMP column holds is UTC."""
    return None if moment is None else moment.replace(tzinfo=UTC)


def translate(error: Exception, path: Path) -> StoreError:
    """Any error of the library or the file system as one of ours."""
    text = str(error)
    if isinstance(error, duckdb.FatalException) or "database has been invalidated" in text:
        return StoreFatal(
            "the database stopped after a failure underneath it; restart once that is mended", str(path), text
        )
    if "Could not set lock" in text or "Conflicting lock" in text:
        holder = _HOLDER.search(text)
        return StoreLocked(str(path), int(holder.group(1)) if holder else None)
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in text or "not enough space" in text.lower():
        return StoreFatal("the disk is full", str(path), text)
    if _DAMAGED.search(text):
        here = str(path)
        return StoreFatal(
            f"the database is damaged, and left as it is; to go on from a back-up: mv {here} {here}.damaged; "
            f"mv {here}.wal {here}.wal.damaged; mv {path.with_suffix('.journal')} {path.with_suffix('.journal')}.damaged; cp BACKUP {here}",
            here, text,
        )  # fmt: skip
    if isinstance(error, duckdb.SerializationException) or "newer version" in text or "version number" in text:
        return StoreError("the file was written by a DuckDB that this one can't read", str(path), text)
    return StoreError("the database can't be used", str(path), text)


def _file(path: Path) -> int | None:
    """Which file stands at the path; None for none."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _connect(opening: Opening, read_only: bool) -> Connection:
    config: dict[str, Any] = {
        "memory_limit": opening.memory_limit,
        "threads": opening.threads,
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
    }
    if not read_only:
        config["storage_compatibility_version"] = FORMAT
    connection = duckdb.connect(str(opening.path), read_only=read_only, config=config)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = true")
    connection.execute("SET enable_progress_bar = false")  # it would be drawn on stdout, between the rows
    return connection


def describe(error: duckdb.Error) -> str:
    """The first line of an error of the database, for a person."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextmanager
def private() -> Iterator[None]:
    """What is made meanwhile (the file, its WAL, what it spills) is for its owner alone."""
    before = os.umask(0o077)
    os.umask(before | 0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def opened(opening: Opening, *, read_only: bool = False, wait_s: float = 0.0) -> Iterator[Connection]:
    """A connection for the moment. Waits up to ``wait_s`` seconds for another process to let go; StoreLocked after that."""
    with _inside, nullcontext() if read_only else private():
        connection = _wait_for(opening, read_only, wait_s)
        try:
            yield connection
        except duckdb.InterruptException:
            raise KeyboardInterrupt from None
        except duckdb.Error as error:
            raise translate(error, opening.path) from error
        except RuntimeError as error:
            if "interrupted" in str(error).lower():  # Ctrl-C in the middle of a statement arrives like this
                raise KeyboardInterrupt from None
            raise
        finally:
            try:
                connection.close()
            except duckdb.Error as error:  # a checkpoint on closing met a full disk: what was committed is in the WAL
                raise translate(error, opening.path) from error


def _wait_for(opening: Opening, read_only: bool, wait_s: float) -> Connection:
    give_up_at = time.monotonic() + wait_s
    pause = _RETRY_S
    while True:
        try:
            before = _file(opening.path)
            connection = _connect(opening, read_only)
            if before in (None, _file(opening.path)):
                return connection
            connection.close()  # another file was put in its place meanwhile: what is written to the old one is lost
            continue
        except (duckdb.Error, OSError) as error:
            ours = translate(error, opening.path)
            if not isinstance(ours, StoreLocked) or time.monotonic() >= give_up_at:
                raise ours from error
        time.sleep(min(pause, max(0.0, give_up_at - time.monotonic())))
        pause = min(pause * 1.5, _RETRY_S * 10)


@contextmanager
def transaction(connection: Connection) -> Iterator[Connection]:
    """All or nothing."""
    connection.execute("BEGIN TRANSACTION")
    try:
        yield connection
    except BaseException:
        with suppress(duckdb.Error):  # a dead instance has nothing left to roll back
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
