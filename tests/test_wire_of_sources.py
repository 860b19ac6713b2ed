"""Every source over its wire: pages, conditional requests, named times and sick answers, through the real app.

One shop (``shops.py``) a source, asked over loopback HTTP or WebSocket; what is stored is compared with what the shop has
offered. A column that does not apply says why in one line. A new source without a shop fails the first test.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import NOON, FakeClock
from shops import OVERLAP_S, Asking, Named, Shop, serving, tracker
from shops_aside import Apewisdom, Cboe, Firestream, Nasdaq, Rss, Tradestie, Yahoo
from shops_listed import ArcticShift, Hackernews, Lemmy, Reddit, RedditApp, Stocktwits, X, Youtube
from shops_open import Bluesky, Nostr
from shops_paged import Fourchan, Mastodon, Telegram

from tracker import sources

pytestmark = pytest.mark.slow

SHOPS: tuple[type[Shop], ...] = (
    Apewisdom, ArcticShift, Bluesky, Cboe, Firestream, Fourchan, Hackernews, Lemmy, Mastodon, Nasdaq, Nostr, Reddit,
    RedditApp, Rss, Stocktwits, Telegram, Tradestie, X, Yahoo, Youtube,
)  # fmt: skip
every_shop = pytest.mark.parametrize("make", SHOPS, ids=lambda make: make.__name__)
OWN_WAY = {  # sources whose service has a way of its own to name a time, or to refuse without naming one
    "arctic_shift", "lemmy", "mastodon", "nostr", "reddit", "stocktwits", "x", "youtube"
}  # fmt: skip


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


def test_every_source_has_a_shop_and_an_entry_in_every_column() -> None:
    assert {make.SOURCE for make in SHOPS} == set(sources.names())
    for make in SHOPS:
        for reason in (make.NO_PAGES, make.NO_CONDITION):
            assert reason == "" or (len(reason.split()) > 3 and "\n" not in reason), f"{make.__name__}: say why"
        assert {"Retry-After in seconds", "Retry-After as a date"} <= set(make.named)
        assert (len(make.named) > 2) == (make.SOURCE in OWN_WAY), make.__name__
        assert {"403 page", "200 page", "empty", "wrong shape"} < set(make.sick)
        assert len(make.sick) == 5


def settled(shop: Shop) -> None:
    """What is offered when the tracker comes: some of it older than the overlap, so that a walk has an end."""
    shop.publish_at(shop.now - seconds for seconds in (4000, 3900, 3800, 61, 60))


@every_shop
async def test_more_than_one_page_comes_whole_and_once(make: type[Shop], tmp_path: Path, clock: FakeClock) -> None:
    """A burst of several pages, a message in the second of the cursor, and one that shows up late."""
    async with serving(make(clock)) as shop, tracker(shop, tmp_path, clock) as asking:
        settled(shop)
        await asking.until_quiet()
        newest = shop.newest_first[0].at
        clock.advance(4000 if shop.PAGE > 1000 else 1000)
        shop.publish_at([newest, newest - OVERLAP_S // 2])
        shop.publish(shop.PAGE + 150 if shop.PAGE > 1000 else 2 * shop.PAGE + 7)
        asked = len(shop.asked)
        await asking.until_quiet()
        assert await asking.rows() == shop.expected()
        assert shop.NO_PAGES or len(shop.asked) - asked >= 3
        await asking.poll()
        assert await asking.rows() == shop.expected()
        gaps, mentions, messages = await asking.values(
            "SELECT count(*) FROM gaps", "SELECT count(*) FROM mentions", "SELECT count(*) FROM messages"
        )
        assert gaps == [(0,)]
        assert mentions == messages


@every_shop
async def test_what_has_not_changed_is_not_sent_twice(make: type[Shop], tmp_path: Path, clock: FakeClock) -> None:
    """The validator of a whole answer goes with the next request; a 304 is a success and moves nothing."""
    async with serving(make(clock)) as shop, tracker(shop, tmp_path, clock) as asking:
        settled(shop)
        await asking.until_quiet()
        before = asking.stream
        batch = (await asking.poll()).batch
        if shop.NO_CONDITION:
            assert shop.conditions() == []
            assert batch.report.status == "ok"
            return
        assert (batch.report.status, batch.report.requests, batch.report.error) == ("unchanged", 1, None)
        assert shop.unchanged > 0
        assert (batch.messages, batch.headlines, batch.options) == ((), (), ())
        assert asking.stream.last_success_at == clock.now()
        assert asking.stream.failures == 0
        if shop.SOURCE != "fourchan":  # whose cursor says when the list was looked at
            assert asking.stream.cursor == before.cursor
        shop.publish(1)
        await asking.until_quiet()
        assert await asking.rows() == shop.expected()


@every_shop
async def test_a_sick_answer_moves_nothing_and_loses_nothing(
    make: type[Shop], tmp_path: Path, clock: FakeClock
) -> None:
    """It has a name, its validator is not kept, and the next good answer brings everything."""
    async with serving(make(clock)) as shop, tracker(shop, tmp_path, clock) as asking:
        settled(shop)
        await asking.until_quiet()
        for name, sick in shop.sick.items():
            clock.advance(100)
            shop.publish(3)
            before = asking.stream
            shop.fault = sick.reply
            batch = (await asking.poll()).batch
            assert (name, batch.report.status) == (name, sick.status)
            assert batch.report.error or batch.report.skipped, name
            assert (name, batch.messages, batch.headlines, batch.ranks, batch.bars, batch.options) == (
                name,
                (),
                (),
                (),
                (),
                (),
            )
            assert (name, asking.stream.cursor) == (name, before.cursor)
            shop.fault = None
            await asking.until_quiet()
        assert await asking.rows() == shop.expected()
        assert not {'"poison"', "Sun, 01 Mar 2026 00:00:00 GMT"} & set(shop.conditions())


@every_shop
async def test_a_named_time_is_kept_also_after_a_restart(make: type[Shop], tmp_path: Path, clock: FakeClock) -> None:
    """Each way of naming one is stored as it was meant; the last one, the service's own, is then another process's to keep."""
    async with serving(make(clock)) as shop:
        settled(shop)
        async with tracker(shop, tmp_path, clock) as asking:
            for name, named in shop.named.items():
                await asking.until_quiet()
                await _is_told_to_wait(asking, name, named)
                await _still_waits(asking, until_s=2)
        async with tracker(shop, tmp_path, clock) as asking:
            await _still_waits(asking, until_s=1)
            await asking.until_quiet()
            assert await asking.rows() == shop.expected()


async def _is_told_to_wait(asking: Asking, name: str, named: Named) -> None:
    shop = asking.shop
    shop.publish(3)
    asking.walk_until_due()
    now = asking.clock.now()
    shop.waits_until = until = named.until(now)
    shop.fault = named.reply(now)
    outcome = await asking.poll()
    shop.fault = None
    assert (name, outcome.batch.report.status) == (name, "rate_limited" if named.refused else "ok")
    limits, due = await asking.values("SELECT not_before FROM limits", "SELECT next_poll_at FROM streams")
    assert (name, limits, due) == (name, [(until.replace(tzinfo=None),)], [(until.replace(tzinfo=None),)])


async def _still_waits(asking: Asking, until_s: float) -> None:
    """Nobody is asked until so many seconds before the named time."""
    asked = len(asking.shop.asked)
    asking.clock.advance((asking.shop.waits_until - asking.clock.now()).total_seconds() - until_s)
    assert await asking.tick() is None
    assert len(asking.shop.asked) == asked
