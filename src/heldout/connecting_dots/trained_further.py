"""New rows on the same pairs for more updates: does the loss that is trained still tell right names from wrong ones?

That loss is the one under noise on the row. Beside it stands the loss of rows set by hand to the mean of the synonyms' rows,
which are defined right; a wrong name whose row has the higher loss of the two is an unfinished search.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from heldout.connecting_dots.how_many_pairs import Config
from heldout.connecting_dots.observed_pairs import Split
from heldout.connecting_dots.pair_measures import definition_odds
from heldout.connecting_dots.pretraining import pretrain
from heldout.connecting_dots.row_training import Mode, Tuned, by_hand, tune
from heldout.connecting_dots.several_starts import noisy_losses
from heldout.devices import generator


def trained_further(
    config: Config, seeds: Sequence[int], number: int, updates: Sequence[int]
) -> dict[int, dict[str, float]]:
    """Train rows on a number of pairs for each number of updates, and tell right names from wrong ones.

    Args:
        config: how the decoders are pretrained and the rows trained, but for the updates.
        seeds: of the decoders.
        number: pairs shown of each function.
        updates: of the rows.

    Returns:
        By updates, over the names of all seeds: right: share of names defined right; loss_right, loss_wrong, loss_hand: the mean
        loss under noise in nats a pair of names defined right, of names defined wrong, and of rows set by hand; behind: share of
        the wrong names with a higher loss than the row set by hand; sure_right, sure_wrong: mean probability of the likeliest
        definition. NaN where there is no such name.
    """
    started = pretrain(config, list(seeds), device=torch.device("cpu"))
    draws = [generator("connecting dots", "observed", seed) for seed in seeds]
    splits = [Split.drawn(language, draw, number) for language, draw in zip(started.languages, draws, strict=True)]
    shown = torch.stack([split.observed for split in splits])

    def loss(tuned: Tuned) -> Tensor:
        return (noisy_losses(tuned, seeds, config.tuning_noise) * shown).sum(-1) / number

    hand = loss(by_hand(started))
    found = {}
    for steps in updates:
        tuned = tune(started, seeds, splits, [Mode(row=config.row_rate)], replace(config.tuning(), steps=steps))
        right = tuned.correct("define")[0, :, :, 0] > 0
        own, sure = loss(tuned), definition_odds(tuned).exp().max(-1).values
        found[steps] = {
            "right": float(right.double().mean()), "loss_right": _mean(own, right), "loss_wrong": _mean(own, ~right),
            "loss_hand": float(hand.mean()), "behind": _mean((own > hand).double(), ~right),
            "sure_right": _mean(sure, right), "sure_wrong": _mean(sure, ~right),
        }  # fmt: skip
    return found


def _mean(values: Tensor, there: Tensor) -> float:
    return float(values[there].mean())
