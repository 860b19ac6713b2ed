"""Alerts to one receiver, through a short-lived process that is killed when it takes too long.

    async with Courier(channel, timeout_s) as courier:
        outcome = await courier.send(letter)

Letters go over one by one, the next after the result of the last was written down: whoever is killed in between loses
the knowledge of one letter at most. The address goes in on the standard input; no list of processes ever shows it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tracker.config_schema import Channel

START_S: Final = 60.0  # to start, on a machine that is busy
GRACE_S: Final = 5.0  # after its own deadline it should have ended itself
LATE_EXIT: Final = 75  # its exit code when it has
_LONGEST_ANSWER: Final = 65_536  # bytes
_NO_START: Final = "the process that sends could not start"
# what a certificate is checked against may be the operator's own; nothing else of the environment is handed on
_ENVIRONMENT: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "SYSTEMROOT")


@dataclass(frozen=True, slots=True)
class Letter:
    """What goes to a receiver."""

    key: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt."""

    ok: bool
    error: str | None = None
    retry_after: str | None = None  # as the server wrote it
    date: str | None = None  # the server's clock


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    here = str(Path(__file__).resolve().parent.parent)
    return {**kept, "HOME": os.devnull, "LANG": "C.UTF-8", "PYTHONPATH": here, "PYTHONDONTWRITEBYTECODE": "1"}


class Courier:
    """One process for one channel. After a failure of the process itself every letter fails in the same words."""

    def __init__(self, channel: Channel, timeout_s: float) -> None:
        self._channel, self._timeout_s = channel, timeout_s
        self._process: Process | None = None
        self._busy = False  # a question is not answered yet
        self.refused: str | None = None  # why the channel can't be used at all
        self.lost: str | None = None  # how the process was lost

    async def __aenter__(self) -> Courier:
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "tracker.notify_send", stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=_environment(),
                limit=_LONGEST_ANSWER, start_new_session=True,
            )  # fmt: skip
        except OSError:  # no more processes, no more memory
            self.lost = _NO_START
            return self
        task = {
            "url": self._channel.url.reveal(), "insecure": self._channel.insecure, "private": self._channel.private,
            "timeout_s": self._timeout_s,
        }  # fmt: skip
        try:
            answer = await self._ask(task, START_S)
        except BaseException:
            await self._end(now=True)
            raise
        if answer is not None:
            self.refused = answer.get("refused")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end(now=self._busy)

    async def send(self, letter: Letter) -> Outcome:
        """One attempt. It takes no longer than the deadline and a little."""
        if self.refused is not None:
            return Outcome(False, self.refused)
        written = {"key": letter.key, "title": letter.title, "body": letter.body}
        answer = await self._ask(written, self._timeout_s + GRACE_S) if self.lost is None else None
        if answer is None:
            return Outcome(False, self.lost)
        return Outcome(bool(answer.get("ok")), answer.get("error"), answer.get("retry_after"), answer.get("date"))

    async def _ask(self, question: dict[str, Any], within_s: float) -> dict[str, Any] | None:
        """A line over, a line back; None, and the process is lost, where that did not work."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        self._busy = True
        try:
            async with asyncio.timeout(within_s):
                process.stdin.write(json.dumps(question).encode("ascii") + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
            answer = json.loads(line)
            self._busy = False
        except (TimeoutError, OSError, ValueError):  # too late; it is gone; half a line, none, or far too long a one
            await self._lose(question)
            return None
        return answer if isinstance(answer, dict) else None

    async def _lose(self, question: dict[str, Any]) -> None:
        """See to it that it is gone, and say why: it was late, by its own clock or by ours, or it broke down."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        ended_itself = process.stdout.at_eof()
        await self._end(now=not ended_itself)
        if "key" not in question:
            self.lost = _NO_START
        elif not ended_itself or process.returncode == LATE_EXIT:
            self.lost = f"no answer within {self._timeout_s:g} s"
        else:
            self.lost = "the process that sends broke down"

    async def _end(self, *, now: bool) -> None:
        """Nothing is left behind. The end of its input ends it; where that may take long, it is killed."""
        process = self._process
        if process is None:
            return
        if now and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        if process.stdin is not None:
            process.stdin.close()
            with suppress(OSError):
                await process.stdin.wait_closed()
        try:
            async with asyncio.timeout(GRACE_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
