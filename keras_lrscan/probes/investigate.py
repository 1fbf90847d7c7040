"""Runs probes on the model and the data to settle causes that the curve leaves open (`investigate`)."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from typing import TYPE_CHECKING

from keras_lrscan._typing import FitData, FitOption, Model, Value
from keras_lrscan.analysis import Analysis, check_analysis
from keras_lrscan.errors import InvalidOptionError, LRScanWarning, ScanError
from keras_lrscan.hosts.optimizers import update_phase
from keras_lrscan.inspection.arrays import NoArrayError
from keras_lrscan.inspection.feeding import fed_alike, how_feeding_differs
from keras_lrscan.probes.investigation import Investigation, Outcome, ProbeResult, settle
from keras_lrscan.probes.table import PROBES
from keras_lrscan.probes.workbench import Answer, CannotAskError, StoppedError, Workbench
from keras_lrscan.recording.ramp import MIN_STEPS
from keras_lrscan.recording.trials import Trials, checked_verbose

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from keras_lrscan.probes.table import Probe

__all__ = ["investigate"]


def investigate(
    model: Model,
    x: FitData = None,
    y: FitData = None,
    *,
    analysis: Analysis,
    probes: Sequence[str] | None = None,
    seed: int = 0,
    snapshot: str = "memory",
    monitor: str = "loss",
    verbose: int = 1,
    **fit_options: FitOption,
) -> Investigation:
    """Runs probes on the model and the data to settle causes that the curve leaves open.

    A scan never calls this function by itself, because it trains the model many times, for a few hundred steps each.
    Before each probe and at the end it restores everything bit for bit, as after a scan. A probe whose answer depends
    on the batches is not run on batches that are fed in another way: it then settles nothing.

    Args:
        model: The model that was scanned, compiled, and in the same state as before the scan. `None` if no probe needs
            it.
        x: Input data, as for `fit`. From a generator, the function takes as many batches as the scan had steps, and
            more for probes that scan again; it cannot put them back.
        y: Target data, as for `fit`.
        analysis: The analysis of the scan.
        probes: Names of `PROBES` to run. Defaults to those that could settle a finding of the analysis.
        seed: Integer. Seed for the random numbers of the probes themselves, such as those that shuffle labels.
        snapshot: String. Storage for the state to restore, one of `"memory"` and `"disk"`.
        monitor: String. Key of the loss in the logs.
        verbose: 0 or 1. With 1, one line is printed for each probe.
        **fit_options: Arguments of `fit` that determine its batches, such as `batch_size`. They default to those of the
            `fit` that was scanned.

    Returns:
        An `Investigation`. After Ctrl-C, it contains the probes that had finished.

    Raises:
        InvalidOptionError: If a probe is unknown, if an option has an invalid value, or if the `fit` that was scanned
            had sample weights and this call has none.
        ScanError: If a probe needs a model and there is none, or if the model cannot be trained.
        KeyboardInterrupt: If Ctrl-C was pressed before the first probe had finished.

    Example:
    ```python
    analysis = lr_scan(model, x, y)
    found = investigate(model, x, y, analysis=analysis)
    print(found.explain())
    print(found.analysis.explain())  # the same analysis, with its causes confirmed or ruled out
    ```
    """
    check_analysis(analysis)
    chosen = _select_probes(probes, analysis)
    runner = _ProbeRunner(checked_verbose(verbose), len(chosen))
    alone = [probe for probe in chosen if not probe.needs_model]
    others = [probe for probe in chosen if probe.needs_model]
    results = {probe.name: runner.run(probe, analysis) for probe in alone}
    notes: tuple[str, ...] = ()
    interrupted = False
    if others:
        _check_model(model, others, analysis)
        options = fed_alike(analysis.curve.context, x, fit_options)
        trials = _create_trials(model, x, y, analysis, snapshot=snapshot, monitor=monitor, fit_options=options)
        with _keep_compiled_functions(model), trials:
            workbench = Workbench(analysis, trials, seed=seed)
            differs = how_feeding_differs(analysis.curve.context, trials.known)
            with contextlib.suppress(StoppedError):
                for probe in others:
                    trials.reset()  # evaluating and predicting change metrics and random states
                    results[probe.name] = runner.run(probe, workbench, differs)
                    trials.finished += 1
            interrupted, notes = trials.interrupted, trials.notes
    found = tuple(results[probe.name] for probe in chosen if probe.name in results)
    return Investigation(analysis=settle(analysis, found), results=found, notes=notes, interrupted=interrupted)


def _select_probes(probes: Sequence[str] | None, analysis: Analysis) -> list[Probe]:
    if probes is None:
        open_causes = {finding.name for finding in analysis.findings}
        return [probe for probe in PROBES if open_causes & set(probe.settles)]
    names = [probes] if isinstance(probes, str) else list(probes)
    known = [probe.name for probe in PROBES]
    if set(names) - set(known):
        msg = f"Argument `probes` must contain only {', '.join(map(repr, known))}. Received: probes={names!r}."
        raise InvalidOptionError(msg)
    return [probe for probe in PROBES if probe.name in names]


def _check_model(model: Model, probes: Sequence[Probe], analysis: Analysis) -> None:
    if model is None:
        names = ", ".join(probe.name for probe in probes)
        msg = f"Expected a model for the probes {names}. Received: model=None. Pass the model that was scanned."
        raise ScanError(msg)
    then = analysis.curve.context.optimizer_iterations
    optimizer = getattr(model, "optimizer", None)
    if then is None or optimizer is None:
        return
    now = update_phase(optimizer)[0]
    if now != then:
        msg = (
            "Expected the model in the state before the scan. Received: a model with "
            f"{now} optimizer updates, not {then}. The results of the probes apply to the current state of the model."
        )
        warnings.warn(msg, LRScanWarning, stacklevel=3)


def _create_trials(model: Model, x: FitData, y: FitData, analysis: Analysis, **options: FitOption) -> Trials:
    curve = analysis.curve
    context = curve.context
    return Trials(
        model,
        x,
        y,
        start_lr=context.start_lr or float(curve.lr[0]),
        end_lr=context.end_lr or float(curve.lr[-1]),
        num_steps=max(MIN_STEPS, context.num_steps or len(curve)),
        verbose=0,
        **options,
    )


@contextlib.contextmanager
def _keep_compiled_functions(model: Model) -> Iterator[None]:
    """Restores the functions that evaluation and prediction compile."""
    names = ("test_function", "predict_function")
    kept = {name: getattr(model, name) for name in names if hasattr(model, name)}
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(model, name, function)


def _ask(probe: Probe, argument: Value, differs: str | None) -> Answer:
    """Runs a probe, unless it needs batches that are fed as in the scan and `differs` says how these are not.

    Raises:
        CannotAskError: If the probe cannot be asked.
    """
    if differs is not None and probe.needs_feeding:
        raise CannotAskError(differs)
    answer: Answer = probe.ask(argument)
    return answer


class _ProbeRunner:
    """Runs probes and prints one line for each."""

    def __init__(self, verbose: int, total: int) -> None:
        self._verbose, self._total, self._number = verbose, total, 0

    def run(self, probe: Probe, argument: Value, differs: str | None = None) -> ProbeResult:
        """Runs one probe and returns its answer with its name and question.

        Args:
            probe: The probe.
            argument: What its function takes.
            differs: How the batches differ from those of the scan. A probe that needs the same then is not run.
        """
        self._number += 1
        self._print(f"{self._number}/{self._total} {probe.question} ")
        begin = time.perf_counter()
        try:
            answer = _ask(probe, argument, differs)
        except (CannotAskError, NoArrayError, ScanError) as error:
            reason = str(error)
            says = f"It could not be asked: {reason[0].lower()}{reason[1:].rstrip('.')}."
            answer = Answer(outcome=Outcome.NOT_POSSIBLE, says=says)
        except (StoppedError, KeyboardInterrupt, SystemExit):
            self._print("interrupted\n")
            raise
        except Exception as error:  # noqa: BLE001 - a model of any kind may fail in any way, and the others can be asked
            first = str(error).strip().partition("\n")[0]
            says = f"It could not be asked: the model raised {type(error).__name__}: {first:.200}"
            answer = Answer(outcome=Outcome.NOT_POSSIBLE, says=says)
        self._print(f"{answer.outcome.replace('-', ' ')} ({time.perf_counter() - begin:.1f} s)\n")
        return ProbeResult(
            name=probe.name,
            question=probe.question,
            outcome=answer.outcome,
            evidence=answer.says,
            confirms=answer.confirms,
            rules_out=answer.rules_out,
            details=answer.details,
        )

    def _print(self, text: str) -> None:
        if self._verbose:
            sys.stdout.write(text)
            sys.stdout.flush()
