"""Words that were taken away stand in no byte of the file: it is rewritten, and nothing else changes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from fakes import NOON, make_batch, make_store, message, rows
from hypothesis import given
from hypothesis import strategies as st
from world import World
from world_corpus import moment_number
from world_daemon import Daemon, ask, database, tracker, until, wait_for_truth, wait_until_asked, write_config
from world_posts import Post

from tracker.errors import StoreError, StoreLocked
from tracker.models import Deletion
from tracker.store import Store, connect, scrub
from tracker.store.scrub import BESIDE, LEAST_PAUSE_S, SHARE, next_rewrite

SECRET = "axolotl-whisper-7319"  # stands in one message, which is taken away


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Fifty messages, one of which says the secret."""
    found = make_store(tmp_path)
    found.standing(NOON)
    said = [message(f"$GME {n} {SECRET if n == 25 else 'newt'}", f"m{n}", at=NOON, author=f"a{n}") for n in range(50)]
    found.keep(make_batch(*said, at=NOON))
    found.flush()
    found.rollup()
    with found.writing() as connection:
        connection.execute("CHECKPOINT")
    return found


def delete(store: Store, id_: str = "m25") -> None:
    store.keep(make_batch(Deletion("pond", id_), at=NOON + timedelta(minutes=1)))
    store.flush()
    with store.writing() as connection:
        connection.execute("CHECKPOINT")


def in_bytes(store: Store, word: str = SECRET) -> bool:
    """Anywhere in the file or beside it."""
    return any(word.encode() in path.read_bytes() for path in store.opening.path.parent.iterdir() if path.is_file())


def everything(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, every comment, and what the macros and views are made of."""
    with store.reading() as connection:
        tables = [
            name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
        ]
        found = {
            name: connection.execute(f'FROM "{name}" ORDER BY ALL').fetchall() for name in tables if name != "remains"
        }
        for what, columns in {
            "tables": "table_name, comment, sql", "columns": "table_name, column_name, comment, column_default, is_nullable",
            "views": "view_name, comment, sql", "functions": "function_name, comment, macro_definition, parameters",
            "constraints": "table_name, constraint_text",
        }.items():  # fmt: skip
            found[f"({what})"] = connection.execute(f"SELECT {columns} FROM duckdb_{what}() WHERE NOT {'internal' if what != 'constraints' else 'false'} ORDER BY ALL").fetchall()  # fmt: skip
    return found


def test_a_deleted_word_stands_in_no_byte_and_nothing_else_has_changed(store: Store) -> None:
    assert in_bytes(store)
    delete(store)
    assert store.has_remains
    assert in_bytes(store), "DuckDB does not wipe blocks: if it did, there would be nothing to rewrite"
    before = everything(store)
    assert store.scrub() is not None
    assert not in_bytes(store)
    assert everything(store) == before
    assert rows(store, "SELECT count(*) FROM messages") == [(50,)]
    assert rows(store, "SELECT sum(messages) FROM message_volume('GME', TIMESTAMP '2026-03-01', TIMESTAMP '2026-03-03', INTERVAL 1 HOUR)") != [(None,)]  # fmt: skip


def test_words_past_retention_stand_in_no_byte(store: Store) -> None:
    assert in_bytes(store)
    store.prune(text_before=NOON + timedelta(hours=1), mentions_before=NOON, polls_before=NOON)
    assert store.scrub() is not None
    assert not in_bytes(store)


def test_where_nothing_was_taken_away_nothing_is_rewritten(store: Store) -> None:
    inode = store.opening.path.stat().st_ino
    assert store.scrub() is None
    delete(store, "unknown")
    assert store.scrub() is None
    assert store.opening.path.stat().st_ino == inode


def test_once_is_enough_and_the_file_goes_on_being_written(store: Store) -> None:
    delete(store)
    assert store.scrub() is not None
    assert store.scrub() is None
    store.keep(make_batch(message("$GME again", "new", at=NOON), at=NOON + timedelta(minutes=2)))
    store.flush()
    assert rows(store, "SELECT count(*) FROM messages") == [(51,)]
    delete(store, "m26")
    assert store.has_remains
    assert store.scrub() is not None


def test_remains_are_known_after_a_restart(store: Store, tmp_path: Path) -> None:
    delete(store)
    again = Store(store.opening)
    assert again.scrub() is not None
    assert not in_bytes(again)


def test_the_storage_format_stays_the_old_one_and_the_mode_too(store: Store) -> None:
    store.opening.path.chmod(0o600)
    delete(store)
    store.scrub()
    assert store.opening.path.stat().st_mode & 0o777 == 0o600
    with duckdb.connect(str(store.opening.path), read_only=True) as connection:
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchall()
    assert "v1.0.0" in str(tags)


HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "read")
print("held", flush=True)
sys.stdin.readline()
print(connection.execute("SELECT count(*) FROM messages").fetchone()[0], flush=True)
"""


@pytest.fixture(params=["read", "write"])
def holder(request: pytest.FixtureRequest, store: Store) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the file open."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(store.opening.path), request.param], text=True, **pipes)  # type: ignore[call-overload]
    with process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


def test_a_file_that_somebody_holds_stays_as_it_is(store: Store, holder: subprocess.Popen[str], tmp_path: Path) -> None:
    inode = store.opening.path.stat().st_ino
    store.has_remains = True
    with pytest.raises(StoreLocked):
        scrub.rewrite(store.opening, 0.05)
    assert store.opening.path.stat().st_ino == inode
    assert not list(tmp_path.glob(f"*{BESIDE}*"))


def test_a_reader_that_comes_while_the_copy_is_made_is_let_in(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    delete(store)
    copy, seen = scrub._copy, []

    def copied(connection: connect.Connection, aside: Path) -> None:
        copy(connection, aside)
        code = "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).execute('SELECT count(*) FROM messages').fetchone()[0])"
        done = subprocess.run(
            [sys.executable, "-c", code, str(store.opening.path)], capture_output=True, text=True, check=True
        )
        seen.append(done.stdout.strip())

    monkeypatch.setattr(scrub, "_copy", copied)
    assert store.scrub() is not None
    assert seen == ["50"]


def test_a_writer_that_opened_the_old_file_in_the_last_moment_opens_the_new_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Between its open and its lock the file was replaced: what it would write were lost."""
    opens = []
    really = connect._connect

    def slow(opening: connect.Opening, read_only: bool) -> connect.Connection:
        found = really(opening, read_only)
        opens.append(read_only)
        if len(opens) == 1:
            other = tmp_path / "other"
            other.write_bytes(opening.path.read_bytes())
            other.replace(opening.path)
        return found

    monkeypatch.setattr(connect, "_connect", slow)
    with store.writing() as connection:
        connection.execute("INSERT INTO remains VALUES ('deletion')")
    assert len(opens) == 2
    monkeypatch.undo()
    assert rows(store, "FROM remains") == [("deletion",)]


def test_a_copy_that_is_not_whole_is_not_put_in_place(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    delete(store)
    before = everything(store)
    monkeypatch.setattr(scrub, "_counts", lambda connection, database: {"messages": hash(database)})
    with pytest.raises(StoreError, match="does not hold what the old one holds"):
        store.scrub()
    assert everything(store) == before
    assert store.has_remains
    assert not list(tmp_path.glob(f"*{BESIDE}*"))


def test_without_room_the_file_stays_and_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    delete(store)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=1, f_frsize=4096))
    with pytest.raises(StoreError, match="no room to rewrite"):
        store.scrub()
    assert store.has_remains


KILLED = """
import os, signal, sys
from pathlib import Path
from tracker.store import Opening, Store, scrub
def dies(*_):
    os.kill(os.getpid(), signal.SIGKILL)
really = getattr(scrub, sys.argv[2])
setattr(scrub, sys.argv[2], dies)
Store(Opening(Path(sys.argv[1]))).scrub()
"""


@pytest.mark.parametrize("step", ["_copy", "_counts", "_sync", "_clear", "_waits_in_the_wal"])
def test_a_kill_on_the_way_leaves_a_file_that_holds_everything_and_nothing_in_the_way(store: Store, step: str) -> None:
    delete(store)
    before = everything(store)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(store.opening.path), step], check=False, timeout=60)
    assert killed.returncode == -9
    assert everything(store) == before
    assert store.scrub() is not None
    assert everything(store) == before
    assert not in_bytes(store)


@given(st.floats(0, 1e6), st.floats(0, 3600))
def test_rewriting_takes_a_hundredth_of_the_time_and_a_small_file_waits_half_a_minute(
    ended: float, took: float
) -> None:
    pause = next_rewrite(ended, took) - ended
    assert pause >= LEAST_PAUSE_S - 1e-6
    assert took <= SHARE * pause + 1e-6
    if took <= 0.3:
        assert pause <= LEAST_PAUSE_S + 1e-6


# ------------------------------------------------------------------------------------------------------- the daemon


def bytes_hold(path: Path, word: str) -> bool:
    return path.exists() and word.encode() in path.read_bytes()


@pytest.mark.slow
def test_within_a_minute_a_deleted_word_stands_in_no_byte_of_file_journal_and_read_copy(tmp_path: Path) -> None:
    with World() as world:
        copy = tmp_path / "data" / "public.duckdb"
        changed = {"store": {"flush": "200ms", "publish": "data/public.duckdb"}}
        config = write_config(tmp_path, world.base_urls, sources=("bluesky",), changed=changed)
        file = database(config)
        with Daemon(config) as daemon:
            wait_until_asked(daemon, world, ("bluesky",))
            said = [spoken(f"$BABA {SECRET if n == 5 else 'newt'} {n}") for n in range(20)]
            world.publish(said)
            wait_for_truth(daemon, world, 20.0, ("bluesky",))
            assert tracker(config, "publish").returncode == 0
            assert bytes_hold(copy, SECRET), "a search that finds nothing before proves nothing afterwards"
            world.publish([spoken("", removes=said[5].number)])
            wait_for_truth(daemon, world, 20.0, ("bluesky",))
            places = (file, file.with_name(file.name + ".wal"), file.with_suffix(".journal"), copy)
            until(
                lambda: not any(bytes_hold(path, SECRET) for path in places), 60.0, "no byte holds it",
                hint=lambda: f"{[path.name for path in places if bytes_hold(path, SECRET)]}\n{daemon.log[-2000:]}",
            )  # fmt: skip
            assert daemon.stop() == 0
        assert ask(file, "SELECT count(*), count(text) FROM messages") == [(20, 19)]
        assert ask(copy, "SELECT count(*), count(text) FROM messages") == [(20, 19)]
        assert SECRET not in daemon.log


def spoken(text: str, removes: int | None = None) -> Post:
    at = datetime.now(UTC)
    return Post(
        "bluesky", moment_number(at.timestamp()), at, at.timestamp(), "loon", text, symbols=("BABA",), removes=removes
    )
