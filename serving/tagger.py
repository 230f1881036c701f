"""The character tagger as a detector: what it marks in a text, and what it thinks of any other span.

It reads windows of the text one by one (onnxruntime, one thread, no batch), so that what it says of a text
depends on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pii import windows
from pii.spans import Span
from pii.tagger_folder import INPUT, NETWORK, Numbering, read_tagger, tagger_fingerprint
from pii.tags import OUTSIDE, first_tag, num_tags, spans_of
from serving.evidence import LEAST_LOGPROB

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float16]

FURTHER = 2.0
"""A second look takes so much off the log-probability of being outside. What it marks beside the first look
is right less often than not, but a score says so, and the recall point lives on it."""


@dataclass(frozen=True, slots=True)
class TagEvidence:
    """How sure the tagger is of a span, as log-probabilities.

    Attributes:
        begins: of the first character's tag.
        inside: mean over the further characters' tags.
        ends: that the character behind the last does not go on with it.
        lowest: the least sure of all these.
    """

    begins: float
    inside: float
    ends: float
    lowest: float


@dataclass(frozen=True, slots=True)
class Tagged:
    """What the tagger says of a text.

    Attributes:
        likeliest: spans of the likeliest tags; sorted, without overlap.
        spans: the same, and what a second look finds beside them (`FURTHER`).
        types: those that it knows, in the order of their tags.
        log_probabilities: of each tag for each character (T, N).
    """

    likeliest: tuple[Span, ...]
    spans: tuple[Span, ...]
    types: tuple[str, ...]
    log_probabilities: Values = field(repr=False, compare=False)

    def without(self, is_allowed: Callable[[Span], bool]) -> Tagged:
        """The same without some of the spans."""
        likeliest, spans = (
            tuple(span for span in some if not is_allowed(span)) for some in (self.likeliest, self.spans)
        )
        return replace(self, likeliest=likeliest, spans=spans)

    def evidence(self, span: Span) -> TagEvidence | None:
        """How sure it is of any span of the text; None where it does not know the type."""
        if span.type not in self.types:
            return None
        first = first_tag(self.types.index(span.type))
        begins = float(self.log_probabilities[span.start, first])
        further = self.log_probabilities[span.start + 1 : span.end, first + 1].astype(float)
        ends = 0.0
        if span.end < len(self.log_probabilities):
            goes_on = min(0.0, float(self.log_probabilities[span.end, first + 1]))
            ends = math.log1p(-math.exp(goes_on)) if goes_on < 0 else LEAST_LOGPROB
        inside = float(further.mean()) if len(further) else 0.0
        lowest = min(begins, ends, float(further.min()) if len(further) else 0.0)
        return TagEvidence(*(max(value, LEAST_LOGPROB) for value in (begins, inside, ends, lowest)))


class CharacterTagger:
    """A tagger, ready to read; any thread may.

    Args:
        folder: of `pii.tagger_folder`.

    Raises ModelFolderError: the folder is missing, half-written or of another version.
    """

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        self.manifest = read_tagger(folder)
        self.fingerprint = tagger_fingerprint(folder)
        self._numbering = Numbering(self.manifest.characters)
        options = onnxruntime.SessionOptions()
        # A text is read in one thread: several are read at once. Arenas would grow with every length.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        self._session: Any = onnxruntime.InferenceSession(
            folder / NETWORK, options, providers=["CPUExecutionProvider"]
        )

    def read(self, text: str, types: Collection[str]) -> Tagged:
        """What it says of a text.

        Args:
            text: any.
            types: those whose spans are wanted.
        """
        import numpy as np

        known = self.manifest.entity_types
        values = self._log_probabilities(text)
        likeliest = self._spans(values, types, 0.0)
        marked = np.zeros(len(text), bool)
        for span in likeliest:
            marked[span.start : span.end] = True
        beside = [s for s in self._spans(values, types, FURTHER) if not marked[s.start : s.end].any()]
        return Tagged(tuple(likeliest), tuple(sorted([*likeliest, *beside])), known, values)

    def _spans(self, values: Values, types: Collection[str], further: float) -> list[Span]:
        """The spans of the likeliest tags, where so much is taken off being outside."""
        import numpy as np

        inside = values[:, OUTSIDE + 1 :].argmax(axis=1) + 1
        is_outside = values[:, OUTSIDE] - further >= values[np.arange(len(values)), inside]
        tags = np.where(is_outside, OUTSIDE, inside).tolist()
        pieces = ((place, place + 1) for place in range(len(tags)))
        found = spans_of(pieces, tags, self.manifest.entity_types)
        return [replace(span, source="tagger") for span in found if span.type in types]

    def _log_probabilities(self, text: str) -> Values:
        """Of each tag for each character (T, N); what a window says of its margin is not used."""
        import numpy as np

        made = np.empty((len(text), num_tags(self.manifest.entity_types)), np.float16)
        for window in windows.cut(text, self.manifest.window_chars, self.manifest.window_margin):
            numbers = np.array([self._numbering.numbers(text[window.start : window.end])], np.int64)
            said = self._session.run(None, {INPUT: numbers})[0][0]
            core = slice(window.core_start - window.start, window.core_end - window.start)
            made[window.core_start : window.core_end] = said[core]
        return made
