"""Defines the terms of the field in plain words, and explains each where a text first uses it."""

from __future__ import annotations

import functools
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
        "epoch": "an epoch is one pass through all the training data",
        "gradient": "which way, and how strongly, a weight should change",
        "learning rate": "how big a step the model takes at each update",
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

PATTERNS = {
    term: re.compile(rf"(?<![\w`-]){re.escape(term)}s?(?![\w'-])", re.IGNORECASE)
    for term in sorted(TERMS, key=len, reverse=True)
}
"""Term → the pattern of its mentions, the longest terms first, because some contain others."""

NO_TERMS = re.compile(r"`[^`]*`|\([^)]*\)|https?://\S+")
"""Parts of a sentence in which no term is explained."""


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
    new = [(end, term) for term, end in _mentions(sentence) if term not in explained]
    explained.update(term for _, term in new)
    for end, term in sorted(new, reverse=True):
        already = sentence[end:].startswith(" (")
        sentence = sentence if already else f"{sentence[:end]} ({TERMS[term]}){sentence[end:]}"
    return sentence


@functools.lru_cache(maxsize=4096)
def _mentions(sentence: str) -> tuple[tuple[str, int], ...]:
    """Returns each term in the sentence, outside of code, links and parentheses, with the end of its first mention."""
    spans = [match.span() for match in NO_TERMS.finditer(sentence)]
    found = []
    for term, pattern in PATTERNS.items():
        match = next(
            (
                match
                for match in pattern.finditer(sentence)
                if not any(start < match.end() and match.start() < end for start, end in spans)
            ),
            None,
        )
        if match is not None:
            spans.append(match.span())
            found.append((term, match.end()))
    return tuple(found)
