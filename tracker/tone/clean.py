"""A message -> the words that carry tone: what names no mood is taken out, numbers become classes, emoji stay.

    clean(text) -> text            entities written out, links, users, code and cashtags blanked
    pieces_of(token) -> pieces     a token cut at its emoji
    core_of(token) -> (core, end)  lower case without punctuation and apostrophes, or a class; what stands behind it

Classes: ``<n>`` an amount or price, ``<pct>`` a percentage, ``<x>`` a multiple (10x), ``<+n>`` and ``<-n>`` a change with its
sign, ``<call>`` and ``<put>`` an option with its strike (150c, 90p); nought is the word ``zero``. All pure, and linear in the length of the text.
"""

from __future__ import annotations

import re
from string import punctuation
from typing import Final

from tracker.text import normalise, write_out

RUN: Final = 3  # equal emoji in a row that still count
LONGEST_WORD: Final = 40  # characters; longer tokens are no words
# From the first $ of a run only, which keeps it linear on a message that is all $.
_CASHTAG: Final = re.compile(r"\$(?<!\$\$)\$*+[A-Za-z][\w.]*")
# Skin tones, gender signs, joiners and variation selectors: one meaning, many spellings.
_TRIMMINGS: Final = re.compile("[\ufe0e\ufe0f\u200d\u2640\u2642\U0001f3fb-\U0001f3ff]+")
_EMOJI: Final = re.compile("([\u2190-\u2bff\u3030\U0001f000-\U0001faff]+)")
_ROW: Final = 24  # emoji of a row that are read
_STRAIGHT: Final = str.maketrans({"’": "'", "‘": "'", "´": "'", "“": '"', "”": '"', "…": "...", "–": "-", "—": "-"})
_EDGES: Final = punctuation + "…"
_BEFORE_NUMBER: Final = "([{~<>=≈\"'*"
_NUMBER: Final = re.compile(r"([+-]?)\$?([+-]?)\$?(\d[\d,]*(?:\.\d+)?|\.\d+)(k|m|mm|b|bn|t)?(%?)(s|'s|x)?")
_STRIKE: Final = re.compile(r"\$?(?:\d+(?:\.\d+)?|\.\d+)(c|p|calls?|puts?|ce|pe)")
_REPEATED: Final = re.compile(r"(.)\1\1+")
_LAUGHTER: Final = re.compile(r"(?:b?[ha]{1,2}h[ha]*|(?:he){2,}h?|l+(?:[mf]*a+o+|o+l+(?:o*l)*))z?")


def clean(text: str) -> str:
    """Take out what has no tone: entities, links, users, code, cashtags; a line ends like a sentence."""
    if "&" in text:
        text = write_out(text)
        if "&" in text:  # some services escape what they were given escaped
            text = write_out(text)
    text = normalise(text)
    if "$" in text:
        text = _CASHTAG.sub(" ", text)
    if "\n" in text:
        text = text.replace("\n", " . ")
    return text


def pieces_of(token: str) -> list[str]:
    """A token that is not ASCII, straightened and cut at its emoji, which have one spelling each and stand alone."""
    cut: list[str] = []
    for place, piece in enumerate(_EMOJI.split(_TRIMMINGS.sub("", token.translate(_STRAIGHT)))):
        if place % 2:
            row = piece[:_ROW]
            cut += (emoji for at, emoji in enumerate(row) if row[max(0, at - RUN) : at] != emoji * RUN)
        elif piece:
            cut.append(piece)
    return cut


def core_of(lowered: str) -> tuple[str, str]:
    """The core of a token in lower case, or its class, and the punctuation behind it."""
    core = lowered.rstrip(_EDGES)
    end = lowered[len(core) :]
    if core[-1:].isdigit() and end.startswith("%"):
        core += "%"
        end = end[1:]
    number = core.lstrip(_BEFORE_NUMBER)
    if number[:1] in "+-$.0123456789" and len(number) <= LONGEST_WORD:
        kind = _class_of(number)
        if kind:
            return kind, end
    return core.lstrip(_EDGES).replace("'", ""), end


def _class_of(number: str) -> str:
    found = _NUMBER.fullmatch(number)
    if found:
        sign = found[1] or found[2]
        if sign:
            return f"<{sign}n>"
        if found[6] == "x":
            return "<x>"
        if not found[3].strip("0.,"):
            return "zero"
        return "<pct>" if found[5] else "<n>"
    strike = _STRIKE.fullmatch(number)
    if strike:
        return "<call>" if strike[1][0] == "c" else "<put>"
    return ""


def spellings(word: str) -> tuple[str, ...]:
    """What a word that is in no list may be meant for: laughter of any length, letters that were drawn out."""
    if len(word) > LONGEST_WORD:
        return ()
    if _LAUGHTER.fullmatch(word):
        return ("haha",) if word[0] in "hab" else ("lol",)
    if _REPEATED.search(word):
        return _REPEATED.sub(r"\1\1", word), _REPEATED.sub(r"\1", word)
    return ()
