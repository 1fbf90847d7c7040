"""Fills generated parts into handwritten pages, in the place of `<!-- side by side -->` and `<!-- terms -->`."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from exhibits import DOCS
from keras_lrscan import ScanContext, analyze, describe_plot
from keras_lrscan.curves.importers import from_csv
from keras_lrscan.explanation.glossary import TERMS
from pages.markdown import capitalized, example, told
from pages.pictures import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keras_lrscan import Analysis

__all__ = ["INSERTS", "KTRAIN_PICTURE", "ktrain_record", "with_inserts"]

KTRAIN_PICTURE = "ktrain-record"
KTRAIN_FILE = DOCS.parent / "tests" / "data" / "ktrain_runs" / "reuters_pretrained_maxep1.csv"
OWN_SCAN = "headlines-new-head"


@cache
def ktrain_record() -> Analysis:
    """Returns the analysis of the record that ktrain stored, given only its chance level."""
    return analyze(from_csv(KTRAIN_FILE, loss_column="ktrain_loss", context=ScanContext(chance_loss=0.693)))


def side_by_side() -> str:
    """Returns ktrain's record and our scan of the same model, each with its picture and its explanation."""
    pair = (("ktrain's record", KTRAIN_PICTURE, ktrain_record()), ("Our scan", OWN_SCAN, reading(example(OWN_SCAN))))
    columns = "\n\n".join(
        f"::::{{grid-item-card}} {name}\n:img-top: pictures/{picture}.svg\n:img-alt: {describe_plot(analysis)}\n\n"
        f"{told(analysis, root='', level='beginner')}\n::::"
        for name, picture, analysis in pair
    )
    return f":::::{{grid}} 1 1 2 2\n:gutter: 3\n\n{columns}\n:::::"


def terms() -> str:
    """Returns the terms that an explanation puts in brackets."""
    rows = "\n\n".join(f"{term}\n: {capitalized(meaning)}." for term, meaning in TERMS.items())
    return f"## The field\n\nAn explanation gives these meanings in brackets where it first uses the term.\n\n{rows}"


INSERTS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {"<!-- side by side -->": side_by_side, "<!-- terms -->": terms}
)
"""Mark → the function that returns its replacement."""


def with_inserts(text: str) -> str:
    """Returns a page with every mark replaced."""
    for mark, made in INSERTS.items():
        if mark in text:
            text = text.replace(mark, made())
    return text
