"""A firehose into the real daemon, while somebody else asks the file: is anything lost, and how soon can it be asked for?

    python -m bench.load [--rate 200] [--seconds 600] [--symbols 200] [--keep FOLDER]

A server on loopback sends invented posts as Jetstream frames, ``--rate`` of them a second, to ``tracker run`` with its own
defaults (every post kept). A third process opens the file again and again, asks for what is new and for the
leaderboard, and notes when it first saw each message. Printed are messages sent, stored, lost and doubled, the time from the
frame's sending to the first answer that holds it (median, p90, p99, longest), how often the file could be opened at the first try,
and the daemon's share of a core and its memory. Ends with 1 when a message is lost or stands twice. Stops by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import duckdb
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
from websockets.asyncio.server import ServerConnection, serve
from websockets.protocol import State

STEP_S = 0.02  # between two handfuls of frames
CATCH_UP_S = 120.0  # how long the daemon may take for what is left at the end
PAUSE_S = 0.1  # of the reader, between two questions
READER = "--reader"


def main() -> None:
    if sys.argv[1:2] == [READER]:
        ask(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=200.0, help="messages a second")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="folder for database and log (default: one that is thrown away)")
    given = parser.parse_args()
    print(
        f"Python {platform.python_version()}, duckdb {duckdb.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    with contextlib.ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        sys.exit(asyncio.run(run(folder, given.rate, given.seconds, given.symbols)))


# --------------------------------------------------------------------------------------------------------- the server


class Firehose:
    """Sends what is said while somebody listens; a listener that comes back with a cursor gets what it has missed."""

    def __init__(self, symbols: int) -> None:
        self._dice = random.Random(7)
        self._words = [word for word in SentimentIntensityAnalyzer().lexicon if word.isalpha()]
        self._symbols = ["".join(self._dice.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=4)) for _ in range(symbols)]
        self.frames: list[tuple[int, str]] = []  # (microseconds, frame)
        self.connections = 0

    def say(self, number: int) -> None:
        now_us = max(time.time_ns() // 1000, self.frames[-1][0] + 1 if self.frames else 0)
        # few symbols are talked about much, many seldom
        about = self._symbols[min(len(self._symbols) - 1, int(self._dice.expovariate(8 / len(self._symbols))))]
        words = self._dice.choices(self._words, k=self._dice.randrange(6, 22))
        record = {
            "$type": "app.bsky.feed.post",
            "text": f"${about} {' '.join(words)} {number}",
            "createdAt": "2026-01-01T00:00:00Z",
            "langs": ["en"],
        }
        event = {
            "did": f"did:plc:invented{self._dice.randrange(20_000):014d}aa", "time_us": now_us, "kind": "commit",
            "commit": {"rev": f"{now_us:x}", "operation": "create", "collection": "app.bsky.feed.post", "rkey": f"p{number}", "cid": "bafyinvented", "record": record},
        }  # fmt: skip
        self.frames.append((now_us, json.dumps(event)))

    async def talk(self, peer: ServerConnection) -> None:
        assert peer.request is not None
        self.connections += 1
        _, _, asked = peer.request.path.partition("cursor=")
        since = int(asked.split("&")[0]) if asked else None
        place = len(self.frames)
        while since is not None and place > 0 and self.frames[place - 1][0] >= since:
            place -= 1
        with contextlib.suppress(Exception):
            while peer.state is State.OPEN:
                for _, frame in self.frames[place:]:
                    await peer.send(frame)
                    place += 1
                await asyncio.sleep(STEP_S)


# ------------------------------------------------------------------------------------------------------------ the run


async def run(folder: Path, rate: float, seconds: float, symbols: int) -> int:
    firehose = Firehose(symbols)
    async with serve(firehose.talk, "127.0.0.1", 0, max_size=None, write_limit=1 << 20) as server:
        config = configured(folder, f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
        file, seen_path = folder / "data" / "tracker.duckdb", folder / "seen.jsonl"
        log = (folder / "daemon.log").open("wb")
        daemon = await asyncio.create_subprocess_exec(sys.executable, "-m", "tracker", "--config", str(config), "run", stdout=log, stderr=log)  # fmt: skip
        reader = None
        try:
            while not (firehose.connections and file.exists()):
                await asyncio.sleep(0.1)
                if daemon.returncode is not None:
                    raise SystemExit((folder / "daemon.log").read_text())
            reader = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.load", READER, str(file), str(seen_path))  # fmt: skip
            await send(firehose, rate, seconds)
            sent = len(firehose.frames)
            stored, caught_up_s = await catch_up(file, sent)
            cpu_s, peak = used(daemon.pid)
        finally:
            for process in (daemon, reader):
                if process is not None and process.returncode is None:
                    process.send_signal(signal.SIGTERM)
                    await asyncio.wait_for(process.wait(), 20)
            log.close()
    return tell(firehose, file, seen_path, sent, stored, seconds, caught_up_s, cpu_s, peak)


def configured(folder: Path, url: str) -> Path:
    from tracker import sources

    off = [f"[sources.{name}]\nenabled = false\n" for name in sources.names() if name != "bluesky"]
    on = f'[sources.bluesky]\nenabled = true\nbase_url = "{url}"\nkeep = "all"\n'
    path = folder / "config.toml"
    path.write_text(
        "\n".join(
            [
                '[tracker]\ncontact = "bench@pond.example"\n',
                on,
                *off,
                "[universe]\nenabled = false\n",
                "[web]\nenabled = false\n",
            ]
        ),
        encoding="utf-8",
    )
    return path


async def send(firehose: Firehose, rate: float, seconds: float) -> None:
    began, number = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        while number < passed * rate:
            firehose.say(number)
            number += 1
        await asyncio.sleep(STEP_S)


async def catch_up(file: Path, sent: int) -> tuple[int, float]:
    """(messages stored in the end, seconds until then); ends early when all are there."""
    began, stored = time.monotonic(), 0
    while time.monotonic() - began < CATCH_UP_S:
        with contextlib.suppress(duckdb.Error):
            stored = await asyncio.to_thread(counted, file, "SELECT count(DISTINCT id) FROM messages")
        if stored >= sent:
            break
        await asyncio.sleep(0.5)
    return stored, time.monotonic() - began


def counted(file: Path, statement: str) -> int:
    with duckdb.connect(str(file), read_only=True) as connection:
        ((number,),) = connection.execute(statement).fetchall()
    return int(number)


def used(pid: int) -> tuple[float, int]:
    """(seconds of CPU, most bytes in memory) of a process; zeros where the system does not tell."""
    try:
        cells = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0
    ticks = os.sysconf("SC_CLK_TCK")
    peak = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
    return (int(cells[11]) + int(cells[12])) / ticks, peak


# --------------------------------------------------------------------------------------------------------- the reader


def ask(file: Path, output: Path) -> None:
    """Until SIGTERM: what is new, and once a second the leaderboard; each message with the time of its first answer."""
    ends = []
    signal.signal(signal.SIGTERM, lambda *_: ends.append(True))
    place, tries, refused, last_top = 0, 0, 0, 0.0
    with output.open("w", encoding="utf-8") as out:
        while not ends:
            tries += 1
            try:
                with duckdb.connect(str(file), read_only=True) as connection:
                    rows = connection.execute(
                        "SELECT id, rowid FROM messages WHERE rowid >= ? ORDER BY rowid", [place]
                    ).fetchall()
                    now_us = time.time_ns() // 1000
                    if time.monotonic() - last_top > 1.0:
                        connection.execute(
                            """FROM leaderboard((SELECT max("at") FROM readings), '24h') LIMIT 20"""
                        ).fetchall()
                        last_top = time.monotonic()
            except duckdb.Error:
                refused += 1
            else:
                if rows:
                    place = rows[-1][1] + 1
                    out.write(json.dumps({"seen_us": now_us, "ids": [id_ for id_, _ in rows]}) + "\n")
            time.sleep(PAUSE_S)
        out.write(json.dumps({"tries": tries, "refused": refused}) + "\n")


# -------------------------------------------------------------------------------------------------------- the figures


def tell(
    firehose: Firehose, file: Path, seen_path: Path, sent: int, stored: int, seconds: float, caught_up_s: float, cpu_s: float, peak: int
) -> int:  # fmt: skip
    sent_us = {json.loads(frame)["commit"]["rkey"]: moment for moment, frame in firehose.frames}
    waits: dict[str, float] = {}
    opened = {"tries": 0, "refused": 0}
    for line in seen_path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "ids" not in entry:
            opened = entry
            continue
        for id_ in entry["ids"]:
            rkey = id_.rpartition("/")[2]
            waits.setdefault(rkey, (entry["seen_us"] - sent_us[rkey]) / 1e6)
    doubled = counted(file, "SELECT count(*) - count(DISTINCT id) FROM messages")
    gaps = counted(file, "SELECT count(*) FROM gaps")
    cuts = quantiles(waits.values(), n=100, method="inclusive") if len(waits) > 1 else [0.0] * 99
    print(f"sent {sent:,} in {seconds:g} s ({sent / seconds:,.0f}/s), connections {firehose.connections}")
    print(
        f"stored {stored:,}, lost {sent - stored:,}, doubled {doubled:,}, gaps {gaps}; caught up {caught_up_s:.1f} s after the last one"
    )
    print(f"from sent to answered: median {cuts[49]:.2f} s, p90 {cuts[89]:.2f} s, p99 {cuts[98]:.2f} s, longest {max(waits.values(), default=0):.2f} s, of {len(waits):,} seen while it ran")  # fmt: skip
    print(
        f"reader: {opened['tries']:,} openings, {opened['refused'] / max(1, opened['tries']):.1%} refused at the first try"
    )
    print(
        f"daemon: {cpu_s / (seconds + caught_up_s):.0%} of a core, {peak / 2**20:,.0f} MiB at most; file {file.stat().st_size / 1e6:,.1f} MB"
    )
    return 1 if stored < sent or doubled or gaps else 0


if __name__ == "__main__":
    main()
