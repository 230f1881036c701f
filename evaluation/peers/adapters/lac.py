"""LAC: Chinese words, parts of speech and names, by Baidu. Source: https://github.com/baidu/lac."""

from __future__ import annotations

import sys
from collections.abc import Iterator

_NAMES = ("PER", "LOC", "ORG", "TIME", "nr", "ns", "nt")
"""Tags of named entities; the rest are parts of speech."""


class Adapter:
    """Its stock model in the mode that marks names. It takes no options."""

    labels = _NAMES

    def __init__(self) -> None:
        import paddle

        if not hasattr(paddle, "fluid"):
            # LAC was written for Paddle 1; the same module has another name since 2.5.
            import paddle.base

            paddle.fluid = paddle.base
            sys.modules["paddle.fluid"] = paddle.base
            sys.modules["paddle.fluid.core"] = paddle.base.core
        from LAC import LAC

        self._model = LAC(mode="lac")

    def find(self, text: str, language: str) -> Iterator[tuple[int, int, str]]:
        """Every word with the tag of a name; words are found again in the text, in order."""
        if not text.strip():
            return
        position = 0
        words, tags = self._model.run(text)
        for word, tag in zip(words, tags):  # noqa: B905 - the peer's Python may be older than 3.10
            start = text.find(word, position)
            if start < 0:
                continue
            position = start + len(word)
            if tag in _NAMES:
                yield start, position, tag
