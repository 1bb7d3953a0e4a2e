"""The claims on the number of pairs."""

from heldout.claims import Claim, Control
from heldout.connecting_dots import how_many_pairs_checks as checks

_SOURCE = "this book, after Treutlein et al. 2024, arXiv 2406.14546"

CLAIMS = (
    Claim(
        id="how_many_pairs.two_do_not_do",
        says="After 200 updates on two pairs, which determine the function, at least 96 % of the shown pairs are right and fewer "
        "than 85 % of the new names are defined right, in at least 4 of 5 seeds.",
        rows=("S1.6",),
        source=_SOURCE,
        check=checks.two_do_not_do,
        control=Control(
            says="rows trained for as long on all pairs", change=checks.all_shown, manipulation=checks.pairs_learned,
        ),
    ),
    Claim(
        id="how_many_pairs.widest",
        says="Of several rows trained on the same two pairs, the one whose training came furthest, with the least loss under the "
        "noise of training, is defined right in more than 12 points more of the names than any one of the rows, in at least 4 "
        "of 5 seeds.",
        rows=("S1.6",),
        source=_SOURCE,
        check=checks.widest_is_right,
        expected="in part",
        expected_at_paper="reproduced",
        control=Control(
            says="the row with the least loss on the two pairs, without noise", change=checks.least_loss,
            manipulation=checks.kept_fits,
        ),
    ),
    Claim(
        id="how_many_pairs.told_is_applied",
        says="With its row trained on its definition alone, a new name is applied right in more than 70 % of its pairs, in at "
        "least 4 of 5 seeds.",
        rows=("S1.3", "S1.5"),
        source=_SOURCE,
        check=checks.told_is_applied,
        control=Control(
            says="no noise on names, in pretraining and after", change=checks.without_noise,
            manipulation=checks.definitions_learned,
        ),
    ),
    Claim(
        id="how_many_pairs.noise_helps",
        says="Without noise on names, in pretraining and after, definitions right fall by more than 20 points with five pairs "
        "shown, with the shown pairs right and old names known as before, in at least 4 of 5 seeds.",
        rows=("S1.4", "S1.6"),
        source=_SOURCE,
        expected_at_paper="in part",
        check=checks.noise_helps,
        control=Control(
            says="another change of pretraining, every function defined as another one, in the place of no noise; definitions "
            "count as this pretraining gave them",
            change=checks.other_dictionary, manipulation=checks.quiet_fits,
        ),
    ),
    Claim(
        id="how_many_pairs.as_taught",
        says="If pretraining defines every name as another function, new names trained on five pairs are defined as pretraining "
        "does for more than 70 points more of the names than are defined right, and applied right in at least 90 %, in at "
        "least 4 of 5 seeds.",
        rows=("S1.4",),
        source=_SOURCE,
        check=checks.says_what_it_was_taught,
        control=Control(
            says="the same pretraining with true definitions", change=checks.true_definitions,
            manipulation=checks.true_is_learned,
        ),
    ),
)  # fmt: skip
