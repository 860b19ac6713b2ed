"""``tracker eval``: how well what decides does on messages that people have labelled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click

from tracker.cli_context import installed_analysis, with_context
from tracker.cli_eval_tone import tone
from tracker.clock import SystemClock
from tracker.config import Config
from tracker.evaluate_mentions import KINDS, Result, Share, measure, read_labelled
from tracker.mentions import Counts, Finder, add, make_finder
from tracker.render import table, talk
from tracker.universe import SymbolInfo
from tracker.universe_lists import trust
from tracker.universe_merge import infos_of, merge
from tracker.universe_refresh import read_folder


@click.group("eval")
def evaluate() -> None:
    """Measure what decides on labelled messages."""


@evaluate.command("mentions")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…", type=click.Path(exists=True, dir_okay=False))
@click.option("--universe", "folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False),
              help="Published lists in a folder (default: what the database holds).")  # fmt: skip
@click.option("--bundled", is_flag=True, help="Only what comes with the program.")
@click.option("--stream", is_flag=True, help="Count the messages' own forms first, unlabelled, as a stream would.")
@click.option("--slips", type=click.IntRange(0), default=0, metavar="N", help="Show N of what was missed or wrong.")
@click.option("--json", "as_json", is_flag=True)
@with_context
def mentions(
    config: Config, paths: tuple[str, ...], folder: str | None, bundled: bool, stream: bool, slips: int, as_json: bool
) -> None:
    """Precision, recall and F1 of the mentions found, by kind, source and case."""
    rows = [row for path in paths for row in read_labelled(Path(path))]
    finder = _finder(config, folder, bundled, [row.text for row in rows] if stream else ())
    results = measure(rows, lambda text: finder.counted(finder.find(text)))
    if as_json:
        click.echo(json.dumps([_facts(result) for result in results], ensure_ascii=False, indent=1))
        return
    columns = ["messages of", "messages", "precision", "recall", "F1", *(f"{kind} {what}" for kind in KINDS for what in ("P", "R", "F1"))]  # fmt: skip
    table(columns, [_row(result) for result in results], "mentions, in per cent")
    for slip in islice(results[0].slips, slips):
        talk.print(f"{slip.what} {slip.symbol} in {slip.id}: {slip.text[:160]!r}", markup=False, soft_wrap=True)


def _finder(config: Config, folder: str | None, bundled: bool, texts: Sequence[str]) -> Finder:
    """The finder of this installation, or one of other lists; ``texts`` stand for its stream."""
    extract = config.extract
    if folder is None and not bundled and not texts:
        return installed_analysis(config).finder

    def made(counters: dict[str, Counts]) -> Finder:
        return make_finder(
            config.watchlist.watched, threshold=extract.threshold, block=extract.block, allow=extract.allow,
            aliases=extract.aliases, lists=lists, counters=counters,
        )  # fmt: skip

    lists = () if folder is None else lists_in(Path(folder), config.universe.foreign)
    finder = made({})
    if not texts:
        return finder
    counters: dict[str, Counts] = {}
    for text in texts:
        add(counters, finder.forms(text))
    return made(counters)


def lists_in(folder: Path, markets: tuple[str, ...]) -> tuple[SymbolInfo, ...]:
    """What the published lists in a folder say, put together as a refresh would, and stored nowhere."""
    readings, _ = read_folder(folder, markets)
    fresh = {reading.name: reading.parsed.listings for reading in readings if reading.parsed is not None}
    return tuple(infos_of(merge((), fresh, SystemClock().now(), order=sorted(fresh, key=trust)).rows))


def _row(result: Result) -> list[Any]:
    shares: Iterable[Share] = (result.all, *(result.kinds[kind] for kind in KINDS))
    return [result.name, result.messages, *(_cent(ratio) for share in shares for ratio in (share.precision, share.recall, share.f1))]  # fmt: skip


def _cent(ratio: float | None) -> float | None:
    return None if ratio is None else round(100 * ratio, 1)


def _facts(result: Result) -> dict[str, Any]:
    def told(share: Share) -> dict[str, Any]:
        return {"precision": share.precision, "recall": share.recall, "f1": share.f1, "there": share.there}

    return {
        "slice": result.name, "messages": result.messages, "all": told(result.all),
        **{kind: told(result.kinds[kind]) for kind in KINDS},
    }  # fmt: skip


evaluate.add_command(tone)

COMMANDS: tuple[click.Command, ...] = (evaluate,)
