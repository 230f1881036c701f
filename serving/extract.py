"""``pii extract``: find entities in JSONL files; each line keeps its keys and gets ``entities``.

    pii extract notes.jsonl -o found.jsonl --types PERSON_NAME,PHONE_NUMBER

Nothing else of a line changes.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

from configs.errors import ConfigError
from serving import batch, command_line
from serving.files.choice import Options, parse_columns
from serving.files.lines import Jsonl
from serving.files.records import Format, Record
from serving.work import Seen, Work


class Annotator:
    """Writes lines with their entities, and with the parts where the model's answer did not fit, if any."""

    def write(self, format: Format, record: Record, seen: Sequence[Seen], counts: Counter[str]) -> bytes:
        """The line."""
        assert isinstance(format, Jsonl)
        (slot,), (found,) = record.slots, seen
        values: dict[str, object] = {"entities": [span.as_entity(slot.text) for span in found.spans]}
        if found.truncated:
            values["truncated"] = [{"start": start, "end": end} for start, end in found.truncated]
        return format.annotated(record, values)


def main(argv: list[str] | None = None) -> int:
    """Extract from files. Exit codes: see `serving.batch`."""
    parser = command_line.parser("extract", "Find entities in the `text` of each line of JSONL files.")
    arguments = parser.parse_args(argv)

    def prepare() -> batch.Job:
        config = command_line.config_of(arguments)
        columns = parse_columns(arguments.columns)
        if len(columns) > 1 or any("*" in name for name in columns):
            raise ConfigError("--columns: offsets are those of one text; name one")
        types = command_line.types_of(arguments)
        return batch.Job(
            name="extract",
            options=Options("jsonl", columns),
            work=Work(
                Annotator(),
                config.extractor,
                types,
                arguments.operating_point,
                keep_bad=arguments.bad_row_texts,
            ),
            config=config,
            **command_line.shared(arguments),
        )

    return batch.run(prepare)


if __name__ == "__main__":
    sys.exit(main())
