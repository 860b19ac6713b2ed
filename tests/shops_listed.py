"""Shops that list the newest first and are walked back: stocktwits, reddit, hackernews, lemmy, arctic_shift, x, youtube."""

from __future__ import annotations

import html
import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from shops import Named, Note, Reply, Shop, asks_to_wait, is_sick, json_of, too_many
from world_posts import base36

_RESET = timedelta(seconds=1200)


def _epoch(now: datetime) -> str:
    return str(int((now + _RESET).timestamp()))


class Stocktwits(Shop):
    SOURCE, STREAM, PAGE = "stocktwits", "symbol/GME", 30
    named = asks_to_wait(
        {
            "X-RateLimit-Reset, a Unix time": Named(
                1200, lambda now: too_many(X_RateLimit_Remaining="0", X_RateLimit_Reset=_epoch(now))
            ),
        }
    )

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        most = int(query.get("max", 10**18))
        older = [note for note in self.newest_first if note.number <= most]
        page = older[: self.PAGE]
        messages = [
            {"id": note.number, "body": note.text, "created_at": note.iso, "user": {"id": 7, "username": "newt"}}
            for note in page
        ]
        cursor = {"more": len(older) > len(page)}
        return json_of({"response": {"status": 200}, "cursor": cursor, "messages": messages})


class Reddit(Shop):
    """Without an account: Atom."""

    SOURCE, STREAM, PAGE = "reddit", "r/pond", 100
    named = asks_to_wait(
        {
            "x-ratelimit-reset, in seconds": Named(
                1200, lambda now: too_many(x_ratelimit_remaining="0.0", x_ratelimit_reset="1200")
            ),
            "a good answer that is the last": Named(
                700,
                lambda now: Reply(
                    200, b"", {"X-Is-Good": "1", "x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "700"}
                ),
                refused=False,
            ),
        }
    )
    sick = is_sick(b'{"kind": "weather", "data": {"children": []}}')

    def native(self, note: Note) -> str:
        return f"t3_{base36(note.number)}"

    def page(self, query: dict[str, str]) -> list[Note]:
        listed = self.newest_first
        if "after" in query:
            places = [place for place, note in enumerate(listed) if self.native(note) == query["after"]]
            listed = listed[places[0] + 1 :] if places else []
        return listed[: int(query.get("limit", 25))]

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        entries = "".join(
            f"<entry><author><name>/u/newt</name></author><id>{self.native(note)}</id><title>{note.text}</title>"
            f"<updated>{note.iso}</updated><published>{note.iso}</published><content type='html'></content></entry>"
            for note in self.page(query)
        )
        return f"<feed xmlns='http://www.w3.org/2005/Atom'><id>/r/pond/new/.rss</id>{entries}</feed>".encode()


class RedditApp(Reddit):
    """With an app: a token, then JSON listings."""

    SETTINGS = 'client_id = "an-app"\nclient_secret = "a-secret"'

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        if path == "/api/v1/access_token":
            return json_of({"access_token": "a-token", "expires_in": 86_400})
        page = self.page(query)
        children = [
            {"kind": "t3", "data": {"name": self.native(note), "id": base36(note.number), "title": note.text,
                                    "selftext": "", "created_utc": float(note.at), "author": "newt"}}
            for note in page
        ]  # fmt: skip
        after = self.native(page[-1]) if page and page[-1] != self.newest_first[-1] else None
        return json_of({"kind": "Listing", "data": {"after": after, "children": children}})


class Hackernews(Shop):
    SOURCE, STREAM, PAGE = "hackernews", "new", 100
    NO_CONDITION = "a search by seconds: what is asked for moves with the newest message"

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        bounds = dict(re.findall(r"created_at_i(<|>)=(\d+)", query.get("numericFilters", "")))
        low, high = int(bounds.get(">", 0)), int(bounds.get("<", 10**12))
        size, number = int(query["hitsPerPage"]), int(query.get("page", 0))
        found = [note for note in self.newest_first if low <= note.at <= high]
        hits = [
            {"objectID": str(note.number), "created_at_i": note.at, "comment_text": note.text, "author": "newt"}
            for note in found[number * size : (number + 1) * size]
        ]
        return json_of({"hits": hits})


class Lemmy(Shop):
    SOURCE, STREAM, PAGE = "lemmy", "c/pond@lemmy.example", 50
    NO_CONDITION = "its interface promises no validators for lists"
    named = asks_to_wait(
        {
            # it names no time of its own: ours is the interval, doubled
            "rate_limit_error with 400": Named(120, lambda now: Reply(400, json_of({"error": "rate_limit_error"}))),
        }
    )

    def native(self, note: Note) -> str:
        return f"https://lemmy.example/post/{note.number}"

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        start = int(query.get("page_cursor", "P0")[1:])
        views = [
            {"post": {"id": note.number, "ap_id": self.native(note), "name": note.text, "published": note.iso},
             "creator": {"name": "newt", "actor_id": "https://lemmy.example/u/newt"}}
            for note in self.newest_first[start : start + self.PAGE]
        ]  # fmt: skip
        following = f"P{start + self.PAGE}" if len(views) == self.PAGE else None
        return json_of({"posts": views, "next_page": following})


class ArcticShift(Shop):
    SOURCE, STREAM, PAGE = "arctic_shift", "r/pond", 100
    NO_CONDITION = "a search by seconds: what is asked for moves with the newest message"
    named = asks_to_wait(
        {
            "X-RateLimit-Reset, in seconds": Named(
                1200, lambda now: too_many(X_RateLimit_Remaining="0", X_RateLimit_Reset="1200")
            ),
        }
    )

    def native(self, note: Note) -> str:
        return f"t3_{base36(note.number)}"

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        after, before = int(query.get("after", 0)), int(query.get("before", 10**12))
        found = [note for note in self.newest_first if after < note.at < before][: int(query["limit"])]
        posts = [
            {"id": base36(note.number), "title": note.text, "selftext": "", "created_utc": note.at, "author": "newt"}
            for note in found
        ]
        return json_of({"data": posts})


class X(Shop):
    SOURCE, STREAM, PAGE = "x", "search/$GME", 100
    SETTINGS = 'bearer_token = "a-token"'
    NO_CONDITION = "its interface has no validators"
    named = asks_to_wait(
        {
            "x-rate-limit-reset, a Unix time": Named(
                1200, lambda now: too_many(x_rate_limit_remaining="0", x_rate_limit_reset=_epoch(now))
            ),
        }
    )

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        start, place = query.get("start_time", ""), int(query.get("next_token", "p0")[1:])
        found = [note for note in self.newest_first if note.iso >= start]
        page = found[place : place + self.PAGE]
        data = [{"id": str(note.number), "text": note.text, "created_at": note.iso, "author_id": "7"} for note in page]
        meta = {"result_count": len(page)}
        if place + self.PAGE < len(found):
            meta["next_token"] = f"p{place + self.PAGE}"  # type: ignore[assignment]
        return json_of({"data": data, "meta": meta} if page else {"meta": meta})


def _midnight_s(now: datetime) -> float:
    """Seconds until the next midnight in California."""
    local = now.astimezone(ZoneInfo("America/Los_Angeles"))
    return (datetime.combine(local.date() + timedelta(days=1), time(), local.tzinfo) - local).total_seconds()


def _spent(now: datetime) -> Reply:
    told = {"code": 403, "errors": [{"domain": "youtube.quota", "reason": "quotaExceeded"}]}
    return Reply(403, json_of({"error": told}))


class Youtube(Shop):
    SOURCE, STREAM, PAGE = "youtube", "video/pond0000001", 100
    SETTINGS = 'key = "a-key"'
    NO_CONDITION = "a 304 would cost a unit of the quota as any other answer does"
    named = asks_to_wait(
        {
            "quotaExceeded": Named(_midnight_s, _spent),
        }
    )

    def native(self, note: Note) -> str:
        return f"Ugx{note.number}"

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        start = int(query.get("pageToken", "P0")[1:])
        page = self.newest_first[start : start + self.PAGE]
        items = [
            {"snippet": {"videoId": "pond0000001", "topLevelComment": {
                "id": self.native(note),
                "snippet": {"textOriginal": html.unescape(note.text), "publishedAt": note.iso, "updatedAt": note.iso},
            }}}
            for note in page
        ]  # fmt: skip
        document = {"kind": "youtube#commentThreadListResponse", "items": items}
        if start + self.PAGE < len(self.notes):
            document["nextPageToken"] = f"P{start + self.PAGE}"
        return json_of(document)
