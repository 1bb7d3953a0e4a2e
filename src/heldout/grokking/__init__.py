"""Grokking: a memorizing and a computing circuit behind one training loss. One line an experiment, in the order of the pages."""

EXPERIMENTS: tuple[str, ...] = (
    "modular_addition",
    "one_layer_transformer",
    "data_and_decay",
    "fourier_structure",
    "closed_form",
    "hidden_progress",
    "toy_phases",
    "effective_theory",
    "digit_norms",
    "norm_landscape",
    "constant_norm",
    "softmax_collapse",
    "slingshots",
    "without_decay",
    "ungrokking",
    "circuit_efficiency",
    "gradient_filter",
    "misgrokking",
    "anomaly_detection",
    "closing_panel",
)
