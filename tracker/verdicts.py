"""What a person has said of bare symbols (`tracker mentions review`): a small file in the data folder.

One line a token, ``ON<tab>no``, newest word last. The configuration stays as it is; its own ``block`` and ``allow`` have the
last word where the two differ.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tracker.errors import BadInput

FILE: Final = "verdicts.tsv"
_TOKEN: Final = re.compile(r"[A-Z0-9][A-Z0-9.\-_]{0,14}")
_HEAD: Final = "# symbol or not, as told to `tracker mentions review`; a line may be changed or taken out by hand\n"


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Tokens that are symbols and tokens that are none, by a person's word."""

    allow: frozenset[str] = frozenset()
    block: frozenset[str] = frozenset()

    @property
    def decided(self) -> frozenset[str]:
        return self.allow | self.block


def load_verdicts(data_dir: Path) -> Verdicts:
    """What the file says; nothing where there is none. BadInput names the line that can't be used."""
    path = data_dir / FILE
    said: dict[str, bool] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return Verdicts()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("the verdicts can't be read", str(path), error) from None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        token, _, word = line.partition("\t")
        if not _TOKEN.fullmatch(token) or word.strip() not in ("yes", "no"):
            raise BadInput("expected a token, a tab and yes or no", f"{path.name}:{number}", repr(line[:60]))
        said[token] = word.strip() == "yes"
    return Verdicts(frozenset(t for t, yes in said.items() if yes), frozenset(t for t, yes in said.items() if not yes))


def save_verdicts(data_dir: Path, new: Mapping[str, bool]) -> Verdicts:
    """Put new words into the file, whole or not at all; what it says after that. BadInput for what is no token."""
    for token in new:
        if not _TOKEN.fullmatch(token):
            raise BadInput("not a token", token[:60], "expected capital letters such as ON")
    before = load_verdicts(data_dir)
    said = {**dict.fromkeys(before.allow, True), **dict.fromkeys(before.block, False), **new}
    path = data_dir / FILE
    aside = path.with_suffix(".new")
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            file.write(_HEAD)
            file.writelines(f"{token}\t{'yes' if said[token] else 'no'}\n" for token in sorted(said))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise BadInput("the verdicts can't be written", str(path), error.strerror) from None
    return load_verdicts(data_dir)


def merged(verdicts: Verdicts, allow: Iterable[str], block: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(allow, block) of the configuration with the verdicts added; what the configuration names it decides."""
    allow, block = tuple(allow), tuple(block)
    named = {*allow, *block}
    return (*allow, *sorted(verdicts.allow - named)), (*block, *sorted(verdicts.block - named))
