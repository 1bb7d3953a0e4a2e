"""Networks of every width trained on the same pictures, once for each share of wrong labels: data, training and errors.

Shared by the experiments on trained networks. Axes: seed, noise (share of wrong labels), width, epoch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor, nn

from heldout.data import Samples
from heldout.data.digit_task import replace_labels
from heldout.ensemble import Snapshot, TrainingData, train
from heldout.experiment import require, variable
from heldout.losses import stable_cross_entropy

DIMS = ("seed", "noise", "width", "epoch")


def require_sweep(config: Any) -> None:
    """What such an experiment asks of its Config.

    Raises:
        ValueError: too few samples, widths or shares, or one out of range.
    """
    require(config.num_train >= 50, "num_train", config.num_train, "at least 50")
    require(config.num_validation >= 50, "num_validation", config.num_validation, "at least 50")
    require(len(config.widths) >= 3, "widths", config.widths, "at least three widths")
    require(config.widths == tuple(sorted(set(config.widths))), "widths", config.widths, "strictly increasing")
    require(config.widths[0] >= 1, "widths", config.widths, "at least 1")
    require(
        len(config.noises) > 1 and config.noises[0] == 0, "noises", config.noises, "at least two shares, the first 0"
    )
    require(all(0 <= share < 0.9 for share in config.noises), "noises", config.noises, "shares from 0 to below 0.9")
    require(config.learning_rate > 0, "learning_rate", config.learning_rate, "above 0")
    require(1 <= config.batch_size <= config.num_train, "batch_size", config.batch_size, f"1 to {config.num_train}")
    require(config.num_seeds >= 1, "num_seeds", config.num_seeds, "at least 1")


def prepared(
    every: Samples, noises: Sequence[float], num_train: int, used: int, *coordinates: int | float | str
) -> tuple[Float[Tensor, "picture pixel"], Int[Tensor, "noise picture"]]:
    """Pixels, and labels for each share of wrong ones; from picture ``used`` on, the test set, all are correct.

    Each pixel is centered, and all are divided by one number, so that the training pixels have mean square 1.
    """
    noisy = [replace_labels(every.y, share, *coordinates) for share in noises]
    centered = every.x - every.x[:num_train].mean(0)
    inputs = centered / centered[:num_train].square().mean().sqrt()
    return inputs, torch.stack([torch.cat([given[:used], every.y[used:]]) for given in noisy])


def trained(
    network: Callable[[int, int], nn.Module],
    config: Any,
    inputs: Float[Tensor, "seed picture pixel"],
    labels: Int[Tensor, "seed noise picture"],
    *,
    steps: int,
    probe_steps: Sequence[int],
    device: torch.device,
    progress: Callable[[int, int], None],
) -> dict[str, np.ndarray]:
    """Train ``network(seed, width)`` for every seed, noise and width, all at once.

    Returns:
        What :func:`errors` finds at each look, each (seed, noise, width, look).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    shape = (len(seeds), len(config.noises), len(config.widths))
    targets = labels.unsqueeze(2).expand(*shape, -1).flatten(0, 2)
    n, used = config.num_train, config.num_train + config.num_validation
    history = train(
        [network(seed, width) for seed in seeds for _ in config.noises for width in config.widths],
        TrainingData(
            inputs=inputs[:, :n],
            targets=targets[:, :n],
            streams=[s for s in range(len(seeds)) for _ in range(shape[1] * shape[2])],
            keys=seeds,
        ),
        steps=steps,
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        probe=lambda snapshot: errors(n, used, snapshot, inputs, targets),
        probe_steps=probe_steps,
        device=device,
        progress=progress,
    )
    return {
        name: np.moveaxis(values.reshape(len(probe_steps), *shape), 0, -1).astype(np.float32)
        for name, values in history.values.items()
    }


def errors(n: int, used: int, snapshot: Snapshot, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """The share of wrong answers of each member on its training, validation and test pictures, and its training loss."""
    outputs = snapshot.predict(inputs, per_stream=True)
    given = targets[snapshot.members].to(outputs.device)
    wrong = (outputs.argmax(-1) != given).float()
    return {
        "train_error": wrong[:, :n].mean(1),
        "validation_error": wrong[:, n:used].mean(1),
        "test_error": wrong[:, used:].mean(1),
        "train_loss": stable_cross_entropy(outputs[:, :n], given[:, :n]).mean(1),
    }


def dataset(
    config: Any,
    found: dict[str, np.ndarray],
    epochs: Sequence[float],
    parameters: Sequence[int],
    *,
    pictures: str,
    width: str,
) -> xr.Dataset:
    """What was found at each look, with its axes; ``pictures`` and ``width`` say what is classified and what is counted."""
    words = {
        "train_error": ("share of training labels missed", "1"),
        "validation_error": ("share of validation labels missed", "1"),
        "test_error": (f"share of test {pictures} misclassified", "1"),
        "train_loss": ("training cross-entropy", "nats"),
    }
    return xr.Dataset(
        {name: variable(DIMS, found[name], *words[name]) for name in words}
        | {"parameters": variable("width", parameters, "number of parameters")},
        {
            "seed": list(range(config.first_seed, config.first_seed + config.num_seeds)),
            "noise": variable("noise", list(config.noises), "share of wrong labels"),
            "width": variable("width", list(config.widths), width),
            "epoch": variable("epoch", list(epochs), "epochs of training"),
        },
        {"num_train": config.num_train},
    )
