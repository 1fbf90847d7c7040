"""Compares the causes that the package finds with the true causes.

`python benchmarks/causes/score.py` reads `scans.json.gz`. For the conditions to tune on, it prints how often the true
cause ranks first and among the first three, which cause ranks first otherwise, and how often a healthy fit raises an
alarm. `--set-aside` prints the same for the conditions that no rule was tuned on. Only those measure quality.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import json
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conditions import CONDITIONS, HEALTHY, SET_ASIDE_NAMES
from run import SCANS

from keras_lrscan import LRCurve, analyze
from keras_lrscan.analysis import NUM_COPIES

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_RANK = 3
MISSING = "(none)"


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Holds the causes found on one scan, next to the true one.

    Attributes:
        condition: Name of the condition.
        cause: Name of the true cause.
        seed: Index of the scan within the condition.
        shape: Shape of the curve.
        found: Names of the causes found, the most likely first.
        alarms: Names of likely or confirmed causes that need a fix.
    """

    condition: str
    cause: str
    seed: int
    shape: str
    found: tuple[str, ...]
    alarms: tuple[str, ...]

    @property
    def is_first(self) -> bool:
        """Whether the true cause ranks first."""
        return self.found[:1] == (self.cause,)

    @property
    def is_near(self) -> bool:
        """Whether the true cause ranks among the first three."""
        return self.cause in self.found[:MAX_RANK]


def read(path: Path) -> list[tuple[str, int, dict[str, Any]]]:
    """Returns (name of the condition, index, recorded scan) for every scan of a known condition."""
    known = {condition.name for condition in CONDITIONS}
    rows = json.loads(gzip.decompress(path.read_bytes()))
    return [(row["name"], seed, scan) for row in rows if row["name"] in known for seed, scan in enumerate(row["scans"])]


def score(item: tuple[str, int, dict[str, Any]], *, copies: int) -> Scored:
    """Analyzes one scan."""
    name, seed, scan = item
    reading = analyze(LRCurve.from_dict(scan), num_copies=copies)
    findings = reading.findings
    return Scored(
        condition=name,
        cause=name.split("/", maxsplit=1)[0],
        seed=seed,
        shape=str(reading.verdict.shape),
        found=tuple(finding.name for finding in findings),
        alarms=tuple(one.name for one in findings if one.alarm and one.status in {"likely", "confirmed"}),
    )


def share(values: Iterable[bool]) -> str:
    """Returns the percentage of true values."""
    listed = list(values)
    return f"{sum(listed) / len(listed):.0%}" if listed else "-"


def table(lines: list[list[str]]) -> str:
    """Formats rows of cells as a Markdown table."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in lines]
    return "\n".join([rows[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *rows[1:]])


def by_cause(scored: list[Scored]) -> list[list[str]]:
    """Returns one row per cause: how often it is found, and which causes rank above it."""
    groups: dict[str, list[Scored]] = defaultdict(list)
    for one in scored:
        groups[one.cause].append(one)
    lines = [["true cause", "scans", "first", "first three", "alarm", "first otherwise"]]
    for cause in sorted(groups, key=lambda name: (name not in HEALTHY, name)):
        rows = groups[cause]
        wrong = Counter((one.found or (MISSING,))[0] for one in rows if not one.is_first)
        taken = ", ".join(f"{name} {count}" for name, count in wrong.most_common())
        near = share(one.is_near for one in rows)
        alarm = share(bool(one.alarms) for one in rows)
        lines.append([cause, str(len(rows)), share(one.is_first for one in rows), near, alarm, taken])
    return lines


def confusions(scored: list[Scored]) -> list[list[str]]:
    """Returns the confusion matrix, with true causes as rows and first-ranked causes as columns.

    The columns are numbered as in the first column.
    """
    names = sorted({one.cause for one in scored} | {(one.found or (MISSING,))[0] for one in scored})
    counts = Counter((one.cause, (one.found or (MISSING,))[0]) for one in scored)
    lines = [["true (row), first (column)", *(str(number) for number, _ in enumerate(names, start=1))]]
    for number, name in enumerate(names, start=1):
        cells = [str(counts[name, other]) if counts[name, other] else "" for other in names]
        lines.append([f"{number} {name}", *cells])
    return lines


def report(scored: list[Scored], title: str, *, each: bool) -> None:
    """Prints all tables for one part of the conditions."""
    healthy = [one for one in scored if one.cause in HEALTHY]
    print(f"\n## {title}: {len({one.condition for one in scored})} conditions, {len(scored)} scans\n")
    print(f"- true cause first: {share(one.is_first for one in scored)}")
    print(f"- true cause among the first three: {share(one.is_near for one in scored)}")
    print(f"- healthy fits with an alarm: {share(bool(one.alarms) for one in healthy)} of {len(healthy)}")
    print("\n" + table(by_cause(scored)))
    print("\n" + table(confusions(scored)))
    if each:
        wrong = [one for one in scored if not one.is_first or (one.cause in HEALTHY and one.alarms)]
        lines = [[one.condition, str(one.seed), one.shape, ", ".join(one.found[:4]) or MISSING] for one in wrong]
        print("\n" + table([["missed", "seed", "shape", "found"], *lines]))


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="?", default=SCANS, help="file written by run.py --merge")
    parser.add_argument("--set-aside", action="store_true", help="score the conditions that no rule was tuned on")
    parser.add_argument("--each", action="store_true", help="list every scan whose cause was missed")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    parser.add_argument("--copies", type=int, default=NUM_COPIES, help="resampled copies that vote on the shape")
    parser.add_argument("--json", type=Path, help="write the causes found on every scan to this file")
    options = parser.parse_args()
    kept = [item for item in read(options.scans) if (item[0] in SET_ASIDE_NAMES) == options.set_aside]
    with ProcessPoolExecutor(options.jobs) as pool:
        scored = list(pool.map(functools.partial(score, copies=options.copies), kept, chunksize=4))
    report(scored, "Set aside" if options.set_aside else "To tune on", each=options.each)
    if options.json is not None:
        options.json.write_text(json.dumps([vars(one) for one in scored], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
