"""How a number is named and printed: once, beside its definition."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

__all__ = ["Measure", "measured", "measures_of"]

LARGEST_PLAIN = 1e9
"""Numbers up to this are written out."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How one number is named and printed."""

    words: str
    form: str

    def show(self, value: float | str) -> str:
        """Returns the value in its format, large ones without an exponent; a string or truth value stands as it is.

        >>> [Measure(words="a share", form="{:.2g}").show(value) for value in (0.0391, 6789.0, True, "Adam")]
        ['0.039', '6,800', 'True', 'Adam']
        """
        if isinstance(value, (str, bool)):
            return str(value)
        text = self.form.format(value)
        return f"{float(text):,.0f}" if "e+" in text and abs(value) < LARGEST_PLAIN else text


def measured(words: str, form: str = "{:.2g}", default: Any = None) -> Any:  # noqa: ANN401 - as `dataclasses.field`
    """Returns a dataclass field that a rule may test."""
    return dataclasses.field(default=default, metadata={"measure": Measure(words=words, form=form)})


def measures_of(kind: type[Any]) -> dict[str, Measure]:
    """Returns the measures of a dataclass by the names of its fields."""
    return {
        item.name: item.metadata["measure"]
        for item in dataclasses.fields(kind)
        if isinstance(item.metadata.get("measure"), Measure)
    }
