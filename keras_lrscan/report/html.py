"""Renders an analysis as one self-contained HTML document, from the templates of this package."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
import math
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keras_lrscan.curves.context import CONTEXT_MEASURES
from keras_lrscan.errors import MissingDependencyError
from keras_lrscan.explanation.answer import STOPS, title
from keras_lrscan.explanation.explain import sections
from keras_lrscan.explanation.formulas import formulas
from keras_lrscan.explanation.levels import FULL
from keras_lrscan.files.read_write import check_output, write_file
from keras_lrscan.formatting import format_loss, format_lr
from keras_lrscan.plots.palette import DARK_PAGE, LIGHT_PAGE
from keras_lrscan.reading.shapes import NO_CONFIDENCE
from keras_lrscan.reading.smoothing import SMOOTHERS
from keras_lrscan.report.svg import NARROW, WIDE, svg
from keras_lrscan.suggestions.suggest import SUGGESTION_METHODS, Role, format_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from os import PathLike
    from pathlib import Path

    from jinja2 import Environment
    from markupsafe import Markup

    from keras_lrscan.pure_analysis import PureAnalysis
    from keras_lrscan.suggestions.suggest import Suggestion

__all__ = ["notebook_html", "render_page", "report_html", "write_report"]

CLOSING = ("About this record", "Learn more")
"""Headings of the sections below the tables, at the end of the page."""

MAX_POINTS = 20_000
"""Maximum number of batches of a recording that the report contains."""

UNMEASURED: Mapping[str, str] = MappingProxyType(
    {
        "framework": "recorded with",
        "optimizer_path": "scanned optimizer",
        "chance_source": "source of the chance level",
        "metric_names": "metrics",
    }
)
"""Fields of the context that no rule tests → their names in the report."""

SCAN_AGAIN = """\
from keras_lrscan import LRScan

scan = LRScan({settings})
model.fit(x, y, {arguments}callbacks=[scan])
scan.analysis.report("scan.html")"""

ANALYZE_AGAIN = """\
from keras_lrscan import LRCurve, analyze

curve = LRCurve.from_json("curve.json")
analyze(curve{how}).report("scan.html")"""

CODE_OR_LINK = re.compile(r"`([^`]+)`|(https?://[^\s<>\"']+[^\s<>\"'.,;:)])")


def report_html(analysis: PureAnalysis) -> str:
    """Returns the report as one HTML document without external resources.

    Args:
        analysis: The analysis to report.

    Raises:
        MissingDependencyError: If jinja2 or matplotlib is not installed.

    Example:
    >>> from keras_lrscan import analyze
    >>> from keras_lrscan.datasets.synthetic import synthetic_curve
    >>> report_html(analyze(synthetic_curve("u-shaped"))).splitlines()[0]
    '<!DOCTYPE html>'
    """
    return _render("report.html.j2", analysis, {"wide": WIDE, "narrow": NARROW})


def notebook_html(analysis: PureAnalysis) -> str:
    """Returns the report in a compact form for the output of a notebook cell.

    Args:
        analysis: The analysis to report.

    Raises:
        MissingDependencyError: If jinja2 or matplotlib is not installed.
    """
    return _render("notebook.html.j2", analysis, {"wide": WIDE})


def render_page(package: str, template: str, analysis: PureAnalysis | None, **slots: object) -> str:
    """Returns a page of another package, whose template may extend `report.html.j2` and use its style sheet.

    Args:
        package: The package, with a folder `templates`.
        template: The name of the template.
        analysis: The analysis to report; `None` for a page without one.
        slots: Further variables of the template; `report` is the whole report in base64, for a link to download it.

    Raises:
        MissingDependencyError: If jinja2 or matplotlib is not installed.
    """
    if analysis is not None:
        sizes = {"wide": WIDE, "narrow": NARROW}
        pictures = _pictures(analysis, sizes)  # half of the time of a report
        report = _render("report.html.j2", analysis, sizes, pictures=pictures)
        data = base64.b64encode(report.encode("utf-8", "xmlcharrefreplace")).decode()
        return _render(template, analysis, sizes, package=package, pictures=pictures, report=data, **slots)
    environment, _ = _environment(package)
    return environment.get_template(template).render(light_page=LIGHT_PAGE, dark_page=DARK_PAGE, **slots)


def write_report(
    analysis: PureAnalysis, path: str | PathLike[str], *, inputs: Iterable[str | PathLike[str]] = ()
) -> Path:
    """Writes the report to a file; if that fails, an existing file stays unchanged.

    Args:
        analysis: The analysis to report.
        path: Path of the file, usually with the extension `.html`. An existing file is replaced.
        inputs: Files that must not be overwritten because they contain the curve.

    Returns:
        The path.

    Raises:
        InvalidOptionError: If `path` cannot be an ordinary file, or if it is one of `inputs`.
        MissingDependencyError: If jinja2 or matplotlib is not installed.
        OSError: If the file cannot be written.
    """
    check_output(path, inputs=inputs)
    text = report_html(analysis)
    return write_file(path, text.encode("utf-8", "xmlcharrefreplace"), inputs=inputs)


def _render(
    template: str,
    analysis: PureAnalysis,
    sizes: Mapping[str, tuple[float, float]],
    *,
    package: str | None = None,
    pictures: Mapping[str, str] | None = None,
    **slots: object,
) -> str:
    environment, markup = _environment(package)
    every_section = sections(analysis, level=FULL)
    drawn = _pictures(analysis, sizes) if pictures is None else pictures
    return environment.get_template(template).render(
        analysis=analysis,
        headline=title(analysis),
        pictures={which: markup(text) for which, text in drawn.items()},
        sections=[section for section in every_section if section.heading not in CLOSING],
        closing=[section for section in every_section if section.heading in CLOSING],
        suggestions=list(_suggestions(analysis)),
        at_most=analysis.holds_averages,
        has_confidence=analysis.verdict.shape not in NO_CONFIDENCE,
        record=list(_record(analysis)),
        context=list(_context(analysis)),
        snippets=list(_snippets(analysis)),
        download=_download(analysis),
        formulas=formulas(analysis),
        light_page=LIGHT_PAGE,
        dark_page=DARK_PAGE,
        **slots,
    )


def _pictures(analysis: PureAnalysis, sizes: Mapping[str, tuple[float, float]]) -> dict[str, str]:
    """Returns the plot as SVG for each name and size."""
    _environment()  # which tells what is not installed
    name = hashlib.sha256(json.dumps(analysis.curve.to_dict()).encode()).hexdigest()[:8]
    return {which: svg(analysis, size=size, prefix=f"lrscan-{name}-{which}") for which, size in sizes.items()}


def _environment(package: str | None = None) -> tuple[Environment, Callable[[str], Markup]]:
    try:
        import jinja2
        import matplotlib as mpl
    except ImportError as error:
        msg = f"Expected jinja2 and matplotlib for a report. Received: {error}. Run `pip install jinja2 matplotlib`."
        raise MissingDependencyError(msg) from error
    del jinja2, mpl
    return _templates(package)


@functools.cache
def _templates(package: str | None) -> tuple[Environment, Callable[[str], Markup]]:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape

    def rich(text: str) -> Markup:
        """Converts `code` and URLs to elements, and escapes everything else."""
        parts, end = [], 0
        for match in CODE_OR_LINK.finditer(text):
            code, link = (escape(part) if part else "" for part in match.groups())
            parts.append(escape(text[end : match.start()]))
            element = f"<code>{code}</code>" if code else f'<a href="{link}" rel="noopener noreferrer">{link}</a>'
            parts.append(Markup(element))  # noqa: S704 - both are escaped above
            end = match.end()
        return Markup("").join([*parts, escape(text[end:])])

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(one) for one in ("keras_lrscan.report", package) if one is not None]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["rich"] = rich
    environment.filters["words"] = lambda text: str(text).replace("-", " ")
    return environment, Markup


def _suggestions(analysis: PureAnalysis) -> Iterator[dict[str, Any]]:
    """Yields one row per method with its suggestion for each role."""
    for method in dict.fromkeys(item.method for item in analysis.suggestions):
        by_role = {item.role: item for item in analysis.suggestions if item.method == method}
        rule = SUGGESTION_METHODS.get(method)
        reason = by_role[Role.CONSTANT].reason
        yield {
            "method": method,
            "constant": _rate(by_role[Role.CONSTANT], at_most=analysis.holds_averages),
            "one_cycle": _rate(by_role[Role.ONE_CYCLE], at_most=analysis.holds_averages),
            "says": reason if method == "default" or rule is None else rule.says,
        }


def _rate(item: Suggestion, *, at_most: bool) -> dict[str, str]:
    reach = format_range(item)
    if item.lr is None or reach is None:
        return {"lr": "none", "range": ""}
    if at_most:
        return {"lr": f"no more than {format_lr(item.lr)}", "range": ""}
    return {"lr": format_lr(item.lr), "range": reach}


def _record(analysis: PureAnalysis) -> Iterator[tuple[str, str]]:
    curve = analysis.curve
    yield "recorded batches", f"{len(curve):,d}"
    if len(curve) > 1:
        yield "first and last learning rate", f"{format_lr(curve.lr[0])} to {format_lr(curve.lr[-1])}"
    else:
        yield "learning rate", format_lr(curve.lr[0])
    if curve.stop in STOPS:
        yield "reason for the end", STOPS[curve.stop]
    yield "analyzed by", f"keras_lrscan {analysis.version}"


def _context(analysis: PureAnalysis) -> Iterator[tuple[str, str]]:
    """Yields the known facts about model, data and run, each with its name in words."""
    context = analysis.curve.context
    for item in dataclasses.fields(context):
        value: Any = getattr(context, item.name)
        if value is None:
            continue
        if item.name in CONTEXT_MEASURES:
            yield (
                CONTEXT_MEASURES[item.name].words,
                YES_NO[value] if isinstance(value, bool) else (CONTEXT_MEASURES[item.name].show(value)),
            )
        elif item.name in UNMEASURED and value:
            yield UNMEASURED[item.name], value if isinstance(value, str) else ", ".join(value)
    for name, number in context.start_metrics.items():
        yield f"{name} on the first batch", f"{number:.3g}"
    for output in context.outputs:
        losses = {"chance level": output.chance_loss, "loss over the first batches": output.start_loss}
        for words, loss in losses.items():
            if loss is not None:
                yield f"{words} of output {output.name}", format_loss(loss)


YES_NO = MappingProxyType({True: "yes", False: "no"})


def _snippets(analysis: PureAnalysis) -> Iterator[tuple[str, str]]:
    """Yields each code snippet with its purpose."""
    context, method = analysis.curve.context, analysis.smoothed.method
    how = "" if method not in SMOOTHERS[1:] else f', smoother="{method}"'
    planned: dict[str, Any] = {"start_lr": context.start_lr, "end_lr": context.end_lr, "num_steps": context.num_steps}
    planned |= {"ramp": context.ramp} if context.ramp == "linear" else {}
    settings = ", ".join(f"{name}={json.dumps(value)}" for name, value in planned.items() if value is not None)
    fit = [] if context.batch_size is None else [f"batch_size={context.batch_size}"]
    if context.num_steps and context.updates_per_epoch:
        fit.append(f"epochs={math.ceil(context.num_steps / context.updates_per_epoch)}")
    if settings:
        arguments = "".join(f"{part}, " for part in fit)
        code = SCAN_AGAIN.format(settings=settings, arguments=arguments)
        yield "Scan the same model on the same data again:", code
    yield "Analyze this recording again:", ANALYZE_AGAIN.format(how=how)


def _download(analysis: PureAnalysis) -> str | None:
    """Returns the recording as a data URL, or `None` if it is too long."""
    if len(analysis.curve) > MAX_POINTS:
        return None
    data = json.dumps(analysis.curve.to_dict(), allow_nan=False).encode()
    return f"data:application/json;base64,{base64.b64encode(data).decode()}"
