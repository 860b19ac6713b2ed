"""How a newsroom says numbers, times and changes, and how it quotes strangers.

A printed number never tells another story than the number behind it: a size is printed with as many decimals as it
takes to earn the verb that stands beside it, and a share is 0 % or 100 % only when it is exactly that.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import date, datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Final
from zoneinfo import ZoneInfo

# Verbs by size, largest first: what message volume does in a week, what a price does in a session. Below the last one
# it has hardly changed.
SOARED: Final = 1.0  # from here on counts have at least doubled, and a size is told as "over"
TALK_UP: Final = ((SOARED, "soared by"), (0.3, "risen by"), (0.05, "edged up by"))
TALK_DOWN: Final = ((0.5, "plunged by"), (0.3, "fallen by"), (0.05, "slipped by"))
PRICE_UP: Final = ((0.08, "surge"), (0.04, "jump"), (0.005, "rise"))
PRICE_DOWN: Final = ((0.08, "plunge"), (0.04, "drop"), (0.005, "slip"))

_FINEST: Final = 8  # decimals of a percentage; what is finer is what a machine's fractions add
_NOISE: Final = 1e-9
_PARTS_OF_DAY: Final = (
    (9, "early {}"),
    (12, "{} morning"),
    (14, "midday {}"),
    (17, "{} afternoon"),
    (20, "{} evening"),
    (24, "late {}"),
)
QUOTED: Final = 200  # characters of a stranger's words that are quoted
_READ: Final = 1_000  # characters of them that are looked at at all
_RESHARED: Final = re.compile(r"\A(?:\s*RT\s+@\S+)+", re.IGNORECASE)
_ELLIPSES: Final = re.compile("…(?: ?…)+")
_JOINERS: Final = "\u200c\u200d"
_HIDDEN: Final = ("Cc", "Cf", "Cs", "Co")  # categories of Unicode
# who said it, where to reach them, and addresses that a reader should not be sent to
_PRIVATE: Final = re.compile(r"\S*://\S*|\bwww\.\S+|[\w.+-]+@\w[\w-]*\.[\w.-]+|@\w+(?:[.@-]\w+)*|(?<![\w/])/?u/[\w-]+")


# ------------------------------------------------------------------------------------------------ numbers


def _verb(ladder: Sequence[tuple[float, str]], size: float) -> str | None:
    return next((verb for least, verb in ladder if size >= least), None)


def _still(change: float) -> bool:
    """No change at all, but for what a machine's fractions add."""
    return abs(change) < _NOISE


def sized(
    change: float, up: Sequence[tuple[float, str]], down: Sequence[tuple[float, str]], decimals: int = 0
) -> tuple[str | None, str]:
    """The verb for a relative change (None: hardly any) and its size in percent, of which the verb would be the same."""
    if _still(change):
        return None, "0 %"
    ladder, exact = up if change > 0 else down, abs(Decimal(str(change))) * 100
    verb = _verb(ladder, abs(change))
    for places in range(decimals, _FINEST):
        shown = _rounded(exact, places)
        gone = change < 0 and shown >= 100 > exact  # nothing is left only where nothing is
        if shown and not gone and _verb(ladder, float(shown) / 100) == verb:
            return verb, _percents(shown)
    return verb, _percents(_rounded(exact, _FINEST, ROUND_DOWN))


def _rounded(exact: Decimal, places: int, how: str = ROUND_HALF_EVEN) -> Decimal:
    return exact.quantize(Decimal(1).scaleb(-places), rounding=how)


def _percents(shown: Decimal) -> str:
    """A thousand separator, no decimals that say nothing, and the newsroom's gap before the sign."""
    return f"{_plainly(shown)} %"


def _plainly(number: Decimal) -> str:
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def change_words(change: float) -> str:
    """A change of message volume as a newsroom says it: "has soared by over 460 %"."""
    verb, size = sized(change, TALK_UP, TALK_DOWN)
    if verb is None:
        return f"has hardly changed ({_sign(change)}{size})"
    if change >= SOARED:
        exact = Decimal(str(change)) * 100
        whole = _rounded(exact, 0, ROUND_DOWN)
        size = f"{'over ' if whole != exact else ''}{_percents(whole)}"
    return f"has {verb} {size}"


def move_words(change: float) -> str:
    """A session's change of a price as a noun: "a 10 % surge"."""
    noun, size = sized(change, PRICE_UP, PRICE_DOWN, 1)
    if noun is None:
        return f"hardly any change ({_sign(change)}{size})"
    return f"{'an' if size.startswith(('8', '11 ', '11.', '18 ', '18.')) else 'a'} {size} {noun}"


def up_or_down(change: float) -> str:
    """A change of a price: "up 13.5 %", "down 1.4 %", "unchanged"."""
    if _still(change):
        return "unchanged"
    return f"{'up' if change > 0 else 'down'} {sized(change, (), (), 1)[1]}"


def signed(change: float, decimals: int = 0) -> str:
    """A change in figures: "+173 %"; zero only where it is zero."""
    return f"{_sign(change)}{sized(change, (), (), decimals)[1]}"


def _sign(change: float) -> str:
    return "" if _still(change) else "-" if change < 0 else "+"


def share(ratio: float, decimals: int = 0) -> str:
    """A ratio in percent; "0 %" and "100 %" are said of nothing and of all, and of nothing else."""
    exact = Decimal(str(ratio)) * 100
    for places in range(decimals, _FINEST):
        shown = _rounded(exact, places)
        if shown == exact or shown not in (0, 100):
            return _percents(shown)
    return _percents(_rounded(exact, _FINEST, ROUND_DOWN))


def count(number: int, noun: str) -> str:
    """ "1 author", "2,643 messages"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def about(number: float) -> str:
    """A number that is no count: one decimal while it is small."""
    return f"{number:,.1f}" if number < 10 else f"{number:,.0f}"


def money(price: float) -> str:
    """A price: two decimals, of a small one four digits that count."""
    if abs(price) >= 1 or not price:
        return f"{price:,.2f}"
    exact = Decimal(str(price))
    return _plainly(_rounded(exact, 3 - exact.adjusted()))


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def sentence(clause: str) -> str:
    """With a capital in front."""
    return f"{clause[:1].upper()}{clause[1:]}"


# ------------------------------------------------------------------------------------------------ times


def part_of_day(moment: datetime, zone: str) -> str:
    """When it was, as a newsroom says it: "early Tuesday"."""
    local = moment.astimezone(ZoneInfo(zone))
    return next(form for until, form in _PARTS_OF_DAY if local.hour < until).format(f"{local:%A}")


def utc(moment: datetime) -> str:
    """ "2026-11-17 11:00 UTC"."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def day(when: date) -> str:
    """ "12 August 2026"."""
    return f"{when.day} {when:%B %Y}"


def local_day(moment: datetime, zone: str) -> str:
    """The day of a moment in a zone: "12 August 2026"."""
    return day(moment.astimezone(ZoneInfo(zone)))


# ------------------------------------------------------------------------------------------------ strangers' words


def clean(text: str, longest: int = QUOTED) -> str:
    """One printable line of at most ``longest`` characters, cut between words and marked where it was cut."""
    line = " ".join("".join(filter(_harmless, text[:_READ])).split())
    if len(line) <= longest:
        return line
    cut = line[: longest - 1]
    whole = cut if line[longest - 1] == " " else cut.rsplit(" ", 1)[0]
    return f"{(whole if len(whole) > longest // 2 else cut).rstrip()}…"


def _harmless(character: str) -> bool:
    """No control character, no mark that turns the reading direction, no half of a pair; emoji keep their joiners."""
    return character.isspace() or character in _JOINERS or unicodedata.category(character) not in _HIDDEN


def quoted(text: str, longest: int = QUOTED) -> str | None:
    """A stranger's words in quotation marks, without people's names and addresses; None when nothing is left."""
    unnamed = _PRIVATE.sub("…", _RESHARED.sub("", text[:_READ]))
    line = _ELLIPSES.sub("…", clean(unnamed, longest))
    return f"“{line}”" if line.strip("… ") else None
