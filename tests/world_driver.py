"""``tracker run`` with what an operator or a broken disk does to it: run as a script, driven by signals.

world_driver.py CONFIG [STEP_S…]      SIGUSR1: the wall clock steps by the next number of seconds, all steady clocks go on
                                      SIGUSR2: whoever writes from now on hangs for ever, as on a disk that is gone
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Any

import time_machine

from tracker.cli import main
from tracker.store import Store

steps = [float(step) for step in sys.argv[2:]]
travels: list[Any] = []


def step(*_: object) -> None:
    to = time.time() + steps.pop(0)
    while travels:
        travels.pop().stop()
    travels.append(time_machine.travel(to, tick=True))
    travels[-1].start()


def hang(*_: object) -> None:
    def for_ever(*_: object, **__: object) -> None:
        threading.Event().wait()

    Store.writing = for_ever  # type: ignore[method-assign, assignment]
    Store.flush = for_ever  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, step)
    signal.signal(signal.SIGUSR2, hang)
    main(["--config", sys.argv[1], "run"])
