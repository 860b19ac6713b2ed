"""A second opinion: any classifier in ONNX form, its classes by their names, its scores beside the others and nowhere else."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import KEY, FakeClock, make_store, message
from hypothesis import given
from hypothesis import strategies as st

from tracker.app import App
from tracker.config_schema import Second
from tracker.errors import BadInput
from tracker.ingest import Analysis, digest
from tracker.mentions import make_finder
from tracker.models import Batch, PollReport
from tracker.parts import load_config
from tracker.store import Store
from tracker.tone import make_scorer
from tracker.tone.second import AT_ONCE, SECOND, classes_of, lean, load_second

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
NEEDED = ("onnx", "onnxruntime", "tokenizers", "numpy")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
needs_packages = pytest.mark.skipif(bool(MISSING), reason=f"no {', '.join(MISSING)}: a second opinion is not tried")

WORDS = {"[PAD]": 0, "[UNK]": 1, "moon": 2, "crash": 3, "hold": 4}
# what each word says for the classes bearish, neutral and bullish
WEIGHTS = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.0], [-2.0, 0.0, 3.0], [3.0, 0.0, -2.0], [0.0, 3.0, 0.0]]


# --------------------------------------------------------------------------------------------- classes and numbers


@pytest.mark.parametrize(
    ("names", "labels", "classes"),
    [
        (["Bearish", "Neutral", "Bullish"], {}, (-1, 0, 1)),
        (["positive", "negative"], {}, (1, -1)),
        (["LABEL_0", "LABEL_1"], {"LABEL_0": "bearish", "LABEL_1": "bullish"}, (-1, 1)),
        (["Positive", "other", "NEG"], {"other": "neutral"}, (1, 0, -1)),
        (["positive", "negative"], {"positive": "bearish", "negative": "bullish"}, (-1, 1)),
    ],
)
def test_classes_go_by_their_names_unless_a_person_says_otherwise(
    names: list[str], labels: dict[str, str], classes: tuple[int, ...]
) -> None:
    assert classes_of({str(n): name for n, name in enumerate(names)}, labels, "config.json") == classes


@pytest.mark.parametrize(
    ("id2label", "words"),
    [
        ({"0": "LABEL_0", "1": "LABEL_1"}, "LABEL_0, LABEL_1"),
        ({"0": "positive", "1": "neutral"}, "a bullish and a bearish class"),
        ({"1": "positive", "2": "negative"}, "expected id2label"),
        (None, "expected id2label"),
        (["positive"], "expected id2label"),
        ({}, "a bullish and a bearish class"),
    ],
)
def test_classes_that_nobody_knows_are_bad_input(id2label: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        classes_of(id2label, {}, "config.json")


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=5))
def test_the_lean_is_bounded_and_turns_with_the_classes(logits: list[float]) -> None:
    classes = [1, -1, 0, 1, -1][: len(logits)]
    found = lean(logits, classes)
    assert -1 <= found <= 1
    assert lean(logits, [-meaning for meaning in classes]) == pytest.approx(-found)


def test_the_lean_is_the_bullish_probability_less_the_bearish() -> None:
    assert lean([0.0, math.log(2), math.log(5)], (-1, 0, 1)) == pytest.approx((5 - 1) / 8)


# ------------------------------------------------------------------------------------------------------ the sample


def stored(folder: Path, number: int) -> Store:
    store = make_store(folder)
    messages = [
        message(f"$GME {'moon' if n % 2 else 'crash'}", f"m{n}", at=NOW - timedelta(minutes=n)) for n in range(number)
    ]
    found = digest(messages, Analysis(make_finder(("GME",)), make_scorer("lexicon"), KEY), stream="s", fetched_at=None)
    batch = Batch(
        PollReport("pond", "s", NOW, 0, "ok"), None, found.messages, found.mentions, found.tones, fetched_at=NOW
    )
    with store.writing() as connection:
        store.load([batch], connection)
    return store


def test_the_sample_is_a_share_by_the_ids_the_newest_first_and_each_once(tmp_path: Path) -> None:
    store = stored(tmp_path, 400)
    ever = NOW - timedelta(days=9)
    everything = store.sample("second/x", 1.0, ever, 1000)
    assert [id_ for _, id_, _ in everything] == [f"m{n}" for n in range(400)]
    tenth = store.sample("second/x", 0.1, ever, 1000)
    assert 20 < len(tenth) < 65
    assert set(tenth) < set(store.sample("second/x", 0.5, ever, 1000)) < set(everything), (
        "a larger share holds the smaller"
    )
    assert store.sample("second/x", 0.1, ever, 5) == tenth[:5]
    assert {id_ for _, id_, _ in store.sample("second/x", 1.0, NOW - timedelta(minutes=9), 1000)} == {
        f"m{n}" for n in range(10)
    }
    with store.writing() as connection:
        connection.execute(
            "INSERT INTO tones VALUES ('pond', 'm0', 'second/x', 0, 0.5, 0), ('pond', 'm1', 'second/y', 0, 0.5, 0)"
        )
    assert "m0" not in {id_ for _, id_, _ in store.sample("second/x", 1.0, ever, 1000)}
    assert "m1" in {id_ for _, id_, _ in store.sample("second/x", 1.0, ever, 1000)}


# -------------------------------------------------------------------------------------------------- no classifier


@pytest.mark.skipif(not MISSING, reason="the packages are there")
def test_without_the_packages_it_is_said_which_extra_brings_them(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"tracker\[transformers\]"):
        load_second(tmp_path)


async def test_a_daemon_without_its_classifier_says_so_once_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = await opened(tmp_path, tmp_path / "nowhere")
    try:
        for _ in range(3):
            await app.ask_second()
        warned = [record for record in caplog.records if "second opinion" in record.getMessage()]
        assert [record.levelno for record in warned] == [logging.WARNING]
    finally:
        await app.close()


async def opened(folder: Path, model: Path | None) -> App:
    lines = "".join(f"[sources.{name}]\nenabled = false\n" for name in ("bluesky", "hackernews", "reddit"))
    (folder / "config.toml").write_text(f"[universe]\nenabled = false\n{lines}")
    config = load_config(str(folder / "config.toml"), {}, str(folder / "data"))
    tone = replace(config.tone, second=Second(model, share=1.0))
    app = App(replace(config, tone=tone), FakeClock(NOW))
    await app.open()
    return app


# ------------------------------------------------------------------------------------------------- a classifier


def make_classifier(folder: Path, names: list[str], inputs: tuple[str, ...] = ("input_ids", "attention_mask")) -> Path:
    """A real one, as small as can be: it looks up its words, and answers the mean of what they say."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    folder.mkdir(parents=True)
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "id2label": {str(n): name for n, name in enumerate(names)},
        "max_position_embeddings": 34,
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    weights = np.array(WEIGHTS, dtype=np.float32)[:, : len(names)]
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["said"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["said", "column"], ["heard"]),
        helper.make_node("ReduceSum", ["heard", "middle"], ["logits"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes, "judge",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"]) for name in inputs],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", len(names)])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([2]), "last"), numpy_helper.from_array(np.array([1]), "middle")],
    )  # fmt: skip
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(folder / "model.onnx")
    )
    return folder


THREE = ["Bearish", "Neutral", "Bullish"]


@needs_packages
def test_a_classifier_scores_texts_in_their_order_whatever_stands_beside_them(tmp_path: Path) -> None:
    opinion = load_second(make_classifier(tmp_path / "judge", THREE), 0.1)
    texts = ["moon", "crash", "hold", "frogs are green", "", "moon " * 5000, *["moon crash"] * (2 * AT_ONCE)]
    tones = opinion.score_many(texts)
    assert [tone.stance for tone in tones[:5]] == [1, -1, 0, 0, 0]
    assert tones[0].tone == pytest.approx(lean([-2, 0, 3], (-1, 0, 1)), abs=1e-5)
    assert tones[5].tone > 0.99
    assert len(tones) == len(texts)
    for text, tone in zip(texts[:5], tones[:5], strict=True):
        (alone,) = opinion.score_many([text])
        assert alone.tone == pytest.approx(tone.tone, abs=1e-6), "padding says nothing"
    assert {tone.scorer for tone in tones} == {opinion.name}
    assert opinion.score_many([]) == []


@needs_packages
def test_a_changed_classifier_has_a_new_name(tmp_path: Path) -> None:
    folder = make_classifier(tmp_path / "judge", THREE)
    before = load_second(folder).name
    assert before.startswith(f"{SECOND}judge-")
    assert load_second(folder).name == before
    make_classifier(tmp_path / "other" / "judge", ["Bearish", "neutral", "Bullish"])
    assert load_second(tmp_path / "other" / "judge").name != before


@needs_packages
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("model.onnx", "expected model.onnx"),
        ("tokenizer.json", "can't be read"),
        ("config.json", "configuration can't be read"),
        ("onnx", "can't be read"),
        ("list", "expected a JSON object"),
    ],
)
def test_what_can_not_be_used_is_named(tmp_path: Path, spoil: str, words: str) -> None:
    folder = make_classifier(tmp_path / "judge", THREE)
    if spoil == "onnx":
        (folder / "model.onnx").write_bytes(b"nonsense")
    elif spoil == "list":
        (folder / "config.json").write_text("[]")
    else:
        (folder / spoil).unlink()
    with pytest.raises(BadInput, match=words):
        load_second(folder)


@needs_packages
def test_a_classifier_that_asks_for_more_than_a_text_is_refused(tmp_path: Path) -> None:
    folder = make_classifier(tmp_path / "judge", THREE, ("input_ids", "attention_mask", "pixel_values"))
    with pytest.raises(BadInput, match="pixel_values"):
        load_second(folder)


@needs_packages
def test_a_classifier_of_fewer_numbers_than_names_is_refused(tmp_path: Path) -> None:
    folder = make_classifier(tmp_path / "judge", THREE)
    settings = {"id2label": {"0": "bearish", "1": "neutral", "2": "bullish", "3": "none"}}
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(BadInput, match="expected 4 numbers"):
        load_second(folder).score_many(["moon"])


@needs_packages
async def test_the_daemon_asks_about_what_is_new_and_mentions_never_see_it(tmp_path: Path) -> None:
    app = await opened(tmp_path, make_classifier(tmp_path / "judge", THREE))
    try:
        messages = [
            message(f"$GME {'moon' if n % 2 else 'crash'}", f"m{n}", at=NOW - timedelta(minutes=n)) for n in range(100)
        ]
        found = digest(messages, app.analysis, stream="s", fetched_at=None)
        batch = Batch(
            PollReport("pond", "s", NOW, 0, "ok"), None, found.messages, found.mentions, found.tones, fetched_at=NOW
        )
        with app.store.writing() as connection:
            app.store.load([batch], connection)
        for _ in range(3):
            await app.ask_second()
        with app.store.reading() as connection:
            opinions = connection.execute(
                "SELECT message_id, stance FROM tones WHERE starts_with(scorer, 'second/') ORDER BY message_id"
            ).fetchall()
            mentions = connection.execute("SELECT message_id, tone FROM mentions ORDER BY ALL").fetchall()
        # an hour's worth, and each once
        assert sorted(opinions) == sorted((f"m{n}", 1 if n % 2 else -1) for n in range(61))
        assert mentions == sorted((m.message_id, m.tone) for m in found.mentions)
    finally:
        await app.close()
