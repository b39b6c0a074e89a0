"""By how much the middle of a phantom's brain has moved: the truth of the midline shift."""

from typing import Final

import numpy as np

from infarct.phantom.canvas import Canvas
from infarct.phantom.crop import locate
from infarct.preprocess.midline_shift import MONRO_MM

END_MM: Final = 4.0
"""The line from front to back begins and ends in the mean of so much of the midline."""


def midline_shift_mm(canvas: Canvas) -> float:
    """Return how far the midline lies off the line between its ends, at the foramen of Monro, in mm.

    It is positive to the patient's left. The midline is where the atlas's x is 0, inside the skull, on the slice
    through the foramen; a reader draws the same line from its front to its back end.
    """
    grid = canvas.grid
    _, foramen_mm, height_mm = locate(canvas, MONRO_MM)
    k = round((height_mm - grid.origin_mm[2]) / grid.spacing_mm)
    across = canvas.atlas_mm[k, ..., 0].cpu().numpy()
    inside = canvas.depth_mm[k].cpu().numpy() > 0
    crossed = (across[:, :-1] <= 0) & (across[:, 1:] > 0) & inside[:, :-1]
    rows = np.flatnonzero(crossed.any(axis=1))
    first = crossed[rows].argmax(axis=1)
    before, after = across[rows, first], across[rows, first + 1]
    x_mm = grid.origin_mm[0] + grid.spacing_mm * (first - before / (after - before))
    y_mm = grid.origin_mm[1] + grid.spacing_mm * rows
    end = max(round(END_MM / grid.spacing_mm), 1)
    ends_mm = y_mm[:end].mean(), y_mm[-end:].mean()
    line_mm = np.interp(y_mm, ends_mm, (x_mm[:end].mean(), x_mm[-end:].mean()))
    return float(np.interp(foramen_mm, y_mm, x_mm - line_mm))
