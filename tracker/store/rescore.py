"""Another scorer for what is stored: which messages still wait for it, and writing its scores.

The newest row of ``tones`` of a message is the one that its mentions carry; rows of second opinions do not count. So a
scorer that comes back is written again behind the other, and a run that was killed goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tracker.models import Stance, ToneRow
from tracker.store.columns import stage
from tracker.store.connect import Connection, aware_utc, naive_utc, transaction
from tracker.store.write import TONE
from tracker.tone.second import SECOND

_EVER = datetime(1, 1, 1)  # noqa: DTZ001 (TIMESTAMP columns are naive UTC)
_HOUR = timedelta(hours=1)
# the scorer that the mentions of a message carry
_NEWEST = f"""SELECT source, message_id, arg_max(scorer, tones.rowid) AS scorer FROM tones {{among}}
              WHERE NOT starts_with(scorer, '{SECOND}') GROUP BY source, message_id"""


@dataclass(frozen=True, slots=True)
class Span:
    """Some hours in which messages wait for a scorer."""

    from_at: datetime
    to_at: datetime  # exclusive
    messages: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What there is to do for a scorer."""

    spans: tuple[Span, ...]  # oldest first
    without_text: int  # messages whose words are past their retention, so that they keep the tone that they have

    @property
    def messages(self) -> int:
        return sum(span.messages for span in self.spans)


@dataclass(frozen=True, slots=True)
class Unscored:
    """A message that waits, with the symbols that it names."""

    source: str
    id: str
    created_at: datetime
    text: str
    label: int | None  # stance that the author declared
    named: dict[str, str | None]  # symbol -> as it stands in the text


@dataclass(frozen=True, slots=True)
class Rescored:
    """The new scores of one message."""

    tone: ToneRow
    created_at: datetime
    mentions: tuple[tuple[str, float, Stance], ...]  # symbol, tone, stance


def waiting(connection: Connection, scorer: str, since: datetime | None, at_once: int) -> Waiting:
    """The messages that wait for a scorer, in spans of some ``at_once``: whole hours, however many an hour has."""
    rows = connection.execute(
        f"""SELECT date_trunc('hour', created_at) AS hour, count(*) FILTER (text IS NOT NULL), count(*) FILTER (text IS NULL AND newest.scorer IS NOT NULL)
            FROM messages LEFT JOIN ({_NEWEST.format(among="")}) AS newest ON newest.source = messages.source AND newest.message_id = messages.id
            WHERE deleted_at IS NULL AND created_at >= $since AND newest.scorer IS DISTINCT FROM $scorer GROUP BY hour ORDER BY hour""",
        {"scorer": scorer, "since": naive_utc(since) or _EVER},
    ).fetchall()
    spans: list[Span] = []
    for hour, messages, _ in rows:
        if not messages:
            continue
        start = aware_utc(hour)
        assert start is not None
        if spans and spans[-1].messages + messages <= at_once:
            spans[-1] = Span(spans[-1].from_at, start + _HOUR, spans[-1].messages + messages)
        else:
            spans.append(Span(start, start + _HOUR, messages))
    return Waiting(tuple(spans), sum(row[2] for row in rows))


def unscored(connection: Connection, scorer: str, since: datetime | None, span: Span) -> list[Unscored]:
    """The messages of a span that wait, oldest first."""
    rows = connection.execute(
        f"""WITH within AS MATERIALIZED (
                SELECT source, id, created_at, text, label FROM messages
                WHERE text IS NOT NULL AND deleted_at IS NULL AND created_at >= greatest($from_at, $since::TIMESTAMP) AND created_at < $to_at),
            newest AS ({_NEWEST.format(among="SEMI JOIN within ON within.source = tones.source AND within.id = tones.message_id")}),
            found AS (
                SELECT within.* FROM within LEFT JOIN newest ON newest.source = within.source AND newest.message_id = within.id
                WHERE newest.scorer IS DISTINCT FROM $scorer)
            SELECT found.source, found.id, found.created_at, any_value(found.text), any_value(found.label),
                   list({{symbol: mentions.symbol, surface: mentions.surface}} ORDER BY mentions.symbol) FILTER (mentions.symbol IS NOT NULL)
            FROM found LEFT JOIN mentions ON mentions.source = found.source AND mentions.message_id = found.id AND mentions.created_at = found.created_at
            GROUP BY found.source, found.id, found.created_at ORDER BY found.created_at, found.source, found.id""",
        {"scorer": scorer, "since": naive_utc(since) or _EVER, "from_at": naive_utc(span.from_at), "to_at": naive_utc(span.to_at)},
    ).fetchall()  # fmt: skip
    stances = {"bullish": 1, "bearish": -1}
    found = []
    for source, id_, created_at, text, label, named in rows:
        when = aware_utc(created_at)
        assert when is not None
        symbols = {mention["symbol"]: mention["surface"] for mention in named or ()}
        found.append(Unscored(source, id_, when, text, stances.get(label), symbols))
    return found


def write(connection: Connection, rows: Sequence[Rescored]) -> int:
    """Put scores in place, in one transaction: all of them or none. How many mentions changed."""
    with transaction(connection):
        add_tones(connection, [row.tone for row in rows])
        mentions = [
            (row.tone.source, row.tone.message_id, symbol, row.created_at, tone, stance)
            for row in rows
            for symbol, tone, stance in row.mentions
        ]
        types = {"source": "VARCHAR", "message_id": "VARCHAR", "symbol": "VARCHAR", "created_at": "TIMESTAMP", "tone": "DOUBLE", "stance": "TINYINT"}  # fmt: skip
        stage(connection, "rescored_mentions", types, mentions)
        connection.execute("""
            DELETE FROM rescored_mentions AS fresh USING mentions
            WHERE mentions.source = fresh.source AND mentions.message_id = fresh.message_id AND mentions.symbol = fresh.symbol
              AND mentions.created_at = fresh.created_at AND mentions.tone = fresh.tone AND mentions.stance = fresh.stance""")
        row = connection.execute("""
            UPDATE mentions SET tone = fresh.tone, stance = fresh.stance FROM rescored_mentions AS fresh
            WHERE mentions.source = fresh.source AND mentions.message_id = fresh.message_id AND mentions.symbol = fresh.symbol
              AND mentions.created_at = fresh.created_at""").fetchone()
        connection.execute("""
            INSERT INTO touched SELECT DISTINCT symbol, created_at::DATE AS day FROM rescored_mentions ANTI JOIN touched
            ON touched.symbol = rescored_mentions.symbol AND touched.day = rescored_mentions.created_at::DATE""")
    return int(row[0]) if row else 0


def add_tones(connection: Connection, rows: Sequence[ToneRow]) -> None:
    """Rows of ``tones`` as the newest of their messages, in place of older ones of the same scorer. Within the caller's transaction."""
    cells = [tuple(getattr(row, name) for name in TONE) for row in rows]
    stage(connection, "fresh_tones", TONE, cells)
    connection.execute("""
        DELETE FROM tones USING fresh_tones AS fresh
        WHERE tones.source = fresh.source AND tones.message_id = fresh.message_id AND tones.scorer = fresh.scorer""")
    # scored while somebody asked that it be forgotten
    connection.execute(f"""
        INSERT INTO tones ({", ".join(TONE)}) SELECT {", ".join(TONE)} FROM fresh_tones AS fresh
        ANTI JOIN tombstones ON tombstones.source = fresh.source AND tombstones.id = fresh.message_id AND tombstones.revision IS NULL""")
