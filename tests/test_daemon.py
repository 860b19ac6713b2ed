"""The daemon as a process of its own, against an invented world on loopback."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import duckdb
import pytest
from world import CUT, FAILING, HTML, REFUSED, World, too_many
from world_corpus import invent
from world_daemon import Daemon, ask, database, stored, tracker, until, wait_for_truth, wait_until_asked, write_config

pytestmark = pytest.mark.slow

ALL = ("stocktwits", "reddit", "hackernews", "bluesky")


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def test_the_daemon_stores_exactly_what_the_world_says_and_forgets_what_authors_delete(
    world: World, tmp_path: Path
) -> None:
    config = write_config(tmp_path, world.base_urls)
    with Daemon(config) as daemon:
        wait_until_asked(daemon, world, ALL)
        counts = {"stocktwits": 150, "reddit": 120, "hackernews": 40, "bluesky": 80}
        world.publish(invent(1, time.time() + 0.3, 6.0, counts))  # type: ignore[arg-type]
        wait_for_truth(daemon, world, 30.0)
        asked = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - asked < 5.0
    gone = [id_ for (_, id_), text in world.truth("bluesky").items() if text is None]
    assert len(gone) >= 5, "the world has to have deletions"
    file = database(config)
    places = ", ".join(f"'{id_}'" for id_ in gone)
    deleted = ask(file, f"SELECT text, author, deleted_at IS NOT NULL FROM messages WHERE id IN ({places})")
    assert set(deleted) == {(None, None, True)}
    assert ask(file, f"SELECT count(*) FROM mentions WHERE message_id IN ({places})") == [(0,)]
    assert ask(file, "SELECT count(DISTINCT symbol) FROM mentions WHERE symbol IN ('BABA', 'JD')") == [(2,)]
    assert ask(file, "SELECT count(*) FROM gaps") == [(0,)]
    agents = {asked.user_agent for asked in world.asked}
    assert len(agents) == 1
    assert re.fullmatch(r"tracker/[0-9.]+ \(\+.*tests@pond\.example\)", agents.pop())
    assert "error" not in daemon.log


def test_without_a_network_each_source_says_once_why_and_when_and_the_daemon_stays_up(tmp_path: Path) -> None:
    with ExitStack() as stack:
        closed = {}
        for name in ALL:  # bound, so that nobody else gets the port, and not listening
            silent = stack.enter_context(socket.socket())
            silent.bind(("127.0.0.1", 0))
            closed[name] = f"{'ws' if name == 'bluesky' else 'http'}://127.0.0.1:{silent.getsockname()[1]}"
        config = write_config(tmp_path, closed)
        daemon = stack.enter_context(Daemon(config))
        until(
            lambda: database(config).exists() and set(ALL) <= {row[0] for row in ask(database(config), "SELECT source FROM polls GROUP BY source HAVING count(*) >= 2")},
            30.0, "every source has failed twice", 0.3, lambda: daemon.log,
        )  # fmt: skip
        assert daemon.running
        asked = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - asked < 5.0
    for name in ALL:
        warnings = [line for line in daemon.log.splitlines() if " warning " in line and f" {name} " in line]
        assert len(warnings) == 1, daemon.log
        assert "can't be reached" in warnings[0]
        assert "refused" in warnings[0]
        assert re.search(r"tries_again_at=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", warnings[0])
    polls = ask(database(config), "SELECT DISTINCT status, up, added FROM polls")
    assert polls == [("unavailable", 0, 0)]


def test_a_source_in_trouble_does_not_stop_the_others_and_is_made_up_for(world: World, tmp_path: Path) -> None:
    config = write_config(tmp_path, world.base_urls, sources=("stocktwits", "reddit", "hackernews", "bluesky"))
    with Daemon(config) as daemon:
        wait_until_asked(daemon, world, ALL)
        world.publish(
            invent(2, time.time() + 0.3, 4.0, {"stocktwits": 60, "reddit": 60, "hackernews": 20, "bluesky": 30})
        )
        # before its first page a push stream has no place to come back to
        until(
            lambda: ask(database(config), "SELECT 1 FROM streams WHERE source = 'bluesky' AND cursor IS NOT NULL"),
            20.0,
            "Bluesky has a cursor",
        )
        for source in ("stocktwits", "reddit", "hackernews"):
            world.fault(
                source, CUT, HTML, too_many(1.0), FAILING, too_many(2.0, as_date=True), REFUSED, too_many(None), CUT
            )
        world.drop_streams()
        world.fault("bluesky", FAILING, too_many(1.0))
        until(lambda: world.pending_faults() == 0, 40.0, "every fault has fired", 0.1, lambda: daemon.log[-3000:])
        wait_for_truth(daemon, world, 30.0)
        assert daemon.stop() == 0
    assert world.early() == [], world.story()
    assert len(world.named()) == 7
    failed = dict(ask(database(config), "SELECT status, count(*) FROM polls WHERE up = 0 GROUP BY status"))
    assert failed.keys() == {"unavailable", "malformed", "rate_limited", "denied"}


# --------------------------------------------------------------------------------------------------- refusals


def test_a_second_daemon_on_the_same_folder_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=())
    with Daemon(config) as first:
        until(lambda: "started" in first.log or not first.running, 30.0, "the first one runs", hint=lambda: first.log)
        second = tracker(config, "run")
        assert second.returncode == 1
        assert f"as process {first.process.pid}" in second.stderr
        assert second.stderr.count("\n") == 1
        assert first.running
        assert first.stop() == 0
    with Daemon(config) as third:  # the lock goes with its holder
        until(
            lambda: third.log.count("started") == 2 or not third.running,
            30.0,
            "the next one runs",
            hint=lambda: third.log,
        )
        third.kill()
    with Daemon(config) as fourth:
        until(
            lambda: fourth.log.count("started") == 3 or not fourth.running,
            30.0,
            "one runs after a kill",
            hint=lambda: fourth.log,
        )
        assert fourth.stop() == 0


def test_a_wrong_configuration_ends_with_2_and_every_problem_at_once(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[http]\ndeadline = "soon"\nmax_pages = 0\n[sources.redit]\n[spikes]\nz = "three"\n', encoding="utf-8"
    )
    found = tracker(config, "run")
    assert found.returncode == 2
    for path in ("http.deadline", "http.max_pages", "sources.redit", "spikes.z"):
        assert path in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "data").exists()


def test_a_configuration_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    found = tracker(tmp_path / "nowhere.toml", "run")
    assert found.returncode == 2
    assert "nowhere.toml" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("name", ["run", "once", "top", "sql", "rebuild"])
def test_a_file_of_a_newer_version_is_refused_and_stays_as_it_is(tmp_path: Path, name: str, made: Path) -> None:
    config = write_config(tmp_path, {}, sources=())
    file = database(config)
    file.parent.mkdir()
    shutil.copyfile(made, file)
    with duckdb.connect(str(file)) as connection:
        connection.execute(
            "INSERT INTO schema_version SELECT max(version) + 1, max(applied_at), 'tomorrow' FROM schema_version"
        )
    before = file.read_bytes()
    found = tracker(config, name, *(["SELECT 1"] if name == "sql" else []))
    assert found.returncode == 1
    assert "newer tracker" in found.stderr
    assert "Traceback" not in found.stderr
    assert file.read_bytes() == before


def test_a_database_of_somebody_else_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=())
    file = database(config)
    file.parent.mkdir()
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE recipes (name VARCHAR)")
    before = file.read_bytes()
    found = tracker(config, "run")
    assert found.returncode == 1
    assert "not a tracker database" in found.stderr
    assert "recipes" in found.stderr
    assert file.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=())
    file = database(config)
    file.parent.mkdir()
    file.write_text("shopping list\n" * 1000, encoding="utf-8")
    before = file.read_bytes()
    for arguments in (("run",), ("sql", "SELECT 1")):
        found = tracker(config, *arguments)
        assert found.returncode == 1, arguments
        assert str(file) in found.stderr
        assert "Traceback" not in found.stderr
    assert file.read_bytes() == before


def test_a_data_folder_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    """A file stands where the folder should be: chmod does not keep root out."""
    config = write_config(tmp_path, {}, sources=())
    (tmp_path / "data").write_text("not a folder", encoding="utf-8")
    for name in ("run", "once"):
        found = tracker(config, name)
        assert found.returncode == 1
        assert "data folder" in found.stderr
        assert str(tmp_path / "data") in found.stderr
        assert "Traceback" not in found.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of this version."""
    config = write_config(tmp_path_factory.mktemp("made"), {}, sources=())
    found = tracker(config, "once", "rollup")
    assert found.returncode == 0, found.stderr
    return database(config)


# --------------------------------------------------------------------------------------------------- a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(place)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting a small file system is not permitted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path, leave: int) -> Path:
    """A ballast that leaves so many bytes free, or none where the daemon took the last ones itself."""
    ballast = place / "ballast"
    free = os.statvfs(place)
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        for _ in range(max(0, free.f_bavail * free.f_frsize - leave) // 4096):
            file.write(bytes(4096))
    return ballast


def kept_alive(daemon: Daemon) -> bool:
    """What a service manager does: start again what has stopped."""
    if not daemon.running:
        daemon.start()
    return True


@pytest.mark.parametrize("leave", [2_000_000, 0], ids=["nearly full", "full"])
def test_a_full_disk_is_said_clearly_and_nothing_is_lost_once_there_is_space(
    world: World, small_disk: Path, leave: int
) -> None:
    config = write_config(small_disk, world.base_urls)
    daemon = Daemon(config)
    daemon.log_path = small_disk.parent / "daemon.log"
    with daemon:
        wait_until_asked(daemon, world, ALL)
        world.publish(
            invent(8, time.time() + 0.2, 4.0, {"stocktwits": 60, "reddit": 40, "hackernews": 20, "bluesky": 30})
        )
        until(
            lambda: ask(database(config), "SELECT 1 FROM streams WHERE source = 'bluesky' AND cursor IS NOT NULL"),
            30.0,
            "Bluesky has a cursor",
        )
        ballast = fill(small_disk, leave)
        until(
            lambda: "polling pauses" in daemon.log or not daemon.running,
            20.0,
            "the daemon notices",
            hint=lambda: daemon.log,
        )
        until(world.all_shown, 30.0, "the world has said everything")
        assert daemon.running or daemon.process.returncode == 1
        assert re.search(r"the disk is (nearly )?full|can't be kept|No space left", daemon.log), daemon.log
        assert "Traceback" not in daemon.log
        assert "  | " not in daemon.log, daemon.log
        ballast.unlink()
        until(
            lambda: kept_alive(daemon) and stored(database(config)) == world.truth(),
            40.0,
            "everything is stored",
            0.3,
            lambda: daemon.log[-3000:],
        )
        assert daemon.stop() == 0, daemon.log[-2000:]
    assert tracker(config, "check", "--deep").returncode == 0
