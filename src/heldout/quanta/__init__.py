"""Quanta: a smooth mean loss over discrete skills. One line an experiment, in the order of the pages."""

EXPERIMENTS: tuple[str, ...] = (
    "staircases",
    "emergence_order",
    "exponents",
    "width_sweep",
    "null_models",
    "composite_metric",
    "compositional_parity",
    "small_language_models",
    "gradient_clusters",
    "known_quanta",
    "closing_panel",
)
