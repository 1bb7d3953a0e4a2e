"""Per-sample gradients of a parity network in closed form, their similarities, and the clusters of them.

With a_u the output weight of hidden unit u, h_iu its activation on sample i, x_ib the bits and e_i = sigmoid(z_i) - y_i, the
gradient of a sample's loss is e_i times the gradient of its logit z_i. That has for each unit that fires the entries x_ib a_u
(weights of the bits), a_u (bias), h_iu (output weight) and a_u again, in the row of the sample's own task (embedding). The inner
products of two samples need no gradient. The offset of the output, whose gradient of z is 1 for every sample, is left out.
Michaud et al. 2023 (arXiv 2303.13506, section 5) cluster tokens of a language model by the similarity 1 - arccos(C) / pi of the
cosine C.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from torch import Tensor

from heldout.devices import numpy_generator
from heldout.quanta.parity import Batch
from heldout.quanta.parity_networks import Together

SIMILARITIES = {
    "published": "gradients of the loss",
    "unsigned": "gradients of the loss, sign of the cosine dropped",
    "logit": "gradients of the logit",
    "absolute": "absolute values of the gradients",
    "activations": "hidden activations",
    "published_rows": "gradients of the loss, embedding rows included",
    "absolute_rows": "absolute gradients, embedding rows included",
    "rows": "absolute gradients of the embedding rows alone",
}
WITHOUT_ROWS = ("published", "unsigned", "logit", "absolute", "activations")


def cosines(network: Mapping[str, Tensor], batch: Batch) -> dict[str, Float[Tensor, "sample sample"]]:
    """The cosine of every pair of samples, by similarity; in float64, clipped to [-1, 1].

    A sample whose vector is zero (no unit fires) has cosine 0 with all others.
    """
    embed, matrix, bias, readout = (network[name].double() for name in ("embed", "bits", "bias", "readout"))
    bits = batch.bits.double()
    hidden = torch.relu(embed[batch.task] + bits @ matrix + bias)
    below = (hidden > 0) * readout
    error = torch.sign(torch.sigmoid(hidden @ readout + network["offset"].double()) - batch.label)
    signs = torch.outer(error, error)
    same = (batch.task[:, None] == batch.task[None]).double()
    fired, sizes, activations = below @ below.T, below.abs() @ below.abs().T, hidden @ hidden.T
    logit = (bits @ bits.T + 1) * fired + activations
    places = bits.shape[1]  # bits are +-1, so in absolute value all of them agree
    products = {
        "published": signs * logit,
        "unsigned": logit.abs(),
        "logit": logit,
        "absolute": (places + 1) * sizes + activations,
        "activations": activations,
        "published_rows": signs * (logit + same * fired),
        "absolute_rows": (places + 1 + same) * sizes + activations,
        "rows": same * sizes,
    }
    return {name: _normalized(product) for name, product in products.items()}


def _normalized(products: Float[Tensor, "sample sample"]) -> Float[Tensor, "sample sample"]:
    lengths = products.diagonal().clamp_min(1e-30).sqrt()
    return (products / torch.outer(lengths, lengths)).clamp(-1, 1)


def angular(cosine: Float[Tensor, "sample sample"]) -> Float[np.ndarray, "sample sample"]:
    """1 - arccos(C) / pi, from 0 for opposite directions through 1/2 for orthogonal ones to 1."""
    similarity = (1 - torch.arccos(cosine) / torch.pi).cpu().numpy()
    np.fill_diagonal(similarity, 1.0)
    return np.asarray(similarity)


def clusters(similarity: Float[np.ndarray, "sample sample"], count: int, restarts: int) -> Int[np.ndarray, " sample"]:
    """Spectral clustering of a matrix of similarities, as the paper's scripts call it, with a fixed start."""
    method = SpectralClustering(count, affinity="precomputed", n_init=restarts, random_state=0)
    return np.asarray(method.fit_predict(similarity))


def pairs(
    task: Int[np.ndarray, " sample"], label: Float[np.ndarray, " sample"]
) -> dict[str, Bool[np.ndarray, "sample sample"]]:
    """Which pairs of different samples are of one task, of two, of one task and label, of one task and two labels."""
    same, alike = task[:, None] == task[None], label[:, None] == label[None]
    within = same & ~np.eye(len(task), dtype=bool)
    return {"within": within, "between": ~same, "agree": within & alike, "oppose": within & ~alike}


MEASURES = {
    "ari": ("adjusted Rand index of clusters and tasks", "1"),
    "nmi": ("normalized mutual information of clusters and tasks", "1"),
    "shuffled": ("adjusted Rand index of clusters and shuffled tasks", "1"),
    "within": ("mean cosine of two samples of one task", "1"),
    "between": ("mean cosine of samples of two tasks", "1"),
    "agree": ("mean cosine of two samples of one task and one label", "1"),
    "oppose": ("mean cosine of two samples of one task and two labels", "1"),
}


def measured(
    networks: Together,
    samples: Sequence[Batch],
    columns: int,
    count: int,
    restarts: int,
    progress: Callable[[int], None],
) -> dict[str, Float[np.ndarray, "row column similarity"]]:
    """Every measure of every network as it now is, from one batch of samples a row, in ``count`` clusters."""
    shape = (len(samples), columns, len(SIMILARITIES))
    found = {name: np.empty(shape) for name in MEASURES}
    for i, batch in enumerate(samples):
        truth = batch.task.numpy()
        shuffled = numpy_generator("shuffled tasks", i).permutation(truth)
        chosen = pairs(truth, batch.label.numpy())
        for j in range(columns):
            for k, cosine in enumerate(cosines(networks.network(i, j), batch).values()):
                given = clusters(angular(cosine), count, restarts)
                found["ari"][i, j, k] = adjusted_rand_score(truth, given)
                found["nmi"][i, j, k] = normalized_mutual_info_score(truth, given)
                found["shuffled"][i, j, k] = adjusted_rand_score(shuffled, given)
                for name, which in chosen.items():
                    found[name][i, j, k] = cosine.numpy()[which].mean() if which.any() else np.nan
            progress(i * columns + j + 1)
    return found
