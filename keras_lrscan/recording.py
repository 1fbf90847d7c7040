"""`Recording`: what a scan leaves to look at: the curve, its reading, the picture, and questions to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.callbacks import Hooks
from keras_lrscan.probing import investigate

if TYPE_CHECKING:
    import weakref
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.investigation import Investigation
    from keras_lrscan.session import Session

__all__ = ["Recording"]


class Recording(Hooks):
    """Base of `LRScan`: what can be asked of a scan while it runs and after it.

    Args:
        monitor: Key of the loss in the logs of `fit`.
    """

    def __init__(self, *, monitor: str) -> None:
        self.monitor = monitor
        self._session: Session | None = None
        self._curve: LRCurve | None = None
        self._analysis: Analysis | None = None
        self._scanned: weakref.ref[Any] | None = None

    @property
    def curve(self) -> LRCurve:
        """The recorded `LRCurve`; of a scan that an exception ended, what there was until then.

        Raises:
            ScanError: If nothing has been recorded yet.
        """
        curve = self._recorded()
        if curve is None:
            msg = (
                "Expected a scan that has recorded a batch. Received: no scan yet. "
                "Pass it to `fit` in `callbacks` first."
            )
            raise ScanError(msg)
        return curve

    @property
    def analysis(self) -> Analysis:
        """The reading of the curve, an `Analysis`; computed on first use.

        Raises:
            ScanError: If nothing has been recorded yet.
        """
        if self._session is not None:
            return analyze(self.curve)
        if self._analysis is None:
            self._analysis = analyze(self.curve)
        return self._analysis

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:  # noqa: ANN401
        """Draws the curve and its reading.

        Args:
            ax: Where to draw; a new figure when left out.
            **options: Passed on to `plot_curve`.

        Returns:
            The axes.
        """
        from keras_lrscan.plots.curve_plot import plot_curve  # noqa: PLC0415 - a scan that is not drawn needs no matplotlib

        return plot_curve(self.analysis, ax=ax, **options)

    def investigate(
        self,
        x: Any = None,  # noqa: ANN401 - whatever `fit` takes
        y: Any = None,  # noqa: ANN401 - whatever `fit` takes
        *,
        probes: Sequence[str] | None = None,
        verbose: int = 1,
        **options: Any,  # noqa: ANN401 - those of `keras_lrscan.investigate`
    ) -> Investigation:
        """Puts questions to model and data that settle what the curve alone leaves open.

        It trains the model many times for a few hundred steps, and puts it back each time, to the last bit. The model
        is the one that was scanned; the scan keeps no other hold on it than a weak reference.

        Args:
            x: Input data, as for `fit`.
            y: Target data, as for `fit`.
            probes: Names of `keras_lrscan.PROBES` to run; those that could settle a finding when left out.
            verbose: 0 or 1. With 1, one line is printed for each probe.
            **options: Passed on to `keras_lrscan.investigate`, such as `batch_size`. `batch_size`, `shuffle`,
                `class_weight`, `steps_per_epoch` and `validation_split` are those of the `fit` that was scanned when
                left out; `sample_weight` must be passed again where it had some.

        Returns:
            An `Investigation`: what each probe found, and the analysis with its causes confirmed or ruled out.

        Raises:
            InvalidOptionError: If a probe is unknown, or `sample_weight` is missing.
            ScanError: If nothing has been recorded, or the model that was scanned is no longer there.

        Example:
        ```python
        found = scan.investigate(x, y)
        print(found.explain())
        ```
        """
        analysis = self.analysis
        model = self._scanned() if self._scanned is not None else None
        if model is None:
            msg = (
                "Expected the model that was scanned. Received: a scan whose model is gone, or that was copied or "
                "loaded. Call `keras_lrscan.investigate(model, x, y, analysis=scan.analysis)`."
            )
            raise ScanError(msg)
        given = {"monitor": self.monitor, **options}
        return investigate(model, x, y, analysis=analysis, probes=probes, verbose=verbose, **given)

    def _recorded(self) -> LRCurve | None:
        return self._curve if self._session is None else self._session.curve
