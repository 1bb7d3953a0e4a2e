"""The phase diagram's grid, all networks together, against the same networks one by one.

The plain loop trains the same module with two ``torch.optim.AdamW``, one for the embedding and one for the decoder, and evaluates
at the same updates. It is timed on a few members and a share of the updates, and extrapolated; the note says so.
"""

from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

from benchmarks.harness import Growth, Row, compare, grown
from heldout.ensemble import log_spaced_steps
from heldout.grokking.addition_toy import Task, counts, rqi, task, toy, train_toys
from heldout.grokking.toy_phases import BOOK, PAPER

CHAPTER, TARGET = "grokking", 10.0
STEPS, PROBES, ALONE = 300, 10, 3
TOLERANCE = 1e-4
_CELLS = [
    (slow, fast, seed) for slow in BOOK.embedding_rates for fast in BOOK.decoder_rates for seed in range(BOOK.num_seeds)
]


def together(
    cells: list[tuple[float, float, int]], tasks: dict[int, Task], width: int, steps: int
) -> list[torch.Tensor]:
    """Final embeddings from the engine."""
    history = train_toys(
        BOOK.p, [toy(BOOK.p, 1, width, seed) for *_, seed in cells], [tasks[seed] for *_, seed in cells], steps=steps,
        probe_steps=log_spaced_steps(steps, PROBES), embedding_rate=[slow for slow, _, _ in cells],
        decoder_rate=[fast for _, fast, _ in cells], device=torch.device("cpu"),
    )  # fmt: skip
    return [state["embed"] for state in history.states]


def one_by_one(
    cells: list[tuple[float, float, int]], tasks: dict[int, Task], width: int, steps: int
) -> list[torch.Tensor]:
    """Final embeddings from the loop a reader would write."""
    rows, trained = counts(BOOK.p), []
    probes = set(log_spaced_steps(steps, PROBES))
    for slow, fast, seed in cells:
        net, one = toy(BOOK.p, 1, width, seed), tasks[seed]
        rules = [torch.optim.AdamW([net.embed], lr=slow, weight_decay=0.0)]
        rules.append(torch.optim.AdamW(net.decoder.parameters(), lr=fast, weight_decay=0.0))
        inputs, wanted = rows[one.train], one.vectors[one.classes[one.train]]
        for step in range(steps):
            if step in probes:
                _look(net, one, rows)
            for rule in rules:
                rule.zero_grad()
            functional.mse_loss(net(inputs), wanted).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            for rule in rules:
                rule.step()
        _look(net, one, rows)
        trained.append(net.embed.detach())
    return trained


@torch.no_grad()
def _look(net: torch.nn.Module, one: Task, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    right = torch.cdist(net(rows), one.vectors).argmin(-1) == one.classes
    return right[one.train].double().mean(), rqi(net.embed)  # type: ignore[arg-type]  # a Parameter, as AdditionToy has it


def row(what: str, cells: list[tuple[float, float, int]], width: int, steps: int) -> Row:
    """Time one grid, after checking that both ways end with the same embeddings."""
    tasks = {seed: task(BOOK.p, BOOK.num_train, seed, least_ideal=BOOK.least_ideal) for seed in range(BOOK.num_seeds)}
    few = cells[:: len(cells) // ALONE][:ALONE]
    pairs = zip(together(few, tasks, width, 20), one_by_one(few, tasks, width, 20), strict=True)
    largest = max((ours - plain).abs().max().item() for ours, plain in pairs)
    assert largest < TOLERANCE, f"{what}: embeddings differ by {largest}"
    return compare(
        what,
        lambda: together(cells, tasks, width, steps),
        lambda: one_by_one(few, tasks, width, steps),
        chapter=CHAPTER,
        target=TARGET,
        rounds=3,
        plain_share=len(few) / len(cells),
        note=f"{len(cells)} members, {steps} updates, plain extrapolated from {len(few)}; same embeddings to {largest:.0e}",
    )


def _prepared(members: int = 50, width: int = 50, steps: int = 20) -> Callable[[], object]:
    tasks = {seed: task(BOOK.p, BOOK.num_train, seed, least_ideal=BOOK.least_ideal) for seed in range(BOOK.num_seeds)}
    return lambda: together(_CELLS[:members], tasks, width, steps)


def phase_grid() -> Iterator[Row | Growth]:
    """The grid of the page at its width, and the cells of one seed at the paper's width."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield row(f"phase grid, width {BOOK.width}", _CELLS, BOOK.width, STEPS)
        yield row(f"phase grid, width {PAPER.width}", _CELLS[:: BOOK.num_seeds], PAPER.width, STEPS // 10)
        for axis, sizes in (("members", (25, 50, 100)), ("width", (50, 100, 200)), ("steps", (10, 20, 40))):
            yield grown(CHAPTER, "phase grid", axis, sizes, lambda size, axis=axis: _prepared(**{axis: size}))  # type: ignore[misc]
    finally:
        torch.set_num_threads(threads)
