"""Tiles made ready for training localize: phantom patients, cut to what the network sees, in one array file.

Each patient has a small file of its own, so that a folder can be continued; at the end their tiles are put together.
Validation patients keep their whole picture beside, for tiles alone do not tell how many false alarms a brain gives.
"""

import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from infarct.errors import UnreadableInput
from infarct.files import write_whole
from infarct.phantom import Patient, Visit, render_ct
from infarct.phantom.grid import rng
from infarct.preprocess.midplane import midplane_of
from infarct.preprocess.tile_input import (
    TilePicture,
    TileSetting,
    cut_tiles,
    make_picture,
)
from infarct.preprocess.tile_picks import mask_on_picture
from infarct.training.cases import Order, PhantomShare, Role, carry_out, claim, drawn, orders_of, shaken, write_index
from infarct.training.tile_choice import Choice, Lesions, choose_tiles
from infarct.types import BoolArray
from infarct.volume import Geometry
from infarct.volume.mask import bounding_box

KIND: Final = "tiles"
TILE_LAYOUT: Final = 3
"""Raised when these files change in meaning."""
TILES: Final = "tiles.npy"
MARGIN_PX: Final = 4
"""More surroundings at each edge of a stored tile, to shift and turn it in training."""


@dataclass(frozen=True)
class TilePlan:
    """Which phantom patients are prepared, and how; ``tiles_a_case`` is the most that one patient gives.

    Protocols with thin slices are replaced, as `training.cases.PhantomPlan` says: the paper's slices are 5 mm thick.
    """

    shares: tuple[PhantomShare, ...]
    setting: TileSetting
    tiles_a_case: int = 60


@dataclass(frozen=True)
class PreparedTiles:
    """A prepared case as `cases.json` lists it, with the number of tiles of each group, as `tile_choice.Choice` says.

    Its rows of the array file follow those of the case listed before it, group after group in this order.
    """

    file: str
    id: str
    patient: str
    preset: str
    role: Role
    infarct: int
    mirrored: int
    other: int
    healthy: int

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return self.infarct + self.mirrored + self.other + self.healthy


def prepare_tile_cases(
    plan: TilePlan, folder: Path, *, jobs: int = 1, on_done: Callable[[int, int], None] = lambda _, __: None
) -> Path:
    """Prepare the tiles of a plan in ``folder`` with ``jobs`` processes and return the path of the index.

    ``on_done`` is told how many of how many are done. A folder begun by a plan with the same setting is continued.

    Raises `BadRequest` where the folder holds cases prepared in another way, and `UnreadableInput` where one of them is
    damaged.
    """
    (index,) = prepare_tiles_in_settings(plan, {folder: plan.setting}, jobs=jobs, on_done=on_done)
    return index


def prepare_tiles_in_settings(
    plan: TilePlan,
    places: Mapping[Path, TileSetting],
    *,
    jobs: int = 1,
    on_done: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[Path, ...]:
    """Prepare the tiles of a plan in several folders, each with a setting of its own, and return their indexes.

    Each patient is rendered once for all folders; the plan's own setting does not count. Settings with tiles and slabs
    of the same length show the same tiles: those chosen for the first of them. The rest is as in `prepare_tile_cases`,
    and so is each folder.
    """
    first = _first_of_each_grid(places.values())
    for folder, setting in places.items():
        folder.mkdir(parents=True, exist_ok=True)
        how = {"kind": KIND, "layout": TILE_LAYOUT, "thin_share": 0.0}
        chosen_on = first[_grid_of(setting)]
        other = {} if chosen_on == setting else {"chosen_on": asdict(chosen_on)}
        claim(folder, {**how, **asdict(replace(plan, shares=(), setting=setting)), **other})
    orders = orders_of(plan.shares)
    carry_out(orders, tuple(places), partial(_prepare, plan=plan, places=places), jobs=jobs, on_done=on_done)
    indexes = []
    for folder, setting in places.items():
        cases = [_listed(folder, order) for order in sorted(orders, key=lambda order: order.role)]
        _put_together(folder, cases)
        indexes.append(write_index(folder, setting, cases))
    return tuple(indexes)


def _grid_of(setting: TileSetting) -> tuple[float | None, float | None]:
    """Return what decides where the tiles of a scan can lie."""
    return setting.tile_mm, setting.slab_mm


def _first_of_each_grid(settings: Iterable[TileSetting]) -> dict[tuple[float | None, float | None], TileSetting]:
    first: dict[tuple[float | None, float | None], TileSetting] = {}
    for setting in settings:
        first.setdefault(_grid_of(setting), setting)
    return first


def picture_files(case: str) -> tuple[str, str]:
    """Return the names of the files that hold the picture of a validation case: channels, and all else."""
    stem = Path(case).stem
    return f"{stem}-picture.npy", f"{stem}-masks.npz"


def save_tile_case(path: Path, tiles: npt.NDArray[np.float16], choice: Choice, *, about: dict[str, Any]) -> None:
    """Write the tiles (n, c, s, s) of one case, group after group, whole or not at all.

    ``about`` is JSON with at least ``id``, ``patient`` and ``preset``.
    """
    content = io.BytesIO()
    groups = [len(getattr(choice, group)) for group in ("infarct", "mirrored", "other", "healthy")]
    places = choice.places.astype(np.int16)
    np.savez(content, tiles=tiles, places=places, groups=np.array(groups), about=json.dumps(about))
    write_whole(path, content.getvalue())


def save_picture(path: Path, picture: TilePicture, infarct: BoolArray) -> None:
    """Write the picture of the case in ``path`` beside it, with its ``infarct`` (bool, (z, y, x)), cut to the brain."""
    box = _box(picture)
    geometry = picture.geometry.cropped(box)
    channels, masks = (path.with_name(name) for name in picture_files(path.name))
    content = io.BytesIO()
    np.savez_compressed(
        content,
        brain=picture.brain[box],
        infarct=infarct[box],
        source_slices=picture.source_slices[box[0]],
        origins_mm=geometry.origins_mm,
        directions=geometry.directions,
        pixel_spacing_mm_yx=np.array(geometry.pixel_spacing_mm_yx),
        normal=picture.plane.normal,
        numbers=np.array([picture.plane.offset_mm, picture.tile_px, picture.beyond]),
    )
    write_whole(masks, content.getvalue())
    content = io.BytesIO()
    np.save(content, picture.channels[:, *box].astype(np.float16))
    write_whole(channels, content.getvalue())


def _box(picture: TilePicture) -> tuple[slice, slice, slice]:
    """Return the box (z, y, x) of the brain and what tiles in it show; it begins at a tile of the whole picture."""
    side, setting = picture.tile_px, picture.setting
    reach = round(setting.field_tiles * side * (0.5 + MARGIN_PX / setting.size_px)) + 2  # half of a tile is brain
    z, *parts = bounding_box(picture.brain)
    (rows, columns) = (
        slice(max(0, part.start - reach) // side * side, min(size, part.stop + reach))
        for part, size in zip(parts, picture.geometry.size_yx, strict=True)
    )
    return z, rows, columns


def _prepare(order: Order, *, plan: TilePlan, places: Mapping[Path, TileSetting]) -> None:
    """Render one patient and write its tiles in each folder; the case's own file comes last: it says all is there."""
    patient = drawn(order, thin_share=0.0)
    visit = render_ct(patient)
    scan = visit.scan(patient.name)
    plane = shaken(midplane_of(visit.protocol.pose.matrix()), rng(patient.head.seed, "training plane"))
    brain = visit.truth["intracranial"].cpu().numpy()
    choices: dict[tuple[float | None, float | None], Choice] = {}
    for folder, setting in places.items():
        picture = make_picture(scan.hu, scan.geometry, brain=brain, plane=plane, setting=setting)
        lesions = lesions_of(visit, scan.geometry, setting)
        grid = _grid_of(setting)
        if grid not in choices:
            random = rng(patient.head.seed, "training tiles")
            choices[grid] = choose_tiles(picture, lesions, count=plan.tiles_a_case, random=random)
        tiles = cut_tiles(picture, choices[grid].places, margin_px=MARGIN_PX).astype(np.float16)
        if order.role != "train":
            save_picture(folder / order.file, picture, lesions.infarct)
        save_tile_case(folder / order.file, tiles, choices[grid], about=_about(patient, visit))


def _about(patient: Patient, visit: Visit) -> dict[str, Any]:
    """Return what the file of a case tells of it."""
    stroke = patient.stroke
    return {
        "id": patient.name,
        "patient": patient.name,
        "preset": patient.preset,
        "digest": patient.digest(),
        "onset_h": stroke.onset_h if stroke else None,
        "infarct_ml": visit.volumes_ml.get("infarct", 0.0),
        "thickness_mm": visit.protocol.thickness_mm,
    }


def lesions_of(visit: Visit, geometry: Geometry, setting: TileSetting) -> Lesions:
    """Return what is ill in a rendered scan on ``geometry``, on the slabs of its picture."""
    truth = {name: mask.cpu().numpy() > 0 for name, mask in visit.truth.items()}
    infarct = truth.get("infarct", np.zeros(geometry.shape_zyx, dtype=bool))
    other = (truth["old_infarct"] | truth["hemorrhage"] | truth["staining"]) & ~infarct
    return Lesions(mask_on_picture(infarct, geometry, setting), mask_on_picture(other, geometry, setting))


def _put_together(folder: Path, cases: Sequence[PreparedTiles]) -> None:
    """Write the array file: the tiles of all cases, one case after another, whole or not at all."""
    working = folder / f".{TILES}.{os.getpid()}.part"
    try:
        with working.open("wb") as file:
            for number, case in enumerate(cases):
                tiles = np.ascontiguousarray(_part(folder / case.file, "tiles"), dtype=np.float16)
                if number == 0:
                    shape = (sum(each.tiles for each in cases), *tiles.shape[1:])
                    header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(tiles.tobytes())
        working.replace(folder / TILES)
    finally:
        working.unlink(missing_ok=True)


def _listed(folder: Path, order: Order) -> PreparedTiles:
    infarct, mirrored, other, healthy = (int(count) for count in _part(folder / order.file, "groups"))
    about = json.loads(str(_part(folder / order.file, "about")))
    names = about["id"], about["patient"], about["preset"]
    return PreparedTiles(order.file, *names, order.role, infarct, mirrored, other, healthy)


def _part(path: Path, name: str) -> npt.NDArray[Any]:
    try:
        with np.load(path) as stored:
            part: npt.NDArray[Any] = stored[name]
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise UnreadableInput("a prepared case is damaged; delete it and prepare it again") from error
    return part
