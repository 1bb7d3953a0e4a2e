"""Double descent: many exact fits, good and bad. One line an experiment, in the order of the pages."""

EXPERIMENTS: tuple[str, ...] = (
    "polynomials",
    "random_features",
    "gaussian_risk",
    "three_factors",
    "trained_networks",
    "convolutional",
    "epoch_wise",
    "sample_wise",
    "many_interpolants",
    "effective_parameters",
    "feature_averaging",
    "benign_spectrum",
    "triple_descent",
    "final_ascent",
    "closing_panel",
)
