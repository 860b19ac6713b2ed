"""``tracker sql``: a person's statement, run in a process of its own that dies when it takes too much."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import click

from tracker.cli_context import READ_WAIT_S, existing, with_context
from tracker.config import Config
from tracker.errors import BadInput, StoreError
from tracker.parts import store_of
from tracker.render import FORMATS, talk
from tracker.store.apart import Job

TIMEOUT_S, LONGEST_S, MAX_ROWS = 60.0, 3600.0, 100_000
_GRACE_S = 15.0  # beyond all that the child allows itself: starting, and being counted late
# what a process needs to start and to write; no secret of the configuration goes along
_KEPT = ("PATH", "LANG", "TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT")  # fmt: skip
_KEPT_KINDS = ("LC_", "PYTHON")


@click.command()
@click.argument("statement")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--output", metavar="PATH")
@click.option("--max-rows", type=click.IntRange(1), default=MAX_ROWS, show_default=True, help="Rows after that are left out, which is said.")  # fmt: skip
@click.option("--timeout", "timeout_s", type=click.FloatRange(0.1, LONGEST_S), default=TIMEOUT_S, show_default=True, metavar="SECONDS", help="The statement is ended then.")  # fmt: skip
@with_context
def sql(
    config: Config, statement: str, form: str, as_json: bool, output: str | None, max_rows: int, timeout_s: float
) -> None:
    """Read-only SQL against the live data, whether or not the daemon runs."""
    store = store_of(config)
    if not store.exists:
        existing(config)  # says what is missing
    job = Job(
        path=str(store.opening.path.absolute()), memory_limit=store.opening.memory_limit, memory_bytes=config.store.memory_limit,
        threads=store.opening.threads, wait_s=READ_WAIT_S, statement=statement, timeout_s=timeout_s, max_rows=max_rows,
        form="json" if as_json else form, output=output, status_fd=-1,
    )  # fmt: skip
    said = ask_apart(job)
    if said.get("older"):
        existing(config)
        said = ask_apart(job)
    if said.get("cut"):
        talk.print(f"only the first {max_rows:,} rows: there are more (--max-rows)", markup=False)


def ask_apart(job: Job) -> dict[str, Any]:
    """Run it to its end, the rows go to stdout or into the file; how it went. StoreError when it was ended."""
    reading, writing = os.pipe()
    try:
        sys.stdout.flush()
        process = subprocess.Popen(
            [sys.executable, "-m", "tracker.store.apart"],
            stdin=subprocess.PIPE,
            pass_fds=(writing,),
            env=_environment(),
            stdout=None
            if sys.stdout is sys.__stdout__
            else subprocess.PIPE,  # whoever stands in for it is handed the rows
        )
    except OSError as error:
        os.close(reading)
        raise StoreError("no process can be started for the statement", None, error) from error
    finally:
        os.close(writing)
    try:
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(replace(job, status_fd=writing).to_json())
        said = _first_words(reading, time.monotonic() + 2 * job.wait_s + job.timeout_s + _GRACE_S)
        after = b""
        if said and process.stdout is not None:
            with process.stdout as rows:
                shutil.copyfileobj(rows, sys.stdout.buffer)
        while said and (
            more := os.read(reading, 65536)
        ):  # the file is free: whoever reads the rows may take their time
            after += more
        if said is None:
            process.kill()
        code = process.wait()
    except BrokenPipeError:
        said, after, code = b"", b"", process.wait()
    finally:
        os.close(reading)
        if process.poll() is None:  # Ctrl-C
            process.kill()
            process.wait()
    if not said:
        raise StoreError("the statement was ended", None, _why(code, job))
    lines: list[dict[str, Any]] = [json.loads(line) for line in (said + after).splitlines()]
    for line in lines:
        _complain(line, job)
    if code != 0:
        raise StoreError("the rows could not be written", None, _why(code, job))
    return lines[0]


def _first_words(reading: int, until: float) -> bytes | None:
    """The first line of what the child says, and what came with it; empty when it died, None when it says nothing in time."""
    said = b""
    while b"\n" not in said:
        if not select.select([reading], [], [], max(0.0, until - time.monotonic()))[0]:
            return None
        more = os.read(reading, 65536)
        if not more:
            return b""
        said += more
    return said


def _complain(said: dict[str, Any], job: Job) -> None:
    if said.get("memory"):
        raise StoreError("the statement was ended", None, _memory(job))
    if error := said.get("error"):
        raise BadInput(error) if said.get("theirs") else StoreError(error)


def _why(code: int, job: Job) -> str:
    """What the death of the child means, for a person."""
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return {
        "SIGALRM": f"it took longer than {job.timeout_s:g} s (--timeout)",
        "SIGXCPU": f"it took more than {job.timeout_s * job.threads:g} s of the processors (--timeout)",
        "SIGABRT": _memory(job),
        "SIGSEGV": _memory(job),
        "SIGKILL": f"it was killed: it took longer than {job.timeout_s:g} s, or the machine had no memory left",
    }.get(name, f"its process died ({name})")


def _memory(job: Job) -> str:
    return f"it needs more memory than it may have ({job.memory_limit}, memory_limit in [store])"


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_KINDS)}


COMMANDS = (sql,)
