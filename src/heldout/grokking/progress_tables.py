"""Tables of logits, one row a pair (a, b), what is left of them on a few frequencies, and tables that share some of their traits.

Rows stand in the order of :func:`heldout.grokking.modular.all_pairs`. A *fiber* is the set of pairs with one value of a key,
such as the sum a + b modulo P; on that one the right answer is the same.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heldout.grokking.fourier import basis
from heldout.losses import stable_cross_entropy

Table = Float[Tensor, "pairs modulus"]
_NEWTON_STEPS = 8


def projector(modulus: int, frequencies: Int[Tensor, " keys"]) -> Float[Tensor, "modulus modulus"]:
    """The orthogonal projection onto cosine and sine of each frequency, as functions of 0 .. P - 1."""
    waves = basis(modulus).to(frequencies.device)[torch.cat([2 * frequencies - 1, 2 * frequencies])]
    projection: Tensor = waves.T @ waves
    return projection


def strong_frequencies(spectrum: Float[Tensor, " frequencies"], times: float) -> Int[Tensor, " keys"]:
    """Frequencies with more than ``times`` the average power; the strongest alone where none has that much."""
    strong: Tensor = (spectrum > times * spectrum.mean()).nonzero()[:, 0] + 1
    return strong if len(strong) else spectrum.argmax().reshape(1) + 1


def fiber_means(
    table: Table, key: Int[Tensor, " pairs"], rows: Bool[Tensor, " pairs"] | None = None
) -> Float[Tensor, "modulus modulus"]:
    """The mean of the rows of each fiber, all rows or only the ones given; zero where a fiber has none."""
    if rows is not None:
        table, key = table[rows], key[rows]
    modulus = table.shape[1]
    total = torch.zeros(modulus, modulus, dtype=table.dtype, device=table.device).index_add_(0, key, table)
    return total / torch.bincount(key, minlength=modulus).clamp(min=1).unsqueeze(1)


def restricted(
    table: Table,
    key: Int[Tensor, " pairs"],
    frequencies: Int[Tensor, " keys"],
    rows: Bool[Tensor, " pairs"] | None = None,
) -> Table:
    """A table's mean, and its part along cosine and sine of the frequencies as functions of the key.

    With the sum as key and all rows, the logits of Nanda et al.'s restricted loss (arXiv 2301.05217, section 5.1): their
    projection of the P^2 rows on cos(w(a + b)) is one of the fiber means, since every fiber holds P pairs.
    """
    means = fiber_means(table, key, rows)
    kept: Tensor = projector(table.shape[1], frequencies) @ means + means.mean(0)
    return kept[key]


def filtered(table: Table, frequencies: Int[Tensor, " keys"]) -> Table:
    """Each row on its own: its part along the frequencies as a function of the answer c. No row sees another."""
    kept: Tensor = table @ projector(table.shape[1], frequencies)
    return kept


def scattering(right: Int[Tensor, " pairs"], modulus: int, generator: torch.Generator) -> Int[Tensor, "pairs modulus"]:
    """For each row a random order of the answers that leaves the right one in its place; for :func:`scattered`."""
    order = torch.rand(len(right), modulus, generator=generator).argsort(1)
    # Exchange the right answer's place with wherever it was sent.
    place = torch.arange(len(right))
    held = order[place, right].clone()
    sent = (order == right.unsqueeze(1)).int().argmax(1)
    order[place, sent] = held
    order[place, right] = right
    return order


def scattered(table: Table, order: Int[Tensor, "pairs modulus"]) -> Table:
    """Each row with its wrong answers' logits exchanged among the wrong answers.

    A row keeps its numbers and the right answer's number, and with them whether it is right, by what margin, at which rank, and
    its cross-entropy at every temperature. Lost is which wrong answer had which logit, in any relation to a, b or a + b.
    """
    return table.gather(1, order)


def one_answer(
    answers: Int[Tensor, " pairs"], right: Int[Tensor, " pairs"], modulus: int, generator: torch.Generator
) -> tuple[Table, Table]:
    """One vote a row for its answer; and the same where each wrong answer is replaced by a uniform random wrong one."""
    random = (right + torch.randint(1, modulus, right.shape, generator=generator).to(right)) % modulus
    independent = torch.where(answers == right, answers, random)
    votes = [torch.nn.functional.one_hot(given, modulus).float() for given in (answers, independent)]
    return votes[0], votes[1]


def accuracy(table: Table, right: Int[Tensor, " pairs"]) -> Tensor:
    """Share of rows whose largest entry is the right one."""
    return (table.argmax(1) == right).float().mean()


def loss(table: Table, right: Int[Tensor, " pairs"]) -> Tensor:
    """Mean cross-entropy in nats."""
    return stable_cross_entropy(table, right).mean()


def calibrated_loss(table: Table, right: Int[Tensor, " pairs"]) -> Tensor:
    """Mean cross-entropy at the best single temperature, which is fitted to these rows; at most log P.

    The loss of ``scale * table`` is convex in the scale, so Newton's method finds its minimum; no scale below 0 is allowed.
    """
    table = table - table.gather(1, right.unsqueeze(1))
    table = table / table.square().mean().sqrt().clamp(min=1e-12)
    scale = torch.ones((), dtype=table.dtype, device=table.device)
    for _ in range(_NEWTON_STEPS):
        weights = (scale * table).softmax(1)
        mean = (weights * table).sum(1)
        curve = (weights * table.square()).sum(1) - mean.square()
        moved = scale - mean.mean() / curve.mean().clamp(min=1e-12)
        # Far out the loss is nearly straight and a step too long: at most a factor 4 at a time.
        scale = torch.minimum(torch.maximum(moved, scale / 4), scale * 4)
    tried = torch.stack([loss(scale * table, right), loss(0 * table, right), loss(table, right)])
    return tried.min()
