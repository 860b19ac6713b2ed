"""What servers say, without the secrets that were sent to them: an error, an address or a body may quote its reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import AnyStr, Final
from urllib.parse import quote, quote_plus

from httpx import QueryParams

from tracker.errors import SourceError
from tracker.secret import MASK, Secret

LEAST: Final = 4  # characters of a secret's beginning that are masked at the end of a cut answer


class Mask:
    """Takes the secrets of one poll out of all that it says."""

    def __init__(self, credentials: Mapping[str, Secret]) -> None:
        self._secrets = _spellings(credentials)

    def keep(self, authorization: str | None) -> None:
        """What opens a door is masked like a credential: a token that a server handed out, and a name and a word as one."""
        _, _, word = (authorization or "").partition(" ")
        if word and word not in self._secrets:
            self._secrets = (word, *self._secrets)

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = _without(text, secret, MASK)
        return text

    def body(self, body: bytes) -> bytes:
        for secret in self._secrets:
            body = _without(body, secret.encode(), MASK.encode())
        return body

    def error(self, error: SourceError) -> SourceError:
        """The same error, which may be told to anybody."""
        return type(error)(
            self.text(error.message),
            self.text(error.subject) if error.subject else None,
            self.text(str(error.cause)) if error.cause is not None else None,
            http_status=error.http_status,
            retry_after_s=error.retry_after_s,
            body=self.body(error.body) if error.body is not None else None,
            served_at=error.served_at,
        )


def _without(text: AnyStr, secret: AnyStr, mask: AnyStr) -> AnyStr:
    """A text without a secret, nor the beginning of one at its end: an answer may be cut in the middle of it."""
    text = text.replace(secret, mask)
    for length in range(min(len(secret) - 1, len(text)), LEAST - 1, -1):
        if text.endswith(secret[:length]):
            return text[: len(text) - length] + mask
    return text


def _spellings(credentials: Mapping[str, Secret]) -> tuple[str, ...]:
    """Every way in which a secret may be written in an address or a message, longest first."""
    values = [secret.reveal() for secret in credentials.values() if secret]
    written = {
        spelling
        for value in values
        for spelling in (value, quote(value, safe=""), quote_plus(value), str(QueryParams({"": value}))[1:])
    }
    return tuple(sorted(written, key=len, reverse=True))
