"""Fresh lists and the rows that are stored, put together: what is new, what was renamed, what is gone. Pure.

    lists that were read + rows as stored ─► refused lists, with the reason
                                          └► rows as they are to be

A symbol is listed while a list holds it, and retired when the last one that held it holds it no longer; nothing is
ever deleted, since old messages still name it. A list that could not be read holds what it held before. Merging the
same lists twice is merging them once, and their order does not matter.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, cast

from tracker.listings import Listing, Parsed
from tracker.universe import Kind, SymbolInfo

Status = Literal["listed", "retired", "unverified"]

OWN: Final = "own"  # the table that comes with the program, and what the configuration names
LEAST_SHARE: Final = 0.9  # of the rows of the last good list; one with fewer is taken for half a list


@dataclass(frozen=True, slots=True)
class Row:
    """One security, for as long as it had its letters. A symbol that was given anew has two rows."""

    symbol: str  # canonical
    name: str | None = None  # of the issuer, fund or coin
    exchange: str | None = None
    kind: str | None = None
    aliases: tuple[str, ...] = ()  # further names
    valid_from: datetime | None = None  # listed since; None: not known
    valid_to: datetime | None = None  # retired on; None: not retired, or not known when
    status: Status = "listed"  # unverified: no list has it, people write it
    lists: tuple[str, ...] = ()  # names of the lists that hold it, in order; OWN among them
    issuer: str | None = None  # number in the register of the SEC
    market_cap: float | None = None  # US dollars, when it was last known
    renamed_to: str | None = None  # the symbol that the same security has now


@dataclass(frozen=True, slots=True)
class Merged:
    """What has become of the rows."""

    rows: tuple[Row, ...]  # all of them, sorted
    added: tuple[str, ...]  # symbols with a new row
    retired: tuple[str, ...]
    returned: tuple[str, ...]  # were retired and are listed again
    renamed: tuple[tuple[str, str], ...]  # (old, new)


def refusal(parsed: Parsed, rows_before: int | None, least: int) -> str | None:
    """Why a list is not believed, for a person; None when it is.

    ``rows_before``: rows of the last good one, None when there was none; ``least``: fewer can't be a whole list.
    """
    rows = len(parsed.listings)
    if rows < least:
        return f"{rows:,} rows, and a whole one has {least:,} at least"
    if rows_before is not None and rows < LEAST_SHARE * rows_before:
        return f"{rows:,} rows where the last one had {rows_before:,}: more than a tenth is missing"
    return None


def merge(
    rows: Iterable[Row],
    fresh: Mapping[str, Sequence[Listing]],
    now: datetime,
    *,
    known: Collection[str] = (),
    order: Sequence[str] = (),
) -> Merged:
    """The rows after ``fresh`` lists (name -> listings). Lists that are not in it hold what they held.

    ``known``: lists that have been read before, so that what is new on them is new, rather than new to us.
    ``order``: names of lists, most trusted first; where two lists tell the same security apart, the first one counts.
    """
    ranks = {name: (rank, name) for rank, name in enumerate(order)}
    names = sorted(fresh, key=lambda name: ranks.get(name, (len(ranks), name)))
    found: dict[str, dict[str, Listing]] = defaultdict(dict)
    for name in names:
        for listing in fresh[name]:
            found[listing.symbol][name] = listing
    stored: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        stored[row.symbol].append(row)
    after: list[Row] = []
    notes = _Notes()
    for symbol in sorted(found.keys() | stored.keys()):
        after += _symbol(symbol, stored.get(symbol, []), found.get(symbol, {}), set(names), now, set(known), notes)
    after, renamed = _renames(after, stored.keys(), found)
    return Merged(tuple(sorted(after, key=_place)), tuple(notes.added), tuple(notes.retired), tuple(notes.returned), renamed)  # fmt: skip


class _Notes:
    """What happened, symbol by symbol."""

    def __init__(self) -> None:
        self.added: list[str] = []
        self.retired: list[str] = []
        self.returned: list[str] = []


def _place(row: Row) -> tuple[str, bool, str, str]:
    """Rows of one symbol by age: what is listed now stands last."""
    return (
        row.symbol,
        row.status != "retired",
        row.valid_to.isoformat() if row.valid_to else "",
        (row.name or "").lower(),
    )


def _symbol(
    symbol: str,
    rows: list[Row],
    held: Mapping[str, Listing],
    asked: set[str],
    now: datetime,
    known: set[str],
    notes: _Notes,
) -> list[Row]:
    """All rows of one symbol: ``held`` are its listings on the lists that were ``asked``, most trusted first."""
    rows = sorted(rows, key=_place)
    current = rows.pop() if rows else None
    live = {name: listing for name, listing in held.items() if listing.status == "listed"}
    gone = [listing for listing in held.values() if listing.status == "retired"]
    if current is not None:
        kept = [name for name in current.lists if name not in asked or name in live]
        lists = tuple(sorted({*kept, *live}))
        if live:
            facts = _facts(live)
            if current.status != "retired":
                rows.append(_filled(replace(current, lists=lists, status="listed"), facts))
            elif _same(current.name, facts.name, current.issuer, facts.issuer):
                notes.returned.append(symbol)
                rows.append(_filled(replace(current, lists=lists, status="listed", valid_to=None, renamed_to=None), facts))  # fmt: skip
            else:
                notes.returned.append(symbol)
                rows += [current, _new(symbol, facts, live, now if live.keys() <= known else None)]
        elif set(current.lists) - {OWN} and not set(lists) - {OWN}:
            notes.retired.append(symbol)
            rows.append(replace(current, status="retired", valid_to=now, lists=()))
        else:
            rows.append(replace(current, lists=lists))
    elif live:
        notes.added.append(symbol)
        rows.append(_new(symbol, _facts(live), live, now if live.keys() <= known else None))
    for listing in (*gone, *gone):  # twice: what the last one knows may tell whose the first one is
        rows.sort(key=_place)
        place = _whose(listing, rows)
        if place is not None:
            rows[place] = _completed(rows[place], listing)
            continue
        if not rows:
            notes.added.append(symbol)
        rows.append(Row(symbol, listing.name, listing.exchange, listing.kind, status="retired", issuer=listing.issuer))
    return rows


def _whose(listing: Listing, rows: Sequence[Row]) -> int | None:
    """The row of the security that a listing of the past is about: by its issuer, else by name; None for an unknown one."""
    for place, row in enumerate(rows):
        if row.issuer is not None and row.issuer == listing.issuer:
            return place
    return next((place for place, row in enumerate(rows) if _same(row.name, listing.name)), None)


def _facts(held: Mapping[str, Listing]) -> Listing:
    """One listing out of several: of each fact the most trusted one that is known."""
    listings = list(held.values())
    first = listings[0]
    return replace(
        first,
        name=next((listing.name for listing in listings if listing.name), None),
        exchange=next((listing.exchange for listing in listings if listing.exchange), None),
        issuer=next((listing.issuer for listing in listings if listing.issuer), None),
        market_cap=next((listing.market_cap for listing in listings if listing.market_cap), None),
    )


def _new(symbol: str, facts: Listing, live: Mapping[str, Listing], since: datetime | None) -> Row:
    return Row(
        symbol, facts.name, facts.exchange, facts.kind, valid_from=since, lists=tuple(sorted(live)), issuer=facts.issuer, market_cap=facts.market_cap
    )  # fmt: skip


def _filled(row: Row, facts: Listing) -> Row:
    """The row with what the lists say. A name that has changed stays as an alias; our own table names things best."""
    ours = OWN in row.lists
    name = row.name if ours and row.name else facts.name or row.name
    aliases = row.aliases
    if row.name and name and not _same(row.name, name):
        aliases = tuple(dict.fromkeys((*aliases, row.name)))
    return replace(
        row,
        name=name,
        exchange=facts.exchange or row.exchange,
        kind=row.kind if ours and row.kind not in (None, "unknown") else facts.kind,
        aliases=aliases,
        issuer=facts.issuer or row.issuer,
        market_cap=facts.market_cap or row.market_cap,
    )


def _completed(row: Row, listing: Listing) -> Row:
    """The row with what a list of the past knows of the same security, where it knows nothing itself."""
    return replace(
        row,
        name=row.name or listing.name,
        exchange=row.exchange or listing.exchange,
        kind=row.kind or listing.kind,
        issuer=row.issuer or listing.issuer,
    )


def _renames(
    rows: list[Row], before: Collection[str], found: Mapping[str, Mapping[str, Listing]]
) -> tuple[list[Row], tuple[tuple[str, str], ...]]:
    """Shares whose issuer has, since they went, exactly one new listed symbol: that is the same share under other letters."""
    once = {symbol for symbol, held in found.items() if any(listing.status == "retired" for listing in held.values())}
    new: dict[str, list[str]] = defaultdict(list)
    old: dict[str, list[int]] = defaultdict(list)
    listed = {row.symbol for row in rows if row.status == "listed"}
    for place, row in enumerate(rows):
        if row.issuer is None or row.kind != "stock" or "." in row.symbol:
            continue
        if row.status == "listed" and row.symbol not in before and row.symbol not in once:
            new[row.issuer].append(row.symbol)
        elif row.status == "retired" and row.renamed_to is None and row.symbol not in listed:
            old[row.issuer].append(place)
    renamed = []
    for issuer, places in old.items():
        if len(places) == 1 and len(new[issuer]) == 1:
            rows[places[0]] = replace(rows[places[0]], renamed_to=new[issuer][0])
            renamed.append((rows[places[0]].symbol, new[issuer][0]))
    return rows, tuple(sorted(renamed))


# ------------------------------------------------------------------------------------------------------- our own


def seed(rows: Iterable[Row], own: Iterable[Row]) -> list[Row]:
    """The rows with our own table put in: for a symbol that no list has ever held it says everything, else nothing.

    Symbols that our table no longer has keep their rows.
    """
    stored: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        stored[row.symbol].append(row)
    for row in own:
        mine = replace(row, lists=(OWN,))
        there = stored[row.symbol]
        places = [place for place, old in enumerate(there) if old.lists == (OWN,) or old.status == "unverified"]
        if places:
            there[places[0]] = replace(mine, aliases=mine.aliases or there[places[0]].aliases, valid_from=mine.valid_from or there[places[0]].valid_from)  # fmt: skip
        elif not there:
            there.append(mine)
    return sorted((row for rows_of in stored.values() for row in rows_of), key=_place)


# --------------------------------------------------------------------------------------------------- reading rows


def as_of(rows: Iterable[Row], moment: datetime | None = None) -> dict[str, Row]:
    """One row a symbol: the one that had the letters at ``moment``, else the nearest; None: now. Without unverified ones."""
    found: dict[str, Row] = {}
    for row in sorted(rows, key=_place):
        if row.status == "unverified":
            continue
        before = found.get(row.symbol)
        if before is None or moment is None or before.valid_to is None or before.valid_to <= moment:
            found[row.symbol] = row
    return found


# --------------------------------------------------------------------------------------------------- the same name

_FORMS_OF_COMPANIES: Final = """a ab ads adr ag and asa bancorp capital class co common company corp corporation de etf financial fund
    global group holding holdings inc incorporated international kgaa limited llc lp ltd n new nv of oyj plc pte sa se shares spa stock
    technologies technology the trust"""
_COMMON_FIRST_WORDS: Final = (
    """american china digital first general great national north royal south united us western"""
)
_SAID_BY_ALL: Final = frozenset(_FORMS_OF_COMPANIES.split())
_SAID_BY_MANY: Final = frozenset(_COMMON_FIRST_WORDS.split())
_LETTERS: Final = re.compile(r"[^\W_]+")


def _words(name: str) -> list[str]:
    words = _LETTERS.findall(name.casefold().replace("'", "").replace(".", "")) or [name]
    return [word for word in words if word not in _SAID_BY_ALL] or words


def _same(one: str | None, other: str | None, issuer: str | None = None, other_issuer: str | None = None) -> bool:
    """True when two names are most likely of one issuer, or when too little is known to tell."""
    if issuer is not None and issuer == other_issuer:
        return True
    if not one or not other:
        return True
    first, second = _words(one), _words(other)
    joined, shorter = sorted(("".join(first), "".join(second)), key=len, reverse=True)
    if joined.startswith(shorter) or (first[0] == second[0] and first[0] not in _SAID_BY_MANY):
        return True
    return len(set(first) & set(second)) * 2 > min(len(set(first)), len(set(second)))


_OTHER: Final = frozenset({"fund", "preferred", "warrant", "unit", "right"})
_KNOWN: Final = frozenset({"stock", "etf", "coin", "future", "index", "currency"})


def infos_of(rows: Iterable[Row], moment: datetime | None = None) -> list[SymbolInfo]:
    """The rows as the finder's universe takes them: one a symbol, those that had the letters at ``moment`` (None: now)."""
    return [
        SymbolInfo(
            row.symbol,
            row.name or "",
            cast("Kind", row.kind) if row.kind in _KNOWN else "other" if row.kind in _OTHER else "unknown",
            "retired" if row.status == "retired" else "listed",
            row.exchange or "",
        )
        for row in as_of(rows, moment).values()
    ]
