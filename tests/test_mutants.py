"""Checks that nothing can fail are worth nothing: see ``tests/mutants.py``.

``TRACKER_MUTANTS=1`` hunts all of them, ``TRACKER_MUTANTS=all`` from outside, too.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mutants import CHECKER, MUTANTS, OUTSIDE, QUICK, ROOT, fits, hunt_all, table

_WANTED = os.environ.get("TRACKER_MUTANTS", "")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_fits_exactly_once_and_changes_something(mutant: object) -> None:
    found = next(one for one in MUTANTS if one == mutant)
    assert fits(found) == 1, found.file
    assert found.old != found.new
    assert is_there(found.check)


def is_there(check: str) -> bool:
    file, _, name = check.partition("::")
    return f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")


def test_mutants_have_names_of_their_own() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names))
    assert set(QUICK) | OUTSIDE <= set(names)


def test_enough_is_seen_from_outside() -> None:
    assert len(OUTSIDE) >= 20
    assert all(map(is_there, CHECKER))


@pytest.mark.slow
def test_no_mutant_lives(tmp_path: Path) -> None:
    """The program as it is passes the same checks first."""
    wanted = [mutant for mutant in MUTANTS if mutant.name in QUICK or _WANTED]
    verdicts = hunt_all(wanted, tmp_path, outside=_WANTED == "all")
    alive = [verdict for verdict in verdicts if not verdict.killed]
    assert not alive, "\n".join([table(alive), *(verdict.said for verdict in alive)])
