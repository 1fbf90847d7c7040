"""Measures how long the visitors of `lrscan app` wait if all of them send a picture at once.

`python benchmarks/page_load.py` starts the page on the loopback interface, sends one picture to start its processes,
and then 20 pictures of recorded scans at once. The exit status is 1 if a visitor gets no explanation, or waits for more
than 15 seconds. On a machine with other jobs, read the processor time: two processes share that of all answers.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from page_server import multipart, running

from keras_lrscan import LRCurve

if TYPE_CHECKING:
    from collections.abc import Sequence

RECORDED = Path(__file__).parents[1] / "docs" / "curves"
MIN_POINTS = 40
LIMIT = 15.0
"""Longest wait in seconds."""


def pictures(count: int) -> list[bytes]:
    """Returns pictures of as many recorded scans, the first again if there are fewer."""
    curves = [LRCurve.from_json(path) for path in sorted(RECORDED.glob("*.json"))]
    curves = [curve for curve in curves if np.isfinite(curve.loss).sum() >= MIN_POINTS]
    found = []
    for number in range(count):
        curve = curves[number % len(curves)]
        figure = Figure()
        ax = figure.subplots()
        ax.semilogx(curve.lr, np.minimum(curve.loss, 4 * curve.loss[0]))
        ax.set(xlabel="learning rate", ylabel="loss")
        data = io.BytesIO()
        figure.savefig(data, dpi=100)
        found.append(data.getvalue())
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the times and returns 1 if a visitor waited too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=20)
    visitors = parser.parse_args(argv).visitors
    forms = [multipart((b'; name="file"; filename="plot.png"', data)) for data in pictures(visitors)]
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server, ThreadPoolExecutor(visitors) as pool:
        first = server.send(forms[0], timeout=120)
        replies = list(pool.map(lambda form: server.send(form, timeout=120), forms))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = np.array([reply.seconds for reply in replies])
    explained = sum(reply.status == 200 for reply in replies)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}. The first picture took {first.seconds:.1f} s.")
    print(f"{visitors} visitors at once: {explained} got an explanation.")
    print(f"{used.ru_utime + used.ru_stime:.0f} s of processor time for {visitors + 1} answers, the start included")
    print(f"fastest {seconds.min():.1f} s, median {np.median(seconds):.1f} s, slowest {seconds.max():.1f} s")
    return int(explained < visitors or seconds.max() > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
