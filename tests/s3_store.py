"""A real S3 server in a process of its own: moto behind a door that can hold or break what comes in.

Run as a program it serves on a free port, writes that to a file, and looks at the files beside it. ``hold``
names a stage of an upload in parts, ``begin`` or ``part`` (the second one): there a request waits as long as
the file says so, after it has made a file ``held``. With ``break`` the second part is refused.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


class Store:
    """A running server.

    Attributes:
        environment: what a client has to know of it.
        client: a client that has nothing to do with the product.
        folder: of the files that hold and break.
    """

    def __init__(self, folder: Path, port: int) -> None:
        import boto3

        address = f"http://127.0.0.1:{port}"
        self.folder = folder
        self.environment = {**KEYS, "AWS_ENDPOINT_URL": address, "NO_PROXY": "127.0.0.1"}
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def hold(self, stage: str) -> None:
        """Let uploads wait at a stage; an empty one lets all go on."""
        (self.folder / "held").unlink(missing_ok=True)
        changed = self.folder / "hold.new"
        changed.write_text(stage)
        changed.replace(self.folder / "hold")

    @property
    def is_held(self) -> bool:
        """Whether a request waits, or has waited, at the stage."""
        return (self.folder / "held").exists()

    def names(self, bucket: str) -> list[str]:
        """The names of all objects."""
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def read(self, bucket: str, name: str) -> bytes:
        """An object."""
        content: bytes = self.client.get_object(Bucket=bucket, Key=name)["Body"].read()
        return content


@contextmanager
def storing(folder: Path) -> Iterator[Store]:
    """A server that is empty at first, and gone behind the block."""
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, __file__, str(folder)], stdout=log, stderr=log)
    try:
        port = folder / "port"
        end = time.monotonic() + 60
        while not port.exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
        yield Store(folder, int(port.read_text()))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)


class Door:
    """Middleware (WSGI) before the store.

    Args:
        store: the application.
        folder: of the files that it looks at.
    """

    def __init__(self, store: Callable[..., Iterable[bytes]], folder: Path) -> None:
        self._store, self._folder = store, folder

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        stage = _stage(environ)
        if stage and self._held() == stage:
            (self._folder / "held").touch()
            while self._held() == stage:
                time.sleep(0.01)
        if stage == "part" and (self._folder / "break").exists():
            start_response("403 Forbidden", [("Content-Length", "0")])
            return [b""]
        return self._store(environ, start_response)

    def _held(self) -> str:
        hold = self._folder / "hold"
        return hold.read_text() if hold.exists() else ""


def _stage(environ: dict[str, Any]) -> str:
    asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    if environ["REQUEST_METHOD"] == "POST" and "uploads" in asked:
        return "begin"
    return "part" if asked.get("partNumber") == ["2"] else ""


def _serve(folder: Path) -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    door = Door(DomainDispatcherApplication(create_backend_app), folder)
    server = make_server("127.0.0.1", 0, door, threaded=True)
    unfinished = folder / "port.new"
    unfinished.write_text(str(server.port))
    unfinished.replace(folder / "port")
    server.serve_forever()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
