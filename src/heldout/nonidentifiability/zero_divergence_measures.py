"""What is measured on tables and sources: by listing strings, in closed form, and over sampled training sets."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from heldout.devices import numpy_generator
from heldout.nonidentifiability.cheapest import binary_divergence, lowest_scores
from heldout.nonidentifiability.tables import Source, Tree, continuations, divergence, sequence_logs


def measured(
    tree: Tree, sources: Sequence[Source], kinds: int, cases: int, found: Float[Tensor, "problem row 3"]
) -> dict[str, np.ndarray]:
    """What the tables found are, from the probabilities of all strings.

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
    return {
        "mass": np.stack([each.mass for each in sources[: by[1]]]),
        "honest": np.stack([each.honest for each in sources]).reshape(*by, count),
        "cost": paid[:, single].reshape(*by, count, cases).numpy(), "reached": own.reshape(*by, count, cases).numpy(),
        "mean_cost": paid[:, single.stop].reshape(by).numpy(),
        "mean_reached": scores[:, single.stop].mean(-1).reshape(by).numpy(),
        "fitted": paid[:, -2:].reshape(*by, 2).numpy(),
        "apart": ((pair[:, 0] - pair[:, 1]).abs().sum(-1) / 2).reshape(*by, count).numpy(),
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


def samples(
    seeds: Sequence[int], sources: Sequence[Source], train_sizes: Sequence[int], draws: int, left: float
) -> dict[str, np.ndarray]:
    """Share of training sets without a prompt, and the mean test loss of breaking the rule on all such prompts."""
    unseen, gap = [], []
    for seed, each in zip(seeds, sources, strict=True):
        price = each.mass * binary_divergence(1.0, left)
        missing = [
            numpy_generator("zero_divergence sample", seed, size).multinomial(size, each.mass, size=draws) == 0
            for size in train_sizes
        ]
        unseen.append(np.stack([sets.mean(0) for sets in missing], -1))
        gap.append([float((sets * price).sum(1).mean()) for sets in missing])
    return {"unseen": np.stack(unseen), "test_gap": np.array(gap)}
