"""Labelled messages -> Model: what is learned, that order is nothing, and that a prior holds where labels are few."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.tone.evaluate import measure
from tracker.tone.fit import Problem, fit, fit_few
from tracker.tone.learned import LearnedScorer
from tracker.tone.lexicon import LexiconScorer
from tracker.tone.model import Blend, Model
from tracker.tone.train import FEWEST, MOST_TERMS, Example, select, train

LEXICON = LexiconScorer()
START = datetime(2026, 3, 2, 14, tzinfo=UTC)
# invented talk: the words are no lexicon's, so that only training can know them
BULLS = ["zug", "florp", "wimmel", "kranz"]
BEARS = ["dreg", "snarp", "muffel", "tronk"]
DULL = ["meeting", "monday", "chart", "office"]
FILLING = ["the", "a", "this", "that", "one", "again", "here", "there", "some", "more"]


def talk(count: int, source: str = "stocktwits", neutral: bool = False) -> list[Example]:
    """So many invented messages, each of its own wording, in turn bullish, bearish and perhaps neutral."""
    kinds = [(1, BULLS), (-1, BEARS), (0, DULL)] if neutral else [(1, BULLS), (-1, BEARS)]
    made = []
    for at in range(count):
        label, words = kinds[at % len(kinds)]
        filling = [FILLING[at // 10**power % 10] for power in range(4)]
        text = f"{filling[0]} {words[at // 3 % 4]} {' '.join(filling[1:])}"
        made.append(Example(text, label, source, f"author {at}", "GME", START + timedelta(minutes=at)))  # type: ignore[arg-type]
    return made


EXAMPLES = talk(240, neutral=True)
MODEL = train(EXAMPLES, lexicon=LEXICON)


def test_words_of_each_side_are_learned() -> None:
    scorer = LearnedScorer(MODEL, LEXICON)
    for word in BULLS:
        assert scorer.score(f"one {word} here").stance == 1, word
        assert MODEL.terms[word][0] > 0
    for word in BEARS:
        assert scorer.score(f"one {word} here").stance == -1, word
        assert MODEL.terms[word][0] < 0


def test_where_no_view_is_held_the_stance_is_neutral() -> None:
    assert MODEL.view is not None
    figures = measure(lambda example: LearnedScorer(MODEL, LEXICON).score(example.text), talk(60, neutral=True))
    assert figures.three_class_f1 is not None
    assert figures.three_class_f1 > 0.9


def test_words_are_known_by_their_parts() -> None:
    scorer = LearnedScorer(MODEL, LEXICON, 0.0)
    assert scorer.score("wimmels").stance == 1
    assert scorer.score("muffels").stance == -1


@settings(max_examples=5, deadline=None)
@given(st.permutations(range(60)))
def test_the_order_of_the_examples_is_nothing(order: list[int]) -> None:
    few = EXAMPLES[:60]
    assert train([few[at] for at in order], lexicon=LEXICON) == train(few, lexicon=LEXICON)


def test_without_labels_the_result_is_the_prior() -> None:
    assert train([], lexicon=LEXICON, prior=MODEL) == MODEL
    empty = train([], lexicon=LEXICON)
    assert empty.terms == {}
    assert LearnedScorer(empty, LEXICON).score("loading up on calls").stance == 1


def test_few_labels_move_the_prior_a_little_and_many_overrule_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.tone.train.HALF_TRUSTED", 100)
    turned = [replace(example, label=-example.label) for example in talk(600)]  # type: ignore[arg-type]
    weights = [train(turned[:count], lexicon=LEXICON, prior=MODEL) for count in (6, 60, 600)]
    tones = [LearnedScorer(model, LEXICON).score("one zug here").tone for model in (MODEL, *weights)]
    assert tones == sorted(tones, reverse=True)
    assert tones[1] > 0 > tones[-1]


def test_trust_grows_with_the_square_of_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [replace(example, label=-example.label) for example in talk(120)]  # type: ignore[arg-type]

    monkeypatch.setattr("tracker.tone.train.SMALL_GAIN", 2.0)  # no gain is wide
    monkeypatch.setattr("tracker.tone.train.WIDE_GAIN", 3.0)

    def moved(half: int) -> float:
        monkeypatch.setattr("tracker.tone.train.HALF_TRUSTED", half)
        return train(labels, lexicon=LEXICON, prior=MODEL).blend.learned - MODEL.blend.learned

    whole = moved(0)
    assert abs(whole) > 0.01
    assert moved(120) == pytest.approx(whole / 2, abs=2e-4)
    assert moved(360) == pytest.approx(whole / 10, abs=2e-4), "a third of the labels is a tenth of the trust"


def test_words_that_nobody_knew_are_trusted_at_once_where_they_tell_the_sides() -> None:
    few = talk(120)
    turned = [replace(example, label=-example.label) for example in few]  # type: ignore[arg-type]
    for labels, side in ((few, 1), (turned, -1)):
        model = train(labels, lexicon=LEXICON, prior=Model({}, Blend(0.5, 0.8, 0.0)))
        assert LearnedScorer(model, LEXICON).score("one zug here").tone * side > 0.1


def test_words_of_the_lexicon_tell_that_a_view_is_held() -> None:
    # each third of the time has words of its own: only the lexicon knows those of the other two
    sides = [[("calls", 1), ("puts", -1)], [("bullish", 1), ("bearish", -1)], [("undervalued", 1), ("overvalued", -1)]]
    made: list[Example] = []
    for at, example in enumerate(talk(360)):
        word, label = sides[at // 120][at % 2]
        words = example.text.split()
        words[1] = word if at % 4 < 2 else DULL[at // 120]
        made.append(replace(example, text=" ".join(words), label=label if at % 4 < 2 else 0))  # type: ignore[arg-type]
    view = train(made, lexicon=LEXICON).view
    assert view is not None
    assert view.lexicon > 0.2


def test_without_neutral_labels_the_view_is_the_priors() -> None:
    assert train(talk(60), lexicon=LEXICON).view is None
    assert train(talk(60), lexicon=LEXICON, prior=MODEL).view == MODEL.view
    authors = talk(3 * FEWEST) + [Example(f"dull {word}", 0, "stocktwits") for word in DULL]
    assert train(authors, lexicon=LEXICON).view is None, "a handful of neutral labels is no sample"


def test_one_side_only_is_no_failure() -> None:
    bulls = [example for example in EXAMPLES if example.label == 1]
    model = train(bulls, lexicon=LEXICON)
    assert LearnedScorer(model, LEXICON).score("one zug here").tone > 0
    neutral = [example for example in EXAMPLES if example.label == 0]
    assert train(neutral, lexicon=LEXICON).view is None


def test_a_bull_heavy_source_teaches_words_and_not_optimism() -> None:
    heavy = [e for at, e in enumerate(talk(800)) if e.label == 1 or at % 16 == 1]
    model = train(heavy, lexicon=LEXICON)
    scorer = LearnedScorer(model, LEXICON)
    assert abs(scorer.score("one again here").tone) < 0.5, "the stream is 8 to 1, a tone of 0.78"
    assert model.priors["stocktwits"] > 0.5
    assert scorer.score("one again here", "stocktwits").tone > scorer.score("one again here").tone


def test_a_share_is_taken_from_authors_and_not_from_readers() -> None:
    assert MODEL.priors == {}, "readers labelled some of these neutral"
    assert list(train(talk(60), lexicon=LEXICON).priors) == ["stocktwits"]
    assert train(talk(FEWEST - 2), lexicon=LEXICON).priors == {}


def test_progress_only_rises_and_ends_at_its_end() -> None:
    told: list[tuple[int, int]] = []
    train(EXAMPLES[:60], lexicon=LEXICON, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len({total for _, total in told}) == 1
    assert told[-1][0] == told[-1][1]


def test_terms_seen_too_rarely_are_not_kept() -> None:
    once = [*EXAMPLES, Example("xyzzyplugh", 1, "stocktwits", at=START)]
    assert "xyzzyplugh" not in train(once, lexicon=LEXICON).terms
    kept = train(EXAMPLES, lexicon=LEXICON, least=70).terms
    assert set(kept) < set(MODEL.terms)
    assert len(MODEL.terms) <= MOST_TERMS


def test_what_is_learned_holds_no_author_and_no_symbol() -> None:
    assert not [term for term in MODEL.terms if "author" in term or "GME" in term]


# ----------------------------------------------------------------------------------------------------------- select


def test_one_example_a_wording_and_none_that_is_labelled_both_ways() -> None:
    copies = [
        Example("$GME buy now https://a.example/1", 1),
        Example("$TSLA  BUY now https://b.example/2", 1),
        Example("sell it", 1),
        Example("SELL it", -1),
        Example("wait for it", 0),
    ]
    assert {example.text for example in select(copies)} == {"$GME buy now https://a.example/1", "wait for it"}


def test_an_author_and_a_symbol_are_capped_by_day() -> None:
    busy = [
        Example(f"word{at} is up", 1, "stocktwits", "ann", "GME", START + timedelta(hours=at * 6)) for at in range(8)
    ]
    assert len(select(busy, per_author=1)) == 3, "three days by the clock of UTC"
    assert len(select(busy, per_symbol_day=2)) == 6
    assert len(select(busy)) == 8
    nameless = [replace(example, author=None, symbol=None, at=None, text=f"{example.text} x") for example in busy]
    assert len(select(nameless, per_author=1, per_symbol_day=1)) == 8, "who isn't known isn't capped"


@given(st.permutations(range(12)))
def test_the_choice_is_the_same_in_any_order(order: list[int]) -> None:
    made = [Example(f"w{at % 5} up", 1 if at % 3 else -1, "s", f"a{at % 2}", "GME", START) for at in range(12)]
    assert select([made[at] for at in order], per_author=2) == select(made, per_author=2)


# -------------------------------------------------------------------------------------------------------------- fit


def test_the_fit_ends_where_the_gradient_is_nothing() -> None:
    problem = Problem(
        rows=[(0,), (0, 1), (1,), (2,)] * 30,
        scales=[1.0] * 120,
        offsets=[0.0] * 120,
        targets=[1, -1, -1, 1] * 30,
        weights=[1.0] * 120,
        columns=[(0,), (1, 2), (2,)],
        ratios=[1.0, -0.5, 0.7],
    )
    rounds: list[None] = []
    x = fit(problem, lambda: rounds.append(None))
    assert rounds
    best = loss(problem, x)
    for place in range(len(x)):
        for change in (-0.05, 0.05):
            moved = [value + change * (at == place) for at, value in enumerate(x)]
            assert loss(problem, moved) > best


def loss(problem: Problem, x: list[float]) -> float:
    """The objective as it is defined, written without any of the tricks."""
    from math import exp, log

    total = 5.0 * sum(value * value for value in x)
    for row, target in zip(problem.rows, problem.targets, strict=True):
        score = x[-1] + sum(problem.ratios[p] * x[p] for column in row for p in problem.columns[column])
        total += log(1 + exp(-target * score))
    return total


def test_a_few_numbers_are_fitted_and_pulled_to_where_they_start() -> None:
    rows = [(1.0, 0.2), (0.5, -1.0), (-1.0, 0.1), (-0.2, 0.4)] * 50
    targets = [1, 1, -1, -1] * 50
    free = fit_few(rows, targets, [1.0] * 200, (0.0, 0.0), 1.0)
    held = fit_few(rows, targets, [1.0] * 200, (0.0, 0.0), 1e6)
    assert free[0] > 1
    assert max(map(abs, held)) < 0.001
    assert fit_few([], [], [], (0.5, -2.0), 1.0) == pytest.approx([0.5, -2.0])


def test_the_blend_trusts_the_layer_that_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.tone.train.HALF_TRUSTED", 0)
    assert MODEL.blend.learned > 0.3
    said = [
        Example(
            f"{'bullish' if at % 2 else 'bearish'} {FILLING[at // 2 % 10]} {FILLING[at // 20]}",
            1 if at % 2 else -1,
            "x",
        )
        for at in range(200)
    ]
    assert train(said, lexicon=LEXICON, prior=Model({}, Blend(0.0, 0.0, 0.0))).blend.lexicon > 0.1


def test_what_was_known_gives_way_by_the_number_of_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blend and head lie between the prior's and the fitted ones; half-way where there are HALF_TRUSTED labels."""
    prior = replace(MODEL, blend=Blend(0.2, 0.9, 0.0))
    found = {}
    for half in (0, len(EXAMPLES), 10**9):
        monkeypatch.setattr("tracker.tone.train.HALF_TRUSTED", half)
        found[half] = train(EXAMPLES, lexicon=LEXICON, prior=prior).blend
    assert found[10**9] == prior.blend
    middle = found[len(EXAMPLES)]
    assert middle.learned == pytest.approx((found[0].learned + 0.2) / 2, abs=1e-4)
    assert middle.lexicon == pytest.approx((found[0].lexicon + 0.9) / 2, abs=1e-4)
