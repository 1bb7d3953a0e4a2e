"""Results on disk: a cache that cannot lie, and the committed records of the long runs.

A cached file is found by a key of config, digest of the library source that the experiment imports, minor versions of the
numerical libraries and kind of device. Its own SHA-256 is part of its name: an altered file is recognized, set aside and
computed again. Files are written to a temporary name, flushed to disk and renamed, under a lock.
"""

import hashlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import platformdirs
import xarray as xr
from tqdm.auto import tqdm

import heldout
from heldout import devices, experiment, sources
from heldout.experiment import Experiment, Progress

SUFFIX = ".nc"
PROGRESS_AFTER = 2.0


class StoreWarning(UserWarning):
    """A file of the store was unusable, or a result could not be kept. The result handed back is still right."""


def cache_directory() -> Path:
    """Where results are kept: ``HELDOUT_CACHE``, else the platform's cache folder."""
    return Path(os.environ.get("HELDOUT_CACHE") or platformdirs.user_cache_dir("heldout"))


def records_directory() -> Path:
    """Where the committed records lie: ``HELDOUT_RECORDS``, else ``records/`` beside ``src/``, else where they are installed."""
    if named := os.environ.get("HELDOUT_RECORDS"):
        return Path(named)
    checkout = Path(heldout.__file__).parents[2] / "records"
    return checkout if checkout.is_dir() else Path(sys.prefix) / "share" / "heldout" / "records"


def load_or_run(
    module: Experiment, config: Any, *, device: str = "auto", progress: Progress | None = None
) -> xr.Dataset:
    """The experiment's result at this config: from the records, else from the cache, else computed now and kept.

    A progress bar appears when a run takes longer than two seconds, unless a callback is given.

    Raises:
        ValueError: the device does not exist.
    """
    where = devices.resolve_device(device)
    recorded = load_record(module, config) if device == "auto" else None
    if recorded is not None:
        return recorded
    directory, key = cache_directory(), cache_key(module, config, where.type)
    with _locked(directory, key):
        found = _read_cached(directory, key)
        if found is not None:
            return found
        result = _run(module, config, device, progress)
        try:
            save_keyed(result, directory, key)
        except OSError as error:
            _warn_not_kept(directory, error)
        return result


@contextmanager
def _locked(directory: Path, key: str) -> Iterator[None]:
    """Hold the key's lock, so that of several processes one computes and the others read what it wrote."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(directory / f"{key}.lock")
        lock.acquire()
    except OSError as error:
        _warn_not_kept(directory, error)
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _warn_not_kept(directory: Path, error: OSError) -> None:
    warnings.warn(f"the result is right but could not be kept in {directory}: {error}", StoreWarning, stacklevel=4)


def _run(module: Experiment, config: Any, device: str, progress: Progress | None) -> xr.Dataset:
    if progress is not None:
        return module.run(config, device=device, progress=progress)
    bar = tqdm(desc=experiment.short_name(module), delay=PROGRESS_AFTER, leave=False, disable=_quiet())

    def advance(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    with bar:
        return module.run(config, device=device, progress=advance)


def _quiet() -> bool | None:
    """No bar on a page being built; elsewhere tqdm's own rule."""
    return True if os.environ.get("HELDOUT_SITE") else None


# --- the key -----------------------------------------------------------------------------------------------------------


def cache_key(module: Experiment, config: Any, device_type: str) -> str:
    """Readable name and 20 hexadecimal digits that change with config, source, numerical libraries and kind of device."""
    # Asked of what is installed: to import SciPy and scikit-learn for their versions would take every page a second.
    libraries = [".".join(version(name).split(".")[:2]) for name in ("torch", "numpy", "scipy", "scikit-learn")]
    parts = (experiment.config_json(config), sources.digest(module.__name__), *libraries, device_type)
    return f"{experiment.short_name(module)}-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:20]}"


# --- files -------------------------------------------------------------------------------------------------------------


def save_keyed(result: xr.Dataset, directory: Path, key: str) -> Path:
    """Write a result as ``<key>-<sha256 of the file>.nc``, atomically, and return its path.

    Raises:
        OSError: the file could not be written; nothing is left behind.
    """
    temporary = _write_temporary(result, directory)
    try:
        path = directory / f"{key}-{_sha256(temporary)}{SUFFIX}"
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def save(result: xr.Dataset, path: Path) -> Path:
    """Write a result to ``path`` atomically: the old file or the whole new one, never half of it.

    Raises:
        OSError: the file could not be written; nothing is left behind.
    """
    temporary = _write_temporary(result, path.parent)
    try:
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _write_temporary(result: xr.Dataset, directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=directory, suffix=".part")
    os.close(handle)
    temporary = Path(name)
    temporary.chmod(0o644)
    try:
        encoding = {
            n: {"zlib": True, "complevel": 4} for n, v in result.variables.items() if v.ndim and v.dtype.kind in "fiu"
        }
        # In memory first: an HDF5 library that meets a full disk half-way can take the process down with it.
        temporary.write_bytes(bytes(result.to_netcdf(engine="h5netcdf", encoding=encoding)))
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def read(path: Path) -> xr.Dataset:
    """Load a whole result into memory and close the file."""
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        return dataset.load()


def _read_cached(directory: Path, key: str) -> xr.Dataset | None:
    for path in sorted(directory.glob(f"{key}-*{SUFFIX}")):
        if path.stem.rpartition("-")[2] == _sha256(path):
            return read(path)
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        warnings.warn(
            f"{path.name} was damaged; set aside as {aside.name} and computed again", StoreWarning, stacklevel=3
        )
    return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- committed records -------------------------------------------------------------------------------------------------


def manifest() -> list[dict[str, Any]]:
    """The entries of ``records/manifest.json``, or none when there is no such file."""
    path = records_directory() / "manifest.json"
    return json.loads(path.read_text()) if path.exists() else []


def load_record(module: Experiment, config: Any) -> xr.Dataset | None:
    """The committed record of this experiment at this config, or None when there is none.

    Raises:
        ValueError: a record's bytes are not those of the manifest. Records are evidence, so this is never passed over.
    """
    wanted = (experiment.short_name(module), json.loads(experiment.config_json(config)))
    for entry in manifest():
        if (entry["experiment"], entry["config"]) == wanted:
            path = records_directory() / entry["file"]
            if not path.exists() or _sha256(path) != entry["sha256"]:
                raise ValueError(f"record={entry['file']!r}: must have the checksum that records/manifest.json gives")
            return read(path)
    return None


def add_record(module: Experiment, preset: str, result: xr.Dataset, smoke: xr.Dataset) -> Path:
    """Put a result among the committed records, with the result of its SMOKE run beside it, and note it in the manifest."""
    name = experiment.short_name(module)
    path = save(result, records_directory() / f"{name}.{preset}{SUFFIX}")
    beside = save(smoke, records_directory() / f"{name}.{preset}.smoke{SUFFIX}")
    entry = {
        "experiment": name,
        "preset": preset,
        "file": path.name,
        "sha256": _sha256(path),
        "smoke_file": beside.name,
        "smoke_sha256": _sha256(beside),
        "config": json.loads(str(result.attrs["config"])),
        **{key: result.attrs[key] for key in ("device", "seconds", "torch", "heldout", "created")},
    }
    entry["seconds"] = float(entry["seconds"])
    kept = [old for old in manifest() if (old["experiment"], old["preset"]) != (name, preset)]
    text = json.dumps(sorted([*kept, entry], key=lambda e: (e["experiment"], e["preset"])), indent=1)
    unfinished = records_directory() / "manifest.json.part"
    unfinished.write_text(text + "\n")
    unfinished.replace(records_directory() / "manifest.json")
    return path


def verify_records() -> Iterator[tuple[str, bool, str]]:
    """For every record: its file, whether the bytes are the manifest's, and what is wrong where they are not."""
    for entry in manifest():
        for file, digest in ((entry["file"], entry["sha256"]), (entry["smoke_file"], entry["smoke_sha256"])):
            path = records_directory() / file
            if not path.exists():
                yield file, False, "missing"
            elif _sha256(path) != digest:
                yield file, False, "altered: its checksum is not the manifest's"
            else:
                yield file, True, "as recorded"
