"""The real daemon with real receivers: each alert arrives, once, whatever is killed; polling never waits for it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeClock
from world import World
from world_corpus import invent
from world_daemon import (
    Daemon,
    ask,
    database,
    stored,
    tracker,
    until,
    wait_for_truth,
    wait_until_asked,
    write_config,
)

from tracker.app import App
from tracker.errors import StoreError, StoreFatal, StoreLocked
from tracker.notify import Teller
from tracker.parts import load_config
from tracker.store import Opening, Store
from tracker.store import alerts as outbox
from tracker.store.alerts import Alert
from tracker.store.connect import transaction

pytestmark = pytest.mark.slow

TOKEN = "tk-5up3r-s3cr3t-0123456789"


class Receiver:
    """A web hook on loopback that remembers whom it took what from."""

    def __init__(self) -> None:
        self.status = 200
        self.pause_s = 0.0
        self.asked: list[str] = []  # keys, in the order in which they came
        self.taken: list[str] = []  # keys that were answered with 200
        self.bodies: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                key, status = self.headers["Idempotency-Key"], receiver.status
                receiver.asked.append(key)
                receiver.bodies.append(body)
                if receiver.pause_s:
                    time.sleep(receiver.pause_s)
                if status == 200:
                    receiver.taken.append(key)
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:  # who asked is gone
                    pass

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the standard library's name)
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"json://127.0.0.1:{self._server.server_address[1]}/hook/{TOKEN}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def with_alerts(config: Path, receiver: Receiver, *rules: str, timeout: str = "10s", attempts: int = 50) -> Path:
    lines = [
        "[alerts]", f'timeout = "{timeout}"', f"attempts = {attempts}", 'backoff = "200ms"', "[alerts.channels]",
        f'desk = {{ url = "{receiver.url}", insecure = true, private = true }}', *rules, "",
    ]  # fmt: skip
    with config.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines))
    return config


def fill(config: Path, many: int) -> set[str]:
    """Make the database and put so many alerts into its outbox; their keys."""
    made = tracker(config, "once", "rollup")
    assert made.returncode == 0, made.stderr
    return add(config, many)


def add(config: Path, many: int, first: int = 0, due_in: timedelta = timedelta(0)) -> set[str]:
    """More alerts for the outbox, as if the rules had written them."""
    now = datetime.now(UTC)
    rows = [
        Alert("r", "BABA", now - timedelta(minutes=number), "desk", "crossed", f"title {number}", f"body {number}", None,
              f"{number:016x}", "waiting", 0, now + due_in, None, None, now)
        for number in range(first, first + many)
    ]  # fmt: skip
    store = Store(Opening(database(config)))
    with store.writing() as connection, transaction(connection):
        outbox.put(connection, rows)
    return {row.event_key for row in rows}


def states(config: Path) -> Counter[str]:
    return Counter(status for (status,) in ask(database(config), "SELECT status FROM alerts"))


def nothing_secret(config: Path, daemon: Daemon) -> None:
    for file in [daemon.log_path, *database(config).parent.rglob("*")]:
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes(), file


# ------------------------------------------------------------------------------------------------ killed


def test_what_waits_when_the_daemon_is_killed_arrives_once_after_the_restart(
    tmp_path: Path, receiver: Receiver
) -> None:
    config = with_alerts(write_config(tmp_path, {}, sources=()), receiver)
    keys = fill(config, 6)
    receiver.status = 503
    with Daemon(config) as daemon:
        until(lambda: len(receiver.asked) >= 3, 40.0, "the receiver was tried", hint=lambda: daemon.log)
        daemon.kill()
        assert states(config) == {"waiting": 6}
        receiver.status = 200
        asked = len(receiver.asked)
        keys |= add(config, 1, first=6, due_in=timedelta(seconds=8))
        daemon.start()
        until(lambda: states(config)["sent"] == 6, 40.0, "all that are due are sent", hint=lambda: daemon.log)
        until(
            lambda: states(config) == {"sent": 7}, 40.0, "one that is due later is sent, too", hint=lambda: daemon.log
        )
        assert daemon.stop() == 0
        nothing_secret(config, daemon)
    assert Counter(receiver.taken) == Counter(keys)
    assert len(receiver.asked) == asked + 7


def test_killed_again_and_again_while_it_sends_nothing_is_lost_and_hardly_anything_comes_twice(
    tmp_path: Path, receiver: Receiver
) -> None:
    config = with_alerts(write_config(tmp_path, {}, sources=()), receiver)
    keys = fill(config, 40)
    receiver.pause_s = 0.05
    kills = 0
    with Daemon(config) as daemon:
        while kills < 3:
            before = len(receiver.taken)
            until(lambda: len(receiver.taken) >= before + 5, 40.0, "it sends", 0.01, lambda: daemon.log)  # noqa: B023
            daemon.kill()
            kills += 1
            daemon.start()
        until(lambda: states(config) == {"sent": 40}, 60.0, "all are sent", hint=lambda: daemon.log)
        assert daemon.stop() == 0
        nothing_secret(config, daemon)
    counted = Counter(receiver.taken)
    assert set(counted) == keys
    assert max(counted.values()) <= 2
    assert sum(counted.values()) - len(keys) <= kills, "one at a time is under way when it is killed"


def test_a_stop_is_orderly_while_a_receiver_hangs(tmp_path: Path, receiver: Receiver) -> None:
    config = with_alerts(write_config(tmp_path, {}, sources=()), receiver, timeout="60s")
    fill(config, 2)
    receiver.pause_s = 30.0
    with Daemon(config) as daemon:
        until(lambda: len(receiver.asked) == 1, 40.0, "the receiver is asked", hint=lambda: daemon.log)
        assert daemon.stop() == 0
        assert "error" not in daemon.log
    assert states(config) == {"waiting": 2}


# ------------------------------------------------------------------------------------------------ meanwhile


def test_polling_and_storing_go_on_while_a_receiver_hangs(tmp_path: Path, receiver: Receiver) -> None:
    receiver.pause_s = 30.0
    with World() as world:
        sources = ("stocktwits", "hackernews")
        config = with_alerts(write_config(tmp_path, world.base_urls, sources=sources), receiver, timeout="30s")
        fill(config, 3)
        with Daemon(config) as daemon:
            wait_until_asked(daemon, world, sources)
            until(lambda: len(receiver.asked) == 1, 40.0, "the receiver is asked", hint=lambda: daemon.log)
            started = time.monotonic()
            world.publish(invent(5, time.time() + 0.2, 3.0, {"stocktwits": 60, "hackernews": 15}))
            wait_for_truth(daemon, world, 25.0, sources)
            assert time.monotonic() - started < 25
            assert len(receiver.asked) == 1, "it still hangs"
            assert stored(database(config)) == world.truth(*sources)
            assert daemon.stop() == 0


# ------------------------------------------------------------------------------------------------ from a message to a receiver

SPIKES = '[[alerts.rules]]\nname = "spikes"\nwhen = "spike"\nwidth = "1h"\nchannels = ["desk"]'
BROKEN = '[[alerts.rules]]\nname = "loud"\nwhen = "messages > 5"\nwindow = "1h"\nchannels = ["desk"]'


def archive(folder: Path, burst_at: datetime) -> Path:
    """Weeks of a little talk about BABA, and an hour in which many people speak of it, each in words of their own."""
    quiet = [
        (burst_at - timedelta(days=34) + number * timedelta(hours=5), f"frog{number % 9}") for number in range(160)
    ]
    loud = [(burst_at + number * timedelta(seconds=50), f"newt{number}") for number in range(40)]
    lines = [
        {"source": "pond", "id": str(number), "created_at": moment.isoformat(), "author": who, "text": f"$BABA {_word(number)} {who}", "symbols": []}
        for number, (moment, who) in enumerate([*quiet, *loud])
    ]  # fmt: skip
    path = folder / "pond.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return path


def _word(number: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return f"thought {letters[number % 26]}{letters[number // 26 % 26]}{letters[number // 676]} again"


def test_a_burst_of_messages_becomes_one_alert_with_its_numbers_and_the_brief(
    tmp_path: Path, receiver: Receiver
) -> None:
    config = with_alerts(write_config(tmp_path, {}, sources=()), receiver, SPIKES)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    loaded = tracker(config, "replay", str(archive(tmp_path, hour)), "--as", "ndjson", "--no-clock")
    assert loaded.returncode == 0, loaded.stderr
    for moment in (hour - timedelta(hours=1), hour + timedelta(hours=1)):
        found = tracker(config, "once", "rollup", "readings", "--now", moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
        assert found.returncode == 0, found.stderr
    shown = json.loads(tracker(config, "alerts", "list", "--json").stdout)
    assert [(row["kind"], row["status"], row["attempts"]) for row in shown] == [("spike_started", "waiting", 0)]
    rules = json.loads(tracker(config, "alerts", "rules", "--json").stdout)
    assert rules["waiting"] == 1
    assert rules["channels"] == [{"channel": "desk", "usable": True, "why_not": None}]
    assert rules["rules"][0]["last_told"] is not None
    assert "BABA" in rules["rules"][0]["sides"]
    with Daemon(config) as daemon:
        until(lambda: states(config)["sent"] >= 1, 40.0, "it is sent", hint=lambda: daemon.log)
        assert daemon.stop() == 0
        nothing_secret(config, daemon)
    started = next(body for body in receiver.bodies if body["title"].startswith("BABA: message volume spike ("))
    assert "40 messages, 40 of them organic" in started["message"]
    assert f"https://stocktwits.com/symbol/BABA\n\nref {shown[0]['event_key']}" in started["message"]
    assert Counter(receiver.taken)[shown[0]["event_key"]] == 1
    assert max(Counter(receiver.taken).values()) == 1


def test_a_replay_counts_what_would_have_been_told_and_sends_nothing(tmp_path: Path, receiver: Receiver) -> None:
    config = with_alerts(write_config(tmp_path, {}, sources=()), receiver, SPIKES)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=40)
    for _ in range(2):  # a second run changes nothing
        report = tracker(config, "replay", str(archive(tmp_path, hour)), "--as", "ndjson", "--json")
        assert report.returncode == 0, report.stderr
        assert json.loads(report.stdout)["alerts"] == 1, "it ends with the archive, so its end is not seen"
        rows = ask(database(config), "SELECT kind, status, next_try_at FROM alerts")
        assert rows == [("spike_started", "dry", None)]
    real = add(config, 1)
    with Daemon(config) as daemon:
        until(lambda: states(config)["sent"] == 1, 40.0, "one that is meant to be sent is", hint=lambda: daemon.log)
        assert daemon.stop() == 0
    assert set(receiver.asked) == real


# ------------------------------------------------------------------------------------------------ commands


def test_alerts_test_tries_each_channel_and_says_why_one_fails(tmp_path: Path, receiver: Receiver) -> None:
    config = with_alerts(write_config(tmp_path, {}, sources=()), receiver)
    found = tracker(config, "alerts", "test")
    assert (found.returncode, receiver.taken) == (0, ["0" * 16]), found.stdout
    with config.open("a", encoding="utf-8") as file:
        file.write(f'bare = "{receiver.url}"\nlost = {{ url = "jsons://127.0.0.1:9/{TOKEN}" }}\n')
    found = tracker(config, "alerts", "test", "--json")
    assert found.returncode == 3
    verdicts = {row["channel"]: (row["ok"], row["error"]) for row in json.loads(found.stdout)}
    assert verdicts["desk"] == (True, None)
    assert "use jsons" in verdicts["bare"][1]
    assert "private = true" in verdicts["lost"][1]
    assert TOKEN not in found.stdout + found.stderr
    assert tracker(config, "alerts", "test", "desk").returncode == 0
    unknown = tracker(config, "alerts", "test", "dsk")
    assert unknown.returncode == 2
    assert "expected one of desk, bare, lost" in unknown.stderr


def test_without_anything_configured_the_commands_say_so(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=())
    assert tracker(config, "alerts", "test").returncode == 2
    assert json.loads(tracker(config, "alerts", "list", "--json").stdout) == []
    empty = {"rules": [], "channels": [], "waiting": 0}
    assert json.loads(tracker(config, "alerts", "rules", "--json").stdout) == empty


# ------------------------------------------------------------------------------------------------ the app


async def app_at(folder: Path, receiver: Receiver, clock: FakeClock) -> App:
    config = with_alerts(write_config(folder, {}, sources=()), receiver, BROKEN)
    app = App(load_config(str(config), {}), clock)
    await app.open()
    return app


async def test_a_mistake_in_a_rule_never_costs_the_readings(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    app = await app_at(tmp_path, receiver, clock)

    def broken(self: Teller, connection: Any, at: datetime, now: datetime) -> None:
        connection.execute("SELECT * FROM no_such_table")

    monkeypatch.setattr(Teller, "evaluate", broken)
    try:
        await app.flush()
        with app.store.reading() as connection:
            assert connection.execute("SELECT count(*) > 0 FROM readings").fetchone() == (True,)
        assert [r.getMessage() for r in caplog.records if "without them" in r.getMessage()]
        assert app.failure is None
    finally:
        await app.close()


@pytest.mark.parametrize("kind", [StoreFatal, StoreLocked])
async def test_a_dead_disk_and_a_held_file_are_no_mistakes_of_rules(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, kind: type[StoreError]
) -> None:
    app = await app_at(tmp_path, receiver, FakeClock())

    def fails(self: Teller, connection: Any, at: datetime, now: datetime) -> None:
        raise StoreLocked("t.duckdb", 7) if kind is StoreLocked else kind("the disk is full")

    monkeypatch.setattr(Teller, "evaluate", fails)
    try:
        if kind is StoreFatal:
            with pytest.raises(StoreFatal):
                await app.flush()
        else:
            await app.flush()  # said once; the next flush takes the same readings again
        with app.store.reading() as connection:
            assert connection.execute("SELECT count(*) FROM readings").fetchone() == (0,)
    finally:
        monkeypatch.undo()
        await app.close()


async def test_the_app_tells_what_its_readings_have_caused(tmp_path: Path, receiver: Receiver) -> None:
    clock = FakeClock(datetime.now(UTC).replace(minute=0, second=0, microsecond=0))
    app = await app_at(tmp_path, receiver, clock)
    try:
        await app.flush()
        loaded = archive(tmp_path, clock.now() + timedelta(minutes=1))
        assert loaded.exists()
        lines = [json.loads(line) for line in loaded.read_text(encoding="utf-8").splitlines()][-40:]
        with app.store.writing() as connection:
            for line in lines:
                moment = datetime.fromisoformat(line["created_at"]).replace(tzinfo=None)
                connection.execute(
                    "INSERT INTO mentions VALUES ('pond', $1, 'BABA', 'cashtag', '$BABA', 1, $2, $2, $3, hash($1), 0, 0, NULL, false, NULL)",
                    [line["id"], moment, line["author"]],
                )
                connection.execute("INSERT INTO touched VALUES ('BABA', $1)", [moment.date()])
            connection.execute(
                "INSERT INTO coverage_hours VALUES ('pond', 'posts', $1, 1.0)", [clock.now().replace(tzinfo=None)]
            )
        clock.advance(1800)
        await app.flush()
        await app.tell(lambda crontab, zone, after: None)
        async with asyncio.timeout(30):
            await app.teller.settle()
        assert [body["title"] for body in receiver.bodies] == ["BABA: messages 35 (messages > 5)"]
        await app.tell(lambda crontab, zone, after: None)
        await app.teller.settle()
        assert len(receiver.taken) == 1
    finally:
        await app.close()
