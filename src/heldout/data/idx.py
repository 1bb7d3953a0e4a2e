"""The IDX format, in which MNIST and the sets made after it are kept."""

import numpy as np
import torch

from heldout.data.samples import Samples


def decode(content: bytes) -> np.ndarray:
    """One file: two zero bytes, type (8: unsigned byte), rank, the sizes big-endian, then the data; (samples, rest)."""
    rank = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=rank, offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape[0], -1)


def samples(pixels: np.ndarray, labels: np.ndarray) -> Samples:
    """Bytes to pixels in [0, 1] and class labels."""
    return Samples(
        torch.from_numpy(pixels.astype(np.float32) / 255), torch.from_numpy(labels.astype(np.int64).reshape(-1))
    )
