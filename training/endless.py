"""An endless stream of training examples for the embedded base model.

Example ``i`` of a phase depends on the recipe's seed, the phase and ``i`` alone: a run may stop anywhere and
go on, and the number of processes changes nothing. Generated documents and copy tasks never come twice;
conversations, of which there are some thousands, do. Documents of the families that ``pii data`` holds out
are passed over, so that its held-out splits stay unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from data_pipeline import rendering
from data_pipeline.chat import answers_hold_pii, read_chat
from data_pipeline.inputs import chat_path, chat_state
from data_pipeline.readers.files import Refusal
from data_pipeline.recipe import DataConfig
from data_pipeline.splits import Split, synthetic_split
from data_pipeline.synthesis import Synthesiser
from pii import codec
from pii.spans import Document
from training.copying import CopyTasks
from training.examples import RememberingTokenizer
from training.pretrain_recipe import KINDS, BaseRecipe, Kind, Phase

_ROOM = 1 << 40
"""Indices of documents of each phase, and of the probes; `pii data` uses the first ones."""
_ATTEMPTS = 8
"""Documents that are drawn until one belongs to training."""
_MOST_CHARACTERS = 3000
"""Characters of the chat, most frequent first, that copy tasks are made of."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One row of general chat."""

    language: str
    messages: tuple[codec.Message, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Example:
    """One tokenised example.

    Attributes:
        kind: what it is.
        ids: its tokens.
        weights: for each token how much its prediction counts.
    """

    kind: Kind
    ids: list[int] = field(repr=False)
    weights: list[float] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples of similar length, padded on the right with weight 0.

    Attributes:
        ids: tokens (B, T), int32.
        weights: how much each token's prediction counts (B, T), float32; 1 marks an answer.
        kinds: place of each example's kind in `KINDS` (B,), int64.
        num_tokens: tokens without padding.
    """

    ids: npt.NDArray[np.int32] = field(repr=False)
    weights: npt.NDArray[np.float32] = field(repr=False)
    kinds: npt.NDArray[np.int64] = field(repr=False)
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Pool:
    """Examples that were made together: batches in random order, and what was left out, by reason."""

    batches: list[Batch]
    left_out: Counter[str]


def read_conversations(data: DataConfig) -> list[Conversation]:
    """The chat that the data recipe allows, without answers that hold personal information."""
    kept = []
    for name, source in data.chat.sources.items():
        if chat_state(name, source, data) != "used":
            continue
        for row in read_chat(chat_path(source), data.chat.max_chars):
            if not isinstance(row, Refusal) and not answers_hold_pii(row[2]):
                kept.append(Conversation(source.language, tuple(row[2])))
    return kept


def licence_clean(data: DataConfig) -> DataConfig:
    """The data recipe, restricted to sources whose licence allows to ship what is made of them."""
    return data.model_copy(update={"licences": ("permissive",)})


class Stream:
    """The examples of a run.

    Args:
        recipe: seed, phases, context and batches.
        data: the data recipe that it names.
        tokenizer: as for `pii.codec.encode`.
    """

    def __init__(self, recipe: BaseRecipe, data: DataConfig, tokenizer: codec.Tokenizer) -> None:
        self.recipe, self.data = recipe, licence_clean(data)
        self._tokenizer = RememberingTokenizer(tokenizer)
        synthesis = data.synthetic.synthesis
        self._held_out = Synthesiser(synthesis, data.seed)
        # What is set aside would be passed over anyway.
        self._synthesiser = Synthesiser(synthesis.model_copy(update={"foreign": 0.0}), data.seed)
        self._chat = read_conversations(self.data)
        characters = Counter(c for row in self._chat for m in row.messages for c in m["content"])
        ranked = sorted(characters, key=lambda c: (-characters[c], c))
        self._copy_tasks = CopyTasks([c for c in ranked if not c.isspace()][:_MOST_CHARACTERS])

    # --- examples -------------------------------------------------------------------------------------

    def example(self, phase: Phase, index: int) -> Example | str:
        """Example `index` of a phase, or the reason why there is none."""
        rng = Random(f"{self.recipe.seed}/{phase.name}/{index}")
        kind: Kind = rng.choices(list(phase.mix), list(phase.mix.values()))[0]
        messages = self._messages(kind, phase, index, rng)
        if isinstance(messages, str):
            return messages
        ids, is_answer = codec.encode(self._tokenizer, messages, answer_next=False)
        if len(ids) > self.recipe.context_tokens:
            return "longer than the context"
        # Nothing can be learned of a random string before it is repeated, and chat is language modelling.
        outside = 0.0 if kind == "copy" else phase.text_weight
        inside = phase.text_weight if kind == "chat" else 1.0
        return Example(kind, ids, [inside if answer else outside for answer in is_answer])

    def _messages(self, kind: Kind, phase: Phase, index: int, rng: Random) -> Sequence[codec.Message] | str:
        if kind == "copy":
            return self._copy_tasks.draw(rng)
        if kind == "chat":
            return rng.choice(self._chat).messages
        document = self._document(kind, self._first_index(phase) + index * _ATTEMPTS, rng)
        if document is None:
            return "held out" if kind == "extraction" else "no place for a value"
        shares = {"subset_share": self.data.subset_share, "optional_share": self.data.optional_share}
        asked = rendering.asked_for(document, rendering.draw_request(document, rng, **shares))
        chars = min(phase.window_chars or self.data.window_chars, self.data.window_chars)
        margin = self.data.window_margin * chars // self.data.window_chars
        window = rng.choice(rendering.cut(asked, chars, margin))
        return rendering.conversation(window) if rendering.is_provable(window) else "ambiguous"

    def _document(self, kind: Kind, first: int, rng: Random) -> Document | None:
        for index in range(first, first + _ATTEMPTS):
            if kind == "inserted":
                sentence = self._sentence(rng)
                document = self._synthesiser.insert_into(sentence, index)
                if document.text != sentence.text:
                    return document
            else:
                document = self._synthesiser.document(index)
                if self._split(document) == "train":
                    return document
        return None

    def _sentence(self, rng: Random) -> Document:
        """What a person asks in a chat, as a document in which nothing is labelled."""
        row = rng.choice(self._chat)
        asked = next(m["content"] for m in row.messages if m["role"] == "user")
        return Document(asked, (), source="inserted", language=row.language, types=())

    def _first_index(self, phase: Phase) -> int:
        return _ROOM * (1 + self.recipe.phases.index(phase))

    def _split(self, document: Document) -> Split:
        return synthetic_split(document, self.data.seed, self.data.synthetic.held_out_families)

    # --- pools ----------------------------------------------------------------------------------------

    def pool(self, phase: Phase, start: int, count: int, batch_tokens: int) -> Pool:
        """Examples `start` to ``start + count`` of a phase, as batches of at most so many padded tokens."""
        made = [self.example(phase, index) for index in range(start, start + count)]
        left_out = Counter(item for item in made if isinstance(item, str))
        batches = _batches([item for item in made if isinstance(item, Example)], batch_tokens)
        Random(f"{self.recipe.seed}/{phase.name}/{start}/order").shuffle(batches)
        return Pool(batches, left_out)

    # --- what is never trained on ---------------------------------------------------------------------

    def held_out(self, split: Split, count: int) -> list[Document]:
        """The first so many documents of a held-out split, cut to their first window, all provable."""
        found: list[Document] = []
        index = 0
        while len(found) < count:
            document = self._held_out.document(index)
            index += 1
            if self._split(document) == split:
                asked = rendering.asked_for(document, rendering.full_request(document))
                window = rendering.cut(asked, self.data.window_chars, self.data.window_margin)[0]
                if rendering.is_provable(window):
                    found.append(replace(window, source=split))
        return found

    def vocabulary_texts(self, count: int) -> list[str]:
        """What a tokenizer is trained on: documents of training with their answers, and the chat."""
        texts = [m["content"] for row in self._chat for m in row.messages]
        for index in range(count):
            document = self._synthesiser.document(index)
            if self._split(document) == "train":
                texts += [m["content"] for m in rendering.conversation(document)]
        return texts


def _batches(examples: Sequence[Example], max_tokens: int) -> list[Batch]:
    """Cut examples into batches of similar lengths."""
    groups: list[list[Example]] = []
    for example in sorted(examples, key=lambda e: len(e.ids)):
        if groups and (len(groups[-1]) + 1) * len(example.ids) <= max_tokens:
            groups[-1].append(example)
        else:
            groups.append([example])
    return [_padded(group) for group in groups]


def _padded(examples: Sequence[Example]) -> Batch:
    shape = len(examples), max(len(example.ids) for example in examples)
    ids, weights = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = example.ids
        weights[row, : len(example.ids)] = example.weights
    kinds = np.array([KINDS.index(example.kind) for example in examples], np.int64)
    return Batch(ids, weights, kinds, sum(len(example.ids) for example in examples))


# --- in a process of its own --------------------------------------------------------------------------

Task = tuple[str, int, int, int]
"""Name of a phase, first example, number of examples, tokens of a batch."""

_stream: Stream


def initialise(recipe: BaseRecipe, tokenizer_folder: Path) -> None:
    """Set this process up for `make_pool`."""
    global _stream
    _stream = open_stream(recipe, tokenizer_folder)


def open_stream(recipe: BaseRecipe, tokenizer_folder: Path) -> Stream:
    """The stream of a run whose tokenizer is there."""
    from training.silence import keep_quiet
    from training.tokenizer import load

    keep_quiet()
    tokenizer: Any = load(tokenizer_folder)
    return Stream(recipe, recipe.data_config(), tokenizer)


def make_pool(task: Task) -> Pool:
    """One pool of the stream."""
    name, start, count, batch_tokens = task
    phase = next(phase for phase in _stream.recipe.phases if phase.name == name)
    return _stream.pool(phase, start, count, batch_tokens)
