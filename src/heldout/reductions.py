"""How the runs that an estimate counts are made smaller where a preset's own are too heavy for one core.

Two ways, each tested at a config that is small enough to be counted as it is: fields that no update depends on, and fields in
which an update's operations and bytes are polynomials, since the shapes of all its operands are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def _one(_: Any) -> int:
    return 1


def _two(_: Any) -> int:
    return 2


def _twenty(_: Any) -> int:
    return 20


def _first(config: Any) -> tuple[int, ...]:
    return tuple(config.lengths[:1])


def _as_many_small_sets(config: Any) -> tuple[int, ...]:
    """As many sets of data, each about as large as a batch: the sets are drawn before the updates."""
    return tuple(range(config.batch_size, config.batch_size + len(config.samples)))


# Fields that decide what is done before, between and after the updates and nothing else, with values that cost little.
ASIDE: dict[str, dict[str, Callable[[Any], Any]]] = {
    "nonidentifiability.rule_extrapolation": {"samples": _one, "inside_samples": _one, "lengths": _first},
    "quanta.composite_metric": {"num_features": _twenty, "flow_end": _two},
    "quanta.emergence_order": {"held_out": _twenty},
    "quanta.exponents": {"num_held_out": _one, "samples": _as_many_small_sets},
    "quanta.null_models": {"held_out": _twenty},
}


# Where what follows the updates has no fixed cost, or a run cannot be so short that it is soon over: it is ended after its third
# update, and that one is counted. They call ``progress`` after every update, and all updates are of one kind.
ONE_ALONE = {
    "nonidentifiability.rule_extrapolation", "quanta.composite_metric", "quanta.compositional_parity", "quanta.null_models",
}  # fmt: skip


# The same for experiments that make several trainings of as many updates, each with their ``train``: how many.
TRAININGS = {"nonidentifiability.closing_panel": 2}


def aside(name: str, config: Any) -> dict[str, Any]:
    """The changes of an experiment's config that leave its updates as they are."""
    return {field: value(config) for field, value in ASIDE.get(name, {}).items()}


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """A field in which an update's work is a polynomial.

    Attributes:
        field: its name.
        degree: of the polynomial.
        sizes: values of the field, one more than the polynomial needs: the last one checks it.
    """

    field: str
    degree: int
    sizes: tuple[int, ...]


REDUCED: dict[str, Reduction] = {
    # A tree with a node for each prefix, of which there are about n^2 / 2; each is held against each.
    "nonidentifiability.closing_panel": Reduction(field="longest", degree=4, sizes=(12, 16, 20, 24, 28, 32)),
    # Rows of 2 n + 1 places, one for each n: attention is a cubic polynomial of the largest n, all else has a lower degree.
    "nonidentifiability.rule_extrapolation": Reduction(field="longest", degree=3, sizes=(12, 16, 20, 24, 28)),
    "quanta.exponents": Reduction(field="batch_size", degree=1, sizes=(200, 400, 600)),
}
