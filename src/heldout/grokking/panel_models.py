"""The networks of the closing panel, how they answer numbers that are no numbers, and their matched temperature.

Elsewhere is a first number that is half one number and half another: the mean of their one-hot inputs. Both networks read
their inputs through a table of rows, so such an input is one more row, the mean of two.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call

from heldout.devices import generator
from heldout.experiment import require
from heldout.grokking.pair_networks import PairMLP, PairTransformer
from heldout.losses import stable_cross_entropy

Net = PairMLP | PairTransformer


def halves(modulus: int, count: int, seed: int) -> tuple[Int[Tensor, "count 2"], Int[Tensor, "count 2"]]:
    """Numbers to be mixed half and half, two different ones in each row, and the pairs that ask for them.

    A pair's first number is P or more and stands for a row of mixed numbers; its second is an ordinary number.
    """
    drawn = torch.randint(modulus, (count, 3), generator=generator("half numbers", modulus, seed))
    first, other = drawn[:, 0], (drawn[:, 0] + 1 + drawn[:, 1] % (modulus - 1)) % modulus
    asked = torch.stack([modulus + torch.arange(count), drawn[:, 2]], 1)
    return torch.stack([first, other], 1), asked


@torch.no_grad()
def answers(
    net: Net, pairs: Int[Tensor, "batch 2"], mixed: Int[Tensor, "count 2"] | None = None
) -> Float[Tensor, "batch modulus"]:
    """Logits in float64; pairs whose first number is P or more ask for the mean of the two rows of ``mixed``."""
    state = {name: parameter.detach().double() for name, parameter in net.named_parameters()}
    if mixed is not None:
        table = "left" if isinstance(net, PairMLP) else "embed"
        rows = state[table]
        # A transformer's last row is the equals sign and stays last.
        numbers, rest = (rows, rows[:0]) if isinstance(net, PairMLP) else (rows[:-1], rows[-1:])
        state[table] = torch.cat([numbers, numbers[mixed].mean(1), rest])
    logits: Tensor = functional_call(net, state, (pairs,))
    return logits


def inverse_temperature(logits: Float[Tensor, "batch classes"], targets: Int[Tensor, " batch"], loss: float) -> float:
    """The factor on the logits at which their mean cross-entropy is ``loss`` nats; NaN where some answer is wrong.

    With every answer right the loss falls from log P to 0 as the factor grows, so there is exactly one.

    Raises:
        ValueError: the loss is not between 0 and log P.
    """
    top = float(torch.tensor(float(logits.shape[1])).log())
    require(0 < loss < top, "loss", loss, f"above 0 and below log P = {top:.3g}")
    if bool((logits.argmax(1) != targets).any()):
        return float("nan")
    low, high = -30.0, 30.0  # of the factor's logarithm
    for _ in range(80):
        middle = (low + high) / 2
        now = float(stable_cross_entropy(logits * torch.tensor(middle, dtype=logits.dtype).exp(), targets).mean())
        low, high = (middle, high) if now > loss else (low, middle)
    return float(torch.tensor((low + high) / 2, dtype=torch.float64).exp())


@torch.no_grad()
def with_three_units(net: PairMLP, size: float, seed: int) -> PairMLP:
    """The same answers to every pair of numbers, other answers to mixed ones, by three hidden units more.

    The units hold (x c)^2, (x c^2 + y 1)^2 and (x c^2 - y 1)^2 for a random c. Their sum with weights 1, -1/4 and 1/4 is
    (x c)^2 - x c^2, which is zero where x is a single number and minus the variance of c where it is a mixture. It is added to
    the logits with random weights of the given size.
    """
    source = generator("three units", seed)
    modulus = net.left.shape[0]
    # In float64 from the start, so that the square of the code is the square of what is stored.
    code = torch.randn(modulus, generator=source).double()
    out = size * torch.randn(modulus, generator=source).double()
    ones, none = torch.ones_like(code), torch.zeros_like(code)
    left = torch.stack([code, code.square(), code.square()], 1)
    right = torch.stack([none, ones, -ones], 1)
    unembed = torch.stack([out, -out / 4, out / 4], 1)
    return _rebuilt(net, {"left": left, "right": right, "unembed": unembed})


def _rebuilt(net: PairMLP, more: dict[str, Tensor]) -> PairMLP:
    """A copy with columns added to its tables, in float64."""
    state = {name: value.detach().double() for name, value in net.named_parameters()}
    state |= {name: torch.cat([state[name], columns.double()], 1) for name, columns in more.items()}
    modulus, width = state["left"].shape
    copy = PairMLP(modulus, width, generator=torch.Generator(), activation=net.activation, dtype=torch.float64)
    copy.load_state_dict(state)
    return copy


def load(nets: Sequence[Net], states: Sequence[dict[str, Tensor]]) -> None:
    """Give the networks their trained states."""
    for net, state in zip(nets, states, strict=True):
        net.load_state_dict(state)
