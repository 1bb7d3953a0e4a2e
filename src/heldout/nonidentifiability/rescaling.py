"""One function, many weights: rescaled units of a ReLU network, the balanced choice among them, and how sharp each is.

For a ReLU unit, s relu(z) = relu(s z) when s > 0. Multiplying what comes into a unit of the first hidden layer by s, its bias
too, and dividing what goes out of it by s leaves the function as it was.
"""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from heldout.devices import generator
from heldout.experiment import require
from heldout.networks import MLP


def rescaled(network: MLP, scales: Float[Tensor, " unit"]) -> MLP:
    """A copy whose units in the first hidden layer have incoming weights and bias times ``scales``, outgoing weights over it.

    Raises:
        ValueError: the network has no hidden layer or no ReLU units, or there is not one scale above 0 a unit.
    """
    require(len(network.layers) >= 2, "network", network.sizes, "with a hidden layer")
    require(network.activation == "relu", "activation", network.activation, "relu, which lets positive factors through")
    require(
        tuple(scales.shape) == (network.sizes[1],), "scales", tuple(scales.shape), f"{network.sizes[1]}, one a unit"
    )
    require(bool((scales > 0).all()), "scales", float(scales.min()), "above 0")
    twin = copy.deepcopy(network)
    first, second = _linear(twin, 0), _linear(twin, 1)
    with torch.no_grad():
        first.weight.mul_(scales.unsqueeze(1))
        first.bias.mul_(scales)
        second.weight.div_(scales)
    return twin


def _linear(network: MLP, place: int) -> nn.Linear:
    layer = network.layers[place]
    assert isinstance(layer, nn.Linear)
    return layer


def spread_scales(units: int, spread: float, seed: int) -> Float[Tensor, " unit"]:
    """One factor a unit, its logarithm normal with standard deviation log ``spread`` (float64).

    The normal numbers do not depend on ``spread``.
    """
    numbers = torch.randn(units, generator=generator("rescaled units", seed), dtype=torch.float64)
    return spread**numbers


def unit_norms(network: MLP) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"]]:
    """Lengths of what comes into each unit of the first hidden layer, its bias too, and of what goes out of it."""
    first, second = _linear(network, 0), _linear(network, 1)
    with torch.no_grad():
        return (first.weight.square().sum(1) + first.bias.square()).sqrt(), second.weight.norm(dim=0)


def rebalanced(network: MLP) -> MLP:
    """The copy of :func:`rescaled` in which the two lengths of each unit are equal, the least sum of their squares.

    Raises:
        ValueError: nothing comes into a unit or goes out of it.
    """
    incoming, outgoing = unit_norms(network)
    smallest = float(torch.minimum(incoming, outgoing).min())
    require(smallest > 0, "network", smallest, "with units that have incoming and outgoing weights")
    return rescaled(network, (outgoing / incoming).sqrt())


def hessian_trace(network: MLP, x: Float[Tensor, "sample feature"]) -> float:
    """Trace of the Hessian, over all parameters, of the mean cross-entropy on ``x``: exact, and the same for all labels.

    Where no unit is at its kink the logits are linear in each single weight, so the diagonal of the Hessian has no part from
    their second derivatives. What is left is the mean of the squared gradient of log p_c over classes c drawn from the
    network's own distribution p.
    """
    with torch.no_grad():
        layers = [_linear(network, place) for place in range(len(network.layers))]
        into = [x]
        for layer in layers[:-1]:
            into.append(functional.relu(layer(into[-1])))
        p = layers[-1](into[-1]).softmax(-1)
        backward = torch.eye(p.shape[1], dtype=p.dtype, device=p.device) - p.unsqueeze(1)  # sample, drawn class, logit
        total = torch.zeros(p.shape, dtype=p.dtype, device=p.device)
        for place in range(len(layers) - 1, -1, -1):
            total += backward.square().sum(-1) * (into[place].square().sum(-1, keepdim=True) + 1)
            if place:
                backward = (backward @ layers[place].weight) * (into[place] > 0).unsqueeze(1)
        return float((p * total).sum(-1).mean())


class ScaledActivation(MLP):
    """The perceptron with relu(k z) / k in the place of relu(z), k a constant ``factor``: relu(z) again, and its slope."""

    factor: float = 1.0

    @classmethod
    def like(cls, network: MLP, factor: float) -> "ScaledActivation":
        """A copy of ``network`` with the factor in its activation."""
        twin = copy.deepcopy(network)
        twin.__class__ = cls
        assert isinstance(twin, cls)
        twin.factor = factor
        return twin

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        """Outputs before any softmax."""
        for layer in self.layers[:-1]:
            x = functional.relu(self.factor * layer(x)) / self.factor
        return self.layers[-1](x)  # type: ignore[no-any-return]  # ModuleList items are typed as Module


def gradient(network: MLP, x: Float[Tensor, "sample feature"], y: Tensor) -> Float[Tensor, " parameter"]:
    """Gradient of the mean cross-entropy, all parameters in one vector."""
    loss = functional.cross_entropy(network(x), y)
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(network.parameters()))])
