"""What is measured on tables and sources: by listing strings, and in closed form."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from heldout.nonidentifiability.cheapest import binary_divergence, lowest_scores
from heldout.nonidentifiability.tables import Source, Tree, continuations, divergence, sequence_logs


def measured(
    tree: Tree,
    sources: Sequence[Source],
    kinds: int,
    cases: int,
    begun: Float[Tensor, "problem row 3"],
    found: Float[Tensor, "problem row 3"],
) -> dict[str, np.ndarray]:
    """What the tables found are, from the probabilities of all strings; ``begun`` are those that the search began with.

    ``sources`` come kind by kind; the problems of a source are its prompts, each with ``cases`` targets, then all prompts
    together, then two without a condition.
    """
    by = (kinds, len(sources) // kinds)
    tables = found.reshape(len(sources), -1, *found.shape[1:])
    logs = sequence_logs(tree, tables)
    paid = divergence(torch.stack([each.finished for each in sources]).unsqueeze(1), logs)
    kept = torch.as_tensor(tree.balance == 0, dtype=logs.dtype)
    after = continuations(tree, logs.exp())
    scores = (after * kept).sum(-1)
    count = len(tree.prompts)
    single = slice(0, count * cases)
    own = scores[:, single].reshape(-1, count, cases, count).diagonal(dim1=1, dim2=3).movedim(-1, 1)
    pair = after[:, -2:]
    steps = (found - begun).abs().amax(-1).reshape(*tables.shape[:2], -1)[:, -2:]
    moved = (steps.unsqueeze(-2) * torch.as_tensor(tree.continues[:, : tree.rows])).amax(-1)
    return {
        "mass": np.stack([each.mass for each in sources[: by[1]]]),
        "honest": np.stack([each.honest for each in sources]).reshape(*by, count),
        "cost": paid[:, single].reshape(*by, count, cases).numpy(), "reached": own.reshape(*by, count, cases).numpy(),
        "mean_cost": paid[:, single.stop].reshape(by).numpy(),
        "mean_reached": scores[:, single.stop].mean(-1).reshape(by).numpy(),
        "fitted": paid[:, -2:].reshape(*by, 2).numpy(),
        "apart": ((pair[:, 0] - pair[:, 1]).abs().sum(-1) / 2).reshape(*by, count).numpy(),
        "moved": moved.reshape(*by, 2, count).numpy(),
    }  # fmt: skip


def limits(sources: Sequence[Source], kinds: int, allowed: Float[np.ndarray, " allowed"]) -> dict[str, np.ndarray]:
    """The least probability of the rule at each allowed divergence, in closed form."""
    one = [
        [lowest_scores(each.mass[[j]], each.honest[[j]], allowed)[:, 0] for j in range(len(each.mass))]
        for each in sources
    ]
    mean = [lowest_scores(each.mass, each.honest, allowed).mean(-1) for each in sources]
    by = (kinds, len(sources) // kinds)
    return {
        "lowest": np.reshape(one, (*by, *np.shape(one)[1:])), "lowest_mean": np.reshape(mean, (*by, len(allowed))),
        "allowed": allowed,
    }  # fmt: skip


def unseen(mass: Float[np.ndarray, "seed prompt"], train_sizes: Sequence[int], left: float) -> dict[str, np.ndarray]:
    """Probability that a training set is without a prompt, and expected test loss of breaking the rule on all such prompts."""
    absent = (1 - mass[..., None]) ** np.asarray(train_sizes)
    return {"unseen": absent, "test_gap": (mass[..., None] * absent).sum(1) * float(binary_divergence(1.0, left))}
