"""WebDataset tars become listings."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest

from evaljobs import schemas
from evaljobs.config import Images
from evaljobs.errors import UsageError
from evaljobs.images.listing import list_images
from evaljobs.images.reading import read_images
from tests.image_containers import png, write_tar


def listed(folder, tar="x.tar", told=None, **keys):
    tell = (lambda _: None) if told is None else told.append
    return list_images(Images(tar=tar, **keys), folder, "faces", tell=tell)


def refused(folder, tar="x.tar", **keys):
    with pytest.raises(UsageError) as caught:
        listed(folder, tar, **keys)
    assert "'faces'" in str(caught.value)
    return str(caught.value)


def labels_of(listing):
    return dict(zip(listing["sample_id"].to_pylist(), listing["label"].to_pylist(), strict=True))


def sample(key, number=0, label="1", extension="png"):
    return {f"{key}.cls": label.encode(), f"{key}.{extension}": png(number)}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_one_key_are_a_sample(tmp_path, form):
    """Keys end at the first dot of the file name, long and non-ASCII names included; bytes are the member's."""
    keys = ["s.dir/000", "é/字", "a" * 90 + "/" + "b" * 60]
    members = {name: data for n, key in enumerate(keys) for name, data in sample(key, n, str(n)).items()}
    write_tar(tmp_path / "x.tar", members | {"__meta__": b"x", ".hidden.png": b"x", "README": b"x"}, format=form)
    told = []
    listing = listed(tmp_path, told=told)
    assert listing.schema == schemas.LISTING
    assert labels_of(listing) == {key: str(n) for n, key in enumerate(keys)}
    assert told == []
    by_label = sorted(zip(listing["label"].to_pylist(), read_images(listing["uri"].to_pylist()), strict=True))
    assert by_label == [(str(n), png(n)) for n in range(3)]
    assert listing["size"].to_pylist() == [len(png(int(label))) for label in listing["label"].to_pylist()]


def test_labels_come_from_cls_json_or_folder(tmp_path):
    """The first of them that there is, or the one that is asked for; a caption is no label."""
    image = {"d/a.png": png(0), "d/a.txt": b"a caption"}
    write_tar(tmp_path / "x.tar", image)
    assert labels_of(listed(tmp_path)) == {"d/a": "d"}
    write_tar(tmp_path / "x.tar", image | {"d/a.json": json.dumps({"label": 7, "who": "anna"}).encode()})
    assert labels_of(listed(tmp_path)) == {"d/a": "7"}
    assert labels_of(listed(tmp_path, label_column="who")) == {"d/a": "anna"}
    write_tar(tmp_path / "x.tar", image | {"d/a.json": b'{"label": 7}', "d/a.cls": b" 3\n"})
    assert labels_of(listed(tmp_path)) == {"d/a": "3"}
    assert labels_of(listed(tmp_path, label="json")) == {"d/a": "7"}
    assert labels_of(listed(tmp_path, label="folder")) == {"d/a": "d"}
    write_tar(tmp_path / "x.tar", {"d/anna_1.png": png(0)})
    assert labels_of(listed(tmp_path, label="prefix")) == {"d/anna_1": "anna"}


def test_a_sample_without_a_label_is_an_error(tmp_path):
    """Counted and named, with what would be a label."""
    write_tar(tmp_path / "x.tar", sample("a") | {"b.png": png(1), "c.png": png(2), "c.json": b'{"label": null}'})
    message = refused(tmp_path)
    assert "2 sample(s) have no label: 'b', 'c'" in message
    assert "Set `label`" in message
    assert "expected a member .json with the key 'who'" in refused(tmp_path, label="json", label_column="who")


def test_labels_of_two_kinds_are_not_mixed(tmp_path):
    """A .cls that some samples lack is not silently replaced by the folder's name."""
    write_tar(tmp_path / "x.tar", sample("d/a") | {"d/b.png": png(1)})
    assert "labels come from different places (1 from cls, 1 from folder)" in refused(tmp_path)


@pytest.mark.parametrize("value", ["true", "1.5", "[]", "{}"])
def test_a_json_label_is_text_or_an_integer(tmp_path, value):
    """A float or a list is no identity."""
    write_tar(tmp_path / "x.tar", {"a.png": png(0), "a.json": b'{"label": ' + value.encode() + b"}"})
    assert "expected text or an integer" in refused(tmp_path)


@pytest.mark.parametrize(("name", "data"), [("a.cls", b"\xff"), ("a.json", b"{"), ("a.json", b"[" * 100_000)])
def test_a_label_that_cannot_be_read_names_its_member(tmp_path, name, data):
    """Damaged JSON, text that is not UTF-8, nesting without end."""
    write_tar(tmp_path / "x.tar", {"a.png": png(0), name: data})
    assert f"its member '{name}' is not valid" in refused(tmp_path)


def test_samples_without_an_image_are_left_out_and_named(tmp_path):
    """Metadata, other modalities and links are told, not counted as images; a set of them alone is refused."""
    write_tar(tmp_path / "x.tar", sample("a") | {"b.txt": b"x", "b.wav": b"y"})
    with tarfile.open(tmp_path / "x.tar", "a") as archive:
        link = tarfile.TarInfo("/etc/c.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    told = []
    assert labels_of(listed(tmp_path, told=told)) == {"a": "1"}
    (message,) = told
    assert "2 sample(s) hold no image and are left out" in message
    assert "'b' in" in message
    assert "has txt, wav" in message
    assert "'/etc/c.png'" in message
    assert "a link" in message
    write_tar(tmp_path / "x.tar", sample("a", extension="webm"))
    assert "none of its 1 sample(s) has an image" in refused(tmp_path)


def test_the_image_is_the_member_with_its_whole_extension(tmp_path):
    """`jpg` goes before `seg.png`; two that are equally good must be told apart."""
    parts = {"a.cls": b"1", "a.png": png(0), "a.seg.png": png(1)}
    write_tar(tmp_path / "x.tar", parts)
    assert list(read_images(listed(tmp_path)["uri"].to_pylist())) == [png(0)]
    write_tar(tmp_path / "x.tar", {"a.cls": b"1", "a.Left.PNG": png(2)})
    assert list(read_images(listed(tmp_path)["uri"].to_pylist())) == [png(2)]
    write_tar(tmp_path / "x.tar", parts | {"a.jpg": png(3)})
    assert "sample 'a' has 2 images (jpg, png)" in refused(tmp_path)
    assert list(read_images(listed(tmp_path, extensions=("jpg",))["uri"].to_pylist())) == [png(3)]
    write_tar(tmp_path / "x.tar", [("a.png", png(0)), ("a.png", png(1)), ("a.cls", b"1")])
    assert "'a.png' twice" in refused(tmp_path)


def test_keys_that_repeat_across_tars_stand_behind_the_tar_s_name(tmp_path):
    """All ids have it or none; names are paths below what the configuration names."""
    write_tar(tmp_path / "t" / "0.tar", sample("a") | sample("b"))
    write_tar(tmp_path / "t" / "sub" / "1.tar", sample("a"))
    assert list(labels_of(listed(tmp_path, "t"))) == ["0.tar/a", "0.tar/b", "sub/1.tar/a"]
    assert list(labels_of(listed(tmp_path, "t/*.tar"))) == ["a", "b"]
    assert list(labels_of(listed(tmp_path, "t/{0,sub/1}.tar"))) == ["0.tar/a", "0.tar/b", "sub/1.tar/a"]


def test_ranges_in_braces_are_those_of_webdataset(tmp_path):
    """{00..10} keeps its zeros, a file that is missing of a range is named, a folder is not."""
    for number in (8, 9, 10):
        write_tar(tmp_path / f"x-{number:02d}.tar", sample(f"k{number}"))
    assert list(labels_of(listed(tmp_path, "x-{08..10}.tar"))) == ["k10", "k8", "k9"]
    assert list(labels_of(listed(tmp_path, "x-{08,1{0..0}}.tar"))) == ["k10", "k8"]
    message = refused(tmp_path, "x-{08..11}.tar")
    assert f"at {tmp_path}/x-11.tar" in message
    assert "stands for more than" in refused(tmp_path, "{0..9999}{0..9999}.tar")


def test_compressed_tars_are_refused_with_what_to_do(tmp_path):
    """By name in a folder, and by content whatever the name."""
    write_tar(tmp_path / "t" / "x.tar", sample("a"))
    packed = gzip.compress((tmp_path / "t" / "x.tar").read_bytes())
    (tmp_path / "t" / "y.tar.gz").write_bytes(packed)
    for tar in ("t", "t/*", "t/y.tar.gz"):
        message = refused(tmp_path, tar)
        assert "1 tar(s) are compressed" in message
        assert "Unpack" in message
    (tmp_path / "x.tar").write_bytes(packed)
    assert "compressed with gzip" in refused(tmp_path)


def whole(tmp_path):
    data = write_tar(tmp_path / "x.tar", sample("a") | sample("b", 1)).read_bytes()
    return data, data.index(b"b.cls")


@pytest.mark.parametrize("place", ["in a header", "in the data", "at a member's end", "without its end"])
def test_a_tar_that_was_cut_off_is_refused(tmp_path, place):
    """Wherever it was cut: samples at the end must not go missing silently."""
    data, second = whole(tmp_path)
    (last,) = [i for i in range(0, len(data), 512) if data[i : i + 5] == b"b.png"]
    end = last + 512 + -(-len(png(1)) // 512) * 512
    cut = {"in a header": second + 100, "in the data": last + 600, "at a member's end": second, "without its end": end}
    (tmp_path / "x.tar").write_bytes(data[: cut[place]])
    message = refused(tmp_path)
    assert "x.tar cannot be used" in message
    assert any(word in message for word in ("cut off", "unexpected end of data", "damaged"))


@pytest.mark.parametrize("size", [b"77777777777\0", b"\xff" * 12, b"\x80" + b"\xff" * 11])
@pytest.mark.parametrize("kind", [b"0", b"L", b"x"])
def test_headers_that_lie_about_sizes_are_refused(tmp_path, size, kind):
    """Beyond the end, negative, huge; of files, long names and pax records: no endless loop, no memory taken."""
    data, second = whole(tmp_path)
    header = bytearray(data[second : second + 512])
    header[124:136] = size
    header[156:157] = kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "x.tar").write_bytes(data[:second] + bytes(header) + data[second + 512 :])
    assert "x.tar cannot be used" in refused(tmp_path)


def test_a_damaged_header_in_the_middle_is_not_the_end(tmp_path):
    """Python's tarfile takes it for the end of the archive; we do not."""
    data, second = whole(tmp_path)
    (tmp_path / "x.tar").write_bytes(data[:second] + b"\1" * 512 + data[second + 512 :])
    assert f"the header at byte {second:,} is damaged" in refused(tmp_path)


def test_what_follows_an_end_mark_is_not_lost(tmp_path):
    """Tars that were joined, and a header that became zeros: half of the samples would be missing without a word."""
    data, second = whole(tmp_path)
    (tmp_path / "x.tar").write_bytes(data[:second] + bytes(512) + data[second + 512 :])
    assert f"an end mark stands at byte {second:,}, but more follows" in refused(tmp_path)
    other = write_tar(tmp_path / "y.tar", sample("c")).read_bytes()
    (tmp_path / "x.tar").write_bytes(data + bytes(2**21) + other)
    assert "or tars were joined" in refused(tmp_path)
    (tmp_path / "x.tar").write_bytes(data + bytes(2**21))
    assert labels_of(listed(tmp_path)) == {"a": "1", "b": "1"}


def test_names_as_tar_c_dot_writes_them(tmp_path):
    """`tar -C folder .` puts ./ before each name: that is no part of a key, and no label."""
    write_tar(tmp_path / "x.tar", {"./x/a.png": png(0), "././y/b.png": png(1)})
    assert labels_of(listed(tmp_path)) == {"x/a": "x", "y/b": "y"}
    write_tar(tmp_path / "x.tar", {"./a.png": png(0)})
    assert "1 sample(s) have no label: 'a'" in refused(tmp_path)
    write_tar(tmp_path / "x.tar", {"x/./a.png": png(0)})
    assert "1 sample(s) have no label" in refused(tmp_path)


def test_hidden_members_are_left_out_as_hidden_files_are(tmp_path):
    """Thumbnails in hidden folders and what macOS packs are no images; a name such as ../b is only a name."""
    members = {"x/.thumbs/a.png": png(1), ".git/b.png": png(2), "__MACOSX/x/._a.png": b"x", "__MACOSX/x/a.png": b"x"}
    write_tar(tmp_path / "x.tar", members | {"./.hidden/x/c.png": png(3), "x/a.png": png(0), "../y/b.png": png(4)})
    told = []
    assert labels_of(listed(tmp_path, told=told)) == {"x/a": "x", "../y/b": "y"}
    assert told == []


@pytest.mark.parametrize("data", [b'{"label": [1, 2]}', b"{", b"\xff", b"[" * 100_000])
def test_a_json_that_nobody_asked_for_may_hold_anything(tmp_path, data):
    """Where the label is in .cls or in the folder, the .json beside it is somebody else's."""
    write_tar(tmp_path / "x.tar", sample("a") | {"a.json": data})
    assert labels_of(listed(tmp_path)) == {"a": "1"}
    write_tar(tmp_path / "x.tar", {"d/a.png": png(0), "d/a.json": data})
    assert labels_of(listed(tmp_path)) == {"d/a": "d"}
    assert "its member 'd/a.json'" in refused(tmp_path, label="json")
    write_tar(tmp_path / "x.tar", {"a.png": png(0), "a.json": data})
    assert "Set `label_column` to the key of the label, or `label`" in refused(tmp_path)


@pytest.mark.parametrize("name", ["exp[1]", "exp{1}", "exp*", "exp{1,2}"])
def test_the_folder_of_the_configuration_is_no_pattern(tmp_path, name):
    """Whatever it is called, tars in it are found; brackets in what the configuration itself names are patterns."""
    write_tar(tmp_path / name / "shards" / "0.tar", sample("a"))
    write_tar(tmp_path / name / "1[2].tar", sample("b"))
    for tar in ("shards/*.tar", "shards", "shards/0.tar", "shards/{0..0}.tar", "{shards,shards}", "../*/shards/0.tar"):
        assert labels_of(listed(tmp_path / name, tar)) == {"a": "1"}
    assert labels_of(listed(tmp_path / name, "1[2].tar")) == {"b": "1"}
    write_tar(tmp_path / name / "shards" / "t" / "1.tar", sample("a"))
    assert list(labels_of(listed(tmp_path / name, "shards/{0,t/1}.tar"))) == ["0.tar/a", "t/1.tar/a"]


@pytest.mark.parametrize("data", [b"", b"x", b"no tar " * 1000, bytes(10240)])
def test_what_is_no_tar_says_so(tmp_path, data):
    """Empty files, text, and an archive without members."""
    (tmp_path / "x.tar").write_bytes(data)
    assert "x.tar" in refused(tmp_path)


def test_sparse_members_are_refused(tmp_path):
    """Their bytes do not lie in one piece."""
    member = tarfile.TarInfo("a.png")
    member.size = 512
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9999"}
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(b"1\n0\n512\n".ljust(512, b"\0")))
    assert "sparse" in refused(tmp_path)


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    """Ids are text in every file we write."""
    write_tar(tmp_path / "x.tar", sample("a\udcff"), format=tarfile.GNU_FORMAT)
    assert "not valid UTF-8" in refused(tmp_path)
