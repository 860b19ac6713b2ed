"""Reads any feed of news: bytes of one answer -> what it says of itself and its entries, or Malformed.

RSS 0.90 to 2.0, RSS 1.0 (RDF), Atom 0.3 and 1.0, told apart by what they hold rather than by what they claim. Feeds are
careless: dates come in two spellings or not at all, ids are missing, addresses are relative, titles hold HTML or
don't. What is not there is None; nothing is made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urljoin, urlsplit

from tracker.errors import Malformed
from tracker.wire import SAMPLE_BYTES, clean, from_iso, from_mail_date, html_to_text, link, tally, unescape
from tracker.xml_tree import Node, read_tree

MAX_ENTRIES: Final = 2_000
MAX_SUMMARY: Final = 2_000  # characters that are kept of what an entry says: a summary, not the article
MAX_TITLE: Final = 500

_ATOM: Final = "http://www.w3.org/2005/Atom"
_ATOM_03: Final = "http://purl.org/atom/ns#"
_CONTENT: Final = "http://purl.org/rss/1.0/modules/content/"
_DATES: Final = ("pubdate", "published", "issued", "date", "created", "updated", "modified")
_MARKUP = re.compile(
    r"</?(?:a|abbr|b|br|code|div|em|font|i|img|p|q|s|small|span|strong|sub|sup|u)\b[^<>]*>", re.IGNORECASE
)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, as it says."""

    id: str | None  # guid or id
    title: str  # plain text, one line; "" where there is none
    summary: str | None  # plain text
    link: str | None  # http(s), absolute
    at: datetime | None  # aware UTC: published, else updated
    publisher: str | None  # whom it names as its source


@dataclass(frozen=True, slots=True)
class Feed:
    """A whole feed."""

    title: str | None
    link: str | None  # the site that it belongs to
    lang: str | None
    ttl_s: float | None  # not to be read again for so long
    entries: tuple[Entry, ...]


def read_feed(body: bytes, subject: str) -> Feed:
    """The feed in ``body``; Malformed, naming ``subject``, if it is none."""
    root = read_tree(body, subject)
    if root.name == "feed":
        head, found = root, list(root.children("entry"))
    elif root.name in ("rss", "rdf"):
        head = root.child("channel") or root
        found = [*head.children("item"), *(root.children("item") if head is not root else ())]
        if not found and root.child("channel") is None:
            raise Malformed("a feed without a channel", subject, body=body[:SAMPLE_BYTES])
    else:
        raise Malformed("not a feed", subject, f"it is <{root.name[:80]}>", body=body[:SAMPLE_BYTES])
    if len(found) > MAX_ENTRIES:
        raise Malformed(f"the feed has more than {MAX_ENTRIES} entries", subject, body=body[:SAMPLE_BYTES])
    base = root.attributes.get("base") or head.attributes.get("base") or _own_address(head) or ""
    site = _link(head, base)
    ttl = tally(_text(head, "ttl"), 1)
    return Feed(
        title=_title(head) or None,
        link=site,
        lang=_lang(root, head),
        ttl_s=None if ttl is None else ttl * 60.0,
        entries=tuple(_entry(node, node.attributes.get("base") or base or site or "") for node in found),
    )


def _entry(node: Node, base: str) -> Entry:
    source = node.child("source")
    named = None if source is None else (_title(source) or _line(source.text()))
    guid = node.child("guid") or node.child("id")
    id_ = (clean(guid.text()) or "").strip() if guid is not None else node.attributes.get("about", "").strip()
    at = _link(node, base)
    if at is None and guid is not None and guid.attributes.get("ispermalink", "true").lower() != "false":
        at = link(id_)
    return Entry(
        id=id_ or None,
        title=_title(node),
        summary=_summary(node),
        link=at,
        at=_date(node),
        publisher=named or _text(node, "publisher"),
    )


def _title(node: Node) -> str:
    title = next((found for found in node.children("title") if "mrss" not in found.space), None)
    if title is None:
        return ""
    if title.attributes.get("type") == "xhtml":
        return _line(html_to_text(title.markup()))
    text = clean(title.text()) or ""
    return _line(html_to_text(text) if _MARKUP.search(text) else unescape(text))


def _line(text: str) -> str:
    """One line, as long as a title may be."""
    return " ".join(text.split())[:MAX_TITLE].strip()


def _summary(node: Node) -> str | None:
    """What the entry says of itself, as plain text; where there is no summary the beginning of its content."""
    wanted = (
        *node.children("description"),
        *node.children("summary"),
        *node.children("encoded", _CONTENT),
        *(child for child in node.children("content") if child.space in (_ATOM, _ATOM_03)),
    )
    for child in wanted:
        if "mrss" in child.space:
            continue
        is_tree = child.attributes.get("type") == "xhtml"
        text = html_to_text((clean(child.markup() if is_tree else child.text()) or "").replace("<![", "&lt;!["))
        if text:
            return text if len(text) <= MAX_SUMMARY else text[:MAX_SUMMARY].rpartition(" ")[0] + "…"
    return None


def _link(node: Node, base: str) -> str | None:
    """The address of a page that it stands for: RSS writes it as text, Atom as an attribute."""
    for child in node.children("link"):
        if child.attributes.get("rel", "alternate") == "alternate":
            found = (child.attributes.get("href") or child.text()).strip()
            try:
                joined = link(urljoin(base, found)) if found else None
                if joined and urlsplit(joined).hostname:
                    return joined
            except ValueError:
                continue
    return None


def _own_address(head: Node) -> str | None:
    return next((link(child.attributes.get("href")) for child in head.children("link") if child.attributes.get("rel") == "self"), None)  # fmt: skip


def _date(node: Node) -> datetime | None:
    for name in _DATES:
        for child in node.children(name):
            text = child.text()
            if found := from_iso(text) or from_mail_date(text):
                return found
    return None


def _text(node: Node, name: str) -> str | None:
    child = node.child(name)
    return (_line(clean(child.text()) or "") or None) if child is not None else None


def _lang(root: Node, head: Node) -> str | None:
    return next((word for word in _languages(root, head) if _LANGUAGE.fullmatch(word)), None)


def _languages(root: Node, head: Node) -> Iterator[str]:
    yield _text(head, "language") or ""
    yield head.attributes.get("lang", "")
    yield root.attributes.get("lang", "")
