"""Others at the same file while the daemon writes: they get in, and nothing is lost when they stay.

``TRACKER_QUERIES`` is the number of questions (default 60), ``TRACKER_HOLD_S`` how long a reader stays (default 5).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from world_posts import Source

pytestmark = pytest.mark.slow

QUERIES = int(os.environ.get("TRACKER_QUERIES", "60"))
HOLD_S = float(os.environ.get("TRACKER_HOLD_S", "5"))
LEAST_FIRST = 0.9 if QUERIES >= 200 else 0.8  # a small sample scatters, and other tests run beside it
SOURCES: tuple[Source, ...] = ("stocktwits", "reddit")
LIVE: tuple[Source, ...] = (*SOURCES, "bluesky")
# as in an ordinary installation, but for polls every second
CALM = {
    "store": {"flush": "4s"},
    "jobs": {"rollup": "30s", "tick": "1s"},
    "sources.stocktwits": {"every": "1s"},
    "sources.reddit": {"every": "1s"},
    "sources.bluesky": {"page_every": "3s"},
}
READER = ROOT / "tests" / "world_reader.py"


@contextmanager
def reader(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(READER), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_others_open_the_live_file_at_the_first_try_nearly_always(tmp_path: Path) -> None:
    seconds = QUERIES * 0.3 + 5
    with World() as world:
        config = write_config(tmp_path, world.base_urls, sources=LIVE, changed=CALM)
        with Daemon(config) as daemon:
            wait_until_asked(daemon, world, LIVE)
            counts: dict[Source, int] = {
                "stocktwits": round(seconds * 10),
                "reddit": round(seconds * 5),
                "bluesky": round(seconds * 5),
            }
            world.publish(invent(3, time.time() + 0.2, seconds, counts))
            until(
                lambda: len(stored(database(config))) > 10,
                30.0,
                "the first messages are stored",
                0.3,
                lambda: daemon.log[-2000:],
            )
            with reader("ask", str(database(config)), str(QUERIES), "5") as asking:
                answers = []
                # at least eight, and until a flush has gone by between two of them
                while len(answers) < 8 or (len(answers) < 40 and answers[-1].stdout == answers[0].stdout):
                    answers.append(tracker(config, "sql", "--json", "SELECT count(*) AS n FROM messages"))
                output, _ = asking.communicate(timeout=QUERIES * 2 + 60)
            wait_for_truth(daemon, world, 40.0, LIVE)
            assert daemon.stop() == 0
    assert [answer.returncode for answer in answers] == [0] * len(answers), [answer.stderr for answer in answers]
    seen = [json.loads(answer.stdout)[0]["n"] for answer in answers]
    assert seen == sorted(seen)
    assert seen[-1] > seen[0], "the answers have to be of the live file"
    found = json.loads(output)
    first = sum(tries == 1 for tries in found["tries"])
    print(
        f"{first} of {len(found['tries'])} at the first try, {found['tries'].count(2)} at the second, {found['tries'].count(3)} at the third"
    )
    assert 0 not in found["tries"], "every question is answered by the third try"
    assert first >= LEAST_FIRST * QUERIES
    assert found["counts"] == sorted(found["counts"])


def test_a_reader_who_stays_costs_nothing_but_time(tmp_path: Path) -> None:
    with World() as world:
        config = write_config(tmp_path, world.base_urls, sources=SOURCES)
        with Daemon(config) as daemon:
            wait_until_asked(daemon, world, SOURCES)
            seconds = HOLD_S + 1
            world.publish(
                invent(4, time.time() + 0.2, seconds, {"stocktwits": round(seconds * 12), "reddit": round(seconds * 6)})
            )
            until(
                lambda: stored(database(config)), 30.0, "the first messages are stored", 0.2, lambda: daemon.log[-2000:]
            )
            with reader("hold", str(database(config))) as holding:
                assert holding.stdout is not None
                assert holding.stdout.readline() == "held\n"
                before = stored(database(config))
                asked = len(world.asked)
                until(world.all_shown, HOLD_S + 30, "the world has said everything")
                assert len(world.asked) > asked + 2, "polling goes on"
                assert "is held by somebody else" in daemon.log
                assert f"holder_pid={holding.pid}" in daemon.log
                assert stored(database(config)) == before, "nothing can be written meanwhile"
                assert daemon.running
                holding.communicate("")
            wait_for_truth(daemon, world, 30.0, SOURCES)
            until(lambda: "the database is free again" in daemon.log, 10.0, "the daemon says that it is over")
            assert daemon.stop() == 0
    assert daemon.log.count("is held by somebody else") == 1
    assert ask(database(config), "SELECT count(*) FROM polls WHERE up = 0") == [(0,)]


def test_a_daemon_that_is_killed_while_a_reader_stays_finds_everything_in_its_journal(tmp_path: Path) -> None:
    with World() as world:
        config = write_config(tmp_path, world.base_urls, sources=SOURCES)
        with Daemon(config) as daemon:
            wait_until_asked(daemon, world, SOURCES)
            world.publish(invent(6, time.time() + 0.2, 3.0, {"stocktwits": 40, "reddit": 20}))
            until(
                lambda: stored(database(config)), 30.0, "the first messages are stored", 0.2, lambda: daemon.log[-2000:]
            )
            with reader("hold", str(database(config))) as holding:
                assert holding.stdout is not None
                assert holding.stdout.readline() == "held\n"
                until(world.all_shown, 30.0, "the world has said everything")
                asked = len(world.asked)
                until(lambda: len(world.asked) > asked + 8, 20.0, "everything was asked for")
                daemon.kill()
                holding.communicate("")
            world_after = world.truth(*SOURCES)
    # the world is gone: what comes now can only come from the journal
    with Daemon(config) as daemon:
        until(
            lambda: stored(database(config)) == world_after,
            30.0,
            "everything is stored",
            0.3,
            lambda: daemon.log[-2000:],
        )
        assert daemon.stop() == 0
