"""The newsroom's brief about one symbol: how people feel, how much they talk, what they say, and how sure that is.

``read_facts`` asks the database once; ``write`` and the others only word what it found. A part that is unknown is left
out, and where there is too little data the text says so. No data at all is an answer too, not an error.
"""

from __future__ import annotations

from tracker.brief.facts import BriefFacts, Heard, Talk, read_facts, read_lead
from tracker.brief.forms import Form, Style, write, write_all
from tracker.brief.newsroom import lead_sentence, newsroom_paragraph, paragraphs
from tracker.brief.talk import unquoted
from tracker.brief.words import change_words, part_of_day

__all__ = [
    "BriefFacts",
    "Form",
    "Heard",
    "Style",
    "Talk",
    "change_words",
    "lead_sentence",
    "newsroom_paragraph",
    "paragraphs",
    "part_of_day",
    "read_facts",
    "read_lead",
    "unquoted",
    "write",
    "write_all",
]
