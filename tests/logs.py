"""Everything that is logged, as it would be without any care: for tests that nothing of a text is in it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def all_records(without: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """The records of all loggers at every level, formatted plainly, as they come.

    Args:
        without: loggers whose names begin so are not listened to.
    """
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not record.name.startswith(without):
                lines.append(logging.Formatter("%(name)s %(message)s").format(record))

    handler, root = Keep(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(handler)
    root.setLevel(level)
