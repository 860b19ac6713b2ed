"""Keeping house: retention, read copies, exports, and the proof that the file is what it should be."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from tracker.errors import StoreError
from tracker.store import scrub
from tracker.store.columns import stage
from tracker.store.connect import FORMAT, Connection, Opening, naive_utc, opened, transaction
from tracker.tone.second import SECOND


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows lost their text, and how many went."""

    texts: int
    mentions: int
    tones: int
    polls: int


def _count(connection: Connection, statement: str, *arguments: datetime | None) -> int:
    row = connection.execute(statement, list(arguments)).fetchone()
    return int(row[0]) if row else 0


def prune(
    connection: Connection,
    text_before: datetime,
    mentions_before: datetime,
    polls_before: datetime,
    text_before_of: Mapping[str, datetime] = MappingProxyType({}),
) -> Pruned:
    """Take away what is past its time. Buckets and readings stay: they hold counts, no words and no people.

    ``text_before_of``: services whose words have a time of their own, in place of ``text_before``.

    What a person has loaded from an archive of their own (streams ``archive/…``) is theirs to keep. So is the knowledge
    of which hours a backfill has read: no poll will ever tell it again.
    """
    with transaction(connection):
        own = [(source, naive_utc(moment)) for source, moment in text_before_of.items()]
        stage(connection, "text_times", {"source": "VARCHAR", "text_before": "TIMESTAMP"}, own)
        past = """text IS NOT NULL AND fetched_at < coalesce((SELECT text_before FROM text_times WHERE text_times.source = {0}.source), ?)"""
        texts = _count(
            connection,
            f"UPDATE messages SET text = NULL WHERE {past.format('messages')} AND NOT starts_with(stream, 'archive/')",
            naive_utc(text_before),
        )
        of = "USING messages AS m WHERE m.source = {0}.source AND m.id = {0}.message_id AND m.created_at < ? AND NOT starts_with(m.stream, 'archive/')"
        mentions = _count(connection, f"DELETE FROM mentions {of.format('mentions')}", naive_utc(mentions_before))
        connection.execute(f"DELETE FROM ballots {of.format('ballots')}", [naive_utc(mentions_before)])
        tones = _count(connection, f"DELETE FROM tones {of.format('tones')}", naive_utc(mentions_before))
        connection.execute(
            f"UPDATE headlines SET text = NULL WHERE {past.format('headlines')}", [naive_utc(text_before)]
        )
        for table in ("headlines", "crosscheck", "options"):  # as long as mentions, which they stand beside
            connection.execute(f"DELETE FROM {table} WHERE fetched_at < ?", [naive_utc(mentions_before)])
        polls = _count(
            connection,
            """DELETE FROM polls WHERE started_at < ? AND NOT starts_with(stream, 'archive/')
               AND NOT (starts_with(stream, 'backfill/') AND covers_from IS NOT NULL)""",
            naive_utc(polls_before),
        )
        # the newest pass says when the next one may begin
        connection.execute(
            """DELETE FROM rechecks WHERE began_at < ?
               AND (source, began_at) NOT IN (SELECT (source, max(began_at)) FROM rechecks GROUP BY source)""",
            [naive_utc(polls_before)],
        )
        if texts:
            scrub.mark(connection, "retention")
        # a stream replays a few days at most: older tombstones can't meet their message again
        connection.execute("DELETE FROM tombstones WHERE deleted_at < ?", [naive_utc(text_before)])
    connection.execute("CHECKPOINT")
    return Pruned(texts, mentions, tones, polls)


def publish(opening: Opening, target: Path) -> None:
    """``COPY FROM DATABASE`` into a file beside the target, then a rename: a reader sees the old copy or the new one."""
    aside = target.with_name(target.name + ".new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError("the read copy can't be made", str(target), error) from error
    with opened(opening, read_only=True, wait_s=10.0) as connection:
        row = connection.execute("SELECT current_database()").fetchone()
        name = str(row[0]) if row else ""
        place = str(aside).replace("'", "''")
        connection.execute(f"ATTACH '{place}' AS published (READ_WRITE, STORAGE_VERSION '{FORMAT}')")
        connection.execute(f'COPY FROM DATABASE "{name}" TO published')
        connection.execute("DETACH published")
    try:
        if target.exists():  # whoever may read the old copy may read the new one
            aside.chmod(stat.S_IMODE(target.stat().st_mode))
        aside.replace(target)
    except OSError as error:
        raise StoreError("the read copy can't be put in its place", str(target), error) from error


TABLES = (
    "messages",
    "mentions",
    "tones",
    "buckets",
    "readings",
    "spikes",
    "polls",
    "gaps",
    "symbols",
    "streams",
    "prices",
    "ballots",
    "headlines",
    "crosscheck",
    "options",
    "alerts",
    "coverage_hours",
    "market_days",
    "symbol_days",
    "symbol_lists",
    "tombstones",
    "limits",
    "rechecks",
)
_EXPORT_MESSAGES = f"""
    SELECT m.source, m.id, m.stream, m.created_at, m.fetched_at, m.author, m.text, m.deleted_at IS NOT NULL AS deleted, m.deleted_at,
           coalesce(said.symbols, []) AS symbols, m.lang, m.url, m.label, m.reply_to, m.reshare_of, m.likes, m.reshares, m.replies, m.revision,
           tones.tone, tones.p_bullish, tones.scorer
    FROM messages AS m
    LEFT JOIN (SELECT source, message_id, list(symbol ORDER BY symbol) AS symbols FROM mentions GROUP BY ALL) AS said
           ON said.source = m.source AND said.message_id = m.id
    LEFT JOIN (SELECT source, message_id, last(tone) AS tone, last(p_bullish) AS p_bullish, last(scorer) AS scorer FROM tones
               WHERE NOT starts_with(scorer, '{SECOND}') GROUP BY ALL) AS tones  -- the one that mentions carry
           ON tones.source = m.source AND tones.message_id = m.id
    ORDER BY m.created_at, m.source, m.id"""


def export_query(table: str) -> str:
    """What ``tracker export TABLE`` writes: the table, and for messages their symbols and tone with them."""
    return _EXPORT_MESSAGES if table == "messages" else f"SELECT * FROM {table}"


def doubles(connection: Connection) -> list[tuple[str, int]]:
    """Tables whose key is held by the writer alone, with the number of rows that break it: all zero in a sound file."""
    keys = {
        "messages": "source, id",
        "mentions": "source, message_id, symbol",
        "tones": "source, message_id, scorer",
        "ballots": "source, message_id, symbol, position, seen_at",
        "buckets": "symbol, source, bucket_width, bucket_start",
        "readings": 'symbol, window_name, "at"',
        "spikes": "symbol, bucket_width, bucket_start",
        "prices": "symbol, bucket_width, bucket_start, source",
        "headlines": "source, id",
        "crosscheck": 'service, stream, symbol, window_name, "at"',
        "options": 'symbol, source, "at"',
    }
    return [
        (
            table,
            _count(
                connection,
                f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM {table} GROUP BY {key} HAVING count(*) > 1)",
            ),
        )
        for table, key in keys.items()
    ]


def lock_down(connection: Connection) -> None:
    """Before a person's SQL runs: no files, no extensions, nothing of this process, no settings."""
    for setting in (
        "temp_directory = ''",  # what does not fit into memory fails
        "max_temp_directory_size = '0KB'",
        "python_enable_replacements = false",  # a name in a statement is a table, never a variable of ours
        "allow_persistent_secrets = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
