"""What is said in an invented world, and how each service puts it on the wire.

A ``Post`` is one public message with the moment from which on its service offers it; the functions below it make the
answers of the real addresses from a list of posts, in the shapes that the sources read.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Source = Literal["stocktwits", "reddit", "hackernews", "bluesky"]
SOURCES: tuple[Source, ...] = ("stocktwits", "reddit", "hackernews", "bluesky")

STOCKTWITS_PAGE = 30
REDDIT_PAGE = 100
HACKERNEWS_REACH = 1000
_POSTS = "app.bsky.feed.post"
_BASE32 = "234567abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Post:
    """One message of the invented world; a removal where ``removes`` names the post that goes."""

    source: Source
    number: int  # the native id is made of it; higher is newer
    created_at: datetime  # aware UTC; Bluesky's is the server's own stamp
    shown_at: float  # Unix seconds from which on it is offered
    author: str
    text: str  # Reddit: the title, empty for a comment; Hacker News: the title, empty for a comment
    body: str = ""  # Reddit and Hacker News: what stands below the title
    place: str = ""  # Reddit: the subreddit
    label: Literal["Bullish", "Bearish"] | None = None  # StockTwits
    symbols: tuple[str, ...] = ()  # StockTwits: whose streams carry it; Bluesky: cashtag facets
    removes: int | None = None  # Bluesky: the number of the post that its author deletes
    edits: bool = False  # Bluesky: other words for the post of that number
    ends: bool = False  # Bluesky: the author's account is deleted, and everything that was said before
    native: str | None = None  # StockTwits and Hacker News: an id that is no number of ours
    claim: object = None  # what stands on the wire in place of the time, where that is nonsense
    trouble: str = ""  # what makes it hard to take in; counted when it is handed over

    @property
    def kind(self) -> Literal["create", "update", "delete", "account"]:
        if self.ends:
            return "account"
        if self.removes is not None:
            return "delete"
        return "update" if self.edits else "create"

    @property
    def event(self) -> tuple[str, int, int]:
        """What tells one event of a stream from another, also of the same post."""
        return (self.kind, self.number, time_us(self))

    @property
    def id(self) -> str:
        """The native id as the tracker stores it."""
        if self.native is not None:
            return self.native
        if self.removes is not None:
            return native_id(self.source, self.removes, self.author)
        return native_id(self.source, self.number, self.author, comment=not self.text)

    @property
    def stored_text(self) -> str:
        """The text as the tracker has to store it, to the last character."""
        separator = "\n\n" if self.source == "reddit" else "\n"
        parts = (self.text, self.body) if self.source in ("reddit", "hackernews") else (self.text,)
        # half a surrogate pair is no character: nobody can store it
        return _SURROGATES.sub("\ufffd", separator.join(part for part in parts if part))


_SURROGATES = re.compile("[\ud800-\udfff]")


def standing(shown: Sequence[Post]) -> dict[str, str | None]:
    """Id -> text as it stands after these posts and what was done to them; None where it was deleted."""
    found: dict[str, str | None] = {}
    by_author: dict[str, list[Post]] = {}
    for post in sorted(shown, key=time_us):
        if post.ends:
            found |= {said.id: None for said in by_author.get(post.author, ()) if said.id in found}
            continue
        if post.removes is None or post.id in found:
            found[post.id] = None if post.removes is not None else post.stored_text
        by_author.setdefault(post.author, []).append(post)
    return found


def stands_in(post: Post, body: bytes) -> bool:
    """True if an answer shows that post: its id is on the page."""
    written = (json.dumps(post.id), f">{post.id}<", f'"id": {post.id},')
    return any(words.encode() in body for words in written)


def native_id(source: Source, number: int, author: str, *, comment: bool = False) -> str:
    if source == "reddit":
        return f"t{1 if comment else 3}_{base36(number)}"
    if source == "bluesky":
        return f"at://{did(author)}/{_POSTS}/{rkey(number)}"
    return str(number)


def base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits or "0"


def did(author: str) -> str:
    return "did:plc:invented" + "".join(letter for letter in author.lower() if letter.isalnum())


def rkey(number: int) -> str:
    """Thirteen characters that sort as the number does, as the network's own keys."""
    digits = ""
    for _ in range(13):
        number, rest = divmod(number, 32)
        digits = _BASE32[rest] + digits
    return digits


def time_us(post: Post) -> int:
    return round(post.created_at.timestamp() * 1_000_000)


# -------------------------------------------------------------------------------------------------- StockTwits


def stocktwits_page(posts: Sequence[Post], symbol: str, max_id: int | None) -> bytes:
    """The newest thirty messages of a symbol's stream with ids up to ``max_id``, newest first."""
    carried = sorted((p for p in posts if symbol in p.symbols), key=lambda p: -p.number)
    older = [post for post in carried if max_id is None or post.number <= max_id]
    page = older[:STOCKTWITS_PAGE]
    cursor = {
        "more": len(older) > len(page),
        "since": page[0].number if page else None,
        "max": page[-1].number if page else None,
    }
    document = {
        "response": {"status": 200},
        "symbol": _symbol(symbol),
        "cursor": cursor,
        "messages": [_stocktwits_message(post) for post in page],
    }
    return json.dumps(document).encode()


def _symbol(symbol: str) -> dict[str, Any]:
    return {
        "id": sum(map(ord, symbol)),
        "symbol": symbol,
        "title": f"{symbol} Inc",
        "is_following": False,
        "watchlist_count": 12,
    }


def _stocktwits_message(post: Post) -> dict[str, Any]:
    return {
        "id": post.number if post.native is None else int(post.native),
        "body": html.escape(post.text, quote=True),
        "created_at": _claimed(post, post.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")),
        "user": {"id": sum(ord(letter) * 31**place for place, letter in enumerate(post.author)) % 10**9, "username": post.author},
        "source": {"id": 1, "title": "Invented Web", "url": "https://pond.example"},
        "symbols": [_symbol(symbol) for symbol in post.symbols],
        "entities": {"sentiment": None if post.label is None else {"basic": post.label}},
        "mentioned_users": [],
    }  # fmt: skip


def _claimed(post: Post, right: object) -> object:
    return right if post.claim is None else post.claim


def stocktwits_error(status: int, said: str) -> bytes:
    return json.dumps({"response": {"status": status}, "errors": [{"message": said}]}).encode()


# ------------------------------------------------------------------------------------------------------ Reddit


def reddit_feed(
    posts: Sequence[Post], subreddits: Sequence[str], comments: bool, limit: int, after: str | None
) -> bytes:
    """An Atom listing, newest first; ``after`` a fullname the older ones, nothing after an unknown one."""
    listed = sorted(
        (p for p in posts if p.place in subreddits and bool(p.text) is not comments),
        key=lambda p: (p.created_at, p.number),
        reverse=True,
    )
    if after is not None:
        places = [place for place, post in enumerate(listed) if post.id == after]
        listed = listed[places[0] + 1 :] if places else []
    entries = "".join(_entry(post) for post in listed[: min(limit, REDDIT_PAGE)])
    name = "+".join(subreddits)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom">'
        f'<category term="{name}" label="r/{name}"/><id>/r/{name}/new/.rss</id><title>newest submissions : {name}</title>{entries}</feed>'
    ).encode()


def _entry(post: Post) -> str:
    stamp = post.created_at.isoformat(timespec="seconds")
    address = f"https://www.reddit.com/r/{post.place}/comments/{base36(post.number)}/invented/"
    markup = (
        f'<!-- SC_OFF --><div class="md"><p>{html.escape(post.body, quote=False)}</p> </div><!-- SC_ON -->'
        if post.body
        else ""
    )
    content = (
        f'{markup} &#32; submitted by &#32; <a href="https://www.reddit.com/user/{post.author}"> /u/{post.author} </a>'
    )
    return (
        f'<entry><author><name>/u/{post.author}</name></author><category term="{post.place}" label="r/{post.place}"/>'
        f'<content type="html">{html.escape(content)}</content><id>{post.id}</id><link href="{address}" />'
        f"<updated>{stamp}</updated><published>{stamp}</published><title>{html.escape(post.text or f'/u/{post.author} on something')}</title></entry>"
    )


# ------------------------------------------------------------------------------------------------- Hacker News


def hackernews_hits(
    posts: Sequence[Post], since: int | None, until: int | None, words: str, size: int, page: int
) -> bytes:
    """An answer of the search by date: newest first, the first thousand of what was asked for."""
    asked = [
        post
        for post in posts
        if (since is None or _second(post) >= since)
        and (until is None or _second(post) <= until)
        and words.lower() in post.stored_text.lower()
    ]
    found = sorted(asked, key=lambda p: (_second(p), p.number), reverse=True)[:HACKERNEWS_REACH]
    hits = [_hit(post) for post in found[page * size : (page + 1) * size]]
    document = {
        "hits": hits,
        "nbHits": len(asked),
        "page": page,
        "hitsPerPage": size,
        "nbPages": -(-len(found) // size),
    }
    return json.dumps(document).encode()


def _second(post: Post) -> int:
    return int(post.created_at.timestamp())


def _hit(post: Post) -> dict[str, Any]:
    common = {
        "objectID": post.id, "author": post.author, "created_at": _claimed(post, post.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")),
        "created_at_i": _claimed(post, _second(post)), "_tags": ["story" if post.text else "comment", f"author_{post.author}"],
    }  # fmt: skip
    markup = f"<p>{html.escape(post.body)}" if post.body else None
    if post.text:
        return {
            **common,
            "title": post.text,
            "story_text": markup,
            "points": 3,
            "num_comments": 0,
            "url": "https://pond.example/story",
        }
    return {
        **common,
        "comment_text": markup,
        "parent_id": 1,
        "story_id": 1,
        "story_title": "An invented story",
        "points": None,
    }


# ----------------------------------------------------------------------------------------------------- Bluesky


def jetstream_frame(post: Post) -> str:
    """One event of the stream: a post, other words for it, its deletion, or the end of an account."""
    about = {"did": did(post.author), "time_us": time_us(post)}
    if post.ends:
        account = {"active": False, "did": did(post.author), "seq": post.number, "status": "deleted"}
        return json.dumps({**about, "kind": "account", "account": account})
    commit: dict[str, Any] = {
        "rev": rkey(time_us(post)),
        "operation": post.kind,
        "collection": _POSTS,
        "rkey": rkey(post.number if post.removes is None else post.removes),
    }
    if post.removes is None:
        stamp = post.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        record: dict[str, Any] = {"$type": _POSTS, "createdAt": stamp, "langs": ["en"], "text": post.text}
        if facets := [_facet(post.text, symbol) for symbol in post.symbols if f"${symbol}" in post.text]:
            record["facets"] = facets
        commit |= {"record": record, "cid": "bafyreiinvented"}
    return json.dumps({**about, "kind": "commit", "commit": commit})


def _facet(text: str, symbol: str) -> dict[str, Any]:
    start = len(text[: text.index(f"${symbol}")].encode())
    return {
        "index": {"byteStart": start, "byteEnd": start + len(symbol) + 1},
        "features": [{"$type": "app.bsky.richtext.facet#tag", "tag": f"${symbol}"}],
    }
