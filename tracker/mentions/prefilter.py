"""A cheap look at many messages at once: which of them can the finder have anything to say about.

    texts ─► joined ─► entities written out ─► everything but letters, digits and $ made blank ─► two automata

One automaton looks for what counts in any case (names, $ and a letter, symbols that are no words), the other for what
counts in capitals only. It may keep a message in which the finder then finds nothing; it never drops one in which it
would find something. Most of a firehose is dropped at a fraction of the price of reading it.
"""

from __future__ import annotations

import string
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

from ahocorasick_rs import BytesAhoCorasick, Implementation

from tracker.mentions.grammar import EXCHANGES, LETTERS, MARKETS
from tracker.mentions.tokens import Reader
from tracker.text import write_out
from tracker.universe import Universe

_SEAM: Final = "\0"  # between two messages
_WORD: Final = frozenset((string.ascii_letters + string.digits + "$").encode())
# Whatever else a character is, to the automata it is a blank: they keep too much rather than too little.
_TABLE: Final = bytes(code if code in _WORD else 32 for code in range(256))
_DIGITS: Final = string.digits
_SMALL: Final = string.ascii_lowercase


class Prefilter:
    """Made of the tables of one finder; building it takes a second, so it is built where a firehose is read."""

    def __init__(self, universe: Universe, reader: Reader, names: Iterable[str]) -> None:
        any_case, capitals = _patterns(universe, reader, names)
        self._any_case = _automaton(any_case)
        self._capitals = _automaton(capitals)

    def keep(self, texts: Sequence[str]) -> list[int]:
        """The places, in order, of the texts that may mention something."""
        joined = _SEAM.join(texts)
        if joined.count(_SEAM) != len(texts) - 1:
            texts = [text.replace(_SEAM, " ") for text in texts]
            joined = _SEAM.join(texts)
        # a $ ends the word before it
        raw = write_out(joined).encode("utf-8", "surrogatepass").replace(b"$", b" $")
        plain = b" " + raw.translate(_TABLE) + b" "
        found = self._capitals.find_matches_as_indexes(plain, overlapping=True)
        found += self._any_case.find_matches_as_indexes(plain.lower(), overlapping=True)
        if not found:
            return []
        seams = list(accumulate(len(part) + 1 for part in raw.split(_SEAM.encode())))
        # a match begins with a blank, which may be the seam itself: its second character is within the text
        return sorted({bisect_right(seams, start) for _, start, _ in found})


def _automaton(words: set[str]) -> BytesAhoCorasick:
    patterns = sorted(word.encode("utf-8", "surrogatepass").translate(_TABLE) for word in words)
    return BytesAhoCorasick(patterns, implementation=Implementation.DFA)


def _patterns(universe: Universe, reader: Reader, names: Iterable[str]) -> tuple[set[str], set[str]]:
    """What to look for in any case, and in capitals only; most with the blanks around it that make it a word."""
    any_case = {f" {name} " for name in names} | {f" {name}s " for name in names}
    any_case |= {f"${letter}" for letter in _SMALL}
    any_case |= {f"${digit}{letter}" for digit in _DIGITS for letter in _SMALL}  # $6E_F
    any_case.add(" hk ")  # 700.HK
    capitals = {f" {exchange} " for exchange in EXCHANGES}
    capitals |= {f" {market} " for market in (*MARKETS, "X", "TSX")}  # VOD.L; TSX-V
    for word in reader.letters:
        small = word.lower()
        if reader.may_be(small) or (len(word) > 1 and reader.may_be(word.title())):
            any_case.add(f" {small} ")
        elif reader.may_be(word):
            capitals.add(f" {word} ")
        if reader.may_be(word):
            capitals.add(f" {word}s ")  # AMDs
    for symbol in universe:  # BRK.B, ES_F: letters, a mark, one or two letters
        base, mark, suffix = symbol.partition("_" if "_" in symbol else ".")
        if mark and base.isalpha() and 1 <= len(suffix) <= 2 and len(base) <= LETTERS and suffix not in MARKETS:
            capitals.add(f" {base} {suffix} ")
    return any_case, capitals
