"""The front of the book: the landing page's figure and the primer."""

EXPERIMENTS: tuple[str, ...] = ("five_points",)
