"""Networks stopped where their mean loss has one value: on all inputs there are, so that no sampling error is left.

With n bits there are 2^n strings, and every task can be asked about each of them. For a small n the loss over all of these is
cheap, since the product of bits and weights is the same for every task.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor
from torch.nn import functional

from heldout.quanta.parity import Tasks
from heldout.quanta.parity_networks import ByTask, Together

State = dict[str, Tensor]


class Everything:
    """Every string of bits for every task, with its parity.

    Attributes:
        bits: (string, bit), -1 and +1.
        labels: (task, string), 1 where the parity is odd in -1 bits.
    """

    def __init__(self, tasks: Tasks, device: torch.device) -> None:
        strings = (np.arange(2**tasks.num_bits)[:, None] >> np.arange(tasks.num_bits)) & 1
        odd = np.stack([strings[:, list(subset)].sum(1) & 1 for subset in tasks.subsets])
        self.bits = torch.from_numpy((1 - 2 * strings).astype(np.float32)).to(device)
        self.labels = torch.from_numpy(odd.astype(np.float32)).to(device)

    @torch.no_grad()
    def logits(self, state: Mapping[str, Tensor]) -> Float[Tensor, "task string"]:
        """The log-odds that a network with these parameters gives to odd."""
        ours = {name: part.to(self.bits.device) for name, part in state.items()}
        shared = self.bits @ ours["bits"] + ours["bias"]
        return torch.stack([(shared + row).relu_() @ ours["readout"] for row in ours["embed"]]) + ours["offset"]

    def losses(self, logits: Float[Tensor, "task string"]) -> Float[np.ndarray, " task"]:
        """Cross-entropy of every task in nats, the mean over all strings."""
        each = functional.binary_cross_entropy_with_logits(logits, self.labels, reduction="none")
        return np.asarray(each.mean(1, dtype=torch.float64).cpu().numpy())

    def accuracies(self, logits: Float[Tensor, "task string"]) -> Float[np.ndarray, " task"]:
        """Share of right answers on every task."""
        right = (logits > 0) == (self.labels > 0.5)
        return np.asarray(right.double().mean(1).cpu().numpy())

    def mean_loss(self, state: Mapping[str, Tensor]) -> float:
        """Mean of the losses, every task counted alike."""
        return float(self.losses(self.logits(state)).mean())


class Snapshots:
    """A probe: keeps the parameters of all networks at every look; gives the losses by task from held-out samples.

    Attributes:
        kept: (look, parameter), on the CPU.
    """

    def __init__(self, by_task: ByTask, looks: int) -> None:
        self._by_task, self._looks, self._seen = by_task, looks, 0
        self.kept = torch.empty(0, 0)

    def __call__(self, networks: Together) -> dict[str, Tensor]:
        """``task_loss`` (row, task)."""
        if self._seen == 0:
            # One block for all looks: many small ones that stay would keep the memory between them from being used again.
            self.kept = torch.empty(self._looks, len(networks.parameters))
        self.kept[self._seen] = networks.parameters.detach().cpu()
        self._seen += 1
        return {"task_loss": self._by_task(networks)["task_loss"][:, 0]}

    def network(self, networks: Together, look: int, row: int) -> State:
        """One row's parameters at a look; ``networks`` is left there."""
        networks.parameters.copy_(self.kept[look])
        return networks.network(row, 0)


def between(first: State, second: State, share: float) -> State:
    """The parameters this share of the way from the first network to the second."""
    return {name: part + share * (second[name] - part) for name, part in first.items()}


def stopped_at(
    pick: Callable[[int], State], guesses: Sequence[float], loss: Callable[[State], float], level: float
) -> tuple[State, int] | None:
    """The first network along a training whose loss comes down to a level, and the look that follows it.

    The crossing is looked for where an estimate of the loss first falls to the level, and found between the two nearest looks
    at which the loss itself is above the level and not above it; the network there is on the straight line between the two.

    Args:
        pick: the network at a look.
        guesses: the estimate at every look.
        loss: a network's own loss.

    Returns:
        None where there is no crossing.
    """
    below = np.flatnonzero(np.asarray(guesses) <= level)
    if not below.size:
        return None
    look = int(below[0])
    while look > 0 and loss(pick(look - 1)) <= level:
        look -= 1
    while look < len(guesses) and loss(pick(look)) > level:
        look += 1
    if look in (0, len(guesses)):
        return None
    first, second = pick(look - 1), pick(look)
    share = brentq(lambda s: loss(between(first, second, s)) - level, 0.0, 1.0, xtol=1e-6)
    return between(first, second, float(share)), look


def along(task_losses: Float[np.ndarray, "look task"], level: float) -> Float[np.ndarray, " task"]:
    """Task losses where their mean first comes down to a level, in straight lines between looks; NaN where it does not."""
    means = task_losses.mean(1)
    below = np.flatnonzero(means <= level)
    if not below.size or below[0] == 0:
        return np.full(task_losses.shape[1], np.nan)
    look = int(below[0])
    share = (means[look - 1] - level) / (means[look - 1] - means[look])
    return np.asarray(task_losses[look - 1] + share * (task_losses[look] - task_losses[look - 1]))
