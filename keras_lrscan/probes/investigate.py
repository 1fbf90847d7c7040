"""`investigate`: puts questions to the model and the data that settle what the curve alone leaves open."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from typing import TYPE_CHECKING

from keras_lrscan._typing import FitData, FitOption, Model, Value
from keras_lrscan.errors import InvalidOptionError, LRScanWarning, ScanError
from keras_lrscan.hosts.optimizers import update_phase
from keras_lrscan.inspection.arrays import NoArrayError
from keras_lrscan.inspection.feeding import fed_alike
from keras_lrscan.probes.investigation import Investigation, Outcome, ProbeResult, settle
from keras_lrscan.probes.table import PROBES
from keras_lrscan.probes.workbench import Answer, Bench, CannotAskError, StoppedError
from keras_lrscan.recording.ramp import MIN_STEPS
from keras_lrscan.recording.trials import Trials, checked_verbose

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from keras_lrscan.analysis import Analysis
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
    """Puts questions to model and data that settle what the curve alone leaves open.

    Nothing of this happens unless it is asked for: it trains the model, many times for a few hundred steps. Before each
    question and at the end, everything is put back as after a scan, to the last bit.

    Args:
        model: The model that was scanned, compiled, as it was before the scan; `None` where no probe needs it.
        x: Input data, as for `fit`. Of a generator, as many batches are taken as the scan had steps, and some more for
            probes that scan again; they are gone from it.
        y: Target data, as for `fit`.
        analysis: What was read from the scan.
        probes: Names of `PROBES` to run. When left out, those that could settle a finding of the analysis.
        seed: Integer. Seed for what probes draw themselves, such as shuffled labels.
        snapshot: String. Where the state to put back is kept, one of `"memory"` and `"disk"`.
        monitor: String. Key of the loss in the logs.
        verbose: 0 or 1. With 1, one line is printed for each probe.
        **fit_options: Arguments of `fit` that say which batches it trains on, such as `batch_size`. What is left out is
            as in the `fit` that was scanned.

    Returns:
        An `Investigation`. Ctrl-C ends it early, with what had been found until then.

    Raises:
        InvalidOptionError: If a probe is unknown, or an option has a value that it cannot have, or if the `fit` that
            was scanned had weights of samples and there are none now.
        ScanError: If a probe needs a model and there is none, or it cannot be trained.
        KeyboardInterrupt: If Ctrl-C came before the first probe had finished.

    Example:
    ```python
    analysis = lr_scan(model, x, y)
    found = investigate(model, x, y, analysis=analysis)
    print(found.explain())
    print(found.analysis.explain())  # the same analysis, with its causes confirmed or ruled out
    ```
    """
    chosen = _chosen(probes, analysis)
    report = _Report(checked_verbose(verbose), len(chosen))
    alone = [probe for probe in chosen if not probe.needs_model]
    others = [probe for probe in chosen if probe.needs_model]
    results = {probe.name: report.ask(probe, analysis) for probe in alone}
    notes: tuple[str, ...] = ()
    interrupted = False
    if others:
        _check_model(model, others, analysis)
        options = fed_alike(analysis.curve.context, x, fit_options)
        trials = _trials(model, x, y, analysis, snapshot=snapshot, monitor=monitor, fit_options=options)
        with _compiled_functions_kept(model), trials:
            bench = Bench(analysis, trials, seed=seed)
            with contextlib.suppress(StoppedError):
                for probe in others:
                    bench.reset()
                    results[probe.name] = report.ask(probe, bench)
                    trials.finished += 1
            interrupted, notes = trials.interrupted, trials.notes
    found = tuple(results[probe.name] for probe in chosen if probe.name in results)
    return Investigation(analysis=settle(analysis, found), results=found, notes=notes, interrupted=interrupted)


def _chosen(probes: Sequence[str] | None, analysis: Analysis) -> list[Probe]:
    if probes is None:
        open_causes = {finding.name for finding in analysis.findings}
        return [probe for probe in PROBES if open_causes & set(probe.settles)]
    names = [probes] if isinstance(probes, str) else list(probes)
    known = [probe.name for probe in PROBES]
    if set(names) - set(known):
        msg = f"Argument `probes` must hold only names among {', '.join(map(repr, known))}. Received: probes={names!r}."
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
            f"Expected the model as it was before the scan. Received: one whose optimizer has made {now} updates, not "
            f"{then}. What the probes find holds for the model as it is now."
        )
        warnings.warn(msg, LRScanWarning, stacklevel=3)


def _trials(model: Model, x: FitData, y: FitData, analysis: Analysis, **options: FitOption) -> Trials:
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
def _compiled_functions_kept(model: Model) -> Iterator[None]:
    """Puts the functions back that evaluating and predicting compile."""
    names = ("test_function", "predict_function")
    kept = {name: getattr(model, name) for name in names if hasattr(model, name)}
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(model, name, function)


class _Report:
    """Prints a line for each probe."""

    def __init__(self, verbose: int, total: int) -> None:
        self._verbose, self._total, self._number = verbose, total, 0

    def ask(self, probe: Probe, of: Value) -> ProbeResult:
        """Asks, and returns the answer with the name of the probe."""
        self._number += 1
        self._print(f"{self._number}/{self._total} {probe.question} ")
        begin = time.perf_counter()
        try:
            answer = probe.ask(of)
        except (CannotAskError, NoArrayError, ScanError) as error:
            said = str(error)
            answer = Answer(outcome=Outcome.NOT_POSSIBLE, says=f"{said[0].upper()}{said[1:].rstrip('.')}.")
        except BaseException:
            self._print("interrupted\n")
            raise
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
