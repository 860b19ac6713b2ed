"""The newsroom paragraph about one symbol: how people feel, how much they talk, and how sure that is.

``read_facts`` asks the database once; ``write`` only words what it found. A part that is unknown is left out, and where
there is too little data the text says so. No data at all is an answer too, not an error.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from tracker import metrics
from tracker.metrics import Coverage, LabelSpan, LabelVisit, Reading, Spike
from tracker.store import Connection

Style = Literal["text", "md", "html", "json"]

_DAY, _WEEK = timedelta(days=1), timedelta(days=7)
# a reading younger than this speaks of "the past" hour, day, week
_RECENT = {"1h": timedelta(minutes=10), "24h": timedelta(hours=2), "7d": _DAY}
_SPANS = {"1h": "hour", "24h": "24 hours", "7d": "week"}
_WELL_HEARD = 0.9  # a week of which less was heard is no ground for a comparison
_SPIKES_NAMED = 3  # how many spikes a sentence names before it only counts the rest
_ZONE = "America/New_York"


@dataclass(frozen=True, slots=True)
class BriefFacts:
    """All that a brief may say about one symbol at one moment; None where it is unknown."""

    symbol: str
    at: datetime | None  # the moment asked for; None: no reading of anything exists yet
    zone: str  # the market's zone, for weekdays and months
    mentioned: bool  # some stored message before the moment names the symbol
    measured_at: datetime | None = None  # when readings of any symbol were last taken, at or before the moment
    last_reading_at: datetime | None = None  # its newest reading of any window at or before the moment, however old
    labelled: Reading | None = None  # newest 24-hour reading with a label, at most seven days old
    day: Reading | None = None  # newest 24-hour reading, at most seven days old
    week: Reading | None = None  # newest 7-day reading, at most seven days old
    span: LabelSpan | None = None  # the stay in the label of ``labelled``
    data_from: datetime | None = None  # first 24-hour reading with a label
    month_from: datetime | None = None  # start of the month in the market's zone
    labels: tuple[LabelVisit, ...] = ()  # labels shown since then, most frequent first
    spikes: tuple[Spike, ...] = ()  # daily and hourly ones of the seven days before, longest bucket and strongest first
    coverage: Coverage | None = None


def read_facts(connection: Connection, symbol: str, at: datetime | None = None) -> BriefFacts:
    """What is known about ``symbol`` at ``at`` (aware; None: when the newest readings were taken)."""
    name = metrics.canonical(symbol)
    moment = at or metrics.newest_moment(connection)
    zone = metrics.market_zone(connection) or _ZONE
    if moment is None:
        known = metrics.mentioned(connection, name)
        return BriefFacts(symbol=name, at=None, zone=zone, mentioned=known)
    labelled = metrics.reading(connection, name, moment, "24h", labelled=True)
    spans = metrics.label_spans(connection, name, labelled.at, labelled.at) if labelled else []
    first_at, last_at = metrics.reading_bounds(connection, name, moment)
    month = metrics.month_start(connection, moment)
    found = metrics.spikes(connection, moment - _WEEK, moment, name, limit=10_000)
    return BriefFacts(
        symbol=name,
        at=moment,
        zone=zone,
        measured_at=metrics.newest_moment(connection, moment),
        mentioned=metrics.mentioned(connection, name, moment),
        last_reading_at=last_at,
        labelled=labelled,
        day=metrics.reading(connection, name, moment, "24h"),
        week=metrics.reading(connection, name, moment, "7d"),
        span=spans[-1] if spans else None,
        data_from=first_at,
        month_from=month,
        labels=tuple(metrics.labels_between(connection, name, month, moment)) if month else (),
        spikes=_strongest(found),
        coverage=metrics.coverage(connection, name, moment),
    )


def _strongest(found: Sequence[Spike]) -> tuple[Spike, ...]:
    """Daily and hourly spikes, days first, then by how far above their expectation."""
    long = [spike for spike in found if spike.bucket_width >= timedelta(hours=1)]
    return tuple(sorted(long, key=lambda spike: (spike.bucket_width, spike.z), reverse=True))


# ------------------------------------------------------------------------------------------------ words


def part_of_day(moment: datetime, zone: str) -> str:
    """When it was, as a newsroom says it: "early Tuesday"."""
    local = moment.astimezone(ZoneInfo(zone))
    day = f"{local:%A}"
    forms = (
        (9, "early {}"),
        (12, "{} morning"),
        (14, "midday {}"),
        (17, "{} afternoon"),
        (20, "{} evening"),
        (24, "late {}"),
    )
    return next(form for until, form in forms if local.hour < until).format(day)


def change_words(change: float) -> str:
    """A relative change as a newsroom says it: "has soared by 460 %"."""
    size = _percent(abs(change))
    for least, verb in ((1.0, "soared by"), (0.3, "risen by"), (0.05, "edged up by")):
        if change >= least:
            return f"has {verb} {size}"
    for most, verb in ((-0.5, "plunged by"), (-0.3, "fallen by"), (-0.05, "slipped by")):
        if change <= most:
            return f"has {verb} {size}"
    return f"has hardly changed ({_signed(change)})"


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _date(moment: datetime, zone: str) -> str:
    local = moment.astimezone(ZoneInfo(zone))
    return f"{local.day} {local:%B %Y}"


def _percent(ratio: float) -> str:
    return f"{ratio:,.0%}".replace("%", " %")


def _signed(ratio: float) -> str:
    return f"{'-' if ratio < 0 else '+'}{_percent(abs(ratio))}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _about(number: float) -> str:
    """A number that is no count: one decimal while it is small."""
    return f"{number:,.1f}" if number < 10 else f"{number:,.0f}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _opinions(reading: Reading) -> str:
    return _count(reading.bullish + reading.bearish, "opinion")


def _span(reading: Reading, at: datetime) -> str:
    """The window in words: "in the past week", or with its exact end where that was not just now."""
    name = _SPANS[reading.window_name]
    return (
        f"in the past {name}"
        if at - reading.at < _RECENT[reading.window_name]
        else f"in the {name} to {_utc(reading.at)}"
    )


# ------------------------------------------------------------------------------------------------ sentences


def _mood(facts: BriefFacts, at: datetime, zone: str) -> str:
    """The label, of when, and for the first time since when."""
    who, seen, day = f"Retail sentiment on {facts.symbol}", facts.labelled, facts.day
    if seen is None and day is None:
        return (
            f"{who} is unknown as of {part_of_day(at, zone)} ({_utc(at)}): there is no 24-hour reading of the past week"
        )
    if seen is None and day is not None:
        few = f"{_opinions(day)} in {_count(day.organic, 'organic message')} of the 24 hours before"
        return f"{who} can't be told as of {part_of_day(day.at, zone)} ({_utc(day.at)}): too few opinions, {few}"
    assert seen is not None
    score = "" if seen.sentiment_score is None else f"score {seen.sentiment_score:.0f} of 100 from "
    old = at - seen.at > _DAY
    shown = f"{'last ' if old else ''}'{seen.sentiment_label}' as of {part_of_day(seen.at, zone)}"
    behind = f"{_utc(seen.at)}, {score}{_opinions(seen)} in 24 hours{', more than a day old' if old else ''}"
    return f"{who} was {shown} ({behind}){_first_time(facts, seen, zone)}"


def _first_time(facts: BriefFacts, seen: Reading, zone: str) -> str:
    """ ", for the first time since 12 August 2014": only while the label is new and had long been gone."""
    span = facts.span
    if span is None or span.previous_label is None or seen.at - span.entered_at > _WEEK:
        return ""
    if span.last_held_until is None:
        begun = f", which begin on {_date(facts.data_from, zone)}" if facts.data_from else ""
        return f", for the first time in our data{begun}"
    long_gone = span.entered_at - span.last_held_until >= _WEEK
    return f", for the first time since {_date(span.last_held_until, zone)}" if long_gone else ""


def _visited(facts: BriefFacts) -> str:
    """Which labels the month has seen, with the number of readings behind each."""
    shown = facts.labels
    if not shown or (len(shown) == 1 and shown[0].readings == 1):
        return ""
    if len(shown) == 1:
        return f"has been '{shown[0].label}' in every reading this month ({shown[0].readings:,} readings)"
    labels = _listed([f"'{visit.label}'" for visit in shown])
    moved = "has toggled only between" if len(shown) == 2 else "has moved between"
    return f"{moved} {labels} this month ({_listed([f'{visit.readings:,}' for visit in shown])} readings)"


def _lead(facts: BriefFacts, at: datetime, zone: str) -> list[str]:
    """Mood and weekly change of message volume in one sentence, or in two where volume can't be compared."""
    week, visited = facts.week, _visited(facts)
    lead = _mood(facts, at, zone)
    if visited and facts.labelled is not None:
        lead = f"{lead}, and {visited}"
    if week is None:
        return [f"{lead}."]
    counts = _count(week.messages, "message")
    if week.volume_change is None:
        before = f"({counts} {_span(week, at)} against {week.previous_messages:,})"
        return [
            f"{lead}.",
            f"For message volume there is no comparison: fewer than 10 messages the week before {before}.",
        ]
    change = f"message volume {change_words(week.volume_change)} {_span(week, at)}"
    return [f"{lead}, while {change} ({counts} against {week.previous_messages:,})."]


def _volume(facts: BriefFacts, at: datetime) -> list[str]:
    """The volume label with organic against expected."""
    day = facts.day
    if day is None:
        return []
    all_of_it = f"of {day.messages:,} in all, by {_count(day.authors, 'author')}"
    counts = f"{_count(day.organic, 'organic message')} ({all_of_it}) {_span(day, at)}"
    if day.expected is None or day.volume_label is None:
        return [f"Message volume was {counts}; with nothing before to compare, how unusual that is can't be told."]
    pooled = ", going by the pace of other symbols" if day.volume_baseline == "pooled" else ""
    return [
        f"Message volume was '{day.volume_label}': {counts}, where {_about(day.expected)} were to be expected{pooled}."
    ]


def _silence(facts: BriefFacts) -> list[str]:
    """Readings were taken later and this symbol had none: nobody had named it."""
    if facts.measured_at is None or (facts.day is not None and facts.day.at >= facts.measured_at):
        return []
    return [f"No stored message names it in the 24 hours to {_utc(facts.measured_at)}."]


def _ratio(facts: BriefFacts, at: datetime) -> list[str]:
    """The bullish ratio with its interval: of the day, of the week where the day had no opinion."""
    seen = facts.day if facts.day is not None and facts.day.bullish_ratio is not None else facts.week
    if seen is None or seen.bullish_ratio is None or seen.bullish_ratio_low is None or seen.bullish_ratio_high is None:
        return ["There is no bullish ratio: nobody gave an opinion."]
    interval = f"95 % interval {_percent(seen.bullish_ratio_low)} to {_percent(seen.bullish_ratio_high)}"
    sample = f"{seen.bullish:,} bullish and {seen.bearish:,} bearish among {_count(seen.organic, 'organic message')}"
    return [f"The bullish ratio was {_percent(seen.bullish_ratio)} ({interval}; {sample} {_span(seen, at)})."]


def _spike(spike: Spike) -> str:
    start = spike.bucket_start
    day = f"{start:%A} {start:%Y-%m-%d}"
    when = f"on {day} (UTC day" if spike.bucket_width >= _DAY else f"in the hour from {day} {start:%H:%M} UTC (one hour"
    size = f"{_count(spike.messages, 'message')} by {_count(spike.authors, 'author')}"
    return f"{size} {when}, {spike.severity}, {spike.kind}, {_about(spike.expected)} expected)"


def _spikes(facts: BriefFacts) -> list[str]:
    if not facts.spikes:
        return ["There was no daily or hourly spike in the past seven days."]
    named = "; ".join(_spike(spike) for spike in facts.spikes[:_SPIKES_NAMED])
    more = len(facts.spikes[_SPIKES_NAMED:])
    return [f"Spikes in the past seven days: {named}{f'; and {more:,} more' if more else ''}."]


def _listening(facts: BriefFacts) -> list[str]:
    """How far the numbers can be trusted."""
    known, day = facts.coverage, facts.day
    if known is None:
        return []
    sources = _count(known.sources, "source")
    if day is not None:
        asked = _count(max(known.sources, day.sources_up), "source")
        sources = f"{day.sources_up:,} of {asked} up for at least half of the 24 hours"
    unheard = "how much of the past week was heard is unknown"
    heard = unheard if known.heard_week is None else f"{_percent(known.heard_week)} of the past week heard"
    gaps = (
        f"{_count(known.gaps, 'known gap')} in it ({_about(known.gap_hours)} hours)"
        if known.gaps
        else "no known gap in it"
    )
    told = [f"Coverage: {sources}, {heard}, {gaps}."]
    before, compared = known.heard_week_before, facts.week is not None and facts.week.volume_change is not None
    if compared and before is not None and before < _WELL_HEARD:
        told.append(
            f"Of the week before only {_percent(before)} was heard, so that the weekly comparison is uncertain."
        )
    return told


def _nothing(facts: BriefFacts, zone: str) -> str:
    """The sentence for a symbol without any reading of the past week."""
    when = f" as of {part_of_day(facts.at, zone)} ({_utc(facts.at)})" if facts.at else ""
    if facts.last_reading_at is not None:
        newest = _utc(facts.last_reading_at)
        return f"There is no reading of {facts.symbol} from the past week{when}; the newest one is of {newest}."
    if facts.mentioned:
        return f"Messages that name {facts.symbol} are stored, but no reading of it has been taken{when}."
    return f"Nothing is known about {facts.symbol}{when}: no stored message names it."


def paragraphs(facts: BriefFacts, zone: str | None = None) -> list[str]:
    """The brief as plain paragraphs: mood and volume, spikes, coverage. ``zone`` None: the market's own."""
    where, at = zone or facts.zone, facts.at
    if at is None or (facts.labelled is None and facts.day is None and facts.week is None):
        return [_nothing(facts, where)]
    first = [*_lead(facts, at, where), *_volume(facts, at), *_silence(facts), *_ratio(facts, at)]
    return [" ".join(part) for part in (first, _spikes(facts), _listening(facts)) if part]


# ------------------------------------------------------------------------------------------------ styles

_HEAD = (
    "window",
    "at",
    "label",
    "opinions",
    "bullish ratio",
    "messages",
    "before",
    "change",
    "organic",
    "authors",
    "volume",
)


def _table_row(seen: Reading) -> tuple[str, ...]:
    """What the meter showed for one window, as text in the order of ``_HEAD``."""
    ratio = "–" if seen.bullish_ratio is None else _percent(seen.bullish_ratio)
    change = "–" if seen.volume_change is None else _signed(seen.volume_change)
    opinions = seen.bullish + seen.bearish
    counts = (f"{seen.messages:,}", f"{seen.previous_messages:,}", change, f"{seen.organic:,}", f"{seen.authors:,}")
    label, volume = seen.sentiment_label or "–", seen.volume_label or "–"
    return (seen.window_name, _utc(seen.at), label, f"{opinions:,}", ratio, *counts, volume)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(type(value).__name__)


def _escaped(text: str) -> str:
    """Plain text that Markdown leaves alone."""
    return re.sub(r"([\\`*_\[\]<>|#$&])", r"\\\1", text)


def _markdown(facts: BriefFacts, told: Sequence[str]) -> str:
    parts = [f"## {_escaped(facts.symbol)}", *(_escaped(part) for part in told)]
    rows = [_table_row(seen) for seen in (facts.day, facts.week) if seen is not None]
    if rows:
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in (_HEAD, ("---",) * len(_HEAD), *rows)))
    return "\n\n".join(parts)


def _html(facts: BriefFacts, told: Sequence[str]) -> str:
    lines = [f"<h2>{html.escape(facts.symbol)}</h2>", *(f"<p>{html.escape(part, quote=False)}</p>" for part in told)]
    return "\n".join(['<article class="brief">', *lines, "</article>"])


def write(facts: BriefFacts, style: Style = "text", zone: str | None = None) -> str:
    """The brief in one of four styles, ending in a line break. ``zone`` None: the market's own.

    ``json`` holds every fact with nulls (times ISO 8601 UTC, spans in seconds) and the paragraphs under ``text``.
    """
    told = paragraphs(facts, zone)
    match style:
        case "json":
            facts_and_text = {**asdict(facts), "text": told}
            written = json.dumps(facts_and_text, default=_plain, ensure_ascii=False, indent=2)
        case "html":
            written = _html(facts, told)
        case "md":
            written = _markdown(facts, told)
        case "text":
            written = "\n\n".join(told)
    return written + "\n"
