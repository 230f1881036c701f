"""English words that running text writes with a small letter, in `common_words.txt`.

Made by `data_pipeline.common_words` from the questions of MMLU, GSM8K and AGIEval's LogiQA (MIT), the prompts
of IFEval and the English conversations that come with the project (Apache-2.0).
"""

from __future__ import annotations

import functools
from pathlib import Path


@functools.cache
def _common_words() -> frozenset[str]:
    return frozenset(Path(__file__).with_name("common_words.txt").read_text("ascii").split())


def is_common(word: str) -> bool:
    """Whether an English word is an everyday one: ``Technician`` and ``okay``, not ``Megan``.

    Some are names as well (``Rose``); the table says what is usual, not what is meant.
    """
    return word.lower() in _common_words()
