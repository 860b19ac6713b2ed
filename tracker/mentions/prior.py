"""How likely a bare word is a symbol before its neighbours are seen, and what a stream of messages teaches about it.

    points = what the lists say + how it is written + what the stream taught      (an expectation in log odds: 0 is even)

The stream teaches by three counters a symbol: messages that write it with a ``$``, in capitals without one (where the
message is not shouted), and in ordinary case. A share of ``$`` speaks for the symbol; capitals everywhere and never a
``$`` is an acronym; ordinary case everywhere is a word. Pure: the same counters give the same points.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tracker.universe import Doubt, Need, SymbolInfo

Form = Literal["capitals", "title", "lower"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages of a stream that hold some letters, by the way they write them."""

    dollar: int = 0  # $GME, in any case
    capitals: int = 0  # GME, where the message is not shouted
    ordinary: int = 0  # gme or Gme


Counters = Mapping[str, Counts]  # letters of the symbol in upper case -> its counts


# ------------------------------------------------------------------------------------------------------- the points

# In capitals, by what the lists say and how many letters there are (2, 3, 4 and more).
_KNOWN: Final = (1.2, 2.5, 2.8)  # in our own table
_MAIN: Final = (-1.5, 0.9, 1.6)  # listed on a main exchange of the United States
_PAST: Final = (-3.0, -0.4, 1.1)  # retired
_OTC: Final = (-3.5, -1.2, 0.0)  # over the counter
_SINGLE: Final = -2.0  # one letter
_COIN: Final = -1.5  # a coin that only a list knows

# What another meaning takes away, and how the other forms differ from capitals.
_NEED: Final[Mapping[str, float]] = {"free": 0.0, "capital": -0.6, "context": -4.2}
_TITLE: Final[Mapping[str, float]] = {"free": -1.2, "capital": -4.0}
_LOWER: Final[Mapping[str, float]] = {"free": -1.4, "capital": -4.0}
_LOWER_UNKNOWN: Final = -2.6  # more, where our own table does not know it

# A word of prose is written in capitals for emphasis about once in a hundred messages that hold it.
_EMPHASIS: Final = 0.01
_EXCHANGES_OVER_THE_COUNTER: Final = ("OTC", "PINK", "EXPM", "SEC", "NONE")
_DOUBT: Final = 3.0  # messages of each kind that are taken as seen before the first, so that a few teach little
NEVER: Final = -99.0


def points(
    info: SymbolInfo, letters: str, form: Form, doubt: Doubt | None, counts: Counts | None, habit: float = 1.0
) -> float:
    """Log odds that ``letters``, written in this form without a ``$``, are the security."""
    if info.kind in ("other", "currency") or (len(letters) == 1 and letters in "AI"):
        return NEVER
    need: Need = "free" if doubt is None else doubt.need
    if need in ("cashtag", "never") or (need == "context" and form != "capitals"):
        return NEVER
    if form != "capitals" and (len(letters) == 1 or (not info.known and (len(letters) == 2 or info.kind == "coin"))):
        return NEVER
    base = _listed(info, letters) + _NEED[need]
    if form == "title":
        base += _TITLE[need] + (0.0 if info.known else -1.5)
    elif form == "lower":
        base += _LOWER[need] + (0.0 if info.known else _LOWER_UNKNOWN)
    if form != "capitals" and len(letters) < 3:
        base -= 3.0
    return base if counts is None else base + learned(counts, form, need, habit)


def _listed(info: SymbolInfo, letters: str) -> float:
    if len(letters) == 1:
        return _SINGLE
    size = min(len(letters), 4) - 2
    if info.known:
        return _KNOWN[size]
    if info.kind == "coin":
        return _COIN
    if over_the_counter(info):
        return _OTC[size] - (0.6 if info.status == "retired" else 0.0)
    return _PAST[size] if info.status == "retired" else _MAIN[size]


def over_the_counter(info: SymbolInfo) -> bool:
    return info.exchange.upper().startswith(_EXCHANGES_OVER_THE_COUNTER)


def learned(counts: Counts, form: Form, need: Need, habit: float) -> float:
    """What the stream adds to or takes from the points: nothing where it has seen nothing.

    ``habit``: how often the stream writes a symbol in capitals for each time that it writes it with a ``$``. So many of
    the capitals are the security; the rest is a word shouted or an acronym.
    """
    if form != "capitals":
        # the ordinary case of a symbol that people talk about is rarer than its other forms; that of a word is not
        shift = math.log((counts.capitals + counts.dollar + 1) / (counts.ordinary + 1))
        return max(-2.0, min(1.0, 0.5 * shift)) if counts.ordinary else 0.0
    securities = habit * counts.dollar
    others = max(0.0, counts.capitals - securities) + _EMPHASIS * counts.ordinary
    shift = 0.6 * math.log((securities + _DOUBT) / (others + _DOUBT))
    return max(-1.5 if need != "free" else -0.6, min(1.5, shift))


def habit_of(counters: Counters, letters: Iterable[str]) -> float:
    """Capitals for each ``$`` over symbols that are no words: how this stream writes."""
    seen = [counts for symbol in letters if (counts := counters.get(symbol)) is not None]
    return (sum(counts.capitals for counts in seen) + 1) / (sum(counts.dollar for counts in seen) + 1)


# ------------------------------------------------------------------------------------------------- counting the forms

_WORD: Final = re.compile(r"(\$)?(?<![A-Za-z0-9_\u00c0-\u058f@&])([A-Za-z]{1,6})(?![A-Za-z0-9_\u00c0-\u058f])")


def count_forms(text: str, letters: Collection[str], shouted: bool) -> dict[str, Counts]:
    """The three forms of one normalised text, each once a message: letters -> which of the forms it holds.

    ``letters``: the symbols to look for. In a ``shouted`` message capitals say nothing, so they are not counted.
    """
    seen: dict[str, Counts] = {}
    for dollar, word in _WORD.findall(text):
        upper = word.upper()
        if upper not in letters:
            continue
        before = seen.get(upper, Counts())
        if dollar:
            seen[upper] = Counts(1, before.capitals, before.ordinary)
        elif word != upper:
            seen[upper] = Counts(before.dollar, before.capitals, 1)
        elif not shouted:
            seen[upper] = Counts(before.dollar, 1, before.ordinary)
    return seen


def add(counters: dict[str, Counts], forms: Mapping[str, Counts]) -> None:
    """Add what one message holds to the counters of a stream."""
    for letters, new in forms.items():
        old = counters.get(letters)
        if old is None:
            counters[letters] = new
        else:
            counters[letters] = Counts(
                old.dollar + new.dollar, old.capitals + new.capitals, old.ordinary + new.ordinary
            )
