"""The claims on clock and pizza; their bounds were fixed on seeds 0 to 4."""

from heldout.claims import Claim, Control
from heldout.grokking import clock_and_pizza_checks as checks

CLAIMS = (
    Claim(
        id="clock_and_pizza.two_ways",
        says="Brought to one training loss, a network with even attention and one with trained attention from the same start and "
        "of the same loudness, which both add, differ in gradient symmetricity by more than 0.3 in at least 4 of 5 seeds.",
        rows=("S3.6",),
        source="Zhong et al. 2023, arXiv 2306.17844, Definitions 4.1 and 4.2; at one loss and loudness by this book",
        check=checks.two_ways,
        control=Control(
            says="even attention twice as loud in the place of trained attention",
            change=checks.loud_for_trained,
            manipulation=checks.loudness_felt,
        ),
    ),
    Claim(
        id="clock_and_pizza.by_degrees",
        says="From even to half even and from half even to trained attention, symmetricity falls by more than 0.02 each time, in "
        "at least 4 of 5 seeds in which all three add.",
        rows=("S3.6",),
        source="Zhong et al. 2023, arXiv 2306.17844, for rates between; the bound is ours",
        check=checks.by_degrees,
        control=Control(
            says="the same networks before training",
            change=checks.before_training,
            manipulation=checks.fitted,
        ),
    ),
    Claim(
        id="clock_and_pizza.on_the_rulers",
        says="At least four in five networks have a distance irrelevance within 0.1 of that of the written-down network with the "
        "same gradient symmetricity.",
        rows=("S3.6",),
        source="this book",
        check=checks.on_the_rulers,
        control=Control(
            says="networks with even and with trained attention exchange their irrelevance",
            change=checks.exchanged,
            manipulation=checks.fitted,
        ),
    ),
    Claim(
        id="clock_and_pizza.waves_are_added",
        says="With trained attention, too, a function of a plus a function of b explains more than nine tenths of the variance "
        "of what the hidden units are given.",
        rows=("S3.6",),
        source="McCracken et al. 2025, arXiv 2505.18266, for sums of two waves in the first layer; the measure is ours",
        check=checks.waves_are_added,
        control=Control(
            says="what the hidden units give in the place of what they are given",
            change=checks.outputs_for_inputs,
            manipulation=checks.fitted,
        ),
    ),
    Claim(
        id="clock_and_pizza.layer_multiplies",
        says="With trained attention, more than 80 % of all pairs are still right when the joint part of what attention hands on "
        "is taken out, in at least 4 of 5 seeds.",
        rows=("S3.6",),
        source="this book",
        check=checks.layer_multiplies,
        control=Control(
            says="attention left alone, and the layer's joint part taken out",
            change=checks.other_cut,
            manipulation=checks.fitted,
        ),
    ),
    Claim(
        id="clock_and_pizza.attention_multiplies_too",
        says="With trained attention, more than 20 % of all pairs are right when the layer's joint part is taken out and "
        "attention's is passed on, in at least 4 of 5 seeds.",
        rows=("S3.6",),
        source="this book",
        check=checks.attention_multiplies_too,
        control=Control(
            says="attention's joint part taken out as well",
            change=checks.both_cuts,
            manipulation=checks.fitted,
        ),
    ),
)
