"""The real daemon in the hands of an operator: a service manager, health questions, a clock that is set, signals, limits."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

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
WEB = {"enabled": True, "port": 0}


class Driven(Daemon):
    """``tracker run`` by way of ``world_driver.py``."""

    def __init__(self, config: Path, *steps: float, given: Mapping[str, str] | None = None) -> None:
        super().__init__(config)
        self._steps, self._given = [str(step) for step in steps], dict(given or {})

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "tests" / "world_driver.py"), str(self.config), *self._steps],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.config.parent, env={**environment(), **self._given},
            )  # fmt: skip


def url_of(daemon: Daemon) -> str:
    until(lambda: "answers over HTTP" in daemon.log or not daemon.running, 30.0, "it answers", hint=lambda: daemon.log)
    found = re.search(r"url=\"?(http://[\d.:]+)", daemon.log)
    assert found is not None, daemon.log
    return found[1]


def health(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def whats(found: dict[str, Any]) -> set[tuple[str, str | None]]:
    return {(reason["what"], reason["about"]) for reason in found["reasons"]}


# ------------------------------------------------------------------------------------------------------- health


def test_one_dead_source_is_named_with_200_and_when_all_are_dead_it_is_503(tmp_path: Path) -> None:
    with World() as world, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and not listening
        world.publish(invent(5, time.time() - 9.0, 4.0, {"stocktwits": 40}))  # a source that shows nothing is silent
        urls = {**world.base_urls, "reddit": f"http://127.0.0.1:{closed.getsockname()[1]}"}
        config = write_config(tmp_path, urls, sources=SOURCES, changed={"web": WEB})
        with Daemon(config) as daemon:
            url = url_of(daemon)
            until(lambda: health(url)[1]["sources"] == {"up": ["stocktwits"], "out": ["reddit"], "unknown": []}, 40.0, "one is up", 0.5, lambda: str(health(url)))  # fmt: skip
            status, found = health(url)
            assert (status, found["status"]) == (200, "degraded")
            assert ("source", "reddit") in whats(found)
            assert daemon.stop() == 0
        (tmp_path / "second").mkdir()
        gone = f"http://127.0.0.1:{closed.getsockname()[1]}"
        config = write_config(tmp_path / "second", dict.fromkeys(SOURCES, gone), sources=SOURCES, changed={"web": WEB})
        with Daemon(config) as daemon:
            url = url_of(daemon)
            until(lambda: health(url)[0] == 503, 40.0, "it is down", 0.5, lambda: str(health(url)))
            assert ("sources", None) in whats(health(url)[1])
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.log


# ---------------------------------------------------------------------------------------------- a service manager


@contextmanager
def service_manager() -> Iterator[tuple[socket.socket, dict[str, str]]]:
    with (
        tempfile.TemporaryDirectory(prefix="tracker-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear,
    ):
        address = str(Path(folder) / "notify")
        ear.bind(address)
        ear.setblocking(False)
        yield ear, {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}


def heard(ear: socket.socket) -> list[str]:
    words = []
    while True:
        try:
            words.append(ear.recv(4000).decode())
        except BlockingIOError:
            return words


def test_a_service_manager_is_told_of_start_life_and_end_and_a_stuck_writer_is_not_called_alive(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=(), changed={"web": WEB, "jobs": {"stuck": "2s"}})
    with service_manager() as (ear, given):
        with Driven(config, given=given) as daemon:
            words: list[str] = []
            until(lambda: words.extend(heard(ear)) or words.count("WATCHDOG=1") >= 6, 40.0, "it lives", hint=lambda: daemon.log)  # fmt: skip
            assert words[0] == "READY=1"
            assert "started" in daemon.log
            assert any(re.fullmatch(r"STATUS=0 streams, 0 failing; \d+ batches wait", word) for word in words)
            assert health(url_of(daemon))[0] == 200
            daemon.process.send_signal(signal.SIGUSR2)
            until(lambda: "STATUS=stuck: flush" in heard(ear), 20.0, "it is stuck", hint=lambda: daemon.log)
            after: list[str] = []
            until(lambda: after.extend(heard(ear)) or after.count("STATUS=stuck: flush") >= 4, 20.0, "it says so")
            assert "WATCHDOG=1" not in after
            status, found = health(url_of(daemon))  # the loop turns, the writer does not
            assert status == 503
            assert ("writer", "flush") in whats(found)
            assert daemon.log.count("no sign of life") >= 1
            daemon.kill()  # what the manager does then
        heard(ear)
        with Driven(config, given=given) as daemon:
            words = []
            until(lambda: words.extend(heard(ear)) or "READY=1" in words, 40.0, "it is started anew")
            assert daemon.stop() == 0
            assert "STOPPING=1" in heard(ear)


def test_a_reader_who_stays_is_no_reason_to_start_anew(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=(), changed={"web": WEB, "jobs": {"stuck": "1s", "readings": "5m"}})
    tracker(config, "once", "rollup")
    with service_manager() as (ear, given), Driven(config, given=given) as daemon:
        url = url_of(daemon)
        holder = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "world_reader.py"), "hold", str(database(config))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            heard(ear)
            words: list[str] = []
            until(lambda: words.extend(heard(ear)) or words.count("WATCHDOG=1") >= 8, 20.0, "it lives on", hint=lambda: daemon.log)  # fmt: skip
            assert not any("stuck" in word for word in words)
            assert health(url)[0] == 200
        finally:
            holder.communicate("", timeout=10)
        assert daemon.stop() == 0


# ------------------------------------------------------------------------------------------------ the clock is set


def step_the_clock(daemon: Daemon, world: World, steps: int) -> None:
    """One step; everybody is asked on, as if nothing had happened."""
    daemon.process.send_signal(signal.SIGUSR1)
    stepped = time.time()
    until(lambda: daemon.log.count("the clock was set") == steps, 20.0, "it notices", hint=lambda: daemon.log)
    noticed = time.time()
    until(
        lambda: all(sum(asked.at > noticed for asked in world.asked_of(source)) >= 3 for source in SOURCES),
        10.0, "everybody is asked again and again", hint=lambda: daemon.log,
    )  # fmt: skip
    for source in SOURCES:
        at = [asked.at for asked in world.asked_of(source) if asked.at > stepped - 1.0]
        assert max(after - before for before, after in pairwise(at)) < 5.0, "somebody believed the clock"


def test_an_hour_back_and_two_forward_stop_nobody_and_double_nothing(tmp_path: Path) -> None:
    with World() as world:
        config = write_config(tmp_path, world.base_urls, sources=SOURCES)
        with Driven(config, -3600.0, 7200.0) as daemon:
            wait_until_asked(daemon, world, SOURCES)
            world.publish(invent(3, time.time() + 0.2, 3.0, {"stocktwits": 40, "reddit": 20}))  # type: ignore[arg-type]
            for steps in (1, 2):
                step_the_clock(daemon, world, steps)
            wait_for_truth(daemon, world, 30.0, SOURCES)
            assert daemon.stop() == 0
        assert "Traceback" not in daemon.log
    assert stored(database(config)) == world.truth(*SOURCES)
    doubled = ask(database(config), "SELECT symbol, bucket_start, bucket_width, source, count(*) FROM buckets GROUP BY ALL HAVING count(*) > 1")  # fmt: skip
    assert doubled == []
    assert tracker(config, "check", "--deep").returncode == 0


# ------------------------------------------------------------------------------------------------------- signals


def test_a_second_sigterm_changes_nothing(tmp_path: Path) -> None:
    with World() as world:
        config = write_config(tmp_path, world.base_urls, sources=SOURCES)
        with Daemon(config) as daemon:
            wait_until_asked(daemon, world, SOURCES)
            world.publish(invent(4, time.time(), 2.0, {"stocktwits": 40, "reddit": 20}))  # type: ignore[arg-type]
            until(lambda: stored(database(config)), 30.0, "something is stored", hint=lambda: daemon.log)
            asked = time.monotonic()
            for _ in range(5):
                daemon.process.send_signal(signal.SIGTERM)
            assert daemon.process.wait(5.0) == 0
            assert time.monotonic() - asked < 5.0
            assert daemon.log.count("stopped") == 1
            assert "Traceback" not in daemon.log
        assert tracker(config, "check", "--deep").returncode == 0
        with Daemon(config) as daemon:
            wait_for_truth(daemon, world, 30.0, SOURCES)
            assert daemon.stop() == 0


@pytest.mark.parametrize("delay_s", [0.0, 0.3, 0.8, 1.5])
def test_sigterm_during_the_start_is_an_orderly_end(delay_s: float, tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=(), changed={"web": WEB})
    with Daemon(config) as daemon:
        lock = tmp_path / "data" / "daemon.lock"
        until(lambda: lock.exists() or not daemon.running, 30.0, "it begins", 0.005, lambda: daemon.log)
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun >= delay_s, 5.0, "the moment has come", 0.01)
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(10.0) == 0, daemon.log
        assert "Traceback" not in daemon.log
    found = tracker(config, "once", "rollup")
    assert found.returncode == 0, found.stderr


# -------------------------------------------------------------------------------------------------------- limits


def test_too_few_file_descriptors_are_said_before_anything_is_touched(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=())
    found = subprocess.run(
        [sys.executable, "-m", "tracker", "--config", str(config), "run"],
        capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )  # fmt: skip
    assert found.returncode == 1
    assert found.stderr.count("\n") == 1
    assert "too few files may be open at a time: 64 are allowed, 144 are needed: raise LimitNOFILE=" in found.stderr
    assert not (tmp_path / "data").exists()


def test_a_low_soft_limit_is_raised_as_far_as_it_has_to_be(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=(), changed={"web": WEB})
    process = subprocess.Popen(
        [sys.executable, "-m", "tracker", "--config", str(config), "run"],
        stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 1024)),
    )  # fmt: skip
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "answers over HTTP" in line:
                break
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (144, 1024)
        assert len(os.listdir(f"/proc/{process.pid}/fd")) < 64  # noqa: PTH208
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert process.returncode == 0
