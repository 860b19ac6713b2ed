"""The table [alerts]: rules and channels.

A rule that could never fire, or that could tell nobody, is refused like any other mistake: an alert that never comes is
noticed by no one.
"""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from tracker import config_table as t
from tracker import config_values as v
from tracker.config_schema import AlertRule, Alerts, Channel, Comparison, When, Window
from tracker.secret import MASK, Secret

_SCORE, _RATIO = (0.0, 100.0), (0.0, 1.0)
# columns of the readings that can be compared with a number, and what values they can have
COLUMNS: Mapping[str, tuple[float | None, float | None]] = MappingProxyType(
    {
        "sentiment_score": _SCORE,
        "volume_score": _SCORE,
        "bullish_ratio": _RATIO,
        "share_of_voice": _RATIO,
        "sentiment_z": (None, None),
        "sentiment_z_own": (None, None),
        "volume_z": (None, None),
        "volume_change": (-1.0, None),
        "buzz": (0.0, None),
        "messages": (0.0, None),
    }
)
_WORDS: tuple[When, ...] = ("spike", "label_change", "quiet", "source_down", "digest")
_ALWAYS = ("name", "when", "channels")
_ABOUT_SYMBOLS = ("symbols", "group")
# the keys that mean something to each kind of rule
KEYS: Mapping[When, tuple[str, ...]] = MappingProxyType(
    {
        "spike": (*_ALWAYS, *_ABOUT_SYMBOLS, "cool_down", "width", "severity", "kind"),
        "label_change": (*_ALWAYS, *_ABOUT_SYMBOLS, "cool_down", "window"),
        "crossing": (*_ALWAYS, *_ABOUT_SYMBOLS, "cool_down", "window"),
        "quiet": (*_ALWAYS, *_ABOUT_SYMBOLS, "cool_down", "window"),
        "source_down": (*_ALWAYS, "cool_down"),
        "digest": (*_ALWAYS, *_ABOUT_SYMBOLS, "cron"),
    }
)
_EVERY_KEY = tuple(dict.fromkeys(key for keys in KEYS.values() for key in keys))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")
_COMPARISON = re.compile(r"([a-z_0-9]+)\s*(>=|<=|>|<)\s*(-?[0-9]{1,12}(?:\.[0-9]{1,9})?)")
_ADDRESS = re.compile(r"[A-Za-z0-9]{1,20}://\S+")
_width: Callable[[object], str] = v.choice("5m", "1h", "1d")
_severity: Callable[[object], str] = v.choice("notable", "high", "extreme")
_kind: Callable[[object], str] = v.choice("organic", "copied", "any")


def read_alerts(table: t.Table, groups: Mapping[str, Sequence[str]], windows: Sequence[Window]) -> Alerts:
    """The whole table. ``groups`` and ``windows`` are those of the rest of the file."""
    default = Alerts()
    given = table.table("channels", t.mask)
    channels = _channels(given)
    known = _Known(tuple(given.names()), groups, windows)
    found = Alerts(
        rules=_rules(table, known),
        channels=channels,
        link=table.take("link", _link, default.link),
        timeout_s=table.take("timeout", v.duration(), default.timeout_s),
        attempts=table.take("attempts", v.whole(1, 100), default.attempts),
        backoff_s=table.take("backoff", v.duration(), default.backoff_s),
    )
    table.close()
    return found


# ------------------------------------------------------------------------------------- channels


def _channels(table: t.Table) -> Mapping[str, Channel]:
    found: dict[str, Channel] = {}
    for name in table.names():
        if not _NAME.fullmatch(name):
            table.notes.problem(table.at(name), "a name with other characters", "letters, digits, space and . _ -")
        given = table.take(name, lambda value: value, None, t.mask)
        if isinstance(given, str):
            found[name] = Channel(name, table.take(name, _address, Secret(""), t.mask))
        elif given is not None:
            one = t.Table(table.at(name), given, table.notes, t.mask)
            if isinstance(given, dict) and "url" not in one:
                table.notes.problem(one.at("url"), "nothing", "the address of the channel")
            found[name] = Channel(
                name,
                one.take("url", _address, Secret(""), t.mask),
                insecure=one.take("insecure", v.flag, default=False),
                private=one.take("private", v.flag, default=False),
            )
            one.close()
    return MappingProxyType(found)


def _address(value: object) -> Secret:
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value.strip()):
        raise v.Wrong('an address as apprise has them, such as "jsons://example.org/hook", or a table with its url')
    return Secret(str(value).strip())


def _link(value: object) -> str:
    """Where to read on, ``{symbol}`` for the symbol; empty for nowhere."""
    if isinstance(value, str) and (not value or re.fullmatch(r"https?://[^\s{}]+", value.replace("{symbol}", "S"))):
        return str(value)
    raise v.Wrong('a web address such as "https://example.org/{symbol}", or nothing between the quotes')


# ------------------------------------------------------------------------------------- rules


class _Known:
    """What a rule may name."""

    def __init__(
        self, channels: tuple[str, ...], groups: Mapping[str, Sequence[str]], windows: Sequence[Window]
    ) -> None:
        self.channels = channels
        self.groups = groups
        self.windows = {window.name: window for window in windows}

    def named_channels(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or any(name not in self.channels for name in value):
            raise v.Wrong("an array with the name of " + _one_of("channel", self.channels))
        return tuple(dict.fromkeys(str(name) for name in value))

    def group(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, str) or value not in self.groups:
            raise v.Wrong(_one_of("group", tuple(self.groups)))
        return tuple(self.groups[value])

    def window(self, value: object) -> Window:
        if not isinstance(value, str) or value not in self.windows:
            raise v.Wrong(_one_of("window", tuple(self.windows)))
        return self.windows[value]


def _show_names(value: object) -> str:
    """Names of channels as written; an address that stands in their place may hold a token."""
    return MASK if "://" in str(value) else t.show(value)


def _one_of(what: str, names: Sequence[str]) -> str:
    return f"a {what} of this file: {', '.join(names)}" if names else f"a {what} of this file, which has none"


def _rules(table: t.Table, known: _Known) -> Mapping[str, AlertRule]:
    none: list[object] = []
    given = table.take("rules", _array, none, t.mask)
    found: dict[str, AlertRule] = {}
    for number, data in enumerate(given):
        one = t.Table(f"{table.at('rules')}[{number}]", data, table.notes)
        rule = _rule(one, known)
        if rule.name in found:
            table.notes.problem(one.at("name"), t.show(rule.name), "a name that no other rule has")
        found[rule.name] = rule
    if not given:
        t.Table(f"{table.at('rules')}[]", {}, table.notes).know(*_EVERY_KEY)
    return MappingProxyType(found)


def _array(value: object) -> list[object]:
    if not isinstance(value, list):
        raise v.Wrong("an array of tables")
    return value


def _rule(table: t.Table, known: _Known) -> AlertRule:
    default = AlertRule("", "spike", ())
    for key in ("name", "when", "channels"):
        if key not in table:
            table.notes.problem(table.at(key), "nothing", "one: a rule has a name, a condition and channels")
    spike: tuple[When, Comparison | None] = ("spike", None)
    when, comparison = table.take("when", _when, spike)
    symbols = table.take_list("symbols", v.symbol, 'an array of symbols such as ["BABA"]')
    nobody: tuple[str, ...] = ()
    members = table.take("group", known.group, nobody)
    if "symbols" in table and "group" in table:
        table.notes.problem(table.at("group"), "both symbols and group", "one of them")
    for key in _ABOUT_SYMBOLS:
        if key in table and not (symbols or members or _said(table, key)):
            table.notes.problem(table.at(key), "no symbol", "one symbol or more, or no such key for the watch-list")
    rule = AlertRule(
        name=table.take("name", _rule_name, ""),
        when=when,
        channels=table.take("channels", known.named_channels, nobody, _show_names),
        comparison=comparison,
        symbols=(symbols or members) or None,
        cool_down_s=table.take("cool_down", v.duration(low=0), default.cool_down_s),
        widths=table.take("width", _widths, default.widths),
        severity=table.take("severity", _severity, default.severity),
        kind=table.take("kind", _kind, default.kind),
        window=table.take("window", known.window, default.window),
        cron=table.take("cron", crontab, ""),
    )
    _suits(table, rule, known)
    table.close()
    return rule


def _suits(table: t.Table, rule: AlertRule, known: _Known) -> None:
    """Keys that this kind of rule does not know, and those that it can't do without."""
    if "when" not in table or _said(table, "when"):
        return
    for key in _EVERY_KEY:
        if key in table and key not in KEYS[rule.when]:
            table.notes.problem(table.at(key), f"a key of other rules, in one about {rule.when}", "a rule without it")
    if rule.when == "digest" and "cron" not in table:
        table.notes.problem(table.at("cron"), "nothing", 'when it is due, such as "0 8 * * 1-5"')
    if "window" in KEYS[rule.when] and "window" not in table and rule.window.name not in known.windows:
        table.notes.problem(table.at("window"), "nothing", _one_of("window", tuple(known.windows)))


def _said(table: t.Table, key: str) -> bool:
    """Whether something is said to be wrong with the value of a key, or an item of it."""
    return any(problem.path.startswith(table.at(key)) for problem in table.notes.problems)


def _rule_name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise v.Wrong("letters, digits, space and . _ -, at most 60")
    return str(value)


def _widths(value: object) -> tuple[str, ...]:
    """One width, or an array of them."""
    found = tuple(dict.fromkeys(_width(item) for item in (value if isinstance(value, list) else [value])))
    if not found:
        raise v.Wrong('"5m", "1h" or "1d", or an array of them')
    return found


def _when(value: object) -> tuple[When, Comparison | None]:
    for word in _WORDS:
        if value == word:
            return word, None
    match = _COMPARISON.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise v.Wrong(f'{", ".join(_WORDS)} or a comparison such as "sentiment_score > 80"')
    column, op, number = match[1], match[2], float(match[3])
    if column not in COLUMNS:
        raise v.Wrong(f"a comparison of one of {', '.join(COLUMNS)}")
    low, high = COLUMNS[column]
    least, most = -math.inf if low is None else low, math.inf if high is None else high
    always_or_never = {">": most, "<=": most, "<": least, ">=": least}[op]
    if not least <= number <= most or number == always_or_never:
        bounds = f"from {least:g} to {most:g}" if high is not None else f"of {least:g} or more"
        raise v.Wrong(f"a comparison that can be true and false: {column} is a number {bounds}")
    return "crossing", Comparison(column, match[2], number, low, high)  # type: ignore[arg-type]  # the pattern has these four


# ------------------------------------------------------------------------------------- cron

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")  # as crontab counts them: 0 and 7 are Sunday
_MONTHS = ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_PART = re.compile(r"(\*|[a-z]{3}|[0-9]{1,2})(?:-([a-z]{3}|[0-9]{1,2}))?(?:/([0-9]{1,2}))?")


def crontab(value: object) -> str:
    """A crontab line of five fields with every value spelt out, days of the week by name.

    ``0 8 * * 1-5`` becomes ``0 8 * * mon,tue,wed,thu,fri``: schedulers do not agree on which day is number 0.
    """
    parts = value.lower().split() if isinstance(value, str) else []
    if len(parts) != 5:
        raise v.Wrong('five fields, minute, hour, day, month and day of the week, such as "0 8 * * 1-5"')
    fields = [_field(part, *bounds) for part, bounds in zip(parts, _FIELDS, strict=True)]
    _, _, days, months, weekdays = fields
    if days is not None and weekdays is not None:
        raise v.Wrong("a day of the month or a day of the week, with * for the other one")
    if days is not None and min(days) > max(calendar.monthrange(2024, month)[1] for month in months or range(1, 13)):
        raise v.Wrong("a day that one of its months has")
    named = None if weekdays is None else dict.fromkeys(_DAYS[day % 7] for day in sorted(weekdays, key=lambda d: d % 7))
    spelt = ["*" if field is None else ",".join(map(str, field)) for field in fields[:4]]
    return " ".join([*spelt, "*" if named is None else ",".join(named)])


def _field(text: str, what: str, low: int, high: int, names: tuple[str, ...]) -> list[int] | None:
    """The values of one field, ascending; None for all of them."""
    if text == "*":
        return None
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None or (match[1] == "*" and match[2]):
            raise v.Wrong('numbers, ranges, steps and lists such as "0", "1-5", "*/15", "mon,wed" in each field')
        if match[1] == "*":
            first, last = low, min(high, 6) if names is _DAYS else high
        else:
            first = _number(match[1], names)
            last = _number(match[2], names) if match[2] else (high if match[3] else first)
            last = 7 if names is _DAYS and first > last == 0 else last  # fri-sun
        if not low <= first <= last <= high or match[3] in ("0", "00"):
            raise v.Wrong(f"numbers from {low} to {high}, the smaller one first, in the field of the {what}")
        found.update(range(first, last + 1, int(match[3] or 1)))
    return sorted(found)


def _number(text: str, names: tuple[str, ...]) -> int:
    if text.isdigit():
        return int(text)
    return names.index(text) if text in names else -1


# ------------------------------------------------------------------------------------- what the log has to mask


def secrets_of(alerts: Alerts) -> tuple[Secret, ...]:
    """The addresses of the channels, whole and in the pieces that may be tokens."""
    pieces = {
        piece
        for channel in alerts.channels.values()
        for piece in re.split(r"[/?&=@,]|://", channel.url.reveal())
        if len(piece) >= 16 or (len(piece) >= 8 and any(char.isdigit() for char in piece))
    }
    whole = (channel.url for channel in alerts.channels.values() if channel.url)
    return (*whole, *(Secret(piece) for piece in sorted(pieces)))
