"""Points of single seeds in an explorable that else draws lines."""

import numpy as np
from jaxtyping import Float


def apart_seeds(values: Float[np.ndarray, "... seed"]) -> Float[np.ndarray, "... place"]:
    """Values over seeds with a gap between two seeds, so that no line joins them: 2 seeds - 1 places."""
    spread = np.full((*values.shape[:-1], 2 * values.shape[-1] - 1), np.nan)
    spread[..., ::2] = values
    return spread
