"""One archive after the other, or some side by side: fetched, read as a stream, its images prepared."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from tqdm import tqdm

from sparsessp.data.allencell.archive import BadArchive, members
from sparsessp.data.allencell.catalogue import Catalogue
from sparsessp.data.allencell.conversion import convert
from sparsessp.data.allencell.download import Fetched, Patience, fetch, remote_size, stored
from sparsessp.data.allencell.lists import Image
from sparsessp.data.allencell.lock import Lock
from sparsessp.data.allencell.settings import AcquisitionSettings
from sparsessp.data.allencell.sources import local_path
from sparsessp.data.allencell.store import Store
from sparsessp.errors import SparseSSPError


@dataclass(frozen=True)
class Work:
    """All that is wanted of one archive.

    Attributes:
        set: Its set.
        images: The images to prepare.
        catalogue: Gives its sources and the preparation.
        settings: The user's.
        lock: Holds the archive to its sum.
        scratch: Folder for the archive and for the prepared images.
        patience: With its sources.
        progress: Show bars.
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
        """Name of the archive."""
        return f"{self.set}.tar.gz"

    def store(self) -> Store | None:
        """Where its prepared images are, None while the archive's sum is not known."""
        pin = self.lock.pin(self.file)
        return None if pin is None else self._store(pin.sha256)

    def missing(self) -> list[Image]:
        """The images that are not prepared."""
        store = self.store()
        return [image for image in self.images if store is None or store.facts(image) is None]

    def to_download(self) -> int | None:
        """Bytes of the archive that are to come, None if no source tells; 0 for one used where it lies."""
        if not self.missing() or local_path(self._sources[0]) is not None:
            return 0
        size = remote_size(self._sources, self.patience)
        return None if size is None else max(0, size - stored(self._target))

    def run(self, position: int) -> list[str]:
        """Prepare what is missing.

        Args:
            position: Line of the progress bar.

        Returns:
            The bad images, a line each; the archive is kept if there is one.

        Raises:
            SparseSSPError: The archive cannot be fetched, or is not what it must be.
        """
        if not self.missing():
            return []
        sources = self._sources
        while True:
            pin = self.lock.pin(self.file)
            fetched = fetch(sources, self._target, pin, self.patience, self.progress, position)
            try:
                faults = self._prepare(fetched, position)
                break
            except BadArchive as error:
                # Its checksum comes last: images of it may have seemed good.
                self._store(fetched.sha256).discard()
                if fetched.downloaded:
                    fetched.path.unlink()
                # A copy that lay here may be the bad one; another source may have a good one.
                sources = sources[sources.index(fetched.source) + 1 :] if fetched.source else sources
                if not sources:
                    raise
                if self.progress:
                    tqdm.write(f"{error}; trying {sources[0]}", file=sys.stderr)
        self.lock.record(self.file, fetched)
        if fetched.downloaded and not faults and not self.settings.keep_raw:
            fetched.path.unlink()
        return faults

    def _prepare(self, fetched: Fetched, position: int) -> list[str]:
        """Prepare the missing images of an archive that is there; returns the bad ones, a line each."""
        store = self._store(fetched.sha256)
        waiting = {image.file: image for image in self.images if store.facts(image) is None}
        faults = []
        bar = tqdm(
            desc=f"{self.set}, images",
            total=len(self.images),
            initial=len(self.images) - len(waiting),
            unit="image",
            position=position,
            leave=False,
            disable=not self.progress,
        )
        with bar:
            for file, path in members(fetched.path, waiting, self.scratch / "unpacked"):
                image = waiting[file]
                if path is None:
                    faults.append(f"{image.row}: {fetched.path} has no file {file!r}")
                    continue
                try:
                    facts = convert(path, image, self.catalogue, self.settings.voxel, store.path(image))
                except SparseSSPError as error:
                    faults.append(str(error))
                except OSError as error:
                    raise SparseSSPError(f"{store.path(image)}: cannot be written ({error})") from None
                else:
                    store.keep(image, facts)
                bar.update()
        return faults

    @property
    def _sources(self) -> tuple[str, ...]:
        return self.catalogue.archive_sources(self.set, self.settings.archive_base)

    @property
    def _target(self) -> Path:
        return self.scratch / "archives" / self.file

    def _store(self, archive_sum: str) -> Store:
        return Store(self.scratch / "images" / f"{self.set}-{archive_sum[:16]}", self.catalogue, self.settings.voxel)


def collect(works: Sequence[Work], workers: int) -> list[str]:
    """Run all, `workers` side by side; one that fails does not stop the others.

    Returns:
        What went wrong, a line for each bad image and for each archive that could not be had.
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

    # Daemons: whoever stops the program need not wait for hours of download. The first works in this thread.
    others = [Thread(target=loop, args=(position,), daemon=True) for position in range(1, workers)]
    for thread in others:
        thread.start()
    loop(0)
    for thread in others:
        thread.join()
    if crashes:
        raise crashes[0]
    return [line for work in works for line in errors[work.set]]
