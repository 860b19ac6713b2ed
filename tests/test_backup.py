"""Back-up and restore, with the commands that docs/operating.md gives, on the folder of a real daemon."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from world import World
from world_corpus import invent
from world_daemon import (
    ROOT,
    Daemon,
    ask,
    database,
    environment,
    stored,
    tracker,
    until,
    wait_for_truth,
    wait_until_asked,
    write_config,
)

pytestmark = pytest.mark.slow

SOURCES = ("stocktwits", "reddit")


def commands(name: str) -> str:
    """The block of docs/operating.md that begins with ``# name``."""
    blocks = re.findall(r"```sh\n# (.+?)\n(.*?)```", (ROOT / "docs" / "operating.md").read_text(encoding="utf-8"), re.DOTALL)  # fmt: skip
    return dict(blocks)[name]


def type_in(name: str, config: Path, backup: Path) -> None:
    """What an operator types, on the machine of that configuration."""
    folder = config.parent / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / "tracker"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tracker --config "{config}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    given = {**environment(), "DATA": str(config.parent / "data"), "BACKUP": str(backup)}
    given["PATH"] = f"{folder}:{given['PATH']}"
    found = subprocess.run(["sh", "-euc", commands(name)], capture_output=True, text=True, timeout=60, env=given, cwd=config.parent)  # fmt: skip
    assert found.returncode == 0, found.stderr


def corpus(seed: int) -> list[object]:
    counts = {"stocktwits": 40, "reddit": 25}
    return invent(seed, time.time() + 0.1, 2.0, counts, first_number=1_000_000 + 1000 * seed)  # type: ignore[return-value, arg-type]


def machine(folder: Path, world: World) -> Path:
    folder.mkdir()
    return write_config(folder, world.base_urls, sources=SOURCES, changed={"http": {"overlap": "1h"}})


def test_a_copy_taken_while_it_runs_goes_on_elsewhere_with_nothing_lost_and_nothing_doubled(tmp_path: Path) -> None:
    with World() as world:
        old, new = machine(tmp_path / "old", world), machine(tmp_path / "new", world)
        with Daemon(old) as daemon:
            wait_until_asked(daemon, world, SOURCES)
            world.publish(corpus(1))  # type: ignore[arg-type]
            until(lambda: len(stored(database(old))) > 10, 30.0, "something is stored", hint=lambda: daemon.log)
            type_in("back-up: hot", old, tmp_path / "backup")
            world.publish(corpus(2))  # type: ignore[arg-type]
            wait_for_truth(daemon, world, 30.0, SOURCES)
            daemon.kill()  # the machine burns down
        copied = len(stored(tmp_path / "backup" / "tracker.duckdb"))
        assert 10 < copied < len(world.truth(*SOURCES))
        type_in("restore", new, tmp_path / "backup")
        with Daemon(new) as daemon:
            wait_for_truth(daemon, world, 40.0, SOURCES)
            assert daemon.stop() == 0
        assert "Traceback" not in daemon.log
        assert stored(database(new)) == world.truth(*SOURCES)
        assert tracker(new, "check", "--deep").returncode == 0
        keys = [(config.parent / "data" / "author.key").read_bytes() for config in (old, new)]
        assert keys[0] == keys[1]
        hashes = [set(ask(database(config), "SELECT id, author FROM messages WHERE author IS NOT NULL")) for config in (old, new)]  # fmt: skip
        assert hashes[0] == hashes[1], "the same people are the same"


def test_a_cold_copy_after_a_kill_brings_the_journal_along(tmp_path: Path) -> None:
    with World() as world:
        old = machine(tmp_path / "old", world)
        with Daemon(old) as daemon:
            wait_until_asked(daemon, world, SOURCES)
            until(lambda: database(old).exists() and ask(database(old), "SELECT 1 FROM streams"), 30.0, "it has begun")
            holder = subprocess.Popen(
                [sys.executable, str(ROOT / "tests" / "world_reader.py"), "hold", str(database(old))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
            )  # fmt: skip
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            world.publish(corpus(3))  # type: ignore[arg-type]
            until(world.all_shown, 30.0, "the world has said everything")
            asked = len(world.asked)
            until(lambda: len(world.asked) > asked + 8, 20.0, "everything was asked for")
            daemon.kill()
            holder.communicate("", timeout=10)
        truth = world.truth(*SOURCES)
        new = machine(tmp_path / "new", world)
    type_in("back-up: cold", old, tmp_path / "backup")
    assert (tmp_path / "backup" / "tracker.journal").stat().st_size > 1000
    type_in("restore", new, tmp_path / "backup")
    with Daemon(new) as daemon:  # the world is gone: what comes now can only come from the copy
        until(lambda: stored(database(new)) == truth, 30.0, "everything is there", 0.3, lambda: daemon.log[-2000:])
        assert daemon.stop() == 0
    assert tracker(new, "check", "--deep").returncode == 0


def test_a_copy_beside_the_journal_of_a_later_day_is_refused(tmp_path: Path) -> None:
    """The positions in the journal would move on over what the copy does not hold."""
    with World() as world:
        config = machine(tmp_path / "old", world)
        with Daemon(config) as daemon:
            wait_until_asked(daemon, world, SOURCES)
            until(lambda: database(config).exists() and ask(database(config), "SELECT 1 FROM streams"), 30.0, "it has begun")  # fmt: skip
            type_in("back-up: hot", config, tmp_path / "backup")
            asked = len(world.asked)
            until(lambda: len(world.asked) > asked + 8, 20.0, "it has gone on")
            assert daemon.stop() == 0
            journal = config.parent / "data" / "tracker.journal"
            daemon.start()
            until(lambda: journal.stat().st_size > 0, 20.0, "something waits", 0.005, lambda: daemon.log)
            daemon.kill()
        if journal.stat().st_size == 0:
            pytest.skip("the flush was faster than the kill")
    kept = journal.read_bytes()
    (config.parent / "data" / "tracker.duckdb.wal").unlink(missing_ok=True)
    (tmp_path / "backup" / "tracker.duckdb").replace(database(config))
    found = tracker(config, "run")
    assert found.returncode == 1
    assert "goes on from a later state" in found.stderr
    assert str(journal) in found.stderr
    assert journal.read_bytes() == kept
