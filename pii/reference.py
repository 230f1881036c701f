"""Write the page of entity types: ``python -m pii.reference -o docs/entity_types.md``."""

from __future__ import annotations

import sys
from pathlib import Path

from configs import command
from configs.atomic import writing
from pii.identifiers.checks import CHECKS
from pii.taxonomy import EntityType, Taxonomy, shipped

_HEAD = """# Entity types

Written from `pii/entity_types.yaml` and `pii/identifiers/` by
`python -m pii.reference -o docs/entity_types.md`; a test compares. Country and issuer are no types: a check
sets them as `subtype` (`cn_resident_id`, `us_ssn`, `unionpay`, `iban`).

- **on**: extracted where a request names no types.
- **tier**: *direct* points at one person by itself, *quasi* together with others, *none* at an organisation.
- **check**: what judges a value. It says yes (a checksum holds), no (one fails, or the value is impossible),
  or nothing (the shape fits and there is no checksum).

| type | 中文 | meaning | on | tier | sensitive by | check |
|---|---|---|---|---|---|---|
"""


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0].replace("``", "`") if text else ""


def _row(entity_type: EntityType) -> str:
    check = CHECKS.get(entity_type.name)
    cells = (
        f"`{entity_type.name}`",
        entity_type.zh,
        entity_type.en,
        "yes" if entity_type.default else "",
        entity_type.tier,
        entity_type.sensitive,
        _first_line(check.__doc__) if check else "",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page(taxonomy: Taxonomy) -> str:
    """The page in Markdown."""
    return _HEAD + "\n".join(_row(entity_type) for entity_type in taxonomy) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Write the page to a file, or to stdout."""
    parser = command.parser("python -m pii.reference", "write the page of entity types")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to (default: stdout)")
    arguments = parser.parse_args(argv)

    def body() -> int:
        if arguments.output is None:
            sys.stdout.write(page(shipped()))
        else:
            with writing(arguments.output) as file:
                file.write(page(shipped()))
        return 0

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
