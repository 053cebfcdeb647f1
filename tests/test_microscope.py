"""The synthetic microscope: its laws of physics, its statistics, and the files it writes."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

from sparsessp.data.microscope.dataset import COLUMNS, Catalogue, Size, acquire, load_catalogue, take
from sparsessp.data.microscope.montage import CATALOGUE
from sparsessp.data.microscope.optics import brightfield, brightfield_image, fluorescence, photon_budget
from sparsessp.data.microscope.scene import INGREDIENTS, Scene
from sparsessp.data.microscope.shapes import random_walks
from sparsessp.data.volumes import TRANSMITTED_LIGHT, read_volume
from sparsessp.errors import SparseSSPError
from sparsessp.structures import KEYS
from sparsessp.support.yaml_files import dump_yaml, read_yaml

TINY, SMALL = (16, 32, 32), (48, 64, 64)
ROOM = (45, 32, 32)  # the smallest scene: whole cells


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(CATALOGUE)


@pytest.fixture(scope="module")
def all_tiny(catalogue, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tiny")
    acquire(catalogue, "tiny", KEYS, out, workers=1, progress=False)
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# Files.


def test_manifest_lists_exactly_what_was_written(all_tiny):
    rows = manifest(all_tiny)
    assert tuple(rows[0]) == COLUMNS
    assert [row["volume"] for row in rows] == [f"{key}_{i:03d}" for key in KEYS for i in range(4)]
    assert set(files(all_tiny)) == {row["path"] for row in rows} | {"manifest.csv"}
    assert len({row["plate"] for row in rows}) == len(rows)
    for row in rows:
        assert hashlib.sha256((all_tiny / row["path"]).read_bytes()).hexdigest() == row["sha256"]


def test_volumes_are_normalised_and_carry_their_statistics(all_tiny, catalogue):
    for row in manifest(all_tiny):
        volume = read_volume(all_tiny / row["path"])
        assert volume.channels == (TRANSMITTED_LIGHT, row["structure"])
        assert volume.voxel_um == (catalogue.voxel_um,) * 3  # not binned
        assert volume.voxels.shape == (2, *TINY) == (2, *(int(row[k]) for k in ("planes", "height", "width")))
        # float32 rounding of a z-scored volume, averaged over 16,384 voxels
        np.testing.assert_allclose(volume.voxels.mean(axis=(1, 2, 3), dtype=np.float64), 0, atol=1e-6)
        np.testing.assert_allclose(volume.voxels.std(axis=(1, 2, 3), dtype=np.float64), 1, atol=1e-6)
        assert volume.notes["source"] == "synthetic"
        assert f"scene{volume.notes['scene']}" == row["plate"]
        for name in ("light_mean", "light_std", "target_mean", "target_std", "ceiling"):
            assert volume.notes[name] == row[name]


def test_workers_and_other_structures_change_no_byte(all_tiny, catalogue, tmp_path):
    # Listed in the wrong order and twice: the manifest's order is the structures' own.
    keys = ["tight_junction", "golgi_apparatus", "golgi_apparatus"]
    acquire(catalogue, "tiny", keys, tmp_path, workers=2, progress=False)
    everything, some = files(all_tiny), files(tmp_path)
    assert len(some) == 2 * 4 + 1
    assert all(everything[name] == content for name, content in some.items() if name != "manifest.csv")
    assert manifest(tmp_path) == [row for row in manifest(all_tiny) if row["structure"] in keys]


def test_another_seed_gives_other_cells(catalogue):
    other = catalogue.model_copy(update={"seed": catalogue.seed + 1})
    assert not np.array_equal(
        take(catalogue, Size(volumes=1, shape=TINY), "dna", 0).target,
        take(other, Size(volumes=1, shape=TINY), "dna", 0).target,
    )


def test_a_failed_run_leaves_no_manifest(catalogue, tmp_path):
    acquire(catalogue, "tiny", ["dna"], tmp_path, workers=1, progress=False)
    (tmp_path / "nucleolus").write_text("a file where a folder must go")
    with pytest.raises(FileExistsError):
        acquire(catalogue, "tiny", ["dna", "nucleolus"], tmp_path, workers=1, progress=False)
    assert not (tmp_path / "manifest.csv").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": "huge"}, "size 'huge' is unknown; allowed: tiny, small, moderate, medium, large"),
        ({"structures": []}, "structures is empty; allowed: actin_filament, "),
        ({"structures": ["dna", "vacuole"]}, "structure 'vacuole' is unknown; allowed: actin_filament, "),
        ({"workers": 0}, "workers = 0; allowed: 1 or more"),
    ],
)
def test_invalid_arguments_are_refused_before_anything_is_written(catalogue, tmp_path, change, said):
    arguments = {"size": "tiny", "structures": ["dna"], "out": tmp_path / "out", "progress": False} | change
    with pytest.raises(SparseSSPError, match=said):
        acquire(catalogue, **arguments)
    assert not (tmp_path / "out").exists()


# Catalogue.


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (["laser"], 1, "unknown key 'laser' .* allowed: seed, voxel_um, focus_range_um, brightfield"),
        (
            ["brightfield", "colour"],
            "red",
            "unknown key 'brightfield.colour' .*'red'.* allowed: numerical_aperture",
        ),
        (["sizes", "tiny", "depth"], 3, "unknown key 'sizes.tiny.depth' .* allowed: volumes, shape"),
        (["brightfield", "condenser_aperture"], 1.3, "condenser_aperture = 1.3: .*numerical_aperture = 1.25"),
        (["seed"], "7", "seed = '7': .*integer"),
        (["voxel_um"], -0.29, "voxel_um = -0.29: .*greater than 0"),
        (["sizes", "tiny", "volumes"], 0, "sizes.tiny.volumes = 0: .*greater than or equal to 1"),
        (["sizes", "tiny", "shape"], [8, 32, 32], "sizes.tiny.shape = .*at least 16 planes"),
        (["sizes", "tiny", "shape"], [16, 32], "sizes.tiny.shape"),
        (
            ["refractive_index", "vacuole"],
            0.1,
            "refractive_index = .*unknown ingredient 'vacuole'; allowed: cell_body",
        ),
        (["fluorescence", "ceiling", "dna"], 1.0, "fluorescence.ceiling.dna = 1.0: .*less than 1"),
        (["fluorescence", "ceiling", "vacuole"], 0.5, "unknown structure 'vacuole'; allowed: actin_filament"),
    ],
)
def test_catalogue_errors_name_the_key(tmp_path, keys, value, said):
    values = read_yaml(CATALOGUE)
    place = values
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path = tmp_path / "bad.yaml"
    path.write_text(dump_yaml(values))
    with pytest.raises(SparseSSPError, match=rf"bad\.yaml: .*{said}"):
        load_catalogue(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("seed: [1", "not valid YAML"),
        ("7", "contains 7"),
        ("seed: 1", "'voxel_um' is missing"),
    ],
)
def test_catalogue_refuses_broken_files(tmp_path, text, said):
    path = tmp_path / "bad.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SparseSSPError, match=rf"bad\.yaml: .*{said}"):
        load_catalogue(path)


def test_catalogue_is_frozen_and_has_every_ceiling(catalogue):
    assert tuple(catalogue.fluorescence.ceiling) == KEYS
    with pytest.raises(ValueError, match="frozen"):
        catalogue.seed = 1


# Scenes.


@pytest.mark.parametrize("seed", range(60))
def test_every_structure_shows_in_the_smallest_scene(catalogue, seed):
    scene = Scene((seed,), ROOM, catalogue.voxel_um)
    for key in KEYS:
        density = scene.density(key)
        assert density.shape == ROOM and density.dtype == np.float32
        assert density.min() >= 0 and np.isfinite(density).all()
        # 0.15: the belt alone, where all actomyosin bundles lie outside; all else peaks higher
        assert density.max() > 0.15, key
        assert photon_budget(density, 0.9, catalogue.fluorescence) > 0


def test_the_order_of_drawing_changes_nothing(catalogue):
    forward, backward = (Scene((3,), ROOM, catalogue.voxel_um) for _ in range(2))
    ahead = {key: forward.density(key) for key in KEYS}
    behind = {key: backward.density(key) for key in reversed(KEYS)}
    assert all(np.array_equal(ahead[key], behind[key]) for key in KEYS)


def test_a_scene_draws_only_what_it_needs(catalogue):
    scene = Scene((3,), ROOM, catalogue.voxel_um)
    scene.weigh(catalogue.refractive_index)
    assert not {"golgi_apparatus", "desmosome", "microtubules", "actin_fibres"} & set(vars(scene))
    assert "mitochondria" in vars(scene)


def test_golgi_and_desmosomes_do_not_refract(catalogue):
    without = {k: v for k, v in catalogue.refractive_index.items() if k not in ("golgi_apparatus", "desmosome")}
    assert len(without) == len(INGREDIENTS) - 2
    scene = Scene((5,), ROOM, catalogue.voxel_um)
    assert np.array_equal(scene.weigh(without), scene.weigh(catalogue.refractive_index))
    # ... though they could: their values in the catalogue are zero, not ignored
    for ingredient in ("golgi_apparatus", "desmosome"):
        assert scene.weigh({ingredient: 0.01}).max() > 0.001


def test_unknown_ingredients_and_structures_are_refused(catalogue):
    scene = Scene((5,), ROOM, catalogue.voxel_um)
    with pytest.raises(SparseSSPError, match="ingredient 'vacuole' is unknown; allowed: cell_body"):
        scene.weigh({"vacuole": 0.1})
    with pytest.raises(SparseSSPError, match="structure 'vacuole' is unknown"):
        scene.density("vacuole")


def test_nuclei_hold_dna_and_nucleoli_but_no_organelles(catalogue):
    scene = Scene((8,), SMALL, catalogue.voxel_um)
    deep, far = scene.cells.nucleus_distance < -1, scene.cells.nucleus_distance > 1
    assert 0.02 < deep.mean() < 0.3
    for key in ("dna", "nucleolus"):
        assert scene.density(key)[deep].mean() > 100 * scene.density(key)[far].mean()
    for key in ("mitochondria", "microtubule", "golgi_apparatus"):
        assert scene.density(key)[deep].mean() < 0.01 * scene.density(key)[far].mean()


def test_basal_bundles_lie_below_tight_junctions(catalogue):
    scene = Scene((8,), SMALL, catalogue.voxel_um)
    bottom = (SMALL[0] * catalogue.voxel_um - 9.6) / 2  # cells of 9.6 um, halfway up the scene
    planes = np.arange(SMALL[0])
    bundles, junctions = (
        (part.sum(axis=(1, 2)) * planes).sum() / part.sum() * catalogue.voxel_um
        for part in (scene.actomyosin_bundle, scene.density("tight_junction"))
    )
    assert bundles - bottom == pytest.approx(0.35, abs=0.3)  # 0.25 to 0.45 um above the glass side
    assert 6.3 < junctions - bottom < 9.8  # about 1.9 um below the free side


def test_random_walks_keep_their_step_and_length():
    rng = np.random.default_rng(0)
    start, steps = rng.standard_normal((50, 3)), rng.integers(3, 9, 50)
    points, walk = random_walks(rng, start, rng.standard_normal((50, 3)), steps, 0.17, 0.3)
    assert np.array_equal(np.bincount(walk), steps + 1)
    for i in range(50):
        course = points[walk == i]
        assert np.array_equal(course[0], start[i])
        np.testing.assert_allclose(np.linalg.norm(np.diff(course, axis=0), axis=1), 0.17)


# Focus.


def test_the_first_plane_varies_between_scenes_and_the_stack_contains_the_label(catalogue):
    size = Size(volumes=1, shape=(32, 32, 32))
    reach = np.ceil(catalogue.focus_range_um / catalogue.voxel_um)
    firsts = []
    for key in KEYS:
        taken = take(catalogue, size, key, 1)
        assert taken.light.shape == taken.target.shape == size.shape
        scene = Scene((catalogue.seed, taken.scene), (32 + 2 * int(reach), 32, 32), catalogue.voxel_um)
        assert taken.first <= scene.density(key).mean(axis=(1, 2)).argmax() < taken.first + 32
        firsts.append(taken.first)
    assert min(firsts) >= 0 and max(firsts) <= 2 * reach
    assert np.std(firsts) * catalogue.voxel_um > 1.2  # um; without jitter: 0


def test_without_a_focus_range_all_stacks_show_the_middle_of_the_cells(catalogue):
    fixed = catalogue.model_copy(update={"focus_range_um": 0.0})
    size = Size(volumes=1, shape=(48, 32, 32))
    assert {take(fixed, size, key, 0).first for key in ("dna", "nucleolus")} == {0}


def test_binning_widens_pixels_and_leaves_planes_where_they_are(catalogue, tmp_path):
    sizes = {"binned": Size(volumes=1, shape=(16, 32, 32), binning=2)}
    acquire(catalogue.model_copy(update={"sizes": sizes}), "binned", ["dna"], tmp_path, workers=1, progress=False)
    volume = read_volume(tmp_path / "dna" / "dna_000.ome.tiff")
    assert volume.voxels.shape == (2, 16, 32, 32)
    assert volume.voxel_um == pytest.approx((0.29, 0.58, 0.58))


def test_depth_in_the_stack_predicts_almost_nothing(catalogue):
    """R2 of each structure's mean z-profile on other scenes; at a fixed focus it is far higher."""
    keys, size = ("dna", "microtubule"), Size(volumes=1, shape=(32, 32, 32))

    def r2(microscope):
        found = []
        for key in keys:
            stacks = [take(microscope, size, key, number).target for number in range(12)]
            stacks = [(stack - stack.mean()) / stack.std() for stack in stacks]
            profile = np.mean([stack.mean(axis=(1, 2)) for stack in stacks[:8]], axis=0)[:, None, None]
            found += [1 - np.mean((stack - profile) ** 2) for stack in stacks[8:]]
        return np.mean(found)

    varied, fixed = r2(catalogue), r2(catalogue.model_copy(update={"focus_range_um": 0.0}))
    assert varied < 0.06 and fixed > varied + 0.05, (varied, fixed)


# Optics.


def thin_blob(plane: int, shape: tuple[int, int, int] = (33, 48, 48)) -> np.ndarray:
    """A small weak object in one plane, in the middle of the field."""
    y, x = (np.arange(n) - n // 2 for n in shape[1:])
    volume = np.zeros(shape, np.float32)
    volume[plane] = 0.01 * np.exp(-(y[:, None] ** 2 + x**2) / 18)
    return volume


@pytest.mark.parametrize("shape", [TINY, (17, 33, 40)])
def test_a_uniform_object_gives_no_contrast(catalogue, shape):
    uniform = np.full(shape, 0.02, np.float32)
    image = brightfield_image(uniform, uniform, catalogue.voxel_um, catalogue.brightfield)
    assert image.shape == shape
    np.testing.assert_allclose(image, 1, atol=1e-5)  # float32 transforms


def test_phase_contrast_vanishes_in_focus_and_flips_through_it(catalogue):
    blob = thin_blob(16)
    contrast = brightfield_image(blob, np.zeros_like(blob), catalogue.voxel_um, catalogue.brightfield) - 1
    strength = np.abs(contrast).max()
    assert strength > 0.005
    np.testing.assert_allclose(contrast[16], 0, atol=1e-3 * strength)
    np.testing.assert_allclose(contrast[16 - 8 : 16], -contrast[16 + 8 : 16 : -1], atol=1e-3 * strength)
    # A blob of higher index is a lens: it gathers the light above it, on the far side of the lamp.
    assert contrast[16 + 4, 24, 24] > 0 > contrast[16 - 4, 24, 24]


def test_absorption_darkens_most_in_focus(catalogue):
    blob = thin_blob(16)
    contrast = brightfield_image(np.zeros_like(blob), blob, catalogue.voxel_um, catalogue.brightfield) - 1
    assert contrast[:, 24, 24].argmin() == 16 and contrast[16, 24, 24] < 0
    np.testing.assert_allclose(contrast[16 - 8 : 16], contrast[16 + 8 : 16 : -1], atol=1e-3 * np.abs(contrast).max())


def test_weak_objects_add_up(catalogue):
    one, two, none = thin_blob(12), thin_blob(20), np.zeros((33, 48, 48), np.float32)
    images = [
        brightfield_image(part, none, catalogue.voxel_um, catalogue.brightfield) - 1 for part in (one, two, one + two)
    ]
    np.testing.assert_allclose(images[0] + images[1], images[2], atol=1e-5)  # float32 transforms


def test_camera_noise_follows_the_photon_count(catalogue):
    empty = np.zeros(SMALL, np.float32)
    even = catalogue.brightfield.model_copy(update={"unevenness": 0.0})
    image = brightfield(np.random.default_rng(0), empty, empty, catalogue.voxel_um, even)
    # Standard errors over 196,608 voxels: 2.4e-5 of the mean, 0.16 % of the deviation; four of each.
    assert image.mean(dtype=np.float64) == pytest.approx(1, abs=1e-4)
    assert image.std(dtype=np.float64) == pytest.approx(even.electrons**-0.5, rel=6.4e-3)


@pytest.mark.parametrize("key", KEYS)
def test_light_and_ceiling_match_the_catalogue(catalogue, key):
    sample = take(catalogue, Size(volumes=1, shape=SMALL), key, 0)
    # Droplets undershoot 0 and are clipped, and light spreads into the padding: well below one percent.
    assert sample.light.mean() == pytest.approx(1, abs=0.01)
    assert 0.04 < sample.light.std() < 0.1  # data.md has 6 to 7 percent; scenes differ
    assert sample.light.dtype == sample.target.dtype == np.float32
    # The noise's measured variance is dominated by the brightest few voxels: 0.006 off at most in 36 scenes.
    assert sample.ceiling == pytest.approx(catalogue.fluorescence.ceiling[key], abs=0.015)


def test_the_ceiling_is_what_a_perfect_prediction_scores(catalogue):
    scene = Scene((2,), SMALL, catalogue.voxel_um)
    density = scene.density("golgi_apparatus")
    first, second = (
        fluorescence(np.random.default_rng(i), density, 0.5, catalogue.voxel_um, catalogue.fluorescence)[0]
        for i in range(2)
    )
    # Two pictures of one scene share only the signal: they correlate by its share of the variance.
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] == pytest.approx(0.5, abs=0.02)


def test_an_empty_label_is_refused(catalogue):
    with pytest.raises(SparseSSPError, match="constant over the field"):
        photon_budget(np.zeros(TINY, np.float32), 0.9, catalogue.fluorescence)
