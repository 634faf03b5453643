"""Memory that is freed stays with the process, and is used again for the next image."""

from __future__ import annotations

import ctypes
import functools
import sys

# Of mallopt(3), as in glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
# The most that every glibc takes: the pixels of 8 megapixels as Pillow holds them. Twice that stays when it is freed.
_KEPT_BYTES = 32 * 2**20


@functools.cache
def keep_freed_memory() -> None:
    """Keep up to 64 MiB that are freed, in this process, from now on; elsewhere than on glibc, do nothing.

    By itself the allocator gives the memory of an image back to the system when the image is done, and the system fills
    what it hands out for the next one with zeros, page by page: 800 page faults for 640 x 640 pixels, which take
    as long as three quarters of decoding them. It learns better only where a larger piece happens to be freed first.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, 2 * _KEPT_BYTES)
