"""Hours of a daemon in one: is it as small at the end as it was after the start?

    python -m bench.soak [--minutes 60] [--speed 50] [--share 0.1]

The invented world of the tests talks to the real daemon ``--speed`` times as fast as a watch-list of twenty symbols does (half a
message a second, polls every minute), ``--share`` of its answers are wrong, and now and then somebody asks the file. Every
ten seconds memory and open files of the daemon are noted. Printed are medians and most of each quarter of the run, and sizes of
database, journal and log; a rewrite or a read copy of the file shows as a peak. Ends with 1 when memory passes 300 MiB, when the median of
the last quarter is more than a tenth above that of the second, or when a message is lost. Needs ``/proc``. Stops by itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import duckdb

TESTS = Path(__file__).resolve().parent.parent / "tests"
CALM_RATE = {"stocktwits": 0.2, "reddit": 0.1, "hackernews": 0.05, "bluesky": 0.15}  # messages a second, in real time
CALM_EVERY_S = 60.0
SAMPLE_S = 10.0
ANSWER_S = 30.0  # how long whoever asks the file waits for its turn
MOST_MIB, MOST_GROWTH = 300.0, 1.1
LIFE_S = 60.0  # of talk that is made at a time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--speed", type=float, default=50.0)
    parser.add_argument("--share", type=float, default=0.1)
    given = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    print(
        f"Python {platform.python_version()}, duckdb {duckdb.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(run(Path(folder), given.minutes * 60, given.speed, given.share))


def run(folder: Path, seconds: float, speed: float, share: float) -> int:
    from world import World
    from world_corpus import in_order, invent
    from world_daemon import Daemon, ask, database, until, wait_for_truth, wait_until_asked, write_config
    from world_faults import HTTP_KINDS, SOCKET_KINDS, drawn

    dice = random.Random(3)
    every = f"{CALM_EVERY_S / speed:g}s"
    samples: list[tuple[float, float, int]] = []
    unanswered = 0
    with World(broken_items=True) as world:
        config = write_config(folder, world.base_urls, changed={
            **{f"sources.{name}": {"every": every, **({"max_pages": 20} if name == "reddit" else {})} for name in CALM_RATE},
            "http": {"deadline": "2s", "max_body": "2MB", "max_backoff": "2s", "breaker": "2s", "watchdog": "30s", "page_every": "500ms"},
            "store": {"flush": "2s"}, "jobs": {"rollup": "5s", "readings": "5m", "prune": "5m", "publish": "5m"},
        })  # fmt: skip
        file = database(config)
        with Daemon(config) as daemon:
            wait_until_asked(daemon, world, tuple(CALM_RATE))
            world.publish(in_order(invent(0, time.time() + 0.2, 2.0, dict.fromkeys(CALM_RATE, 10), late_share=0.0)))  # type: ignore[arg-type]
            until(  # before its first message a stream has no place to come back to, and takes the newest page alone
                lambda: ask(file, "SELECT count(*) = 6 FROM streams WHERE enabled AND cursor IS NOT NULL") == [(True,)],
                60.0, "every stream has a position",
            )  # fmt: skip
            began, number, next_sample = time.monotonic(), 0, SAMPLE_S
            while (passed := time.monotonic() - began) < seconds:
                if passed >= number * LIFE_S and passed < seconds - LIFE_S:
                    counts = {name: max(1, round(rate * speed * LIFE_S)) for name, rate in CALM_RATE.items()}
                    world.publish(in_order(invent(number + 1, time.time() + 0.2, LIFE_S, counts, late_share=0.0)))  # type: ignore[arg-type]
                    number += 1
                for name in CALM_RATE:
                    kinds = sorted(SOCKET_KINDS) if name == "bluesky" else sorted(set(HTTP_KINDS) - {"no_list"})
                    if world.pending_faults(name) < 2 and dice.random() < share / 10:
                        world.fault(name, drawn(dice.choice(kinds), dice))  # type: ignore[arg-type]
                if passed >= next_sample:
                    next_sample += SAMPLE_S
                    samples.append((passed / 3600, *_held(daemon.process.pid)))
                    try:
                        ask(
                            file,
                            """SELECT count(*) FROM leaderboard((SELECT max("at") FROM readings), '24h')""",
                            ANSWER_S,
                        )
                    except duckdb.IOException:  # a starved machine: worth a line, and no reason to end the hour
                        unanswered += 1
                if passed >= seconds - LIFE_S / 2:
                    world.heal()
                time.sleep(0.1)
                if not daemon.running:
                    raise SystemExit(daemon.log[-3000:])
            wait_for_truth(daemon, world, 120.0)
            truth = world.truth()
            code = daemon.stop(10.0)
            fired = sum(world.fired.values())
        sizes = [path.stat().st_size for path in (file, file.with_suffix(".journal"), daemon.log_path)]
    print(f"asked {len(samples)} times, {unanswered} without an answer within {ANSWER_S:g} s")
    return tell(samples, len(truth), fired, sizes, code)


def _held(pid: int) -> tuple[float, int]:
    """(resident MiB, open files)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    resident = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
    return resident, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def tell(samples: list[tuple[float, float, int]], messages: int, fired: int, sizes: list[int], code: int) -> int:
    quarters = [samples[len(samples) * part // 4 : len(samples) * (part + 1) // 4] for part in range(4)]
    usual = [median(held for _, held, _ in quarter) for quarter in quarters]
    for part, quarter in enumerate(quarters):
        print(f"quarter {part + 1}: memory {usual[part]:,.0f} MiB, {max(h for _, h, _ in quarter):,.0f} at most; open files {max(f for _, _, f in quarter)} at most")  # fmt: skip
    peak = max(held for _, held, _ in samples)
    print(f"memory: {peak:,.0f} MiB at most; {messages:,} messages, none lost, {fired:,} faults, exit code {code}")
    print(f"database {sizes[0] / 1e6:,.1f} MB, journal {sizes[1]:,} bytes, log {sizes[2] / 1e3:,.0f} kB")
    return 0 if peak <= MOST_MIB and usual[3] <= MOST_GROWTH * usual[1] and code == 0 else 1


if __name__ == "__main__":
    main()
