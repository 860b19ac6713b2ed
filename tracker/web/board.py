"""Where the tracker stands right now, as one snapshot; the part that lies in the database as last read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from pathlib import Path

from tracker.app import App
from tracker.errors import StoreError
from tracker.metrics import stream_health
from tracker.rows import StreamHealth
from tracker.store import Applied
from tracker.vitals import Vitals

FRESH_S = 15.0  # what was read of the database within this time is as good as new
PATIENCE_S = 1.0  # an answer waits so long for a new reading, then it takes the old one
READ_S = 0.5  # the reading itself waits so long for the file


@dataclass(frozen=True, slots=True)
class Counts:
    """What has been counted since the start, and what may still be asked."""

    polls: Mapping[tuple[str, str], int]  # (source, status)
    brought: Mapping[tuple[str, str], int]  # (source, what): fetched, messages, gaps
    committed: Applied  # messages
    limits: Mapping[str, float]  # scope -> seconds until it may be asked again
    budgets: Mapping[str, tuple[int, int]]  # pool -> (requests left, requests in its span)


class Board:
    """Looks at an ``App``; asks the database one question at a time, and nobody waits long for it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._health: tuple[StreamHealth, ...] | None = None
        self._read_at: float | None = None
        self._reading: asyncio.Task[None] | None = None

    async def vitals(self) -> Vitals:
        """Everything a judgement needs; at most ``PATIENCE_S`` seconds later."""
        await self._refresh()
        app, pulse, now = self._app, self._app.pulse, self._app.pulse.monotonic()
        free, short = app.disk()
        file = app.store.opening.path
        return Vitals(
            at=app.clock.now(),
            steady=now,
            up_s=now - pulse.since,
            stopping=app.stopping.is_set(),
            streams=tuple(replace(stream, name=shown(stream.name)) for stream in app.poller.streams),
            every_s={name: target.plan.pace.interval_s for name, target in app.poller.targets.items()},
            health=self._health,
            health_age_s=None if self._read_at is None else now - self._read_at,
            jobs=pulse.jobs,
            stuck=pulse.stuck(app.config.jobs.stuck_s),
            stall_s=pulse.stalls.worst_s(now),
            stall_most_s=pulse.stalls.most_s,
            waiting=app.store.waiting,
            waiting_bytes=app.store.journal.size,
            full=app.store.full,
            held_s=None if app.held_since is None else now - app.held_since,
            free_bytes=free,
            short_of_disk=short,
            file_bytes=_size(file),
            wal_bytes=_size(file.with_name(file.name + ".wal")),
        )

    def counts(self) -> Counts:
        poller = self._app.poller
        return Counts(
            dict(poller.polls), dict(poller.brought), self._app.store.committed, poller.limits(), poller.budgets()
        )

    async def _refresh(self) -> None:
        is_fresh = self._read_at is not None and self._app.pulse.monotonic() - self._read_at < FRESH_S
        if is_fresh or self._app.stopping.is_set():
            return
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await asyncio.wait((self._reading,), timeout=PATIENCE_S)

    async def _read(self) -> None:
        # somebody holds the file, or we are about to end: what was read before stands, and gets older
        with suppress(StoreError, RuntimeError):
            rows = await self._app.in_store(self._ask)
            self._health = tuple(replace(row, stream=shown(row.stream)) for row in rows)
            self._read_at = self._app.pulse.monotonic()

    def _ask(self) -> list[StreamHealth]:
        with self._app.store.reading(READ_S) as connection:
            return stream_health(connection)


def shown(stream: str) -> str:
    """A stream's name as others may see it: what stands behind the ? of an address may be a key, so a hash stands for it."""
    before, mark, query = stream.partition("?")
    return (
        stream if not mark else f"{before}?{blake2b(query.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"
    )


def seconds_since(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max(0.0, (now - moment).total_seconds())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
