"""Forgetting on request: what a person wrote goes from everywhere, stays away, and the counts are as if it had never been."""

from __future__ import annotations

import json
import stat
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakes import KEY, NOON, analysis, make_batch, make_store, message, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from world_daemon import Daemon, ask, until, write_config
from worlds import DAY, HOUR, START, Recipe, World, dump, fresh_database, make, tell

from tracker import sources
from tracker.cli import main
from tracker.models import Ballot, BallotOption, Deletion, Item
from tracker.parts import DaemonLock
from tracker.store import Opening, Store, derive
from tracker.store.forget import Wish, forget
from tracker.tone.second import SECOND

MARK = "zebrafink"  # stands in every text and address that has to go


def keep(store: Store, *items: Item, at: datetime = NOON, flush: bool = True) -> None:
    store.keep(make_batch(*items, at=at))
    if flush:
        store.flush()


def said(id_: str, author: str | None = "ann", text: str = f"$GME {MARK}", at: datetime = NOON, **more: object) -> Item:
    address = f"https://pond.example/@{MARK if author == 'ann' else author}/{id_}"
    return message(text, id_, at=at, author=author, url=address, lang="en", **more)


def wish(id_: str | None = None, author: str | None = None) -> Wish:
    return Wish("pond", id_, analysis().hash_author("pond", author))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = make_store(tmp_path)
    found.standing(NOON)
    return found


def forgets(store: Store, meant: Wish, *, alone: bool = True) -> dict[str, int]:
    found = store.forget(meant, NOON + HOUR, "lexicon", alone=alone)
    return {name: getattr(found, name) for name in found.__slots__}


def everything(store: Store) -> str:
    """All that all tables hold, as text."""
    with store.reading() as connection:
        tables = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return "\n".join(str(connection.execute(f"SELECT * FROM {name}").fetchall()) for name in tables)


# --------------------------------------------------------------------------------------------------- what goes


def test_of_a_message_nothing_stays_but_its_id_and_its_times(store: Store) -> None:
    ballot = Ballot((BallotOption(f"yes {MARK}", 3), BallotOption("no", 1)), f"up, {MARK}?")
    keep(store, said("1", ballot=ballot, reply_to="7", likes=4), said("2", "bob", "$GME is fine"))
    store.rollup()
    done = forgets(store, wish("1"))
    assert (done["messages"], done["mentions"], done["tones"], done["ballots"], done["symbol_days"]) == (1, 1, 1, 2, 1)
    assert MARK not in everything(store)
    columns = "text, author, url, lang, label, reply_to, reshare_of, likes, reshares, replies, text_key"
    assert rows(store, f"SELECT {columns} FROM messages WHERE id = '1'") == [(None,) * 11]
    assert rows(store, "SELECT text, url IS NULL FROM messages WHERE id = '2'") == [("$GME is fine", False)]
    assert rows(store, "SELECT messages, authors FROM buckets WHERE source = '*' AND bucket_width = INTERVAL 1 DAY") == [(1, 1)]  # fmt: skip


def test_of_an_author_every_message_goes_and_nobody_elses(store: Store) -> None:
    keep(store, said("1"), said("2", at=NOON - DAY), said("3", "bob", "$GME no"), said("4", None, "$GME nobody"))
    assert forgets(store, wish(author="ann"))["messages"] == 2
    assert rows(store, "SELECT id FROM messages WHERE deleted_at IS NULL ORDER BY id") == [("3",), ("4",)]
    assert rows(store, "SELECT DISTINCT message_id FROM mentions ORDER BY 1") == [("3",), ("4",)]
    assert analysis().hash_author("pond", "ann") not in str(rows(store, "SELECT author FROM messages")) + str(
        rows(store, "SELECT author FROM mentions")
    )


def test_the_words_that_spikes_and_alerts_were_told_in_go(store: Store) -> None:
    keep(store, said("1"))
    store.rollup()
    with store.writing() as connection:
        connection.execute(
            f"""INSERT INTO spikes SELECT 'GME', INTERVAL 1 HOUR, hour, 9, 9, 9, 9, 1, 9, 0, 'high', 'organic', ['{MARK}'], '1', hour
                FROM (VALUES (TIMESTAMP '2026-03-02 12:00'), (TIMESTAMP '2026-03-01 12:00')) AS t (hour)"""
        )
        connection.execute(
            f"""INSERT INTO alerts SELECT 'r', symbol, moment, 'c', 'spike', 't', '9 messages (z 9.0). Words: {MARK}, moon.', NULL, 'k', 'sent', 1, NULL, moment, NULL, moment
                FROM (VALUES ('GME', TIMESTAMP '2026-03-02 12:05'), ('BABA', TIMESTAMP '2026-03-02 12:05')) AS t (symbol, moment)"""
        )
    done = forgets(store, wish("1"))
    assert (done["spikes"], done["alerts"]) == (1, 1)
    assert rows(store, "SELECT symbol, body FROM alerts ORDER BY symbol") == [
        ("BABA", f"9 messages (z 9.0). Words: {MARK}, moon."),
        ("GME", "9 messages (z 9.0)."),
    ]
    assert MARK not in str(rows(store, "SELECT * FROM spikes WHERE bucket_start >= TIMESTAMP '2026-03-02'"))


def test_looking_tells_the_same_and_changes_nothing(store: Store) -> None:
    keep(store, said("1"), said("2"))
    keep(store, said("3"), flush=False)
    before = everything(store)
    seen = store.look(wish(author="ann"))
    assert (seen.messages, seen.waiting, seen.mentions, seen.tones) == (2, 1, 2, 2)
    assert everything(store) == before
    assert store.waiting == 1


# --------------------------------------------------------------------------------------------- it stays away


@pytest.mark.parametrize("meant", [wish("1"), wish(author="ann")])
def test_no_poll_and_no_archive_brings_it_back(store: Store, meant: Wish) -> None:
    keep(store, said("1", revision="3"))
    forgets(store, meant)
    keep(store, said("1", revision="3"), at=NOON + 2 * HOUR)
    keep(store, said("1", text=f"$GME edited {MARK}", revision="9"), at=NOON + 3 * HOUR)
    store.prune(text_before=NOON + 99 * DAY, mentions_before=NOON - DAY, polls_before=NOON - DAY)
    keep(store, said("1", text=f"$GME again {MARK}", revision="99"), at=NOON + 100 * DAY)
    store.rebuild()
    assert MARK not in everything(store)
    assert rows(store, "SELECT count(*) FROM buckets") == [(0,)]


def test_retention_takes_its_tombstone_never(store: Store) -> None:
    keep(store, Deletion("pond", "1", revision="2"), Deletion("pond", "2"))
    forgets(store, wish("1"))
    forgets(store, wish("3"))
    keep(store, Deletion("pond", "1", revision="7"), at=NOON + HOUR)  # the service may say so again
    store.prune(text_before=NOON + 99 * DAY, mentions_before=NOON - DAY, polls_before=NOON - DAY)
    assert rows(store, "SELECT id, revision FROM tombstones ORDER BY id") == [("1", None), ("3", None)]


@pytest.mark.parametrize("meant", [wish("1"), wish(author="ann")])
@pytest.mark.parametrize("alone", [True, False])
def test_a_message_that_waits_in_the_journal_is_not_stored_any_more(tmp_path: Path, meant: Wish, alone: bool) -> None:
    daemon = make_store(tmp_path)
    daemon.standing(NOON)
    keep(daemon, said("1"), said("2", "bob", "$GME no"), flush=False)
    done = forgets(make_store(tmp_path), meant, alone=alone)
    assert done["messages"] + done["waiting"] == 1
    if not alone:  # the daemon commits what it holds, by and by
        assert MARK in daemon.journal.path.read_text()
        daemon.flush()
    daemon.rollup()
    assert MARK not in everything(daemon)
    assert MARK not in daemon.journal.path.read_text()
    assert rows(daemon, "SELECT message_id FROM mentions") == [("2",)]


def test_a_message_with_an_impossible_time_stays_away_though_its_time_moves(store: Store) -> None:
    far = NOON + 400 * DAY
    keep(store, said("1", at=far))
    keep(store, said("2", at=far), flush=False)
    forgets(store, wish(author="ann"), alone=False)
    store.flush()
    keep(store, said("1", at=far), said("2", at=far), at=NOON + 5 * DAY)
    assert MARK not in everything(store)


def test_what_an_author_writes_afterwards_is_taken(store: Store) -> None:
    keep(store, said("1"))
    forgets(store, wish(author="ann"))
    keep(store, said("2", text="$GME anew", at=NOON + 2 * HOUR), at=NOON + 2 * HOUR)
    assert rows(store, "SELECT id FROM messages WHERE text IS NOT NULL") == [("2",)]


def test_a_second_opinion_that_comes_too_late_is_dropped(store: Store) -> None:
    from tracker.models import ToneRow

    keep(store, said("1"), said("2", "bob"))
    forgets(store, wish("1"))
    store.add_tones([ToneRow("pond", id_, f"{SECOND}x", 0.5, 0.7, 1) for id_ in ("1", "2")])
    assert rows(store, "SELECT DISTINCT message_id FROM tones") == [("2",)]


# ------------------------------------------------------------------------------- as if it had never been there


@given(seed=st.integers(0, 10_000), author=st.integers(0, 4))
@settings(max_examples=15, deadline=None)
def test_what_is_derived_is_as_if_the_author_had_never_written(seed: int, author: int) -> None:
    world = make(Recipe(seed, days=9, messages=90, authors=5, wordings=20, bursts=2))
    name = f"a{author}"
    moments = [START + 5 * DAY, START + 7 * DAY, START + 9 * DAY]
    derived = ("buckets", "coverage_hours", "spikes", "readings", "mentions", "tones")
    connection = fresh_database()
    tell(connection, World(tuple(one for one in world.said if (one.source, one.author) != ("s", name)), world.heard))
    derive.take_readings(connection, moments, None)
    expected = dump(connection, *derived)
    connection = fresh_database()
    tell(connection, World(world.said, world.heard))
    derive.take_readings(connection, moments, None)
    forget(connection, Wish("s", None, name), frozenset(), START + 99 * DAY, None)
    assert dump(connection, *derived) == expected


def test_readings_that_were_taken_live_are_what_the_meter_showed(store: Store) -> None:
    keep(store, said("1"), said("2", "bob", "$GME no"))
    store.rollup()
    store.take_readings(NOON + timedelta(minutes=5), NOON + timedelta(minutes=5, seconds=1), scorer="lexicon")
    before = rows(store, "FROM readings ORDER BY ALL")
    assert before
    assert forgets(store, wish("1"))["readings"] == 0
    assert rows(store, "FROM readings ORDER BY ALL") == before


def test_a_kill_before_the_counts_are_made_anew_leaves_them_for_the_next_rollup(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store, said("1"))
    store.rollup()

    def killed(_: object) -> int:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(derive, "rollup", killed)
        with pytest.raises(SystemExit):
            forgets(store, wish("1"))
    assert MARK not in everything(store)
    assert store.rollup() == 1
    assert rows(store, "SELECT count(*) FROM buckets") == [(0,)]


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The configuration of a tracker that has stored two messages of reddit, under a key that is no secret."""
    config = write_config(tmp_path, {}, sources=(), changed={"store": {"publish": "copy.duckdb"}})
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "author.key").write_bytes(KEY)
    found = make_store(data)
    found.opening.path.rename(data / "tracker.duckdb")
    store = Store(Opening(data / "tracker.duckdb"))
    store.standing(NOON)
    store.keep(
        make_batch(
            message(f"$GME {MARK}", "t1_a", source="reddit", author="ann"),
            message("$GME no", "t1_b", source="reddit", author="bob"),
        )
    )
    store.flush()
    return config


def tracker(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(config), *arguments])


def test_the_command_needs_only_the_plain_name_and_says_nothing_of_it(installed: Path) -> None:
    found = tracker(installed, "forget", "--source", "reddit", "--author", "ann", "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert (told["messages"], told["known"], told["dry_run"]) == (1, True, False)
    assert "ann" not in found.stdout
    for file in (installed.parent / "data" / "tracker.duckdb", installed.parent / "copy.duckdb"):
        assert ask(file, "SELECT id, text FROM messages ORDER BY id") == [("t1_a", None), ("t1_b", "$GME no")]


def test_messages_of_another_way_to_the_same_service_are_meant_too(installed: Path) -> None:
    assert tracker(installed, "forget", "--source", "arctic_shift", "--id", "t1_a").exit_code == 0
    assert ask(installed.parent / "data" / "tracker.duckdb", "SELECT id FROM tombstones") == [("t1_a",)]


@pytest.mark.parametrize("written", ["Ann", "u/ann", "/u/ANN", " ann "])
def test_a_name_is_known_however_a_person_writes_it(installed: Path, written: str) -> None:
    found = tracker(installed, "forget", "--source", "reddit", "--author", written, "--dry-run", "--json")
    assert json.loads(found.stdout)["messages"] == 1


@pytest.mark.parametrize(
    ("source", "written", "stored"),
    [("mastodon", "@Ann@Pond.Example", "ann@pond.example"), ("lemmy", "Ann@pond.example", "ann@pond.example"),
     ("telegram", "@PondTalk", "pondtalk"), ("hackernews", "Ann", "Ann"), ("bluesky", "did:plc:abc", "did:plc:abc"), ("stocktwits", "12", "12")],
)  # fmt: skip
def test_each_service_names_its_authors_in_one_way(source: str, written: str, stored: str) -> None:
    assert sources.author_of(source, written) == sources.author_of(source, stored) == stored


def test_a_dry_run_tells_what_would_go(installed: Path) -> None:
    found = tracker(installed, "forget", "--source", "reddit", "--id", "t1_a", "--dry-run", "--json")
    assert (found.exit_code, json.loads(found.stdout)["messages"]) == (0, 1)
    assert MARK in str(ask(installed.parent / "data" / "tracker.duckdb", "SELECT text FROM messages"))
    assert not (installed.parent / "copy.duckdb").exists()


def test_an_id_that_is_not_stored_leaves_a_tombstone(installed: Path) -> None:
    found = tracker(installed, "forget", "--source", "reddit", "--id", "t1_never")
    assert found.exit_code == 0
    assert "no message of this id has been stored; a tombstone stands" in " ".join(found.stderr.split())
    assert ask(installed.parent / "data" / "tracker.duckdb", "SELECT id FROM tombstones") == [("t1_never",)]
    assert tracker(installed, "forget", "--source", "reddit", "--id", "t1_other", "--dry-run").exit_code == 1


def test_an_author_whom_nobody_knows_is_a_failure_that_says_so(installed: Path) -> None:
    found = tracker(installed, "forget", "--source", "reddit", "--author", "nobody", "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["known"] is False
    assert "no author of this name is known at reddit; a mark stands" in " ".join(found.stderr.split())


@pytest.mark.parametrize(
    "arguments", [["--id", "1", "--author", "a"], [], ["--id", ""], ["--author", ""]], ids=["both", "none", "no id", "no name"]
)  # fmt: skip
def test_it_wants_one_thing(installed: Path, arguments: list[str]) -> None:
    assert tracker(installed, "forget", "--source", "reddit", *arguments).exit_code == 2


def test_an_unknown_source_is_refused(installed: Path) -> None:
    assert tracker(installed, "forget", "--source", "pond", "--id", "1").exit_code == 2


@pytest.mark.slow
def test_it_works_beside_a_running_daemon(installed: Path) -> None:
    file = installed.parent / "data" / "tracker.duckdb"
    with Daemon(installed) as daemon:
        until(lambda: DaemonLock(file.parent).path.exists(), 20, "it starts", hint=lambda: daemon.log)
        found = tracker(installed, "forget", "--source", "reddit", "--author", "ann", "--json")
        assert found.exit_code == 0, found.output
        assert json.loads(found.stdout)["messages"] == 1
        assert daemon.running
        assert daemon.stop() == 0
    assert MARK not in str(ask(file, "SELECT * FROM messages"))


# ----------------------------------------------------------------------------------------------- another key


def test_another_key_unlinks_authors_and_keeps_their_counts(installed: Path) -> None:
    data = installed.parent / "data"
    store = Store(Opening(data / "tracker.duckdb"))
    before = ask(store.opening.path, "SELECT id, author FROM messages ORDER BY id")
    with store.writing() as connection:
        connection.execute("INSERT INTO gone_authors VALUES ('reddit', 'someone', now())")
    found = tracker(installed, "rotate-author-key", "--json")
    assert (found.exit_code, json.loads(found.stdout)) == (0, {"authors": 2, "gone": 1})
    after = ask(store.opening.path, "SELECT id, author FROM messages ORDER BY id")
    assert len({author for _, author in after}) == 2
    assert not {author for _, author in after} & {author for _, author in before}
    assert ask(store.opening.path, "SELECT m.author = n.author FROM messages AS m JOIN mentions AS n ON n.message_id = m.id") == [(True,), (True,)]  # fmt: skip
    assert ask(store.opening.path, "SELECT count(*) FROM gone_authors") == [(0,)]
    key = (data / "author.key").read_bytes()
    assert len(key) == 32
    assert key != KEY
    assert stat.S_IMODE((data / "author.key").stat().st_mode) == 0o600
    assert not (data / "author.key.new").exists()


def test_no_column_with_author_hashes_is_left_out(store: Store) -> None:
    found = rows(store, "SELECT table_name FROM duckdb_columns() WHERE column_name = 'author' ORDER BY 1")
    tables = {name for (name,) in found} & {name for (name,) in rows(store, "SELECT table_name FROM duckdb_tables()")}
    assert tables == {"messages", "mentions", "gone_authors"}


@given(seed=st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_distinct_authors_stay_as_many_in_every_bucket(seed: int) -> None:
    from tracker.store.authors import unlink

    connection = fresh_database()
    tell(connection, make(Recipe(seed, days=5, messages=80, authors=6)))
    before = dump(connection, "buckets")
    connection.execute("DROP TABLE IF EXISTS checked")
    unlink(connection)
    derive.touch_everything(connection)
    connection.execute("INSERT INTO touched_coverage SELECT source, stream, min(covers_from) FROM polls WHERE covers_from IS NOT NULL GROUP BY ALL")  # fmt: skip
    derive.rollup(connection)
    assert dump(connection, "buckets") == before


def test_what_waits_in_the_journal_is_renamed_too(installed: Path) -> None:
    file = installed.parent / "data" / "tracker.duckdb"
    store = Store(Opening(file))
    store.standing(NOON)
    store.keep(make_batch(message("$GME later", "t1_c", source="reddit", author="ann")))
    assert tracker(installed, "rotate-author-key").exit_code == 0
    names = dict(ask(file, "SELECT id, author FROM messages"))
    assert names["t1_c"] == names["t1_a"] != names["t1_b"]
    assert store.journal.path.read_bytes() == b""


def test_no_key_is_changed_while_a_daemon_runs(installed: Path) -> None:
    lock = DaemonLock(installed.parent / "data")
    lock.acquire()
    try:
        found = tracker(installed, "rotate-author-key")
    finally:
        lock.release()
    assert found.exit_code == 1
    assert (installed.parent / "data" / "author.key").read_bytes() == KEY
    assert not (installed.parent / "data" / "author.key.new").exists()


KILLED = """
import os, sys
from tracker import parts
from tracker import sources
from tracker.cli import main
from tracker.store import authors
point = sys.argv.pop(1)
def dies(*_): os._exit(9)
if point == "before the file": authors.unlink = dies
elif point == "within the file":
    import tracker.store.authors as inside
    real = inside.transaction
    from contextlib import contextmanager
    @contextmanager
    def torn(connection):
        with real(connection):
            yield connection
            os._exit(9)
    inside.transaction = torn
else: parts.KeyChange.finish = dies
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before the file", "within the file", "between the file and the key"])
def test_a_kill_while_the_key_is_changed_leaves_no_link_and_no_half(installed: Path, point: str) -> None:
    import subprocess
    import sys

    from world_daemon import environment

    data = installed.parent / "data"
    file = data / "tracker.duckdb"
    hashes = {analysis().hash_author("reddit", name) for name in ("ann", "bob")}
    died = subprocess.run(
        [sys.executable, "-c", KILLED, point, "--config", str(installed), "rotate-author-key"], env=environment(), check=False,
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert died.returncode == 9, died.stderr
    names = {author for (author,) in ask(file, "SELECT author FROM messages UNION SELECT author FROM mentions")}
    assert len(names) == 2
    assert names == hashes if point != "between the file and the key" else not names & hashes
    assert (data / "author.key").read_bytes() == KEY  # the new key has made no hash: nothing can be linked to it
    assert tracker(installed, "rotate-author-key").exit_code == 0
    renewed = {author for (author,) in ask(file, "SELECT author FROM messages UNION SELECT author FROM mentions")}
    assert len(renewed) == 2
    assert not renewed & (names | hashes)
    assert (data / "author.key").read_bytes() != KEY
    assert not (data / "author.key.new").exists()
