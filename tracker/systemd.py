"""Words to the service manager: started, alive, ending. Without one nobody is told anything.

The protocol of ``sd_notify(3)``: one datagram of ``KEY=value`` lines to the socket that ``NOTIFY_SOCKET`` names (``@`` first
stands for an abstract one). ``WATCHDOG_USEC`` says how long we may stay silent before we are started anew.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Manager:
    """Whom to tell."""

    address: str | None  # of its socket; None: there is nobody
    watchdog_s: float | None  # longest silence that it bears; None: it does not watch

    def ready(self) -> None:
        self._say("READY=1")

    def stopping(self) -> None:
        self._say("STOPPING=1")

    def alive(self) -> None:
        if self.watchdog_s is not None:
            self._say("WATCHDOG=1")

    def status(self, text: str) -> None:
        self._say(f"STATUS={text.splitlines()[0] if text else ''}")

    def _say(self, words: str) -> None:
        if self.address is None:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.setblocking(False)  # a manager that does not listen costs us nothing
            to.sendto(words.encode(), "\0" + self.address[1:] if self.address.startswith("@") else self.address)


def manager(environ: Mapping[str, str] = os.environ, pid: int | None = None) -> Manager:
    """Whoever has started us, as the environment says."""
    address = environ.get("NOTIFY_SOCKET") or None
    is_ours = environ.get("WATCHDOG_PID", str(pid or os.getpid())) == str(pid or os.getpid())
    try:
        watchdog_s = int(environ.get("WATCHDOG_USEC", "0")) / 1e6
    except ValueError:
        watchdog_s = 0.0
    return Manager(address, watchdog_s if address and is_ours and watchdog_s > 0 else None)
