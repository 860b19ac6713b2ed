"""VADER's rules over our own words: retail slang, options talk, phrases and emoji, from ``data/lexicon.tsv``.

A phrase and an emoji become one stand-in token before VADER reads the text, so that negation and emphasis work on
them as on a word, and VADER never reads 🔥 as a fire or 😂 as joy. Terms marked ``mute`` count for nothing: most are
VADER words that mean something else among traders (share, support, value, lol).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from string import punctuation
from typing import Final

from tracker.errors import BadInput
from tracker.models import Tone
from tracker.text import normalise
from tracker.tone import to_tone
from tracker.tone.vader import LONGEST, VADER, Analyzer, chunked, separate, squeeze, strongest, weigh_pieces
from tracker.universe import DATA, read_table

# Stored scores carry it: raise it with every change to data/lexicon.tsv or to the reading below.
LEXICON_VERSION: Final = 1

# From the first $ of a run only, which keeps it linear on a message that is all $.
_CASHTAG: Final = re.compile(r"\$(?<!\$\$)\$*+[A-Za-z][\w.]*")
# Skin tones, gender signs, joiners and variation selectors: one meaning, many spellings.
_TRIMMINGS: Final = re.compile("[\ufe0e\ufe0f\u200d\u2640\u2642\U0001f3fb-\U0001f3ff]+")
_STRONGEST: Final = 4.0


@dataclass(frozen=True, slots=True)
class Term:
    """One line of the lexicon."""

    term: str  # a word, a phrase or an emoji, lower case
    valence: float | None  # -4..4; None: mute
    reason: str  # why it is in the list, for a person


class LexiconScorer:
    """The default scorer: explainable, no training, some 10,000 messages a second."""

    def __init__(self, neutral_band: float = 0.1, path: Path | None = None) -> None:
        self._band = neutral_band
        self._analyzer = Analyzer()
        self.name = f"lexicon-{_version(path)}+{VADER}"
        self._emoji: dict[str, tuple[str, ...]] = {
            emoji: tuple(words.split()) for emoji, words in self._analyzer.emojis.items() if len(emoji) == 1
        }
        self._terms: dict[str, str] = {}  # stand-in -> as written in the list
        phrases: dict[str, list[tuple[list[str], str]]] = {}
        for term in load_lexicon(path or DATA / "lexicon.tsv"):
            words = term.term.split()
            if len(words) > 1:
                stand_in = "_".join(words)
                phrases.setdefault(words[0], []).append((words, stand_in))
            elif _is_emoji(term.term):
                stand_in = f"emoji_{ord(term.term):x}"
                self._emoji[term.term] = () if term.valence is None else (stand_in,)
            else:
                stand_in = term.term
            self._learn(stand_in, term)
        for entries in phrases.values():
            entries.sort(key=lambda entry: len(entry[0]), reverse=True)
        self._phrases: Mapping[str, list[tuple[list[str], str]]] = phrases
        self._first_words = frozenset(phrases)

    def _learn(self, stand_in: str, term: Term) -> None:
        if term.valence is None:
            self._analyzer.lexicon.pop(stand_in, None)
        else:
            self._analyzer.lexicon[stand_in] = term.valence
        if stand_in != term.term:
            self._terms[stand_in] = term.term

    def score(self, text: str) -> Tone:
        compound, _ = weigh_pieces(self._analyzer, self.pieces(text))
        return to_tone(compound, self._band, self.name)

    def explain(self, text: str) -> Tone:
        compound, weights = weigh_pieces(self._analyzer, self.pieces(text))
        return to_tone(compound, self._band, self.name, strongest(weights, self._terms))

    def pieces(self, text: str) -> list[list[str]]:
        """What VADER gets to read: chunks of tokens, with stand-ins for phrases and emoji."""
        cleaned = clean(text[:LONGEST])
        if cleaned.isascii():
            return chunked(self._with_phrases(squeeze(cleaned.split())))
        tokens: list[str] = []
        for token in squeeze(separate(cleaned, self._emoji).split()):
            words = self._emoji.get(token)
            if words is None:
                tokens.append(token)
            else:
                tokens.extend(words)
        return chunked(self._with_phrases(tokens))

    def _with_phrases(self, tokens: list[str]) -> list[str]:
        """Put one stand-in for each phrase, the longest that fits; punctuation behind it stays, inside it ends it."""
        bare = [token.strip(punctuation).lower() for token in tokens]
        if self._first_words.isdisjoint(bare):
            return tokens
        result: list[str] = []
        place = 0
        while place < len(tokens):
            for words, stand_in in self._phrases.get(bare[place], ()):
                end = place + len(words)
                if bare[place:end] == words and all(map(_goes_on, tokens[place : end - 1])):
                    shouted = all(map(str.isupper, tokens[place:end]))
                    last = tokens[end - 1]
                    tail = last[len(last.rstrip(punctuation)) :]
                    result.append((stand_in.upper() if shouted else stand_in) + tail)
                    place = end
                    break
            else:
                result.append(tokens[place])
                place += 1
        return result


def clean(text: str) -> str:
    """Take out what has no tone: links, users, cashtags, trimmings of emoji; straighten apostrophes for VADER."""
    text = normalise(text)
    if "$" in text:
        text = _CASHTAG.sub(" ", text)
    if not text.isascii():
        text = _TRIMMINGS.sub("", text).replace("’", "'")
    return text


def load_lexicon(path: Path) -> tuple[Term, ...]:
    """The lines of a lexicon: columns term, valence, reason. BadInput names the line that can't be used."""
    terms: list[Term] = []
    for place, (term, valence, reason) in read_table(path, ("term", "valence", "reason")):
        if term != " ".join(term.lower().split()):
            raise BadInput("expected a term in lower case with single blanks", place, repr(term))
        terms.append(Term(term, _read_valence(valence, place), reason))
    return tuple(terms)


def _read_valence(text: str, place: str) -> float | None:
    if text == "mute":
        return None
    try:
        valence = float(text)
    except ValueError:
        valence = float("nan")
    if not -_STRONGEST <= valence <= _STRONGEST:
        raise BadInput("expected a valence of -4 to 4 or the word mute", place, repr(text))
    return valence


def _version(path: Path | None) -> str:
    """Ours has a number; a person's own list is named by its content, so that a changed one has a new name."""
    if path is None:
        return str(LEXICON_VERSION)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput("the table can't be read", str(path), error) from error
    return f"own-{blake2b(content, digest_size=4).hexdigest()}"


def _is_emoji(term: str) -> bool:
    return len(term) == 1 and not term.isascii() and not term.isalnum()


def _goes_on(token: str) -> bool:
    """No punctuation at its end: the sentence goes on behind it."""
    return token[-1].isalnum()
