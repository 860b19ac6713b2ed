"""Reads an Atom feed: bytes of one answer -> its entries, or Malformed.

Feeds come from strangers, so this is a small reader on expat (see ``xml_tree``) in place of a general feed library, one
of which takes 40 s for half a megabyte of attributes.

What is not Atom (RSS, RDF, a page) is refused by name.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from xml.parsers import expat

from tracker.wire import from_iso, html_to_text, link
from tracker.xml_tree import MAX_ATTRIBUTES, MAX_DEPTH, RefusedError, guarded, refuse_document_types

MAX_ENTRIES: Final = 2_000
MAX_TEXT: Final = 1_000_000  # characters of one field

_ATOM = "http://www.w3.org/2005/Atom "
_TEXT_FIELDS = frozenset({"id", "title", "published", "updated", "content", "summary"})
_VOID = frozenset({"area", "br", "col", "hr", "img", "input", "wbr"})  # elements that HTML never closes


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a feed, as it says; nothing is made up."""

    id: str | None
    title: str  # plain text, "" where there is none
    author: str | None  # the first author's name
    link: str | None  # the alternate address, http(s)
    published: datetime | None  # aware UTC
    updated: datetime | None  # aware UTC
    content: str  # HTML, whatever type it was sent as; the summary where there is no content
    categories: tuple[str, ...]  # terms


def entries(body: bytes, subject: str) -> tuple[Entry, ...]:
    """All entries of the Atom feed in ``body``, in its order; Malformed, naming ``subject``, if it is none."""
    return guarded(body, subject, _read)


def _read(body: bytes) -> tuple[Entry, ...]:
    reader = _Reader()
    reader.parse(body)
    return tuple(reader.found)


@dataclass(slots=True)
class _Draft:
    """An entry while it is being read."""

    texts: dict[str, str] = field(default_factory=dict)
    author: str | None = None
    link: str | None = None
    categories: list[str] = field(default_factory=list)


class _Reader:
    """The handlers of one parse: where we are, and what has been read."""

    def __init__(self) -> None:
        self.found: list[Entry] = []
        self._path: list[str] = []
        self._draft: _Draft | None = None
        self._field = ""  # the text field of the entry that is being collected
        self._kind = ""  # its type: text, html, xhtml
        self._field_depth = 0
        self._parts: list[str] = []
        self._size = 0

    def parse(self, body: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        refuse_document_types(parser)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.CommentHandler = self._comment
        parser.Parse(body, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= MAX_DEPTH:
            raise RefusedError(f"the feed is nested deeper than {MAX_DEPTH} elements")
        if len(attributes) > MAX_ATTRIBUTES:
            raise RefusedError(f"an element of the feed has more than {MAX_ATTRIBUTES} attributes")
        if not self._path and name != _ATOM + "feed":
            raise RefusedError(f"not an Atom feed, it is <{name.rpartition(' ')[2][:80]}>")
        self._path.append(name)
        if self._field:
            self._collect_tag(name, attributes)
        elif self._draft is None:
            self._start_entry(name)
        else:
            self._start_in_entry(self._draft, name, attributes)

    def _start_entry(self, name: str) -> None:
        if name != _ATOM + "entry" or len(self._path) != 2:
            return
        if len(self.found) >= MAX_ENTRIES:
            raise RefusedError(f"the feed has more than {MAX_ENTRIES} entries")
        self._draft = _Draft()

    def _start_in_entry(self, draft: _Draft, name: str, attributes: dict[str, str]) -> None:
        local = name.removeprefix(_ATOM)
        parent = self._path[-2].removeprefix(_ATOM)
        if parent == "entry" and local in _TEXT_FIELDS and local not in draft.texts:
            self._open(local, attributes.get("type", "text"))
        elif parent == "author" and local == "name" and draft.author is None:
            self._open("name", "text")
        elif parent == "entry" and local == "link" and attributes.get("rel", "alternate") == "alternate":
            draft.link = draft.link or link(attributes.get("href"))
        elif parent == "entry" and local == "category" and attributes.get("term"):
            draft.categories.append(attributes["term"])

    def _open(self, name: str, kind: str) -> None:
        self._field, self._kind, self._field_depth = name, kind, len(self._path)
        self._parts, self._size = [], 0

    def _end(self, name: str) -> None:
        depth = len(self._path)
        self._path.pop()
        if self._draft is None:
            return
        if self._field and depth == self._field_depth:
            self._close(self._draft)
        elif self._field:
            tag = name.rpartition(" ")[2]
            if self._kind == "xhtml" and tag not in _VOID:
                self._add(f"</{tag}>")
        elif name == _ATOM + "entry" and depth == 2:
            self.found.append(_entry(self._draft))
            self._draft = None

    def _close(self, draft: _Draft) -> None:
        text = "".join(self._parts)
        if self._field == "name":
            draft.author = text.strip() or None
        elif self._field in ("content", "summary"):
            draft.texts[self._field] = text if self._kind != "text" else html.escape(text, quote=False)
        elif self._field == "title" and self._kind != "text":
            draft.texts["title"] = html_to_text(text)
        else:
            draft.texts[self._field] = text.strip()
        self._field = ""

    def _data(self, data: str) -> None:
        if self._field:
            self._add(html.escape(data, quote=False) if self._kind == "xhtml" else data)

    def _comment(self, data: str) -> None:
        # comments are marks for some sources: in HTML content they come along as text, so they do in XHTML
        if self._field and self._kind == "xhtml":
            self._add(f"<!--{data}-->")

    def _collect_tag(self, name: str, attributes: dict[str, str]) -> None:
        if self._kind == "xhtml":
            written = "".join(f' {key.rpartition(" ")[2]}="{html.escape(value)}"' for key, value in attributes.items())
            self._add(f"<{name.rpartition(' ')[2]}{written}>")

    def _add(self, text: str) -> None:
        self._size += len(text)
        if self._size > MAX_TEXT:
            raise RefusedError(f"a field of the feed is longer than {MAX_TEXT} characters")
        self._parts.append(text)


def _entry(draft: _Draft) -> Entry:
    texts = draft.texts
    return Entry(
        id=texts.get("id") or None,
        title=texts.get("title", ""),
        author=draft.author,
        link=draft.link,
        published=from_iso(texts.get("published")),
        updated=from_iso(texts.get("updated")),
        content=texts.get("content") or texts.get("summary", ""),
        categories=tuple(draft.categories),
    )
