"""The symbols that we know: their canonical spelling, names and kinds.

A universe is never used to reject a cashtag: lists age, and a fifth of the cashtags in ten-year-old messages are in
no list of today. It decides which bare words may be symbols at all, and how sure an unknown cashtag is. Symbols are
retired, never deleted, since old messages still name them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, cast, get_args

from tracker.errors import BadInput

Kind = Literal["stock", "etf", "coin", "future", "index", "currency", "other", "unknown"]
Status = Literal["listed", "retired"]
Need = Literal["free", "capital", "context", "cashtag", "never"]

DATA: Final = Path(__file__).with_name("data")

# One spelling for the home market of a company: Toronto, its venture board and the Canadian Securities Exchange are
# .CA on the largest message stream, so they are here too.
_CANADA: Final = frozenset({"TO", "V", "CN", "NE", "CA"})
_CLASS: Final = re.compile(r"([A-Z]{1,5})[./-]([A-Z])")
_SUFFIX: Final = re.compile(r"([A-Z0-9]{1,9})[.-]([A-Z]{2}|V)")
_COIN: Final = re.compile(r"([A-Z0-9]{1,12})(?:[.-]X|-USD)")


@dataclass(frozen=True, slots=True)
class SymbolInfo:
    """One security as the tables know it."""

    symbol: str  # canonical upper case: BRK.B, BTC.X, ES_F
    name: str  # of the issuer, fund or coin; empty when only the symbol is known
    kind: Kind  # other: preferred shares, warrants, units, rights
    status: Status = "listed"  # retired: no longer traded under these letters
    exchange: str = ""  # as its list says; empty when no list was asked
    known: bool = False  # in our own table: people talk about it


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a symbol needs, without a $, to be the security and not the word."""

    need: Need  # capital: capital letters; context: and a market word beside it; cashtag: the $ itself; never: not even that helps
    reason: str  # what else the letters mean


@dataclass(frozen=True, slots=True)
class Alias:
    """What stands for an issuer or a coin in prose."""

    symbol: str
    need: Need = "free"  # free: in any case; capital: Apple; context: a capital letter and a market word: Target
    listed: bool = False  # out of a list, not out of a table that people keep: never without its capital letters


@dataclass(frozen=True, slots=True)
class Rename:
    """Letters that stood for one issuer for a time."""

    symbol: str
    successor: str  # what the issuer is called from valid_to on; empty: it is gone, or its buyer is another issuer
    valid_from: date | None  # None: as long as anybody remembers
    valid_to: date  # first day on which the letters no longer stand for it


@dataclass(frozen=True, slots=True)
class Trap:
    """A neighbour that shows a symbol or a name to be something else: Apple juice, AMC behind a date."""

    what: str  # symbol letters, or a name in lower case
    side: Literal["before", "after"]  # where the neighbour stands
    words: frozenset[str]  # in lower case; #time, #date and #number stand for what looks like one


class Universe:
    """An immutable set of symbols with what is known about each."""

    __slots__ = ("_by_symbol",)

    def __init__(self, infos: Iterable[SymbolInfo], extra: Iterable[str] = ()) -> None:
        """``extra`` are symbols that a person named (watch-list, allow list): known, with or without a name."""
        by_symbol = {info.symbol: info for info in infos}
        self._by_symbol: Mapping[str, SymbolInfo] = MappingProxyType(by_symbol)
        for symbol in extra:
            resolved = self.resolve(symbol)
            if resolved:
                info = by_symbol.get(resolved) or SymbolInfo(resolved, "", _kind_of(resolved))
                by_symbol[resolved] = info if info.known else replace(info, known=True)

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._by_symbol

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_symbol)

    def __len__(self) -> int:
        return len(self._by_symbol)

    def get(self, symbol: str) -> SymbolInfo | None:
        """What is known about a canonical symbol, None when nothing is."""
        return self._by_symbol.get(symbol)

    def canonical(self, symbol: str) -> str:
        """One spelling per security, as a cashtag would have it.

        ``$brk-b`` -> BRK.B, ``700.hk`` -> 0700.HK, ``RY.TO`` -> RY.CA, ``ETC-X`` and ``ETC-USD`` -> ETC.X.
        Never fails: what fits no rule comes back in upper case. ``BTC`` stays ``BTC``, see ``resolve``.
        """
        text = symbol.strip().lstrip("$").upper()
        if text.isalpha():
            return text
        if coin := _COIN.fullmatch(text):
            return f"{coin[1]}.X"
        if parts := _CLASS.fullmatch(text):
            return f"{parts[1]}.CA" if parts[2] == "V" and text not in self else f"{parts[1]}.{parts[2]}"
        if parts := _SUFFIX.fullmatch(text):
            if parts[2] in _CANADA:
                return f"{parts[1]}.CA"
            if parts[2] == "HK" and parts[1].isdigit():
                return f"{int(parts[1]):04d}.HK"
            return f"{parts[1]}.{parts[2]}"
        return text

    def resolve(self, symbol: str) -> str:
        """Canonical, and a coin by its short name where no security has those letters: BTC -> BTC.X.

        A coin that people talk about also goes before a security that they do not: a fund took the letters BTC.
        """
        text = self.canonical(symbol)
        info = self._by_symbol.get(text)
        if info is None or not info.known:
            coin = self._by_symbol.get(f"{text}.X")
            if coin is not None and (info is None or coin.known):
                return coin.symbol
        return text


def _kind_of(symbol: str) -> Kind:
    """What the spelling alone gives away."""
    if symbol.endswith(".X"):
        return "coin"
    return "future" if symbol.endswith("_F") else "unknown"


def load_symbols(path: Path = DATA / "symbols.tsv") -> tuple[SymbolInfo, ...]:
    """The symbol table: columns symbol, name, kind, status. BadInput names the line that can't be used."""
    infos: list[SymbolInfo] = []
    for place, (symbol, name, kind, status) in read_table(path, ("symbol", "name", "kind", "status")):
        if kind not in get_args(Kind):
            raise BadInput(f"expected a kind out of {', '.join(get_args(Kind))}", place, repr(kind))
        if status not in get_args(Status):
            raise BadInput(f"expected a status out of {', '.join(get_args(Status))}", place, repr(status))
        infos.append(SymbolInfo(symbol, name, cast("Kind", kind), cast("Status", status), known=True))
    return tuple(infos)


def load_universe(
    extra: Iterable[str] = (), path: Path = DATA / "symbols.tsv", lists: Iterable[SymbolInfo] = ()
) -> Universe:
    """The universe of the table that comes with the program, what ``lists`` add to it, and ``extra`` symbols.

    Of a symbol that both hold, our own row stays, with the exchange that the list gives.
    """
    own = {info.symbol: info for info in load_symbols(path)}
    merged: dict[str, SymbolInfo] = {}
    for info in lists:
        seen = own.get(info.symbol)
        merged[info.symbol] = info if seen is None else replace(seen, exchange=info.exchange)
    return Universe([*({**own, **merged}).values()], extra)


def load_ambiguous(path: Path = DATA / "ambiguous.tsv") -> dict[str, Doubt]:
    """Symbols that are also words or acronyms: what they need, and why."""
    doubts: dict[str, Doubt] = {}
    for place, (symbol, need, reason) in read_table(path, ("symbol", "class", "reason")):
        if need not in ("capital", "context", "cashtag", "never"):
            raise BadInput("expected the class capital, context, cashtag or never", place, repr(need))
        doubts[symbol] = Doubt(cast("Need", need), reason)
    return doubts


def load_aliases(path: Path = DATA / "aliases.tsv") -> dict[str, Alias]:
    """Names that stand for one issuer or coin: name in lower case -> its symbol of today, and what it needs."""
    names: dict[str, Alias] = {}
    for place, (name, symbol, need) in read_table(path, ("name", "symbol", "class")):
        if need not in ("free", "capital", "context"):
            raise BadInput("expected the class free, capital or context", place, repr(need))
        names[name] = Alias(symbol, cast("Need", need))
    return names


def load_phrases(path: Path = DATA / "phrases.tsv") -> frozenset[str]:
    """Everyday phrases that some list has as the name of a company: "wall street"."""
    return frozenset(phrase for _, (phrase, _) in read_table(path, ("phrase", "meaning")))


def load_renames(path: Path = DATA / "renames.tsv") -> tuple[Rename, ...]:
    """Which letters stood for an issuer until when, and what it is called since."""
    renames: list[Rename] = []
    columns = ("symbol", "successor", "valid_from", "valid_to", "what")
    for place, (symbol, successor, since, until, _) in read_table(path, columns):
        try:
            renames.append(
                Rename(symbol, successor, date.fromisoformat(since) if since else None, date.fromisoformat(until))
            )
        except ValueError as error:
            raise BadInput("expected days as YYYY-MM-DD", place, error) from error
    return tuple(renames)


def load_traps(path: Path = DATA / "traps.tsv") -> tuple[Trap, ...]:
    """Neighbours that show a symbol or a name to be something else."""
    traps: list[Trap] = []
    for place, (what, kind, side, words) in read_table(path, ("what", "kind", "side", "words"), key=3):
        if kind not in ("symbol", "name") or side not in ("before", "after") or not words:
            raise BadInput("expected symbol or name, before or after, and words", place, f"{kind} {side} {words}")
        traps.append(Trap(what, cast("Literal['before', 'after']", side), frozenset(words.split())))
    return tuple(traps)


def read_table(path: Path, columns: tuple[str, ...], key: int = 1) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Rows of a tab-separated file with the header ``columns``, each with its place (``file:line``) for errors.

    Blank lines and lines that begin with ``# `` are skipped. BadInput for a missing file, a wrong header, a wrong
    number of columns, an empty or a repeated key: the first ``key`` columns.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("the table can't be read", str(path), error) from error
    expected = "\t".join(columns)
    if lines[0].rstrip("\r") != expected:
        raise BadInput(f"expected the columns {', '.join(columns)}", f"{path.name}:1", repr(lines[0]))
    seen: set[tuple[str, ...]] = set()
    for number, line in enumerate(lines[1:], start=2):
        text = line.rstrip("\r")
        if not text.strip() or text.startswith("# "):
            continue
        place = f"{path.name}:{number}"
        cells = tuple(text.split("\t"))
        if len(cells) != len(columns):
            raise BadInput(f"expected {len(columns)} columns", place, f"found {len(cells)}")
        if not cells[0] or cells[:key] in seen:
            raise BadInput(f"expected each {columns[0]} once", place, repr(cells[0]))
        seen.add(cells[:key])
        yield place, cells
