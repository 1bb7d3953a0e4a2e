"""Documents from a mixture of Markov chains, the Bayes-optimal reader of them, and what an edit of that reader costs.

A document is a row of segments, each closed by a delimiter. Its chain, one of a few permutations of the symbols, is drawn once;
in a segment the next symbol is the permutation's, or now and then any. A segment begins with any symbol. Segment lengths are
independent of all else. An *example* is a segment of two symbols, and a *prompt* is examples and then one more symbol.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout import devices
from heldout.experiment import require

EXAMPLE = 3  # tokens: two symbols and a delimiter


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The law of the documents; tokens 0 to symbols - 1 are symbols, ``symbols`` is the delimiter.

    Attributes:
        symbols: how many symbols there are.
        chains: how many permutations.
        follow: probability that a symbol inside a segment is the permutation's and not drawn evenly from all.
        end: probability that a segment which is no pair by decree ends after a symbol.
        pair_share: share of the segments that are decreed to have two symbols.
        length: tokens that are read, the first one a delimiter; as many are predicted.

    Raises:
        ValueError: a number is out of its range.
    """

    symbols: int
    chains: int
    follow: float
    end: float
    pair_share: float
    length: int

    def __post_init__(self) -> None:
        require(self.symbols >= 3, "symbols", self.symbols, "at least 3")
        require(self.chains >= 1, "chains", self.chains, "at least 1")
        require(0 < self.follow < 1, "follow", self.follow, "above 0 and below 1")
        require(0 < self.end < 1, "end", self.end, "above 0 and below 1")
        require(0 <= self.pair_share <= 1, "pair_share", self.pair_share, "0 to 1")
        require(self.length >= 2, "length", self.length, "at least 2")

    @property
    def tokens(self) -> int:
        """Size of the vocabulary."""
        return self.symbols + 1

    def lengths(self) -> Float[np.ndarray, " length"]:
        """Probability of each segment length, from 0 symbols up to what a document can hold."""
        numbers = np.arange(self.length + 2)
        law = (1 - self.pair_share) * self.end * (1 - self.end) ** (numbers - 1.0)
        law[0] = 0.0
        law[2] += self.pair_share
        return law

    def hazards(self) -> Float[np.ndarray, " length"]:
        """Probability that a segment ends after its n-th symbol, having got there."""
        law = self.lengths()
        left = 1 - np.concatenate([[0.0], np.cumsum(law)[:-1]])
        found: np.ndarray = np.divide(law, left, out=np.ones_like(law), where=left > 1e-12).clip(0, 1)
        return found

    def begins(self) -> Float[np.ndarray, " place"]:
        """Probability that the token read at each place is a delimiter: how often a segment begins after it."""
        law, found = self.lengths(), np.zeros(self.length)
        found[0] = 1.0
        for place in range(1, self.length):
            found[place] = sum(found[place - n - 1] * law[n] for n in range(1, place))
        return found

    def permutations(self, seed: int) -> Int[Tensor, "chain symbol"]:
        """The chains of a seed: permutations that differ from each other."""
        generator, found = devices.generator("chains", seed), list[tuple[int, ...]]()
        while len(found) < self.chains:
            drawn = tuple(torch.randperm(self.symbols, generator=generator).tolist())
            found += [drawn] if drawn not in found else []
        return torch.tensor(found)

    def rows(self, chains: Int[Tensor, "*many symbol"]) -> Float[Tensor, "*many symbol symbol"]:
        """Probability of the next symbol inside a segment, for each chain and symbol."""
        sure = torch.nn.functional.one_hot(chains, self.symbols).double()
        return self.follow * sure + (1 - self.follow) / self.symbols


def documents(
    mixture: Mixture, chains: Int[Tensor, "chain symbol"], count: int, generator: torch.Generator
) -> Int[Tensor, "document place"]:
    """Documents of ``length + 1`` tokens, the first a delimiter."""
    ends, places = torch.from_numpy(mixture.hazards()), mixture.length + 1
    uniform = torch.rand(places, count, generator=generator)
    closed = torch.ones(count, places, dtype=torch.bool)
    age = torch.zeros(count, dtype=torch.long)  # symbols of the open segment
    for place in range(1, places):
        closed[:, place] = uniform[place] < ends[age]
        age = torch.where(closed[:, place], 0, age + 1)
    return filled(mixture, chains, closed, generator)


def filled(
    mixture: Mixture, chains: Int[Tensor, "chain symbol"], closed: Tensor, generator: torch.Generator
) -> Int[Tensor, "document place"]:
    """Documents with given delimiters (document, place): a chain for each, and its symbols."""
    count, places = closed.shape
    own = chains[torch.randint(len(chains), (count,), generator=generator)]
    strays = torch.rand(places, count, generator=generator) >= mixture.follow
    anything = torch.randint(mixture.symbols, (places, count), generator=generator)
    written = torch.full((count, places), mixture.symbols)
    for place in range(1, places):
        last = written[:, place - 1]
        next_one = own.gather(1, last.clamp(max=mixture.symbols - 1).unsqueeze(1)).squeeze(1)
        free = strays[place] | (last == mixture.symbols)
        written[:, place] = torch.where(free, anything[place], next_one)
        written[closed[:, place], place] = mixture.symbols
    return written


def prompts(
    mixture: Mixture, chains: Int[Tensor, "chain symbol"], examples: int, count: int, generator: torch.Generator
) -> tuple[Int[Tensor, "prompt place"], Int[Tensor, "prompt query"]]:
    """Prompts with right examples, and the right answers to the symbols 0 to ``examples``; a prompt ends with a symbol.

    The n-th query stands at place 3 n + 1, behind n examples; so one prompt asks after every number of examples.
    """
    own = chains[torch.randint(len(chains), (count,), generator=generator)]
    asked = torch.randint(mixture.symbols, (count, examples + 1), generator=generator)
    answers = own.gather(1, asked)
    triples = torch.stack([torch.full_like(asked, mixture.symbols), asked, answers], -1).flatten(1)
    return triples[:, :-1], answers


def queries(examples: int) -> list[int]:
    """The places of a prompt's queries."""
    return [EXAMPLE * n + 1 for n in range(examples + 1)]


def ages(mixture: Mixture, tokens: Int[Tensor, "row place"]) -> Int[Tensor, "row place"]:
    """How many symbols the open segment has at each place; 0 at a delimiter."""
    found = torch.zeros_like(tokens)
    for place in range(1, tokens.shape[1]):
        found[:, place] = torch.where(tokens[:, place] == mixture.symbols, 0, found[:, place - 1] + 1)
    return found


def bayes(
    mixture: Mixture, chains: Int[Tensor, "chain symbol"], tokens: Int[Tensor, "row place"]
) -> tuple[Float[Tensor, "row place token"], Float[Tensor, "row place chain"]]:
    """What the law of the documents says of the token after each place, and of the chain that wrote what is read so far."""
    rows, age = mixture.rows(chains), ages(mixture, tokens)
    symbol = tokens.clamp(max=mixture.symbols - 1)
    each = rows[:, symbol].permute(1, 2, 0, 3)  # (row, place, chain, symbol)
    inside = (age[:, :-1] > 0) & (tokens[:, 1:] < mixture.symbols)
    step = each[:, :-1].gather(-1, symbol[:, 1:, None, None].expand(-1, -1, len(chains), 1)).squeeze(-1).log()
    logs = torch.where(inside.unsqueeze(-1), step, 0.0).cumsum(1)
    posterior = torch.nn.functional.pad(logs, (0, 0, 1, 0)).softmax(-1)
    following = torch.where((age > 0).unsqueeze(-1), (posterior.unsqueeze(-1) * each).sum(2), 1 / mixture.symbols)
    ends = torch.from_numpy(mixture.hazards())[age].unsqueeze(-1)
    return torch.cat([(1 - ends) * following, ends], -1), posterior


def log_probabilities(
    rows: Float[Tensor, "row place token"], tokens: Int[Tensor, "row place"]
) -> Float[Tensor, " row"]:
    """Log-probability in nats of the tokens after the first, given what a reader says after each place but the last."""
    return rows[:, :-1].log().gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1).sum(-1)


def behind_examples(mixture: Mixture, tokens: Int[Tensor, "row place"]) -> Int[Tensor, "row place"]:
    """How many examples in a row stand right before the open segment, where that has one symbol; -1 elsewhere."""
    age, run = ages(mixture, tokens), torch.zeros(len(tokens), dtype=torch.long)
    found = torch.full_like(tokens, -1)
    for place in range(1, tokens.shape[1]):
        closed = tokens[:, place] == mixture.symbols
        run = torch.where(closed, torch.where(age[:, place - 1] == 2, run + 1, 0), run)
        found[:, place] = torch.where(age[:, place] == 1, run, -1)
    return found


def swapped(rows: Float[Tensor, "*many token"]) -> Float[Tensor, "*many token"]:
    """The rows with the probabilities of the likeliest symbol and of the next symbol in order exchanged."""
    symbols = rows.shape[-1] - 1
    best = rows[..., :symbols].argmax(-1, keepdim=True)
    wrong = (best + 1) % symbols
    changed = rows.scatter(-1, best, rows.gather(-1, wrong))
    return changed.scatter(-1, wrong, rows.gather(-1, best))


def divergence(p: Float[Tensor, "*many token"], q: Float[Tensor, "*many token"]) -> Float[Tensor, "*many"]:
    """Divergence of q from p in nats, row by row; where p is zero a row of q may be anything."""
    terms: Tensor = torch.special.xlogy(p, p) - torch.special.xlogy(p, q.where(p > 0, 1.0))
    return terms.sum(-1)


def edited(mixture: Mixture, least: int) -> Float[np.ndarray, " place"]:
    """Probability, exact, that a query at each place stands right behind ``least`` examples in a row, or more."""
    found, begins = np.zeros(mixture.length), mixture.begins()
    before = EXAMPLE * least + 1
    if before < mixture.length:
        found[before:] = begins[: mixture.length - before] * mixture.lengths()[2] ** least
    return found


def contexts(
    mixture: Mixture, chains: Int[Tensor, "chain symbol"], least: int, count: int, generator: torch.Generator
) -> tuple[Int[Tensor, "document place"], Int[Tensor, " document"]]:
    """Documents, and in each a place of a query behind ``least`` examples or more, drawn as such places occur."""
    share = torch.from_numpy(edited(mixture, least))
    places = torch.multinomial(share, count, replacement=True, generator=generator)
    return filled(mixture, chains, _patterns(mixture, places, least, generator), generator), places


def price(
    mixture: Mixture, chains: Int[Tensor, "chain symbol"], least: int, count: int, generator: torch.Generator
) -> tuple[Float[np.ndarray, " edit"], Float[np.ndarray, " edit"]]:
    """What two edits of the Bayes-optimal reader behind ``least`` examples or more cost, in nats a document.

    The first edit swaps the answer with another symbol, the second takes the mean of both: the least that unseats the answer.
    The probability of the contexts is exact; the divergence in them is a mean over ``count`` contexts, drawn as they occur.

    Returns:
        Both costs, and their standard errors.
    """
    share = edited(mixture, least)
    if share.sum() == 0:
        return np.zeros(2), np.zeros(2)
    tokens, places = contexts(mixture, chains, least, count, generator)
    rows = bayes(mixture, chains, tokens)[0][torch.arange(count), places]
    turned = swapped(rows)
    costs = torch.stack([divergence(rows, turned), divergence(rows, (rows + turned) / 2)], -1).numpy()
    return costs.mean(0) * share.sum(), costs.std(0, ddof=1) * share.sum() / np.sqrt(count)


def _patterns(mixture: Mixture, places: Int[Tensor, " document"], least: int, generator: torch.Generator) -> Tensor:
    """Delimiters (document, place) of documents in which a query at the place given stands behind ``least`` examples."""
    law, begins = torch.from_numpy(mixture.lengths()), torch.from_numpy(mixture.begins())
    closed = torch.zeros(len(places), mixture.length, dtype=torch.bool)
    closed[:, 0] = True
    everyone, at = torch.arange(len(places)), places - 1
    for _ in range(least):
        closed[everyone, at] = True
        at = at - EXAMPLE
    # Backwards from there: each segment by its probability given where it ends.
    odds = torch.zeros(mixture.length, mixture.length, dtype=torch.double)  # (end, begin)
    for end in range(1, mixture.length):
        odds[end, :end] = begins[:end] * law[:end].flip(0)
    cumulative = odds.cumsum(1) / odds.sum(1, keepdim=True).clamp(min=1e-300)
    while (at > 0).any():
        closed[everyone, at] = True
        uniform = torch.rand(len(places), 1, generator=generator, dtype=torch.double)
        at = torch.where(at > 0, (cumulative[at] < uniform).sum(1), 0)
    return closed
