"""``pii redact``: replace entities in a JSONL or plain text file; nothing else changes.

    pii redact notes.txt -o clean.txt
    pii redact rows.jsonl -o clean.jsonl --detectors patterns

What is put in place of an entity is the recipe's ``redaction``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pii.redaction import Policy, redact
from serving import batch
from serving.extractor import Extraction
from serving.rows import Row, splice

JSONL_ENDINGS = frozenset({".jsonl", ".ndjson"})


class Redactor:
    """Writes rows without their entities, by one policy."""

    def __init__(self, policy: Policy, form: batch.Format) -> None:
        self._policy, self._form = policy, form

    def __call__(self, row: Row, extraction: Extraction) -> str:
        """The row's line or block with its entities replaced.

        Entities that an earlier extraction wrote beside the text would give away what is taken out of it:
        they become an empty list.
        """
        assert row.text is not None
        clean: str = redact(row.text, extraction.suspected, self._policy).text
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
    arguments = parser.parse_args(argv)

    def prepare() -> batch.Job:
        config = batch.config_of(arguments)
        form = _form_of(arguments.input, arguments.format)
        return batch.Job(
            name="redact",
            source=arguments.input,
            out=arguments.out,
            format=form,
            types=batch.types_of(arguments),
            config=config,
            write=Redactor(config.redaction, form),
        )

    return batch.run(prepare)


if __name__ == "__main__":
    sys.exit(main())
