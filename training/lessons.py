"""What the embedded base model is taught: conversation ``i`` of a phase, and what it is never taught.

A conversation depends on the recipe's seed, the phase and ``i`` alone. Generated documents and copy tasks
never come twice; general chat, of which there are some thousand rows, does. Documents of the families
that ``pii data`` holds out are passed over, so that its held-out splits stay unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from random import Random
from typing import Any
from zlib import crc32

from configs.reader import dump
from data_pipeline import rendering
from data_pipeline.casting import PEOPLE_KNOWN
from data_pipeline.inputs import chat_state, read_conversations
from data_pipeline.recipe import DataConfig
from data_pipeline.rewording import Rewording
from data_pipeline.splits import Split, synthetic_split
from data_pipeline.synthesis import Synthesiser
from pii import codec
from pii.spans import Document
from training.copying import CopyTasks
from training.pretrain_recipe import EndlessRecipe, Kind, Phase

_ROOM = 1 << 40
"""Indices of documents that each phase has for itself; the first ones are those of `pii data`."""
_ATTEMPTS = 8
"""Documents that are drawn until one belongs to training."""
_MOST_CHARACTERS = 3000
"""Characters of the chat, most frequent first, that copy tasks are made of."""


def licence_clean(data: DataConfig) -> DataConfig:
    """The data recipe, restricted to sources whose licence allows to ship what is made of them."""
    return data.model_copy(update={"licences": ("permissive",)})


def data_identity(data: DataConfig) -> str:
    """Hash of what is taught."""
    return sha256(dump(licence_clean(data)).encode()).hexdigest()


def sources_of(data: DataConfig) -> dict[str, Any]:
    """Source → licence of what is taught, for a manifest."""
    clean = licence_clean(data)
    chats = {
        f"chat.{name}": {"licence": source.licence}
        for name, source in clean.chat.sources.items()
        if chat_state(name, source, clean) == "used"
    }
    return {"synthetic": {"licence": "the project's own"}, **chats}


class Lessons:
    """The conversations of a run.

    Args:
        recipe: its seed, and the data recipe that it names.
    """

    def __init__(self, recipe: EndlessRecipe) -> None:
        data = recipe.data_config()
        self._recipe, self._data = recipe, licence_clean(data)
        synthesis = data.synthetic.synthesis
        self._any_family = Synthesiser(synthesis, data.seed)
        # What is set aside would be passed over anyway.
        self._own_families = Synthesiser(synthesis.model_copy(update={"foreign": 0.0}), data.seed)
        self._chat = read_conversations(self._data)
        characters = Counter(c for row in self._chat for m in row.messages for c in m["content"])
        ranked = sorted(characters, key=lambda c: (-characters[c], c))
        self._reword = Rewording(m["content"] for row in self._chat for m in row.messages)
        self._copy_tasks = CopyTasks([c for c in ranked if not c.isspace()][:_MOST_CHARACTERS])

    def draw(self, phase: Phase, index: int) -> tuple[Kind, Sequence[codec.Message] | str]:
        """Kind and turns of conversation `index` of a phase, or the reason why there are none."""
        rng, kind = self._chance(phase, index)
        if kind == "copy":
            return kind, self._copy_tasks.draw(rng)
        if kind == "chat":
            return kind, rng.choice(self._chat).messages
        document = self._document(kind, phase, index, rng)
        return kind, document if isinstance(document, str) else self._request(document, phase, rng)

    def labelled(self, phase: Phase, index: int) -> Document | str:
        """A window of document `index` of a phase with its entities, or the reason why there is none.

        The entities are those of the default types. The phase has to mix documents alone.
        """
        rng, kind = self._chance(phase, index)
        document = self._document(kind, phase, index, rng)
        return document if isinstance(document, str) else self._window(document, None, phase, rng)

    def _chance(self, phase: Phase, index: int) -> tuple[Random, Kind]:
        """The source of chance of conversation `index` of a phase, and its kind, the first thing drawn."""
        rng = Random(f"{self._recipe.seed}/{phase.name}/{index}")
        return rng, rng.choices(list(phase.mix), list(phase.mix.values()))[0]

    def _document(self, kind: Kind, phase: Phase, index: int, rng: Random) -> Document | str:
        document = self._drawn(kind, phase, index, rng)
        if document is None:
            return "held out" if kind == "extraction" else "no place for a value"
        return self._reword(document, rng) if rng.random() < phase.reworded else document

    def _drawn(self, kind: Kind, phase: Phase, index: int, rng: Random) -> Document | None:
        first = _ROOM * (1 + crc32(phase.name.encode())) + index * _ATTEMPTS
        for index in range(first, first + _ATTEMPTS):
            if kind == "inserted":
                sentence = self._sentence(rng)
                document = self._own_families.insert_into(sentence, index)
                if document.text != sentence.text:
                    return document
            else:
                document = self._own_families.document(index)
                if self._split(document) == "train":
                    return document
        return None

    def _sentence(self, rng: Random) -> Document:
        """What somebody says in a chat, as a document in which nothing is labelled."""
        row = rng.choice(self._chat)
        said = rng.choice(row.messages)["content"]
        known = {PEOPLE_KNOWN: row.own}
        return Document(said, (), source="inserted", language=row.language, types=(), meta=known)

    def _request(self, document: Document, phase: Phase, rng: Random) -> Sequence[codec.Message] | str:
        """A window of a document, with what is asked of it and the answer."""
        data = self._data
        request = rendering.draw_request(
            document, rng, subset_share=data.subset_share, optional_share=data.optional_share
        )
        window = self._window(document, request, phase, rng)
        return rendering.conversation(window) if rendering.is_provable(window) else "ambiguous"

    def _window(
        self, document: Document, request: Sequence[str] | None, phase: Phase, rng: Random
    ) -> Document:
        """One window of a document, with the entities that are asked for."""
        data = self._data
        chars = min(phase.window_chars or data.window_chars, data.window_chars)
        margin = data.window_margin * chars // data.window_chars
        return rng.choice(rendering.cut(rendering.asked_for(document, request), chars, margin))

    def _split(self, document: Document) -> Split:
        return synthetic_split(document, self._data.seed, self._data.synthetic.held_out_families)

    def held_out(self, split: Split, count: int) -> list[Document]:
        """The first so many documents of a held-out split, cut to their first window, all provable."""
        found: list[Document] = []
        index = 0
        while len(found) < count:
            document = self._any_family.document(index)
            index += 1
            if self._split(document) == split:
                asked = rendering.asked_for(document, rendering.full_request(document))
                window = rendering.cut(asked, self._data.window_chars, self._data.window_margin)[0]
                if rendering.is_provable(window):
                    found.append(replace(window, source=split))
        return found

    def vocabulary_texts(self, count: int) -> list[str]:
        """What a tokenizer is trained on: documents of training with their answers, and the chat.

        Args:
            count: generated documents that are looked at.
        """
        texts = [m["content"] for row in self._chat for m in row.messages]
        for index in range(count):
            document = self._own_families.document(index)
            if self._split(document) == "train":
                texts += [m["content"] for m in rendering.conversation(document)]
        return texts
