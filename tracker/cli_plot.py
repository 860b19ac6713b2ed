"""Commands: pictures of one symbol."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path

import click

from tracker.cli_context import READ_WAIT_S, existing, moment, with_context
from tracker.config import Config
from tracker.errors import BadInput, TrackerError
from tracker.plot import WIDTHS, Picture, read_picture, series
from tracker.plot_page import draw_page
from tracker.plot_static import draw_static
from tracker.render import talk

_FORMS = (".png", ".svg", ".html")


@click.command()
@click.argument("symbol")
@click.option("--since", callback=moment, metavar="TIME", help="From then on (default: --days before the end).")
@click.option("--until", callback=moment, metavar="TIME", help="Up to then (default: the end of the data).")
@click.option(
    "--days", type=click.IntRange(1, 36_500), default=30, show_default=True, help="How many, without --since."
)
@click.option(
    "--window", default="24h", show_default=True, metavar="WINDOW", help="Of the readings whose score is drawn."
)
@click.option("--width", type=click.Choice(list(WIDTHS)), default="1d", show_default=True, help="Of one bar.")
@click.option("--output", metavar="FILE", help="A .png, .svg or .html (default: ./SYMBOL.html).")
@click.option("--json", "as_json", is_flag=True, help="Print the series instead of drawing them.")
@with_context
def plot(
    config: Config,
    symbol: str,
    since: datetime | None,
    until: datetime | None,
    days: int,
    window: str,
    width: str,
    output: str | None,
    as_json: bool,
) -> None:
    """Volume, bullish ratio, score and price of one symbol in one picture."""
    if as_json and output is not None:
        raise BadInput("--json prints the series and draws nothing", "--output", "give one of the two")
    form = _form(output) if output is not None else ".html"
    with existing(config).reading(READ_WAIT_S) as connection:
        picture = read_picture(connection, symbol, since, until, days=days, window=window, width=WIDTHS[width])
    if picture.empty:
        raise TrackerError(
            "nothing to draw",
            f"{picture.symbol} from {_day(picture.since)} to {_day(picture.until)}",
            _elsewhere(picture),
        )
    if as_json:
        click.echo(json.dumps(series(picture), ensure_ascii=False, indent=1))
        return
    target = Path(output) if output is not None else Path(f"{_file_name(picture.symbol)}.html")
    content = (
        draw_page(picture).encode() if form == ".html" else draw_static(picture, "png" if form == ".png" else "svg")
    )
    try:
        target.write_bytes(content)
    except (OSError, ValueError) as error:  # ValueError: a path that no file system has
        raise BadInput("the file can't be written", str(target), getattr(error, "strerror", None) or error) from None
    for note in picture.notes:
        talk.print(f"left out: {note}", markup=False, soft_wrap=True)
    talk.print(f"wrote {target}", markup=False, soft_wrap=True)


def _form(output: str) -> str:
    form = Path(output).suffix.lower()
    if form not in _FORMS:
        raise BadInput(
            "no picture can be written into such a file", output, "expected a name that ends in .png, .svg or .html"
        )
    return form


def _file_name(symbol: str) -> str:
    """A symbol as the name of a file in this folder, whatever it is made of."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", symbol).lstrip(".")[:60] or "symbol"


def _day(when: datetime) -> str:
    return f"{when:%Y-%m-%d}" if when.time() == datetime.min.time() else f"{when:%Y-%m-%dT%H:%MZ}"


def _elsewhere(picture: Picture) -> str:
    if picture.spoken is None:
        return "no stored message names it"
    first, last = picture.spoken
    return f"the stored messages that name it are of {_day(first)} to {_day(last)}"


COMMANDS: tuple[click.Command, ...] = (plot,)
