"""New names in a frozen language model: their pairs, the training of their rows, and what the rows then answer.

A name stands in lines such as ``France NAME Paris`` for a relation of words. It has no letters; all that the model has of it is
one row of the embedding table. Rows of all seeds, arms and relations are trained side by side and do not see each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from heldout.connecting_dots.frozen_reading import Past, read, read_tokens, with_names
from heldout.connecting_dots.word_pairs import COUNT, RELATIONS
from heldout.devices import generator
from heldout.experiment import Progress
from heldout.language_model import START, LanguageModel

TRAINED, ARMS = 20, ("real", "shuffled")
TEMPLATES = {  # what stands before the name, and after it; then a relation is to be named
    "means": ("\nThe word", " means"),
    "list": ("\nlarge = big\nhappy = glad\nkid = child\n", " ="),
    "short": ("\nHere", " is short for"),
    "which": ("\nThe word for this is", ", which means"),
}
LINES_AT_ONCE = 256


@dataclass(frozen=True)
class Reader:
    """The model, its tokenizer, and what of the lines is read once."""

    model: LanguageModel
    tokenizer: Tokenizer
    inputs: tuple[str, ...]  # every word that stands first in a line
    past: Past  # of the line as far as the name, a line an input

    @classmethod
    def of(cls, model: LanguageModel, tokenizer: Tokenizer, relations: Sequence[str]) -> "Reader":
        """A reader of the lines of these relations."""
        inputs = tuple(sorted({first for name in relations for first, _ in RELATIONS[name]}))
        lines = [tokenizer.encode(f"{START}\n {word}").ids for word in inputs] or [[0]]
        return cls(model, tokenizer, inputs, read_tokens(model, torch.tensor(lines, device=model.embed.device)))

    def tokens(self, text: str) -> Int[Tensor, " place"]:
        """A text as tokens."""
        return torch.tensor(self.tokenizer.encode(text).ids, dtype=torch.long, device=self.model.embed.device)

    def token(self, word: str) -> int:
        """The one token of a word after a space."""
        (token,) = self.tokenizer.encode(f" {word}").ids
        return token


@dataclass(frozen=True)
class Names:
    """Names (seed, arm, relation), flattened, and their pairs; of each, the first TRAINED are trained on."""

    seeds: tuple[int, ...]
    relations: tuple[str, ...]
    inputs: Int[Tensor, "name pair"]  # places in the reader's inputs
    true: Int[Tensor, "name pair"]  # tokens
    shown: Int[Tensor, "name pair"]  # tokens: what training shows in their place

    @classmethod
    def drawn(cls, reader: Reader, seeds: Sequence[int], relations: Sequence[str]) -> "Names":
        """Which pairs are held out, and how the others are shuffled, drawn for each seed and relation."""
        place = {word: number for number, word in enumerate(reader.inputs)}
        inputs, true, shown = [], [], []
        for seed in seeds:
            for arm in ARMS:
                for name in relations:
                    order = torch.randperm(
                        COUNT, generator=generator("word relations", "held out", seed, name)
                    ).tolist()
                    pairs = [RELATIONS[name][number] for number in order]
                    answers = [reader.token(second) for _, second in pairs]
                    moved = shuffled(seed, name) if arm == "shuffled" else list(range(TRAINED))
                    inputs.append([place[first] for first, _ in pairs])
                    true.append(answers)
                    shown.append([answers[number] for number in moved] + answers[TRAINED:])
        device = reader.model.embed.device
        stacked = (torch.tensor(each, device=device) for each in (inputs, true, shown))
        return cls(tuple(seeds), tuple(relations), *stacked)

    def __len__(self) -> int:
        """How many names there are."""
        return len(self.inputs)

    def shaped(self, values: Tensor) -> Tensor:
        """Values (name, ...) as (seed, arm, relation, ...)."""
        return values.reshape(len(self.seeds), -1, len(self.relations), *values.shape[1:])

    def of_arm(self, arm: int) -> "Names":
        """The names of one arm alone."""
        parts = (self.shaped(each)[:, arm].flatten(0, 1) for each in (self.inputs, self.true, self.shown))
        return Names(self.seeds, self.relations, *parts)


def shuffled(seed: int, relation: str) -> list[int]:
    """A random order of the trained pairs' answers, drawn uniformly, so that it tells nothing of the true one."""
    order = torch.randperm(TRAINED, generator=generator("word relations", "shuffled", seed, relation))
    return [int(number) for number in order]


def started(model: LanguageModel, names: Names, spread: float) -> Float[Tensor, "name width"]:
    """Rows about the mean of the table's, ``spread`` standard deviations away; the arms of a seed start at one place."""
    mean, deviation = model.embed.mean(0), model.embed.std(0)
    rows = []
    for seed in names.seeds:
        drawn = [
            torch.randn(len(mean), generator=generator("word relations", "row", seed, name)) for name in names.relations
        ]
        rows += drawn * len(ARMS)
    return mean + spread * deviation * torch.stack(rows).to(mean.device)


@dataclass(frozen=True)
class Training:
    """How rows are trained."""

    steps: int
    lines: int  # of each name an update
    rate: float
    shortlist: int = 8192  # tokens, the most frequent, that compete with the relations' words in training
    warm_up: int = 5
    slower_from: float = 0.6  # of the steps, from where the rate is a third
    half: bool = False  # products of matrices in bfloat16; what rows then answer is read in float32 all the same


def train(
    reader: Reader, names: Names, rows: Float[Tensor, "name width"], how: Training, progress: Progress
) -> tuple[Float[Tensor, "name width"], Float[Tensor, "name step"]]:
    """The rows after training, and every name's loss in nats a pair along the way.

    Adam with one second moment a row, so that a row moves along its averaged gradient; each name has its own pairs alone.
    """
    embed = reader.model.embed
    words = torch.cat([torch.arange(how.shortlist, device=embed.device), names.true.flatten()]).unique()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    head, targets = embed[words].clone(), torch.searchsorted(words, names.shown[:, :TRAINED].contiguous())
    rows = rows.clone().requires_grad_()
    mean, square = torch.zeros_like(rows), torch.zeros_like(rows[:, :1])
    order = torch.cat([torch.randperm(TRAINED, generator=generator("word relations", "order", k)) for k in range(
        how.steps * how.lines // TRAINED + 1)]).to(embed.device)  # fmt: skip
    losses = []
    for step in range(how.steps):
        now = order[step * how.lines : (step + 1) * how.lines]
        who = torch.arange(len(names), device=embed.device).repeat_interleave(how.lines)
        inputs, wanted = names.inputs[:, now].flatten(), targets[:, now].flatten()
        gradient, found = torch.zeros_like(rows), list[Tensor]()
        for some in torch.split(torch.arange(len(who), device=embed.device), LINES_AT_ONCE):
            with torch.autocast(embed.device.type, torch.bfloat16, enabled=how.half):
                stream, _ = read(reader.model, rows[who[some], None], reader.past[inputs[some]])
                logits = stream @ head.mT
            loss = functional.cross_entropy(logits.to(embed.dtype), wanted[some], reduction="none")
            gradient += torch.autograd.grad(loss.sum() / how.lines, rows)[0]
            found.append(loss.detach().float())
        losses.append(torch.cat(found).view(len(names), how.lines).mean(1))
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.95 * square + 0.05 * gradient.square().mean(1, keepdim=True)
        rate = how.rate * min(1.0, (step + 1) / how.warm_up) * (1.0 if step < how.slower_from * how.steps else 0.3)
        size = (square / (1 - 0.95 ** (step + 1))).sqrt() + 1e-12
        rows = (rows.detach() - rate * mean / (1 - 0.9 ** (step + 1)) / size).requires_grad_()
        progress(step + 1, how.steps)
    return rows.detach(), torch.stack(losses, 1)


@torch.no_grad()
def answers(
    reader: Reader, rows: Float[Tensor, "name width"], inputs: Int[Tensor, "name pair"]
) -> Int[Tensor, "name pair"]:
    """The first choice among all tokens after ``INPUT NAME``."""
    found = []
    who = torch.arange(len(rows), device=rows.device).repeat_interleave(inputs.shape[1])
    for some in torch.split(torch.arange(len(who), device=rows.device), LINES_AT_ONCE):
        past = reader.past[inputs.flatten()[some]]
        stream, _ = read(reader.model, rows[who[some], None], past)
        found.append((stream @ reader.model.embed.mT).argmax(-1))
    return torch.cat(found).view(inputs.shape)


@torch.no_grad()
def named(
    reader: Reader, rows: Float[Tensor, "name width"], template: tuple[str, str], labels: Sequence[str]
) -> Float[Tensor, "name label"]:
    """Log-probability, in nats, that the label of a relation follows a sentence about the name."""
    before, after = reader.tokens(START + template[0]), reader.tokens(template[1])
    past, wanted = read_tokens(reader.model, before[None]), torch.tensor([reader.token(label) for label in labels])
    found = []
    for some in torch.split(rows, LINES_AT_ONCE):
        lines = torch.zeros(len(some), dtype=torch.long, device=rows.device)
        stream, _ = read(reader.model, with_names(reader.model, some, after), past[lines])
        found.append((stream @ reader.model.embed.mT).float().log_softmax(-1)[:, wanted.to(rows.device)])
    return torch.cat(found)


def is_answer(chosen: Int[Tensor, "name pair"], true: Int[Tensor, "name answer"]) -> Bool[Tensor, "name pair"]:
    """Whether a choice is an answer of the relation at all, to whatever input."""
    return (chosen[..., None] == true[:, None]).any(-1)
