"""The brief as paragraphs, as one paragraph, and as the sentence that an alert says.

The order is the newsroom's: how people feel, how much they talk, what they vote and say, where the price stands, how
others do, what stood out, and how far all that can be trusted.
"""

from __future__ import annotations

from datetime import datetime

from tracker.brief import ground, market, mood, talk, words
from tracker.brief.facts import BriefFacts


def paragraphs(facts: BriefFacts, zone: str | None = None) -> list[str]:
    """The brief as plain paragraphs; what is unknown is left out. ``zone`` None: the market's own."""
    where, at = zone or facts.zone, facts.at
    if at is None:
        return [f"{mood.nothing(facts, where)}."]
    known = mood.has_readings(facts)
    if known:
        first = [*mood.lead(facts, at, where), *mood.volume(facts, at), *mood.silence(facts), *mood.ratio(facts, at)]
    else:
        first = [f"{mood.nothing(facts, where)}."]
    parts = [
        first,
        talk.polls(facts, at),
        [*talk.said(facts, at), *talk.headlines(facts)],
        market.price_told(facts, at),
        market.peers_told(facts, at),
        ground.spikes(facts) if known or facts.episodes else [],
        ground.coverage(facts) if known else [],
    ]
    return [" ".join(part) for part in parts if part]


def lead_sentence(facts: BriefFacts, zone: str | None = None) -> str:
    """What an alert says: label and weekly change of message volume, in a sentence or two."""
    where, at = zone or facts.zone, facts.at
    if at is None or not mood.has_readings(facts):
        return f"{mood.nothing(facts, where)}."
    return " ".join(mood.lead(facts, at, where))


def newsroom_paragraph(facts: BriefFacts, zone: str | None = None) -> str:
    """All that is known in two sentences: the symbol's own, then what surrounds it."""
    where, at = zone or facts.zone, facts.at
    if at is None:
        return f"{mood.nothing(facts, where)}."
    if mood.has_readings(facts):
        opening = [_opening(facts, at, where), mood.volume_clause(facts, at), mood.ratio_clause(facts, at)]
        surroundings = [market.peers_clause(facts), ground.spikes_clause(facts)]
        closing = [*surroundings, ground.heard_clause(facts), ground.defaults_clause(facts)]
    else:
        opening, closing = [mood.nothing(facts, where)], [market.peers_clause(facts), ground.spikes_clause(facts)]
    own = [*opening, talk.poll_clause(facts, at), talk.words_clause(facts, at), market.price_clause(facts, at)]
    return " ".join(_sentence(clauses) for clauses in (own, closing) if any(clauses))


def _opening(facts: BriefFacts, at: datetime, zone: str) -> str:
    """The label of when, the labels of the month, and the weekly change of message volume."""
    label, visited = mood.label_clause(facts, at, zone, dated=False), mood.visited_clause(facts)
    told = f"{label}, and {visited}" if visited else label
    change = mood.change_clause(facts.week, at) if facts.week else None
    if change is not None:
        return f"{told}, while {change}"
    few = mood.few_clause(facts, at)
    return f"{told}; {few}" if few else told


def _sentence(clauses: list[str | None]) -> str:
    told = "; ".join(clause for clause in clauses if clause)
    return f"{words.sentence(told)}."
