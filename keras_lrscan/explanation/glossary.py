"""Terms of the field in plain words, each explained where a text first uses it."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["TERMS", "with_terms_explained"]

TERMS: Mapping[str, str] = MappingProxyType(
    {
        "accuracy": "the share of right answers",
        "activation": "the last thing a layer does to its numbers",
        "backbone": "the pretrained part of a model",
        "epoch": "one pass through all training data",
        "gradient": "the direction in which a weight should change",
        "learning rate": "how big a step the model takes after each batch",
        "logits": "raw scores, before they are turned into probabilities",
        "loss": "a number that says how wrong the model is; lower is better",
        "momentum": "a share of each step that goes on in the next one",
        "normalization": "bringing numbers to about the same size",
        "optimizer": "the rule that turns errors into changes of the weights",
        "overfitting": "learning the training data by heart, so that new data go badly",
        "pretrained": "trained before, often on other data",
        "regularization": "a penalty on large weights that is added to the loss",
        "validation loss": "the loss on data kept aside, which the model never trains on",
        "warm-up": "a slow start, with small rates that grow",
        "weight decay": "making all weights a little smaller at each step",
        "weights": "the numbers inside a model that training changes",
    }
)
"""Term → what it means, to be put in brackets after the term."""


def with_terms_explained(sentences: Iterable[str], told: set[str]) -> tuple[str, ...]:
    """Returns the sentences with each term explained in brackets where it first appears.

    Args:
        sentences: What is said, in the order of reading.
        told: Terms that need no more explanation; those explained here are added.

    Example:
    >>> with_terms_explained(["Watch the loss. A low loss is good."], set())
    ('Watch the loss (a number that says how wrong the model is; lower is better). A low loss is good.',)
    """
    return tuple(_explained(sentence, told) for sentence in sentences)


def _explained(sentence: str, told: set[str]) -> str:
    spans = [(match.start(), match.end()) for match in re.finditer(r"`[^`]*`|\([^)]*\)|https?://\S+", sentence)]
    found = []
    for term in sorted(TERMS, key=len, reverse=True):
        match = next(
            (
                match
                for match in re.finditer(rf"(?<![\w`-]){re.escape(term)}s?(?![\w-])", sentence, re.IGNORECASE)
                if not any(start < match.end() and match.start() < end for start, end in spans)
            ),
            None,
        )
        if match is not None:
            spans.append(match.span())
            if term not in told:
                told.add(term)
                found.append((match.end(), TERMS[term]))
    for end, meaning in sorted(found, reverse=True):
        already = sentence[end:].startswith(" (")
        sentence = sentence if already else f"{sentence[:end]} ({meaning}){sentence[end:]}"
    return sentence
