"""One message as the finder sees it: its tokens, what they hold and say to each other, whether it is shouted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tracker.mentions import evidence
from tracker.mentions.tokens import Token

TELLING: Final = 1_000  # tokens by which a message is called shouted
FEW: Final = 64  # tokens of a message in which a token is looked up by itself


class Around:
    """One message as the finder sees it: tokens, what they hold, where they stand; each made when it is asked for."""

    __slots__ = (
        "_flags",
        "_flags_of",
        "_of_markets",
        "_shouted",
        "_starts",
        "_symbols",
        "few",
        "read",
        "text",
        "tokens",
    )

    def __init__(self, text: str, tokens: list[str], read: list[Token | None], flags_of: Mapping[str, int]) -> None:
        self.text = text
        self.tokens = tokens
        self.read = read
        self.few = len(tokens) < FEW
        self._flags_of = flags_of
        self._flags: list[int] | None = None
        self._symbols: list[bool] | None = None
        self._starts: list[int] | None = None
        self._shouted: bool | None = None
        self._of_markets: bool | None = None

    def start(self, number: int) -> int:
        """Where a token begins: of a short message looked up, since one that stands there once is found at once."""
        token = self.tokens[number]
        if self.few and self.text.count(token) == 1:
            return self.text.find(token)
        if self._starts is None:
            self._starts = []
            place = 0
            for token in self.tokens:
                place = self.text.index(token, place)
                self._starts.append(place)
                place += len(token)
        return self._starts[number]

    @property
    def flags(self) -> list[int]:
        if self._flags is None:
            self._flags = list(map(self._flags_of.__getitem__, self.tokens))
        return self._flags

    @property
    def symbols(self) -> list[bool]:
        """Which tokens surely hold a symbol."""
        if self._symbols is None:
            self._symbols = [token is not None and token.sure for token in self.read]
        return self._symbols

    def is_shouted(self) -> bool:
        if self._shouted is None:
            loud = sum(map(evidence.LOUD.__and__, self.flags)) >= 3 * evidence.LOUD
            self._shouted = loud and is_shouted(
                [token for token, sure in zip(self.tokens, self.symbols, strict=True) if not sure]
            )
        return self._shouted

    def of_markets(self) -> bool:
        """Whether anything in the message is market talk."""
        if self._of_markets is None:
            self._of_markets = any(flag & evidence.MARKET for flag in self.flags) or any(self.symbols)
        return self._of_markets

    def market_word_near(self, first: int, last: int) -> bool:
        near = slice(max(0, first - evidence.WINDOW), last + 1 + evidence.WINDOW)
        return any(flag & evidence.MARKET for flag in self.flags[near]) or any(self.symbols[near])


def is_shouted(tokens: Sequence[str]) -> bool:
    """Of a message beside its symbols: three words in capitals or more, and more than 60 % of the letters are theirs.

    A list of symbols is no shouting, and in ``GME TO THE MOON`` the rest is too short to tell.
    """
    tokens = tokens[:TELLING]
    loud = [token for token in tokens if token.isupper()]
    if len(loud) < 3:
        return False
    words = [token for token in tokens if token.isupper() or token.islower() or token[0].isalpha()]
    return len(words) > 3 and sum(map(len, loud)) > 0.6 * sum(map(len, words))
