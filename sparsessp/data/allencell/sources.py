"""Sources of files: http, https and file URLs, and local paths."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sparsessp.errors import SparseSSPError


def local_path(source: str) -> Path | None:
    """Return the path of a local source, or None if it must be downloaded.

    Raises:
        SparseSSPError: The source is a URL of another kind.
    """
    if not source.isprintable():
        raise SparseSSPError(f"source {source!r} is not allowed; allowed: printable characters")
    if "://" not in source:
        return Path(source)
    url = urlsplit(source)
    if url.scheme in ("http", "https") and url.hostname:
        return None
    if url.scheme == "file" and url.netloc in ("", "localhost") and url.path:
        return Path(url2pathname(url.path))
    raise SparseSSPError(
        f"source {source!r} is not allowed; allowed: http://HOST/..., https://HOST/..., file:///FOLDER, a path"
    )


def below(base: str, name: str) -> str:
    """Return the source of the file `name` in the folder `base`, a URL or path."""
    folder = local_path(base)
    return f"{base.rstrip('/')}/{name}" if folder is None else str(folder / name)
