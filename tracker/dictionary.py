"""The data dictionary: every table, view and macro of the file in words, written from what the file says of itself.

Tables and their columns speak through their comments, metrics through the comment above their definition. Columns that
only a view or a table macro has are defined in ``queries/dictionary.toml``, because a macro can't carry comments.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from tracker.reports import reports
from tracker.store import Connection
from tracker.store.sqlfiles import folder, script

BEGIN = "<!-- generated from the database: tracker.metrics.dictionary -->"
END = "<!-- end of the generated part -->"

_DEFINED = re.compile(r"^CREATE OR REPLACE (MACRO|VIEW) (\w+)(\(([^)]*)\) AS (TABLE)?)?")


@dataclass(frozen=True, slots=True)
class Words:
    """``queries/dictionary.toml``: what the database can't say of itself."""

    homes: Mapping[str, str]  # view or macro -> table in which its columns are looked up
    parameters: Mapping[str, str]  # parameter -> meaning
    examples: Mapping[
        str, str
    ]  # parameter -> SQL to call a table macro with, when only the shape of its answer is asked for
    columns: Mapping[str, str]  # "object.column" or "column" -> meaning


@cache
def words() -> Words:
    found = tomllib.loads(script("dictionary.toml"))
    return Words(found["homes"], found["parameters"], found["examples"], found["columns"])


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
        f"{defined.name}({', '.join(words().examples[name] for name in defined.parameters)})"
        if defined.kind == "table macro"
        else defined.name
    )
    return [(row[0], row[1]) for row in connection.execute(f"DESCRIBE SELECT * FROM {called}").fetchall()]


def _meaning(defined: Defined, column: str, tables: dict[str, tuple[str, list[tuple[str, str, str]]]]) -> str:
    for key in (f"{defined.name}.{column}", column):
        if key in words().columns and not (
            key == column and defined.name in words().homes and _comment(tables, words().homes[defined.name], column)
        ):
            return words().columns[key]
    for home in (words().homes.get(defined.name, "readings"), "readings", "buckets", "symbol_days", "market_days"):
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
                    ("parameter", "meaning"),
                    [(f"`{name}`", words().parameters.get(name, "")) for name in defined.parameters],
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
    lines += [
        "## Scalar macros",
        "",
        "In `queries/macros.sql` and, where one metric alone uses them, beside it in `queries/metrics/`.",
        "",
    ]
    scalars = [d for d in known if d.kind == "scalar macro"]
    lines += _rows(
        ("macro", "parameters", "meaning"),
        [
            (
                f"`{d.name}({', '.join(d.parameters)})`",
                "; ".join(f"`{p}` {words().parameters.get(p, '')}" for p in d.parameters),
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
