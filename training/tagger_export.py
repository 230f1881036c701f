"""Writes the folder of a character tagger: the network as ONNX, a card and, last, the manifest.

Products are of whole numbers (dynamic quantisation,
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html): a third of the size and twice
the speed on a CPU, for one tag in a thousand that turns out otherwise.
"""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from configs.atomic import writing_folder
from configs.stage import versions
from pii.model_folder import CARD, write_manifest
from pii.tagger_folder import INPUT, NETWORK, OUTPUT, TaggerManifest
from training.card import render_tagger
from training.lessons import data_identity, sources_of
from training.tagger_network import LogProbabilities, TaggerNetwork

if TYPE_CHECKING:
    from training.tagger_run import TaggerRun

_LARGE = 1024
"""Tables of fewer numbers stay as they are: halving them would save nothing."""


def write_tagger(folder: Path, job: TaggerRun) -> None:
    """Write what a run has learned so far; the folder takes its name only when everything is written."""
    data = job.recipe.data_config()
    decisive = {"network", "unknown", "tokens", "phases", "rates", "schedule", "seed"}
    manifest = TaggerManifest(
        characters=job.characters,
        entity_types=job.types,
        window_chars=data.window_chars,
        window_margin=data.window_margin,
        num_parameters=job.num_parameters,
        hyperparameters=job.recipe.model_dump(mode="json", include=decisive),
        data_identity=data_identity(data),
        data_sources=sources_of(data),
        training=job.progress.facts(),
        versions=versions("torch", "onnx"),
    )
    with writing_folder(folder) as half:
        _save_quantised(as_onnx(job.network), half / NETWORK)
        onnx.save(_without_origin(halved(onnx.load(half / NETWORK))), half / NETWORK)
        (half / CARD).write_text(render_tagger(manifest), encoding="utf-8")
        write_manifest(half, manifest)


def as_onnx(network: TaggerNetwork) -> Any:
    """The network for one window of any length, as an ONNX model in float32."""
    example = torch.ones(1, 24, dtype=torch.long)
    served = LogProbabilities(network).cpu().eval()
    program = torch.onnx.export(
        served,
        (example,),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({1: torch.export.Dim("length", min=1, max=65_536)},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    return program.model_proto


def _save_quantised(model: Any, path: Path) -> None:
    """Write the model with products of whole numbers."""
    # It says of every product what it does.
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(
            model,
            path,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # Seven bits: sums of eight overflow on processors without VNNI.
            reduce_range=True,
            op_types_to_quantize=["MatMul", "Gemm"],
        )
    finally:
        logging.disable(logging.NOTSET)


def _without_origin(model: Any) -> Any:
    """The model without the exporter's notes: of each node the lines of code, with their paths."""
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]
    return model


def halved(model: Any) -> Any:
    """The model with its large tables in float16, widened when it is loaded: half the size."""
    for table in list(model.graph.initializer):
        values = numpy_helper.to_array(table)
        if table.data_type != TensorProto.FLOAT or values.size < _LARGE:
            continue
        model.graph.initializer.remove(table)
        stored = f"{table.name}.half"
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), stored))
        model.graph.node.insert(0, helper.make_node("Cast", [stored], [table.name], to=TensorProto.FLOAT))
    return model
