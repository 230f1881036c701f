"""``pii keys``: make, list and withdraw the API keys of a service.

pii keys add billing --file keys.yaml
pii keys list --file keys.yaml
pii keys remove billing --file keys.yaml
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import ValidationError

from configs import command
from configs.errors import ConfigError
from configs.reader import load
from serving import keys


def main(argv: list[str] | None = None) -> int:
    """Change or show a file of keys; returns the exit code."""
    parser = command.parser("pii keys", "API keys of the service; a running one notices the change.")
    actions = parser.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="make a key and print it, this once")
    add.add_argument("name", help="who will use it; stands in logs")
    add.add_argument("--not-after", metavar="YYYY-MM-DD", help="its last day, in UTC")
    add.add_argument("--requests-per-minute", type=int, metavar="N", help="a limit of its own")
    remove = actions.add_parser("remove", help="withdraw the keys of a name")
    remove.add_argument("name")
    listing = actions.add_parser("list", help="show names and limits")
    for action in (add, remove, listing):
        action.add_argument("--file", type=Path, default=Path("keys.yaml"), help="default: keys.yaml")
    arguments = parser.parse_args(argv)

    def body() -> int:
        if arguments.action == "add":
            members = {"not_after": arguments.not_after, "requests_per_minute": arguments.requests_per_minute}
            try:
                sys.stdout.write(keys.add(arguments.file, arguments.name, **members) + "\n")
            except ValidationError as error:
                wrong = ", ".join(str(fault["loc"][0]) for fault in error.errors(include_input=False))
                raise ConfigError(f"cannot be used: {wrong}") from None
        elif arguments.action == "remove":
            if not keys.remove(arguments.file, arguments.name):
                raise ConfigError(f"{arguments.file}: no key of that name")
        else:
            for entry in load(arguments.file, keys.KeyFile).keys:
                limit = f"{entry.requests_per_minute}/min" if entry.requests_per_minute else "-"
                sys.stdout.write(f"{entry.name}\t{entry.not_after or '-'}\t{limit}\t{entry.hash[:17]}\n")
        return 0

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
