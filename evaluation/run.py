"""`pii eval`: measure what serving really does.

    pii eval --config configs/mini/eval.yaml     measure a model; writes report.json and report.md
    pii eval data FILE --card CARD               measure it on a labelled file of one's own
    pii eval unlabelled FILE                     what independent detectors agree on, without labels
    pii eval peers                               the other detectors that a recipe can measure
    pii eval compare RUN_A RUN_B                 are two measurements of the same documents different?
    pii eval robustness                          what is left when the same documents are written otherwise?
    pii eval speed                               how fast are library, service and engine?

Calibrates the model first where its folder has no scores yet (`pii calibrate`). Reads the gold documents,
asks the extractor that serves, in one pass for the merged result, the model alone and the patterns alone, and
scores. Exit code 0: done; 1: a threshold does not hold or seqeval disagrees;
2: something to mend.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from configs import command
from configs.atomic import writing
from configs.errors import StageError
from evaluation import calibrate, claims, compare, markdown, report
from evaluation.measure import PAGE, evaluate
from evaluation.recipe import EvalConfig, SplitConfig

logger = logging.getLogger(__name__)

_WHAT = "Measure what serving really does; also `pii eval data`, `compare`, `robustness` and `speed`."


def main(argv: list[str] | None = None) -> int:
    """Run one of the evaluation commands; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    commands = {
        "data": _measure_file,
        "unlabelled": _unlabelled,
        "compare": _compare,
        "robustness": _robustness,
        "speed": _speed,
        "peers": _peers,
    }
    if words and words[0] in commands:
        return command.run(lambda: commands[words[0]](words[1:]))
    return command.run(lambda: _measure_recipe(words))


def _measure_recipe(words: Sequence[str]) -> int:
    parser = command.parser("pii eval", _WHAT, "mini/eval.yaml")
    parser.add_argument(
        "--record",
        action="store_true",
        help="write the headline's numbers into the model folder, as what its card claims",
    )
    arguments = parser.parse_args(words)
    return _measure(command.config_of(arguments, EvalConfig), record=arguments.record)


def _measure_file(words: Sequence[str]) -> int:
    what = "Measure on a labelled file or folder; detector and settings come from the recipe."
    parser = command.parser("pii eval data", what, "mini/eval.yaml")
    parser.add_argument("file", type=Path, metavar="FILE", help="labelled file or folder")
    parser.add_argument(
        "--card",
        metavar="CARD",
        help="format and label map: a shipped source card such as msra, or a YAML file; "
        "left out: JSONL as `pii data` writes it",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default: beside the recipe's output"
    )
    arguments = parser.parse_args(words)
    return _measure(_with_file(command.config_of(arguments, EvalConfig), arguments))


def _with_file(config: EvalConfig, arguments: argparse.Namespace, split: str | None = None) -> EvalConfig:
    """The recipe with the one file in place of its splits; its thresholds speak of other splits."""
    name = arguments.file.name.split(".")[0]
    wanted = SplitConfig(file=arguments.file, card=arguments.card)
    output = arguments.output or config.output.with_name(f"{config.output.name}-{name}")
    return config.model_copy(update={"splits": {split or name: wanted}, "output": output, "thresholds": ()})


def _unlabelled(words: Sequence[str]) -> int:
    from evaluation import unlabelled
    from serving.extractor import Extractor

    what = "Estimate recall and precision on a file without labels, from what independent detectors agree on."
    parser = command.parser("pii eval unlabelled", what, "mini/eval-peers.yaml")
    parser.add_argument("file", type=Path, metavar="FILE", help='JSON lines with "text", or a folder of them')
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default: beside the recipe's output"
    )
    parser.add_argument(
        "--with-text", action="store_true", help="show values and their surroundings in review.jsonl"
    )
    arguments = parser.parse_args(words)
    arguments.card = None
    config = _with_file(command.config_of(arguments, EvalConfig), arguments, unlabelled.SPLIT)
    made = unlabelled.run(config, lambda: Extractor.open(config.extractor), with_text=arguments.with_text)
    sys.stdout.write("\n".join([*unlabelled.table(made), "", f"{config.output / unlabelled.PAGE}", ""]))
    return 0


def _peers(words: Sequence[str]) -> int:
    from evaluation.peers import listing

    parser = command.parser("pii eval peers", "List the other detectors that a recipe can measure.")
    parser.add_argument(
        "--python", type=Path, metavar="FILE", help="look in this interpreter instead of ours"
    )
    for kind, version, types in listing.rows(parser.parse_args(words).python):
        sys.stdout.write(f"{kind}: {version}\n    types: {types}\n")
    return 0


def _measure(config: EvalConfig, *, record: bool = False) -> int:
    from serving.extractor import Extractor

    def opener() -> Extractor:
        return Extractor.open(config.extractor)

    def free_opener() -> Extractor:
        return Extractor.open(config.extractor.model_copy(update={"grounded": False, "detectors": "model"}))

    calibrate.ensure(config, opener)
    made = evaluate(config, opener, free_opener)
    own = [gap for gap in made["gaps"] if gap["system"] not in made["peers"]]
    lines = [*markdown.headline(made), "", *markdown.gaps(own), *(f"- {note}" for note in made["notes"])]
    sys.stdout.write("\n".join([*lines, "", f"{config.output / PAGE}", ""]))
    failed = report.failures(made)
    for reason in failed:
        logger.error(reason)
    if record and not failed:
        if config.extractor.model is None:
            raise StageError("--record needs a model; the recipe measures the patterns alone")
        claims.record(config.extractor.model, made)
    return 1 if failed else 0


def _robustness(words: Sequence[str]) -> int:
    from evaluation import robustness, robustness_page
    from serving.extractor import Extractor

    arguments = robustness.parser().parse_args(words)
    config = robustness.config_of(arguments)
    names = arguments.only or list(robustness.suite())
    made = robustness.evaluate(config, names, lambda: Extractor.open(config.extractor))
    sys.stdout.write("\n".join([*robustness_page.page(made), "", f"{config.output / robustness.PAGE}", ""]))
    return 0


def _speed(words: Sequence[str]) -> int:
    from evaluation import bench, speed

    arguments = speed.parser().parse_args(words)
    config = speed.config_of(arguments)
    effort = bench.Effort(arguments.seconds, arguments.requests, tuple(arguments.ways))
    made = speed.evaluate(config, arguments.lengths, arguments.concurrency, effort)
    sys.stdout.write("\n".join([*speed.page(made), "", f"{config.output / speed.PAGE}", ""]))
    return 0


def _compare(words: Sequence[str]) -> int:
    parser = command.parser("pii eval compare", "Are two measurements of the same documents different?")
    parser.add_argument("a", type=Path, metavar="A", help="folder of `pii eval`")
    parser.add_argument("b", type=Path, metavar="B", help="another one")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--systems",
        nargs=2,
        metavar=("SYSTEM_OF_A", "SYSTEM_OF_B"),
        help="such as merged presidio; A and B may be one folder (default: each system with its namesake)",
    )
    arguments = parser.parse_args(words)
    systems = tuple(arguments.systems) if arguments.systems else None
    found = compare.runs(arguments.a, arguments.b, seed=arguments.seed, systems=systems)
    if arguments.output:
        with writing(arguments.output) as file:
            json.dump(found, file, ensure_ascii=False, indent=2)
            file.write("\n")
    sys.stdout.write("\n".join([*compare.table(found), ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
