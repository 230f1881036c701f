"""Keeps libraries from calling home and from drawing over the lines of progress."""

from __future__ import annotations

import logging
import os


def keep_quiet() -> None:
    """Set what the libraries read when they are imported; call it before that."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Says at every import which optional kernels it would fetch.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    # Says of every pass over a graph what it found.
    logging.getLogger("onnx_ir").setLevel(logging.WARNING)
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
