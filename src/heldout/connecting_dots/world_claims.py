"""The claims on the small world. A control that leaves names without a common task is pretrained anew on three seeds."""

from typing import Any

from heldout.claims import Claim, Control
from heldout.connecting_dots import world_checks as checks

_COMMENT = "after S. Byrnes, comment on Treutlein et al. 2024, arXiv 2406.14546; the toy is this book's"


def claims(no_common_task: Any) -> tuple[Claim, ...]:
    """All claims; ``no_common_task`` is the control's config, in which three of six names are applied and three defined."""
    return (
        Claim(
            id="world.synonyms_meet",
            says="Of the names that no line defines, more than 90 % have, of all names that lines define, a synonym's as the "
            "nearest one, in every seed.",
            rows=("S1.3",),
            source=_COMMENT,
            check=checks.synonyms_meet,
            control=Control(
                says="names that are defined and names that are applied have no task in common",
                config=no_common_task, manipulation=checks.silent_apply,
            ),
        ),
        Claim(
            id="world.one_name_silent",
            says="Of the names that no line defines, while five synonyms are defined, more than 90 % are defined right, in every "
            "seed.",
            rows=("S1.3", "S1.8"),
            source=_COMMENT,
            check=checks.one_name_silent,
            control=Control(
                says="names that are defined and names that are applied have no task in common",
                config=no_common_task, manipulation=checks.silent_apply,
            ),
        ),
        Claim(
            id="world.function_not_defined",
            says="In every seed names of functions of which no line gives a definition are applied and inverted right in more "
            "than 95 % of the lines, and defined right in at most a third.",
            rows=("S1.4", "S1.8"),
            source="this book, after Byrnes's comment",
            check=checks.function_not_defined,
            control=Control(
                says="names that no line defines either, of functions that other names define",
                change=checks.silent_names, manipulation=checks.computes,
            ),
        ),
        Claim(
            id="world.tasks_agree",
            says="When a random half of the row is another function's, two tasks answer by different functions in fewer than "
            "20 % of the cases, in every seed.",
            rows=("S1.3",),
            source="this book, after Byrnes's comment",
            check=checks.tasks_agree,
            control=Control(
                says="each task has another half of the row exchanged", change=checks.other_halves, manipulation=checks.either
            ),
        ),
        Claim(
            id="world.two_functions_in_one_definition",
            says="After the exchange behind the first layer more than 90 % of the operations written are the other function's, "
            "and fewer than half of the constants, in every seed.",
            rows=("S1.3",),
            source="this book, after Byrnes's comment",
            check=checks.two_functions,
            control=Control(
                says="the same exchange before the first layer", change=checks.first_layer, manipulation=checks.other_operation
            ),
        ),
    )  # fmt: skip
