"""Measures how often each shape is recognized, on random curves and on averages of them.

`python benchmarks/shape_recall.py` draws curves of each shape with random positions, depths, noise and lengths. It
prints the share that is recognized, with and without the context of a scan, and after the moving average of fastai and
ktrain. Compare the mean over shapes: a classifier that always answers "u-shaped" scores one ninth.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import lfilter

from keras_lrscan import LRCurve, ScanContext, analyze

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Draw = np.random.Generator

START, END = -7.0, 1.0


def step(x: Array, center: float, width: float) -> Array:
    """Returns a smooth step from 0 to 1."""
    return np.asarray(0.5 * (1 + np.tanh((x - center) / width)))


def wall(x: Array, onset: float, rng: Draw) -> Array:
    """Returns a gentle or explosive rise that starts at `onset`, in units of the chance level."""
    beyond = np.maximum(x - onset, 0.0)
    return np.asarray(rng.uniform(1, 5) * beyond**2 if rng.integers(2) else np.expm1(rng.uniform(2, 6) * beyond))


def u_shaped(x: Array, rng: Draw) -> Array:
    """Returns a fall by 20 to 95 % of the chance level, then a rise beyond it."""
    center, width = rng.uniform(-5, -1.5), rng.uniform(0.3, 1.0)
    depth = rng.uniform(0.2, 0.95)
    return np.asarray(1 - depth * step(x, center, width) + wall(x, center + width + rng.uniform(0.4, 1.2), rng))


def monotone(x: Array, rng: Draw) -> Array:
    """Returns a low start, 2 to 50 % of the chance level, that hardly falls and then rises."""
    level = 10 ** rng.uniform(-1.7, -0.3)
    return np.asarray(level * (1 - 0.05 * rng.random() * step(x, -4, 1)) + wall(x, rng.uniform(-4, -0.8), rng))


def flat_at_chance(x: Array, rng: Draw) -> Array:
    """Returns a start at the chance level that does not fall and then rises."""
    return np.asarray(rng.uniform(0.97, 1.05) + wall(x, rng.uniform(-3, -0.5), rng))


def flat(x: Array, rng: Draw) -> Array:
    """Returns a constant loss."""
    return np.full_like(x, rng.uniform(0.9, 1.1))


def still_falling(x: Array, rng: Draw) -> Array:
    """Returns a fall that continues to the end, or has just ended."""
    return np.asarray(1 - rng.uniform(0.3, 0.95) * step(x, rng.uniform(-1.5, 0.8), rng.uniform(0.5, 1.2)))


def diverges_at_once(x: Array, rng: Draw) -> Array:
    """Returns a rise that starts at the first points."""
    return np.asarray(rng.uniform(0.9, 1.3) + wall(x, START + rng.uniform(0, 0.15), rng) * rng.uniform(2, 10))


def valley_then_plateau(x: Array, rng: Draw) -> Array:
    """Returns a fall, then a jump to a high plateau."""
    center, depth = rng.uniform(-5, -3), rng.uniform(0.3, 0.95)
    up = center + rng.uniform(1.2, 2.2)
    return np.asarray(1 - depth * step(x, center, 0.5) + depth * rng.uniform(0.8, 1.1) * step(x, up, 0.15))


def several_valleys(x: Array, rng: Draw) -> Array:
    """Returns two dips with a hill between them, at least half as high as the first dip is deep."""
    first, second = rng.uniform(-5, -4), rng.uniform(-2, -1.3)
    dips = rng.uniform(0.4, 0.8) * np.exp(-((x - first) ** 2) / 0.5)
    dips += rng.uniform(0.3, 0.6) * np.exp(-((x - second) ** 2) / 0.3)
    return np.asarray(1 - dips + wall(x, second + rng.uniform(0.8, 1.2), rng))


def upward_drift(x: Array, rng: Draw) -> Array:
    """Returns a slow climb by 5 to 20 % from a start below the chance level."""
    level = rng.uniform(0.3, 0.7)
    return np.asarray(level * (1 + rng.uniform(0.05, 0.2) * (x - x[0]) / (x[-1] - x[0])))


SHAPES: Mapping[str, Callable[[Array, Draw], Array]] = {
    "u-shaped": u_shaped,
    "monotone-from-pretrained": monotone,
    "flat-at-chance": flat_at_chance,
    "flat": flat,
    "still-falling": still_falling,
    "diverges-at-once": diverges_at_once,
    "valley-then-plateau": valley_then_plateau,
    "several-valleys": several_valleys,
    "upward-drift": upward_drift,
}


def drawn(shape: str, rng: Draw, *, noise: float, averaged: bool, known: bool) -> LRCurve:
    """Returns one random curve of a shape, which stops once it has risen well above its start."""
    classes = int(rng.integers(2, 100))
    chance, num = math.log(classes), int(rng.choice([100, 200, 400]))
    x = np.linspace(START, END, num)
    clean = SHAPES[shape](x, rng) * chance
    loss = clean + noise * chance * rng.standard_normal(num) * np.sqrt(np.clip(clean / chance, 0.1, 1))
    above = np.flatnonzero(clean > clean[0] + 1.5 * chance)
    end = max(int(above[0]) + 3, 12) if above.size else num
    loss = loss[:end]
    if averaged:
        loss = lfilter([0.02], [1, -0.98], loss) / (1 - 0.98 ** np.arange(1, loss.size + 1))
    context = ScanContext(
        start_lr=10**START,
        end_lr=10**END,
        loss_name="sparse_categorical_crossentropy" if known else None,
        num_classes=classes if known else None,
    )
    return LRCurve(lr=10.0 ** x[: loss.size], loss=loss, stop="diverged" if above.size else "end-lr", context=context)


def main() -> None:
    """Prints the recall of each shape in each setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=int, default=40, help="number of curves per shape and setting")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--confusions", action="store_true", help="print the most frequent wrong shapes")
    options = parser.parse_args()
    settings = {
        "noise 1 %": {"noise": 0.01, "averaged": False, "known": True},
        "noise 5 %": {"noise": 0.05, "averaged": False, "known": True},
        "5 %, no context": {"noise": 0.05, "averaged": False, "known": False},
        "averaged, no context": {"noise": 0.05, "averaged": True, "known": False},
    }
    print(f"{'shape':<26}" + "".join(f"{name:>22}" for name in settings))
    shares: dict[str, list[float]] = {name: [] for name in settings}
    misses: Counter[tuple[str, str, str]] = Counter()
    for shape in SHAPES:
        for name, setting in settings.items():
            rng = np.random.default_rng([options.seed, len(shares[name])])
            read = [analyze(drawn(shape, rng, **setting)).verdict.shape for _ in range(options.curves)]
            shares[name].append(sum(verdict == shape for verdict in read) / options.curves)
            misses.update((name, shape, str(verdict)) for verdict in read if verdict != shape)
        print(f"{shape:<26}" + "".join(f"{shares[name][-1]:>22.0%}" for name in settings), flush=True)
    print(f"{'mean over shapes':<26}" + "".join(f"{np.mean(shares[name]):>22.0%}" for name in settings))
    if options.confusions:
        for (name, shape, verdict), count in misses.most_common(30):
            print(f"{name}: {shape} read as {verdict}: {count}")


if __name__ == "__main__":
    main()
