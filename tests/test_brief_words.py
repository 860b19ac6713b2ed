"""Verbs by size, numbers that tell no other story than the ones behind them, and strangers quoted safely."""

from __future__ import annotations

import pytest
from builders import utc

from tracker.brief import change_words, part_of_day
from tracker.brief.words import clean, money, move_words, quoted, share, up_or_down


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("2026-11-17T11:00", "early Tuesday"),
        ("2026-11-17T04:59", "late Monday"),
        ("2026-11-17T05:00", "early Tuesday"),
        ("2026-11-17T14:00", "Tuesday morning"),
        ("2026-11-17T17:00", "midday Tuesday"),
        ("2026-11-17T19:00", "Tuesday afternoon"),
        ("2026-11-17T22:00", "Tuesday evening"),
        ("2026-07-14T04:00", "early Tuesday"),
    ],
)
def test_the_part_of_the_day_is_the_one_of_the_market(moment: str, words: str) -> None:
    assert part_of_day(utc(moment), "America/New_York") == words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (4.6, "has soared by 460 %"),
        (4.609, "has soared by over 460 %"),
        (4.5999, "has soared by over 459 %"),
        (12.345, "has soared by over 1,234 %"),
        (0.999, "has risen by 99.9 %"),
        (0.3, "has risen by 30 %"),
        (0.2996, "has edged up by 29.96 %"),
        (0.06, "has edged up by 6 %"),
        (0.0499, "has hardly changed (+4.99 %)"),
        (0.0, "has hardly changed (0 %)"),
        (-0.0, "has hardly changed (0 %)"),
        (-0.002, "has hardly changed (-0.2 %)"),
        (-0.02, "has hardly changed (-2 %)"),
        (-0.1, "has slipped by 10 %"),
        (-0.4, "has fallen by 40 %"),
        (-0.499, "has fallen by 49.9 %"),
        (-0.96, "has plunged by 96 %"),
        (-0.9996, "has plunged by 99.96 %"),
        (-1.0, "has plunged by 100 %"),
    ],
)
def test_a_change_is_told_by_its_size(change: float, words: str) -> None:
    assert change_words(change) == words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (0.1, "a 10 % surge"),
        (0.08, "an 8 % surge"),
        (0.0799, "a 7.99 % jump"),
        (0.0449, "a 4.5 % jump"),
        (0.0399, "a 3.99 % rise"),
        (0.1803, "an 18 % surge"),
        (0.115, "an 11.5 % surge"),
        (0.0049, "hardly any change (+0.49 %)"),
        (-0.00001, "hardly any change (-0.001 %)"),
        (0.0, "hardly any change (0 %)"),
        (-0.006, "a 0.6 % slip"),
        (-0.04, "a 4 % drop"),
        (-0.2051, "a 20.5 % plunge"),
    ],
)
def test_a_session_is_told_by_its_size(change: float, words: str) -> None:
    assert move_words(change) == words


def test_up_and_down_are_said_of_the_least_move_and_of_nothing_less() -> None:
    assert [up_or_down(change) for change in (0.135, -0.01395, 0.00001, 0.0, 1e-15)] == [
        "up 13.5 %",
        "down 1.4 %",
        "up 0.001 %",
        "unchanged",
        "unchanged",
    ]


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(1.0, "100 %"), (0.999, "99.9 %"), (0.0, "0 %"), (0.0004, "0.04 %"), (0.8443, "84 %"), (0.996, "99.6 %")],
)
def test_all_and_nothing_are_said_of_nothing_else(ratio: float, words: str) -> None:
    assert share(ratio) == words


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (84.1, "84.10"),
        (61234.567, "61,234.57"),
        (0.0821349, "0.08213"),
        (0.00001234, "0.00001234"),
        (0.5, "0.5"),
        (0, "0.00"),
    ],
)
def test_a_price_has_the_digits_that_count(price: float, words: str) -> None:
    assert money(price) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RT @ann: buy $BABA", "“buy $BABA”"),
        ("RT @ann.example.social: RT @bob buy", "“buy”"),
        ("ask @bob@example.social or /u/carl or d.e@example.test now", "“ask … or … or … now”"),
        ("see https://example.test/x?y=1 and www.example.test", "“see … and …”"),
        ("https://example.test/only", None),
        ("line\none\ttwo\u202e\x1b[31m red\x00", "“line one two[31m red”"),
        ("🚀🚀", "“🚀🚀”"),
        ("👩\u200d💻 is long", "“👩\u200d💻 is long”"),
        ("   ", None),
    ],
)
def test_strangers_are_quoted_without_names_addresses_and_control_characters(text: str, words: str | None) -> None:
    assert quoted(text) == words


def test_long_words_are_cut_between_words_and_marked() -> None:
    assert clean("one two three", 9) == "one two…"
    assert clean("one two three", 8) == "one two…"
    assert clean("x" * 500, 10) == "x" * 9 + "…"
    assert len(clean("word " * 100)) <= 200
    assert clean("word " * 100).endswith("word…")
