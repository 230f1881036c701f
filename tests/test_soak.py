"""Under twice the load that a service takes nothing is lost, crossed or leaked; ten minutes of it are `pii
soak`."""

import pytest

from evaluation.soak import Seen, _check, _text, soak


def test_a_lost_and_a_crossed_answer_are_noticed() -> None:
    seen = Seen()
    own, other = _text(1)[1], _text(2)[1]
    _check(seen, "one", [{"type": "EMAIL_ADDRESS", "value": own}], own)
    assert not seen.wrong
    _check(seen, "one", [], own)
    _check(seen, "one", [{"type": "EMAIL_ADDRESS", "value": other}], own)
    assert seen.wrong == {"one: lost": 1, "one: crossed": 1}


@pytest.mark.slow
def test_some_seconds_of_mixed_load() -> None:
    report = soak(["--set", "extractor.detectors=patterns"], 12.0)
    assert report["wrong"] == {}
    assert report["lives"]
    assert not report["log_holds_text"]
    # It was too much, and somebody was refused; others were answered.
    assert report["refused"] > 0
    assert all(report["answers"].get(f"{kind} 200", 0) > 0 for kind in ("one", "many", "redact"))
    assert report["answers"]["left"] > 0
    assert report["memory_growth"] < 0.2
