"""Reports and typed rows, asked of a real database file of invented messages."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from builders import MIDNIGHT, build, crowd, make_batch, say, utc
from price_oracle import PriceBar, put

from tracker import metrics
from tracker.errors import BadInput
from tracker.metrics import Reading, Report, bind, load_report, reports, run
from tracker.models import Batch, HeadlineRow, OptionRow, PollReport, RankRow
from tracker.reports import parse_report
from tracker.store import Connection
from tracker.store.connect import opened

START = utc("2026-11-01T00:00")
HOUR = timedelta(hours=1)
PASTED = "GTAT to the sky, join our room before Friday"
REPORTS = reports()
GIVEN = {"symbol": "BABA"}


def batches() -> list[Batch]:
    """Sixteen days: a symbol that is shouted about on the last one, a pasted advert, a newcomer, a gap, a failure."""
    talk = []
    for number in range(15):
        day = START + timedelta(days=number, hours=15)
        mood = (0, 4) if number == 14 else (3, 1)
        talk += crowd(day, "BABA", bulls=mood[0], bears=mood[1])
        talk += crowd(day, "QUIET", others=1)
    last = utc("2026-11-16T15:00")
    talk += crowd(last, "BABA", bulls=36, others=4, every=timedelta(seconds=20))
    talk += [
        say(
            last + timedelta(minutes=30),
            "BABA",
            "the one that all passed on",
            author="bea",
            stance=1,
            likes=9,
            reshares=40,
        )
    ]
    talk += crowd(last, "GTAT", others=12, every=timedelta(seconds=30))
    talk += crowd(last + timedelta(minutes=10), "GTAT", others=30, every=timedelta(seconds=10), text=PASTED)
    talk += [say(last + timedelta(minutes=number), "NEWC", author="cy", stance=1) for number in range(5)]
    lost = (utc("2026-11-12T03:00"), utc("2026-11-12T05:00"), "the page was too short to reach back")
    heard = make_batch(talk, fetched_at=MIDNIGHT, covers_from=START)
    bears = crowd(utc("2026-11-16T18:00"), "BABA", bears=5)
    other = make_batch(
        bears, source="reddit", stream="r/stocks", fetched_at=MIDNIGHT, covers_from=utc("2026-11-16T12:00"), gaps=[lost]
    )
    failed = make_batch(
        source="reddit",
        stream="r/stocks",
        fetched_at=utc("2026-11-16T11:00"),
        status="rate_limited",
        error="asked to wait",
    )
    return [failed, heard, other, aside()]


def aside() -> Batch:
    """What is no talk: a headline and its copy, two lists of another service, option volumes."""
    news = HeadlineRow("rss", "1", "wire", MIDNIGHT - HOUR, MIDNIGHT, "Wire", "A pond", None, None, None, ("BABA",), 1)
    later = replace(news, id="2", created_at=MIDNIGHT - HOUR / 2, title="A POND")
    rank = RankRow("apewisdom", "filter/all-stocks", "BABA", MIDNIGHT, "24h", 1, 9, 2, 4, 7, *([None] * 5), MIDNIGHT)  # type: ignore[arg-type]
    ranks = (replace(rank, at=MIDNIGHT - HOUR, rank=3), rank, replace(rank, symbol="GTAT", rank=2, sentiment=0.5))
    option = OptionRow("BABA", MIDNIGHT - HOUR, 30, 60, 5, 0, "options_cboe", MIDNIGHT)
    options = (replace(option, at=MIDNIGHT - 2 * HOUR, put_volume=1), option)
    report = PollReport("rss", "wire", MIDNIGHT, 5, "ok", brings="news")
    return Batch(report, None, headlines=(news, later), ranks=ranks, options=options, fetched_at=MIDNIGHT)


def prices() -> list[PriceBar]:
    """A daily bar of BABA for each weekday from 19 October to 25 November, a dollar more each; a jump on 16 November."""
    days = [utc("2026-10-19T00:00") + timedelta(days=number) for number in range(38) if number % 7 < 5]
    jump = utc("2026-11-16T00:00")
    return [
        PriceBar("BABA", timedelta(days=1), day, "regular", None, 100.0 + number + 20 * (day >= jump))
        for number, day in enumerate(days)
    ]


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    moments = [START + timedelta(days=number) for number in range(1, 17)]
    opening = build(tmp_path_factory.mktemp("reports"), batches(), readings=moments, watchlist=["BABA", "SILENT"])
    with opened(opening) as connection:
        put(connection, prices())
    with opened(opening, read_only=True) as connection:
        yield connection


def ask(connection: Connection, name: str, **given: str) -> list[dict[str, Any]]:
    report = load_report(name)
    columns, rows = run(connection, report, bind(report, given))
    return [dict(zip(columns, row, strict=True)) for row in rows]


# ------------------------------------------------------------------------------------------------ all reports


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_every_report_answers_from_its_defaults(report: Report, connection: Connection) -> None:
    needed = {parameter.name: GIVEN[parameter.name] for parameter in report.parameters if parameter.default is None}
    columns, rows = run(connection, report, bind(report, needed))
    assert rows, "the invented data should give this report something to say"
    assert len(set(columns)) == len(columns)
    times = [value for row in rows for value in row if isinstance(value, datetime)]
    assert all(value.tzinfo is UTC for value in times)


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_every_example_is_a_command_that_runs(report: Report, connection: Connection) -> None:
    words = shlex.split(report.example)
    assert words[:3] == ["tracker", "query", report.name]
    run(connection, report, bind(report, dict(word.split("=", 1) for word in words[3:])))


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_every_report_is_silent_on_an_empty_file_and_fails_on_none(report: Report, empty: Connection) -> None:
    needed = {parameter.name: GIVEN[parameter.name] for parameter in report.parameters if parameter.default is None}
    assert run(empty, report, bind(report, needed))[1] == []


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with opened(build(tmp_path_factory.mktemp("empty")), read_only=True) as connection:
        yield connection


def test_a_report_runs_by_hand_as_a_prepared_statement(connection: Connection) -> None:
    connection.execute(f"PREPARE ask AS {load_report('leaderboard').sql}")
    rows = connection.execute(
        "EXECUTE ask(at := TIMESTAMP '2026-11-17', \"window\" := '24h', \"limit\" := 1)"
    ).fetchall()
    assert [row[1] for row in rows] == ["BABA"]


# ------------------------------------------------------------------------------------------------ what they answer


def test_leaderboard_puts_the_most_organic_first(connection: Connection) -> None:
    rows = ask(connection, "leaderboard")
    assert [(row["place"], row["symbol"], row["messages"], row["organic"]) for row in rows[:3]] == [
        (1, "BABA", 46, 46), (2, "GTAT", 42, 13), (3, "NEWC", 5, 5),
    ]  # fmt: skip
    assert len(ask(connection, "leaderboard", limit="2")) == 2


def test_leaderboard_of_an_earlier_moment_knows_nothing_later(connection: Connection) -> None:
    rows = ask(connection, "leaderboard", at="2026-11-16T10:00")
    assert [(row["symbol"], row["messages"], row["at"]) for row in rows] == [
        ("BABA", 4, utc("2026-11-16T00:00")), ("QUIET", 1, utc("2026-11-16T00:00")),
    ]  # fmt: skip


def test_movers_want_enough_messages(connection: Connection) -> None:
    assert "NEWC" in [row["symbol"] for row in ask(connection, "movers", least="5")]
    assert "NEWC" not in [row["symbol"] for row in ask(connection, "movers", least="6")]


def test_changed_labels_compare_two_moments(connection: Connection) -> None:
    (row,) = ask(connection, "changed_labels")
    assert (row["symbol"], row["label_before"], row["label"]) == ("BABA", "extremely bearish", "extremely bullish")
    assert (row["opinions_before"], row["opinions"]) == (4, 42)


def test_new_today_leaves_out_who_was_named_yesterday(connection: Connection) -> None:
    assert [(row["symbol"], row["messages"]) for row in ask(connection, "new_today")] == [("GTAT", 42), ("NEWC", 5)]


def test_spikes_tell_organic_from_copied(connection: Connection) -> None:
    rows = ask(connection, "spikes_recent", width="1d")
    assert {(row["symbol"], row["kind"]) for row in rows} == {("BABA", "organic"), ("GTAT", "copied")}
    assert {row["bucket_width"] for row in ask(connection, "spikes_recent", width="1h")} == {timedelta(hours=1)}
    assert {row["symbol"] for row in ask(connection, "spikes_recent", symbol="gtat")} == {"GTAT"}


def test_copied_spikes_show_the_pasted_wording(connection: Connection) -> None:
    rows = ask(connection, "copied_spikes")
    assert {row["symbol"] for row in rows} == {"GTAT"}
    assert {(row["pasted"], row["pasted_by"], row["text"]) for row in rows if row["messages"] == 42} == {
        (30, 30, PASTED)
    }


def test_pasted_texts_count_messages_and_authors(connection: Connection) -> None:
    (row,) = ask(connection, "pasted_texts")
    assert (row["times"], row["authors"], row["symbols"], row["text"]) == (30, 30, ["GTAT"], PASTED)


def test_sentiment_history_holds_both_ends(connection: Connection) -> None:
    rows = ask(connection, "sentiment_history", symbol="$baba", since="2026-11-03", until="2026-11-05T00:00Z")
    assert [row["at"] for row in rows] == [utc("2026-11-03T00:00"), utc("2026-11-04T00:00"), utc("2026-11-05T00:00")]


def test_label_history_is_newest_first(connection: Connection) -> None:
    labels = [row["label"] for row in ask(connection, "label_history", symbol="BABA")]
    assert labels[:2] == ["extremely bullish", "extremely bearish"]


def test_volume_by_hour_tells_silence_from_deafness(connection: Connection) -> None:
    rows = {
        row["bucket_start"]: row
        for row in ask(connection, "volume_by_hour", symbol="BABA", since="2026-10-31T22:00", until="2026-11-01T16:00")
    }
    assert rows[utc("2026-10-31T22:00")]["messages"] is None
    assert rows[utc("2026-11-01T03:00")]["messages"] == 0
    assert rows[utc("2026-11-01T15:00")]["messages"] == 4


def test_busy_hours_have_a_factor_for_each_hour_of_the_week(connection: Connection) -> None:
    rows = ask(connection, "busy_hours")
    assert len({(row["weekday"], row["hour"]) for row in rows}) == 168
    assert sum(row["factor"] for row in rows) / 168 == pytest.approx(1)


def test_sources_status_names_what_failed_and_what_works(connection: Connection) -> None:
    rows = {row["stream"]: row for row in ask(connection, "sources_status")}
    assert (rows["r/stocks"]["status"], rows["r/stocks"]["up_1d"], rows["r/stocks"]["gaps"]) == ("ok", 0.5, 1)
    assert rows["posts"]["up_1d"] == 1


def test_poll_failures_give_the_reason(connection: Connection) -> None:
    (row,) = ask(connection, "poll_failures")
    assert (row["source"], row["status"], row["polls"], row["last_error"]) == (
        "reddit",
        "rate_limited",
        1,
        "asked to wait",
    )


def test_gaps_and_coverage_shows_only_days_below_the_share(connection: Connection) -> None:
    rows = ask(connection, "gaps_and_coverage", below="0.9")
    assert ("r/stocks", date(2026, 11, 16), 0.5) in [(row["stream"], row["day"], row["up"]) for row in rows]
    assert date(2026, 11, 15) not in [row["day"] for row in rows if row["stream"] == "posts"]


def test_top_messages_are_ordered_by_what_they_were_passed_on(connection: Connection) -> None:
    rows = ask(connection, "top_messages", symbol="BABA", limit="2")
    assert (rows[0]["text"], rows[0]["reshares"], rows[0]["likes"]) == ("the one that all passed on", 40, 9)
    assert rows[1]["reshares"] is None


def test_authors_concentration_finds_the_single_voice(connection: Connection) -> None:
    rows = {row["symbol"]: row for row in ask(connection, "authors_concentration", least="5")}
    assert (rows["NEWC"]["authors"], rows["NEWC"]["busiest_share"]) == (1, 1)
    assert rows["GTAT"]["busiest_share"] < 0.1


def test_sources_are_compared_and_summed(connection: Connection) -> None:
    rows = {row["source"]: row for row in ask(connection, "bullish_ratio_by_source", symbol="BABA", since="2026-11-16")}
    assert (rows["reddit"]["bullish"], rows["reddit"]["bearish"], rows["reddit"]["bullish_ratio"]) == (0, 5, 0)
    assert (rows["stocktwits"]["bullish"], rows["all"]["bullish"], rows["all"]["bearish"]) == (37, 37, 5)


def test_watchlist_keeps_who_is_silent(connection: Connection) -> None:
    rows = {row["symbol"]: row for row in ask(connection, "watchlist")}
    assert (rows["SILENT"]["messages"], rows["SILENT"]["sentiment_label"]) == (0, None)
    assert rows["BABA"]["messages"] == 46


def test_sentiment_vs_price_shows_what_came_after_each_reading(connection: Connection) -> None:
    rows = ask(connection, "sentiment_vs_price", symbol="$baba", since="2026-11-16", until="2026-11-17")
    assert [(row["at"], row["price"], row["messages"]) for row in rows] == [
        (utc("2026-11-16T00:00"), 119, 4), (MIDNIGHT, 140, 46),
    ]  # fmt: skip
    assert [round(row["forward_1d"], 6) for row in rows] == [round(140 / 119 - 1, 6), round(141 / 140 - 1, 6)]


def test_price_moves_are_told_with_the_label_of_the_evening_before(connection: Connection) -> None:
    rows = ask(connection, "price_moves", limit="2")
    assert [(row["symbol"], row["trading_date"], row["close"]) for row in rows] == [
        ("BABA", date(2026, 11, 16), 140), ("BABA", date(2026, 10, 20), 101),
    ]  # fmt: skip
    assert (rows[0]["change"], rows[0]["reading_at"]) == (pytest.approx(140 / 119 - 1), utc("2026-11-16T00:00"))
    assert (rows[0]["sentiment_label"], rows[0]["opinions"]) == ("extremely bearish", 4)
    assert (rows[1]["reading_at"], rows[1]["sentiment_label"]) == (None, None)
    assert ask(connection, "price_moves", symbols="GTAT") == []


def test_talk_leads_price_gives_no_number_below_twenty_sessions(connection: Connection) -> None:
    rows = ask(connection, "talk_leads_price", symbols="BABA, $quiet")
    assert [(row["symbol"], row["talk"], row["pairs"], row["with_forward_1d"]) for row in rows] == [
        ("BABA", "volume_z", 11, None), ("BABA", "sentiment_z", 12, None),
    ]  # fmt: skip  # the first day has no expectation
    assert [row["talk"] for row in ask(connection, "talk_leads_price")] == ["volume_z", "sentiment_z"]


def test_prices_now_are_those_known_at_the_moment(connection: Connection) -> None:
    (row,) = ask(connection, "prices_now", at="2026-11-17T12:00")
    assert (row["symbol"], row["price"], row["price_at"]) == ("BABA", 140, utc("2026-11-16T21:00"))
    assert (row["session_change"], row["session_date"]) == (pytest.approx(140 / 119 - 1), date(2026, 11, 16))
    assert [row["price"] for row in ask(connection, "prices_now")] == [147]


def test_peers_stand_side_by_side_and_who_is_silent_is_among_them(connection: Connection) -> None:
    rows = {row["symbol"]: row for row in ask(connection, "peers")}
    assert (rows["BABA"]["organic"], rows["BABA"]["price"], rows["BABA"]["year_change"]) == (46, 140, None)
    assert (rows["SILENT"]["messages"], rows["SILENT"]["price"]) == (0, None)
    assert ask(connection, "peers", group="cars") == []


# ------------------------------------------------------------------------------------------------ parameters


def test_an_unknown_report_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"leaderbord: did you mean leaderboard\?"):
        load_report("leaderbord")


@pytest.mark.parametrize("name", ["../migrations/0001_tables", "", "leaderboard.sql", "LEADERBOARD/"])
def test_a_report_is_a_name_and_no_path(name: str) -> None:
    with pytest.raises(BadInput, match="no such report"):
        load_report(name)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("leaderboard", {"limt": "3"}, r"limt=3: did you mean limit\? leaderboard takes at, window, limit"),
        ("sources_status", {"symbol": "BABA"}, "symbol=BABA: sources_status takes none"),
        ("sentiment_history", {}, "parameter is missing: symbol of sentiment_history: expected text"),
        ("leaderboard", {"limit": "ten"}, "limit='ten': expected a whole number from 1"),
        ("leaderboard", {"limit": "0"}, "limit='0': expected a whole number from 1"),
        ("leaderboard", {"limit": "99999999999"}, "limit='99999999999': expected a whole number"),
        ("leaderboard", {"window": "2h"}, "window='2h': expected one of 1h, 24h, 7d"),
        ("leaderboard", {"at": "yesterday"}, "at='yesterday': expected a time such as"),
        ("leaderboard", {"at": "0001-01-01T00:00+14:00"}, "expected a time such as"),
        ("gaps_and_coverage", {"below": "nan"}, "below='nan': expected a number from 0 up to 1"),
        ("gaps_and_coverage", {"below": "1.5"}, "expected a number from 0 up to 1"),
        ("busy_hours", {"day": "2026-02-30"}, "day='2026-02-30': expected a day such as"),
        ("spikes_recent", {"width": "1 fortnight"}, "width='1 fortnight': expected a span such as 5m, 1h or 7d"),
        ("sentiment_history", {"symbol": " "}, "expected text"),
    ],
)  # fmt: skip
def test_a_parameter_that_does_not_fit_is_named_with_what_was_expected(
    name: str, given: dict[str, str], told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        bind(load_report(name), given)


def test_values_arrive_with_their_types() -> None:
    given = {"since": "2026-11-01T02:00+02:00", "width": "5m", "symbol": "$baba", "limit": "7"}
    wanted = {"since": START, "width": timedelta(minutes=5), "symbol": "BABA", "limit": 7}
    assert bind(load_report("spikes_recent"), given) == wanted


def test_a_value_is_bound_and_never_pasted_into_the_sql(connection: Connection) -> None:
    assert ask(connection, "sentiment_history", symbol="X' OR 1=1 --") == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT 1;", "question"),
        ("-- question: a\n-- question: b\n-- example: tracker query x\nSELECT 1;", "found 2"),
        ("-- question: a\nSELECT 1;", "example"),
        ("-- question: a\n-- parameter: at TIME  x\n-- example: e\nSELECT 1;", "found 'at TIME  x'"),
        ("-- question: a\n-- parameter: at TIMESTAMP\n-- example: e\nSELECT 1;", "expected NAME TYPE"),
    ],
)
def test_a_header_that_is_not_as_described_is_refused(text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        parse_report("x", text)


# ------------------------------------------------------------------------------------------------ typed rows


def test_a_reading_has_every_column_of_its_table(connection: Connection) -> None:
    columns = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = 'readings' ORDER BY column_index"
    ).fetchall()
    assert [field.name for field in fields(Reading)] == [name for (name,) in columns]


def test_the_newest_moment_is_at_or_before_the_one_asked_for(connection: Connection) -> None:
    assert metrics.newest_moment(connection) == MIDNIGHT
    assert metrics.newest_moment(connection, utc("2026-11-05T23:00")) == utc("2026-11-05T00:00")
    assert metrics.newest_moment(connection, utc("2026-10-01T00:00")) is None


def test_the_leaderboard_defaults_to_the_newest_readings(connection: Connection, empty: Connection) -> None:
    assert [(one.place, one.symbol) for one in metrics.leaderboard(connection, limit=2)] == [(1, "BABA"), (2, "GTAT")]
    assert metrics.leaderboard(empty) == []


def test_a_reading_older_than_a_week_is_none(connection: Connection) -> None:
    week_later = MIDNIGHT + timedelta(days=7)
    assert metrics.reading(connection, "BABA", week_later - timedelta(minutes=5)) is not None
    assert metrics.reading(connection, "BABA", week_later) is None


def test_history_is_inclusive_and_oldest_first(connection: Connection) -> None:
    found = metrics.history(connection, "BABA", utc("2026-11-15T00:00"), MIDNIGHT)
    assert [(one.at.day, one.messages) for one in found] == [(15, 4), (16, 4), (17, 46)]


def test_spikes_of_a_moment_leave_out_what_was_not_known_then(connection: Connection) -> None:
    since = utc("2026-11-10T00:00")
    assert {one.symbol for one in metrics.spikes(connection, since, MIDNIGHT)} == {"BABA", "GTAT"}
    noon = utc("2026-11-16T15:20")
    assert all(one.bucket_start + one.bucket_width <= noon for one in metrics.spikes(connection, since, noon))


def test_volume_has_a_row_for_each_interval(connection: Connection) -> None:
    found = metrics.volume(connection, "QUIET", START, MIDNIGHT, timedelta(days=1))
    assert [one.messages for one in found] == [1] * 15 + [0]


def test_stream_health_reads_every_stream(connection: Connection) -> None:
    assert [(one.source, one.stream) for one in metrics.stream_health(connection)] == [
        ("reddit", "r/stocks"),
        ("rss", "wire"),
        ("stocktwits", "posts"),
    ]


def test_coverage_counts_sources_shares_and_gaps(connection: Connection) -> None:
    known = metrics.coverage(connection, "BABA", MIDNIGHT)
    assert (known.sources, known.gaps, known.gap_hours) == (2, 1, 2)
    assert known.heard_week == pytest.approx(1, abs=0.01)
    assert metrics.coverage(connection, "BABA", START + timedelta(days=7)).heard_week_before is None


def test_the_month_begins_in_the_zone_of_the_market(connection: Connection) -> None:
    assert metrics.month_start(connection, utc("2026-12-01T03:00")) == utc("2026-11-01T04:00")
    assert metrics.month_start(connection, utc("2026-12-01T06:00")) == utc("2026-12-01T05:00")


# ------------------------------------------------------------------------------------------------ what is no talk


def test_the_newest_list_of_a_service_stands_beside_our_reading(connection: Connection) -> None:
    found = ask(connection, "crosscheck")
    assert [(row["rank"], row["symbol"], row["mentions_before"], row["their_score"]) for row in found] == [
        (1, "BABA", 4, None),
        (2, "GTAT", 4, 75.0),
    ]
    ours = metrics.reading(connection, "BABA", MIDNIGHT)
    assert ours is not None
    assert (found[0]["our_rank"], found[0]["our_organic"]) == (ours.buzz_rank, ours.organic)
    assert ask(connection, "crosscheck", service="nobody") == []
    assert len(ask(connection, "crosscheck", limit="1")) == 1


def test_news_leaves_copies_out(connection: Connection) -> None:
    assert [row["title"] for row in ask(connection, "news", symbol="BABA")] == ["A pond"]
    assert ask(connection, "news", symbol="GTAT") == []


def test_puts_for_each_call_are_those_of_the_newest_sums(connection: Connection) -> None:
    (row,) = ask(connection, "puts_and_calls")
    assert (row["put_call_volume"], row["put_call_oi"], row["put_volume"]) == (0.5, None, 30)
