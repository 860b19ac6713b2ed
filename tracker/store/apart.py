"""A person's SQL in a process of its own, within limits that the system holds, not the database.

    python -m tracker.store.apart     reads a Job as JSON on stdin; prints the rows on stdout

A database is no sandbox: a statement can hold the processor for minutes without looking up, and take memory that no
setting counts. So the process that runs it may not open a file any more, has so much address space, so many seconds of
processor and of wall clock, and dies of more. Whoever started it learns how it went through one pipe: a line of JSON
when the file is free again, and a second one when the rows could not be written. Its death is an answer too.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from tracker.errors import BadInput, TrackerError
from tracker.render import emit
from tracker.store import Connection, Opening, Store
from tracker.store.connect import describe
from tracker.store.upkeep import lock_down

ROOM_BYTES = (
    768 * 1024 * 1024
)  # beside what the database may use: its threads, what it does not count, and rows on their way out
# one value of each kind: whatever is imported to read it is imported before no file can be opened any more
_WARM = """SELECT 1::HUGEINT, 1.5::DECIMAL(4, 2), 0.5::DOUBLE, 'a', 'a'::BLOB, DATE '2026-01-01', TIME '10:00', TIMESTAMP '2026-01-01', INTERVAL 1 DAY,
           '00000000-0000-0000-0000-000000000000'::UUID, [1], {'a': 1}, MAP {'a': 1}, true"""


@dataclass(frozen=True, slots=True)
class Job:
    """One statement, and what it may use."""

    path: str  # the database file
    memory_limit: str  # as DuckDB writes it
    memory_bytes: int  # the same
    threads: int
    wait_s: float  # for a writer to let go
    statement: str
    timeout_s: float  # wall clock, from the opening of the file
    max_rows: int
    form: str
    output: str | None  # a file for the rows; None: stdout
    status_fd: int  # where it says how it went

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def main() -> int:
    job = Job(**json.loads(sys.stdin.buffer.read()))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it whatever it does
    try:
        columns, rows = _ask(job)
    except _Older:
        return _tell(job, older=True)
    except BadInput as error:
        return _tell(job, error=str(error), theirs=True)
    except TrackerError as error:
        return _tell(job, error=str(error))
    except MemoryError:
        return _tell(job, memory=True)
    _tell(job, rows=min(len(rows), job.max_rows), cut=len(rows) > job.max_rows)
    try:
        emit(columns, rows[: job.max_rows], job.form, job.output)
        sys.stdout.flush()
    except BadInput as error:
        return _tell(job, error=str(error), theirs=True)
    except BrokenPipeError:  # the reader of a pipe has had enough
        pass
    return 0


class _Older(Exception):
    """The file was made by an older version; somebody who may write has to bring it up to date."""


def _tell(job: Job, **said: Any) -> int:
    os.write(job.status_fd, json.dumps(said).encode() + b"\n")
    return 0


def _ask(job: Job) -> tuple[list[str], list[tuple[Any, ...]]]:
    store = Store(Opening(Path(job.path), job.memory_limit, job.threads))
    if not store.is_current(job.wait_s):
        raise _Older
    limit_memory(job.memory_bytes)
    with store.reading(job.wait_s) as connection:
        lock_down(connection)
        connection.execute(_WARM).fetchall()
        with _limited(job):
            return _run(connection, job)


def _run(connection: Connection, job: Job) -> tuple[list[str], list[tuple[Any, ...]]]:
    try:
        result = connection.execute(job.statement)
        if not result.description:  # it made something that goes with this process
            return [], []
        return [column[0] for column in result.description], result.fetchmany(job.max_rows + 1)
    except duckdb.OutOfMemoryException as error:
        raise MemoryError from error
    except duckdb.Error as error:
        if "bad_alloc" in str(error):
            raise MemoryError from error
        raise BadInput("the database does not take this statement", None, describe(error)) from None


def limit_memory(counted_bytes: int) -> None:
    """So much address space and no more; where the system knows no such limit, the database's own has to do."""
    used = 0
    with suppress(OSError, ValueError, IndexError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    if used:
        _lower(resource.RLIMIT_AS, used + counted_bytes + ROOM_BYTES)
    _lower(resource.RLIMIT_CORE, 0)


class _limited:  # noqa: N801 (a context, as a function would be)
    """No file can be opened, and time is counted; all of it is lifted again for writing the rows."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._before: dict[int, tuple[int, int]] = {}

    def __enter__(self) -> None:
        seconds = resource.getrusage(resource.RUSAGE_SELF)
        cpu = math.ceil(seconds.ru_utime + seconds.ru_stime + self._job.timeout_s * self._job.threads)
        for what, value in ((resource.RLIMIT_CPU, cpu), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 0)):
            self._before[what] = resource.getrlimit(what)
            _lower(what, value)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the system ends it: nothing has to look up for that
        signal.setitimer(signal.ITIMER_REAL, self._job.timeout_s)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for what, values in self._before.items():
            resource.setrlimit(what, values)


def _lower(what: int, value: int) -> None:
    hard = resource.getrlimit(what)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


if __name__ == "__main__":
    code = main()
    os._exit(code)  # an instance that a statement has broken can't take the process's last words away
