"""``pii base adopt SOURCE -o FOLDER``: the weights of a Llama-architecture model as a Qwen2 model folder.

SOURCE is a model folder or a GGUF file, which is dequantised (that needs the package ``gguf``). Qwen2 is
Llama with biases on queries, keys and values: with biases of zero the logits are the same, and a small model
that comes as Llama goes the way of the Qwen2 models. The tokenizer has to have ChatML's control tokens.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from configs.atomic import writing_folder
from configs.command import parser, run
from pii.errors import ModelFolderError
from training.silence import keep_quiet
from training.tokenizer import load as load_tokenizer

logger = logging.getLogger(__name__)

_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_parameters",
    "tie_word_embeddings",
)
"""What both architectures call by the same name."""


def main(argv: list[str] | None = None) -> int:
    """Run ``pii base adopt``; returns 0, or 2 where something has to be mended."""
    commands = parser("pii base adopt", __doc__ or "")
    commands.add_argument("source", type=Path, help="a model folder or a .gguf file of Llama architecture")
    commands.add_argument("-o", "--output", type=Path, required=True, help="the Qwen2 model folder")
    arguments = commands.parse_args(argv)

    def body() -> int:
        keep_quiet()
        adopt(arguments.source, arguments.output)
        return 0

    return run(body)


def adopt(source: Path, output: Path) -> None:
    """Write a Qwen2 model folder with the weights and the tokenizer of a Llama model.

    Raises ModelFolderError: the source cannot be read, is of another architecture, or has other parts than
    Qwen2 knows (biases, heads of a width of their own), or its tokenizer has no ChatML tokens.
    """
    from transformers import Qwen2Config, Qwen2ForCausalLM

    where: dict[str, str] = {"gguf_file": source.name} if source.suffix == ".gguf" else {}
    folder = source.parent if where else source
    llama = _load(folder, where)
    tokenizer = load_tokenizer(folder, **where)
    config = llama.config
    sizes = {name: getattr(config, name) for name in _SIZES}
    qwen = Qwen2ForCausalLM(Qwen2Config(**sizes, hidden_act=config.hidden_act)).to(llama.dtype)
    weights = llama.state_dict()
    for name, empty in qwen.state_dict().items():
        if name not in weights:
            weights[name] = empty.zero_()
    qwen.load_state_dict(weights)
    with writing_folder(output) as half:
        qwen.save_pretrained(half)
        tokenizer.save_pretrained(half)
    logger.info("wrote %s: %d parameters", output, qwen.num_parameters())


def _load(folder: Path, where: dict[str, str]) -> Any:
    """The Llama model, whose every part has a place in Qwen2."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        llama = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32, **where)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelFolderError(f"{folder}: the weights cannot be read ({type(error).__name__})") from None
    except ImportError:
        raise ModelFolderError(f"{folder}: reading GGUF needs the package gguf; install it") from None
    config = llama.config
    if config.model_type != "llama":
        raise ModelFolderError(f"{folder}: of architecture {config.model_type}; only llama becomes Qwen2")
    own_width = config.head_dim * config.num_attention_heads != config.hidden_size
    if config.attention_bias or config.mlp_bias or own_width:
        raise ModelFolderError(f"{folder}: has biases or heads that Qwen2 has no place for")
    return llama


if __name__ == "__main__":
    sys.exit(main())
