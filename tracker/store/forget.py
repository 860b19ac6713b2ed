"""Forgetting on request: what a person wrote goes, and does not come back.

What a service announces (``write``) ends with its text; what a person asks for goes further: tombstones that no
retention takes away, one for every message, so that neither a poll nor an archive brings it back; and the words that
were told of it, in spikes and alerts. Readings that were taken live are what the meter showed: they are counts and stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tracker.models import Batch, DeletionRow
from tracker.store import derive, scrub
from tracker.store.columns import stage
from tracker.store.connect import Connection, transaction
from tracker.store.write import erase

FOR_EVER = "TIMESTAMP '2200-01-01'"  # of a tombstone that no retention takes away


@dataclass(frozen=True, slots=True)
class Wish:
    """Who asks for what: one message, or everything of one author until now."""

    source: str  # the service, as messages are stored under it
    id: str | None  # native id of a message
    author: str | None  # keyed hash


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a wish reaches: what went, or would go."""

    messages: int  # stored, with their text, author and address
    waiting: int  # not stored yet: they lie in the journal, and will not be
    gone: int  # deleted before; their tombstone is for ever now
    mentions: int
    tones: int
    ballots: int
    spikes: int  # lost their words, which are told again where there is enough left to tell
    alerts: int  # the same; their words are not told again
    symbol_days: int = 0  # rolled up again
    readings: int = 0  # of the simulated clock, taken again

    @property
    def known(self) -> bool:
        """True when the tracker has ever seen it."""
        return bool(self.messages or self.waiting or self.gone)


def waiting_ids(batches: Iterable[Batch], wish: Wish) -> frozenset[str]:
    """Ids of the messages that lie in the journal and are meant."""
    rows = [row for batch in batches for row in batch.messages if row.source == wish.source]
    return frozenset(row.id for row in rows if row.id == wish.id or (wish.author and row.author == wish.author))


def look(connection: Connection, wish: Wish, waiting: frozenset[str]) -> Forgotten:
    """What would go; nothing is changed."""
    _stage(connection, wish, waiting)
    return _count(connection)


def forget(connection: Connection, wish: Wish, waiting: frozenset[str], now: datetime, scorer: str | None) -> Forgotten:
    """Take it away and make anew what was derived from it; ``scorer`` is the name of the one in force."""
    with transaction(connection):
        _stage(connection, wish, waiting)
        found = _count(connection)
        row = connection.execute(
            "SELECT min(m.created_at) FROM mentions AS m JOIN forgotten AS f ON f.source = m.source AND f.id = m.message_id"
        ).fetchone()
        since = row[0] if row else None
        _silence(connection)
        scrub.mark(connection, "deletion")
        meant = [id_ for (id_,) in connection.execute("SELECT id FROM forgotten").fetchall()]
        deletions = [DeletionRow(wish.source, id_, None, None, now) for id_ in meant]
        if wish.author is not None:
            deletions.append(DeletionRow(wish.source, None, wish.author, None, now))
        erase(connection, deletions)
        _leave_nothing_but_the_tombstone(connection)
    days = derive.rollup(connection)
    taken = 0
    if since is not None and (moments := derive.replayed_moments(connection, since)):
        taken = derive.take_readings(connection, moments, None, scorer=scorer, anew=True)
    return Forgotten(
        found.messages, found.waiting, found.gone, found.mentions, found.tones, found.ballots, found.spikes, found.alerts, days, taken
    )  # fmt: skip


def _stage(connection: Connection, wish: Wish, waiting: frozenset[str]) -> None:
    """The table ``forgotten``: every message that is meant, stored or not."""
    ids = waiting | ({wish.id} if wish.id is not None else set())
    stage(connection, "forgotten", {"source": "VARCHAR", "id": "VARCHAR"}, [(wish.source, id_) for id_ in sorted(ids)])
    if wish.author is not None:
        connection.execute(
            "INSERT INTO forgotten SELECT source, id FROM messages WHERE source = $1 AND author = $2 AND id NOT IN (SELECT id FROM forgotten)",
            [wish.source, wish.author],
        )
    stage(connection, "said_to_wait", {"id": "VARCHAR"}, [(id_,) for id_ in sorted(waiting)])


_SPIKES = """spikes WHERE EXISTS (SELECT 1 FROM mentions AS m JOIN forgotten AS f ON f.source = m.source AND f.id = m.message_id
    WHERE m.symbol = spikes.symbol AND m.created_at >= spikes.bucket_start AND m.created_at < spikes.bucket_start + spikes.bucket_width)"""
# an episode is told while it lasts and once when it is over: within two days of what it was made of
_ALERTS = """alerts WHERE contains(body, ' Words: ') AND EXISTS (SELECT 1 FROM mentions AS m JOIN forgotten AS f ON f.source = m.source AND f.id = m.message_id
    WHERE m.symbol = alerts.symbol AND m.created_at BETWEEN alerts."at" - INTERVAL 2 DAY AND alerts."at" + INTERVAL 1 DAY)"""


def _count(connection: Connection) -> Forgotten:
    def number(statement: str) -> int:
        row = connection.execute(statement).fetchone()
        return int(row[0]) if row else 0

    stored = "FROM messages AS m JOIN forgotten AS f ON f.source = m.source AND f.id = m.id"
    beside = "SELECT count(*) FROM {0} JOIN forgotten AS f ON f.source = {0}.source AND f.id = {0}.message_id"
    return Forgotten(
        messages=number(f"SELECT count(*) {stored} WHERE m.deleted_at IS NULL"),
        waiting=number(f"SELECT count(*) FROM said_to_wait WHERE id NOT IN (SELECT m.id {stored})"),
        gone=number(f"SELECT count(*) {stored} WHERE m.deleted_at IS NOT NULL")
        + number(f"SELECT count(*) FROM tombstones SEMI JOIN forgotten USING (source, id) WHERE id NOT IN (SELECT m.id {stored})"),
        mentions=number(beside.format("mentions")),
        tones=number(beside.format("tones")),
        ballots=number(beside.format("ballots")),
        spikes=number(f"SELECT count(*) FROM {_SPIKES} AND top_terms IS NOT NULL"),
        alerts=number(f"SELECT count(*) FROM {_ALERTS}"),
    )  # fmt: skip


def _silence(connection: Connection) -> None:
    """Spikes and alerts lose the words that were told of them: those of a spike are told again by the rollup, from what is left."""
    connection.execute(
        f"UPDATE alerts SET body = regexp_replace(body, ' Words: [^.]*\\.', '') WHERE (rule, symbol, \"at\", channel) IN (SELECT (rule, symbol, \"at\", channel) FROM {_ALERTS})"
    )
    connection.execute(
        f"UPDATE spikes SET top_terms = NULL, top_message_id = NULL WHERE (symbol, bucket_width, bucket_start) IN (SELECT (symbol, bucket_width, bucket_start) FROM {_SPIKES})"
    )


def _leave_nothing_but_the_tombstone(connection: Connection) -> None:
    of = "FROM forgotten AS f WHERE {0}.source = f.source AND {0}.{1} = f.id"
    connection.execute(
        f"""UPDATE messages SET author = NULL, url = NULL, lang = NULL, label = NULL, reply_to = NULL, reshare_of = NULL,
                   likes = NULL, reshares = NULL, replies = NULL, text_key = NULL {of.format("messages", "id")}"""
    )
    for table in ("tones", "ballots"):
        connection.execute(
            f"DELETE FROM {table} USING forgotten AS f WHERE {table}.source = f.source AND {table}.message_id = f.id"
        )
    connection.execute(
        f"UPDATE tombstones SET revision = NULL, deleted_at = {FOR_EVER} {of.format('tombstones', 'id')}"
    )
