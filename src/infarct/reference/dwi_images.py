"""Diffusion images made ready: one unit of ADC, the brain, its midplane, and brightness without the coil's slope."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from infarct.errors import BadRequest, StepFailed
from infarct.preprocess.midplane import Midplane, find_midplane
from infarct.reference.pieces import grown, local_mean
from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry, resample, volume_ml
from infarct.volume.mask import centroid_mm

UNITS_UM2_S: Final = {"1e-6 mm2/s": 1.0, "1e-3 mm2/s": 1e3, "mm2/s": 1e6}
"""Units in which scanners store ADC, and what makes um2/s = 1e-6 mm2/s of them."""
PLAUSIBLE_UM2_S: Final = (400.0, 1800.0)
"""Median ADC of a brain with its fluid: tissue lies at 700 to 900, fluid at 3000 (Sener, J Comput Assist Tomogr
2001;25:1). The units are so far apart that at most one fits."""
FLUID_UM2_S: Final = 1500.0
"""Above this a voxel is fluid more than tissue."""
SIGNAL_SHARE: Final = 0.4
"""Of the usual signal; less is background, scalp, bone or fluid."""
OPENING_MM: Final = 4.0
CLOSING_MM: Final = 8.0
"""Bridges to the eyes and the scalp are cut, ventricles and sulci, which are dark in DWI, filled."""
BRAIN_ML: Final = (300.0, 2600.0)
SLOPE_MM: Final = 25.0
"""SD of the smoothing that gives the brightness of the receiving coil."""
SLOPE_CEILING: Final = 1.3
"""Brighter tissue, against the median, does not count as the coil's: a large infarct would hide itself."""


@dataclass(frozen=True, eq=False)
class DiffusionImages:
    """DWI and ADC, float32 (z, y, x) on an even, upright ``geometry``.

    ``dwi`` is in any unit, ``adc_um2_s`` in um2/s = 1e-6 mm2/s, 0 where nothing was measured. ``brain`` (bool) holds
    its fluid. ``brightness`` is DWI without the coil's slope, 1 for usual tissue and 0 outside the brain; ``midplane``
    is that of the images, ``adc_unit`` the unit in which the ADC came.
    """

    geometry: Geometry
    dwi: Float32Array
    adc_um2_s: Float32Array
    adc_unit: str
    brain: BoolArray
    brightness: Float32Array
    midplane: Midplane

    @property
    def tissue(self) -> BoolArray:
        """Measured brain tissue without fluid, bool (z, y, x)."""
        return self.brain & (self.adc_um2_s > 0) & (self.adc_um2_s < FLUID_UM2_S)


def diffusion_images(
    dwi: Float32Array, adc: Float32Array, geometry: Geometry, *, b0: Float32Array | None = None
) -> DiffusionImages:
    """Return images made ready from DWI, ADC and, if there is one, the b = 0 image, (z, y, x) on ``geometry``.

    The brain is found in the b = 0 image where there is one, as fluid is bright in it, otherwise in the DWI. A tilted
    or uneven stack is brought onto an upright one.

    Raises `BadRequest` where no brain is found or the ADC fits no unit.
    """
    even = geometry.rectified()
    if even is not geometry:
        dwi, adc = (resample(_cleaned(values), geometry, even, fill=0.0) for values in (dwi, adc))
        b0 = None if b0 is None else resample(_cleaned(b0), geometry, even, fill=0.0)
    dwi, adc = _cleaned(dwi), _cleaned(adc)
    brain = find_brain(dwi if b0 is None else _cleaned(b0), even)
    unit = adc_unit(adc[brain & (dwi > 0)])
    adc_um2_s = adc * np.float32(UNITS_UM2_S[unit])
    if float(np.percentile(adc_um2_s[brain], 99.5)) < FLUID_UM2_S:
        raise BadRequest("the ADC map shows no fluid in the brain; are DWI and ADC exchanged?")
    brightness = _level(dwi, brain & (adc_um2_s > 0) & (adc_um2_s < FLUID_UM2_S), brain, even)
    try:
        midplane = _midplane(brightness, brain, even)
    except StepFailed as failure:
        raise BadRequest("too little of the brain is in the DWI; pass the whole series") from failure
    return DiffusionImages(even, dwi, adc_um2_s, unit, brain, brightness, midplane)


def adc_unit(brain_values: Float32Array) -> str:
    """Return the unit of ADC values (any shape) of a brain: a key of `UNITS_UM2_S`.

    Raises `BadRequest` where none gives a brain's ADC.
    """
    measured = brain_values[brain_values > 0]
    middle = float(np.median(measured)) if measured.size else 0.0
    for name, factor in UNITS_UM2_S.items():
        if PLAUSIBLE_UM2_S[0] <= middle * factor <= PLAUSIBLE_UM2_S[1]:
            return name
    raise BadRequest(
        f"the ADC map's median in the brain is {middle:.3g}, which is a brain's in none of the units "
        f"{', '.join(UNITS_UM2_S)}; export the ADC map with its own numbers"
    )


def find_brain(signal: Float32Array, geometry: Geometry) -> BoolArray:
    """Return the brain with its fluid (bool, (z, y, x)) in a DWI or b = 0 image (float32), stripped before or not.

    Raises `BadRequest` where nothing has the size of a brain.
    """
    background = float(signal.mean())
    if not (signal > background).any():
        raise BadRequest("the DWI is empty")
    lit = signal > SIGNAL_SHARE * float(np.median(signal[signal > background]))
    depth = [ndimage.distance_transform_edt(plane, sampling=geometry.pixel_spacing_mm_yx) for plane in lit]
    components, _ = ndimage.label(np.stack(depth) > OPENING_MM)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    brain = np.stack([_filled(plane, geometry) for plane in (components == sizes.argmax()) & (sizes.max() > 0)])
    if not BRAIN_ML[0] <= volume_ml(brain, geometry) <= BRAIN_ML[1]:
        raise BadRequest("no brain can be found in the DWI; pass a whole series of the head")
    return brain


def _filled(core: BoolArray, geometry: Geometry) -> BoolArray:
    """Return a slice of the brain grown back, its sulci and ventricles closed."""
    sampling = geometry.pixel_spacing_mm_yx
    if not core.any():
        return core
    margin = [int(np.ceil((OPENING_MM + CLOSING_MM) / mm)) + 1 for mm in sampling]
    padded = np.pad(core, [(m, m) for m in margin])
    near = ndimage.distance_transform_edt(~padded, sampling=sampling) <= OPENING_MM + CLOSING_MM
    closed = ndimage.distance_transform_edt(ndimage.binary_fill_holes(near), sampling=sampling) > CLOSING_MM
    return np.asarray(closed[margin[0] : -margin[0], margin[1] : -margin[1]])


def _cleaned(values: Float32Array) -> Float32Array:
    return np.where(np.isfinite(values) & (values > 0), values, np.float32(0)).astype(np.float32)


def _level(dwi: Float32Array, tissue: BoolArray, brain: BoolArray, geometry: Geometry) -> Float32Array:
    """Return DWI over the smooth brightness of the tissue around, 0 outside the brain."""
    usual = float(np.median(dwi[tissue]))
    held = np.minimum(dwi, np.float32(SLOPE_CEILING * usual))
    inner = tissue & (dwi > SIGNAL_SHARE * usual)
    slope = local_mean(held, inner.astype(np.float32), geometry, SLOPE_MM, usual)
    level = np.where(brain, dwi / slope, np.float32(0))
    return np.asarray(level / np.median(level[tissue]), dtype=np.float32)


def _midplane(brightness: Float32Array, brain: BoolArray, geometry: Geometry) -> Midplane:
    """Return the plane through which the brain mirrors best; brightness takes the scale of HU, at which it is found."""
    normal = geometry.x_direction
    start = Midplane(normal, float(normal @ centroid_mm(brain, geometry)))
    return find_midplane(brightness * np.float32(40), brain, geometry, start=start)


def near_edge(brain: BoolArray, reach_mm: float, geometry: Geometry) -> BoolArray:
    """Return the voxels of the brain within ``reach_mm`` of its edge, bool (z, y, x)."""
    return brain & grown(~brain, reach_mm, geometry)
