"""What a person has said of bare symbols, in a small file that the configuration stands above."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracker.errors import BadInput
from tracker.verdicts import FILE, Verdicts, load_verdicts, merged, save_verdicts


def test_what_was_said_is_kept_and_may_be_said_anew(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert load_verdicts(folder) == Verdicts()
    save_verdicts(folder, {"ON": False, "GME": True})
    assert save_verdicts(folder, {"ON": True, "YOLO": False}) == Verdicts(frozenset({"GME", "ON"}), frozenset({"YOLO"}))
    assert [path.name for path in folder.iterdir()] == [FILE], "nothing is left beside it"


def test_a_person_may_write_in_it(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("# mine\n\nON\tno\nBRK.B\tyes\nON\tyes\n", encoding="utf-8")
    assert load_verdicts(tmp_path) == Verdicts(frozenset({"ON", "BRK.B"}), frozenset())


@pytest.mark.parametrize("line", ["ON", "ON\tmaybe", "two words\tno", "\tno"])
def test_a_line_that_says_nothing_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / FILE).write_text(f"GME\tyes\n{line}\n", encoding="utf-8")
    with pytest.raises(BadInput, match=f"{FILE}:2"):
        load_verdicts(tmp_path)


def test_what_is_no_token_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a token"):
        save_verdicts(tmp_path, {"ON\tyes\nX": False})
    assert load_verdicts(tmp_path) == Verdicts()


def test_the_configuration_has_the_last_word() -> None:
    said = Verdicts(frozenset({"ON", "GME"}), frozenset({"DD", "IT"}))
    assert merged(said, ["IT"], ["ON"]) == (("IT", "GME"), ("ON", "DD"))
