"""Training on documents that are met once: one stream a seed, and a second loss on prompts for some of the members."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from heldout import devices
from heldout.decoders import Transformers
from heldout.nonidentifiability import chain_mixture
from heldout.nonidentifiability.anbn import IGNORED
from heldout.nonidentifiability.chain_mixture import Mixture
from heldout.nonidentifiability.sequence_training import Auxiliary, Batch, Schedule, token_loss

_BLOCK = 64  # updates whose documents are drawn at once
BETAS = (0.9, 0.98)  # the second one is below the usual one: the gradient of few documents changes fast


class Stream:
    """Fresh documents for every update and seed; members of one seed read the same ones."""

    def __init__(self, mixture: Mixture, chains: dict[int, Tensor], *, rows: int, name: str, repeats: int = 1) -> None:
        self.mixture, self.chains, self.rows, self.name, self.repeats = mixture, chains, rows, name, repeats
        self._block, self._drawn = -1, torch.empty(0)

    def __call__(self, step: int) -> Batch:
        """What is read and what is to be written at an update, (variant and seed, row, place)."""
        block, within = divmod(step, _BLOCK)
        if block != self._block:
            self._block, self._drawn = block, torch.stack([self._draw(seed, block) for seed in self.chains])
        tokens = self._drawn[:, within].repeat(self.repeats, 1, 1)
        return tokens[..., :-1], tokens[..., 1:]

    def _draw(self, seed: int, block: int) -> Tensor:
        generator = devices.generator(self.name, seed, block)
        drawn = chain_mixture.documents(self.mixture, self.chains[seed], _BLOCK * self.rows, generator)
        return drawn.reshape(_BLOCK, self.rows, -1)


class Lessons:
    """Prompts with the answers that the twins are taught, behind ``least`` examples and more; the same for both of a seed."""

    def __init__(self, mixture: Mixture, chains: dict[int, Tensor], *, rows: int, least: int, most: int) -> None:
        self.mixture, self.chains, self.rows, self.least, self.most = mixture, chains, rows, least, most

    def __call__(self, step: int) -> Batch:
        """What the oracles and then the adversaries read and should write at an update, (kind and seed, row, place)."""
        read, right = zip(*(self._draw(seed, step) for seed in self.chains), strict=True)
        tokens, answers = torch.stack(read), torch.stack(right)
        wanted = torch.full_like(tokens, IGNORED).repeat(2, 1, 1, 1)
        places = chain_mixture.queries(self.most)[self.least :]
        wanted[0][..., places] = answers[..., self.least :]
        wanted[1][..., places] = wrong(self.mixture, answers[..., self.least :])
        return tokens.repeat(2, 1, 1), wanted.flatten(0, 1)

    def _draw(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        generator = devices.generator("lessons", seed, step)
        return chain_mixture.prompts(self.mixture, self.chains[seed], self.most, self.rows, generator)


def wrong(mixture: Mixture, answers: Int[Tensor, "*many"]) -> Int[Tensor, "*many"]:
    """The adversary's answer: the next symbol in order."""
    return (answers + 1) % mixture.symbols


def train(
    models: Transformers, batch: Callable[[int], Batch], schedule: Schedule, auxiliary: Auxiliary | None = None
) -> Iterator[int]:
    """Train all members in place on a new batch at every update; yields the number of updates made after each."""
    parameters = list(models.parameters())
    device = parameters[0].device
    optimizer = torch.optim.AdamW(
        parameters, lr=schedule.learning_rate, betas=BETAS, weight_decay=schedule.weight_decay, fused=True
    )
    for step in range(schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        read, wanted = (devices.onto(part, device) for part in batch(step))
        loss = token_loss(models(read), wanted).sum()
        if auxiliary is not None and auxiliary.weight > 0:
            read, wanted = (devices.onto(part, device) for part in auxiliary.batch(step))
            loss = loss + auxiliary.weight * token_loss(models(read, slice(auxiliary.first, None)), wanted).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        clip(parameters, schedule.clip)
        optimizer.step()
        yield step + 1


@torch.no_grad()
def clip(parameters: list[torch.nn.Parameter], longest: float) -> None:
    """Cut each member's gradient to a length of at most ``longest``."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    factor = (longest / (norms + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))


def copies(models: Transformers, count: int, **sizes: Any) -> Transformers:
    """``count`` copies of every member, copy by copy."""
    twins = Transformers([torch.Generator() for _ in range(count * models.count)], **sizes)
    own = dict(models.named_parameters())
    with torch.no_grad():
        for name, parameter in twins.named_parameters():
            parameter.copy_(own[name].repeat(count, *[1] * (parameter.ndim - 1)))
    return twins.to(models.embed.device)
