"""Pictures of one symbol: the series that they show, and what the files hold, down to a browser where there is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import matplotlib as mpl
import pytest
from builders import MIDNIGHT, build, crowd, make_batch, say, utc
from click.testing import CliRunner
from click.testing import Result as Outcome
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib import image, style

from tracker import metrics, plot_page, plot_static
from tracker import plot_words as words
from tracker.cli import main
from tracker.errors import BadInput
from tracker.models import Batch
from tracker.plot import DAY, HOUR, Picture, Score, read_picture, series
from tracker.store import Connection, Opening, naive_utc
from tracker.store.connect import opened

START = utc("2026-11-01T00:00")
SILENT, DEAF, BURST, PASTED, LOUD = (utc(f"2026-11-{day:02}T00:00") for day in (5, 8, 12, 14, 16))
HEARD_AGAIN = DEAF + 2 * DAY
ADVERT = "ACME to the sky, join our room before Friday"
NEW_YORK = ZoneInfo("America/New_York")


def batches() -> list[Batch]:
    """Sixteen days of talk about ACME: a silent day, two that nobody heard, a pasted advert, two loud days."""
    talk = []
    for number in range(16):
        day = START + number * DAY
        if day not in (SILENT, DEAF, DEAF + DAY):
            talk += crowd(day + 15 * HOUR, "ACME", bulls=3, bears=1)
            talk += crowd(day + 16 * HOUR, "OTHER", bulls=2, others=1)
    talk += crowd(BURST + 16 * HOUR, "ACME", others=14, every=timedelta(seconds=30))
    talk += crowd(PASTED + 16 * HOUR, "ACME", others=12, every=timedelta(seconds=30))
    talk += crowd(PASTED + 17 * HOUR, "ACME", others=40, every=timedelta(seconds=10), text=ADVERT)
    talk += crowd(LOUD + 14 * HOUR, "ACME", bulls=60, bears=20, every=timedelta(seconds=20))
    talk += [say(LOUD + 2 * HOUR, "RARE", stance=1)]
    before = [one for one in talk if one.at < DEAF]
    after = [one for one in talk if one.at >= DEAF]
    return [
        make_batch(before, fetched_at=DEAF - timedelta(seconds=1), covers_from=START),
        make_batch(after, fetched_at=MIDNIGHT - timedelta(seconds=1), covers_from=HEARD_AGAIN),
    ]


def price_rows() -> list[tuple[Any, ...]]:
    """Daily bars of trading days with a week without any, and some hourly ones."""
    days = [START + number * DAY for number in (1, 2, 3, 10, 11, 12, 15)]
    daily = [(DAY, day, 20.0 + number, 22.0 + number, 19.5 + number) for number, day in enumerate(days)]
    hourly = [(HOUR, LOUD + number * HOUR, 26.0, None, None) for number in (15, 16, 17)]
    return [*daily, *hourly]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as the daemon leaves it, with prices."""
    place = tmp_path_factory.mktemp("plot")
    moments = [*(START + number * DAY for number in range(1, 16)), *(LOUD + number * HOUR for number in range(25))]
    opening = build(place, batches(), readings=moments, watchlist=["ACME", "QUIET"])
    with opened(opening) as connection:
        for width, start, close, high, low in price_rows():
            connection.execute(
                """INSERT INTO prices (symbol, bucket_width, bucket_start, session, high, low, close, source, fetched_at)
                   VALUES ('ACME', ?, ?, 'regular', ?, ?, ?, 'invented', ?)""",
                [width, naive_utc(start), high, low, close, naive_utc(MIDNIGHT)],
            )
    return place


@pytest.fixture(scope="module")
def connection(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """On a copy: the commands of the tests open the file themselves."""
    with opened(copied(folder, tmp_path_factory.mktemp("copy")), read_only=True) as connection:
        yield connection


def copied(folder: Path, to: Path) -> Opening:
    shutil.copy(folder / "tracker.duckdb", to / "tracker.duckdb")
    return Opening(to / "tracker.duckdb", memory_limit="256MB", threads=1)


@pytest.fixture(scope="module")
def picture(connection: Connection) -> Picture:
    """Sixteen days of daily bars, up to the end of the data."""
    return read_picture(connection, "$acme", START)


@pytest.fixture(scope="module")
def hours(connection: Connection) -> Picture:
    return read_picture(connection, "ACME", LOUD, width=HOUR, window="1h")


@pytest.fixture(scope="module")
def crowded(picture: Picture) -> Picture:
    """Every kind of mark at once, and as many sources as a footer has to bear."""
    kinds = [(severity, kind) for severity in words.SEVERITIES for kind in ("organic", "copied")]
    first = picture.spikes[0]
    spikes = tuple(
        replace(first, bucket_start=START + (9 + number) * DAY, severity=severity, kind=kind)
        for number, (severity, kind) in enumerate(kinds)
    )
    sources = tuple((f"a service {number}", 12_345_678) for number in range(9))
    notes = (
        "no prices are stored for the span",
        "no expectation, as no readings are taken of windows as wide as the bars",
    )
    return replace(picture, spikes=spikes, sources=sources, notes=notes, known_until=MIDNIGHT - HOUR)


# ------------------------------------------------------------------------------------------------ series


def test_a_silent_day_is_zero_and_a_deaf_one_unknown(picture: Picture) -> None:
    by_start = {bucket.start: bucket for bucket in picture.buckets}
    assert list(by_start) == [START + number * DAY for number in range(16)]
    assert (by_start[SILENT].messages, by_start[SILENT].copied, by_start[SILENT].up) == (0, 0, pytest.approx(1))
    for day in (DEAF, DEAF + DAY):
        assert (by_start[day].messages, by_start[day].organic, by_start[day].copied, by_start[day].up) == (
            None,
        ) * 3 + (0,)
    assert picture.unheard == ((DEAF, HEARD_AGAIN),)
    assert picture.heard == pytest.approx(14 / 16, abs=1e-3)


def test_copies_are_told_from_organic_messages(picture: Picture) -> None:
    pasted = next(bucket for bucket in picture.buckets if bucket.start == PASTED)
    assert (pasted.messages, pasted.organic, pasted.copied) == (56, 17, 39)
    assert all((bucket.copied or 0) == 0 for bucket in picture.buckets if bucket.start != PASTED)
    assert (picture.messages, picture.organic) == (198, 159)
    assert picture.sources == (("stocktwits", 198),)


@pytest.mark.parametrize(("name", "window"), [("picture", "24h"), ("hours", "1h")])
def test_the_expectation_is_that_of_the_reading_of_just_the_bar(
    name: str, window: str, connection: Connection, request: pytest.FixtureRequest
) -> None:
    drawn: Picture = request.getfixturevalue(name)
    readings = {one.at: one for one in metrics.history(connection, "ACME", drawn.since, drawn.until, window)}
    assert [bucket.expected for bucket in drawn.buckets] == [
        readings[bucket.end].expected if bucket.end in readings else None for bucket in drawn.buckets
    ]
    assert sum(bucket.expected is not None for bucket in drawn.buckets) > 10
    heard = [bucket for bucket in drawn.buckets if bucket.end in readings and bucket.organic is not None]
    assert [readings[bucket.end].organic for bucket in heard] == [bucket.organic for bucket in heard]


def test_bars_without_readings_as_wide_have_no_expectation(folder: Path, tmp_path: Path) -> None:
    with opened(copied(folder, tmp_path)) as other:
        other.execute("DELETE FROM meter_windows WHERE window_name = '1h'")
        drawn = read_picture(other, "ACME", LOUD, width=HOUR)
    assert {bucket.expected for bucket in drawn.buckets} == {None}
    assert any("no expectation" in note for note in drawn.notes)


def test_spikes_stand_where_they_were_found(picture: Picture, hours: Picture) -> None:
    assert [(spike.bucket_start, spike.kind) for spike in picture.spikes] == [
        (BURST, "organic"), (PASTED, "copied"), (LOUD, "organic"),
    ]  # fmt: skip
    assert picture.spikes[-1].severity == "extreme"
    assert [spike.bucket_start for spike in hours.spikes] == [LOUD + 14 * HOUR]
    for drawn in (picture, hours):
        messages = {bucket.start: bucket.messages for bucket in drawn.buckets}
        assert all(messages[spike.bucket_start] == spike.messages for spike in drawn.spikes)


def test_the_ratio_has_its_interval_and_is_unknown_without_opinions(picture: Picture) -> None:
    ordinary = picture.buckets[0]
    assert (ordinary.bullish, ordinary.bearish, ordinary.opinions) == (3, 1, 4)
    # Wilson 1927 for 3 of 4, computed by hand
    assert (ordinary.ratio, ordinary.ratio_low, ordinary.ratio_high) == pytest.approx((0.75, 0.3006, 0.9544), abs=1e-4)
    for bucket in picture.buckets:
        assert (bucket.ratio is None) == (bucket.opinions == 0) == (bucket.start in (SILENT, DEAF, DEAF + DAY))
        if bucket.ratio is not None and bucket.ratio_low is not None and bucket.ratio_high is not None:
            assert bucket.ratio_low <= bucket.ratio <= bucket.ratio_high


def test_scores_are_the_readings_of_the_window(picture: Picture, connection: Connection) -> None:
    readings = metrics.history(connection, "ACME", START, MIDNIGHT, "24h")
    assert {(one.at, one.score, one.label, one.opinions) for one in picture.scores} <= {
        (one.at, one.sentiment_score, one.sentiment_label, one.bullish + one.bearish) for one in readings
    }
    assert len(picture.scores) == len(readings) > 15
    silent = next(score for score in picture.scores if score.at == SILENT + DAY)
    assert (silent.score, silent.label, silent.opinions) == (None, None, 0)


def test_prices_are_as_wide_as_the_bars_where_there_are_such(
    picture: Picture, hours: Picture, connection: Connection
) -> None:
    assert [(bar.start, bar.close, bar.low, bar.high) for bar in picture.prices][:2] == [
        (START + DAY, 20.0, 19.5, 22.0), (START + 2 * DAY, 21.0, 20.5, 23.0),
    ]  # fmt: skip
    assert [bar.start for bar in hours.prices] == [LOUD + number * HOUR for number in (15, 16, 17)]
    earlier = read_picture(connection, "ACME", START, START + 4 * DAY, width=HOUR)
    assert {bar.end - bar.start for bar in earlier.prices} == {DAY}
    assert picture.price_sources == "invented"


def test_the_span_is_widened_to_whole_bars(connection: Connection) -> None:
    drawn = read_picture(connection, "ACME", utc("2026-11-10T15:00"), utc("2026-11-12T00:01"))
    assert (drawn.since, drawn.until) == (utc("2026-11-10T00:00"), utc("2026-11-13T00:00"))
    days = read_picture(connection, "ACME", days=3)
    assert (days.since, days.until) == (MIDNIGHT - 3 * DAY, MIDNIGHT)


def test_what_lies_after_the_data_is_not_called_unheard(connection: Connection) -> None:
    later = read_picture(connection, "ACME", LOUD, MIDNIGHT + 12 * HOUR)
    assert (later.known_until, later.until) == (MIDNIGHT, MIDNIGHT + DAY)
    assert later.unheard == ()
    assert later.heard == pytest.approx(1, abs=1e-3)
    assert "The data end at 2026-11-17 00:00 UTC." in words.footer(later)[0]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"since": MIDNIGHT, "until": START}, "the span is empty"),
        ({"since": START, "until": START}, "the span is empty"),
        ({"days": 900_000_000}, "leaves the calendar"),
        ({"days": 5000}, "too many bars .*2,400"),
        ({"days": 101, "width": HOUR}, "too many bars .*--width 1d"),
        ({"window": "3h"}, "unknown window: 3h: expected one of 1h, 24h, 7d"),
    ],
)
def test_a_span_that_can_not_be_drawn_is_refused(connection: Connection, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        read_picture(connection, "ACME", **asked)


def test_a_line_breaks_where_windows_do_not_touch(picture: Picture) -> None:
    scores = tuple(Score(START + hours * HOUR, 50.0, "neutral", 4, 4) for hours in (0, 24, 49))
    drawn = replace(picture, scores=scores)
    assert words.lines_of_scores(drawn) == [scores[0], scores[1], None, scores[2]]


def test_closes_are_joined_over_a_weekend_and_not_over_a_week_without_any(picture: Picture) -> None:
    starts = [None if bar is None else bar.start.day for bar in words.lines_of_prices(picture)]
    assert starts == [2, 3, 4, None, 11, 12, 13, 16]


@pytest.mark.parametrize(
    ("share", "told"),
    [(0, "0%"), (1, "100%"), (0.9999, "99.9%"), (0.00001, "0.1%"), (0.25, "25.0%"), (1 - 1e-12, "100%")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(share: float, told: str) -> None:
    assert words.percent(share) == told


def test_json_holds_every_series_and_null_for_gaps(picture: Picture) -> None:
    found = json.loads(json.dumps(series(picture), allow_nan=False))
    assert found["symbol"] == "ACME"
    assert found["width_seconds"] == 86400
    assert found["buckets"][7] | {"messages": None, "up": 0} == found["buckets"][7]
    assert found["buckets"][0]["start"] == "2026-11-01T00:00:00Z"
    assert [len(found[name]) for name in ("buckets", "spikes", "prices", "unheard")] == [16, 3, 7, 1]


# ------------------------------------------------------------------------------------------------ PNG and SVG


def pixels(content: bytes) -> Any:
    return image.imread(BytesIO(content), format="png")


def test_a_png_has_its_size_and_the_colours_of_what_it_shows(picture: Picture) -> None:
    drawn = pixels(plot_static.draw_static(picture, "png"))
    assert drawn.shape == (900, 1200, 4)
    seen = {tuple(round(channel * 255) for channel in colour) for colour in drawn[..., :3].reshape(-1, 3)[::7].tolist()}
    for colour in (words.ORGANIC, words.COPIED, words.SPIKE, words.INTERVAL, *(tone for _, tone in words.LABELS)):
        assert tuple(bytes.fromhex(colour[1:])) in seen


def svg(picture: Picture) -> ElementTree.Element:
    return ElementTree.fromstring(plot_static.draw_static(picture, "svg"))  # noqa: S314 (our own file)


def ids(root: ElementTree.Element, start: str) -> list[str]:
    return [found for element in root.iter() if (found := element.get("id", "")).startswith(start)]


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_an_svg_holds_titles_as_text_and_one_mark_for_each_spike(picture: Picture) -> None:
    root = svg(picture)
    told = texts(root)
    for heading in (*words.panels(picture), words.title(picture), words.made_from(picture), *words.footer(picture)):
        assert heading in told
    assert sorted(ids(root, "spike-")) == sorted(
        f"spike-{spike.severity}-{spike.kind}-{spike.bucket_start:%Y%m%dT%H%M}" for spike in picture.spikes
    )
    assert len(ids(root, "unheard")) == 2, "one span, in the panels of volume and ratio"
    assert len(ids(root, "axes_")) == len(words.panels(picture)) == 4


def test_without_prices_there_are_three_panels_and_a_note(connection: Connection) -> None:
    drawn = read_picture(connection, "OTHER", START)
    root = svg(drawn)
    assert len(ids(root, "axes_")) == 3
    assert any("Left out: no prices" in text for text in texts(root))


def test_a_symbol_with_one_message_says_what_is_missing(connection: Connection) -> None:
    drawn = read_picture(connection, "RARE", START)
    assert not drawn.empty
    assert words.NO_SCORE in texts(svg(drawn))
    assert words.NO_SCORE in plot_page.draw_page(drawn)


def settings() -> dict[str, Any]:
    """Of the whole process; asking for the backend would choose one."""
    return {key: mpl.rcParams[key] for key in mpl.rcParams if key != "backend"}


def test_the_same_picture_gives_the_same_bytes_and_leaves_matplotlib_as_it_was(picture: Picture) -> None:
    before = settings()
    for form in ("png", "svg"):
        assert plot_static.draw_static(picture, form) == plot_static.draw_static(picture, form)
    assert plot_page.draw_page(picture) == plot_page.draw_page(picture)
    assert settings() == before
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize("name", ["picture", "hours", "crowded"])
def test_no_text_lies_on_another_or_leaves_the_picture(name: str, request: pytest.FixtureRequest) -> None:
    with style.context(["default", plot_static.STYLE]):
        figure = plot_static.compose(request.getfixturevalue(name))
        figure.savefig(BytesIO(), format="png")
        boxes = {
            (text.get_text(), round(box.x0), round(box.y0)): box
            for text in figure.findobj(match=mpl.text.Text)
            if text.get_visible() and text.get_text() and (box := text.get_window_extent()).width > 0
        }
    assert len(boxes) > 30
    for (told, _, _), box in boxes.items():
        assert box.x0 >= 0, told
        assert box.x1 <= 1200, told
        assert box.y0 >= 0, told
        assert box.y1 <= 900, told
        for panel in figure.axes:
            legend, heading = panel.get_legend(), panel.title if panel.title.get_text() else panel._left_title
            if legend is not None:
                assert not legend.get_window_extent().overlaps(heading.get_window_extent()), heading.get_text()
    overlaps = [(one[0], other[0]) for one, other in combinations(boxes, 2) if boxes[one].overlaps(boxes[other])]
    assert overlaps == []


HOSTILE = '</script><img src="https://evil.test/x" onerror=alert(1)> $\\frac{a}$ & \x00\u202e'


@pytest.mark.parametrize("symbol", [HOSTILE, "$$", "A\\", "é😀"])
def test_a_hostile_name_is_text_and_nothing_else(picture: Picture, page: Page, symbol: str) -> None:
    drawn = replace(picture, symbol=symbol, price_sources=symbol)
    assert words.title(drawn) in texts(svg(drawn))
    hostile = Page(plot_page.draw_page(drawn))
    assert (hostile.tags, hostile.referred) == (page.tags, [])
    assert "<img" not in json.dumps(hostile.layout)


# ------------------------------------------------------------------------------------------------ HTML


class Page(HTMLParser):
    """An HTML page, read as a browser does: its elements, what they refer to, and what plotly is told to draw."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.referred: list[str] = []
        self.policy = ""
        self.feed(content)
        self.close()
        told = re.search(r'Plotly\.newPlot\(\s*"picture",\s*', content[content.rindex("Plotly.newPlot(") :])
        assert told is not None
        place = content.rindex("Plotly.newPlot(") + told.end()
        decoder = json.JSONDecoder()
        found = []
        for _ in range(3):
            value, place = decoder.raw_decode(content, place)
            found.append(value)
            place += len(re.match(r"[\s,)]*", content[place:])[0])  # type: ignore[index]
        self.traces, self.layout, self.config = found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.referred += [str(given[name]) for name in ("src", "href", "action", "data", "srcset") if name in given]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(given["content"])

    def trace(self, name: str) -> dict[str, Any]:
        return next(trace for trace in self.traces if trace["name"] == name)


@pytest.fixture(scope="module")
def page(picture: Picture) -> Page:
    return Page(plot_page.draw_page(picture))


def test_a_page_refers_to_nothing_and_forbids_itself_any_connection(page: Page) -> None:
    assert page.referred == []
    assert not {"link", "iframe", "img", "object", "form"} & set(page.tags)
    rules = dict(rule.strip().split(" ", 1) for rule in page.policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert not any("http" in rule or "*" in rule or "'self'" in rule for rule in rules.values())
    assert (page.config["topojsonURL"], page.config["displaylogo"]) == ("", False)
    assert {button for group in page.config["modeBarButtons"] for button in group} == {
        "toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d",
    }  # fmt: skip


def test_a_page_holds_the_series_and_tells_counts_and_sample_sizes(page: Page, picture: Picture) -> None:
    known = [bucket for bucket in picture.buckets if bucket.messages is not None]
    assert page.trace("organic")["y"] == [bucket.organic for bucket in known]
    assert page.trace("copied")["y"] == [bucket.copied for bucket in known]
    assert page.trace("copied")["base"] == page.trace("organic")["y"]
    assert page.trace("bullish ratio")["y"] == [bucket.ratio for bucket in picture.buckets]
    loud = page.trace("organic")["text"][-1]
    assert all(part in loud for part in ("84 messages: 84 organic, 0 copied", "80 authors", "extreme spike"))
    assert "n = 84 opinions: 63 bullish, 21 bearish" in page.trace("bullish ratio")["text"][-1]
    assert "burst of copies" in page.trace("organic")["text"][known.index(next(b for b in known if b.start == PASTED))]
    assert page.trace("nobody listened")["y"] == [0, 0]
    assert all("unknown, not zero" in text for text in page.trace("nobody listened")["text"])
    assert page.trace("close")["y"] == [20.0, 21.0, 22.0, None, 23.0, 24.0, 25.0, 26.0]
    marks = [trace for trace in page.traces if trace.get("marker", {}).get("color") == words.SPIKE]
    assert [(trace["name"], trace["marker"]["symbol"], trace["x"]) for trace in marks] == [
        ("notable spike", "triangle-up", ["2026-11-12 07:00:00"]),
        ("extreme", "star", ["2026-11-16 07:00:00"]),
        ("hollow: copies", "triangle-up-open", ["2026-11-14 07:00:00"]),
    ]


def test_a_page_breaks_its_lines_at_gaps(page: Page) -> None:
    score = page.trace("score 24h")
    assert [y for x, y in zip(score["x"], score["y"], strict=True) if x is None or x.startswith("2026-11-05 19")] == [
        None
    ]
    shaded = [shape for shape in page.layout["shapes"] if shape["xref"] == "x"]
    assert [(shape["x0"], shape["x1"]) for shape in shaded] == [("2026-11-07 19:00:00", "2026-11-09 19:00:00")] * 2


moments = st.datetimes(datetime(2026, 10, 30), datetime(2026, 11, 3), timezones=st.just(UTC))


@given(moments, moments)
@example(utc("2026-11-01T05:59:59"), utc("2026-11-01T06:00:00"))
def test_the_clock_on_the_wall_never_runs_back(one: datetime, other: datetime) -> None:
    earlier, later = sorted((one.replace(microsecond=0), other.replace(microsecond=0)))
    assert plot_page.wall(earlier, NEW_YORK) <= plot_page.wall(later, NEW_YORK)


def test_the_clock_on_the_wall_shows_the_time_of_the_market() -> None:
    assert plot_page.wall(utc("2026-11-16T14:30"), NEW_YORK) == "2026-11-16 09:30:00"
    assert [plot_page.wall(utc(f"2026-11-01T{hour}"), NEW_YORK)[11:16] for hour in ("05:00", "05:30", "06:00", "06:30", "07:00")] == [
        "01:00", "01:15", "01:30", "01:45", "02:00",
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium is installed")
def test_a_browser_draws_the_page(picture: Picture, tmp_path: Path) -> None:
    place = tmp_path / "picture.html"
    place.write_text(plot_page.draw_page(picture), encoding="utf-8")
    found = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=8000", "--dump-dom", place.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert found.stdout.count('class="main-svg"') >= 2
    assert found.stdout.count('class="subplot ') == len(words.panels(picture))
    assert "Message volume per day" in found.stdout


# ------------------------------------------------------------------------------------------------ the command


def run(folder: Path, *arguments: str) -> Outcome:
    return CliRunner().invoke(main, ["--data-dir", str(folder), "plot", *arguments])


def test_plot_writes_a_page_into_this_folder_and_says_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run(folder, "$other")
    assert (found.exit_code, found.stdout) == (0, "")
    assert "wrote OTHER.html" in found.stderr
    assert "left out: no prices are stored" in found.stderr
    assert Page((tmp_path / "OTHER.html").read_text(encoding="utf-8")).trace("organic")["name"] == "organic"


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG\r\n"), ("a.SVG", b"<?xml"), ("a.b.html", b"<!doctype html>")]
)
def test_the_ending_of_the_name_says_what_is_drawn(folder: Path, tmp_path: Path, name: str, start: bytes) -> None:
    found = run(folder, "ACME", "--since", "2026-11-10", "--until", "2026-11-17", "--output", str(tmp_path / name))
    assert found.exit_code == 0, found.stderr
    assert (tmp_path / name).read_bytes().startswith(start)


def test_json_prints_the_series_and_draws_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run(folder, "ACME", "--json", "--width", "1h", "--since", "2026-11-16", "--window", "1h")
    told = json.loads(found.stdout)
    assert (told["window"], len(told["buckets"]), told["spikes"][0]["severity"]) == ("1h", 24, "extreme")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["NOBODY"], 1, "nothing to draw: NOBODY from 2026-10-18 to 2026-11-17: no stored message names it"),
        (["OTHER", "--since", "2026-11-08", "--until", "2026-11-10"], 1, "of 2026-11-01 to 2026-11-16"),
        (["ACME", "--output", "a.jpg"], 2, "a.jpg: expected a name that ends in .png, .svg or .html"),
        (["ACME", "--output", "no/such/folder/a.png"], 2, "the file can't be written: no/such/folder/a.png"),
        (["ACME", "--output", "a\0.html"], 2, "the file can't be written"),
        (["ACME", "--json", "--output", "a.png"], 2, "--output: give one of the two"),
        (["ACME", "--window", "1y"], 2, "unknown window: 1y"),
        (["ACME", "--width", "5m"], 2, "'5m' is not one of '1d', '1h'"),
        (["ACME", "--since", "2026-11-16", "--until", "2026-11-01"], 2, "the span is empty"),
        (["ACME", "--since", "0001-01-01"], 2, "too many bars"),
    ],
)
def test_what_can_not_be_drawn_is_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run(folder, *arguments)
    assert found.exit_code == code, found.stderr
    assert told in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_database_plot_says_how_to_get_one(tmp_path: Path) -> None:
    found = run(tmp_path, "ACME")
    assert found.exit_code == 2
    assert "there is no database yet" in found.stderr


@pytest.mark.parametrize(("package", "name"), [("matplotlib", "a.png"), ("plotly.io", "a.html")])
def test_a_missing_library_is_named_with_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, name: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    found = run(folder, "ACME", "--output", str(tmp_path / name))
    assert found.exit_code == 2
    assert f"needs {package.split('.')[0]}: pip install 'tracker[plot]'" in found.stderr
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("symbol", "name"),
    [("../../ETC", "_.._ETC.html"), (".", "symbol.html"), ("A/B\0C", "A_B_C.html"), ("X" * 300, "X" * 60 + ".html")],
)
def test_the_name_of_a_file_stays_in_its_folder(
    folder: Path, tmp_path: Path, symbol: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(copied(folder, tmp_path)) as other:
        for table in ("buckets", "readings", "spikes"):
            other.execute(f"UPDATE {table} SET symbol = ? WHERE symbol = 'ACME'", [symbol])
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    found = run(tmp_path, symbol)
    assert found.exit_code == 0, found.stderr
    assert [path.name for path in place.iterdir()] == [name]
