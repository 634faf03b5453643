"""From encoded bytes to pixels that equal torchvision's on the same file.

The reference is ``Image.open(file).convert("RGB")`` with torchvision's ``Resize`` (and ``CenterCrop``) on the Pillow
image, before ``ToTensor``: https://docs.pytorch.org/vision/stable/transforms.html. The rest is in `normalise`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images import geometry as geometry_module
from evaljobs.images import pillow
from evaljobs.images.draft import Box, draft, scaled_size
from evaljobs.images.geometry import Geometry
from evaljobs.images.reading import Answer, digest_of, read_images
from evaljobs.images.views import steps
from evaljobs.images.views.chain import Change

__all__ = ["Block", "Failure", "Geometry", "decode", "decode_block"]


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
        Digests of images whose uris no longer hold the bytes they had, or cannot be read any more: list them again.
    """

    pixels: npt.NDArray[np.uint8]
    digests: list[bytes]
    failures: list[Failure]
    changed: list[bytes]


def decode(data: bytes, geometry: Geometry, change: Change | None = None) -> npt.NDArray[np.uint8]:
    """Decode one encoded image, changed as a view says.

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
        with pillow.explained(image):
            return _pixels(image, geometry, change)


def decode_block(
    uris: Sequence[str], digests: Sequence[bytes], geometry: Geometry, changes: Mapping[bytes, Change] | None = None
) -> Block:
    """Read and decode the images of a shard, in order. A file that stands there several times in a row is read once.

    Parameters
    ----------
    uris, digests
        Where each image was and its digest when its bytes were looked at; equal lengths.
    changes
        By image digest: what is done to the images that a view changes.

    Raises
    ------
    RemoteError
        If S3 denies an image or does not answer: that is no property of the image.
    """
    pixels = np.empty((len(uris), geometry.height, geometry.width, geometry.channels), np.uint8)
    block = Block(pixels, [], [], [])
    changes = changes or {}
    with pillow.guarded(geometry.max_pixels), contextlib.closing(_bytes_of(uris)) as answers:
        for digest, (data, found) in zip(digests, answers, strict=True):
            change = changes.get(digest)
            if isinstance(data, ImageError) or found != (digest if change is None else change.file):
                block.changed.append(digest)
                continue
            try:
                pixels[len(block.digests)] = decode(data, geometry, change)
                block.digests.append(digest)
            except ImageError as error:
                block.failures.append(Failure(digest, error.kind, str(error)))
    return block._replace(pixels=pixels[: len(block.digests)])


def _bytes_of(uris: Sequence[str]) -> Generator[tuple[Answer, bytes]]:
    """Yield what is read for each uri, and its digest; equal neighbours are read once."""
    runs = [(uri, len(list(run))) for uri, run in itertools.groupby(uris)]
    with contextlib.closing(read_images([uri for uri, _ in runs])) as answers:
        for (_, times), data in zip(runs, answers, strict=True):
            digest = b"" if isinstance(data, ImageError) else digest_of(data)
            yield from itertools.repeat((data, digest), times)


def _pixels(image: Image.Image, geometry: Geometry, change: Change | None) -> npt.NDArray[np.uint8]:
    changed = change is not None and bool(change.chain.at("file"))
    opened = image.size
    # A view changes the whole picture, as it is.
    box = draft(image, geometry) if geometry.decoder == "draft" and not changed else None
    image.load()
    # Loading turns some TIFF files.
    full = image.size if box is None else opened
    if geometry.exif_orientation:
        stored = image
        image = ImageOps.exif_transpose(stored)
        if image is not stored:
            # Turned, the box might begin elsewhere; it leaves out less than a pixel.
            box, full = None, (full if image.size == stored.size else full[::-1])
    # The conversion carries this entry along, warning about it, and no pixel depends on it.
    image.info.pop("transparency", None)
    if changed:
        image = steps.apply(steps.as_picture(image), change, "file", geometry.max_pixels)
        full = image.size
    image = _resized(image.convert("L" if geometry.color == "gray" else "RGB"), geometry, full, box)
    image = steps.apply(image, change, "input", geometry.max_pixels)
    pixels = np.asarray(image, np.uint8).reshape(geometry.height, geometry.width, geometry.channels)
    return np.ascontiguousarray(pixels[..., ::-1] if geometry.color == "bgr" else pixels)


def _resized(image: Image.Image, geometry: Geometry, full: tuple[int, int], box: Box | None) -> Image.Image:
    """Resize an image of full (width, height), of which `box` shows all where it was decoded smaller."""
    resample = pillow.FILTERS[geometry.interpolation]
    size = geometry.width, geometry.height
    scaled = scaled_size(*full, geometry)
    if geometry.resize == "crop":
        pillow.check_pixels(*scaled, geometry.max_pixels, "scaled for the crop it has")
        resized = image.resize(scaled, resample, box)
        return resized.crop(geometry_module.centre_crop_box(*scaled, *size))
    resized = image.resize(scaled, resample, box)
    if geometry.resize == "stretch":
        return resized
    padded = Image.new(image.mode, size, (geometry.pad_value,) * len(image.getbands()))
    padded.paste(resized, (round((size[0] - resized.width) * 0.5), round((size[1] - resized.height) * 0.5)))
    return padded
