"""Author hashes get names that lead nowhere, when the key that they were made with is thrown away."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from tracker.store import scrub
from tracker.store.columns import stage
from tracker.store.connect import Connection, transaction

_LETTERS = 16  # bytes, as a hash has


@dataclass(frozen=True, slots=True)
class Unlinked:
    """What became of the authors of a file."""

    authors: int  # distinct ones that were renamed
    gone: int  # marks of authors whose account is gone; nobody would ever meet them again, so they went too


def unlink(connection: Connection) -> Unlinked:
    """Put a random name in place of each author hash, the same wherever it stands: all of them in one transaction, or none.

    So authors are counted as before, and nothing that is known of the old hashes, their key or the names leads to the new ones.
    """
    with transaction(connection):
        known = connection.execute(
            "SELECT author FROM messages WHERE author IS NOT NULL UNION SELECT author FROM mentions WHERE author IS NOT NULL"
        ).fetchall()
        names = [(author, secrets.token_hex(_LETTERS)) for (author,) in known]
        stage(connection, "renamed_authors", {"author": "VARCHAR", "name": "VARCHAR"}, names)
        for table in ("messages", "mentions"):
            connection.execute(
                f"UPDATE {table} SET author = r.name FROM renamed_authors AS r WHERE {table}.author = r.author"
            )
        row = connection.execute("SELECT count(*) FROM gone_authors").fetchone()
        connection.execute("DELETE FROM gone_authors")
        connection.execute("DROP TABLE renamed_authors")
        scrub.mark(connection, "author key")
    connection.execute("CHECKPOINT")
    return Unlinked(len(names), int(row[0]) if row else 0)
