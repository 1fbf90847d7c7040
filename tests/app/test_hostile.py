"""Sends some of the hostile requests of `benchmarks/fuzz_page.py` to the page."""

from __future__ import annotations

import pytest

from tests.support.benchmark_scripts import load

for needed in ("PIL", "onnxruntime", "rapidocr", "uvicorn", "starlette", "multipart", "matplotlib", "jinja2"):
    pytest.importorskip(needed, exc_type=ImportError)

PATIENCE = 120.0
"""Seconds; the benchmark has the limit that counts, since other tests may take the processor meanwhile."""


def test_hostile_requests_get_an_answer_and_leave_nothing() -> None:
    ends = load("fuzz_page").fuzz(24, seed=7, limit=PATIENCE)
    assert sum(ends.values()) == 24
    assert not [end for end in ends if end.startswith("NOT HANDLED")]
    assert {"explained", "refused with 400"} <= set(ends)
