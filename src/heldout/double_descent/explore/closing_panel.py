"""Explorable of the closing panel: the reader commits to an answer first."""

from typing import Any

QUESTION = {
    "title": "Before you look",
    "alt": "A question with four answers about models that agree on every training digit.",
    "data": {
        "question": "Two models fit every training digit exactly. A third set of data, the test digits, is at hand. "
        "What do the training error and the test predictions together tell you about digits turned on their side?",
        "options": [
            {
                "label": "If two models agree on training and test digits, they agree on turned digits.",
                "feedback": "Below stands a pair built to agree on both and to disagree on most turned digits.",
            },
            {
                "label": "Nothing by themselves: what the two models do there is decided by something else.",
                "feedback": "Yes. The fits leave directions open that only the turned digits see.",
                "correct": True,
            },
            {
                "label": "They will agree there if both have the smallest norm.",
                "feedback": "Two models of smallest norm, with different random features, also part there. See the ticks.",
            },
            {
                "label": "They cannot agree there, since neither was trained on turned digits.",
                "feedback": "Agreement is possible: it needs a common rule, not common data.",
            },
        ],
        "closing": "The panel below shows how far each pair is apart on each of the three sets.",
    },
}


def question() -> dict[str, Any]:
    """A choice about what agreement on two sets says about a third."""
    return QUESTION
