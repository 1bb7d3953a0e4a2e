"""Claims about likely texts, with the controls that must break them."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from heldout.claims import Claim, Control, Evidence, across_seeds

HIT = 0.05  # nats: the model gave the token more than 95 % of its probability
LITTLE = 1.5  # nats a token that a known wording would be worth more than
NEARER = 0.1  # nats a token that a famous verse must be cheaper by


def _exchanged(*texts: str) -> Callable[[xr.Dataset], xr.Dataset]:
    """The record in which the first and the second reading of the named texts have changed places."""

    def change(result: xr.Dataset) -> xr.Dataset:
        other = {text: f"{text}, again" for text in texts} | {f"{text}, again": text for text in texts}
        order = [other.get(text, text) for text in result.text.values]
        return result.sel(text=order).assign_coords(text=result.text.values)

    return change


def _same_tokens_now_known(*texts: str) -> Callable[[xr.Dataset], Evidence]:
    """The manipulation check: the control scores the very same tokens, and the model now knows them (below half a nat)."""

    def check(result: xr.Dataset) -> Evidence:
        same = np.ones(result.sizes["seed"], dtype=bool)
        for text in texts:
            same &= (result.tokens.sel(text=text) == result.tokens.sel(text=f"{text}, again")).values
        worst = result.loss.sel(text=list(texts)).max("text")
        return across_seeds(worst.where(xr.DataArray(same, dims="seed")), below=0.5)

    return check


def _nearer(result: xr.Dataset) -> xr.DataArray:
    """How much more a token of another chapter costs than one of a famous verse."""
    gap: xr.DataArray = result.loss.sel(text="ordinary") - result.loss.sel(text="famous")
    return gap


def _worth(result: xr.Dataset) -> xr.DataArray:
    """How much more a token costs in the other translation, of those that do not stand in both."""
    gap: xr.DataArray = result.differing_loss.sel(text="famous, reworded") - result.differing_loss.sel(text="famous")
    return gap


_READ_BEFORE = Control(
    says="the same verses, read a second time right after the first",
    change=_exchanged("famous"),
    manipulation=_same_tokens_now_known("famous"),
)
_KNOWN_WORDING = Control(
    says="the King James verses, and after them either these once more or the other translation",
    change=_exchanged("famous", "famous, reworded"),
    manipulation=_same_tokens_now_known("famous"),
)
_BOTH_READ_BEFORE = Control(
    says="both read a second time, so that neither is better known",
    change=_exchanged("famous", "ordinary"),
    manipulation=_same_tokens_now_known("famous", "ordinary"),
)
_POST = "J. Hoogland, post on interpolation; measured by this book"

CLAIMS = (
    Claim(
        id="likely_texts.far_above_zero",
        says="On famous verses the mean loss is above 1.5 nats a token.",
        rows=("S0.4",),
        source=_POST,
        check=lambda result: across_seeds(result.loss.sel(text="famous"), above=1.5),
        control=_READ_BEFORE,
    ),
    Claim(
        id="likely_texts.few_tokens_hit",
        says="Fewer than one token in five of a famous verse has a loss below 0.05 nats.",
        rows=("S0.4",),
        source=_POST,
        check=lambda result: across_seeds(result.hit_share.sel(text="famous"), below=0.2),
        control=_READ_BEFORE,
    ),
    Claim(
        id="likely_texts.no_verse_reproduced",
        says="Fewer than one famous verse in ten is the model's first choice token by token.",
        rows=("S0.4",),
        source=_POST,
        paper_value="a model of 6 billion parameters memorizes at least 1 % of its training data (Carlini et al. 2023)",
        check=lambda result: across_seeds(result.reproduced_share.sel(text="famous"), below=0.1),
        control=_READ_BEFORE,
    ),
    Claim(
        id="likely_texts.famous_nearer",
        says="Famous verses are nearer to being hit: at least 0.1 nats a token below other chapters of the same books.",
        rows=("S0.4",),
        source="this book",
        check=lambda result: across_seeds(_nearer(result), above=NEARER),
        expected="in part",
        control=_BOTH_READ_BEFORE,
    ),
    Claim(
        id="likely_texts.wording_unknown",
        says=(
            "Where the two translations differ, the King James choice saves little: less than 1.5 nats a token against the other."
        ),
        rows=("S0.4",),
        source="this book",
        check=lambda result: across_seeds(_worth(result), below=LITTLE),
        expected_at_paper="in part",
        control=_KNOWN_WORDING,
    ),
)
