"""The tasks of multitask sparse parity, and the trainer against plain PyTorch."""

import copy

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from heldout.devices import generator, numpy_generator
from heldout.quanta.parity import Tasks, finite, online, random_tasks, tail, zipf
from heldout.quanta.parity_networks import ByTask, ParityMLP, Together, train

CPU = torch.device("cpu")


def test_a_label_is_the_parity_of_the_named_bits() -> None:
    tasks = random_tasks(0, 6, 9, [1, 2, 3, 3, 4, 2], zipf(6, 0.5))
    batch = tasks.draw(500, np.random.default_rng(0))
    for task, bits, label in zip(*batch, strict=True):
        minus = sum(int(bits[i]) == -1 for i in tasks.subsets[int(task)])
        assert label == minus % 2
    assert set(batch.bits.unique().tolist()) == {-1.0, 1.0}
    assert len(set(tasks.subsets)) == 6


def test_tasks_come_with_their_probabilities_and_the_tail_is_what_is_left() -> None:
    p = zipf(5, 1.0)
    assert p[0] / p[3] == pytest.approx(16)
    counts = np.bincount(random_tasks(0, 5, 9, 2, p).draw(100_000, np.random.default_rng(1)).task, minlength=5)
    assert counts / 100_000 == pytest.approx(p, abs=4 * np.sqrt(0.25 / 100_000))
    assert tail(p) == pytest.approx([1, *(p[n:].sum() for n in range(1, 5)), 0])
    assert zipf(4, -1) == pytest.approx([0.25] * 4)


def test_finite_data_come_again_and_online_data_do_not() -> None:
    tasks = random_tasks(0, 3, 40, 2, zipf(3, 0.0))
    again = finite(tasks, 20, 10, "x")
    epochs = [torch.cat([next(again).bits, next(again).bits]) for _ in range(2)]
    assert sorted(map(tuple, epochs[0].tolist())) == sorted(map(tuple, epochs[1].tolist()))
    assert not torch.equal(*epochs)
    fresh = online(tasks, 10, "x")
    assert not torch.equal(next(fresh).bits, next(fresh).bits)
    assert torch.equal(next(online(tasks, 10, "x")).bits, next(online(tasks, 10, "x")).bits)


def _rows() -> list[list[ParityMLP]]:
    return [[ParityMLP(4, 7, width, generator=generator("net", row, width)) for width in (5, 3, 8)] for row in (0, 1)]


def test_together_equals_each_network_alone_under_torch_optim() -> None:
    tasks = [random_tasks(seed, 4, 7, [2, 3, 1, 3], zipf(4, 0.5)) for seed in (0, 1)]
    rows = _rows()
    alone = copy.deepcopy(rows)
    together = Together(rows, CPU)
    train(together, [online(t, 32, row) for row, t in enumerate(tasks)], steps=40, learning_rate=1e-2, last_part=0.25)
    for row, networks in enumerate(alone):
        for column, network in enumerate(networks):
            source, optimizer = online(tasks[row], 32, row), torch.optim.Adam(network.parameters(), lr=1e-2)
            for step in range(40):
                if step == 30:
                    optimizer.param_groups[0]["lr"] *= 0.2
                batch = next(source)
                optimizer.zero_grad()
                binary_cross_entropy_with_logits(network(batch.task, batch.bits), batch.label).backward()
                optimizer.step()
            for name, value in together.network(row, column).items():
                torch.testing.assert_close(value, network.state_dict()[name], rtol=2e-4, atol=2e-5)


def test_the_probe_takes_every_network_and_every_task_by_itself() -> None:
    rows, tasks = _rows(), random_tasks(0, 4, 7, 2, zipf(4, 0.5))
    batch = tasks.balanced(50, numpy_generator("held out"))
    found = ByTask([batch, batch], 4, CPU, slices=30)(Together(rows, CPU))
    logits = rows[1][2](batch.task, batch.bits)
    mine = batch.task == 3
    loss = binary_cross_entropy_with_logits(logits[mine], batch.label[mine])
    assert float(found["task_loss"][1, 2, 3]) == pytest.approx(float(loss), rel=1e-5)
    right = ((logits > 0) == (batch.label > 0.5))[mine].float().mean()
    assert float(found["task_accuracy"][1, 2, 3]) == pytest.approx(float(right))


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: zipf(0, 1.0), "num_tasks"),
        (lambda: zipf(3, -2.0), "alpha"),
        (lambda: random_tasks(0, 3, 5, 6, zipf(3, 0.0)), "sizes"),
        (lambda: random_tasks(0, 4, 3, 1, zipf(4, 0.0)), "num_tasks"),
        (lambda: Tasks(subsets=((0,),), probabilities=np.array([0.5]), num_bits=2), "probabilities"),
        (lambda: next(finite(random_tasks(0, 1, 5, 2, zipf(1, 0.0)), 5, 6)), "batch_size"),
        (lambda: ParityMLP(1, 1, 0, generator=generator("x")), "sizes"),
        (lambda: train(Together(_rows(), CPU), [], steps=1, learning_rate=0.0), "learning_rate"),
        (lambda: train(Together(_rows(), CPU), [], steps=1, learning_rate=1.0, probe_steps=[2]), "probe_steps"),
    ],
)
def test_what_cannot_be_is_refused_by_name(call: object, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        call()  # type: ignore[operator]
