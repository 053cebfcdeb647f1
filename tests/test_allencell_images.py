"""Recorded images: nothing is made up where image data are missing, and voxel sizes are read in any unit."""

import json
import re
import uuid
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.archives import VOXEL_UM
from hypothesis import given
from hypothesis import strategies as st
from pylibCZIrw import czi

from sparsessp.data.allencell.catalogue import load_catalogue
from sparsessp.data.allencell.conversion import convert
from sparsessp.data.allencell.images import read_image
from sparsessp.data.allencell.lists import Image
from sparsessp.data.images.opening import open_image
from sparsessp.data.voxel_size import edge_um, micrometres
from sparsessp.errors import SparseSSPError

CATALOGUE = load_catalogue(Path(__file__).parents[1] / "data" / "allencell.yaml")
VOXELS = np.random.default_rng(0).integers(500, 4000, (2, 6, 24, 32), dtype=np.uint16)  # C, Z, Y, X
ORDER = [(z, c) for z in range(6) for c in range(2)]  # of the pages of a file
PAGES = np.stack([VOXELS[c, z] for z, c in ORDER])
HERE, THERE = (f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, name)}" for name in ("here", "there"))


def refused(path, channels=(0, 1)):
    with pytest.raises(SparseSSPError, match="row 7: ") as caught:
        read_image(path, channels, "row 7")
    return str(caught.value)


def planes_of(path, channels):
    """The same channels as `sparsessp predict` reads them."""
    with open_image(path) as image:
        return np.stack([[image.plane(0, channel, plane) for plane in range(image.planes)] for channel in channels])


def read(path, channels):
    voxels = read_image(path, channels, "row 7").voxels
    assert np.array_equal(planes_of(path, channels), voxels)
    return voxels


def incomplete(path, channels=(0, 1)):
    """The same as `refused`; `sparsessp predict` refuses the file too."""
    with pytest.raises(SparseSSPError, match=re.escape(str(path))):
        planes_of(path, channels)
    return refused(path, channels)


# OME-TIFF.


def ome(tiff_data, own=HERE, **sizes):
    edges = "".join(f' PhysicalSize{key}="{value}"' for key, value in sizes.items())
    identity = f' UUID="{own}"' if own else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{identity}>'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" '
        f'SizeX="32" SizeY="24" SizeZ="6" SizeC="2" SizeT="1"{edges}><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        f'<Channel ID="Channel:0:1" SamplesPerPixel="1"/>{tiff_data}</Pixels></Image></OME>'
    )


def entry(page, ifd=None, uuid=None, file="other.ome.tiff"):
    z, c = ORDER[page]
    reference = f'<UUID FileName="{file}">{uuid}</UUID>' if uuid else ""
    return (
        f'<TiffData IFD="{page if ifd is None else ifd}" FirstZ="{z}" FirstC="{c}" FirstT="0" PlaneCount="1">'
        f"{reference}</TiffData>"
    )


EACH = "".join(entry(page) for page in range(12))


def write_pages(path, pages, description, **options):
    tifffile.imwrite(path, pages, photometric="minisblack", metadata=None, description=description, **options)


@pytest.mark.parametrize(
    ("tiff_data", "own"),
    [
        (EACH, HERE),
        (EACH, None),
        ("<TiffData/>", HERE),
        ('<TiffData IFD="0" PlaneCount="12"/>', HERE),
        ("".join(entry(page, uuid=HERE, file="before_it_was_renamed.ome.tiff") for page in range(12)), HERE),
        ("".join(entry(page, uuid=THERE, file="IMAGE.ome.tiff") for page in range(12)), None),
        ("".join(entry(page, uuid=THERE, file="image.ome.tiff") for page in range(12)), HERE),
    ],
)
@pytest.mark.parametrize("options", ({}, {"compression": "zlib"}, {"tile": (16, 16)}, {"rowsperstrip": 7}), ids=str)
def test_a_complete_ome_tiff_is_read_however_it_lists_its_planes(tmp_path, tiff_data, own, options):
    path = tmp_path / "image.ome.tiff"
    write_pages(path, PAGES, ome(tiff_data, own).encode(), **options)
    assert np.array_equal(read(path, (1, 0)), VOXELS[::-1])


@pytest.mark.parametrize(
    ("tiff_data", "pages", "plane", "channel"),
    [
        ("".join(entry(page) for page in range(7)), 7, 3, 1),  # stopped, and said so
        (EACH, 7, 3, 1),  # stopped, and promised all
        ("<TiffData/>", 7, 3, 1),
        ('<TiffData IFD="0" PlaneCount="12"/>', 7, 3, 1),
        ('<TiffData IFD="0" PlaneCount="7"/>', 7, 3, 1),
        ("".join(entry(page) for page in range(12) if page != 5), 12, 2, 1),
        ("".join(entry(page) for page in range(12) if page != 0), 12, 0, 0),
        ("".join(entry(page) for page in range(11)), 12, 5, 1),
        ("".join(entry(page) for page in range(0, 12, 2)), 12, 0, 1),  # one channel only
        ("".join(entry(page, page % 8, HERE if page < 8 else THERE) for page in range(12)), 8, 4, 0),  # of a set
        ("".join(entry(page, page % 4, THERE if page < 8 else HERE) for page in range(12)), 8, 0, 0),  # its last file
        (f'<TiffData IFD="0" PlaneCount="6"><UUID FileName="x">{HERE}</UUID></TiffData>'
         f'<TiffData IFD="0" FirstZ="3" PlaneCount="6"><UUID FileName="y">{THERE}</UUID></TiffData>', 6, 3, 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("options", ({}, {"compression": "zlib"}), ids=str)
def test_a_plane_that_an_ome_tiff_promises_and_does_not_hold_is_named(
    tmp_path, tiff_data, pages, plane, channel, options
):
    path = tmp_path / "image.ome.tiff"
    write_pages(path, PAGES[:pages], ome(tiff_data).encode(), **options)
    assert f"plane {plane} of channel {channel} is missing" in incomplete(path, (channel,))
    assert "is missing" in incomplete(path)


def test_a_set_of_files_is_refused_even_if_all_files_exist(tmp_path):
    both = "".join(
        entry(page, page % 6, HERE if page < 6 else THERE, "image.ome.tiff" if page < 6 else "second.ome.tiff")
        for page in range(12)
    )
    write_pages(tmp_path / "image.ome.tiff", PAGES[:6], ome(both, HERE).encode())
    write_pages(tmp_path / "second.ome.tiff", PAGES[6:], ome(both, THERE).encode())
    said = incomplete(tmp_path / "image.ome.tiff")
    assert "plane 3 of channel 0 is missing: it is in another file of a set, second.ome.tiff" in said


def test_a_channel_that_is_not_needed_may_lack_planes(tmp_path):
    path = tmp_path / "image.ome.tiff"
    write_pages(path, PAGES, ome("".join(entry(page) for page in range(0, 12, 2))).encode())
    assert np.array_equal(read(path, (0,)), VOXELS[:1])


def change_tag(path, page, tag, value, index=0):
    """Overwrite one number of a tag."""
    with tifffile.TiffFile(path) as file:
        found = file.pages[page].aspage().tags[tag]
        size = {3: 2, 4: 4, 16: 8}[found.dtype]
        place = found.valueoffset + index * size
    content = bytearray(path.read_bytes())
    content[place : place + size] = value.to_bytes(size, "little")
    path.write_bytes(content)


@pytest.mark.parametrize("page", (0, 5))
@pytest.mark.parametrize("options", ({}, {"compression": "zlib"}, {"tile": (16, 16)}, {"rowsperstrip": 7}), ids=str)
@pytest.mark.parametrize(
    ("tag", "value"), (("Offsets", 0), ("Offsets", 60_000), ("ByteCounts", 0), ("ByteCounts", 60_000))
)
def test_a_strip_or_tile_without_data_is_not_read_as_zeros(tmp_path, page, options, tag, value):
    path = tmp_path / "image.ome.tiff"
    write_pages(path, PAGES, ome(EACH).encode(), **options)
    tiled = "tile" in options
    change_tag(path, page, f"{'Tile' if tiled else 'Strip'}{tag}", value, index=1 if tiled else 0)
    assert "is missing: a strip or tile" in incomplete(path)


def test_a_short_strip_is_not_filled_up(tmp_path):
    path = tmp_path / "image.ome.tiff"
    write_pages(path, PAGES, ome(EACH).encode())
    change_tag(path, 5, "StripByteCounts", 100)
    assert "plane 2 of channel 1 is missing: its strips or tiles have 100 bytes" in incomplete(path, (1,))


@pytest.mark.parametrize("compression", (None, "zlib"))
def test_other_writers_that_promise_more_than_they_hold_are_refused(tmp_path, compression):
    path = tmp_path / "image.tif"
    shaped = json.dumps({"shape": [2, 6, 24, 32], "axes": "CZYX"})
    imagej = "ImageJ=1.53t\nimages=12\nchannels=2\nslices=6\nhyperstack=true\n"
    for description in (shaped, imagej):
        write_pages(path, PAGES[:7], description, compression=compression)
        assert re.search("is missing|is it cut short|the axes are", incomplete(path))
    with tifffile.TiffWriter(path) as writer:  # the bytes of another image follow the planes that are there
        writer.write(PAGES[:7], photometric="minisblack", metadata=None, description=shaped, compression=compression)
        writer.write(np.ones((99, 99), np.uint16), photometric="minisblack", metadata=None)
    assert "plane 1 of channel 1 " in incomplete(path, (1,))


def test_pages_of_another_kind_than_the_first_are_not_read_by_its_layout(tmp_path):
    path = tmp_path / "image.ome.tiff"
    with tifffile.TiffWriter(path) as writer:
        for number, page in enumerate(PAGES):
            text = ome(EACH).encode() if number == 0 else None
            small = page[:20] if number == 4 else page
            writer.write(small, photometric="minisblack", metadata=None, description=text)
    assert "plane 2 of channel 0 has shape (20, 32)" in incomplete(path)


# CZI.


def write_tiles(path, tiles):
    """Write (coordinates, left, top, pixels)."""
    with czi.create_czi(str(path), exist_ok=True) as file:
        for at, left, top, pixels in tiles:
            file.write(np.ascontiguousarray(pixels), (left, top), at)


def planes(z=0, c=0, step=1, lost=(), shift=lambda c, z: (0, 0), **more):
    return [
        ({"C": channel + c, "Z": step * number + z, **more}, 70_000 + shift(channel, number)[0],
         -500 + shift(channel, number)[1], VOXELS[channel, number])
        for channel, number in np.ndindex(2, 6) if (channel, number) not in lost
    ]  # fmt: skip


def mosaic(lost=(), overlap=0):
    tiles = []
    for channel, number in np.ndindex(2, 6):
        for left in (0, 16 - overlap):
            if (channel, number, left) not in lost:
                pixels = VOXELS[channel, number][:, left : left + 16 + overlap]
                tiles.append(({"C": channel, "Z": number}, 70_000 + left, 9, pixels))
    return tiles


@pytest.mark.parametrize(
    "tiles",
    [planes(z=3), planes(c=2), planes(z=40, c=1, T=5), planes(z=1, B=1), mosaic(), mosaic(overlap=4)],
    ids=("planes from 3", "channels from 2", "all from elsewhere", "a block", "mosaic", "overlapping mosaic"),
)
def test_a_complete_czi_is_read_wherever_its_indices_start(tmp_path, tiles):
    write_tiles(tmp_path / "image.czi", tiles)
    assert np.array_equal(read(tmp_path / "image.czi", (1, 0)), VOXELS[::-1])


@pytest.mark.parametrize("dtype", (np.uint8, np.float32))
def test_users_may_predict_czi_files_with_other_pixels(tmp_path, dtype):
    pixels = (VOXELS // 20).astype(dtype)
    write_tiles(tmp_path / "image.czi", [(at, *corner, pixels[at["C"], at["Z"]]) for at, *corner, _ in planes()])
    assert np.array_equal(planes_of(tmp_path / "image.czi", (0, 1)), pixels)


def test_a_single_channel_with_another_index_is_channel_0(tmp_path):
    write_tiles(tmp_path / "image.czi", [tile for tile in planes(z=3, c=2) if tile[0]["C"] == 3])
    assert np.array_equal(read(tmp_path / "image.czi", (0,)), VOXELS[1:])


@pytest.mark.parametrize(
    ("tiles", "said"),
    [
        (planes(lost={(1, 2)}), "plane 2 of channel 1 is missing: it has no tile"),
        (planes(z=3, lost={(1, 0)}), "plane 0 of channel 1 is missing: it has no tile"),
        (planes(step=2), "plane 1 of channel 0 is missing: it has no tile"),
        (mosaic(lost={(1, 4, 16)}), "plane 4 of channel 1 is incomplete: its tiles leave 384 of 768 pixels"),
        (mosaic(lost={(0, 5, 0)}), "plane 5 of channel 0 is incomplete"),
        (planes(shift=lambda c, z: (0, z)), "plane 0 of channel 0 is incomplete: its tiles leave 160 of 928 pixels"),
        (planes(shift=lambda c, z: (3 * c, 0)), "plane 0 of channel 0 is incomplete"),
        (planes(shift=lambda c, z: (5, 0) if (c, z) == (1, 3) else (0, 0)), "plane 0 of channel 0 is incomplete"),
        (planes(shift=lambda c, z: (0, -2) if (c, z) == (0, 0) else (0, 0)), "plane 0 of channel 0 is incomplete"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_tile_covers_is_not_read_as_black(tmp_path, tiles, said):
    write_tiles(tmp_path / "image.czi", tiles)
    assert said in incomplete(tmp_path / "image.czi")


@pytest.mark.parametrize("size", (0, 100, 2 * 24 * 32 - 2))
def test_a_tile_with_too_few_bytes_is_not_filled_up(tmp_path, size):
    path = tmp_path / "image.czi"
    write_tiles(path, planes(z=3))
    content = bytearray(path.read_bytes())
    start = -1
    for _ in range(9):  # the ninth tile is plane 2 of channel 1
        start = content.index(b"ZISRAWSUBBLOCK\0", start + 1)
    content[start + 40 : start + 48] = size.to_bytes(8, "little")
    path.write_bytes(content)
    assert "plane 2 of channel 1 is missing: a tile has fewer bytes" in incomplete(path)
    assert np.array_equal(read(path, (0,)), VOXELS[:1])


# Voxel sizes.

UNITS = {
    "µm": 1, "\u03bcm": 1, "um": 1, " µm ": 1, "\\u00B5m": 1, "\\u03BCm": 1, "micron": 1, "microns": 1, "Micron": 1,
    "micrometer": 1, "micrometre": 1, "Micrometers": 1, "nm": 1e-3, "nanometers": 1e-3, "pm": 1e-6, "mm": 1e3,
    "cm": 1e4, "m": 1e6, "metre": 1e6, "\u00c5": 1e-4, "\u212b": 1e-4, "A\u030a": 1e-4, "angstrom": 1e-4,
    "Angstroms": 1e-4, "inch": 25_400, "km": 1e9, "\ufeffµm": 1, "um\u200b": 1,
}  # fmt: skip


@pytest.mark.parametrize(("unit", "um"), UNITS.items())
def test_common_spellings_of_units_are_known(unit, um):
    assert micrometres(unit) == pytest.approx(um, rel=1e-12)


@pytest.mark.parametrize("unit", ("", "pixel", "furlong", "Mm", "s", "reference frame", "µ m", "kg", "µs"))
def test_other_units_are_not_guessed(unit):
    assert micrometres(unit) is None
    with pytest.raises(SparseSSPError, match=f"row 7: PhysicalSizeX is in the unknown unit {unit!r}; allowed: µm"):
        edge_um("0.1", unit, "PhysicalSizeX", "row 7")


@pytest.mark.parametrize("size", ("-1", "inf", "wide", "", -0.1))
def test_an_invalid_size_is_named(size):
    with pytest.raises(SparseSSPError, match="row 7: PhysicalSizeX = .*; allowed: positive numbers"):
        edge_um(size, "µm", "PhysicalSizeX", "row 7")


@given(st.floats(1e-6, 1e6), st.sampled_from(sorted(UNITS)))
def test_an_edge_is_its_number_times_its_unit(size, unit):
    assert edge_um(repr(size), unit, "x", "row 7") == pytest.approx(size * UNITS[unit], rel=1e-12)
    assert [edge_um(unknown, unit, "x", "row 7") for unknown in (None, "0", "nan")] == [None] * 3


def write_ome(path, factor, unit, axes="XYZ"):
    sizes = {axis: edge * factor / UNITS[unit] for axis, edge in zip("ZYX", VOXEL_UM, strict=True) if axis in axes}
    attributes = {key: value for axis, size in sizes.items() for key, value in ((axis, size), (f"{axis}Unit", unit))}
    write_pages(path, PAGES, ome(EACH, **attributes).encode("utf-8"))


def write_imagej(path, factor, unit, axes="XYZ", **metadata):
    z, y, x = (edge * factor / UNITS[unit] for edge in VOXEL_UM)
    metadata |= {"spacing": z} if "Z" in axes else {}
    resolution = (1 / x, 1 / y) if "X" in axes else None
    metadata |= {"axes": "ZCYX", "unit": unit if unit.isascii() else "QQm"}
    tifffile.imwrite(path, VOXELS.swapaxes(0, 1), imagej=True, resolution=resolution, metadata=metadata)
    if not unit.isascii():  # in UTF-8, of the same length; tifffile writes no such unit
        path.write_bytes(path.read_bytes().replace(b"QQm", unit.encode()))


def write_tagged(path, factor, unit, axes="XY"):
    y, x = (edge * factor / UNITS[unit] for edge in VOXEL_UM[1:])
    tifffile.imwrite(
        path, VOXELS, photometric="minisblack", metadata={"axes": "CZYX"}, resolution=(1 / x, 1 / y),
        resolutionunit={"cm": "CENTIMETER", "inch": "INCH"}[unit],
    )  # fmt: skip


def facts(path, tmp_path):
    image = Image("fibrillarin", 1, "a.czi", {"transmitted_light": 0, "nucleolus": 1})
    return convert(path, image, CATALOGUE, "paper", tmp_path / "out.ome.tiff")


@pytest.mark.parametrize(
    ("write", "unit", "axes"),
    [(write_ome, unit, "XYZ") for unit in ("µm", "\u03bcm", "um", "nm", "mm", "micron", "cm", "\u00c5", "inch")]
    + [(write_ome, "µm", axes) for axes in ("XY", "Z", "X", "XZ")]
    + [(write_imagej, unit, "XYZ") for unit in ("um", "micron", "\\u00B5m", "µm", "nm", "mm", "cm", "inch")]
    + [(write_imagej, "um", "XY"), (write_imagej, "um", "Z"), (write_tagged, "cm", "XY"), (write_tagged, "inch", "XY")],
)
def test_a_wrong_voxel_size_is_refused_and_the_right_one_accepted(tmp_path, write, unit, axes):
    path = tmp_path / "image.tif"
    write(path, 3, unit, axes)
    with pytest.raises(SparseSSPError, match=r"fibrillarin.csv, row 1.*voxel size in the file is .*; allowed: 0.29 x"):
        facts(path, tmp_path)
    write(path, 1, unit, axes)
    assert facts(path, tmp_path)["voxel_z_um"] == "0.29"


def test_edges_that_a_file_does_not_give_are_taken_from_the_catalogue(tmp_path):
    path = tmp_path / "image.tif"
    write_ome(path, 1, "nm", "XY")
    got = read_image(path, (0,), "row 7")
    assert got.edges_um == (None, *(pytest.approx(edge) for edge in VOXEL_UM[1:])) and got.voxel_um is None
    facts(path, tmp_path)
    with tifffile.TiffFile(tmp_path / "out.ome.tiff") as file:
        assert "y, x of the file, otherwise of the catalogue" in file.ome_metadata


def test_imagej_spacing_may_be_negative_and_in_another_unit(tmp_path):
    path = tmp_path / "image.tif"
    write_imagej(path, 1, "nm", spacing=-0.00029, zunit="mm", axes="XY")
    assert read_image(path, (0,), "row 7").voxel_um == pytest.approx(VOXEL_UM)


@pytest.mark.parametrize("unit", ("furlong", "pixel", "reference frame", ""))
def test_an_unknown_unit_is_refused_by_name(tmp_path, unit):
    path = tmp_path / "image.tif"
    write_pages(path, PAGES, ome(EACH, X=1, XUnit=unit).encode())
    assert f"PhysicalSizeX is in the unknown unit {unit!r}; allowed: µm" in refused(path)
    if unit == "furlong":
        tifffile.imwrite(path, VOXELS[0], imagej=True, resolution=(9, 9), metadata={"axes": "ZYX", "unit": unit})
        assert "YResolution is in the unknown unit 'furlong'" in refused(path, (0,))


@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"imagej": True, "metadata": {"axes": "ZYX", "unit": "pixel", "spacing": 1.0}, "resolution": (1, 1)},
        {"metadata": {"axes": "ZYX"}, "resolution": (300, 300), "resolutionunit": "INCH"},
        {"metadata": {"axes": "ZYX"}, "resolution": (28.35, 28.35), "resolutionunit": "CENTIMETER"},
        {"metadata": {"axes": "ZYX"}},
    ],
    ids=str,
)
def test_files_that_give_no_voxel_size_are_read(tmp_path, options):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, VOXELS[0], photometric="minisblack", **options)
    assert read_image(path, (0,), "row 7").edges_um == (None, None, None)
