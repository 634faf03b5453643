"""The content-addressed cache of embedding tables and results that runs share.

    <store>/evaljobs-store.json            the version of this layout
    <store>/tables/<model key>/            key.json, part-*.arrow: image digest and one model's outputs
    <store>/failures/<geometry>/           key.json, part-*.arrow: what cannot be decoded
    <store>/listings/<source>/             part-*.arrow: (uri, size, mtime) and what was found there
    <store>/results/<evaluation key>/      result.json and its tables
    <store>/rates/                         seconds a step, for forecasts
    <store>/uses/                          what runs have used, and which are at work

But for rates and uses, nothing in it is ever changed: a file appears whole, under a name that follows from what it
holds or is a function of, or not at all.
"""

from evaljobs.store.store import Store
from evaljobs.store.tables import Table

__all__ = ["Store", "Table"]
