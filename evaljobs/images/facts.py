"""What the encoded bytes of an image say, without decoding a pixel: how it was saved, and by what."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image, JpegImagePlugin, TiffImagePlugin

from evaljobs.errors import ImageError
from evaljobs.images import exif, jpeg_tables, pillow
from evaljobs.images.reading import digest_of

# Headers of images too large to decode are described too, up to what a GIF's header may make Pillow allocate (1 GiB).
MAX_HEADER_PIXELS = 2**30


class Facts(NamedTuple):
    """What a file's bytes say, in the order of the columns of schemas.SAMPLES, `file_digest` aside."""

    image_digest: bytes | None = None
    format: str | None = None
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    jpeg_quality: int | None = None
    jpeg_tables: str | None = None
    subsampling: str | None = None
    progressive: bool | None = None
    exif: bool | None = None
    orientation: int | None = None
    camera: str | None = None
    software: str | None = None
    icc: bool | None = None
    bytes_per_pixel: float | None = None


class _Saved(NamedTuple):
    """How it was compressed: the columns of that name."""

    jpeg_quality: int | None = None
    jpeg_tables: str | None = None
    subsampling: str | None = None
    progressive: bool | None = None


class _Written(NamedTuple):
    """What was written beside the pixels: the columns of that name."""

    exif: bool | None = None
    orientation: int | None = None
    camera: str | None = None
    software: str | None = None
    icc: bool | None = None


def facts_of(data: bytes) -> Facts:
    """Return digest and header facts of encoded bytes; all but the digest are null where no image is recognised."""
    digest = digest_of(data)
    with pillow.guarded(MAX_HEADER_PIXELS):
        try:
            image = pillow.open_image(data, MAX_HEADER_PIXELS)
        except ImageError:
            return Facts(digest)
        width, height = image.size
        # Before frames are counted: to do that, Pillow goes through the file, and takes notes of what it finds.
        saved, written = _saved(image), _written(image)
        frames = _frames(image)
        found = Facts(
            digest, image.format, image.mode, width, height, frames, bytes_per_pixel=len(data) / (width * height)
        )
        return found._replace(**saved._asdict(), **written._asdict())


def _frames(image: Image.Image) -> int | None:
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # the later frames of a damaged file can raise anything, and the first may be whole
        return None


def _saved(image: Image.Image) -> _Saved:
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        found = jpeg_tables.described(image.quantization, image.layer)
        return _Saved(*found, bool(image.info.get("progressive")))
    return _Saved(progressive=bool(image.info.get("interlace")) if image.format == "PNG" else None)


def _written(image: Image.Image) -> _Written:
    icc = bool(image.info.get("icc_profile"))
    software = image.info.get("Software")  # of PNG
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _Written(*exif.of_tags(image.tag_v2), icc)
    data = image.info.get("exif")
    if not isinstance(data, bytes) or not data:
        return _Written(exif=False, software=exif.clean(software), icc=icc)
    found = exif.of_bytes(data)
    return _Written(*found._replace(software=found.software or exif.clean(software)), icc)
