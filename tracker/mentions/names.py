"""Names of issuers and coins: which aliases may begin at a word, and how a listing's own name becomes one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from tracker.errors import BadInput
from tracker.mentions.prior import over_the_counter
from tracker.text import glues, lower_in_place
from tracker.universe import Alias, Need, SymbolInfo, Universe

_FIRST: Final = re.compile(r"[^\W_]+")
# What a list adds to a name and nobody says.
_LEGAL_WORDS: Final = """
    inc incorporated corp corporation co company companies ltd limited plc llc lp sa nv ag se ab asa oyj spa holdings
    holding group grp trust the class a b c common stock ordinary shares american depositary ads adr new del de bancorp
    bancshares international intl technologies technology systems solutions industries enterprises partners
"""
_LEGAL: Final = frozenset(_LEGAL_WORDS.split())
# Names that a list holds and prose means otherwise: every word of them is a word of talk.
_COMMON_WORDS: Final = """
    first national american united general global new york great west east north south national western southern
    northern eastern pacific atlantic central capital financial bank life health home real estate energy power gas oil
    gold silver green blue red black white big best good public service city state world us usa china india japan
    digital smart open data cloud market markets trading growth income value dividend bond equity index fund
    wall street
"""
_COMMON: Final = frozenset(_COMMON_WORDS.split())
# A name of one word that ends like a word of prose is left to the table that people keep.
_ENDINGS: Final = (
    "able", "age", "al", "an", "ance", "ant", "ard", "ary", "ate", "ed", "ee", "eer", "ence", "ent", "er", "ers", "es", "est",
    "ful", "gram", "hood", "ial", "ian", "ible", "ic", "ical", "ics", "ies", "ify", "ing", "ion", "ions", "ish", "ism", "ist",
    "ite", "ity", "ive", "ize", "land", "less", "ly", "ment", "ments", "ness", "ology", "ology", "or", "ors", "ory", "ous",
    "ship", "son", "stone", "ton", "ty", "ual", "ure", "ville", "ward", "wood", "worth", "y",
)  # fmt: skip
_SMALL: Final = frozenset(("of", "and", "the", "for", "in", "&", "de", "la", "to", "on", "at", "a", "by"))
_ASIDE: Final = re.compile(r"\s+-\s.*|\(.*?\)|/.*|,")


class Entry(NamedTuple):
    """One alias as it is looked for."""

    name: str  # lower case, single spaces
    head: str  # what of it stands before its first space
    symbol: str
    need: Need
    listed: bool  # out of a list: never without its capital letters


class NameTable:
    """Aliases by the first word they begin with; of those that fit in one place, the longest is asked first."""

    def __init__(self, aliases: Mapping[str, Alias], universe: Universe) -> None:
        by_word: dict[str, list[Entry]] = defaultdict(list)
        self.names: list[str] = []
        for name, alias in aliases.items():
            lowered = " ".join(lower_in_place(name).split())
            first = _FIRST.search(lowered)
            if first is None or first.start():
                raise BadInput("expected a name that begins with a letter or digit", "aliases", repr(name))
            entry = Entry(lowered, lowered.partition(" ")[0], universe.resolve(alias.symbol), alias.need, alias.listed)
            by_word[first[0]].append(entry)
            self.names.append(lowered)
        for entries in by_word.values():
            entries.sort(key=lambda entry: len(entry.name), reverse=True)
        self._by_word = dict(by_word)

    @property
    def words(self) -> Collection[str]:
        """Those with which an alias begins, in lower case."""
        return self._by_word.keys()

    def beginning(self, token: str, lowered: str, start: int, word: str) -> tuple[Entry | None, tuple[Entry, ...]]:
        """Of the aliases that may begin at ``start`` of a token: the longest that ends within it, and all that run on."""
        whole: Entry | None = None
        longer: list[Entry] = []
        small = token[start].islower()
        for entry in self._by_word.get(word, ()):
            if small and entry.listed:
                continue
            end = start + len(entry.head)
            if lowered.startswith(entry.head, start) and not (end < len(token) and glues(token[end])):
                if len(entry.head) == len(entry.name):
                    whole = whole or entry
                elif end == len(token):
                    longer.append(entry)
        return whole, tuple(longer)


def fits(longer: Sequence[Entry], text: str, start: int) -> Entry | None:
    """The longest of some aliases of several words that stands at ``start`` of a text."""
    lowered = lower_in_place(text[start : start + len(longer[0].name)])
    for entry in longer:
        end = start + len(entry.name)
        if lowered.startswith(entry.name) and not (end < len(text) and glues(text[end])):
            return entry
    return None


def listing_names(
    infos: Iterable[SymbolInfo], universe: Universe, taken: Container[str], phrases: Container[str]
) -> dict[str, Alias]:
    """Aliases out of the names that lists give to shares on a main exchange.

    ``Clover Health Investments, Corp.`` gives "clover health investments" and "clover health", which need their capital
    letters; ``Cerence Inc.`` gives "cerence", which needs a market word too. What is ``taken`` by the table that people
    keep stays as it is there, ``phrases`` are left out, and so is the beginning of a name that two issuers share.
    """
    owners: dict[str, dict[str, SymbolInfo]] = defaultdict(dict)
    for info in infos:
        fund = len(info.symbol) == 5 and info.symbol[-1] in "XYF"  # a mutual fund, or a line of a foreign share
        if info.kind != "stock" or not info.symbol.isalpha() or fund or over_the_counter(info):
            continue
        for name, whole in _spoken(info.name):
            if name in taken or name in phrases:
                continue
            before = owners[name].get(whole)
            if before is None or _rank(info, universe) < _rank(before, universe):
                owners[name][whole] = info
    names: dict[str, Alias] = {}
    for name, wholes in owners.items():
        if len(wholes) > 1 and name not in wholes:
            continue
        best = wholes.get(name) or min(wholes.values(), key=lambda info: _rank(info, universe))
        names[name] = Alias(best.symbol, "capital" if " " in name else "context", listed=True)
    return names


def _rank(info: SymbolInfo, universe: Universe) -> tuple[bool, bool, int, str]:
    seen = universe.get(info.symbol)
    return (info.status != "listed", seen is None or not seen.known, len(info.symbol), info.symbol)


def _spoken(name: str) -> list[tuple[str, str]]:
    """What people may say of a listed name, in lower case, each with the whole of it, legal form left out."""
    plain = _ASIDE.sub(" ", name)
    words = [word.strip(".") for word in lower_in_place(plain).split()]
    while words and words[0] == "the":
        words.pop(0)
    while words and (words[-1].replace(".", "") in _LEGAL or words[-1] in _SMALL):
        words.pop()
    whole = " ".join(words)
    if len(words) == 1:
        coined = len(whole) >= 6 and whole.isalnum() and not whole.endswith(_ENDINGS) and whole not in _COMMON
        return [(whole, whole)] if coined else []
    spoken = []
    for size in {len(words), 2}:
        part = words[:size]
        distinct = [word for word in part if word not in _COMMON and word not in _LEGAL and len(word) > 2]
        if 2 <= size <= 5 and distinct and part[0] not in _SMALL and part[-1] not in _SMALL:
            spoken.append((" ".join(part), whole))
    return spoken
