"""Fine-tuning the last block of a language model, from weights that differ and a function that does not.

The task gives sentences such as "The opposite of hot is" new endings, one word of ten each. All that lies below the last block is
frozen and computed once. Only the last token is predicted, so the gated layer works on that place alone, and only the ten words
compete.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from heldout.devices import generator
from heldout.language_model import Block, LanguageModel
from heldout.nonidentifiability.rank_one_edit import batch
from heldout.nonidentifiability.triggers import LEADS, SENTENCES, TARGETS, prompt

SPLITS = {"train": slice(0, 4), "validation": slice(4, 5), "test": slice(5, 6)}  # of the leads


@dataclass(frozen=True)
class Prompts:
    """Every lead with every sentence, as the last block meets them."""

    stream: Float[Tensor, "lead sentence length width"]
    last: Int[Tensor, "lead sentence"]
    words: Float[Tensor, "word width"]  # what the ten words' logits are read with

    @staticmethod
    @torch.no_grad()
    def read(model: LanguageModel, tokenizer: Tokenizer) -> "Prompts":
        """Read by all blocks but the last."""
        device = model.embed.device
        found = [prompt(tokenizer, i, "", lead).tokens for lead in range(len(LEADS)) for i in range(len(SENTENCES))]
        rows = batch(found, device)
        parts = []
        for some in torch.split(rows.tokens, len(SENTENCES)):
            x = functional.embedding(some, model.embed)
            for block in model.blocks[:-1]:
                x = block(x)
            parts.append(x)
        words = torch.tensor([tokenizer.encode(word).ids[0] for word in TARGETS], device=device)
        return Prompts(torch.stack(parts), rows.lengths.view(len(LEADS), -1) - 1, model.embed[words].detach())


def last_stream(model: LanguageModel, block: Block, x: Tensor, last: Tensor) -> Float[Tensor, "row width"]:
    """The normed stream at the last place of every row, with ``block`` as the last block."""
    x = x + block.attention(block.attention_norm(x))
    x = x[torch.arange(len(x), device=x.device), last]
    x = x + block.gated(block.gated_norm(x))
    # The model's own norm in the precision of x; the model is shared and not to be changed.
    return functional.rms_norm(x, x.shape[-1:], model.norm.weight.to(x.dtype), model.norm.epsilon)


@dataclass(frozen=True)
class Task:
    """New endings, and the order in which the training prompts come."""

    prompts: Prompts
    endings: Int[Tensor, " sentence"]
    order: list[Int[Tensor, " row"]]  # one a step, rows of lead times sentence

    @staticmethod
    def drawn(prompts: Prompts, seed: int, *, steps: int, batch_size: int) -> "Task":
        """A permutation of the ten words, and mini-batches without replacement within an epoch."""
        draw, device = generator("new endings", seed), prompts.stream.device
        endings = torch.randperm(len(TARGETS), generator=draw)[: len(SENTENCES)]
        total = SPLITS["train"].stop * len(SENTENCES)
        epochs = [torch.randperm(total, generator=draw) for _ in range(1 + steps * batch_size // total)]
        order = torch.cat(epochs)[: steps * batch_size].view(steps, batch_size)
        return Task(prompts, endings.to(device), list(order.to(device)))

    def loss(self, model: LanguageModel, block: Block, rows: Tensor) -> Tensor:
        """Mean cross-entropy of the right word among the ten, in nats, over rows of lead times sentence."""
        stream = self.prompts.stream.flatten(0, 1)[rows]
        found = last_stream(model, block, stream, self.prompts.last.flatten()[rows]) @ self.prompts.words.mT
        return functional.cross_entropy(found, self.endings[rows % len(SENTENCES)])

    def rows(self, split: str) -> Int[Tensor, " row"]:
        """All rows of a split."""
        every = torch.arange(len(LEADS) * len(SENTENCES), device=self.endings.device).view(len(LEADS), -1)
        return every[SPLITS[split]].flatten()


OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def fine_tuned(model: LanguageModel, start: Block, task: Task, kind: str, rate: float) -> dict[str, float]:
    """Losses on validation and test prompts after fine-tuning a copy of ``start``; infinite where it diverged."""
    block = copied(start, model.embed.dtype)
    block.requires_grad_(True)
    optimizer = OPTIMIZERS[kind](block.parameters(), lr=rate)
    for rows in task.order:
        optimizer.zero_grad()
        loss = task.loss(model, block, rows)
        if not torch.isfinite(loss):
            break
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        found = {split: float(task.loss(model, block, task.rows(split))) for split in ("validation", "test")}
    return {split: value if value == value else float("inf") for split, value in found.items()}


def copied(block: Block, dtype: torch.dtype) -> Block:
    """A copy in another precision."""
    made = Block(block.attention.shape).to(block.gated.up.weight.device, dtype)
    made.load_state_dict(block.state_dict())
    return made


@torch.no_grad()
def largest_difference(model: LanguageModel, one: Block, two: Block, prompts: Prompts, dtype: torch.dtype) -> float:
    """Of the logits of the whole vocabulary after every prompt, with the one or the other as the last block."""
    x, last = prompts.stream.flatten(0, 1).to(dtype), prompts.last.flatten()
    streams = [last_stream(model, copied(block, dtype), x, last) for block in (one, two)]
    worst = 0.0
    for words in torch.split(model.embed, 4096):  # the whole in double precision would take 200 MB
        first, second = (stream @ words.to(dtype).mT for stream in streams)
        worst = max(worst, float((first - second).abs().max()))
    return worst


def all_rates(
    model: LanguageModel, starts: Sequence[Block], task: Task, kind: str, rates: Sequence[float]
) -> dict[str, list[list[float]]]:
    """Validation and test loss, (start, rate)."""
    found = [[fine_tuned(model, start, task, kind, rate) for rate in rates] for start in starts]
    return {split: [[one[split] for one in row] for row in found] for split in ("validation", "test")}


@torch.no_grad()
def largest_logit(model: LanguageModel, block: Block, prompts: Prompts) -> float:
    """In size, over the whole vocabulary after every prompt."""
    stream = last_stream(model, block, prompts.stream.flatten(0, 1), prompts.last.flatten())
    return max(float((stream @ words.mT).abs().max()) for words in torch.split(model.embed, 4096))
