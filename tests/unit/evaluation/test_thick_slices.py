"""Thin slices averaged to thick ones: by hand, and what must not change."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.cohorts import AspectsTruth, LabelledScan
from infarct.errors import BadRequest
from infarct.evaluation.thick import slab_weights, thickened
from infarct.volume import Geometry, Scan, volume_ml

THIN = Geometry.regular((12, 4, 5), (1.0, 2.0, 2.0), origin_mm=(0, 0, 100))
RAMP = np.arange(12, dtype=np.float32)[:, None, None] * np.ones((1, 4, 5), dtype=np.float32)


def labelled(**masks: np.ndarray) -> LabelledScan:
    return LabelledScan(Scan(RAMP, THIN), **masks)  # type: ignore[arg-type]


def column(*slices: int) -> np.ndarray:
    mask = np.zeros(THIN.shape_zyx, dtype=bool)
    mask[list(slices), 1, 1] = True
    return mask


def test_averages_and_places_by_hand() -> None:
    """Twelve millimetres hold two slabs of five; one is left out at either end."""
    thick = thickened(labelled(), 5.0).scan
    assert thick.hu.shape == (2, 4, 5)
    np.testing.assert_allclose(thick.hu[:, 0, 0], [3, 8], rtol=1e-6)  # slices 1-5 and 6-10
    np.testing.assert_allclose(thick.geometry.slice_positions_mm, [103, 108])
    assert thick.geometry.spacing_mm_zyx == pytest.approx((5.0, 2.0, 2.0))
    assert thick.acquisition.slice_thickness_mm == 5.0


def test_slabs_that_cut_slices_weigh_them() -> None:
    weights, positions_mm = slab_weights(THIN, 2.4)
    assert weights.shape == (5, 12)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights[0, :3], np.array([1, 1, 0.4]) / 2.4)
    # A ramp keeps its values, but for the steps of half a slice that it is made of.
    np.testing.assert_allclose(weights @ THIN.slice_positions_mm, positions_mm, atol=0.06)


def test_masks_go_by_majority_and_what_is_not_labelled_stays_so() -> None:
    thick = thickened(labelled(lesion=column(1, 2, 3), old=column(4, 5)), 5.0)
    assert thick.lesion is not None
    assert thick.old is not None
    assert thick.lesion[:, 1, 1].tolist() == [True, False]
    assert not thick.old.any()
    assert thick.intracranial is None
    assert thick.hemorrhage is None


def test_regions_have_the_label_of_the_middle_and_keep_what_is_said_of_them() -> None:
    labels = np.zeros(THIN.shape_zyx, dtype=np.uint8)
    labels[3], labels[8] = 7, 17
    truth = AspectsTruth((None,) * 20)
    thick = thickened(LabelledScan(Scan(RAMP, THIN), regions=labels, aspects=truth), 5.0)
    assert thick.regions is not None
    assert thick.regions[:, 0, 0].tolist() == [7, 17]
    assert thick.aspects is truth


def test_blood_has_the_label_of_the_middle() -> None:
    labels = np.zeros(THIN.shape_zyx, dtype=np.uint8)
    labels[3], labels[8] = 2, 5
    blood = thickened(labelled(hemorrhage=labels), 5.0).hemorrhage
    assert blood is not None
    assert blood[:, 0, 0].tolist() == [2, 5]


def test_volumes_stay_about_the_same() -> None:
    geometry = Geometry.regular((150, 40, 40), (1.0, 3.0, 3.0))
    z, y, x = np.ogrid[:150, :40, :40]
    ball = ((z - 75) / 40) ** 2 + ((y - 20) / 13) ** 2 + ((x - 20) / 13) ** 2 <= 1
    scan = Scan(np.zeros(geometry.shape_zyx, dtype=np.float32), geometry)
    thick = thickened(LabelledScan(scan, lesion=ball), 5.0)
    assert thick.lesion is not None
    assert volume_ml(thick.lesion, thick.scan.geometry) == pytest.approx(volume_ml(ball, geometry), rel=0.01)


def test_uneven_slices_count_by_their_interval() -> None:
    origins = np.array([[0, 0, z] for z in (0.0, 1, 2, 4, 6)])  # intervals 1, 1, 1.5, 2 and 2 mm: from -0.5 to 7
    geometry = replace(THIN, origins_mm=origins)
    weights, _ = slab_weights(geometry, 7.5)
    np.testing.assert_allclose(weights[0], np.array([1, 1, 1.5, 2, 2]) / 7.5)


def test_thick_slices_come_as_they_are() -> None:
    scan = labelled()
    assert thickened(scan, 1.0) is scan


def test_what_cannot_be_averaged_is_refused() -> None:
    tilted = replace(THIN, origins_mm=THIN.origins_mm + np.arange(12)[:, None] * (0, 0.4, 0))
    with pytest.raises(BadRequest, match="tilted"):
        thickened(LabelledScan(Scan(RAMP, tilted)), 5.0)
    with pytest.raises(BadRequest, match="lower"):
        thickened(labelled(), 20.0)
