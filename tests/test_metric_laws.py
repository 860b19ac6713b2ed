"""Laws of the metrics, on worlds made by chance; above all: the SQL says what an independent oracle says.

The environment variable TRACKER_EXAMPLES scales how many worlds are tried: with the default of 100 the oracle is
asked about 53, each at four moments; the costly laws get a share.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from oracle import Oracle
from worlds import DAY, HOUR, MINUTE, START, Recipe, Said, World, batch_of, commit, fresh_database, make, rows, tell

from tracker.models import Stance
from tracker.store import derive
from tracker.store.connect import Connection, aware_utc, naive_utc

EXAMPLES = int(os.environ.get("TRACKER_EXAMPLES", "100"))
LAWS = int(os.environ.get("TRACKER_LAWS", "0"))
T = TypeVar("T", bound=Callable[..., None])
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


def tried(examples: int, *, shrink: bool = False) -> Callable[[T], T]:
    """No deadline. A failing recipe is told as it is, unless shrinking it is cheap: otherwise that takes minutes."""
    phases = [phase for phase in Phase if shrink or phase not in (Phase.shrink, Phase.explain)]
    return settings(
        max_examples=LAWS or max(1, examples),
        deadline=None,
        phases=phases,
        suppress_health_check=[HealthCheck.too_slow],
    )


SEEDS = st.integers(0, 2**32)
SPARSE = st.builds(
    Recipe,
    seed=SEEDS,
    days=st.sampled_from([1, 3, 12, 20, 35, 60]),
    symbols=st.sampled_from([1, 2, 5]),
    messages=st.sampled_from([0, 5, 40, 150, 400]),
    wordings=st.sampled_from([3, 40, 2000]),
    authors=st.sampled_from([2, 30]),
    bursts=st.sampled_from([0, 1, 3]),
    opinionated=st.sampled_from([0.2, 0.9]),
    deaf=st.sampled_from([0.0, 0.1, 0.6]),
    own_streams=st.sampled_from([0, 1, 2]),
    # the second runs into summer time, the third out of it
    start=st.sampled_from([START, datetime(2026, 2, 20, tzinfo=UTC), datetime(2025, 10, 15, tzinfo=UTC)]),
)
SMALL = st.builds(
    Recipe,
    seed=SEEDS,
    days=st.sampled_from([2, 16]),
    messages=st.sampled_from([30, 150]),
    wordings=st.sampled_from([5, 60]),
    opinionated=st.just(0.9),
)
DENSE = st.builds(
    Recipe,
    seed=SEEDS,
    days=st.sampled_from([12, 20]),
    symbols=st.just(25),
    messages=st.just(1800),
    wordings=st.just(3000),
    opinionated=st.just(0.95),
)


def readings(connection: Connection, *moments: datetime) -> dict[tuple[datetime | None, str, str], dict[str, Any]]:
    """(at, symbol, window name) -> the other columns, freshly taken."""
    connection.execute("DELETE FROM readings")
    derive.take_readings(connection, moments, None)
    names = [row[0] for row in rows(connection, "DESCRIBE readings")]
    found = {}
    for row in rows(connection, "FROM readings"):
        reading = dict(zip(names, row, strict=True))
        del reading["computed_at"]
        found[aware_utc(reading.pop("at")), reading.pop("symbol"), reading.pop("window_name")] = reading
    return found


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


def moments_of(recipe: Recipe, fractions: list[float]) -> list[datetime]:
    """Within the world and at its end, on midnights, on hours and on five minutes."""
    slots = [int(fraction * recipe.days * 288) for fraction in fractions]
    return [recipe.start + 5 * MINUTE * slot for slot in (slots[0] // 288 * 288, slots[1] // 12 * 12, slots[2])] + [
        recipe.end
    ]


FRACTIONS = st.lists(st.floats(0, 1), min_size=3, max_size=3)


# ---------------------------------------------------------------------------------------------- beside the oracle


def _agree(recipe: Recipe, fractions: list[float]) -> None:
    world = make(recipe)
    connection, oracle = fresh_database(), Oracle(world)
    tell(connection, world)
    moments = moments_of(recipe, fractions)
    wanted = {(at, *key): reading for at in moments for key, reading in oracle.readings(at).items()}
    assert differences(readings(connection, *moments), wanted) == []
    assert differences(spikes(connection), oracle.spikes()) == []


@tried(EXAMPLES // 2)
@given(SPARSE, FRACTIONS)
def test_readings_and_spikes_agree_with_the_oracle(recipe: Recipe, fractions: list[float]) -> None:
    _agree(recipe, fractions)


@tried(EXAMPLES // 33)
@given(DENSE, FRACTIONS)
def test_readings_and_spikes_agree_with_the_oracle_when_the_habit_is_stored(
    recipe: Recipe, fractions: list[float]
) -> None:
    _agree(recipe, fractions)


def test_the_oracle_is_asked_about_what_matters() -> None:
    """The worlds above reach every baseline, label and kind of spike: an oracle asked only about nothing proves nothing."""
    connection = fresh_database()
    recipe = Recipe(3, days=20, symbols=25, messages=2200, wordings=3000, opinionated=0.95, bursts=3)
    world = make(recipe)
    tell(connection, world)
    found = readings(connection, recipe.start + 12 * DAY + 5 * MINUTE, recipe.end)
    assert {reading["baseline"] for reading in found.values()} >= {"default", "own"}
    assert len({reading["sentiment_label"] for reading in found.values()}) >= 5
    assert all(
        any(reading[name] is not None for reading in found.values())
        for name in (*ORGANIC, "volume_change", "buzz_rank_before")
    )
    assert {width for _, width, _ in spikes(connection)} == {5 * MINUTE, HOUR, DAY}


@tried(EXAMPLES // 10)
@given(SMALL, st.sampled_from([5 * MINUTE, HOUR, DAY]))
def test_message_volume_agrees_with_the_oracle(recipe: Recipe, width: timedelta) -> None:
    world = make(recipe)
    connection = fresh_database()
    tell(connection, world)
    since, until = recipe.start + HOUR + 7 * MINUTE, recipe.start + 26 * HOUR
    found = rows(
        connection,
        "SELECT bucket_start, messages, up FROM message_volume('S0', $1, $2, $3)",
        naive_utc(since),
        naive_utc(until),
        width,
    )
    assert {aware_utc(start): messages for start, messages, _ in found} == Oracle(world).message_volume(
        "S0", since, until, width
    )
    assert all(0 <= up <= 1 for _, _, up in found)


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


@tried(EXAMPLES // 33)
@given(SMALL)
def test_readings_keep_their_bounds(recipe: Recipe) -> None:
    connection = fresh_database()
    tell(connection, make(recipe))
    for reading in readings(connection, recipe.start + 7 * HOUR, recipe.end).values():
        assert all(reading[name] is None or 0 <= reading[name] <= 1 for name in RATIOS)
        assert all(reading[name] is None or 0 <= reading[name] <= 100 for name in ("sentiment_score", "volume_score"))
        assert reading["bullish"] + reading["bearish"] + reading["neutral"] == reading["organic"] <= reading["messages"]
        nobody = reading["bullish"] + reading["bearish"] == 0
        assert all(
            (reading[name] is None) == nobody
            for name in ("bullish_ratio", "bullish_ratio_low", "bullish_ratio_high", "bullishness", "agreement")
        )
        assert (reading["sentiment_score"] is None) == (reading["bullish"] + reading["bearish"] < 3)


@tried(EXAMPLES // 33)
@given(SMALL)
def test_swapping_all_stances_mirrors_every_reading(recipe: Recipe) -> None:
    world = make(recipe)
    turned = replace(world, said=tuple(replace(one, stance=OPPOSITE[one.stance], tone=-one.tone) for one in world.said))
    connection = fresh_database()
    tell(connection, world)
    before = readings(connection, recipe.end)
    connection = fresh_database()
    tell(connection, turned)
    after = readings(connection, recipe.end)
    assert before.keys() == after.keys()
    for key, reading in before.items():
        assert (reading["bullish"], reading["bearish"]) == (after[key]["bearish"], after[key]["bullish"])
        if reading["bullish_ratio"] is not None:
            assert after[key]["bullish_ratio"] == pytest.approx(1 - reading["bullish_ratio"])
            assert after[key]["bullishness"] == pytest.approx(-reading["bullishness"])
        assert close(after[key]["volume_z"], reading["volume_z"])


@tried(EXAMPLES // 33)
@given(SMALL, st.integers(0, 10**6), st.integers(1, 5))
def test_a_copy_changes_no_organic_metric(recipe: Recipe, which: int, times: int) -> None:
    """Pasted in the same second by somebody else, with an opinion of their own."""
    world = make(recipe)
    keyed = [one for one in world.said if one.key is not None]
    original = keyed[which % len(keyed)]
    copies = tuple(
        replace(original, id=f"~{number}", source="~", author=f"paster{number}", stance=-1, tone=-1.0, label=-1)
        for number in range(times)
    )
    moments = (original.at.replace(minute=0, second=0, microsecond=0) + HOUR, recipe.end)
    connection = fresh_database()
    tell(connection, world)
    before = readings(connection, *moments)
    commit(connection, batch_of(copies))
    derive.rollup(connection)
    after = readings(connection, *moments)
    assert before.keys() == after.keys()
    for key, reading in before.items():
        assert {name: reading[name] for name in ORGANIC} == {name: after[key][name] for name in ORGANIC}
    assert any(before[key]["messages"] + times == after[key]["messages"] for key in before)


@tried(EXAMPLES // 33)
@given(SMALL, FRACTIONS)
def test_what_is_said_later_changes_no_reading(recipe: Recipe, fractions: list[float]) -> None:
    world = make(recipe)
    for at in moments_of(recipe, fractions)[:3:2]:
        connection = fresh_database()
        tell(connection, replace(world, said=tuple(one for one in world.said if one.at < at)))
        before = readings(connection, at)
        commit(connection, batch_of([one for one in world.said if one.at >= at]))
        derive.rollup(connection)
        assert readings(connection, at) == before


@tried(EXAMPLES // 33)
@given(SMALL)
def test_a_symbol_does_not_depend_on_the_watch_list(recipe: Recipe) -> None:
    world = make(recipe)
    connection = fresh_database()
    tell(connection, replace(world, watchlist=()))
    before = readings(connection, recipe.end)
    connection.execute("INSERT INTO watchlist VALUES ('S0', 'a'), ('S0', 'b'), ('OTHER', NULL)")
    after = readings(connection, recipe.end)
    assert {key: after[key] for key in before} == before
    assert {key[1] for key in after.keys() - before.keys()} <= {"S0", "OTHER"}


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
