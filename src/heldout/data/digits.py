"""scikit-learn's digits: 1,797 handwritten digits of 8 x 8 pixels with values 0 to 16 (Alpaydin and Kaynak, UCI).

Bundled with scikit-learn (BSD-3-Clause). Checksum of pixels and labels as bytes: BUNDLED.sha256.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits

from heldout.data.samples import Samples, Source, verify

BUNDLED = Source(
    name="digits",
    says="1,797 handwritten digits of 8 x 8 pixels",
    package="scikit-learn (PyPI)",
    license="BSD-3-Clause (the package)",
    sha256="68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2",
    what_is_hashed="the 1,797 rows of 64 pixels and label as bytes",
)


def load(seed: int) -> Samples:
    """All 1,797 digits, pixels scaled to [0, 1], shuffled by ``seed``.

    Raises:
        DataError: the installed scikit-learn holds other digits.
    """
    pixels, labels = load_digits(return_X_y=True)
    verify(BUNDLED, np.column_stack([pixels, labels]).astype(np.uint8).tobytes())
    x, y = torch.from_numpy(pixels.astype(np.float32) / 16), torch.from_numpy(labels.astype(np.int64))
    return Samples(x, y).shuffled(BUNDLED.name, seed)
