"""Archives read as a stream: one wanted file at a time on disk, however large the archive is."""

import gzip
import re
import shutil
import tarfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from sparsessp.errors import SparseSSPError

LARGEST_BYTES = 4 * 10**9  # of one file; a field of view of the collection has well below 1 GB
_CHUNK = 1 << 20
_TIFF = re.compile(r"(\.ome)?\.tiff?$", re.IGNORECASE)


class BadArchive(SparseSSPError):
    """The archive itself is at fault: nothing that came out of it can be trusted."""


def members(archive: Path, wanted: Collection[str], folder: Path) -> Iterator[tuple[str, Path | None]]:
    """Give the wanted files of a tar.gz, each as a temporary file that is gone when the next is asked for.

    A file is known by its name without folders; a TIFF stack may stand in the place of a CZI file under
    its own ending, such as `1.ome.tiff` for the wanted `1.czi`. The name of the temporary file is ours, so no name in
    the archive can lead out of `folder`; links, devices and folders are passed over. The archive is
    read to its end, where its checksum stands.

    Args:
        archive: The tar.gz.
        wanted: File names, without folders.
        folder: Where to put the temporary file, whose name follows from the archive's.

    Yields:
        Name and temporary file, in the archive's order; after the last, each wanted name that was not
        there, with None.

    Raises:
        BadArchive: The archive is cut short or corrupt, or a wanted file is in it twice or is too
            large.
        SparseSSPError: The archive is missing, or a file finds no room in `folder`.
    """
    if not archive.is_file():
        raise SparseSSPError(f"{archive}: the archive is missing")
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{archive.name}.member"
    seen = set()
    try:
        # Not "r|gz": tarfile's own decompression does not compare the checksum.
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK) as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                if name not in wanted:
                    name = _TIFF.sub(".czi", name)
                if name not in wanted or not member.isreg():
                    continue
                if name in seen:
                    raise BadArchive(f"{archive}: {name!r} is listed twice; allowed: each file name once")
                if member.size > LARGEST_BYTES:
                    raise BadArchive(f"{archive}: {name!r} has {member.size} bytes; allowed: at most {LARGEST_BYTES}")
                seen.add(name)
                with tar.extractfile(member) as source, temporary.open("wb") as target:  # type: ignore[union-attr]
                    shutil.copyfileobj(source, target, _CHUNK)
                yield name, temporary
            while stream.read(_CHUNK):
                pass
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BadArchive(
            f"{archive}: cut short or corrupt ({error}), found after {len(seen)} wanted files; fetch it again"
        ) from None
    except OSError as error:
        raise SparseSSPError(f"{archive}: cannot be unpacked in {folder} ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)
    yield from ((name, None) for name in sorted(set(wanted) - seen))
