"""Reading archives: which files count, what can be had of damaged ones, and our own export format."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracker.archive import ArchiveFile, Chunk, chunks, find_files, formats, parse_export, parser_of, read_items
from tracker.archive_zst import Frames
from tracker.errors import BadInput, Malformed
from tracker.models import Deletion, Flaw, Item, Message


def lines_of(number: int, padding: int = 0) -> list[bytes]:
    return [json.dumps({"n": n, "pad": "x" * padding}).encode() for n in range(number)]


def read(path: Path) -> list[Chunk]:
    return list(chunks(ArchiveFile(path, path.stat().st_size)))


def body_of(found: list[Chunk]) -> list[bytes]:
    return [line for chunk in found for line in chunk.body.split(b"\n") if line]


# ------------------------------------------------------------------------------------------------------ formats


def test_each_source_brings_its_formats_and_ours_is_among_them() -> None:
    assert {"stocktwits", "reddit", "arctic_shift", "jetstream", "bluesky", "hackernews", "x", "ndjson"} <= set(
        formats()
    )


def test_unknown_format_names_those_that_there_are() -> None:
    with pytest.raises(BadInput, match=r"hackernews.*ndjson.*stocktwits.*'telegraph'"):
        parser_of("telegraph")


# ---------------------------------------------------------------------------------------------------- find_files


def test_folder_gives_what_its_format_claims_sorted_and_counts_the_rest(tmp_path: Path) -> None:
    for name in ("b.ndjson", "a.jsonl.gz", "deep/c.json", "RC_2020.zst", "notes.txt", "prices.csv.gz", "feed.xml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")
    found = find_files([tmp_path], "x")
    assert [file.path and file.path.relative_to(tmp_path).as_posix() for file in found.files] == [
        "RC_2020.zst", "a.jsonl.gz", "b.ndjson", "deep/c.json",
    ]  # fmt: skip
    assert found.passed_over == 3
    assert len(find_files([tmp_path], "reddit").files) == 6  # also tables and feeds


def test_named_file_counts_whatever_its_suffix_is_and_each_file_once(tmp_path: Path) -> None:
    odd = tmp_path / "messages.txt"
    odd.write_bytes(b"{}")
    found = find_files(["-", odd, tmp_path, odd], "x")
    assert [file.path for file in found.files] == [odd, None]
    assert found.passed_over == 0


def test_order_of_paths_plays_no_part(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("b.ndjson", "a.ndjson")]
    for path in paths:
        path.write_bytes(b"{}")
    assert find_files(paths, "x") == find_files(paths[::-1], "x")


def test_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no such file or folder: .*nowhere"):
        find_files([tmp_path / "nowhere"], "x")


def test_no_path_at_all_is_refused() -> None:
    with pytest.raises(BadInput, match="at least one"):
        find_files([], "x")


@pytest.mark.parametrize(
    ("name", "stream"),
    [("a.ndjson", "archive/a"), ("a.b.jsonl.gz", "archive/a.b"), ("RC_2020-01.zst", "archive/RC_2020-01")],
)
def test_stream_is_the_name_without_suffixes(name: str, stream: str) -> None:
    assert ArchiveFile(Path("somewhere", name), 0).stream == stream


# -------------------------------------------------------------------------------------------------------- chunks


def test_large_file_comes_in_pieces_that_end_with_a_line(tmp_path: Path) -> None:
    lines = lines_of(200, 10_000)
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"\n".join(lines))
    found = read(path)
    assert len(found) >= 3
    assert all(chunk.body.endswith(b"}") for chunk in found)
    assert body_of(found) == lines
    assert found[-1].position == path.stat().st_size
    assert not any(chunk.is_document for chunk in found)


def test_gzip_of_several_members_and_padding_is_read_to_its_end(tmp_path: Path) -> None:
    lines = lines_of(60, 20_000)
    path = tmp_path / "a.ndjson.gz"
    packed = [gzip.compress(b"\n".join(part) + b"\n") for part in (lines[:25], lines[25:])]
    path.write_bytes(packed[0] + packed[1] + b"\0" * 512)
    assert body_of(read(path)) == lines


def test_packed_content_is_unpacked_without_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(gzip.compress(b'{"n": 1}\n'))
    assert body_of(read(path)) == [b'{"n": 1}']


def test_document_comes_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.json.gz"
    path.write_bytes(gzip.compress(b'{\n"n": 1}\n'))
    (chunk,) = read(path)
    assert chunk.is_document
    assert chunk.body == b'{\n"n": 1}\n'


@pytest.mark.parametrize(
    ("head", "is_document"), [(b'{\n  "n": 1\n}', True), (b"<feed>\n</feed>", True), (b'{"n": 1}\n{"n": 2}', False)]
)
def test_standard_input_is_told_by_its_first_line(head: bytes, is_document: bool) -> None:
    (chunk,) = chunks(ArchiveFile(None, 0), io.BytesIO(head))
    assert chunk.is_document == is_document


def test_torn_gzip_gives_its_whole_lines_and_then_says_so(tmp_path: Path) -> None:
    lines = lines_of(3_000)
    path = tmp_path / "torn.ndjson.gz"
    path.write_bytes(gzip.compress(b"\n".join(lines))[:-40])
    found: list[Chunk] = []
    with pytest.raises(BadInput, match=r"cut off.*torn\.ndjson\.gz"):
        found.extend(chunks(ArchiveFile(path, path.stat().st_size)))
    kept = body_of(found)
    assert kept == lines[: len(kept)]
    assert len(kept) > 2_000


def test_damaged_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.ndjson.gz"
    whole = bytearray(gzip.compress(b"\n".join(lines_of(3_000))))
    whole[len(whole) // 2 :] = b"\xff" * 100
    path.write_bytes(whole)
    with pytest.raises(BadInput, match=r"bad\.ndjson\.gz"):
        read(path)


def test_file_that_is_not_packed_as_its_name_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.ndjson.gz"
    path.write_bytes(b"{}\n")
    with pytest.raises(BadInput, match=r"not packed as its name says: .*bad"):
        read(path)


def test_zst_without_a_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compression.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / "a.ndjson.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd....")
    with pytest.raises(BadInput, match=r"needs the package zstandard: pip install 'tracker\[zst\]'.*a\.ndjson\.zst"):
        read(path)


def raw_frame(*blocks: bytes, checksum: bool = False) -> bytes:
    """A frame of blocks that are not packed, by hand: a window of 1 KB, no length."""
    parts = [((len(b) << 3) | (n == len(blocks) - 1)).to_bytes(3, "little") + b for n, b in enumerate(blocks)]
    return b"\x28\xb5\x2f\xfd" + bytes([4 * checksum, 0]) + b"".join(parts) + b"sum!" * checksum


REPEATED = b"\x28\xb5\x2f\xfd" + b"\x20\x09" + ((9 << 3) | 2 | 1).to_bytes(3, "little") + b"x"  # nine times x
PASSED_OVER = b"\x51\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_the_frames_of_a_packed_file_are_followed_however_it_comes(step: int) -> None:
    parts = [raw_frame(b"a" * 300, b"", b"b"), PASSED_OVER, REPEATED, raw_frame(b"c", checksum=True)]
    ends, whole = {0, *itertools.accumulate(map(len, parts))}, b"".join(parts)
    frames = Frames()
    for at in range(0, len(whole), step):
        frames.feed(whole[at : at + step])
        assert frames.is_whole == (min(at + step, len(whole)) in ends)
    frames.feed(b"rubbish")
    assert frames.is_whole, "that is for whoever unpacks it to say"


@pytest.fixture
def zstd() -> Any:
    return pytest.importorskip("zstandard", reason="needs the extra tracker[zst]")


def test_zst_is_read_whatever_it_is_made_of(tmp_path: Path, zstd: Any) -> None:
    lines = lines_of(3_000)
    first, second = b"\n".join(lines[:1_000]) + b"\n", b"\n".join(lines[1_000:])
    packer = zstd.ZstdCompressor(write_checksum=True)
    path = tmp_path / "RC_2020-01.zst"
    path.write_bytes(packer.compress(first) + PASSED_OVER + packer.compress(b"") + packer.compress(second) + REPEATED)
    found = read(path)
    assert body_of(found) == [*lines[:-1], lines[-1] + b"x" * 9]
    assert found[-1].position == path.stat().st_size


def test_zst_with_a_window_of_two_gigabytes_is_allowed(tmp_path: Path, zstd: Any) -> None:
    path = tmp_path / "RS_2020-01.zst"
    window = bytes([(31 - 10) << 3])  # 2**31 bytes
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00" + window + ((9 << 3) | 1).to_bytes(3, "little") + b'{"n": 1}\n')
    assert body_of(read(path)) == [b'{"n": 1}']


def test_zst_is_unpacked_in_pieces(tmp_path: Path, zstd: Any) -> None:
    """Half a gigabyte of nothing is seventeen kilobytes of packed file, and is never held at once."""
    path = tmp_path / "bomb.ndjson.zst"
    packer = zstd.ZstdCompressor().compressobj()
    with path.open("wb") as file:
        for _ in range(512):
            file.write(packer.compress((b" " * 1023 + b"\n") * 1024))
        file.write(packer.flush())
    assert path.stat().st_size < 200_000
    longest = total = 0
    for chunk in chunks(ArchiveFile(path, path.stat().st_size)):
        longest, total = max(longest, len(chunk.body)), total + len(chunk.body) + 1
    assert total == 512 * 2**20
    assert longest < 2**21


@pytest.mark.parametrize("cut", [1, 4, 5, 40, 5_000])
def test_torn_zst_gives_its_whole_lines_and_then_says_so(tmp_path: Path, zstd: Any, cut: int) -> None:
    lines = [b'{"n": "%s"}' % hashlib.sha256(str(n).encode()).hexdigest().encode() for n in range(20_000)]
    path = tmp_path / "torn.ndjson.zst"
    path.write_bytes(zstd.ZstdCompressor(write_checksum=True).compress(b"\n".join(lines))[:-cut])
    found: list[Chunk] = []
    with pytest.raises(BadInput, match=r"cut off.*torn\.ndjson\.zst"):
        found.extend(chunks(ArchiveFile(path, path.stat().st_size)))
    kept = body_of(found)
    assert kept == lines[: len(kept)]
    assert len(kept) > 17_000


def test_damaged_zst_is_named(tmp_path: Path, zstd: Any) -> None:
    path = tmp_path / "bad.ndjson.zst"
    whole = bytearray(zstd.ZstdCompressor(write_checksum=True).compress(b"\n".join(lines_of(30_000))))
    whole[len(whole) // 2 :] = b"\xff" * 100
    path.write_bytes(whole)
    with pytest.raises(BadInput, match=r"damaged.*bad\.ndjson\.zst"):
        read(path)


# ---------------------------------------------------------------------------------------------------- read_items


def one(body: bytes) -> list[Item]:
    found = json.loads(body) if body.startswith(b"{") else None
    if not isinstance(found, dict):
        raise Malformed("expected an object", "test")
    return [Message("x", str(found.get("n")), None, "")]


def test_unreadable_lines_are_counted_beside_the_good_ones() -> None:
    found = read_items(b'{"n": 1}\n\n[]\n{"n": 2}\r\nnope\n', False, lambda line: one(line.strip()))
    assert [item.id for item in found.items if isinstance(item, Message)] == ["1", "2"]
    assert (found.readable, found.unreadable) == (2, 2)
    assert found.reason == "expected an object: test"


def test_document_that_is_none_tells_why() -> None:
    found = read_items(b"[]", True, one)
    assert (found.items, found.readable, found.unreadable, found.reason) == ((), 0, 1, "expected an object: test")


def test_lines_in_a_file_that_is_called_a_document_are_read() -> None:
    found = read_items(b'{"id": 1, "body": "$GME"}\n{"id": 2, "body": "$AMC"}\n', True, parser_of("stocktwits"))
    assert [item.id for item in found.items if isinstance(item, Message)] == ["1", "2"]


# -------------------------------------------------------------------------------------------------------- export

EXPORTED = {
    "source": "stocktwits", "id": "77", "stream": "symbol/GME", "created_at": "2026-03-02T15:04:05Z",
    "fetched_at": "2026-03-02T15:05:00Z", "author": "0f" * 16, "text": "loading $GME", "lang": "en",
    "url": "https://example.org/77", "label": "bullish", "reply_to": "76", "reshare_of": None, "likes": 3,
    "reshares": None, "replies": 0, "symbols": ["gme", "GME", "AMC"], "deleted": False, "deleted_at": None,
    "revision": "r1",
}  # fmt: skip


def exported(**changes: object) -> Item:
    (item,) = parse_export(json.dumps(EXPORTED | changes).encode())
    return item


def test_exported_message_is_read_with_every_field() -> None:
    assert exported() == Message(
        source="stocktwits", id="77", created_at=datetime(2026, 3, 2, 15, 4, 5, tzinfo=UTC), text="loading $GME",
        author="0f" * 16, lang="en", url="https://example.org/77", label="bullish", reply_to="76", likes=3, replies=0,
        symbols=("GME", "AMC"), revision="r1",
    )  # fmt: skip


def test_exported_deletion_stays_one() -> None:
    gone = exported(deleted=True, text=None, deleted_at="2026-03-03T00:00:00Z")
    assert gone == Deletion("stocktwits", "77", revision="r1", deleted_at=datetime(2026, 3, 3, tzinfo=UTC))


@pytest.mark.parametrize(
    "changes", [{"text": None}, {"id": None}, {"id": 1.5}, {"source": "Stock Twits"}, {"source": 7}]
)
def test_unusable_export_is_a_flaw(changes: dict[str, object]) -> None:
    assert isinstance(exported(**changes), Flaw)


@pytest.mark.parametrize("body", [b"7", b"{}", b'[{"id": 1}]', b'{"source": "x"', b"", b"<html>"])
def test_what_is_no_export_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse_export(body)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(sorted(EXPORTED)), st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text()))
    )
)
def test_any_export_is_read_or_refused_by_name(changes: dict[str, object]) -> None:
    assert isinstance(exported(**changes), Message | Deletion | Flaw)
