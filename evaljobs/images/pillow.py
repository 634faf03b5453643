"""The guarded door to Pillow: which formats are read, under which limits, and what its errors mean.

Pillow keeps its limits in module variables and speaks through warnings. `guarded` sets both for as long as somebody
is inside, so that a result depends neither on what the process has set before nor on its warning filters.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
import threading
import warnings
from collections.abc import Iterator

from PIL import Image, ImageFile, UnidentifiedImageError

from evaljobs.errors import ImageError, ImageErrorKind

# Formats that are told by their first bytes and decoded in this process. EPS (which runs Ghostscript), fonts, films and
# scientific containers are left out on purpose: an image set from elsewhere is hostile input.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

# By the names that geometries have for them.
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}

_READ = (
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
)
_NOT_READ = (
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


@functools.cache
def _readable_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


class _Guard:
    """What is set while anybody decodes, counted, since the settings belong to the whole process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: list[int] = []
        self._saved: tuple[int | None, bool] = (None, False)
        self._warnings = contextlib.ExitStack()

    def enter(self, max_pixels: int) -> None:
        with self._lock:
            if not self._limits:
                self._saved = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
                self._warnings.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"PIL\.")
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            self._limits.append(max_pixels)
            self._set_limit()

    def leave(self, max_pixels: int) -> None:
        with self._lock:
            self._limits.remove(max_pixels)
            if self._limits:
                self._set_limit()
            else:
                self._warnings.close()
                Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = self._saved

    def _set_limit(self) -> None:
        # Pillow raises above twice its limit. The exact check is ours; this bounds what its plugins allocate.
        Image.MAX_IMAGE_PIXELS = (max(self._limits) + 1) // 2


_GUARD = _Guard()


@contextlib.contextmanager
def guarded(max_pixels: int) -> Iterator[None]:
    """Run Pillow without its warnings, refusing truncated images and, inside its plugins, more than `max_pixels`.

    May be nested, and entered by several threads.
    """
    _GUARD.enter(max_pixels)
    try:
        yield
    finally:
        _GUARD.leave(max_pixels)


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """Read the header of an encoded image, by its content and not its name; to be called inside `guarded`.

    Raises
    ------
    ImageError
        EMPTY, NOT_AN_IMAGE, UNSUPPORTED, DAMAGED, or TOO_LARGE by the header alone.
    """
    if not data:
        raise ImageError(ImageErrorKind.EMPTY, "the file is empty (0 bytes)")
    try:
        image = Image.open(io.BytesIO(data), formats=_readable_formats())
    except Image.DecompressionBombError:
        raise ImageError(ImageErrorKind.TOO_LARGE, f"its header asks for more than {max_pixels:,} pixels") from None
    except MemoryError:
        raise out_of_memory() from None
    except Exception as error:  # a hostile header can raise anything
        raise _unopened(data, error) from None
    width, height = image.size
    check_pixels(width, height, max_pixels, "it has")
    return image


def check_pixels(width: int, height: int, max_pixels: int, what: str) -> None:
    """Refuse sizes without a pixel, and with too many.

    Raises
    ------
    ImageError
        DAMAGED or TOO_LARGE.
    """
    if min(width, height) < 1:
        raise ImageError(ImageErrorKind.DAMAGED, f"{what} {width} x {height} pixels")
    if width * height > max_pixels:
        raise ImageError(
            ImageErrorKind.TOO_LARGE,
            f"{what} {width:,} x {height:,} = {width * height:,} pixels, above the limit of {max_pixels:,}; "
            "raise `max_image_pixels` if that is right",
        )


def out_of_memory() -> ImageError:
    """Return the error for want of memory: it says nothing about the bytes, so it is not to be remembered."""
    return ImageError(ImageErrorKind.UNREADABLE, "there was not enough memory to decode it")


def _unopened(data: bytes, error: Exception) -> ImageError:
    """Say what it is that Pillow did not open."""
    if other := _unsupported(data):
        message = f"it is {other}, which is not read; convert it to PNG"
        return ImageError(ImageErrorKind.UNSUPPORTED, message)
    if name := _signature(data):
        reason = "" if isinstance(error, UnidentifiedImageError) else f" ({describe(error)})"
        message = f"it begins like {name}, but its header is damaged or of a variety that Pillow does not read{reason}"
        return ImageError(ImageErrorKind.DAMAGED, message)
    message = f"it is not an image of a known format; it begins with {data[:12]!r}"
    return ImageError(ImageErrorKind.NOT_AN_IMAGE, message)


def _signature(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:12] in {b"ftypavif", b"ftypavis"}:
        return "AVIF"
    if re.match(rb"P[1-6]\s+[#\d]", data[:64]):
        return "PPM"
    return next((name for start, name in _READ if data.startswith(start)), None)


def _unsupported(data: bytes) -> str | None:
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in head):
        return "SVG"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "HEIC"
    return next((name for start, name in _NOT_READ if data.startswith(start)), None)


def describe(error: BaseException) -> str:
    """Return an exception of Pillow's in one line."""
    text = " ".join(str(error).split())[:200]
    return text or type(error).__name__


@contextlib.contextmanager
def explained(image: Image.Image) -> Iterator[None]:
    """Turn whatever decoding an image raises into an ImageError: a hostile file can raise anything."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError:
        raise out_of_memory() from None
    except Exception as error:
        message = f"the {image.format} cannot be decoded: {describe(error)}"
        raise ImageError(ImageErrorKind.DAMAGED, message) from None
