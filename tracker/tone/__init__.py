"""text -> Tone: how bullish or bearish one message sounds, by a named scorer.

    make_scorer("lexicon", neutral_band=0.1) -> Scorer        VADER's rules over our own words, phrases and emoji
    make_scorer("vader", neutral_band=0.1)   -> Scorer        vaderSentiment as published, to compare against
    make_scorer("learned", model_path=None)  -> Scorer        learned weights over the lexicon; ours, or a person's own

The formula: a scorer gives a ``tone`` of -1..1, ``p_bullish = (1 + tone) / 2``, and the stance is +1 from ``0.5 + band``
on, -1 down from ``0.5 - band``, else 0. The scorer lexicon squashes the log-odds that it weighs, so that ``p_bullish`` is
about the share of bullish authors among such messages where both stances are as frequent; for vader the tone is its
compound score. Every scorer is pure, its cost is linear in the length of the text, and bounded: of a longer one the
first ``LONGEST`` characters are read, and ``MOST`` words of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Protocol

from tracker.errors import BadInput
from tracker.models import Stance, Tone

LONGEST: Final = 4_000  # characters of a text that are read, some 650 words: its tone has settled long before
MOST: Final = 800  # words, where they are short, or where emoji have names

ScorerKind = Literal["lexicon", "vader", "learned"]


class Scorer(Protocol):
    """What scores texts. Stored scores carry its name, so a changed word list has to have a new one."""

    @property
    def name(self) -> str:
        """Name and version: ``lexicon-1+vader-3.3.2``."""

    def score(self, text: str, source: str = "") -> Tone:
        """The tone of a text; an empty one is neutral. Never fails."""

    def explain(self, text: str, source: str = "") -> Tone:
        """The same tone, with what made it: words, phrases and emoji with their weights, strongest first."""


def to_tone(tone: float, neutral_band: float, scorer: str, reasons: tuple[tuple[str, float], ...] = ()) -> Tone:
    """The one place of the formula: a score of -1..1 -> probability of a bullish author and stance."""
    bounded = min(1.0, max(-1.0, tone))
    p_bullish = (1.0 + bounded) / 2.0
    return Tone(bounded, p_bullish, stance_of(p_bullish, neutral_band), scorer, reasons)


def stance_of(p_bullish: float, neutral_band: float) -> Stance:
    """+1 or -1 when the probability leaves the neutral band around one half, its edges included; else 0."""
    distance = round(p_bullish - 0.5, 9)  # 0.6 - 0.5 is a little less than 0.1 to a computer
    if distance >= neutral_band and distance > 0:
        return 1
    if -distance >= neutral_band and distance < 0:
        return -1
    return 0


def make_scorer(
    kind: ScorerKind, neutral_band: float = 0.1, lexicon_path: Path | None = None, model_path: Path | None = None
) -> Scorer:
    """Build a scorer, which reads its word lists once (some 0.1 s). BadInput names what can't be used.

    ``neutral_band``: half the width of the neutral zone around 0.5, within [0, 0.5). ``lexicon_path``: a file in the
    format of ``data/lexicon.tsv`` instead of ours. ``model_path``: a file that ``tracker.tone.model`` saved instead of the
    shipped weights.
    """
    if not 0 <= neutral_band < 0.5:
        raise BadInput("expected a neutral band of 0 up to 0.5", "tone", neutral_band)
    # the engines import this module for the formula
    from tracker.tone.learned import LearnedScorer
    from tracker.tone.lexicon import LexiconScorer
    from tracker.tone.model import load_model, shipped
    from tracker.tone.vader import VaderScorer

    if model_path is not None and kind != "learned":
        raise BadInput(f"expected no model for the scorer {kind}, which learns nothing", "tone", model_path)
    if kind == "learned":
        model = shipped() if model_path is None else load_model(model_path)
        return LearnedScorer(model, LexiconScorer(neutral_band, lexicon_path), neutral_band)
    if kind == "lexicon":
        return LexiconScorer(neutral_band, lexicon_path)
    if kind == "vader":
        if lexicon_path is not None:
            raise BadInput("expected no lexicon for the scorer vader, which is plain VADER", "tone", lexicon_path)
        return VaderScorer(neutral_band)
    raise BadInput("expected the scorer lexicon, learned or vader", "tone", repr(kind))
