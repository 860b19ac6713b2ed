"""When the next request may go out: pure decisions about waits, budgets and limits.

Nothing here reads a clock, rolls dice or touches the network: the moment is an argument, spread comes from a
hash of a name, so the same afternoon gives the same waits, to the last digit, and again after a restart.

The one rule above all others: never sooner than the server asked for, never sooner than the operator wrote.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import Literal
from urllib.parse import urlsplit

from tracker.models import PollStatus
from tracker.wire import from_iso

MAX_NAMED_WAIT_S = 86_400.0  # a server may silence us for a day; more than that is a mistake of the server
SPREAD = 0.1  # failed streams come back spread over this part of their wait, not all in one second
MORE_S = 1.0  # between two polls of a walk that is not over
_EPOCH_FROM = 1e9  # a reset header above this is a moment, below it a number of seconds
_EPOCH_MS_FROM = 1e11  # and above this it is in milliseconds
_RESET = ("x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset")
_REMAINING = ("x-ratelimit-remaining", "x-rate-limit-remaining", "ratelimit-remaining")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{0,15})?([eE][+-]?[0-9]{1,2})?")


# ------------------------------------------------------------------------------------- what a header asks for


def http_date(value: str | None) -> datetime | None:
    """An HTTP date (``Wed, 21 Oct 2026 07:28:00 GMT``) as aware UTC; None when it is none."""
    if not value:
        return None
    try:
        found = parsedate_to_datetime(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _number(value: str) -> float | None:
    return float(value) if _NUMBER.fullmatch(value) else None


def parse_retry_after(value: str | None, served_at: datetime) -> float | None:
    """Seconds to wait from a ``Retry-After`` header; None where it says nothing that can be used.

    A date counts from ``served_at``, the server's own clock, so a clock of ours that is an hour off changes
    nothing. Moments that have passed are 0.0, and 0 itself is a valid answer: "go on".
    """
    text = (value or "").strip()
    seconds = _number(text)
    if seconds is not None:
        return max(0.0, seconds)
    moment = http_date(text)
    return None if moment is None else max(0.0, (moment - served_at).total_seconds())


def parse_reset(value: str | None, served_at: datetime) -> float | None:
    """Seconds until a ``x-ratelimit-reset``, in any of the shapes that are about; None for none of them.

    Seconds from now (``599.0``), a Unix time in seconds or milliseconds, or an ISO 8601 time.
    """
    text = (value or "").strip()
    seconds = _number(text)
    if seconds is None:
        moment = from_iso(text)
        return None if moment is None else max(0.0, (moment - served_at).total_seconds())
    if seconds > _EPOCH_MS_FROM:
        seconds /= 1000
    if seconds > _EPOCH_FROM:
        seconds -= served_at.timestamp()
    return max(0.0, seconds)


def reset_wait_s(headers: Mapping[str, str], served_at: datetime) -> float | None:
    """Seconds until the server's rate-limit window starts anew; None where it doesn't say."""
    waits = (parse_reset(headers.get(name), served_at) for name in _RESET)
    return next((wait for wait in waits if wait is not None), None)


def used_up(headers: Mapping[str, str]) -> bool:
    """True when the server says that no request is left in its window."""
    for name in _REMAINING:
        try:
            return float(headers[name]) <= 0
        except (KeyError, ValueError):
            continue
    return False


# ------------------------------------------------------------------------------------------- the next request


@dataclass(frozen=True, slots=True)
class Pace:
    """How often one stream is asked, all in seconds."""

    interval_s: float  # between two polls when all is well
    max_backoff_s: float  # the longest wait after failures where the server named none
    breaker_s: float  # after a refusal: ask rarely, never with another face


def next_wait_s(
    pace: Pace, *, status: PollStatus, failures: int, wish_s: float | None, more: bool = False, key: str
) -> float:
    """Seconds until the stream ``key`` is polled again.

    ``failures``: failed polls in a row, this one included. ``wish_s``: what the server asked for, None when it
    asked for nothing. ``more``: the walk back to known ground is not over.
    """
    wish = _honoured(wish_s, pace)
    asked = wish or 0.0
    if status in ("ok", "unchanged"):
        return max(asked, min(pace.interval_s, MORE_S) if more else pace.interval_s)
    if status == "denied":
        return max(asked, pace.breaker_s, pace.interval_s)
    if status == "rate_limited":
        return max(pace.interval_s, wish if wish is not None else backoff_s(pace, failures))
    wait = max(asked, backoff_s(pace, failures))
    return wait * (1.0 + SPREAD * _fraction(f"{key} {failures}"))


def backoff_s(pace: Pace, failures: int) -> float:
    """Seconds after so many failures in a row: doubling from the interval, capped, never below the interval."""
    doublings = min(max(0, failures), 64)  # 2**64 intervals are beyond any cap
    return max(pace.interval_s, min(pace.max_backoff_s, pace.interval_s * 2.0**doublings))


def _honoured(wish_s: float | None, pace: Pace) -> float | None:
    """A named wait as far as it is believed: up to a day in full, beyond that it is a slip of the server."""
    if wish_s is None or math.isnan(wish_s):
        return None
    return pace.max_backoff_s if wish_s > MAX_NAMED_WAIT_S else max(0.0, wish_s)


def _fraction(key: str) -> float:
    """A number in [0, 1) that depends on nothing but ``key``; 48 bits, so that products never round up to 1."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


# ------------------------------------------------------------------------------------------ budgets and limits


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``requests`` in any span of ``seconds``: a sliding window, so no double helping at its edges."""

    requests: int
    seconds: float

    def __post_init__(self) -> None:
        if self.requests < 1 or not 0 < self.seconds < math.inf:
            raise ValueError(f"a budget is at least 1 request in more than 0 seconds, not {self}")

    def left(self, now: datetime, used: Sequence[datetime]) -> int:
        """How many requests may go out at once; ``used`` are the moments of the earlier ones, in any order."""
        return max(0, self.requests - len(self._counting(now, used)))

    def wait_s(self, now: datetime, used: Sequence[datetime]) -> float:
        """Seconds until one more request fits; 0.0 when it does now, never more than ``seconds``."""
        counting = self._counting(now, used)
        if len(counting) < self.requests:
            return 0.0
        return (counting[-self.requests] + timedelta(seconds=self.seconds) - now).total_seconds()

    def _counting(self, now: datetime, used: Sequence[datetime]) -> list[datetime]:
        # a moment after now was written by a clock that has since stepped back: it counts as just used
        return sorted(min(moment, now) for moment in used if moment > now - timedelta(seconds=self.seconds))


SHARE = 4  # one in so many of a source's requests may be spent beside its polls


def share_of(budget: Budget) -> Budget:
    """What may be spent beside the polls: a quarter of the requests; of fewer than four, one in a span that holds four."""
    spans = max(1.0, SHARE / budget.requests)
    return Budget(max(1, budget.requests // SHARE), budget.seconds * spans)


def bound_on_load(next_at: datetime, now: datetime, longest_s: float) -> datetime:
    """A stored moment as it may be believed after a restart.

    Nothing is ever put off by more than ``longest_s``, so a moment further away was written by a clock that has
    stepped back since; waiting for it could take years.
    """
    return min(next_at, now + timedelta(seconds=longest_s))


def limit_scope(source: str, base_url: str, by: Literal["source", "host"]) -> str:
    """Who shares a rate limit: ``source:reddit``, or ``host:www.reddit.com`` for all that ask the same host."""
    if by == "source":
        return f"source:{source}"
    host = urlsplit(base_url).hostname
    if not host:
        raise ValueError(f"no host in the address {base_url!r}")
    return f"host:{host}"
