"""A database file or its WAL that is damaged: refused by name with the way out, left as it is, never silently wrong.

``TRACKER_SEEDS`` is the number of flips and cuts of each kind (default 8).
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import make_batch
from world_daemon import database, environment, tracker, write_config

from tracker.errors import StoreError, StoreFatal
from tracker.models import Message
from tracker.store import Opening, Store

SEEDS = int(os.environ.get("TRACKER_SEEDS", "8"))
COMMITS = 12

# a process that is killed between a commit and the checkpoint: what it committed last lies in the WAL
KILLED = """
import os, sys
from pathlib import Path
from fakes import make_batch
from test_torn import said
from tracker.store import Opening, Store
store = Store(Opening(Path(sys.argv[1])))
store.standing(__import__("fakes").NOON)
with store.writing() as connection:
    connection.execute("SET checkpoint_threshold = '1GB'")
    for number in range(40, 40 + int(sys.argv[2])):
        store.keep(make_batch(*[said(f"{number}-{i}") for i in range(20)], number=number))
        store.flush(connection=connection)
    os._exit(9)
"""


def said(id_: str) -> Message:
    from fakes import NOON

    return Message("pond", id_, NOON, f"croak {id_} {'la ' * 40}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database and a WAL, as a kill leaves them."""
    config = write_config(tmp_path_factory.mktemp("whole"), {}, sources=())
    file = database(config)
    assert tracker(config, "once", "rollup").returncode == 0
    store = Store(Opening(file))
    for number in range(1, 40):
        store.keep(make_batch(*[said(f"{number}-{i}") for i in range(20)], number=number))
    store.flush()
    here = Path(__file__).resolve().parent
    given = {**environment(), "PYTHONPATH": f"{here.parent}:{here}"}
    ended = subprocess.run([sys.executable, "-c", KILLED, str(file), str(COMMITS)], env=given, capture_output=True, text=True, timeout=60)  # fmt: skip
    assert ended.returncode == 9, ended.stderr
    assert file.with_name("tracker.duckdb.wal").stat().st_size > 10_000
    return file.parent


def damaged(whole: Path, folder: Path, what: str, how: str, seed: int) -> Path:
    """A copy of the folder in which one file is damaged."""
    shutil.copytree(whole, folder)
    place = folder / what
    content = bytearray(place.read_bytes())
    dice = random.Random(seed)  # noqa: S311 (the same damage again)
    if how == "flip":
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    elif how == "head":  # the three pages that say what the rest is
        content[dice.randrange(3 * 4096)] ^= 1 << dice.randrange(8)
    else:
        del content[dice.randrange(len(content)) :]
    place.write_bytes(content)
    return folder / "tracker.duckdb"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name.startswith("tracker.duckdb")}


def texts(store: Store) -> set[tuple[object, ...]]:
    with store.reading() as connection:
        return set(connection.execute("SELECT id, text FROM messages").fetchall())


def open_once(store: Store) -> None:
    with store.writing(0.1):
        pass


def refusal(does: Callable[[], object]) -> StoreError | None:
    """Why it can't be done; it is always a reason to end the process."""
    try:
        does()
    except StoreError as error:
        found = error
    else:
        return None
    assert isinstance(found, StoreFatal)
    return found


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize(("what", "how"), [("tracker.duckdb", "flip"), ("tracker.duckdb", "head"), ("tracker.duckdb", "cut"), ("tracker.duckdb.wal", "flip")])  # fmt: skip
def test_damage_is_refused_by_name_or_touches_nothing_that_is_told(what: str, how: str, seed: int, whole: Path, tmp_path: Path) -> None:  # fmt: skip
    file = damaged(whole, tmp_path / "data", what, how, seed)
    before = files(file.parent)
    truth = {(f"{number}-{i}", said(f"{number}-{i}").text) for number in range(1, 40 + COMMITS) for i in range(20)}
    store = Store(Opening(file))
    refused = refusal(lambda: open_once(store))
    if refused is not None:
        assert str(file) in str(refused)
        assert f"cp BACKUP {file}" in str(refused)
        assert files(file.parent) == before, "a refused file is left as it is"
        return
    found: list[
        set[tuple[object, ...]]
    ] = []  # the damage lies in a block that nobody has read yet, or in one that is free
    refused = refusal(lambda: found.append(texts(store)))
    assert found == [truth] if refused is None else "damaged" in str(refused)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_wal_without_its_end_is_a_kill_before_the_last_commits(seed: int, whole: Path, tmp_path: Path) -> None:
    file = damaged(whole, tmp_path / "data", "tracker.duckdb.wal", "cut", seed)
    store = Store(Opening(file))
    with store.reading() as connection:
        last = connection.execute("SELECT max(sequence) FROM journal_applied").fetchone()
        numbers = connection.execute("SELECT DISTINCT CAST(split_part(id, '-', 1) AS INTEGER) FROM messages ORDER BY 1").fetchall()  # fmt: skip
        (cursor,) = connection.execute("SELECT cursor FROM streams").fetchall()
    assert last is not None
    assert [number for (number,) in numbers] == list(range(1, last[0] + 1)), "whole commits, none out of the middle"
    assert cursor == (f'{{"n": {last[0]}}}',), "position and messages are one"


@pytest.mark.slow
@pytest.mark.parametrize(("what", "how"), [("tracker.duckdb", "cut"), ("tracker.duckdb.wal", "flip")])
def test_the_daemon_says_so_and_ends_with_1(what: str, how: str, whole: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=())
    file = damaged(whole, tmp_path / "data", what, how, 1)
    before = files(file.parent)
    for arguments in (("run",), ("sql", "SELECT count(*) FROM messages")):
        found = tracker(config, *arguments)
        assert found.returncode == 1, found.stderr
        assert "the database is damaged, and left as it is" in found.stderr
        assert str(file) in found.stderr
        assert "Traceback" not in found.stderr
        assert files(file.parent) == before
    # the way out is what was said
    backup = tmp_path / "backup.duckdb"
    shutil.copyfile(whole / "tracker.duckdb", backup)
    (way,) = re.findall(r"to go on from a back-up: (mv .*?; cp BACKUP [^\s:]+)", found.stderr)
    (file.parent / "tracker.journal").touch()
    subprocess.run(["sh", "-c", way.replace("BACKUP", str(backup))], check=False, capture_output=True)
    assert tracker(config, "once", "rollup").returncode == 0
    assert (file.parent / "tracker.duckdb.wal.damaged").read_bytes() == before["tracker.duckdb.wal"]
