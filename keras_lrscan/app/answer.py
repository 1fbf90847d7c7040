"""Turns what was sent with the form into the page of the answer."""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import io
import re
from dataclasses import dataclass

import numpy as np

from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.curves.averaging import AVERAGES
from keras_lrscan.curves.curve import LRCurve
from keras_lrscan.curves.importers import build_curve, from_csv, read_curve
from keras_lrscan.curves.picture_importer import curve_of_picture
from keras_lrscan.errors import InvalidCurveError, LRScanError, MissingDependencyError
from keras_lrscan.explanation.answer import title
from keras_lrscan.files.csv_tables import is_number
from keras_lrscan.files.decoding import read_json_object
from keras_lrscan.formatting import format_lr
from keras_lrscan.pictures.image import ENDINGS, MAX_BYTES, media_type
from keras_lrscan.pictures.ocr import recognize
from keras_lrscan.pictures.overlay import draw_overlay
from keras_lrscan.pictures.reader import PictureReading, UnreadableAxisError, read_picture
from keras_lrscan.report.html import render_page
from keras_lrscan.suggestions.suggest import format_suggestion

__all__ = ["Question", "answer", "form_page", "lead", "warm_up"]

MAX_NAME = 80
"""Most characters of the name of a file in a message."""

SEPARATORS = re.compile(r"[\s,;]+")


NOT_OVERFITTING = (
    "It says nothing about overfitting, which shows on validation data: a learning-rate plot holds the loss of "
    "training batches while the rate rises."
)
AVERAGED = (
    "The losses in it are averages, which look back: the valley of the batch losses is deeper and lies further left, "
    "and a flat stretch can hide it."
)
"""Sentences of the first paragraph."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Holds what was sent with the form.

    Attributes:
        name: Name of the file, only to tell CSV from JSON.
        data: Content of the file.
        kept: The file of the answer that is corrected, in base64, which the page sends back.
        pasted: Two columns of numbers.
        ranges: The texts of the fields `lr_low`, `lr_high`, `loss_low` and `loss_high`.
        averaging: A key of `AVERAGES`, or nothing.
    """

    name: str = ""
    data: bytes = b""
    kept: str = ""
    pasted: str = ""
    ranges: tuple[str, str, str, str] = ("", "", "", "")
    averaging: str = ""


def warm_up() -> None:
    """Loads the recognizer and the templates, which take seconds, before the first visitor comes."""
    with contextlib.suppress(MissingDependencyError):  # the first visitor with a picture is told
        recognize([np.zeros((20, 40))])
    form_page()


def form_page(error: str = "", *, question: Question | None = None, data: bytes = b"") -> str:
    """Returns the page with the form, below the sentence of an error if there is one.

    Args:
        error: The sentence.
        question: What was sent, if the sentence asks for the ranges of its picture.
        data: That picture.
    """
    fields = _form(question or Question(), data)
    return render_page("keras_lrscan.app", "form.html.j2", None, error=error, picture=media_type(data), **fields)


def answer(question: Question) -> tuple[int, str]:
    """Returns the status and the page of the answer; an input that cannot be read gets one sentence and the form."""
    data = question.data
    try:
        data = data or _kept(question)
        reading = None if media_type(data) is None else _picture(question, data)
        averaging = question.averaging if question.averaging in AVERAGES else None
        curve = _numbers(question, data) if reading is None else curve_of_picture(reading, averaging=averaging)
        analysis = analyze(curve)
        page = render_page(
            "keras_lrscan.app",
            "answer.html.j2",
            analysis,
            reading=_shown(reading, analysis.curve),
            lead=lead(analysis),
            **_form(_corrected(question, reading, analysis.curve), data),
        )
    except UnreadableAxisError as error:
        return 400, form_page(error.question, question=question, data=data)
    except (LRScanError, OSError) as error:
        return 400, form_page(str(error))
    return 200, page


def _kept(question: Question) -> bytes:
    """Returns the file of the answer before."""
    try:
        return base64.b64decode(question.kept.encode("utf-8", "replace"), validate=True)
    except binascii.Error as error:
        msg = "Expected the file of the previous answer. Received: a text that is not one. Choose the file again."
        raise InvalidCurveError(msg) from error


def lead(analysis: Analysis) -> str:
    """Returns the first paragraph: whether it is overfitting, what the curve shows, and which rate to try."""
    rate, limit = (format_suggestion(analysis.suggestion, at_most=at_most) for at_most in (False, True))
    if analysis.holds_averages:
        good = "" if limit is None else f" So a good rate is {limit}."
        advice = f"{AVERAGED}{good} Scan again with `LRScan`, which records the loss of each batch."
    elif rate is None:
        advice = f"No learning rate can be suggested. {analysis.suggestion.reason}"
    elif any(finding.name == "averaging" for finding in analysis.findings):
        advice = f"If the tool drew the loss of each batch, try {rate}. If it drew averages, a good rate is {limit}."
    else:
        advice = f"Try {rate}."
    return f"{title(analysis)}: that is the shape of the drawn curve. {NOT_OVERFITTING} {advice}"


def _form(question: Question, data: bytes) -> dict[str, object]:
    """Returns the contents of the fields, and what they accept."""
    return {
        "accept": ",".join((*ENDINGS, ".csv", ".json")),
        "averages": AVERAGES,
        "megabytes": MAX_BYTES // 1_000_000,
        "kept": base64.b64encode(data).decode(),
        "ranges": question.ranges,
        "averaging": question.averaging,
    }


def _picture(question: Question, data: bytes) -> PictureReading:
    lr_range, loss_range = (
        _range(name, *question.ranges[start : start + 2]) for name, start in (("learning rates", 0), ("losses", 2))
    )
    return read_picture(data, lr_range=lr_range, loss_range=loss_range)


def _range(name: str, low: str, high: str) -> tuple[float, float] | None:
    if not low.strip() and not high.strip():
        return None
    try:
        return float(low), float(high)
    except ValueError as error:
        msg = f"Expected two numbers for the range of the {name}. Received: {low!r:.40} and {high!r:.40}."
        raise InvalidCurveError(msg) from error


def _numbers(question: Question, data: bytes) -> LRCurve:
    """Reads CSV, JSON or pasted columns."""
    if len(data) > MAX_BYTES:
        msg = f"Expected a file of at most {MAX_BYTES / 1e6:.0f} MB. Received: {len(data) / 1e6:.1f} MB."
        raise InvalidCurveError(msg)
    if not data:
        return _columns(question.pasted)
    file = io.BytesIO(data)
    file.name = question.name[:MAX_NAME] or "the file"
    if not (file.name.lower().endswith(".json") or data.lstrip().startswith(b"{")):
        return from_csv(file)
    content = read_json_object(file)
    return LRCurve.from_dict(content["curve"]) if "curve" in content else read_curve(content)


def _columns(text: str) -> LRCurve:
    """Reads two columns of numbers, with or without a header."""
    rows = [SEPARATORS.split(line.strip()) for line in text.splitlines() if line.strip()]
    if rows and not is_number(rows[0][0]):
        rows = rows[1:]
    if not rows:
        msg = "Expected a picture, a CSV or JSON file, or two columns of numbers. Received: nothing."
        raise InvalidCurveError(msg)
    wrong = next((row for row in rows if len(row) != 2 or not all(map(is_number, row))), None)
    if wrong is not None:
        msg = f"Expected a learning rate and a loss in each line. Received: {' '.join(wrong)!r:.80}."
        raise InvalidCurveError(msg)
    return build_curve(
        [float(row[0]) for row in rows], [float(row[1]) for row in rows], detect=True, undo=True, context=None
    )


def _shown(reading: PictureReading | None, curve: LRCurve) -> dict[str, object] | None:
    """Returns what the page shows of a picture that was read."""
    if reading is None:
        return None
    return {
        "overlay": base64.b64encode(draw_overlay(reading)).decode(),
        "notes": curve.context.notes,
        "first": format_lr(reading.lr[0]),
        "last": format_lr(reading.lr[-1]),
    }


def _corrected(question: Question, reading: PictureReading | None, curve: LRCurve) -> Question:
    """Returns the question with the ranges and the average that were read from a picture."""
    if reading is None:
        return question
    lr_low, lr_high, loss_low, loss_high = (f"{value:.6g}" for value in (*reading.lr_ticks, *reading.loss_ticks))
    ranges = (lr_low, lr_high, loss_low, loss_high)
    return dataclasses.replace(question, ranges=ranges, averaging=curve.context.averaging or "")
