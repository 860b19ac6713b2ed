"""``tracker eval mentions``: what it says on labelled messages, and of what it says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import mentions as bench
from tracker.cli_context import Context
from tracker.cli_eval import evaluate

ROWS = [
    {"id": "a", "source": "reddit-x", "text": "GME and $AMC", "gold": [
        {"symbol": "GME", "kind": "symbol", "surface": "GME"}, {"symbol": "AMC", "kind": "cashtag", "surface": "$AMC"}]},
    {"id": "b", "source": "tweets", "text": "Quibble Rockets up", "gold": [
        {"symbol": "QBL", "kind": "name", "surface": "Quibble Rockets"}]},
]  # fmt: skip


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "labelled.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    return path


def told(tmp_path: Path, *arguments: str) -> Any:
    config = tmp_path / "config.toml"
    config.write_text("", encoding="utf-8")
    context = Context(str(config), str(tmp_path / "data"))
    found = CliRunner().invoke(evaluate, ["mentions", *arguments], obj=context)
    assert found.exit_code == 0, found.output
    return found


def slices(found: Any) -> dict[str, Any]:
    return {result["slice"]: result for result in json.loads(found.stdout)}


def test_shares_are_told_by_slice_and_kind(tmp_path: Path, labelled: Path) -> None:
    results = slices(told(tmp_path, str(labelled), "--bundled", "--json"))
    assert results.keys() == {"all", "in lower case", "Reddit", "reddit-x", "tweets"}
    assert results["Reddit"]["all"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "there": 2}
    assert results["all"]["name"]["recall"] == 0.0
    assert results["tweets"]["all"]["precision"] is None


def test_lists_of_a_folder_add_what_they_hold(tmp_path: Path, labelled: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    header = "Symbol|Security Name|Market Category|Test Issue|Financial Status|Round Lot Size|ETF|NextShares"
    row = "QBL|Quibble Rockets Holdings, Inc. - Class A Common Stock|Q|N|N|100|N|N"
    end = "File Creation Time: 1120202606:00|||||||"
    (lists / "nasdaqlisted.txt").write_text("\r\n".join([header, row, end]) + "\r\n", encoding="utf-8")
    results = slices(told(tmp_path, str(labelled), "--universe", str(lists), "--json"))
    assert results["all"]["all"]["f1"] == 1.0


def test_the_messages_may_stand_for_their_own_stream(tmp_path: Path, labelled: Path) -> None:
    results = slices(told(tmp_path, str(labelled), "--bundled", "--stream", "--json"))
    assert results["Reddit"]["all"]["f1"] == 1.0


def test_a_person_sees_a_table_and_the_slips(tmp_path: Path, labelled: Path) -> None:
    found = told(tmp_path, str(labelled), "--slips", "5")
    assert "in lower case" in found.stdout
    assert "missed QBL in b" in found.stderr


def test_the_bench_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("more $GME\nnothing here\n", encoding="utf-8")
    assert bench.main([str(texts), str(tmp_path / "none.txt"), "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    assert all(stage in said for stage in ("find", "pre-filter", "capitals in a list", "skipped"))
