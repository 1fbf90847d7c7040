"""Runs a few cases of the benchmarks with odd curves and broken files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.benchmark_scripts import load


@pytest.mark.parametrize(("name", "count"), [("fuzz_curves", 150), ("fuzz_files", 300)])
def test_nothing_but_readings_and_errors_of_this_package_comes_out(name: str, count: int) -> None:
    ends = load(name).fuzz(count, seed=7)
    assert sum(ends.values()) == count
    assert not [end for end in ends if end.startswith("NOT HANDLED")]
    wanted = {"read:", "refused:"} if name == "fuzz_curves" else {"function", "command"}
    assert {end.partition(" ")[0] for end in ends} == wanted


@pytest.mark.parametrize(("name", "inner"), [("fuzz_curves", "use"), ("fuzz_files", "through_functions")])
def test_what_is_not_handled_is_counted_and_is_the_exit_status(
    name: str, inner: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        message = "seven"
        raise KeyError(message)

    module = load(name)
    monkeypatch.setattr(module, inner, fail)
    assert module.main(["--count", "20"]) == 1
    assert f"NOT HANDLED: KeyError in {Path(__file__).name}:" in capsys.readouterr().out
