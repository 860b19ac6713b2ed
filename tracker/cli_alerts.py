"""Commands: what is told to whom."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import fields
from typing import Any

import click

from tracker.alerts import from_json, mark_of
from tracker.cli_context import READ_WAIT_S, with_context
from tracker.config import Config
from tracker.config_schema import AlertRule
from tracker.errors import BadInput
from tracker.notify import try_channels
from tracker.notify_post import Letter
from tracker.notify_rules import ITSELF, Ground, ground_of, symbols_of
from tracker.parts import store_of
from tracker.render import plain, table
from tracker.store import alerts as outbox
from tracker.store.alerts import Alert, StoredState

_PARTLY = 3  # the exit code where some of it failed, each named
_TEST = Letter(
    key="0" * 16,
    title="tracker: test of this channel",
    body="This is a test. Alerts of the tracker will look like this one.\n\nref 0000000000000000",
)


@click.group()
def alerts() -> None:
    """What is told to whom: test channels, list what was told, show the rules."""


@alerts.command()
@click.argument("channels", nargs=-1, metavar="[CHANNEL]…")
@click.option("--json", "as_json", is_flag=True)
@with_context
def test(config: Config, channels: tuple[str, ...], as_json: bool) -> None:
    """Send one test message to each channel now."""
    known = config.alerts.channels
    for name in channels:
        if name not in known:
            raise BadInput(
                "unknown channel", name, f"expected one of {', '.join(known)}" if known else "there are none"
            )
    if not known:
        raise BadInput("there are no channels", str(config.path), "name one in [alerts.channels]")
    wanted = {name: known[name] for name in channels or known}
    found = asyncio.run(try_channels(wanted, config.alerts.timeout_s, _TEST))
    if as_json:
        rows = [{"channel": name, "ok": outcome.ok, "error": outcome.error} for name, outcome in found.items()]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        table(["channel", "verdict", "why"], [[n, "ok" if o.ok else "FAILED", o.error or ""] for n, o in found.items()])
    if not all(outcome.ok for outcome in found.values()):
        sys.exit(_PARTLY)


@alerts.command(name="list")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True)
@with_context
def list_(config: Config, limit: int, as_json: bool) -> None:
    """Recent alerts, newest first, sent or not."""
    store = store_of(config)
    found: list[Alert] = []
    if store.exists:
        with store.reading(READ_WAIT_S) as connection:
            found = outbox.recent(connection, limit)
    if as_json:
        rows = [{field.name: plain(getattr(alert, field.name)) for field in fields(Alert)} for alert in found]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    names = ["at", "title", "rule", "channel", "status", "attempts", "sent_at", "error"]
    table(names, [[getattr(alert, name) for name in names] for alert in found])


@alerts.command()
@click.option("--json", "as_json", is_flag=True)
@with_context
def rules(config: Config, as_json: bool) -> None:
    """The configured rules, where each stands, and whether its channels can be used."""
    store, ground = store_of(config), ground_of(config)
    stored: dict[tuple[str, str], StoredState] = {}
    waiting = 0
    if store.exists:
        with store.reading(READ_WAIT_S) as connection:
            stored, waiting = outbox.states(connection), outbox.waiting(connection)
    checked = asyncio.run(try_channels(config.alerts.channels, config.alerts.timeout_s, None))
    shown = [_rule(rule, ground, stored) for rule in config.alerts.rules.values()]
    channels = [{"channel": name, "usable": outcome.ok, "why_not": outcome.error} for name, outcome in checked.items()]
    if as_json:
        known = {"rules": plain(shown), "channels": channels, "waiting": waiting}
        click.echo(json.dumps(known, ensure_ascii=False, indent=1))
        return
    columns = ["rule", "when", "about", "channels", "looked_at", "last_told", "sides"]
    table(columns, [[row[name] for name in columns] for row in shown])
    table(
        ["channel", "verdict", "why"],
        [[c["channel"], "ok" if c["usable"] else "REFUSED", c["why_not"] or ""] for c in channels],
    )
    click.echo(f"{waiting:,} waiting to be sent")


def _rule(rule: AlertRule, ground: Ground, stored: dict[tuple[str, str], StoredState]) -> dict[str, Any]:
    """One rule as a row: what it asks for, and where it stands."""
    itself = stored.get((rule.name, ITSELF))
    same = itself is not None and itself.state == mark_of(rule)
    states = {
        symbol: state
        for (name, symbol), one in stored.items()
        if name == rule.name and symbol != ITSELF and (state := from_json(one.state)) is not None
    }
    wanted = symbols_of(rule, ground)
    about = "sources" if rule.when == "source_down" else ", ".join(wanted) if wanted else "all symbols"
    sides = [f"{symbol} {state.side}" for symbol, state in sorted(states.items()) if state.side is not None]
    spikes = [f"{symbol} {e.severity} spike" for symbol, state in sorted(states.items()) for e in state.episodes]
    return {
        "rule": rule.name,
        "when": str(rule.comparison) if rule.comparison else f"{rule.when} {rule.cron}".strip(),
        "about": about,
        "channels": ", ".join(rule.channels),
        "looked_at": itself.at if itself is not None and same else None,
        "last_told": max((state.last_at for state in states.values() if state.last_at is not None), default=None),
        "sides": "; ".join([*sides, *spikes]) if same else "",
    }


COMMANDS: tuple[click.Command, ...] = (alerts,)
