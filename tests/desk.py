"""A desk to tell alerts from: configurations, rules, alerts, a teller with a clock of its own. For the tests of alerts."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import MIDNIGHT
from fakes import FakeClock
from loopback import Answer, Server, loopback

from tracker.config import Config
from tracker.notify import Teller
from tracker.notify_post import Letter
from tracker.parts import load_config
from tracker.store import Opening, Store
from tracker.store import alerts as outbox
from tracker.store.alerts import Alert
from tracker.store.connect import transaction

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TOKEN = "tk-5up3r-s3cr3t-0123456789"  # stands in every address
OPEN = {"insecure": True, "private": True}
LETTER = Letter("0123456789abcdef", "BABA: spike", "It has spiked.\n\nref 0123456789abcdef")


def store_at(folder: Path, original: Path) -> Store:
    shutil.copyfile(original, folder / "tracker.duckdb")
    return Store(Opening(folder / "tracker.duckdb", "256MB", 1))


def config_of(folder: Path, alerts: str, above: str = "") -> Config:
    path = folder / "config.toml"
    path.write_text(f"{above}\n[alerts]\n{alerts}\n", encoding="utf-8")
    return load_config(str(path), {}, str(folder))


def channels_of(urls: Mapping[str, str], more: str = "insecure = true, private = true") -> str:
    lines = [f"{name} = {{ url = '{url}', {more} }}" for name, url in urls.items()]
    return "[alerts.channels]\n" + "\n".join(lines) + "\n"


def rule_of(when: str, *lines: str, name: str = "r", channels: str = '["desk"]') -> str:
    return "\n".join(["[[alerts.rules]]", f'name = "{name}"', f'when = "{when}"', f"channels = {channels}", *lines, ""])


def alert(number: int = 0, channel: str = "desk", **more: Any) -> Alert:
    values: dict[str, Any] = {
        "rule": "r", "symbol": "BABA", "at": MIDNIGHT + number * HOUR, "channel": channel, "kind": "crossed", "title": f"title {number}",
        "body": f"body {number}", "link": None, "event_key": f"{number:016x}", "status": "waiting", "attempts": 0,
        "next_try_at": MIDNIGHT, "sent_at": None, "error": None, "created_at": MIDNIGHT,
    }  # fmt: skip
    return Alert(**{**values, **more})


def put(store: Store, *alerts: Alert) -> None:
    with store.writing() as connection, transaction(connection):
        outbox.put(connection, alerts)


def stored(store: Store) -> list[Alert]:
    with store.reading() as connection:
        return sorted(outbox.recent(connection, 1000), key=lambda one: (one.at, one.channel))


def never(crontab: str, zone: str, after: datetime) -> datetime | None:
    return None


class Desk:
    """A teller with a clock that is walked."""

    def __init__(self, config: Config, store: Store, start: datetime = MIDNIGHT) -> None:
        self.clock = FakeClock(start)
        self.store = store
        self.failures: list[BaseException] = []
        self.teller = Teller(config, store, self.clock, self._in_store, self.failures.append)

    async def _in_store(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return await asyncio.to_thread(call, *arguments, **named)

    async def tick(self, next_time: Callable[[str, str, datetime], datetime | None] = never) -> None:
        """One run of the job, and all that it has started."""
        await self.teller.tick(next_time)
        await self.teller.settle()


@asynccontextmanager
async def desk(
    folder: Path, store: Store, *answers: Answer, more: str = "", path: str = "/hook"
) -> AsyncIterator[tuple[Desk, Server]]:
    """A desk with one channel of that name, to a receiver that gives these answers."""
    async with loopback(*answers) as server:
        yield (
            Desk(config_of(folder, more + channels_of({"desk": f"json://{server.host}{path}/{TOKEN}"})), store),
            server,
        )


@contextmanager
def nothing_secret(folder: Path, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Neither in what is logged nor in any byte of the files."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert TOKEN not in caplog.text
    for file in folder.rglob("tracker.*"):
        assert TOKEN.encode() not in file.read_bytes(), file
