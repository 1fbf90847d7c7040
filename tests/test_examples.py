"""Runs every file in `examples/` with `--quick`, and the lines of the README that readers paste."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from keras_lrscan import last_scan
from keras_lrscan.datasets.digits import digits, digits_model
from tests.support import hosts, optional

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"

SAYS_RANGE = r"The scan says: \d\.\de-0\d to \d\.\de-0\d\. From a tenth of the rate of the steepest fall"
SAYS_TRIALS = r"range of the scan: \d trials .*\n1e-5 to 1e-1: \d trials"

TABLE = {
    "scan_apply_train.py": (("keras", "sklearn"), (r"sgd +default +\d\.\d+ .*\nsgd +apply +\d.*\nsgd +one_cycle +\d",)),
    "tune_distributed.py": (
        ("keras", "keras_tuner", "sklearn"),
        (SAYS_RANGE, r"(trial \d: rate .*, validation loss 0.*\n){2}"),
    ),
    "tune_keras_tuner.py": (("keras", "keras_tuner", "sklearn"), (SAYS_RANGE, SAYS_TRIALS)),
    "tune_optuna.py": (("keras", "optuna", "sklearn"), (SAYS_RANGE, SAYS_TRIALS)),
}
"""File → (required modules, expected output)."""

RUN_ELSEWHERE = {"ktrain_headlines.py"}
"""Examples run by `integrations/ktrain/test_adapter.py` if ktrain is installed."""


def test_every_example_is_in_the_table_and_in_the_readme() -> None:
    files = {path.name for path in EXAMPLES.glob("*.py")}
    assert files == set(TABLE) | RUN_ELSEWHERE
    assert files == set(re.findall(r"^\| `(\w+\.py)` \|", (EXAMPLES / "README.md").read_text(), re.MULTILINE))


@pytest.mark.filterwarnings("default")  # as users run them; the tuners call deprecated functions
@pytest.mark.parametrize("name", TABLE)
def test_an_example_runs_and_says_what_it_should(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    needs, says = TABLE[name]
    for module in needs:
        optional.module(module)
    if hosts.BACKEND == "tensorflow":
        hosts.stop_tuning_pipelines()
    monkeypatch.setattr("sys.argv", [name, "--quick"])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    printed = capfd.readouterr().out
    for pattern in says:
        assert re.search(pattern, printed), printed


@pytest.mark.one_host
@pytest.mark.keras
@pytest.mark.filterwarnings("default")
def test_the_ten_lines_of_the_readme_scan_and_train(keras: Any) -> None:
    optional.module("sklearn")
    if hosts.IS_TF_KERAS:
        pytest.skip("the lines are for Keras 3")
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Scan, apply, train")[2]
    lines = text.split("```python\n")[1].split("```")[0]
    assert len([line for line in lines.splitlines() if line]) <= 10
    keras.utils.set_random_seed(0)
    names: dict[str, Any] = {}
    exec(lines, names)  # noqa: S102 - this is how readers run them
    accuracies = names["model"].history.history["val_accuracy"]
    assert len(accuracies) == 10
    assert accuracies[-1] > 0.85  # one in ten by guessing; losses on so few digits rise again while answers get better


@pytest.mark.keras
@pytest.mark.minors
@pytest.mark.filterwarnings("default")  # Keras's own progress bar warns on torch
def test_the_lines_to_paste_from_the_readme_set_the_rate_and_train(keras: Any) -> None:
    optional.module("sklearn")
    keras.utils.set_random_seed(0)
    x, y = digits()
    model = digits_model()
    lines = (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {"model": model, "x": x, "y": y}
    exec(lines, names)  # noqa: S102 - this is how readers run them
    assert names["lr"] is not None
    scan = last_scan()
    assert scan is not None
    assert names["scan"] is scan
    assert hosts.array_of(model.optimizer.learning_rate) == pytest.approx(names["lr"], rel=1e-6)
    assert hosts.array_of(model.optimizer.iterations) > len(scan.curve)
