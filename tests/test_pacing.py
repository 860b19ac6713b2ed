"""When the next request may go out: tables, laws, and one afternoon on a clock that walks."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.models import PollStatus
from tracker.pacing import (
    MAX_NAMED_WAIT_S,
    Budget,
    Pace,
    backoff_s,
    bound_on_load,
    limit_scope,
    next_wait_s,
    parse_reset,
    parse_retry_after,
    reset_wait_s,
    used_up,
)

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
PACE = Pace(interval_s=60.0, max_backoff_s=1800.0, breaker_s=3600.0)
FAILED: tuple[PollStatus, ...] = ("unavailable", "malformed", "error")


def wait(status: PollStatus, failures: int = 0, wish_s: float | None = None, **changed: Any) -> float:
    given = {"pace": PACE, "more": False, "key": "pond/frogs", **changed}
    return next_wait_s(given.pop("pace"), status=status, failures=failures, wish_s=wish_s, **given)


# ---------------------------------------------------------------------------------------------------- headers


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("60", 60.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("-5", 0.0),
        ("1e9", 1e9),
        ("999999999", 999_999_999.0),
        ("Wed, 21 Oct 2026 07:30:00 GMT", 120.0),
        ("Wed, 21 Oct 2026 09:30:00 +0200", 120.0),
        ("Wed, 21 Oct 2026 07:30:00 -0000", 120.0),
        ("Wednesday, 21-Oct-26 07:30:00 GMT", 120.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Fri, 31 Dec 99999 00:00:00 GMT", None),
        ("Wed, 30 Feb 2026 00:00:00 GMT", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("nan", None),
        ("inf", None),
        ("1_000", None),
        ("٣", None),
        ("5, 10", None),
        ("0x10", None),
        ("9" * 400, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_servers_clock_or_nothing(
    value: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize("skew_h", [-1, 1])
def test_a_date_counts_from_when_it_was_served_whatever_clock_is_wrong(skew_h: int) -> None:
    served_at = NOW + timedelta(hours=skew_h)
    named = (served_at + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert parse_retry_after(named, served_at) == 90.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("599.0", 599.0),
        ("599", 599.0),
        ("0", 0.0),
        ("-1", 0.0),
        (str(EPOCH + 90), 90.0),
        (f"{EPOCH + 90}.5", 90.5),
        (str((EPOCH + 90) * 1000), 90.0),
        (str(EPOCH - 90), 0.0),
        ("2026-10-21T07:33:00.000Z", 300.0),
        ("2026-10-21T07:33:00.123456789Z", 300.123456),
        ("2026-10-21T09:33:00+02:00", 300.0),
        ("2026-10-21T07:00:00Z", 0.0),
        ("later", None),
        ("", None),
        (None, None),
        ("nan", None),
    ],
)
def test_a_reset_is_seconds_or_a_unix_time_or_an_iso_time_or_nothing(value: str | None, seconds: float | None) -> None:
    found = parse_reset(value, NOW)
    assert found == (pytest.approx(seconds) if seconds is not None else None)


@given(st.text(max_size=40))
def test_no_header_breaks_the_parsers_or_names_a_time_in_the_past(value: str) -> None:
    for found in (parse_retry_after(value, NOW), parse_reset(value, NOW)):
        assert found is None or (found >= 0 and math.isfinite(found))


@pytest.mark.parametrize(
    ("headers", "spent", "reset_s"),
    [
        ({}, False, None),
        ({"x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "42"}, True, 42.0),
        ({"x-ratelimit-remaining": "96.0", "x-ratelimit-reset": "42"}, False, 42.0),
        ({"x-rate-limit-remaining": "-1", "x-rate-limit-reset": str(EPOCH + 5)}, True, 5.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "2026-10-21T07:28:09Z"}, True, 9.0),
        ({"x-ratelimit-remaining": "few", "ratelimit-remaining": "0", "x-ratelimit-reset": "?"}, True, None),
    ],
)
def test_rate_limit_headers_say_what_is_left_and_when_it_starts_anew(
    headers: dict[str, str], spent: bool, reset_s: float | None
) -> None:
    assert used_up(headers) is spent
    assert reset_wait_s(headers, NOW) == reset_s


# --------------------------------------------------------------------------------------------------- next wait


@pytest.mark.parametrize(
    ("status", "failures", "wish_s", "seconds"),
    [
        ("ok", 0, None, 60.0),
        ("ok", 0, 10.0, 60.0),
        ("ok", 0, 90.0, 90.0),
        ("unchanged", 0, None, 60.0),
        ("unchanged", 0, 90.0, 90.0),
        ("rate_limited", 1, 10.0, 60.0),
        ("rate_limited", 1, 0.0, 60.0),
        ("rate_limited", 1, 600.0, 600.0),
        ("rate_limited", 9, 600.0, 600.0),
        ("rate_limited", 1, 7200.0, 7200.0),  # longer than our own longest backoff, and honoured
        ("rate_limited", 1, MAX_NAMED_WAIT_S, MAX_NAMED_WAIT_S),
        ("rate_limited", 1, MAX_NAMED_WAIT_S + 1, 1800.0),
        ("rate_limited", 1, 1e9, 1800.0),
        ("rate_limited", 1, math.inf, 1800.0),
        ("rate_limited", 1, -5.0, 60.0),
        ("rate_limited", 1, math.nan, 120.0),
        ("rate_limited", 1, None, 120.0),
        ("rate_limited", 2, None, 240.0),
        ("rate_limited", 30, None, 1800.0),
        ("denied", 1, None, 3600.0),
        ("denied", 30, None, 3600.0),
        ("denied", 1, 60.0, 3600.0),
        ("denied", 1, 7200.0, 7200.0),
    ],
)
def test_each_outcome_has_its_wait(status: PollStatus, failures: int, wish_s: float | None, seconds: float) -> None:
    assert wait(status, failures, wish_s) == seconds


@pytest.mark.parametrize("status", FAILED)
@pytest.mark.parametrize(
    ("failures", "wish_s", "seconds"),
    [
        (0, None, 60.0),
        (1, None, 120.0),
        (2, None, 240.0),
        (5, None, 1800.0),
        (10_000, None, 1800.0),
        (1, 600.0, 600.0),
        (1, 1e9, 1800.0),
        (5, 60.0, 1800.0),
    ],
)
def test_failures_double_the_wait_up_to_a_cap_and_spread_it_by_a_tenth(
    status: PollStatus, failures: int, wish_s: float | None, seconds: float
) -> None:
    assert seconds <= wait(status, failures, wish_s) <= seconds * 1.1


def test_streams_that_failed_together_do_not_come_back_together() -> None:
    waits = sorted(wait("unavailable", 3, key=f"pond/{number}") for number in range(200))
    assert waits[-1] - waits[0] > 0.09 * 480
    assert max(later - earlier for earlier, later in pairwise(waits)) < 5.0


def test_the_same_failure_waits_the_same_each_time() -> None:
    assert wait("unavailable", 3) == wait("unavailable", 3)
    assert wait("unavailable", 3) == pytest.approx(513.5917034674936)  # after a restart and on another machine, too


def test_an_unfinished_walk_goes_on_soon_unless_the_server_asks_to_wait() -> None:
    assert wait("ok", more=True) == 1.0
    assert wait("ok", more=True, pace=Pace(0.2, 10.0, 10.0)) == 0.2
    assert wait("ok", wish_s=30.0, more=True) == 30.0
    assert wait("unavailable", 1, more=True) >= 120.0


def test_an_interval_above_the_cap_is_still_kept() -> None:
    assert backoff_s(Pace(interval_s=7200.0, max_backoff_s=1800.0, breaker_s=60.0), 5) == 7200.0
    assert wait("denied", 1, pace=Pace(interval_s=7200.0, max_backoff_s=1800.0, breaker_s=60.0)) == 7200.0


@given(
    status=st.sampled_from(("ok", "unchanged", "rate_limited", "denied", *FAILED)),
    failures=st.integers(0, 10**9),
    wish_s=st.none() | st.floats(),
    more=st.booleans(),
    interval_s=st.floats(0.1, 1e5),
)
def test_never_sooner_than_asked_and_never_for_ever(
    status: PollStatus, failures: int, wish_s: float | None, more: bool, interval_s: float
) -> None:
    pace = Pace(interval_s, max_backoff_s=1800.0, breaker_s=3600.0)
    found = next_wait_s(pace, status=status, failures=failures, wish_s=wish_s, more=more, key="pond/frogs")
    if wish_s is not None and 0 <= wish_s <= MAX_NAMED_WAIT_S:
        assert found >= wish_s
    if not (more and status in ("ok", "unchanged")):
        assert found >= interval_s
    assert 0 < found <= 1.1 * max(interval_s, MAX_NAMED_WAIT_S)


# ------------------------------------------------------------------------------------- places, budgets, limits


def ago(*seconds: float) -> list[datetime]:
    return [NOW - timedelta(seconds=second) for second in seconds]


@pytest.mark.parametrize(
    ("used", "left", "wait_s"),
    [
        ([], 3, 0.0),
        (ago(10, 20), 1, 0.0),
        (ago(10, 20, 50), 0, 10.0),
        (ago(50, 10, 20), 0, 10.0),  # in any order
        (ago(10, 20, 60), 1, 0.0),  # its last second is over
        (ago(1, 2, 3, 4, 50), 0, 57.0),  # overdrawn: until two more have left the window
        (ago(1, 1, 1), 0, 59.0),
        (ago(-7200, -7200, -7200), 0, 60.0),  # written before the clock stepped back: no longer than a window
    ],
)
def test_a_budget_is_a_sliding_window(used: list[datetime], left: int, wait_s: float) -> None:
    budget = Budget(requests=3, seconds=60.0)
    assert budget.left(NOW, used) == left
    assert budget.wait_s(NOW, used) == pytest.approx(wait_s)


@given(st.lists(st.integers(-3_000_000, 300_000_000), max_size=30), st.integers(1, 5))
def test_after_its_wait_a_budget_has_room_and_not_before(ages_us: list[int], requests: int) -> None:
    budget = Budget(requests, 60.0)
    used = [NOW - timedelta(microseconds=max(0, age)) for age in ages_us]
    pause = timedelta(seconds=budget.wait_s(NOW, used))
    assert budget.left(NOW + pause, used) >= 1
    if pause:
        assert budget.left(NOW + pause - timedelta(microseconds=1), used) == 0


@pytest.mark.parametrize(
    ("requests", "seconds"), [(0, 60.0), (-1, 60.0), (1, 0.0), (1, -1.0), (1, math.inf), (1, math.nan)]
)
def test_a_budget_that_allows_nothing_or_everything_is_refused(requests: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="a budget is at least 1 request"):
        Budget(requests, seconds)


def test_a_stored_moment_too_far_away_was_written_by_a_wrong_clock() -> None:
    assert bound_on_load(NOW + timedelta(minutes=5), NOW, 3600.0) == NOW + timedelta(minutes=5)
    assert bound_on_load(NOW - timedelta(days=5), NOW, 3600.0) == NOW - timedelta(days=5)
    assert bound_on_load(NOW + timedelta(days=400), NOW, 3600.0) == NOW + timedelta(hours=1)


def test_a_limit_is_shared_by_a_source_or_by_a_host() -> None:
    assert limit_scope("reddit", "https://WWW.reddit.com/r", "source") == "source:reddit"
    assert limit_scope("reddit", "https://WWW.reddit.com:443/r", "host") == "host:www.reddit.com"
    assert limit_scope("atom", "https://www.reddit.com/x.rss", "host") == "host:www.reddit.com"
    with pytest.raises(ValueError, match="no host in the address"):
        limit_scope("atom", "reddit", "host")


# -------------------------------------------------------------------------------------------------- the story


def test_an_afternoon_of_a_stream() -> None:
    """A clock walks from noon: good polls, a 429, a server that falls over, recovery, a closed door."""
    script: list[tuple[PollStatus, str | None]] = [
        ("ok", None),
        ("unchanged", None),
        ("rate_limited", "900"),
        ("rate_limited", "Wed, 21 Oct 2026 12:47:00 GMT"),  # served at 12:17
        ("unavailable", None),
        ("unavailable", None),
        ("unavailable", "1200"),
        ("ok", None),
        ("denied", None),
        ("ok", None),
    ]
    now, failures, polled = datetime(2026, 10, 21, 12, 0, tzinfo=UTC), 0, []
    for status, retry_after in script:
        polled.append((now.strftime("%H:%M"), status, failures))
        failures = 0 if status in ("ok", "unchanged") else failures + 1
        now += timedelta(seconds=wait(status, failures, parse_retry_after(retry_after, now)))
    assert polled == [
        ("12:00", "ok", 0),
        ("12:01", "unchanged", 0),
        ("12:02", "rate_limited", 0),
        ("12:17", "rate_limited", 1),  # after the 900 s that were named, not a second earlier
        ("12:47", "unavailable", 2),  # the date that was named
        ("12:55", "unavailable", 3),  # 480 s and a little: the third failure in a row
        ("13:12", "unavailable", 4),
        ("13:42", "ok", 5),  # capped at half an hour, and longer than the 1200 s that were named
        ("13:43", "denied", 0),
        ("14:43", "ok", 1),  # a refusal is answered once an hour
    ]
