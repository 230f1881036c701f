"""The page of entity types is written from the code: it cannot say what is no longer so."""

import os
from pathlib import Path

from pii import reference
from pii.taxonomy import shipped

PAGE = Path(__file__).parents[1] / "docs" / "entity_types.md"


def test_golden_page_is_current():
    if os.environ.get("GOLDEN") == "rewrite":
        assert reference.main(["-o", str(PAGE)]) == 0
    assert PAGE.read_text(encoding="utf-8") == reference.page(shipped()), "run `make golden`"


def test_every_type_has_a_row_and_prints(capsys):
    assert reference.main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"| `{type.name}` |" in printed for type in shipped())
