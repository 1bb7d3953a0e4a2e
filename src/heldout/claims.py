"""Claims: every quantitative sentence of the book, with the check that decides it and the control that must break it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from jaxtyping import Float

Verdict = Literal["reproduced", "in part", "not reproduced"]
NO_PAPER_VALUE = "none given"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a check found: the value with its band over seeds, the bound it was held against, and whether it holds.

    ``low`` and ``high`` are the band's ends (by default the smallest and largest seed); NaN where there is no band.
    ``partly`` marks a claim that holds in some of its stated cases and not in others.
    """

    value: float
    bound: str
    holds: bool
    low: float = float("nan")
    high: float = float("nan")
    partly: bool = False

    @property
    def verdict(self) -> Verdict:
        """The evidence in one of the ledger's three words."""
        if self.holds:
            return "reproduced"
        return "in part" if self.partly else "not reproduced"


Check = Callable[[xr.Dataset], Evidence]


@dataclass(frozen=True, kw_only=True)
class Control:
    """A run, or a change of the record, with the one cause removed. The claim must fail in it.

    Exactly one of ``config`` (run this instead) and ``change`` (a function of the claim's own record) is given.
    ``manipulation`` says whether the control is a fair one: as well fitted as the original, with only the cause taken away.
    """

    says: str
    manipulation: Check
    config: Any = None
    change: Callable[[xr.Dataset], xr.Dataset] | None = None

    def __post_init__(self) -> None:
        if (self.config is None) == (self.change is None):
            raise ValueError("config, change: exactly one of the two must be given")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of the book that a test can refute.

    Attributes:
        id: short name, unique in the book.
        says: the sentence.
        rows: rows of the source table that it answers, such as ("S0.6",).
        source: the paper, with section, equation, figure or theorem, or "this book".
        paper_value: the paper's own number, or NO_PAPER_VALUE.
        check: judges a record of the claim's experiment.
        control: what must make the check fail.
        expected: the verdict at BOOK scale when the ledger was last agreed; a test fails when it changes.
        expected_at_paper: the verdict on the committed PAPER record, where it is another one.
    """

    id: str
    says: str
    rows: tuple[str, ...]
    source: str
    check: Check
    control: Control
    paper_value: str = NO_PAPER_VALUE
    expected: Verdict = "reproduced"
    expected_at_paper: Verdict | None = None

    def expected_at(self, preset: str) -> Verdict:
        """The verdict last agreed for a preset."""
        return self.expected_at_paper or self.expected if preset == "paper" else self.expected


def across_seeds(
    values: xr.DataArray | Float[np.ndarray, " seed"],
    *,
    above: float | None = None,
    below: float | None = None,
    share: float = 1.0,
) -> Evidence:
    """Hold one number a seed against a bound that at least ``share`` of the seeds must keep.

    The evidence's value is the median over seeds, its band the smallest and the largest seed. A value that is not finite
    never keeps the bound; NaN, a seed that cannot be judged, stays out of the median and the band and counts as not kept.
    Kept by at least half of the seeds, but not by enough of them, the bound holds in part.

    Raises:
        ValueError: not exactly one of ``above`` and ``below`` is given, or there are no seeds.
    """
    if (above is None) == (below is None):
        raise ValueError("above, below: exactly one of the two must be given")
    numbers = np.asarray(values, dtype=float).ravel()
    if numbers.size == 0:
        raise ValueError("values: must hold at least one seed")
    kept = np.isfinite(numbers) & (numbers > above if above is not None else numbers < float(below or 0.0))
    sign, limit = (">", above) if above is not None else ("<", below)
    judged = numbers[~np.isnan(numbers)]
    need = int(np.ceil(share * numbers.size - 1e-9))
    return Evidence(
        value=float(np.median(judged)) if judged.size else float("nan"),
        low=float(judged.min()) if judged.size else float("nan"),
        high=float(judged.max()) if judged.size else float("nan"),
        bound=f"{sign} {limit:g} in {need} of {numbers.size} seeds (held in {int(kept.sum())})",
        holds=int(kept.sum()) >= need,
        partly=2 * int(kept.sum()) >= numbers.size,
    )


def bootstrap_interval(
    values: Float[np.ndarray, " seed"], *, level: float = 0.95, draws: int = 10_000
) -> tuple[float, float, float]:
    """Mean over seeds with its percentile bootstrap interval: (mean, low, high)."""
    numbers = np.asarray(values, dtype=float)
    picks = np.random.default_rng(0).integers(0, len(numbers), size=(draws, len(numbers)))
    means = numbers[picks].mean(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(numbers.mean()), float(low), float(high)
