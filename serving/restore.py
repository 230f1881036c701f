"""``pii restore``: open what the operator encrypt sealed, in all formats that ``pii redact`` writes.

    pii restore clean.jsonl -o rows.jsonl --key-file key.txt
    pii restore clean/ -o back/ --key-file key.txt

Files are read and written as for redaction; all but the tokens of this key stays as it is. A file with a
token that does not open, or with tokens of other keys alone, is refused. A result is whole or not there.
"""

from __future__ import annotations

import argparse
import io
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from configs import command
from configs.errors import UserError
from pii.errors import DataError, RequestError
from pii.redaction import RedactionKey, unseal
from pii.redaction.keys import ENVIRONMENT
from serving import progress, source
from serving.batch import is_alone
from serving.command_line import add_file_options, add_progress_options
from serving.files.addresses import STANDARD, appearing
from serving.files.choice import Options
from serving.files.compression import packed
from serving.files.documents import JsonDocument
from serving.files.lines import Jsonl
from serving.files.records import Edit, Record
from serving.source import Input, Piece, Position, pieces_of

logger = logging.getLogger(__name__)

ROWS = 1000
"""Rows that are held in memory at a time, of formats that are read in pieces."""


@dataclass(frozen=True)
class Restorer:
    """Opens the tokens of one key.

    Args:
        key: the key that sealed them.
        tenant: of the policy that sealed them.
        tolerant: whether tokens that do not open are left and counted, instead of refusing their file.
        counts: ``restored``, ``foreign`` (tokens of other keys, and what only looks like one) and ``refused``
            tokens, and ``rows``, over all files.
    """

    key: RedactionKey
    tenant: str = ""
    tolerant: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    def restore(self, index: int, one: Input, shown: progress.Progress, before: int) -> None:
        """Write the result of one bound input.

        Args:
            index: of the input.
            one: the input.
            shown: is told of the progress.
            before: bytes of the inputs before it.

        Raises DataError, without the text: a record cannot be read, a token does not open, or there are
        tokens and none is of this key. Then there is no result.
        """
        assert one.format is not None
        own: Counter[str] = Counter()

        def outputs() -> Iterator[BinaryIO]:
            for piece in pieces_of(index, one, Position(), ROWS):
                output = self._opened(one, piece, own)
                yield io.BytesIO(packed(output, one.target) if piece.format.packs else output)
                shown.advance(before + piece.consumed, self.counts + own)

        with appearing(one.target) as target:
            one.format.join(outputs(), target)
            if own["foreign"] and not own["restored"] and not self.tolerant:
                raise DataError(f"{one.name}: none of its {own['foreign']} tokens is of this key")
        self.counts.update(own)

    def _opened(self, one: Input, piece: Piece, counts: Counter[str]) -> bytes:
        """The output of one piece."""
        cut, format = piece.cut, piece.format
        records = [Record(piece.line, cut.next_line, reason=cut.reason)]
        if not cut.reason:
            records = list(format.records(cut.content, piece.line, _is_text))
        written = []
        for record in records:
            place = one.name if format.whole else f"{one.name}:{record.line}"
            if record.reason:
                raise DataError(f"{place}: cannot be read: {record.reason}")
            if record.content is None:
                continue
            edits = [self._values(record, number, place, counts) for number in range(len(record.slots))]
            try:
                written.append((record, format.written(record, edits, redacted=False)))
            except UnicodeEncodeError:
                raise DataError(f"{place}: a value has characters that the file's encoding lacks") from None
            counts["rows"] += not record.copied
        return format.assembled(cut.content, written)

    def _values(self, record: Record, number: int, place: str, counts: Counter[str]) -> Sequence[Edit]:
        """The values of one slot in place of their tokens."""
        try:
            found = unseal(record.slots[number].text, self.key, self.tenant, tolerant=self.tolerant)
        except DataError as error:
            where = place if len(record.slots) == 1 else f"{place}: text {number + 1}"
            raise DataError(f"{where}: {error}") from None
        counts["restored"] += len(found.values)
        counts["foreign"] += found.num_foreign
        counts["refused"] += len(found.refused)
        return found.values


def _is_text(text: object) -> str:
    """No limit of length: what was sealed is opened, however long its text is."""
    if not isinstance(text, str):
        raise RequestError("text_not_string", "text", "the text has to be a string")
    return text


def restore_files(
    words: Sequence[str], out: str, options: Options, restorer: Restorer, show: progress.Mode
) -> None:
    """Restore what a command line names. Raises UserError: the same as for redaction, and DataError."""
    inputs = source.inputs_of(words, out)
    bound = source.bind(inputs, options, alone=is_alone(inputs, words))
    total = None if STANDARD in words else sum(one.size for one in bound)
    before = 0
    with closing(progress.begun(show, "restore", total, 0)) as shown:
        for index, one in enumerate(bound):
            if one.format is not None and one.format.irreversible:
                raise UserError(f"{one.name}: cannot be restored: {one.format.irreversible}")
            if isinstance(one.format, Jsonl | JsonDocument):
                # A token may stand in any member, whichever ones were redacted. Of two of one name both open.
                one = replace(one, format=replace(one.format, paths=(("$", None),), repeats=True))
            restorer.restore(index, one, shown, before)
            before += one.size


def main(argv: list[str] | None = None) -> int:
    """Restore files; 0 done, 2 something to mend, 3 done, and some tokens were left as they are."""
    parser = command.parser("pii restore", "Open the tokens that the operator encrypt wrote.")
    parser.add_argument("input", metavar="IN", nargs="+", help="redacted file, folder, pattern or address")
    parser.add_argument(
        "-o",
        "--out",
        default=STANDARD,
        metavar="OUT",
        help="result, or folder of results; - (default): stdout",
    )
    parser.add_argument("--key-file", type=Path, metavar="FILE", help=f"the key (default: {ENVIRONMENT})")
    parser.add_argument("--tenant", default="", help="tenant of the policy that sealed it")
    parser.add_argument(
        "--tolerant", action="store_true", help="leave tokens that do not open, and count them"
    )
    add_file_options(parser)
    add_progress_options(parser)
    arguments = parser.parse_args(argv)
    return command.run(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    key = RedactionKey.find(arguments.key_file)
    if key is None:
        raise UserError(f"name a key file, or set {ENVIRONMENT}")
    restorer = Restorer(key, arguments.tenant, arguments.tolerant)
    options = Options(arguments.format, {}, arguments.delimiter, arguments.encoding)
    try:
        restore_files(arguments.input, arguments.out, options, restorer, arguments.progress)
    except OSError as error:
        raise UserError(f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}") from None
    counts = restorer.counts
    logger.info(
        "restored %d, foreign %d, refused %d", *(counts[n] for n in ("restored", "foreign", "refused"))
    )
    if counts["foreign"]:
        logger.warning("%d tokens are of other keys, or none, and stay as they are", counts["foreign"])
    return 3 if counts["refused"] or counts["foreign"] else 0


if __name__ == "__main__":
    sys.exit(main())
