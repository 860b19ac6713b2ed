"""Which securities a message names, how it names them and how sure that is. Pure: no clock, no network.

    text ─► normalise ─► cashtags ─► qualified forms ─► bare symbols ─► names ─► the platform's word ─► best per symbol

Confidence is a statement about the form, not about the opinion: 0.95 a cashtag that we know, 0.9 ``NYSE: BABA``,
0.7 a bare symbol in capitals, 0.2 one that is also a word. Everything found is returned, one mention per symbol;
what is counted is what reaches the threshold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from tracker.errors import BadInput
from tracker.models import Match, Mention
from tracker.text import glues, lower_in_place, normalise, upper_in_place
from tracker.universe import Universe, load_aliases, load_ambiguous, load_universe

WRITTEN_BY_PLATFORM: Final = 1.0
KNOWN_CASHTAG: Final = 0.95
QUALIFIED: Final = 0.9
UNKNOWN_CASHTAG: Final = 0.8
BARE_SYMBOL: Final = 0.7
NAME: Final = 0.7
ODD_CASHTAG: Final = 0.6  # unknown, one or six letters
ONLY_BY_PLATFORM: Final = 0.6
LOWER_CASHTAG: Final = 0.55  # unknown and in lower case: $cash
SHOUTED_SYMBOL: Final = 0.4
AMBIGUOUS_SYMBOL: Final = 0.2

# ------------------------------------------------------------------------------------------------------- the grammar

# Begins at the first $ of a run only: a message of 40,000 of them is read once, not 40,000 times.
_CASHTAG: Final = re.compile(r"\$(?<!\$\$)\$*+([^\W_][\w./-]{0,23})")
# A symbol ends before anything but more letters of an alphabet with spaces: $TSLA is complete before kana.
_END: Final = r"(?![A-Za-z0-9_\u00c0-\u058f])"
_FUTURE: Final = re.compile(r"[0-9]?[A-Za-z]{1,3}_[Ff]" + _END)
_COIN: Final = re.compile(r"(?=[0-9]*[A-Za-z])[A-Za-z0-9]{1,12}[.-][Xx]" + _END)
_PAIR: Final = re.compile(r"([A-Za-z]{3})/([A-Za-z]{3})" + _END)
_PREFERRED: Final = re.compile(r"([A-Za-z]{1,5})\.PR\.?([A-Z])" + _END)
_MARKETS: Final = frozenset(
    ("TO", "V", "CN", "NE", "CA", "L", "AX", "DE", "PA", "AS", "MI", "SW", "NS", "BO", "KS", "IN")
)
_HOME: Final = re.compile(rf"(?:[A-Za-z]{{1,5}}\.(?:{'|'.join(sorted(_MARKETS))})|[0-9]{{1,5}}\.HK)" + _END)
_CLASS: Final = re.compile(r"[A-Za-z]{1,5}[./-][A-Za-z]" + _END)
_PLAIN: Final = re.compile(r"[A-Za-z]{1,10}" + _END)
_PLURAL: Final = re.compile(r"[A-Z]{2,5}s")
_CURRENCIES: Final = frozenset(
    ("USD", "EUR", "GBP", "JPY", "CHF", "AUD", "CAD", "NZD", "CNY", "CNH", "HKD", "INR", "MXN", "SEK", "NOK", "XAU")
)
_LETTERS: Final = 6  # a longer cashtag is money talk unless the universe has it

# What an exchange's word before a colon adds to the symbol behind it: nothing in the United States.
_EXCHANGES: Final = {
    **dict.fromkeys(("NYSE", "NYSEARCA", "NYSEAMERICAN", "NYSEMKT", "AMEX", "ARCA", "BATS", "CBOE"), ""),
    **dict.fromkeys(("NASDAQ", "Nasdaq", "NasdaqGS", "OTC", "OTCQB", "OTCQX", "OTCBB", "OTCMKTS", "OTCPK"), ""),
    **dict.fromkeys(("TSX", "TSXV", "TSX-V", "CSE", "NEO", "CVE", "TSE"), "CA"),
    **dict.fromkeys(("LSE", "LON", "AIM"), "L"),
    **dict.fromkeys(("HKEX", "HKG", "SEHK", "HKSE"), "HK"),
    "ASX": "AX",
}
# Texts without a colon never get here.
_EXCHANGE: Final = re.compile(
    rf"([(\[]?)\b({'|'.join(sorted(map(re.escape, _EXCHANGES), key=len, reverse=True))})\s?:\s{{0,2}}"
    r"([A-Z]{1,5}(?:[./-][A-Z])?|[0-9]{1,5})" + _END
)
_HONG_KONG: Final = re.compile(r"[0-9]{1,5}\.HK" + _END)
_BARE: Final = re.compile(
    r"([A-Z]{2,6})(?:([./_-])([A-Z]{1,2})" + _END + r")?s?(?![A-Za-z0-9_\u00c0-\u058f]|&[A-Za-z])"
)
_NOT_BEFORE: Final = frozenset("$@&_")  # $GME is a cashtag; the T of AT&T is no symbol
_WORD: Final = re.compile(r"[^\W\d_]+")
_CANDIDATE: Final = re.compile(r"[$]|[A-Z][A-Z]|:\s{0,2}[A-Z0-9]|\.HK")


# platforms that resolve cashtags themselves, and what one that they passed over is worth: X misses tags that are glued
# to punctuation, StockTwits knows its own symbols and their aliases
_OWN_CASHTAGS: Final = {"x": BARE_SYMBOL, "stocktwits": SHOUTED_SYMBOL}


class _Tag(NamedTuple):
    symbol: str  # canonical
    length: int  # of what was read, without the $
    confidence: float
    reason: str


class Finder:
    """Finds mentions in texts, by one universe and one person's lists. Immutable to its callers, safe to share."""

    def __init__(
        self,
        universe: Universe,
        ambiguous: Mapping[str, str],
        threshold: float = 0.5,
        block: Iterable[str] = (),
        allow: Iterable[str] = (),
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        """``ambiguous``: bare symbols that are also words, with the reason. ``block`` and ``allow``: symbols that are
        never mentions, and ambiguous ones that are to count. ``aliases``: name -> symbol, matched as whole words."""
        self.threshold = threshold
        self._universe = universe
        self._blocked = frozenset(map(universe.resolve, block))
        allowed = frozenset(map(universe.resolve, allow))
        self._ambiguous = {s: reason for s, reason in ambiguous.items() if universe.resolve(s) not in allowed}
        self._bare = _bare_tokens(universe, allowed)
        self._names = _NameTable(aliases or {}, universe)
        self._tags: dict[str, _Tag | None] = {}  # memo of read_cashtag; a stream repeats few hundred of them

    def find(self, text: str, platform: Sequence[str] = (), source: str = "") -> list[Mention]:
        """All mentions in ``text``, one per symbol, in order of appearance; those that stand nowhere come last.

        ``platform``: the symbols that the source itself says the message is about. ``source`` is its name, for rules
        that differ by source; there are none yet.
        """
        plain = normalise(text)
        best: dict[str, Mention] = {}
        if "$" in plain:
            self._find_cashtags(plain, best)
        if ":" in plain:
            self._find_by_exchange(plain, best)
        if ".HK" in plain:
            self._find_hong_kong(plain, best)
        self._find_bare(plain, best)
        self._names.find(plain, best)
        if source in _OWN_CASHTAGS and (platform or source == "x"):
            self._doubt_cashtags(plain, platform, best, _OWN_CASHTAGS[source])
        for symbol in platform:
            self._believe_platform(symbol, plain, best)
        for symbol in self._blocked.intersection(best):
            del best[symbol]
        if len(best) < 2:
            return list(best.values())
        return sorted(best.values(), key=_by_place)

    def counted(self, mentions: Iterable[Mention]) -> list[Mention]:
        """Those that are sure enough to be counted."""
        return [mention for mention in mentions if mention.confidence >= self.threshold]

    def could_mention(self, text: str) -> bool:
        """A cheap look: False only for a text in which ``find`` (without platform symbols) would find nothing."""
        plain = normalise(text)
        return _CANDIDATE.search(plain) is not None or self._names.could_be_in(plain)

    # -------------------------------------------------------------------------------------------------- the forms

    def _find_cashtags(self, text: str, best: dict[str, Mention]) -> None:
        for match in _CASHTAG.finditer(text):
            start = match.start()
            if start and glues(text[start - 1]):
                continue
            body = match[1]
            if body in self._tags:
                tag = self._tags[body]
            else:
                tag = read_cashtag(body, self._universe)
                if len(self._tags) > 50_000:
                    self._tags.clear()
                self._tags[body] = tag
            if tag is not None:
                surface = text[start : match.start(1) + tag.length]
                _offer(best, tag.symbol, "cashtag", surface, start, tag.confidence, tag.reason)

    def _find_by_exchange(self, text: str, best: dict[str, Mention]) -> None:
        for match in _EXCHANGE.finditer(text):
            bracket, exchange, surface = match.groups()
            market = _EXCHANGES[exchange]
            if surface.isdigit() != (market == "HK") or (surface in self._ambiguous and not bracket):
                continue  # "Nasdaq: UP 2%" is prose, "(NYSE: UP)" is a symbol
            symbol = self._universe.canonical(surface)
            if market and symbol not in self._universe:
                symbol = self._universe.canonical(f"{surface}.{market}")
            _offer(best, symbol, "qualified", surface, match.start(3), QUALIFIED, f"behind {exchange}:")

    def _find_hong_kong(self, text: str, best: dict[str, Mention]) -> None:
        for match in _HONG_KONG.finditer(text):
            start = match.start()
            if start and (glues(text[start - 1]) or text[start - 1] in "$.,"):
                continue
            symbol = self._universe.canonical(match[0])
            _offer(best, symbol, "qualified", match[0], start, QUALIFIED, "number and market")

    def _find_bare(self, text: str, best: dict[str, Mention]) -> None:
        shouted: bool | None = None
        for match in _BARE.finditer(text):
            start = match.start()
            if start and (glues(text[start - 1]) or text[start - 1] in _NOT_BEFORE):
                continue
            tokens = [(match[1], start)]
            if match[2]:
                surface = text[start : match.end(3)]
                symbol = self._qualified(surface, match[3])
                if symbol:
                    _offer(best, symbol, "qualified", surface, start, QUALIFIED, "symbol and class or market")
                    continue
                tokens.append((match[3], match.start(3)))
            for token, place in tokens:
                found = self._bare.get(token)
                if found is None:
                    continue
                reason = self._ambiguous.get(token)
                if reason is not None:
                    _offer(best, found, "symbol", token, place, AMBIGUOUS_SYMBOL, f"also: {reason}")
                    continue
                if shouted is None:
                    shouted = self._is_shouted(text)
                if shouted:
                    _offer(best, found, "symbol", token, place, SHOUTED_SYMBOL, "message in capitals")
                else:
                    _offer(best, found, "symbol", token, place, BARE_SYMBOL, "known symbol in capitals")

    def _qualified(self, surface: str, suffix: str) -> str | None:
        """The symbol of ``BRK/B`` or ``VOD.L``; None when the second part is no class and no market: ``AMC/GM``."""
        symbol = self._universe.canonical(surface)
        if symbol in self._universe:
            return symbol
        base, separator = surface[: -len(suffix) - 1], surface[-len(suffix) - 1]
        is_line = separator == "." and (suffix in _MARKETS or suffix == "X") and base not in self._ambiguous
        return symbol if is_line else None

    def _is_shouted(self, text: str) -> bool:
        """Beside its symbols more than three words, and more than 60 % of their letters in words of capitals.

        A list of symbols is no shouting, and in ``GME TO THE MOON`` the rest is too short to tell.
        """
        words = letters = capitals = 0
        for word in _WORD.findall(text):
            if word in self._bare and word not in self._ambiguous:
                continue
            words += 1
            letters += len(word)
            if word.isupper():
                capitals += len(word)
        return words > 3 and capitals > 0.6 * letters

    def _doubt_cashtags(self, text: str, platform: Sequence[str], best: dict[str, Mention], confidence: float) -> None:
        """Where a platform resolves cashtags itself, one that it passed over is no cashtag: glued, misspelled or unknown."""
        resolved = {self._universe.resolve(symbol) for symbol in platform}
        for symbol, seen in best.items():
            if seen.match == "cashtag" and symbol not in resolved:
                cut = seen.start is not None and text.startswith("…", seen.start + len(seen.surface or ""))
                sure = confidence if symbol in self._universe and not cut else SHOUTED_SYMBOL
                best[symbol] = Mention(
                    symbol, "symbol", seen.surface, seen.start, sure, "not taken for a cashtag by the platform"
                )

    def _believe_platform(self, symbol: str, text: str, best: dict[str, Mention]) -> None:
        resolved = self._universe.resolve(symbol)
        if not resolved:
            return
        seen = best.get(resolved)
        if seen is not None and seen.match != "name":
            surface, start = seen.surface, seen.start
        else:
            surface, start = self._written(resolved, text)
        if start is not None:
            reason = "named by the platform, and written"
            _offer(best, resolved, "platform", surface, start, WRITTEN_BY_PLATFORM, reason)
        elif seen is not None:  # the issuer's name stands there, the symbol was cut off or added
            best[resolved] = Mention(
                resolved, "platform", seen.surface, seen.start, seen.confidence, "named by the platform, and by name"
            )
        else:
            reason = "named by the platform, not written"
            _offer(best, resolved, "platform", None, None, ONLY_BY_PLATFORM, reason)

    def _written(self, symbol: str, text: str) -> tuple[str | None, int | None]:
        """Where a symbol stands in any case, as a word of its own; a word that is ambiguous does not count."""
        token = symbol.removesuffix(".X")
        if len(token) < 2 or token in self._ambiguous:
            return None, None
        upper = upper_in_place(text)
        start = upper.find(token)
        while start >= 0:
            end = start + len(token)
            if not (start and glues(text[start - 1])) and not (end < len(text) and glues(text[end])):
                return text[start:end], start
            start = upper.find(token, end)
        return None, None


def make_finder(
    extra: Iterable[str] = (),
    *,
    threshold: float = 0.5,
    block: Iterable[str] = (),
    allow: Iterable[str] = (),
    aliases: Mapping[str, str] | None = None,
) -> Finder:
    """A finder from the tables that come with the program and a person's lists; ``extra`` is the watch-list."""
    allow = tuple(allow)
    names = {**load_aliases(), **(aliases or {})}
    universe = load_universe((*extra, *allow, *(aliases or {}).values()))
    return Finder(universe, load_ambiguous(), threshold, block, allow, names)


def read_cashtag(body: str, universe: Universe) -> _Tag | None:
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
        if len(word) > _LETTERS:
            return None
        if _PLURAL.fullmatch(word) and universe.resolve(word[:-1]) in universe:
            return _Tag(universe.resolve(word[:-1]), len(word) - 1, KNOWN_CASHTAG, "cashtag")
        if word.islower():
            return _Tag(symbol, len(word), LOWER_CASHTAG, "cashtag in lower case, unknown symbol")
    return _tag(symbol, match, universe, UNKNOWN_CASHTAG if 2 <= len(word) < _LETTERS else ODD_CASHTAG)


def _tag(symbol: str, match: re.Match[str], universe: Universe, unknown: float) -> _Tag:
    if symbol in universe:
        return _Tag(symbol, match.end(), KNOWN_CASHTAG, "cashtag")
    return _Tag(symbol, match.end(), unknown, "cashtag, unknown symbol")


def _bare_tokens(universe: Universe, allowed: Iterable[str]) -> dict[str, str]:
    """What may stand without a $: the token in capitals -> its symbol; a coin also by its short name."""
    tokens = {symbol: symbol for symbol in (*universe, *allowed) if symbol.isalpha() and 2 <= len(symbol) <= _LETTERS}
    for symbol in universe:
        if symbol.endswith(".X") and 2 <= len(symbol) - 2 <= _LETTERS:
            tokens.setdefault(symbol[:-2], symbol)
    return tokens


def _offer(
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


def _by_place(mention: Mention) -> tuple[bool, int, str]:
    return (mention.start is None, mention.start or 0, mention.symbol)


# --------------------------------------------------------------------------------------------------- names


class _NameTable:
    """Names of issuers and coins, found by their first word; the longest that fits wins. No alternation: linear."""

    def __init__(self, aliases: Mapping[str, str], universe: Universe) -> None:
        by_word: dict[str, list[tuple[str, str]]] = {}
        for name, symbol in aliases.items():
            lowered = " ".join(name.lower().split())
            first = _WORD.search(lowered)
            if first is None or first.start():
                raise BadInput("expected a name that begins with a letter", "aliases", repr(name))
            by_word.setdefault(first[0], []).append((lowered, universe.resolve(symbol)))
        for entries in by_word.values():
            entries.sort(key=lambda entry: len(entry[0]), reverse=True)
        self._by_word = by_word
        self._first_words = frozenset(by_word)

    def could_be_in(self, text: str) -> bool:
        return not self._first_words.isdisjoint(_WORD.findall(lower_in_place(text)))

    def find(self, text: str, best: dict[str, Mention]) -> None:
        lowered = lower_in_place(text)
        if self._first_words.isdisjoint(_WORD.findall(lowered)):
            return
        done = 0
        for word in _WORD.finditer(lowered):
            start = word.start()
            if start < done or (start and (text[start - 1] == "$" or glues(text[start - 1]))):
                continue
            for name, symbol in self._by_word.get(word[0], ()):
                end = start + len(name)
                if lowered.startswith(name, start) and not (end < len(text) and glues(text[end])):
                    _offer(best, symbol, "name", text[start:end], start, NAME, f"name: {name}")
                    done = end
                    break
