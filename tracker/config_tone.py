"""The table [tone]: which scorer makes the tone, whether it goes on learning, and who is asked for a second opinion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

from tracker import config_table as t
from tracker import config_values as v
from tracker.config_schema import Scorer, Second, StanceName, Tone

_scorer: Callable[[object], Scorer] = v.choice("learned", "lexicon", "vader")
_stance: Callable[[object], StanceName] = v.choice("bullish", "bearish", "neutral")


def read_tone(table: t.Table, base: Path) -> Tone:
    """The settings of the table, closed behind us."""
    default = Tone()
    found = Tone(
        scorer=table.take("scorer", _scorer, default.scorer),
        neutral_band=table.take("neutral_band", v.number(0, 0.5), default.neutral_band),
        lexicon=table.take("lexicon", v.location(base), default.lexicon),
        model=table.take("model", v.location(base), default.model),
        learn=table.take("learn", v.flag, default.learn),
        second=_second(table.table("second"), base),
    )
    if found.model is not None and found.scorer != "learned":
        table.notes.problem(table.at("model"), "a model without its scorer", 'scorer = "learned" beside it')
    if found.model is not None and found.learn:
        table.notes.problem(table.at("learn"), "true beside a model", "one of the two: a named model is used as it is")
    table.close()
    return found


def _second(table: t.Table, base: Path) -> Second:
    default = Second()
    names = table.table("labels")
    labels: dict[str, StanceName] = {}
    for name in names.names():
        labels[name] = names.take(name, _stance, labels.get(name, "neutral"))
    names.close()
    found = Second(
        model=table.take("model", v.location(base), default.model),
        share=table.take("share", v.number(0, 1, above=True), default.share),
        labels=MappingProxyType(labels),
    )
    table.close()
    return found
