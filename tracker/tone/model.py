"""The learned weights as a value and as a file: what a word says about direction, and whether a view is held at all.

    load_model(path) -> Model      reads and checks everything; BadInput names file and line
    save_model(model, path)        writes aside, then replaces; a name ending in .gz is compressed
    shipped() -> Model             the weights of ``data/tone-model.tsv.gz``; see docs/tone-model.md

A file is tab-separated text: a head of named lines, then one line a term, in order, with two weights of two decimals.
Equal models are equal files, byte for byte.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from tracker.errors import BadInput
from tracker.universe import DATA

FORMAT: Final = "tracker-tone-model"
FORMAT_VERSION: Final = 1
MOST_TERMS: Final = 200_000  # a file beyond it is not one of ours
STRONGEST: Final = 50.0  # no weight is beyond it
DECIMALS: Final = 2  # of a term's weights
_MAGIC: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Blend:
    """Log-odds of a bullish author = learned * (sum of the words) + lexicon * (evidence of the lexicon) + constant."""

    learned: float
    lexicon: float
    constant: float


@dataclass(frozen=True, slots=True)
class View:
    """Log-odds that a view is held = words * (sum of the words) + strength * |log-odds of direction| + constant
    + lexicon * |evidence of the lexicon|."""

    words: float
    strength: float
    constant: float
    lexicon: float = 0.0  # counted a second time: its list is of words by which people take sides


@dataclass(frozen=True, slots=True)
class Model:
    """What was learned from labelled messages. Holds weights of words, never a message."""

    terms: Mapping[str, tuple[float, float]]  # word, pair or part of a word -> its weight for direction, for a view
    blend: Blend
    view: View | None = None  # None: no neutral example was seen, so every message with evidence has a view
    priors: Mapping[str, float] = field(default_factory=dict)  # source -> log-odds of its bullish share
    examples: int = 0  # labelled messages behind it, those of its prior not counted
    lexicon: str = ""  # name of the lexicon that the blend was fitted with
    title: str = ""  # "1" for the shipped weights, empty for a person's own

    @property
    def name(self) -> str:
        """``learned-1`` when shipped; a person's own is named by its content, so that a retrained one has a new name."""
        return f"learned-{self.title or 'own-' + self.fingerprint}"

    @property
    def fingerprint(self) -> str:
        return _fingerprint(_lines(self))


def save_model(model: Model, path: Path) -> None:
    """Write a model, so that a reader sees the old file or the new one and never half of it."""
    lines = _lines(model)
    lines.insert(1, f"fingerprint\t{_fingerprint(lines)}")
    content = "".join(f"{line}\n" for line in lines).encode()
    if path.name.endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise BadInput("the model can't be written", str(path), error) from error


def load_model(path: Path) -> Model:
    """Read a model. BadInput names the file and the line that can't be used."""
    try:
        content = path.read_bytes()
        if content.startswith(_MAGIC):
            content = gzip.decompress(content)
        lines = content.decode("utf-8").split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BadInput("the model can't be read", str(path), error) from error
    return _Reader(path, lines).model()


@cache
def shipped() -> Model:
    """The weights that come with the program."""
    return load_model(DATA / "tone-model.tsv.gz")


def _lines(model: Model) -> list[str]:
    lines = [
        f"{FORMAT}\t{FORMAT_VERSION}",
        f"title\t{model.title}",
        f"lexicon\t{model.lexicon}",
        f"examples\t{model.examples}",
        f"blend\t{model.blend.learned:.4f}\t{model.blend.lexicon:.4f}\t{model.blend.constant:.4f}",
    ]
    if model.view is not None:
        view = model.view
        lexicon = f"\t{view.lexicon:.4f}" if view.lexicon else ""  # files from before it had three values
        lines.append(f"view\t{view.words:.4f}\t{view.strength:.4f}\t{view.constant:.4f}{lexicon}")
    lines += [f"prior\t{source}\t{prior:.4f}" for source, prior in sorted(model.priors.items())]
    lines.append(f"terms\t{len(model.terms)}")
    lines += [
        f"{term}\t{direction:.{DECIMALS}f}\t{view:.{DECIMALS}f}"
        for term, (direction, view) in sorted(model.terms.items())
    ]
    return lines


def _fingerprint(lines: list[str]) -> str:
    return blake2b("\n".join(lines).encode(), digest_size=4).hexdigest()


class _Reader:
    """Goes through the lines of a file in their order."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self._path = path
        self._lines = lines
        self._at = 0  # lines read so far, which is the number of the last one

    def model(self) -> Model:
        if self._lines[0] != f"{FORMAT}\t{FORMAT_VERSION}":
            self._at = 1
            raise self._bad(f"expected {FORMAT}, tab, {FORMAT_VERSION}", self._lines[0][:80])
        if len(self._lines) < 2 or self._lines[-1] != "":
            self._at = len(self._lines)
            raise self._bad("expected a last line with an end: the file is cut", self._lines[-1][:80])
        self._at = 1
        (fingerprint,) = self._next("fingerprint", 1)
        (title,) = self._next("title", 1)
        (lexicon,) = self._next("lexicon", 1)
        (examples,) = self._next("examples", 1, self._count)
        blend = Blend(*self._next("blend", 3, self._number))
        view = View(*self._next("view", self._values(3, 4), self._number)) if self._follows("view") else None
        priors: dict[str, float] = {}
        while self._follows("prior"):
            source, prior = self._next("prior", 2)
            priors[source] = self._number(prior)
        (count,) = self._next("terms", 1, self._count)
        terms = self._terms(count)
        model = Model(terms, blend, view, priors, examples, lexicon, title)
        if model.fingerprint != fingerprint:
            self._at = 2
            raise self._bad(
                "the content is not what was saved: expected the fingerprint", model.fingerprint, fingerprint
            )
        return model

    def _terms(self, count: int) -> dict[str, tuple[float, float]]:
        terms: dict[str, tuple[float, float]] = {}
        before = ""
        for line in self._lines[self._at : -1]:
            self._at += 1
            cells = line.split("\t")
            if len(cells) != 3:
                raise self._bad("expected term, direction and view", line[:80])
            if not before < cells[0]:
                raise self._bad("expected terms in order, each once", cells[0][:80])
            before = cells[0]
            terms[before] = (self._number(cells[1]), self._number(cells[2]))
        if len(terms) != count:
            raise self._bad(f"expected {count} terms", f"found {len(terms)}")
        return terms

    def _follows(self, name: str) -> bool:
        return self._lines[self._at].startswith(f"{name}\t")

    def _values(self, least: int, most: int) -> int:
        """How many values the next line is to hold: as many as it does, within what is known."""
        return min(most, max(least, self._lines[self._at].count("\t")))

    def _next(self, name: str, cells: int, read: Callable[[str], Any] = str) -> list[Any]:
        line = self._lines[self._at]
        self._at += 1
        found = line.split("\t")
        if found[0] != name or len(found) != cells + 1:
            raise self._bad(f"expected {name} and {cells} values", line[:80])
        return [read(cell) for cell in found[1:]]

    def _count(self, cell: str) -> int:
        if not cell.isdecimal() or len(cell) > 12:
            raise self._bad("expected a whole number", cell[:80])
        return int(cell)

    def _number(self, cell: str) -> float:
        try:
            number = float(cell)
        except ValueError:
            number = math.nan
        if not -STRONGEST <= number <= STRONGEST:
            raise self._bad(f"expected a number of {-STRONGEST:g} to {STRONGEST:g}", cell[:80])
        return number

    def _bad(self, message: str, *found: str) -> BadInput:
        return BadInput(message, f"{self._path} line {self._at}", " ".join(map(repr, found)))
