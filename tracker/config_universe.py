"""The table [universe]: which published lists of securities are read, and from where."""

from __future__ import annotations

import re
from types import MappingProxyType

from tracker import config_table as t
from tracker import config_values as v
from tracker.config_schema import UniverseLists

_LISTS = ("nasdaq", "nasdaq_other", "sec_exchanges", "sec_tickers", "sec_funds", "coins", "foreign")
_PUBLISHERS = ("nasdaq", "sec", "coins", "foreign")


def _market(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{3}", value):
        raise v.Wrong('a market in three capital letters such as "HKG"')
    return value


def read_universe(table: t.Table) -> UniverseLists:
    """The settings of the table, closed behind us."""
    default = UniverseLists()
    addresses = table.table("addresses")
    mirrors = {name: addresses.take(name, v.address, "", t.show_address) for name in _PUBLISHERS}
    addresses.close()
    found = UniverseLists(
        enabled=table.take("enabled", v.flag, default.enabled),
        every_s=table.take("every", v.duration(), default.every_s),
        lists=table.take_list("lists", v.choice(*_LISTS), 'an array of names of lists such as ["nasdaq", "coins"]', default.lists),
        foreign=table.take_list("foreign", _market, 'an array of markets such as ["HKG", "LSE"]', default.foreign),
        addresses=MappingProxyType({name: address for name, address in mirrors.items() if address}),
    )  # fmt: skip
    table.close()
    return found
