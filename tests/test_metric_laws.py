"""Laws of the metrics, on worlds made by chance; above all: the SQL says what an independent oracle says.

The environment variable TRACKER_EXAMPLES scales how many worlds are tried: with the default of 100 the oracle is
asked about 50, each at four moments; the costly laws get a share. TRACKER_LAWS=N tries every law, here and in
test_rollup, on N worlds. Worlds share a database without seeing each other (many_worlds), some 20 at a time, so
2,000 of them take minutes a law: ``TRACKER_LAWS=2000 pytest tests/test_metric_laws.py tests/test_rollup.py``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from many_worlds import (
    DENSE,
    EXAMPLES,
    FRACTIONS,
    SMALL,
    SPARSE,
    long_ago,
    readings_of,
    settle,
    take,
    together,
    tried,
    tried_on_worlds,
)
from oracle import Oracle
from worlds import DAY, HOUR, MINUTE, START, Recipe, Said, World, batch_of, commit, fresh_database, make, rows, tell

from tracker.models import Stance
from tracker.store import derive
from tracker.store.connect import Connection, aware_utc, naive_utc

OPPOSITE: dict[int, Stance] = {1: -1, 0: 0, -1: 1}
RATIOS = (
    "bullish_ratio",
    "bullish_ratio_low",
    "bullish_ratio_high",
    "labelled_ratio",
    "share_of_voice",
    "dispersion",
    "copied_ratio",
)
OF_OPINIONS = ("bullish_ratio", "bullish_ratio_low", "bullish_ratio_high", "bullishness", "agreement")
SENTIMENT = (
    "bullish",
    "bearish",
    "neutral",
    "bullish_ratio",
    "bullishness",
    "agreement",
    "tone_mean",
    "tone_sd",
    "sentiment_z",
    "sentiment_z_own",
    "sentiment_score",
)
ORGANIC = (
    "organic",
    *SENTIMENT,
    "sentiment_label",
    "expected",
    "volume_z",
    "volume_score",
    "volume_label",
    "buzz",
    "buzz_rank",
)


def spikes(connection: Connection) -> dict[tuple[str, timedelta, datetime | None], dict[str, Any]]:
    names = [row[0] for row in rows(connection, "DESCRIBE spikes")]
    found = {}
    for row in rows(connection, "FROM spikes"):
        spike = dict(zip(names, row, strict=True))
        del spike["top_terms"]
        spike["found_at"] = aware_utc(spike["found_at"])
        found[spike.pop("symbol"), spike.pop("bucket_width"), aware_utc(spike.pop("bucket_start"))] = spike
    return found


def close(found: Any, wanted: Any) -> bool:
    if isinstance(found, float) and isinstance(wanted, int | float):
        return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9)
    return bool(found == wanted)


def differences(found: dict[Any, dict[str, Any]], wanted: dict[Any, dict[str, Any]]) -> list[str]:
    report = [f"only one side has {key}" for key in found.keys() ^ wanted.keys()]
    for key in found.keys() & wanted.keys():
        assert found[key].keys() == wanted[key].keys()
        report += [
            f"{key} {name}: {value} is not {wanted[key][name]}"
            for name, value in found[key].items()
            if not close(value, wanted[key][name])
        ]
    return report


# ---------------------------------------------------------------------------------------------- beside the oracle


def _agree(drawn: list[tuple[Recipe, list[float]]]) -> None:
    worlds = settle(recipe for recipe, _ in drawn)
    connection = fresh_database()
    tell(connection, together(one.world for one in worlds))
    moments = {one.name: one.moments(fractions) for one, (_, fractions) in zip(worlds, drawn, strict=True)}
    found, found_spikes = readings_of(connection, moments), spikes(connection)
    for one in worlds:
        oracle = Oracle(one.known)
        wanted = {(at, *key): reading for at in moments[one.name] for key, reading in oracle.readings(at).items()}
        assert differences(found[one.name], wanted) == [], f"{one.name}, {one.recipe}, at {moments[one.name]}"
        mine = {key: spike for key, spike in found_spikes.items() if key[0].startswith(f"{one.name}.")}
        assert differences(mine, oracle.spikes()) == [], f"{one.name}, {one.recipe}"


@tried_on_worlds(EXAMPLES // 2, SPARSE, FRACTIONS)
def test_readings_and_spikes_agree_with_the_oracle(drawn: list[tuple[Recipe, list[float]]]) -> None:
    _agree(drawn)


@tried_on_worlds(EXAMPLES // 33, DENSE, FRACTIONS)
def test_readings_and_spikes_agree_with_the_oracle_when_the_habit_is_stored(
    drawn: list[tuple[Recipe, list[float]]],
) -> None:
    _agree(drawn)


def test_the_oracle_is_asked_about_what_matters() -> None:
    """The worlds above reach every baseline, label and kind of spike: an oracle asked only about nothing proves nothing."""
    connection = fresh_database()
    recipe = Recipe(3, days=20, symbols=25, messages=2200, wordings=3000, opinionated=0.95, bursts=3)
    world = make(recipe)
    tell(connection, world)
    found = take(connection, [recipe.start + 12 * DAY + 5 * MINUTE, recipe.end])
    assert {reading["baseline"] for reading in found.values()} >= {"default", "own"}
    assert len({reading["sentiment_label"] for reading in found.values()}) >= 5
    assert all(
        any(reading[name] is not None for reading in found.values())
        for name in (*ORGANIC, "volume_change", "buzz_rank_before")
    )
    assert {width for _, width, _ in spikes(connection)} == {5 * MINUTE, HOUR, DAY}


@tried_on_worlds(EXAMPLES // 10, SMALL, st.sampled_from([5 * MINUTE, HOUR, DAY]))
def test_message_volume_agrees_with_the_oracle(drawn: list[tuple[Recipe, timedelta]]) -> None:
    worlds = settle(recipe for recipe, _ in drawn)
    connection = fresh_database()
    tell(connection, together(one.world for one in worlds))
    for one, (_, width) in zip(worlds, drawn, strict=True):
        since, until = one.start + HOUR + 7 * MINUTE, one.start + 26 * HOUR
        found = rows(
            connection,
            "SELECT bucket_start, messages, up FROM message_volume($1, $2, $3, $4)",
            one.place.own("S0"),
            naive_utc(since),
            naive_utc(until),
            width,
        )
        assert {aware_utc(start): messages for start, messages, _ in found} == Oracle(one.world).message_volume(
            one.place.own("S0"), since, until, width
        ), f"{one.name}, {one.recipe}, {width}"
        assert all(0 <= up <= 1 for _, _, up in found), f"{one.name}, {one.recipe}, {width}"


# ---------------------------------------------------------------------------------------------- scalar formulas

COUNTS = st.integers(0, 10**6)


def scalars(bulls: int, bears: int) -> tuple[Any, ...]:
    query = (
        "SELECT ratio_of($1, $2), wilson_low($1, $2), wilson_high($1, $2), bullishness_of($1, $2), agreement_of($1, $2)"
    )
    return rows(fresh_database(), query, bulls, bears)[0]


@tried(EXAMPLES // 2, shrink=True)
@given(COUNTS, COUNTS)
def test_ratios_keep_their_bounds_and_nobody_means_null(bulls: int, bears: int) -> None:
    ratio, low, high, bullishness, agreement = scalars(bulls, bears)
    if bulls + bears == 0:
        assert (ratio, low, high, bullishness, agreement) == (None,) * 5
    else:
        assert 0 <= low <= ratio <= high <= 1
        assert 0 <= agreement <= 1
        assert (bullishness > 0) == (bulls > bears)


@tried(EXAMPLES // 2, shrink=True)
@given(COUNTS, COUNTS)
def test_swapping_bulls_and_bears_mirrors(bulls: int, bears: int) -> None:
    one, other = scalars(bulls, bears), scalars(bears, bulls)
    if bulls + bears:
        assert one[0] == pytest.approx(1 - other[0], abs=1e-12)
        assert one[1] == pytest.approx(1 - other[2], abs=1e-12)
        assert one[3] == pytest.approx(-other[3], abs=1e-12)
        assert one[4] == pytest.approx(other[4], abs=1e-12)


@tried(EXAMPLES // 2, shrink=True)
@given(st.integers(0, 50), st.integers(0, 50), st.floats(0.05, 0.95), st.integers(2, 9))
def test_more_of_the_same_evidence_moves_away_from_the_habit(bulls: int, bears: int, habit: float, times: int) -> None:
    query = "SELECT shrunken_log_odds($1, $2, $3::DOUBLE, 4) - logit($3::DOUBLE)"
    connection = fresh_database()
    (once,), (often,) = (
        rows(connection, query, bulls, bears, habit)[0],
        rows(connection, query, bulls * times, bears * times, habit)[0],
    )
    lean = bulls * (1 - habit) - bears * habit
    assert abs(often) >= abs(once) - 1e-12
    assert abs(lean) < 1e-9 or (once > 0) == (lean > 0) == (often > 0)


@tried(EXAMPLES // 2, shrink=True)
@given(st.floats(-40, 40))
def test_normal_distribution_is_exact_and_symmetric(z: float) -> None:
    connection = fresh_database()
    below, above = rows(connection, "SELECT normal_cdf($1::DOUBLE), normal_cdf(-$1::DOUBLE)", z)[0]
    assert below == pytest.approx(0.5 * math.erfc(-z / math.sqrt(2)), abs=1e-13)
    assert below + above == pytest.approx(1, abs=1e-13)


# ---------------------------------------------------------------------------------------------- laws of whole worlds


@tried_on_worlds(EXAMPLES // 33, SMALL)
def test_readings_keep_their_bounds(drawn: list[tuple[Recipe]]) -> None:
    worlds = settle(recipe for (recipe,) in drawn)
    connection = fresh_database()
    tell(connection, together(one.world for one in worlds))
    found = readings_of(connection, {one.name: (one.start + 7 * HOUR, one.end) for one in worlds})
    for one in worlds:
        for key, reading in found[one.name].items():
            assert broken_bounds(reading) == [], f"{key}: {one.recipe}"


def broken_bounds(reading: dict[str, Any]) -> list[str]:
    """What of a reading is outside its bounds, or NULL where it should not be, or the other way about."""
    opinions = reading["bullish"] + reading["bearish"]
    within = {
        **{name: reading[name] is None or 0 <= reading[name] <= 1 for name in RATIOS},
        **{name: reading[name] is None or 0 <= reading[name] <= 100 for name in ("sentiment_score", "volume_score")},
        "organic": opinions + reading["neutral"] == reading["organic"] <= reading["messages"],
    }
    nobody = {name: (reading[name] is None) == (opinions == 0) for name in OF_OPINIONS}
    few = (reading["sentiment_score"] is None) == (opinions < 3)
    kept = [*within.items(), *nobody.items(), ("sentiment_score, few opinions", few)]
    return [f"{name}: {reading.get(name)}" for name, right in kept if not right]


@tried_on_worlds(EXAMPLES // 33, SMALL)
def test_swapping_all_stances_mirrors_every_reading(drawn: list[tuple[Recipe]]) -> None:
    worlds = settle(recipe for (recipe,) in drawn)
    world = together(one.world for one in worlds)
    turned = replace(world, said=tuple(replace(one, stance=OPPOSITE[one.stance], tone=-one.tone) for one in world.said))
    moments = {one.name: (one.end,) for one in worlds}
    connection = fresh_database()
    tell(connection, world)
    before = readings_of(connection, moments)
    connection = fresh_database()
    tell(connection, turned)
    after = readings_of(connection, moments)
    for one in worlds:
        told = f"{one.name}, {one.recipe}"
        assert before[one.name].keys() == after[one.name].keys(), told
        for key, reading in before[one.name].items():
            mirrored = after[one.name][key]
            assert (reading["bullish"], reading["bearish"]) == (mirrored["bearish"], mirrored["bullish"]), told
            if reading["bullish_ratio"] is not None:
                assert mirrored["bullish_ratio"] == pytest.approx(1 - reading["bullish_ratio"]), told
                assert mirrored["bullishness"] == pytest.approx(-reading["bullishness"]), told
            assert close(mirrored["volume_z"], reading["volume_z"]), told


@tried_on_worlds(EXAMPLES // 33, SMALL, st.integers(0, 10**6), st.integers(1, 5))
def test_a_copy_changes_no_organic_metric(drawn: list[tuple[Recipe, int, int]]) -> None:
    """Pasted in the same second by somebody else, with an opinion of their own."""
    worlds = settle(recipe for recipe, _, _ in drawn)
    copies: list[Said] = []
    moments = {}
    for one, (_, which, times) in zip(worlds, drawn, strict=True):
        keyed = [said for said in one.world.said if said.key is not None]
        original = keyed[which % len(keyed)]
        copies += [
            replace(
                original,
                id=one.place.own(f"~{number}"),
                source=one.place.own("~"),
                author=one.place.own(f"paster{number}"),
                stance=-1,
                tone=-1.0,
                label=-1,
            )
            for number in range(times)
        ]
        moments[one.name] = (original.at.replace(minute=0, second=0, microsecond=0) + HOUR, one.end)
    connection = fresh_database()
    tell(connection, together(one.world for one in worlds))
    before = readings_of(connection, moments)
    commit(connection, batch_of(copies))
    derive.rollup(connection)
    after = readings_of(connection, moments)
    for one, (_, which, times) in zip(worlds, drawn, strict=True):
        told = f"{one.name}, {one.recipe}, {times} copies of {which}"
        its_before, its_after = before[one.name], after[one.name]
        assert its_before.keys() == its_after.keys(), told
        for key, reading in its_before.items():
            assert {name: reading[name] for name in ORGANIC} == {name: its_after[key][name] for name in ORGANIC}, told
        assert any(its_before[key]["messages"] + times == its_after[key]["messages"] for key in its_before), told


@tried_on_worlds(EXAMPLES // 33, SMALL, FRACTIONS)
def test_what_is_said_later_changes_no_reading(drawn: list[tuple[Recipe, list[float]]]) -> None:
    worlds = settle(recipe for recipe, _ in drawn)
    moments = [one.moments(fractions) for one, (_, fractions) in zip(worlds, drawn, strict=True)]
    for which in (0, 2):
        now = {one.name: (its[which],) for one, its in zip(worlds, moments, strict=True)}
        earlier = [
            replace(one.world, said=tuple(said for said in one.world.said if said.at < now[one.name][0]))
            for one in worlds
        ]
        if not earlier[0].said:
            earlier.append(
                long_ago()
            )  # else this world would say the first word of all later, and long before the others
        connection = fresh_database()
        tell(connection, together(earlier))
        before = readings_of(connection, now)
        commit(connection, batch_of(said for one in worlds for said in one.world.said if said.at >= now[one.name][0]))
        derive.rollup(connection)
        after = readings_of(connection, now)
        for one in worlds:
            assert after[one.name] == before[one.name], f"{one.name}, {one.recipe}, at {now[one.name][0]}"


@tried_on_worlds(EXAMPLES // 33, SMALL)
def test_a_symbol_does_not_depend_on_the_watch_list(drawn: list[tuple[Recipe]]) -> None:
    worlds = settle(recipe for (recipe,) in drawn)
    moments = {one.name: (one.end,) for one in worlds}
    connection = fresh_database()
    tell(connection, replace(together(one.world for one in worlds), watchlist=()))
    before = readings_of(connection, moments)
    for one in worlds:
        s0, other = one.place.own("S0"), one.place.own("OTHER")
        connection.execute("INSERT INTO watchlist VALUES ($1, 'a'), ($1, 'b'), ($2, NULL)", [s0, other])
    after = readings_of(connection, moments)
    for one in worlds:
        told = f"{one.name}, {one.recipe}"
        its_before, its_after = before[one.name], after[one.name]
        assert {key: its_after[key] for key in its_before} == its_before, told
        added = {key[1] for key in its_after.keys() - its_before.keys()}
        assert added <= {one.place.own("S0"), one.place.own("OTHER")}, told


def test_a_reading_is_taken_once() -> None:
    connection = fresh_database()
    tell(connection, World((Said("1", START, ("AAA",)),)))
    assert derive.take_readings(connection, [START + HOUR, START + HOUR], START + HOUR) == 3
    commit(connection, batch_of([Said("2", START, ("AAA", "BBB"))]))
    derive.rollup(connection)
    assert derive.take_readings(connection, [START + HOUR], START + 2 * HOUR) == 3
    assert rows(
        connection, "SELECT symbol, messages, computed_at FROM readings WHERE window_name = '1h' ORDER BY symbol"
    ) == [
        ("AAA", 1, naive_utc(START + HOUR)),
        ("BBB", 1, naive_utc(START + 2 * HOUR)),
    ]
