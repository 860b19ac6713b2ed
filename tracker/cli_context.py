"""What every command shares: where the configuration and the database are, and how a person writes a time."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from tracker.clock import SystemClock
from tracker.config import Config
from tracker.errors import BadInput, StoreError
from tracker.ingest import Analysis
from tracker.parts import DaemonLock, analysis_of, learned_from, load_config, prepare_store, store_of, universe_of
from tracker.render import talk
from tracker.store import Store
from tracker.verdicts import load_verdicts
from tracker.wire import from_iso

READ_WAIT_S = 15.0  # how long a question waits for a writer to let go


@dataclass(slots=True)
class Context:
    """The options before the command; the configuration is read when a command asks for it."""

    path: str | None
    data_dir: str | None

    @property
    def config(self) -> Config:
        return load_config(self.path, os.environ, self.data_dir)


def with_context(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command's first argument is the configuration."""

    @click.pass_obj
    @functools.wraps(command)
    def inner(context: Context, /, *arguments: Any, **named: Any) -> Any:
        return command(context.config, *arguments, **named)

    return inner


def moment(ctx: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """A point in time as a person writes it, aware UTC; no offset means UTC."""
    if value is None:
        return None
    found = from_iso(value)
    if found is None:
        raise click.BadParameter(f"expected a time such as 2014-09-23T00:00Z, found {value!r}")
    return found


def existing(config: Config) -> Store:
    """The store of this installation, to read from; BadInput when there is none yet.

    A file of an older version is brought up to date, unless a daemon of that version still works with it.
    """
    store = store_of(config)
    if not store.exists:
        raise BadInput(
            "there is no database yet", str(store.opening.path), "start `tracker run`, or `tracker replay` an archive"
        )
    if store.is_current(READ_WAIT_S):
        return store
    lock = DaemonLock(config.tracker.data_dir)
    try:
        lock.acquire()
    except StoreError as error:
        raise StoreError(
            "the database is of an older version, and a daemon works with it",
            str(store.opening.path),
            "stop that one and start it again",
        ) from error
    try:
        prepare_store(config, store, universe_of(config), SystemClock().now())
    finally:
        lock.release()
    talk.print("the database has been brought up to date", markup=False)
    return store


def installed_analysis(config: Config) -> Analysis:
    """Finder and scorer as the daemon has them; without a file that can be read, only what comes with the program."""
    store = store_of(config)
    if not store.exists:
        return analysis_of(config)
    try:
        learned = learned_from(store, load_verdicts(config.tracker.data_dir))
    except StoreError as error:
        talk.print(f"only what comes with the program: {error}", markup=False)
        return analysis_of(config)
    return analysis_of(config, learned)
