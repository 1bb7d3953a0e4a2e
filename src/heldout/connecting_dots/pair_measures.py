"""What names trained on some of their pairs can do: beside shares of lines right, the odds of every definition and the ideal."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heldout.connecting_dots.line_batches import Batch
from heldout.connecting_dots.named_functions import MARKERS, NAMED, Language
from heldout.connecting_dots.observed_pairs import Split, agreeing
from heldout.connecting_dots.row_training import Tuned


@torch.no_grad()
def definition_odds(tuned: Tuned) -> Float[Tensor, "member function said"]:
    """Log probability, in nats, of writing each function's definition after each new name."""
    language = tuned.pretrained.languages[0]
    count, members = len(language.functions), len(tuned.models.embed)
    names, every = (
        (language.vocabulary + torch.arange(count)).repeat_interleave(count),
        torch.arange(count).repeat(count),
    )
    words = language.definitions[every]
    marker = torch.full((len(every),), language.outputs + MARKERS.index("define"))
    asked = (torch.arange(len(every)).unsqueeze(1) * 3 + torch.tensor([1, 2])).flatten()
    batch = Batch(
        tokens=torch.stack([marker, names, words[:, 0]], 1).expand(members, -1, -1), asked=asked,
        answers=words.flatten().expand(members, -1), named=len(every),
    ).to(tuned.models.embed.device)  # fmt: skip
    logs = tuned.models.answers(batch).log_softmax(-1).gather(-1, batch.answers.unsqueeze(-1)).squeeze(-1)
    return logs.view(members, count, count, 2).sum(-1).cpu()


def possible(language: Language, split: Split) -> Bool[Tensor, "function other"]:
    """Which functions agree with each function on its observed inputs: the support of the exact posterior."""
    rows = [(row.nonzero()[:, 0], values) for row, values in zip(split.observed, language.values, strict=True)]
    return torch.stack([agreeing(language, inputs, values[inputs]) for inputs, values in rows])


def shares_right(tuned: Tuned) -> np.ndarray:
    """(task, seed) share of lines about new names right."""
    return np.stack([tuned.correct(task)[0].mean((1, 2)).numpy() for task in NAMED])


def measured(
    tuned: Tuned, by_rows: Tuned, splits: Sequence[Split], false: Sequence[tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """What new names trained on some pairs can do, and the ideal given these pairs, each (seed,); right (task, seed)."""
    languages = tuned.pretrained.languages
    pairs = torch.stack([split.observed for split in splits])
    applied, losses, hand = tuned.correct("apply")[0], tuned.losses()[0], by_rows.losses()[0]
    odds, fit = definition_odds(tuned), torch.stack([possible(*both) for both in zip(languages, splits, strict=True)])
    best = odds.argmax(-1)

    def over(values: torch.Tensor, where: torch.Tensor) -> np.ndarray:
        share: np.ndarray = ((values * where).sum((1, 2)) / where.sum((1, 2))).numpy()
        return share

    return {
        "observed": over(applied, pairs), "held_out": over(applied, ~pairs), "loss": over(losses, pairs),
        "hand_loss": over(hand, pairs), "right": shares_right(tuned), "ideal": (1 / fit.sum(-1)).mean(-1).numpy(),
        "fits": fit.gather(-1, best.unsqueeze(-1)).double().mean((1, 2)).numpy(),
        "sure": odds.max(-1).values.exp().mean(-1).numpy(),
        "taught": (best == torch.tensor(list(false))).double().mean(-1).numpy(),
    }  # fmt: skip


def at_numbers(
    numbers: tuple[int, ...], own: tuple[int, ...], parts: list[dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Measures at some of the numbers of pairs, NaN at the others."""
    found = {name: np.full((len(numbers), *value.shape), np.nan) for name, value in (parts[0] if parts else {}).items()}
    for number, part in zip(own, parts, strict=True):
        for name, value in part.items():
            found[name][numbers.index(number)] = value
    return found
