"""Distances between functions, and the panel that every chapter closes with."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from heldout import distances
from heldout.distances import Pair
from heldout.figures import panel

raw = arrays(np.float64, (3, 6, 4), elements=st.floats(-5, 5))


@given(raw)
def test_total_variation_is_a_metric_between_0_and_1(logits: np.ndarray) -> None:
    f, g, h = torch.from_numpy(logits).softmax(-1)
    between = distances.total_variation(f, g)
    assert 0 <= between <= 1
    assert distances.total_variation(f, f) == 0
    assert between == pytest.approx(distances.total_variation(g, f))
    assert between <= distances.total_variation(f, h) + distances.total_variation(h, g) + 1e-12


@given(arrays(np.int64, (2, 20), elements=st.integers(0, 9)))
def test_disagreement_is_total_variation_of_one_hot_predictions(labels: np.ndarray) -> None:
    f, g = torch.from_numpy(labels)
    one_hot = torch.eye(10, dtype=torch.float64)
    assert distances.disagreement(f, g) == pytest.approx(distances.total_variation(one_hot[f], one_hot[g]))


def test_regression_distance_counts_what_exceeds_the_tolerance() -> None:
    f, g = torch.zeros(4), torch.tensor([0.0, 0.04, 0.06, -1.0])
    assert distances.regression_distance(f, g, target_range=1.0) == 0.5
    assert distances.regression_distance(f, g, target_range=100.0) == 0.0


def test_bad_input_is_named() -> None:
    rows = torch.tensor([[0.5, 0.5]])
    with pytest.raises(ValueError, match="shapes"):
        distances.total_variation(rows, torch.ones(2, 1))
    with pytest.raises(ValueError, match="sum to 1"):
        distances.total_variation(rows, torch.tensor([[0.5, 0.4]]))
    with pytest.raises(ValueError, match="sum to 1"):
        distances.total_variation(rows, torch.tensor([[1.5, -0.5]]))
    with pytest.raises(ValueError, match="shapes"):
        distances.disagreement(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="target_range"):
        distances.regression_distance(torch.zeros(2), torch.zeros(2), target_range=0.0)


@pytest.fixture
def planted() -> xr.Dataset:
    pairs = [
        Pair(first="a", second="b", kind="natural"),
        Pair(first="a", second="c", kind="constructed"),
        Pair(first="a", second="d", kind="natural"),
    ]
    measured = [
        {
            "distance": np.array([[0.0, 0.3, 0.6], [0.0, 0.0, 0.7], [0.0, 0.01, 0.02]]) + 0.001 * seed,
            "loss_difference": np.array([1e-30, 2e-30, 0.0]),
        }
        for seed in range(3)
    ]
    return distances.panel_dataset(pairs, [0, 1, 2], measured, np.full((3, 3), 0.1), "training loss")


def test_measure_compares_the_named_models() -> None:
    pair = Pair(first="a", second="b", kind="natural")
    same, other = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 3, 2])
    predictions = {
        "a": {"train": same, "test": same, "elsewhere": same},
        "b": {"train": same, "test": other, "elsewhere": same + 1},
    }
    found = distances.measure([pair], predictions, {"a": 0.5, "b": 0.25}, distances.disagreement)
    assert found["distance"].tolist() == [[0.0, 0.5, 1.0]]
    assert found["loss_difference"].tolist() == [0.25]


def test_first_bar_to_rise(planted: xr.Dataset) -> None:
    assert distances.first_to_rise(planted).values.tolist() == ["test", "elsewhere", "none"]


def test_panel_shows_every_pair_and_marks_the_constructed(planted: xr.Dataset) -> None:
    axes = panel.plot(planted)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a / b", "a / c *", "a / d"]
    widths = [bar.get_width() for bar in axes.patches]
    assert len(widths) == 9
    assert max(widths) == pytest.approx(0.701)
    plt.close("all")
    assert "first to rise: elsewhere" in panel.describe(planted)


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        ("training mean squared error", "training loss"),
        ("divergence in nats a sequence", "divergence"),
        ("loss on the pairs, in nats", "loss on pairs"),
    ],
)
def test_panel_names_what_is_matched(planted: xr.Dataset, recorded: str, said: str) -> None:
    planted.loss_difference.attrs["long_name"] = f"absolute difference of {recorded}"
    axes = panel.plot(planted)
    assert any(text.get_text().endswith(f"of {said}") for text in axes.texts)
    plt.close("all")
    assert panel.describe(planted).startswith(f"Distances between pairs of models at equal {said}.")
