"""Retention, read copies, exports, and the proof that no row stands twice."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from fakes import NOON, make_batch, make_store, message, rows

from tracker.errors import StoreError
from tracker.models import Deletion, Item
from tracker.store import Connection, Store, people
from tracker.store.upkeep import TABLES, Pruned, doubles, export_query, lock_down

DAY = timedelta(days=1)
AGES = (0, 5, 50)  # days


@cache
def _filled() -> bytes:
    with TemporaryDirectory() as folder:
        found = make_store(Path(folder))
        found.standing(NOON)
        for days in sorted(AGES, reverse=True):
            at = NOON - days * DAY
            found.keep(
                make_batch(message("$GME to the moon", f"d{days}", at=at, author=f"a{days}"), at=at, number=100 - days)
            )
        found.flush()
        found.rollup()
        return found.opening.path.read_bytes()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three messages of $GME, 0, 5 and 50 days old, fetched when they were made, rolled up."""
    (tmp_path / "t.duckdb").write_bytes(_filled())
    found = make_store(tmp_path)
    found.standing(NOON)
    return found


def add(store: Store, *items: Item, days: int = 0, stream: str = "frogs") -> None:
    store.keep(make_batch(*items, at=NOON - days * DAY, stream=stream))
    store.flush()


def prune(store: Store, text: int = 99, mentions: int = 99, polls: int = 99) -> Pruned:
    """What is older than so many days goes."""
    return store.prune(
        text_before=NOON - text * DAY, mentions_before=NOON - mentions * DAY, polls_before=NOON - polls * DAY
    )


# ---------------------------------------------------------------------------------------------------- retention


def test_each_kind_goes_after_its_own_time_and_is_counted(store: Store) -> None:
    assert prune(store, text=3, mentions=30, polls=30) == Pruned(texts=2, mentions=1, tones=1, polls=1)
    assert rows(store, "SELECT id, text IS NULL FROM messages ORDER BY id") == [
        ("d0", False),
        ("d5", True),
        ("d50", True),
    ]
    assert rows(store, "SELECT message_id FROM mentions ORDER BY 1") == [("d0",), ("d5",)]
    assert rows(store, "SELECT message_id FROM tones ORDER BY 1") == [("d0",), ("d5",)]
    assert rows(store, "SELECT count(*) FROM polls") == [(2,)]


def test_pruning_twice_is_pruning_once(store: Store) -> None:
    prune(store, text=3, mentions=3, polls=3)
    assert prune(store, text=3, mentions=3, polls=3) == Pruned(0, 0, 0, 0)


def test_what_is_young_enough_stays_whole(store: Store) -> None:
    before = rows(store, "SELECT * FROM messages ORDER BY id")
    assert prune(store, text=51, mentions=51, polls=51) == Pruned(0, 0, 0, 0)
    assert rows(store, "SELECT * FROM messages ORDER BY id") == before


def test_counts_outlive_the_words_they_were_made_of(store: Store) -> None:
    before = rows(store, "SELECT * FROM buckets ORDER BY ALL")
    assert before
    prune(store, text=0, mentions=0, polls=0)
    store.rollup()
    assert rows(store, "SELECT * FROM buckets ORDER BY ALL") == before


def test_an_archive_that_a_person_has_loaded_is_theirs_to_keep(store: Store) -> None:
    at = NOON - 400 * DAY
    add(store, message("$GME then", "old", at=at), days=400, stream="archive/x")
    prune(store, text=3, mentions=3, polls=3)
    assert rows(store, "SELECT text FROM messages WHERE id = 'old'") == [("$GME then",)]
    assert rows(store, "SELECT count(*) FROM mentions WHERE message_id = 'old'") == [(1,)]
    assert rows(store, "SELECT count(*) FROM tones WHERE message_id = 'old'") == [(1,)]
    assert rows(store, "SELECT stream FROM polls WHERE started_at < TIMESTAMP '2026-01-01'") == [("archive/x",)]


def test_tombstones_stay_as_long_as_texts(store: Store) -> None:
    add(store, Deletion("pond", "gone5"), days=5)
    add(store, Deletion("pond", "gone50"), days=50)
    prune(store, text=30)
    assert rows(store, "SELECT id FROM tombstones") == [("gone5",)]


# ------------------------------------------------------------------------------------------------------ copies

READ = """
import duckdb, json, sys
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    print(json.dumps([
        connection.execute("SELECT count(*) FROM messages").fetchone()[0],
        connection.execute("SELECT ratio_of(3, 1)").fetchone()[0],
        connection.execute("SELECT sum(messages) FROM message_volume('GME', TIMESTAMP '2026-03-01', TIMESTAMP '2026-03-03', INTERVAL 1 HOUR)").fetchone()[0],
        connection.execute("SELECT count(*) FROM source_health").fetchone()[0],
    ], default=int))
"""


def read_elsewhere(path: Path) -> list[float]:
    """What another process finds in the copy: messages, a scalar macro, a table macro, a view."""
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[float] = json.loads(done.stdout)
    return found


def test_a_copy_answers_another_process_while_the_original_is_being_written(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "copies" / "read it's.duckdb"
    store.publish(copy)
    with store.writing() as connection:
        connection.execute("DELETE FROM messages")
        assert read_elsewhere(copy) == [3, 0.75, 1, 1]
    assert rows(store, "SELECT count(*) FROM messages") == [(0,)]


def test_a_new_copy_takes_the_place_of_the_old_one_under_a_reader(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    store.publish(copy)
    with duckdb.connect(str(copy), read_only=True) as reader:
        add(store, message("$GME again", "new"))
        store.publish(copy)
        assert reader.execute("SELECT count(*) FROM messages").fetchone() == (3,)
    with duckdb.connect(str(copy), read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM messages").fetchone() == (4,)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("copy")) == ["copy.duckdb"]


def test_what_a_kill_left_beside_the_copy_is_in_nobodys_way(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    (tmp_path / "copy.duckdb.new").write_bytes(b"half a copy")
    (tmp_path / "copy.duckdb.new.wal").write_bytes(b"half a log")
    store.publish(copy)
    with duckdb.connect(str(copy), read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM messages").fetchone() == (3,)


def test_a_copy_that_cannot_be_put_in_its_place_is_an_error_of_the_store(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"can't be made.*below"):
        store.publish(tmp_path / "file" / "below.duckdb")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"put in its place.*folder"):
        store.publish(tmp_path / "folder")


# --------------------------------------------------------------------------------------------------- the proof

VALUES = {
    "VARCHAR": "'x'",
    "VARCHAR[]": "['x']",
    "TIMESTAMP": "TIMESTAMP '2026-03-02'",
    "INTERVAL": "INTERVAL 1 HOUR",
    "BOOLEAN": "false",
}


def plant(connection: Connection, table: str) -> None:
    """A row of invented values; a second call plants the same row again."""
    kinds = connection.execute(
        "SELECT data_type FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index", [table]
    ).fetchall()
    values = ", ".join(VALUES.get(kind, "1") for (kind,) in kinds)
    connection.execute(f"INSERT INTO {table} VALUES ({values})")


def test_a_sound_file_has_no_doubles(store: Store) -> None:
    with store.reading() as connection:
        assert [number for _, number in doubles(connection)] == [0] * len(doubles(connection))


def test_a_planted_double_is_found_in_its_table_and_in_no_other(store: Store) -> None:
    with store.writing() as connection:
        tables = [table for table, _ in doubles(connection)]
        kept = ["messages", "mentions", "tones", "ballots", "buckets", "readings", "spikes", "prices"]
        assert tables == [*kept, "headlines", "crosscheck", "options"]
        for table in tables:
            plant(connection, table)
        assert [number for _, number in doubles(connection)] == [0] * len(tables)
        for number, table in enumerate(tables, 1):
            for _ in range(number):
                plant(connection, table)
        assert doubles(connection) == [(table, number) for number, table in enumerate(tables, 1)]


# ------------------------------------------------------------------------------------------------------- exports


def test_every_table_can_be_exported(store: Store) -> None:
    with store.reading() as connection:
        for table in TABLES:
            expected = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert connection.execute(f"SELECT count(*) FROM ({export_query(table)})").fetchone() == expected


def test_an_exported_message_has_its_symbols_its_tone_and_its_end(store: Store, tmp_path: Path) -> None:
    add(store, message("$BABA and $GME", "two", label="bullish"), message("nothing", "none"))
    add(store, Deletion("pond", "d0"))
    out = tmp_path / "out.jsonl"
    with store.reading() as connection:
        people.export(connection, "messages", "jsonl", str(out))
    found = {line["id"]: line for line in map(json.loads, out.read_text(encoding="utf-8").splitlines())}
    assert len(found) == 5
    assert (found["two"]["symbols"], found["two"]["label"]) == (["BABA", "GME"], "bullish")
    assert found["two"]["tone"] is not None
    assert str(found["two"]["scorer"]).startswith("lexicon")
    assert (found["none"]["symbols"], found["none"]["deleted"]) == ([], False)
    gone = found["d0"]
    assert (gone["deleted"], gone["text"], gone["author"], gone["symbols"], gone["tone"]) == (
        True,
        None,
        None,
        [],
        None,
    )


def test_a_second_score_of_a_message_does_not_export_it_twice(store: Store) -> None:
    with store.writing() as connection:
        connection.execute("INSERT INTO tones SELECT * REPLACE ('other 1' AS scorer, 0.5 AS tone) FROM tones")
        assert connection.execute(f"SELECT count(*) FROM ({export_query('messages')})").fetchone() == (3,)


def test_csv_has_its_header_once_and_is_there_for_no_rows(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with store.reading() as connection:
        people.export(connection, "gaps", "csv", str(out))
        assert out.read_text(encoding="utf-8") == "source,stream,from_at,to_at,reason,found_at\n"
        people.export(connection, "messages", "csv", str(out))
    lines = out.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4
    assert sum(line.startswith("source,id,") for line in lines) == 1


# ---------------------------------------------------------------------------------------------- a person's SQL


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "COPY messages TO '{0}/out.csv'",
        "ATTACH '{0}/other.duckdb' AS other",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "DELETE FROM messages",
    ],
)
def test_a_persons_statement_reaches_no_file_no_extension_and_no_setting(
    store: Store, tmp_path: Path, statement: str
) -> None:
    there = set(tmp_path.iterdir())
    with store.reading() as connection:
        lock_down(connection)
        with pytest.raises(duckdb.Error):
            connection.execute(statement.format(tmp_path))
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (3,)
    assert set(tmp_path.iterdir()) == there


def test_an_author_is_never_more_than_a_hash_in_any_export(store: Store, tmp_path: Path) -> None:
    batch = make_batch(message("$GME", "named", author="kermit-the-frog"))
    store.keep(batch)
    assert b"kermit" not in store.journal.path.read_bytes()
    store.flush()
    with store.reading() as connection:
        for table in TABLES:
            people.export(connection, table, "jsonl", str(tmp_path / "out"))
            assert "kermit" not in (tmp_path / "out").read_text(encoding="utf-8")
    assert b"kermit" not in store.opening.path.read_bytes()
