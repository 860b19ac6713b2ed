"""The contract that every source keeps: modules are found by listing the package, samples by listing ``samples/``.

A sample is a pair, ``samples/SOURCE.QUIRK.EXT`` (the bytes of one answer: json, ndjson, xml or html) and
``samples/SOURCE.QUIRK.expected.json`` (the items that ``parse`` makes of it, as ``plain`` below writes them: fields at
their defaults left out). A pair named ``SOURCE.archive-FORMAT.QUIRK`` holds a file of an archive instead, read by
``ARCHIVE[FORMAT]``: a line at a time where it is ndjson, else whole. Ids within a sample are unique unless the quirk
says ``duplicate``.
"""

from __future__ import annotations

import ast
import inspect
import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracker.errors import Malformed
from tracker.models import Deletion, Flaw, Headline, Item, Message, OptionTotals, PriceBar, Rank
from tracker.sources import BackfillSource, RecheckSource, Source, archive_parsers, brings, load, names, service_of
from tracker.wire import from_iso

TESTS = Path(__file__).parent
SAMPLES = TESTS / "samples"
KINDS: dict[str, type[Item]] = {
    "message": Message, "deletion": Deletion, "flaw": Flaw, "headline": Headline, "rank": Rank, "bar": PriceBar, "options": OptionTotals
}  # fmt: skip
BROUGHT: dict[str, tuple[type[Item], ...]] = {  # what a source may give, by what it is for
    "talk": (Message, Deletion, Flaw),
    "news": (Headline, Flaw),
    "ranks": (Rank, Flaw),
    "prices": (PriceBar, OptionTotals, Flaw),
}
DEEP = 100_000
WATCH_LIST = ("BABA", "NVDA", "BRK.B", "BTC.X")

ALL = names()
PATHS = sorted(path for path in SAMPLES.iterdir() if ".expected." not in path.name and path.name.split(".")[0] in ALL)
ANSWERS = [path for path in PATHS if ".archive-" not in path.name]
every_source = pytest.mark.parametrize("name", ALL)
every_sample = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
every_answer = pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.name)
quick = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


def plain(item: Item) -> dict[str, Any]:
    """An item as JSON has it: its kind, then the fields that are not at their defaults, times in ISO 8601."""
    kind = next(word for word, found in KINDS.items() if isinstance(item, found))
    shown: dict[str, Any] = {"kind": kind}
    for field in fields(item):
        value = getattr(item, field.name)
        if value is None or value in ((), "") or (field.default is not MISSING and value == field.default):
            continue
        shown[field.name] = _plain_value(value)
    return shown


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value):
        return {field.name: _plain_value(getattr(value, field.name)) for field in fields(value)}
    return [_plain_value(part) for part in value] if isinstance(value, tuple) else value


def expected_items(path: Path) -> list[dict[str, Any]]:
    """What is written beside a sample, made comparable: no defaults, one form of writing times."""
    written = json.loads(path.with_name(f"{path.name.removesuffix(path.suffix)}.expected.json").read_text("utf-8"))
    return [_comparable(entry) for entry in (written["items"] if isinstance(written, dict) else written)]


def _comparable(entry: dict[str, Any]) -> dict[str, Any]:
    given_kind = entry.get("kind") or entry.get("type")
    kind = str(given_kind or ("message" if "text" in entry else "flaw" if "reason" in entry else "deletion")).lower()
    found: dict[str, Any] = {"kind": kind}
    for name, value in entry.items():
        if name in ("kind", "type") or value is None or value in ([], ""):
            continue
        found[name] = _moment(value) if name.endswith("_at") else value
    return found


def _moment(value: str) -> str:
    moment = from_iso(value)
    assert moment is not None, f"not a time: {value}"
    return moment.isoformat()


def read(path: Path, body: bytes | None = None) -> list[Item]:
    """The items of a sample, by the parser that its name asks for."""
    source, quirk = path.name.split(".")[:2]
    found = path.read_bytes() if body is None else body
    if not quirk.startswith("archive-"):
        return load(source).parse(found)
    parser: Callable[[bytes], list[Item]] = archive_parsers(source)[quirk.removeprefix("archive-")]
    if path.suffix not in (".ndjson", ".jsonl"):
        return parser(found)
    return [item for line in found.splitlines() if line.strip() for item in parser(line)]


def check_item(item: Item, source: str) -> None:
    """What holds for each item, however hostile the bytes were that it was made of."""
    assert isinstance(item, BROUGHT[brings(source)])
    if isinstance(item, Flaw):
        assert item.reason
        return
    assert item.source == service_of(source)
    if not isinstance(item, Message | Deletion):
        check_aside(item)
        return
    times = [item.created_at] if isinstance(item, Message) else [item.deleted_at]
    assert all(moment is None or moment.tzinfo is UTC for moment in times)
    if isinstance(item, Deletion):
        assert item.id or item.author
        return
    assert item.id
    assert item.id == item.id.strip()
    assert item.label in (None, "bullish", "bearish")
    assert item.url is None or item.url.startswith(("http://", "https://"))
    assert all(number is None or type(number) is int for number in (item.likes, item.reshares, item.replies))
    assert len(set(item.symbols)) == len(item.symbols)
    assert all(symbol and symbol == symbol.strip() for symbol in item.symbols)
    texts = (item.id, item.text, item.author, item.lang, item.url, item.reply_to, item.reshare_of, item.revision)
    for text in (*texts, *item.symbols):
        assert text is None or isinstance(text, str)
        (text or "").encode()  # a lone surrogate can't be stored


def check_aside(item: Headline | Rank | PriceBar | OptionTotals) -> None:
    """What is no talk: storable texts, believable numbers, times in UTC."""
    for field in fields(item):
        value = getattr(item, field.name)
        if isinstance(value, str):
            value.encode()
        elif isinstance(value, datetime):
            assert value.tzinfo is UTC
        elif isinstance(value, float):
            assert math.isfinite(value)
        elif isinstance(value, int):
            assert 0 <= value < 2**63
    if isinstance(item, Headline):
        assert item.id.strip()
        assert item.title == " ".join(item.title.split()) != ""
        assert item.url is None or item.url.startswith(("http://", "https://"))
    elif isinstance(item, PriceBar):
        assert item.symbol
        assert item.close > 0
        assert (item.low or 0) <= (item.high or math.inf)
    elif isinstance(item, Rank):
        assert item.rank is None or item.rank > 0
        assert -1 <= (item.sentiment or 0) <= 1
        assert all(0 <= (score or 0) <= 100 for score in (item.sentiment_score, item.volume_score))


# ------------------------------------------------------------------------------------------------------ the module


@every_source
def test_constants_are_there_and_of_the_right_type(name: str) -> None:
    source = load(name)
    assert isinstance(source.TERMS, str)
    assert source.TERMS
    assert "\n" not in source.TERMS
    assert isinstance(source.NEEDS_ACKNOWLEDGEMENT, bool)
    assert isinstance(source.DEFAULT_ON, bool)
    assert not (source.NEEDS_ACKNOWLEDGEMENT and source.DEFAULT_ON)
    assert re.fullmatch(r"(https|wss)://[a-z0-9.-]+(/[\w./-]*[\w-])?", source.BASE_URL)
    assert isinstance(source.INTERVAL, float)
    assert source.INTERVAL > 0
    requests, seconds = source.BUDGET
    assert isinstance(requests, int)
    assert isinstance(seconds, float)
    assert requests > 0
    assert seconds > 0
    assert isinstance(source.CREDENTIALS, tuple)
    assert all(isinstance(credential, str) for credential in source.CREDENTIALS)
    assert source.KEEP in ("all", "mentions")
    assert brings(name) in BROUGHT
    adds = getattr(source, "KEY_ADDS", "nothing")
    assert isinstance(adds, str)
    assert adds
    assert "\n" not in adds


@every_source
def test_a_source_with_homes_has_one_for_each_of_its_streams(name: str) -> None:
    home = getattr(load(name), "home", None)
    for stream in load(name).streams(WATCH_LIST) if home else ():
        assert re.fullmatch(r"https?://[^/@]+", home(stream)), stream


@every_source
def test_docstring_tells_the_terms(name: str) -> None:
    written = load(name).__doc__ or ""
    assert re.search(r"^Terms\b", written, re.MULTILINE), "the docstring needs a line that begins with Terms"


@every_source
def test_functions_have_the_agreed_parameters(name: str) -> None:
    source = load(name)
    for function in ("streams", "stream_name", "fetch", "parse"):
        asked = list(inspect.signature(getattr(Source, function)).parameters)[1:]
        assert list(inspect.signature(getattr(source, function)).parameters) == asked, function
    assert inspect.iscoroutinefunction(source.fetch)


@every_source
def test_a_source_that_can_go_back_does_it_as_agreed(name: str) -> None:
    source = load(name)
    if isinstance(source, BackfillSource):
        asked = list(inspect.signature(BackfillSource.backfill).parameters)[1:]
        assert list(inspect.signature(source.backfill).parameters) == asked
        assert not inspect.iscoroutinefunction(source.backfill), "it gives stretches one after the other"


@every_source
def test_a_source_says_how_it_learns_of_deletions_and_can_be_asked_as_agreed(name: str) -> None:
    source = load(name)
    said = getattr(source, "DELETIONS", None)
    assert (said is not None) == (brings(name) == "talk"), "of talk it has to be said, of nothing else"
    assert said is None or (said and "\n" not in said)
    assert isinstance(source, RecheckSource) == hasattr(source, "RECHECK")
    if not isinstance(source, RecheckSource):
        return
    assert 1 <= source.RECHECK <= 100
    assert isinstance(source.RECHECK_EVERY, float)
    assert source.RECHECK_EVERY == 0 or source.RECHECK_EVERY >= 3600
    assert set(source.RECHECK_NEEDS) <= set(source.CREDENTIALS)
    assert isinstance(source.RECHECK_ELSEWHERE, bool)
    assert not source.RECHECK_ELSEWHERE or getattr(source, "OTHER_URLS", ())
    for function in ("recheckable", "recheck"):
        asked = list(inspect.signature(getattr(RecheckSource, function)).parameters)[1:]
        assert list(inspect.signature(getattr(source, function)).parameters) == asked, function
    assert inspect.iscoroutinefunction(source.recheck)
    assert service_of(name) == name, "what is stored of it has its name"
    assert "Re-check:" in (source.__doc__ or "")
    with suppress(ValueError):
        assert source.stream_name("recheck") != "recheck", "attempts are kept under this name"
    for id_ in ("", " ", "a,b", "1 2", "../x", "\x00"):
        assert not source.recheckable(source.BASE_URL, id_), "several are sent as one list"


@every_source
def test_archive_formats_are_named_parsers(name: str) -> None:
    found = archive_parsers(name)
    assert isinstance(found, dict)
    assert all(isinstance(word, str) and callable(parser) for word, parser in found.items())


@every_source
def test_default_streams_have_their_canonical_names(name: str) -> None:
    source = load(name)
    assert isinstance(source.streams(()), tuple)
    found = source.streams(WATCH_LIST)
    assert found
    assert [source.stream_name(stream) for stream in found] == list(found)


@every_source
@pytest.mark.parametrize("given", ["", "  ", "\x00", "no/such/stream/at all"])
def test_a_stream_that_can_not_be_is_refused_with_what_was_expected(name: str, given: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        load(name).stream_name(given)


@every_source
def test_a_source_sees_neither_the_clock_nor_the_store_nor_another_source(name: str) -> None:
    path = Path(inspect.getsourcefile(load(name)) or "")  # type: ignore[arg-type]
    files = sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                assert not module.startswith(("tracker.store", "tracker.config", "tracker.app", "duckdb")), module
                assert not module.startswith("tracker.sources") or module.startswith(f"tracker.sources.{name}"), module
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("now", "utcnow", "today"), f"{file.name}:{node.lineno} reads the clock"


@every_source
def test_has_samples_and_tests_of_its_own(name: str) -> None:
    assert any(path.name.startswith(f"{name}.") for path in ANSWERS), "no sample of an answer"
    assert list(TESTS.glob(f"test_source_{name}*.py"))


def test_an_unknown_source_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="gossip"):
        load("gossip")


def test_every_expectation_belongs_to_a_sample_of_a_source() -> None:
    known = {path.name.removesuffix(path.suffix) for path in PATHS}
    written = {path.name.removesuffix(".expected.json") for path in SAMPLES.glob("*.expected.json")}
    assert written == known


# ----------------------------------------------------------------------------------------------------- the samples


@every_sample
def test_a_sample_parses_to_what_is_expected(path: Path) -> None:
    assert [plain(item) for item in read(path)] == expected_items(path)


@every_sample
def test_a_sample_parses_the_same_twice(path: Path) -> None:
    assert read(path) == read(path)


@every_sample
def test_items_of_a_sample_are_well_formed_and_their_ids_unique(path: Path) -> None:
    items = read(path)
    for item in items:
        check_item(item, path.name.split(".")[0])
    ids = [item.id for item in items if isinstance(item, Message | Headline)]
    assert "duplicate" in path.name or len(set(ids)) == len(ids)


@every_answer
def test_a_truncated_sample_is_malformed(path: Path) -> None:
    body = path.read_bytes().rstrip()
    last = body.splitlines()[-1]
    for cut in (len(body) - 1, len(body) - len(last) + len(last) // 2):
        with pytest.raises(Malformed):
            read(path, body[: max(cut, 1)])


@every_sample
def test_a_byte_order_mark_changes_nothing(path: Path) -> None:
    body = path.read_bytes()
    assert [plain(item) for item in read(path, b"\xef\xbb\xbf" + body)] == expected_items(path)


# -------------------------------------------------------------------------------------------------- hostile bodies

HOSTILE = {
    "empty": b"",
    "blank": b" \r\n\t ",
    "null": b"null",
    "true": b"true",
    "number": b"1",
    "text": b'"messages"',
    "words": b"Too many requests",
    "html": b"<!DOCTYPE html><html><head><title>whoa there</title></head><body><p>no</p></body></html>",
    "html_behind_blanks": b"\n\n <html><body>Just a moment...</body></html>",
    "deep_list": b"[" * DEEP + b"]" * DEEP,
    "deep_object": b'{"data":' * DEEP + b"1" + b"}" * DEEP,
    "open_list": b"[" * DEEP,
    "long_number": b'{"hits":' + b"9" * 10_000 + b"}",
    "not_text": bytes(range(256)),
    "utf16": '{"messages": []}'.encode("utf-16"),
}


@every_source
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_answer_is_malformed(name: str, body: bytes) -> None:
    with pytest.raises(Malformed):
        load(name).parse(body)


@every_source
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_archive_is_malformed_or_flawed(name: str, body: bytes) -> None:
    for parser in archive_parsers(name).values():
        assert read_or_malformed(parser, body, name) in (None, 0)


def read_or_malformed(parser: Callable[[bytes], list[Item]], body: bytes, source: str) -> int | None:
    """The number of messages, each of them checked; None where the parser said Malformed."""
    try:
        items = parser(body)
    except Malformed as error:
        str(error).encode()
        return None
    assert isinstance(items, list)
    for item in items:
        check_item(item, source)
    return sum(not isinstance(item, Deletion | Flaw) for item in items)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(10**30), 0, 1e999, float("nan"), 253402300800, "9999-12-31T23:59:59-12:00"])
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["\ud800", "javascript:alert(1)", "&amp;lt;b&gt;", "<![x[", "2026-02-30T00:00:00Z", "$", "t3_a"])
)
CARELESS: tuple[Any, ...] = (
    *(None, True, -1, 0.5, 10**30, 253402300800, 1e999, float("nan"), [], {}, [None], [[]], {"a": []}),
    *("", " ", "\x00", "\ud800", "&#xD800;", "<![x[", "<a href='", "9999-12-31T23:59:59-12:00", "javascript:alert(1)"),
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def _documents_of(path: Path) -> list[Any]:
    """The JSON documents of a sample: one for each line, or one."""
    text = path.read_text("utf-8", errors="replace")
    parts = text.splitlines() if path.suffix in (".ndjson", ".jsonl") else [text]
    try:
        return [json.loads(part) for part in parts if part.strip()]
    except ValueError:
        return []


def _places(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something can be put in place of something else."""
    yield place
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from _places(child, (*place, key))


def _replaced(node: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy with ``value`` at ``place``."""
    if not place:
        return value
    key, *rest = place
    if isinstance(node, dict):
        return {name: _replaced(child, tuple(rest), value) if name == key else child for name, child in node.items()}
    return [_replaced(child, tuple(rest), value) if number == key else child for number, child in enumerate(node)]


def _shape(place: tuple[Any, ...]) -> tuple[Any, ...]:
    """Where something is, whichever element of a list it is in."""
    return tuple(0 if isinstance(key, int) else key for key in place)


def _spoilt_markup(page: str, tried: set[tuple[Any, ...]]) -> Iterator[str]:
    """A page with each value of an attribute and each text in turn as careless readers do not expect it."""
    for found in re.finditer(r'([\w-]+)="([^"]*)"|>([^<>]*[^<>\s][^<>]*)<', page):
        # a reader looks at classes; of the values of other attributes one is as good as another
        place = found.groups() if found[1] in (None, "class") else (found[1],)
        if place not in tried:
            tried.add(place)
            start, end = found.span(2 if found[1] else 3)
            yield from (page[:start] + value + page[end:] for value in CARELESS if isinstance(value, str))


@every_source
def test_nothing_in_the_place_of_something_is_more_than_a_flaw(name: str) -> None:
    """Each field of each sample in turn, by each of the values that break careless readers."""
    tried: set[tuple[Any, ...]] = set()
    for document in (found for path in PATHS if path.name.split(".")[0] == name for found in _documents_of(path)):
        for place in _places(document):
            if place and _shape(place) not in tried:
                tried.add(_shape(place))
                for value in CARELESS:
                    changed = json.dumps(_replaced(document, place, value)).encode()
                    for parser in (load(name).parse, *archive_parsers(name).values()):
                        read_or_malformed(parser, changed, name)
    for page in (path for path in PATHS if path.name.split(".")[0] == name and path.suffix == ".html"):
        for changed in _spoilt_markup(page.read_text("utf-8"), tried):
            read_or_malformed(load(name).parse, changed.encode("utf-8", "surrogatepass"), name)
    all_xml = all(path.suffix == ".xml" for path in PATHS if path.name.split(".")[0] == name)
    assert tried or all_xml, "no sample of this source has fields"


@every_source
@quick
@given(document=documents)
def test_any_json_gives_items_or_malformed(name: str, document: Any) -> None:
    for parser in (load(name).parse, *archive_parsers(name).values()):
        read_or_malformed(parser, json.dumps(document).encode(), name)


@every_source
@quick
@given(data=st.data())
def test_a_sample_with_anything_in_the_place_of_anything_gives_items_or_malformed(
    name: str, data: st.DataObject
) -> None:
    found = [document for path in PATHS if path.name.split(".")[0] == name for document in _documents_of(path)]
    if not found:
        pytest.skip("no sample of this source is JSON")
    document = data.draw(st.sampled_from(found))
    changed = _replaced(document, data.draw(st.sampled_from(list(_places(document)))), data.draw(documents))
    for parser in (load(name).parse, *archive_parsers(name).values()):
        read_or_malformed(parser, json.dumps(changed).encode(), name)


@every_answer
@quick
@given(data=st.data())
def test_a_sample_with_broken_bytes_gives_items_or_malformed(path: Path, data: st.DataObject) -> None:
    body = path.read_bytes()
    at = data.draw(st.integers(0, len(body)))
    upto = data.draw(st.integers(at, min(len(body), at + 20)))
    changed = body[:at] + data.draw(st.binary(max_size=6)) + body[upto:]
    source = path.name.split(".")[0]
    read_or_malformed(load(source).parse, changed, source)
