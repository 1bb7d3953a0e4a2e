"""Interpolation: many curves through the same points. One line an experiment, in the order of the pages."""

EXPERIMENTS: tuple[str, ...] = (
    "two_meanings",
    "random_labels",
    "reused_text",
    "likely_texts",
    "runge",
    "relu_curves",
    "equal_norm",
    "noisy_fits",
    "linear_regions",
    "cantor",
    "approximation_curves",
    "spectral_bias",
    "gaussian_hull",
    "hull_membership",
    "hull_distance",
    "rays",
    "max_margin",
    "separators",
    "network_margin",
    "closing_panel",
)
