"""The true midline shift on heads bent by a known amount, and on one that was not."""

import math

import pytest
import torch

from infarct.phantom.crop import locate
from infarct.phantom.midline import midline_shift_mm
from infarct.preprocess.midline_shift import MONRO_MM
from unit.phantom.mock_canvas import mock_canvas

LENGTH_MM = 60.0


def test_a_straight_head_has_none() -> None:
    assert midline_shift_mm(mock_canvas()) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("shift_mm", [-8.0, -1.0, 3.0, 10.0])
def test_a_bent_head_has_what_it_was_bent_by(shift_mm: float) -> None:
    """The atlas is carried sideways, most at the foramen and not at all at the ends of the midline."""
    canvas = mock_canvas()
    middle_mm = locate(canvas, MONRO_MM)[1]
    y_mm = canvas.grid.points()[..., 1]
    bent_mm = shift_mm * torch.exp(-(((y_mm - middle_mm) / 25.0) ** 2) / 2)
    canvas.atlas_mm[..., 0] -= (
        bent_mm
        * (canvas.atlas_mm[:, :, -1:, 0] - canvas.atlas_mm[:, :, :1, 0])
        / (canvas.grid.spacing_mm * (canvas.grid.shape_zyx[2] - 1))
    )
    assert midline_shift_mm(canvas) == pytest.approx(shift_mm, abs=0.3)


def test_a_leaning_head_has_none() -> None:
    """A head that lies askew in its frame is straight in itself."""
    canvas = mock_canvas()
    y_mm = canvas.grid.points()[..., 1]
    canvas.atlas_mm[..., 0] -= math.tan(math.radians(4)) * y_mm
    assert midline_shift_mm(canvas) == pytest.approx(0, abs=0.3)
