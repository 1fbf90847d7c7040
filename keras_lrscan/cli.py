"""Runs the command `lrscan`, which scans a demo model and analyzes, explains and reports recorded scans."""

from __future__ import annotations

import argparse
import dataclasses
import io
import itertools
import json
import math
import os
import re
import sys
import threading
import webbrowser
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keras_lrscan._version import __version__
from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.app.server import PORT, free_port, serve
from keras_lrscan.curves.averaging import AVERAGES
from keras_lrscan.curves.context import ScanContext
from keras_lrscan.curves.importers import from_csv, read_curve
from keras_lrscan.curves.picture_importer import curve_of_picture
from keras_lrscan.datasets.digits import digits, digits_model
from keras_lrscan.errors import (
    InvalidCurveError,
    InvalidOptionError,
    LRScanError,
    MissingDependencyError,
    unknown_option,
)
from keras_lrscan.explanation.answer import title
from keras_lrscan.explanation.explain import sections
from keras_lrscan.explanation.handbook import pages_about
from keras_lrscan.explanation.levels import LEVELS
from keras_lrscan.files.csv_tables import LOSS_COLUMN, RATE_COLUMN
from keras_lrscan.files.decoding import read_json_object
from keras_lrscan.files.read_write import check_output, write_file
from keras_lrscan.formatting import LARGEST
from keras_lrscan.pictures.image import ENDINGS, media_type
from keras_lrscan.pictures.overlay import draw_overlay
from keras_lrscan.pictures.reader import read_picture
from keras_lrscan.plots.curve_plot import FIGURE_SIZE
from keras_lrscan.report.html import write_report
from keras_lrscan.scan import LRScan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.files.read_write import Source

__all__ = ["Exit", "main"]


class Exit(IntEnum):
    """Exit statuses of the command. Python itself ends with 1 after an error of its own."""

    OK = 0
    """The command did what it was asked for."""
    BAD_OPTION = 2
    """An option is unknown, has an invalid value, or needs a package that is not installed."""
    BAD_INPUT = 3
    """The input cannot be read, or holds no scan."""
    NO_SUGGESTION = 4
    """`analyze` read the curve, which does not support a suggestion."""


OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "lr_column": "--lr-column",
        "loss_column": "--loss-column",
        "chance_loss": "--chance-loss",
        "averaging": "--averaging",
        "steps_per_epoch": "--steps-per-epoch",
        "undo": "--no-undo",
        "skip_start": "--skip-start",
        "skip_end": "--skip-end",
        "host": "--host",
        "port": "--port",
    }
)
"""Argument of a function → the option with its value."""

ARGUMENT = re.compile(rf"(?<=`)({'|'.join(OPTIONS)})(?=[`=])|(?<= )({'|'.join(OPTIONS)})(?==)")
"""Name of such an argument in an error message."""

RANGE = re.compile(r"\b(lr|loss)_range(?:=\(([^,()]+), ([^,()]+)\))?")
"""Name of a range in an error message, which may have its two numbers."""

STANDARD_INPUT = Path("-")

OTHER_ENDINGS = (".svg", ".pdf", ".tif", ".tiff", ".eps")
"""Endings of pictures that are not read."""

TOPIC = re.compile(r"[^./\\]+")
"""A code, name or question: it has no dot or slash, as the paths of most files do."""

STATUSES = (
    "Exit status: 0, or 2 for an invalid option, 3 for input that cannot be read as a scan, and 4 if `analyze` read a "
    "curve that does not support a suggestion."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status, one of `Exit`.

    Args:
        argv: Arguments after the name of the command. Defaults to those of the process.
    """
    arguments = _parser().parse_args(argv)
    try:
        _check_outputs(arguments)
        text, status = arguments.run(arguments)
    except (InvalidOptionError, MissingDependencyError) as error:
        return _fail(error, Exit.BAD_OPTION)
    except (LRScanError, OSError) as error:
        return _fail(error, Exit.BAD_INPUT)
    sys.stdout.write(text)
    return int(status)


def _fail(error: Exception, status: Exit) -> int:
    """Prints a message that names the options of the command instead of the arguments of functions."""
    message = ARGUMENT.sub(lambda found: OPTIONS[found[0]], str(error))
    message = RANGE.sub(lambda found: " ".join([f"--{found[1]}-range", *filter(None, found.groups()[1:])]), message)
    sys.stderr.write(f"lrscan: {message}\n")
    return int(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lrscan", description="Analyzes and explains learning-rate range tests of Keras models.", epilog=STATUSES
    )
    parser.add_argument("--version", action="version", version=f"lrscan {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="scan a small classifier of handwritten digits and explain the curve")
    demo.add_argument("--trained", action="store_true", help="train the model for ten epochs before the scan")
    demo.set_defaults(run=_demo)
    read = commands.add_parser("analyze", help="analyze a recorded scan from a CSV or JSON file")
    text = "save the points that were read as CSV"
    read.add_argument("-o", "--output", type=Path, metavar="OUT.csv", help=text)
    read.set_defaults(run=_analyze)
    for command, default in ((read, None), (demo, Path("lrscan_demo.png"))):
        command.add_argument("--json", action="store_true", help="print the whole analysis as JSON instead of text")
        text = "save a plot of the curve to this file" + (f" (default: {default})" if default else "")
        command.add_argument("--plot", type=Path, metavar="OUT.png", default=default, help=text)
    words = commands.add_parser("explain", help="explain a recorded scan, a code such as LRS101, a name or a question")
    words.add_argument(
        "--level",
        choices=LEVELS,
        default=LEVELS[0],
        help="how much to print: one screen, everything in words, or also rules and weights (default: %(default)s)",
    )
    words.add_argument("--json", action="store_true", help="print headings and sentences as JSON instead of text")
    words.set_defaults(run=_explain)
    report = commands.add_parser("report", help="write the plot and explanation of a recorded scan to one HTML file")
    text = "output file (default: the name of the input with the extension .html)"
    report.add_argument("-o", "--output", type=Path, metavar="OUT.html", help=text)
    report.set_defaults(run=_report)
    page = commands.add_parser("app", help="open a page on which a picture or a file becomes an explanation")
    page.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    page.add_argument("--port", type=int, default=PORT, help="port to listen at (default: %(default)s)")
    page.add_argument("--no-browser", dest="browser", action="store_false", help="do not open the browser")
    page.set_defaults(run=_app)
    _add_input(report, "a recorded scan")
    _add_input(read, "a recorded scan")
    _add_input(words, "a code, a name such as u-shaped, a question such as overfitting, or a recorded scan")
    return parser


def _add_input(parser: argparse.ArgumentParser, subject: str) -> None:
    text = (
        "CSV with a column of rates and a column of losses, JSON saved by this package or by another tool, or a "
        "picture of a plot"
    )
    parser.add_argument("file", type=_named, help=f"{subject}: {text}; - for CSV or JSON from standard input")
    columns = (("--lr-column", RATE_COLUMN, "rates"), ("--loss-column", LOSS_COLUMN, "losses"))
    for option, default, words in columns:
        text = f"name of the column of {words} in a CSV file (default: {default}, or another tool's name for it)"
        parser.add_argument(option, default=default, metavar="NAME", help=text)
    text = "chance level, the loss of a constant prediction, such as 2.303 for ten classes"
    parser.add_argument("--chance-loss", type=_number, metavar="LOSS", help=text)
    text = "how another tool averaged the losses (default: read from the file or detected)"
    parser.add_argument("--averaging", choices=AVERAGES, metavar="NAME", help=f"{text}: {', '.join(AVERAGES)}")
    for option, values, axis in (("--lr-range", "rates", "x-axis"), ("--loss-range", "losses", "y-axis")):
        text = f"{values} at the outermost labels of the {axis} of a picture (default: read from the picture)"
        parser.add_argument(option, nargs=2, type=_number, metavar=("LOW", "HIGH"), help=text)
    text = "draw what was read from a picture over that picture, to check it"
    parser.add_argument("--overlay", type=Path, metavar="OUT.png", help=text)
    for option, where in (("--skip-start", "first"), ("--skip-end", "last")):
        text = f"leave out the {where} N points, after averages have been undone (default: 0)"
        parser.add_argument(option, type=int, default=0, metavar="N", help=text)
    text = "batches per epoch (samples / batch size), for averages that restart at each epoch"
    parser.add_argument("--steps-per-epoch", type=_steps, metavar="N", help=text)
    parser.add_argument("--no-undo", dest="undo", action="store_false", help="keep averaged losses as they are")


def _demo(arguments: argparse.Namespace) -> tuple[str, Exit]:
    analysis = _scan_digits(trained=arguments.trained, verbose=0 if arguments.json else 2).analysis
    return _output(analysis, arguments), Exit.OK


def _analyze(arguments: argparse.Namespace) -> tuple[str, Exit]:
    analysis = _read(arguments)
    if arguments.output is not None:
        analysis.curve.to_csv(arguments.output)
        sys.stderr.write(f"Points written to {_printable(arguments.output)}\n")
    return _output(analysis, arguments), Exit.NO_SUGGESTION if analysis.suggestion.lr is None else Exit.OK


def _explain(arguments: argparse.Namespace) -> tuple[str, Exit]:
    topic = str(arguments.file)
    if arguments.file != STANDARD_INPUT and TOPIC.fullmatch(topic) and not arguments.file.exists():
        pages = pages_about(topic, level=arguments.level)
        return _json({"topic": topic, "page": pages}) if arguments.json else pages, Exit.OK
    analysis = _read(arguments)
    if not arguments.json:
        return analysis.explain(level=arguments.level), Exit.OK
    parts = [dataclasses.asdict(section) for section in sections(analysis, level=arguments.level)]
    return _json({"title": title(analysis), "sections": parts}), Exit.OK


def _report(arguments: argparse.Namespace) -> tuple[str, Exit]:
    if arguments.output is None and arguments.file == STANDARD_INPUT:
        msg = "Expected an output file for a scan from standard input. Received: no `--output`. Add `-o scan.html`."
        raise InvalidOptionError(msg)
    target = arguments.output or Path(f"{arguments.file.parent / arguments.file.stem}.html")
    path = write_report(_read(arguments), target, inputs=_inputs(arguments))
    return f"Report written to {_printable(path)}\n", Exit.OK


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Refuses output files that cannot be written, or that would overwrite the input or each other."""
    names = ("output", "overlay", "plot")
    outputs = {f"--{name}": path for name in names if (path := getattr(arguments, name, None)) is not None}
    for name, path in outputs.items():
        check_output(path, inputs=_inputs(arguments), name=name)
    for one, other in itertools.combinations(outputs, 2):
        if outputs[one].resolve() == outputs[other].resolve():
            msg = f"Expected `{one}` and `{other}` to be different files. Received: {str(outputs[one])!r} for both."
            raise InvalidOptionError(msg)
    overlay = outputs.get("--overlay")
    if overlay is not None and overlay.suffix.lower() != ".png":
        msg = f"`--overlay` must end with '.png'. Received: --overlay={str(overlay)!r}."
        raise InvalidOptionError(msg)


def _inputs(arguments: argparse.Namespace) -> list[Path]:
    """Returns the input file, unless there is none or it is standard input."""
    return [arguments.file] if "file" in arguments and arguments.file != STANDARD_INPUT else []


def _app(arguments: argparse.Namespace) -> tuple[str, Exit]:
    port = free_port(arguments.host, arguments.port)
    address = f"http://{arguments.host}:{port}/"
    sys.stderr.write(f"The page is at {address} until you press Ctrl-C.\n")
    if arguments.browser:
        threading.Timer(2.0, webbrowser.open, [address]).start()
    serve(host=arguments.host, port=port)
    return "", Exit.OK


def _read(arguments: argparse.Namespace) -> Analysis:
    """Analyzes the input, with the options for its context, columns and averaging."""
    context = ScanContext(chance_loss=arguments.chance_loss)
    ending = arguments.file.suffix.lower()
    if ending in ENDINGS:
        return _read_picture(arguments, context)
    if ending in OTHER_ENDINGS:
        msg = f"Expected a picture as one of {', '.join(ENDINGS)}. Received: {str(arguments.file)!r}. Save it as PNG."
        raise InvalidCurveError(msg)
    for option in ("lr_range", "loss_range", "overlay"):
        if getattr(arguments, option) is not None:
            name = f"--{option.replace('_', '-')}"
            msg = f"`{name}` is for pictures ({', '.join(ENDINGS)}). Received: {str(arguments.file)!r}."
            raise InvalidOptionError(msg)
    options = {name: getattr(arguments, name) for name in ("averaging", "steps_per_epoch", "undo")}
    source: Source = arguments.file
    is_json = arguments.file.suffix.lower() == ".json"
    if arguments.file == STANDARD_INPUT:
        data = sys.stdin.buffer.read()
        if media_type(data) is not None:
            msg = "Expected CSV or JSON from standard input. Received: a picture. Pass its file instead."
            raise InvalidCurveError(msg)
        source, is_json = io.BytesIO(data), data.lstrip().startswith((b"{", b"["))
    if is_json:
        saved = read_json_object(source)
        if "curve" not in saved:
            return _analyzed(read_curve(saved, context=context, **options), arguments)
        analysis = Analysis.from_dict(saved)
        if (arguments.chance_loss, options["averaging"], options["steps_per_epoch"]) != (None, None, None):
            return _analyzed(read_curve(saved["curve"], context=context, **options), arguments)
        return _analyzed(analysis.curve, arguments) if arguments.skip_start or arguments.skip_end else analysis
    columns = {"lr_column": arguments.lr_column, "loss_column": arguments.loss_column}
    return _analyzed(from_csv(source, context=context, **columns, **options), arguments)


def _analyzed(curve: LRCurve, arguments: argparse.Namespace) -> Analysis:
    """Analyzes a curve without the points that `--skip-start` and `--skip-end` leave out."""
    return analyze(curve.trimmed(skip_start=arguments.skip_start, skip_end=arguments.skip_end))


def _read_picture(arguments: argparse.Namespace, context: ScanContext) -> Analysis:
    """Analyzes a picture, and writes the overlay if `--overlay` is set."""
    overlay = arguments.overlay
    ranges = {name: getattr(arguments, name) for name in ("lr_range", "loss_range")}
    reading = read_picture(arguments.file, **{name: given and tuple(given) for name, given in ranges.items()})
    if overlay is not None:
        write_file(overlay, draw_overlay(reading), inputs=[arguments.file], name="--overlay")
        sys.stderr.write(f"Overlay written to {_printable(overlay)}\n")
    curve = curve_of_picture(reading, averaging=arguments.averaging, context=context)
    sys.stderr.write(f"{curve.context.notes[0]}\n")
    return _analyzed(curve, arguments)


def _output(analysis: Analysis, arguments: argparse.Namespace) -> str:
    """Saves the plot if `--plot` is set, and returns the analysis as text or JSON."""
    if arguments.plot is not None:
        _write_plot(analysis, arguments.plot, _inputs(arguments))
        sys.stderr.write(f"Plot written to {_printable(arguments.plot)}\n")
    return _json(analysis.to_dict()) if arguments.json else analysis.explain()


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, allow_nan=False) + "\n"


def _write_plot(analysis: Analysis, path: Path, inputs: Sequence[Path]) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        msg = f"`--plot` needs matplotlib. Received: {error}. Install it with: pip install matplotlib"
        raise MissingDependencyError(msg) from error

    figure = Figure(figsize=FIGURE_SIZE, layout="constrained")
    endings = figure.canvas.get_supported_filetypes()
    ending = path.suffix.lower().removeprefix(".")
    if ending not in endings:
        raise unknown_option("--plot", str(path), (f"*.{known}" for known in sorted(endings)))
    analysis.plot(ax=figure.subplots())
    image = io.BytesIO()
    figure.savefig(image, dpi=150, format=ending)
    write_file(path, image.getvalue(), inputs=inputs, name="--plot")


def _named(text: str) -> Path:
    """Returns the path of the input, or a topic as a path; an empty text would stand for the current folder."""
    if not text:
        msg = f"must not be empty. Received: {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return Path(text)


def _number(text: str) -> float:
    """Parses a finite number of at most `LARGEST` in magnitude."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not abs(number) <= LARGEST:
        msg = f"must be a finite number, at most {LARGEST:.0e} in magnitude. Received: {text!r:.80}"
        raise argparse.ArgumentTypeError(msg)
    return number


def _steps(text: str) -> float:
    """Parses a number of batches per epoch, at least one."""
    number = _number(text)
    if number < 1:
        msg = f"must be at least 1. Received: {text!r:.80}"
        raise argparse.ArgumentTypeError(msg)
    return number


def _printable(path: Path) -> str:
    """Returns a path in a form that can be printed, since file names may contain bytes that are not valid text."""
    return os.fsencode(path).decode(errors="replace")


def _scan_digits(*, trained: bool, verbose: int) -> LRScan:
    """Scans the demo classifier, either fresh or after ten epochs of training."""
    x, y = digits()
    model = digits_model()
    if trained:
        model.fit(x, y, epochs=10, verbose=verbose)
    scan = LRScan(verbose=0)
    model.fit(x, y, epochs=3, callbacks=[scan], verbose=verbose)
    return scan
