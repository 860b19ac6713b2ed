"""``config.toml`` into one frozen ``Config``, or one error with everything that is wrong in it.

    find(path) ─► text ─► tables ─► values ─► Config
                               every problem is noted on the way; one is enough to refuse the whole file

Half a configuration would be worse than none: a misspelt ``streams`` that is silently ignored collects the wrong
thing for weeks. So each key has to be known, of the right type and possible, and all problems are told at once.
A value with ``${NAME}`` takes an environment variable in; messages show it as written, never filled in.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from tracker import __version__
from tracker import config_table as t
from tracker import config_values as v
from tracker.config_alerts import read_alerts, secrets_of
from tracker.config_schema import (
    Alerts,
    Config,
    Extract,
    Http,
    Jobs,
    LogFormat,
    Meter,
    SourceDefaults,
    SourceSettings,
    Spikes,
    Store,
    Tracker,
    Watchlist,
    Web,
    Window,
)
from tracker.config_sources import read_http, read_sources
from tracker.config_tone import read_tone
from tracker.config_universe import read_universe
from tracker.errors import ConfigError, Problem
from tracker.secret import Secret

__all__ = ["Config", "SourceDefaults", "SourceSettings", "find", "in_force", "keys", "load", "secrets", "user_agent"]

_NAME = "config.toml"
# keys whose value may be any text, and so may hold something secret where it came from the environment
_FREE_TEXT = frozenset({"base_url", "contact", "user_agent", "data_dir", "path", "publish", "lexicon", "model", "link"})


# ------------------------------------------------------------------------------------- the file


def _packaged() -> Path:
    """The configuration that comes along: in an installed package beside this module, in a checkout at its top."""
    here = Path(__file__).resolve().parent
    shipped = here / "config.default.toml"
    return shipped if shipped.is_file() else here.parent / _NAME


def find(path: str | Path | None = None) -> Path:
    """The file that ``load`` reads: ``path`` if given, else ./config.toml, else the one that comes along.

    ConfigError, saying where it looked, when there is none.
    """
    places = [Path(path).expanduser()] if path is not None else [Path(_NAME).absolute(), _packaged()]
    for place in places:
        if place.is_file():
            return place
    looked = " and ".join(str(place) for place in places)
    raise ConfigError("no configuration", [Problem("--config", "no file", f"a file at {looked}")])


def _parse(path: Path) -> dict[str, object]:
    """The tables of a TOML file; ConfigError with the line for anything else."""
    try:
        source = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(str(path), [Problem("file", reason, "a file that can be read")]) from None
    except UnicodeDecodeError as error:
        problem = Problem("file", f"bytes that are not UTF-8 at offset {error.start}", "UTF-8 text")
        raise ConfigError(str(path), [problem]) from None
    try:
        return tomllib.loads(source)
    except RecursionError:
        raise ConfigError(str(path), [Problem("file", "brackets nested too deeply", "TOML")]) from None
    except ValueError as error:
        raise ConfigError(str(path), [_syntax(error, source)]) from None


def _syntax(error: ValueError, source: str) -> Problem:
    """Where and why it is not TOML. The line itself is not shown: a secret may stand in it."""
    if not isinstance(error, tomllib.TOMLDecodeError):
        return Problem("file", "a number with thousands of digits", "TOML")
    reason, _, place = t.printable(str(error)).partition(" (at ")
    match = re.match(r"line (\d+), column (\d+)", place)
    line = f"line {match[1]}, column {match[2]}" if match else f"line {source.count(chr(10)) + 1}"
    return Problem(line, f"text that is not TOML ({reason[:1].lower()}{reason[1:]})", 'lines such as key = "value"')


# ------------------------------------------------------------------------------------- the whole


def load(
    path: str | Path | None,
    env: Mapping[str, str],
    *,
    known_sources: Mapping[str, SourceDefaults],
    data_dir: str | Path | None = None,
) -> Config:
    """The checked configuration, from ``path`` or from where ``find`` finds it when that is None.

    Relative paths in the file are relative to its folder; in the one that comes along, to the current folder.
    ``data_dir`` (relative to the current folder) takes the place of the one in the file. ConfigError holds every
    problem at once.
    """
    found = find(path)
    ours = found.resolve() == _packaged() and (path is None or found.name != _NAME)
    notes = t.Notes(env)
    base = Path.cwd() if ours else found.absolute().parent
    config = _read(t.Table("", _parse(found), notes), known_sources, base, data_dir, found.absolute())
    if notes.problems:
        raise ConfigError(str(found), notes.problems)
    return config


def keys(known_sources: Mapping[str, SourceDefaults]) -> tuple[str, ...]:
    """Every key that a file may have, dotted, for the documentation and its test; names of tables are left out."""
    notes = t.Notes({})
    _read(t.Table("", {}, notes), known_sources, Path(), None, Path())
    return tuple(dict.fromkeys(notes.known))


def _read(
    root: t.Table,
    known_sources: Mapping[str, SourceDefaults],
    base: Path,
    data_dir: str | Path | None,
    path: Path,
) -> Config:
    tracker = _tracker(root.table("tracker"), base, data_dir)
    watchlist = _watchlist(root.table("watchlist"))
    table = root.table("http")
    http = read_http(table, Http())
    table.close()
    default_agent = user_agent_of(tracker.contact, None)
    config = Config(
        tracker=tracker,
        watchlist=watchlist,
        sources=read_sources(root.table("sources"), known_sources, http, watchlist.watched, default_agent),
        http=http,
        extract=_extract(root.table("extract")),
        tone=read_tone(root.table("tone"), base),
        meter=_meter(root.table("meter")),
        spikes=_spikes(root.table("spikes")),
        store=_store(root.table("store"), base, tracker.data_dir),
        jobs=_jobs(root.table("jobs")),
        alerts=Alerts(),
        universe=read_universe(root.table("universe")),
        web=_web(root.table("web")),
        path=path,
        written=MappingProxyType(root.notes.written),
    )
    alerts = read_alerts(root.table("alerts"), watchlist.groups, config.meter.windows)
    root.close()
    return dataclasses.replace(config, alerts=alerts)


# ------------------------------------------------------------------------------------- table by table


_log_format: Callable[[object], LogFormat] = v.choice("text", "json")


def _tracker(table: t.Table, base: Path, data_dir: str | Path | None) -> Tracker:
    default = Tracker(data_dir=base / "data")
    given = table.take("data_dir", v.location(base), default.data_dir)
    if data_dir is not None:
        given = Path(data_dir).expanduser().absolute()
        table.notes.written.pop(table.at("data_dir"), None)
    found = Tracker(
        data_dir=given,
        timezone=table.take("timezone", v.zone, default.timezone),
        contact=table.take("contact", v.header_text, default.contact),
        log_level=table.take("log_level", v.choice("debug", "info", "warning", "error"), default.log_level),
        log_format=table.take("log_format", _log_format, default.log_format),
    )
    table.close()
    return found


def _watchlist(table: t.Table) -> Watchlist:
    symbols = table.take_list("symbols", v.symbol, 'an array of symbols such as ["BABA", "GME"]')
    discover = table.take("discover", v.flag, default=True)
    groups = table.table("groups")
    members: dict[str, tuple[str, ...]] = {}
    for name in groups.names():
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name):
            table.notes.problem(groups.at(name), "a name with other characters", "letters, digits, _ and -, at most 40")
        members[name] = groups.take_list(name, v.symbol, 'an array of symbols such as ["BABA", "JD"]')
    table.close()
    return Watchlist(symbols, MappingProxyType(members), discover)


def _extract(table: t.Table) -> Extract:
    default = Extract()
    threshold = table.take("threshold", v.number(0, 1), default.threshold)
    names = table.table("aliases")
    aliases = {name: names.take(name, v.symbol, "") for name in names.names()}
    for name in aliases:
        if not name.strip():
            table.notes.problem(names.at(name), "a blank name", "the words by which people call a symbol")
    block = table.take_list("block", v.symbol, 'an array of symbols such as ["YOLO"]')
    allow = table.take_list("allow", v.symbol, 'an array of symbols such as ["GME"]')
    for both in sorted(set(block) & set(allow)):
        table.notes.problem(table.at("allow"), t.show(both), "a symbol that is not in block as well")
    table.close()
    return Extract(threshold, MappingProxyType(aliases), block, allow)


def _bands(value: object) -> tuple[float, float, float, float]:
    score = v.number(0, 100)
    if isinstance(value, list) and len(value) == 4:
        try:
            first, second, third, fourth = (score(item) for item in value)
        except v.Wrong:
            pass
        else:
            if first < second < third < fourth:
                return first, second, third, fourth
    raise v.Wrong("four ascending numbers from 0 to 100 such as [25, 45, 55, 75]")


def _window(value: object) -> Window:
    if not isinstance(value, str):
        raise v.Wrong('a duration in quotes such as "24h"')
    seconds = v.duration()(value)
    if seconds % 300:  # readings are sums of 5-minute buckets
        raise v.Wrong("a multiple of 5 minutes")
    return Window(value.strip(), seconds)


def _meter(table: t.Table) -> Meter:
    default = Meter()
    windows = table.take_list("windows", _window, 'an array such as ["1h", "24h", "7d"]', default.windows)
    if not windows or len({window.seconds for window in windows}) < len(windows):
        found = t.show([window.name for window in windows])
        table.notes.problem(table.at("windows"), found, "one window or more, each of another length")
    found_meter = Meter(
        bands=table.take("bands", _bands, default.bands),
        windows=windows,
        k=table.take("k", v.number(0, 1000, above=True), default.k),
        baseline_days=table.take("baseline_days", v.whole(7, 365), default.baseline_days),
    )
    table.close()
    return found_meter


def _spikes(table: t.Table) -> Spikes:
    default = Spikes()
    found = Spikes(
        z=table.take("z", v.number(0, 100, above=True), default.z),
        minimum_messages=table.take("minimum_messages", v.whole(1, 10**9), default.minimum_messages),
        minimum_authors=table.take("minimum_authors", v.whole(1, 10**9), default.minimum_authors),
    )
    table.close()
    return found


def _store(table: t.Table, base: Path, data_dir: Path) -> Store:
    default = Store(path=data_dir / "tracker.duckdb")
    kept = table.table("retention")
    found = Store(
        path=table.take("path", v.location(base), default.path),
        publish=table.take("publish", v.location(base), default.publish),
        flush_s=table.take("flush", v.duration(), default.flush_s),
        spill_limit=table.take("spill_limit", v.size, default.spill_limit),
        memory_limit=table.take("memory_limit", v.size, default.memory_limit),
        threads=table.take("threads", v.whole(1, 1024), default.threads),
        text_s=kept.take("text", v.duration(), default.text_s),
        mentions_s=kept.take("mentions", v.duration(), default.mentions_s),
        polls_s=kept.take("polls", v.duration(), default.polls_s),
    )
    if found.publish is not None and found.publish.resolve() == found.path.resolve():
        table.notes.problem(table.at("publish"), "the database itself", "another path than that of the database")
    kept.close()
    table.close()
    return found


def _jobs(table: t.Table) -> Jobs:
    default = Jobs()
    found = Jobs(
        tick_s=table.take("tick", v.duration(), default.tick_s),
        rollup_s=table.take("rollup", v.duration(), default.rollup_s),
        readings_s=table.take("readings", v.duration(), default.readings_s),
        prune_s=table.take("prune", v.duration(), default.prune_s),
        publish_s=table.take("publish", v.duration(), default.publish_s),
        learn_s=table.take("learn", v.duration(), default.learn_s),
        second_s=table.take("second", v.duration(), default.second_s),
        concurrency=table.take("concurrency", v.whole(1, 1000), default.concurrency),
        poll_deadline_s=table.take("poll_deadline", v.duration(), default.poll_deadline_s),
        stuck_s=table.take("stuck", v.duration(), default.stuck_s),
    )
    table.close()
    return found


def _web(table: t.Table) -> Web:
    default = Web()
    found = Web(
        enabled=table.take("enabled", v.flag, default=default.enabled),
        host=table.take("host", v.host, default.host),
        port=table.take("port", v.whole(0, 65535), default.port),
        allowed_hosts=table.take_list("allowed_hosts", v.host, 'an array of names such as ["tracker.lan"]'),
    )
    table.close()
    return found


# ------------------------------------------------------------------------------------- what others ask of it


def user_agent_of(contact: str, override: str | None) -> str:
    """One honest user agent: who we are, which version, and whom to write to."""
    return override or f"tracker/{__version__} ({'+' + contact if contact else 'no contact configured'})"


def user_agent(config: Config) -> str:
    """What every source is told, unless its own table says otherwise."""
    return user_agent_of(config.tracker.contact, config.http.user_agent)


def secrets(config: Config) -> tuple[Secret, ...]:
    """Every secret value of the configuration, for the log to mask."""
    of_sources = (secret for source in config.sources.values() for secret in source.credentials.values())
    return (*of_sources, *secrets_of(config.alerts))


def in_force(config: Config) -> list[tuple[str, str]]:
    """The whole configuration as (dotted key, value), for the table ``settings``: secrets left out.

    Keys carry their unit (``http.deadline_s``); text and paths stand bare, the rest is JSON. Free text that took in
    an environment variable is given as written, because what came from there may be secret.
    """
    rows: list[tuple[str, str]] = []
    for part in dataclasses.fields(config):
        if part.name not in ("path", "written"):
            rows.extend(_flat(part.name, getattr(config, part.name)))
    return [(key, config.written.get(key, value) if _free(key) else value) for key, value in rows]


def _free(key: str) -> bool:
    return key.rpartition(".")[2] in _FREE_TEXT


def _flat(key: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Secret):
        return
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flat(f"{key}.{name}", item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type | Window):
        for part in dataclasses.fields(value):
            yield from _flat(f"{key}.{part.name}", getattr(value, part.name))
    else:
        yield key, str(value) if isinstance(value, str | Path) else json.dumps(value, default=_plain)


def _plain(value: object) -> str:
    return value.name if isinstance(value, Window) else str(value)
