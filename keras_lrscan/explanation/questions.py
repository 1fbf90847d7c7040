"""Answers the questions that people ask about such curves, depending on the facts about this one.

A question is a row of `QUESTIONS`. Its answers are tried in order, and the first whose conditions hold is given. If
none holds, the question is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_lrscan.curves.context import EPOCH
from keras_lrscan.formatting import slots_of
from keras_lrscan.reading.facts import FALLS, MANY_PASSES, NO_FALL, NO_RISE, RISES, Condition, is_true
from keras_lrscan.reading.shapes import Shape
from keras_lrscan.reading.start_state import StartState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["QUESTIONS", "Answer", "Question", "answer"]

BETTER = Condition("start_state", "==", StartState.BETTER_THAN_CHANCE)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Pairs one answer with the conditions under which it is right.

    Attributes:
        when: Conditions that must all hold.
        says: The answer, with the same slots as the sentences of a shape. An answer with an unknown slot is skipped.
    """

    when: tuple[Condition, ...] = ()
    says: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """Holds one question that people ask, with its possible answers.

    Attributes:
        asks: The question.
        when: Conditions that must all hold for the question to come up.
        answers: Possible answers, the most specific first.
        sources: URLs of threads where it was asked.
    """

    asks: str
    when: tuple[Condition, ...] = ()
    answers: tuple[Answer, ...]
    sources: tuple[str, ...] = ()


def answer(question: Question, facts: Mapping[str, Any], slots: Mapping[str, str]) -> str | None:
    """Returns the answer to one question, or `None` if the question does not apply.

    Args:
        question: A row of `QUESTIONS`.
        facts: Facts about the curve and its run, by name.
        slots: Words and numbers that fill the slots of an answer.
    """
    if not all(condition.holds(facts) for condition in question.when):
        return None
    for choice in question.answers:
        if all(condition.holds(facts) for condition in choice.when) and slots_of(choice.says) <= set(slots):
            return choice.says.format_map(slots)
    return None


QUESTIONS: tuple[Question, ...] = (
    Question(
        asks="Is it overfitting?",
        answers=(
            Answer(
                when=(MANY_PASSES,),
                says="This test cannot tell. It uses no unseen data, but the same samples came back many times, so the "
                "model may have memorized some. When you train, watch the loss on data that it does not train on.",
            ),
            Answer(
                says="No. Overfitting shows when the loss on unseen data gets worse during long training. This test is "
                "far too short for that, and it never uses unseen data."
            ),
        ),
        sources=("https://discuss.huggingface.co/t/abnormal-learn-rate-curve/3023",),
    ),
    Question(
        asks="Is the model broken?",
        answers=(
            Answer(says="There may be a problem to fix. {problem} Look at that first; the fix is often simple."),
            Answer(says="This test cannot tell, because the test itself has a problem. {test_problem}"),
            Answer(
                when=(Condition("shape", "in", (Shape.NOISY, Shape.UNCLEAR, Shape.TOO_SHORT)),),
                says="This curve alone cannot tell, because it shows no clear shape.",
            ),
            Answer(
                when=(Condition("averaging", "!=", ""),),
                says="This record cannot tell, because it holds averages, which hide part of the curve.",
            ),
            Answer(when=(NO_FALL, BETTER), says="No. It already works well, and that is why the curve does not fall."),
            Answer(says="{learns}No. The loss falls, so the model learns."),
            Answer(says="This curve alone cannot tell. Start with the list of things to try."),
        ),
        sources=("https://github.com/davidtvs/pytorch-lr-finder/issues/10",),
    ),
    Question(
        asks="Why is it not a U?",
        when=(Condition("shape", "!=", Shape.U_SHAPED),),
        answers=(
            Answer(
                when=(Condition("planned_decades", "<", 1.0),),
                says="The rates span less than a factor of ten, which shows only a piece of the curve.",
            ),
            Answer(when=(Condition("num_points", "<", 30),), says="The curve has too few points to show any shape."),
            Answer(
                when=(NO_FALL, BETTER),
                says="A curve falls only when there is something to gain. This model starts out good, so only the "
                "right half of the U is left.",
            ),
            Answer(
                when=(FALLS, NO_RISE),
                says="Its right half is missing: the test ended before any rate was large enough to break training.",
            ),
            Answer(
                when=(NO_FALL, RISES),
                says="Its left half is missing: the loss never improved before the steps became too large.",
            ),
            Answer(when=(NO_FALL, NO_RISE), says="No rate in this test made the loss clearly fall or rise."),
        ),
        sources=("https://forums.fast.ai/t/67205",),
    ),
    Question(
        asks="Which point should I choose?",
        answers=(
            Answer(
                when=(FALLS,),
                says="Not the lowest one: there, the steps are already too large for training to settle. Use "
                "{suggestion}.",
            ),
            Answer(says="One well to the left of where the loss starts to rise: {suggestion}."),
            Answer(says="No point on this curve."),
        ),
        sources=("https://forums.fast.ai/t/57127", "https://github.com/davidtvs/pytorch-lr-finder/issues/56"),
    ),
    Question(
        asks="Why is the loss lowest at the smallest rate? Should I use that one?",
        answers=(
            Answer(
                when=(NO_FALL, RISES),
                says="No. The loss is lowest there only because nothing has changed the model yet, and larger rates "
                "made it worse. At a rate that small, training would take forever.",
            ),
        ),
        sources=("https://www.taourl.com/read-3050416",),
    ),
    Question(
        asks="Why are there two dips?",
        answers=(
            Answer(
                when=(Condition("shape", "==", "several-valleys"),),
                says="Training broke at the hump between them. The second dip belongs to a model that large steps had "
                "thrown off course. Trust the first dip.",
            ),
        ),
        sources=("https://forums.fast.ai/t/8195",),
    ),
    Question(
        asks="Why is the line so bumpy?",
        answers=(
            Answer(
                when=(Condition("noise_over_fall", ">=", 0.1), Condition("averaged_over", "==", EPOCH)),
                says="Each point is the mean loss of one epoch, which still depends on the order of the batches.",
            ),
            Answer(
                when=(Condition("noise_over_fall", ">=", 0.1), is_true("from_picture")),
                says="A picture does not show how many batches a bump comes from. Bumps do not mean bad data.",
            ),
            Answer(
                when=(Condition("noise_over_fall", ">=", 0.1),),
                says="Each point is the loss of a different batch of samples, and some are harder than others. Bumps "
                "do not mean bad data.",
            ),
        ),
        sources=("https://cs231n.github.io/neural-networks-3/",),
    ),
    Question(
        asks="Does the plot show the learning rates of my training?",
        answers=(
            Answer(says="No. It is a test of many rates, one per point. For your training, you choose one of them."),
        ),
        sources=("https://forums.fast.ai/t/7357",),
    ),
)
"""All questions, in the order of the explanation."""
