"""Pretraining on digits, twins of the pretrained networks, and fine-tuning all of them at all learning rates together."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.data import digits
from heldout.devices import generator
from heldout.ensemble import History, Optimizer, Rate, Snapshot, TrainingData, train
from heldout.losses import stable_cross_entropy
from heldout.networks import MLP
from heldout.nonidentifiability import rescaling

CLASSES, ALL_DIGITS = 10, 1797
ORIGINAL, BALANCED = "original", "balanced"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Digits of several seeds: pixels (seed, digit, pixel) and labels (seed, digit)."""

    x: Float[Tensor, "seed digit pixel"]
    y: Int[Tensor, "seed digit"]

    def renamed(self) -> "Part":
        """The fine-tuning task: the same pictures, label y called 3 y + 1 modulo 10, a permutation without a fixed label."""
        return Part(x=self.x, y=(3 * self.y + 1) % CLASSES)


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Disjoint parts of the 1,797 digits, each seed's in its own order, and all of them."""

    pretrain: Part
    tune: Part
    validation: Part
    test: Part
    all: Part


def load(seeds: Sequence[int], num_pretrain: int, num_tune: int, num_validation: int) -> Digits:
    """The digits of each seed, what is left over as the test set."""
    used = num_pretrain + num_tune + num_validation
    drawn = [digits.load(seed) for seed in seeds]
    x, y = torch.stack([one.x for one in drawn]), torch.stack([one.y for one in drawn])
    ends = np.cumsum([0, num_pretrain, num_tune, num_validation, ALL_DIGITS - used]).tolist()
    parts = [Part(x=x[:, low:high], y=y[:, low:high]) for low, high in itertools.pairwise(ends)]
    return Digits(pretrain=parts[0], tune=parts[1], validation=parts[2], test=parts[3], all=Part(x=x, y=y))


def pretrain(
    part: Part, seeds: Sequence[int], hidden_sizes: Sequence[int], *, steps: int, rate: float, device: torch.device
) -> list[MLP]:
    """A network a seed (float64), trained on the whole part at every step by gradient descent with momentum in float32."""
    networks = [
        MLP(part.x.shape[-1], hidden_sizes, CLASSES, generator=generator("fine tuning", "weights", seed))
        for seed in seeds
    ]
    data = TrainingData(inputs=part.x, targets=part.y, streams=range(len(seeds)), keys=seeds)
    history = train(
        networks, data, steps=steps, learning_rate=rate, optimizer=Optimizer(kind="momentum"), device=device
    )
    for network, state in zip(networks, history.states, strict=True):
        network.load_state_dict(state)
    return [network.double() for network in networks]


def scales(
    units: int, layer_scales: Sequence[float], unit_spreads: Sequence[float], seed: int
) -> dict[str, Float[Tensor, " unit"]]:
    """The factors of every twin but the balanced one, by its name; the widest unit scales come last (float64)."""
    ones = torch.ones(units, dtype=torch.float64)
    found = {ORIGINAL: ones} | {f"layer {k:g}": k * ones for k in layer_scales}
    return found | {f"units {h:g}": rescaling.spread_scales(units, h, seed) for h in unit_spreads}


def twins(network: MLP, factors: Mapping[str, Float[Tensor, " unit"]]) -> dict[str, MLP]:
    """Networks of one function (float64). The balanced one, the last, is made from the one before it."""
    found = {name: rescaling.rescaled(network, each) for name, each in factors.items()}
    return found | {BALANCED: rescaling.rebalanced(list(found.values())[-1])}


def fine_tune(
    networks: Sequence[MLP],
    streams: Sequence[int],
    seeds: Sequence[int],
    data: Digits,
    *,
    rate: Rate | Mapping[str, Rate],
    kind: str,
    steps: int,
    batch_size: int,
    probe_steps: Sequence[int],
    device: torch.device,
    progress: Callable[[int, int], None] | None,
) -> History:
    """Train every network on the renamed labels of its seed; values validation_loss, test_loss, test_error (step, member).

    All members of one seed see the same mini-batches.
    """
    tune = data.tune.renamed()
    dtype = next(networks[0].parameters()).dtype
    tasks = TrainingData(inputs=tune.x.to(dtype), targets=tune.y[list(streams)], streams=streams, keys=seeds)
    assert kind in ("sgd", "adam")
    return train(
        networks, tasks, steps=steps, learning_rate=rate, optimizer=Optimizer(kind="sgd" if kind == "sgd" else "adam"),
        batch_size=batch_size, probe=_Probe(data, list(streams), dtype, device), probe_steps=probe_steps, device=device,
        progress=progress,
    )  # fmt: skip


class _Probe:
    """Mean loss on validation and test digits and the share of test digits missed, all with the new labels."""

    def __init__(self, data: Digits, streams: list[int], dtype: torch.dtype, device: torch.device) -> None:
        parts = (data.validation.renamed(), data.test.renamed())
        self.count = parts[0].x.shape[1]
        self.x = torch.cat([part.x for part in parts], dim=1).to(device, dtype)
        self.y = torch.cat([part.y for part in parts], dim=1)[streams].to(device)

    def __call__(self, snapshot: Snapshot) -> dict[str, Float[Tensor, " member"]]:
        outputs = snapshot.predict(self.x, per_stream=True)
        wanted = self.y[snapshot.members]
        losses = stable_cross_entropy(outputs, wanted)
        wrong = (outputs.argmax(-1) != wanted).to(losses)
        return {
            "validation_loss": losses[:, : self.count].mean(1), "test_loss": losses[:, self.count :].mean(1),
            "test_error": wrong[:, self.count :].mean(1),
        }  # fmt: skip


def layer_rates(rates: Sequence[float], ratios: Sequence[float]) -> dict[str, list[float]]:
    """Rates by layer: first layer times the ratio, the weights out of it over the ratio, all others unchanged."""
    return {
        "": list(rates), "layers.0": [rate * ratio for rate, ratio in zip(rates, ratios, strict=True)],
        "layers.1.weight": [rate / ratio for rate, ratio in zip(rates, ratios, strict=True)],
    }  # fmt: skip


def dead_share(network: MLP, state: Mapping[str, Tensor], x: Float[Tensor, "digit pixel"]) -> float:
    """Share of hidden units that are 0 on all digits given, with the parameters given."""
    hidden, dead = x, []
    with torch.no_grad():
        for place in range(len(network.layers) - 1):
            hidden = (hidden @ state[f"layers.{place}.weight"].T + state[f"layers.{place}.bias"]).relu()
            dead.append((hidden <= 0).all(0))
    return float(torch.cat(dead).double().mean())


def outputs(networks: Sequence[MLP], states: Sequence[Mapping[str, Tensor]], x: Sequence[Tensor]) -> list[Tensor]:
    """What each network says of its own inputs with the parameters given."""
    with torch.no_grad():
        return [
            torch.func.functional_call(network, dict(state), (own,))
            for network, state, own in zip(networks, states, x, strict=True)
        ]


def largest_difference(one: Tensor, other: Tensor) -> float:
    """Largest absolute difference of two tensors of outputs; infinite where one is not finite."""
    gap = float((one - other).abs().max())
    return gap if np.isfinite(gap) else float("inf")
