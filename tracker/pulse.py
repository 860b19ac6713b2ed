"""Signs of life: when each job last began and ended, and how long the event loop let others wait.

    pulse.began("flush") … pulse.ended("flush") ─► pulse.stuck(300) == ()      it lives
                                                   pulse.stuck(300) == ("…",)  only a restart helps

All waits are counted on a steady clock, so a wall clock that is set makes nobody look dead.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

WRITER = "flush"  # the job that has to succeed, not only to end: without it nothing is stored
LOOK_S = 0.1  # how often the loop is asked to be on time
STALL_SPAN_S = 60.0  # how long the worst delay is remembered


@dataclass(frozen=True, slots=True)
class JobPulse:
    """How one job does. Moments are seconds on the steady clock."""

    name: str
    every_s: float  # its interval
    deadline_s: float  # a run that takes longer is given up
    since: float  # on the timetable since
    began: float | None = None  # the run in hand; None: none is
    ended: float | None = None  # the last run, however it went
    succeeded: float | None = None  # the last run that went well
    runs: int = 0  # that have ended
    failures: int = 0  # of them went wrong
    in_a_row: int = 0  # failures since it last went well
    reason: str | None = None  # of the last failure, in words of ours

    def is_alive(self, now: float, stuck_s: float) -> bool:
        """False once a run should have ended long ago, or, for the writer, should have gone well."""
        if self.name == WRITER:
            return now - (self.succeeded if self.succeeded is not None else self.since) <= self.every_s + stuck_s
        last = self.ended if self.ended is not None else self.since
        return now - last <= self.every_s + self.deadline_s + stuck_s


class Stalls:
    """The worst delay of the loop within the last minute, and of all times."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()  # (when, seconds late), the worst first
        self.most_s = 0.0

    def late(self, now: float, seconds: float) -> None:
        while self._seen and self._seen[-1][1] <= seconds:
            self._seen.pop()
        self._seen.append((now, seconds))
        self.most_s = max(self.most_s, seconds)

    def worst_s(self, now: float) -> float:
        while self._seen and self._seen[0][0] < now - STALL_SPAN_S:
            self._seen.popleft()
        return self._seen[0][1] if self._seen else 0.0


class Pulse:
    """What the jobs and the loop have shown of themselves since the start."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self.since = monotonic()
        self.stalls = Stalls()
        self._jobs: dict[str, JobPulse] = {}

    @property
    def jobs(self) -> tuple[JobPulse, ...]:
        return tuple(self._jobs.values())

    def expect(self, name: str, every_s: float, deadline_s: float) -> None:
        """A job is on the timetable from now on."""
        self._jobs[name] = JobPulse(name, every_s, deadline_s, self.monotonic())

    def began(self, name: str) -> None:
        self._jobs[name] = replace(self._jobs[name], began=self.monotonic())

    def ended(self, name: str, failed: str | None = None) -> None:
        """A run is over; ``failed`` says why it went wrong."""
        now, job = self.monotonic(), self._jobs[name]
        job = replace(job, began=None, ended=now, runs=job.runs + 1)
        if failed is None:
            self._jobs[name] = replace(job, succeeded=now, in_a_row=0)
        else:
            self._jobs[name] = replace(job, failures=job.failures + 1, in_a_row=job.in_a_row + 1, reason=failed)

    def stuck(self, stuck_s: float) -> tuple[str, ...]:
        """Names of the jobs that give no sign of life any more."""
        now = self.monotonic()
        return tuple(job.name for job in self.jobs if not job.is_alive(now, stuck_s))
