"""How people feel and how much they talk: the label, its history, message volume, the bullish ratio."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tracker.brief import words
from tracker.brief.facts import DAY, HOUR, WEEK, BriefFacts
from tracker.rows import Reading

# a reading younger than this speaks of "the past" 24 hours, week
_RECENT: Final = {"24h": 2 * HOUR, "7d": DAY}
_SPANS: Final = {"24h": "24 hours", "7d": "week"}


def has_readings(facts: BriefFacts) -> bool:
    """Some reading of the past week exists."""
    return facts.labelled is not None or facts.day is not None or facts.week is not None


def opinions(reading: Reading) -> str:
    """ "758 opinions"."""
    return words.count(reading.bullish + reading.bearish, "opinion")


def span_words(window: str, ends: datetime, at: datetime) -> str:
    """A window in words: "the past week", or with its exact end where that was not just now."""
    name = _SPANS[window]
    return f"the past {name}" if at - ends < _RECENT[window] else f"the {name} to {words.utc(ends)}"


def _within(reading: Reading, at: datetime) -> str:
    return f"in {span_words(reading.window_name, reading.at, at)}"


def label_clause(facts: BriefFacts, at: datetime, zone: str, dated: bool = True) -> str:
    """The label, of when, and for the first time since when; without ``dated`` no clock beside "early Tuesday"."""
    who, seen, day = f"Retail sentiment on {words.clean(facts.symbol)}", facts.labelled, facts.day
    clock = f" ({words.utc(at)})" if dated else ""
    if seen is None and day is None:
        return (
            f"{who} is unknown as of {words.part_of_day(at, zone)}{clock}: there is no 24-hour reading of the past week"
        )
    if seen is None:
        assert day is not None
        few = f"{opinions(day)} in {words.count(day.organic, 'organic message')} of the 24 hours before"
        clock = f" ({words.utc(day.at)})" if dated or at - day.at > DAY else ""
        return f"{who} can't be told as of {words.part_of_day(day.at, zone)}{clock}: too few opinions, {few}"
    score = "" if seen.sentiment_score is None else f"score {seen.sentiment_score:.0f} of 100 from "
    old = at - seen.at > DAY
    shown = f"{'last ' if old else ''}'{seen.sentiment_label}' as of {words.part_of_day(seen.at, zone)}"
    clock = f"{words.utc(seen.at)}, " if dated or old else ""
    behind = f"{clock}{score}{opinions(seen)} in 24 hours{', more than a day old' if old else ''}"
    return f"{who} was {shown} ({behind}){_first_time(facts, seen, zone)}"


def _first_time(facts: BriefFacts, seen: Reading, zone: str) -> str:
    """ ", for the first time since 12 August 2014": only while the label is new and had long been gone."""
    span = facts.span
    if span is None or span.previous_label is None or seen.at - span.entered_at > WEEK:
        return ""
    if span.last_held_until is None:
        begun = f", which begin on {words.local_day(facts.data_from, zone)}" if facts.data_from else ""
        return f", for the first time in our data{begun}"
    long_gone = span.entered_at - span.last_held_until >= WEEK
    return f", for the first time since {words.local_day(span.last_held_until, zone)}" if long_gone else ""


def visited_clause(facts: BriefFacts) -> str:
    """Which labels the month has seen, with the number of readings behind each."""
    shown = facts.labels
    if facts.labelled is None or not shown or (len(shown) == 1 and shown[0].readings == 1):
        return ""
    if len(shown) == 1:
        return f"has been '{shown[0].label}' in every reading this month ({shown[0].readings:,} readings)"
    labels = words.listed([f"'{visit.label}'" for visit in shown])
    moved = "has toggled only between" if len(shown) == 2 else "has moved between"
    return f"{moved} {labels} this month ({words.listed([f'{visit.readings:,}' for visit in shown])} readings)"


def change_clause(week: Reading, at: datetime) -> str | None:
    """The weekly change of message volume with both counts; None where the week before is too small to compare."""
    if week.volume_change is None:
        return None
    counts = f"{words.count(week.messages, 'message')} against {week.previous_messages:,}"
    return f"message volume {words.change_words(week.volume_change)} {_within(week, at)} ({counts})"


def few_clause(facts: BriefFacts, at: datetime) -> str | None:
    """Both counts of a week that can't be compared; None where there is no week, or it can be."""
    week = facts.week
    if week is None or week.volume_change is not None:
        return None
    counts = f"{words.count(week.messages, 'message')} {_within(week, at)} against {week.previous_messages:,}"
    return f"for message volume there is no comparison: fewer than 10 messages the week before ({counts})"


def lead(facts: BriefFacts, at: datetime, zone: str) -> list[str]:
    """Label and weekly change of message volume in one sentence, or in two where volume can't be compared."""
    visited, label = visited_clause(facts), label_clause(facts, at, zone)
    if visited:
        label = f"{label}, and {visited}"
    change, few = change_clause(facts.week, at) if facts.week else None, few_clause(facts, at)
    if change is not None:
        return [f"{label}, while {change}."]
    return [f"{label}."] if few is None else [f"{label}.", f"{words.sentence(few)}."]


def volume(facts: BriefFacts, at: datetime) -> list[str]:
    """The volume label with organic against expected, and how much of it was copied."""
    day = facts.day
    if day is None:
        return []
    everything = f"of {day.messages:,} in all, by {words.count(day.authors, 'author')}"
    counts = f"{words.count(day.organic, 'organic message')} ({everything}) {_within(day, at)}"
    copied = _copied(day)
    if day.expected is None or day.volume_label is None:
        unknown = "with nothing before to compare, how unusual that is can't be told"
        return [f"Message volume was {counts}; {unknown}.", *copied]
    pooled = ", going by the pace of other symbols" if day.volume_baseline == "pooled" else ""
    expected = f"where {words.about(day.expected)} were to be expected{pooled}"
    return [f"Message volume was '{day.volume_label}': {counts}, {expected}.", *copied]


def _copied(day: Reading) -> list[str]:
    copies = copied_of(day)
    return (
        [f"Of its {words.count(day.messages, 'message')} {copies:,} repeat what had been said before."]
        if copies
        else []
    )


def copied_of(day: Reading) -> int:
    """How many of its messages are copies; 0 where they are less than half."""
    copies = day.messages - day.organic
    return copies if 0 < day.messages <= 2 * copies else 0


def volume_clause(facts: BriefFacts, at: datetime) -> str | None:
    """The day's volume in a few words: against what was to be expected, and how much of it is copies."""
    day = facts.day
    if day is None:
        return None
    copies = copied_of(day)
    told = []
    if day.expected is not None and day.volume_label is not None:
        counts = f"{words.count(day.organic, 'organic message')}, {words.about(day.expected)} expected"
        told.append(f"volume {_within(day, at)} was '{day.volume_label}' ({counts})")
    if copies:
        told.append(f"{copies:,} of {words.count(day.messages, 'message')} {_within(day, at)} were copies")
    return "; ".join(told) or None


def silence(facts: BriefFacts) -> list[str]:
    """Readings were taken later and this symbol had none: nobody had named it."""
    if facts.measured_at is None or (facts.day is not None and facts.day.at >= facts.measured_at):
        return []
    return [f"No stored message names it in the 24 hours to {words.utc(facts.measured_at)}."]


def ratio(facts: BriefFacts, at: datetime) -> list[str]:
    """The bullish ratio with its interval: of the day, of the week where the day had no opinion."""
    seen = _with_ratio(facts)
    if seen is None or seen.bullish_ratio is None or seen.bullish_ratio_low is None or seen.bullish_ratio_high is None:
        return ["There is no bullish ratio: nobody gave an opinion."]
    interval = f"95 % interval {words.share(seen.bullish_ratio_low)} to {words.share(seen.bullish_ratio_high)}"
    organic = words.count(seen.organic, "organic message")
    sample = f"{seen.bullish:,} bullish and {seen.bearish:,} bearish among {organic} {_within(seen, at)}"
    return [f"The bullish ratio was {words.share(seen.bullish_ratio)} ({interval}; {sample})."]


def _with_ratio(facts: BriefFacts) -> Reading | None:
    return facts.day if facts.day is not None and facts.day.bullish_ratio is not None else facts.week


def ratio_clause(facts: BriefFacts, at: datetime) -> str | None:
    """The bullish ratio in a few words, with its sample."""
    seen = _with_ratio(facts)
    if seen is None or seen.bullish_ratio is None:
        return None
    return f"{words.share(seen.bullish_ratio)} of {opinions(seen)} {_within(seen, at)} were bullish"


def nothing(facts: BriefFacts, zone: str) -> str:
    """The sentence for a symbol without any reading of the past week, but for its full stop."""
    symbol = words.clean(facts.symbol)
    when = f" as of {words.part_of_day(facts.at, zone)} ({words.utc(facts.at)})" if facts.at else ""
    if facts.last_reading_at is not None:
        newest = words.utc(facts.last_reading_at)
        return f"There is no reading of {symbol} from the past week{when}; the newest one is of {newest}"
    if facts.mentioned:
        return f"Messages that name {symbol} are stored, but no reading of it has been taken{when}"
    return f"Nothing is known about {symbol}{when}: no stored message names it"
