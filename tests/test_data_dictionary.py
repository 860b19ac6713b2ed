"""What the file says of itself is complete, and ``queries/README.md`` repeats it word for word.

After a change of a table, a metric or a report: ``TRACKER_REWRITE=1 pytest tests/test_data_dictionary.py``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import build

from tracker.dictionary import columns_of, definitions, dictionary, example, readme_with, words
from tracker.metrics import reports
from tracker.store import Connection
from tracker.store.connect import opened
from tracker.store.sqlfiles import folder

README = Path(__file__).parent.parent / "queries" / "README.md"
METRICS = sorted((folder() / "metrics").glob("*.sql"))
REPORTS = sorted((folder() / "reports").glob("*.sql"))
DEFINED = definitions()
_CLOCK = re.compile(
    r"\b(now|today|current_timestamp|current_date|current_time|get_current_timestamp|localtimestamp|random|uuid)\b",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with opened(build(tmp_path_factory.mktemp("dictionary")), read_only=True) as connection:
        yield connection


def regenerate(connection: Connection) -> str:
    """The README as it should be."""
    return readme_with(README.read_text(encoding="utf-8"), dictionary(connection))


def statements(path: Path) -> str:
    """The SQL of a file without its comments."""
    return re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8"))


def test_readme_says_what_the_file_says(connection: Connection) -> None:
    wanted = regenerate(connection)
    if os.environ.get("TRACKER_REWRITE"):
        README.write_text(wanted, encoding="utf-8")
    assert README.read_text(encoding="utf-8") == wanted, "run: TRACKER_REWRITE=1 pytest tests/test_data_dictionary.py"


def test_every_table_and_column_carries_a_comment(connection: Connection) -> None:
    silent = connection.execute(
        """SELECT table_name FROM duckdb_tables() WHERE comment IS NULL
           UNION ALL SELECT table_name || '.' || column_name FROM duckdb_columns()
           WHERE comment IS NULL AND table_name IN (SELECT table_name FROM duckdb_tables())"""
    ).fetchall()
    assert silent == []


def test_no_cell_of_the_dictionary_is_empty(connection: Connection) -> None:
    assert [line for line in dictionary(connection).splitlines() if re.search(r"\|\s*\|", line)] == []


def test_the_dictionary_names_every_object_of_the_file(connection: Connection) -> None:
    stored = connection.execute(
        """SELECT DISTINCT function_name FROM duckdb_functions() WHERE NOT internal
           UNION SELECT view_name FROM duckdb_views() WHERE NOT internal"""
    ).fetchall()
    assert {name for (name,) in stored} == {defined.name for defined in DEFINED}


@pytest.mark.parametrize("defined", DEFINED, ids=lambda defined: defined.name)
def test_every_macro_and_view_is_described(defined: object) -> None:
    assert len(getattr(defined, "header")) > 10  # noqa: B009 (parametrised objects carry no type)


def test_every_parameter_of_a_macro_is_described() -> None:
    assert {name for defined in DEFINED for name in defined.parameters} == set(words().parameters)


def test_definitions_of_columns_are_all_in_use(connection: Connection) -> None:
    known = {(defined.name, column) for defined in DEFINED for column, _ in columns_of(connection, defined)}
    in_use = {f"{name}.{column}" for name, column in known} | {column for _, column in known}
    assert [key for key in words().columns if key not in in_use] == []


def test_no_macro_parameter_is_named_like_a_column(connection: Connection) -> None:
    columns = {
        row[0]
        for row in connection.execute("SELECT DISTINCT column_name FROM duckdb_columns() WHERE NOT internal").fetchall()
    }
    assert {name for defined in DEFINED for name in defined.parameters} & columns == set()


@pytest.mark.parametrize("path", METRICS, ids=lambda path: path.stem)
def test_every_metric_file_opens_with_what_it_means_and_an_example_that_runs(
    path: Path, connection: Connection
) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("-- ")
    joined = " ".join(line.removeprefix("--").strip() for line in text.splitlines() if line.startswith("--"))
    assert example(joined), "no Example: …; in the comments"
    for found in re.findall(r"Example: (.+?);", joined):
        connection.execute(found).fetchall()


@pytest.mark.parametrize("path", [folder() / "macros.sql", *METRICS, *REPORTS], ids=lambda path: path.stem)
def test_no_metric_and_no_report_looks_at_the_clock_or_rolls_dice(path: Path) -> None:
    assert _CLOCK.findall(statements(path)) == []


def test_the_search_for_clocks_finds_one() -> None:
    assert _CLOCK.findall("SELECT now(), Current_Timestamp, nowhere") == ["now", "Current_Timestamp"]


def test_there_are_at_least_ten_reports() -> None:
    assert len(reports()) >= 10
