"""Chooses plans of races on some tasks for several budgets of steps, and reports their regret on other tasks.

Run with: python benchmarks/suggestions/race_held_out.py

For each of `BUDGETS`, the plan with the lowest mean regret on the tasks of `races.npz` is chosen among all plans of
`plans_within`, and reported on the tasks of `races_held_out.npz`, as is the plan that `keras_lrscan.race` ships.
"""

from __future__ import annotations

import argparse
import itertools
from typing import TYPE_CHECKING

import numpy as np
from race import CLOSE, FIVE, FOUR, PLANS, SHIPPED, THIRDS, THREE, WIDE, Plan, courses, play_all
from race_runs import HELD_OUT, RACES
from score import RESULTS

from keras_lrscan.suggestions.suggest import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from race import Course, Raced

BUDGETS = (140, 280, 560)
SPREADS = (FOUR, FIVE, THREE, WIDE, CLOSE, THIRDS, (-1.0, -0.5, 0.0), (-1.5, -1.0, -0.5, 0.0, 0.5))
"""Distances of the candidates from the suggestion among which a plan is chosen, in decades."""
LONGEST = 200
"""Number of recorded steps of a training at a constant rate."""
JUDGES = {True: "validation loss", False: "training loss"}


def plans_within(budget: int, *, by_val: bool) -> list[Plan]:
    """Returns the plans of races at a constant rate that use from 90 % to all of a budget of steps.

    All candidates train to the end, or some of them drop out after a third or half of it. The distance from the
    suggestion counts in some plans if training losses decide.
    """
    found = []
    for decades, penalizes in itertools.product(SPREADS, (True,) if by_val else (True, False)):
        for until, share, left in itertools.product(
            range(10, LONGEST + 1, 10), (1, 1 / 2, 1 / 3), range(2, len(decades))
        ):
            middle = 10 * round(share * until / 10)
            rounds = ((until, 1),) if middle >= until else ((middle, left), (until, 1))
            plan = Plan(run="constant", decades=decades, rounds=rounds, penalizes_distance=penalizes)
            if middle and 0.9 * budget <= plan.cost <= budget and plan not in found:
                found.append(plan)
    return found


def in_words(plan: Plan) -> str:
    """Returns the description of a plan.

    >>> in_words(Plan(run="constant", decades=(-0.5, 0.0, 0.5), rounds=((40, 2), (80, 1))))
    'at -0.5, 0, 0.5 decades: 40 steps, 2 of them to 80'
    """
    places = ", ".join(f"{place:.2g}" for place in plan.decades)
    (first, left), *later = plan.rounds
    words = f"at {places} decades: {first} steps" + "".join(f", {left} of them to {until}" for until, _ in later)
    return words if plan.penalizes_distance else f"{words}, distance ignored"


def means(rows: Sequence[Raced], *, before: bool = False) -> str:
    """Returns the mean regret after the races, or before them, with those of trained and fresh starts."""
    values = np.array([row.before if before else row.regret for row in rows])
    trained = np.array([row.trained for row in rows])
    return f"{values.mean():.3f} ({values[trained].mean():.3f}, {values[~trained].mean():.3f})"


def scans_of(found: Sequence[Course], role: str) -> list[Raced]:
    """Returns races of one round, of which only the regret of the suggestion before the race counts."""
    return play_all(found, Plan(run="constant", decades=FOUR, rounds=((10, 1),)), role, by_val=True)


def mean_regret(found: Sequence[Course], plan: Plan, *, by_val: bool) -> float:
    """Returns the mean regret after the races of a plan at a constant rate."""
    return float(np.mean([row.regret for row in play_all(found, plan, Role.CONSTANT, by_val=by_val)]))


def line(name: str, plan: Plan, chosen_on: str, rows: Sequence[Raced], *, by_val: bool) -> str:
    """Returns a table row."""
    holds, decades = np.mean([row.holds for row in rows]), np.nanmedian([row.decades for row in rows])
    return f"| {JUDGES[by_val]} | {plan.cost} | {name} | {chosen_on} | {means(rows)} | {holds:.0%}, {decades:.2f} |"


def report(chosen_on: Sequence[Course], held_out: Sequence[Course]) -> None:
    """Prints one table per role."""
    for title, some in (("Chosen on", chosen_on), ("Held out", held_out)):
        print(f"{title}: {len(some)} tasks, {sum(course.trained for course in some)} of them with trained starts.")
    for role in (Role.CONSTANT, Role.ONE_CYCLE):
        print(f"\n{role}: mean regret, on held-out tasks also of trained and fresh starts\n")
        print("| judged by | steps | plan | tasks chosen on | held-out tasks | good rate in range, decades |")
        print("|---|--:|---|--:|---|---|")
        cycles = Plan(run="cycle 70", decades=CLOSE, rounds=((70, 1),))
        shipped = PLANS["constant"][SHIPPED] if role == Role.CONSTANT else cycles
        before = [means(scans_of(some, role), before=True) for some in (chosen_on, held_out)]
        print(f"| | 0 | none: the suggestion of the scan | {before[0].split()[0]} | {before[1]} | |")
        for by_val in JUDGES:
            rows = play_all(held_out, shipped, role, by_val=by_val)
            known = f"{mean_regret(chosen_on, shipped, by_val=by_val):.3f}" if role == Role.CONSTANT else ""
            print(line("shipped", shipped, known, rows, by_val=by_val))
            for budget in BUDGETS if role == Role.CONSTANT else ():
                plans = plans_within(budget, by_val=by_val)
                regrets = [mean_regret(chosen_on, plan, by_val=by_val) for plan in plans]
                best = int(np.argmin(regrets))
                rows = play_all(held_out, plans[best], role, by_val=by_val)
                print(line(in_words(plans[best]), plans[best], f"{regrets[best]:.3f}", rows, by_val=by_val))


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    options = parser.parse_args()
    with np.load(RESULTS) as file, np.load(RACES) as more, np.load(HELD_OUT) as other:
        results, races, held_out = dict(file), dict(more), dict(other)
    report(courses(results, races, options.jobs), courses(results, held_out, options.jobs))


if __name__ == "__main__":
    main()
