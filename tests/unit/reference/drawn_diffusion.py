"""Diffusion images of the drawn head: ventricles, an infarct on the left, a focus that shines through on the right."""

import numpy as np
from drawn_head import SHAPE, egg

from infarct.types import BoolArray, Float32Array

INFARCT = (slice(6, 10), slice(18, 26), slice(33, 40))
SHINE = (slice(6, 9), slice(34, 38), slice(10, 14))
FLUID = (slice(5, 10), slice(24, 38), slice(22, 29))


def boxed(*boxes: tuple[slice, slice, slice]) -> BoolArray:
    mask = np.zeros(SHAPE, dtype=bool)
    for box in boxes:
        mask[box] = True
    return mask


def drawn_diffusion() -> tuple[Float32Array, Float32Array]:
    """Return DWI (tissue 100, any unit) and ADC in um2/s, with little noise, 0 outside the brain."""
    random = np.random.Generator(np.random.Philox(4))
    dwi, adc = np.full(SHAPE, 100.0), np.full(SHAPE, 800.0)
    for box, bright, slow in ((INFARCT, 170.0, 450.0), (SHINE, 170.0, 900.0), (FLUID, 30.0, 3000.0)):
        dwi[box], adc[box] = bright, slow
    dwi += random.normal(0, 6, SHAPE)
    adc += random.normal(0, 25, SHAPE)
    brain = egg()
    return np.where(brain, dwi, 0.0).astype(np.float32), np.where(brain, adc, 0.0).astype(np.float32)
