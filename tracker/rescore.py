"""Applying the scorer in force to what is stored: the same tones as if it had been in force all along.

    waiting ─► unscored ─► score ─► write        one transaction a batch; a run that was killed goes on where it stopped

Readings that were taken live stay: they are what the meter showed. Buckets are rolled up again for the days concerned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tracker.models import Stance, ToneRow
from tracker.store import Store
from tracker.store import rescore as stored
from tracker.store.rescore import Rescored, Unscored
from tracker.tone import Scorer
from tracker.tone.sentences import score_named

_AT_ONCE = 5_000  # messages in one transaction
_WAIT_S = 30.0  # for whoever holds the database


@dataclass(frozen=True, slots=True)
class RescoreReport:
    """What a run came to."""

    scorer: str  # name of what was applied
    messages: int  # that were scored
    mentions: int  # whose tone or stance changed
    without_text: int  # messages that keep their old tone: their words are past retention
    symbol_days: int  # that were rolled up again


def rescored(message: Unscored, scorer: Scorer) -> Rescored:
    """One message under a scorer, exactly as it would have been stored: pure."""
    whole, tones = score_named(scorer, message.text, message.source, message.named)
    declared: Stance | None = None if message.label is None else (1 if message.label > 0 else -1)
    mentions = tuple(
        (symbol, tone.tone, tone.stance if declared is None else declared) for symbol, tone in tones.items()
    )
    row = ToneRow(message.source, message.id, whole.scorer, whole.tone, whole.p_bullish, whole.stance)
    return Rescored(row, message.created_at, mentions)


def rescore(
    store: Store,
    scorer: Scorer,
    now: datetime,
    since: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
    at_once: int = _AT_ONCE,
) -> RescoreReport:
    """Score what waits for ``scorer``, created at ``since`` or later. ``progress`` hears (done, of how many);
    ``at_once`` messages are written in one transaction.

    StoreLocked when somebody else keeps the database for longer than half a minute; what was written stays.
    """
    store.standing(
        now, _WAIT_S
    )  # what a killed daemon has left in the journal is stored first: it is to be scored, too
    store.flush(_WAIT_S)
    with store.reading(_WAIT_S) as connection:
        todo = stored.waiting(connection, scorer.name, since, at_once)
    tell = progress or (lambda done, total: None)
    done = changed = 0
    tell(0, todo.messages)
    for span in todo.spans:
        with store.reading(_WAIT_S) as connection:
            messages = stored.unscored(connection, scorer.name, since, span)
        for start in range(0, len(messages), at_once):
            rows = [rescored(message, scorer) for message in messages[start : start + at_once]]
            with store.writing(_WAIT_S) as connection:
                changed += stored.write(connection, rows)
            done += len(rows)
            tell(done, todo.messages)
    return RescoreReport(scorer.name, done, changed, todo.without_text, store.rollup(_WAIT_S))
