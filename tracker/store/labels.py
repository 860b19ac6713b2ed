"""The labels that authors declared: what a tone model may learn from. Never a score of our own."""

from __future__ import annotations

from tracker.store.connect import Connection, aware_utc
from tracker.tone.train import Direction, Example

_DIRECTIONS: dict[str, Direction] = {"bullish": 1, "bearish": -1}


def declared(connection: Connection) -> list[Example]:
    """Every stored message with its words and its author's label, oldest first. Reshares repeat somebody else: left out."""
    rows = connection.execute("""
        SELECT m.text, m.label, m.source, m.author, said.symbol, m.created_at FROM messages AS m
        LEFT JOIN (SELECT source, message_id, min(symbol) AS symbol FROM mentions WHERE label IS NOT NULL GROUP BY ALL) AS said
               ON said.source = m.source AND said.message_id = m.id
        WHERE m.label IN ('bullish', 'bearish') AND m.text IS NOT NULL AND m.deleted_at IS NULL AND m.reshare_of IS NULL
        ORDER BY m.created_at, m.source, m.id""").fetchall()
    return [
        Example(text, _DIRECTIONS[label], source, author, symbol, aware_utc(created_at))
        for text, label, source, author, symbol, created_at in rows
    ]
