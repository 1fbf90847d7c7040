"""Plays races from recorded trainings: what they cost in steps, and what regret they leave.

Run with: python benchmarks/suggestions/race.py [races.npz]

`races.npz` (from `race_runs.py`) holds short trainings of many tasks at 21 rates. A race is played among those nearest
to its candidates, by the functions that `keras_lrscan.race` itself judges with. Each scan of a task gives a suggestion,
and so a race, on each of two sets of batches. Regret is that of the sweeps: see `regret.py`.
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
from race_runs import BLOCK, PEAK, RACES, RUNS
from regret import Regret
from score import GOOD, RESULTS, ROLES, as_scanned, context_of

from keras_lrscan import analyze
from keras_lrscan.experiments import race_rules as standings
from keras_lrscan.suggestions.suggest import Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One way to race.

    Attributes:
        run: Key of `RUNS`.
        decades: Where the candidates are, in decades from the suggestion.
        rounds: Until which step each round goes, and how many are left after it.
        heeds_distance: Whether training losses must lead by more, the further they are from the suggestion.
    """

    run: str
    decades: tuple[float, ...]
    rounds: tuple[tuple[int, int], ...]
    heeds_distance: bool = True

    @property
    def cost(self) -> int:
        """Steps of all candidates together, where none breaks."""
        before = [(0, len(self.decades)), *self.rounds]
        return sum(left * (until - at) for (at, left), (until, _) in zip(before, self.rounds, strict=False))


FOUR, FIVE, THREE = (-1.0, -0.5, 0.0, 0.5), (-1.0, -0.5, 0.0, 0.5, 1.0), (-0.5, 0.0, 0.5)
WIDE = (-4 / 3, -2 / 3, 0.0, 2 / 3, 4 / 3)
PLANS: Mapping[str, Mapping[str, Plan]] = {
    "constant": {
        "shipped: four, 40 steps, three of them to 80": Plan(run="constant", decades=FOUR, rounds=((40, 3), (80, 1))),
        "the same, distance not heeded": Plan(
            run="constant", decades=FOUR, rounds=((40, 3), (80, 1)), heeds_distance=False
        ),
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
        "four cycles of 50 steps": Plan(run="cycle 50", decades=FOUR, rounds=((50, 1),)),
        "four cycles of 100 steps": Plan(run="cycle 100", decades=FOUR, rounds=((100, 1),)),
        "three cycles of 100 steps": Plan(run="cycle 100", decades=THREE, rounds=((100, 1),)),
        "five cycles of 50 steps": Plan(run="cycle 50", decades=FIVE, rounds=((50, 1),)),
        "constant, 40 and 80 steps, times 2.5": Plan(run="constant", decades=FOUR, rounds=((40, 3), (80, 1))),
    },
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """What one task offers to race on.

    Attributes:
        trained: Whether its start weights were trained.
        regret: Of a rate, by role.
        lr: Rates that ran. Array of shape `(rates,)`.
        losses: Training losses as means over blocks, (begins, rates, blocks), by run.
        val: Validation losses after every other block, by run.
        start_val: Validation loss before any training. Array of shape `(begins,)`.
        suggested: log10 of the suggested rate, by role, for each scan.
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
    """One race: its regret, that of the suggestion alone, whether its range holds a good rate, and its width."""

    trained: bool
    regret: float
    before: float
    holds: bool
    decades: float


def judged(course: Course, plan: Plan, begin: int, chosen: Array, until: int, *, by_val: bool) -> list[float]:
    """Returns the score of each of the chosen rates after some steps; infinite where it broke."""
    losses = course.losses[plan.run][begin][chosen][:, : until // BLOCK]
    scores = [standings.training_score(np.repeat(one, BLOCK)) for one in losses]
    if by_val:
        val = course.val[plan.run][begin][chosen][:, until // (2 * BLOCK) - 1]
        scores = [float(value) if math.isfinite(score) else math.inf for score, value in zip(scores, val, strict=True)]
    return [score if math.isfinite(score) else math.inf for score in scores]


def play(course: Course, plan: Plan, role: str, suggested: float, begin: int, *, by_val: bool) -> Raced:
    """Plays one race."""
    factor = math.log10(PEAK) * (role == Role.ONE_CYCLE)
    lag = factor if plan.run == "constant" else 0.0  # constant rates that race for a peak
    grid = np.log10(course.lr) + (math.log10(PEAK) if plan.run != "constant" else 0.0)
    places = suggested - lag + np.array(plan.decades)
    chosen = np.array([int(np.abs(grid - place).argmin()) for place in places])
    start = course.start_val[begin] if by_val else float(np.median(course.losses[plan.run][begin][:3, 0]))
    heeded = None if by_val or not plan.heeds_distance else list(plan.decades)
    alive, behind = np.ones(len(places), bool), np.full(len(places), math.inf)
    for until, left in plan.rounds:
        scores = np.where(alive, judged(course, plan, begin, chosen, until, by_val=by_val), math.inf)
        behind = standings.standings(scores.tolist(), start=start, decades=heeded)
        if until < plan.rounds[-1][0]:
            alive[np.argsort(behind, kind="stable")[left:]] = False
            behind = np.where(alive, behind, math.inf)
    regret = course.regret[role]
    before = regret(10.0**suggested)
    if not np.isfinite(behind).any():  # every candidate broke: no rate is suggested
        return Raced(trained=course.trained, regret=1.0, before=before, holds=False, decades=math.nan)
    low, high = standings.reach((10.0 ** (places + lag)).tolist(), behind.tolist())
    return Raced(
        trained=course.trained,
        regret=regret(10.0 ** float(places[int(np.argmin(behind))] + lag)),
        before=before,
        holds=regret.lowest(low, high) <= GOOD,
        decades=math.log10(high / low),
    )


def course_of(item: tuple[Mapping[str, Any], Array, Array, Mapping[str, Any]]) -> Course:
    """Reads the scans of a task."""
    about, lr, scans, arrays = item
    suggested: dict[str, list[float]] = {role: [] for role in ROLES}
    for loss in scans:
        with np.errstate(all="ignore"):
            found = analyze(as_scanned(lr, np.asarray(loss, float), context_of(about, lr)), num_copies=3)
        for role in ROLES:
            suggested[role].append(math.log10(found.suggest(role=role).lr or about["default_lr"]))
    return Course(
        trained=about["start"] != "fresh",
        regret=arrays["regret"],
        lr=np.asarray(arrays["lr"], float),
        losses={run: np.asarray(arrays[f"{run}, loss"], float) for run in RUNS},
        val={run: np.asarray(arrays[f"{run}, val"], float) for run in RUNS},
        start_val=np.asarray(arrays["start_val"], float),
        suggested=suggested,
    )


def courses(results: Mapping[str, Any], races: Mapping[str, Any], jobs: int) -> list[Course]:
    """Returns the tasks that have recorded trainings."""
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
    """Returns the mean regret, by the other seeds, of the best of 25 rates as one seed's whole trainings see it."""
    lr, regrets = np.asarray(results["sweep_lr"], float), []
    for start, both in zip(results["start_val"], results["sweep_val"], strict=True):
        val = np.where(np.isfinite(both[role]), both[role], np.inf).astype(float)
        for seed in range(len(val)):
            regret = Regret.from_sweep(lr, np.delete(val, seed, axis=0), float(start))
            if regret is not None:
                regrets.append(regret(float(lr[np.argmin(val[seed])])))
    return float(np.mean(regrets))


def line(name: str, plan: Plan, raced: Mapping[bool, Sequence[Raced]]) -> str:
    """Returns one line of the table."""
    cells = []
    for rows in raced.values():
        parts = [[row for row in rows if row.trained], [row for row in rows if not row.trained]]
        means = [np.mean([row.regret for row in part]) for part in (rows, *parts)]
        cells.append(f"{means[0]:.3f} ({means[1]:.3f}, {means[2]:.3f})")
        cells.append(f"{np.mean([row.holds for row in rows]):.0%}, {np.nanmedian([row.decades for row in rows]):.2f}")
    return f"| {name} | {plan.cost} | {' | '.join(cells)} |"


def main() -> None:
    """Prints a table for each role."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("races", nargs="?", type=Path, default=RACES)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    with np.load(RESULTS) as file, np.load(options.races) as more:
        results, races = dict(file), dict(more)
    found = courses(results, races, options.jobs)
    print(f"{len(found)} tasks, {sum(course.trained for course in found)} of them from trained starts.")
    for role in ROLES:
        print(
            f"\n{role}: mean regret (trained starts, fresh), share of ranges that hold a good rate, width in decades\n"
        )
        print("| race | steps | by validation loss | range | by training loss | range |\n|---|--:|---|---|---|---|")
        for number, (name, plan) in enumerate(PLANS[role].items()):
            raced = {
                by_val: [
                    play(course, plan, role, suggested, begin, by_val=by_val)
                    for course in found
                    for suggested in course.suggested[role]
                    for begin in range(len(course.start_val))
                ]
                for by_val in (True, False)
            }
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
