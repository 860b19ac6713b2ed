"""A brief as text, Markdown, HTML or JSON, about one symbol or several. Whatever strangers wrote is escaped."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

from tracker.brief import words
from tracker.brief.facts import BriefFacts
from tracker.brief.market import PEER_HEAD, peer_row
from tracker.brief.newsroom import newsroom_paragraph, paragraphs
from tracker.brief.talk import biggest_poll
from tracker.render import plain
from tracker.rows import Reading

Form = Literal["text", "md", "html", "json"]
Style = Literal["full", "newsroom"]

_Table = tuple[tuple[str, ...], list[tuple[str, ...]]]  # head and rows
_SAFE: Final = "/:?#@!$&'*+,;=%~"  # of an address; brackets and quotes would end a link in Markdown
_HEAD: Final = (
    "window",
    "at",
    "label",
    "opinions",
    "bullish ratio",
    "messages",
    "before",
    "change",
    "organic",
    "authors",
    "volume",
)


def told(facts: BriefFacts, zone: str | None = None, style: Style = "full") -> list[str]:
    """The paragraphs of one style."""
    return [newsroom_paragraph(facts, zone)] if style == "newsroom" else paragraphs(facts, zone)


def _reading_row(seen: Reading) -> tuple[str, ...]:
    """What the meter showed for one window, as text in the order of ``_HEAD``."""
    ratio = "–" if seen.bullish_ratio is None else words.share(seen.bullish_ratio)
    change = "–" if seen.volume_change is None else words.signed(seen.volume_change)
    opinions = seen.bullish + seen.bearish
    counts = (f"{seen.messages:,}", f"{seen.previous_messages:,}", change, f"{seen.organic:,}", f"{seen.authors:,}")
    label, volume = seen.sentiment_label or "–", seen.volume_label or "–"
    return (seen.window_name, words.utc(seen.at), label, f"{opinions:,}", ratio, *counts, volume)


def _tables(facts: BriefFacts) -> list[_Table]:
    """The readings, and the members of the group, where there are any."""
    readings = [_reading_row(seen) for seen in (facts.day, facts.week) if seen is not None]
    at = facts.at
    peers = [peer_row(member, facts, at) for member in facts.peers] if at is not None else []
    return [(head, rows) for head, rows in ((_HEAD, readings), (PEER_HEAD, peers)) if rows]


def _links(facts: BriefFacts) -> list[tuple[str, str]]:
    """What the brief speaks of and where it stands: text and a http(s) address."""
    poll, _ = biggest_poll(facts)
    shared = facts.talk.shared if facts.talk else None
    found = [("poll", poll[0].url if poll else None), ("message passed on most", shared.url if shared else None)]
    found += [(words.quoted(one.title) or "headline", one.url) for one in facts.headlines]
    return [(text, address) for text, url in found if (address := _address(url))]


def _address(url: str | None) -> str | None:
    """The address with nothing in it that could end a link; None for anything but http and https."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    if not url or parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    return quote(url, safe=_SAFE)


# ------------------------------------------------------------------------------------------------ forms


def _escaped(text: str) -> str:
    """Plain text that Markdown leaves alone."""
    return re.sub(r"([\\`*_\[\]<>|#$&~])", r"\\\1", text)


def _markdown(facts: BriefFacts, style: Style, zone: str | None) -> str:
    parts = [f"## {_escaped(words.clean(facts.symbol))}", *(_escaped(part) for part in told(facts, zone, style))]
    if style == "full":
        for head, rows in _tables(facts):
            lines = (head, ("---",) * len(head), *([_escaped(cell) for cell in row] for row in rows))
            parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        links = [f"- [{_escaped(text)}](<{address}>)" for text, address in _links(facts)]
        parts += ["\n".join(links)] if links else []
    return "\n\n".join(parts)


def _html(facts: BriefFacts, style: Style, zone: str | None) -> str:
    lines = [f"<h2>{html.escape(words.clean(facts.symbol))}</h2>"]
    lines += [f"<p>{html.escape(part, quote=False)}</p>" for part in told(facts, zone, style)]
    if style == "full":
        lines += [_html_table(head, rows) for head, rows in _tables(facts)]
        links = [
            f'<li><a href="{html.escape(address)}" rel="noopener nofollow">{html.escape(text, quote=False)}</a></li>'
            for text, address in _links(facts)
        ]
        lines += [f"<ul>{''.join(links)}</ul>"] if links else []
    return "\n".join(['<article class="brief">', *lines, "</article>"])


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell, quote=False)}</th>" for cell in head)
    body = ["".join(f"<td>{html.escape(cell, quote=False)}</td>" for cell in row) for row in rows]
    return "\n".join(["<table>", f"<tr>{top}</tr>", *(f"<tr>{row}</tr>" for row in body), "</table>"])


def _json(facts: BriefFacts, style: Style, zone: str | None) -> dict[str, Any]:
    found: dict[str, Any] = plain(asdict(facts))
    return {**found, "text": told(facts, zone, style)}


def write(facts: BriefFacts, form: Form = "text", zone: str | None = None, style: Style = "full") -> str:
    """The brief about one symbol, ending in a line break. ``zone`` None: the market's own.

    ``json`` holds every fact with nulls (times ISO 8601 UTC, spans in seconds) and the paragraphs under ``text``; ``html``
    is an ``article`` to be put on a page.
    """
    match form:
        case "json":
            written = json.dumps(_json(facts, style, zone), ensure_ascii=False, indent=2)
        case "html":
            written = _html(facts, style, zone)
        case "md":
            written = _markdown(facts, style, zone)
        case "text":
            written = "\n\n".join(told(facts, zone, style))
    return written + "\n"


def write_all(facts: Sequence[BriefFacts], form: Form = "text", zone: str | None = None, style: Style = "full") -> str:
    """Briefs about several symbols in one answer: a list in JSON, a whole page in HTML, else one after the other."""
    if form == "json":
        return json.dumps([_json(one, style, zone) for one in facts], ensure_ascii=False, indent=2) + "\n"
    written = [write(one, form, zone, style) for one in facts]
    if form != "html":
        return "\n".join(written)
    title = html.escape(f"Brief: {', '.join(words.clean(one.symbol) for one in facts)}", quote=False)
    head = f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>\n<body>\n'
    return f"{head}{''.join(written)}</body>\n</html>\n"
