"""Explorables of the page on convolutional networks, and a nearest neighbor to compare them with."""

from typing import Any

import torch
import xarray as xr

from heldout.double_descent import convolutional
from heldout.double_descent.explore import trained_networks

CHANNELS = {"label": "channels of the first convolution", "scale": "log", "symbol": "width", "format": ","}


def prediction(result: xr.Dataset) -> dict[str, Any]:
    """The reader draws the test error of fully trained networks on noisy labels against their channels."""
    return trained_networks.prediction(result, CHANNELS)


def epochs(result: xr.Dataset) -> dict[str, Any]:
    """Training and test error against channels after the chosen number of epochs, on correct or on noisy labels."""
    return trained_networks.epochs(result, CHANNELS)


def nearest_neighbor(config: convolutional.Config) -> xr.DataArray:
    """Test error (seed, noise) of copying the label, right or wrong, of the nearest training picture."""
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    inputs, labels = convolutional.sample(config, seeds)
    n, used = config.num_train, config.num_train + config.num_validation
    nearest = torch.cdist(inputs[:, used:], inputs[:, :n]).argmin(-1)
    copied = labels[:, :, :n].gather(-1, nearest.unsqueeze(1).expand(-1, len(config.noises), -1))
    error = (copied != labels[:, :, used:]).double().mean(-1)
    return xr.DataArray(error.numpy(), {"seed": seeds, "noise": list(config.noises)}, ("seed", "noise"))
