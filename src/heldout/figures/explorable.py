"""Explorables: one JavaScript module and one record, shown on the static site, in a live kernel, and in print.

Every number in ``data`` comes from a record. Arrays may be NumPy, xarray or lists; NaN and infinity become gaps
(null). On a log axis an exact zero runs down to the foot of the chart. Parts that recur, with ``?`` for optional:

* axis: ``{label, scale?: "linear" | "log", range?: [low, high], values?: increasing grid, symbol?: short name,
  format?}``;
* format, Python-like: ``","`` (integer), ``".2f"``, ``".3g"`` (default), ``".1e"``, ``".0%"``; templates hold
  ``{name}`` or ``{name:.2f}``;
* color: an index 0..6 into the palette, by default the position in the list; ``dash: True`` dashes a line.

**frames** ``{x: axis with values, y: axis, controls, series, sentence, lookups?, markers?}``

* ``controls``: ``[{name, label, values, initial?, unit?, format?}]``; numbers give a range, words a list.
* ``series``: ``[{name, values, by?: [control names], low?, high?, color?, dash?, points?: bool}]``; ``values``
  (and the band ``low``, ``high``) are nested over the controls in ``by``, in that order, then over x.
  The y range is that of all frames together unless ``y.range`` is given or ``y.free`` is true.
* ``lookups``: the numbers that sentence and marker labels may quote, ``{name: {series, stat, x? | control?,
  format?}}`` or ``{name: {values, by?, format?}}``; ``stat`` is ``min``, ``max``, ``argmin``, ``argmax`` (the x of
  it), ``first``, ``last`` or ``at`` (nearest to ``x``, or to the value of ``control``).
* ``markers``: ``[{label, axis?: "x" | "y", value | control | values with by}]``; with ``control`` it is a cursor.
* ``sentence``: a template over the controls and lookups; screen readers hear it at every change.

**predict** ``{x: axis with values, y: axis with range, anchors, truth: {name, values, low?, high?}, prompt,
known?: [{name, values, color?}], markers?: [{label, value}], start?, sentence?}``

* The reader draws y at the 3 to 10 ``anchors`` (places on x), from height ``start``; committing reveals ``truth``
  (over ``x.values``) and gives the mean absolute distance at the anchors, in log10 units if y is logarithmic.
* ``sentence`` replaces the verdict: ``{score}``, ``{factor}``, ``{symbol}``, ``{where}``, ``{drawn}``,
  ``{measured}``. Title, caption and prompt must not give the answer away; ``alt`` is shown after the commitment.

**choice** ``{question, options: [{label, feedback, correct?}], closing?, reveal?}``; ``reveal`` is the id of an
element with the ``hidden`` attribute.

**opening** ``{x: axis with values, y: axis, curves: [{name, values, training_loss, color?}], points: {x, y}, probe?, zero?,
sentence?}``; ``probe`` is the initial x, else the middle of the widest gap between points; a training loss below ``zero``
(1e-9) is shown as 0. ``sentence`` may use ``{losses}``, ``{symbol}``, ``{x}``, ``{shown}`` (how many), ``{spread}``.

**scrub** ``{x: axis with values, y: axis with range, capacity: axis with values (also name?, initial?, unit?),
error: axis, bases: [{name, fits, test_error, train_error?}], points: {x, y}, target?, markers?, basis_label?,
sentence?}``; ``fits`` has shape (capacity, x); ``markers`` (``[{label, value}]``) stand on the capacity axis.
``sentence`` may use ``{symbol}``, ``{capacity}``, ``{basis}``, ``{test_error}``, ``{train_error}``.

**gaussian_risk** ``{samples: {min, max, initial, step?}, features: {...}, noise: {...}, p?: initial,
spectrum?: "even" | "decaying", range?: y range}``: the risk of Belkin, Hsu and Xu (arXiv 1903.07571, Theorem 1),
computed in the browser for squared weights that sum to 1; ``noise`` is a standard deviation.

**tokens** ``{texts: [{name, tokens: [text], readings: [{name, loss, rank, best: [[text]], probability}]}], hit: nats,
label?}``; one ``loss`` and ``rank`` (0: first choice) a token, its first choices in ``best`` with their ``probability``;
every text has the same readings; a loss below ``hit`` is underlined.

**interpolants** ``{x: axis, y: axis with range, count: {min, max, initial}, extra: {min, max, initial}, nodes?: "even" |
"chebyshev", pole?}``: points to drag on [-1, 1] and four curves through them, computed in the browser: polynomial, natural
cubic and linear spline, and the minimum-norm fit in the first count + extra functions P_k / (k + 1); ``pole`` is the b of
the target 1 / (1 + (x / b)^2). Curves may leave ``y.range``, points may not.

**clock** ``{modulus, frequencies: [whole numbers], initial?: {a, b}}``: two hands that turn by 2 pi k a / P and 2 pi k b / P, and
the logits sum over k of cos(2 pi k (a + b - c) / P) of every answer c, computed in the browser.

**trainer** ``{modulus, hidden, weights, order, learning_rate, decay: {values, initial}, fraction: {values, initial}, steps}``: a
network of squares that learns sums in a worker of the browser. ``weights`` is the base64 text of float32 left, right, unembed,
each (modulus, hidden); ``order`` that of uint16 a * modulus + b, of which the first share is trained on.

**clusters** ``{counts: [number of clusters], labels: (count, token), tokens: [{before, token, source}], initial?: count}``:
tokens in their contexts, cluster by cluster.

**prompts** ``{prompts: [text], groups: [name], models: [name], rule: {says, kept, broken}, runs: [{name, groups: (prompt) index,
written: [one a model: {text: (prompt), chance: (prompt)(letter), kept: (prompt)}]}], initial?, label?}``: prompts to click, and
what every model writes after one, each letter with its probability.

Example::

    Explorable("frames", title="Test error against features", alt="A peak where p equals n.", data={
        "x": {"label": "features p", "scale": "log", "values": [10, 100, 1000], "symbol": "p", "format": ","},
        "y": {"label": "test error", "scale": "log"},
        "controls": [{"name": "n", "label": "Samples n", "values": [10, 100]}],
        "series": [{"name": "test error", "by": ["n"], "values": [[9.0, 1.0, 0.3], [0.4, 8.0, 0.2]]}],
        "lookups": {"peak": {"series": "test error", "stat": "max", "format": ".1f"}},
        "markers": [{"label": "p = n = {n}", "control": "n"}],
        "sentence": "With n = {n} the test error peaks at {peak}.",
    })
"""

import base64
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from html import escape
from importlib import resources
from typing import Any

import anywidget
import matplotlib.pyplot as plt
import traitlets
from matplotlib.figure import Figure

from heldout.figures.explorable_schema import CHECKS, Data, checked

MODULES = tuple(CHECKS)
_IMPORT = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"\./([\w-]+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|let|function|class) (\w+))", re.MULTILINE)


def _text(name: str) -> str:
    return (resources.files("heldout.figures") / name).read_text(encoding="utf-8")


def _inline(name: str, done: list[str]) -> str:
    text = _text(f"{name}.js")
    parts = []
    for names, helper in _IMPORT.findall(text):
        offered = set(_EXPORT.findall(_text(f"{helper}.js")))
        missing = {each.strip() for each in names.split(",") if each.strip()} - offered
        if missing:
            raise ValueError(f"{name}.js imports {sorted(missing)!r} from {helper}.js; allowed: {sorted(offered)!r}")
        if helper not in done:
            done.append(helper)
            parts.append(_EXPORT.sub("", _inline(helper, done)))
    return "\n".join([*parts, _IMPORT.sub("", text)])


def bundle(module: str) -> str:
    """Return the text of one JavaScript module with its helpers inlined, so that it imports nothing.

    Raises:
        ValueError: if the module is unknown or imports a name its helper does not export.
    """
    if module not in MODULES:
        raise ValueError(f"module is {module!r}; allowed: {MODULES!r}")
    return _inline(module, [])


def _script(value: object) -> str:
    """Return JSON that is safe inside a script element."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


class ExplorableWidget(anywidget.AnyWidget):
    """The live form: the reader sets `controls`, Python recomputes `data` and then counts up `revision`."""

    _esm = traitlets.Unicode("").tag(sync=True)
    _css = traitlets.Unicode("").tag(sync=True)
    data = traitlets.Dict().tag(sync=True)
    controls = traitlets.Dict().tag(sync=True)
    title = traitlets.Unicode("").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    caption = traitlets.Unicode("").tag(sync=True)
    live = traitlets.Bool(False).tag(sync=True)
    revision = traitlets.Int(0).tag(sync=True)
    error = traitlets.Unicode("").tag(sync=True)


class Explorable:
    """An interactive figure from one module and one record; display it as the last value of a cell.

    Args:
        module: one of `MODULES`.
        data: the module's data (schemas above).
        title: visible heading and accessible name.
        alt: what a sighted reader would conclude, in one or two sentences; read to screen readers and shown on
            pages without JavaScript.
        caption: plain text below the figure.
        fallback: draws the Matplotlib figure that stands in for this one in print; called for the static site
            (environment variable ``HELDOUT_SITE=1``) only.
        recompute: in a live kernel, maps the values of the controls, by name, to new data of the same schema;
            a series of the new data may leave out `by`, since it is already the selected one.

    Raises:
        ValueError: if `title` or `alt` is empty or the data do not fit the module's schema.
    """

    def __init__(
        self,
        module: str,
        *,
        data: Mapping[str, Any],
        title: str,
        alt: str,
        caption: str = "",
        fallback: Callable[[], Figure] | None = None,
        recompute: Callable[[Data], Mapping[str, Any]] | None = None,
    ) -> None:
        for name, value in (("title", title), ("alt", alt)):
            if not value.strip():
                raise ValueError(f"{name} is {value!r}; it must say something")
        self.module, self.title, self.alt, self.caption = module, title, alt, caption
        self.data = checked(module, data)
        self._fallback, self._recompute = fallback, recompute

    def html(self) -> str:
        """Return the figure as one self-contained HTML element that needs no kernel and no network."""
        state: Data = {"data": self.data, "title": self.title, "alt": self.alt, "caption": self.caption}
        state |= {"controls": {}, "live": False}
        payload = _script(state)
        identity = hashlib.sha256(f"{self.module}{payload}".encode()).hexdigest()[:12]
        program = _text("boot.js").replace("__ID__", identity).replace("__ESM__", _script(bundle(self.module)))
        plain = "".join(f"<p>{escape(part)}</p>" for part in (self.title, self.alt, self.caption) if part)
        return (
            f'<figure class="heldout-explorable tex2jax_ignore mathjax_ignore" data-heldout="{identity}" '
            f'aria-label="{escape(self.title)}"><style>{_text("explorable.css")}</style>'
            f'<div class="hx-root"><noscript>{plain}</noscript></div>'
            f'<script type="application/json">{payload}</script><script type="module">{program}</script></figure>'
        )

    @cached_property
    def widget(self) -> ExplorableWidget:
        """The live widget; created on first use, because a page that holds a widget loads its manager."""
        # The page reads the program once, as the widget opens, so it goes in with the first message.
        widget = ExplorableWidget(
            _esm=bundle(self.module),
            _css=_text("explorable.css"),
            data=self.data,
            title=self.title,
            alt=self.alt,
            caption=self.caption,
            live=self._recompute is not None,
        )
        if self._recompute is not None:
            widget.observe(self._update, names="controls")
        return widget

    def _update(self, change: Mapping[str, Any]) -> None:
        if self._recompute is None:
            return
        try:
            self.widget.data = checked(self.module, self._recompute(dict(change["new"])))
            self.widget.error = ""
        except Exception as problem:
            self.widget.error = f"The recomputation failed: {problem}"
            raise
        finally:
            # The page waits for this number, since equal data would send no message.
            self.widget.revision += 1

    def _repr_mimebundle_(self, **options: Any) -> Any:
        if os.environ.get("HELDOUT_SITE") != "1":
            return self.widget._repr_mimebundle_(**options)
        forms = {"text/html": self.html(), "text/plain": f"{self.title}. {self.alt}"}
        if self._fallback is not None:
            figure, picture = self._fallback(), io.BytesIO()
            figure.savefig(picture, format="png", dpi=150, facecolor="white", metadata={"Software": None})
            plt.close(figure)
            forms["image/png"] = base64.b64encode(picture.getvalue()).decode("ascii")
        return forms
