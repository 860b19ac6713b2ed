"""The tables [http] and [sources.NAME].

What holds for a source: its own table, else what it says of itself, else [http], else the defaults.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from tracker import config_table as t
from tracker import config_values as v
from tracker.config_schema import Http, PaceBy, SourceDefaults, SourceSettings
from tracker.secret import MASK, Secret

_pace_by: Callable[[object], PaceBy] = v.choice("source", "host")
_keep = v.choice("all", "mentions")


def read_http(table: t.Table, base: Http) -> Http:
    """The keys of [http] in ``table``, where they are missing those of ``base``; the caller closes the table."""
    return Http(
        deadline_s=table.take("deadline", v.duration(), base.deadline_s),
        max_body=table.take("max_body", v.size, base.max_body),
        max_backoff_s=table.take("max_backoff", v.duration(), base.max_backoff_s),
        breaker_s=table.take("breaker", v.duration(), base.breaker_s),
        user_agent=table.take("user_agent", v.full_header, base.user_agent),
        overlap_s=table.take("overlap", v.duration(low=0), base.overlap_s),
        watchdog_s=table.take("watchdog", v.duration(), base.watchdog_s),
        page_every_s=table.take("page_every", v.duration(), base.page_every_s),
        max_pages=table.take("max_pages", v.whole(1, 100_000), base.max_pages),
    )


def read_sources(
    table: t.Table,
    known: Mapping[str, SourceDefaults],
    http: Http,
    symbols: tuple[str, ...],
    agent: str,
) -> Mapping[str, SourceSettings]:
    """Settings of every known source, in the order of their names; those that the file leaves out have defaults.

    ``symbols`` are the watched ones, ``agent`` the user agent where neither [http] nor the source has its own.
    """
    found = {name: _source(name, table.table(name), known[name], http, symbols, agent) for name in sorted(known)}
    table.close()
    return MappingProxyType(found)


def _source(
    name: str, table: t.Table, own: SourceDefaults, http: Http, symbols: tuple[str, ...], agent: str
) -> SourceSettings:
    wanted = table.take("enabled", v.flag, own.default_on)
    acknowledged = table.take("acknowledge_terms", v.flag, default=False)
    streams = _streams(name, table, own, symbols)
    base_url, own_base_url = _base_url(table, own)
    asked = _with_timeout(table, read_http(table, _suited(http, own)))
    off_reason = _off_reason(wanted, "enabled" in table, own.needs_acknowledgement and not acknowledged, bool(streams))
    settings = SourceSettings(
        name=name,
        enabled=off_reason is None,
        off_reason=off_reason,
        streams=streams,
        interval_s=table.take("every", v.duration(), own.interval_s),
        base_url=base_url,
        own_base_url=own_base_url,
        budget=table.take("budget", v.budget, own.budget),
        deadline_s=asked.deadline_s,
        max_body=asked.max_body,
        max_backoff_s=asked.max_backoff_s,
        breaker_s=asked.breaker_s,
        overlap_s=asked.overlap_s,
        watchdog_s=asked.watchdog_s,
        page_every_s=asked.page_every_s,
        max_pages=asked.max_pages,
        user_agent=asked.user_agent or agent,
        pace_by=table.take("pace_by", _pace_by, "source"),
        keep=table.take("keep", _keep, own.keep),
        show=table.take("show", v.flag, own.show),
        text_s=_retention(table, own.text_at_most_s),
        acknowledge_terms=acknowledged,
        recheck_s=_recheck(table, own),
        credentials=_credentials(table, own.credentials),
    )
    table.close()
    return settings


def _retention(table: t.Table, at_most_s: float | None) -> float | None:
    """How long words are kept, where the operator says so: no longer than the terms of the source allow."""
    found = table.take("retention", v.duration(), None)
    if at_most_s is not None and found is not None and found > at_most_s:
        found_days, days = f"{found / 86_400:g} days", f"{at_most_s / 86_400:g} days"
        table.notes.problem(table.at("retention"), found_days, f"at most {days}: the terms of the source allow no more")
    return found


def _off_reason(wanted: bool, said: bool, unacknowledged: bool, streams: bool) -> str | None:
    """Why a source is not polled, for a person; None when it is."""
    if not wanted:
        return "switched off (enabled = false)" if said else "off by default (enabled = true switches it on)"
    if unacknowledged:
        return "its terms are not acknowledged (read them, then acknowledge_terms = true)"
    return None if streams else "no streams configured"


def _recheck(table: t.Table, own: SourceDefaults) -> float:
    """Seconds between two passes over what is stored, 0 for none; a source that can't be asked takes nothing else."""
    found = table.take("recheck", v.duration_or_off, own.recheck_s or 0.0)
    if found and own.recheck_s is None:
        table.notes.problem(table.at("recheck"), "a duration", '"off": this source can not be asked what is gone')
    return found


def _streams(name: str, table: t.Table, own: SourceDefaults, symbols: tuple[str, ...]) -> tuple[str, ...]:
    def convert(value: object) -> str:
        if not isinstance(value, str):
            raise v.Wrong(f"the name of a stream of {name}")
        try:
            return own.stream_name(str(value))
        except ValueError as error:
            # the source may quote what it was given, and that may be secret
            expected = "" if isinstance(value, v.EnvText) else t.printable(str(error))
            expected = expected.removeprefix("expected ").partition(", found ")[0]
            raise v.Wrong(expected or f"the name of a stream of {name}") from None

    given = table.take_list("streams", convert, f"an array of names of streams of {name}")
    return given if "streams" in table else tuple(own.default_streams(symbols))


def _base_url(table: t.Table, own: SourceDefaults) -> tuple[str, bool]:
    """(address, is it the operator's). Where theirs has no path, a mirror is taken to have those of the original."""
    original = own.base_url.rstrip("/")
    found = table.take("base_url", v.address, original, t.show_address)
    if found != original and not urlsplit(found).path:
        found += urlsplit(original).path
    return found, found != original


def _suited(http: Http, own: SourceDefaults) -> Http:
    """What holds for all, but for what the source knows better of itself: its own table still has the last word."""
    return dataclasses.replace(
        http,
        overlap_s=http.overlap_s if own.overlap_s is None else own.overlap_s,
        max_pages=http.max_pages if own.max_pages is None else own.max_pages,
    )


def _with_timeout(table: t.Table, http: Http) -> Http:
    """``timeout`` is another word for ``deadline``; both at once would leave open which one holds."""
    if "timeout" in table and "deadline" in table:
        table.notes.problem(table.at("timeout"), "both timeout and deadline", "one of them: they are the same")
    return dataclasses.replace(http, deadline_s=table.take("timeout", v.duration(), http.deadline_s))


def _credentials(table: t.Table, names: tuple[str, ...]) -> Mapping[str, Secret]:
    """The given ones, from the table ``credentials`` or from the source's own; their values are never shown."""
    nested = table.table("credentials", t.mask)
    found: dict[str, Secret] = {}
    none = Secret("")
    for name in names:
        if name in table and name in nested:
            table.notes.problem(table.at(name), MASK, f"it here or in {nested.path}, not in both")
        for place in (nested, table):
            value = place.take(name, v.secret, none, t.mask)
            if value:
                found[name] = value
    nested.close()
    return MappingProxyType(found)
