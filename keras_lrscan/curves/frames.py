"""Converts recorded curves to a pandas data frame."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import DataFrame
from keras_lrscan.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["frame_of"]


def frame_of(tables: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Stacks tables into a data frame with one row per batch.

    Args:
        tables: Columns by name. A single value, such as the name of a scan, is repeated in every row of its table.

    Returns:
        A `pandas.DataFrame` with a column `step`, which counts from 0 in each table.

    Raises:
        MissingDependencyError: If pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        msg = f"`to_frame` needs pandas. Received: {error}. Install it with: pip install pandas"
        raise MissingDependencyError(msg) from error
    frames = [pandas.DataFrame(table).rename_axis("step").reset_index() for table in tables]
    return pandas.concat(frames, ignore_index=True)
