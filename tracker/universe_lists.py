"""The lists that the universe is made of: where each is published, how it is read, what a whole one looks like.

Addresses and formats are those of the publishers; nothing of what they publish comes with the program. A folder may
hold the same files (``tracker universe refresh --from``), and some that only research has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from tracker import listings as parsers
from tracker import listings_files as files
from tracker.listings import Parser

# where each publisher answers; config.toml may name a mirror
ADDRESSES: Final = MappingProxyType(
    {
        "nasdaq": "https://www.nasdaqtrader.com/dynamic/SymDir",
        "sec": "https://www.sec.gov/files",
        "coins": "https://api.coingecko.com/api/v3",
        "foreign": "https://raw.githubusercontent.com/JerBouma/FinanceDatabase/main/database/equities",
    }
)
FOREIGN: Final = ("HKG", "LSE", "TOR", "VAN")  # Hong Kong, London, Toronto with its venture board


@dataclass(frozen=True, slots=True)
class ListSpec:
    """One list."""

    name: str
    parse: Parser
    files: tuple[str, ...]  # names that it has in a folder, lower case; each may end in .gz
    publisher: str | None = None  # a key of ADDRESSES; None: only a folder has it
    path: str = ""  # below the publisher's address
    least: int = 1  # symbols; a published one with fewer is not whole

    @property
    def needs_contact(self) -> bool:
        """The SEC refuses whoever does not say whom to write to."""
        return self.publisher == "sec"


_TOP_COINS: Final = "coins/markets?vs_currency=usd&order=market_cap_desc&per_page=250&page=1"
# most trusted first: what kind of paper it is the exchange knows best, who issued it the SEC
PUBLISHED: Final = (
    ListSpec("nasdaq", parsers.nasdaq_listed, ("nasdaqlisted*.txt",), "nasdaq", "nasdaqlisted.txt", 3000),
    ListSpec("nasdaq_other", parsers.nasdaq_other, ("otherlisted*.txt",), "nasdaq", "otherlisted.txt", 4000),
    ListSpec("sec_exchanges", parsers.sec_exchanges, ("company_tickers_exchange*.json", "sec_company_tickers_exchange*.json"), "sec", "company_tickers_exchange.json", 6000),
    ListSpec("sec_tickers", parsers.sec_tickers, ("company_tickers.json", "sec_company_tickers.json"), "sec", "company_tickers.json", 6000),
    ListSpec("sec_funds", parsers.sec_funds, ("company_tickers_mf*.json", "sec_company_tickers_mf*.json"), "sec", "company_tickers_mf.json", 15000),
    ListSpec("coins", parsers.coins, ("coins*.json",), "coins", _TOP_COINS, 100),
)  # fmt: skip
ONLY_FILES: Final = (
    ListSpec("screener", files.screener, ("screener_*.json",)),
    ListSpec("sec_csv", parsers.sec_csv, ("sec_tickers_exchange*.csv",)),
    ListSpec("equities", parsers.equities, ("fd_equities*.csv",)),
    ListSpec("coin_names", parsers.coin_names, ("fd_cryptos*.csv",)),
    ListSpec("coin_icons", parsers.coins, ("crypto_icons_manifest.json",)),
    ListSpec("table", files.table, ("universe.tsv",)),
    ListSpec("codes", files.codes, ("us_symbols*.csv",)),
)
NAMES: Final = (*(spec.name for spec in PUBLISHED), "foreign")  # as [universe] lists has them
DEFAULT: Final = tuple(
    name for name in NAMES if name != "sec_funds"
)  # 28,000 classes of funds that hardly anybody names


def foreign_list(market: str) -> ListSpec:
    """The shares of one market outside the United States, from a public collection (MIT licence)."""
    return ListSpec(f"foreign_{market}", parsers.equities, (f"{market.lower()}.csv",), "foreign", f"{market}.csv", 50)


def chosen(names: tuple[str, ...], markets: tuple[str, ...]) -> tuple[ListSpec, ...]:
    """The published lists of these names, most trusted first; ``foreign`` stands for one list a market."""
    found = [spec for spec in PUBLISHED if spec.name in names]
    return (*found, *(foreign_list(market) for market in markets if "foreign" in names))


_DATED: Final = re.compile(r"(\d{4}-\d{2})(?:-\d{2})?\.[a-z.]+$")


def of_file(file: str, markets: tuple[str, ...] = FOREIGN) -> tuple[ListSpec, str, bool] | None:
    """(list, its name, is it of the past) of a file in a folder; None for one that is no list that we know.

    A file with a month in its name (``…_2023-02.json``) says what there was then.
    """
    bare = file.lower().removesuffix(".gz")
    dated = _DATED.search(bare)
    for spec in (*PUBLISHED, *ONLY_FILES, *map(foreign_list, markets)):
        if any(fnmatchcase(bare, pattern) for pattern in spec.files):
            if dated:
                return spec, f"{spec.name}:{dated[1]}", True
            extra = bare.rpartition(".")[0].rpartition("_")[2] if spec.name == "screener" else ""
            return spec, f"{spec.name}_{extra}" if extra else spec.name, False
    return None


def trust(name: str) -> tuple[int, str]:
    """Sorts names of lists, most trusted first."""
    order = [spec.name for spec in (*PUBLISHED, *ONLY_FILES)]
    base = name.partition(":")[0]
    ranks = [rank for rank, known in enumerate(order) if base == known or (known == "screener" and base.startswith("screener_"))]  # fmt: skip
    return (ranks[0] if ranks else len(order)) + (100 if ":" in name else 0), name
