"""Committing what is no talk: headlines, what other services rank, price bars, option volumes.

All of it is written so that a page that comes again changes nothing: what is new is what an anti-join over the stored
rows does not find. A headline stands as it was first seen; a further feed that brings it can only add symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from operator import attrgetter

from tracker.models import BarRow, Batch, HeadlineRow
from tracker.store.columns import stage
from tracker.store.connect import Connection
from tracker.store.prices import put_bars

HEADLINE = {
    "source": "VARCHAR", "id": "VARCHAR", "stream": "VARCHAR", "created_at": "TIMESTAMP", "fetched_at": "TIMESTAMP", "publisher": "VARCHAR",
    "title": "VARCHAR", "text": "VARCHAR", "lang": "VARCHAR", "url": "VARCHAR", "symbols": "VARCHAR[]", "text_key": "UBIGINT",
}  # fmt: skip
RANK = {
    "service": "VARCHAR", "stream": "VARCHAR", "symbol": "VARCHAR", '"at"': "TIMESTAMP", "window_name": "VARCHAR", "rank": "BIGINT",
    "mentions": "BIGINT", "rank_before": "BIGINT", "mentions_before": "BIGINT", "upvotes": "BIGINT", "sentiment": "DOUBLE",
    "sentiment_score": "DOUBLE", "sentiment_label": "VARCHAR", "volume_score": "DOUBLE", "volume_label": "VARCHAR", "fetched_at": "TIMESTAMP",
}  # fmt: skip
OPTION = {
    "symbol": "VARCHAR", '"at"': "TIMESTAMP", "put_volume": "BIGINT", "call_volume": "BIGINT", "put_oi": "BIGINT", "call_oi": "BIGINT",
    "source": "VARCHAR", "fetched_at": "TIMESTAMP",
}  # fmt: skip
_headline_cells = attrgetter(*HEADLINE)
_rank_cells = attrgetter(*(name.strip('"') for name in RANK))
_option_cells = attrgetter(*(name.strip('"') for name in OPTION))


def write_aside(connection: Connection, batches: Sequence[Batch], added: list[int], updated: list[int]) -> None:
    """Write it all; what is new and what was changed is counted at the batch that brought it."""
    _write_headlines(connection, batches, added, updated)
    ranks = [(*_rank_cells(row), number) for number, batch in enumerate(batches) for row in batch.ranks]
    _write_new(connection, "crosscheck", RANK, ("service", "stream", "symbol", "window_name", '"at"'), ranks, added)
    options = [(*_option_cells(row), number) for number, batch in enumerate(batches) for row in batch.options]
    _write_new(connection, "options", OPTION, ("source", "symbol", '"at"'), options, added)
    for number, batch in enumerate(batches):
        for source in dict.fromkeys(bar.source for bar in batch.bars):
            bars = [_cells_of_bar(bar) for bar in batch.bars if bar.source == source]
            merged = put_bars(connection, bars, source, batch.fetched_at)
            added[number] += merged.added
            updated[number] += merged.updated


def _cells_of_bar(bar: BarRow) -> tuple[object, ...]:
    """In the order of ``store.prices.BAR``."""
    prices = (bar.open, bar.high, bar.low, bar.close, bar.adj_close, bar.volume)
    return (bar.symbol, timedelta(seconds=bar.width_s), bar.bucket_start, bar.session, *prices)


def _write_headlines(connection: Connection, batches: Sequence[Batch], added: list[int], updated: list[int]) -> None:
    folded: dict[tuple[str, str], tuple[HeadlineRow, int]] = {}
    for number, batch in enumerate(batches):
        for row in batch.headlines:
            before, owner = folded.get((row.source, row.id), (row, number))
            symbols = tuple(dict.fromkeys((*before.symbols, *row.symbols)))
            folded[row.source, row.id] = (replace(before, symbols=symbols), owner)
    if not folded:
        return
    rows = [(*_headline_cells(row), owner) for row, owner in folded.values()]
    stage(connection, "staged_headlines", {**HEADLINE, "owner": "INTEGER"}, rows)
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE known_headlines AS
        SELECT s.source, s.id, s.symbols, s.owner FROM staged_headlines AS s
        JOIN headlines AS h ON h.source = s.source AND h.id = s.id WHERE NOT list_has_all(h.symbols, s.symbols)""")
    further = connection.execute("SELECT owner, count(*) FROM known_headlines GROUP BY owner").fetchall()
    for owner, number in further:
        updated[owner] += number
    if further:
        connection.execute("""
            UPDATE headlines SET symbols = list_sort(list_distinct(list_concat(headlines.symbols, k.symbols)))
            FROM known_headlines AS k WHERE headlines.source = k.source AND headlines.id = k.id""")
    _insert_new(connection, "headlines", HEADLINE, "staged_headlines", ("source", "id"), added)


def _write_new(
    connection: Connection,
    table: str,
    types: dict[str, str],
    key: tuple[str, ...],
    rows: Sequence[tuple[object, ...]],
    added: list[int],
) -> None:
    """Rows (with the number of their batch at the end) whose key is not stored yet; of equal ones the first."""
    if rows:
        stage(connection, f"staged_{table}", {**types, "owner": "INTEGER"}, rows)
        _insert_new(connection, table, types, f"staged_{table}", key, added)


def _insert_new(
    connection: Connection, table: str, types: dict[str, str], staged: str, key: tuple[str, ...], added: list[int]
) -> None:
    same = " AND ".join(f"t.{column} IS NOT DISTINCT FROM s.{column}" for column in key)
    if '"at"' in key:  # of years of stored rows only those of the staged span are looked at
        same += f' AND t."at" BETWEEN (SELECT min("at") FROM {staged}) AND (SELECT max("at") FROM {staged})'
    columns, order = ", ".join(types), ", ".join(key)
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE fresh_rows AS
        SELECT s.* FROM (SELECT * FROM {staged} QUALIFY row_number() OVER (PARTITION BY {order} ORDER BY owner) = 1) AS s
        WHERE NOT EXISTS (SELECT 1 FROM {table} AS t WHERE {same})""")
    for owner, number in connection.execute("SELECT owner, count(*) FROM fresh_rows GROUP BY owner").fetchall():
        added[owner] += number
    connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM fresh_rows ORDER BY {order}")
