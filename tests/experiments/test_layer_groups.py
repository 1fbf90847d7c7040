"""Tests scans of groups of layers while the others are frozen."""

from __future__ import annotations

import functools
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.curves.context import ScanContext
from keras_lrscan.curves.curve import LRCurve
from keras_lrscan.errors import InvalidOptionError, ScanError
from keras_lrscan.experiments.layer_groups import Advice, GroupReading, LayerGroups, scan_groups
from keras_lrscan.hosts.weight_groups import find_groups, path_of
from keras_lrscan.recording.trials import Trials
from tests.support.hosts import IS_TF_KERAS, array_of, classifier, compiled, digits, replayed_losses, same_bits, state

if TYPE_CHECKING:
    from pathlib import Path

RATES = np.logspace(-6, 0, 80)
X = np.log10(RATES)


@functools.cache
def reading(*, fall: float = 1.5, wall: float = -1.0) -> Analysis:
    """Analyzes a curve with a given fall and a rise at a rate."""
    loss = 2.3 - fall / (1 + 10.0 ** (-3 * (X - wall + 1.5))) + 10.0 ** (4 * (X - wall))
    loss += 0.01 * np.random.default_rng(0).normal(size=RATES.size)
    context = ScanContext(loss_name="sparse_categorical_crossentropy", num_classes=10)
    calm = loss < 8  # a scan ends there
    return analyze(LRCurve(lr=RATES[calm], loss=loss[calm], stop="diverged", context=context))


@functools.cache
def unreadable() -> Analysis:
    """Analyzes five points of a fall, too few for a suggestion."""
    loss = [2.3, 1.9, 1.4, 0.9, 0.5]
    return analyze(LRCurve(lr=np.logspace(-3, -1, 5), loss=loss, context=ScanContext(chance_loss=2.3)))


def layer_groups(together: Analysis, **alone: Analysis) -> LayerGroups:
    groups = [
        GroupReading(name=name, holds="a layer", paths=(f"{name}/kernel",), num_params=10, analysis=analysis)
        for name, analysis in alone.items()
    ]
    return LayerGroups(together=together, groups=tuple(groups), num_planned=len(groups), optimizer="Adam")


ADVICE: list[tuple[dict[str, float], Advice]] = [
    ({"fall": 0.0}, Advice.FREEZE),
    ({"fall": 0.1}, Advice.FREEZE),
    ({"wall": -2.0}, Advice.LOWER),
    ({}, Advice.READY),
    ({"wall": -0.5}, Advice.READY),
]


@pytest.mark.parametrize(("alone", "advice"), ADVICE)
def test_a_group_is_advised_by_its_fall_and_its_rate(alone: dict[str, float], advice: Advice) -> None:
    assert layer_groups(reading(), body=reading(**alone), head=reading()).advice["body"] == advice


def test_no_group_is_given_more_than_all_together() -> None:
    limit = reading().suggestion.lr
    found = layer_groups(
        reading(), high=reading(wall=-0.3), same=reading(), low=reading(wall=-2.0), still=reading(fall=0.0)
    )
    assert found.rates == {
        "high": limit,
        "same": limit,
        "low": pytest.approx(reading(wall=-2.0).suggestion.lr),
        "still": 0.0,
    }


def test_a_group_without_a_rate_gets_the_lowest() -> None:
    found = layer_groups(reading(), odd=unreadable(), low=reading(wall=-2.0))
    assert unreadable().suggestion.lr is None
    assert found.rates["odd"] == pytest.approx(reading(wall=-2.0).suggestion.lr)


def test_groups_that_all_bear_one_rate_are_said_to_need_no_more() -> None:
    said = layer_groups(reading(), body=reading(), head=reading(wall=-0.5)).explain()
    assert "No group needs its own learning rate" in said
    assert "MultiOptimizer" not in said


def test_groups_survive_a_file_and_say_what_is_missing(tmp_path: Path) -> None:
    found = layer_groups(reading(), body=reading(fall=0.0), head=reading(wall=-2.0))
    kept = LayerGroups(**{**vars(found), "num_planned": 3})
    kept.save(tmp_path / "groups.json")
    again = LayerGroups.load(tmp_path / "groups.json")
    assert again.explain() == kept.explain()
    assert again.rates == kept.rates
    assert "3 groups were planned, and 2 finished." in kept.explain()


def test_the_picture_names_every_group_and_its_advice() -> None:
    pytest.importorskip("matplotlib")
    found = layer_groups(reading(), body=reading(fall=0.0), head=reading())
    labels = found.plot().get_legend_handles_labels()[1]
    assert [label.partition(",")[0] for label in labels[:3]] == ["all together", "body: freeze", "head: ready"]


def pretrained(keras: Any, *, size: int = 6) -> Any:
    """Builds a model with a nested body of several layers and a head."""
    layers = keras.layers
    keras.utils.set_random_seed(1)
    names = [f"block{number // 2}_{'ab'[number % 2]}" for number in range(size)]
    body = keras.Sequential(
        [keras.Input((8,)), *(layers.Dense(8, "relu", name=name) for name in names)], name="backbone"
    )
    x = keras.Input((8,))
    model = keras.Model(x, layers.Dense(10, "softmax", name="logits")(layers.Dropout(0.1)(body(x))))
    return compiled(keras, keras.optimizers.SGD(0.01, momentum=0.9), model=model)


@pytest.mark.one_backend
@pytest.mark.keras
def test_groups_follow_the_structure_of_the_model(keras: Any) -> None:
    model = pretrained(keras)
    groups = find_groups(model)
    assert [(group.name, group.holds) for group in groups] == [
        ("backbone 1/3", "block0_a to block0_b"),
        ("backbone 2/3", "block1_a to block1_b"),
        ("backbone 3/3", "block2_a to block2_b"),
        ("head", "logits"),
    ]
    found = [id(variable) for group in groups for variable in group.variables]
    assert sorted(found) == sorted(map(id, model.trainable_variables))
    flat = find_groups(compiled(keras))
    assert [len(group.variables) for group in flat] == [2, 2]
    assert flat[0].num_params == 8 * 16 + 16


@pytest.mark.one_backend
@pytest.mark.keras
def test_a_body_is_looked_into_until_no_part_holds_most_of_its_weights(keras: Any) -> None:
    layers = keras.layers

    def row(name: str, *parts: Any) -> Any:
        return keras.Sequential([keras.Input((8,)), *parts], name=name)

    blocks = [row(f"block_{number}", layers.Dense(8), layers.Dense(8)) for number in range(4)]
    body = row("encoder", layers.Dense(8, name="stem"), row("stack", *blocks))
    model = compiled(keras, model=row("model", body, layers.Dense(10, "softmax", name="logits")))
    assert [(group.name, group.holds) for group in find_groups(model)] == [
        ("encoder 1/3", "stem to block_0"),
        ("encoder 2/3", "block_1"),
        ("encoder 3/3", "block_2 to block_3"),
        ("head", "logits"),
    ]


@pytest.mark.one_host
@pytest.mark.keras
def test_groups_are_taken_by_layer_name_or_expression(keras: Any) -> None:
    model = pretrained(keras)
    first, head = model.get_layer("backbone").layers[0], model.layers[-1]
    groups = find_groups(model, {"by layer": first, "by name": "logits", "by pattern": ["block1_.*kernel", "block2_a"]})
    assert [len(group.variables) for group in groups] == [2, 2, 4]
    assert groups[1].variables[0] is head.kernel
    assert [group.name for group in find_groups(model, [first, "logits"])] == ["block0_a", "logits"]


@pytest.mark.one_host
@pytest.mark.keras
@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"none": "no such thing"}, "no such thing"),
        ({"one": "logits", "two": "logits.*bias"}, "contain a weight twice"),
        ({"broken": "("}, "regular expressions"),
        ({}, "at least one group"),
        (7, "a dictionary or a list"),
    ],
)
def test_groups_that_cannot_be_are_refused(keras: Any, groups: Any, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        find_groups(pretrained(keras, size=2), groups)


@pytest.mark.one_host
@pytest.mark.keras
def test_a_model_of_one_part_needs_names(keras: Any) -> None:
    model = compiled(keras, model=keras.Sequential([keras.Input((8,)), keras.layers.Dense(10, "softmax")]))
    with pytest.raises(ScanError, match="Name the groups yourself"):
        find_groups(model)


OPTIONS: dict[str, Any] = {"start_lr": 1e-4, "end_lr": 1.0, "num_steps": 12, "verbose": 0}


@pytest.mark.keras
def test_only_its_own_weights_move_in_the_scan_of_a_group(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = compiled(keras, keras.optimizers.AdamW(1e-3, weight_decay=0.1), model=classifier(keras, rich=True))
    model.train_on_batch(*digits(32))
    before, start = state(model), [array_of(variable) for variable in model.trainable_variables]
    groups = find_groups(model)
    own = [{id(variable) for variable in group.variables} for group in groups]
    seen, run = [], Trials._run

    def watched(trials: Trials, recorder: Any, batches: Any, after_step: Any) -> bool:
        done = run(trials, recorder, batches, after_step)
        now = [array_of(variable) for variable in model.trainable_variables]
        seen.append([same_bits([a], [b]) for a, b in zip(start, now, strict=True)])
        return done

    monkeypatch.setattr(Trials, "_run", watched)
    found = scan_groups(model, *digits(), **OPTIONS)
    assert same_bits(before, state(model))
    still = [[id(variable) not in mine for variable in model.trainable_variables] for mine in own]
    assert seen == [[False] * len(start), *still]
    assert (
        [group.name for group in found.groups] == [group.name for group in groups] == ["body 1/2", "body 2/2", "head"]
    )


@pytest.mark.keras
def test_the_curve_of_a_group_is_that_of_a_model_with_the_rest_frozen(keras: Any) -> None:
    """Holds for optimizers that update each weight independently, and models without layers that freezing changes."""
    model = compiled(keras, keras.optimizers.Adam(1e-3))
    found = scan_groups(model, *digits(), {"head": [model.layers[-1]]}, shuffle=False, **OPTIONS)
    frozen = classifier(keras)
    frozen.layers[0].trainable = False
    compiled(keras, keras.optimizers.Adam(1e-3), model=frozen)
    x, y = digits()
    batches = [(x[at : at + 32], y[at : at + 32]) for _ in range(2) for at in range(0, 200, 32)]
    curve = found.groups[0].analysis.curve
    rates = curve.lr.tolist()
    losses = replayed_losses(frozen, batches, [*rates[1:], rates[-1]])
    np.testing.assert_allclose(curve.loss, losses[: len(curve)], rtol=1e-4)
    assert "trainable weights outside all groups stayed fixed" in found.notes[0]


@pytest.mark.one_backend
@pytest.mark.keras
def test_an_optimizer_is_made_with_the_rates_of_the_groups(keras: Any) -> None:
    model = pretrained(keras, size=2)
    groups = find_groups(model)
    alone = [reading(wall=-2.0), reading()][: len(groups)]
    found = LayerGroups(
        together=reading(),
        groups=tuple(
            GroupReading(
                name=group.name,
                holds=group.holds,
                paths=tuple(map(path_of, group.variables)),
                num_params=group.num_params,
                analysis=analysis,
            )
            for group, analysis in zip(groups, alone, strict=True)
        ),
        num_planned=2,
        optimizer="SGD",
    )
    if not hasattr(keras.optimizers, "MultiOptimizer"):
        with pytest.raises(ScanError, match="MultiOptimizer"):
            found.optimizer_for(model)
        return
    optimizer = found.optimizer_for(model)
    compiled(keras, optimizer, model=model)
    model.train_on_batch(*digits(32))
    for group in groups:
        for variable in group.variables:
            inner = optimizer._optimizer_map(variable)
            assert float(array_of(inner.learning_rate)) == pytest.approx(found.rates[group.name])
            assert inner.momentum == 0.9
    scanned = scan_groups(model, *digits(), **OPTIONS)  # the ratios between the groups' rates are kept
    assert scanned.optimizer == "SGD"


@pytest.mark.one_host
@pytest.mark.keras
def test_ctrl_c_keeps_the_groups_that_were_finished(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = pretrained(keras)
    model.train_on_batch(*digits(32))
    before, run = state(model), Trials._run

    def interrupted(trials: Trials, recorder: Any, batches: Any, after_step: Any) -> bool:
        if trials.finished == 2:
            signal.raise_signal(signal.SIGINT)
        return run(trials, recorder, batches, after_step)

    monkeypatch.setattr(Trials, "_run", interrupted)
    found = scan_groups(model, *digits(), **OPTIONS)
    assert (len(found.groups), found.num_planned) == (1, 4)
    assert same_bits(before, state(model))


@pytest.mark.one_host
@pytest.mark.keras
def test_frozen_layers_are_named_and_not_scanned(keras: Any) -> None:
    model = pretrained(keras)
    model.get_layer("backbone").trainable = False
    compiled(keras, model=model)
    found = scan_groups(model, *digits(), ["logits"], **OPTIONS)
    assert "Frozen layers were not scanned: backbone." in found.notes
    assert IS_TF_KERAS or found.together.curve.context.num_frozen_params
