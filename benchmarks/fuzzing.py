"""Counts the outcomes of fuzzing and runs the command-line interface of both fuzzers."""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence

NOT_HANDLED = "NOT HANDLED"
NUM_LINES = 8
"""Number of lines to write of a traceback, from its end."""


def attempt(ends: Counter[str], name: str, read: Callable[[], str], *, show: int) -> None:
    """Runs one case, counts its outcome, and writes the first tracebacks of each unexpected error to stderr.

    Args:
        ends: Counter of outcomes, which is updated.
        name: Name of the case.
        read: Runs the case and returns its outcome.
        show: Number of tracebacks to write for each kind of error.
    """
    try:
        end = read()
    except Exception as error:  # noqa: BLE001 - the fuzzer looks for errors of any type
        place = traceback.extract_tb(error.__traceback__)[-1]
        end = f"{NOT_HANDLED}: {type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
        if ends[end] < show:
            sys.stderr.write(f"{name}: {end}\n{''.join(traceback.format_exception(error)[-NUM_LINES:])}\n")
    ends[end] += 1


def run(fuzz: Callable[..., Counter[str]], description: str, count: int, argv: Sequence[str] | None) -> int:
    """Prints the table of outcomes of `fuzz` and returns 1 if one is unexpected.

    Args:
        fuzz: Function of the number of cases and `seed`.
        description: Description of the script for its help.
        count: Default number of cases.
        argv: Command-line arguments, or `None` for those of the process.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    ends = fuzz(options.count, seed=options.seed)
    for end, number in sorted(ends.items(), key=lambda item: -item[1]):
        print(f"{number:7,d}  {end}")
    return int(any(end.startswith(NOT_HANDLED) for end in ends))
