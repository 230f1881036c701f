"""The peers of a recipe: asked about the very documents that this product was asked about, and kept.

``<output>/peers/<name>/`` holds a peer's predictions in the form of `evaluation.predictions`, by the hash of
data, sample, recipe, label map, adapter and the peer's version: none of them is asked again for nothing.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from evaluation import predictions, provenance
from evaluation.gold import GoldDocument
from evaluation.memory import PeakMemory
from evaluation.peers.card import PeerCard, load_card
from evaluation.peers.finding import Finding, Peer, PeerAbsent
from evaluation.peers.folder import OtherModel
from evaluation.peers.http import HttpDetector
from evaluation.peers.labelled import LabelledPeer
from evaluation.peers.process import Worker, installed
from evaluation.peers.prompted import Prompted
from evaluation.peers.recipe import FolderPeer, HttpPeer, LocalPeer, PeerConfig
from evaluation.predictions import Kept, Prediction
from pii.errors import ModelFolderError

logger = logging.getLogger(__name__)

FOLDER = "peers"

Asked = Sequence[tuple[str, GoldDocument]]
"""The documents of all splits: (split, document)."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a recipe's peers.

    Attributes:
        kept: name → what it said, and the facts of its work.
        absent: name → why it was left out.
    """

    kept: Mapping[str, Kept]
    absent: Mapping[str, str]


def versions(peers: Mapping[str, PeerConfig]) -> dict[str, str]:
    """What of each peer decides whether it has to be asked again: its version here, or that it is absent.

    A service or a foreign folder of weights is told by its name alone.
    """
    found = {}
    for name, config in peers.items():
        try:
            found[name] = _version(config)
        except PeerAbsent as error:
            found[name] = f"absent: {error}"
    return found


def _version(config: PeerConfig) -> str:
    if isinstance(config, LocalPeer):
        return installed(config.kind, config.python)
    if isinstance(config, FolderPeer):
        try:
            return provenance.model_hash(config.model)
        except ModelFolderError as error:
            raise PeerAbsent(str(error)) from None
    return "named"


def ask(peers: Mapping[str, PeerConfig], asked: Asked, output: Path, key: str) -> Found:
    """Ask every peer that is there.

    Args:
        peers: name in the report → how to reach it.
        asked: the documents.
        output: folder of the evaluation.
        key: hash of the data that the documents are of.
    """
    kept: dict[str, Kept] = {}
    absent: dict[str, str] = {}
    for name, config in peers.items():
        try:
            kept[name] = _of_one(name, config, asked, output / FOLDER / name, key)
        except PeerAbsent as error:
            logger.warning("%s is left out: %s", name, error)
            absent[name] = str(error)
    return Found(kept, absent)


def _of_one(name: str, config: PeerConfig, asked: Asked, folder: Path, key: str) -> Kept:
    version = _version(config)
    card = _card(config)
    wanted = predictions.key(
        {
            "data": key,
            "rows": [[split, entry.row] for split, entry in asked],
            "recipe": config.model_dump(mode="json"),
            "version": version,
            "card": card.model_dump(mode="json") if card else None,
            "code": provenance.code_hash("evaluation/peers"),
        }
    )
    theirs = predictions.load(folder, wanted)
    if theirs is not None:
        logger.info("predictions of %s are used again", name)
        return theirs
    theirs = _asked_now(name, config, card, asked)
    folder.mkdir(parents=True, exist_ok=True)
    predictions.save(folder, wanted, theirs)
    return theirs


def _card(config: PeerConfig) -> PeerCard | None:
    if isinstance(config, LocalPeer):
        return load_card(config.kind, config.labels)
    return load_card("presidio", config.labels) if isinstance(config, HttpPeer) else None


def start(config: PeerConfig, card: PeerCard | None) -> Peer:
    """Make a peer ready; takes seconds. Raises PeerAbsent: it is not there, or does not start."""
    if isinstance(config, LocalPeer):
        assert card is not None
        options = dict(config.options)
        if config.kind == "gliner":
            options.setdefault("labels", list(card.labels))
        return LabelledPeer(Worker(config, options), card, config.window_chars)
    if isinstance(config, HttpPeer):
        assert card is not None
        return LabelledPeer(HttpDetector(config, list(card.labels)), card, config.window_chars)
    return OtherModel(config) if isinstance(config, FolderPeer) else Prompted(config)


def _asked_now(name: str, config: PeerConfig, card: PeerCard | None, asked: Asked) -> Kept:
    memory = PeakMemory()
    began = time.monotonic()
    peer = start(config, card)
    loaded = time.monotonic()
    made: list[Prediction] = []
    failures: Counter[str] = Counter()
    closed: Mapping[str, Any] = {}
    try:
        documents = [entry.document for _, entry in asked]
        with tqdm(total=len(documents), unit="doc", desc=name, mininterval=1.0) as bar:
            for (split, entry), finding in zip(asked, peer.read(documents), strict=True):
                made.append(_prediction(name, split, entry.row, finding))
                if finding.failure:
                    failures[finding.failure] += 1
                bar.update()
        seconds = max(time.monotonic() - loaded, 1e-9)
        # A peer in this process adds to its memory; one in a process of its own tells by itself.
        own_memory = memory.read_mb()
    finally:
        closed = peer.close()
    num_chars = sum(len(document.text) for document in documents)
    facts = _identity(config, card, peer) | {
        "load_seconds": round(loaded - began, 2),
        "seconds": round(seconds, 4),
        "documents_per_second": round(len(made) / seconds, 2),
        "characters_per_second": round(num_chars / seconds, 1),
        "failures": dict(failures),
        "peak_memory_mb": own_memory,
    }
    return Kept(tuple(made), {**facts, **closed})


def _identity(config: PeerConfig, card: PeerCard | None, peer: Peer) -> dict[str, Any]:
    """Who a peer is and what it can say."""
    return {
        "description": peer.description,
        "kind": config.kind,
        "licence": card.licence if card else "",
        "notes": card.notes if card else "",
        "types": list(peer.types),
    }


def _prediction(name: str, split: str, row: int, finding: Finding) -> Prediction:
    return Prediction(
        split=split,
        row=row,
        spans={name: finding.spans},
        num_windows=finding.num_windows,
        num_ungrounded=finding.num_ungrounded,
        answers=finding.answers,
    )
