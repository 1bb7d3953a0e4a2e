"""Explorables of the page on convolutional networks."""

from typing import Any

import xarray as xr

from heldout.double_descent.explore import trained_networks

CHANNELS = {"label": "channels of the first convolution", "scale": "log", "symbol": "width", "format": ","}


def prediction(result: xr.Dataset) -> dict[str, Any]:
    """The reader draws the test error of fully trained networks on noisy labels against their channels."""
    return trained_networks.prediction(result, CHANNELS)


def epochs(result: xr.Dataset) -> dict[str, Any]:
    """Training and test error against channels after the chosen number of epochs, on correct or on noisy labels."""
    return trained_networks.epochs(result, CHANNELS)
