"""Simulates races from recorded trainings and prints their cost in steps and the remaining regret.

Run with: python benchmarks/suggestions/race.py [races.npz]

`races.npz` (from `race_runs.py`) contains short trainings of many tasks at 21 rates. A race uses the trainings nearest
to its candidates and ranks them with the functions that `keras_lrscan.race` calls (`experiments/race_rules.py`), so
score, start loss, required lead and range are those of the product. Each scan of a task suggests a rate, which leads to
one race on each of two sets of batches. Regret comes from the sweeps, as defined in `regret.py`.
"""

from __future__ import annotations

import argparse
import json
import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from race_runs import BLOCK, PEAK, RACES
from regret import Regret
from score import GOOD, RESULTS, ROLES, as_scanned, context_of

from keras_lrscan import analyze
from keras_lrscan.experiments import race_rules
from keras_lrscan.suggestions.suggest import Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Describes one kind of race.

    Attributes:
        run: Key of `RUNS`.
        decades: Distances of the candidates from the suggestion, in decades.
        rounds: For each round, its last step and the number of candidates left after it.
        penalizes_distance: Whether a candidate further from the suggestion must lead by more in training loss.
    """

    run: str
    decades: tuple[float, ...]
    rounds: tuple[tuple[int, int], ...]
    penalizes_distance: bool = True

    @property
    def cost(self) -> int:
        """Total number of steps of all candidates if none diverges."""
        before = [(0, len(self.decades)), *self.rounds]
        return sum(left * (until - at) for (at, left), (until, _) in zip(before, self.rounds, strict=False))


FOUR, FIVE, THREE = (-1.0, -0.5, 0.0, 0.5), (-1.0, -0.5, 0.0, 0.5, 1.0), (-0.5, 0.0, 0.5)
WIDE = (-4 / 3, -2 / 3, 0.0, 2 / 3, 4 / 3)
THIRDS, CLOSE = (-2 / 3, -1 / 3, 0.0, 1 / 3), race_rules.CANDIDATES
SHIPPED = "shipped: four a quarter of a decade apart, 40 steps, three of them to 80"
PLANS: Mapping[str, Mapping[str, Plan]] = {
    "constant": {
        SHIPPED: Plan(run="constant", decades=CLOSE, rounds=((40, 3), (80, 1))),
        "the same, distance ignored": Plan(
            run="constant", decades=CLOSE, rounds=((40, 3), (80, 1)), penalizes_distance=False
        ),
        "four a third of a decade apart, 40 steps, three of them to 80": Plan(
            run="constant", decades=THIRDS, rounds=((40, 3), (80, 1))
        ),
        "four, 40 steps, three of them to 80": Plan(run="constant", decades=FOUR, rounds=((40, 3), (80, 1))),
        "four, 20 steps": Plan(run="constant", decades=FOUR, rounds=((20, 1),)),
        "four, 50 steps": Plan(run="constant", decades=FOUR, rounds=((50, 1),)),
        "four, 100 steps": Plan(run="constant", decades=FOUR, rounds=((100, 1),)),
        "four, 200 steps": Plan(run="constant", decades=FOUR, rounds=((200, 1),)),
        "four, 30 steps, two of them to 100": Plan(run="constant", decades=FOUR, rounds=((30, 2), (100, 1))),
        "three, 100 steps": Plan(run="constant", decades=THREE, rounds=((100, 1),)),
        "five, 40 steps, three of them to 80": Plan(run="constant", decades=FIVE, rounds=((40, 3), (80, 1))),
        "five 2/3 decade apart, 30 steps, two to 100": Plan(run="constant", decades=WIDE, rounds=((30, 2), (100, 1))),
        "five 2/3 decade apart, 200 steps": Plan(run="constant", decades=WIDE, rounds=((200, 1),)),
    },
    "one-cycle": {
        "four cycles of 50 steps, a quarter of a decade apart": Plan(run="cycle 50", decades=CLOSE, rounds=((50, 1),)),
        "four cycles of 100 steps, a quarter of a decade apart": Plan(
            run="cycle 100", decades=CLOSE, rounds=((100, 1),)
        ),
        "four cycles of 50 steps": Plan(run="cycle 50", decades=FOUR, rounds=((50, 1),)),
        "four cycles of 100 steps": Plan(run="cycle 100", decades=FOUR, rounds=((100, 1),)),
        "three cycles of 100 steps": Plan(run="cycle 100", decades=THREE, rounds=((100, 1),)),
        "five cycles of 50 steps": Plan(run="cycle 50", decades=FIVE, rounds=((50, 1),)),
        "constant, 40 and 80 steps, times 2.5": Plan(run="constant", decades=FOUR, rounds=((40, 3), (80, 1))),
    },
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """Holds the recorded trainings of one task.

    Attributes:
        trained: Whether its start weights were trained.
        regret: Regret of a rate, by role.
        lr: Recorded rates. Array of shape `(rates,)`.
        losses: Mean training losses of blocks of steps, by run. Arrays of shape `(begins, rates, blocks)`.
        val: Validation losses after every other block, by run.
        start_val: Validation loss before any training. Array of shape `(begins,)`.
        suggested: log10 of the suggested rate of each scan, by role.
    """

    trained: bool
    regret: Mapping[str, Regret]
    lr: Array
    losses: Mapping[str, Array]
    val: Mapping[str, Array]
    start_val: Array
    suggested: Mapping[str, list[float]]


@dataclass(frozen=True, kw_only=True)
class Raced:
    """Holds the outcome of one race.

    Attributes:
        trained: Whether the start weights were trained.
        regret: Regret of the winner.
        before: Regret of the suggestion without a race.
        holds: Whether the range after the race contains a good rate.
        decades: Width of that range.
    """

    trained: bool
    regret: float
    before: float
    holds: bool
    decades: float


def judged(course: Course, plan: Plan, begin: int, chosen: Array, until: int, *, by_val: bool) -> list[float]:
    """Returns the score of each chosen rate after some steps, infinite if the training diverged."""
    losses = course.losses[plan.run][begin][chosen][:, : until // BLOCK]
    scores = [race_rules.training_score(np.repeat(one, BLOCK)) for one in losses]
    if by_val:
        val = course.val[plan.run][begin][chosen][:, until // (2 * BLOCK) - 1]
        scores = [float(value) if math.isfinite(score) else math.inf for score, value in zip(scores, val, strict=True)]
    return [score if math.isfinite(score) else math.inf for score in scores]


def play(course: Course, plan: Plan, role: str, suggested: float, begin: int, *, by_val: bool) -> Raced:
    """Simulates one race."""
    factor = math.log10(PEAK) * (role == Role.ONE_CYCLE)
    lag = factor if plan.run == "constant" else 0.0  # constant rates that compete for a peak
    grid = np.log10(course.lr) + (math.log10(PEAK) if plan.run != "constant" else 0.0)
    places = suggested - lag + np.array(plan.decades)
    chosen = np.array([int(np.abs(grid - place).argmin()) for place in places])
    start = course.start_val[begin] if by_val else float(course.losses[plan.run][begin][chosen[0], 0])
    distances = None if by_val or not plan.penalizes_distance else list(plan.decades)
    alive, behind = np.ones(len(places), bool), np.full(len(places), math.inf)
    for until, left in plan.rounds:
        scores = np.where(alive, judged(course, plan, begin, chosen, until, by_val=by_val), math.inf)
        behind = race_rules.standings(scores.tolist(), start=start, decades=distances)
        if until < plan.rounds[-1][0]:
            alive[np.argsort(behind, kind="stable")[left:]] = False
            behind = np.where(alive, behind, math.inf)
    regret = course.regret[role]
    before = regret(10.0**suggested)
    if not np.isfinite(behind).any():  # every candidate diverged, so no rate is suggested
        return Raced(trained=course.trained, regret=1.0, before=before, holds=False, decades=math.nan)
    low, high = race_rules.reach((10.0 ** (places + lag)).tolist(), behind.tolist())
    return Raced(
        trained=course.trained,
        regret=regret(10.0 ** float(places[int(np.argmin(behind))] + lag)),
        before=before,
        holds=regret.lowest(low, high) <= GOOD,
        decades=math.log10(high / low),
    )


def course_of(item: tuple[Mapping[str, Any], Array, Array, Mapping[str, Any]]) -> Course:
    """Analyzes the scans of a task and collects its recorded trainings."""
    about, lr, scans, arrays = item
    suggested: dict[str, list[float]] = {role: [] for role in ROLES}
    for loss in scans:
        with np.errstate(all="ignore"):
            found = analyze(as_scanned(lr, np.asarray(loss, float), context_of(about, lr)), num_copies=3)
        for role in ROLES:
            suggested[role].append(math.log10(found.suggest(role=role).lr or about["default_lr"]))

    def recorded(kind: str) -> dict[str, Array]:
        ending = f", {kind}"
        return {
            name.removesuffix(ending): np.asarray(one, float) for name, one in arrays.items() if name.endswith(ending)
        }

    return Course(
        trained=about["start"] != "fresh",
        regret=arrays["regret"],
        lr=np.asarray(arrays["lr"], float),
        losses=recorded("loss"),
        val=recorded("val"),
        start_val=np.asarray(arrays["start_val"], float),
        suggested=suggested,
    )


def courses(results: Mapping[str, Any], races: Mapping[str, Any], jobs: int) -> list[Course]:
    """Returns all tasks with recorded trainings."""
    tasks = json.loads(str(results["tasks"]))
    at = {task["name"]: number for number, task in enumerate(tasks)}
    lr, work = np.asarray(results["scan_lr"], float), []
    for number, name in enumerate(json.loads(str(races["tasks"]))):
        task, sweep = at[name], np.asarray(results["sweep_lr"], float)
        start, val = float(results["start_val"][at[name]]), np.asarray(results["sweep_val"][at[name]], float)
        regret = {role: Regret.from_sweep(sweep, val[index], start) for index, role in enumerate(ROLES)}
        if None in regret.values():
            continue
        arrays = {key: values[number] for key, values in races.items() if key != "tasks"}
        work.append((tasks[task], lr, results["scan_loss"][task], arrays | {"regret": regret}))
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(course_of, work, chunksize=4))


def limit(results: Mapping[str, Any], role: int) -> float:
    """Returns the mean regret of the best of 25 rates, chosen on one seed's full trainings and judged on the others."""
    lr, regrets = np.asarray(results["sweep_lr"], float), []
    for start, both in zip(results["start_val"], results["sweep_val"], strict=True):
        val = np.where(np.isfinite(both[role]), both[role], np.inf).astype(float)
        for seed in range(len(val)):
            regret = Regret.from_sweep(lr, np.delete(val, seed, axis=0), float(start))
            if regret is not None:
                regrets.append(regret(float(lr[np.argmin(val[seed])])))
    return float(np.mean(regrets))


def line(name: str, plan: Plan, raced: Mapping[bool, Sequence[Raced]]) -> str:
    """Returns one table row."""
    cells = []
    for rows in raced.values():
        parts = [[row for row in rows if row.trained], [row for row in rows if not row.trained]]
        means = [np.mean([row.regret for row in part]) for part in (rows, *parts)]
        cells.append(f"{means[0]:.3f} ({means[1]:.3f}, {means[2]:.3f})")
        cells.append(f"{np.mean([row.holds for row in rows]):.0%}, {np.nanmedian([row.decades for row in rows]):.2f}")
    return f"| {name} | {plan.cost} | {' | '.join(cells)} |"


def play_all(found: Sequence[Course], plan: Plan, role: str, *, by_val: bool) -> list[Raced]:
    """Simulates the races of all tasks, from each of their scans and on each set of batches."""
    return [
        play(course, plan, role, suggested, begin, by_val=by_val)
        for course in found
        for suggested in course.suggested[role]
        for begin in range(len(course.start_val))
    ]


def main() -> None:
    """Prints one table per role."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("races", nargs="?", type=Path, default=RACES)
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    options = parser.parse_args()
    with np.load(RESULTS) as file, np.load(options.races) as more:
        results, races = dict(file), dict(more)
    found = courses(results, races, options.jobs)
    print(f"{len(found)} tasks, {sum(course.trained for course in found)} of them with trained starts.")
    for role in ROLES:
        print(f"\n{role}: mean regret (trained, fresh starts), share of ranges with a good rate, width in decades\n")
        print("| race | steps | by validation loss | range | by training loss | range |\n|---|--:|---|---|---|---|")
        for number, (name, plan) in enumerate(PLANS[role].items()):
            raced = {by_val: play_all(found, plan, role, by_val=by_val) for by_val in (True, False)}
            if number == 0:
                rows = raced[True]
                parts = [[row.before for row in rows if row.trained is kind] for kind in (True, False)]
                means = [np.mean([row.before for row in rows]), *map(np.mean, parts)]
                print(
                    f"| none: the suggestion of the scan | 0 | {means[0]:.3f} ({means[1]:.3f}, {means[2]:.3f}) | | | |"
                )
            print(line(name, plan, raced))


if __name__ == "__main__":
    main()
