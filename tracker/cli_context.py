"""What every command shares: where the configuration is, and how a person writes a time."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from tracker.app import load_config
from tracker.config import Config
from tracker.wire import from_iso


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
