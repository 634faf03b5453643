"""Whether metadata tell labels: file format, quality, size, EXIF data and the like, without a look at a pixel."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from evaljobs.audit.fields import fields_of
from evaljobs.audit.finding import Checked
from evaljobs.audit.metadata_findings import all_alike, findings_of, table_of, tell, too_few
from evaljobs.audit.permuting import LEVEL, PERMUTATIONS, can_tell, permutation_test
from evaljobs.audit.units import units_of
from evaljobs.errors import InputError
from evaljobs.pairs.given import integer, values
from evaljobs.pairs.labels import factorise

# Of more images a part is looked at, labels alike.
MOST_IMAGES = 20_000
MOST_PERMUTATIONS = 1_000_000


def check_metadata(  # noqa: PLR0913 - what people may choose has a name
    samples: pa.Table,
    labels: Sequence[str],
    digests: pa.Array | pa.ChunkedArray,
    *,
    own: Sequence[str] = (),
    permutations: int = PERMUTATIONS,
    most: int = MOST_IMAGES,
    seed: int = 0,
) -> Checked:
    """Find out whether how images were saved tells their labels, or genuine pairs from impostors.

    A field is suspicious where, with labels in random order, no field of the family looks as telling in 99% of the
    orders (`permuting.permutation_test`). It is a leak where it is strong, too: an AUROC of at least
    `metadata_findings.LEAK` by itself. Bytes depend on what is shown as well, and are suspicious at most.

    Parameters
    ----------
    samples
        Facts of the images' files: columns of schemas.SAMPLES, ``[n]`` rows.
    labels
        ``n`` texts.
    digests
        ``[n]`` digests of the files: copies count once, and never stand on both sides of a split.
    own
        Further columns of `samples` that may tell labels: of people's own manifest.
    permutations
        Random orders of the labels.
    most
        Of more images a random part is looked at, labels alike.
    seed
        Of the random orders, splits, and the choice of images.

    Returns
    -------
    A finding on all fields but bytes, and one on bytes where they tell labels. Table ``fields``, a row for each field
    in which images differ, most telling first: ``field``, ``auroc`` (labels, mean over classes), ``label`` (told
    best), ``label_auroc``, ``pair_auroc`` (genuine against impostor), ``p`` (for the whole family), ``verdict``,
    ``n_values``, ``n_known``.

    Raises
    ------
    InputError
        If there are not as many of each, a label or a digest is missing, or an own column is not there or holds neither
        numbers nor texts.
    """
    _refuse_unusable(samples, digests)
    codes, names = factorise(labels)
    labels, own = [str(names[code]) for code in codes], values(own, "own", "a list of names of columns")
    permutations = integer(permutations, "permutations", 1, MOST_PERMUTATIONS)
    most, seed = integer(most, "most", 1), integer(seed, "seed", 0)
    if not samples.num_rows == len(labels) == len(digests):
        raise InputError(
            f"found {samples.num_rows:,} samples, {len(labels):,} labels and {len(digests):,} digests; expected as "
            "many of each"
        )
    if lacking := [name for name in own if name not in samples.column_names]:
        raise InputError(f"found no column {lacking[0]!r}; the columns are {', '.join(samples.column_names)}")
    units = units_of(labels, digests, most, seed)
    looked = {
        "n_images": len(labels),
        "n_images_looked_at": len(units.rows),
        "n_labels": len(units.names),
        "permutations": permutations,
        "level": LEVEL,
    }
    try:
        fields = fields_of(samples.take(pa.array(units.rows, pa.int64())), own)
    except pa.ArrowException as error:
        raise InputError(
            f"found a column of samples that holds neither numbers nor texts, or not those that its name says: {error}"
        ) from None
    if not fields:
        return Checked((all_alike(looked),), {"fields": table_of([], ())})
    if not can_tell(units.labels):
        return Checked((too_few(looked, fields),), {"fields": table_of([], ())})
    significance = permutation_test(fields, units.labels, len(units.names), permutations=permutations, seed=seed)
    told = [tell(field, units, significance.p[field.name]) for field in fields]
    return Checked(findings_of(told, units, looked, seed), {"fields": table_of(told, units.names)})


def _refuse_unusable(samples: object, digests: object) -> None:
    if not isinstance(samples, pa.Table):
        raise InputError(f"found samples of type {type(samples).__name__}; expected a table of Arrow (pyarrow.Table)")
    if not isinstance(digests, pa.Array | pa.ChunkedArray):
        raise InputError(f"found digests of type {type(digests).__name__}; expected an array of Arrow (pyarrow.array)")
    if digests.null_count:
        raise InputError(
            f"found {digests.null_count:,} digests that are null; expected the digest of each image's file"
        )
