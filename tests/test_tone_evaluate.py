"""Labelled messages from files, and the figures of a scorer."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import tone as bench
from tracker.errors import BadInput
from tracker.models import Tone
from tracker.tone import to_tone
from tracker.tone.evaluate import Figures, measure, read_examples
from tracker.tone.model import load_model
from tracker.tone.train import Example


def written(tmp_path: Path, text: str, name: str = "set.csv") -> Path:
    path = tmp_path / name
    content = text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


@pytest.mark.parametrize("name", ["set.csv", "set.csv.gz"])
def test_examples_are_read_with_all_that_is_known(tmp_path: Path, name: str) -> None:
    path = written(
        tmp_path,
        "id,created_at,source,symbol,text,label,author\n"
        '1,2026-03-02T14:00:00Z,stocktwits,GME,"up, ""up""\nand away",bullish,ann\n'
        "2,2026-03-02 15:00:00,x,,down,-1,\n"
        "\n"
        "3,,,,so so,Neutral,\n",
        name,
    )
    assert read_examples(path) == [
        Example('up, "up"\nand away', 1, "stocktwits", "ann", "GME", datetime(2026, 3, 2, 14, tzinfo=UTC)),
        Example("down", -1, "x", None, None, datetime(2026, 3, 2, 15, tzinfo=UTC)),
        Example("so so", 0),
    ]


def test_two_columns_are_enough(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufefftext,label\nup,1\ndown,bearish\nflat,0\n")
    assert [(example.text, example.label) for example in read_examples(path)] == [("up", 1), ("down", -1), ("flat", 0)]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("text,label\nup,1\ndown,short\n", "line 3", "expected the label bullish"),
        ("text,label\nup,\n", "line 2", "expected the label bullish"),
        ("text,label\nup,1,2\n", "line 2", "expected 2 fields"),
        ("text,stance\nup,1\n", "line 1", "expected one column label"),
        ("text,label,text\nup,1,x\n", "line 1", "expected one column text"),
        ("text,label,created_at\nup,1,yesterday\n", "line 2", "expected created_at"),
        ('text,label\nup,1\n"never closed,1\n', "line 3", "expected CSV"),
        ("", "set.csv", "expected a header"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, place: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as error:
        read_examples(written(tmp_path, text))
    assert place in str(error.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        read_examples(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_bytes(b"text,label\n\xff\xfe,1\n")
    with pytest.raises(BadInput, match=r"bad\.csv"):
        read_examples(tmp_path / "bad.csv")
    (tmp_path / "bad.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(BadInput, match=r"bad\.csv\.gz"):
        read_examples(tmp_path / "bad.csv.gz")


# ---------------------------------------------------------------------------------------------------------- figures


def said(example: Example) -> Tone:
    """The text is the tone."""
    return to_tone(float(example.text), 0.1, "test-1")


def test_figures_of_a_small_sample_by_hand() -> None:
    examples = [
        Example("0.8", 1), Example("0.1", 1), Example("-0.4", 1), Example("0", 1),
        Example("-0.9", -1), Example("0.3", -1),
        Example("0.05", 0), Example("0.6", 0),
    ]  # fmt: skip
    figures = measure(said, examples)
    assert (figures.n, figures.neutral, figures.bullish_share) == (6, 2, pytest.approx(4 / 6))
    assert figures.accuracy == pytest.approx(3 / 6)
    # bullish: 2 right of 4, 3 named; bearish: 1 right of 2, 2 named
    assert figures.macro_f1 == pytest.approx((4 / 7 + 2 / 4) / 2)
    # pairs bull above bear: over -0.9 all four, over 0.3 only the first
    assert figures.auc == pytest.approx(5 / 8)
    assert figures.coverage == pytest.approx(4 / 6)
    # the strongest three: -0.9, 0.8, -0.4
    assert figures.sure_half_accuracy == pytest.approx(2 / 3)
    # by bins of p: .05 (a bear), .3 (a bull), .5 (a bull) with .55 (a bull), .65 (a bear), .9 (a bull)
    assert figures.calibration_error == pytest.approx((0.05 + 0.7 + 0.95 + 0.65 + 0.1) / 6)
    # stances: bullish 1 of 4 with 3 named, bearish 1 of 2 with 2 named, neutral 1 of 2 with 3 named
    assert figures.three_class_f1 == pytest.approx((2 * 1 / (4 + 3) + 2 * 1 / (2 + 2) + 2 * 1 / (2 + 3)) / 3)


def test_what_cannot_be_said_is_none() -> None:
    assert measure(said, []) == Figures(0, 0, None, None, None, None, None, None, None, None)
    assert measure(said, [Example("0.2", 0)]).neutral == 1
    bulls = measure(said, [Example("0.2", 1), Example("0.4", 1)])
    assert (bulls.auc, bulls.three_class_f1, bulls.accuracy) == (None, None, 1.0)


@given(
    st.lists(st.tuples(st.sampled_from([-1, 1]), st.floats(-1, 1).map(lambda x: round(x, 2))), min_size=1, max_size=30)
)
def test_auc_is_the_share_of_pairs_in_order(scored: list[tuple[int, float]]) -> None:
    found = measure(said, [Example(str(tone), label) for label, tone in scored]).auc  # type: ignore[arg-type]
    pairs = [(bull, bear) for label, bull in scored if label == 1 for other, bear in scored if other == -1]
    if not pairs:
        assert found is None
    else:
        assert found == pytest.approx(sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs))


# ------------------------------------------------------------------------------------------------------------ bench


def folder_of_sets(tmp_path: Path) -> Path:
    rows = ["id,created_at,source,symbol,text,label"]
    for at in range(120):
        word, label = (("zug", "bullish"), ("dreg", "bearish"), ("monday", "neutral"))[at % 3]
        day = f"2026-03-{1 + at // 10:02}T{at % 10:02}:00:00Z"
        rows.append(
            f"{at},{day},stocktwits,GME,{word} {'abcdefghij'[at % 10]}x {'klmnopqrstuv'[at // 10]}y here,{label}"
        )
    for name in ("stocktwits_2016", bench.LONG_STREAM, "control_x"):
        (tmp_path / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("task", ["figures", "cold", "speed"])
def test_the_bench_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str) -> None:
    assert bench.main([str(folder_of_sets(tmp_path)), task]) == 0
    printed = capsys.readouterr().out
    assert {"figures": "| stocktwits_2016 | 40 |", "cold": "| 1", "speed": "messages/s"}[task] in printed
    assert "control_x" not in printed


def test_the_bench_makes_a_model_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model.tsv.gz"
    assert bench.main([str(folder_of_sets(tmp_path)), "ship", "--out", str(out)]) == 0
    assert load_model(out).title == "1"
    assert str(load_model(out).fingerprint) in capsys.readouterr().out


def test_the_bench_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([str(tmp_path / "none"), "figures"]) == 0
    assert bench.main([str(tmp_path), "figures"]) == 0
    assert capsys.readouterr().out.count("skipped") == 2


def test_what_is_measured_teaches_nothing_not_even_as_a_near_copy() -> None:
    texts = ["one two three four five", "quite another thing to say here", "one two three four six", "seven eight"]
    teaching, measured = bench.halves({"a": [Example(text, 1) for text in texts]})
    assert [example.text for example in teaching["a"]] == [texts[1]]
    assert [example.text for example in measured["a"]] == texts[2:]
