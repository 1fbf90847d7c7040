"""Tests that everything that a release consists of agrees: version, metadata, workflows and the list of files."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

import keras_lrscan

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(name="metadata", scope="module")
def _metadata() -> dict[str, Any]:
    """Returns the arguments of `setup`."""
    found: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        setuptools = pytest.importorskip("setuptools")
        patch.setattr(setuptools, "setup", lambda **arguments: found.update(arguments))
        runpy.run_path(str(ROOT / "setup.py"))
    return found


def test_the_version_is_the_same_everywhere_and_has_a_section_in_the_changelog(metadata: dict[str, Any]) -> None:
    version = keras_lrscan.__version__
    assert metadata["version"] == version
    date = re.search(rf"^## \[{re.escape(version)}\] - (\d{{4}}-\d\d-\d\d)$", read("CHANGELOG.md"), re.MULTILINE)
    assert date is not None
    citation = read("CITATION.cff")
    assert f"\nversion: {version}\n" in citation
    assert f'\ndate-released: "{date[1]}"\n' in citation


def test_links_and_images_of_the_readme_work_on_an_index(metadata: dict[str, Any]) -> None:
    links = re.findall(r"\]\(([^)]+)\)", metadata["long_description"])
    base = f"{metadata['url']}/"
    assert links
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    for link in (link.removeprefix(base) for link in links if link.startswith(base)):
        kind, tag, path = link.partition("#")[0].split("/", 2)
        assert kind == ("raw" if path.endswith(".png") else "blob")
        assert tag == f"v{metadata['version']}"
        assert (ROOT / path).is_file(), path


def test_the_address_of_the_repository_is_the_same_everywhere(metadata: dict[str, Any]) -> None:
    assert f"repository-code: {metadata['url']}\n" in read("CITATION.cff")
    site = metadata["project_urls"]["Documentation"]
    assert f"\nurl: {site}\n" in read("CITATION.cff")
    assert f"url: {site}\n" in read(".github/ISSUE_TEMPLATE/config.yml")


def test_the_workflows_run_every_environment_on_every_python_that_is_named(metadata: dict[str, Any]) -> None:
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    environments = set(tox["tox"]["env_list"].split(", "))
    texts = {path.name: path.read_text(encoding="utf-8") for path in WORKFLOWS}
    listed = re.search(r"environment:\s*\[([^\]]+)\]", texts["checks.yml"])
    assert listed is not None
    run = {name.strip() for name in listed[1].split(",")}
    assert run | {"docs", "dist"} == environments
    assert "tox -e docs\n" in texts["docs.yml"]
    assert "tox -e dist\n" in texts["release.yml"]
    named = {line.rpartition(" ")[2] for line in metadata["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert set(re.findall(r'"(3\.\d+)"', texts["checks.yml"])) == named


@pytest.mark.parametrize("path", [*WORKFLOWS, *sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))], ids=str)
def test_a_form_or_workflow_is_valid_yaml_with_its_required_keys(path: Path) -> None:
    yaml = pytest.importorskip("yaml", exc_type=ImportError)
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "workflows":
        assert {"name", "jobs", "permissions"} <= set(data)
        assert all("uses" in job or {"runs-on", "steps"} <= set(job) for job in data["jobs"].values())
    elif path.name != "config.yml":
        assert {"name", "description", "body"} <= set(data)
        identifiers = [item["id"] for item in data["body"]]
        assert len(identifiers) == len(set(identifiers))
        assert all(item["attributes"]["label"] for item in data["body"])


def test_the_archive_holds_every_file_of_the_repository() -> None:
    """Reads the patterns of `MANIFEST.in`; setuptools adds the package, the readme, the license and its own files."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is not a clone")
    tracked = subprocess.run([git, "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    rules = [line.split() for line in read("MANIFEST.in").splitlines() if line and not line.startswith("#")]
    whole = tuple(f"{folder}/" for rule, folder, *_ in rules if rule == "graft")
    single = {name for rule, *names in rules if rule == "include" for name in names}
    added = {"LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py"}
    missing = [
        path for path in tracked if not path.startswith((*whole, "keras_lrscan/")) and path not in single | added
    ]
    assert missing == [".gitignore"]
