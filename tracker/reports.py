"""The questions of ``queries/reports``: read from their files, told their parameters, put to the database.

A report is one SELECT under a header of comments that names the question, each parameter with its type and default, and
an example. The same file runs here, behind ``tracker query NAME`` and by hand.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tracker.errors import BadInput
from tracker.store import Connection, aware_utc, naive_utc
from tracker.store.sqlfiles import folder

Value = str | int | float | bool | datetime | date | timedelta
Row = tuple[Any, ...]

_HEADER = re.compile(r"^--\s*(question|parameter|example):\s*(.+)$")
_PARAMETER = re.compile(
    r"^(?P<name>\w+)\s+(?P<type>[A-Z]+)(?:\((?P<of>[^)]*)\))?(?:\s=\s(?P<default>.+?))?\s{2,}(?P<help>\S.*)$"
)
_BOUNDS = re.compile(r"^(-?\d*)\.\.(-?\d*)$")
_SPAN = re.compile(r"^(\d{1,6})\s*(m|min|minutes?|h|hours?|d|days?|w|weeks?)$")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_EXPECTED = {
    "VARCHAR": "text",
    "INTEGER": "a whole number",
    "DOUBLE": "a number",
    "TIMESTAMP": "a time such as 2026-11-22T14:00Z (UTC where no zone is named)",
    "DATE": "a day such as 2026-11-22",
    "INTERVAL": "a span such as 5m, 1h or 7d",
    "BOOLEAN": "true or false",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that a report may be told."""

    name: str
    type: str  # SQL type: VARCHAR, INTEGER, DOUBLE, TIMESTAMP, DATE, INTERVAL, BOOLEAN
    default: str | None  # SQL expression, may use the parameters before it; None: it has to be given
    help: str  # one line for a person
    choices: tuple[str, ...] = ()  # the only texts that are allowed
    low: int | None = None  # bounds of a number, inclusive
    high: int | None = None

    @property
    def expected(self) -> str:
        """What a value has to look like, for a person."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.low is None and self.high is None:
            return _EXPECTED[self.type]
        bounds = [
            f"from {self.low}" if self.low is not None else "",
            f"up to {self.high}" if self.high is not None else "",
        ]
        return " ".join([_EXPECTED[self.type], *(bound for bound in bounds if bound)])


@dataclass(frozen=True, slots=True)
class Report:
    """A question that a person asks, answered by one SELECT."""

    name: str
    question: str
    parameters: tuple[Parameter, ...]
    sql: str  # the SELECT, with $name where a parameter goes, without a semicolon
    example: str  # a command that runs it
    note: str = ""  # what to know when reading the answer


def _parameter(text: str, where: str) -> Parameter:
    matched = _PARAMETER.match(text)
    if matched is None or matched["type"] not in _EXPECTED:
        raise BadInput(
            "a report's parameter line can't be read",
            where,
            f"found {text!r}, expected NAME TYPE = DEFAULT  DESCRIPTION",
        )
    of = matched["of"] or ""
    bounds = _BOUNDS.match(of)
    low, high = (int(end) if end else None for end in bounds.groups()) if bounds else (None, None)
    choices = tuple(of.split("|")) if of and not bounds else ()
    return Parameter(matched["name"], matched["type"], matched["default"], matched["help"], choices, low, high)


def parse_report(name: str, text: str) -> Report:
    """The report in a file's text; BadInput when its header is not as ``queries/README.md`` describes it."""
    lines = text.splitlines()
    size = next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
    told: dict[str, list[str]] = {"question": [], "parameter": [], "example": []}
    notes = []
    for line in lines[:size]:
        matched = _HEADER.match(line)
        if matched:
            told[matched[1]].append(matched[2].rstrip())
        else:
            notes.append(line.removeprefix("--").strip())
    for word in ("question", "example"):
        if len(told[word]) != 1:
            raise BadInput(
                "a report needs one header line of a kind",
                f"{name}.sql",
                f"expected one '-- {word}: …', found {len(told[word])}",
            )
    parameters = tuple(_parameter(line, f"{name}.sql") for line in told["parameter"])
    sql = "\n".join(lines[size:]).strip().removesuffix(";").rstrip()
    return Report(name, told["question"][0], parameters, sql, told["example"][0], " ".join(notes))


def reports() -> list[Report]:
    """All reports, by name."""
    return [
        parse_report(path.stem, path.read_text(encoding="utf-8"))
        for path in sorted((folder() / "reports").glob("*.sql"))
    ]


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}? " if close else ""


def load_report(name: str) -> Report:
    """The report of this name; BadInput with the nearest one when there is none."""
    known = sorted(path.stem for path in (folder() / "reports").glob("*.sql"))
    if name not in known:
        raise BadInput("there is no such report", name, f"{_nearest(name, known)}known are {', '.join(known)}")
    return parse_report(name, (folder() / "reports" / f"{name}.sql").read_text(encoding="utf-8"))


def _convert(parameter: Parameter, text: str) -> Value:
    """``text`` as the parameter's type; ValueError when it is something else."""
    value = text.strip()
    match parameter.type:
        case "INTEGER" | "DOUBLE":
            number = int(value) if parameter.type == "INTEGER" else float(value)
            low, high = (
                -(2**31) if parameter.low is None else parameter.low,
                2**31 - 1 if parameter.high is None else parameter.high,
            )
            if not math.isfinite(number) or not low <= number <= high:
                raise ValueError(value)
            return number
        case "TIMESTAMP":
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        case "DATE":
            return date.fromisoformat(value)
        case "INTERVAL":
            matched = _SPAN.match(value.lower())
            if matched is None:
                raise ValueError(value)
            return timedelta(**{_UNITS[matched[2][0]]: int(matched[1])})
        case "BOOLEAN":
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.lower()]
        case _:
            if not value or (parameter.choices and value not in parameter.choices):
                raise ValueError(value)
            return canonical(value) if parameter.name == "symbol" else value


def canonical(symbol: str) -> str:
    """A symbol as people type it (`$baba`) in the spelling of the file (`BABA`)."""
    return symbol.strip().removeprefix("$").upper()


def bind(report: Report, given: Mapping[str, str]) -> dict[str, Value]:
    """The given texts as typed values; BadInput for an unknown or missing name and for a value that doesn't fit."""
    known = {parameter.name: parameter for parameter in report.parameters}
    for name in given:
        if name not in known:
            takes = f"{report.name} takes {', '.join(known)}" if known else f"{report.name} takes none"
            raise BadInput(
                "there is no such parameter", f"{name}={given[name]}", f"{_nearest(name, list(known))}{takes}"
            )
    values = {}
    for name, parameter in known.items():
        if name not in given:
            if parameter.default is None:
                raise BadInput(
                    "a parameter is missing",
                    f"{name} of {report.name}",
                    f"expected {parameter.expected}: {parameter.help}",
                )
            continue
        try:
            values[name] = _convert(parameter, given[name])
        except (ValueError, KeyError, OverflowError):
            raise BadInput(
                "a parameter can't be used", f"{name}={given[name]!r}", f"expected {parameter.expected}"
            ) from None
    return values


def from_database(value: Any) -> Any:
    """A value as the program holds it: times aware UTC."""
    return aware_utc(value) if isinstance(value, datetime) else value


def to_database(value: Any) -> Any:
    """A value as TIMESTAMP columns hold it: aware times made naive UTC."""
    return naive_utc(value) if isinstance(value, datetime) else value


def _typed(report: Report, sql: str) -> str:
    """``sql`` with each of the report's parameters cast to its type: an unknown value (NULL) has none of its own."""
    types = {parameter.name: parameter.type for parameter in report.parameters}
    return re.sub(
        r"\$(\w+)", lambda found: f"CAST({found[0]} AS {types[found[1]]})" if found[1] in types else found[0], sql
    )


def settle(connection: Connection, report: Report, values: Mapping[str, Value]) -> dict[str, Any]:
    """Every parameter as the database takes it: what was given, and for the rest what its default says in this file."""
    settled: dict[str, Any] = {}
    for parameter in report.parameters:
        if parameter.name in values:
            settled[parameter.name] = to_database(values[parameter.name])
            continue
        default = parameter.default or "NULL"
        used = {name: settled[name] for name in re.findall(r"\$(\w+)", default)}
        row = connection.execute(f"SELECT CAST({_typed(report, default)} AS {parameter.type})", used).fetchone()
        settled[parameter.name] = row[0] if row else None
    return settled


def run(connection: Connection, report: Report, values: Mapping[str, Value]) -> tuple[list[str], list[Row]]:
    """The columns and rows of the answer; ``values`` come from ``bind``."""
    done = connection.execute(_typed(report, report.sql), settle(connection, report, values))
    columns = [column[0] for column in done.description or []]
    return columns, [tuple(from_database(value) for value in row) for row in done.fetchall()]
