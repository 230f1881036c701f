"""English words that are written small: what a name with such a word in it has to explain.

    python -m data_pipeline.common_words TEXT... > pii/common_words.txt

``Technician Megan``, ``Smart Home`` and ``Okay`` look like names by their capitals alone. A word that running
text writes with a small letter, and hardly ever with a capital inside of a sentence, is probably none.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

SMALL_TO_LARGE = 3
"""Grace, Mark and King are written small too, but not so much oftener than large."""

_SMALL = re.compile(r"(?<![A-Za-z])[a-z]{2,}(?![A-Za-z])")
_LARGE_INSIDE = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+(?![A-Za-z])")


def common_words(texts: Iterable[str]) -> list[str]:
    """The words that the texts write small, in order of the alphabet.

    Args:
        texts: English, any number; the more, the rarer the words that are known.
    """
    small: Counter[str] = Counter()
    large: Counter[str] = Counter()
    for text in texts:
        small.update(_SMALL.findall(text))
        large.update(word.lower() for word in _LARGE_INSIDE.findall(text))
    return sorted(w for w, count in small.items() if count >= SMALL_TO_LARGE * large[w])


def main() -> None:
    """Print the words of the named files, a line each."""
    parser = argparse.ArgumentParser(description="English words that texts write small, a line each.")
    parser.add_argument("texts", nargs="+", type=Path, metavar="TEXT", help="files of English text")
    files = parser.parse_args().texts
    words = common_words(file.read_text("utf-8", errors="replace") for file in files)
    sys.stdout.writelines(f"{word}\n" for word in words)


if __name__ == "__main__":
    main()
