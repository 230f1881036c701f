"""The extractor: text in, spans out. The one that serves, redacts and is measured.

    text ─┬─ patterns and tagger over the whole text ─┬────────────┐
          └─ windows → prompt → engine under a grammar → places ───┴─ candidates → scores → merging → spans

With ``detectors: patterns`` neither a model folder nor torch is touched.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from pii import model_folder, patterns, windows
from pii.errors import RequestError
from pii.model_folder import ModelManifest, read_manifest
from pii.spans import is_unicode
from pii.taxonomy import shipped
from serving.engines import choice
from serving.engines.protocol import Engine
from serving.extraction import NOTHING, Extraction, Looked, Plan, concluded
from serving.extractor_config import Detectors, ExtractorConfig, Finder
from serving.lists import Lists
from serving.model_detector import Reading
from serving.scoring import Calibration, OperatingPoint, contributions, read_calibration
from serving.silence import describe
from serving.tagger import CharacterTagger

if TYPE_CHECKING:
    from serving.model_detector import ModelDetector

logger = logging.getLogger(__name__)


class Extractor:
    """Finds entities in texts. Made by `open`; `close` it, or use it in a ``with`` block.

    The engine and everything about the model live on an event loop in a thread of its own. So any thread
    and any other event loop may call in, and a slow text never holds up the caller's loop.
    """

    def __init__(
        self,
        config: ExtractorConfig,
        manifest: ModelManifest | None = None,
        detector: ModelDetector | None = None,
        portal: BlockingPortal | None = None,
        resources: ExitStack | None = None,
        engine: Engine | None = None,
        tagger: CharacterTagger | None = None,
    ) -> None:
        self.config, self.manifest, self._engine, self._tagger = config, manifest, engine, tagger
        fingerprint = tagger.fingerprint if tagger else ""
        self._calibration = read_calibration(manifest, fingerprint) if manifest else None
        self._detector, self._portal = detector, portal
        self._resources = resources or ExitStack()

    @classmethod
    def open(cls, config: ExtractorConfig, around: Callable[[Engine], Engine] | None = None) -> Self:
        """Read the manifest, start the engine; takes seconds. With ``patterns`` neither is touched.

        Args:
            config: how texts are read.
            around: puts another engine around the started one, to watch it; None: nothing.

        Raises:
            ModelFolderError: a folder is missing, half-written or of another format.
            ConfigError: the engine is not installed.
        """
        if config.detectors == "patterns":
            return cls(config)
        assert config.model is not None
        manifest = read_manifest(config.model)
        model_folder.check_base(config.model)
        tagger = CharacterTagger(config.tagger) if config.tagger is not None else None
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal(name="extractor"))
            engine = portal.call(_start_engine, config, manifest)
            stack.callback(portal.call, engine.close)
            engine = around(engine) if around else engine
            detector = portal.call(_make_detector, config, manifest, engine)
            chosen = config.chosen
            logger.info(
                "model %s on %s; profile %s: at most %d windows together, %d speculative tokens",
                config.model, engine.description, config.profile, chosen.max_batch, chosen.speculative_tokens,
            )  # fmt: skip
            return cls(config, manifest, detector, portal, stack.pop_all(), engine, tagger)

    def close(self) -> None:
        """Stop the engine; requests under way are finished first."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def engine(self) -> str:
        """Engine, version, device and dtype in one line."""
        return self._engine.description if self._engine else "none (patterns only)"

    @property
    def is_alive(self) -> bool:
        """Whether texts can be read; False for good once the engine has died."""
        return self._engine is None or self._engine.is_alive

    @property
    def load(self) -> tuple[int, int]:
        """Windows that wait for a place with the engine, and windows that are with it."""
        return (self._detector.num_waiting, self._detector.num_running) if self._detector else (0, 0)

    def num_windows(self, text: str) -> int:
        """How many windows the model would be asked about; 0 where there is no model."""
        if self.manifest is None:
            return 0
        return len(windows.cut(text, self.manifest.window_chars, self.manifest.window_margin))

    def has_scores(self, detectors: Detectors | None = None) -> bool:
        """Whether spans get a score: both detectors look, and the model folder has a calibration."""
        return (detectors or self.config.detectors) == "merged" and self._calibration is not None

    def explain(self, extraction: Extraction) -> list[dict[str, float]]:
        """For each span what its features add to the log-odds of its score; empty where it has none."""
        if self._calibration is None or extraction.threshold is None:
            return [{} for _ in extraction.spans]
        weights = self._calibration.weights
        features = {candidate.span: candidate.features for candidate in extraction.candidates}
        # What the caller denies has no features: nobody weighed it.
        return [contributions(weights, features.get(span, {})) for span in extraction.spans]

    def types_of(self, detectors: Finder | None = None) -> tuple[str, ...]:
        """The types that the detectors can find, in taxonomy order."""
        chosen = detectors or self.config.detectors
        known: set[str] = set()
        if chosen == "tagger":
            return self._tagger.manifest.entity_types if self._tagger is not None else ()
        if chosen != "patterns" and self.manifest is not None:
            known.update(self.manifest.entity_types)
        if chosen != "model":
            known.update(patterns.known_types())
        return tuple(t.name for t in shipped() if t.name in known)

    def check_text(self, text: object) -> str:
        """The text itself, where it can be read.

        Raises RequestError: ``text_not_string``, ``text_not_unicode``, ``text_too_long``.
        """
        if not isinstance(text, str):
            raise RequestError("text_not_string", "text", "the text has to be a string")
        if len(text) > self.config.max_text_chars:
            limit = self.config.max_text_chars
            raise RequestError("text_too_long", "text", f"{len(text)} code points, and {limit} are the limit")
        if not is_unicode(text):
            raise RequestError("text_not_unicode", "text", "the text holds a lone surrogate")
        return text

    def plan(
        self,
        types: Iterable[str] | None = None,
        detectors: Detectors | None = None,
        threshold: float | OperatingPoint | None = None,
        lists: Lists | None = None,
        propagate: bool | None = None,
    ) -> Plan:
        """Check what a request asks for.

        A type that is asked for by name has to be one that the chosen detectors know. Where no type is named,
        each detector looks for those default types that it knows.

        Raises RequestError: ``unknown_type``, ``no_types``, ``type_not_supported``, ``no_model``,
        ``no_scores``.
        """
        chosen = detectors or self.config.detectors
        if chosen != "patterns" and self.manifest is None:
            raise RequestError("no_model", "detectors", "no model is loaded; only patterns can be asked for")
        named = None if types is None else list(types)
        wanted = shipped().resolve(named)
        if named is not None:
            known = self.types_of(chosen)
            for index, name in enumerate(named):
                if name not in known:
                    raise RequestError(
                        "type_not_supported", f"types[{index}]", "the chosen detectors do not know this type"
                    )
        calibration = self._calibration if self.has_scores(chosen) else None
        if threshold is not None and calibration is None:
            raise RequestError(
                "no_scores",
                "operating_point" if isinstance(threshold, str) else "threshold",
                "spans have a score where both detectors look and the model is calibrated",
            )
        trained = self.manifest.entity_types if self.manifest is not None else ()
        ruled = patterns.known_types()
        tagged = self._tagger.manifest.entity_types if self._tagger is not None else ()
        return Plan(
            chosen,
            model_types=() if chosen == "patterns" else tuple(t for t in wanted if t in trained),
            pattern_types=() if chosen == "model" else tuple(t for t in wanted if t in ruled),
            tagger_types=tuple(t for t in wanted if t in tagged) if chosen == "merged" else (),
            calibration=calibration,
            threshold=self._threshold(calibration, threshold),
            lists=lists or None,
            end_bias=self._end_bias(threshold),
            propagate=self.config.propagate if propagate is None else propagate,
        )

    def _end_bias(self, asked: float | OperatingPoint | None) -> float:
        """That of the operating point; a threshold in numbers has none."""
        point = self.config.operating_point if asked is None else asked
        bias: float = getattr(self.config.end_bias, point) if isinstance(point, str) else 0.0
        return bias

    def _threshold(
        self, calibration: Calibration | None, asked: float | OperatingPoint | None
    ) -> float | None:
        if calibration is None:
            return None
        point = self.config.operating_point if asked is None else asked
        if isinstance(point, str):
            chosen: float = getattr(calibration.operating_points, point)
            return chosen
        return point

    async def extract(
        self,
        text: str,
        types: Iterable[str] | None = None,
        detectors: Detectors | None = None,
        threshold: float | OperatingPoint | None = None,
        lists: Lists | None = None,
        propagate: bool | None = None,
    ) -> Extraction:
        """Find entities in one text. Cancelling the call ends the work for it.

        Args:
            text: any string of Unicode scalar values; an empty one has no entities.
            types: names of the taxonomy; None for the default types.
            detectors: who looks; None as configured.
            threshold: the score, or the operating point, from which a candidate counts; None as configured.
            lists: values that are nothing personal, and values that are in any case.
            propagate: whether a value that was found is an entity wherever it stands; None as configured.

        Raises:
            RequestError: see `check_text`, `plan` and `Lists.denied`.
            EngineError: the engine is gone.
        """
        plan = self.plan(types, detectors, threshold, lists, propagate)
        self.check_text(text)
        looked = await asyncio.to_thread(self._look, text, plan)
        reading = self._begin(text, plan, looked)
        try:
            found = await asyncio.wrap_future(reading) if reading else Reading()
            if plan.lists is None:
                return concluded(text, plan, found, looked)
            # The caller's patterns may take their time: off the loop.
            return await asyncio.to_thread(concluded, text, plan, found, looked)
        finally:
            # Where the caller has gone, nobody waits for the model any more.
            if reading is not None:
                reading.cancel()

    def extract_all(
        self,
        texts: Iterable[str],
        types: Iterable[str] | None = None,
        detectors: Detectors | None = None,
        threshold: float | OperatingPoint | None = None,
        *,
        tolerant: bool = False,
    ) -> Iterator[Extraction]:
        """Find entities in many texts; results in order. The engine is kept busy, memory stays bounded.

        Args:
            texts: texts that `check_text` accepts; another one raises its RequestError, tolerant or not.
                Where patterns look alone, some are asked for ahead (`pii.patterns.sifted`).
            types: see `extract`.
            detectors: see `extract`.
            threshold: see `extract`.
            tolerant: whether a text that cannot be read (the engine or a pattern fails at it) yields an
                Extraction with a `failure`; otherwise its error is raised and ends the iteration.
        """
        plan = self.plan(types, detectors, threshold)
        under_way: deque[_UnderWay] = deque()
        try:
            for text, kinds in _sifted(map(self.check_text, texts), plan):
                if kinds == 0:
                    yield NOTHING
                    continue
                under_way.append(self._begun(text, plan, kinds))
                # Without a model there is nothing to wait for, and so nothing to gain from a queue.
                while under_way and (
                    len(under_way) >= self.config.concurrency or under_way[0].reading is None
                ):
                    yield _finish(plan, under_way.popleft(), tolerant)
            while under_way:
                yield _finish(plan, under_way.popleft(), tolerant)
        finally:
            for one in under_way:
                if one.reading is not None:
                    one.reading.cancel()

    def _begun(self, text: str, plan: Plan, kinds: int | None) -> _UnderWay:
        """A text that the patterns have read and the model reads."""
        try:
            looked = self._look(text, plan, kinds)
        except Exception as error:
            return _UnderWay(text, error, None)
        return _UnderWay(text, looked, self._begin(text, plan, looked))

    def _look(self, text: str, plan: Plan, kinds: int | None = None) -> Looked:
        """What is found without the model; `kinds` as in `pii.patterns.find`."""
        began = time.perf_counter()
        matches = patterns.find(text, plan.pattern_types, kinds) if text and plan.pattern_types else []
        matched = time.perf_counter()
        tagged = None
        if self._tagger is not None and text and plan.tagger_types:
            tagged = self._tagger.read(text, plan.tagger_types)
        return Looked(matches, tagged, matched - began, time.perf_counter() - matched)

    def _begin(self, text: str, plan: Plan, looked: Looked) -> Future[Reading] | None:
        """Hand a text to the model's thread; None where there is nothing to ask."""
        if not text or not plan.model_types:
            return None
        assert self._portal is not None
        assert self._detector is not None
        return self._portal.start_task_soon(
            self._detector.read, text, plan.model_types, plan.end_bias, looked.likely
        )


async def _start_engine(config: ExtractorConfig, manifest: ModelManifest) -> Engine:
    assert config.model is not None
    return await choice.start(
        config.engine,
        config.model,
        dtype=config.dtype,
        max_batch=config.chosen.max_batch,
        max_model_tokens=manifest.context_tokens,
        vllm=config.vllm.model_copy(update={"speculative_tokens": config.chosen.speculative_tokens}),
        remote=config.remote,
    )


def _make_detector(config: ExtractorConfig, manifest: ModelManifest, engine: Engine) -> ModelDetector:
    from transformers import AutoTokenizer

    from serving.model_detector import ModelDetector

    return ModelDetector(
        engine,
        AutoTokenizer.from_pretrained(config.model, local_files_only=True),
        manifest,
        max_new_tokens=config.max_new_tokens,
        concurrency=config.concurrency,
        grounded=config.grounded,
    )


class _UnderWay(NamedTuple):
    """A text of `Extractor.extract_all` that has not been handed out."""

    text: str
    looked: Looked | Exception
    reading: Future[Reading] | None


def _sifted(texts: Iterable[str], plan: Plan) -> Iterator[tuple[str, int | None]]:
    """The texts with what the patterns may find in them; None where a text goes on at once, to the model."""
    if plan.detectors == "patterns":
        return patterns.sifted(texts, plan.pattern_types)
    return ((text, None) for text in texts)


def _finish(plan: Plan, begun: _UnderWay, tolerant: bool) -> Extraction:
    try:
        if isinstance(begun.looked, Exception):
            raise begun.looked
        reading = begun.reading.result() if begun.reading else Reading()
        return concluded(begun.text, plan, reading, begun.looked)
    except Exception as error:
        if not tolerant:
            raise
        logger.error("a text could not be read: %s", describe(error))
        return Extraction(failure=type(error).__name__)
