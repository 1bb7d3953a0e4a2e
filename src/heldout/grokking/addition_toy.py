"""Liu et al.'s toy: numbers from 0 to p - 1 get one learned coordinate each, two are added, and a decoder names the sum.

The task, network and measures of Liu et al. 2022 (arXiv 2205.10343, section 3). The sum is of ordinary numbers, not modulo p,
and a pair counts once whatever its order, so there are p (p + 1) / 2 pairs and 2 p - 1 classes. A *parallelogram* is two pairs
of one sum; an embedding *realizes* it when the two sums of coordinates agree as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heldout.devices import generator
from heldout.ensemble import History, Optimizer, Snapshot, TrainingData, train
from heldout.networks import MLP

OUTPUTS = 30  # entries of a target vector, as in the paper
TOLERANCE = 0.01  # largest mean square by which a realized parallelogram may stay open, on standardized coordinates
REACHED = 0.9  # accuracy from which a set counts as learned, the paper's threshold
STRUCTURED = 0.95  # RQI from which an embedding counts as structured, the paper's threshold
_MOST_DRAWS = 1000
_ZERO = 1e-9


def pairs(p: int) -> Int[Tensor, "pairs 2"]:
    """All pairs (i, j) with i <= j, i outermost."""
    return torch.combinations(torch.arange(p), with_replacement=True)


def counts(p: int) -> Float[Tensor, "pairs p"]:
    """Each pair as a row that counts how often each number occurs in it; a row times an embedding is the pair's sum."""
    return torch.nn.functional.one_hot(pairs(p), p).sum(1).float()


def parallelograms(p: int) -> Int[Tensor, "parallelograms 2"]:
    """All unordered choices of two pairs with one sum, as positions in :func:`pairs`."""
    two = torch.combinations(torch.arange(len(pairs(p))))
    sums = pairs(p).sum(1)
    return two[sums[two[:, 0]] == sums[two[:, 1]]]


def equations(p: int) -> Float[Tensor, "parallelograms p"]:
    """The linear equation of each parallelogram: E_i + E_j - E_k - E_l, in float64."""
    first, second = parallelograms(p).T
    rows = counts(p).double()
    return rows[first] - rows[second]


def in_training(p: int, chosen: Int[Tensor, " train"]) -> Tensor:
    """Which parallelograms have both of their pairs in the training set, (parallelograms,) of bool."""
    held = torch.zeros(len(pairs(p)), dtype=torch.bool)
    held[chosen] = True
    return held[parallelograms(p)].all(1)


def quadratic_form(p: int, chosen: Int[Tensor, " train"]) -> Float[Tensor, "p p"]:
    """The matrix H of the effective loss: E^T H E sums the squares by which the training set's parallelograms stay open."""
    rows = equations(p)[in_training(p, chosen)]
    return rows.T @ rows


def ideal_accuracy(p: int, chosen: Int[Tensor, " train"], *, implied: bool = True) -> float:
    """The share of held-out pairs that an embedding can make equal to a training pair of the same sum.

    Args:
        implied: count only pairs whose parallelogram with a training pair follows, as a linear equation, from those of the
            training set (the paper's ideal accuracy); otherwise all that share their sum with a training pair.
    """
    held = torch.zeros(len(pairs(p)), dtype=torch.bool)
    held[chosen] = True
    both = parallelograms(p)
    mixed = held[both].sum(1) == 1
    if implied:
        rows = equations(p)
        _, values, right = torch.linalg.svd(rows[in_training(p, chosen)], full_matrices=False)
        basis = right[values > _ZERO]
        mixed &= (rows - rows @ basis.T @ basis).norm(dim=1) < 1e-6
    answered = torch.zeros_like(held)
    answered[both[mixed].flatten()] = True
    return float(answered[~held].double().mean())


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one seed is trained on.

    Attributes:
        train: (train,) positions of the training pairs in :func:`pairs`, increasing.
        classes: (pairs,) what each pair is to be called: its sum, or a shuffled one.
        vectors: (classes, OUTPUTS) the random target of each class.
        passed_over: splits drawn and refused before this one.
    """

    train: Int[Tensor, " train"]
    classes: Int[Tensor, " pairs"]
    vectors: Float[Tensor, "classes outputs"]
    passed_over: int


def task(p: int, num_train: int, seed: int, *, least_ideal: float = 0.0, shuffled: bool = False) -> Task:
    """The first split of a seed whose ideal accuracy is at least ``least_ideal``, and the seed's targets.

    Raises:
        ValueError: no split in a thousand is good enough.
    """
    draws = generator("addition split", p, seed)
    # A larger training set contains a smaller one of the same draw.
    splits = (torch.randperm(len(pairs(p)), generator=draws)[:num_train].sort().values for _ in range(_MOST_DRAWS))
    good = next(((n, one) for n, one in enumerate(splits) if ideal_accuracy(p, one) >= least_ideal), None)
    if good is None:
        raise ValueError(f"least_ideal={least_ideal!r}: must be reached by some split with {num_train} training pairs")
    passed_over, chosen = good
    classes = pairs(p).sum(1)
    if shuffled:
        classes = classes[torch.randperm(len(classes), generator=generator("shuffled sums", p, seed))]
    vectors = torch.randn(2 * p - 1, OUTPUTS, generator=generator("addition targets", p, seed))
    return Task(train=chosen, classes=classes, vectors=vectors, passed_over=passed_over)


class AdditionToy(nn.Module):
    """``decoder(E_i + E_j)``: one learned vector a number, uniform in +-1/2, and an MLP with two tanh layers."""

    def __init__(self, p: int, dimension: int, width: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.embed = nn.Parameter(torch.rand(p, dimension, generator=generator) - 0.5)
        self.decoder = MLP(dimension, (width, width), OUTPUTS, generator=generator, activation="tanh")

    def forward(self, rows: Float[Tensor, "batch p"]) -> Float[Tensor, "batch outputs"]:
        """Output vectors of pairs given as rows of :func:`counts`."""
        result: Tensor = self.decoder(rows @ self.embed)
        return result


def toy(p: int, dimension: int, width: int, seed: int) -> AdditionToy:
    """The network that a seed starts from; its embedding does not depend on the decoder's width."""
    return AdditionToy(p, dimension, width, generator=generator("addition toy", p, dimension, seed))


def rqi(embedding: Float[Tensor, "*batch p dimension"]) -> Float[Tensor, " *batch"]:
    """The representation quality index: the share of parallelograms that an embedding realizes.

    Coordinates are first shifted and scaled to mean 0 and standard deviation 1; a parallelogram is realized when it then
    stays open by less than TOLERANCE, in mean square over the dimensions.
    """
    standard = (embedding - embedding.mean(-2, keepdim=True)) / embedding.std(-2, keepdim=True)
    open_by = equations(embedding.shape[-2]).to(embedding) @ standard
    return (open_by.square().mean(-1) < TOLERANCE).double().mean(-1)


class Measures:
    """A probe: accuracy on training and held-out pairs by the nearest target vector, and the embedding."""

    def __init__(self, p: int, tasks: Sequence[Task], device: torch.device) -> None:
        self._rows = counts(p).to(device)
        self._vectors = torch.stack([one.vectors for one in tasks]).to(device)
        self._classes = torch.stack([one.classes for one in tasks]).to(device)
        held = torch.zeros(len(tasks), len(self._rows), dtype=torch.bool)
        for member, one in enumerate(tasks):
            held[member, one.train] = True
        self._held = held.to(device)

    def __call__(self, snapshot: Snapshot) -> dict[str, Tensor]:
        """train_accuracy, test_accuracy (members,) and embedding (members, p, dimension)."""
        mine = snapshot.members
        outputs = snapshot.predict(self._rows)
        right = torch.cdist(outputs, self._vectors[mine]).argmin(-1) == self._classes[mine]
        held = self._held[mine]
        # The order of named_states is the layouts' own.
        states = dict(snapshot.named_states())
        return {
            # In float64, where nine of ten is not below 0.9.
            "train_accuracy": (right & held).sum(1).double() / held.sum(1),
            "test_accuracy": (right & ~held).sum(1).double() / (~held).sum(1),
            "embedding": torch.stack([states[int(member)]["embed"] for member in mine]),
        }


def train_toys(
    p: int,
    members: Sequence[nn.Module],
    tasks: Sequence[Task],
    *,
    steps: int,
    probe_steps: Sequence[int],
    embedding_rate: float | Sequence[float],
    decoder_rate: float | Sequence[float],
    embedding_decay: float = 0.0,
    decoder_decay: float | Sequence[float] = 0.0,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> History:
    """Full-batch AdamW on the mean squared error, all members at once, embedding and decoder at rates of their own.

    Args:
        tasks: one a member; members that are given the same object share a stream of inputs.
    """
    distinct = list({id(one): one for one in tasks}.values())
    position = {id(one): index for index, one in enumerate(distinct)}
    largest = max(len(one.train) for one in distinct)
    inputs, targets = zip(*(_padded(p, one, largest) for one in distinct), strict=True)
    streams = [position[id(one)] for one in tasks]
    return train(
        members, TrainingData(inputs=torch.stack(inputs), targets=torch.stack(targets)[streams], streams=streams),
        steps=steps, learning_rate={"embed": embedding_rate, "decoder": decoder_rate},
        weight_decay={"embed": embedding_decay, "decoder": decoder_decay}, optimizer=Optimizer(kind="adamw"),
        loss=_weighted_error, probe=Measures(p, tasks, device), probe_steps=probe_steps, device=device, progress=progress,
    )  # fmt: skip


def _padded(p: int, one: Task, samples: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets of one task; rows of weight 0 fill it up, so that tasks of different sizes train together."""
    missing = samples - len(one.train)
    rows = counts(p)[one.train]
    wanted = one.vectors[one.classes[one.train]]
    weighted = torch.cat([wanted, torch.full((len(wanted), 1), samples / len(wanted))], dim=1)
    return nn.functional.pad(rows, (0, 0, 0, missing)), nn.functional.pad(weighted, (0, 0, 0, missing))


def _weighted_error(
    outputs: Float[Tensor, "members samples outputs"], targets: Float[Tensor, "members samples outputs_and_weight"]
) -> Float[Tensor, "members samples"]:
    """The mean squared error of each sample times its weight, which stands behind the target vector."""
    return (outputs - targets[..., :-1]).square().mean(-1) * targets[..., -1]
