"""Events as a title and a sentence with its numbers. Only words: what is told was decided elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tracker.config_schema import Comparison
from tracker.rows import Episode, Reading, StreamHealth

_UNITS = {timedelta(minutes=5): "5 minutes", timedelta(hours=1): "hour", timedelta(days=1): "day"}


@dataclass(frozen=True, slots=True)
class Said:
    """What an event says."""

    title: str
    sentence: str


def utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def number(value: float) -> str:
    """A number that is no count: one decimal while it is small."""
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def count(many: int, noun: str) -> str:
    return f"{many:,} {noun}" if many == 1 else f"{many:,} {noun}s"


def _span(reading: Reading) -> str:
    return f"the {reading.window_name} to {utc(reading.at)}"


def _opinions(reading: Reading) -> str:
    return count(reading.bullish + reading.bearish, "opinion")


# ------------------------------------------------------------------------------------------------ readings


def label_changed(reading: Reading, before: str) -> Said:
    score = "" if reading.sentiment_score is None else f"score {reading.sentiment_score:.0f} of 100 from "
    return Said(
        f"{reading.symbol}: sentiment {reading.sentiment_label} (was {before})",
        f"Retail sentiment on {reading.symbol} went from '{before}' to '{reading.sentiment_label}': "
        f"{score}{_opinions(reading)} in {_span(reading)}.",
    )


def crossed(reading: Reading, wanted: Comparison, value: float) -> Said:
    shown = f"{value:,.0f}" if wanted.column == "messages" else f"{value:,.2f}"
    return Said(
        f"{reading.symbol}: {wanted.column} {shown} ({wanted})",
        f"{wanted.column} of {reading.symbol} is {shown}, which makes {wanted} true: {count(reading.messages, 'message')} "
        f"({reading.organic:,} organic) and {_opinions(reading)} in {_span(reading)}.",
    )


def quiet(reading: Reading) -> Said:
    expected = "unknown" if reading.expected is None else number(reading.expected)
    z = "" if reading.volume_z is None else f" (z {reading.volume_z:.1f})"
    return Said(
        f"{reading.symbol}: unusually quiet",
        f"{count(reading.organic, 'organic message')} named {reading.symbol} in {_span(reading)}, "
        f"where {expected} were to be expected{z}; {count(reading.sources_up, 'source')} could be heard.",
    )


# ------------------------------------------------------------------------------------------------ spikes


def _numbers(episode: Episode) -> str:
    unit = _UNITS.get(episode.bucket_width, str(episode.bucket_width))
    one = unit if unit.startswith("5") else f"one {unit}"
    strongest = "" if episode.buckets == 1 else f"; the strongest {unit} began {utc(episode.peak_start)}"
    terms = [term for term in episode.top_terms or () if term.isalnum()][
        :5
    ]  # a word of a stranger is a word, no address
    said = f" Words: {', '.join(terms)}." if terms else ""
    return (
        f"{count(episode.messages, 'message')}, {episode.organic:,} of them organic, where {number(episode.expected)} were to be "
        f"expected, by up to {count(episode.authors, 'author')} in {one} (z {episode.peak_z:.1f}{strongest}).{said}"
    )


def spike_started(episode: Episode) -> Said:
    return Said(
        f"{episode.symbol}: message volume spike ({episode.severity}, {episode.kind})",
        f"Message volume of {episode.symbol} has spiked since {utc(episode.start_at)}: {_numbers(episode)}",
    )


def spike_rose(episode: Episode) -> Said:
    return Said(
        f"{episode.symbol}: message volume spike is now {episode.severity} ({episode.kind})",
        f"The spike of {episode.symbol} that began {utc(episode.start_at)} has become {episode.severity}: {_numbers(episode)}",
    )


def spike_ended(episode: Episode) -> Said:
    return Said(
        f"{episode.symbol}: message volume spike is over ({episode.severity}, {episode.kind})",
        f"The spike of {episode.symbol} lasted from {utc(episode.start_at)} to {utc(episode.end_at)}: {_numbers(episode)}",
    )


def spike_gone(symbol: str, kind: str, start_at: datetime) -> Said:
    return Said(
        f"{symbol}: message volume spike is over ({kind})",
        f"The spike of {symbol} that began {utc(start_at)} is over.",
    )


# ------------------------------------------------------------------------------------------------ sources


def source_down(name: str, streams: Sequence[StreamHealth]) -> Said:
    asked = [stream for stream in streams if stream.enabled]
    newest = max((stream.last_success_at for stream in asked if stream.last_success_at is not None), default=None)
    since = "has not answered yet" if newest is None else f"has not answered since {utc(newest)}"
    states = ", ".join(sorted({stream.status for stream in asked if stream.status is not None})) or "unknown"
    return Said(f"{name}: source is down", f"{name} {since}; its {count(len(asked), 'stream')} say: {states}.")


def source_back(name: str, at: datetime) -> Said:
    return Said(f"{name}: source is back", f"{name} answers again, as of {utc(at)}.")
