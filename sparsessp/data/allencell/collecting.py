"""Downloading archives and preparing their images, one archive at a time or several in parallel."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from tqdm import tqdm

from sparsessp.data.allencell.archive import BadArchive, members
from sparsessp.data.allencell.catalogue import Catalogue
from sparsessp.data.allencell.conversion import convert
from sparsessp.data.allencell.download import Fetched, Patience, Pin, Remote, fetch, probe, stored
from sparsessp.data.allencell.lists import Image
from sparsessp.data.allencell.lock import Lock
from sparsessp.data.allencell.settings import AcquisitionSettings
from sparsessp.data.allencell.sources import local_path
from sparsessp.data.allencell.store import Store
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import SHORTAGES, raise_system_error
from sparsessp.support.processes import exclusive_lock


@dataclass(frozen=True)
class Work:
    """The images to prepare from one archive.

    Attributes:
        set: Set of the archive.
        images: Images to prepare.
        catalogue: Catalogue with sources and preparation.
        settings: The user's choices.
        lock: Recorded checksums.
        scratch: Folder for the archive and the prepared images.
        patience: Retries and timeouts of downloads.
        progress: Show progress bars.
    """

    set: str
    images: tuple[Image, ...]
    catalogue: Catalogue
    settings: AcquisitionSettings
    lock: Lock
    scratch: Path
    patience: Patience
    progress: bool

    @property
    def file(self) -> str:
        """File name of the archive."""
        return f"{self.set}.tar.gz"

    def store(self) -> Store | None:
        """Return the store of prepared images, or None while the archive's checksum is unknown."""
        pin = self.lock.pin(self.file) or self._remembered
        return None if pin is None else self._store(pin.sha256)

    def missing(self) -> list[Image]:
        """Return the images that are not prepared yet."""
        store = self.store()
        return [image for image in self.images if store is None or store.facts(image) is None]

    def to_download(self) -> Remote:
        """Return the bytes left to download, 0 for a local archive, and whether the download can be resumed."""
        if not self.missing() or local_path(self._sources[0]) is not None:
            return Remote(0, True)
        remote = probe(self._sources, self.lock.pin(self.file), self.patience)
        return remote if remote.size is None else replace(remote, size=max(0, remote.size - stored(self._target)))

    def run(self, position: int) -> list[str]:
        """Prepare the missing images; another process that shares the scratch folder waits.

        Args:
            position: Line of the progress bar.

        Returns:
            Errors of bad images, one line each; if there are any, the archive is kept.

        Raises:
            SparseSSPError: The archive cannot be downloaded, is broken, or has the wrong checksum.
        """
        with exclusive_lock(self.scratch / "locks" / self.file):
            self.__dict__.pop("_remembered", None)  # another process may have recorded it meanwhile
            return self._run(position)

    def _run(self, position: int) -> list[str]:
        if not self.missing():
            if self.lock.pin(self.file) is None and (known := self._remembered) is not None:
                self.lock.record(self.file, Fetched(self._target, known.sha256, known.bytes or 0, False))
            return []
        sources = self._sources
        while True:
            pin = self.lock.pin(self.file)
            fetched = fetch(sources, self._target, pin, self.patience, self.progress, position)
            try:
                faults = self._prepare(fetched, position)
                break
            except BadArchive as error:
                # The checksum is at the end, so images read before it may have seemed good.
                self._store(fetched.sha256).discard()
                if fetched.downloaded:
                    fetched.path.unlink()
                # The broken copy may have been on this disk, so all sources are tried.
                sources = sources[sources.index(fetched.source) + 1 :] if fetched.source else sources
                if not sources:
                    raise
                if self.progress:
                    tqdm.write(f"{error}; trying {sources[0]}", file=sys.stderr)
        self.lock.record(self.file, fetched)
        self._sums.replace(self.file, fetched)
        if fetched.downloaded and not faults and not self.settings.keep_raw:
            fetched.path.unlink()
        return faults

    def _prepare(self, fetched: Fetched, position: int) -> list[str]:
        """Prepare the missing images of a downloaded archive; return errors of bad images, one line each."""
        store = self._store(fetched.sha256)
        pending = {image.file: image for image in self.images if store.facts(image) is None}
        faults = []
        bar = tqdm(
            desc=f"{self.set}, images",
            total=len(self.images),
            initial=len(self.images) - len(pending),
            unit="image",
            position=position,
            leave=False,
            disable=not self.progress,
        )
        with bar:
            for file, path in members(fetched.path, pending, self.scratch / "unpacked"):
                image = pending[file]
                if path is None:
                    faults.append(f"{image.row}: {fetched.path} has no file {file!r}")
                    continue
                try:
                    facts = convert(path, image, self.catalogue, self.settings.voxel, store.path(image))
                except SparseSSPError as error:
                    faults.append(str(error))
                except OSError as error:
                    raise_system_error(error, among=SHORTAGES)
                    raise SparseSSPError(f"{store.path(image)}: cannot be written ({error})") from None
                else:
                    store.keep(image, facts)
                bar.update()
        return faults

    @property
    def _sums(self) -> Lock:
        """Checksum of the archive in the scratch folder, for workspaces whose lock file does not have it."""
        digest = hashlib.sha256("\n".join(self._sources).encode()).hexdigest()[:16]
        return Lock(self.scratch / "sums" / f"{self.set}-{digest}.lock")

    @cached_property
    def _remembered(self) -> Pin | None:
        """Checksum recorded by an earlier run from the same sources, if they still give a file of the same size."""
        pin = self._sums.pin(self.file)
        same = pin is not None and probe(self._sources, pin, self.patience).size == pin.bytes
        return pin if same else None

    @property
    def _sources(self) -> tuple[str, ...]:
        return self.catalogue.archive_sources(self.set, self.settings.archive_base)

    @property
    def _target(self) -> Path:
        return self.scratch / "archives" / self.file

    def _store(self, archive_sum: str) -> Store:
        return Store(self.scratch / "images" / f"{self.set}-{archive_sum[:16]}", self.catalogue, self.settings.voxel)


def collect(works: Sequence[Work], workers: int) -> list[str]:
    """Run all works, `workers` in parallel; one that fails does not stop the others.

    Returns:
        Errors, one line for each bad image and each archive that could not be downloaded.
    """
    queue: SimpleQueue[Work] = SimpleQueue()
    for work in works:
        queue.put(work)
    errors: dict[str, list[str]] = {}
    crashes: list[BaseException] = []

    def loop(position: int) -> None:
        try:
            while True:
                work = queue.get_nowait()
                try:
                    errors[work.set] = work.run(position)
                except SparseSSPError as error:
                    errors[work.set] = [str(error)]
                for line in errors[work.set] if work.progress else ():
                    tqdm.write(line, file=sys.stderr)
        except Empty:
            return
        except Exception as error:
            crashes.append(error)

    # Daemon threads, so that the program can be stopped during a download. The first loop runs in this thread.
    others = [Thread(target=loop, args=(position,), daemon=True) for position in range(1, workers)]
    for thread in others:
        thread.start()
    loop(0)
    for thread in others:
        thread.join()
    if crashes:
        raise crashes[0]
    return [line for work in works for line in errors[work.set]]
