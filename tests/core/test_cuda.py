"""The engine on a GPU against the engine on the CPU."""

import pytest
import torch

from heldout import devices
from heldout.ensemble import History, Optimizer, TrainingData, train
from heldout.networks import MLP

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is present here")


def trained_on(device: str, kind: str, per_member: bool, batch_size: int | None, checkpoint=None, steps=50) -> History:
    hidden = ([4], [16], [16], [8, 8], [8, 8], [12, 12])
    members = [
        MLP(20, sizes, 5, generator=devices.generator(i), dtype=torch.float64) for i, sizes in enumerate(2 * hidden)
    ]
    generator = devices.generator("cuda")
    data = TrainingData(
        inputs=torch.randn(2, 64, 20, generator=generator, dtype=torch.float64),
        targets=torch.randint(0, 5, (12, 64), generator=generator),
        streams=[0] * 6 + [1] * 6,
    )
    rates = [0.003 * (1 + i * per_member) for i in range(12)]
    probe_inputs = torch.randn(30, 20, generator=generator, dtype=torch.float64)
    return train(
        members, data, steps=steps, learning_rate=rates, weight_decay=0.01, optimizer=Optimizer(kind=kind), device=device,
        batch_size=batch_size, probe=lambda s: {"outputs": s.predict(probe_inputs)}, probe_steps=[0, 1, 25, 50],
        checkpoint=checkpoint, checkpoint_every=10,
    )  # fmt: skip


@pytest.mark.parametrize("batch_size", [16, None])
@pytest.mark.parametrize("per_member", [False, True])
@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam", "adamw"])
def test_cuda_equals_cpu_after_50_steps(kind, per_member, batch_size):
    """In float64: in float32 Adam turns a gradient near zero into a full step of either sign, and sums differ in their order."""
    cpu, cuda = (trained_on(device, kind, per_member, batch_size) for device in ("cpu", "cuda"))
    for ours, theirs in zip(cpu.values["outputs"], cuda.values["outputs"], strict=True):
        torch.testing.assert_close(torch.from_numpy(ours), torch.from_numpy(theirs), rtol=1e-6, atol=1e-6)
    moved = (torch.from_numpy(cpu.values["outputs"][-1]) - torch.from_numpy(cpu.values["outputs"][0])).abs().max()
    assert moved > 0.01


def test_cuda_resumes_where_it_stopped(tmp_path):
    path = tmp_path / "run.npz"
    whole = trained_on("cuda", "adam", True, 16, checkpoint=path)
    again = trained_on("cuda", "adam", True, 16, checkpoint=path)
    for a, b in zip(whole.states, again.states, strict=True):
        for name in a:
            assert torch.equal(a[name], b[name])
