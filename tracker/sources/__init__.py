"""The contract of a source, and how one is found by name.

A source is a module with a docstring (terms of use, limits, access), a few constants and two functions:

    fetch(client, stream, cursor) -> Page      small and impure: asks, walks back to known ground
    parse(body) -> list[Item]                  pure and total: bytes of one answer -> items, or Malformed

Optional beside them, where there is something to say:

    BRINGS      "talk" (the default), "news", "ranks" or "prices": what is no talk is counted nowhere
    SHOW        False: its messages are counted, and stand in no brief and no report unless the operator says so
    KEY_ADDS    one line: what a key or an account would add
    OTHER_URLS  hosts beside BASE_URL's that it may ask
    OVERLAP, MAX_PAGES   in place of those of [http]
    author_name(given) -> name   an author as a person writes it -> as its messages do (Message.author), for `tracker forget`
    TEXT_AT_MOST   seconds that its terms allow words to be kept: no configuration can make it more
    ARCHIVE     replay format -> parser of one archived line or document
    DELETIONS   one line: how we learn that something was deleted there, or that we do not
    home(stream) -> address   where that stream lives, for a source whose streams live on many hosts: its requests
                go there and nowhere else, and limits and budget hold for each host by itself

A push source has ``listen`` beside ``fetch``: it stays connected and yields a page every so often. A source whose
wire can go back has ``backfill``, and one that brings the messages of another service says whose in ``SERVICE``. One
that deletes without a word, and answers whether a message is still there, has ``recheck`` (see ``RecheckSource``). A
source never sees the store, the configuration, the clock or another source.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from tracker.models import Brings, Cursor, Deletion, Item, Page, Stream, Stretch

if TYPE_CHECKING:
    from datetime import datetime

    from tracker.http import Client


class Source(Protocol):
    """What every module in this folder offers."""

    # one line for `tracker check` and the docs: what the operator must know of the terms
    TERMS: str
    # the operator has to write acknowledge_terms = true before the source is ever asked
    NEEDS_ACKNOWLEDGEMENT: bool
    # on in an empty configuration
    DEFAULT_ON: bool
    # scheme, host and path that requests are made below
    BASE_URL: str
    # seconds between two polls of one stream, unless configured
    INTERVAL: float
    # (requests, seconds) that one source may use at most, unless configured
    BUDGET: tuple[int, float]
    # credentials it can use, by name; all optional unless it says so in its docstring
    CREDENTIALS: tuple[str, ...]
    # keep "all" messages, or only those with "mentions" (for firehoses)
    KEEP: str

    def streams(self, symbols: tuple[str, ...]) -> tuple[str, ...]:
        """The streams that it listens to when none are configured, given the watch-list."""

    def stream_name(self, given: str) -> str:
        """The canonical name of a stream as a person wrote it; ValueError, saying what was expected."""

    async def fetch(self, client: Client, stream: Stream, cursor: Cursor | None) -> Page:
        """One poll: ask, walk back to known ground, return what came and the new cursor; SourceError."""

    def parse(self, body: bytes) -> list[Item]:
        """All items of one answer, in its order; Malformed if it is not such an answer."""


@runtime_checkable
class PushSource(Protocol):
    """A source that stays connected."""

    def listen(self, client: Client, stream: Stream, cursor: Cursor | None) -> AsyncIterator[Page]:
        """Connect at the cursor and yield a page every ``client.access.page_every_s`` seconds or when one is full."""


@runtime_checkable
class BackfillSource(Protocol):
    """A source that can go back to a span of time that nobody listened to."""

    def backfill(
        self, client: Client, stream: Stream, since: datetime, until: datetime, place: Cursor | None
    ) -> AsyncIterator[Stretch]:
        """Stretches of the span, in whatever order the wire gives them, on from ``place`` where one is given.

        At most one request is made between two stretches, so that whoever takes them keeps the pace. A SourceError
        ends it; it is begun anew, with another client, at the ``place`` of the last stretch. ``place`` is JSON and
        its source's own, as a cursor is; None ends the backfill. Each stretch says which part of the span has come
        whole by now (``covers``), and the last one what of it can't be had (``gap``). Items outside the span may
        come along: they are left out.
        """


@runtime_checkable
class RecheckSource(Protocol):
    """A source that can be asked whether what is stored of it is still there."""

    # how many messages one request asks about
    RECHECK: int
    # seconds between the beginnings of two passes over what is stored, unless configured; 0: only if configured
    RECHECK_EVERY: float
    # credentials without which it can't be asked
    RECHECK_NEEDS: tuple[str, ...]
    # another host answers (one of OTHER_URLS): with a base_url of the operator's nobody is asked
    RECHECK_ELSEWHERE: bool

    def recheckable(self, base_url: str, id_: str) -> bool:
        """True for the id of a message that ``base_url`` can be asked about."""

    async def recheck(self, client: Client, ids: Sequence[str]) -> list[Deletion]:
        """Those of ``ids`` (at most RECHECK) of which the answer to one request says that they are gone; SourceError.

        Only a positive sign counts. What can't be read, is not shown to us or is not spoken of is not gone.
        """


def names() -> tuple[str, ...]:
    """All sources, by listing this folder: a new file is a new source."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name: str) -> Source:
    """The source of that name; KeyError for an unknown one."""
    if name not in names():
        raise KeyError(name)
    module: ModuleType = importlib.import_module(f"{__name__}.{name}")
    return cast(Source, module)


def brings(name: str) -> Brings:
    """What a source is for."""
    return cast(Brings, getattr(load(name), "BRINGS", "talk"))


def service_of(name: str) -> str:
    """Whose messages a source brings: what is stored of them is stored under this name."""
    return str(getattr(load(name), "SERVICE", name))


def author_of(name: str, given: str) -> str:
    """An author of that service as a person writes it, as its messages name it."""
    canonical = getattr(load(name), "author_name", None)
    return str((canonical(given) if canonical is not None else None) or given.strip())


def archive_parsers(name: str) -> Any:
    """The optional ``ARCHIVE`` table of a source: replay format -> parser of one archived line or document."""
    return getattr(load(name), "ARCHIVE", {})
