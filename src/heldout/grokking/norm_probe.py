"""What the experiments of the page on norms share: the members' norms at a probe, and progress over several trainings."""

import torch
from jaxtyping import Float
from torch import Tensor

from heldout.ensemble import Snapshot
from heldout.experiment import Progress


def norms(snapshot: Snapshot) -> Float[Tensor, " members"]:
    """The Euclidean norm of all parameters of each member, in the order of a probe's results, on the CPU."""
    states = sorted(snapshot.named_states(), key=lambda pair: pair[0])
    return torch.stack([torch.cat([p.flatten() for p in state.values()]).norm() for _, state in states])


def progress_from(progress: Progress, before: int, total: int, done: int, _: int) -> None:
    """Report ``done`` of one training as part of several, ``before`` updates of which came earlier."""
    progress(before + done, total)
