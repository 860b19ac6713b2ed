"""What single words can't tell: rules over the words around options, the two camps, trades, dips and forecasts.

A rule is started by one word, reads a few words to both sides within its sentence, and gives a weight, the name that a
person reads in ``tracker score``, and the places of words that it has used up: those say nothing else any more.

    options     verb x call/put x opened or closed: bought calls, sold puts, puts expire worthless, your puts
    camps       bears, shorts (the people) and bulls, longs: mocked, winning, or just named
    trades      negated buying and selling: not selling, don't buy; who asks why
    dips        buying what falls
    forecasts   what will fall or rise, as against what fell or rose
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from tracker.tone.roles import (
    AGAINST,
    AHEAD,
    BEARS,
    BULLS,
    BUY,
    CALL,
    DENIES,
    DIP,
    FALL,
    HURT,
    MINE,
    PUT,
    REFUSES,
    RISE,
    RUIN,
    SCORNS,
    SELL,
    SHORTS,
    SINGLE,
    THEIRS,
    TRADE,
    VAGUE,
    VICTORY,
    WIN,
)
from tracker.tone.tokens import Word


class Finding(NamedTuple):
    """What a rule says."""

    weight: float
    name: str
    used: tuple[int, ...] = ()  # places of the words that say nothing else


_REACH: Final = 4  # words to each side that belong together
_FORBIDS: Final = frozenset({"dont", "don", "not", "never", "wouldnt"})
_CONDITIONS: Final = frozenset({"if", "when", "before"})
# Not selling is a choice; not having sold may be a regret.
_MISSED: Final = frozenset({"didnt", "didn", "cant", "cannot", "couldnt", "couldn", "havent", "haven", "hasnt"})
# Puts and calls that are verbs: puts it, calls for.
_OBJECTS: Final = frozenset(
    {"it", "us", "me", "him", "her", "them", "the", "a", "an", "out", "you", "this", "that", "into", "together",
     "themselves", "itself", "himself", "my", "our", "your", "their", "his", "off", "pressure"}
)  # fmt: skip
_OF_OPTIONS: Final = frozenset(
    {"option", "options", "side", "holder", "holders", "buyer", "buyers", "buying", "spread", "spreads", "volume",
     "sweep", "sweeps", "writers", "seller", "sellers", "contract", "contracts", "strike"}
)  # fmt: skip
_DATED: Final = frozenset({"weekly", "otm", "itm", "monthly", "jan", "feb", "mar", "apr", "may", "june", "july", "aug"})


def before(words: Sequence[Word], place: int, reach: int = _REACH) -> range:
    """Places in front of a word, nearest first, no further than its sentence."""
    last = place
    while last > 0 and place - last < reach and not words[last - 1].stops:
        last -= 1
    return range(place - 1, last - 1, -1)


def behind(words: Sequence[Word], place: int, reach: int = _REACH) -> range:
    """Places behind a word, nearest first, no further than its sentence."""
    end = place + 1
    limit = min(len(words), place + 1 + reach)
    if words[place].stops:
        return range(end, end)
    while end < limit:
        end += 1
        if words[end - 1].stops:
            break
    return range(place + 1, end)


def is_negated(words: Sequence[Word], place: int, reach: int = 3) -> bool:
    return any(words[i].negates for i in before(words, place, reach))


def apply_rules(
    words: Sequence[Word], places: Sequence[int], seen: int, taken: Collection[int], closed: Collection[int]
) -> list[tuple[int, Finding]]:
    """What the rules say of a text, by the place that started each; no word is used twice.

    ``seen``: the roles of all words, so that no rule looks for what isn't there. ``taken``: places within phrases, which
    only the rules of dips and denial look into; ``closed``: places within phrases that mean something else.
    """
    found: list[tuple[int, Finding]] = []
    used: set[int] = set()
    for flag, needed, opens, rule in _RULES:
        if seen & flag and seen & needed:
            for place in places:
                if words[place].role & flag and place not in (closed if opens else taken) and place not in used:
                    finding = rule(words, place)
                    if finding is not None:
                        found.append((place, finding))
                        used.add(place)
                        used.update(finding.used)
    return found


def _option(words: Sequence[Word], place: int) -> Finding | None:
    word = words[place]
    noun, side = ("calls", 1.0) if word.role & CALL else ("puts", -1.0)
    following = words[place + 1].text if place + 1 < len(words) and not word.stops else ""
    if word.role & SINGLE:
        previous = words[place - 1].text if place else ""
        if following not in _OF_OPTIONS and previous not in _DATED and previous != "<n>":
            return None
    elif following in _OBJECTS:
        return None
    if place and words[place - 1].negates:
        return Finding(-0.8 * side, f"rule: no {noun}")
    mine = theirs = False
    for i in before(words, place, 6):
        role = words[i].role
        if role & MINE:
            mine = True
        elif role & THEIRS:
            theirs = True
        elif role & (BUY | VAGUE):
            if is_negated(words, i, 2):
                return Finding(-0.8 * side, f"rule: no {noun}", (i,))
            if theirs or (mine and words[i].text in {"buy", "buys"}):
                return Finding(-0.8 * side, f"rule: others' {noun}", (i,))
            return Finding(2.2 * side, f"rule: opens {noun}", (i,))
        elif role & SELL:
            if is_negated(words, i, 2):
                return Finding(1.6 * side, f"rule: keeps {noun}", (i,))
            if mine or not role & TRADE:
                return Finding(-0.4 * side, f"rule: closes {noun}", (i,))
            return Finding(-1.0 * side, f"rule: sells {noun}", (i,))
        elif role & RUIN and place - i <= 2:
            return Finding(-1.6 * side, f"rule: {noun} lose", (i,))
    for i in behind(words, place):
        role = words[i].role
        if role & RUIN:
            used = tuple(j for j in behind(words, place) if words[j].role & RUIN)
            if is_negated(words, i, min(3, i - place)):
                return Finding(1.0 * side, f"rule: {noun} live", used)
            return Finding((-0.3 if mine else -1.6) * side, f"rule: {noun} lose", used)
        if role & WIN:
            negated = is_negated(words, i, min(3, i - place))
            return Finding((-1.2 if negated else 2.0) * side, f"rule: {noun} {'lose' if negated else 'win'}", (i,))
    if theirs:
        return Finding(-0.8 * side, f"rule: others' {noun}")
    return Finding((2.0 if mine else 1.6) * side, f"rule: {noun}")


def _camp(words: Sequence[Word], place: int) -> Finding | None:
    word = words[place]
    if word.role & SHORTS and any(words[i].role & (MINE | BUY) for i in before(words, place, 2)):
        return Finding(-1.6, "rule: short position")
    camp, side = ("bears", -1.0) if word.role & BEARS else ("bulls", 1.0)
    around = [*before(words, place, 5), *behind(words, place, 6)]
    hurt = tuple(i for i in around if words[i].role & HURT)
    if hurt:
        return Finding(-2.2 * side, f"rule: {camp} mocked", hurt)
    if any(words[i].role & VICTORY for i in around):
        won = tuple(i for i in around if words[i].role & VICTORY)
        return Finding(1.0 * side, f"rule: {camp} win", won)
    return Finding(-1.4 * side, f"rule: {camp} named")


def _trade(words: Sequence[Word], place: int) -> Finding | None:
    word = words[place]
    side = -1.0 if word.role & (SELL | AGAINST) else 1.0
    for i in before(words, place):
        if words[i].text in SCORNS:
            return Finding(-1.2 * side, f"rule: {words[i].text} {word.text}", (i,))
    for i in before(words, place, 2 if word.role & AGAINST else 3):
        if (words[i].negates and words[i].text not in _MISSED) or words[i].text in REFUSES:
            return Finding(-1.6 * side, f"rule: not {word.text}", (i,))
    return None


def _dip(words: Sequence[Word], place: int) -> Finding | None:
    for i in before(words, place):
        if words[i].role & BUY:
            negation = next((words[j].text for j in before(words, i, 3) if words[j].negates), None)
            if negation is None:
                return Finding(1.8, "rule: dip buying", (i,))
            return Finding(-0.8, "rule: no dip buying", (i,)) if negation in _FORBIDS else None
    return None


def _forecast(words: Sequence[Word], place: int) -> Finding | None:
    word = words[place]
    falls = bool(word.role & FALL)
    around = before(words, place, 3)
    if not any(words[i].role & AHEAD for i in (*around, *behind(words, place, 1))):
        return None
    if any(words[i].text in _CONDITIONS for i in before(words, place)):
        return None
    negated = any(words[i].negates for i in around)
    if falls:
        return Finding(1.2, "rule: won't fall") if negated else Finding(-2.4, "rule: will fall")
    return Finding(-1.6, "rule: won't rise") if negated else Finding(2.0, "rule: will rise")


# The roles that start a rule, the roles of which it needs one in the text, whether it looks into phrases, the rule
_RULES: Final[tuple[tuple[int, int, bool, Callable[[Sequence[Word], int], Finding | None]], ...]] = (
    (CALL | PUT, CALL | PUT, False, _option),
    (BEARS | BULLS, BEARS | BULLS, False, _camp),
    (DIP, BUY, True, _dip),
    (TRADE, DENIES, True, _trade),
    (FALL | RISE, AHEAD, False, _forecast),
)
