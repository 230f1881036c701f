"""Errors cross from worker processes to the one that people read, whole."""

import pickle

import pytest

from configs.errors import UserError
from pii.errors import RequestError
from pii.redaction.keys import KeyRequired
from pii.redaction.verification import Leak, LeakError, Leaks
from pii.spans import Span

RAISED = [
    RequestError("unknown_type", "types[1]", "no such type"),
    KeyRequired("hash"),
    LeakError(Leaks((Leak("value", Span(0, 3, "PHONE_NUMBER")),))),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_an_error_says_the_same_in_another_process(error: UserError) -> None:
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
