"""``pii export --model runs/x/model --to int8 -o small --data data/x``: a model folder with smaller weights.

``int8``: weights and activations in 8 bits; ``int4``: weights alone in 4 bits, by groups. Both are written as
compressed-tensors (https://github.com/vllm-project/compressed-tensors), which vLLM and transformers load
without being told. With ``--data`` the entity F1 of both models on the same validation rows goes into the
manifest and the card.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from configs.command import parser, run
from configs.errors import ConfigError
from pii.model_folder import ModelManifest, read_manifest
from training.base import load_model, resolve
from training.examples import DataFolder, Row
from training.folder import write_model_folder
from training.merge import stored_dtype
from training.silence import keep_quiet
from training.tokenizer import load as load_tokenizer

logger = logging.getLogger(__name__)

FORMATS = {"int8": "W8A8", "int4": "W4A16"}
"""Word of the command → name of the scheme in compressed-tensors."""

_GROUPS = (128, 64, 32)
"""Sizes of the groups of weights that share a scale; the first that divides every layer's input is taken."""


def main(argv: list[str] | None = None) -> int:
    """Run ``pii export``; returns 0, or 2 where something has to be mended."""
    commands = parser("pii export", __doc__ or "")
    commands.add_argument("--model", type=Path, required=True, help="the model folder")
    commands.add_argument("--to", choices=FORMATS, required=True, help="number format of the weights")
    commands.add_argument("-o", "--output", type=Path, required=True, help="the new model folder")
    commands.add_argument("--data", type=Path, help="a data folder, on whose validation rows F1 is measured")
    commands.add_argument("--rows", type=int, default=200, help="most of these rows (default: 200)")
    arguments = commands.parse_args(argv)

    def body() -> int:
        keep_quiet()
        rows = [] if arguments.data is None else _labelled(arguments.data, arguments.rows)
        json.dump(export(arguments.model, arguments.output, arguments.to, rows), sys.stdout, indent=2)
        sys.stdout.write("\n")
        return 0

    return run(body)


def _labelled(data: Path, most: int) -> list[Row]:
    return [row for row in DataFolder(data).rows("validation") if row.spans is not None][:most]


def export(folder: Path, output: Path, to: str, rows: list[Row]) -> dict[str, Any]:
    """Quantise a model folder into another one.

    Args:
        folder: a model folder with whole weights.
        output: the new folder.
        to: one of `FORMATS`.
        rows: labelled rows on which both models are measured; may be empty.

    Returns:
        ``format``, ``weights_mb`` and ``weights_mb_before``; with rows ``f1``, ``f1_before`` (strict, free
        answers) and ``rows``.

    Raises ModelFolderError, ConfigError: the folder cannot be read, is quantised already, or has layers that
    the format cannot take.
    """
    import torch

    manifest, base, tokenizer = read_manifest(folder), resolve(str(folder)), load_tokenizer(folder)
    if "quantization_config" in json.loads((folder / "config.json").read_text(encoding="utf-8")):
        raise ConfigError(f"{folder}: quantised already; export the model that it was made from")
    model = load_model(base, stored_dtype(base))
    quantise(model, FORMATS[to])
    facts: dict[str, Any] = {"format": to, "weights_mb_before": _megabytes(folder)}
    write_model_folder(output, model, tokenizer, _exported(manifest, facts))
    facts["weights_mb"] = _megabytes(output)
    if rows:
        from training.entity_f1 import measure

        facts["rows"] = len(rows)
        for name, place in (("f1_before", folder), ("f1", output)):
            loaded = load_model(resolve(str(place)), torch.float32)
            facts[name] = measure(loaded, tokenizer, rows)["f1"]
    # Written again with what could be measured only on the folder itself.
    write_model_folder(output, model, tokenizer, _exported(manifest, facts))
    logger.info("wrote %s", output)
    return facts


def _exported(manifest: ModelManifest, facts: dict[str, Any]) -> ModelManifest:
    """The manifest of the new folder. Scores and evaluation were another model's: both are measured anew."""
    training = {**manifest.training, "export": dict(facts)}
    return manifest.model_copy(update={"training": training, "evaluation": {}, "calibration": {}})


def quantise(model: Any, scheme_name: str) -> None:
    """Round the weights of every linear layer but the head to the nearest of the scheme's numbers, in place.

    No calibration data: with scales for each channel or small group, rounding alone costs little.

    Args:
        model: a causal language model with whole weights.
        scheme_name: a preset of compressed-tensors.

    Raises ConfigError: a layer's input is no multiple of the smallest group.
    """
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import (
        QuantizationConfig,
        apply_quantization_config,
        preset_name_to_scheme,
    )
    from compressed_tensors.quantization.utils import calculate_qparams, is_module_quantized

    scheme = preset_name_to_scheme(scheme_name, ["Linear"])
    assert scheme.weights is not None
    if scheme.weights.group_size:
        scheme.weights.group_size = _group_size(model)
    apply_quantization_config(model, QuantizationConfig(config_groups={"all": scheme}, ignore=["lm_head"]))
    for module in model.modules():
        if is_module_quantized(module):
            weights = module.weight.detach()
            groups = weights.unflatten(1, (-1, scheme.weights.group_size or weights.size(1)))
            scale, _ = calculate_qparams(groups.amin(-1), groups.amax(-1), scheme.weights)
            module.weight_scale.data.copy_(scale)
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    assert compressor.quantization_config is not None
    made = compressor.quantization_config.model_dump(mode="json", exclude={"quant_method"})
    model.config.quantization_config = {"quant_method": "compressed-tensors", **made}


def _group_size(model: Any) -> int:
    """The largest of the usual group sizes that divides the input of every layer."""
    sizes = {model.config.hidden_size, model.config.intermediate_size}
    found = next((group for group in _GROUPS if not any(size % group for size in sizes)), None)
    if found is None:
        raise ConfigError(f"int4 needs layers whose sizes are multiples of {_GROUPS[-1]}; choose int8")
    return found


def _megabytes(folder: Path) -> float:
    """Size of the weights on disk in 10⁶ bytes."""
    return round(sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6, 2)


if __name__ == "__main__":
    sys.exit(main())
