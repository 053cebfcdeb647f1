"""One random scene: what is in the cells, how it refracts, and what a label on it shows.

Shapes: D planes, H rows, W columns; N cells, P points; the last axis 3 is (z, y, x). Lengths in
micrometres. Each ingredient has its own random stream and is drawn on first use: a scene draws
only what its image needs, and leaving an ingredient out does not change the others.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from sparsessp.data.microscope.cells import Cells
from sparsessp.data.microscope.field import Field
from sparsessp.data.microscope.shapes import inside, random_walks, ridge
from sparsessp.errors import SparseSSPError
from sparsessp.structures import structure

# Everything that can carry refractive index or absorption; each is a property of Scene with values
# of 0 to about 1 (the two textures: mean about 0).
INGREDIENTS = (
    "cell_body",
    "dry_mass_texture",
    "granules",
    "nucleus",
    "nucleolus",
    "nuclear_envelope",
    "mitochondria",
    "endoplasmic_reticulum",
    "golgi_apparatus",
    "lipid_droplets",
    "cell_membrane",
    "junctional_belt",
    "desmosome",
    "actomyosin_bundle",
)

_STEP = 0.17  # of the random walks: below a voxel, so that filaments have no gaps


class Scene:
    """The contents of one field of view."""

    def __init__(self, seed: Sequence[int], shape: tuple[int, int, int], voxel_um: float):
        """Prepare a scene; nothing is drawn yet.

        Args:
            seed: Non-negative integers that identify the scene.
            shape: (D, H, W), at least 13 um high to hold whole cells, and at least 32 rows and columns.
            voxel_um: Edge of the cubic voxels.
        """
        self.field = Field(seed, shape, voxel_um)
        self.cells = Cells(self.field)

    def weigh(self, contrast: Mapping[str, float]) -> np.ndarray:
        """Sum the ingredients, each times its contrast: the refractive index or absorption, (D, H, W).

        Raises:
            SparseSSPError: An ingredient is unknown.
        """
        total = np.zeros(self.field.shape, np.float32)
        for ingredient, weight in contrast.items():
            if ingredient not in INGREDIENTS:
                raise SparseSSPError(f"ingredient {ingredient!r} is unknown; allowed: {', '.join(INGREDIENTS)}")
            if weight:
                total += np.float32(weight) * getattr(self, ingredient)
        return total

    def density(self, key: str) -> np.ndarray:
        """Return the fluorophore density (D, H, W) of the structure `key`, in arbitrary units."""
        match structure(key).key:
            case "actin_filament":
                return 0.9 * self.cell_membrane + 0.7 * self.junctional_belt + 0.76 * self.actin_fibres
            case "actomyosin_bundle":
                return 0.88 * self.actomyosin_bundle + 0.12 * self.junctional_belt + 0.05 * self.cell_membrane
            case "dna":
                chromatin = np.clip(1 + 0.35 * self.cells.fine_texture, 0, None)
                return self.nucleus * (1 - 0.75 * self.nucleolus) * chromatin
            case "endoplasmic_reticulum":
                return self.endoplasmic_reticulum + 0.35 * self.nuclear_envelope
            case "microtubule":
                return self.microtubules
            case "nuclear_envelope":
                return self.nuclear_envelope + 0.06 * self.nucleus
            case "nucleolus":
                return self.nucleolus + 0.05 * self.nucleus
            case "tight_junction":
                return ridge(self.cells.border, 0.174) * ridge(self.cells.below_top - 1.0, 0.32)
            case ingredient:
                return getattr(self, ingredient)

    # The cell as a whole.

    @property
    def cell_body(self) -> np.ndarray:
        """Everything but the medium."""
        return self.cells.body

    @cached_property
    def cytoplasm(self) -> np.ndarray:
        """Cells without their nuclei."""
        return self.cell_body * (1 - self.nucleus)

    @property
    def dry_mass_texture(self) -> np.ndarray:
        """Slow variation of the dry mass, standard deviation 1 within cells."""
        return self.cell_body * self.cells.coarse_texture

    @property
    def granules(self) -> np.ndarray:
        """Graininess of the cytoplasm, standard deviation 1."""
        return self.cytoplasm * self.cells.fine_texture

    # Membranes and junctions.

    @cached_property
    def cell_membrane(self) -> np.ndarray:
        """Bright where neighbours touch, fainter on the glass side and the free side."""
        faces = ridge(self.cells.above_bottom, 0.174) + ridge(self.cells.below_top, 0.174)
        return ridge(self.cells.border, 0.16) * self.cell_body + 0.6 * faces

    @cached_property
    def junctional_belt(self) -> np.ndarray:
        """The adhesion belt below the free side; the tight junction is its sharp upper rim."""
        return ridge(self.cells.border, 0.29) * ridge(self.cells.below_top - 1.16, 0.58)

    @cached_property
    def desmosome(self) -> np.ndarray:
        """Puncta of random brightness on the faces between cells."""
        rng, border = self.field.rng("desmosome"), self.cells.border
        faces = np.argwhere(border <= max(0.23, border.min()))
        row, column = faces[rng.integers(len(faces), size=max(3, round(0.22 * len(faces))))].T
        bottom, top = (surface[row, column] for surface in self.cells.surfaces)
        z = rng.uniform(bottom + 1.16, top - 0.87)
        points = np.column_stack([z, row * self.field.voxel[1], column * self.field.voxel[2]])
        return self.field.count(points, rng.gamma(2.0, 0.6, len(points)))

    # The nucleus.

    @cached_property
    def nucleus(self) -> np.ndarray:
        """Nuclei with everything in them."""
        return inside(self.cells.nucleus_distance) * self.cell_body

    @cached_property
    def nuclear_envelope(self) -> np.ndarray:
        """A closed shell around each nucleus."""
        return ridge(self.cells.nucleus_distance, 0.174) * self.cell_body

    @cached_property
    def nucleolus(self) -> np.ndarray:
        """Two to four round blobs in each nucleus."""
        rng, field, (centre, radius, _) = self.field.rng("nucleoli"), self.field, self.cells.nuclei
        most, n = 4, len(centre)
        aside = np.clip(rng.normal(0, 0.38, (n, most, 3)), -0.5, 0.5)
        blobs = centre[:, None] + aside * radius[:, None]
        there = np.arange(most) < rng.integers(2, most + 1, (n, 1))
        size = np.where(there, rng.uniform(0.64, 1.4, (n, most)), -np.inf)
        distance = np.full(field.shape, np.inf, np.float32)
        for i in range(most):
            blob, reach = (values[self.cells.owner, i].astype(np.float32) for values in (blobs, size))
            lateral = np.square(field.y - blob[..., 1]) + np.square(field.x - blob[..., 2])
            np.minimum(distance, np.sqrt(np.square(field.z - blob[..., 0]) + lateral) - reach, out=distance)
        return inside(distance + 0.174 * self.cells.fine_texture) * self.nucleus

    # Organelles of the cytoplasm.

    @cached_property
    def endoplasmic_reticulum(self) -> np.ndarray:
        """A network of sheets, thinning out with the distance from the nucleus."""
        noise = self.field.noise(self.field.rng("endoplasmic_reticulum"), 0.38)
        sheets = np.clip(1 - np.abs(noise) / 0.45, 0, None) * self.cytoplasm
        return sheets * (0.45 + 0.55 * np.exp(-np.maximum(self.cells.nucleus_distance, 0) / 2.6))

    @cached_property
    def mitochondria(self) -> np.ndarray:
        """About 42 curved tubules per cell."""
        rng = self.field.rng("mitochondria")
        owner, start = self._scattered(rng, 42, spread=(2.3, 3.8, 3.8))
        heading = rng.standard_normal(start.shape) * [0.4, 1, 1]
        points, walk = self._walk(rng, start, heading, (10, 30), wobble=0.22)
        tubes = self.field.tubes(points[self.cells.hold(points, owner[walk])], _STEP, radius=0.2)
        return np.clip(3.2 * tubes, 0, 1) * self.cytoplasm

    @cached_property
    def microtubules(self) -> np.ndarray:
        """About 110 gently curved filaments per cell over a diffuse pool, densest at mid-height."""
        rng = self.field.rng("microtubules")
        owner, start = self._scattered(rng, 110, spread=(2.0, 3.2, 3.2))
        heading = rng.standard_normal(start.shape) * [0.5, 1, 1]
        points, walk = self._walk(rng, start, heading, (30, 70), wobble=0.1)
        tubes = self.field.tubes(points[self.cells.hold(points, owner[walk])], _STEP, radius=0.145) * self.cytoplasm
        height = 0.75 + 0.25 * np.clip(1 - np.abs(self.cells.above_bottom - 4.1) / 6.4, 0, 1)
        return self.cytoplasm * (0.9 + 0.35 * tubes / tubes.std()) * height

    @cached_property
    def golgi_apparatus(self) -> np.ndarray:
        """One cloud of short ribbons next to each nucleus, redrawn until some of it is in view."""
        rng, (centre, radius, _) = self.field.rng("golgi_apparatus"), self.cells.nuclei
        owner = np.repeat(self.cells.in_view, 17)
        while True:
            angle, reach = rng.uniform(0, 2 * np.pi, len(centre)), 1.1 * radius[:, 1]
            lift = rng.uniform(-0.6, 2.3, len(centre))
            nearby = centre + np.column_stack([lift, reach * np.sin(angle), reach * np.cos(angle)])
            start = nearby[owner] + rng.normal(0, 0.9, (len(owner), 3))
            points, _ = self._walk(rng, start, rng.standard_normal(start.shape), (5, 13), wobble=0.35)
            ribbons = self.field.tubes(points, _STEP, radius=0.174) * self.cytoplasm
            if np.count_nonzero(ribbons > 0.25) >= 20:
                return ribbons

    @cached_property
    def lipid_droplets(self) -> np.ndarray:
        """Three to seven unlabelled, strongly refracting droplets per cell."""
        rng = self.field.rng("lipid_droplets")
        _, centres = self._scattered(rng, 5, spread=(2.3, 3.8, 3.8))
        droplets = np.zeros(self.field.shape, np.float32)
        for centre, radius in zip(centres, rng.uniform(0.2, 0.38, len(centres)), strict=True):
            self.field.ball(droplets, centre, radius)
        return droplets * self.cytoplasm

    # Filaments on the glass side.

    @cached_property
    def actomyosin_bundle(self) -> np.ndarray:
        """Two to four thick, nearly straight bundles per cell."""
        points = self._basal_walk("actomyosin_bundle", 3, 60, wobble=0.03, height=(0.25, 0.45))
        return self.field.tubes(points, _STEP, radius=0.174)

    @cached_property
    def actin_fibres(self) -> np.ndarray:
        """About 16 thin fibres per cell."""
        points = self._basal_walk("actin_fibres", 16, 35, wobble=0.05, height=(0.09, 0.58))
        return self.field.tubes(points, _STEP, radius=0.145)

    # Random walks. Each takes the generator of its ingredient.

    def _scattered(
        self, rng: np.random.Generator, mean: int, spread: tuple[float, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scatter about `mean` points around each nucleus in view: their cells (P,) and the points (P, 3)."""
        number = rng.integers(round(0.6 * mean), round(1.4 * mean) + 1, len(self.cells.in_view))
        owner = np.repeat(self.cells.in_view, number)
        return owner, self.cells.nuclei[0][owner] + rng.standard_normal((len(owner), 3)) * spread

    def _walk(
        self,
        rng: np.random.Generator,
        start: np.ndarray,
        heading: np.ndarray,
        steps: tuple[int, int],
        wobble: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run `random_walks` with numbers of steps from a half-open range."""
        return random_walks(rng, start, heading, rng.integers(*steps, len(start)), _STEP, wobble)

    def _basal_walk(
        self, stream: str, number: int, steps: int, wobble: float, height: tuple[float, float]
    ) -> np.ndarray:
        """Points (P, 3) of about `number` filaments per cell, at heights above the glass side from a range."""
        rng, in_view = self.field.rng(stream), self.cells.in_view
        owner = np.repeat(in_view, rng.integers(number - 1, number + 2, len(in_view)))
        n = len(owner)
        start = np.column_stack([np.zeros(n), self.cells.centres[owner] + rng.normal(0, 2.8, (n, 2))])
        angle, lift = rng.uniform(0, 2 * np.pi, n), rng.uniform(*height, n)
        heading = np.column_stack([np.zeros(n), np.sin(angle), np.cos(angle)])
        points, walk = self._walk(rng, start, heading, (steps, steps + 1), wobble)
        home = self.cells.hold(points, owner[walk])
        points, walk = points[home], walk[home]
        points[:, 0] = self.cells.surfaces[0][self.field.pixels(points)] + lift[walk]
        return points
