"""One style for every figure: a color-blind-safe palette that follows the page's light or dark theme.

Matplotlib draws with fixed colors; :func:`to_svg` then replaces each of them by a CSS variable with the drawn color as its
fallback, so one figure is legible on both themes and in notebooks that define no variables. Palette: Okabe and Ito.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, GOLD = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#8a7a00",
)
COLORS = (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, GOLD)
INK, MUTED, GRID = "#1a1a1b", "#66666b", "#d8d8db"

VARIABLES = {INK: "--heldout-ink, currentColor", MUTED: f"--heldout-muted, {MUTED}", GRID: "--heldout-grid, #8884"} | {
    color: f"--heldout-c{index}, {color}" for index, color in enumerate(COLORS)
}

STYLE: dict[str, object] = {
    "figure.figsize": (5.6, 3.5),
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=COLORS),
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "font.size": 10.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "heldout",
    "figure.constrained_layout.use": True,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with the book's style inside the block; the caller's own settings come back after it."""
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]  # rc_context's stub wants a literal type of keys
        yield


def axes(ax: Axes | None = None) -> Axes:
    """The axes given, or new ones of the house size."""
    return ax if ax is not None else plt.figure().add_subplot()


def band(
    ax: Axes,
    x: Float[np.ndarray, " x"],
    values: Float[np.ndarray, "seed x"],
    *,
    color: str,
    label: str | None = None,
    interval: tuple[float, float] = (0.1, 0.9),
    **line: object,
) -> None:
    """Median over seeds as a line and a quantile band (by default the central 80 % of seeds) around it."""
    low, middle, high = np.nanquantile(values, [interval[0], 0.5, interval[1]], axis=0)
    ax.plot(x, middle, color=color, label=label, **line)  # type: ignore[arg-type]  # forwarded keyword arguments
    ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)


def mark_threshold(ax: Axes, x: float, label: str) -> None:
    """A vertical line at an interpolation threshold, named at its top."""
    ax.axvline(x, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.annotate(
        label,
        (x, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4, -2),
        textcoords="offset points",
        va="top",
        color=MUTED,
    )


def label_end(ax: Axes, x: float, y: float, text: str, *, color: str) -> None:
    """Name a line at its right-hand end, in its own color, instead of a legend."""
    ax.annotate(
        text, (x, y), xytext=(5, 0), textcoords="offset points", va="center", color=color, annotation_clip=False
    )


def to_svg(figure: Figure, *, alt: str) -> str:
    """The figure as an inline ``<svg role="img">`` that is named by ``alt`` and follows the page's theme.

    Raises:
        ValueError: ``alt`` is empty.
    """
    if not alt.strip():
        raise ValueError("alt='': must say what a sighted reader would conclude")
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Matplotlib's style element addresses every element of the page once the SVG is inline.
    svg = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'width="([\d.]+)pt" height="([\d.]+)pt"', "", svg, count=1)
    opening = (
        f'<svg role="img" aria-label="{escape(alt, quote=True)}" style="stroke-linejoin:round;stroke-linecap:butt"'
    )
    svg = svg.replace("<svg", opening, 1)
    for color, variable in VARIABLES.items():
        svg = re.sub(rf"{color}(?![0-9a-f])", f"var({variable})", svg, flags=re.IGNORECASE)
    return svg


def to_png(figure: Figure, *, dpi: int = 150) -> bytes:
    """The figure on white, for PDF and for readers without SVG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()
