"""The dearest messages: finding and scoring of texts made to be slow, beside an ordinary one.

    python -m bench.worst [--limit-ms 20]

Each text becomes rows as in a poll (mentions, the tone of the whole and of each symbol): by parts that have never seen it (three of
them, made anew), and again by the same ones. Beside it stands what finding and scoring alone take.
Printed is CPU time, the quickest of each, and how many times an ordinary message of twenty
words the first is. Ends with 1 when the first reading of a text takes more than ``--limit-ms``.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tracker.ingest import Analysis, digest
from tracker.models import Message
from tracker.parts import analysis_of, load_config

LONG = 40_000  # characters: the longest text that a source lets through
FRESH = 3  # times that finder and scorer are made


def texts() -> dict[str, str]:
    dice = random.Random(5)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(dice.choices(letters, k=dice.randrange(2, 9))) for _ in range(9_000)]
    zalgo = "".join(letter + "".join(chr(0x300 + dice.randrange(0x70)) for _ in range(20)) for letter in letters)
    tickers = " ".join("$" + "".join(dice.choices(letters.upper(), k=4)) for _ in range(8_000))
    return {
        "ordinary": "Bought more $BABA at the open, the quarter looks strong and nobody sells, not even the bears who were short all week",
        "40,000 characters of words": " ".join(words)[:LONG],
        "one word of 40,000 letters": "a" * LONG,
        "good but good but": ("good but " * LONG)[:LONG],
        "not not not": ("not " * LONG)[:LONG],
        "10,000 emoji": "🚀" * 10_000,
        "families of emoji": ("👨‍👩‍👧‍👦" * 10_000)[:LONG],
        "flags and skin tones": ("🇺🇸👍🏽" * 10_000)[:LONG],
        "zalgo": (zalgo * LONG)[:LONG],
        "bidi and zero width": ("\u202e$BABA\u202c\u200b\u2066calls\u2069 " * LONG)[:LONG],
        "cashtags": tickers[:LONG],
        "upper case": " ".join(words).upper()[:LONG],
        "dollar signs": "$" * LONG,
        "names of companies": ("Bank of America Apple Alibaba Group Holding " * LONG)[:LONG],
        "links": ("https://example.org/a?b=$BABA&c=%20 " * LONG)[:LONG],
        "HTML": ("<b><a href='x'>&amp;&lt;$GME&gt;</a></b>" * LONG)[:LONG],
        "open brackets": ("([{<" * LONG)[:LONG],
        "one sentence, many symbols": ("$GME puts, $AMC calls; " * LONG)[:LONG],
        "full stops": ("." * LONG),
        "a.b.c.": ("A.B.C. " * LONG)[:LONG],
        "numbers": ("1,234.56% $12k 9988.HK " * LONG)[:LONG],
        "full width and mathematical letters": ("ＢＡＢＡ 𝐁𝐀𝐁𝐀 " * LONG)[:LONG],
        "NUL and controls": ("\x00\x01\x1b[31m" * LONG)[:LONG],
        "two hundred thousand characters": "buy the dip " * 16_667,
    }  # fmt: skip


@dataclass(slots=True)
class Cost:
    """Milliseconds, the quickest of several runs."""

    whole: float = math.inf  # from the message to its rows, when its words are new
    again: float = math.inf  # when they are known
    find: float = math.inf
    score: float = math.inf


def timed_ms(call: Callable[[str], object], text: str) -> float:
    began = time.thread_time()
    call(text)
    return (time.thread_time() - began) * 1000


def rows_of(analysis: Analysis, text: str) -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    digest([Message("bench", "m", now, text, "newt")], analysis, stream="worst", fetched_at=now)


def measure(analysis: Analysis, costs: dict[str, Cost]) -> None:
    """One run of every text by parts that have seen none of them."""
    rows_of(analysis, "$BABA warm up")  # what is made once a process is no text's cost
    for name, text in texts().items():
        cost = costs.setdefault(name, Cost())
        cost.whole = min(cost.whole, timed_ms(lambda text: rows_of(analysis, text), text))
        for _ in range(3):
            cost.again = min(cost.again, timed_ms(lambda text: rows_of(analysis, text), text))
            cost.find = min(cost.find, timed_ms(analysis.finder.find, text))
            cost.score = min(cost.score, timed_ms(analysis.scorer.score, text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit-ms", type=float, default=20.0)
    limit = parser.parse_args().limit_ms
    costs: dict[str, Cost] = {}
    scorer = ""
    for _ in range(FRESH):
        with tempfile.TemporaryDirectory() as folder:
            empty = Path(folder) / "config.toml"
            empty.touch()
            analysis = analysis_of(load_config(str(empty), {}, folder))
        measure(analysis, costs)
        scorer = analysis.scorer.name
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; scorer {scorer}")
    ordinary = costs["ordinary"].whole
    for name, text in texts().items():
        cost = costs[name]
        print(f"{name:36} {len(text):8,} characters {cost.whole:8.3f} ms, again {cost.again:7.3f} ms (find {cost.find:7.3f}, score {cost.score:6.3f})  {cost.whole / ordinary:6,.0f} x ordinary")  # fmt: skip
    slow = [name for name, cost in costs.items() if cost.whole > limit]
    if slow:
        print(f"more than {limit:g} ms: {', '.join(slow)}")
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
