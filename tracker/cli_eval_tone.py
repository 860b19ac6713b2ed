"""``tracker eval tone``: the scorer in force, or a model of one's own, beside the lexicon and plain VADER."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from tracker.cli_context import with_context
from tracker.config import Config
from tracker.errors import BadInput
from tracker.parts import model_of
from tracker.render import table, talk
from tracker.tone import Scorer, make_scorer
from tracker.tone.evaluate import Figures, measure, read_examples
from tracker.tone.train import Example

_RATIOS = tuple(field.name for field in fields(Figures) if field.name not in ("n", "neutral"))


@dataclass(frozen=True, slots=True)
class Row:
    """How one scorer does on one set, or on all of them in the mean."""

    set: str
    scorer: str
    figures: Figures
    seconds: float  # of the processor

    @property
    def messages(self) -> int:
        return self.figures.n + self.figures.neutral


@click.command("tone")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…", type=click.Path(exists=True))
@click.option("--model", metavar="MODEL", type=click.Path(exists=True, dir_okay=False), help="Learned weights in place of those in force.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True)
@with_context
def tone(config: Config, paths: tuple[str, ...], model: str | None, as_json: bool) -> None:
    """Accuracy, F1, AUC, coverage, calibration and speed on labelled CSV files (text, label), or folders of them."""
    scorers = _scorers(config, model)
    rows: list[Row] = []
    for path in _files(paths):
        examples = read_examples(path)
        if not examples:
            raise BadInput("there is no labelled message in the file", str(path))
        with talk.status(path.name):
            rows += [_measured(path.name, scorer, examples) for scorer in scorers]
    means = [_mean(name, rows) for name in dict.fromkeys(row.scorer for row in rows)]
    if as_json:
        sets = [{"set": row.set, **_facts(row)} for row in rows]
        click.echo(json.dumps({"sets": sets, "mean": [_facts(row) for row in means]}, ensure_ascii=False, indent=1))
        return
    shown = [*rows, *means] if len({row.set for row in rows}) > 1 else rows
    columns = ["set", "scorer", "messages", "neutral", "bullish", "accuracy", "F1", "AUC", "coverage", "surer half", "calibration error", "3-class F1", "per second"]  # fmt: skip
    table(
        columns,
        [_cells(row) for row in shown],
        "tone; neutral messages count in the 3-class F1 alone; speed a CPU second, once the words are known",
    )


def _scorers(config: Config, model: str | None) -> list[Scorer]:
    band, lexicon = config.tone.neutral_band, config.tone.lexicon
    weights = Path(model) if model is not None else model_of(config)
    return [make_scorer("learned", band, lexicon, weights), make_scorer("lexicon", band, lexicon), make_scorer("vader", band)]  # fmt: skip


def _files(paths: Sequence[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        found = sorted([*path.glob("*.csv"), *path.glob("*.csv.gz")])
        if not found:
            raise BadInput("there is no .csv file in the folder", str(path))
        yield from found


def _measured(name: str, scorer: Scorer, examples: Sequence[Example]) -> Row:
    tones = [scorer.score(example.text, example.source) for example in examples]
    # timed the second time: a daemon knows the words of its streams after the first hour
    started = time.process_time()
    for example in examples:
        scorer.score(example.text, example.source)
    seconds = time.process_time() - started
    in_order = iter(tones)
    return Row(name, scorer.name, measure(lambda _: next(in_order), examples), seconds)


def _mean(scorer: str, rows: Sequence[Row]) -> Row:
    """Every set counts alike; where a figure is unknown in a set, it is the mean of the others."""
    own = [row for row in rows if row.scorer == scorer]
    ratios = {}
    for name in _RATIOS:
        known = [value for row in own if (value := getattr(row.figures, name)) is not None]
        ratios[name] = fmean(known) if known else None
    figures = Figures(sum(row.figures.n for row in own), sum(row.figures.neutral for row in own), **ratios)
    return Row("mean", scorer, figures, sum(row.seconds for row in own))


def _facts(row: Row) -> dict[str, Any]:
    return {"scorer": row.scorer, **asdict(row.figures), "messages_per_second": _speed(row)}


def _speed(row: Row) -> int | None:
    return round(row.messages / row.seconds) if row.seconds > 0 else None


def _cells(row: Row) -> list[Any]:
    ratios = [None if (value := getattr(row.figures, name)) is None else f"{value:.3f}" for name in _RATIOS]
    return [row.set, row.scorer, row.messages, row.figures.neutral, *ratios, _speed(row)]
