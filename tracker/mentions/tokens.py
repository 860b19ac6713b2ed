"""What one token of a message (text between white space) can hold: read once, then remembered.

A stream repeats its words, so all that depends on the token alone is worked out here: its cashtags, the symbols that
its letters may be with their points, the names that may begin in it, and its flags as a neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tracker.mentions import evidence
from tracker.mentions.grammar import EXCHANGE_WORD, EXCHANGES, LETTERS, Span, cashtags, lines
from tracker.mentions.names import Entry, NameTable
from tracker.mentions.prior import NEVER, Counters, Form, habit_of, points
from tracker.models import Match
from tracker.text import lower_in_place
from tracker.universe import Doubt, Trap, Universe

_PIECE: Final = re.compile(r"[0-9A-Za-z\u00c0-\u058f]+")
_NOT_BEFORE: Final = frozenset("$@&_'’")
_MARKS: Final = ".,!?;:()[]\"'*“”‘’…-"
_SURE: Final = 1.5  # points of capitals that are a symbol whatever stands beside them
_MOST: Final = 100_000  # tokens remembered


class Bare(NamedTuple):
    """Letters of a token that may be a symbol without a ``$``."""

    symbol: str
    start: int  # within the token
    end: int
    points: float  # log odds, neighbours not yet seen
    form: Form
    need: str  # what the letters need to be the security
    reason: str  # what else they mean; empty where nothing is known
    is_name: bool  # not in capitals, and the issuer is called so: Sony, uber
    before: frozenset[str]  # neighbours that show them to be something else
    after: frozenset[str]
    future: str  # the future of the same letters, for ES beside "puts" or "futures"; empty where there is none


class Begin(NamedTuple):
    """A word at which names may begin."""

    start: int  # within the token
    whole: Entry | None  # the longest that ends within the token
    longer: tuple[Entry, ...]  # those that run on behind it, longest first
    seconds: frozenset[str]  # first letters that the next token must have for one of those


@dataclass(frozen=True, slots=True)
class Token:
    """All that is of interest in one token; of one that has nothing there is none."""

    spans: tuple[tuple[Match, Span], ...]  # cashtags, and symbols with a class or a market
    bares: tuple[Bare, ...]
    begins: tuple[Begin, ...]
    exchange: bool  # may be the first part of "NYSE: BABA"
    sure: bool  # holds a cashtag, or capitals that are a symbol whatever stands beside them


NOTHING: Final[frozenset[str]] = frozenset()


class Reader(dict[str, Token | None]):
    """Token -> what it holds; a dictionary that reads what it does not know yet."""

    def __init__(
        self,
        universe: Universe,
        doubts: Mapping[str, Doubt],
        allowed: frozenset[str],
        names: NameTable,
        traps: tuple[Trap, ...],
        counters: Counters,
        floor: float,
    ) -> None:
        """``floor``: log odds below which, with all the evidence there can be, letters are not looked at again."""
        super().__init__()
        self._universe = universe
        self._doubts = doubts
        self.words = frozenset(letters for letters, doubt in doubts.items() if doubt.need != "capital")
        self._allowed = allowed
        self._names = names
        self._counters = counters
        known = (info.symbol for symbol in universe if (info := universe.get(symbol)) is not None and info.known)
        self._habit = habit_of(counters, (symbol for symbol in known if symbol not in doubts))
        self._floor = floor
        self.letters = frozenset(
            letters
            for symbol in universe
            if (letters := symbol.removesuffix(".X")).isalpha() and len(letters) <= LETTERS
        )
        # most words of most messages are none of these: no name begins there, and no symbol has these letters (AMDs)
        lowered = {letters.lower() for letters in self.letters}
        self._telling = frozenset(
            {*names.words, *map(str.lower, EXCHANGES), *lowered, *(f"{letters}s" for letters in lowered)}
        )
        self._before = {trap.what: trap.words for trap in traps if trap.side == "before"}
        self._after = {trap.what: trap.words for trap in traps if trap.side == "after"}

    def __missing__(self, token: str) -> Token | None:
        if len(self) >= _MOST:
            self.clear()
        found = self._read(token)
        self[token] = found
        return found

    def _read(self, token: str) -> Token | None:
        word = token if token.isalpha() else token.strip(_MARKS)
        if word.isascii() and word.isalpha() and word.lower() not in self._telling:
            return None
        tags = (
            tuple(tag for tag in cashtags(token, self._universe) if not self._is_joke(tag.symbol))
            if "$" in token
            else ()
        )
        spans = tuple(lines(token, self._universe, self.words)) if not token.isalpha() else ()
        taken = [(span.start, span.end) for span in (*tags, *spans)]
        bares: list[Bare] = []
        begins: list[Begin] = []
        lowered = lower_in_place(token)
        for piece in _PIECE.finditer(token):
            start, end = piece.span()
            if any(begin <= start < stop for begin, stop in taken) or (start and token[start - 1] in "$@"):
                continue
            word = piece[0]
            whole, longer = self._names.beginning(token, lowered, start, lowered[start:end])
            if whole is not None or longer:
                seconds = frozenset(entry.name[len(entry.head) + 1] for entry in longer)
                begins.append(Begin(start, whole, longer, seconds))
            if word.isascii() and word.isalpha() and len(word) <= LETTERS + 1 and self._stands_alone(token, start, end):
                bare = self._bare(word, start)
                if bare is not None and (whole is None or whole.symbol == bare.symbol or len(whole.name) != len(word)):
                    bares.append(bare)
        exchange = EXCHANGE_WORD.search(token) is not None
        if not (tags or spans or bares or begins or exchange):
            return None
        forms: tuple[tuple[Match, Span], ...] = (
            *(("cashtag", span) for span in tags),
            *(("qualified", span) for span in spans),
        )
        sure = bool(forms) or any(bare.points > _SURE and bare.form == "capitals" for bare in bares)
        return Token(forms, tuple(bares), tuple(begins), exchange, sure)

    def may_be(self, word: str) -> bool:
        """Whether a word, written so, can be a symbol without a ``$`` where all that stands around it speaks for it."""
        return self._bare(word, 0) is not None

    def _is_joke(self, symbol: str) -> bool:
        """$WSB is written often and is no security."""
        doubt = self._doubts.get(symbol)
        return doubt is not None and doubt.need == "never"

    def _future_of(self, upper: str, need: str) -> str:
        return f"{upper}_F" if need == "context" and f"{upper}_F" in self._universe else ""

    @staticmethod
    def _stands_alone(token: str, start: int, end: int) -> bool:
        """Not the T of AT&T, the M of I'M, a part of GME_fan; nor the first half of one of these."""
        if start and token[start - 1] in _NOT_BEFORE:
            return False
        if end < len(token):
            behind = token[end]
            return not (behind == "_" or (behind == "&" and token[end + 1 : end + 2].isalpha()))
        return True

    def _bare(self, word: str, start: int) -> Bare | None:
        upper = word.upper()
        form: Form = "capitals" if word == upper else ("lower" if word.islower() else "title")
        end = start + len(word)
        if word[-1] == "s" and len(word) > 2 and word[:-1].isupper():  # AMDs
            upper, form, end = upper[:-1], "capitals", end - 1
        if len(upper) > LETTERS:
            return None
        symbol = self._universe.resolve(upper)
        info = self._universe.get(symbol)
        if info is None:
            return None
        if symbol in self._allowed:
            return Bare(
                symbol, start, end, 3.0 if form == "capitals" else 1.0, form, "free", "", False, NOTHING, NOTHING, ""
            )
        doubt = self._doubts.get(upper)
        odds = points(info, upper, form, doubt, self._counters.get(upper), self._habit)
        if odds <= NEVER or odds + evidence.MOST < self._floor:
            return None
        need, reason = ("free", "") if doubt is None else (doubt.need, doubt.reason)
        is_name = form != "capitals" and info.name.upper().partition(" ")[0] == upper
        before, after = self._before.get(upper, NOTHING), self._after.get(upper, NOTHING)
        return Bare(symbol, start, end, odds, form, need, reason, is_name, before, after, self._future_of(upper, need))
