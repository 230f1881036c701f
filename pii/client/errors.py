"""What can go wrong between a client and the service.

ClientError
├── Unreachable     no answer: no connection, or none that lasted
├── Refused         the service answered with an error that coming again does not mend
└── Unavailable     it answered busy, loading or too late, however often it was asked

No message holds any text of a request.
"""

from __future__ import annotations

from pii.answers import ProblemDetails


class ClientError(Exception):
    """Any failure of a call."""


class Unreachable(ClientError):
    """There was no answer. The message is the kind of failure."""


class _Answered(ClientError):
    """An answer that is an error.

    Attributes:
        problem: the service's account of it: branch on ``problem.code``.
    """

    def __init__(self, problem: ProblemDetails) -> None:
        place = f" at {problem.place}" if problem.place else ""
        super().__init__(f"{problem.status} {problem.code}{place}: {problem.detail}")
        self.problem = problem


class Refused(_Answered):
    """The request is wrong, or not allowed, or the service failed at it."""


class Unavailable(_Answered):
    """The service has no time: come again later."""
