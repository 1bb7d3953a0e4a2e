"""What is measured on the twins: that they are one function, how sharp each is, and how each fine-tunes."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from heldout.ensemble import History, Rate
from heldout.networks import MLP
from heldout.nonidentifiability import fine_tuning_runs as runs
from heldout.nonidentifiability import rescaling

Values = dict[str, np.ndarray]
LAYERS = ("layers.0", "layers.1.weight")  # what a factor on the units of the first hidden layer changes
SEARCHED = ("original", "widest", "widest, first layer alone")


@dataclass(frozen=True, kw_only=True)
class Study:
    """The pretrained networks, one a seed, their twins by name (float64), and how they are fine-tuned."""

    seeds: Sequence[int]
    data: runs.Digits
    networks: Sequence[MLP]
    factors: Sequence[Mapping[str, Tensor]]
    twins: Sequence[Mapping[str, MLP]]
    steps: int
    batch_size: int
    device: torch.device

    @classmethod
    def prepare(
        cls,
        seeds: Sequence[int],
        data: runs.Digits,
        networks: Sequence[MLP],
        layer_scales: Sequence[float],
        unit_spreads: Sequence[float],
        *,
        steps: int,
        batch_size: int,
        device: torch.device,
    ) -> "Study":
        """Make the twins."""
        pairs = list(zip(networks, seeds, strict=True))
        factors = [runs.scales(network.sizes[1], layer_scales, unit_spreads, seed) for network, seed in pairs]
        twins = [runs.twins(network, own) for network, own in zip(networks, factors, strict=True)]
        return cls(
            seeds=seeds, data=data, networks=networks, factors=factors, twins=twins, steps=steps, batch_size=batch_size,
            device=device,
        )  # fmt: skip

    @property
    def names(self) -> list[str]:
        """All twins; the last is the balanced one and the one before it that with the widest unit scales."""
        return list(self.twins[0])

    def members(self, names: Sequence[str]) -> list[MLP]:
        """The twins named, those of all seeds for one name after the other."""
        return [twins[name] for name in names for twins in self.twins]

    def tune(
        self,
        members: Sequence[MLP],
        rate: Rate | Mapping[str, Rate],
        kind: str,
        probe_steps: Sequence[int],
        progress: Callable[[int, int], None] | None = None,
    ) -> History:
        """Fine-tune members that go through the seeds in turn."""
        return runs.fine_tune(
            members, list(range(len(self.seeds))) * (len(members) // len(self.seeds)), self.seeds, self.data, rate=rate,
            kind=kind, steps=self.steps, batch_size=self.batch_size, probe_steps=probe_steps, device=self.device,
            progress=progress,
        )  # fmt: skip


def same_function(study: Study) -> Values:
    """Differences of outputs from the original (twin, seed) in both precisions; what the original is before (seed)."""
    shape = (len(study.names), len(study.seeds))
    double, single, missed = np.empty(shape), np.empty(shape), np.empty(len(study.seeds))
    least, most, dead = np.empty_like(missed), np.empty_like(missed), np.empty_like(missed)
    with torch.no_grad():
        for place, network in enumerate(study.networks):
            x, plain = study.data.all.x[place], copy.deepcopy(network).float()
            test = study.data.test
            missed[place] = float((network(test.x[place].double()).argmax(-1) != test.y[place]).double().mean())
            incoming, outgoing = rescaling.unit_norms(network)
            balancing = (outgoing / incoming).sqrt()
            least[place], most[place] = float(balancing.min()), float(balancing.max())
            dead[place] = runs.dead_share(network, network.state_dict(), study.data.tune.x[place].double())
            for row, name in enumerate(study.names):
                twin = study.twins[place][name]
                double[row, place] = runs.largest_difference(twin(x.double()), network(x.double()))
                single[row, place] = runs.largest_difference(copy.deepcopy(twin).float()(x), plain(x))
    return {
        "difference": double, "single_difference": single, "pretrain_error": missed, "balance_least": least,
        "balance_most": most, "dead_before": dead,
    }  # fmt: skip


def sharpness(study: Study) -> Values:
    """Trace of the Hessian of the pretraining loss (twin, seed)."""
    x = study.data.pretrain.x.double()
    traces = [
        [rescaling.hessian_trace(twins[name], own) for twins, own in zip(study.twins, x, strict=True)]
        for name in study.names
    ]
    return {"trace": np.array(traces)}


def grid(
    study: Study, rates: Sequence[float], kind: str, probe_steps: list[int], progress: Callable[[int, int], None]
) -> Values:
    """Losses and errors (twin, rate, seed, step) and dead units (twin, rate, seed), every twin at every rate, in float32."""
    members = [copy.deepcopy(twins[name]).float() for name in study.names for _ in rates for twins in study.twins]
    per_member = [rate for _ in study.names for rate in rates for _ in study.seeds]
    history = study.tune(members, per_member, kind, probe_steps, progress)
    shape = (len(probe_steps), len(study.names), len(rates), len(study.seeds))
    x = study.data.tune.x
    dead = [
        runs.dead_share(member, state, x[place % len(x)])
        for place, (member, state) in enumerate(zip(members, history.states, strict=True))
    ]
    found = {name: np.moveaxis(values.reshape(shape), 0, -1) for name, values in history.values.items()}
    return found | {"dead": np.reshape(dead, shape[1:])}


def two_rates(
    study: Study, scaled_rates: Sequence[float], rest_rates: Sequence[float], progress: Callable[[int, int], None]
) -> Values:
    """Losses (searched, scaled rate, rest rate, seed) at the end of SGD, some layers at one rate and all else at another.

    Searched are the original and the twin with the widest unit scales with one rate for the two layers that the scales
    change, and that twin with one for the first layer alone.
    """
    cells = [(own, other) for own in scaled_rates for other in rest_rates for _ in study.seeds]
    own, other = [one for one, _ in cells], [two for _, two in cells]
    rows = ((runs.ORIGINAL, LAYERS), (study.names[-2], LAYERS), (study.names[-2], LAYERS[:1]))
    members = [
        copy.deepcopy(twins[name]).float()
        for name, _ in rows
        for _ in cells[:: len(study.seeds)]
        for twins in study.twins
    ]
    rates = {"": other * len(rows)} | {
        part: [rate for _, parts in rows for rate in (own if part in parts else other)] for part in LAYERS
    }
    history = study.tune(members, rates, "sgd", [study.steps], progress)
    shape = (len(rows), len(scaled_rates), len(rest_rates), len(study.seeds))
    ends = {name: values[-1].reshape(shape) for name, values in history.values.items()}
    return {"two_validation": ends["validation_loss"], "two_test": ends["test_loss"]}


def undone(study: Study, rate: float) -> Values:
    """What is left of a twin's difference (factored, seed) when two layer rates make up for its scale, or half do.

    Fine-tuning by SGD in double precision; the first layer's rate is multiplied and that of the weights out of it divided by
    the geometric mean of the squared factors, or of the factors. Compared are outputs on test digits with those of the original
    at ``rate``. The twins are those with factors: all but the balanced one.
    """
    names, found = study.names[:-1], {}
    members, places = study.members(names), list(range(len(study.seeds))) * len(names)
    for kind, power in (("undone", 2), ("half", 1)):
        ratios = [float((power * own[name].log()).mean().exp()) for name in names for own in study.factors]
        history = study.tune(members, runs.layer_rates([rate] * len(members), ratios), "sgd", [study.steps])
        said = runs.outputs(members, history.states, [study.data.test.x[place].double() for place in places])
        gaps = [runs.largest_difference(own, said[place]) for own, place in zip(said, places, strict=True)]
        found[f"{kind}_difference"] = np.reshape(gaps, (len(names), len(study.seeds)))
        found[f"{kind}_error"] = history.values["test_error"][-1].reshape(len(names), len(study.seeds))
    return found


def gradients(study: Study, factor: float) -> Values:
    """Length of the change of the gradient over its length (seed), for a factor in the activation and for one in the weights.

    Also the largest difference of outputs, over all digits, that the factor in the weights makes.
    """
    tune, found = study.data.tune.renamed(), []
    for place, network in enumerate(study.networks):
        x, y, everything = tune.x[place].double(), tune.y[place], study.data.all.x[place].double()
        plain = rescaling.gradient(network, x, y)
        everywhere = torch.full((network.sizes[1],), factor, dtype=torch.float64)
        moved = rescaling.rescaled(network, everywhere)
        twins = rescaling.ScaledActivation.like(network, factor), moved
        changes = [float((rescaling.gradient(twin, x, y) - plain).norm() / plain.norm()) for twin in twins]
        with torch.no_grad():
            found.append([*changes, runs.largest_difference(moved(everything), network(everything))])
    return dict(zip(("published_gradient", "moved_gradient", "moved_difference"), np.array(found).T, strict=True))
