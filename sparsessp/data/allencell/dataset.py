"""Acquisition of the collection or a part of it: terms, lists, archives, prepared volumes and manifest.

An image gives one sample of its set's structure, and one of DNA if a row of `dna` names it; both are channels
of one file. A scratch folder keeps what later runs can reuse: `lists`, `archives` while they are needed, and
prepared `images`.
"""

import os
import shutil
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import pandas as pd

from sparsessp.data.allencell.catalogue import SETS, Catalogue, load_catalogue
from sparsessp.data.allencell.collecting import Work, collect
from sparsessp.data.allencell.download import PATIENCE, Patience, Pin, fetch, require_disk
from sparsessp.data.allencell.lists import Image, faults, read_list, rows_by_image
from sparsessp.data.allencell.lock import Lock
from sparsessp.data.allencell.settings import AcquisitionSettings
from sparsessp.data.samples import write_table
from sparsessp.data.splits import plate
from sparsessp.errors import SparseSSPError
from sparsessp.schema import CHECKSUM_COLUMN, INTENSITY_COLUMNS, MANIFEST, MANIFEST_COLUMNS
from sparsessp.structures import STRUCTURES, structure
from sparsessp.support.files import atomic_write
from sparsessp.support.processes import exclusive_lock

LISTS = "lists"
COLUMNS = (*MANIFEST_COLUMNS, *INTENSITY_COLUMNS, "target_variance", "image", CHECKSUM_COLUMN)


def acquire(
    catalogue: Path,
    structures: Collection[str],
    out: Path,
    scratch: Path,
    settings: AcquisitionSettings,
    workers: int = 1,
    progress: bool = True,
    patience: Patience = PATIENCE,
) -> None:
    """Acquire all images that show some of these structures.

    Writes `out/<structure>/<structure>_<row>.ome.tiff`, each channel z-scored over the whole volume and then
    zoomed, `out/lists/<set>.csv` unchanged, and last `out/manifest.csv`, so that everything a manifest lists is
    complete. Work finished before an error is kept in `scratch`. Memory: 0.2 GB, and 0.5 GB for each worker.

    Args:
        catalogue: Catalogue file; checksums of the archives are kept next to it, in NAME.lock.
        structures: Keys of the structures to acquire.
        out: Output folder.
        scratch: Folder for what later runs can reuse.
        settings: The user's choices.
        workers: Archives to download and prepare in parallel.
        progress: Show progress bars, and the downloads and disk space needed.
        patience: Retries and timeouts of downloads.

    Raises:
        SparseSSPError: The terms are not accepted, and nothing was downloaded; a list has bad rows, and no
            archive was downloaded; there is too little disk space; or archives or images are bad, all
            of which are named.
    """
    collection = load_catalogue(catalogue)
    if not settings.accept_terms:
        raise SparseSSPError(
            f"the terms of the collection are not accepted, so nothing was downloaded:\n\n{collection.terms}\n"
            "To accept them, set accept_terms to true (data.source.accept_terms=true in the pipeline)"
        )
    if workers < 1:
        raise SparseSSPError(f"workers = {workers}; allowed: 1 or more")
    lists, paths = _fetch_lists(collection, catalogue, scratch, settings, progress, patience)
    images = _wanted(rows_by_image(lists), structures, collection, catalogue)
    lock = Lock(catalogue.with_suffix(".lock"))
    by_set: dict[str, list[Image]] = {}
    for image in images:
        by_set.setdefault(image.set, []).append(image)
    works = [
        Work(name, tuple(of_set), collection, settings, lock, scratch, patience, progress)
        for name, of_set in by_set.items()
    ]
    for line in _room(works, structures, workers, out, scratch):
        if progress:
            print(line, flush=True)
    if errors := collect(works, workers):
        head = f"{len(errors)} {'error' if len(errors) == 1 else 'errors'}; nothing was written to {out}:"
        raise SparseSSPError("\n".join([head, *errors]))
    _publish(works, structures, paths, out)


def _fetch_lists(
    collection: Catalogue,
    catalogue: Path,
    scratch: Path,
    settings: AcquisitionSettings,
    progress: bool,
    patience: Patience,
) -> tuple[dict[str, pd.DataFrame], dict[str, Path]]:
    """Return all image lists of the catalogue, and the paths of their files."""
    paths = {}
    if progress:
        print(f"image lists from {settings.list_base or collection.lists.url}", flush=True)
    for name, sha256 in collection.lists.sha256.items():
        sources = collection.list_sources(name, settings.list_base)
        pin = Pin(sha256, origin=f"lists.sha256.{name} of {catalogue}")
        # By checksum, because other catalogues that share the scratch folder may have other lists.
        target = scratch / LISTS / sha256[:16] / f"{name}.csv"
        with exclusive_lock(scratch / "locks" / target.name):
            paths[name] = fetch(sources, target, pin, patience, progress=False).path
    lists = {name: read_list(path) for name, path in paths.items()}
    if errors := faults(lists):
        raise SparseSSPError(
            "\n".join([f"bad rows in the image lists, {len(errors)}; nothing else was downloaded:", *errors])
        )
    return lists, paths


def _wanted(
    images: Mapping[str, Image], structures: Collection[str], collection: Catalogue, catalogue: Path
) -> list[Image]:
    """Return the images that show one of the structures.

    Raises:
        SparseSSPError: A structure is in no image, or an archive is missing in the catalogue.
    """
    if not structures:
        raise SparseSSPError(f"structures is empty; allowed: {', '.join(SETS.values())}")
    chosen = [image for image in images.values() if image.channels.keys() & set(structures)]
    counts = Counter(key for image in chosen for key in image.channels)
    errors = [
        f"structure {key!r} is in no image; the lists of {catalogue} are {', '.join(collection.lists.sha256)}"
        for key in sorted(structures)
        if not counts[structure(key).key]
    ]
    lacking = sorted({image.set for image in chosen} - collection.archives.keys())
    errors += [f"archives.{name} is missing in {catalogue}, but its images are needed" for name in lacking]
    if errors:
        raise SparseSSPError("\n".join(errors))
    return chosen


def _room(works: list[Work], structures: Collection[str], workers: int, out: Path, scratch: Path) -> list[str]:
    """Describe the downloads and the disk space they need, and check that it is free."""
    todo = {work.set: len(work.missing()) for work in works}
    chosen = sum(len(work.images) for work in works)
    lines = [f"{chosen} images of {', '.join(todo)}; {chosen - sum(todo.values())} of them already prepared"]
    waiting = [work for work in works if todo[work.set]]
    if not waiting:
        return lines
    lines.append(f"archives needed: {', '.join(work.file for work in waiting)}")
    if for_dna := [work.file for work in waiting if SETS[work.set] not in structures]:
        lines.append(f"needed only because their images also show dna: {', '.join(for_dna)}")
    remotes = {work.file: work.to_download() for work in waiting}
    sizes = {name: remote.size for name, remote in remotes.items()}
    if fragile := [name for name, remote in remotes.items() if not remote.resumable]:
        lines.append(
            f"cannot be resumed: {', '.join(fragile)}; after a lost connection, these downloads start again from zero "
            "(the server does not send parts of files, or does not identify their version)"
        )
    if unknown := [name for name, size in sizes.items() if size is None]:
        lines.append(f"no source reports the size of {', '.join(unknown)}; not included below")
    known = sorted((size for size in sizes.values() if size), reverse=True)
    raw = sum(known if works[0].settings.keep_raw else known[:workers])
    each = works[0].catalogue.channel_bytes
    prepared = sum(len(image.channels) for work in waiting for image in work.missing()) * each
    lines.append(
        f"to download: {sum(known) / 1e9:.2f} GB, of which at most {raw / 1e9:.2f} GB are on the disk at a time"
    )
    lines.append(require_disk(scratch, raw + prepared, "archives and prepared volumes, estimated"))
    if _device(out) != _device(scratch):
        everything = sum(len(image.channels) for work in works for image in work.images) * each
        lines.append(require_disk(out, everything, "prepared volumes, estimated"))
    return lines


def _device(folder: Path) -> int:
    """Return the device number of a folder, which may not exist yet."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir()).stat().st_dev


def _publish(works: list[Work], structures: Collection[str], lists: Mapping[str, Path], out: Path) -> None:
    """Link or copy the volumes and lists to `out`, and write the manifest."""
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)  # its volumes are about to change
    for name, path in lists.items():
        _place(path, out / LISTS / f"{name}.csv", link=False)
    rows = []
    for work in works:
        store = work.store()
        for image in work.images:
            facts = store.facts(image)
            source = store.path(image)
            own = SETS[image.set]
            path = Path(own, source.name)
            _place(source, out / path, link=True)
            shared = {key: value for key, value in facts.items() if key != "targets"}
            for key in facts["targets"].keys() & set(structures):
                name = f"{own}_{image.number:03d}"
                rows.append(
                    {
                        "volume": name if key == own else f"{key}_{name}",
                        "structure": key,
                        "path": path.as_posix(),
                        "plate": plate(image.path_czi),
                        "image": image.path_czi,
                        **shared,
                        **facts["targets"][key],
                    }
                )
    order = {known.key: known.task for known in STRUCTURES}
    rows.sort(key=lambda row: (order[row["structure"]], row["volume"]))
    write_table(out / MANIFEST, pd.DataFrame(rows, columns=list(COLUMNS)))


def _place(source: Path, target: Path, link: bool) -> None:
    """Make `target` a hard link to `source` if asked and possible, otherwise a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as partial:
        partial.unlink(missing_ok=True)
        if link:
            with suppress(OSError):  # another disk, or a file system without links
                os.link(source, partial)
                return
        shutil.copyfile(source, partial)
