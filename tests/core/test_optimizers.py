"""The changes of a rule that papers on grokking propose, each against a plain torch loop, and rates by parameter name."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from heldout import devices
from heldout.ensemble import History, Optimizer, TrainingData, train
from heldout.networks import MLP, OneLayerTransformer
from heldout.optimizers import Rates

SAMPLES, FEATURES, CLASSES, STEPS = 24, 5, 3, 20
TORCH = {
    "sgd": torch.optim.SGD,
    "momentum": lambda *a, **k: torch.optim.SGD(*a, momentum=0.9, **k),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
RATES, DECAYS = [0.01, 0.02, 0.03, 0.01], [0.1, 0.0, 0.2, 0.3]


def population(kind: str) -> tuple[list[nn.Module], TrainingData]:
    """Four members that one layout holds: wide MLPs of two widths, modules stacked by vmap, or MLPs of two layers."""
    generator = devices.generator("optimizers", kind)
    if kind == "transformer":
        members: list[nn.Module] = [
            OneLayerTransformer(
                CLASSES, 2, CLASSES, generator=generator, model_size=4, heads=2, hidden_size=6, dtype=torch.float64
            )
            for _ in RATES
        ]
        inputs = torch.randint(0, CLASSES, (1, SAMPLES, 2), generator=generator)
    else:
        widths = [[4], [7], [4], [7]] if kind == "wide" else [[4, 4]] * 4
        members = [MLP(FEATURES, width, CLASSES, generator=generator, dtype=torch.float64) for width in widths]
        inputs = torch.randn(1, SAMPLES, FEATURES, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, CLASSES, (4, SAMPLES), generator=generator)
    return members, TrainingData(inputs=inputs, targets=targets, streams=[0] * 4)


def plain_loop(
    member: nn.Module,
    data: TrainingData,
    index: int,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer],
    *,
    before: Callable[[nn.Module], None] = lambda _: None,
    after: Callable[[nn.Module], None] = lambda _: None,
    steps: int = STEPS,
) -> nn.Module:
    """The loop a reader would write; ``before`` may change the gradients of a step, ``after`` the parameters."""
    member = copy.deepcopy(member)
    rule = optimizer(member)
    for _ in range(steps):
        rule.zero_grad()
        functional.cross_entropy(member(data.inputs[0]), data.targets[index]).backward()
        before(member)
        rule.step()
        after(member)
    return member


def farthest(history: History, alone: list[nn.Module]) -> float:
    return max(
        float((parameter.detach() - history.states[i][name]).abs().max())
        for i, member in enumerate(alone)
        for name, parameter in member.named_parameters()
    )


class SlowGradient:
    """Grokfast-EMA by hand: the average starts at the first gradient, and a multiple of it is added to each gradient."""

    def __init__(self, factor: float, decay: float) -> None:
        self.factor, self.decay = factor, decay
        self.slow: dict[str, torch.Tensor] = {}

    def __call__(self, member: nn.Module) -> None:
        for name, parameter in member.named_parameters():
            gradient = parameter.grad.clone()
            mean = self.slow.get(name, gradient)
            self.slow[name] = self.decay * mean + (1 - self.decay) * gradient
            parameter.grad = gradient + self.factor * self.slow[name]


def orthogonal(member: nn.Module) -> None:
    """Prieto et al.'s orthogonal gradient by hand, one tensor at a time."""
    for parameter in member.parameters():
        weight, gradient = parameter.detach(), parameter.grad
        rest = gradient - (weight * gradient).sum() / weight.square().sum() * weight
        if gradient.norm() > 0 and rest.norm() > 0:
            rest = rest * (gradient.norm() / rest.norm())
        parameter.grad = rest


def norm(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack([value.double().square().sum() for value in parameters.values()]).sum().sqrt()


@pytest.mark.parametrize("per_member", [True, False])
@pytest.mark.parametrize("layout", ["wide", "transformer", "deep"])
@pytest.mark.parametrize("kind", list(TORCH))
def test_slow_gradient_equals_the_plain_loop(kind: str, layout: str, per_member: bool) -> None:
    members, data = population(layout)
    rates, decays = (RATES, DECAYS) if per_member else ([0.02] * 4, [0.1] * 4)
    history = train(
        members, data, steps=STEPS, learning_rate=rates, weight_decay=decays,
        optimizer=Optimizer(kind=kind, slow_gradient=2.0, slow_decay=0.9),
    )  # fmt: skip
    alone = [
        plain_loop(
            member, data, i, lambda m, i=i: TORCH[kind](m.parameters(), lr=rates[i], weight_decay=decays[i]),
            before=SlowGradient(2.0, 0.9),
        )
        for i, member in enumerate(members)
    ]  # fmt: skip
    assert farthest(history, alone) < 1e-10
    without = train(
        members, data, steps=STEPS, learning_rate=rates, weight_decay=decays, optimizer=Optimizer(kind=kind)
    )
    assert farthest(without, alone) > 1e-3


@pytest.mark.parametrize("per_member", [True, False])
@pytest.mark.parametrize("layout", ["wide", "transformer", "deep"])
@pytest.mark.parametrize("kind", list(TORCH))
def test_orthogonal_gradient_equals_the_plain_loop(kind: str, layout: str, per_member: bool) -> None:
    members, data = population(layout)
    for number, member in enumerate(members):  # a bias that starts at zero has no direction to leave out
        for parameter in member.parameters():
            parameter.data += 0.1 * torch.rand(
                parameter.shape, generator=devices.generator("bias", number), dtype=torch.float64
            )
    rates, decays = (RATES, DECAYS) if per_member else ([0.02] * 4, [0.1] * 4)
    history = train(
        members, data, steps=STEPS, learning_rate=rates, weight_decay=decays,
        optimizer=Optimizer(kind=kind, orthogonal=True),
    )  # fmt: skip
    alone = [
        plain_loop(
            member, data, i, lambda m, i=i: TORCH[kind](m.parameters(), lr=rates[i], weight_decay=decays[i]),
            before=orthogonal,
        )
        for i, member in enumerate(members)
    ]  # fmt: skip
    assert farthest(history, alone) < 1e-9
    without = train(
        members, data, steps=STEPS, learning_rate=rates, weight_decay=decays, optimizer=Optimizer(kind=kind)
    )
    assert farthest(without, alone) > 1e-3


def test_an_orthogonal_step_of_plain_descent_leaves_each_norm_but_for_the_second_order() -> None:
    """|w - lr g|^2 = |w|^2 + lr^2 |g|^2 when g is orthogonal to w, for every tensor of every member."""
    members, data = population("transformer")
    history = train(
        members, data, steps=1, learning_rate=0.1, optimizer=Optimizer(kind="sgd", orthogonal=True)
    )  # fmt: skip
    for i, member in enumerate(members):
        functional.cross_entropy(member(data.inputs[0]), data.targets[i]).backward()
        for name, parameter in member.named_parameters():
            grown = history.states[i][name].square().sum() - parameter.detach().square().sum()
            torch.testing.assert_close(grown, 0.01 * parameter.grad.square().sum(), rtol=1e-8, atol=1e-14)


def test_slow_comes_before_orthogonal() -> None:
    members, data = population("transformer")
    history = train(
        members, data, steps=STEPS, learning_rate=0.02,
        optimizer=Optimizer(slow_gradient=3.0, slow_decay=0.8, orthogonal=True),
    )  # fmt: skip

    def both(slow: SlowGradient) -> Callable[[nn.Module], None]:
        return lambda member: (slow(member), orthogonal(member))[1]

    alone = [
        plain_loop(m, data, i, lambda m: torch.optim.Adam(m.parameters(), lr=0.02), before=both(SlowGradient(3.0, 0.8)))
        for i, m in enumerate(members)
    ]
    assert farthest(history, alone) < 1e-9


@pytest.mark.parametrize("layout", ["wide", "transformer", "deep"])
@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_constant_norm_keeps_each_members_own_norm(kind: str, layout: str) -> None:
    members, data = population(layout)
    starts = [norm({name: p.detach() for name, p in member.named_parameters()}) for member in members]
    assert len({round(float(start), 6) for start in starts}) == 4
    history = train(
        members, data, steps=STEPS, learning_rate=0.05, optimizer=Optimizer(kind=kind, constant_norm=True),
        probe=lambda snapshot: {"norm": torch.stack([norm(state) for _, state in sorted(snapshot.named_states())])},
        probe_steps=[0, 7, STEPS],
    )  # fmt: skip
    for row in history.values["norm"]:
        torch.testing.assert_close(torch.as_tensor(row), torch.stack(starts), rtol=1e-12, atol=0)

    def rescale(start: torch.Tensor) -> Callable[[nn.Module], None]:
        def scale(member: nn.Module) -> None:
            factor = start / norm({name: p.detach() for name, p in member.named_parameters()})
            for parameter in member.parameters():
                parameter.data *= factor

        return scale

    alone = [
        plain_loop(member, data, i, lambda m: TORCH[kind](m.parameters(), lr=0.05, weight_decay=0.0), after=rescale(s))
        for i, (member, s) in enumerate(zip(members, starts, strict=True))
    ]
    assert farthest(history, alone) < 1e-9


@pytest.mark.parametrize("kind", list(TORCH))
@pytest.mark.parametrize("layout", ["wide", "deep"])
def test_rates_by_name_equal_parameter_groups(layout: str, kind: str) -> None:
    members, data = population(layout)
    rates = {"layers.0": RATES, "layers.1.weight": 0.04, "": 0.005}
    decays = {"layers": 0.3, "layers.0.bias": [0.0, 0.1, 0.2, 0.0]}

    def groups(member: nn.Module, i: int) -> torch.optim.Optimizer:
        def rate(name: str) -> float:
            return RATES[i] if name.startswith("layers.0") else 0.04 if name == "layers.1.weight" else 0.005

        def decay(name: str) -> float:
            return [0.0, 0.1, 0.2, 0.0][i] if name == "layers.0.bias" else 0.3

        named = member.named_parameters()
        return TORCH[kind]([{"params": [p], "lr": rate(n), "weight_decay": decay(n)} for n, p in named])

    history = train(
        members, data, steps=STEPS, learning_rate=rates, weight_decay=decays, optimizer=Optimizer(kind=kind)
    )
    alone = [plain_loop(member, data, i, lambda m, i=i: groups(m, i)) for i, member in enumerate(members)]
    assert farthest(history, alone) < 1e-10


def test_the_longest_name_that_fits_counts() -> None:
    rates = Rates(values={"": (1.0, 2.0), "layers": (3.0, 4.0), "layers.1.bias": (5.0, 6.0), "lay": (7.0, 8.0)})
    assert [rates.of(0, name) for name in ("layers.1.bias", "layers.1.weight", "layer", "lay")] == [5, 3, 1, 7]
    assert rates.of(1, "layers") == 4
    with pytest.raises(ValueError, match=r"parameter='other': must be named by one of layers"):
        Rates(values={"layers": (1.0,)}).of(0, "other")


@pytest.mark.parametrize("field", ["learning_rate", "weight_decay"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"layer": 0.1, "": 0.1}, "'layer': must be a name of parameters: layers.0.bias"),
        ({"layers.0": 0.1}, r"must be with a number for layers.1.bias, layers.1.weight"),
        ({}, r"must be with a number for layers.0.bias"),
        ({"": [0.1, 0.2]}, r"\[''\]=.*one number, or 4, one a member"),
        ({"layers": -0.1}, r"\['layers'\]=.*not negative"),
    ],
)  # fmt: skip
def test_names_that_fit_nothing_and_parameters_without_a_number_are_refused(
    field: str, value: dict[str, object], message: str
) -> None:
    members, data = population("wide")
    with pytest.raises(ValueError, match=f"{field}.*{message}"):
        train(members, data, **{"steps": 1, "learning_rate": 0.1, field: value})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slow_gradient": -1.0}, "slow_gradient=-1.0: must be finite and not negative"),
        ({"slow_gradient": float("inf")}, "slow_gradient=inf"),
        ({"slow_decay": 1.0}, r"slow_decay=1.0: must be in \[0, 1\)"),
    ],
)
def test_bad_constants_are_named(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Optimizer(**arguments)


@pytest.mark.parametrize(("kind", "own"), [("sgd", 0), ("momentum", 1), ("adam", 2), ("adamw", 2)])
def test_slots(kind: str, own: int) -> None:
    assert Optimizer(kind=kind).slots == own
    assert Optimizer(kind=kind, slow_gradient=1.0).slots == own + 1
    assert Optimizer(kind=kind, orthogonal=True, constant_norm=True).slots == own


class StoppedError(Exception):
    """Raised to stop a training in the middle."""


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
@pytest.mark.parametrize("option", ["slow_gradient", "orthogonal", "constant_norm"])
def test_stopped_and_resumed_equals_uninterrupted(option: str, kind: str, tmp_path: Path) -> None:
    members, data = population("deep")
    rule = Optimizer(kind=kind, **{option: 2.0 if option == "slow_gradient" else True})

    def go(path: Path | None, stop: int | None = None) -> History:
        def progress(done: int, _: int) -> None:
            if done == stop:
                raise StoppedError

        return train(
            members, data, steps=STEPS, learning_rate={"layers.0": 0.05, "": 0.02}, optimizer=rule, batch_size=8,
            checkpoint=path, checkpoint_every=5, progress=progress,
        )  # fmt: skip

    path = tmp_path / "run.npz"
    with pytest.raises(StoppedError):
        go(path, stop=17)
    resumed, whole = go(path), go(None)
    for a, b in zip(resumed.states, whole.states, strict=True):
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=0, atol=0)
    if option == "constant_norm":  # also over the interruption it is the norm of the start that is kept
        for member, state in zip(members, resumed.states, strict=True):
            start = norm({name: p.detach() for name, p in member.named_parameters()})
            torch.testing.assert_close(norm(state), start, rtol=1e-12, atol=0)


def test_a_checkpoint_with_another_option_is_refused(tmp_path: Path) -> None:
    members, data = population("deep")
    path = tmp_path / "run.npz"
    train(members, data, steps=5, learning_rate=0.1, optimizer=Optimizer(slow_gradient=1.0), checkpoint=path)
    with pytest.raises(ValueError, match="same members, data and arguments"):
        train(members, data, steps=5, learning_rate=0.1, optimizer=Optimizer(slow_gradient=2.0), checkpoint=path)
