"""The journal: what polls have brought, durable beside the database until it is in the tables.

Every finished poll is appended and synced before anything else happens, so a kill between the answer of a server
and the next flush loses neither messages nor the time that the server named. The database keeps the number of the
last record that it holds, in the same transaction as the rows: a record is applied exactly once.

One record is one line: ``<sequence> <crc32 of the JSON, hex> <JSON>``. A torn last line, after a kill, is the poll that
was not finished: it is cut off. A damaged line before that is refused, kept and named; so is a whole record that this
program can't read, wherever it stands: another version of it wrote it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import types
import typing
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from tracker.errors import StoreError, StoreFatal
from tracker.models import Batch


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


_hints: dict[type, dict[str, Any]] = {}


def _typed(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(kind) in (typing.Union, types.UnionType):
        kind = next(option for option in get_args(kind) if option is not type(None))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = _hints.setdefault(kind, get_type_hints(kind))
        return kind(**{name: _typed(hints[name], item) for name, item in value.items()})
    if kind is datetime:
        return datetime.fromisoformat(value)
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        return tuple(_typed(inner, item) for item in value)
    return value


def to_line(sequence: int, batch: Batch) -> bytes:
    """One record as it lies in the file."""
    body = json.dumps(_plain(batch), ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return b"%d %08x %s\n" % (sequence, zlib.crc32(body), body)


def from_line(line: bytes) -> tuple[int, Batch]:
    """The record again; ValueError when it is torn or damaged, UnknownShape when another version wrote it."""
    number, checksum, body = line.rstrip(b"\n").split(b" ", 2)
    if not line.endswith(b"\n") or int(checksum, 16) != zlib.crc32(body):
        raise ValueError("checksum differs")
    try:
        return int(number), _typed(Batch, json.loads(body))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UnknownShape(f"whole, and of a shape that this version does not know ({error!r})") from None


def peek(path: Path) -> list[Batch]:
    """What lies in a journal that another process may be writing just now: what can be read of it, and nothing is changed."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(from_line(line)[1])
        except (ValueError, UnknownShape):
            continue
    return found


class UnknownShape(Exception):
    """A record that was kept whole and can't be read all the same; never taken for a torn one."""


class Journal:
    """Append-only file of batches, with the records that still wait held in memory too."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self.path = path
        self.limit_bytes = limit_bytes
        self.waiting: list[tuple[int, Batch]] = []
        self._sequence = 0
        self._size = 0
        self._lock = threading.Lock()  # polls append while a flush takes away

    def load(self, applied: int) -> None:
        """Read what the last run left; ``applied`` is the last number that the database holds."""
        with self._lock:
            try:
                self._load(applied)
            except OSError as error:
                raise StoreError("the journal can't be read", str(self.path), error) from error

    def _load(self, applied: int) -> None:
        self._sequence, self._size, self.waiting = applied, 0, []
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            lines = file.readlines()
        for number, line in enumerate(lines):
            try:
                sequence, batch = from_line(line)
            except (ValueError, UnknownShape) as error:
                if isinstance(error, ValueError) and number == len(lines) - 1:  # the poll that a kill interrupted
                    self._cut(self._size)
                    break
                raise StoreError(
                    "a record of the journal is damaged; move the file away to start without what it holds",
                    f"{self.path}, line {number + 1}",
                    error,
                ) from None
            self._size += len(line)
            self._sequence = max(self._sequence, sequence)
            if sequence > applied:
                self.waiting.append((sequence, batch))
        if self.waiting and self.waiting[0][0] > applied + 1:
            begins, self.waiting = self.waiting[0][0], []
            raise StoreError(
                "the journal goes on from a later state of the database than this one: positions would move on without their messages. "
                "Put back the database that it belongs to, or move the journal away",
                str(self.path),
                f"it begins with record {begins}, the database ends with {applied}",
            )
        if not self.waiting:  # a kill came between the commit and the cut
            self._cut(0)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    @property
    def full(self) -> bool:
        """True when polling has to pause until the database takes what waits."""
        return self._size >= self.limit_bytes

    def append(self, batch: Batch) -> None:
        """Make one batch durable; StoreFatal when the disk can't."""
        with self._lock:
            self._append(batch)

    def _append(self, batch: Batch) -> None:
        line = to_line(self._sequence + 1, batch)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = not self.path.exists()
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                written = 0
                while written < len(line):
                    written += os.write(handle, line[written:])
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, self._size)  # no half record between whole ones
                raise
            finally:
                os.close(handle)
            if new:
                _sync_folder(self.path)
        except OSError as error:
            raise StoreFatal("what a poll brought can't be kept", str(self.path), error) from error
        self._sequence += 1
        self._size += len(line)
        self.waiting.append((self._sequence, batch))

    def applied(self, sequence: int) -> None:
        """The database holds everything up to ``sequence``: forget it; an empty journal is an empty file."""
        with self._lock:
            try:
                self._forget(sequence)
            except OSError as error:
                raise StoreFatal("the journal can't be cut", str(self.path), error) from error

    def _forget(self, sequence: int) -> None:
        self.waiting = [(number, batch) for number, batch in self.waiting if number > sequence]
        if not self.waiting:
            self._cut(0)
        elif self._size > self.limit_bytes // 2:
            self._rewrite()

    def _cut(self, size: int) -> None:
        if self.path.exists():
            os.truncate(self.path, size)
        self._size = size

    def _rewrite(self) -> None:
        """Keep only what waits, through a new file that takes the old one's place."""
        aside = self.path.with_suffix(".new")
        content = b"".join(to_line(number, batch) for number, batch in self.waiting)
        with aside.open("wb") as handle:
            aside.chmod(0o600)
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        aside.replace(self.path)
        _sync_folder(self.path)
        self._size = len(content)


def _sync_folder(path: Path) -> None:
    """A file's name is as durable as its folder, not as its content."""
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
