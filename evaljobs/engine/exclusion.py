"""Which samples are left out, why, and whether they are too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.engine.image_sets import ImageSet
from evaljobs.engine.output import Output, failures_csv
from evaljobs.engine.prepare import Prepared
from evaljobs.errors import RunFailedError
from evaljobs.schemas import DIGEST

_FILE = "failures.csv"

Row = tuple[str, str, str, str, str]


class Exclusion:
    """The images that cannot be used, so far.

    What a decoder refuses follows from the bytes and stands in the store; what could not be read this time does not.
    """

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        known = prepared.failures()
        self._reasons: dict[bytes, tuple[str, str]] = {}
        self.add(zip(*(known[name].to_pylist() for name in ("image_digest", "kind", "message")), strict=True))

    def add(self, failures: Iterable[tuple[bytes, str, str]]) -> None:
        """Add images by (digest, kind, message); the first reason stays."""
        for digest, kind, message in sorted(failures):
            self._reasons.setdefault(digest, (kind, message))

    @property
    def digests(self) -> pa.Array:
        """The digests of all excluded images."""
        return pa.array(sorted(self._reasons), DIGEST)

    def rows(self, image_set: ImageSet) -> list[Row]:
        """Return the excluded samples of a set, in listing order: set, sample id, uri, kind, message."""
        unreadable = {f.sample_id: (str(f.kind), f.message) for f in image_set.unreadable}
        samples = image_set.samples.select(["sample_id", "uri", "image_digest"])
        digests = samples["image_digest"]
        out = samples.filter(pc.or_(pc.is_null(digests), pc.is_in(digests, value_set=self.digests)))
        columns = (column.to_pylist() for column in out.columns)
        return [
            (image_set.name, sample, uri, *(unreadable[sample] if digest is None else self._reasons[digest]))
            for sample, uri, digest in zip(*columns, strict=True)
        ]

    def check(self, out: Output) -> None:
        """Write failures.csv; end the run when too many images failed, or none is left of a set.

        Raises
        ------
        RunFailedError
            Naming how many, the first, and what to do.
        """
        by_set = {name: self.rows(image_set) for name, image_set in self._prepared.sets.items()}
        out.write(_FILE, failures_csv(row for rows in by_set.values() for row in rows))
        for name, rows in by_set.items():
            total = self._prepared.sets[name].samples.num_rows
            limit = self._prepared.config.max_failed_images
            if len(rows) > limit * total or len(rows) == total:
                allowed = "none is left" if len(rows) == total else f"more than the {limit:.2%} allowed"
                raise RunFailedError(_too_many(name, rows, total, allowed, out.name_of(_FILE)))


def _too_many(name: str, rows: list[Row], total: int, allowed: str, listed: str) -> str:
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(row[3] for row in rows).most_common())
    first = "\n".join(f"  {sample}: {message}" for _, sample, _, _, message in rows[:5])
    return (
        f"{len(rows):,} of {total:,} images of the set {name!r} cannot be used ({kinds}), {allowed}. "
        f"The first:\n{first}\nAll are listed in {listed}. Mend or remove them, or raise "
        "`max_failed_images`; what was computed is kept"
    )
