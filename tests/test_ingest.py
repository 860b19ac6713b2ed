"""A page becomes rows, an attempt becomes a batch: what is kept, what is never kept, and when the stream is asked again."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from fakes import NOON, FakeClock, FakeServer, FakeSource, analysis, make_plan, message
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, SourceError, Unavailable
from tracker.http import Http, Tally
from tracker.ingest import FIREHOSE_PAGE, Attempt, Digest, Outcome, PollPlan, conclude, digest, poll
from tracker.models import Ballot, BallotOption, Deletion, Flaw, Gap, Item, Limit, Message, Page, Stream
from tracker.wire import EARLIEST

HOUR = timedelta(hours=1)
STREAM = Stream(
    "pond", "frogs", cursor={"n": 1}, failures=2, last_success_at=NOON - HOUR, last_message_at=NOON - HOUR, note="old"
)


def rows_of(
    *items: Item, keep: str = "all", only: frozenset[str] | None = None, fetched_at: datetime | None = NOON
) -> Digest:
    return digest(items, analysis(only), stream="frogs", fetched_at=fetched_at, keep=keep)


def finish(
    page: Page | None = None,
    failed: SourceError | None = None,
    *,
    stream: Stream = STREAM,
    plan: PollPlan | None = None,
    tally: Tally | None = None,
) -> Outcome:
    """An attempt that began two seconds before noon and ended at noon."""
    attempt = Attempt(NOON - timedelta(seconds=2), 2000, tally or Tally(requests=1, bytes=10, http_status=200), NOON)
    return conclude(stream, plan or make_plan(), analysis(), attempt, page, failed)


def after(outcome: Outcome) -> Stream:
    assert outcome.batch.stream is not None
    return outcome.batch.stream


# ------------------------------------------------------------------------------------------------------ digest


def test_a_message_becomes_a_row_with_its_mentions_and_its_tone() -> None:
    found = rows_of(
        message("$GME and $BABA to the moon 🚀", "7", at=NOON - HOUR, lang="en", likes=3, url="https://pond.example/7")
    )
    (row,), (tone,) = found.messages, found.tones
    assert (row.source, row.id, row.stream, row.lang, row.likes, row.reshares) == ("pond", "7", "frogs", "en", 3, None)
    assert (row.created_at, row.fetched_at, row.time_flag) == (NOON - HOUR, NOON, False)
    assert sorted(mention.symbol for mention in found.mentions) == ["BABA", "GME"]
    for mention in found.mentions:
        assert (mention.message_id, mention.created_at, mention.fetched_at) == ("7", row.created_at, NOON)
        assert (mention.text_key, mention.author, mention.label) == (row.text_key, row.author, None)
        assert (mention.tone, mention.stance) == (tone.tone, tone.stance)
    assert tone.stance == 1


def test_the_same_page_gives_the_same_rows() -> None:
    items = (message("$GME up", "1"), Flaw("bad"), Deletion("pond", "2"), message("so it goes", "3", at=None))
    assert rows_of(*items) == rows_of(*items)


def test_a_flaw_is_counted_and_the_rest_of_the_page_is_kept() -> None:
    found = rows_of(Flaw("no id"), message("$GME", "1"), Flaw("no text", "items[2]"), message("$GME", "2"))
    assert found.skipped == 2
    assert [row.id for row in found.messages] == ["1", "2"]


@pytest.mark.parametrize(("label", "stance", "number"), [("bullish", 1, 1), ("bearish", -1, -1)])
@pytest.mark.parametrize("text", ["$GME to the moon 🚀", "$GME is a scam, it will crash", "$GME"])
def test_the_authors_label_overrides_the_tone_in_the_mention_and_nowhere_else(
    text: str, label: Any, stance: int, number: int
) -> None:
    labelled, plain = rows_of(message(text, label=label)), rows_of(message(text))
    (mention,) = labelled.mentions
    assert (mention.stance, mention.label) == (stance, number)
    assert labelled.messages[0].label == label
    assert labelled.tones == plain.tones, "the tone is what the words say"
    assert plain.mentions[0].stance == plain.tones[0].stance


def test_a_page_of_a_firehose_keeps_what_single_messages_keep() -> None:
    """A page that is looked through at once, edits, deletions, flaws and what the platform says among its messages."""
    talk = ("$GME", "so it goes", "nvidia calls", "lunch", "YOLO into TSLA", "on it", "", "9988.HK", "@a #b", "alibaba")
    items: list[Item] = [message(text, f"{n}.{m}") for n in range(FIREHOSE_PAGE // 8) for m, text in enumerate(talk)]
    items += [Flaw("bad"), Deletion("pond", "1.0"), message("nothing", "said", symbols=("BABA",))]
    items.append(replace(message("nothing more", "edit"), edited=True))
    assert len(items) > FIREHOSE_PAGE
    whole = rows_of(*items, keep="mentions")
    single = [rows_of(item, keep="mentions") for item in items]
    assert whole.messages == tuple(row for one in single for row in one.messages)
    assert whole.mentions == tuple(row for one in single for row in one.mentions)
    assert whole.deletions == tuple(row for one in single for row in one.deletions)
    assert whole.skipped == 1
    assert {row.id.partition(".")[2] for row in whole.messages} > {"0", "2", "7", "9"}


def test_keep_mentions_drops_messages_about_nothing_that_we_know() -> None:
    items = (message("nice weather", "1"), message("$GME", "2"))
    assert [row.id for row in rows_of(*items).messages] == ["1", "2"]
    kept = rows_of(*items, keep="mentions")
    assert [row.id for row in kept.messages] == ["2"]
    assert [tone.message_id for tone in kept.tones] == ["2"]
    assert kept.skipped == 0, "what is not about us is no flaw"


def test_only_the_watched_symbols_are_mentions_where_nothing_is_to_be_discovered() -> None:
    items = (message("$GME and $BABA", "1"), message("$BABA", "2"))
    found = rows_of(*items, only=frozenset({"GME"}))
    assert [(mention.message_id, mention.symbol) for mention in found.mentions] == [("1", "GME")]
    assert [row.id for row in found.messages] == ["1", "2"]
    assert [row.id for row in rows_of(*items, only=frozenset({"GME"}), keep="mentions").messages] == ["1"]


@pytest.mark.parametrize(
    ("claimed", "stored"),
    [(None, NOON), (NOON + HOUR, NOON), (datetime(1970, 1, 1, tzinfo=NOON.tzinfo), EARLIEST)],
)
def test_an_impossible_time_is_clamped_and_flagged_in_message_and_mention(
    claimed: datetime | None, stored: datetime
) -> None:
    found = rows_of(message("$GME", at=claimed))
    assert (found.messages[0].created_at, found.messages[0].time_flag) == (stored, True)
    assert found.mentions[0].created_at == stored


def test_on_the_simulated_clock_a_message_is_known_when_it_was_made() -> None:
    found = rows_of(
        message("$GME", "1", at=NOON - HOUR), message("$GME", "2", at=None), Deletion("pond", "3"), fetched_at=None
    )
    assert [(row.id, row.fetched_at) for row in found.messages] == [("1", NOON - HOUR)]
    assert found.skipped == 2, "what has no time has no place on that clock"


def test_a_deletion_keeps_its_time_but_never_a_future_one() -> None:
    found = rows_of(
        Deletion("pond", "1", deleted_at=NOON - HOUR, revision="r2"),
        Deletion("pond", "2"),
        Deletion("pond", "3", deleted_at=NOON + HOUR),
    )
    assert [(row.id, row.deleted_at, row.revision) for row in found.deletions] == [
        ("1", NOON - HOUR, "r2"),
        ("2", NOON, None),
        ("3", NOON, None),
    ]


NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=6, max_size=20).map(
    lambda name: f"kermit-{name}"
)


@given(NAMES)
def test_an_author_is_a_hash_in_every_row_and_the_name_is_nowhere(name: str) -> None:
    items = (message("$GME", "1", author=name), message("$GME", "2", author=name), Deletion("pond", author=name))
    found = rows_of(*items)
    hashes = {
        author for rows in (found.messages, found.mentions, found.deletions) for author in (row.author for row in rows)
    }
    assert len(hashes) == 1
    (hashed,) = hashes
    assert hashed is not None
    assert len(hashed) == 32
    assert name not in json.dumps(asdict(found), default=str, ensure_ascii=False)


def test_the_hash_depends_on_author_source_and_key_and_nothing_else() -> None:
    ours, theirs = analysis(), replace(analysis(), author_key=b"j" * 32)
    one = ours.hash_author("pond", "kermit")
    assert one == ours.hash_author("pond", "kermit")
    assert (
        len(
            {
                one,
                ours.hash_author("lake", "kermit"),
                ours.hash_author("pond", "Kermit"),
                theirs.hash_author("pond", "kermit"),
            }
        )
        == 4
    )
    assert ours.hash_author("pond", None) is None
    assert ours.hash_author("pond", "\ud800") is not None
    assert ours.hash_author("ab", "c") != ours.hash_author("a", "bc")


def test_reshares_are_marked_in_their_mentions() -> None:
    found = rows_of(message("$GME", "1"), message("$GME", "2", reshare_of="1"))
    assert [mention.reshare for mention in found.mentions] == [False, True]


# ---------------------------------------------------------------------------------------------------- conclude


def test_a_good_poll_moves_the_cursor_forgets_failures_and_is_due_an_interval_later() -> None:
    page = Page(
        (message("$GME", at=NOON - timedelta(minutes=1)), Flaw("bad")),
        {"n": 2},
        note="half of it",
        covers_from=NOON - HOUR,
    )
    outcome = finish(page)
    stream, report = after(outcome), outcome.batch.report
    assert (stream.cursor, stream.failures, stream.note) == ({"n": 2}, 0, "half of it")
    assert stream.next_poll_at == NOON + timedelta(seconds=60)
    assert stream.last_success_at == report.started_at == NOON - timedelta(seconds=2)
    assert stream.last_message_at == NOON - timedelta(minutes=1)
    assert (report.status, report.up, report.fetched, report.skipped) == ("ok", True, 2, 1)
    assert (report.http_status, report.requests, report.bytes, report.duration_ms) == (200, 1, 10, 2000)
    assert (report.error, report.retry_after_s, report.covers_from) == (None, None, NOON - HOUR)
    assert outcome.batch.fetched_at == NOON
    assert outcome.error is None


def test_a_page_without_a_cursor_leaves_the_stored_one() -> None:
    assert after(finish(Page((), None))).cursor == {"n": 1}


def test_an_older_message_does_not_turn_the_newest_time_back() -> None:
    assert after(finish(Page((message("x", at=NOON - 2 * HOUR),), {"n": 2}))).last_message_at == NOON - HOUR


def test_unchanged_is_a_success_with_nothing_new() -> None:
    outcome = finish(Page((), None, unchanged=True), tally=Tally(requests=1, http_status=304))
    assert (outcome.batch.report.status, outcome.batch.report.up, outcome.batch.report.http_status) == (
        "unchanged",
        True,
        304,
    )
    assert (after(outcome).failures, after(outcome).last_success_at) == (0, NOON - timedelta(seconds=2))
    assert after(outcome).last_message_at == NOON - HOUR


def test_a_walk_that_is_not_over_goes_on_soon() -> None:
    assert finish(Page((), {"n": 2}, more=True)).wait_s == 1.0


def test_a_known_loss_becomes_a_gap_row() -> None:
    outcome = finish(Page((), {"n": 2}, gap=Gap(NOON - 2 * HOUR, NOON - HOUR, "too old")))
    (gap,) = outcome.batch.gaps
    assert (gap.source, gap.stream, gap.from_at, gap.to_at) == ("pond", "frogs", NOON - 2 * HOUR, NOON - HOUR)
    assert (gap.reason, gap.found_at) == ("too old", NOON)
    assert finish(Page((), {"n": 2})).batch.gaps == ()


FAILURES: list[tuple[SourceError, str, float, float, float | None]] = [
    # error, status, least and most seconds to wait, how long everybody in the scope has to wait too
    (Unavailable("gone"), "unavailable", 480, 528, None),
    (Unavailable("gone", retry_after_s=1000), "unavailable", 1000, 1100, 1000),
    (Malformed("not JSON"), "malformed", 480, 528, None),
    (SourceError("an error of ours"), "error", 480, 528, None),
    (RateLimited("too many", retry_after_s=90), "rate_limited", 90, 90, 90),
    (RateLimited("too many", retry_after_s=0), "rate_limited", 60, 60, 60),
    (RateLimited("too many"), "rate_limited", 480, 480, 480),
    (AccessDenied("forbidden"), "denied", 3600, 3600, 3600),
    (AccessDenied("forbidden", retry_after_s=7200), "denied", 7200, 7200, 7200),
    (NotFound("no such pond"), "denied", 3600, 3600, None),
]


@pytest.mark.parametrize(
    ("error", "status", "least", "most", "scope_s"), FAILURES, ids=lambda value: getattr(value, "message", None)
)
def test_each_failure_is_a_row_and_a_wait_and_moves_nothing_else(
    error: SourceError, status: str, least: float, most: float, scope_s: float | None
) -> None:
    outcome = finish(None, error)
    report, stream = outcome.batch.report, after(outcome)
    assert (report.status, report.up, report.fetched, report.error) == (status, False, 0, str(error))
    assert report.retry_after_s == error.retry_after_s
    assert least <= outcome.wait_s <= most
    assert stream.next_poll_at == NOON + timedelta(seconds=outcome.wait_s)
    assert (stream.cursor, stream.failures, stream.note) == ({"n": 1}, 3, str(error))
    assert (stream.last_success_at, stream.last_message_at) == (NOON - HOUR, NOON - HOUR)
    assert (outcome.batch.messages, outcome.batch.gaps) == ((), ())
    if scope_s is None:
        assert outcome.batch.limits == ()
    else:
        (limit,) = outcome.batch.limits
        assert limit.scope == "source:pond"
        assert NOON + timedelta(seconds=scope_s) <= limit.not_before == stream.next_poll_at
    assert outcome.error is error


def test_a_walk_that_was_cut_short_keeps_what_came_and_waits_as_after_any_failure() -> None:
    page = Page((message("$GME"),), {"n": 2}, more=True)
    outcome = finish(page, RateLimited("too many", retry_after_s=90))
    assert [row.text for row in outcome.batch.messages] == ["$GME"]
    assert (after(outcome).cursor, after(outcome).failures, outcome.wait_s) == ({"n": 2}, 3, 90.0)
    assert (outcome.batch.report.status, outcome.batch.report.fetched) == ("rate_limited", 1)
    assert len(outcome.batch.limits) == 1


def test_an_error_knows_its_own_http_status_better_than_the_last_answer() -> None:
    assert finish(None, RateLimited("x", http_status=429)).batch.report.http_status == 429
    assert finish(None, Malformed("x")).batch.report.http_status == 200


def test_a_long_error_is_cut_in_row_and_note() -> None:
    outcome = finish(None, Unavailable("x" * 5000))
    assert outcome.batch.report.error == after(outcome).note == "x" * 500


def test_a_good_answer_that_used_up_the_window_limits_the_whole_scope() -> None:
    outcome = finish(Page((), {"n": 2}), tally=Tally(requests=1, wait_s=300), plan=make_plan(scope="host:pond.example"))
    assert outcome.batch.report.status == "ok"
    assert outcome.batch.limits == (
        Limit("host:pond.example", NOON + timedelta(seconds=300), "the server's rate limit is used up"),
    )
    assert finish(Page((), {"n": 2}), tally=Tally(requests=1, wait_s=0)).batch.limits == ()


WISHES = st.none() | st.floats(0, 86_400)
ERRORS = st.builds(
    lambda kind, wish: kind("x", retry_after_s=wish),
    st.sampled_from([Unavailable, RateLimited, AccessDenied, NotFound, Malformed, SourceError]),
    WISHES,
)


@given(ERRORS, st.integers(0, 100))
def test_nobody_is_asked_before_a_named_time_nor_before_the_interval(error: SourceError, failures: int) -> None:
    outcome = finish(None, error, stream=replace(STREAM, failures=failures))
    assert outcome.wait_s >= max(60.0, error.retry_after_s or 0.0)
    if error.retry_after_s is not None:
        (limit,) = outcome.batch.limits
        assert limit.not_before >= NOON + timedelta(seconds=error.retry_after_s)


# --------------------------------------------------------------------------------------------------- one poll


async def once(source: FakeSource, server: FakeServer, clock: FakeClock, tally: Tally | None = None) -> Outcome:
    return await poll(
        source, replace(STREAM, failures=0), make_plan(), Http(server, clock.now), analysis(), clock, tally
    )


async def test_a_poll_asks_with_the_stored_cursor_and_counts_its_requests() -> None:
    clock = FakeClock()
    server, source = FakeServer(clock), FakeSource(pages=3).message("$GME")
    outcome = await once(source, server, clock)
    assert source.cursors == [{"n": 1}]
    assert outcome.batch.report.requests == len(server.asked) == 3
    assert [row.text for row in outcome.batch.messages] == ["$GME"]


async def test_an_error_of_the_source_is_an_outcome_with_what_it_used() -> None:
    clock = FakeClock()
    server = FakeServer(clock).will("frogs", 429, {"retry-after": "77"})
    outcome = await once(FakeSource(), server, clock)
    assert isinstance(outcome.error, RateLimited)
    report = outcome.batch.report
    assert (report.status, report.http_status, report.requests, report.retry_after_s) == ("rate_limited", 429, 1, 77.0)


async def test_the_error_that_cut_a_walk_short_is_the_polls_own() -> None:
    clock = FakeClock()
    cut = Unavailable("gone")
    outcome = await once(FakeSource().page(message("$GME"), cut_short=cut), FakeServer(clock), clock)
    assert outcome.error is cut
    assert (outcome.batch.report.status, len(outcome.batch.messages)) == ("unavailable", 1)


async def test_a_bug_goes_up_with_its_requests_counted_for_who_has_to_know() -> None:
    clock, tally = FakeClock(), Tally()
    with pytest.raises(ZeroDivisionError):
        await once(FakeSource(pages=2).fails_once(ZeroDivisionError()), FakeServer(clock), clock, tally)
    assert tally.requests == 2


async def test_a_poll_takes_as_long_as_the_monotonic_clock_says() -> None:
    clock = FakeClock()

    class Slow(FakeSource):
        async def fetch(self, *arguments: Any) -> Page:
            clock.advance(1.5)
            clock.set_wall(-3600)
            return await super().fetch(*arguments)

    outcome = await once(Slow().page(), FakeServer(clock), clock)
    assert outcome.batch.report.duration_ms == 1500


def test_an_edit_that_names_no_symbol_any_more_takes_the_message_away_where_only_mentions_are_kept() -> None:
    edit = Message("pond", "1", NOON, "nothing to see", revision="b", edited=True)
    found = digest([edit], analysis(), stream="all", fetched_at=NOON, keep="mentions")
    assert found.messages == ()
    assert [(row.id, row.revision) for row in found.deletions] == [("1", "b")]


def test_the_newest_of_two_contents_on_one_page_stands_at_the_time_of_the_first() -> None:
    made = Message("pond", "1", NOON - timedelta(hours=3), "$GME up", revision="a")
    edit = Message("pond", "1", NOON, "$BABA up", revision="b", edited=True)
    for page in ([made, edit], [made, edit, made]):
        found = digest(page, analysis(), stream="all", fetched_at=NOON)
        assert [(row.text, row.created_at, row.time_flag) for row in found.messages] == [
            ("$BABA up", NOON - timedelta(hours=3), False)
        ]
        assert [mention.symbol for mention in found.mentions] == ["BABA"]


# ------------------------------------------------------------------------------------------------- polls of people


def asked(*votes: int | None, voters: int | None = None, closes_at: datetime | None = None) -> Ballot:
    """A poll with these votes for its options a, b, …"""
    options = tuple(BallotOption(chr(ord("a") + place), number) for place, number in enumerate(votes))
    return Ballot(options, "Up or down?", voters, closes_at)


def test_a_poll_becomes_a_row_for_each_option_and_symbol_that_its_message_names() -> None:
    ballot = asked(3, 1, voters=4, closes_at=NOON + HOUR)
    found = rows_of(message("$GME or $BABA?", "7", at=NOON - HOUR, ballot=ballot), message("$GME", "8"))
    assert [(row.symbol, row.position, row.option, row.votes, row.share) for row in found.ballots] == [
        ("GME", 1, "a", 3, 0.75), ("GME", 2, "b", 1, 0.25), ("BABA", 1, "a", 3, 0.75), ("BABA", 2, "b", 1, 0.25)
    ]  # fmt: skip
    for row in found.ballots:
        assert (row.source, row.message_id, row.question, row.voters) == ("pond", "7", "Up or down?", 4)
        assert (row.created_at, row.seen_at, row.closes_at) == (NOON - HOUR, NOON, NOON + HOUR)


def test_a_poll_in_a_message_that_names_no_symbol_is_nobodys() -> None:
    assert rows_of(message("nice weather?", ballot=asked(1, 2))).ballots == ()


@pytest.mark.parametrize("votes", [(None, None), (None, 3), (0, 0)])
def test_shares_are_unknown_while_any_votes_are_and_while_nobody_has_voted(votes: tuple[int | None, ...]) -> None:
    found = rows_of(message("$GME?", ballot=asked(*votes, voters=17)))
    assert [(row.votes, row.share, row.voters) for row in found.ballots] == [(number, None, 17) for number in votes]


def test_on_the_simulated_clock_votes_are_known_when_voting_ends_and_a_hidden_state_when_it_was_asked() -> None:
    """An archive holds the result: seen when the message was made it would be a look into the future."""
    ends = NOON + 24 * HOUR
    for ballot, seen_at in [
        (asked(3, 1, closes_at=ends), ends),
        (asked(None, None, voters=4, closes_at=ends), ends),
        (asked(None, None, closes_at=ends), NOON),
        (asked(3, 1), NOON),
        (asked(3, 1, closes_at=NOON - HOUR), NOON),
    ]:
        found = rows_of(message("$GME?", at=NOON, ballot=ballot), fetched_at=None)
        assert {row.seen_at for row in found.ballots} == {seen_at}


def test_a_batch_carries_the_polls_of_its_page() -> None:
    batch = finish(Page((message("$GME?", ballot=asked(1, 2)),), {"n": 2})).batch
    assert [(row.option, row.votes) for row in batch.ballots] == [("a", 1), ("b", 2)]


def test_of_two_contents_on_one_page_the_poll_of_the_newest_counts() -> None:
    made = message("$GME up?", revision="a", ballot=asked(1))
    edit = message("$BABA up?", revision="b", ballot=asked(2))
    assert [(row.symbol, row.votes) for row in rows_of(made, edit, made).ballots] == [("BABA", 2)]
