"""Every error that we raise on purpose, named for what the caller should do about it.

    TrackerError
    ├─ ConfigError      fix the file and start again; holds every problem that was found
    ├─ SourceError      one source, one attempt: report it and carry on
    │   ├─ Unavailable  network, deadline, 5xx: back off
    │   ├─ RateLimited  wait; carries ``retry_after_s``
    │   ├─ AccessDenied 401/403, a challenge page: ask rarely, say so once
    │   ├─ NotFound     404/410: the stream is gone, perhaps; ask rarely
    │   └─ Malformed    the answer is not what the source sends: keep the body for a sample
    ├─ BadInput         a file, an argument or a value that a person gave: say what was expected
    └─ StoreError       nothing can be saved: the cursor stays where it is
        ├─ StoreLocked  another process holds the file; carries its pid where known: try again
        ├─ StoreNewer   the file was written by a newer version: nothing was touched
        └─ StoreFatal   the disk failed under the database: end the process, lose nothing

Each prints as ``message: subject: cause``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class TrackerError(Exception):
    """Base of all; ``subject`` is the thing it is about, ``cause`` what happened underneath."""

    def __init__(self, message: str, subject: str | None = None, cause: object | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.subject = subject
        self.cause = cause

    def __str__(self) -> str:
        parts = [self.message]
        if self.subject:
            parts.append(self.subject)
        if self.cause is not None and str(self.cause):
            parts.append(str(self.cause))
        return ": ".join(parts)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a configuration: where, what was found, what was expected."""

    path: str  # dotted, as in the file: sources.reddit.every
    found: str  # the value as written, secrets masked
    expected: str  # what would have been right

    def __str__(self) -> str:
        return f"{self.path}: found {self.found}, expected {self.expected}"


class ConfigError(TrackerError):
    """The configuration can't be used; all its problems at once."""

    def __init__(self, subject: str, problems: list[Problem]) -> None:
        count = len(problems)
        noun = "problem" if count == 1 else "problems"
        super().__init__(f"{count} {noun} in the configuration", subject)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {problem}" for problem in self.problems)])


class SourceError(TrackerError):
    """One attempt on one source failed. ``status`` is the word that goes into ``polls.status``."""

    status = "error"

    def __init__(
        self,
        message: str,
        subject: str | None = None,
        cause: object | None = None,
        *,
        http_status: int | None = None,
        retry_after_s: float | None = None,
        body: bytes | None = None,
        served_at: datetime | None = None,
    ) -> None:
        super().__init__(message, subject, cause)
        self.http_status = http_status
        self.retry_after_s = retry_after_s  # what the server asked for, in seconds from now; None: it said nothing
        self.body = body  # the first bytes of what came, for a sample
        self.served_at = served_at  # the server's clock when it refused, aware UTC


class Unavailable(SourceError):
    status = "unavailable"


class RateLimited(SourceError):
    status = "rate_limited"


class AccessDenied(SourceError):
    status = "denied"


class NotFound(SourceError):
    status = "denied"


class Malformed(SourceError):
    status = "malformed"


class BadInput(TrackerError):
    """Something a person gave us can't be used."""


class StoreError(TrackerError):
    """The database can't be read or written."""


class StoreLocked(StoreError):
    """Another process holds the file."""

    def __init__(self, subject: str, holder_pid: int | None, cause: object | None = None) -> None:
        who = f"process {holder_pid} holds it" if holder_pid else "another process holds it"
        super().__init__(f"the database is in use, {who}", subject, cause)
        self.holder_pid = holder_pid


class StoreNewer(StoreError):
    """The file's schema is newer than this program."""


class StoreFatal(StoreError):
    """The database instance is dead; only a restart helps."""
