"""The daemon as a process of its own, against an invented world on loopback."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from world import CUT, FAILING, HTML, REFUSED, World, too_many
from world_corpus import invent
from world_daemon import Daemon, ask, database, until, wait_for_truth, wait_until_asked, write_config

pytestmark = pytest.mark.slow

ALL = ("stocktwits", "reddit", "hackernews", "bluesky")


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def test_the_daemon_stores_exactly_what_the_world_says_and_forgets_what_authors_delete(world: World, tmp_path: Path) -> None:
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
        world.publish(invent(2, time.time() + 0.3, 4.0, {"stocktwits": 60, "reddit": 60, "hackernews": 20, "bluesky": 30}))
        # before its first page a push stream has no place to come back to
        until(lambda: ask(database(config), "SELECT 1 FROM streams WHERE source = 'bluesky' AND cursor IS NOT NULL"), 20.0, "Bluesky has a cursor")
        for source in ("stocktwits", "reddit", "hackernews"):
            world.fault(source, CUT, HTML, too_many(1.0), FAILING, too_many(2.0, as_date=True), REFUSED, too_many(None), CUT)
        world.drop_streams()
        world.fault("bluesky", FAILING, too_many(1.0))
        until(lambda: world.pending_faults() == 0, 40.0, "every fault has fired", 0.1, lambda: daemon.log[-3000:])
        wait_for_truth(daemon, world, 30.0)
        assert daemon.stop() == 0
    assert world.early() == [], world.story()
    assert len(world.named()) == 7
    failed = dict(ask(database(config), "SELECT status, count(*) FROM polls WHERE up = 0 GROUP BY status"))
    assert failed.keys() == {"unavailable", "malformed", "rate_limited", "denied"}
