"""What a poll has brought is kept through a kill, a full disk and a restart, and applied exactly once."""

from __future__ import annotations

import json
import resource
import types
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from fakes import NOON, make_batch, make_store, message, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracker.errors import StoreError, StoreFatal
from tracker.models import Batch, Cursor
from tracker.store.journal import Journal, from_line, to_line

PLENTY = 1_000_000

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=8),
    int: st.integers(-(2**63), 2**64 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    datetime: st.datetimes(datetime(2005, 1, 1), datetime(2100, 1, 1), timezones=ZONES),
    type(None): st.none(),
    Cursor: st.dictionaries(st.text(), JSON_VALUES, max_size=3),
}


def any_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type of the models, every field of it drawn: a field that is added later is covered too."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(inner)
    if origin in (Union, types.UnionType):
        return st.one_of([any_of(option) for option in inner])
    if origin is tuple:
        return st.lists(any_of(inner[0]), max_size=2).map(tuple)
    assert isinstance(kind, type), f"no values for {kind}"
    assert is_dataclass(kind), f"no values for {kind}"
    hints = get_type_hints(kind)
    drawn = st.fixed_dictionaries({field.name: any_of(hints[field.name]) for field in fields(kind)})
    return drawn.map(lambda values: kind(**values))


BATCHES: st.SearchStrategy[Batch] = st.deferred(lambda: any_of(Batch))


def batch(number: int) -> Batch:
    return make_batch(
        message(f"words {number} on $GME", f"m{number}"), number=number, at=NOON + timedelta(seconds=number)
    )


def journal(folder: Path, limit: int = PLENTY, applied: int = 0) -> Journal:
    """The journal of this folder as a new process finds it."""
    found = Journal(folder / "t.journal", limit)
    found.load(applied)
    return found


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process grows beyond ``size`` bytes: writes come up short, then fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# ------------------------------------------------------------------------------------------------- one record


@given(st.integers(0, 2**63), BATCHES)
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
def test_a_batch_comes_back_as_it_was_from_one_line_of_ascii(sequence: int, given_batch: Batch) -> None:
    line = to_line(sequence, given_batch)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert from_line(line) == (sequence, given_batch)


def test_a_record_of_before_there_were_polls_is_read() -> None:
    sequence, body = 7, json.loads(to_line(7, batch(1)).split(b" ", 2)[2])
    assert body.pop("ballots") == []
    plain = json.dumps(body).encode()
    assert from_line(b"%d %08x %s\n" % (sequence, zlib.crc32(plain), plain)) == (sequence, batch(1))


@given(st.data())
@settings(max_examples=60)
def test_no_flipped_bit_and_no_cut_goes_unseen(data: st.DataObject) -> None:
    line = to_line(7, batch(1))
    start = line.index(b"{")  # sequence and checksum themselves are under no checksum
    place = data.draw(st.integers(start, len(line) - 1))
    flipped = bytearray(line)
    flipped[place] ^= 1 << data.draw(st.integers(0, 6))
    with pytest.raises(ValueError):
        from_line(bytes(flipped))
    with pytest.raises(ValueError):
        from_line(line[: data.draw(st.integers(0, len(line) - 1))])


# -------------------------------------------------------------------------------------------------- the file


def test_what_was_appended_is_there_after_a_restart_in_its_order(tmp_path: Path) -> None:
    first = journal(tmp_path)
    for number in (1, 2, 3):
        first.append(batch(number))
    assert first.waiting == [(number, batch(number)) for number in (1, 2, 3)]
    assert journal(tmp_path).waiting == first.waiting


def test_only_its_owner_may_read_what_people_wrote(tmp_path: Path) -> None:
    found = journal(tmp_path)
    found.append(batch(1))
    assert found.path.stat().st_mode & 0o777 == 0o600


def test_the_sequence_goes_on_after_a_restart_whether_records_wait_or_not(tmp_path: Path) -> None:
    first = journal(tmp_path)
    first.append(batch(1))
    first.append(batch(2))
    second = journal(tmp_path)
    second.append(batch(3))
    assert [number for number, _ in second.waiting] == [1, 2, 3]
    second.applied(3)
    third = journal(tmp_path, applied=3)
    third.append(batch(4))
    assert [number for number, _ in third.waiting] == [4]


@pytest.mark.parametrize("kept", [1, 5, 40, -2, -1])
def test_a_torn_last_line_is_cut_off_and_the_rest_stays(tmp_path: Path, kept: int) -> None:
    first = journal(tmp_path)
    first.append(batch(1))
    whole = first.path.stat().st_size
    torn = to_line(2, batch(2))[:kept]
    with first.path.open("ab") as file:
        file.write(torn)
    second = journal(tmp_path)
    assert second.waiting == [(1, batch(1))]
    assert second.path.stat().st_size == whole
    second.append(batch(2))
    assert journal(tmp_path).waiting == [(1, batch(1)), (2, batch(2))]


@pytest.mark.parametrize("tail", [b"\0" * 300, b"2 00\r\r\r", b"x"])
def test_whatever_a_power_cut_left_in_the_last_line_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    first = journal(tmp_path)
    first.append(batch(1))
    with first.path.open("ab") as file:
        file.write(tail)
    assert journal(tmp_path).waiting == [(1, batch(1))]


def test_a_damaged_earlier_line_is_refused_by_name_and_the_file_kept(tmp_path: Path) -> None:
    first = journal(tmp_path)
    for number in (1, 2, 3):
        first.append(batch(number))
    damaged = first.path.read_bytes().replace(b"words 2", b"words 9", 1)
    first.path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"damaged.*line 2"):
        journal(tmp_path)
    assert first.path.read_bytes() == damaged


def test_a_whole_record_of_another_version_is_refused_even_where_it_is_the_last(tmp_path: Path) -> None:
    first = journal(tmp_path)
    first.append(batch(1))
    body = json.dumps({"report": {"colour": "green"}}).encode()
    with first.path.open("ab") as file:
        file.write(b"2 %08x %s\n" % (zlib.crc32(body), body))
    before = first.path.read_bytes()
    with pytest.raises(StoreError, match=r"line 2.*does not know"):
        journal(tmp_path)
    assert first.path.read_bytes() == before


def test_an_unreadable_journal_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "t.journal").mkdir()
    with pytest.raises(StoreError, match="can't be read"):
        journal(tmp_path)


def test_applied_records_go_and_an_empty_journal_is_an_empty_file(tmp_path: Path) -> None:
    found = journal(tmp_path)
    for number in (1, 2, 3):
        found.append(batch(number))
    found.applied(2)
    assert found.waiting == [(3, batch(3))]
    found.applied(3)
    assert found.waiting == []
    assert found.path.stat().st_size == 0


def test_records_that_the_database_holds_do_not_wait_again(tmp_path: Path) -> None:
    first = journal(tmp_path)
    for number in (1, 2, 3):
        first.append(batch(number))
    assert [number for number, _ in journal(tmp_path, applied=2).waiting] == [3]


def test_loading_twice_is_loading_once(tmp_path: Path) -> None:
    found = journal(tmp_path)
    found.append(batch(1))
    found.load(0)
    assert found.waiting == [(1, batch(1))]


# ---------------------------------------------------------------------------------------------- full and spent


def test_it_is_full_at_its_limit_and_not_before(tmp_path: Path) -> None:
    size = len(to_line(1, batch(1)))
    found = journal(tmp_path, limit=2 * size)
    seen = [found.full]
    for number in (1, 2):
        found.append(batch(number))
        seen.append(found.full)
    assert seen == [False, False, True]
    assert journal(tmp_path, limit=2 * size).full, "a restart does not forget it"
    again = journal(tmp_path, limit=2 * size)
    again.applied(2)
    assert not again.full


def test_a_full_journal_that_is_in_the_database_already_is_empty_after_a_restart(tmp_path: Path) -> None:
    first = journal(tmp_path, limit=10)
    first.append(batch(1))
    second = journal(tmp_path, limit=10, applied=1)
    assert not second.full
    assert second.path.stat().st_size == 0


@pytest.mark.parametrize(("limit_in_records", "left"), [(5, 1), (100, 3)])
def test_the_file_is_written_anew_above_half_its_limit_and_only_then(
    tmp_path: Path, limit_in_records: int, left: int
) -> None:
    size = len(to_line(1, batch(1)))
    found = journal(tmp_path, limit=limit_in_records * size)
    for number in (1, 2, 3):
        found.append(batch(number))
    found.applied(2)
    assert len(found.path.read_bytes().splitlines()) == left
    assert found.path.stat().st_mode & 0o777 == 0o600
    for number in (4, 5, 6):
        found.append(batch(number))
    assert not found.full, "what was left out does not count"
    assert journal(tmp_path, applied=2).waiting == [(number, batch(number)) for number in (3, 4, 5, 6)]


def test_a_kill_while_it_was_written_anew_costs_nothing(tmp_path: Path) -> None:
    size = len(to_line(1, batch(1)))
    found = journal(tmp_path, limit=3 * size)
    for number in (1, 2):
        found.append(batch(number))
    found.path.with_suffix(".new").write_bytes(b"half a rec")
    second = journal(tmp_path, limit=3 * size)
    assert len(second.waiting) == 2
    second.applied(1)
    assert journal(tmp_path, applied=1).waiting == [(2, batch(2))]


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_full_disk_leaves_no_half_record_and_is_fatal(tmp_path: Path, room: int) -> None:
    found = journal(tmp_path)
    found.append(batch(1))
    before = found.path.read_bytes()
    with full_disk(len(before) + room), pytest.raises(StoreFatal, match="can't be kept"):
        found.append(batch(2))
    assert found.path.read_bytes() == before
    assert found.waiting == [(1, batch(1))]
    found.append(batch(3))
    assert journal(tmp_path).waiting == [(1, batch(1)), (2, batch(3))]


def test_a_folder_that_cannot_be_made_is_fatal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = Journal(tmp_path / "file" / "t.journal", PLENTY)
    with pytest.raises(StoreFatal, match="can't be kept"):
        found.append(batch(1))
    assert found.waiting == []


# ------------------------------------------------------------------------------------------ with the database


class Killed(BaseException):
    """The process ends here."""


class DiesAfterTheCommit(Journal):
    """The rows are committed and the process is killed before the journal is told."""

    def applied(self, sequence: int) -> None:
        raise Killed


STORED = "SELECT id FROM messages ORDER BY id"


def test_records_are_applied_exactly_once_after_a_kill_between_commit_and_cut(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.journal = DiesAfterTheCommit(store.journal.path, PLENTY)
    store.standing(NOON)
    for number in (1, 2):
        store.keep(batch(number))
    with pytest.raises(Killed):
        store.flush()
    again = make_store(tmp_path)
    standing = again.standing(NOON)
    assert again.waiting == 0
    assert [stream.cursor for stream in standing.streams] == [{"n": 2}]
    again.keep(batch(3))
    assert again.flush().added == 1
    assert rows(again, STORED) == [("m1",), ("m2",), ("m3",)]
    assert rows(again, "SELECT count(*), sum(added) FROM polls") == [(3, 3)]


def test_records_are_applied_after_a_kill_before_the_commit(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.standing(NOON)
    store.keep(batch(1))
    assert rows(store, STORED) == []
    again = make_store(tmp_path)
    standing = again.standing(NOON)
    assert [stream.cursor for stream in standing.streams] == [{"n": 1}], "the journal knows better than the file"
    assert standing.used == {"pond": [(NOON + timedelta(seconds=1), 1)]}
    again.flush()
    assert rows(again, STORED) == [("m1",)]


def test_what_was_fetched_first_and_kept_last_is_not_lost_where_a_flush_ends(tmp_path: Path) -> None:
    """Two polls end around a reading's moment, the younger is kept first; committing up to that moment may not skip it."""
    store = make_store(tmp_path)
    store.standing(NOON)
    young, old = batch(2), batch(1)
    store.keep(young)
    store.keep(old)
    store.flush(until=NOON + timedelta(seconds=1))
    again = make_store(tmp_path)
    again.standing(NOON)
    again.flush()
    assert rows(again, STORED) == [("m1",), ("m2",)]


def test_a_flush_up_to_a_moment_leaves_what_is_younger(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.standing(NOON)
    for number in (1, 2, 3):
        store.keep(batch(number))
    assert store.flush(until=NOON + timedelta(seconds=2)).added == 2
    assert store.waiting == 1
    assert rows(store, STORED) == [("m1",), ("m2",)]


def test_a_journal_of_a_later_state_is_refused_and_kept_and_nothing_of_it_waits(tmp_path: Path) -> None:
    later = journal(tmp_path, applied=4)
    for number in (1, 2):
        later.append(batch(number))
    before = later.path.read_bytes()
    earlier = Journal(later.path, PLENTY)
    with pytest.raises(StoreError, match="begins with record 5, the database ends with 3"):
        earlier.load(3)
    assert earlier.waiting == []
    assert later.path.read_bytes() == before
    assert [number for number, _ in journal(tmp_path, applied=4).waiting] == [5, 6]
