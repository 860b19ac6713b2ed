"""Walking back from the newest page to known ground, a few pages a poll, resumable.

A cursor of a newest-first listing is at-least-once: it holds the newest time up to which everything is
stored (``known``) and, while a walk is not over, where it stands::

    {"known": 1790000000.0, "walk": {"top": …, "token": "t3_abc", "began": …, "oldest": …}, "validators": {…}}

A walk ends when a page reaches *behind* ``known - overlap``: ids are trusted, order is not, and an item that
became visible late, or shares its second with the cursor, is met again inside the overlap. It never depends on
one anchor message, because anchors get deleted (praw-dev/asyncpraw#16): where the token of an earlier poll leads
to an empty page, the walk starts once more from the newest page before it gives up. Nor does it depend on one
stamp: the last items of a page say how far it reaches, and the most of them have to agree before a walk ends. Nor on one blank answer: a
page that shows nothing in the middle of a walk is asked for again in the next poll before it is believed. And "unchanged" is asked
for only where the newest page holds the whole overlap: an item that comes late may turn up below it. While a walk goes on,
``known`` stays where it is; messages of the pages seen so far are stored all the same, repeats fall away by id.

``walk_past`` goes through the same listings for a backfill: back from one moment to another, a page a step.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tracker.errors import NotFound, SourceError
from tracker.models import Cursor, Gap, Item, Message, Page, Stretch
from tracker.wire import EARLIEST

_TAIL = 3  # how many of a page's last stamps say how far back it reaches
_JURY = 7  # how many of them decide whether that is far enough: half of these at least


Ask = Callable[[str | None], Awaitable["Leaf"]]  # the page at a token; None: the newest


@dataclass(frozen=True, slots=True)
class Leaf:
    """One answer of a newest-first listing."""

    items: tuple[Item, ...]
    next_token: str | None  # where the older items are; None: the listing ends here
    served_at: datetime  # the server's clock: no cursor goes beyond it, whatever an item claims
    validators: dict[str, str] = field(default_factory=dict)
    unchanged: bool = False
    complete: bool = False  # the listing holds nothing older (or nothing we asked for): its end is no dead end


@dataclass(slots=True)
class _Walk:
    """Where a walk stands: what the cursor keeps of it between two polls."""

    known: float | None  # everything up to here is stored; seconds since 1970
    token: str | None = None  # the page to ask for next; None: the newest
    top: float | None = None  # the newest time seen; where ``known`` goes when the walk is over
    began: float | None = None  # the server's clock at the newest page: no stamp counts for more
    oldest: float | None = None  # how far back the pages seen so far reach
    again: bool = False  # it was begun anew after a token that led nowhere
    doubted: bool = False  # nothing was shown where older items were to be expected: believed once it is said twice

    def see(self, leaf: Leaf) -> list[float]:
        """Take note of a page; gives the stamps of its last items."""
        if self.began is None:
            self.began = leaf.served_at.timestamp()
            if self.known is not None:  # a server's clock that once ran ahead must not hide what comes now
                self.known = min(self.known, self.began)
        times = [min(found, self.began) for found in _times(leaf.items)]
        if times:
            self.top = max(times) if self.top is None else max(self.top, *times)
            # only its last items: a pinned or back-dated one further up says nothing about the page's end
            end = min(times[-_TAIL:])
            self.oldest = min(self.oldest, end) if self.again and self.oldest is not None else end
        return times[-_JURY:]

    def kept(self) -> Cursor:
        state = {
            "top": self.top,
            "token": self.token,
            "began": self.began,
            "oldest": self.oldest,
            "again": self.again,
            "doubted": self.doubted,
        }
        return {"known": self.known, "walk": state, "validators": {}}


def known_at(cursor: Cursor | None) -> float | None:
    """The time up to which a stream of that cursor is stored, in seconds since 1970; None before the first poll."""
    return _number((cursor or {}).get("known"))


async def walk(
    ask: Ask,
    cursor: Cursor | None,
    *,
    overlap_s: float,
    pages: int,
    dead_end: str = "the listing ends before the last message that is stored",
) -> Page:
    """Ask for leaves from the newest (token None) or from where the last walk stopped, until known ground.

    ``overlap_s`` is in seconds, ``pages`` the most requests of one poll. ``dead_end`` says why the rest can't be
    had where a listing ends too early: it becomes the gap's reason. What ``ask`` raises for the first page goes up, and
    the stored cursor stays; after that it cuts the walk short: the pages so far are kept, the walk goes on from there.
    """
    at = _resume(cursor)
    items: list[Item] = []
    validators: dict[str, str] = {}

    for number in range(max(1, pages)):
        asked = at.token
        try:
            leaf = await ask(asked)
        except NotFound:
            if number or asked is None or at.again:
                raise
            at.token, at.again = None, True  # the place where the walk stood is gone: begin anew, once
            continue
        except SourceError as error:
            if not number:
                raise
            return Page(items=tuple(items), cursor=at.kept(), more=True, cut_short=error)
        if leaf.unchanged:
            # in the middle of a walk it says nothing: the same page is asked again next time
            covered = at.known if at.began is None else None
            return Page(items=(), cursor=None, unchanged=True, covers_from=_moment(covered))
        items.extend(leaf.items)
        end = at.see(leaf)
        if asked is None and _shows_all_of(overlap_s, leaf, end, at.top):
            validators = dict(leaf.validators)
        # one blank answer in the middle of a walk is no end: the same page is asked again in the next poll
        blank = asked is not None and not leaf.items and leaf.next_token is None
        if blank and not at.doubted and (number or leaf.complete):
            at.doubted = True
            return Page(items=tuple(items), cursor=at.kept(), more=True)
        at.doubted = at.doubted and (blank or asked is None)
        # a token of this poll was good a moment ago; one of an earlier poll may lead to a message that is gone
        if number == 0 and asked is not None and not at.again and _is_empty(leaf):
            at.token, at.again = None, True
            continue
        # a server that ignores the token sends the same page for ever
        at.token = leaf.next_token if leaf.next_token != asked else None
        if at.known is None or at.token is None or _behind(end, at.known - overlap_s):
            stuck = at.token is None and not leaf.complete
            return _arrived(tuple(items), at, validators, dead_end if stuck else None, leaf.complete)
    return Page(items=tuple(items), cursor=at.kept(), covers_from=None, more=True)


async def walk_past(
    ask: Ask,
    since: datetime,
    until: datetime,
    place: Cursor | None,
    *,
    start: str | None = None,
    dead_end: str = "the listing ends before the span that was asked for",
    lag_s: float = 0.0,
) -> AsyncGenerator[Stretch, None]:
    """Every leaf from ``until`` back to ``since``, one a step, or on from the ``place`` of an earlier stretch.

    ``start`` is the token of the page at ``until`` where the listing can be entered there; None walks from the newest.
    ``lag_s``: what is younger than so many seconds may be missing from the listing, so it does not count as heard.
    What ``ask`` raises goes up: the step before it has said where to go on.
    """
    token, reached, again = _standing(place, start, until)
    resumed = place is not None
    while True:
        asked, doubtful, resumed = token, resumed and not again, False
        try:
            leaf = await ask(asked)
        except NotFound:
            if not doubtful:
                raise
            leaf = None
        if leaf is None or (doubtful and not leaf.items):  # the place is gone: begin anew, once
            token, again = start, True
            yield Stretch((), {"token": token, "reached": reached, "again": again})
            continue
        if lag_s:
            reached = min(reached, leaf.served_at.timestamp() - lag_s)
        times = _times(leaf.items)
        end = times[-_TAIL:]
        token = leaf.next_token if leaf.next_token != asked else None
        arrived = _behind(times[-_JURY:], since.timestamp())
        low = reached
        if arrived or (token is None and leaf.complete):
            token, low = None, min(reached, since.timestamp())
        elif end:  # a second may go on on the next page, and one of the last stamps may be wrong
            low = min(reached, max(since.timestamp(), sorted(end)[:2][-1] + 1.0))
        gap = Gap(since, _at(low), dead_end) if token is None and _at(low) > since else None
        covers = (_at(low), _at(reached)) if _at(low) < _at(reached) else None
        reached = low
        yield Stretch(
            leaf.items, None if token is None else {"token": token, "reached": low, "again": again}, covers, gap
        )
        if token is None:
            return


def _standing(place: Cursor | None, start: str | None, until: datetime) -> tuple[str | None, float, bool]:
    """(token to ask for, how far back everything has come, was it begun anew) of a backfill."""
    token = (place or {}).get("token", start)
    reached = _number((place or {}).get("reached"))
    return (
        token if isinstance(token, str) else None,
        until.timestamp() if reached is None else reached,
        (place or {}).get("again") is True,
    )


def _resume(cursor: Cursor | None) -> _Walk:
    state: dict[str, Any] = cursor or {}
    going = state.get("walk")
    if not isinstance(going, dict):
        return _Walk(known_at(cursor))
    token = going.get("token")
    return _Walk(
        known=known_at(cursor),
        token=token if isinstance(token, str) else None,
        top=_number(going.get("top")),
        # a walk that begins anew keeps the clock of its first page: what came since is the next walk's
        began=_number(going.get("began")),
        oldest=_number(going.get("oldest")),
        again=going.get("again") is True,
        doubted=going.get("doubted") is True,
    )


def _arrived(
    items: tuple[Item, ...], at: _Walk, validators: dict[str, str], dead_end: str | None, complete: bool
) -> Page:
    """The walk is over: ``known`` moves up to its top, and what lies between is either stored or a gap."""
    if at.top is None:
        if complete:  # asked for what came since, and nothing did
            return Page(items=items, cursor=None, covers_from=_moment(at.known))
        # otherwise an empty listing says nothing: neither caught up nor a gap
        return Page(items=items, cursor=None, note="the listing is empty" if at.known is not None else None)
    moved, reaches, gap = at.top, at.oldest, None
    if at.known is not None:
        moved = max(at.known, at.top)
        if dead_end is not None and at.oldest is not None and at.oldest > at.known:
            gap = Gap(_at(at.known), _at(at.oldest), dead_end)
        else:
            reaches = at.known if at.oldest is None else min(at.known, at.oldest)
    cursor = {"known": moved, "validators": validators}
    return Page(items=items, cursor=cursor, covers_from=_moment(reaches), gap=gap)


def _shows_all_of(overlap_s: float, leaf: Leaf, end: list[float], top: float | None) -> bool:
    """True if the newest page reaches behind the overlap: only then does nothing become visible while it stays as it is."""
    return leaf.next_token is None or (top is not None and _behind(end, top - overlap_s))


def _is_empty(leaf: Leaf) -> bool:
    return not leaf.items and leaf.next_token is None and not leaf.complete


def _behind(end: list[float], line: float) -> bool:
    """True if a page's end lies behind the line: half of its last stamps at least, as some may be wrong."""
    return bool(end) and 2 * sum(stamp < line for stamp in end) >= len(end)


def _times(items: tuple[Item, ...]) -> list[float]:
    """The believable stamps of a page, in seconds, in its order."""
    claims = (item.created_at for item in items if isinstance(item, Message))
    return [claim.timestamp() for claim in claims if claim is not None and claim >= EARLIEST]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else _at(seconds)
