"""YouTube: comments below videos, through the Data API with a free key of your own.

Terms: those of the API. A project of your own has 10,000 units a day without paying; what was read without a user's
consent may be kept for 30 days only, whatever ``retention`` says. Nothing is asked without a ``key``.

Access: https://www.googleapis.com/youtube/v3. A page of comments, or of a channel's uploads, costs one unit. Searches
have a bucket of their own, a hundred a day (under an older table each took a hundred units), so a stream searches once in
24 rounds, four times a day at the usual interval: twenty-five searching streams fit. A used-up quota starts anew at
midnight in California, and until then nobody asks.

Streams: ``video/ID`` (the comments below one video), ``channel/ID`` (those below its ten newest uploads) and
``query/WORDS`` (those below the ten newest videos that a search finds). A video is followed as long as it is among
the ten; what was uploaded while we follow is read from its first comment on.

Quirks: comments come newest first, replies only with their thread, at most five of them: later replies to an older
comment are not seen. A comment that is gone goes missing. An edit has a time of its own (``updatedAt``). Comments may
be switched off: such a video is left alone. ``textOriginal`` is not always there; ``textDisplay`` is plain, as that is
what we ask for. Every request costs, refused ones too.

Re-check: ``comments?id=`` gives those of fifty stored comments that are still there, for one unit; the others are gone. An
answer that holds none at all is doubted: a whole page of comments is rarely deleted, and an answer may be blank.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from typing import Any, Final
from zoneinfo import ZoneInfo

from tracker.errors import AccessDenied, Malformed, NotFound, RateLimited, SourceError
from tracker.http import Client
from tracker.models import Cursor, Deletion, Flaw, Gap, Item, Message, Page, Stream
from tracker.walk import Leaf, walk
from tracker.wire import SAMPLE_BYTES, clean, count, from_iso, load_json, text_id

TERMS = "a free key of your own, 10,000 units a day; what was read may be kept for 30 days"
NEEDS_ACKNOWLEDGEMENT = False
DEFAULT_ON = False
BASE_URL = "https://www.googleapis.com/youtube/v3"
INTERVAL = 900.0
BUDGET = (9_500, 86_400.0)  # a unit each; the rest of the day's quota is left to other uses of the key
MAX_PAGES = 15
CREDENTIALS = ("key",)
KEEP = "mentions"
TEXT_AT_MOST = 30 * 86_400.0
DELETIONS = "not announced, found by asking"
RECHECK = 50
RECHECK_EVERY = 604_800.0  # well within the 30 days after which the API's terms want stored data looked at again
RECHECK_NEEDS = ("key",)
RECHECK_ELSEWHERE = False

_SOURCE: Final = "youtube"
_FOLLOWED: Final = 10  # videos of a channel or of a search
_SEARCH_EVERY: Final = 24  # rounds
_DAY_S: Final = 86_400.0
_QUOTA_ZONE: Final = ZoneInfo("America/Los_Angeles")

_VIDEO = re.compile(r"[A-Za-z0-9_-]{11}")
_CHANNEL = re.compile(r"UC[A-Za-z0-9_-]{22}")
_COMMENT = re.compile(r"[A-Za-z0-9_.-]{5,128}")
_HOST: Final = r"(?:https?://)?(?:(?:www|m)\.)?youtube\.com/"
_WATCHED = re.compile(
    rf"(?:{_HOST}(?:watch\?(?:\S*&)?v=|shorts/|live/)|(?:https?://)?youtu\.be/)([A-Za-z0-9_-]{{11}})(?:[?&#]\S*)?"
)

_REASON = re.compile(rb'"reason"\s*:\s*"([A-Za-z_]{1,64})"')
_DAY_IS_OVER = frozenset({b"quotaExceeded", b"dailyLimitExceeded", b"dailyLimitExceededUnreg"})
_TOO_FAST = frozenset({b"rateLimitExceeded", b"userRateLimitExceeded", b"RATE_LIMIT_EXCEEDED"})
_BAD_KEY = frozenset({b"keyInvalid", b"keyExpired", b"API_KEY_INVALID"})


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Two channels of market news, whatever the watch-list says: Yahoo Finance and CNBC Television."""
    return ("channel/UCEAZeUIeJs0IjQiqTCdVSIg", "channel/UCrp_UI8XtuYfpiqluWLD7Lw")


def stream_name(given: str) -> str:
    """``video/ID``, ``channel/ID`` or ``query/WORDS``, also the address of a video or channel; else ValueError."""
    if found := _WATCHED.fullmatch(given.strip()):
        return f"video/{found[1]}"
    kind, _, rest = re.sub(f"^{_HOST}", "", given.strip()).partition("/")
    kind, rest = kind.lower(), " ".join(rest.split())
    if kind == "video" and _VIDEO.fullmatch(rest):
        return f"video/{rest}"
    if kind == "channel" and _CHANNEL.fullmatch(rest):
        return f"channel/{rest}"
    if kind == "query" and rest:
        return f"query/{rest}"
    raise ValueError(f"expected video/ID, channel/UC… or query/WORDS, found {given!r}")


# ------------------------------------------------------------------------------------------------------- fetching


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """One poll: the comments below one video, or a round through those of a channel or a search."""
    key = client.credential("key")
    if not key:
        raise AccessDenied("a credential is missing", _SOURCE, "set key, the API can't be read without one")
    api = _Api(client, key)
    kind, _, what = stream.name.partition("/")
    if kind == "video":
        return await _comments(api, what, cursor, client.access.max_pages)
    return await _round(api, kind, what, _State.of(cursor))


def recheckable(base_url: str, id_: str) -> bool:
    """True for the id of a comment."""
    return _COMMENT.fullmatch(id_) is not None


async def recheck(client: Client, ids: Sequence[str]) -> list[Deletion]:
    """Those of the comments that are missing from a whole answer that holds others of them."""
    key = client.credential("key")
    if not key:
        raise AccessDenied("a credential is missing", _SOURCE, "set key, the API can't be read without one")
    try:
        document, _ = await _Api(client, key).get("/comments", {"part": "id", "id": ",".join(ids)})
    except NotFound as error:
        if b"commentNotFound" not in (error.body or b""):
            raise
        return [Deletion(_SOURCE, id=ids[0])] if len(ids) == 1 else []  # of several it does not say which
    if document["kind"] != "youtube#commentListResponse":
        raise Malformed("expected a list of comments", _SOURCE, document["kind"])
    held = [text_id(_in(raw, "id")) for raw in _entries(document)]
    # a page of more, an entry that can't be read, or a comment that was not asked for: not the whole of our answer
    whole = "nextPageToken" not in document and all(id_ in ids for id_ in held)
    return [Deletion(_SOURCE, id=id_) for id_ in ids if id_ not in held] if whole and held else []


class _DayIsOver(RateLimited):
    """The day's quota is used up."""


@dataclass(slots=True)
class _Api:
    """The API as one poll sees it."""

    client: Client
    key: str
    requests: int = 0
    began: float | None = None  # the server's clock at the first answer

    async def get(self, path: str, params: dict[str, str | int]) -> tuple[dict[str, Any], datetime]:
        """(a list as it came, the server's clock); SourceError, by what the API gives as its reason."""
        self.requests += 1
        try:
            response = await self.client.get(path, params={**params, "key": self.key})
        except SourceError as error:
            raise _meant(error) from None
        if self.began is None:
            self.began = response.served_at.timestamp()
        return _list(load_json(response.body, _SOURCE), response.body), response.served_at


@dataclass(slots=True)
class _State:
    """Where a stream of several videos stands: what its cursor keeps."""

    known: float | None = None  # when the round before this one began
    began: float | None = None  # when this one did
    rounds: int = 0  # begun so far
    followed: dict[str, Cursor | None] = field(default_factory=dict)  # video -> where its comments stand
    off: list[str] = field(default_factory=list)  # followed videos without comments
    todo: list[str] = field(default_factory=list)  # videos left in this round

    @classmethod
    def of(cls, cursor: Cursor | None) -> _State:
        kept = cursor or {}
        return cls(
            known=kept.get("known"),
            began=kept.get("began"),
            rounds=kept.get("rounds", 0),
            followed=dict(kept.get("followed", [])),
            off=list(kept.get("off", [])),
            todo=list(kept.get("todo", [])),
        )

    def kept(self) -> Cursor:
        followed = [[video, cursor] for video, cursor in self.followed.items()]
        state = {"known": self.known, "began": self.began, "rounds": self.rounds, "followed": followed}
        return {**state, "off": self.off, "todo": self.todo}

    def follow(self, listed: list[tuple[str, float | None]], *, beside: bool) -> None:
        """The newest of these videos; ``beside`` those that are followed, as long as there is room."""
        found: dict[str, Cursor | None] = {}
        for video, published in listed:
            # a video that is new since we follow is read from its first comment on, an older one from its last page on
            new = published is not None and self.known is not None and published > self.known
            found[video] = self.followed.get(video, {"known": published} if new else None)
        if beside:
            found = {**found, **{video: where for video, where in self.followed.items() if video not in found}}
        self.followed = dict(list(found.items())[:_FOLLOWED])
        self.off = [video for video in self.off if video in self.followed]

    def over(self) -> float | None:
        """The round is over; gives the time since which everything is stored, None where nobody was asked."""
        if self.began is None:
            return None
        since = self.began if self.known is None else self.known
        self.known, self.began = self.began, None
        return since


async def _round(api: _Api, kind: str, what: str, state: _State) -> Page:
    """One step of a round: which videos there are, then the comments below each."""
    left, note = max(1, api.client.access.max_pages), None
    if not state.todo:
        seldom = state.rounds % _SEARCH_EVERY == 0
        if seldom:
            state.off.clear()  # comments may have been switched on again
        if kind == "query" and seldom:
            try:
                state.follow(await _found(api, what), beside=True)
            except _DayIsOver:  # of searches, perhaps alone: comments are counted elsewhere
                note = "the day's searches are used up"
        elif kind == "channel":
            state.follow(await _uploads(api, what), beside=False)
        state.rounds += 1
        state.todo = [video for video in state.followed if video not in state.off]
    items: list[Item] = []
    gap: Gap | None = None
    failed: Exception | None = None
    while state.todo and api.requests < left and failed is None:
        video, answered = state.todo[0], api.began is not None
        try:
            page = await _comments(api, video, state.followed.get(video), left - api.requests)
        except NotFound:
            state.off.append(video)
            del state.todo[0]
            continue
        except SourceError as error:
            if not answered:
                raise
            failed = error
            break
        items += page.items
        if page.cursor is not None:
            state.followed[video] = page.cursor
        gap = gap or page.gap
        failed = page.cut_short
        if not page.more:
            del state.todo[0]
    state.began = state.began if state.began is not None else api.began
    since = None if state.todo else state.over()
    return Page(
        tuple(items),
        state.kept(),
        covers_from=None if since is None else datetime.fromtimestamp(since, tz=UTC),
        gap=gap,
        more=bool(state.todo),
        note=note,
        cut_short=failed,
    )


async def _comments(api: _Api, video: str, cursor: Cursor | None, pages: int) -> Page:
    """The comments below a video, from the newest back to known ground."""

    async def ask(token: str | None) -> Leaf:
        params: dict[str, str | int] = {"part": "snippet,replies", "videoId": video, "order": "time"}
        params |= {"maxResults": 100, "textFormat": "plainText", **({"pageToken": token} if token else {})}
        document, served_at = await api.get("/commentThreads", params)
        found = list(_items(document))
        following = text_id(document.get("nextPageToken"))
        replies = [item for item in found if isinstance(item, Message) and item.reply_to is not None]
        # how far a page reaches back is said by its threads, and those come last
        rest = [item for item in found if not isinstance(item, Message) or item.reply_to is None]
        return Leaf((*replies, *rest), following, served_at, complete=following is None)

    return await walk(ask, cursor, overlap_s=api.client.access.overlap_s, pages=pages)


async def _uploads(api: _Api, channel: str) -> list[tuple[str, float | None]]:
    """(video, when it was published) of a channel's newest uploads: a playlist with the channel's id, but for two letters."""
    params: dict[str, str | int] = {"part": "contentDetails", "playlistId": f"UU{channel[2:]}", "maxResults": _FOLLOWED}
    document, _ = await api.get("/playlistItems", params)
    return _videos(document, "contentDetails", "contentDetails", "videoPublishedAt")


async def _found(api: _Api, words: str) -> list[tuple[str, float | None]]:
    """The same of the newest videos that a search finds."""
    params: dict[str, str | int] = {"part": "snippet", "type": "video", "order": "date", "q": words}
    document, _ = await api.get("/search", {**params, "maxResults": _FOLLOWED})
    return _videos(document, "id", "snippet", "publishedAt")


def _videos(document: dict[str, Any], holder: str, dated: str, key: str) -> list[tuple[str, float | None]]:
    found: list[tuple[str, float | None]] = []
    for raw in _entries(document):
        video = _in(raw, holder, "videoId")
        if isinstance(video, str) and _VIDEO.fullmatch(video):
            published = from_iso(_in(raw, dated, key))
            found.append((video, None if published is None else published.timestamp()))
    return found


def _meant(error: SourceError) -> SourceError:
    """A refusal as the API means it: most of its reasons come as 403, whatever should be done about them."""
    body, status = error.body or b"", error.http_status
    reasons = frozenset(_REASON.findall(body))
    if status in (403, 429) and (reasons & _DAY_IS_OVER or b"per day" in body):
        wait = None if error.served_at is None else _until_midnight_s(error.served_at)
        words = "it starts anew at midnight in California"
        return _DayIsOver("the day's quota is used up", _SOURCE, words, http_status=status, retry_after_s=wait)
    if status == 403 and reasons & _TOO_FAST:
        wait = error.retry_after_s
        return RateLimited(
            "too many requests", error.subject, error.cause, http_status=status, retry_after_s=wait, body=body
        )
    if status == 403 and (b"commentsDisabled" in reasons or b'"youtube.commentThread"' in body):
        # of this video alone: a refusal would silence all the others as well
        return NotFound("comments are switched off, or not public", error.subject, error.cause, http_status=status)
    if status == 400 and b"invalidPageToken" in reasons:
        return NotFound("the page that came next is gone", error.subject, error.cause, http_status=status)
    if status == 400 and (reasons & _BAD_KEY or b"API key" in body):
        return AccessDenied("the key is not accepted", error.subject, error.cause, http_status=status, body=body)
    return error


def _until_midnight_s(moment: datetime) -> float:
    """Seconds until the next midnight in California; never more than a day, though one of them has 25 hours."""
    tomorrow = moment.astimezone(_QUOTA_ZONE).date() + timedelta(days=1)
    midnight = datetime.combine(tomorrow, clock_time.min, tzinfo=_QUOTA_ZONE)
    return min(_DAY_S, (midnight.astimezone(UTC) - moment).total_seconds())


# -------------------------------------------------------------------------------------------------------- parsing


def parse(body: bytes) -> list[Item]:
    """All messages of a list of comments or of threads; none for a list of videos; Malformed for anything else."""
    return list(_items(_list(load_json(body, _SOURCE), body)))


def _list(document: Any, body: bytes) -> dict[str, Any]:
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or not re.fullmatch(r"youtube#\w{1,40}ListResponse", kind):
        raise Malformed("expected a list of the API", _SOURCE, body=body[:SAMPLE_BYTES])
    if not isinstance(document.get("items", []), list):
        raise Malformed("items is not a list", _SOURCE, body=body[:SAMPLE_BYTES])
    return dict(document)


def _entries(document: dict[str, Any]) -> list[Any]:
    return list(document.get("items", []))  # an empty list may be left out


def _items(document: dict[str, Any]) -> Iterator[Item]:
    """Threads with their replies after them, and comments by themselves."""
    comments = document["kind"] == "youtube#commentListResponse"
    if not comments and document["kind"] != "youtube#commentThreadListResponse":
        return
    for number, raw in enumerate(_entries(document)):
        place = f"items[{number}]"
        if comments:
            yield _message(raw, place)
            continue
        video = _in(raw, "snippet", "videoId")
        thread = _in(raw, "snippet", "topLevelComment")
        yield _message(
            thread, f"{place}.snippet.topLevelComment", video, replies=_in(raw, "snippet", "totalReplyCount")
        )
        below = _in(raw, "replies", "comments")
        parent = _in(thread, "id")
        for index, reply in enumerate(below if isinstance(below, list) else ()):
            yield _message(reply, f"{place}.replies.comments[{index}]", video, parent=parent)


def _message(raw: Any, place: str, video: Any = None, *, parent: Any = None, replies: Any = None) -> Message | Flaw:
    snippet = _in(raw, "snippet")
    if not isinstance(snippet, dict):
        return Flaw("not a comment", place)
    native = text_id(raw.get("id"))
    if native is None or not _COMMENT.fullmatch(native):
        return Flaw("no usable id", f"{place}.id")
    text = (clean(snippet.get("textOriginal")) or clean(snippet.get("textDisplay")) or "").strip()
    if not text:
        return Flaw(f"comment {native} has no text", place)
    created_at = from_iso(snippet.get("publishedAt"))
    changed_at = from_iso(snippet.get("updatedAt")) or created_at
    above = text_id(snippet.get("parentId")) or text_id(parent)
    below = video if video is not None else snippet.get("videoId")
    shown = f"https://www.youtube.com/watch?v={below}&lc={native}"
    return Message(
        source=_SOURCE,
        id=native,
        created_at=created_at,
        text=text,
        author=text_id(_in(snippet, "authorChannelId", "value")) or text_id(snippet.get("authorDisplayName")),
        url=shown if isinstance(below, str) and _VIDEO.fullmatch(below) else None,
        reply_to=above if above is not None and _COMMENT.fullmatch(above) else None,
        likes=count(snippet.get("likeCount")),
        replies=count(replies),
        revision=None if changed_at is None else changed_at.isoformat(timespec="microseconds"),
    )


def _in(raw: Any, *path: str) -> Any:
    """What lies at the end of a path through objects; None where it is not there."""
    for key in path:
        raw = raw.get(key) if isinstance(raw, dict) else None
    return raw
