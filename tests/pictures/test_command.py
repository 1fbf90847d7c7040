"""Tests the options of `lrscan` for pictures: `--lr-range`, `--loss-range`, `--overlay` and `-o`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from keras_lrscan import LRCurve
from keras_lrscan.cli import Exit, main
from tests.pictures.test_reader import DECADES, drawn, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

for needed in ("PIL", "onnxruntime", "rapidocr"):
    pytest.importorskip(needed, exc_type=ImportError)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Enters a folder with a plot, a plot without numbers along its axes, a file to protect, and a link to it."""
    (tmp_path / "plot.png").write_bytes(drawn(average="ktrain"))
    (tmp_path / "bare.png").write_bytes(drawn(labels=False))
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "link.csv").symlink_to(tmp_path / "victim")
    (tmp_path / "link.png").symlink_to(tmp_path / "victim")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert (tmp_path / "victim").read_text() == "kept"


def ranges() -> list[str]:
    """Returns the options that give the ends of the line in the plot without numbers."""
    lr, loss = numbers()
    rates = [f"{lr[0]:.6g}", f"{lr[-1]:.6g}"]
    return ["--lr-range", *rates, "--loss-range", f"{loss.min():.6g}", f"{loss.max():.6g}"]


def test_a_picture_is_explained_and_what_was_read_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del folder
    assert main(["analyze", "plot.png"]) == Exit.OK
    printed = capsys.readouterr()
    assert "no more than about" in printed.out
    assert "its x-axis (logarithmic) was read as 1e-7 to " in printed.err


def test_the_points_are_written_as_csv(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "plot.png", "-o", "points.csv"]) == Exit.OK
    assert "Points written to points.csv" in capsys.readouterr().err
    written, (lr, _) = LRCurve.from_csv(folder / "points.csv"), numbers()
    assert np.abs(np.log10(written.lr[[0, -1]] / lr[[0, -1]])).max() <= DECADES


def test_the_points_of_a_table_are_written_too(folder: Path) -> None:
    lr, loss = numbers()
    LRCurve(lr=lr, loss=loss).to_csv(folder / "scan.csv")
    assert main(["analyze", "scan.csv", "-o", "again.csv"]) == Exit.OK
    assert LRCurve.from_csv(folder / "again.csv").loss == pytest.approx(loss)


def test_the_overlay_is_written_as_png(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "plot.png", "--overlay", "check.png"]) == Exit.OK
    assert "Overlay written to check.png" in capsys.readouterr().err
    assert (folder / "check.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_of_a_picture_is_written_beside_it(folder: Path) -> None:
    assert main(["report", "plot.png"]) == Exit.OK
    assert "no more than about" in (folder / "plot.html").read_text(encoding="utf-8")


def test_a_picture_without_numbers_is_read_with_both_ranges(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del folder
    assert main(["analyze", "bare.png", *ranges(), "--json"]) == Exit.OK
    curve, (lr, loss) = json.loads(capsys.readouterr().out)["curve"], numbers()
    assert curve["lr"][0] == pytest.approx(lr[0], rel=0.02)
    assert curve["lr"][-1] == pytest.approx(lr[-1], rel=0.02)
    assert min(curve["loss"]) == pytest.approx(loss.min(), abs=0.02 * np.ptp(loss))


@pytest.mark.parametrize(
    ("given", "option"),
    [([], "--lr-range 1e-7 10"), (["--lr-range", "1e-7", "1"], "--loss-range 0.5 2.5")],
)
def test_a_range_that_cannot_be_read_is_asked_for_by_its_option(
    folder: Path, capsys: pytest.CaptureFixture[str], given: list[str], option: str
) -> None:
    del folder
    assert main(["analyze", "bare.png", *given]) == Exit.BAD_INPUT
    printed = capsys.readouterr()
    assert option in printed.err
    assert not printed.out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--lr-range", "1", "1e-7"], "`--lr-range` must be two numbers from 0 on, the smaller one first"),
        (["--lr-range", "-1", "1"], "`--lr-range` must be two numbers from 0 on"),
        (["--loss-range", "2", "2"], "`--loss-range` must be two numbers, the smaller one first"),
        (["--overlay", "plot.png"], "an output file other than the input file. Received: --overlay="),
        (["--overlay", "link.png"], "Received: --overlay='link.png', a symbolic link"),
        (["--overlay", "nowhere/check.png"], "in an existing folder. Received: --overlay="),
        (["--overlay", "."], "a folder"),
        (["--overlay", "check.csv"], "`--overlay` must end with '.png'. Received: --overlay='check.csv'"),
        (["--overlay", "points.png", "-o", "points.png"], "Expected `--output` and `--overlay` to be different files"),
        (["-o", "plot.png"], "an output file other than the input file. Received: --output="),
        (["-o", "link.csv"], "Received: --output='link.csv', a symbolic link"),
        (["-o", "nowhere/points.csv"], "in an existing folder. Received: --output="),
    ],
)
def test_ranges_and_outputs_that_cannot_be_meant_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], given: list[str], message: str
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["analyze", "plot.png", *given]) == Exit.BAD_OPTION
    assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("option", ["--lr-range", "--loss-range"])
@pytest.mark.parametrize("values", [["1e-7"], ["low", "high"], ["nan", "1"], ["1e-7", "inf"]])
def test_a_range_of_anything_but_two_numbers_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], option: str, values: list[str]
) -> None:
    del folder
    with pytest.raises(SystemExit) as ended:
        main(["analyze", "plot.png", option, *values])
    assert ended.value.code == Exit.BAD_OPTION
    assert f"argument {option}: " in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--lr-range", "1e-7", "1"], ["--loss-range", "0", "1"], ["--overlay", "out.png"]])
def test_options_for_pictures_are_refused_for_other_files(
    folder: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    (folder / "scan.csv").write_text("lr,loss\n1e-4,2\n")
    assert main(["analyze", "scan.csv", *option]) == Exit.BAD_OPTION
    assert f"`{option[0]}` is for pictures (.png, .jpg, " in capsys.readouterr().err
    assert not (folder / "out.png").exists()


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"lr,loss\n1e-4,2\n"])
def test_a_broken_picture_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    (folder / "broken.png").write_bytes(content)
    assert main(["analyze", "broken.png", "--overlay", "check.png", "-o", "points.csv"]) == Exit.BAD_INPUT
    assert "Save the picture again, as PNG." in capsys.readouterr().err
    assert not (folder / "check.png").exists()
    assert not (folder / "points.csv").exists()
