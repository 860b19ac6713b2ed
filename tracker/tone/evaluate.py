"""How good a scorer is on labelled messages: read them from a file, score them, count.

    read_examples(path) -> [Example]        CSV with a header: text, label; source, symbol, created_at, author if known
    measure(score, examples) -> Figures     score: Example -> Tone

Two-class figures leave neutral examples out and take the side that the tone leans to, however little; a tone of 0 is on
neither side and counts as wrong.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from tracker.errors import BadInput
from tracker.models import Tone
from tracker.tone.fit import auc
from tracker.tone.train import Example

LABELS: Final[dict[str, Literal[-1, 0, 1]]] = {
    "bullish": 1, "bearish": -1, "neutral": 0, "1": 1, "-1": -1, "0": 0, "+1": 1,
}  # fmt: skip
BINS: Final = 10  # of the calibration error
LONGEST_FIELD: Final = 1_000_000  # characters


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted. None: too few examples of a kind to say."""

    n: int  # two-class examples
    neutral: int  # examples labelled neutral
    bullish_share: float | None  # of the two-class examples
    accuracy: float | None  # on the right side; 0 is wrong
    macro_f1: float | None  # mean F1 of bullish and bearish
    auc: float | None  # chance that a bullish message scores above a bearish one
    coverage: float | None  # share of the two-class examples that get a stance
    sure_half_accuracy: float | None  # accuracy on the half with the strongest tones
    calibration_error: float | None  # mean distance of p_bullish from the share that is bullish, in ten bins
    three_class_f1: float | None  # mean F1 of the three stances; None without neutral examples


def read_examples(path: Path) -> list[Example]:
    """The labelled messages of a CSV file, plain or .gz. BadInput names the line that can't be used."""
    try:
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
        text = content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BadInput("the examples can't be read", str(path), error) from error
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    return list(_examples(lines, path))


def _examples(lines: Iterable[list[str]], path: Path) -> Iterable[Example]:
    reader = iter(lines)
    header: list[str] | None = None
    line = 0
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        for cells in reader:
            line = reader.line_num  # type: ignore[attr-defined]  # a csv.reader has it
            if header is None:
                header = [cell.strip().lower() for cell in cells]
                _check_header(header, path)
            elif cells:
                if len(cells) != len(header):
                    raise BadInput(f"expected {len(header)} fields", f"{path} line {line}", f"found {len(cells)}")
                yield _example(dict(zip(header, cells, strict=True)), f"{path} line {line}")
    except csv.Error as error:
        raise BadInput("expected CSV", f"{path} line {line + 1}", error) from error
    finally:
        csv.field_size_limit(limit)
    if header is None:
        raise BadInput("expected a header with the columns text and label", str(path), "the file is empty")


def _check_header(header: Sequence[str], path: Path) -> None:
    for column in ("text", "label"):
        if header.count(column) != 1:
            raise BadInput(f"expected one column {column} in the header", f"{path} line 1", ", ".join(header)[:200])


def _example(cells: dict[str, str], place: str) -> Example:
    label = LABELS.get(cells["label"].strip().lower())
    if label is None:
        raise BadInput("expected the label bullish, bearish or neutral (1, -1, 0)", place, repr(cells["label"][:80]))
    written = cells.get("created_at", "").strip()
    at = None
    if written:
        try:
            at = datetime.fromisoformat(written)
        except ValueError as error:
            raise BadInput("expected created_at as 2026-01-31T12:00:00Z", place, repr(written[:80])) from error
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return Example(
        text=cells["text"],
        label=label,
        source=cells.get("source", "").strip(),
        author=cells.get("author", "").strip() or None,
        symbol=cells.get("symbol", "").strip() or None,
        at=at,
    )


def measure(score: Callable[[Example], Tone], examples: Iterable[Example]) -> Figures:
    """Score every example once and compare with its label."""
    scored = [(example.label, score(example)) for example in examples]
    sided = [(label, tone) for label, tone in scored if label]
    if not sided:
        return Figures(0, len(scored), None, None, None, None, None, None, None, None)
    pairs = [(label, _sign(tone.tone)) for label, tone in sided]
    neutral = len(scored) - len(sided)
    return Figures(
        n=len(sided),
        neutral=neutral,
        bullish_share=sum(label == 1 for label, _ in sided) / len(sided),
        accuracy=_share_right(pairs),
        macro_f1=_macro_f1(pairs, (1, -1)),
        auc=auc(
            [tone.tone for label, tone in sided if label == 1], [tone.tone for label, tone in sided if label == -1]
        ),
        coverage=sum(tone.stance != 0 for _, tone in sided) / len(sided),
        sure_half_accuracy=_sure_half(sided),
        calibration_error=_calibration_error(sided),
        three_class_f1=_macro_f1([(label, tone.stance) for label, tone in scored], (1, 0, -1)) if neutral else None,
    )


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _share_right(pairs: Sequence[tuple[int, int]]) -> float:
    return sum(label == said for label, said in pairs) / len(pairs)


def _macro_f1(pairs: Sequence[tuple[int, int]], classes: Sequence[int]) -> float:
    total = 0.0
    for wanted in classes:
        right = sum(label == said == wanted for label, said in pairs)
        labelled = sum(label == wanted for label, _ in pairs)
        named = sum(said == wanted for _, said in pairs)
        total += 2 * right / (labelled + named) if labelled + named else 0.0
    return total / len(classes)


def _sure_half(sided: Sequence[tuple[int, Tone]]) -> float | None:
    ranked = sorted(sided, key=lambda item: -abs(item[1].tone))
    half = ranked[: len(ranked) // 2]
    return _share_right([(label, _sign(tone.tone)) for label, tone in half]) if half else None


def _calibration_error(sided: Sequence[tuple[int, Tone]]) -> float:
    bins: list[list[tuple[int, float]]] = [[] for _ in range(BINS)]
    for label, tone in sided:
        bins[min(BINS - 1, int(tone.p_bullish * BINS))].append((label, tone.p_bullish))
    return sum(abs(sum(p for _, p in found) - sum(label == 1 for label, _ in found)) for found in bins) / len(sided)
