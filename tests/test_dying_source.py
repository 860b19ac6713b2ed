"""A source that dies, in each of the ways in which sources die, is named: in its health, in ``status`` and by an alert."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from fakes import NOON, FakeClock
from websockets.asyncio.server import ServerConnection, serve
from world_daemon import ask, database, write_config
from world_faults import CHALLENGE, HTML_PAGE
from world_posts import Post, hackernews_hits, jetstream_frame

from tracker.app import App
from tracker.cli import main
from tracker.parts import load_config
from tracker.poller import settle

pytestmark = pytest.mark.slow

EVERY_S = 120.0
INTERVALS = 3
GRID_S = 300.0  # rules are looked at with the readings
RULE = """
[alerts]
[alerts.channels]
desk = { url = "json://127.0.0.1:9/", insecure = true, private = true }
[[alerts.rules]]
name = "sources"
when = "source_down"
channels = ["desk"]
"""


def hits(now: datetime) -> bytes:
    """What the service shows while it is well: somebody says something every minute."""
    said = [Post("hackernews", n, now - timedelta(minutes=n), 0.0, "newt", f"BABA {n}") for n in range(1, 20)]
    return hackernews_hits(said, None, None, "", 100, 0)


def configured(folder: Path, name: str, base_url: str, **changed: Any) -> Path:
    config = write_config(
        folder, {name: base_url}, sources=(name,), changed={f"sources.{name}": changed, "tracker": {"contact": "me@pond.example"}}
    )  # fmt: skip
    with config.open("a", encoding="utf-8") as file:
        file.write(RULE)
    return config


def named(config: Path, source: str) -> tuple[str, str, list[tuple[datetime, str]]]:
    """(status in source_health, status in `tracker status`, alerts: when and kind)."""
    file = database(config)
    ((health,),) = ask(file, f"SELECT status FROM source_health WHERE source = '{source}' AND enabled")
    shown = CliRunner().invoke(main, ["--config", str(config), "status", "--json"])
    assert shown.exit_code == 0, shown.output
    (told,) = [stream["status"] for stream in json.loads(shown.stdout)["streams"] if stream["source"] == source]
    return health, told, ask(file, 'SELECT "at", kind FROM alerts ORDER BY 1')


DEATHS: dict[str, tuple[Callable[[], httpx.Response], str]] = {
    "a 403 page": (lambda: httpx.Response(403, content=CHALLENGE, headers={"Content-Type": "text/html"}), "denied"),
    "200 with HTML": (lambda: httpx.Response(200, content=HTML_PAGE), "malformed"),
    "empty for three polls": (lambda: httpx.Response(200, content=hackernews_hits([], None, None, "", 100, 0)), "silent"),
}  # fmt: skip


@pytest.mark.parametrize("way", sorted(DEATHS))
def test_a_polled_source_that_dies_is_named_within_three_intervals(way: str, tmp_path: Path) -> None:
    answer, status = DEATHS[way]
    clock = FakeClock()
    dies_at = NOON + timedelta(seconds=GRID_S + 60)

    def served(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=hits(clock.now())) if clock.now() < dies_at else answer()

    config = configured(tmp_path, "hackernews", "http://127.0.0.1:9/api/v1", every=f"{EVERY_S:g}s", breaker="1h")

    async def live() -> None:
        app = App(load_config(str(config), {}), clock=clock, transport=httpx.MockTransport(served))
        await app.open()
        while clock.now() <= dies_at + timedelta(seconds=INTERVALS * EVERY_S + GRID_S):
            await settle(app.poll_due(push=False))
            await app.flush()
            clock.advance(30.0)
        await app.close()

    asyncio.run(live())
    health, told, alerts = named(config, "hackernews")
    assert (health, told) == (status, status)
    ((at, kind),) = alerts
    assert kind == "source_down"
    latest = dies_at + timedelta(seconds=INTERVALS * EVERY_S + GRID_S)
    assert dies_at <= at.replace(tzinfo=UTC) <= latest


def test_a_socket_that_stays_open_and_says_nothing_is_named_though_it_is_connected_again_and_again(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    connections = 0

    async def talk(peer: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        number = connections * 1_000
        while clock.now() < NOON + timedelta(seconds=GRID_S + 60):  # it is known to be well when it dies
            number += 1
            await peer.send(jetstream_frame(Post("bluesky", number, NOON, 0.0, "newt", f"$BABA {number}")))
            await asyncio.sleep(0.02)
        # what stays are news of accounts
        identity = {"did": "did:plc:inventednewt", "time_us": int(NOON.timestamp() * 1e6), "kind": "identity"}
        await peer.send(json.dumps({**identity, "identity": {}}))
        await peer.wait_closed()

    async def live() -> Path:
        async with serve(talk, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            config = configured(
                tmp_path, "bluesky", url, every="30s", watchdog="300ms", page_every="40ms", max_backoff="30s"
            )
            app = App(load_config(str(config), {}), clock=clock)
            await app.open()
            async with asyncio.timeout(60):
                while clock.now() < NOON + timedelta(minutes=21):
                    app.poll_due(push=True)
                    await asyncio.sleep(0.06)
                    if clock.now().second % 30 == 0:
                        await app.flush()
                    clock.advance(10.0)
            await app.close()
        return config

    config = asyncio.run(live())
    assert connections >= 2, "it has to be connected again in between"
    health, told, alerts = named(config, "bluesky")
    assert health == "silent"
    assert told == health
    assert ask(database(config), "SELECT count(*) FROM polls WHERE error LIKE '%silent: no post%'") != [(0,)]
    assert [kind for _, kind in alerts] == ["source_down"]
