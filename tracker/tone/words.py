"""text -> the words that a learned scorer weighs: classes, emoji, pairs and NOT_ marks, each counted once.

    features("$GME not selling 🚀") -> {TAG, not, NOT_selling, NOT_🚀}, {^ TAG, TAG not, not selling, selling 🚀, 🚀 ^}
    grams("selling")               -> #<se, #<sel, …, #ing>

What identifies somebody or something is a class: links, users, cashtags and plain symbols that are no English word (so no
symbol can learn to be bullish by its name), and so is what never comes twice: prices, strikes (``150c``), signed percentages, plain numbers. Spelling is
evened out: case, apostrophes, repeated letters, skin tones. Linear in the length of the text; words already seen are
remembered, which makes the second sight of a word a lookup.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from functools import cache
from html import unescape
from typing import Final

from tracker.tone import LONGEST
from tracker.universe import load_ambiguous, load_symbols

REMEMBERED: Final = 50_000  # written words whose reading is kept, some 10 MB
SCOPE: Final = 4  # words behind a negation that it turns
PLENTY: Final = 20  # words and pairs, from which on more of them make no surer
SHORTEST: Final = 4  # letters of a word that has parts
LONGEST_WORD: Final = 30  # letters that are cut into parts
_SIZES: Final = (3, 4, 5)  # letters of a part, its marks among them

Pieces = tuple[str, ...]

STOP: Final = "|"  # ends what a negation reaches; no feature
EDGE: Final = "^"  # what the first word follows and the last precedes
NOT: Final = "NOT_"
PART: Final = "#"  # begins what is no word but a part of one

_NEGATIONS: Final = frozenset(
    [
        "not",
        "no",
        "never",
        "nobody",
        "nothing",
        "none",
        "without",
        "dont",
        "doesnt",
        "didnt",
        "isnt",
        "wasnt",
        "arent",
        "werent",
        "wont",
        "cant",
        "cannot",
        "couldnt",
        "wouldnt",
        "shouldnt",
        "aint",
        "havent",
        "hasnt",
        "hadnt",
        "hardly",
        "barely",
    ]
)
_SLANG: Final = frozenset({"wen", "momo", "dang", "moo", "robo"})  # symbols, too, but seldom meant
_CUT_SHORT: Final = re.compile(
    r"\b(?:(do|does|did|is|was|are|were|wo|ca|could|would|should|ai|have|has|had)n t|(i|it|that|he|she|you|they|we|what|there|let) (s|m|re|ve|ll|d))\b",
    re.IGNORECASE,
)

_LINK: Final = re.compile(r"(?:https?:|www\.|\w+\.(?:com|co|org|net|io|ly|gl|gg|me|be|it)/)", re.IGNORECASE)
# in this order: what a written word can hold
_PIECE: Final = re.compile(
    r"(?P<tag>\$[a-z][a-z0-9]*(?:[.\-:][a-z]{1,6})?)"
    r"|(?P<user>@\w+)"
    r"|(?P<percent>[+\-]?\$?\d[\d,]*\.?\d*%|[+\-]?\.\d+%)"
    r"|(?P<strike>\$?\d+(?:\.\d+)?(?:c|p|calls?|puts?)(?![a-z0-9]))"
    r"|(?P<times>\d+(?:\.\d+)?x(?![a-z0-9]))"
    r"|(?P<date>\d{1,2}/\d{1,2}(?:/\d{2,4})?(?![\d.]))"
    r"|(?P<price>[+\-]?\$ ?\d[\d,]*\.?\d*(?:[kmbt]|mil|bil)?(?![a-z0-9])|[+\-]?\$?\.\d+|\d[\d,]*\.\d+)"
    r"|(?P<number>\d[\d,]*(?:[kmbt]|st|nd|rd|th|am|pm|d|h|m|y)?(?![a-z0-9])|\d+)"
    r"|(?P<smile>[:;=]-?[)dp](?!\w)|<3)"
    r"|(?P<frown>[:=]'?-?[(/](?!\w))"
    r"|(?P<word>[^\W\d_]\w*(?:&[a-z]+)?)"
    r"|(?P<shout>!{2,})|(?P<dots>\.{2,}|…)|(?P<ask>\?)"
    r"|(?P<stop>[.,;:!)(\"])"
    r"|(?P<sign>[^\x00-\x7f])"
)  # fmt: skip
_ENDS: Final = ".,;:!)"  # each alone behind a word ends what a negation reaches, and says no more
_REPEATED: Final = re.compile(r"(.)\1{2,}")
_APOSTROPHES: Final = str.maketrans("", "", "'’‘`´")
# Skin tones, gender signs, joiners and variation selectors: one meaning, many spellings.
_TRIMMINGS: Final = re.compile("[\ufe0e\ufe0f\u200d\u2640\u2642\U0001f3fb-\U0001f3ff]+")
_CLASS: Final = {
    "tag": "TAG", "user": "USER", "times": "TIMES", "date": "DATE", "price": "PRICE", "number": "NUMBER",
    "smile": "SMILE", "frown": "FROWN", "shout": "!!", "dots": "...", "ask": "?",
}  # fmt: skip
_PUNCTUATION: Final = frozenset("“”–—•·«»¡¿‚„、。，！（）：￼")

_readings: dict[str, Pieces] = {}


def features(text: str) -> tuple[set[str], set[str]]:
    """The words of a text (classes and emoji among them) and its pairs of neighbours, each once."""
    pieces: list[str] = []
    known = _readings.get
    for written in _prepare(text).split():
        pieces += known(written) or _read(written)
    words = set(pieces)
    if not words.isdisjoint(_NEGATIONS):
        words = _marked(pieces)
    if STOP in words:
        words.discard(STOP)
        pieces = [piece for piece in pieces if piece != STOP]
    if not pieces:
        return set(), set()
    return words, set(map(" ".join, zip([EDGE, *pieces], [*pieces, EDGE], strict=True)))


def _marked(pieces: list[str]) -> set[str]:
    """The words, those that a negation reaches with its mark."""
    words: set[str] = set()
    reach = 0
    for piece in pieces:
        if piece == STOP:
            reach = 0
        elif reach:
            reach -= 1
            words.add(NOT + piece)
        else:
            words.add(piece)
        if piece in _NEGATIONS:
            reach = SCOPE
    words.add(STOP)
    return words


def grams(word: str) -> tuple[str, ...]:
    """The parts of a plain word, by which one never seen is like those that were: ``#<mo``, ``#moon``, ``#ing>``."""
    bounded = _bounded(word)
    found = [PART + bounded[start : start + size] for size in _SIZES for start in range(len(bounded) - size + 1)]
    return tuple(dict.fromkeys(found))


def grams_among(word: str, known: Container[str], begins: Container[str]) -> Iterable[str]:
    """``grams`` that are ``known``, both without their mark, for little: most begin with letters that no known one ``begins`` with."""
    bounded = _bounded(word)
    found: dict[str, None] = {}  # a set with an order
    for start in range(len(bounded) - _SIZES[0] + 1):
        if bounded[start : start + _SIZES[0]] in begins:
            for size in _SIZES:
                part = bounded[start : start + size]
                if part in known:
                    found[part] = None
    return found


def _bounded(word: str) -> str:
    """A plain word with the marks of its ends; empty for what has no parts."""
    return f"<{word[:LONGEST_WORD]}>" if len(word) >= SHORTEST and word.islower() and word.isalpha() else ""


def scale_of(held: int) -> float:
    """By what the sum of a message's weights is multiplied: beyond some ten words it grows with the root of their number."""
    return 1.0 if held <= PLENTY else (PLENTY / held) ** 0.5


def _prepare(text: str) -> str:
    text = text[:LONGEST]
    if "&" in text and ";" in text:
        text = unescape(unescape(text))
    if not text.isascii():
        text = _TRIMMINGS.sub("", text)
    if " t " in text or " s " in text or " m " in text:
        text = _CUT_SHORT.sub(_joined, text)
    return text


@cache
def _names() -> frozenset[str]:
    """Symbols of two letters and more that nobody takes for a word: aapl, tsla."""
    symbols = {info.symbol.lower() for info in load_symbols()} - {symbol.lower() for symbol in load_ambiguous()}
    return frozenset(symbol for symbol in symbols - _SLANG if len(symbol) > 1)


def _joined(match: re.Match[str]) -> str:
    return match[0].replace(" ", "")


def _read(written: str) -> Pieces:
    """What one written word, bounded by blanks, consists of."""
    pieces = tuple(_pieces(written[:200])) or (STOP,)
    if len(_readings) >= REMEMBERED:
        _readings.clear()
    if len(written) <= 40:
        _readings[written] = pieces
    return pieces


def _pieces(written: str) -> list[str]:
    bare = written.rstrip(_ENDS)
    if len(written) - len(bare) <= 1 and bare.isalpha() and bare.isascii() and bare != "SYM":
        # nine words of ten are letters with one mark at most behind them: no need to look for anything else in them
        word = _word(bare.lower())
        return [word] if bare == written else [word, STOP]
    if _LINK.match(written):
        return ["LINK"]
    if written == "SYM":
        return ["TAG"]
    lowered = written.lower().translate(_APOSTROPHES)
    found: list[str] = []
    for match in _PIECE.finditer(lowered):
        kind = match.lastgroup
        piece = match[0]
        if kind == "word":
            found.append(_word(piece))
        elif kind == "stop":
            found.append(STOP)
        elif kind == "percent":
            found.append("PERCENT" + ("+" if piece[0] == "+" else "-" if piece[0] == "-" else ""))
        elif kind == "strike":
            found.append("CALL" if "c" in piece else "PUT")
        elif kind == "sign":
            found.append(STOP if piece in _PUNCTUATION else piece)
        elif kind is not None:
            found.append(_CLASS[kind])
            if kind in ("shout", "dots", "ask"):
                found.append(STOP)
    return found


def _word(piece: str) -> str:
    """A word in lower case as it counts: a symbol that is no word is a class, letters that were drawn out are two."""
    return "TAG" if piece in _names() else _REPEATED.sub(r"\1\1", piece)
