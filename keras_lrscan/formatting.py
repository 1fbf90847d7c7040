"""Formats learning rates, losses and other numbers, and names each number beside its definition."""

from __future__ import annotations

import dataclasses
import string
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "COUNT",
    "LARGEST",
    "LOSS",
    "RATE",
    "RATIO",
    "Measure",
    "format_loss",
    "format_lr",
    "measured",
    "measures_of",
    "slots_of",
]

LARGEST = 1e100
"""Largest accepted magnitude of losses, rates and numbers of the context; the product of three is still a float."""

RATE, LOSS, RATIO, COUNT = "rate", "loss", "ratio", "count"
"""Formats for learning rates, losses, ratios of two losses, and mean counts."""

LARGEST_PLAIN = 1e9
"""Numbers below this magnitude are printed without an exponent."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Names one number in words and formats it.

    Attributes:
        words: Description of the number, such as `"decades from the first to the last rate"`.
        form: A format string, or one of `RATE`, `LOSS`, `RATIO`, `COUNT`.
    """

    words: str
    form: str

    def show(self, value: float | str) -> str:
        """Returns the formatted value; strings and booleans are returned as text without formatting.

        >>> [Measure(words="a share", form="{:.2g}").show(value) for value in (0.0391, 6789.0, True, "Adam")]
        ['0.039', '6,800', 'True', 'Adam']
        """
        if isinstance(value, (str, bool)):
            return str(value)
        if self.form in FORMATS:
            return FORMATS[self.form](value)
        text = self.form.format(value)
        return f"{float(text):,.0f}" if "e+" in text and abs(value) < LARGEST_PLAIN else text


def slots_of(sentence: str) -> frozenset[str]:
    """Returns the names of the slots in braces of a sentence.

    >>> sorted(slots_of("from {low} to {high}"))
    ['high', 'low']
    """
    return frozenset(name for _, name, _, _ in string.Formatter().parse(sentence) if name)


def measured(words: str, form: str = "{:.2g}", default: Value = None) -> Value:
    """Returns a dataclass field whose metadata hold its `Measure`, so that rules can test and print it."""
    return dataclasses.field(default=default, metadata={"measure": Measure(words=words, form=form)})


def measures_of(kind: type[Any]) -> dict[str, Measure]:
    """Returns the `Measure` of each field of a dataclass that has one, by field name."""
    return {
        item.name: item.metadata["measure"]
        for item in dataclasses.fields(kind)
        if isinstance(item.metadata.get("measure"), Measure)
    }


def format_lr(lr: float) -> str:
    """Returns a learning rate as text with one significant figure.

    >>> [format_lr(lr) for lr in (0.0213, 3.2e-5, 8.0, 12.0)]
    ['0.02', '3e-5', '8', '10']
    """
    mantissa, exponent = f"{lr:.0e}".split("e")
    if -4 < int(exponent) < 4:
        return f"{float(f'{lr:.0e}'):.{max(0, -int(exponent))}f}"
    return f"{mantissa}e{int(exponent)}"


def format_loss(loss: float) -> str:
    """Returns a loss as text with three significant figures.

    >>> [format_loss(loss) for loss in (2.30259, 0.00512, 2754.48)]
    ['2.30', '0.00512', '2754']
    """
    if abs(loss) >= 1000 or loss == 0:
        return f"{loss:.0f}" if abs(loss) < 1e6 else f"{loss:.2e}"  # noqa: PLR2004
    return f"{loss:#.3g}".rstrip(".")


def _format_ratio(ratio: float) -> str:
    return f"{ratio:.2g}" if abs(ratio) < 0.1 else f"{ratio:.1f}" if abs(ratio) < 10 else f"{ratio:,.0f}"  # noqa: PLR2004


def _format_count(count: float) -> str:
    return f"{count:.2g}" if count < 1 else f"{count:.1f}".removesuffix(".0") if count < 10 else f"{count:,.0f}"


FORMATS: Mapping[str, Callable[[float], str]] = MappingProxyType(
    {RATE: format_lr, LOSS: format_loss, RATIO: _format_ratio, COUNT: _format_count}
)
"""Format → its function, for formats that a format string cannot express."""
