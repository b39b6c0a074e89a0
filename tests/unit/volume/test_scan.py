"""A scan takes only arrays that fit and axes that run as the package says."""

import numpy as np
import pytest

from infarct.types import Flag
from infarct.volume import Geometry, Scan

SHAPE = (3, 4, 5)


def geometry(x=(1.0, 0, 0), y=(0, 1.0, 0)) -> Geometry:
    axes = np.stack([x, y, np.cross(x, y)], axis=1)
    return Geometry.regular(SHAPE, (5.0, 1.0, 1.0), directions=axes)


def test_array_must_fit_the_geometry() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Scan(np.zeros((3, 5, 4), dtype=np.float32), geometry())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_must_be_finite(value: float) -> None:
    hu = np.zeros(SHAPE, dtype=np.float32)
    hu[1, 2, 3] = value
    with pytest.raises(ValueError, match="finite"):
        Scan(hu, geometry())


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((-1.0, 0, 0), (0, -1.0, 0)),  # both flipped: the patient seen from behind
        ((-1.0, 0, 0), (0, 1.0, 0)),  # seen from above: slices descend
        ((1.0, 0, 0), (0, 0, -1.0)),  # coronal
        ((0, 1.0, 0), (0, 0, -1.0)),  # sagittal
        ((0, 1.0, 0), (1.0, 0, 0)),  # rows and columns swapped
    ],
)
def test_other_axes_are_refused(x: tuple[float, ...], y: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="right to left"):
        Scan(np.zeros(SHAPE, dtype=np.float32), geometry(x, y))


def test_tilted_heads_are_taken() -> None:
    cosine, sine = np.cos(np.radians(30)), np.sin(np.radians(30))
    pitched = Scan(np.zeros(SHAPE, dtype=np.float32), geometry(y=(0, cosine, sine)))
    np.testing.assert_allclose(pitched.geometry.normal, (0, -sine, cosine), atol=1e-12)
    yawed = Scan(np.zeros(SHAPE, dtype=np.float32), geometry(x=(cosine, sine, 0), y=(-sine, cosine, 0)))
    np.testing.assert_allclose(yawed.geometry.normal, (0, 0, 1), atol=1e-12)


def test_hu_are_float32_and_read_only_whatever_came_in() -> None:
    integers = np.arange(60, dtype=np.int16).reshape(5, 4, 3).T
    scan = Scan(integers, geometry())
    assert scan.hu.dtype == np.float32
    assert np.array_equal(scan.hu, integers)
    with pytest.raises(ValueError, match="read-only"):
        scan.hu[0, 0, 0] = 1
    mine = np.zeros(SHAPE, dtype=np.float32)
    Scan(mine, geometry())
    mine[0, 0, 0] = 1  # the caller's own array stays writable


def test_with_flags_appends_and_leaves_the_scan_alone() -> None:
    first, second = Flag("one", "info", "One."), Flag("two", "warning", "Two.", 2.0)
    scan = Scan(np.zeros(SHAPE, dtype=np.float32), geometry(), flags=(first,))
    assert scan.with_flags(second).flags == (first, second)
    assert scan.flags == (first,)
