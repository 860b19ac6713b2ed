"""One price bar out of whatever an answer holds: sound, or a flaw that says so."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.bars import DAY_S, make_bar
from tracker.models import Flaw, PriceBar

START = datetime(2026, 11, 20, tzinfo=UTC)
anything = st.one_of(
    st.floats(),
    st.integers(),
    st.none(),
    st.booleans(),
    st.text(max_size=4),
    st.sampled_from(["$1.5", "1,000", "0", "-1", "1e5"]),
)


def bar(*values: Any, volume: Any = None, **more: Any) -> PriceBar | Flaw:
    return make_bar("pond", "GME", DAY_S, START, values, volume, **more)  # type: ignore[arg-type]


@given(st.tuples(anything, anything, anything, anything), anything, anything)
def test_a_bar_is_sound_whatever_it_is_made_of(values: tuple[object, ...], volume: object, adjusted: object) -> None:
    found = bar(*values, volume=volume, adj_close=adjusted)
    if isinstance(found, Flaw):
        return
    numbers = (found.open, found.high, found.low, found.close, found.adj_close)
    assert all(number is None or (0 < number < math.inf) for number in numbers)
    assert found.volume is None or 0 <= found.volume < math.inf
    assert (found.low or 0) <= found.close * (1 + 1e-5)
    assert found.close <= (found.high or math.inf) * (1 + 1e-5)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((1, 2, 1, None), "no close"),
        ((1, 2, 1, 0), "no close"),
        ((1, 2, 1, "N/A"), "no close"),
        ((1, 1, 2, 1.5), "fit"),
        ((1, 2, 1, 3), "fit"),
        ((1, 2, 1, 0.5), "fit"),
    ],
)
def test_what_is_no_bar_is_said(values: tuple[object, ...], reason: str) -> None:
    found = bar(*values, place="rows[3]")
    assert isinstance(found, Flaw)
    assert reason in found.reason
    assert found.place == "rows[3]"


def test_a_close_alone_is_a_bar_and_rounding_is_forgiven() -> None:
    assert bar(None, None, None, "$1,234.50") == PriceBar("pond", "GME", DAY_S, START, 1234.5)
    assert isinstance(bar(10, 10, 9.9999999, 10.0000001), PriceBar)
