"""Command: going back to a span of time that nobody listened to."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from datetime import datetime

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from tracker import config as configuration
from tracker import log, sources
from tracker.app import App
from tracker.backfill import BackfillReport
from tracker.backfill import Progress as Shown
from tracker.backfill import backfill as go_back
from tracker.cli_context import moment, with_context
from tracker.cli_read import emit_report
from tracker.config import Config
from tracker.errors import BadInput, StoreError
from tracker.parts import DaemonLock
from tracker.render import talk

_FINE, _FAILED, _PARTLY = 0, 1, 3


@click.command()
@click.argument("source")
@click.argument("stream")
@click.option("--since", required=True, callback=moment, metavar="TIME", help="Where the span begins.")
@click.option(
    "--until", callback=moment, metavar="TIME", help="Where it ends (default: where listening to the stream began)."
)
@click.option("--again", is_flag=True, help="From its end once more, whatever has been read of the span.")
@click.option("--json", "as_json", is_flag=True)
@with_context
def backfill(
    config: Config, source: str, stream: str, since: datetime, until: datetime | None, again: bool, as_json: bool
) -> None:
    """What a stream carried before we listened to it, politely. Ctrl-C ends it, the same command goes on."""
    log.setup(config.tracker.log_level, config.tracker.log_format, configuration.secrets(config))
    config, name = _chosen(config, source, stream)
    lock = DaemonLock(config.tracker.data_dir)
    lock.acquire()
    try:
        report = asyncio.run(_backfill(config, source, name, since, until, again))
    finally:
        lock.release()
    for said in (report.gap, report.stopped):
        if said is not None:
            talk.print(f"{source} {name}: {said}", markup=False)
    emit_report(report, as_json)
    if report.finished and report.gap is None:
        sys.exit(_FINE)
    sys.exit(_PARTLY if report.covered or report.fetched else _FAILED)


def _chosen(config: Config, source: str, stream: str) -> tuple[Config, str]:
    """The configuration with this one stream on, and its name; BadInput where it may not be asked.

    A source that the daemon does not poll may be asked all the same: the command says so. Its terms are another matter.
    """
    settings = config.sources.get(source)
    if settings is None:
        raise BadInput("unknown source", source, f"expected one of {', '.join(sources.names())}")
    module = sources.load(source)
    try:
        name = module.stream_name(stream)
    except ValueError as error:
        raise BadInput("no stream of this source", stream, error) from None
    if module.NEEDS_ACKNOWLEDGEMENT and not settings.acknowledge_terms:
        raise BadInput("this source is off", source, settings.off_reason or "its terms are not acknowledged")
    return replace(config, sources={source: replace(settings, enabled=True, streams=(name,))}), name


async def _backfill(
    config: Config, source: str, stream: str, since: datetime, until: datetime | None, again: bool
) -> BackfillReport:
    app = App(config, whole=False)
    try:
        await app.open()
        with Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
            TextColumn("{task.fields[messages]:,} messages{task.fields[waits]}"), TimeElapsedColumn(), console=talk, transient=True,
        ) as bar:  # fmt: skip
            task = bar.add_task(f"{source} {stream}", total=1.0, messages=0, waits="")

            def show(so_far: Shown) -> None:
                waits = f", waits {so_far.waits_s:.0f} s" if so_far.waits_s >= 5 else ""
                bar.update(task, completed=so_far.done, messages=so_far.messages, waits=waits)

            report = await go_back(app, source, stream, since, until, again=again, progress=show)
    finally:
        await app.close()
    if app.failure is not None:
        raise StoreError("the backfill stopped", None, app.failure)
    return report


COMMANDS: tuple[click.Command, ...] = (backfill,)
