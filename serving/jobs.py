"""Batch jobs that the service does for callers, on files that it may read: asked for, watched, cancelled.

One job runs at a time, in a thread, with the extractor that answers requests too. What is asked for and what
came of it stand in a folder, one JSON file each: a service that is started anew goes on where the last one
stopped.
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from configs.atomic import writing
from configs.errors import UserError
from pii.errors import RequestError
from pii.redaction import KeyRequired, Policy, RedactionKey
from serving import batch, source, summary
from serving.engines.protocol import EngineError
from serving.extractor import Extractor
from serving.files.addresses import STANDARD, is_remote
from serving.files.choice import FormatName, Options
from serving.redact import Redactor
from serving.requests import read_policy
from serving.settings import JobSettings, ServeConfig
from serving.silence import describe
from serving.sinks import Places
from serving.work import Work

logger = logging.getLogger(__name__)

State = Literal["waiting", "running", "done", "failed", "cancelled"]
OPEN: tuple[State, ...] = ("waiting", "running")
"""States of jobs that are not at their end."""

WAIT_S = 0.2
"""How long a job waits before it asks again for an extractor."""

MAX_TRIES = 3
"""So often a job goes on after its engine died; then it has failed."""


class JobRequest(BaseModel):
    """A redaction job. Paths are those of the service's machine, below its roots."""

    model_config = ConfigDict(
        extra="forbid", strict=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    input: Annotated[list[str], Field(min_length=1, max_length=1000)]
    """Files, folders or patterns."""
    output: Annotated[str, Field(min_length=1)]
    """The result, or a folder of results."""
    policy: Annotated[Policy | None, BeforeValidator(read_policy)] = None
    """A policy, or the name of a shipped one; not there: the configured one."""
    types: list[str] | None = None
    """Names of entity types; not there: the default ones."""
    format: FormatName | None = None
    """Format of all inputs; not there: each by its name."""
    columns: dict[str, str | None] = {}
    """Column or path → entity type of its whole values, or null."""
    encoding: str = "utf-8"
    """Of text, CSV and HTML."""


class Lender(Protocol):
    """Who has the extractor: the service."""

    @property
    def extractor(self) -> Extractor:
        """The present one. Raises Problem 503 where there is none."""

    def lend(self) -> AbstractContextManager[Extractor | None]:
        """One that stays open for a block; None where there is none."""


class JobBook:
    """The jobs of a service.

    Args:
        config: the service's recipe; `config.http.jobs` says where jobs may read and write.
        lender: lends the extractor that answers requests.
    """

    def __init__(self, config: ServeConfig, lender: Lender) -> None:
        self._config, self._lender = config, lender
        self._settings: JobSettings = config.http.jobs
        self._roots = tuple(root.resolve() for root in self._settings.roots)
        self._key = RedactionKey.find(config.redaction_key_file)
        self._entries: dict[str, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._stop = batch.Stop()
        self._running: str | None = None
        self._closing = False
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Read what an earlier service left, and begin to work."""
        self._settings.folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._settings.folder.glob("*.json")):
            entry = json.loads(path.read_text(encoding="utf-8"))
            self._entries[entry["id"]] = entry | ({"state": "waiting"} if entry["state"] in OPEN else {})
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the shard that is worked on; what is left goes on when the service is started anew."""
        with self._changed:
            self._closing = True
            self._stop.requested = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def add(self, asked: JobRequest) -> dict[str, Any]:
        """Take on a job; returns its status.

        Raises:
            RequestError: ``path_not_allowed``, ``wrong_job``, ``key_required``, ``too_many_jobs`` and what
                the extractor refuses.
        """
        with self._changed:
            if sum(entry["state"] in OPEN for entry in self._entries.values()) >= self._settings.max_open:
                raise RequestError("too_many_jobs", "", "too many jobs are waiting")
        extractor = self._lender.extractor
        extractor.plan(asked.types)
        try:
            self._check_paths([*asked.input, asked.output])
            self._job(asked, extractor)
            inputs = source.inputs_of(asked.input, asked.output)
            self._check_paths([path for one in inputs for path in (one.address, one.target)])
        except KeyRequired as error:
            raise RequestError(
                "key_required", "policy", f"the service has no key for {error.operator}"
            ) from None
        except RequestError:
            raise
        except UserError as error:
            raise RequestError("wrong_job", "", str(error)) from None
        number = f"{time.time_ns():019d}-{secrets.token_hex(4)}"
        entry = {"id": number, "state": "waiting", "request": asked.model_dump(mode="json")}
        with self._changed:
            self._entries[number] = entry
            self._keep(entry)
            self._changed.notify_all()
        return self._shown(entry)

    def every(self) -> list[dict[str, Any]]:
        """The status of all jobs, the oldest first."""
        with self._changed:
            return [self._shown(entry) for entry in self._entries.values()]

    def status(self, number: str) -> dict[str, Any]:
        """The status of a job. Raises KeyError."""
        with self._changed:
            return self._shown(self._entries[number])

    def result(self, number: str) -> dict[str, Any] | None:
        """Summary and certificate of a job that is done; None before that. Raises KeyError."""
        with self._changed:
            entry = self._entries[number]
            return entry.get("result") if entry["state"] == "done" else None

    def cancel(self, number: str) -> dict[str, Any]:
        """End a job and remove what it has begun; one at its end stays as it is. Raises KeyError."""
        with self._changed:
            entry = self._entries[number]
            if entry["state"] in OPEN:
                entry["cancel"] = True
                self._keep(entry)
                if self._running == number:
                    self._stop.requested = True
                else:
                    self._end(entry, "cancelled")
            return self._shown(entry)

    def _check_paths(self, paths: Sequence[str]) -> None:
        """Raises RequestError for a path outside the roots, whether or not there is anything."""
        for path in paths:
            # Links are followed: what they point at is what would be read.
            inside = not is_remote(path) and path != STANDARD and self._is_below_a_root(Path(path).resolve())
            if not inside:
                raise RequestError("path_not_allowed", "", "a path is not below the roots of this service")

    def _is_below_a_root(self, path: Path) -> bool:
        own = self._settings.folder.resolve()
        return any(path.is_relative_to(root) for root in self._roots) and not path.is_relative_to(own)

    def _job(self, asked: JobRequest, extractor: Extractor, shown: batch.Shown | None = None) -> batch.Job:
        # The model may be another by now than the recipe names.
        config = self._config.model_copy(update={"extractor": extractor.config})
        point = config.redaction_point if extractor.has_scores() else None
        types = tuple(asked.types) if asked.types is not None else None
        looked = config.extractor.detectors != "model"
        redactor = Redactor(asked.policy or config.redaction, self._key, types, by_patterns=looked)
        return batch.Job(
            name="redact",
            words=tuple(asked.input),
            out=asked.output,
            options=Options(asked.format, asked.columns, None, asked.encoding),
            work=Work(redactor, config.extractor, types, point),
            config=config,
            facts=redactor.facts,
            finish=redactor.certify,
            shown=shown,
        )

    def _work(self) -> None:
        """The thread: one job after the other."""
        while True:
            with self._changed:
                waiting = [entry for entry in self._entries.values() if entry["state"] == "waiting"]
                if self._closing:
                    return
                if not waiting:
                    self._changed.wait()
                    continue
                entry = waiting[0]
                self._stop = batch.Stop()
                self._running = entry["id"]
                entry["state"] = "running"
                self._keep(entry)
            with self._lender.lend() as extractor:
                if extractor is not None:
                    self._do(entry, extractor)
            with self._changed:
                self._running = None
                if extractor is None:
                    # Loading, or starting again: the job waits for it.
                    entry["state"] = "waiting"
                    self._changed.wait(timeout=WAIT_S)

    def _do(self, entry: dict[str, Any], extractor: Extractor) -> None:
        started = time.monotonic()
        asked = JobRequest.model_validate(entry["request"])
        watch = _Watch(entry, self._changed)
        state: State = "failed"
        try:
            self._check_paths([*asked.input, asked.output])
            job = self._job(asked, extractor, watch)
            batch.run_job(job, self._stop, extractor)
            state = "done"
            done = summary.summarise("redact", watch.counts, watch.num_bytes, time.monotonic() - started, {})
            certificate = Places.of(asked.output).certificate
            entry["result"] = {"summary": done, "certificate": json.loads(certificate.read_bytes())}
        except batch.StoppedError:
            if not entry.get("cancel"):
                # The service ends: the entry stays open, and the next service goes on.
                return
            state = "cancelled"
        except EngineError:
            entry["tries"] = entry.get("tries", 0) + 1
            if entry["tries"] < MAX_TRIES:
                state = "waiting"
            else:
                entry["error"] = "the engine failed"
        except UserError as error:
            entry["error"] = str(error)
        except Exception as error:
            logger.error("a job failed: %s", describe(error))
            entry["error"] = type(error).__name__
        with self._changed:
            self._end(entry, state)

    def _end(self, entry: dict[str, Any], state: State) -> None:
        if state == "cancelled":
            shutil.rmtree(Places.of(entry["request"]["output"]).folder, ignore_errors=True)
        entry["state"] = state
        self._keep(entry)

    def _keep(self, entry: Mapping[str, Any]) -> None:
        with writing(self._settings.folder / f"{entry['id']}.json") as file:
            json.dump(entry, file, ensure_ascii=False)

    def _shown(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        members = ("id", "state", "progress", "error")
        return {name: entry[name] for name in members if name in entry}


class _Watch:
    """Keeps a running job's progress in its entry."""

    def __init__(self, entry: dict[str, Any], changed: threading.Condition) -> None:
        self._entry, self._changed = entry, changed
        self.counts: Counter[str] = Counter()
        self.num_bytes = 0

    def advance(self, num_bytes: int, counts: Counter[str]) -> None:
        """Note it."""
        self.counts, self.num_bytes = Counter(counts), num_bytes
        with self._changed:
            self._entry["progress"] = {
                "bytes": num_bytes,
                "rows": counts["rows"],
                "bad_rows": counts["bad_rows"],
            }

    def close(self) -> None:
        """Nothing is left to do."""
