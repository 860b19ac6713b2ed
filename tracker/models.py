"""The values that flow from a source to the store, one frozen type per stage.

    Stream ─► Page(Message | Deletion | Flaw) ─► Batch(MessageRow, MentionRow, ToneRow, BallotRow, PollReport, …) ─► store
              Page(Headline | Rank | PriceBar | OptionTotals) ─► Batch(HeadlineRow, RankRow, BarRow, OptionRow) ─► store

What is no talk (news, ranks, prices, option volumes) goes the same way and never becomes a message or a mention. A value changes by becoming the next type. Times are aware UTC datetimes up to the border of the store.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Label = Literal["bullish", "bearish"]
Stance = Literal[-1, 0, 1]
Match = Literal["platform", "cashtag", "qualified", "symbol", "name"]
Session = Literal["pre", "regular", "post"]
Brings = Literal["talk", "news", "ranks", "prices"]  # what a source is for; only talk is listened to
PollStatus = Literal["ok", "unchanged", "rate_limited", "denied", "unavailable", "malformed", "error"]

# A resume point. JSON, owned by its source: nobody else reads it.
Cursor = dict[str, Any]


# ------------------------------------------------------------------------------------------ what a source gives


@dataclass(frozen=True, slots=True)
class BallotOption:
    """One answer of a poll that people can choose."""

    text: str
    votes: int | None = None  # so far; None while the source hides them, never 0
    share: float | None = None  # of all votes, 0..1, where the source tells only that


@dataclass(frozen=True, slots=True)
class Ballot:
    """A poll that a message carries, as it stood when it was seen. (``poll`` is the word for our own attempts.)"""

    options: tuple[BallotOption, ...]  # in their order, at least one
    question: str | None = None  # None where the source gives none
    voters: int | None = None  # people who voted so far
    closes_at: datetime | None = None  # aware UTC, when voting ends


@dataclass(frozen=True, slots=True)
class Message:
    """One public post, comment or reply, as its source tells it."""

    source: str  # service: stocktwits
    id: str  # native id, always text
    created_at: datetime | None  # aware UTC, as the service says; None when the claim can't be read as a time
    text: str  # plain: HTML removed, unescaped once, title first where there is one
    author: str | None = None  # native id (else name) of who wrote it; only a keyed hash is ever stored
    lang: str | None = None  # BCP-47, where the source says
    url: str | None = None  # permalink, http(s)
    label: Label | None = None  # stance that the author declared
    reply_to: str | None = None  # native id of the parent
    reshare_of: str | None = None  # native id of the original
    likes: int | None = None  # None where the source does not say, never 0
    reshares: int | None = None
    replies: int | None = None
    symbols: tuple[str, ...] = ()  # what the platform itself says the message is about, canonical upper case
    revision: str | None = None  # sorts by age of the content; a higher one replaces the text. None: never edited
    edited: bool = False  # created_at is the time of an edit: where the message is stored already, its own time stays
    ballot: Ballot | None = None  # the poll that it carries


@dataclass(frozen=True, slots=True)
class Deletion:
    """The source says that a message (``id``) or everything by an author (``author``) is gone."""

    source: str
    id: str | None = None
    author: str | None = None  # native id, as in Message.author
    revision: str | None = None  # a message of a higher revision was created again later and stays
    deleted_at: datetime | None = None  # aware UTC, when the service says so


@dataclass(frozen=True, slots=True)
class Flaw:
    """One item of a page that could not be read: skipped and counted, the rest of the page is kept."""

    reason: str  # what was wrong, with the id where one was found
    place: str = ""  # where in the page: messages[3].created_at


def newer(revision: str | None, than: str | None) -> bool:
    """True when ``revision`` is of a later content: an unknown revision is never newer than anything."""
    return revision is not None and (than is None or revision > than)


@dataclass(frozen=True, slots=True)
class Headline:
    """One piece of news out of a feed. News is not retail talk: it is kept apart and counted nowhere."""

    source: str
    id: str  # the feed's own where it is unique beyond the feed, else a hash
    created_at: datetime | None  # aware UTC, as the feed says; None where it says nothing that can be read
    title: str  # plain text, one line
    text: str | None = None  # summary, plain text
    url: str | None = None  # http(s)
    publisher: str | None = None
    lang: str | None = None  # BCP-47
    symbols: tuple[str, ...] = ()  # what the feed itself says that it is about, as it writes them


@dataclass(frozen=True, slots=True)
class Rank:
    """What another service says about the talk of one symbol at one moment: to be looked at beside ours."""

    source: str
    symbol: str  # as the service writes it; empty: that of the stream, whose name ends in it (symbol/BABA)
    at: datetime | None = None  # aware UTC; None: when it was fetched
    window_name: str | None = None  # span that it looks back on: 24h; None where the service does not say
    rank: int | None = None  # 1 for the most talked about
    mentions: int | None = None
    rank_before: int | None = None  # an equal span earlier
    mentions_before: int | None = None
    upvotes: int | None = None
    sentiment: float | None = None  # -1..1
    sentiment_score: float | None = None  # 0..100
    sentiment_label: str | None = None  # in the words of the service, lower case
    volume_score: float | None = None  # 0..100
    volume_label: str | None = None


@dataclass(frozen=True, slots=True)
class PriceBar:
    """One price bar, as its source tells it."""

    source: str
    symbol: str  # as the source writes it
    width_s: int  # length of the bar, seconds
    start_at: datetime  # aware UTC; of a daily bar midnight of its trading date
    close: float
    open: float | None = None
    high: float | None = None
    low: float | None = None
    adj_close: float | None = None
    volume: float | None = None
    session: Session | None = None  # None where the source does not say, or the market never closes


@dataclass(frozen=True, slots=True)
class OptionTotals:
    """The options of one symbol, added up over all strikes and dates."""

    source: str
    symbol: str  # as in Rank
    at: datetime | None  # aware UTC, as the source says; None: when it was fetched
    put_volume: int | None = None  # contracts traded on the day so far
    call_volume: int | None = None
    put_oi: int | None = None  # contracts open
    call_oi: int | None = None


Item = Message | Deletion | Flaw | Headline | Rank | PriceBar | OptionTotals


@dataclass(frozen=True, slots=True)
class Gap:
    """A span in which a stream is known to have lost messages."""

    from_at: datetime
    to_at: datetime
    reason: str  # why it can't be fetched any more


@dataclass(frozen=True, slots=True)
class Page:
    """What one poll brought: items and the cursor that covers them. They are committed together or not at all."""

    items: tuple[Item, ...]
    cursor: Cursor | None  # None: leave the stored one as it is
    unchanged: bool = False  # the server said 304: a success with nothing new
    covers_from: datetime | None = None  # everything the stream carried since then is in the store after this page
    gap: Gap | None = None  # what is known to be lost between the old cursor and this page
    more: bool = False  # the walk back to known ground is not over: ask again soon
    note: str | None = None  # one line for a person, stored at the stream
    wait_s: float | None = None  # the stream itself asks not to be read again for so long (ttl of a feed), seconds
    cut_short: Exception | None = None  # the SourceError that ended a walk after its first page: what came is kept


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a stream's past: what one step of a backfill brought."""

    items: tuple[Item, ...]
    place: Cursor | None  # where the next step goes on; None: the span is read, or no more of it can be had
    covers: tuple[datetime, datetime] | None = None  # everything that the stream carried between them has come now
    gap: Gap | None = None  # the part of the span that can't be had


# ------------------------------------------------------------------------------------------ what is stored


@dataclass(frozen=True, slots=True)
class Stream:
    """One pollable sequence within a source, as stored: who it is, where it stands, when it may be asked next."""

    source: str
    name: str  # symbol/BABA, r/stocks, posts
    cursor: Cursor | None = None
    enabled: bool = True
    failures: int = 0  # failed polls in a row
    next_poll_at: datetime | None = None  # None: at once
    last_success_at: datetime | None = None
    last_message_at: datetime | None = None
    note: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        return (self.source, self.name)


@dataclass(frozen=True, slots=True)
class Mention:
    """One message naming one symbol, as the finder saw it."""

    symbol: str  # canonical upper case
    match: Match  # how it was recognised
    surface: str | None  # the characters in the text; None where only the platform said so
    start: int | None  # offset of the surface in the text, in characters
    confidence: float  # 0..1
    reason: str = ""  # why, for a person


@dataclass(frozen=True, slots=True)
class Tone:
    """One score of one text by one scorer."""

    tone: float  # -1..1
    p_bullish: float  # 0..1
    stance: Stance  # from p_bullish and the neutral band; the author's label overrides it in the mention
    scorer: str  # name and version of what made it
    reasons: tuple[tuple[str, float], ...] = ()  # (word, phrase, emoji or rule; its weight), strongest first


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message as it lies in the table ``messages``; see ``queries/README.md`` for the columns."""

    source: str
    id: str
    stream: str
    created_at: datetime
    fetched_at: datetime
    time_flag: bool  # created_at is not the author's: the claim was impossible and clamped, or only an edit was seen
    author: str | None  # keyed hash
    text: str | None
    lang: str | None
    url: str | None
    label: Label | None
    reply_to: str | None
    reshare_of: str | None
    likes: int | None
    reshares: int | None
    replies: int | None
    text_key: int | None
    revision: str | None


@dataclass(frozen=True, slots=True)
class MentionRow:
    source: str
    message_id: str
    symbol: str
    match: Match
    surface: str | None
    confidence: float
    created_at: datetime
    fetched_at: datetime
    author: str | None
    text_key: int | None
    stance: Stance
    tone: float
    label: int | None  # -1, 1, None
    reshare: bool


@dataclass(frozen=True, slots=True)
class ToneRow:
    source: str
    message_id: str
    scorer: str
    tone: float
    p_bullish: float
    stance: Stance


@dataclass(frozen=True, slots=True)
class BallotRow:
    """One option of a poll in the state in which it was seen, for one symbol that the message names."""

    source: str
    message_id: str
    symbol: str
    question: str | None
    option: str
    position: int  # from 1
    votes: int | None
    share: float | None  # of all votes, 0..1; None while any of them is unknown, and without any vote
    voters: int | None
    closes_at: datetime | None
    created_at: datetime  # of the message
    seen_at: datetime  # the point-in-time axis


@dataclass(frozen=True, slots=True)
class HeadlineRow:
    """A headline as it lies in the table ``headlines``."""

    source: str
    id: str
    stream: str
    created_at: datetime
    fetched_at: datetime
    publisher: str | None
    title: str
    text: str | None
    lang: str | None
    url: str | None
    symbols: tuple[str, ...]  # canonical, each once
    text_key: int | None


@dataclass(frozen=True, slots=True)
class RankRow:
    """A row of ``crosscheck``."""

    service: str
    stream: str
    symbol: str  # canonical
    at: datetime
    window_name: str | None
    rank: int | None
    mentions: int | None
    rank_before: int | None
    mentions_before: int | None
    upvotes: int | None
    sentiment: float | None
    sentiment_score: float | None
    sentiment_label: str | None
    volume_score: float | None
    volume_label: str | None
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class BarRow:
    """A bar of ``prices``, before it is known whether it was over."""

    source: str
    symbol: str  # canonical
    width_s: int
    bucket_start: datetime
    session: Session | None
    open: float | None
    high: float | None
    low: float | None
    close: float
    adj_close: float | None
    volume: float | None


@dataclass(frozen=True, slots=True)
class OptionRow:
    """A row of ``options``."""

    symbol: str  # canonical
    at: datetime
    put_volume: int | None
    call_volume: int | None
    put_oi: int | None
    call_oi: int | None
    source: str
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class DeletionRow:
    source: str
    id: str | None
    author: str | None  # keyed hash
    revision: str | None
    deleted_at: datetime


@dataclass(frozen=True, slots=True)
class GapRow:
    source: str
    stream: str
    from_at: datetime
    to_at: datetime
    reason: str
    found_at: datetime


@dataclass(frozen=True, slots=True)
class PollReport:
    """One attempt, good or bad: a row of ``polls``. ``added`` and ``updated`` are known only after the commit."""

    source: str
    stream: str
    started_at: datetime
    duration_ms: int
    status: PollStatus
    http_status: int | None = None
    fetched: int = 0  # items on the page
    skipped: int = 0  # items that could not be read
    requests: int = 0
    bytes: int = 0  # decoded body bytes
    error: str | None = None
    retry_after_s: float | None = None  # what the server asked for
    covers_from: datetime | None = None
    brings: Brings | Literal["recheck"] = (
        "talk"  # recheck: nothing new was looked for, only whether what is stored stands
    )

    @property
    def up(self) -> bool:
        return self.status in ("ok", "unchanged")


@dataclass(frozen=True, slots=True)
class Limit:
    """Nobody asks ``scope`` again before ``not_before``, whatever happens in between."""

    scope: str  # source:reddit or host:www.reddit.com
    not_before: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class RecheckRow:
    """One pass over what is stored of a source, asking whether it is still there: a row of ``rechecks``."""

    source: str  # service
    began_at: datetime  # messages that were first known before it are asked about
    place_at: datetime | None = None  # created_at of the last message behind it; None: at its beginning
    place_id: str | None = None  # and its id
    asked: int = 0  # messages that were answered for
    gone: int = 0  # of these, told to be gone
    requests: int = 0
    failures: int = 0  # failed attempts in a row
    last_at: datetime | None = None  # end of the last attempt
    next_at: datetime | None = None  # not asked before; None: at once
    ended_at: datetime | None = None  # None: there is more to ask about
    error: str | None = None  # what was wrong with the last attempt


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything that one poll adds, in one transaction: rows, tombstones, the cursor and the attempt itself."""

    report: PollReport
    stream: Stream | None  # the stream as it stands after this poll; None for archives without one
    messages: tuple[MessageRow, ...] = ()
    mentions: tuple[MentionRow, ...] = ()
    tones: tuple[ToneRow, ...] = ()
    deletions: tuple[DeletionRow, ...] = ()
    gaps: tuple[GapRow, ...] = ()
    limits: tuple[Limit, ...] = ()
    ballots: tuple[BallotRow, ...] = ()  # states of polls, also of messages that are stored already
    headlines: tuple[HeadlineRow, ...] = ()
    ranks: tuple[RankRow, ...] = ()
    bars: tuple[BarRow, ...] = ()
    options: tuple[OptionRow, ...] = ()
    recheck: RecheckRow | None = None  # where a pass over what is stored stands after this
    fetched_at: datetime = field(kw_only=True)  # the point-in-time axis; batches are committed in its order
