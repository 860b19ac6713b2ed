"""What can be read off the characters alone: cashtags, classes, markets, exchanges. Pure, and linear in its input."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from tracker.text import glues
from tracker.universe import Universe

KNOWN_CASHTAG: Final = 0.95
QUALIFIED: Final = 0.9
UNKNOWN_CASHTAG: Final = 0.8
ODD_CASHTAG: Final = 0.6  # unknown, one or six letters
LOWER_CASHTAG: Final = 0.55  # unknown and in lower case: $cash

# Begins at the first $ of a run only: a message of 40,000 of them is read once, not 40,000 times.
_CASHTAG: Final = re.compile(r"\$(?<!\$\$)\$*+([^\W_][\w./-]{0,23})")
# A symbol ends before anything but more letters of an alphabet with spaces: $TSLA is complete before kana.
END: Final = r"(?![A-Za-z0-9_\u00c0-\u058f])"
_FUTURE: Final = re.compile(r"[0-9]?[A-Za-z]{1,3}_[Ff]" + END)
_COIN: Final = re.compile(r"(?=[0-9]*[A-Za-z])[A-Za-z0-9]{1,12}[.-][Xx]" + END)
_PAIR: Final = re.compile(r"([A-Za-z]{3})/([A-Za-z]{3})" + END)
_PREFERRED: Final = re.compile(r"([A-Za-z]{1,5})\.PR\.?([A-Z])" + END)
MARKETS: Final = frozenset(
    ("TO", "V", "CN", "NE", "CA", "L", "AX", "DE", "PA", "AS", "MI", "SW", "NS", "BO", "KS", "IN")
)
# In lower case only those that end no sentence: $weed.ca.
_HOME: Final = re.compile(
    rf"(?:[A-Za-z]{{1,5}}\.(?:{'|'.join(sorted(MARKETS))}|ax|ca|cn|hk|ns|to)|[0-9]{{1,5}}\.(?:HK|hk))" + END
)
_CLASS: Final = re.compile(r"[A-Za-z]{1,5}[./-][A-Za-z]" + END)
_PLAIN: Final = re.compile(r"[A-Za-z]{1,10}" + END)
_PLURAL: Final = re.compile(r"[A-Z]{2,5}s")
_CURRENCIES: Final = frozenset(
    ("USD", "EUR", "GBP", "JPY", "CHF", "AUD", "CAD", "NZD", "CNY", "CNH", "HKD", "INR", "MXN", "SEK", "NOK", "XAU")
)
LETTERS: Final = 6  # a longer cashtag is money talk unless the universe has it

# What an exchange's word before a colon adds to the symbol behind it: nothing in the United States.
EXCHANGES: Final = {
    **dict.fromkeys(("NYSE", "NYSEARCA", "NYSEAMERICAN", "NYSEMKT", "AMEX", "ARCA", "BATS", "CBOE"), ""),
    **dict.fromkeys(("NASDAQ", "Nasdaq", "NasdaqGS", "OTC", "OTCQB", "OTCQX", "OTCBB", "OTCMKTS", "OTCPK"), ""),
    **dict.fromkeys(("TSX", "TSXV", "TSX-V", "CSE", "NEO", "CVE", "TSE"), "CA"),
    **dict.fromkeys(("LSE", "LON", "AIM"), "L"),
    **dict.fromkeys(("HKEX", "HKG", "SEHK", "HKSE"), "HK"),
    "ASX": "AX",
}
EXCHANGE: Final = re.compile(
    rf"([(\[]?)\b({'|'.join(sorted(map(re.escape, EXCHANGES), key=len, reverse=True))})\s?:\s{{0,2}}"
    r"([A-Z]{1,5}(?:[./-][A-Z])?|[0-9]{1,5})" + END
)
# The part of it that a token holds which may begin one.
EXCHANGE_WORD: Final = re.compile(
    rf"\b(?:{'|'.join(sorted(map(re.escape, EXCHANGES), key=len, reverse=True))})\s?(?::|$)"
)
# BRK.B, BRK/B, VOD.L, ETH.X, ES_F, 0700.HK: letters or digits, and what stands behind a mark.
_LINE: Final = re.compile(r"(?:([A-Z]{1,6})([./_-])([A-Z]{1,2})|[0-9]{1,5}\.HK)" + END)
_NOT_BEFORE_LINE: Final = frozenset("$@&_.,/")


class Tag(NamedTuple):
    """A cashtag as it was read."""

    symbol: str  # canonical
    length: int  # of what was read, without the $
    confidence: float
    reason: str


class Span(NamedTuple):
    """A symbol that its form alone gives away, within one token."""

    symbol: str
    start: int  # within the token
    end: int
    confidence: float
    reason: str


def read_cashtag(body: str, universe: Universe) -> Tag | None:
    """What stands behind a ``$``: a future, coin, pair, preferred share, foreign line, class or plain symbol.

    ``body`` may run on into prose (``LABU-50``, ``SPY-Crazy``); None for money and for what is no symbol.
    """
    for pattern in (_FUTURE, _COIN, _HOME):
        if match := pattern.match(body):
            return _tag(universe.canonical(match[0]), match, universe, UNKNOWN_CASHTAG)
    if body[0].isdigit():
        return None
    if (match := _PAIR.match(body)) and {match[1].upper(), match[2].upper()} <= _CURRENCIES:
        return _tag((match[1] + match[2]).upper(), match, universe, UNKNOWN_CASHTAG)
    if match := _PREFERRED.match(body):
        return _tag(f"{match[1].upper()}.PR.{match[2]}", match, universe, UNKNOWN_CASHTAG)
    if match := _CLASS.match(body):
        symbol = universe.canonical(match[0])
        if symbol in universe or (match[0].isupper() and match[0][-2:] in (".A", ".B")):
            return _tag(symbol, match, universe, UNKNOWN_CASHTAG)
    match = _PLAIN.match(body)
    if match is None:
        return None
    word = match[0]
    symbol = universe.resolve(word)
    if symbol not in universe:
        if len(word) > LETTERS:
            return None
        if _PLURAL.fullmatch(word) and universe.resolve(word[:-1]) in universe:
            return Tag(universe.resolve(word[:-1]), len(word) - 1, KNOWN_CASHTAG, "cashtag")
        if word.islower():
            return Tag(symbol, len(word), LOWER_CASHTAG, "cashtag in lower case, unknown symbol")
    return _tag(symbol, match, universe, UNKNOWN_CASHTAG if 2 <= len(word) < LETTERS else ODD_CASHTAG)


def _tag(symbol: str, match: re.Match[str], universe: Universe, unknown: float) -> Tag:
    if symbol in universe:
        return Tag(symbol, match.end(), KNOWN_CASHTAG, "cashtag")
    return Tag(symbol, match.end(), unknown, "cashtag, unknown symbol")


def cashtags(token: str, universe: Universe) -> Iterator[Span]:
    """The cashtags of one token: text between white space."""
    for match in _CASHTAG.finditer(token):
        start = match.start()
        if start and glues(token[start - 1]):
            continue
        tag = read_cashtag(match[1], universe)
        if tag is not None:
            yield Span(tag.symbol, start, match.start(1) + tag.length, tag.confidence, tag.reason)


def lines(token: str, universe: Universe, words: frozenset[str]) -> Iterator[Span]:
    """Symbols with their class or market: ``BRK/B``, ``VOD.L``, ``700.HK``. ``words``: symbols that are also words.

    The second part of ``AMC/GM`` is no class and no market, so it yields nothing.
    """
    for match in _LINE.finditer(token):
        start = match.start()
        if start and (glues(token[start - 1]) or token[start - 1] in _NOT_BEFORE_LINE):
            continue
        surface, base, mark, suffix = match[0], match[1], match[2], match[3]
        symbol = universe.canonical(surface)
        if base is None:
            yield Span(symbol, start, match.end(), QUALIFIED, "number and market")
        elif symbol in universe or (
            mark == "." and len(base) > 1 and (suffix in MARKETS or suffix == "X") and base not in words
        ):
            yield Span(symbol, start, match.end(), QUALIFIED, "symbol and class or market")
