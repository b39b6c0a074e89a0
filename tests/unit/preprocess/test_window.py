"""Windows by hand."""

import numpy as np
import pytest

from infarct.preprocess.window import ASPECTS, FOLLOWUP, LOCALIZE, SEGMENT, Window


@pytest.mark.parametrize(
    ("window", "low_hu", "high_hu"),
    [(LOCALIZE, -35, 115), (ASPECTS, 5, 55), (FOLLOWUP, 20, 50), (SEGMENT, 0, 80)],
)
def test_limits(window: Window, low_hu: float, high_hu: float) -> None:
    assert (window.low_hu, window.high_hu) == (low_hu, high_hu)
    hu = np.array([-1000, low_hu, (low_hu + high_hu) / 2, high_hu, 3000], dtype=np.float32)
    np.testing.assert_allclose(window.apply(hu), [0, 0, 0.5, 1, 1], atol=1e-6)
    assert window.to_uint8(hu).tolist() == [0, 0, 128, 255, 255]


def test_apply_by_hand() -> None:
    hu = np.array([[10, 20], [35, 60]], dtype=np.float32)
    got = SEGMENT.apply(hu)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[0.125, 0.25], [0.4375, 0.75]])
    assert hu.tolist() == [[10, 20], [35, 60]]


def test_eight_bits() -> None:
    grey = SEGMENT.to_uint8(np.array([-5, 0, 16, 80, 90], dtype=np.float32))
    assert grey.dtype == np.uint8
    assert grey.tolist() == [0, 0, 51, 255, 255]
