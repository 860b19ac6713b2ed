"""Every command of the command line as a person types it: what it prints, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import time
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner
from fakes import make_batch, message
from world import REFUSED, World
from world_corpus import invent
from world_daemon import ask, command, database, environment, stored, tracker, write_config
from world_posts import Post, reddit_feed, stocktwits_page

from tracker.archive import formats
from tracker.cli import main
from tracker.sources import names
from tracker.store import Opening, Store

pytestmark = pytest.mark.slow

TABLES = ("messages", "mentions", "tones", "buckets", "readings", "spikes", "polls", "gaps", "symbols", "streams")


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    """What a world said in the last two hours; on the first page of each stream."""
    return invent(11, time.time() - 7200, 7000, {"stocktwits": 28, "reddit": 60, "hackernews": 20}, places=("stocks",))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, posts: list[Post]) -> Path:
    """The configuration of a tracker that was run once on a world of three sources; it is only read from here on."""
    with World() as world:
        world.publish(posts)
        config = write_config(
            tmp_path_factory.mktemp("full"), world.base_urls, sources=("stocktwits", "reddit", "hackernews")
        )
        found = tracker(config, "once", "poll", "rollup")
        assert found.returncode == 0, found.stderr
        assert stored(database(config)) == world.truth()
    mark = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((time.time() // 300 + 1) * 300))
    found = tracker(config, "once", "rollup", "readings", "--now", mark)
    assert found.returncode == 0, found.stderr
    return config


def held(parquet: Path) -> int:
    """How many rows a Parquet file has, as anybody else reads it."""
    with duckdb.connect() as connection:
        return int(connection.execute(f"SELECT count(*) FROM '{parquet}'").fetchall()[0][0])


def said(config: Path, *arguments: str, given: str | bytes | None = None) -> subprocess.CompletedProcess[str]:
    """A command that only reads, within this process: a fifth of the time of one of its own."""
    found = CliRunner().invoke(main, ["--config", str(config), *arguments], input=given)
    broken = found.exception is not None and not isinstance(found.exception, SystemExit)
    trace = "".join(traceback.format_exception(found.exception)) if broken else ""
    return subprocess.CompletedProcess(arguments, found.exit_code, found.stdout, found.stderr + trace)


def rows(config: Path, *arguments: str) -> Any:
    """The JSON that a command prints."""
    found = said(config, *arguments)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


# ------------------------------------------------------------------------------------------------------- score


def test_score_shows_mentions_tone_and_why(full: Path) -> None:
    found = said(full, "score", "$BABA to the moon, great quarter. Out of $JD.")
    assert found.returncode == 0
    for word in ("BABA", "JD", "cashtag", "tone", "p_bullish", "because of"):
        assert word in found.stdout
    told = rows(full, "score", "--json", "$BABA to the moon, great quarter")
    assert [(m["symbol"], m["match"], m["surface"], m["start"], m["counted"]) for m in told["mentions"]] == [
        ("BABA", "cashtag", "$BABA", 0, True)
    ]
    assert told["tone"] > 0
    assert told["stance"] == 1
    assert all(reason["weight"] for reason in told["reasons"])


def test_score_lines_answers_one_json_line_for_each_line_however_strange(full: Path) -> None:
    lines = [
        "$BABA calls, great quarter",
        json.dumps({"text": "$JD puts, terrible", "source": "stocktwits"}),
        "",
        '{"broken',
        '{"text": 7}',
        "\u202e$GME",
        "ünï ©ode 🚀",
    ]
    found = said(full, "score", "--lines", given="\n".join(lines) + "\n")
    assert found.returncode == 0, found.stderr
    told = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(told) == len(lines)
    assert [[m["symbol"] for m in line["mentions"]] for line in told] == [["BABA"], ["JD"], [], [], [], ["GME"], []]
    assert told[0]["stance"] == 1
    assert told[1]["stance"] == -1
    assert all(line.keys() == {"mentions", "tone", "p_bullish", "stance", "scorer"} for line in told)


def test_the_command_line_works_as_a_process_and_survives_bytes_that_are_no_text(full: Path) -> None:
    given = b"\xff\xfe $BABA\n$JD up\n"
    found = subprocess.run(
        command(full, "score", "--lines"),
        input=given,
        capture_output=True,
        env={**environment(), "PYTHONIOENCODING": "utf-8:strict"},
        timeout=60,
    )
    assert found.returncode == 0, found.stderr
    assert [[m["symbol"] for m in json.loads(line)["mentions"]] for line in found.stdout.splitlines()] == [
        ["BABA"],
        ["JD"],
    ]
    assert found.stderr == b""


def test_score_without_a_text_is_bad_usage(full: Path) -> None:
    found = said(full, "score")
    assert found.returncode == 2
    assert "nothing to score" in found.stderr


# ------------------------------------------------------------------------------------------------- query and sql


def test_query_lists_the_reports_and_every_report_runs_with_its_defaults(full: Path) -> None:
    listed = rows(full, "query", "--json")
    assert len(listed) >= 10
    assert all(row["question"].strip() for row in listed)
    needs = {"SYMBOL": "BABA"}
    for row in listed:
        parameters = [f"{name}=BABA" for name in row["parameters"].split() if name in needs or "symbol" in name]
        found = said(full, "query", row["report"], *parameters, "--format", "csv")
        assert found.returncode == 0, (row["report"], found.stderr)
        assert found.stdout.splitlines(), row["report"]


def test_query_formats_hold_the_same_rows_and_mistakes_end_with_2(full: Path, tmp_path: Path) -> None:
    as_json = rows(full, "query", "leaderboard", "--json")
    assert as_json[0]["symbol"] in ("BABA", "JD")
    as_csv = said(full, "query", "leaderboard", "--format", "csv").stdout
    assert [row["symbol"] for row in csv.DictReader(io.StringIO(as_csv))] == [row["symbol"] for row in as_json]
    target = tmp_path / "board.parquet"
    assert said(full, "query", "leaderboard", "--format", "parquet", "--output", str(target)).returncode == 0
    assert held(target) == len(as_json)
    for wrong in (
        ("leaderbord",),
        ("leaderboard", "colour=red"),
        ("leaderboard", "novalue"),
        ("leaderboard", "--format", "parquet"),
    ):
        found = said(full, "query", *wrong)
        assert found.returncode == 2, wrong
        assert found.stdout == ""
        assert "Traceback" not in found.stderr


def test_sql_answers_and_refuses_to_change_anything(full: Path, tmp_path: Path) -> None:
    count = ask(database(full), "SELECT count(*) FROM messages")[0][0]
    assert rows(full, "sql", "--json", "SELECT count(*) AS n FROM messages") == [{"n": count}]
    assert said(full, "sql", "--format", "csv", "SELECT 1 AS a, NULL AS b, '=1+1' AS c").stdout == "a,b,c\n1,,'=1+1\n"
    canary = tmp_path / "canary.csv"
    canary.write_text("a\n1\n", encoding="utf-8")
    for wrong in (
        "INSERT INTO messages (source, id) VALUES ('x', 'y')", "DELETE FROM messages", "DROP TABLE messages", "CREATE TABLE t (a INT)", "SELEC 1",
        "SELECT * FROM nowhere", f"SELECT * FROM '{canary}'", f"COPY messages TO '{tmp_path / 'out.csv'}'", f"ATTACH '{tmp_path / 'other.db'}'", "INSTALL httpfs",
        "SET memory_limit = '1GB'", "SELECT 1; DELETE FROM messages",
    ):  # fmt: skip
        found = said(full, "sql", wrong)
        assert found.returncode == 2, (wrong, found.stdout, found.stderr)
        assert "Traceback" not in found.stderr
        assert found.stderr.startswith("tracker: ")
    assert ask(database(full), "SELECT count(*) FROM messages") == [(count,)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["canary.csv"]


def test_before_the_first_run_reading_commands_say_so(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=())
    for words in (
        ("top",),
        ("status",),
        ("sql", "SELECT 1"),
        ("brief", "BABA"),
        ("query", "leaderboard"),
        ("export", "messages"),
    ):
        found = said(config, *words)
        assert found.returncode == 2, words
        assert "there is no database yet" in found.stderr
    assert not (tmp_path / "data").exists(), "asking leaves nothing behind"


# ----------------------------------------------------------------------------------------- what the meter shows


def test_top_brief_history_and_spikes_speak_of_what_is_stored(full: Path) -> None:
    board = rows(full, "top", "--json")
    assert {row["symbol"] for row in board} >= {"BABA", "JD"}
    counted = dict(ask(database(full), "SELECT symbol, count(*) FROM mentions GROUP BY symbol"))
    assert {row["symbol"]: row["messages"] for row in board} == counted
    shown = said(full, "top", "--limit", "1")
    assert shown.stdout.count("\n") == 3, shown.stdout
    brief = said(full, "brief", "$baba")
    assert "BABA" in brief.stdout
    assert str(counted["BABA"]) in brief.stdout
    assert rows(full, "brief", "BABA", "--json")
    assert [type(part) for part in rows(full, "brief", "BABA", "JD", "--json")] == [dict, dict]
    assert said(full, "history", "BABA").returncode == 0
    assert isinstance(rows(full, "spikes", "--json"), list)
    nobody = said(full, "brief", "ZZZZZ")
    assert nobody.returncode == 0
    assert "Traceback" not in nobody.stderr


def test_status_names_every_stream_and_why_a_source_is_off(full: Path) -> None:
    told = rows(full, "status", "--json")
    assert {(row["source"], row["stream"]) for row in told["streams"]} == {
        ("stocktwits", "symbol/BABA"), ("stocktwits", "symbol/JD"), ("reddit", "r/stocks"), ("reddit", "r/pondtalk"), ("hackernews", "new"),
    }  # fmt: skip
    assert told["totals"]["messages"] == len(stored(database(full)))
    assert told["off"].keys() == set(names()) - {"stocktwits", "reddit", "hackernews"}
    text = said(full, "status")
    assert "r/stocks" in text.stdout
    assert "bluesky is off" in text.stderr


def test_check_has_a_verdict_for_each_source_and_fails_on_a_broken_file(full: Path, tmp_path: Path) -> None:
    told = rows(full, "check", "--deep", "--json")
    verdicts = {row["what"]: row["ok"] for row in told}
    assert not [row for row in told if row["ok"] is False]
    assert {f"unique {name}" for name in ("messages", "mentions", "tones", "buckets")} <= verdicts.keys()
    assert all(
        any(source in row["what"] for row in told) for source in ("stocktwits", "reddit", "hackernews", "bluesky", "x")
    )
    config = write_config(tmp_path, {}, sources=())
    database(config).parent.mkdir()
    database(config).write_bytes(b"no database at all" * 1000)
    broken = said(config, "check")
    assert broken.returncode == 1
    assert "WRONG" in broken.stdout


# ------------------------------------------------------------------------------------------------------ exports


@pytest.mark.parametrize("table", TABLES)
def test_an_export_holds_every_row_in_every_format(full: Path, tmp_path: Path, table: str) -> None:
    count = ask(database(full), f"SELECT count(*) FROM {table}")[0][0]
    lines = said(full, "export", table, "--format", "jsonl")
    assert lines.returncode == 0, lines.stderr
    assert len([json.loads(line) for line in lines.stdout.splitlines()]) == count
    comma = tmp_path / f"{table}.csv"
    assert said(full, "export", table, "--format", "csv", "--output", str(comma)).returncode == 0
    with comma.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == count
    parquet = tmp_path / f"{table}.parquet"
    assert said(full, "export", table, "--format", "parquet", "--output", str(parquet)).returncode == 0
    assert held(parquet) == count


def test_exported_messages_come_back_as_they_were(full: Path, tmp_path: Path, posts: list[Post]) -> None:
    lines = said(full, "export", "messages", "--format", "jsonl").stdout
    found = {(row["source"], row["id"]): row for row in map(json.loads, lines.splitlines())}
    assert {key: row["text"] for key, row in found.items()} == {
        (post.source, post.id): post.stored_text for post in posts
    }
    assert not any(row["deleted"] for row in found.values())
    assert all({"BABA", "JD"} & set(row["symbols"]) for row in found.values())
    archive = tmp_path / "messages.jsonl"
    archive.write_text(lines, encoding="utf-8")
    again = write_config(tmp_path, {}, sources=())
    replayed = tracker(again, "replay", str(archive), "--as", "ndjson")
    assert replayed.returncode == 0, replayed.stderr
    assert stored(database(again)) == stored(database(full))
    pairs = "SELECT source, message_id, symbol FROM mentions ORDER BY ALL"
    assert ask(database(again), pairs) == ask(database(full), pairs)


# ------------------------------------------------------------------------------------------------ poll and once


def test_a_recorded_body_is_read_in_place_of_the_network_and_twice_is_once(tmp_path: Path) -> None:
    posts = invent(12, time.time() - 600, 500, {"stocktwits": 20, "reddit": 20}, symbols=("BABA",), places=("stocks",))
    config = write_config(tmp_path, {}, sources=("stocktwits", "reddit"))
    page, feed = tmp_path / "page.json", tmp_path / "feed.xml"
    page.write_bytes(stocktwits_page([p for p in posts if p.source == "stocktwits"], "BABA", None))
    feed.write_bytes(reddit_feed([p for p in posts if p.source == "reddit"], ["stocks"], False, 100, None))
    for source, stream, body in (
        ("stocktwits", "BABA", page),
        ("reddit", "r/stocks", feed),
        ("stocktwits", "BABA", page),
    ):
        found = tracker(config, "poll", source, stream, "--load", str(body))
        assert found.returncode == 0, found.stderr
        assert "20 messages" in found.stderr
    assert stored(database(config)) == {(post.source, post.id): post.stored_text for post in posts}
    assert ask(database(config), "SELECT sum(added), count(*) FROM polls") == [(40, 3)]
    assert ask(database(config), "SELECT count(*) FROM buckets WHERE symbol = 'BABA'")[0][0] > 0


def test_a_body_that_is_none_is_refused_without_a_traceback(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=("stocktwits",))
    body = tmp_path / "page.html"
    body.write_text("<!doctype html><html>log in</html>", encoding="utf-8")
    found = tracker(config, "poll", "stocktwits", "BABA", "--load", str(body))
    assert found.returncode == 1
    assert "HTML" in found.stderr
    assert "Traceback" not in found.stderr


def test_poll_saves_what_it_was_sent_and_names_mistakes(tmp_path: Path) -> None:
    with World() as world:
        world.publish(invent(13, time.time() - 600, 500, {"stocktwits": 10}, symbols=("BABA",)))
        config = write_config(tmp_path, world.base_urls, sources=("stocktwits", "reddit"))
        saved = tmp_path / "saved.json"
        found = tracker(config, "poll", "stocktwits", "BABA", "--save", str(saved))
        assert found.returncode == 0, found.stderr
        assert len(json.loads(saved.read_bytes())["messages"]) == 10
        world.fault("reddit", REFUSED)
        refused = tracker(config, "poll", "reddit", "r/stocks")
        assert refused.returncode == 1
        assert "denied" in refused.stderr
        for wrong in (("stocktwitz",), ("stocktwits", "no/stream"), ("bluesky",)):
            bad = tracker(config, "poll", *wrong)
            assert bad.returncode == 2, wrong
            assert "Traceback" not in bad.stderr


def test_once_ends_with_3_when_some_sources_fail_and_with_1_when_all_do(tmp_path: Path) -> None:
    with World() as world:
        world.publish(invent(14, time.time() - 600, 500, {"stocktwits": 10, "reddit": 10}))
        config = write_config(tmp_path, world.base_urls, sources=("stocktwits", "reddit"))
        world.fault("reddit", REFUSED, REFUSED)
        some = tracker(config, "once")
        assert some.returncode == 3, some.stderr
        assert "reddit r/stocks" in some.stderr
        assert "stocktwits symbol" not in some.stderr
        assert {source for source, _ in stored(database(config))} == {"stocktwits"}
    alone = tmp_path / "alone"
    alone.mkdir()
    with World() as world:
        config = write_config(alone, world.base_urls, sources=("reddit",))
        world.fault("reddit", REFUSED, REFUSED)
        none = tracker(config, "once")
        assert none.returncode == 1, none.stderr


def test_once_rolls_up_what_waits_in_the_journal_too(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, sources=())
    assert tracker(config, "once", "rollup").returncode == 0
    store = Store(Opening(database(config)))
    at = datetime.now(UTC) - timedelta(minutes=20)
    for symbol in ("GME", "BABA"):  # after the first one there is a reading: none is due with the second
        store.standing(at)
        store.keep(make_batch(message(f"${symbol} is up", symbol, at=at), at=at))
        assert tracker(config, "once", "rollup").returncode == 0
        assert ask(database(config), f"SELECT DISTINCT messages FROM buckets WHERE symbol = '{symbol}'") == [(1,)]


def test_mistakes_in_arguments_end_with_2_and_a_hint(full: Path) -> None:
    for wrong in (
        ("once", "sweep"),
        ("top", "--window", "3h"),
        ("top", "--at", "yesterday-ish"),
        ("export", "secrets"),
        ("replay", "x", "--as", "carrier-pigeon"),
        ("publish",),
    ):
        found = said(full, *wrong)
        assert found.returncode == 2, (wrong, found.stderr)
        assert "Traceback" not in found.stderr
        assert found.stdout == ""


def test_help_names_every_command(full: Path) -> None:
    found = said(full, "--help")
    assert found.returncode == 0
    for name in (
        "run",
        "once",
        "poll",
        "replay",
        "query",
        "sql",
        "brief",
        "top",
        "status",
        "history",
        "spikes",
        "score",
        "export",
        "publish",
        "check",
        "rebuild",
    ):
        assert f"  {name} " in found.stdout, name


def test_the_help_of_replay_names_every_format() -> None:
    said = CliRunner().invoke(main, ["replay", "--help"]).output
    named = {word.strip(".,[]") for word in said.partition("--as FORMAT")[2].partition("--readings")[0].split()}
    assert named - {"required"} == set(formats())
