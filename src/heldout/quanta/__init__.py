"""Quanta: a smooth mean loss over discrete skills. One line an experiment, in the order of the pages."""

EXPERIMENTS: tuple[str, ...] = ("staircases", "emergence_order", "width_sweep", "gradient_clusters", "known_quanta")
