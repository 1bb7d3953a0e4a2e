"""The cache that cannot lie: keys, damage, concurrency, a full disk, and a source that changed."""

import importlib
import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest
import xarray as xr

from heldout import sources, store
from heldout.double_descent import polynomials, trained_networks


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELDOUT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kept(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.nc"))


def count_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    original = polynomials.run

    def counted(*args: object, **kwargs: object) -> xr.Dataset:
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(polynomials, "run", counted)
    return calls


@pytest.mark.usefixtures("cache")
def test_second_load_reads_what_the_first_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_runs(monkeypatch)
    first = store.load_or_run(polynomials, polynomials.SMOKE)
    second = store.load_or_run(polynomials, polynomials.SMOKE)
    assert len(calls) == 1
    xr.testing.assert_identical(first, second)


def test_key_changes_with_config_and_device() -> None:
    key = store.cache_key(polynomials, polynomials.SMOKE, "cpu")
    assert key != store.cache_key(polynomials, polynomials.BOOK, "cpu")
    assert key != store.cache_key(polynomials, polynomials.SMOKE, "cuda")
    assert key == store.cache_key(polynomials, polynomials.Config(**vars(polynomials.SMOKE)), "cpu")


@pytest.mark.parametrize("damage", ["truncate", "flip"])
def test_damage_is_set_aside_and_computed_again(cache: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    calls = count_runs(monkeypatch)
    first = store.load_or_run(polynomials, polynomials.SMOKE)
    (path,) = kept(cache)
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.warns(store.StoreWarning, match="damaged; set aside"):
        again = store.load_or_run(polynomials, polynomials.SMOKE)
    assert len(calls) == 2
    assert len(list(cache.glob("*.damaged"))) == 1
    xr.testing.assert_equal(first, again)
    assert len(kept(cache)) == 1


def test_four_processes_compute_once(cache: Path) -> None:
    script = textwrap.dedent(
        """
        import time
        from heldout import store
        from heldout.double_descent import polynomials
        original = polynomials.run
        def slow(*args, **kwargs):
            time.sleep(1.0)
            print("ran")
            return original(*args, **kwargs)
        polynomials.run = slow
        store.load_or_run(polynomials, polynomials.SMOKE)
        """
    )
    environment = {**os.environ, "HELDOUT_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    printed = [worker.communicate(timeout=600)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4
    assert "".join(printed).count("ran") == 1
    assert len(kept(cache)) == 1
    assert not list(cache.glob("*.part"))


def test_full_disk_loses_nothing_and_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(store.StoreWarning, match="could not be kept"):
        result = store.load_or_run(polynomials, polynomials.SMOKE)
    assert result.sizes["seed"] == polynomials.SMOKE.num_seeds
    assert not list(cache.glob("*.part"))
    assert not kept(cache)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small tmpfs")
def test_a_really_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(small)], check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        monkeypatch.setenv("HELDOUT_CACHE", str(small))
        with pytest.warns(store.StoreWarning, match="could not be kept"):
            result = store.load_or_run(polynomials, polynomials.SMOKE)
        assert result.sizes["seed"] == polynomials.SMOKE.num_seeds
        assert not [path for path in small.iterdir() if path.suffix in (".nc", ".part")]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_unusable_cache_directory_still_gives_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("HELDOUT_CACHE", str(blocked / "cache"))
    with pytest.warns(store.StoreWarning, match="could not be kept"):
        assert store.load_or_run(polynomials, polynomials.SMOKE).sizes["seed"] == polynomials.SMOKE.num_seeds


def test_a_changed_constant_changes_the_key_and_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jupyter Book's own cache would show the old page; ours must not."""
    package = tmp_path / "heldout_copy"
    source = Path(polynomials.__file__).read_text()
    package.mkdir()
    (package / "__init__.py").write_text("")
    path = package / "copied.py"
    path.write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HELDOUT_CACHE", str(tmp_path / "cache"))
    copied = importlib.import_module("heldout_copy.copied")
    before_key = store.cache_key(copied, copied.SMOKE, "cpu")
    before = store.load_or_run(copied, copied.SMOKE)
    path.write_text(source.replace("1 / (1 + 25 * x**2)", "1 / (1 + 24 * x**2)"))
    assert path.read_text() != source
    importlib.invalidate_caches()
    importlib.reload(copied)
    assert store.cache_key(copied, copied.SMOKE, "cpu") != before_key
    assert not store.load_or_run(copied, copied.SMOKE).equals(before)


def _with_a_line_more(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: read(self) + (b"\n#" if str(self).endswith(name) else b""))


def test_digest_covers_imported_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sources.digest(polynomials.__name__)
    _with_a_line_more(monkeypatch, "devices.py")
    assert sources.digest(polynomials.__name__) != before


def test_digest_leaves_out_the_list_of_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sources.digest(trained_networks.__name__)
    _with_a_line_more(monkeypatch, "double_descent/__init__.py")
    assert sources.digest(trained_networks.__name__) == before


def test_records_round_trip_and_alteration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELDOUT_RECORDS", str(tmp_path))
    result = polynomials.run(polynomials.SMOKE)
    assert store.load_record(polynomials, polynomials.SMOKE) is None
    path = store.add_record(polynomials, "smoke", result, result)
    loaded = store.load_record(polynomials, polynomials.SMOKE)
    assert loaded is not None
    xr.testing.assert_identical(loaded, store.read(path))
    xr.testing.assert_equal(loaded, result)
    assert all(fine for _, fine, _ in store.verify_records())
    path.write_bytes(path.read_bytes()[:-1])
    assert not all(fine for _, fine, _ in store.verify_records())
    with pytest.raises(ValueError, match="checksum"):
        store.load_record(polynomials, polynomials.SMOKE)


def test_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = polynomials.run(polynomials.SMOKE)
    path = store.save(result, tmp_path / "kept.nc")
    before = path.read_bytes()

    def broken(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, warnings.catch_warnings():
        patch.setattr(xr.Dataset, "to_netcdf", broken)
        with pytest.raises(OSError, match="No space"):
            store.save(result, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["kept.nc"]
