"""What holds for a brief about any facts: nothing raises, nothing unknown is printed, nobody's words become markup.

More worlds: ``TRACKER_EXAMPLES=2000 pytest tests/test_brief_laws.py``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import types
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any, Union, get_args, get_origin, get_type_hints

import hypothesis.strategies as st
from briefs import AT, ZONE
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from tracker.brief import BriefFacts, lead_sentence, newsroom_paragraph, paragraphs, write, write_all
from tracker.brief.words import PRICE_DOWN, PRICE_UP, TALK_DOWN, TALK_UP, sized

EXAMPLES = int(os.environ.get("TRACKER_EXAMPLES", "100"))
LABELS = ("extremely bearish", "bearish", "neutral", "bullish", "extremely bullish")
VOLUMES = ("extremely low", "low", "normal", "high", "extremely high")
CHANGES = ("change", "volume_change", "session_change", "week_change", "month_change", "year_change")
SHARES = (
    "bullish_ratio",
    "bullish_ratio_low",
    "bullish_ratio_high",
    "share",
    "below_high",
    "up",
    "heard_week",
    "heard_week_before",
)
# whatever ends a tag, an attribute, a paragraph, a link; no digits, so that a percentage is never a stranger's
NASTY = ("<script>", "</p>", '" onload="x', "&lt;", "](javascript:x)", "`", "|", "\n\n# x\n", "\u202e", "\x1b[m", "<b", "%", "🚀", "word", " ")  # fmt: skip
URLS = (
    None,
    "https://example.test/a",
    "javascript:alert(x)",
    'https://example.test/"><b>',
    "http://[",
    "https://example.test/a b)(c",
)

words = st.lists(st.sampled_from(NASTY), max_size=25).map("".join)
moments = st.timedeltas(timedelta(0), timedelta(days=40)).map(lambda back: AT - back)
VOCABULARY: dict[str, SearchStrategy[Any]] = {
    "symbol": st.sampled_from(("BABA", "BIDU", "<b>&x")),
    "zone": st.just(ZONE),
    "window_name": st.sampled_from(("24h", "7d")),
    "sentiment_label": st.sampled_from(LABELS),
    "label": st.sampled_from(LABELS),
    "previous_label": st.sampled_from(LABELS),
    "volume_label": st.sampled_from(VOLUMES),
    "baseline": st.sampled_from(("own", "pooled", "none", "default")),
    "volume_baseline": st.sampled_from(("own", "pooled", "none")),
    "kind": st.sampled_from(("organic", "copied", "stock", "coin")),
    "severity": st.sampled_from(("notable", "high", "extreme")),
    "first_severity": st.sampled_from(("notable", "high", "extreme")),
    "session": st.sampled_from(("pre", "regular", "post")),
    "bucket_width": st.sampled_from((timedelta(hours=1), timedelta(days=1))),
    "group": st.just("china_tech"),
    "url": st.sampled_from(URLS),
    "message_id": st.sampled_from(("a", "b")),
}  # fmt: skip


def of_field(name: str, kind: Any) -> SearchStrategy[Any]:
    """Any value that a field may have."""
    if get_origin(kind) in (Union, types.UnionType):
        inner = [one for one in get_args(kind) if one is not type(None)]
        return st.none() | of_field(name, inner[0])
    if name in VOCABULARY:
        return VOCABULARY[name]
    if get_origin(kind) in (tuple, list):
        many = st.lists(of_field("", get_args(kind)[0]), max_size=3)
        return many.map(tuple) if get_origin(kind) is tuple else many
    if dataclasses.is_dataclass(kind):
        return of_kind(kind)
    if kind is float:
        if name in SHARES:
            return st.integers(0, 100_000).map(lambda parts: parts / 100_000)
        return st.floats(-1, 30) if name in CHANGES else st.floats(0, 1e6)
    plain: dict[Any, SearchStrategy[Any]] = {
        bool: st.booleans(), int: st.integers(0, 10**7), str: words, datetime: moments, date: moments.map(datetime.date),
        timedelta: st.timedeltas(timedelta(0), timedelta(days=9)),
    }  # fmt: skip
    return plain[kind]


def of_kind(kind: Any) -> SearchStrategy[Any]:
    """Any row of a type."""
    hints = get_type_hints(kind)
    return st.builds(kind, **{field.name: of_field(field.name, hints[field.name]) for field in fields(kind)})


def likely(facts: BriefFacts, known: bool) -> BriefFacts:
    """What ``read_facts`` sees to: ``labelled`` has a label. And a moment, without which there is little to say."""
    seen = facts.labelled and replace(facts.labelled, sentiment_label=facts.labelled.sentiment_label or "bullish")
    return replace(facts, labelled=seen, at=AT if known else facts.at)


facts_of = st.builds(likely, of_kind(BriefFacts), st.sampled_from((True, True, True, False)))
anything = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def numbers(value: Any, name: str = "") -> Iterator[float]:
    """Every ratio among the facts."""
    if dataclasses.is_dataclass(value):
        for field in fields(value):
            yield from numbers(getattr(value, field.name), field.name)
    elif isinstance(value, tuple):
        for one in value:
            yield from numbers(one, name)
    elif isinstance(value, float) and name in (*CHANGES, *SHARES):
        yield abs(value) * 100


def stated(text: str) -> Iterator[tuple[float, float]]:
    """Every percentage of a text with the size of its last digit; the width of the interval is no fact."""
    for whole, decimals in re.findall(r"(\d[\d,]*)(?:\.(\d+))? %(?! interval)", text):
        yield float(f"{whole.replace(',', '')}.{decimals or 0}"), 10.0 ** -len(decimals)


@anything
@given(facts_of)
def test_every_percentage_is_a_fact_and_nothing_unknown_is_printed(facts: BriefFacts) -> None:
    known = list(numbers(facts))
    for text in ("\n".join(paragraphs(facts)), newsroom_paragraph(facts), lead_sentence(facts)):
        assert not re.search(r"\b(None|nan|inf|NaT)\b", text), text
        for number, digit in stated(text):
            assert any(abs(number - fact) <= digit * (1 + 1e-9) for fact in known), (number, text)


@anything
@given(facts_of)
def test_each_paragraph_is_one_line_and_a_sentence(facts: BriefFacts) -> None:
    for told in (*paragraphs(facts), newsroom_paragraph(facts)):
        assert told == told.strip()
        assert told.isprintable() or "\u200d" in told
        assert told.endswith(".")
        assert told[0].isupper() or told[0].isdigit()
    assert write(facts, style="newsroom") == newsroom_paragraph(facts) + "\n"


class Page(HTMLParser):
    """Which elements a page opens and closes, with the addresses of its links."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.seen: set[str] = set()
        self.links: list[dict[str, str | None]] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "a":
            self.links.append(dict(attrs))
        if tag != "meta":
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


@anything
@given(st.lists(facts_of, min_size=1, max_size=2))
def test_a_page_parses_and_holds_no_markup_but_ours(facts: Sequence[BriefFacts]) -> None:
    page = Page()
    page.feed(write_all(facts, "html"))
    page.close()
    assert page.opened == []
    assert page.seen <= {
        "html",
        "head",
        "meta",
        "title",
        "body",
        "article",
        "h2",
        "p",
        "table",
        "tr",
        "th",
        "td",
        "ul",
        "li",
        "a",
    }
    assert page.attributes <= {"lang", "charset", "class", "href", "rel"}
    for link in page.links:
        assert link["rel"] == "noopener nofollow"
        assert re.fullmatch(r"https?://[^\s<>\"]+", link["href"] or "")


@anything
@given(facts_of)
def test_markdown_holds_no_markup_but_ours(facts: BriefFacts) -> None:
    for line in write(facts, "md").splitlines():
        ours = re.sub(r"^## |^- \[|\]\(<https?://[^\s<>]+>\)$", "", line)
        if not line.startswith("| "):
            assert not re.search(r"(?<!\\)[<>\[\]`|#*]", ours), line


@anything
@given(facts_of)
def test_json_is_valid_and_holds_every_fact(facts: BriefFacts) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    told = json.loads(write(facts, "json"), parse_constant=refuse)
    assert told.keys() == {field.name for field in fields(BriefFacts)} | {"text"}
    assert told["text"] == paragraphs(facts)
    assert told["at"] is None or datetime.fromisoformat(told["at"]) == facts.at
    assert len(told["ballots"]) == len(facts.ballots)


@settings(max_examples=10 * EXAMPLES, deadline=None)
@given(
    st.floats(-1, 40)
    | st.floats(-0.4, 0.4)
    | st.sampled_from([0.05, 0.3, 0.5, 1.0, -0.05, -0.3, -0.5, 0.08, 0.04, 0.005])
)
def test_a_printed_size_earns_its_verb(change: float) -> None:
    for up, down, decimals in ((TALK_UP, TALK_DOWN, 0), (PRICE_UP, PRICE_DOWN, 1)):
        verb, size = sized(change, up, down, decimals)
        shown = float(size.removesuffix(" %").replace(",", "")) / 100
        ladder = up if change > 0 else down
        assert verb == next((word for least, word in ladder if shown >= least), None), (change, size)
        assert abs(shown - abs(change)) <= 0.5 * 10 ** -(decimals + 2) + 1e-9
        assert (shown == 0) == (abs(change) < 1e-9), "nothing is said of nothing only"
