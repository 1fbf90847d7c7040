"""What both fuzzers share: one attempt counted by how it ended, and the command line."""

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
LINES_SHOWN = 8
"""Lines of a traceback, from its end."""


def attempt(ends: Counter[str], name: str, read: Callable[[], str], *, show: int) -> None:
    """Reads one thing and counts how that ended; the first tracebacks of each unwanted end go to stderr.

    Args:
        ends: Where to count.
        name: What is read.
        read: Reads it, and returns how that ended.
        show: Tracebacks of each kind to show.
    """
    try:
        end = read()
    except Exception as error:  # noqa: BLE001 - whatever comes is what is looked for
        place = traceback.extract_tb(error.__traceback__)[-1]
        end = f"{NOT_HANDLED}: {type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
        if ends[end] < show:
            sys.stderr.write(f"{name}: {end}\n{''.join(traceback.format_exception(error)[-LINES_SHOWN:])}\n")
    ends[end] += 1


def run(fuzz: Callable[..., Counter[str]], description: str, count: int, argv: Sequence[str] | None) -> int:
    """Prints the table of outcomes of `fuzz`; returns 1 if one is unwanted.

    Args:
        fuzz: Takes how many and `seed`.
        description: What the script does.
        count: How many, when the command line does not say.
        argv: Arguments of the command line; those of the process when `None`.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    ends = fuzz(options.count, seed=options.seed)
    for end, number in sorted(ends.items(), key=lambda item: -item[1]):
        print(f"{number:7,d}  {end}")
    return int(any(end.startswith(NOT_HANDLED) for end in ends))
