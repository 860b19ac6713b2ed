"""Long posts: each symbol has the tone of what is said about it, and no post takes long."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from fakes import KEY, NOON, message
from hypothesis import given
from hypothesis import strategies as st

from tracker.ingest import Analysis, digest
from tracker.mentions import make_finder
from tracker.tone import make_scorer
from tracker.tone.sentences import LARGEST, LONG, LONGEST, MOST, passages, score_named, sentences

LEXICON = make_scorer("lexicon")
FILLER = "The rest of this post is about the weather in the mountains and about the train that was late again. " * 4
POST = (
    f"{FILLER}\n$BABA is a strong buy, I am loading up and it will moon. {FILLER}"
    f"$GME is a scam, it will crash. Puts on it, bearish, sell everything! {FILLER}"
)


def tones(text: str, **named: str | None) -> dict[str, float]:
    return {symbol: tone.tone for symbol, tone in score_named(LEXICON, text, "", named)[1].items()}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three?\nFour", ["One.", "Two!", "Three?", "Four"]),
        ("It is at $3.50 now... so what", ["It is at $3.50 now...", "so what"]),
        ("Apple Inc. is fine vs. the rest. Yes", ["Apple Inc. is fine vs. the rest.", "Yes"]),
        ('He said "buy!" Then he left', ['He said "buy!"', "Then he left"]),
        ("a\n\n\n- b\n- c", ["a", "- b", "- c"]),
        ("!!! ??? ...", ["!!! ??? ..."]),
        ("", []),
        ("\n \n", []),
    ],
)
def test_a_text_is_cut_where_a_sentence_ends(text: str, parts: list[str]) -> None:
    assert list(sentences(text)) == parts


@given(st.text(alphabet='ab .!?\n"$…', max_size=300))
def test_no_word_is_lost_and_none_is_added(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


def test_who_sets_no_marks_is_cut_at_a_blank() -> None:
    parts = list(sentences("word " * 400))
    assert max(map(len, parts)) <= LONGEST
    assert " ".join(parts).split() == ["word"] * 400


def test_a_symbol_has_its_sentences_and_the_one_behind_unless_that_is_about_another() -> None:
    text = "First. $GME up. It flies. Nothing. BABA down. $gme again. AMC is third."
    assert passages(text, {"GME": "$GME", "BABA": "BABA", "AMC": "AMC"}) == {
        "GME": "$GME up. It flies. $gme again.",
        "BABA": "BABA down.",
        "AMC": "AMC is third.",
    }


@pytest.mark.parametrize(
    ("surface", "symbol", "sentence"),
    [
        ("$BTC", "BTC.X", "More BTC, please."),
        ("Bank of Ponds", "BOP", "The Bank of Ponds lends."),
        ("$brk.b", "BRK.B", "I hold $BRK.B."),
        ("ON", "ON", "ON is a chip maker."),
    ],
)
def test_a_symbol_is_found_in_each_of_its_forms(surface: str, symbol: str, sentence: str) -> None:
    assert passages(f"Nothing here. {sentence} Behind it. Nothing there.", {symbol: surface}) == {
        symbol: f"{sentence} Behind it."
    }


def test_in_a_long_post_each_symbol_has_the_tone_of_what_is_said_of_it() -> None:
    found = tones(POST, BABA="$BABA", GME="$GME", JD=None)
    whole = LEXICON.score(POST).tone
    assert found["BABA"] > 0.3
    assert found["GME"] < -0.3
    assert found["JD"] == whole


def test_up_to_the_limit_a_text_is_of_one_piece() -> None:
    short = "$BABA is a strong buy. $GME will crash."
    assert len(short) <= LONG
    assert set(tones(short, BABA="$BABA", GME="$GME").values()) == {LEXICON.score(short).tone}


def test_rows_of_a_long_post_keep_the_tone_of_the_whole_and_the_label_beside_it() -> None:
    analysis = Analysis(make_finder(("GME", "BABA")), LEXICON, KEY)
    at = datetime(2026, 3, 2, tzinfo=UTC)
    plain, labelled = (
        digest([message(POST, at=at, label=label)], analysis, stream="s", fetched_at=NOON)
        for label in (None, "bearish")
    )
    stances = {mention.symbol: mention.stance for mention in plain.mentions}
    assert stances == {"BABA": 1, "GME": -1}
    assert plain.tones[0].tone == LEXICON.score(POST).tone
    assert {mention.stance for mention in labelled.mentions} == {-1}, "what the author declared"
    assert [m.tone for m in labelled.mentions] == [m.tone for m in plain.mentions], "what the words say"


def test_what_is_scored_of_a_post_is_bounded() -> None:
    named: dict[str, str | None] = {f"Q{n:03}": f"$Q{n:03}" for n in range(1000)}
    text = " ".join(f"I like ${name}, and I say so for a reason that is my own." for name in named)
    found = passages(text, named)
    assert sum(map(len, found.values())) < 200_000
    assert max(map(len, passages("$GME is up. " * 4000, {"GME": "$GME"}).values())) <= 2 * LARGEST
    told = score_named(LEXICON, text, "", named)[1]
    assert len({id(tone) for tone in told.values()}) <= MOST + 1


@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"I think $Q{n % 200:03} goes up, calls, not selling at all, the shorts will be burned! Then we will see what the market brings us, maybe a dip." for n in range(270)),
        "$Q001 " * 6_600,
        "." * 39_990 + " $Q001",
        "$Q001. " * 5_700,
        "! " * 19_000 + "$Q001",
        "\"'" * 19_000 + "$Q001",
    ],
    ids=["sentences", "one line", "dots", "short sentences", "marks", "quotes"],
)  # fmt: skip
def test_the_longest_post_with_two_hundred_symbols_takes_no_time(text: str) -> None:
    text = text[:40_000]
    named: dict[str, str | None] = {f"Q{n:03}": f"$Q{n:03}" for n in range(200)}
    taken = []
    for _ in range(3):
        started = time.process_time()
        passages(text, named)
        taken.append(time.process_time() - started)
    assert min(taken) < 0.05
