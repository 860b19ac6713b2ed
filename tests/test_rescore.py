"""``tracker rescore``: what is stored looks as if the scorer in force had been so all along, whoever is killed on the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fakes import KEY, message

from tracker.cli import main
from tracker.config import Config
from tracker.ingest import Analysis, digest
from tracker.mentions import make_finder
from tracker.models import Batch, Message, PollReport, ToneRow
from tracker.parts import DaemonLock, load_config, prepare_store, store_of, universe_of
from tracker.rescore import RescoreReport, rescore
from tracker.store import Store
from tracker.tone import Scorer, make_scorer
from tracker.tone.second import SECOND

State = dict[str, list[tuple[Any, ...]]]
START = datetime(2026, 3, 2, 14, tzinfo=UTC)
NOW = datetime(2026, 3, 9, tzinfo=UTC)
FINDER = make_finder(("GME", "BABA"))
LEXICON, VADER = make_scorer("lexicon"), make_scorer("vader")
LONG = (
    "The weather was fine and the train was late, as it always is on a day like this in the mountains. " * 5
    + "$BABA is a strong buy and I love it, great company. Nothing more about that one. "
    + "$GME is a terrible scam, bearish, it will crash and I hate it."
)
# what the lexicon and VADER read differently, alike, and not at all
TEXTS = (
    "$GME to the moon 🚀",
    "$GME puts, it will crash",
    "$BABA support at 80",
    "great $BABA, I love it",
    "$GME",
    LONG,
)


def talk(number: int) -> list[Message]:
    """So many messages, six an hour; every seventh has its author's label."""
    return [
        message(
            TEXTS[n % len(TEXTS)] + f" {n}",
            f"m{n:05}",
            at=START + timedelta(minutes=10 * n),
            label=("bullish" if n % 2 else "bearish") if n % 7 == 0 else None,
        )
        for n in range(number)
    ]


def keep(store: Store, messages: list[Message], scorer: Scorer) -> None:
    found = digest(messages, Analysis(FINDER, scorer, KEY), stream="s", fetched_at=None)
    last = max(row.created_at for row in found.messages)
    report = PollReport("pond", "s", last, 0, "ok", fetched=len(messages), covers_from=START - timedelta(days=1))
    batch = Batch(report, None, found.messages, found.mentions, found.tones, fetched_at=last)
    with store.writing() as connection:
        store.load([batch], connection)
    store.rollup()


def place(folder: Path, scorer: str = "vader") -> tuple[Config, Store]:
    folder.mkdir(exist_ok=True)
    path = folder / "config.toml"
    path.write_text(f'[tracker]\ndata_dir = "data"\n[watchlist]\nsymbols = ["GME"]\n[tone]\nscorer = "{scorer}"\n')
    config = load_config(str(path), {})
    store = store_of(config)
    prepare_store(config, store, universe_of(config), NOW)
    return config, store


def rows(store: Store, query: str) -> list[tuple[Any, ...]]:
    with store.reading() as connection:
        return connection.execute(query).fetchall()


def state(store: Store) -> State:
    """What a scorer makes: tones by it, mentions, buckets."""
    return {
        "tones": rows(store, f"SELECT * FROM tones WHERE scorer = '{VADER.name}' ORDER BY ALL"),
        "mentions": rows(store, "SELECT * FROM mentions ORDER BY ALL"),
        "buckets": rows(store, "SELECT * FROM buckets ORDER BY ALL"),
        "messages": rows(store, "SELECT * FROM messages ORDER BY ALL"),
    }


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with sixty messages that the lexicon has scored."""
    folder = tmp_path_factory.mktemp("template")
    keep(place(folder)[1], talk(60), LEXICON)
    return folder


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> State:
    """The same sixty messages, had VADER been in force all along."""
    _, store = place(tmp_path_factory.mktemp("truth"))
    keep(store, talk(60), VADER)
    return state(store)


@pytest.fixture
def scored(tmp_path: Path, template: Path) -> tuple[Config, Store]:
    """A copy of the template, in which VADER is in force."""
    shutil.copytree(template, tmp_path / "place")
    config = load_config(str(tmp_path / "place" / "config.toml"), {})
    return config, store_of(config)


def test_everything_is_as_if_the_scorer_had_been_in_force_all_along(scored: tuple[Config, Store], truth: State) -> None:
    _, store = scored
    before = state(store)
    seen: list[tuple[int, int]] = []
    report = rescore(store, VADER, NOW, progress=lambda done, total: seen.append((done, total)), at_once=12)
    assert state(store) == truth
    assert state(store)["buckets"] != before["buckets"]
    assert report.scorer == VADER.name
    assert (report.messages, report.without_text) == (60, 0)
    assert 0 < report.mentions < len(before["mentions"]), "only those that changed are counted"
    assert (seen[0], seen[-1]) == ((0, 60), (60, 60))
    assert len(seen) >= 5, "batch by batch"
    assert rows(store, "SELECT scorer, count(*) FROM tones GROUP BY ALL ORDER BY ALL") == [
        (LEXICON.name, 60),
        (VADER.name, 60),
    ], "the old scores stay beside the new ones"


def test_in_a_long_post_mentions_have_the_tone_of_their_own_sentences(scored: tuple[Config, Store]) -> None:
    _, store = scored
    rescore(store, VADER, NOW)
    found = rows(store, "SELECT symbol, min(tone), max(tone) FROM mentions WHERE message_id = 'm00005' GROUP BY symbol")
    tones = {symbol: low for symbol, low, high in found if low == high}
    assert tones["BABA"] > 0.3
    assert tones["GME"] < -0.3


def test_a_second_run_does_nothing(scored: tuple[Config, Store]) -> None:
    _, store = scored
    rescore(store, VADER, NOW)
    before = state(store)
    assert rescore(store, VADER, NOW) == RescoreReport(VADER.name, 0, 0, 0, 0)
    assert state(store) == before


def test_a_scorer_that_comes_back_is_applied_again(scored: tuple[Config, Store]) -> None:
    _, store = scored
    before = state(store)
    rescore(store, VADER, NOW)
    assert rescore(store, LEXICON, NOW).messages == 60
    assert state(store)["mentions"] == before["mentions"]
    assert state(store)["buckets"] == before["buckets"]
    assert rows(store, "SELECT count(*) FROM tones") == [(120,)], "one row a message and scorer"


def test_second_opinions_are_no_scorers_in_force(scored: tuple[Config, Store]) -> None:
    _, store = scored
    store.add_tones([ToneRow("pond", "m00000", f"{SECOND}judge-1", 0.5, 0.75, 1)])
    before = rows(store, "SELECT * FROM mentions ORDER BY ALL")
    assert rescore(store, LEXICON, NOW).messages == 0
    assert rows(store, "SELECT * FROM mentions ORDER BY ALL") == before
    assert rescore(store, VADER, NOW).messages == 60


def test_only_messages_since_a_time_are_scored(scored: tuple[Config, Store]) -> None:
    _, store = scored
    since = START + timedelta(minutes=10 * 30 + 5)
    assert rescore(store, VADER, NOW, since).messages == 29
    assert rows(store, f"SELECT min(message_id) FROM tones WHERE scorer = '{VADER.name}'") == [("m00031",)]
    assert rescore(store, VADER, NOW).messages == 31


def test_words_past_retention_keep_their_tone_and_are_counted(scored: tuple[Config, Store]) -> None:
    _, store = scored
    with store.writing() as connection:
        connection.execute("UPDATE messages SET text = NULL WHERE id < 'm00010'")
        connection.execute("UPDATE messages SET text = NULL, deleted_at = created_at WHERE id = 'm00059'")
    old = rows(store, "SELECT * FROM mentions WHERE message_id < 'm00010' ORDER BY ALL")
    report = rescore(store, VADER, NOW)
    assert (report.messages, report.without_text) == (49, 10)
    assert rows(store, "SELECT * FROM mentions WHERE message_id < 'm00010' ORDER BY ALL") == old


def test_readings_say_which_scorer_was_in_force_and_live_ones_stay(scored: tuple[Config, Store]) -> None:
    _, store = scored
    at = START + timedelta(hours=12)
    store.take_readings(at, at + timedelta(seconds=1), scorer=LEXICON.name)
    before = rows(store, "SELECT * FROM readings ORDER BY ALL")
    assert {row[-1] for row in before} == {LEXICON.name}
    rescore(store, VADER, NOW)
    assert rows(store, "SELECT * FROM readings ORDER BY ALL") == before
    store.take_readings(at + timedelta(minutes=5), at + timedelta(minutes=5), scorer=VADER.name)
    assert {scorer for (scorer,) in rows(store, "SELECT DISTINCT scorer FROM readings")} == {LEXICON.name, VADER.name}


# ----------------------------------------------------------------------------------------------------- killed

CHILD = """
import os, signal, sys
from datetime import UTC, datetime
sys.path.insert(0, {tests!r})
from test_rescore import NOW, VADER
from tracker import rescore
from tracker.parts import load_config, store_of
from tracker.store import rescore as stored

class Deadly:
    name = VADER.name
    left = {texts}
    def score(self, text, source=""):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return VADER.score(text, source)

if {inside}:
    inner, left = stored.stage, {inside}
    def stage(connection, table, *rest):
        global left
        inner(connection, table, *rest)
        left -= table == "rescored_mentions"
        if left == 0:  # the tones are written, the mentions are not, and nothing is committed
            os.kill(os.getpid(), signal.SIGKILL)
    stored.stage = stage
rescore.rescore(store_of(load_config({config!r}, {{}})), Deadly(), NOW, at_once=12)
"""


@pytest.mark.parametrize(
    ("texts", "inside"), [(1, 0), (40, 0), (0, 1), (0, 3)], ids=["at once", "between", "first", "third"]
)
def test_a_run_that_was_killed_goes_on_where_it_stopped(
    scored: tuple[Config, Store], truth: State, texts: int, inside: int
) -> None:
    config, store = scored
    code = CHILD.format(tests=str(Path(__file__).parent), texts=texts, inside=inside, config=str(config.path))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=120)
    assert killed.returncode == -9, killed.stderr.decode()
    ((done,),) = rows(store, f"SELECT count(*) FROM tones WHERE scorer = '{VADER.name}'")
    assert done % 12 == 0, "a batch is there or it is not"
    assert done < 60
    assert (done > 0) == (texts > 12 or inside > 1)
    half = rows(
        store,
        f"""SELECT count(*) FROM mentions JOIN tones USING (source, message_id)
            WHERE tones.scorer = '{VADER.name}' AND message_id <> 'm00005' AND length((SELECT text FROM messages AS m WHERE m.id = message_id)) < 400
              AND mentions.tone <> tones.tone""",
    )
    assert half == [(0,)]
    assert rescore(store, VADER, NOW, at_once=12).messages == 60 - done
    assert state(store) == truth


# ------------------------------------------------------------------------------------------------- the command


def run(config: Config, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["--config", str(config.path), "rescore", *arguments])


def test_the_command_says_what_it_did(scored: tuple[Config, Store]) -> None:
    config, store = scored
    with store.writing() as connection:
        connection.execute("UPDATE messages SET text = NULL WHERE id = 'm00000'")
    found = run(config, "--json")
    assert found.exit_code == 0, found.output
    (told,) = json.loads(found.stdout)
    assert {key: told[key] for key in ("scorer", "messages", "without_text")} == {
        "scorer": VADER.name,
        "messages": 59,
        "without_text": 1,
    }
    assert "keep their old tone" in found.stderr
    assert run(config).exit_code == 0


def test_the_command_leaves_a_daemon_alone(scored: tuple[Config, Store]) -> None:
    config, store = scored
    lock = DaemonLock(config.tracker.data_dir)
    lock.acquire()
    try:
        found = run(config)
    finally:
        lock.release()
    assert found.exit_code == 1
    assert "already runs" in found.output
    assert rows(store, "SELECT DISTINCT scorer FROM tones") == [(LEXICON.name,)]


def test_a_time_that_is_none_is_a_usage_error(scored: tuple[Config, Store]) -> None:
    assert run(scored[0], "--since", "yesterdayish").exit_code == 2


def test_what_waits_in_the_journal_is_scored_too(scored: tuple[Config, Store]) -> None:
    _, store = scored
    at = START + timedelta(days=1)
    found = digest([message("$GME calls", "late", at=at)], Analysis(FINDER, LEXICON, KEY), stream="s", fetched_at=at)
    store.standing(at)
    store.keep(
        Batch(PollReport("pond", "s", at, 0, "ok"), None, found.messages, found.mentions, found.tones, fetched_at=at)
    )
    assert rescore(store, VADER, NOW).messages == 61
