"""The two clocks, and the grid that moments are put on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tracker.clock import FixedClock, SystemClock, floor_to

MOMENTS = st.datetimes(datetime(2005, 1, 1), datetime(2100, 1, 1)).map(lambda found: found.replace(tzinfo=UTC))


def test_the_steady_clock_starts_with_the_wall_and_goes_on_with_the_monotonic_one() -> None:
    before = datetime.now(UTC)
    clock = SystemClock()
    first, started = clock.steady(), clock.monotonic()
    assert before <= first <= datetime.now(UTC) + timedelta(seconds=1)
    while clock.monotonic() - started < 0.002:  # a busy moment, not a sleep
        pass
    gone = clock.monotonic() - started
    assert timedelta(seconds=0.002) <= clock.steady() - first <= timedelta(seconds=gone + 1)


def test_the_steady_clock_does_not_step_when_the_wall_does() -> None:
    class Stepped(SystemClock):
        def now(self) -> datetime:
            return super().now() - timedelta(hours=1)

    clock = Stepped()
    assert clock.steady() - clock.now() > timedelta(minutes=59)


def test_a_fixed_clock_stands_and_only_durations_go_on() -> None:
    moment = datetime(2026, 3, 2, 12, tzinfo=UTC)
    clock = FixedClock(moment)
    assert clock.now() == clock.steady() == moment
    assert clock.monotonic() > 0


@given(MOMENTS, st.sampled_from([1, 60, 300, 900, 3600, 86_400]))
def test_a_moment_is_put_on_the_last_grid_line_at_or_before_it(moment: datetime, seconds: int) -> None:
    floor = floor_to(moment, seconds)
    assert floor <= moment < floor + timedelta(seconds=seconds)
    assert floor.timestamp() % seconds == 0
    assert floor.microsecond == 0
    assert floor_to(floor, seconds) == floor, "a grid line stays where it is"
