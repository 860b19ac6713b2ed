"""Other people at the database, as processes of their own: run as a script.

world_reader.py ask FILE TIMES SEED      opens, asks and closes at random moments; one JSON object on stdout
world_reader.py hold FILE                opens read-only, says "held", and lets go when its stdin ends
"""

from __future__ import annotations

import json
import random
import sys
import time

import duckdb

TRIES = 3
PAUSE_S = 0.25  # between two tries
GAP_S = 0.5  # longest pause between two questions


def ask(file: str, times: int, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 (the same moments again)
    tries: list[int] = []
    counts: list[int] = []
    for _ in range(times):
        time.sleep(dice.random() * GAP_S)
        for attempt in range(1, TRIES + 1):
            try:
                with duckdb.connect(file, read_only=True) as connection:
                    row = connection.execute("SELECT count(*) FROM messages").fetchone()
            except duckdb.IOException:
                if attempt == TRIES:
                    tries.append(0)  # never
                time.sleep(PAUSE_S)
            else:
                tries.append(attempt)
                counts.append(row[0] if row else 0)
                break
    print(json.dumps({"tries": tries, "counts": counts}))


def hold(file: str) -> None:
    while True:
        try:
            connection = duckdb.connect(file, read_only=True)
            break
        except duckdb.IOException:
            time.sleep(0.01)
    print("held", flush=True)
    sys.stdin.read()
    connection.close()


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        ask(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        hold(sys.argv[2])
