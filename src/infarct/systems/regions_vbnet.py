"""ASPECTS regions drawn by the cascade of VB-Nets, instead of the atlas's: prepare, predict, interpret.

Source: Cao et al. 2022 (DOI 10.1002/hbm.25845), section 2.3. Boundaries are smoothed in two ways: class probabilities
by a Gaussian (`CascadeSetting.smoothing_mm`) before each voxel takes the likeliest class, and they, not labels, are
interpolated onto the working grid. Of each region the largest piece is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy import ndimage

from infarct.errors import BadRequest
from infarct.preprocess.cascade_input import CascadeInput, CascadeSetting, atlas_map
from infarct.preprocess.head import Head
from infarct.preprocess.region_input import RegionSetting, windowed
from infarct.preprocess.segment_input import upright_grid
from infarct.runtime import Engine, PrecisionChoice, make_engine
from infarct.runtime.engine import DeviceChoice, EngineName
from infarct.systems.region_cascade import Box, Cascade, find_regions, labels_of
from infarct.types import BoolArray, Float32Array, LabelArray
from infarct.volume import Geometry, Scan, resample_mask
from infarct.weights import WeightSet, load_for

METHOD: Final = "vbnet"
SYSTEM: Final = "regions"


@dataclass(frozen=True)
class DrawerConfig:
    """What the weights say of their own use; saved with every result."""

    input: RegionSetting
    cascade: CascadeSetting
    calibrated_on: str


@dataclass(frozen=True, eq=False)
class RegionDrawer:
    """Weights on engines, ready to draw regions; ``grid`` is that of the fine network."""

    weights: WeightSet
    cascade: Cascade
    grid: RegionSetting

    @property
    def config(self) -> DrawerConfig:
        """All that decides what is drawn, beside the weights."""
        return DrawerConfig(self.grid, self.cascade.setting, str(self.weights.settings.get("trained_on", "unknown")))

    @property
    def engine(self) -> Engine:
        """One of the engines, which are all alike."""
        return self.cascade.fine


@dataclass(frozen=True, eq=False)
class DrawnRegions:
    """Region ``labels`` (uint8) and the ``brain`` as the network sees it (bool), (z, y, x) on the working grid."""

    labels: LabelArray
    brain: BoolArray


def load_drawer(
    weights: str | Path | None = None,
    *,
    device: DeviceChoice = "auto",
    precision: PrecisionChoice = "fp32",
    engine: EngineName | None = None,
    cache: Path | None = None,
    threads: int | None = None,
) -> RegionDrawer:
    """Return the system on ``weights``: a file, the name of shipped ones, or the default ones if None.

    ``threads`` is how many the processor runs, as many as there are cores if None.

    Raises `BadRequest` where the weights cannot be read, are not for this system, or do not fit device or precision.
    """
    loaded = load_for(SYSTEM, weights)
    grid, setting = settings_of(loaded.settings, loaded.network_config)

    def made(stage: str) -> Engine:
        part = loaded.part(stage)
        return make_engine(part, device=device, precision=precision, engine=engine, cache=cache, threads=threads)

    return RegionDrawer(loaded, Cascade(made("coarse"), made("fine"), setting), grid)


def settings_of(settings: Mapping[str, Any], network_config: Mapping[str, Any]) -> tuple[RegionSetting, CascadeSetting]:
    """Return the settings that are stored with weights.

    Raises `BadRequest` where they are not complete, or do not fit the networks.
    """
    try:
        grid = RegionSetting(**_with_tuples(settings["input"]))
        setting = CascadeSetting(**_with_tuples(settings["cascade"]))
        channels = int(network_config["in_channels"]), int(network_config["out_channels"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadRequest(f"the weights lack a setting or hold a wrong one ({error})") from error
    if channels != (setting.in_channels, setting.out_channels):
        raise BadRequest("the settings of the weights do not fit their networks")
    return grid, setting


def _with_tuples(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}


def draw_regions(scan: Scan, head: Head, drawer: RegionDrawer) -> DrawnRegions:
    """Return the regions of a prepared head. Raises `StepFailed` where the network finds none."""
    given, grid = prepare(scan, head, drawer)
    found = find_regions(drawer.cascade, given)
    labels = labels_on(head, found.probabilities, found.box, grid)
    return DrawnRegions(largest_pieces(labels), resample_mask(found.brain, grid, head.geometry, transform=np.eye(4)))


def prepare(scan: Scan, head: Head, drawer: RegionDrawer) -> tuple[CascadeInput, Geometry]:
    """Return the input of the cascade and its grid; made from the scan itself only where pixels are that fine.

    Where the registration is not reliable the coordinates are not known, which training has shown to the networks.
    """
    setting = drawer.grid
    grid = upright_grid(head.geometry, head.brain, head.midplane, setting.spacing_mm_zyx, margin_mm=setting.margin_mm)
    hu, source = (scan.hu, scan.geometry) if setting.from_scan else (head.hu, head.geometry)
    registration = head.registration
    given = CascadeInput(
        image=windowed(hu, source, grid, setting) + np.float32(1),
        inside=resample_mask(head.brain, head.geometry, grid, transform=np.eye(4)),
        to_atlas=atlas_map(grid, registration.scan_to_atlas) if registration.is_reliable else None,
        spacing_mm_zyx=grid.spacing_mm_zyx,
    )
    return given, grid


def labels_on(head: Head, probabilities: Float32Array, box: Box, grid: Geometry) -> LabelArray:
    """Return labels (uint8, (z, y, x)) on the working grid, inside the skull, of class probabilities on ``grid``."""
    labels = np.zeros(head.geometry.shape_zyx, dtype=np.uint8)
    index = np.argwhere(head.brain)
    at = grid.world_to_index(head.geometry.index_to_world(index))
    low, high = (np.array([getattr(part, end) for part in box]) for end in ("start", "stop"))
    near = ((at >= low - 0.5) & (at <= high - 0.5)).all(axis=1)
    places = at[near].T - low[:, None]
    carried = np.stack([ndimage.map_coordinates(part[box], places, order=1, mode="nearest") for part in probabilities])
    z, y, x = index[near].T
    left = head.midplane.distance_mm(head.geometry)[z, y, x] > 0
    labels[z, y, x] = labels_of(carried, left)
    return labels


def largest_pieces(labels: LabelArray) -> LabelArray:
    """Return labels (uint8, (z, y, x)) of which each has only its largest piece; pieces touch at faces or corners."""
    kept = np.zeros_like(labels)
    touching = np.ones((3, 3, 3), dtype=bool)
    for value, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        pieces, count = ndimage.label(labels[box] == value, touching)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        kept[box][pieces == 1 + int(sizes.argmax())] = value
    return kept
