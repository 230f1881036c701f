"""`pii study NAME`: one question, answered by running the real stages once for each variant.

    pii study format
    pii study my-study.yaml --only value grouped

A study is a YAML file (`configs/studies/` holds those that come with the program): stages in their order,
each a command with its recipe; variants, or a grid, which change fields of these recipes; and columns, each a
number of a stage's report. Where a recipe names the folder of an earlier stage's recipe, it gets the folder
which that stage made for this variant. Variants that do not differ up to a stage share its folder, and a
finished stage is not run again, so a study that was cut off goes on. A study of times runs its last stage in
rounds: the variants in turn, then in the opposite order, and so on.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from configs import command
from configs.atomic import writing
from configs.errors import ConfigError
from configs.reader import RECIPES, load, override
from evaluation import report, study_page
from evaluation.study_recipe import StudyConfig
from evaluation.study_stages import Run, execute, plan

logger = logging.getLogger(__name__)

STUDIES = RECIPES / "studies"
REPORT, PAGE, PLOT = "study.json", "study.md", "study.svg"
SCHEMA_VERSION = 2


def schedule(plans: Mapping[str, Sequence[Run]], rounds: int) -> Iterator[tuple[str, Run]]:
    """Every stage of every variant, in the order in which they run: A B, B A, A B ..."""
    for number in range(rounds):
        for name in list(plans) if number % 2 == 0 else reversed(list(plans)):
            *shared, last = plans[name]
            yield from ((name, run) for run in shared)
            yield name, last.again(number)


def numbers(config: StudyConfig, runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """The columns of one variant: heading → value with its interval; null where the report has none.

    Where there are several rounds: the median, the least and the greatest.
    """
    *shared, last = runs
    rounds = [
        {
            run.stage: json.loads(run.result.read_text(encoding="utf-8"))
            for run in (*shared, last.again(number))
        }
        for number in range(config.rounds)
    ]
    found = {}
    for heading, column in config.columns.items():
        estimates = [_estimate(reports[column.stage], column.metric) for reports in rounds]
        found[heading] = estimates[0] if config.rounds == 1 else _middle([e["value"] for e in estimates])
        if config.rounds > 1:
            found[heading]["rounds"] = [e["value"] for e in estimates]
    return found


def _middle(values: Sequence[float | None]) -> dict[str, Any]:
    told = [value for value in values if value is not None]
    if not told:
        return {"value": None, "low": None, "high": None}
    return {"value": statistics.median(told), "low": min(told), "high": max(told)}


def _estimate(made: Mapping[str, Any], metric: str) -> dict[str, Any]:
    value = report.lookup(made, metric)
    low, high = (_bound(made, f"{metric}.{end}") for end in ("low", "high"))
    return {"value": value, "low": low, "high": high}


def _bound(made: Mapping[str, Any], metric: str) -> float | None:
    try:
        return report.lookup(made, metric)
    except ConfigError:
        # A plain number has no interval.
        return None


def _add_ratios(config: StudyConfig, variants: Mapping[str, Any], first: str) -> None:
    """Beside the numbers that are asked for as ratios, the multiple of the first variant's in each round."""
    if first not in variants:
        return
    for part in variants.values():
        for heading in (name for name, column in config.columns.items() if column.ratio):
            own, base = (
                one["numbers"][heading].get("rounds", [one["numbers"][heading]["value"]])
                for one in (part, variants[first])
            )
            pairs = zip(own, base, strict=True)
            part["numbers"][heading]["ratio"] = _middle(
                [a / b if a is not None and b else None for a, b in pairs]
            )


def study(config: StudyConfig, only: Sequence[str] = ()) -> dict[str, Any]:
    """Run what is not done, and write table and plot after each variant."""
    chosen = {n: c for n, c in config.all_variants().items() if not only or n in only}
    if missing := [name for name in only if name not in chosen]:
        raise ConfigError(f"--only {missing[0]}: the study has {', '.join(config.all_variants())}")
    plans = {name: plan(config, changes) for name, changes in chosen.items()}
    for name, run in schedule(plans, config.rounds):
        if run.is_done:
            continue
        logger.info("%s: pii %s into %s", name, " ".join((run.command, *run.arguments)), run.folder)
        execute(run)
        if run.stage == plans[name][-1].stage:
            _write(config, _made(config, chosen, plans))
    made = _made(config, chosen, plans)
    _write(config, made)
    return made


def _made(
    config: StudyConfig, chosen: Mapping[str, Mapping[str, Any]], plans: Mapping[str, Sequence[Run]]
) -> dict[str, Any]:
    """The report, of the variants of which every stage is finished in every round."""
    variants = {
        name: {
            "changes": chosen[name],
            "folders": {run.stage: str(run.folder) for run in runs},
            "numbers": numbers(config, runs),
        }
        for name, runs in plans.items()
        if all(run.is_done for _, run in schedule({name: runs}, config.rounds))
    }
    _add_ratios(config, variants, next(iter(plans)))
    return {
        "schema_version": SCHEMA_VERSION,
        "question": config.question,
        "rounds": config.rounds,
        "variants": variants,
    }


def _write(config: StudyConfig, made: Mapping[str, Any]) -> None:
    with writing(config.output / REPORT) as file:
        json.dump(made, file, ensure_ascii=False, indent=2)
        file.write("\n")
    with writing(config.output / PAGE) as file:
        file.write("\n".join([f"# {config.question}", "", *study_page.table(config, made), ""]))
    with writing(config.output / PLOT) as file:
        file.write(study_page.plot(config, made))


def changed(config: StudyConfig, changes: Sequence[str]) -> StudyConfig:
    """The study with ``stage.field=value`` set for all variants. Raises ConfigError."""
    stages = dict(config.stages)
    for change in changes:
        place, equals, raw = change.partition("=")
        name, _, field = place.partition(".")
        if not equals or not field or name not in stages or stages[name].recipe is None:
            raise ConfigError(f"--change: expected stage.field=value, a stage of {', '.join(stages)}")
        value = override({}, [f"{field}={raw}"])
        for key in field.split("."):
            value = value[key]
        stages[name] = stages[name].model_copy(update={"set": {**stages[name].set, field: value}})
    return config.model_copy(update={"stages": stages})


def main(argv: list[str] | None = None) -> int:
    """Run a study; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="pii study", description="Answer one question by running the stages once for each variant."
    )
    known = ", ".join(sorted(path.stem for path in STUDIES.glob("*.yaml")))
    parser.add_argument("study", metavar="STUDY", help=f"a YAML file, or one of {known}")
    parser.add_argument("--only", nargs="+", default=[], metavar="VARIANT", help="these variants alone")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="assignments",
        metavar="a.b=c",
        help="change a field of the study itself",
    )
    parser.add_argument(
        "--change",
        action="append",
        default=[],
        metavar="STAGE.a.b=c",
        help="change a field of a stage's recipe, for all variants",
    )
    arguments = parser.parse_args(argv)

    def body() -> int:
        named = STUDIES / f"{arguments.study}.yaml"
        config = load(named if named.is_file() else Path(arguments.study), StudyConfig, arguments.assignments)
        made = study(changed(config, arguments.change), arguments.only)
        sys.stdout.write(
            "\n".join(
                [config.question, "", *study_page.table(config, made), "", f"{config.output / PAGE}", ""]
            )
        )
        return 0

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
