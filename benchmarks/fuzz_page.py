"""Fuzzes the page of `lrscan app` with hostile files, forms and requests, each of which must get an answer in time.

`python benchmarks/fuzz_page.py` starts the page in an empty folder and sends 400 requests: pictures that are broken,
huge, animated, tiny, of odd modes and types, or that show textures and many frames; other types posing as pictures;
CSV and JSON files of odd encodings, sizes and depths; file names with path separators; fields that are missing,
doubled or absurd; broken forms and wrong methods. The script prints a table of outcomes, and the slowest request. The
exit status is 1 if a request gets no answer within ten seconds, or one that is neither an explanation nor a sentence,
or if a file is left in the folder.
"""

from __future__ import annotations

import functools
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from fuzzing import attempt, run
from hostile_files import FILES, plot, saved
from page_server import START_SECONDS, Reply, Request, Server, multipart, running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Draw = np.random.Generator
    Part = tuple[bytes, bytes]

SECONDS = 10.0
"""Time within which every request must be answered."""

SHARE_WITH_FIELD = 0.25
"""Share of files that come with an odd field."""

MAX_SENTENCE = 900
"""Most characters of the sentence on a page that refuses a file; names and texts of the visitor are cut in it."""

NAMES = (
    *(b"plot.png", b"", b"../../etc/passwd", b"..\\..\\plot.png", b"/etc/passwd", b"a\0b.png", b"%00.csv"),
    *(b"con", b"x" * 10_000 + b".json", "plot\u202egnp.csv".encode(), b"\xff\xfe.json", b"plot.png.exe", b"a\nb.png"),
)
TEXTS = (
    *(b"", b" ", b"1e-7", b"10", b"nan", b"inf", b"-1", b"0", b"1e999", b"1e-999", b"1,5", b"0x10", b"1_0"),
    *(b"9" * 5000, "\u0661\u0662".encode(), b"\0", b"<script>alert(1)</script>", b"{{ 7 * 7 }}", b"\xff\xfe"),
)
FIELDS = (b"lr_low", b"lr_high", b"loss_low", b"loss_high", b"averaging", b"kept", b"pasted", b"other")
URL_ENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
METHODS = ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO")
PATHS = ("/", "/?file=/etc/passwd", "/static/../../etc/passwd", "//", "/%2e%2e/", "/index.html", "/" + "a" * 5000)


def file_part(rng: Draw, content: bytes) -> Part:
    """Returns the part of a form with a file, which may have an odd name or the type of another."""
    name = NAMES[rng.integers(len(NAMES))] if rng.integers(2) else b"plot.png"
    kind = b"\r\nContent-Type: image/png" if rng.integers(2) else b""
    return b'; name="file"; filename="%b"%b' % (name, kind), content


def field_part(rng: Draw, name: bytes | None = None) -> Part:
    """Returns the part of a form with a field, whose value is odd or huge."""
    name = FIELDS[rng.integers(len(FIELDS))] if name is None else name
    content = TEXTS[rng.integers(len(TEXTS))]
    if name in {b"kept", b"pasted"} and rng.integers(2):
        content = (b"A" * 1_000_000, b"1 2\n" * 100_000, b"=" * 1000, b"1e-7 2\n" * 3)[rng.integers(4)]
    return b'; name="%b"' % name, content


def file_in_form(rng: Draw, make: Callable[[Draw], bytes]) -> Request:
    """Returns a form with a file and, sometimes, a field."""
    fields = [field_part(rng)] if rng.random() < SHARE_WITH_FIELD else []
    return multipart(file_part(rng, make(rng)), *fields)


def cut_form(rng: Draw) -> Request:
    """Returns a form that ends too early."""
    form = multipart(file_part(rng, saved(plot())), field_part(rng))
    return Request(body=form.body[: rng.integers(len(form.body))], headers=form.headers)


FORMS: tuple[Callable[[Draw], Request], ...] = (
    cut_form,
    lambda rng: multipart(*(field_part(rng) for _ in range(rng.integers(0, 6)))),
    lambda rng: multipart(*(file_part(rng, saved(plot())) for _ in range(2))),
    lambda rng: multipart(*(field_part(rng, b"lr_low") for _ in range(30))),
    lambda rng: multipart(*((name, saved(plot())) for name in (b"", b'; name=""', b"; filename=x"))),
    lambda rng: multipart(file_part(rng, saved(plot())), *(field_part(rng, name) for name in FIELDS[:5])),
    lambda rng: Request(body=multipart(field_part(rng)).body, headers={"Content-Type": "multipart/form-data"}),
    lambda rng: Request(body=b"pasted=1e-7+2%0A1e-6+1&lr_low=" + b"9" * 1000, headers=URL_ENCODED),
)


def odd_form(rng: Draw) -> Request:
    """Returns a form without a file, with two, with doubled or unnamed fields, or with broken framing."""
    return FORMS[rng.integers(len(FORMS))](rng)


def odd_request(rng: Draw) -> Request:
    """Returns a request with another method, path or type."""
    path = PATHS[rng.integers(len(PATHS))]
    method = METHODS[rng.integers(len(METHODS))]
    body = b"" if rng.integers(2) else saved(plot())
    kinds = ("application/json", "text/plain", "image/png", "multipart/form-data; boundary=\xff", "")
    return Request(method=method, path=path, body=body, headers={"Content-Type": str(rng.choice(kinds))})


def outcome(server: Server, request: Request, reply: Reply, limit: float) -> str:
    """Returns the outcome of a request.

    Raises:
        AssertionError: If the reply is not one that a visitor should see, or if it took too long or left a file.
    """
    text = reply.text
    left = sorted(path.name for path in server.folder.iterdir())
    alert = "".join(re.findall(r'role="alert">(.*?)</p>', text, re.DOTALL))
    problems = {
        f"it took {reply.seconds:.1f} s": reply.seconds > limit,
        f"status {reply.status}": reply.status >= 500,
        "a script": "<script" in text.lower(),
        "a traceback": "Traceback" in text,
        f"{len(alert)} characters of refusal": reply.status in {400, 413} and not 0 < len(alert) <= MAX_SENTENCE,
        f"files that are left, {left}": bool(left),
        "a server that has ended": server.process.poll() is not None,
    }
    found = [problem for problem, is_there in problems.items() if is_there]
    if found:
        msg = f"Expected an answer within {limit:.0f} s, and nothing left. Received: {', '.join(found)}. {alert:.300}"
        raise AssertionError(msg)
    if reply.status == 200:
        return "explained" if request.method == "POST" else "form shown"
    return f"refused with {reply.status}"


REQUESTS: dict[str, Callable[[Draw], Request]] = {
    **{make.__name__: functools.partial(file_in_form, make=make) for make in FILES},
    "odd_form": odd_form,
    "odd_fields": FORMS[5],
    "odd_request": odd_request,
}
"""Kind → function that makes a request of it."""


def fuzz(count: int, *, seed: int = 0, show: int = 3, limit: float = SECONDS) -> Counter[str]:
    """Sends hostile requests, counts the outcomes, and writes the first unexpected ones to stderr.

    Args:
        count: Number of requests.
        seed: Request `i` has the seed `(seed, i)`, so it can be reproduced alone.
        show: Number of tracebacks to write for each kind of error.
        limit: Seconds within which each request must be answered.
    """
    ends: Counter[str] = Counter()
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as name, running(Path(name)) as server:
        for _ in range(2):  # its processes load the recognizer
            server.send(multipart((b'; name="file"; filename="plot.png"', saved(plot()))), timeout=START_SECONDS)
        for number in range(count):
            kind = list(REQUESTS)[number % len(REQUESTS)]
            request = REQUESTS[kind](np.random.default_rng((seed, number)))

            def send(request: Request = request, name: str = f"request {number}, {kind}") -> str:
                nonlocal slowest
                reply = server.send(request, timeout=max(60.0, 2 * limit))
                slowest = max(slowest, (reply.seconds, name))
                return outcome(server, request, reply, limit)

            attempt(ends, f"request {number}, {kind}", send, show=show)
    sys.stderr.write(f"slowest: {slowest[0]:.1f} s ({slowest[1]})\n")
    return ends


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table of outcomes and returns 1 if one is unexpected."""
    return run(fuzz, "Fuzzes the page with hostile files, forms and requests.", 400, argv)


if __name__ == "__main__":
    sys.exit(main())
