"""Labelled messages -> Model: what the words of a source's own people say about direction.

    select(examples, per_author=5, per_symbol_day=200) -> the examples that are worth learning from
    train(examples, lexicon=…, prior=shipped())        -> a model, the prior where there is little to learn from

    examples ─► folds ─► fit without a fold ─► score the fold ─► blend with the lexicon, head, priors
              └► fit with all ─► 20,000 strongest terms, two decimals ─► Model

Everything is balanced by source and class, so that a bull-heavy stream teaches words and not optimism, and a large one
does not drown a small one. The same examples in any order give the same model: nothing is drawn by lot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from math import log
from typing import Final, Literal, TypeVar

from tracker.tone.corpus import DIRECTION, VIEW, Corpus
from tracker.tone.fit import ROUNDS, auc, fit_few
from tracker.tone.lexicon import LexiconScorer
from tracker.tone.model import DECIMALS, STRONGEST, Blend, Model, View
from tracker.tone.words import features

PER_AUTHOR: Final = 5  # messages of one author and day
PER_SYMBOL_DAY: Final = 200  # messages of one symbol and day
FOLDS: Final = 3
LEAST: Final = 2  # examples that hold a term
MOST_TERMS: Final = 20_000  # that a model keeps
LEVELLING: Final = 0.75  # power of its size with which a source counts: 1 as it is, 0 all alike
FEWEST: Final = 20  # examples of a class from which a source teaches the view, and has a prior
PRIOR_STRENGTH: Final = 100.0  # examples that a model to start from is worth in the blend
HALF_TRUSTED: Final = 6_000  # labels with which what was learned counts as much as what was known before
SMALL_GAIN: Final = 0.05  # in AUC, on unseen labels of the same days: the day's news give as much
WIDE_GAIN: Final = 0.20  # that no news give
LEAST_TRUST: Final = 0.05  # weight of the words in a blend that doesn't trust them
NO_PRIOR: Final = Blend(1.0, 1.0, 0.0)  # before anything is known
NO_VIEW: Final = View(1.0, 0.0, 0.0)
USUAL_BAND: Final = log(0.6 / 0.4)  # log-odds within which the default neutral band gives no stance
SHIFTS: Final = tuple(step / 10 for step in range(-20, 21))  # of the head's constant

Direction = Literal[-1, 0, 1]


Fit = TypeVar("Fit", Blend, View)


@dataclass(frozen=True, slots=True)
class Example:
    """One message with the label that its author, or a reader, gave it."""

    text: str
    label: Direction  # 1 bullish, -1 bearish, 0 neither
    source: str = ""
    author: str | None = None  # any stable name of who wrote it; only to cap, never kept
    symbol: str | None = None
    at: datetime | None = None  # aware


def select(
    examples: Iterable[Example], *, per_author: int = PER_AUTHOR, per_symbol_day: int = PER_SYMBOL_DAY
) -> list[Example]:
    """One example a wording, none that is labelled both ways; so many an author, and a symbol, a day. In their order."""
    ordered = sorted(examples, key=_place)
    labels: dict[bytes, set[int]] = {}
    keyed = [(_wording(example.text), example) for example in ordered]
    for key, example in keyed:
        labels.setdefault(key, set()).add(example.label)
    seen: set[bytes] = set()
    caps: Counter[tuple[str, ...]] = Counter()
    kept: list[Example] = []
    for key, example in keyed:
        if key in seen or len(labels[key]) > 1:
            continue
        day = example.at.astimezone(UTC).date().isoformat() if example.at is not None else ""
        author = ("author", example.source, example.author or "", day)
        symbol = ("symbol", example.source, example.symbol or "", day)
        if (example.author is not None and caps[author] >= per_author) or (
            example.symbol is not None and day and caps[symbol] >= per_symbol_day
        ):
            continue
        seen.add(key)
        caps[author] += 1
        caps[symbol] += 1
        kept.append(example)
    return kept


def train(
    examples: Sequence[Example],
    *,
    lexicon: LexiconScorer,
    prior: Model | None = None,
    progress: Callable[[int, int], None] | None = None,
    least: int = LEAST,
) -> Model:
    """Learn from all ``examples``, starting at ``prior``. Without examples the result is the prior.

    ``progress`` is told of rounds done and rounds at most; ``least``: how many examples a term has to be seen in.
    """
    if not examples:
        return prior or Model({}, NO_PRIOR, lexicon=lexicon.name)
    ordered = sorted(examples, key=_place)
    corpus = Corpus([example.text for example in ordered], prior.terms if prior else {}, least)
    total = 2 * (FOLDS + 1) * ROUNDS
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    blocks = _blocks(ordered)
    evidences = [lexicon.weigh(example.text) for example in ordered]
    sides = _task(ordered, [example.label for example in ordered])
    direction, outside = _learn(corpus, sides, blocks, DIRECTION, tick)
    blend, step = _fit_blend(sides, outside, evidences, prior)
    trust = 1.0
    if prior:
        trust = _trust(len(ordered), _gain(sides, outside, evidences, (prior.blend, 0.0), (blend, step)))
        blend, step = _towards(prior.blend, blend, trust), step * trust

    view = prior.view if prior else None
    holds: dict[str, float] = {}
    view_step = 0.0
    views = _task(ordered, _views(ordered))
    if views.weights:
        holds, unseen = _learn(corpus, views, blocks, VIEW, tick)
        logits = [
            blend.learned * (known + step * learned) + blend.lexicon * found + blend.constant
            for (known, learned), found in zip(outside, evidences, strict=True)
        ]
        fitted, view_step = _fit_view(ordered, views, unseen, logits, evidences, view)
        view, view_step = (_towards(view, fitted, trust), view_step * trust) if view else (fitted, view_step)
    if progress is not None:
        progress(total, total)
    return Model(
        terms=_strongest(
            corpus.counts,
            {term: step * weight for term, weight in direction.items()},
            {term: view_step * weight for term, weight in holds.items()},
            prior.terms if prior else {},
        ),
        blend=blend,
        view=view,
        priors={**(prior.priors if prior else {}), **_priors(ordered)},
        examples=len(ordered),
        lexicon=lexicon.name,
    )


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be told apart: each example's side, and how much it counts."""

    targets: list[int]  # 1, -1; 0: not in it
    weights: dict[int, float]  # place of an example in it -> its weight


def _place(example: Example) -> tuple[str, ...]:
    """The order of examples, whatever order they came in."""
    return (
        example.source,
        example.at.astimezone(UTC).isoformat() if example.at is not None else "",
        example.text,
        str(example.label),
        example.author or "",
        example.symbol or "",
    )


def _wording(text: str) -> bytes:
    """Equal for messages of equal words, whatever their links, names, numbers and case."""
    words, pairs = features(text)
    return blake2b("\n".join([*sorted(words), *sorted(pairs)]).encode(), digest_size=12).digest()


def _blocks(ordered: Sequence[Example]) -> list[int]:
    """A fold for each example: blocks of time where there is a time, so that a day's talk isn't on both sides."""
    places: dict[str, list[int]] = {}
    for place, example in enumerate(ordered):
        places.setdefault(example.source, []).append(place)
    folds = [0] * len(ordered)
    for members in places.values():
        for rank, place in enumerate(members):
            folds[place] = rank * FOLDS // len(members)
    return folds


def _views(ordered: Sequence[Example]) -> list[int]:
    """1 where a view is held, -1 where none is; 0 in sources whose labels don't tell, as those of authors don't."""
    neutral = Counter(example.source for example in ordered if example.label == 0)
    held = Counter(example.source for example in ordered if example.label != 0)
    return [
        0 if min(neutral[example.source], held[example.source]) < FEWEST else 1 if example.label else -1
        for example in ordered
    ]


def _task(ordered: Sequence[Example], targets: list[int]) -> Task:
    """Weights that make both sides of a source count alike, and large sources a little less than their size."""
    counts = Counter((example.source, target) for example, target in zip(ordered, targets, strict=True) if target)
    sizes = Counter(example.source for example, target in zip(ordered, targets, strict=True) if target)
    weights = {
        place: sizes[example.source] ** LEVELLING / 2 / (counts[example.source, target] + 1)
        for place, (example, target) in enumerate(zip(ordered, targets, strict=True))
        if target
    }
    mean = sum(weights.values()) / len(weights) if weights else 1.0
    return Task(targets, {place: weight / mean for place, weight in weights.items()})


def _learn(
    corpus: Corpus, task: Task, folds: Sequence[int], which: int, tick: Callable[[], None]
) -> tuple[dict[str, float], list[tuple[float, float]]]:
    """The weights of all terms on top of the prior's; for each example the prior's score, and the one on top of it by a
    model that hasn't seen its fold."""
    outside = [(0.0, 0.0)] * len(folds)
    for fold in range(FOLDS):
        inside = [place for place in task.weights if folds[place] != fold]
        learned = corpus.fit(inside, task.targets, task.weights, which, tick)
        for place in range(len(folds)):
            if folds[place] == fold:
                outside[place] = learned.score(place)
    return corpus.fit(list(task.weights), task.targets, task.weights, which, tick).terms(), outside


def _fit_blend(
    sides: Task, outside: Sequence[tuple[float, float]], evidences: Sequence[float], prior: Model | None
) -> tuple[Blend, float]:
    """The blend, and the size of the step from the prior's weights that has proved itself outside.

    Its constant isn't fitted: where neither layer says anything, nothing is said.
    """
    start = prior.blend if prior else NO_PRIOR
    known, learned, lexicon = _fit_layers(
        sides,
        [(*parts, found) for parts, found in zip(outside, evidences, strict=True)],
        (start.learned, start.lexicon),
    )
    known = max(LEAST_TRUST, known if prior else learned)
    return Blend(round(known, 4), round(lexicon, 4), start.constant), learned / known


def _gain(
    task: Task,
    outside: Sequence[tuple[float, float]],
    evidences: Sequence[float],
    known: tuple[Blend, float],
    fitted: tuple[Blend, float],
) -> float:
    """How much better the fitted blend and step rank examples that they have not seen than the known ones: AUC."""

    def ranked(blend: Blend, step: float) -> float:
        scores = {1: list[float](), -1: list[float]()}
        for place in task.weights:
            words, on_top = outside[place]
            scores[task.targets[place]].append(
                blend.learned * (words + step * on_top) + blend.lexicon * evidences[place]
            )
        return auc(scores[1], scores[-1]) or 0.5

    return ranked(*fitted) - ranked(*known)


def _trust(labels: int, gain: float) -> float:
    """How far to go from what was known to what was learned.

    By the square of the number: few labels are few in themselves, and they come from few days, whose words are as much
    those of the day's news as of people who take sides, so that a small gain on unseen ones of the same days says little. A
    wide one says that people here write in a way that was not known: it is trusted at once.
    """
    by_number = labels**2 / (labels**2 + HALF_TRUSTED**2)
    by_gain = min(1.0, max(0.0, (gain - SMALL_GAIN) / (WIDE_GAIN - SMALL_GAIN)))
    return by_number + (1.0 - by_number) * by_gain


def _towards(known: Fit, fitted: Fit, trust: float) -> Fit:
    """The known numbers, moved towards the fitted ones: all the way where ``trust`` is 1."""
    return type(known)(*(round(a + trust * (b - a), 4) for a, b in zip(astuple(known), astuple(fitted), strict=True)))


def _fit_layers(task: Task, rows: Sequence[tuple[float, ...]], start: tuple[float, ...]) -> list[float]:
    """How much each layer counts: the prior's words, the words learned on top, the others.

    What was learned on top has to earn its place: with few examples it counts for nothing.
    """
    places = list(task.weights)
    found = fit_few(
        [rows[place] for place in places],
        [task.targets[place] for place in places],
        [task.weights[place] for place in places],
        (start[0], 0.0, *start[1:]),
        PRIOR_STRENGTH,
    )
    found[1] = max(0.0, found[1])
    return found


def _fit_view(
    ordered: Sequence[Example],
    task: Task,
    outside: Sequence[tuple[float, float]],
    logits: Sequence[float],
    evidences: Sequence[float],
    prior: View | None,
) -> tuple[View, float]:
    """The head that tells views from none; its constant is the one with which the three stances come out best."""
    start = prior or NO_VIEW
    words, learned, strength, constant = _fit_layers(
        task,
        [(*parts, abs(logit), 1.0) for parts, logit in zip(outside, logits, strict=True)],
        (start.words, start.strength, start.constant),
    )
    # what the lexicon knows comes on top of that: words that only the labels taught keep their say
    places = list(task.weights)
    scores = [
        words * known + learned * on_top + strength * abs(logit) + constant
        for (known, on_top), logit in zip(outside, logits, strict=True)
    ]
    share, lexicon, shift = fit_few(
        [(scores[place], abs(evidences[place]), 1.0) for place in places],
        [task.targets[place] for place in places],
        [task.weights[place] for place in places],
        (1.0, start.lexicon, 0.0),
        PRIOR_STRENGTH,
    )
    words, learned, strength, constant = (share * value for value in (words, learned, strength, constant))
    constant += shift
    words = round(max(LEAST_TRUST, words if prior else learned), 4)
    strength, lexicon = round(strength, 4), round(lexicon, 4)
    step = learned / words
    sources: dict[str, list[tuple[int, int, float]]] = {}
    for place in task.weights:
        logit = logits[place]
        side = 0 if abs(logit) < USUAL_BAND else 1 if logit > 0 else -1
        known, on_top = outside[place]
        score = words * (known + step * on_top) + strength * abs(logit) + constant + lexicon * abs(evidences[place])
        sources.setdefault(ordered[place].source, []).append((ordered[place].label, side, score))
    best = max(SHIFTS, key=lambda shift: (sum(_three_class_f1(s, shift) for s in sources.values()), -abs(shift)))
    return View(words, strength, round(constant + best, 4), lexicon), step


def _three_class_f1(judged: Sequence[tuple[int, int, float]], shift: float) -> float:
    counts = Counter((label, side if score + shift >= 0 else 0) for label, side, score in judged)
    total = 0.0
    for stance in (1, 0, -1):
        both = sum(count for (label, said), count in counts.items() for one in (label, said) if one == stance)
        total += 2 * counts[stance, stance] / both if both else 0.0
    return total / 3


def _priors(ordered: Sequence[Example]) -> dict[str, float]:
    """Log-odds of the bullish share of each source whose authors declare themselves.

    Where some are labelled neutral readers did it, on messages picked for them: that share is not the stream's.
    """
    counts = Counter((example.source, example.label) for example in ordered)
    return {
        source: round(log((counts[source, 1] + 1) / (counts[source, -1] + 1)), 4)
        for source in sorted({example.source for example in ordered})
        if source and counts[source, 0] < FEWEST <= counts[source, 1] + counts[source, -1]
    }


def _strongest(
    counts: Mapping[str, int],
    direction: dict[str, float],
    holds: dict[str, float],
    prior: Mapping[str, tuple[float, float]],
) -> dict[str, tuple[float, float]]:
    """The terms that decide most, rounded: what moves many messages counts as much as what moves a few far."""
    whole: dict[str, tuple[float, float]] = {}
    for term in counts.keys() | prior.keys():
        first, second = prior.get(term, (0.0, 0.0))
        pair = _rounded(first + direction.get(term, 0.0)), _rounded(second + holds.get(term, 0.0))
        if pair != (0.0, 0.0):
            whole[term] = pair
    rank = sorted(whole, key=lambda term: (-max(map(abs, whole[term])) * counts.get(term, LEAST) ** 0.5, term))
    return {term: whole[term] for term in sorted(rank[:MOST_TERMS])}


def _rounded(weight: float) -> float:
    return round(min(STRONGEST, max(-STRONGEST, weight)), DECIMALS) + 0.0
