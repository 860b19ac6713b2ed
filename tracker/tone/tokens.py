"""A cleaned text -> its words, each with what the lexicon knows about it, looked up once per spelling.

The memo is what makes scoring fast: a token that was seen before costs one dictionary access, whatever it takes to
find out what it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final, NamedTuple, TypeAlias

from tracker.tone.clean import LONGEST_WORD, core_of, pieces_of, spellings

MEMO: Final = 30_000  # tokens remembered; then the memo starts afresh
WIDEST: Final = 200  # characters of a token that are read
STOPS: Final = frozenset(".!?;:…")
_PARTS: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\w\s]", re.ASCII)

# second word -> (words behind the first, valence, as written), the longest first
Phrases: TypeAlias = Mapping[str, tuple[tuple[tuple[str, ...], float, str], ...]]


class Word(NamedTuple):
    """One word of a text and what is known of it. A tuple: a text of new words makes hundreds of them."""

    text: str  # lower case, without punctuation and apostrophes; a class like <n>; "" for punctuation alone
    valence: float = 0.0  # alone, before any rule
    role: int = 0  # flags of tracker.tone.roles: which side, trade or movement it names
    phrases: Phrases | None = None  # that begin with it
    boost: float = 0.0  # VADER's boosters and dampeners: what it adds to a word behind it
    negates: bool = False
    shouted: bool = False  # in capitals
    starts: bool = False  # it has a valence, begins a phrase or starts a rule
    bends: bool = False  # it may change the weight of a word behind it
    matters: bool = False  # anything of all this
    joins: bool = True  # nothing behind it ends a phrase
    stops: bool = False  # a sentence ends behind it
    bangs: int = 0  # exclamation marks behind it


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What words mean, before any text is read."""

    valences: Mapping[str, float]  # 0.0: known and mute
    phrases: Mapping[str, Phrases]
    roles: Mapping[str, int]
    boosts: Mapping[str, float]
    negations: frozenset[str]
    starters: int  # the roles that start a rule
    known: frozenset[str] = field(init=False)  # all of these

    def __post_init__(self) -> None:
        known = frozenset().union(self.valences, self.phrases, self.roles, self.negations, self.boosts)
        object.__setattr__(self, "known", known)


class Memo(dict[str, tuple[Word, ...]]):
    """token -> its words; computes what it has not seen, forgets everything when it is full."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._vocabulary = vocabulary

    def __missing__(self, token: str) -> tuple[Word, ...]:
        words = read(token, self._vocabulary)
        if len(self) >= MEMO:
            self.clear()
        if len(token) <= LONGEST_WORD:
            self[token] = words
        return words

    def words(self, tokens: list[str], most: int) -> list[Word]:
        return list(islice(chain.from_iterable(map(self.__getitem__, tokens)), most))


def read(token: str, vocabulary: Vocabulary) -> tuple[Word, ...]:
    """The words of one token: mostly one; of ``puts/calls`` two, of ``moon🚀🚀`` three."""
    token = token[:WIDEST]
    if not token.isascii():
        pieces = pieces_of(token)
        if pieces != [token]:
            return tuple(word for piece in pieces for word in _read_piece(piece, vocabulary))
    return _read_piece(token, vocabulary)


def _read_piece(token: str, vocabulary: Vocabulary) -> tuple[Word, ...]:
    lowered = token.lower()
    if not lowered[0].isalnum() and lowered in vocabulary.valences:  # an emoji, an emoticon
        return (_word(lowered, token, "", vocabulary),)
    core, end = (lowered, "") if token.isalpha() and token.isascii() else core_of(lowered)
    if not core or core[0] == "<" or core in vocabulary.known:
        return (_word(core, token, end, vocabulary),)
    for spelling in spellings(core):
        if spelling in vocabulary.known:
            return (_word(spelling, token, end, vocabulary),)
    if core.isalnum() or len(token) > 2 * LONGEST_WORD:
        return (_word(core, token, end, vocabulary),)
    parts = _PARTS.findall(token)
    if sum(part[0].isalnum() for part in parts) < 2:
        return (_word(core, token, end, vocabulary),)
    words: list[Word] = []
    last = len(parts) - len(end) - 1  # what stands behind it is the end of the token
    for place, part in enumerate(parts):
        if part[0].isalnum():
            behind = parts[place + 1] if place < len(parts) - 1 else ""
            mark = end if place >= last else behind if behind in STOPS else ""
            words.append(_word(core_of(part.lower())[0], part, mark, vocabulary))
    return tuple(words)


def _word(core: str, token: str, end: str, vocabulary: Vocabulary) -> Word:
    stops = not STOPS.isdisjoint(end)
    bangs = min(4, end.count("!"))
    if core not in vocabulary.known:
        matters = bool(bangs or core == "but")
        return Word(core, shouted=token.isupper(), matters=matters, joins=not end, stops=stops, bangs=bangs)
    valence = vocabulary.valences.get(core, 0.0)
    role = vocabulary.roles.get(core, 0)
    phrases = vocabulary.phrases.get(core)
    boost = vocabulary.boosts.get(core, 0.0)
    negates = core in vocabulary.negations
    starts = bool(valence or phrases or role & vocabulary.starters)
    return Word(
        text=core,
        valence=valence,
        role=role,
        phrases=phrases,
        boost=boost,
        negates=negates,
        shouted=token.isupper(),
        starts=starts,
        bends=bool(negates or boost),
        matters=bool(starts or role or negates or boost or bangs or core == "but"),
        joins=not end,
        stops=stops,
        bangs=bangs,
    )
