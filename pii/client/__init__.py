"""Ask a running service from Python.

    from pii.client import Client

    with Client("http://localhost:8000") as client:
        for entity in client.extract("我叫张三，电话13800138000").entities:
            print(entity.type, entity.start, entity.end)
        print(client.redact("Mail jane.doe@contoso.com").text)

`AsyncClient` is the same with ``await``. Where the service is busy or still loading, both come again when it
said they may.
"""

from pii.answers import (
    Entity,
    EntityKind,
    Extracted,
    Failed,
    Part,
    ProblemDetails,
    RedactedText,
    Replaced,
    RestoredText,
    Version,
)
from pii.client.calls import ExtractOptions, RedactOptions, RestoreOptions
from pii.client.clients import AsyncClient, Client
from pii.client.errors import ClientError, Refused, Unavailable, Unreachable
from pii.client.retries import Retries

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Entity",
    "EntityKind",
    "ExtractOptions",
    "Extracted",
    "Failed",
    "Part",
    "ProblemDetails",
    "RedactOptions",
    "RedactedText",
    "Refused",
    "Replaced",
    "RestoreOptions",
    "RestoredText",
    "Retries",
    "Unavailable",
    "Unreachable",
    "Version",
]
