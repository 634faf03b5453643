"""What is said about images that decode, but not as people may think."""

from __future__ import annotations

import pyarrow as pa
import pytest

from evaljobs.images.notices import ImageNotice, count_notices, notices


@pytest.mark.parametrize(
    ("mode", "frames", "expected"),
    [
        ("RGB", 1, set()),
        ("L", None, set()),
        ("P", 1, set()),
        ("1", 1, set()),
        (None, None, set()),
        ("I;16", 1, {ImageNotice.SATURATED}),
        ("I;16B", 1, {ImageNotice.SATURATED}),
        ("I", 1, {ImageNotice.SATURATED}),
        ("F", 3, {ImageNotice.FLOAT, ImageNotice.ANIMATED}),
        ("RGBA", 2, {ImageNotice.ALPHA, ImageNotice.ANIMATED}),
        ("LA", 1, {ImageNotice.ALPHA}),
        ("CMYK", 1, {ImageNotice.CMYK}),
    ],
)
def test_a_header_tells_what_the_conversion_does(mode, frames, expected):
    """Each lossy conversion has a name; 8-bit images have none to be said."""
    assert notices(mode, frames) == expected


def test_a_run_can_count_them():
    """Counts come from the samples table; what does not occur is left out."""
    modes = ["RGB", "RGBA", None, "RGBA", "I;16", "RGBA", "RGB"]
    frames = [1, 1, None, 2, 1, None, 5]
    samples = pa.table({"sample_id": list("abcdefg"), "mode": modes, "frames": pa.array(frames, pa.int32())})
    assert count_notices(samples) == {ImageNotice.SATURATED: 1, ImageNotice.ANIMATED: 2, ImageNotice.ALPHA: 3}
    assert count_notices(samples.slice(0, 1)) == {}


def test_every_notice_is_explained():
    """A name alone helps nobody."""
    assert all(len(notice.explanation) > 20 for notice in ImageNotice)
    assert len(ImageNotice) == 5
