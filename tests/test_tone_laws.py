"""Laws of the lexicon scorer, over many texts: VADER's rules kept, masks, spellings, bounds, cost."""

from __future__ import annotations

import math
from html import escape

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from vaderSentiment.vaderSentiment import BOOSTER_DICT, SentimentIntensityAnalyzer

from tracker.tone import MOST
from tracker.tone.clean import RUN, core_of, pieces_of, spellings
from tracker.tone.lexicon import LexiconScorer, find, load_lexicon, vocabulary_of
from tracker.tone.tokens import MEMO, Memo
from tracker.universe import DATA

SCORER = LexiconScorer()
PUBLISHED = SentimentIntensityAnalyzer()
BARE = Memo(vocabulary_of((), general=1.0))  # VADER's words at their full valence, none of ours

MOODS = sorted(
    word
    for word, valence in PUBLISHED.lexicon.items()
    if word.isalpha() and word.isascii() and len(word) > 4 and word not in BARE._vocabulary.roles and valence
    if word not in BOOSTER_DICT and "n't" not in word and word != "doubt"
)
BENDERS = ["very", "extremely", "REALLY", "barely", "slightly", "not", "isn't", "WON'T", "without", "table", "is", "a"]
SAID = st.lists(st.one_of(st.sampled_from(BENDERS), st.sampled_from(MOODS)), min_size=1, max_size=7)

TERMS = sorted(term.term for term in load_lexicon(DATA / "lexicon.tsv") if "<" not in term.term)
TALK = st.lists(
    st.one_of(st.sampled_from(TERMS), st.sampled_from(["bears", "puts", "calls", "not", "my", "150c", "$5", "but", "will", "sold", "5%"])),
    max_size=12,
).map(" ".join)  # fmt: skip


def compound_of(text: str) -> float:
    total = sum(weight for _, weight in find(BARE.words(text.split(), MOST)))
    return round(total / math.sqrt(total * total + 15), 4)


@given(SAID, st.integers(0, 6), st.booleans())
def test_vaders_words_get_vaders_weights(words: list[str], bangs: int, shouted: bool) -> None:
    if shouted:
        words = [*words[:-1], words[-1].upper()]
    text = " ".join(words) + "!" * bangs
    assert compound_of(text) == pytest.approx(PUBLISHED.polarity_scores(text)["compound"], abs=2e-4)


@given(st.sampled_from(MOODS), st.sampled_from(MOODS))
def test_but_is_vaders(first: str, second: str) -> None:
    assume(PUBLISHED.lexicon[first] != PUBLISHED.lexicon[second])  # VADER takes equal weights for one another
    assume(PUBLISHED.lexicon[first] * 0.5 != PUBLISHED.lexicon[second])
    text = f"{first} but {second}"
    assert compound_of(text) == pytest.approx(PUBLISHED.polarity_scores(text)["compound"], abs=2e-4)


@given(TALK)
def test_the_tone_is_the_squashed_weight_and_the_reasons_add_up_to_it(text: str) -> None:
    weight = SCORER.weigh(text)
    tone = SCORER.explain(text)
    assert tone.p_bullish == pytest.approx(1 / (1 + math.exp(-weight)))
    assert SCORER.score(text).tone == tone.tone
    if weight == 0:
        assert (tone.p_bullish, tone.stance) == (0.5, 0)
    else:
        assert (weight > 0) == (tone.p_bullish > 0.5)


@given(TALK, st.sampled_from(["$XYZ", "https://a.example/crash", "@bull_run", "u/bearish_bob", "`sell()`"]))
def test_what_is_masked_has_no_tone(text: str, mask: str) -> None:
    assert SCORER.weigh(f"{mask} {text}") == SCORER.weigh(text)


@given(TALK)
def test_entities_are_read_as_what_they_stand_for(text: str) -> None:
    once = escape(text)
    assert SCORER.weigh(once) == SCORER.weigh(escape(once)) == SCORER.weigh(text)


@given(st.text(max_size=60))
def test_any_text_has_a_finite_weight_and_the_same_one_again(text: str) -> None:
    weight = SCORER.weigh(text)
    assert math.isfinite(weight)
    assert weight == SCORER.weigh(text)


@pytest.mark.parametrize(
    ("drawn_out", "plain"),
    [("bullissssh", "bullish"), ("MOOOOON", "MOON"), ("hahahahaha", "haha"), ("loooool", "lol"), ("lmfaooo", "lol")],
)
def test_letters_drawn_out_change_nothing(drawn_out: str, plain: str) -> None:
    assert SCORER.weigh(drawn_out) == SCORER.weigh(plain) != 0


@pytest.mark.parametrize(
    ("token", "core"),
    [("$1,234.50", "<n>"), ("120k", "<n>"), ("+5%", "<+n>"), ("-3.2%", "<-n>"), ("7%", "<pct>"), ("10x", "<x>"),
     ("$150c", "<call>"), ("90p", "<put>"), ("0", "zero"), ("don't!!", "dont"), ("#bullish", "bullish"), ("...", "")],
)  # fmt: skip
def test_numbers_become_classes(token: str, core: str) -> None:
    assert core_of(token)[0] == core


def test_emoji_stand_apart_and_a_row_of_equal_ones_is_three() -> None:
    assert pieces_of("moon🚀🚀🚀🚀🚀soon") == ["moon", *["🚀"] * RUN, "soon"]
    assert pieces_of("👍🏽") == ["👍"]


def test_joined_words_are_read_one_by_one() -> None:
    assert SCORER.weigh("short-squeeze") == SCORER.weigh("short squeeze") > 0
    assert SCORER.weigh("good...but overvalued") == SCORER.weigh("good... but overvalued")


def test_spellings_of_long_tokens_are_not_sought() -> None:
    assert spellings("a" * 41) == ()


@pytest.mark.parametrize(
    "text",
    ["$" * 40_000, "🚀😂" * 20_000, "🚀 😂 " * 10_000, "🚀a😂b" * 10_000, "a" * 40_000, "a.b" * 13_000, "bears cry " * 4_000,
     "GOOD " * 7_999 + "good", "-".join(["bull"] * 8_000), "&amp;" * 8_000],
    ids=["dollars", "emoji", "spaced", "mixed", "giant", "dots", "camps", "capitals", "hyphens", "entities"],
)  # fmt: skip
def test_no_text_has_more_words_than_are_read(text: str) -> None:
    assert len(SCORER._words(text)) <= MOST
    assert math.isfinite(SCORER.weigh(text))


def test_the_memo_does_not_grow_without_end() -> None:
    memo = Memo(SCORER._memo._vocabulary)
    memo.words([f"word{number}" for number in range(MEMO + 10)], MEMO + 10)
    assert 0 < len(memo) <= MEMO
    memo.words(["x" * 1000], 1)
    assert "x" * 1000 not in memo
