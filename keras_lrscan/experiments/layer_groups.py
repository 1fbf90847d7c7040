"""Layer groups: a scan of each group of weights with the others still, and what to do with each group."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import FitData, FitOption, Groups, Model, Optimizer
from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.errors import ScanError
from keras_lrscan.experiments.result import Result
from keras_lrscan.explanation.layout import text
from keras_lrscan.files.decoding import Count
from keras_lrscan.formatting import format_loss, format_lr
from keras_lrscan.hosts.host import Host
from keras_lrscan.hosts.layer_tree import frozen_layers
from keras_lrscan.hosts.optimizers import copy_of, innermost
from keras_lrscan.hosts.snapshot import Snapshot
from keras_lrscan.hosts.weight_groups import MAX_STAGES, find_groups, path_of
from keras_lrscan.plots.overlay import axes, draw_curve, draw_rate, finish
from keras_lrscan.plots.palette import REFERENCE, SERIES
from keras_lrscan.recording.trials import Trials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.hosts.weight_groups import WeightGroup

__all__ = ["Advice", "GroupReading", "LayerGroups", "scan_groups"]

SMALL_SHARE = 0.1
"""A group that gets less than this share of the largest fall of all scans has nothing to gain yet."""

LOWER_FACTOR = 3.0
"""A group whose own rate is below that of all together by this factor gets its own: single scans differ by less."""


class Advice(StrEnum):
    """What to do with a group."""

    FREEZE = "freeze"
    """Moving it alone gains nothing in so few steps."""
    LOWER = "lower rate"
    """It learns, and alone it breaks sooner than all together."""
    READY = "ready"
    """It learns, and its own rate is not clearly below that of all together."""
    UNCLEAR = "unclear"
    """Its curve warrants no rate."""


ADVICE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        Advice.FREEZE: "freeze it at first. Moving it alone gains nothing in so few steps; look again later.",
        Advice.LOWER: "lower rate. It learns, but moved alone it breaks sooner than all together.",
        Advice.READY: "ready. It learns, and nothing says that it needs a lower rate than all together.",
        Advice.UNCLEAR: "unclear. Its curve warrants no rate; give it the lowest of all, or the test more steps.",
    }
)
"""Advice → how it is said."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupReading:
    """The scan of one group.

    Attributes:
        name: What the group is called.
        holds: What is in it, in words.
        paths: Paths of its weights.
        num_params: Number of its scalars.
        analysis: The reading of its scan; its suggestion is for this group moving alone.
    """

    name: str
    holds: str
    paths: tuple[str, ...]
    num_params: Count
    analysis: Analysis

    @property
    def fall(self) -> float:
        """How far the loss falls when only this group moves (the model's unit); zero where no fall counts."""
        return _fall(self.analysis)


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerGroups(Result):
    """Scans of every group of weights, the others standing still, and one of all together.

    Attributes:
        together: The reading of the scan in which all groups move.
        groups: The groups, from input to output.
        num_planned: Groups that there are; more than were scanned where Ctrl-C came.
        optimizer: Class name of the optimizer.
        notes: Sentences on what limits the comparison.
    """

    KIND = "layer-groups"

    together: Analysis
    groups: tuple[GroupReading, ...]
    num_planned: Count
    optimizer: str
    notes: tuple[str, ...] = ()

    @property
    def advice(self) -> Mapping[str, Advice]:
        """Name of each group → what to do with it."""
        return MappingProxyType({group.name: self._advice(group) for group in self.groups})

    @property
    def rates(self) -> Mapping[str, float]:
        """Name of each group → the rate to train it at when all train together; zero for those to freeze.

        A group that is ready gets the rate that the scan of all together suggests, not the higher one that it could
        bear alone; one that breaks sooner gets its own. Where the scan of all warrants no rate, the lowest of the
        groups' stands in for it.
        """
        alone = {group.name: group.analysis.suggestion.lr or self._base for group in self.groups}
        lowest = min([self._base, *alone.values()], default=0.0)
        by_advice = {Advice.FREEZE: 0.0, Advice.READY: self._base, Advice.UNCLEAR: lowest}
        return MappingProxyType({name: by_advice.get(advice, alone[name]) for name, advice in self.advice.items()})

    @property
    def _base(self) -> float:
        """The rate of all together; zero where nothing warrants one."""
        together = self.together.suggestion.lr
        alone = [group.analysis.suggestion.lr for group in self.groups]
        return together if together is not None else min((lr for lr in alone if lr is not None), default=0.0)

    def optimizer_for(self, model: Model) -> Optimizer:
        """Returns a new optimizer that trains each group at its own rate.

        It is a `keras.optimizers.MultiOptimizer` of copies of the model's optimizer. Groups to freeze get a rate of
        zero, and weights of no group the lowest rate.

        Args:
            model: The model that was scanned.

        Raises:
            ScanError: If this Keras has no `MultiOptimizer`, or if the paths of weights do not tell the groups apart.

        Example:
        ```python
        found = scan_groups(model, x, y)
        model.compile(optimizer=found.optimizer_for(model), loss=model.loss)
        ```
        """
        optimizers = Host(model).library.optimizers
        if not hasattr(optimizers, "MultiOptimizer"):
            msg = (
                "Expected a Keras with `keras.optimizers.MultiOptimizer`. Received: one without it. Train in two "
                "phases instead, as `explain()` says."
            )
            raise ScanError(msg)
        paths = [path for group in self.groups for path in group.paths]
        present = [variable.path for variable in model.trainable_variables]
        if len(set(present)) < len(present) or not set(paths) <= set(present):
            msg = (
                "Expected a model whose trainable weights have a path each, those that were scanned among them. "
                f"Received: {len(present)} weights with {len(set(present))} paths. Give layers names of their own."
            )
            raise ScanError(msg)
        leaf = innermost(model.optimizer)[0]
        rates = self.rates
        lowest = min((lr for lr in rates.values() if lr > 0), default=0.0)
        copies = {name: copy_of(leaf, learning_rate=lr, name=None) for name, lr in rates.items()}
        chosen = {path: copies[group.name] for group in self.groups for path in group.paths}
        return optimizers.MultiOptimizer(
            optimizers.OptimizerMap(copy_of(leaf, learning_rate=lowest, name=None), chosen)
        )

    def explain(self) -> str:
        """Returns what each group can bear in plain words."""
        short = [f"{self.num_planned} groups were planned, {len(self.groups)} came to their end."]
        return text(
            f"{len(self.groups)} groups of weights, each scanned with the others still",
            [
                ("", [GUIDE]),
                ("What you see", [self._seen(None), *(self._seen(group) for group in self.groups)]),
                ("What to do with each group", [self._told(group) for group in self.groups]),
                ("How to train so", self._recipe()),
                ("About this record", [*(short if len(self.groups) < self.num_planned else []), *self.notes]),
            ],
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws the curves of all groups on one pair of axes.

        Args:
            ax: Where to draw; a new figure when left out.

        Returns:
            The axes.
        """
        ax = axes(ax)
        draw_curve(ax, self.together, "all together", REFERENCE)
        for number, group in enumerate(self.groups):
            color = SERIES[number % len(SERIES)]
            lr = group.analysis.suggestion.lr
            alone = "" if lr is None else f", alone about {format_lr(lr)}"
            draw_curve(ax, group.analysis, f"{group.name}: {self.advice[group.name]}{alone}", color)
        draw_rate(ax, self.together, REFERENCE)
        title = "Each group alone, the others still (rings: starts to rise)"
        return finish(ax, [self.together, *(group.analysis for group in self.groups)], title, columns=2)

    def _advice(self, group: GroupReading) -> Advice:
        analyses = [self.together, *(item.analysis for item in self.groups)]
        largest = max((_fall(item) for item in analyses if item.suggestion.lr is not None), default=0.0)
        if largest > 0 and group.fall < SMALL_SHARE * largest:
            return Advice.FREEZE
        lr = group.analysis.suggestion.lr
        if lr is None:
            return Advice.UNCLEAR
        return Advice.LOWER if lr * LOWER_FACTOR < self._base else Advice.READY

    def _seen(self, group: GroupReading | None) -> str:
        analysis = self.together if group is None else group.analysis
        elbow, fall = analysis.landmarks.elbow, _fall(analysis)
        who = "All together" if group is None else f"{group.name} ({group.holds}, {group.num_params:,} parameters)"
        falls = f"the loss falls by {format_loss(fall)}" if fall > 0 else "the loss does not fall"
        rises = "does not rise within the test" if elbow is None else f"starts to rise at about {format_lr(elbow.lr)}"
        return f"{who}: {falls} and {rises}."

    def _told(self, group: GroupReading) -> str:
        rate, alone = self.rates[group.name], group.analysis.suggestion.lr
        told = f"{group.name}: {ADVICE_WORDS[self.advice[group.name]]}"
        if not rate:
            return told
        told += f" Train it at about {format_lr(rate)}."
        return told if alone is None else f"{told} (Alone it would be given {format_lr(alone)}.)"

    def _recipe(self) -> list[str]:
        moving = {name: lr for name, lr in self.rates.items() if lr > 0}
        frozen = [name for name, lr in self.rates.items() if lr == 0]
        if not moving:
            return ["No group warrants a rate: look at the scan of all together first."]
        low, high = (format_lr(lr) for lr in (min(moving.values()), max(moving.values())))
        if frozen:
            still = f"set `trainable = False` on {', '.join(frozen)}, compile with a rate of about {low}, and train"
            by_one = f"With one optimizer, in any Keras: {still}. When the loss settles, scan again with all trainable."
        else:
            by_one = f"With one optimizer, in any Keras: a rate of about {low} for all."
        if low == high and not frozen:
            return [f"No group needs a rate of its own. {by_one}", CAUTION]
        by_group = (
            "With Keras 3: `model.compile(optimizer=found.optimizer_for(model), ...)`, where `found` is this result, "
            f"makes a `MultiOptimizer` of copies of your {self.optimizer}, each with the rate of its group."
        )
        return [by_group, by_one, CAUTION]

    def _parts(self) -> dict[str, Any]:
        return {
            "together": self.together.to_dict(),
            "groups": [
                {**vars(group), "paths": list(group.paths), "analysis": group.analysis.to_dict()}
                for group in self.groups
            ],
            "num_planned": self.num_planned,
            "optimizer": self.optimizer,
            "notes": list(self.notes),
        }


def scan_groups(
    model: Model,
    x: FitData,
    y: FitData = None,
    groups: Groups = None,
    *,
    start_lr: float = 1e-7,
    end_lr: float = 10.0,
    num_steps: int = 100,
    snapshot: str = "memory",
    monitor: str = "loss",
    verbose: int = 1,
    **fit_options: FitOption,
) -> LayerGroups:
    """Scans each group of weights with the others still, and all together, on the same batches.

    The others are held still by being put back after every step, to the last bit, so what moves a group is exactly what
    the optimizer does to it, and nothing is frozen, compiled or traced anew for it; `docs/design/0006-still-weights.md`
    says why. Only trainable weights are scanned. Afterwards everything is put back to the last bit.

    Args:
        model: A compiled model of Keras 3 or tf_keras, on one device.
        x: Input data, as for `fit`; `num_steps` batches of it are kept in memory.
        y: Target data, as for `fit`.
        groups: The groups; by the model's own structure (the stages of its body, and its head) when left out. A
            dictionary from names of groups to what is in them: the name of a layer, a regular expression that is
            searched in the paths of weights, a layer, or a list of these. Or a list of these, each a group of its own.
        start_lr: Float. First learning rate.
        end_lr: Float. Last learning rate.
        num_steps: Integer, at least 8. Number of updates in each scan.
        snapshot: String. Where the state to put back is kept, one of `"memory"` and `"disk"`.
        monitor: String. Key of the loss in the logs.
        verbose: 0 or 1. With 1, a progress bar is shown.
        **fit_options: Arguments of `fit` that say which batches it trains on, such as `batch_size`.

    Returns:
        A `LayerGroups`; after Ctrl-C, one with the groups that were finished.

    Raises:
        InvalidOptionError: If an argument has a value that makes no scans, or if a group holds no trainable weight.
        ScanError: If the model is not compiled or runs on several devices, or if it has too few parts to group.
        KeyboardInterrupt: After Ctrl-C in the first scan, once the model is put back.

    Example:
    ```python
    found = scan_groups(model, x, y, {"backbone": "efficientnet", "head": ["dense", "logits"]})
    print(found.explain())
    model.compile(optimizer=found.optimizer_for(model), loss=model.loss)
    ```
    """
    number = len(groups) if groups is not None else MAX_STAGES + 1
    trials = Trials(
        model,
        x,
        y,
        start_lr=start_lr,
        end_lr=end_lr,
        num_steps=num_steps,
        planned_steps=(1 + number) * num_steps,
        snapshot=snapshot,
        monitor=monitor,
        verbose=verbose,
        fit_options=fit_options,
    )
    with trials:
        found = find_groups(model, groups)
        together = trials.scan()
        curves = [(group, _scan_alone(trials, group)) for group in found]
    if together is None:  # the block above has raised then
        raise KeyboardInterrupt
    return LayerGroups(
        together=analyze(together),
        groups=tuple(
            GroupReading(
                name=group.name,
                holds=group.holds,
                paths=tuple(path_of(variable) for variable in group.variables),
                num_params=group.num_params,
                analysis=analyze(curve),
            )
            for group, curve in curves
            if curve is not None
        ),
        num_planned=len(found),
        optimizer=together.context.optimizer or "optimizer",
        notes=(*trials.notes, *_notes_on_groups(found, model)),
    )


GUIDE = (
    "In the scan of a group only its weights move: after every step all others are put back where they were. So its "
    "curve shows what this group alone can learn in these steps, and the rate at which it alone breaks the model. A "
    "group that gains nothing now may gain once others, such as a new head, have learned."
)

CAUTION = (
    "This test sees the training loss of some batches and nothing else: not what a pretrained body may forget, and not "
    "how well it does on new data. So a group is never given more than all together, whatever it bears alone."
)


def _fall(analysis: Analysis) -> float:
    start, minimum = analysis.landmarks.start, analysis.landmarks.minimum
    if not analysis.landmarks.valleys or start is None or minimum is None:
        return 0.0
    return max(0.0, start.loss - minimum.loss)


def _scan_alone(trials: Trials, group: WeightGroup) -> LRCurve | None:
    """Scans one group while every other trainable weight stands still."""
    own = {id(variable) for variable in group.variables}
    others = [variable for variable in trials.host.model.trainable_variables if id(variable) not in own]
    still: list[Snapshot] = []

    def put_back() -> None:
        still[0].restore()

    return trials.scan(prepare=lambda: still.append(Snapshot(others)), after_step=put_back)


def _notes_on_groups(found: tuple[WeightGroup, ...], model: Model) -> list[str]:
    scanned = {id(variable) for group in found for variable in group.variables}
    left = [path_of(variable) for variable in model.trainable_variables if id(variable) not in scanned]
    frozen = frozen_layers(model)
    return [
        *(
            [f"Trainable weights of no group stood still in each group's scan: {len(left)}, {left[0]} the first."]
            if left
            else []
        ),
        *([f"Frozen layers were not scanned: {', '.join(frozen)}."] if frozen else []),
    ]
