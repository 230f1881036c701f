"""A Qwen2-architecture model made from nothing, for profiles and tests that have no pretrained base."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from configs.reader import StrictConfig
from configs.stage import versions
from pii import codec
from pii.model_folder import ModelManifest
from pii.taxonomy import shipped
from training.folder import write_model_folder
from training.tokenizer import train as train_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


class Architecture(StrictConfig):
    """Sizes of a Qwen2 model. The defaults make 3.7 million parameters."""

    hidden_size: int = Field(default=192, gt=0)
    """Width of the residual stream."""
    num_layers: int = Field(default=6, gt=0)
    """Number of decoder layers."""
    num_heads: int = Field(default=6, gt=0)
    """Number of attention heads; the width of one has to be 32, 64 or 128, which vLLM's kernels know."""
    num_kv_heads: int = Field(default=6, gt=0)
    """Number of key and value heads; a divisor of `num_heads`."""
    intermediate_size: int = Field(default=512, gt=0)
    """Width of the feed-forward layers."""
    vocab_size: int = Field(default=6000, gt=300)
    """Most tokens of the tokenizer that is trained along."""
    rope_theta: float = Field(default=10_000.0, gt=0)
    """Base of the rotary position embedding."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.hidden_size % self.num_heads or self.hidden_size // self.num_heads not in (32, 64, 128):
            raise ValueError("hidden_size / num_heads has to be 32, 64 or 128")
        if self.num_heads % self.num_kv_heads:
            raise ValueError("num_kv_heads has to divide num_heads")
        return self


SMALLEST = Architecture(
    hidden_size=64,
    num_layers=2,
    num_heads=2,
    num_kv_heads=2,
    intermediate_size=128,
    vocab_size=800,
)
"""For tests: learns little and runs anywhere."""


def make_config(architecture: Architecture, *, vocab_size: int, context_tokens: int) -> PreTrainedConfig:
    """The configuration of a ``Qwen2ForCausalLM`` with these sizes and tied embeddings."""
    from transformers import Qwen2Config

    return Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=architecture.hidden_size,
        intermediate_size=architecture.intermediate_size,
        num_hidden_layers=architecture.num_layers,
        num_attention_heads=architecture.num_heads,
        num_key_value_heads=architecture.num_kv_heads,
        max_position_embeddings=context_tokens,
        rope_parameters={"rope_type": "default", "rope_theta": architecture.rope_theta},
        tie_word_embeddings=True,
    )


def make_model(
    architecture: Architecture,
    tokenizer: PreTrainedTokenizerBase,
    *,
    context_tokens: int,
    seed: int,
    induction: bool = False,
) -> PreTrainedModel:
    """A randomly initialised ``Qwen2ForCausalLM`` for a tokenizer; the same seed gives the same weights.

    With `induction` the first two layers begin with heads that copy (`training.induction`).

    Raises ConfigError: the architecture has no room for these heads.
    """
    import torch
    from transformers import Qwen2ForCausalLM

    config = make_config(architecture, vocab_size=len(tokenizer), context_tokens=context_tokens)
    config.pad_token_id, config.eos_token_id = tokenizer.pad_token_id, tokenizer.eos_token_id
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    if induction:
        from training.induction import install

        install(model, seed=seed)
    return model


def write_untrained(
    folder: Path,
    *,
    vocab_texts: Iterable[str],
    architecture: Architecture | None = None,
    context_tokens: int = 1024,
    window_chars: int = 200,
    window_margin: int = 40,
    entity_types: tuple[str, ...] | None = None,
    seed: int = 0,
) -> None:
    """Write a whole model folder with random weights: loadable, servable and without any skill.

    Args:
        folder: where the model folder goes; an older one is replaced.
        vocab_texts: texts that the tokenizer is trained on; a few sentences will do.
        architecture: the sizes; None makes a very small model.
        context_tokens: most tokens of prompt and answer together.
        window_chars: written into the manifest.
        window_margin: written into the manifest.
        entity_types: types that the manifest claims; None claims all of the taxonomy.
        seed: seed of the weights.
    """
    sizes = architecture or SMALLEST
    names = tuple(t.name for t in shipped())
    answers = (f'{{"entities":[{{"type":"{name}","value":"' for name in names)
    tokenizer = train_tokenizer(
        [*vocab_texts, *answers], vocab_size=sizes.vocab_size, context_tokens=context_tokens
    )
    model = make_model(sizes, tokenizer, context_tokens=context_tokens, seed=seed)
    manifest = ModelManifest(
        codec_version=codec.VERSION,
        codec_fingerprint=codec.fingerprint(),
        answer_style="value",
        entity_types=names if entity_types is None else entity_types,
        context_tokens=context_tokens,
        window_chars=window_chars,
        window_margin=window_margin,
        base_model="config",
        method="untrained",
        hyperparameters={"architecture": sizes.model_dump(mode="json"), "seed": seed},
        data_identity="",
        data_sources={},
        num_parameters=model.num_parameters(),
        training={},
        versions=versions("torch", "transformers"),
    )
    write_model_folder(folder, model, tokenizer, manifest)
