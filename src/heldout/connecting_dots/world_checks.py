"""What the claims on the small world measure on a record. Bounds were set on seeds 0 and 1, which no claim is judged on."""

import itertools

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

DONE = 0.95  # share of lines right in a task that pretraining teaches
MIDDLE = slice(0.3 - 1e-9, 0.7 + 1e-9)  # shares of the other row at which a row is a mixture of both


def chance_unseen(result: xr.Dataset) -> float:
    """Share of never shown names whose nearest other one would be a synonym if rows lay at random."""
    count = result.attrs["unseen"] * result.synonyms
    return float((result.synonyms - 1) / (count - 1))


def synonyms_meet(result: xr.Dataset) -> Evidence:
    """Per seed, the share of silent names whose nearest one, of all names that lines define, is a synonym."""
    return across_seeds(result.beside_defined.sel(depth=0), above=0.9)


def one_name_silent(result: xr.Dataset) -> Evidence:
    """Per seed, the share of silent names that are defined right."""
    return across_seeds(result.accuracy.sel(group="silent", task="define"), above=0.9)


def silent_apply(result: xr.Dataset) -> Evidence:
    """A manipulation check: silent names are applied right, and the definitions that lines give are learned."""
    applied = result.accuracy.sel(group="silent", task="apply")
    told = result.accuracy.sel(group="defined", task="define")
    return across_seeds(np.minimum(applied, told), above=DONE)


def function_not_defined(result: xr.Dataset) -> Evidence:
    """Per seed, the share of right definitions of functions that no line defines; NaN where these are not computed with."""
    own = result.accuracy.sel(group="undefined")
    computed = own.sel(task=["apply", "invert"]).min("task") > DONE
    return across_seeds(own.sel(task="define").where(computed), below=0.34)


def silent_names(result: xr.Dataset) -> xr.Dataset:
    """The record with the silent names of defined functions in the place of the names of functions that no line defines."""
    return result.assign(accuracy=result.accuracy.sel(group="silent", drop=True).expand_dims(group=result.group))


def computes(result: xr.Dataset) -> Evidence:
    """A manipulation check: the names in that place are applied and inverted."""
    own = result.accuracy.sel(group="undefined", task=["apply", "invert"])
    return across_seeds(own.min("task"), above=DONE)


def two_functions(result: xr.Dataset) -> Evidence:
    """Per seed, the share of other constants after the first layer; NaN where operations are not the other function's."""
    words = result.words.sel(depth=1, answer="other")
    return across_seeds(words.sel(word="constant").where(words.sel(word="operation") > 0.9), below=0.5)


def first_layer(result: xr.Dataset) -> xr.Dataset:
    """The record with the exchange before the first layer in the place of that after it, in what concerns the words."""
    return result.assign(words=result.words.sel(depth=0, drop=True).expand_dims(depth=result.depth))


def other_operation(result: xr.Dataset) -> Evidence:
    """A manipulation check: the exchange acts, and the operation is the other function's."""
    return across_seeds(result.words.sel(answer="other", word="operation", depth=1), above=0.9)


def apart(result: xr.Dataset) -> xr.DataArray:
    """Per seed, how often two tasks answer by different functions after a half exchange: their scores are half or more apart."""
    tasks = itertools.combinations(result.task.values.tolist(), 2)
    far = [abs(result.half.sel(task=a, drop=True) - result.half.sel(task=b, drop=True)) >= 0.5 for a, b in tasks]
    found: xr.DataArray = xr.concat(far, "tasks").mean(("tasks", "draw", "pair"))
    return found


def tasks_agree(result: xr.Dataset) -> Evidence:
    """Per seed, the share of half exchanges after which two tasks answer by different functions."""
    return across_seeds(apart(result), below=0.2)


def other_halves(result: xr.Dataset) -> xr.Dataset:
    """The record with each task's halves taken from another draw than the other tasks', for the same pairs of functions."""
    half = [result.half.sel(task=[task]).roll(draw=k) for k, task in enumerate(result.task.values)]
    return result.assign(half=xr.concat(half, "task"))


def either(result: xr.Dataset) -> Evidence:
    """A manipulation check: a half exchange is decided by neither function alone; the rarer one's share, lowest over tasks."""
    mean = result.half.mean(("draw", "pair"))
    return across_seeds(np.minimum(mean, 1 - mean).min("task"), above=0.25)


def turning_points(result: xr.Dataset) -> xr.DataArray:
    """The middle of each pair's change-over, by task, as a share of the other row; an answer of neither counts one half.

    It is the mean over shares of the answers that are not yet the other function's.
    """
    way = result.way
    own = (1 + way.sel(answer="own", drop=True) - way.sel(answer="other", drop=True)) / 2
    found: xr.DataArray = own.mean("share")
    return found


def undivided(result: xr.Dataset, task: str) -> xr.DataArray:
    """Per seed, in how many of the mixtures near the middle all answers about a pair are one function's."""
    part = result.way.sel(task=task, share=MIDDLE).max("answer")
    found: xr.DataArray = (part > 1 - 1e-6).mean(("share", "pair"))
    return found


def of_a_third(result: xr.Dataset, task: str) -> xr.DataArray:
    """Per seed, the largest share of answers over all mixtures that are neither function's."""
    third: xr.DataArray = (1 - result.way.sel(task=task).sum("answer").mean("pair")).max("share")
    return third
