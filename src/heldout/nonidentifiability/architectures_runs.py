"""How one family is trained on one language, and what is scored on it where it is caught."""

import numpy as np
import xarray as xr
from torch import nn

from heldout import devices
from heldout.decoders import Transformers, write
from heldout.nonidentifiability.letter_runs import KINDS, Language
from heldout.nonidentifiability.level_training import Caught, Steady, follow
from heldout.nonidentifiability.sequence_families import Linears, LSTMs, StateSpaces

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # quantiles of the decays
MEASURES = {
    "r1": "ended with equally many of all letters",
    "finished": "ended within the context",
    "at_once": "ended at once",
    "in_order": "ended with the completion in order",
}


def trained(
    models: nn.Module,
    language: Language,
    schedule: Steady,
    levels: tuple[float, ...],
    stops: tuple[int, ...],
    seeds: list[int],
) -> xr.Dataset:
    """Train one family on one language; what is scored at every level and after every stop."""
    read, wanted = language.data()
    data = (read.expand(len(seeds), -1, -1), wanted.expand(len(seeds), -1, -1))
    at_levels, at_stops = follow(models, data, schedule, levels, stops)
    scored = [scores(language, caught) for caught in at_levels + at_stops]
    found = {name: np.stack([one[name] for one in scored], 1) for name in scored[0]}
    first, cells = len(at_levels), ("seed", "level", "kind")
    decay = np.stack([decays(caught) for caught in at_levels], 1)
    return xr.Dataset(
        {name: (cells[: found[name].ndim], found[name][:, :first]) for name in (*MEASURES, "divergence", "updates")}
        | {
            "r1_stop": (("seed", "stop", "kind"), found["r1"][:, first:]),
            "divergence_stop": (("seed", "stop"), found["divergence"][:, first:]),
            "decay": (("seed", "level", "share"), decay),
        },
        {"seed": seeds, "level": list(levels), "stop": list(stops), "kind": list(KINDS), "share": list(SHARES)},
    )


def start(
    language: Language,
    family: str,
    seeds: list[int],
    *,
    width: int,
    layers: int,
    heads: int,
    hidden: int,
    decays: tuple[float, float],
) -> nn.Module:
    """All seeds of a family, each with weights of its own."""
    generators = [devices.generator("weights", family, language.letters, seed) for seed in seeds]
    vocabulary, outputs, context = language.letters + 2, language.letters + 1, language.context
    if family == "transformer":
        return Transformers(
            generators, vocabulary=vocabulary, outputs=outputs, context=context, width=width, layers=layers, heads=heads,
            hidden=hidden,
        )  # fmt: skip
    if family == "LSTM":
        return LSTMs(generators, vocabulary=vocabulary, outputs=outputs, context=context, width=width, layers=layers)
    if family == "state space":
        return StateSpaces(
            generators, vocabulary=vocabulary, outputs=outputs, context=context, width=width, layers=layers, slowest=decays[0],
            fastest=decays[1],
        )  # fmt: skip
    return Linears(generators, vocabulary=vocabulary, outputs=outputs, context=context)


def decays(caught: Caught) -> np.ndarray:
    """Quantiles of the decays of a first layer's states, in nats a letter (member, share); NaN where there are none."""
    if not isinstance(caught.models, StateSpaces):
        return np.full((len(caught.updates), len(SHARES)), np.nan)
    found = caught.models.get_parameter("rate0").detach().exp().cpu().numpy()
    missing = np.where(caught.updates < 0, np.nan, 1.0)
    return np.asarray(np.quantile(found, SHARES, axis=1).T * missing[:, None])


def scores(language: Language, caught: Caught) -> dict[str, np.ndarray]:
    """Shares of the prompts of each kind (member, kind), NaN for members that were not caught and kinds without prompts."""
    tokens, _ = write(caught.models, language.start(), end=language.end)
    kept = {
        "r1": language.equal_counts(tokens), "finished": language.finished(tokens), "at_once": language.at_once(tokens),
        "in_order": language.in_order(tokens),
    }  # fmt: skip
    kinds = language.kinds()
    size = np.where(kinds.any(1), kinds.sum(1), np.nan)
    there = np.where(caught.updates < 0, np.nan, 1.0)[:, None]
    shares = {name: there * (value.astype(float) @ kinds.T.astype(float)) / size for name, value in kept.items()}
    return shares | {"divergence": caught.divergence, "updates": caught.updates}
