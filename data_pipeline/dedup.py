"""Near-duplicates, and leaks of held-out documents into training.

Three tests, from cheap to dear. By value: a string that points at one person in a held-out document.
By skeleton and by n-gram: a held-out text's frame, or a run of its words. By MinHash: texts that are
nearly the same as one that was taken before.

MinHash: A. Broder, "On the resemblance and containment of documents", 1997. The n-gram test is the one of
T. Brown et al., "Language Models are Few-Shot Learners", 2020, appendix C.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import xxhash

from pii import folding
from pii.spans import Document
from pii.taxonomy import shipped

if TYPE_CHECKING:
    import numpy.typing

SHINGLE = 5
"""Characters of a MinHash shingle."""
MIN_VALUE_CHARS = 4
"""Shorter values (小王, 张三) belong to many people and tell two documents not apart."""

_SCHEME: Literal["affine32"] = "affine32"

_TOKEN = re.compile(r"[a-z0-9]+|[^\W_a-z0-9]", re.IGNORECASE)


def tokens(text: str) -> list[str]:
    """Words of Latin script, single characters of others; punctuation and case do not count."""
    return _TOKEN.findall(text.casefold())


def ngrams(text: str, size: int) -> set[int]:
    """Hashes of all runs of `size` tokens; a shorter text is one run."""
    words = tokens(text)
    runs = ["\0".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))]
    return {xxhash.xxh3_64_intdigest(run.encode()) for run in runs}


def identifying_values(document: Document) -> set[int]:
    """Hashes of the values that point at one person, without width, case and separators."""
    taxonomy = shipped()
    values = {span.value(document.text) for span in document.spans if taxonomy[span.type].tier == "direct"}
    folded = (folding.compare(value).text for value in values)
    return {xxhash.xxh3_64_intdigest(value.encode()) for value in folded if len(value) >= MIN_VALUE_CHARS}


def skeleton(document: Document) -> int | None:
    """Hash of a synthetic document's frame; None for a real one."""
    frame = document.meta.get("skeleton")
    return None if frame is None else xxhash.xxh3_64_intdigest(str(frame).encode())


class HeldOut:
    """What the documents of the held-out splits hold, and training must not.

    Args:
        ngram: length of a run of tokens that counts as a leak.
        by_value: whether a shared identifying value counts as a leak.
    """

    def __init__(self, ngram: int, by_value: bool) -> None:
        self._ngram, self._by_value = ngram, by_value
        self._values: set[int] = set()
        self._skeletons: set[int] = set()
        self._ngrams: set[int] = set()

    def add(self, document: Document) -> None:
        """Hold this document out."""
        self._values |= identifying_values(document) if self._by_value else set()
        self._ngrams |= ngrams(document.text, self._ngram)
        frame = skeleton(document)
        if frame is not None:
            self._skeletons.add(frame)

    def merge(self, other: HeldOut) -> None:
        """Hold out what the other one does."""
        self._values |= other._values
        self._skeletons |= other._skeletons
        self._ngrams |= other._ngrams

    def leak(self, document: Document) -> str:
        """Why the document may not be in training: ``leak_by_value``, ...; empty if it may."""
        if self._by_value and not self._values.isdisjoint(identifying_values(document)):
            return "leak_by_value"
        if skeleton(document) in self._skeletons:
            return "leak_by_skeleton"
        if self._ngrams and not self._ngrams.isdisjoint(ngrams(document.text, self._ngram)):
            return "leak_by_ngram"
        return ""


@functools.cache
def _permutations(count: int) -> Any:
    """The random permutations of a signature, drawn once: drawing them costs more than using them."""
    from datasketch import MinHash

    return MinHash(num_perm=count, scheme=_SCHEME).permutations


def signature(text: str, permutations: int) -> numpy.typing.NDArray[Any]:
    """MinHash signature of a text's character shingles."""
    from datasketch import MinHash

    drawn = _permutations(permutations)
    squeezed = " ".join(text.casefold().split())
    shingles = {squeezed[i : i + SHINGLE] for i in range(max(1, len(squeezed) - SHINGLE + 1))}
    sketch = MinHash(permutations, hashfunc=xxhash.xxh32_intdigest, permutations=drawn, scheme=_SCHEME)
    sketch.update_batch([shingle.encode() for shingle in shingles])
    values: numpy.typing.NDArray[Any] = sketch.hashvalues
    return values


def bands(text: str, threshold: float, permutations: int) -> tuple[int, ...]:
    """Hashes of the bands of a text's signature: texts over the threshold mostly share one of them.

    Args:
        text: the text.
        threshold: estimated Jaccard similarity from which two texts count as the same.
        permutations: length of a signature.
    """
    count, rows = _banding(threshold, permutations)
    hashvalues = signature(text, permutations)
    return tuple(
        xxhash.xxh3_64_intdigest(hashvalues[band * rows : (band + 1) * rows].tobytes(), seed=band)
        for band in range(count)
    )


@functools.cache
def _banding(threshold: float, permutations: int) -> tuple[int, int]:
    """How many bands of how many rows separate best at the threshold."""
    from datasketch import MinHashLSH

    best = MinHashLSH(threshold=threshold, num_perm=permutations)
    return best.b, best.r


class NearDuplicates:
    """The texts taken so far; says whether a text is nearly one of them.

    Holds the hashes of their bands alone, some 70 bytes each, and not the signatures: an index of those, such
    as datasketch's, takes two kilobytes for each text, which is more than the text.
    """

    def __init__(self) -> None:
        self._bands: set[int] = set()

    def take(self, bands: Sequence[int]) -> bool:
        """Remember a text by its `bands`; False, and nothing remembered, where it is a near-duplicate."""
        if not self._bands.isdisjoint(bands):
            return False
        self._bands.update(bands)
        return True
