"""Files in and out: text in the encodings that programs write, and output that is written whole or not at all."""

from __future__ import annotations

import codecs
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from keras_lrscan.errors import InvalidCurveError, InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

__all__ = ["check_output", "checked_path", "read_text", "write_file"]

MARKS = (
    (codecs.BOM_UTF32_LE, None),
    (codecs.BOM_UTF32_BE, None),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Bytes that a text may begin with → its encoding, or `None` for one that is not read. The longer ones come first."""

HEAD = 64
"""So many bytes tell UTF-16 without a mark: of ASCII in it, every second byte is zero."""

SPECIAL = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)
"""How to tell a file that is no ordinary one → its name."""


def checked_path(path: str | PathLike[str]) -> Path:
    """Returns the path, or refuses one that no system can have.

    Raises:
        InvalidOptionError: If it holds a NUL character.
    """
    if "\0" in os.fspath(path):
        msg = f"Expected a path without NUL characters. Received: path={os.fspath(path)!r:.200}."
        raise InvalidOptionError(msg)
    return Path(path)


def read_text(path: str | PathLike[str]) -> str:
    """Reads a text file in UTF-8 or UTF-16, with or without a byte order mark.

    Args:
        path: The file.

    Raises:
        InvalidCurveError: If the file is in another encoding.
        InvalidOptionError: If the path holds a NUL character.
        OSError: If the file cannot be read.
    """
    data = checked_path(path).read_bytes()
    encoding = _encoding_of(data)
    if encoding is None:
        msg = f"Expected a text file in UTF-8 or UTF-16. Received: path={str(path)!r}, in UTF-32. Save it as UTF-8."
        raise InvalidCurveError(msg)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        msg = (
            f"Expected a text file in UTF-8 or UTF-16. Received: path={str(path)!r}, which is not {encoding.upper()} "
            f"from byte {error.start} on (0x{data[error.start]:02x}). Save it again as UTF-8."
        )
        raise InvalidCurveError(msg) from error


def _encoding_of(data: bytes) -> str | None:
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return encoding
    head = data[:HEAD]
    if len(head) > 1 and not any(head[::2]) and all(head[1::2]):
        return "utf-16-be"
    return "utf-16-le" if len(head) > 1 and not any(head[1::2]) and all(head[::2]) else "utf-8"


def write_file(
    path: str | PathLike[str], data: str | bytes, *, inputs: Iterable[str | PathLike[str]] = (), name: str = "path"
) -> Path:
    """Writes a file whole or not at all, and only where an ordinary file may stand.

    The data go to a file in a new folder beside the target, which then takes the target's place. An existing file keeps
    its mode, a new one gets the usual mode, and on failure nothing is left behind.

    Args:
        path: The file. An ordinary one that exists is replaced.
        data: What to write; text is written in UTF-8.
        inputs: Files that were read for it and must not be overwritten.
        name: Name of the argument, for messages.

    Returns:
        The path.

    Raises:
        InvalidOptionError: If `path` is one of `inputs`, a link, a device, a folder, not writable, or lies in a folder
            that does not exist.
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
    """Checks that a file may be written, before work is done for it.

    Args:
        path: The file.
        inputs: Files that must not be overwritten.
        name: Name of the argument, for messages.

    Returns:
        The mode of the file that is there, or `None`.

    Raises:
        InvalidOptionError: As `write_file`.
    """
    target = checked_path(path)
    mode = _mode_of(target, name)
    if mode is not None and any(Path(source).exists() and target.samefile(source) for source in inputs):
        msg = (
            f"Expected the path of another file than the one that is read. Received: {name}={str(path)!r}, which "
            "would be overwritten. Name another file for the output."
        )
        raise InvalidOptionError(msg)
    if not target.parent.is_dir():
        msg = f"Expected a path in a folder that exists. Received: {name}={str(path)!r}. Create {target.parent} first."
        raise InvalidOptionError(msg)
    return mode


def _mode_of(target: Path, name: str) -> int | None:
    """Returns the mode of an ordinary file, or `None` where there is none yet."""
    try:
        mode = target.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    for is_special, words in SPECIAL:
        if is_special(mode):
            advice = "Add a name, such as scan.html." if stat.S_ISDIR(mode) else "Name an ordinary file."
            msg = f"Expected the path of a file. Received: {name}={str(target)!r}, {words}. {advice}"
            raise InvalidOptionError(msg)
    if not os.access(target, os.W_OK):
        msg = f"Expected a file that may be written to. Received: {name}={str(target)!r}, which is write-protected."
        raise InvalidOptionError(msg)
    return stat.S_IMODE(mode)
