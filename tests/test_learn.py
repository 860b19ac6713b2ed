"""Learning from declared labels: what is taken, what is compared, and when a model is put in force."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import make_store, message
from test_rescore import KEY

from tracker import learn as learning
from tracker.errors import BadInput, StoreError
from tracker.ingest import Analysis, digest
from tracker.learn import FALL, Check, Material, cut_between, gather, learn, load_frozen, write_model
from tracker.mentions import make_finder
from tracker.models import Batch, PollReport
from tracker.promotion import (
    KEPT,
    Promoted,
    Standing,
    alone,
    go_back,
    load_standing,
    model_file,
    promote,
    promoted_model,
    save_standing,
    twin_file,
)
from tracker.store.labels import declared
from tracker.tone import make_scorer
from tracker.tone.evaluate import measure
from tracker.tone.lexicon import LexiconScorer
from tracker.tone.model import load_model
from tracker.tone.train import Direction, Example

START = datetime(2026, 3, 2, tzinfo=UTC)
NOW = datetime(2026, 4, 2, tzinfo=UTC)
LEXICON = LexiconScorer()
# an invented dialect, of which no list knows a word
GOOD = ("flurbing", "zantic", "mooplish", "quozzy", "brindled")
BAD = ("snarfed", "gloomic", "wobbed", "drazzle", "krunked")
PLAIN = (
    "the pond",
    "my share",
    "this one",
    "all of it",
    "today",
    "the chart",
    "the frogs",
    "a lot",
    "tomorrow",
    "again",
)


def dialect(number: int, *, lies: bool = False, first: int = 0, source: str = "pond") -> list[Example]:
    """So many labelled messages, an hour apart and of an author each; ``lies`` turns every label round."""
    found = []
    for n in range(first, first + number):
        label: Direction = 1 if n % 2 else -1
        words = GOOD if label > 0 else BAD
        text = f"{PLAIN[n % 10]} {words[n % 5]} {PLAIN[n // 10 % 10]} {words[n // 5 % 5]} {PLAIN[n // 100 % 10]} frog{n:04}"
        said: Direction = -label if lies else label  # type: ignore[assignment]
        found.append(Example(text, said, source, f"author{n}", "GME", START + timedelta(hours=n)))
    return found


def silent(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total, what


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which a model of the dialect is in force."""
    folder = tmp_path_factory.mktemp("promoted")
    report = learn(folder, gather(dialect(520), ()), LEXICON, NOW, (), silent)
    assert report.outcome == "promoted"
    return folder


# ---------------------------------------------------------------------------------------------------- what is taken


def test_stored_labels_are_read_and_nothing_that_we_guessed(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    messages = [
        message("$GME and $BABA up", "1", at=START, label="bullish", author="frog"),
        message("$GME down", "2", at=START + timedelta(hours=1), label="bearish"),
        message("$GME to the moon, best stock ever", "3", at=START),
        message("a copy", "4", at=START, label="bullish", reshare_of="1"),
        message("gone", "5", at=START, label="bullish"),
        message("no symbol", "6", at=START - timedelta(hours=1), label="bullish"),
    ]
    found = digest(messages, Analysis(make_finder(("GME", "BABA")), LEXICON, KEY), stream="s", fetched_at=None)
    batch = Batch(
        PollReport("pond", "s", NOW, 0, "ok"), None, found.messages, found.mentions, found.tones, fetched_at=NOW
    )
    with store.writing() as connection:
        store.load([batch], connection)
        connection.execute("UPDATE messages SET text = NULL WHERE id = '5'")
    with store.reading() as connection:
        examples = declared(connection)
    assert [(e.text, e.label, e.source, e.symbol, e.at) for e in examples] == [
        ("no symbol", 1, "pond", None, START - timedelta(hours=1)),
        ("$GME and $BABA up", 1, "pond", "BABA", START),
        ("$GME down", -1, "pond", "GME", START + timedelta(hours=1)),
    ]
    assert examples[1].author == found.messages[0].author != "frog"


def test_no_wording_is_learned_from_twice_and_none_that_a_frozen_set_asks_for() -> None:
    stored = dialect(20)
    again = [replace(stored[0], author="other", at=NOW)]
    given = [replace(stored[1], source="file", at=None), Example("a new one altogether", 1)]
    frozen = [("mine", [Example(stored[2].text.upper(), -1)])]
    material = gather([*stored, *again], given, frozen)
    texts = [example.text for example in material.examples]
    assert len(texts) == len(set(texts)) == 20
    assert stored[2].text not in texts
    assert (material.stored, material.given) == (21, 2)
    assert material.declared <= set(stored) | set(again)


def test_only_the_newest_stored_labels_are_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "MOST", 5)
    stored = dialect(12)
    material = gather(stored, [Example("from a file", 1)])
    assert sorted(e.text for e in material.examples) == sorted([*(e.text for e in stored[-5:]), "from a file"])


def test_the_frozen_set_that_comes_along_has_both_sides_and_repeats_nothing() -> None:
    frozen = load_frozen()
    labels = [example.label for example in frozen]
    assert min(labels.count(1), labels.count(-1)) >= 60
    assert labels.count(0) >= 20
    assert len(gather((), frozen).examples) == len(frozen)


# ------------------------------------------------------------------------------------------------- what is compared


def test_the_later_part_is_news_to_both() -> None:
    material = gather(dialect(100), ())
    cut = cut_between(material, None)
    assert cut == START + timedelta(hours=80)
    assert cut_between(material, START + timedelta(hours=50)) == cut
    assert cut_between(material, START + timedelta(hours=90)) == START + timedelta(hours=90)
    assert cut_between(gather((), [Example("up", 1, at=START)]), None) is None


@pytest.mark.parametrize(
    ("new", "in_force", "passed"),
    [(0.8, 0.8, True), (0.8, 0.8 + FALL, True), (0.8, 0.8051, False), (0.9, 0.5, True), (None, 0.5, False), (0.5, None, False)],
)  # fmt: skip
def test_a_model_may_fall_by_half_a_point(new: float | None, in_force: float | None, passed: bool) -> None:
    assert Check("x", 1, new, in_force).passed is passed


def test_what_is_no_worse_is_put_in_force(promoted: Path) -> None:
    standing = load_standing(promoted)
    assert [one.at for one in standing.promoted] == [NOW]
    assert standing.learned_at == NOW
    assert standing.said.startswith("promoted: ")
    path = promoted_model(promoted)
    assert path is not None
    unseen = dialect(60, first=700)
    learned, before = make_scorer("learned", model_path=path), make_scorer("learned")
    auc = [measure(lambda e, s=scorer: s.score(e.text), unseen).auc for scorer in (learned, before)]  # type: ignore[misc]
    assert auc[0] is not None
    assert auc[1] is not None
    assert auc[0] > 0.95 > auc[1]


def test_equal_labels_make_equal_files(promoted: Path, tmp_path: Path) -> None:
    turned = list(reversed(dialect(520)))
    report = learn(tmp_path, gather(turned, ()), LEXICON, NOW, (), silent)
    assert report.path is not None
    assert report.path.name == promoted_model(promoted).name  # type: ignore[union-attr]
    assert report.path.read_bytes() == promoted_model(promoted).read_bytes()  # type: ignore[union-attr]


def test_too_few_labels_change_nothing(tmp_path: Path) -> None:
    report = learn(tmp_path, gather(dialect(300), ()), LEXICON, NOW, (), silent)
    assert (report.outcome, report.model, report.path) == ("too few", None, None)
    assert "150 bullish and 150 bearish" in report.why
    assert promoted_model(tmp_path) is None
    assert load_standing(tmp_path).learned_at == NOW


def test_labels_from_files_alone_put_nothing_in_force(tmp_path: Path) -> None:
    report = learn(tmp_path, gather((), dialect(520)), LEXICON, NOW, (), silent)
    assert report.outcome == "kept"
    assert "too few to compare" in report.why
    assert promoted_model(tmp_path) is None


def test_a_model_that_falls_on_later_labels_is_kept_back(tmp_path: Path) -> None:
    """The early labels lie: what they teach is wrong for the later ones."""
    report = learn(tmp_path, gather([*dialect(416, lies=True), *dialect(104, first=416)], ()), LEXICON, NOW, (), silent)
    assert report.outcome == "kept"
    assert "AUC on the later labels would fall" in report.why
    (check,) = report.checks
    assert check.messages == 104
    assert not check.passed
    assert report.path is not None
    assert report.path.is_file()
    assert promoted_model(tmp_path) is None


def test_a_model_that_falls_on_a_frozen_set_is_kept_back(tmp_path: Path) -> None:
    """The frozen set calls things by other names than everybody else; the weights that come along know neither."""
    contrary = [replace(e, text=e.text + " indeed, says the frozen set") for e in dialect(60, lies=True, first=900)]
    report = learn(tmp_path, gather(dialect(520), ()), LEXICON, NOW, [("mine", contrary)], silent)
    assert report.outcome == "kept"
    assert [(check.what, check.passed) for check in report.checks] == [("later labels", True), ("mine", False)]
    assert "AUC on the mine would fall" in report.why
    assert promoted_model(tmp_path) is None


def test_the_twin_in_force_has_not_seen_what_the_next_one_is_compared_on(promoted: Path, tmp_path: Path) -> None:
    (one,) = load_standing(promoted).promoted
    twin, model = load_model(twin_file(promoted, one.name)), load_model(model_file(promoted, one.name))
    assert one.unseen_from == START + timedelta(hours=416)
    assert (twin.examples, model.examples) == (416, 520)


def test_no_new_labels_are_too_few_to_compare_and_many_are_enough(promoted: Path, tmp_path: Path) -> None:
    for path in (promoted / "models").iterdir():
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / "models" / path.name).write_bytes(path.read_bytes())
    few = learn(tmp_path, gather(dialect(30, first=500), dialect(400, source="file")), LEXICON, NOW, (), silent)
    assert few.outcome == "kept"
    more = learn(tmp_path, gather(dialect(560), ()), LEXICON, NOW, (), silent)
    assert more.outcome == "promoted"
    assert [one.name for one in load_standing(tmp_path).promoted][-1] == more.model
    assert more.checks[0].in_force is not None
    assert more.checks[0].in_force > 0.9, "compared with the model in force, not with the one that came along"
    go_back(tmp_path)
    again = learn(tmp_path, gather(dialect(560), ()), LEXICON, NOW, (), silent)
    assert (again.outcome, again.why) == ("kept", "it is the model that was gone back from")


def test_a_model_for_oneself_is_written_and_put_in_force_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    report = write_model(gather((), dialect(60)), path, LEXICON, silent)
    assert (report.outcome, report.model) == ("written", load_model(path).name)
    assert list(tmp_path.iterdir()) == [path]


def test_words_for_sides_count_the_material() -> None:
    material = Material((Example("a", 1), Example("b", 1), Example("c", 0)), frozenset(), 0, 3)
    report = material.report("kept", "because")
    assert (report.bullish, report.bearish, report.neutral, report.given) == (2, 0, 1, 3)


# ---------------------------------------------------------------------------------------------------- the standing


def put(folder: Path, *names: str) -> None:
    (folder / "models").mkdir(exist_ok=True)
    for name in names:
        model_file(folder, name).write_text("weights")
        twin_file(folder, name).write_text("weights")
        promote(folder, Promoted(name, NOW, None))


def test_going_back_goes_one_model_at_a_time_down_to_the_weights_that_come_along(tmp_path: Path) -> None:
    put(tmp_path, "a", "b")
    assert promoted_model(tmp_path) == model_file(tmp_path, "b")
    assert go_back(tmp_path).set_aside == ("b",)
    assert promoted_model(tmp_path) == model_file(tmp_path, "a")
    go_back(tmp_path)
    assert promoted_model(tmp_path) is None
    with pytest.raises(BadInput, match="nothing to go back to"):
        go_back(tmp_path)


def test_old_models_are_taken_away_and_the_newest_stay(tmp_path: Path) -> None:
    put(tmp_path, *"abcdefg")
    kept = [one.name for one in load_standing(tmp_path).promoted]
    assert kept == list("cdefg")
    assert len(kept) == KEPT
    files = {path.name for path in (tmp_path / "models").iterdir()}
    assert files == {"standing.json", *(f"{name}{end}" for name in kept for end in (".tsv.gz", ".twin.tsv.gz"))}


def test_the_same_weights_again_stand_once(tmp_path: Path) -> None:
    put(tmp_path, "a", "b", "b")
    assert [one.name for one in load_standing(tmp_path).promoted] == ["a", "b"]


def test_a_standing_survives_the_disk(tmp_path: Path) -> None:
    standing = Standing((Promoted("a", NOW, START), Promoted("b", NOW, None)), ("c",), NOW, "words")
    save_standing(tmp_path, standing)
    assert load_standing(tmp_path) == standing


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"promoted": 3}', '{"promoted": [{"name": "a"}]}', "\ud800"])
def test_a_damaged_standing_is_bad_input(tmp_path: Path, content: str) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "standing.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(BadInput, match="standing of the models can't be read"):
        load_standing(tmp_path)


def test_a_model_that_is_gone_is_said(tmp_path: Path) -> None:
    put(tmp_path, "a")
    model_file(tmp_path, "a").unlink()
    with pytest.raises(BadInput, match="the model in force is gone"):
        promoted_model(tmp_path)


def test_two_runs_at_a_time_are_refused(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(StoreError, match="learned already"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass
