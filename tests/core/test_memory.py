"""What a chunk of members needs on a GPU, held against what one really allocates, and the cut that follows from free memory."""

import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from heldout import devices, memory
from heldout.ensemble import History, Optimizer, TrainingData, train
from heldout.losses import stable_cross_entropy
from heldout.networks import MLP, OneLayerTransformer
from heldout.optimizers import Rates
from heldout.stepping import Chunk, Job

GPU = torch.device("cuda")
SAMPLES = 60


class Held(TorchDispatchMode):
    """Bytes of the storages that operations made and that are still there."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.most = 0, 0
        self.seen: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        before = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and leaf.untyped_storage()._cdata not in before:
                self._add(leaf.untyped_storage())
        return out

    def _add(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.seen and self.seen[key]() is not None:
            return

        def gone(_: Any) -> None:
            self.now -= size

        self.seen[key] = weakref.ref(storage, gone)
        self.now += size
        self.most = max(self.most, self.now)

    def of(self, call: Callable[[], object]) -> int:
        """How much more than now is there at once while something is called."""
        before = self.most = self.now
        with self:
            call()
        return self.most - before


def mlps(count: int, hidden: Sequence[int]) -> list[nn.Module]:
    return [MLP(12, hidden, 5, generator=devices.generator("memory", i)) for i in range(count)]


def transformers(count: int) -> list[nn.Module]:
    sizes = {"context": 2, "outputs": 5, "model_size": 16, "heads": 2, "hidden_size": 32}
    return [OneLayerTransformer(7, **sizes, generator=devices.generator("memory", i)) for i in range(count)]


def job(members: list[nn.Module], rule: Optimizer, batch: int, *, differ: bool) -> Job:
    count, draw = len(members), devices.generator("data of memory")
    tokens = isinstance(members[0], OneLayerTransformer)
    inputs = (
        torch.randint(0, 7, (2, SAMPLES, 2), generator=draw) if tokens else torch.randn(2, SAMPLES, 12, generator=draw)
    )
    rates = tuple(0.001 * (1 + i * differ) for i in range(count))
    return Job(
        modules=members, inputs=inputs, targets=torch.randint(0, 5, (count, SAMPLES), generator=draw),
        streams=[i % 2 for i in range(count)], keys=[0, 1], rule=rule, learning_rate=Rates(values={"": rates}),
        weight_decay=Rates(values={"": (0.01,) * count}), steps=10, batch=batch, seed=0, loss=stable_cross_entropy, probe=None,
        probe_steps=frozenset(), device=torch.device("cpu"),
    )  # fmt: skip


RULES = (
    Optimizer(kind="sgd"), Optimizer(kind="adamw"), Optimizer(slow_gradient=1.0, orthogonal=True, constant_norm=True),
)  # fmt: skip


@pytest.mark.parametrize("differ", [False, True])
@pytest.mark.parametrize("batch", [8, SAMPLES])
@pytest.mark.parametrize("rule", RULES, ids=["sgd", "adamw", "all changes"])
@pytest.mark.parametrize(
    "members",
    [mlps(6, [40]), mlps(6, [24, 24]), mlps(6, [300]), transformers(4)],
    ids=["wide", "deep", "large", "transformer"],
)
def test_the_estimate_covers_what_a_captured_step_holds(
    members: list[nn.Module], rule: Optimizer, batch: int, differ: bool
) -> None:
    """Counted on a CPU: what stays, the copies of a capture, an update, a look and a shuffle, as if none gave back its room."""
    made, held = job(members, rule, batch, differ=differ), Held()
    parts: list[Any] = []
    held.of(lambda: parts.append(Chunk(made, range(len(members)))))
    (chunk,) = parts
    shuffled = held.of(lambda: parts.append(chunk._batch()))
    copies = held.of(lambda: parts.append([part.clone() for part in (*parts[-1], *chunk._state().values())]))
    update = held.of(lambda: chunk._update(*parts[1]))
    probed = torch.zeros(256, *made.inputs.shape[2:], dtype=made.inputs.dtype)
    look = held.of(lambda: chunk.snapshot().predict(probed))
    assert min(copies, update, look) > 0
    inputs = sum(part.numel() * part.element_size() for part in (made.inputs, made.targets))  # a GPU has its own
    real = held.now + shuffled + update + look + inputs
    needs = memory._Needs(members, made.inputs, made.targets, made.streams, batch, rule.slots, GPU, 1)
    assert real <= needs.of_chunk(range(len(members))) <= 3 * real


def cut(free: int, monkeypatch: pytest.MonkeyPatch, count: int = 12, streams: int = 2) -> list[list[int]]:
    """The chunks of equal members on a GPU with so many bytes free."""
    monkeypatch.setattr(memory, "free_bytes", lambda _: free)
    members, inputs = mlps(count, [64, 64]), torch.zeros(streams, SAMPLES, 12)
    targets = torch.zeros(count, SAMPLES, dtype=torch.long)
    return memory.chunks(members, inputs, [i % streams for i in range(count)], 8, 2, GPU, None, targets=targets)


def needed(count: int, streams: int) -> int:
    """Bytes of so many of these members, that read so many streams, with the share of a training."""
    members, inputs = mlps(count, [64, 64]), torch.zeros(2, SAMPLES, 12)
    targets = torch.zeros(count, SAMPLES, dtype=torch.long)
    needs = memory._Needs(members, inputs, targets, [i % streams for i in range(count)], 8, 2, GPU, 1)
    return int(needs.of_chunk(range(count)) / memory.CUDA_SHARE) + 1


def test_chunks_on_a_gpu_are_as_full_as_its_free_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [len(part) for part in cut(2**40, monkeypatch)] == [12]
    assert cut(2**40, monkeypatch) == [[0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]]  # in the order of their streams
    assert [len(part) for part in cut(needed(12, 2), monkeypatch)] == [12]
    assert [len(part) for part in cut(needed(12, 2) - 2, monkeypatch)] == [11, 1]
    assert [len(part) for part in cut(needed(4, 1), monkeypatch, streams=1)] == [4, 4, 4]
    assert [len(part) for part in cut(needed(1, 1), monkeypatch)] == [1] * 12
    many = cut(3 * needed(12, 2), monkeypatch, count=200)
    assert min(len(part) for part in many[:-1]) >= 36 <= max(map(len, many)) <= 40


def test_a_member_that_does_not_fit_is_named_with_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError, match=r"device='cuda': must have .* GiB free for member 0, which needs .* GiB.*50%.*smaller batch"
    ):
        cut(needed(1, 1) - 2, monkeypatch)


def test_a_budget_stands_above_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: 0)
    members, inputs = mlps(3, [64]), torch.zeros(1, SAMPLES, 12)
    assert len(memory.chunks(members, inputs, [0] * 3, 8, 2, GPU, 2**30)) == 1
    with pytest.raises(ValueError, match="memory_budget_bytes=1000: must be at least"):
        memory.chunks(members, inputs, [0] * 3, 8, 2, GPU, 1000)


def test_on_a_cpu_free_memory_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1 / 0)
    assert len(memory.chunks(mlps(3, [64]), torch.zeros(1, SAMPLES, 12), [0] * 3, 8, 2, torch.device("cpu"), None)) == 1


def resumable(path: Path | None, budget: int | None, stop: int | None = None) -> History:
    """A training of six members that may break off after some updates."""
    members, draw = mlps(6, [24]), devices.generator("resumable")
    data = TrainingData.shared(
        torch.randn(SAMPLES, 12, generator=draw), torch.randint(0, 5, (SAMPLES,), generator=draw), 6
    )

    def progress(done: int, _: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    return train(
        members, data, steps=20, learning_rate=0.01, batch_size=8, checkpoint=path, checkpoint_every=5,
        memory_budget_bytes=budget, progress=progress,
    )  # fmt: skip


def test_a_resumed_training_keeps_its_chunks_wherever_it_goes_on(tmp_path: Path) -> None:
    members = mlps(6, [24])
    two = 2 * memory.member_bytes(members[0], torch.zeros(SAMPLES, 12), 8, 2)
    whole, path = resumable(None, two), tmp_path / "run.npz"
    assert whole.chunks == [2, 2, 2]
    with pytest.raises(KeyboardInterrupt):
        resumable(path, two, stop=33)
    again = resumable(path, None)  # as on a machine with room for all
    assert again.chunks == whole.chunks
    for one, other in zip(whole.states, again.states, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(ValueError, match=r"memory_budget_bytes=.*for chunk 0 of the checkpoint's 3, 2 members"):
        resumable(path, two // 2)


def test_a_cut_comes_back_from_a_checkpoint() -> None:
    for plan in ([[0]], [[3, 1], [0], [2, 4]]):
        arrays = memory.as_arrays(plan)
        assert memory.from_arrays(arrays) == plan
        assert all(array.dtype == np.int64 for array in arrays.values())
    assert memory.from_arrays({}) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is present here")
def test_a_chunk_on_a_gpu_stays_within_its_share() -> None:
    members = mlps(200, [64, 64])
    draw = devices.generator("share of a GPU")
    data = TrainingData.shared(
        torch.randn(SAMPLES, 12, generator=draw), torch.randint(0, 5, (SAMPLES,), generator=draw), 200
    )
    torch.cuda.reset_peak_memory_stats()
    before, budget = torch.cuda.memory_allocated(), 64 * 2**20
    history = train(members, data, steps=10, learning_rate=0.01, device="cuda", memory_budget_bytes=budget)
    assert len(history.chunks) > 1
    assert torch.cuda.max_memory_allocated() - before <= budget / memory.CUDA_SHARE
