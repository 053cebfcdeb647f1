"""Reading archives as a stream: only one of the wanted files is on disk at a time."""

import gzip
import re
import shutil
import tarfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from sparsessp.errors import SparseSSPError
from sparsessp.support.files import SHORTAGES, raise_system_error

LARGEST_BYTES = 4 * 10**9  # of one file; an image of the collection has well below 1 GB
_CHUNK = 1 << 20
_TIFF = re.compile(r"(\.ome)?\.tiff?$", re.IGNORECASE)


class BadArchive(SparseSSPError):
    """The archive itself is broken, so none of its files can be trusted."""


def members(archive: Path, wanted: Collection[str], folder: Path) -> Iterator[tuple[str, Path | None]]:
    """Yield the wanted files of a tar.gz, each as a temporary file that is deleted before the next one.

    Files are matched by name without folders. A TIFF stack may replace a CZI file under its own extension, such
    as `1.ome.tiff` for the wanted `1.czi`. The temporary file has a fixed name, so no name in the archive can
    lead out of `folder`; links, devices and folders are skipped. The archive is read to the end, where its
    checksum is.

    Args:
        archive: The tar.gz.
        wanted: File names, without folders.
        folder: Folder for the temporary file.

    Yields:
        Name and temporary file, in the archive's order; then each missing name with None.

    Raises:
        BadArchive: The archive is truncated or corrupt, or a wanted file is listed twice or is too large.
        SparseSSPError: The archive is missing, or a file cannot be written to `folder`.
        OSError: Too many files are open, or memory is exhausted.
    """
    if not archive.is_file():
        raise SparseSSPError(f"{archive}: the archive is missing")
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{archive.name}.member"
    seen = set()
    try:
        # Not "r|gz": the decompression of tarfile does not verify the checksum.
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
                # extractfile gives None only for what is not a regular file; those were passed over above.
                with tar.extractfile(member) as source, temporary.open("wb") as target:  # type: ignore[union-attr]
                    shutil.copyfileobj(source, target, _CHUNK)
                yield name, temporary
            while stream.read(_CHUNK):
                pass
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BadArchive(
            f"{archive}: truncated or corrupt ({error}), found after {len(seen)} wanted files; download it again"
        ) from None
    except OSError as error:
        raise_system_error(error, archive, SHORTAGES)
        raise SparseSSPError(f"{archive}: cannot be unpacked in {folder} ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)
    yield from ((name, None) for name in sorted(set(wanted) - seen))
