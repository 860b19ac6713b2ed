"""VADER's rules over our own words: retail slang, options talk, phrases and emoji, from ``data/lexicon.tsv``.

    text -> clean -> words -> phrases -> rules -> words that are left, by VADER's rules -> evidence -> tone

The evidence is a sum: each phrase, rule and word adds its weight, bullish above 0, bearish below. Terms marked
``mute`` count for nothing: most are VADER words that mean something else among traders (share, support, value, lol).
VADER's other words count for part of their valence: they tell moods, and moods tell little about positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from vaderSentiment.vaderSentiment import BOOSTER_DICT, C_INCR, N_SCALAR, NEGATE

from tracker.errors import BadInput
from tracker.models import Tone
from tracker.tone import LONGEST, MOST, to_tone
from tracker.tone.clean import RUN, clean
from tracker.tone.roles import AGAINST, STARTERS, roles
from tracker.tone.rules import apply_rules
from tracker.tone.tokens import Memo, Phrases, Vocabulary, Word
from tracker.tone.vader import VADER, Analyzer, squeeze, strongest
from tracker.universe import DATA, read_table

# Stored scores carry it: raise it with every change to data/lexicon.tsv or to the reading below.
LEXICON_VERSION: Final = 2

_STRONGEST: Final = 4.0  # valence of a term, either way
GENERAL: Final = 0.5  # what a word of VADER's that is not in our list keeps of its valence
SLOPE: Final = 0.7  # log-odds of a bullish author per unit of evidence, fitted on tagged and labelled messages
SETTLED: Final = 5.0  # evidence beyond which more adds little


@dataclass(frozen=True, slots=True)
class Term:
    """One line of the lexicon."""

    term: str  # a word, a phrase or an emoji, lower case
    valence: float | None  # -4..4; None: mute
    reason: str  # why it is in the list, for a person


class LexiconScorer:
    """The default scorer: explainable, no training, some 40,000 messages a CPU second."""

    def __init__(self, neutral_band: float = 0.1, path: Path | None = None) -> None:
        self._band = neutral_band
        self.name = f"lexicon-{_version(path)}+{VADER}"
        self._memo = Memo(vocabulary_of(load_lexicon(path or DATA / "lexicon.tsv")))

    def score(self, text: str, source: str = "") -> Tone:
        return to_tone(tone_of(self.weigh(text)), self._band, self.name)

    def explain(self, text: str, source: str = "") -> Tone:
        findings = find(self._words(text))
        tone = tone_of(log_odds(sum(weight for _, weight in findings)))
        return to_tone(tone, self._band, self.name, strongest(findings, {}))

    def weigh(self, text: str) -> float:
        """What the words say, as log-odds of a bullish author where both are as likely; 0 if they say nothing."""
        findings = find(self._words(text))
        return log_odds(sum(weight for _, weight in findings)) if findings else 0.0

    def _words(self, text: str) -> list[Word]:
        tokens = clean(text[:LONGEST]).split(None, MOST)
        if len(tokens) > RUN:
            tokens = squeeze(tokens[:MOST])
        return self._memo.words(tokens, MOST)


def log_odds(evidence: float) -> float:
    """Evidence as log-odds of a bullish author: steep at first, settling for texts that say everything twice."""
    evidence = round(evidence, 9)  # 1.6 - 1.4 - 0.2 is not quite nothing to a computer
    return SLOPE * SETTLED * math.tanh(evidence / SETTLED)


def tone_of(logit: float) -> float:
    """-1..1: twice the probability less one."""
    return math.tanh(logit / 2)


def find(words: list[Word]) -> list[tuple[str, float]]:
    """Everything in a text that has a weight: phrases, rules and words, each with its readable name."""
    places: list[int] = []  # of what may have a weight
    seen = 0
    bangs = 0
    bent = shouted = False
    but = -1
    for place, word in enumerate(words):
        if word.matters:
            if word.starts:
                places.append(place)
            if word.shouted:
                shouted = True
            if word.bends:
                bent = True
            elif but < 0 and word.text == "but":
                but = place
            seen |= word.role
            bangs += word.bangs
    if not places:
        return []
    mixed = shouted and not all(word.shouted for word in words if word.text[:1].isalpha())
    bent = bent or mixed
    spans: list[tuple[range, str, float]] = []
    taken: set[int] = set()  # by phrases
    closed: set[int] = set()  # by phrases that no rule may open again
    last = len(words) - 1
    for place in places:
        phrases = words[place].phrases
        if phrases and place < last and words[place + 1].text in phrases and place not in taken:
            match = _phrase_at(phrases, words, place)
            if match is not None:
                length, valence, name = match
                span = range(place, place + length)
                taken.update(span)
                if valence:
                    spans.append((span, name, _modify(words, place, valence, mixed) if bent else valence))
                if valence >= 0:
                    closed.update(i for i in span if not valence or words[i].role & AGAINST)  # short squeeze
                for i in span:
                    if words[i].negates:  # it has denied what it denies
                        words[i] = words[i]._replace(negates=False)
    found: list[tuple[int, str, float]] = []
    used: set[int] = set()  # by rules
    if seen & STARTERS:
        for place, finding in apply_rules(words, places, seen, taken, closed):
            found.append((place, finding.name, finding.weight))
            used.add(place)
            used.update(finding.used)
    found += [(span.start, name, weight) for span, name, weight in spans if used.isdisjoint(span)]
    for place in places:
        word = words[place]
        if word.valence and place not in taken and place not in used:
            valence = _modify(words, place, word.valence, mixed) if bent else word.valence
            found.append((place, word.text, valence))
    return _emphasise(found, but, bangs)


def _phrase_at(phrases: Phrases, words: Sequence[Word], place: int) -> tuple[int, float, str] | None:
    """The longest phrase that begins here: its length, valence and name. Punctuation within ends it."""
    for rest, valence, name in phrases[words[place + 1].text]:
        end = place + len(rest)
        if end < len(words):
            for i, text in enumerate(rest, start=place):
                if words[i + 1].text != text or not words[i].joins:
                    break
            else:
                return len(rest) + 1, valence, name
    return None


def _modify(words: Sequence[Word], place: int, valence: float, mixed: bool) -> float:
    """VADER's rules for what stands before a word: boosters, dampeners, negations, capitals."""
    if mixed and words[place].shouted:
        valence += C_INCR if valence > 0 else -C_INCR
    for distance in range(1, min(3, place) + 1):
        word = words[place - distance]
        if word.stops:
            break
        if word.bends and not word.valence:
            if word.boost:
                boost = word.boost if valence > 0 else -word.boost
                if mixed and word.shouted:
                    boost += C_INCR if valence > 0 else -C_INCR
                valence += boost * _FADING[distance]
            if word.negates:
                valence *= N_SCALAR
    return valence


_FADING: Final = (0.0, 1.0, 0.95, 0.9)  # of a booster, by its distance


def _emphasise(found: list[tuple[int, str, float]], but: int, bangs: int) -> list[tuple[str, float]]:
    """What follows *but* counts more than what it takes back; exclamation marks strengthen the whole."""
    if but < 0:
        weights = [(name, weight) for _, name, weight in found]
    else:
        weights = [(name, weight * (0.5 if place < but else 1.5)) for place, name, weight in found]
    if bangs:
        total = sum(weight for _, weight in weights)
        if total:
            weights.append(("!", math.copysign(0.292 * min(4, bangs), total)))
    return weights


def vocabulary_of(terms: Sequence[Term], general: float = GENERAL) -> Vocabulary:
    """VADER's words for a part of their valence, and ours over them."""
    valences = {_key(word): valence * general for word, valence in Analyzer().lexicon.items()}
    phrases: dict[str, dict[str, list[tuple[tuple[str, ...], float, str]]]] = {}
    for term in terms:
        first, *rest = term.term.split()
        valence = term.valence or 0.0
        if rest:
            keys = tuple(map(_key, rest))
            phrases.setdefault(_key(first), {}).setdefault(keys[0], []).append((keys, valence, term.term))
        else:
            valences[_key(first)] = valence
    return Vocabulary(
        valences=valences,
        phrases={
            first: {
                second: tuple(sorted(entries, key=lambda entry: -len(entry[0]))) for second, entries in seconds.items()
            }
            for first, seconds in phrases.items()
        },
        roles=roles(_NEGATIONS),
        boosts={_key(word): boost for word, boost in BOOSTER_DICT.items()},
        negations=_NEGATIONS,
        starters=STARTERS,
    )


def _key(word: str) -> str:
    return word.replace("'", "") if word[0].isalnum() else word


# VADER's, those written without their t, and what denies among traders
_NEGATIONS: Final = frozenset(map(_key, NEGATE)) | {
    *("don", "didn", "isn", "doesn", "wasn", "wouldn", "aren", "ain", "haven", "hasn", "couldn", "shouldn"),
    *("no", "nobody", "noone", "hardly"),
}


def load_lexicon(path: Path) -> tuple[Term, ...]:
    """The lines of a lexicon: columns term, valence, reason. BadInput names the line that can't be used."""
    terms: list[Term] = []
    for place, (term, valence, reason) in read_table(path, ("term", "valence", "reason")):
        if term != " ".join(term.lower().split()):
            raise BadInput("expected a term in lower case with single blanks", place, repr(term))
        terms.append(Term(term, _read_valence(valence, place), reason))
    return tuple(terms)


def _read_valence(text: str, place: str) -> float | None:
    if text == "mute":
        return None
    try:
        valence = float(text)
    except ValueError:
        valence = float("nan")
    if not -_STRONGEST <= valence <= _STRONGEST:
        raise BadInput("expected a valence of -4 to 4 or the word mute", place, repr(text))
    return valence


def _version(path: Path | None) -> str:
    """Ours has a number; a person's own list is named by its content, so that a changed one has a new name."""
    if path is None:
        return str(LEXICON_VERSION)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput("the table can't be read", str(path), error) from error
    return f"own-{blake2b(content, digest_size=4).hexdigest()}"
