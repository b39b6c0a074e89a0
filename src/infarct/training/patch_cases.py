"""Heads made ready for training the patch CNNs: the picture that patches are cut from, and what each voxel shows.

One folder serves infarcts and blood alike: each patient has one small file, cut to the brain and what patches about its
voxels show.
"""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy import ndimage

from infarct.files import write_whole
from infarct.measure.severity import Severity, followup_class, infarct_mean_hu
from infarct.phantom import Visit, render_ct
from infarct.phantom.grid import rng
from infarct.preprocess.followup_region import without_fluid
from infarct.preprocess.midplane import midplane_of
from infarct.preprocess.patch_input import (
    PatchPicture,
    PatchSetting,
    make_patch_picture,
    on_picture,
    share_on_picture,
)
from infarct.training.cases import Order, PhantomShare, Role, carry_out, claim, drawn, orders_of, shaken, write_index
from infarct.types import BoolArray, LabelArray
from infarct.volume import volume_ml
from infarct.volume.mask import bounding_box

KIND: Final = "patches"
PATCH_LAYOUT: Final = 1
"""Raised when these files change in meaning."""
BRAIN, TISSUE, INFARCT, OLD, STAINED, DENSE, DARK = (1 << bit for bit in range(7))
"""Bits of the marks of a voxel: inside the skull; there without the fluid of the ventricles; infarct of this stroke,
blood in it included; old infarct; stained by contrast; brain as dense as blood, and as dark as an infarct, that is
neither.
"""
DENSE_HU: Final = 50.0
DARK_HU: Final = 22.0
ASIDE_MM: Final = 3.0
"""What lies this near to blood, or to an infarct, is partly that."""
ROOM_PX: Final = 14
"""Rows and columns around the brain that turned patches about its voxels show."""
FOLLOWUP: Final = "followup"


@dataclass(frozen=True)
class PatchPlan:
    """Which phantom patients are prepared, and how.

    Protocols with thin slices are replaced, as `training.cases.PhantomPlan` says: the paper's slices are 5 mm thick.
    """

    shares: tuple[PhantomShare, ...]
    setting: PatchSetting


@dataclass(frozen=True)
class PreparedPicture:
    """A prepared case as `cases.json` lists it.

    ``severity`` is the class of its infarct and ``mean_hu`` what tells it; both None but in follow-up scans.
    ``infarct_ml`` and ``blood_ml`` are what the picture shows; ``voxels`` is the size of the picture.
    """

    file: str
    id: str
    patient: str
    preset: str
    role: Role
    severity: Severity | None
    mean_hu: float | None
    infarct_ml: float
    blood_ml: float
    voxels: int


@dataclass(frozen=True, eq=False)
class Marks:
    """What the voxels of a picture show, both uint8 (z, y, x).

    ``bits`` are those of this module. ``blood`` is 0 or its kind: 1 parenchymal, 2 intraventricular, 3 subarachnoid,
    4 subdural, 5 in an infarct.
    """

    bits: LabelArray
    blood: LabelArray


def prepare_patch_cases(
    plan: PatchPlan, folder: Path, *, jobs: int = 1, on_done: Callable[[int, int], None] = lambda _, __: None
) -> Path:
    """Prepare the cases of a plan in ``folder`` with ``jobs`` processes and return the path of the index.

    ``on_done`` is told how many of how many are done. A folder begun by a plan with the same setting is continued.

    Raises `BadRequest` where the folder holds cases prepared in another way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, {"kind": KIND, "layout": PATCH_LAYOUT, "thin_share": 0.0, "setting": asdict(plan.setting)})
    orders = orders_of(plan.shares)
    carry_out(orders, (folder,), partial(_prepare, folder=folder, setting=plan.setting), jobs=jobs, on_done=on_done)
    return write_index(folder, plan.setting, [_listed(folder, order) for order in orders])


def marks_of(picture: PatchPicture, truth: Mapping[str, Any]) -> Marks:
    """Return what the voxels of a picture show.

    ``truth`` holds arrays (z, y, x) on the scan, as `phantom.assembly.Visit` names them; ``infarct`` may be missing.
    """
    blood = blood_on(picture, truth["hemorrhage"])
    tissue = without_fluid(picture.hu, picture.brain, picture.geometry)
    nothing = np.zeros(picture.brain.shape, dtype=bool)
    infarct = on_picture(picture, truth["infarct"]) if "infarct" in truth else nothing
    old = on_picture(picture, truth["old_infarct"]) & ~infarct
    parts = {
        BRAIN: picture.brain,
        TISSUE: tissue,
        INFARCT: infarct & picture.brain,
        OLD: old & picture.brain,
        STAINED: on_picture(picture, truth["staining"]) & picture.brain & (blood == 0),
        DENSE: picture.brain & (picture.hu > DENSE_HU) & ~_around(blood > 0, picture),
        DARK: tissue & (picture.hu < DARK_HU) & ~_around(infarct, picture),
    }
    bits = sum(part.astype(np.uint8) * np.uint8(bit) for bit, part in parts.items())
    return Marks(np.asarray(bits, dtype=np.uint8), blood)


def blood_on(picture: PatchPicture, hemorrhage: LabelArray) -> LabelArray:
    """Return the kind of blood (uint8, (z, y, x)) in voxels of the brain that are at least half blood.

    ``hemorrhage`` (uint8, (z, y, x)) lies on the scan.
    """
    kinds = [int(kind) for kind in np.unique(hemorrhage) if kind]
    if not kinds:
        return np.zeros(picture.brain.shape, dtype=np.uint8)
    shares = np.stack([share_on_picture(picture, hemorrhage == kind) for kind in kinds])
    most = np.array(kinds, dtype=np.uint8)[shares.argmax(axis=0)]
    return np.where(picture.brain & (shares.sum(axis=0) >= 0.5), most, 0).astype(np.uint8)


def save_patch_case(path: Path, picture: PatchPicture, marks: Marks, about: Mapping[str, Any]) -> None:
    """Write one prepared case, cut to the brain and what patches show around it; whole or not at all.

    ``about`` is JSON with at least ``id``, ``patient`` and ``preset``. What the index lists is measured here.
    """
    box = _box(picture)
    geometry = picture.geometry.cropped(box)
    content = io.BytesIO()
    np.savez_compressed(
        content,
        images=picture.images[:, *box].astype(np.float16),
        marks=marks.bits[box],
        blood=marks.blood[box],
        origins_mm=geometry.origins_mm,
        directions=geometry.directions,
        pixel_spacing_mm_yx=np.array(geometry.pixel_spacing_mm_yx),
        about=json.dumps({**about, **_measured(picture, marks, about["preset"])}),
    )
    write_whole(path, content.getvalue())


def _measured(picture: PatchPicture, marks: Marks, preset: str) -> dict[str, Any]:
    """Return class, density and volumes of a case."""
    infarct, blood = marks.bits & INFARCT > 0, marks.blood > 0
    counted = infarct & (marks.bits & TISSUE > 0)
    mean_hu = infarct_mean_hu(picture.hu, counted, blood) if preset == FOLLOWUP else np.nan
    known = not np.isnan(mean_hu)
    return {
        "severity": followup_class(mean_hu) if known else None,
        "mean_hu": round(mean_hu, 2) if known else None,
        "infarct_ml": round(volume_ml(infarct, picture.geometry), 3),
        "blood_ml": round(volume_ml(blood, picture.geometry), 3),
    }


def _around(mask: BoolArray, picture: PatchPicture) -> BoolArray:
    """Return ``mask`` (bool, (z, y, x)) with what lies within `ASIDE_MM` of it, in its slice."""
    if not mask.any():
        return mask
    spacing = picture.geometry.pixel_spacing_mm_yx
    away_mm = [ndimage.distance_transform_edt(~plane, sampling=spacing) if plane.any() else np.inf for plane in mask]
    return np.stack([np.broadcast_to(away <= ASIDE_MM, mask.shape[1:]) for away in away_mm])


def _box(picture: PatchPicture) -> tuple[slice, slice, slice]:
    room = (1, ROOM_PX, ROOM_PX)
    z, y, x = (
        slice(max(0, part.start - more), min(size, part.stop + more))
        for part, more, size in zip(bounding_box(picture.brain), room, picture.brain.shape, strict=True)
    )
    return z, y, x


def _prepare(order: Order, *, folder: Path, setting: PatchSetting) -> None:
    patient = drawn(order, thin_share=0.0)
    visit = render_ct(patient)
    stroke = patient.stroke
    followup = patient.preset == FOLLOWUP
    about = {
        "id": patient.name,
        "patient": patient.name,
        "preset": patient.preset,
        "digest": patient.digest(),
        "onset_h": (stroke.followup_h if followup else stroke.onset_h) if stroke else None,
        "thickness_mm": visit.protocol.thickness_mm,
    }
    picture, marks = picture_of(visit, patient.name, seed=patient.head.seed, setting=setting)
    save_patch_case(folder / order.file, picture, marks, about)


def picture_of(visit: Visit, name: str, *, seed: int, setting: PatchSetting) -> tuple[PatchPicture, Marks]:
    """Return the picture of a rendered scan, mirrored through a plane that is off as a found one is, and its marks."""
    scan = visit.scan(name)
    truth = {key: mask.cpu().numpy() for key, mask in visit.truth.items()}
    plane = shaken(midplane_of(visit.protocol.pose.matrix()), rng(seed, "training plane"))
    picture = make_patch_picture(scan.hu, scan.geometry, brain=truth["intracranial"] > 0, plane=plane, setting=setting)
    return picture, marks_of(picture, truth)


def _listed(folder: Path, order: Order) -> PreparedPicture:
    with np.load(folder / order.file) as stored:
        about = json.loads(str(stored["about"]))
        voxels = int(stored["marks"].size)
    told = {name: about[name] for name in ("id", "patient", "preset", "severity", "mean_hu", "infarct_ml", "blood_ml")}
    return PreparedPicture(file=order.file, role=order.role, voxels=voxels, **told)
