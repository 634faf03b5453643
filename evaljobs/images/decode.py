"""From encoded bytes to pixels that equal torchvision's on the same file.

The reference is ``Image.open(file).convert("RGB")`` with torchvision's ``Resize`` (and ``CenterCrop``) on the Pillow
image, before ``ToTensor``: https://docs.pytorch.org/vision/stable/transforms.html. The rest is in `normalise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images import geometry as geometry_module
from evaljobs.images import pillow
from evaljobs.images.geometry import Geometry
from evaljobs.images.reading import digest_of, read_bytes

__all__ = ["Block", "Failure", "Geometry", "decode", "decode_block"]

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}


class Failure(NamedTuple):
    """An image that has no pixels in a geometry."""

    digest: bytes
    kind: ImageErrorKind
    message: str


class Block(NamedTuple):
    """The decoded images of a shard.

    Attributes
    ----------
    pixels
        uint8 [m, h, w, c], C-contiguous.
    digests
        The m image digests, row by row.
    failures
        Images without pixels. Kind UNREADABLE (no memory) says nothing about the bytes: do not remember it.
    changed
        Uris that no longer hold the bytes of their digest, or cannot be read any more: list them again.
    """

    pixels: npt.NDArray[np.uint8]
    digests: list[bytes]
    failures: list[Failure]
    changed: list[str]


def decode(data: bytes, geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Decode one encoded image.

    Of several frames the first is taken. Alpha is dropped, and values above 255 are saturated, as Pillow's ``convert``
    does it; `evaljobs.images.notices` names such images.

    Returns
    -------
    uint8 [height, width, channels], C-contiguous.

    Raises
    ------
    ImageError
        Whatever the bytes hold: no other exception leaves here.
    """
    with pillow.guarded(geometry.max_pixels):
        image = pillow.open_image(data, geometry.max_pixels)
        try:
            return _pixels(image, geometry)
        except ImageError:
            raise
        except MemoryError:
            raise pillow.out_of_memory() from None
        except Exception as error:  # a hostile file can raise anything
            message = f"the {image.format} cannot be decoded: {pillow.describe(error)}"
            raise ImageError(ImageErrorKind.DAMAGED, message) from None


def decode_block(uris: Sequence[str], digests: Sequence[bytes], geometry: Geometry) -> Block:
    """Read and decode the images of a shard, in order.

    Parameters
    ----------
    uris, digests
        Where each image was and the digest its bytes had when they were looked at; equal lengths.
    """
    pixels = np.empty((len(uris), geometry.height, geometry.width, geometry.channels), np.uint8)
    block = Block(pixels, [], [], [])
    with pillow.guarded(geometry.max_pixels):
        for uri, digest in zip(uris, digests, strict=True):
            data = _unchanged(uri, digest)
            if data is None:
                block.changed.append(uri)
                continue
            try:
                pixels[len(block.digests)] = decode(data, geometry)
                block.digests.append(digest)
            except ImageError as error:
                block.failures.append(Failure(digest, error.kind, str(error)))
    return block._replace(pixels=pixels[: len(block.digests)])


def _unchanged(uri: str, digest: bytes) -> bytes | None:
    try:
        data = read_bytes(uri)
    except ImageError:
        return None
    return data if digest_of(data) == digest else None


def _pixels(image: Image.Image, geometry: Geometry) -> npt.NDArray[np.uint8]:
    image.load()
    if geometry.exif_orientation:
        image = ImageOps.exif_transpose(image)
    # The conversion carries this entry along, warning about it, and no pixel depends on it.
    image.info.pop("transparency", None)
    image = _resized(image.convert("L" if geometry.color == "gray" else "RGB"), geometry)
    pixels = np.asarray(image, np.uint8).reshape(geometry.height, geometry.width, geometry.channels)
    return np.ascontiguousarray(pixels[..., ::-1] if geometry.color == "bgr" else pixels)


def _resized(image: Image.Image, geometry: Geometry) -> Image.Image:
    resample = _FILTERS[geometry.interpolation]
    size = geometry.width, geometry.height
    if geometry.resize == "stretch":
        return image.resize(size, resample)
    if geometry.resize == "pad":
        fitted = image.resize(geometry_module.fit(*image.size, *size), resample)
        padded = Image.new(image.mode, size, (geometry.pad_value,) * len(image.getbands()))
        padded.paste(fitted, (round((size[0] - fitted.width) * 0.5), round((size[1] - fitted.height) * 0.5)))
        return padded
    scaled = geometry_module.shorter_to(*image.size, geometry.shorter_side or max(size))
    pillow.check_pixels(*scaled, geometry.max_pixels, "scaled for the crop it has")
    return image.resize(scaled, resample).crop(geometry_module.centre_crop_box(*scaled, *size))
