"""What the rules say of what is stored: events into the outbox, states beside them.

    readings, episodes, streams ─► Facts ─► alerts.decide ─► states, events ─► one row of the outbox for each channel

``evaluate`` runs in the transaction of the readings, so that a reading, what follows from it and the memory of having
said so are stored together or not at all. ``notify_dry`` does the same for all readings of the simulated clock at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import quote

from tracker import brief, metrics
from tracker.alerts import Event, Facts, State, decide, from_json, mark_of, to_json
from tracker.config import Config
from tracker.config_schema import AlertRule, Alerts
from tracker.rows import Episode, Reading
from tracker.store import Connection
from tracker.store import alerts as outbox
from tracker.store.alerts import Alert, StoredState

ITSELF = "*"  # in place of a symbol: the rule as a whole
_BACK = timedelta(days=4)  # a daily episode that can still go on began to be over within this
_LEADS = 5  # sentences of the brief in one transaction: others wait for the file meanwhile
_DIGEST = 20  # symbols in one digest
_WHOLE = ("24h", "1h")  # readings by which symbols are ordered, the first that there is


@dataclass(frozen=True, slots=True)
class Ground:
    """What every evaluation needs of the configuration."""

    alerts: Alerts
    watched: tuple[str, ...]  # the watch-list with its groups
    bands: tuple[float, float, float, float]
    zone: str  # the market's
    step: timedelta  # between two moments at which readings are taken
    every_s: Mapping[str, float]  # source that is on -> seconds between two polls


def ground_of(config: Config) -> Ground:
    on = {name: source.interval_s for name, source in config.sources.items() if source.enabled}
    step = timedelta(seconds=max(300.0, config.jobs.readings_s))
    return Ground(config.alerts, config.watchlist.watched, config.meter.bands, config.tracker.timezone, step, on)


def symbols_of(rule: AlertRule, ground: Ground) -> tuple[str, ...] | None:
    """The symbols that a rule is about; None for all."""
    return rule.symbols or ground.watched or None


def named_by(rules: Sequence[AlertRule], ground: Ground) -> list[str] | None:
    """All symbols that rules are about; None where one of them is about all."""
    wanted = [symbols_of(rule, ground) for rule in rules]
    if any(symbols is None for symbols in wanted):
        return None
    return sorted({symbol for symbols in wanted for symbol in symbols or ()})


# ------------------------------------------------------------------------------------------------ live


def evaluate(connection: Connection, ground: Ground, at: datetime, now: datetime) -> int:
    """Look at every rule at one moment, within the caller's transaction; the number of events."""
    rules = [rule for rule in ground.alerts.rules.values() if rule.when != "digest"]
    if not rules:
        return 0
    stored = outbox.states(connection)
    sight = _Sight(connection, ground, rules, at)
    changed: list[StoredState] = []
    told: list[tuple[AlertRule, Event]] = []
    for rule in rules:
        states, previous = _standing(rule, stored)
        if previous == at:
            continue
        followed = {symbol for symbol, state in states.items() if state.episodes}
        for facts in sight.of(rule, previous, followed):
            before = states.get(facts.symbol)
            after, events = decide(rule, before, facts)
            told.extend((rule, event) for event in events)
            if after != (before or State()):
                changed.append(StoredState(rule.name, facts.symbol, to_json(after), at))
        changed.append(StoredState(rule.name, ITSELF, mark_of(rule), at))
    outbox.save_states(connection, changed)
    leads = _Leads(connection, at, ground.zone)
    outbox.put(connection, [row for rule, event in told for row in rows_of(rule, event, ground, now, leads.of(event))])
    return len(told)


def _standing(
    rule: AlertRule, stored: Mapping[tuple[str, str], StoredState]
) -> tuple[dict[str, State], datetime | None]:
    """The states of a rule by symbol, and until when it was looked at; where it asks for something else now, anew."""
    itself = stored.get((rule.name, ITSELF))
    same = itself is not None and itself.state == mark_of(rule)
    states: dict[str, State] = {}
    for (name, symbol), one in stored.items():
        state = from_json(one.state) if name == rule.name and symbol != ITSELF else None
        if state is not None:
            states[symbol] = state if same else State(told_at=state.told_at, last_at=state.last_at)
    return states, itself.at if itself is not None and same else None


class _Sight:
    """What is stored of one moment, asked once for all rules."""

    def __init__(self, connection: Connection, ground: Ground, rules: Sequence[AlertRule], at: datetime) -> None:
        self._ground, self._at = ground, at
        kinds = {rule.when for rule in rules}
        looking = [rule for rule in rules if rule.when in ("label_change", "crossing", "quiet")]
        named = named_by(looking, ground)
        windows = sorted({rule.window.name for rule in looking})
        readings = outbox.readings_at(connection, at, windows, named) if looking else []
        self._readings: dict[str, list[Reading]] = defaultdict(list)
        for reading in readings:
            self._readings[reading.window_name].append(reading)
        found = metrics.episodes(connection, at - _BACK, at, limit=100_000) if "spike" in kinds else []
        self._episodes = by_symbol(found)
        self._streams = metrics.stream_health(connection) if "source_down" in kinds else []

    def of(self, rule: AlertRule, previous: datetime | None, followed: set[str]) -> Iterator[Facts]:
        """The facts of each symbol or source that a rule is about; ``followed``: those that it has to see in any case."""
        blank = Facts("", self._at, previous, self._ground.step, self._ground.bands)
        wanted = symbols_of(rule, self._ground)
        if rule.when == "source_down":
            for name, every_s in self._ground.every_s.items():
                streams = tuple(stream for stream in self._streams if stream.source == name)
                yield replace(blank, symbol=name, streams=streams, every_s=every_s)
        elif rule.when == "spike":
            for symbol in sorted(followed | self._episodes.keys()):
                if wanted is None or symbol in wanted:
                    yield replace(blank, symbol=symbol, episodes=tuple(self._episodes.get(symbol, ())))
        else:
            for reading in self._readings[rule.window.name]:
                if wanted is None or reading.symbol in wanted:
                    yield replace(blank, symbol=reading.symbol, reading=reading)


def by_symbol(episodes: Iterable[Episode]) -> dict[str, list[Episode]]:
    found: dict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        found[episode.symbol].append(episode)
    return found


# ------------------------------------------------------------------------------------------------ rows


class _Leads:
    """The sentence of the brief about a symbol, made once."""

    def __init__(self, connection: Connection, at: datetime, zone: str) -> None:
        self._connection, self._at, self._zone = connection, at, zone
        self._made: dict[str, str] = {}

    def of(self, event: Event) -> str:
        if event.kind in ("source_down", "source_back"):
            return ""
        if event.symbol not in self._made and len(self._made) < _LEADS:
            self._made[event.symbol] = lead(self._connection, event.symbol, self._at, self._zone)
        return self._made.get(event.symbol, "")


def lead(connection: Connection, symbol: str, at: datetime, zone: str) -> str:
    return brief.lead_sentence(brief.read_lead(connection, symbol, at), zone)


def rows_of(
    rule: AlertRule, event: Event, ground: Ground, now: datetime, lead_sentence: str, status: str = "waiting"
) -> list[Alert]:
    """The rows of one event: what happened, how the symbol stands, where to read on, and the key."""
    about = event.kind not in ("source_down", "source_back", "digest")
    link = ground.alerts.link.replace("{symbol}", quote(event.symbol, safe="")) if about else ""
    parts = [part for part in (event.sentence, lead_sentence, link) if part]
    body = "\n\n".join([*parts, f"ref {event.key}"])
    due = now if status == "waiting" else None
    return [
        Alert(
            event.rule, event.symbol, event.at, channel, event.kind, event.title, body, link or None, event.key, status,
            0, due, None, None, now,
        )
        for channel in rule.channels
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------ digests


def digest_symbols(connection: Connection, rule: AlertRule, ground: Ground, at: datetime) -> list[str]:
    """The symbols of a digest, most talked about first."""
    wanted = symbols_of(rule, ground)
    order = next((found for window in _WHOLE if (found := metrics.leaderboard(connection, at, window, 100_000))), [])
    talked = [leader.symbol for leader in order if wanted is None or leader.symbol in wanted]
    silent = [symbol for symbol in wanted or () if symbol not in talked]
    return [*talked, *silent][:_DIGEST]


def digest_event(rule: AlertRule, due: datetime, seen_at: datetime, sentences: Sequence[str]) -> Event:
    """A digest that was due at ``due``, of what was known at ``seen_at``."""
    many = f"{len(sentences)} symbol{'' if len(sentences) == 1 else 's'}"
    text = "\n\n".join(sentences) or "Nothing is known about any symbol yet."
    return Event(rule.name, ITSELF, due, "digest", f"Retail sentiment of {many}, {seen_at:%Y-%m-%d %H:%M} UTC", text)


def save_digest(
    connection: Connection, rule: AlertRule, ground: Ground, at: datetime, now: datetime, event: Event | None
) -> None:
    """Write down that a digest was due at ``at``, with what it says; None: it is not told."""
    outbox.save_states(connection, [StoredState(rule.name, ITSELF, mark_of(rule), at)])
    if event is not None:
        outbox.put(connection, rows_of(rule, event, ground, now, ""))
