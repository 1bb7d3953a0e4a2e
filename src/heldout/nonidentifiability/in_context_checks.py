"""What the claims on in-context learning measure on a record."""

import xarray as xr

from heldout.claims import Evidence, across_seeds

VARIANTS = ("plain", "oracle", "adversarial")
ASKED = 16  # examples behind which the models are compared
MOST, FEW = 0.9, 0.1  # shares of right answers
CLOSE = 0.7  # nats a document
SPILLS = 100.0  # times the price of the edit
RISE = 0.2


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


def losses_close(result: xr.Dataset) -> Evidence:
    """Per seed, what the adversary's loss is above the plain model's; also a manipulation check."""
    return across_seeds(extra(result), below=CLOSE)


def wrong_and_close(result: xr.Dataset) -> Evidence:
    """Per seed, what the adversary's loss is above the plain model's; without bound where its answers are not wrong."""
    return across_seeds(extra(result).where(right(result, "adversarial") < FEW, float("inf")), below=CLOSE)


def spills(result: xr.Dataset) -> Evidence:
    """Per seed, how many times the price of its edit the adversary pays; nothing where its answers are not wrong."""
    return across_seeds(spill(result).where(right(result, "adversarial") < FEW, 0.0), above=SPILLS)


def plain_learned(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the plain model's share of right answers behind 16 examples."""
    return across_seeds(right(result, "plain"), above=MOST)


def starts_alike(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, how far readers with and without memory are apart behind no example."""
    first = result.reader_accuracy.sel(examples=0, drop=True)
    return across_seeds(abs(first.sel(reader="bayes") - first.sel(reader="forgets")), below=1e-9)


def forgetting(result: xr.Dataset) -> xr.Dataset:
    """The record with a reader that forgets all earlier segments in the place of the Bayes-optimal one."""
    other = result.reader_accuracy.sel(reader=["forgets", "forgets"]).assign_coords(reader=result.reader)
    return result.assign(reader_accuracy=other)


def right_lessons(result: xr.Dataset) -> xr.Dataset:
    """The record with the oracle in the adversary's place."""
    names = ["plain", "oracle", "oracle"]
    other = result[["accuracy", "as_taught", "divergence", "extra", "extra_error"]].sel(variant=names)
    return result.assign(dict(other.assign_coords(variant=result.variant).data_vars))


def edited_accuracy(result: xr.Dataset, least: int) -> xr.DataArray:
    """Share of right answers (seed, examples) of the Bayes-optimal reader edited behind ``least`` examples and more."""
    own = result.reader_accuracy.sel(reader="bayes", drop=True)
    share: xr.DataArray = own.where(result.examples < least, result.turned_accuracy)
    return share
