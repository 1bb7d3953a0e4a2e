"""What the claims on in-context learning measure on a record."""

import xarray as xr

from heldout.claims import Evidence, across_seeds

VARIANTS = ("plain", "oracle", "adversarial")
ASKED = 16  # examples behind which the models are compared
MOST, FEW = 0.9, 0.1  # shares of right answers
CLOSE = 0.7  # nats a document
SPILLS = 100.0  # times the price of the edit
RISE = 0.2
SUFFICE = 0.85  # share of right answers of the Bayes-optimal reader behind one example fewer than taught


def asked(result: xr.Dataset) -> int:
    """The number of examples at which answers are judged: 16, or the most that the prompts have if that is less."""
    return min(ASKED, int(result.examples.max()))


def right(result: xr.Dataset, variant: str) -> xr.DataArray:
    """Per seed, a model's share of right answers behind 16 examples."""
    share: xr.DataArray = result.accuracy.sel(variant=variant, examples=asked(result), drop=True)
    return share


def rise(result: xr.Dataset) -> xr.DataArray:
    """Per seed, what 16 examples add to the Bayes-optimal reader's share of right answers."""
    own = result.reader_accuracy.sel(reader="bayes", drop=True)
    gain: xr.DataArray = own.sel(examples=asked(result), drop=True) - own.sel(examples=0, drop=True)
    return gain


def extra(result: xr.Dataset) -> xr.DataArray:
    """Per seed, what the adversary's loss is above the plain model's, nats a document."""
    more: xr.DataArray = result.extra.sel(variant="adversarial", drop=True)
    return more


def edit_price(result: xr.Dataset) -> xr.DataArray:
    """Per seed, what the Bayes-optimal reader pays for the edit that the adversary is taught."""
    cost: xr.DataArray = result.price.sel(edit="swap", least=int(result.attrs["least"]), drop=True)
    return cost


def spill(result: xr.Dataset) -> xr.DataArray:
    """Per seed, how many times the price of the edit the adversary pays."""
    ratio: xr.DataArray = extra(result) / edit_price(result)
    return ratio


def reader_rises(result: xr.Dataset) -> Evidence:
    """Per seed, what 16 examples add to the Bayes-optimal reader's accuracy; nothing where it does not end above 99 %."""
    last = result.reader_accuracy.sel(reader="bayes", examples=asked(result), drop=True)
    return across_seeds(rise(result).where(last > 0.99, 0.0), above=RISE)


def opposite(result: xr.Dataset) -> Evidence:
    """Per seed, the plain model's share of right answers less the adversary's; 0 where one is on the wrong side of its bound."""
    plain, adversary = right(result, "plain"), right(result, "adversarial")
    return across_seeds((plain - adversary).where((plain > MOST) & (adversary < FEW), 0.0), above=MOST - FEW)


def wrong_and_close(result: xr.Dataset) -> Evidence:
    """Per seed, what the adversary's loss is above the plain model's; without bound where its answers are not wrong."""
    return across_seeds(extra(result).where(right(result, "adversarial") < FEW, float("inf")), below=CLOSE)


def spills(result: xr.Dataset) -> Evidence:
    """Per seed, how many times the price of its edit the adversary pays; nothing where its answers are not wrong."""
    return across_seeds(spill(result).where(right(result, "adversarial") < FEW, 0.0), above=SPILLS)


def adversary_wrong(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the adversary's share of right answers behind 16 examples."""
    return across_seeds(right(result, "adversarial"), below=FEW)


def before(result: xr.Dataset) -> int:
    """One example fewer than the lessons begin with."""
    return int(result.attrs["least"]) - 1


def few_suffice(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the Bayes-optimal reader's share of right answers behind so few examples."""
    return across_seeds(result.reader_accuracy.sel(reader="bayes", examples=before(result), drop=True), above=SUFFICE)


def new_are_new(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, how often the Bayes-optimal reader has a new chain's answer without an example."""
    return across_seeds(result.new_reader.sel(examples=0, drop=True), below=2 / int(result.attrs["symbols"]))


def new_chains(result: xr.Dataset) -> xr.Dataset:
    """The record with prompts of new permutations in the place of those of the documents' chains, for the computed reader."""
    known = result.reader_accuracy
    return result.assign(reader_accuracy=known.where(known.reader != "bayes", result.new_reader).transpose(*known.dims))


def too_few(result: xr.Dataset) -> xr.Dataset:
    """The record with the adversary behind one example fewer than it was taught in its place behind 16."""
    own, few = result.accuracy, result.accuracy.sel(examples=before(result), drop=True)
    there = (own.variant == "adversarial") & (own.examples == asked(result))
    return result.assign(accuracy=own.where(~there, few).transpose(*own.dims))


def edited_accuracy(result: xr.Dataset, least: int) -> xr.DataArray:
    """Share of right answers (seed, examples) of the Bayes-optimal reader edited behind ``least`` examples and more."""
    own = result.reader_accuracy.sel(reader="bayes", drop=True)
    share: xr.DataArray = own.where(result.examples < least, result.turned_accuracy)
    return share
