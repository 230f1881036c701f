"""``pii redact``: replace entities in files; nothing else changes.

    pii redact notes.txt -o clean.txt
    pii redact rows.csv -o clean.csv --columns phone,note --detectors patterns
    pii redact exports/ -o clean/ --policy gdpr --key-file key.txt

What is put in place of an entity is the recipe's ``redaction``, or the policy of ``--policy``. Each row is
verified: a row that would leak is not written. Beside OUT stand its certificate and its manifest.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from configs.atomic import writing
from configs.errors import ConfigError
from configs.reader import dump
from pii.redaction import KeyRequired, Policy, RedactionKey, Tally, load_policy, redact_verified
from pii.spans import Span
from serving import batch, command_line
from serving.files import addresses
from serving.files.records import Edit, Format, Record
from serving.settings import ServeConfig
from serving.sinks import Places
from serving.source import Input
from serving.work import Seen, Work

BETWEEN = "\n\n"
"""Between the texts of one record, which are redacted as one document: one person has one surrogate in all of
them, and what is hidden in one column is looked for in the others."""


class Redactor:
    """Writes records without their entities, by one policy.

    Args:
        policy: which operator an entity gets.
        key: for the operators that need one.
        types: the types that are looked for; None: the default ones.
        by_patterns: whether the patterns have looked through the texts already.

    Raises KeyRequired: the policy needs a key, and there is none.
    """

    def __init__(
        self,
        policy: Policy,
        key: RedactionKey | None,
        types: Sequence[str] | None,
        *,
        by_patterns: bool = False,
    ) -> None:
        if policy.needs_key and key is None:
            raise KeyRequired(policy.needs_key)
        self._policy, self._key, self._types, self._by_patterns = policy, key, types, by_patterns

    @property
    def facts(self) -> dict[str, str]:
        """What a job by this redactor consists of; another policy or key is another job."""
        policy = hashlib.sha256(dump(self._policy).encode()).hexdigest()
        return {"policy": policy, "key": self._key.id if self._key else ""}

    def certify(
        self, places: Places, inputs: Sequence[Input], counts: Mapping[str, int], identity: Mapping[str, str]
    ) -> None:
        """Write the certificate of a finished job beside its result."""
        hashes = {name: identity[name] for name in ("input", "policy", "model") if name in identity}
        hashes |= {"answer_format": identity["answer format"], "output": _hash_of(inputs)}
        tally = Tally({**counts, "leaking_rows": counts.get("bad: leak", 0)})
        with writing(places.certificate) as file:
            file.write(tally.certificate(hashes, self._key).as_json())

    def write(self, format: Format, record: Record, seen: Sequence[Seen], counts: Counter[str]) -> bytes:
        """The record with its entities replaced. Raises LeakError."""
        if self._by_patterns and len(seen) == 1 and not seen[0].suspected:
            # Verification would let the patterns read the same text again, and find nothing again.
            return format.written(record, [()], redacted=True)
        text, spans, starts = "", list[Span](), list[int]()
        for slot, found in zip(record.slots, seen, strict=True):
            text += BETWEEN if starts else ""
            starts.append(len(text))
            spans += [_moved(span, len(text)) for span in found.suspected]
            text += slot.text
        verified = redact_verified(text, spans, self._policy, key=self._key, types=self._types)
        tally = Tally()
        tally.add(verified)
        del tally.counts["rows"]  # the job counts them itself
        counts.update(tally.counts)
        redacted = verified.redacted
        edits = [
            (done.span.start, done.span.end, redacted.text[done.start : done.end])
            for done in redacted.replacements
        ]
        lengths = [len(slot.text) for slot in record.slots]
        return format.written(record, _by_slot(edits, starts, lengths), redacted=True)


def _hash_of(outputs: Sequence[Input]) -> str:
    """SHA-256 of the result; of several, of their names and hashes. What a bad document left out has none."""
    targets = [one for one in outputs if addresses.is_file(one.target)]
    if len(outputs) == 1 and targets:
        return addresses.fingerprint(targets[0].target)
    every = hashlib.sha256()
    for one in targets:
        every.update(f"{one.name}\0{addresses.fingerprint(one.target)}\n".encode("utf-8", "surrogateescape"))
    return every.hexdigest()


def _moved(span: Span, by: int) -> Span:
    if not by:
        return span
    return Span(span.start + by, span.end + by, span.type, span.subtype, span.score, span.source)


def _by_slot(edits: Sequence[Edit], starts: Sequence[int], lengths: Sequence[int]) -> list[list[Edit]]:
    """Edits of the joined text as edits of its parts; one that goes over several stands in the first."""
    parts: list[list[Edit]] = [[] for _ in starts]
    at = 0
    for start, end, new in edits:
        while at + 1 < len(starts) and starts[at + 1] <= start:
            at += 1
        index = at
        while index < len(starts) and starts[index] < end:
            begin = max(start - starts[index], 0)
            stop = min(end - starts[index], lengths[index])
            if begin < stop:
                parts[index].append((begin, stop, new))
                new = ""
            index += 1
    return parts


def main(argv: list[str] | None = None) -> int:
    """Redact files. Exit codes: see `serving.batch`."""
    parser = command_line.parser(
        "redact", "Replace entities in JSONL, JSON, CSV, Parquet, text, HTML, Word, Excel and PDF files."
    )
    command_line.add_file_options(parser)
    command_line.add_column_options(parser)
    parser.add_argument(
        "--policy", metavar="NAME|FILE", help="pipl, gdpr, hipaa-safe-harbor, logs, or a file"
    )
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="key of the policy's operators")
    parser.add_argument(
        "--retry-dead",
        action="store_true",
        help="do the bad rows of a finished job again, and put them in place",
    )
    arguments = parser.parse_args(argv)
    if arguments.retry_dead:
        from serving.retry import retry

        return batch.run(lambda: job_of(arguments), retry)
    return batch.run(lambda: job_of(arguments))


def job_of(arguments: argparse.Namespace) -> batch.Job:
    """The job of a command line. Raises ConfigError, KeyRequired."""
    if arguments.columns and arguments.detect_columns:
        raise ConfigError("--columns and --detect-columns: name the columns, or let them be found")
    config = leaning(command_line.config_of(arguments), asked=arguments.operating_point is not None)
    types = command_line.types_of(arguments)
    policy = load_policy(arguments.policy) if arguments.policy else config.redaction
    key = RedactionKey.find(arguments.key_file or config.redaction_key_file)
    redactor = Redactor(policy, key, types, by_patterns=config.extractor.detectors != "model")
    return batch.Job(
        name="redact",
        options=command_line.options_of(arguments),
        work=Work(
            redactor, config.extractor, types, arguments.operating_point, keep_bad=arguments.bad_row_texts
        ),
        config=config,
        detect_rows=arguments.detect_columns,
        facts=redactor.facts,
        finish=redactor.certify,
        **command_line.shared(arguments),
    )


def leaning(config: ServeConfig, *, asked: bool) -> ServeConfig:
    """The recipe with the operating point of redaction, unless somebody asked for another."""
    if asked:
        return config
    extractor = config.extractor.model_copy(update={"operating_point": config.redaction_point})
    return config.model_copy(update={"extractor": extractor})


if __name__ == "__main__":
    sys.exit(main())
