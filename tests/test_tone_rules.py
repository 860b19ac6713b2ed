"""The rules of the lexicon: options, camps, denied trades, dips, forecasts; what each says, by name and sign."""

from __future__ import annotations

import pytest

from tracker.tone.lexicon import LexiconScorer

SCORER = LexiconScorer()


def rules_of(text: str) -> dict[str, float]:
    return {
        name.removeprefix("rule: "): weight
        for name, weight in SCORER.explain(text).reasons
        if name.startswith("rule: ")
    }


@pytest.mark.parametrize(
    ("text", "rule", "sign"),
    [
        # options: opened, held
        ("bought some calls", "opens calls", 1),
        ("loading up on $XYZ 11/20 450 puts", "opens puts", -1),
        ("in for 200 weekly 35c", "opens calls", 1),
        ("holding my 90p", "opens puts", -1),
        ("my calls", "calls", 1),
        ("puts", "puts", -1),
        ("a weekly put", "puts", -1),
        # not opened, closed, written
        ("no calls for me", "no calls", -1),
        ("not buying puts", "no puts", 1),
        ("sold puts", "sells puts", 1),
        ("selling weekly $20 puts", "sells puts", 1),
        ("sell calls here", "sells calls", -1),
        ("dumped my calls", "closes calls", -1),
        ("closed my puts", "closes puts", 1),
        ("not selling these calls", "keeps calls", 1),
        # their end
        ("puts expire worthless", "puts lose", 1),
        ("calls are toast", "calls lose", -1),
        ("fucked puts", "puts lose", 1),
        ("the puts are printing", "puts win", -1),
        ("calls gonna print", "calls win", 1),
        ("calls won't print", "calls lose", -1),
        ("their puts", "others' puts", 1),
        ("please buy my puts", "others' puts", 1),
        # camps
        ("bears are so quiet", "bears mocked", 1),
        ("lol bears", "bears mocked", 1),
        ("where are the bears", "bears mocked", 1),
        ("shorts are trapped", "bears mocked", 1),
        ("bulls crying", "bulls mocked", -1),
        ("bulls 😂", "bulls mocked", -1),
        ("bulls in control", "bulls win", 1),
        ("bears win", "bears win", -1),
        ("so many bears here", "bears named", 1),
        ("what now bulls", "bulls named", -1),
        ("adding shorts", "short position", -1),
        ("my shorts", "short position", -1),
        # trades
        ("I'm not selling", "not selling", 1),
        ("don't sell", "not sell", 1),
        ("don’t ever sell!", "not sell", 1),
        ("stop selling", "not selling", 1),
        ("never short this", "not short", 1),
        ("wouldn't buy it", "not buy", -1),
        ("why would anyone buy this", "why buy", -1),
        ("why sell now", "why sell", 1),
        # dips
        ("buy the dip", "dip buying", 1),
        ("adding on any weakness", "dip buying", 1),
        ("bought more of this crash", "dip buying", 1),
        ("don't buy the dip", "no dip buying", -1),
        # forecasts
        ("this will drop", "will fall", -1),
        ("about to crash", "will fall", -1),
        ("gonna rip", "will rise", 1),
        ("won't drop", "won't fall", 1),
        ("will not bounce", "won't rise", -1),
    ],
)  # fmt: skip
def test_a_rule_says(text: str, rule: str, sign: int) -> None:
    rules = rules_of(text)
    assert rule in rules, rules
    assert rules[rule] * sign > 0
    assert SCORER.weigh(text) * sign > 0


@pytest.mark.parametrize(
    "text",
    [
        "call me tomorrow",
        "the earnings call",
        "it puts the company on the map",
        "the analyst calls it a day",
        "put it there",
        "I didn't sell",  # a regret as well as a resolve
        "if it drops",
        "it dropped 5%",
        "a short term view",
        "big red truck",
    ],
)
def test_no_rule_where_words_only_look_like_one(text: str) -> None:
    assert rules_of(text) == {}


@pytest.mark.parametrize("text", ["it dropped", "down 5% today", "red today", "fell to 90", "a small decline", "lol"])
def test_a_price_that_fell_and_a_laugh_are_no_stance_by_themselves(text: str) -> None:
    assert SCORER.score(text).stance == 0


@pytest.mark.parametrize("word", ["fuck", "fucking", "shit", "damn", "hell", "ass", "bitch"])
def test_profanity_is_neutral(word: str) -> None:
    assert SCORER.weigh(word) == 0
    assert SCORER.weigh(f"{word} bullish") > 0
    assert SCORER.weigh(f"{word} overvalued") < 0


@pytest.mark.parametrize("text", ["still holding the bag", "bagholders everywhere", "heavy bags"])
def test_bag_words_are_bearish(text: str) -> None:
    assert SCORER.score(text).stance == -1


def test_the_people_and_the_position_differ() -> None:
    assert SCORER.weigh("short") < 0 < SCORER.weigh("shorts")


def test_laughter_takes_the_side_of_who_is_not_named() -> None:
    assert SCORER.weigh("bears 😂") > SCORER.weigh("bears") > 0
    assert SCORER.weigh("bulls 😂") < SCORER.weigh("bulls") < 0


def test_a_rule_uses_its_words_up() -> None:
    assert dict(SCORER.explain("puts expire worthless").reasons).keys() == {"rule: puts lose"}
    assert dict(SCORER.explain("loading up on puts").reasons).keys() == {"rule: opens puts"}


def test_the_end_of_a_camp_is_not_that_of_an_option_near_by() -> None:
    assert rules_of("bears are crying 🚀🚀 150c").keys() == {"bears mocked", "calls"}


def test_a_rule_reads_no_further_than_its_sentence() -> None:
    assert "bears mocked" not in rules_of("the bears. a crying shame")
    assert "opens puts" not in rules_of("I buy. puts")


def test_capitals_change_nothing_where_everything_is_in_capitals() -> None:
    assert SCORER.weigh("BUY THE DIP") == SCORER.weigh("buy the dip")
    assert SCORER.weigh("this is BULLISH") > SCORER.weigh("this is bullish")
