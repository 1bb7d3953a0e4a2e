"""Pretraining on the language of named functions: all seeds as one ensemble, with noise on the rows of names.

Each seed has its own weights, its own lines and noise, and its own draw of which functions are never defined and never seen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heldout.connecting_dots.dots_networks import Readers, answer_loss, line_correct, name_noise
from heldout.connecting_dots.line_batches import SHARES, PretrainingBatches, batch_of, task_counts
from heldout.connecting_dots.named_functions import NAMED, TASKS, Language
from heldout.devices import generator
from heldout.experiment import Progress, require, silent


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The language, the size of the decoders, and how they are pretrained. A Config of an experiment may extend it."""

    modulus: int = 7
    synonyms: int = 6
    undefined: int = 3  # functions
    unseen: int = 2  # functions
    width: int = 32
    layers: int = 2
    heads: int = 4
    hidden: int = 128
    steps: int = 800
    batch: int = 160  # lines
    learning_rate: float = 7e-3
    warm_up: int = 50  # updates
    weight_decay: float = 0.1
    clip: float = 1.0
    noise: float = 0.7  # on a name's row, in standard deviations of the names' rows
    shares: tuple[float, ...] = tuple(SHARES[task] for task in TASKS)  # of the tasks, in their order
    left_out: tuple[str, ...] = ()  # such as "define 5": of each function, this synonym stands in no line of this task

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "hidden", "steps", "batch"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.width % self.heads == 0, "heads", self.heads, f"a divisor of width={self.width}")
        for name in ("learning_rate", "clip"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        for name in ("warm_up", "weight_decay", "noise"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(len(self.shares) == len(TASKS), "shares", self.shares, f"one a task: {', '.join(TASKS)}")
        task_counts(self.by_task(), self.batch)
        self.language(0)

    def by_task(self) -> dict[str, float]:
        """The share of each task."""
        return dict(zip(TASKS, self.shares, strict=True))

    def language(self, seed: int) -> Language:
        """A seed's language."""
        return Language.drawn(
            generator("connecting dots", "roles", seed), modulus=self.modulus, synonyms=self.synonyms,
            undefined=self.undefined, unseen=self.unseen, left_out=self.left_out,
        )  # fmt: skip

    def rate(self, step: int) -> float:
        """The learning rate of update ``step``, from 0: a rise over ``warm_up`` updates, times a cosine that ends at zero."""
        return self.learning_rate * min(1.0, (step + 1) / (self.warm_up + 1)) * cosine(step, self.steps)


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """Decoders, the language of each, and the mean loss of each over the last tenth of the updates, in nats a token."""

    models: Readers
    languages: list[Language]
    loss: Float[Tensor, " member"]


def cosine(step: int, steps: int) -> float:
    """Half a cosine from 1 down to 0."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def pretrain(
    recipe: Recipe, seeds: Sequence[int], *, device: torch.device, progress: Progress = silent,
    dtype: torch.dtype = torch.float32,
) -> Pretrained:  # fmt: skip
    """Pretrain one decoder a seed, all at once; each comes out as it would alone, to rounding."""
    languages = [recipe.language(seed) for seed in seeds]
    models = Readers.drawn(
        languages[0], seeds, width=recipe.width, layers=recipe.layers, heads=recipe.heads, hidden=recipe.hidden, dtype=dtype,
    ).to(device)  # fmt: skip
    draws = [generator("connecting dots", "lines", seed) for seed in seeds]
    source = PretrainingBatches(languages, draws, recipe.by_task(), recipe.batch)
    noises = [generator("connecting dots", "noise", seed) for seed in seeds]
    parameters = list(models.parameters())
    whole = flattened(parameters)
    optimizer = torch.optim.AdamW(
        [whole], lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay,
        fused=whole.device.type in ("cpu", "cuda"),
    )  # fmt: skip
    last, total = max(1, recipe.steps // 10), torch.zeros(len(seeds), dtype=dtype, device=device)
    for step in range(recipe.steps):
        batch = source.draw().to(device)
        noise = None
        if recipe.noise > 0:
            noise = name_noise(noises, models.embed, batch.named) * (recipe.noise * models.name_spread())
        loss = answer_loss(models.answers(batch, noise=noise), batch.answers)
        gradients = torch.autograd.grad(loss.sum(), parameters, materialize_grads=True)
        whole.grad = clipped(torch.cat([part.reshape(len(part), -1) for part in gradients], 1), recipe.clip)
        optimizer.param_groups[0]["lr"] = recipe.rate(step)
        optimizer.step()
        if step >= recipe.steps - last:
            total += loss.detach() / last
        progress(step + 1, recipe.steps)
    return Pretrained(models=models, languages=languages, loss=total.cpu())


def accuracy(
    models: Readers,
    languages: Sequence[Language],
    functions: Sequence[Sequence[int]],
    names: Int[Tensor, "function name"] | None = None,
    tasks: Sequence[str] = NAMED,
) -> dict[str, Float[Tensor, "member function name number"]]:
    """For each task, 1 where a member's line is right in all it asks, else 0.

    Args:
        models: the members.
        languages: one a member.
        functions: for each member the positions of as many functions.
        names: tokens that call them, the same for all members; by default each language's synonyms.
        tasks: tasks with names.

    Raises:
        ValueError: there is no function, or not as many for each member.
    """
    counts = {len(own) for own in functions}
    require(len(counts) == 1 and min(counts) >= 1, "functions", sorted(counts), "as many for each member, one or more")
    found = {}
    for task in tasks:
        lines = [language.lines(task, own, names) for language, own in zip(languages, functions, strict=True)]
        right = line_correct(models, batch_of(lines).to(models.embed.device)).cpu()
        called = languages[0].synonyms if names is None else names.shape[1]
        found[task] = right.view(len(right), len(functions[0]), called, -1)
    return found


def known_names(pretrained: Pretrained, models: Readers | None = None) -> dict[str, Float[Tensor, " member"]]:
    """Share of lines right by task, over all names of defined functions: the gate before anything is claimed.

    Args:
        pretrained: what was pretrained.
        models: other decoders with the same languages, one a language, such as the same after fine-tuning.
    """
    own = [language.defined for language in pretrained.languages]
    right = accuracy(models or pretrained.models, pretrained.languages, own)
    return {task: value.mean((1, 2, 3)) for task, value in right.items()}


def flattened(parameters: Sequence[nn.Parameter]) -> nn.Parameter:
    """All parameters as one, (member, number): they are parts of it from now on."""
    whole = nn.Parameter(torch.cat([value.detach().reshape(len(value), -1) for value in parameters], 1))
    parts = torch.split(whole.detach(), [value[0].numel() for value in parameters], 1)
    for value, part in zip(parameters, parts, strict=True):
        value.data = part.view(value.shape)
    return whole


def clipped(gradient: Float[Tensor, "member number"], longest: float) -> Float[Tensor, "member number"]:
    """Each member's gradient, cut to a length of at most ``longest`` as by torch.nn.utils.clip_grad_norm_."""
    return gradient.mul_((longest / (gradient.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1))
