"""How unlike the usual each answer of a network is, told from the network and its training inputs without any label."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor

from heldout.grokking import fourier
from heldout.grokking.pair_networks import PairMLP

SCORES = ("circuit", "confidence", "distance", "length")
NEIGHBORS = 5


def restricted(state: dict[str, Tensor], keys: Int[Tensor, " keys"]) -> dict[str, Tensor]:
    """The weights of a :class:`PairMLP` with nothing left along the numbers but the constant and the given frequencies."""
    modulus = len(state["left"])
    rows = torch.cat([torch.zeros(1, dtype=torch.long), 2 * keys - 1, 2 * keys])
    kept = fourier.basis(modulus, state["left"].dtype)[rows]
    return {name: kept.T @ (kept @ table) for name, table in state.items()}


def strongest(state: dict[str, Tensor], count: int) -> Int[Tensor, " keys"]:
    """The ``count`` frequencies with the most power in the three tables, found in the weights at hand and nothing else."""
    power = torch.stack([fourier.power(table) for table in state.values()]).sum(0)
    return power.argsort(descending=True)[:count] + 1


def scores(
    network: PairMLP,
    state: dict[str, Tensor],
    pairs: Int[Tensor, "pairs 2"],
    train_pairs: Int[Tensor, "train 2"],
    num_frequencies: int,
) -> dict[str, Float[Tensor, " pairs"]]:
    """Scores of the network's answers to some pairs, larger where more unusual.

    circuit: minus the log-probability (nats) that the restricted network gives to the answer of the whole one;
    confidence: minus the log-probability of the answer; distance: mean distance of the hidden layer to the nearest five
    among the training pairs' (itself not counted); length: how far the length of the hidden layer is from their median.
    """
    logits, hidden = _pass(network, state, pairs)
    _, usual = _pass(network, state, train_pairs)
    apart = torch.cdist(hidden, usual)
    # A training pair is at distance zero from itself.
    apart = apart.masked_fill((pairs.unsqueeze(1) == train_pairs).all(-1), math.inf)
    lengths, middle = hidden.norm(dim=1), usual.norm(dim=1).median()
    return {
        "circuit": circuit_score(network, state, pairs, num_frequencies),
        "confidence": -logits.log_softmax(-1).amax(-1),
        "distance": apart.topk(NEIGHBORS, dim=1, largest=False).values.mean(1),
        "length": (lengths - middle).abs(),
    }


def circuit_score(
    network: PairMLP, state: dict[str, Tensor], pairs: Int[Tensor, "pairs 2"], num_frequencies: int
) -> Float[Tensor, " pairs"]:
    """The first of :func:`scores`."""
    answers = _pass(network, state, pairs)[0].argmax(-1, keepdim=True)
    cut, _ = _pass(network, restricted(state, strongest(state, num_frequencies)), pairs)
    return -cut.log_softmax(-1).gather(1, answers).squeeze(1)


def _pass(network: PairMLP, state: dict[str, Tensor], pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and hidden layer."""
    network.load_state_dict(state)
    with torch.no_grad():
        hidden = network.hidden(pairs)
        return hidden @ network.unembed.T, hidden


def auc(anomalous: Bool[Tensor, " pairs"], score: Float[Tensor, " pairs"]) -> float:
    """Area under the curve of hits against false alarms: the chance that an anomaly scores above a usual pair.

    NaN where there is no anomaly, or nothing else.
    """
    if not 0 < int(anomalous.sum()) < len(anomalous):
        return math.nan
    return float(roc_auc_score(anomalous.numpy(), score.double().numpy()))


def hits(
    anomalous: Bool[Tensor, " pairs"], score: Float[Tensor, " pairs"], false_alarms: Float[np.ndarray, " rates"]
) -> Float[np.ndarray, " rates"]:
    """Share of anomalies found when the given shares of usual pairs are flagged too; NaN as in :func:`auc`."""
    if not 0 < int(anomalous.sum()) < len(anomalous):
        return np.full(len(false_alarms), np.nan)
    alarm, hit, _ = roc_curve(anomalous.numpy(), score.double().numpy())
    found: np.ndarray = np.interp(false_alarms, alarm, hit)
    return found
