"""Cases made ready for training: channels and labels on the network's grid, one small file a case.

Rendering a phantom and bringing it to the grid takes seconds; a training step takes less. So cases are prepared once,
in parallel, and training reads them. A folder can be continued: what is there is not made again.
"""

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from infarct.errors import BadRequest
from infarct.files import write_whole
from infarct.phantom import Patient, Preset, draw, render_ct
from infarct.phantom.grid import rng
from infarct.phantom.workers import prepare_worker
from infarct.preprocess.head import working_geometry
from infarct.preprocess.midplane import Midplane, midplane_of
from infarct.preprocess.segment_input import InputSetting, SegmentInput, make_input
from infarct.types import BoolArray, Float32Array, LabelArray
from infarct.volume import Geometry, resample, resample_mask

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

OUTSIDE, BRAIN, ACUTE, OLD = 0, 1, 2, 3
"""Label values of a prepared case."""
LAYOUT: Final = 1
"""Raised when prepared files change in meaning."""
INDEX: Final = "cases.json"
CLAIM: Final = "prepared.json"
CASES: Final = "cases"
"""Prepared cases may lie in this folder of an output before the training begins."""
Role = Literal["train", "validation", "test"]
"""What a case is for; a training reads the first two and never the last."""

THIN_MM: Final = 3.0
"""Slices under this make hundreds a head."""
PLANE_SHIFT_MM, PLANE_TILT_DEG = 1.0, 1.0
"""SD of the error that a midsagittal plane is given: what finding it on a real scan leaves."""


@dataclass(frozen=True)
class PhantomShare:
    """``train`` and ``validation`` patients of a preset, from index 0 of each split."""

    preset: Preset
    train: int
    validation: int


@dataclass(frozen=True)
class PhantomPlan:
    """Which phantom patients are prepared, and how.

    ``thin_share`` of the patients whose protocol has thin slices keep it (they take three times as long
    to render); the others are scanned by the protocol of another patient, of the preset `aspects`.
    """

    shares: tuple[PhantomShare, ...]
    setting: InputSetting
    thin_share: float = 1.0


@dataclass(frozen=True)
class Prepared:
    """A prepared case as `cases.json` lists it; ``voxels`` counts the label values 0 to 3."""

    file: str
    id: str
    patient: str
    role: Role
    voxels: tuple[int, int, int, int]


def prepare_phantom_cases(
    plan: PhantomPlan, folder: Path, *, jobs: int = 1, on_done: Callable[[int, int], None] = lambda _, __: None
) -> Path:
    """Prepare the cases of a plan in ``folder`` with ``jobs`` processes and return the path of its index.

    ``on_done`` is told how many of how many are done. A folder begun by the same plan is continued.

    Raises `BadRequest` where the folder holds cases prepared in another way.
    """
    (index,) = prepare_in_settings(plan, {folder: plan.setting}, jobs=jobs, on_done=on_done)
    return index


def prepare_in_settings(
    plan: PhantomPlan,
    places: Mapping[Path, InputSetting],
    *,
    jobs: int = 1,
    on_done: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[Path, ...]:
    """Prepare the cases of a plan in several folders, each with a setting of its own, and return their indexes.

    Each patient is rendered once for all folders; the plan's own setting does not count. The rest is as in
    `prepare_phantom_cases`, and so is each folder.
    """
    for folder, setting in places.items():
        folder.mkdir(parents=True, exist_ok=True)
        claim(folder, {"setting": asdict(setting), "thin_share": plan.thin_share})
    orders = orders_of(plan.shares)
    work = partial(_prepare, plan=plan, places=places)
    carry_out(orders, tuple(places), work, jobs=jobs, on_done=on_done)
    return tuple(
        write_index(folder, setting, [_listed(folder, order) for order in orders]) for folder, setting in places.items()
    )


@dataclass(frozen=True)
class Order:
    """A patient that is to be prepared, and what for."""

    preset: Preset
    index: int
    role: Role

    @property
    def file(self) -> str:
        """Name of the prepared case's file."""
        return f"{self.preset}-{self.role}-{self.index:05d}.npz"


def orders_of(shares: Sequence[PhantomShare]) -> list[Order]:
    """Return what to make, presets mixed, so that a folder half made is a fair sample."""
    placed: list[tuple[float, Order]] = []
    for share in shares:
        placed += [(index / share.train, Order(share.preset, index, "train")) for index in range(share.train)]
        placed += [
            (index / share.validation, Order(share.preset, index, "validation")) for index in range(share.validation)
        ]
    return [order for _, order in sorted(placed, key=lambda pair: pair[0])]


def carry_out(
    orders: Sequence[Order],
    folders: Sequence[Path],
    work: Callable[[Order], None],
    *,
    jobs: int,
    on_done: Callable[[int, int], None],
) -> None:
    """Do the ``work`` of each order whose file is missing in one of the folders, with ``jobs`` processes."""
    waiting = [order for order in orders if not all((folder / order.file).exists() for folder in folders)]
    done = len(orders) - len(waiting)
    on_done(done, len(orders))
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=prepare_worker) as pool:
        for future in as_completed([pool.submit(work, order) for order in waiting]):
            future.result()
            done += 1
            on_done(done, len(orders))


def write_index(folder: Path, setting: "DataclassInstance", cases: Sequence["DataclassInstance"]) -> Path:
    """Write `cases.json`, the input setting and what is told of each case, and return its path."""
    path = folder / INDEX
    write_whole(path, json.dumps({"setting": asdict(setting), "cases": [asdict(case) for case in cases]}).encode())
    return path


def labels_on(
    geometry: Geometry, source: Geometry, *, brain: BoolArray, acute: BoolArray | None, old: BoolArray | None
) -> LabelArray:
    """Return the labels (uint8, (z, y, x)) on ``geometry`` of masks on ``source``; ``brain`` is there already.

    A voxel belongs to a lesion that fills half of it; acute stands over old.
    """
    labels = brain.astype(np.uint8)
    for value, mask in ((OLD, old), (ACUTE, acute)):
        if mask is not None and mask.any():
            share = resample(mask.astype(np.float32), source, geometry, transform=np.eye(4), fill=0.0, antialias=True)
            labels[brain & (share >= 0.5)] = value
    return labels


def save_case(path: Path, prepared: SegmentInput, labels: LabelArray, about: dict[str, Any]) -> None:
    """Write one prepared case: channels as float16, labels, spacing and what it is; whole or not at all."""
    content = io.BytesIO()
    np.savez_compressed(
        content,
        channels=prepared.channels.astype(np.float16),
        labels=labels,
        spacing_mm_zyx=np.array(prepared.geometry.spacing_mm_zyx, dtype=np.float32),
        about=json.dumps(about),
    )
    write_whole(path, content.getvalue())


def claim(folder: Path, how: dict[str, Any]) -> None:
    """Write down how the cases of a folder are prepared, or check that they were prepared the same way.

    Raises `BadRequest` where they were not.
    """
    path = folder / CLAIM
    text = json.dumps({"layout": LAYOUT, **how}, sort_keys=True)
    if not path.exists():
        write_whole(path, text.encode())
    elif path.read_text() != text:
        raise BadRequest("the folder holds cases that were prepared in another way; give a new one")


def kind_of(folder: Path) -> str:
    """Return what the prepared cases of a folder are, in words: phantoms or scans of a user's cohort."""
    path = folder / CLAIM
    how = json.loads(path.read_text()) if path.exists() else {}
    return "scans of the user's cohort" if how.get("cohort") else "phantoms" if "thin_share" in how else "cases"


def digest_of(folder: Path) -> str:
    """Return the SHA-256 of the index of a folder of prepared cases."""
    return hashlib.sha256((folder / INDEX).read_bytes()).hexdigest()


def check_new_output(output: Path) -> None:
    """Raise `BadRequest` unless a training can begin in ``output``: a new folder, or one with cases alone."""
    if output.exists() and (not output.is_dir() or any(place.name != CASES for place in output.iterdir())):
        raise BadRequest(
            "the output folder exists and is not empty; give a new one, or --resume the training of a network"
        )


def _prepare(order: Order, *, plan: PhantomPlan, places: Mapping[Path, InputSetting]) -> None:
    """Render one patient and write it into each of the folders, with the setting of each."""
    patient = drawn(order, thin_share=plan.thin_share)
    visit = render_ct(patient)
    scan = visit.scan(patient.name)
    truth = {name: mask.cpu().numpy() for name, mask in visit.truth.items()}
    protocol = visit.protocol
    random = rng(patient.head.seed, "training plane")
    plane = shaken(midplane_of(protocol.pose.matrix()), random)
    stroke = patient.stroke
    about = {
        "id": patient.name,
        "patient": patient.name,
        "preset": patient.preset,
        "digest": patient.digest(),
        "onset_h": stroke.onset_h if stroke else None,
        "infarct_ml": visit.volumes_ml.get("infarct", 0.0),
        "thickness_mm": protocol.thickness_mm,
    }
    for folder, setting in places.items():
        grid, hu, brain = _source(scan.hu, scan.geometry, truth["intracranial"], setting)
        prepared = make_input(hu, grid, brain=brain, plane=plane, setting=setting)
        labels = labels_on(
            prepared.geometry,
            scan.geometry,
            brain=prepared.brain,
            acute=truth.get("infarct"),
            old=truth["old_infarct"],
        )
        save_case(folder / order.file, prepared, labels, about)


def _source(
    hu: Float32Array, geometry: Geometry, brain: BoolArray, setting: InputSetting
) -> tuple[Geometry, Float32Array, BoolArray]:
    """Return the grid, HU and brain that the input is made from: the working grid, where the setting has a grid."""
    if setting.spacing_mm_zyx is None:
        return geometry, hu, brain
    grid = working_geometry(geometry)
    return grid, resample(hu, geometry, grid, antialias=True), resample_mask(brain, geometry, grid)


def drawn(order: Order, *, thin_share: float) -> Patient:
    """Return the patient of an order; see `PhantomPlan` for those whose protocol has thin slices."""
    patient = draw(order.preset, order.index, order.role)
    followup = order.preset == "followup"
    protocol = patient.followup if followup else patient.acute
    thick = protocol is None or protocol.thickness_mm >= THIN_MM
    if thick or rng(patient.head.seed, "keeps thin").random() < thin_share:
        return patient
    other = draw("aspects", order.index, order.role).acute
    return replace(patient, followup=other) if followup else replace(patient, acute=other)


def shaken(plane: Midplane, random: np.random.Generator) -> Midplane:
    """Return a plane moved and turned by as much as finding it on a scan goes wrong."""
    tilt = np.radians(random.normal(0.0, PLANE_TILT_DEG, 2))
    normal = plane.normal + np.array([0.0, tilt[0], tilt[1]])
    normal = normal / np.linalg.norm(normal)
    middle = plane.offset_mm * plane.normal
    return Midplane(normal, float(normal @ middle + random.normal(0.0, PLANE_SHIFT_MM)))


def _listed(folder: Path, order: Order) -> Prepared:
    with np.load(folder / order.file) as stored:
        counts = np.bincount(stored["labels"].ravel(), minlength=4)
        about = json.loads(str(stored["about"]))
    n0, n1, n2, n3 = (int(count) for count in counts)
    return Prepared(order.file, about["id"], about["patient"], order.role, (n0, n1, n2, n3))
