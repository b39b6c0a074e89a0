"""A thin scan as thick slices would show it: the same patient, seen at everyday thickness."""

from dataclasses import replace
from typing import Final

import numpy as np

from infarct.cohorts import LabelledScan
from infarct.errors import BadRequest
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Geometry, Scan

ALREADY: Final = 0.9
"""Slices of at least this part of the wanted thickness are thick already."""


def thickened(labelled: LabelledScan, slice_mm: float) -> LabelledScan:
    """Return a scan and its reference in contiguous slices of ``slice_mm``; a scan with thick slices comes as it is.

    HU are averaged over each slab; a voxel belongs to a mask that fills at least half of it, and has the blood and
    region labels of the slab's middle. What does not fill a last slab is left out.

    Raises `BadRequest` for a tilted stack, and where the scan is thinner than one slab.
    """
    scan, geometry = labelled.scan, labelled.scan.geometry
    if geometry.spacing_mm_zyx[0] >= ALREADY * slice_mm:
        return labelled
    if not geometry.is_upright:
        raise BadRequest("slices of a tilted stack are not averaged")
    weights, positions_mm = slab_weights(geometry, slice_mm)
    step = positions_mm - geometry.slice_positions_mm[0]
    origins = geometry.origins_mm[0] + step[:, None] * geometry.normal
    thick = replace(geometry, origins_mm=origins)
    acquisition = replace(scan.acquisition, slice_thickness_mm=slice_mm)
    middle = np.abs(geometry.slice_positions_mm - positions_mm[:, None]).argmin(axis=1)
    return LabelledScan(
        scan=Scan(_averaged(scan.hu, weights), thick, acquisition, scan.source, scan.flags),
        lesion=_majority(labelled.lesion, weights),
        old=_majority(labelled.old, weights),
        hemorrhage=None if labelled.hemorrhage is None else labelled.hemorrhage[middle],
        intracranial=_majority(labelled.intracranial, weights),
        detectability=labelled.detectability,
        regions=None if labelled.regions is None else labelled.regions[middle],
        aspects=labelled.aspects,
    )


def slab_weights(geometry: Geometry, slice_mm: float) -> tuple[Float64Array, Float64Array]:
    """Return the share of each slice in each slab, (slabs, slices), rows adding up to 1, and the slabs' middles.

    Positions are mm along the slice normal.
    """
    middles, intervals = geometry.slice_positions_mm, geometry.slice_intervals_mm
    lower, upper = middles - intervals / 2, middles + intervals / 2
    count = int((upper[-1] - lower[0] + 1e-6) / slice_mm)
    if count < 1:
        raise BadRequest(f"the scan is lower than one slice of {slice_mm:g} mm")
    start = lower[0] + ((upper[-1] - lower[0]) - count * slice_mm) / 2
    bottoms = start + slice_mm * np.arange(count)[:, None]
    shared = np.minimum(upper, bottoms + slice_mm) - np.maximum(lower, bottoms)
    weights = np.clip(shared, 0, None)
    return weights / weights.sum(axis=1, keepdims=True), bottoms[:, 0] + slice_mm / 2


def _averaged(array: Float32Array, weights: Float64Array) -> Float32Array:
    """Return the slabs of ``array`` (float32, (z, y, x)), one by one, so that a thin scan is never copied whole."""
    slabs = np.empty((len(weights), *array.shape[1:]), dtype=np.float32)
    for slab, row in zip(slabs, weights.astype(np.float32), strict=True):
        used = np.flatnonzero(row)
        part = slice(int(used[0]), int(used[-1]) + 1)
        slab[...] = np.tensordot(row[part], array[part], axes=1)
    return slabs


def _majority(mask: BoolArray | None, weights: Float64Array) -> BoolArray | None:
    return None if mask is None else _averaged(mask.view(np.uint8), weights) >= 0.5
