"""Tests which arguments of `fit` a scan records, and how experiments use them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan import investigate, race
from keras_lrscan.curves.context import ScanContext
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError
from keras_lrscan.hosts.fit_call import FitCall
from keras_lrscan.inspection.feeding import fed_alike, feeding_of
from keras_lrscan.recording.batch_source import BatchSource
from keras_lrscan.scan import LRScan, lr_scan
from tests.support.hosts import digits, lent

if TYPE_CHECKING:
    from collections.abc import Iterator

X = np.zeros((4, 2))
FED = {"batch_size": 16, "class_weight": {0: 2.0}, "shuffle": False, "steps_per_epoch": 3, "validation_split": 0.25}


class Batches:
    """Stands in for a `Sequence` or `PyDataset`."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, at: int) -> Any:
        return at


def test_arguments_are_kept_as_plain_values_and_weights_of_samples_as_a_yes() -> None:
    local = {**FED, "batch_size": np.int64(16), "sample_weight": X, "class_weight": {np.int32(0): np.float32(2)}}
    found = feeding_of([FitCall.from_variables(local)])
    assert found == {**FED, "sample_weight": True}
    json.dumps(found)


def test_a_fit_around_that_of_the_host_has_the_last_word() -> None:
    inner = {"batch_size": None, "shuffle": True, "class_weight": {1: 3}, "sample_weight": None}
    outer = {"batch_size": 8, "sample_weight": X, "kwargs": {"shuffle": False, "epochs": 2}}
    assert feeding_of([FitCall.from_variables(inner), FitCall.from_variables(outer)]) == {
        "batch_size": 8,
        "shuffle": False,
        "class_weight": {1: 3.0},
        "sample_weight": True,
    }


@pytest.mark.parametrize("calls", [[], [FitCall(x=X)], [FitCall(steps_per_epoch="auto")]])
def test_what_was_not_given_is_not_kept(calls: list[FitCall]) -> None:
    assert feeding_of(calls) == {}


def test_feeding_survives_json() -> None:
    context = ScanContext(feeding=FED)
    again = ScanContext.from_dict(json.loads(json.dumps(context.to_dict())))
    assert dict(again.feeding) == FED
    assert again.to_dict() == context.to_dict()
    assert dict(ScanContext.from_dict(context.to_dict()).feeding) == FED
    assert "feeding" not in ScanContext().to_dict()


@pytest.mark.parametrize(
    "feeding",
    [
        {"batch_size": "16"},
        {"epochs": 3},
        {"class_weight": {"a": 1.0}},
        {"class_weight": {"0": "b"}},
        {"class_weight": 2},
    ],
)
def test_feeding_of_another_kind_is_refused(feeding: dict[str, Any]) -> None:
    with pytest.raises(InvalidCurveError, match=r"Expected `(feeding|class_weight)`"):
        ScanContext.from_dict({"feeding": feeding})


@pytest.mark.parametrize("x", [X, [X, X], {"a": X}, (X,), ["one", "two"]])
def test_rows_are_fed_as_rows_were(x: Any) -> None:
    assert fed_alike(ScanContext(feeding=FED), x, {}) == FED


def test_what_is_given_now_comes_first() -> None:
    given = {"batch_size": None, "shuffle": True}
    assert fed_alike(ScanContext(feeding=FED, shuffled=False), X, given) == {**FED, **given}


def test_rows_in_the_place_of_a_pipeline_get_its_batches_and_its_order() -> None:
    context = ScanContext(feeding={"shuffle": True}, batch_size=24, shuffled=False)
    assert fed_alike(context, X, {}) == {"batch_size": 24, "shuffle": False}


def test_data_that_make_their_own_batches_are_given_no_size() -> None:
    context = ScanContext(feeding={**FED, "sample_weight": True}, batch_size=16, shuffled=False)
    common = {"class_weight": {0: 2.0}, "steps_per_epoch": 3}
    assert fed_alike(context, iter(()), {}) == common
    assert fed_alike(context, Batches(), {}) == {**common, "shuffle": False}


def test_weights_of_samples_take_the_place_of_those_of_classes() -> None:
    found = fed_alike(ScanContext(feeding={"class_weight": {0: 2.0}}), X, {"sample_weight": X})
    assert list(found) == ["sample_weight"]


def test_without_a_scan_nothing_is_added() -> None:
    assert fed_alike(ScanContext(), X, {"batch_size": 3}) == {"batch_size": 3}


def test_missing_weights_of_samples_are_asked_for() -> None:
    context = ScanContext(feeding={"sample_weight": True})
    with pytest.raises(InvalidOptionError, match=r"Expected `sample_weight`, as in .* Received: none\. Pass the same"):
        fed_alike(context, X, {})
    assert fed_alike(context, X, {"sample_weight": None}) == {"sample_weight": None}


@pytest.fixture(name="taken")
def _taken(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Returns the options that each experiment takes its batches with."""
    found: list[dict[str, Any]] = []
    make = BatchSource.__init__

    def noting(self: BatchSource, host: Any, *data: Any) -> None:
        found.append(dict(data[2]))
        make(self, host, *data)

    monkeypatch.setattr(BatchSource, "__init__", noting)
    return found


@pytest.mark.keras
@pytest.mark.one_backend
def test_a_scan_hands_its_feeding_to_probes_and_to_a_race(keras: Any, taken: list[dict[str, Any]]) -> None:
    model, scan = lent(keras), LRScan(num_steps=14, verbose=0)
    x, y = digits()
    fed = {"batch_size": 16, "shuffle": False, "class_weight": {label: 1.0 + label for label in range(10)}}
    model.fit(x, y, epochs=2, verbose=0, callbacks=[scan], **fed)
    assert dict(scan.curve.context.feeding) == fed
    scan.investigate(x, y, probes=["penalties"], verbose=0)
    scan.investigate(x, y, batch_size=8, class_weight=None, probes=["penalties"], verbose=0)
    investigate(model, x, y, analysis=scan.analysis, probes=["penalties"], verbose=0)
    race(model, x, y, analysis=scan.analysis, candidates=[1e-3, 1e-2], steps=8, verbose=0)
    assert taken == [fed, {**fed, "batch_size": 8, "class_weight": None}, fed, fed]


@pytest.mark.keras
@pytest.mark.one_backend
def test_a_scan_with_weights_of_samples_asks_for_them(keras: Any, taken: list[dict[str, Any]]) -> None:
    model, scan = lent(keras), LRScan(num_steps=14, verbose=0)
    x, y = digits()
    weights = np.linspace(0.5, 1.5, len(y))
    model.fit(x, y, epochs=2, verbose=0, callbacks=[scan], sample_weight=weights)
    with pytest.raises(InvalidOptionError, match="Expected `sample_weight`"):
        scan.investigate(x, y, probes=["penalties"], verbose=0)
    scan.investigate(x, y, sample_weight=weights, probes=["penalties"], verbose=0)
    assert len(taken) == 1
    assert taken[0]["sample_weight"] is weights


@pytest.mark.keras
@pytest.mark.one_backend
def test_batches_of_a_probe_are_those_of_the_scan(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = lent(keras), []
    x, y = digits()
    analysis = lr_scan(model, x, y, batch_size=16, shuffle=False, num_steps=12, verbose=0)
    take = BatchSource.take

    def noting(self: BatchSource, *args: Any, **options: Any) -> Any:
        seen.append(take(self, *args, **options))
        return seen[-1]

    monkeypatch.setattr(BatchSource, "take", noting)
    investigate(model, x, y, analysis=analysis, probes=["penalties"], verbose=0)
    assert np.asarray(seen[0][0][0]).tobytes() == x[:16].tobytes()


@pytest.mark.keras
@pytest.mark.one_backend
def test_a_class_of_the_user_with_a_fit_of_its_own_is_not_taken_for_the_models(keras: Any) -> None:
    class Learner:
        def fit(self, batch_size: int) -> Any:
            x, y = digits()
            return lr_scan(lent(keras), x, y, batch_size=2 * batch_size, num_steps=12, verbose=0)

    assert Learner().fit(8).curve.context.feeding["batch_size"] == 16


@pytest.mark.keras
@pytest.mark.one_backend
def test_of_a_generator_as_many_batches_are_taken_as_are_needed_whatever_an_epoch_was(keras: Any) -> None:
    x, y = digits()

    def forever() -> Iterator[Any]:
        while True:
            yield x[:16], y[:16]

    model = lent(keras)
    analysis = lr_scan(model, forever(), steps_per_epoch=5, epochs=4, num_steps=20, verbose=0)
    assert analysis.curve.context.feeding["steps_per_epoch"] == 5
    found = investigate(model, forever(), analysis=analysis, probes=["hold-first-rate"], verbose=0)
    assert len(found.analysis.curve) == len(analysis.curve)
    assert str(found.results[0].outcome) != "not-possible"
