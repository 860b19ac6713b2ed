"""text -> words, pairs and parts of words: the classes, the spelling, the reach of a negation."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.tone import LONGEST, words
from tracker.tone.words import NOT, PLENTY, REMEMBERED, SCOPE, features, grams, grams_among, scale_of


def held(text: str) -> set[str]:
    return features(text)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$GME $brk.b SYM", {"TAG"}),
        ("AAPL tsla, nvda's", {"TAG", "nvdas"}),
        ("all now it wen x", {"all", "now", "it", "wen", "x"}),
        ("https://example.org/a?b=1 www.example.org youtu.be/x", {"LINK"}),
        ("@somebody", {"USER"}),
        ("150c 90P 12.5c $20p", {"CALL", "PUT"}),
        ("$12 12.50 $1.2B .35", {"PRICE"}),
        ("+5% -3.2% 7%", {"PERCENT+", "PERCENT-", "PERCENT"}),
        ("100 1,000 10k 2nd 5pm", {"NUMBER"}),
        ("10x", {"TIMES"}),
        ("1/21 12/31/2026", {"DATE"}),
        ("wow!!! why? hm...", {"wow", "!!", "why", "?", "hm", "..."}),
        ("hm… !", {"hm", "..."}),
        (":) :( <3", {"SMILE", "FROWN"}),
        ("Sooooo MOOOON", {"soo", "moon"}),
        ("it’s it's its", {"its"}),
        ("#Squeeze buy/sell s&p", {"squeeze", "buy", "sell", "s&p"}),
        ("größer 漲", {"größer", "漲"}),
        ("🚀🚀📉up", {"🚀", "📉", "up"}),
    ],
)
def test_classes_and_spelling(text: str, expected: set[str]) -> None:
    assert held(text) == expected


def test_an_emoji_is_one_token_whatever_its_skin_and_gender() -> None:
    assert held("🤦🏽\u200d♂️ 🤦🏿\u200d♀️ 🤦 ❤️") == {"🤦", "❤"}


@pytest.mark.parametrize("text", ["it&#39;s", "it&amp;#39;s", "it&rsquo;s"])
def test_html_is_written_out_twice(text: str) -> None:
    assert held(text) == {"its"}


@pytest.mark.parametrize(("text", "expected"), [("i don t sell", "dont"), ("It s up", "its"), ("so I m in", "im")])
def test_what_lost_its_apostrophe_is_joined_again(text: str, expected: str) -> None:
    assert expected in held(text)


def test_no_cashtag_and_no_user_is_told_from_another() -> None:
    assert features("$GME up, says @ann") == features("$TSLA up, says @bob")


def test_a_negation_turns_the_words_behind_it_to_the_next_stop() -> None:
    assert held("not selling, buying") == {"not", "NOT_selling", "buying"}
    assert held("never " + "a b c d e") == {"never", "NOT_a", "NOT_b", "NOT_c", "NOT_d", "e"}
    assert SCOPE == 4


def test_pairs_join_neighbours_and_know_both_ends() -> None:
    assert features("load up, now")[1] == {"^ load", "load up", "up now", "now ^"}
    assert features("") == features(" ,., ") == (set(), set())


@pytest.mark.parametrize("end", [*".,;:!)", '"', "?", "!!", "...", ""])
def test_one_mark_behind_a_word_is_read_as_within_a_text(end: str) -> None:
    """Plain words take a short way; what stands behind them must not matter for it."""
    assert features(f"not selling{end} buying") == features(f"not selling {end} buying")


def test_parts_of_plain_words_only() -> None:
    assert sorted(grams("moon")) == ["#<mo", "#<moo", "#<moon", "#moo", "#moon", "#moon>", "#on>", "#oon", "#oon>"]
    assert len(grams("hahahaha")) == len(set(grams("hahahaha")))
    for other in ("up", "TAG", "NOT_selling", "up now", "s&p", "🚀", "PERCENT+", "漲漲"):
        assert grams(other) == ()


def test_long_words_have_bounded_parts() -> None:
    assert len(grams("ab" * 5000)) <= 3 * 40


@given(st.text("abmon", max_size=12), st.sets(st.text("<>abmon", min_size=3, max_size=5)))
def test_the_known_parts_of_a_word_are_its_parts_that_are_known(word: str, known: set[str]) -> None:
    begins = frozenset(part[:3] for part in known)
    assert sorted(f"#{part}" for part in grams_among(word, known, begins)) == sorted(
        part for part in grams(word) if part[1:] in known
    )


@given(st.text(max_size=200))
def test_any_text_gives_features_that_a_file_can_hold(text: str) -> None:
    found, pairs = features(text)
    assert bool(found) == bool(pairs)
    for term in found | pairs:
        assert term == term.strip()
        assert not set("\t\n\r") & set(term)
    assert all(" " not in word for word in found)
    assert all(pair.count(" ") == 1 for pair in pairs)


@given(st.lists(st.sampled_from(["up", "not", "🚀", "$GME", "5%", "don't", "a,b", "moooon"]), max_size=12))
def test_case_does_not_matter(tokens: list[str]) -> None:
    text = " ".join(tokens)
    assert features(text.upper()) == features(text.lower())


def test_what_was_read_before_is_read_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "REMEMBERED", 3)
    monkeypatch.setattr(words, "_readings", {})
    texts = ["buy the dip now", "sell it all today", "buy the dip now"]
    first, _, again = map(features, texts)
    assert first == again
    assert len(words._readings) <= 3
    assert REMEMBERED > 1000


def test_a_long_message_shouts_no_louder() -> None:
    assert scale_of(0) == scale_of(PLENTY) == 1.0
    assert scale_of(4 * PLENTY) == pytest.approx(0.5)


@pytest.mark.parametrize("unit", ["$", "&#", "@", "a.", "1,", "😂", "not ", "://", "a" * 30, "+.", "it s ", "don "])
def test_time_is_bounded_for_any_length(unit: str) -> None:
    texts = [(unit * (length // len(unit) + 1))[:length] for length in (LONGEST, 100 * LONGEST)]
    started = time.process_time()
    results = [features(text) for text in texts]
    assert time.process_time() - started < 1.0
    assert results[0] == results[1]


def test_negated_words_carry_a_mark_that_no_word_has() -> None:
    assert all(word.startswith(NOT) or word == "not" for word in held("not NOT_up"))
