"""What the rules would have told: all readings of the simulated clock, in order, in one go.

Nothing is remembered between two replays and nothing is sent. The dry alerts are a function of what is stored: after
another archive they are made again from the first moment on, so it does not matter in how many pieces it came.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from tracker import metrics
from tracker.alerts import SEVERITIES, Event, Facts, fold
from tracker.config_schema import AlertRule
from tracker.notify_rules import Ground, by_symbol, named_by, rows_of, symbols_of
from tracker.rows import Episode, Reading, Spike
from tracker.store import Connection
from tracker.store import alerts as outbox

_ALL = 10_000_000  # rows at most
_LIVE_ONLY = ("digest", "source_down")  # an archive has no clock for people and no source that could fail
_DAY, _WEEK = timedelta(days=1), timedelta(days=7)


def rehearse(connection: Connection, ground: Ground, now: datetime) -> list[Event]:
    """Every event of the simulated clock, by moment; the rows with status ``dry`` are those, and no others."""
    moments = outbox.replayed_moments(connection)
    rules = [rule for rule in ground.alerts.rules.values() if rule.when not in _LIVE_ONLY]
    told: list[tuple[AlertRule, Event]] = []
    if moments:
        step = min((later - earlier for earlier, later in pairwise(moments)), default=_DAY)
        seen = _Seen(connection, ground, rules, moments, step)
        for rule in rules:
            for facts in seen.of(rule):
                told.extend((rule, event) for event in fold(rule, None, facts)[1])
    told.sort(key=lambda one: (one[1].at, one[0].name, one[1].symbol))
    rows = [row for rule, event in told for row in rows_of(rule, event, ground, now, "", "dry")]
    outbox.replace_dry(connection, rows)
    return [event for _, event in told]


class _Seen:
    """What is stored of all moments, read in bulk."""

    def __init__(
        self,
        connection: Connection,
        ground: Ground,
        rules: Sequence[AlertRule],
        moments: Sequence[datetime],
        step: timedelta,
    ) -> None:
        self._ground, self._moments, self._step = ground, moments, step
        self._place = {moment: number for number, moment in enumerate(moments)}
        looking = [rule for rule in rules if rule.when != "spike"]
        named = named_by(looking, ground)
        self._readings: dict[tuple[str, str], list[Reading]] = defaultdict(list)
        if looking:
            for reading in outbox.replayed_readings(connection, sorted({rule.window.name for rule in looking}), named):
                self._readings[reading.window_name, reading.symbol].append(reading)
        self._episodes: dict[str, list[Episode]] = {}
        self._spikes: dict[str, list[Spike]] = defaultdict(list)
        spiking = [rule for rule in rules if rule.when == "spike"]
        if spiking:
            since, until = moments[0] - 2 * _DAY, moments[-1]
            self._episodes = by_symbol(metrics.episodes(connection, since, until, limit=_ALL))
            for spike in metrics.spikes(connection, since, until, limit=_ALL):
                self._spikes[spike.symbol].append(spike)

    def of(self, rule: AlertRule) -> Iterator[list[Facts]]:
        """The facts of each symbol that a rule is about, oldest first."""
        wanted = symbols_of(rule, self._ground)
        if rule.when == "spike":
            for symbol, episodes in self._episodes.items():
                if wanted is None or symbol in wanted:
                    yield list(self._of_spikes(symbol, episodes))
            return
        for (window, symbol), readings in self._readings.items():
            if window == rule.window.name and (wanted is None or symbol in wanted):
                yield [replace(self._blank(symbol, self._place[reading.at]), reading=reading) for reading in readings]

    def _blank(self, symbol: str, number: int) -> Facts:
        previous = self._moments[number - 1] if number else None
        return Facts(symbol, self._moments[number], previous, self._step, self._ground.bands)

    def _of_spikes(self, symbol: str, episodes: Sequence[Episode]) -> Iterator[Facts]:
        """Only the moments at which something can be seen for the first time: a bucket is over, or an episode."""
        known: list[tuple[datetime, Episode]] = []  # (from when on it is seen so, how)
        for episode in episodes:
            known.extend((part.end_at, part) for part in growing(episode, self._spikes[symbol]))
        known.sort(key=lambda one: one[0])
        starts = [since for since, _ in known]
        edges = {edge for since, part in known for edge in (since, part.over_at)}
        numbers = {bisect_left(self._moments, edge) for edge in edges} - {len(self._moments)}
        for number in sorted(numbers):
            facts = self._blank(symbol, number)
            now: dict[tuple[timedelta, str, datetime], Episode] = {}
            # whatever goes on, or was over a short time ago, was last seen growing within the last week
            for _, part in known[bisect_left(starts, facts.at - _WEEK) : bisect_right(starts, facts.at)]:
                now[part.bucket_width, part.kind, part.start_at] = part
            yield replace(facts, episodes=tuple(now.values()))


def growing(episode: Episode, spikes: Sequence[Spike]) -> Iterator[Episode]:
    """An episode as it was known at the end of each of its buckets."""
    width = episode.bucket_width
    mine = sorted(
        (
            spike
            for spike in spikes
            if spike.bucket_width == width and spike.kind == episode.kind
            and episode.start_at <= spike.bucket_start < episode.end_at
        ),
        key=lambda spike: spike.bucket_start,
    )  # fmt: skip
    for many in range(1, len(mine) + 1):
        part = mine[:many]
        peak = max(part, key=lambda spike: (spike.z, -spike.bucket_start.timestamp()))
        ranks = [SEVERITIES.index(spike.severity) for spike in part]
        rose = next(
            (spike.bucket_start + width for spike, rank in zip(part, ranks, strict=True) if rank > ranks[0]), None
        )
        end_at = part[-1].bucket_start + width
        yield replace(
            episode, end_at=end_at, over_at=episode.over_at if many == len(mine) else end_at + 2 * width, buckets=many,
            messages=sum(spike.messages for spike in part), organic=sum(spike.organic for spike in part),
            authors=max(spike.authors for spike in part), expected=sum(spike.expected for spike in part), peak_z=peak.z,
            peak_start=peak.bucket_start, severity=SEVERITIES[max(ranks)], first_severity=part[0].severity, rose_at=rose,
            top_terms=peak.top_terms,
        )  # fmt: skip
