"""The data dictionary: every table, view and macro of the file in words, written from what the file says of itself.

Tables and their columns speak through their comments, metrics through the comment above their definition. Columns that
only a view or a table macro has are defined here, because a macro can't carry comments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tracker.reports import reports
from tracker.store import Connection
from tracker.store.sqlfiles import folder

BEGIN = "<!-- generated from the database: tracker.metrics.dictionary -->"
END = "<!-- end of the generated part -->"

_DEFINED = re.compile(r"^CREATE OR REPLACE (MACRO|VIEW) (\w+)(\(([^)]*)\) AS (TABLE)?)?")
# words to call a table macro with, when only the shape of its answer is asked for
_WORDS = {
    "for_symbol": "'BABA'",
    "since_at": "TIMESTAMP '2026-11-01'",
    "until_at": "TIMESTAMP '2026-11-22'",
    "at_time": "TIMESTAMP '2026-11-22'",
    "of_width": "INTERVAL 1 DAY",
    "of_window": "'24h'",
    "for_moments": "[TIMESTAMP '2026-11-22']",
    "for_days": "[DATE '2026-11-22']",
    "since_day": "DATE '2026-11-01'",
    "until_day": "DATE '2026-11-22'",
}
PARAMETERS = {
    "for_symbol": "canonical symbol",
    "since_at": "start, UTC",
    "until_at": "end, UTC",
    "at_time": "moment, UTC",
    "of_width": "INTERVAL 5 MINUTE, 1 HOUR or 1 DAY",
    "of_window": "'1h', '24h' or '7d'",
    "for_moments": "list of moments, UTC, aligned to 5 minutes",
    "for_days": "list of UTC days",
    "since_day": "first UTC day",
    "until_day": "UTC day after the last",
    "of_z": "standard score",
    "of_abs": "standard score, not negative",
    "bulls": "B, organic messages with stance 1",
    "bears": "S, organic messages with stance -1",
    "habit_p0": "share of bullish among opinionated messages, 0..1",
    "weight_k": "weight of the habit, in messages",
    "of_p": "probability, between 0 and 1",
    "of_count": "count, 0 or more",
    "of_score": "score 0..100",
    "b1": "band_1 of meter_settings",
    "b2": "band_2 of meter_settings",
    "b3": "band_3 of meter_settings",
    "b4": "band_4 of meter_settings",
    "utc_time": "UTC time",
    "market_zone": "IANA time zone",
}
# columns that no table has, or that mean something else here: 'object.column' before 'column'
COLUMNS = {
    "copied": "somebody said it in the same words in the 24 hours before, or it passes on a stored message",
    "listening.symbol": "symbol whose own streams are meant; NULL for streams that may carry any symbol",
    "listening.source": "service, or * for all together",
    "listening.hour_start": "start of the hour, UTC",
    "listening.streams": "streams that existed in that hour",
    "listening.up": "sum of their covered shares, 0..streams",
    "coverage.source": "service",
    "coverage.stream": "stream within the source",
    "coverage.day": "UTC day",
    "coverage.up": "share of the day that polls covered, 0..1",
    "coverage.gap_seconds": "seconds of the day that are known to be lost",
    "place": "1 for the symbol with most organic messages",
    "message_volume.bucket_start": "start of the interval, UTC, aligned",
    "message_volume.messages": "messages that name the symbol: 0 where people were silent, NULL where nobody listened",
    "message_volume.organic": "messages less the copied ones, NULL where nobody listened",
    "message_volume.authors": "distinct authors, NULL where nobody listened",
    "message_volume.up": "share of the interval that was listened to, 0..1",
    "label": "the label shown",
    "previous_label": "the label shown before it; NULL at the beginning of the data",
    "entered_at": "first reading that showed it, UTC",
    "left_at": "first reading that showed another one, UTC; NULL while it holds",
    "held": "how long it was shown",
    "last_held_until": "when it had been left the last time before, UTC; NULL: the first time in our data",
    "labels_between.readings": "24-hour readings that showed it",
    "first_at": "the first of them, UTC",
    "last_at": "the last of them, UTC",
    "source_health.source": "service",
    "source_health.stream": "stream within the source",
    "source_health.status": "outcome of the last poll",
    "source_health.error": "what went wrong with it, in a sentence",
    "source_health.gaps": "known gaps of the stream",
    "last_poll_at": "start of the last poll, UTC",
    "polls_1d": "polls in the day before the newest poll of all",
    "up_1d": "share of them that worked, 0..1",
    "fetched_1d": "items that they brought",
    "added_1d": "messages of them that were new",
    "skipped_1d": "items of them that could not be read",
    "requests_1d": "requests that they took",
    "last_gap_at": "end of the newest gap, UTC",
}
# where a column of a view or macro is looked up, when it is not above
_HOMES = {
    "mentions_marked": "mentions",
    "marked_between": "mentions",
    "market_baseline": "market_days",
    "symbol_baseline": "symbol_days",
    "volume_spikes": "spikes",
    "source_health": "streams",
}


@dataclass(frozen=True, slots=True)
class Defined:
    """A view or macro as its file defines it."""

    name: str
    file: str  # below queries/
    kind: str  # view, table macro, scalar macro
    parameters: tuple[str, ...]
    header: str  # the comment above it; where it has none, the one of its neighbour above
    shared: bool  # the header is the neighbour's


def definitions() -> list[Defined]:
    """All views and macros, in the order in which they are created."""
    found = []
    for path in [folder() / "macros.sql", *sorted((folder() / "metrics").glob("*.sql"))]:
        header: list[str] = []
        fresh: list[str] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("--"):
                fresh.append(line.removeprefix("--").strip())
                continue
            matched = _DEFINED.match(line)
            if matched:
                header, shared = (fresh, False) if fresh else (header, True)
                kind = "view" if matched[1] == "VIEW" else "table macro" if matched[5] else "scalar macro"
                parameters = tuple(word.strip() for word in (matched[4] or "").split(",") if word.strip())
                found.append(
                    Defined(
                        matched[2], path.relative_to(folder()).as_posix(), kind, parameters, " ".join(header), shared
                    )
                )
            fresh = []
    return found


def example(header: str) -> str | None:
    """The statement that a header gives as its example."""
    matched = re.search(r"Example: (.+?);", header)
    return matched[1] if matched else None


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in (head, tuple("---" for _ in head), *rows)]


def _tables(connection: Connection) -> dict[str, tuple[str, list[tuple[str, str, str]]]]:
    """Table -> its comment and (column, type, comment) of each column, by name."""
    columns: dict[str, list[tuple[str, str, str]]] = {}
    for table, column, kind, comment in connection.execute(
        """SELECT table_name, column_name, data_type, comment FROM duckdb_columns()
           WHERE NOT internal ORDER BY table_name, column_index"""
    ).fetchall():
        columns.setdefault(table, []).append((column, kind, comment or ""))
    tables = connection.execute(
        "SELECT table_name, comment FROM duckdb_tables() WHERE NOT temporary ORDER BY table_name"
    ).fetchall()
    return {name: (comment or "", columns[name]) for name, comment in tables}


def columns_of(connection: Connection, defined: Defined) -> list[tuple[str, str]]:
    """(column, type) of a view or table macro; nothing for a scalar one."""
    if defined.kind == "scalar macro":
        return []
    called = (
        f"{defined.name}({', '.join(_WORDS[name] for name in defined.parameters)})"
        if defined.kind == "table macro"
        else defined.name
    )
    return [(row[0], row[1]) for row in connection.execute(f"DESCRIBE SELECT * FROM {called}").fetchall()]


def _meaning(defined: Defined, column: str, tables: dict[str, tuple[str, list[tuple[str, str, str]]]]) -> str:
    for key in (f"{defined.name}.{column}", column):
        if key in COLUMNS and not (
            key == column and defined.name in _HOMES and _comment(tables, _HOMES[defined.name], column)
        ):
            return COLUMNS[key]
    for home in (_HOMES.get(defined.name, "readings"), "readings", "buckets", "symbol_days", "market_days"):
        found = _comment(tables, home, column)
        if found:
            return found
    return ""


def _comment(tables: dict[str, tuple[str, list[tuple[str, str, str]]]], table: str, column: str) -> str:
    return next((comment for name, _, comment in tables[table][1] if name == column), "")


def dictionary(connection: Connection) -> str:
    """Markdown for every table, view, macro and report: each column with type, unit and definition."""
    tables, known = _tables(connection), definitions()
    lines = ["## Tables", ""]
    for name, (comment, columns) in tables.items():
        lines += [
            f"### {name}",
            "",
            f"{comment}.",
            "",
            *_rows(("column", "type", "meaning"), [(f"`{c}`", k, m) for c, k, m in columns]),
            "",
        ]
    lines += ["## Views and table macros", ""]
    for defined in known:
        if defined.kind == "scalar macro":
            continue
        call = f"{defined.name}({', '.join(defined.parameters)})" if defined.parameters else defined.name
        lines += [
            f"### {call}",
            "",
            f"{defined.kind}, `queries/{defined.file}`",
            "",
            "```",
            *_wrapped(defined.header),
            "```",
            "",
        ]
        if defined.parameters:
            lines += [
                *_rows(
                    ("parameter", "meaning"), [(f"`{name}`", PARAMETERS.get(name, "")) for name in defined.parameters]
                ),
                "",
            ]
        lines += [
            *_rows(
                ("column", "type", "meaning"),
                [(f"`{c}`", k, _meaning(defined, c, tables)) for c, k in columns_of(connection, defined)],
            ),
            "",
        ]
    lines += ["## Scalar macros", "", "All in `queries/macros.sql`.", ""]
    scalars = [d for d in known if d.kind == "scalar macro"]
    lines += _rows(
        ("macro", "parameters", "meaning"),
        [
            (
                f"`{d.name}({', '.join(d.parameters)})`",
                "; ".join(f"`{p}` {PARAMETERS.get(p, '')}" for p in d.parameters),
                d.header,
            )
            for d in scalars
        ],
    )
    lines += ["", "## Reports", ""]
    for report in reports():
        lines += [f"### {report.name}", "", " ".join(part for part in (report.question, report.note) if part), ""]
        if report.parameters:
            rows = [
                (f"`{p.name}`", p.type, f"`{p.default}`" if p.default else "must be given", f"{p.help}: {p.expected}")
                for p in report.parameters
            ]
            lines += [*_rows(("parameter", "type", "default", "meaning"), rows), ""]
        lines += [f"Example: `{report.example}`", ""]
    return "\n".join(lines).rstrip() + "\n"


def _wrapped(text: str) -> list[str]:
    """Sentences on lines of their own, so that a change of one is a change of one line."""
    return re.split(r"(?<=[.;])\s+(?=[A-Z0-9*])", text)


def readme_with(text: str, generated: str) -> str:
    """The README with its generated part replaced."""
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}\n\n{generated}\n{END}{after}"
