"""Two small regression data sets: diabetes progression and the fuel consumption of cars.

Diabetes: 442 patients, 10 measurements, disease progression after one year (Efron, Hastie, Johnstone and Tibshirani 2004,
Least Angle Regression). Bundled with scikit-learn (BSD-3-Clause).
Auto MPG: 392 cars of 1970-82, 7 attributes, miles per gallon (StatLib and UCI; Quinlan 1993). Bundled with mlxtend
(BSD-3-Clause), which has already left out the six cars of unknown horsepower; the cars' names are left out here.
Checksums of the numbers as float64: DIABETES.sha256, AUTO_MPG.sha256.
"""

import gzip
from importlib import resources

import numpy as np
import torch
from sklearn.datasets import load_diabetes

from heldout.data.samples import Samples, Source, verify

DIABETES = Source(
    name="diabetes",
    says="442 patients, 10 measurements, disease progression after a year",
    package="scikit-learn (PyPI)",
    license="BSD-3-Clause (the package)",
    sha256="839c546b0b4ac02c2e6cbe5e5c92313cefa993446c9733e9b49477cc3f96e104",
    what_is_hashed="the 442 rows of 10 measurements and target as float64",
)
AUTO_MPG = Source(
    name="auto-mpg",
    says="392 cars, 7 attributes, miles per gallon",
    package="mlxtend (PyPI)",
    license="BSD-3-Clause (the package)",
    sha256="ae2460f71f1ad1840d1d006c3179155e59e7e06cd5d42947b730b4e166ca2b31",
    what_is_hashed="the 392 rows of 7 attributes and target as float64",
)
AUTO_COLUMNS = (
    "cylinders", "displacement (cubic inches)", "horsepower", "weight (pounds)", "acceleration", "model year - 1900",
    "origin (1 America, 2 Europe, 3 Japan)",
)  # fmt: skip


def diabetes() -> Samples:
    """All 442 patients in the file's order, measurements in their own units (float64).

    Raises:
        DataError: the installed scikit-learn holds other numbers.
    """
    bunch = load_diabetes(scaled=False)
    table = np.ascontiguousarray(np.column_stack([bunch.data, bunch.target]))
    verify(DIABETES, table.tobytes())
    return _samples(table, tuple(bunch.feature_names))


def auto_mpg() -> Samples:
    """All 392 cars in the file's order, attributes in their own units (float64).

    Raises:
        DataError: the installed mlxtend holds other numbers.
    """
    packed = (resources.files("mlxtend.data") / "data" / "autompg.csv.gz").read_bytes()
    lines = gzip.decompress(packed).decode().splitlines()
    # Column 7 is the car's name; mlxtend's own loader turns it into NaN.
    table = np.loadtxt(lines, delimiter=",", usecols=(*range(7), 8), dtype=np.float64)
    verify(AUTO_MPG, table.tobytes())
    return _samples(table, AUTO_COLUMNS)


def standardized(samples: Samples) -> Samples:
    """Every column and the target shifted to mean 0 and scaled to standard deviation 1, over these samples."""
    x, y = ((values - values.mean(0)) / values.std(0, correction=0) for values in (samples.x, samples.y))
    return Samples(x, y, samples.columns)


def _samples(table: np.ndarray, columns: tuple[str, ...]) -> Samples:
    return Samples(torch.from_numpy(table[:, :-1].copy()), torch.from_numpy(table[:, -1].copy()), columns)
