"""A second opinion: any text classifier in ONNX form, asked about a sample of the messages.

    load_second(folder, band, labels) -> SecondOpinion      model.onnx, tokenizer.json, config.json, as Hugging Face exports them
    opinion.score_many(texts) -> [Tone]

Its scores are rows of ``tones`` under a name that begins with ``second/``, to compare with; mentions, buckets and
readings never see them. Needs the extra ``tracker[transformers]``; a model of PyTorch is exported first
(``optimum-cli export onnx``). The classes are known by their names; ``[tone.second.labels]`` says what others mean.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from tracker.errors import BadInput
from tracker.models import Tone
from tracker.tone import LONGEST, to_tone

SECOND: Final = "second/"  # how the names of second opinions begin
TOKENS: Final = 256  # of them at most, in the classifier's own words
AT_ONCE: Final = 16  # texts in one run of the classifier
_BULLISH: Final = frozenset({"bullish", "positive", "pos", "bull", "buy", "optimistic"})
_BEARISH: Final = frozenset({"bearish", "negative", "neg", "bear", "sell", "pessimistic"})
_NEUTRAL: Final = frozenset({"neutral", "none", "hold", "mixed", "uncertain", "no sentiment"})
_MEANING: Final[dict[str, int]] = {
    **dict.fromkeys(_BULLISH, 1), **dict.fromkeys(_BEARISH, -1), **dict.fromkeys(_NEUTRAL, 0)
}  # fmt: skip
_INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids")


def load_second(folder: Path, neutral_band: float = 0.1, labels: Mapping[str, str] | None = None) -> SecondOpinion:
    """Read a classifier. BadInput names the file or the class that can't be used."""
    try:
        import numpy
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer
    except ImportError as error:
        raise BadInput("a second opinion needs more packages", "pip install 'tracker[transformers]'", error) from None
    model = next((path for path in (folder / "model.onnx", folder / "onnx" / "model.onnx") if path.is_file()), None)
    if model is None:
        raise BadInput("expected model.onnx in the folder", str(folder), "`optimum-cli export onnx` makes it")
    settings = _settings(folder / "config.json")
    classes = classes_of(settings.get("id2label"), labels or {}, str(folder / "config.json"))
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        options = SessionOptions()
        options.intra_op_num_threads = 1  # the rest of the machine has other things to do
        session = InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        fingerprint = _fingerprint(model, folder / "tokenizer.json", folder / "config.json")
    except Exception as error:  # both libraries raise bare exceptions of their own
        raise BadInput("the classifier can't be read", str(folder), str(error)[:300]) from None
    inputs = tuple(given.name for given in session.get_inputs())
    if unknown := set(inputs).difference(_INPUTS):
        raise BadInput("the classifier asks for more than a text", str(model), ", ".join(sorted(unknown)))
    longest = settings.get("max_position_embeddings")
    # two places less: some models count theirs from 2
    tokenizer.enable_truncation(max(8, min(TOKENS, longest - 2 if isinstance(longest, int) else TOKENS)))
    padding = settings.get("pad_token_id")
    tokenizer.enable_padding(pad_id=padding if isinstance(padding, int) else 0)
    name = f"{SECOND}{folder.resolve().name}-{fingerprint}"
    return SecondOpinion(name, neutral_band, classes, tokenizer, session, inputs, numpy)


class SecondOpinion:
    """A classifier that is ready to be asked."""

    def __init__(
        self,
        name: str,
        band: float,
        classes: Sequence[int],
        tokenizer: Any,
        session: Any,
        inputs: Sequence[str],
        numpy: Any,
    ) -> None:
        self.name = name
        self._band = band
        self._classes = classes  # what each class means: 1, -1, 0
        self._tokenizer = tokenizer
        self._session = session
        self._inputs = inputs
        self._numpy = numpy

    def score_many(self, texts: Sequence[str]) -> list[Tone]:
        """The tones of some texts; their order stays. BadInput when the classifier answers something else than classes."""
        tones: list[Tone] = []
        for start in range(0, len(texts), AT_ONCE):
            tones += self._score([text[:LONGEST] for text in texts[start : start + AT_ONCE]])
        return tones

    def _score(self, texts: list[str]) -> list[Tone]:
        encoded = self._tokenizer.encode_batch(texts)
        columns = {
            "input_ids": [one.ids for one in encoded],
            "attention_mask": [one.attention_mask for one in encoded],
            "token_type_ids": [one.type_ids for one in encoded],
        }
        given = {name: self._numpy.array(columns[name], dtype=self._numpy.int64) for name in self._inputs}
        answers = self._session.run(None, given)[0].tolist()
        if not all(isinstance(answer, list) and len(answer) == len(self._classes) for answer in answers):
            raise BadInput(f"expected {len(self._classes)} numbers for each text", self.name, "see config.json")
        return [to_tone(lean(answer, self._classes), self._band, self.name) for answer in answers]


def lean(logits: Sequence[float], classes: Sequence[int]) -> float:
    """-1..1: the probability of the bullish classes less that of the bearish ones."""
    highest = max(logits)
    shares = [math.exp(logit - highest) for logit in logits]
    return sum(share * meaning for share, meaning in zip(shares, classes, strict=True)) / sum(shares)


def classes_of(id2label: object, labels: Mapping[str, str], place: str) -> tuple[int, ...]:
    """What each class means, in the order of the classifier's answers. BadInput names those that nobody knows."""
    try:
        names = [str(id2label[str(number)]) for number in range(len(id2label))]  # type: ignore[arg-type, index]
    except (TypeError, KeyError):
        raise BadInput(
            "expected id2label, the names of the classes by their numbers", place, repr(id2label)[:200]
        ) from None
    meanings = {name: _MEANING.get(str(labels.get(name, name)).strip().lower()) for name in names}
    if unknown := [name for name, meaning in meanings.items() if meaning is None]:
        raise BadInput("what do these classes mean?", place, f"{', '.join(unknown)}: say so in [tone.second.labels]")
    found = tuple(meaning for name in names if (meaning := meanings[name]) is not None)
    if not {1, -1} <= set(found):
        raise BadInput("expected a bullish and a bearish class", place, ", ".join(names))
    return found


def _settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput("the classifier's configuration can't be read", str(path), error) from None
    if not isinstance(found, dict):
        raise BadInput("expected a JSON object", str(path), type(found).__name__)
    return found


def _fingerprint(*paths: Path) -> str:
    digest = blake2b(digest_size=4)
    for path in paths:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()
