"""Log lines: one per event, nothing hostile survives in them, nothing secret either."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.log import LONGEST, Changes, JsonFormatter, Masker, TextFormatter, escape, event, setup
from tracker.secret import Secret

MARKER = 's3cr3t marker+/"\\é'
HOSTILE = "a\nb\x1b[31m\u202e\u2028\x7f\x00c"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Levels and handlers of the whole process, put back."""
    names = [None, "httpx", "httpcore", "apscheduler", "websockets", "websockets.client"]
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def log() -> logging.Logger:
    return logging.getLogger("tracker.poll")


@pytest.fixture
def text() -> io.StringIO:
    stream = io.StringIO()
    setup("debug", "text", [Secret(MARKER), Secret("")], stream)
    return stream


@pytest.fixture
def objects() -> io.StringIO:
    stream = io.StringIO()
    setup("debug", "json", [Secret(MARKER)], stream)
    return stream


def only_object(stream: io.StringIO) -> dict[str, object]:
    (line,) = stream.getvalue().splitlines()
    return json.loads(line)


def record(**fields: object) -> logging.LogRecord:
    made = logging.LogRecord("tracker.poll", logging.INFO, __file__, 1, "%s", ("gone",), None)
    made.created = datetime(2026, 11, 22, 7, 0, 0, 123_456, tzinfo=UTC).timestamp()
    made.fields = fields
    return made


# ------------------------------------------------------------------------------------- shape


def test_text_line_has_time_level_logger_event_and_fields():
    line = TextFormatter(Masker()).format(record(source="reddit", failures=3, up=False, retry=None, reason="403: no"))
    assert line == '2026-11-22T07:00:00Z info  poll gone source=reddit failures=3 up=false retry=null reason="403: no"'


def test_json_line_is_one_object_with_typed_values():
    line = JsonFormatter(Masker()).format(record(source="reddit", failures=3, ratio=0.5, up=False, retry=None))
    assert json.loads(line) == {
        "at": "2026-11-22T07:00:00.123Z",
        "level": "info",
        "logger": "poll",
        "event": "gone",
        "source": "reddit",
        "failures": 3,
        "ratio": 0.5,
        "up": False,
        "retry": None,
    }


def test_times_are_utc_and_sequences_are_lists():
    at = datetime(2026, 11, 22, 9, 0, tzinfo=timezone(timedelta(hours=2)))
    found = json.loads(JsonFormatter(Masker()).format(record(until=at, symbols=("GME", 1), words={"b", "a"})))
    assert (found["until"], found["symbols"], found["words"]) == ("2026-11-22T07:00:00Z", ["GME", 1], ["a", "b"])
    assert TextFormatter(Masker()).format(record(symbols=("GME", 1))).endswith(" symbols=GME,1")


def test_numbers_that_json_has_not_become_text():
    found = json.loads(JsonFormatter(Masker()).format(record(a=float("nan"), b=float("-inf"))))
    assert (found["a"], found["b"]) == ("nan", "-inf")


def test_field_can_not_pass_for_one_of_ours():
    found = json.loads(JsonFormatter(Masker()).format(record(level="error", at="yesterday")))
    assert (found["level"], found["level_"], found["at_"]) == ("info", "error", "yesterday")


def test_fields_may_be_called_like_arguments(objects: io.StringIO, log: logging.Logger):
    event(log, "info", "moved", name="new", logger="x", msg="y")
    assert only_object(objects)["name"] == "new"


def test_below_its_level_nothing_is_written(log: logging.Logger):
    stream = io.StringIO()
    setup("warning", "text", [], stream)
    event(log, "info", "quiet")
    event(log, "warning", "loud")
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["loud"]


def test_libraries_that_tell_every_request_are_quiet(text: io.StringIO):
    logging.getLogger("httpx").info("GET https://example.org/")
    logging.getLogger("httpx").warning("odd")
    assert text.getvalue().count("\n") == 1


def test_second_setup_replaces_the_first(text: io.StringIO, log: logging.Logger):
    again = io.StringIO()
    setup("info", "text", [], again)
    event(log, "info", "once")
    assert text.getvalue() == ""
    assert again.getvalue().count("once") == 1


def test_standard_error_is_where_it_goes(capsys: pytest.CaptureFixture[str], log: logging.Logger):
    setup("info", "text")
    event(log, "info", "here")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(" here\n")


@pytest.mark.parametrize(("level", "fmt"), [("loud", "text"), ("info", "xml")])
def test_unknown_level_or_format_is_refused(level: str, fmt: str):
    with pytest.raises(ValueError, match="expected"):
        setup(level, fmt)


# ------------------------------------------------------------------------------------- hostile values


def test_text_line_stays_one_printable_line_whatever_it_is_given(text: io.StringIO, log: logging.Logger):
    event(log, "info", HOSTILE, **{"reason": HOSTILE, f"k {HOSTILE}=": [HOSTILE]})
    log.warning("%s", HOSTILE)
    lines = text.getvalue().split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert r'reason="a\nb\x1b[31m\u202e\u2028\x7f\x00c"' in lines[0]


def test_value_can_not_pass_for_another_field(text: io.StringIO, log: logging.Logger):
    event(log, "info", "said", reason='x" level=error y="', path="C:\\n")
    assert text.getvalue().endswith(r'reason="x\" level=error y=\"" path="C:\\n"' + "\n")


def test_json_line_stays_one_ascii_line_and_gives_the_value_back(objects: io.StringIO, log: logging.Logger):
    event(log, "info", "said", reason=HOSTILE, half="\ud800")
    line = objects.getvalue()
    assert line.endswith("}\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    assert only_object(objects)["reason"] == HOSTILE


@given(st.text(st.characters()))
def test_escaped_text_is_printable_and_unambiguous(value: str):
    found = escape(value)
    assert found.isprintable()
    if not any("\ud800" <= char <= "\udfff" for char in value):
        assert "".join(_unescaped(found)) == value


def _unescaped(found: str) -> Iterator[str]:
    """The characters behind ``escape``, read one by one: only what begins with a backslash is an escape."""
    position = 0
    short = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}
    while position < len(found):
        if found[position] != "\\":
            yield found[position]
            position += 1
            continue
        kind = found[position + 1]
        digits = {"x": 2, "u": 4, "U": 8}.get(kind, 0)
        yield chr(int(found[position + 2 : position + 2 + digits], 16)) if digits else short[kind]
        position += 2 + digits


def test_long_value_is_cut(objects: io.StringIO, log: logging.Logger):
    event(log, "info", "said", body="x" * (LONGEST + 5))
    assert only_object(objects)["body"] == "x" * LONGEST + "…(+5)"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_value_that_can_not_be_shown_is_named(objects: io.StringIO, log: logging.Logger):
    loop: list[object] = []
    loop.append(loop)
    event(log, "info", "odd", thing=Unprintable(), loop=loop)
    assert only_object(objects)["thing"] == "<Unprintable that can't be shown>"
    assert only_object(objects)["loop"] == ["[[...]]"]


@pytest.mark.parametrize("formatter", [TextFormatter(Masker()), JsonFormatter(Masker())])
def test_library_whose_format_and_arguments_do_not_fit_is_still_heard(formatter: logging.Formatter):
    wrong = logging.LogRecord("lib", logging.INFO, __file__, 1, "%d and %s", ("too few",), None)
    assert "%d and %s" in formatter.format(wrong)


def test_closed_stream_loses_the_line_and_nothing_else(log: logging.Logger, capsys: pytest.CaptureFixture[str]):
    stream = io.StringIO()
    setup("info", "text", [Secret(MARKER)], stream)
    stream.close()
    log.info("said %s", MARKER)
    assert capsys.readouterr().err == ""


# ------------------------------------------------------------------------------------- tracebacks


def fail(log: logging.Logger) -> None:
    try:
        raise ValueError(f"{HOSTILE} {MARKER}")
    except ValueError as error:
        event(log, "error", "broke", exc_info=error)


def test_traceback_is_one_escaped_line_in_json(objects: io.StringIO, log: logging.Logger):
    fail(log)
    found = str(only_object(objects)["traceback"])
    assert found.startswith("Traceback")
    assert found.endswith(f"ValueError: {HOSTILE} ***")


def test_traceback_in_text_can_not_pass_for_an_event(text: io.StringIO, log: logging.Logger):
    fail(log)
    first, *rest = text.getvalue().rstrip("\n").split("\n")
    assert first.endswith(" broke")
    assert len(rest) > 2
    assert all(line.startswith("  | ") and line.isprintable() for line in rest)


# ------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_secret_is_masked_wherever_it_turns_up(fmt: str, log: logging.Logger):
    stream = io.StringIO()
    setup("info", fmt, [Secret(MARKER), Secret("12345")], stream)
    event(
        log,
        "info",
        f"event {MARKER}",
        plain=MARKER,
        many=[MARKER],
        number=12345,
        held=Secret(MARKER),
        as_dict={"k": MARKER},
    )
    event(
        log, "info", "addressed", url="https://h/?t=s3cr3t%20marker%2B%2F%22%5C%C3%A9&u=s3cr3t+marker%2B%2F%22%5C%C3%A9"
    )
    log.info("library says %s and %r and %s", MARKER, MARKER, json.dumps(MARKER))
    fail(log)
    written = stream.getvalue()
    assert "s3cr3t" not in written
    assert "12345" not in written
    assert written.count("***") >= 10


def test_longer_secret_is_masked_whole():
    assert Masker([Secret("abc"), Secret("abcdef")])("x abcdef abc") == "x *** ***"


def test_cut_leaves_no_half_of_a_secret(objects: io.StringIO, log: logging.Logger):
    event(log, "info", "said", body="x" * (LONGEST - 3) + MARKER)
    assert only_object(objects)["body"] == "x" * (LONGEST - 3) + "***"


def test_empty_secret_masks_nothing():
    assert Masker([Secret("")])("as it is") == "as it is"


# ------------------------------------------------------------------------------------- changes


def test_change_is_told_once_and_the_return_once():
    changes = Changes("ok")
    told = [changes.changed("reddit", state) for state in ("ok", "denied", "denied", "ok", "ok")]
    assert told == [False, True, False, True, False]


def test_first_value_is_a_change_unless_one_is_assumed():
    assert Changes().changed("reddit", None)
    assert not Changes(None).changed("reddit", None)


def test_keys_change_apart():
    changes = Changes()
    assert changes.changed("reddit", "ok")
    assert changes.changed("chirp", "ok")
    assert not changes.changed("reddit", "ok")
