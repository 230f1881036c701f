"""The root of the errors that a person can mend, and the one of this room.

UserError                 printed by a command as one line; exit code 2
├── ConfigError           a YAML file or a ``--set``: unknown key, wrong type, broken bound
├── StageError            a stage's files: missing input, output that would be mixed with an older one
└── (pii.errors)          DataError, RequestError, ModelFolderError

No message may hold text or values of documents: names, places (file:line, offsets) and counts only.
"""


class UserError(ValueError):
    """Something that the person who runs a command, or the caller of the service, can mend."""


class ConfigError(UserError):
    """A configuration that cannot be used; the message names the dotted path and what was expected."""


class StageError(UserError):
    """A stage cannot start: its input is missing or its output folder is not what it expects."""
