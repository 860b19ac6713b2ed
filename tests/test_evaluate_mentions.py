"""Precision, recall and F1 on labelled messages: what is rewarded, punished and left alone."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tracker.errors import BadInput
from tracker.evaluate_mentions import Labelled, fold, lowered, measure, read_labelled, score
from tracker.mentions import make_finder
from tracker.models import Match, Mention

SHARED = Path(os.environ.get("TRACKER_SHARED", Path(__file__).parents[2] / "shared"))


def gold(symbol: str, kind: str, surface: str, *alt: str) -> dict[str, Any]:
    return {"symbol": symbol, "kind": kind, "surface": surface, "start": 0, "alt": list(alt)}


ROWS: list[dict[str, Any]] = [
    {"id": "a", "source": "reddit-x", "layer": "full", "text": "GME and $AMC", "gold": [gold("GME", "symbol", "GME"), gold("AMC", "cashtag", "$AMC")], "optional": []},
    {"id": "b", "source": "tweets", "layer": "full", "text": "Facebook, Robinhood app", "gold": [gold("META", "name", "Facebook", "FB")], "optional": [{"symbol": "HOOD"}]},
    {"id": "c", "source": "tweets", "layer": "cashtag", "text": "$GME and AMC", "gold": [gold("GME", "cashtag", "$GME")], "optional": []},
]  # fmt: skip


def rows(tmp_path: Path) -> list[Labelled]:
    path = tmp_path / "labelled.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)) + "\n\n", encoding="utf-8")
    return read_labelled(path)


def says(*mentions: tuple[str, Match]) -> Any:
    return lambda text: [Mention(symbol, match, None, None, 1.0) for symbol, match in mentions]


def test_right_wrong_missed_and_optional(tmp_path: Path) -> None:
    full = rows(tmp_path)[:2]
    found = score("all", full, says(("GME", "symbol"), ("FB", "name"), ("HOOD", "name"), ("ZZZZ", "symbol")))
    assert (found.all.right, found.all.wrong, found.all.found, found.all.there) == (2, 5, 2, 3)
    assert found.all.precision == pytest.approx(2 / 7)
    assert found.all.recall == pytest.approx(2 / 3)
    assert found.all.f1 == pytest.approx(2 * (2 / 7) * (2 / 3) / (2 / 7 + 2 / 3))
    assert (found.kinds["symbol"].precision, found.kinds["symbol"].recall) == (1 / 4, 1.0)
    assert (found.kinds["name"].right, found.kinds["name"].wrong) == (1, 2)
    assert found.kinds["cashtag"].recall == 0.0
    assert {(slip.what, slip.symbol, slip.id) for slip in found.slips} == {
        ("wrong", "FB", "a"), ("wrong", "HOOD", "a"), ("wrong", "ZZZZ", "a"), ("missed", "AMC", "a"),
        ("wrong", "GME", "b"), ("wrong", "ZZZZ", "b"),
    }  # fmt: skip


def test_only_cashtags_are_judged_where_only_they_were_labelled(tmp_path: Path) -> None:
    [row] = rows(tmp_path)[2:]
    found = score("cashtags", [row], says(("GME", "platform"), ("AMC", "symbol")))
    assert (found.all.right, found.all.wrong, found.all.there) == (1, 0, 1)


def test_nothing_found_has_no_precision(tmp_path: Path) -> None:
    found = score("all", rows(tmp_path), says())
    assert (found.all.precision, found.all.recall, found.all.f1) == (None, 0.0, None)


@pytest.mark.parametrize(
    ("symbol", "folded"),
    [("BTC.X", "BTC"), ("brk-b", "BRK.B"), ("BRK/B", "BRK.B"), ("$RY.TO", "RY.CA"), ("WEED.CN", "WEED.CA"), ("LABU-50", "LABU-50")],
)  # fmt: skip
def test_spellings_of_one_symbol_are_folded(symbol: str, folded: str) -> None:
    assert fold(symbol) == folded


def test_symbols_and_cashtags_are_lowered_and_names_are_not(tmp_path: Path) -> None:
    assert [lowered(row).text for row in rows(tmp_path)] == ["gme and $amc", "Facebook, Robinhood app", "$gme and AMC"]


def test_slices_are_told_by_source_and_case(tmp_path: Path) -> None:
    finder = make_finder()
    results = {
        result.name: result for result in measure(rows(tmp_path), lambda text: finder.counted(finder.find(text)))
    }
    assert {name: result.messages for name, result in results.items()} == {
        "all": 2, "in lower case": 2, "cashtags of platforms": 1, "Reddit": 1, "reddit-x": 1, "tweets": 1
    }  # fmt: skip
    assert results["all"].all.recall == 1.0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("{", "labelled.jsonl:1"), ("[]", "labelled.jsonl:1"), ('{"id": 1}', "labelled.jsonl:1"), ("", "no labelled messages"),
     (json.dumps({**ROWS[0], "gold": [gold("GME", "rumour", "GME")]}), "expected a kind out of")],
)  # fmt: skip
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "labelled.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        read_labelled(path)
    assert complaint in str(caught.value)


def test_what_comes_with_the_program_has_its_floors_on_labelled_messages() -> None:
    path = SHARED / "eval" / "tickers" / "dev.jsonl"
    if not path.exists():
        pytest.skip(f"labelled messages are not here: {path.name}")
    finder = make_finder()
    results = {r.name: r for r in measure(read_labelled(path), lambda text: finder.counted(finder.find(text)))}
    floors = {"all": 0.97, "in lower case": 0.95, "cashtags of platforms": 0.995, "Reddit": 0.92}
    assert {name: results[name].all.f1 for name, least in floors.items() if (results[name].all.f1 or 0) < least} == {}


def test_off_topic_text_has_few_bare_symbols() -> None:
    path = SHARED / "eval" / "tone" / "control_sanders.csv"
    if not path.exists():
        pytest.skip(f"off-topic messages are not here: {path.name}")
    finder = make_finder()
    with path.open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    alarms = sum(m.match == "symbol" for text in texts for m in finder.counted(finder.find(text)))
    assert alarms <= 0.016 * len(texts)
