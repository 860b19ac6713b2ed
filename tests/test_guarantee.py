"""Nothing lost, nothing doubled, nobody asked too early, whatever happens: ``tests/checker.py`` with a seed.

``TRACKER_SEEDS`` is how many seeds (default 5), ``TRACKER_SEED`` the first of them (default 11). ``TRACKER_SECONDS`` makes the runs
longer: 35 % of the answers are wrong then for as long as they last.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from checker import torment, whole_plan
from world_faults import kinds_of, plan

pytestmark = pytest.mark.slow

FIRST = int(os.environ.get("TRACKER_SEED", "11"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("TRACKER_SEEDS", "5")))


_LONG = os.environ.get("TRACKER_SECONDS")
LENGTH = {"seconds": float(_LONG), "share": 0.35} if _LONG else {}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_message_is_stored_once_through_every_fault_and_several_kills(seed: int, tmp_path: Path) -> None:
    report = torment(seed, tmp_path, **LENGTH)
    print(report.line())
    assert not report.failures(), report.failures()
    assert report.counts["named times"] >= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_without_an_overlap_position_and_messages_are_still_one(seed: int, tmp_path: Path) -> None:
    """An overlap hides a position that is stored before its messages: here there is none."""
    report = torment(seed + 1000, tmp_path, overlap=False, kills=3 if _LONG else 2, faults=bool(_LONG), **LENGTH)
    print(report.line())
    assert not report.failures(), report.failures()


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_in_calm_weather_what_is_shown_late_is_found_through_the_overlap_alone(seed: int, tmp_path: Path) -> None:
    """Faults delay polls, and a walk after a delay goes as deep as an overlap would."""
    report = torment(seed + 2000, tmp_path, kills=1, faults=False)
    print(report.line())
    assert not report.failures(), report.failures()


@pytest.mark.parametrize("seed", range(20))
def test_every_plan_holds_every_kind_of_fault(seed: int) -> None:
    drawn = plan(seed, ("stocktwits", "reddit", "hackernews", "bluesky"))
    assert {kind for _, kind in kinds_of(drawn)} == whole_plan()


@pytest.mark.parametrize("seed", range(20))
def test_a_long_plan_holds_every_kind_and_its_share(seed: int) -> None:
    drawn = plan(seed, ("stocktwits", "reddit", "hackernews", "bluesky"), share=0.35, seconds=60.0)
    assert {kind for _, kind in kinds_of(drawn)} == whole_plan()
    answers = [fault for source, faults in drawn.items() if source != "bluesky" for fault in faults]
    assert len(answers) >= 3 * 60
    assert sum(fault is not None for fault in answers) / len(answers) == pytest.approx(0.35, abs=0.02)
