"""How the book draws: one style, and figures that can be moved."""
