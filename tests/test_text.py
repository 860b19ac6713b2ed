"""Blanking what is not prose, and one key per wording."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.text import lower_in_place, normalise, text_key, upper_in_place

# Pieces that make links, users and code likely, which random characters hardly ever do.
PIECES = st.sampled_from(
    ["http://", "https://a.b/c ", "www.", "a.co/", "@", "u/", "/r/", "`", "```", "$", "GME", "nvidia", "NYSE", ":", " "]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=12).map("".join)


@given(TEXTS)
def test_normalise_keeps_every_offset(text: str) -> None:
    blanked = normalise(text)
    assert len(blanked) == len(text)
    assert all(new in (old, " ") for new, old in zip(blanked, text, strict=True))


@pytest.mark.parametrize(
    ("text", "gone", "kept"),
    [
        ("see https://site.example/GME/BB now", "GME", "now"),
        ("see www.GME.example today", "GME", "today"),
        ("short goo.gl/TSLA link", "TSLA", "link"),
        ("mail AMC.fan@GME.example please", "AMC", "please"),
        ("thanks @TSLA_fan", "TSLA", "thanks"),
        ("from u/GMEking today", "GME", "today"),
        ("on r/GME today", "GME", "today"),
        ("on /r/GME today", "GME", "today"),
        ("run `SPY = 1` now", "SPY", "now"),
        ("run ```SPY\nQQQ``` now", "QQQ", "now"),
    ],
)
def test_what_names_no_security_is_blanked(text: str, gone: str, kept: str) -> None:
    blanked = normalise(text)
    assert gone not in blanked
    assert kept in blanked


@pytest.mark.parametrize("text", ["for/against GME", "calls/puts", "3/19 calls", "BRK/B", "up 1.5/share", "a ` tick"])
def test_prose_with_slashes_and_ticks_stays(text: str) -> None:
    assert normalise(text) == text


def test_a_word_before_an_at_sign_stays_unless_it_is_a_mailbox() -> None:
    assert normalise("calls@noon").split() == ["calls"]
    assert normalise("calls@noon.example").split() == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Free room, join us! $GTAT $BTU http://a.example/1", "free ROOM join us $YHOO https://b.example/2"),
        ("RT @alice: buy now", "buy now"),
        ("RT @alice: RT @bob: buy now", "buy now"),
        ('"RT @alice: buy now"', "buy now"),
        ("price 12.50 target", "price 99 target"),
        ("hi @alice look", "hi @bob look"),
        ("it’s on", "it's on"),
        ("buy   now\n", "BUY now"),
        ("gap\u00a0up\u200b", "gap up"),
        ("$BRK.B is cheap", "$AAPL is cheap"),
        ("to the moon 🚀\ufe0f", "to the moon 🚀"),
        ("STRASSE rises", "straße rises"),
    ],
)
def test_pasted_copies_share_a_key(one: str, other: str) -> None:
    assert text_key(one) == text_key(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [("buy now", "sell now"), ("moon 🚀", "moon 📉"), ("上がる", "下がる"), ("art is long", "is long")],
)
def test_different_words_have_different_keys(one: str, other: str) -> None:
    assert text_key(one) != text_key(other)


@pytest.mark.parametrize(
    "text", ["", "  \n", "$NVDA", "$NVDA $AMD!!", "12.5 %", "https://a.example/x", "RT @alice:", "@alice …", "？！"]
)
def test_a_text_without_words_of_its_own_has_no_key(text: str) -> None:
    assert text_key(text) is None


@given(st.text(alphabet=st.characters(), max_size=60))
def test_key_is_deterministic_and_fits_ubigint(text: str) -> None:
    key = text_key(text)
    assert key == text_key(text)
    assert key is None or 0 <= key < 2**64


def test_lone_surrogates_have_a_key() -> None:
    assert text_key("half \ud83d a pair") is not None


@given(st.text())
def test_case_changes_in_place(text: str) -> None:
    assert len(lower_in_place(text)) == len(upper_in_place(text)) == len(text)


@pytest.mark.parametrize("unit", ["@", "`", "```a", "a@b.c", "a.co/ ", "u/", "://", "a.", "rt @a  ", " ", "$"])
def test_forty_thousand_hostile_characters_are_read(unit: str) -> None:
    """Each of these would take minutes if a pattern were quadratic."""
    text = unit * (40_000 // len(unit))
    assert len(normalise(text)) == len(text)
    text_key(text)
    text_key("rt @a" + " " * 40_000 + unit)
