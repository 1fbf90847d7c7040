"""Every clue has a sentence, and the texts of all causes keep to one vocabulary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from keras_lrscan.causes.ranking import CAUSES

if TYPE_CHECKING:
    from keras_lrscan.causes.cause import Cause, Clue

CLUES = {
    f"{cause.name} {number}": clue
    for cause in CAUSES
    for number, clue in enumerate((*cause.when, *cause.clues, *cause.not_for, *cause.rules_out))
}
AGAINST = ("Against it: ", "Less certain, ")
BANNED = re.compile(r"guess|foretell|by heart|\bmend", re.IGNORECASE)


@pytest.mark.parametrize("name", CLUES)
def test_every_clue_has_a_sentence(name: str) -> None:
    says = CLUES[name].says
    assert says[0].isupper() or says[0] in "{`"
    assert says.endswith(".")


@pytest.mark.parametrize("name", CLUES)
def test_a_clue_against_its_cause_says_so(name: str) -> None:
    clue: Clue = CLUES[name]
    if clue.weight:
        assert clue.says.startswith(AGAINST) == (clue.weight < 0)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_texts_speak_of_the_chance_level_and_in_plain_words(cause: Cause) -> None:
    clues = (*cause.when, *cause.clues, *cause.not_for, *cause.rules_out)
    says = [re.sub(r"{\w+}", "", clue.says) for clue in clues]
    texts = [cause.title, cause.means, cause.to_check, cause.advice, cause.is_not, *says]
    assert not [text for text in texts if BANNED.search(text)]
