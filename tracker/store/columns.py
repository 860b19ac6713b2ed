"""Rows cross the border as columns, one statement a table: 600 times faster than row by row (performance notes)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tracker.store.connect import Connection


def _bindable(kind: str, column: Sequence[Any]) -> list[Any]:
    if kind != "TIMESTAMP":
        return list(column)
    return [value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value for value in column]


def insert_columns(connection: Connection, table: str, types: dict[str, str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert ``rows`` (in the order of ``types``: column -> SQL type) into ``table``; nothing for no rows."""
    if not rows:
        return
    columns = [_bindable(kind, column) for kind, column in zip(types.values(), zip(*rows, strict=True), strict=True)]
    values = ", ".join(f"unnest(${number}::{kind}[])" for number, kind in enumerate(types.values(), 1))
    connection.execute(f"INSERT INTO {table} ({', '.join(types)}) SELECT {values}", columns)


def stage(connection: Connection, table: str, types: dict[str, str], rows: Sequence[Sequence[Any]]) -> None:
    """A temporary table with these rows."""
    shape = ", ".join(f"{name} {kind}" for name, kind in types.items())
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({shape})")
    insert_columns(connection, table, types, rows)
