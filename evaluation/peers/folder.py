"""Another model folder of this product: the base that a model was fine-tuned from, an earlier version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from evaluation.peers.finding import Finding, PeerAbsent
from evaluation.peers.recipe import FolderPeer
from pii import model_folder
from pii.errors import ModelFolderError
from pii.spans import Document
from pii.taxonomy import shipped
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig


class OtherModel:
    """Asks it as serving would.

    Args:
        config: which folder, and how.

    Raises PeerAbsent: there is none, or it cannot be used.
    """

    def __init__(self, config: FolderPeer) -> None:
        try:
            manifest = model_folder.read_manifest(config.model)
            self._extractor = Extractor.open(
                ExtractorConfig(
                    model=config.model, detectors=config.detectors, engine=config.engine, dtype=config.dtype
                )
            )
        except ModelFolderError as error:
            raise PeerAbsent(str(error)) from None
        self.description = f"{config.model}, {config.detectors}: {manifest.method}"
        self.types = tuple(t.name for t in shipped() if t.name in manifest.entity_types)

    def read(self, documents: Sequence[Document]) -> Iterator[Finding]:
        """One finding a document, in order; documents that ask for the same types are read together."""
        for types, group in groupby(documents, key=lambda document: document.types):
            texts = [document.text for document in group]
            for found in self._extractor.extract_all(texts, types, tolerant=True):
                yield Finding(
                    spans=found.spans,
                    failure=found.failure or "",
                    num_windows=found.num_windows,
                    num_ungrounded=found.num_ungrounded,
                )

    def close(self) -> Mapping[str, Any]:
        """Give its memory back."""
        self._extractor.close()
        return {}
