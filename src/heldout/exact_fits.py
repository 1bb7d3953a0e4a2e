"""Networks that fit their training data to rounding error.

Training comes close: one learning rate after the other, down to a loss of about 1e-9. The smallest change of the output
weights then removes what is left, so that networks can be compared at a training loss that is zero and not merely small.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from heldout import losses
from heldout.ensemble import TrainingData, train
from heldout.networks import MLP


def train_in_stages(
    members: Sequence[MLP],
    data: TrainingData,
    *,
    steps: int,
    learning_rates: Sequence[float],
    device: str | torch.device = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Train the members in place on the squared error, with Adam on all samples, ``steps`` updates at each learning rate.

    Args:
        progress: called with (updates done, updates in all).

    Raises:
        ValueError: as :func:`heldout.ensemble.train`.
    """
    for stage, rate in enumerate(learning_rates):
        advance = partial(_advance, progress, stage, len(learning_rates)) if progress else None
        done = train(
            members,
            data,
            steps=steps,
            learning_rate=rate,
            loss=losses.squared_error,
            device=device,
            progress=advance,
        )
        for member, state in zip(members, done.states, strict=True):
            member.load_state_dict(state)


def _advance(progress: Callable[[int, int], None], stage: int, stages: int, done: int, total: int) -> None:
    progress(stage * total + done, stages * total)


@torch.no_grad()
def remove_residual(network: MLP, x: Float[Tensor, "n d"], y: Float[Tensor, "n outputs"]) -> None:
    """The smallest change of the output weights that brings what training left of the residual to rounding error.

    Fewer alive units than samples leave a residual; the caller checks.
    """
    hidden = x
    for layer in network.layers[:-1]:
        hidden = torch.relu(layer(hidden))
    change = torch.linalg.lstsq(hidden, y - network(x), driver="gelsd").solution
    last = len(network.layers) - 1
    network.get_parameter(f"layers.{last}.weight").add_(change.T)
