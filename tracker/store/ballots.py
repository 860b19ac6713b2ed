"""The polls that messages carry: each state in which one was seen, once.

A ballot stands by its mention: it is kept for the symbols that the stored message names, at the time with which that is
stored, and goes with it. A state that is as the one before it adds nothing; of two at the same moment (the results in
two archives, both known when voting ended) the first stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from tracker.models import BallotRow
from tracker.store.columns import stage
from tracker.store.connect import Connection

BALLOT = {
    "source": "VARCHAR", "message_id": "VARCHAR", "symbol": "VARCHAR", "question": "VARCHAR", "option": "VARCHAR", "position": "INTEGER",
    "votes": "BIGINT", "share": "DOUBLE", "voters": "BIGINT", "closes_at": "TIMESTAMP", "created_at": "TIMESTAMP", "seen_at": "TIMESTAMP",
}  # fmt: skip
_STATE = "struct_pack(q := question, o := option, v := votes, s := share, n := voters, c := closes_at)"
_cells = attrgetter(*BALLOT)


def write_ballots(connection: Connection, rows: Sequence[BallotRow]) -> None:
    """Add the states that are new. Wants the tables ``fresh`` and ``known`` of the flush, its messages and mentions stored."""
    if not rows:
        return
    stage(connection, "staged_ballots", BALLOT, [_cells(row) for row in rows])
    columns = ", ".join(BALLOT)
    connection.execute(f"""
        INSERT INTO ballots ({columns})
        WITH places AS (
            SELECT source, id, created_at FROM fresh UNION SELECT source, id, created_at FROM known
        ), told AS (
            SELECT staged_ballots.* REPLACE (mentions.created_at AS created_at) FROM staged_ballots
            JOIN places ON places.source = staged_ballots.source AND places.id = staged_ballots.message_id
            JOIN mentions ON mentions.source = places.source AND mentions.message_id = places.id AND mentions.created_at = places.created_at
                 AND mentions.symbol = staged_ballots.symbol
        ), states AS (
            SELECT {columns}, true AS is_new FROM told
            UNION ALL
            SELECT {columns}, false FROM ballots WHERE (source, message_id) IN (SELECT (source, message_id) FROM told)
        ), ordered AS (
            SELECT *, {_STATE} AS state, lag({_STATE}) OVER same AS state_before, lag(seen_at) OVER same AS seen_before FROM states
            WINDOW same AS (PARTITION BY source, message_id, symbol, position ORDER BY seen_at, is_new, votes DESC NULLS LAST)
        )
        SELECT {columns} FROM ordered WHERE is_new AND state IS DISTINCT FROM state_before AND seen_at IS DISTINCT FROM seen_before
        ORDER BY seen_at, source, message_id, symbol, position""")


def drop_ballots(connection: Connection, of: str) -> None:
    """Take away what no mention stands for any more, of the messages that the table ``of`` (source, id) names."""
    held = connection.execute(
        f"SELECT 1 FROM ballots JOIN {of} AS o ON o.source = ballots.source AND o.id = ballots.message_id LIMIT 1"
    )
    if held.fetchone() is None:  # the rule: do not look through all mentions for nothing
        return
    connection.execute(f"""
        DELETE FROM ballots USING {of} AS gone WHERE ballots.source = gone.source AND ballots.message_id = gone.id
           AND NOT EXISTS (SELECT 1 FROM mentions WHERE mentions.source = ballots.source AND mentions.message_id = ballots.message_id
                           AND mentions.created_at = ballots.created_at AND mentions.symbol = ballots.symbol)""")
