"""Getting the lists: from their publishers, or from a folder; and putting what is good of them into the file.

    which are due ─► ask ─► read ─► settle: good, unchanged, refused ─► merge with the rows, one transaction

What can't be had, or is no whole list, costs nothing: the list holds what it held, and it is said once why and when it
is tried again. Nothing here is waited for by anybody: what is known stands until better is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tracker.answer import BodyReader
from tracker.errors import AccessDenied, BadInput, Malformed, SourceError, Unavailable
from tracker.http import Access, Gate, Http
from tracker.listings import Parsed, of_the_past
from tracker.log import event
from tracker.store import Connection, Store
from tracker.store.universe import ListState, load_lists, load_rows, save_universe
from tracker.universe_lists import ADDRESSES, ListSpec, of_file, trust
from tracker.universe_merge import Merged, merge, refusal

log = logging.getLogger(__name__)

RETRY_S: Final = 3600.0  # after a failure
PAUSE_S: Final = 0.2  # between two requests to one publisher: the SEC allows ten a second
LARGEST_FILE: Final = 64_000_000  # bytes of a file in a folder, unpacked
SOURCE: Final = "universe"  # as errors name it


@dataclass(frozen=True, slots=True)
class Plan:
    """Which lists are asked for, where and how: from the configuration."""

    lists: tuple[ListSpec, ...]
    user_agent: str
    contact: str | None  # user agent for those who want to know whom to write to; None: nobody is configured
    addresses: Mapping[str, str]  # publisher -> base address
    every_s: float = 86_400.0
    deadline_s: float = 60.0  # of one request
    max_body: int = 16_000_000

    def address(self, spec: ListSpec) -> str:
        assert spec.publisher is not None
        return f"{self.addresses[spec.publisher].rstrip('/')}/{spec.path}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one attempt at one list has brought."""

    name: str
    address: str
    parsed: Parsed | None = None  # None: unchanged, or there is an error
    error: SourceError | None = None
    validators: Mapping[str, str] | None = None
    least: int = 1

    @property
    def unchanged(self) -> bool:
        return self.parsed is None and self.error is None


@dataclass(frozen=True, slots=True)
class ListReport:
    """What became of one list, for a person."""

    name: str
    status: str  # good, unchanged, refused, failed, left out
    rows: int | None = None  # symbols that it holds now
    unreadable: int = 0
    reason: str | None = None
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all of them."""

    lists: tuple[ListReport, ...]
    merged: Merged | None  # None: no list was good, the rows are as they were

    @property
    def changed(self) -> bool:
        return self.merged is not None


# ------------------------------------------------------------------------------------------------------- deciding


def due(plan: Plan, states: Mapping[str, ListState], now: datetime) -> list[ListSpec]:
    """The lists that may be asked for now: never read, or read long enough ago, or due for another try."""
    found = []
    for spec in plan.lists:
        if spec.needs_contact and plan.contact is None:
            continue
        state = states.get(spec.name)
        moved = state is not None and state.fetched_at is not None and state.address != plan.address(spec)
        if state is None or state.next_at is None or state.next_at <= now or moved:
            found.append(spec)
    return found


def left_out(plan: Plan) -> list[ListReport]:
    """The lists that are never asked for, with the reason."""
    why = "the SEC wants an e-mail address to write to: set contact in [tracker]"
    return [ListReport(spec.name, "left out", reason=why) for spec in plan.lists if spec.needs_contact and plan.contact is None]  # fmt: skip


def settle(
    readings: Iterable[Reading],
    states: Mapping[str, ListState],
    now: datetime,
    every_s: float,
    accept: Collection[str] = (),
) -> tuple[dict[str, Parsed], list[ListState], list[ListReport]]:
    """Which lists are believed (name -> list), where each stands now, and what to tell a person.

    ``accept``: names of lists that a person believes although they have shrunk.
    """
    good: dict[str, Parsed] = {}
    after, told = [], []
    for reading in readings:
        state = states.get(reading.name) or ListState(reading.name, now)
        soon = now + timedelta(seconds=every_s)
        if reading.unchanged:
            after.append(replace(state, checked_at=now, next_at=soon, error=None))
            told.append(ListReport(reading.name, "unchanged", state.rows, next_at=soon))
            continue
        why, status = None, "failed"
        if reading.error is not None:
            why = str(reading.error)
            status = "refused" if isinstance(reading.error, Malformed) else "failed"
        elif reading.parsed is not None and reading.name not in accept:
            why, status = refusal(reading.parsed, state.rows, reading.least), "refused"
        if why is not None or reading.parsed is None:
            wait = every_s if isinstance(reading.error, AccessDenied) else min(RETRY_S, every_s)
            named = reading.error.retry_after_s if reading.error is not None else None
            again = now + timedelta(seconds=max(wait, min(named or 0.0, 31 * 86_400.0)))
            after.append(replace(state, checked_at=now, next_at=again, error=why))
            told.append(ListReport(reading.name, status, state.rows, reason=why, next_at=again))
            continue
        marks = reading.validators or {}
        good[reading.name] = reading.parsed
        state = ListState(reading.name, now, now, soon, len(reading.parsed.listings), reading.parsed.made_at, address=reading.address)  # fmt: skip
        after.append(replace(state, etag=marks.get("etag"), last_modified=marks.get("last_modified")))
        told.append(ListReport(reading.name, "good", len(reading.parsed.listings), reading.parsed.unreadable, next_at=soon))  # fmt: skip
    return good, after, told


# -------------------------------------------------------------------------------------------------------- the network


async def ask(
    http: Http, plan: Plan, specs: Sequence[ListSpec], states: Mapping[str, ListState], pause_s: float = PAUSE_S
) -> list[Reading]:
    """Ask for each list once, one publisher after the other; an error is a reading as well."""
    found: list[Reading] = []
    for publisher in dict.fromkeys(spec.publisher for spec in specs):
        theirs = [spec for spec in specs if spec.publisher == publisher]
        gate = Gate()
        for number, spec in enumerate(theirs):
            if number:
                await asyncio.sleep(pause_s)
            found.append(await _ask_one(http, plan, spec, states.get(spec.name), gate))
    return found


async def _ask_one(http: Http, plan: Plan, spec: ListSpec, state: ListState | None, gate: Gate) -> Reading:
    assert spec.publisher is not None
    base, address = plan.addresses[spec.publisher], plan.address(spec)
    agent = plan.contact if spec.needs_contact and plan.contact else plan.user_agent
    access = Access(SOURCE, base, base != ADDRESSES.get(spec.publisher), agent, plan.deadline_s, plan.max_body)
    known = state.validators if state is not None and state.address == address and state.fetched_at is not None else {}
    try:
        async with http.session(access, gate) as client:
            answer = await client.get(spec.path, validators=known)
        if answer.unchanged:
            return Reading(spec.name, address)
        parsed = await asyncio.to_thread(spec.parse, answer.body)
    except SourceError as error:
        return Reading(spec.name, address, error=error)
    return Reading(spec.name, address, parsed, validators=answer.validators, least=spec.least)


# --------------------------------------------------------------------------------------------------------- a folder


def read_folder(folder: Path, markets: tuple[str, ...]) -> tuple[list[Reading], list[str]]:
    """Every list in a folder, and the names of the files that are none. BadInput when there is not one list."""
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise BadInput("the folder can't be read", str(folder), error.strerror) from None
    found: list[Reading] = []
    others = []
    for path in files:
        known = of_file(path.name, markets)
        if known is None:
            others.append(path.name)
            continue
        spec, name, past = known
        try:
            parsed = spec.parse(_unpacked(path))
            found.append(Reading(name, str(path), of_the_past(parsed) if past else parsed))
        except SourceError as error:
            found.append(Reading(name, str(path), error=error))
    if not found:
        raise BadInput("no list of securities in this folder", str(folder), "expected files such as nasdaqlisted.txt or company_tickers.json")  # fmt: skip
    return found, others


def gone_from(folder: Path, readings: Sequence[Reading], states: Mapping[str, ListState]) -> list[Reading]:
    """The lists that were read from this folder before and have no file there now: an attempt that failed, for each."""
    found = {reading.name for reading in readings}
    return [
        Reading(name, state.address, error=Unavailable("the file is not there any more", Path(state.address).name))
        for name, state in states.items()
        if name not in found and state.address is not None and Path(state.address).parent == folder
    ]


def _unpacked(path: Path) -> bytes:
    reader = BodyReader("gzip" if path.suffix.lower() == ".gz" else "", LARGEST_FILE)
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                reader.feed(chunk)
    except OSError as error:
        raise Malformed("the file can't be read", path.name, error.strerror) from None
    return reader.finish()


# -------------------------------------------------------------------------------------------------------- the file


def put_in(
    connection: Connection,
    readings: Sequence[Reading],
    now: datetime,
    every_s: float,
    accept: Collection[str] = (),
) -> Report:
    """Merge what was read with what is stored and save both, rows and where the lists stand, in one transaction."""
    states = load_lists(connection)
    good, after, told = settle(readings, states, now, every_s, accept)
    if not good:
        save_universe(connection, None, after)
        return Report(tuple(told), None)
    before = load_rows(connection)
    known = [name for name, state in states.items() if state.fetched_at is not None]
    merged = merge(before, {name: parsed.listings for name, parsed in good.items()}, now, known=known, order=sorted(good, key=trust))  # fmt: skip
    same = sorted(before, key=repr) == sorted(merged.rows, key=repr)
    save_universe(connection, None if same else merged.rows, after)
    return Report(tuple(told), None if same else merged)


async def refresh(
    http: Http,
    plan: Plan,
    store: Store,
    now: datetime,
    in_store: Callable[..., Awaitable[Any]],
    *,
    every_list: bool = False,
    accept: Collection[str] = (),
    pause_s: float = PAUSE_S,
) -> Report:
    """Ask for the lists that are due (``every_list``: for all of them) and put them into the file.

    ``in_store`` runs a blocking call in the thread that may touch the database. StoreError when the file can't be used.
    """
    states: Mapping[str, ListState] = await in_store(_states, store)
    specs = due(plan, {} if every_list else states, now)
    skipped = left_out(plan)
    if not specs:
        return Report(tuple(skipped), None)
    readings = await ask(http, plan, specs, states, pause_s)
    report: Report = await in_store(_put, store, readings, now, plan.every_s, accept)
    return replace(report, lists=(*report.lists, *skipped))


def _states(store: Store) -> dict[str, ListState]:
    with store.reading() as connection:
        return load_lists(connection)


def _put(store: Store, readings: Sequence[Reading], now: datetime, every_s: float, accept: Collection[str]) -> Report:
    with store.writing() as connection:
        return put_in(connection, readings, now, every_s, accept)


class Teller:
    """Says in the log what has changed, and a standing trouble once."""

    def __init__(self) -> None:
        self._troubled: frozenset[tuple[str, str | None]] = frozenset()

    def tell(self, report: Report) -> None:
        bad = [entry for entry in report.lists if entry.status in ("failed", "refused", "left out")]
        trouble = {(entry.name, entry.reason) for entry in bad}
        # a list that was not due has nothing to say: what it said last still holds
        heard = {entry.name for entry in report.lists}
        standing = frozenset({*trouble, *((name, why) for name, why in self._troubled if name not in heard)})
        if trouble - self._troubled:
            by_reason: dict[str, list[str]] = {}
            for entry in bad:
                by_reason.setdefault(entry.reason or "no reason given", []).append(entry.name)
            soonest = min((entry.next_at for entry in bad if entry.next_at is not None), default=None)
            event(
                log, "warning", "some lists of symbols can't be had; what is known stands",
                lists=", ".join(entry.name for entry in bad), reason="; ".join(f"{', '.join(names)}: {why}" for why, names in by_reason.items()),
                next_try=soonest.strftime("%Y-%m-%d %H:%MZ") if soonest else "once it is configured",
            )  # fmt: skip
        self._troubled = standing
        if report.merged is not None:
            event(
                log, "info", "the universe has changed", symbols=len(report.merged.rows), added=len(report.merged.added),
                retired=len(report.merged.retired), renamed=len(report.merged.renamed),
            )  # fmt: skip
