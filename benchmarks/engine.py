"""The training engine against the plain loop over models, tensors already in memory, same members, steps and batches."""

import copy
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn import functional

from benchmarks.harness import MOST_ROUNDS, NOT_SLOWER, ROUNDS, Growth, Row, compare, grown
from heldout import devices, memory
from heldout.ensemble import TrainingData, train
from heldout.networks import MLP

FEATURES, CLASSES, SAMPLES, BATCH, RATE = 64, 10, 1000, 100, 1e-3
WIDTHS = (4, 6, 10, 16, 25, 40, 64, 102, 161, 256)
SEEDS = 4
TOLERANCE = 1e-4
CHAPTER, TARGET = "double_descent", 5.0


def population(hidden: tuple[tuple[int, ...], ...], seeds: int) -> tuple[list[nn.Module], TrainingData]:
    """One network for each list of hidden sizes and seed; a seed has its own data and order."""
    shapes = [(sizes, seed) for seed in range(seeds) for sizes in hidden]
    members = [
        MLP(FEATURES, sizes, CLASSES, generator=devices.generator("member", seed, *sizes)) for sizes, seed in shapes
    ]
    generator = devices.generator("benchmark")
    inputs = torch.randn(seeds, SAMPLES, FEATURES, generator=generator)
    targets = torch.randint(0, CLASSES, (len(members), SAMPLES), generator=generator)
    return list(members), TrainingData(inputs=inputs, targets=targets, streams=[seed for _, seed in shapes])


def plain_loop(members: list[nn.Module], data: TrainingData, steps: int) -> list[nn.Module]:
    """What a reader would write; the order of the batches is the engine's."""
    trained = []
    for index, member in enumerate(members):
        member = copy.deepcopy(member)
        optimizer = torch.optim.Adam(member.parameters(), lr=RATE)
        stream = data.streams[index]
        for step in range(steps):
            epoch, position = divmod(step, SAMPLES // BATCH)
            if position == 0:
                order = torch.randperm(SAMPLES, generator=devices.generator("batches", 0, stream, epoch))
                inputs, targets = data.inputs[stream, order], data.targets[index, order]
            part = slice(position * BATCH, (position + 1) * BATCH)
            optimizer.zero_grad()
            functional.cross_entropy(member(inputs[part]), targets[part]).backward()
            optimizer.step()
        trained.append(member)
    return trained


def row(
    what: str, hidden: tuple[tuple[int, ...], ...], seeds: int, steps: int, target: float = NOT_SLOWER, rounds: int = ROUNDS
) -> Row:  # fmt: skip
    """Time one population with one thread, after checking that both ways end with the same networks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        members, data = population(hidden, seeds)
        largest = difference(members, data, 10)
        assert largest < TOLERANCE, f"{what}: parameters differ by {largest}"
        plan = memory.chunks(members, data.inputs, data.streams, BATCH, 2, torch.device("cpu"), None)
        return compare(
            what,
            lambda: train(members, data, steps=steps, learning_rate=RATE, batch_size=BATCH),
            lambda: plain_loop(members, data, steps),
            chapter=CHAPTER,
            target=target,
            rounds=rounds,
            note=f"{len(members)} members in {len(plan)} chunks; same networks to {largest:.0e}",
        )
    finally:
        torch.set_num_threads(before)


def difference(members: list[nn.Module], data: TrainingData, steps: int) -> float:
    """Largest difference of any parameter after some steps."""
    history = train(members, data, steps=steps, learning_rate=RATE, batch_size=BATCH)
    return max(
        (parameter - state[name]).abs().max().item()
        for member, state in zip(plain_loop(members, data, steps), history.states, strict=True)
        for name, parameter in member.named_parameters()
    )


def engine() -> Iterator[Row | Growth]:
    """Forty MLPs of ten widths, and how training grows."""
    yield row("engine, 40 MLPs of width 4 to 256", tuple((width,) for width in WIDTHS), SEEDS, 100, TARGET)
    for axis, sizes in (("members", (10, 20, 40, 80)), ("width", (64, 256, 1024)), ("steps", (25, 50, 100))):
        yield grown(CHAPTER, "training of MLPs", axis, sizes, lambda size, axis=axis: _prepared(**{axis: size}))  # type: ignore[misc]


def _prepared(members: int = 6, width: int = 64, steps: int = 40) -> Callable[[], object]:
    nets, data = population(((width,),), members)
    return lambda: train(nets, data, steps=steps, learning_rate=RATE, batch_size=BATCH)


def engine_widths() -> Iterator[Row]:
    """Six equal members, wider and wider: where company stops paying, the engine trains them one by one."""
    for width in (4, 64, 256, 1024, 2048, 4096):
        yield row(f"engine, 6 MLPs 64-{width}-10", ((width,),), 6, 30, rounds=MOST_ROUNDS)
    for width in (16, 64, 256, 512, 1024):
        yield row(f"engine, 6 MLPs 64-{width}-{width}-10", ((width, width),), 6, 20, rounds=MOST_ROUNDS)
