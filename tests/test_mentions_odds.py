"""How likely a bare word is a symbol, and what a stream teaches about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.mentions import Counts, add, count_forms, make_finder
from tracker.mentions.prior import NEVER, Form, habit_of, learned, points
from tracker.universe import Doubt, Need, SymbolInfo

KNOWN = SymbolInfo("GME", "GameStop", "stock", known=True)
NUMBERS = st.integers(min_value=0, max_value=100_000)
COUNTS = st.builds(Counts, NUMBERS, NUMBERS, NUMBERS)


def odds(info: SymbolInfo, form: Form = "capitals", need: Need = "free", counts: Counts | None = None) -> float:
    doubt = None if need == "free" else Doubt(need, "a word")
    return points(info, info.symbol, form, doubt, counts)


def test_what_is_known_goes_before_what_is_listed_and_that_before_what_is_gone() -> None:
    listed, gone = SymbolInfo("ABCD", "", "stock", "listed", "NYSE"), SymbolInfo("ABCD", "", "stock", "retired", "NYSE")
    counter = SymbolInfo("ABCD", "", "stock", "listed", "OTCQB")
    assert odds(KNOWN) > odds(listed) > odds(gone) > odds(counter)


def test_capitals_go_before_other_forms_and_words_need_more() -> None:
    assert odds(KNOWN) > odds(KNOWN, "title") > odds(KNOWN, "lower") > 0
    assert odds(KNOWN) > odds(KNOWN, need="capital") > 0 > odds(KNOWN, need="context")
    assert odds(KNOWN, "lower", "context") == odds(KNOWN, need="cashtag") == NEVER


@pytest.mark.parametrize("info", [SymbolInfo("ABCDW", "", "other"), SymbolInfo("USDJPY", "", "currency"), SymbolInfo("A", "", "stock", known=True)])  # fmt: skip
def test_warrants_currencies_and_the_article_are_never_bare(info: SymbolInfo) -> None:
    assert odds(info) == NEVER


def test_a_share_of_dollars_speaks_for_a_symbol_and_capitals_without_one_against() -> None:
    listed = SymbolInfo("ABC", "", "stock", "listed", "NYSE")
    often, never = Counts(dollar=45, capitals=60), Counts(dollar=0, capitals=83)
    assert odds(listed, need="context", counts=often) > odds(listed, need="context") > odds(listed, need="context", counts=never)  # fmt: skip


def test_ordinary_case_everywhere_speaks_against_and_a_few_messages_say_little() -> None:
    word, few = Counts(dollar=2, capitals=20, ordinary=20_000), Counts(dollar=0, capitals=1, ordinary=1)
    assert learned(word, "capitals", "context", 1.0) < -1
    assert abs(learned(few, "capitals", "context", 1.0)) < 0.3


@given(COUNTS, st.sampled_from(["capitals", "title", "lower"]), st.sampled_from(["free", "capital", "context"]), st.floats(0.01, 100))  # fmt: skip
def test_what_a_stream_teaches_is_bounded(counts: Counts, form: Form, need: Need, habit: float) -> None:
    assert -2.0 <= learned(counts, form, need, habit) <= 1.5
    assert learned(Counts(), form, need, habit) == 0.0 or form == "capitals"


@given(COUNTS, st.integers(1, 1000), st.floats(0.01, 100))
def test_more_dollars_never_teach_less(counts: Counts, more: int, habit: float) -> None:
    richer = Counts(counts.dollar + more, counts.capitals, counts.ordinary)
    assert learned(richer, "capitals", "context", habit) >= learned(counts, "capitals", "context", habit)


def test_the_habit_is_how_often_a_stream_leaves_the_dollar_out() -> None:
    counters = {"GME": Counts(9, 89, 3), "AMC": Counts(0, 0, 5)}
    assert habit_of(counters, ["GME", "AMC", "TSLA"]) == 9.0
    assert habit_of({}, ["GME"]) == 1.0


def test_each_form_is_counted_once_a_message() -> None:
    forms = count_forms("$GME GME gme Gme GME on ON $on x$F GME_fan", {"GME", "ON", "F"}, shouted=False)
    assert forms == {"GME": Counts(1, 1, 1), "ON": Counts(1, 1, 1), "F": Counts(1, 0, 0)}


def test_capitals_of_a_shouted_message_say_nothing() -> None:
    assert count_forms("GME ON gme", {"GME", "ON"}, shouted=True) == {"GME": Counts(0, 0, 1)}


def test_a_finder_counts_the_forms_of_a_message_as_it_reads_it() -> None:
    forms = make_finder().forms("GME and &#36;AMC, see https://a.example/$TSLA")
    assert (forms["GME"], forms["AMC"]) == (Counts(0, 1, 0), Counts(1, 0, 0))
    assert "TSLA" not in forms


@given(
    st.lists(st.dictionaries(st.sampled_from(["GME", "ON"]), st.builds(Counts, *[st.integers(0, 1)] * 3)), max_size=8)
)
def test_counters_add_up_whatever_the_order(messages: list[dict[str, Counts]]) -> None:
    forward: dict[str, Counts] = {}
    backward: dict[str, Counts] = {}
    for forms in messages:
        add(forward, forms)
    for forms in reversed(messages):
        add(backward, forms)
    assert forward == backward


def test_the_counters_of_a_stream_turn_a_word_into_a_symbol_and_back() -> None:
    text = "what a day for OPEN here"
    plain = make_finder()
    taught = make_finder(counters={"OPEN": Counts(0, 400, 5000), "GME": Counts(50, 100, 10)})
    assert "OPEN" in {mention.symbol for mention in plain.counted(plain.find(text))}
    seen = {mention.symbol: mention.confidence for mention in taught.find(text)}
    assert seen["OPEN"] < {mention.symbol: mention.confidence for mention in plain.find(text)}["OPEN"]
