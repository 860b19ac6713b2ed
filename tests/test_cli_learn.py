"""``tracker learn``, ``score --model``, ``eval tone --model``, and the daemon that takes up what was learned."""

from __future__ import annotations

import asyncio
import csv
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import KEY, FakeClock, message
from test_learn import START, dialect

from tracker import learn_apart as apart
from tracker.app import App
from tracker.cli import main
from tracker.ingest import Analysis, digest
from tracker.learn_apart import Done, learn_apart
from tracker.mentions import make_finder
from tracker.models import Batch, PollReport
from tracker.parts import load_config, prepare_store, scorer_of, store_of, universe_of
from tracker.promotion import Promoted, go_back, load_standing, model_file, promote, promoted_model, twin_file
from tracker.store import Store
from tracker.tone import make_scorer
from tracker.tone.model import load_model, save_model, shipped
from tracker.tone.train import Example

NOW = datetime(2026, 4, 2, tzinfo=UTC)
SIDES = {1: "bullish", -1: "bearish", 0: "neutral"}


def write_csv(path: Path, examples: Sequence[Example]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["text", "label", "source"])
        lines.writerows([example.text, SIDES[example.label], example.source] for example in examples)
    return path


def run(folder: Path, *arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, ["--config", str(folder / "config.toml"), *arguments], input=given)


def told(found: Result, code: int = 0) -> Any:
    assert found.exit_code == code, found.output
    return json.loads(found.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An installation without a database."""
    configure(tmp_path)
    return tmp_path


def configure(folder: Path, tone: str = "") -> None:
    (folder / "config.toml").write_text(
        f'[tracker]\ndata_dir = "data"\n[watchlist]\nsymbols = ["GME"]\n[universe]\nenabled = false\n[tone]\n{tone}\n'
        + "".join(f"[sources.{name}]\nenabled = false\n" for name in ("bluesky", "hackernews", "reddit")),
        encoding="utf-8",
    )


def fill(folder: Path, examples: Sequence[Example]) -> Store:
    """Store labelled messages as a source would have brought them."""
    config = load_config(str(folder / "config.toml"), {})
    store = store_of(config)
    prepare_store(config, store, universe_of(config), NOW)
    messages = [
        message(f"$GME {e.text}", f"m{n}", at=e.at, label=SIDES[e.label], author=e.author, source=e.source)
        for n, e in enumerate(examples)
    ]
    found = digest(messages, Analysis(make_finder(("GME",)), make_scorer("lexicon"), KEY), stream="s", fetched_at=None)
    batch = Batch(
        PollReport("pond", "s", NOW, 0, "ok"), None, found.messages, found.mentions, found.tones, fetched_at=NOW
    )
    with store.writing() as connection:
        store.load([batch], connection)
    return store


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught")
    configure(folder)
    fill(folder, dialect(520))
    return folder


@pytest.fixture(autouse=True)
def tame(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen set in the dialect: what an invented one makes of real words is chance."""
    monkeypatch.setattr("tracker.cli_learn.load_frozen", lambda: dialect(40, first=800))


@pytest.fixture
def taught(template: Path, tmp_path: Path) -> Path:
    """An installation with 520 declared labels."""
    return Path(shutil.copytree(template, tmp_path / "taught"))


# ---------------------------------------------------------------------------------------------------------- learn


def test_learning_puts_in_force_says_why_and_goes_back(taught: Path) -> None:
    found = told(run(taught, "learn", "--json"))
    assert (found["outcome"], found["stored"], found["bullish"], found["bearish"]) == ("promoted", 520, 260, 260)
    assert [check["what"] for check in found["checks"]] == ["later labels", "frozen set"]
    assert all(check["passed"] and 0 <= check["in_force"] <= 1 for check in found["checks"])
    assert Path(found["path"]) == promoted_model(taught / "data")
    status = told(run(taught, "learn", "--status", "--json"))
    assert status["scorer"].startswith(found["model"])
    assert [one["name"] for one in status["promoted"]] == [found["model"]]
    assert status["said"].startswith("promoted")
    assert json.loads(run(taught, "score", "--json", "flurbing zantic").stdout)["scorer"] == status["scorer"]
    back = run(taught, "learn", "--back")
    assert back.exit_code == 0
    assert "in force" in back.stdout
    assert told(run(taught, "learn", "--status", "--json"))["scorer"] == make_scorer("learned").name
    assert run(taught, "learn", "--back").exit_code == 2


def test_a_person_sees_figures_and_what_to_do_next(taught: Path) -> None:
    found = run(taught, "learn", "--gently")
    assert found.exit_code == 0, found.output
    for words in ("stored labels", "later labels", "frozen set", "AUC in force", "promoted"):
        assert words in found.stdout
    assert "tracker rescore" in found.stderr
    assert "last run" in run(taught, "learn", "--status").stdout


def test_too_few_labels_are_no_failure(folder: Path) -> None:
    found = told(run(folder, "learn", "--json"))
    assert found["outcome"] == "too few"
    assert "200 of each are needed" in found["why"]
    assert found["model"] is None
    assert promoted_model(folder / "data") is None


def test_a_set_of_ones_own_may_not_fall_either(taught: Path) -> None:
    lies = write_csv(
        taught / "lies.csv", [replace(e, text=f"{e.text} they say") for e in dialect(60, lies=True, first=900)]
    )
    found = told(run(taught, "learn", "--frozen", str(lies), "--json"))
    assert found["outcome"] == "kept"
    assert "file lies.csv" in found["why"]
    assert [check["passed"] for check in found["checks"]] == [True, True, False]


def test_a_model_for_oneself_scores_and_is_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.tone.train.HALF_TRUSTED", 0)  # 300 labels would move the shipped weights a little
    labels = write_csv(folder / "labels.csv", dialect(300))
    path = folder / "mine.tsv.gz"
    found = told(run(folder, "learn", str(labels), "--output", str(path), "--json"))
    assert (found["outcome"], found["given"], found["path"]) == ("written", 300, str(path))
    assert promoted_model(folder / "data") is None
    name = load_model(path).name
    scored = told(run(folder, "score", "--model", str(path), "--json", "the pond is flurbing and mooplish"))
    assert scored["scorer"].startswith(name)
    assert scored["stance"] == 1
    lines = run(
        folder, "score", "--model", str(path), "--lines", given='krunked\n{"text": "zantic", "source": "pond"}\n'
    )
    assert [json.loads(line)["stance"] for line in lines.stdout.splitlines()] == [-1, 1]

    unseen = write_csv(folder / "unseen.csv", dialect(60, first=600))
    mixed = write_csv(folder / "mixed.csv", [*dialect(20, first=700), Example("hm", 0), Example("a question?", 0)])
    result = told(run(folder, "eval", "tone", str(unseen), str(mixed), "--model", str(path), "--json"))
    assert [row["set"] for row in result["sets"]] == ["unseen.csv"] * 3 + ["mixed.csv"] * 3
    first = result["sets"][0]
    assert first["scorer"].startswith(name)
    assert first["auc"] > 0.95
    assert [row["three_class_f1"] is None for row in result["sets"]] == [True] * 3 + [False] * 3
    assert {row["scorer"] for row in result["mean"]} == {row["scorer"] for row in result["sets"]}
    mean = result["mean"][0]
    assert (mean["n"], mean["neutral"]) == (80, 2)
    assert mean["auc"] == pytest.approx((first["auc"] + result["sets"][3]["auc"]) / 2)
    assert mean["three_class_f1"] == result["sets"][3]["three_class_f1"], "only where it is known"
    assert set(mean) >= {
        "accuracy",
        "macro_f1",
        "coverage",
        "sure_half_accuracy",
        "calibration_error",
        "messages_per_second",
    }
    shown = run(folder, "eval", "tone", str(unseen)).stdout
    assert all(scorer in shown for scorer in ("learned-", "lexicon-", "vader-", "per second"))


def test_a_folder_of_sets_is_measured_whole(folder: Path) -> None:
    sets = folder / "sets"
    sets.mkdir()
    assert run(folder, "eval", "tone", str(sets)).exit_code == 2
    write_csv(sets / "b.csv", dialect(10))
    write_csv(sets / "a.csv", dialect(10))
    found = told(run(folder, "eval", "tone", str(sets), "--json"))
    assert list(dict.fromkeys(row["set"] for row in found["sets"])) == ["a.csv", "b.csv"]


def test_nothing_to_learn_from_writes_nothing(folder: Path) -> None:
    one_sided = write_csv(folder / "labels.csv", [Example("up", 1), Example("more", 1)])
    found = run(folder, "learn", str(one_sided), "--output", str(folder / "mine.tsv"))
    assert found.exit_code == 1
    assert "nothing was written" in found.stderr
    assert not (folder / "mine.tsv").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--back", "--status"),
        ("--back", "--output", "x"),
        ("--status", "labels.csv"),
        ("labels.csv", "--frozen", "no.csv"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(folder: Path, arguments: tuple[str, ...]) -> None:
    labels = write_csv(folder / "labels.csv", dialect(4))
    wanted = [str(labels) if argument == "labels.csv" else argument for argument in arguments]
    assert run(folder, "learn", *wanted).exit_code == 2


def test_a_bad_line_of_a_file_is_named(folder: Path) -> None:
    (folder / "labels.csv").write_text("text,label\nup,bullish\ndown,gloomy\n")
    found = run(folder, "learn", str(folder / "labels.csv"))
    assert found.exit_code == 2
    assert "labels.csv line 3" in found.stderr


def test_a_model_that_the_configuration_names_is_used_as_it_is(taught: Path) -> None:
    path = taught / "mine.tsv.gz"
    save_model(replace(shipped(), title="mine"), path)
    configure(taught, 'model = "mine.tsv.gz"')
    assert json.loads(run(taught, "score", "--json", "up").stdout)["scorer"].startswith("learned-mine+")
    found = run(taught, "learn")
    assert found.exit_code == 2
    assert "names a model" in found.stderr
    assert told(run(taught, "learn", "--output", str(taught / "other.tsv"), "--json"))["outcome"] == "written"


# ------------------------------------------------------------------------------------------------------ the daemon


def in_force(folder: Path, name: str) -> None:
    """Promote the weights that come along under another name."""
    data = folder / "data"
    (data / "models").mkdir(parents=True, exist_ok=True)
    for path in (model_file(data, name), twin_file(data, name)):
        save_model(replace(shipped(), title=name), path)
    promote(data, Promoted(name, NOW, None))


@pytest.fixture
def opened(folder: Path) -> App:
    configure(folder, "learn = true")
    return App(load_config(str(folder / "config.toml"), {}), FakeClock(NOW))


async def test_a_running_daemon_takes_up_what_is_in_force(
    opened: App, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened.config = replace(opened.config, tone=replace(opened.config.tone, learn=False))
    await opened.open()
    try:
        before = opened.analysis
        await opened.learn()
        assert opened.analysis is before
        in_force(folder, "fresh")
        with caplog.at_level(logging.INFO):
            await opened.learn()
        assert opened.analysis.scorer.name.startswith("learned-fresh+")
        assert opened.analysis.finder is before.finder
        assert opened.poller._analysis is opened.analysis
        assert "another scorer is in force" in caplog.text
        await opened.flush()
        go_back(folder / "data")
        await opened.learn()
        assert opened.analysis.scorer.name == before.scorer.name
        in_force(folder, "fresh")
        model_file(folder / "data", "fresh").write_bytes(b"nonsense")
        await opened.learn()
        assert opened.analysis.scorer.name == before.scorer.name
        assert "can't be used" in caplog.text
    finally:
        await opened.close()


async def test_learning_is_due_once_a_day_and_survives_a_restart(
    opened: App, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[datetime] = []

    async def child(config: Any) -> Done:
        runs.append(opened.clock.now())
        if len(runs) == 1:
            return Done(None, "no room")
        in_force(folder, f"run{len(runs)}")
        return Done(
            {"outcome": "promoted", "why": "better", "checks": [{"what": "later labels", "new": 0.9, "in_force": 0.8}]}
        )

    monkeypatch.setattr("tracker.app.learn_apart", child)
    clock = opened.clock
    assert isinstance(clock, FakeClock)
    await opened.open()
    try:
        with caplog.at_level(logging.INFO):
            for _ in range(3):
                await opened.learn()
                clock.advance(3600)
            assert len(runs) == 1, "not again at once after a failure"
            assert "nothing was learned" in caplog.text
            clock.advance(86_400)
            await opened.learn()
        assert len(runs) == 2
        assert opened.analysis.scorer.name.startswith("learned-run2+")
        (record,) = [record for record in caplog.records if record.getMessage() == "learned the tone"]
        assert record.fields["checks"] == "later labels: AUC 0.8 -> 0.9"  # type: ignore[attr-defined]
    finally:
        await opened.close()


async def test_the_child_learns_from_the_file_and_says_what_came_of_it(taught: Path) -> None:
    config = load_config(str(taught / "config.toml"), {})
    done = await learn_apart(config)
    assert done.reason is None
    assert done.report is not None
    assert done.report["outcome"] in ("promoted", "kept")
    assert [check["what"] for check in done.report["checks"]] == ["later labels", "frozen set"]
    promoted = done.report["outcome"] == "promoted"
    assert scorer_of(config).name.startswith(done.report["model"]) == promoted
    learned_at = load_standing(taught / "data").learned_at
    assert learned_at is not None
    assert learned_at > START


async def test_a_child_that_fails_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(str(folder / "config.toml"), {})
    done = await learn_apart(replace(config, path=folder / "nowhere.toml"))
    assert done.report is None
    assert "nowhere.toml" in str(done.reason)
    monkeypatch.setattr(apart.sys, "executable", str(folder / "no-python"))
    assert (await learn_apart(config)).reason is not None


async def test_who_waits_no_longer_ends_the_child(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = asyncio.Event()
    children: list[asyncio.subprocess.Process] = []
    real = asyncio.create_subprocess_exec

    async def remembered(*arguments: Any, **named: Any) -> asyncio.subprocess.Process:
        children.append(await real(*arguments, **named))
        started.set()
        return children[0]

    monkeypatch.setattr(apart.asyncio, "create_subprocess_exec", remembered)
    waiting = asyncio.create_task(learn_apart(load_config(str(taught / "config.toml"), {})))
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert children[0].returncode == -9
    assert promoted_model(taught / "data") is None
