"""``pii merge --adapter runs/x/adapter --base Qwen/Qwen2-1.5B -o merged``: an adapter into its base.

The base is loaded unquantised, whatever the adapter was trained on; the merged folder needs no adapter.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.command import parser, run
from pii.codec import encode, prompt
from pii.errors import ModelFolderError
from pii.model_folder import BASE, CARD, ModelManifest, read_manifest, write_manifest
from training.base import Base, load_model, resolve
from training.folder import write_model_folder
from training.recipe import MERGEABLE
from training.silence import keep_quiet
from training.tokenizer import load as load_tokenizer

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Most that a logit may differ between the merged model and base + adapter, both in float32."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What `check` found.

    Attributes:
        logits: largest difference of a logit.
        answers_equal: greedy continuations that are equal token for token.
        num_prompts: prompts compared.
    """

    logits: float
    answers_equal: int
    num_prompts: int


def main(argv: list[str] | None = None) -> int:
    """Run ``pii merge``; returns 0, 2 where something has to be mended, 1 where the check fails."""
    commands = parser("pii merge", __doc__ or "")
    commands.add_argument("--adapter", type=Path, required=True, help="the adapter's folder")
    commands.add_argument("--base", help="folder or hub id of the base (default: the one it was trained on)")
    commands.add_argument("-o", "--output", type=Path, required=True, help="the merged model folder")
    commands.add_argument(
        "--check", action="store_true", help=f"prove logits within {TOLERANCE} and 50 answers token for token"
    )
    arguments = commands.parse_args(argv)

    def body() -> int:
        keep_quiet()
        found = merge(arguments.adapter, arguments.output, arguments.base, checking=arguments.check)
        if found is None:
            return 0
        sys.stdout.write(
            f"largest difference of a logit {found.logits:.1e}; "
            f"{found.answers_equal} of {found.num_prompts} answers equal token for token\n"
        )
        return 0 if found.logits <= TOLERANCE and found.answers_equal == found.num_prompts else 1

    return run(body)


def merge(
    adapter: Path, output: Path, base_name: str | None = None, *, checking: bool = False
) -> Difference | None:
    """Merge an adapter into its base and write the model folder.

    Returns:
        What the check found; None without one.

    Raises ModelFolderError: no adapter, one that cannot be merged, or the adapter of another base.
    """
    record = _read_record(adapter)
    base = resolve(base_name or record["name"], record["revision"] or None)
    check_base(adapter, base)
    manifest = read_manifest(adapter)
    tokenizer = load_tokenizer(base.folder)
    merged = merged_model(base, adapter)
    found = check(base, adapter, merged, tokenizer) if checking else None
    merged.to(stored_dtype(base))
    write_model_folder(output, merged, tokenizer, manifest)
    logger.info("wrote %s", output)
    return found


def write_record(adapter: Path, base: Base, manifest: ModelManifest) -> None:
    """Write beside an adapter's weights which base it belongs to, and the manifest that a merge needs."""
    (adapter / CARD).unlink(missing_ok=True)  # PEFT's template, with nothing filled in
    record = {"name": base.name, "revision": base.revision, "fingerprint": base.fingerprint()}
    (adapter / BASE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    write_manifest(adapter, manifest)


def _read_record(adapter: Path) -> dict[str, str]:
    try:
        record: dict[str, str] = json.loads((adapter / BASE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelFolderError(f"{adapter}: no {BASE}; not an adapter of ours") from None
    except ValueError:
        raise ModelFolderError(f"{adapter / BASE}: not JSON") from None
    return record


def check_base(adapter: Path, base: Base) -> None:
    """Raises ModelFolderError where the adapter was trained on other weights than those of the base."""
    if _read_record(adapter)["fingerprint"] != base.fingerprint():
        raise ModelFolderError(
            f"{adapter}: trained on other weights than {base.name} holds; name the base it was trained on"
        )


def merged_model(base: Base, adapter: Path) -> Any:
    """The base with the adapter's change in its weights, in float32.

    Raises ModelFolderError: the adapter is of a kind that cannot be merged.
    """
    import torch
    from peft import PeftModel

    method = read_manifest(adapter).method
    if method not in MERGEABLE:
        raise ModelFolderError(f"{adapter}: {method} is more than a change of weights and cannot be merged")
    return PeftModel.from_pretrained(load_model(base, torch.float32), str(adapter)).merge_and_unload()


def stored_dtype(base: Base) -> Any:
    """The number format in which the base's weights lie on disk."""
    import torch

    config = json.loads((base.folder / "config.json").read_text(encoding="utf-8"))
    return getattr(torch, config.get("dtype") or config.get("torch_dtype") or "float32")


def check(base: Base, adapter: Path, merged: Any, tokenizer: Any, num_prompts: int = 50) -> Difference:
    """Compare the merged model with base + adapter, in float32: logits and greedy answers."""
    import torch
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(load_model(base, torch.float32), str(adapter)).eval()
    merged.eval()
    largest, equal = 0.0, 0
    options: dict[str, Any] = {
        "max_new_tokens": 32,
        "do_sample": False,
        "pad_token_id": tokenizer.pad_token_id,
    }
    for ids in _prompts(tokenizer, num_prompts):
        with torch.no_grad():
            difference = adapted(input_ids=ids).logits - merged(input_ids=ids).logits
            answers = [model.generate(input_ids=ids, **options) for model in (adapted, merged)]
        largest = max(largest, difference.abs().max().item())
        equal += int(torch.equal(*answers))
    return Difference(largest, equal, num_prompts)


def _prompts(tokenizer: Any, count: int) -> list[Any]:
    """Prompts of made-up numbers: a check needs many different ones, and no data."""
    import torch

    texts = [f"No. {index * 7919 % 10007}，联系人{index}：138{index:08d}" for index in range(count)]
    return [torch.tensor([encode(tokenizer, prompt(text), answer_next=True)[0]]) for text in texts]


if __name__ == "__main__":
    sys.exit(main())
