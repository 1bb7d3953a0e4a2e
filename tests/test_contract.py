"""Every experiment keeps the contract, and every claim of the book has the verdict that the ledger agreed on."""

import dataclasses
import functools
import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from heldout import experiment, ledger, store
from heldout.experiment import Experiment

NAMES = experiment.names()
CLAIMS = [(name, claim.id) for name in NAMES for claim in experiment.find(name).CLAIMS]


@functools.cache
def smoke_run(name: str) -> tuple[xr.Dataset, list[tuple[int, int]]]:
    """The SMOKE record of an experiment, and the progress that was told meanwhile."""
    module, told = experiment.find(name), list[tuple[int, int]]()
    return module.run(module.SMOKE, device="cpu", progress=lambda done, total: told.append((done, total))), told


@pytest.fixture
def smoke(request: pytest.FixtureRequest) -> tuple[Experiment, xr.Dataset]:
    return experiment.find(request.param), smoke_run(request.param)[0]


every_smoke = pytest.mark.parametrize("smoke", NAMES, indirect=True)


@every_smoke
def test_exports(smoke: tuple[Experiment, xr.Dataset]) -> None:
    module, _ = smoke
    assert dataclasses.is_dataclass(module.Config)
    assert module.Config.__dataclass_params__.frozen
    for preset in experiment.PRESETS:
        config = experiment.preset(module, preset)
        assert isinstance(config, module.Config)
        json.loads(experiment.config_json(config))
        assert hash(config) == hash(dataclasses.replace(config))
    assert module.CLAIMS


@every_smoke
def test_judged_on_fresh_seeds(smoke: tuple[Experiment, xr.Dataset]) -> None:
    module, _ = smoke
    for preset in ("book", "paper"):
        config = experiment.preset(module, preset)
        assert config.first_seed >= 100, "seeds below 100 are for tuning"
        assert config.num_seeds >= 5
    assert module.SMOKE.first_seed < 100


@every_smoke
def test_records_are_labeled_and_stamped(smoke: tuple[Experiment, xr.Dataset]) -> None:
    module, result = smoke
    assert result.attrs["experiment"] == experiment.short_name(module)
    assert json.loads(result.attrs["config"]) == json.loads(experiment.config_json(module.SMOKE))
    for key in ("heldout", "torch", "device", "threads", "seconds", "peak_memory", "created"):
        assert key in result.attrs
    for name, variable in result.data_vars.items():
        assert variable.attrs.get("units"), f"{name} has no units"
        assert variable.attrs.get("long_name"), f"{name} has no long_name"
    assert "seed" in result.coords


@every_smoke
def test_a_second_run_is_identical(smoke: tuple[Experiment, xr.Dataset]) -> None:
    module, result = smoke
    again = module.run(module.SMOKE, device="cpu")
    xr.testing.assert_equal(result, again)


@every_smoke
def test_a_record_survives_the_disk(smoke: tuple[Experiment, xr.Dataset], tmp_path) -> None:  # type: ignore[no-untyped-def]
    _, result = smoke
    xr.testing.assert_identical(store.read(store.save(result, tmp_path / "a.nc")), result)


@every_smoke
def test_figure_words_and_numbers(smoke: tuple[Experiment, xr.Dataset]) -> None:
    module, result = smoke
    axes = module.plot(result)
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    plt.close(axes.get_figure(root=True))
    assert len(module.describe(result)) > 60
    numbers = module.numbers(result)
    assert numbers
    assert all(isinstance(value, float | int | str) for value in numbers.values())


@pytest.mark.parametrize("name", NAMES)
def test_progress_ends_at_its_total(name: str) -> None:
    _, seen = smoke_run(name)
    assert seen
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_claim_ids_are_unique_and_named_after_their_experiment() -> None:
    ids = [claim for _, claim in CLAIMS]
    assert len(ids) == len(set(ids))
    for name, claim in CLAIMS:
        assert claim.split(".")[0] == name.split(".")[1]


@pytest.mark.claims
@pytest.mark.parametrize(("name", "claim_id"), CLAIMS, ids=[claim for _, claim in CLAIMS])
def test_verdict_and_control(name: str, claim_id: str) -> None:
    module = experiment.find(name)
    claim = next(claim for claim in module.CLAIMS if claim.id == claim_id)
    row = ledger.judge(module, claim, store.load_or_run(module, module.BOOK, device="cpu"))
    assert row["verdict"] == claim.expected, f"here {row['ours']}, must be {row['bound']}"
    if claim.expected == "reproduced":
        assert not row["control_holds"], f"the control did not break it: {row['control']}"
        assert row["manipulation_holds"], f"the control is not a fair one: {row['manipulation']}"


@pytest.mark.claims
def test_verdicts_on_the_paper_records() -> None:
    rows = ledger.rows(preset="paper")
    assert {row["experiment"] for row in rows} == set(NAMES)
    assert [(row["id"], row["verdict"], row["bound"]) for row in rows if ledger.changed(row)] == []


@pytest.mark.claims
@pytest.mark.parametrize("name", NAMES)
def test_book_preset_fits_a_reader_machine(name: str) -> None:
    module = experiment.find(name)
    result = store.load_or_run(module, module.BOOK, device="cpu")
    assert float(result.attrs["peak_memory"]) <= 1.5 * 2**30, "a reader has 2 GB"


def floor(variable: xr.DataArray) -> float:
    """What counts as zero: rounding, on the scale of the variable's own typical finite size."""
    finite = np.abs(variable.values[np.isfinite(variable.values)])
    return 1e-6 * float(np.median(finite) if finite.size else 0.0) + 1e-12


@pytest.mark.parametrize("entry", store.manifest(), ids=lambda entry: entry["file"])
def test_records_are_still_what_the_code_gives(entry: dict[str, str]) -> None:
    """A record made by code that has since changed its behavior is caught; a refactor leaves it valid."""
    fresh, _ = smoke_run(entry["experiment"])
    kept = store.read(store.records_directory() / entry["smoke_file"])
    for name in kept.data_vars:
        if kept[name].dtype.kind == "f":
            np.testing.assert_allclose(
                fresh[name].values, kept[name].values, rtol=1e-3, atol=floor(kept[name]), err_msg=str(name)
            )
        else:
            np.testing.assert_array_equal(fresh[name].values, kept[name].values, err_msg=str(name))


@pytest.mark.parametrize("entry", store.manifest(), ids=lambda entry: entry["file"])
def test_record_configs_are_presets(entry: dict[str, str]) -> None:
    module = experiment.find(entry["experiment"])
    config = experiment.preset(module, entry["preset"])
    assert json.loads(experiment.config_json(config)) == entry["config"], (
        "the preset has changed since the record was made"
    )


def test_records_are_as_the_manifest_says() -> None:
    assert [file for file, fine, _ in store.verify_records() if not fine] == []
