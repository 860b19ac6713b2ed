"""A post or a comment of Reddit's JSON as an item: what its API, the dumps and the archives of others have in common.

An archive holds messages as they were when it saw them, and says in ``_meta`` what it has learned since: one that was
deleted or removed there is a deletion here. What it saw within seconds has a score of 0 or 1 that nobody has voted on
yet: that is unknown, not 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from tracker.errors import Malformed
from tracker.models import Ballot, BallotOption, Deletion, Flaw, Item, Message
from tracker.wire import SAMPLE_BYTES, clean, count, from_epoch, text_id

SITE: Final = "https://www.reddit.com"
FULLNAME = re.compile(r"t[13]_[0-9a-z]{1,16}")

_SOURCE: Final = "reddit"
_SETTLED: Final = timedelta(hours=36)  # archives look a second time after so long; before it a score says nothing
_NAME = re.compile(
    r"(?:https?://(?:www\.|old\.)?reddit\.com)?/?(?:r/)?"
    r"([a-z0-9_]{2,23}(?:\+[a-z0-9_]{2,23})*)(?:/(new|comments))?/?(?:\.rss)?",
    re.IGNORECASE,
)
_REMOVED = frozenset({"[removed]", "[deleted]", "[ removed by reddit ]"})


def subreddits(given: str) -> tuple[str, bool] | None:
    """(``r/stocks`` or ``r/a+b``, are its comments meant) of what a person wrote; None where it names no subreddit."""
    found = _NAME.fullmatch(given.strip())
    return None if found is None else (f"r/{found[1].lower()}", (found[2] or "").lower() == "comments")


def from_data(kind: str, data: dict[str, Any], place: str, *, archived: bool = False) -> Item:
    """One post (t3) or comment (t1) of the JSON API, or of an archive of it."""
    fullname = text_id(data.get("name")) or f"{kind}_{text_id(data.get('id'))}"
    if not FULLNAME.fullmatch(fullname) or not fullname.startswith(kind):
        return Flaw("no usable id", f"{place}.name")
    title = clean(data.get("title")) if kind == "t3" else None
    body = clean(data.get("selftext") or "") if kind == "t3" else clean(data.get("body"))
    if body is None or (kind == "t3" and not title):
        return Flaw(f"no text in {fullname}", place)
    author = author_name(data.get("author"))
    # live, the words alone may be a person's; an archive keeps the name of an author whose words were removed
    if data.get("removed_by_category") or _is_gone(data) or ((author is None or archived) and is_removed(body, title)):
        return Deletion(_SOURCE, id=fullname)
    created = from_epoch(data.get("created_utc"))
    text_of: Callable[[str], str] = _unescape_three if archived else str
    is_new = archived and _is_new(data, created)
    edited = data.get("edited")
    parent = text_id(data.get("parent_id")) if kind == "t1" else None
    return Message(
        source=_SOURCE,
        id=fullname,
        created_at=created,
        text=text_of(title_and_body(title, body)),
        author=author,
        url=_address(fullname, data),
        reply_to=parent if parent and FULLNAME.fullmatch(parent) else None,
        # Reddit shows 1 while it hides a score
        likes=None if is_new or data.get("score_hidden") or data.get("hide_score") else count(data.get("score")),
        replies=count(data.get("num_comments")) if kind == "t3" and not is_new else None,
        revision=revision_at((from_epoch(edited) if not isinstance(edited, bool) else None) or created),
        ballot=_ballot(
            data.get("poll_data") if kind == "t3" else None, text_of((title or "").strip()) or None, text_of
        ),
    )


def _meta(data: dict[str, Any]) -> dict[str, Any]:
    found = data.get("_meta")
    return found if isinstance(found, dict) else {}


def _is_gone(data: dict[str, Any]) -> bool:
    """True where an archive has learned that the author or a moderator took it away."""
    return _meta(data).get("was_deleted_later") is True or bool(_meta(data).get("removal_type"))


def _is_new(data: dict[str, Any], created: datetime | None) -> bool:
    """True for the numbers of a message that an archive saw once, before anybody could vote or answer."""
    seen = from_epoch(data.get("retrieved_on"))
    if created is None or seen is None or _meta(data).get("retrieved_2nd_on"):
        return False
    return seen - created < _SETTLED and count(data.get("score")) in (0, 1)


def _ballot(poll: Any, question: str | None, text_of: Callable[[str], str]) -> Ballot | None:
    """The poll of a post; None where there is none, or none that has an option to choose."""
    found = poll.get("options") if isinstance(poll, dict) else None
    options = tuple(
        BallotOption(text_of(text), _whole(option.get("vote_count")))
        for option in (found if isinstance(found, list) else ())
        if isinstance(option, dict) and (text := (clean(option.get("text")) or "").strip())
    )
    if not options:
        return None
    ends = _whole(poll.get("voting_end_timestamp"))
    return Ballot(options, question, _whole(poll.get("total_vote_count")), from_epoch(ends / 1000) if ends else None)


def _whole(value: Any) -> int | None:
    number = count(value)
    return number if number is not None and number >= 0 else None


def author_name(name: object) -> str | None:
    """The lower-case name, the only thing that both ways in know; None where the account is gone."""
    found = (clean(name) or "").strip().lower().removeprefix("/").removeprefix("u/")
    return found if found and found != "[deleted]" else None


def is_removed(body: str, title: str | None) -> bool:
    """True for what Reddit puts in the place of words that were taken away."""
    return body.strip().lower() in _REMOVED or (title or "").strip().lower() == "[deleted by user]"


def title_and_body(title: str | None, body: str) -> str:
    """The text of a message: the title first, where there is one."""
    return "\n\n".join(part for part in ((title or "").strip(), body.strip()) if part)


def revision_at(moment: datetime | None) -> str | None:
    """The revision of words that were written at that moment."""
    return moment.isoformat(timespec="seconds") if moment else None


def _address(fullname: str, data: dict[str, Any]) -> str:
    permalink = clean(data.get("permalink"))
    if permalink and permalink.startswith("/"):
        return SITE + permalink
    post = text_id(data.get("link_id")) or ""
    if fullname.startswith("t1_") and FULLNAME.fullmatch(post):
        return f"{SITE}/comments/{post[3:]}/_/{fullname[3:]}"
    return f"{SITE}/comments/{fullname[3:]}" if fullname.startswith("t3_") else f"{SITE}/api/info?id={fullname}"


def from_dump(data: Any, place: str, body: bytes) -> Item:
    """One object of a dump or of an archive's answer; Malformed where it is none."""
    if not isinstance(data, dict):
        raise Malformed("neither a post nor a comment", _SOURCE, place, body=body[:SAMPLE_BYTES])
    kind = "t1" if "title" not in data and "body" in data else "t3"
    return from_data(kind, data, place, archived=True)


def _unescape_three(text: str) -> str:
    """Dumps hold texts as the API sends them when it is not asked for raw ones: three characters escaped."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
