"""Cerebrospinal fluid by region growing from the ventricles, as in the volumetry paper."""

import numpy as np
from scipy import ndimage

from infarct.types import BoolArray, Float32Array
from infarct.volume import Geometry
from infarct.volume.mask import centroid_mm

CSF_HU = (-5.0, 13.0)
"""Bounds of the seeds and of the region growing (volumetry paper, Preprocessing)."""
SEED_RADIUS_MM = 15.0
"""Seeds lie this close to the intracranial centroid (volumetry paper, Preprocessing)."""


def segment_csf(hu: Float32Array, intracranial: BoolArray, geometry: Geometry) -> BoolArray:
    """Return the CSF connected with the ventricles: bool (z, y, x).

    ``hu`` (float32) and ``intracranial`` (bool), both (z, y, x), lie on ``geometry``. Seeds are the voxels of -5
    to 13 HU within 15 mm of the intracranial centroid; the region grows over 26-connected intracranial voxels of
    the same range. An empty intracranial region, or no seed, gives an empty mask. Source: volumetry paper,
    Preprocessing.
    """
    fluid = intracranial & (hu >= CSF_HU[0]) & (hu <= CSF_HU[1])
    if not fluid.any():
        return fluid
    index = np.argwhere(fluid)
    distance_mm = np.linalg.norm(geometry.index_to_world(index) - centroid_mm(intracranial, geometry), axis=1)
    seeds = index[distance_mm <= SEED_RADIUS_MM]
    components, _ = ndimage.label(fluid, structure=np.ones((3, 3, 3)))
    return np.isin(components, np.unique(components[tuple(seeds.T)])) & fluid
