"""Checks of the data an explorable draws, one a module; the schemas are documented in :mod:`heldout.figures.explorable`."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from heldout.figures.explorable_parts import Data, encode
from heldout.figures.explorable_parts import axis as _axis
from heldout.figures.explorable_parts import controls as _controls
from heldout.figures.explorable_parts import items as _items
from heldout.figures.explorable_parts import need as _need
from heldout.figures.explorable_parts import nested as _nested
from heldout.figures.explorable_parts import placeholders as _placeholders
from heldout.figures.explorable_parts import points as _points
from heldout.figures.explorable_parts import shape as _shape

__all__ = ["CHECKS", "Data", "checked", "encode"]

SENTENCES = {
    "predict": ("score", "factor", "symbol", "where", "drawn", "measured"),
    "opening": ("losses", "symbol", "x", "shown", "spread"),
    "scrub": ("symbol", "capacity", "basis", "test_error", "train_error"),
}
STATISTICS = ("min", "max", "argmin", "argmax", "first", "last", "at")


def _lookup(name: str, part: object, sizes: dict[str, int], series: list[str]) -> None:
    where = f"lookups.{name}"
    lookup = _need(where, part)
    if "values" in lookup:
        shape = _shape(where, lookup, sizes)
        if shape:
            _nested(f"{where}.values", lookup["values"], shape)
        return
    _need(where, lookup, "series", "stat")
    if lookup["series"] not in series:
        raise ValueError(f"{where}.series is {lookup['series']!r}; allowed: {series!r}")
    if lookup["stat"] not in STATISTICS:
        raise ValueError(f"{where}.stat is {lookup['stat']!r}; allowed: {STATISTICS!r}")
    if lookup["stat"] == "at" and not ("x" in lookup or lookup.get("control") in sizes):
        raise ValueError(f"{where} with stat 'at' needs 'x' or a 'control' out of {sorted(sizes)!r}")


def _check_frames(data: Data) -> None:
    _need("data", data, "x", "y", "controls", "series", "sentence")
    grid = _axis("x", data["x"], values=True)["values"]
    _axis("y", data["y"])
    sizes = _controls(data)
    names = []
    for part in _items("series", data["series"]):
        series = _need("series[]", part, "name", "values")
        names.append(series["name"])
        shape = [*_shape(f"series {series['name']!r}", series, sizes), len(grid)]
        for key in ("values", "low", "high"):
            if key in series:
                _nested(f"series {series['name']!r} {key}", series[key], shape)
    for name, lookup in data.get("lookups", {}).items():
        _lookup(name, lookup, sizes, names)
    known = [*sizes, *data.get("lookups", {})]
    _placeholders("sentence", data["sentence"], known)
    for marker in data.get("markers", []):
        _placeholders("marker label", _need("markers[]", marker, "label")["label"], known)
        if "values" in marker:
            _nested("marker values", marker["values"], _shape("marker", marker, sizes))
        elif "value" not in marker and marker.get("control") not in sizes:
            raise ValueError(
                f"marker {marker['label']!r} needs 'value', 'values' with 'by', or a 'control' out of {sorted(sizes)!r}"
            )


def _check_predict(data: Data) -> None:
    _need("data", data, "x", "y", "anchors", "truth", "prompt")
    x = _axis("x", data["x"], values=True)
    _axis("y", data["y"], span=True)
    anchors = _axis("anchors", {"label": "anchors", "scale": x.get("scale", "linear"), "values": data["anchors"]})[
        "values"
    ]
    if not 3 <= len(anchors) <= 10 or anchors[0] < x["values"][0] or anchors[-1] > x["values"][-1]:
        raise ValueError(f"anchors is {anchors!r}; it must hold 3 to 10 places within x.values")
    _need("truth", data["truth"], "name", "values")
    for where, curve in [("truth", data["truth"]), *(("known[]", part) for part in data.get("known", []))]:
        for key in ("values", "low", "high"):
            if key in _need(where, curve, "name", "values"):
                _nested(f"{where}.{key}", curve[key], (len(x["values"]),))


def _check_choice(data: Data) -> None:
    _need("data", data, "question", "options")
    right = [
        _need("options[]", part, "label", "feedback").get("correct", False)
        for part in _items("options", data["options"])
    ]
    if not any(right) or len(right) < 2:
        raise ValueError(f"options.correct is {right!r}; there must be at least two options and one of them true")


def _check_opening(data: Data) -> None:
    _need("data", data, "x", "y", "curves", "points")
    grid = _axis("x", data["x"], values=True)["values"]
    _axis("y", data["y"])
    for part in _items("curves", data["curves"]):
        curve = _need("curves[]", part, "name", "values", "training_loss")
        _nested(f"curve {curve['name']!r}", curve["values"], (len(grid),))
        _nested(f"curve {curve['name']!r} training_loss", curve["training_loss"], ())
    _points("points", data["points"])


def _check_scrub(data: Data) -> None:
    _need("data", data, "x", "y", "capacity", "error", "bases", "points")
    grid = _axis("x", data["x"], values=True)["values"]
    _axis("y", data["y"], span=True)
    _axis("error", data["error"])
    sizes = _axis("capacity", data["capacity"], values=True)["values"]
    for part in _items("bases", data["bases"]):
        basis = _need("bases[]", part, "name", "fits", "test_error")
        _nested(f"basis {basis['name']!r} fits", basis["fits"], (len(sizes), len(grid)))
        for key in ("test_error", "train_error"):
            if key in basis:
                _nested(f"basis {basis['name']!r} {key}", basis[key], (len(sizes),))
    if data["capacity"].get("initial", sizes[0]) not in sizes:
        raise ValueError(f"capacity.initial is {data['capacity']['initial']!r}; allowed: {sizes!r}")
    if "target" in data:
        _nested("target", data["target"], (len(grid),))
    _points("points", data["points"])


def _check_gaussian_risk(data: Data) -> None:
    for name in ("samples", "features", "noise"):
        part = _need(name, _need("data", data, name)[name], "min", "max", "initial")
        if not part["min"] <= part["initial"] <= part["max"]:
            raise ValueError(f"{name}.initial is {part['initial']!r}; allowed: {part['min']!r} to {part['max']!r}")
    if data.get("spectrum", "even") not in ("even", "decaying"):
        raise ValueError(f"spectrum is {data['spectrum']!r}; allowed: 'even', 'decaying'")


def _check_interpolants(data: Data) -> None:
    _need("data", data, "x", "y", "count", "extra")
    _axis("x", data["x"])
    _axis("y", data["y"], span=True)
    for name, least, most in (("count", 3, 15), ("extra", 0, 100)):
        part = _need(name, data[name], "min", "max", "initial")
        if not least <= part["min"] <= part["initial"] <= part["max"] <= most:
            raise ValueError(f"{name} is {part!r}; it must keep {least} <= min <= initial <= max <= {most}")
    if data.get("nodes", "even") not in ("even", "chebyshev"):
        raise ValueError(f"nodes is {data['nodes']!r}; allowed: 'even', 'chebyshev'")
    if not data.get("pole", 1) > 0:
        raise ValueError(f"pole is {data['pole']!r}; it must be above 0")


def _check_clock(data: Data) -> None:
    modulus = _need("data", data, "modulus", "frequencies")["modulus"]
    if not isinstance(modulus, int) or modulus < 3 or modulus % 2 == 0:
        raise ValueError(f"modulus is {modulus!r}; it must be an odd number of at least 3")
    keys, most = _items("frequencies", data["frequencies"]), (modulus - 1) // 2
    if len(set(keys)) != len(keys) or not set(keys) <= set(range(1, most + 1)):
        raise ValueError(f"frequencies is {keys!r}; they must be different whole numbers from 1 to {most}")
    start = data.get("initial", {})
    if not set(start) <= {"a", "b"} or any(not 0 <= value < modulus for value in start.values()):
        raise ValueError(f"initial is {start!r}; allowed: a and b from 0 to {modulus - 1}")


def _check_tokens(data: Data) -> None:
    _need("data", data, "texts", "hit")
    if not isinstance(data["hit"], int | float) or data["hit"] <= 0:
        raise ValueError(f"hit is {data['hit']!r}; it must be above 0")
    names = None
    for part in _items("texts", data["texts"]):
        text = _need("texts[]", part, "name", "tokens", "readings")
        count = len(_items(f"tokens of {text['name']!r}", text["tokens"]))
        for each in _items(f"readings of {text['name']!r}", text["readings"]):
            reading = _need("readings[]", each, "name", "loss", "rank", "best", "probability")
            where = f"{text['name']!r}, {reading['name']!r}"
            for key in ("loss", "rank"):
                _nested(f"{key} of {where}", reading[key], (count,))
            shape = (count, len(_items(f"best of {where}", reading["best"])[0]))
            _nested(f"probability of {where}", reading["probability"], shape)
            if [len(row) for row in reading["best"]] != [shape[1]] * count:
                raise ValueError(f"best of {where} must hold {shape[1]} texts for each of {count} tokens")
        found = [each["name"] for each in text["readings"]]
        if names not in (None, found):
            raise ValueError(f"readings of {text['name']!r} are {found!r}; they must be {names!r} as in the first text")
        names = found


def _check_clusters(data: Data) -> None:
    _need("data", data, "counts", "labels", "tokens")
    counts, tokens = _items("counts", data["counts"]), _items("tokens", data["tokens"])
    for part in tokens:
        _need("tokens[]", part, "before", "token", "source")
    _nested("labels", data["labels"], (len(counts), len(tokens)))
    if data.get("initial", counts[0]) not in counts:
        raise ValueError(f"initial is {data['initial']!r}; allowed: {counts!r}")


def _check_trainer(data: Data) -> None:
    _need("data", data, "modulus", "hidden", "weights", "order", "learning_rate", "decay", "fraction", "steps")
    for name, entries in (("weights", 12 * data["modulus"] * data["hidden"]), ("order", 2 * data["modulus"] ** 2)):
        if len(base64.b64decode(data[name])) != entries:
            raise ValueError(f"{name} holds {len(base64.b64decode(data[name]))} bytes; it must hold {entries}")
    _controls({"controls": [{"name": name, "label": "", **data[name]} for name in ("decay", "fraction")]})


def _check_prompts(data: Data) -> None:
    _need("data", data, "prompts", "groups", "models", "rule", "runs")
    _need("rule", data["rule"], "says", "kept", "broken")
    prompts, models = _items("prompts", data["prompts"]), _items("models", data["models"])
    if data.get("initial", prompts[0]) not in prompts:
        raise ValueError(f"initial is {data['initial']!r}; it must be one of the {len(prompts)} prompts")
    for part in _items("runs", data["runs"]):
        run = _need("runs[]", part, "name", "groups", "written")
        _nested(f"groups of {run['name']!r}", run["groups"], (len(prompts),))
        if len(run["written"]) != len(models):
            raise ValueError(f"written of {run['name']!r} must have length {len(models)}, one a model")
        for name, each in zip(models, run["written"], strict=True):
            written, where = _need("written[]", each, "text", "chance", "kept"), f"{name!r} in {run['name']!r}"
            _nested(f"kept of {where}", written["kept"], (len(prompts),))
            if [len(row) for row in written["chance"]] != [len(text) for text in written["text"]]:
                raise ValueError(f"chance of {where} must hold one number for each letter of text")


CHECKS: dict[str, Callable[[Data], None]] = {
    "frames": _check_frames,
    "predict": _check_predict,
    "choice": _check_choice,
    "opening": _check_opening,
    "scrub": _check_scrub,
    "gaussian_risk": _check_gaussian_risk,
    "interpolants": _check_interpolants,
    "clock": _check_clock,
    "tokens": _check_tokens,
    "trainer": _check_trainer,
    "clusters": _check_clusters,
    "prompts": _check_prompts,
}


def checked(module: str, data: Mapping[str, Any]) -> Data:
    """Return ``data`` encoded for JSON, after checking it against the schema of ``module``.

    Raises:
        ValueError: if the module is unknown, a key is missing, or lengths, scales, names or placeholders do not fit.
    """
    if module not in CHECKS:
        raise ValueError(f"module is {module!r}; allowed: {sorted(CHECKS)!r}")
    encoded: Data = encode(data)
    CHECKS[module](encoded)
    if module in SENTENCES and "sentence" in encoded:
        _placeholders("sentence", encoded["sentence"], SENTENCES[module])
    return encoded
