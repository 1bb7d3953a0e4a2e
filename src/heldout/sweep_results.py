"""A sweep's tasks put together: one dataset with a dimension for every field of the grid, and all seeds.

Grid points may differ in what they hold: where one lacks a value of a coordinate, NaN stands there. A variable without seeds
that differs from block to block (such as a curve drawn for a run's first seed) keeps a dimension ``block``.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from heldout import store
from heldout.experiment import Experiment, variable
from heldout.sweep import Sweep, Task, describe, present, text

# What differs from run to run and is no result.
STAMPS = ("config", "seconds", "peak_memory", "device_memory", "created", "threads", "device", "torch", "heldout")
Values = Mapping[str, Sequence[Any]]


def dataset(sweep: Sweep) -> xr.Dataset:
    """The results of all tasks that are in the store, as one dataset.

    Returns:
        the experiment's variables with the grid's fields before their own dimensions (a field of a name that the experiment
        uses itself becomes ``config_<field>``; a list is written ``4,8``), and ``computed``: whether a point's seed is there.
        If one is not, whole numbers become floating, and NaN (for text, nothing) stands in its place.

    Raises:
        ValueError: no task is in the store.
    """
    there = present(sweep.tasks)
    tasks = [task for task in sweep.tasks if task.key in there]
    if not tasks:
        raise ValueError(f"sweep={sweep.module.__name__!r}: must have at least one task in the store")
    loaded = [store.load_or_run(sweep.module, task.config, device=sweep.device) for task in tasks]
    seeds = list(range(sweep.first_seed, sweep.first_seed + sweep.num_seeds))
    whole = len(tasks) == len(sweep.points) * len({task.first_seed for task in sweep.tasks}) and not sweep.refused
    runs = loaded if whole else [_with_room_for_missing(each, {...}) for each in loaded]
    points = _points(sweep, tasks, runs, seeds)
    names = _grid_names(sweep, next(iter(points.values())))
    template = next(iter(points.values()))
    parts = [points[n] if n in points else _blank(template) for n in range(len(sweep.points))]
    parts = _with_varying_attributes(parts, list(points), set(names.values()))
    grid = {names[key]: [_plain(value) for value in values] for key, values in sweep.grid.items()}
    result = _nested(parts, grid)
    result = result.transpose(*grid, "seed", ...)
    for key, name in names.items():
        result[name].attrs = {"long_name": key.replace("_", " "), "units": "1"}
    result.attrs.pop("created", None)
    result.attrs |= {
        "sweep": describe(sweep),
        "tasks": len(tasks),
        "seconds": sum(float(each.attrs["seconds"]) for each in loaded),
        "peak_memory": max(int(each.attrs["peak_memory"]) for each in loaded),
        "device_memory": max(int(each.attrs["device_memory"]) for each in loaded),
    }
    return result


def _points(sweep: Sweep, tasks: list[Task], runs: list[xr.Dataset], seeds: list[int]) -> dict[int, xr.Dataset]:
    """Each point's blocks as one dataset with every seed; points with no block are left out."""
    blocks: dict[int, list[tuple[int, xr.Dataset]]] = {}
    for task, result in zip(tasks, runs, strict=True):
        blocks.setdefault(task.point, []).append((task.first_seed, result))
    apart = set[str]()
    for of_point in blocks.values():
        first = of_point[0][1]
        apart |= {n for n in _seedless(first) if any(not _same(first, other, n) for _, other in of_point[1:])}
    found: dict[int, xr.Dataset] = {}
    for number, of_point in blocks.items():
        together = _concat([each.drop_vars(apart, errors="ignore") for _, each in of_point], "seed")
        computed = np.isin(seeds, together.seed.values)
        together = together.reindex(seed=seeds, fill_value=_fills(together))
        together["computed"] = variable("seed", computed, "whether this seed was computed")
        together.seed.attrs = dict(runs[0].seed.attrs)
        if apart:
            own = _concat([each[sorted(apart & set(each.data_vars))] for _, each in of_point], "block")
            together = together.merge(
                own.assign_coords(block=[first for first, _ in of_point]), combine_attrs="override"
            )
            every = sorted({task.first_seed for task in sweep.tasks})
            together = together.reindex(block=every, fill_value=_fills(together))
            together.block.attrs = {"long_name": "first seed of the block", "units": "1"}
        found[number] = together
    return found


def _seedless(run: xr.Dataset) -> list[str]:
    return [str(name) for name, values in run.data_vars.items() if "seed" not in values.dims]


def _same(first: xr.Dataset, other: xr.Dataset, name: str) -> bool:
    return name in other and bool(first[name].variable.equals(other[name].variable))  # type: ignore[no-untyped-call]


def _concat(parts: list[xr.Dataset], dim: Any) -> xr.Dataset:
    """Along a dimension; where parts differ in another, each gets room for the values of all."""
    sizes: dict[str, set[int]] = {}
    for part in parts:
        for name, size in part.sizes.items():
            if name not in part.coords:
                sizes.setdefault(str(name), set()).add(size)
    uneven = [name for name, found in sizes.items() if len(found) > 1 and name != dim]
    numbered = [part.assign_coords({n: np.arange(part.sizes[n]) for n in uneven if n in part.sizes}) for part in parts]
    others = [{name: index for name, index in part.indexes.items() if name != dim} for part in numbered]
    names = {name for one in others for name in one}
    padded = {n for n in names if any(n not in one or not one[n].equals(others[0].get(n)) for one in others)}
    numbered = [_with_room_for_missing(part, padded) for part in numbered]
    inside = dim in parts[0].dims
    joined = xr.concat(
        numbered,
        dim,
        data_vars="minimal" if inside else "all",
        coords="minimal" if inside else "different",
        compat="override" if inside else "equals",
        join="outer",
        combine_attrs="drop_conflicts",
        fill_value={name: fill for part in numbered for name, fill in _fills(part).items()},
    )
    return joined.drop_vars(uneven)


def _nested(parts: list[xr.Dataset], grid: Values) -> xr.Dataset:
    if not grid:
        return parts[0]
    (name, values), *rest = grid.items()
    size = len(parts) // len(values)
    inner = [_nested(parts[i * size : (i + 1) * size], dict(rest)) for i in range(len(values))]
    return _concat(inner, name).assign_coords({name: list(values)})


def _grid_names(sweep: Sweep, point: xr.Dataset) -> dict[str, str]:
    taken = {*map(str, point.variables), *map(str, point.dims)}
    return {key: f"config_{key}" if key in taken else key for key in sweep.grid}


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else text(value)


def _with_varying_attributes(parts: list[xr.Dataset], there: list[int], names: set[str]) -> list[xr.Dataset]:
    """Attributes that differ from point to point, such as a size, become coordinates over the grid."""
    kept = {name for number in there for name in parts[number].attrs if name not in STAMPS}
    kept -= names | {str(name) for part in parts for name in (*part.variables, *part.dims)}
    varying = [n for n in sorted(kept) if len({str(parts[number].attrs.get(n)) for number in there}) > 1]
    found = []
    for number, part in enumerate(parts):
        attrs = part.attrs if number in there else {}
        scalars = {name: attrs.get(name, np.nan) for name in varying}
        found.append(part.assign_coords({n: v for n, v in scalars.items() if np.ndim(v) == 0}))
    return found


# --- are blocks the whole? ---------------------------------------------------------------------------------------------


def block_difference(module: Experiment, device: str = "cpu") -> float:
    """How much four seeds at SMOKE size differ between one run and two blocks, of each variable's largest value, at most.

    Zero or rounding where each seed has draws of its own. More where a run draws something once for all of its seeds, such as
    a data set from its first seed: then every block has its own.
    """
    few = dataclasses.replace(module.SMOKE, num_seeds=4)
    blocks = [dataclasses.replace(few, num_seeds=2, first_seed=few.first_seed + start) for start in (0, 2)]
    whole, *parts = (store.load_or_run(module, config, device=device) for config in (few, *blocks))
    largest = 0.0
    for name, values in whole.data_vars.items():
        if "seed" in values.dims and values.dtype.kind in "iuf":
            ours = np.concatenate([part[name].transpose("seed", ...).values for part in parts]).astype(float)
            theirs = values.transpose("seed", ...).values.astype(float)
            both = np.isfinite(ours) & np.isfinite(theirs)
            if both.any():
                scale = np.abs(theirs[both]).max()
                largest = max(largest, float(np.abs(ours - theirs)[both].max() / (scale or 1.0)))
    return largest


# --- what is missing ---------------------------------------------------------------------------------------------------


def _with_room_for_missing(run: xr.Dataset, dims: Collection[Any]) -> xr.Dataset:
    """Whole numbers and flags along one of these dimensions as floating numbers, which can be NaN."""
    found = {}
    for name, values in run.data_vars.items():
        if values.dtype.kind in "iub" and name != "computed" and set(dims) & {*values.dims, ...}:
            found[name] = values.astype(float).assign_attrs(values.attrs)
    return run.assign(found)


def _missing(dtype: np.dtype[Any]) -> Any:
    if dtype.kind in "UTO":
        return ""
    return False if dtype.kind == "b" else np.nan


def _fills(part: xr.Dataset) -> dict[str, Any]:
    """What stands for missing text and in ``computed``; for numbers it is NaN without being told."""
    return {str(name): _missing(v.dtype) for name, v in part.variables.items() if v.dtype.kind in "UTOb"}


def _blank(template: xr.Dataset) -> xr.Dataset:
    """The same shape with nothing in it."""
    return template.map(lambda values: xr.full_like(values, _missing(values.dtype)), keep_attrs=True)
