"""Telegram: messages of public channels, as the web preview at t.me/s/CHANNEL shows them.

Terms: undocumented. The preview is public and needs no account, but nothing is promised of it and nothing is said of
programs, so it is off until switched on, and asked rarely. Many channels about stocks exist to sell something.

Access: a page of HTML with the latest twenty messages or so, older ones by ``before=NUMBER``; that is a place, not an
anchor, and works whether or not the message is still there. Groups and some channels have no preview: Telegram then
sends us to t.me/CHANNEL, which holds no messages, and the stream counts as not found.

Streams: the name of a channel, ``cointelegraph``.

Quirks: ids are ``channel/123`` in lower case (Telegram does not tell cases apart, and writes the name as its owner does).
A page says that a message was edited, not when: the first time that we see other words counts as the moment. Views
are no likes. A poll shows percentages alone: the shares of its options are known, their votes are not, and the
number of voters is known below a thousand, above it is rounded. Deleted messages go missing; numbers that an album or a notice took are
missing too, so a hole proves nothing. Pictures, files and notices without words are no items, nor are previews of links.
A page is read by our own reader, in one pass: ``html.parser`` takes quadratic time on hostile input.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import Final

from tracker.errors import AccessDenied, Malformed, NotFound
from tracker.http import Client
from tracker.models import Ballot, BallotOption, Cursor, Flaw, Item, Message, Page, Stream, Stretch
from tracker.walk import Ask, Leaf, walk, walk_past
from tracker.wire import (
    SAMPLE_BYTES,
    clean,
    decode_text,
    from_iso,
    html_to_text,
    html_tokens,
    looks_like_html,
    unescape,
)

TERMS = "undocumented: a public preview without any promise; asked rarely"
NEEDS_ACKNOWLEDGEMENT = False
DEFAULT_ON = False
BASE_URL = "https://t.me"
INTERVAL = 300.0
BUDGET = (12, 60.0)
MAX_PAGES = 5
CREDENTIALS: tuple[str, ...] = ()
KEEP = "all"
DELETIONS = "not announced, and nobody to ask: a hole in a channel proves nothing"

_SOURCE: Final = "telegram"
_SITE: Final = "https://t.me"
_REMEMBERED: Final = 200  # edited messages of a channel whose words we know
_TAIL: Final = 2_048  # characters at the end of a page in which it has to close

_STREAM = re.compile(r"(?:(?:https?://)?t\.me/(?:s/)?|@)?([a-z][a-z0-9_]{3,31})/?", re.IGNORECASE)
_POST = re.compile(r"([a-z0-9_]{2,64})/([0-9]{1,18})", re.IGNORECASE)
_LINK = re.compile(r"(?:https?://t\.me)?/(?:s/)?([a-z0-9_]{2,64})/([0-9]{1,18})(?:[?#]\S*)?", re.IGNORECASE)
_NAME = re.compile(r"(/?)([a-z][a-z0-9-]*)", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"(?<![a-z-])([a-z-]++)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)')", re.IGNORECASE)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)

_MESSAGE: Final = "tgme_widget_message"
_HISTORY: Final = "tgme_channel_history"
# what a message may be made of that is no text; with one of these it may well have none
_MEDIA: Final = ("photo", "video", "roundvideo", "voice", "document", "sticker", "tgsticker", "videosticker", "location", "contact", "grouped", "game", "invoice", "giveaway", "story")  # fmt: skip


def streams(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """A newsroom's channel, as an example: which ones are worth hearing is the operator's to say."""
    return ("cointelegraph",)


def author_name(given: str) -> str:
    """``the name of a channel`` as the messages have it."""
    return given.strip().removeprefix("@").lower()


def stream_name(given: str) -> str:
    """``@Name``, ``t.me/Name`` or ``https://t.me/s/name`` as ``name``; ValueError for anything else."""
    found = _STREAM.fullmatch(given.strip())
    if found is None:
        raise ValueError("expected the name of a public channel such as cointelegraph")
    return found[1].lower()


# ------------------------------------------------------------------------------------------------------- fetching


async def fetch(client: Client, stream: Stream, cursor: Cursor | None) -> Page:
    """One poll of a channel: its newest page, and back from there to known ground."""
    edits = _Edits((cursor or {}).get("edits") or {})
    validators = dict((cursor or {}).get("validators") or {})
    ask = _asker(client, stream, edits, validators)
    page = await walk(ask, cursor, overlap_s=client.access.overlap_s, pages=client.access.max_pages)
    return page if page.cursor is None else replace(page, cursor={**page.cursor, "edits": edits.kept()})


def backfill(
    client: Client, stream: Stream, since: datetime, until: datetime, place: Cursor | None
) -> AsyncGenerator[Stretch, None]:
    """Back through a channel from its newest page, to its first message if need be."""
    return walk_past(_asker(client, stream, _Edits({}), {}), since, until, place)


def _asker(client: Client, stream: Stream, edits: _Edits, validators: dict[str, str]) -> Ask:
    """How the pages of a channel are asked for."""

    async def ask(token: str | None) -> Leaf:
        before = token if token is not None and token.isdecimal() else None
        response = await client.get(
            f"/s/{stream.name}",
            params={"before": before} if before else None,
            validators={} if before else validators,
        )
        if response.unchanged:
            return Leaf((), None, response.served_at, unchanged=True)
        try:
            items, oldest = _read(response.body)
        except Malformed as error:
            raise _refused(stream.name, response.body) or error from None
        seen_at = response.served_at.isoformat(timespec="seconds")
        return Leaf(
            items=tuple(edits.dated(item, seen_at) for item in reversed(items)),
            next_token=str(oldest) if oldest > 1 else None,
            served_at=response.served_at,
            validators=response.validators,
            # a channel that shows nothing at all is not believed; below its oldest message there is nothing
            complete=oldest == 1 or (not oldest and before is not None),
        )

    return ask


def _refused(channel: str, body: bytes) -> NotFound | AccessDenied | None:
    """The error for a page that is no preview, where it says what it is."""
    if b"captcha" in body.lower():
        return AccessDenied("Telegram wants a captcha solved", _SOURCE, body=body[:SAMPLE_BYTES])
    if b"tgme_page" in body:
        # not a refusal of us, which would silence the other channels as well
        return NotFound("no public preview: no such channel, or a private one, a group or a person", f"t.me/{channel}")
    return None


class _Edits:
    """Which words an edited message had when we saw them first: a page tells that it was edited, but not when."""

    def __init__(self, known: dict[str, list[str]]) -> None:
        self._known = known  # id -> [digest of its words, when we saw them first]

    def dated(self, item: Item, seen_at: str) -> Item:
        """The item with the moment of its words as its revision, if it was edited."""
        if not isinstance(item, Message) or item.revision is None:
            return item
        digest = blake2b(item.text.encode(), digest_size=8).hexdigest()
        before = self._known.get(item.id)
        if before is None or before[0] != digest:
            self._known[item.id] = [digest, seen_at]
        return replace(item, revision=self._known[item.id][1])

    def kept(self) -> dict[str, list[str]]:
        newest = sorted(self._known, key=lambda id_: int(id_.partition("/")[2]))[-_REMEMBERED:]
        return {id_: self._known[id_] for id_ in newest}


# -------------------------------------------------------------------------------------------------------- parsing


def parse(body: bytes) -> list[Item]:
    """All messages of a page of a channel's preview, oldest first; Malformed for any other page."""
    return _read(body)[0]


def _read(body: bytes) -> tuple[list[Item], int]:
    """(its messages, the lowest number of all that it shows, 0 where it shows none)."""
    if not looks_like_html(body):
        raise Malformed("expected a page of HTML", _SOURCE, body=body[:SAMPLE_BYTES])
    page = clean(decode_text(body)) or ""
    if not _is_whole(page):
        raise Malformed("a page that was cut short", _SOURCE, body=body[:SAMPLE_BYTES])
    items: list[Item] = []
    numbers: list[int] = []  # those of pictures and notices, too
    block: _Block | None = None
    blocks, history = 0, False
    for token, is_tag in html_tokens(page):
        tag = _Tag.of(token) if is_tag else None
        if tag is not None and tag.post is not None:
            if block is not None:
                items += block.item()
            blocks += 1
            block = _Block(tag.post, f"message[{blocks - 1}]", service="service_message" in tag.classes)
            if found := _POST.fullmatch(tag.post):
                numbers.append(int(found[2]))
        history = history or (tag is not None and _HISTORY in tag.classes)
        if block is not None and tag is not None:
            block.tag(tag)
        elif block is not None and not is_tag:
            block.words(token)
    if not history:
        raise Malformed("a page without a channel's messages", _SOURCE, body=body[:SAMPLE_BYTES])
    if block is not None:
        items += block.item()
    return items, min(numbers, default=0)


def _is_whole(page: str) -> bool:
    """True if a page comes to its end: only remarks may follow it."""
    tail = page[-_TAIL:].rstrip()
    while tail.endswith("-->") and "<!--" in tail:
        tail = tail[: tail.rindex("<!--")].rstrip()
    return tail.lower().endswith("</html>")


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag, as far as it matters to us."""

    name: str  # lower case
    closes: bool  # </name>
    alone: bool  # nothing will close it
    classes: frozenset[str]
    href: str | None
    moment: str | None  # of <time datetime="…">
    post: str | None  # the id of the message that begins here

    @classmethod
    def of(cls, token: str) -> _Tag | None:
        found = _NAME.match(token)
        if found is None:
            return None
        name = found[2].lower()
        alone = name in _VOID or token.endswith("/")
        if found[1]:
            return cls(name, True, alone, frozenset(), None, None, None)
        values = {key.lower(): unescape(double or single) for key, double, single in _ATTRIBUTE.findall(token)}
        classes = frozenset(values.get("class", "").split())
        post = values.get("data-post") if _MESSAGE in classes else None
        return cls(name, False, alone, classes, values.get("href"), values.get("datetime"), post)


# class of an element -> what its words are; "" are words that nobody wrote here
_ROLES: Final = {
    "tgme_widget_message_reply": "",
    "tgme_widget_message_link_preview": "",
    "tgme_widget_message_forwarded_from": "",
    "message_media_not_supported": "",
    "tgme_widget_message_poll_question": "question",
    "tgme_widget_message_poll_option_percent": "percent",
    "tgme_widget_message_poll_option_text": "option",
    "tgme_widget_message_voters": "voters",
    "tgme_widget_message_text": "text",
    "tgme_widget_message_meta": "meta",
}


@dataclass(slots=True)
class _Block:
    """One message of a page, tag by tag."""

    post: str
    place: str  # for a person
    service: bool = False  # a notice: a message was pinned, a picture changed
    media: bool = False
    moment: str | None = None
    reply: str | None = None
    origin: str | None = None  # where it was forwarded from
    parts: dict[str, list[str]] = field(default_factory=dict)  # role -> markup
    options: list[list[str]] = field(default_factory=list)
    percents: list[list[str]] = field(default_factory=list)
    _open: list[tuple[str, str | None]] = field(default_factory=list)  # (element, role)
    _counts: dict[str, int] = field(default_factory=dict)  # how many of each name are open

    def tag(self, tag: _Tag) -> None:
        role = self._open[-1][1] if self._open else None
        if tag.closes:
            if role:
                self._add(role, f"</{tag.name}>")
            self._close(tag.name)
            return
        if "tgme_widget_message_forwarded_from_name" in tag.classes:
            self.origin = self.origin or tag.href
        if role != "":
            self._note(tag)
            given = next((found for name, found in _ROLES.items() if name in tag.classes), None)
            if given == "option" and role != "option":
                self.options.append([])
            elif given == "percent" and role != "percent":
                self.percents.append([])
            elif given == "text" and role != "text":
                self._add("text", "<br>")
            role = given if given is not None else role
        if role:
            self._add(role, f"<{tag.name}>")
        if not tag.alone:
            self._open.append((tag.name, role))
            self._counts[tag.name] = self._counts.get(tag.name, 0) + 1

    def _note(self, tag: _Tag) -> None:
        """What a tag tells by itself."""
        if "tgme_widget_message_reply" in tag.classes:
            self.reply = self.reply or tag.href
        self.media = self.media or any(_is_media(name) for name in tag.classes)
        if tag.name == "time" and tag.moment:
            self.moment = self.moment or tag.moment

    def _close(self, name: str) -> None:
        """Back to where the innermost element of that name was opened; nothing for one that is not open."""
        while self._counts.get(name, 0):
            found, _ = self._open.pop()
            self._counts[found] -= 1
            if found == name:
                return

    def words(self, text: str) -> None:
        role = self._open[-1][1] if self._open else None
        if role:
            self._add(role, text.replace("\n", " ").replace("\r", " "))

    def _add(self, role: str, markup: str) -> None:
        lists = {"option": self.options, "percent": self.percents}
        (lists[role][-1] if role in lists else self.parts.setdefault(role, [])).append(markup)

    def _plain(self, role: str) -> str:
        return html_to_text("".join(self.parts.get(role, ())))

    def item(self) -> Iterator[Item]:
        """The message; none for a notice and for pictures without words."""
        found = _POST.fullmatch(self.post)
        if found is None:
            yield Flaw("no usable id", f"{self.place}.data-post")
            return
        if self.service:
            return
        native = _id(found)
        question = self._plain("question")
        text = self._plain("text") or question
        if not text:
            if not self.media:
                yield Flaw(f"message {native} has no text", self.place)
            return
        created_at = from_iso(self.moment)
        edited = "edited" in self._plain("meta").lower().split()
        yield Message(
            source=_SOURCE,
            id=native,
            created_at=created_at,
            text=text,
            author=found[1].lower(),
            url=f"{_SITE}/{native}",
            reply_to=_linked(self.reply),
            reshare_of=_linked(self.origin),
            revision=(created_at.isoformat(timespec="seconds") if created_at else "0") if edited else None,
            ballot=self._ballot(question),
        )

    def _ballot(self, question: str) -> Ballot | None:
        texts = [" ".join(html_to_text("".join(parts)).split()) for parts in self.options]
        shares = [_share(html_to_text("".join(parts))) for parts in self.percents]
        if len(shares) != len(texts):  # whose they are can't be said
            shares = [None] * len(texts)
        options = tuple(BallotOption(text, None, share) for text, share in zip(texts, shares, strict=True) if text)
        if not options:
            return None
        voters = self._plain("voters")
        return Ballot(options, question or None, int(voters) if re.fullmatch("[0-9]{1,9}", voters) else None)


def _share(text: str) -> float | None:
    """``61%`` as 0.61; None for anything else."""
    found = re.fullmatch("([0-9]{1,3})%", text.strip())
    return int(found[1]) / 100 if found is not None and int(found[1]) <= 100 else None


def _is_media(name: str) -> bool:
    kind = name.removeprefix(f"{_MESSAGE}_")
    return kind != name and kind.split("_")[0] in _MEDIA


def _linked(href: str | None) -> str | None:
    """The message that an address leads to; None for a channel, a person and what is private (t.me/c/…)."""
    found = _LINK.fullmatch((href or "").strip())
    return _id(found) if found is not None and found[1].lower() != "c" else None


def _id(found: re.Match[str]) -> str:
    return f"{found[1].lower()}/{int(found[2])}"
