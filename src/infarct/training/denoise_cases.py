"""Pairs of slices made ready for training DnCNN: phantom heads with the noise of their scanner, and without it."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from infarct.errors import UnreadableInput
from infarct.files import write_whole
from infarct.phantom import draw, render_scans
from infarct.training.cases import Order, Role, carry_out, claim, orders_of, write_index
from infarct.training.denoise_recipe import DenoisePlan
from infarct.training.store import MEMORY_GB, arrays_of, check_files, read_listed
from infarct.types import BoolArray
from infarct.volume.mask import bounding_box

Slices = npt.NDArray[np.int16]
"""Whole HU, (z, y, x)."""

KIND: Final = "denoise"
MARGIN_PX: Final = 25
"""Around the intracranial space: half a patch."""
PARTS: Final = ("clean", "noisy")
BYTES_A_PIXEL: Final = 4


@dataclass(frozen=True)
class PreparedPair:
    """A prepared case as `cases.json` lists it; ``noise_hu`` is the SD in mid brain."""

    file: str
    id: str
    patient: str
    role: Role
    pixels: int
    noise_hu: float


@dataclass(frozen=True)
class PairIndex:
    """What lies in a folder of prepared pairs: the window as data, and the cases."""

    folder: Path
    setting: Mapping[str, Any]
    cases: tuple[PreparedPair, ...]

    def of(self, role: Role) -> tuple[PreparedPair, ...]:
        """Return the cases of a role."""
        return tuple(case for case in self.cases if case.role == role)


@dataclass(frozen=True, eq=False)
class StoredPair:
    """One prepared case in memory, or mapped: the same slices without noise and with it."""

    id: str
    clean: Slices
    noisy: Slices


def prepare_denoise_cases(
    plan: DenoisePlan, folder: Path, *, jobs: int = 1, on_done: Callable[[int, int], None] = lambda _, __: None
) -> Path:
    """Prepare the cases of a plan in ``folder`` with ``jobs`` processes and return the path of its index.

    ``on_done`` is told how many of how many are done. A folder begun by a plan with the same setting is continued.

    Raises `BadRequest` where the folder holds cases prepared in another way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    how = {"setting": asdict(plan.setting), "apart_mm": plan.apart_mm, "thin_share": 1.0}
    claim(folder, {"kind": KIND, **how})
    orders = orders_of(plan.shares)
    carry_out(orders, [folder], partial(_prepare, folder=folder, plan=plan), jobs=jobs, on_done=on_done)
    return write_index(folder, plan.setting, [_listed(folder, order) for order in orders])


def save_pair(path: Path, pair: StoredPair, about: Mapping[str, Any]) -> None:
    """Write one case, whole or not at all; ``about`` (JSON) tells ``id``, ``patient`` and ``noise_hu``."""
    content = io.BytesIO()
    np.savez_compressed(content, clean=pair.clean, noisy=pair.noisy, about=json.dumps(about))
    write_whole(path, content.getvalue())


def read_pair_index(folder: Path) -> PairIndex:
    """Return the index of a folder of prepared pairs.

    Raises `UnreadableInput` where there is none, or a case that it lists is missing.
    """
    setting, cases = read_listed(folder, lambda case: PreparedPair(**case))
    check_files(folder, [case.file for case in cases])
    return PairIndex(folder, setting, cases)


def load_pairs(index: PairIndex, cases: Sequence[PreparedPair]) -> list[StoredPair]:
    """Return some of a folder's cases; many are mapped from unpacked copies beside them.

    Raises `UnreadableInput` where one is damaged.
    """
    mapped = sum(case.pixels for case in cases) * BYTES_A_PIXEL > MEMORY_GB * 1e9
    return [_read(index.folder, case, mapped=mapped) for case in cases]


def _read(folder: Path, case: PreparedPair, *, mapped: bool) -> StoredPair:
    try:
        with np.load(folder / case.file) as stored:
            clean, noisy = arrays_of(folder / case.file, stored, PARTS, mapped=mapped)
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise UnreadableInput("a prepared case is damaged; delete it and prepare it again") from error
    if clean.ndim != 3 or clean.shape != noisy.shape or not clean.dtype == noisy.dtype == np.int16:
        raise UnreadableInput("a prepared case has arrays of the wrong shape; delete it and prepare it again")
    return StoredPair(case.id, clean, noisy)


def _prepare(order: Order, *, folder: Path, plan: DenoisePlan) -> None:
    """Scan one patient with and without noise, and write the slices that show the inside of the skull."""
    patient = draw(order.preset, order.index, order.role)
    protocol = replace(patient.acute, gaps_mm=(plan.apart_mm,))
    noisy, clean = render_scans(patient, (protocol, replace(protocol, noise_hu=0.0)))
    inside = noisy.truth["intracranial"].cpu().numpy()
    box = around(inside)
    pair = [visit.hu.cpu().numpy()[box].astype(np.int16) for visit in (clean, noisy)]
    about = {
        "id": patient.name,
        "patient": patient.name,
        "digest": patient.digest(),
        "noise_hu": protocol.noise_hu,
        "kernel": protocol.kernel,
        "thickness_mm": protocol.thickness_mm,
    }
    save_pair(folder / order.file, StoredPair(patient.name, pair[0], pair[1]), about)


def around(inside: BoolArray) -> tuple[slice, slice, slice]:
    """Return the box of a mask (bool, (z, y, x)), in plane with half a patch around it."""
    z, y, x = bounding_box(inside)
    rows, columns = (slice(max(part.start - MARGIN_PX, 0), part.stop + MARGIN_PX) for part in (y, x))
    return z, rows, columns


def _listed(folder: Path, order: Order) -> PreparedPair:
    with np.load(folder / order.file) as stored:
        about = json.loads(str(stored["about"]))
        pixels = int(stored["clean"].size)
    return PreparedPair(order.file, about["id"], about["patient"], order.role, pixels, about["noise_hu"])
