"""Invented messages as batches, and a real database file made of them: where tests of metrics and briefs start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tracker.models import Batch, GapRow, Label, MentionRow, MessageRow, PollReport, PollStatus, Stance
from tracker.store import derive, migrate
from tracker.store.connect import Opening, opened, transaction
from tracker.store.write import apply
from tracker.text import text_key

METER: dict[str, float | int | str] = {
    "k": 4, "band_1": 25, "band_2": 45, "band_3": 55, "band_4": 75, "zone": "America/New_York",
    "baseline_days": 28, "spike_z": 3, "spike_messages": 10, "spike_authors": 5,
}  # fmt: skip
MIDNIGHT = datetime(2026, 11, 17, tzinfo=UTC)  # a Tuesday in UTC, late Monday in New York


def utc(text: str) -> datetime:
    """``2026-11-17T14:00`` as aware UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Said:
    """One invented message naming one or more symbols."""

    at: datetime
    symbols: tuple[str, ...]
    text: str
    author: str
    stance: Stance = 0
    label: Label | None = None
    key: str | None = None  # native id; None: numbered within its batch
    likes: int | None = None
    reshares: int | None = None
    reshare_of: str | None = None


def say(
    at: datetime,
    symbol: str | Sequence[str],
    text: str | None = None,
    *,
    author: str = "ada",
    stance: Stance = 0,
    label: Label | None = None,
    key: str | None = None,
    likes: int | None = None,
    reshares: int | None = None,
    reshare_of: str | None = None,
) -> Said:
    """One message; without ``text`` its wording is like no other's."""
    symbols = (symbol,) if isinstance(symbol, str) else tuple(symbol)
    words = (
        text if text is not None else f"thought {_letters(hash_of(at, author, symbols))} about {' and '.join(symbols)}"
    )
    return Said(at, symbols, words, author, stance, label, key, likes, reshares, reshare_of)


def hash_of(at: datetime, author: str, symbols: Sequence[str]) -> int:
    """A number that tells messages apart, the same in each run."""
    return int.from_bytes(f"{at.isoformat()}{author}{symbols}".encode(), "little") % 1_000_000_007


def _letters(number: int) -> str:
    """The number in letters: digits do not count when wordings are compared."""
    letters = ""
    while number:
        number, digit = divmod(number, 26)
        letters += chr(ord("a") + digit)
    return letters


def crowd(
    start: datetime,
    symbol: str,
    *,
    bulls: int = 0,
    bears: int = 0,
    others: int = 0,
    every: timedelta = timedelta(minutes=5),
    text: str | None = None,
) -> list[Said]:
    """Messages by as many authors, one each ``every``: first the bulls, then the bears, then those without a stance."""
    stances: list[Stance] = [*[1] * bulls, *[-1] * bears, *[0] * others]  # type: ignore[list-item]
    return [
        say(start + number * every, symbol, text, author=f"author {number}", stance=stance)
        for number, stance in enumerate(stances)
    ]


def _message(one: Said, key: str, source: str, stream: str, fetched_at: datetime) -> MessageRow:
    return MessageRow(
        source=source,
        id=key,
        stream=stream,
        created_at=one.at,
        fetched_at=fetched_at,
        time_flag=False,
        author=one.author,
        text=one.text,
        lang="en",
        url=f"https://example.test/{key}",
        label=one.label,
        reply_to=None,
        reshare_of=one.reshare_of,
        likes=one.likes,
        reshares=one.reshares,
        replies=None,
        text_key=text_key(one.text),
        revision=None,
    )


def _mention(one: Said, message: MessageRow, symbol: str) -> MentionRow:
    return MentionRow(
        source=message.source,
        message_id=message.id,
        symbol=symbol,
        match="cashtag",
        surface=f"${symbol}",
        confidence=1.0,
        created_at=message.created_at,
        fetched_at=message.fetched_at,
        author=message.author,
        text_key=message.text_key,
        stance=one.stance,
        tone=0.5 * one.stance,
        label={"bullish": 1, "bearish": -1, None: None}[one.label],
        reshare=one.reshare_of is not None,
    )


def make_batch(
    said: Iterable[Said] = (),
    *,
    source: str = "stocktwits",
    stream: str = "posts",
    fetched_at: datetime | None = None,
    covers_from: datetime | None = None,
    status: PollStatus = "ok",
    error: str | None = None,
    gaps: Sequence[tuple[datetime, datetime, str]] = (),
    prefix: str | None = None,
) -> Batch:
    """One poll that brought these messages.

    ``fetched_at`` None is the time of the newest message; ``covers_from`` None leaves what was listened to unknown.
    Ids are ``prefix`` (else source, stream and time) with a number.
    """
    told = list(said)
    fetched = fetched_at or max((one.at for one in told), default=MIDNIGHT)
    start = prefix if prefix is not None else f"{source}-{stream}-{fetched:%Y%m%d%H%M%S}"
    messages: list[MessageRow] = []
    mentions: list[MentionRow] = []
    for number, one in enumerate(told):
        key = one.key or f"{start}-{number}"
        message = _message(one, key, source, stream, fetched)
        messages.append(message)
        mentions.extend(_mention(one, message, symbol) for symbol in one.symbols)
    report = PollReport(
        source,
        stream,
        fetched,
        12,
        status,
        200 if status == "ok" else None,
        fetched=len(told),
        requests=1,
        error=error,
        covers_from=covers_from,
    )
    rows = tuple(GapRow(source, stream, from_at, to_at, reason, fetched) for from_at, to_at, reason in gaps)
    return Batch(report, None, tuple(messages), tuple(mentions), gaps=rows, fetched_at=fetched)


def build(
    path: Path,
    batches: Sequence[Batch] = (),
    *,
    readings: Sequence[datetime] = (),
    watchlist: Sequence[str] = (),
    now: datetime = MIDNIGHT,
) -> Opening:
    """A database file holding these batches, rolled up, with the readings of these moments as a replay takes them."""
    opening = Opening(path / "tracker.duckdb", memory_limit="256MB", threads=1)
    with opened(opening) as connection:
        migrate.migrate(connection, now)
        migrate.define_metrics(connection)
        migrate.set_meter(connection, METER)
        for symbol in watchlist:
            connection.execute("INSERT INTO watchlist VALUES (?, NULL)", [symbol])
        if batches:
            with transaction(connection):
                apply(connection, batches)
        derive.rollup(connection)
        if readings:
            derive.take_readings(connection, readings, None)
    return opening
