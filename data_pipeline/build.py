"""``pii data [--config FILE] [--set a.b=c]``: sources and synthesis to ``data/<name>/``.

Reads labelled sources and general chat, adds synthetic documents, splits, removes what repeats or leaks,
mixes, renders and proves every example. Writes train.jsonl (or its shards), validation.jsonl, test.jsonl,
foreign.jsonl, refused.jsonl, cells.csv, README.md with its charts and, last, manifest.json.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from configs import command
from configs.stage import Stage, read_manifest
from data_pipeline.assembly import assemble
from data_pipeline.card import CARD_FILES, write_card
from data_pipeline.inputs import fingerprints
from data_pipeline.recipe import DataConfig
from data_pipeline.shards import split_files

logger = logging.getLogger(__name__)


def build(config: DataConfig) -> dict[str, Any]:
    """Build the data set unless its folder holds it already; returns the manifest.

    Raises UserError: a required source is missing, a label is unknown, the folder belongs to something else.
    """
    stage = Stage("data", config.folder, config, fingerprints(config))
    if stage.is_current():
        logger.info("%s is up to date", config.folder)
        return read_manifest(config.folder)
    stage.begin()
    ledger, facts = assemble(config)
    write_card(config, facts, ledger.shown)
    return stage.finish([*ledger.files(), *CARD_FILES], facts)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = command.parser("pii data", __doc__ or "", recipe="mini/data.yaml")
    arguments = parser.parse_args(argv)

    def body() -> int:
        config = command.config_of(arguments, DataConfig)
        manifest = build(config)
        for split, counts in manifest["splits"].items():
            files = split_files(config.folder, split)
            place = files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
            sys.stdout.write(f"{place}  {counts['rows']} rows\n")
        return 0

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
