"""The a^n b^n experiment of rule extrapolation, three variants and five seeds: one program against one model after another.

The plain code is the textbook: a decoder of ``nn.Linear`` layers with torch's own causal attention on padded rows,
``cross_entropy`` with an ignored index, ``clip_grad_norm_`` and ``torch.optim.AdamW``; it writes after all prompts at once and
reads everything again for each token. Ours trains all members together on the tree of prefixes, and writes for all with cached
keys and values. Same weights, lessons and updates.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness import Growth, Row, compare, grown
from heldout import devices
from heldout.decoders import Transformers, write
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability.lessons import Lessons, taught_prompts
from heldout.nonidentifiability.rule_extrapolation import BOOK, VARIANTS, Config, start
from heldout.nonidentifiability.sequence_training import Auxiliary, Schedule, token_loss, train
from heldout.prefix_tree import prefix_tree

CHAPTER, TARGET = "nonidentifiability", 5.0
TOLERANCE = 1e-3  # of the relative difference of a member's loss after a few updates


class Block(nn.Module):
    """Attention and a hidden layer, each behind a layer normalization."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.attend, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, stream: Tensor) -> Tensor:
        rows, places, width = stream.shape
        parts = self.attend(functional.layer_norm(stream, (width,))).chunk(3, -1)
        query, key, value = (part.view(rows, places, self.heads, -1).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        stream = stream + self.mix(mixed.transpose(1, 2).reshape(rows, places, width))
        hidden: Tensor = self.narrow(functional.gelu(self.widen(functional.layer_norm(stream, (width,)))))
        return stream + hidden


class Decoder(nn.Module):
    """One member as a module of its own."""

    def __init__(self, models: Transformers, member: int) -> None:
        super().__init__()
        hidden = models.get_parameter("widen0").shape[-1]
        self.embed = nn.Embedding(*models.embed.shape[1:])
        self.position = nn.Parameter(models.position[member].detach().clone())
        self.blocks = nn.ModuleList(Block(models.width, models.heads, hidden) for _ in range(models.layers))
        self.unembed = nn.Linear(models.width, models.unembed.shape[-1])
        with torch.no_grad():
            self.embed.weight.copy_(models.embed[member])
            for name, layer in self._linear():
                layer.weight.copy_(models.get_parameter(name)[member].T)
                layer.bias.copy_(models.get_parameter(f"{name}_bias")[member, 0])

    def _linear(self) -> Iterator[tuple[str, nn.Linear]]:
        for number, block in enumerate(self.blocks):
            for name in ("attend", "mix", "widen", "narrow"):
                yield f"{name}{number}", block.get_submodule(name)  # type: ignore[misc]  # a linear layer
        yield "unembed", self.unembed

    def forward(self, tokens: Tensor) -> Tensor:
        stream = self.embed(tokens) + self.position[: tokens.shape[1]]
        for block in self.blocks:
            stream = block(stream)
        logits: Tensor = self.unembed(functional.layer_norm(stream, stream.shape[-1:]))
        return logits


@dataclass(frozen=True)
class Problem:
    """What both work on."""

    config: Config
    seeds: list[int]
    schedule: Schedule
    lessons: Lessons
    prompts: Tensor

    @property
    def models(self) -> Transformers:
        """The members with their first weights."""
        return start(self.config, self.seeds)


def problem(steps: int, **changes: int) -> Problem:
    """The book's experiment, with so many updates."""
    config = replace(BOOK, steps=steps, **changes)
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    rows = anbn.prompts(config.prompt_length)
    lessons = Lessons(seeds, rows, taught_prompts(config.taught_share, seeds, rows), steps=steps, rows=config.rows)
    schedule = Schedule(steps=steps, learning_rate=config.learning_rate, warm_up=config.warm_up)
    begun = torch.from_numpy(np.pad(rows, ((0, 0), (1, 0)), constant_values=anbn.START))
    return Problem(config, seeds, schedule, lessons, begun)


def ours_trained(given: Problem) -> Transformers:
    """One program."""
    models, config = given.models, given.config
    tree = prefix_tree(*anbn.sequences(config.longest), anbn.OUTPUTS)
    second = Auxiliary(first=len(given.seeds), weight=config.weight, batch=given.lessons)
    for _ in train(models, tree, given.schedule, second):
        pass
    return models


def ours_written(given: Problem, models: Transformers) -> np.ndarray:
    """The likeliest tokens of all members; the draws are made, too."""
    draws = devices.generator("benchmark")
    write(models, given.prompts, end=anbn.END, generator=draws, repeats=given.config.samples)
    return write(models, given.prompts, end=anbn.END)[0]


def plain_trained(given: Problem, first: Decoder, member: int) -> Decoder:
    """The textbook loop for one member."""
    model, config, schedule = copy.deepcopy(first), given.config, given.schedule
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.learning_rate, weight_decay=0.0)
    read, wanted = anbn.sequences(config.longest)
    twin = member - len(given.seeds)
    for step in range(schedule.steps):
        optimizer.param_groups[0]["lr"] = schedule.rate(step)
        loss = functional.cross_entropy(model(read).flatten(0, 1), wanted.flatten(), ignore_index=anbn.IGNORED)
        if twin >= 0:
            lesson, answer = (part[twin] for part in given.lessons(step))
            logits = model(lesson).flatten(0, 1)
            loss = loss + config.weight * functional.cross_entropy(logits, answer.flatten(), ignore_index=anbn.IGNORED)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
        optimizer.step()
    return model


@torch.no_grad()
def plain_written(given: Problem, model: Decoder) -> Tensor:
    """The likeliest tokens of one member; the draws are made, too."""
    context = 2 * given.config.longest + 1
    drawn, likeliest = given.prompts.repeat_interleave(given.config.samples, 0), given.prompts
    for held, draw in ((drawn, True), (likeliest, False)):
        tokens, closed = held, torch.zeros(len(held), dtype=torch.bool)
        while tokens.shape[1] <= context and not closed.all():
            odds = model(tokens)[:, -1].softmax(-1)
            token = torch.multinomial(odds, 1).squeeze(1) if draw else odds.argmax(-1)
            token = torch.where(closed, anbn.END, token)
            closed = closed | (token == anbn.END)
            tokens = torch.cat([tokens, token.unsqueeze(1)], 1)
    missing = context + 1 - tokens.shape[1]
    return functional.pad(tokens, (0, missing), value=anbn.END)[:, given.prompts.shape[1] :]


def differences(given: Problem) -> tuple[float, float]:
    """After training: the largest relative difference of a member's loss, and the share of unequal completions."""
    models = ours_trained(given)
    read, wanted = anbn.sequences(given.config.longest)
    losses, unequal, firsts = [], [], given.models
    written = ours_written(given, models)
    for member in range(models.count):
        alone = plain_trained(given, Decoder(firsts, member), member)
        mine = token_loss(models(read[None], slice(member, member + 1)), wanted[None])
        theirs = token_loss(alone(read)[None], wanted[None])
        losses.append(float(((mine - theirs).abs() / theirs).detach()))
        again = plain_written(given, Decoder(models, member))
        unequal.append(float((again != torch.from_numpy(written[member])).any(1).double().mean()))
    return max(losses), max(unequal)


def _prepared(members: int = 2, width: int = 32, steps: int = 8) -> Callable[[], object]:
    given = problem(steps, num_seeds=members, width=width, hidden=2 * width)
    return lambda: ours_trained(given)


def rule_extrapolation() -> Iterator[Row | Growth]:
    """One thread: training, writing, and the whole, for which the plain code does one seed's three models."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        few, whole = problem(20), problem(BOOK.steps)
        apart, unequal = differences(few)
        assert apart < TOLERANCE, f"losses differ by {apart:.1e}"
        assert unequal < TOLERANCE, f"{unequal:.1%} of the completions differ"
        models, firsts = ours_trained(few), few.models
        first = [Decoder(firsts, member) for member in range(models.count)]
        done = [Decoder(models, member) for member in range(models.count)]
        one_seed = [variant * len(whole.seeds) for variant in range(len(VARIANTS))]
        name = f"a^n b^n, {len(VARIANTS)} variants, {len(few.seeds)} seeds"
        yield compare(
            f"{name}: {few.schedule.steps} updates",
            lambda: ours_trained(few),
            lambda: [plain_trained(few, model, member) for member, model in enumerate(first)],
            chapter=CHAPTER,
            rounds=3,
            note=f"losses equal to {apart:.0e} relative",
        )
        yield compare(
            f"{name}: {1 + few.config.samples} completions of {len(few.prompts)} prompts",
            lambda: ours_written(few, models),
            lambda: [plain_written(few, model) for model in done],
            chapter=CHAPTER,
            rounds=3,
            note="the likeliest completions are the same" if unequal == 0 else f"{unequal:.1%} differ",
        )
        yield compare(
            f"{name}: the whole, {whole.schedule.steps} updates",
            lambda: ours_written(whole, ours_trained(whole)),
            lambda: [plain_written(whole, plain_trained(whole, first[member], member)) for member in one_seed],
            chapter=CHAPTER,
            target=TARGET,
            rounds=2,
            plain_share=1 / len(whole.seeds),
        )
        for axis, sizes in (("members", (1, 2, 4, 8)), ("width", (16, 32, 64, 128)), ("steps", (5, 10, 20))):
            yield grown(CHAPTER, "training on a^n b^n", axis, sizes, lambda size, axis=axis: _prepared(**{axis: size}))  # type: ignore[misc]
    finally:
        torch.set_num_threads(before)
