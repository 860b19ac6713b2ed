"""The two clocks of a process: the wall for what is stored, a steady one for what is waited for."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """``now`` is the wall clock; ``steady`` starts with it and never steps, so waits survive a clock that is set."""

    def __init__(self) -> None:
        self._wall = datetime.now(UTC)
        self._started = time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def steady(self) -> datetime:
        return self._wall + timedelta(seconds=time.monotonic() - self._started)


class FixedClock(SystemClock):
    """Stands at one moment (``tracker once --now``); only durations go on."""

    def __init__(self, moment: datetime) -> None:
        super().__init__()
        self._moment = moment

    def now(self) -> datetime:
        return self._moment

    def steady(self) -> datetime:
        return self._moment


def floor_to(moment: datetime, seconds: float) -> datetime:
    """The last multiple of ``seconds`` (since 1970) at or before ``moment``."""
    stamp = moment.timestamp()
    return datetime.fromtimestamp(stamp - stamp % seconds, tz=UTC)
