"""Fits the scale of an axis to its tick labels: straight or logarithmic, or not legible."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan._typing import Array

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Axis", "Tick", "axis_from_range", "factor_of", "fit_axis", "is_word", "values_of"]

TOLERANCE = 2.2
"""Distance of a label from the place of its value, in pixels, that the drawing and the cutting explain."""

RELATIVE_TOLERANCE = 0.004
"""The same as a share of the axis, for large pictures."""

MIN_SHARE = 0.6
"""Smallest share of the legible labels that one scale must explain."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.IGNORECASE)
POWER = re.compile(r"10\^?([+-]?\d{1,2})")
PRODUCT = re.compile(r"(\d+\.?\d*)x10\^?([+-]?\d{1,2})")
"""Numbers as 0.5 and 1e-5, powers as 10-7 (10⁻⁷), and products as 2x10-3."""

LOOKALIKES = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2013\u2014\u4e00\u207b~", "-"),
        **dict.fromkeys("Oo\u3002\u00b0\u00baD", "0"),
        **dict.fromkeys("lI|", "1"),
        **dict(zip("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "0123456789", strict=True)),
        **dict.fromkeys("X*\u00d7", "x"),
        "S": "5",
        "B": "8",
        ",": ".",
        " ": "",
    }
)
"""Signs that the recognizer confuses with those of a number."""

USUAL_STEPS = (1.0, 2.0, 2.5, 4.0, 5.0)
"""Leading digits of the distance of two labels."""

SUFFIXES = {"k": 1e3, "K": 1e3, "M": 1e6, "m": 1e-3, "\u03bc": 1e-6, "\u00b5": 1e-6, "n": 1e-9}


@dataclass(frozen=True, kw_only=True)
class Tick:
    """Holds a tick label: its place along the axis in pixels, its text, and the values that the text may mean."""

    at: float
    text: str
    values: tuple[float, ...] = ()
    is_power: bool = False


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Converts pixels along an axis to its values.

    Attributes:
        slope: Change of the value, or of its log10, per pixel.
        intercept: Value, or its log10, at pixel 0.
        is_log: Whether the axis is logarithmic.
        error: Standard error of a converted place, in values or decades.
        ticks: The labels that the scale was fitted to, with one value each.
        is_given: Whether the values of the labels were given instead of read.
    """

    slope: float
    intercept: float
    is_log: bool
    error: float
    ticks: tuple[Tick, ...] = ()
    is_given: bool = False

    def values(self, places: Array) -> Array:
        """Returns the values at the given pixels."""
        straight = self.slope * np.asarray(places, dtype=np.float64) + self.intercept
        return np.asarray(10.0 ** np.clip(straight, -99, 99) if self.is_log else straight)

    def place(self, value: float) -> float:
        """Returns the pixel of a value."""
        return ((math.log10(value) if self.is_log else value) - self.intercept) / self.slope


def values_of(text: str, *, raised: str | None = None, negative: bool = False) -> tuple[tuple[float, ...], bool]:
    """Returns the values that the text of a tick label may mean, and whether it is a power of ten.

    Args:
        text: The whole text as recognized, in which a superscript is not marked.
        raised: The digits of its superscript, if its place shows that there is one.
        negative: Whether the superscript starts with a minus.

    Example:
    >>> values_of("10-7"), values_of("0.5"), values_of("102")
    (((1e-07,), True), ((0.5,), False), ((102.0, 100.0), False))
    """
    clean = text.translate(LOOKALIKES)
    digits = "" if raised is None else re.sub(r"\D", "", raised.translate(LOOKALIKES))
    if digits and len(digits) <= 2:
        front = PRODUCT.match(clean)
        if front and digits[1:] == front[2]:  # a zero of the 10 was cut with the superscript
            digits = front[2]
        return ((float(front[1]) if front else 1.0) * 10.0 ** (-int(digits) if negative else int(digits)),), True
    product, power = PRODUCT.fullmatch(clean), POWER.fullmatch(clean)
    if product or (power and power[1][0] in "+-"):
        factor, exponent = (float(product[1]), product[2]) if product else (1.0, power[1] if power else "0")
        return (factor * 10.0 ** int(exponent),), True
    return _plain_values(text, clean, power), False


def _plain_values(text: str, clean: str, power: re.Match[str] | None) -> tuple[float, ...]:
    suffix = SUFFIXES.get(text.strip()[-1:])
    if suffix is not None and NUMBER.fullmatch(clean[:-1]):
        return (float(clean[:-1]) * suffix,)
    if not NUMBER.fullmatch(clean):
        return ()
    if re.fullmatch(r"0\d+", clean):  # a lost decimal point
        return (float(f"0.{clean[1:]}"),)
    return (float(clean), 10.0 ** int(power[1])) if power and len(clean) <= 4 else (float(clean),)


def is_word(text: str) -> bool:
    """Returns whether a text has letters in a row that no number has, misread or not.

    >>> is_word("learning"), is_word("(log"), is_word("le-O5"), is_word("OOl"), is_word("2.5k")
    (True, True, False, False, False)
    """
    rows = re.findall(r"[a-zA-Z]{3,}", text)
    return any(re.search("[a-zA-Z]", row.translate(LOOKALIKES)) for row in rows)


def factor_of(text: str) -> tuple[float, float]:
    """Returns the factor and the sum that a text such as 1e6 or 1e-7+2.3 at the end of an axis stands for.

    >>> factor_of("1e6"), factor_of("1e-7+2.302585"), factor_of("+1.5"), factor_of("loss")
    ((1000000.0, 0.0), (1e-07, 2.302585), (1.0, 1.5), (1.0, 0.0))
    """
    clean = text.translate(LOOKALIKES).removeprefix("x")
    parts = re.fullmatch(r"(1e[+-]?\d{1,2})?([+-]\d+\.?\d*(?:e[+-]?\d{1,2})?)?", clean, re.IGNORECASE)
    power = POWER.fullmatch(clean)
    if power and clean != "10":
        return 10.0 ** int(power[1]), 0.0
    if not clean or parts is None:
        return 1.0, 0.0
    return float(parts[1] or 1), float(parts[2] or 0)


def fit_axis(ticks: Sequence[Tick], *, length: float, upward: bool) -> Axis | None:
    """Returns the scale that explains the labels, or `None` if too few of them agree.

    Args:
        ticks: All labels of the axis.
        length: Length of the axis in pixels.
        upward: Whether values rise with the pixels, as they do along the x-axis.
    """
    times = Counter(tick.values for tick in ticks)
    legible = [tick for tick in ticks if tick.values and times[tick.values] == 1]  # two equal ones were cut off
    if len(legible) < 2:
        return None
    tolerance = max(TOLERANCE, RELATIVE_TOLERANCE * length)
    best: tuple[tuple[int, bool, float], bool, list[tuple[float, float, Tick]]] | None = None
    for is_log in (False, True):
        for chosen in _agreeing(legible, tolerance, is_log=is_log, upward=upward):
            score = (len(chosen), _is_usual(chosen, is_log=is_log), -_misfit(chosen))
            if best is None or score > best[0]:
                best = score, is_log, chosen
    if best is None:
        return None
    (count, is_usual, _), is_log, chosen = best
    if count < MIN_SHARE * len(legible) or (count < 3 and not (is_usual and len(ticks) == 2)):
        return None
    places, values = np.array([one[0] for one in chosen]), np.array([one[1] for one in chosen])
    slope, intercept = np.polyfit(places, values, 1)
    error = math.hypot(0.5, _misfit(chosen)) * abs(float(slope)) / math.sqrt(max(1, count - 1))
    read = tuple(
        Tick(at=place, text=tick.text, values=(10.0**value if is_log else value,), is_power=tick.is_power)
        for place, value, tick in chosen
    )
    return Axis(slope=float(slope), intercept=float(intercept), is_log=is_log, error=error, ticks=read)


def _agreeing(
    ticks: Sequence[Tick], tolerance: float, *, is_log: bool, upward: bool
) -> Iterable[list[tuple[float, float, Tick]]]:
    """Yields for each pair of labels those that lie on the scale through both: places, values on it, labels."""
    options = [
        (tick.at, math.log10(value) if is_log else value, tick)
        for tick in ticks
        for value in tick.values
        if value > 0 or not is_log
    ]
    for one, other in itertools.combinations(options, 2):
        if abs(one[0] - other[0]) < 4 * tolerance:
            continue
        slope = (other[1] - one[1]) / (other[0] - one[0])
        if slope == 0 or (slope > 0) != upward:
            continue
        fitting: dict[float, tuple[float, float, Tick]] = {}
        for option in options:
            if abs((option[1] - one[1]) / slope - (option[0] - one[0])) <= tolerance:
                fitting[option[0]] = option
        yield list(fitting.values())


def _misfit(chosen: Sequence[tuple[float, float, Tick]]) -> float:
    """Returns the root mean square distance of the labels from their places, in pixels."""
    places, values = np.array([one[0] for one in chosen]), np.array([one[1] for one in chosen])
    if places.size < 3:
        return 0.0
    slope, intercept = np.polyfit(places, values, 1)
    return float(np.sqrt(np.mean(((values - intercept) / slope - places) ** 2)))


def _is_usual(chosen: Sequence[tuple[float, float, Tick]], *, is_log: bool) -> bool:
    """Returns whether plotting libraries would place these labels: at whole decades, or at steps of 1, 2, 2.5 or 5.

    This tells 0.001 and 0.01 on a logarithmic axis from 0.5 and 1.0 on a straight one. Powers of ten are labels of
    logarithmic axes only.
    """
    if any(one[2].is_power for one in chosen):
        return is_log
    values = sorted(one[1] for one in chosen)
    steps = np.diff(values)
    step = float(steps.min())
    if step <= 0:
        return False
    if is_log:
        return bool(np.allclose(values, np.round(values), atol=1e-6))
    leading = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    multiples = np.array(values) / step
    return bool(np.isclose(leading, USUAL_STEPS, atol=0.01).any()) and bool(
        np.allclose(multiples, np.round(multiples), atol=0.02)
    )


def axis_from_range(places: tuple[float, float], values: tuple[float, float], *, is_log: bool) -> Axis:
    """Returns the scale through two places with given values."""
    first, last = (math.log10(value) if is_log else value for value in values)
    slope = (last - first) / (places[1] - places[0])
    ticks = tuple(
        Tick(at=place, text=f"{value:g}", values=(value,)) for place, value in zip(places, values, strict=True)
    )
    return Axis(
        slope=slope, intercept=first - slope * places[0], is_log=is_log, error=abs(slope), ticks=ticks, is_given=True
    )
