"""Defines the terms of the field in plain words, and explains each where a text first uses it."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["TERMS", "with_terms_explained"]

TERMS: Mapping[str, str] = MappingProxyType(
    {
        "accuracy": "the share of correct answers",
        "activation": "the last calculation that a layer applies to its numbers",
        "backbone": "the pretrained part of a model",
        "chance level": "the loss of pure guessing: the same answer for every sample",
        "epoch": "one pass through all the training data",
        "gradient": "which way, and how strongly, a weight should change",
        "learning rate": "how big a step the model takes after each batch",
        "logits": "raw scores, before they become probabilities",
        "loss": "a number that says how wrong the model is; lower is better",
        "momentum": "a part of each step that carries over into the next",
        "normalization": "bringing numbers to a similar size",
        "optimizer": "the rule that decides how the weights change",
        "overfitting": "memorizing the training data, so that the model does badly on new data",
        "pretrained": "trained earlier, often on other data",
        "regularization": "a penalty on large weights, added to the loss",
        "validation loss": "the loss on data that the model never trains on",
        "warm-up": "a slow start, with small rates that grow",
        "weight decay": "making all weights a little smaller at each step",
        "weights": "the numbers inside a model that training changes",
    }
)
"""Term → its meaning, for the parentheses after the term."""


def with_terms_explained(sentences: Iterable[str], explained: set[str]) -> tuple[str, ...]:
    """Returns the sentences with each term explained in parentheses where it first appears.

    Args:
        sentences: The sentences, in reading order.
        explained: Terms that are already explained. This function adds those that it explains.

    Example:
    >>> with_terms_explained(["Watch the loss. A low loss is good."], set())
    ('Watch the loss (a number that says how wrong the model is; lower is better). A low loss is good.',)
    """
    return tuple(_explain_terms(sentence, explained) for sentence in sentences)


def _explain_terms(sentence: str, explained: set[str]) -> str:
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
            if term not in explained:
                explained.add(term)
                found.append((match.end(), TERMS[term]))
    for end, meaning in sorted(found, reverse=True):
        already = sentence[end:].startswith(" (")
        sentence = sentence if already else f"{sentence[:end]} ({meaning}){sentence[end:]}"
    return sentence
