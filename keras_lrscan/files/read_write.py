"""Reads text files in common encodings, and writes files atomically after checking their paths."""

from __future__ import annotations

import codecs
import os
import stat
import tempfile
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

from keras_lrscan.errors import InvalidCurveError, InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Source", "check_output", "checked_path", "name_of", "read_text", "write_file"]

Source: TypeAlias = str | PathLike[str] | IO[str] | IO[bytes]
"""A file to read: its path, or an open file."""

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, None),
    (codecs.BOM_UTF32_BE, None),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order mark → encoding, or `None` for an unsupported encoding; longer marks come first."""

NUM_HEAD_BYTES = 64
"""Bytes that are checked for UTF-16 without a mark, in which every second byte of ASCII text is zero."""

SPECIAL_FILES = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)
"""Test for a kind of file that is not a regular file → name of that kind."""


def checked_path(path: str | PathLike[str]) -> Path:
    """Returns the path as a `Path` after checking it for NUL characters.

    Raises:
        InvalidOptionError: If the path contains a NUL character.
    """
    if "\0" in os.fspath(path):
        msg = f"Expected a path without NUL characters. Received: path={os.fspath(path)!r:.200}."
        raise InvalidOptionError(msg)
    return Path(path)


def name_of(source: Source) -> str:
    """Returns the path of a file, or the name of an open file, for messages.

    >>> name_of("scan.csv"), name_of(__import__("io").StringIO())
    ('scan.csv', 'an open file')
    """
    return os.fspath(source) if isinstance(source, (str, PathLike)) else str(getattr(source, "name", "an open file"))


def read_text(path: Source) -> str:
    """Reads a text file in UTF-8 or UTF-16, with or without a byte order mark.

    Args:
        path: The file, or an open file, which is read to its end.

    Raises:
        InvalidCurveError: If the file has another encoding.
        InvalidOptionError: If the path contains a NUL character.
        OSError: If the file cannot be read.
    """
    data = checked_path(path).read_bytes() if isinstance(path, (str, PathLike)) else path.read()
    if isinstance(data, str):
        return data
    encoding = _encoding_of(data)
    if encoding is None:
        msg = f"Expected a text file in UTF-8 or UTF-16. Received: path={name_of(path)!r}, in UTF-32. Save it as UTF-8."
        raise InvalidCurveError(msg)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        msg = (
            f"Expected a text file in UTF-8 or UTF-16. Received: path={name_of(path)!r}, which is not valid "
            f"{encoding.upper()} at byte {error.start} (0x{data[error.start]:02x}). Save it as UTF-8."
        )
        raise InvalidCurveError(msg) from error


def _encoding_of(data: bytes) -> str | None:
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    head = data[:NUM_HEAD_BYTES]
    if len(head) > 1 and not any(head[::2]) and all(head[1::2]):
        return "utf-16-be"
    return "utf-16-le" if len(head) > 1 and not any(head[1::2]) and all(head[::2]) else "utf-8"


def write_file(
    path: str | PathLike[str], data: str | bytes, *, inputs: Iterable[str | PathLike[str]] = (), name: str = "path"
) -> Path:
    """Writes a regular file atomically: completely or not at all.

    The data are first written to a temporary folder next to the target, and the new file then replaces the target. An
    existing file keeps its mode, a new file gets the default mode, and a failure leaves no files behind.

    Args:
        path: The file. An existing regular file is replaced.
        data: Content of the file; text is written in UTF-8.
        inputs: Input files, which must not be overwritten.
        name: Name of the argument, for error messages.

    Returns:
        The path.

    Raises:
        InvalidOptionError: If `path` is one of `inputs`, a link, a device, a folder or not writable, or if its folder
            does not exist.
        OSError: If the file cannot be written.
    """
    target = checked_path(path)
    mode = check_output(path, inputs=inputs, name=name)
    with tempfile.TemporaryDirectory(prefix=".lrscan-", dir=target.parent) as folder:
        part = Path(folder, "part")
        part.write_bytes(data.encode() if isinstance(data, str) else data)
        if mode is not None:
            part.chmod(mode)
        part.replace(target)
    return target


def check_output(
    path: str | PathLike[str], *, inputs: Iterable[str | PathLike[str]] = (), name: str = "path"
) -> int | None:
    """Checks that a file can be written, so that an invalid path is reported before any computation.

    Args:
        path: The file.
        inputs: Input files, which must not be overwritten.
        name: Name of the argument, for error messages.

    Returns:
        The mode of the existing file, or `None` if there is no such file.

    Raises:
        InvalidOptionError: In the same cases as `write_file`.
    """
    target = checked_path(path)
    mode = _mode_of(target, name)
    if mode is not None and any(Path(source).exists() and target.samefile(source) for source in inputs):
        msg = (
            f"Expected an output file other than the input file. Received: {name}={str(path)!r}, which would overwrite "
            "the input. Choose another output file."
        )
        raise InvalidOptionError(msg)
    if not target.parent.is_dir():
        msg = f"Expected a path in an existing folder. Received: {name}={str(path)!r}. Create {target.parent} first."
        raise InvalidOptionError(msg)
    return mode


def _mode_of(target: Path, name: str) -> int | None:
    """Returns the mode of a regular file, or `None` if it does not exist."""
    try:
        mode = target.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    for is_special, words in SPECIAL_FILES:
        if is_special(mode):
            advice = "Add a file name, such as scan.html." if stat.S_ISDIR(mode) else "Choose a regular file."
            msg = f"Expected the path of a file. Received: {name}={str(target)!r}, {words}. {advice}"
            raise InvalidOptionError(msg)
    if not os.access(target, os.W_OK):
        msg = f"Expected a writable file. Received: {name}={str(target)!r}, which is write-protected."
        raise InvalidOptionError(msg)
    return stat.S_IMODE(mode)
