"""Scans each group of weights while all others stay fixed, and advises on its training (`LayerGroups`)."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    from collections.abc import Iterator, Mapping

    from matplotlib.axes import Axes

    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.hosts.weight_groups import WeightGroup

__all__ = ["Advice", "GroupReading", "LayerGroups", "scan_groups"]

SMALL_SHARE = 0.1
"""Share of the largest fall of all scans below which training a group gains nothing yet."""

LOWER_FACTOR = 3.0
"""Factor by which a group's own learning rate must be below that of all groups; single scans differ by less."""


class Advice(StrEnum):
    """The advice for one group."""

    FREEZE = "freeze"
    """Training it alone gains nothing in so few steps."""
    LOWER = "lower rate"
    """It learns, and alone it needs a lower learning rate than all groups together."""
    READY = "ready"
    """Alone it does not need a clearly lower learning rate than all groups together."""
    UNCLEAR = "unclear"
    """Its curve leads to no suggested learning rate."""


ADVICE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        Advice.FREEZE: "freeze it at first. Training it alone gains nothing in so few steps; scan again later.",
        Advice.LOWER: "lower rate. Alone, it needs a lower learning rate than all groups together.",
        Advice.READY: "ready. Its scan shows no need for a lower learning rate than that of all groups together.",
        Advice.UNCLEAR: "unclear. Its scan suggests no learning rate; use the lowest of all groups, or more steps.",
    }
)
"""Advice → its words in the explanation."""


GUIDE = (
    "In the scan of a group only its weights train: after every step, all others are restored. Its curve therefore "
    "shows the gain from training this group alone in these steps, and the learning rate at which it alone makes the "
    "loss rise. A group that gains nothing now may gain later, once others, such as a new head, have learned."
)

CAUTION = (
    "This test measures only the training loss of a few batches. It shows neither how much a pretrained body forgets "
    "nor how well the model does on new data. Therefore no group gets a higher learning rate than all groups together, "
    "even if it tolerates one alone."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupReading:
    """The scan of one group.

    Attributes:
        name: Name of the group.
        holds: Description of its layers.
        paths: Paths of its weights.
        num_params: Number of its parameters.
        analysis: The analysis of its scan; the suggestion is for training this group alone.
    """

    name: str
    holds: str
    paths: tuple[str, ...] = field(repr=False)
    num_params: Count
    analysis: Analysis

    @property
    def fall(self) -> float:
        """Fall of the loss if only this group trains (the model's unit); 0 without a significant fall."""
        return self.analysis.landmarks.fall


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerGroups(Result):
    """A scan of each group of weights with all others fixed, and one scan of all groups together.

    Attributes:
        together: The analysis of the scan in which all groups train.
        groups: The scanned groups, from input to output.
        num_planned: Number of groups in the model; after Ctrl-C, `groups` contains fewer.
        optimizer: Class name of the optimizer.
        notes: Sentences about limits of the comparison.
    """

    KIND = "layer-groups"

    together: Analysis
    groups: tuple[GroupReading, ...]
    num_planned: Count
    optimizer: str
    notes: tuple[str, ...] = ()

    @property
    def advice(self) -> Mapping[str, Advice]:
        """Name of each group → the advice for it."""
        return MappingProxyType({group.name: self._advice(group) for group in self.groups})

    @property
    def rates(self) -> Mapping[str, float]:
        """Name of each group → its learning rate when all groups train together; 0 for groups to freeze.

        A group that is ready gets the learning rate that the scan of all groups suggests, even if it tolerates a higher
        one alone. A group that needs a lower learning rate gets that of its own scan. If the scan of all groups
        suggests none, the lowest suggestion of a group replaces it.
        """
        alone = {group.name: group.analysis.suggestion.lr or self._base for group in self.groups}
        lowest = min([self._base, *alone.values()], default=0.0)
        by_advice = {Advice.FREEZE: 0.0, Advice.READY: self._base, Advice.UNCLEAR: lowest}
        return MappingProxyType({name: by_advice.get(advice, alone[name]) for name, advice in self.advice.items()})

    @property
    def _base(self) -> float:
        """The learning rate of all groups together; 0 if no scan suggests one."""
        together = self.together.suggestion.lr
        alone = [group.analysis.suggestion.lr for group in self.groups]
        return together if together is not None else min((lr for lr in alone if lr is not None), default=0.0)

    def optimizer_for(self, model: Model) -> Optimizer:
        """Returns a new optimizer that trains each group at its own learning rate.

        It is a `keras.optimizers.MultiOptimizer` of copies of the model's optimizer. Groups to freeze get a learning
        rate of 0, and weights outside all groups get the lowest one.

        Args:
            model: The model that was scanned.

        Raises:
            ScanError: If this Keras has no `MultiOptimizer`, or if the paths of the weights are not unique.

        Example:
        ```python
        found = scan_groups(model, x, y)
        model.compile(optimizer=found.optimizer_for(model), loss=model.loss)
        ```
        """
        optimizers = Host(model).library.optimizers
        if not hasattr(optimizers, "MultiOptimizer"):
            msg = (
                "Expected a Keras version with `keras.optimizers.MultiOptimizer`. Received: one without it. Train in "
                "two phases instead, as described by `explain()`."
            )
            raise ScanError(msg)
        paths = [path for group in self.groups for path in group.paths]
        present = [variable.path for variable in model.trainable_variables]
        if len(set(present)) < len(present) or not set(paths) <= set(present):
            msg = (
                "Expected a model with the scanned weights among its trainable weights, and with unique paths. "
                f"Received: {len(present)} weights with {len(set(present))} paths. Give each layer a unique name."
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
        """Explains the learning rate of each group in plain words."""
        short = [f"{self.num_planned} groups were planned, and {len(self.groups)} finished."]
        return text(
            f"{len(self.groups)} groups of weights, each scanned with all others fixed",
            [
                ("", [GUIDE]),
                ("Results", [self._describe_scan(None), *(self._describe_scan(group) for group in self.groups)]),
                ("Advice for each group", [self._describe_advice(group) for group in self.groups]),
                ("How to apply the advice", self._recipe()),
                ("About these scans", [*(short if len(self.groups) < self.num_planned else []), *self.notes]),
            ],
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws the curves of all groups on the same axes.

        Args:
            ax: Axes to draw on; those of a new figure by default.

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
        title = "Each group alone, all others fixed (rings: the loss starts to rise)"
        return finish(ax, [self.together, *(group.analysis for group in self.groups)], title, columns=2)

    def _advice(self, group: GroupReading) -> Advice:
        analyses = [self.together, *(item.analysis for item in self.groups)]
        largest = max((item.landmarks.fall for item in analyses if item.suggestion.lr is not None), default=0.0)
        if largest > 0 and group.fall < SMALL_SHARE * largest:
            return Advice.FREEZE
        lr = group.analysis.suggestion.lr
        if lr is None:
            return Advice.UNCLEAR
        return Advice.LOWER if lr * LOWER_FACTOR < self._base else Advice.READY

    def _describe_scan(self, group: GroupReading | None) -> str:
        analysis = self.together if group is None else group.analysis
        elbow, fall = analysis.landmarks.elbow, analysis.landmarks.fall
        who = "All together" if group is None else f"{group.name} ({group.holds}, {group.num_params:,} parameters)"
        falls = f"the loss falls by {format_loss(fall)}" if fall > 0 else "the loss does not fall"
        rises = "does not rise within the scan" if elbow is None else f"starts to rise at about {format_lr(elbow.lr)}"
        return f"{who}: {falls} and {rises}."

    def _describe_advice(self, group: GroupReading) -> str:
        rate, alone = self.rates[group.name], group.analysis.suggestion.lr
        sentences = f"{group.name}: {ADVICE_WORDS[self.advice[group.name]]}"
        if not rate:
            return sentences
        sentences += f" Train it at about {format_lr(rate)}."
        return sentences if alone is None else f"{sentences} (Its own scan suggests {format_lr(alone)}.)"

    def _recipe(self) -> list[str]:
        moving = {name: lr for name, lr in self.rates.items() if lr > 0}
        fixed = [name for name, lr in self.rates.items() if lr == 0]
        if not moving:
            return ["No group gets a learning rate: check the scan of all groups together first."]
        low, high = (format_lr(lr) for lr in (min(moving.values()), max(moving.values())))
        if fixed:
            freeze = (
                f"set `trainable = False` on {', '.join(fixed)}, compile with a learning rate of about {low}, and train"
            )
            by_one = (
                f"With one optimizer, in any Keras: {freeze}. When the loss settles, scan again with all trainable."
            )
        else:
            by_one = f"With one optimizer, in any Keras: use a learning rate of about {low} for all groups."
        if low == high and not fixed:
            return [f"No group needs its own learning rate. {by_one}", CAUTION]
        by_group = (
            "With Keras 3: `model.compile(optimizer=found.optimizer_for(model), ...)`, where `found` is this result, "
            f"creates a `MultiOptimizer` of copies of your {self.optimizer}, each with the learning rate of its group."
        )
        return [by_group, by_one, CAUTION]

    def _tables(self) -> Iterator[dict[str, Any]]:
        named = [("together", self.together), *((group.name, group.analysis) for group in self.groups)]
        for name, analysis in named:
            yield {"group": name, "lr": analysis.curve.lr, "loss": analysis.curve.loss}

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
    """Scans each group of weights with all others fixed, and all groups together, on the same batches.

    After every step the function restores the weights of all other groups bit for bit. The optimizer therefore updates
    each group exactly as usual, and nothing is frozen, compiled or traced again; `docs/design/0006-still-weights.md`
    gives the reasons. Only trainable weights are scanned. Afterwards everything is restored bit for bit.

    Args:
        model: A compiled model of Keras 3 or tf_keras, on one device.
        x: Input data, as for `fit`; the function keeps `num_steps` batches of it in memory.
        y: Target data, as for `fit`.
        groups: The groups. Either a dictionary from names to the parts of each group, or a list with one part per
            group. A part is the name of a layer, a regular expression to search in the paths of weights, a layer, or a
            list of these. Defaults to the stages of the model's body, and its head.
        start_lr: Float. First learning rate.
        end_lr: Float. Last learning rate.
        num_steps: Integer, at least 8. Number of updates in each scan.
        snapshot: String. Storage for the state to restore, one of `"memory"` and `"disk"`.
        monitor: String. Key of the loss in the logs.
        verbose: 0 or 1. With 1, a progress bar is shown.
        **fit_options: Arguments of `fit` that determine its batches, such as `batch_size`.

    Returns:
        A `LayerGroups`. After Ctrl-C, it contains the groups that had finished.

    Raises:
        InvalidOptionError: If an argument has an invalid value, or if a group has no trainable weight.
        ScanError: If the model is not compiled or runs on several devices, or if it has too few parts for groups.
        KeyboardInterrupt: After Ctrl-C in the first scan, once the model is restored.

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
    if together is None:  # leaving the block above raises it already
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


def _scan_alone(trials: Trials, group: WeightGroup) -> LRCurve | None:
    """Scans one group while every other trainable weight stays fixed."""
    own = {id(variable) for variable in group.variables}
    others = [variable for variable in trials.host.model.trainable_variables if id(variable) not in own]
    others_before: list[Snapshot] = []

    def restore_others() -> None:
        others_before[0].restore()

    return trials.scan(prepare=lambda: others_before.append(Snapshot(others)), after_step=restore_others)


def _notes_on_groups(found: tuple[WeightGroup, ...], model: Model) -> list[str]:
    scanned = {id(variable) for group in found for variable in group.variables}
    left = [path_of(variable) for variable in model.trainable_variables if id(variable) not in scanned]
    frozen = frozen_layers(model)
    return [
        *(
            [f"{len(left)} trainable weights outside all groups stayed fixed in every group's scan, first {left[0]}."]
            if left
            else []
        ),
        *([f"Frozen layers were not scanned: {', '.join(frozen)}."] if frozen else []),
    ]
