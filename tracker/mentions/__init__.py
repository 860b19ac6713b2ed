"""Which securities a message names, how it names them and how sure that is. Pure: no clock, no network.

    text ─► normalise ─► tokens ─► cashtags, classes ─► exchanges ─► names ─► bare symbols ─► the platform's word

Cashtags and classes go by their form (``grammar``). A bare word is a matter of odds: what the lists say, how it is
written, what the stream taught (``prior``), what stands around it (``evidence``). Names come out of a table
(``names``). What depends on one token alone is worked out once and remembered (``tokens``). Everything found is
returned, one mention per symbol; what is counted is what reaches the threshold. ``prefilter`` is a cheap look at many
messages at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tracker.mentions.finder import Finder
from tracker.mentions.grammar import read_cashtag
from tracker.mentions.names import listing_names
from tracker.mentions.prior import Counters, Counts, add, count_forms
from tracker.universe import (
    Alias,
    SymbolInfo,
    load_aliases,
    load_ambiguous,
    load_phrases,
    load_renames,
    load_traps,
    load_universe,
)

__all__ = ["Counters", "Counts", "Finder", "add", "count_forms", "make_finder", "read_cashtag"]


def make_finder(
    extra: Iterable[str] = (),
    *,
    threshold: float = 0.5,
    block: Iterable[str] = (),
    allow: Iterable[str] = (),
    aliases: Mapping[str, str] | None = None,
    lists: Iterable[SymbolInfo] = (),
    counters: Counters | None = None,
) -> Finder:
    """A finder from the tables that come with the program, fetched ``lists``, a stream's counters and a person's lists.

    ``extra`` is the watch-list; a person's ``aliases`` hold in any case.
    """
    allow = tuple(allow)
    own = {name: Alias(symbol) for name, symbol in (aliases or {}).items()}
    names = {**load_aliases(), **own}
    lists = tuple(lists)
    universe = load_universe((*extra, *allow, *(alias.symbol for alias in own.values())), lists=lists)
    listed = listing_names(lists, universe, names, load_phrases())
    return Finder(
        universe, load_ambiguous(), threshold, block, allow, {**listed, **names},
        counters=counters, renames=load_renames(), traps=load_traps(),
    )  # fmt: skip
