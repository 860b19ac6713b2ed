"""A picture as one HTML page, drawn by plotly in the browser: everything is in the file, and nothing is fetched.

Hovering tells the counts and the sample sizes. The page forbids itself any connection, so it shows the same without a
network. Names are data of strangers: they reach the page escaped, and nothing else that people wrote does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from html import escape as escape_quoted
from typing import Any
from zoneinfo import ZoneInfo

from tracker import plot_words as words
from tracker.errors import BadInput
from tracker.metrics import Spike
from tracker.plot import Bucket, Picture, PriceBar, Score
from tracker.plot_words import COPIED, FAINT, INK, INTERVAL, ORGANIC, RANGE, RATIO, SPIKE

MARKERS = {"notable": ("triangle-up", 11), "high": ("diamond", 12), "extreme": ("star", 15)}

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; form-action 'none'; base-uri 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ margin: 0; background: #fff; }} noscript {{ font: 16px sans-serif; margin: 2em; display: block; }}</style>
</head>
<body>
<noscript>This picture is drawn by the script within this file: allow it to run.</noscript>
{picture}
</body>
</html>
"""
_BETWEEN = 0.075  # share of the height between two panels

Trace = dict[str, Any]


def draw_page(picture: Picture) -> str:
    """The page; BadInput where plotly is not installed."""
    try:
        from plotly.io import to_html
    except ImportError:
        raise BadInput("drawing an HTML page needs plotly", None, "pip install 'tracker[plot]'") from None
    figure = {"data": _traces(picture), "layout": _layout(picture)}
    # named one by one: newer plotly offers to upload the picture by default
    buttons = [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]]
    config = {
        "displaylogo": False,
        "responsive": True,
        "modeBarButtons": buttons,
        "plotlyServerURL": "",
        "topojsonURL": "",
    }
    drawn = to_html(
        figure, config=config, include_plotlyjs=True, full_html=False, div_id="picture", default_height="900px"
    )
    return _PAGE.format(policy=_POLICY, title=escape_quoted(words.title(picture)), picture=drawn)


def escape(text: str) -> str:
    """As plotly reads text: it knows tags and the three names that are needed to write them, not those of quotes."""
    return escape_quoted(text, quote=False)


def wall(moment: datetime, zone: ZoneInfo) -> str:
    """The clock on the market's wall, for an axis that knows no zones; it never runs back.

    Through the hour that autumn repeats its hand moves at half speed, twice.
    """
    aware = moment.astimezone(zone)
    local = aware.replace(tzinfo=None)
    first, second = (local.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta(0) for fold in (0, 1))
    if first > second:
        begin = local.replace(minute=0, second=0, microsecond=0)
        local = begin + (local - begin) / 2 + aware.fold * (first - second) / 2
    return local.isoformat(sep=" ", timespec="seconds")


# ------------------------------------------------------------------------------------------------ panels


def _traces(picture: Picture) -> list[Trace]:
    zone = ZoneInfo(picture.zone)
    found = [*_volume(picture, zone), *_ratio(picture, zone), _score(picture, zone)]
    return [*found, *_price(picture, zone)] if picture.prices else found


def _line(panel: int, name: str, colour: str, **more: Any) -> Trace:
    """A trace of lines or dots in the n-th panel, from the top."""
    look = {
        "mode": "lines",
        "line": {"color": colour, "width": 1.4},
        "connectgaps": False,
        "hovertemplate": "%{text}<extra></extra>",
    }
    return {"type": "scatter", "name": name, **_place(panel), **look, **more}


def _place(panel: int) -> Trace:
    number = "" if panel == 1 else str(panel)
    return {"xaxis": "x", "yaxis": f"y{number}", "legend": f"legend{number}"}


def _volume(picture: Picture, zone: ZoneInfo) -> list[Trace]:
    known = [bucket for bucket in picture.buckets if bucket.messages is not None]
    bars = {
        "type": "bar", "x": [wall(bucket.middle, zone) for bucket in known], "width": [_wide(bucket, zone) for bucket in known], **_place(1),
        "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip
    organic = [bucket.organic for bucket in known]
    spikes = {spike.bucket_start: spike for spike in picture.spikes}
    told = [_told(picture, bucket, spikes.get(bucket.start)) for bucket in known]
    found: list[Trace] = [
        {**bars, "name": "organic", "y": organic, "text": told, "textposition": "none", "marker": {"color": ORGANIC}}
    ]
    if any(bucket.copied for bucket in known):
        found.append(
            {
                **bars, "name": "copied", "y": [bucket.copied for bucket in known], "base": organic, "marker": {"color": COPIED},
                "hoverinfo": "skip", "hovertemplate": None,
            }
        )  # fmt: skip
    found.append(_line(1, "expected", INK, **_steps([(b, b.expected) for b in picture.buckets], zone), **_SILENT))
    for kind, explained in (("organic", "{} spike"), ("copied", "hollow: copies")):
        seen = [
            severity
            for severity in words.SEVERITIES
            if any((severity, kind) == (s.severity, s.kind) for s in picture.spikes)
        ]
        for number, severity in enumerate(seen):
            marks = [spike for spike in picture.spikes if (spike.severity, spike.kind) == (severity, kind)]
            found.append(_marks(picture, marks, severity if number else explained.format(severity), zone))
    return [*found, _unheard(picture, zone)] if picture.unheard else found


_SILENT: Trace = {"hoverinfo": "skip", "hovertemplate": None}


def _wide(bucket: Bucket, zone: ZoneInfo) -> float:
    """Milliseconds on the axis; a little less than the bucket, so that bars stand apart."""
    span = datetime.fromisoformat(wall(bucket.end, zone)) - datetime.fromisoformat(wall(bucket.start, zone))
    return 0.88 * span.total_seconds() * 1000


def _told(picture: Picture, bucket: Bucket, spike: Spike | None) -> str:
    expected = "expectation unknown" if bucket.expected is None else f"{bucket.expected:.3g} organic expected"
    lines = [
        f"<b>{words.when(picture, bucket.start, bucket.end)}</b>",
        f"{bucket.messages:,} messages: {bucket.organic:,} organic, {bucket.copied:,} copied; {expected}",
        f"{bucket.authors:,} authors; listened to {words.percent(bucket.up)} of the time",
        ""
        if spike is None
        else f"<b>{words.spike_name(spike)}</b>: z = {spike.z:.1f}, {spike.texts:,} different texts",
        "not over yet" if bucket.end > picture.known_until else "",
    ]
    return "<br>".join(line for line in lines if line)


def _steps(values: Iterable[tuple[Bucket, float | None]], zone: ZoneInfo) -> Trace:
    """A line that holds over each interval, broken where the value is unknown."""
    x: list[str | None] = []
    y: list[float | None] = []
    for bucket, value in values:
        x += [wall(bucket.start, zone), wall(bucket.end, zone)] if value is not None else [None]
        y += [value, value] if value is not None else [None]
    return {"x": x, "y": y}


def _marks(picture: Picture, spikes: Sequence[Spike], name: str, zone: ZoneInfo) -> Trace:
    """The spikes of one severity and kind, above the bars, which tell about them; hollow ones are explained once."""
    shape, size = MARKERS[spikes[0].severity]
    hollow = spikes[0].kind != "organic"
    look = {
        "symbol": f"{shape}-open" if hollow else shape,
        "size": size,
        "color": SPIKE,
        "line": {"width": 1.5, "color": SPIKE},
    }
    lift = 0.05 * max(bucket.messages or 0 for bucket in picture.buckets)
    return _line(
        1, name, SPIKE, mode="markers", marker=look, **_SILENT, showlegend=not hollow or name not in words.SEVERITIES,
        x=[wall(spike.bucket_start + spike.bucket_width / 2, zone) for spike in spikes], y=[spike.messages + lift for spike in spikes],
    )  # fmt: skip


def _unheard(picture: Picture, zone: ZoneInfo) -> Trace:
    """What an interval says in which nobody listened at all."""
    deaf = [bucket for bucket in picture.buckets if bucket.messages is None and bucket.start < picture.known_until]
    return _line(
        1, "nobody listened", FAINT, mode="markers", marker={"symbol": "square", "size": 7, "color": "#D0D0D0"},
        x=[wall(bucket.middle, zone) for bucket in deaf], y=[0] * len(deaf),
        text=[f"<b>{words.when(picture, bucket.start, bucket.end)}</b><br>nobody listened: unknown, not zero" for bucket in deaf],
    )  # fmt: skip


def _ratio(picture: Picture, zone: ZoneInfo) -> list[Trace]:
    said = [bucket for bucket in picture.buckets if bucket.ratio is not None]
    x: list[str | None] = []
    y: list[float | None] = []
    for bucket in said:  # a box over each interval: also one alone is seen
        start, end = wall(bucket.start, zone), wall(bucket.end, zone)
        x += [start, end, end, start, start, None]
        y += [bucket.ratio_low, bucket.ratio_low, bucket.ratio_high, bucket.ratio_high, bucket.ratio_low, None]
    sizes = [1.35 * words.dot(bucket.opinions, len(picture.buckets)) for bucket in picture.buckets]  # points in pixels
    return [
        _line(2, "95 % interval", INTERVAL, x=x, y=y, fill="toself", fillcolor=INTERVAL, line={"width": 0}, **_SILENT),
        _line(
            2, "bullish ratio", RATIO, mode="lines+markers", x=[wall(bucket.middle, zone) for bucket in picture.buckets],
            y=[bucket.ratio for bucket in picture.buckets], marker={"size": sizes, "color": RATIO, "line": {"width": 0}}, line={"color": RATIO, "width": 1},
            text=[_opinions_told(picture, bucket) for bucket in picture.buckets],
        ),
        _line(
            2, "habit of the market", INK, **_steps([(bucket, bucket.habit) for bucket in picture.buckets], zone),
            **_SILENT, line={"color": INK, "width": 1, "dash": "dash"},
        ),
    ]  # fmt: skip


def _opinions_told(picture: Picture, bucket: Bucket) -> str:
    if bucket.ratio is None:
        return ""
    habit = "" if bucket.habit is None else f"; habit of the market {bucket.habit:.2f}"
    return (
        f"<b>bullish ratio {bucket.ratio:.2f}</b> ({bucket.ratio_low:.2f} to {bucket.ratio_high:.2f}), {words.when(picture, bucket.start, bucket.end)}"
        f"<br>n = {bucket.opinions:,} opinions: {bucket.bullish:,} bullish, {bucket.bearish:,} bearish{habit}"
    )


def _score(picture: Picture, zone: ZoneInfo) -> Trace:
    points: list[Score | None] = words.lines_of_scores(picture)
    return _line(
        3, f"score {picture.window}", INK, mode="lines+markers", showlegend=False, marker={"size": 4 if len(points) <= 200 else 2, "color": INK},
        x=[None if point is None else wall(point.at, zone) for point in points],
        y=[None if point is None else point.score for point in points],
        text=[
            "" if point is None or point.score is None
            else f"<b>score {point.score:.0f}, {point.label}</b>, {words.when(picture, point.at)}<br>n = {point.opinions:,} opinions in {point.messages:,} messages"
            for point in points
        ],
    )  # fmt: skip


def _price(picture: Picture, zone: ZoneInfo) -> list[Trace]:
    points: list[PriceBar | None] = words.lines_of_prices(picture)
    x: list[str | None] = []
    y: list[float | None] = []
    for bar in picture.prices:
        x += [wall(bar.middle, zone)] * 2 + [None]
        y += [bar.low, bar.high, None]
    close = _line(
        4, "close", INK, mode="lines+markers", marker={"size": 4 if len(points) <= 200 else 1, "color": INK},
        x=[None if bar is None else wall(bar.middle, zone) for bar in points], y=[None if bar is None else bar.close for bar in points],
        text=[
            _price_told(picture, bar) for bar in points
        ],
    )  # fmt: skip
    return [_line(4, "low to high", RANGE, x=x, y=y, line={"color": RANGE, "width": 4}, **_SILENT), close]


def _price_told(picture: Picture, bar: PriceBar | None) -> str:
    if bar is None:
        return ""
    between = "" if bar.low is None or bar.high is None else f" (low {bar.low:,.2f}, high {bar.high:,.2f})"
    return f"<b>close {bar.close:,.2f}</b>{between}, {words.when(picture, bar.start, bar.end)}"


# ------------------------------------------------------------------------------------------------ around them


def _layout(picture: Picture) -> Trace:
    zone = ZoneInfo(picture.zone)
    domains = _domains(len(words.panels(picture)))
    small = {"size": 12, "color": "#444444"}
    found: Trace = {
        "title": {
            "text": f"<b>{escape(words.title(picture))}</b><br><span style='font-size: 13px'>{escape(words.made_from(picture))}</span>",
            "x": 0.0, "xref": "paper", "xanchor": "left", "y": 0.97, "yanchor": "top", "font": {"size": 21, "color": INK},
        },
        "template": "none", "font": {"family": "DejaVu Sans, Verdana, sans-serif", "size": 12, "color": INK}, "paper_bgcolor": "white", "plot_bgcolor": "white",
        "autosize": True, "margin": {"l": 70, "r": 140, "t": 110, "b": 85}, "barmode": "overlay", "hovermode": "x unified", "hoversubplots": "axis", "hoverdistance": 12, "hoverlabel": {"align": "left"},
        "xaxis": {
            "type": "date", "range": [wall(picture.since, zone), wall(picture.until, zone)], "anchor": f"y{len(domains)}", "showgrid": False,
            "showline": True, "linecolor": FAINT, "ticks": "outside", "hoverformat": "%a %d %b %Y %H:%M", "showspikes": True, "spikemode": "across",
            "spikethickness": 1, "spikecolor": FAINT, "spikedash": "dot",
        },
        "annotations": [
            {"text": f"<b>{escape(heading)}</b>", "x": 0, "xref": "paper", "xanchor": "left", "y": top, "yref": "paper", "yanchor": "bottom", "showarrow": False, "font": {"size": 14}}
            for heading, (_, top) in zip(words.panels(picture), domains, strict=True)
        ],
        "shapes": [],
    }  # fmt: skip
    settings: tuple[Trace, ...] = (
        {"rangemode": "tozero"},
        {"range": [-0.03, 1.03], "tickvals": [0, 0.25, 0.5, 0.75, 1]},
        {"range": [0, 100], "tickvals": [0, *picture.bands, 100]},
        {},
    )
    for number, (domain, name, setting) in enumerate(zip(domains, words.AXES, settings, strict=False), start=1):
        suffix = "" if number == 1 else str(number)
        found[f"yaxis{suffix}"] = {
            "domain": domain, "title": {"text": name, "standoff": 8}, "fixedrange": True, "gridcolor": "#E2E2E2", "zeroline": False, "showline": True,
            "linecolor": FAINT, **setting,
        }  # fmt: skip
        found[f"legend{suffix}"] = {
            "orientation": "h",
            "x": 1,
            "xanchor": "right",
            "y": domain[1],
            "yanchor": "bottom",
            "font": {"size": 11},
        }
    found["annotations"].append(
        {"text": "<br>".join(map(escape, words.footer(picture))), "x": 0, "xref": "paper", "xanchor": "left", "y": 0, "yref": "paper", "yanchor": "top", "yshift": -45, "showarrow": False, "align": "left", "font": small}
    )  # fmt: skip
    _bands(found, picture)
    for start, end in picture.unheard:
        found["shapes"] += [
            {"type": "rect", "xref": "x", "x0": wall(start, zone), "x1": wall(end, zone), "yref": f"{axis} domain", "y0": 0, "y1": 1,
             "fillcolor": "#E4E4E4", "line": {"width": 0}, "layer": "below"}
            for axis in ("y", "y2")
        ]  # fmt: skip
    return found


def _bands(layout: Trace, picture: Picture) -> None:
    """The five labels behind the score, and what an empty panel means."""
    for label, colour, low, high in words.bands_of(picture):
        layout["shapes"].append(
            {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "yref": "y3", "y0": low, "y1": high, "fillcolor": colour, "line": {"width": 0}, "layer": "below"}
        )  # fmt: skip
        layout["annotations"].append(
            {"text": label, "x": 1, "xref": "paper", "xanchor": "left", "xshift": 8, "y": (low + high) / 2, "yref": "y3", "yanchor": "middle", "showarrow": False}
        )  # fmt: skip
    empty = (
        (2, words.NO_OPINION, all(bucket.ratio is None for bucket in picture.buckets)),
        (3, words.NO_SCORE, all(score.score is None for score in picture.scores)),
    )
    layout["annotations"] += [
        {"text": text, "x": 0.5, "xref": "paper", "y": 0.5, "yref": f"y{panel} domain", "showarrow": False, "font": {"color": FAINT, "size": 13}}
        for panel, text, holds in empty
        if holds
    ]  # fmt: skip


def _domains(panels: int) -> list[tuple[float, float]]:
    """Where the panels stand in the height of the page, from the top: (bottom, top), 0..1."""
    heights = words.HEIGHTS[:panels]
    unit = (1 - _BETWEEN * (panels - 1)) / sum(heights)
    found = []
    top = 1.0
    for height in heights:
        bottom = max(0.0, top - height * unit)
        found.append((bottom, top))
        top = bottom - _BETWEEN
    return found
