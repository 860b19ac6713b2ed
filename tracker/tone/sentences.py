"""Long posts speak of many things: the tone of a mention is that of the sentences that are about its symbol.

    score_named(scorer, text, source, {"GME": "$GME", "AMC": None}) -> (tone of the whole, {"GME": Tone, "AMC": Tone})

Up to ``LONG`` characters a text is of one piece, and every mention has its tone. Beyond, a mention has the tone of the
sentences that name its symbol, each with the one behind it unless that is about another symbol; a symbol that stands
nowhere in the text keeps the tone of the whole. Pure, linear in the length of the text, and bounded: however many
symbols a post lists, not more than some ``BUDGET`` characters are scored for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tracker.models import Tone
from tracker.tone import Scorer

LONG: Final = 400  # characters up to which a text is taken as a whole
BUDGET: Final = 3_000  # characters that are scored for all mentions of a text together
LARGEST: Final = 2_000  # characters that are scored for one of them
LEAST: Final = 120  # and that each of them has in any case
MOST: Final = 40  # passages that are scored; further mentions have the tone of the whole
LONGEST: Final = 500  # characters of one sentence: who sets no marks is cut at a blank
FEW: Final = 60  # words for which a sentence is searched before it is cut into tokens
READ: Final = 40_000  # characters that are looked through: the longest post of any service

# A run of marks is looked at once, from its first: linear on a text that is all dots. Both kinds begin with one set of
# characters, from one to the next of which the engine skips.
_END: Final = re.compile(r"[.!?…\n](?:(?<=\n)\n*+|(?<!\n)(?<![.!?…][.!?…])[.!?…]*+[\"'”’)\]*]*+(?=\s))")
_TOKEN: Final = re.compile(r"[$#]?[^\W_](?:[\w.&-]*\w)?")  # without the marks behind it
_ABBREVIATED: Final = re.compile(
    r"\b(?:inc|corp|co|ltd|vs|mr|ms|dr|approx|est|avg|u\.s|e\.g|i\.e|a\.m|p\.m)$", re.IGNORECASE
)
_LONGEST_ABBREVIATION: Final = 8


def score_named(
    scorer: Scorer, text: str, source: str, named: Mapping[str, str | None]
) -> tuple[Tone, dict[str, Tone]]:
    """The tone of a text, and that of each symbol in it. ``named``: symbol -> as it stands in the text, None for nowhere."""
    whole = scorer.score(text, source)
    tones = dict.fromkeys(named, whole)
    if len(text) <= LONG or not named:
        return whole, tones
    told: dict[str, Tone] = {}
    for symbol, passage in passages(text, named).items():
        if passage not in told:
            if len(told) >= MOST:
                continue
            told[passage] = scorer.score(passage, source)
        tones[symbol] = told[passage]
    return whole, tones


def passages(text: str, named: Mapping[str, str | None]) -> dict[str, str]:
    """What a text says of each symbol that it names."""
    parts = list(sentences(text[:READ]))
    about = _symbols_by_sentence(parts, named)
    largest = max(LEAST, min(LARGEST, BUDGET // max(1, len(named))))
    chosen: dict[str, list[str]] = {}
    taken: dict[str, int] = {}  # symbol -> number of the last sentence that it has
    size: dict[str, int] = {}

    def take(symbol: str, number: int) -> None:
        if taken.get(symbol) != number and size.get(symbol, 0) < largest:
            part = parts[number][: largest - size.get(symbol, 0)]
            chosen.setdefault(symbol, []).append(part)
            taken[symbol] = number
            size[symbol] = size.get(symbol, 0) + len(part)

    for number, symbols in enumerate(about):
        for symbol in symbols:
            take(symbol, number)
        if number + 1 < len(about) and not about[number + 1]:
            for symbol in symbols:
                take(symbol, number + 1)
    return {symbol: " ".join(found) for symbol, found in chosen.items()}


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text: they end at a mark that white space follows, and at the end of a line."""
    start = looked = 0
    speaks = False  # there is a letter or digit since start: marks alone belong to what comes behind them
    for match in _END.finditer(text):
        end = match.end()
        speaks = speaks or any(map(str.isalnum, text[looked:end]))
        looked = end
        if text[match.start()] == "." and _ABBREVIATED.search(
            text, max(start, match.start() - _LONGEST_ABBREVIATION), match.start()
        ):
            continue
        if speaks:
            yield from _cut(text[start:end].strip())
            start, speaks = end, False
    yield from _cut(text[start:].strip())


def _cut(part: str) -> Iterator[str]:
    start = 0
    while len(part) - start > LONGEST:
        end = part.rfind(" ", start + 1, start + LONGEST) + 1 or start + LONGEST
        yield part[start:end]
        start = end
    if part[start:]:
        yield part[start:]


def _symbols_by_sentence(parts: Sequence[str], named: Mapping[str, str | None]) -> list[list[str]]:
    """For each sentence the symbols that it names, each once."""
    words: dict[str, str] = {}  # as one token -> symbol
    phrases: list[tuple[str, str]] = []  # of several words, symbol
    for symbol, surface in named.items():
        if surface is None:
            continue
        letters = symbol.removesuffix(".X")
        words.setdefault(f"${letters}", symbol)
        if len(letters) > 2:  # bare A and ON are words where they are not known to be more
            words.setdefault(letters, symbol)
        token = _TOKEN.fullmatch(surface)
        if token is None:
            phrases.append((surface, symbol))
        else:
            words[_key(surface)] = symbol
    rank = {word: number for number, word in enumerate(words)}
    cheap = [word.lower() for word in words] if len(words) <= FEW else [""]  # one of these has to be in the part
    found = []
    for part in parts:
        lowered = part.lower()
        if not any(word in lowered for word in cheap):
            found.append([symbol for phrase, symbol in phrases if phrase in part])
            continue
        tokens = set(_TOKEN.findall(part))
        if "$" in part or "#" in part:
            tokens = set(map(_key, tokens))
        symbols = dict.fromkeys(words[word] for word in sorted(tokens & rank.keys(), key=rank.__getitem__))
        symbols.update((symbol, symbol) for phrase, symbol in phrases if phrase in part)
        found.append(list(symbols))
    return found


def _key(token: str) -> str:
    """A cashtag in any case is the same one; a bare word is not."""
    return token.upper() if token[0] in "$#" else token
