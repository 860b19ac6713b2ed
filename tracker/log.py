"""One line per event on stderr, for people (text) or machines (json), in which nothing hostile and no secret survives.

    2026-11-22T07:00:00Z info  poll gone source=reddit stream=r/stocks reason="403: blocked"
    {"at": "2026-11-22T07:00:00.123Z", "level": "info", "logger": "poll", "event": "gone", "source": "reddit", …}

Messages of strangers end up in logs: line breaks, terminal escapes and characters that turn the reading direction
are escaped in every value. Secrets are masked here once more, because libraries log addresses and headers.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import threading
import traceback
from collections.abc import Hashable, Iterable
from datetime import UTC, datetime
from typing import Final, TextIO
from urllib.parse import quote, quote_plus

from tracker.secret import MASK, Secret

LONGEST: Final = 4000  # characters of one value; a page of HTML in an error message is cut here
LONGEST_TRACEBACK: Final = 20_000
MOST: Final = 100  # items of one sequence
LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

# libraries that tell every request or run at info: our own events say the same, with less
_CHATTY: Final = ("httpx", "httpcore", "apscheduler", "websockets", "websockets.client")
_OURS: Final = ("at", "level", "logger", "event", "traceback")
_PLAIN: Final = re.compile(r"[^\s\"=\\]+")


# ------------------------------------------------------------------------------------- values


def escape(text: str) -> str:
    r"""``text`` on one line: backslashes doubled, everything unprintable as ``\n``, ``\x1b``, ``\u202e``."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape").decode() for char in text
    )


def _forms(secret: str) -> set[str]:
    """The secret as it may be met: bare, in an address, in JSON, in a repr, escaped."""
    addressed = {quote(secret, safe="", errors="replace"), quote(secret, errors="replace")}
    addressed.add(quote_plus(secret, errors="replace"))
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], escape(secret)} | addressed


class Masker:
    """Replaces every known secret by ``***``, the longest first."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret.reveal())}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(re.escape(form) for form in longest_first)) if forms else None

    def __call__(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(MASK, text)


def _cut(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…(+{len(text) - longest})"


def _text_of(value: object) -> str:
    """``str(value)`` that never fails; times as ISO 8601 with Z."""
    try:
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat()
        if isinstance(value, BaseException):
            return str(value) or type(value).__name__
        return str(value)
    except Exception:
        return f"<{type(value).__name__} that can't be shown>"


# ------------------------------------------------------------------------------------- lines


class _Formatter(logging.Formatter):
    """What both formats share. Formatting never raises: a log line must not stop a poll."""

    def __init__(self, masker: Masker) -> None:
        super().__init__()
        self._mask = masker

    def _clean(self, text: str, longest: int = LONGEST) -> str:
        # masked before it is cut, so that no half of a secret is left at the edge
        return _cut(self._mask(text), longest)

    def _event(self, record: logging.LogRecord) -> str:
        try:
            message = record.getMessage()
        except Exception:  # a library's format string and arguments do not fit
            message = _text_of(record.msg)
        return self._clean(message)

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        fields = getattr(record, "fields", None)
        if not isinstance(fields, dict):
            return {}
        return {self._clean(_text_of(key)): self._value(value) for key, value in fields.items()}

    def _value(self, value: object) -> object:
        """A value as JSON has it: text masked and cut, sequences item by item, everything else as text."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, list | tuple | set | frozenset):
            items = sorted(value, key=_text_of) if isinstance(value, set | frozenset) else value
            return [self._value(_leaf(item)) for item in items[:MOST]]
        text = self._clean(_text_of(value))
        # a number stays one, unless it cannot be said in JSON or is somebody's secret
        if type(value) is int and text == _text_of(value):
            return value
        if type(value) is float and math.isfinite(value) and text == _text_of(value):
            return value
        return text

    def _traceback(self, record: logging.LogRecord) -> str | None:
        if record.exc_info and record.exc_info[1] is not None:
            try:
                found = "".join(traceback.format_exception(record.exc_info[1]))
            except Exception:  # an exception whose own text can't be made
                found = f"{type(record.exc_info[1]).__name__} that can't be shown"
        else:
            found = record.exc_text or ""
        return self._clean(found.rstrip("\n"), LONGEST_TRACEBACK) or None

    def _name(self, record: logging.LogRecord) -> str:
        return self._clean(record.name.removeprefix("tracker."))


def _leaf(value: object) -> object:
    """An item of a sequence: sequences within it become text, so that no value nests without end."""
    return _text_of(value) if isinstance(value, list | tuple | set | frozenset | dict) else value


class TextFormatter(_Formatter):
    """``time level logger event key=value …``; a traceback follows on lines that begin with ``  | ``."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        parts = [at, f"{record.levelname.lower():<5}", escape(self._name(record)), escape(self._event(record))]
        parts += [f"{_key(key)}={_quoted(value)}" for key, value in self._fields(record).items()]
        trace = self._traceback(record)
        lines = [] if trace is None else [f"  | {escape(line)}" for line in trace.split("\n")]
        return "\n".join([" ".join(parts), *lines])


def _key(key: str) -> str:
    return re.sub(r"[^\w.\-\[\]]", "_", key, flags=re.ASCII)


def _quoted(value: object) -> str:
    """A value after ``key=``: bare where that is unmistakable, else in quotes."""
    if isinstance(value, list):
        return _quoted(",".join(_bare(item) for item in value))
    text = _bare(value)
    if _PLAIN.fullmatch(text) and text.isprintable():
        return text
    return '"' + escape(text).replace('"', '\\"') + '"'


def _bare(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)


class JsonFormatter(_Formatter):
    """One JSON object a line, ASCII throughout, a traceback in its ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": self._name(record),
            "event": self._event(record),
        }
        for key, value in self._fields(record).items():
            line[f"{key}_" if key in _OURS else key] = value
        trace = self._traceback(record)
        if trace is not None:
            line["traceback"] = trace
        return json.dumps(line, allow_nan=False).replace("\x7f", "\\u007f")


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to a stream; a full disk or a closed pipe loses the line and nothing else."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """Stay silent: the standard reaction prints message and arguments as they are, secrets included."""


# ------------------------------------------------------------------------------------- what others use


def setup(level: str, fmt: str, secrets: Iterable[Secret] = (), stream: TextIO | None = None) -> logging.Handler:
    """Log to stderr (or ``stream``) from ``level`` up, as ``text`` or ``json``, with every secret masked.

    Calling it again replaces what the last call set up. ValueError for another level or format.
    """
    if level not in LEVELS:
        raise ValueError(f"log level {level!r}: expected one of {', '.join(LEVELS)}")
    if fmt not in ("text", "json"):
        raise ValueError(f"log format {fmt!r}: expected text or json")
    masker = Masker(secrets)
    handler = _Handler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter(masker) if fmt == "json" else TextFormatter(masker))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(LEVELS[level])
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(LEVELS[level], logging.WARNING))
    return handler


def event(
    logger: logging.Logger,
    level: str,
    name: str,
    /,
    *,
    exc_info: BaseException | bool | None = None,
    **fields: object,
) -> None:
    """Log one event with its fields: ``event(log, "info", "back", source="reddit", failures=3)``."""
    number = LEVELS[level]
    if logger.isEnabledFor(number):
        # the name is an argument, so that a per cent sign in it is only that
        logger.log(number, "%s", name, exc_info=exc_info, extra={"fields": fields}, stacklevel=2)


class Changes:
    """Remembers what each key was last, so that a change is logged and a state is not.

    ``Changes("ok")`` takes every key for "ok" at first: a stream that works from the start says nothing.
    Without it the first value of a key is a change.
    """

    _UNSEEN: Final = object()

    def __init__(self, initial: object = _UNSEEN) -> None:
        self._initial = initial
        self._last: dict[Hashable, object] = {}
        self._lock = threading.Lock()

    def changed(self, key: Hashable, value: object) -> bool:
        """True only when the value differs from the last one of that key, which it then replaces."""
        with self._lock:
            last = self._last.get(key, self._initial)
            self._last[key] = value
        return last is self._UNSEEN or last != value
