"""What people ask of the database: statements of ours, whole tables, files. Read-only connections come in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import duckdb

from tracker.errors import BadInput
from tracker.render import text
from tracker.store.connect import Connection, describe
from tracker.store.upkeep import TABLES, export_query

__all__ = ["TABLES", "export", "select", "to_parquet"]

_AT_ONCE = 5000


def select(connection: Connection, statement: str, values: Sequence[Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """(columns, rows) of a statement of ours."""
    result = connection.execute(statement, list(values))
    columns = [column[0] for column in result.description or []]
    return columns, result.fetchall()


def export(connection: Connection, name: str, form: str, output: str | None) -> None:
    """Write a table; a page of rows at a time, so that memory stays small."""
    query = export_query(name)
    if form == "parquet":
        place = str(output).replace("'", "''")
        try:
            connection.execute(f"COPY ({query}) TO '{place}' (FORMAT parquet)")
        except duckdb.IOException as error:
            raise BadInput("the file can't be written", output, describe(error)) from None
        return
    try:
        file = sys.stdout if output is None else open(output, "w", encoding="utf-8")  # noqa: PTH123, SIM115 (closed below)
    except OSError as error:
        raise BadInput("the file can't be written", output, error) from None
    try:
        result = connection.execute(query)
        columns = [column[0] for column in result.description or []]
        first = True
        while rows := result.fetchmany(_AT_ONCE):
            part = text(columns, rows, form)
            if form == "csv" and not first:
                part = part.split("\n", 1)[1]
            file.write(part + "\n")
            first = False
        if first and form == "csv":
            file.write(",".join(columns) + "\n")
    finally:
        if output is not None:
            file.close()


def to_parquet(connection: Connection, columns: Sequence[str], rows: Sequence[Sequence[Any]], output: str) -> None:
    """Rows of a report as a Parquet file."""
    if not rows:
        raise BadInput("the report has no rows to write", output)
    values = ", ".join(f'unnest(${number}) AS "{name}"' for number, name in enumerate(columns, 1))
    place = output.replace("'", "''")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE report_rows AS SELECT " + values,
        [list(column) for column in zip(*rows, strict=True)],
    )
    connection.execute(f"COPY report_rows TO '{place}' (FORMAT parquet)")
