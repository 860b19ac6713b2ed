"""Which learned model is in force: the folder ``models`` beside the database, a file a model, and ``standing.json``.

    load_standing(data_dir) -> Standing            nothing promoted yet: the shipped weights are in force
    promoted_model(data_dir) -> Path | None        what a scorer is made of
    promote(data_dir, promoted) / go_back(data_dir, now)

Each model has a twin, trained without the newest labels that it has seen itself: the next candidate is compared with
the twin on labels that are news to both. Files are named by their content and never change; ``standing.json`` is
replaced as a whole, so that a kill leaves the old one or the new one.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tracker.errors import BadInput, StoreError

FOLDER: Final = "models"
STANDING: Final = "standing.json"
KEPT: Final = 5  # promoted models whose files stay, so many times one can go back
SUFFIX: Final = ".tsv.gz"
TWIN: Final = ".twin" + SUFFIX


@dataclass(frozen=True, slots=True)
class Promoted:
    """A model that was put in force."""

    name: str  # by its content
    at: datetime  # when, aware UTC
    unseen_from: datetime | None  # its twin has seen no stored label of this time or later; None: of any


@dataclass(frozen=True, slots=True)
class Standing:
    """What the folder says."""

    promoted: tuple[Promoted, ...] = ()  # oldest first; the last one is in force
    set_aside: tuple[str, ...] = ()  # names that a person went back from: not promoted again as they are
    learned_at: datetime | None = None  # when the last run ended
    said: str = ""  # what came of it, in a sentence

    @property
    def in_force(self) -> Promoted | None:
        return self.promoted[-1] if self.promoted else None


def folder_of(data_dir: Path) -> Path:
    """The folder of the models, made where it is missing."""
    folder = data_dir / FOLDER
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreError("the folder of the models can't be made", str(folder), error.strerror) from error
    return folder


def model_file(data_dir: Path, name: str) -> Path:
    return data_dir / FOLDER / f"{name}{SUFFIX}"


def twin_file(data_dir: Path, name: str) -> Path:
    return data_dir / FOLDER / f"{name}{TWIN}"


def promoted_model(data_dir: Path) -> Path | None:
    """The file of the model in force; None for the shipped weights. BadInput when the file is gone."""
    standing = load_standing(data_dir)
    if standing.in_force is None:
        return None
    path = model_file(data_dir, standing.in_force.name)
    if not path.is_file():
        raise BadInput("the model in force is gone", str(path), "put it back, or go back with `tracker learn --back`")
    return path


def load_standing(data_dir: Path) -> Standing:
    """What ``standing.json`` says; nothing where there is none. BadInput when it can't be used."""
    path = data_dir / FOLDER / STANDING
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        promoted = tuple(
            Promoted(str(one["name"]), _moment(one["at"]), _moment_or_none(one["unseen_from"]))
            for one in told["promoted"]
        )
        return Standing(
            promoted, tuple(map(str, told["set_aside"])), _moment_or_none(told["learned_at"]), str(told["said"])
        )
    except FileNotFoundError:
        return Standing()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput("the standing of the models can't be read", str(path), repr(error)) from None


def promote(data_dir: Path, promoted: Promoted) -> Standing:
    """Put a model in force whose files are there; files of models too old to go back to are taken away."""
    before = load_standing(data_dir)
    if before.in_force is not None and before.in_force.name == promoted.name:
        stack = (*before.promoted[:-1], promoted)  # the same weights: only its twin is newer
    else:
        stack = (*before.promoted, promoted)
    after = replace(before, promoted=stack[-KEPT:])
    save_standing(data_dir, after)
    kept = {one.name for one in after.promoted}
    for one in before.promoted:
        if one.name not in kept:
            model_file(data_dir, one.name).unlink(missing_ok=True)
            twin_file(data_dir, one.name).unlink(missing_ok=True)
    return after


def go_back(data_dir: Path) -> Standing:
    """Put the model before in force again. BadInput when the shipped weights are in force already."""
    before = load_standing(data_dir)
    if before.in_force is None:
        raise BadInput("there is nothing to go back to", "learn", "the weights that come with the program are in force")
    aside = (*(name for name in before.set_aside if name != before.in_force.name), before.in_force.name)[-KEPT:]
    after = replace(before, promoted=before.promoted[:-1], set_aside=aside)
    save_standing(data_dir, after)
    return after


def note_run(data_dir: Path, at: datetime, said: str) -> None:
    """Write down when models were last learned, and what came of it."""
    save_standing(data_dir, replace(load_standing(data_dir), learned_at=at, said=said))


def save_standing(data_dir: Path, standing: Standing) -> None:
    """Whole or not at all."""
    path = folder_of(data_dir) / STANDING
    told = {
        "promoted": [
            {"name": one.name, "at": one.at.isoformat(), "unseen_from": _iso(one.unseen_from)}
            for one in standing.promoted
        ],
        "set_aside": list(standing.set_aside),
        "learned_at": _iso(standing.learned_at),
        "said": standing.said,
    }
    aside = path.with_suffix(".new")
    try:
        with aside.open("w", encoding="utf-8") as file:
            json.dump(told, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise StoreError("the standing of the models can't be written", str(path), error.strerror) from error


@contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """One run at a time; StoreError for the second."""
    path = folder_of(data_dir) / "learn.lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError(
                "models are being learned already", str(data_dir), "wait for the other run to end"
            ) from None
        yield


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(told: Any) -> datetime:
    found = datetime.fromisoformat(told)
    if found.tzinfo is None:
        raise ValueError("expected a time with its offset")
    return found


def _moment_or_none(told: Any) -> datetime | None:
    return None if told is None else _moment(told)
