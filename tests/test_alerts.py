"""What is worth telling: tables of what is seen and what is told, and the laws that hold for whatever is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.alerts import (
    BACK,
    LABELS,
    Event,
    Facts,
    Followed,
    State,
    decide,
    digest_due,
    fold,
    from_json,
    left,
    mark_of,
    to_json,
    works,
)
from tracker.config_alerts import COLUMNS
from tracker.config_schema import AlertRule, Comparison, Window
from tracker.rows import Episode, Reading, StreamHealth

NOON = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)
BANDS = (25.0, 45.0, 55.0, 75.0)
STEP = timedelta(minutes=5)
HOUR = timedelta(hours=1)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def label_of(score: float | None) -> str | None:
    if score is None:
        return None
    places = (score < 25, score < 45, score <= 55, score <= 75, True)
    return LABELS[places.index(True)]


def reading(moment: datetime = NOON, symbol: str = "BABA", **seen: Any) -> Reading:
    """A reading of the last 24 hours, quite ordinary but for what is given."""
    values: dict[str, Any] = dict.fromkeys(Reading.__slots__)
    values |= {
        "symbol": symbol, "at": moment, "window_name": "24h", "messages": 50, "organic": 40, "authors": 30, "texts": 40,
        "bullish": 12, "bearish": 8, "neutral": 20, "expected": 40.0, "volume_z": 0.0, "previous_messages": 50,
        "sources_up": 3, "baseline": "own", "volume_baseline": "own", "computed_at": moment,
    }  # fmt: skip
    if "sentiment_score" in seen:
        values["sentiment_label"] = label_of(seen["sentiment_score"])
    return Reading(**{**values, **seen})


def rule(when: str = "label_change", **more: Any) -> AlertRule:
    return AlertRule("r", when, ("desk",), **{"cool_down_s": 0.0, **more})  # type: ignore[arg-type]


def crossing(text: str, **more: Any) -> AlertRule:
    column, op, number = text.split()
    return rule("crossing", comparison=Comparison(column, op, float(number), *COLUMNS[column]), **more)  # type: ignore[arg-type]


def seen(values: Sequence[Any], make: Callable[[datetime, Any], dict[str, Any]], step: timedelta = STEP) -> list[Facts]:
    """One look each ``step``, the first of them the first ever."""
    moments = [NOON + number * step for number in range(len(values))]
    befores = [None, *moments]
    return [
        Facts("BABA", moment, before, step, BANDS, **make(moment, value))
        for moment, before, value in zip(moments, befores, values, strict=False)
    ]


def readings(column: str, values: Sequence[Any], step: timedelta = STEP, **more: Any) -> list[Facts]:
    return seen(values, lambda moment, value: {"reading": reading(moment, **{column: value}, **more)}, step)


def told(events: Iterable[Event]) -> list[tuple[float, str]]:
    """(minutes after noon, kind) of each event."""
    return [((event.at - NOON) / timedelta(minutes=1), event.kind) for event in events]


# ------------------------------------------------------------------------------------------------ labels


@pytest.mark.parametrize(
    ("scores", "turns"),
    [
        ([50, 50, 50], []),
        ([80, 80], []),  # the first sight is silent, whatever it shows
        ([50, 56, 56.9], []),  # another label, but within two points of the one that was told
        ([50, 57], [5]),
        ([50, 53, 58, 56, 53.1], [10]),  # there, and not yet back
        ([50, 58, 53], [5, 10]),
        ([50, 77], [5]),
        ([50, 80, 76, 73.5], [5]),
        ([50, 80, 76, 73], [5, 15]),
        ([50, 43.1, 44], []),
        ([50, 43, 46.9], [5]),
        ([50, 43, 47], [5, 10]),
        ([26, 23], [5]),
        ([26, 23.5], []),
        ([50, None, None, 51], []),  # nothing known changes nothing
        ([50, None, 60], [10]),
        ([None, None, 60], []),
    ],
)
def test_a_label_change_is_told_when_the_score_is_clearly_outside(scores: list[float | None], turns: list[int]) -> None:
    _, events = fold(rule(), None, readings("sentiment_score", scores))
    assert told(events) == [(minutes, "label_changed") for minutes in turns]


def test_a_label_change_says_from_what_to_what_with_its_numbers() -> None:
    _, (event,) = fold(rule(), None, readings("sentiment_score", [50, 58.4]))
    assert event.title == "BABA: sentiment bullish (was neutral)"
    assert event.sentence == (
        "Retail sentiment on BABA went from 'neutral' to 'bullish': "
        "score 58 of 100 from 20 opinions in the 24h to 2026-11-17 12:05 UTC."
    )


@given(
    st.floats(2, 98), st.lists(st.floats(0, 1.99), min_size=2, max_size=40), st.sampled_from(LABELS)
)  # fmt: skip
def test_a_score_that_jitters_within_two_points_never_alerts_twice(
    base: float, jitter: list[float], label: str
) -> None:
    facts = readings("sentiment_score", [min(100.0, base + more) for more in jitter])
    known = replace(facts[0], previous=NOON - STEP)
    _, events = fold(rule(), State(side=label), [known, *facts[1:]])
    assert len(events) <= 1


@given(st.lists(st.one_of(st.none(), st.floats(0, 100)), max_size=60))
def test_told_labels_form_a_chain_and_each_was_really_seen(scores: list[float | None]) -> None:
    facts = readings("sentiment_score", scores)
    _, events = fold(rule(), None, facts)
    shown = {one.at: one.reading.sentiment_label for one in facts if one.reading is not None}
    now = next((label for label in shown.values() if label is not None), None)
    for event in events:
        before, after = event.sentence.split("'")[1], event.sentence.split("'")[3]
        assert before == now != after == shown[event.at]
        now = after


@pytest.mark.parametrize(
    ("label", "score", "out"),
    [
        ("neutral", 43.0, True), ("neutral", 43.01, False), ("neutral", 57.0, True), ("neutral", 56.9, False),
        ("extremely bearish", 0.0, False), ("extremely bearish", 27.0, True), ("extremely bullish", 100.0, False),
        ("extremely bullish", 73.0, True), ("bullish", 53.0, True), ("bullish", 77.0, True), ("no such label", 50.0, True),
    ],
)  # fmt: skip
def test_a_label_is_left_two_points_beyond_its_band(label: str, score: float, out: bool) -> None:
    assert left(label, score, BANDS) is out


# ------------------------------------------------------------------------------------------------ crossings


@pytest.mark.parametrize(
    ("wanted", "values", "turns"),
    [
        ("sentiment_score > 80", [70, 80, 80.1, 90], [10]),
        ("sentiment_score > 80", [85, 90, 79, 78.1, 81], []),  # beyond from the start, and never back by two points
        ("sentiment_score > 80", [85, 78, 81], [10]),
        ("sentiment_score > 80", [70, 81, 79, 81, 78, 81], [5, 25]),
        ("sentiment_score >= 80", [70, 80], [5]),
        ("sentiment_score < 20", [30, 19, 21, 19, 22, 19.9], [5, 25]),
        ("bullish_ratio > 0.9", [0.5, 0.95, 0.89, 0.95, 0.88, 0.95], [5, 25]),
        ("volume_z >= 3", [0, 3, 2.8, 3, 2.7, 3], [5, 25]),
        ("volume_z < -2", [0, -2.1, -1.8, -2.1, -1.7, -2.1], [5, 25]),
        ("messages > 100", [10, 101, 99, 101, 98, 101], [5, 25]),
        ("volume_change > 4.6", [None, 5.0], []),  # the first that is known is the first that is seen
        ("volume_change > 4.6", [1.0, None, 5.0], [10]),
        ("sentiment_score > 1", [0, 2, 0.6, 2, 0.5, 2], [5, 25]),  # where two points back do not exist, half of the way
        ("bullish_ratio > 0", [0, 0.4, 0, 0.4], [5, 15]),
    ],
)
def test_a_crossing_is_told_once_until_it_was_clearly_back(
    wanted: str, values: list[float | None], turns: list[int]
) -> None:
    _, events = fold(crossing(wanted), None, readings(wanted.split()[0], values))
    assert told(events) == [(minutes, "crossed") for minutes in turns]


def test_little_talk_is_no_crossing_while_nobody_listened() -> None:
    deaf = readings("messages", [50, 3], sources_up=0)
    assert fold(crossing("messages < 10"), None, deaf)[1] == ()
    heard = readings("messages", [50, 3])
    assert told(fold(crossing("messages < 10"), None, heard)[1]) == [(5, "crossed")]
    loud = readings("messages", [50, 300], sources_up=0)  # what was heard was heard
    assert told(fold(crossing("messages > 200"), None, loud)[1]) == [(5, "crossed")]


def test_a_crossing_says_which_number_crossed_which() -> None:
    _, (event,) = fold(crossing("buzz > 3"), None, readings("buzz", [1.0, 3.456]))
    assert event.title == "BABA: buzz 3.46 (buzz > 3)"
    assert "50 messages (40 organic)" in event.sentence


@given(
    st.floats(10, 90),
    st.lists(st.floats(-0.99, 0.99), min_size=1, max_size=40),
    st.sampled_from([">", ">=", "<", "<="]),
)
def test_a_value_that_jitters_around_the_number_alerts_once_at_most(
    number: float, jitter: list[float], op: str
) -> None:
    facts = readings("sentiment_score", [number + more for more in jitter])
    assert len(fold(crossing(f"sentiment_score {op} {number}"), None, facts)[1]) <= 1


def test_every_column_that_can_be_compared_has_a_way_back() -> None:
    assert BACK.keys() == COLUMNS.keys()
    assert COLUMNS.keys() <= set(Reading.__slots__)


# ------------------------------------------------------------------------------------------------ quiet


@pytest.mark.parametrize(
    ("values", "turns"),
    [
        ([(0, 40, 3), (-2, 40, 3), (-3, 40, 3)], [5]),
        ([(-2, 40, 3), (-3, 40, 3)], []),
        ([(0, 40, 3), (-1.99, 40, 3)], []),
        ([(0, 40, 3), (-2, 4.9, 3)], []),  # of a few that were to be expected none is no silence
        ([(0, 40, 3), (-3, 40, 0)], []),  # nobody listened
        ([(0, 40, 3), (-2, 40, 3), (-1.8, 40, 3), (-2, 40, 3), (-1.75, 40, 3), (-2, 40, 3)], [5, 25]),
        ([(0, 40, 3), (None, 40, 3), (-2, None, 3), (-2, 40, 3)], [15]),
    ],
)
def test_quiet_is_told_while_sources_are_heard(values: list[tuple[Any, Any, int]], turns: list[int]) -> None:
    facts = seen(
        values,
        lambda moment, v: {"reading": reading(moment, volume_z=v[0], expected=v[1], sources_up=v[2], organic=2)},
    )
    _, events = fold(rule("quiet"), None, facts)
    assert told(events) == [(minutes, "quiet") for minutes in turns]


# ------------------------------------------------------------------------------------------------ cool-down, gaps, clocks


def test_cool_down_counts_from_the_moment_of_the_event_and_what_happens_meanwhile_is_known() -> None:
    hourly = rule(cool_down_s=3600.0)
    scores = [50, 60, 50, 60, *[60] * 9, 50, 60]
    state, events = fold(hourly, None, readings("sentiment_score", scores))
    assert told(events) == [(5, "label_changed"), (65, "label_changed")]
    assert state.side == "bullish"
    assert state.told_at == at(65)


def test_cool_down_survives_being_written_down() -> None:
    hourly = rule(cool_down_s=3600.0)
    first, second = readings("sentiment_score", [50, 60]), readings("sentiment_score", [50, 60, 40, 40])[2:]
    state, _ = fold(hourly, None, first)
    assert fold(hourly, from_json(to_json(state)), second)[1] == ()


def test_a_change_that_happened_while_nobody_looked_for_long_is_taken_in_silently() -> None:
    state, _ = fold(rule(), None, readings("sentiment_score", [50, 50]))
    later = NOON + timedelta(hours=49)  # more than two windows
    facts = Facts("BABA", later, at(5), STEP, BANDS, reading=reading(later, sentiment_score=80.0))
    after, events = decide(rule(), state, facts)
    assert (after.side, events) == ("extremely bullish", ())
    sooner = replace(
        facts, at=NOON + timedelta(hours=47), reading=reading(NOON + timedelta(hours=47), sentiment_score=80.0)
    )
    assert [event.kind for event in decide(rule(), state, sooner)[1]] == ["label_changed"]


def test_a_short_window_has_at_least_six_hours_of_patience() -> None:
    quick = rule(window=Window("1h", 3600.0))
    state = State(side="neutral")
    for hours, count in ((5.9, 1), (6.1, 0)):
        later = NOON + timedelta(hours=hours)
        facts = Facts("BABA", later, NOON, STEP, BANDS, reading=reading(later, sentiment_score=80.0))
        assert len(decide(quick, state, facts)[1]) == count


def test_looks_that_are_a_day_apart_are_no_gaps() -> None:
    _, events = fold(rule(), None, readings("sentiment_score", [50, 80, 50], timedelta(days=1)))
    assert len(events) == 2


def test_a_clock_that_was_set_back_starts_no_storm_and_silences_nobody() -> None:
    state, _ = fold(rule(cool_down_s=3600.0), None, readings("sentiment_score", [50, 60]))
    ahead = replace(state, told_at=NOON + timedelta(days=400))  # told by a clock that ran ahead
    back = Facts("BABA", at(-600), at(5), STEP, BANDS, reading=reading(at(-600), sentiment_score=20.0))
    state, events = decide(rule(cool_down_s=3600.0), ahead, back)
    assert (state.side, events) == ("extremely bearish", ())
    going_on = Facts("BABA", at(-595), at(-600), STEP, BANDS, reading=reading(at(-595), sentiment_score=80.0))
    assert len(decide(rule(cool_down_s=3600.0), state, going_on)[1]) == 1


def test_the_same_moment_a_second_time_changes_nothing() -> None:
    facts = readings("sentiment_score", [50, 60])
    state, events = fold(rule(), None, facts)
    assert len(events) == 1
    again = replace(facts[1], previous=facts[1].at)
    assert decide(rule(), state, again) == (state, ())
    assert decide(rule(), State(side="neutral"), again) == (State(side="neutral"), ())


# ------------------------------------------------------------------------------------------------ sources


def stream(name: str = "posts", **more: Any) -> StreamHealth:
    values: dict[str, Any] = dict.fromkeys(StreamHealth.__slots__)
    values |= {"source": "reddit", "stream": name, "enabled": True, "status": "ok", "failures": 0, "gaps": 0}
    values |= {"last_poll_at": NOON, "last_success_at": NOON}
    return StreamHealth(**{**values, **more})


def failing(status: str = "unavailable", since: datetime | None = NOON, **more: Any) -> StreamHealth:
    return stream(status=status, failures=3, last_success_at=since, **more)


@pytest.mark.parametrize(
    ("streams", "minutes", "up"),
    [
        ([stream()], 500, True),  # not asked since, perhaps by us: no word against it
        ([failing()], 6, None),
        ([failing()], 6.1, False),
        ([failing(), stream("r/b")], 60, True),  # one dead stream among many
        ([failing(), failing(stream="r/b")], 60, False),
        ([failing("denied")], 1, False),  # its circuit is open
        ([stream(status="silent")], 1, False),  # it answered three times and showed nothing
        ([stream(status="silent"), stream("r/b")], 1, True),
        ([failing("denied"), failing(stream="r/b")], 1, None),
        ([failing(since=None)], 1, False),
        ([stream(last_poll_at=None)], 60, None),
        ([stream(enabled=False), failing()], 60, False),
        ([], 60, None),
    ],
)
def test_a_source_is_down_after_three_of_its_intervals(
    streams: list[StreamHealth], minutes: float, up: bool | None
) -> None:
    assert works(streams, at(minutes), 120.0) is up


def of_source(states: Sequence[list[StreamHealth]]) -> list[Facts]:
    return [
        replace(facts, symbol="reddit", every_s=120.0) for facts in seen(states, lambda _, v: {"streams": tuple(v)})
    ]


DOWN, UP = [failing(since=NOON - HOUR)], [stream()]


@pytest.mark.parametrize(
    ("states", "kinds"),
    [
        ([UP, DOWN, DOWN, UP, UP], [(5, "source_down"), (15, "source_back")]),
        ([DOWN, DOWN, UP, DOWN], [(15, "source_down")]),  # down from the start is known, so its return is no news
        ([UP, [failing(since=at(4))], DOWN], [(10, "source_down")]),
        ([[], UP, DOWN], [(10, "source_down")]),
    ],
)
def test_a_source_is_told_to_be_down_and_back(states: list[list[StreamHealth]], kinds: list[tuple[float, str]]) -> None:
    assert told(fold(rule("source_down"), None, of_source(states))[1]) == kinds


def test_a_source_whose_end_was_not_told_comes_back_untold() -> None:
    cooling = rule("source_down", cool_down_s=3600.0)
    events = fold(cooling, None, of_source([UP, DOWN, UP, DOWN, UP]))[1]
    assert told(events) == [(5, "source_down"), (10, "source_back")]


def test_a_source_that_is_down_is_told_with_what_its_streams_say() -> None:
    _, (event,) = fold(rule("source_down"), None, of_source([UP, [failing("denied"), failing("denied", stream="b")]]))
    assert event.title == "reddit: source is down"
    assert event.sentence == "reddit has not answered since 2026-11-17 12:00 UTC; its 2 streams say: denied."


# ------------------------------------------------------------------------------------------------ spikes


def episode(start: float = 0, buckets: int = 1, severity: str = "notable", **more: Any) -> Episode:
    """An episode of hours, from ``start`` minutes after noon."""
    width = more.pop("bucket_width", HOUR)
    start_at = at(start)
    end_at = start_at + buckets * width
    values: dict[str, Any] = {
        "symbol": "BABA", "bucket_width": width, "kind": "organic", "start_at": start_at, "end_at": end_at,
        "over_at": end_at + 2 * width, "buckets": buckets, "messages": 273, "organic": 260, "authors": 120, "expected": 2.5,
        "peak_z": 12.6, "peak_start": start_at, "severity": severity, "first_severity": severity, "rose_at": None,
        "top_terms": None, "found_at": start_at,
    }  # fmt: skip
    return Episode(**{**values, **more})


def spiking(*looks: tuple[float, Sequence[Episode]], first: float = -60) -> list[Facts]:
    """Looks at (minutes after noon, episodes known then), after a first look that saw nothing."""
    moments = [first, *(minutes for minutes, _ in looks)]
    shown: list[Sequence[Episode]] = [(), *(episodes for _, episodes in looks)]
    befores = [None, *moments]
    return [
        Facts("BABA", at(now), None if before is None else at(before), STEP, BANDS, episodes=tuple(episodes))
        for now, before, episodes in zip(moments, befores, shown, strict=False)
    ]


SPIKE = rule("spike", widths=("1h", "1d"), cool_down_s=6 * 3600.0)
HIGH = {"severity": "high", "first_severity": "notable", "rose_at": at(120), "peak_start": at(60)}
EXTREME = {"severity": "extreme", "first_severity": "notable", "rose_at": at(120), "peak_start": at(120)}


def spike_cases() -> list[tuple[str, AlertRule, list[Facts], list[tuple[float, str]]]]:
    one, long = episode(), episode(buckets=3)
    return [
        ("a start in the middle of its hour, and its end", SPIKE, spiking((35, [one]), (120, [one]), (180, [one])),
         [(35, "spike_started"), (180, "spike_ended")]),
        ("told once however often it is seen", SPIKE, spiking(*((m, [long]) for m in range(60, 180, 5))), [(60, "spike_started")]),
        ("seen late, told with the moment at which it could be known", SPIKE, spiking((200, [long])), [(60, "spike_started")]),
        ("too late to be news", SPIKE, spiking((60 + 361, [episode(buckets=12)])), []),
        ("what ran before the first look is not told, and neither is its end", SPIKE,
         [replace(spiking((35, [one]))[1], previous=None), *spiking((180, [one]), first=35)[1:]], []),
        ("its rise", SPIKE, spiking((60, [one]), (120, [episode(buckets=2, **HIGH)]), (180, [episode(buckets=3, **EXTREME)])),
         [(60, "spike_started"), (120, "spike_rose"), (180, "spike_rose")]),
        ("a rise that was seen with its start is its start", SPIKE, spiking((120, [episode(buckets=2, **HIGH)])), [(60, "spike_started")]),
        ("less severe than asked for", replace(SPIKE, severity="high"), spiking((60, [one]), (240, [one])), []),
        ("told when it is as severe as asked for", replace(SPIKE, severity="high"),
         spiking((60, [one]), (120, [episode(buckets=2, **HIGH)]), (240, [episode(buckets=2, **HIGH)])),
         [(120, "spike_started"), (240, "spike_ended")]),
        ("another kind", SPIKE, spiking((60, [episode(kind="copied")])), []),
        ("the other kind alone", replace(SPIKE, kind="copied"), spiking((60, [episode(kind="copied"), one])), [(60, "spike_started")]),
        ("any kind, with a cool-down", replace(SPIKE, kind="any"), spiking((60, [episode(kind="copied"), one])), [(60, "spike_started")]),
        ("another width", SPIKE, spiking((60, [episode(bucket_width=timedelta(minutes=5))])), []),
        ("a day that spikes after its hour did is the same news", SPIKE,
         spiking((60, [one]), (120, [one, episode(-720, bucket_width=timedelta(days=1))])), [(60, "spike_started")]),
        ("the next one within the cool-down", SPIKE, spiking((60, [one]), (180, [one]), (300, [episode(240)]), (420, [episode(240)])),
         [(60, "spike_started"), (180, "spike_ended")]),
        ("the next one after the cool-down", SPIKE, spiking((60, [one]), (180, [one]), (480, [episode(420)])),
         [(60, "spike_started"), (180, "spike_ended"), (480, "spike_started")]),
        ("a start that was suppressed rises after the cool-down", replace(SPIKE, cool_down_s=4 * 3600.0),
         spiking((60, [one]), (180, [one]), (250, [episode(190, buckets=3)]),
                 (370, [episode(190, buckets=3, **{**HIGH, "rose_at": at(370), "peak_start": at(310)})]), (490, [episode(190, buckets=3)])),
         [(60, "spike_started"), (180, "spike_ended"), (370, "spike_started"), (490, "spike_ended")]),
        ("late messages move its start", SPIKE, spiking((130, [episode(60)]), (140, [episode(0, buckets=2)]), (240, [episode(0, buckets=2)])),
         [(120, "spike_started"), (240, "spike_ended")]),
        ("two that grow together end once", SPIKE,
         spiking((60, [one]), (65, [one, episode(180)]), (300, [episode(0, buckets=4)]), (360, [episode(0, buckets=4)])),
         [(60, "spike_started"), (360, "spike_ended")]),
        ("it turns out to be pasted", SPIKE, spiking((60, [one]), (65, [episode(kind="copied")]), (180, [episode(kind="copied")])),
         [(60, "spike_started"), (180, "spike_ended")]),
        ("one that was not told vanishes", SPIKE,
         spiking((60, [one]), (180, [one]), (300, [episode(240)]), (305, []), (600, [])), [(60, "spike_started"), (180, "spike_ended")]),
        ("old news that was written down late", SPIKE, spiking((300, []), (305, [one])), []),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "asked", "facts", "expected"), spike_cases(), ids=[case[0] for case in spike_cases()])
def test_spikes(name: str, asked: AlertRule, facts: list[Facts], expected: list[tuple[float, str]]) -> None:
    state, events = fold(asked, None, facts)
    assert told(events) == expected
    assert from_json(to_json(state)) == state


def test_a_spike_that_is_over_is_forgotten() -> None:
    state, _ = fold(SPIKE, None, spiking((60, [episode()]), (180, [episode()])))
    assert state.episodes == ()
    assert state.last_at == at(180)


def test_two_events_of_one_moment_have_moments_of_their_own() -> None:
    day = episode(-1380, bucket_width=timedelta(days=1))  # ends together with the hour
    _, events = fold(replace(SPIKE, cool_down_s=0.0), None, spiking((60, [episode(), day])))
    assert [event.kind for event in events] == ["spike_started", "spike_started"]
    assert events[1].at - events[0].at == timedelta(microseconds=1)
    assert events[0].key != events[1].key


def test_a_spike_is_told_with_its_numbers_and_words() -> None:
    spike = episode(severity="extreme", top_terms=["ipo", "@everyone", "listing"])
    _, (event,) = fold(SPIKE, None, spiking((60, [spike])))
    assert event.title == "BABA: message volume spike (extreme, organic)"
    assert event.sentence == (
        "Message volume of BABA has spiked since 2026-11-17 12:00 UTC: 273 messages, 260 of them organic, where 2.5 were to be "
        "expected, by up to 120 authors in one hour (z 12.6). Words: ipo, listing."
    )


# ------------------------------------------------------------------------------------------------ laws of all kinds


def _episodes(numbers: list[tuple[int, int, int, bool]]) -> list[Episode]:
    """Episodes one after the other, each growing bucket by bucket."""
    found, start = [], 0
    for gap, buckets, peak, pasted in numbers:
        start += 60 * (gap + 3)
        severity = ("notable", "high", "extreme")[peak]
        first = "notable"
        rose = at(start + 120) if peak and buckets > 1 else None
        first = severity if rose is None else first
        found.append(
            episode(
                start, buckets, severity, first_severity=first, rose_at=rose, peak_start=at(start + (60 if rose else 0)),
                kind="copied" if pasted else "organic",
            )
        )  # fmt: skip
        start += 60 * buckets
    return found


NUMBERS = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 4), st.integers(0, 2), st.booleans()), max_size=8)
RULES = st.sampled_from(
    [SPIKE, replace(SPIKE, kind="any", cool_down_s=0.0), replace(SPIKE, severity="high"), rule(), crossing("sentiment_score > 60"), rule("quiet")]
)  # fmt: skip


def _looks(episodes: list[Episode], scores: list[float]) -> list[Facts]:
    """Half-hourly looks at both, each as far as it is known then."""
    looks = []
    for number, score in enumerate(scores):
        now = at(30 * number)
        known = tuple(one for one in episodes if one.start_at + HOUR <= now)
        seen_now = reading(now, sentiment_score=score, volume_z=score / 10 - 5)
        looks.append(Facts("BABA", now, at(30 * (number - 1)) if number else None, STEP, BANDS, seen_now, known))
    return looks


@given(RULES, NUMBERS, st.lists(st.floats(0, 100), min_size=1, max_size=80), st.data())
def test_one_run_is_the_same_as_pieces_with_the_state_written_down_between(
    asked: AlertRule, numbers: list[tuple[int, int, int, bool]], scores: list[float], data: st.DataObject
) -> None:
    facts = _looks(_episodes(numbers), scores)
    whole = fold(asked, None, facts)
    cut = data.draw(st.integers(0, len(facts)))
    state, first = fold(asked, None, facts[:cut])
    again, second = fold(asked, from_json(to_json(state)), facts[cut:])
    assert (again, first + second) == whole


@given(RULES, NUMBERS, st.lists(st.floats(0, 100), min_size=1, max_size=80))
def test_moments_rise_keys_differ_and_ends_belong_to_starts(
    asked: AlertRule, numbers: list[tuple[int, int, int, bool]], scores: list[float]
) -> None:
    _, events = fold(asked, None, _looks(_episodes(numbers), scores))
    moments = [event.at for event in events]
    assert moments == sorted(set(moments))
    assert len({event.key for event in events}) == len(events)
    balance = {"spike_started": 1, "spike_ended": -1}
    kinds = [event.kind for event in events]
    assert all(sum(balance.get(kind, 0) for kind in kinds[:end]) >= 0 for end in range(len(kinds) + 1))
    assert (
        "spike_rose" not in kinds[: kinds.index("spike_started")]
        if "spike_started" in kinds
        else "spike_rose" not in kinds
    )


@given(NUMBERS, st.lists(st.floats(0, 100), min_size=1, max_size=80), st.integers(0, 86_400))
def test_within_the_cool_down_nothing_new_is_told(
    numbers: list[tuple[int, int, int, bool]], scores: list[float], seconds: int
) -> None:
    for asked in (replace(SPIKE, kind="any"), rule(), crossing("sentiment_score > 60"), rule("quiet")):
        _, events = fold(replace(asked, cool_down_s=float(seconds)), None, _looks(_episodes(numbers), scores))
        begun = [event.at for event in events if event.kind not in ("spike_rose", "spike_ended")]
        assert all(later - earlier >= timedelta(seconds=seconds) for earlier, later in pairwise(begun))


def test_a_key_is_the_same_at_every_attempt_and_never_of_two_events() -> None:
    event = Event("r", "BABA", NOON, "crossed", "t", "s")
    assert event.key == replace(event, title="other words", sentence="x").key
    assert len(event.key) == 16
    others = [
        replace(event, rule="q"),
        replace(event, symbol="JD"),
        replace(event, at=at(1)),
        replace(event, kind="quiet"),
    ]
    assert len({event.key, *(other.key for other in others)}) == 5


@pytest.mark.parametrize(
    "state",
    [
        State(), State("bullish", NOON, at(1)), State(episodes=(Followed(3600.0, "organic", NOON, at(180), "high", True),)),
        State(told_at=NOON + timedelta(microseconds=1)),
    ],
)  # fmt: skip
def test_a_state_comes_back_as_it_was(state: State) -> None:
    assert from_json(to_json(state)) == state


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"episodes": [{}]}', '{"told_at": "soon"}', '{"episodes": 3}', "null"]
)
def test_what_is_no_state_is_as_if_nothing_was_ever_seen(text: str) -> None:
    assert from_json(text) is None


def test_a_rule_that_asks_for_something_else_has_another_mark() -> None:
    marks = {
        mark_of(one) for one in (SPIKE, replace(SPIKE, kind="any"), rule(), crossing("buzz > 3"), crossing("buzz > 4"))
    }
    assert len(marks) == 5
    assert mark_of(replace(SPIKE, channels=("other",), cool_down_s=1.0, symbols=("A",))) == mark_of(SPIKE)


# ------------------------------------------------------------------------------------------------ digests


def daily(after: datetime) -> datetime:
    """The next noon."""
    today = after.replace(hour=12, minute=0, second=0, microsecond=0)
    return today if today > after else today + timedelta(days=1)


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        (None, NOON, None),
        (at(-1), NOON, NOON),
        (NOON, NOON, None),
        (NOON, at(1439), None),
        (at(-1440), at(30), NOON),
        (NOON - timedelta(days=30), at(30), NOON),  # of many that were missed only the newest
        (at(60), NOON, None),
    ],
)
def test_a_digest_is_due_once(last: datetime | None, now: datetime, due: datetime | None) -> None:
    assert digest_due(last, now, daily) == due


def test_a_digest_that_is_never_due_again() -> None:
    assert digest_due(NOON, at(100), lambda _: None) is None
