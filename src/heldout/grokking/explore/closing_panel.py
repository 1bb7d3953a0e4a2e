"""Explorable of the closing panel: the reader commits to an answer first."""

from typing import Any


def question() -> dict[str, Any]:
    """A choice about where two networks that know the whole table can differ."""
    return {
        "title": "Before you look",
        "alt": "A question with four answers about two networks that both add correctly.",
        "data": {
            "question": "A network of squares and a transformer have both grokked addition. They give the right answer, and "
            "nearly the same probabilities, to every pair of numbers, trained on or not. Now the first number is half a 3 and "
            "half an 8. What do they say?",
            "options": [
                {
                    "label": "The same: both compute a + b, and there is only one such function.",
                    "feedback": "There is one on pairs of numbers. Half a number is not in the table, which says nothing of it.",
                },
                {
                    "label": "Both say half one sum and half the other, since both read the mean of two inputs.",
                    "feedback": "Both read the mean. What they make of it depends on what lies between input and answer.",
                },
                {
                    "label": "Different things: how each of them adds decides it, and no loss has seen how.",
                    "feedback": "Yes. Look at the bars for elsewhere, and at the tick for two draws of one recipe.",
                    "correct": True,
                },
                {
                    "label": "Nothing sensible, so the question has no meaning.",
                    "feedback": "No answer is right. But both networks give one, and whether they agree can be measured.",
                },
            ],
            "closing": "The panel below shows how far each pair is apart on each of the three sets.",
        },
    }
