"""Inputs that digits are not: digits turned by any angle, and patches of photographs.

The photographs are the two that ship with scikit-learn, china.jpg and flower.jpg (CC BY 2.0, flickr users danielbuechele and
vultilion). Checksum of the two files one after the other: PHOTOGRAPHS.sha256.
"""

import functools
import math
from importlib import resources

import torch
from jaxtyping import Float
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.nn import functional

from heldout.data.mnist import SIDE
from heldout.data.samples import Samples, Source, verify
from heldout.devices import generator
from heldout.experiment import require

PHOTOGRAPHS = Source(
    name="photographs",
    says="two photographs of 640 x 427 pixels, a temple and a flower",
    package="scikit-learn (PyPI)",
    license="CC BY 2.0",
    sha256="c1ef34f251839d4aea0f512ef005eeba01e9109bce8f7f4b7c4da6e3f45c54e5",
    what_is_hashed="china.jpg and flower.jpg, one after the other",
)


def turned(samples: Samples, degrees: float) -> Samples:
    """The same pictures turned counterclockwise about their center, by bilinear interpolation; what comes in is black.

    At 90 degrees this is :func:`heldout.data.mnist.rotated`, to rounding.
    """
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    # Rows give, for each place of the new picture, the place of the old one; y points down.
    matrix = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]], dtype=samples.x.dtype)
    images = samples.x.reshape(1, -1, SIDE, SIDE)
    places = functional.affine_grid(matrix[None], [1, images.shape[1], SIDE, SIDE], align_corners=False)
    moved = functional.grid_sample(images, places, align_corners=False)
    return Samples(moved.reshape(len(samples), -1), samples.y, samples.columns)


def photograph_patches(count: int, seed: int, scale: int = 4) -> Float[Tensor, "count pixels"]:
    """Gray square patches at random places of the photographs, shrunk by ``scale`` to the size of a digit, values in [0, 1].

    Raises:
        DataError: the installed scikit-learn holds other photographs.
        ValueError: ``count`` is below 1, or ``scale`` is not from 1 to 15.
    """
    require(count >= 1, "count", count, "at least 1")
    require(1 <= scale <= 15, "scale", scale, "from 1 to 15")
    source = generator("photograph patches", seed)
    grays = _grays()
    side = SIDE * scale
    patches = torch.empty(count, SIDE * SIDE)
    for row in range(count):
        gray = grays[int(torch.randint(len(grays), (), generator=source))]
        top, left = (int(torch.randint(size - side + 1, (), generator=source)) for size in gray.shape)
        patch = gray[None, None, top : top + side, left : left + side]
        patches[row] = functional.avg_pool2d(patch, scale).flatten()
    return patches


@functools.cache
def _grays() -> list[Float[Tensor, "height width"]]:
    folder = resources.files("sklearn.datasets") / "images"
    verify(PHOTOGRAPHS, b"".join((folder / name).read_bytes() for name in ("china.jpg", "flower.jpg")))
    return [torch.from_numpy(image.copy()).float().mean(-1) / 255 for image in load_sample_images().images]
