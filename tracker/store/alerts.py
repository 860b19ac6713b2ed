"""The outbox of alerts, and where each rule stands.

An alert is written in the transaction of the readings that caused it, one row for each channel. Whoever sends it writes
down the result at once, row by row: what is ``waiting`` was not taken by anybody that we know of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from tracker.rows import Reading
from tracker.store.columns import stage
from tracker.store.connect import Connection, aware_utc, naive_utc, transaction

LONGEST_WAIT = timedelta(
    hours=25
)  # nothing is put off longer: a moment further away was written by a clock that has stepped
_TYPES = {
    "rule": "VARCHAR", "symbol": "VARCHAR", '"at"': "TIMESTAMP", "channel": "VARCHAR", "kind": "VARCHAR", "title": "VARCHAR",
    "body": "VARCHAR", "link": "VARCHAR", "event_key": "VARCHAR", "status": "VARCHAR", "attempts": "INTEGER",
    "next_try_at": "TIMESTAMP", "sent_at": "TIMESTAMP", "error": "VARCHAR", "created_at": "TIMESTAMP",
}  # fmt: skip
_STATE_TYPES = {"rule": "VARCHAR", "symbol": "VARCHAR", "state": "VARCHAR", '"at"': "TIMESTAMP"}
_KEY = frozenset({"rule", "symbol", '"at"', "channel"})
_SET = ", ".join(f"{name} = excluded.{name}" for name in _TYPES if name not in _KEY)
_IN_PLACE_OF_DRY = f"DO UPDATE SET {_SET} WHERE alerts.status = 'dry'"
_TIMES = ("at", "next_try_at", "sent_at", "created_at")


@dataclass(frozen=True, slots=True)
class Alert:
    """A row of ``alerts``: one event for one channel."""

    rule: str
    symbol: str
    at: datetime
    channel: str
    kind: str
    title: str
    body: str
    link: str | None
    event_key: str
    status: str
    attempts: int
    next_try_at: datetime | None
    sent_at: datetime | None
    error: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredState:
    """A row of ``alert_states``."""

    rule: str
    symbol: str
    state: str
    at: datetime


def _values(alert: Alert) -> list[Any]:
    return [getattr(alert, field.name) for field in fields(alert)]


def _alerts(connection: Connection, tail: str, values: Mapping[str, Any]) -> list[Alert]:
    names = ", ".join(f'"{field.name}"' for field in fields(Alert))
    rows = connection.execute(f"SELECT {names} FROM alerts {tail}", dict(values)).fetchall()
    found = []
    for row in rows:
        named = dict(zip((field.name for field in fields(Alert)), row, strict=True))
        found.append(Alert(**{**named, **{name: aware_utc(named[name]) for name in _TIMES}}))
    return found


# ------------------------------------------------------------------------------------------------ the outbox


def put(connection: Connection, alerts: Sequence[Alert]) -> None:
    """Write alerts down. Those that stand there already stay as they are, but for dry ones: these give way.

    Within the caller's transaction.
    """
    if alerts:
        stage(connection, "fresh_alerts", _TYPES, [_values(alert) for alert in alerts])
        connection.execute(f"INSERT INTO alerts SELECT * FROM fresh_alerts ON CONFLICT {_IN_PLACE_OF_DRY}")


def due(connection: Connection, now: datetime, limit: int = 200) -> list[Alert]:
    """What waits and may be tried now, oldest first."""
    tail = """WHERE status = 'waiting' AND (next_try_at IS NULL OR next_try_at <= $now OR next_try_at > $never)
              ORDER BY created_at, "at", rule, symbol, channel LIMIT $limit"""
    values = {"now": naive_utc(now), "never": naive_utc(now + LONGEST_WAIT), "limit": limit}
    return _alerts(connection, tail, values)


def next_try(connection: Connection) -> datetime | None:
    """When the next one of those that wait may be tried; None when none waits."""
    row = connection.execute(
        "SELECT min(coalesce(next_try_at, created_at)) FROM alerts WHERE status = 'waiting'"
    ).fetchone()
    return aware_utc(row[0]) if row else None


def record(
    connection: Connection,
    alert: Alert,
    status: str,
    next_try_at: datetime | None,
    sent_at: datetime | None,
    error: str | None,
    rest_until: datetime | None = None,
) -> None:
    """What came of an attempt. Until ``rest_until`` nobody tries anything else on the same channel either."""
    with transaction(connection):
        connection.execute(
            """UPDATE alerts SET status = $status, attempts = attempts + 1, next_try_at = $next, sent_at = $sent, error = $error
               WHERE rule = $rule AND symbol = $symbol AND "at" = $at AND channel = $channel AND status = 'waiting'""",
            {
                "status": status, "next": naive_utc(next_try_at), "sent": naive_utc(sent_at), "error": error,
                "rule": alert.rule, "symbol": alert.symbol, "at": naive_utc(alert.at), "channel": alert.channel,
            },
        )  # fmt: skip
        if rest_until is not None:
            connection.execute(
                "UPDATE alerts SET next_try_at = $rest WHERE status = 'waiting' AND channel = $channel AND next_try_at < $rest",
                {"rest": naive_utc(rest_until), "channel": alert.channel},
            )


def recent(connection: Connection, limit: int) -> list[Alert]:
    """The newest alerts, newest first."""
    return _alerts(
        connection, 'ORDER BY "at" DESC, created_at DESC, rule, symbol, channel LIMIT $limit', {"limit": limit}
    )


def waiting(connection: Connection) -> int:
    """How many wait to be sent."""
    row = connection.execute("SELECT count(*) FROM alerts WHERE status = 'waiting'").fetchone()
    return int(row[0]) if row else 0


def replace_dry(connection: Connection, alerts: Sequence[Alert]) -> None:
    """The alerts that replays would have sent, in place of those that stood there. What was meant to be sent stays."""
    with transaction(connection):
        stage(connection, "fresh_alerts", _TYPES, [_values(alert) for alert in alerts])
        connection.execute(
            """DELETE FROM alerts WHERE status = 'dry' AND NOT EXISTS (
                   SELECT 1 FROM fresh_alerts AS fresh WHERE fresh.rule = alerts.rule AND fresh.symbol = alerts.symbol
                   AND fresh."at" = alerts."at" AND fresh.channel = alerts.channel)"""
        )
        connection.execute(f"INSERT INTO alerts SELECT * FROM fresh_alerts ON CONFLICT {_IN_PLACE_OF_DRY}")


# ------------------------------------------------------------------------------------------------ states


def states(connection: Connection) -> dict[tuple[str, str], StoredState]:
    """Where each rule stands, by (rule, symbol)."""
    rows = connection.execute('SELECT rule, symbol, state, "at" FROM alert_states').fetchall()
    found = {}
    for rule, symbol, state, at in rows:
        moment = aware_utc(at)
        assert moment is not None
        found[rule, symbol] = StoredState(rule, symbol, state, moment)
    return found


def save_states(connection: Connection, stored: Iterable[StoredState]) -> None:
    """Insert or replace. Within the caller's transaction."""
    rows = [(one.rule, one.symbol, one.state, one.at) for one in stored]
    if rows:
        stage(connection, "fresh_states", _STATE_TYPES, rows)
        connection.execute("INSERT OR REPLACE INTO alert_states SELECT * FROM fresh_states")


# ------------------------------------------------------------------------------------------------ what rules look at


def readings_at(
    connection: Connection, moment: datetime, windows: Sequence[str], symbols: Sequence[str] | None
) -> list[Reading]:
    """The readings of one moment; ``symbols`` None: of all."""
    where = '"at" = $at AND list_contains($windows, window_name) AND ($all OR list_contains($symbols, symbol))'
    values = {"at": naive_utc(moment), "windows": list(windows), "all": symbols is None, "symbols": list(symbols or ())}
    return _readings(connection, where, values)


def replayed_readings(connection: Connection, windows: Sequence[str], symbols: Sequence[str] | None) -> list[Reading]:
    """All readings of the simulated clock, oldest first; ``symbols`` None: of all."""
    where = 'computed_at = "at" AND list_contains($windows, window_name) AND ($all OR list_contains($symbols, symbol))'
    return _readings(
        connection, where, {"windows": list(windows), "all": symbols is None, "symbols": list(symbols or ())}
    )


def replayed_moments(connection: Connection) -> list[datetime]:
    """The moments of the simulated clock, ascending."""
    rows = connection.execute('SELECT DISTINCT "at" FROM readings WHERE computed_at = "at" ORDER BY 1').fetchall()
    return [moment for (at,) in rows if (moment := aware_utc(at)) is not None]


def _readings(connection: Connection, where: str, values: Mapping[str, Any]) -> list[Reading]:
    names = [field.name for field in fields(Reading)]
    columns = ", ".join(f'"{name}"' for name in names)
    rows = connection.execute(
        f'SELECT {columns} FROM readings WHERE {where} ORDER BY "at", symbol, window_name', dict(values)
    )
    at, computed = names.index("at"), names.index("computed_at")
    found = []
    for row in rows.fetchall():
        cells = list(row)
        cells[at], cells[computed] = aware_utc(cells[at]), aware_utc(cells[computed])
        found.append(Reading(*cells))
    return found


__all__ = [
    "Alert", "StoredState", "due", "next_try", "put", "readings_at", "recent", "record", "replace_dry", "replayed_moments",
    "replayed_readings", "save_states", "states", "waiting",
]  # fmt: skip
