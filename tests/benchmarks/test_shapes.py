"""Tests the benchmark of shapes: that every label belongs to a recorded scan, and how many are read as labeled."""

from __future__ import annotations

import random

import numpy as np
import pytest

from keras_lrscan import analyze
from tests.support import benchmark_scripts

scans = benchmark_scripts.load("shapes/scans")

LABELS = scans.labeled()
NUM_COPIES = 5


@pytest.fixture(scope="module")
def curves() -> object:
    return scans.recorded()


def test_every_label_is_of_another_recorded_scan(curves: dict[str, object]) -> None:
    assert {one.scan for one in LABELS} <= set(curves)
    assert len({one.scan for one in LABELS}) == len(LABELS)
    assert all(one.shape not in one.also for one in LABELS)


def test_no_two_samples_share_a_task() -> None:
    tasks = {
        sample: {one.scan.rsplit(":", 1)[0] for one in LABELS if one.sample == sample}
        for sample in ("first", "second", "third", "fourth")
    }
    assert all(tasks.values())
    assert sum(map(len, tasks.values())) == len(set().union(*tasks.values()))


@pytest.mark.parametrize("sample", ["second", "third", "fourth"])
def test_most_scans_of_other_tasks_are_read_as_a_second_look_would_accept(
    curves: dict[str, object], sample: str
) -> None:
    some = random.Random(0).sample([one for one in LABELS if one.sample == sample], 40)
    is_read = [
        analyze(curves[one.scan], num_copies=NUM_COPIES).verdict.shape in {one.shape, *one.also}  # type: ignore[arg-type]
        for one in some
    ]
    assert np.average(is_read, weights=[one.weight for one in some]) >= 0.85
