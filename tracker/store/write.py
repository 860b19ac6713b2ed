"""Committing batches: rows, tombstones, cursors, limits and the attempts themselves, in one transaction.

Unique by (source, id) without an index: new rows are those that an anti-join over the stored rows *of their own span
of time* does not find (a primary key on ten million text ids costs 0.6 s a flush and six times the space). Rows
whose claimed time was impossible are looked up in the whole table. Staged rows are folded in Python first, so that a
message that comes twice, or is edited or deleted in the same flush, is written once, as it stands at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter

from tracker.models import BallotRow, Batch, DeletionRow, MentionRow, MessageRow, ToneRow, newer
from tracker.store import scrub
from tracker.store.aside import write_aside
from tracker.store.ballots import drop_ballots, write_ballots
from tracker.store.columns import insert_columns, stage
from tracker.store.connect import Connection, naive_utc
from tracker.store.recheck import save_rechecks
from tracker.store.state import save_streams

MESSAGE = {
    "source": "VARCHAR", "id": "VARCHAR", "stream": "VARCHAR", "created_at": "TIMESTAMP", "fetched_at": "TIMESTAMP",
    "time_flag": "BOOLEAN", "author": "VARCHAR", "text": "VARCHAR", "lang": "VARCHAR", "url": "VARCHAR", "label": "VARCHAR",
    "reply_to": "VARCHAR", "reshare_of": "VARCHAR", "likes": "BIGINT", "reshares": "BIGINT", "replies": "BIGINT",
    "text_key": "UBIGINT", "revision": "VARCHAR",
}  # fmt: skip
MENTION = {
    "source": "VARCHAR", "message_id": "VARCHAR", "symbol": "VARCHAR", "match": "VARCHAR", "surface": "VARCHAR",
    "confidence": "DOUBLE", "created_at": "TIMESTAMP", "fetched_at": "TIMESTAMP", "author": "VARCHAR", "text_key": "UBIGINT",
    "stance": "TINYINT", "tone": "DOUBLE", "label": "TINYINT", "reshare": "BOOLEAN", "reshare_of": "VARCHAR",
}  # fmt: skip
TONE = {
    "source": "VARCHAR",
    "message_id": "VARCHAR",
    "scorer": "VARCHAR",
    "tone": "DOUBLE",
    "p_bullish": "DOUBLE",
    "stance": "TINYINT",
}
POLL = {
    "source": "VARCHAR", "stream": "VARCHAR", "started_at": "TIMESTAMP", "duration_ms": "BIGINT", "up": "TINYINT", "status": "VARCHAR",
    "http_status": "INTEGER", "fetched": "BIGINT", "added": "BIGINT", "updated": "BIGINT", "skipped": "BIGINT", "bytes": "BIGINT",
    "requests": "INTEGER", "error": "VARCHAR", "retry_after_s": "DOUBLE", "covers_from": "TIMESTAMP", "brings": "VARCHAR",
}  # fmt: skip

Key = tuple[str, str]

# dataclasses.astuple copies deeply and takes ten times as long as the insert itself
_message_cells = attrgetter(*MESSAGE)
_mention_cells = attrgetter(*(name for name in MENTION if name != "reshare_of"))
_tone_cells = attrgetter(*TONE)
_deletion_cells = attrgetter("source", "id", "author", "revision", "deleted_at")
_gap_cells = attrgetter("source", "stream", "from_at", "to_at", "reason", "found_at")
_DELTA = "CREATE OR REPLACE TEMP TABLE delta (source VARCHAR, message_id VARCHAR, symbol VARCHAR, created_at TIMESTAMP, text_key UBIGINT)"


@dataclass(frozen=True, slots=True)
class Applied:
    """What a commit changed: items that were new; messages replaced or deleted, headlines and bars that were amended."""

    added: int
    updated: int


@dataclass(slots=True)
class _Folded:
    """The batches of one flush as one change: one row a message, in its last state."""

    messages: dict[Key, MessageRow]
    owner: dict[Key, int]  # index of the batch that brought it first
    mentions: dict[Key, tuple[MentionRow, ...]]
    tones: dict[Key, ToneRow]
    deletions: list[DeletionRow]
    ballots: list[BallotRow]  # every state that was seen, in the order of the batches


def fold(batches: Sequence[Batch]) -> _Folded:
    """Later news of a message replace its content; where and when it was first seen stays."""
    folded = _Folded({}, {}, {}, {}, [], [])
    for number, batch in enumerate(batches):
        mentions: dict[Key, list[MentionRow]] = {}
        for mention in batch.mentions:
            mentions.setdefault((mention.source, mention.message_id), []).append(mention)
        tones = {(tone.source, tone.message_id): tone for tone in batch.tones}
        for row in batch.messages:
            key = (row.source, row.id)
            before = folded.messages.get(key)
            if before is None:
                folded.messages[key], folded.owner[key] = row, number
            elif newer(row.revision, before.revision):
                row = replace(
                    row,
                    stream=before.stream,
                    fetched_at=before.fetched_at,
                    created_at=before.created_at,
                    time_flag=before.time_flag,
                )
                folded.messages[key] = row
            else:
                folded.messages[key] = replace(
                    before,
                    likes=row.likes if row.likes is not None else before.likes,
                    reshares=row.reshares if row.reshares is not None else before.reshares,
                    replies=row.replies if row.replies is not None else before.replies,
                )
                continue
            # one mention a symbol, though a page may hold the message twice, and at the time that the message is stored with
            named = {mention.symbol: mention for mention in mentions.get(key, ())}
            folded.mentions[key] = tuple(
                mention if mention.created_at == row.created_at else replace(mention, created_at=row.created_at)
                for mention in named.values()
            )
            if key in tones:
                folded.tones[key] = tones[key]
        folded.deletions.extend(batch.deletions)
        folded.ballots.extend(batch.ballots)
    return folded


def apply(connection: Connection, batches: Sequence[Batch], sequence: int | None = None) -> Applied:
    """Commit ``batches`` (in the order of their fetched_at); the caller holds the transaction.

    ``sequence`` is the number of the last journal record among them, stored with the rows.
    """
    folded = fold(batches)
    added = [0] * len(batches)
    updated = [0] * len(batches)
    connection.execute(_DELTA)
    if folded.messages:
        _write_messages(connection, folded, added, updated)
    if folded.deletions:
        gone = _write_deletions(connection, folded.deletions)
        if updated:
            updated[-1] += gone
    _touch(connection)
    write_aside(connection, batches, added, updated)
    _write_attempts(connection, batches, added, updated)
    if sequence is not None:
        connection.execute("UPDATE journal_applied SET sequence = ?", [sequence])
    return Applied(sum(added), sum(updated))


def _write_messages(connection: Connection, folded: _Folded, added: list[int], updated: list[int]) -> None:
    rows = [(*_message_cells(row), folded.owner[key]) for key, row in folded.messages.items()]
    stage(connection, "staged", {**MESSAGE, "owner": "INTEGER"}, rows)
    # known: what is stored of the staged messages, looked up in their own span of time
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE known AS
        WITH span AS (SELECT min(created_at) - INTERVAL 1 HOUR AS from_at, max(created_at) + INTERVAL 1 HOUR AS to_at FROM staged WHERE NOT time_flag)
        SELECT source, id, created_at, revision, deleted_at, likes, reshares, replies FROM messages
        WHERE created_at BETWEEN (SELECT from_at FROM span) AND (SELECT to_at FROM span)
          AND (source, id) IN (SELECT (source, id) FROM staged)""")
    _know_more(connection, folded)
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE fresh AS
        SELECT staged.* FROM staged
        ANTI JOIN known ON known.source = staged.source AND known.id = staged.id
        ANTI JOIN tombstones ON tombstones.source = staged.source AND tombstones.id = staged.id
              AND (staged.revision IS NULL OR tombstones.revision IS NULL OR staged.revision <= tombstones.revision)
        ANTI JOIN gone_authors ON gone_authors.source = staged.source AND gone_authors.author = staged.author AND staged.created_at <= gone_authors.deleted_at""")
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE edited AS
        SELECT staged.* REPLACE (known.created_at AS created_at) FROM staged JOIN known ON known.source = staged.source AND known.id = staged.id
        ANTI JOIN gone_authors ON gone_authors.source = staged.source AND gone_authors.author = staged.author AND staged.created_at <= gone_authors.deleted_at
        WHERE staged.revision IS NOT NULL AND (known.revision IS NULL OR staged.revision > known.revision)
          AND (known.deleted_at IS NULL OR known.revision IS NOT NULL)
          AND NOT EXISTS (SELECT 1 FROM tombstones WHERE tombstones.source = staged.source AND tombstones.id = staged.id
                          AND (tombstones.revision IS NULL OR staged.revision <= tombstones.revision))""")
    for owner, number in connection.execute("SELECT owner, count(*) FROM fresh GROUP BY owner").fetchall():
        added[owner] += number
    for owner, number in connection.execute("SELECT owner, count(*) FROM edited GROUP BY owner").fetchall():
        updated[owner] += number
    columns = ", ".join(MESSAGE)
    connection.execute(f"INSERT INTO messages ({columns}) SELECT {columns} FROM fresh ORDER BY created_at, source, id")
    _refresh_counters(connection)
    changed = connection.execute("SELECT source, id, created_at FROM edited").fetchall()
    if changed:
        _replace_content(connection)
    accepted = dict.fromkeys(connection.execute("SELECT source, id FROM fresh").fetchall())
    recreated = {(source, id_): created_at for source, id_, created_at in changed}
    mentions = [_mention_cells(m) for key in accepted for m in folded.mentions.get(key, ())]
    mentions += [
        _mention_cells(replace(m, created_at=recreated[key])) for key in recreated for m in folded.mentions.get(key, ())
    ]
    keys = [*accepted, *recreated]
    _insert_mentions(connection, mentions)
    insert_columns(connection, "tones", TONE, [_tone_cells(folded.tones[key]) for key in keys if key in folded.tones])
    if changed:
        drop_ballots(connection, "edited")
    write_ballots(connection, folded.ballots)


def _know_more(connection: Connection, folded: _Folded) -> None:
    """Those whose stored time may be far from the staged one: impossible claims, and what was deleted and made again."""
    # stored under a clamped time, and the claim has become possible since: few rows, skipped by their statistics
    connection.execute("""
        INSERT INTO known SELECT source, id, created_at, revision, deleted_at, likes, reshares, replies FROM messages
        WHERE time_flag AND (source, id) IN (SELECT (source, id) FROM staged) AND (source, id) NOT IN (SELECT (source, id) FROM known)""")
    stage(
        connection,
        "deleted_now",
        {"source": "VARCHAR", "id": "VARCHAR"},
        [(row.source, row.id) for row in folded.deletions if row.id is not None],
    )
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE sought AS
        SELECT source, id FROM staged WHERE time_flag
        UNION SELECT source, id FROM staged SEMI JOIN deleted_now USING (source, id)
        UNION SELECT source, id FROM staged SEMI JOIN tombstones USING (source, id)
        UNION SELECT source, id FROM staged SEMI JOIN gone_authors USING (source, author)""")
    connection.execute("DELETE FROM sought WHERE (source, id) IN (SELECT (source, id) FROM known)")
    row = connection.execute("SELECT count(*) FROM sought").fetchone()
    if row and row[0]:
        connection.execute("""
            INSERT INTO known SELECT source, id, created_at, revision, deleted_at, likes, reshares, replies FROM messages
            WHERE (source, id) IN (SELECT (source, id) FROM sought)""")


def _insert_mentions(connection: Connection, rows: list[tuple[object, ...]]) -> None:
    if not rows:
        return
    types = {name: kind for name, kind in MENTION.items() if name != "reshare_of"}
    stage(connection, "staged_mentions", types, rows)
    connection.execute(f"""
        INSERT INTO mentions ({", ".join(types)}, reshare_of)
        SELECT m.*, s.reshare_of FROM staged_mentions AS m JOIN staged AS s ON s.source = m.source AND s.id = m.message_id
        ORDER BY m.created_at, m.source, m.message_id, m.symbol""")
    connection.execute("INSERT INTO delta SELECT source, message_id, symbol, created_at, text_key FROM staged_mentions")


def _refresh_counters(connection: Connection) -> None:
    """Likes, reshares and replies as last seen; a source that says nothing leaves them alone."""
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE counters AS
        SELECT staged.source, staged.id, known.created_at, coalesce(staged.likes, known.likes) AS likes,
               coalesce(staged.reshares, known.reshares) AS reshares, coalesce(staged.replies, known.replies) AS replies
        FROM staged JOIN known ON known.source = staged.source AND known.id = staged.id
        WHERE known.deleted_at IS NULL
          AND (coalesce(staged.likes, known.likes) IS DISTINCT FROM known.likes OR coalesce(staged.reshares, known.reshares) IS DISTINCT FROM known.reshares
               OR coalesce(staged.replies, known.replies) IS DISTINCT FROM known.replies)""")
    if not connection.execute("SELECT count(*) FROM counters").fetchone()[0]:  # type: ignore[index]
        return
    connection.execute("""
        UPDATE messages SET likes = c.likes, reshares = c.reshares, replies = c.replies FROM counters AS c
        WHERE messages.source = c.source AND messages.id = c.id AND messages.created_at = c.created_at""")
    # a spike names the message passed on most: where one stands, it is looked at again
    connection.execute("""
        INSERT INTO delta SELECT m.source, m.message_id, m.symbol, m.created_at, NULL FROM mentions AS m
        JOIN counters AS c ON c.source = m.source AND c.id = m.message_id AND c.created_at = m.created_at
        WHERE (m.symbol, m.created_at::DATE) IN (SELECT (symbol, bucket_start::DATE) FROM spikes)""")


def _replace_content(connection: Connection) -> None:
    """An edit: the newest text, and the mentions and tones that go with it."""
    connection.execute("""
        UPDATE messages SET text = e.text, text_key = e.text_key, lang = e.lang, label = e.label, url = e.url, revision = e.revision,
               author = e.author, reply_to = e.reply_to, reshare_of = e.reshare_of, deleted_at = NULL
        FROM edited AS e WHERE messages.source = e.source AND messages.id = e.id AND messages.created_at = e.created_at""")
    _remove_mentions(connection, "SELECT source, id, created_at FROM edited")


def _remove_mentions(connection: Connection, of: str) -> None:
    """Take away mentions and tones of the messages that the query ``of`` (source, id, created_at) gives; they are touched."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE removed AS {of}")
    connection.execute("""
        INSERT INTO delta SELECT m.source, m.message_id, m.symbol, m.created_at, m.text_key FROM mentions AS m
        JOIN removed AS r ON r.source = m.source AND r.id = m.message_id AND r.created_at = m.created_at""")
    connection.execute("""
        DELETE FROM mentions USING removed AS r WHERE mentions.source = r.source AND mentions.message_id = r.id AND mentions.created_at = r.created_at""")
    connection.execute("DELETE FROM tones USING removed AS r WHERE tones.source = r.source AND tones.message_id = r.id")


def _write_deletions(connection: Connection, deletions: list[DeletionRow]) -> int:
    """Text and author go, mentions and tones too; a tombstone stays, so that a replayed message does not come back."""
    by_id = [row for row in deletions if row.id is not None]
    by_author = [row for row in deletions if row.id is None and row.author is not None]
    types = {
        "source": "VARCHAR",
        "id": "VARCHAR",
        "author": "VARCHAR",
        "revision": "VARCHAR",
        "deleted_at": "TIMESTAMP",
    }
    stage(connection, "deleted_ids", types, [_deletion_cells(row) for row in by_id])
    stage(connection, "deleted_authors", types, [_deletion_cells(row) for row in by_author])
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE tombstones_new AS
        SELECT source, id, CASE WHEN bool_and(revision IS NOT NULL) THEN max(revision) END AS revision, min(deleted_at) AS deleted_at
        FROM deleted_ids GROUP BY source, id""")
    connection.execute("""
        DELETE FROM tombstones USING tombstones_new AS t WHERE tombstones.source = t.source AND tombstones.id = t.id
           AND tombstones.revision IS NOT NULL AND (t.revision IS NULL OR t.revision > tombstones.revision)""")
    connection.execute("INSERT INTO tombstones SELECT * FROM tombstones_new ANTI JOIN tombstones USING (source, id)")
    connection.execute("""
        INSERT INTO gone_authors SELECT d.source, d.author, max(d.deleted_at) FROM deleted_authors AS d
        ANTI JOIN gone_authors AS g ON g.source = d.source AND g.author = d.author AND g.deleted_at >= d.deleted_at GROUP BY d.source, d.author""")
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE erased AS
        SELECT source, id, created_at, min(deleted_at) AS deleted_at FROM (
        SELECT m.source, m.id, m.created_at, d.deleted_at FROM messages AS m JOIN tombstones_new AS d ON d.source = m.source AND d.id = m.id
        WHERE m.deleted_at IS NULL AND (m.revision IS NULL OR d.revision IS NULL OR m.revision <= d.revision)
        UNION ALL
        SELECT m.source, m.id, m.created_at, d.deleted_at FROM messages AS m JOIN deleted_authors AS d ON d.source = m.source AND d.author = m.author
        WHERE m.deleted_at IS NULL AND m.created_at <= d.deleted_at) GROUP BY source, id, created_at""")
    connection.execute("""
        UPDATE messages SET text = NULL, author = NULL, text_key = NULL, label = NULL, url = NULL, deleted_at = e.deleted_at
        FROM erased AS e WHERE messages.source = e.source AND messages.id = e.id AND messages.created_at = e.created_at""")
    _remove_mentions(connection, "SELECT source, id, created_at FROM erased")
    drop_ballots(connection, "erased")
    row = connection.execute("SELECT count(*) FROM erased").fetchone()
    gone = int(row[0]) if row else 0
    if gone:
        scrub.mark(connection, "deletion")
    return gone


def erase(connection: Connection, deletions: list[DeletionRow]) -> int:
    """Deletions that no poll brought; what they touch is rolled up again. How many messages went. Within the caller's transaction."""
    connection.execute(_DELTA)
    gone = _write_deletions(connection, deletions)
    _touch(connection)
    return gone


def _touch(connection: Connection) -> None:
    """Which symbol-days have to be rolled up again: those of the change, and those whose messages it turns into copies or back."""
    connection.execute("""
        INSERT INTO touched
        WITH changed AS (SELECT DISTINCT * FROM delta), span AS (SELECT min(created_at) AS from_at, max(created_at) + INTERVAL 24 HOUR AS to_at FROM changed)
        SELECT DISTINCT symbol, day FROM (
            SELECT symbol, created_at::DATE AS day FROM changed
            UNION ALL
            SELECT m.symbol, m.created_at::DATE FROM mentions AS m JOIN changed AS c ON c.symbol = m.symbol AND c.text_key = m.text_key
            WHERE m.created_at BETWEEN (SELECT from_at FROM span) AND (SELECT to_at FROM span)
              AND m.created_at >= c.created_at AND m.created_at <= c.created_at + INTERVAL 24 HOUR AND m.created_at::DATE > c.created_at::DATE
            UNION ALL
            SELECT m.symbol, m.created_at::DATE FROM mentions AS m JOIN changed AS c ON c.symbol = m.symbol AND c.source = m.source AND c.message_id = m.reshare_of
            WHERE m.created_at >= (SELECT from_at FROM span))
        ANTI JOIN touched USING (symbol, day)""")


def _write_attempts(connection: Connection, batches: Sequence[Batch], added: list[int], updated: list[int]) -> None:
    reports = [batch.report for batch in batches]
    insert_columns(
        connection, "polls", POLL,
        [(r.source, r.stream, r.started_at, r.duration_ms, int(r.up), r.status, r.http_status, r.fetched, added[n], updated[n], r.skipped,
          r.bytes, r.requests, r.error, r.retry_after_s, r.covers_from, r.brings) for n, r in enumerate(reports)],
    )  # fmt: skip
    insert_columns(
        connection, "touched_coverage", {"source": "VARCHAR", "stream": "VARCHAR", "from_at": "TIMESTAMP"},
        [(r.source, r.stream, min(r.covers_from, r.started_at)) for r in reports if r.up and r.covers_from is not None],
    )  # fmt: skip
    insert_columns(
        connection, "gaps", {"source": "VARCHAR", "stream": "VARCHAR", "from_at": "TIMESTAMP", "to_at": "TIMESTAMP", "reason": "VARCHAR", "found_at": "TIMESTAMP"},
        [_gap_cells(gap) for batch in batches for gap in batch.gaps],
    )  # fmt: skip
    for batch in batches:
        for limit in batch.limits:
            connection.execute(
                "INSERT OR REPLACE INTO limits VALUES (?, ?, ?, ?)",
                [limit.scope, naive_utc(limit.not_before), limit.reason, _since(batch.fetched_at)],
            )
    passes = [batch.recheck for batch in batches if batch.recheck is not None]
    # each as it stands at the end
    save_rechecks(connection, {(row.source, row.began_at): row for row in passes}.values())
    save_streams(connection, {batch.stream.key: batch.stream for batch in batches if batch.stream is not None}.values())


def _since(moment: datetime) -> datetime | None:
    return naive_utc(moment)
