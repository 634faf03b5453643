"""Facts that the bytes of images say, without decoding them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, PngImagePlugin

from evaljobs import schemas
from evaljobs.config import Images
from evaljobs.engine.image_sets import look_at, source_of
from evaljobs.images import facts, looking
from evaljobs.images.exif import of_bytes
from evaljobs.images.facts import Facts, facts_of
from evaljobs.images.jpeg_tables import subsampling
from evaljobs.images.listing import list_images
from evaljobs.progress import Quiet
from evaljobs.store import Store

# What the third version of looks did not know.
NEW = Facts._fields[6:]
TAGS = {"orientation": 0x0112, "make": 0x010F, "model": 0x0110, "software": 0x0131}


@pytest.fixture
def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8))


def encoded(image, kind="JPEG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def exif(**tags):
    made = Image.Exif()
    for name, value in tags.items():
        made[TAGS[name]] = value
    return made


def test_the_quality_of_a_jpeg_is_the_one_it_was_saved_with(picture):
    """Each of libjpeg's qualities is told from its tables, of colour and of gray images."""
    for image in (picture, picture.convert("L")):
        found = [facts_of(encoded(image, quality=quality)).jpeg_quality for quality in range(1, 101)]
        assert found == list(range(1, 101))


def test_tables_have_one_name_each(picture):
    """Equal tables have one digest, others another; tables of one's own get the nearest quality."""
    digests = [facts_of(encoded(picture, quality=quality)).jpeg_tables for quality in (75, 75, 76)]
    assert digests[0] == digests[1] != digests[2]
    assert len(digests[0]) == 16
    own = facts_of(encoded(picture, qtables=[[7] * 64, [9] * 64]))
    assert own.jpeg_tables not in digests
    assert 1 <= own.jpeg_quality <= 100


@pytest.mark.parametrize(("asked", "name"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
def test_subsampling_has_its_usual_name(picture, asked, name):
    """As image tools call it; a JPEG of one component has none."""
    assert facts_of(encoded(picture, subsampling=asked)).subsampling == name
    assert facts_of(encoded(picture.convert("L"), subsampling=asked)).subsampling == "gray"


@pytest.mark.parametrize(
    ("factors", "name"),
    [
        ([(1, 2), (1, 1), (1, 1)], "4:4:0"),
        ([(4, 1), (1, 1), (1, 1)], "4:1:1"),
        ([(2, 2), (2, 1), (2, 1)], "4:4:0"),
        ([(2, 1), (1, 2), (1, 1)], "2x1,1x2,1x1"),
        ([(3, 1), (2, 1), (2, 1)], "3x1,2x1,2x1"),
        ([(2, 2), (1, 1), (1, 1), (2, 2)], "4:2:0"),
        ([(2, 2), (1, 1), (1, 1), (1, 1)], "2x2,1x1,1x1,1x1"),
        ([(0, 0), (0, 0), (0, 0)], "0x0,0x0,0x0"),
        ([], None),
    ],
)
def test_unusual_sampling_is_named_by_its_factors(factors, name):
    """Whatever a header says has a name, and no two of them share one that means something else."""
    assert subsampling([(number, across, down, 0) for number, (across, down) in enumerate(factors)]) == name


def test_progressive_and_interlaced_are_told(picture):
    """JPEG and PNG can be either; of other formats it is not said."""
    assert facts_of(encoded(picture, progressive=True)).progressive is True
    assert facts_of(encoded(picture)).progressive is False
    assert facts_of(encoded(picture, "PNG")).progressive is False
    assert facts_of(interlaced_png()).progressive is True
    assert facts_of(encoded(picture, "WEBP")).progressive is None


def interlaced_png():
    """Return an interlaced PNG of one black pixel, which Pillow cannot write."""

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    pixels = zlib.compress(b"\x00\x00")
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_data_are_read_in_every_format(picture, kind):
    """Orientation, camera and software, wherever the format keeps them; without EXIF data nothing is said."""
    tags = exif(orientation=6, make="Canon", model="Canon EOS 5D", software="GIMP 2.10")
    found = facts_of(encoded(picture, kind, exif=tags))
    assert (found.orientation, found.camera, found.software) == (6, "Canon EOS 5D", "GIMP 2.10")
    assert found.exif is (kind != "TIFF")  # its own directory is none of EXIF
    plain = facts_of(encoded(picture, kind))
    assert (plain.exif, plain.orientation, plain.camera, plain.software) == (False, None, None, None)


def test_software_of_a_png_stands_in_its_text(picture):
    """What screenshots and editors write there names them as EXIF data would."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", "Screenshot 1.0")
    assert facts_of(encoded(picture, "PNG", pnginfo=text)).software == "Screenshot 1.0"


def test_profile_and_bytes_per_pixel_are_told(picture):
    """A colour profile is there or not; bytes are those of the whole file."""
    data = encoded(picture, "PNG", icc_profile=b"profile")
    found = facts_of(data)
    assert found.icc is True
    assert facts_of(encoded(picture, "PNG")).icc is False
    assert found.bytes_per_pixel == len(data) / (40 * 56)


def test_texts_are_one_short_printable_line(picture):
    """A camera's name reaches tables and pages: nothing that steers a terminal, and no megabyte of it."""
    found = facts_of(encoded(picture, exif=exif(make="A\x1b[31m\nB", model="x" * 5000, software="\x00\x01")))
    assert found.camera.startswith("A [31m B x")
    assert len(found.camera) == 80
    assert found.software is None


@pytest.mark.parametrize("turn", [0, 9, 65535])
def test_orientations_that_there_are_not_are_not_said(turn):
    """Eight ways exist."""
    assert of_bytes(b"Exif\x00\x00" + directory((TAGS["orientation"], 3, 1, turn))).orientation is None


def directory(*entries):
    """Return EXIF data of a directory with (tag, type, count, value) entries, little-endian."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\x00" + struct.pack("<IH", 8, len(entries)) + body


@pytest.mark.parametrize(
    "data",
    [
        b"Exif\x00\x00",
        b"Exif\x00\x00" * 3,
        b"II*\x00",
        b"II*\x00\xff\xff\xff\xff",
        b"II*\x00\x08\x00\x00\x00\xff\xff",
        b"XX*\x00\x08\x00\x00\x00\x00\x00",
        directory((TAGS["make"], 2, 0xFFFFFFFF, 0xFFFFFFF0)),
        directory((TAGS["make"], 2, 0xFFFFFFFF, 8)) * 3,
        directory((TAGS["model"], 99, 7, 7), (TAGS["orientation"], 2, 1, 6)),
        directory(*[(TAGS["make"], 2, 2**31, 0)] * 2000),
        directory((TAGS["orientation"], 3, 1, 6))[:-2],
    ],
)
def test_no_exif_data_break_a_look(picture, data):
    """Damaged and hostile data say nothing: no error, no allocation of what they claim, and the image stays."""
    assert of_bytes(data).orientation is None
    found = facts_of(encoded(picture, "PNG", exif=data))
    assert (found.format, found.width, found.orientation) == ("PNG", 56, None)


def test_every_cut_and_flip_of_a_file_is_described_or_left(picture):
    """Whatever is damaged in the header, a look says what it can, and never raises."""
    whole = encoded(picture, quality=80, exif=exif(orientation=3, make="M", software="S"))
    rng = np.random.default_rng(1)
    described = 0
    for _ in range(300):
        data = bytearray(whole[: rng.integers(1, len(whole))])
        for place in rng.integers(0, min(len(data), 700), 4):
            data[place] = rng.integers(0, 256)
        found = facts_of(bytes(data))
        assert isinstance(found, Facts)
        described += found.format is not None
    assert described > 20


def test_no_pixel_is_decoded(picture, monkeypatch):
    """A look at a million images costs their headers."""
    files = [encoded(picture, kind, exif=exif(orientation=6)) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]

    def load(self):
        raise AssertionError(f"a {self.format} was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    assert [facts_of(data).orientation for data in files] == [6, 6, 6, 6]


@pytest.mark.usefixtures("later")
def test_looks_of_an_older_version_are_read_again(picture, tmp_path):
    """A cache that lacks facts is not believed, and not an error: images are read once more, and then kept."""
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "images" / "a" / "1.png").write_bytes(encoded(picture, "PNG"))
    images, store = Images(folder="images"), Store(tmp_path / "store").open()
    source = source_of(images, tmp_path)
    listing = list_images(images, tmp_path, "main")
    known = looking.look(listing, None, threads=1).fresh
    assert known.num_rows == 1
    older = known.select([name for name in known.column_names if name not in NEW])
    store.add_listing(source.replace("looks/4", "looks/3"), older)
    found = look_at("main", listing, source, store, Quiet())
    assert found.samples.schema.equals(schemas.SAMPLES)
    assert found.samples["progressive"].to_pylist() == [False]
    assert store.listing(source, looking.KNOWN).equals(known)


def test_facts_fit_their_columns():
    """Each fact is a column of the samples, and nothing else is."""
    own = [*schemas.LISTING.names, "file_digest"]
    assert list(facts.Facts._fields) == [name for name in schemas.SAMPLES.names if name not in own]
    assert pa.types.is_string(schemas.SAMPLES.field("camera").type)
