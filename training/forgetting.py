"""``pii forgetting --model runs/x/model --data data/x``: what a model could do before its training and after.

Measures base and model in one run, by log-likelihood: the loss of general answers that were held out (the
chat among the validation rows of the data folder) and the share of right answers to questions with options.
The numbers go into the model's manifest and its card. Shipped questions: see ``training/samples/NOTICE``.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.atomic import writing
from configs.command import parser, run
from pii.errors import ModelFolderError
from pii.model_folder import CARD, read_manifest, write_manifest
from training import device
from training.base import load_model, resolve
from training.card import render
from training.examples import DataFolder, Row
from training.silence import keep_quiet
from training.tokenizer import load as load_tokenizer

if TYPE_CHECKING:
    from training.general_ability import Question

logger = logging.getLogger(__name__)

QUESTIONS = Path(__file__).with_name("samples") / "questions.jsonl"
"""107 questions of MMLU in English, 100 of LogiQA in Chinese."""


def main(argv: list[str] | None = None) -> int:
    """Run ``pii forgetting``; returns 0, or 2 where something has to be mended."""
    commands = parser("pii forgetting", __doc__ or "")
    commands.add_argument("--model", type=Path, required=True, help="the model folder")
    commands.add_argument("--base", help="folder or hub id of the base (default: the one in its manifest)")
    commands.add_argument(
        "--data", type=Path, help="a data folder, whose held-out chat is read (default: none)"
    )
    commands.add_argument(
        "--questions", type=Path, default=QUESTIONS, help="JSONL (default: the shipped ones)"
    )
    commands.add_argument("--limit", type=int, default=200, help="most conversations (default: 200)")
    arguments = commands.parse_args(argv)

    def body() -> int:
        keep_quiet()
        data = arguments.data
        chat = [] if data is None else _chat(data, arguments.limit)
        found = measure(arguments.model, arguments.base, chat, arguments.questions)
        record(arguments.model, found)
        json.dump(found, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return 0

    return run(body)


def _chat(data: Path, limit: int) -> list[Row]:
    rows = [row for row in DataFolder(data).rows("validation") if row.spans is None]
    if not rows:
        logger.warning("%s: no general chat among its validation rows; its loss is not measured", data)
    return rows[:limit]


def measure(model: Path, base_name: str | None, chat: Sequence[Row], questions: Path) -> dict[str, Any]:
    """Measure a model and its base.

    Args:
        model: the model folder.
        base_name: the base; None: the one in the manifest.
        chat: held-out conversations; may be empty.
        questions: the JSONL file of questions.

    Returns:
        By language ``questions``, ``right_before``, ``right_after`` (shares), ``lost`` and ``gained``
        (questions); and ``chat`` with ``conversations``, ``loss_before``, ``loss_after`` in nats a token.

    Raises ModelFolderError: the model was trained from nothing, or a folder cannot be read.
    """
    from training.general_ability import read_questions

    manifest = read_manifest(model)
    if base_name is None and manifest.base_model == "config":
        raise ModelFolderError(f"{model}: trained from nothing, so there is nothing it could forget")
    asked = read_questions(questions)
    base = resolve(base_name or manifest.base_model, manifest.base_revision or None)
    before, loss_before = _able(base.folder, asked, chat, manifest.context_tokens)
    after, loss_after = _able(model, asked, chat, manifest.context_tokens)
    found: dict[str, Any] = {}
    for language in sorted({question.language for question in asked}):
        pairs = [
            (was == question.answer, now == question.answer)
            for question, was, now in zip(asked, before, after, strict=True)
            if question.language == language
        ]
        found[f"questions_{language}"] = {
            "questions": len(pairs),
            "right_before": sum(was for was, _ in pairs) / len(pairs),
            "right_after": sum(now for _, now in pairs) / len(pairs),
            "lost": sum(was and not now for was, now in pairs),
            "gained": sum(now and not was for was, now in pairs),
        }
    if chat:
        found["chat"] = {"conversations": len(chat), "loss_before": loss_before, "loss_after": loss_after}
    return found


def _able(
    folder: Path, questions: Sequence[Question], chat: Sequence[Row], context_tokens: int
) -> tuple[list[int], float | None]:
    """The options that a model chooses, and its loss of general answers."""
    import torch

    from training.general_ability import answer_loss, choices

    where = device.choose("auto")
    base, tokenizer = resolve(str(folder)), load_tokenizer(folder)
    dtype = torch.bfloat16 if where.kind == "cuda" else torch.float32
    model = load_model(base, dtype).to(where.kind).eval()
    loss = answer_loss(model, tokenizer, chat, context_tokens) if chat else None
    return choices(model, tokenizer, questions), loss


def record(model: Path, found: dict[str, Any]) -> None:
    """Write the numbers into the manifest of a model folder and into its card."""
    manifest = read_manifest(model)
    manifest = manifest.model_copy(update={"training": {**manifest.training, "forgetting": found}})
    with writing(model / CARD) as file:
        file.write(render(manifest))
    write_manifest(model, manifest)


if __name__ == "__main__":
    sys.exit(main())
