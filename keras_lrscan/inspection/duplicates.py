"""Counts repeated samples, and samples that repeat an input with another target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_lrscan.inspection.array_statistics import even_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["duplicate_facts"]

MAX_SAMPLES = 1000
"""Samples that are compared."""

MAX_NUMBERS = 2_000_000
"""Numbers in the inputs of those samples. Of larger samples fewer are compared, but at least `MIN_SAMPLES`."""

MIN_SAMPLES = 64


def duplicate_facts(inputs: Sequence[Array], targets: Sequence[Array]) -> dict[str, Any]:
    """Returns how many samples are distinct, keyed by fields of `ScanContext`.

    Compares evenly spread samples of large arrays, the same ones on each call.

    Args:
        inputs: Arrays of shape `(n, ...)`.
        targets: Arrays of shape `(n, ...)`.

    Returns:
        The facts. Empty without inputs, or if the arrays differ in length.

    Example:
    >>> import numpy as np
    >>> x, y = np.array([[1.0], [1.0], [2.0], [1.0]]), np.array([0, 1, 0, 0])
    >>> duplicate_facts([x], [y])
    {'num_looked_at': 4, 'num_distinct_inputs': 2, 'contradicting_share': 0.25}
    """
    if not inputs or len({len(array) for array in (*inputs, *targets)}) != 1:
        return {}
    width = sum(array[0].size for array in inputs)
    rows = even_rows(len(inputs[0]), min(MAX_SAMPLES, max(MIN_SAMPLES, MAX_NUMBERS // max(1, width))))
    first_targets: dict[tuple[bytes, ...], tuple[bytes, ...]] = {}
    wanted = list(zip(*(_as_bytes(array, rows) for array in targets), strict=True)) or [()] * len(rows)
    contradicting = 0
    for number, sample in enumerate(zip(*(_as_bytes(array, rows) for array in inputs), strict=True)):
        contradicting += first_targets.setdefault(sample, wanted[number]) != wanted[number]
    return {
        "num_looked_at": len(rows),
        "num_distinct_inputs": len(first_targets),
        "contradicting_share": contradicting / len(rows) if targets else None,
    }


def _as_bytes(array: Array, rows: Array) -> list[bytes]:
    return [row.tobytes() for row in array[rows]]
