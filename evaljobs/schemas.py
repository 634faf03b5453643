"""The layout of every Arrow file that is written, with its version: one place, so that readers and writers agree.

An image digest is the sha256 of an image's encoded bytes; of an image that a view changes, a hash of these and of what
is done to it (evaljobs.images.views.chain). 32 bytes, in Arrow ``fixed_size_binary(32)``.
"""

from __future__ import annotations

import pyarrow as pa

STORE_VERSION = 1
RESULTS_VERSION = 1

DIGEST = pa.binary(32)

# The images of one set in listing order, unique by sample_id, before and after their bytes were looked at.
LISTING = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size", pa.int64()),  # bytes of the encoded image; null where it cannot be known
        pa.field("mtime_ns", pa.int64()),  # of a local file; of the container where the image is inside one
        pa.field("etag", pa.string()),  # of an object on S3; of the container where the image is inside one
    ]
)

# What a container (Parquet file or tar) lists, remembered by its version.
ENTRIES = pa.schema(
    [
        pa.field("container", pa.string(), nullable=False),  # its uri and etag
        pa.field("name", pa.string()),  # id, path or key; null where the container gives none
        pa.field("label", pa.string()),  # null where it has none
        pa.field("origin", pa.string()),  # what the label was taken from; why there is no image
        pa.field("uri", pa.string()),  # null where there is no image
        pa.field("size", pa.int64()),  # bytes of the encoded image; null where it cannot be known
    ]
)

SAMPLES = pa.schema(
    [
        *LISTING,
        pa.field("image_digest", DIGEST),  # of the image in this set; null where the bytes cannot be read
        pa.field("format", pa.string()),  # Pillow's name: PNG, JPEG, ...; null where no image was recognised
        pa.field("mode", pa.string()),  # Pillow's mode: RGB, L, P, CMYK, I;16, ...
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("frames", pa.int32()),  # pictures in the file: above 1 for animations and pages
        # How the file was saved, and by what: of the file, whatever a view makes of it.
        pa.field("jpeg_quality", pa.int32()),  # 1 to 100, estimated; null where it is no JPEG
        pa.field("jpeg_tables", pa.string()),  # digest of its quantisation tables, 16 hexadecimal digits
        pa.field("subsampling", pa.string()),  # of a JPEG's colours: 4:4:4, 4:2:0, ..., gray
        pa.field("progressive", pa.bool_()),  # or interlaced (PNG); null for other formats
        pa.field("exif", pa.bool_()),  # whether it has EXIF data
        pa.field("orientation", pa.int32()),  # 1 to 8; null where it is not said
        pa.field("camera", pa.string()),  # make and model
        pa.field("software", pa.string()),
        pa.field("icc", pa.bool_()),  # whether it has a colour profile
        pa.field("bytes_per_pixel", pa.float64()),  # of the encoded image
        pa.field("file_digest", DIGEST),  # of the file's bytes: another one than the image's where a view changes it
    ],
    metadata={"evaljobs.schema": "samples/4"},
)

# What was found out about model files, as JSON, by what tells that they have not changed (evaljobs.models.known).
MODEL_FACTS = pa.schema([pa.field("key", pa.string(), nullable=False), pa.field("facts", pa.string(), nullable=False)])

# Model keys whose batch did not fit the memory (evaljobs.engine.batches).
TOO_LARGE_BATCHES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("memory_bytes", pa.int64()),  # of the machine, or share of a GPU, that had least; null: nobody told
    ]
)

# What cannot be decoded, per geometry.
FAILURES = pa.schema(
    [
        pa.field("image_digest", DIGEST, nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # ImageErrorKind
        pa.field("message", pa.string(), nullable=False),
    ]
)

# Small pictures by image digest; null where the image cannot be read or decoded.
THUMBNAILS = pa.schema(
    [pa.field("image_digest", DIGEST, nullable=False), pa.field("thumbnail", pa.binary())],
    metadata={"evaljobs.schema": "thumbnails/1"},
)
