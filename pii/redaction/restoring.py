"""``pii restore``: open the sealed tokens of a redacted file.

    pii restore clean.txt -o notes.txt --key-file key.txt
    pii restore clean.jsonl -o rows.jsonl --key-file key.txt

Everything but the tokens of this key keeps its bytes. JSON and HTML files get values written as these want.
"""

from __future__ import annotations

import html
import json
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from configs import command
from configs.atomic import writing
from configs.errors import UserError
from pii.errors import DataError
from pii.redaction.keys import ENVIRONMENT, RedactionKey
from pii.redaction.sealing import Restored, restore

logger = logging.getLogger(__name__)


def _in_json(value: str) -> str:
    """A value as it stands between the quotes of a JSON string."""
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _in_cell(value: str) -> str:
    """A value as it stands in a cell of CSV that may or may not be in quotes. Raises DataError."""
    if any(char in '",;\t\r\n' for char in value):
        raise DataError("a value has a delimiter, quote or line end, and no place in this cell")
    return value


_WRITTEN_AS: Mapping[str, Callable[[str], str]] = {
    ".jsonl": _in_json,
    ".ndjson": _in_json,
    ".json": _in_json,
    ".csv": _in_cell,
    ".tsv": _in_cell,
    ".html": html.escape,
    ".htm": html.escape,
}
"""Ending of a name → how a value is written where its token stood; other files are plain text."""

_NOT_LINES = frozenset({".parquet", ".pq", ".docx", ".xlsx", ".gz", ".zst"})
"""Files whose tokens do not stand in them as text."""


def _lines(
    source: Path, out: Path, key: RedactionKey, tenant: str, *, tolerant: bool
) -> tuple[int, int, int]:
    """Restore a file line by line; returns how many tokens were opened, foreign and refused."""
    written_as = _WRITTEN_AS.get(source.suffix.lower(), str)
    restored = foreign = refused = 0
    # Line feeds stay as they are, and bytes that are not UTF-8 go through unchanged.
    with (
        source.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines,
        writing(out, "wb") as file,
    ):
        for number, line in enumerate(lines, 1):
            try:
                done: Restored = restore(line, key, tenant, tolerant=tolerant, written_as=written_as)
            except DataError as error:
                raise DataError(f"{source}:{number}: {error}") from None
            file.write(done.text.encode("utf-8", "surrogateescape"))
            restored += done.num_restored
            foreign += done.num_foreign
            refused += len(done.refused)
    return restored, foreign, refused


def main(argv: list[str] | None = None) -> int:
    """Restore a file; 0 done, 2 something to mend, 3 done and some tokens did not open."""
    parser = command.parser("pii restore", "Open the tokens that the operator encrypt wrote.")
    parser.add_argument("input", type=Path, metavar="IN", help="redacted text or JSONL file")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="the restored file")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help=f"the key (default: {ENVIRONMENT})")
    parser.add_argument("--tenant", default="", help="tenant of the policy that sealed it")
    parser.add_argument(
        "--tolerant", action="store_true", help="leave tokens that do not open, and count them"
    )
    arguments = parser.parse_args(argv)

    def body() -> int:
        key = RedactionKey.find(arguments.key_file)
        if key is None:
            raise UserError(f"name a key file, or set {ENVIRONMENT}")
        if not arguments.input.is_file():
            raise UserError(f"{arguments.input}: no such file")
        if arguments.input.suffix.lower() in _NOT_LINES:
            raise UserError(
                f"{arguments.input}: only text, JSON, CSV and HTML are restored; unpack or convert it"
            )
        restored, foreign, refused = _lines(
            arguments.input, arguments.out, key, arguments.tenant, tolerant=arguments.tolerant
        )
        logger.info("restored %d, foreign %d, refused %d", restored, foreign, refused)
        return 3 if refused else 0

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
