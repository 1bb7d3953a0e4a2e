"""Networks fitted to functions on a ball, and what they do along straight lines through its center."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from heldout import losses
from heldout.devices import generator
from heldout.ensemble import TrainingData, train
from heldout.networks import MLP

TARGETS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x @ torch.linspace(-1, 1, x.shape[-1], dtype=x.dtype, device=x.device),
    "l1": lambda x: x.abs().sum(-1),
    "square": lambda x: x.square().sum(-1),
    "cosine": lambda x: torch.cos(3 * x).sum(-1),
}
INIT_SCALES = {"relu": 1.0, "tanh": 4.0}  # tanh networks that start as small as PyTorch's default do not fit
POINTS = 100  # places looked at on a piece of a line


@dataclass(frozen=True)
class Fitted:
    """A network with one hidden layer that learned a target less its mean, over its standard deviation."""

    network: MLP
    mean: float
    std: float

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """The learned function, in units of the target."""
        outputs: Tensor = self.network(x.reshape(-1, x.shape[-1]))
        return self.mean + self.std * outputs.reshape(x.shape[:-1])


def ball(count: int, dimension: int, draw: torch.Generator) -> Float[Tensor, "count d"]:
    """Points drawn evenly from the ball of radius 1 (float64)."""
    radius = torch.rand(count, 1, generator=draw, dtype=torch.float64) ** (1 / dimension)
    return sphere(count, dimension, draw) * radius


def sphere(count: int, dimension: int, draw: torch.Generator) -> Float[Tensor, "count d"]:
    """Directions drawn evenly (float64)."""
    points = torch.randn(count, dimension, generator=draw, dtype=torch.float64)
    unit: Tensor = points / points.norm(dim=1, keepdim=True)
    return unit


def fit_all(
    inputs: Float[Tensor, "seed n d"],
    seeds: Sequence[int],
    *,
    width: int,
    steps: int,
    learning_rates: Sequence[float],
    batch_size: int,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> dict[tuple[int, str, str], Fitted]:
    """Every seed's ReLU and tanh network for every target, and the ReLU network as it started ("untrained").

    Networks of one seed and activation start from the same weights; all are trained together, in float32.
    """
    targets = {(s, name): TARGETS[name](inputs[s]) for s in range(len(seeds)) for name in TARGETS}
    keys = [(s, name, activation) for s, name in targets for activation in INIT_SCALES]
    members = [_start(inputs.shape[-1], width, activation, seeds[s]) for s, _, activation in keys]
    scaled = [(y - y.mean()) / y.std() for y in (targets[s, name] for s, name, _ in keys)]
    data = TrainingData(
        inputs=inputs.float(),
        targets=torch.stack(scaled)[..., None].float(),
        streams=[s for s, _, _ in keys],
        keys=list(seeds),
    )
    for stage, rate in enumerate(learning_rates):
        done = train(
            members,
            data,
            steps=steps,
            learning_rate=rate,
            batch_size=batch_size,
            seed=stage,
            loss=losses.squared_error,
            device=device,
            progress=lambda now, total, stage=stage: progress(stage * total + now, len(learning_rates) * total),  # type: ignore[misc]  # bound now
        )
        for member, state in zip(members, done.states, strict=True):
            member.load_state_dict(state)
    fitted = {}
    for (s, name, activation), member in zip(keys, members, strict=True):
        y = targets[s, name]
        fitted[seeds[s], name, activation] = Fitted(member.double(), float(y.mean()), float(y.std()))
        if activation == "relu":
            untrained = _start(inputs.shape[-1], width, activation, seeds[s]).double()
            fitted[seeds[s], name, "untrained"] = Fitted(untrained, float(y.mean()), float(y.std()))
    return fitted


def _start(dimension: int, width: int, activation: str, seed: int) -> MLP:
    source = generator("rays", "weights", activation, seed)
    return MLP(dimension, (width,), 1, generator=source, activation=activation, init_scale=INIT_SCALES[activation])


def line_share(values: Float[Tensor, "ray point"], places: Float[Tensor, " point"]) -> Float[Tensor, " ray"]:
    """R squared of the best straight line through each row, as a function of ``places``."""
    design, _ = torch.linalg.qr(torch.stack([torch.ones_like(places), places], dim=1))
    left = values - (values @ design) @ design.T
    centered = values - values.mean(1, keepdim=True)
    share: Tensor = 1 - left.square().sum(1) / centered.square().sum(1)
    return share


def along(
    fitted: Fitted, name: str, directions: Float[Tensor, "ray d"], low: float, high: float
) -> tuple[float, float]:
    """Over the piece from ``low`` to ``high`` of each ray: median R squared of a line, and mean |error| over mean |target|."""
    places = torch.linspace(low, high, POINTS, dtype=torch.float64)
    points = directions[:, None] * places[:, None]
    values, truth = fitted(points), TARGETS[name](points)
    return float(line_share(values, places).median()), float((values - truth).abs().mean() / truth.abs().mean())


@torch.no_grad()
def bend_beyond(network: MLP, directions: Float[Tensor, "ray d"], radius: float) -> float:
    """Of all the changes of slope on the way outward from the center, the share beyond a radius; median over directions.

    Unit j switches where w_j . (t u) + b_j = 0, and the slope along u then changes by |a_j w_j . u|.
    """
    first, last = network.layers
    speed = directions @ first.get_parameter("weight").T
    place = -first.get_parameter("bias") / speed
    change = (last.get_parameter("weight")[0] * speed).abs() * (place > 0)
    return float(((change * (place > radius)).sum(1) / change.sum(1)).median())
