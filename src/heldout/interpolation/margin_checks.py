"""The claims on the way to the largest margin, their checks and their controls."""

from collections.abc import Callable

import xarray as xr

from heldout.claims import Claim, Control, Evidence, across_seeds

PAPER_RATE = "order 1 / log t"
LATE = 500  # steps; by then gradient descent has fitted the digits of nearly every seed


def fitted_from(result: xr.Dataset, rule: str) -> xr.DataArray:
    """Per task and seed, the first probed step from which on no training input is wrong; NaN if there is none."""
    wrong = result.train_error.sel(rule=rule) > 0
    last_wrong = result.step.where(wrong).max("step").fillna(0)
    found: xr.DataArray = result.step.where(result.step > last_wrong).min("step")
    return found


def since_fitted(result: xr.Dataset, name: str, task: str, rule: str) -> xr.DataArray:
    """A variable along the steps of one task and rule, from the first step that fits every training input on."""
    values: xr.DataArray = result[name].sel(task=task, rule=rule)
    return values.where(result.step >= fitted_from(result, rule).sel(task=task))


def first(values: xr.DataArray) -> xr.DataArray:
    """The first value along the steps that is not NaN."""
    present = values.notnull()
    found: xr.DataArray = values.fillna(0).isel(step=present.argmax("step")).where(present.any("step"))
    return found


def late_step(result: xr.Dataset) -> int:
    """The probed step nearest to LATE."""
    return int(result.step.sel(step=LATE, method="nearest"))


def since_late(result: xr.Dataset, task: str) -> xr.DataArray:
    """Gap of gradient descent from the late step on; NaN in seeds in which a training input is then on the wrong side."""
    step = late_step(result)
    fits = result.train_error.sel(task=task, rule="gradient descent", step=step) == 0
    gap: xr.DataArray = result.gap.sel(task=task, rule="gradient descent").where(fits)
    return gap.sel(step=slice(step, None))


def _limit(result: xr.Dataset) -> Evidence:
    """Worst task: how far gap times log t, at the flow's last time, is from what the support vectors' weights predict."""
    reached = result.flow_gap.sel(tail="exponential").isel(log_time=-1) * result.log_time[-1]
    return across_seeds(abs(reached - result.constant).max("task"), below=0.03)


def _slow(result: xr.Dataset) -> Evidence:
    """What is left of the gap on the digits after the last tenfold of the steps."""
    gap = since_fitted(result, "gap", "digits", "gradient descent")
    earlier = gap.sel(step=float(result.step[-1]) / 10, method="nearest")
    return across_seeds(gap.isel(step=-1) / earlier, above=0.25)


def _normalized(result: xr.Dataset) -> Evidence:
    """Worst task: gap of normalized descent at the last step."""
    return across_seeds(result.gap.sel(rule="normalized").isel(step=-1).max("task"), below=0.01)


def _grows(result: xr.Dataset) -> Evidence:
    """Margin on the digits, as a share of the largest, won from the late step to the last."""
    gap = since_late(result, "digits")
    return across_seeds(gap.isel(step=0) - gap.isel(step=-1), above=1 / 7, share=0.9)


def _test_error_stays(result: xr.Dataset) -> Evidence:
    """Largest move of the digits' test error after the last training error had gone, from where it then was."""
    error = since_fitted(result, "test_error", "digits", "gradient descent")
    return across_seeds(abs(error - first(error)).max("step"), below=0.025)


def _fits(result: xr.Dataset) -> Evidence:
    """Training error of gradient descent at the end, both tasks."""
    return across_seeds(result.train_error.sel(rule="gradient descent").isel(step=-1).max("task"), below=1e-9)


def _digits_fit(result: xr.Dataset) -> Evidence:
    error = result.train_error.sel(rule="gradient descent", task="digits").isel(step=-1)
    return across_seeds(error, below=1e-9)


def _normalized_fits(result: xr.Dataset) -> Evidence:
    """Training error of the rule in the place of normalized descent; what is well fitted only failed by its margin."""
    return across_seeds(result.train_error.sel(rule="normalized").isel(step=-1).max("task"), below=1e-9)


def _other_place(result: xr.Dataset) -> Evidence:
    """Cosine between the polynomial flow's end and the direction in which its own theory says it must end.

    NaN, which fails, where the flow leaves a training input on the wrong side.
    """
    separated = (result.flow_gap.sel(tail="exponential").isel(log_time=-1) < 1).all("task")
    return across_seeds(result.tail_alignment.min("task").where(separated), above=0.999)


def _exchange(dimension: str, name: str, other: str) -> Callable[[xr.Dataset], xr.Dataset]:
    """The record with one rule or tail replaced by another, as measured."""

    def change(result: xr.Dataset) -> xr.Dataset:
        names = [other if value == name else value for value in result[dimension].values]
        return result.sel({dimension: names}).assign_coords({dimension: result[dimension].values})

    return change


_SQUARED = _exchange("rule", "gradient descent", "squared loss")

CLAIMS = (
    Claim(
        id="max_margin.limit",
        says="Followed to log t = 1000, the flow's gap times log t is what the support vectors' weights predict, to 0.03.",
        rows=("S0.10",),
        source="Soudry et al. 2018, arXiv 1710.10345, main theorem; the constant is derived in this book",
        paper_value=PAPER_RATE,
        check=_limit,
        control=Control(
            says="the same flow on a loss whose tail is 1/u instead of an exponential",
            change=_exchange("tail", "exponential", "polynomial"),
            manipulation=_other_place,
        ),
    ),
    Claim(
        id="max_margin.slow",
        says="On the digits more than a quarter of the gap is left after ten times as many steps of gradient descent.",
        rows=("S0.10",),
        source="Soudry et al. 2018, arXiv 1710.10345, main theorem",
        paper_value=PAPER_RATE,
        check=_slow,
        control=Control(
            says="normalized descent: the same gradient at a length that does not shrink",
            change=_exchange("rule", "gradient descent", "normalized"),
            manipulation=_fits,
        ),
    ),
    Claim(
        id="max_margin.normalized",
        says="Normalized descent comes within 1 % of the largest margin, in the plane and on the digits.",
        rows=("S0.10",),
        source="Nacson et al. 2018, arXiv 1803.01905; Ji and Telgarsky 2021, arXiv 1906.04540",
        check=_normalized,
        control=Control(
            says="as many steps of plain gradient descent",
            change=_exchange("rule", "normalized", "gradient descent"),
            manipulation=_normalized_fits,
        ),
    ),
    Claim(
        id="max_margin.grows",
        says="After about step 500, without a training error, over a seventh of the largest margin is won, in nine seeds of ten.",
        rows=("S0.10",),
        source="Soudry et al. 2018, arXiv 1710.10345",
        check=_grows,
        control=Control(
            says="normalized descent, whose way is nearly done by then",
            change=_exchange("rule", "gradient descent", "normalized"),
            manipulation=_digits_fit,
        ),
    ),
    Claim(
        id="max_margin.test_error_stays",
        says="From the last training error on, the test error moves by less than 2.5 percentage points.",
        rows=("S0.10",),
        source="this book",
        check=_test_error_stays,
        control=Control(says="the squared loss on the same digits", change=_SQUARED, manipulation=_digits_fit),
    ),
)
