"""The symbols that we know: their canonical spelling, names and kinds.

A universe is never used to reject a cashtag: lists age, and a fifth of the cashtags in ten-year-old messages are in
no list of today. It decides which bare words may be symbols at all, and how sure an unknown cashtag is. Symbols are
retired, never deleted, since old messages still name them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, cast, get_args

from tracker.errors import BadInput

Kind = Literal["stock", "etf", "coin", "future", "index", "currency", "unknown"]
Status = Literal["listed", "retired"]

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
    kind: Kind
    status: Status = "listed"  # retired: no longer traded under these letters


class Universe:
    """An immutable set of symbols with what is known about each."""

    __slots__ = ("_by_symbol",)

    def __init__(self, infos: Iterable[SymbolInfo], extra: Iterable[str] = ()) -> None:
        """``extra`` are symbols that a person named (watch-list, allow list): known without a name."""
        by_symbol = {info.symbol: info for info in infos}
        self._by_symbol: Mapping[str, SymbolInfo] = MappingProxyType(by_symbol)
        for symbol in extra:
            resolved = self.resolve(symbol)
            if resolved and resolved not in by_symbol:
                by_symbol[resolved] = SymbolInfo(resolved, "", _kind_of(resolved))

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
        """Canonical, and a coin by its short name where no security has those letters: BTC -> BTC.X."""
        text = self.canonical(symbol)
        if text not in self._by_symbol:
            coin = f"{text}.X"
            if coin in self._by_symbol:
                return coin
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
        infos.append(SymbolInfo(symbol, name, cast("Kind", kind), cast("Status", status)))
    return tuple(infos)


def load_universe(extra: Iterable[str] = (), path: Path = DATA / "symbols.tsv") -> Universe:
    """The universe of the table that comes with the program, and ``extra`` symbols."""
    return Universe(load_symbols(path), extra)


def load_ambiguous(path: Path = DATA / "ambiguous.tsv") -> dict[str, str]:
    """Symbols that are also words or acronyms, with the reason."""
    return {symbol: reason for _, (symbol, reason) in read_table(path, ("symbol", "reason"))}


def load_aliases(path: Path = DATA / "aliases.tsv") -> dict[str, str]:
    """Names that stand for one issuer wherever they stand (class ``free``): name -> symbol.

    The classes ``capital`` (needs a capital letter: Apple) and ``context`` (needs a market word near: Target) are
    kept in the file and not matched yet.
    """
    names: dict[str, str] = {}
    for place, (name, symbol, kind) in read_table(path, ("name", "symbol", "class")):
        if kind not in ("free", "capital", "context"):
            raise BadInput("expected the class free, capital or context", place, repr(kind))
        if kind == "free":
            names[name] = symbol
    return names


def read_table(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Rows of a tab-separated file with the header ``columns``, each with its place (``file:line``) for errors.

    Blank lines and lines that begin with ``# `` are skipped. BadInput for a missing file, a wrong header, a wrong
    number of columns, an empty or a repeated first column.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("the table can't be read", str(path), error) from error
    expected = "\t".join(columns)
    if lines[0].rstrip("\r") != expected:
        raise BadInput(f"expected the columns {', '.join(columns)}", f"{path.name}:1", repr(lines[0]))
    seen: set[str] = set()
    for number, line in enumerate(lines[1:], start=2):
        text = line.rstrip("\r")
        if not text.strip() or text.startswith("# "):
            continue
        place = f"{path.name}:{number}"
        cells = tuple(text.split("\t"))
        if len(cells) != len(columns):
            raise BadInput(f"expected {len(columns)} columns", place, f"found {len(cells)}")
        if not cells[0] or cells[0] in seen:
            raise BadInput(f"expected each {columns[0]} once", place, repr(cells[0]))
        seen.add(cells[0])
        yield place, cells
