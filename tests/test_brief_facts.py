"""What a brief reads from a real file, and the command that prints it."""

from __future__ import annotations

import json
import shutil
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import MIDNIGHT, Said, build, crowd, make_batch, say
from click.testing import CliRunner, Result

from tracker.brief import Talk, lead_sentence, newsroom_paragraph, read_facts, read_lead, write
from tracker.brief.facts import talk_of
from tracker.cli import main
from tracker.errors import BadInput
from tracker.store import Connection, naive_utc
from tracker.store.connect import Opening, opened

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START = MIDNIGHT - timedelta(days=21)
OPINIONS = MIDNIGHT - timedelta(hours=9)
CHATTER = " ".join(f"{one}{other}x" for one in "abcdefghij" for other in "klmnopqrs")  # what words are told apart from


def said() -> list[Said]:
    """Three weeks of BABA: a trickle, a bearish week, then 60 bulls on the last day, half of them about the cloud.

    OLD fell silent long ago, LATER is named for the first time after the moment; SPY is what everybody talks about.
    """
    told = []
    for number in range(20):
        gloomy = 7 <= number < 19
        day = START + timedelta(days=number)
        told += crowd(day + 15 * HOUR, "BABA", bulls=0 if gloomy else 3, bears=3 if gloomy else 0)
        told += crowd(day + 12 * HOUR, "SPY", others=10)
        told.append(say(day + 11 * HOUR, "SPY", f"{CHATTER} {chr(ord('a') + number) * 2}"))
        if number < 6:
            told += crowd(day + 9 * HOUR, "OLD", bulls=4)
    told += crowd(OPINIONS, "BABA", bulls=30, every=timedelta(seconds=30))
    for number in range(30):
        name = chr(ord("a") + number % 26) * (2 + number // 26)
        told.append(say(OPINIONS + HOUR, "BABA", f"the cloud of {name}", author=name, stance=1))
    told.append(
        say(
            OPINIONS + 2 * HOUR,
            "BABA",
            "RT @ann: all eyes on the cloud",
            key="loud",
            author="kim",
            reshares=34,
            likes=9,
        )
    )
    return told + crowd(MIDNIGHT + 3 * HOUR, "LATER", bulls=5)


def add(connection: Connection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Rows of a table of facts."""
    for row in rows:
        values = [naive_utc(value) if isinstance(value, datetime) else value for value in row.values()]
        names = ", ".join(row)
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' for _ in values)})", values)


def ballots() -> list[dict[str, Any]]:
    """One poll in two states, the second seen after the moment."""
    row = {"source": "stocktwits", "message_id": "poll", "symbol": "BABA", "question": "Will it go on?"}
    row |= {"created_at": OPINIONS, "closes_at": MIDNIGHT + DAY}
    return [
        row
        | {
            "option": option,
            "position": position,
            "votes": votes,
            "share": votes / total,
            "voters": total,
            "seen_at": at,
        }
        for at, total, shown in ((MIDNIGHT - HOUR, 10, (7, 3)), (MIDNIGHT + HOUR, 100, (8, 92)))
        for position, (option, votes) in enumerate(zip(("Yes", "No"), shown, strict=True), 1)
    ]


def bars() -> list[dict[str, Any]]:
    """Daily closes from 2 November on, then one bar before the market opens on the 17th."""
    day = {"bucket_width": DAY, "session": "regular", "source": "t", "fetched_at": MIDNIGHT}
    closes = {date: 80.0 for date in range(2, 14) if date % 7 not in (0, 1)} | {13: 80.0, 16: 88.0}
    found = [
        day | {"symbol": "BABA", "bucket_start": datetime(2026, 11, date, tzinfo=UTC), "close": close, "high": close}
        for date, close in closes.items()
    ]
    before_the_bell = {"bucket_width": timedelta(minutes=5), "session": "pre", "bucket_start": MIDNIGHT + 11 * HOUR}
    return [*found, day | before_the_bell | {"symbol": "BABA", "close": 86.68, "high": 86.68}]


def news() -> list[dict[str, Any]]:
    row = {
        "source": "rss",
        "stream": "feed",
        "fetched_at": MIDNIGHT,
        "symbols": ["BABA"],
        "url": "https://example.test/n",
    }
    made = {"old": MIDNIGHT - 5 * DAY, "fresh": MIDNIGHT - 2 * HOUR, "later": MIDNIGHT + HOUR}
    return [row | {"id": name, "title": f"A {name} headline", "created_at": at} for name, at in made.items()]


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Opening:
    batch = make_batch(said(), fetched_at=MIDNIGHT + timedelta(hours=5), covers_from=START)
    moments = [START + timedelta(days=number) for number in range(1, 22)]
    built = build(tmp_path_factory.mktemp("brief"), [batch], readings=moments)
    with opened(built) as connection:
        add(connection, "watchlist", [{"symbol": name, "group_name": "china_tech"} for name in ("BABA", "OLD", "JD")])
        add(connection, "symbols", [{"symbol": "BABA", "name": "Alibaba", "kind": "stock", "status": "listed"}])
        for table, rows in (("ballots", ballots()), ("prices", bars()), ("headlines", news())):
            add(connection, table, rows)
    return built


@pytest.fixture(scope="module")
def folder(opening: Opening, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of its own with its configuration: a process opens a file in one way at a time."""
    place = tmp_path_factory.mktemp("data")
    shutil.copy(opening.path, place / "tracker.duckdb")
    groups = '[watchlist.groups]\nchina_tech = ["BABA", "OLD", "JD"]\n'
    (place / "config.toml").write_text(groups, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def connection(opening: Opening) -> Iterator[Connection]:
    with opened(opening, read_only=True) as connection:
        yield connection


# ------------------------------------------------------------------------------------------------ facts


def test_the_facts_are_those_of_the_moment(connection: Connection) -> None:
    facts = read_facts(connection, "$baba", MIDNIGHT + HOUR)
    assert (facts.symbol, facts.kind, facts.measured_at) == ("BABA", "stock", MIDNIGHT)
    assert facts.labelled == facts.day
    assert facts.day is not None
    assert (facts.day.messages, facts.day.sentiment_label) == (61, "extremely bullish")
    assert facts.week is not None
    assert (facts.week.messages, facts.week.previous_messages) == (79, 21)
    assert {visit.label for visit in facts.labels} == {"extremely bullish", "extremely bearish"}
    assert [(one.bucket_width, one.start_at, one.messages) for one in facts.episodes] == [
        (DAY, MIDNIGHT - DAY, 61),
        (HOUR, OPINIONS, 60),
    ]
    assert facts.coverage is not None
    assert (facts.coverage.sources, facts.coverage.gaps) == (1, 0)
    assert facts.coverage.heard_week == pytest.approx(1)
    assert [(one.source, one.streams, one.up) for one in facts.heard] == [("stocktwits", 1, pytest.approx(1))]


def test_an_alert_reads_less_and_says_the_same(connection: Connection) -> None:
    for symbol in ("BABA", "OLD", "LATER", "NOBODY"):
        for at in (None, MIDNIGHT, MIDNIGHT + 30 * HOUR):
            lead = lead_sentence(read_lead(connection, symbol, at))
            assert lead == lead_sentence(read_facts(connection, symbol, at))


def test_what_people_say_is_that_of_the_day(connection: Connection) -> None:
    facts = read_facts(connection, "BABA", MIDNIGHT)
    assert facts.talk is not None
    assert (facts.talk.from_at, facts.talk.until_at, facts.talk.spike) == (MIDNIGHT - DAY, MIDNIGHT, False)
    assert "cloud" in {driver.term for driver in facts.talk.drivers}
    assert facts.talk.shared is not None
    assert (facts.talk.shared.message_id, facts.talk.shared.reshares) == ("loud", 34)
    assert [headline.title for headline in facts.headlines] == ["A fresh headline"]
    assert [(option.option, option.votes) for option in facts.ballots] == [("Yes", 7), ("No", 3)]
    text = write(facts)
    assert "“cloud” (in 31 of 61 organic messages)" in text
    assert "Passed on most (34 reshares and 9 likes on stocktwits): “all eyes on the cloud”." in text
    assert "“Yes” leads with 70 % of 10 voters so far." in text


def test_a_spike_of_the_week_speaks_where_no_word_marks_the_day(connection: Connection) -> None:
    """Two days on the newest reading is still that of the loud day; with nothing since, its own words stand."""
    facts = read_facts(connection, "BABA", MIDNIGHT + 2 * DAY)
    assert facts.talk is not None
    assert (facts.talk.from_at, facts.talk.spike) == (MIDNIGHT - DAY, False)
    quiet = MIDNIGHT + DAY  # as if a reading of the next day had been taken
    of_spike = Talk(MIDNIGHT - DAY, MIDNIGHT, True, facts.talk.drivers, facts.talk.shared)
    assert talk_of(connection, "BABA", quiet, quiet, facts.episodes) == of_spike
    assert talk_of(connection, "BABA", quiet, quiet, ()) is None
    pasted = replace(facts.episodes[0], kind="copied", peak_z=99.0, start_at=START, end_at=START + DAY)
    assert talk_of(connection, "BABA", quiet, quiet, [pasted, *facts.episodes]) == of_spike, "organic talk goes first"
    early = talk_of(connection, "BABA", START, MIDNIGHT - 6 * HOUR, facts.episodes)
    assert early is not None
    assert (early.until_at, early.spike) == (MIDNIGHT - 6 * HOUR, True), "what comes later is not known yet"


def test_the_price_is_the_last_one_known_with_its_session(connection: Connection) -> None:
    evening = read_facts(connection, "BABA", MIDNIGHT).price
    assert evening is not None
    assert (evening.price, evening.session, evening.session_change) == (88.0, "regular", pytest.approx(0.1))
    early = read_facts(connection, "BABA", MIDNIGHT + 12 * HOUR)
    assert early.price is not None
    assert (early.price.session, early.price.change) == ("pre", pytest.approx(-0.015))
    assert "the stock is down 1.5 % pre-market (at 86.68) after a 10 % surge" in newsroom_paragraph(early)


def test_the_members_of_a_group_stand_beside_it(connection: Connection) -> None:
    facts = read_facts(connection, "BABA", MIDNIGHT, "china_tech")
    assert [(member.symbol, member.messages) for member in facts.peers] == [("BABA", 61), ("JD", None), ("OLD", None)]
    assert "BABA (this one) 'extremely bullish'" in write(facts)
    assert read_facts(connection, "BABA", MIDNIGHT).peers == ()
    with pytest.raises(BadInput, match=r"no such group: chips: expected one of china_tech"):
        read_facts(connection, "BABA", MIDNIGHT, "chips")


def test_a_brief_tells_label_history_and_volume_of_a_real_file(connection: Connection) -> None:
    text = write(read_facts(connection, "BABA", MIDNIGHT))
    assert text.startswith(
        "Retail sentiment on BABA was 'extremely bullish' as of Monday evening (2026-11-17 00:00 UTC, score "
    )
    assert "has toggled only between 'extremely bearish' and 'extremely bullish' this month" in text
    assert "message volume has soared by over 276 % in the past week (79 messages against 21)" in text
    assert "61 messages by 61 authors on Monday 2026-11-16 (UTC day, extreme, " in text
    assert "100 % of the past week heard (stocktwits 100 %)" in text


def test_without_a_time_the_newest_readings_are_meant(connection: Connection) -> None:
    assert read_facts(connection, "BABA") == read_facts(connection, "BABA", MIDNIGHT)


def test_a_brief_of_the_past_does_not_know_the_future(connection: Connection) -> None:
    before = read_facts(connection, "BABA", MIDNIGHT - DAY)
    assert before.episodes == ()
    assert before.ballots == ()
    assert before.price is not None
    assert before.price.price == 80.0
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
        assert "no stored message names it" in newsroom_paragraph(read_facts(connection, "BABA", MIDNIGHT))
        with pytest.raises(BadInput, match="no group is known"):
            read_facts(connection, "BABA", None, "china_tech")


# ------------------------------------------------------------------------------------------------ command


def told(folder: Path, *words: str) -> Result:
    """``tracker brief`` on the file, as a person types it."""
    found = CliRunner().invoke(
        main, ["--config", str(folder / "config.toml"), "--data-dir", str(folder), "brief", *words]
    )
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        traceback.print_exception(found.exception)
    return found


def test_the_command_prints_what_the_facts_say(folder: Path, connection: Connection) -> None:
    found = told(folder, "$baba", "--at", "2026-11-17T00:00Z", "--against", "china_tech")
    assert found.exit_code == 0, found.stderr
    assert found.stdout == write(read_facts(connection, "BABA", MIDNIGHT, "china_tech"))
    short = told(folder, "BABA", "--style", "newsroom")
    assert short.stdout == newsroom_paragraph(read_facts(connection, "BABA")) + "\n"


def test_several_symbols_are_one_answer_in_every_form(folder: Path) -> None:
    assert [one["symbol"] for one in json.loads(told(folder, "BABA", "NOBODY", "--json").stdout)] == ["BABA", "NOBODY"]
    assert json.loads(told(folder, "BABA", "--json").stdout)["symbol"] == "BABA"
    page = told(folder, "BABA", "NOBODY", "--format", "html").stdout
    assert page.startswith("<!doctype html>")
    assert page.count("<article") == 2
    assert told(folder, "NOBODY").exit_code == 0


def test_a_group_that_does_not_exist_is_refused_by_name(folder: Path) -> None:
    found = told(folder, "BABA", "--against", "chips")
    assert found.exit_code == 2
    assert "chips" in found.stderr
    assert "china_tech" in found.stderr
    assert found.stdout == ""


def test_the_answer_goes_to_a_file_where_one_is_named(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "brief.html"
    assert told(folder, "BABA", "--format", "html", "--output", str(target)).stdout == ""
    assert target.read_text(encoding="utf-8") == told(folder, "BABA", "--format", "html").stdout
    refused = told(folder, "BABA", "--output", str(tmp_path / "no" / "where.txt"))
    assert refused.exit_code == 2
    assert "can't be written" in refused.stderr
