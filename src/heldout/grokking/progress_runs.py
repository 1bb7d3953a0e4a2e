"""Small transformers trained on modular addition, with all their weights kept at each probed step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heldout.devices import generator
from heldout.ensemble import History, Snapshot
from heldout.experiment import Progress, require
from heldout.grokking.modular import Split, all_pairs, require_decay, require_modulus, require_train_fraction, split
from heldout.grokking.pair_networks import PairTransformer
from heldout.grokking.training import train_on_pairs

TRAINING, PARTS = 700, 1000  # of the progress told, what training takes and the whole


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A transformer, its training, and where it is looked at.

    Raises:
        ValueError: a field is out of range.
    """

    modulus: int = 59
    train_fraction: float = 0.44  # of the P^2 ordered pairs
    random_share: float = 0.0  # of the training labels, exchanged for random ones
    model_size: int = 24
    hidden_size: int = 96
    learning_rate: float = 1e-2
    weight_decay: float = 1.2
    steps: int = 480
    probe_every: int = 20
    key_power: float = 2.0  # a frequency of the embedding is key above this many times the average power
    num_seeds: int = 20
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require_train_fraction(self.train_fraction, self.modulus)
        require_decay(self.learning_rate, self.weight_decay)
        require(0 <= self.random_share <= 1, "random_share", self.random_share, "from 0 to 1")
        require(self.model_size >= 4 and self.model_size % 4 == 0, "model_size", self.model_size, "a multiple of 4")
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        fits = 1 <= self.probe_every <= self.steps and self.steps % self.probe_every == 0
        require(fits, "probe_every", self.probe_every, "a divisor of steps")
        require(self.key_power >= 1, "key_power", self.key_power, "at least 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


@dataclass(frozen=True, kw_only=True)
class Look:
    """One network at one probed step.

    Attributes:
        position: of the step among the probed ones.
        logits: of every pair, each row less its mean, which no probability depends on.
        embed, unembed: the tables of the P numbers at input and output.
        weights: all parameters by name.
        network: the module that they belong to.
    """

    position: int
    logits: Float[Tensor, "pairs modulus"]
    embed: Float[Tensor, "modulus model"]
    unembed: Float[Tensor, "modulus model"]
    weights: dict[str, Tensor]
    network: PairTransformer


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The networks of all seeds along training.

    Attributes:
        history: the four curves, and all weights at the probes.
        steps: the probed steps.
        pairs, sums, differences: every pair, a + b and a - b modulo P.
        held_out: (seeds, pairs) which pairs were not trained on.
        networks: of each seed, to give the weights to.
    """

    history: History
    steps: list[int]
    pairs: Int[Tensor, "pairs 2"]
    sums: Int[Tensor, " pairs"]
    differences: Int[Tensor, " pairs"]
    held_out: Bool[Tensor, "seeds pairs"]
    networks: Sequence[PairTransformer]

    def looks(self, seed: int) -> Iterator[Look]:
        """The network of one seed, by position, at each probed step in turn."""
        network, device = self.networks[seed], self.pairs.device
        for position in range(len(self.steps)):
            flat = torch.from_numpy(self.history.values["weights"][position, seed]).to(device)
            sizes = [p.numel() for p in network.parameters()]
            parts = zip(network.named_parameters(), flat.split(sizes), strict=True)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            weights = {name: part.view(parameter.shape) for (name, parameter), part in parts}
            logits = answers(network, weights, self.pairs)
            yield Look(
                position=position, logits=logits, embed=weights["embed"][:-1], unembed=weights["unembed"],
                weights=weights, network=network,
            )  # fmt: skip


@torch.no_grad()
def answers(network: PairTransformer, weights: dict[str, Tensor], pairs: Int[Tensor, "pairs 2"]) -> Tensor:
    """Logits of a network with the given weights, each row less its mean."""
    logits: Tensor = torch.func.functional_call(network, weights, (pairs,))
    return logits - logits.mean(1, keepdim=True)


def trained(config: Recipe, device: torch.device, progress: Progress) -> Trained:
    """Train one transformer a seed; ``TRAINING`` of ``PARTS`` of the progress, the rest is left for what is done with them."""
    seeds = range(config.first_seed, config.first_seed + config.num_seeds)
    splits = [split(config.modulus, config.train_fraction, seed, random_share=config.random_share) for seed in seeds]
    networks = [
        PairTransformer(
            config.modulus, generator=generator("transformer", config.modulus, seed), model_size=config.model_size,
            hidden_size=config.hidden_size,
        )
        for seed in seeds
    ]  # fmt: skip
    steps = list(range(0, config.steps + 1, config.probe_every))
    names = [name for name, _ in networks[0].named_parameters()]
    history = train_on_pairs(
        networks, splits, steps=config.steps, probe_steps=steps, learning_rate=config.learning_rate,
        weight_decay=config.weight_decay, device=device, extra=_weights(names),
        progress=lambda done, total: progress(TRAINING * done // total, PARTS),
    )  # fmt: skip
    pairs = all_pairs(config.modulus).to(device)
    return Trained(
        history=history, steps=steps, pairs=pairs, sums=pairs.sum(1) % config.modulus,
        differences=(pairs[:, 0] - pairs[:, 1]) % config.modulus,
        held_out=torch.stack([_held_out(one, config.modulus) for one in splits]).to(device), networks=networks,
    )  # fmt: skip


def _weights(names: Sequence[str]) -> Callable[[Snapshot, Tensor, Tensor], dict[str, Tensor]]:
    def look(snapshot: Snapshot, logits: Tensor, _: Tensor) -> dict[str, Tensor]:
        states = dict(snapshot.named_states())
        rows = [torch.cat([states[int(m)][name].flatten() for name in names]) for m in snapshot.members]
        return {"weights": torch.stack(rows).to(logits.device)}

    return look


def _held_out(one: Split, modulus: int) -> Bool[Tensor, " pairs"]:
    held = torch.ones(modulus**2, dtype=torch.bool)
    held[one.train_pairs[:, 0] * modulus + one.train_pairs[:, 1]] = False
    return held
