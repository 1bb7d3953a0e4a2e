"""What the claims about hidden progress measure on a record."""

import math

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds, bootstrap_interval
from heldout.grokking.training import LEARNED


def bound(result: xr.Dataset) -> float:
    """The loss at which a curve counts as fallen: half that of a uniform guess, in nats."""
    return 0.5 * math.log(float(result.modulus))


def crossing(result: xr.Dataset, loss: xr.DataArray) -> xr.DataArray:
    """The step at which a loss first goes below :func:`bound`, on straight lines between probes; the last step if never."""
    steps: xr.DataArray = xr.apply_ufunc(
        _crossing, loss, input_core_dims=[["step"]], vectorize=True,
        kwargs={"steps": result.step.values.astype(float), "level": bound(result)},
    )  # fmt: skip
    return steps


def _crossing(loss: np.ndarray, *, steps: np.ndarray, level: float) -> float:
    below = np.flatnonzero(loss < level)
    if not below.size:
        return float(steps[-1])
    at = int(below[0])
    if at == 0:
        return float(steps[0])
    part = (loss[at - 1] - level) / (loss[at - 1] - loss[at])
    return float(steps[at - 1] + part * (steps[at] - steps[at - 1]))


def lead(result: xr.Dataset, table: str) -> xr.DataArray:
    """Updates by which the restricted loss of a table falls before the held-out loss."""
    return crossing(result, result.test_loss) - crossing(result, result.restricted_loss.sel(table=table))


def alone_lead(result: xr.Dataset, over: str, which: str = "network") -> xr.DataArray:
    """Updates by which the filtered loss of single new pairs falls before a loss on the same pairs."""
    return crossing(result, result[over]) - crossing(result, result.filtered_loss.sel(filter=which))


def judged(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the last probed step before the loss on new pairs goes below the bound; the last step if it never does."""
    below = result.new_loss < bound(result)
    first = below.argmax("step").where(below.any("step"), result.sizes["step"])
    steps: xr.DataArray = result.step.isel(step=(first - 1).clip(0).astype(int))
    return steps.drop_vars("step")


def at_judged(result: xr.Dataset, values: xr.DataArray) -> xr.DataArray:
    """Values at the step of :func:`judged`, which is each seed's own."""
    found: xr.DataArray = values.sel(step=judged(result))
    return found


def part_fallen(result: xr.Dataset, table: str) -> xr.DataArray:
    """Per seed, how far a table's restricted loss has fallen when the network's own goes below the bound, per its fall."""
    below = result.restricted_loss.sel(table="network", drop=True) < bound(result)
    at = below.argmax("step").where(below.any("step"), result.sizes["step"] - 1).astype(int)
    fallen = math.log(float(result.modulus)) - result.restricted_loss.isel(step=at)
    part: xr.DataArray = fallen.sel(table=table) / fallen.sel(table="network")
    return part


def rescue(result: xr.Dataset) -> xr.DataArray:
    """Per seed, when judged: share of wrong new pairs that the key frequencies answer right, above the better of the nulls."""
    rescued = at_judged(result, result.rescued)
    nulls = rescued.sel(filter=["scattered", "other frequencies"]).max("filter")
    above: xr.DataArray = rescued.sel(filter="network") - nulls
    return above


def vote_win(accuracy: float, voters: int, modulus: int) -> float:
    """How often the right answer has strictly the most votes, each vote right with this probability or else uniformly wrong.

    The sum over the number of right votes x of its binomial probability times the probability that voters - x uniform
    votes leave each of the P - 1 wrong answers with fewer than x.
    """
    total = 0.0
    for x in range(1, voters + 1):
        rest = voters - x
        one = np.array([1 / math.factorial(j) for j in range(min(x, rest + 1))])
        ways = np.ones(1)
        for _ in range(modulus - 1):
            ways = np.convolve(ways, one)[: rest + 1]
        below = ways[rest] * math.factorial(rest) / (modulus - 1) ** rest if len(ways) > rest else 0.0
        total += math.comb(voters, x) * accuracy**x * (1 - accuracy) ** rest * below
    return float(total)


def votes_won(result: xr.Dataset, votes: str) -> xr.DataArray:
    """Per seed, accuracy on new pairs when a vote over them first wins more than three times in four; NaN if never."""
    won = result.vote_accuracy.sel(votes=votes, drop=True) > 0.75
    found: xr.DataArray = result.new_accuracy.isel(step=won.argmax("step")).where(won.any("step"))
    return found


def leads(result: xr.Dataset) -> dict[str, xr.DataArray]:
    """The leads that the page compares, by the words of the figure."""
    return {
        "restricted loss": lead(result, "network"),
        "errors scattered": lead(result, "scattered"),
        "new pairs exchanged": lead(result, "new permuted"),
        "held-out pairs exchanged": lead(result, "permuted"),
        "pairs alone, over loss": alone_lead(result, "new_loss"),
        "pairs alone, calibrated": alone_lead(result, "calibrated_loss"),
    }


def interval(values: xr.DataArray) -> tuple[float, float, float]:
    """Mean over seeds with its 95 % bootstrap interval."""
    return bootstrap_interval(values.values)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes; medians over seeds unless it is a mean with its interval (_low, _high)."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "modulus": int(result.modulus),
        "fraction": float(result.train_fraction),
        "bound": bound(result),
        "voters": float(result.voters.median()),
        "generalized": int((result.test_accuracy.max("step") >= LEARNED).sum()),
        "fell": int((result.new_loss.min("step") < bound(result)).sum()),
        "formula_tenth": vote_win(0.1, round(float(result.voters.median())), int(result.modulus)),
        "formula_quarter": vote_win(0.25, round(float(result.voters.median())), int(result.modulus)),
        "not_new_kept": int((part_fallen(result, "new permuted") > 0.75).sum()),
        "scattered_kept": int((part_fallen(result, "scattered") > 0.9).sum()),
        "votes_kept": int((votes_won(result, "independent") < 0.5).sum()),
        "new_won_independent": float(votes_won(result, "independent").median()),
        "new_won_answers": float(votes_won(result, "answers").median()),
        "rescue": float(rescue(result).median()),
        "rescue_least": float(rescue(result).min()),
        "rescue_kept": int((rescue(result) > 0.1).sum()),
        "judged_step": float(judged(result).median()),
        "judged_accuracy": float(at_judged(result, result.new_accuracy).median()),
        "judged_filtered": float(at_judged(result, result.filtered_accuracy.sel(filter="network")).median()),
        "judged_keys": float(at_judged(result, result["keys"]).median()),
        "circuit_train": float(at_judged(result, result.circuit_accuracy.sel(pairs="train")).median()),
        "circuit_new": float(at_judged(result, result.circuit_accuracy.sel(pairs="new")).median()),
        "train_then": float(at_judged(result, result.train_accuracy).median()),
        "share_sum": float(at_judged(result, result.fiber_share.sel(fiber="sum")).median()),
        "share_difference": float(at_judged(result, result.fiber_share.sel(fiber="difference")).median()),
        "difference_least": float(result.restricted_loss.sel(table="difference").min()),
    }
    last = result.isel(step=-1)
    found |= {
        "gini_start": float(result.gini.isel(step=0).median()),
        "gini_end": float(last.gini.median()),
        "squares_most": float(result.squared_weights.max("step").median()),
        "squares_end": float(last.squared_weights.median()),
        "train_end": float(last.train_loss.median()),
        "excluded_end": float(last.excluded_loss.sel(cut="key frequencies").median()),
        "excluded_others": float(last.excluded_loss.sel(cut="other frequencies").median()),
    }
    waves = 1 - part_fallen(result, "scattered")
    found |= {
        "waves_left": float(waves.median()),
        "waves_most": float(waves.max()),
        "waves_none": int((waves < 0).sum()),
    }
    found["lead_network_median"] = float(lead(result, "network").median())
    for name in ("network", "scattered", "other frequencies"):
        found["rescued_" + name.split()[0]] = float(at_judged(result, result.rescued.sel(filter=name)).median())
    for name in ("scattered", "new permuted", "permuted"):
        found["part_" + name.replace(" ", "_")] = float(part_fallen(result, name).median())
    for name in ("network", "scattered", "new permuted", "permuted"):
        _add(found, "lead_" + name.replace(" ", "_"), lead(result, name))
    _add(found, "alone", alone_lead(result, "new_loss"))
    _add(found, "alone_calibrated", alone_lead(result, "calibrated_loss"))
    return found


def _add(found: dict[str, float | int | str], name: str, values: xr.DataArray) -> None:
    mean, low, high = interval(values)
    found |= {name: mean, f"{name}_low": low, f"{name}_high": high, f"{name}_positive": int((values > 0).sum())}


def excluded_rises(result: xr.Dataset) -> Evidence:
    """Per seed, excluded loss at the key frequencies above the training loss, after the last update."""
    last = result.isel(step=-1)
    return across_seeds(last.excluded_loss.sel(cut="key frequencies") - last.train_loss, above=2.0, share=0.9)


def restricted_leads(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`lead` of the network's own restricted loss in updates; NaN where the held-out loss never comes down."""
    down = result.test_loss.min("step") < bound(result)
    return across_seeds(lead(result, "network").where(down), above=10.0, share=0.9)


def mostly_not_new(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`part_fallen` of the table whose new pairs were exchanged among themselves."""
    return across_seeds(part_fallen(result, "new permuted"), above=0.75, share=0.9)


def scattered_falls_as_well(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`part_fallen` of the table whose errors on new pairs are scattered."""
    return across_seeds(part_fallen(result, "scattered"), above=0.9, share=0.9)


def votes_without_circuit(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`votes_won` by independent answers."""
    return across_seeds(votes_won(result, "independent"), below=0.5, share=0.9)


def separates(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`rescue`."""
    return across_seeds(rescue(result), above=0.1, share=0.9)


def alone_leads(result: xr.Dataset) -> Evidence:
    """:func:`alone_lead` over the loss on the same pairs, mean over seeds with its bootstrap interval."""
    return _above_zero(alone_lead(result, "new_loss"))


def alone_leads_calibrated(result: xr.Dataset) -> Evidence:
    """:func:`alone_lead` over the loss on the same pairs at the best temperature, as its own is."""
    return _above_zero(alone_lead(result, "calibrated_loss"))


def _above_zero(values: xr.DataArray) -> Evidence:
    mean, low, high = interval(values)
    words = f"95 % interval > 0 (positive in {int((values > 0).sum())} of {values.size} seeds)"
    return Evidence(value=mean, low=low, high=high, bound=words, holds=low > 0, partly=mean > 0)


def mostly_memorized(result: xr.Dataset) -> Evidence:
    """A manipulation check: at least nine in ten training labels are learned, as in the original."""
    return across_seeds(result.train_accuracy.max("step"), above=0.9, share=0.9)


def learned_in_the_end(result: xr.Dataset) -> Evidence:
    """A manipulation check: the network is the same, and its held-out loss comes below the bound."""
    return across_seeds(result.test_loss.min("step"), below=bound(result), share=0.9)


def falls_in_the_end(result: xr.Dataset) -> Evidence:
    """A manipulation check: this restricted loss, too, comes below the bound."""
    return across_seeds(result.restricted_loss.sel(table="network").min("step"), below=bound(result), share=0.9)


def votes_won_in_the_end(result: xr.Dataset) -> Evidence:
    """A manipulation check: this vote, too, comes to be won three times in four."""
    return across_seeds(result.vote_accuracy.sel(votes="independent").max("step"), above=0.75, share=0.9)


def scattered_wins_votes(result: xr.Dataset) -> Evidence:
    """A manipulation check: the scattered null tells the answer as well, once it is averaged."""
    return across_seeds(result.vote_accuracy.sel(votes="scattered").max("step"), above=0.9, share=0.9)


def _renamed(values: xr.DataArray, dim: str, **taken: str) -> xr.DataArray:
    """Some entries along a dimension in the place of others."""
    source = [taken.get(str(name).replace(" ", "_"), str(name)) for name in values[dim].values]
    return values.sel({dim: source}).assign_coords({dim: values[dim].values})


def others_excluded(result: xr.Dataset) -> xr.Dataset:
    """Other frequencies in the place of the key ones."""
    return result.assign(excluded_loss=_renamed(result.excluded_loss, "cut", key_frequencies="other frequencies"))


def difference_for_sum(result: xr.Dataset) -> xr.Dataset:
    """The average over a - b in the place of that over a + b."""
    return result.assign(restricted_loss=_renamed(result.restricted_loss, "table", network="difference"))


def from_new_pairs(result: xr.Dataset) -> xr.Dataset:
    """Averages over new pairs alone in the place of those over all pairs."""
    return result.assign(restricted_loss=result.new_restricted_loss)


def permuted_for_scattered(result: xr.Dataset) -> xr.Dataset:
    """The table with exchanged held-out pairs in the place of the one with scattered errors."""
    return result.assign(restricted_loss=_renamed(result.restricted_loss, "table", scattered="permuted"))


def own_answers(result: xr.Dataset) -> xr.Dataset:
    """The network's own answers, as often right and not independent, in the place of the independent ones."""
    return result.assign(vote_accuracy=_renamed(result.vote_accuracy, "votes", independent="answers"))


def scattered_alone(result: xr.Dataset) -> xr.Dataset:
    """The scattered null in the place of the network."""
    return result.assign(filtered_loss=_renamed(result.filtered_loss, "filter", network="scattered"))
