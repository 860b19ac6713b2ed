"""Archives through the pipeline: every format, what is kept of damaged ones, and the simulated clock."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tracker.archive import formats
from tracker.config import Config
from tracker.errors import BadInput, StoreError
from tracker.parts import load_config, prepare_store, scorer_of, store_of, universe_of
from tracker.replay import Progress, ReplayReport, Span, joined, moments, replay
from tracker.store import Store, derive

START = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)  # a Monday
NOW = datetime(2026, 11, 20, tzinfo=UTC)
SYMBOLS = ("GME", "AMC", "NVDA", "TSLA")
Line = dict[str, Any]


class Place:
    """A data folder with a prepared database."""

    def __init__(self, folder: Path, prepared: Path) -> None:
        shutil.copytree(prepared, folder)
        self.config: Config = load_config(str(folder / "config.toml"), {}, str(folder))
        self.store: Store = store_of(self.config)

    def replay(self, *paths: Path | str, fmt: str = "ndjson", **named: Any) -> ReplayReport:
        wanted = [path if isinstance(path, Path) else "-" for path in paths]
        return replay(wanted, fmt, config=self.config, store=self.store, now=NOW, **named)  # type: ignore[arg-type]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.store.reading() as connection:
            return connection.execute(query).fetchall()

    def table(self, name: str, without: Iterable[str] = ()) -> list[tuple[Any, ...]]:
        left_out = f"EXCLUDE ({', '.join(without)})" if without else ""
        return self.rows(f"SELECT * {left_out} FROM {name} ORDER BY ALL")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "data"
    folder.mkdir()
    (folder / "config.toml").write_text('[watchlist]\nsymbols = ["GME"]\n')
    config = load_config(str(folder / "config.toml"), {}, str(folder))
    (folder / "author.key").write_bytes(b"k" * 32)
    prepare_store(config, store_of(config), universe_of(config), NOW)
    return folder


@pytest.fixture
def place(tmp_path: Path, prepared: Path) -> Place:
    return Place(tmp_path / "data", prepared)


@pytest.fixture
def another(tmp_path: Path, prepared: Path) -> Callable[[], Place]:
    numbers = iter(range(100))
    return lambda: Place(tmp_path / f"data{next(numbers)}", prepared)


def exported(number: int, at: datetime, text: str, **more: object) -> Line:
    return {
        "source": "pond",
        "id": str(number),
        "created_at": at.isoformat(),
        "text": text,
        "author": f"{number % 7:032x}",
    } | more


def talk(hours: int, start: datetime = START, first: int = 0) -> list[Line]:
    """Some messages an hour on four symbols, with copies, labels and a burst, in words that nobody wrote."""
    words = ("moon", "puts", "great", "terrible", "hold", "sell", "squeeze", "boring", "love", "hate")
    found = []
    for hour in range(hours):
        burst = 14 if hour == hours - 6 else 0
        for k in range(2 + hour % 3 + burst):
            number = first + 100 * hour + k
            symbol = SYMBOLS[0] if k > 3 else SYMBOLS[(hour + k) % 4]
            text = f"${symbol} {words[number % 10]} {words[number // 10 % 10]} {chr(97 + number % 26)}"
            if k == 1 and hour % 5 == 0:
                text = "everybody look at this $GME"
            label = ("bullish", "bearish", None, None)[number % 4]
            at = start + timedelta(hours=hour, minutes=(7 * k) % 60, seconds=number % 60)
            found.append(exported(number, at, text, label=label))
    return found


def write(path: Path, lines: Iterable[Line]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)
    return path


# ------------------------------------------------------------------------------------------------- every format

EPOCH = int(START.timestamp())
STOCKTWITS = {
    "id": 5, "body": "$GME up &amp; away", "created_at": "2026-03-02T14:00:00Z", "user": {"id": 1, "username": "pond"},
    "symbols": [{"symbol": "GME"}], "entities": {"sentiment": {"basic": "Bullish"}},
}  # fmt: skip
REDDIT = {
    "id": "1abc01",
    "title": "GME &amp; friends",
    "selftext": "holding $GME",
    "created_utc": EPOCH,
    "author": "Pond",
}
LISTING = {"kind": "Listing", "data": {"children": [{"kind": "t3", "data": REDDIT}]}}
EVENT = {
    "did": "did:plc:invented",
    "time_us": EPOCH * 1_000_000,
    "kind": "commit",
    "commit": {
        "rev": "3aaa",
        "operation": "create",
        "collection": "app.bsky.feed.post",
        "rkey": "one",
        "record": {"text": "$GME today"},
    },
}
HIT = {"objectID": "9", "title": "Ask: $GME?", "created_at_i": EPOCH, "author": "pond", "points": 3}
CLASSIC = {
    "id_str": "12", "created_at": "Mon Mar 02 14:00:00 +0000 2026", "text": "$GME again", "user": {"id_str": "4"},
    "entities": {"symbols": [{"text": "GME"}]},
}  # fmt: skip
STATUS = {
    "id": "7", "uri": "https://pond.example/users/newt/statuses/7", "created_at": START.isoformat(), "content": "<p>$GME it is</p>",
    "visibility": "public", "account": {"acct": "newt", "url": "https://pond.example/@newt"},
}  # fmt: skip
# format -> (name of the file, its content, source and id of the only message)
ARCHIVES: dict[str, tuple[str, object, tuple[str, str]]] = {
    "stocktwits": ("a.ndjson", STOCKTWITS, ("stocktwits", "5")),
    "reddit": ("a.json", LISTING, ("reddit", "t3_1abc01")),
    "arctic_shift": ("RS_2026-03.jsonl", REDDIT, ("reddit", "t3_1abc01")),
    "jetstream": ("a.jsonl", EVENT, ("bluesky", "at://did:plc:invented/app.bsky.feed.post/one")),
    "bluesky": ("a.ndjson", EVENT, ("bluesky", "at://did:plc:invented/app.bsky.feed.post/one")),
    "hackernews": ("a.json", {"hits": [HIT]}, ("hackernews", "9")),
    "x": ("a.ndjson", CLASSIC, ("x", "12")),
    "fourchan": ("a.json", {"posts": [{"no": 70510400, "com": "$GME it is", "time": EPOCH, "resto": 0}]}, ("fourchan", "biz/70510400")),
    "mastodon": ("a.json", [STATUS], ("mastodon", "https://pond.example/statuses/7")),
    "ndjson": ("a.ndjson", exported(3, START, "$GME it is"), ("pond", "3")),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("fmt", sorted(ARCHIVES))
def test_message_of_each_format_is_stored_with_its_mention(
    place: Place, tmp_path: Path, fmt: str, packed: bool
) -> None:
    name, content, (source, native) = ARCHIVES[fmt]
    body = json.dumps(content).encode()
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(body) if packed else body)
    report = place.replay(path, fmt=fmt, clock=False)
    assert (report.files, report.messages_read, report.added, report.skipped, report.warnings) == (1, 1, 1, 0, ())
    assert report.first_at == report.last_at == START
    stream = f"archive/{name.rpartition('.')[0]}"
    ((stored_at, known_at, *where),) = place.rows("SELECT created_at, fetched_at, source, id, stream FROM messages")
    assert stored_at == known_at == START.replace(tzinfo=None)
    assert where == [source, native, stream]
    assert place.rows("SELECT source, message_id, symbol FROM mentions") == [(source, native, "GME")]
    assert place.rows("SELECT source, message_id FROM tones") == [(source, native)]


def test_no_format_is_left_untested() -> None:
    assert set(ARCHIVES) == set(formats())


def test_table_of_posts_is_read(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text(
        f"title,score,id,url,comms_num,created,body,timestamp\n$GME rises,5,1abc02,,2,{EPOCH}.0,so it does,\n"
    )
    assert place.replay(path, fmt="reddit", clock=False).added == 1
    assert place.rows("SELECT id, likes, text FROM messages") == [("t3_1abc02", 5, "$GME rises\n\nso it does")]


def test_exported_author_is_not_hashed_again_and_the_deleted_stay_away(place: Place, tmp_path: Path) -> None:
    lines = [
        exported(1, START, "$GME", author="ab" * 16),
        exported(2, START, "$GME gone", deleted=True, deleted_at=None),
    ]
    report = place.replay(write(tmp_path / "a.ndjson", [*lines, exported(2, START, "$GME")]), clock=False)
    assert (report.added, report.updated) == (2, 1)
    assert place.rows("SELECT id, author FROM messages WHERE text IS NOT NULL") == [("1", "ab" * 16)]


# ---------------------------------------------------------------------------------------------- files and folders


def test_folder_is_read_sorted_and_what_is_no_archive_is_named_once(place: Place, tmp_path: Path) -> None:
    write(tmp_path / "in/b.ndjson", [CLASSIC])
    write(tmp_path / "in/deep/a.ndjson.gz", [CLASSIC | {"id_str": "13"}])
    write(tmp_path / "in/errors.ndjson", [{"error": 404}, {"error": 403}])
    (tmp_path / "in/empty.json").write_text('{"meta": {"result_count": 0}}')
    (tmp_path / "in/readme.txt").write_text("invented")
    report = place.replay(tmp_path / "in", fmt="x", clock=False)
    assert (report.files, report.added, report.skipped, report.passed_over) == (2, 2, 0, 1)
    assert [warning.partition("in/")[2] for warning in report.warnings] == [
        "empty.json: holds no messages",
        "errors.ndjson: not such an archive: expected an object with data: x",
    ]


def test_lines_that_are_none_are_skipped_and_counted(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text(f'{json.dumps(CLASSIC)}\nnonsense\n{{"id_str": "14"}}\n\n')
    report = place.replay(path, fmt="x", clock=False)
    assert (report.added, report.skipped, report.warnings) == (1, 2, ())
    assert place.rows("SELECT fetched, added, skipped FROM polls") == [(1, 1, 2)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_is_read_packed_or_not(place: Place, pack: Callable[[bytes], bytes]) -> None:
    told: list[Progress] = []
    body = pack(json.dumps(CLASSIC).encode() + b"\n")
    assert place.replay("-", fmt="x", clock=False, stdin=io.BytesIO(body), progress=told.append).added == 1
    assert place.rows("SELECT stream FROM polls") == [("archive/stdin",)]
    assert told[-1].bytes_total is None


def test_torn_file_keeps_what_came_before_and_is_no_success(place: Place, tmp_path: Path) -> None:
    write(tmp_path / "a.ndjson", [exported(10_000, START, "$GME whole")])
    lines = [exported(n, START + timedelta(minutes=n), f"$GME {os.urandom(4).hex()}") for n in range(500)]
    torn = write(tmp_path / "torn.ndjson.gz", lines)
    torn.write_bytes(torn.read_bytes()[:-2_000])
    with pytest.raises(BadInput, match=r"cut off.*torn\.ndjson\.gz"):
        place.replay(tmp_path / "a.ndjson", torn, clock=False)
    ((kept,),) = place.rows("SELECT count(*) FROM messages")
    assert 100 < kept < 501
    polls = place.rows("SELECT stream, up, status, covers_from IS NULL, added FROM polls ORDER BY stream")
    assert polls == [("archive/a", 1, "ok", False, 1), ("archive/torn", 0, "malformed", True, kept - 1)]


def test_repaired_file_adds_the_rest(place: Place, tmp_path: Path) -> None:
    path = write(tmp_path / "a.ndjson.gz", talk(60))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(BadInput):
        place.replay(path)
    ((before,),) = place.rows("SELECT count(*) FROM messages")
    path.write_bytes(whole)
    report = place.replay(path)
    assert report.added == len(talk(60)) - before > 0
    assert place.rows("SELECT status, covers_from IS NULL FROM polls ORDER BY 1") == [
        ("malformed", True),
        ("ok", False),
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"fmt": "telegraph"}, "expected one of the formats"),
        ({"readings": "yearly"}, "expected readings hourly, daily"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_read(
    place: Place, tmp_path: Path, arguments: dict[str, str], problem: str
) -> None:
    with pytest.raises(BadInput, match=problem):
        place.replay(write(tmp_path / "a.ndjson", talk(1)), **arguments)
    assert place.table("messages") == []


# ---------------------------------------------------------------------------------------------- times and deletions


def test_messages_without_a_believable_time_are_skipped_and_counted(place: Place, tmp_path: Path) -> None:
    lines = [
        exported(1, START, "$GME"),
        exported(2, START, "$GME", created_at="yesterday"),
        exported(3, datetime(9999, 1, 1, tzinfo=UTC), "$GME"),
        exported(4, datetime(1970, 1, 1, tzinfo=UTC), "$GME"),
    ]
    report = place.replay(write(tmp_path / "a.ndjson", lines), readings="hourly")
    assert (report.messages_read, report.added, report.skipped) == (1, 1, 3)
    assert report.first_at == report.last_at == START
    assert place.rows('SELECT DISTINCT "at" FROM readings') == [(datetime(2026, 3, 2, 15),)]


def jetstream(minute: int, rkey: str, operation: str = "create", text: str = "$GME") -> Line:
    commit = {"rev": f"3aa{minute:03d}", "operation": operation, "collection": "app.bsky.feed.post", "rkey": rkey}
    record = {"record": {"text": text}} if operation == "create" else {}
    return {
        "did": "did:plc:invented",
        "time_us": (EPOCH + 60 * minute) * 1_000_000,
        "kind": "commit",
        "commit": commit | record,
    }


def test_deletions_of_a_stream_are_applied(place: Place, tmp_path: Path) -> None:
    gone = {
        "did": "did:plc:left",
        "time_us": (EPOCH + 3600) * 1_000_000,
        "kind": "account",
        "account": {"active": False, "status": "deleted"},
    }
    theirs = jetstream(5, "theirs") | {"did": "did:plc:left"}
    lines = [jetstream(0, "one"), jetstream(1, "two"), theirs, jetstream(9, "one", "delete"), gone]
    report = place.replay(write(tmp_path / "a.ndjson", lines), fmt="jetstream")
    assert (report.messages_read, report.added, report.updated) == (3, 3, 2)
    assert [uri.rpartition("/")[2] for (uri,) in place.rows("SELECT id FROM messages WHERE text IS NOT NULL")] == [
        "two"
    ]
    assert len(place.table("mentions")) == 1
    assert place.rows("SELECT sum(messages) FROM buckets WHERE source = '*' AND bucket_width = INTERVAL 1 DAY") == [
        (1,)
    ]


def test_deletion_without_a_time_takes_that_of_the_newest_message_before_it(place: Place, tmp_path: Path) -> None:
    def post(name: str, minute: int) -> Line:
        return REDDIT | {"id": name, "created_utc": EPOCH + 60 * minute}

    removed = {
        "id": "1abc01",
        "title": "[deleted by user]",
        "selftext": "[removed]",
        "author": "[deleted]",
        "created_utc": EPOCH,
    }
    lines = [post("1abc01", 0), post("1abc02", 30), post("1abc03", 10), removed, post("1abc04", 50)]
    report = place.replay(write(tmp_path / "a.ndjson", lines), fmt="reddit", clock=False)
    assert (report.added, report.updated) == (4, 1)
    half_past = (START + timedelta(minutes=30)).replace(tzinfo=None)
    assert place.rows("SELECT id, deleted_at FROM messages WHERE deleted_at IS NOT NULL") == [("t3_1abc01", half_past)]


def test_deletion_before_any_time_is_honoured_all_the_same(place: Place, tmp_path: Path) -> None:
    removed = {"id": "1abc01", "title": "[deleted by user]", "selftext": "[removed]", "author": "[deleted]"}
    place.replay(write(tmp_path / "a.ndjson", [removed]), fmt="reddit", clock=False)
    report = place.replay(write(tmp_path / "b.ndjson", [REDDIT]), fmt="reddit", clock=False)
    assert (report.messages_read, report.added) == (1, 0)


# ------------------------------------------------------------------------------------------------ again, and polls

STORED = ("messages", "mentions", "tones", "polls", "buckets", "coverage_hours", "spikes", "readings", "tombstones")


def test_second_run_adds_nothing(place: Place, tmp_path: Path) -> None:
    path = write(tmp_path / "a.ndjson.gz", [*talk(50), *talk(3), exported(7, START, "$GME", deleted=True)])
    first = place.replay(path, readings="hourly")
    before = {name: place.table(name) for name in STORED}
    second = place.replay(path, readings="hourly")
    assert first.added == len(talk(50))
    assert (second.added, second.updated, second.readings) == (0, 0, 0)
    assert (second.messages_read, second.spikes) == (first.messages_read, first.spikes)
    assert {name: place.table(name) for name in STORED} == before


def test_interrupted_run_is_simply_started_again(place: Place, another: Callable[[], Place], tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{n}.ndjson", [line | {"pad": "x" * 200} for line in talk(1000, START, 1_000_000 * n)])
        for n in range(2)
    ]

    def stop(progress: Progress) -> None:
        if progress.messages > 5_500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.replay(*paths, clock=False, progress=stop)
    ((before,),) = place.rows("SELECT count(*) FROM messages")
    assert before > 0
    report = place.replay(*paths, clock=False)
    whole = another()
    whole.replay(*paths, clock=False)
    assert report.added == len(whole.table("messages")) - before
    assert place.table("messages") == whole.table("messages")
    assert place.table("polls", ["added", "duration_ms"]) == whole.table("polls", ["added", "duration_ms"])


def test_each_file_leaves_one_poll_that_listened_through(place: Place, tmp_path: Path) -> None:
    write(tmp_path / "in/2.ndjson", talk(48, START + timedelta(days=20), 50_000))
    write(tmp_path / "in/1.ndjson", talk(48))
    write(tmp_path / "in/3.ndjson", talk(48, START + timedelta(days=80), 90_000))
    place.replay(tmp_path / "in")
    polls = place.rows("SELECT stream, up, status, fetched = added, started_at, covers_from FROM polls ORDER BY stream")
    assert [poll[:4] for poll in polls] == [(f"archive/{n}", 1, "ok", True) for n in (1, 2, 3)]
    assert polls[1][5] == polls[0][4]  # goes on where the first ended
    assert polls[2][5] == (START + timedelta(days=80)).replace(tzinfo=None)
    for stream, _, _, _, newest, _ in polls:
        assert place.rows(f"SELECT max(created_at) FROM messages WHERE stream = '{stream}'") == [(newest,)]


def span(oldest: int, newest: int, source: str = "x", file: int = 0) -> Span:
    return Span(source, file, START + timedelta(days=oldest), START + timedelta(days=newest))


@pytest.mark.parametrize(
    ("spans", "covers_from"),
    [
        ([span(0, 5)], [0]),
        ([span(0, 5), span(36, 40)], [0, 5]),  # 31 days later
        ([span(0, 5), span(37, 40)], [0, 37]),
        ([span(0, 5), span(6, 9, "y")], [0, 6]),  # another source listened for itself
        ([span(0, 20), span(1, 2), span(25, 26)], [0, 1, 20]),  # what reached furthest counts
        ([span(10, 12), span(0, 5)], [0, 5]),  # by time, not as given
    ],
)
def test_files_that_follow_each_other_leave_no_hole(spans: list[Span], covers_from: list[int]) -> None:
    assert [(since - START).days for _, since in joined(spans)] == covers_from


def test_facts_alone_leave_the_rollup_to_the_next_run(place: Place, tmp_path: Path) -> None:
    place.replay(write(tmp_path / "a.ndjson", talk(5)), clock=False)
    assert place.table("buckets") == []
    assert place.rows("SELECT count(*) > 0 FROM touched") == [(True,)]
    assert place.store.rollup() > 0
    assert len(place.table("buckets")) > 0


def test_only_messages_with_mentions_are_kept_where_that_is_asked_for(place: Place, tmp_path: Path) -> None:
    path = write(tmp_path / "a.ndjson", [exported(1, START, "$GME"), exported(2, START, "lunch")])
    report = place.replay(path, clock=False, keep="mentions")
    assert (report.messages_read, report.added) == (2, 1)


def test_database_that_fails_is_named_and_let_go(place: Place, tmp_path: Path) -> None:
    with place.store.writing() as connection:
        connection.execute("DROP TABLE tones")
    with pytest.raises(StoreError, match=r"tracker\.duckdb.*tones"):
        place.replay(write(tmp_path / "a.ndjson", talk(2)))
    assert place.table("messages") == []  # opens, and holds nothing by halves


# ------------------------------------------------------------------------------------------------ two processes


def test_large_archive_gives_the_same_rows_through_other_processes(
    place: Place, another: Callable[[], Place], tmp_path: Path
) -> None:
    lines = talk(30)
    large = write(tmp_path / "large/a.ndjson", [line | {"pad": "x" * 30_000} for line in lines])
    small = write(tmp_path / "small/a.ndjson", lines)
    told: list[Progress] = []
    report = place.replay(large, clock=False, progress=told.append)
    here = another()
    here.replay(small, clock=False)
    assert len(told) > 3  # more pieces than are read in one process
    assert report.added == len(lines)
    for name in ("messages", "mentions", "tones"):
        assert place.table(name) == here.table(name)


def test_archive_is_read_to_its_end_when_the_worker_processes_die(place: Place, tmp_path: Path) -> None:
    """A program that comes from the standard input can't be started a second time: each worker dies at its start."""
    large = write(tmp_path / "a.ndjson", [line | {"pad": "x" * 30_000} for line in talk(30)])
    program = f"""
from pathlib import Path
from tracker.parts import load_config, store_of
from tracker.replay import replay
config = load_config({str(place.config.path)!r}, {{}}, {str(place.config.tracker.data_dir)!r})
print(replay([Path({str(large)!r})], "ndjson", config=config, store=store_of(config), clock=False).added)
"""
    ended = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == f"{len(talk(30))}\n"
    assert ended.stderr.count("the worker processes are gone") == 1
    assert len(place.table("messages")) == len(talk(30))


def test_progress_ends_with_everything_done(place: Place, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.ndjson", talk(5, START, 1000 * n)) for n in range(3)]
    told: list[Progress] = []
    place.replay(*paths, readings="hourly", progress=told.append)
    assert [progress.stage for progress in told] == ["reading"] * 3 + ["rollup", "readings", "readings"]
    last = told[-1]
    assert (last.files_done, last.files_total, last.messages) == (3, 3, 3 * len(talk(5)))
    assert last.bytes_done == last.bytes_total == sum(path.stat().st_size for path in paths)
    assert last.moments_done == last.moments_total > 0


# --------------------------------------------------------------------------------------------- the simulated clock


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("10:20", "12:40", ["11:00", "12:00", "13:00"]),
        ("10:00", "12:00", ["11:00", "12:00"]),
        ("10:20", "10:30", ["11:00"]),
        ("10:59", "11:00", ["11:00"]),
    ],
)
def test_moments_run_from_the_first_whole_hour_after_to_the_first_at_or_after_the_end(
    first: str, last: str, expected: list[str]
) -> None:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(f"2026-03-02T{text}:00+00:00")

    assert moments(at(first), at(last), timedelta(hours=1)) == [at(text) for text in expected]


def test_one_message_on_the_hour_is_read_an_hour_later() -> None:
    assert moments(START, START, timedelta(hours=1)) == [START + timedelta(hours=1)]


def test_readings_stand_at_every_midnight_of_the_archive(place: Place, tmp_path: Path) -> None:
    report = place.replay(write(tmp_path / "a.ndjson", talk(80)), readings="daily")
    days = [(at, at) for at in (datetime(2026, 3, day) for day in range(3, 7))]
    assert place.rows('SELECT DISTINCT "at", computed_at FROM readings ORDER BY 1') == days
    assert report.readings == len(place.table("readings"))


def test_order_of_files_changes_nothing_that_is_derived(another: Callable[[], Place], tmp_path: Path) -> None:
    lines = talk(24 * 9)
    parts = [lines[:300], lines[250:500], lines[500:]]
    found = []
    for number, order in enumerate(((0, 1, 2), (2, 0, 1))):
        folder = tmp_path / f"order{number}"
        paths = [write(folder / f"{place}.ndjson", parts[part]) for place, part in enumerate(order)]
        place = another()
        report = place.replay(*paths, readings="hourly")
        found.append(
            [
                (report.added, report.spikes, report.readings),
                *(place.table(name) for name in ("buckets", "spikes", "readings")),
            ]
        )
    assert found[0] == found[1]
    assert all(len(table) > 0 for table in found[0][1:])


def test_an_archive_in_pieces_is_what_it_is_at_once(another: Callable[[], Place], tmp_path: Path) -> None:
    """Each file in a run of its own, in whatever order: the seams between them were listened to all the same."""
    lines = talk(24 * 9)
    paths = [write(tmp_path / f"{n}.ndjson", part) for n, part in enumerate((lines[:300], lines[300:500], lines[500:]))]
    found = []
    for runs in ([paths], [[path] for path in paths], [[path] for path in reversed(paths)]):
        place = another()
        for run in runs:
            place.replay(*run)
        polls = place.rows("SELECT count(*) FROM polls")
        place.replay(*runs[-1])  # once more changes nothing
        assert place.rows("SELECT count(*) FROM polls") == polls
        found.append([place.table(name) for name in ("buckets", "coverage_hours", "spikes")])
    assert found[0] == found[1] == found[2]
    assert all(found[0])


def test_clock_reads_what_each_moment_alone_would_have_read(
    place: Place, another: Callable[[], Place], tmp_path: Path
) -> None:
    """At each moment nothing later is there: neither a message nor what would be derived from it."""
    path = write(tmp_path / "a.ndjson", talk(24 * 4))
    place.replay(path, readings="hourly")
    alone = another()
    alone.replay(path, clock=False)
    hours = [START + timedelta(hours=hour) for hour in (1, 7, 33, 34, 58, 90, 96)]
    for at in reversed(hours):  # the latest first: then its messages go
        with alone.store.writing() as connection:
            for table in ("messages", "mentions"):
                connection.execute(f"DELETE FROM {table} WHERE created_at >= $1", [at.replace(tzinfo=None)])
            derive.touch_everything(connection)
            derive.rollup(connection)
            derive.take_readings(connection, [at], None, scorer=scorer_of(place.config).name)
    taken = alone.table("readings")
    wanted = ", ".join(f"TIMESTAMP '{at:%Y-%m-%d %H:%M:%S}'" for at in hours)
    assert taken == place.rows(f'SELECT * FROM readings WHERE "at" IN ({wanted}) ORDER BY ALL')
    assert {row[1] for row in taken} >= {at.replace(tzinfo=None) for at in hours}


def test_burst_is_found_as_a_spike(place: Place, tmp_path: Path) -> None:
    report = place.replay(write(tmp_path / "a.ndjson", talk(24 * 9)))
    assert report.spikes == len(place.table("spikes")) > 0
    assert {row[0] for row in place.table("spikes")} == {"GME"}


# ------------------------------------------------------------------------------------------------ recorded archives


@pytest.fixture
def shared() -> Path:
    folder = Path(os.environ.get("TRACKER_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("the recorded archives are not here; set TRACKER_SHARED")
    return folder


def test_recorded_stocktwits_messages_are_stored_once_with_their_labels(place: Place, shared: Path) -> None:
    report = place.replay(shared / "samples/stocktwits", fmt="stocktwits", clock=False)
    recent = "FROM messages WHERE created_at >= TIMESTAMP '2026-01-01'"
    assert place.rows(f"SELECT count(*), count(DISTINCT id) {recent}") == [(828, 828)]
    labels = dict(place.rows(f"SELECT label, count(*) {recent} AND label IS NOT NULL GROUP BY label"))
    assert labels == {"bullish": 291, "bearish": 58}
    assert place.rows("SELECT count(*) FROM messages") == [(report.added,)]
    assert report.added == 828 + 37 + 1  # and what the conversation began with
    assert [Path(warning.partition(": ")[0]).name for warning in report.warnings] == [
        "trending_symbols_20260928_trimmed.json"
    ]


def test_recorded_reddit_answers_are_read_and_errors_are_named(place: Place, shared: Path) -> None:
    report = place.replay(shared / "samples/reddit", fmt="reddit", clock=False)
    assert report.added > 2_000
    named = {Path(warning.partition(": ")[0]).name for warning in report.warnings}
    assert named >= {"_index.json", "errors_oauth_api.json", "ratelimit_headers_series.json"}


def test_slice_of_the_recorded_tweets_is_stored_once(place: Place, shared: Path, tmp_path: Path) -> None:
    path = tmp_path / "slice.ndjson"
    with gzip.open(shared / "real/stocknet/tweets_2014h1.ndjson.gz") as lines:
        path.write_bytes(b"".join(line for _, line in zip(range(1500), lines, strict=False)))
    report = place.replay(path, fmt="x", readings="daily")
    assert (report.messages_read, report.added, report.skipped) == (1500, 1500, 0)
    assert report.readings > 0
    assert place.replay(path, fmt="x", readings="daily").added == 0


def test_rebuilding_everything_that_is_derived_gives_the_same_rows(place: Place, tmp_path: Path) -> None:
    """Buckets, coverage, baselines, spikes and the readings of the simulated clock, every column to the last digit."""
    place.replay(write(tmp_path / "a.ndjson", talk(80)), readings="daily")
    tables = ("buckets", "coverage_hours", "market_days", "symbol_days", "spikes", "readings")
    before = {name: place.table(name) for name in tables}
    assert all(before.values())
    place.store.rebuild(readings=True, scorer=scorer_of(place.config).name)
    assert {name: place.table(name) for name in tables} == before
