"""``pii extract``: find entities in a JSONL file; each line keeps its keys and gets ``entities``.

    pii extract notes.jsonl -o found.jsonl --types PERSON_NAME,PHONE_NUMBER

Nothing else of a line changes.
"""

from __future__ import annotations

import sys
from collections import Counter

from serving import batch
from serving.extractor import Extraction
from serving.rows import Row, splice


def with_entities(row: Row, extraction: Extraction, _: Counter[str]) -> str:
    """The row's line with its entities, and the parts where the model's answer did not fit, if any."""
    assert row.text is not None
    values: dict[str, object] = {"entities": [span.as_entity(row.text) for span in extraction.spans]}
    if extraction.truncated:
        values["truncated"] = [{"start": start, "end": end} for start, end in extraction.truncated]
    return splice(row, values)


def main(argv: list[str] | None = None) -> int:
    """Extract from a file. Exit codes: see `serving.batch`."""
    parser = batch.parser("extract", "Find entities in the `text` of each line of a JSONL file.")
    arguments = parser.parse_args(argv)

    def prepare() -> batch.Job:
        return batch.Job(
            name="extract",
            source=arguments.input,
            out=arguments.out,
            format="jsonl",
            types=batch.types_of(arguments),
            config=batch.config_of(arguments),
            write=with_entities,
            point=arguments.operating_point,
        )

    return batch.run(prepare)


if __name__ == "__main__":
    sys.exit(main())
