"""Pages of TIFF files, found together with their image data, which tifffile reads as zeros where they are missing."""

import struct
from math import prod
from pathlib import Path

import tifffile


class UnusablePage(Exception):
    """Why a page cannot be used; the message continues "plane 3 of channel 0 ..."."""


def open_pages(path: Path) -> tifffile.TiffFile:
    """Open a TIFF file.

    Raises:
        tifffile.TiffFileError: It is no TIFF file, or its directories follow each other in a circle, which tifffile
            would read until no memory is left.
    """
    file = tifffile.TiffFile(path)
    try:
        _refuse_circle(file)
    except Exception:
        file.close()
        raise
    return file


def _refuse_circle(file: tifffile.TiffFile) -> None:
    """Follow the directories of a file; raises if one comes twice."""
    handle, layout = file.filehandle, file.tiff
    offset, seen = file.pages.first.offset, set()
    while 0 < offset < handle.size:
        if offset in seen:
            raise tifffile.TiffFileError(f"damaged: its pages follow each other in a circle, at byte {offset}")
        seen.add(offset)
        try:
            handle.seek(offset)
            (tags,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
            handle.seek(tags * layout.tagsize, 1)
            (offset,) = struct.unpack(layout.offsetformat, handle.read(layout.offsetsize))
        except struct.error:
            return  # cut short, which tifffile notices


def find_page(file: tifffile.TiffFile, series: tifffile.TiffPageSeries, number: int) -> tifffile.TiffPage:
    """Return page `number` of a series.

    Metadata may promise planes that were not written, or that are in another file of a set. tifffile reads both
    as zeros.

    Raises:
        UnusablePage: The file does not hold the image data of the page, or they have another shape or type than
            those of the first page.
    """
    try:
        page = series[number]
    except IndexError:
        page = None
    if page is None:
        why = "the metadata list it, but the file does not hold it; is this one file of a set, or cut short?"
        raise UnusablePage(f"is missing: {why}")
    if page.parent is not file:
        if page.parent.filehandle.path != file.filehandle.path:
            raise UnusablePage(f"is missing: it is in another file of a set, {page.parent.filename}")
        page = file.pages[page.index]
    # Not as a frame, which is read by the layout of the first page.
    page = page.aspage()
    if why := _fault(page, file.filehandle.size):
        raise UnusablePage(f"is missing: {why}")
    if (page.shape, page.dtype) != (series.shape[-2:], series.dtype):
        raise UnusablePage(
            f"has shape {page.shape} and type {page.dtype}; allowed: {series.shape[-2:]} and {series.dtype}, as "
            "the first plane"
        )
    return page


def _fault(page: tifffile.TiffPage, file_bytes: int) -> str | None:
    """Return why the image data of a page are incomplete, or None."""
    starts, sizes = page.dataoffsets, page.databytecounts
    if not starts or any(start <= 0 or size <= 0 for start, size in zip(starts, sizes, strict=False)):
        return "a strip or tile has no data"
    if any(start + size > file_bytes for start, size in zip(starts, sizes, strict=False)):
        return "a strip or tile ends beyond the end of the file"
    if page.compression == 1 and sum(sizes) < page.size * page.bitspersample // 8:
        return f"its strips or tiles have {sum(sizes)} bytes in total, too few for its pixels"
    if page.compression != 1 and min(len(starts), len(sizes)) < prod(page.chunked):
        return f"{min(len(starts), len(sizes))} of its {prod(page.chunked)} strips or tiles are listed"
    return None


def block_bytes(file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> int:
    """Return how many bytes a file holds of a series whose planes follow each other, described by one directory.

    They are fewer than `series.nbytes` if the file, or another directory, begins before the last plane ends.
    """
    start = series.dataoffset
    held = min([file.filehandle.size, *(page.offset for page in file.pages if page.offset > start)]) - start
    return min(max(held, 0), series.nbytes)


def is_described(file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> bool:
    """Return whether a series follows the file's OME, ImageJ or shape metadata.

    If they do not fit the pages, because the file is cut short, tifffile ignores them and reads the pages as a stack
    without names, in which channels and planes alternate.
    """
    kinds = {"ome": file.is_ome, "imagej": file.is_imagej, "shaped": file.is_shaped}
    return not any(kinds.values()) or bool(kinds.get(series.kind))


def is_block(file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> bool:
    """Return whether a single directory describes all planes of a series, as ImageJ writes large files."""
    return series.dataoffset is not None and (series.is_truncated or len(file.pages) < len(series))
