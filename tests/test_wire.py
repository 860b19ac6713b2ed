"""Bytes of strangers to JSON, text and times: tables of what has been met, and laws that hold for anything."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, SupportsIndex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tracker.errors import Malformed
from tracker.wire import (
    EARLIEST,
    FUTURE_SLACK,
    SAMPLE_BYTES,
    believable,
    clean,
    count,
    decode_text,
    from_epoch,
    from_iso,
    from_mail_date,
    html_to_text,
    link,
    load_json,
    looks_like_html,
    quantity,
    symbol_text,
    tally,
    text_id,
    to_yahoo,
    unescape,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MARKUP = st.text(st.one_of(st.sampled_from("<>!-/&;#pbrscript \n"), st.characters()), max_size=200)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=8,
)

# ------------------------------------------------------------------------------------------------------- JSON


@given(JSON_VALUES)
def test_any_document_is_read_as_it_was_written_with_or_without_a_mark(value: Any) -> None:
    body = json.dumps(value).encode()
    assert load_json(body, "x") == value
    assert load_json(b"\xef\xbb\xbf" + body, "x") == value


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty body"),
        (b" \r\n\t", "empty body"),
        (b"<!DOCTYPE html><html>", "HTML where JSON"),
        (b"\xef\xbb\xbf \n<HTML>", "HTML where JSON"),
        (b'{"a": 1', "not a whole JSON document"),
        (b'{"a": 1} {"b": 2}', "not a whole JSON document"),
        (b"\xff\xfe\x00", "not a whole JSON document"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"n": ' + b"9" * 5000 + b"}", "not a whole JSON document"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_everything_else_is_malformed_and_carries_a_sample(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason) as caught:
        load_json(body, "pond")
    assert caught.value.subject == "pond"
    assert caught.value.body == body[:SAMPLE_BYTES]


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    with suppress(Malformed):
        load_json(body, "x")
    decode_text(body).encode("utf-8")
    assert isinstance(looks_like_html(body), bool)


# ------------------------------------------------------------------------------------------------------ values


@given(st.text(st.characters()))
@example("half a pair \ud83d of two")  # drawn by chance it would hardly ever be
def test_cleaned_text_can_be_stored_and_keeps_its_length(text: str) -> None:
    found = clean(text)
    assert found is not None
    found.encode("utf-8")
    assert len(found) == len(text)
    assert all(a == b for a, b in zip(found, text, strict=True) if not "\ud800" <= b <= "\udfff")


@pytest.mark.parametrize("value", [None, 1, 1.5, True, [], {}, b"x"])
def test_what_is_no_text_is_unknown(value: object) -> None:
    assert clean(value) is None
    assert link(value) is None
    assert from_iso(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**80, str(2**80)),
        (0, "0"),
        (" abc ", "abc"),
        ("", None),
        ("  ", None),
        (True, None),
        (1.0, None),
        (None, None),
        ({}, None),
        (10**5000, None),
        ("a\ud800", "a\ufffd"),
    ],
    ids=lambda value: str(value)[:12] if not isinstance(value, int) or value < 10**100 else "huge",
)
def test_an_id_is_text_with_every_digit_or_unknown(value: object, expected: str | None) -> None:
    assert text_id(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (7, 7),
        (7.0, 7),
        (-1, -1),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (7.5, None),
        (math.nan, None),
        (math.inf, None),
        (True, None),
        ("7", None),
        (None, None),
    ],
)
def test_a_count_is_a_whole_number_that_fits_or_unknown_never_nought(value: object, expected: int | None) -> None:
    assert count(value) == expected


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("https://pond.example/1", True),
        ("HTTP://pond.example", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        (" https://pond.example", False),
        ("//pond.example", False),
        ("", False),
    ],
)
def test_only_web_addresses_are_links(value: str, kept: bool) -> None:
    assert link(value) == (value if kept else None)


# -------------------------------------------------------------------------------------------------------- HTML


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<p>Calls on <b>$GME</b></p><p>now</p>", "Calls on $GME\n\nnow"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("a &amp;lt; b &amp; c", "a &lt; b & c"),
        ("price &lt; 5 &#36;BABA &#x1F680;", "price < 5 $BABA 🚀"),
        ("I <3 this, 5 < 6 > 4", "I <3 this, 5 < 6 > 4"),
        ("<script>alert('$GME')</script>left", "left"),
        ("<style>p { color: red }</style><script>x</script>left", "left"),
        ("seen<!-- not > seen -->too", "seentoo"),
        ("cut off <a href='x", "cut off <a href='x"),
        ("cut off <!-- for ever", "cut off"),
        ("a \t\xa0 b", "a b"),
        ("<p>a</p>\n\n\n<p>b</p>", "a\n\nb"),
        ("&#0; &#xD800; &#1114112;", "\ufffd \ufffd \ufffd"),
        ("<", "<"),
        ("", ""),
    ],
)
def test_markup_becomes_the_text_that_a_person_sees(markup: str, expected: str) -> None:
    assert html_to_text(markup) == expected


@given(MARKUP)
@settings(max_examples=300)
def test_no_markup_breaks_the_text_reader(markup: str) -> None:
    found = html_to_text(markup)
    assert found == found.strip()
    assert "\n\n\n" not in found
    assert html_to_text(markup) == found


@given(
    st.text(st.sampled_from("abc 5$é🚀.,!"), max_size=60),
    st.lists(st.sampled_from(["b", "i", "a href='x'", "span"]), max_size=5),
)
def test_inline_tags_change_no_word(words: str, tags: list[str]) -> None:
    markup = "".join(f"<{tag}>" for tag in tags) + words + "".join(f"</{tag.split()[0]}>" for tag in reversed(tags))
    assert html_to_text(markup) == html_to_text(words)


@pytest.mark.parametrize("digits", [29, 30, 4300, 5000, 100_000])
@pytest.mark.parametrize("end", [";", "", "x"])
def test_a_character_number_of_any_length_is_read(digits: int, end: str) -> None:
    markup = "a&#" + "9" * digits + end
    rest = "x" if end == "x" else ""
    assert unescape(markup) == html_to_text(markup) == f"a\ufffd{rest}"


class Counting(str):
    """Text that counts how many of its characters are looked at, in itself and in every part that is cut out of it."""

    __slots__ = ("looks",)

    looks: list[int]

    @classmethod
    def of(cls, text: str, looks: list[int]) -> Counting:
        found = cls(text)
        found.looks = looks
        return found

    def find(self, sub: str, start: SupportsIndex | None = 0, end: SupportsIndex | None = None, /) -> int:
        begin = int(start or 0)
        place = super().find(sub, begin, end)
        self.looks.append((len(self) if place < 0 else place + len(sub)) - begin)
        return place

    def startswith(
        self, prefix: str | tuple[str, ...], start: SupportsIndex | None = 0, end: SupportsIndex | None = None, /
    ) -> bool:
        self.looks.append(len(prefix))
        return super().startswith(prefix, start, end)

    def __getitem__(self, key: SupportsIndex | slice, /) -> str:
        found = super().__getitem__(key)
        self.looks.append(len(found))
        return Counting.of(found, self.looks)


HOSTILE = [
    "<",
    "<a",
    "<a>",
    "</",
    "<!--",
    "<!---->",
    "<!-- >",
    "<p><",
    "<script>",
    "a<b ",
    "<a<b>",
    "&#1;",
    "&",
    "<!-",
    "<?",
    "\n<br>",
]


def looked_at(markup: str) -> int:
    looks: list[int] = []
    html_to_text(Counting.of(markup, looks))
    return sum(looks)


@pytest.mark.parametrize("unit", HOSTILE)
def test_work_grows_with_the_length_and_no_faster(unit: str) -> None:
    small, large = looked_at(unit * 1000), looked_at(unit * 10_000)
    assert large <= 10 * small + 100
    assert large <= 12 * len(unit) * 10_000


@given(MARKUP)
def test_no_markup_is_looked_at_more_than_a_few_times(markup: str) -> None:
    assert looked_at(markup) <= 12 * len(markup) + 12


def test_the_counting_text_does_count() -> None:
    assert looked_at("x" * 100) >= 100


# ------------------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1772452800, NOW),
        ("1772452800.5", NOW + timedelta(seconds=0.5)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (10**400, None),
        (1e300, None),
        (math.nan, None),
        (math.inf, None),
        ("soon", None),
        ("", None),
        (True, None),
        (None, None),
        ([], None),
    ],
    ids=lambda value: str(value)[:12] if not isinstance(value, int) or value < 10**100 else "huge",
)
def test_unix_seconds_are_a_time_or_unknown(value: object, expected: datetime | None) -> None:
    assert from_epoch(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-02T12:00:00Z", NOW),
        ("2026-03-02T12:00:00", NOW),
        (" 2026-03-02T14:00:00+02:00 ", NOW),
        ("2026-03-02T12:00:00.123456789Z", NOW + timedelta(microseconds=123456)),
        ("2026-03-02", NOW - timedelta(hours=12)),
        ("10000-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("2026-02-30T00:00:00Z", None),
        ("2016-12-31T23:59:60Z", None),  # a leap second: the time at which it was seen stands for it
        ("\ud800", None),
        ("", None),
        (1772452800, None),
    ],
)
def test_iso_times_are_utc_or_unknown(value: object, expected: datetime | None) -> None:
    assert from_iso(value) == expected


@given(st.one_of(st.text(max_size=40), st.integers(), st.floats(), st.none(), st.booleans()))
def test_a_time_is_aware_utc_or_unknown_whatever_was_claimed(value: object) -> None:
    for found in (from_epoch(value), from_iso(value), from_mail_date(value)):
        assert found is None or found.utcoffset() == timedelta(0)


AWARE = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda found: found.replace(tzinfo=UTC))


@given(st.none() | AWARE)
def test_a_stored_time_is_possible_and_flagged_exactly_when_it_is_not_the_claimed_one(claimed: datetime | None) -> None:
    stored, flagged = believable(claimed, NOW)
    assert EARLIEST <= stored <= NOW + FUTURE_SLACK
    assert flagged == (stored != claimed)


@pytest.mark.parametrize(
    ("claimed", "stored", "flagged"),
    [
        (None, NOW, True),
        (EARLIEST - timedelta(seconds=1), EARLIEST, True),
        (EARLIEST, EARLIEST, False),
        (NOW + FUTURE_SLACK, NOW + FUTURE_SLACK, False),
        (NOW + FUTURE_SLACK + timedelta(seconds=1), NOW, True),
    ],
)
def test_the_edges_of_what_is_believed(claimed: datetime | None, stored: datetime, flagged: bool) -> None:
    assert believable(claimed, NOW) == (stored, flagged)


def test_the_last_of_all_moments_can_be_told_at_itself() -> None:
    end = datetime.max.replace(tzinfo=UTC)  # an archive on the simulated clock, with a stamp at its end
    assert believable(end, end) == (end, False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Mon, 02 Mar 2026 12:00:00 GMT", NOW),
        ("Mon, 02 Mar 2026 07:00:00 EST", NOW),
        ("02 Mar 26 12:00", NOW),
        ("Seg, 02 Mar 2026 09:00:00 -0300", NOW),
        ("Mon, 32 Mar 2026 12:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -1200", None),
        ("x" * 10_000, None),
        (7, None),
    ],
)
def test_times_of_mails_are_utc_or_unknown(value: object, expected: datetime | None) -> None:
    assert from_mail_date(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0), (2.5, 2.5), ("3", 3.0), ("$1,234.50", 1234.5), ("-$2", -2.0), (" 3,170,573 ", 3170573.0),
        ("1,23", None), ("1.2.3", None), ("", None), ("$", None), ("1e5", None), ("N/A", None), ("١", None),
        (True, None), (None, None), (float("nan"), None), (1e999, None), (10**400, None), ([3], None),
    ],
)  # fmt: skip
def test_a_number_may_be_written_as_text(value: object, expected: float | None) -> None:
    assert quantity(value) == expected


@pytest.mark.parametrize(
    ("value", "least", "expected"),
    [
        (3, 0, 3),
        ("1,063", 0, 1063),
        (7.0, 0, 7),
        (7.5, 0, None),
        (0, 0, 0),
        (0, 1, None),
        (-1, 0, None),
        (2**63, 0, None),
        (2**53 + 1, 0, 2**53 + 1),
    ],
)
def test_a_count_is_whole_and_not_below_the_least(value: object, least: int, expected: int | None) -> None:
    assert tally(value, least) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("gme", "GME"),
        (" $brk.b ", "BRK.B"),
        ("ES=F", "ES=F"),
        ("^SPX", "^SPX"),
        ("$", None),
        ("-", None),
        ("a b", None),
        ("é", None),
        (None, None),
        ("X" * 16, None),
    ],
)
def test_a_symbol_is_what_can_be_one(value: object, expected: str | None) -> None:
    assert symbol_text(value) == expected


@pytest.mark.parametrize(
    ("symbol", "written"),
    [
        ("BABA", "BABA"),
        ("BRK.B", "BRK-B"),
        ("BTC.X", "BTC-USD"),
        ("9988.HK", "9988.HK"),
        ("RY.CA", "RY.TO"),
        ("ES_F", "ES=F"),
    ],
)
def test_symbols_as_yahoo_writes_them(symbol: str, written: str) -> None:
    assert to_yahoo(symbol) == written
