"""``pii redact``: replace entities in a JSONL or plain text file; nothing else changes.

    pii redact notes.txt -o clean.txt
    pii redact rows.jsonl -o clean.jsonl --detectors patterns

What is put in place of an entity is the recipe's ``redaction``, or the policy of ``--policy``. Each row is
verified: a row that would leak is not written. Beside OUT stands ``OUT.certificate.json``.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from configs.atomic import writing
from configs.reader import dump
from configs.stage import file_hash
from pii.redaction import KeyRequired, Policy, RedactionKey, Tally, load_policy, redact_verified
from serving import batch
from serving.extractor import Extraction
from serving.rows import Row, splice

JSONL_ENDINGS = frozenset({".jsonl", ".ndjson"})


class Redactor:
    """Writes rows without their entities, by one policy.

    Raises KeyRequired: the policy needs a key, and there is none.
    """

    def __init__(
        self, policy: Policy, form: batch.Format, key: RedactionKey | None, types: Sequence[str] | None
    ) -> None:
        if policy.needs_key and key is None:
            raise KeyRequired(policy.needs_key)
        self._policy, self._form, self._key, self._types = policy, form, key, types

    @property
    def facts(self) -> dict[str, str]:
        """What a job by this redactor consists of; another policy or key is another job."""
        policy = hashlib.sha256(dump(self._policy).encode()).hexdigest()
        return {"policy": policy, "key": self._key.id if self._key else ""}

    def certify(self, out: Path, counts: Mapping[str, int], identity: Mapping[str, str]) -> None:
        """Write the certificate of a finished job beside its result."""
        hashes = {name: identity[name] for name in ("input", "policy", "model") if name in identity}
        hashes |= {"answer_format": identity["answer format"], "output": file_hash(out)}
        tally = Tally({**counts, "leaking_rows": counts.get("bad: leak", 0)})
        with writing(out.with_name(f"{out.name}.certificate.json")) as file:
            file.write(tally.certificate(hashes, self._key).as_json())

    def __call__(self, row: Row, extraction: Extraction, counts: Counter[str]) -> str:
        """The row's line or block with its entities replaced.

        Entities that an earlier extraction wrote beside the text would give away what is taken out of it:
        they become an empty list. Raises LeakError.
        """
        assert row.text is not None
        verified = redact_verified(
            row.text, extraction.suspected, self._policy, key=self._key, types=self._types
        )
        tally = Tally()
        tally.add(verified)
        del tally.counts["rows"]  # the job counts them itself
        counts.update(tally.counts)
        clean = verified.redacted.text
        if self._form == "text":
            return clean
        values: dict[str, object] = {"text": clean}
        if any(key == "entities" for key, _, _ in row.members):
            values["entities"] = []
        return splice(row, values)


def _form_of(name: str, chosen: batch.Format | None) -> batch.Format:
    return chosen or ("jsonl" if Path(name).suffix.lower() in JSONL_ENDINGS else "text")


def main(argv: list[str] | None = None) -> int:
    """Redact a file. Exit codes: see `serving.batch`."""
    parser = batch.parser("redact", "Replace entities in the `text` of JSONL lines, or in plain text.")
    parser.add_argument(
        "--format", choices=("jsonl", "text"), help="default: by the ending .jsonl or .ndjson, otherwise text"
    )
    parser.add_argument(
        "--policy", metavar="NAME|FILE", help="pipl, gdpr, hipaa-safe-harbor, logs, or a file"
    )
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="key of the policy's operators")
    arguments = parser.parse_args(argv)

    def prepare() -> batch.Job:
        config = batch.config_of(arguments)
        if arguments.operating_point is None:
            leaning = config.extractor.model_copy(update={"operating_point": config.redaction_point})
            config = config.model_copy(update={"extractor": leaning})
        form = _form_of(arguments.input, arguments.format)
        types = batch.types_of(arguments)
        policy = load_policy(arguments.policy) if arguments.policy else config.redaction
        key = RedactionKey.find(arguments.key_file or config.redaction_key_file)
        redactor = Redactor(policy, form, key, types)
        return batch.Job(
            name="redact",
            source=arguments.input,
            out=arguments.out,
            format=form,
            types=types,
            config=config,
            write=redactor,
            point=arguments.operating_point,
            facts=redactor.facts,
            finish=functools.partial(redactor.certify, Path(arguments.out)),
        )

    return batch.run(prepare)


if __name__ == "__main__":
    sys.exit(main())
