"""What stands around a bare word and speaks for a security: market words, option strings, prices. Pure.

Each token of a message (text between white space) carries a few flags, read once and kept; the evidence for the word
at one place is the flags of its neighbours. ``NOT_ABOUT_MARKETS`` is the one place that names the sources where a
company is as often a brand as a security.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# Sources whose messages are about anything: a name without a market word is brand talk there.
NOT_ABOUT_MARKETS: Final = frozenset(
    ("bluesky", "hackernews", "lemmy", "mastodon", "nostr", "telegram", "threads", "youtube")
)

# Flags of a token.
AFTER: Final = 1  # speaks for the symbol before it: calls, shares, earnings
BEFORE: Final = 2  # speaks for the symbol behind it: bought, short, ticker
MARKET: Final = 4  # market talk, anywhere in the message
OPTION: Final = 8  # 800c, 100p, 3/19
PRICE: Final = 16  # $12, 5%
END: Final = 32  # a sentence ends here
LOUD: Final = 64  # a word in capitals
JOINT: Final = 128  # stands between the members of a list

_AFTER_WORDS: Final = """
 call calls put puts share shares stock stocks option options leap leaps contract contracts earnings er holder holders
 bagholder bagholders gang shorts squeeze weeklies fds fd ticker price chart dip float dividend dividends shareholders
 futures future investors bulls bears longs warrants commons dd position positions bags puts/calls calls/puts yolo leaps moon mooning
 $ tendies pt eps ipo volume spreads csp csps bagholding dipping earning gains buyback
"""
_BEFORE_WORDS: Final = """
 buy buying bought sell selling sold long longing short shorting shorted own owning hold holding held ticker symbol
 trade trading traded yolo yolo'd yoloed yoloing yolod dumped loaded loading trimmed added adding shares calls puts
 leaps stock stocks share options bullish bearish
"""
_MARKET_WORDS: Final = """
 market markets invest invested investing investor investment investments portfolio analyst analysts downgrade
 downgraded downgrades upgrade upgraded upgrades outperform underperform overweight underweight valuation valued
 undervalued overvalued revenue revenues guidance quarter quarterly q1 q2 q3 q4 eps ebitda profit profits margin margins
 nasdaq nyse dow premarket pre-market afterhours after-hours resistance support breakout breakdown rally rallied
 rallying plunge plunges plunged surge surges surged soar soars soared tumble tumbles tumbled drop drops dropped fell falls jumped jumps
 rises gains gained gainers losers bull bear bulls bears hedge hedged fund funds etf etfs expiry expiration strike itm
 otm atm iv theta gamma vega delta-neutral trader traders broker brokerage bag bags rsi macd ema sma vwap cap mcap
 buyout merger acquisition acquire acquires acquired acquiring takeover stake ceo shorters shortsellers trillion billion
 cheap expensive upside downside red green ath atl dilution offering filing 10-k 10-q 13f sec s&p sp500 fed sector
 wallstreet tradingview stockmarket daytrading swing entry exit exits bottom peak correction crash crashing mooning
 rocket rockets tank tanked tanking pump pumped pumping rip ripping ripped gap gapping sympathy catalyst catalysts
 crypto coin coins token tokens wallet blockchain mining hodl staking exchange btc eth
"""
WORDS: Final[dict[str, int]] = {}
for _words, _flag in (
    (_AFTER_WORDS, AFTER | MARKET),
    (_BEFORE_WORDS, BEFORE),
    (_MARKET_WORDS, MARKET),
    ("calls puts shares stock stocks shorts leaps dividend dividends bullish bearish trading shorting shorted", MARKET),
):
    for _word in _words.split():
        WORDS[_word] = WORDS.get(_word, 0) | _flag
# market words only by their neighbour: on their own they are words of any talk
for _word in ("call", "long", "hold", "holding", "held", "own", "added", "adding", "price", "volume", "position", "option",
              "options", "share", "moon", "$", "gang", "float", "contract", "positions", "chart", "dip"):  # fmt: skip
    WORDS[_word] &= ~MARKET

for _word in ("and", "or", "&", "/", "+", ",", "|", "vs", "-", "plus"):
    WORDS[_word] = WORDS.get(_word, 0) | JOINT

_OPTION: Final = re.compile(
    r"\$?[0-9]{1,5}(?:\.[0-9]+)?[cCpP](?:alls?|uts?)?s?|[0-9]{1,2}/[0-9]{1,2}(?:/[0-9]{2,4})?[cCpP]?"
)
_PRICE: Final = re.compile(r"[@~]?\$[0-9][0-9.,]*[kKmMbB]?|[+-]?[0-9.]+%")
_TIME: Final = re.compile(r"@?[0-9]{1,2}(?:[:.][0-9]{2})?(?:am|pm|a|p)?")
_DATE: Final = re.compile(r"[0-9]{1,2}/[0-9]{1,2}(?:/[0-9]{2,4})?|[0-9]{1,2}(?:st|nd|rd|th)")
_NUMBER: Final = re.compile(r"\$?[0-9][0-9.,]*[kKmM]?")
_MOST: Final = 100_000  # tokens remembered
ENDS: Final = frozenset(".!?;:")
_EDGES: Final = "()[]{}<>\"'“”‘’.,;:!?*_~|-–—…#"

# What one neighbour is worth, in log odds; the most that all can add up to.
_OPTION_BEHIND: Final = 3.0
WORD_BEHIND: Final = 2.2
_WORD_BEFORE: Final = 1.8
_PRICE_BEHIND: Final = 1.2
_LISTED_BESIDE: Final = 1.2
SYMBOL_IN_MESSAGE: Final = 0.4
MOST: Final = _OPTION_BEHIND + WORD_BEHIND + _WORD_BEFORE + _LISTED_BESIDE + SYMBOL_IN_MESSAGE
SHOUTED: Final = {"free": -0.8, "capital": -1.8, "context": -4.0}
LOUD_BESIDE: Final = -2.0  # each neighbour in capitals that is no symbol: a few words are shouted
OFF_TOPIC: Final = -1.0  # no market talk at all, for a symbol of fewer points than OBSCURE
OBSCURE: Final = 2.0
OF_FUTURES: Final = frozenset(
    ("future", "futures", "contract", "contracts", "puts", "calls")
)  # ES puts: the index future
OF_A_FUTURE: Final = 1.5
WINDOW: Final = 12  # tokens on each side in which a market word stands by a name


def bare(token: str) -> str:
    """A token without the marks around it, in lower case."""
    return token.strip(_EDGES).lower()


def flags_of(token: str) -> int:
    """The flags of one token, whatever stands around it."""
    if token.isalpha() and token.isascii():  # most tokens of most messages
        plain_word = WORDS.get(token.lower(), 0)
        return plain_word | LOUD if len(token) > 1 and token.isupper() else plain_word
    word = bare(token)
    flags = WORDS.get(word or token, 0)
    if not flags and word.endswith(("'s", "’s")):
        flags = WORDS.get(word[:-2], 0)
    if word[:1].isdigit() or token[:1] in "$@~+-":
        plain = token.strip("()[],.;!?")
        if _OPTION.fullmatch(plain):
            flags |= OPTION | MARKET
        elif _PRICE.fullmatch(plain):
            flags |= PRICE | MARKET
    if token.isupper() and len(word) > 1 and word.isalpha():
        flags |= LOUD
    if token[-1] in ENDS:
        flags |= END
    return flags


class Flags(dict[str, int]):
    """Token -> its flags; a dictionary that reads what it does not know yet."""

    def __missing__(self, token: str) -> int:
        if len(self) >= _MOST:
            self.clear()
        flags = self[token] = flags_of(token)
        return flags


def evidence(flags: Sequence[int], symbols: Sequence[bool], place: int) -> float:
    """Log odds that the neighbours of the token at ``place`` add. ``symbols``: tokens that surely hold a symbol."""
    last = len(flags) - 1
    behind = flags[place + 1] if place < last and not flags[place] & END else 0
    second = flags[place + 2] if place + 1 < last and not (flags[place] | behind) & END else 0
    third = flags[place + 3] if place + 2 < last and not (flags[place] | behind | second) & END else 0
    before = flags[place - 1] if place else 0
    total = 0.0
    if (behind | second | third) & OPTION:
        total += _OPTION_BEHIND
    elif (behind | second) & PRICE:
        total += _PRICE_BEHIND
    if behind & AFTER:
        total += WORD_BEHIND
    elif second & AFTER:
        total += WORD_BEHIND / 2
    if before & BEFORE and not before & END:
        total += _WORD_BEFORE
    if _is_listed(flags, symbols, place):
        total += _LISTED_BESIDE
    return total


def _is_listed(flags: Sequence[int], symbols: Sequence[bool], place: int) -> bool:
    """Whether a symbol stands beside it, or beyond a joint: "CLF / MT", "SPY and V"."""
    for step in (-1, 1):
        beside = place + step
        if 0 <= beside < len(flags) and flags[beside] & JOINT:
            beside += step
        if 0 <= beside < len(flags) and symbols[beside]:
            return True
    return False


def loudness(flags: Sequence[int], symbols: Sequence[bool], place: int) -> float:
    """What neighbours in capitals take from a word that is one too, unless they are symbols themselves."""
    total = 0.0
    for beside in (place - 1, place + 1):
        if 0 <= beside < len(flags) and flags[beside] & LOUD and not symbols[beside]:
            total += LOUD_BESIDE
    return total


def stands_by(words: frozenset[str], token: str) -> bool:
    """Whether a neighbour is one of a trap's words, or a time, a date or a number that it asks for."""
    word = bare(token)
    if word in words:
        return True
    return (
        ("#number" in words and _NUMBER.fullmatch(word) is not None)
        or ("#time" in words and _TIME.fullmatch(word) is not None)
        or ("#date" in words and _DATE.fullmatch(word) is not None)
    )
