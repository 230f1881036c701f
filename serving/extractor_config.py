"""How texts are read: the schema of the section `extractor`, the same for service, batch and evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from configs.reader import StrictConfig
from pii import model_folder
from pii.tagger_folder import tagger_fingerprint
from serving.engines import choice
from serving.engines.protocol import Dtype, RemoteSettings, VllmSettings
from serving.scoring import OperatingPoint

Detectors = Literal["merged", "model", "patterns"]
"""Who looks: model and patterns, and the tagger where there is one, merged; one of the first two alone."""


Finder = Literal["merged", "model", "patterns", "tagger"]
"""Whose finds can be told apart: those of `Detectors`, and what the tagger marks."""


class EndBias(StrictConfig):
    """What is taken off the logit of ending the list, in nats (see `serving.engines.ending`).

    2 lets the model go on where it thought the end up to seven times as likely as a further entity.
    """

    recall: float = Field(default=0.0, ge=0, le=20)
    balanced: float = Field(default=0.0, ge=0, le=20)
    precision: float = Field(default=0.0, ge=0, le=20)


class Profile(StrictConfig):
    """What is set together, for one use of a service."""

    max_batch: int = Field(gt=0)
    """Most windows that the engine decodes together: few answer each soon, many answer more in all."""
    speculative_tokens: int = Field(ge=0, le=16)
    """Tokens that vLLM proposes by n-gram lookup: pays for one caller, costs under load. The transformers
    engine guesses at any load, for it checks guesses in the pass that it makes anyway."""


class ExtractorConfig(StrictConfig):
    """How texts are read. The same for the service, the batch commands and the evaluation."""

    model: model_folder.Found | None = Field(
        default=("runs/mini/model", "models/mini"), validate_default=True
    )
    """Model folder, or several of which the first that is there is taken; ``models/mini`` comes with the
    program. Not read where `detectors` is ``patterns``."""
    tagger: model_folder.Found | None = Field(default="models/tagger", validate_default=True)
    """Folder of the character tagger, which looks beside model and patterns where both do; null: none."""
    detectors: Detectors = "merged"
    """Who looks where a request does not say. ``patterns`` loads no model at all."""
    operating_point: OperatingPoint = "balanced"
    """Which threshold of the model's calibration decides where a request does not say. Without a calibration
    there are no scores, and it has no effect."""
    engine: choice.EngineName = "auto"
    """``auto``: vLLM where it is installed, otherwise transformers. ``remote``: a server elsewhere
    (`remote`)."""
    dtype: Dtype = "auto"
    """Number format of the weights; ``auto``: float32 on a CPU, bfloat16 on a GPU."""
    max_text_chars: int = Field(default=1_000_000, gt=0)
    """Longest text, in code points; a longer one is refused, never cut."""
    max_new_tokens: int = Field(default=512, ge=16)
    """Budget of one window's answer. A window whose answer needs more is split and asked again."""
    concurrency: int = Field(default=64, gt=0)
    """Most windows with the engine at once, and most texts that `extract_all` has under way."""
    profile: str = "throughput"
    """Which of `profiles` holds."""
    profiles: Mapping[str, Profile] = Field(
        default={
            "latency": Profile(max_batch=8, speculative_tokens=4),
            "throughput": Profile(max_batch=32, speculative_tokens=0),
        }
    )
    """Name → what it sets."""
    max_batch: int | None = Field(default=None, gt=0)
    """In place of the profile's."""
    propagate: bool = True
    """Whether a value that was found once is an entity wherever it stands in the text (`pii.recurrence`),
    where a request does not say."""
    grounded: bool = True
    """Whether the grammar binds values to the text. False only to measure the model without it."""
    end_bias: EndBias = EndBias()
    """How much further than by itself the model looks for entities, at each operating point."""
    vllm: VllmSettings = VllmSettings()
    """What only vLLM has."""
    remote: RemoteSettings = RemoteSettings()
    """The server of the engine ``remote``."""

    @model_validator(mode="after")
    def _names_a_model(self) -> Self:
        if self.model is None and self.detectors != "patterns":
            raise ValueError("model is required unless detectors is patterns")
        return self

    @model_validator(mode="after")
    def _names_a_profile(self) -> Self:
        if self.profile not in self.profiles:
            raise ValueError(f"profile has to be one of {', '.join(self.profiles)}")
        return self

    @property
    def tagger_fingerprint(self) -> str:
        """Of the tagger that looks; empty where none does. Raises ModelFolderError: its folder is none."""
        if self.tagger is None or self.detectors == "patterns":
            return ""
        return tagger_fingerprint(self.tagger)

    @property
    def chosen(self) -> Profile:
        """The profile, with what stands in its place."""
        profile, tokens = self.profiles[self.profile], self.vllm.speculative_tokens
        return Profile(
            max_batch=profile.max_batch if self.max_batch is None else self.max_batch,
            speculative_tokens=profile.speculative_tokens if tokens is None else tokens,
        )
