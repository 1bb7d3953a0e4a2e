"""Which pairs of a function are shown, what they leave open, and the exact posterior over functions."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heldout.connecting_dots.named_functions import Language
from heldout.experiment import require


def agreeing(
    language: Language, inputs: Int[Tensor, "*batch pair"], outputs: Int[Tensor, "*batch pair"]
) -> Bool[Tensor, "*batch function"]:
    """Which functions agree with a set of pairs: the support of the exact posterior, which is uniform on it.

    Raises:
        ValueError: there is no pair, or a number is not below the modulus.
    """
    require(inputs.shape[-1] >= 1, "inputs", tuple(inputs.shape), "at least one pair")
    for name, numbers in (("inputs", inputs), ("outputs", outputs)):
        inside = int(numbers.min()) >= 0 and int(numbers.max()) < language.modulus
        require(
            inside, name, sorted(set(numbers.flatten().tolist())), f"whole numbers from 0 to {language.modulus - 1}"
        )
    given = language.values[:, inputs].movedim(0, -1)  # (*batch, pair, function)
    return (given == outputs.unsqueeze(-1)).all(-2)


def posterior(
    language: Language, inputs: Int[Tensor, "*batch pair"], outputs: Int[Tensor, "*batch pair"]
) -> Float[Tensor, "*batch function"]:
    """The exact posterior over functions, all equally likely before.

    Raises:
        ValueError: no function agrees with the pairs, or as :func:`agreeing`.
    """
    fits = agreeing(language, inputs, outputs)
    require(bool(fits.any(-1).all()), "outputs", outputs.tolist(), "the values of some function of the language")
    return fits.double() / fits.sum(-1, keepdim=True)


@dataclass(frozen=True, kw_only=True)
class Split:
    """For every function the inputs on which a new name is trained; the others are held out.

    Attributes:
        observed: (function, x) true where the pair is trained.
    """

    observed: Bool[Tensor, "function x"]

    @classmethod
    def drawn(cls, language: Language, generator: torch.Generator, count: int) -> "Split":
        """The same number of inputs for each function, drawn for each on its own.

        Raises:
            ValueError: ``count`` is not from 1 to the modulus.
        """
        require(1 <= count <= language.modulus, "observed", count, f"from 1 to {language.modulus}")
        order = torch.rand(len(language.functions), language.modulus, generator=generator).argsort(1).argsort(1)
        return cls(observed=order < count)

    def held_out(self) -> Bool[Tensor, "function x"]:
        """True where a pair is held out.

        Raises:
            ValueError: nothing is held out for some function.
        """
        rest = ~self.observed
        count = self.observed.shape[1]
        require(bool(rest.any(1).all()), "observed", count, f"below {count}, or the held-out set is empty")
        return rest

    def ambiguous(self, language: Language) -> list[int]:
        """Positions of the functions that their observed inputs do not determine."""
        found = []
        for f, row in enumerate(self.observed):
            inputs = row.nonzero()[:, 0]
            if not len(inputs) or int(agreeing(language, inputs, language.values[f, inputs]).sum()) > 1:
                found.append(f)
        return found

    def require_determined(self, language: Language) -> None:
        """Refuse observed inputs that leave open which function it is.

        Raises:
            ValueError: some function is not determined.
        """
        open_ones = [str(language.functions[f]) for f in self.ambiguous(language)]
        require(not open_ones, "observed", open_ones[:3], "enough inputs that no other function agrees on them")
