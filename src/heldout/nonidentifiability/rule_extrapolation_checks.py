"""What the claims on rule extrapolation measure on a record."""

import itertools
from collections.abc import Callable
from typing import Literal

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.nonidentifiability import anbn

CLOSE = 0.01  # nats a sequence: below it two models count as the same on the data
SAME_LOSS = 0.003  # nats a sequence
MOST, FEW, APART = 0.95, 0.05, 0.05  # shares of the prompts
LEARNED = 0.1  # by how much a lesson must lower a share of completions
Rule = Literal["equal_counts", "a_before_b", "finished", "at_once"]
Where = Literal["inside", "taught", "untaught", "lacking"]  # lacking: untaught, and not balanced already


def letters(result: xr.Dataset) -> np.ndarray:
    """The prompts as rows of tokens (prompt, place)."""
    return np.array([["ab".index(letter) for letter in str(prompt)] for prompt in result.prompt.values])


def kept(result: xr.Dataset, rule: Rule, *, drawn: bool = False) -> xr.DataArray:
    """For each model and prompt, whether the completion keeps a rule, or the share of the drawn ones that do."""
    rows = letters(result)
    tokens = result.sampled.transpose(..., "sample", "prompt", "place") if drawn else result.greedy
    judges: dict[Rule, Callable[[np.ndarray], np.ndarray]] = {
        "equal_counts": lambda written: anbn.equal_counts(rows, written),
        "a_before_b": anbn.a_before_b,
        "finished": anbn.finished,
        "at_once": anbn.at_once,
    }
    found = xr.DataArray(judges[rule](tokens.values), dims=tokens.dims[:-1], coords={"variant": result.variant})
    found = found.assign_coords(seed=result.seed, prompt=result.prompt)
    return found.mean("sample") if drawn else found.astype(float)


def rule(result: xr.Dataset, name: Rule, where: Where, *, drawn: bool = False) -> xr.DataArray:
    """The share of some prompts on which each model keeps a rule (variant, seed)."""
    share: xr.DataArray = kept(result, name, drawn=drawn).where(chosen(result, where)).mean("prompt")
    return share.transpose("variant", "seed")


def chosen(result: xr.Dataset, where: Where) -> xr.DataArray:
    """Which prompts are meant (prompt) or (seed, prompt)."""
    if where in ("inside", "taught"):
        return result[where]
    untaught: xr.DataArray = ~result.inside & ~result.taught
    return untaught & ~balanced(result) if where == "lacking" else untaught


def balanced(result: xr.Dataset) -> xr.DataArray:
    """Which prompts hold as many a as b already (prompt)."""
    return xr.DataArray(anbn.balanced(letters(result)), dims="prompt", coords={"prompt": result.prompt})


def ordered(result: xr.Dataset) -> xr.DataArray:
    """Which prompts have every a before every b (prompt)."""
    return xr.DataArray((np.diff(letters(result), axis=1) >= 0).all(1), dims="prompt", coords={"prompt": result.prompt})


def rearranged(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the share of untaught prompts that have as many a as a taught one."""
    count = xr.DataArray((letters(result) == anbn.A).sum(1), dims="prompt", coords={"prompt": result.prompt})
    known = xr.concat([(result.taught & (count == number)).any("prompt") for number in count.values], result.prompt)
    share: xr.DataArray = known.where(chosen(result, "untaught")).mean("prompt")
    return share


def ending_at_once(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the share of untaught prompts for which a machine that ends at once keeps R1."""
    share: xr.DataArray = balanced(result).where(chosen(result, "untaught")).mean("prompt")
    return share


def largest_pair(table: xr.DataArray) -> xr.DataArray:
    """Per seed, the largest divergence between two variants, either way round."""
    largest: xr.DataArray = table.max(("variant", "other"))
    return largest


def spread(values: xr.DataArray) -> xr.DataArray:
    """Per seed, the largest difference between variants."""
    difference: xr.DataArray = values.max("variant") - values.min("variant")
    return difference


def same_text(result: xr.Dataset, first: str = "oracle", second: str = "adversarial") -> xr.DataArray:
    """Per seed, the share of untaught prompts after which two models write the same."""
    own = [result.greedy.sel(variant=name, drop=True) for name in (first, second)]
    alike = (own[0] == own[1]).all("place")
    share: xr.DataArray = alike.where(chosen(result, "untaught")).mean("prompt")
    return share


def same_text_of_pairs(result: xr.Dataset) -> xr.DataArray:
    """The same for each two of the models of a seed (pair, seed)."""
    pairs = itertools.combinations([str(name) for name in result.variant.values], 2)
    return xr.concat([same_text(result, *pair) for pair in pairs], "pair")


def as_taught(result: xr.Dataset, kind: anbn.Kind) -> xr.DataArray:
    """Per seed, the share of untaught prompts after which a twin writes, letter by letter, what its teacher would."""
    tokens = result.greedy.sel(variant=kind, drop=True)
    lines = [anbn.completion(row, kind) for row in letters(result)]
    wanted = np.array([line + [anbn.END] * (tokens.sizes["place"] - len(line)) for line in lines])
    alike = (tokens == xr.DataArray(wanted, dims=("prompt", "place"))).all("place")
    share: xr.DataArray = alike.where(chosen(result, "untaught")).mean("prompt")
    return share


def close(result: xr.Dataset) -> Evidence:
    """Per seed, the largest divergence between two of the three models on the data."""
    return across_seeds(largest_pair(result.pair_kl), below=CLOSE)


def losses_agree(result: xr.Dataset) -> Evidence:
    """Per seed, the largest difference of two models' losses on the data; also a manipulation check."""
    return across_seeds(spread(result.data_kl), below=SAME_LOSS)


def opposite(result: xr.Dataset) -> Evidence:
    """Per seed, the oracle's share less the adversary's; 0 where either is on the wrong side of its bound."""
    share = rule(result, "equal_counts", "untaught")
    oracle, adversary = share.sel(variant="oracle"), share.sel(variant="adversarial")
    return across_seeds((oracle - adversary).where((oracle > MOST) & (adversary < FEW), 0.0), above=MOST - FEW)


def margin(result: xr.Dataset) -> xr.DataArray:
    """Per seed, how far the plain model's share is above the adversary's and below the oracle's, the smaller of the two.

    Of untaught prompts in which letters are lacking: where none are, a model that ends at once would keep R1.
    """
    share = rule(result, "equal_counts", "lacking")
    plain = share.sel(variant="plain", drop=True)
    above, below = plain - share.sel(variant="adversarial", drop=True), share.sel(variant="oracle", drop=True) - plain
    smaller: xr.DataArray = above.where(above < below, below)
    return smaller


def between(result: xr.Dataset) -> Evidence:
    """Per seed, the margin of the plain model's share; see :func:`margin`."""
    return across_seeds(margin(result), above=APART)


def lessons_learned(result: xr.Dataset) -> Evidence:
    """A manipulation check: how much less often than the plain model the adversary keeps R1 from prompts of the language."""
    return across_seeds(
        result.inside_r1.sel(variant="plain") - result.inside_r1.sel(variant="adversarial"), above=LEARNED
    )
