"""A small finished data folder with the schema of `docs/architecture.md`, for tests of training."""

import json
import random
from pathlib import Path
from typing import Any

from pii import codec
from pii.spans import Span

SENTINEL = "欧阳铁哨兵"
"""A name that stands in every data folder and in no log."""


def row(chance: random.Random, index: int) -> dict[str, Any]:
    """One rendered example with up to three mentions."""
    text, spans = "", []
    for _ in range(chance.randint(0, 3)):
        before, value, kind = chance.choice(
            [
                ("我叫", chance.choice("王李张刘") + chance.choice("伟芳娜敏"), "PERSON_NAME"),
                ("联系人", SENTINEL, "PERSON_NAME"),
                ("，电话", f"138{chance.randrange(10**8):08d}", "PHONE_NUMBER"),
                (" My name is ", chance.choice(["John Smith", "Mary Jones"]), "PERSON_NAME"),
            ]
        )
        text += before
        spans.append(Span(len(text), len(text) + len(value), kind))
        text += value + "。"
    text = text or "今天天气很好。"
    answer: codec.Message = {"role": "assistant", "content": codec.render(text, spans)}
    return {
        "id": f"row-{index}",
        "source": chance.choice(["synthetic", "msra"]),
        "language": "zh",
        "text": text,
        "entities": [span.as_entity(text) for span in spans],
        "messages": [*codec.prompt(text), answer],
    }


def chat(index: int) -> dict[str, Any]:
    """One row of general chat with two answers."""
    turns = [("user", "你好"), ("assistant", "你好！"), ("user", "1+1?"), ("assistant", "2")]
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"id": f"chat-{index}", "source": "chat", "language": "zh", "messages": messages}


def write_data(
    folder: Path, *, num_rows: int = 60, seed: int = 0, extra: tuple[dict[str, Any], ...] = ()
) -> Path:
    """Write train.jsonl, validation.jsonl and manifest.json, and return the folder."""
    chance = random.Random(seed)
    folder.mkdir(parents=True)
    train = [row(chance, index) for index in range(num_rows)] + [chat(0), chat(1), *extra]
    validation = [row(chance, num_rows + index) for index in range(12)]
    for name, rows in (("train", train), ("validation", validation)):
        lines = [json.dumps(values, ensure_ascii=False) + "\n" for values in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    manifest = {
        "stage": "data",
        "identity": f"rendered-{num_rows}-{seed}",
        "config": {"window_chars": 200, "window_margin": 40},
        "sources": {"synthetic": {"licence": "Apache-2.0"}, "msra": {"licence": "research"}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder
