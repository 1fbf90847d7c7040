"""Tests the benchmark of causes: its conditions are complete, some of each cause are set aside, and its fits run."""

from __future__ import annotations

import gzip
import importlib
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keras_lrscan import LRCurve, analyze
from keras_lrscan.causes.ranking import CAUSES
from keras_lrscan.probes.table import PROBES
from keras_lrscan.suggestions.suggest import Role, what_stops_learning
from tests.support import hosts

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[2] / "benchmarks" / "causes"


@pytest.fixture(scope="module", name="zoo")
def _zoo() -> Iterator[Any]:
    """Returns a function that imports a script by name, and removes all scripts from `sys.modules` afterwards."""
    names = {file.stem for file in FOLDER.glob("*.py")} | {
        ".".join(file.relative_to(FOLDER).with_suffix("").parts).removesuffix(".__init__")
        for file in FOLDER.glob("conditions/**/*.py")
    }
    assert not names & set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
    for name in names & set(sys.modules):
        del sys.modules[name]


@pytest.fixture(scope="module", name="conditions")
def _conditions(zoo: Any) -> Any:
    return zoo("conditions")


def cause_of(name: str) -> str:
    return name.split("/", maxsplit=1)[0]


def test_every_condition_has_a_name_of_its_own_that_begins_with_a_cause(conditions: Any) -> None:
    names = [condition.name for condition in conditions.CONDITIONS]
    assert len(set(names)) == len(names)
    assert {cause_of(name) for name in names} == {cause.name for cause in CAUSES}


def test_a_cause_has_at_least_four_conditions_that_differ_in_data_model_and_optimizer(conditions: Any) -> None:
    for cause in CAUSES:
        rows = [condition for condition in conditions.CONDITIONS if condition.cause == cause.name]
        assert len(rows) >= 4, cause.name
        assert len({(row.data, str(row.model), str(row.optimizer)) for row in rows}) == len(rows), cause.name


@pytest.fixture(scope="module", name="scans")
def _scans() -> dict[str, list[LRCurve]]:
    """Returns the recorded scans of the conditions to tune on and those set aside, by cause."""
    with gzip.open(FOLDER / "scans.json.gz") as file:
        rows = json.load(file)
    scans: dict[str, list[LRCurve]] = {}
    for row in rows:
        scans.setdefault(cause_of(row["name"]), []).append(LRCurve.from_dict(row["scans"][0]))
    return scans


@pytest.mark.parametrize("cause", [cause.name for cause in CAUSES if cause.stops_learning])
def test_where_nothing_can_be_learned_no_rate_is_suggested(scans: dict[str, list[LRCurve]], cause: str) -> None:
    found = [analyze(curve, num_copies=3) for curve in scans[cause]]
    assert len(found) >= 4
    rates = [{analysis.suggest(role=role).lr for role in Role} != {None} for analysis in found]
    assert sum(rates) <= 0.2 * len(rates)
    blocked = [analysis for analysis in found if what_stops_learning(analysis.findings)]
    assert len(blocked) > len(found) / 2
    for analysis in blocked:
        assert analysis.search_range().low is None
        assert re.search(r"Problem \(\d+% likely\): ", analysis.summary())
        assert "Learning rate: none until that is fixed." in analysis.summary()


def test_healthy_fits_get_a_rate(scans: dict[str, list[LRCurve]]) -> None:
    causes = ("fresh-start", "new-head", "partly-trained", "already-good")
    rates = [analyze(curve, num_copies=3).suggestion.lr for cause in causes for curve in scans[cause][:8]]
    assert len(rates) >= 20
    assert rates.count(None) <= 1


def test_a_condition_or_more_of_each_cause_is_set_aside_and_more_are_not(conditions: Any) -> None:
    total = Counter(condition.cause for condition in conditions.CONDITIONS)
    aside = Counter(condition.cause for condition in conditions.SET_ASIDE)
    for cause, count in total.items():
        assert 1 <= aside[cause] < count - aside[cause], cause


@pytest.mark.parametrize(("folder", "collected"), [("tuned", "TUNED"), ("set_aside", "SET_ASIDE")])
def test_every_file_of_a_folder_of_conditions_is_collected(
    conditions: Any, zoo: Any, folder: str, collected: str
) -> None:
    files = [file.stem for file in (FOLDER / "conditions" / folder).glob("[!_]*.py")]
    names = {row.name for file in files for row in zoo(f"conditions.{folder}.{file}").ROWS}
    assert names == {row.name for row in getattr(conditions, collected)}


def test_every_condition_of_the_table_is_recorded_once_a_seed(conditions: Any, zoo: Any) -> None:
    score = zoo("score")
    scans = Counter(name for name, _, _ in score.read(score.SCANS))
    assert scans == {condition.name: len(conditions.SEEDS) for condition in conditions.CONDITIONS}


def needs_keras_on_tensorflow(keras: Any) -> None:
    if hosts.IS_TF_KERAS or keras.backend.backend() != "tensorflow":
        pytest.skip("the benchmark runs on Keras 3 with TensorFlow")
    pytest.importorskip("sklearn", exc_type=ImportError)


@pytest.mark.one_host
@pytest.mark.keras
def test_the_probed_models_have_three_rows_for_each_of_fifteen_causes(zoo: Any, keras: Any) -> None:
    needs_keras_on_tensorflow(keras)
    probe_zoo = zoo("probe_zoo")
    rows = Counter(row.cause for row in probe_zoo.ROWS)
    assert len(rows) == 15
    assert set(rows.values()) == {3}
    settled = {cause for probe in PROBES for cause in probe.settles}
    assert set(rows) <= settled <= {cause.name for cause in CAUSES}
    assert {name for causes in probe_zoo.ALSO_TRUE.values() for name in causes} <= settled


@pytest.mark.one_host
@pytest.mark.keras
@pytest.mark.parametrize(
    ("name", "probes", "is_confirmed"),
    [
        ("wrong-from-logits/wine", ["loss-fits-outputs"], True),
        ("frozen-model/wine", ["one-step", "overfit-one-batch"], True),
        ("ordered-data/cancer", ["hold-first-rate"], True),
        ("partly-trained/diabetes", ["start-against-chance", "scale-inputs"], False),
    ],
)
def test_probes_never_clear_the_culprit(zoo: Any, keras: Any, name: str, probes: list[str], is_confirmed: bool) -> None:
    needs_keras_on_tensorflow(keras)
    probe_zoo = zoo("probe_zoo")
    (row,) = [row for row in probe_zoo.ROWS if row.name == name]
    probed = probe_zoo.probe(row, probes)
    assert not probed.is_cleared, probed.evidence
    assert not probed.false_ones, probed.evidence
    assert not is_confirmed or probed.cause in probed.confirmed, probed.evidence


@pytest.mark.one_host
@pytest.mark.keras
def test_a_condition_is_recorded_and_scored(zoo: Any, conditions: Any, keras: Any) -> None:
    needs_keras_on_tensorflow(keras)
    name = "fresh-start/digits-mlp-adam"
    condition = next(one for one in conditions.CONDITIONS if one.name == name)
    curves = zoo("build").record(condition, (0, 1))
    again = zoo("build").record(condition, (1,))
    assert again[0].loss[:40] == pytest.approx(curves[1].loss[:40], rel=1e-3)
    assert curves[0].loss[0] != pytest.approx(curves[1].loss[0], rel=1e-3)
    scored = zoo("score").score((name, 0, curves[0].to_dict()), copies=4)
    assert (scored.cause, scored.condition) == (cause_of(name), name)
    assert scored.found
