"""What stood out, and how far the numbers can be trusted: spikes of the week, who was listened to, defaults in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tracker.brief import words
from tracker.brief.facts import DAY, BriefFacts
from tracker.rows import Episode

_NAMED: Final = 3  # how many spikes a sentence names before it only counts the rest
_WELL_HEARD: Final = 0.9  # a week of which less was heard is no ground for a comparison


def _episode(found: Episode) -> str:
    """One run of spike buckets: its size, when it was, and how unusual."""
    start, end = found.start_at, found.end_at
    width, unit = found.bucket_width, "UTC day" if found.bucket_width >= DAY else "hour"
    size = words.count(found.messages, "message")
    if end - start <= width:
        day = f"{start:%A %Y-%m-%d}"
        when = f"on {day} (UTC day" if width >= DAY else f"in the hour from {day} {start:%H:%M} UTC (one hour"
        return f"{size} by {words.count(found.authors, 'author')} {when}, {_unusual(found)})"
    last = end - width
    ends = f"to {last:%A %Y-%m-%d}" if width >= DAY else f"{start:%H:%M} UTC to {words.utc(end)}"
    loud = f"{words.count(found.buckets, unit)} of it a spike, up to {words.count(found.authors, 'author')} in one"
    return f"{size} from {start:%A %Y-%m-%d} {ends} ({loud}, {_unusual(found)})"


def _unusual(found: Episode) -> str:
    return f"{found.severity}, {words.about(found.expected)} expected"


def _several(found: Sequence[Episode]) -> str:
    named, more = "; ".join(_episode(one) for one in found[:_NAMED]), len(found) - _NAMED
    return f"{named}{f'; and {more:,} more' if more > 0 else ''}"


def spikes(facts: BriefFacts) -> list[str]:
    """Daily and hourly episodes of the week; bursts of pasted words are told apart."""
    organic = [one for one in facts.episodes if one.kind == "organic"]
    copied = [one for one in facts.episodes if one.kind != "organic"]
    if not organic and not copied:
        return ["There was no daily or hourly spike in the past seven days."]
    told = [f"Spikes in the past seven days: {_several(organic)}."] if organic else []
    if copied:
        alone = "" if organic else "There was no spike of organic talk in the past seven days. "
        told.append(f"{alone}Bursts of copied text, kept apart: {_several(copied)}.")
    return told


def spikes_clause(facts: BriefFacts) -> str | None:
    """The strongest of them and how many more there were; copied ones only in number."""
    organic = [one for one in facts.episodes if one.kind == "organic"]
    more, copied = len(organic) - 1, len(facts.episodes) - len(organic)
    told = []
    if organic:
        again = f" and {more:,} more times" if more > 1 else " and once more" if more else ""
        told.append(f"talk spiked with {_episode(organic[0])}{again}")
    if copied:
        told.append(f"{words.count(copied, 'burst')} of copied text {'is' if copied == 1 else 'are'} kept apart")
    return "; ".join(told) or None


def coverage(facts: BriefFacts) -> list[str]:
    """Who was listened to, for how much of the week, what is known to be lost, and which numbers rest on defaults."""
    known, day = facts.coverage, facts.day
    if known is None:
        return _defaults(facts)
    sources = words.count(known.sources, "source")
    if day is not None:
        asked = words.count(max(known.sources, day.sources_up), "source")
        sources = f"{day.sources_up:,} of {asked} up for at least half of the 24 hours"
    gaps = (
        f"{words.count(known.gaps, 'known gap')} in it ({words.about(known.gap_hours)} hours)"
        if known.gaps
        else "no known gap in it"
    )
    told = [f"Coverage: {sources}, {_heard(facts)}, {gaps}."]
    before, compared = known.heard_week_before, facts.week is not None and facts.week.volume_change is not None
    if compared and before is not None and before < _WELL_HEARD:
        told.append(
            f"Of the week before only {words.share(before)} was heard, so that the weekly comparison is uncertain."
        )
    return [*told, *_defaults(facts)]


def _heard(facts: BriefFacts) -> str:
    """ "98 % of the past week heard (bluesky 100 %, reddit 96 %)"."""
    week = facts.coverage.heard_week if facts.coverage else None
    if week is None:
        return "how much of the past week was heard is unknown"
    each = ", ".join(f"{words.clean(one.source)} {words.share(one.up)}" for one in facts.heard)
    return f"{words.share(week)} of the past week heard{f' ({each})' if each else ''}"


def defaults_clause(facts: BriefFacts) -> str | None:
    """Said while the market's habit is unknown and a score rests on defaults."""
    seen = facts.labelled or facts.day
    if seen is None or seen.baseline != "default" or seen.sentiment_score is None:
        return None
    return "what is usual for the market is not known yet, so that the score goes by default values"


def _defaults(facts: BriefFacts) -> list[str]:
    told = defaults_clause(facts)
    return [f"{words.sentence(told)}."] if told else []


def heard_clause(facts: BriefFacts) -> str | None:
    """How much of the week was heard, of how many sources."""
    known = facts.coverage
    if known is None or known.heard_week is None:
        return None
    return f"{words.share(known.heard_week)} of the past week was heard ({words.count(known.sources, 'source')})"
