"""Training that keeps every member's weights as they are when its divergence from the data first falls to a level.

Families of models learn at different speeds. To compare them at one divergence, each member is caught where it passes it: the
loss of an update, which has to be computed anyway, tells the divergence of the weights before that update.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heldout.decoders import ALL, Members
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability.sequence_training import Batch, Schedule, train


class Steady(Schedule):
    """A schedule whose rate stays where the warm-up has brought it, so that it does not depend on how long one trains."""

    def rate(self, step: int) -> float:
        """The learning rate of update ``step``, from 0."""
        return self.learning_rate * min(1.0, (step + 1) / (self.warm_up + 1))


class Watched(nn.Module):
    """Models that remember the divergence of the data from each member at the last call, in nats a sequence."""

    def __init__(self, models: nn.Module, wanted: Int[Tensor, "member row place"]) -> None:
        super().__init__()
        self.models, self.wanted = models, wanted
        self.divergence = wanted.new_zeros(len(wanted), dtype=torch.float64)

    def forward(self, tokens: Int[Tensor, "member row place"], members: slice = ALL) -> Tensor:
        """The models' logits."""
        logits: Tensor = self.models(tokens, members)
        logs = anbn.log_probabilities(logits.detach().double(), self.wanted)
        self.divergence = anbn.divergence_from_data(logs)
        return logits


@dataclass(frozen=True, kw_only=True)
class Caught:
    """Members at one place of their training.

    Attributes:
        models: the members with the weights that they had there.
        divergence: of the data from each member, nats a sequence; NaN where a member has not come so far.
        updates: how many each had made; -1 where it has not come so far.
    """

    models: Members
    divergence: Float[np.ndarray, " member"]
    updates: Int[np.ndarray, " member"]

    @classmethod
    def nobody(cls, models: nn.Module, count: int) -> "Caught":
        """A place that no member has reached."""
        return cls(models=copy.deepcopy(models), divergence=np.full(count, np.nan), updates=np.full(count, -1))  # type: ignore[arg-type]

    def catch(self, models: nn.Module, who: np.ndarray, divergence: np.ndarray, updates: int) -> None:
        """Keep some members as they are now."""
        self.divergence[who], self.updates[who] = divergence[who], updates
        chosen = torch.from_numpy(np.flatnonzero(who))
        with torch.no_grad():
            for kept, now in zip(self.models.parameters(), models.parameters(), strict=True):  # type: ignore[attr-defined]
                kept[chosen] = now[chosen]


def follow(
    models: nn.Module, data: Batch, schedule: Schedule, levels: tuple[float, ...], stops: tuple[int, ...]
) -> tuple[list[Caught], list[Caught]]:
    """Train all members, and catch each at every level of the divergence and after given numbers of updates.

    Training ends when all members have been caught everywhere, or with the schedule.

    Args:
        models: members of one family, as :func:`heldout.nonidentifiability.sequence_training.train` wants them.
        data: what is read and what is to be written, (members, sequences, places).
        schedule: rate, warm-up, decay and clip.
        levels: nats a sequence; a member is caught at the first update after which its divergence is at most this.
        stops: numbers of updates below the schedule's.

    Returns:
        The members at every level, and after every stop.
    """
    device = next(models.parameters()).device
    watched, before = Watched(models, data[1].to(device)), copy.deepcopy(models)
    count = len(data[0])
    at_levels = [Caught.nobody(models, count) for _ in levels]
    at_stops = [Caught.nobody(models, count) for _ in stops]
    for done in train(watched, data, schedule):
        divergence = watched.divergence.cpu().numpy()
        for level, caught in zip(levels, at_levels, strict=True):
            new = (divergence <= level) & (caught.updates < 0)
            if new.any():
                caught.catch(before, new, divergence, done - 1)
        for stop, caught in zip(stops, at_stops, strict=True):
            if done - 1 == stop:
                caught.catch(before, np.ones(count, dtype=bool), divergence, stop)
        if all((caught.updates >= 0).all() for caught in at_levels + at_stops):
            break
        with torch.no_grad():
            for old, new_weight in zip(before.parameters(), models.parameters(), strict=True):
                old.copy_(new_weight)
    return at_levels, at_stops
