"""The newsroom paragraph: its wording against golden files, its facts against a real database file.

After a change of words: ``TRACKER_REWRITE=1 pytest tests/test_brief.py``, and read the difference.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import MIDNIGHT, build, crowd, make_batch, utc

from tracker.brief import BriefFacts, Style, change_words, part_of_day, read_facts, write
from tracker.metrics import Coverage, LabelSpan, LabelVisit, Reading, Spike
from tracker.store import Connection
from tracker.store.connect import opened

GOLDEN = Path(__file__).parent / "golden"
AT = utc("2026-11-17T11:00")  # six in the morning in New York, a Tuesday
DAY = timedelta(days=1)


def reading(**changes: Any) -> Reading:
    """A reading of a lively day; what is not given is as it was on that day."""
    values: dict[str, Any] = {field.name: None for field in fields(Reading)}
    values |= {
        "symbol": "BABA", "at": AT, "window_name": "24h", "messages": 1310, "organic": 1204, "authors": 873,
        "texts": 1190, "bullish": 640, "bearish": 118, "neutral": 446, "bullish_ratio": 0.8443,
        "bullish_ratio_low": 0.8168, "bullish_ratio_high": 0.8684, "sentiment_score": 81.6,
        "sentiment_label": "extremely bullish", "expected": 214.3, "volume_z": 9.1, "volume_score": 100.0,
        "volume_label": "extremely high", "previous_messages": 480, "volume_change": 1.73, "sources_up": 2,
        "baseline": "own", "volume_baseline": "own", "computed_at": AT,
    }  # fmt: skip
    return Reading(**(values | changes))


def week(**changes: Any) -> Reading:
    return reading(
        **({"window_name": "7d", "messages": 2643, "previous_messages": 472, "volume_change": 4.5996} | changes)
    )


def spike(**changes: Any) -> Spike:
    values: dict[str, Any] = {
        "symbol": "BABA", "bucket_width": DAY, "bucket_start": utc("2026-11-16T00:00"), "messages": 1290,
        "organic": 1180, "authors": 861, "texts": 1170, "expected": 208.4, "z": 9.0, "p_value": 1e-19,
        "severity": "extreme", "kind": "organic", "top_terms": None, "top_message_id": "m1",
        "found_at": utc("2026-11-17T00:00"),
    }  # fmt: skip
    return Spike(**(values | changes))


def rich() -> BriefFacts:
    hour = timedelta(hours=1)
    loud = {"messages": 212, "authors": 180, "expected": 19.6, "severity": "high"}
    pasted = {"messages": 61, "authors": 7, "expected": 8.24, "severity": "notable", "kind": "copied"}
    return BriefFacts(
        symbol="BABA",
        at=AT,
        zone="America/New_York",
        mentioned=True,
        measured_at=AT,
        last_reading_at=AT,
        labelled=reading(),
        day=reading(),
        week=week(),
        span=LabelSpan("extremely bullish", "bullish", AT - DAY, None, DAY, AT - 3 * DAY),
        data_from=utc("2026-01-05T00:00"),
        month_from=utc("2026-11-01T04:00"),
        labels=(
            LabelVisit("bullish", 297, utc("2026-11-01T05:00"), AT - DAY),
            LabelVisit("extremely bullish", 95, utc("2026-11-04T05:00"), AT),
        ),
        spikes=(
            spike(),
            spike(bucket_width=hour, bucket_start=utc("2026-11-16T14:00"), **loud),
            spike(bucket_width=hour, bucket_start=utc("2026-11-14T19:00"), **pasted),
            spike(bucket_width=hour),
        ),
        coverage=Coverage(3, 0.981, 0.62, 1, 2.5),
    )


def first_time() -> BriefFacts:
    """A label not seen for three months, volume down, nothing else of note."""
    now = reading(
        bullish=9, bearish=31, bullish_ratio=0.225, bullish_ratio_low=0.1232, bullish_ratio_high=0.375,
        sentiment_score=11.2, sentiment_label="extremely bearish", messages=64, organic=60, authors=52, expected=57.9,
        volume_label="normal",
    )  # fmt: skip
    gone = utc("2026-08-12T16:00")
    return replace(
        rich(),
        labelled=now,
        day=now,
        week=week(messages=395, previous_messages=472, volume_change=-0.1631),
        span=LabelSpan("extremely bearish", "bearish", AT - timedelta(hours=2), None, timedelta(hours=2), gone),
        labels=(
            LabelVisit("bearish", 300, utc("2026-11-01T05:00"), AT - timedelta(hours=3)),
            LabelVisit("neutral", 88, utc("2026-11-02T05:00"), AT - 6 * DAY),
            LabelVisit("extremely bearish", 3, AT - timedelta(hours=2), AT),
        ),
        spikes=(),
        coverage=Coverage(2, 1.0, 1.0, 0, 0.0),
    )


def sparse() -> BriefFacts:
    """Two opinions in a day, a week without enough before it, nothing to expect anything from."""
    unknown = {
        "volume_label": None, "volume_z": None, "expected": None, "volume_baseline": "none", "volume_change": None,
        "sentiment_score": None, "sentiment_label": None, "sources_up": 1, "symbol": "TINY",
    }  # fmt: skip
    none = {"bullish_ratio": None, "bullish_ratio_low": None, "bullish_ratio_high": None, "bullish": 0, "bearish": 0}
    wide = {"bullish_ratio": 0.5, "bullish_ratio_low": 0.0945, "bullish_ratio_high": 0.9055, "bullish": 1, "bearish": 1}
    day = reading(**unknown, **none, messages=1, organic=1, authors=1, previous_messages=0)
    seven = week(**unknown, **wide, messages=9, organic=8, authors=7, previous_messages=3)
    return BriefFacts(
        symbol="TINY",
        at=AT,
        zone="America/New_York",
        mentioned=True,
        measured_at=AT,
        last_reading_at=AT,
        day=day,
        week=seven,
        coverage=Coverage(1, None, None, 0, 0.0),
    )


def nothing() -> BriefFacts:
    return BriefFacts(symbol="ZZZZ", at=AT, zone="America/New_York", mentioned=False)


CASES = {"rich": rich, "first_time": first_time, "sparse": sparse, "nothing": nothing}
WORDINGS: list[tuple[str, Style, str]] = [(name, "text", f"brief.{name}.txt") for name in CASES]
WORDINGS += [("rich", "md", "brief.rich.md"), ("sparse", "md", "brief.sparse.md")]


@pytest.mark.parametrize(("name", "style", "file"), WORDINGS, ids=[file for _, _, file in WORDINGS])
def test_the_wording_is_the_one_on_file(name: str, style: Style, file: str) -> None:
    written = write(CASES[name](), style)
    if os.environ.get("TRACKER_REWRITE"):
        (GOLDEN / file).write_text(written, encoding="utf-8")
    assert written == (GOLDEN / file).read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("2026-11-17T11:00", "early Tuesday"),
        ("2026-11-17T04:59", "late Monday"),
        ("2026-11-17T05:00", "early Tuesday"),
        ("2026-11-17T14:00", "Tuesday morning"),
        ("2026-11-17T17:00", "midday Tuesday"),
        ("2026-11-17T19:00", "Tuesday afternoon"),
        ("2026-11-17T22:00", "Tuesday evening"),
        ("2026-07-14T04:00", "early Tuesday"),
    ],
)
def test_the_part_of_the_day_is_the_one_of_the_market(moment: str, words: str) -> None:
    assert part_of_day(utc(moment), "America/New_York") == words


def test_a_reader_elsewhere_gets_the_day_of_their_own_zone() -> None:
    assert "as of Tuesday evening" in write(rich(), zone="Asia/Shanghai")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (4.6, "has soared by 460 %"),
        (12.345, "has soared by 1,234 %"),
        (0.3, "has risen by 30 %"),
        (0.06, "has edged up by 6 %"),
        (0.0, "has hardly changed (+0 %)"),
        (-0.02, "has hardly changed (-2 %)"),
        (-0.1, "has slipped by 10 %"),
        (-0.4, "has fallen by 40 %"),
        (-0.96, "has plunged by 96 %"),
    ],
)
def test_a_change_is_told_by_its_size(change: float, words: str) -> None:
    assert change_words(change) == words


def test_one_label_all_month_is_told_as_such() -> None:
    facts = replace(rich(), labels=(LabelVisit("extremely bullish", 40, AT - 9 * DAY, AT),))
    assert "and has been 'extremely bullish' in every reading this month (40 readings), while" in write(facts)


def test_a_label_of_days_ago_is_called_the_last_one() -> None:
    old = reading(at=AT - 3 * DAY)
    text = write(replace(rich(), labelled=old))
    assert "was last 'extremely bullish' as of early Saturday (2026-11-14 11:00 UTC, " in text
    assert "more than a day old)" in text


def test_the_first_time_is_told_only_while_it_is_news() -> None:
    held = first_time().span
    assert held is not None
    long_held = replace(held, entered_at=AT - timedelta(days=8))
    lately = replace(held, last_held_until=held.entered_at - timedelta(days=6))
    never = replace(held, last_held_until=None)
    only = replace(never, previous_label=None)
    assert "for the first time since 12 August 2026" in write(first_time())
    assert "first time" not in write(replace(first_time(), span=long_held))
    assert "first time" not in write(replace(first_time(), span=lately))
    assert "for the first time in our data, which begin on 4 January 2026" in write(replace(first_time(), span=never))
    assert "first time" not in write(replace(first_time(), span=only))


def test_a_symbol_that_nobody_has_named_since_is_told_as_silent() -> None:
    text = write(replace(rich(), day=reading(at=AT - 2 * DAY)))
    assert "in the 24 hours to 2026-11-15 11:00 UTC" in text
    assert "No stored message names it in the 24 hours to 2026-11-17 11:00 UTC." in text


def test_a_week_before_that_was_hardly_heard_makes_the_comparison_uncertain() -> None:
    assert "Of the week before only 62 % was heard, so that the weekly comparison is uncertain." in write(rich())
    heard = replace(rich(), coverage=Coverage(3, 0.98, 0.95, 0, 0.0))
    assert "uncertain" not in write(heard)


def test_an_expectation_from_other_symbols_is_named() -> None:
    assert "going by the pace of other symbols" in write(replace(rich(), day=reading(volume_baseline="pooled")))


def test_old_readings_only_are_told_with_the_time_of_the_newest() -> None:
    facts = replace(nothing(), mentioned=True, last_reading_at=AT - 30 * DAY)
    assert write(facts) == (
        "There is no reading of ZZZZ from the past week as of early Tuesday (2026-11-17 11:00 UTC); "
        "the newest one is of 2026-10-18 11:00 UTC.\n"
    )


def test_no_number_stands_without_its_sample() -> None:
    for make in (rich, first_time, sparse):
        for sentence in re.split(r"(?<=\.) (?=[A-Z])", write(make())):
            if "ratio was" in sentence or "score" in sentence or "has soared" in sentence:
                assert re.search(r"\d (organic )?messages?|opinions? in", sentence), sentence


# ------------------------------------------------------------------------------------------------ styles


def test_html_escapes_what_a_person_typed() -> None:
    written = write(replace(nothing(), symbol="<B>&CO"), "html")
    assert "<B>" not in written
    assert "&lt;B&gt;&amp;CO" in written


def test_markdown_escapes_what_would_be_markup() -> None:
    assert "\\<B\\>\\[x\\]\\|" in write(replace(nothing(), symbol="<B>[x]|"), "md")


def test_json_has_every_fact_and_says_null_for_the_unknown() -> None:
    told = json.loads(write(sparse(), "json"))
    assert set(told) == {field.name for field in fields(BriefFacts)} | {"text"}
    assert told["labelled"] is None
    assert told["day"]["expected"] is None
    assert told["at"] == "2026-11-17T11:00:00Z"
    assert json.loads(write(rich(), "json"))["spikes"][0]["bucket_width"] == 86400


@pytest.mark.parametrize("style", ["text", "md", "html", "json"])
@pytest.mark.parametrize("name", CASES)
def test_every_style_ends_in_one_line_break(name: str, style: Style) -> None:
    written = write(CASES[name](), style)
    assert written.endswith("\n")
    assert not written.endswith("\n\n")


# ------------------------------------------------------------------------------------------------ facts


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Three weeks of BABA: a trickle, a bearish week, then 60 bulls on the last day; OLD fell silent long ago."""
    start = MIDNIGHT - timedelta(days=21)
    talk = []
    for number in range(20):
        gloomy = 7 <= number < 19
        talk += crowd(
            start + timedelta(days=number, hours=15), "BABA", bulls=0 if gloomy else 3, bears=3 if gloomy else 0
        )
        if number < 6:
            talk += crowd(start + timedelta(days=number, hours=9), "OLD", bulls=4)
    talk += crowd(MIDNIGHT - timedelta(hours=9), "BABA", bulls=60, every=timedelta(seconds=30))
    talk += crowd(MIDNIGHT + timedelta(hours=3), "LATER", bulls=5)
    batch = make_batch(talk, fetched_at=MIDNIGHT + timedelta(hours=5), covers_from=start)
    moments = [start + timedelta(days=number) for number in range(1, 22)]
    with opened(build(tmp_path_factory.mktemp("brief"), [batch], readings=moments), read_only=True) as connection:
        yield connection


def test_the_facts_are_those_of_the_moment(connection: Connection) -> None:
    facts = read_facts(connection, "$baba", MIDNIGHT + timedelta(hours=1))
    assert (facts.symbol, facts.measured_at) == ("BABA", MIDNIGHT)
    assert facts.labelled == facts.day
    assert facts.day is not None
    assert (facts.day.messages, facts.day.sentiment_label) == (60, "extremely bullish")
    assert facts.week is not None
    assert (facts.week.messages, facts.week.previous_messages) == (78, 21)
    assert {visit.label for visit in facts.labels} == {"extremely bullish", "extremely bearish"}
    assert [(one.bucket_width, one.messages) for one in facts.spikes[:2]] == [(DAY, 60), (timedelta(hours=1), 60)]
    assert facts.coverage is not None
    assert (facts.coverage.sources, facts.coverage.gaps) == (1, 0)
    assert facts.coverage.heard_week == pytest.approx(1)


def test_a_brief_tells_label_history_and_volume_of_a_real_file(connection: Connection) -> None:
    text = write(read_facts(connection, "BABA", MIDNIGHT))
    assert text.startswith(
        "Retail sentiment on BABA was 'extremely bullish' as of Monday evening (2026-11-17 00:00 UTC, score "
    )
    assert "has toggled only between 'extremely bearish' and 'extremely bullish' this month" in text
    assert "message volume has soared by 271 % in the past week (78 messages against 21)" in text
    assert "60 messages by 60 authors on Monday 2026-11-16 (UTC day, extreme, organic, " in text


def test_without_a_time_the_newest_readings_are_meant(connection: Connection) -> None:
    assert read_facts(connection, "BABA") == read_facts(connection, "BABA", MIDNIGHT)


def test_a_brief_of_the_past_does_not_know_the_future(connection: Connection) -> None:
    before = read_facts(connection, "BABA", MIDNIGHT - DAY)
    assert before.spikes == ()
    assert before.day is not None
    assert before.day.messages == 3
    assert not read_facts(connection, "LATER", MIDNIGHT).mentioned


def test_a_symbol_without_recent_readings_is_told_as_such(connection: Connection) -> None:
    assert "There is no reading of OLD from the past week" in write(read_facts(connection, "OLD", MIDNIGHT))
    assert "LATER are stored, but no reading" in write(read_facts(connection, "LATER", MIDNIGHT + timedelta(hours=6)))
    assert "no stored message names it" in write(read_facts(connection, "NOBODY", MIDNIGHT))


def test_a_file_without_anything_gives_a_plain_sentence(tmp_path: Path) -> None:
    with opened(build(tmp_path), read_only=True) as connection:
        assert write(read_facts(connection, "BABA")) == "Nothing is known about BABA: no stored message names it.\n"
        assert json.loads(write(read_facts(connection, "BABA"), "json"))["at"] is None
