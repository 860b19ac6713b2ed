"""How well the finder does on messages that a person has labelled: precision, recall and F1 by kind, source and case.

A line of the file is ``{id, source, layer, text, gold: [{symbol, surface, kind, alt?}], optional: [{symbol, alt?}]}``.
Each message and symbol counts once. A symbol under ``optional`` is neither rewarded nor punished. Where the layer is
``cashtag``, only cashtags were judged. Recall of a kind is over symbols that the message writes in that way only. Pure.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tracker.errors import BadInput
from tracker.models import Mention

KINDS: Final = ("cashtag", "symbol", "name")
# What the labels call each way of the finder's.
_KIND_OF: Final[Mapping[str, str]] = {
    "platform": "cashtag", "cashtag": "cashtag", "qualified": "symbol", "symbol": "symbol", "name": "name"
}  # fmt: skip
_CANADA: Final = re.compile(r"\.(?:TO|V|CN|NE|TSX|CA)$")
_CLASS: Final = re.compile(r"-(?=[A-Z]{1,2}$)")

Find = Callable[[str], Sequence[Mention]]  # the mentions of a text that count


@dataclass(frozen=True, slots=True)
class Gold:
    """One symbol that a message names, as a person read it."""

    symbol: str
    kind: str  # cashtag, symbol or name
    surface: str
    spellings: frozenset[str]  # what is as good: the symbol and its alternatives, folded


@dataclass(frozen=True, slots=True)
class Labelled:
    """One labelled message."""

    id: str
    source: str
    layer: str  # full: all kinds were judged; cashtag: cashtags only
    text: str
    gold: tuple[Gold, ...]
    optional: frozenset[str]  # symbols that may be found or not


@dataclass(frozen=True, slots=True)
class Share:
    """Hits out of what was found, and out of what was there."""

    right: int = 0
    wrong: int = 0
    found: int = 0  # of those that were there
    there: int = 0

    @property
    def precision(self) -> float | None:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None

    @property
    def recall(self) -> float | None:
        return self.found / self.there if self.there else None

    @property
    def f1(self) -> float | None:
        precision, recall = self.precision, self.recall
        if precision is None or recall is None:
            return None
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@dataclass(frozen=True, slots=True)
class Slip:
    """One thing that the finder got wrong."""

    what: str  # missed or wrong
    symbol: str
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """One slice of the labelled messages."""

    name: str
    messages: int
    all: Share
    kinds: Mapping[str, Share]
    slips: tuple[Slip, ...]


def fold(symbol: str) -> str:
    """One spelling for what counts as the same: BRK-B and BRK.B, RY.TO and RY.CA, BTC and BTC.X."""
    text = _CANADA.sub(".CA", _CLASS.sub(".", symbol.upper().lstrip("$#").replace("/", ".")))
    return text.removesuffix(".X")


def read_labelled(path: Path) -> list[Labelled]:
    """The labelled messages of a file. BadInput names the line that is none."""
    rows: list[Labelled] = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("the labelled messages can't be read", str(path), error) from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                rows.append(_labelled(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise BadInput("expected a labelled message", f"{path.name}:{number}", repr(error)) from error
    if not rows:
        raise BadInput("no labelled messages", str(path))
    return rows


def _labelled(row: Mapping[str, Any]) -> Labelled:
    gold = tuple(
        Gold(entry["symbol"], entry["kind"], entry.get("surface") or "", _spellings(entry)) for entry in row["gold"]
    )
    unknown = {entry.kind for entry in gold}.difference(KINDS)
    if unknown:
        raise ValueError(f"expected a kind out of {', '.join(KINDS)}, found {', '.join(sorted(unknown))}")
    optional = frozenset(spelling for entry in row.get("optional", ()) for spelling in _spellings(entry))
    return Labelled(str(row["id"]), row["source"], row.get("layer", "full"), row["text"] + "", gold, optional)


def _spellings(entry: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(map(fold, (entry["symbol"], *entry.get("alt", ()))))


def lowered(row: Labelled) -> Labelled:
    """The message with its symbols and cashtags in lower case, as many people write."""
    text = row.text
    for entry in row.gold:
        if entry.surface and entry.kind != "name":
            surface = rf"(?<![A-Za-z0-9]){re.escape(entry.surface)}(?![A-Za-z0-9])"
            text = re.sub(surface, lambda match: match[0].lower(), text)
    return Labelled(row.id, row.source, row.layer, text, row.gold, row.optional)


def score(name: str, rows: Iterable[Labelled], find: Find) -> Result:
    """What the finder got right, missed and invented in one slice."""
    counts: Counter[str] = Counter()
    slips: list[Slip] = []
    messages = 0
    for row in rows:
        messages += 1
        _score_one(row, find, counts, slips)
    kinds = {
        kind: Share(counts[f"right {kind}"], counts[f"wrong {kind}"], counts[f"found {kind}"], counts[f"there {kind}"])
        for kind in KINDS
    }
    every = Share(counts["right"], counts["wrong"], counts["right"], counts["right"] + counts["missed"])
    return Result(name, messages, every, kinds, tuple(slips))


def _score_one(row: Labelled, find: Find, counts: Counter[str], slips: list[Slip]) -> None:
    predicted: dict[str, set[str]] = defaultdict(set)
    for mention in find(row.text):
        kind = _KIND_OF[mention.match]
        if row.layer != "cashtag" or kind == "cashtag":
            predicted[fold(mention.symbol)].add(kind)
    ways: dict[str, set[str]] = defaultdict(set)
    accepted: dict[str, set[str]] = defaultdict(set)
    for entry in row.gold:
        ways[entry.symbol].add(entry.kind)
        for spelling in entry.spellings:
            accepted[spelling].add(entry.symbol)
    hit: set[str] = set()
    for symbol, kinds in predicted.items():
        if symbol in accepted:
            hit |= accepted[symbol]
            counts.update(f"right {kind}" for kind in kinds)
        elif symbol not in row.optional:
            counts["wrong"] += 1
            counts.update(f"wrong {kind}" for kind in kinds)
            slips.append(Slip("wrong", symbol, row.id, row.text))
    for symbol, kinds in ways.items():
        found = symbol in hit
        counts["right" if found else "missed"] += 1
        if len(kinds) == 1:
            (kind,) = kinds
            counts[f"there {kind}"] += 1
            counts[f"found {kind}"] += found
        if not found:
            slips.append(Slip("missed", symbol, row.id, row.text))


def slices(rows: Sequence[Labelled]) -> dict[str, list[Labelled]]:
    """The slices that are told: all, lower case, cashtags by their platform's truth, Reddit, each source."""
    full = [row for row in rows if row.layer == "full"]
    found = {
        "all": full,
        "in lower case": [lowered(row) for row in full],
        "cashtags of platforms": [row for row in rows if row.layer == "cashtag"],
        "Reddit": [row for row in full if _is_reddit(row.source)],
    }
    for source in sorted({row.source for row in full}):
        found[source] = [row for row in full if row.source == source]
    return {name: chosen for name, chosen in found.items() if chosen}


def _is_reddit(source: str) -> bool:
    return "reddit" in source or "wsb" in source


def measure(rows: Sequence[Labelled], find: Find) -> list[Result]:
    """Every slice, scored."""
    return [score(name, chosen, find) for name, chosen in slices(rows).items()]
