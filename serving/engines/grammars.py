"""Compiled grammars, and how long compiling took.

A grammar holds its window's text, so that a compiled one serves the same window and types again (a retry, a
conversation that is sent anew with each turn) and no other. llguidance compiles a grammar as a whole: the
part without text, about half of one to two milliseconds, cannot be kept apart.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any, NamedTuple

from serving.engines.protocol import EngineError

MAX_KEPT = 32
"""Most compiled grammars that are kept; with the states that decoding adds, each takes up to a megabyte."""


class Begun(NamedTuple):
    """A matcher at the beginning of its grammar, and how many seconds it took."""

    matcher: Any
    seconds: float


class Grammars:
    """Compiles grammars with llguidance and keeps the latest. Any thread may call.

    Args:
        tokenizer: llguidance's view of the model's tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def matcher(self, grammar: str) -> Begun:
        """A fresh matcher.

        Raises EngineError: the grammar was refused.
        """
        began = time.perf_counter()
        with self._lock:
            kept = self._kept.get(grammar)
            if kept is not None:
                self._kept.move_to_end(grammar)
        if kept is None:
            kept = self._compile(grammar)
            with self._lock:
                self._kept[grammar] = kept
                if len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)
        # The kept one is never moved from its beginning.
        return Begun(kept.deep_copy(), time.perf_counter() - began)

    def _compile(self, grammar: str) -> Any:
        from llguidance import LLMatcher

        # Log level 0: its warnings go straight to stderr and quote the grammar, which holds the text.
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise EngineError("the grammar was refused")
        return matcher
