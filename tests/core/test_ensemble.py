"""The engine against one-by-one torch.optim, against itself in chunks, and against kill -9."""

import collections
import copy
import os
import platform
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from heldout import checkpoints, devices, memory
from heldout.ensemble import History, Optimizer, TrainingData, log_spaced_steps, train
from heldout.fingerprints import fingerprint, structure
from heldout.losses import squared_error, stable_cross_entropy
from heldout.networks import MLP, OneLayerTransformer

SAMPLES, FEATURES, CLASSES, SEED = 30, 6, 4, 3
TORCH_OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "momentum": lambda *args, **kwargs: torch.optim.SGD(*args, momentum=0.9, **kwargs),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


class Subclass(MLP):
    """Computes something else than an MLP, so the layout for MLPs must not take it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * 2


def population(dtype: torch.dtype = torch.float32) -> tuple[list[nn.Module], TrainingData]:
    """MLPs of several widths and depths on two streams, in an order that no layout would choose."""
    members: list[nn.Module] = []
    streams = []
    for stream in (1, 0):
        for position, hidden in enumerate(([8], [3], [5, 5], [8], [5])):
            generator = devices.generator("member", stream, position)
            members.append(MLP(FEATURES, hidden, CLASSES, generator=generator, dtype=dtype))
            streams.append(stream)
    generator = devices.generator("others")
    members.append(Subclass(FEATURES, [8], CLASSES, generator=generator, dtype=dtype))
    members += [
        MLP(FEATURES, [5, 5], CLASSES, generator=generator, dtype=dtype, activation=a) for a in ("tanh", "relu")
    ]
    streams += [0, 1, 0]
    generator = devices.generator("data")
    inputs = torch.randn(2, SAMPLES, FEATURES, generator=generator, dtype=dtype)
    targets = torch.randint(0, CLASSES, (len(members), SAMPLES), generator=generator)
    return members, TrainingData(inputs=inputs, targets=targets, streams=streams, keys=[100, 205])


def one_by_one(member, data, index, *, kind, rate, decay, steps, batch_size):
    """The loop a reader would write."""
    member = copy.deepcopy(member)
    optimizer = TORCH_OPTIMIZERS[kind](member.parameters(), lr=rate, weight_decay=decay)
    stream = data.streams[index]
    for step in range(steps):
        chosen = torch.arange(SAMPLES)
        if batch_size is not None:
            epoch, position = divmod(step, SAMPLES // batch_size)
            order = torch.randperm(SAMPLES, generator=devices.generator("batches", SEED, data.keys[stream], epoch))
            chosen = order[position * batch_size : (position + 1) * batch_size]
        optimizer.zero_grad()
        functional.cross_entropy(member(data.inputs[stream, chosen]), data.targets[index, chosen]).backward()
        optimizer.step()
    return member


def farthest(history: History, members: list[nn.Module]) -> float:
    """Largest difference of any parameter of any member."""
    return max(
        (parameter - history.states[i][name]).abs().max().item()
        for i, member in enumerate(members)
        for name, parameter in member.named_parameters()
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("per_member", [True, False])
@pytest.mark.parametrize("kind", list(TORCH_OPTIMIZERS))
def test_equals_training_one_by_one(kind, per_member, dtype):
    members, data = population(dtype)
    rates = [0.01 * (1 + i * per_member) for i in range(len(members))]
    decays = [0.02 * (1 + i % 3 * per_member) for i in range(len(members))]
    history = train(
        members, data, steps=40, optimizer=Optimizer(kind=kind), batch_size=8, seed=SEED,
        learning_rate=rates if per_member else rates[0], weight_decay=decays if per_member else decays[0],
    )  # fmt: skip
    alone = [
        one_by_one(member, data, i, kind=kind, rate=rates[i], decay=decays[i], steps=40, batch_size=8)
        for i, member in enumerate(members)
    ]
    assert farthest(history, alone) < (1e-10 if dtype == torch.float64 else 1e-5)
    assert farthest(history, members) > 0.05


def test_full_batch_equals_training_one_by_one():
    members, data = population(torch.float64)
    history = train(members, data, steps=20, learning_rate=0.01)
    alone = [
        one_by_one(member, data, i, kind="adam", rate=0.01, decay=0, steps=20, batch_size=None)
        for i, member in enumerate(members)
    ]
    assert farthest(history, alone) < 1e-10


def test_a_member_does_not_depend_on_its_company():
    members, data = population(torch.float64)
    together = train(members, data, steps=20, learning_rate=0.01, batch_size=8)
    for i in (0, 6, 10):
        stream = data.streams[i]
        lone = TrainingData(
            inputs=data.inputs[stream : stream + 1],
            targets=data.targets[i : i + 1],
            streams=[0],
            keys=[data.keys[stream]],
        )
        alone = train([members[i]], lone, steps=20, learning_rate=0.01, batch_size=8)
        for name, value in alone.states[0].items():
            torch.testing.assert_close(value, together.states[i][name], rtol=0, atol=1e-12)


def test_transformers_train_as_alone():
    members = [
        OneLayerTransformer(
            5, 3, 5, generator=devices.generator(i), model_size=8, heads=2, hidden_size=16, dtype=torch.float64
        )
        for i in range(3)
    ]
    generator = devices.generator("tokens")
    tokens = torch.randint(0, 5, (SAMPLES, 3), generator=generator)
    data = TrainingData.shared(tokens, torch.randint(0, 5, (SAMPLES,), generator=generator), 3)
    history = train(members, data, steps=10, learning_rate=0.01, optimizer=Optimizer(kind="adamw"), weight_decay=1.0)
    alone = [
        one_by_one(member, data, i, kind="adamw", rate=0.01, decay=1.0, steps=10, batch_size=None)
        for i, member in enumerate(members)
    ]
    assert farthest(history, alone) < 1e-10


def test_regression_with_another_loss():
    members = [MLP(2, [4], 1, generator=devices.generator(i), dtype=torch.float64) for i in range(2)]
    inputs = torch.randn(10, 2, generator=devices.generator("x"), dtype=torch.float64)
    targets = inputs.sum(1, keepdim=True)
    history = train(
        members, TrainingData.shared(inputs, targets, 2), steps=5, learning_rate=0.1, loss=squared_error,
        optimizer=Optimizer(kind="sgd"),
    )  # fmt: skip
    alone = copy.deepcopy(members[1])
    optimizer = torch.optim.SGD(alone.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        functional.mse_loss(alone(inputs), targets).backward()
        optimizer.step()
    for name, value in alone.named_parameters():
        torch.testing.assert_close(history.states[1][name], value.detach(), rtol=0, atol=1e-12)


def outputs_on(inputs: torch.Tensor):
    return lambda snapshot: {
        "outputs": snapshot.predict(inputs),
        "step": torch.full((len(snapshot.members),), snapshot.step),
    }


def test_probes_see_their_steps_and_members_in_the_callers_order():
    members, data = population()
    inputs = torch.randn(300, FEATURES, generator=devices.generator("probe"))
    history = train(
        members, data, steps=20, learning_rate=0.01, batch_size=8, probe=outputs_on(inputs), probe_steps=[0, 7, 20]
    )
    assert history.values["step"].tolist() == [[s] * len(members) for s in (0, 7, 20)]
    for i, member in enumerate(members):
        trained = copy.deepcopy(member)
        np.testing.assert_allclose(history.values["outputs"][0, i], trained(inputs).detach(), atol=1e-5)
        trained.load_state_dict(history.states[i])
        np.testing.assert_allclose(history.values["outputs"][-1, i], trained(inputs).detach(), atol=1e-5)


def test_predict_per_stream():
    members, data = population()
    history = train(
        members, data, steps=0, learning_rate=0.01, probe_steps=[0],
        probe=lambda snapshot: {"outputs": snapshot.predict(data.inputs, per_stream=True)},
    )  # fmt: skip
    for i, member in enumerate(members):
        expected = member(data.inputs[data.streams[i]]).detach()
        np.testing.assert_allclose(history.values["outputs"][0, i], expected, atol=1e-5)


@pytest.mark.parametrize("per_chunk", [1, 3])
def test_a_small_budget_makes_chunks_and_changes_nothing(per_chunk):
    members, data = population(torch.float64)
    inputs = torch.randn(20, FEATURES, generator=devices.generator("probe"), dtype=torch.float64)
    arguments = {
        "steps": 20, "learning_rate": [0.01 * (i + 1) for i in range(len(members))], "batch_size": 8,
        "probe": outputs_on(inputs), "probe_steps": [0, 20],
    }  # fmt: skip
    whole = train(members, data, **arguments)
    largest = max(memory.member_bytes(member, data.inputs[0], 8, 2) for member in members)
    cut = train(members, data, **arguments, memory_budget_bytes=per_chunk * largest)
    assert whole.chunks == [len(members)]
    assert len(cut.chunks) > len(members) / (2 * per_chunk) > 1
    assert sum(cut.chunks) == len(members)
    np.testing.assert_allclose(whole.values["outputs"], cut.values["outputs"], atol=1e-12)
    for a, b in zip(whole.states, cut.states, strict=True):
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=0, atol=1e-12)


def test_large_members_are_trained_alone_and_small_ones_together():
    generator = devices.generator("sizes")
    members = [MLP(64, [width], 10, generator=generator) for width in (8, 4096, 8, 4096)]
    plan = memory.chunks(members, torch.zeros(1, 100, 64), [0] * 4, 100, 2, torch.device("cpu"), None)
    assert sorted(map(sorted, plan)) == [[0, 2], [1], [3]]


def test_the_order_of_batches_depends_on_the_key_alone():
    members, data = population(torch.float64)
    one = TrainingData(inputs=data.inputs[:1], targets=data.targets[:1], streams=[0], keys=[7])
    again = TrainingData(inputs=data.inputs[:1], targets=data.targets[:1], streams=[0], keys=[7])
    other = TrainingData(inputs=data.inputs[:1], targets=data.targets[:1], streams=[0], keys=[8])
    runs = [train(members[:1], d, steps=5, learning_rate=0.1, batch_size=8).states[0] for d in (one, again, other)]
    name = "layers.0.weight"
    assert torch.equal(runs[0][name], runs[1][name])
    assert not torch.equal(runs[0][name], runs[2][name])


@pytest.mark.parametrize(("steps", "count"), [(0, 2), (1, 2), (10, 5), (1000, 20), (15000, 40)])
def test_log_spaced_steps(steps, count):
    spaced = log_spaced_steps(steps, count)
    assert spaced[0] == 0
    assert spaced[-1] == steps
    assert spaced == sorted(set(spaced))
    assert len(spaced) <= count


def test_progress_reaches_the_total():
    members, data = population()
    seen = []
    largest = max(memory.member_bytes(member, data.inputs[0], 30, 2) for member in members)
    train(
        members, data, steps=10, learning_rate=0.01, memory_budget_bytes=5 * largest,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


def checkpointed(path: Path | None, steps: int = 300, pause: float = 0.0, rate: float = 0.01) -> History:
    """A training in two chunks that the tests below interrupt."""
    members, data = population()
    # A class of this file has another name in the child process, and the fingerprint counts that as another network.
    kept = [i for i, member in enumerate(members) if type(member) is MLP]
    members, streams = [members[i] for i in kept], [data.streams[i] for i in kept]
    data = TrainingData(inputs=data.inputs, targets=data.targets[kept], streams=streams, keys=data.keys)
    budget = 7 * max(memory.member_bytes(member, data.inputs[0], 8, 2) for member in members)
    inputs = torch.randn(20, FEATURES, generator=devices.generator("probe"))
    return train(
        members, data, steps=steps, learning_rate=[rate] * 5 + [2 * rate] * (len(members) - 5), batch_size=8,
        weight_decay=0.01, probe=outputs_on(inputs), probe_steps=log_spaced_steps(steps, 12), checkpoint=path,
        checkpoint_every=10, memory_budget_bytes=budget, progress=lambda *_: time.sleep(pause),
    )  # fmt: skip


def equal_bit_for_bit(a: History, b: History) -> bool:
    same_states = all(torch.equal(x[n], y[n]) for x, y in zip(a.states, b.states, strict=True) for n in x)
    return same_states and all(np.array_equal(a.values[n], b.values[n]) for n in a.values) and a.steps == b.steps


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, share):
    path = tmp_path / "run.npz"
    # Under the name it has here: the fingerprint counts a probe of another module as another probe.
    root = Path(__file__).parents[__name__.count(".")]
    program = (
        f"import importlib, sys; sys.path.insert(0, {str(root)!r}); from pathlib import Path; "
        f"importlib.import_module({__name__!r}).checkpointed(Path({str(path)!r}), pause=0.01)"
    )
    threads = str(torch.get_num_threads())
    child = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "OMP_NUM_THREADS": threads})

    def progress_of_file() -> float:
        if not path.exists():
            return 0.0
        with np.load(path) as file:
            return sum(int(file[name]) for name in file.files if name.endswith("/done")) / 600

    deadline = time.monotonic() + 120
    while progress_of_file() < share and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert child.returncode == -signal.SIGKILL
    assert share <= progress_of_file() < 1
    resumed = checkpointed(path)
    assert len(resumed.chunks) == 2
    assert equal_bit_for_bit(resumed, checkpointed(None))
    assert equal_bit_for_bit(checkpointed(path), resumed)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    checkpointed(path, steps=20)
    with pytest.raises(ValueError, match=r"checkpoint=.*same members, data and arguments"):
        checkpointed(path, steps=20, rate=0.011)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    checkpointed(path, steps=20)
    before = path.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(path, {"done": np.array(7)}, "digest")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": -1}, "steps=-1: must be 0 or more"),
        ({"batch_size": 31}, "batch_size=31: must be None, or 1 to 30"),
        ({"steps": 2.5}, "steps=2.5: must be 0 or more, a whole number"),
        ({"steps": True}, "steps=True: must be 0 or more, a whole number"),
        ({"batch_size": 2.5}, "batch_size=2.5: must be None, or 1 to 30, a whole number"),
        ({"probe_steps": [2.5]}, "probe_steps=.*whole numbers"),
        ({"checkpoint_every": 0.5}, "checkpoint_every=0.5: must be 1 or more"),
        ({"learning_rate": "fast"}, "learning_rate='fast': must be one number"),
        ({"learning_rate": [0.1]}, "learning_rate=.*one a member"),
        ({"learning_rate": float("nan")}, "learning_rate=.*finite"),
        ({"weight_decay": -0.1}, "weight_decay=.*not negative"),
        ({"probe_steps": [3, 2]}, "probe_steps=.*increasing"),
        ({"probe_steps": [11]}, "probe_steps=.*from 0 to 10"),
        ({"memory_budget_bytes": 10}, "memory_budget_bytes=10: must be at least"),
        ({"device": "gpu"}, "device='gpu': must be one of"),
        ({"checkpoint_every": 0}, "checkpoint_every=0: must be 1 or more"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    members, data = population()
    with pytest.raises(ValueError, match=message):
        train(members, data, **{"steps": 10, "learning_rate": 0.1, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"kind": "lion"}, "kind='lion': must be one of sgd, momentum, adam, adamw"), ({"betas": (0.9, 1.0)}, "betas"),
     ({"eps": 0.0}, "eps=0.0: must be above 0"), ({"momentum": 1.0}, "momentum=1.0")],
)  # fmt: skip
def test_bad_optimizers_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Optimizer(**arguments)


def test_bad_data_is_named():
    inputs, targets = torch.zeros(2, 5, 3), torch.zeros(4, 5)
    with pytest.raises(ValueError, match="targets"):
        TrainingData(inputs=inputs, targets=targets, streams=[0, 1])
    with pytest.raises(ValueError, match=r"streams=.*from 0 to 1"):
        TrainingData(inputs=inputs, targets=targets, streams=[0, 1, 2, 0])
    with pytest.raises(ValueError, match="keys"):
        TrainingData(inputs=inputs, targets=targets, streams=[0, 1, 0, 1], keys=[1])


class Scaled(nn.Module):
    """A linear map times a constant that is held where a careless comparison does not look."""

    def __init__(self, factor: float, where: str, seed: int) -> None:
        super().__init__()
        self.linear = MLP(FEATURES, [], CLASSES, generator=devices.generator("scaled", seed), dtype=torch.float64)
        hidden = torch.zeros(1600, dtype=torch.float64)
        hidden[800] = factor
        if where == "private":
            self._factor = factor
        elif where == "list":
            self.held = [hidden]
        elif where == "nested":
            self.held = {"a": ({"b": hidden},)}
        elif where == "array":
            self.held = [hidden.numpy()]
        elif where == "function":
            self.held = lambda: factor
        elif where == "module":
            self.held = [nn.Linear(1, 1, bias=False, dtype=torch.float64)]
            self.held[0].weight.data.fill_(factor)
        else:
            self.register_buffer("held", hidden)

    def factor(self) -> float | torch.Tensor:
        if hasattr(self, "_factor"):
            return self._factor
        held = self.held
        if callable(held):
            return held()
        if isinstance(held, torch.Tensor):
            return held[800]
        inner = held["a"][0]["b"] if isinstance(held, dict) else held[0]
        return inner.weight[0, 0].detach() if isinstance(inner, nn.Module) else float(inner[800])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) * self.factor()


@pytest.mark.parametrize("where", ["private", "list", "nested", "array", "function", "module", "buffer"])
def test_members_that_differ_out_of_sight_train_as_alone(where):
    members = [Scaled(factor, where, seed) for seed, factor in enumerate((1.0, 10.0, 10.0))]
    data = population(torch.float64)[1]
    data = TrainingData(inputs=data.inputs[:1], targets=data.targets[:3], streams=[0] * 3)
    history = train(members, data, steps=10, learning_rate=0.05, optimizer=Optimizer(kind="sgd"))
    alone = [
        one_by_one(member, data, i, kind="sgd", rate=0.05, decay=0, steps=10, batch_size=None)
        for i, member in enumerate(members)
    ]
    assert farthest(history, alone) < 1e-12
    assert farthest(history, members) > 1e-3
    assert structure(members[0]) != structure(members[1])
    copy.deepcopy(members[0]).load_state_dict(history.states[0])


def made_anew(factor: float) -> nn.Module:
    class Local(MLP):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * factor

    return Local(FEATURES, [4], CLASSES, generator=devices.generator("local"))


def test_structure_tells_apart_what_computes_otherwise_and_nothing_else():
    draws = [OneLayerTransformer(5, 3, 5, generator=devices.generator(i), model_size=8, heads=2) for i in range(2)]
    assert structure(draws[0]) == structure(draws[1])
    assert structure(made_anew(1.0)) != structure(made_anew(2.0))
    assert structure(nn.Sequential(nn.ReLU(), nn.Tanh())) != structure(nn.Sequential(nn.Tanh(), nn.ReLU()))
    assert structure(nn.Dropout(0.5)) != structure(nn.Dropout(0.5).eval())
    hooked = copy.deepcopy(draws[0])
    hooked.register_forward_hook(lambda *_: None)
    assert structure(hooked) != structure(draws[0])
    looped = copy.deepcopy(draws[1])
    looped.itself = [looped]
    assert structure(looped) != structure(draws[1])


class Odd(MLP):
    """An MLP whose forward pass does something that the engine cannot train as alone."""

    def __init__(self, does: str) -> None:
        super().__init__(FEATURES, [4], CLASSES, generator=devices.generator("odd"))
        self.does, self.calls = does, 0
        self.register_buffer("mean", torch.zeros(CLASSES))
        self.again = [self.layers[0].weight]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = super().forward(x)
        if self.does == "count":
            self.calls += 1
            return out * self.calls
        if self.does == "draw":
            return out + torch.rand(())
        if self.does == "remember":
            self.mean = 0.9 * self.mean + out.detach().mean(0)
        if self.does == "read":
            return out * self.again[0].sum()
        return (out, out) if self.does == "tuple" else out[0] if self.does == "one" else out


def changed(change) -> nn.Module:
    module = MLP(FEATURES, [4], CLASSES, generator=devices.generator("changed"))
    return change(module) or module


def freeze(module: MLP) -> None:
    module.layers[0].weight.requires_grad_(False)


def tie(module: MLP) -> None:
    module.layers[1].bias = nn.Parameter(torch.zeros(CLASSES))
    module.extra = nn.Linear(FEATURES, 4)
    module.extra.weight = module.layers[0].weight


REFUSED = {
    "frozen": (freeze, "frozen parameter 'layers.0.weight'.*True"),
    "tied": (tie, "'layers.0.weight' and 'extra.weight': must be a parameter under one name"),
    "hook": (lambda m: m.layers[0].register_forward_hook(lambda *_: None) and None, "hook on 'layers.0': must be no"),
    "pre_hook": (lambda m: m.register_forward_pre_hook(lambda *_: None) and None, "hook on 'the module': must be no"),
    "gradient_hook": (lambda m: m.layers[0].bias.register_hook(lambda g: g) and None, "hook on the parameter"),
    "dropout": (lambda m: nn.Sequential(m, nn.Dropout(0.1)), r"dropout in training mode \('1'\).*eval"),
    "batch_norm": (lambda m: nn.Sequential(m, nn.BatchNorm1d(CLASSES)), r"batch norm in training mode.*eval"),
    "draw": (lambda _: Odd("draw"), "random numbers in its forward pass: must be without randomness"),
    "count": (lambda _: Odd("count"), "outputs that differ between two calls"),
    "read": (lambda _: Odd("read"), "read its parameters by their registered names"),
    "remember": (lambda _: Odd("remember"), "buffer 'mean', which its forward pass changes: must be of constant"),
    "tuple": (lambda _: Odd("tuple"), "='tuple': must be one tensor"),
    "one": (lambda _: Odd("one"), r"=\(4,\): must be one tensor with a first axis of 30"),
}


@pytest.mark.parametrize("company", [0, 1])
@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_trained_wrongly_is_refused_by_name(case, company):
    change, message = REFUSED[case]
    members = [changed(lambda _: None) for _ in range(company)] + [changed(change)]
    before = copy.deepcopy(members[-1].state_dict())
    random_state = torch.get_rng_state()
    data = population()[1]
    data = TrainingData.shared(data.inputs[0], data.targets[0], len(members))
    with pytest.raises(ValueError, match=rf"members\[{company}\].*{message}"):
        train(members, data, steps=2, learning_rate=0.1)
    assert all(torch.equal(value, before[name]) for name, value in members[-1].state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_dropout_and_batch_norm_that_are_switched_off_train_as_alone():
    def member(seed: int) -> nn.Module:
        mlp = MLP(FEATURES, [4], CLASSES, generator=devices.generator(seed), dtype=torch.float64)
        return nn.Sequential(mlp, nn.Dropout(0.5), nn.BatchNorm1d(CLASSES, dtype=torch.float64), nn.Dropout(0)).eval()

    members, data = [member(0), member(1)], population(torch.float64)[1]
    data = TrainingData(inputs=data.inputs[:1], targets=data.targets[:2], streams=[0, 0])
    history = train(members, data, steps=5, learning_rate=0.05)
    alone = [
        one_by_one(m, data, i, kind="adam", rate=0.05, decay=0, steps=5, batch_size=None) for i, m in enumerate(members)
    ]
    assert farthest(history, alone) < 1e-12
    copy.deepcopy(members[1]).load_state_dict(history.states[1])


@pytest.mark.parametrize("samples", [4, 7])
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize(
    ("outputs", "targets", "loss"),
    [
        (1, (), squared_error),  # (n, 1) against (n,) would be n x n
        (4, (), squared_error),  # (n, 4) against (n,) fits by chance where n = 4
        (4, (1,), squared_error),  # one number repeated for four outputs
        (2, (2,), lambda o, y: (o - y).square().mean()),
        (2, (2,), lambda o, y: (o - y).square().mean((1, 2))),
        (2, (2,), lambda o, y: (o - y).square().mean(1)),
    ],
)
def test_the_loss_is_one_a_member_and_sample(outputs, targets, loss, samples, count):
    members = [MLP(2, [3], outputs, generator=devices.generator(i)) for i in range(count)]
    data = TrainingData.shared(torch.ones(samples, 2), torch.zeros(samples, *targets), count)
    with pytest.raises(ValueError, match=r"(loss=.*must be one a member and sample|targets=.*must suit the loss)"):
        train(members, data, steps=1, learning_rate=0.1, loss=loss)


@pytest.mark.parametrize("loss", [squared_error, lambda o, y: (o - y).square().mean(-1)])
def test_losses_of_entries_and_of_samples_are_taken(loss):
    members = [MLP(2, [3], 2, generator=devices.generator(i)) for i in range(2)]
    data = TrainingData.shared(torch.ones(70, 2), torch.zeros(70, 2), 2)
    for batch_size in (None, 5):
        states = train(members, data, steps=3, learning_rate=0.1, loss=loss, batch_size=batch_size).states
        reference = train(members, data, steps=3, learning_rate=0.1, loss=squared_error, batch_size=batch_size).states
        torch.testing.assert_close(states[0], reference[0])


def scaled_loss(outputs: torch.Tensor, targets: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
    return factor * stable_cross_entropy(outputs, targets)


def closed_over(value: object, kind: str):
    return (lambda *_: value) if kind == "loss" else (lambda *_: [value])


def both_lambdas() -> list:
    return [lambda o, y: stable_cross_entropy(o, y), lambda o, y: 3 * stable_cross_entropy(o, y)]


LONG = torch.zeros(2000)
OTHER = LONG.index_fill(0, torch.tensor([1000]), 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (partial(scaled_loss, factor=1.0), partial(scaled_loss, factor=3.0)),
        (partial(scaled_loss, 1), partial(scaled_loss, 2)),
        (scaled_loss, partial(scaled_loss)),
        tuple(both_lambdas()),
        (closed_over(LONG, "loss"), closed_over(OTHER, "loss")),
        (closed_over({"a": [LONG]}, "loss"), closed_over({"a": [OTHER]}, "loss")),
        (closed_over(partial(scaled_loss, factor=1), "loss"), closed_over(partial(scaled_loss, factor=2), "loss")),
        (lambda x: torch.sin(x), lambda x: torch.cos(x)),
        (lambda x, k=1: x + k, lambda x, k=2: x + k),
        (Optimizer(kind="sgd"), Optimizer(kind="adam")),
        (nn.Linear(2, 2), nn.Linear(2, 2)),
        (devices.generator(1), devices.generator(2)),
        ([1, [2]], [[1], 2]),
        (1, 1.0),
        (LONG, LONG.double()),
        ({1: 2}, {2: 1}),
        ([LONG], (LONG,)),
        (collections.deque([LONG]), collections.deque([OTHER])),
    ],
)
def test_fingerprints_tell_values_apart(one, other):
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(one)
    if not isinstance(one, torch.Generator):
        assert fingerprint(one) == fingerprint(copy.deepcopy(one))


def test_a_fingerprint_is_the_same_in_another_process():
    program = (
        "import functools, pathlib; from heldout import losses; from heldout.fingerprints import fingerprint\n"
        "def scope(k):\n    return lambda o, y: (k, o in {'a', 'b', 'c'}, {'d', 'e'}, losses)\n"
        "print(fingerprint({'x', 'y', 'z'}, scope(object()), functools.partial(losses.squared_error, k=pathlib.Path('a'))))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


def resumed(path: Path, loss=stable_cross_entropy, probe=None) -> History:
    members, data = population()
    return train(members, data, steps=4, learning_rate=0.1, checkpoint=path, loss=loss, probe=probe, probe_steps=[0, 4])


def test_a_checkpoint_of_another_loss_or_probe_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    resumed(path, partial(scaled_loss, factor=1.0), outputs_on(torch.zeros(3, FEATURES)))
    resumed(path, partial(scaled_loss, factor=1.0), outputs_on(torch.zeros(3, FEATURES)))
    with pytest.raises(ValueError, match="must come from a run with the same"):
        resumed(path, partial(scaled_loss, factor=3.0), outputs_on(torch.zeros(3, FEATURES)))
    with pytest.raises(ValueError, match="must come from a run with the same"):
        resumed(path, partial(scaled_loss, factor=1.0), outputs_on(torch.ones(3, FEATURES)))


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "array", "flipped"])
def test_a_damaged_checkpoint_says_what_to_do(tmp_path, damage):
    path = tmp_path / "run.npz"
    resumed(path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 40]) + whole[middle + 40 :]
    path.write_bytes({"cut": whole[:middle], "empty": b"", "text": b"words"}.get(damage, flipped))
    if damage == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"checkpoint=.*run.npz.*damaged.*delete it to start again"):
        resumed(path)


@pytest.mark.parametrize("rate", [np.float32(0.1), np.array(0.1), torch.tensor(0.1), [np.float32(0.1)] * 13, 1])
def test_rates_may_be_any_numbers(rate):
    members, data = population()
    given = train(members, data, steps=np.int64(2), learning_rate=rate, weight_decay=rate).states[0]
    plain = float(rate[0] if isinstance(rate, list) else rate)
    expected = train(members, data, steps=2, learning_rate=plain, weight_decay=plain).states[0]
    assert all(torch.equal(given[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("features", "targets", "message"),
    [
        (torch.zeros(5, 7), torch.zeros(5, dtype=torch.long), r"inputs=\(7,\).*must be what members\[0\] takes"),
        (torch.zeros(5, FEATURES).double(), torch.zeros(5).long(), "inputs=.*float64.*must be what"),
        (torch.zeros(5, FEATURES), torch.zeros(5), "targets=torch.float32: must be torch.int64"),
        (
            torch.zeros(5, FEATURES),
            torch.tensor([0, 1, 2, 3, CLASSES]),
            r"targets=\(0, 4\): must be classes from 0 to 3",
        ),
        (torch.zeros(5, FEATURES), torch.tensor([0, 1, 2, 3, -1]), r"targets=\(-1, 3\): must be classes from 0 to 3"),
        (torch.zeros(5, FEATURES), torch.zeros(5, 2).long(), "targets"),
    ],
)
def test_data_that_suit_no_member_are_named(features, targets, message):
    member = MLP(FEATURES, [4], CLASSES, generator=devices.generator("data"))
    with pytest.raises(ValueError, match=message):
        train([member], TrainingData.shared(features, targets, 1), steps=1, learning_rate=0.1, batch_size=2)


def test_no_samples_are_named():
    with pytest.raises(ValueError, match=r"inputs=\(1, 0, 6\): must be .*one of each or more"):
        TrainingData.shared(torch.zeros(0, FEATURES), torch.zeros(0), 1)
    with pytest.raises(ValueError, match=r"inputs=\(4,\)"):
        TrainingData(inputs=torch.zeros(4), targets=torch.zeros(1, 4), streams=[0])
    with pytest.raises(ValueError, match=r"streams=\[0.5\]: must be whole numbers"):
        TrainingData(inputs=torch.zeros(2, 4), targets=torch.zeros(1, 4), streams=[0.5])


def test_a_process_keeps_the_memory_it_freed() -> None:
    """What is made and freed a second time begins with a fraction of the page faults once the process was taught to keep it."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("only glibc learns from what is freed")
    code = """
import resource, sys, torch
from heldout import devices
if "keep" in sys.argv:
    devices.keep_freed_memory()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [torch.ones(size * 2**16) for size in (20, 31, 4, 8, 31, 16)]
    held[1] = torch.ones(2**21)
    held.reverse()
    del held
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    keeps, gives = (
        int(subprocess.check_output([sys.executable, "-c", code, *how], text=True)) for how in (["keep"], [])
    )
    # Untaught, glibc learns by itself after a few more rounds, how many depends on where its heap ends.
    assert keeps < gives / 2
