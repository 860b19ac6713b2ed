"""Commands: the published lists of securities, and what a person says of bare symbols."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click

from tracker.cli_context import existing, with_context
from tracker.clock import SystemClock
from tracker.config import Config
from tracker.errors import BadInput
from tracker.http import Http
from tracker.log import escape
from tracker.parts import prepare_store, store_of, universe_of, universe_plan
from tracker.render import emit, talk
from tracker.store import Store
from tracker.store.universe import BareToken, bare_tokens, load_lists, load_priors, standing
from tracker.universe import load_ambiguous
from tracker.universe_refresh import Report, gone_from, put_in, read_folder, refresh
from tracker.verdicts import load_verdicts, save_verdicts

_FINE, _FAILED, _PARTLY = 0, 1, 3
_WAIT_S = 15.0


@click.group()
def universe() -> None:
    """The securities that are known."""


@universe.command("refresh")
@click.option("--from", "folder", metavar="PATH", type=click.Path(exists=True, file_okay=False), help="Read the same files from a folder in place of the network.")  # fmt: skip
@click.option("--accept", multiple=True, metavar="LIST", help="Believe this list although it has shrunk.")
@click.option("--json", "as_json", is_flag=True)
@with_context
def refresh_(config: Config, folder: str | None, accept: tuple[str, ...], as_json: bool) -> None:
    """Read the published lists now. A list that is missing, cut short or shrunken is refused, and the old one stands."""
    store, now = store_of(config), SystemClock().now()
    if store.exists:
        store = existing(config)
    else:
        prepare_store(config, store, universe_of(config), now)
    others: list[str] = []
    if folder is not None:
        readings, others = read_folder(Path(folder), config.universe.foreign)
        with store.writing(_WAIT_S) as connection:
            readings += gone_from(Path(folder), readings, load_lists(connection))
            report = put_in(connection, readings, now, config.universe.every_s, accept)
    else:
        report = asyncio.run(_fetch(config, store, accept))
    if others:
        talk.print(f"no lists that are known: {escape(', '.join(others))}", markup=False, soft_wrap=True)
    _tell(report)
    columns = ["list", "status", "symbols", "unreadable", "reason", "next_try_at"]
    rows = [[one.name, one.status, one.rows, one.unreadable, one.reason, one.next_at] for one in report.lists]
    emit(columns, rows, "json" if as_json else "table")
    good = sum(one.status in ("good", "unchanged") for one in report.lists)
    asked = sum(one.status != "left out" for one in report.lists)
    sys.exit(_FINE if good == asked and asked else _PARTLY if good else _FAILED)


async def _fetch(config: Config, store: Store, accept: tuple[str, ...]) -> Report:
    clock = SystemClock()

    async def in_store(call: Callable[..., Any], *arguments: Any) -> Any:
        return call(*arguments)  # nobody else is at work here

    return await refresh(Http(clock=clock.now), universe_plan(config), store, clock.now(), in_store, every_list=True, accept=accept)  # fmt: skip


def _tell(report: Report) -> None:
    merged = report.merged
    if merged is None:
        talk.print("nothing has changed")
        return
    talk.print(
        f"{len(merged.rows):,} symbols: {len(merged.added):,} new, {len(merged.retired):,} retired, {len(merged.returned):,} returned, "
        f"{len(merged.renamed):,} renamed",
        markup=False,
    )


@universe.command("status")
@click.option("--json", "as_json", is_flag=True)
@with_context
def status(config: Config, as_json: bool) -> None:
    """Where each list stands, and how many symbols of each kind are known."""
    with existing(config).reading(_WAIT_S) as connection:
        states, kinds, (version, priors) = load_lists(connection), standing(connection), load_priors(connection)
    columns = ["list", "symbols", "fetched_at", "checked_at", "next_try_at", "made_at", "error"]
    rows = [[s.name, s.rows, s.fetched_at, s.checked_at, s.next_at, s.made_at, s.error] for s in states.values()]
    if not as_json:
        emit(["kind", "listed", "retired", "unverified"], kinds, "table")
        told = f"priors of {version}: {len(priors):,} symbols" if version else "the stream has taught nothing yet"
        talk.print(told if states else f"no list has been read yet: what came with the program stands; {told}")
    emit(columns, rows, "json" if as_json else "table")


# ----------------------------------------------------------------------------------------------------- bare symbols


@click.group()
def mentions() -> None:
    """How securities are found in texts."""


@mentions.command("review")
@click.option("--day", metavar="DATE", help="UTC day whose messages are looked at (default: the newest with messages).")
@click.option("--top", type=click.IntRange(1, 500), default=20, show_default=True)
@click.option("--yes", multiple=True, metavar="TOKEN", help="Say without being asked that this is a symbol.")
@click.option("--no", multiple=True, metavar="TOKEN", help="Say without being asked that this is none.")
@click.option("--list", "only_list", is_flag=True, help="Show them and ask nothing.")
@click.option("--json", "as_json", is_flag=True, help="Show them as JSON and ask nothing.")
@with_context
def review(
    config: Config, day: str | None, top: int, yes: tuple[str, ...], no: tuple[str, ...], only_list: bool, as_json: bool
) -> None:
    """The day's top new bare tokens, how often people write them with a dollar sign, and three messages: symbol or not?"""
    folder = config.tracker.data_dir
    said = {**dict.fromkeys((token.upper() for token in yes), True), **dict.fromkeys((token.upper() for token in no), False)}  # fmt: skip
    if both := {token.upper() for token in yes} & {token.upper() for token in no}:
        raise BadInput("both yes and no", ", ".join(sorted(both)), "one of them")
    if said:
        save_verdicts(folder, said)
        talk.print(f"noted: {', '.join(said)}", markup=False)
        return
    own = universe_of(config)  # what our own tables say is said
    letters = (symbol.removesuffix(".X") for symbol in own)
    decided = {
        *load_verdicts(folder).decided,
        *config.extract.block,
        *config.extract.allow,
        *load_ambiguous(),
        *letters,
    }
    with existing(config).reading(_WAIT_S) as connection:
        tokens = bare_tokens(connection, _day(connection, day), decided, top)
    if as_json or only_list or not sys.stdin.isatty():
        columns = ["token", "messages", "before", "with_dollar", "dollar_share", "known", "samples"]
        rows = [[t.token, t.messages, t.before, t.with_dollar, t.dollar_share, t.known, list(t.samples)] for t in tokens]  # fmt: skip
        emit(columns, rows, "json" if as_json else "table")
        return
    new: dict[str, bool] = {}
    try:
        for number, token in enumerate(tokens, start=1):
            answer = _ask(token, number, len(tokens))
            if answer == "q":
                break
            if answer != "s":
                new[token.token] = answer == "y"
    finally:  # what was said before Ctrl-C was said
        if new:
            save_verdicts(folder, new)
            talk.print(f"noted: {len(new)}; the daemon takes it up within the hour", markup=False)


def _day(connection: Any, day: str | None) -> date:
    if day is not None:
        try:
            return date.fromisoformat(day)
        except ValueError:
            raise BadInput("not a day", day, "expected one such as 2026-11-20") from None
    row = connection.execute("SELECT max(fetched_at) FROM messages WHERE text IS NOT NULL").fetchone()
    return row[0].date() if row and row[0] is not None else SystemClock().now().date() - timedelta(days=1)


def _ask(token: BareToken, number: int, of: int) -> str:
    share = f"{token.dollar_share:.0%} of {token.messages + token.with_dollar:,} messages with $"
    known = "on a list" if token.known else "on no list"
    talk.print(f"\n[{number}/{of}] {token.token}: {share}; {token.before:.1f} a day before; {known}", markup=False)
    for sample in token.samples:
        talk.print(f"  {escape(sample[:200])}", markup=False, soft_wrap=True)
    return str(click.prompt(f"{token.token}: a symbol? yes, no, skip, quit", type=click.Choice(["y", "n", "s", "q"]), default="s", err=True))  # fmt: skip


COMMANDS: tuple[click.Command, ...] = (universe, mentions)
