"""How a recipe names the peers that are measured beside this product."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from configs.reader import StrictConfig
from pii import model_folder
from serving.engines.choice import EngineName
from serving.engines.protocol import Dtype, VllmSettings
from serving.extractor_config import Detectors

AdapterName = Literal["presidio", "spacy", "cutword", "lac", "jionlp", "gliner", "token_classification"]
"""The adapters in ``evaluation/peers/adapters``."""


class LocalPeer(StrictConfig):
    """A library that runs on this machine, in a process of its own."""

    kind: AdapterName
    """Which adapter."""
    python: Path | None = None
    """The Python interpreter that has the library, for example of a virtual environment of its own, because
    its pins differ; null: the one that runs this program."""
    options: Mapping[str, Any] = {}
    """What the adapter takes: ``model``, ``threshold``, ... See its class."""
    labels: Path | None = None
    """A label map of one's own (YAML); null: the shipped one."""
    window_chars: int | None = Field(default=None, ge=100)
    """Cut texts into windows of so many code points, for a peer that drops the rest; null: whole texts."""
    timeout_seconds: float = Field(default=120.0, gt=0)
    """Time in which it has to start, and to answer each text; then it is ended."""


class HttpPeer(StrictConfig):
    """A detector behind HTTP in the shape of Presidio's analyzer.

    ``POST {"text", "language", ...}`` answers ``[{"entity_type", "start", "end", "score"}, ...]``.
    """

    kind: Literal["http"]
    url: str
    """Where to post, such as ``http://127.0.0.1:5002/analyze``. Texts are sent there."""
    language: str | None = None
    """The language that is sent; null: the document's own."""
    body: Mapping[str, Any] = {}
    """Further members of the request, such as ``score_threshold``."""
    key_variable: str | None = None
    """Environment variable with a key, sent as ``Authorization: Bearer``."""
    labels: Path | None = None
    """A label map of one's own (YAML); null: that of Presidio's entities."""
    window_chars: int | None = Field(default=None, ge=100)
    """See `LocalPeer.window_chars`."""
    timeout_seconds: float = Field(default=60.0, gt=0)
    """Time for one answer."""


class PromptedPeer(StrictConfig):
    """A general model that is asked in words, zero-shot or with examples, instead of being trained."""

    kind: Literal["prompted"]
    folder: Path | None = None
    """A folder of weights with a chat template, read by this program's engines; or `url` with `model`."""
    url: str | None = None
    """Base address of an OpenAI-compatible service, such as ``http://127.0.0.1:8000/v1``. Texts are sent
    there."""
    model: str | None = None
    """The name that the service knows the model by."""
    key_variable: str | None = None
    """Environment variable with the service's key."""
    shots: int = Field(default=0, ge=0, le=6)
    """Examples in the prompt, half of them Chinese; 0: zero-shot."""
    grounded: bool = False
    """Whether the grammar that binds values to the text is used; with a `folder` only."""
    max_new_tokens: int = Field(default=512, ge=16)
    """Budget of one answer."""
    window_chars: int = Field(default=1000, ge=100)
    """Texts are cut into windows of so many code points, with an eighth of it around each one's own part."""
    concurrency: int = Field(default=16, gt=0)
    """Most requests under way."""
    timeout_seconds: float = Field(default=300.0, gt=0)
    """Time for one answer of a service."""
    engine: EngineName = "auto"
    """For a `folder`: as the extractor's."""
    dtype: Dtype = "auto"
    """For a `folder`: number format of the weights."""
    max_model_tokens: int = Field(default=4096, ge=256)
    """For a `folder`: most tokens of prompt and answer together."""
    vllm: VllmSettings = VllmSettings()
    """For a `folder`: what only vLLM has."""

    @model_validator(mode="after")
    def _names_one_place(self) -> Self:
        if (self.folder is None) == (self.url is None):
            raise ValueError("name either a folder or a url")
        if self.url is not None and (self.model is None or self.grounded):
            raise ValueError("a url needs a model, and cannot be bound by the grammar")
        return self


class FolderPeer(StrictConfig):
    """Another model folder of this product, such as the base before it was fine-tuned."""

    kind: Literal["folder"]
    model: model_folder.Found
    """The folder, or several of which the first that is there is taken."""
    detectors: Detectors = "model"
    """What of it is measured: the model alone, or with the patterns."""
    engine: EngineName = "auto"
    """As the extractor's."""
    dtype: Dtype = "auto"
    """As the extractor's."""


PeerConfig = Annotated[LocalPeer | HttpPeer | PromptedPeer | FolderPeer, Field(discriminator="kind")]
