"""The finder: which securities a message names, how it names them and how sure that is.

text ─► normalise ─► tokens ─► cashtags, classes ─► exchanges ─► names ─► bare symbols ─► the platform's word
     ─► one mention per symbol, of its day's letters
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from typing import Final

from tracker.mentions import evidence
from tracker.mentions.around import Around, is_shouted
from tracker.mentions.grammar import EXCHANGE, EXCHANGES, QUALIFIED
from tracker.mentions.letters import Letters
from tracker.mentions.names import Entry, NameTable, fits
from tracker.mentions.platform import OWN_CASHTAGS, believe, doubt_cashtags, offer
from tracker.mentions.prefilter import Prefilter
from tracker.mentions.prior import Counters, Counts, Form, count_forms
from tracker.mentions.tokens import Bare, Reader, Token
from tracker.models import Match, Mention
from tracker.text import plain_text
from tracker.universe import Alias, Doubt, Rename, Trap, Universe

LONGEST: Final = 40_000  # characters that are read; the longest Reddit post
MOST_WORDS: Final = 3_000  # of them, beside those that hold a dollar sign: some 18,000 characters of prose
MOST_TAGS: Final = 300  # dollar signs of a message: who tags more makes lists
NAME: Final = 0.8
CONTEXT_NAME: Final = 0.7  # a word that is also an issuer, beside a market word
LOWER_NAME: Final = 0.6  # such a word, or one that needs its capital letter, in lower case before "calls"
BRAND: Final = 0.3  # a name without any market word, where talk is about anything
CERTAIN: Final = 0.85  # the most that a bare symbol can reach
FLOOR: Final = -2.0  # log odds below which a bare word is not worth telling

_FORMS: Final[Mapping[Form, str]] = {
    "capitals": "symbol in capitals", "title": "symbol with a capital letter", "lower": "symbol in lower case"
}  # fmt: skip


class Finder:
    """Finds mentions in texts, by one universe and one person's lists. Immutable to its callers, safe to share."""

    def __init__(
        self,
        universe: Universe,
        doubts: Mapping[str, Doubt] | None = None,
        threshold: float = 0.5,
        block: Iterable[str] = (),
        allow: Iterable[str] = (),
        aliases: Mapping[str, Alias] | None = None,
        *,
        counters: Counters | None = None,
        renames: Iterable[Rename] = (),
        traps: Iterable[Trap] = (),
    ) -> None:
        """``doubts``: symbols that are also words. ``block`` and ``allow``: symbols that are never mentions, and such
        as count without a ``$`` whatever else they mean. ``counters``: what a stream taught about each symbol."""
        self.threshold = threshold
        self._universe = universe
        self._blocked = frozenset(map(universe.resolve, block))
        allowed = frozenset(map(universe.resolve, allow))
        self._doubts = {s: doubt for s, doubt in (doubts or {}).items() if universe.resolve(s) not in allowed}
        self.names = NameTable(aliases or {}, universe)
        self._letters = Letters(renames)
        traps = tuple(traps)
        self._name_before = {trap.what: trap.words for trap in traps if trap.side == "before" and trap.what.islower()}
        self._name_after = {trap.what: trap.words for trap in traps if trap.side == "after" and trap.what.islower()}
        self._flags = evidence.Flags()
        self.tokens = Reader(universe, self._doubts, allowed, self.names, traps, counters or {}, FLOOR)

    def find(
        self, text: str, platform: Sequence[str] = (), source: str = "", created_at: datetime | None = None
    ) -> list[Mention]:
        """All mentions in ``text``, one per symbol, in order of appearance; those that stand nowhere come last.

        ``platform``: the symbols that the source itself says the message is about. ``source`` is its name, for rules
        that differ by source; ``created_at`` decides which letters stood for an issuer on that day. What lies beyond
        ``LONGEST`` characters or ``MOST_TAGS`` dollar signs is not read, nor are words without one behind the first ``MOST_WORDS``, so that no message takes long.
        """
        plain, offsets = plain_text(_read_so_far(text))
        day = None if created_at is None else created_at.date()
        best: dict[str, Mention] = {}
        tokens = plain.split(None, MOST_WORDS)
        if len(tokens) > MOST_WORDS:  # the words of a very long text are too many, its dollar signs are not
            rest = tokens.pop()
            if "$" in rest:
                tokens += [token for token in rest.split() if "$" in token]
        read = list(map(self.tokens.__getitem__, tokens))
        if any(read):
            self._read(plain, tokens, read, source, day, best)
            if day is not None:
                self._letters.bring_up_to(day, best)
        if source in OWN_CASHTAGS and (platform or source == "x"):
            doubt_cashtags(self._universe, plain, platform, best, OWN_CASHTAGS[source])
        for symbol in platform:
            believe(self._universe, self.tokens.words, symbol, plain, best)
        if self._blocked:
            for symbol in self._blocked.intersection(best):
                del best[symbol]
        found = list(best.values())
        if len(found) > 1:
            found.sort(key=_by_place)
        return found if offsets is None else [_moved(mention, text, offsets) for mention in found]

    def counted(self, mentions: Iterable[Mention]) -> list[Mention]:
        """Those that are sure enough to be counted."""
        return [mention for mention in mentions if mention.confidence >= self.threshold]

    def canonical(self, symbol: str) -> str:
        """The one spelling of a symbol that a service names outside of any text."""
        return self._universe.resolve(symbol)

    @cached_property
    def prefilter(self) -> Prefilter:
        """For a firehose: built when it is first asked for."""
        return Prefilter(self._universe, self.tokens, self.names.names)

    def could_mention(self, text: str) -> bool:
        """A cheap look: False only for a text in which ``find`` (without platform symbols) would find nothing."""
        return bool(self.prefilter.keep([text]))

    def forms(self, text: str) -> dict[str, Counts]:
        """How one message writes the symbols that it may hold: what a stream counts to learn from."""
        plain, _ = plain_text(_read_so_far(text))
        return count_forms(plain, self.tokens.letters, is_shouted(plain.split()))

    # --------------------------------------------------------------------------------------------------- the forms

    def _read(
        self,
        plain: str,
        tokens: list[str],
        read: list[Token | None],
        source: str,
        day: date | None,
        best: dict[str, Mention],
    ) -> None:
        around = Around(plain, tokens, read, self._flags)
        bares: list[int] = []  # numbers of the tokens that may hold a symbol, and a name
        begins: list[int] = []
        exchange = False
        for number, token in enumerate(read):
            if token is None:
                continue
            if token.spans:
                place = around.start(number)
                for match, (symbol, first, last, confidence, reason) in token.spans:
                    seen = best.get(symbol)
                    if seen is None or confidence > seen.confidence:
                        start = place + first
                        best[symbol] = Mention(symbol, match, plain[start : place + last], start, confidence, reason)
            if token.bares:
                bares.append(number)
            if token.begins:
                begins.append(number)
            if token.exchange:
                exchange = True
        if exchange:
            self._find_by_exchange(plain, best)
        if not bares and not begins:
            return
        named = self._find_names(around, begins, source, day, best) if begins else []
        if bares:
            self._find_bare(around, bares, named, best)

    def _find_by_exchange(self, text: str, best: dict[str, Mention]) -> None:
        for match in EXCHANGE.finditer(text):
            bracket, exchange, surface = match.groups()
            market = EXCHANGES[exchange]
            apart = match.start(3) > match.end(2) + 1
            if surface.isdigit() != (market == "HK") or (apart and not bracket and surface in self.tokens.words):
                continue  # "Nasdaq: UP 2%" is prose, "(NYSE: UP)" and "NYSE:UP" are symbols
            symbol = self._universe.canonical(surface)
            if market and symbol not in self._universe:
                symbol = self._universe.canonical(f"{surface}.{market}")
            offer(best, symbol, "qualified", surface, match.start(3), QUALIFIED, f"behind {exchange}:")

    def _find_names(
        self, around: Around, begins: list[int], source: str, day: date | None, best: dict[str, Mention]
    ) -> list[tuple[int, int]]:
        """The names, longest first where several fit; where they stand, so that nothing in them is read again."""
        named: list[tuple[int, int]] = []
        done = 0
        final = len(around.tokens) - 1
        for number in begins:
            token = around.read[number]
            assert token is not None
            for begin in token.begins:
                runs_on = number < final and around.tokens[number + 1][0].lower() in begin.seconds
                if not runs_on and begin.whole is None:
                    continue
                start = around.start(number) + begin.start
                if start < done:
                    continue
                entry = (fits(begin.longer, around.text, start) if runs_on else None) or begin.whole
                if entry is None:
                    continue
                end = start + len(entry.name)
                last = number + entry.name.count(" ")
                confidence = self._name_odds(around, entry, around.text[start:end], number, last)
                if confidence is None:
                    continue
                if confidence > BRAND and source in evidence.NOT_ABOUT_MARKETS and not (best or around.of_markets()):
                    confidence = BRAND
                done = end
                named.append((start, end))
                symbol = self._letters.on(entry.symbol, day)
                offer(best, symbol, "name", around.text[start:end], start, confidence, f"name: {entry.name}")
        return named

    def _name_odds(self, around: Around, entry: Entry, surface: str, first: int, last: int) -> float | None:
        """How sure a name is by its case, its neighbours and what it needs; None when it is something else."""
        name = entry.name
        if (
            name in self._name_before
            and first
            and evidence.stands_by(self._name_before[name], around.tokens[first - 1])
        ):
            return None
        behind = last + 1
        if (
            name in self._name_after
            and behind < len(around.tokens)
            and not around.flags[last] & evidence.END
            and evidence.stands_by(self._name_after[name], around.tokens[behind])
        ):
            return None
        if entry.need == "free":
            return NAME
        title = _is_title(surface)
        if entry.need == "capital" and title:
            return NAME
        beside = evidence.evidence(around.flags, around.symbols, last)
        if not title:
            return LOWER_NAME if beside >= evidence.WORD_BEHIND and not entry.listed else None
        if around.is_shouted():
            return NAME if beside >= evidence.WORD_BEHIND else None
        return CONTEXT_NAME if beside > 0 or around.market_word_near(first, last) else None

    def _find_bare(
        self, around: Around, bares: list[int], named: list[tuple[int, int]], best: dict[str, Mention]
    ) -> None:
        company = evidence.SYMBOL_IN_MESSAGE if best else 0.0
        flags, symbols = around.flags, around.symbols
        for number in bares:
            token = around.read[number]
            assert token is not None
            for bare in token.bares:
                start = around.start(number) + bare.start
                if named and any(begin <= start < end for begin, end in named):
                    continue
                symbol = bare.symbol
                odds = bare.points + company + evidence.evidence(flags, symbols, number)
                if bare.future and self._speaks_of_futures(around, number):
                    symbol = bare.future
                    odds += evidence.OF_A_FUTURE
                if bare.points < evidence.OBSCURE and not best and not around.of_markets():
                    odds += evidence.OFF_TOPIC
                if bare.need == "context":
                    odds += evidence.loudness(flags, symbols, number)
                if bare.form == "capitals" and around.is_shouted():
                    odds += evidence.SHOUTED[bare.need] - (0.0 if bare.points > evidence.OBSCURE else 1.5)
                if odds < FLOOR or self._is_trap(around, bare, number):
                    continue
                surface = around.tokens[number][bare.start : bare.end]
                reason = f"also: {bare.reason}" if bare.reason else _FORMS[bare.form]
                kind: Match = "name" if bare.is_name else "symbol"
                offer(best, symbol, kind, surface, start, _confidence(odds), reason)

    @staticmethod
    def _speaks_of_futures(around: Around, number: int) -> bool:
        behind = number + 1
        return behind < len(around.tokens) and evidence.bare(around.tokens[behind]) in evidence.OF_FUTURES

    @staticmethod
    def _is_trap(around: Around, bare: Bare, number: int) -> bool:
        if bare.before and number and evidence.stands_by(bare.before, around.tokens[number - 1]):
            return True
        return bool(
            bare.after and number + 1 < len(around.tokens) and evidence.stands_by(bare.after, around.tokens[number + 1])
        )


def _is_title(surface: str) -> bool:
    """Each longer word begins with a capital letter: "Bank of America", not "first american"."""
    return all(word[0].isupper() or not word[0].isalpha() for word in surface.split() if len(word) > 3) and (
        surface[0].isupper() or not surface[0].isalpha()
    )


def _confidence(odds: float) -> float:
    return round(min(CERTAIN, 1.0 / (1.0 + math.exp(-odds))), 2)


def _by_place(mention: Mention) -> tuple[bool, int, str]:
    return (mention.start is None, mention.start or 0, mention.symbol)


def _moved(mention: Mention, text: str, offsets: Sequence[int]) -> Mention:
    """The mention where it stands in the text as it came, before entities were written out."""
    if mention.start is None or mention.surface is None:
        return mention
    start, end = offsets[mention.start], offsets[mention.start + len(mention.surface)]
    return Mention(mention.symbol, mention.match, text[start:end], start, mention.confidence, mention.reason)


def _read_so_far(text: str) -> str:
    """As much of a text as is read: whole words, for half of one may be another symbol."""
    if len(text) > LONGEST:
        text = text[:LONGEST] if text[LONGEST].isspace() else text[:LONGEST].rsplit(None, 1)[0]
    if len(text) > 2 * MOST_TAGS and text.count("$") > MOST_TAGS:
        text = "$".join(text.split("$", MOST_TAGS + 1)[: MOST_TAGS + 1])
    return text
