"""A person's SQL: it reads the tables, and neither gets out of its process nor keeps it busy beyond its limits."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fakes import NOON, make_batch, make_store, message
from world_daemon import ask, command, environment, tracker, write_config

from tracker.store.apart import Job

pytestmark = pytest.mark.slow

CANARY = "canary-5d1e"  # the content of a file that nobody may read
SECRET = "marker-9ab4"  # stands in the environment of whoever asks

REFUSED = (
    "COPY messages TO '{out}'",
    "COPY messages TO '{out}' (FORMAT parquet)",
    "COPY (SELECT 42) TO '{out}' (FORMAT json)",
    "COPY messages TO '/dev/stdout'",
    "COPY messages FROM '{canary}'",
    "COPY FROM DATABASE t TO t",
    "ATTACH '{out}' AS other",
    "ATTACH '{out}' AS other (READ_ONLY)",
    "ATTACH '{canary}' AS other (TYPE sqlite)",
    "ATTACH 'https://pond.example/a.duckdb' AS other",
    "ATTACH '{db}' AS again (READ_WRITE)",
    "EXPORT DATABASE '{out}'",
    "EXPORT DATABASE '{out}' (FORMAT parquet)",
    "IMPORT DATABASE '{out}'",
    "SELECT * FROM read_csv('{canary}')",
    "SELECT * FROM read_csv_auto('{canary}')",
    "SELECT * FROM sniff_csv('{canary}')",
    "SELECT * FROM read_text('{canary}')",
    "SELECT * FROM read_blob('{canary}')",
    "SELECT * FROM read_json('{canary}')",
    "SELECT * FROM read_json_auto('{canary}')",
    "SELECT * FROM read_ndjson_objects('{canary}')",
    "SELECT * FROM read_parquet('{canary}')",
    "SELECT * FROM parquet_metadata('{canary}')",
    "SELECT * FROM parquet_schema('{canary}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM '{canary}'",
    "SELECT * FROM 'https://pond.example/a.parquet'",
    "SELECT * FROM 's3://pond/a.parquet'",
    "SELECT * FROM read_text('https://pond.example/')",
    "SELECT * FROM read_text('file://{canary}')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_blob('/dev/zero')",
    "SELECT * FROM query('SELECT * FROM read_text(''{canary}'')')",
    "SELECT getenv('TRACKER_SECRET')",
    "INSTALL httpfs",
    "FORCE INSTALL httpfs",
    "INSTALL httpfs FROM community",
    "LOAD httpfs",
    "LOAD '{out}.duckdb_extension'",
    "UPDATE EXTENSIONS",
    "SET enable_external_access = true",
    "SET memory_limit = '100GB'",
    "SET threads = 64",
    "SET temp_directory = '{out}'",
    "SET GLOBAL lock_configuration = false",
    "SET log_query_path = '{out}'",
    "SET profiling_output = '{out}'",
    "SET extension_directory = '{out}'",
    "SET secret_directory = '{out}'",
    "SET home_directory = '{folder}'",
    "SET allowed_directories = ['{folder}']",
    "SET allowed_paths = ['{canary}']",
    "SET disabled_filesystems = ''",
    "SET file_search_path = '{folder}'",
    "SET allow_unsigned_extensions = true",
    "RESET enable_external_access",
    "PRAGMA enable_profiling = 'json'",
    "PRAGMA profile_output = '{out}'",
    "PRAGMA memory_limit = '100GB'",
    "PRAGMA log_query_path = '{out}'",
    "CREATE PERSISTENT SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "INSERT INTO messages SELECT * FROM messages",
    "DELETE FROM messages",
    "UPDATE messages SET text = 'x'",
    "TRUNCATE messages",
    "MERGE INTO messages USING mentions ON messages.id = mentions.message_id WHEN MATCHED THEN DELETE",
    "DROP TABLE messages",
    "ALTER TABLE messages DROP COLUMN text",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE OR REPLACE MACRO ratio_of(a, b) AS 1",
    "COMMENT ON TABLE messages IS 'x'",
    "SELECT * FROM SECRET_VARIABLE",
    "SELECT 1; COPY messages TO '{out}'",
    "PREPARE p AS COPY messages TO '{out}'; EXECUTE p",
    "BEGIN; DELETE FROM messages; COMMIT",
)
# they say something or make something within their own process, which ends with them
HARMLESS = (
    "SELECT count(*) FROM messages",
    "SELECT current_setting('home_directory')",
    "SELECT path FROM duckdb_databases()",  # where the file lies: whoever asks has named it
    "FROM duckdb_settings()",
    "FROM duckdb_secrets()",
    "SELECT * FROM duckdb_extensions()",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "PRAGMA database_list",
    "CREATE TEMP TABLE mine AS SELECT 1",
    "ATTACH ':memory:' AS m",
    "SELECT * FROM pragma_database_size()",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = '{out}')",
    "CALL enable_logging('QueryLog', storage = 'file', storage_path = '{out}')",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = '{out}'); SELECT 1",
    "CALL enable_profiling(save_location = '{out}')",
    "EXPLAIN ANALYZE SELECT count(*) FROM messages",
)

RUNNER = """
import json, os, sys
import duckdb
from tracker.store import apart
folder, statements = json.loads(sys.stdin.read())
SECRET_VARIABLE = "a variable of ours"
for number, job in enumerate(statements):
    sys.stdout.flush()
    if (pid := os.fork()) == 0:
        out = os.open(f"{folder}/{number}.out", os.O_WRONLY | os.O_CREAT, 0o600)
        status = os.open(f"{folder}/{number}.status", os.O_WRONLY | os.O_CREAT, 0o600)
        given, end = os.pipe()
        os.write(end, json.dumps({**job, "status_fd": status}).encode()); os.close(end)
        os.dup2(given, 0); os.dup2(out, 1)
        sys.stdin = open(0); sys.stdout = open(1, "w")
        os._exit(apart.main())
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@cache
def _filled(folder: Path) -> bytes:
    found = make_store(folder)
    found.standing(NOON)
    found.keep(make_batch(message("$GME to the moon", "1", author="ann")))
    found.flush()
    found.rollup()
    return found.opening.path.read_bytes()


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[int, str, str]]]:
    """Each statement in a process of its own, as the command starts it: (exit code, what it said, rows)."""
    folder = tmp_path_factory.mktemp("asked")
    db, canary = folder / "t.duckdb", folder / "canary.txt"
    make_store(folder)
    db.write_bytes(_filled(folder))
    canary.write_text(CANARY)
    said = tmp_path_factory.mktemp("said")
    mark = hashlib.sha256(db.read_bytes()).hexdigest()
    there = sorted(folder.iterdir())
    places = {"out": str(folder / "out"), "canary": str(canary), "folder": str(folder), "db": str(db)}
    statements = [*REFUSED, *HARMLESS]
    jobs = [
        {**vars_of(Job(str(db), "512MB", 512_000_000, 2, 5.0, statement.format(**places), 20.0, 1000, "jsonl", None, 0))}
        for statement in statements
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], input=json.dumps([str(said), jobs]), capture_output=True, text=True, timeout=280, check=False,
        env={**environment(), "TRACKER_SECRET": SECRET, "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(db.read_bytes()).hexdigest() == mark
    assert sorted(folder.iterdir()) == there
    assert canary.read_text() == CANARY
    codes = [int(line) for line in done.stdout.split()]
    return folder, {
        statement: (code, (said / f"{n}.status").read_text(), (said / f"{n}.out").read_text())
        for n, (statement, code) in enumerate(zip(statements, codes, strict=True))
    }


def vars_of(job: Job) -> dict[str, Any]:
    return dict(json.loads(job.to_json()))


@pytest.mark.parametrize("statement", REFUSED)
def test_a_statement_that_reaches_out_is_refused(answers: tuple[Path, Any], statement: str) -> None:
    code, said, rows = answers[1][statement]
    assert code == 0
    assert "error" in json.loads(said)
    assert rows == ""
    assert CANARY not in said
    assert SECRET not in said


@pytest.mark.parametrize("statement", HARMLESS)
def test_a_statement_that_is_not_refused_does_no_harm(answers: tuple[Path, Any], statement: str) -> None:
    code, said, rows = answers[1][statement]
    assert code in (0, -signal.SIGABRT)  # one that breaks its own instance breaks nobody else's
    assert CANARY not in said + rows
    assert SECRET not in said + rows
    if statement == HARMLESS[0]:
        assert json.loads(rows) == {"count_star()": 1}


# -------------------------------------------------------------------------------------------------- the limits


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a tracker with one message, that grants the database 100 MB."""
    folder = tmp_path_factory.mktemp("installed")
    config = write_config(folder, {}, sources=(), changed={"store": {"memory_limit": "100MB"}})
    assert tracker(config, "once", "rollup").returncode == 0
    return config


MEMORY = "it needs more memory than it may have (100MB"
TIME = "it took"
HOGS = {
    "SELECT length(repeat('a', 2000000000))": (MEMORY,),
    "SELECT len(list(i)) FROM range(1000000000) AS t (i)": (MEMORY, TIME),
    "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))": (MEMORY, TIME),
    "SELECT count(*) FROM range(1000000) AS a (i), range(1000000) AS b (j), range(1000) AS c (k) WHERE i + j + k = 5": (TIME,),
    "WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t": (MEMORY, TIME),
    "SELECT list_sort(range(300000000))": (MEMORY, TIME),
    "SELECT i FROM range(1000000000) AS t (i) ORDER BY hash(i) DESC LIMIT 50000000": (MEMORY, TIME),
}  # fmt: skip


@pytest.mark.parametrize("statement", HOGS)
def test_a_statement_that_takes_too_much_is_ended_and_says_why(installed: Path, statement: str) -> None:
    started = time.monotonic()
    found = tracker(installed, "sql", statement, "--timeout", "3")
    assert found.returncode == 1, found.stderr
    said = " ".join(found.stderr.split())
    assert said.startswith("tracker: the statement was ended: ")
    assert any(why in said for why in HOGS[statement]), said
    assert found.stdout == ""
    assert time.monotonic() - started < 25  # of which most is starting on a busy machine
    assert ask(installed.parent / "data" / "tracker.duckdb", "SELECT 1") == [(1,)]  # nobody holds the file any more


def test_rows_beyond_the_most_are_left_out_and_that_is_said(installed: Path) -> None:
    found = tracker(installed, "sql", "FROM range(1000000000000)", "--max-rows", "3", "--json")
    assert found.returncode == 0
    assert [row["range"] for row in json.loads(found.stdout)] == [0, 1, 2]
    assert "only the first 3 rows" in found.stderr
    assert "only" not in tracker(installed, "sql", "FROM range(3)", "--max-rows", "3").stderr


def test_every_kind_of_value_comes_through(installed: Path) -> None:
    found = tracker(
        installed, "sql", "--json",
        """SELECT 1 AS i, 1.5 AS d, NULL AS n, 'é' AS s, TIMESTAMP '2026-01-01 10:00' AS t, DATE '2026-01-01' AS day, INTERVAL 90 SECOND AS span,
           [1, 2] AS l, {'a': 1} AS o, 'ab'::BLOB AS b, 12345678901234567890123::HUGEINT AS h""",
    )  # fmt: skip
    assert json.loads(found.stdout) == [
        {"i": 1, "d": "1.5", "n": None, "s": "é", "t": "2026-01-01T10:00:00Z", "day": "2026-01-01", "span": 90.0, "l": [1, 2], "o": {"a": 1}, "b": "6162", "h": 12345678901234567890123}
    ]  # fmt: skip


def test_a_mistake_is_told_in_the_words_of_the_database(installed: Path) -> None:
    found = tracker(installed, "sql", "SELEC 1")
    assert found.returncode == 2
    assert found.stderr.startswith("tracker: the database does not take this statement: Parser Error")


def test_rows_go_into_a_file_and_one_that_can_not_be_written_is_named(installed: Path, tmp_path: Path) -> None:
    assert (
        tracker(installed, "sql", "SELECT 1 AS a", "--format", "csv", "--output", str(tmp_path / "a")).returncode == 0
    )
    assert (tmp_path / "a").read_text() == "a\n1\n"
    found = tracker(installed, "sql", "SELECT 1", "--output", str(tmp_path / "no" / "a"))
    assert found.returncode == 2
    assert "the file can't be written" in found.stderr


def test_a_closed_pipe_is_no_failure(installed: Path) -> None:
    shell = " ".join(f"'{part}'" for part in command(installed, "sql", "FROM range(90000)", "--format", "csv"))
    found = subprocess.run(["sh", "-c", f"{shell} | head -n 1"], capture_output=True, text=True, timeout=60, env=environment(), check=False)  # fmt: skip
    assert (found.stdout, found.stderr) == ("range\n", "")


def worked_s(pid: int) -> float:
    """Seconds of CPU that a process has had; 0 for none."""
    try:
        cells = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(cells[11]) + int(cells[12])) / os.sysconf("SC_CLK_TCK")


def test_ctrl_c_ends_the_statement_at_once(installed: Path) -> None:
    process = subprocess.Popen(
        command(installed, "sql", "SELECT sum(hash(range)) FROM range(100000000000)"), env=environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whoever runs tests in the background has it ignored
    )  # fmt: skip
    file = installed.parent / "data" / "tracker.duckdb"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    end = time.monotonic() + 40
    child = 0
    while worked_s(child) < 2.0 and process.poll() is None and time.monotonic() < end:  # it counts, and is waited for
        child = int((children.read_text().split() or ["0"])[-1])
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(20) == 130
    finally:
        process.kill()  # which leaves nothing behind for the next test
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert ask(file, "SELECT 1") == [(1,)]


def test_no_database_is_said(tmp_path: Path) -> None:
    found = tracker(write_config(tmp_path, {}, sources=()), "sql", "SELECT 1")
    assert found.returncode == 2
    assert "there is no database yet" in found.stderr
