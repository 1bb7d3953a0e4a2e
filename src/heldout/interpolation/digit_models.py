"""Models that answer with a digit: neighbors, kernels, rough waves and networks.

Some hit every training point by construction, some by training, some never. All answer with a class from 0 to 9. Fits are
solved in float64 and asked in float32.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.data import Samples
from heldout.data.digit_task import CLASSES, one_hot
from heldout.devices import generator
from heldout.ensemble import TrainingData, train
from heldout.networks import MLP

NAMES = {
    "nearest": "nearest neighbor",
    "exact": "kernel, exact",
    "network": "network, to the end",
    "waves": "rough waves",
    "random": "kernel, random labels",
    "neighbors": "five neighbors",
    "ridge": "kernel with ridge",
    "stopped": "network, stopped early",
    "one_unit": "network of one unit",
}
HITTING = ("nearest", "exact", "network", "waves", "random")
MISSING = ("neighbors", "ridge", "stopped", "one_unit")
GOOD = ("nearest", "exact", "network")
BY_DISTANCE = ("nearest", "exact", "random", "neighbors", "ridge")
JITTER = 1e-9  # nearly equal inputs would make the kernel matrix singular; the fit misses labels by about as much

Answers = Callable[[Float[Tensor, "inputs pixels"]], dict[str, Int[Tensor, " inputs"]]]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the models need besides data.

    Attributes:
        neighbors: how many vote.
        bandwidth: of the kernel exp(-|x - z|^2 / (2 bandwidth^2)), in pixel values.
        ridge: penalty of the regularized kernel fit.
        waves: number of waves.
        wave_scale: distance over which a wave forgets where it was, in pixel values.
        hidden_size: of the networks.
        steps: updates of the network that is trained to the end, and of the one with a single unit.
        stopped_steps: updates of the network that is stopped early.
        learning_rate: of Adam.
        batch_size: samples a step.
    """

    neighbors: int
    bandwidth: float
    ridge: float
    waves: int
    wave_scale: float
    hidden_size: int
    steps: int
    stopped_steps: int
    learning_rate: float
    batch_size: int


def by_distance(shown: Samples, random_labels: Int[Tensor, " n"], recipe: Recipe) -> Answers:
    """Five models that see an input only through its distances to the training digits, so that these are measured once.

    ``nearest``: the class of the nearest training digit. ``neighbors``: the commonest class among the nearest ones, of
    equally common ones the smallest digit. ``exact`` and ``ridge``: kernel regression of the one-hot labels, through every
    label exactly or with a ridge penalty. ``random``: as ``exact``, through ``random_labels``.
    """

    def kernel(distances: Tensor) -> Tensor:
        return (distances * (-0.5 / recipe.bandwidth**2)).exp_()

    def weights(penalty: float, labels: Tensor) -> Tensor:
        gram.diagonal().fill_(1 + penalty + JITTER)
        return torch.cholesky_solve(one_hot(labels), torch.linalg.cholesky(gram))

    gram = kernel(squared_distances(shown.x.double(), shown.x.double()))
    fits = torch.cat([weights(0, shown.y), weights(0, random_labels), weights(recipe.ridge, shown.y)], dim=1)
    stacked = fits.to(shown.x.dtype)

    def answer(x: Tensor) -> dict[str, Tensor]:
        distances = squared_distances(x, shown.x)
        nearest = distances.topk(recipe.neighbors, largest=False).indices
        scores = (kernel(distances) @ stacked).view(len(x), 3, CLASSES).argmax(2)
        told = dict(zip(("exact", "random", "ridge"), scores.unbind(1), strict=True))
        return told | {"nearest": shown.y[nearest[:, 0]], "neighbors": one_hot(shown.y[nearest]).sum(1).argmax(1)}

    return answer


def rough_waves(shown: Samples, recipe: Recipe, *coordinates: int | str) -> Answers:
    """The shortest weights on random waves cos(w x + b) that pass through every one-hot label exactly.

    The waves' directions are normal with standard deviation 1 / ``wave_scale``: Rahimi and Recht's random Fourier
    features, which in large numbers approximate a Gaussian kernel of that bandwidth.
    """
    source = generator("rough waves", *coordinates)
    directions = torch.randn(shown.x.shape[1], recipe.waves, generator=source) / recipe.wave_scale
    phases = torch.rand(recipe.waves, generator=source) * 2 * math.pi

    def waves(x: Tensor) -> Tensor:
        return torch.addmm(phases, x, directions).cos_()

    features = waves(shown.x).double()
    weights = features.mT @ torch.cholesky_solve(one_hot(shown.y), torch.linalg.cholesky(features @ features.mT))
    stacked = weights.float()
    return lambda x: {"waves": (waves(x) @ stacked).argmax(1)}


def squared_distances(x: Float[Tensor, "a pixels"], z: Float[Tensor, "b pixels"]) -> Float[Tensor, "a b"]:
    """Squared Euclidean distances of all pairs, at least 0."""
    lengths = x.square().sum(1)[:, None] + z.square().sum(1)
    return lengths.addmm_(x, z.mT, alpha=-2).clamp_(min=0)


def networks(
    shown: Sequence[Samples],
    keys: Sequence[int],
    recipe: Recipe,
    models: Sequence[str],
    *,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, MLP]]:
    """For each training set the networks asked for, trained with Adam on the cross-entropy.

    One hidden ReLU layer. The one that is stopped early starts from the same weights and takes the same first steps as
    the one that is trained to the end. Initial weights and the order of samples follow from the set's key.
    """
    result: list[dict[str, MLP]] = [{} for _ in shown]
    stages = [(recipe.stopped_steps, {"stopped": recipe.hidden_size})]
    stages.append((recipe.steps, {"one_unit": 1, "network": recipe.hidden_size}))
    for steps, sizes in stages:
        wanted = {name: size for name, size in sizes.items() if name in models}
        members = [_network(shown[0], size, key) for key in keys for size in wanted.values()]
        if not members:
            continue
        data = TrainingData(
            inputs=torch.stack([samples.x.float() for samples in shown]),
            targets=torch.stack([samples.y for samples in shown for _ in wanted]),
            streams=[stream for stream in range(len(shown)) for _ in wanted],
            keys=list(keys),
        )
        done = train(
            members, data, steps=steps, learning_rate=recipe.learning_rate, batch_size=recipe.batch_size,
            device=device, progress=progress if steps == recipe.steps else None,
        )  # fmt: skip
        for number, (member, state) in enumerate(zip(members, done.states, strict=True)):
            member.load_state_dict(state)
            result[number // len(wanted)][list(wanted)[number % len(wanted)]] = member
    return result


def _network(shown: Samples, size: int, key: int) -> MLP:
    return MLP(shown.x.shape[1], (size,), CLASSES, generator=generator("digit network", key, size))


@torch.no_grad()
def probabilities(network: MLP, x: Float[Tensor, "inputs pixels"]) -> Float[Tensor, "inputs classes"]:
    """What a network's softmax gives to each class."""
    outputs: Tensor = network(x.float())
    return outputs.softmax(-1)


def ask(
    shown: Samples,
    random_labels: Int[Tensor, " n"],
    trained: dict[str, MLP],
    recipe: Recipe,
    models: Sequence[str],
    inputs: dict[str, Float[Tensor, "inputs pixels"]],
    *coordinates: int | str,
) -> dict[str, dict[str, Int[Tensor, " inputs"]]]:
    """What each model answers at each place: ``answers[place][model]``, for one training set."""
    fits: list[Answers] = []
    if set(models) & set(BY_DISTANCE):
        fits.append(by_distance(shown, random_labels, recipe))
    if "waves" in models:
        fits.append(rough_waves(shown, recipe, *coordinates))
    answers: dict[str, dict[str, Tensor]] = {}
    for place, x in inputs.items():
        told = {name: probabilities(network, x).argmax(1) for name, network in trained.items()}
        for fit in fits:
            told |= fit(x)
        answers[place] = {model: told[model] for model in models}
    return answers
