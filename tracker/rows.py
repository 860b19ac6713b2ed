"""One row of each metric, as a type: what ``tracker.metrics`` reads and screens, briefs and alerts word.

Columns are defined where they are made: ``queries/README.md``. Times are aware UTC; None is unknown, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Reading:
    """A row of ``readings``: what the meter showed. ``queries/README.md`` defines each column."""

    symbol: str
    at: datetime
    window_name: str
    messages: int
    organic: int
    authors: int
    texts: int
    bullish: int
    bearish: int
    neutral: int
    bullish_ratio: float | None
    bullish_ratio_low: float | None
    bullish_ratio_high: float | None
    bullishness: float | None
    agreement: float | None
    tone_mean: float | None
    tone_sd: float | None
    labelled_ratio: float | None
    sentiment_z: float | None
    sentiment_z_own: float | None
    sentiment_score: float | None
    sentiment_label: str | None
    expected: float | None
    volume_z: float | None
    volume_score: float | None
    volume_label: str | None
    previous_messages: int
    volume_change: float | None
    buzz: float | None
    buzz_rank: int | None
    buzz_rank_before: int | None
    share_of_voice: float | None
    dispersion: float | None
    copied_ratio: float | None
    sources_up: int
    baseline: str
    volume_baseline: str
    computed_at: datetime
    scorer: str | None  # in force when it was taken; None: taken before that was written down


@dataclass(frozen=True, slots=True)
class Leader(Reading):
    """A reading with its place on the leaderboard, 1 for the most talked about."""

    place: int


@dataclass(frozen=True, slots=True)
class LabelSpan:
    """A row of ``label_changes``: one stay in a label."""

    label: str
    previous_label: str | None
    entered_at: datetime
    left_at: datetime | None  # None: it still held at the end of the span asked for
    held: timedelta
    last_held_until: datetime | None  # None: the first time in our data


@dataclass(frozen=True, slots=True)
class LabelVisit:
    """A row of ``labels_between``: how often a label was shown."""

    label: str
    readings: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Spike:
    """A row of ``spikes``."""

    symbol: str
    bucket_width: timedelta
    bucket_start: datetime
    messages: int
    organic: int
    authors: int
    texts: int
    expected: float
    z: float
    p_value: float
    severity: str
    kind: str
    top_terms: list[str] | None
    top_message_id: str | None
    found_at: datetime


@dataclass(frozen=True, slots=True)
class Volume:
    """A row of ``message_volume``; counts are None where nobody listened."""

    bucket_start: datetime
    messages: int | None
    organic: int | None
    authors: int | None
    up: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """How well a symbol was listened to in the week before a moment, and in the week before that."""

    sources: int  # sources that were asked at all in the week
    heard_week: float | None  # share of the week that polls covered, 0..1; None: nothing is known of any stream
    heard_week_before: float | None
    gaps: int  # spans in the week in which a stream that may carry the symbol is known to have lost messages
    gap_hours: float  # their length in the week, added up over the streams


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """A row of ``source_health``: how one stream does."""

    source: str
    stream: str
    enabled: bool
    status: str | None
    error: str | None
    failures: int | None
    last_poll_at: datetime | None
    last_success_at: datetime | None
    last_message_at: datetime | None
    next_poll_at: datetime | None
    polls_1d: int | None
    up_1d: float | None
    fetched_1d: int | None
    added_1d: int | None
    skipped_1d: int | None
    requests_1d: int | None
    gaps: int
    last_gap_at: datetime | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Episode:
    """A row of ``spike_episodes``: consecutive spike buckets of one width and kind, at most one quiet bucket between two."""

    symbol: str
    bucket_width: timedelta
    kind: str  # organic, copied
    start_at: datetime  # start of its first spike bucket
    end_at: datetime  # end of its last spike bucket
    over_at: datetime  # from when on two quiet buckets have passed, so that it can't go on
    buckets: int  # spike buckets in it
    messages: int
    organic: int
    authors: int  # most in one of its buckets
    expected: float
    peak_z: float
    peak_start: datetime  # start of its strongest bucket
    severity: str  # of its strongest bucket
    first_severity: str
    rose_at: datetime | None  # end of the first bucket that was more severe than the first one; None: it never rose
    top_terms: list[str] | None  # of its strongest bucket
    found_at: datetime  # when the last of it became known


@dataclass(frozen=True, slots=True)
class Driver:
    """A row of ``drivers``: a word that sets a window apart from the 14 days before."""

    term: str
    z: float  # log-odds over their standard deviation
    log_odds: float
    messages: int  # organic messages of the window that use it
    share: float  # of all organic messages with text in the window, 0..1
    messages_before: int
    share_before: float | None  # None: nothing was said in the days before


@dataclass(frozen=True, slots=True)
class Shared:
    """A row of ``most_reshared``: a message of the window by how often it was passed on."""

    source: str
    message_id: str
    created_at: datetime
    reshares: int  # the larger of what the service counted and what we saw
    likes: int | None
    text: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Headline:
    """A row of ``headlines_between``: news that names the symbol, copies left out, newest first."""

    source: str
    created_at: datetime
    publisher: str | None
    title: str
    url: str | None


@dataclass(frozen=True, slots=True)
class BallotOption:
    """A row of ``ballot_results``: one answer of a poll that a message carried, as last seen."""

    source: str
    message_id: str
    created_at: datetime
    question: str | None
    position: int
    option: str
    votes: int | None
    share: float | None  # 0..1
    voters: int | None
    closes_at: datetime | None
    seen_at: datetime
    url: str | None


@dataclass(frozen=True, slots=True)
class PriceContext:
    """The row of ``price_context``: where the price stands at a moment. Changes are ratios: 0.1 is a rise of 10 %."""

    symbol: str
    at: datetime
    price: float  # last one known
    price_at: datetime  # when it was known: the end of its bar; of a daily one the close of the market
    session: str | None  # pre, regular, post; None: the market never closes
    source: str
    previous_close: (
        float | None
    )  # regular close of the session before the one the last price belongs to; after hours that of the same day
    previous_close_date: date | None
    change: float | None  # price against previous_close
    session_change: float | None  # the last whole regular session against the one before it
    session_date: date | None  # its trading date
    week_change: (
        float | None
    )  # against the last regular close before this week began, in the market's zone; None while no price of it is known
    month_change: float | None
    year_change: float | None
    high: float | None  # highest price in the data until then
    high_date: date | None
    below_high: float | None  # 1 - price / high, 0 at the high
    first_date: date | None  # from when on there are prices
    bars: int


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A row of ``group_readings``: one symbol of a group, side by side with the others, newest reading of a window."""

    symbol: str
    at: datetime | None  # None: no reading in the day before
    messages: int | None
    organic: int | None
    expected: float | None
    volume_change: float | None
    volume_label: str | None
    bullish_ratio: float | None
    opinions: int | None
    sentiment_score: float | None
    sentiment_label: str | None
    price: float | None
    price_at: datetime | None
    session_change: float | None  # as in price_context
    session_date: date | None
    year_change: float | None
