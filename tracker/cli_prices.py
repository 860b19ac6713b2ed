"""Commands: prices from files, and readings beside what the price did next."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tracker import backtest as backtest_table
from tracker import prices as bars
from tracker.cli_context import existing, moment, with_context
from tracker.clock import SystemClock
from tracker.config import Config
from tracker.errors import BadInput
from tracker.log import escape
from tracker.parts import prepare_store, store_of, universe_of
from tracker.render import emit, talk, text, write_text

_FINE, _FAILED, _PARTLY = 0, 1, 3


@click.group()
def prices() -> None:
    """Price bars from files."""


@prices.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--symbol", metavar="SYMBOL", help="Of all bars, for files without a column of that name.")
@click.option("--source", metavar="NAME", default="import", show_default=True, help="Where the bars come from.")
@click.option("--width", metavar="WIDTH", help="Length of a bar, such as 5m, 1h or 1d (default: 1d for a column date).")
@click.option("--timezone", metavar="ZONE", default="UTC", show_default=True, help="Of times without an offset.")
@click.option("--json", "as_json", is_flag=True)
@with_context
def import_(
    config: Config,
    files: tuple[str, ...],
    symbol: str | None,
    source: str,
    width: str | None,
    timezone: str,
    as_json: bool,
) -> None:
    """Store the bars of CSV files (also .gz, and - for stdin): symbol, date or time, open, high, low, close, adj_close, volume, session, width."""
    universe, now = universe_of(config), SystemClock().now()
    options = bars.read_options(universe, source=source, symbol=symbol, width=width, timezone=timezone)
    store = store_of(config)
    if store.exists:
        store = existing(config)
    else:
        prepare_store(config, store, universe, now)
    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[rows]:,} bars"), TimeElapsedColumn(),
        console=talk, transient=True,
    ) as shown:  # fmt: skip
        task = shown.add_task("prices", total=None, rows=0)
        reports = bars.import_prices(
            store, files, options, now, stdin=sys.stdin.buffer,
            progress=lambda file, done, size, rows: shown.update(task, description=escape(file), completed=done, total=size, rows=rows),
        )  # fmt: skip
    for report in reports:
        _tell(report)
    columns = ["file", "rows", "added", "updated", "unchanged", "bad", "symbols", "first_at", "last_at"]
    rows = [
        [r.file, r.rows, r.added, r.updated, r.unchanged, r.bad, len(r.symbols), r.first_at, r.last_at] for r in reports
    ]
    emit(columns, rows, "json" if as_json else "table")
    bad = sum(report.bad for report in reports)
    sys.exit(_FINE if not bad else _PARTLY if bad < sum(report.rows for report in reports) else _FAILED)


def _tell(report: bars.FileReport) -> None:
    """What a person should know of a file, on stderr."""
    name = escape(report.file)
    if report.unused:
        talk.print(
            f"{name}: columns that are not used: {escape(', '.join(report.unused))}", markup=False, soft_wrap=True
        )
    for bad in report.named:
        talk.print(escape(str(bad)), markup=False, soft_wrap=True)
    if report.bad > len(report.named):
        talk.print(f"{name}: {report.bad - len(report.named):,} more bad lines", markup=False, soft_wrap=True)


@click.command()
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]…")
@click.option("--group", metavar="NAME", help="The symbols of a group of the watch-list.")
@click.option("--all", "everything", is_flag=True, help="Every symbol that was spoken of.")
@click.option(
    "--since", callback=moment, metavar="TIME", help="Readings later than this (default: all that are stored)."
)
@click.option("--until", callback=moment, metavar="TIME", help="Up to and with this one.")
@click.option(
    "--window", metavar="WINDOW", default="24h", show_default=True, help="Span that a reading looks back over."
)
@click.option("--every", type=click.Choice([*backtest_table.EVERY]), default="day", show_default=True)
@click.option("--format", "form", type=click.Choice(["csv", "parquet", "jsonl"]), default="csv", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One object: the statement as `about`, and `rows`.")
@click.option("--output", metavar="PATH", help="A file; the statement goes beside it. Needed for parquet.")
@with_context
def backtest(
    config: Config,
    symbols: tuple[str, ...],
    group: str | None,
    everything: bool,
    since: datetime | None,
    until: datetime | None,
    window: str,
    every: str,
    form: str,
    as_json: bool,
    output: str | None,
) -> None:
    """Readings beside what the price did next, one row a symbol and day, with a statement of what they rest on."""
    if form == "parquet" and (output is None or as_json):
        raise BadInput("parquet needs a file of its own", "--output", "give a path, and no --json")
    with existing(config).reading(bars.WAIT_S) as connection:
        with talk.status("readings beside prices"):
            asked = backtest_table.ask(
                connection, symbols=symbols, group=group, everything=everything, since=since, until=until, window=window, every=every
            )  # fmt: skip
            columns = backtest_table.take(connection, asked)
            stated = backtest_table.about(connection, asked)
        if form == "parquet" and output is not None:
            backtest_table.to_parquet(connection, output)
        else:
            about = backtest_table.as_json(stated)
            _write(columns, backtest_table.rows(connection), "json" if as_json else form, about, output)
    told = backtest_table.as_text(stated)
    talk.print(told, markup=False, soft_wrap=True, end="")
    if output is not None:
        write_text(f"{output}.about.md", [told])
    sys.exit(_FINE if stated.rows else _FAILED)


def _write(
    columns: list[str], pages: Iterable[list[tuple[Any, ...]]], form: str, about: dict[str, Any], output: str | None
) -> None:
    """The rows in one of the machine formats, a page at a time."""
    write_text(output, _json(columns, pages, about) if form == "json" else _lines(columns, pages, form))


def _lines(columns: list[str], pages: Iterable[list[tuple[Any, ...]]], form: str) -> Iterator[str]:
    if form == "csv":
        yield text(columns, [], "csv") + "\n"
    for page in pages:
        part = text(columns, page, form)
        yield (part.split("\n", 1)[1] if form == "csv" else part) + "\n"


def _json(columns: list[str], pages: Iterable[list[tuple[Any, ...]]], about: dict[str, Any]) -> Iterator[str]:
    yield f'{{"about": {json.dumps(about, ensure_ascii=False)},\n"rows": ['
    separator = "\n"
    for page in pages:
        yield separator + ",\n".join(text(columns, page, "jsonl").split("\n"))
        separator = ",\n"
    yield "\n]}\n"


COMMANDS: tuple[click.Command, ...] = (prices, backtest)
