"""Numbers, lists and a table that the page on clusters of gradients quotes from a record."""

import numpy as np
import xarray as xr
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

from heldout.quanta import gradient_cluster_checks as checks


def split_numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """How many targets are split, and how many by context, by gradients and by shuffled gradients."""
    counts = range(result.sizes["count"])
    names = ["the line break" if name == "\n" else f"`{name}`" for name in checks.context_splits(result)]
    return {
        "split_targets": len(checks.splits(result)),
        "context_splits": len(names),
        "splits": listed(names),
        "splits_by_count": listed([str(len(checks.context_splits(result, count=i))) for i in counts]),
        "shuffled_splits": len(checks.splits(result, "shuffled")),
        "shuffled_context_splits": sum(len(checks.context_splits(result, "shuffled", i)) for i in counts),
        "activations_context_splits": len(checks.context_splits(result, "activations")),
    }


def largest(result: xr.Dataset) -> dict[str, float | int | str]:
    """Size of the largest cluster of the first clustering, and how many of its tokens go on with a word, beside the others."""
    labels = result.labels.sel(kind="gradients").isel(count=checks.MIDDLE, seed=0).values
    mine = labels == np.bincount(labels).argmax()
    pairs = zip(result.before.values, result.target.values, strict=True)
    inside = np.array([str(before)[-1:].isalpha() and str(target)[:1].isalpha() for before, target in pairs])
    return {
        "largest": int(mine.sum()),
        "inside": float(inside[mine].mean()),
        "inside_rest": float(inside[~mine].mean()),
    }


def led_by_target(result: xr.Dataset, kind: str) -> str:
    """The numbers of clusters at which these agree with the target more than with the kind of text, in words."""
    lead = (checks.agreement(result, kind, "target") - checks.agreement(result, kind, "source")).median(
        "seed"
    ).values > 0
    return (
        listed([str(int(count)) for count, leads in zip(result["count"].values, lead, strict=True) if leads]) or "none"
    )


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def table(result: xr.Dataset) -> str:
    """Every kind's agreement with every label at every number of clusters: adjusted, and in brackets plain."""
    rows = [
        "| clusters | " + " | ".join(checks.LABELS.values()) + " |",
        "|---" + "|---:" * len(checks.LABELS) + "|",
    ]
    for kind in checks.KINDS[:3]:
        found = [
            [
                checks.agreement(result, kind, measure, score).median("seed").values
                for score in (adjusted_mutual_info_score, normalized_mutual_info_score)
            ]
            for measure in checks.LABELS
        ]
        for i, count in enumerate(result["count"].values):
            cells = " | ".join(
                f"{adjusted[i].round(2) + 0.0:.2f} ({without[i]:.2f})".replace("-", "\N{MINUS SIGN}")
                for adjusted, without in found
            )
            rows.append(f"| {count} of {kind} | {cells} |")
    return "\n".join(rows)
