"""Opening the file: who may, who has to wait, and what is refused untouched. The other process is a real one."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pytest
from fakes import NOON, make_store, prepare
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import BadInput, StoreError, StoreFatal, StoreLocked, StoreNewer
from tracker.store import Opening, Store
from tracker.store.connect import aware_utc, naive_utc, opened, transaction, translate
from tracker.store.migrate import migrate, migrations, stored_version

HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reading")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(path: Path, how: str = "writing") -> Iterator[subprocess.Popen[str]]:
    """Another process has the file open until its standard input is closed."""
    command = [sys.executable, "-c", HOLD, str(path), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)


def opening(folder: Path) -> Opening:
    return Opening(folder / "t.duckdb")


# -------------------------------------------------------------------------------------------------- the lock


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_another_process_writes_is_locked_and_its_pid_is_told(tmp_path: Path, read_only: bool) -> None:
    with held_elsewhere(opening(tmp_path).path) as holder:
        with pytest.raises(StoreLocked) as caught, opened(opening(tmp_path), read_only=read_only):
            pass
        assert caught.value.holder_pid == holder.pid
        assert str(holder.pid) in str(caught.value)
        assert caught.value.subject == str(opening(tmp_path).path)


def test_who_waits_gets_the_file_when_it_is_released(tmp_path: Path) -> None:
    got = threading.Event()

    def wait() -> None:
        with opened(opening(tmp_path), wait_s=20.0) as connection:
            connection.execute("CREATE TABLE mine (n INTEGER)")
            got.set()

    with held_elsewhere(opening(tmp_path).path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.1), "it does not get in before"
    waiting.join(20)
    assert got.is_set()


def test_who_waits_in_vain_is_told_who_holds_it(tmp_path: Path) -> None:
    with held_elsewhere(opening(tmp_path).path) as holder:
        with pytest.raises(StoreLocked) as caught, opened(opening(tmp_path), wait_s=0.05):
            pass
        assert caught.value.holder_pid == holder.pid


def test_readers_do_not_lock_each_other_out(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    with held_elsewhere(store.opening.path, "reading"):
        with store.reading(wait_s=0) as connection:
            assert connection.execute("SELECT count(*) FROM messages").fetchone() == (0,)
        with pytest.raises(StoreLocked), store.writing(wait_s=0):
            pass


def test_the_file_is_free_between_two_openings(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    with store.writing() as connection:
        connection.execute("DELETE FROM polls")
    with held_elsewhere(store.opening.path):
        pass


def test_threads_of_this_process_take_turns(tmp_path: Path) -> None:
    inside: list[str] = []

    def second() -> None:
        with opened(opening(tmp_path), read_only=True):
            inside.append("second")

    with opened(opening(tmp_path)) as connection:
        connection.execute("CREATE TABLE mine (n INTEGER)")
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.05)
        inside.append("first")
    thread.join(10)
    assert inside == ["first", "second"]


# -------------------------------------------------------------------------------------------------- refusals


def test_the_file_of_a_newer_tracker_is_refused_and_not_touched(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    newest = migrations()[-1][0]
    with store.writing() as connection:
        connection.execute("INSERT INTO schema_version VALUES (?, ?, 'x')", [newest + 1, naive_utc(NOON)])
    before = store.opening.path.read_bytes()
    with pytest.raises(StoreNewer, match=f"its version {newest + 1}, ours {newest}"):
        prepare(store)
    with pytest.raises(StoreNewer), store.reading():
        pass
    assert store.opening.path.read_bytes() == before


def test_somebody_elses_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    store = Store(opening(tmp_path))
    with duckdb.connect(str(store.opening.path)) as connection:
        connection.execute("CREATE TABLE recipes AS SELECT 'soup' AS name")
    before = store.opening.path.read_bytes()
    with pytest.raises(StoreError, match=r"not a tracker database.*recipes"):
        prepare(store)
    assert store.opening.path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    store = Store(opening(tmp_path))
    store.opening.path.write_bytes(b"dear diary " * 1000)
    before = store.opening.path.read_bytes()
    with pytest.raises(StoreError, match=r"t\.duckdb"):
        prepare(store)
    assert store.opening.path.read_bytes() == before


def test_a_reader_makes_no_file(tmp_path: Path) -> None:
    store = Store(opening(tmp_path))
    with pytest.raises(StoreError), store.reading():
        pass
    assert not store.exists
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreFatal, match=r"can't be made.*file"):
        prepare(Store(opening(tmp_path / "file" / "below")))


# -------------------------------------------------------------------------------------------------- migrating


def test_a_new_file_gets_the_newest_shape_once(tmp_path: Path) -> None:
    store = Store(opening(tmp_path))
    prepare(store)
    with store.writing() as connection:
        assert stored_version(connection) == migrations()[-1][0]
        assert migrate(connection, NOON) is False
        found = connection.execute("SELECT version, applied_at, name FROM schema_version ORDER BY version").fetchall()
    assert found == [(number, naive_utc(NOON), name) for number, name in migrations()]


def test_numbers_of_migrations_go_up_one_by_one() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_migration_that_fails_leaves_the_old_shape(tmp_path: Path) -> None:
    """Something of the name of a table is in the way: nothing of the migration may stay."""
    store = Store(opening(tmp_path))
    with store.writing() as connection:
        connection.execute("CREATE VIEW mentions AS SELECT 1 AS n")
    with pytest.raises(StoreError, match="0001"):
        prepare(store)
    with store.writing() as connection:
        assert stored_version(connection) == 0
        connection.execute("DROP VIEW mentions")
    prepare(store)
    with store.reading() as connection:
        assert stored_version(connection) == migrations()[-1][0]


def test_names_leave_the_ids_of_mastodon_in_every_table(tmp_path: Path) -> None:
    store = Store(opening(tmp_path))
    prepare(store)
    old, new = "https://pond.example/users/newt/statuses/7", "https://pond.example/statuses/7"
    with store.writing() as connection:
        connection.execute("DELETE FROM schema_version WHERE version >= 9")
        connection.execute(
            """INSERT INTO messages (source, id, stream, created_at, fetched_at, time_flag, reply_to, reshare_of)
               VALUES ('mastodon', $old, 's', $at, $at, false, $old, $old || '/activity'), ('rss', $old, 's', $at, $at, false, NULL, NULL)""",
            {"old": old, "at": naive_utc(NOON)},
        )
        connection.execute("INSERT INTO tombstones VALUES ('mastodon', ?, NULL, ?)", [old, naive_utc(NOON)])
        assert migrate(connection, NOON) is True
        rows = connection.execute("SELECT source, id, reply_to, reshare_of FROM messages ORDER BY source").fetchall()
        gone = connection.execute("SELECT id FROM tombstones").fetchall()
        remains = connection.execute("SELECT reason FROM remains").fetchall()
    assert rows == [("mastodon", new, new, new + "/activity"), ("rss", old, None, None)]
    assert gone == [(new,)]
    assert remains == [("author key",)]


def test_a_file_of_this_tracker_can_be_opened_by_older_clients(tmp_path: Path) -> None:
    prepare(Store(opening(tmp_path)))
    with opened(opening(tmp_path)) as connection:
        (tags,) = connection.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 't'").fetchall()
    assert "v1.0.0" in str(tags)


# --------------------------------------------------------------------------------------- connection and border


def test_a_connection_speaks_utc_and_keeps_to_its_means(tmp_path: Path) -> None:
    with opened(Opening(tmp_path / "t.duckdb", "100MB", 1)) as connection:
        settings = dict(connection.execute("SELECT name, value FROM duckdb_settings()").fetchall())
    assert settings["TimeZone"] == "UTC"
    assert settings["threads"] == "1"
    assert settings["memory_limit"].startswith("95.3 M")
    for name in ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions"):
        assert settings[name] == "false"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_transaction_is_all_or_nothing_whatever_ends_it(tmp_path: Path, error: type[BaseException]) -> None:
    def add(number: int, fails: bool) -> None:
        with transaction(connection):
            connection.execute("INSERT INTO numbers VALUES (?)", [number])
            if fails:
                raise error

    with opened(opening(tmp_path)) as connection:
        connection.execute("CREATE TABLE numbers (n INTEGER)")
        with pytest.raises(error):
            add(1, fails=True)
        add(2, fails=False)
        assert connection.execute("SELECT n FROM numbers").fetchall() == [(2,)]


def test_errors_of_the_library_become_ours_and_ours_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="can't be used"), opened(opening(tmp_path)) as connection:
        connection.execute("SELECT colour FROM nowhere")
    with pytest.raises(BadInput), opened(opening(tmp_path)):
        raise BadInput("no")
    with opened(opening(tmp_path), read_only=True):
        pass  # nothing is left open that would refuse another way of opening


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (duckdb.FatalException("x"), StoreFatal),
        (duckdb.Error("the database has been invalidated because of a previous fatal error"), StoreFatal),
        (OSError(errno.ENOSPC, "No space left on device"), StoreFatal),
        (duckdb.IOException("Could not write all bytes: No space left on device"), StoreFatal),
        (duckdb.IOException('Could not set lock on file "t": Conflicting lock is held in x (PID 42).'), StoreLocked),
        (duckdb.IOException("Could not set lock on file"), StoreLocked),
        (duckdb.SerializationException("x"), StoreError),
        (PermissionError(errno.EACCES, "Permission denied"), StoreError),
        (duckdb.CatalogException("x"), StoreError),
    ],
    ids=lambda value: str(value)[:30],
)
def test_each_error_is_named_for_what_to_do_about_it(error: Exception, kind: type[StoreError]) -> None:
    found = translate(error, Path("t.duckdb"))
    assert type(found) is kind
    assert found.subject == "t.duckdb"


def test_the_pid_of_the_holder_is_read_from_the_message_where_it_is() -> None:
    told = translate(duckdb.IOException("Could not set lock on file: held in x (PID 42)."), Path("t"))
    assert isinstance(told, StoreLocked)
    assert told.holder_pid == 42
    silent = translate(duckdb.IOException("Could not set lock on file"), Path("t"))
    assert isinstance(silent, StoreLocked)
    assert silent.holder_pid is None


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(2005, 1, 1), datetime(2100, 1, 1), timezones=ZONES))
def test_a_moment_crosses_the_border_and_comes_back_as_the_same_moment(moment: datetime) -> None:
    inside = naive_utc(moment)
    assert inside is not None
    assert inside.tzinfo is None
    back = aware_utc(inside)
    assert back == moment
    assert back is not None
    assert back.tzinfo is UTC


def test_no_moment_is_none_on_both_sides() -> None:
    assert naive_utc(None) is None
    assert aware_utc(None) is None
