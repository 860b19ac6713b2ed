"""What can drift from the documentation is counted here."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from tracker import config, sources
from tracker.cli import main
from tracker.parts import source_defaults

ROOT = Path(__file__).resolve().parent.parent
PROSE = "\n".join(
    path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
)


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_in_the_docs_and_explains_itself(command: str) -> None:
    assert f"tracker {command}" in PROSE or f"`{command}" in PROSE or f", {command}" in PROSE
    found = main.commands[command]
    assert isinstance(found, click.Command)
    assert found.help
    assert len(found.help) > 15


@pytest.mark.parametrize("name", sources.names())
def test_every_source_is_in_the_docs_with_its_terms(name: str) -> None:
    text = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    assert f"`{name}`" in text


def test_the_shipped_configuration_names_every_key_that_is_known() -> None:
    shipped = (ROOT / "config.toml").read_text(encoding="utf-8")
    missing = [key for key in config.keys(source_defaults()) if key.rsplit(".", 1)[-1] not in shipped]
    assert missing == []


def test_the_changelog_knows_the_version_or_what_is_unreleased() -> None:
    text = (ROOT / "docs" / "changelog.md").read_text(encoding="utf-8")
    assert "## Unreleased" in text or f"## {main.name}" in text


def test_no_committed_text_names_a_path_of_a_machine() -> None:
    places = [
        path
        for folder in ("tracker", "jobs", "queries", "tests", "bench", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".sql", ".md", ".toml", ".tsv"}
    ]
    guilty = [
        str(path.relative_to(ROOT))
        for path in places
        if "/" + "work/" in path.read_text(encoding="utf-8") or "/" + "root/" in path.read_text(encoding="utf-8")
    ]
    assert guilty == []


def _named_tests() -> list[tuple[str, str]]:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    return sorted(set(re.findall(r"(test_\w+\.py)::(test_\w+)", text)))


@pytest.mark.parametrize(("file", "name"), _named_tests())
def test_a_test_that_the_fault_catalogue_names_exists(file: str, name: str) -> None:
    assert re.search(rf"def {name}\(", (ROOT / "tests" / file).read_text(encoding="utf-8"))


def test_every_row_of_the_fault_catalogue_names_what_holds_it_or_says_that_nothing_does() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row[0]) for row in rows] == list(range(1, 77))
    for number, _, _, held in rows:
        assert "::" in held or "no test" in held or "not built yet" in held, number
