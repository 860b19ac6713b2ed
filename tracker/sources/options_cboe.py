"""Cboe's delayed quotes: how many puts and calls of a symbol are traded and open, added up over its whole chain.

Terms: an undocumented file behind Cboe's own quote pages, some 15 minutes late; its terms allow personal use and forbid
passing the data on. It is off until you have read them and written ``acknowledge_terms = true``.

Access: ``/SYMBOL.json``, one GET a symbol; the chain of a large fund is several megabytes.

Streams: ``chain/BABA`` (default: the watch-list, less its coins); of an index ``chain/_SPX``.

Quirks: a contract's name says what it is: root, date, C or P, strike times 1000 (``ZZZZ261120C00012500``). ``timestamp`` is UTC without
saying so. A contract that can't be read is left out of the sums and counted as a flaw.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tracker.errors import Malformed
from tracker.models import Cursor, Flaw, Item, OptionTotals, Page, Stream
from tracker.wire import SAMPLE_BYTES, clean, from_iso, load_json, symbol_text, tally

if TYPE_CHECKING:
    from tracker.http import Client

TERMS = "undocumented file, 15 minutes late; personal use, not to be passed on: read Cboe's terms and acknowledge them"
NEEDS_ACKNOWLEDGEMENT = True
DEFAULT_ON = False
BASE_URL = "https://cdn.cboe.com/api/global/delayed_quotes/options"
INTERVAL = 1800.0
BUDGET = (1, 5.0)
CREDENTIALS: tuple[str, ...] = ()
KEEP = "all"
BRINGS = "prices"

_SOURCE: Final = "options_cboe"
_CONTRACT = re.compile(r"([A-Z0-9.^_/-]{1,8}?)[0-9]{6}([CP])[0-9]{8}", re.ASCII)
_MOST: Final = 2**40  # contracts of one kind: more is no count


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """The watch-list, less its coins."""
    return tuple(f"chain/{symbol}" for symbol in symbols if not symbol.endswith(".X"))


def stream_name(given: str) -> str:
    """``chain/BABA``; ValueError for anything else."""
    kind, slash, rest = given.strip().partition("/")
    symbol = symbol_text(rest)
    if slash and kind.lower() == "chain" and symbol and "/" not in symbol:
        return f"chain/{symbol}"
    raise ValueError("expected chain/SYMBOL, such as chain/BABA or chain/_SPX")


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """The chain as it stands."""
    symbol = stream.name.partition("/")[2]
    validators = dict((cursor or {}).get("validators") or {})
    answer = await client.get(f"/{quote(symbol, safe='')}.json", validators=validators)
    if answer.unchanged:
        return Page((), None, unchanged=True)
    return Page(tuple(parse(answer.body)), {"validators": dict(answer.validators)})


def parse(body: bytes) -> list[Item]:
    """The sums over one chain, then its flaws; Malformed for anything else."""
    document = load_json(body, _SOURCE)
    data = document.get("data") if isinstance(document, dict) else None
    chain = data.get("options") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(chain, list):
        raise Malformed("expected a chain of options", _SOURCE, body=body[:SAMPLE_BYTES])
    sums: dict[tuple[str, str], int] = {}
    flaws: list[Item] = []
    for number, entry in enumerate(chain):
        matched = _CONTRACT.fullmatch(clean(entry.get("option")) or "") if isinstance(entry, dict) else None
        if matched is None:
            flaws.append(Flaw("no contract that can be read", f"data.options[{number}]"))
            continue
        for what in ("volume", "open_interest"):
            found = tally(entry.get(what))
            if found is not None and found < _MOST:
                sums[matched[2], what] = sums.get((matched[2], what), 0) + found
    if not sums:
        return flaws or [Flaw("a chain without any count", "data.options")]
    symbol = symbol_text(data.get("symbol")) or ""  # where it does not say it, the stream does
    totals = OptionTotals(
        _SOURCE, symbol.lstrip("^_"), from_iso(document.get("timestamp")),
        put_volume=sums.get(("P", "volume")), call_volume=sums.get(("C", "volume")),
        put_oi=sums.get(("P", "open_interest")), call_oi=sums.get(("C", "open_interest")),
    )  # fmt: skip
    return [totals, *flaws]
