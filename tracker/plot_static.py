"""A picture as PNG or SVG, drawn by matplotlib's objects: no window, no state of the process is changed.

The same picture gives the same bytes. Text in an SVG stays text; what stands for a spike or a panel has an id there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from math import nan
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from tracker import plot_words as words
from tracker.errors import BadInput
from tracker.metrics import Spike
from tracker.plot import DAY, Picture
from tracker.plot_words import COPIED, FAINT, HEIGHTS, INK, INTERVAL, ORGANIC, RANGE, RATIO, SPIKE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES, DOTS_PER_INCH = (12.0, 9.0), 100  # 1200 x 900

MARKERS = {"notable": ("^", 7.0), "high": ("D", 7.5), "extreme": ("*", 13.0)}  # by severity: shape and size in points

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False, "hatch.linewidth": 0.6, "svg.fonttype": "none",
    "svg.hashsalt": "tracker", "path.simplify": True,
}  # fmt: skip


def draw_static(picture: Picture, form: Literal["png", "svg"]) -> bytes:
    """The file's content; BadInput where matplotlib is not installed."""
    try:
        from matplotlib import style
    except ImportError:
        raise BadInput("drawing PNG and SVG needs matplotlib", None, "pip install 'tracker[plot]'") from None
    with style.context(["default", STYLE]):
        content = BytesIO()
        # a date or a version in the file would make each one another
        figure = compose(picture)
        figure.savefig(content, format=form, metadata={"Date": None} if form == "svg" else {"Software": None})
    return content.getvalue()


def compose(picture: Picture) -> Figure:
    """The figure with all its panels, in whatever style is in force."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH, facecolor="white")
    titles = words.panels(picture)
    grid = figure.subplots(
        len(titles), 1, sharex=True, squeeze=False, height_ratios=HEIGHTS[: len(titles)],
        gridspec_kw={"left": 0.065, "right": 0.885, "top": 0.885, "bottom": 0.085, "hspace": 0.33},
    )  # fmt: skip
    panels: list[Axes] = [row[0] for row in grid]
    for drawn, panel, heading, axis in zip((_volume, _ratio, _score, _price), panels, titles, words.AXES, strict=False):
        panel.set_title(heading, loc="left", fontsize=10.5, fontweight="bold", parse_math=False)
        panel.set_ylabel(axis)
        panel.grid(axis="y", color="#DDDDDD", linewidth=0.6)
        panel.set_axisbelow(True)
        drawn(panel, picture)
    _unheard(panels, picture)
    _axis_of_time(panels[-1], picture)
    figure.text(0.065, 0.965, words.title(picture), fontsize=15, fontweight="bold", parse_math=False)
    figure.text(0.065, 0.938, words.made_from(picture), fontsize=9.5, color="#444444", parse_math=False)
    figure.text(
        0.065, 0.037, "\n".join(words.footer(picture)), va="top", fontsize=8.5, color="#444444", parse_math=False
    )
    return figure


def _numbers(values: Sequence[float | None]) -> list[float]:
    """Gaps as matplotlib knows them."""
    return [nan if value is None else float(value) for value in values]


def _days(moments: Sequence[datetime]) -> list[float]:
    from matplotlib.dates import date2num

    return [float(date2num(moment)) for moment in moments]  # type: ignore[no-untyped-call]


def _legend(panel: Axes, entries: Sequence[Any]) -> None:
    """In the line of the title, at its right: never over the data."""
    panel.legend(
        handles=entries, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(entries), frameon=False, fontsize=8.5,
        borderaxespad=0.1, columnspacing=1.0, handletextpad=0.4, handlelength=1.4,
    )  # fmt: skip


def _steps(panel: Axes, picture: Picture, values: Sequence[float | None], **look: Any) -> Any:
    """A line that holds over each interval; also one alone is seen."""
    edges = _days([*(bucket.start for bucket in picture.buckets), picture.until])
    return panel.stairs(_numbers(values), edges, baseline=None, **look)


# ------------------------------------------------------------------------------------------------ panels


def _volume(panel: Axes, picture: Picture) -> None:
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    known = [bucket for bucket in picture.buckets if bucket.messages is not None]
    starts = _days([bucket.start for bucket in known])
    share = 0.86 if len(picture.buckets) <= 200 else 1.0  # a pause between few bars, none between many
    widths = [share * (bucket.end - bucket.start) / DAY for bucket in known]
    organic, copied = [bucket.organic or 0 for bucket in known], [bucket.copied or 0 for bucket in known]
    offsets = [start + (1 - share) / 2 * picture.width / DAY for start in starts]
    panel.bar(offsets, organic, widths, align="edge", color=ORGANIC, linewidth=0)
    panel.bar(offsets, copied, widths, bottom=organic, align="edge", color=COPIED, linewidth=0)
    entries: list[Any] = [Patch(color=ORGANIC, label="organic")]
    if any(copied):
        entries.append(Patch(color=COPIED, label="copied"))
    expected = [bucket.expected for bucket in picture.buckets]
    if any(value is not None for value in expected):
        entries.append(_steps(panel, picture, expected, color=INK, linewidth=1.3, label="expected", gid="expected"))
    for spike in picture.spikes:
        _spike(panel, spike)
    entries += _marks_explained(picture)
    if picture.unheard:
        entries.append(Patch(facecolor="white", edgecolor=FAINT, hatch="////", linewidth=0, label="nobody listened"))
    most = max([*(bucket.messages or 0 for bucket in known), *(value or 0 for value in expected), 1])
    panel.set_ylim(0, most * (1.16 if picture.spikes else 1.05))
    panel.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    _legend(panel, entries)


def _spike(panel: Axes, spike: Spike) -> None:
    """A mark above its bar."""
    from matplotlib.transforms import ScaledTranslation

    figure = panel.get_figure(root=True)
    assert figure is not None
    panel.plot(
        _days([spike.bucket_start + spike.bucket_width / 2]), [spike.messages], **_mark(spike.severity, spike.kind), zorder=4, clip_on=False,
        transform=panel.transData + ScaledTranslation(0, 7 / 72, figure.dpi_scale_trans),
        gid=f"spike-{spike.severity}-{spike.kind}-{spike.bucket_start:%Y%m%dT%H%M}",
    )  # fmt: skip


def _mark(severity: str, kind: str) -> dict[str, Any]:
    """The shape says how severe it is; a burst of copies is hollow."""
    shape, size = MARKERS[severity]
    inside = SPIKE if kind == "organic" else "white"
    return {
        "linestyle": "none", "marker": shape, "markersize": size, "color": SPIKE, "markerfacecolor": inside, "markeredgewidth": 1.2,
    }  # fmt: skip


def _marks_explained(picture: Picture) -> list[Any]:
    """Entries of the legend: each severity that is seen, and that hollow means copied."""
    from matplotlib.lines import Line2D

    seen = [severity for severity in words.SEVERITIES if any(spike.severity == severity for spike in picture.spikes)]
    entries = [
        Line2D([], [], **_mark(severity, "organic"), label=severity if number else f"{severity} spike")
        for number, severity in enumerate(seen)
    ]
    copied = [spike.severity for spike in picture.spikes if spike.kind != "organic"]
    return [*entries, *(Line2D([], [], **_mark(severity, "copied"), label="hollow: copies") for severity in copied[:1])]


def _ratio(panel: Axes, picture: Picture) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    said = [bucket for bucket in picture.buckets if bucket.ratio is not None]
    count = len(picture.buckets)
    panel.bar(
        _days([bucket.start for bucket in said]), [(b.ratio_high or 0.0) - (b.ratio_low or 0.0) for b in said],
        [(bucket.end - bucket.start) / DAY for bucket in said], bottom=[bucket.ratio_low or 0.0 for bucket in said],
        align="edge", color=INTERVAL, edgecolor=INTERVAL, linewidth=0.3,
    )  # fmt: skip
    ratios = _numbers([bucket.ratio for bucket in picture.buckets])
    panel.plot(
        _days([bucket.middle for bucket in picture.buckets]),
        ratios,
        color=RATIO,
        linewidth=words.crowding(count),
        gid="ratio",
    )
    panel.scatter(
        _days([bucket.middle for bucket in said]), [bucket.ratio or 0.0 for bucket in said],
        s=[words.dot(bucket.opinions, count) ** 2 for bucket in said], color=RATIO, linewidth=0, zorder=3,
    )  # fmt: skip
    dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": RATIO, "markeredgewidth": 0}
    sizes = ((1, "1"), (10, "10"), (100, "100 opinions"))
    entries: list[Any] = [
        Line2D([], [], **dot, markersize=words.dot(opinions, count), label=text) for opinions, text in sizes
    ]
    entries.append(Patch(color=INTERVAL, label="95 % interval"))
    habits = [bucket.habit for bucket in picture.buckets]
    if any(value is not None for value in habits):
        look: dict[str, Any] = {"color": INK, "linewidth": 1.0, "linestyle": (0, (4, 2))}
        entries.append(_steps(panel, picture, habits, label="habit of the market", **look))
    if not said:
        _nothing(panel, words.NO_OPINION)
    panel.set_ylim(-0.03, 1.03)
    panel.set_yticks([0, 0.25, 0.5, 0.75, 1])
    _legend(panel, entries)


def _nothing(panel: Axes, text: str) -> None:
    """What an empty panel means."""
    look: dict[str, Any] = {"transform": panel.transAxes, "ha": "center", "va": "center", "color": FAINT}
    panel.text(0.5, 0.5, text, fontsize=9.5, **look)


def _score(panel: Axes, picture: Picture) -> None:
    for label, colour, low, high in words.bands_of(picture):
        panel.axhspan(low, high, color=colour, linewidth=0, zorder=0)
        panel.annotate(
            label, (1.0, (low + high) / 2), xycoords=("axes fraction", "data"), xytext=(9, 0), textcoords="offset points",
            va="center", fontsize=8.5, annotation_clip=False,
        )  # fmt: skip
    points = words.lines_of_scores(picture)
    moments = _numbers([None if point is None else _days([point.at])[0] for point in points])
    scores = _numbers([None if point is None else point.score for point in points])
    size = 3.5 if len(points) <= 200 else 1.2
    panel.plot(moments, scores, color=INK, linewidth=1.1, marker="o", markersize=size, markeredgewidth=0, gid="score")
    if all(point is None or point.score is None for point in points):
        _nothing(panel, words.NO_SCORE)
    panel.set_ylim(0, 100)
    panel.set_yticks([0, *picture.bands, 100])


def _price(panel: Axes, picture: Picture) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    ranged = [bar for bar in picture.prices if bar.low is not None and bar.high is not None]
    entries: list[Any] = []
    if ranged:
        width = 0.45 * (ranged[0].end - ranged[0].start) / DAY
        lows, highs = [bar.low or 0.0 for bar in ranged], [bar.high or 0.0 for bar in ranged]
        heights = [high - low for low, high in zip(lows, highs, strict=True)]
        panel.bar(_days([bar.middle for bar in ranged]), heights, width, bottom=lows, color=RANGE, linewidth=0)
        entries.append(Patch(color=RANGE, label="low to high"))
    points = words.lines_of_prices(picture)
    moments = _numbers([None if point is None else _days([point.middle])[0] for point in points])
    closes = _numbers([None if point is None else point.close for point in points])
    size = 3.0 if len(points) <= 200 else 0.8
    panel.plot(moments, closes, color=INK, linewidth=1.1, marker="o", markersize=size, markeredgewidth=0, gid="price")
    entries.append(Line2D([], [], color=INK, linewidth=1.1, marker="o", markersize=3, label="close"))
    _legend(panel, entries)


# ------------------------------------------------------------------------------------------------ what they share


def _unheard(panels: Sequence[Axes], picture: Picture) -> None:
    """Spans in which nobody listened, over the two panels that count what was heard there."""
    for start, end in picture.unheard:
        left, right = _days([start, end])
        for panel in panels[:2]:
            panel.axvspan(
                left,
                right,
                facecolor="#F2F2F2",
                edgecolor="#A0A0A0",
                hatch="////",
                linewidth=0,
                zorder=0.5,
                gid="unheard",
            )


def _axis_of_time(panel: Axes, picture: Picture) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    zone = ZoneInfo(picture.zone)
    locator = AutoDateLocator(tz=zone, minticks=5, maxticks=14)  # type: ignore[no-untyped-call]
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))  # type: ignore[no-untyped-call]
    left, right = _days([picture.since, picture.until])
    panel.set_xlim(left, right)
