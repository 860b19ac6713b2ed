"""Plain vaderSentiment, with its cost bounded: the yardstick for every better scorer.

vaderSentiment 3.3.2 takes quadratic time (a message of 8,000 emoji keeps it busy for minutes), so a text is read in
chunks of at most ``CHUNK`` tokens, runs of one token are squeezed, and what lies beyond ``LONGEST`` characters or
``MOST`` words is not read. A text that fits one chunk gets exactly the published score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from itertools import islice
from typing import Any, Final

from vaderSentiment.vaderSentiment import (
    BOOSTER_DICT,
    SentimentIntensityAnalyzer,
    SentiText,
)

from tracker.models import Tone
from tracker.tone import LONGEST, MOST, to_tone

CHUNK: Final = 120  # tokens that are scored together
RUN: Final = 3  # equal tokens in a row that still count
REASONS: Final = 10

VADER: Final = f"vader-{version('vaderSentiment')}"


class Analyzer(SentimentIntensityAnalyzer):  # type: ignore[misc]  # the package has no types
    """VADER's analyzer: the same numbers, without lower-casing the whole text again for every word it knows."""

    lexicon: dict[str, float]
    emojis: dict[str, str]

    @staticmethod
    def _negation_check(valence: float, words: list[str], start_i: int, i: int) -> float:
        first = max(0, i - 3)  # it looks at no more than three words before
        result: float = SentimentIntensityAnalyzer._negation_check(valence, words[first : i + 1], start_i, i - first)
        return result

    @staticmethod
    def _special_idioms_check(valence: float, words: list[str], i: int) -> float:
        first = max(0, i - 3)  # and here at two words after, too
        near = words[first : i + 3]
        result: float = SentimentIntensityAnalyzer._special_idioms_check(valence, near, i - first)
        return result

    def weigh(self, text: str) -> tuple[float, list[tuple[str, float]]]:
        """The compound score of a text without emoji, and each of its words with the weight it got by the rules."""
        parsed: Any = SentiText(text)
        words: list[str] = parsed.words_and_emoticons
        lexicon = self.lexicon
        weights: list[float] = []
        known = False
        for place, word in enumerate(words):
            lowered = word.lower()
            if lowered not in lexicon or lowered in BOOSTER_DICT or _is_kind_of(words, place, lowered):
                weights.append(0)
            else:
                known = True
                self.sentiment_valence(0, parsed, word, place, weights)
        if not known:
            return 0.0, []
        weights = self._but_check(words, weights)
        compound: float = self.score_valence(weights, text)["compound"]
        return compound, list(zip(words, weights, strict=True))


def _is_kind_of(words: list[str], place: int, lowered: str) -> bool:
    return lowered == "kind" and place + 1 < len(words) and words[place + 1].lower() == "of"


class VaderScorer:
    """vaderSentiment as published: general English, no word of it about markets."""

    name = VADER

    def __init__(self, neutral_band: float = 0.1) -> None:
        self._band = neutral_band
        self._analyzer = Analyzer()
        self._words_of = {emoji: len(name.split()) for emoji, name in self._analyzer.emojis.items()}

    def score(self, text: str, source: str = "") -> Tone:
        text = text[:LONGEST]
        if self._is_short(text):
            compound = self._analyzer.polarity_scores(text)["compound"]
        else:
            compound, _ = weigh_pieces(self._analyzer, self.pieces(text))
        return to_tone(compound, self._band, self.name)

    def explain(self, text: str, source: str = "") -> Tone:
        _, weights = weigh_pieces(self._analyzer, self.pieces(text))
        tone = self.score(text)
        return to_tone(tone.tone, self._band, self.name, strongest(weights, {}))

    def pieces(self, text: str) -> list[list[str]]:
        """What a text is cut into: chunks of tokens, emoji replaced by the words of their names."""
        emojis = self._analyzer.emojis
        tokens = squeeze(separate(text[:LONGEST], emojis).split())
        words = (part for token in tokens for part in emojis.get(token, token).split())
        return chunked(islice(words, MOST))

    def _is_short(self, text: str) -> bool:
        """At most one chunk, with its emoji as the words of their names."""
        words = len(text.split())
        if words <= CHUNK and not text.isascii():
            words += sum(self._words_of.get(character, 0) for character in text)
        return words <= CHUNK


def weigh_pieces(analyzer: Analyzer, pieces: list[list[str]]) -> tuple[float, list[tuple[str, float]]]:
    """The mean score of the chunks, weighted by their tokens, and the weights of all words."""
    if len(pieces) == 1:
        return analyzer.weigh(" ".join(pieces[0]))
    total = 0.0
    tokens = 0
    weights: list[tuple[str, float]] = []
    for piece in pieces:
        compound, found = analyzer.weigh(" ".join(piece))
        total += compound * len(piece)
        tokens += len(piece)
        weights += found
    return (total / tokens if tokens else 0.0), weights


def separate(text: str, emojis: Mapping[str, object]) -> str:
    """Put blanks around every emoji, so that each is a token of its own."""
    if text.isascii() or emojis.keys().isdisjoint(text):
        return text
    return "".join(f" {character} " if character in emojis else character for character in text)


def squeeze(tokens: list[str]) -> list[str]:
    """Keep at most ``RUN`` equal tokens in a row: the hundredth rocket says no more than the third."""
    kept: list[str] = []
    run = 0
    last = None
    for token in tokens:
        run = run + 1 if token == last else 1
        last = token
        if run <= RUN:
            kept.append(token)
    return kept


def chunked(tokens: Iterable[str]) -> list[list[str]]:
    """Cut into lists of at most ``CHUNK`` tokens; no tokens, no chunk."""
    every = list(tokens)
    return [every[start : start + CHUNK] for start in range(0, len(every), CHUNK)]


def strongest(weights: Iterable[tuple[str, float]], terms: Mapping[str, str]) -> tuple[tuple[str, float], ...]:
    """Sum up equal words, strongest first; ``terms`` gives stand-ins their readable form back."""
    sums: dict[str, float] = {}
    for word, weight in weights:
        if weight:
            lowered = word.lower()
            term = terms.get(lowered, lowered)
            sums[term] = sums.get(term, 0.0) + weight
    ranked = sorted(sums.items(), key=lambda item: (-abs(item[1]), item[0]))
    return tuple((term, round(weight, 3)) for term, weight in ranked[:REASONS])
