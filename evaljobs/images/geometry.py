"""How pixels are made, as one specification, and the arithmetic of sizes that goes with it."""

from __future__ import annotations

import functools
import importlib.metadata
from dataclasses import asdict, dataclass
from typing import Literal, get_args

Color = Literal["rgb", "bgr", "gray"]
Resize = Literal["stretch", "crop", "pad"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
Decoder = Literal["exact", "draft"]

# Twice Pillow's own default warning level: where Pillow by itself refuses an image.
DEFAULT_MAX_PIXELS = 178_956_970


# Said of every model whose images are decoded so.
DRAFT_NOTE = (
    "decoded with draft: JPEGs far larger than the model's input are decoded at 1/2, 1/4 or 1/8 of their size, and "
    "their pixels differ from torchvision's"
)


_WORDS = {"color": Color, "resize": Resize, "interpolation": Interpolation, "decoder": Decoder}


@functools.cache
def decoder() -> str:
    """Return name and version of the decoder, which belong to the key of all pixels that it makes."""
    return f"pillow {importlib.metadata.version('pillow')}"


@dataclass(frozen=True)
class Geometry:
    """How pixels are made. Equal geometries give equal pixels, and what its way of resizing does not use is dropped.

    Attributes
    ----------
    height, width
        Of the result, in pixels.
    color
        Order of the channels: three, or one for ``gray`` (Pillow's conversion to L).
    resize
        ``stretch`` to the size; ``crop``: shorter side to `shorter_side`, then the centre; ``pad``: fit, then fill.
    shorter_side
        With ``crop``: pixels; None for the larger of height and width.
    pad_value
        With ``pad``: 0 to 255, on all channels.
    interpolation
        Pillow's filter of that name; its support grows with the scale (antialiasing), ``nearest`` aside.
    exif_orientation
        Turn the image upright as its EXIF data say.
    decoder
        ``exact``, or ``draft``: large JPEGs are scaled down while they are decoded, and pixels differ.
    max_pixels
        An image of more, as it is or scaled for the crop, is refused.

    Raises
    ------
    ValueError
        If a value is outside its range.
    """

    height: int
    width: int
    color: Color = "rgb"
    resize: Resize = "stretch"
    shorter_side: int | None = None
    pad_value: int = 0
    interpolation: Interpolation = "bilinear"
    exif_orientation: bool = False
    decoder: Decoder = "exact"
    max_pixels: int = DEFAULT_MAX_PIXELS

    def __post_init__(self) -> None:
        for name, words in _WORDS.items():
            if getattr(self, name) not in get_args(words):
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(get_args(words))}")
        shorter_side = (self.shorter_side or max(self.height, self.width)) if self.resize == "crop" else None
        object.__setattr__(self, "shorter_side", shorter_side)
        object.__setattr__(self, "pad_value", self.pad_value if self.resize == "pad" else 0)
        if min(self.height, self.width, shorter_side or 1, self.max_pixels) < 1:
            raise ValueError("height, width, shorter_side and max_pixels are at least 1")
        if not 0 <= self.pad_value <= 255:
            raise ValueError(f"pad_value is {self.pad_value}; expected 0 to 255")

    @property
    def channels(self) -> int:
        """Channels of the result: 1 or 3."""
        return 1 if self.color == "gray" else 3

    def key(self) -> dict[str, str | int | bool | None]:
        """Return all that determines the pixels, and which images have none: JSON, the decoder's version included."""
        return {**asdict(self), "decoder": decoder() + ("" if self.decoder == "exact" else f" {self.decoder}")}


def shorter_to(width: int, height: int, side: int) -> tuple[int, int]:
    """Scale (width, height) so that the shorter is `side`; the longer is truncated, as in torchvision's Resize."""
    if width <= height:
        return side, int(side * height / width)
    return int(side * width / height), side


def fit(width: int, height: int, into_width: int, into_height: int) -> tuple[int, int]:
    """Scale (width, height) to the largest size within another; rounded as Pillow's ImageOps.contain, at least 1."""
    if width * into_height >= height * into_width:
        return into_width, max(1, round(height / width * into_width))
    return max(1, round(width / height * into_height)), into_height


def centre_crop_box(width: int, height: int, to_width: int, to_height: int) -> tuple[int, int, int, int]:
    """Return the (left, top, right, bottom) of torchvision's CenterCrop; what lies outside the image is to be black."""
    left, top = _crop_start(width, to_width), _crop_start(height, to_height)
    return left, top, left + to_width, top + to_height


def _crop_start(have: int, want: int) -> int:
    # torchvision pads before it crops, more after than before where the missing pixels are odd.
    return -((want - have) // 2) if want > have else round((have - want) / 2.0)
