"""text -> Tone: the formula, plain VADER, the lexicon, and a cost that is bounded."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from tracker.errors import BadInput
from tracker.tone import LONGEST, MOST, Scorer, make_scorer, stance_of, to_tone
from tracker.tone.clean import clean
from tracker.tone.lexicon import LEXICON_VERSION, LexiconScorer, load_lexicon
from tracker.tone.vader import CHUNK, RUN, Analyzer, VaderScorer, squeeze
from tracker.universe import DATA

LEXICON = LexiconScorer()
PLAIN = VaderScorer()
PUBLISHED = SentimentIntensityAnalyzer()
ANALYZER = Analyzer()

WORDS = st.sampled_from(
    ["good", "GREAT", "not", "bad,", "terrible!", "but", "very", "kind", "of", "no", "never", "so", "this", "without",
     "doubt", "least", "at", "the", "shit", "to", "die", "for", "yeah", "right", "isn't", "sort", "hope?", "lol", ":)"]
)  # fmt: skip
SENTENCES = st.lists(WORDS, max_size=12).map(" ".join)


# --------------------------------------------------------------------------------------------------------- formula


@pytest.mark.parametrize(
    ("tone", "band", "p_bullish", "stance"),
    [
        (0.2, 0.1, 0.6, 1),
        (0.19, 0.1, 0.595, 0),
        (-0.2, 0.1, 0.4, -1),
        (-0.19, 0.1, 0.405, 0),
        (0.0, 0.0, 0.5, 0),
        (0.01, 0.0, 0.505, 1),
        (1.0, 0.1, 1.0, 1),
        (-1.7, 0.1, 0.0, -1),
    ],
)
def test_probability_and_stance(tone: float, band: float, p_bullish: float, stance: int) -> None:
    result = to_tone(tone, band, "x-1")
    assert result.p_bullish == pytest.approx(p_bullish)
    assert result.stance == stance
    assert result.scorer == "x-1"
    assert -1 <= result.tone <= 1


@given(st.floats(0, 1), st.floats(0, 0.49))
def test_stance_mirrors(p_bullish: float, band: float) -> None:
    assert stance_of(p_bullish, band) == -stance_of(1 - p_bullish, band)


# ------------------------------------------------------------------------------------------------------ plain VADER


@pytest.mark.parametrize(
    "text",
    [
        "VERY good!!! but the shit :)",
        "kind of good",
        "not good 🚀🔥",
        "no no good?",
        "😂😂x",
        "",
        "  ",
        "it isn't so bad 🤡",
    ],
)
def test_plain_vader_scores_as_published(text: str) -> None:
    assert PLAIN.score(text).tone == PUBLISHED.polarity_scores(text)["compound"]


@given(SENTENCES)
def test_the_faster_analyzer_gives_the_published_numbers(text: str) -> None:
    assert ANALYZER.polarity_scores(text) == PUBLISHED.polarity_scores(text)
    assert ANALYZER.weigh(text.strip())[0] == PUBLISHED.polarity_scores(text)["compound"]


def test_the_faster_analyzer_looks_far_enough_ahead_for_idioms() -> None:
    text = "this is a kiss of death here"
    assert ANALYZER.weigh(text)[0] == PUBLISHED.polarity_scores(text)["compound"] < 0


def test_plain_vader_explains_by_words() -> None:
    reasons = dict(PLAIN.explain("a terrible day 🔥").reasons)
    assert reasons["terrible"] < 0
    assert reasons["fire"] < 0


# ---------------------------------------------------------------------------------------------------------- lexicon


@pytest.mark.parametrize(
    "text",
    [
        "$NVDA loading up on calls",
        "bought the dip",
        "not selling",
        "don't sell!",
        "don’t sell!",
        "to the moon",
        "TO THE MOON",
        "🚀🚀",
        "$GME 📈",
        "shorts will cover",
        "short squeeze incoming",
        "puts expire worthless",
        "undervalued here",
        "breaking out",
        "diamond hands 💎🙌🏽",
        "bears are fucked",
    ],
)
def test_bullish_talk_is_bullish(text: str) -> None:
    assert LEXICON.score(text).stance == 1


@pytest.mark.parametrize(
    "text",
    [
        "$NVDA loading puts",
        "bought puts",
        "time to sell",
        "not buying",
        "going to zero",
        "GOING TO ZERO",
        "📉📉",
        "💩 company",
        "dead cat bounce",
        "huge dilution ahead",
        "bagholders everywhere 🤡",
        "not bullish",
        "worth a short",
        "it will dump",
        "pump and dump",
    ],
)
def test_bearish_talk_is_bearish(text: str) -> None:
    assert LEXICON.score(text).stance == -1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "$GME",
        "https://a.example/great",
        "@great_fan",
        "earnings call tomorrow",
        "okay",
        "100 shares",
        "support level",
    ],
)
def test_what_says_nothing_is_neutral(text: str) -> None:
    tone = LEXICON.score(text)
    assert (tone.tone, tone.p_bullish, tone.stance) == (0.0, 0.5, 0)


def test_explain_gives_the_same_tone_with_reasons_strongest_first() -> None:
    text = "Not selling my $GME, to the moon! 🚀🚀 okay. puts"
    tone = LEXICON.explain(text)
    assert tone.tone == LEXICON.score(text).tone
    assert LEXICON.score(text).reasons == ()
    reasons = dict(tone.reasons)
    assert {"rule: not selling", "to the moon", "🚀", "rule: puts", "!"} == set(reasons)
    assert reasons["rule: puts"] < 0 < reasons["rule: not selling"]
    sizes = [abs(weight) for _, weight in tone.reasons]
    assert sizes == sorted(sizes, reverse=True)


def test_a_phrase_ends_with_its_sentence() -> None:
    assert "free fall" in dict(LEXICON.explain("in free fall").reasons)
    assert "free fall" not in dict(LEXICON.explain("it is free. fall").reasons)


def test_emphasis_behind_a_phrase_still_counts() -> None:
    assert LEXICON.score("to the moon!!!").tone > LEXICON.score("to the moon").tone


def test_negation_turns_words_phrases_and_emoji() -> None:
    for text in ("bullish", "to the moon", "🚀"):
        assert LEXICON.score(text).tone > 0 > LEXICON.score(f"not {text}").tone


def test_what_denied_within_a_phrase_denies_nothing_behind_it() -> None:
    assert LEXICON.score("can't wait good earnings").tone > 0 > LEXICON.score("can't good earnings").tone


def test_skin_tones_and_variants_of_an_emoji_are_one() -> None:
    assert LEXICON.score("🤦🏽\u200d♂️").tone == LEXICON.score("🤦").tone < 0


def test_cleaning_takes_out_links_users_and_cashtags() -> None:
    assert clean("@bob $BRK.B it's $5 https://a.example").split() == ["it's", "$5"]


@given(st.text(max_size=80))
def test_any_text_has_a_tone_within_bounds(text: str) -> None:
    for scorer in (LEXICON, PLAIN):
        tone = scorer.score(text)
        assert -1 <= tone.tone <= 1
        assert tone.p_bullish == (1 + tone.tone) / 2
        assert tone == scorer.score(text)


# ------------------------------------------------------------------------------------------------------ bounded cost


@pytest.mark.parametrize("text", ["😂" * 4000, "🚀😂" * 2000, "great stock " * 5000, "🙈 🔥x" * 3000, "a " * 40_000])
def test_no_chunk_is_longer_than_the_limit(text: str) -> None:
    pieces = PLAIN.pieces(text)
    assert max(map(len, pieces)) <= CHUNK
    # full chunks but the last: the number of calls, and so the cost, grows with the text and no faster
    assert all(len(piece) == CHUNK for piece in pieces[:-1])
    assert sum(map(len, pieces)) <= MOST


def test_a_thousand_equal_emoji_cost_as_much_as_three() -> None:
    assert PLAIN.pieces("😂" * 4000) == PLAIN.pieces("😂" * RUN)
    for scorer in (LEXICON, PLAIN):
        assert scorer.score("😂" * 4000).tone == scorer.score("😂" * RUN).tone


def test_twice_the_text_is_twice_the_tokens() -> None:
    short = sum(map(len, PLAIN.pieces("great stock " * 150)))
    assert sum(map(len, PLAIN.pieces("great stock " * 300))) == 2 * short


def test_what_lies_beyond_the_longest_text_is_not_read() -> None:
    text = "calm day " * (LONGEST // 9 + 1)
    for scorer in (LEXICON, PLAIN, make_scorer("learned")):
        assert scorer.score(text[:LONGEST] + " terrible fraud").tone == scorer.score(text[:LONGEST]).tone


def test_a_long_text_is_the_mean_of_its_chunks_weighted_by_tokens() -> None:
    one, other = "good " + "word a " * 59 + "word ", "terrible " + "word a " * 29
    scores = [PUBLISHED.polarity_scores(text)["compound"] for text in (one, other)]
    assert [len(piece) for piece in PLAIN.pieces(one + other)] == [120, 59]
    assert PLAIN.score(one + other).tone == pytest.approx((scores[0] * 120 + scores[1] * 59) / 179)


def test_squeezing_keeps_order_and_short_runs() -> None:
    assert squeeze(list("aaaaabbaab")) == list("aaabbaab")


# --------------------------------------------------------------------------------------------- construction, tables


def test_scorers_are_named_with_their_versions() -> None:
    scorers: list[Scorer] = [make_scorer("lexicon"), make_scorer("vader")]
    assert [scorer.name for scorer in scorers] == [f"lexicon-{LEXICON_VERSION}+vader-3.3.2", "vader-3.3.2"]
    assert [scorer.score("good").scorer for scorer in scorers] == [scorer.name for scorer in scorers]


def test_a_changed_lexicon_has_a_new_version() -> None:
    """Stored scores carry the version: whoever edits the list raises LEXICON_VERSION and writes the new digest here."""
    digest = sha256((DATA / "lexicon.tsv").read_bytes()).hexdigest()[:12]
    assert (LEXICON_VERSION, digest) == (2, "f55a13236a7b")


def test_the_neutral_band_is_used() -> None:
    text = "a little higher"
    assert make_scorer("lexicon", 0.0).score(text).stance == 1
    assert make_scorer("lexicon", 0.45).score(text).stance == 0


@pytest.mark.parametrize("band", [-0.1, 0.5, float("nan")])
def test_an_impossible_neutral_band_is_refused(band: float) -> None:
    with pytest.raises(BadInput, match="neutral band"):
        make_scorer("lexicon", band)


def test_an_unknown_scorer_is_refused() -> None:
    with pytest.raises(BadInput, match="expected the scorer"):
        make_scorer("oracle")  # type: ignore[arg-type]


def test_plain_vader_takes_no_lexicon(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="plain VADER"):
        make_scorer("vader", lexicon_path=tmp_path / "x.tsv")


def test_a_lexicon_of_ones_own_replaces_ours_and_has_a_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "own.tsv"
    path.write_text("term\tvalence\treason\nblorp\t3\tmine\ngood\tmute\tmine\n🚀\t-3\tmine\n", encoding="utf-8")
    scorer = make_scorer("lexicon", lexicon_path=path)
    assert scorer.score("blorp").stance == 1
    assert scorer.score("good").stance == 0
    assert scorer.score("🚀").stance == -1
    assert scorer.score("tendies").stance == 0
    first = scorer.name
    path.write_text("term\tvalence\treason\nblorp\t-3\tmine\n", encoding="utf-8")
    assert make_scorer("lexicon", lexicon_path=path).name != first
    assert first.startswith("lexicon-own-")


@pytest.mark.parametrize(
    "line", ["moon\t5\tx", "moon\tnan\tx", "moon\thigh\tx", "Moon\t1\tx", "to  the\t1\tx", "moon\t1"]
)
def test_a_bad_lexicon_is_refused_with_the_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "own.tsv"
    path.write_text(f"term\tvalence\treason\n{line}\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"own\.tsv:2"):
        make_scorer("lexicon", lexicon_path=path)


def test_a_missing_lexicon_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        make_scorer("lexicon", lexicon_path=tmp_path / "none.tsv")


# A text of each class of numbers that a term can name.
SHOWN = {"<n>": "150", "<pct>": "5%", "<x>": "10x", "<+n>": "+4", "<-n>": "-4", "<call>": "150c", "<put>": "90p"}


def test_every_term_of_ours_has_its_effect() -> None:
    """Alone, a term has the sign of its valence and a mute one none: no line of the list is dead."""
    wrong = []
    for term in load_lexicon(DATA / "lexicon.tsv"):
        assert term.reason
        tone = LEXICON.score(" ".join(SHOWN.get(word, word) for word in term.term.split())).tone
        wanted = 0 if term.valence is None else (term.valence > 0) - (term.valence < 0)
        if (tone > 0) - (tone < 0) != wanted:
            wrong.append(term.term)
    assert wrong == []


def test_our_list_is_sorted() -> None:
    terms = [term.term for term in load_lexicon(DATA / "lexicon.tsv")]
    assert terms == sorted(terms)
