"""Price bars out of CSV files into the store: a bad line is named and counted, the good ones are stored.

header ──read_layout──▶ Layout ──RowReader──▶ Bar (or a BadRow) ──20,000 at a time──▶ store.prices.merge_bars
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from tracker.errors import BadInput, StoreLocked
from tracker.prices.rows import BadRow, Bar, Options, RowReader, read_layout, read_options, span_text
from tracker.store import Store
from tracker.store.prices import merge_bars

__all__ = ["WAIT_S", "BadRow", "Bar", "FileReport", "Options", "import_prices", "read_options"]

NAMED: Final = 10  # bad lines of a file that are named; the others are counted
_AT_ONCE: Final = 20_000  # bars in one transaction: fast, and readers get in between
WAIT_S: Final = 30.0  # how long somebody may hold the database

Progress = Callable[[str, int, int, int], None]  # file, bytes read, bytes in all, lines


@dataclass(slots=True)
class FileReport:
    """What came of one file."""

    file: str
    unused: tuple[str, ...] = ()
    rows: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    bad: int = 0
    named: list[BadRow] = field(default_factory=list)  # the first of the bad ones
    symbols: set[str] = field(default_factory=set)
    first_at: datetime | None = None  # start of the first and the last bar that was good
    last_at: datetime | None = None

    def refuse(self, bad: BadRow) -> None:
        self.bad += 1
        if len(self.named) < NAMED:
            self.named.append(bad)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file whose header fits."""

    reader: RowReader
    lines: _Lines
    report: FileReport
    raw: io.BufferedReader
    size: int  # bytes


class _Lines:
    """The rows of a CSV file; a row that is no CSV is an error with its place, the next one may be good again."""

    def __init__(self, file: str, text: TextIO) -> None:
        self._file = file
        self._rows = csv.reader(text, strict=True)

    @property
    def line(self) -> int:
        return self._rows.line_num

    def __iter__(self) -> Iterator[list[str] | BadRow]:
        while True:
            try:
                yield next(self._rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(self._file, self.line, "line", str(error), "cells with commas between them")
            except (EOFError, OSError, zlib.error) as error:
                yield BadRow(self._file, self.line, "line", f"a file that breaks off ({error})", "the rest of it")
                return


def import_prices(
    store: Store,
    paths: Sequence[str],
    options: Options,
    now: datetime,
    progress: Progress | None = None,
    stdin: BinaryIO | None = None,
) -> list[FileReport]:
    """Store the bars of CSV files, plain or gzip, ``-`` for the standard input.

    All headers are read before anything is stored: BadInput for a file that can't be opened or used. StoreLocked when
    somebody holds the database for longer than half a minute; what was stored until then stays.
    """
    with ExitStack() as stack:
        files = [_open(path, options, now, stack, stdin) for path in paths]
        for file in files:
            for part in _parts(file):
                _put(store, part, options.source, now, file.report)
                if progress is not None:
                    progress(file.report.file, file.raw.tell(), file.size, file.report.rows)
    return [file.report for file in files]


def _open(path: str, options: Options, now: datetime, stack: ExitStack, stdin: BinaryIO | None) -> _Opened:
    name = "standard input" if path == "-" else path
    raw: io.BufferedReader
    try:
        if path == "-":
            given = stdin.read() if stdin is not None else b""
            raw = io.BufferedReader(io.BytesIO(given))
            size = len(given)
        else:
            raw = stack.enter_context(Path(path).open("rb"))  # noqa: SIM115 (the stack closes it)
            size = Path(path).stat().st_size
        packed = raw.peek(2)[:2] == b"\x1f\x8b"
    except OSError as error:
        raise BadInput("the file can't be read", name, error.strerror) from None
    binary = gzip.GzipFile(fileobj=raw) if packed else raw
    text = io.TextIOWrapper(binary, encoding="utf-8-sig", errors="replace", newline="")
    lines = _Lines(name, stack.enter_context(text))
    header = next(iter(lines), None)
    if isinstance(header, BadRow):
        raise BadInput("the header can't be used", name, f"found {header.found}, expected {header.expected}")
    layout = read_layout(name, header or [], options)
    return _Opened(RowReader(layout, options, now), lines, FileReport(name, layout.unused), raw, size)


def _parts(file: _Opened) -> Iterator[list[tuple[int, Bar]]]:
    """The good lines of a file as (line, bar), so many at a time; the bad ones go into its report."""
    part: list[tuple[int, Bar]] = []
    for cells in file.lines:
        if not cells:  # an empty line
            continue
        file.report.rows += 1
        bar = cells if isinstance(cells, BadRow) else file.reader.read(cells, file.lines.line)
        if isinstance(bar, BadRow):
            file.report.refuse(bar)
            continue
        part.append((file.lines.line, bar))
        if len(part) >= _AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def _put(store: Store, part: Sequence[tuple[int, Bar]], source: str, now: datetime, report: FileReport) -> None:
    """Store some bars; what became of each goes into the report."""
    try:
        with store.writing(WAIT_S) as connection:
            merged = merge_bars(connection, [bar for _, bar in part], source, now)
    except StoreLocked as error:
        done = report.added + report.updated + report.unchanged
        told = f"{done:,} bars of {report.file} are stored, import it again once it is free"
        raise StoreLocked(str(error.subject), error.holder_pid, told) from error
    for line, bar in (part[place] for place in merged.unfinished):
        found = f"a bar of {span_text(bar.bucket_width)} from {bar.bucket_start:%Y-%m-%dT%H:%MZ} on"
        report.refuse(BadRow(report.file, line, "time", found, f"one that was over by {now:%Y-%m-%dT%H:%MZ}"))
    report.added += merged.added
    report.updated += merged.updated
    report.unchanged += merged.unchanged
    left_out = frozenset(merged.unfinished)
    for place, (_, bar) in enumerate(part):
        if place not in left_out:
            report.symbols.add(bar.symbol)
            report.first_at = min(report.first_at or bar.bucket_start, bar.bucket_start)
            report.last_at = max(report.last_at or bar.bucket_start, bar.bucket_start)
