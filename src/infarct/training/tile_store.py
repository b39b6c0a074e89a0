"""Reading tiles that were prepared for localize: the array file by role, and whole pictures to validate on."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from infarct.errors import UnreadableInput
from infarct.files import write_whole
from infarct.preprocess.midplane import Midplane
from infarct.preprocess.tile_input import TilePicture, TileSetting
from infarct.training.cases import CLAIM, Role, write_index
from infarct.training.store import check_files, read_listed
from infarct.training.tile_cases import MARGIN_PX, TILES, PreparedTiles, picture_files
from infarct.types import BoolArray
from infarct.volume import Geometry

PartRole = Literal["train", "test"]
PART: Final = "part.json"
"""In a folder that lists some tiles of another one: where that lies."""
DAMAGED: Final = "the prepared tiles are damaged; delete what is damaged and prepare it again"


@dataclass(frozen=True)
class TileIndex:
    """What lies in a folder of prepared tiles: the setting of their input, and the cases, those of a role together.

    ``source`` is the folder of the files, ``folder`` itself unless that lists a part of another one; ``first`` are the
    rows of the array file where the tiles of each case begin.
    """

    folder: Path
    setting: TileSetting
    cases: tuple[PreparedTiles, ...]
    source: Path
    first: tuple[int, ...]

    def of(self, role: Role) -> tuple[PreparedTiles, ...]:
        """Return the cases of a role."""
        return tuple(case for case in self.cases if case.role == role)

    @property
    def counts(self) -> dict[str, int]:
        """How many cases and tiles there are for what, as a model card tells it."""
        found: dict[str, int] = {}
        for name, cases in (("training", self.of("train")), ("validation", self.of("validation"))):
            found |= {
                f"{name}_cases": len(cases),
                f"{name}_cases_with_infarct": sum(case.infarct > 0 for case in cases),
                f"{name}_tiles": sum(case.tiles for case in cases),
                f"{name}_tiles_infarct": sum(case.infarct for case in cases),
                f"{name}_tiles_healthy_on_both_sides": sum(case.healthy for case in cases),
            }
        return found


class TileRows:
    """Some rows of an array file and its first channels, (n, c, s, s), read when they are asked for."""

    def __init__(self, file: npt.NDArray[np.float16], rows: npt.NDArray[np.intp], channels: int) -> None:
        self._file = file
        self._rows = rows
        self._channels = channels

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of tiles, channels, rows and columns."""
        return len(self._rows), self._channels, *self._file.shape[2:]

    def __getitem__(self, chosen: npt.NDArray[np.intp]) -> npt.NDArray[np.float16]:
        """Return the tiles with the numbers ``chosen``."""
        return self._file[self._rows[chosen], : self._channels]


@dataclass(frozen=True, eq=False)
class StoredTiles:
    """The tiles of a role.

    ``tiles`` (n, c, s, s) is mapped from disk, float16, s being the setting's size and `MARGIN_PX` at each edge.
    ``infarct`` (n,) tells which are infarct, ``case`` (n,) the place of each one's case in ``cases``, and
    ``from_healthy`` (n,) which are free of any lesion, as their mirrored place is, in whatever head.
    """

    tiles: npt.NDArray[np.float16] | TileRows
    infarct: BoolArray
    case: npt.NDArray[np.intp]
    from_healthy: BoolArray
    cases: tuple[PreparedTiles, ...]


@dataclass(frozen=True, eq=False)
class StoredPicture:
    """A whole validation case: its ``picture``, cut to the brain, channels mapped from disk as float16.

    ``infarct`` is bool (z, y, x).
    """

    id: str
    preset: str
    picture: TilePicture
    infarct: BoolArray


def read_tile_index(folder: Path) -> TileIndex:
    """Return the index of a folder of prepared tiles, or of a part of one.

    Raises `UnreadableInput` where there is none, or a file that it speaks of is missing.
    """
    data, cases = read_listed(folder, lambda case: PreparedTiles(**case))
    setting = _setting(data)
    if (folder / PART).exists():
        return _read_part(folder, setting, cases)
    pictures = [name for case in cases if case.role == "validation" for name in picture_files(case.file)]
    check_files(folder, [TILES, *pictures])
    first = accumulate((case.tiles for case in cases), initial=0)
    return TileIndex(folder, setting, cases, folder, tuple(first)[:-1])


def list_tiles(source: TileIndex, folder: Path, *, roles: Mapping[str, PartRole], setting: TileSetting) -> Path:
    """Make ``folder`` one of prepared tiles that holds some cases of ``source``, in other roles, and return it.

    ``roles`` are by the ids of the cases; pictures to validate on are not listed. ``setting`` is that of ``source`` or
    one that `is_seen_in` it, with fewer channels. Only an index is written: the tiles stay where they are. Raises
    `ValueError` for another setting.
    """
    if not is_seen_in(setting, source.setting):
        raise ValueError("the tiles are not cut so that this setting can be seen in them")
    listed = [replace(case, role=roles[case.id]) for case in source.cases if case.id in roles]
    cases = sorted(listed, key=lambda case: case.role)
    folder.mkdir(parents=True, exist_ok=True)
    way = Path(os.path.relpath(source.source.resolve(), folder.resolve())).as_posix()
    write_whole(folder / CLAIM, (source.source / CLAIM).read_bytes())
    write_whole(folder / PART, json.dumps({"source": way}).encode())
    write_index(folder, setting, cases)
    return folder


def is_seen_in(setting: TileSetting, stored: TileSetting) -> bool:
    """Return whether the channels of ``setting`` are the first ones of ``stored``, whatever the two are called."""
    alone, stored_alone = (replace(one, name="", mirror=False, differences=()) for one in (setting, stored))
    first = stored.differences[: len(setting.differences)]
    return alone == stored_alone and stored.mirror >= setting.mirror and first == setting.differences


def _read_part(folder: Path, setting: TileSetting, cases: tuple[PreparedTiles, ...]) -> TileIndex:
    try:
        place = folder / json.loads((folder / PART).read_text(encoding="utf-8"))["source"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableInput(DAMAGED) from error
    whole = read_tile_index(place)
    known = dict(zip((replace(case, role="train") for case in whole.cases), whole.first, strict=True))
    try:
        first = tuple(known[replace(case, role="train")] for case in cases)
    except KeyError as error:
        raise UnreadableInput("a case that is listed is not among the prepared tiles; prepare them again") from error
    if not is_seen_in(setting, whole.setting):
        raise UnreadableInput("the folder holds prepared cases of another kind")
    return TileIndex(folder, setting, cases, place, first)


def open_tiles(index: TileIndex, role: Role) -> StoredTiles:
    """Return the tiles of a role, mapped from disk.

    Raises `UnreadableInput` where the array file is damaged or does not fit the index.
    """
    file = _open_file(index)
    cases = index.of(role)
    count = np.array([case.tiles for case in cases], dtype=np.intp)
    groups = np.array([(case.infarct, case.mirrored + case.other, case.healthy) for case in cases], dtype=np.intp)
    group = np.repeat(np.tile([0, 1, 2], len(cases)), groups.reshape(-1))
    first = [row for row, case in zip(index.first, index.cases, strict=True) if case.role == role]
    tiles: npt.NDArray[np.float16] | TileRows
    if index.source == index.folder:
        begin = first[0] if first else 0
        tiles = file[begin : begin + int(count.sum())]
    else:
        parts = [np.arange(row, row + case.tiles) for row, case in zip(first, cases, strict=True)]
        tiles = TileRows(file, np.concatenate([np.zeros(0, dtype=np.intp), *parts]), index.setting.channels)
    return StoredTiles(tiles, group == 0, np.repeat(np.arange(len(cases)), count), group == 2, cases)


def _open_file(index: TileIndex) -> npt.NDArray[np.float16]:
    """Return the array file, after a look at its shape."""
    try:
        file: npt.NDArray[np.float16] = np.load(index.source / TILES, mmap_mode="r")
    except (OSError, EOFError, ValueError) as error:
        raise UnreadableInput(DAMAGED) from error
    size, channels = index.setting.size_px + 2 * MARGIN_PX, index.setting.channels
    end = max((row + case.tiles for row, case in zip(index.first, index.cases, strict=True)), default=0)
    if file.ndim != 4 or file.shape[2:] != (size, size) or file.dtype != np.float16:
        raise UnreadableInput(DAMAGED)
    part = index.source != index.folder
    if file.shape[:2] != (end, channels) and not (part and len(file) >= end and file.shape[1] >= channels):
        raise UnreadableInput(DAMAGED)
    return file


def load_pictures(index: TileIndex) -> list[StoredPicture]:
    """Return the whole pictures of the validation cases; their channels stay on disk until they are used.

    Raises `UnreadableInput` where one is damaged.
    """
    return [_read_picture(index, case) for case in index.of("validation")]


def _read_picture(index: TileIndex, case: PreparedTiles) -> StoredPicture:
    channels_file, masks_file = (index.folder / name for name in picture_files(case.file))
    try:
        channels = np.load(channels_file, mmap_mode="r")
        with np.load(masks_file) as stored:
            parts = {name: stored[name] for name in stored.files}
        picture, infarct = _picture(channels, parts, index.setting), parts["infarct"]
    except (OSError, EOFError, ValueError, KeyError, IndexError, BadZipFile) as error:
        raise UnreadableInput(DAMAGED) from error
    shape = picture.geometry.shape_zyx
    if channels.shape != (index.setting.channels, *shape) or picture.brain.shape != shape or infarct.shape != shape:
        raise UnreadableInput(DAMAGED)
    return StoredPicture(case.id, case.preset, picture, infarct)


def _picture(
    channels: npt.NDArray[np.float16], parts: Mapping[str, npt.NDArray[Any]], setting: TileSetting
) -> TilePicture:
    row_mm, column_mm = (float(step) for step in parts["pixel_spacing_mm_yx"])
    offset_mm, tile_px, beyond = (float(number) for number in parts["numbers"])
    rows, columns = parts["brain"].shape[1:]
    x, y = parts["directions"][:, 0], parts["directions"][:, 1]
    geometry = Geometry(parts["origins_mm"], x, y, (row_mm, column_mm), (rows, columns))
    plane = Midplane(parts["normal"], offset_mm)
    return TilePicture(channels, parts["brain"], geometry, plane, parts["source_slices"], int(tile_px), setting, beyond)


def _setting(data: Mapping[str, Any]) -> TileSetting:
    try:
        return TileSetting(**data)
    except (TypeError, ValueError) as error:
        raise UnreadableInput("the folder holds prepared cases of another kind") from error
