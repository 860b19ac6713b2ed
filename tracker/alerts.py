"""What is worth telling: rules, what has been told, what is seen now -> what is told. Pure, no clock.

    state, events = decide(rule, state, facts)

A state is where one rule stands for one symbol, and the whole memory: it is stored in the transaction of the readings
that changed it. What is seen for the first time is taken in silently, and so is what changed while nobody looked for
hours: an alert is about now. Nothing is told twice because a number jitters: the way back is longer than the way there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from operator import ge, gt, le, lt
from types import MappingProxyType

from tracker import alerts_words as words
from tracker.config_schema import AlertRule
from tracker.rows import Episode, Reading, StreamHealth

OLD = timedelta(hours=6)  # what happened longer ago than this, or than two windows, is taken in and not told
DIGEST_LATE = timedelta(hours=6)  # a digest that was missed is told once, if it is no later than this
BACK_POINTS = 2.0  # a label is left when the score is so far beyond its band
# how far back a number has to come before it can cross again
BACK: Mapping[str, float] = MappingProxyType(
    {
        "sentiment_score": BACK_POINTS, "volume_score": BACK_POINTS, "bullish_ratio": 0.02, "share_of_voice": 0.02,
        "volume_change": 0.02, "sentiment_z": 0.25, "sentiment_z_own": 0.25, "volume_z": 0.25, "buzz": 0.25, "messages": 2.0,
    }
)  # fmt: skip
_DEAF = frozenset({"messages", "buzz", "volume_z", "volume_score", "volume_change", "share_of_voice"})
QUIET_Z, QUIET_EXPECTED = -2.0, 5.0  # quiet: so far below what was to be expected, and so much was
SEVERITIES = ("notable", "high", "extreme")
LABELS = ("extremely bearish", "bearish", "neutral", "bullish", "extremely bullish")
WIDTHS: Mapping[str, timedelta] = MappingProxyType(
    {"5m": timedelta(minutes=5), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
)
POLLS_MISSED = 3  # a source is down after so many of its intervals without a poll that worked
LEAST_DOWN_S = 60.0  # and never before this
_TICK = timedelta(microseconds=1)
_OPS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType({">": gt, ">=": ge, "<": lt, "<=": le})


# ------------------------------------------------------------------------------------------------ what goes in and out


@dataclass(frozen=True, slots=True)
class Followed:
    """A spike episode that a rule has seen and that is not over."""

    width_s: float
    kind: str
    start_at: datetime
    over_at: datetime  # as last seen
    severity: str  # as last seen
    told: bool  # its start was told, so its rise and its end are told too


@dataclass(frozen=True, slots=True)
class State:
    """Where a rule stands for one symbol or source."""

    side: str | None = None  # a label; armed or beyond; usual or quiet; up or down. None: nothing seen yet
    told_at: datetime | None = None  # moment of the event from which the cool-down counts
    last_at: datetime | None = None  # moment of the newest event that was told: no two have the same
    episodes: tuple[Followed, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What is seen of one symbol or source at one moment."""

    symbol: str
    at: datetime
    previous: datetime | None  # until when the rule had been looked at before; None: never
    step: timedelta = timedelta(minutes=5)  # usual time between two looks
    bands: tuple[float, float, float, float] = (25.0, 45.0, 55.0, 75.0)
    reading: Reading | None = None  # the one taken at this moment, of the rule's window; None without one
    episodes: tuple[Episode, ...] = ()  # spike episodes of the last days, as known at this moment
    streams: tuple[StreamHealth, ...] = ()  # of the source
    every_s: float = 0.0  # how often the source is asked


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling."""

    rule: str
    symbol: str
    at: datetime  # the moment it is about
    kind: str
    title: str
    sentence: str

    @property
    def key(self) -> str:
        """The same at every attempt: a receiver that has seen it may drop the second."""
        parts = "\0".join((self.rule, self.symbol, self.at.astimezone(UTC).isoformat(), self.kind))
        return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


Decision = tuple[State, tuple[Event, ...]]


def decide(rule: AlertRule, state: State | None, facts: Facts) -> Decision:
    """The next state, and what is to be told. The same moment a second time changes nothing."""
    known = state or State()
    if facts.previous == facts.at:
        return known, ()
    return _DECIDERS[rule.when](rule, known, facts)


def fold(rule: AlertRule, state: State | None, seen: Iterable[Facts]) -> Decision:
    """``decide`` over many moments, oldest first: in one run or in pieces, the same."""
    events: list[Event] = []
    known = state or State()
    for facts in seen:
        known, told = decide(rule, known, facts)
        events.extend(told)
    return known, tuple(events)


def digest_due(last: datetime | None, now: datetime, after: Callable[[datetime], datetime | None]) -> datetime | None:
    """The newest moment at which a digest was due since ``last``; None when none was. ``after(t)``: the next one after t."""
    if last is None or last > now:
        return None
    found, due = None, after(max(last, now - timedelta(days=2)))
    while due is not None and due <= now:
        found, due = due, after(due)
    return found


# ------------------------------------------------------------------------------------------------ help for all kinds


def _stale(rule: AlertRule, facts: Facts, window: timedelta) -> bool:
    """Nobody has looked for so long that a change may be old, or the clock was set back."""
    patience = max(OLD, 2 * window, 2 * facts.step)
    return facts.previous is None or facts.at < facts.previous or facts.at - facts.previous > patience


def _cool(rule: AlertRule, state: State, facts: Facts, moment: datetime) -> bool:
    """Enough time has passed since the last event about this symbol; one of a clock that ran ahead does not count."""
    last = state.told_at
    return last is None or last > facts.at + timedelta(days=1) or moment >= last + timedelta(seconds=rule.cool_down_s)


def _tell(
    rule: AlertRule, state: State, facts: Facts, kind: str, moment: datetime, said: words.Said, *, cools: bool
) -> tuple[State, Event]:
    """The event, at a moment of its own, and the state that remembers it."""
    at = moment if state.last_at is None or moment > state.last_at else state.last_at + _TICK
    event = Event(rule.name, facts.symbol, at, kind, said.title, said.sentence)
    return replace(state, last_at=at, told_at=at if cools else state.told_at), event


def _turn(rule: AlertRule, state: State, facts: Facts, side: str, kind: str, said: words.Said) -> Decision:
    """To the other side: told, unless the rule has to cool down."""
    turned = replace(state, side=side)
    if not _cool(rule, state, facts, facts.at):
        return turned, ()
    after, event = _tell(rule, turned, facts, kind, facts.at, said, cools=True)
    return after, (event,)


# ------------------------------------------------------------------------------------------------ readings


def left(label: str, score: float, bands: Sequence[float]) -> bool:
    """Whether a score is clearly outside the band of a label."""
    if label not in LABELS:
        return True
    place = LABELS.index(label)
    edges = (float("-inf"), *bands, float("inf"))
    return score <= edges[place] - BACK_POINTS or score >= edges[place + 1] + BACK_POINTS


def _label_change(rule: AlertRule, state: State, facts: Facts) -> Decision:
    seen = facts.reading
    if seen is None or seen.sentiment_score is None or seen.sentiment_label is None:
        return state, ()
    label = seen.sentiment_label
    if state.side is None or _stale(rule, facts, timedelta(seconds=rule.window.seconds)):
        return replace(state, side=label), ()
    if label == state.side or not left(state.side, seen.sentiment_score, facts.bands):
        return state, ()
    return _turn(rule, state, facts, label, "label_changed", words.label_changed(seen, state.side))


def _crossing(rule: AlertRule, state: State, facts: Facts) -> Decision:
    wanted, seen = rule.comparison, facts.reading
    value = None if wanted is None or seen is None else getattr(seen, wanted.column)
    if wanted is None or seen is None or value is None:
        return state, ()
    if wanted.op in ("<", "<=") and wanted.column in _DEAF and seen.sources_up < 1:
        return state, ()  # nobody listened: that little was heard says nothing
    holds = _OPS[wanted.op](value, wanted.number)
    if state.side is None or _stale(rule, facts, timedelta(seconds=rule.window.seconds)):
        return replace(state, side="beyond" if holds else "armed"), ()
    if state.side == "armed" and holds:
        return _turn(rule, state, facts, "beyond", "crossed", words.crossed(seen, wanted, value))
    upwards = wanted.op in (">", ">=")
    end = wanted.low if upwards else wanted.high
    margin = BACK[wanted.column] if end is None else min(BACK[wanted.column], abs(wanted.number - end) / 2)
    back = value <= wanted.number - margin if upwards else value >= wanted.number + margin
    return (replace(state, side="armed") if back and not holds else state), ()


def _quiet(rule: AlertRule, state: State, facts: Facts) -> Decision:
    seen = facts.reading
    if seen is None or seen.volume_z is None or seen.expected is None or seen.sources_up < 1:
        return state, ()
    quiet = seen.volume_z <= QUIET_Z and seen.expected >= QUIET_EXPECTED
    if state.side is None or _stale(rule, facts, timedelta(seconds=rule.window.seconds)):
        return replace(state, side="quiet" if quiet else "usual"), ()
    if quiet and state.side != "quiet":
        return _turn(rule, state, facts, "quiet", "quiet", words.quiet(seen))
    return (replace(state, side="usual") if seen.volume_z >= QUIET_Z + BACK["volume_z"] else state), ()


# ------------------------------------------------------------------------------------------------ sources


def works(streams: Sequence[StreamHealth], at: datetime, every_s: float) -> bool | None:
    """Whether a source answers; None where it can't be told: not asked yet, or failing for a short time only."""
    asked = [stream for stream in streams if stream.enabled and stream.last_poll_at is not None]
    if not asked:
        return None
    if any(not stream.failures and stream.status != "silent" for stream in asked):
        return True
    if all(stream.status in ("denied", "silent") for stream in asked):  # a silent one has shown nothing three times
        return False
    newest = max((stream.last_success_at for stream in asked if stream.last_success_at is not None), default=None)
    longest = timedelta(seconds=max(LEAST_DOWN_S, POLLS_MISSED * every_s))
    return False if newest is None or at - newest > longest else None


def _source_down(rule: AlertRule, state: State, facts: Facts) -> Decision:
    up = works(facts.streams, facts.at, facts.every_s)
    if up is None:
        return state, ()
    if state.side is None or _stale(rule, facts, timedelta(0)):
        return replace(state, side="up" if up else "down, untold"), ()
    if up and state.side == "down":
        said = words.source_back(facts.symbol, facts.at)
        after, event = _tell(rule, replace(state, side="up"), facts, "source_back", facts.at, said, cools=False)
        return after, (event,)
    if up or state.side != "up":
        return (replace(state, side="up") if up else state), ()
    after, events = _turn(rule, state, facts, "down", "source_down", words.source_down(facts.symbol, facts.streams))
    return (after if events else replace(after, side="down, untold")), events


# ------------------------------------------------------------------------------------------------ spikes


def _order(episode: Episode) -> tuple[datetime, timedelta, str]:
    """By what is to be told of them, oldest first, where a look covers many hours."""
    return episode.rose_at or episode.start_at + episode.bucket_width, episode.bucket_width, episode.kind


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0


def _same(followed: Followed, episode: Episode) -> bool:
    """Late messages may move the edges of an episode: what overlaps is the same one."""
    is_kind = followed.width_s == episode.bucket_width.total_seconds() and followed.kind == episode.kind
    return is_kind and followed.start_at < episode.over_at and episode.start_at < followed.over_at


def _matches(rule: AlertRule, episode: Episode) -> bool:
    widths = {WIDTHS[width] for width in rule.widths}
    return episode.bucket_width in widths and rule.kind in ("any", episode.kind)


def _fresh(facts: Facts, moment: datetime, width: timedelta) -> bool:
    return facts.at - moment <= max(OLD, 2 * width, 2 * facts.step)


def _spike(rule: AlertRule, state: State, facts: Facts) -> Decision:
    """Start, rise and end of the episodes that the rule asks for, each at the moment when it could be known."""
    silent = facts.previous is None or facts.at < facts.previous
    events: list[Event] = []
    going: list[Followed] = []
    before = list(state.episodes)
    for episode in sorted(facts.episodes, key=_order):
        if not _matches(rule, episode) or _rank(episode.severity) < _rank(rule.severity):
            continue
        mine = [followed for followed in before if _same(followed, episode)]
        before = [followed for followed in before if followed not in mine]
        state, told, followed = _one_spike(rule, state, facts, episode, mine, silent)
        events.extend(told)
        if followed is not None:
            going.append(followed)
    for gone in before:  # no longer counted as a spike, or out of sight: it ends when it was to end
        if facts.at < gone.over_at:
            going.append(gone)
        elif gone.told and not silent and _fresh(facts, gone.over_at, timedelta(seconds=gone.width_s)):
            said = words.spike_gone(facts.symbol, gone.kind, gone.start_at)
            state, event = _tell(rule, state, facts, "spike_ended", gone.over_at, said, cools=False)
            events.append(event)
    return replace(state, episodes=tuple(going)), tuple(events)


def _one_spike(
    rule: AlertRule, state: State, facts: Facts, episode: Episode, mine: Sequence[Followed], silent: bool
) -> tuple[State, list[Event], Followed | None]:
    width, rank = episode.bucket_width, _rank(episode.severity)
    if not mine and facts.previous is not None and not silent and episode.over_at <= facts.previous:
        return state, [], None  # old news that was written down late
    seen = max((_rank(followed.severity) for followed in mine), default=-1)
    told = any(followed.told for followed in mine)
    events: list[Event] = []
    if rank > seen:
        moment = min(facts.at, _risen_at(episode, max(seen + 1, _rank(rule.severity))))
        tells = not silent and _fresh(facts, moment, width)
        if told and tells:
            state, event = _tell(rule, state, facts, "spike_rose", moment, words.spike_rose(episode), cools=False)
            events.append(event)
        elif tells and _cool(rule, state, facts, moment):
            state, event = _tell(rule, state, facts, "spike_started", moment, words.spike_started(episode), cools=True)
            events.append(event)
            told = True
    if facts.at >= episode.over_at:
        if told and not silent and _fresh(facts, episode.over_at, width):
            said = words.spike_ended(episode)
            state, event = _tell(rule, state, facts, "spike_ended", episode.over_at, said, cools=False)
            events.append(event)
        return state, events, None
    severity = SEVERITIES[max(rank, seen)]
    followed = Followed(width.total_seconds(), episode.kind, episode.start_at, episode.over_at, severity, told)
    return state, events, followed


def _risen_at(episode: Episode, rank: int) -> datetime:
    """When an episode reached a severity: the end of the bucket that did."""
    if _rank(episode.first_severity) >= rank:
        return episode.start_at + episode.bucket_width
    if episode.rose_at is not None and _rank(episode.severity) - _rank(episode.first_severity) == 1:
        return episode.rose_at
    return episode.peak_start + episode.bucket_width


_DECIDERS: Mapping[str, Callable[[AlertRule, State, Facts], Decision]] = MappingProxyType(
    {
        "spike": _spike,
        "label_change": _label_change,
        "crossing": _crossing,
        "quiet": _quiet,
        "source_down": _source_down,
    }
)


# ------------------------------------------------------------------------------------------------ states as text


def mark_of(rule: AlertRule) -> str:
    """A hash of what a rule asks for: a rule that was changed begins anew, with its cool-down in force."""
    asked = (rule.when, str(rule.comparison), rule.widths, rule.severity, rule.kind, rule.window.name)
    return blake2b(repr(asked).encode(), digest_size=6).hexdigest()


def to_json(state: State) -> str:
    """Only what is known, so that most states are short."""
    known = {name: value for name, value in asdict(state).items() if value not in (None, ())}
    return json.dumps(known, default=lambda value: value.astimezone(UTC).isoformat(), separators=(",", ":"))


def from_json(text: str) -> State | None:
    """The state again; None for what is none, as if the symbol was never seen."""
    try:
        data = json.loads(text)
        episodes = tuple(
            Followed(**{**one, "start_at": _moment(one["start_at"]), "over_at": _moment(one["over_at"])})
            for one in data.pop("episodes", ())
        )
        told_at, last_at = (None if data.get(name) is None else _moment(data[name]) for name in ("told_at", "last_at"))
        return State(data.get("side"), told_at, last_at, episodes)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
