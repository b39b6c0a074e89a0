"""A canvas made from the plain atlas, exactly symmetric: for tests of painters without the anatomy that varies."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from infarct.atlas import TISSUE_CLASSES, load_atlas
from infarct.phantom.canvas import Canvas
from infarct.phantom.grid import Grid
from infarct.phantom.patient import Stroke

SHRINK = 1.17
"""The atlas is this many times larger than a head, along each axis."""


def mock_canvas(spacing_mm: float = 2.0) -> Canvas:
    """Return an average head, the atlas shrunk to its size, on a grid that mirrors onto itself at x = 0.

    Its HU are 37 grey, 29.5 white, 7 fluid, 1000 bone, 40 scalp. Each call returns tensors of its own.
    """
    stored = _stored(spacing_mm)
    return Canvas(
        **{name: value.clone() if isinstance(value, Tensor) else value for name, value in vars(stored).items()}
    )


def mirrored(volume: Tensor) -> Tensor:
    """Return a (z, y, x) volume on a mock canvas with left and right exchanged."""
    return volume.flip(-1)


def mock_grid(spacing_mm: float) -> Grid:
    """Return the grid of a mock canvas: the atlas's extent shrunk, with an odd number of columns centred on x = 0."""
    geometry = load_atlas().geometry
    low = geometry.origins_mm[0] / SHRINK
    extent = (np.array(geometry.shape_zyx[::-1]) - 1) / SHRINK
    half = int(-low[0] / spacing_mm)
    _, rows, depth = (int(length / spacing_mm) + 1 for length in extent)
    return Grid((depth, rows, 2 * half + 1), spacing_mm, (-half * spacing_mm, float(low[1]), float(low[2])))


_STROKE = Stroke(
    seed=1,
    growth="arrival",
    site="M1",
    side="right",
    cortical="both",
    onset_h=6.0,
    collaterals=0.5,
    core_ml=20.0,
    penumbra_ml=60.0,
    infarct_ml=30.0,
    final_ml=60.0,
    uptake=1.0,
    reperfused=False,
    reperfusion_factor=1.0,
    petechiae_hu=0.0,
    staining_hu=0.0,
    fogging=0.0,
    swelling=0.5,
    hemorrhage_ml=0.0,
    hyperdense_hu=0.0,
    shape=0.3,
    followup_h=72.0,
)


def mock_stroke(**changes: Any) -> Stroke:
    """Return an occlusion of the right M1 with core 20, penumbra 60, infarct 30, final 60 ml; with ``changes``."""
    return replace(_STROKE, **changes)


@cache
def _stored(spacing_mm: float) -> Canvas:
    atlas = load_atlas()
    grid = mock_grid(spacing_mm)
    atlas_mm = grid.points() * SHRINK
    at = atlas_mm.clone()
    at[..., 0] = -at[..., 0].abs()  # both sides read the right half, so they agree to the last bit
    source = Grid(atlas.geometry.shape_zyx, 1.0, tuple(atlas.geometry.origins_mm[0].tolist()))

    def fraction(array: np.ndarray) -> Tensor:
        return source.sample(torch.tensor(np.asarray(array, dtype=np.float32)), at)

    def label(array: np.ndarray) -> Tensor:
        return source.sample(torch.tensor(np.asarray(array, dtype=np.float32)), at, nearest=True).round()

    grey, white, csf = fraction(atlas.grey), fraction(atlas.white), fraction(atlas.csf)
    ventricle, bone = fraction(atlas.ventricles) * csf, fraction(atlas.skull)
    intracranial = label(atlas.intracranial) > 0
    depth_mm = ndimage.distance_transform_edt(intracranial) - ndimage.distance_transform_edt(~intracranial)
    near_brain = torch.tensor(ndimage.uniform_filter((grey + white).numpy(), size=round(10 / spacing_mm) | 1)) > 0.55
    scalp = fraction(atlas.tissue == TISSUE_CLASSES.index("scalp"))
    inside = 37 * grey + 29.5 * white + 7 * csf + 45 * (1 - grey - white - csf).clamp(min=0)
    hu = torch.where(intracranial, inside, 1000 * bone + 40 * scalp - 1000 * (1 - bone - scalp).clamp(min=0))
    left = atlas_mm[..., 0] > 0
    aspects = label(atlas.aspects_labels)
    return Canvas(
        grid=grid,
        atlas_mm=atlas_mm,
        grey=grey,
        white=white,
        csf=csf,
        sulcus=torch.where(near_brain, csf - ventricle, 0.0),
        depth_mm=torch.tensor(depth_mm, dtype=torch.float32) * spacing_mm,
        ventricle=ventricle,
        bone=bone,
        intracranial=intracranial,
        left=left,
        territories=label(atlas.territories).to(torch.uint8),
        aspects=torch.where(left & (aspects > 0), aspects + 10, aspects).to(torch.uint8),
        hu=hu,
    )
