"""What two readers of a message have in common: blanking what is not prose, and one number per wording.

    normalise(text) -> text of the same length; links, e-mails, @user, u/x, r/x and code are blanks
    text_key(text)  -> 64 bits that two pasted copies share, or None when the text has no words of its own

Both are pure, never fail on any string, and take time linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from html import unescape
from typing import Final

# Every pattern begins with a literal, so the engine skips from candidate to candidate, and what may stand before it is
# found by walking back: linear on any input, which a run of optional characters in front is not.
_LINK: Final = re.compile(r"://\S+")
_BARE_LINK: Final = re.compile(r"(?<![A-Za-z0-9])(?:[wW]ww|WWW)\.\S+")
_SHORT_LINK: Final = re.compile(r"\.(?:com|co|org|net|io|ly|gl|gg|me|be|it)/\S*")
_USER: Final = re.compile(r"@\w+(?:[.-][a-z0-9]++(?!\w))*")
_FORUM: Final = re.compile(r"(?<![\w/])/?[ur]/\w[\w-]*")
_FENCE: Final = re.compile(r"```.+?```", re.DOTALL)
_CODE: Final = re.compile(r"`[^`\n]+`")

_SCHEME: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_HOST: Final = _SCHEME | frozenset(".-")
_MAILBOX: Final = _HOST | frozenset("_%+")


def normalise(text: str) -> str:
    """Blank what names no security: links, e-mails, users, forums, code. Offsets stay those of ``text``."""
    if "://" in text:
        text = _blank_back(text, _LINK, _SCHEME)
    if "/" in text:
        text = _blank_back(text, _SHORT_LINK, _HOST)
        if "u/" in text or "r/" in text:
            text = _FORUM.sub(_blank, text)
    if "ww." in text or "WW." in text:
        text = _BARE_LINK.sub(_blank, text)
    if "@" in text:
        text = _blank_back(text, _USER, _MAILBOX, only_with=".")
    if "`" in text:
        text = _CODE.sub(_blank, _FENCE.sub(_blank, text))
    return text


_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")


def write_out(text: str) -> str:
    """HTML entities as the characters that they stand for."""
    return _ENTITY.sub(lambda match: unescape(match[0]), text) if "&" in text else text


def plain_text(text: str) -> tuple[str, Sequence[int] | None]:
    """``normalise`` of a text with its HTML entities written out once, and where each character stood before.

    The second part is None where nothing was written out, so that offsets are those of ``text``.
    """
    if "&" not in text or ";" not in text or _ENTITY.search(text) is None:
        return normalise(text), None
    parts: list[str] = []
    offsets: list[int] = []
    done = 0
    for match in _ENTITY.finditer(text):
        start, end = match.span()
        written = unescape(match[0])
        parts += (text[done:start], written)
        offsets += range(done, start)
        offsets += [start] * len(written)
        done = end
    parts.append(text[done:])
    offsets += range(done, len(text) + 1)
    return normalise("".join(parts)), offsets


def _blank(match: re.Match[str]) -> str:
    return " " * (match.end() - match.start())


def _blank_back(text: str, pattern: re.Pattern[str], before: frozenset[str], only_with: str = "") -> str:
    """Blank each match and all characters out of ``before`` that stand directly before it: no half of a word stays.

    No step goes back behind the match before, so the whole is linear. ``only_with``: walk back only from matches that hold it, so ``name@host.tld`` goes as a whole and ``calls@noon``
    keeps its first word.
    """
    parts: list[str] = []
    done = 0
    for match in pattern.finditer(text):
        start, end = match.span()
        if only_with in match.group():
            while start > done and text[start - 1] in before:
                start -= 1
        parts.append(text[done:start])
        parts.append(" " * (end - start))
        done = end
    if not done:
        return text
    parts.append(text[done:])
    return "".join(parts)


def lower_in_place(text: str) -> str:
    """Lower case with each character where it was: the few that would become two (İ), or ASCII (the sign K
    of Kelvin), stay as they are."""
    lowered = text.lower()
    if len(lowered) == len(text) and (lowered.isascii() == text.isascii()):
        return lowered
    return "".join(
        low if len(low := character.lower()) == 1 and low.isascii() == character.isascii() else character
        for character in text
    )


def upper_in_place(text: str) -> str:
    """Upper case with each character where it was: the few that would become more (ß) stay as they are."""
    raised = text.upper()
    if len(raised) == len(text):
        return raised
    return "".join(up if len(up := character.upper()) == 1 else character for character in text)


def glues(character: str) -> bool:
    """A letter or digit of an alphabet that puts spaces between words: what touches it is part of its word."""
    return character.isalnum() and character < "\u0590"


# ------------------------------------------------------------------------------------------------ one key per wording

_RESHARE: Final = re.compile(r"(?:[\s\"“]*+rt\s*+@\w++\s*+:?)+")
_KEY_LINK: Final = re.compile(r"https?://\S+")
_KEY_BARE_LINK: Final = re.compile(r"www\.\S+")
_TAG: Final = re.compile(r"[$@][\w.-]+")
# Deleting bytes is the fastest way that Python has, and UTF-8 keeps everything else out of ASCII's way.
_NOT_LETTERS: Final = bytes(code for code in range(128) if not chr(code).isalpha())
# What pasting adds or loses beyond ASCII: spaces, punctuation, digits, invisible marks. Letters and emoji stay.
_NOISE: Final = re.compile(
    "[\u0080-\u00a8\u00ab-\u00ad\u00af-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u0660-\u0669\u06f0-\u06f9\u0966-\u096f"
    "\u2000-\u206f\u3000-\u3003\u3008-\u3020\ufe00-\ufe0f\ufeff\uff01-\uff20\uff3b-\uff40\uff5b-\uff65]+"
)


def text_key(text: str) -> int | None:
    """Hash the wording alone into 64 bits (fits UBIGINT), so that pasted copies share it.

    Case, links, numbers, cashtags, @users, a leading ``RT @x:``, punctuation and white space do not count; letters
    and emoji do. None when nothing is left: a body that is only ``$NVDA`` says nothing and copies nobody.
    """
    words = text.casefold()
    if "rt" in words[:8]:
        reshare = _RESHARE.match(words)
        if reshare:
            words = words[reshare.end() :]
    if "://" in words:
        words = _KEY_LINK.sub(" ", words)
    if "www." in words:
        words = _KEY_BARE_LINK.sub(" ", words)
    if "$" in words or "@" in words:
        words = _TAG.sub(" ", words)
    if not words.isascii():
        words = _NOISE.sub("", words)
    letters = words.encode("utf-8", "surrogatepass").translate(None, _NOT_LETTERS)
    if not letters:
        return None
    return int.from_bytes(blake2b(letters, digest_size=8).digest(), "big")
