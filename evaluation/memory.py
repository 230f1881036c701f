"""The peak of this process's memory over a piece of work."""

from __future__ import annotations

import re
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""What clears the peak of the resident set: man 5 proc, ``/proc/pid/clear_refs``."""


class PeakMemory:
    """Measures from its making on. Processes that were started meanwhile are not counted."""

    def __init__(self) -> None:
        try:
            _CLEAR.write_text(_RESET_PEAK)
            self._is_reset = True
        except OSError:
            self._is_reset = False

    def read_mb(self) -> float | None:
        """Most resident memory since, in MiB, with what was held before; None where it cannot be told."""
        if not self._is_reset:
            return None
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
        return round(int(found[1]) / 1024, 1) if found else None
