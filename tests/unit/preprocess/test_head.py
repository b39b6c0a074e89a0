"""The working grid, and labels and masks brought onto it."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.atlas import Atlas
from infarct.preprocess.head import Head, atlas_labels, mirrored_mask, working_geometry, working_hu
from infarct.preprocess.midplane import Midplane
from infarct.volume import Geometry, Scan
from plain_head import PlainPatient


@pytest.mark.parametrize(
    ("spacing_mm", "expected_mm"),
    [((5.0, 0.45, 0.45), (5.0, 1.0, 1.0)), ((0.6, 0.5, 0.4), (3.0, 1.0, 1.0)), ((8.0, 1.4, 1.2), (8.0, 1.4, 1.2))],
)
def test_working_grid_is_no_finer_than_needed(spacing_mm, expected_mm) -> None:
    source = Geometry.regular((30, 60, 50), spacing_mm)
    grid = working_geometry(source)
    assert grid.spacing_mm_zyx == pytest.approx(expected_mm)
    assert grid.is_even
    assert grid.is_upright


def test_working_grid_of_a_tilted_uneven_stack_stands_upright() -> None:
    z = np.array((0.0, 4, 8, 12, 19, 26, 33))
    origins = np.stack([np.zeros(7), 0.33 * z, z], axis=1)
    source = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (0.5, 0.5), (100, 90))
    grid = working_geometry(source)
    assert grid.spacing_mm_zyx == pytest.approx((4, 1, 1), rel=0.05)  # about the finer stack's
    assert grid.is_even
    assert grid.is_upright
    np.testing.assert_allclose(grid.normal, source.normal)


def test_working_hu_averages_fine_pixels() -> None:
    source = Geometry.regular((6, 120, 120), (5.0, 0.4, 0.4))
    hu = (30 + np.random.default_rng(0).normal(0, 10, source.shape_zyx)).astype(np.float32)
    grid = working_geometry(source)
    got = working_hu(Scan(hu, source), grid)
    assert got.dtype == np.float32
    assert got.shape == grid.shape_zyx
    assert got[:, 3:-3, 3:-3].std() < 5
    assert got[:, 3:-3, 3:-3].mean() == pytest.approx(30, abs=0.3)


def test_atlas_labels_agree_with_the_truth(atlas: Atlas, left_head: Head, left_patient: PlainPatient) -> None:
    labels = left_head.aspects_regions
    truth = left_patient.truth.aspects_regions
    got = atlas_labels(atlas, atlas.aspects_labels, left_head.registration, left_patient.scan.geometry)
    agree = [
        2 * ((got == value) & (truth == value)).sum() / ((got == value).sum() + (truth == value).sum())
        for value in range(1, 21)
    ]
    assert set(np.unique(labels)) == set(range(21))
    assert min(agree) > 0.7
    assert np.mean(agree) > 0.85


def test_labels_are_empty_where_the_registration_is_not_reliable(atlas: Atlas, left_head: Head) -> None:
    poor = replace(left_head.registration, is_reliable=False)
    got = atlas_labels(atlas, atlas.aspects_labels, poor, left_head.geometry)
    assert got.dtype == np.uint8
    assert got.shape == left_head.geometry.shape_zyx
    assert not got.any()


def test_prepared_head_fits_together(left_head: Head) -> None:
    shape = left_head.geometry.shape_zyx
    for name in ("hu", "brain", "fluid", "mirrored_hu", "aspects_regions", "territories"):
        assert getattr(left_head, name).shape == shape, name
    assert left_head.skull_closed
    assert not (left_head.fluid & ~left_head.brain).any()
    left = left_head.midplane.left_mask(left_head.geometry)
    labels = left_head.aspects_regions
    assert left[labels > 10].mean() > 0.999
    assert left[(labels > 0) & (labels <= 10)].mean() < 0.001


def test_mirrored_mask() -> None:
    geometry = Geometry.regular((2, 5, 7), (5.0, 1.0, 2.0), origin_mm=(-6.0, 0.0, 0.0))
    mask = np.zeros(geometry.shape_zyx, dtype=bool)
    mask[1, 2, 5:] = True
    got = mirrored_mask(mask, geometry, Midplane(np.array([1.0, 0, 0]), 0.0))
    assert got.dtype == bool
    assert np.array_equal(got, mask[..., ::-1])
