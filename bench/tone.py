"""How good the scorers are on labelled messages, how a cold start goes, and the making of the shipped weights.

    python -m bench.tone FOLDER figures [--train permitted|all|none]   macro-F1 a set: VADER, lexicon, learned
    python -m bench.tone FOLDER cold                                   declared labels of one stream, 0 to 30,000
    python -m bench.tone FOLDER speed                                  messages per CPU second, growth with the length
    python -m bench.tone FOLDER ship [--out FILE]                      trains the weights that are shipped

FOLDER holds one CSV file a set, as ``tracker.tone.evaluate.read_examples`` reads them; without it nothing is measured
and nothing fails. Each set is cut in two: its earlier half in time teaches, its later half is measured (a set without
times is cut by a hash of its texts; StockEmotions has its own validation part). What the halves have in common, near
copies included, is taken out of the half that teaches.
"""

from __future__ import annotations

import argparse
import platform
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from tracker.models import Tone
from tracker.tone import Scorer
from tracker.tone.evaluate import Figures, measure, read_examples
from tracker.tone.learned import LearnedScorer
from tracker.tone.lexicon import LexiconScorer
from tracker.tone.model import Model, save_model, shipped
from tracker.tone.train import Example, select, train
from tracker.tone.vader import VaderScorer
from tracker.universe import DATA

# sets whose source permits it: MIT, CC BY 4.0, MIT; see docs/tone-model.md
PERMITTED = ("stocktwits_2016", "taborda_tweets_2020", "news_tweets_train")
TAUGHT_WHOLE = "stockemotions_train"
MEASURED_WHOLE = "stockemotions_val"
NOT_THE_TASK = "control_"
LONG_STREAM = "stocktwits_2020_nopunct"  # it has no times: its order is that of its file
STREAMS = (LONG_STREAM, "stockemotions_train")  # of declared labels; the second is short and has emoji
STEPS = (0, 1_000, 3_000, 10_000, 30_000)
LEAST = 5  # messages that hold a term which is shipped
NO_CAP = 1_000_000  # the sets are samples already
SOURCES = {"twitter": "x", "twitter-news": "news", "reddit-crypto": "reddit", "stocktwits+twitter": "mixed"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measures the scorers of tone, and makes the shipped weights.")
    parser.add_argument("folder", type=Path, help="folder of labelled messages, a CSV file a set")
    parser.add_argument("task", choices=("figures", "cold", "speed", "ship"))
    parser.add_argument("--train", choices=("permitted", "all", "none"), default="permitted", help="sets that teach")
    parser.add_argument("--limit", type=int, default=NO_CAP, help="messages of a set to read at most")
    parser.add_argument("--out", type=Path, default=DATA / "tone-model.tsv.gz", help="where the weights go")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        print(f"skipped: {options.folder} is missing")
        return 0
    sets = read_sets(options.folder, options.limit)
    if not sets:
        print(f"skipped: no labelled messages in {options.folder}")
        return 0
    print(f"python {platform.python_version()}, {platform.machine()}, {sum(map(len, sets.values()))} messages")
    lexicon = LexiconScorer()
    if options.task == "ship":
        ship(sets, lexicon, options.out)
    elif options.task == "speed":
        speed(sets, lexicon)
    elif options.task == "cold":
        cold_start(sets, lexicon)
    else:
        figures(sets, lexicon, options.train)
    return 0


def read_sets(folder: Path, limit: int) -> dict[str, list[Example]]:
    """The sets by name, each in its order in time."""
    found: dict[str, list[Example]] = {}
    for path in sorted(folder.glob("*.csv")):
        if not path.name.startswith(NOT_THE_TASK):
            examples = [replace(e, source=SOURCES.get(e.source, e.source)) for e in read_examples(path)]
            if path.stem != LONG_STREAM:
                examples.sort(key=_in_time if all(e.at for e in examples) else _by_hash)
            found[path.stem] = examples[:limit]
    return found


def halves(sets: dict[str, list[Example]]) -> tuple[dict[str, list[Example]], dict[str, list[Example]]]:
    """What teaches and what is measured; near copies of what is measured don't teach."""
    teaching: dict[str, list[Example]] = {}
    measured: dict[str, list[Example]] = {}
    for name, examples in sets.items():
        middle = {TAUGHT_WHOLE: len(examples), MEASURED_WHOLE: 0}.get(name, len(examples) // 2)
        teaching[name], measured[name] = examples[:middle], examples[middle:]
    known = {run for examples in measured.values() for example in examples for run in _runs(example.text)}
    return {name: [e for e in es if not _is_near(e, known)] for name, es in teaching.items() if es}, {
        name: examples for name, examples in measured.items() if examples
    }


def figures(sets: dict[str, list[Example]], lexicon: LexiconScorer, kind: str) -> None:
    teaching, measured = halves(sets)
    scorers: list[tuple[str, Callable[[Example], Tone]]] = [
        ("vader", _plain(VaderScorer())),
        ("lexicon", _plain(lexicon)),
    ]
    if kind != "none":
        names = [name for name in teaching if kind == "all" or name in PERMITTED]
        examples = select((e for name in names for e in teaching[name]), per_symbol_day=NO_CAP)
        started = time.process_time()
        model = train(examples, lexicon=lexicon, least=LEAST if kind == "permitted" else 2)
        seconds = time.process_time() - started
        print(f"trained on {len(examples)} messages of {len(names)} sets in {seconds:.0f} s, {len(model.terms)} terms")
        print(f"{model.blend} {model.view}")
        learned = LearnedScorer(model, lexicon)
        scorers += [
            ("learned", _plain(learned)),
            ("learned, source told", lambda example: learned.score(example.text, example.source)),
        ]
    found = {title: {name: measure(score, measured[name]) for name in measured} for title, score in scorers}
    print_table(found)


def print_table(found: dict[str, dict[str, Figures]]) -> None:
    titles = list(found)
    print("\nmacro-F1 of two classes (three classes) a set\n")
    print("| set | n | bullish |", " | ".join(titles), "|")
    print("|---|---|---|" + "---|" * len(titles))
    for name in next(iter(found.values())):
        first = found[titles[0]][name]
        cells = []
        for title in titles:
            one = found[title][name]
            three = f" ({one.three_class_f1:.3f})" if one.three_class_f1 is not None else ""
            cells.append(f"{one.macro_f1 or 0:.3f}{three}")
        print(f"| {name} | {first.n} | {first.bullish_share or 0:.2f} |", " | ".join(cells), "|")
    for field in (
        "macro_f1",
        "auc",
        "accuracy",
        "sure_half_accuracy",
        "coverage",
        "calibration_error",
        "three_class_f1",
    ):
        cells = [f"{_mean(getattr(one, field) for one in found[title].values()):.3f}" for title in titles]
        print(f"| *mean {field}* | | |", " | ".join(cells), "|")


def cold_start(sets: dict[str, list[Example]], lexicon: LexiconScorer) -> None:
    """What a new installation gains: permitted weights as the prior, then labels of one stream as they come in."""
    permitted = [e for name in PERMITTED for e in sets.get(name, ())]
    prior = train(select(permitted, per_symbol_day=NO_CAP), lexicon=lexicon, least=LEAST)
    for name in STREAMS:
        if name in sets:
            _cold_start(name, sets[name], lexicon, prior)


def _cold_start(name: str, stream: list[Example], lexicon: LexiconScorer, prior: Model) -> None:
    middle = len(stream) * 7 // 8
    later = stream[middle:]
    known = {run for example in later for run in _runs(example.text)}
    earlier = [e for e in stream[:middle] if not _is_near(e, known)]
    print(f"\n{name}: {len(earlier)} labels in order, then {len(later)} messages to measure\n")
    print("| labels | macro-F1 | AUC | surer half | blend | seconds |")
    print("|---|---|---|---|---|---|")
    _print_step("lexicon", measure(_plain(lexicon), later), "", 0.0)
    for step in sorted({min(step, len(earlier)) for step in STEPS}):
        started = time.process_time()
        model = train(select(earlier[:step], per_symbol_day=NO_CAP), lexicon=lexicon, prior=prior)
        seconds = time.process_time() - started
        blend = f"{model.blend.learned:.2f} {model.blend.lexicon:.2f}"
        _print_step(f"{step:,}", measure(_plain(LearnedScorer(model, lexicon)), later), blend, seconds)


def _print_step(title: str, one: Figures, blend: str, seconds: float) -> None:
    cells = [one.macro_f1, one.auc, one.sure_half_accuracy]
    print(f"| {title} |", " | ".join(f"{cell or 0:.3f}" for cell in cells), f"| {blend} | {seconds:.0f} |", flush=True)


def speed(sets: dict[str, list[Example]], lexicon: LexiconScorer) -> None:
    texts = [e.text for examples in sets.values() for e in examples if e.source == "stocktwits"][:20_000]
    learned = LearnedScorer(shipped(), lexicon)
    for title, scorer in (("vader", VaderScorer()), ("lexicon", lexicon), ("learned and lexicon", learned)):
        seconds = min(_cpu_seconds(scorer, texts) for _ in range(3))
        print(f"{title:20s} {len(texts) / seconds:10,.0f} messages/s {1e6 * seconds / len(texts):8.1f} us")
    for length in (400, 4_000, 40_000, 400_000):
        text = ("bought $GME calls, not selling 🚀 at 12.50 " * (length // 40 + 1))[:length]
        seconds = min(_cpu_seconds(learned, [text]) for _ in range(3))
        print(f"{length:>7,} characters {1e3 * seconds:8.2f} ms")


def ship(sets: dict[str, list[Example]], lexicon: LexiconScorer, out: Path) -> None:
    """All messages of the permitted sets; a term is kept if five of them hold it."""
    examples = select((e for name in PERMITTED for e in sets.get(name, ())), per_symbol_day=NO_CAP)
    model = replace(train(examples, lexicon=lexicon, least=LEAST), title="1")
    save_model(model, out)
    print(f"{model.name}: {len(examples)} messages, {len(model.terms)} terms, {out.stat().st_size} bytes, {out}")
    print(f"{model.blend} {model.view} {dict(model.priors)} fingerprint {model.fingerprint}")


def _plain(scorer: Scorer) -> Callable[[Example], Tone]:
    return lambda example: scorer.score(example.text)


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def _cpu_seconds(scorer: Scorer, texts: Sequence[str]) -> float:
    started = time.process_time()
    for text in texts:
        scorer.score(text)
    return max(time.process_time() - started, 1e-9)


def _in_time(example: Example) -> tuple[str, str]:
    return (example.at.isoformat() if example.at else "", example.text)


def _by_hash(example: Example) -> bytes:
    return blake2b(example.text.encode()).digest()


def _runs(text: str) -> set[str]:
    """Its runs of four words; a shorter text is one run."""
    words = re.findall(r"[a-z]+", text.lower())
    return {" ".join(words[at : at + 4]) for at in range(len(words) - 3)} or {" ".join(words)}


def _is_near(example: Example, known: set[str]) -> bool:
    runs = _runs(example.text)
    return 2 * len(runs & known) >= len(runs)


if __name__ == "__main__":
    raise SystemExit(main())
