"""XML from strangers, read safely: bytes of one answer -> a small tree, or Malformed.

A small reader on expat in place of a general one: no document type and no entity of its own (no expansion bombs, no
files opened), a cap on everything that an answer can make large. What feeds get wrong most often is repaired, and
only where the bytes are no XML otherwise: characters that XML can't hold, and entities that only HTML knows.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.entities import html5
from typing import Any, Final, TypeVar
from xml.parsers import expat

from tracker.errors import Malformed
from tracker.wire import SAMPLE_BYTES, looks_like_html

MAX_DEPTH: Final = 64
MAX_ATTRIBUTES: Final = 64  # of one element
MAX_ELEMENTS: Final = 200_000

T = TypeVar("T")
_DECLARED = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9]{1,31});")
_PREFIX = re.compile(
    rb"</?([A-Za-z_][A-Za-z0-9_.-]{0,40}):[A-Za-z_]|\s([A-Za-z_][A-Za-z0-9_.-]{0,40}):[A-Za-z_][A-Za-z0-9_.-]{0,40}\s{0,5}="
)
_DECLARATION = re.compile(rb"\sxmlns:([A-Za-z_][A-Za-z0-9_.-]{0,40})\s{0,5}=")
_ROOT = re.compile(rb"<[A-Za-z_][A-Za-z0-9_.:-]{0,80}")
_USUAL = {  # what feeds mean by the prefixes that they use without saying so
    b"content": b"http://purl.org/rss/1.0/modules/content/",
    b"dc": b"http://purl.org/dc/elements/1.1/",
    b"atom": b"http://www.w3.org/2005/Atom",
    b"media": b"http://search.yahoo.com/mrss/",
}
_OF_XML = frozenset({b"amp", b"lt", b"gt", b"quot", b"apos"})
_VOID = frozenset({"area", "br", "col", "hr", "img", "input", "wbr"})  # elements that HTML never closes
# charsets that expat does not know, and that the standard library reads in linear time
_EASTERN = frozenset({"gb2312", "gbk", "gb18030", "big5", "shift_jis", "euc-jp", "iso-2022-jp", "euc-kr"})
_INVALID_TOKEN = expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]
_UNBOUND_PREFIX = expat.errors.codes[expat.errors.XML_ERROR_UNBOUND_PREFIX]
_UNDEFINED_ENTITY = expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]


class RefusedError(Exception):
    """Well-formed so far, but not what we read."""


def guarded(body: bytes, subject: str, read: Callable[[bytes], T]) -> T:
    """What ``read`` makes of the body, repaired where that helps; Malformed, naming ``subject``, for all else."""
    if not body.strip():
        raise Malformed("empty body where a feed was expected", subject, body=body[:SAMPLE_BYTES])
    if looks_like_html(body):
        raise Malformed("HTML where a feed was expected", subject, body=body[:SAMPLE_BYTES])
    body_read = _in_utf8(
        body.lstrip(b" \t\r\n")
    )  # a blank before the declaration is an error in XML and common in feeds
    try:
        try:
            return read(body_read)
        except expat.ExpatError as error:
            repaired = _repaired(body_read, error.code)
            if repaired is None:
                raise
            return read(repaired)
    except RefusedError as error:
        raise Malformed(str(error), subject, body=body[:SAMPLE_BYTES]) from None
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two: a charset nobody knows
        raise Malformed("not a whole XML document", subject, error, body=body[:SAMPLE_BYTES]) from None


def _in_utf8(body: bytes) -> bytes:
    """The body itself; in UTF-8, without its declaration, where it is in a charset of the East that expat can't read."""
    declared = _DECLARED.match(body[:200].removeprefix(b"\xef\xbb\xbf"))
    name = declared[1].decode("ascii").lower() if declared else ""
    if name not in _EASTERN:
        return body
    text = body.decode(name, errors="replace")
    return text[text.find("?>") + 2 :].encode()


def _repaired(body: bytes, code: int) -> bytes | None:
    """The body with what broke it written otherwise; None: nothing to repair."""
    if code == _UNDEFINED_ENTITY:
        repaired = _ENTITY.sub(_as_number, body)
    elif code == _UNBOUND_PREFIX:
        repaired = _with_prefixes(body)
    elif code == _INVALID_TOKEN:
        declared = _DECLARED.match(body[:200].removeprefix(b"\xef\xbb\xbf"))
        if declared and declared[1].lower() not in (b"utf-8", b"utf8"):
            return None
        # UTF-8 with what XML can't hold replaced: one broken character must not cost the page
        repaired = _NOT_XML.sub("\ufffd", body.decode("utf-8", errors="replace")).encode()
    else:
        return None
    return repaired if repaired != body else None


def _with_prefixes(body: bytes) -> bytes:
    """Every prefix that stands before a name and is declared nowhere, declared at the root."""
    used = {prefix for pair in _PREFIX.findall(body) for prefix in pair if prefix} - {b"xml", b"xmlns"}
    unknown = sorted(used - set(_DECLARATION.findall(body)))[:MAX_ATTRIBUTES]
    spaces = b"".join(b' xmlns:%s="%s"' % (name, _USUAL.get(name, b"urn:undeclared:" + name)) for name in unknown)
    return _ROOT.sub(lambda match: match[0] + spaces, body, count=1)


def _as_number(match: re.Match[bytes]) -> bytes:
    """``&nbsp;`` as ``&#160;``: the same character, in words that XML knows; an unknown name as the letters it has."""
    if match[1] in _OF_XML:
        return match[0]
    found = html5.get(f"{match[1].decode()};")
    return b"&amp;" + match[1] + b";" if found is None else "".join(f"&#{ord(letter)};" for letter in found).encode()


def refuse_document_types(parser: expat.XMLParserType) -> None:
    """Make the parser stop at a document type and at an entity, before either can do anything."""

    def refuse(*_: Any) -> None:
        raise RefusedError("the feed declares a document type or an entity")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse


# ------------------------------------------------------------------------------------------------------- the tree


@dataclass(slots=True)
class Node:
    """One element: its name, its attributes, and what stands in it in order."""

    name: str  # local, lower case
    space: str  # its namespace, "" for none
    attributes: dict[str, str] = field(default_factory=dict)  # local names, lower case
    parts: list[str | Node] = field(default_factory=list)

    def children(self, name: str | None = None, space: str | None = None) -> Iterator[Node]:
        """Its elements, in order; of one name, of one namespace."""
        for part in self.parts:
            if isinstance(part, Node) and name in (None, part.name) and space in (None, part.space):
                yield part

    def child(self, name: str, space: str | None = None) -> Node | None:
        return next(self.children(name, space), None)

    def text(self) -> str:
        """All characters in it, those of its elements included."""
        return "".join(part if isinstance(part, str) else part.text() for part in self.parts).strip()

    def markup(self) -> str:
        """What stands in it, as HTML."""
        return "".join(
            html.escape(part, quote=False) if isinstance(part, str) else part.written() for part in self.parts
        )

    def written(self) -> str:
        shown = "".join(f' {name}="{html.escape(value)}"' for name, value in self.attributes.items())
        return f"<{self.name}{shown}>" + ("" if self.name in _VOID else f"{self.markup()}</{self.name}>")


def read_tree(body: bytes, subject: str) -> Node:
    """The root element of a document; Malformed, naming ``subject``, if it is none or too large."""
    return guarded(body, subject, _read)


def _read(body: bytes) -> Node:
    open_nodes: list[Node] = []
    roots: list[Node] = []
    elements = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal elements
        elements += 1
        if len(open_nodes) >= MAX_DEPTH:
            raise RefusedError(f"the feed is nested deeper than {MAX_DEPTH} elements")
        if len(attributes) > MAX_ATTRIBUTES:
            raise RefusedError(f"an element of the feed has more than {MAX_ATTRIBUTES} attributes")
        if elements > MAX_ELEMENTS:
            raise RefusedError(f"the feed has more than {MAX_ELEMENTS} elements")
        space, _, local = name.rpartition(" ")
        given = {key.rpartition(" ")[2].lower(): value for key, value in attributes.items()}
        node = Node(local.lower(), space, given)
        (open_nodes[-1].parts if open_nodes else roots).append(node)
        open_nodes.append(node)

    def end(_: str) -> None:
        open_nodes.pop()

    def data(text: str) -> None:
        if open_nodes:
            open_nodes[-1].parts.append(text)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    refuse_document_types(parser)
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = data
    parser.Parse(body, True)
    return roots[0]
