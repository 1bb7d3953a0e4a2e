"""What is read off a record of the Cantor experiment, and the claims that rest on it."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.claims import Claim, Control, Evidence, across_seeds

LEARNED = 0.8  # balanced accuracy above which a level counts as learned
SOURCE = "Malach and Shalev-Shwartz 2019, arXiv 1903.03488"


def at_end(result: xr.Dataset) -> xr.DataArray:
    """Accuracy (seed, width, level) after the last step."""
    final: xr.DataArray = result.accuracy.isel(step=-1)
    return final


def first_steps(result: xr.Dataset) -> xr.DataArray:
    """The first recorded step, plus one, at which a level is learned: (seed, width, level); infinite where it never is."""
    steps: xr.DataArray = (result.step + 1).where(result.accuracy > LEARNED, np.inf)
    return steps.min("step").transpose("seed", "width", "level")


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """Median accuracies at the end, counts of seeds that learned a level, median first steps, and losses."""
    final, seeds = at_end(result), result.sizes["seed"]
    widest = result.width.values[-1]
    found: dict[str, float | int | str] = {"seeds": seeds, "widest": int(widest), "steps": int(result.step[-1])}
    for width in result.width.values:
        found[f"built_loss_{width}"] = float(result.built_loss.sel(width=width).median())
        found[f"loss_{width}"] = float(result.train_loss.sel(width=width).median())
        found[f"loss_ratio_{width}"] = float((result.train_loss / result.built_loss).sel(width=width).median())
        for level in result.level.values:
            values = final.sel(width=width, level=level)
            found[f"w{width}_level{level}"] = float(values.median())
            found[f"w{width}_level{level}_low"] = float(values.min())
            found[f"w{width}_level{level}_high"] = float(values.max())
            found[f"w{width}_level{level}_count"] = int((values > LEARNED).sum())
    for level in result.level.values:
        step = float(first_steps(result).sel(level=level).isel(width=-1).median())
        found[f"step_level{level}"] = step - 1 if np.isfinite(step) else "never"
    return found


def _narrow(result: xr.Dataset) -> Any:
    """The width nearest to 16."""
    return result.width.sel(width=16, method="nearest")


def _gap_between_levels(result: xr.Dataset) -> Evidence:
    """Per seed, how far level 3 is below level 2 at width 16; kept only where level 2 is learned and level 3 is not."""
    final = at_end(result).sel(width=_narrow(result))
    second, third = final.sel(level=2), final.sel(level=3)
    return across_seeds((second - third).where((second > LEARNED) & (third <= LEARNED)), above=0.15, share=0.8)


def _rise_with_width(result: xr.Dataset) -> Evidence:
    """Per seed, by how much level 3 is better at the widest than at width 16."""
    final = at_end(result).sel(level=3)
    return across_seeds(final.isel(width=-1) - final.sel(width=_narrow(result)), above=0.15, share=0.8)


def _order(result: xr.Dataset) -> Evidence:
    """Per seed, at the largest width, the smaller of the two waits: level 2 over level 1, and level 3 over level 2."""
    steps = first_steps(result).isel(width=-1)
    first, second, third = (steps.sel(level=level) for level in (1, 2, 3))
    second_wait = (second / first).where(np.isfinite(second))
    third_wait = (third / second).where(np.isfinite(third))
    return across_seeds(np.minimum(second_wait, third_wait), above=1.5, share=0.8)


def _finest(result: xr.Dataset) -> Evidence:
    """Per seed, the best accuracy of the finest level at any width."""
    return across_seeds(at_end(result).isel(level=-1).max("width"), below=0.7)


def _built(result: xr.Dataset) -> xr.Dataset:
    """The record with the built network's accuracy and loss in the place of the trained ones, at every step."""
    wide = result.sel(width=result.width.where(result.built_accuracy.notnull().all("level"), drop=True))
    accuracy = wide.built_accuracy.expand_dims(seed=wide.seed, step=wide.step)
    return wide.assign(
        accuracy=accuracy.transpose(*wide.accuracy.dims), train_loss=wide.built_loss, found_loss=wide.train_loss
    )


def _lower_loss(result: xr.Dataset) -> Evidence:
    """The manipulation check of the built network: per seed and width, its loss over the trained one's, on the same samples."""
    return across_seeds((result.train_loss / result.found_loss).max("width"), below=0.5)


def _all_learned(result: xr.Dataset) -> Evidence:
    """The manipulation check of unfolded inputs: as well trained or better, so that every level is learned at every width."""
    return across_seeds(at_end(result).min(["width", "level"]), above=0.9)


def unfolded_control(config: Any) -> Control:
    """The same data, networks and training, but every level at one scale in the inputs."""
    return Control(
        says="inputs unfolded: each level is the middle third of an input of its own",
        config=config,
        manipulation=_all_learned,
    )


BUILT_CONTROL = Control(
    says="the network built by hand: same architecture, same samples, lower loss",
    change=_built,
    manipulation=_lower_loss,
)


def claims(unfolded: Any) -> tuple[Claim, ...]:
    """The experiment's claims; ``unfolded`` is the Config of the control."""
    return (
        Claim(
            id="cantor.level_two_without_three",
            says="At depth 4 and width 16 the second level is learned and the third is not.",
            rows=("S0.5",),
            source=f"this book, on the data of {SOURCE}",
            check=_gap_between_levels,
            expected_at_paper="not reproduced",  # five times the updates bring level 3 to width 16
            control=unfolded_control(unfolded),
        ),
        Claim(
            id="cantor.level_three_by_64",
            says="The third level comes with width: between width 16 and the widest its accuracy rises by more than .15.",
            rows=("S0.5",),
            source=f"this book, on the data of {SOURCE}",
            check=_rise_with_width,
            expected_at_paper="not reproduced",  # five times the updates bring level 3 to width 16
            control=unfolded_control(unfolded),
        ),
        Claim(
            id="cantor.coarse_first",
            says="In the widest networks level 1 is learned before level 2, and level 2 before level 3.",
            rows=("S0.5",),
            source=f"this book, on the data of {SOURCE}",
            check=_order,
            control=unfolded_control(unfolded),
        ),
        Claim(
            id="cantor.finest_open",
            says="The finest level is not learned at any width, though the same networks can hold it at a lower loss.",
            rows=("S0.5",),
            source=f"{SOURCE}, expressivity against training",
            check=_finest,
            control=BUILT_CONTROL,
        ),
    )
