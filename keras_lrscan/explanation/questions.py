"""What people ask of such curves, with answers that depend on what was found: facts → question and answer.

A question is a row of `QUESTIONS`. Its answers are tried in order, and the first whose conditions hold is given; where
none holds, the question does not come up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_lrscan.formatting import slots_of
from keras_lrscan.reading.facts import FALLS, NO_FALL, NO_RISE, RISES, Condition
from keras_lrscan.reading.features import StartState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["QUESTIONS", "Answer", "Question", "answer"]

BETTER = Condition("start_state", "==", StartState.BETTER_THAN_CHANCE)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer, and when it is the right one.

    Attributes:
        when: All of these hold.
        says: The answer, with slots as in the sentences of a shape. An answer whose slot is unknown is passed over.
    """

    when: tuple[Condition, ...] = ()
    says: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question that people ask.

    Attributes:
        asks: The question.
        answers: What can be answered, the most special first.
        sources: Addresses of where it was asked.
    """

    asks: str
    answers: tuple[Answer, ...]
    sources: tuple[str, ...] = ()


def answer(question: Question, facts: Mapping[str, Any], slots: Mapping[str, str]) -> str | None:
    """Returns the answer to one question, or `None` where the question does not come up.

    Args:
        question: A row of `QUESTIONS`.
        facts: Features and context of the curve, by name.
        slots: Words and numbers to fill in.
    """
    for choice in question.answers:
        if all(condition.holds(facts) for condition in choice.when) and slots_of(choice.says) <= set(slots):
            return choice.says.format_map(slots)
    return None


QUESTIONS: tuple[Question, ...] = (
    Question(
        asks="Is it overfitting?",
        answers=(
            Answer(
                says="No. Overfitting shows when the loss on data kept aside gets worse while training goes on for "
                "epochs. This test lasts some hundred batches and never looks at such data."
            ),
        ),
        sources=("https://discuss.huggingface.co/t/abnormal-learn-rate-curve/3023",),
    ),
    Question(
        asks="Is the model broken?",
        answers=(
            Answer(says="There may be something to mend. {mend} Look at that first; often it is simple."),
            Answer(when=(NO_FALL, BETTER), says="No. It works well already, and that is why the curve does not fall."),
            Answer(when=(FALLS,), says="No. The loss falls, so the model learns."),
            Answer(says="This test does not tell, since it needs mending itself. {mend_test}"),
            Answer(says="This curve alone does not tell. See what to try first."),
        ),
        sources=("https://github.com/davidtvs/pytorch-lr-finder/issues/10",),
    ),
    Question(
        asks="Why is it not a U?",
        answers=(
            Answer(when=(Condition("num_points", "<", 30),), says="There are too few points to see any shape."),
            Answer(
                when=(NO_FALL, BETTER),
                says="A curve goes down only where there is something to gain. This model starts out good, so only the "
                "right half of the U is left.",
            ),
            Answer(
                when=(FALLS, NO_RISE),
                says="Its right half is missing: the test ended before any rate was large enough to break training.",
            ),
            Answer(
                when=(NO_FALL, RISES),
                says="Its left half is missing: the loss never got better before the steps became too large.",
            ),
            Answer(when=(NO_FALL, NO_RISE), says="Nothing in this test changed the loss, neither down nor up."),
        ),
        sources=("https://forums.fast.ai/t/67205",),
    ),
    Question(
        asks="Which point do I take?",
        answers=(
            Answer(
                when=(FALLS,),
                says="Not the lowest one: there the steps are already too large to settle. Take {suggestion}.",
            ),
            Answer(says="One well left of where the loss begins to rise: {suggestion}."),
            Answer(says="No point of this curve."),
        ),
        sources=("https://forums.fast.ai/t/57127", "https://github.com/davidtvs/pytorch-lr-finder/issues/56"),
    ),
    Question(
        asks="Why is the loss lowest at the smallest rate? Should I take that one?",
        answers=(
            Answer(
                when=(NO_FALL, RISES),
                says="No. The loss is low there since nothing has changed the model yet. A rate that small would "
                "train for ever.",
            ),
        ),
        sources=("https://www.taourl.com/read-3050416",),
    ),
    Question(
        asks="Why are there two dips?",
        answers=(
            Answer(
                when=(Condition("shape", "==", "several-valleys"),),
                says="At the first hill training broke. What came after is a model that was thrown somewhere else. "
                "Trust the first dip.",
            ),
        ),
        sources=("https://forums.fast.ai/t/8195",),
    ),
    Question(
        asks="Why is the line so bumpy?",
        answers=(
            Answer(
                when=(Condition("noise_over_fall", ">=", 0.1),),
                says="Each point is one batch, and some batches are harder than others. Bumps do not mean bad data.",
            ),
        ),
        sources=("https://cs231n.github.io/neural-networks-3/",),
    ),
    Question(
        asks="Does the plot show the rates of my training?",
        answers=(Answer(says="No. It is a test of many rates, one a batch. In your training you choose one of them."),),
        sources=("https://forums.fast.ai/t/7357",),
    ),
)
"""Every question, in the order of asking."""
