"""Learning from declared labels, and when what was learned is put in force.

    labels ─► select ─► earlier part ─► twin ─┐ on the later part, against the twin in force: no worse?
                      └► all ────────► model ─┴ on the frozen sets, against the model in force: no worse? ─► promoted

Only labels that authors declared, or that stand in a file a person gave, are learned from: never a score of our own.
The weights that come along are the prior of every run, so nothing builds up from night to night.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from tracker.models import Tone
from tracker.promotion import Promoted, folder_of, load_standing, model_file, note_run, promote, twin_file
from tracker.text import text_key
from tracker.tone.evaluate import LABELS, measure
from tracker.tone.learned import LearnedScorer
from tracker.tone.lexicon import LexiconScorer
from tracker.tone.model import Model, load_model, save_model, shipped
from tracker.tone.train import Example, select, train
from tracker.universe import DATA, read_table

LEAST: Final = 200  # bullish and bearish examples each, below which the weights that come along know better
LEAST_LATER: Final = 50  # of each side in the later part: fewer tell nothing
LATER: Final = 0.2  # of the stored labels, the newest, are the later part
FALL: Final = 0.005  # of AUC that a new model may lie below the one in force
MOST: Final = 100_000  # stored labels that are learned from, the newest
CANDIDATE: Final = "candidate.tsv.gz"
FROZEN: Final = "frozen set"

Outcome = Literal["promoted", "kept", "unchanged", "too few", "written"]
Progress = Callable[[str, int, int], None]  # what is done, rounds done, rounds at most
_Named = tuple[str, Sequence[Example]]


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison of the new model with the one in force, on labels that neither has seen."""

    what: str  # later labels, frozen set, or a file
    messages: int  # that are bullish or bearish
    new: float | None  # AUC; None with one side only
    in_force: float | None

    @property
    def passed(self) -> bool:
        return self.new is not None and self.in_force is not None and round(self.new - self.in_force, 9) >= -FALL


@dataclass(frozen=True, slots=True)
class Report:
    """What a run came to."""

    outcome: Outcome
    why: str  # in a sentence
    model: str | None  # name of what was learned; None when nothing was
    stored: int  # declared labels in the database
    given: int  # labelled messages in files
    bullish: int  # examples that were learned from
    bearish: int
    neutral: int
    checks: tuple[Check, ...] = ()
    path: Path | None = None  # where the new model lies


@dataclass(frozen=True, slots=True)
class Material:
    """What there is to learn from: no wording twice, capped per author and per symbol and day."""

    examples: tuple[Example, ...]
    declared: frozenset[Example]  # those of them that are stored labels
    stored: int  # before anything was left out
    given: int

    @property
    def sides(self) -> Counter[int]:
        return Counter(example.label for example in self.examples)

    def report(
        self,
        outcome: Outcome,
        why: str,
        model: str | None = None,
        checks: Sequence[Check] = (),
        path: Path | None = None,
    ) -> Report:
        sides = self.sides
        return Report(outcome, why, model, self.stored, self.given, sides[1], sides[-1], sides[0], tuple(checks), path)


def gather(stored: Sequence[Example], given: Sequence[Example], frozen: Sequence[_Named] = ()) -> Material:
    """What is worth learning from; nothing that a frozen set asks for."""
    asked = {text_key(example.text) for _, examples in frozen for example in examples}
    declared = frozenset(stored)
    chosen = [example for example in select([*stored, *given]) if text_key(example.text) not in asked]
    newest = sorted((example for example in chosen if example in declared), key=_when)[-MOST:]
    kept = frozenset(newest)
    examples = tuple(example for example in chosen if example in kept or example not in declared)
    return Material(examples, kept, len(stored), len(given))


def _when(example: Example) -> float:
    return 0.0 if example.at is None else example.at.timestamp()


def load_frozen() -> list[Example]:
    """The labelled messages that come along: invented, and never learned from."""
    rows = read_table(DATA / "tone-frozen.tsv", ("text", "label"))
    return [Example(text, LABELS[label]) for _, (text, label) in rows]


def is_enough(material: Material) -> bool:
    """Whether there is more to learn than is known already."""
    return min(material.sides[1], material.sides[-1]) >= LEAST


def cut_between(material: Material, not_before: datetime | None) -> datetime | None:
    """When the later part begins: the newest fifth of the stored labels, and nothing that the twin in force has seen."""
    times = sorted(example.at for example in material.declared if example.at is not None and example.label)
    if not times:
        return None
    cut = times[int(len(times) * (1 - LATER))]
    return cut if not_before is None else max(cut, not_before)


def write_model(material: Material, path: Path, lexicon: LexiconScorer, progress: Progress) -> Report:
    """Learn from everything and write it down; nothing is compared, nothing is put in force."""
    model = _train("all labels", material.examples, lexicon, progress)
    save_model(model, path)
    return material.report("written", "written, and not put in force", model.name, path=path)


def learn(
    data_dir: Path,
    material: Material,
    lexicon: LexiconScorer,
    now: datetime,
    frozen: Sequence[_Named],
    progress: Progress,
) -> Report:
    """Learn, compare, and put in force what is no worse than what is. Each run is written down, whatever it came to."""
    report = _learn(data_dir, material, lexicon, now, frozen, progress)
    note_run(data_dir, now, f"{report.outcome}: {report.why}")
    return report


def _learn(
    data_dir: Path,
    material: Material,
    lexicon: LexiconScorer,
    now: datetime,
    frozen: Sequence[_Named],
    progress: Progress,
) -> Report:
    sides = material.sides
    if not is_enough(material):
        found = f"{sides[1]:,} bullish and {sides[-1]:,} bearish"
        return material.report("too few", f"{found} labels are too few to learn from: {LEAST} of each are needed")
    standing = load_standing(data_dir)
    current = standing.in_force
    cut = cut_between(material, current.unseen_from if current is not None else None)
    later = [
        example for example in material.declared if example.at is not None and cut is not None and example.at >= cut
    ]
    counted = Counter(example.label for example in later)
    if cut is None or min(counted[1], counted[-1]) < LEAST_LATER:
        why = (
            f"{counted[1]} bullish and {counted[-1]} bearish stored labels are newer than what the model in force has seen, "
            f"too few to compare: {LEAST_LATER} of each are needed"
        )
        return material.report("kept", why)
    old_twin = shipped() if current is None else load_model(twin_file(data_dir, current.name))
    old = shipped() if current is None else load_model(model_file(data_dir, current.name))

    earlier = [example for example in material.examples if example.at is None or example.at < cut]
    twin = _train("earlier labels", earlier, lexicon, progress)
    checks = [_check("later labels", sorted(later, key=_when), twin, old_twin, lexicon)]
    folder = folder_of(data_dir)
    if not checks[0].passed:
        save_model(twin, folder / CANDIDATE)
        return material.report("kept", _fell(checks), twin.name, checks, folder / CANDIDATE)

    model = _train("all labels", material.examples, lexicon, progress)
    checks += [_check(name, examples, model, old, lexicon) for name, examples in frozen]
    passed = all(check.passed for check in checks)
    if not passed or model.name in standing.set_aside:
        why = _fell(checks) if not passed else "it is the model that was gone back from"
        save_model(model, folder / CANDIDATE)
        return material.report("kept", why, model.name, checks, folder / CANDIDATE)
    save_model(twin, twin_file(data_dir, model.name))
    save_model(model, model_file(data_dir, model.name))
    promote(data_dir, Promoted(model.name, now, cut))
    path = model_file(data_dir, model.name)
    if current is not None and current.name == model.name:
        return material.report("unchanged", "what was learned is in force already", model.name, checks, path)
    why = "no worse than what was in force, on labels that neither has seen"
    return material.report("promoted", why, model.name, checks, path)


def _train(what: str, examples: Sequence[Example], lexicon: LexiconScorer, progress: Progress) -> Model:
    return train(examples, lexicon=lexicon, prior=shipped(), progress=lambda done, total: progress(what, done, total))


def _check(what: str, examples: Sequence[Example], new: Model, old: Model, lexicon: LexiconScorer) -> Check:
    found = [measure(_asking(model, lexicon), examples) for model in (new, old)]
    return Check(what, found[0].n, found[0].auc, found[1].auc)


def _asking(model: Model, lexicon: LexiconScorer) -> Callable[[Example], Tone]:
    scorer = LearnedScorer(model, lexicon)
    return lambda example: scorer.score(example.text, example.source)


def _fell(checks: Sequence[Check]) -> str:
    for check in checks:
        if check.new is None or check.in_force is None:
            return f"{check.what}: both sides are needed to compare"
        if not check.passed:
            return f"AUC on the {check.what} would fall from {check.in_force:.3f} to {check.new:.3f}, by more than {FALL:g}"
    raise AssertionError("nothing fell")
