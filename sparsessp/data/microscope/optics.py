"""The images of a scene: brightfield and confocal fluorescence stacks.

Shapes: D planes, H rows, W columns. Lengths are in micrometres, frequencies in cycles per um.
"""

from functools import lru_cache

import numpy as np
from scipy import fft, ndimage

from sparsessp.data.microscope.catalogue import Brightfield, Fluorescence
from sparsessp.errors import SparseSSPError

_SOURCES = 17  # condenser points across its diameter: fewer show as a raster far from focus
_RADII = 1024  # samples of a transfer function along its radius
_MARGIN_UM = 4.0  # objects beyond the sides of the field still cause fringes in it
ALL_PLANES = slice(None)


@lru_cache(maxsize=2)
def transfer_functions(
    shape: tuple[int, int, int], voxel_um: float, optics: Brightfield
) -> tuple[np.ndarray, np.ndarray]:
    """Weak-object 3D transfer functions of phase and absorption under partially coherent light.

    A plane wave from condenser point s is scattered once, to the lateral frequency s + f. Its
    interference with the direct light, over the axial distance z between object and focus, is

        T(f, z) = mean over s of  P(s + f) / eta(s + f) * exp(2 pi i z (eta(s + f) - eta(s)))

    with the objective's pupil P and the axial frequency eta(q) = sqrt((n0 / lambda)^2 - |q|^2).
    Phase acts through -2 Im T, which is 0 in focus and odd in z; absorption through -2 Re T.

    Args:
        shape: Of the stack to filter, padded.
        voxel_um: Edge of the cubic voxels.
        optics: The microscope.

    Returns:
        Two complex64 arrays (D, H, W // 2 + 1) to multiply with `scipy.fft.rfftn` of the object.
    """
    planes, rows, columns = shape
    medium, pupil, condenser = (
        number / optics.wavelength_um
        for number in (optics.medium_index, optics.numerical_aperture, optics.condenser_aperture)
    )
    line = np.linspace(-condenser, condenser, _SOURCES)
    sources = [(y, x) for y in line for x in line if y * y + x * x <= condenser**2 * (1 + 1e-9)]
    # The optics are rotationally symmetric: T is computed along one radius of f and turned around the axis.
    radius = np.linspace(0, pupil + condenser, _RADII)
    z = (np.arange(planes // 2 + 1) * voxel_um)[:, None]
    along = np.zeros((len(z), _RADII), np.complex128)
    for source_y, source_x in sources:
        squared = source_y**2 + np.square(radius + source_x)
        passed = squared <= min(pupil, 0.999 * medium) ** 2
        axial = np.sqrt(np.where(passed, medium**2 - squared, 1.0))
        direct = np.sqrt(medium**2 - source_y**2 - source_x**2)
        along += passed / axial * np.exp(2j * np.pi * z * (axial - direct))
    # First Born approximation: potential 2 k0^2 n0 dn, times 1 / (2 kz) of Green's function.
    along *= 2 * np.pi * optics.medium_index / optics.wavelength_um**2 * voxel_um / len(sources)
    along[:, -1] = 0  # the first frequency that no longer passes
    frequency = np.hypot(fft.fftfreq(rows, voxel_um)[:, None], fft.rfftfreq(columns, voxel_um))

    def turned(half: np.ndarray, parity: int) -> np.ndarray:
        """Spectrum of a kernel that is even (1) or odd (-1) in z, given along the radius at z >= 0."""
        kernel = np.empty((planes, *frequency.shape), np.float32)
        for plane, values in enumerate(half):
            kernel[plane] = np.interp(frequency, radius, values)
        for plane in range(planes // 2 + 1, planes):
            kernel[plane] = parity * kernel[planes - plane]
        if parity < 0 and planes % 2 == 0:
            kernel[planes // 2] = 0  # +z and -z share this plane
        return fft.fft(kernel, axis=0)

    return turned(-2 * along.imag, -1), turned(-2 * along.real, 1)


def brightfield_image(index: np.ndarray, absorption: np.ndarray, voxel_um: float, optics: Brightfield) -> np.ndarray:
    """Noise-free brightfield stack under even light, (D, H, W), in units of the mean intensity.

    Args:
        index: (D, H, W), refractive index minus the medium's.
        absorption: (D, H, W), imaginary part of the refractive index.
        voxel_um: Edge of the cubic voxels.
        optics: The microscope.
    """
    margin = min(round(_MARGIN_UM / voxel_um), min(index.shape[1:]) - 1)
    above = index.shape[0] // 2
    shape = tuple(
        fft.next_fast_len(n, real=True) for n in (2 * index.shape[0], *(n + 2 * margin for n in index.shape[1:]))
    )
    before = (above, margin, margin)
    pad = [(b, total - n - b) for b, total, n in zip(before, shape, index.shape, strict=True)]

    def spectrum(part: np.ndarray) -> np.ndarray:
        # Cells continue beyond the sides; below and above, the last planes are repeated.
        deep = np.pad(part, [pad[0], (0, 0), (0, 0)], mode="edge")
        values = fft.rfftn(np.pad(deep, [(0, 0), *pad[1:]], mode="reflect"))
        values[0, 0, 0] = 0  # the camera is set to the mean intensity
        return values

    by_phase, by_absorption = transfer_functions(shape, voxel_um, optics)
    contrast = fft.irfftn(spectrum(index) * by_phase + spectrum(absorption) * by_absorption, s=shape)
    return 1 + contrast[tuple(slice(b, b + n) for b, n in zip(before, index.shape, strict=True))]


def record(image: np.ndarray, binning: int) -> np.ndarray:
    """Image as the camera samples it: pixels of binning x binning voxels.

    Args:
        image: (D, H, W), with H and W divisible by `binning`.
        binning: Voxels per edge of a pixel.
    """
    depth, height, width = image.shape
    blocks = image.reshape(depth, height // binning, binning, width // binning, binning)
    return blocks.mean(axis=(2, 4))


def brightfield(
    rng: np.random.Generator,
    index: np.ndarray,
    absorption: np.ndarray,
    voxel_um: float,
    optics: Brightfield,
    stack: slice = ALL_PLANES,
    binning: int = 1,
) -> np.ndarray:
    """Brightfield stack as the camera takes it: uneven light and photon noise; mean about 1.

    Args:
        rng: Source of the illumination's shape and of the noise.
        index: (D, H, W), refractive index minus the medium's.
        absorption: (D, H, W), imaginary part of the refractive index.
        voxel_um: Edge of the cubic voxels.
        optics: The microscope.
        stack: Planes of the scene that are imaged; the others are out of focus but still refract.
        binning: See `record`.
    """
    image = record(brightfield_image(index, absorption, voxel_um, optics)[stack], binning)
    zoom = tuple(side / 3 for side in image.shape[1:])
    shading = ndimage.zoom(rng.standard_normal((3, 3)), zoom, order=2)
    light = 1 + optics.unevenness * (shading - shading.mean())
    # The weak-object intensity can undershoot at strong droplets; a camera sees some light everywhere.
    electrons = optics.electrons * np.clip(image * light, 0.02, None)
    return (rng.poisson(electrons) / optics.electrons).astype(np.float32)


def photon_budget(image: np.ndarray, ceiling: float, optics: Fluorescence) -> float:
    """Photons per unit of `image` that make `ceiling` the R2 of a perfect prediction.

    With n photons the signal's variance is n^2 var(image), and the noise's n mean(image) +
    background + read_noise^2; the ceiling is the signal's share of their sum.

    Raises:
        SparseSSPError: The image is constant, so that no number of photons gives this ceiling.
    """
    variance, mean = float(image.var(dtype=np.float64)), float(image.mean(dtype=np.float64))
    if variance <= 0:
        raise SparseSSPError("the label is constant over the field: there is nothing to image")
    share = variance * (1 - ceiling) / ceiling
    dark = optics.background + optics.read_noise**2
    return (mean + np.sqrt(mean**2 + 4 * share * dark)) / (2 * share)


def fluorescence(
    rng: np.random.Generator,
    density: np.ndarray,
    ceiling: float,
    voxel_um: float,
    optics: Fluorescence,
    stack: slice = ALL_PLANES,
    binning: int = 1,
) -> tuple[np.ndarray, float]:
    """Confocal stack of one label.

    The photon budget is computed for this stack, so it depends on the catalogue only, and the unit
    of `density` does not matter.

    Args:
        rng: Source of the noise.
        density: (D, H, W), fluorophores in any unit.
        ceiling: R2 wanted of a perfect prediction.
        voxel_um: Edge of the cubic voxels.
        optics: The microscope.
        stack: Planes of the scene that are imaged.
        binning: See `record`; the photon budget holds for the recorded voxels.

    Returns:
        The recorded stack in photons, and its measured ceiling: variance without noise over
        variance with noise.
    """
    blurred = ndimage.gaussian_filter(density, [sigma / voxel_um for sigma in optics.psf_um])
    image = record(blurred[stack], binning)
    clean = image * photon_budget(image, ceiling, optics) + optics.background
    noisy = rng.poisson(clean) + optics.read_noise * rng.standard_normal(clean.shape)
    return noisy.astype(np.float32), float(clean.var(dtype=np.float64) / noisy.var())
