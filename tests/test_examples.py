"""Runs every file in `examples/` with `--quick`."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from tests.support import optional

EXAMPLES = Path(__file__).parents[1] / "examples"

SAYS_RANGE = r"The scan says: \d\.\de-0\d to \d\.\de-0\d\. From a tenth of the steepest fall"
SAYS_TRIALS = r"range of the scan: \d trials .*\n1e-5 to 1e-1: \d trials"

TABLE = {
    "tune_distributed.py": (
        ("keras", "keras_tuner", "sklearn"),
        (SAYS_RANGE, r"(trial \d: rate .*, validation loss 0.*\n){3}"),
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
    monkeypatch.setattr("sys.argv", [name, "--quick"])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    printed = capfd.readouterr().out
    for pattern in says:
        assert re.search(pattern, printed), printed
