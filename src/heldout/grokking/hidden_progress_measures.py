"""What is measured on one network at one step, and on the nulls made from its logits."""

import torch
from torch import Tensor

from heldout.devices import generator
from heldout.grokking import progress_tables as tables
from heldout.grokking.fourier import gini, power
from heldout.grokking.progress_runs import Look, Recipe, Trained, answers

TABLES = ("network", "scattered", "new permuted", "permuted", "difference")
VOTES = ("logits", "scattered", "answers", "independent")
FILTERS = ("network", "scattered", "other frequencies")
FIBERS = ("sum", "difference")
CUTS = ("key frequencies", "other frequencies")
LABELS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "gini": ((), "Gini coefficient of the embedding's power over frequencies", "1"),
    "squared_weights": ((), "sum of squared weights", "1"),
    "excluded_loss": (("cut",), "training loss without the waves of a + b at some frequencies", "nats"),
    "new_accuracy": ((), "accuracy on new pairs", "1"),
    "new_loss": ((), "cross-entropy on new pairs", "nats"),
    "calibrated_loss": ((), "cross-entropy on new pairs at the best temperature", "nats"),
    "keys": ((), "key frequencies", "frequencies"),
    "restricted_loss": (("table",), "restricted loss on held-out pairs", "nats"),
    "new_restricted_loss": (("table",), "restricted loss from new pairs alone", "nats"),
    "vote_accuracy": (("votes",), "accuracy of the mean over the new pairs of a fiber", "1"),
    "filtered_accuracy": (("filter",), "accuracy of the key frequencies on new pairs", "1"),
    "rescued": (("filter",), "share right at the key frequencies of new pairs answered wrong", "1"),
    "filtered_loss": (("filter",), "loss of the key frequencies on new pairs at the best temperature", "nats"),
    "fiber_share": (("fiber",), "share of the variance on new pairs along the key frequencies of a key", "1"),
    "circuit_accuracy": (("pairs",), "accuracy with the key frequencies of both tables alone", "1"),
}


class Measures:
    """Everything that is measured on one seed's network; what is drawn at random is drawn once a seed."""

    def __init__(self, config: Recipe, networks: Trained, number: int) -> None:
        self.config, self.sums, self.differences, self.pairs = (
            config,
            networks.sums,
            networks.differences,
            networks.pairs,
        )
        self.held = networks.held_out[number]
        mirror = self.pairs[:, 1] * config.modulus + self.pairs[:, 0]
        self.new, self.train = self.held & self.held[mirror], ~self.held
        self.draws = generator("nulls", config.modulus, config.first_seed + number)
        device = self.sums.device
        self.order = tables.scattering(self.sums.cpu(), config.modulus, self.draws).to(device)
        self.exchanged = {
            name: self._exchanged(rows.cpu()).to(device)
            for name, rows in (("new permuted", self.new), ("permuted", self.held))
        }
        # The published measure takes the frequencies of the trained network, which is hindsight.
        *_, last = networks.looks(number)
        self.final_keys = tables.strong_frequencies(power(last.embed), config.key_power)
        self.final_others = self._others(self.final_keys)

    def _exchanged(self, rows: Tensor) -> Tensor:
        places, order = rows.nonzero()[:, 0], torch.arange(len(rows))
        order[places] = places[torch.randperm(len(places), generator=self.draws)]
        return order

    def __call__(self, look: Look) -> dict[str, Tensor]:
        """Every variable of :data:`LABELS`, as numbers or along its own dimension."""
        keys = tables.strong_frequencies(power(look.embed), self.config.key_power)
        right, mine = self.sums[self.new], look.logits[self.new]
        nulls = tables.scattered(look.logits, self.order)
        mixed = torch.where(self.new.unsqueeze(1), nulls, look.logits)
        alone = {
            "network": tables.filtered(mine, keys),
            "scattered": tables.filtered(nulls[self.new], keys),
            "other frequencies": tables.filtered(mine, self._others(keys)),
        }
        wrong = mine.argmax(1) != right
        correct = torch.stack([alone[name].argmax(1) == right for name in FILTERS]).float()
        # Where fewer than one pair in a hundred is wrong there is nothing left to rescue.
        rescued = (
            (correct * wrong).sum(1) / wrong.sum() if wrong.float().mean() >= 0.01 else correct.mean(1) * torch.nan
        )
        return {
            "gini": gini(power(look.embed)),
            "squared_weights": torch.stack([weight.square().sum() for weight in look.weights.values()]).sum(),
            "excluded_loss": self._excluded(look.logits),
            "new_accuracy": tables.accuracy(mine, right),
            "new_loss": tables.loss(mine, right),
            "calibrated_loss": tables.calibrated_loss(mine, right),
            "keys": torch.tensor(float(len(keys))),
            "restricted_loss": self._restricted(look.logits, mixed, self.held, None),
            "new_restricted_loss": self._restricted(look.logits, mixed, self.new, self.new),
            "vote_accuracy": self._votes(mine, nulls[self.new], right),
            "filtered_accuracy": correct.mean(1),
            "rescued": rescued,
            "filtered_loss": torch.stack([tables.calibrated_loss(alone[name], right) for name in FILTERS]),
            "fiber_share": self._shares(look.logits, keys),
            "circuit_accuracy": self._circuit(look, keys),
        }

    def _others(self, keys: Tensor) -> Tensor:
        """As many frequencies as are key, or as there are left, that are not."""
        every = torch.randperm((self.config.modulus - 1) // 2, generator=self.draws) + 1
        others: Tensor = every[~torch.isin(every, keys.cpu())][: len(keys)].to(keys.device)
        return others

    def _restricted(self, logits: Tensor, mixed: Tensor, judged: Tensor, averaged: Tensor | None) -> Tensor:
        kept = {"network": logits, "scattered": mixed} | {n: logits[order] for n, order in self.exchanged.items()}
        losses = []
        for name in TABLES:
            key = self.differences if name == "difference" else self.sums
            rows = tables.restricted(kept.get(name, logits), key, self.final_keys, averaged)[judged]
            losses.append(tables.loss(rows, self.sums[judged]))
        return torch.stack(losses)

    def _excluded(self, logits: Tensor) -> Tensor:
        """The final key frequencies, and as many others, taken out of what the training pairs are answered with."""
        losses = []
        for frequencies in (self.final_keys, self.final_others):
            waves = tables.restricted(logits, self.sums, frequencies) - logits.mean(0)
            losses.append(tables.loss((logits - waves)[self.train], self.sums[self.train]))
        return torch.stack(losses)

    def _votes(self, mine: Tensor, nulls: Tensor, right: Tensor) -> Tensor:
        given, independent = tables.one_answer(mine.argmax(1), right, self.config.modulus, self.draws)
        ballots = (mine, nulls, given, independent)
        means = [tables.fiber_means(ballot, right) for ballot in ballots]
        return torch.stack([tables.accuracy(mean, torch.arange(len(mean), device=mean.device)) for mean in means])

    def _shares(self, logits: Tensor, keys: Tensor) -> Tensor:
        mine = logits[self.new]
        spread = (mine - mine.mean(0)).square().sum()
        kept = [tables.restricted(logits, key, keys, self.new)[self.new] for key in (self.sums, self.differences)]
        return torch.stack([(part - part.mean(0)).square().sum() / spread for part in kept])

    def _circuit(self, look: Look, keys: Tensor) -> Tensor:
        """Both tables of numbers are cut to their mean and the key frequencies; the rest of the network is as it is."""
        kept = tables.projector(self.config.modulus, keys)
        embed = torch.cat([kept @ look.embed + look.embed.mean(0), look.weights["embed"][-1:]])
        cut = look.weights | {"embed": embed, "unembed": kept @ look.unembed}
        logits = answers(look.network, cut, self.pairs)
        return torch.stack([tables.accuracy(logits[rows], self.sums[rows]) for rows in (self.train, self.new)])
