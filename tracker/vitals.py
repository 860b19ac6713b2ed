"""How the tracker does as a whole: one snapshot of it, and what to make of that. Pure, no clock.

    down        nothing is brought or nothing is stored: somebody has to come (503)
    degraded    it works, and something that is named does not (200)
    ok          all is well (200)

Whether a source works is judged as the alerts judge it, so nobody is told two different things.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from tracker.alerts import works
from tracker.models import Stream
from tracker.pulse import WRITER, JobPulse
from tracker.rows import StreamHealth

Status = Literal["ok", "degraded", "down"]

STALL_S = 1.0  # a loop that lets others wait longer than this is worth a word
OLD_S = 120.0  # the same for what was last read of the database


@dataclass(frozen=True, slots=True)
class Vitals:
    """Everything that a judgement needs, as it was at one moment."""

    at: datetime  # wall clock
    steady: float  # seconds on the steady clock
    up_s: float  # since the process began
    stopping: bool
    streams: tuple[Stream, ...]  # as the poller knows them
    every_s: Mapping[str, float]  # source -> seconds between two polls
    health: tuple[StreamHealth, ...] | None  # as last read of the database; None: not read yet
    health_age_s: float | None  # seconds since then
    jobs: tuple[JobPulse, ...]
    stuck: tuple[str, ...]  # jobs without a sign of life
    stall_s: float  # worst delay of the loop in the last minute
    stall_most_s: float  # and since the start
    waiting: int  # batches in the journal that the tables do not hold yet
    waiting_bytes: int  # size of the journal
    full: bool  # the journal has reached its limit: polling pauses
    held_s: float | None  # so long somebody else has held the database; None: nobody does
    free_bytes: int  # on the disk of the data folder
    short_of_disk: bool  # too few: polling pauses
    file_bytes: int  # of the database
    wal_bytes: int  # of its write-ahead log


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is not as it should be."""

    what: str  # a word for machines: writer, journal, disk, sources, source, stream, job, loop, database, stopping
    about: str | None  # its name, where there is more than one
    says: str  # for people, in our words only
    down: bool = False  # the whole does not do its work


@dataclass(frozen=True, slots=True)
class Judgement:
    """What ``/health`` answers."""

    status: Status
    reasons: tuple[Reason, ...]
    up: tuple[str, ...]  # sources that answer
    out: tuple[str, ...]  # sources that don't
    unknown: tuple[str, ...]  # not asked yet, or failing for a short time only


def judge(vitals: Vitals) -> Judgement:
    """Down only where the whole can't do its work; a single dead source is named and costs nothing more."""
    by_source = current(vitals)
    verdicts = {name: works(rows, vitals.at, vitals.every_s.get(name, 0.0)) for name, rows in by_source.items()}
    up = tuple(name for name, found in verdicts.items() if found is True)
    out = tuple(name for name, found in verdicts.items() if found is False)
    unknown = tuple(name for name, found in verdicts.items() if found is None)
    reasons = [*_of_storing(vitals), *_of_jobs(vitals)]
    if out and not up and not unknown:
        reasons.append(Reason("sources", None, "no source answers", down=True))
    reasons += [Reason("source", name, _words(by_source[name])) for name in out]
    reasons += [
        Reason("stream", f"{row.source} {row.stream}", _words([row]))
        for name in (*up, *unknown)
        for row in by_source[name]
        if works([row], vitals.at, vitals.every_s.get(name, 0.0)) is False
    ]
    if vitals.stall_s > STALL_S:
        says = f"the loop let others wait {vitals.stall_s:.1f} s within the last minute"
        reasons.append(Reason("loop", None, says))
    down = any(reason.down for reason in reasons)
    return Judgement("down" if down else "degraded" if reasons else "ok", tuple(reasons), up, out, unknown)


def current(vitals: Vitals) -> dict[str, list[StreamHealth]]:
    """Source -> its streams that are on: what was read of the database, with what has happened in memory since."""
    known = {stream.key: stream for stream in vitals.streams}
    found: dict[str, list[StreamHealth]] = {source: [] for source, _ in known}
    for row in vitals.health or ():
        stream = known.get((row.source, row.stream))
        if stream is not None:
            fresh = replace(
                row, failures=stream.failures, last_success_at=stream.last_success_at, last_message_at=stream.last_message_at
            )  # fmt: skip
            found[row.source].append(fresh)
    return found


def _of_storing(vitals: Vitals) -> list[Reason]:
    found = []
    if vitals.stopping:
        found.append(Reason("stopping", None, "the tracker is about to end", down=True))
    if vitals.full:
        found.append(Reason("journal", None, "the journal is full and the database can't be written: polling pauses", down=True))  # fmt: skip
    if vitals.short_of_disk:
        found.append(Reason("disk", None, f"{vitals.free_bytes:,} bytes are free: polling pauses", down=True))
    if vitals.held_s is not None:
        says = (
            f"somebody else has held the file for {vitals.held_s:.0f} s; {vitals.waiting} batches wait in the journal"
        )
        found.append(Reason("database", None, says))
    elif vitals.health_age_s is not None and vitals.health_age_s > OLD_S:
        found.append(Reason("database", None, f"it was last read {vitals.health_age_s:.0f} s ago"))
    return found


def _of_jobs(vitals: Vitals) -> list[Reason]:
    found = []
    for job in vitals.jobs:
        if job.name in vitals.stuck:
            last = job.succeeded if job.name == WRITER else job.ended
            ago = vitals.steady - (job.since if last is None else last)
            what = "writer" if job.name == WRITER else "job"
            says = f"nothing was committed for {ago:.0f} s" if what == "writer" else f"no run has ended for {ago:.0f} s"
            found.append(Reason(what, job.name, says, down=job.name in (WRITER, "poll")))
        elif job.in_a_row:
            times = f"{job.in_a_row} times in a row" if job.in_a_row > 1 else "once"
            found.append(Reason("job", job.name, f"it failed {times}: {job.reason}"))
    return found


def _words(rows: Iterable[StreamHealth]) -> str:
    """``denied (r/stocks, r/pondtalk), silent (…)``: no words of a server, they may be anybody's."""
    by_status: dict[str, list[str]] = {}
    for row in rows:
        by_status.setdefault(row.status or "not asked", []).append(row.stream)
    return ", ".join(f"{status} ({', '.join(streams)})" for status, streams in sorted(by_status.items()))
