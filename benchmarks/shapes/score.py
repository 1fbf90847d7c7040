"""Compares the shapes that the package reads with labels given by eye.

`python benchmarks/shapes/score.py` reads `labels.csv` and prints, for each sample and for all but the first, the recall
of each shape: the share of the scans with this label that get it, or another one that a second look would accept. Each
scan counts as many times as the scans that it stands for.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from sample import shape_of
from scans import labeled, recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scans import Labeled

    from keras_lrscan.reading.shapes import Shape

FEW = 3
"""Shapes with fewer labels in a sample do not count in the mean over shapes."""


def report(sample: str, labels: Sequence[Labeled], found: Sequence[Shape]) -> None:
    """Prints the recall of every shape in a sample."""
    rows = defaultdict[str, list[tuple[float, bool, bool, str]]](list)
    for one, shape in zip(labels, found, strict=True):
        rows[one.shape].append((one.weight, shape == one.shape, shape in {one.shape, *one.also}, shape))
    print(f"\n## {sample}: {len(labels)} scans\n")
    print("| label | scans | recall | with second looks | read otherwise |\n|---|--:|--:|--:|---|")
    recalls = []
    for shape, some in sorted(rows.items(), key=lambda row: -len(row[1])):
        weights = np.array([weight for weight, *_ in some])
        exact, accepted = (float(np.average([row[at] for row in some], weights=weights)) for at in (1, 2))
        others = Counter(name for *_, is_accepted, name in some if not is_accepted)
        words = ", ".join(f"{name} {number}" for name, number in others.most_common())
        print(f"| {shape} | {len(some)} | {exact:.0%} | {accepted:.0%} | {words} |")
        if len(some) >= FEW:
            recalls.append((exact, accepted))
    everything = [row for some in rows.values() for row in some]
    overall = np.average([row[2] for row in everything], weights=[row[0] for row in everything])
    exact, accepted = np.mean(recalls, axis=0)
    print(f"\nMean over shapes with {FEW} labels or more: {exact:.0%}, with second looks {accepted:.0%}.")
    print(f"All scans, with second looks: {overall:.0%}.")


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument("--misses", action="store_true", help="name the scans that are read otherwise")
    options = parser.parse_args()
    labels, curves = labeled(), recorded()
    with ProcessPoolExecutor(options.jobs) as pool:
        found = list(pool.map(shape_of, [curves[one.scan] for one in labels], chunksize=4))
    pairs = list(zip(labels, found, strict=True))
    samples = list(dict.fromkeys(one.sample for one in labels))
    for sample in samples:
        some = [pair for pair in pairs if pair[0].sample == sample]
        report(sample, *zip(*some, strict=True))
        for one, shape in some if options.misses else ():
            if shape not in {one.shape, *one.also}:
                print(f"- {one.scan}: {one.shape}, read as {shape}")
    report(f"all but the {samples[0]}", *zip(*(pair for pair in pairs if pair[0].sample != samples[0]), strict=True))


if __name__ == "__main__":
    main()
