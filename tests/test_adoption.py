"""A Llama model housed as Qwen2 says the very same, and what does not fit is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from training import adoption
from training.bare import write_untrained

SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rope_parameters": {"rope_type": "default", "rope_theta": 5e4},
}


def write_llama(folder: Path, **changes: Any) -> Path:
    write_untrained(folder / "tokens", vocab_texts=["My name is John Smith."] * 3, seed=0)
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokens")
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**{**SIZES, "vocab_size": len(tokenizer), **changes}))
    model.save_pretrained(folder / "llama")
    tokenizer.save_pretrained(folder / "llama")
    return folder / "llama"


@pytest.mark.parametrize("tied", [True, False])
def test_the_logits_are_the_same_and_the_class_is_qwen2(tmp_path, tied):
    llama = write_llama(tmp_path, tie_word_embeddings=tied)
    assert adoption.main([str(llama), "-o", str(tmp_path / "qwen")]) == 0
    before, after = (AutoModelForCausalLM.from_pretrained(f).eval() for f in (llama, tmp_path / "qwen"))
    assert (before.config.model_type, after.config.model_type) == ("llama", "qwen2")
    ids = torch.arange(3, 60)[None]
    with torch.no_grad():
        assert torch.equal(before(input_ids=ids).logits, after(input_ids=ids).logits)
    assert AutoTokenizer.from_pretrained(tmp_path / "qwen").eos_token == "<|im_end|>"


def test_what_qwen2_has_no_place_for_is_refused(tmp_path, capsys):
    llama = write_llama(tmp_path, mlp_bias=True)
    assert adoption.main([str(llama), "-o", str(tmp_path / "qwen")]) == 2
    assert "no place for" in capsys.readouterr().err
    assert not (tmp_path / "qwen").exists()


def test_another_architecture_is_refused(tmp_path, capsys):
    write_untrained(tmp_path / "qwen2", vocab_texts=["My name is John Smith."] * 3, seed=0)
    assert adoption.main([str(tmp_path / "qwen2"), "-o", str(tmp_path / "out")]) == 2
    assert "only llama becomes Qwen2" in capsys.readouterr().err
