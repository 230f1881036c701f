"""Errors that a person can mend, cut by whose fault they are.

configs.errors.UserError
├── DataError            a row or a file of labelled or unlabelled text
├── RequestError         what a caller asked for: carries a code and a place
└── ModelFolderError     a model folder that is missing, half-written or of another format

An answer of the model that cannot be read is no error: it is a result with a reason (`codec.Answer`).
"""

from typing import Self

from configs.errors import UserError


class DataError(UserError):
    """A row or file that cannot be used. The message names file, line and reason, never the text."""


class RequestError(UserError):
    """A request that cannot be served.

    Attributes:
        code: a stable snake_case word for programs, such as ``unknown_type``.
        place: where in the request, such as ``types[1]``.
    """

    def __init__(self, code: str, place: str, message: str) -> None:
        super().__init__(message)
        self.code, self.place = code, place

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, str]]:
        # An error of a worker process that cannot be pickled reads as a worker that has died.
        return type(self), (self.code, self.place, str(self))


class ModelFolderError(UserError):
    """A model folder that cannot be loaded; the message says what to do."""
