"""What Pillow's conversion does to an image without a word, named so that a run can count it.

Nothing here excludes an image: the pixels equal torchvision's, and people are told what that means.
"""

from __future__ import annotations

import enum

import pyarrow as pa


class ImageNotice(enum.StrEnum):
    """What happened to an image on its way to 8-bit RGB or grey."""

    SATURATED = "saturated"
    FLOAT = "float"
    ANIMATED = "animated"
    ALPHA = "alpha"
    CMYK = "cmyk"

    @property
    def explanation(self) -> str:
        """The rest of a sentence that begins with "12 images"."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    ImageNotice.SATURATED: "have more than 8 bits a pixel: values above 255 become 255 (white), they are not scaled; "
    "convert the files to 8 bits first if that is not meant",
    ImageNotice.FLOAT: "hold floating-point pixels: they are cut to integers from 0 to 255, not scaled",
    ImageNotice.ANIMATED: "hold several pictures (animation or pages): the first is taken",
    ImageNotice.ALPHA: "have an alpha channel: it is dropped, what lies under transparent pixels shows",
    ImageNotice.CMYK: "are CMYK: converted without their colour profile",
}


def notices(mode: str | None, frames: int | None = None) -> frozenset[ImageNotice]:
    """Return what is to be said about an image.

    Parameters
    ----------
    mode
        Pillow's mode of the header; None where no image was recognised.
    frames
        Pictures in the file; None where unknown.
    """
    mode = mode or ""
    found = {
        ImageNotice.SATURATED: mode == "I" or mode.startswith("I;16"),
        ImageNotice.FLOAT: mode == "F",
        ImageNotice.ANIMATED: (frames or 1) > 1,
        ImageNotice.ALPHA: mode in {"RGBA", "LA", "PA", "RGBa", "La"},
        ImageNotice.CMYK: mode == "CMYK",
    }
    return frozenset(notice for notice, holds in found.items() if holds)


def count_notices(samples: pa.Table) -> dict[ImageNotice, int]:
    """Count the images of a samples table (columns mode, frames) by notice; those that do not occur are left out."""
    counts: dict[ImageNotice, int] = {}
    kinds = samples.select(["mode", "frames"]).group_by(["mode", "frames"]).aggregate([([], "count_all")])
    for kind in kinds.to_pylist():
        for notice in notices(kind["mode"], kind["frames"]):
            counts[notice] = counts.get(notice, 0) + kind["count_all"]
    return {notice: counts[notice] for notice in ImageNotice if notice in counts}
