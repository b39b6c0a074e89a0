"""The shift of the midline on heads that are bent by a known amount, in the mirror, and on a level drawn by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from infarct.errors import StepFailed
from infarct.preprocess.head import Head
from infarct.preprocess.midline_shift import (
    FIELD_MM,
    MOST_SPREAD_MM,
    MidlineShift,
    measure_midline_shift,
    shift_of,
)
from infarct.preprocess.midplane import mirrored
from infarct.volume import Geometry


def bent(head: Head, shift_mm: float) -> Head:
    """Return the head with its middle moved to the left by ``shift_mm``, in each slice less towards the skull."""
    geometry = head.geometry
    inside = np.stack(
        [ndimage.distance_transform_edt(plane, sampling=geometry.spacing_mm_zyx[1:]) for plane in head.brain]
    )
    give = ndimage.gaussian_filter(np.sin(np.minimum(inside / 45.0, 1.0) * np.pi / 2) ** 2, [0.5, 3.0, 3.0])
    index = np.indices(geometry.shape_zyx).astype(np.float32)
    along = geometry.directions.T @ head.midplane.normal  # x, y, z
    for axis, part in enumerate(along[::-1]):
        index[axis] -= shift_mm * give * part / geometry.spacing_mm_zyx[axis]
    hu = ndimage.map_coordinates(head.hu, index, order=1, mode="nearest").astype(np.float32)
    return replace(head, hu=hu)


@pytest.mark.parametrize("shift_mm", [-9.0, -5.0, 0.0, 5.0, 9.0])
def test_a_bent_head_is_measured(still_head: Head, shift_mm: float) -> None:
    still = measure_midline_shift(still_head)
    found = measure_midline_shift(bent(still_head, shift_mm))
    assert found.is_reliable
    assert abs(still.shift_mm) < 1.5
    assert found.shift_mm - still.shift_mm == pytest.approx(shift_mm, abs=1.5)


def test_the_mirror_turns_the_sign(still_head: Head) -> None:
    head = bent(still_head, 6.0)
    other = replace(head, hu=mirrored(head.hu, head.geometry, head.midplane))
    assert measure_midline_shift(other).shift_mm == pytest.approx(-measure_midline_shift(head).shift_mm, abs=0.6)


def test_noise_is_borne(healthy_head: Head) -> None:
    assert abs(measure_midline_shift(healthy_head).shift_mm) < 2


def test_levels_that_differ_are_not_reliable() -> None:
    assert MidlineShift(4.0, MOST_SPREAD_MM).is_reliable
    assert not MidlineShift(4.0, MOST_SPREAD_MM + 0.1).is_reliable


def test_a_place_that_is_not_known_is_refused(healthy_head: Head) -> None:
    lost = replace(healthy_head, registration=replace(healthy_head.registration, is_reliable=False))
    with pytest.raises(StepFailed, match="could not be matched to the atlas"):
        measure_midline_shift(lost)
    apart = healthy_head.registration.scan_to_atlas.copy()
    apart[2, 3] -= 200
    gone = replace(healthy_head, registration=replace(healthy_head.registration, scan_to_atlas=apart))
    with pytest.raises(StepFailed, match="not in the scan"):
        measure_midline_shift(gone)


def drawn_level(bend_mm: float, *, ends_mm: float = 0.0) -> np.ndarray:
    """Return a level in which a dark line of 4 mm runs from front to back, bent in the middle and moved as a whole."""
    geometry = Geometry.regular((1, 206, 281), (3.0, 1.0, 0.5))
    rows = np.arange(geometry.size_yx[0]) + FIELD_MM[0][0]
    inside = np.clip((rows + 75) / 150, 0, 1)
    line = ends_mm + bend_mm * np.sin(np.pi * inside) ** 2
    across = (np.arange(281) - 140) * 0.5
    level = np.where(np.abs(across - line[:, None]) < 2, 8.0, 34.0)
    level += np.random.default_rng(0).normal(0, 2, level.shape)
    return level.astype(np.float32)


@pytest.mark.parametrize(("bend_mm", "ends_mm"), [(0.0, 0.0), (6.0, 0.0), (-8.0, 0.0), (5.0, 2.0), (0.0, -2.0)])
def test_a_drawn_line_is_followed_and_its_ends_are_the_measure(bend_mm: float, ends_mm: float) -> None:
    level = drawn_level(bend_mm, ends_mm=ends_mm)
    assert shift_of(level, slice(20, 171), foramen=95) == pytest.approx(bend_mm, abs=1.0)
