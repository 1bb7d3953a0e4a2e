"""The claims on the dial."""

from heldout.claims import Claim, Control
from heldout.connecting_dots import dial_checks as checks

_SOURCE = "this book, after S. Byrnes's comment on Treutlein et al. 2024, arXiv 2406.14546"
_BOTH_SLOW = Control(
    says="all other weights slowed down as much as the row", change=checks.both_slow, manipulation=checks.as_long_and_as_well
)  # fmt: skip
_MATCHED = (
    "at one loss on the pairs, without noise or with it, from rows that begin half a standard deviation off the mean,"
)

CLAIMS = (
    Claim(
        id="dial.matched",
        says="At every setting of the dial, where either loss is at its level to within a third, at least 98 % of the trained "
        "pairs are right, and at least 98 % of the lines that apply, define or invert an old name, in at least 4 of 5 seeds.",
        rows=("S1.6",),
        source=_SOURCE,
        expected="in part",
        check=checks.matched,
        control=Control(
            says="no line of pretraining is replayed, at the slowest setting", change=checks.without_replay,
            manipulation=checks.bare_as_well_trained,
        ),
    ),
    Claim(
        id="dial.words_fall",
        says=f"From the fastest to the slowest row, {_MATCHED} definitions right fall by more than {100 * checks.WORDS:.0f} "
        "points in at least 4 of 5 seeds.",
        rows=("S1.6",),
        source=_SOURCE,
        check=checks.words_fall,
        control=_BOTH_SLOW,
    ),
    Claim(
        id="dial.uses_fall",
        says=f"From the fastest to the slowest row, {_MATCHED} inversions and compositions right each fall by more than "
        f"{100 * checks.USES:.0f} points in at least 4 of 5 seeds.",
        rows=("S1.5", "S1.6"),
        source=_SOURCE,
        check=checks.uses_fall,
        control=Control(
            says="the row of the fastest setting, put among the other weights of the slowest, at a higher loss",
            change=checks.fast_row_in_slow_rest, manipulation=checks.pairs_still_right,
        ),
    ),
    Claim(
        id="dial.words_go_with_the_row",
        says="Where replay keeps old names known, definitions differ by at most half as much between settings of all other "
        "weights, with one row, as between rows, with the same other weights, in at least 4 of 5 seeds.",
        rows=("S1.3", "S1.6"),
        source=_SOURCE,
        check=checks.words_go_with_the_row,
        control=Control(
            says="other weights trained without replay in the place of the slowest setting's", change=checks.rest_without_replay,
            manipulation=checks.bare_as_well_trained,
        ),
    ),
    Claim(
        id="dial.idea_drifts",
        says=f"From the fastest to the slowest row, {_MATCHED} the cosine of a new row with the mean row of its synonyms falls "
        "by more than 0.3 in at least 4 of 5 seeds.",
        rows=("S1.6",),
        source=_SOURCE,
        check=checks.idea_drifts,
        control=_BOTH_SLOW,
    ),
    Claim(
        id="dial.start_matters",
        says="With rows that begin at two fifths of that distance from the mean, definitions fall by at least "
        f"{100 * checks.STARTS:.0f} points less, at one loss without noise, in all of 3 seeds (4 of 5 in a larger run).",
        rows=("S1.6",),
        source=_SOURCE,
        expected_at_paper="not reproduced",
        check=checks.start_matters,
        control=Control(
            says="the same near rows, trained on pairs without noise", change=checks.near_without_noise,
            manipulation=checks.quiet_as_well_trained,
        ),
    ),
)  # fmt: skip
