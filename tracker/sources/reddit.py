"""Reddit: new posts and new comments of subreddits, as Atom without an account or as JSON with an app's key.

Terms: reading is allowed for non-commercial use; what is deleted there must be deleted here, and the user agent must
be honest. Anonymous JSON is closed since May 2026 (403), so there are two ways in:

- **Atom**, no account: https://www.reddit.com/r/NAME/new/.rss. About one request per minute and address for the
  whole machine. ``feed_token`` and ``feed_user`` (reddit.com/prefs/feeds) lift that; both are kept secret.
  No score, no number of comments, no parent of a comment: these stay unknown.
- **OAuth**, with ``client_id`` and ``client_secret`` of a script or web app: 100 requests per minute at
  https://oauth.reddit.com. Worth a larger ``budget`` and more than one page per poll.

With a ``base_url`` of the operator's every request goes there, the one for the token included.

Streams: ``r/stocks`` (posts), ``r/stocks/comments``, ``r/stocks+investing`` (several at once). Listings end after
about 1,000 messages; what lies beyond is recorded as a gap. We page with ``after`` only: a listing asked by
``before`` an anchor answers nothing for ever once the anchor is deleted. A removed post or comment is a deletion.

A post may carry a poll (JSON only: ``poll_data``): the title asks, the options are answers, ``total_vote_count`` is how many
people have voted and ``voting_end_timestamp`` (milliseconds) when voting ends. While it runs the options have no
``vote_count``: their votes are unknown, not 0. We see the state at each time that a page with the post is read.

Re-check: with an app ``/api/info`` is asked about a hundred stored messages at a time. What it lists as removed, or as
written by ``[deleted]``, is gone: of a deleted account Reddit wants nothing kept that tells who it was. What it leaves
out is not: deleted messages are listed as such, left out is what we are not shown (a subreddit that went private).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tracker import atom
from tracker.errors import AccessDenied, Malformed, NotFound
from tracker.models import Cursor, Deletion, Flaw, Item, Message, Page, Stream, Stretch
from tracker.reddit_json import (
    FULLNAME,
    SITE,
    author_name,
    from_data,
    from_dump,
    is_removed,
    revision_at,
    subreddits,
    title_and_body,
)
from tracker.secret import Secret
from tracker.walk import Leaf, walk, walk_past
from tracker.wire import SAMPLE_BYTES, clean, count, decode_text, html_to_text, load_json, text_id

if TYPE_CHECKING:
    from tracker.http import Client, Response

TERMS = "non-commercial use only, deletions must be honoured; about one request per minute without an account"
KEY_ADDS = "an app: 100 requests a minute, scores, replies and polls; a feed token: more than one request a minute"
NEEDS_ACKNOWLEDGEMENT = False
DEFAULT_ON = False
BASE_URL = "https://www.reddit.com"
OAUTH_URL = "https://oauth.reddit.com"  # where listings are asked with a token, unless there is an own base_url
OTHER_URLS = (OAUTH_URL,)  # hosts beside BASE_URL's that this source may ask
INTERVAL = 120.0
BUDGET = (1, 60.0)
MAX_PAGES = 1  # per poll, unless configured: one page is the whole budget of a minute
CREDENTIALS = ("client_id", "client_secret", "feed_token", "feed_user")
KEEP = "all"
DELETIONS = "seen while a listing still shows the message, later only by asking"
RECHECK = 100
RECHECK_EVERY = 86_400.0  # Reddit's rules for its data: gone within two days
RECHECK_NEEDS = ("client_id", "client_secret")  # the feeds have one request a minute, and can't be asked by id
RECHECK_ELSEWHERE = False

_SOURCE: Final = "reddit"
_LIMIT: Final = 100
_SHORT_PAGE: Final = 25  # Reddit gives 25 where it ignores the limit: anything below is the end of a listing
_LISTING_END: Final = 1_000  # no listing goes further back
_NEARLY_THE_END: Final = 900  # removed messages thin the last pages out
_DEAD_END: Final = "Reddit's listings end after about 1,000 messages"


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Posts and comments of a few large stock subreddits, each as one stream: the budget has room for two."""
    return ("r/wallstreetbets+stocks+investing+options", "r/wallstreetbets+stocks+investing+options/comments")


def stream_name(given: str) -> str:
    """``Stocks``, ``/r/stocks/`` or ``r/stocks/comments`` as ``r/stocks[/comments]``; ValueError for anything else."""
    found = subreddits(given)
    if found is None:
        raise ValueError("expected a subreddit such as r/stocks, r/stocks/comments or r/stocks+investing")
    name, comments = found
    return f"{name}/comments" if comments else name


# ------------------------------------------------------------------------------------------------------- fetching


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a walk through a listing stands; as a token ``t3_abc:200``."""

    after: str | None = None  # fullname of the oldest message that came
    walked: int = 0  # messages behind us

    @classmethod
    def of(cls, token: str | None) -> _Place:
        after, _, walked = (token or "").partition(":")
        if not FULLNAME.fullmatch(after):
            return cls()
        return cls(after, int(walked) if re.fullmatch("[0-9]{1,6}", walked) else 0)

    def token(self) -> str:
        return f"{self.after}:{self.walked}"


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """One poll of a subreddit: newest first, back to known ground, at most ``max_pages`` answers at a time."""
    ask_leaf = _ask_json if _has_app(client) else _ask_atom
    state = cursor or {}
    validators = dict(state.get("validators") or {})
    going = state.get("walk")
    # Between two polls the anchor of a walk may have been deleted: then nothing comes after it, ever, and the walk
    # has to begin again. An anchor of this poll was there a moment ago: nothing after it is the listing's end.
    doubtful = isinstance(going, dict) and going.get("again") is not True

    async def ask(token: str | None) -> Leaf:
        nonlocal doubtful
        place = _Place.of(token)
        leaf = await ask_leaf(client, stream.name, place, {} if place.after else validators)
        lost = doubtful and bool(place.after) and not leaf.items
        doubtful = False
        return replace(leaf, complete=False) if lost else leaf

    return await walk(ask, cursor, overlap_s=client.access.overlap_s, pages=client.access.max_pages, dead_end=_DEAD_END)


def backfill(
    client: Client, stream: Stream, since: datetime, until: datetime, place: Cursor | None
) -> AsyncGenerator[Stretch, None]:
    """Back through a listing from its newest page: it ends after about 1,000 messages, the rest is a gap."""
    ask_leaf = _ask_json if _has_app(client) else _ask_atom

    async def ask(token: str | None) -> Leaf:
        return await ask_leaf(client, stream.name, _Place.of(token), {})

    return walk_past(ask, since, until, place, dead_end=_DEAD_END)


def recheckable(base_url: str, id_: str) -> bool:
    """True for a fullname."""
    return FULLNAME.fullmatch(id_) is not None


async def recheck(client: Client, ids: Sequence[str]) -> list[Deletion]:
    """Those of the messages that Reddit lists as removed, or as nobody's any more."""
    if not _has_app(client):
        raise AccessDenied("a credential is missing", _SOURCE, "set client_id and client_secret")
    base = "" if client.access.own_base_url else OAUTH_URL
    response = await _get_with_token(client, f"{base}/api/info", {"id": ",".join(ids), "raw_json": 1}, {})
    document = load_json(response.body, _SOURCE)
    if not _is_listing(document):
        raise Malformed("not a listing", _SOURCE, body=response.body[:SAMPLE_BYTES])
    gone: dict[str, Deletion] = {}
    for index, thing in enumerate(_children(document, response.body)):
        kind = thing.get("kind") if isinstance(thing, dict) else None
        data = thing.get("data") if isinstance(thing, dict) else None
        if kind not in ("t1", "t3") or not isinstance(data, dict):
            continue
        item = from_data(kind, data, f"data.children[{index}]")
        nobodys = isinstance(item, Message) and data.get("author") == "[deleted]"
        if (isinstance(item, Deletion) or nobodys) and isinstance(item, Deletion | Message) and item.id in ids:
            gone[str(item.id)] = Deletion(_SOURCE, id=item.id)
    return list(gone.values())


def _has_app(client: Client) -> bool:
    return bool(client.credential("client_id") and client.credential("client_secret"))


def _split(name: str) -> tuple[str, bool]:
    """(r/stocks, are comments wanted) of a stream's name."""
    return name.removesuffix("/comments"), name.endswith("/comments")


def _tells_all(walked: int) -> bool:
    """True if a listing that ends after so many messages holds all there are: an empty one says nothing."""
    return 0 < walked < _NEARLY_THE_END


async def _ask_atom(client: Client, name: str, place: _Place, validators: dict[str, str]) -> Leaf:
    subreddits, comments = _split(name)
    params: dict[str, str | int] = {"limit": _LIMIT}
    if place.after:
        params["after"] = place.after
    token, user = client.credential("feed_token"), client.credential("feed_user")
    if token and user:
        params |= {"feed": token, "user": user}
    path = f"/{subreddits}/{'comments' if comments else 'new'}/.rss"
    response = await client.get(path, params=params, validators=validators)
    if response.unchanged:
        return Leaf((), None, response.served_at, unchanged=True)
    found = atom.entries(response.body, _SOURCE)
    last = next((entry.id for entry in reversed(found) if FULLNAME.fullmatch(entry.id or "")), None)
    short = len(found) < _SHORT_PAGE
    walked = place.walked + len(found)
    ends = short or last is None or walked >= _LISTING_END
    return Leaf(
        items=tuple(_from_entry(entry, f"entry[{index}]") for index, entry in enumerate(found)),
        next_token=None if ends else _Place(last, walked).token(),
        served_at=response.served_at,
        validators=response.validators,
        complete=short and _tells_all(walked),
    )


async def _ask_json(client: Client, name: str, place: _Place, validators: dict[str, str]) -> Leaf:
    subreddits, comments = _split(name)
    params: dict[str, str | int] = {"limit": _LIMIT, "raw_json": 1}
    if place.after:
        params["after"] = place.after
    base = "" if client.access.own_base_url else OAUTH_URL
    path = f"{base}/{subreddits}/{'comments' if comments else 'new'}"
    response = await _get_with_token(client, path, params, validators)
    if response.unchanged:
        return Leaf((), None, response.served_at, unchanged=True)
    document = load_json(response.body, _SOURCE)
    items = tuple(_from_document(document, response.body))
    after = text_id(document["data"].get("after")) if isinstance(document, dict) and "data" in document else None
    walked = place.walked + len(items)
    ends = after is None or not FULLNAME.fullmatch(after)
    return Leaf(
        items=items,
        next_token=None if ends else _Place(after, walked).token(),
        served_at=response.served_at,
        validators=response.validators,
        complete=ends and _tells_all(walked),
    )


@dataclass(frozen=True, slots=True)
class _Token:
    value: Secret
    expires_at: datetime  # on the server's clock


# A token is worth keeping between polls (it lasts an hour or more) and must not lie in a cursor, which is stored.
_tokens: dict[tuple[str, str], _Token] = {}


async def _get_with_token(
    client: Client, path: str, params: dict[str, str | int], validators: dict[str, str]
) -> Response:
    """One authorised GET; a token that is refused is replaced once."""
    key = (client.access.base_url, client.credential("client_id") or "")

    async def get(token: _Token) -> Response:
        bearer = {"Authorization": f"Bearer {token.value.reveal()}"}
        return await client.get(path, params=params, headers=bearer, validators=validators)

    token = _tokens.get(key) or await _new_token(client, key)
    try:
        response = await get(token)
    except AccessDenied as error:
        if error.http_status != 401:
            raise
        token = await _new_token(client, key)
        response = await get(token)
    if response.served_at >= token.expires_at:
        _tokens.pop(key, None)
    return response


async def _new_token(client: Client, key: tuple[str, str]) -> _Token:
    _tokens.pop(key, None)
    basic = (client.credential("client_id") or "", client.credential("client_secret") or "")
    response = await client.post_form("/api/v1/access_token", {"grant_type": "client_credentials"}, basic=basic)
    try:
        answer = load_json(response.body, _SOURCE)
    except Malformed:
        answer = None
    value = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(value, str) or not value:
        # the body stays out of the error: half of it may be a token
        raise AccessDenied("no token came for client_id and client_secret", _SOURCE, http_status=response.status)
    lasts = count(answer.get("expires_in")) or 3600
    # let go a minute early, so that the last request before the end is not refused
    token = _Token(Secret(value), response.served_at + timedelta(seconds=min(lasts, 86_400) - 60))
    _tokens[key] = token
    return token


# -------------------------------------------------------------------------------------------------------- parsing


def parse(body: bytes) -> list[Item]:
    """Items of an Atom feed or of a JSON listing, thread, morechildren or info answer; Malformed for anything else."""
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        found = atom.entries(body, _SOURCE)
        return [_from_entry(entry, f"entry[{index}]") for index, entry in enumerate(found)]
    return _from_document(load_json(body, _SOURCE), body)


def _from_document(document: Any, body: bytes) -> list[Item]:
    if isinstance(document, dict) and document.get("kind") == "Listing":
        return list(_from_things(_children(document, body), "data.children"))
    if isinstance(document, list) and document and all(_is_listing(part) for part in document):
        return [
            item
            for index, part in enumerate(document)
            for item in _from_things(_children(part, body), f"[{index}].data.children")
        ]
    if isinstance(document, dict) and isinstance(document.get("json"), dict):
        answer = document["json"]
        data = answer.get("data")
        if isinstance(data, dict) and isinstance(data.get("things"), list):
            return list(_from_things(data["things"], "json.data.things"))
        raise Malformed("an answer without things", _SOURCE, answer.get("errors"), body=body[:SAMPLE_BYTES])
    if isinstance(document, dict) and "message" in document and "error" in document:
        kind = NotFound if document["error"] == 404 else Malformed
        raise kind("Reddit answered an error", _SOURCE, f"{document['error']} {document['message']}"[:200])
    raise Malformed("neither a listing nor a thread", _SOURCE, body=body[:SAMPLE_BYTES])


def _is_listing(part: Any) -> bool:
    return isinstance(part, dict) and part.get("kind") == "Listing"


def _children(listing: dict[str, Any], body: bytes) -> list[Any]:
    data = listing.get("data")
    children = data.get("children") if isinstance(data, dict) else None
    if not isinstance(children, list):
        raise Malformed("a listing without a list of children", _SOURCE, body=body[:SAMPLE_BYTES])
    return children


def _from_things(things: list[Any], place: str) -> Iterator[Item]:
    """Items in reading order, replies after what they reply to; stubs of longer threads (``more``) are no items."""
    pending = [(f"{place}[{index}]", thing) for index, thing in enumerate(things)][::-1]
    while pending:
        where, thing = pending.pop()
        kind = thing.get("kind") if isinstance(thing, dict) else None
        if kind == "more":
            continue
        data = thing.get("data") if isinstance(thing, dict) else None
        if kind not in ("t1", "t3") or not isinstance(data, dict):
            yield Flaw("neither a post nor a comment", where)
            continue
        yield from_data(kind, data, where)
        pending += [(f"{where}.replies[{index}]", reply) for index, reply in enumerate(_replies(data))][::-1]


def _replies(comment: dict[str, Any]) -> list[Any]:
    """What hangs below a comment in a thread; elsewhere Reddit sends an empty text here."""
    listing = comment.get("replies")
    data = listing.get("data") if isinstance(listing, dict) else None
    children = data.get("children") if isinstance(data, dict) else None
    return children if isinstance(children, list) else []


def _from_entry(entry: atom.Entry, place: str) -> Item:
    fullname = entry.id or ""
    if not FULLNAME.fullmatch(fullname):
        return Flaw("no usable id", f"{place}.id")
    post = fullname.startswith("t3_")
    title = clean(entry.title) if post else None  # a comment's title only says where it was written
    if post and not title:
        return Flaw(f"no text in {fullname}", place)
    body = html_to_text(_selftext(entry.content, post=post))
    author = author_name(entry.author)
    if author is None and is_removed(body, title):
        return Deletion(_SOURCE, id=fullname)
    created = entry.published or entry.updated
    return Message(
        source=_SOURCE,
        id=fullname,
        created_at=created,
        text=title_and_body(title, body),
        author=author,
        url=entry.link,
        revision=revision_at(entry.updated or created),
    )


def _selftext(content: str, *, post: bool) -> str:
    """The author's own HTML: between Reddit's two marks; a link post has none, only a table around its picture."""
    start, end = content.find("<!-- SC_OFF -->"), content.rfind("<!-- SC_ON -->")
    if 0 <= start < end:
        return content[start:end]
    if not post:
        return content
    start = content.find('<div class="md">')  # feeds without marks
    end = content.rfind("submitted by")
    return content[start : end if end > start else None] if start >= 0 else ""


# ------------------------------------------------------------------------------------------------------- archives


def _from_archive(body: bytes) -> list[Item]:
    """Items of one archived file or line: an answer as parse() reads it, dump objects, or a CSV of posts."""
    head = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if head[:1] in (b"<", b"") or head[:1] == b"[":
        return parse(body)
    if head[:1] != b"{":
        return _from_csv(body)
    lines = [line for line in body.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].rstrip().endswith(b"}") and lines[1].lstrip().startswith(b"{"):
        return [item for index, line in enumerate(lines) for item in _from_line(line, f"line {index + 1}")]
    return _from_object(load_json(body, _SOURCE), body)


def _from_line(line: bytes, place: str) -> list[Item]:
    try:
        return _from_object(load_json(line, _SOURCE), line)
    except Malformed as error:
        return [Flaw(error.message, place)]


def _from_object(document: Any, body: bytes) -> list[Item]:
    if isinstance(document, dict) and "kind" not in document and isinstance(document.get("data"), list):
        # an answer of an archive's own API
        return [from_dump(entry, f"data[{index}]", body) for index, entry in enumerate(document["data"])]
    if isinstance(document, dict) and document.get("kind") in ("t1", "t3"):
        return list(_from_things([document], ""))
    if isinstance(document, dict) and "id" in document and ("title" in document or "body" in document):
        return [from_dump(document, "", body)]
    return _from_document(document, body)


def _from_csv(body: bytes) -> list[Item]:
    """Posts of a table with the columns title, score, id, url, comms_num, created (Unix, UTC) and body."""
    try:
        reader = csv.DictReader(io.StringIO(decode_text(body), newline=""))
        if not {"title", "id", "created", "body"} <= set(reader.fieldnames or ()):
            raise Malformed("neither JSON, a feed nor a table of posts", _SOURCE, body=body[:SAMPLE_BYTES])
        return [_from_row(row, f"row {index + 1}") for index, row in enumerate(reader)]
    except csv.Error as error:
        raise Malformed("not a whole table of posts", _SOURCE, error, body=body[:SAMPLE_BYTES]) from None


def _from_row(row: dict[str, Any], place: str) -> Item:
    def number(column: str) -> int | None:
        found = (row.get(column) or "").strip()
        return count(int(found)) if re.fullmatch(r"-?\d{1,18}", found) else None

    url = row.get("url") or ""
    data = {
        "id": row.get("id"),
        "title": row.get("title"),
        "selftext": row.get("body") or "",
        "created_utc": row.get("created"),
        "score": number("score"),
        "num_comments": number("comms_num"),
        "permalink": url.removeprefix(SITE) if url.startswith(SITE + "/r/") else None,
    }
    return from_data("t3", data, place)


ARCHIVE: dict[str, Callable[[bytes], list[Item]]] = {"reddit": _from_archive, "arctic_shift": _from_archive}
