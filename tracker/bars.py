"""One price bar out of the numbers of an answer, or what is wrong with it. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tracker.models import Flaw, PriceBar, Session
from tracker.wire import EARLIEST, quantity

DAY_S: Final = 86_400
_ROUNDING: Final = 1e-6  # how far, relatively, a close may lie outside of its bar: numbers come rounded
_LEAST, _MOST = 1e-15, 1e15  # what can be a price


def make_bar(
    source: str,
    symbol: str,
    width_s: int,
    start_at: datetime,
    values: tuple[object, object, object, object],  # open, high, low, close as they came
    volume: object,
    *,
    adj_close: object = None,
    session: Session | None = None,
    place: str = "",
) -> PriceBar | Flaw:
    """The bar, every number checked; a Flaw where it can't be one. An unknown number is None, but for the close."""
    first, high, low, close, adjusted = (_price(value) for value in (*values, adj_close))
    if close is None:
        return Flaw("no close that can be a price", place)
    if start_at < EARLIEST.replace(year=1970):
        return Flaw("a bar of another age", place)
    if (high is not None and low is not None and high < low) or not _within(close, low, high):
        return Flaw("a bar whose close, high and low do not fit", place)
    traded = quantity(volume)
    return PriceBar(
        source, symbol, width_s, start_at, close, open=first, high=high, low=low, adj_close=adjusted,
        volume=traded if traded is not None and traded >= 0 else None, session=session,
    )  # fmt: skip


def _price(value: object) -> float | None:
    found = quantity(value)
    return found if found is not None and _LEAST <= found <= _MOST else None


def _within(close: float, low: float | None, high: float | None) -> bool:
    return (low is None or close >= low * (1 - _ROUNDING)) and (high is None or close <= high * (1 + _ROUNDING))
