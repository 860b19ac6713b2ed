"""Which messages a second opinion is asked about: a sample by the hash of their ids, so that everybody draws the same."""

from __future__ import annotations

from datetime import datetime

from tracker.store.connect import Connection, naive_utc


def sample(
    connection: Connection, scorer: str, share: float, since: datetime, limit: int
) -> list[tuple[str, str, str]]:
    """(source, id, text) of messages first known since then that fall into the share and have no such opinion, newest first."""
    mark = "g" if share >= 1 else f"{int(share * 2**32):08x}"
    return connection.execute(
        """SELECT m.source, m.id, m.text FROM messages AS m
           ANTI JOIN (SELECT source, message_id FROM tones WHERE scorer = $scorer) AS asked ON asked.source = m.source AND asked.message_id = m.id
           WHERE m.fetched_at >= $since AND m.text <> '' AND m.deleted_at IS NULL AND substr(md5(m.source || '/' || m.id), 1, 8) < $mark
           ORDER BY m.fetched_at DESC, m.source, m.id LIMIT $limit""",
        {"scorer": scorer, "since": naive_utc(since), "mark": mark, "limit": limit},
    ).fetchall()
