"""Archives of messages: which files there are, how they are read in bounded memory, and our own export format.

    paths ─► find_files ─► ArchiveFile ─► chunks ─► Chunk ─► read_items ─► Message | Deletion | Flaw

``.ndjson``, ``.jsonl`` and everything without a telling suffix holds one object a line and is read in pieces;
``.json``, ``.xml`` and ``.csv`` are documents, read as a whole. Each may be packed as ``.gz`` or ``.zst``.
"""

from __future__ import annotations

import os
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from tracker import archive_zst, sources
from tracker.errors import BadInput, Malformed, SourceError
from tracker.models import Deletion, Flaw, Item, Label, Message
from tracker.wire import SAMPLE_BYTES, clean, count, from_iso, link, load_json, text_id

EXPORT = "ndjson"  # our own: one object per message, as `tracker export messages --format jsonl` writes it
STDIN: Literal["-"] = "-"

_CHUNK_BYTES = 512 * 1024  # lines that are parsed in one go: some hundred messages
_READ_BYTES = 128 * 1024
_LONGEST_LINE = 64 * 1024 * 1024
_PACKED = (".gz", ".zst")
_LINES = (".ndjson", ".jsonl")
_DOCUMENTS = (".json", ".xml", ".rss", ".atom", ".csv")
# What a format claims in a folder; a packed file without a second suffix (RC_2023-01.zst) holds lines
_CLAIMS: dict[str, tuple[str, ...]] = {
    "reddit": (*_LINES, *_DOCUMENTS),
    "arctic_shift": (*_LINES, *_DOCUMENTS),
    EXPORT: (*_LINES, ".json"),
}
_CLAIMS_ELSE = (*_LINES, ".json")
_GZIP = b"\x1f\x8b"

Parser = Callable[[bytes], list[Item]]


def formats() -> dict[str, Parser]:
    """Every format by name: what the sources offer, and our own export."""
    found: dict[str, Parser] = {EXPORT: parse_export}
    for name in sources.names():
        found.update(sources.archive_parsers(name))
    return dict(sorted(found.items()))


def parser_of(fmt: str) -> Parser:
    """The parser of one line or document of a format; BadInput names those that there are."""
    known = formats()
    if fmt not in known:
        raise BadInput(f"expected one of the formats {', '.join(known)}", "replay", repr(fmt))
    return known[fmt]


# ------------------------------------------------------------------------------------------------- which files


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file to read, or the standard input."""

    path: Path | None  # None: the standard input
    size: int  # bytes on the disk; 0 for the standard input

    @property
    def name(self) -> str:
        return "standard input" if self.path is None else str(self.path)

    @property
    def stream(self) -> str:
        """The stream that its messages are stored under: archive/<name without suffixes>."""
        return "archive/stdin" if self.path is None else f"archive/{_unpacked(self.path).stem}"


@dataclass(frozen=True, slots=True)
class Found:
    """What a list of paths comes to."""

    files: tuple[ArchiveFile, ...]  # sorted by path, each once, the standard input last
    passed_over: int  # files in folders whose suffix the format does not claim


def find_files(paths: Sequence[Path | Literal["-"]], fmt: str) -> Found:
    """The files below ``paths`` that hold ``fmt``; a file that is named itself counts whatever its suffix is.

    The order in which they were given plays no part, so it can't change any result. BadInput for a path that is
    not there.
    """
    if not paths:
        raise BadInput("expected at least one file or folder", "replay")
    claimed = _CLAIMS.get(fmt, _CLAIMS_ELSE)
    named = [Path(path) for path in paths if path != STDIN]
    files: dict[Path, Path] = {}
    passed_over: set[Path] = set()
    for path in named:
        if path.is_dir():
            for below in _below(path):
                if _is_claimed(below, claimed):
                    files.setdefault(below.resolve(), below)
                else:
                    passed_over.add(below.resolve())
        elif path.exists():
            files.setdefault(path.resolve(), path)
        else:
            raise BadInput("there is no such file or folder", str(path))
    found = [ArchiveFile(path, path.stat().st_size) for path in sorted(files.values())]
    if STDIN in paths:
        found.append(ArchiveFile(None, 0))
    return Found(tuple(found), len(passed_over - files.keys()))


def _below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise BadInput("the folder can't be read", str(error.filename), error.strerror)

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        yield from (path for path in (Path(place, name) for name in sorted(names)) if path.is_file())


def _is_claimed(path: Path, claimed: tuple[str, ...]) -> bool:
    inner = _unpacked(path)
    return inner.suffix.lower() in claimed or (inner != path and not inner.suffix)


def _unpacked(path: Path) -> Path:
    """The path without the suffix that says how it is packed."""
    return path.with_suffix("") if path.suffix.lower() in _PACKED else path


# ------------------------------------------------------------------------------------------------ reading bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an archive that can be parsed by itself."""

    body: bytes  # whole lines, or a whole document
    is_document: bool
    position: int  # bytes of the file that have been read so far, as it lies on the disk


def chunks(file: ArchiveFile, stdin: BinaryIO | None = None) -> Iterator[Chunk]:
    """The pieces of a file, in order. BadInput when it can't be read or is cut, after what comes before."""
    try:
        opened = (stdin or sys.stdin.buffer) if file.path is None else file.path.open("rb")
    except OSError as error:
        raise BadInput("the file can't be read", file.name, error.strerror) from None
    handle = _Counting(opened, file.name)
    try:
        first = handle.read()
        suffix = "" if file.path is None else _unpacked(file.path).suffix.lower()
        if suffix in _DOCUMENTS or (suffix not in _LINES and _begins_document(first)):
            yield Chunk(b"".join(_decoded(handle, first)), True, handle.position)
            return
        for body in _whole_lines(_decoded(handle, first), file.name):
            yield Chunk(body, False, handle.position)
    finally:
        if file.path is not None:
            opened.close()


class _Counting:
    """A file that knows how much of it was read, and whose failures have its name."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self.position = 0
        self._file = file

    def read(self, size: int = _READ_BYTES) -> bytes:
        try:
            block = self._file.read(size)
        except OSError as error:
            raise BadInput("the file can't be read", self.name, error.strerror) from None
        self.position += len(block)
        return block


def _begins_document(head: bytes) -> bool:
    """True where a stream of bytes without a telling name is one document over many lines."""
    first_line = head.lstrip(b"\xef\xbb\xbf \t\r\n").partition(b"\n")[0].strip()
    return first_line in (b"{", b"[") or first_line.startswith(b"<")


def _decoded(handle: _Counting, first: bytes) -> Iterator[bytes]:
    """The bytes, unpacked by what they begin with: the suffix may be wrong or missing."""
    if first.startswith(_GZIP):
        return _gunzipped(handle, first)
    if first.startswith(archive_zst.MAGIC):
        return archive_zst.unpacked(first, handle.read, handle.name)
    if handle.name.endswith(_PACKED) and first:
        raise BadInput("the file is not packed as its name says", handle.name)
    return _plain(handle, first)


def _plain(handle: _Counting, block: bytes) -> Iterator[bytes]:
    while block:
        yield block
        block = handle.read()


def _gunzipped(handle: _Counting, block: bytes) -> Iterator[bytes]:
    """Every byte that can be had of a gzip file, also of a torn one: gzip.open keeps the last ones to itself."""
    reader = zlib.decompressobj(31)
    while block:
        if reader.eof:  # one file may hold several, one behind the other, filled up with zeros
            block = block.lstrip(b"\0")
            if not block:
                block = handle.read()
                continue
            reader = zlib.decompressobj(31)
        try:
            yield reader.decompress(block, 4 * _CHUNK_BYTES)
        except zlib.error as error:
            raise BadInput("the file is damaged", handle.name, error) from None
        block = reader.unconsumed_tail or reader.unused_data or handle.read()
    yield reader.flush()
    if not reader.eof:
        raise BadInput("the file is cut off, what came before is kept", handle.name)


def _whole_lines(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Pieces of some hundred kilobytes that end where a line ends; the lines before a failure come before it."""
    parts: list[bytes] = []
    size = 0
    try:
        for block in blocks:
            parts.append(block)
            size += len(block)
            if size < _CHUNK_BYTES:
                continue
            whole, _, rest = b"".join(parts).rpartition(b"\n")
            parts, size = [rest], len(rest)
            if whole:
                yield whole
            elif size > _LONGEST_LINE:
                raise BadInput(f"a line of more than {_LONGEST_LINE // 2**20} MB holds no message", name)
    except BadInput:
        whole = b"".join(parts).rpartition(b"\n")[0]
        if whole and size <= _LONGEST_LINE:
            yield whole
        raise
    if whole := b"".join(parts):
        yield whole


# ------------------------------------------------------------------------------------------------ reading items


@dataclass(frozen=True, slots=True)
class Items:
    """What a piece holds."""

    items: tuple[Item, ...]
    readable: int  # lines or documents that were of the format
    unreadable: int  # lines that were not
    reason: str | None  # what was wrong with the first of those


def read_items(body: bytes, is_document: bool, parser: Parser) -> Items:
    """The items of a piece; total: what is not of the format is counted and its reason told."""
    if is_document:
        try:
            return Items(tuple(parser(body)), 1, 0, None)
        except SourceError as error:
            by_line = _read_lines(body, parser)  # a document by its name, lines by its content
            return by_line if by_line.readable and b"\n" in body.strip() else Items((), 0, 1, str(error))
    return _read_lines(body, parser)


def _read_lines(body: bytes, parser: Parser) -> Items:
    items: list[Item] = []
    readable = unreadable = 0
    reason: str | None = None
    for line in body.split(b"\n"):
        if not line or line.isspace():
            continue
        try:
            items.extend(parser(line))
            readable += 1
        except SourceError as error:
            unreadable += 1
            reason = reason or str(error)
    return Items(tuple(items), readable, unreadable, reason)


# ------------------------------------------------------------------------------------------------ our own export

_SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LABELS: dict[object, Label] = {"bullish": "bullish", "bearish": "bearish"}


def parse_export(body: bytes) -> list[Item]:
    """One line of our own export (or a list of its objects); Malformed when it is none.

    ``author`` is a keyed hash already and stays as it is. ``symbols`` were counted when it was exported: they are
    taken as the platform's word. A message whose text was dropped can't be scored again and is skipped.
    """
    document = load_json(body, "export")
    entries = document if isinstance(document, list) else [document]
    if not all(isinstance(entry, dict) and "source" in entry and "id" in entry for entry in entries):
        raise Malformed("expected objects with source and id", "export", body=body[:SAMPLE_BYTES])
    return [_exported(entry, f"[{number}]") for number, entry in enumerate(entries)]


def _exported(raw: dict[str, Any], place: str) -> Item:
    source, native = raw["source"], text_id(raw["id"])
    if not isinstance(source, str) or not _SOURCE_NAME.fullmatch(source) or native is None:
        return Flaw("no usable source and id", place)
    revision = clean(raw.get("revision"))
    if raw.get("deleted") is True:
        return Deletion(source, id=native, revision=revision, deleted_at=from_iso(raw.get("deleted_at")))
    text = clean(raw.get("text"))
    if text is None:
        return Flaw(f"message {native} has no text", f"{place}.text")
    symbols = raw.get("symbols")
    named = [clean(symbol) for symbol in symbols] if isinstance(symbols, list) else []
    return Message(
        source=source,
        id=native,
        created_at=from_iso(raw.get("created_at")),
        text=text,
        author=clean(raw.get("author")) or None,
        lang=clean(raw.get("lang")) or None,
        url=link(raw.get("url")),
        label=_LABELS.get(raw["label"]) if isinstance(raw.get("label"), str) else None,
        reply_to=text_id(raw.get("reply_to")),
        reshare_of=text_id(raw.get("reshare_of")),
        likes=count(raw.get("likes")),
        reshares=count(raw.get("reshares")),
        replies=count(raw.get("replies")),
        symbols=tuple(dict.fromkeys(symbol.strip().upper() for symbol in named if symbol and symbol.strip())),
        revision=revision,
    )
