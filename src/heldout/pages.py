"""What a page may do with a record: show its figure, quote its numbers, and list its claims.

Numbers stand in prose as ``[[name:format]]`` and come from the experiment's ``numbers(result)``, so they read the same on the
site, in JupyterLab and in Colab, and cannot drift from the record.
"""

import os
import re
import weakref
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.axes import Axes

from heldout import store
from heldout.experiment import Experiment, short_name
from heldout.figures import style
from heldout.ledger import judge, markdown
from heldout.prose import Number, Prose, fill
from heldout.store import load_or_run

__all__ = ["Shown", "at_paper_scale", "claims_table", "cost", "load_or_run", "preview", "say", "show"]


class Shown:
    """A figure in a page: inline SVG with alt text and caption, and, where the page is no part of the site, a PNG for print."""

    def __init__(self, axes: Axes, caption: str, *, alt: str, small: bool = False) -> None:
        """Renders the figure of these axes, under the style in force, and closes it."""
        figure = axes.get_figure(root=True)
        assert figure is not None
        classes = "heldout heldout-preview" if small else "heldout"
        svg = style.to_svg(figure, alt=alt)
        self._forms: dict[str, Any] = {
            "text/html": f'<figure class="{classes}">{svg}<figcaption>{caption}</figcaption></figure>'
        }
        if os.environ.get("HELDOUT_SITE") != "1":
            self._forms["image/png"] = style.to_png(figure)
        plt.close(figure)

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return self._forms


def show(
    module: Experiment,
    result: xr.Dataset,
    caption: str,
    *,
    plot: Callable[..., Axes] | None = None,
    alt: str | None = None,
    **options: Any,
) -> Shown:
    """Draw a record with its experiment's ``plot`` (or another function of that module) under the house style.

    Raises:
        ValueError: the caption names a number that the experiment does not give.
    """
    words = fill(alt, _numbers(module, result)) if alt else module.describe(result)
    told = _inline(fill(caption, _numbers(module, result)))
    with style.house_style():
        return Shown((plot or module.plot)(result, **options), told, alt=words)


def preview(module: Experiment, result: xr.Dataset, *, title: str, page: str) -> Shown:
    """A small version of a figure that leads to its own page; ``page`` is relative to the page that shows it."""
    told = f'<a href="{escape(page, quote=True)}.html">{escape(title)}</a>'
    with style.house_style():
        return Shown(module.plot(result), told, alt=module.describe(result), small=True)


def say(module: Experiment, result: xr.Dataset | None, text: str) -> Prose:
    """Prose whose numbers come from the record; without a record, a sentence that says so.

    Raises:
        ValueError: the text names a number that the experiment does not give.
    """
    if result is None:
        return Prose(f"*No record of `{short_name(module)}` at this scale is in this copy; `heldout run` makes one.*")
    return Prose(fill(text, _numbers(module, result)))


_KEPT: dict[tuple[int, str], tuple[list[xr.Variable], Mapping[str, Number]]] = {}


def _numbers(module: Experiment, result: Any) -> Mapping[str, Number]:
    """The experiment's ``numbers``, computed once a record: a page quotes them in a dozen places.

    A record in which a variable was put in place of another one is computed anew.
    """
    if not isinstance(result, xr.Dataset):
        return module.numbers(result)
    # Held themselves and not by their ids, which another variable may take over.
    key, holds = (id(result), module.__name__), list(result.variables.values())
    if key not in _KEPT:
        weakref.finalize(result, _KEPT.pop, key, None)
    elif [*map(id, _KEPT[key][0])] == [*map(id, holds)]:
        return _KEPT[key][1]
    _KEPT[key] = holds, module.numbers(result)
    return _KEPT[key][1]


def _inline(text: str) -> str:
    """A caption's light markup: ``*emphasis*`` and ``code``."""
    text = escape(text, quote=False)
    text = re.sub(r"\*([^*]+)\*", r"<em>\1</em>", text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def claims_table(module: Experiment, result: xr.Dataset, *, controls: bool = True) -> Prose:
    """The experiment's claims judged on this record: sentence, ours, bound, verdict, and the control's verdict.

    The paper's value has a column where a claim has one.
    """
    rows = [judge(module, claim, result, controls=controls) for claim in module.CLAIMS]
    return Prose(f"{markdown(rows)}\n\n{cost(module, result)}")


def cost(module: Experiment, result: xr.Dataset) -> str:
    """One line: which experiment, on what, how long, how much memory."""
    attrs = result.attrs
    return (
        f"`heldout run {short_name(module)}` on {attrs['device']}, {int(attrs['threads'])} thread(s): "
        f"{float(attrs['seconds']):.1f} s, {float(attrs['peak_memory']) / 2**30:.2f} GiB resident at the peak."
    )


def at_paper_scale(module: Experiment) -> xr.Dataset | None:
    """The committed record of the PAPER preset, or None when it has not been run yet."""
    return store.load_record(module, module.PAPER)
