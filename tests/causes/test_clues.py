"""Tests that every clue has a sentence, that texts keep to one vocabulary, and which causes explain a NaN."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan import LRCurve, ScanContext, analyze
from keras_lrscan.causes.ranking import CAUSES
from keras_lrscan.datasets.synthetic import synthetic_curve

if TYPE_CHECKING:
    from keras_lrscan.causes.cause import Cause, Clue

CLUES = {
    f"{cause.name} {number}": clue
    for cause in CAUSES
    for number, clue in enumerate((*cause.when, *cause.clues, *cause.not_for, *cause.rules_out))
}
AGAINST = ("Against it: ", "Less certain, ")
BANNED = re.compile(r"guess|foretell|by heart|\bmend", re.IGNORECASE)


@pytest.mark.parametrize("name", CLUES)
def test_every_clue_has_a_sentence(name: str) -> None:
    says = CLUES[name].says
    assert says[0].isupper() or says[0] in "{`"
    assert says.endswith(".")


@pytest.mark.parametrize("name", CLUES)
def test_a_clue_against_its_cause_says_so(name: str) -> None:
    clue: Clue = CLUES[name]
    if clue.weight:
        assert clue.says.startswith(AGAINST) == (clue.weight < 0)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_texts_speak_of_the_chance_level_and_in_plain_words(cause: Cause) -> None:
    clues = (*cause.when, *cause.clues, *cause.not_for, *cause.rules_out)
    says = [re.sub(r"{\w+}", "", clue.says) for clue in clues]
    advice = [cause.advice, *(clue.says for clue in cause.advice_here)]
    texts = [cause.title, cause.means, cause.to_check, *advice, cause.is_not, *says]
    assert not [text for text in texts if BANNED.search(text)]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"num_layers": 5, "num_frozen_layers": 4, "body_is_frozen": True}, "not-applicable"),
        ({"num_layers": 1, "num_frozen_layers": 0}, "not-applicable"),
        ({"num_layers": 6, "num_frozen_layers": 4, "body_is_frozen": True}, "likely"),
        ({"num_layers": 5, "num_frozen_layers": 0}, "likely"),
        ({"num_layers": 1, "num_frozen_layers": 0, "output_activation": "relu"}, "likely"),
        ({"num_layers": 1, "num_frozen_layers": 0, "loss_name": "own_loss"}, "likely"),
        ({}, "likely"),
    ],
    ids=["linear head", "linear model", "two layers", "all layers", "relu", "own loss", "unknown"],
)
def test_a_linear_layer_on_fixed_features_has_no_second_valley(facts: dict[str, object], expected: str) -> None:
    curve = synthetic_curve("several-valleys")
    known = {"loss_name": "sparse_categorical_crossentropy", "output_activation": "softmax", **facts}
    context = ScanContext.from_dict({**curve.context.to_dict(), **known})
    analysis = analyze(LRCurve(lr=curve.lr, loss=curve.loss, stop=curve.stop, context=context))
    (catapult,) = [item for item in (*analysis.findings, *analysis.excluded) if item.name == "catapult"]
    assert catapult.status == expected


@pytest.mark.parametrize(
    "facts",
    [
        {"from_logits": True, "output_activation": "softmax"},
        {"from_logits": False, "output_activation": "linear"},
        {"zero_weight_share": 0.95},
    ],
    ids=["probabilities as logits", "logits as probabilities", "weights of zero"],
)
def test_what_is_wrong_with_the_loss_leaves_no_healthy_start(facts: dict[str, object]) -> None:
    curve = synthetic_curve("u-shaped")
    for changes, is_healthy in (({}, True), (facts, False)):
        context = ScanContext.from_dict({**curve.context.to_dict(), **changes})
        analysis = analyze(LRCurve(lr=curve.lr, loss=curve.loss, stop=curve.stop, context=context))
        sure = {finding.name for finding in analysis.findings if finding.is_sure}
        assert ("fresh-start" in sure) is is_healthy
        assert analysis.first_problem is None if is_healthy else analysis.first_problem is not None


FINITE = {"nonfinite_inputs": 0.0, "nonfinite_targets": 0.0, "data_seen": "arrays"}


def names_of(**facts: object) -> dict[str, str]:
    """Returns the causes of a curve whose first loss is NaN, and their status."""
    context = ScanContext.from_dict({"start_lr": 1e-7, "end_lr": 10.0, **facts})
    analysis = analyze(LRCurve(lr=[1e-7], loss=[math.nan], stop="non-finite", context=context))
    return {item.name: str(item.status) for item in (*analysis.findings, *analysis.excluded)}


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"loss_name": "poisson", "output_activation": "linear"}, "likely"),
        ({"loss_name": "kl_divergence", "output_activation": "tanh"}, "likely"),
        ({"loss_name": "loss_by_hand"}, "likely"),
        ({"loss_name": "poisson"}, "possible"),
        ({"loss_name": "poisson", "output_activation": "softplus"}, None),
        ({"loss_name": "mean_squared_error", "output_activation": "linear"}, None),
        ({"loss_name": "categorical_crossentropy", "from_logits": True, "output_activation": "linear"}, None),
    ],
)
def test_a_first_loss_of_nan_on_finite_data_lies_in_the_domain_of_the_loss(
    facts: dict[str, object], status: str | None
) -> None:
    found = names_of(**FINITE, **facts)
    assert found.get("loss-outside-domain") == status
    assert found["nan-in-data"] == "ruled-out"


@pytest.mark.parametrize("share", ["nonfinite_inputs", "nonfinite_targets", "bad_labels"])
def test_invalid_data_explain_a_nan_under_any_loss(share: str) -> None:
    found = names_of(**{**FINITE, share: 0.1}, loss_name="poisson", output_activation="linear")
    assert found["nan-in-data"] == "likely"
    assert "loss-outside-domain" not in found


def test_data_of_unseen_batches_are_not_known_to_be_finite() -> None:
    context = ScanContext.from_dict({**FINITE, "data_seen": "first batches", "loss_name": "poisson"})
    loss = [*np.linspace(2.3, 2.2, 20), math.nan]
    curve = LRCurve(lr=np.geomspace(1e-7, 1e-5, 21), loss=loss, stop="non-finite", context=context)
    assert analyze(curve).facts["data_are_finite"] is None


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"num_outputs": 1}, True),
        ({"num_outputs": 10}, False),
        ({"num_outputs": 1, "output_activation": "sigmoid"}, False),
        ({}, False),
    ],
)
def test_a_softmax_over_one_unit_does_not_fit_any_loss(facts: dict[str, object], *, expected: bool) -> None:
    facts = {"loss_name": "binary_crossentropy", "output_activation": "softmax", "from_logits": False, **facts}
    context = ScanContext(**facts)  # type: ignore[arg-type]
    curve = synthetic_curve("u-shaped")
    analysis = analyze(LRCurve(lr=curve.lr, loss=curve.loss, stop=curve.stop, context=context), num_copies=3)
    found = [finding for finding in analysis.findings if finding.name == "wrong-from-logits" and finding.is_sure]
    assert bool(found) == expected
    assert all("sigmoid" in finding.advice for finding in found)


@pytest.mark.parametrize(("share", "expected"), [(1.0, "labels-not-reaching-loss"), (0.95, "class-imbalance")])
def test_one_label_for_all_leaves_nothing_to_learn(share: float, expected: str) -> None:
    curve = synthetic_curve("still-falling")
    context = ScanContext(loss_name="binary_crossentropy", majority_share=share, data_seen="arrays")
    analysis = analyze(LRCurve(lr=curve.lr, loss=curve.loss, context=context), num_copies=3)
    likely = {finding.name for finding in analysis.findings if finding.is_sure}
    assert likely & {"labels-not-reaching-loss", "class-imbalance"} == {expected}
    assert (analysis.suggestion.lr is None) == (share == 1.0)


@pytest.mark.parametrize(("end_lr", "limited"), [(0.1, True), (0.05, False)])
def test_no_larger_rate_is_advised_than_the_optimizer_takes(end_lr: float, *, limited: bool) -> None:
    curve = synthetic_curve("still-falling")
    context = ScanContext(optimizer="Adafactor", start_lr=1e-7, end_lr=end_lr, num_steps=100, optimizer_iterations=0)
    lr = np.geomspace(1e-7, end_lr, len(curve))
    analysis = analyze(LRCurve(lr=lr, loss=curve.loss, stop="end-lr", context=context), num_copies=3)
    assert ("`end_lr` 10 to 100 times larger" in analysis.explain(level="full")) != limited


def test_a_short_epoch_is_named_as_the_reason_for_few_steps() -> None:
    curve = synthetic_curve("u-shaped", num_steps=20)
    context = ScanContext(steps_per_epoch=20, num_steps=20)
    analysis = analyze(LRCurve(lr=curve.lr, loss=curve.loss, context=context), num_copies=3)
    (few,) = [finding for finding in analysis.findings if finding.name == "few-steps-per-decade"]
    assert few.advice == "Scan with 100 steps, for which `fit` needs `epochs=5` with these data."


@pytest.mark.parametrize(("high", "expected"), [(400.0, "largest targets"), (60.0, "y.std()")])
def test_a_few_far_targets_get_advice_of_their_own(high: float, expected: str) -> None:
    curve = synthetic_curve("u-shaped")
    context = ScanContext(target_low=-50.0, target_high=high, target_mean=0.0, target_std=20.0, loss_name="mse")
    analysis = analyze(LRCurve(lr=curve.lr, loss=curve.loss, context=context), num_copies=3)
    (unscaled,) = [finding for finding in analysis.findings if finding.name == "unscaled-targets"]
    assert expected in unscaled.advice


@pytest.mark.parametrize(
    ("share", "activation", "is_wrong"), [(0.4, "softmax", True), (0.4, "sigmoid", False), (0.0, "softmax", False)]
)
def test_a_softmax_does_not_fit_labels_that_do_not_exclude_each_other(
    share: float, activation: str, *, is_wrong: bool
) -> None:
    curve = synthetic_curve("u-shaped")
    known = ScanContext(loss_name="binary_crossentropy", output_activation=activation, multi_label_share=share)
    problem = analyze(LRCurve(lr=curve.lr, loss=curve.loss, context=known)).first_problem
    assert (problem is not None and problem.name == "wrong-from-logits") == is_wrong


def test_several_labels_under_a_categorical_loss_need_a_binary_one() -> None:
    curve = synthetic_curve("u-shaped")
    known = ScanContext(loss_name="categorical_crossentropy", from_logits=True, multi_label_share=0.4, bad_labels=0.0)
    problem = analyze(LRCurve(lr=curve.lr, loss=curve.loss, context=known)).first_problem
    assert problem is not None
    assert problem.name == "wrong-from-logits"
    assert "`binary_crossentropy`" in problem.advice


def test_missing_values_explain_weights_that_are_lost_in_the_first_step() -> None:
    known = ScanContext(nonfinite_inputs=0.26, optimizer="Adam")
    curve = LRCurve(lr=[1e-7], loss=[1.1], stop="non-finite-weights", context=known)
    assert [finding.name for finding in analyze(curve).findings] == ["nan-in-data"]
    clean = dataclasses.replace(curve, context=dataclasses.replace(known, nonfinite_inputs=0.0))
    assert analyze(clean).findings == ()


def test_labels_that_are_all_the_same_are_named_in_the_advice() -> None:
    curve = synthetic_curve("flat-at-chance")
    known = ScanContext(loss_name="sparse_categorical_crossentropy", majority_share=1.0, data_seen="arrays")
    problem = analyze(LRCurve(lr=curve.lr, loss=curve.loss, context=known)).first_problem
    assert problem is not None
    assert problem.advice.startswith("Look at the labels: all of them are the same")


def test_classes_with_weights_are_not_out_of_balance() -> None:
    known: dict[str, Any] = {"majority_share": 0.97, "num_classes": 2, "loss_name": "binary_crossentropy"}
    curve = synthetic_curve("u-shaped")
    for feeding, expected in ({}, True), ({"class_weight": {0: 1.0, 1: 30.0}}, False):
        context = ScanContext(**known, feeding=feeding)
        found = analyze(LRCurve(lr=curve.lr, loss=curve.loss, context=context)).findings
        assert any(finding.name == "class-imbalance" for finding in found) == expected


@pytest.mark.parametrize(("lowest", "is_sure"), [(-1.5, True), (-0.5, False)])
def test_a_test_did_not_begin_too_high_if_its_loss_falls_for_two_decades(lowest: float, *, is_sure: bool) -> None:
    x = np.linspace(-3, 1, 200)
    loss = 2.3 + 0.4 * (x[0] - x) + 6 * np.maximum(x - lowest, 0.0) ** 2
    context = ScanContext(loss_name="sparse_categorical_crossentropy", num_classes=10, start_lr=1e-3, end_lr=10.0)
    analysis = analyze(LRCurve(lr=10.0**x, loss=loss, context=context))
    found = next(finding for finding in analysis.findings if finding.name == "range-too-high")
    assert found.is_sure == is_sure
