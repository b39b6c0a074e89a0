"""The head while it is painted: a 1 mm grid in the head's own frame, its tissues, its place in the atlas."""

from dataclasses import dataclass

from torch import Tensor

from infarct.phantom.grid import Grid


@dataclass(eq=False)
class Canvas:
    """One patient at one time, before any scanner. All tensors are (z, y, x) on ``grid``, float32 unless said.

    The head's frame is LPS mm with the axes of an upright, unturned head; its origin is the atlas's origin. Painters
    change `grey`, `white` and `csf` (fractions, chronic damage) before the soft tissue gets its HU, and `hu` after.
    """

    grid: Grid
    atlas_mm: Tensor
    """(z, y, x, 3): the LPS mm position in the atlas of each voxel, after the individual's deformation."""
    grey: Tensor
    white: Tensor
    csf: Tensor
    """Fractions 0-1; inside the skull they add up to 1, less falx and tentorium."""
    sulcus: Tensor
    """Part of `csf` that lies in thin sulci, 0-1: outlines of infarcts span it, as a reader's do."""
    depth_mm: Tensor
    """Distance to the inner table of the skull: positive inside, negative outside."""
    ventricle: Tensor
    """Fraction of ventricle, 0-1 (part of `csf`)."""
    bone: Tensor
    """Fraction of bone, 0-1."""
    intracranial: Tensor
    """Bool: inside the skull above the foramen magnum."""
    left: Tensor
    """Bool: the patient's left half of the head (atlas x > 0)."""
    territories: Tensor
    """uint8, `infarct.anatomy.TERRITORY_LABELS`."""
    aspects: Tensor
    """uint8, ASPECTS regions: right 1-10, left 11-20."""
    hu: Tensor
    """HU at the scan's kVp without scanner effects."""
