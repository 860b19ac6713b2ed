"""Converters from what a TOML file holds to checked values: durations, sizes, budgets, symbols, addresses, paths.

Each takes any value at all and returns a usable one, or raises ``Wrong`` with what it expected. None of them ever
says what it was given: that is for ``config_table``, which knows what may be shown.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from tracker.config_schema import YEAR
from tracker.secret import Secret

L = TypeVar("L", bound=str)

SHORTEST = 0.001  # seconds; below this a loop would only burn the processor
LONGEST = 100 * YEAR

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_UNITS = {"ms": Decimal("0.001"), **{unit: Decimal(seconds) for unit, seconds in _SECONDS.items()}}
_BYTES = {"": 0, "B": 0, "kB": 3, "KB": 3, "MB": 6, "GB": 9}  # powers of ten
_SIZES = {
    **{unit: Decimal(10) ** power for unit, power in _BYTES.items()},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("KiB", "MiB", "GiB"), start=1)},
}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?([a-z]*)")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)")
_SYMBOL = re.compile(r"(?=[.\-_=^]*[A-Za-z0-9])[A-Za-z0-9.\-_=^]{1,15}")


class Wrong(ValueError):
    """A value that a converter can't use; its text is what was expected."""


class EnvText(str):
    """Text into which environment variables went: it may be secret, and it may stand for a number or a boolean."""

    __slots__ = ()


# ------------------------------------------------------------------------------------- converters


def text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Wrong("text that is not empty")
    return value


def header_text(value: object) -> str:
    """Text that can go into a request header: printable ASCII."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise Wrong("text of printable ASCII characters")
    return value.strip()


def full_header(value: object) -> str:
    found = header_text(value)
    if not found:
        raise Wrong("text of printable ASCII characters that is not empty")
    return found


def secret(value: object) -> Secret:
    if not isinstance(value, str) or not value.strip():
        raise Wrong("text that is not empty")
    return Secret(str(value))


def flag(value: object) -> bool:
    if isinstance(value, EnvText) and value in ("true", "false"):
        return value == "true"
    if not isinstance(value, bool):
        raise Wrong("true or false")
    return value


def choice(*options: L) -> Callable[[object], L]:
    expected = " or ".join(f'"{option}"' for option in options)

    def convert(value: object) -> L:
        for option in options:
            if value == option:
                return option
        raise Wrong(expected)

    return convert


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | EnvText):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def number(low: float, high: float, *, above: bool = False) -> Callable[[object], float]:
    """A number from ``low`` (``above``: but not ``low`` itself) to ``high``."""
    expected = f"a number above {low:g}, at most {high:g}" if above else f"a number from {low:g} to {high:g}"

    def convert(value: object) -> float:
        found = _finite(value)
        if found is None or not low <= found <= high or (above and found == low):
            raise Wrong(expected)
        return found

    return convert


def whole(low: int, high: int) -> Callable[[object], int]:
    def convert(value: object) -> int:
        if isinstance(value, EnvText) and re.fullmatch(r"[0-9]{1,18}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Wrong(f"a whole number from {low} to {high}")
        return value

    return convert


def _measure(value: object, pattern: re.Pattern[str], units: Mapping[str, Decimal]) -> float | None:
    """A number, or text of a number and a unit; None when it is neither."""
    if not isinstance(value, str):
        return _finite(value)
    match = pattern.fullmatch(value.strip())
    if match is None or match[2] not in units:
        return None
    # in decimal, so that 700ms is 0.7 and 1.1MB is a whole number of bytes
    return float(Decimal(match[1]) * units[match[2]])


def duration(low: float = SHORTEST) -> Callable[[object], float]:
    """Seconds, from "60s", "5m", "500ms", "30d", "5y" or a bare number of seconds."""
    at_least = "1ms or more" if low else "zero or more"

    def convert(value: object) -> float:
        found = _measure(value, _DURATION, _UNITS)
        if found is None or not low <= found <= LONGEST:
            raise Wrong(f'a duration such as "60s", "5m", "1h", "30d" or a number of seconds, {at_least}')
        return found

    return convert


def duration_or_off(value: object) -> float:
    """Seconds as ``duration`` reads them, a minute or more; 0 for "off" or 0."""
    found = 0.0 if value == "off" else _measure(value, _DURATION, _UNITS)
    if found is None or (found and not 60 <= found <= LONGEST):
        raise Wrong('a duration of a minute or more such as "1d", or "off"')
    return found


def size(value: object) -> int:
    """Bytes, from "16MB" (millions), "64KiB" (times 1024) or a bare number of bytes."""
    found = _measure(value, _SIZE, _SIZES)
    if found is None or not 1 <= found <= 2**60 or not found.is_integer():
        raise Wrong('a size such as "16MB", "64KiB" or a number of bytes, one byte or more')
    return int(found)


def budget(value: object) -> tuple[int, float]:
    """(requests, seconds) from "100/1h"."""
    count, _, span = value.partition("/") if isinstance(value, str) else ("", "", "")
    requests = int(count) if re.fullmatch(r"[0-9]{1,9}", count.strip()) else 0
    seconds = _measure(span, _DURATION, _UNITS)
    if requests < 1 or seconds is None or not SHORTEST <= seconds <= LONGEST:
        raise Wrong('requests in a time such as "100/1h", one request or more')
    return requests, seconds


def symbol(value: object) -> str:
    """A symbol in canonical upper case, from ``BABA``, ``baba`` or ``$BABA``."""
    bare = value.strip().removeprefix("$") if isinstance(value, str) else ""
    if not _SYMBOL.fullmatch(bare):
        raise Wrong('a symbol such as "BABA" or "BTC.X": letters, digits and . - _ = ^, at most 15')
    return bare.upper()


def zone(value: object) -> str:
    """A name that the time zone database has."""
    if isinstance(value, str) and value:
        try:
            return ZoneInfo(value).key
        except (KeyError, ValueError, OSError):
            # a case that some file systems forgive and others don't, or a slip of the finger
            near = difflib.get_close_matches(str(value), sorted(available_timezones()), n=1, cutoff=0.7)
            if near and not isinstance(value, EnvText):
                raise Wrong(f'an IANA time zone (did you mean "{near[0]}"?)') from None
    raise Wrong('an IANA time zone such as "America/New_York"')


def address(value: object) -> str:
    """An http, https, ws or wss address without credentials or query; no trailing slash."""
    wrong = Wrong("an http, https, ws or wss address without user, password, query or fragment")
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        raise wrong
    try:
        parts = urlsplit(value)
        if parts.port == 0 or not parts.hostname:
            raise wrong
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https", "ws", "wss") or "@" in parts.netloc or "?" in value or "#" in value:
        raise wrong
    return str(value).rstrip("/")


def host(value: object) -> str:
    """A host name or an IP address, without port, in lower case; an IPv6 address without brackets."""
    name = text(value).strip().lower()
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.:_-]{0,252})|::[0-9a-f:.]*", name):
        raise Wrong('a host name or an IP address without a port such as "127.0.0.1"')
    if ":" in name:
        try:
            ipaddress.IPv6Address(name)
        except ValueError:
            raise Wrong('a host name or an IP address without a port such as "127.0.0.1"') from None
    return name


def location(base: Path) -> Callable[[object], Path]:
    """An absolute path; a relative one lies below ``base``."""

    def convert(value: object) -> Path:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise Wrong("a path")
        try:
            return (base / Path(value).expanduser()).absolute()
        except RuntimeError:  # ~somebody, whom this machine does not know
            raise Wrong("a path below a home folder that exists") from None

    return convert
