"""What a platform itself says a message is about, put beside what was read in its words. Pure."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final

from tracker.models import Match, Mention
from tracker.text import glues, upper_in_place
from tracker.universe import Universe

WRITTEN_BY_PLATFORM: Final = 1.0
ONLY_BY_PLATFORM: Final = 0.6
PASSED_OVER: Final = 0.4  # a cashtag that its own platform did not take for one

# platforms that resolve cashtags themselves, and what one that they passed over is worth: X misses tags that are glued
# to punctuation, StockTwits knows its own symbols and their aliases
OWN_CASHTAGS: Final = {"x": 0.7, "stocktwits": PASSED_OVER}


def offer(
    best: dict[str, Mention],
    symbol: str,
    match: Match,
    surface: str | None,
    start: int | None,
    confidence: float,
    reason: str,
) -> None:
    """Keep the stronger of two mentions of one symbol, the earlier one of equals."""
    seen = best.get(symbol)
    if seen is None or confidence > seen.confidence:
        best[symbol] = Mention(symbol, match, surface, start, confidence, reason)


def doubt_cashtags(
    universe: Universe, text: str, platform: Sequence[str], best: dict[str, Mention], confidence: float
) -> None:
    """Where a platform resolves cashtags itself, one that it passed over is none: glued, misspelled or unknown."""
    resolved = {universe.resolve(symbol) for symbol in platform}
    for symbol, seen in best.items():
        if seen.match == "cashtag" and symbol not in resolved:
            cut = seen.start is not None and text.startswith("…", seen.start + len(seen.surface or ""))
            sure = confidence if symbol in universe and not cut else PASSED_OVER
            best[symbol] = Mention(
                symbol, "symbol", seen.surface, seen.start, sure, "not taken for a cashtag by the platform"
            )


def believe(universe: Universe, words: Container[str], symbol: str, text: str, best: dict[str, Mention]) -> None:
    resolved = universe.resolve(symbol)
    if not resolved:
        return
    seen = best.get(resolved)
    if seen is not None and seen.match != "name":
        surface, start = seen.surface, seen.start
    else:
        surface, start = _written(resolved, text, words)
    if start is not None:
        reason = "named by the platform, and written"
        offer(best, resolved, "platform", surface, start, WRITTEN_BY_PLATFORM, reason)
    elif seen is not None:  # the issuer's name stands there, the symbol was cut off or added
        best[resolved] = Mention(
            resolved, "platform", seen.surface, seen.start, max(seen.confidence, ONLY_BY_PLATFORM),
            "named by the platform, and by name",
        )  # fmt: skip
    else:
        reason = "named by the platform, not written"
        offer(best, resolved, "platform", None, None, ONLY_BY_PLATFORM, reason)


def _written(symbol: str, text: str, words: Container[str]) -> tuple[str | None, int | None]:
    """Where a symbol stands as a word of its own: in any case, or in capitals where it is also a word."""
    token = symbol.removesuffix(".X")
    if len(token) < 2:
        return None, None
    upper = text if token in words else upper_in_place(text)
    start = upper.find(token)
    while start >= 0:
        end = start + len(token)
        if not (start and glues(text[start - 1])) and not (end < len(text) and glues(text[end])):
            return text[start:end], start
        start = upper.find(token, end)
    return None, None
