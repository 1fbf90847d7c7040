"""Tests encodings that are read, and paths that are refused for writing."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from keras_lrscan import InvalidCurveError, InvalidOptionError, LRCurve, analyze
from keras_lrscan.curves.importers import from_json
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.files.read_write import read_text, write_file

if TYPE_CHECKING:
    from pathlib import Path

TEXT = '{"lr": [0.1], "loss": [1.0], "é": 1}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_is_read_in_the_encodings_that_programs_write(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "scan.json").write_bytes(TEXT.encode(encoding))
    assert read_text(tmp_path / "scan.json") == TEXT
    assert from_json(tmp_path / "scan.json").loss.tolist() == [1.0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TEXT.encode("utf-32"), r"in UTF-8 or UTF-16. Received: path=.*scan.json', in UTF-32. Save it as UTF-8"),
        (TEXT.encode("latin-1"), r"which is not valid UTF-8 at byte 30 \(0xe9\). Save it as UTF-8"),
        (TEXT.encode("utf-16")[:-1], r"which is not valid UTF-16 at byte"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "scan.json").write_bytes(data)
    with pytest.raises(InvalidCurveError, match=message):
        from_json(tmp_path / "scan.json")


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_no_file_is_too_short_to_tell_its_encoding(tmp_path: Path, length: int) -> None:
    (tmp_path / "scan.json").write_bytes(b"[1]"[:length])
    assert read_text(tmp_path / "scan.json") == "[1]"[:length]


def test_a_path_with_a_nul_is_refused_for_reading_and_writing(tmp_path: Path) -> None:
    for use in (read_text, lambda path: write_file(path, "")):
        with pytest.raises(InvalidOptionError, match=r"without NUL characters. Received: path='.*a\\x00b'"):
            use(tmp_path / "a\0b")


def modes(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_existing_file_keeps_its_mode_and_a_new_one_gets_the_usual(tmp_path: Path) -> None:
    (tmp_path / "kept.html").write_text("old")
    (tmp_path / "kept.html").chmod(0o600)
    (tmp_path / "plain").write_text("")
    for name in ("kept.html", "new.html"):
        write_file(tmp_path / name, "new")
        assert (tmp_path / name).read_text() == "new"
    assert modes(tmp_path / "kept.html") == 0o600
    assert modes(tmp_path / "new.html") == modes(tmp_path / "plain")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.html", "new.html", "plain"]


def test_a_folder_a_link_a_device_and_a_pipe_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    kinds = {"folder": "a folder", "link": "a symbolic link", "dangling": "a symbolic link", "pipe": "a named pipe"}
    for name, words in kinds.items():
        with pytest.raises(InvalidOptionError, match=rf"the path of a file. Received: path='.*{name}', {words}"):
            write_file(tmp_path / name, "new")
    with pytest.raises(InvalidOptionError, match=r"Received: path='/dev/null', a device. Choose a regular file"):
        write_file("/dev/null", "new")
    assert (tmp_path / "target").read_text() == "kept"
    assert not (tmp_path / "nowhere").exists()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116 - says what it is about


def test_an_input_is_not_overwritten_by_any_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "scan.csv").write_text("kept")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "scan.csv")
    (tmp_path / "folder").symlink_to(tmp_path)
    for name in ("scan.csv", "hard.csv", "folder/scan.csv"):
        with pytest.raises(InvalidOptionError, match=r"an output file other than the input file. Received: path="):
            write_file(tmp_path / name, "new", inputs=[tmp_path / "nowhere", tmp_path / "scan.csv"])
    assert (tmp_path / "scan.csv").read_text() == "kept"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="a superuser may write to every file")
def test_a_write_protected_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scan.html").write_text("kept")
    (tmp_path / "scan.html").chmod(0o400)
    with pytest.raises(InvalidOptionError, match="which is write-protected"):
        write_file(tmp_path / "scan.html", "new")


def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scan.html").write_text("kept")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "scan.html", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["scan.html"]
    assert (tmp_path / "scan.html").read_text() == "kept"


def test_links_with_likely_names_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    for name in (f".scan.json.{os.getpid()}.part", ".lrscan-", "part"):
        (tmp_path / name).symlink_to(tmp_path / "victim")
    write_file(tmp_path / "scan.json", "new")
    assert (tmp_path / "victim").read_text() == "kept"


def test_everything_that_writes_refuses_a_link(tmp_path: Path) -> None:
    curve = synthetic_curve("u-shaped", num_steps=40)
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    for write in (curve.to_json, curve.to_csv, analyze(curve, num_copies=1).save):
        with pytest.raises(InvalidOptionError, match="a symbolic link"):
            write(tmp_path / "link")
    assert not (tmp_path / "victim").exists()


def test_a_path_in_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nowhere" / "scan.json", tmp_path / "file" / "scan.json"):
        with pytest.raises(InvalidOptionError, match=r"in an existing folder\. Received: path="):
            LRCurve(lr=[0.1], loss=[1.0]).to_json(path)
