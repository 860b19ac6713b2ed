"""Messages per CPU second for the three things that every message goes through: text_key, find and score.

    python -m bench.analyse PATH [--limit 20000] [--rounds 3]

PATH is a file or a folder of texts: ``.ndjson`` (the field ``text`` or ``body``), ``.csv`` (column ``text``) or
``.txt`` (one message a line), each plain or gzipped. A path that is missing is said so and is no failure, so that the
bench runs where the recordings are not.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import platform
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, cast

from tracker.mentions import make_finder
from tracker.text import text_key
from tracker.tone import make_scorer

ENDINGS = (".ndjson", ".csv", ".txt")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Messages per CPU second for text_key, find and score.")
    parser.add_argument("path", type=Path, help="file or folder of texts")
    parser.add_argument("--limit", type=int, default=20_000, help="messages to read at most")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the best counts")
    options = parser.parse_args(arguments)
    if not options.path.exists():
        print(f"skipped: {options.path} is missing")
        return 0
    texts = list(islice(read_texts(options.path), options.limit))
    if not texts:
        print(f"skipped: no texts in {options.path}")
        return 0
    print(f"python {platform.python_version()}, vaderSentiment {version('vaderSentiment')}, {platform.machine()}")
    print(f"{len(texts)} messages, {sum(map(len, texts)) / len(texts):.0f} characters on average")
    for name, work in stages().items():
        seconds = min(cpu_seconds(work, texts) for _ in range(options.rounds))
        print(f"{name:32s} {len(texts) / seconds:10,.0f} messages/s {1e6 * seconds / len(texts):8.1f} us")
    return 0


def stages() -> dict[str, Callable[[str], object]]:
    finder = make_finder()
    scorers = (make_scorer("lexicon"), make_scorer("vader"))
    return {
        "text_key": text_key,
        "could_mention": finder.could_mention,
        "find": finder.find,
        **{f"score {scorer.name}": scorer.score for scorer in scorers},
    }


def cpu_seconds(work: Callable[[Any], object], texts: list[Any]) -> float:
    started = time.process_time()
    for text in texts:
        work(text)
    return max(time.process_time() - started, 1e-9)


def read_texts(path: Path) -> Iterator[str]:
    files = [path] if path.is_file() else sorted(path.iterdir())
    for file in files:
        ending = Path(file.name.removesuffix(".gz")).suffix
        if file.is_file() and (path.is_file() or ending in ENDINGS):
            with _open(file) as lines:
                yield from _texts_of(lines, ending)


def _open(file: Path) -> TextIO:
    if file.suffix == ".gz":
        return cast("TextIO", gzip.open(file, "rt", encoding="utf-8"))
    return file.open(encoding="utf-8", newline="")


def _texts_of(lines: TextIO, ending: str) -> Iterator[str]:
    if ending == ".csv":
        for row in csv.DictReader(lines):
            if row.get("text"):
                yield row["text"]
        return
    for line in lines:
        text = line.strip()
        if ending == ".ndjson" and text:
            item = json.loads(text)
            text = item.get("text") or item.get("body") or ""
        if text:
            yield text


if __name__ == "__main__":
    raise SystemExit(main())
