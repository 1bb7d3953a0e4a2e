"""What the steps of a training do, as a GPU would see them: a watch for what makes it wait, and the sequence of operations.

``meta`` stands in for a GPU. It is a device other than the CPU whose tensors have shapes and no values: reading a number of one
raises, copying one back raises, and so do operations whose result's shape depends on values.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from heldout import devices
from heldout.losses import stable_cross_entropy
from heldout.networks import MLP, OneLayerTransformer
from heldout.optimizers import Optimizer, Rates
from heldout.stepping import Chunk, Job

SAMPLES, STREAMS = 24, 2
# Operations that need a value on the CPU before the program can go on, or whose shape depends on values.
WAITING = {
    "_local_scalar_dense", "item", "is_nonzero", "nonzero", "nonzero_static", "nonzero_numpy", "masked_select", "equal",
    "allclose", "_unique2", "unique_dim", "unique_consecutive", "bincount", "histc", "_assert_async",
}  # fmt: skip
RANDOM = {
    "bernoulli",
    "bernoulli_",
    "normal_",
    "uniform_",
    "rand",
    "randn",
    "randint",
    "randperm",
    "native_dropout",
    "multinomial",
}


class WaitError(AssertionError):
    """A step asks for a value, or moves a tensor from one device to another."""


class Watch(TorchDispatchMode):
    """Notes every operation with the shapes of its tensors and its other arguments, and refuses those a GPU is waited for.

    Attributes:
        operations: what was done, in order.
        device: the kind of device that is not to be waited for; operations that touch no tensor of it are let pass.
        copies: whether tensors may come from the CPU, as fresh batches do.
    """

    def __init__(self, device: str, *, copies: bool = False) -> None:
        super().__init__()
        self.device, self.copies = device, copies
        self.operations: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, leaves = func._overloadpacket.__name__, tree_flatten((args, kwargs or {}))[0]
        before = {leaf.device.type for leaf in leaves if isinstance(leaf, Tensor)}
        if self.device in before:
            self._refuse(name, func._overloadname, leaves)
        out = func(*args, **(kwargs or {}))
        after = {leaf.device.type for leaf in tree_flatten(out)[0] if isinstance(leaf, Tensor)}
        if self.device != "cpu" and "cpu" in before | after and self.device in before | after:
            into = self.device in after and name in ("_to_copy", "copy_")
            if not (into and self.copies):
                raise WaitError(f"{name} moves a tensor between the CPU and the {self.device} device")
        if self.device in before | after:
            self.operations.append((name, *(_told(leaf) for leaf in leaves)))
        return out

    @staticmethod
    def _refuse(name: str, overload: str, leaves: Sequence[Any]) -> None:
        if name in WAITING or (name, overload) == ("repeat_interleave", "Tensor"):
            raise WaitError(f"{name} waits for a value")
        if name in RANDOM:
            raise WaitError(f"{name} draws random numbers")
        masks = [leaf for leaf in leaves[1:] if isinstance(leaf, Tensor) and leaf.dtype in (torch.bool, torch.uint8)]
        if name in ("index", "index_put_", "index_put", "_index_put_impl_") and masks:
            raise WaitError(f"{name} by a mask: its size depends on values")


def _told(leaf: Any) -> Any:
    return (tuple(leaf.shape), leaf.dtype, leaf.stride()) if isinstance(leaf, Tensor) else str(leaf)


def watched(call: Callable[[], object], device: str, *, copies: bool = False) -> list[tuple[Any, ...]]:
    """The operations of a call.

    Raises:
        WaitError: one of them would make a GPU be waited for.
    """
    with Watch(device, copies=copies) as watch:
        call()
    return watch.operations


class EnoughError(Exception):
    """Ends a loop that has been watched for long enough."""


def updates_of(
    loop: Callable[[Callable[..., None]], object], device: str, *, copies: bool = True
) -> list[list[tuple[Any, ...]]]:
    """The operations of the second and of the third update of a loop, which calls back after each.

    Raises:
        WaitError: one of them would make a GPU be waited for.
    """
    found: list[list[tuple[Any, ...]]] = []
    open_watch: list[Watch] = []

    def progress(*_: int) -> None:
        while open_watch:
            watch = open_watch.pop()
            watch.__exit__(None, None, None)
            found.append(watch.operations)
        if len(found) == 2:
            raise EnoughError
        open_watch.append(Watch(device, copies=copies))
        open_watch[0].__enter__()

    try:
        loop(progress)
    except EnoughError:
        return found
    finally:
        while open_watch:
            open_watch.pop().__exit__(None, None, None)
    raise AssertionError("the loop ended before its third update")


class Tokens(nn.Module):
    """A module of no kind that the engine knows: an embedding with positions, a gate, a normalization and a buffer."""

    def __init__(self, number: int) -> None:
        super().__init__()
        draw = devices.generator("watched", number)
        self.table = nn.Parameter(torch.randn(7, 6, generator=draw))
        self.gate = nn.Parameter(torch.randn(6, 6, generator=draw))
        self.norm, self.out = nn.LayerNorm(12), nn.Parameter(torch.randn(12, 5, generator=draw))
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of a pair of tokens."""
        mixed = torch.tanh(self.table[tokens] @ self.gate) * self.scale
        outputs: Tensor = self.norm(mixed.flatten(1)) @ self.out
        return outputs


def mlps(*hidden: Sequence[int]) -> list[nn.Module]:
    """MLPs on twelve numbers."""
    return [MLP(12, each, 5, generator=devices.generator("watched", i)) for i, each in enumerate(hidden)]


def transformers(count: int) -> list[nn.Module]:
    """One-layer transformers on two tokens."""
    sizes = {"context": 2, "outputs": 5, "model_size": 8, "heads": 2, "hidden_size": 16}
    return [OneLayerTransformer(7, **sizes, generator=devices.generator("watched", i)) for i in range(count)]


MEMBERS: dict[str, Callable[[], list[nn.Module]]] = {
    "one hidden layer": lambda: mlps([6], [9], [6], [9]),
    "several layouts": lambda: mlps([6], [4, 4], [4, 4], [8]),
    "alone": lambda: mlps([4, 4]),
    "general": lambda: [Tokens(i) for i in range(3)],
    "transformers": lambda: transformers(3),
}
OPTIONS = {
    "plain": {}, "slow gradient": {"slow_gradient": 2.0}, "orthogonal": {"orthogonal": True},
    "constant norm": {"constant_norm": True},
}  # fmt: skip


def chunk(members: list[nn.Module], rule: Optimizer, device: str, *, differ: bool = False, batch: int = 6) -> Chunk:
    """A chunk of all members on fixed data, two streams where there are several members."""
    count, draw = len(members), devices.generator("watched data")
    streams = min(count, STREAMS)
    inputs = torch.randn(streams, SAMPLES, 12, generator=draw)
    if isinstance(members[0], Tokens | OneLayerTransformer):
        inputs = torch.randint(0, 7, (streams, SAMPLES, 2), generator=draw)
    rates = tuple(0.001 * (1 + i * differ) for i in range(count))
    made = Job(
        modules=members, inputs=inputs, targets=torch.randint(0, 5, (count, SAMPLES), generator=draw),
        streams=[i % streams for i in range(count)], keys=list(range(streams)), rule=rule,
        learning_rate=Rates(values={"": rates}), weight_decay=Rates(values={"": (0.01,) * count}), steps=100, batch=batch,
        seed=0, loss=stable_cross_entropy, probe=None, probe_steps=frozenset(), device=torch.device(device),
    )  # fmt: skip
    return Chunk(made, range(count))
