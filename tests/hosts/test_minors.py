"""Tests that a run with an older Keras really uses it, and that the documentation lists the tested versions."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", name="tox")
def _tox() -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    return parser


@pytest.fixture(scope="module", name="table")
def _table() -> dict[str, str]:
    """Returns a dictionary from each environment to its row in the documentation."""
    lines = (ROOT / "docs" / "where-it-runs.md").read_text(encoding="utf-8").splitlines()
    return {found[1]: line for line in lines if (found := re.search(r"\| `([\w-]+)` \|$", line))}


@pytest.mark.minors
@pytest.mark.keras
def test_the_keras_of_this_run_is_the_one_in_the_folder_that_was_given(
    keras: Any,
    pytestconfig: pytest.Config,
) -> None:
    for folder in pytestconfig.getini("pythonpath"):
        assert Path(keras.__file__).is_relative_to(folder)
        assert f"keras-{keras.__version__}".startswith(f"{folder.name}.")


def test_every_older_keras_is_installed_run_and_in_the_table(tox: ConfigParser, table: dict[str, str]) -> None:
    minors = tox["testenv:keras-minors"]
    installed = re.findall(r"keras==(3\.\d+)\.\*", minors["commands_pre"])
    run = re.findall(r"pythonpath=\S*keras-(3\.\d+) ", minors["commands"])
    assert len(installed) >= 4
    assert installed == run
    assert table["keras-minors"].split("|")[1].strip().split(", ") == run[::-1]


def test_every_file_with_a_test_for_older_versions_is_run(tox: ConfigParser) -> None:
    marked = [path for path in (ROOT / "tests").rglob("test_*.py") if "mark.minors" in path.read_text(encoding="utf-8")]
    assert len(marked) > 5
    run = [ROOT / name for name in tox["minors"]["files"].split()]
    assert [path for path in marked if not any(path.is_relative_to(given) for given in run)] == []
    for name in ("lowest", "keras-minors"):
        commands = [line for line in tox[f"testenv:{name}"]["commands"].splitlines() if "-m minors" in line]
        assert commands
        assert all("{[minors]files}" in line for line in commands)


@pytest.mark.parametrize("name", ["lowest", "minimal", "keras-torch"])
def test_every_version_that_is_pinned_is_in_the_table(tox: ConfigParser, table: dict[str, str], name: str) -> None:
    unseen = {"hypothesis", "pytest", "textstat"}  # only used by the tests
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)", tox[f"testenv:{name}"]["deps"], re.MULTILINE))
    versions = {version for package, version in pins.items() if package not in unseen}
    assert versions
    assert {version for version in versions if version not in table[name]} == set()


def test_every_environment_that_runs_models_is_in_the_table(tox: ConfigParser, table: dict[str, str]) -> None:
    without = {"lint", "typing", "docs", "report", "pictures", "dist"}
    assert set(table) == set(tox["tox"]["env_list"].split(", ")) - without


def test_the_lowest_versions_are_those_that_the_package_asks_for(tox: ConfigParser) -> None:
    asked = dict(re.findall(r"\"?'?([\w-]+)>=([\d.]+)", (ROOT / "setup.py").read_text(encoding="utf-8")))
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)", tox["testenv:lowest"]["deps"], re.MULTILINE))
    for package, version in pins.items():
        assert f"{version}.0".startswith(f"{asked[package]}."), package
