"""Texts as columns of numbers, ready to be fitted, and the fitted columns as weights of terms again.

A column is what one message holds once: a word, a negated word, a pair. Its parameters are its own term, if enough
messages hold it, and for a plain word those of its parts, which it shares with words like it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from operator import mul
from typing import Final

from tracker.tone.fit import Problem, column_weights, fit
from tracker.tone.words import features, grams, scale_of

LEAST_PART: Final = 5  # messages that hold a part of a word
SMOOTHING: Final = 1.0  # messages of each side that every term is taken to have been in already

DIRECTION: Final = 0  # place of a weight in a model's pair
VIEW: Final = 1


@dataclass(frozen=True, slots=True)
class Learned:
    """What one fit found."""

    corpus: Corpus
    parameters: list[float]  # times their ratios; the constant last
    weights: list[float]  # of the columns, on top of the prior's
    offsets: list[float]  # of the messages, by the prior

    def score(self, place: int) -> tuple[float, float]:
        """What the prior says of a message, and what was learned on top of it."""
        corpus = self.corpus
        total = sum(map(self.weights.__getitem__, corpus.rows[place]))
        return self.offsets[place], corpus.scales[place] * total

    def terms(self) -> dict[str, float]:
        return dict(zip(self.corpus.names, self.parameters, strict=False))


class Corpus:
    """All texts of a training, read once and fitted several times."""

    def __init__(self, texts: Sequence[str], prior: Mapping[str, tuple[float, float]], least: int) -> None:
        holding: Counter[str] = Counter()
        found: list[tuple[str, ...]] = []
        self.scales: list[float] = []
        for text in texts:
            words, pairs = features(text)
            held = (*sorted(words), *sorted(pairs))
            found.append(held)
            holding.update(held)
            self.scales.append(scale_of(len(held)))
        parts = {term: grams(term) for term in holding}
        sharing: Counter[str] = Counter()
        for term, own in parts.items():
            for part in own:
                sharing[part] += holding[term]
        self.counts = {term: count for term, count in holding.items() if count >= least}
        self.counts.update((part, count) for part, count in sharing.items() if count >= max(least, LEAST_PART))
        self.names = sorted(self.counts)
        place_of = {name: place for place, name in enumerate(self.names)}
        column_of: dict[str, int] = {}
        self.columns: list[tuple[int, ...]] = []
        self._prior: tuple[list[float], list[float]] = ([], [])  # of the columns
        for term in sorted(holding):
            names = (term, *parts[term])
            parameters = tuple(place_of[name] for name in names if name in place_of)
            known = [prior[name] for name in names if name in prior]
            if parameters or known:
                column_of[term] = len(self.columns)
                self.columns.append(parameters)
                for which in (DIRECTION, VIEW):
                    self._prior[which].append(sum(pair[which] for pair in known))
        self.rows = [tuple(column_of[term] for term in held if term in column_of) for held in found]

    def fit(
        self,
        places: Sequence[int],
        targets: Sequence[int],
        weights: Mapping[int, float],
        which: int,
        tick: Callable[[], None],
    ) -> Learned:
        """Learn to tell the targets of the messages at ``places`` apart, beyond what the prior says of them."""
        prior = self._prior[which].__getitem__
        offsets = [scale * sum(map(prior, row)) for row, scale in zip(self.rows, self.scales, strict=True)]
        ratios = self._ratios(places, targets, weights)
        problem = Problem(
            rows=[self.rows[place] for place in places],
            scales=[self.scales[place] for place in places],
            offsets=[offsets[place] for place in places],
            targets=[targets[place] for place in places],
            weights=[weights[place] for place in places],
            columns=self.columns,
            ratios=ratios,
        )
        x = fit(problem, tick)
        return Learned(self, list(map(mul, ratios, x)), column_weights(self.columns, ratios, x), offsets)

    def _ratios(self, places: Sequence[int], targets: Sequence[int], weights: Mapping[int, float]) -> list[float]:
        """Naive Bayes' opinion of each term: the log of how much more one side holds it than the other."""
        columns: tuple[list[float], list[float]] = ([0.0] * len(self.columns), [0.0] * len(self.columns))
        for place in places:
            counts = columns[targets[place] > 0]
            weight = weights[place]
            for column in self.rows[place]:
                counts[column] += weight
        sides: list[list[float]] = []
        for counts in columns:
            side = [SMOOTHING] * len(self.names)
            for parameters, count in zip(self.columns, counts, strict=True):
                if count:
                    for parameter in parameters:
                        side[parameter] += count
            sides.append(side)
        against, in_favour = sides
        level = log(sum(in_favour) / sum(against)) if self.names else 0.0
        return [log(up / down) - level for up, down in zip(in_favour, against, strict=True)]
