"""The longest diameter against shapes whose length is known."""

import numpy as np
import pytest

from infarct.measure.extent import longest_mm
from infarct.volume import Geometry


def test_a_bar_is_as_long_as_it_is() -> None:
    mask = np.zeros((3, 20, 20), dtype=bool)
    mask[1, 4, 3:13] = True
    assert longest_mm(mask, Geometry.regular(mask.shape, (5.0, 2.0, 2.0))) == pytest.approx(20.0)


def test_a_slanted_line_is_measured_along_itself() -> None:
    """From (0, 0) to (9, 9) at 1 mm: 9 times the root of 2 from middle to middle, and a pixel."""
    mask = np.eye(10, dtype=bool)[None]
    assert longest_mm(mask, Geometry.regular(mask.shape, (5.0, 1.0, 1.0))) == pytest.approx(9 * 2**0.5 + 1, rel=1e-3)


def test_slices_are_not_added_and_smaller_pieces_do_not_count() -> None:
    mask = np.zeros((8, 20, 20), dtype=bool)
    mask[0:4, 2:8, 2:8] = True
    mask[6, 15, 1:19] = True  # longer, but a smaller piece
    found = longest_mm(mask, Geometry.regular(mask.shape, (5.0, 1.0, 1.0)))
    assert found == pytest.approx(5 * 2**0.5 + 1, rel=1e-3)
    assert longest_mm(np.zeros_like(mask), Geometry.regular(mask.shape, (5.0, 1.0, 1.0))) == 0.0
