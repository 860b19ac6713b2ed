"""Commands: learn how people here write, and apply a scorer to what is stored."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tracker import learn as learning
from tracker.cli_context import READ_WAIT_S, existing, moment, with_context
from tracker.clock import SystemClock
from tracker.config import Config
from tracker.errors import BadInput
from tracker.learn import FROZEN, Report, gather, is_enough, load_frozen, write_model
from tracker.parts import DaemonLock, model_of, scorer_of, store_of
from tracker.promotion import Standing, alone, go_back, load_standing
from tracker.render import emit, plain, table, talk
from tracker.rescore import rescore as apply_scorer
from tracker.store.labels import declared
from tracker.tone.evaluate import read_examples
from tracker.tone.lexicon import LexiconScorer
from tracker.tone.train import Example

_FINE, _FAILED = 0, 1
_NICE = 10
_CSV = click.Path(exists=True, dir_okay=False)


@click.command()
@click.argument("files", nargs=-1, metavar="[CSV]…", type=_CSV)
@click.option(
    "--output", metavar="MODEL", type=click.Path(dir_okay=False), help="Write the model there and put nothing in force."
)
@click.option(
    "--frozen",
    "frozen",
    multiple=True,
    metavar="CSV",
    type=_CSV,
    help="Labelled messages on which it must not fall either.",
)
@click.option("--back", is_flag=True, help="Put the model before in force again.")
@click.option("--status", is_flag=True, help="Say which model is in force, and what came of the last run.")
@click.option("--gently", is_flag=True, help="Leave the processor to others when they want it.")
@click.option("--json", "as_json", is_flag=True)
@with_context
def learn(
    config: Config,
    files: tuple[str, ...],
    output: str | None,
    frozen: tuple[str, ...],
    back: bool,
    status: bool,
    gently: bool,
    as_json: bool,
) -> None:
    """Learn the tone from labels that authors declared, and from labelled CSV files (text, label); put in force what is no worse."""
    if (back or status) and (files or output or frozen or (back and status)):
        raise BadInput("one thing at a time", "--back" if back else "--status", "takes nothing beside it but --json")
    if status:
        _status(config, load_standing(config.tracker.data_dir), as_json)
        return
    if back:
        _back(config, as_json)
        return
    if output is None and config.tone.model is not None:
        raise BadInput(
            "the configuration names a model, which is used as it is", f"[tone] model = {config.tone.model}",
            "take the line out to put in force what is learned, or give --output",
        )  # fmt: skip
    if gently:
        os.nice(_NICE)
    sets = [(FROZEN, load_frozen()), *((f"file {Path(name).name}", read_examples(Path(name))) for name in frozen)]
    given = [example for name in files for example in read_examples(Path(name))]
    material = gather(_stored(config), given, sets)
    lexicon = LexiconScorer(config.tone.neutral_band, config.tone.lexicon)
    if output is not None:
        if not (material.sides[1] and material.sides[-1]):
            talk.print(
                "there is nothing to learn from: no bullish or no bearish label; nothing was written",
                markup=False,
                soft_wrap=True,
            )
            sys.exit(_FAILED)
        if not is_enough(material):
            talk.print(
                f"few labels: below {learning.LEAST} of each side the weights that come along say most of it",
                markup=False,
                soft_wrap=True,
            )
        with _shown() as progress:
            report = write_model(material, Path(output), lexicon, progress)
    else:
        with alone(config.tracker.data_dir), _shown() as progress:
            report = learning.learn(config.tracker.data_dir, material, lexicon, SystemClock().now(), sets, progress)
    _tell(config, report, as_json)


def _stored(config: Config) -> list[Example]:
    if not store_of(config).exists:
        return []
    with existing(config).reading(READ_WAIT_S) as connection:
        return declared(connection)


@contextmanager
def _shown() -> Iterator[learning.Progress]:
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=talk, transient=True
    ) as bar:  # fmt: skip
        tasks: dict[str, Any] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield progress


def _tell(config: Config, report: Report, as_json: bool) -> None:
    if as_json:
        told = plain(asdict(report))
        for one, check in zip(told["checks"], report.checks, strict=True):
            one["passed"] = check.passed
        click.echo(json.dumps(told, ensure_ascii=False, indent=1))
    else:
        columns = ["stored labels", "in files", "learned from: bullish", "bearish", "neutral"]
        table(columns, [[report.stored, report.given, report.bullish, report.bearish, report.neutral]], "labels")
        if report.checks:
            rows = [
                [c.what, c.messages, *map(_third, (c.new, c.in_force)), "fine" if c.passed else "falls"]
                for c in report.checks
            ]
            table(["on", "messages", "AUC new", "AUC in force", ""], rows, "compared")
        table(["model", "outcome", "why", "file"], [[report.model, report.outcome, report.why, str(report.path or "")]])
    if report.outcome == "promoted":
        waits = (
            ""
            if config.tone.scorer == "learned"
            else f', once [tone] scorer is "learned" and not "{config.tone.scorer}"'
        )
        talk.print(
            f"a running daemon takes it up within a minute{waits}; `tracker rescore` applies it to what is stored",
            markup=False,
            soft_wrap=True,
        )


def _third(ratio: float | None) -> str | None:
    return None if ratio is None else f"{ratio:.3f}"


def _back(config: Config, as_json: bool) -> None:
    with alone(config.tracker.data_dir):
        standing = go_back(config.tracker.data_dir)
    _status(config, standing, as_json)
    talk.print(
        "a running daemon takes it up within a minute; `tracker rescore` applies it to what is stored",
        markup=False,
        soft_wrap=True,
    )


def _status(config: Config, standing: Standing, as_json: bool) -> None:
    """The newest first."""
    scorer = scorer_of(config).name
    if as_json:
        told = plain({"scorer": scorer, "model": model_of(config), **asdict(standing)})
        click.echo(json.dumps(told, ensure_ascii=False, indent=1))
        return
    rows: list[list[Any]] = [[one.name, one.at, "promoted"] for one in reversed(standing.promoted)]
    rows.append(["the weights that come along", None, ""])
    if config.tone.scorer == "learned" and config.tone.model is None:
        rows[0][2] = "in force"
    table(["model", "promoted at", ""], rows, f"models; in force is the scorer {scorer}")
    table(["last run", "what came of it"], [[standing.learned_at, standing.said or "there was none yet"]])


@click.command()
@click.option("--since", callback=moment, metavar="TIME", help="Only messages of this time or later.")
@click.option("--json", "as_json", is_flag=True)
@with_context
def rescore(config: Config, since: datetime | None, as_json: bool) -> None:
    """Apply the scorer in force to stored messages that another one scored; what was cut short goes on where it stopped."""
    scorer = scorer_of(config)
    lock = DaemonLock(config.tracker.data_dir)
    store = existing(config)
    lock.acquire()
    try:
        with _shown() as progress:
            report = apply_scorer(
                store, scorer, SystemClock().now(), since, lambda done, total: progress("messages", done, total)
            )
    finally:
        lock.release()
    columns = ["scorer", "messages", "mentions changed", "without text", "symbol-days"]
    values = [report.scorer, report.messages, report.mentions, report.without_text, report.symbol_days]
    emit([column.replace(" ", "_").replace("-", "_") for column in columns] if as_json else columns, [values], "json" if as_json else "table")  # fmt: skip
    if report.without_text:
        talk.print(
            f"{report.without_text:,} messages keep their old tone: their words are past retention",
            markup=False,
            soft_wrap=True,
        )
    talk.print(
        "readings taken live stay as they were; `tracker rebuild --readings` makes those of replays again",
        markup=False,
        soft_wrap=True,
    )


COMMANDS: tuple[click.Command, ...] = (learn, rescore)
