"""Where spikes run on: episodes are what a simple loop over the spikes says, and what was known of them stays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from test_metric_laws import EXAMPLES, tried
from worlds import DAY, HOUR, MINUTE, START, fresh_database

from tracker import metrics
from tracker.rows import Episode
from tracker.store.connect import Connection, naive_utc

EVERYTHING = 1000  # rows: more than any test makes
STEPS = {"notable": 1, "high": 2, "extreme": 3}


def spike(symbol: str, width: timedelta, start: datetime, **more: Any) -> dict[str, Any]:
    usual = {
        "messages": 20, "organic": 20, "authors": 9, "texts": 20, "expected": 1.0, "z": 4.0, "p_value": 0.0, "severity": "notable",
        "kind": "organic", "found_at": start + width, "top_terms": None,
    }  # fmt: skip
    return {"symbol": symbol, "bucket_width": width, "bucket_start": start, **usual, **more}


def store_spikes(connection: Connection, spikes: Sequence[dict[str, Any]]) -> None:
    connection.execute("DELETE FROM spikes")
    for one in spikes:
        values = [naive_utc(value) if isinstance(value, datetime) else value for value in one.values()]
        connection.execute(f"INSERT INTO spikes ({', '.join(one)}) VALUES ({', '.join('?' for _ in one)})", values)


def episodes_by_hand(spikes: Sequence[dict[str, Any]], since: datetime, until: datetime) -> list[list[dict[str, Any]]]:
    """Runs of spikes, by one loop over them in their order."""
    known = [
        one
        for one in spikes
        if one["bucket_start"] < until
        and (one["bucket_start"] + one["bucket_width"] <= until or one["found_at"] <= until)
    ]
    runs: list[list[dict[str, Any]]] = []
    for one in sorted(known, key=lambda s: (s["symbol"], s["bucket_width"], s["kind"], s["bucket_start"])):
        last = runs[-1][-1] if runs else None
        goes_on = (
            last is not None
            and all(last[name] == one[name] for name in ("symbol", "bucket_width", "kind"))
            and (one["bucket_start"] - last["bucket_start"]) // one["bucket_width"] <= 2
        )
        if goes_on:
            runs[-1].append(one)
        else:
            runs.append([one])
    return [run for run in runs if run[-1]["bucket_start"] + run[-1]["bucket_width"] > since]


def told_by_hand(run: Sequence[dict[str, Any]]) -> Episode:
    peak = max(run, key=lambda s: (s["z"], -s["bucket_start"].timestamp()))
    width, first = run[0]["bucket_width"], run[0]
    end_at = run[-1]["bucket_start"] + width
    rose = [s["bucket_start"] + width for s in run if STEPS[s["severity"]] > STEPS[first["severity"]]]
    return Episode(
        symbol=first["symbol"], bucket_width=width, kind=first["kind"], start_at=first["bucket_start"], end_at=end_at,
        over_at=end_at + 2 * width, buckets=len(run), messages=sum(s["messages"] for s in run),
        organic=sum(s["organic"] for s in run), authors=max(s["authors"] for s in run), expected=sum(s["expected"] for s in run),
        peak_z=peak["z"], peak_start=peak["bucket_start"], severity=peak["severity"], first_severity=first["severity"],
        rose_at=rose[0] if rose else None, top_terms=peak["top_terms"], found_at=max(s["found_at"] for s in run),
    )  # fmt: skip


@st.composite
def spike_lists(draw: st.DrawFn) -> list[dict[str, Any]]:
    places = st.tuples(st.sampled_from(["AAA", "BBB"]), st.sampled_from([5 * MINUTE, HOUR, DAY]), st.integers(0, 12))
    found = []
    for symbol, width, number in draw(st.sets(places, max_size=25)):
        start = START + number * width
        z = draw(st.sampled_from([3.0, 4.0, 5.0, 8.0, 9.5]))
        found.append(
            spike(
                symbol, width, start, z=z, severity="extreme" if z >= 8 else "high" if z >= 5 else "notable",
                kind=draw(st.sampled_from(["organic", "organic", "copied"])), messages=draw(st.integers(10, 40)),
                authors=draw(st.integers(5, 9)), expected=float(draw(st.integers(1, 4))),
                found_at=start + draw(st.sampled_from([MINUTE, width, width + HOUR, 3 * DAY])),
                top_terms=draw(st.sampled_from([None, ["one"], ["two", "three"]])),
            )
        )  # fmt: skip
    return found


@tried(EXAMPLES // 2, shrink=True)
@given(spike_lists(), st.integers(0, 40), st.integers(0, 200))
def test_episodes_are_what_a_simple_loop_says(spikes: list[dict[str, Any]], begin: int, length: int) -> None:
    connection = fresh_database()
    store_spikes(connection, spikes)
    since = START + begin * 30 * MINUTE
    until = since + length * 20 * MINUTE
    found = metrics.episodes(connection, since, until, limit=EVERYTHING)
    wanted = [told_by_hand(run) for run in episodes_by_hand(spikes, since, until)]

    def place(one: Episode) -> tuple[Any, ...]:
        return (one.symbol, one.bucket_width, one.kind, one.start_at)

    assert sorted(found, key=place) == sorted(wanted, key=place)


@tried(EXAMPLES // 5, shrink=True)
@given(spike_lists(), st.integers(0, 300))
def test_every_known_spike_is_in_one_episode_and_later_ones_change_none_before(
    spikes: list[dict[str, Any]], hours: int
) -> None:
    """What is over and can't go on stays as it was told."""
    connection = fresh_database()
    until = START + hours * HOUR
    store_spikes(connection, [one for one in spikes if one["found_at"] <= until])
    before = metrics.episodes(connection, START, until, limit=EVERYTHING)
    known = [one for one in spikes if one["found_at"] <= until and one["bucket_start"] < until]
    assert sum(one.buckets for one in before) == len(known)
    store_spikes(connection, [one for one in spikes if one["found_at"] <= until or one["bucket_start"] >= until])
    assert metrics.episodes(connection, START, until, limit=EVERYTHING) == before
    later = metrics.episodes(connection, START, until + 100 * DAY, limit=EVERYTHING)
    assert all(one in later for one in before if one.over_at <= until)
