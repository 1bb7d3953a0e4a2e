"""The other direction, rows of new names trained on definitions alone; and a language that defines some names falsely."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from heldout.connecting_dots.dots_networks import answer_loss, name_noise
from heldout.connecting_dots.line_batches import batch_of
from heldout.connecting_dots.named_functions import Language, Lines
from heldout.connecting_dots.pretraining import Pretrained, cosine
from heldout.connecting_dots.row_optimizer import Adam
from heldout.connecting_dots.row_training import Tuned, Tuning, begin, new_lines
from heldout.devices import generator
from heldout.experiment import require


@dataclass(frozen=True, kw_only=True)
class FalseDictionary(Language):
    """A language in which some synonyms of every function are defined as another function; all other lines are true.

    Attributes:
        defined_as: for each function the position of the one in whose words its last synonyms are defined.
        false_names: how many synonyms of each function.

    Raises:
        ValueError: as the language, or if there are fewer synonyms, or a function stands for none other.
    """

    defined_as: tuple[int, ...]
    false_names: int

    def __post_init__(self) -> None:
        super().__post_init__()
        inside = 1 <= self.false_names <= self.synonyms
        require(inside, "false_names", self.false_names, f"from 1 to {self.synonyms} synonyms")
        others = sorted(self.defined_as) == list(range(len(self.functions))) and all(
            own != other for own, other in enumerate(self.defined_as)
        )
        require(others, "defined_as", self.defined_as, "every function once, none in its own place")

    @classmethod
    def of(cls, language: Language, generator: torch.Generator, false_names: int) -> "FalseDictionary":
        """The functions in a drawn circle, each defined as the next one."""
        order = torch.randperm(len(language.functions), generator=generator).tolist()
        following = dict(zip(order, order[1:] + order[:1], strict=True))
        return cls(
            modulus=language.modulus, synonyms=language.synonyms, undefined=language.undefined, unseen=language.unseen,
            defined_as=tuple(following[f] for f in range(len(order))), false_names=false_names,
        )  # fmt: skip

    def lines(self, task: str, functions: Sequence[int], names: Int[Tensor, "function name"] | None = None) -> Lines:
        """As of the language; definitions of its own synonyms as they are told, those of other names true."""
        true = super().lines(task, functions, names)
        if task != "define" or names is not None:
            return true
        called = torch.tensor([list(self.names(f)) for f in functions])
        other = super().lines(task, [self.defined_as[f] for f in functions], called)
        false = (torch.arange(len(true)) % self.synonyms >= self.synonyms - self.false_names).unsqueeze(1)
        return replace(
            true, tokens=torch.where(false, other.tokens, true.tokens), targets=torch.where(false, other.targets, true.targets)
        )  # fmt: skip


def told(pretrained: Pretrained, seeds: Sequence[int], tuning: Tuning, rate: float) -> Tuned:
    """Train the new rows of all functions on their definitions alone, as :func:`tune` does on pairs."""
    count, members = len(pretrained.languages[0].functions), len(pretrained.languages)
    tuned = begin(pretrained, seeds, tuning.start)
    models = tuned.models
    rates = torch.zeros_like(models.embed)
    rates[:, -count:] = rate
    optimizer = Adam([(models.embed, rates)])
    batch = batch_of([new_lines(pretrained, "define")] * members).to(models.embed.device)
    draws, unit = [generator("connecting dots", "told", seed) for seed in seeds], pretrained.models.name_spread()
    for step in range(tuning.steps):
        noise = name_noise(draws, models.embed, batch.named) * (tuning.noise * unit) if tuning.noise > 0 else None
        loss = answer_loss(models.answers(batch, noise=noise), batch.answers).sum()
        optimizer.step(loss, cosine(step, tuning.steps))
    return tuned
