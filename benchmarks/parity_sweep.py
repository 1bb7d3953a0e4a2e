"""A width sweep on multitask sparse parity: all widths and seeds as one program against one network after the other.

The plain code is the textbook: a one-hot task number beside the bits, ``nn.Sequential``, samples made task by task as in the
script of Michaud et al. 2023 (arXiv 2303.13506), and ``torch.optim.AdamW``. Both make as many updates on as many samples.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness import NOT_SLOWER, Growth, Row, compare, grown
from heldout.devices import generator
from heldout.optimizers import Optimizer
from heldout.quanta.parity import Batch, Tasks, online, random_tasks, zipf
from heldout.quanta.parity_networks import ParityMLP, Together, train

CHAPTER, TARGET = "quanta", 3.0
RATE = 5e-3


@dataclass(frozen=True, kw_only=True)
class Size:
    """Of a sweep."""

    alpha: float
    tasks: int
    bits: int
    batch: int
    widths: tuple[int, ...]
    seeds: tuple[int, ...]
    steps: int
    tolerance: float  # of the relative difference of a network's weights after training on the same samples


BOOK = Size(
    alpha=0.5,
    tasks=30,
    bits=20,
    batch=300,
    widths=(8, 12, 16, 24, 32, 48, 64, 96),
    seeds=(0, 1, 2),
    steps=40,
    tolerance=1e-4,
)
# The paper's tasks, bits, samples an update and widths; few of its 200,000 updates.
PAPER = Size(
    alpha=0.4,
    tasks=500,
    bits=100,
    batch=20_000,
    widths=tuple(int(w) for w in np.geomspace(10, 500, 30)),
    seeds=(0,),
    steps=3,
    tolerance=1e-2,  # Adam moves a weight whose gradient is rounding by a whole step
)


def problem(size: Size) -> tuple[list[Tasks], list[list[ParityMLP]]]:
    """Tasks and initial networks, a row a seed."""
    tasks = [random_tasks(seed, size.tasks, size.bits, 3, zipf(size.tasks, size.alpha)) for seed in size.seeds]
    nets = [
        [ParityMLP(size.tasks, size.bits, w, generator=generator("benchmark", seed, w)) for w in size.widths]
        for seed in size.seeds
    ]
    return tasks, nets


def ours(size: Size, tasks: list[Tasks], nets: list[list[ParityMLP]]) -> Together:
    """One program."""
    together = Together(nets, torch.device("cpu"))
    sources = [online(each, size.batch, "benchmark", seed) for each, seed in zip(tasks, size.seeds, strict=True)]
    train(together, sources, steps=size.steps, learning_rate=RATE, optimizer=Optimizer(kind="adamw"))
    return together


def sequential(size: Size, net: ParityMLP) -> nn.Sequential:
    """The same network on a one-hot task number and bits."""
    first, last = nn.Linear(size.tasks + size.bits, len(net.readout)), nn.Linear(len(net.readout), 1)
    with torch.no_grad():
        first.weight.copy_(torch.cat([net.embed, net.bits]).T)
        first.bias.copy_(net.bias)
        last.weight.copy_(net.readout[None])
        last.bias.copy_(net.offset)
    return nn.Sequential(first, nn.ReLU(), last)


def task_by_task(size: Size, tasks: Tasks, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A batch as the script makes it: how many samples of each task, then each task's samples."""
    counts = np.bincount(random.choice(size.tasks, size=size.batch, p=tasks.probabilities), minlength=size.tasks)
    inputs, labels = [], []
    for task, count in enumerate(counts):
        if count:
            raw = torch.randint(0, 2, (int(count), size.bits))
            one_hot = torch.zeros(int(count), size.tasks)
            one_hot[:, task] = 1
            inputs.append(torch.cat([one_hot, 1 - 2 * raw.float()], 1))
            labels.append(raw[:, list(tasks.subsets[task])].sum(1) % 2)
    return torch.cat(inputs), torch.cat(labels).float()


def given(size: Size, stream: Iterator[Batch]) -> tuple[Tensor, Tensor]:
    """Our own samples in the plain form, for the comparison of results."""
    batch = next(stream)
    return torch.cat([functional.one_hot(batch.task, size.tasks).float(), batch.bits], 1), batch.label


def plain(
    size: Size, tasks: list[Tasks], nets: list[list[ParityMLP]], *, same: bool = False
) -> list[list[nn.Sequential]]:  # fmt: skip
    """What a reader would write; with ``same`` on the samples that ours sees."""
    found = []
    for each, seed, row in zip(tasks, size.seeds, nets, strict=True):
        found.append([sequential(size, copy.deepcopy(net)) for net in row])
        for model in found[-1]:
            optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
            random, stream = np.random.default_rng(seed), online(each, size.batch, "benchmark", seed)
            for _ in range(size.steps):
                x, y = given(size, stream) if same else task_by_task(size, each, random)
                loss = functional.binary_cross_entropy_with_logits(model(x).squeeze(1), y)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                optimizer.step()
    return found


def relative_difference(size: Size, tasks: list[Tasks], nets: list[list[ParityMLP]]) -> float:
    """Largest relative difference of a network's weights on the bits, or its readout, after the same samples.

    Relative to their length: Adam moves a weight whose gradient is rounding by a whole step.
    """
    together, apart = ours(size, tasks, nets), plain(size, tasks, nets, same=True)
    differences = []
    for i, row in enumerate(apart):
        for j, (first, _, last) in enumerate(row):
            mine = together.network(i, j)
            pairs = ((mine["bits"], first.weight.T[size.tasks :]), (mine["readout"], last.weight[0]))
            differences += [float(((own - other).norm() / other.norm()).detach()) for own, other in pairs]
    return max(differences)


def parity_sweep() -> Iterator[Row | Growth]:
    """One thread: the widths of the book's sweep with three seeds, and the paper's size with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield row("parity sweep", BOOK, rounds=3, target=TARGET)
        yield row("parity sweep, the paper's size", PAPER, rounds=2, target=NOT_SLOWER)
        for axis, sizes in (("members", (1, 2, 4, 8)), ("width", (32, 64, 128, 256)), ("steps", (10, 20, 40))):
            yield grown(CHAPTER, "parity sweep", axis, sizes, lambda size, axis=axis: _prepared(**{axis: size}))  # type: ignore[misc]
    finally:
        torch.set_num_threads(before)


def _prepared(members: int = 2, width: int = 64, steps: int = 20) -> Callable[[], object]:
    size = replace(BOOK, widths=(width,) * 4, seeds=tuple(range(members)), steps=steps)
    given = problem(size)
    return lambda: ours(size, *given)


def row(name: str, size: Size, *, rounds: int, target: float) -> Row:
    """Both on one sweep."""
    tasks, nets = problem(size)
    apart = relative_difference(size, tasks, nets)
    assert apart < size.tolerance, f"weights differ by {apart:.1e}"
    return compare(
        f"{name}, {len(size.widths)} widths, {len(size.seeds)} seeds, {size.steps} updates",
        lambda: ours(size, tasks, nets),
        lambda: plain(size, tasks, nets),
        chapter=CHAPTER,
        target=target,
        rounds=rounds,
        note=f"weights equal to {apart:.0e} on the same samples",
    )
