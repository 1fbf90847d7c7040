"""Runs the page on this computer: reads uploads in memory, and answers in separate processes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import multiprocessing
import os
import socket
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from keras_lrscan.app.answer import Question, answer, form_page, warm_up
from keras_lrscan.errors import InvalidOptionError, missing_dependency
from keras_lrscan.pictures.image import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["PORT", "build_app", "free_port", "serve"]

PORT = 7860
"""Default port, which public hosts of such pages expect."""

LAST_PORT = 65535
"""Largest port that exists."""

MAX_BODY = 4 * MAX_BYTES
"""Largest request: a file, the file of the answer before it in base64, and fields."""

MAX_SECONDS = 120.0
"""Time after which a visitor gets a sentence instead of an answer, the wait for earlier visitors included."""

NUM_WORKERS = 2
"""Most processes that answer at the same time."""

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'self' https:"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The page loads nothing, runs no script, and is not kept by the browser."""

FIELDS = ("lr_low", "lr_high", "loss_low", "loss_high")


def build_app() -> Any:  # noqa: ANN401 - an optional package
    """Returns the page as an ASGI application, for `uvicorn` and other servers.

    Raises:
        MissingDependencyError: If the extra `app` is not installed.
    """
    try:
        import multipart
        from starlette.applications import Starlette
        from starlette.routing import Route
    except ImportError as error:
        purpose, packages = "The page", "starlette, uvicorn and python-multipart"
        raise missing_dependency(purpose, packages, "app") from error
    del multipart

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:  # noqa: ANN401 - an optional package
        app.state.workers = _workers()
        for _ in range(NUM_WORKERS):  # start them before the first visitor comes
            app.state.workers.submit(os.getpid)
        yield
        app.state.workers.shutdown(cancel_futures=True)  # the server ends by its signal, which leaves processes behind

    return Starlette(routes=[Route("/", _page, methods=["GET", "POST"])], lifespan=lifespan)


def serve(*, host: str = "127.0.0.1", port: int = PORT) -> None:
    """Runs the page until Ctrl-C.

    Args:
        host: Address to listen at; by default, only this computer can reach the page.
        port: Port to listen at.

    Raises:
        InvalidOptionError: If the port is in use.
        MissingDependencyError: If the extra `app` is not installed.
    """
    app = build_app()
    import uvicorn

    free_port(host, port)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)


def free_port(host: str, port: int) -> int:
    """Returns the port, or an unused one for 0.

    Raises:
        InvalidOptionError: If the host is not an address of this computer, or the port does not exist or is in use.
    """
    if not 0 <= port <= LAST_PORT:
        msg = f"Argument `port` must be a number from 0 to {LAST_PORT}. Received: port={port}."
        raise InvalidOptionError(msg)
    try:
        socket.getaddrinfo(host, port)
        with socket.create_server((host, port)) as probe:
            return int(probe.getsockname()[1])
    except (OSError, UnicodeError) as error:
        if isinstance(error, (socket.gaierror, UnicodeError)) or error.errno == errno.EADDRNOTAVAIL:
            msg = f"Argument `host` must be an address of this computer. Received: host={host!r} ({error})."
        else:
            free = f"Argument `port` must be a free port of {host}."
            msg = f"{free} Received: port={port} ({error}). Pass another `--port`."
        raise InvalidOptionError(msg) from error


def _workers() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(NUM_WORKERS, mp_context=multiprocessing.get_context("spawn"), initializer=warm_up)


async def _page(request: Any) -> Any:  # noqa: ANN401 - an optional package
    from starlette.responses import HTMLResponse

    if request.method != "POST":
        return HTMLResponse(form_page(), headers=HEADERS)
    question = await _question(request)
    if question is None:
        page = form_page(f"Expected a file of at most {MAX_BYTES / 1e6:.0f} MB. Received: a larger one.")
        return HTMLResponse(page, status_code=413, headers=HEADERS)
    try:
        future = request.app.state.workers.submit(answer, question)
        status, page = await asyncio.wait_for(asyncio.wrap_future(future), MAX_SECONDS)
    except TimeoutError:
        status, page = 503, form_page("The page is busy, and your answer took too long. Please send the form again.")
    except BrokenProcessPool:  # its memory may have run out; the next visitor gets new processes
        request.app.state.workers = _workers()
        status, page = 500, form_page("This file could not be read. Save it again, as PNG or CSV.")
    return HTMLResponse(page, status_code=status, headers=HEADERS)


async def _question(request: Any) -> Question | None:  # noqa: ANN401 - an optional package
    """Returns the fields of the form, or `None` if they are too large. Files stay in memory."""
    from starlette.datastructures import FormData
    from starlette.formparsers import MultiPartException, MultiPartParser

    size = 0

    async def limited() -> AsyncIterator[bytes]:
        nonlocal size
        async for part in request.stream():
            size += len(part)
            if (
                size <= MAX_BODY
            ):  # the rest is read and dropped, since browsers answer a closed connection with an error
                yield part

    parser = MultiPartParser(request.headers, limited(), max_files=1, max_fields=12, max_part_size=2 * MAX_BYTES)
    parser.spool_max_size = MAX_BODY  # below which nothing is written to disk
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError, UnicodeDecodeError):
        form = FormData()
    if size > MAX_BODY:
        return None
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(form.close)
        upload = form.get("file")
        data = b"" if upload is None or isinstance(upload, str) else await upload.read()
        name = "" if upload is None or isinstance(upload, str) else (upload.filename or "")
        texts = {key: value for key, value in form.items() if isinstance(value, str)}
    if len(data) > MAX_BYTES:
        return None
    low, high, loss_low, loss_high = (texts.get(field, "") for field in FIELDS)
    return Question(
        name=name,
        data=data,
        kept=texts.get("kept", ""),
        pasted=texts.get("pasted", ""),
        ranges=(low, high, loss_low, loss_high),
        averaging=texts.get("averaging", ""),
    )
