"""Acquire the collection, or a part of it: terms, lists, archives, prepared volumes and their manifest.

One image gives a sample of its own set's structure, and one of DNA if a row of `dna` names it; both
are channels of one file. All that a later run can use waits in a scratch folder: `lists`, `archives`
while they are needed, and `images`, the prepared ones.
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
from sparsessp.data.samples import MANIFEST, write_table
from sparsessp.data.splits import plate
from sparsessp.errors import SparseSSPError
from sparsessp.structures import STRUCTURES, structure
from sparsessp.support.files import atomic_write

LISTS = "lists"
COLUMNS = (
    "volume",
    "structure",
    "path",
    "plate",
    "planes",
    "height",
    "width",
    "voxel_z_um",
    "voxel_y_um",
    "voxel_x_um",
    "light_mean",
    "light_std",
    "target_mean",
    "target_std",
    "target_variance",
    "image",
    "sha256",
)


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

    Writes `out/<structure>/<structure>_<row>.ome.tiff`, each channel z-scored over the whole volume
    and then zoomed, `out/lists/<set>.csv` as they came, and at last `out/manifest.csv`: if it is
    there, everything it lists is whole. What was finished before an error is kept in `scratch`. About
    0.5 GB of memory for each worker, 0.9 GB for images of seven channels in TIFF, and 0.2 GB besides.

    Args:
        catalogue: Catalogue file; the sums of the archives are kept beside it, in NAME.lock.
        structures: Keys of the structures to show.
        out: Folder to write to.
        scratch: Folder for what later runs can use.
        settings: The user's.
        workers: Archives to fetch and prepare side by side.
        progress: Show bars, and say what is needed.
        patience: With the sources.

    Raises:
        SparseSSPError: The terms are not accepted, and nothing was fetched; a list has bad rows, and no
            archive was fetched; there is too little room; or archives or images are bad, all of them
            being named.
    """
    collection = load_catalogue(catalogue)
    if not settings.accept_terms:
        raise SparseSSPError(
            f"the terms of the collection are not accepted, so nothing was fetched:\n\n{collection.terms}\n"
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
        head = f"{len(errors)} {'fault' if len(errors) == 1 else 'faults'}; nothing was written to {out}:"
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
    """Get all image lists of the catalogue, and the files they stand in."""
    paths = {}
    if progress:
        print(f"image lists from {settings.list_base or collection.lists.url}", flush=True)
    for name, sha256 in collection.lists.sha256.items():
        sources = collection.list_sources(name, settings.list_base)
        pin = Pin(sha256, origin=f"lists.sha256.{name} of {catalogue}")
        paths[name] = fetch(sources, scratch / LISTS / f"{name}.csv", pin, patience, progress=False).path
    lists = {name: read_list(path) for name, path in paths.items()}
    if errors := faults(lists):
        raise SparseSSPError(
            "\n".join([f"bad rows in the image lists, {len(errors)}; nothing else was fetched:", *errors])
        )
    return lists, paths


def _wanted(
    images: Mapping[str, Image], structures: Collection[str], collection: Catalogue, catalogue: Path
) -> list[Image]:
    """Images that show one of the structures, and a fault for each structure that cannot be had."""
    if not structures:
        raise SparseSSPError(f"structures is empty; allowed: {', '.join(SETS.values())}")
    chosen = [image for image in images.values() if image.channels.keys() & set(structures)]
    shown = Counter(key for image in chosen for key in image.channels)
    errors = [
        f"structure {key!r} is shown by no image; the lists of {catalogue} are {', '.join(collection.lists.sha256)}"
        for key in sorted(structures)
        if not shown[structure(key).key]
    ]
    lacking = sorted({image.set for image in chosen} - collection.archives.keys())
    errors += [f"archives.{name} is missing in {catalogue}; its images are wanted" for name in lacking]
    if errors:
        raise SparseSSPError("\n".join(errors))
    return chosen


def _room(works: list[Work], structures: Collection[str], workers: int, out: Path, scratch: Path) -> list[str]:
    """State what is to be fetched and how much room it takes, and see that it is there."""
    todo = {work.set: len(work.missing()) for work in works}
    chosen = sum(len(work.images) for work in works)
    lines = [f"{chosen} images of {', '.join(todo)}; {chosen - sum(todo.values())} of them are prepared already"]
    waiting = [work for work in works if todo[work.set]]
    if not waiting:
        return lines
    lines.append(f"to fetch: {', '.join(work.file for work in waiting)}")
    if for_dna := [work.file for work in waiting if SETS[work.set] not in structures]:
        lines.append(f"of these only because their images show dna too: {', '.join(for_dna)}")
    sizes = {work.file: work.to_download() for work in waiting}
    if unknown := [name for name, size in sizes.items() if size is None]:
        lines.append(f"no source tells the size of {', '.join(unknown)}; it is not counted below")
    known = sorted((size for size in sizes.values() if size), reverse=True)
    raw = sum(known if works[0].settings.keep_raw else known[:workers])
    each = works[0].catalogue.channel_bytes
    prepared = sum(len(image.channels) for work in waiting for image in work.missing()) * each
    lines.append(f"to download: {sum(known) / 1e9:.2f} GB; at a time at most {raw / 1e9:.2f} GB of it lie on the disk")
    lines.append(require_disk(scratch, raw + prepared, "archives and prepared volumes, estimated"))
    if _device(out) != _device(scratch):
        everything = sum(len(image.channels) for work in works for image in work.images) * each
        lines.append(require_disk(out, everything, "prepared volumes, estimated"))
    return lines


def _device(folder: Path) -> int:
    """The disk of a folder, which need not exist yet."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir()).stat().st_dev


def _publish(works: list[Work], structures: Collection[str], lists: Mapping[str, Path], out: Path) -> None:
    """Put the volumes and the lists into `out`, and write the manifest."""
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)  # it would vouch for volumes that are about to change
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
    """Make `target` the same file, which takes no room on the same disk, or else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as partial:
        partial.unlink(missing_ok=True)
        if link:
            with suppress(OSError):  # another disk, or one without links
                os.link(source, partial)
                return
        shutil.copyfile(source, partial)
