"""Networks that add, written down by hand: a pizza, a clock, and all that lies between, by the phases of one layer of ReLU."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from heldout.devices import generator
from heldout.grokking.clock_pizza_measures import Slopes


class WrittenDown:
    """Units ``relu(cos(t a + phi) + cos(t b + psi))``, read through ``cos(t c + phi + psi)``, with t = 2 pi k / P.

    Both numbers are read from one embedding, the points (cos t a, sin t a) of every frequency k. The phase phi is uniform on
    the circle, and psi - phi uniform on the share ``spread`` of it around 0. At spread 0 the two phases are one and the unit
    reads the sum of two points: Zhong et al.'s pizza, whose mean logit is |cos(t (a - b) / 2)| cos(t (a + b - c)) up to a
    factor. At spread 1 they are independent and the mean logit is a clock's, cos(t (a + b - c)).
    """

    def __init__(
        self, modulus: int, frequencies: Sequence[int], units: int, spread: float, seed: int, device: torch.device
    ) -> None:
        drawn = torch.rand(
            len(frequencies), units, 2, generator=generator("written down", modulus, seed), dtype=torch.float64
        )
        phi = 2 * math.pi * drawn[..., 0]
        psi = phi + spread * math.pi * (2 * drawn[..., 1] - 1)
        angle = (
            2 * math.pi * torch.outer(torch.tensor(frequencies, dtype=torch.float64), torch.arange(modulus)) / modulus
        )
        points = torch.stack([angle.cos(), angle.sin()], -1)  # (frequency, number, 2)
        self.embed: Float[Tensor, "modulus size"] = points.transpose(0, 1).flatten(1).float().to(device)
        self.left, self.right = (
            torch.stack([phase.cos(), -phase.sin()], -1).float().to(device) for phase in (phi, psi)
        )  # (frequency, unit, 2)
        self.unembed = (
            torch.cos(angle[:, None] + (phi + psi)[..., None]).float().to(device)
        )  # (frequency, unit, number)

    def from_vectors(
        self, first: Float[Tensor, "*batch size"], second: Float[Tensor, "*batch size"]
    ) -> Float[Tensor, "*batch modulus"]:
        """Logits from two rows of the embedding."""
        return torch.einsum("...ku,kun->...n", functional.relu(self._given(first, second)), self.unembed)

    def _given(self, first: Tensor, second: Tensor) -> Float[Tensor, "*batch frequency units"]:
        shape = (*first.shape[:-1], -1, 2)
        read = torch.einsum("...kx,kux->...ku", first.view(shape), self.left)
        return read + torch.einsum("...kx,kux->...ku", second.view(shape), self.right)

    def slopes(self, first: Float[Tensor, "pairs size"], second: Float[Tensor, "pairs size"]) -> Slopes:
        """The gradients of every logit in the two rows: an open unit passes its weights on."""
        opened = (self._given(first, second) > 0).float()
        passed = [torch.einsum("kun,kux->kunx", self.unembed, side) for side in (self.left, self.right)]
        both = [torch.einsum("pku,kunx->pnkx", opened, weights).flatten(2) for weights in passed]
        return both[0], both[1]
