"""Lemmy: posts and comments of communities, as one server knows them.

Terms: every server has its own; reading is open and needs no account. What is deleted or removed there has to go here too:
the lists say so with flags, for as long as they show such an entry at all.

Access: the JSON interface of version 3, which servers of version 0.18 up have (1.0 serves it beside its own). Limits are each
server's; one that is reached is answered with 429, or with 400 and ``rate_limit_error``.

Streams: ``c/stocks@lemmy.world`` (posts) and ``c/stocks@lemmy.world/comments``; without a host the community is one of the
server that is asked, ``base_url``. A community of elsewhere is asked there as well, so one server is enough.

Newest first. Posts are paged with ``page_cursor`` where the server gives one (from 0.19), comments by number; pinned posts
come first whatever their age. Ids differ from server to server, ``ap_id`` is the same everywhere and is ours. Texts are
Markdown and kept as they are. Times may lack their offset in old versions: they are UTC. The parent of an answer is named by
the server's own number, so it is known only when it is the post, or on the same page.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, SourceError, Unavailable
from tracker.models import Cursor, Deletion, Flaw, Item, Message, Page, Stream, Stretch
from tracker.walk import Ask, Leaf, walk, walk_past
from tracker.wire import SAMPLE_BYTES, clean, count, from_iso, link, load_json, text_id

if TYPE_CHECKING:
    from datetime import datetime

    from tracker.http import Client, Response

TERMS = "open, no account; each server has its own terms and limits; deletions must be honoured, and are"
NEEDS_ACKNOWLEDGEMENT = False
DEFAULT_ON = False
BASE_URL = "https://lemmy.world/api/v3"
INTERVAL = 300.0
BUDGET = (30, 300.0)
CREDENTIALS: tuple[str, ...] = ()
KEEP = "mentions"
DELETIONS = "told by flags as long as a list still shows the message, later not at all"

_SOURCE: Final = "lemmy"
_LIMIT: Final = 50
_DEAD_END: Final = "the server's list ends before the last message that is stored"

_STREAM = re.compile(
    r"(?:c/|!)?(?P<name>[a-z0-9_]{2,255})(?:@(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::[0-9]{1,5})?))?(?P<tail>/comments|/posts)?/?"
)
_CURSOR = re.compile(r"[A-Za-z0-9._~%+/=-]{1,512}")


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Posts and comments of one community about stocks: the traffic is small."""
    return ("c/stocks@lemmy.world", "c/stocks@lemmy.world/comments")


def author_name(given: str) -> str:
    """``name@server`` as the messages have it."""
    return given.strip().removeprefix("@").lower()


def stream_name(given: str) -> str:
    """``!Stocks@lemmy.world`` or ``c/stocks/comments`` as ``c/NAME[@HOST][/comments]``; ValueError for anything else."""
    found = _STREAM.fullmatch(given.strip().lower())
    if found is None:
        raise ValueError("expected a community such as c/stocks@lemmy.world or c/stocks@lemmy.world/comments")
    host = f"@{found['host']}" if found["host"] else ""
    return f"c/{found['name']}{host}{'/comments' if found['tail'] == '/comments' else ''}"


# ------------------------------------------------------------------------------------------------------- fetching


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """One poll of a community: newest first, back to known ground, at most ``max_pages`` answers at a time."""
    ask = _asker(client, stream)
    return await walk(ask, cursor, overlap_s=client.access.overlap_s, pages=client.access.max_pages, dead_end=_DEAD_END)


def backfill(
    client: Client, stream: Stream, since: datetime, until: datetime, place: Cursor | None
) -> AsyncGenerator[Stretch, None]:
    """Back through the list of a community from its newest page, as far as the server keeps it."""
    return walk_past(_asker(client, stream), since, until, place, dead_end=_DEAD_END)


def _asker(client: Client, stream: Stream) -> Ask:
    """How the pages of a community are asked for."""
    community, comments = stream.name.removeprefix("c/").removesuffix("/comments"), stream.name.endswith("/comments")
    path = "/comment/list" if comments else "/post/list"

    async def ask(token: str | None) -> Leaf:
        number, place = _place(token)
        params: dict[str, str | int] = {"type_": "All", "sort": "New", "limit": _LIMIT, "community_name": community}
        if place is not None:
            params["page_cursor"] = place
        elif number > 1:
            params["page"] = number
        answer = await _get(client, path, params)
        document = load_json(answer.body, stream.name)
        items = tuple(_read(document, answer.body))
        following = _next(document, items, number)
        return Leaf(
            items=items,
            next_token=following,
            served_at=answer.served_at,
            # a list ends where the community began; but one that is empty from its start says nothing
            complete=following is None and (bool(items) or number > 1),
        )

    return ask


def _place(token: str | None) -> tuple[int, str | None]:
    """(page number, page cursor) of ``3:Pa4c2`` or ``3:``; the first page for anything else."""
    number, _, place = (token or "").partition(":")
    if not re.fullmatch("[0-9]{1,6}", number):
        return 1, None
    return int(number), place if _CURSOR.fullmatch(place) else None


def _next(document: Any, items: tuple[Item, ...], number: int) -> str | None:
    """The token of the page that follows; None where the list ends."""
    given = document.get("next_page") if isinstance(document, dict) else None
    place = text_id(given) if isinstance(given, str) else None
    if place is not None and _CURSOR.fullmatch(place) and items:
        return f"{number + 1}:{place}"
    return f"{number + 1}:" if len(items) >= _LIMIT else None


async def _get(client: Client, path: str, params: dict[str, str | int]) -> Response:
    """One answer; what a server says of itself in a 400 is told as what it is."""
    try:
        return await client.get(path, params=params)
    except Unavailable as error:
        word = _said(error.body or b"") if error.http_status == 400 else ""
        if not word:
            raise
        raise _refusal(word, error) from None


def _said(body: bytes) -> str:
    """The word in ``{"error": "rate_limit_error"}``; empty where there is none."""
    try:
        found = load_json(body, _SOURCE)
    except Malformed:
        return ""
    return (text_id(found.get("error")) or "")[:200] if isinstance(found, dict) else ""


def _refusal(word: str, error: SourceError) -> SourceError:
    """The error that a server's word stands for; of the kind that it came as where it is none of those we know."""
    kind: type[SourceError] = type(error)
    if word.startswith("rate_limit"):
        kind = RateLimited
    elif word in ("instance_is_private", "not_logged_in"):
        kind = AccessDenied
    elif word.startswith("couldnt_find") or word == "not_found":
        kind = NotFound
    return kind("the server refuses", _SOURCE, word, http_status=error.http_status, body=error.body)


# -------------------------------------------------------------------------------------------------------- parsing


def parse(body: bytes) -> list[Item]:
    """Items of a list of posts or comments, or of one of them; Malformed for anything else."""
    return _read(load_json(body, _SOURCE), body)


def _read(document: Any, body: bytes) -> list[Item]:
    if not isinstance(document, dict):
        raise Malformed("expected posts or comments", _SOURCE, body=body[:SAMPLE_BYTES])
    for name, kind in (("posts", "post"), ("comments", "comment")):
        if name in document:
            views = document[name]
            if not isinstance(views, list):
                raise Malformed(f"{name} is not a list", _SOURCE, body=body[:SAMPLE_BYTES])
            ids = _ids(views, kind)
            return [_view(view, kind, f"{name}[{number}]", ids) for number, view in enumerate(views)]
    for name, kind in (("comment_view", "comment"), ("post_view", "post")):
        if name in document:
            return [_view(document[name], kind, name, {})]
    if word := text_id(document.get("error")):
        raise _refusal(word[:200], Malformed("an error in place of a list", _SOURCE))
    raise Malformed("expected posts or comments", _SOURCE, body=body[:SAMPLE_BYTES])


def _part(view: Any, name: str) -> dict[str, Any]:
    found = view.get(name) if isinstance(view, dict) else None
    return found if isinstance(found, dict) else {}


def _ids(views: list[Any], kind: str) -> dict[str | None, str | None]:
    """The server's own number -> the id that is the same everywhere, of all entries on a page."""
    entries = [_part(view, kind) for view in views]
    return {text_id(entry.get("id")): _global_id(entry) for entry in entries}


def _global_id(entry: dict[str, Any]) -> str | None:
    found = link(entry.get("ap_id"))
    return found if found and found == found.strip() and len(found) <= 2048 else None


def _view(view: Any, kind: str, place: str, ids: dict[str | None, str | None]) -> Item:
    entry = _part(view, kind)
    native = _global_id(entry)
    if native is None:
        return Flaw(f"a {kind} without a usable ap_id", f"{place}.{kind}")
    if entry.get("deleted") is True or entry.get("removed") is True:
        return Deletion(_SOURCE, id=native)
    title = (clean(entry.get("name")) or "").strip() if kind == "post" else ""
    words = (clean(entry.get("body" if kind == "post" else "content")) or "").strip()
    text = "\n\n".join(part for part in (title, words) if part)
    if not text:
        return Flaw(f"no text in {native}", place)
    created = from_iso(entry.get("published"))
    revised = from_iso(entry.get("updated")) or created
    counts = _part(view, "counts")
    return Message(
        source=_SOURCE,
        id=native,
        created_at=created,
        text=text,
        author=_author(_part(view, "creator")),
        url=native,
        reply_to=_parent(view, entry, ids) if kind == "comment" else None,
        likes=count(counts.get("score")),
        replies=_whole(counts.get("comments" if kind == "post" else "child_count")),
        revision=revised.isoformat(timespec="microseconds") if revised is not None else None,
    )


def _author(creator: dict[str, Any]) -> str | None:
    """``name@server`` in lower case; None where the account is gone."""
    name = (clean(creator.get("name")) or "").strip().lower()
    if not name or creator.get("deleted") is True:
        return None
    try:
        host = urlsplit(link(creator.get("actor_id")) or "").hostname
    except ValueError:
        host = None
    return f"{name}@{host}" if host else name


def _parent(view: Any, comment: dict[str, Any], ids: dict[str | None, str | None]) -> str | None:
    """What a comment answers, by its path ``0.12.345``: the post, or the comment before it where that is on the page."""
    path = comment.get("path")
    steps = path.split(".")[1:] if isinstance(path, str) else []
    if len(steps) == 1:
        return _global_id(_part(view, "post"))
    return ids.get(steps[-2]) if len(steps) > 1 else None


def _whole(value: Any) -> int | None:
    number = count(value)
    return number if number is not None and number >= 0 else None
