"""One poll, from the network to one batch.

    Stream ─► fetch ─► Page ─► parse ─► Message ─► find ──► Mention ┐
                │                 │        └─────► score ─► Tone    ├─► Batch ─► keep (journal) ─► commit
             network              └───► Headline, Rank, PriceBar …  ┘  one transaction
                                         pure, no clock

A poll reads once (its ``Stream``) and ends in one ``Batch``; in between it touches no database, no configuration and no
wall clock but the one that it is handed. ``digest`` is pure; ``poll`` is the thin part that acts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, Protocol

from tracker.aside import bar_row, headline_row, option_row, rank_row
from tracker.errors import AccessDenied, RateLimited, SourceError
from tracker.http import Access, Gate, Http, Tally
from tracker.mentions import Finder
from tracker.models import (
    BallotRow,
    BarRow,
    Batch,
    Brings,
    Deletion,
    DeletionRow,
    Flaw,
    GapRow,
    Headline,
    HeadlineRow,
    Item,
    Limit,
    Mention,
    MentionRow,
    Message,
    MessageRow,
    OptionRow,
    OptionTotals,
    Page,
    PollReport,
    PollStatus,
    PriceBar,
    Rank,
    RankRow,
    Stance,
    Stream,
    ToneRow,
    newer,
)
from tracker.pacing import MAX_NAMED_WAIT_S, Pace, next_wait_s
from tracker.sources import Source
from tracker.text import text_key
from tracker.tone import Scorer
from tracker.tone.sentences import score_named
from tracker.wire import believable

_LABELS = {"bullish": 1, "bearish": -1}
_ERROR_CHARACTERS = 500
FIREHOSE_PAGE = 100  # items from which on a page is looked through at once, before each is read


class Clock(Protocol):
    """Time is an argument: the wall for what is stored, the monotonic one for how long things take."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...


def author_hash(key: bytes, source: str, author: str) -> str:
    """What is stored of a name: the same for the same person, and nothing to be told from it without the key."""
    seed = f"{source}\0{author}".encode("utf-8", errors="replace")
    return hashlib.blake2b(seed, key=key, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Analysis:
    """What turns a message into rows. The same for every source, live or from an archive."""

    finder: Finder
    scorer: Scorer
    author_key: bytes  # keyed hash of authors; lies in the data folder, never in the database
    only: frozenset[str] | None = None  # keep mentions of these symbols alone; None: of every symbol seen

    def hash_author(self, source: str, author: str | None) -> str | None:
        """BLAKE2b of source and author under the install's own key: the same author, never the name."""
        return None if author is None else author_hash(self.author_key, source, author)


@dataclass(frozen=True, slots=True)
class Digest:
    """The rows of a page, and how many of its items could not be read."""

    messages: tuple[MessageRow, ...]
    mentions: tuple[MentionRow, ...]
    tones: tuple[ToneRow, ...]
    deletions: tuple[DeletionRow, ...]
    skipped: int
    ballots: tuple[BallotRow, ...] = ()
    headlines: tuple[HeadlineRow, ...] = ()
    ranks: tuple[RankRow, ...] = ()
    bars: tuple[BarRow, ...] = ()
    options: tuple[OptionRow, ...] = ()


def digest(
    items: Iterable[Item],
    analysis: Analysis,
    *,
    stream: str,
    fetched_at: datetime | None,
    keep: Literal["all", "mentions"] | str = "all",
) -> Digest:
    """Find, score and clamp: pure. ``fetched_at`` None is the simulated clock: each message was known when it was made."""
    kept: dict[tuple[str, str], tuple[MessageRow, list[MentionRow], ToneRow]] = {}  # one a message: its newest content
    ballots: dict[tuple[str, str], list[BallotRow]] = {}
    deletions: list[DeletionRow] = []
    aside = _Aside()
    skipped = 0
    items = list(items)
    silent = _without_a_candidate(items, analysis) if keep == "mentions" else frozenset()
    for place, item in enumerate(items):
        if isinstance(item, Flaw):
            skipped += 1
        elif isinstance(item, Headline | Rank | PriceBar | OptionTotals):
            skipped += not aside.take(item, analysis, stream, fetched_at, keep)
        elif isinstance(item, Deletion):
            when = item.deleted_at or fetched_at
            if when is None:
                skipped += 1
                continue
            if fetched_at is not None:
                when = min(when, fetched_at)
            deletions.append(
                DeletionRow(item.source, item.id, analysis.hash_author(item.source, item.author), item.revision, when)
            )
        else:
            known_at = fetched_at or item.created_at
            if known_at is None:
                skipped += 1
                continue
            found = [] if place in silent else _counted(item, analysis)
            if not found and keep == "mentions":
                if item.edited:  # it may be stored with a text that named a symbol: those words are gone
                    deletions.append(DeletionRow(item.source, item.id, None, item.revision, known_at))
                continue
            row, mentions, tone = _rows(item, found, analysis, stream, known_at)
            before = kept.get((row.source, row.id))
            if before is not None:
                if not newer(row.revision, before[0].revision):
                    continue
                row = replace(row, created_at=before[0].created_at, time_flag=before[0].time_flag)
            kept[row.source, row.id] = (row, mentions, tone)
            ballots[row.source, row.id] = _ballot_rows(item, mentions, known_at, simulated=fetched_at is None)
    return Digest(
        messages=tuple(row for row, _, _ in kept.values()),
        mentions=tuple(mention for _, mentions, _ in kept.values() for mention in mentions),
        tones=tuple(tone for _, _, tone in kept.values()),
        deletions=tuple(deletions),
        skipped=skipped,
        ballots=tuple(ballot for rows in ballots.values() for ballot in rows),
        headlines=tuple(aside.headlines),
        ranks=tuple(aside.ranks),
        bars=tuple(aside.bars),
        options=tuple(aside.options),
    )


@dataclass(slots=True)
class _Aside:
    """What of a page is no talk."""

    headlines: list[HeadlineRow] = field(default_factory=list)
    ranks: list[RankRow] = field(default_factory=list)
    bars: list[BarRow] = field(default_factory=list)
    options: list[OptionRow] = field(default_factory=list)

    def take(
        self,
        item: Headline | Rank | PriceBar | OptionTotals,
        analysis: Analysis,
        stream: str,
        fetched_at: datetime | None,
        keep: str,
    ) -> bool:
        """Take it where it is wanted; False for one that has no place on the simulated clock."""
        finder, only = analysis.finder, analysis.only
        if isinstance(item, PriceBar):
            bar = bar_row(item, finder)
            self.bars += [bar] if only is None or bar.symbol in only else []
            return True
        known_at = fetched_at or (item.created_at if isinstance(item, Headline) else item.at)
        if known_at is None:
            return False
        if isinstance(item, Headline):
            headline = headline_row(item, finder, only, stream, known_at)
            self.headlines += [headline] if headline.symbols or keep != "mentions" else []
        elif isinstance(item, Rank):
            rank = rank_row(item, finder, stream, known_at)
            self.ranks += [rank] if only is None or rank.symbol in only else []
        else:
            option = option_row(item, finder, stream, known_at)
            self.options += [option] if only is None or option.symbol in only else []
        return True


def _without_a_candidate(items: Sequence[Item], analysis: Analysis) -> frozenset[int]:
    """Places of messages in which the finder has nothing to find: one look at a whole page of a firehose."""
    if len(items) < FIREHOSE_PAGE:
        return frozenset()
    asked = [(place, item.text) for place, item in enumerate(items) if isinstance(item, Message) and not item.symbols]
    kept = set(analysis.finder.prefilter.keep([text for _, text in asked]))
    return frozenset(place for number, (place, _) in enumerate(asked) if number not in kept)


def _counted(message: Message, analysis: Analysis) -> list[Mention]:
    found = analysis.finder.counted(
        analysis.finder.find(message.text, message.symbols, message.source, message.created_at)
    )
    if analysis.only is None:
        return found
    return [mention for mention in found if mention.symbol in analysis.only]


def _rows(
    message: Message, found: Sequence[Mention], analysis: Analysis, stream: str, known_at: datetime
) -> tuple[MessageRow, list[MentionRow], ToneRow]:
    created_at, flagged = believable(message.created_at, known_at)
    author = analysis.hash_author(message.source, message.author)
    key = text_key(message.text)
    tone, of_symbol = score_named(analysis.scorer, message.text, message.source, {m.symbol: m.surface for m in found})
    label = _LABELS.get(message.label) if message.label is not None else None
    declared: Stance | None = None if label is None else (1 if label > 0 else -1)
    row = MessageRow(
        source=message.source, id=message.id, stream=stream, created_at=created_at, fetched_at=known_at, time_flag=flagged or message.edited,
        author=author, text=message.text, lang=message.lang, url=message.url, label=message.label, reply_to=message.reply_to,
        reshare_of=message.reshare_of, likes=message.likes, reshares=message.reshares, replies=message.replies,
        text_key=key, revision=message.revision,
    )  # fmt: skip
    mentions = [
        MentionRow(
            source=message.source, message_id=message.id, symbol=mention.symbol, match=mention.match, surface=mention.surface,
            confidence=mention.confidence, created_at=created_at, fetched_at=known_at, author=author, text_key=key,
            stance=of_symbol[mention.symbol].stance if declared is None else declared, tone=of_symbol[mention.symbol].tone, label=label, reshare=message.reshare_of is not None,
        )
        for mention in found
    ]  # fmt: skip
    return row, mentions, ToneRow(message.source, message.id, tone.scorer, tone.tone, tone.p_bullish, tone.stance)


def _ballot_rows(
    message: Message, mentions: Sequence[MentionRow], known_at: datetime, *, simulated: bool
) -> list[BallotRow]:
    """The poll that a message carries, in the state that was seen, for each symbol that it names."""
    ballot = message.ballot
    if ballot is None:
        return []
    votes = [option.votes for option in ballot.options]
    known = [number for number in votes if number is not None]
    total = sum(known) if len(known) == len(votes) else 0
    seen_at = known_at
    if simulated and ballot.closes_at is not None and (known or ballot.voters is not None):
        seen_at = max(known_at, ballot.closes_at)  # an archive holds the result, which nobody knew when it was asked
    return [
        BallotRow(
            source=message.source, message_id=message.id, symbol=mention.symbol, question=ballot.question, option=option.text,
            position=position, votes=option.votes, share=option.votes / total if option.votes is not None and total > 0 else option.share,
            voters=ballot.voters, closes_at=ballot.closes_at, created_at=mention.created_at, seen_at=seen_at,
        )
        for mention in mentions
        for position, option in enumerate(ballot.options, 1)
    ]  # fmt: skip


# --------------------------------------------------------------------------------------------------- one poll


@dataclass(frozen=True, slots=True)
class PollPlan:
    """How one source is asked and paced: from the configuration."""

    access: Access
    pace: Pace
    scope: str  # whose "not before" a limit is: source:reddit or host:www.reddit.com
    keep: str
    gate: Gate = field(default_factory=Gate)  # one for all who share the scope
    brings: Brings = "talk"  # what the source is for: what is no talk is never counted as listened to


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt led to: the batch to keep, and when the stream may be asked again."""

    batch: Batch
    wait_s: float
    error: SourceError | None
    bodies: tuple[bytes, ...] = ()


async def poll(
    source: Source,
    stream: Stream,
    plan: PollPlan,
    http: Http,
    analysis: Analysis,
    clock: Clock,
    tally: Tally | None = None,
) -> Outcome:
    """Ask one stream once. A SourceError becomes a row in ``polls`` and a longer wait; anything else is a bug and goes up.

    ``tally``: where to count what is used, for a caller who has to know it when this is given up half-way.
    """
    started_at, started = clock.now(), clock.monotonic()
    page: Page | None = None
    failed: SourceError | None = None
    tally = Tally() if tally is None else tally
    try:
        async with http.session(plan.access, plan.gate) as client:
            client.tally = tally
            page = await source.fetch(client, stream, stream.cursor)
        if isinstance(page.cut_short, SourceError):
            failed = page.cut_short
    except SourceError as error:
        failed = error
    duration_ms = round((clock.monotonic() - started) * 1000)
    attempt = Attempt(started_at, duration_ms, tally, clock.now())
    return conclude(stream, plan, analysis, attempt, page, failed)


@dataclass(frozen=True, slots=True)
class Attempt:
    """When an attempt was made and what it used."""

    started_at: datetime
    duration_ms: int
    tally: Tally
    ended_at: datetime


def conclude(
    stream: Stream, plan: PollPlan, analysis: Analysis, attempt: Attempt, page: Page | None, failed: SourceError | None
) -> Outcome:
    """The batch of one attempt, good or bad: pure."""
    tally = attempt.tally
    status: PollStatus = "ok" if failed is None else failed.status  # type: ignore[assignment]
    if page is not None and page.unchanged:
        status = "unchanged"
    failures = 0 if failed is None else stream.failures + 1
    wish = tally.wait_s if failed is None else failed.retry_after_s
    more = page is not None and page.more
    wait_s = next_wait_s(
        plan.pace, status=status, failures=failures, wish_s=wish, more=more, key=f"{stream.source}/{stream.name}"
    )
    if failed is None and page is not None and page.wait_s is not None:  # of this stream alone: no limit for others
        wait_s = max(wait_s, min(page.wait_s, MAX_NAMED_WAIT_S))
    talks = plan.brings == "talk"
    rows = Digest((), (), (), (), 0)
    if page is not None:
        rows = digest(page.items, analysis, stream=stream.name, fetched_at=attempt.ended_at, keep=plan.keep)
    made = [*(row.created_at for row in rows.messages), *(row.created_at for row in rows.headlines)]
    newest = max(made, default=None)
    due = attempt.ended_at + timedelta(seconds=wait_s)
    after = replace(
        stream,
        cursor=page.cursor if page is not None and page.cursor is not None else stream.cursor,
        failures=failures,
        next_poll_at=due,
        last_success_at=attempt.started_at if failed is None else stream.last_success_at,
        last_message_at=max(
            (moment for moment in (newest, stream.last_message_at) if moment is not None), default=None
        ),
        note=(page.note if page is not None else None) if failed is None else str(failed)[:_ERROR_CHARACTERS],
    )
    report = PollReport(
        source=stream.source, stream=stream.name, started_at=attempt.started_at, duration_ms=attempt.duration_ms, status=status,
        http_status=tally.http_status if failed is None or failed.http_status is None else failed.http_status,
        fetched=len(page.items) if page is not None else 0, skipped=rows.skipped, requests=tally.requests, bytes=tally.bytes,
        error=None if failed is None else str(failed)[:_ERROR_CHARACTERS], retry_after_s=wish,
        covers_from=page.covers_from if page is not None and talks else None, brings=plan.brings,
    )  # fmt: skip
    gaps: tuple[GapRow, ...] = ()
    if page is not None and page.gap is not None and talks:
        gaps = (
            GapRow(stream.source, stream.name, page.gap.from_at, page.gap.to_at, page.gap.reason, attempt.ended_at),
        )
    batch = Batch(
        report=report, stream=after, messages=rows.messages, mentions=rows.mentions, tones=rows.tones, deletions=rows.deletions,
        ballots=rows.ballots, headlines=rows.headlines, ranks=rows.ranks, bars=rows.bars, options=rows.options, gaps=gaps, limits=limits_of(plan, failed, wish, wait_s, attempt.ended_at), fetched_at=attempt.ended_at,
    )  # fmt: skip
    return Outcome(batch, wait_s, failed, tuple(tally.bodies))


def limits_of(
    plan: PollPlan, failed: SourceError | None, wish: float | None, wait_s: float, now: datetime
) -> tuple[Limit, ...]:
    """A named time, a rate limit and a refusal hold for everybody in the scope, not for this stream alone."""
    if failed is None and not wish:
        return ()
    if failed is not None and wish is None and not isinstance(failed, RateLimited | AccessDenied):
        return ()
    reason = "the server's rate limit is used up" if failed is None else failed.message
    return (Limit(plan.scope, now + timedelta(seconds=wait_s), reason),)
