"""The tokenizer of a model that is made from nothing: Qwen2's own, with a vocabulary that makes copying easy.

A model of a few million parameters has to copy values before it can be of use, so a value should be the
same tokens in the text and in the answer, whatever stands around it. transformers loads every folder of a
Qwen2 model with Qwen2's pre-tokenisation, so the cut itself cannot be changed; but a byte-pair merge that
was never learned is never applied. The merges are therefore learned on a finer cut than Qwen2's: a space is
never glued to the word behind it, punctuation never to letters, and a Chinese character never to the next.
Every digit stands alone, as in Qwen2 (https://huggingface.co/Qwen/Qwen2-1.5B, ``tokenizer.json``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pii.codec import TURN_END, TURN_START
from pii.errors import ModelFolderError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

END_OF_TEXT = "<|endoftext|>"
"""Padding; also the end of a document in Qwen2's pretraining."""

CONTROL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END)

_WORDS = "|".join(
    [
        r"_[A-Z]{2,}",  # ends of the entity types' names
        r"\p{Han}",
        r"\p{N}",
        r"[\p{L}&&[^\p{Han}]]+",
        r"[^\s\p{L}\p{N}]+",
        r"[\r\n]+",
        r"[^\S\r\n]+",
    ]
)
"""The cut on which merges are learned, in Oniguruma's syntax."""

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML without a default system turn; `pii.codec.encode` is what training and serving use."""


def train(texts: Iterable[str], *, vocab_size: int, context_tokens: int) -> PreTrainedTokenizerBase:
    """Train a tokenizer on texts; the same texts in the same order give the same tokenizer.

    Args:
        texts: what the model will read and write: documents, prompts and answers.
        vocab_size: most tokens, the 256 bytes and the control tokens included.
        context_tokens: the model's context, written into the tokenizer's configuration.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer

    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.NFC()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learned = json.loads(learner.to_str())["model"]
    made = Qwen2Tokenizer(
        vocab=learned["vocab"],
        merges=[tuple(merge) for merge in learned["merges"]],
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        extra_special_tokens=[TURN_START],
        model_max_length=context_tokens,
    )
    made.chat_template = CHAT_TEMPLATE
    return made


def load(folder: str | Path, **where: Any) -> PreTrainedTokenizerBase:
    """Load a tokenizer folder or hub id and make it fit for ChatML.

    Args:
        folder: a local folder or a hub id.
        where: ``revision``, ``local_files_only`` and the like, for hub ids.

    Raises ModelFolderError: it has no ChatML control tokens.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), **where)
    vocabulary = tokenizer.get_vocab()
    missing = [token for token in (TURN_START, TURN_END) if token not in vocabulary]
    if missing:
        raise ModelFolderError(
            f"{folder}: the tokenizer lacks {' and '.join(missing)}; choose a base with ChatML tokens,"
            " such as the Qwen2, Qwen2.5 and Qwen3 models"
        )
    # A base model of Qwen ends with <|endoftext|>; a conversation ends with the end of its turn.
    tokenizer.eos_token = TURN_END
    if tokenizer.pad_token is None or tokenizer.pad_token == TURN_END:
        tokenizer.pad_token = END_OF_TEXT if END_OF_TEXT in vocabulary else tokenizer.unk_token
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
