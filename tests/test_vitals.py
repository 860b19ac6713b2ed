"""How the tracker judges itself: what is a word, what is an emergency, and what is nothing at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st

from tracker.models import Stream
from tracker.pulse import STALL_SPAN_S, Pulse, Stalls
from tracker.rows import StreamHealth
from tracker.vitals import Vitals, judge

LONG_AGO = NOON - timedelta(hours=2)


class Steady:
    """A steady clock that is walked."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def pond(stream: str = "frogs", status: str = "ok", *, failures: int = 0, source: str = "pond", success: Any = NOON) -> tuple[Stream, StreamHealth]:  # fmt: skip
    row = StreamHealth(source, stream, True, status, "words of a server", failures, NOON, success, NOON, NOON, 1, 1.0, 1, 1, 0, 1, 0, None, None)  # fmt: skip
    return Stream(source, stream, failures=failures, last_success_at=success), row


def vitals(*streams: tuple[Stream, StreamHealth], **changed: Any) -> Vitals:
    found = Vitals(
        at=NOON, steady=1000.0, up_s=100.0, stopping=False, streams=tuple(stream for stream, _ in streams), every_s={"pond": 60.0, "lake": 60.0},
        health=tuple(row for _, row in streams), health_age_s=1.0, jobs=(), stuck=(), stall_s=0.01, stall_most_s=0.02, waiting=0, waiting_bytes=0,
        full=False, held_s=None, free_bytes=10**9, short_of_disk=False, file_bytes=1, wal_bytes=0,
    )  # fmt: skip
    return replace(found, **changed)


WELL, LAKE = pond(), pond("fish", source="lake")
REFUSED = pond("frogs", "denied", failures=3, success=LONG_AGO)


def test_all_is_well() -> None:
    found = judge(vitals(WELL, LAKE))
    assert (found.status, found.reasons, found.up) == ("ok", (), ("pond", "lake"))


def test_a_stream_that_fails_for_a_moment_is_no_reason() -> None:
    found = judge(vitals(pond(status="unavailable", failures=1, success=NOON - timedelta(seconds=70)), LAKE))
    assert (found.status, found.unknown) == ("ok", ("pond",))


@pytest.mark.parametrize("status", ["denied", "silent", "malformed", "unavailable", "rate_limited"])
def test_a_dead_source_is_named_and_the_whole_works_on(status: str) -> None:
    failures = 0 if status == "silent" else 5
    found = judge(vitals(pond(status=status, failures=failures, success=LONG_AGO), LAKE))
    assert found.status == "degraded"
    assert [(reason.what, reason.about, reason.says) for reason in found.reasons] == [
        ("source", "pond", f"{status} (frogs)")
    ]


def test_a_dead_stream_of_a_source_that_answers_is_named() -> None:
    found = judge(vitals(WELL, pond("toads", "denied", failures=9, success=LONG_AGO)))
    assert [(reason.what, reason.about) for reason in found.reasons] == [("stream", "pond toads")]
    assert found.status == "degraded"


def test_when_no_source_answers_the_whole_is_down() -> None:
    found = judge(vitals(REFUSED, pond("fish", "unavailable", source="lake", failures=9, success=LONG_AGO)))
    assert found.status == "down"
    assert {reason.what for reason in found.reasons} == {"sources", "source"}


def test_what_has_happened_since_the_database_was_read_counts() -> None:
    _, old = REFUSED
    fresh, _ = WELL
    found = judge(vitals((fresh, replace(old, status="unavailable"))))
    assert found.status == "ok"


def test_nobody_is_down_before_anybody_was_asked() -> None:
    assert judge(vitals(health=None, health_age_s=None)).status == "ok"
    stream, _ = WELL
    assert judge(vitals(streams=(stream,), health=None)).unknown == ("pond",)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"full": True}, "journal"),
        ({"short_of_disk": True}, "disk"),
        ({"stopping": True}, "stopping"),
    ],
)
def test_what_keeps_anything_from_being_brought_or_stored_is_down(changed: dict[str, Any], what: str) -> None:
    found = judge(vitals(WELL, **changed))
    assert found.status == "down"
    assert [reason.what for reason in found.reasons if reason.down] == [what]


@pytest.mark.parametrize(
    ("changed", "what"),
    [({"held_s": 40.0, "waiting": 7}, "database"), ({"health_age_s": 500.0}, "database"), ({"stall_s": 1.5}, "loop")],
)
def test_what_only_hurts_is_degraded(changed: dict[str, Any], what: str) -> None:
    found = judge(vitals(WELL, **changed))
    assert found.status == "degraded"
    assert [reason.what for reason in found.reasons] == [what]


def test_no_words_of_a_server_stand_in_a_judgement() -> None:
    assert "words of a server" not in repr(judge(vitals(REFUSED, LAKE)))


@given(st.lists(st.sampled_from([WELL, LAKE, REFUSED, pond("toads", "unavailable", failures=1)]), unique_by=lambda one: one[0].key), st.booleans(), st.booleans())  # fmt: skip
def test_down_has_a_reason_that_says_so_and_ok_has_none(streams: list[Any], full: bool, short: bool) -> None:
    found = judge(vitals(*streams, full=full, short_of_disk=short))
    assert (found.status == "down") == any(reason.down for reason in found.reasons)
    assert (found.status == "ok") == (not found.reasons)
    assert sorted([*found.up, *found.out, *found.unknown]) == sorted({stream.source for stream, _ in streams})


# ------------------------------------------------------------------------------------------------ signs of life


def test_the_writer_has_to_succeed_and_other_jobs_have_to_end() -> None:
    clock = Steady()
    pulse = Pulse(clock)
    pulse.expect("flush", 4.0, 300.0)
    pulse.expect("poll", 1.0, 30.0)
    clock.now += 60.0
    assert pulse.stuck(60.0) == ()  # neither has had the time
    clock.now += 5.0
    assert pulse.stuck(60.0) == ("flush",)
    pulse.began("flush")
    pulse.ended("flush", "the disk")
    assert pulse.stuck(60.0) == ("flush",), "it ended, and nothing was stored"
    pulse.ended("flush")
    assert pulse.stuck(60.0) == ()
    clock.now += 27.0
    assert pulse.stuck(60.0) == ("poll",)
    pulse.ended("poll", "a bug")
    assert pulse.stuck(60.0) == (), "a job that fails is alive"
    (flush, poll) = pulse.jobs
    assert (flush.runs, flush.failures, flush.in_a_row, flush.reason) == (2, 1, 0, "the disk")
    assert (poll.runs, poll.failures, poll.in_a_row) == (1, 1, 1)


def test_a_stuck_writer_and_stuck_polls_are_down_another_stuck_job_is_not() -> None:
    clock = Steady()
    pulse = Pulse(clock)
    for name in ("flush", "poll", "universe"):
        pulse.expect(name, 1.0, 1.0)
    clock.now += 600.0
    found = judge(vitals(WELL, steady=clock.now, jobs=pulse.jobs, stuck=pulse.stuck(60.0)))
    assert [(reason.what, reason.about, reason.down) for reason in found.reasons] == [
        ("writer", "flush", True), ("job", "poll", True), ("job", "universe", False)
    ]  # fmt: skip
    assert "nothing was committed for 600 s" in found.reasons[0].says


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 5)), max_size=50))
def test_the_worst_stall_of_the_last_minute_is_remembered_and_no_older_one(seen: list[tuple[float, float]]) -> None:
    stalls, now, all_seen = Stalls(), 0.0, []
    for step, late in seen:
        now += step
        stalls.late(now, late)
        all_seen.append((now, late))
        assert stalls.worst_s(now) == max(late for when, late in all_seen if when >= now - STALL_SPAN_S)
    assert stalls.most_s == max((late for _, late in all_seen), default=0.0)
