"""Rows for people and machines: table, csv, json, jsonl, markdown. Data goes to stdout, talk to stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracker.errors import BadInput
from tracker.log import escape

FORMATS = ("table", "csv", "json", "jsonl", "markdown")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

talk = Console(stderr=True, highlight=False)


def plain(value: Any) -> Any:
    """A value as JSON knows it: times in ISO 8601 with Z, spans in seconds, bytes as hex."""
    if isinstance(value, datetime):
        utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value
        return utc.isoformat(timespec="microseconds" if utc.microsecond else "seconds") + "Z"
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no word for it
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def shown(value: Any) -> str:
    """A value in a table: NULL is a dash, numbers are short, control characters of strangers are escaped."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 0.1 else f"{value:.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S" if value.second else "%Y-%m-%d %H:%M")
    if isinstance(value, timedelta):
        return _span(value)
    if isinstance(value, list):
        return ", ".join(shown(item) for item in value)
    return escape(str(value))


def _span(value: timedelta) -> str:
    """5 min, 1 h, 1 d, 3 d 4 h: the two largest units."""
    seconds = round(value.total_seconds())
    units = [
        (seconds // 86400, "d"),
        (seconds % 86400 // 3600, "h"),
        (seconds % 3600 // 60, "min"),
        (seconds % 60, "s"),
    ]
    return " ".join(f"{number} {unit}" for number, unit in [pair for pair in units if pair[0]][:2]) or "0 s"


def _cell(value: Any) -> str:
    """A CSV cell; what is unknown is empty, text that a spreadsheet would take for a formula gets an apostrophe in front."""
    if value is None:
        return ""
    found = plain(value)
    if found is None:
        return ""
    if isinstance(found, str):
        return f"'{found}" if found.startswith(_FORMULA) else found
    return json.dumps(found) if isinstance(found, list | dict) else str(found)


def _line(cells: Sequence[str]) -> str:
    """Cells as RFC 4180 quotes them; the csv module leaves a lone carriage return bare, where readers end the row."""
    if list(cells) == [""]:
        return '""'  # an empty line would be no row
    return ",".join(
        '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\r\n') else cell for cell in cells
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """A table on stdout; plain text where that is no terminal."""
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 400)
    # as Text: brackets in a stranger's words are no markup
    drawn = Table(
        title=Text(title) if title is not None else None,
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    kept = [list(row) for row in rows]
    for number, column in enumerate(columns):
        numeric = any(isinstance(row[number], int | float) and not isinstance(row[number], bool) for row in kept)
        drawn.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in kept:
        drawn.add_row(*(Text(shown(value)) for value in row))
    console.print(drawn)


def text(columns: Sequence[str], rows: Sequence[Sequence[Any]], form: str) -> str:
    """The rows in one of the machine formats."""
    if form == "json":
        return json.dumps(
            [dict(zip(columns, map(plain, row), strict=True)) for row in rows], ensure_ascii=False, indent=1
        )
    if form == "jsonl":
        return "\n".join(
            json.dumps(dict(zip(columns, map(plain, row), strict=True)), ensure_ascii=False) for row in rows
        )
    if form == "csv":
        return "\n".join(_line(cells) for cells in (columns, *([_cell(value) for value in row] for row in rows)))
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(shown(value).replace("|", r"\|") for value in row) + " |" for row in rows]
    return "\n".join(lines)


def emit(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    form: str,
    output: str | None = None,
    title: str | None = None,
) -> None:
    """Print the rows, or write them to ``output``; BadInput when that can't be written."""
    if form == "table" and output is None:
        table(columns, rows, title)
        return
    content = text(columns, rows, "markdown" if form == "table" else form)
    write_text(output, [content + "\n"] if content else [])


def write_text(output: str | None, parts: Iterable[str]) -> None:
    """To a file, or to stdout without one; BadInput when the file can't be written."""
    if output is None:
        for part in parts:
            sys.stdout.write(part)
        return
    try:
        with open(output, "w", encoding="utf-8") as file:  # noqa: PTH123 (a path as the person wrote it)
            file.writelines(parts)
    except OSError as error:
        raise BadInput("the file can't be written", output, error.strerror) from None
