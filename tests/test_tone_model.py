"""The weights as a file, and the scorer that uses them."""

from __future__ import annotations

import gzip
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import BadInput
from tracker.tone import make_scorer
from tracker.tone.learned import LearnedScorer
from tracker.tone.lexicon import LexiconScorer
from tracker.tone.model import Blend, Model, View, load_model, save_model, shipped
from tracker.tone.vader import REASONS

LEXICON = LexiconScorer()
PLAIN = Blend(1.0, 0.0, 0.0)
SMALL = Model(
    terms={"up": (1.0, 0.5), "NOT_up": (-1.0, 0.5), "so down": (-2.0, 0.2), "🚀": (1.5, 1.0), "#oon>": (0.4, 0.1)},
    blend=PLAIN,
    view=View(1.0, 0.1, -0.3),
    priors={"stocktwits": 0.5},
    examples=7,
    lexicon="lexicon-x",
)


@pytest.mark.parametrize("name", ["model.tsv", "model.tsv.gz"])
def test_a_model_comes_back_as_it_was_saved(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_model(SMALL, path)
    assert load_model(path) == SMALL
    first = path.read_bytes()
    save_model(replace(SMALL, terms=dict(reversed(SMALL.terms.items()))), path)
    assert path.read_bytes() == first, "equal models are equal files"
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert name.endswith(".gz") == (gzip.decompress(first) != first if first[:2] == b"\x1f\x8b" else False)


def test_a_view_that_counts_the_lexicon_comes_back_and_one_that_does_not_is_written_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "model.tsv"
    save_model(SMALL, path)
    assert "view\t1.0000\t0.1000\t-0.3000\n" in path.read_text(encoding="utf-8"), "older files have three values"
    counting = replace(SMALL, view=View(1.0, 0.1, -0.3, 0.25))
    save_model(counting, path)
    assert "view\t1.0000\t0.1000\t-0.3000\t0.2500\n" in path.read_text(encoding="utf-8")
    assert load_model(path) == counting
    assert counting.name != SMALL.name


@given(
    st.dictionaries(
        st.text(st.characters(categories=["L", "N", "So"]), min_size=1, max_size=8),
        st.tuples(st.integers(-5000, 5000), st.integers(-5000, 5000)),
        max_size=10,
    )
)
def test_weights_of_two_decimals_survive(
    tmp_path_factory: pytest.TempPathFactory, found: dict[str, tuple[int, int]]
) -> None:
    terms = {term: (direction / 100, view / 100) for term, (direction, view) in found.items()}
    path = tmp_path_factory.mktemp("model") / "model.tsv"
    save_model(Model(terms, PLAIN), path)
    assert load_model(path).terms == terms


def test_the_name_follows_the_content() -> None:
    assert replace(SMALL, title="1").name == "learned-1"
    assert SMALL.name.startswith("learned-own-")
    assert replace(SMALL, terms={**SMALL.terms, "up": (1.01, 0.5)}).name != SMALL.name
    assert LearnedScorer(SMALL, LEXICON).name == f"{SMALL.name}+{LEXICON.name}"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    path = tmp_path / "model.tsv"
    save_model(SMALL, path)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("tracker-tone-model\t1", "tracker-tone-model\t2", 1, "expected tracker-tone-model"),
        ("fingerprint\t", "fingerprin\t", 2, "expected fingerprint"),
        ("up\t1.00", "up\t1.20", 2, "the content is not what was saved"),
        ("examples\t7", "examples\tmany", 5, "expected a whole number"),
        ("blend\t1.0000", "blend\t", 6, "expected a number"),
        ("blend\t1.0000", "blend", 6, "expected blend and 3 values"),
        ("view\t1.0000", "view\tnan", 7, "expected a number"),
        ("view\t1.0000\t0.1000", "view\t1.0000", 7, "expected view and 3 values"),
        ("view\t1.0000", "view\t1.0000\t1.0000\t1.0000", 7, "expected view and 4 values"),
        ("prior\tstocktwits\t0.5", "prior\tstocktwits\tx", 8, "expected a number"),
        ("terms\t5", "terms\t6", 14, "expected 6 terms"),
        ("terms\t5\n", "", 9, "expected terms and 1 values"),
        ("#oon>\t0.40\t0.10", "#oon>\t0.40", 10, "expected term, direction and view"),
        ("#oon>\t0.40", "#oon>\t60", 10, "expected a number of -50 to 50"),
        ("NOT_up", "#oon>", 11, "expected terms in order"),
        ("🚀\t1.50\t1.00\n", "🚀\t1.50", 14, "the file is cut"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(BadInput, match=message) as error:
        load_model(path)
    assert f"{path} line {line}" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\x1f\x8b", b"\x1f\x8b\x08\x00broken in the middle", b"a\tb\n"])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tsv.gz"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"model\.tsv\.gz"):
        load_model(path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tsv"
    save_model(SMALL, path)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(BadInput):
            load_model(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        load_model(tmp_path / "none.tsv")
    with pytest.raises(BadInput, match="can't be written"):
        save_model(SMALL, tmp_path / "none" / "model.tsv")


# ----------------------------------------------------------------------------------------------------------- scorer


def test_words_negations_pairs_emoji_and_parts_are_summed_up() -> None:
    scorer = LearnedScorer(SMALL, LEXICON, 0.0)
    for text, sign in (("up", 1), ("not up", -1), ("so down", -1), ("🚀", 1), ("honeymoon", 1), ("moon", 1)):
        assert scorer.score(text).tone * sign > 0, text
    assert scorer.score("up").p_bullish == pytest.approx(1 / (1 + 2.718281828**-1.0))


def test_the_lexicon_has_its_share() -> None:
    scorer = LearnedScorer(Model({}, Blend(1.0, 1.0, 0.0)), LEXICON)
    for text in ("going to zero", "loading up on calls", "the meeting is on monday"):
        assert scorer.score(text).tone == pytest.approx(2 / (1 + 2.718281828459045 ** -LEXICON.weigh(text)) - 1)


def test_nothing_to_read_is_neutral_whatever_the_constant() -> None:
    scorer = LearnedScorer(replace(SMALL, blend=Blend(1.0, 1.0, 3.0), view=None), LEXICON, 0.0)
    for text in ("", "  ", ".,;"):
        tone = scorer.score(text, "stocktwits")
        assert (tone.tone, tone.p_bullish, tone.stance) == (0.0, 0.5, 0)


def test_without_a_view_the_stance_is_neutral_and_the_tone_stays() -> None:
    no_view = replace(SMALL, terms={"up": (3.0, -2.0)})
    tone = LearnedScorer(no_view, LEXICON).score("up")
    assert tone.stance == 0
    assert tone.tone > 0.8
    assert LearnedScorer(replace(no_view, view=None), LEXICON).score("up").stance == 1


def test_what_the_lexicon_says_counts_towards_a_view_on_either_side() -> None:
    deaf = Model({}, Blend(1.0, 1.0, 0.0), View(1.0, 0.0, -1.0))
    hearing = replace(deaf, view=View(1.0, 0.0, -1.0, 2.0))
    for text, side in (("loading up on calls", 1), ("going to zero", -1), ("the meeting is on monday", 0)):
        assert LearnedScorer(deaf, LEXICON).score(text).stance == 0, text
        assert LearnedScorer(hearing, LEXICON).score(text).stance == side, text


def test_the_share_of_the_source_counts_where_it_is_told() -> None:
    scorer = LearnedScorer(SMALL, LEXICON)
    assert scorer.score("up", "stocktwits").tone > scorer.score("up").tone == scorer.score("up", "elsewhere").tone


def test_reasons_are_shares_of_the_log_odds() -> None:
    scorer = LearnedScorer(SMALL, LEXICON)
    reasons = dict(scorer.explain("so down 🚀", "stocktwits").reasons)
    assert reasons == {"so down": -2.0, "🚀": 1.5, "(stocktwits)": 0.5}
    assert list(reasons) == ["so down", "🚀", "(stocktwits)"]
    assert dict(scorer.explain("not up").reasons) == {"not up": -1.0}
    assert scorer.explain("nothing known here").reasons == ()


def test_explaining_changes_nothing_and_names_both_layers() -> None:
    scorer = make_scorer("learned")
    for text in ("loading up on calls", "not selling 🚀", "going to zero!!", ""):
        told, plain = scorer.explain(text), scorer.score(text)
        assert (told.tone, told.stance, told.scorer) == (plain.tone, plain.stance, plain.scorer)
        assert len(told.reasons) <= REASONS
        assert bool(told.reasons) == bool(text)
        assert [abs(share) for _, share in told.reasons] == sorted((abs(s) for _, s in told.reasons), reverse=True)


# ---------------------------------------------------------------------------------------------------------- shipped


def test_the_shipped_weights_hold_no_names_and_few_terms() -> None:
    model = shipped()
    assert model.name == "learned-1"
    assert 5_000 < len(model.terms) <= 20_000
    assert model.view is not None
    for term in model.terms:
        assert not set(term) & set("@$"), "no user and no cashtag is a term"
        assert "http" not in term


@pytest.mark.parametrize(
    ("text", "stance"),
    [
        ("$GME loading up on calls, this is going to the moon 🚀", 1),
        ("$GME buying the dip, very bullish here", 1),
        ("$GME going to zero, bought puts", -1),
        ("$GME overvalued garbage, time to short it 📉", -1),
        ("$GME annual meeting is on Monday", 0),
    ],
)
def test_the_shipped_weights_see_plain_cases(text: str, stance: int) -> None:
    assert make_scorer("learned").score(text).stance == stance


@given(st.text(max_size=300))
def test_any_text_has_a_tone(text: str) -> None:
    tone = SHIPPED.score(text, "stocktwits")
    assert -1 <= tone.tone <= 1
    assert 0 <= tone.p_bullish <= 1


SHIPPED = LearnedScorer(shipped(), LEXICON)


def test_own_weights_are_loaded_and_belong_to_this_scorer_only(tmp_path: Path) -> None:
    path = tmp_path / "own.tsv"
    save_model(SMALL, path)
    assert make_scorer("learned", model_path=path).name.startswith(SMALL.name)
    with pytest.raises(BadInput, match="expected no model for the scorer lexicon"):
        make_scorer("lexicon", model_path=path)


def test_the_longest_message_takes_milliseconds() -> None:
    text = "bought $GME calls, not selling 🚀 at 12.50 " * 1000
    SHIPPED.score(text)
    started = time.process_time()
    SHIPPED.score(text)
    assert time.process_time() - started < 0.5
