"""Experiments: scans that settle what one curve cannot, with the model put back to the last bit each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_lrscan.analysis import analyze
from keras_lrscan.contrast import Contrast
from keras_lrscan.errors import InvalidOptionError
from keras_lrscan.groups import GroupReading, LayerGroups
from keras_lrscan.hosts.fresh_weights import FreshWeights, renew_optimizer
from keras_lrscan.hosts.snapshot import Snapshot
from keras_lrscan.hosts.weight_groups import MAX_STAGES, find_groups, path_of
from keras_lrscan.recording.trials import Trials
from keras_lrscan.repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Callable

    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.hosts.weight_groups import WeightGroup

__all__ = ["MIN_SCANS", "contrast_with_scratch", "repeat_scans", "scan_groups"]

MIN_SCANS = 2
"""Fewest scans that can disagree."""


def contrast_with_scratch(
    model: Any,  # noqa: ANN401 - the hosts' models share no type
    x: Any,  # noqa: ANN401 - whatever `fit` takes
    y: Any = None,  # noqa: ANN401 - whatever `fit` takes
    *,
    scratch: Callable[[], Any] | None = None,
    start_lr: float = 1e-7,
    end_lr: float = 10.0,
    num_steps: int = 100,
    snapshot: str = "memory",
    monitor: str = "loss",
    verbose: int = 1,
    **fit_options: Any,  # noqa: ANN401 - whatever `fit` takes
) -> Contrast:
    """Scans the model as it is and the same architecture from scratch, on the same batches, and compares.

    A curve that is flat and then a spike is what a model shows that is already good, and also what a model shows that
    learns nothing. The scan from scratch tells them apart: if it falls, the data can be learned, and the missing
    descent is the work of the given start.

    From scratch means: every weight gets a new value from its layer's own initializer, in place, so subclassed, nested
    and shared layers need nothing special and nothing is compiled anew. Layers stay frozen where they are frozen, and
    layers that learn by `adapt` keep what they have learned. Both scans begin with the optimizer as it is just after
    `compile`. Afterwards weights, optimizer, random states and all else are put back to the last bit.

    Args:
        model: A compiled model of Keras 3 or tf_keras, on one device.
        x: Input data, as for `fit`; `num_steps` batches of it are kept in memory.
        y: Target data, as for `fit`.
        scratch: A function without arguments that returns the same architecture with new weights, for models whose
            layers do not tell how they start.
        start_lr: Float. First learning rate.
        end_lr: Float. Last learning rate.
        num_steps: Integer, at least 8. Number of updates in each scan.
        snapshot: String. Where the state to put back is kept, one of `"memory"` and `"disk"`.
        monitor: String. Key of the loss in the logs.
        verbose: 0 or 1. With 1, a progress bar is shown.
        **fit_options: Arguments of `fit` that say which batches it trains on, such as `batch_size`.

    Returns:
        A `Contrast`. After Ctrl-C in its second scan, one with the first scan only.

    Raises:
        InvalidOptionError: If an argument has a value that makes no scan.
        ScanError: If the model is not compiled or runs on several devices, or if there are weights of which nobody
            says how they start.
        KeyboardInterrupt: After Ctrl-C in the first scan, once the model is put back.

    Example:
    ```python
    contrast = contrast_with_scratch(model, x, y, batch_size=32)
    print(contrast.explain())
    contrast.plot()
    ```
    """
    trials = Trials(
        model,
        x,
        y,
        start_lr=start_lr,
        end_lr=end_lr,
        num_steps=num_steps,
        planned_steps=2 * num_steps,
        snapshot=snapshot,
        monitor=monitor,
        verbose=verbose,
        fit_options=fit_options,
    )
    start_from_scratch = _from_scratch(trials, scratch)
    with trials:
        given = trials.scan(prepare=lambda: renew_optimizer(trials.host))
        anew = trials.scan(prepare=start_from_scratch) if given is not None else None
    if given is None:  # the block above has raised then
        raise KeyboardInterrupt
    return Contrast(
        given=analyze(given),
        scratch=None if anew is None else analyze(anew),
        notes=(*trials.notes, *_frozen_note(given.context.num_frozen_params, model)),
    )


def _from_scratch(trials: Trials, scratch: Callable[[], Any] | None) -> Callable[[], None]:
    """Returns what gives the model new weights and an optimizer as it is just after `compile`."""
    fresh = FreshWeights(trials.host, scratch=scratch)

    def start() -> None:
        fresh.draw(trials.batches[0][0])
        renew_optimizer(trials.host)

    return start


def _frozen_layers(model: Any) -> list[str]:  # noqa: ANN401
    return [layer.name for layer in model.layers if layer.weights and not layer.trainable]


def _frozen_note(num_frozen: int | None, model: Any) -> list[str]:  # noqa: ANN401
    if not num_frozen or not _frozen_layers(model):
        return []
    return ["Frozen layers stayed frozen from scratch too: what learns there stands on random features."]


def repeat_scans(
    model: Any,  # noqa: ANN401 - the hosts' models share no type
    x: Any,  # noqa: ANN401 - whatever `fit` takes
    y: Any = None,  # noqa: ANN401 - whatever `fit` takes
    *,
    num_scans: int = 5,
    fresh_weights: bool = False,
    scratch: Callable[[], Any] | None = None,
    start_lr: float = 1e-7,
    end_lr: float = 10.0,
    num_steps: int = 100,
    snapshot: str = "memory",
    monitor: str = "loss",
    verbose: int = 1,
    **fit_options: Any,  # noqa: ANN401 - whatever `fit` takes
) -> Repeats:
    """Scans the model several times, each time on other batches, and says what the scans agree on.

    Every scan starts from the model as it is, or with `fresh_weights` from other initial weights of the same
    architecture and a fresh optimizer. The batches are shuffled anew where `fit` shuffles them; otherwise each scan
    takes up the data where the one before left it, from the beginning again at its end. Afterwards everything is put
    back to the last bit.

    Args:
        model: A compiled model of Keras 3 or tf_keras, on one device.
        x: Input data, as for `fit`; `num_steps` batches of it are kept in memory. A generator must hold enough for
            all scans.
        y: Target data, as for `fit`.
        num_scans: Integer, at least 2.
        fresh_weights: Boolean. Whether each scan starts from other initial weights.
        scratch: A function without arguments that returns the same architecture with new weights, for models whose
            layers do not tell how they start; only with `fresh_weights`.
        start_lr: Float. First learning rate.
        end_lr: Float. Last learning rate.
        num_steps: Integer, at least 8. Number of updates in each scan.
        snapshot: String. Where the state to put back is kept, one of `"memory"` and `"disk"`.
        monitor: String. Key of the loss in the logs.
        verbose: 0 or 1. With 1, a progress bar is shown.
        **fit_options: Arguments of `fit` that say which batches it trains on, such as `batch_size`.

    Returns:
        A `Repeats`; after Ctrl-C, one with the scans that were finished.

    Raises:
        InvalidOptionError: If an argument has a value that makes no scans.
        ScanError: If the model is not compiled or runs on several devices, or if there are weights of which nobody
            says how they start.
        KeyboardInterrupt: After Ctrl-C in the first scan, once the model is put back.

    Example:
    ```python
    repeats = repeat_scans(model, x, y, num_scans=5, batch_size=32)
    print(repeats.explain())
    print(repeats.suggestion.lr, repeats.confidence)
    ```
    """
    if num_scans < MIN_SCANS:
        msg = f"Argument `num_scans` must be an integer of at least {MIN_SCANS}. Received: num_scans={num_scans!r}."
        raise InvalidOptionError(msg)
    if scratch is not None and not fresh_weights:
        msg = "Argument `scratch` is for `fresh_weights=True`. Received: fresh_weights=False."
        raise InvalidOptionError(msg)
    trials = Trials(
        model,
        x,
        y,
        start_lr=start_lr,
        end_lr=end_lr,
        num_steps=num_steps,
        planned_steps=num_scans * num_steps,
        snapshot=snapshot,
        monitor=monitor,
        verbose=verbose,
        fit_options=fit_options,
    )
    prepare = _from_scratch(trials, scratch) if fresh_weights else None
    curves = []
    with trials:
        for number in range(num_scans):
            if number and not trials.new_batches():
                break
            curve = trials.scan(prepare=prepare, same_randomness=False)
            if curve is None:
                break
            curves.append(curve)
    return Repeats(
        analyses=tuple(analyze(curve) for curve in curves),
        num_planned=num_scans,
        fresh_weights=fresh_weights,
        notes=trials.notes,
    )


def scan_groups(
    model: Any,  # noqa: ANN401 - the hosts' models share no type
    x: Any,  # noqa: ANN401 - whatever `fit` takes
    y: Any = None,  # noqa: ANN401 - whatever `fit` takes
    groups: Any = None,  # noqa: ANN401 - layers, their names, regular expressions
    *,
    start_lr: float = 1e-7,
    end_lr: float = 10.0,
    num_steps: int = 100,
    snapshot: str = "memory",
    monitor: str = "loss",
    verbose: int = 1,
    **fit_options: Any,  # noqa: ANN401 - whatever `fit` takes
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


def _scan_alone(trials: Trials, group: WeightGroup) -> LRCurve | None:
    """Scans one group while every other trainable weight stands still."""
    own = {id(variable) for variable in group.variables}
    others = [variable for variable in trials.host.model.trainable_variables if id(variable) not in own]
    still: list[Snapshot] = []

    def put_back() -> None:
        still[0].restore()

    return trials.scan(prepare=lambda: still.append(Snapshot(others)), after_step=put_back)


def _notes_on_groups(found: tuple[WeightGroup, ...], model: Any) -> list[str]:  # noqa: ANN401
    scanned = {id(variable) for group in found for variable in group.variables}
    left = [path_of(variable) for variable in model.trainable_variables if id(variable) not in scanned]
    frozen = _frozen_layers(model)
    return [
        *(
            [f"Trainable weights of no group stood still in each group's scan: {len(left)}, {left[0]} the first."]
            if left
            else []
        ),
        *([f"Frozen layers were not scanned: {', '.join(frozen)}."] if frozen else []),
    ]
