"""What the claims about late generalization measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.grokking.training import LEARNED, delay_ratio


def generalizes_late(result: xr.Dataset, *, times: float, share: float) -> Evidence:
    """Per seed, steps to generalize over steps to memorize; infinite where it never, or not to the end, generalizes."""
    ratio = delay_ratio(result)
    stayed = result.final.sel(set="test") >= LEARNED
    return across_seeds(ratio.where(stayed | ratio.isnull(), np.inf), above=times, share=share)


def ends_right(result: xr.Dataset, *, share: float) -> Evidence:
    """Per seed, accuracy on held-out pairs after the last step."""
    return across_seeds(result.final.sel(set="test"), above=LEARNED, share=share)


def ends_sure(result: xr.Dataset, *, share: float) -> Evidence:
    """Per seed, cross-entropy on held-out pairs after the last step, in nats."""
    return across_seeds(result.test_loss.isel(step=-1), below=0.1, share=share)


def not_yet(result: xr.Dataset, *, below: float) -> Evidence:
    """Per seed, accuracy on held-out pairs at the first probe that sees the training pairs known; NaN where none does."""
    memorized = result.learned.sel(set="train")
    return across_seeds(result.test_accuracy.where(result.step == memorized).max("step"), below=below)


def mirror_first(result: xr.Dataset, *, above: float) -> Evidence:
    """Per seed, accuracy on held-out pairs with a trained mirror image, less that on the rest, once the training set is known."""
    gap = result.mirrored_accuracy - result.unmirrored_accuracy
    return across_seeds(gap.where(result.step == result.learned.sel(set="train")).max("step"), above=above)


def memorizes(result: xr.Dataset) -> Evidence:
    """A manipulation check: the training pairs are known at the end, as well as in the run of the claim."""
    return across_seeds(result.final.sel(set="train"), above=0.999)


def memorizes_soon(result: xr.Dataset) -> Evidence:
    """A manipulation check: the training pairs are known, by the time of the claim's own runs or less than twice as late."""
    return across_seeds(result.learned.sel(set="train"), below=130)


def learns_both(result: xr.Dataset) -> Evidence:
    """A manipulation check: training and held-out pairs are known at the end, per seed the lower accuracy."""
    return across_seeds(result.final.min("set"), above=LEARNED)
