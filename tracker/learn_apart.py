"""``tracker learn`` in a process of its own, so that minutes of arithmetic hold up no poll.

    done = await learn_apart(config)      its report, or the reason why there is none

The child opens the database to read, like any other reader; whoever waits no longer kills it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tracker.config import Config

_LONGEST_REASON = 500  # characters of what it said on stderr


@dataclass(frozen=True, slots=True)
class Done:
    """How a run ended."""

    report: dict[str, Any] | None  # as `tracker learn --json` prints it; None when it failed
    reason: str | None = None  # why it failed


async def learn_apart(config: Config) -> Done:
    """Run it to its end. Cancelling ends the child at once; what was in force stays in force."""
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tracker", "--config", str(config.path), "--data-dir", str(config.tracker.data_dir), "learn", "--json", "--gently",
            stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True,
        )  # fmt: skip
    except OSError as error:  # no more processes, no more memory
        return Done(None, str(error))
    try:
        said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        words = complained.decode(errors="replace").strip()[-_LONGEST_REASON:]
        return Done(None, words or f"it ended with {process.returncode}")
    try:
        return Done(json.loads(said))
    except ValueError:
        return Done(None, "it said nothing that can be read")
