"""The explorables of pages 3 to 6 are built from records and show what the records hold."""

from dataclasses import replace

import numpy as np
import pytest

from heldout.double_descent import epoch_wise, gaussian_risk, sample_wise, three_factors, trained_networks
from heldout.double_descent.explore import theory, time_and_data
from heldout.double_descent.explore import three_factors as factors
from heldout.double_descent.explore import trained_networks as training
from heldout.double_descent.gaussian_theory import exact_risk
from heldout.figures.explorable import Explorable

SMALL = {
    gaussian_risk: replace(gaussian_risk.SMOKE, trials_per_seed=20, num_seeds=2, limit_trials=2),
    three_factors: replace(three_factors.SMOKE, num_seeds=4),
    epoch_wise: replace(epoch_wise.SMOKE, num_seeds=3),
    sample_wise: replace(sample_wise.SMOKE, num_seeds=2),
    trained_networks: replace(trained_networks.SMOKE, epochs=20),
}
BUILT = (
    (gaussian_risk, "gaussian_risk", theory.risk),
    (gaussian_risk, "choice", theory.mean_at_the_threshold),
    (three_factors, "predict", factors.prediction),
    (three_factors, "frames", factors.cutoffs),
    (trained_networks, "predict", training.prediction),
    (trained_networks, "frames", training.epochs),
    (epoch_wise, "frames", time_and_data.speeds),
    (sample_wise, "choice", time_and_data.offer),
)


@pytest.fixture(scope="module")
def records():
    return {module: module.run(config) for module, config in SMALL.items()}


@pytest.mark.parametrize(("module", "kind", "make"), BUILT, ids=lambda part: getattr(part, "__name__", part))
def test_data_fit_the_schema_and_stay_small(records, module, kind, make):
    html = Explorable(kind, **make(records[module])).html()
    assert len(html) < 400_000


def test_the_risk_explorable_starts_at_case_1(records):
    data = theory.risk(records[gaussian_risk])["data"]
    assert (data["samples"]["initial"], data["features"]["initial"]) == (40, 100)
    assert exact_risk(40, data["p"], 0.2, 0.8, data["noise"]["initial"]) > 1


def test_cutoff_frames_are_the_medians_of_the_record(records):
    record = records[three_factors]
    data = factors.cutoffs(record)["data"]
    shown = next(series for series in data["series"] if series["name"] == "cut")
    expected = record.cutoff_mse.sel(quantile=0.5, dataset="auto_mpg", cutoff=0.1)
    np.testing.assert_array_equal(np.asarray(shown["values"])[1, list(record.cutoff.values).index(0.1)], expected)
    dims = data["markers"][0]["values"]
    assert list(dims) == list(record.dim.values)


def test_epoch_frames_are_the_medians_of_the_record(records):
    record = records[trained_networks]
    data = training.epochs(record)["data"]
    shown = next(series for series in data["series"] if series["name"] == "test")
    expected = record.test_error.isel(noise=1, epoch=2).median("seed")
    np.testing.assert_allclose(np.asarray(shown["values"])[1, 2], expected)


def test_speeds_are_sorted_with_their_values(records):
    record = records[epoch_wise]
    data = time_and_data.speeds(record)["data"]
    scales = np.asarray(data["controls"][1]["values"])
    assert list(scales) == sorted(record.scale.values)
    first = record.risk.sel(scale=scales[0], small_dim=10).median("seed").values[::2]
    np.testing.assert_allclose(np.asarray(data["series"][0]["values"])[0, 0], first)
