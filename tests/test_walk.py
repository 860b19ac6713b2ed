"""Walking back to known ground: nothing that the listing showed is lost, or it lies in a gap."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.errors import NotFound, RateLimited, Unavailable
from tracker.models import Cursor, Gap, Item, Message, Page
from tracker.walk import Leaf, known_at, walk

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
OVERLAP_S = 60.0


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def message(name: str, created_at: datetime | None) -> Message:
    return Message(source="tavern", id=name, created_at=created_at, text="ale")


@dataclass
class Listing:
    """A newest-first listing of a service: pages by anchor, and nothing at all after an anchor that is gone."""

    size: int = 3
    window: int = 1000  # how many of the newest it shows at all
    clock: datetime = START + timedelta(days=2)
    messages: list[Message] = field(default_factory=list)  # in the order in which they are listed
    complete: bool = False  # is its end known to be the end
    validators: dict[str, str] = field(default_factory=dict)
    asked: list[str | None] = field(default_factory=list)

    def add(self, *seconds: float) -> Listing:
        """New messages, oldest first, named after their seconds (and a letter where two share one)."""
        for second in seconds:
            twins = sum(found.created_at == at(second) for found in self.messages)
            self.messages.insert(0, message(f"{second:g}{'abc'[twins - 1] if twins else ''}", at(second)))
        return self

    def put(self, place: int, name: str, created_at: datetime | None) -> Listing:
        self.messages.insert(place, message(name, created_at))
        return self

    def delete(self, name: str) -> Listing:
        self.messages = [found for found in self.messages if found.id != name]
        return self

    async def ask(self, token: str | None) -> Leaf:
        self.asked.append(token)
        shown = self.messages[: self.window]
        names = [found.id for found in shown]
        if token is not None and token not in names:
            return Leaf((), None, self.clock)
        first = 0 if token is None else names.index(token) + 1
        page = tuple(shown[first : first + self.size])
        ends = first + self.size >= len(shown)
        return Leaf(page, None if ends else page[-1].id, self.clock, self.validators, complete=ends and self.complete)

    async def poll(self, cursor: Cursor | None, *, pages: int = 10, overlap_s: float = OVERLAP_S) -> Page:
        """One poll; the cursor goes through JSON, as it does in the store."""
        self.asked.clear()
        stored = json.loads(json.dumps(cursor))
        page = await walk(self.ask, stored, overlap_s=overlap_s, pages=pages, dead_end="no more is shown")
        json.dumps(page.cursor, allow_nan=False)
        return page


def ids(items: Iterable[Item]) -> set[str]:
    return {item.id for item in items if isinstance(item, Message)}


def known(seconds: float) -> Cursor:
    return {"known": at(seconds).timestamp(), "validators": {}}


# ------------------------------------------------------------------------------------------------- plain sailing


async def test_the_first_poll_takes_one_page_and_covers_what_is_on_it() -> None:
    listing = Listing().add(10, 20, 30, 40, 50)
    page = await listing.poll(None)
    assert ids(page.items) == {"50", "40", "30"}
    assert known_at(page.cursor) == at(50).timestamp()
    assert page.covers_from == at(30)
    assert (page.gap, page.more, listing.asked) == (None, False, [None])


async def test_a_poll_walks_to_behind_the_overlap_and_covers_everything_since() -> None:
    listing = Listing().add(*range(0, 400, 20))
    page = await listing.poll(known(300))
    assert ids(page.items) >= {f"{second}" for second in range(240, 400, 20)}
    assert known_at(page.cursor) == at(380).timestamp()
    assert page.covers_from is not None
    assert page.covers_from <= at(300)
    assert (page.gap, page.more) == (None, False)


async def test_without_news_the_cursor_stays_and_the_coverage_too() -> None:
    listing = Listing().add(*range(0, 400, 20))
    page = await listing.poll(known(380))
    assert known_at(page.cursor) == at(380).timestamp()
    assert page.covers_from is not None
    assert page.covers_from <= at(380)


async def test_a_tie_with_the_cursor_that_is_shown_later_is_found_without_any_overlap() -> None:
    listing = Listing(size=2).add(10, 20, 30)
    first = await listing.poll(None, overlap_s=0)
    listing.put(1, "30-late", at(30))
    listing.add(40, 50)
    second = await listing.poll(first.cursor, overlap_s=0)
    assert "30-late" in ids(second.items)


async def test_a_whole_page_of_ties_does_not_end_the_walk() -> None:
    listing = Listing().add(10, 20, 30, 30, 30, 30, 40)
    page = await listing.poll(known(30), overlap_s=0)
    assert ids(page.items) >= {"40", "30", "30a", "30b", "30c"}


async def test_an_item_shown_late_is_found_within_the_overlap() -> None:
    listing = Listing().add(*range(0, 300, 10))
    first = await listing.poll(None)
    listing.put(4, "late", at(245))
    second = await listing.poll(first.cursor)
    assert "late" in ids(second.items)


async def test_the_newest_message_may_be_deleted_between_polls() -> None:
    listing = Listing().add(*range(0, 200, 10))
    first = await listing.poll(None)
    listing.delete("190").add(200, 210)
    second = await listing.poll(first.cursor)
    assert ids(second.items) >= {"210", "200", "180"}
    assert second.gap is None


# ---------------------------------------------------------------------------------------------------------- bursts


async def test_a_burst_of_several_pages_comes_in_one_poll() -> None:
    listing = Listing().add(*range(0, 1000, 10))
    page = await listing.poll(known(700), pages=50)
    assert ids(page.items) >= {f"{second}" for second in range(700, 1000, 10)}
    assert len(listing.asked) > 3
    assert not page.more


async def test_a_burst_of_several_polls_resumes_and_moves_the_cursor_only_at_its_end() -> None:
    listing = Listing().add(*range(0, 1000, 10))
    cursor: Cursor | None = known(500)
    found: set[str] = set()
    polls = 0
    more = True
    while more:
        page = await listing.poll(cursor, pages=4)
        assert len(listing.asked) <= 4
        found |= ids(page.items)
        cursor, more, polls = page.cursor, page.more, polls + 1
        if more:
            assert known_at(cursor) == at(500).timestamp()
            assert page.covers_from is None
        listing.add(1000 + polls)  # the stream goes on meanwhile
    assert polls > 2
    assert found >= {f"{second}" for second in range(500, 1000, 10)}
    assert known_at(cursor) == at(990).timestamp()
    assert page.gap is None
    assert page.covers_from is not None
    assert page.covers_from <= at(500)
    after = await listing.poll(cursor)
    assert ids(after.items) >= {f"{1000 + number}" for number in range(1, polls + 1)}


async def test_at_least_one_page_is_asked_for() -> None:
    listing = Listing().add(10)
    assert ids((await listing.poll(None, pages=0)).items) == {"10"}


async def test_an_error_goes_up() -> None:
    async def ask(token: str | None) -> Leaf:
        raise Unavailable("the tavern is closed")

    with pytest.raises(Unavailable, match="closed"):
        await walk(ask, known(10), overlap_s=0, pages=3)


# ------------------------------------------------------------------------------------------------------ wrong stamps


async def test_a_future_stamp_does_not_carry_the_cursor_beyond_the_servers_clock() -> None:
    listing = Listing(clock=at(60)).add(10, 20, 30).put(0, "from-9999", datetime(9999, 12, 31, tzinfo=UTC))
    page = await listing.poll(None)
    assert known_at(page.cursor) == at(60).timestamp()
    listing.clock = at(500)
    listing.add(70, 80, 90, 100)
    second = await listing.poll(page.cursor)
    assert ids(second.items) >= {"70", "80", "90", "100"}


async def test_a_future_stamp_found_late_in_a_walk_does_not_hide_what_came_meanwhile() -> None:
    listing = Listing(clock=at(1000)).add(*range(0, 1000, 10))
    listing.put(60, "from-9999", datetime(9999, 12, 31, tzinfo=UTC))
    first = await listing.poll(known(100), pages=5)
    assert first.more
    listing.clock = at(9000)
    listing.add(*range(2000, 2030))
    page = await listing.poll(first.cursor, pages=90)
    assert "from-9999" in ids(page.items)
    after = await listing.poll(page.cursor, pages=90)
    assert ids(after.items) >= {f"{second}" for second in range(2000, 2030)}


@pytest.mark.parametrize("place", [0, 3, 4, 5], ids=lambda place: f"at_{place}")
@pytest.mark.parametrize("stamp", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2009, 1, 1, tzinfo=UTC)], ids=str)
async def test_one_stamp_far_in_the_past_ends_no_walk(place: int, stamp: datetime) -> None:
    listing = Listing(size=6).add(*range(0, 1000, 10)).put(place, "pinned", stamp)
    page = await listing.poll(known(500), pages=50)
    assert ids(page.items) >= {f"{second}" for second in range(500, 1000, 10)}
    assert page.covers_from is not None
    assert page.covers_from >= at(0)


async def test_a_whole_page_of_impossible_stamps_ends_no_walk() -> None:
    listing = Listing().add(*range(0, 300, 10))
    for number in range(6):
        listing.put(3, f"unset-{number}", datetime(1970, 1, 1, tzinfo=UTC))
    page = await listing.poll(known(100), pages=50)
    assert ids(page.items) >= {f"{second}" for second in range(100, 300, 10)}


async def test_a_pinned_message_hides_no_gap() -> None:
    listing = Listing(size=10, window=8).add(*range(0, 1000, 10)).put(0, "pinned", datetime(2009, 1, 1, tzinfo=UTC))
    page = await listing.poll(known(500))
    assert page.gap == Gap(at(500), at(930), "no more is shown")


async def test_items_without_a_time_end_no_walk() -> None:
    listing = Listing().add(*range(0, 300, 10))
    for _ in range(3):
        listing.put(4, f"untimed-{len(listing.messages)}", None)
    page = await listing.poll(known(100), pages=50)
    assert ids(page.items) >= {f"{second}" for second in range(100, 300, 10)}


async def test_a_server_clock_that_once_ran_ahead_does_not_hide_later_bursts() -> None:
    listing = Listing(clock=at(900)).add(*range(0, 900, 10))
    page = await listing.poll({"known": at(1_000_000).timestamp()})
    assert known_at(page.cursor) == at(900).timestamp()


async def test_a_stale_page_from_a_cache_does_not_move_the_cursor_back() -> None:
    listing = Listing().add(*range(0, 100, 10))
    page = await listing.poll(known(500))
    assert known_at(page.cursor) == at(500).timestamp()
    assert page.gap is None


# ---------------------------------------------------------------------------------------------- the end of the list


async def test_a_dead_end_leaves_a_gap_between_the_old_cursor_and_the_oldest_that_came() -> None:
    listing = Listing(window=7).add(*range(0, 1000, 10))
    page = await listing.poll(known(100))
    assert page.gap == Gap(at(100), at(930), "no more is shown")
    assert page.covers_from == at(930)
    assert known_at(page.cursor) == at(990).timestamp()
    assert not page.more


async def test_a_listing_that_reaches_the_cursor_but_not_the_overlap_has_no_gap() -> None:
    listing = Listing(window=7).add(*range(0, 1000, 10))
    page = await listing.poll(known(940))
    assert page.gap is None
    assert page.covers_from is not None
    assert page.covers_from <= at(940)


async def test_a_listing_that_ends_at_the_very_cursor_has_no_gap() -> None:
    listing = Listing(window=7).add(*range(0, 1000, 10))
    assert (await listing.poll(known(930))).gap is None


async def test_nothing_behind_a_token_is_the_end_once_it_is_said_twice() -> None:
    listing = Listing().add(*range(500, 530, 10))

    async def ask(token: str | None) -> Leaf:
        leaf = await listing.ask(token)
        return leaf if leaf.next_token or not leaf.items else Leaf(leaf.items, "there is no more", leaf.served_at)

    cursor: Cursor | None = known(100)
    gaps, polls = [], 0
    while polls < 10:
        page = await walk(ask, cursor, overlap_s=0, pages=50)
        cursor, polls = page.cursor, polls + 1
        gaps += [page.gap] if page.gap else []
        if not page.more:
            break
    assert [(gap.from_at, gap.to_at) for gap in gaps] == [(at(100), at(500))]
    assert polls <= 3
    assert known_at(cursor) == at(520).timestamp()


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("blank", [2, 3, 4])
async def test_one_blank_answer_in_the_middle_of_a_walk_loses_nothing(complete: bool, blank: int) -> None:
    """It is neither the end of the listing nor a reason for a gap: what lies behind is still offered."""
    listing = Listing().add(*range(0, 300, 10))
    answers = 0

    async def ask(token: str | None) -> Leaf:
        nonlocal answers
        answers += 1
        return Leaf((), None, listing.clock, complete=complete) if answers == blank else await listing.ask(token)

    cursor: Cursor | None = known(100)
    stored: set[str] = set()
    for _ in range(4):
        page = await walk(ask, cursor, overlap_s=0, pages=50)
        assert page.gap is None
        stored |= ids(page.items)
        cursor = page.cursor or cursor
        if not page.more:
            break
    assert stored >= {f"{second}" for second in range(100, 300, 10)}
    assert known_at(cursor) == at(290).timestamp()


async def test_the_end_of_a_complete_listing_is_no_gap() -> None:
    listing = Listing(complete=True).add(900, 910)
    page = await listing.poll(known(100))
    assert page.gap is None
    assert page.covers_from == at(100)


async def test_an_empty_listing_says_nothing_and_moves_nothing() -> None:
    page = await Listing().poll(known(100))
    assert (page.items, page.cursor, page.covers_from, page.gap) == ((), None, None, None)
    assert page.note == "the listing is empty"


async def test_a_complete_and_empty_listing_covers_the_time_since_the_cursor() -> None:
    page = await Listing(complete=True).poll(known(100))
    assert (page.items, page.cursor, page.gap, page.note) == ((), None, None, None)
    assert page.covers_from == at(100)


async def test_a_walk_that_ends_on_a_page_without_times_still_leaves_its_gap() -> None:
    listing = Listing().add(*range(500, 560, 10)).put(6, "untimed", None)
    first = await listing.poll(known(100), pages=2)
    assert first.more
    page = await listing.poll(first.cursor)
    assert ids(page.items) == {"untimed"}
    assert page.gap == Gap(at(100), at(500), "no more is shown")


async def test_a_server_that_ignores_the_token_ends_in_a_gap_and_not_in_a_loop() -> None:
    listing = Listing().add(*range(0, 1000, 10))

    async def ask(token: str | None) -> Leaf:
        return await listing.ask(None)

    page = await walk(ask, known(100), overlap_s=0, pages=50, dead_end="stuck")
    assert page.gap == Gap(at(100), at(970), "stuck")
    assert len(listing.asked) == 2


# -------------------------------------------------------------------------------------------------- deleted anchors


async def test_a_walk_whose_anchor_was_deleted_begins_again_and_loses_nothing() -> None:
    listing = Listing().add(*range(0, 1000, 10))
    first = await listing.poll(known(500), pages=5)
    assert first.more
    anchor = min(ids(first.items), key=float)
    listing.delete(anchor)
    page = await listing.poll(first.cursor, pages=90)
    assert page.gap is None
    assert ids(first.items) | ids(page.items) >= {f"{second}" for second in range(500, 1000, 10)}
    assert listing.asked[:2] == [anchor, None]


async def test_a_walk_that_leads_nowhere_twice_is_a_gap() -> None:
    listing = Listing(size=2).add(*range(0, 1000, 10))
    cursor: Cursor | None = known(100)
    gaps: list[Gap] = []
    for _ in range(3):
        page = await listing.poll(cursor, pages=2)
        cursor = page.cursor
        gaps += [page.gap] if page.gap else []
        listing.delete(min(ids(page.items) or {"0"}, key=float))
    assert [gap.from_at for gap in gaps] == [at(100)]
    assert known_at(cursor) == at(990).timestamp()


async def test_the_gap_of_a_walk_that_began_again_ends_where_it_had_been() -> None:
    listing = Listing(size=2).add(*range(0, 1000, 10))
    going = await listing.poll(known(100), pages=5)
    listing.delete("900")
    again = await listing.poll(going.cursor, pages=2)
    assert again.more
    listing.delete("980")
    page = await listing.poll(again.cursor, pages=2)
    assert page.gap == Gap(at(100), at(900), "no more is shown")


# ----------------------------------------------------------------------------------------- unchanged and validators


async def test_an_unchanged_answer_is_a_success_that_moves_nothing() -> None:
    async def ask(token: str | None) -> Leaf:
        return Leaf((), None, at(900), unchanged=True)

    page = await walk(ask, known(100), overlap_s=0, pages=3)
    assert page == Page(items=(), cursor=None, unchanged=True, covers_from=at(100))


async def test_an_unchanged_answer_in_the_middle_of_a_walk_covers_nothing() -> None:
    listing = Listing().add(*range(0, 1000, 10))
    going = await listing.poll(known(100), pages=2)

    async def ask(token: str | None) -> Leaf:
        return Leaf((), None, at(900), unchanged=True)

    page = await walk(ask, going.cursor, overlap_s=0, pages=3)
    assert (page.cursor, page.covers_from) == (None, None)


async def test_validators_are_kept_only_once_what_they_vouch_for_is_stored() -> None:
    listing = Listing(validators={"etag": '"a"'}).add(*range(0, 300, 10))
    going = await listing.poll(known(100), pages=2, overlap_s=5.0)
    assert going.cursor is not None
    assert going.cursor["validators"] == {}
    page = await listing.poll(known(100), pages=50, overlap_s=5.0)
    assert page.cursor is not None
    assert page.cursor["validators"] == {"etag": '"a"'}
    # the page that these belong to was not asked for in the poll that ended the walk
    ended = await listing.poll(going.cursor, pages=50)
    assert ended.cursor is not None
    assert ended.cursor["validators"] == {}


async def test_validators_are_kept_only_where_the_newest_page_holds_the_whole_overlap() -> None:
    """What comes late turns up below a page that stays as it is: "unchanged" would hide it for as long as nobody speaks."""
    listing = Listing(validators={"etag": '"a"'}).add(*range(0, 100, 1))
    page = await listing.poll(known(90), overlap_s=0.5)
    assert page.cursor is not None
    assert page.cursor["validators"] == {"etag": '"a"'}
    page = await listing.poll(known(90), overlap_s=8.0)
    assert not page.more
    assert page.cursor is not None
    assert page.cursor["validators"] == {}
    first = await Listing(validators={"etag": '"a"'}).add(1, 2, 3).poll(None, overlap_s=20.0)
    assert first.cursor is not None
    assert first.cursor["validators"] == {"etag": '"a"'}  # there is nothing below


@pytest.mark.parametrize("cursor", [{}, {"known": "yesterday"}, {"known": None, "walk": 5}, {"known": True}], ids=str)
async def test_a_cursor_that_says_nothing_is_a_first_poll(cursor: Cursor) -> None:
    page = await Listing().add(10, 20).poll(cursor)
    assert ids(page.items) == {"10", "20"}
    assert page.gap is None


# --------------------------------------------------------------------------------------------------------- the law

steps = st.lists(
    st.one_of(
        st.tuples(st.just("post"), st.integers(1, 12)),
        st.tuples(st.just("late"), st.integers(0, 50)),
        st.tuples(st.just("delete"), st.integers(0, 30)),
        st.tuples(st.just("poll"), st.integers(1, 3)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None, database=None)
@given(steps=steps, size=st.integers(2, 5), window=st.integers(6, 60))
def test_whatever_was_shown_is_stored_or_lies_in_a_gap(steps: list[tuple[str, int]], size: int, window: int) -> None:
    """Posts, items shown late (within the overlap), deletions and polls in any order, over a listing that ends."""
    listing = Listing(size=size, window=window).add(0, 10)
    stored: set[str] = set()
    gaps: list[Gap] = []
    cursor: Cursor | None = None
    second = 10

    def poll(pages: int) -> bool:
        nonlocal cursor
        listing.clock = at(second)
        page = asyncio.run(listing.poll(cursor, pages=pages))
        stored.update(ids(page.items))
        gaps.extend([page.gap] if page.gap else [])
        cursor = page.cursor or cursor
        return page.more

    poll(1)
    for word, number in steps:
        if word == "post":
            listing.add(*range(second + 10, second + 10 * number + 1, 10))
            second += 10 * number
        elif word == "late":
            place = min(number % 5, len(listing.messages))
            shown = listing.messages[place - 1].created_at if place else at(second)
            listing.put(place, f"late-{second}-{number}-{len(listing.messages)}", shown)
        elif word == "delete" and len(listing.messages) > 3:
            listing.messages.pop(number % len(listing.messages))
        elif word == "poll":
            poll(number)
    for _ in range(200):
        if not poll(3):
            break
    else:
        pytest.fail("the walk never ends")
    poll(200)
    for place, found in enumerate(listing.messages):
        assert found.created_at is not None
        if found.id.startswith("late") and place >= window:
            continue  # shown late, and gone from the listing before anybody asked: nobody could know
        missed = found.id not in stored and found.created_at > at(10)
        assert not missed or any(gap.from_at <= found.created_at <= gap.to_at for gap in gaps), found.id


async def test_an_error_after_the_first_page_keeps_what_came_and_goes_on_from_there() -> None:
    pages = {
        None: Leaf((_message_at(1000.0),), "older", _served(2000.0)),
        "older": Leaf((_message_at(400.0),), None, _served(2100.0)),
    }
    refused = RateLimited("too many requests", retry_after_s=30.0)

    async def limited(token: str | None) -> Leaf:
        if token is not None:
            raise refused
        return pages[token]

    async def answered(token: str | None) -> Leaf:
        return pages[token]

    first = await walk(limited, {"known": 500.0 + 1.6e9}, overlap_s=0.0, pages=5)
    assert [item.id for item in first.items if isinstance(item, Message)] == ["at-1000"]
    assert (first.cut_short, first.more) == (refused, True)
    second = await walk(answered, first.cursor, overlap_s=0.0, pages=5)
    assert [item.id for item in second.items if isinstance(item, Message)] == ["at-400"]
    assert known_at(second.cursor) == 1000.0 + 1.6e9


async def test_an_error_on_the_first_page_goes_up() -> None:
    async def refused(token: str | None) -> Leaf:
        raise RateLimited("too many requests")

    with pytest.raises(RateLimited):
        await walk(refused, {"known": 500.0 + 1.6e9}, overlap_s=0.0, pages=5)


async def test_a_walk_whose_place_is_gone_begins_anew() -> None:
    asked: list[str | None] = []

    async def ask(token: str | None) -> Leaf:
        asked.append(token)
        if token == "gone":
            raise NotFound("no such message")
        return Leaf((_message_at(400.0),), None, _served(2000.0), complete=True)

    page = await walk(
        ask, {"known": 500.0 + 1.6e9, "walk": {"top": 900.0 + 1.6e9, "token": "gone"}}, overlap_s=0.0, pages=5
    )
    assert asked == ["gone", None]
    assert not page.more


def _message_at(stamp: float) -> Message:
    return Message("somewhere", f"at-{stamp:g}", datetime.fromtimestamp(stamp + 1.6e9, tz=UTC), "words")


def _served(stamp: float) -> datetime:
    return datetime.fromtimestamp(stamp + 1.6e9, tz=UTC)
