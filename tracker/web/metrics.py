"""``/metrics``: the snapshot in Prometheus' text format. Pure, but for the memory of the process.

Every name, and the value that should worry, stands in docs/operating.md; a test holds the two together.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TypeVar

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from tracker import __version__
from tracker.alerts import works
from tracker.vitals import Judgement, Vitals, current
from tracker.web.board import Counts, seconds_since

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
K = TypeVar("K", bound=tuple[str, ...])
_STATUS = {"ok": 0, "degraded": 1, "down": 2}


class _Snapshot(Collector):
    """What was measured already, for a registry."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def exposition(vitals: Vitals, found: Judgement, counts: Counts) -> str:
    """The whole answer."""
    registry = CollectorRegistry()
    registry.register(_Snapshot([*_whole(vitals, found), *_streams(vitals, found), *_storage(vitals), *_jobs(vitals), *_counted(counts)]))  # fmt: skip
    ProcessCollector(registry=registry)
    return generate_latest(registry).decode("utf-8")


def _gauge(name: str, help_: str, values: Mapping[K, float | None], *labels: str) -> Metric:
    """One family; what is not known has no line."""
    family = GaugeMetricFamily(f"tracker_{name}", help_, labels=labels)
    for key, value in values.items():
        if value is not None:
            family.add_metric(list(key), value)
    return family


def _counter(name: str, help_: str, values: Mapping[K, float], *labels: str) -> Metric:
    family = CounterMetricFamily(f"tracker_{name}", help_, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family


def _whole(vitals: Vitals, found: Judgement) -> Iterator[Metric]:
    build = {"version": __version__, "python": platform.python_version(), "duckdb": version("duckdb")}
    yield InfoMetricFamily("tracker_build", "What is running.", value=build)
    yield _gauge("status", "0 ok, 1 degraded, 2 down, as /health says.", {(): _STATUS[found.status]})
    yield _gauge("up_seconds", "Since the process began.", {(): vitals.up_s})
    yield _gauge("loop_stall_seconds", "Worst delay of the event loop within the last minute.", {(): vitals.stall_s})
    yield _gauge("loop_stall_max_seconds", "Worst delay of the event loop since the start.", {(): vitals.stall_most_s})


def _streams(vitals: Vitals, found: Judgement) -> Iterator[Metric]:
    of = ("source", "stream")
    success = {s.key: seconds_since(s.last_success_at, vitals.at) for s in vitals.streams}
    message = {s.key: seconds_since(s.last_message_at, vitals.at) for s in vitals.streams}
    rows = [row for rows in current(vitals).values() for row in rows]
    ups = {(row.source, row.stream): works([row], vitals.at, vitals.every_s.get(row.source, 0.0)) for row in rows}
    sources = {**dict.fromkeys(found.up, 1), **dict.fromkeys(found.out, 0)}
    yield _gauge("source_up", "1 if a source answers, 0 if not; no line while unknown.", {(name,): up for name, up in sources.items()}, "source")  # fmt: skip
    yield _gauge("stream_up", "1 if a stream answers, 0 if not; no line while unknown.", ups, *of)
    yield _gauge("stream_last_success_age_seconds", "Since the last poll that worked.", success, *of)
    yield _gauge("stream_last_message_age_seconds", "Since the newest message was written.", message, *of)
    yield _gauge("stream_failures", "Failed polls in a row.", {s.key: s.failures for s in vitals.streams}, *of)
    yield _gauge("stream_gaps", "Spans that are known to be lost, as stored.", {(r.source, r.stream): r.gaps for r in rows}, *of)  # fmt: skip


def _storage(vitals: Vitals) -> Iterator[Metric]:
    yield _gauge("journal_batches", "Polls whose harvest waits for the database.", {(): vitals.waiting})
    yield _gauge("journal_bytes", "Size of the journal.", {(): vitals.waiting_bytes})
    yield _gauge("polling_paused", "1 while nobody is asked: the journal or the disk is full.", {(): vitals.full or vitals.short_of_disk})  # fmt: skip
    yield _gauge("database_bytes", "Size of the database file.", {(): vitals.file_bytes})
    yield _gauge("wal_bytes", "Size of the database's write-ahead log.", {(): vitals.wal_bytes})
    yield _gauge("database_held_seconds", "So long somebody else has held the file; 0: nobody does.", {(): vitals.held_s or 0.0})  # fmt: skip
    yield _gauge("database_read_age_seconds", "Since what comes from the database was read.", {(): vitals.health_age_s})
    yield _gauge("disk_free_bytes", "On the disk of the data folder.", {(): vitals.free_bytes})


def _jobs(vitals: Vitals) -> Iterator[Metric]:
    ages = {(job.name,): None if job.succeeded is None else vitals.steady - job.succeeded for job in vitals.jobs}
    yield _gauge("job_last_success_age_seconds", "Since a job last went well.", ages, "job")
    yield _gauge("job_stuck", "1 if a job gives no sign of life.", {(job.name,): job.name in vitals.stuck for job in vitals.jobs}, "job")  # fmt: skip
    yield _counter("job_runs", "Runs that have ended.", {(job.name,): job.runs for job in vitals.jobs}, "job")
    yield _counter("job_failures", "Runs that went wrong.", {(job.name,): job.failures for job in vitals.jobs}, "job")


def _counted(counts: Counts) -> Iterator[Metric]:
    yield _counter("polls", "Polls that have ended, by how.", counts.polls, "source", "status")
    for what, name, help_ in (
        ("fetched", "items_fetched", "Items that sources have shown."),
        ("messages", "messages_kept", "Messages put into the journal, known ones included."),
        ("gaps", "gaps", "Spans of messages lost since the start."),
    ):
        found = {(source,): count for (source, kind), count in counts.brought.items() if kind == what}
        yield _counter(name, help_, found, "source")
    yield _counter("messages_added", "Messages that are new in the database.", {(): counts.committed.added})
    yield _counter("messages_updated", "Messages in the database that changed.", {(): counts.committed.updated})
    yield _gauge("limit_seconds", "So long a server still does not want to be asked.", {(scope,): wait for scope, wait in counts.limits.items()}, "scope")  # fmt: skip
    yield _gauge("budget_left", "Requests that may go out now.", {(pool,): left for pool, (left, _) in counts.budgets.items()}, "pool")  # fmt: skip
    yield _gauge("budget_requests", "Requests that a budget allows in its span.", {(pool,): most for pool, (_, most) in counts.budgets.items()}, "pool")  # fmt: skip
