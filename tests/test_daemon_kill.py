"""Killed again and again at any moment: nothing is lost, nothing stands twice, nobody is asked too early.

``TRACKER_KILLS`` is the number of kills (default 4), ``TRACKER_SEED`` repeats a run.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from world import World, too_many
from world_corpus import in_order, invent, moment_number, seeded
from world_daemon import (
    Daemon,
    ask,
    database,
    differences,
    stored,
    tracker,
    until,
    wait_for_truth,
    wait_until_asked,
    write_config,
)
from world_posts import Post, Source

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("TRACKER_KILLS", "4"))
SEED = int(os.environ.get("TRACKER_SEED", "7"))
ALL: tuple[Source, ...] = ("stocktwits", "reddit", "hackernews", "bluesky")
RATE: dict[Source, float] = {"stocktwits": 12.0, "reddit": 8.0, "hackernews": 4.0, "bluesky": 8.0}  # posts a second
UP_S = 3.0  # a daemon lives at most so long before it is killed
TOLD_S = 0.4  # a daemon that is killed sooner after an answer can't have put away what it said
DERIVED = ("buckets", "spikes")


def derived(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {table: ask(file, f"SELECT * FROM {table} ORDER BY ALL") for table in DERIVED}


def wait_for_answers_to_settle(world: World) -> None:
    """An answer that names a time counts once the daemon has had a moment to write it down; no kill falls in between."""
    until(
        lambda: all(time.time() - asked.at > TOLD_S for asked in world.named()[-4:]),
        10.0,
        "the last named time is old enough",
        0.02,
    )


def name_a_time(world: World, daemon: Daemon, source: Source) -> None:
    """Tell that source's next visitor to stay away for longer than a restart takes."""
    before = len(world.named())
    world.fault(source, too_many(5.0))
    until(
        lambda: any(asked.source == source for asked in world.named()[before:]),
        20.0,
        "a time is named",
        0.02,
        lambda: daemon.log[-2000:],
    )


def wait_for(moment: float) -> None:
    until(lambda: time.time() >= moment, 30.0, "the moment to be killed has come", 0.01)


def came_back_within_a_named_time(world: World, daemon: Daemon) -> bool:
    """Wait for the first request of a new process; True when it had to mind a time that was named to the old one."""
    before = len(world.asked)
    until(
        lambda: len(world.asked) > before or not daemon.running, 40.0, "it asks again", 0.02, lambda: daemon.log[-2000:]
    )
    now = time.time()
    return any(asked.not_before is not None and now < asked.not_before for asked in tuple(world.asked)[:before])


def burst(number: int, begin: float) -> list[Post]:
    """More than a page of a polled stream while nobody listens: it takes a walk to get them all."""
    counts: list[dict[Source, int]] = [{"stocktwits": 75}, {"reddit": 130}, {"hackernews": 115}]
    kept = {"symbols": ("BABA",), "places": ("stocks",), "first_number": 5_000_000}
    return invent(number, begin, 0.2, counts[number % len(counts)], late_share=0.0, **kept)  # type: ignore[arg-type]


def take_back_the_only_word_on_a_symbol(world: World, daemon: Daemon) -> None:
    """A symbol that one message named and nobody else: when that goes, so do its buckets."""
    file = database(daemon.config)
    at = datetime.now(UTC)
    post = Post(
        "bluesky", moment_number(at.timestamp()), at, at.timestamp(), "loon", "$NVDA only word", symbols=("NVDA",)
    )
    world.publish([post])
    until(
        lambda: ask(file, "SELECT 1 FROM buckets WHERE symbol = 'NVDA'"),
        20.0,
        "the symbol has buckets",
        0.2,
        lambda: daemon.log[-2000:],
    )
    at = datetime.now(UTC)
    world.publish([Post("bluesky", moment_number(at.timestamp()), at, at.timestamp(), "loon", "", removes=post.number)])
    wait_for_truth(daemon, world, 20.0)


def run_with_kills(world: World, config: Path, seed: int, kills: int, *, late_share: float) -> int:
    """A world that talks while its listener is killed; returns how many restarts fell into a time that was named."""
    dice = seeded(seed)
    daemon = Daemon(config)
    within = 0
    with daemon:
        wait_until_asked(daemon, world, ALL)
        for number in range(kills):
            seconds = 1.0 + dice.random() * UP_S
            counts: dict[Source, int] = {source: max(3, round(rate * seconds)) for source, rate in RATE.items()}
            begin = time.time() + 0.1
            kill_at = begin + dice.random() * UP_S
            said = invent(seed * 1000 + number, begin, seconds, counts, late_share=late_share)
            world.publish(in_order([*said, *burst(number, kill_at + TOLD_S + 0.1)]))
            if number == 0:  # a push stream without a cursor has no place to come back to
                until(
                    lambda: ask(
                        database(config), "SELECT 1 FROM streams WHERE source = 'bluesky' AND cursor IS NOT NULL"
                    ),
                    30.0,
                    "Bluesky has a cursor",
                )
            for source in ALL:
                if dice.random() < 0.3:
                    world.fault(source, too_many(2.0 + dice.random(), as_date=dice.random() < 0.3))
            wait_for(kill_at)
            if number % 3 == 0:  # this time it is killed while it waits as it was told
                name_a_time(world, daemon, dice.choice(("stocktwits", "reddit")))
            wait_for_answers_to_settle(world)
            assert daemon.running, daemon.log[-3000:]
            daemon.kill()
            daemon.start()
            within += came_back_within_a_named_time(world, daemon)
        world.heal()
        wait_for_truth(daemon, world, 60.0)
        take_back_the_only_word_on_a_symbol(world, daemon)
        assert daemon.stop() == 0, daemon.log[-3000:]
    return within


def check(world: World, config: Path) -> None:
    file = database(config)
    assert differences(stored(file), world.truth()) == {"lost": [], "foreign": [], "wrong": []}
    gone = [key for key, text in world.truth().items() if text is None]
    assert gone, "the world has to have deletions"
    assert ask(
        file, "SELECT count(*) FROM messages WHERE deleted_at IS NOT NULL AND (text IS NOT NULL OR author IS NOT NULL)"
    ) == [(0,)]
    assert ask(
        file,
        "SELECT count(*) FROM messages AS m JOIN mentions AS n ON n.source = m.source AND n.message_id = m.id WHERE m.deleted_at IS NOT NULL",
    ) == [(0,)]
    assert ask(file, "SELECT count(*) FROM gaps") == [(0,)]
    assert world.early() == [], world.story()
    rolled = tracker(config, "once", "rollup")
    assert rolled.returncode == 0, rolled.stderr
    kept = derived(file)
    assert kept["buckets"]
    assert ask(file, "SELECT count(*) FROM buckets WHERE symbol = 'NVDA'") == [(0,)], "its only message is gone"
    rebuilt = tracker(config, "rebuild")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert derived(file) == kept
    proof = tracker(config, "check", "--deep")
    assert proof.returncode == 0, proof.stdout + proof.stderr


def test_a_daemon_that_is_killed_again_and_again_loses_nothing_and_keeps_the_times_it_was_told(tmp_path: Path) -> None:
    with World() as world:
        config = write_config(tmp_path, world.base_urls)
        within = run_with_kills(world, config, SEED, KILLS, late_share=0.1)
        check(world, config)
        assert world.fired["stocktwits", "too_many"] + world.fired["reddit", "too_many"] >= 1
        assert within >= 1, "at least one restart has to fall into a time that was named"


def test_without_an_overlap_the_cursor_still_never_runs_ahead_of_its_messages(tmp_path: Path) -> None:
    """The overlap hides a cursor that is committed before its data: here there is none to hide behind."""
    no_overlap = {f"sources.{source}": {"overlap": "0s"} for source in ALL}
    with World() as world:
        config = write_config(tmp_path, world.base_urls, changed=no_overlap)
        run_with_kills(world, config, SEED + 1, max(2, KILLS // 2), late_share=0.0)
        check(world, config)
