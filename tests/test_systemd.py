"""Words to a service manager, over a real datagram socket."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tracker.systemd import Manager, manager


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found:
        found.bind("\0" + address[1:] if address.startswith("@") else address)
        found.settimeout(5)
        yield found


@pytest.fixture
def place() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tracker-") as folder:  # such addresses are short
        yield str(Path(folder) / "notify")


@pytest.mark.parametrize("abstract", [False, True])
def test_each_word_is_one_datagram(place: str, abstract: bool) -> None:
    address = f"@{place}" if abstract else place
    with listening(address) as socket_:
        found = manager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000"})
        assert found.watchdog_s == 3.0
        found.ready()
        found.status("all is well\nREADY=1")
        found.alive()
        found.stopping()
        words = [socket_.recv(1000).decode() for _ in range(4)]
    assert words == ["READY=1", "STATUS=all is well", "WATCHDOG=1", "STOPPING=1"]


def test_without_a_manager_nobody_is_told(place: str) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": ""}, {"WATCHDOG_USEC": "3000000"}):
        assert manager(environ) == Manager(None, None)
    Manager(None, 3.0).alive()
    manager({"NOTIFY_SOCKET": place}).ready()  # nobody listens there: no error


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),  # meant for another process
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_or_nobodys(environ: dict[str, str], watchdog_s: float | None, place: str) -> None:
    assert manager({"NOTIFY_SOCKET": place, **environ}, pid=7).watchdog_s == watchdog_s


def test_a_manager_that_does_not_read_costs_no_time(place: str) -> None:
    with listening(place):
        found = Manager(place, 1.0)
        for _ in range(5000):  # far more than its queue holds
            found.alive()
