"""4chan: the posts of a board, above all /biz/, through the site's own read-only JSON.

Terms: open to programs, without a key. At most one request a second, a thread at most every ten seconds, with
``If-Modified-Since``; whoever shows its content names 4chan with a link and does not clone the site. Much of it is
abusive, so it is counted and its words are not shown (``show``).

Access: https://a.4cdn.org/BOARD/threads.json lists some 150 living threads with the second of their last change and
their number of replies; each thread is one document with all its posts. A round is the list, then every thread that
changed, the latest first; it may take many polls (at 4chan's own address each is a single request, whatever is
configured), and the cursor holds what is left of it::

    {"known": …, "listed": …, "threads": {"123": [modified, replies, last no, read at, Last-Modified]}, "todo": [[no, modified, replies]], …}

Streams: ``biz`` or any other board.

Quirks: times count whole seconds, so a thread that was read within two seconds of its last change is read once more,
and so is one whose number of posts is not the listed one (an old copy from a cache). A thread that has left the list
is read one last time, as archives stay for days; a changed one that is gone before it was read is a gap. Posts are
HTML, are never edited, and go missing without a word when they are deleted. Those without words (a picture alone) are
no items, nor are pinned threads. Numbers are unique on one board only, so ids are ``biz/123``; an answer does not say
its board, and ``parse`` takes it to be /biz/. A poster's id holds for one thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from typing import Any, Final

from tracker.errors import Malformed, NotFound, SourceError
from tracker.http import Client, Response
from tracker.models import Cursor, Flaw, Gap, Item, Message, Page, Stream
from tracker.wire import SAMPLE_BYTES, clean, count, from_epoch, html_to_text, load_json, unescape

TERMS = "open, no key; at most one request a second; name 4chan as the source; content is often abusive"
NEEDS_ACKNOWLEDGEMENT = False
DEFAULT_ON = True
BASE_URL = "https://a.4cdn.org"
INTERVAL = 60.0
BUDGET = (1, 1.0)
MAX_PAGES = 1  # per poll: the next one, a second later, goes on
OVERLAP = 120.0  # a post shows up within seconds
CREDENTIALS: tuple[str, ...] = ()
KEEP = "mentions"
DELETIONS = "not announced, and nobody to ask: threads are gone within days, deleted or not"
SHOW = False  # much of it is abusive: counted, and shown to nobody who has not asked for it

_SOURCE: Final = "fourchan"
_SITE: Final = "https://boards.4chan.org"
_BOARD: Final = "biz"
_REFRESH_S: Final = 10.0  # no thread is asked more often
_GRAIN_S: Final = 2.0  # a state younger than this may change again within the same second
_MOST_THREADS: Final = 1_000  # of a board; they hold some 150
_UNREAD: Final = -1  # a number of replies that no list has: read it again

_STREAM = re.compile(r"(?:https?://(?:boards\.)?4chan(?:nel)?\.org)?/?([a-z0-9]{1,5})/?(?:catalog)?", re.IGNORECASE)
_QUOTED = re.compile(r"(?<!>)>>([0-9]{1,18})(?![0-9])")


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """The board about business and finance."""
    return (_BOARD,)


def stream_name(given: str) -> str:
    """``/biz/`` or its address as ``biz``; ValueError for anything else."""
    found = _STREAM.fullmatch(given.strip())
    if found is None:
        raise ValueError("expected a board such as biz")
    return found[1].lower()


# ------------------------------------------------------------------------------------------------- where we stand


@dataclass(frozen=True, slots=True)
class _Listed:
    """A thread as the board's list has it; one that has left the list has neither time nor number."""

    no: int
    modified: int | None  # epoch second of its last change
    replies: int | None


@dataclass(frozen=True, slots=True)
class _Read:
    """A thread as it was when we read it."""

    modified: int  # the newest change that it covers, epoch second
    replies: int  # as listed, or as counted while the two differ
    last: int  # highest number of a post
    read_at: float  # the server's clock
    stamp: int  # its Last-Modified, where that may be sent back; else 0


@dataclass(slots=True)
class _State:
    """Where a board stands: what the cursor keeps between two polls."""

    known: float | None = None  # when the list of the last round that is over was served
    listed: float | None = None  # when that of this round was
    threads: dict[int, _Read] = field(default_factory=dict)
    todo: list[_Listed] = field(default_factory=list)  # in the order in which they are asked
    validators: dict[str, str] = field(default_factory=dict)  # of the list

    @classmethod
    def of(cls, cursor: Cursor | None) -> _State:
        kept = cursor or {}
        return cls(
            known=kept.get("known"),
            listed=kept.get("listed"),
            threads={int(no): _Read(*thread) for no, thread in kept.get("threads", {}).items()},
            todo=[_Listed(*entry) for entry in kept.get("todo", [])],
            validators=dict(kept.get("validators", {})),
        )

    def kept(self) -> Cursor:
        threads = {
            str(no): [one.modified, one.replies, one.last, one.read_at, one.stamp] for no, one in self.threads.items()
        }
        todo = [[entry.no, entry.modified, entry.replies] for entry in self.todo]
        state = {"known": self.known, "listed": self.listed, "threads": threads, "todo": todo}
        return {**state, "validators": self.validators}

    def plan(self, listed: list[_Listed], served_at: float, *, patient: bool) -> None:
        """A round begins: what has to be read of a list, the latest change first, and before it what has left it."""
        self.listed = served_at
        changed = [entry for entry in listed if _has_changed(entry, self.threads.get(entry.no))]
        due = [entry for entry in changed if not patient or self._may_ask(entry.no, served_at)]
        if len(due) < len(changed):  # those are still owed, so the list is wanted in full next time
            self.validators = {}
        gone = sorted(self.threads.keys() - {entry.no for entry in listed})
        due.sort(key=lambda entry: (entry.modified or 0, entry.no), reverse=True)
        self.todo = [*(_Listed(no, None, None) for no in gone), *due]

    def _may_ask(self, no: int, now: float) -> bool:
        before = self.threads.get(no)
        return before is None or not 0 <= now - before.read_at < _REFRESH_S

    def as_listed(self) -> list[_Listed]:
        """The list as we know it, where the server says that it has not changed."""
        return [_Listed(no, thread.modified, thread.replies) for no, thread in self.threads.items()]

    def settle(self, entry: _Listed, response: Response, posts: list[_Post] | None) -> None:
        """Take note of a thread that was read; ``posts`` None: it has not changed since its Last-Modified."""
        before = self.threads.get(entry.no)
        if entry.modified is None or entry.replies is None:  # it was asked a last time
            self.threads.pop(entry.no, None)
            return
        stamp = _epoch(response.headers.get("last-modified"))
        found = _UNREAD if posts is None else len(posts) - 1
        # a list and a thread that differ may be of two moments: believed only when it is so twice
        twice = before is not None and entry.modified <= before.modified and (posts is None or before.replies == found)
        if found != entry.replies and not twice:
            self.validators = {}
        self.threads[entry.no] = _Read(
            modified=max(entry.modified, min(stamp, int(response.served_at.timestamp()))),
            replies=entry.replies if twice else found,
            last=max((post.no for post in posts or ()), default=0) or (before.last if before else 0),
            read_at=response.served_at.timestamp(),
            stamp=stamp if "last_modified" in response.validators else 0,
        )

    def over(self) -> float | None:
        """The round is over; gives the time since which everything is stored."""
        since = self.listed if self.known is None else self.known
        self.known = self.listed
        return since


def _has_changed(entry: _Listed, before: _Read | None) -> bool:
    if before is None or entry.modified is None:
        return True
    in_doubt = abs(before.read_at - before.modified) < _GRAIN_S
    return in_doubt or entry.modified > before.modified or entry.replies != before.replies


# ------------------------------------------------------------------------------------------------------- fetching


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """One step of a round through a board: the list of its threads, or the next of them that changed."""
    board, state = stream.name, _State.of(cursor)
    patient = not client.access.own_base_url  # the site's own rules; a mirror of the operator's has the operator's
    left = 1 if patient else max(1, client.access.max_pages)
    if not state.todo:
        answer = await client.get(f"/{board}/threads.json", validators=state.validators)
        left -= 1
        listed = state.as_listed() if answer.unchanged else _threads(load_json(answer.body, _SOURCE), answer.body)
        if not listed and not answer.unchanged:
            return Page(items=(), cursor=None, note="the list of threads is empty")
        if not answer.unchanged:
            state.validators = dict(answer.validators)
        state.plan(listed, answer.served_at.timestamp(), patient=patient)
        if not state.todo:
            since = state.over()
            return Page((), state.kept(), unchanged=answer.unchanged, covers_from=_moment(since))
    items: list[Item] = []
    gap: Gap | None = None
    failed: SourceError | None = None
    heard = False
    while state.todo and left > 0 and failed is None:
        left -= 1
        entry = state.todo[0]
        try:
            items += await _read_thread(client, board, entry, state)
        except NotFound:
            gap = _lost(entry, state, gap)
            state.threads.pop(entry.no, None)
        except Malformed as error:
            # The others don't wait for one: it is read in the next round, for which the list is wanted in full. Until
            # then not everything is stored that this round set out to read.
            failed, state.validators, state.listed = error, {}, state.known
        except SourceError as error:
            if not heard:
                raise
            failed = error
            break
        heard = True
        del state.todo[0]
    since = None if state.todo else state.over()
    return Page(
        tuple(items), state.kept(), covers_from=_moment(since), gap=gap, more=bool(state.todo), cut_short=failed
    )


async def _read_thread(client: Client, board: str, entry: _Listed, state: _State) -> list[Item]:
    """What is new in a thread."""
    before = state.threads.get(entry.no)
    condition = {"last_modified": formatdate(before.stamp, usegmt=True)} if before is not None and before.stamp else {}
    response = await client.get(f"/{board}/thread/{entry.no}.json", validators=condition)
    if response.unchanged:
        state.settle(entry, response, None)
        return []
    document = load_json(response.body, _SOURCE)
    posts = list(_posts(_list_of(document, "posts", response.body), board, "posts"))
    state.settle(entry, response, posts)
    return list(_news(posts, before, client.access.overlap_s))


def _news(posts: list[_Post], before: _Read | None, overlap_s: float) -> Iterator[Item]:
    """The items of those posts that were not there when the thread was read before, or hardly."""
    beyond = before is None
    for post in posts:
        beyond = beyond or (before is not None and post.no > before.last)
        late = before is not None and post.at is not None and post.at >= before.read_at - overlap_s
        new = before is None or post.no > before.last or late or (post.no == 0 and beyond)
        if new and post.item is not None:
            yield post.item


def _lost(entry: _Listed, state: _State, gap: Gap | None) -> Gap | None:
    """The gap that a thread leaves which is gone before its last change was read; joined to the one before it."""
    before = state.threads.get(entry.no)
    since = before.read_at if before is not None else state.known
    if entry.modified is None or since is None or state.listed is None:
        return gap
    reason = "a thread was gone before it was read"
    from_at, to_at = _at(min(since, state.listed)), _at(state.listed)
    return Gap(from_at, to_at, reason) if gap is None else Gap(min(from_at, gap.from_at), to_at, reason)


def _threads(document: Any, body: bytes) -> list[_Listed]:
    """The living threads of a board, each once; what is none of them is left out: there is nothing to read of it."""
    if not isinstance(document, list):
        raise Malformed("expected a list of pages of threads", _SOURCE, body=body[:SAMPLE_BYTES])
    found: dict[int, _Listed] = {}
    for page in document:
        for raw in _list_of(page, "threads", body):
            no, modified, replies = (_whole(raw, key) for key in ("no", "last_modified", "replies"))
            if no and modified is not None and replies is not None and from_epoch(modified) is not None:
                found[no] = _Listed(no, modified, replies)
    if len(found) > _MOST_THREADS:
        raise Malformed("more threads than a board has", _SOURCE, f"{len(found)}", body=body[:SAMPLE_BYTES])
    return list(found.values())


# -------------------------------------------------------------------------------------------------------- parsing


def parse(body: bytes) -> list[Item]:
    """All messages of a thread, a catalog or a page of a board, taken to be /biz/; none for a list of threads."""
    return _items(load_json(body, _SOURCE), body)


def parse_archive(body: bytes) -> list[Item]:
    """A line or a document of an archive: a single post of /biz/, or whatever ``parse`` reads."""
    document = load_json(body, _SOURCE)
    if isinstance(document, dict) and "no" in document and "posts" not in document:
        return [post.item for post in _posts([document], _BOARD, "") if post.item is not None]
    return _items(document, body)


ARCHIVE = {"fourchan": parse_archive}


@dataclass(frozen=True, slots=True)
class _Post:
    """One post of a thread, whether or not it has words."""

    no: int  # 0 where it has no usable one
    at: float | None  # epoch second
    item: Message | Flaw | None  # None: nothing was written, or it is pinned


def _items(document: Any, body: bytes) -> list[Item]:
    if isinstance(document, dict) and "threads" in document:
        document = [document]
    if not isinstance(document, list):
        posts = _posts(_list_of(document, "posts", body), _BOARD, "posts")
        return [post.item for post in posts if post.item is not None]
    items: list[Item] = []
    for number, page in enumerate(document):
        for place, thread in enumerate(_list_of(page, "threads", body)):
            where = f"[{number}].threads[{place}]"
            items += [post.item for post in _posts(_shown(thread), _BOARD, where) if post.item is not None]
    return items


def _shown(thread: Any) -> list[Any]:
    """The posts of a thread as a page of a board has them, or as its catalog has: the first one, and the last replies."""
    if not isinstance(thread, dict):
        return [thread]
    if isinstance(thread.get("posts"), list):
        return list(thread["posts"])
    if "last_modified" in thread and "time" not in thread:  # in a list of threads
        return []
    replies = thread.get("last_replies")
    return [thread, *(replies if isinstance(replies, list) else ())]


def _posts(raws: list[Any], board: str, place: str) -> Iterator[_Post]:
    """Every post, in its order; those of a pinned thread without their words."""
    first = raws[0] if raws else None
    pinned = isinstance(first, dict) and bool(count(first.get("sticky")))
    for number, raw in enumerate(raws):
        no = _whole(raw, "no") or 0
        made_at = from_epoch(raw.get("time")) if isinstance(raw, dict) else None
        item = None if pinned else _message(raw, no, made_at, board, f"{place}[{number}]")
        yield _Post(no, None if made_at is None else made_at.timestamp(), item)


def _message(raw: Any, no: int, made_at: datetime | None, board: str, place: str) -> Message | Flaw | None:
    if not isinstance(raw, dict):
        return Flaw("not an object", place)
    if not no:
        return Flaw("no usable number", f"{place}.no")
    thread = _whole(raw, "resto") or no
    text = _text(raw)
    if not text:
        return None
    quoted = next((int(found) for found in _QUOTED.findall(text) if int(found) != no), None)
    parent = quoted or (thread if thread != no else None)
    return Message(
        source=_SOURCE,
        id=f"{board}/{no}",
        created_at=made_at,
        text=text,
        author=_author(raw, board, thread),
        url=f"{_SITE}/{board}/thread/{thread}#p{no}",
        reply_to=f"{board}/{parent}" if parent else None,
        replies=_whole(raw, "replies") if thread == no else None,
    )


def _text(raw: dict[str, Any]) -> str:
    """The subject, then the comment. A line's end in the markup is a blank there, and only <br> ends a line."""
    subject = " ".join(unescape(clean(raw.get("sub")) or "").split())
    comment = html_to_text(re.sub(r"[\r\n]+", " ", clean(raw.get("com")) or ""))
    return "\n\n".join(part for part in (subject, comment) if part)


def _author(raw: dict[str, Any], board: str, thread: int) -> str | None:
    """A tripcode is somebody everywhere, a poster's id within its thread, and a bare name nobody."""
    trip, poster = ((clean(raw.get(key)) or "").strip() for key in ("trip", "id"))
    if trip:
        return trip
    return f"{board}/{thread}/{poster}" if poster else None


# -------------------------------------------------------------------------------------------------------- helpers


def _list_of(document: Any, key: str, body: bytes) -> list[Any]:
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise Malformed(f"expected an object with a list of {key}", _SOURCE, body=body[:SAMPLE_BYTES])
    return found


def _whole(raw: Any, key: str) -> int | None:
    number = count(raw.get(key)) if isinstance(raw, dict) else None
    return number if number is not None and number >= 0 else None


def _epoch(stamp: str | None) -> int:
    """The second that a ``Last-Modified`` names; 0 for none."""
    try:
        return max(0, int(parsedate_to_datetime(stamp or "").timestamp()))
    except (TypeError, ValueError, OverflowError, IndexError, OSError):
        return 0


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else _at(seconds)
