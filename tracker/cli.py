"""The command line, and the composition root: it puts everything together, and nothing imports it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tracker import (
    __version__,
    cli_alerts,
    cli_backfill,
    cli_eval,
    cli_forget,
    cli_learn,
    cli_plot,
    cli_prices,
    cli_read,
    cli_sql,
    cli_universe,
    log,
)
from tracker import config as configuration
from tracker.app import App
from tracker.cli_check import check_all
from tracker.cli_context import Context, moment, with_context
from tracker.clock import FixedClock, SystemClock
from tracker.config import Config
from tracker.errors import BadInput, ConfigError, StoreError, TrackerError
from tracker.http import Tally
from tracker.ingest import Attempt, conclude
from tracker.models import Batch, Page, Stream
from tracker.parts import DaemonLock, prepare_store, scorer_of, store_of, universe_of
from tracker.poller import settle
from tracker.render import talk

FINE, FAILED, USAGE, PARTLY, INTERRUPTED = 0, 1, 2, 3, 130


class _Group(click.Group):
    """Turns our errors into a message on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ConfigError, BadInput) as error:
            _complain(error)
            sys.exit(USAGE)
        except TrackerError as error:
            _complain(error)
            sys.exit(FAILED)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except BrokenPipeError:  # the reader of a pipe has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(FINE)


def _complain(error: TrackerError) -> None:
    sys.stderr.write(
        "\n".join(
            [
                "tracker: " + log.escape(line) if not number else log.escape(line)
                for number, line in enumerate(str(error).split("\n"))
            ]
        )
        + "\n"
    )


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tracker")
@click.option(
    "--config",
    "path",
    metavar="PATH",
    help="Configuration file (default: ./config.toml, else the one that comes along).",
)
@click.option("--data-dir", metavar="PATH", help="Folder for the database and everything beside it.")
@click.pass_context
def main(ctx: click.Context, path: str | None, data_dir: str | None) -> None:
    """Retail social sentiment: poll, find, score, store, read."""
    ctx.obj = Context(path, data_dir)


def _logging(config: Config) -> None:
    log.setup(config.tracker.log_level, config.tracker.log_format, configuration.secrets(config))


@main.command()
@with_context
def run(config: Config) -> None:
    """The daemon: all jobs, until SIGTERM or Ctrl-C."""
    from jobs.daemon import Beside, enough_files, serve

    signal.signal(signal.SIGTERM, _leave)  # until the loop has handlers of its own
    _logging(config)
    enough_files(config.jobs.concurrency)
    beside: list[Beside] = []
    if config.web.enabled:
        from tracker import web

        beside.append(web.serve)
    lock = DaemonLock(config.tracker.data_dir)
    lock.acquire()
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # a loop that is half made can't be left
        code = asyncio.run(_serve(config, serve, beside))
    finally:
        lock.release()
    sys.exit(code)


def _leave(number: int, frame: object) -> None:
    """Asked to end before there was anything to put away."""
    sys.exit(FINE)


async def _serve(config: Config, serve: Callable[[App, Sequence[Any]], Any], beside: Sequence[Any]) -> int:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return int(await serve(App(config), beside))


@main.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]…")
@click.option("--now", callback=moment, metavar="TIME", help="Set the clock.")
@with_context
def once(config: Config, jobs: tuple[str, ...], now: datetime | None) -> None:
    """Every due job once, then exit. Jobs: poll, rollup, readings, alerts, publish, scrub, prune, universe, learn, recheck (default:
    the first four)."""
    known = ("poll", "rollup", "readings", "alerts", "publish", "scrub", "prune", "universe", "learn", "recheck")
    for name in jobs:
        if name not in known:
            raise BadInput("unknown job", name, f"expected one of {', '.join(known)}")
    _logging(config)
    lock = DaemonLock(config.tracker.data_dir)
    lock.acquire()
    try:
        code = asyncio.run(_once(config, jobs or known[:4], now))
    finally:
        lock.release()
    sys.exit(code)


async def _once(config: Config, jobs: tuple[str, ...], now: datetime | None) -> int:
    from jobs.alerts import next_time

    app = App(config, SystemClock() if now is None else FixedClock(now))
    app.poller.outcomes = []
    try:
        await app.open()
        if "poll" in jobs:
            while tasks := app.poll_due():  # more streams may be due than are asked at a time
                await settle(tasks)
                if now is not None:
                    break
        if "recheck" in jobs:
            while tasks := app.recheck():  # as far as its share of the budgets goes; the next run goes on
                await settle(tasks)
        if {"poll", "readings", "rollup", "recheck"} & set(
            jobs
        ):  # what waits in the journal is to be rolled up as well
            await app.flush(wait_s=10.0)
        if {"rollup", "poll", "recheck"} & set(jobs):
            await app.rollup()
        if "publish" in jobs:
            await app.publish()
        if "prune" in jobs:
            await app.prune()
        if "scrub" in jobs:
            await app.scrub()
        if "universe" in jobs:
            await app.refresh_universe()
        if "learn" in jobs:
            await app.learn()
        if "alerts" in jobs:
            await app.tell(next_time)
            await app.teller.settle()
    finally:
        await app.close()
    if app.failure is not None:
        raise StoreError("the run stopped", None, app.failure)
    failed = [outcome for outcome in app.poller.outcomes if outcome.error is not None]
    for outcome in failed:
        talk.print(f"{outcome.batch.report.source} {outcome.batch.report.stream}: {outcome.error}", markup=False)
    if not failed:
        return FINE
    return PARTLY if len(failed) < len(app.poller.outcomes) else FAILED


@main.command()
@click.argument("source")
@click.argument("stream", required=False)
@click.option(
    "--load", type=click.Path(exists=True, dir_okay=False), help="Read a recorded body in place of the network."
)
@click.option("--save", type=click.Path(dir_okay=False), help="Record the body of the first answer.")
@with_context
def poll(config: Config, source: str, stream: str | None, load: str | None, save: str | None) -> None:
    """One attempt on one source, or on one of its streams."""
    _logging(config)
    lock = DaemonLock(config.tracker.data_dir)
    lock.acquire()
    try:
        code = asyncio.run(_poll(config, source, stream, load, save))
    finally:
        lock.release()
    sys.exit(code)


def _brought(batch: Batch) -> str:
    """What a poll brought, in words: of what is no talk only what there is."""
    aside = {"headlines": batch.headlines, "ranks": batch.ranks, "bars": batch.bars, "option sums": batch.options}
    told = [f"{len(rows)} {name}" for name, rows in aside.items() if rows]
    if batch.report.brings == "talk":
        told = [f"{len(batch.messages)} messages", f"{len(batch.mentions)} mentions", *told]
    return ", ".join([f"{batch.report.fetched} items", *told])


async def _poll(config: Config, source: str, stream: str | None, load: str | None, save: str | None) -> int:
    from tracker import sources

    settings = config.sources.get(source)
    if settings is None:
        raise BadInput("unknown source", source, f"expected one of {', '.join(sources.names())}")
    module = sources.load(source)
    if stream is not None:
        try:
            stream = module.stream_name(stream)
        except ValueError as error:
            raise BadInput("no stream of this source", stream, error) from None
        settings = replace(settings, streams=(stream,))
    if not settings.enabled and load is None:
        raise BadInput("this source is off", source, settings.off_reason)
    config = replace(config, sources={source: replace(settings, enabled=True)})
    app = App(config, record=save is not None, whole=False)
    app.poller.outcomes = []
    try:
        await app.open()
        if load is not None:
            await _load(app, source, stream or (settings.streams[0] if settings.streams else "loaded"), Path(load))
        else:
            tasks = app.poll_due()
            if not tasks:
                waiting = [
                    f"{s.name} until {s.next_poll_at:%Y-%m-%d %H:%M:%SZ}"
                    for s in app.poller.streams
                    if s.next_poll_at is not None
                ]
                raise BadInput("nothing may be asked yet", source, "; ".join(waiting) or "a limit holds")
            await settle(tasks)
        await app.flush(wait_s=10.0)
        await app.rollup()
    finally:
        await app.close()
    if app.failure is not None:
        raise StoreError("nothing was stored", None, app.failure)
    code = FINE
    for outcome in app.poller.outcomes:
        report = outcome.batch.report
        said = str(outcome.error) if outcome.error else _brought(outcome.batch)
        talk.print(f"{report.source} {report.stream}: {report.status}: {said}", markup=False)
        code = FAILED if outcome.error else code
        if save is not None and outcome.bodies:
            Path(save).write_bytes(outcome.bodies[0])
    return code


async def _load(app: App, source: str, name: str, path: Path) -> None:
    """A recorded body in place of the network; the stored cursor stays where it is."""
    target = app.poller.targets[source]
    stream = next((stream for stream in app.poller.streams if stream.name == name), Stream(source, name))
    items = target.source.parse(path.read_bytes())
    now = app.clock.now()
    outcome = conclude(
        stream, target.plan, app.analysis, Attempt(now, 0, Tally(), now), Page(items=tuple(items), cursor=None), None
    )
    await app.keep(replace(outcome.batch, stream=None))
    if app.poller.outcomes is not None:
        app.poller.outcomes.append(outcome)


@main.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option(
    "--as",
    "form",
    required=True,
    metavar="FORMAT",
    help="stocktwits, reddit, arctic_shift, jetstream, hackernews, x, fourchan, mastodon, bluesky, ndjson.",
)
@click.option("--readings", type=click.Choice(["hourly", "daily"]), default="hourly", show_default=True)
@click.option("--no-clock", is_flag=True, help="Only load facts; the next run rolls them up.")
@click.option("--keep", type=click.Choice(["all", "mentions"]), default="all", show_default=True)
@click.option("--json", "as_json", is_flag=True)
@with_context
def replay(
    config: Config, paths: tuple[str, ...], form: str, readings: str, no_clock: bool, keep: str, as_json: bool
) -> None:
    """Archives through the same pipeline, on a simulated clock."""
    from tracker.replay import Progress as Shown
    from tracker.replay import replay as play

    _logging(config)
    lock = DaemonLock(config.tracker.data_dir)
    lock.acquire()
    try:
        store = store_of(config)
        prepare_store(config, store, universe_of(config), datetime.now(UTC))
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[messages]:,} messages"),
            TimeElapsedColumn(),
            console=talk,
            transient=True,
        ) as bar:
            task = bar.add_task("reading", total=None, messages=0)

            def show(so_far: Shown) -> None:
                if so_far.stage == "reading":
                    total, done = so_far.bytes_total, so_far.bytes_done
                else:
                    total, done = so_far.moments_total or None, so_far.moments_done
                bar.update(task, description=so_far.stage, total=total, completed=done, messages=so_far.messages)

            report = play(
                ["-" if path == "-" else Path(path) for path in paths], form, config=config, store=store,
                readings=None if no_clock else ("daily" if readings == "daily" else "hourly"), clock=not no_clock, keep=keep,
                progress=show,
            )  # fmt: skip
    finally:
        lock.release()
    cli_read.emit_report(report, as_json)


@main.command()
@click.option("--deep", is_flag=True, help="Also prove that no row stands twice.")
@click.option("--json", "as_json", is_flag=True)
@with_context
def check(config: Config, deep: bool, as_json: bool) -> None:
    """Configuration and environment, with a verdict for each source."""
    sys.exit(check_all(config, deep=deep, as_json=as_json))


@main.command()
@click.option("--readings", is_flag=True, help="Also the readings of replays; those taken live stay in any case.")
@with_context
def rebuild(config: Config, readings: bool) -> None:
    """Throw away what is derived (live readings excepted) and make it again from the facts."""
    lock = DaemonLock(config.tracker.data_dir)
    lock.acquire()
    try:
        store = store_of(config)
        prepare_store(config, store, universe_of(config), datetime.now(UTC))
        days = store.rebuild(readings=readings, scorer=scorer_of(config).name if readings else None)
    finally:
        lock.release()
    talk.print(f"rolled up {days:,} symbol-days")


@main.command()
@click.argument("target", required=False, type=click.Path(dir_okay=False))
@with_context
def publish(config: Config, target: str | None) -> None:
    """A read copy of the database for those who stay connected."""
    place = Path(target) if target else config.store.publish
    if place is None:
        raise BadInput("no place for the copy", None, "give a path, or set publish in [store]")
    store_of(config).publish(place)
    talk.print(f"published {place}", markup=False)


for command in (
    *cli_read.COMMANDS,
    *cli_prices.COMMANDS,
    *cli_plot.COMMANDS,
    *cli_alerts.COMMANDS,
    *cli_universe.COMMANDS,
    *cli_eval.COMMANDS,
    *cli_learn.COMMANDS,
    *cli_backfill.COMMANDS,
    *cli_forget.COMMANDS,
    *cli_sql.COMMANDS,
):
    main.add_command(command)

if __name__ == "__main__":
    main()
