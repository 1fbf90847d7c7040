"""Runs the page of `lrscan app` in a process and a folder of its own, and sends requests to it."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from keras_lrscan.app.server import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["START_SECONDS", "Reply", "Request", "Server", "multipart", "running"]

START_SECONDS = 120.0
"""Longest start of the page and of its processes."""

BOUNDARY = b"page-server-boundary"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request.

    Attributes:
        method: The method.
        path: The path.
        body: The body.
        headers: The headers; the length of the body is added.
    """

    method: str = "POST"
    path: str = "/"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The answer to a request: its status, its text, and how long it took."""

    status: int
    text: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Server:
    """A page that runs.

    Attributes:
        port: Its port on the loopback interface.
        folder: Its working folder, which is also its folder for temporary files.
        process: Its process.
    """

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def send(self, request: Request, *, timeout: float) -> Reply:
        """Sends a request and returns the reply.

        Raises:
            OSError: If the connection breaks, or if there is no reply in time.
            http.client.HTTPException: If the reply is not HTTP.
        """
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(request.method, request.path, request.body, dict(request.headers))
            reply = connection.getresponse()
            text = reply.read().decode("utf-8")
        return Reply(status=reply.status, text=text, seconds=time.perf_counter() - start)


def multipart(*parts: tuple[bytes, bytes], boundary: bytes = BOUNDARY) -> Request:
    """Returns the request of a form.

    Args:
        parts: The `Content-Disposition` after `form-data`, and the content, of each part.
        boundary: The line between parts.
    """
    lines = [
        b"--%b\r\nContent-Disposition: form-data%b\r\n\r\n%b\r\n" % (boundary, disposition, content)
        for disposition, content in parts
    ]
    body = b"".join([*lines, b"--%b--\r\n" % boundary])
    return Request(body=body, headers={"Content-Type": f"multipart/form-data; boundary={boundary.decode('latin-1')}"})


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Starts the page in an empty folder, yields it when it answers, and stops it.

    Args:
        folder: Working folder of the server, and its folder for temporary files.
    """
    port = free_port("127.0.0.1", 0)
    command = [sys.executable, "-c", "import sys; from keras_lrscan.cli import main; sys.exit(main())"]
    # the package of this checkout, since the working folder is another one
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": paths}
    process = subprocess.Popen(
        [*command, "app", "--port", str(port), "--no-browser"],
        cwd=folder,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    server = Server(port=port, folder=folder, process=process)
    try:
        _wait_for(server)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def _wait_for(server: Server) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.process.poll() is None:
        with contextlib.suppress(OSError):
            server.send(Request(method="GET"), timeout=10)
            return
        time.sleep(0.1)
    msg = f"Expected the page to answer at port {server.port}. Received: no answer."
    raise RuntimeError(msg)
