"""The real process against the invented world: its configuration, starting, stopping, killing, and asking its file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
from world import World

from tracker.sources import names

ROOT = Path(__file__).resolve().parent.parent
STOP_S = 5.0  # an orderly end takes no longer

# All as quick as the configuration allows for mirrors and tests.
QUICK: dict[str, dict[str, Any]] = {
    "tracker": {"data_dir": "data", "contact": "tests@pond.example"},
    "watchlist": {"symbols": ["BABA", "JD"]},
    "http": {"deadline": "5s", "overlap": "5s", "max_backoff": "1s", "breaker": "1s", "page_every": "200ms", "watchdog": "60s", "max_pages": 20},
    "store": {"flush": "500ms"},
    "jobs": {"tick": "100ms", "rollup": "1s"},
    "universe": {"enabled": False},
    "web": {"enabled": False},
}  # fmt: skip
SOURCE: dict[str, dict[str, Any]] = {
    "stocktwits": {"acknowledge_terms": True, "streams": ["symbol/BABA", "symbol/JD"]},
    "reddit": {"streams": ["r/stocks", "r/pondtalk"], "max_pages": 20},
    "hackernews": {"streams": ["new"], "keep": "all"},
    "bluesky": {"streams": ["posts"], "keep": "all"},
    "x": {"enabled": False},
}


def write_config(
    folder: Path,
    base_urls: Mapping[str, str],
    *,
    sources: tuple[str, ...] = ("stocktwits", "reddit", "hackernews", "bluesky"),
    changed: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """A ``config.toml`` in ``folder`` for a daemon that asks ``base_urls``; ``changed`` goes on top, table by table."""
    tables: dict[str, dict[str, Any]] = {name: dict(table) for name, table in QUICK.items()}
    tables |= {f"sources.{name}": {"enabled": False} for name in names()}  # no test asks a service of the real world
    for name, table in SOURCE.items():
        on = {
            "enabled": True,
            "every": "300ms",
            "budget": "100000/1m",
            "base_url": base_urls.get(name, "http://127.0.0.1:9"),
        }
        tables[f"sources.{name}"] = {**on, **table} if name in sources else {"enabled": False}
    for name, extra in (changed or {}).items():
        tables.setdefault(name, {}).update(extra)
    lines = [
        line
        for name, table in tables.items()
        for line in ("", f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items()))
    ]
    path = folder / "config.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def database(config: Path) -> Path:
    return config.parent / "data" / "tracker.duckdb"


def command(config: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tracker", "--config", str(config), *arguments]


def environment() -> dict[str, str]:
    """Without what a test runner or a person may have set: no proxies, no colours."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if "proxy" not in name.lower() and not name.startswith("TRACKER_")
    }
    return {**kept, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}


def tracker(
    config: Path, *arguments: str, given: str | None = None, timeout_s: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """One command of the command line, to its end."""
    return subprocess.run(
        command(config, *arguments),
        input=given,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=config.parent,
        env=environment(),
    )


class Daemon:
    """``tracker run`` as a process of its own; what it says goes to ``daemon.log`` beside the configuration."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.log_path = config.parent / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Daemon:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command(self.config, "run"),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.config.parent,
                env=environment(),
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8") if self.log_path.exists() else ""

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self, within_s: float = STOP_S) -> int:
        """SIGTERM; the exit code. TimeoutExpired when it takes longer than an orderly end may."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def kill(self) -> None:
        """SIGKILL: no time to put anything away."""
        self.process.kill()
        self.process.wait(10)


def until(
    holds: Callable[[], object],
    deadline_s: float,
    what: str,
    every_s: float = 0.1,
    hint: Callable[[], str] | None = None,
) -> None:
    """Wait for a condition; AssertionError, saying what did not happen, at the deadline."""
    end = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:g} s: {what}" + (f"\n{hint()}" if hint is not None else ""))
        time.sleep(every_s)


def ask(file: Path, statement: str, wait_s: float = 30.0) -> list[tuple[Any, ...]]:
    """Rows of the live file, opened for this one question; tried again while the daemon writes."""
    end = time.monotonic() + wait_s
    while True:
        try:
            with duckdb.connect(str(file), read_only=True) as connection:
                return connection.execute(statement).fetchall()
        except duckdb.IOException:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


Rows = dict[tuple[str, str], str | None]


def stored(file: Path) -> Rows:
    """(source, id) -> text of every stored message; AssertionError when one stands there twice."""
    if not file.exists():
        return {}
    try:
        rows = ask(file, "SELECT source, id, text FROM messages")
    except duckdb.CatalogException:  # the daemon is about to make the tables
        return {}
    found: Rows = {(source, id_): text for source, id_, text in rows}
    assert len(found) == len(rows), "a message stands twice"
    return found


def differences(found: Rows, truth: Rows) -> dict[str, list[Any]]:
    """What is lost, foreign or wrong; empty lists where all is well."""
    return {
        "lost": sorted(truth.keys() - found.keys()),
        "foreign": sorted(found.keys() - truth.keys()),
        "wrong": sorted(
            (key, found[key], truth[key]) for key in found.keys() & truth.keys() if found[key] != truth[key]
        ),
    }


def wait_for_truth(daemon: Daemon, world: World, deadline_s: float, sources: tuple[str, ...] = ()) -> None:
    """Until everything that the world has to say was said and is stored, to the last character."""
    file = database(daemon.config)

    def hint() -> str:
        left = {
            kind: f"{len(items)} {items[:3]}"
            for kind, items in differences(stored(file), world.truth(*sources)).items()
        }
        return f"{left}\n{daemon.log[-3000:]}"

    until(world.all_shown, deadline_s, "the world has said everything")
    until(lambda: stored(file) == world.truth(*sources), deadline_s, "all is stored", 0.3, hint)


def wait_until_asked(daemon: Daemon, world: World, sources: tuple[str, ...], deadline_s: float = 30.0) -> None:
    """Until the daemon has asked each of these sources."""
    until(
        lambda: all(world.asked_of(source) for source in sources) or not daemon.running, deadline_s, "every source is asked", 0.05,
        lambda: daemon.log[-3000:],
    )  # fmt: skip
    assert daemon.running, daemon.log[-3000:]
