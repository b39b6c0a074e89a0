"""The shipped template against where radiologists draw the ASPECTS regions, and against plain anatomy."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from infarct.anatomy import (
    GANGLIONIC_REGIONS,
    INFRATENTORIAL,
    REGIONS,
    SIDES,
    SUPRAGANGLIONIC_REGIONS,
    TERRITORY_LABELS,
    Region,
    Side,
    region_label,
)
from infarct.atlas.template import ATLAS_FILE, Atlas, load_atlas, read_atlas

# Mean over five real scans in MNI space, left mirrored onto right and both averaged: volume in ml; then distance from
# the midsagittal plane, anterior and superior position in mm of the centroid, the 5th and the 95th percentile.
TARGETS: dict[Region, tuple[float, tuple[float, ...], tuple[float, ...], tuple[float, ...]]] = {
    "C": (4.0, (15.2, 15.3, 5.6), (9.5, 7.0, -7.0), (21.0, 23.5, 18.0)),
    "I": (6.65, (39.2, -0.45, 1.5), (34.5, -18.5, -11.0), (43.5, 18.0, 14.5)),
    "IC": (3.9, (18.45, -4.25, 4.7), (11.5, -17.0, -5.0), (25.0, 10.5, 14.5)),
    "L": (11.75, (26.05, 0.35, -0.35), (17.0, -14.0, -10.5), (34.0, 13.5, 12.0)),
    "M1": (23.05, (42.65, 33.45, -1.2), (30.0, 19.5, -14.0), (55.5, 49.5, 11.0)),
    "M2": (29.9, (54.75, -4.45, 4.05), (42.5, -23.0, -9.5), (67.0, 16.0, 17.0)),
    "M3": (29.95, (54.05, -41.65, 10.15), (40.5, -60.0, -3.5), (68.0, -26.0, 22.5)),
    "M4": (32.45, (39.35, 30.6, 29.2), (24.5, 16.0, 13.0), (54.0, 47.0, 46.0)),
    "M5": (42.8, (49.2, -3.4, 34.4), (33.0, -21.0, 18.5), (64.5, 14.0, 51.0)),
    "M6": (46.15, (47.3, -41.8, 40.85), (31.0, -61.5, 25.0), (64.0, -24.5, 56.5)),
}
CENTROID_TOLERANCE_MM = 6.0
EXTENT_TOLERANCE_MM = 5.0
VOLUME_TOLERANCE = 0.30

PLAUSIBLE_ML = {"cerebellum": (100, 190), "midbrain": (7, 20), "pons": (12, 28), "medulla": (3, 10)}
each_region = pytest.mark.parametrize("region", REGIONS)
each_side = pytest.mark.parametrize("side", SIDES)


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return load_atlas()


def points_mm(atlas: Atlas, region: Region, side: Side) -> np.ndarray:
    """Distance from the midsagittal plane, anterior, superior position of each voxel, from LPS."""
    world = atlas.geometry.index_to_world(np.argwhere(atlas.aspects_labels == region_label(region, side)))
    return world * ((1 if side == "left" else -1), -1, 1)


@each_side
@each_region
def test_regions_lie_where_radiologists_draw_them(atlas: Atlas, region: Region, side: Side) -> None:
    volume_ml, centroid, low, high = TARGETS[region]
    points = points_mm(atlas, region, side)
    assert len(points) / 1000 == pytest.approx(volume_ml, rel=VOLUME_TOLERANCE)
    assert np.linalg.norm(points.mean(axis=0) - centroid) <= CENTROID_TOLERANCE_MM
    np.testing.assert_allclose(np.percentile(points, 5, axis=0), low, atol=EXTENT_TOLERANCE_MM)
    np.testing.assert_allclose(np.percentile(points, 95, axis=0), high, atol=EXTENT_TOLERANCE_MM)


@each_side
@each_region
def test_each_region_is_one_piece(atlas: Atlas, region: Region, side: Side) -> None:
    components, count = ndimage.label(atlas.aspects_labels == region_label(region, side))
    sizes = np.bincount(components.ravel())[1:]
    assert count >= 1
    assert sizes.max() >= 0.95 * sizes.sum()


def test_left_and_right_mirror_each_other(atlas: Atlas) -> None:
    images = ("grey", "white", "csf", "template_hu", "tissue", "territories", "brain", "skull", "scalp", "cortical")
    for name in images:
        image = getattr(atlas, name)
        assert np.array_equal(image, image[..., ::-1]), name
    labels = atlas.aspects_labels.astype(int)
    swapped = np.select([labels > 10, labels > 0], [labels - 10, labels + 10])
    assert np.array_equal(labels[..., ::-1], swapped)
    hemispheres = atlas.hemispheres
    assert np.array_equal(hemispheres[..., ::-1], np.array([0, 2, 1])[hemispheres])


def test_labels_stand_on_the_side_they_name(atlas: Atlas) -> None:
    right, left = (np.argwhere(atlas.hemispheres == value)[:, 2] for value in (1, 2))
    assert right.max() < left.min()
    assert set(np.unique(atlas.aspects_labels[atlas.hemispheres == 1])) == set(range(11))
    assert atlas.geometry.index_to_world(np.argwhere(atlas.hemispheres == 2))[:, 0].min() > 0


def test_grid_is_one_millimetre_centred_on_the_midsagittal_plane(atlas: Atlas) -> None:
    assert atlas.geometry.shape_zyx == atlas.template_hu.shape
    assert atlas.geometry.spacing_mm_zyx == (1.0, 1.0, 1.0)
    middle = atlas.geometry.shape_zyx[2] // 2
    assert atlas.geometry.index_to_world((0, 0, middle))[0] == 0


def test_regions_lie_in_supratentorial_mca_parenchyma(atlas: Atlas) -> None:
    labelled = atlas.aspects_labels > 0
    assert not (labelled & atlas.ventricles).any()
    assert not (labelled & ~(atlas.cortical | atlas.subcortical)).any()
    assert (atlas.territories[labelled] == TERRITORY_LABELS["MCA"]).all()


@pytest.mark.parametrize(("lower", "upper"), [("M1", "M4"), ("M2", "M5"), ("M3", "M6")])
def test_supraganglionic_regions_stand_on_ganglionic_ones(atlas: Atlas, lower: Region, upper: Region) -> None:
    assert lower in GANGLIONIC_REGIONS
    assert upper in SUPRAGANGLIONIC_REGIONS
    below, above = points_mm(atlas, lower, "left"), points_mm(atlas, upper, "left")
    assert np.percentile(below[:, 2], 95) <= np.percentile(above[:, 2], 5) + 1
    tilted = [points[:, 2] + points[:, 1] / 6 for points in (below, above)]
    assert np.percentile(tilted[0], 99) < np.percentile(tilted[1], 1) + 1


def test_capsule_lies_between_thalamus_and_lentiform_nucleus(atlas: Atlas) -> None:
    level = 4
    capsule, lentiform, insula, m2 = (points_mm(atlas, name, "left") for name in ("IC", "L", "I", "M2"))
    inward = []
    for points in (capsule, lentiform, insula, m2):
        row = points[(points[:, 2] == level) & (np.abs(points[:, 1] + 8) < 2)]
        inward.append(row[:, 0].mean())
    assert inward == sorted(inward)


def test_internal_capsule_is_white_and_caudate_grey(atlas: Atlas) -> None:
    label = atlas.aspects_labels
    assert np.median(atlas.white[label == region_label("IC", "left")]) > 0.8
    assert np.median(atlas.grey[label == region_label("C", "left")]) > 0.8
    assert np.median(atlas.grey[label == region_label("I", "left")]) > 0.5


def test_tissue_classes_partition_the_head(atlas: Atlas) -> None:
    parts = (atlas.ventricles, atlas.cortical, atlas.subcortical)
    assert not (atlas.cortical & atlas.subcortical).any()
    assert all((atlas.brain | ~part).all() for part in parts)
    assert (atlas.intracranial | ~atlas.brain).all()
    assert not (atlas.intracranial & (atlas.skull | atlas.scalp)).any()
    assert not (atlas.skull & atlas.scalp).any()
    fractions = atlas.grey + atlas.white + atlas.csf
    inside = atlas.intracranial & ~atlas.falx
    assert fractions[inside].min() >= 1 - 1e-5
    assert fractions[inside].max() <= 1.03
    assert not fractions[~inside].any()


def test_territories_cover_exactly_the_parenchyma(atlas: Atlas) -> None:
    assert np.array_equal(atlas.territories > 0, atlas.brain & ~atlas.ventricles)
    above = np.isin(atlas.territories, [TERRITORY_LABELS[name] for name in ("ACA", "MCA", "PCA")])
    assert np.array_equal(above, atlas.cortical | atlas.subcortical)


@pytest.mark.parametrize("name", INFRATENTORIAL)
def test_infratentorial_volumes_are_plausible(atlas: Atlas, name: str) -> None:
    low, high = PLAUSIBLE_ML[name]
    structure = atlas.territories == TERRITORY_LABELS[name]  # type: ignore[index]
    assert low <= np.count_nonzero(structure) / 1000 <= high
    components, _ = ndimage.label(structure)
    assert np.bincount(components.ravel())[1:].max() >= 0.95 * np.count_nonzero(structure)


def test_vascular_territories_rank_as_in_life(atlas: Atlas) -> None:
    aca, mca, pca = (np.count_nonzero(atlas.territories == TERRITORY_LABELS[n]) for n in ("ACA", "MCA", "PCA"))
    assert mca > 2 * max(aca, pca)


def test_ventricles_have_a_plausible_volume(atlas: Atlas) -> None:
    assert 10 <= np.count_nonzero(atlas.ventricles) / 1000 <= 45
    assert atlas.template_hu[atlas.ventricles].mean() < 20


def test_template_looks_like_ct(atlas: Atlas) -> None:
    hu = atlas.template_hu
    assert hu.dtype == np.float32
    for face in (hu[-1], hu[:, 0], hu[:, -1], hu[..., 0], hu[..., -1]):
        assert (face == -1000).mean() > 0.9
    parenchyma = hu[atlas.brain & ~atlas.ventricles]
    assert 30 < np.median(parenchyma) < 36
    assert np.median(hu[atlas.skull]) > 500
    assert -100 < np.median(hu[atlas.scalp]) < 60
    vault = atlas.geometry.world_to_index((0, 0, 40))[0].round().astype(int)
    inside = ndimage.binary_fill_holes(atlas.skull[vault])
    assert (inside | ~atlas.intracranial[vault]).all()


def test_skull_leaves_only_the_foramen_magnum_open(atlas: Atlas) -> None:
    leak = ndimage.binary_dilation(atlas.intracranial) & ~atlas.intracranial & ~atlas.skull
    where = atlas.geometry.index_to_world(np.argwhere(leak))
    assert 20 <= np.ptp(where[:, 0]) <= 40
    assert where[:, 2].max() < -60


def test_arrays_are_read_only(atlas: Atlas) -> None:
    with pytest.raises(ValueError, match="read-only"):
        atlas.template_hu[0, 0, 0] = 0


def test_asset_is_small_and_read_once() -> None:
    assert sum(path.stat().st_size for path in ATLAS_FILE.parent.glob("*.npz")) < 3_000_000
    assert load_atlas() is load_atlas()


def test_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        read_atlas(tmp_path / "nowhere.npz")


@pytest.mark.slow
def test_asset_is_what_the_build_script_makes() -> None:
    pytest.importorskip("nilearn")
    script = Path(__file__).parents[3] / "tools" / "build_atlas.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
