"""Which letters stood for an issuer on the day of a message: Facebook of 2014 is FB, $FB of 2023 is META. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from tracker.mentions.platform import offer
from tracker.models import Mention
from tracker.universe import Rename

_LINKS: Final = 4  # of a chain of names, at most: GOLD was ABX


class Letters:
    """Symbols as they were called when."""

    def __init__(self, renames: Iterable[Rename]) -> None:
        followed = tuple(rename for rename in renames if rename.successor)
        self._past = {rename.successor: rename for rename in reversed(followed)}  # of two, the first
        self._future = {rename.symbol: rename for rename in followed}

    def on(self, symbol: str, day: date | None) -> str:
        """What the issuer that a name means was called on a day."""
        if day is None:
            return symbol
        for _ in range(_LINKS):
            past = self._past.get(symbol)
            if past is None or day >= past.valid_to:
                break
            symbol = past.symbol
        return self.since(symbol, day)

    def since(self, symbol: str, day: date) -> str:
        """What written letters mean on a day: their successor's, where they had one by then."""
        for _ in range(_LINKS):
            rename = self._future.get(symbol)
            if rename is None or day < rename.valid_to:
                break
            symbol = rename.successor
        return symbol

    def bring_up_to(self, day: date, best: dict[str, Mention]) -> None:
        """The mentions of a message under the letters of its day; names have them already."""
        for symbol in [symbol for symbol in best if symbol in self._future and best[symbol].match != "name"]:
            later = self.since(symbol, day)
            if later != symbol:
                seen = best.pop(symbol)
                reason = f"{seen.reason}; {symbol} is {later} since"
                offer(best, later, seen.match, seen.surface, seen.start, seen.confidence, reason)
