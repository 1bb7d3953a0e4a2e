"""One name, several starts of its row, the same pairs: which of the trained rows to keep, judged by nothing but these pairs."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from heldout.connecting_dots.dots_networks import name_noise
from heldout.connecting_dots.observed_pairs import Split
from heldout.connecting_dots.pretraining import Pretrained
from heldout.connecting_dots.row_training import Mode, Tuned, Tuning, tune
from heldout.devices import generator

MEAN, LEAST, WIDEST, ANY = "any one", "least loss", "least loss under noise", "best possible"
CHOICES = (MEAN, LEAST, WIDEST, ANY)
APART = 100_000  # between the numbers that stand for the starts of one seed
LOOKS = 30  # at the loss under noise


def chosen(
    pretrained: Pretrained,
    seeds: Sequence[int],
    splits: Sequence[Split],
    starts: int,
    tuning: Tuning,
    rate: float,
    noise: float,
) -> dict[str, np.ndarray]:
    """Train the rows of all names from several starts, keep one for each name, and ask it.

    Args:
        pretrained: what to start from.
        seeds: of its members.
        splits: the shown pairs, one a member.
        starts: rows for each name; the first is the one that a single training has.
        tuning: how the rows are trained.
        rate: learning rate of the rows.
        noise: under which the trained rows are compared, in standard deviations of the old names' rows.

    Returns:
        (choice, seed), with choices in the order of :data:`CHOICES`: kept_define: share of definitions right; kept_held_out:
        of held-out pairs; kept_observed: of shown pairs. ``best possible`` looks at the definitions: some start has it right.
    """
    members = [member for member in range(len(seeds)) for _ in range(starts)]
    many = Pretrained(
        models=pretrained.models.select(members), languages=[pretrained.languages[member] for member in members],
        loss=pretrained.loss[members],
    )  # fmt: skip
    numbers = [seed + APART * start for seed in seeds for start in range(starts)]
    tuned = tune(many, numbers, [splits[member] for member in members], [Mode(row=rate)], tuning)
    pairs = torch.stack([splits[member].observed for member in members])
    own, under = (_of_pairs(losses, pairs) for losses in (tuned.losses()[0], noisy_losses(tuned, numbers, noise)))
    right = {
        "define": tuned.correct("define")[0, :, :, 0],
        "held_out": _of_pairs(tuned.correct("apply")[0], ~pairs),
        "observed": _of_pairs(tuned.correct("apply")[0], pairs),
    }
    shape = (len(seeds), starts, -1)
    picks = [each.view(shape).argmin(1, keepdim=True) for each in (own, under)]
    found = {}
    for name, value in right.items():
        by_start = value.view(shape)
        every = [by_start.mean(1), *(by_start.gather(1, pick)[:, 0] for pick in picks), by_start.max(1).values]
        found[f"kept_{name}"] = torch.stack(every).mean(-1).numpy()
    return found


@torch.no_grad()
def noisy_losses(tuned: Tuned, seeds: Sequence[int], noise: float) -> Float[Tensor, "member function x"]:
    """Cross-entropy in nats of every pair of the new names, in the mean over noise on their rows."""
    batch, _ = tuned.batch("apply")
    draws, unit = (
        [generator("connecting dots", "compared", seed) for seed in seeds],
        tuned.pretrained.models.name_spread(),
    )
    total = torch.zeros_like(batch.answers, dtype=tuned.models.embed.dtype)
    for _ in range(LOOKS):
        logs = tuned.models.answers(batch, noise=name_noise(draws, tuned.models.embed, batch.named) * (noise * unit))
        total -= logs.log_softmax(-1).gather(-1, batch.answers.unsqueeze(-1)).squeeze(-1) / LOOKS
    return total.view(len(seeds), len(tuned.pretrained.languages[0].functions), -1).cpu()


def _of_pairs(values: Tensor, pairs: Tensor) -> Tensor:
    """Mean (member, function) of values (member, function, x) over some pairs."""
    return (values * pairs).sum(-1) / pairs.sum(-1)
