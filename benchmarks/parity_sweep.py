"""A width sweep on multitask sparse parity: all widths and seeds as one program against one network after the other.

The plain code is the textbook: a one-hot task number beside the bits, ``nn.Sequential``, samples made task by task as in the
script of Michaud et al. 2023 (arXiv 2303.13506), and ``torch.optim.AdamW``. Both make as many updates on as many samples.
"""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness import Row, compare
from heldout.devices import generator
from heldout.optimizers import Optimizer
from heldout.quanta.parity import Batch, Tasks, online, random_tasks, zipf
from heldout.quanta.parity_networks import ParityMLP, Together, train

TASKS, BITS, BATCH, RATE, STEPS = 30, 20, 300, 5e-3, 40
WIDTHS, SEEDS = (8, 12, 16, 24, 32, 48, 64, 96), (0, 1, 2)
TOLERANCE = 1e-4  # largest difference of any weight after training on the same samples


def problem() -> tuple[list[Tasks], list[list[ParityMLP]]]:
    """Tasks and initial networks, a row a seed."""
    tasks = [random_tasks(seed, TASKS, BITS, 3, zipf(TASKS, 0.5)) for seed in SEEDS]
    nets = [[ParityMLP(TASKS, BITS, w, generator=generator("benchmark", seed, w)) for w in WIDTHS] for seed in SEEDS]
    return tasks, nets


def ours(tasks: list[Tasks], nets: list[list[ParityMLP]]) -> Together:
    """One program."""
    together = Together(nets, torch.device("cpu"))
    sources = [online(each, BATCH, "benchmark", seed) for each, seed in zip(tasks, SEEDS, strict=True)]
    train(together, sources, steps=STEPS, learning_rate=RATE, optimizer=Optimizer(kind="adamw"))
    return together


def sequential(net: ParityMLP) -> nn.Sequential:
    """The same network on a one-hot task number and bits."""
    first, last = nn.Linear(TASKS + BITS, len(net.readout)), nn.Linear(len(net.readout), 1)
    with torch.no_grad():
        first.weight.copy_(torch.cat([net.embed, net.bits]).T)
        first.bias.copy_(net.bias)
        last.weight.copy_(net.readout[None])
        last.bias.copy_(net.offset)
    return nn.Sequential(first, nn.ReLU(), last)


def task_by_task(tasks: Tasks, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A batch as the script makes it: how many samples of each task, then each task's samples."""
    counts = np.bincount(random.choice(TASKS, size=BATCH, p=tasks.probabilities), minlength=TASKS)
    inputs, labels = [], []
    for task, count in enumerate(counts):
        if count:
            raw = torch.randint(0, 2, (int(count), BITS))
            one_hot = torch.zeros(int(count), TASKS)
            one_hot[:, task] = 1
            inputs.append(torch.cat([one_hot, 1 - 2 * raw.float()], 1))
            labels.append(raw[:, list(tasks.subsets[task])].sum(1) % 2)
    return torch.cat(inputs), torch.cat(labels).float()


def given(stream: Iterator[Batch]) -> tuple[Tensor, Tensor]:
    """Our own samples in the plain form, for the comparison of results."""
    batch = next(stream)
    return torch.cat([functional.one_hot(batch.task, TASKS).float(), batch.bits], 1), batch.label


def plain(tasks: list[Tasks], nets: list[list[ParityMLP]], *, same: bool = False) -> list[list[nn.Sequential]]:
    """What a reader would write; with ``same`` on the samples that ours sees."""
    found = []
    for each, seed, row in zip(tasks, SEEDS, nets, strict=True):
        found.append([sequential(copy.deepcopy(net)) for net in row])
        for model in found[-1]:
            optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
            random, stream = np.random.default_rng(seed), online(each, BATCH, "benchmark", seed)
            for _ in range(STEPS):
                x, y = given(stream) if same else task_by_task(each, random)
                loss = functional.binary_cross_entropy_with_logits(model(x).squeeze(1), y)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                optimizer.step()
    return found


def largest_difference(tasks: list[Tasks], nets: list[list[ParityMLP]]) -> float:
    """Largest difference of any weight on the bits or in the readout after the same samples."""
    together, apart = ours(tasks, nets), plain(tasks, nets, same=True)
    differences = []
    for i, row in enumerate(apart):
        for j, model in enumerate(row):
            mine, (first, _, last) = together.network(i, j), model
            differences.append(float((mine["bits"] - first.weight.detach().T[TASKS:]).abs().max()))
            differences.append(float((mine["readout"] - last.weight.detach()[0]).abs().max()))
    return max(differences)


def parity_sweep() -> Iterator[Row]:
    """One thread, the widths of the book's sweep, three seeds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        tasks, nets = problem()
        apart = largest_difference(tasks, nets)
        assert apart < TOLERANCE, f"weights differ by {apart:.1e}"
        # A product with the bits forward and one backward; the readout's are small.
        operations = STEPS * len(SEEDS) * BATCH * sum(WIDTHS) * 2 * 2 * (BITS + 1)
        yield compare(
            f"parity sweep, {len(WIDTHS)} widths, {len(SEEDS)} seeds, {STEPS} updates",
            lambda: ours(tasks, nets),
            lambda: plain(tasks, nets),
            operations=float(operations),
            rounds=3,
            note=f"weights equal to {apart:.0e} on the same samples",
        )
    finally:
        torch.set_num_threads(before)
