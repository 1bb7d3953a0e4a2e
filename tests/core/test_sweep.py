"""Sweeps in this process: what is computed, how it is cut, how it is put together, and what a mistake is told."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner, Result

from heldout import sources, store, sweep_results, sweep_runs
from heldout.cli import main
from heldout.double_descent import polynomials
from heldout.sweep import Sweep, fitted, fitting_block, parse_grid

sys.path.insert(0, str(Path(__file__).parent))
import sweep_fake as fake

GRID = {"width": (2, 3), "scale": (1.0, 10.0)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELDOUT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def swept(**fields: object) -> Sweep:
    return dataclasses.replace(Sweep(module=fake, base=fake.SMOKE, grid=GRID, num_seeds=5, seeds_per_task=2), **fields)


def done(sweep: Sweep) -> xr.Dataset:
    assert sweep_runs.run(sweep, sweep.tasks).failed == []
    return sweep_results.dataset(sweep)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["sweep", *arguments])


# --- results -----------------------------------------------------------------------------------------------------------


def test_every_point_and_seed_is_what_a_run_of_it_alone_gives() -> None:
    result = done(swept())
    assert dict(result.sizes) == {"width": 2, "scale": 2, "seed": 5, "size": 2, "unit": 3, "block": 3}
    assert bool(result.computed.all())
    for width in GRID["width"]:
        for scale in GRID["scale"]:
            alone = fake.run(fake.Config(width=int(width), scale=scale, num_seeds=5))
            mine = result.sel(width=width, scale=scale)
            np.testing.assert_array_equal(mine.value, alone.value)
            np.testing.assert_array_equal(mine["count"], alone["count"])
            np.testing.assert_array_equal(mine["first"].sel(block=[0, 2, 4]), alone.value.sel(seed=[0, 2, 4]))
    assert result["count"].dtype.kind == "i"
    assert result.name.dims == ("width", "scale", "size")
    np.testing.assert_array_equal(result.double_width, [4, 6])
    np.testing.assert_array_equal(result.per_unit.sel(width=2, scale=1), [0, 0.5, np.nan])  # room for the larger width


def test_a_sweep_without_a_grid_is_the_run_itself() -> None:
    result = done(swept(grid={}, seeds_per_task=5))
    alone = fake.run(fake.Config(num_seeds=5))
    xr.testing.assert_equal(result.drop_vars("computed"), alone)


def test_the_store_knows_a_block_as_the_run_of_its_seeds() -> None:
    store.load_or_run(fake, dataclasses.replace(fake.SMOKE, width=2, first_seed=2, num_seeds=2), device="cpu")
    report = sweep_runs.run(swept(), swept().tasks)
    assert (len(report.found), len(report.computed)) == (1, 11)
    assert len(sweep_runs.run(swept(), swept().tasks).found) == 12
    more = sweep_runs.run(swept(num_seeds=6), swept(num_seeds=6).tasks)
    assert (len(more.found), len(more.computed)) == (8, 4), "only the last, uneven block is another one"


def test_the_same_store_gives_the_same_dataset_to_the_byte(tmp_path: Path) -> None:
    first, second = done(swept()), done(swept())
    xr.testing.assert_identical(first, second)
    xr.testing.assert_identical(store.read(store.save(first, tmp_path / "a.nc")), first)


@pytest.mark.parametrize("missing", ["refused", "raises"])
def test_a_config_that_raises_stops_no_other(missing: str) -> None:
    sweep = swept(grid={"width": (2, 0 if missing == "refused" else fake.RAISES, 3)}, num_seeds=4)
    report = sweep_runs.run(sweep, sweep.tasks)
    assert len(report.computed) == 4
    if missing == "refused":
        assert sweep.refused == {1: "width=0: must be at least 1"}
    else:
        assert {(task.point, reason) for task, reason in report.failed} == {
            (1, "ValueError: the run does not like this width")
        }
    result = sweep_results.dataset(sweep)
    np.testing.assert_array_equal(result.computed.any("seed"), [True, False, True])
    assert bool(result.value.isel(width=1).isnull().all())
    np.testing.assert_array_equal(result["count"].isel(width=0), [0, 1, 2, 0])
    assert not np.any(result.name.isel(width=1) != "")


def test_some_seeds_missing() -> None:
    sweep = swept(grid={"width": (2, 3)})
    sweep_runs.run(sweep, sweep.tasks[1:])
    result = sweep_results.dataset(sweep)
    np.testing.assert_array_equal(result.computed.isel(width=0), [False, False, True, True, True])
    np.testing.assert_array_equal(result["count"].isel(width=0), [np.nan, np.nan, 2, 0, 1])
    assert bool(result["first"].isel(width=0, block=0).isnull().all())


def test_a_damaged_block_is_computed_again(cache: Path) -> None:
    before = done(swept())
    next(iter(cache.glob("*.nc"))).write_bytes(b"not a file")
    with pytest.warns(store.StoreWarning, match="damaged"):
        xr.testing.assert_equal(sweep_results.dataset(swept()), before)


def test_a_field_that_the_experiment_uses_as_a_name_is_told_apart() -> None:
    sweep = Sweep(module=polynomials, base=polynomials.SMOKE, grid={"num_train": (15,)}, num_seeds=2)
    assert "num_train" in done(sweep).dims
    sweep = swept(grid={"sizes": ((1, 2), (2, 7))}, num_seeds=2)
    result = done(sweep)
    assert list(result["sizes"].values) == ["1,2", "2,7"]
    assert list(result.size.values) == [1, 2, 7]
    np.testing.assert_array_equal(result.value.sel(sizes="1,2", size=7).isnull(), True)


def test_blocks_agree_with_the_whole_run_where_members_are_computed_together() -> None:
    """Members computed together may round differently from apart, which is why blocks are part of a sweep: see its module."""
    sweep = Sweep(module=polynomials, base=polynomials.SMOKE, grid={}, num_seeds=6, seeds_per_task=2)
    whole = polynomials.run(polynomials.SMOKE)
    np.testing.assert_allclose(done(sweep).test_mse, whole.test_mse, rtol=1e-6)


def test_experiments_do_not_depend_on_the_machinery_of_sweeps() -> None:
    """Else every change to it would empty the store."""
    words = "import sys, heldout.double_descent.polynomials as p, heldout.store; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout.split()
    assert not {"heldout.sweep", "heldout.sweep_runs", "distributed"} & set(loaded)
    assert sources.digest("heldout.sweep_runs") != sources.digest("heldout.store")


# --- blocks ------------------------------------------------------------------------------------------------------------


def test_blocks_come_from_what_was_asked_alone() -> None:
    assert [(t.point, t.first_seed, t.last_seed) for t in swept().tasks[:4]] == [
        (0, 0, 1),
        (0, 2, 3),
        (0, 4, 4),
        (1, 0, 1),
    ]
    assert swept(seeds_per_task=None, num_seeds=9).block == fake.SMOKE.num_seeds
    assert swept(seeds_per_task=100).block == 5


@pytest.mark.parametrize(
    ("one", "two", "memory", "seeds", "block"),
    [(100, 110, 1000, 1000, 32), (100, 110, 1000, 20, 20), (100, 100, 1000, 10**6, 256), (600, 700, 1000, 50, 1)],
)
def test_a_block_fills_a_worker(one: int, two: int, memory: int, seeds: int, block: int) -> None:
    megabyte = 2**20
    assert fitting_block(one * megabyte, two * megabyte, memory * megabyte, seeds) == block


def test_a_seed_that_fits_no_worker_is_refused() -> None:
    with pytest.raises(ValueError, match=r"worker_memory=0\.98: must be at least 1\.14 GiB"):
        fitting_block(700 * 2**20, 700 * 2**20, 1000 * 2**20, 5)


def test_measured_blocks_are_the_same_the_next_time() -> None:
    sweep = swept(num_seeds=40, seeds_per_task=None)
    with pytest.raises(ValueError, match="trials"):
        fitted(sweep, 2**33)
    sweep_runs.run(sweep, sweep.trials())
    sizes = {fitted(sweep, 2**33).block for _ in range(2)}
    assert len(sizes) == 1
    assert len(sweep_runs.run(sweep, sweep.trials()).found) == 4


# --- the command -------------------------------------------------------------------------------------------------------


def test_the_command_writes_the_dataset(tmp_path: Path) -> None:
    output = tmp_path / "a.nc"
    words = ("double_descent.polynomials", "--preset", "smoke", "--grid", "noise_std=0,0.1", "--seeds", "3")
    first = call(*words, "--output", str(output))
    assert first.exit_code == 0, first.output
    assert store.read(output).test_mse.sizes["noise_std"] == 2
    assert "2 tasks were in the store, 0 computed" in call(*words).output
    measured = call(*words, "--worker-memory", "8")
    assert measured.exit_code == 0, measured.output


def test_an_experiment_whose_seeds_share_draws_is_told_from_one_whose_seeds_do_not() -> None:
    words = ("--preset", "smoke", "--seeds", "4", "--seeds-per-task", "2", "--check-blocks")
    shared = call("double_descent.three_factors", *words)
    assert (shared.exit_code, len(shared.output.splitlines())) == (2, 1)
    assert "seeds share draws" in shared.output
    assert "blocks give what one run gives" in call("double_descent.polynomials", *words).output


def test_the_command_names_what_failed(tmp_path: Path) -> None:
    output = tmp_path / "a.nc"
    words = ("double_descent.polynomials", "--preset", "smoke", "--grid", "num_test=0,20", "--seeds", "2")
    result = call(*words, "--output", str(output))
    assert result.exit_code == 1
    assert "failed: num_test=0: num_test=0: must be at least 2" in result.output
    assert "1 computed, 1 failed" in result.output
    assert output.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("double_descent.polynomals",), ("polynomals", "double_descent.polynomials")),
        (("double_descent.polynomials", "--grid", "num_trian=3"), ("num_trian", "num_train")),
        (("double_descent.polynomials", "--grid", "num_train"), ("num_train", "key=v1,v2")),
        (("double_descent.polynomials", "--grid", "num_train=15,x"), ("num_train='x'", "int")),
        (("double_descent.polynomials", "--grid", "num_train="), ("num_train", "at least one value")),
        (("double_descent.polynomials", "--grid", "num_train=15,15"), ("num_train", "different")),
        (("double_descent.polynomials", "--grid", "num_seeds=1,2"), ("num_seeds", "--seeds")),
        (("double_descent.polynomials", "--grid", "num_test=9", "--grid", "num_test=8"), ("num_test", "once")),
        (("double_descent.polynomials", "--grid", "num_test=0,1"), ("num_test=0", "at least 2")),
        (("double_descent.polynomials", "--set", "num_test=x"), ("num_test", "int")),
        (("double_descent.polynomials", "--preset", "tiny"), ("tiny", "smoke")),
        (("double_descent.polynomials", "--seeds", "0"), ("seeds=0", "at least 1")),
        (("double_descent.polynomials", "--seeds-per-task", "0"), ("seeds_per_task=0", "at least 1")),
        (
            ("double_descent.polynomials", "--seeds-per-task", "1", "--worker-memory", "1"),
            ("without --seeds-per-task",),
        ),
        (("double_descent.polynomials", "--workers", "0"), ("workers=0", "at least 1")),
        (("double_descent.polynomials", "--workers", "1", "--scheduler", "tcp://a:1"), ("without --scheduler",)),
        (("double_descent.polynomials", "--device", "auto"), ("auto", "cpu or cuda")),
        (("double_descent.polynomials", "--output", "a.csv"), ("a.csv", ".nc")),
        (("double_descent.polynomials", "--scheduler", "nonsense"), ("nonsense", "tcp://")),
        (
            ("double_descent.polynomials", "--scheduler", "tcp://127.0.0.1:9", "--timeout", "0.5"),
            ("127.0.0.1:9", "0.5 s"),
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert len(result.output.strip().splitlines()) == 1, result.output
    assert all(word in result.output for word in words), result.output


def test_the_grid_is_read_by_the_types_of_its_fields() -> None:
    grid = parse_grid(fake.SMOKE, ["sizes=1,2;3", "scale=1,2.5", "loud=true,false", "width=0"])
    assert grid == {"sizes": ((1, 2), (3,)), "scale": (1.0, 2.5), "loud": (True, False), "width": (0,)}
