"""Runs ktrain's own tests of `lr_find` with the finder of this package.

    pip install "keras_lrscan[ktrain]" pytest && pip install --no-deps tf_keras mlxtend
    python benchmarks/ktrain/own_tests.py               # downloads ktrain's source distribution from PyPI
    python benchmarks/ktrain/own_tests.py --own         # the same with ktrain's own finder

Two of ktrain's test files call `lr_find`. One of them downloads the Boston housing data. The script replaces Keras's
download with the same 506 rows from the package mlxtend. It changes no file of ktrain.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

TESTS = ("test_regression.py", "test_multilabel.py")

CONFTEST = """
import atexit, os, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from mlxtend.data import boston_housing_data
from tf_keras.src.datasets import boston_housing

x, y = boston_housing_data()
np.savez("boston_housing.npz", x=x, y=y)
boston_housing.get_file = lambda *_, **__: os.path.abspath("boston_housing.npz")

if os.environ["FINDER"] == "ours":
    from keras_lrscan.integrations.ktrain import adapter as ktrain_adapter
    ktrain_adapter.adopt()


def pytest_runtest_teardown(item):
    from ktrain.core import Learner
    print("\\nfinder of", item.name + ":", Learner.lr_find.__module__)
"""


def main() -> int:
    """Runs pytest and returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--own", action="store_true", help="use ktrain's own finder")
    parser.add_argument("--sdist", type=Path, help="path of ktrain's source distribution, if already downloaded")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tarfile.open(options.sdist or _fetch(folder)) as archive:
            archive.extractall(folder, filter="data")
        tests = next(folder.glob("ktrain-*/tests"))
        for path in tests.parent.glob("ktrain"):
            path.rename(tests.parent / "not_the_installed_one")  # the tests put its folder first on the path
        (tests / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        finder = "ktrain's" if options.own else "ours"
        environment = {**os.environ, "FINDER": finder, "TF_USE_LEGACY_KERAS": "1", "MPLBACKEND": "agg"}
        command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *TESTS]
        return subprocess.run(command, cwd=tests, env=environment, check=False).returncode


def _fetch(folder: Path) -> Path:
    wanted = ["--no-deps", "--no-binary", ":all:", "--dest", str(folder), f"ktrain=={version('ktrain')}"]
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", *wanted], check=True)
    return next(folder.glob("ktrain-*.tar.gz"))


if __name__ == "__main__":
    sys.exit(main())
