"""Messages per CPU second of the finder and its pre-filter, beside the usual way: capitals that stand in a list.

    python -m bench.mentions PATH… [--universe FOLDER] [--limit 20000] [--rounds 3]

PATH is a file or folder of texts as ``bench.analyse`` reads them. A path that is missing is said so and is no failure.
"""

from __future__ import annotations

import argparse
import platform
import re
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from bench.analyse import cpu_seconds, read_texts
from tracker.cli_eval import lists_in
from tracker.mentions import make_finder
from tracker.universe import SymbolInfo, load_ambiguous

_CAPITALS = re.compile(r"\b[A-Z]{2,5}\b")
_BATCH = 1_000


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Messages per CPU second of the finder and its pre-filter.")
    parser.add_argument("paths", type=Path, nargs="+", help="files or folders of texts")
    parser.add_argument("--universe", type=Path, help="folder of published lists")
    parser.add_argument("--limit", type=int, default=20_000, help="messages to read at most, of each path")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the best counts")
    options = parser.parse_args(arguments)
    lists: tuple[SymbolInfo, ...] = ()
    if options.universe is not None:
        lists = lists_in(options.universe, ())
    ways = stages(lists)
    print(f"python {platform.python_version()}, ahocorasick-rs {version('ahocorasick-rs')}, {platform.machine()}")
    for path in options.paths:
        if not path.exists():
            print(f"skipped: {path} is missing")
            continue
        texts = list(islice(read_texts(path), options.limit))
        if not texts:
            print(f"skipped: no texts in {path}")
            continue
        print(f"{path.name}: {len(texts)} messages, {sum(map(len, texts)) / len(texts):.0f} characters on average")
        for name, work in ways.items():
            seconds = min(cpu_seconds(work, [texts]) for _ in range(options.rounds))
            print(f"  {name:32s} {len(texts) / seconds:12,.0f} messages/s {1e6 * seconds / len(texts):8.2f} us")
    return 0


def stages(lists: Iterable[SymbolInfo]) -> dict[str, Callable[[list[str]], object]]:
    finder = make_finder(lists=lists)
    listed = finder.tokens.letters.difference(load_ambiguous())
    prefilter = finder.prefilter
    return {
        "find": partial(_each, finder.find),
        "pre-filter": lambda texts: [prefilter.keep(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)],
        "capitals in a list": partial(_each, lambda text: [word for word in _CAPITALS.findall(text) if word in listed]),
    }


def _each(work: Callable[[str], object], texts: list[str]) -> None:
    for text in texts:
        work(text)


if __name__ == "__main__":
    raise SystemExit(main())
