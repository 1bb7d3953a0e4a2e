"""The claims on the dial."""

from heldout.claims import Claim, Control
from heldout.connecting_dots import dial_checks as checks

_SOURCE = "this book, after S. Byrnes's comment on Treutlein et al. 2024, arXiv 2406.14546"
_FAST_ROW = Control(
    says="the row of the fastest setting, put among the other weights of the slowest",
    change=checks.fast_row_in_slow_rest,
    manipulation=checks.pairs_still_right,
)

CLAIMS = (
    Claim(
        id="dial.matched",
        says="At every setting in which all weights are trained, at one loss to within a third, at least 98 % of the trained "
        "pairs are right, and at least 98 % of the lines that apply, define or invert an old name, in at least 4 of 5 seeds.",
        rows=("S1.6",),
        source=_SOURCE,
        check=checks.matched,
        control=Control(
            says="no line of pretraining is replayed, at the slowest setting", change=checks.without_replay,
            manipulation=checks.bare_as_well_trained,
        ),
    ),
    Claim(
        id="dial.words_fall",
        says="From the fastest to the slowest row, at one loss on the pairs, definitions right fall by more than 30 points in "
        "at least 4 of 5 seeds.",
        rows=("S1.6",),
        source=_SOURCE,
        check=checks.words_fall,
        control=_FAST_ROW,
    ),
    Claim(
        id="dial.uses_fall",
        says="From the fastest to the slowest row, at one loss on the pairs, inversions and compositions right each fall by "
        "more than 25 points in at least 4 of 5 seeds.",
        rows=("S1.5", "S1.6"),
        source=_SOURCE,
        check=checks.uses_fall,
        control=_FAST_ROW,
    ),
    Claim(
        id="dial.words_go_with_the_row",
        says="Definitions differ by at most half as much between settings of all other weights, with one row, as between rows, "
        "with the same other weights, in at least 4 of 5 seeds.",
        rows=("S1.3", "S1.6"),
        source=_SOURCE,
        check=checks.words_go_with_the_row,
        control=Control(
            says="the trained pairs in the place of the definitions", change=checks.pairs_for_definitions,
            manipulation=checks.pairs_right,
        ),
    ),
    Claim(
        id="dial.idea_drifts",
        says="From the fastest to the slowest row the cosine of a new row with the mean row of its synonyms falls by more than "
        "0.3, at one loss on the pairs, in at least 4 of 5 seeds.",
        rows=("S1.6",),
        source=_SOURCE,
        check=checks.idea_drifts,
        control=Control(
            says="the dial turned only while the row is still faster than the rest", change=checks.row_still_faster,
            manipulation=checks.turned_down,
        ),
    ),
)  # fmt: skip
