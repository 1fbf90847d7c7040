"""Tests the share of labels that contradict those of similar samples, and the cause that follows from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_lrscan.causes.clues import SUSPECT
from keras_lrscan.inspection.label_noise import MIN_CLASSES, suspect_share
from keras_lrscan.scan import lr_scan
from tests.support.hosts import compiled, digits


def clusters(share: float, seed: int = 0) -> tuple[Any, Any]:
    """Returns eight separate clusters, with a share of their labels drawn at random."""
    x, y = digits(400, seed=seed)
    random = np.random.default_rng(seed)
    chosen = random.random(len(y)) < share
    return x, np.where(chosen, random.integers(0, 10, len(y)), y)


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.03), (0.1, 0.05, 0.11), (0.25, 0.09, 0.24)])
def test_wrong_labels_contradict_their_neighbors(share: float, low: float, high: float) -> None:
    x, y = clusters(share)
    assert low <= (suspect_share([x], y) or 0.0) <= high


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3), seed=st.integers(0, 5))
def test_the_unit_of_the_inputs_and_the_numbers_of_the_classes_do_not_matter(
    scale: float, shift: float, seed: int
) -> None:
    x, y = clusters(0.2, seed)
    wide = x.astype(float)
    first, second = suspect_share([wide], y), suspect_share([scale * wide + shift], 3 * y + 7)
    assert first == pytest.approx(second, abs=0.01)


@pytest.mark.parametrize(
    ("inputs", "classes"),
    [
        ([], np.zeros(200)),
        ([np.zeros((50, 2))], np.zeros(50)),
        ([np.array([["a"]] * 200)], np.zeros(200)),
        ([np.full((200, 2), np.nan)], np.zeros(200)),
        ([np.zeros((200, 2))], np.zeros(199)),
        ([np.arange(200.0)[:, None]], np.arange(200) % (MIN_CLASSES - 1)),
    ],
    ids=["none", "few", "text", "nan", "lengths", "few classes"],
)
def test_data_that_do_not_tell_have_no_share(inputs: list[Any], classes: Any) -> None:
    assert suspect_share(inputs, classes) is None


def test_constant_inputs_have_a_share_without_a_warning() -> None:
    assert suspect_share([np.ones((200, 3))], np.arange(200) % MIN_CLASSES) is not None


def test_two_classes_that_overlap_are_not_taken_for_wrong_labels() -> None:
    x, y = clusters(0.0)
    random = np.random.default_rng(0)
    overlapping = np.where(np.isin(y, [3, 8]), random.choice([3, 8], len(y)), y)
    assert suspect_share([x], overlapping) == pytest.approx(suspect_share([x], y), abs=0.01)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("wrong", [0.0, 0.25])
@pytest.mark.parametrize("distance", [0.5, 0.8])
def test_classes_that_all_overlap_hide_wrong_labels(distance: float, wrong: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    centers = distance * random.normal(size=(5, 10))
    y = random.integers(0, 5, 800)
    x = centers[y] + random.normal(size=(800, 10))
    y = np.where(random.random(800) < wrong, random.integers(0, 5, 800), y)
    assert suspect_share([x], y) is None


@pytest.mark.parametrize("seed", range(4))
def test_ratings_that_differ_by_one_are_not_taken_for_wrong_labels(seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(1200, 2))
    score = x @ np.array([1, 0.8]) + 0.2 * random.normal(size=1200)
    ratings = np.digitize(score, np.quantile(score, [0.2, 0.4, 0.6, 0.8]))
    assert (suspect_share([x], ratings) or 0.0) < SUSPECT


@pytest.mark.keras
@pytest.mark.one_host
def test_a_scan_names_wrong_labels_and_no_clean_ones(keras: Any) -> None:
    model = compiled(keras)
    for share, expected in ((0.3, True), (0.0, False)):
        x, y = clusters(share)
        analysis = lr_scan(model, x, y, num_steps=40, verbose=0)
        assert any(finding.name == "label-noise" for finding in analysis.findings) is expected
