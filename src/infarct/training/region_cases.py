"""Cases made ready for training DA-Net and VB-Net: phantom patients on one grid, their regions, which are affected.

At reading time DA-Net's regions come from an affine map of the atlas onto an individual head, which fits roughly. So
the true regions are moved for it: by a smooth random displacement, and as a whole. VB-Net learns to draw the true ones.
"""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from scipy import ndimage

from infarct.atlas import load_atlas
from infarct.files import write_whole
from infarct.phantom import Patient, Pose, Visit, render_ct
from infarct.phantom.grid import Grid, rng, smooth_noise
from infarct.phantom.scoring import score_sides
from infarct.preprocess.cascade_input import atlas_map
from infarct.preprocess.head import working_geometry
from infarct.preprocess.midplane import midplane_of
from infarct.preprocess.region_input import LABELS, RegionInput, RegionSetting, windowed
from infarct.preprocess.segment_input import upright_grid
from infarct.training.cases import Order, PhantomShare, Role, carry_out, claim, drawn, orders_of, shaken, write_index
from infarct.types import BoolArray, Float32Array, Float64Array, LabelArray
from infarct.volume import Geometry, labels_at, resample, resample_labels, resample_mask

KIND: Final = "regions"
REGION_LAYOUT: Final = 2
"""Raised when these files change in meaning. 2: with what is true."""
DISPLACEMENT_MM: Final = 3.0
"""Root mean square length of the displacement. The atlas's own regions keep a Dice of .79 on average (capsule .62)."""
DISPLACEMENT_SCALE_MM: Final = 30.0
SHIFT_MM, TURN_DEG = 1.0, 1.5
"""SD along and about each axis, by which the regions are moved as a whole."""
FIELD_MM: Final = 5.0
"""Spacing of the grid on which the displacement is drawn."""
FEWEST_CENTROIDS: Final = 12
"""Whole regions that fix an affine map well: those of a side and some more."""


@dataclass(frozen=True)
class RegionPlan:
    """Which phantom patients are prepared, and how.

    Protocols with thin slices are replaced, as `training.cases.PhantomPlan` says: the paper's slices are 5 mm thick.
    """

    shares: tuple[PhantomShare, ...]
    setting: RegionSetting


@dataclass(frozen=True)
class PreparedRegions:
    """A prepared case as `cases.json` lists it: ``voxels`` of its grid, label values of the ``affected`` regions."""

    file: str
    id: str
    patient: str
    role: Role
    voxels: int
    affected: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class TrueAnatomy:
    """What is true of a case on its grid: ``regions`` (uint8 labels) and the ``intracranial`` region (bool), (z, y, x).

    ``to_atlas`` is as in `preprocess.cascade_input.CascadeInput`.
    """

    regions: LabelArray
    intracranial: BoolArray
    to_atlas: Float64Array | None


def prepare_region_cases(
    plan: RegionPlan, folder: Path, *, jobs: int = 1, on_done: Callable[[int, int], None] = lambda _, __: None
) -> Path:
    """Prepare the cases of a plan in ``folder`` with ``jobs`` processes and return the path of its index.

    ``on_done`` is told how many of how many are done. A folder begun by a plan with the same setting is continued.

    Raises `BadRequest` where the folder holds cases prepared in another way.
    """
    return prepare_ordered(orders_of(plan.shares), folder, setting=plan.setting, jobs=jobs, on_done=on_done)


def prepare_ordered(
    orders: Sequence[Order],
    folder: Path,
    *,
    setting: RegionSetting,
    jobs: int = 1,
    on_done: Callable[[int, int], None] = lambda _, __: None,
) -> Path:
    """Prepare the patients of ``orders`` as `prepare_region_cases` does those of a plan: those to test on, too."""
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, {"kind": KIND, "layout": REGION_LAYOUT, "setting": asdict(setting), "thin_share": 0.0})
    carry_out(orders, [folder], partial(_prepare, folder=folder, setting=setting), jobs=jobs, on_done=on_done)
    return write_index(folder, setting, [_listed(folder, order) for order in orders])


def save_region_case(
    path: Path, prepared: RegionInput, truth: TrueAnatomy, *, affected: BoolArray, about: dict[str, Any]
) -> None:
    """Write one prepared case, whole or not at all.

    The image is kept as float16; the regions of ``prepared`` are the displaced ones; ``affected`` is bool (20,) in the
    order of the label values; ``about`` is JSON with at least ``id`` and ``patient``.
    """
    content = io.BytesIO()
    np.savez_compressed(
        content,
        image=prepared.image.astype(np.float16),
        regions=prepared.regions,
        true_regions=truth.regions,
        intracranial=truth.intracranial,
        to_atlas=np.full((3, 4), np.nan) if truth.to_atlas is None else truth.to_atlas,
        affected=affected,
        spacing_mm_zyx=np.array(prepared.geometry.spacing_mm_zyx, dtype=np.float32),
        about=json.dumps(about),
    )
    write_whole(path, content.getvalue())


def fitted_to_atlas(labels: LabelArray, geometry: Geometry) -> Float64Array | None:
    """Return the affine map (4x4, LPS mm) that takes the centroids of a head's regions nearest to those of the atlas.

    ``labels`` are uint8, (z, y, x), on ``geometry``. Regions that reach its first or last slice may be cut off and take
    no part. None where too few are left.
    """
    ends = np.union1d(labels[0], labels[-1])
    whole = [label for label in range(1, LABELS) if label not in ends and (labels == label).any()]
    if len(whole) < FEWEST_CENTROIDS:
        return None
    points = geometry.index_to_world(ndimage.center_of_mass(labels > 0, labels, whole))
    matrix, *_ = np.linalg.lstsq(np.column_stack([points, np.ones(len(points))]), _atlas_centroids()[whole], rcond=None)
    return np.vstack([matrix.T, [0.0, 0.0, 0.0, 1.0]])


@cache
def _atlas_centroids() -> Float64Array:
    """Return the centroid of each label value of the atlas in LPS mm, (21, 3); zeros for the background."""
    atlas = load_atlas()
    found = ndimage.center_of_mass(atlas.aspects_labels > 0, atlas.aspects_labels, range(1, LABELS))
    return np.vstack([np.zeros(3), atlas.geometry.index_to_world(found)])


def displaced(labels: LabelArray, source: Geometry, target: Geometry, *, random: np.random.Generator) -> LabelArray:
    """Return region labels (uint8, (z, y, x), on ``source``) on ``target``, off as an affine atlas is."""
    centre = target.index_to_world((np.array(target.shape_zyx) - 1) / 2)
    pitch, roll, yaw = random.normal(0.0, TURN_DEG, 3)
    x, y, z = random.normal(0.0, SHIFT_MM, 3)
    turn = Pose(pitch, roll, yaw, (x, y, z)).matrix()
    grid, field = _displacement(target, random)
    moved = np.zeros(target.shape_zyx, dtype=np.uint8)
    rows, columns = np.meshgrid(*(np.arange(count) for count in target.size_yx), indexing="ij")
    for k in range(len(moved)):
        points = target.index_to_world(np.stack([np.full_like(rows, k), rows, columns], axis=-1))
        aside = grid.sample(field, torch.from_numpy(points.astype(np.float32))).movedim(0, -1).numpy()
        moved[k] = labels_at(labels, source, (points - centre) @ turn[:3, :3].T + turn[:3, 3] + centre + aside)
    return moved


def _displacement(target: Geometry, random: np.random.Generator) -> tuple[Grid, torch.Tensor]:
    """Return a smooth displacement in mm, (3, z, y, x) for x, y and z on a grid that holds ``target``."""
    last = np.array(target.shape_zyx) - 1
    corners = target.index_to_world([[k * z for k, z in zip(pick, last, strict=True)] for pick in np.ndindex(2, 2, 2)])
    low, high = corners.min(axis=0), corners.max(axis=0)
    shape = tuple(int(np.ceil(length / FIELD_MM)) + 2 for length in (high - low)[::-1])
    grid = Grid((shape[0], shape[1], shape[2]), FIELD_MM, (float(low[0]), float(low[1]), float(low[2])))
    seeds = [int(seed) for seed in random.integers(2**62, size=3)]
    field = torch.stack([smooth_noise(seed, grid, DISPLACEMENT_SCALE_MM) for seed in seeds])
    return grid, field * (DISPLACEMENT_MM / np.sqrt(3))


def _prepare(order: Order, *, folder: Path, setting: RegionSetting) -> None:
    """Render one patient and write it."""
    patient = drawn(order, thin_share=0.0)
    visit = render_ct(patient)
    scan = visit.scan(patient.name)
    plane = shaken(midplane_of(visit.protocol.pose.matrix()), rng(patient.head.seed, "training plane"))
    brain = visit.truth["intracranial"].cpu().numpy()
    grid = upright_grid(scan.geometry, brain, plane, setting.spacing_mm_zyx, margin_mm=setting.margin_mm)
    image = _image(scan.hu, scan.geometry, grid, setting)
    labels = visit.truth["aspects"].cpu().numpy()
    regions = displaced(labels, scan.geometry, grid, random=rng(patient.head.seed, "training regions"))
    save_region_case(
        folder / order.file,
        RegionInput(image, regions, grid),
        true_anatomy(labels, brain, scan.geometry, grid),
        affected=_affected(patient, visit),
        about=_about(patient, visit),
    )


def true_anatomy(labels: LabelArray, intracranial: BoolArray, source: Geometry, grid: Geometry) -> TrueAnatomy:
    """Return what is true on an upright ``grid`` of region labels and a mask, both (z, y, x), on ``source``."""
    to_atlas = fitted_to_atlas(labels, source)
    return TrueAnatomy(
        resample_labels(labels, source, grid),
        resample_mask(intracranial, source, grid),
        None if to_atlas is None else atlas_map(grid, to_atlas),
    )


def _image(hu: Float32Array, geometry: Geometry, grid: Geometry, setting: RegionSetting) -> Float32Array:
    """Return the image on ``grid``: by way of the working grid, as the system makes it, where that is fine enough."""
    if setting.from_scan:
        return windowed(hu, geometry, grid, setting)
    working = working_geometry(geometry)
    return windowed(resample(hu, geometry, working, antialias=True), working, grid, setting)


def _affected(patient: Patient, visit: Visit) -> BoolArray:
    """Return which of the twenty regions are affected by core, bool (20,), in the order of the label values."""
    right, left = score_sides(patient, visit)
    return np.array([*right.by_core, *left.by_core])


def _about(patient: Patient, visit: Visit) -> dict[str, Any]:
    stroke = patient.stroke
    return {
        "id": patient.name,
        "patient": patient.name,
        "preset": patient.preset,
        "digest": patient.digest(),
        "kvp": visit.protocol.kvp,
        "thickness_mm": visit.protocol.thickness_mm,
        "onset_h": stroke.onset_h if stroke else None,
        "core_ml": visit.volumes_ml.get("core", 0.0),
    }


def _listed(folder: Path, order: Order) -> PreparedRegions:
    with np.load(folder / order.file) as stored:
        about = json.loads(str(stored["about"]))
        affected = tuple(int(place) + 1 for place in np.flatnonzero(stored["affected"]))
        voxels = stored["regions"].size
    return PreparedRegions(order.file, about["id"], about["patient"], order.role, voxels, affected)
