"""Reads the tables of a TOML file key by key, and notes every problem instead of stopping at the first.

``Table`` hands each value to a converter and remembers which keys exist, so that a misspelt one is found.
Environment variables are filled in here, and messages are made here: from the value as written, never as filled in.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from tracker.config_values import EnvText, Wrong
from tracker.errors import Problem
from tracker.secret import MASK

T = TypeVar("T")

SHOWN = 80  # characters of a value in a message

_REFERENCE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>[^{}]*)\}|(?P<open>\{))")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


# ------------------------------------------------------------------------------------- showing


def printable(value: str) -> str:
    """``value`` without anything that moves a cursor, breaks a line or turns the reading direction."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in value)


def show(value: object) -> str:
    """A value much as it was written, on one line and not too long; tables are not shown."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = printable(json.dumps(value, ensure_ascii=False))
    elif isinstance(value, list):
        text = "[" + ", ".join(show(item) for item in value[:SHOWN]) + "]"
    elif isinstance(value, dict):
        text = "a table"
    else:
        try:
            text = str(value)
        except ValueError:  # a hexadecimal number with more digits than Python prints
            text = "a number of thousands of digits"
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def show_address(value: object) -> str:
    """An address as written, but for the parts in which people leave passwords and tokens."""
    text = re.sub(r"//[^/]*@", f"//{MASK}@", value) if isinstance(value, str) else value
    return show(re.sub(r"[?#].*", f"?{MASK}", text, flags=re.DOTALL) if isinstance(text, str) else text)


def mask(_value: object) -> str:
    return MASK


def suggestion(given: str, known: list[str]) -> str:
    """What to expect in place of an unknown word: its nearest neighbour, else all there is."""
    near = difflib.get_close_matches(given.lower(), known, n=1)
    if near:
        return f'a known key (did you mean "{near[0]}"?)'
    return f"one of {', '.join(known)}" if known else "no keys here"


# ------------------------------------------------------------------------------------- reading


class Notes:
    """What is found out while a file is read: problems, keys that exist, values that took in the environment."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.problems: list[Problem] = []
        self.known: list[str] = []
        self.written: dict[str, str] = {}

    def problem(self, path: str, found: str, expected: str) -> None:
        self.problems.append(Problem(path, found, expected))

    def read(
        self, path: str, raw: object, convert: Callable[[object], T], shown: Callable[[object], str] = show
    ) -> T | None:
        """The value, environment filled in and converted; None after noting a problem."""
        value = self._fill(path, raw) if isinstance(raw, str) else raw
        if value is None:
            return None
        try:
            return convert(value)
        except Wrong as wrong:
            self.problem(path, shown(raw), str(wrong))
            return None

    def _fill(self, path: str, raw: str) -> str | None:
        """``raw`` with each ${NAME} replaced and each $$ made one; None where a variable is missing."""
        count = len(self.problems)
        used = False

        def replace(match: re.Match[str]) -> str:
            nonlocal used
            if match["dollar"]:
                return "$"
            name = match["name"]
            if name is None or not _VARIABLE.fullmatch(name):
                self.problem(path, "${ that names no variable", "${NAME}, or $${ for the characters themselves")
                return ""
            used = True
            if name not in self.env:
                self.problem(path, f"${{{name}}}", f"the environment variable {name} to be set")
            return self.env.get(name, "")

        filled = _REFERENCE.sub(replace, raw)
        if len(self.problems) > count:
            return None
        if used:
            self.written[path] = raw
        return EnvText(filled) if used else filled


class Table:
    """One table of the file: keys are taken by name, and what nobody took is an unknown key."""

    def __init__(self, path: str, data: object, notes: Notes, shown: Callable[[object], str] = show) -> None:
        self.path = path
        self.notes = notes
        self._known: list[str] = []
        self._data: dict[str, object] = {}
        if isinstance(data, dict):
            self._data = data
        else:
            notes.problem(path, shown(data), "a table")

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def names(self) -> list[str]:
        return list(self._data)

    def at(self, key: str) -> str:
        """The dotted path of a key, quoted where TOML would quote it."""
        part = key if _BARE_KEY.fullmatch(key) else show(key)
        return f"{self.path}.{part}" if self.path else part

    def know(self, *keys: str) -> None:
        """These keys exist; nothing is read."""
        for key in keys:
            self._know(key)

    def _know(self, key: str) -> None:
        self._known.append(key)
        self.notes.known.append(self.at(key))

    def take(self, key: str, convert: Callable[[object], T], default: T, shown: Callable[[object], str] = show) -> T:
        """The converted value of a key, or the default where it is missing (or wrong, which is noted)."""
        self._know(key)
        if key not in self._data:
            return default
        found = self.notes.read(self.at(key), self._data[key], convert, shown)
        return default if found is None else found

    def take_list(
        self, key: str, convert: Callable[[object], T], expected: str, default: tuple[T, ...] = ()
    ) -> tuple[T, ...]:
        """The converted items of an array, each once, in their order; every wrong item is a problem of its own."""
        self._know(key)
        if key not in self._data:
            return default
        raw = self._data[key]
        if not isinstance(raw, list):
            self.notes.problem(self.at(key), show(raw), expected)
            return default
        read = (self.notes.read(f"{self.at(key)}[{index}]", item, convert) for index, item in enumerate(raw))
        return tuple(dict.fromkeys(item for item in read if item is not None))

    def table(self, key: str, shown: Callable[[object], str] = show) -> Table:
        """The table below a key; an empty one where it is missing."""
        self._known.append(key)
        return Table(self.at(key), self._data.get(key, {}), self.notes, shown)

    def close(self) -> None:
        """Call it when all keys are taken: what is left is unknown."""
        for key in self._data:
            if key not in self._known:
                self.notes.problem(self.at(key), "an unknown key", suggestion(key, self._known))
