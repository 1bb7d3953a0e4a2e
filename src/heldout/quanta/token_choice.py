"""Which tokens of a text a language model is sure of without being able to copy them."""

from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from heldout.devices import numpy_generator
from heldout.language_model import START
from heldout.quanta.excerpts import SOURCES, Excerpt
from heldout.quanta.token_gradients import repeated_trigram

EARLIEST = 16  # tokens that must stand before, so that there is something to predict from


@dataclass(frozen=True)
class Chosen:
    """One token: the excerpt it is in, its place in it, and its loss in nats."""

    excerpt: int
    place: int
    loss: float


def encoded(tokenizer: Tokenizer, excerpt: Excerpt, length: int) -> Tensor:
    """The excerpt's tokens after the mark that stands before every text, ``length`` at most."""
    return torch.tensor(tokenizer.encode(START + excerpt.text).ids[:length])


def candidates(losses: list[Tensor], texts: list[Tensor], max_loss: float) -> list[Chosen]:
    """Tokens with a loss below ``max_loss`` nats that do not end a trigram seen before (Michaud et al. 2023, section 5).

    ``losses`` are those of every token of a text but the first.
    """
    found = []
    for number, (tokens, of_text) in enumerate(zip(texts, losses, strict=True)):
        copied = repeated_trigram(tokens)
        for place in range(EARLIEST, len(tokens)):
            loss = float(of_text[place - 1])
            if loss < max_loss and not copied[place]:
                found.append(Chosen(number, place, loss))
    return found


def drawn(found: list[Chosen], sources: list[str], count: int, seed: int) -> list[Chosen]:
    """``count`` of the candidates, as evenly over the sources as there are enough, in the order of the texts."""
    random, picked = numpy_generator("tokens", seed), list[Chosen]()
    groups = {s: [c for c in found if sources[c.excerpt] == s] for s in SOURCES}
    # The smallest group first, so that what it lacks is made up by the others.
    for left, group in zip(range(len(groups), 0, -1), sorted(groups.values(), key=len), strict=True):
        share = min(len(group), -(-(count - len(picked)) // left))
        picked += [group[i] for i in random.choice(len(group), share, replace=False)] if share else []
    return sorted(picked[:count], key=lambda c: (c.excerpt, c.place))


def context(tokenizer: Tokenizer, tokens: Tensor, place: int, characters: int) -> tuple[str, str, str]:
    """What stands before a token, the token before it, and the token itself, as text."""
    ids = tokens.tolist()
    before = tokenizer.decode(ids[1:place])
    return before[-characters:], tokenizer.decode([ids[place - 1]]), tokenizer.decode([ids[place]])


def unique_numbers(texts: list[str]) -> np.ndarray:
    """Equal texts get equal numbers."""
    return np.unique(texts, return_inverse=True)[1]
