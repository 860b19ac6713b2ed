"""The scorer that was taught: weights of words learned from labelled messages, blended with the lexicon.

    log-odds = a * words + b * lexicon + c (+ the bullish share of the source, where it is told)

The words carry what no list foresees, the lexicon carries where nothing was learned. A second sum says whether a view is
held at all; without one the stance is 0, whatever the direction. ``docs/tone.md`` tells how it is trained and how good
it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, fsum
from typing import Final

from tracker.models import Tone
from tracker.tone import to_tone
from tracker.tone.lexicon import LexiconScorer
from tracker.tone.model import Model
from tracker.tone.vader import REASONS
from tracker.tone.words import NOT, PART, features, grams_among, scale_of

REMEMBERED: Final = 50_000  # words whose parts were summed up

Weights = tuple[float, float]  # for direction, for a view
_NOTHING: Final[Weights] = (0.0, 0.0)


class _Words(dict[str, Weights]):
    """The weights of words, those of unknown ones summed up from their parts at first sight."""

    def __init__(self, terms: Mapping[str, Weights]) -> None:
        super().__init__()
        self._terms = terms
        self._parts = {term.removeprefix(PART): pair for term, pair in terms.items() if term.startswith(PART)}
        self._begins = frozenset(part[:3] for part in self._parts)

    def __missing__(self, word: str) -> Weights:
        direction, view = self._terms.get(word, _NOTHING)
        for part in grams_among(word, self._parts, self._begins):
            more, seen = self._parts[part]
            direction += more
            view += seen
        if len(self) >= REMEMBERED:
            self.clear()
        self[word] = (direction, view)
        return direction, view


class LearnedScorer:
    """The learned weights over the lexicon: the most accurate scorer, as fast as the lexicon allows."""

    def __init__(self, model: Model, lexicon: LexiconScorer, neutral_band: float = 0.1) -> None:
        self.name = f"{model.name}+{lexicon.name}"
        self._model = model
        self._lexicon = lexicon
        self._band = neutral_band
        self._words = _Words(model.terms)
        self._pairs: dict[str, Weights] = {term: pair for term, pair in model.terms.items() if " " in term}
        self._known_pairs = frozenset(self._pairs)

    def score(self, text: str, source: str = "") -> Tone:
        """The tone of a text; ``source``: whose bullish share is to be counted in."""
        words, pairs = features(text)
        found = [*map(self._words.__getitem__, words), *map(self._pairs.__getitem__, self._known_pairs & pairs)]
        # a set has another order in another process: only an exact sum gives the same tone in both
        direction, view = map(fsum, zip(*found, strict=True)) if found else _NOTHING
        scale = scale_of(len(words) + len(pairs))
        return self._tone(scale * direction, scale * view, self._lexicon.weigh(text), source, bool(words))

    def explain(self, text: str, source: str = "") -> Tone:
        """The same tone with its reasons: the strongest terms of both layers and their shares in the log-odds."""
        tone = self.score(text, source)
        blend = self._model.blend
        words, pairs = features(text)
        scale = blend.learned * scale_of(len(words) + len(pairs))
        shares: dict[str, float] = {}
        for term in words:
            shares[_readable(term)] = scale * self._words[term][0]
        for term in self._known_pairs.intersection(pairs):
            shares[_readable(term)] = scale * self._pairs[term][0]
        weights = self._lexicon.explain(text).reasons
        whole = sum(weight for _, weight in weights)
        if whole:
            unit = blend.lexicon * self._lexicon.weigh(text) / whole
            for term, weight in weights:
                shares[term] = shares.get(term, 0.0) + unit * weight
        prior = self._model.priors.get(source, 0.0)
        if prior:
            shares[f"({source})"] = prior
        ranked = sorted(shares.items(), key=lambda item: (-abs(item[1]), item[0]))
        reasons = tuple((term, round(share, 3)) for term, share in ranked[:REASONS] if round(share, 3))
        return Tone(tone.tone, tone.p_bullish, tone.stance, tone.scorer, reasons)

    def _tone(self, direction: float, view: float, found: float, source: str, readable: bool) -> Tone:
        if not readable and not found:
            return to_tone(0.0, self._band, self.name)
        model = self._model
        blend = model.blend
        logit = blend.learned * direction + blend.lexicon * found + blend.constant
        held = True
        if model.view is not None:
            head = model.view
            held = head.words * view + head.strength * abs(logit) + head.lexicon * abs(found) + head.constant >= 0
        logit += model.priors.get(source, 0.0) if source else 0.0
        p_bullish = 1.0 / (1.0 + exp(-min(30.0, max(-30.0, logit))))
        tone = to_tone(2.0 * p_bullish - 1.0, self._band, self.name)
        return tone if held else Tone(tone.tone, tone.p_bullish, 0, tone.scorer)


def _readable(term: str) -> str:
    return f"not {term.removeprefix(NOT)}" if term.startswith(NOT) else term
