"""Mastodon: what carries certain hashtags on one server, as far as that server knows of it.

Terms: every server has its own. Those of mastodon.social, the largest and our default, forbid automated systems that
gather data since July 2025, and others forbid bulk collection too. So this source is off until the operator has read the
terms of the server that is asked and says so; a server of one's own, or one whose people agree, goes into ``base_url``.
Who has opted out of search engines (``noindex``) is left out, and so is all that is not public.

Access: open, or with ``access_token`` (an app's, scope read:statuses) where a server wants one. Since version 4.5 a server
says who may read its hashtags (``timelines_access`` in /api/v2/instance). We read that first, and once a day from then on, and
keep to it: where only a part is open that part is asked for, and where nothing is we ask no further.
300 requests in 5 minutes and address; the rate-limit headers (with an ISO time) are kept like all others.

Streams: ``tag/nvda``, or ``tag/stocks+investing`` for any of up to five hashtags (the first one has to exist). One server
only: refusals and rate limits hold for the whole source, so a second server would silence the first one with its own.

We page forward with ``min_id``, which leaves nothing out however much came: until an empty page, at most ``max_pages`` at a
time, and the next poll goes on from there. Ids count up with time, but what comes from elsewhere late gets an id of its own
time, so each poll begins ``overlap`` before the newest one (an id is milliseconds and 16 bits).

Quirks: an id is the server's own, ``uri`` is the same everywhere and is ours, without the person whose name stands in it
(``https://pond.example/statuses/77``; the number is the server's, so nothing else has it). Texts are HTML. A content warning is part of
the text. Edits are seen while they are within the overlap, with the time of the edit as revision. Deletions are not
announced without a streaming token: a message that is gone (404) goes missing silently. Votes of a running poll may be
hidden: unknown, not 0. No cashtags: ``$NVDA`` is plain text and can't be asked for.

Re-check: ``/api/v1/statuses/ID``, one stored message at a time, of those that were written on the server that we ask: only of
these do we know its number, and only it knows for sure. Gone is what it answers 404 with the words of a missing record,
and nothing else: a server that wants a token (401), or is none of Mastodon's kind, says nothing about a message.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from tracker.errors import AccessDenied, Malformed, NotFound, SourceError
from tracker.models import Ballot, BallotOption, Cursor, Deletion, Flaw, Gap, Item, Message, Page, Stream, Stretch
from tracker.wire import (
    EARLIEST,
    FUTURE_SLACK,
    SAMPLE_BYTES,
    clean,
    count,
    from_iso,
    html_to_text,
    link,
    load_json,
    text_id,
)

if TYPE_CHECKING:
    from tracker.http import Client, Response

TERMS = "each server has its own; those of mastodon.social forbid automated systems that gather data (since July 2025)"
NEEDS_ACKNOWLEDGEMENT = True
DEFAULT_ON = False
BASE_URL = "https://mastodon.social"
INTERVAL = 300.0
BUDGET = (150, 300.0)
CREDENTIALS = ("access_token",)
KEEP = "mentions"
DELETIONS = "not announced, found by asking; only of what was written on the server that is asked"
RECHECK = 1
RECHECK_EVERY = 86_400.0
RECHECK_NEEDS: tuple[str, ...] = ()
RECHECK_ELSEWHERE = False

_SOURCE: Final = "mastodon"
_LIMIT: Final = 40
_MAX_TAGS: Final = 5  # the one in the path and four in any[]
_LOOK_AGAIN: Final = 86_400.0  # seconds after which the server's own settings are read again
_IGNORED: Final = "the server does not page forward"
_GENERAL: Final = "tag/stocks+investing+stockmarket+wallstreetbets"

_TAG = re.compile(r"\w{1,100}")
_ID = re.compile(r"[0-9]{1,19}")
_PERSON = re.compile(
    r"^(https?://[^/?#]+)/(?:ap/)?users/[^/?#]+(?=/statuses/)"
)  # of a uri, what stands before its number
_OWN = re.compile(r"/statuses/([0-9]{1,19})(?:/activity)?")  # path of an id, its number
_LANG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}")
_SYMBOL = re.compile(r"[A-Z][A-Z0-9.]{1,11}")


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """A few general hashtags together, and one for each symbol of the watch-list."""
    tags = (_hashtag(symbol) for symbol in symbols)
    return (_GENERAL, *dict.fromkeys(f"tag/{tag}" for tag in tags if tag))


def _hashtag(symbol: str) -> str | None:
    """``BRK.B`` as ``brkb``, ``BTC.X`` as ``btc``; none for a single letter, which could mean anything."""
    bare = symbol.removesuffix(".X").replace(".", "").lower()
    return bare if _SYMBOL.fullmatch(symbol) and len(bare) > 1 else None


def author_name(given: str) -> str:
    """``name@server`` as the messages have it."""
    return given.strip().removeprefix("@").lower()


def stream_name(given: str) -> str:
    """``#NVDA`` or ``tag/Stocks+Investing`` as ``tag/nvda`` or ``tag/stocks+investing``; ValueError for anything else."""
    words = given.strip().lower().removeprefix("tag/").split("+")
    tags = tuple(dict.fromkeys(word.removeprefix("#") for word in words))
    # a number alone is no hashtag there
    if len(tags) > _MAX_TAGS or not all(_TAG.fullmatch(tag) and not tag.isdecimal() for tag in tags):
        raise ValueError(f"expected a hashtag such as tag/nvda, or up to {_MAX_TAGS} as tag/stocks+investing")
    return "tag/" + "+".join(tags)


# ------------------------------------------------------------------------------------------------------- fetching


@dataclass(frozen=True, slots=True)
class _State:
    """Where a stream stands: what its cursor keeps."""

    top: int | None = None  # newest id that is stored
    at: int | None = None  # where a walk that is not over goes on; None: no walk
    began: int | None = None  # where that walk began
    part: str | None = None  # of the hashtag that we may read: all, local or remote; None: not looked up
    mastodon: bool = True  # the server has told its settings
    looked: float = 0.0  # when, on its clock, in seconds since 1970; 0: its next answer will tell

    @classmethod
    def of(cls, cursor: Cursor | None) -> _State:
        state = cursor or {}
        part, looked = state.get("part"), state.get("looked")
        if part not in ("all", "local", "remote") or isinstance(looked, bool) or not isinstance(looked, int | float):
            part, looked = None, 0.0
        top, at, began = (_number(state.get(name)) for name in ("top", "at", "began"))
        return cls(top, at, began, part, state.get("mastodon") is not False, float(looked))

    def kept(self, served_at: datetime) -> Cursor:
        """As a cursor; what the server allows is forgotten after a day, so that it is read again."""
        stale = self.looked > 0 and not 0 <= served_at.timestamp() - self.looked < _LOOK_AGAIN
        return {
            "top": _text(self.top),
            "at": _text(self.at),
            "began": _text(self.began),
            "part": None if stale else self.part,
            "mastodon": self.mastodon,
            "looked": self.looked,
        }


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, str) and _ID.fullmatch(value) else None


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """What came since the last poll and during the overlap before it, page by page towards now."""
    state, pages = _State.of(cursor), max(1, client.access.max_pages)
    if state.part is None:
        state = await _look(client, state)
        pages -= 1
        if not pages:
            return Page((), state.kept(_at(state.looked)), more=True)
    began = state.began if state.at is not None else _before(state.top, client.access.overlap_s)
    state = replace(state, began=began, at=state.at if state.at is not None else began)
    known, oldest = state.top, None
    items: list[Item] = []
    answer: Response | None = None
    for number in range(pages):
        try:
            answer = await _ask(client, stream.name, state)
        except NotFound:
            if number or not state.mastodon:
                raise
            rests = replace(state, at=None, began=None)
            return Page((), rests.kept(_at(state.looked)), note="nobody has used this hashtag on this server")
        except SourceError as error:
            if answer is None:
                raise
            return Page(tuple(items), state.kept(answer.served_at), more=True, cut_short=error)
        state = replace(state, looked=state.looked or answer.served_at.timestamp())
        document = load_json(answer.body, stream.name)
        items.extend(_items(document, answer.body))
        ids = _usable_ids(document, answer.served_at)
        oldest = min(ids if oldest is None else [*ids, oldest], default=None)
        newest = max(ids, default=None)
        if state.at is None:  # the first poll ever: what is new from here on
            top = newest if newest is not None else _id_at(answer.served_at)
            return _arrived(items, replace(state, top=top), answer.served_at, covers=oldest if ids else top)
        if newest is None or newest <= state.at:
            gap = None
            if newest is not None and number and known is not None and oldest is not None and oldest > known:
                gap = Gap(_time(known), _time(oldest), _IGNORED)  # the same newest ones came again
            return _arrived(items, state, answer.served_at, covers=oldest if gap else state.began, gap=gap)
        state = replace(state, at=newest, top=newest if state.top is None else max(state.top, newest))
    assert answer is not None
    return Page(tuple(items), state.kept(answer.served_at), more=True)


async def backfill(
    client: Client, stream: Stream, since: datetime, until: datetime, place: Cursor | None
) -> AsyncGenerator[Stretch, None]:
    """Forward from the id of the moment ``since``, as far as the server remembers the hashtag."""
    state = _State.of(place)
    if state.part is None:
        state = replace(await _look(client, state), looked=1.0)
        yield Stretch((), _going(state))
    state = replace(state, at=max(_id_at(since), state.at or 0))
    heard, end = _number((place or {}).get("heard")) or state.at, _id_at(until)
    forward = (place or {}).get("forward") is True  # it has been seen to page forward
    assert heard is not None
    while state.at is not None:
        answer = await _ask(client, stream.name, state)
        document = load_json(answer.body, stream.name)
        items, ids = tuple(_items(document, answer.body)), _usable_ids(document, answer.served_at)
        newest, oldest = max(ids, default=None), min(ids, default=None)
        if newest is not None and _time(newest) < EARLIEST:
            raise Malformed("ids that do not count time: this server can't be entered at a moment", _SOURCE)
        if oldest is not None and oldest <= state.at:  # the newest ones, whatever it was asked for
            reached = min(max(heard, oldest), end)
            gap = Gap(_time(heard), _time(reached), _IGNORED) if reached > heard else None
            yield Stretch(items, None, (_time(reached), until) if reached < end else None, gap)
            return
        # a full page may be the newest one whatever was asked for: the next answer tells, until then nothing is claimed
        forward = forward or state.at != _id_at(since)
        doubtful = len(document) >= _LIMIT and not forward
        is_over = newest is None or (newest >= end and not doubtful)
        covers = None if doubtful else (_time(heard), until if is_over or newest is None else _time(newest))
        heard = heard if doubtful or newest is None else newest
        state = replace(state, at=None if is_over else newest)
        yield Stretch(items, None if is_over else {**_going(state), "heard": _text(heard), "forward": forward}, covers)


def _going(state: _State) -> Cursor:
    """Where a backfill stands, as a place."""
    return {"at": _text(state.at), "part": state.part, "mastodon": state.mastodon, "looked": state.looked}


async def _look(client: Client, state: _State) -> _State:
    """Read who may see hashtags on this server; AccessDenied where we may not."""
    try:
        answer = await client.get("/api/v2/instance", headers=_bearer(client))
    except NotFound:  # before version 4.0, or another program: it says nothing, and may refuse
        return replace(state, part="all", mastodon=False, looked=0.0)
    part = _part(load_json(answer.body, _SOURCE), with_token=bool(client.credential("access_token")))
    return replace(state, part=part, mastodon=True, looked=answer.served_at.timestamp())


def _part(instance: Any, *, with_token: bool) -> str:
    """The part of a hashtag's timeline that we may read: all, local or remote. A server that says nothing hides nothing."""
    found = instance
    for key in ("configuration", "timelines_access", "hashtag_feeds"):
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        return "all"
    open_to_us = ("public", "authenticated") if with_token else ("public",)
    told = {part: found.get(part, "public") for part in ("local", "remote")}
    allowed = [part for part, who in told.items() if who in open_to_us]
    if not allowed:
        wants_token = "authenticated" in told.values() and not with_token
        wish = "needs an access_token for" if wants_token else "does not open"
        raise AccessDenied(f"the server {wish} hashtag timelines", _SOURCE, "timelines_access in /api/v2/instance")
    return "all" if len(allowed) == len(told) else allowed[0]


async def _ask(client: Client, name: str, state: _State) -> Response:
    first, *others = name.removeprefix("tag/").split("+")
    params = [("limit", str(_LIMIT)), *(("any[]", tag) for tag in others)]
    if state.part in ("local", "remote"):
        params.append((str(state.part), "true"))
    if state.at is not None:
        params.append(("min_id", str(state.at)))
    path, bearer = f"/api/v1/timelines/tag/{quote(first, safe='')}", _bearer(client)
    try:
        return await client.get(path, params=params, headers=bearer)
    except AccessDenied as error:
        if bearer or error.http_status != 401:
            raise
        wish = "the server needs an access_token for hashtag timelines"
        raise AccessDenied(wish, _SOURCE, error.cause, http_status=401, body=error.body) from None


def _bearer(client: Client) -> dict[str, str]:
    token = client.credential("access_token")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _arrived(
    items: list[Item], state: _State, served_at: datetime, *, covers: int | None, gap: Gap | None = None
) -> Page:
    """The walk is over; ids of a server that does not count time in them tell nothing of what is covered."""
    since = None if covers is None else _time(covers)
    return Page(
        items=tuple(items),
        cursor=replace(state, at=None, began=None).kept(served_at),
        covers_from=since if since is not None and since >= EARLIEST else None,
        gap=gap,
    )


def _usable_ids(document: Any, served_at: datetime) -> list[int]:
    """Ids of a page; one that is ahead of the server's own clock must not carry the cursor away."""
    latest = _id_at(served_at + FUTURE_SLACK)
    found = [text_id(raw.get("id")) for raw in document if isinstance(raw, dict)] if isinstance(document, list) else []
    return [number for id_ in found if (number := _number(id_)) is not None and number <= latest]


def _before(top: int | None, overlap_s: float) -> int | None:
    """The id to begin after: as much before the newest one as the overlap is long, where ids count time."""
    if top is None or _time(top) < EARLIEST:
        return top
    return max(0, top - (round(overlap_s * 1000) << 16))


def _id_at(moment: datetime) -> int:
    return int(moment.timestamp() * 1000) << 16


def _time(id_: int) -> datetime:
    """When an id was given away: its upper 48 bits are milliseconds."""
    return _at(0) + timedelta(milliseconds=min(id_ >> 16, 10**14))


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


# ------------------------------------------------------------------------------------------------------ re-check


def recheckable(base_url: str, id_: str) -> bool:
    """True for a message that was written on the server at ``base_url``."""
    return _own_number(base_url, id_) is not None


async def recheck(client: Client, ids: Sequence[str]) -> list[Deletion]:
    """The message, if its own server has no such record any more."""
    number = _own_number(client.access.base_url, ids[0])
    if number is None:
        return []
    try:
        answer = await client.get(f"/api/v1/statuses/{number}", headers=_bearer(client))
    except NotFound as error:
        if error.http_status == 404 and _says_missing(error.body):
            return [Deletion(_SOURCE, id=ids[0])]
        raise
    load_json(answer.body, _SOURCE)  # a page of something else is a failure, not a sign of life
    return []


def _own_number(base_url: str, id_: str) -> str | None:
    """The number of a message on the server itself, out of its id; None for one of another server."""
    try:
        uri, base = urlsplit(id_), urlsplit(base_url)
    except ValueError:
        return None
    found = _OWN.fullmatch(f"{uri.path}?{uri.query}#{uri.fragment}".removesuffix("?#"))
    return found[1] if found and uri.scheme == "https" and uri.netloc.lower() == base.netloc.lower() else None


def _says_missing(body: bytes | None) -> bool:
    """True for the answer of a server that has looked for a record and found none; no route is told in other words."""
    try:
        told = load_json(body or b"", _SOURCE)
    except Malformed:
        return False
    return isinstance(told, dict) and told.get("error") == "Record not found"


# -------------------------------------------------------------------------------------------------------- parsing


def parse(body: bytes) -> list[Item]:
    """Items of a timeline, of a search, or of one status; Malformed for anything else."""
    return _items(load_json(body, _SOURCE), body)


def parse_archive(body: bytes) -> list[Item]:
    """A line or a document of an archive: what ``parse`` reads, also as recorded with its request and headers (``body``)."""
    document = load_json(body, f"{_SOURCE} archive")
    if isinstance(document, dict) and "content" not in document and "body" in document:
        document = document["body"]
        if isinstance(document, str):
            document = load_json(document.encode("utf-8", "surrogatepass"), f"{_SOURCE} archive")
    return _items(document, body)


ARCHIVE = {"mastodon": parse_archive}


def _items(document: Any, body: bytes) -> list[Item]:
    if isinstance(document, dict) and "content" in document and "uri" in document:
        document = [document]
    if isinstance(document, dict) and isinstance(document.get("statuses"), list):
        document = document["statuses"]
    if isinstance(document, dict) and isinstance(document.get("error"), str):
        raise Malformed("an error in place of a timeline", _SOURCE, (clean(document["error"]) or "")[:200])
    if not isinstance(document, list):
        raise Malformed("neither a timeline nor a status", _SOURCE, body=body[:SAMPLE_BYTES])
    # parents are named by the server's own ids: only those on the same page are known by ours
    ids = {text_id(raw.get("id")): _id(raw) for raw in document if isinstance(raw, dict)}
    found = (_status(raw, f"[{number}]", ids) for number, raw in enumerate(document))
    return [item for item in found if item is not None]


def _id(raw: dict[str, Any]) -> str | None:
    """A status everywhere, and nobody's name: what is known of a message outlives its author's."""
    found = link(raw.get("uri"))
    return _PERSON.sub(r"\1", found) if found and found == found.strip() and len(found) <= 2048 else None


def _status(raw: Any, place: str, ids: dict[str | None, str | None]) -> Message | Flaw | None:
    """One status; None for what its author does not want to be found, and for what is not public."""
    if not isinstance(raw, dict):
        return Flaw("not an object", place)
    id_ = _id(raw)
    if id_ is None:
        return Flaw("a status without a usable uri", place)
    account = raw.get("account")
    if not isinstance(account, dict):
        return Flaw(f"nobody wrote {id_}", place)
    boosted = raw.get("reblog")
    original = boosted if isinstance(boosted, dict) else None
    if raw.get("visibility", "public") != "public" or _hidden(account):
        return None
    if original is not None and (original.get("visibility", "public") != "public" or _hidden(original.get("account"))):
        return None
    told = original if original is not None else raw
    text = _words(told)
    if not text:
        return Flaw(f"no text in {id_}", place)
    created = from_iso(raw.get("created_at"))
    revised = from_iso(told.get("edited_at")) or created
    return Message(
        source=_SOURCE,
        id=id_,
        created_at=created,
        text=text,
        author=_author(account),
        lang=_lang(told.get("language")),
        url=link(raw.get("url")) or link(raw.get("uri")),
        reply_to=ids.get(text_id(raw.get("in_reply_to_id"))) if raw.get("in_reply_to_id") is not None else None,
        reshare_of=_id(original) if original is not None else None,
        likes=_whole(raw.get("favourites_count")),
        reshares=_whole(raw.get("reblogs_count")),
        replies=_whole(raw.get("replies_count")),
        revision=revised.isoformat(timespec="milliseconds") if revised is not None else None,
        ballot=_ballot(told.get("poll")),
    )


def _hidden(account: object) -> bool:
    return isinstance(account, dict) and account.get("noindex") is True


def _words(status: dict[str, Any]) -> str:
    """The content warning, then what stands behind it."""
    warning, content = clean(status.get("spoiler_text")) or "", clean(status.get("content")) or ""
    return "\n\n".join(part for part in (warning.strip(), html_to_text(content)) if part)


def _author(account: dict[str, Any]) -> str | None:
    """``name@server`` in lower case: an account of the server itself comes without its host."""
    name = (clean(account.get("acct")) or "").strip().lower()
    if not name or "@" in name:
        return name or None
    try:
        host = urlsplit(link(account.get("url")) or "").hostname
    except ValueError:
        host = None
    return f"{name}@{host}" if host else name


def _lang(value: object) -> str | None:
    return value if isinstance(value, str) and _LANG.fullmatch(value) else None


def _whole(value: Any) -> int | None:
    number = count(value)
    return number if number is not None and number >= 0 else None


def _ballot(poll: Any) -> Ballot | None:
    """The poll of a status; None where there is none, or none that has an option to choose."""
    found = poll.get("options") if isinstance(poll, dict) else None
    options = tuple(
        BallotOption(text, _whole(option.get("votes_count")))
        for option in (found if isinstance(found, list) else ())
        if isinstance(option, dict) and (text := (clean(option.get("title")) or "").strip())
    )
    if not options:
        return None
    return Ballot(options, voters=_whole(poll.get("voters_count")), closes_at=from_iso(poll.get("expires_at")))
