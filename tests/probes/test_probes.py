"""Tests each probe on a model with its cause and on one without it, and that no probe leaves a trace."""

from __future__ import annotations

import dataclasses
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.causes.cause import CauseStatus
from keras_lrscan.errors import LRScanWarning, ScanError
from keras_lrscan.probes.investigate import investigate
from keras_lrscan.probes.investigation import Outcome
from keras_lrscan.probes.table import PROBES
from keras_lrscan.probes.workbench import Workbench
from keras_lrscan.scan import LRScan
from tests.support.faults import (
    SAMPLES,
    STEPS,
    constant_inputs,
    dead,
    fresh,
    frozen,
    of_large_numbers,
    of_logits,
    of_sums,
    penalised,
    plain,
    scanned,
    shuffled_labels,
    sorted_by_class,
    trained,
    with_a_nan,
)
from tests.support.hosts import BACKEND, IS_TF_KERAS, array_of, classifier, compiled, digits, same_bits, state, weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keras_lrscan.probes.investigation import Investigation, ProbeResult

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings(
        "ignore:The model does not have any trainable weights:UserWarning",
        "ignore:.*received `from_logits=True`, but the `output` argument:UserWarning",
        "ignore:Your input ran out of data:UserWarning",
        "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning",
        "ignore:`shuffle=True` was passed:UserWarning",
    ),
]


@pytest.fixture(scope="module", name="healthy")
def _healthy(keras: Any) -> tuple[Any, Analysis]:
    """Returns a fresh model and its scan. All tests leave the model unchanged."""
    model = fresh(keras)
    return model, scanned(model, *plain())


@pytest.fixture(name="model")
def _model(healthy: tuple[Any, Analysis]) -> Any:
    """Returns the fresh model that all tests share, because each new one is compiled again."""
    model, _ = healthy
    return model


def asked(name: str, model: Any, x: Any, y: Any, *, analysis: Analysis | None = None, **options: Any) -> ProbeResult:
    """Returns the result of one probe and checks that the model is unchanged to the last bit."""
    ramp = {key: options.pop(key) for key in ("start_lr", "end_lr", "stop_on_divergence") if key in options}
    analysis = analysis or scanned(model, x, y, **ramp, **options)
    before = state(model)
    found = investigate(model, x, y, analysis=analysis, probes=[name], verbose=0, **options)
    assert same_bits(before, state(model))
    (result,) = found.results
    probe = next(probe for probe in PROBES if probe.name == name)
    assert {*result.confirms, *result.rules_out} <= set(probe.settles)
    return result


CASES: dict[str, tuple[tuple[Any, Any, str], str]] = {
    "look-at-data": ((fresh, with_a_nan, "nan-in-data"), "nan-in-data"),
    "start-against-chance": ((trained, plain, "already-good"), "already-good"),
    "loss-fits-outputs": ((of_logits, plain, "wrong-from-logits"), "wrong-from-logits"),
    "half-a-batch": ((of_sums, plain, "sum-loss"), "sum-loss"),
    "gradients": ((dead, plain, "zero-gradients"), "zero-gradients"),
    "penalties": ((penalised, plain, "regularization"), "regularization"),
    "scale-inputs": ((fresh, of_large_numbers, "unscaled-inputs"), "unscaled-inputs"),
    "one-step": ((frozen, plain, "frozen-model"), "frozen-model"),
    "overfit-one-batch": ((fresh, constant_inputs, "labels-not-reaching-loss"), "zero-gradients"),
    "labels-from-inputs": (
        (fresh, shuffled_labels, "labels-not-reaching-loss"),
        "labels-not-reaching-loss",
    ),
}
"""Probe → ((model, data, cause that it confirms), cause that it rules out for a fresh model)."""


ON_EVERY_HOST = {
    "start-against-chance",
    "loss-fits-outputs",
    "half-a-batch",
    "gradients",
    "one-step",
    "overfit-one-batch",
}
"""Probes that between them train, evaluate, predict and take gradients; all leave no trace on any host."""

DECIDED_ON_EVERY_HOST = ON_EVERY_HOST - {"start-against-chance", "half-a-batch"}
"""Those that rest on what a host predicts, derives or updates. The two others only compare losses that it evaluates."""

ALL_RUN_HERE = BACKEND == "tensorflow" and not IS_TF_KERAS
"""Whether this host is the one that runs all probes."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in DECIDED_ON_EVERY_HOST else pytest.mark.one_host) for name in CASES]
)
def test_a_probe_confirms_a_cause_where_it_is_so(keras: Any, model: Any, name: str) -> None:
    (build, data, cause), _ = CASES[name]
    result = asked(name, model if build is fresh else build(keras), *data())
    assert cause in result.confirms, result.evidence
    assert result.outcome in {Outcome.YES, Outcome.NO}


@pytest.mark.one_host
@pytest.mark.parametrize("name", CASES)
def test_a_probe_rules_a_cause_out_where_it_is_not_so(healthy: tuple[Any, Analysis], name: str) -> None:
    model, analysis = healthy
    _, cause = CASES[name]
    result = asked(name, model, *plain(), analysis=analysis)
    assert cause in result.rules_out, result.evidence


@pytest.mark.one_host
def test_data_in_order_show_at_the_first_rate_and_shuffled_ones_do_not(model: Any) -> None:
    in_order = asked("hold-first-rate", model, *sorted_by_class(), shuffle=False, batch_size=16)
    assert in_order.confirms == ("ordered-data",)
    shuffled = asked("hold-first-rate", model, *sorted_by_class(), batch_size=16)
    assert shuffled.rules_out == ("range-too-high", "ordered-data")


@pytest.mark.one_host
def test_a_first_rate_that_trains_shows_in_the_second_pass(model: Any) -> None:
    result = asked("hold-first-rate", model, *plain(), start_lr=3e-3, end_lr=1.0)
    assert "range-too-high" in result.confirms


@pytest.mark.one_host
def test_a_collapsed_model_says_the_same_to_everything(keras: Any, model: Any) -> None:
    x, y = plain()
    network = classifier(keras)
    network.pop()
    network.add(keras.layers.Dense(1, activation="relu", bias_initializer="ones"))  # once negative, it stays inactive
    broken = compiled(keras, keras.optimizers.SGD(0.01), model=network, loss="mean_squared_error")
    size = np.sqrt((x**2).sum(1, keepdims=True))
    size = (size - size.mean()) / size.std() + 0.4  # the constant answer of an inactive unit costs near to guessing
    collapsed = asked("predict-when-broken", broken, x, size, start_lr=1e-5, end_lr=3.0, stop_on_divergence=False)
    assert collapsed.confirms == ("collapse",), collapsed.evidence
    alive = asked("predict-when-broken", model, x, y, start_lr=1e-5, end_lr=1e-2)
    assert alive.rules_out == ("collapse",)


@pytest.mark.one_host
def test_a_model_that_always_said_the_same_has_not_collapsed(keras: Any) -> None:
    network = classifier(keras)
    network.layers[-1].set_weights([np.zeros((16, 10)), np.zeros(10)])
    network.layers[-1].kernel.trainable = False  # so it learns the share of each class and nothing else
    same = asked("predict-when-broken", compiled(keras, model=network), *plain(), start_lr=1e-5)
    assert same.outcome is Outcome.YES
    assert same.confirms == ()
    assert "as it did before" in same.evidence


@pytest.mark.one_host
def test_another_scan_of_a_healthy_model_has_the_same_shape(healthy: tuple[Any, Analysis]) -> None:
    result = asked("scan-again", healthy[0], *plain(), start_lr=1e-5)
    assert result.outcome is Outcome.YES, result.evidence
    assert "small-batches" in result.rules_out


@pytest.mark.one_host
def test_another_scan_of_batches_of_two_shows_how_much_was_luck(model: Any) -> None:
    x, y = plain()
    result = asked("scan-again", model, x, y, start_lr=1e-4, end_lr=1e-1, batch_size=2)
    assert result.outcome in {Outcome.YES, Outcome.NO}
    assert ("small-batches" in result.confirms) is (result.outcome is Outcome.NO)


@pytest.mark.one_host
def test_a_wider_scan_tells_a_range_that_ends_too_early(model: Any) -> None:
    cut = asked("scan-wider", model, *plain(), start_lr=1e-7, end_lr=1e-4)
    assert {"range-too-low", "range-too-short"} <= set(cut.confirms), cut.evidence
    whole = asked("scan-wider", model, *plain(), start_lr=1e-6)
    assert "range-too-low" in whole.rules_out


@pytest.mark.one_host
@pytest.mark.filterwarnings("ignore:The first loss is:keras_lrscan.errors.LRScanWarning")
def test_data_that_break_every_scan_do_not_show_a_first_rate_that_is_too_high(model: Any) -> None:
    x, y = plain()
    x[SAMPLES // 3] = np.nan
    broken = asked("scan-wider", model, x, y)
    assert "range-too-high" not in broken.confirms, broken.evidence


@pytest.mark.one_host
def test_a_longer_scan_tells_a_slow_start_from_nothing_to_learn(keras: Any, model: Any) -> None:
    x, y = digits(20 * SAMPLES)  # the fewer epochs, the fewer pipelines there are to start
    slow = asked("scan-longer", fresh(keras, optimizer=keras.optimizers.SGD(0.01)), x, y, end_lr=0.1)
    assert "slow-start" in slow.confirms, slow.evidence
    nothing = asked("scan-longer", model, np.ones_like(x), y)
    assert "slow-start" in nothing.rules_out, nothing.evidence


class Watch:
    """Compares the weights with the given ones wherever a probe trains, scans, evaluates, predicts or derives."""

    def __init__(self, model: Any) -> None:
        self.model, self.before = model, self._weights(model)
        self.seen: set[str] = set()
        self.changed: list[str] = []
        self.trains: list[str] = []

    @staticmethod
    def _weights(model: Any) -> list[Any]:
        """Returns all but the seeds of random layers, which are put back before each training and at the end."""
        seeds = {id(variable) for variable in model.variables if "seed" in variable.name}
        return [array_of(variable) for variable in model.variables if id(variable) not in seeds]

    def _compare(self, name: str) -> None:
        if not self.trains and not same_bits(self.before, self._weights(self.model)):
            self.changed.append(name)

    def put_on(self, patch: pytest.MonkeyPatch, name: str, *, trains_model: bool) -> None:
        method = getattr(Workbench, name)

        def call(workbench: Any, *args: Any, **options: Any) -> Any:
            self._compare(name)
            self.seen |= set() if self.trains else {name}
            self.trains.extend([name] * trains_model)
            try:
                return method(workbench, *args, **options)
            finally:
                del self.trains[len(self.trains) - trains_model :]
                self._compare(name)

        patch.setattr(Workbench, name, call)


def investigated(keras: Any, kind: str, names: list[str]) -> tuple[list[Any], Watch]:
    """Returns what training ends with after an investigation and without one, and what was seen during the former."""
    ends, watches = [], []
    x, y = plain()
    for with_probes in (False, True):
        network = classifier(keras, rich=not IS_TF_KERAS)
        model = compiled(keras, model=network, metrics=["accuracy"], lazily=kind == "fresh")
        if kind == "used":
            model.fit(x, y, verbose=0)
        analysis = scanned(model, x, y)
        before = state(model)
        functions = [getattr(model, name, None) for name in ("train_function", "test_function", "predict_function")]
        if with_probes:
            watches.append(watch := Watch(model))
            with pytest.MonkeyPatch.context() as patch:
                for name in ("evaluate", "predict", "gradients"):
                    watch.put_on(patch, name, trains_model=False)
                for name in ("train", "after_training", "scan"):
                    watch.put_on(patch, name, trains_model=True)
                investigate(model, x, y, analysis=analysis, probes=names, verbose=0)
            assert same_bits(before, state(model))
            after = [getattr(model, name, None) for name in ("train_function", "test_function", "predict_function")]
            assert after[1:] == functions[1:]
        model.fit(x, y, epochs=2, verbose=0)
        ends.append([*weights(model), np.random.random(2)])
    return ends, watches[0]


@pytest.fixture(scope="module", name="all_asked")
def _all_asked(keras: Any) -> tuple[list[Any], Watch]:
    """Returns what all probes left behind, or, where not all run, those of every host."""
    return investigated(keras, "fresh", [probe.name for probe in PROBES] if ALL_RUN_HERE else sorted(ON_EVERY_HOST))


def test_an_investigation_of_a_fresh_model_leaves_no_trace(all_asked: tuple[list[Any], Watch]) -> None:
    """Compares weights, optimizer and compiled functions, and the training afterwards."""
    ends, _ = all_asked
    assert same_bits(*ends)


def test_an_investigation_of_a_used_model_leaves_no_trace(keras: Any) -> None:
    ends, _ = investigated(keras, "used", ["start-against-chance", "gradients", "one-step"])
    assert same_bits(*ends)


def test_probes_look_at_the_given_model_or_at_one_that_they_have_just_trained(
    all_asked: tuple[list[Any], Watch],
) -> None:
    _, watch = all_asked
    assert watch.changed == []
    own = {"evaluate", "predict", "gradients", "train", "after_training"}
    assert watch.seen == (own | {"scan"} if ALL_RUN_HERE else own)


@pytest.mark.one_host
def test_only_probes_that_could_settle_something_run(keras: Any) -> None:
    x, y = plain()
    model = trained(keras)
    analysis = scanned(model, x, y)
    found = investigate(model, x, y, analysis=analysis, verbose=0)
    named = {finding.name for finding in analysis.findings}
    able = {probe.name for probe in PROBES if named & set(probe.settles)}
    assert {result.name for result in found.results} == able
    assert 0 < len(able) < len(PROBES)
    (first, *_) = found.analysis.findings
    assert (first.name, first.status) == ("already-good", CauseStatus.CONFIRMED)
    assert "The model is already good" in found.explain()


@pytest.mark.one_host
@pytest.mark.parametrize(
    ("then", "now", "says"),
    [
        ({"shuffle": False}, {"shuffle": True}, "`shuffle` is True; it was False"),
        ({"batch_size": 16}, {"batch_size": 64}, "`batch_size` is 64; it was 16"),
        ({"class_weight": {0: 2.0}}, {"class_weight": {0: 1.0}}, "`class_weight` is {0: 1.0}; it was {0: 2.0}"),
        ({"sample_weight": np.ones(SAMPLES)}, {"sample_weight": None}, "`sample_weight` is False; it was True"),
    ],
    ids=["shuffle", "batch size", "class weights", "sample weights"],
)
def test_batches_that_are_fed_in_another_way_settle_nothing(
    model: Any, then: dict[str, Any], now: dict[str, Any], says: str
) -> None:
    x, y = sorted_by_class()
    analysis = scanned(model, x, y, **then)
    names = ["hold-first-rate", "start-against-chance", "loss-fits-outputs"]
    found = investigate(model, x, y, analysis=analysis, probes=names, verbose=0, **now)
    by_name = {result.name: result for result in found.results}
    for name in names[:2]:
        result = by_name[name]
        assert (result.outcome, result.confirms, result.rules_out) == (Outcome.NOT_POSSIBLE, (), ())
        assert result.evidence.startswith("It could not be asked: ")
        assert says in result.evidence
    assert by_name["loss-fits-outputs"].rules_out == ("wrong-from-logits",)


def test_a_scan_asks_its_own_model(keras: Any) -> None:
    x, y = plain()
    model = fresh(keras)
    scan = LRScan(num_steps=STEPS, verbose=0)
    model.fit(x, y, epochs=3, verbose=0, callbacks=[scan])
    found = scan.investigate(x, y, probes=["one-step"], verbose=0)
    assert found.results[0].outcome is Outcome.YES
    del model
    scan._scanned = None
    with pytest.raises(ScanError, match="Expected the model that was scanned"):
        scan.investigate(x, y)


@pytest.mark.one_host
def test_a_model_trained_since_the_scan_is_noticed(keras: Any) -> None:
    x, y = plain()
    model = fresh(keras)
    analysis = scanned(model, x, y)
    model.fit(x, y, verbose=0)
    with pytest.warns(LRScanWarning, match="with 10 optimizer updates, not 0"):
        investigate(model, x, y, analysis=analysis, probes=["one-step"], verbose=0)


@pytest.mark.one_host
def test_no_more_is_taken_from_a_generator_than_is_needed(healthy: tuple[Any, Analysis]) -> None:
    taken: list[int] = []

    def batches() -> Iterator[Any]:
        x, y = plain()
        for at in range(10**6):
            taken.append(at)
            rows = slice(32 * (at % 10), 32 * (at % 10) + 32)
            yield x[rows], y[rows]

    model, analysis = healthy
    found = investigate(model, batches(), analysis=analysis, probes=["one-step", "labels-from-inputs"], verbose=0)
    assert len(taken) == STEPS
    assert [result.outcome for result in found.results] == [Outcome.YES, Outcome.YES]
    assert any("generator" in note for note in found.notes)


def test_tf_data_can_be_asked(model: Any) -> None:
    tf = pytest.importorskip("tensorflow", exc_type=ImportError)
    x, y = plain()
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    analysis = scanned(model, data, None)
    found = investigate(model, data, analysis=analysis, probes=["overfit-one-batch", "look-at-data"], verbose=0)
    assert [result.outcome for result in found.results] == [Outcome.NO, Outcome.YES]


def test_ctrl_c_keeps_what_was_found_and_the_model(
    healthy: tuple[Any, Analysis], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, analysis = healthy
    before = state(model)
    found = _interrupted_in("overfit-one-batch", model, analysis, monkeypatch)
    assert found.interrupted
    assert [result.name for result in found.results] == ["gradients", "one-step"]
    assert "It was interrupted" in found.explain()
    assert same_bits(before, state(model))


def _interrupted_in(name: str, model: Any, analysis: Analysis, monkeypatch: pytest.MonkeyPatch) -> Investigation:
    """Raises a Ctrl-C interrupt once the given probe has started."""
    import keras_lrscan.probes.investigate as module

    def pressed(probe: Any) -> Any:
        def ask(workbench: Any) -> Any:
            signal.raise_signal(signal.SIGINT)
            return probe.ask(workbench)

        return dataclasses.replace(probe, ask=ask) if probe.name == name else probe

    monkeypatch.setattr(module, "PROBES", tuple(map(pressed, PROBES)))
    x, y = plain()
    names = ["gradients", "one-step", "overfit-one-batch", "labels-from-inputs"]
    return investigate(model, x, y, analysis=analysis, probes=names, verbose=0)


@pytest.mark.one_host
def test_a_model_that_fails_in_one_probe_is_asked_the_others(keras: Any) -> None:
    class Failing(keras.Sequential):  # type: ignore[misc]
        fails = False

        def train_step(self, data: Any) -> Any:
            if Failing.fails:
                msg = "no more steps"
                raise ValueError(msg)
            return super().train_step(data)

    model = compiled(keras, model=Failing(classifier(keras).layers), run_eagerly=True)
    x, y = plain()
    model(x[:1])
    analysis = analyze(scanned(model, x, y).curve)
    Failing.fails = True
    found = investigate(model, x, y, analysis=analysis, probes=["scan-again", "labels-from-inputs"], verbose=0)
    by_name = {result.name: result for result in found.results}
    assert by_name["scan-again"].outcome is Outcome.NOT_POSSIBLE
    assert "raised ValueError" in by_name["scan-again"].evidence
    assert by_name["labels-from-inputs"].outcome is not Outcome.NOT_POSSIBLE


def test_a_model_with_a_step_of_its_own_is_asked_what_it_can_be_asked(keras: Any) -> None:
    class Own(keras.Sequential):  # type: ignore[misc]
        def train_step(self, *args: Any) -> Any:
            return super().train_step(*args)

    model = compiled(keras, model=Own(classifier(keras).layers))
    x, y = plain()
    model(x[:1])
    found = investigate(model, x, y, analysis=analyze(scanned(model, x, y).curve), probes=["gradients"], verbose=0)
    assert found.results[0].outcome is Outcome.NOT_POSSIBLE
    assert "overrides" in found.results[0].evidence


def test_gradients_are_those_of_one_plain_step(keras: Any) -> None:
    from keras_lrscan.hosts.gradients import gradients
    from keras_lrscan.hosts.host import Host

    x, y = digits(32)
    model = compiled(keras, keras.optimizers.SGD(0.5))
    model.train_on_batch(x, y)
    before = model.get_weights()
    found = [gradient.norm for gradient in gradients(Host(model), (x, y, None))]
    model.train_on_batch(x, y)
    steps = [float(np.linalg.norm(old - new)) / 0.5 for old, new in zip(before, model.get_weights(), strict=True)]
    np.testing.assert_allclose(found, steps, rtol=1e-4)


@pytest.mark.one_host
def test_keys_that_only_matter_together_are_not_called_unrelated(keras: Any) -> None:
    random, layers = np.random.default_rng(0), keras.layers
    users, items = random.integers(0, 300, (SAMPLES, 1)), random.integers(0, 200, (SAMPLES, 1))
    ratings = (random.normal(size=(300, 4))[users[:, 0]] * random.normal(size=(200, 4))[items[:, 0]]).sum(axis=1)
    user, item = keras.Input((1,), dtype="int32"), keras.Input((1,), dtype="int32")
    vectors = [layers.Flatten()(layers.Embedding(300, 4)(user)), layers.Flatten()(layers.Embedding(200, 4)(item))]
    model = keras.Model([user, item], layers.Dot(axes=-1)(vectors))
    model.compile("adam", "mse")
    result = asked("labels-from-inputs", model, [users, items], ratings, end_lr=1e-4)
    assert result.outcome is Outcome.UNCLEAR, result.evidence
    assert "what each key contributes" in result.evidence
