"""Explorables of the page on two languages, and its matrices of verbs against what is done with them."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout.connecting_dots import two_languages_world as world
from heldout.connecting_dots.two_languages_checks import NOTHING
from heldout.connecting_dots.two_languages_training import EXCHANGED
from heldout.figures import style

GUESSES = (
    "At chance. Nobody has ever done a sum in B, and no story says what a number becomes.",
    "With the wrong operation: each of B's verbs as the stories had it, not as the dictionary has it.",
    "Right. The sums were learned in A, and the meaning of a verb is settled by then.",
)


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader says how sums in B are answered after stories whose verbs were exchanged."""
    own = result.sel(condition=EXCHANGED)
    shares = [float(own.kept.median()), float(own.exchanged.median())]
    measured = (
        f"In the median seed {shares[1]:.0%} of the answers are the exchanged operation's, "
        f"and {shares[0]:.0%} the true one's."
    )
    winner = 1 if shares[1] > 0.5 else 2 if shares[0] > 0.5 else 0
    return {
        "title": "Before you read on",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A decoder has learned sums and stories in a language A. Then it reads stories, and no sums, in a "
            "language B. In these stories the verbs are exchanged: for gains two they have, say, B's verb for loses one, and so "
            "on for all six operations. How does it answer sums in B?",
            "options": [
                {"label": label, "feedback": measured} | ({"correct": True} if number == winner else {})
                for number, label in enumerate(GUESSES)
            ],
        },
    }


def verbs(result: xr.Dataset) -> dict[str, Any]:
    """Every verb of B: what it means, and what the decoder does when it meets it in a sum, by condition and seed."""
    order = np.argsort(world.CHANGES)
    own = result.favorite.transpose("condition", "seed", "operation", "synonym").values[:, :, order]
    step = 0.7 / world.SYNONYMS
    places = (np.arange(world.SYNONYMS) - (world.SYNONYMS - 1) / 2) * step
    x = (np.sort(world.CHANGES)[:, None] + places).ravel()
    between = (x[:-1] + x[1:]) / 2  # a gap between two verbs, so that no line joins them
    spread = np.full((*own.shape[:2], 2 * len(x) - 1), np.nan)
    spread[..., ::2] = own.reshape(*own.shape[:2], -1)
    grid = np.empty(2 * len(x) - 1)
    grid[::2], grid[1::2] = x, between
    by = ["stories", "seed"]
    quoted = {"right": "number", "direction": "direction", "size": "size", "exchanged": "exchanged"}
    return {
        "title": "What each verb of B does",
        "alt": "Each point is a verb of B. With shared words the points lie on the line: verbs do in sums what they mean in "
        "stories. With verbs exchanged they lie off it, four together. With nothing shared they keep to their side of zero and "
        "their size varies by seed.",
        "data": {
            "x": {
                "label": "change that B's verb means, four verbs each", "values": grid, "format": "+.0f",
                "ticks": np.sort(world.CHANGES),
            },
            "y": {"label": "change that the decoder applies", "range": [-3.6, 3.6], "format": "+.0f"},
            "controls": [
                {"name": "stories", "label": "B's stories", "values": result.condition.values.tolist(), "initial": EXCHANGED},
                {"name": "seed", "label": "Seed", "values": [str(int(seed)) for seed in result.seed.values]},
            ],
            "series": [
                {"name": "as it means", "values": grid, "color": 6, "dash": True},
                {"name": "applies", "by": by, "values": spread, "points": True, "color": 1},
            ],
            "lookups": {
                name: {
                    "values": result[variable].transpose("condition", "seed").values.tolist(), "by": by, "format": ".0%",
                }
                for name, variable in quoted.items()
            },
            "sentence": "B's stories: {stories}; seed {seed}. Of the sums in B {right} have the right number, {direction} the "
            "right direction, {size} the right size; {exchanged} are answered with the exchanged operation.",
        },
    }  # fmt: skip


SHOWN = ("quarter shared", EXCHANGED, NOTHING)


def typical(result: xr.Dataset) -> int:
    """The place of the seed whose share of right sizes with nothing shared is nearest the median."""
    if NOTHING not in result.condition.values:
        return 0
    sizes = result["size"].sel(condition=NOTHING).values
    return int(np.abs(sizes - np.median(sizes)).argmin())


def matrices(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """For a typical seed, what was done of what each verb means: one square a condition, a row a meaning."""
    ax = style.axes(ax)
    order = np.argsort(world.CHANGES)
    count = len(order)
    names = [name for name in SHOWN if name in result.condition.values]
    drawn = result.applied.isel(seed=typical(result)).transpose("condition", "operation", "given")
    for number, name in enumerate(names):
        left = number * (count + 1)
        square = drawn.sel(condition=name).values[order][:, order]
        ax.imshow(
            square,
            extent=(left - 0.5, left + count - 0.5, count - 0.5, -0.5),
            cmap="Blues",
            vmin=0,
            vmax=1,
            aspect="auto",
        )
        ax.plot([left - 0.5, left + count - 0.5], [-0.5, count - 0.5], ":", lw=0.8, color=style.MUTED)
        ax.text(left + (count - 1) / 2, -0.8, name, ha="center", va="bottom", fontsize=9)
    signed = [f"{change:+d}" for change in np.sort(world.CHANGES)]
    places = [number * (count + 1) + k for number in range(len(names)) for k in range(count)]
    ax.set_xticks(places, signed * len(names), fontsize=8)
    ax.set_yticks(range(count), signed, fontsize=8)
    ax.set(xlabel="change that the decoder applies", ylabel="change that B's verb means")
    ax.set_xlim(-0.5, len(names) * (count + 1) - 1.5)
    ax.set_ylim(count - 0.5, -1.3)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.grid(visible=False)
    return ax


def in_words(result: xr.Dataset) -> str:
    """The matrices in words."""
    own = result.isel(seed=typical(result))
    parts = [
        f"{name}: {float(own.number.sel(condition=name)):.0%} of the answers on the diagonal, and in the mean row "
        f"{float(own.applied.sel(condition=name).max('given').mean()):.0%} in its darkest place"
        for name in SHOWN
        if name in result.condition.values
    ]
    return f"Squares of six by six, what a verb means against what is done. {'; '.join(parts)}."
