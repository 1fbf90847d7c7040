"""The command `lrscan`: argparse over the functions of this package."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_lrscan._version import __version__
from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.averaging import AVERAGES
from keras_lrscan.context import ScanContext
from keras_lrscan.curve import read_json_object
from keras_lrscan.errors import LRScanError
from keras_lrscan.explain import LEVELS, sections, title
from keras_lrscan.handbook import page
from keras_lrscan.importers import from_csv, read_curve
from keras_lrscan.plot import FIGURE_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

CODE = re.compile(r"LRS\d{3}", re.IGNORECASE)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 2 when the input is not usable.

    Args:
        argv: Arguments after the command's name; those of the process by default.
    """
    arguments = _parser().parse_args(argv)
    try:
        text: str = arguments.run(arguments)
    except (LRScanError, OSError) as error:
        sys.stderr.write(f"lrscan: {error}\n")
        return 2
    sys.stdout.write(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lrscan", description="Reads and explains learning-rate scans of Keras models."
    )
    parser.add_argument("--version", action="version", version=f"lrscan {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="scan a small model of handwritten digits and explain the curve")
    demo.add_argument("--trained", action="store_true", help="train the model first, so that it is already good")
    demo.set_defaults(run=_demo)
    read = commands.add_parser("analyze", help="read a recorded scan, a CSV or JSON file")
    read.set_defaults(run=_analyze)
    for command, default in ((read, None), (demo, Path("lrscan_demo.png"))):
        command.add_argument("--json", action="store_true", help="print the whole analysis as JSON instead of text")
        text = "draw the curve to this file" + (f" (default: {default})" if default else "")
        command.add_argument("--plot", type=Path, metavar="OUT.png", default=default, help=text)
    words = commands.add_parser("explain", help="explain a recorded scan in words, or a code such as LRS101")
    words.add_argument("--level", choices=LEVELS, default=LEVELS[0], help="for whom (default: %(default)s)")
    words.add_argument("--json", action="store_true", help="print headings and sentences as JSON instead of text")
    words.set_defaults(run=_explain)
    report = commands.add_parser("report", help="write picture and explanation of a recorded scan to one HTML file")
    text = "the file to write (default: the input's name with the ending .html)"
    report.add_argument("-o", "--output", type=Path, metavar="OUT.html", help=text)
    report.set_defaults(run=_report)
    _add_input(report, "a recorded scan")
    _add_input(read, "a recorded scan")
    _add_input(words, "a recorded scan, or a code such as LRS101")
    return parser


def _add_input(parser: argparse.ArgumentParser, what: str) -> None:
    text = "CSV with a column of rates and one of losses, or JSON of this package or of another tool's history"
    parser.add_argument("file", type=Path, help=f"{what}: {text}")
    parser.add_argument("--lr-column", default="lr", help="column of the rates in a CSV file (default: lr)")
    parser.add_argument("--loss-column", default="loss", help="column of the losses in a CSV file (default: loss)")
    parser.add_argument("--chance-loss", type=float, help="the loss of guessing, such as 2.303 for ten classes")
    text = "how another tool averaged the losses (default: what the file says or shows)"
    parser.add_argument("--averaging", choices=AVERAGES, metavar="NAME", help=f"{text}: {', '.join(AVERAGES)}")
    text = "batches in an epoch, samples / batch size, where an average restarts at each"
    parser.add_argument("--steps-per-epoch", type=float, metavar="N", help=text)
    parser.add_argument("--no-undo", dest="undo", action="store_false", help="read averages as they are")


def _demo(arguments: argparse.Namespace) -> str:
    from keras_lrscan.demo import scan_digits  # noqa: PLC0415 - the other commands need no Keras

    analysis = scan_digits(trained=arguments.trained, verbose=0 if arguments.json else 2).analysis
    return _told(analysis, arguments)


def _analyze(arguments: argparse.Namespace) -> str:
    return _told(_read(arguments), arguments)


def _explain(arguments: argparse.Namespace) -> str:
    if CODE.fullmatch(str(arguments.file)):
        code = str(arguments.file).upper()
        return _json({"code": code, "page": page(code)}) if arguments.json else page(code)
    analysis = _read(arguments)
    if not arguments.json:
        return analysis.explain(level=arguments.level)
    parts = [dataclasses.asdict(section) for section in sections(analysis, level=arguments.level)]
    return _json({"title": title(analysis), "sections": parts})


def _report(arguments: argparse.Namespace) -> str:
    path = _read(arguments).report(arguments.output or arguments.file.with_suffix(".html"))
    return f"Report written to {path}\n"


def _read(arguments: argparse.Namespace) -> Analysis:
    """Reads the file that was named, with all that was said of it."""
    context = ScanContext(chance_loss=arguments.chance_loss)
    how = {name: getattr(arguments, name) for name in ("averaging", "steps_per_epoch", "undo")}
    if arguments.file.suffix.lower() == ".json":
        data = read_json_object(arguments.file)
        return Analysis.from_dict(data) if "curve" in data else analyze(read_curve(data, context=context, **how))
    columns = {"lr_column": arguments.lr_column, "loss_column": arguments.loss_column}
    return analyze(from_csv(arguments.file, context=context, **columns, **how))


def _told(analysis: Analysis, arguments: argparse.Namespace) -> str:
    """Draws the picture that was asked for, and returns the reading."""
    if arguments.plot is not None:
        _write_plot(analysis, arguments.plot)
        sys.stderr.write(f"Plot written to {arguments.plot}\n")
    return _json(analysis.to_dict()) if arguments.json else analysis.explain()


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, allow_nan=False) + "\n"


def _write_plot(analysis: Analysis, path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - needed for this option only

    figure = Figure(figsize=FIGURE_SIZE, layout="constrained")
    analysis.plot(ax=figure.subplots())
    figure.savefig(path, dpi=150)
