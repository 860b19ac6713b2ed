"""Zstandard: unpacking files of any size in bounded memory, and noticing that one was cut.

Neither Python before 3.14 nor anything that we need otherwise reads it, so the package is the extra ``tracker[zst]``,
imported when a file asks for it. Dumps of Reddit are packed with windows of 2 GB, which a reader has to allow.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

from tracker.errors import BadInput

MAGIC: Final = b"\x28\xb5\x2f\xfd"

_WINDOW_LOG: Final = 31
_SKIPPED: Final = b"\x2a\x4d\x18"  # the last three bytes of the magic of a frame that holds no data
_BLOCK: Final = 512 * 1024


def unpacked(first: bytes, read: Callable[[int], bytes], name: str) -> Iterator[bytes]:
    """The bytes of a packed file whose first block was read already; BadInput where it is damaged or cut, after the rest."""
    source = _Source(first, read)
    reader = _reader(source, name)
    while True:
        try:
            block = reader.read(_BLOCK)
        except EOFError:
            raise BadInput("the file is cut off, what came before is kept", name) from None
        except (ValueError, OSError, RuntimeError) as error:
            raise BadInput("the file is damaged", name, error) from None
        except Exception as error:  # the packages' own errors have no base that is known here
            if type(error).__name__ != "ZstdError":
                raise
            raise BadInput("the file is damaged", name, error) from None
        if not block:
            break
        yield block
    if not source.frames.is_whole:
        raise BadInput("the file is cut off, what came before is kept", name)


def _reader(source: _Source, name: str) -> Any:
    """A reader of the standard library (3.14), else of the package ``zstandard``."""
    try:
        zstd = importlib.import_module("compression.zstd")
        return zstd.ZstdFile(source, options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
    except ImportError:
        pass
    try:
        package = importlib.import_module("zstandard")
    except ImportError:
        hint = "reading .zst needs the package zstandard: pip install 'tracker[zst]'"
        raise BadInput(hint, name) from None
    return package.ZstdDecompressor(max_window_size=2**_WINDOW_LOG).stream_reader(source, read_across_frames=True)


class _Source:
    """The file again, with the block in front that was read to see what it is."""

    def __init__(self, first: bytes, read: Callable[[int], bytes]) -> None:
        self.frames = Frames()
        self._first, self._read = first, read

    def read(self, size: int = -1) -> bytes:
        wanted = _BLOCK if size < 0 else size
        block = self._first[:wanted] or self._read(wanted)
        self._first = self._first[len(block) :]
        self.frames.feed(block)
        return block

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


class Frames:
    """Follows the frames of a packed file as its bytes go by: the package takes a cut file for one that is over.

    Only headers are looked at (RFC 8878, section 3.1): what a block holds, and whether it is sound, is its reader's
    business. Bytes that are no frame are its reader's as well.
    """

    def __init__(self) -> None:
        self._steps = self._walk()
        self._wants = next(self._steps)  # bytes to look at; below zero: to pass over
        self._held = b""

    @property
    def is_whole(self) -> bool:
        """True where a frame has ended and no other has begun."""
        return self._between and not self._held

    def feed(self, block: bytes) -> None:
        """The next bytes of the file."""
        at = 0
        while at < len(block):
            if self._wants < 0:
                passed = min(-self._wants, len(block) - at)
                at, self._wants = at + passed, self._wants + passed
            else:
                taken = block[at : at + self._wants - len(self._held)]
                at, self._held = at + len(taken), self._held + taken
            while self._wants == 0 or len(self._held) == self._wants:
                held, self._held = self._held, b""
                self._wants = self._steps.send(held)

    def _walk(self) -> Generator[int, bytes, None]:
        while True:
            self._between = True
            magic = yield 4
            self._between = False
            if magic[1:] == _SKIPPED and magic[0] & 0xF0 == 0x50:
                yield -int.from_bytes((yield 4), "little")
            elif magic == MAGIC:
                yield from self._frame()
            else:
                self._between = True
                while True:
                    yield -(2**62)

    def _frame(self) -> Generator[int, bytes, None]:
        described = (yield 1)[0]
        is_single = described >> 5 & 1
        size = (is_single, 2, 4, 8)[described >> 6]
        yield -((0 if is_single else 1) + (0, 1, 2, 4)[described & 3] + size)  # window, dictionary, size of the content
        is_last = 0
        while not is_last:
            block = int.from_bytes((yield 3), "little")
            is_last, kind = block & 1, block >> 1 & 3
            yield -(1 if kind == 1 else block >> 3)  # one byte repeated, or as many as it says
        yield -(4 if described >> 2 & 1 else 0)  # checksum
