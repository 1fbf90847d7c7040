"""Tests that the chance level and all other facts about the loss belong to the loss that a scan records."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.experiments.repeats import repeat_scans
from keras_lrscan.hosts.host import Host
from keras_lrscan.inspection.targets import monitored_output
from keras_lrscan.reading.start_state import StartState
from keras_lrscan.scan import LRScan
from tests.support.hosts import IS_TF_KERAS, compiled

if TYPE_CHECKING:
    from keras_lrscan.curves.context import ScanContext

pytestmark = [
    pytest.mark.keras,
    pytest.mark.one_backend,
    # Keras's own code for JAX and torch uses an outdated NumPy protocol
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(160, 6)).astype("float32")
CODES = RANDOM.choice(4, 160, p=[0.4, 0.3, 0.2, 0.1]).astype("int32")
SIZES = (300.0 * RANDOM.normal(size=(160, 1))).astype("float32")
PRIOR = np.bincount(CODES) / CODES.size
ENTROPY = float(-np.sum(PRIOR * np.log(PRIOR)))
LABELS = {"cls": CODES, "box": SIZES}
BOX_WEIGHT = 0.5


def detector(keras: Any, base: Any = None, *, box_weight: float = BOX_WEIGHT, by_key: bool = False) -> Any:
    """Builds a model with a class and a number as outputs, and a penalty on its first layer."""
    keras.utils.set_random_seed(2)
    layers = keras.layers
    start = keras.Input((6,))
    hidden = layers.Dense(8, activation="tanh", kernel_regularizer="l2", activity_regularizer="l2")(start)
    classes, size = layers.Dense(4, activation="softmax", name="cls")(hidden), layers.Dense(1, name="box")(hidden)
    outputs = {"cls": classes, "box": size} if by_key else [classes, size]
    model = (base or keras.Model)(start, outputs)
    losses = {"cls": "sparse_categorical_crossentropy", "box": "mean_squared_error"}
    return compiled(
        keras, keras.optimizers.SGD(), model=model, loss=losses, loss_weights={"cls": 1.0, "box": box_weight}
    )


@functools.cache
def shared(keras: Any, *, by_key: bool = False) -> Any:
    """Returns the model that tests share, because each new one is compiled again."""
    return detector(keras, by_key=by_key)


@functools.cache
def logging_its_own(keras: Any) -> Any:
    """Returns the model that logs a loss under a key of its own, for tests that share it."""
    return detector(keras, own_step(keras))


def scanned(model: Any, monitor: str, *data: Any, **options: Any) -> LRScan:
    scan = LRScan(start_lr=1e-9, end_lr=1e-2, num_steps=40, monitor=monitor, verbose=0)
    given = data or (X, LABELS)
    options = {"batch_size": 32, **options} if not data else options
    model.fit(*given, epochs=8, verbose=0, callbacks=[scan], **options)
    return scan


def yardsticks(context: ScanContext) -> dict[str, Any]:
    names = (
        "loss_name",
        "loss_reduction",
        "loss_adds_up",
        "from_logits",
        "num_classes",
        "perfect_loss",
        "chance_loss",
        "chance_source",
        "regularization_loss",
        "has_activity_penalty",
    )
    return {name: getattr(context, name) for name in names}


@pytest.mark.parametrize("by_key", [False, True])
def test_the_loss_of_a_classifying_output_is_judged_by_its_own_chance_level(keras: Any, *, by_key: bool) -> None:
    scan = scanned(shared(keras, by_key=by_key), "cls_loss")
    found = yardsticks(scan.curve.context)
    assert found.pop("chance_loss") == pytest.approx(ENTROPY, rel=2e-3)
    assert 0 <= found.pop("perfect_loss") < 0.1
    assert found == {
        "loss_name": "sparse_categorical_crossentropy",
        "loss_reduction": "sum_over_batch_size",
        "loss_adds_up": "nothing",
        "from_logits": False,
        "num_classes": 4,
        "chance_source": "label frequencies",
        "regularization_loss": 0.0,
        "has_activity_penalty": False,
    }
    assert scan.analysis.verdict.start_state in {StartState.AT_CHANCE, StartState.WORSE_THAN_CHANCE}


def test_keras_logs_the_loss_of_one_output_without_its_weight(keras: Any) -> None:
    scan = scanned(shared(keras), "box_loss")
    context = scan.curve.context
    assert scan.curve.loss[:4].mean() == pytest.approx(np.mean(SIZES[:, 0] ** 2), rel=0.3)
    assert context.chance_loss == pytest.approx(SIZES.var(), rel=1e-3)
    assert (context.loss_name, context.num_classes, context.regularization_loss) == ("mean_squared_error", None, 0.0)


def test_the_total_loss_is_judged_by_all_outputs_and_penalties(keras: Any) -> None:
    context = scanned(shared(keras), "loss").curve.context
    assert context.chance_loss == pytest.approx(ENTROPY + BOX_WEIGHT * SIZES.var(), rel=1e-3)
    assert (context.loss_name, context.has_activity_penalty) == (None, True)
    assert context.regularization_loss is not None
    assert context.regularization_loss > 0


def own_step(keras: Any) -> Any:
    """Returns a class of models that log the loss of one batch under a key of their own."""

    class Own(keras.Model):  # type: ignore[misc]
        def train_step(self, *args: Any, **options: Any) -> Any:
            logs = super().train_step(*args, **options)
            if not isinstance(logs, tuple):
                return {**logs, "whole_loss": logs["loss"]}
            return {**logs[0], "whole_loss": logs[0]["loss"]}, logs[1]

    return Own


@pytest.mark.parametrize("monitor", ["whole_loss", "cls_loss"])
def test_nothing_is_known_about_the_loss_under_a_key_of_a_custom_step(keras: Any, monitor: str) -> None:
    scan = scanned(logging_its_own(keras), monitor)
    context = scan.curve.context
    assert set(yardsticks(context).values()) == {None}
    assert f"The chance level of the monitored key `{monitor}` is unknown." in context.notes
    assert scan.analysis.verdict.start_state is StartState.UNKNOWN
    likely = [finding.name for finding in scan.analysis.findings if finding.status == "likely"]
    assert "already-good" not in likely


@pytest.mark.one_host
def test_nothing_is_known_about_a_metric(keras: Any) -> None:
    model = detector(keras)
    model.compile(optimizer="sgd", loss=["sparse_categorical_crossentropy", "mse"], metrics={"box": ["mae"]})
    assert set(yardsticks(scanned(model, "box_mae").curve.context).values()) == {None}


def test_a_model_with_its_own_loss_may_log_anything_for_an_output(keras: Any) -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def compute_loss(self, *args: Any, **options: Any) -> Any:
            return 2 * super().compute_loss(*args, **options)

    assert monitored_output(Host(shared(keras)), "cls_loss") == "cls"
    assert monitored_output(Host(detector(keras, Own)), "cls_loss") is None


@pytest.mark.one_host
def test_experiments_judge_the_monitored_output_too(keras: Any) -> None:
    found = repeat_scans(
        shared(keras), X, LABELS, batch_size=32, num_scans=2, num_steps=10, monitor="cls_loss", verbose=0
    )
    for analysis in found.analyses:
        context = analysis.curve.context
        assert context.chance_loss == pytest.approx(ENTROPY, rel=2e-3)
        assert context.regularization_loss == 0.0


@pytest.mark.one_host
def test_the_first_batches_of_a_generator_tell_the_chance_level_of_one_output(keras: Any) -> None:
    def batches() -> Any:
        for first in range(0, 1280, 32):
            rows = np.arange(first, first + 32) % 160
            yield X[rows], {name: array[rows] for name, array in LABELS.items()}

    context = scanned(shared(keras), "cls_loss", batches(), steps_per_epoch=5, shuffle=False).curve.context
    assert context.chance_loss == pytest.approx(ENTROPY, rel=0.1)


@pytest.mark.one_host
def test_probes_compare_the_monitored_loss_with_its_own_chance_level(keras: Any) -> None:
    scan = scanned(shared(keras), "cls_loss")
    found = scan.investigate(X, LABELS, probes=["start-against-chance", "penalties"], verbose=0)
    (level,) = re.findall(r"the chance level of (\d\.\d\d)", " ".join(found.explain().split()))
    assert float(level) == pytest.approx(ENTROPY, abs=0.01)  # the hosts give the probe other batches


@pytest.mark.one_host
@pytest.mark.parametrize("monitor", ["loss", "cls_loss"])
def test_an_output_that_drowns_in_the_total_loss_is_named(keras: Any, monitor: str) -> None:
    analysis = scanned(shared(keras), monitor).analysis
    context = analysis.curve.context
    assert context.output_loss_ratio == pytest.approx(BOX_WEIGHT * SIZES.var() / ENTROPY, rel=1e-2)
    note = next(note for note in context.notes if "times that of" in note)
    assert "output `box` is about 30,000 times that of `cls`" in note
    assert "`loss_weights`" in note
    text = analysis.explain()
    assert "There is nothing to fix here" not in text
    assert "times that of" in text


@pytest.mark.one_host
def test_outputs_of_similar_weight_and_outputs_without_weight_are_not_named(keras: Any) -> None:
    for weight in (1e-4, 0.0):
        context = scanned(detector(keras, box_weight=weight), "loss").curve.context
        assert not [note for note in context.notes if "times that of" in note]


@pytest.mark.skipif(IS_TF_KERAS, reason="tf_keras names these losses after layers")
def test_outputs_with_keys_have_a_chance_level(keras: Any) -> None:
    context = scanned(shared(keras, by_key=True), "loss").curve.context
    assert context.chance_loss == pytest.approx(ENTROPY + BOX_WEIGHT * SIZES.var(), rel=1e-3)
