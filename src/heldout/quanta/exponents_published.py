"""The exponents that the authors of the law measured, beside the law and the exact sum over their 500 tasks.

Slopes written in the figures' legends of notebooks/scaling-exp-vs-zipf-exp.ipynb, github.com/ejmichaud/quantization-model; the
script's exponent is our alpha + 1. The window of their fits is not stated there, so the sum is taken over several of ours.
"""

import numpy as np
from jaxtyping import Float

from heldout.quanta.exponents_checks import exact, law, local, tasks_needed
from heldout.quanta.parity import tail, zipf

ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
MEASURED = {
    "steps": (0.236, 0.267, 0.307, 0.346, 0.376, 0.448, 0.468, 0.482),
    "width": (0.208, 0.269, 0.312, 0.332, 0.420, 0.467, 0.555, 0.582),
}
TASKS = 500
WINDOW = (3, 60)  # ours: tasks learned where the window begins and ends
WINDOWS = ((1, 10), (3, 30), WINDOW, (5, 100), (10, 60), (10, 100), (20, 200))


def published(axis: str, window: tuple[int, int] = WINDOW) -> dict[str, Float[np.ndarray, " alpha"]]:
    """At the authors' eight alphas: their exponents, the law, and the exact sum while ``window`` of the tasks are learned."""
    sums = []
    for alpha in ALPHAS:
        frequency = zipf(TASKS, alpha)
        first, last = tail(frequency)[list(window)]
        sums.append(exact(frequency, axis, np.geomspace(first, last, 30)))
    laws = np.array([law(alpha, axis) for alpha in ALPHAS])
    return {"theirs": np.array(MEASURED[axis]), "law": laws, "exact": np.array(sums)}


def beside() -> dict[str, float]:
    """How far law and sum are from the authors' exponents, at how many alphas the sum is nearer, and what the bound says."""
    found: dict[str, float] = {}
    for axis in MEASURED:
        for window in WINDOWS:
            known = published(axis, window)
            from_law, from_sum = (np.abs(known[name] - known["theirs"]) for name in ("law", "exact"))
            name = f"theirs_{axis}_{window[0]}_{window[1]}"
            found |= {name: float(from_sum.mean()), f"{name}_nearer": int((from_sum < from_law).sum())}
            found[f"theirs_{axis}_law"] = float(from_law.mean())
        known = published(axis)
        found |= {f"first_{axis}_{name}": float(values[0]) for name, values in known.items()}
    for alpha in (0.1, 0.5):
        found[f"needed_{10 * alpha:.0f}"] = float(f"{tasks_needed(alpha, 10, 0.1):.2g}")
    found |= {
        "ten_bound": law(0.5, "steps") / (1 - (10 / 30) ** 0.5),
        "ten_sum": float(local(30, 0.5, "steps", np.array(10))),
    }
    return found
