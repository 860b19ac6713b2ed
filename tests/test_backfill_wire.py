"""Going back over the wire of mastodon, telegram and lemmy: whole, politely, on from any failure, gaps told."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import NOON, FakeClock
from shops import Reply, Shop, serving, too_many, tracker
from shops_listed import Lemmy
from shops_paged import Mastodon, Telegram

from tracker.backfill import BackfillReport, backfill

pytestmark = pytest.mark.slow

SINCE, UNTIL = NOON - timedelta(hours=3), NOON - timedelta(hours=1)
going_back = pytest.mark.parametrize("make", [Lemmy, Mastodon, Telegram], ids=lambda make: make.__name__)


class Ended(asyncio.CancelledError):
    """Ctrl-C."""


class Back:
    """Backfills of one shop on one folder, each by a process of its own."""

    def __init__(self, shop: Shop, folder: Path, clock: FakeClock) -> None:
        self.shop, self.folder, self.clock = shop, folder, clock
        self.sleeps: list[float] = []
        self.ends_after: int | None = None  # waits

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        if self.ends_after is not None and len(self.sleeps) > self.ends_after:
            raise Ended
        self.clock.advance(seconds)

    async def go(self, *, since: datetime = SINCE, until: datetime = UNTIL) -> BackfillReport:
        async with tracker(self.shop, self.folder, self.clock) as asking:
            return await backfill(asking.app, self.shop.SOURCE, self.shop.STREAM, since, until, sleep=self.sleep)

    async def stored(self) -> set[tuple[Any, ...]]:
        async with tracker(self.shop, self.folder, self.clock) as asking:
            return await asking.rows()

    async def values(self, statement: str) -> list[tuple[Any, ...]]:
        async with tracker(self.shop, self.folder, self.clock) as asking:
            return (await asking.values(statement))[0]

    def wanted(self) -> set[tuple[Any, ...]]:
        since, until = SINCE.timestamp(), UNTIL.timestamp()
        return {(self.shop.native(note), note.text) for note in self.shop.notes if since <= note.at < until}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


def busy(make: type[Shop], clock: FakeClock) -> Shop:
    """A shop with a note a minute for four hours: the span that is asked for lies within."""
    shop = make(clock)
    shop.publish_at(range(shop.now - 4 * 3600, shop.now, 60))
    return shop


@going_back
async def test_a_span_comes_whole_and_nothing_beside_it_within_the_budget(
    make: type[Shop], tmp_path: Path, clock: FakeClock
) -> None:
    async with serving(busy(make, clock)) as shop:
        shop.budget = "2/1m"
        back = Back(shop, tmp_path, clock)
        report = await back.go()
        assert (report.finished, report.covered, report.gap, report.stopped) == (True, 1.0, None, None)
        assert report.added == len(back.wanted()) == 120
        assert await back.stored() == back.wanted()
        assert report.requests == len(shop.asked) > 2
        assert all(later - first >= 60 for first, later in zip(shop.times, shop.times[2:], strict=False))
        asked = len(shop.asked)
        again = await back.go()
        assert (again.finished, again.requests, again.added) == (True, 0, 0)
        assert len(shop.asked) == asked
        assert await back.values("SELECT count(*) FROM gaps") == [(0,)]
        assert await back.values("SELECT round(sum(epoch(started_at - covers_from))) FROM polls") == [(7200,)]


@going_back
@pytest.mark.parametrize("kind", ["fails", "is cut", "asks to wait"])
async def test_a_failure_in_the_middle_costs_a_wait_and_nothing_else(
    make: type[Shop], kind: str, tmp_path: Path, clock: FakeClock
) -> None:
    """The next client goes on at the place of the last stretch: no page is read twice."""
    sick = {
        "fails": Reply(503, b"down"),
        "is cut": Reply(200, b"\x1f\x8b\x08", {"Content-Encoding": "gzip"}),
        "asks to wait": too_many(Retry_After="600"),
    }
    async with serving(busy(make, clock)) as shop:
        back = Back(shop, tmp_path, clock)
        shop.faults = {3: sick[kind]}
        report = await back.go()
        if kind == "is cut":  # asking the same once more changes nothing: it is left to the operator to go on
            assert not report.finished
            assert "cut short" in (report.stopped or "")
            report = await back.go()
        assert (report.finished, report.covered, report.gap, report.stopped) == (True, 1.0, None, None)
        assert await back.stored() == back.wanted()
        if kind == "asks to wait":
            assert shop.times[3] - shop.times[2] >= 600
        targets = [asked.target for asked in shop.asked]
        assert targets[2] == targets[3], "the page that failed is asked for again"
        assert len(set(targets)) == len(targets) - 1


@going_back
async def test_whenever_it_is_ended_the_same_words_go_on_from_there(
    make: type[Shop], tmp_path: Path, clock: FakeClock
) -> None:
    async with serving(busy(make, clock)) as shop:
        shop.budget = "1/1m"
        back = Back(shop, tmp_path, clock)
        for waits in range(1, 40):
            back.sleeps.clear()
            back.ends_after = waits % 3
            try:
                report = await back.go()
            except Ended:
                continue
            break
        assert (report.finished, report.covered) == (True, 1.0)
        assert await back.stored() == back.wanted()
        targets = [asked.target for asked in shop.asked]
        assert len(set(targets)) == len(targets), "no page is read twice"


@going_back
async def test_a_refusal_ends_it_and_it_can_be_gone_on_with_when_that_is_over(
    make: type[Shop], tmp_path: Path, clock: FakeClock
) -> None:
    async with serving(busy(make, clock)) as shop:
        back = Back(shop, tmp_path, clock)
        shop.faults = {3: Reply(403, b"no")}
        report = await back.go()
        assert not report.finished
        assert "access denied" in (report.stopped or "")
        asked = len(shop.asked)
        early = await back.go()
        assert "may be asked again at" in (early.stopped or "")
        assert len(shop.asked) == asked, "a refusal keeps us away for an hour, also by hand"
        clock.advance(3601)
        report = await back.go()
        assert (report.finished, report.covered) == (True, 1.0)
        assert await back.stored() == back.wanted()


def forgetful(make: type[Shop]) -> type[Shop]:
    """The same service, which has forgotten what it once showed."""

    def answer(self: Shop, path: str, query: dict[str, str]) -> bytes:
        kept, self.notes = self.notes, []
        try:
            return make.answer(self, path, query)
        finally:
            self.notes = kept

    return type(make.__name__, (make,), {"answer": answer})


@pytest.mark.parametrize("make", [Lemmy, Telegram], ids=lambda make: make.__name__)
async def test_a_list_that_shows_nothing_at_all_is_a_gap(make: type[Shop], tmp_path: Path, clock: FakeClock) -> None:
    """An empty first page is not believed: the span is written down as one that can't be had."""
    async with serving(busy(forgetful(make), clock)) as shop:
        back = Back(shop, tmp_path, clock)
        report = await back.go()
        assert (report.finished, report.covered, report.added) == (True, 0.0, 0)
        assert "ends before the span" in (report.gap or "") or "list ends" in (report.gap or "")
        assert await back.values("SELECT from_at, to_at FROM gaps") == [
            (SINCE.replace(tzinfo=None), UNTIL.replace(tzinfo=None))
        ]


class Stubborn(Mastodon):
    """A server of another make, which shows its newest page whatever id it is asked to begin after."""

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        query.pop("min_id", None)
        return super().answer(path, query)


@pytest.mark.parametrize("every_s", [60, 600])
async def test_a_server_that_does_not_page_forward_leaves_a_gap(every_s: int, tmp_path: Path, clock: FakeClock) -> None:
    """Its newest page is all that came: what lies before is not taken for heard."""
    async with serving(Stubborn(clock)) as shop:
        shop.publish_at(range(shop.now - 10 * 3600, shop.now, every_s))
        back = Back(shop, tmp_path, clock)
        report = await back.go()
        oldest = sorted(note.at for note in shop.notes)[-shop.PAGE]
        since, until = SINCE.timestamp(), UNTIL.timestamp()
        reached = min(max(oldest, since), until)
        assert report.finished
        assert report.covered == pytest.approx((until - reached) / (until - since))
        assert (report.gap is not None) == (reached > since)
        assert await back.stored() == {row for row in back.wanted() if _is_shown(row, shop)}


def _is_shown(row: tuple[Any, ...], shop: Shop) -> bool:
    return row[0] in {shop.native(note) for note in sorted(shop.notes, key=lambda note: note.at)[-shop.PAGE :]}
