"""Failures of the machine that a person can mend, turned into one line."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from configs.errors import StageError
from training.recipe import TrainRecipe


@contextmanager
def mendable(recipe: TrainRecipe) -> Iterator[None]:
    """Raise StageError for a full disk, a folder that cannot be written, or too little memory."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        advice = _advice(error, recipe)
        if advice is None:
            raise
        raise StageError(advice) from None


def _advice(error: Exception, recipe: TrainRecipe) -> str | None:
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"{recipe.output}: the disk is full; make room and run the same command again: it goes on"
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return f"{recipe.output}: may not be written; set output to a folder of your own"
        return None
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        return (
            f"too little memory for batch.tokens {recipe.batch.tokens}: halve it, double batch.accumulation"
            " (the same steps), or set gradient_checkpointing, or method lora"
        )
    # safetensors and torch wrap the system's error in a text of their own.
    if "No space left" in str(error):
        return f"{recipe.output}: the disk is full; make room and run the same command again: it goes on"
    return None


def _is_out_of_memory(error: Exception) -> bool:
    # The CPU's allocator raises a plain RuntimeError.
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
