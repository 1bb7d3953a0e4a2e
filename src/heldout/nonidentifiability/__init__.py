"""Non-identifiability: the same loss and the opposite behavior. One line an experiment, in the order of the pages."""

EXPERIMENTS = (
    "zero_divergence",
    "rule_extrapolation",
    "architectures",
    "flat_training",
    "constant_path",
    "in_context",
    "fine_tuning",
    "model_edit",
    "model_twins",
    "closing_panel",
)
