"""Replaces ktrain's `learner.lr_find` with a scan that records batch losses and restores the learner.

```python
from keras_lrscan.integrations.ktrain import adopt, lr_find

lr_find(learner)  # a single scan
adopt(learner)  # replaces learner.lr_find(), learner.lr_plot() and learner.lr_estimate()
adopt()  # replaces them for every learner, until release()
```

ktrain 0.41 requires `transformers<5` and tf_keras: `pip install "keras_lrscan[ktrain]"` and
`pip install --no-deps tf_keras`. Set the environment variable `TF_USE_LEGACY_KERAS=1` before importing TensorFlow.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
import warnings
from types import MappingProxyType, MethodType
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import FitData, Learner, Value
from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.curves.curve import StopReason
from keras_lrscan.curves.importers import from_ktrain
from keras_lrscan.errors import InvalidCurveError, LRScanWarning, MissingDependencyError, ScanError
from keras_lrscan.explanation.explain import summarize
from keras_lrscan.hosts.host import Host, keep_history, keep_next_fit_first
from keras_lrscan.hosts.random_state import RandomStates
from keras_lrscan.integrations.ktrain.finder import KTRAIN_SKIPS, KtrainReading, ScanFinder, ktrain_estimate
from keras_lrscan.integrations.ktrain.learner import (
    LearnerData,
    StopFactor,
    batch_size_of,
    check_learner,
    context_after_ktrain,
    not_scanned,
    planned,
    progress,
    under_ktrain,
    with_chance,
)
from keras_lrscan.recording.recorder import FEW_STEPS
from keras_lrscan.scan import LRScan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.figure import Figure

__all__ = ["adopt", "explain_learner", "finder_of", "lr_estimate", "lr_find", "lr_plot", "release"]


def lr_find(
    learner: Learner,
    start_lr: float = 1e-7,
    lr_mult: float | None = None,
    max_epochs: int | None = None,
    class_weight: Mapping[int, float] | None = None,
    stop_factor: float | None = None,
    show_plot: bool = False,
    suggest: bool = False,
    restore_weights_only: bool = False,  # noqa: ARG001 - ktrain's signature
    verbose: int = 1,
) -> Analysis:
    """Scans the learner's model on its training data, and restores both afterwards.

    Arguments have the same meaning as in ktrain. Omitted ones get values that suit the analysis. Afterwards
    `learner.lr_finder` holds the scan, even if Ctrl-C or an error ended it, for `learner.lr_plot()` and
    `learner.lr_estimate()`.

    Args:
        learner: A learner of ktrain, from `ktrain.get_learner`.
        start_lr: Float. First learning rate. The last is 10, as in ktrain.
        lr_mult: Float above 1. Factor from the learning rate of one batch to the next. By default the scan takes 100
            batches, or up to 370 if they are smaller than 32. ktrain's own default, 1.01, takes up to 1852.
        max_epochs: Integer. Maximum number of epochs. By default the scan takes as many epochs as it needs.
        class_weight: Dictionary of class index → weight in the loss, as for `fit`.
        stop_factor: Float above 1. The scan stops when the moving average of the batch losses, over a fifth of a
            decade, exceeds this multiple of its lowest value. By default the scan stops when the loss has clearly
            diverged, relative to its noise.
        show_plot: Boolean. Whether to draw the curve.
        suggest: Boolean. Whether to mark the three rates of `lr_estimate` in that plot.
        restore_weights_only: Boolean. Ignored. The scan always restores both weights and optimizer.
        verbose: 0 or 1. With 1, shows a progress bar and prints a summary.

    Returns:
        The `Analysis`.

    Raises:
        InvalidOptionError: If an argument has an invalid value, or if `learner` is not a learner of ktrain.
        ScanError: If no batch was recorded.
        KeyboardInterrupt: If Ctrl-C was pressed, after the model is restored.

    Example:
    ```python
    lr_find(learner)
    fit_onecycle(learner, 2)
    ```

    >>> lr_find("mine")
    Traceback (most recent call last):
    ...
    keras_lrscan.errors.InvalidOptionError: Argument `learner` must be a learner of ktrain. Received: learner='mine'.
    """
    check_learner(learner)
    random, data, model = RandomStates(), LearnerData.of(learner), learner.model
    num_steps, end_lr = planned(start_lr, lr_mult, batch_size_of(learner))
    scan = LRScan(
        start_lr=start_lr,
        end_lr=end_lr,
        num_steps=num_steps,
        stop_on_divergence=stop_factor is None,
        verbose=0,
    )
    stopper = StopFactor(scan, stop_factor, (end_lr / start_lr) ** (1 / (num_steps - 1)))
    epochs = min(-(-num_steps // data.num_batches), max_epochs or num_steps)
    if max_epochs is not None:
        _warn_if_few(epochs * data.num_batches, max_epochs)
    try:
        with (
            warnings.catch_warnings(),
            keep_history(model),
            keep_next_fit_first(model),
            progress(model, scan, num_steps, verbose) as bar,
        ):
            warnings.simplefilter("ignore", LRScanWarning)  # its message is about `epochs`
            model.fit(
                data.x,
                data.y,
                epochs=epochs,
                class_weight=class_weight,
                callbacks=[scan, stopper, bar],
                verbose=0,
                **data.options,
            )
    finally:
        scan.restore()
        random.restore()
        data.put_back()
        _keep(learner, scan, data, class_weight, diverged=stopper.fired)
    analysis = scan.analysis
    if verbose:
        more = "Explanation: print(learner.lr_finder.analysis.explain()). Plot: learner.lr_finder.analysis.plot()."
        sys.stdout.write(summarize(analysis, more=more) + "\n")
    if show_plot:
        lr_plot(learner, suggest=suggest)
    return analysis


def lr_plot(
    learner: Learner,
    n_skip_beginning: int = KTRAIN_SKIPS[0],
    n_skip_end: int = KTRAIN_SKIPS[1],
    suggest: bool = False,
    return_fig: bool = False,
    *,
    compare: bool = False,
) -> Figure | None:
    """Draws the curve of the last scan, with its landmarks and the suggested range, and shows it.

    Args:
        learner: A learner that was scanned, by `lr_find` or by ktrain.
        n_skip_beginning: Integer. Batches to hide on the left. ktrain's defaults, 10 and 5, hide nothing here: their
            purpose is to hide the artifacts of a moving average at its ends, which this curve does not have.
        n_skip_end: Integer. Batches to hide on the right.
        suggest: Boolean. Whether to mark the three rates of `lr_estimate`.
        return_fig: Boolean. Whether to return the figure.
        compare: Boolean. Whether to also draw ktrain's curve of the same batches, and its three rates.

    Returns:
        The figure, or `None`.

    Raises:
        InvalidCurveError: If there was no scan yet.
        InvalidOptionError: If fewer than two batches would remain.
    """
    return finder_of(learner).plot_loss(n_skip_beginning, n_skip_end, suggest, return_fig, compare=compare)


def lr_estimate(learner: Learner) -> tuple[float | None, float | None, float | None]:
    """Returns ktrain's three estimates, computed from the batch losses, without the lag of an average.

    Args:
        learner: A learner that was scanned, by `lr_find` or by ktrain.

    Returns:
        The rate of the steepest fall, a tenth of the rate of the lowest loss, and the middle of the longest range over
        which the loss falls. Each is `None` if the curve does not show it. For the results of ktrain's own formulas,
        call `learner.lr_finder.ktrain_estimate()`. For the suggestion, see `learner.lr_finder.analysis.suggestion`.

    Raises:
        InvalidCurveError: If there was no scan yet.
    """
    return finder_of(learner).estimate_lr()


def explain_learner(learner: Learner) -> KtrainReading:
    """Compares the curve that ktrain drew with the batch losses of the same scan.

    For a scan by ktrain's own `lr_find`, the batch losses are recovered by undoing ktrain's averages, even if Ctrl-C
    ended the scan and ktrain draws nothing. For a scan by this module, ktrain's curve is computed from the batch
    losses.

    Args:
        learner: A learner that was scanned.

    Returns:
        A `KtrainReading`. Print it, or call its `plot()`.

    Raises:
        InvalidCurveError: If there was no scan yet, or if its averages cannot be undone.
        InvalidOptionError: If `learner` is not a learner of ktrain.
    """
    check_learner(learner)
    finder = learner.lr_finder
    if isinstance(finder, ScanFinder):
        rates, losses = finder.ktrain_record()
        analysis, drew = finder.analysis, "would have drawn"
    else:
        if finder is None or not len(finder.lrs):
            raise not_scanned(learner)
        rates, losses = list(map(float, finder.lrs[: len(finder.losses)])), list(map(float, finder.losses))
        data = LearnerData.of(learner)
        curve = from_ktrain(learner, context=context_after_ktrain(learner, data))
        if curve.context.averaging is not None:
            averaging, notes = curve.context.averaging, " ".join(curve.context.notes)
            msg = f"Expected a record whose averages can be undone. Received: averaging={averaging!r}. {notes}"
            raise InvalidCurveError(msg)
        analysis, drew = analyze(curve), "drew"
    return KtrainReading(
        drawn_lr=np.array(rates),
        drawn_loss=np.array(losses),
        analysis=analysis,
        estimates=ktrain_estimate(rates, losses),
        drew=drew,
    )


REPLACEMENTS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"lr_find": lr_find, "lr_plot": lr_plot, "lr_estimate": lr_estimate}
)
"""Method of ktrain's `Learner` → its replacement."""

_originals: dict[str, Any] = {}


def adopt(learner: Learner = None) -> None:
    """Replaces ktrain's own methods with `lr_find`, `lr_plot` and `lr_estimate`.

    Args:
        learner: The learner whose methods to replace. By default, replaces those of all existing and future learners.

    Raises:
        InvalidOptionError: If `learner` is not a learner of ktrain.
        MissingDependencyError: If ktrain cannot be imported.
    """
    if learner is not None:
        check_learner(learner)
        for name, function in REPLACEMENTS.items():
            setattr(learner, name, MethodType(function, learner))
        return
    every = _learner_class()
    for name, function in REPLACEMENTS.items():
        _originals.setdefault(name, vars(every)[name])
        setattr(every, name, function)


def release(learner: Learner = None) -> None:
    """Undoes `adopt`. Does nothing if there is nothing to undo.

    Args:
        learner: The learner that was passed to `adopt`. By default, undoes `adopt()` for all learners.
    """
    if learner is not None:
        for name in REPLACEMENTS:
            learner.__dict__.pop(name, None)
        return
    while _originals:
        setattr(_learner_class(), *_originals.popitem())


def _warn_if_few(num_batches: int, max_epochs: int) -> None:
    if num_batches < FEW_STEPS:
        msg = (
            f"Expected at least {FEW_STEPS} batches for a readable curve. Received: max_epochs={max_epochs}, which is "
            f"{num_batches} batches. Omit it to scan as many epochs as needed; the scan stops by itself."
        )
        warnings.warn(msg, LRScanWarning, stacklevel=3)


def _keep(learner: Learner, scan: LRScan, data: LearnerData, class_weight: FitData, *, diverged: bool) -> None:
    """Stores the scan in `learner.lr_finder`, if it recorded a batch."""
    try:
        curve = scan.curve
    except ScanError:
        return
    wrong = data.wrong_notes
    notes = tuple(note for note in curve.context.notes if note not in wrong)
    known = dataclasses.replace(under_ktrain(curve.context), notes=notes)
    if known.chance_loss is None:
        known = with_chance(known, Host(learner.model), data, class_weight)
    stop = StopReason.DIVERGED if diverged else curve.stop
    scan._curve = dataclasses.replace(curve, stop=stop, context=known)  # noqa: SLF001 - `last_scan` reads it
    learner.lr_finder = ScanFinder(scan.analysis, model=learner.model, steps_per_epoch=data.epoch_size)


def finder_of(learner: Learner) -> ScanFinder:
    """Returns the learner's `ScanFinder`. Converts a finder of ktrain, whose averages it undoes.

    Raises:
        InvalidCurveError: If there was no scan yet, or if its averages cannot be undone.
    """
    check_learner(learner)
    finder = learner.lr_finder
    if isinstance(finder, ScanFinder):
        return finder
    if finder is None or not finder.find_called():
        raise not_scanned(learner)
    return ScanFinder(
        explain_learner(learner).analysis, model=learner.model, steps_per_epoch=LearnerData.of(learner).epoch_size
    )


def _learner_class() -> Value:
    try:
        return importlib.import_module("ktrain.core").Learner
    except Exception as error:  # ktrain raises a bare `Exception` under another Keras
        msg = (
            "Expected `ktrain` to be importable. Received: "
            f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}. Install "
            '"keras_lrscan[ktrain]", then tf_keras with `pip install --no-deps tf_keras`, and set the environment '
            "variable TF_USE_LEGACY_KERAS=1 before importing TensorFlow."
        )
        raise MissingDependencyError(msg) from error
