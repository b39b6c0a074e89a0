"""Tiles over cohorts: by which methods, what is asked of each scan, and what one scan gives.

A head is prepared once and its picture made once for all methods, so that all judge the same tiles.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from infarct import __version__
from infarct.cohorts import Case, LabelledScan
from infarct.errors import BadRequest, StepFailed
from infarct.evaluation.gallery import case_picture
from infarct.evaluation.localize import (
    LOCALIZE_FORM,
    Judged,
    LocalizeAbout,
    LocalizeResults,
    TileTruth,
    evaluate_tiles,
)
from infarct.evaluation.localize_report import write_localize_reports
from infarct.evaluation.named_cohorts import Named, open_named, tasks_of
from infarct.evaluation.report import report_folders
from infarct.evaluation.run import Evaluated, Evaluation, Task, Work
from infarct.evaluation.segment import Prediction, Truth
from infarct.measure.extent import longest_mm
from infarct.pipeline import prepare_head
from infarct.preprocess.head import Head
from infarct.preprocess.tile_input import (
    EVERYDAY,
    Places,
    TilePicture,
    TileSetting,
    make_picture,
    slabs_of,
    tile_grid,
    tile_shares,
)
from infarct.preprocess.tile_picks import INFARCT_SHARE, balanced_tiles, mask_on_picture
from infarct.runtime.engine import DeviceChoice, PrecisionChoice
from infarct.systems.asymmetry import AsymmetryConfig, side_difference
from infarct.systems.localize import judge, load_localizer
from infarct.types import BoolArray, Float32Array, Float64Array
from infarct.volume import Scan, resample, resample_mask, volume_ml


@dataclass(frozen=True, eq=False)
class PreparedTiles:
    """A scan whose tiles can be judged."""

    scan: Scan
    head: Head
    picture: TilePicture


@dataclass(frozen=True, eq=False)
class TileMethod:
    """A way to judge tiles: ``config`` is all that decides its scores, ``setting`` how it wants them cut, if it cares.

    ``threshold`` is where it calls balanced tiles, ``whole_threshold`` where it marks tiles of whole slices.
    """

    config: Mapping[str, Any]
    judge: Callable[[PreparedTiles, Places], Float64Array]
    threshold: float
    whole_threshold: float
    setting: TileSetting | None = None


@dataclass(frozen=True)
class LocalizeOrder:
    """What is to be evaluated: ``cohorts`` as given, the first ``first`` scans of each, by which methods.

    ``weights`` are those of the network, the shipped ones if None; ``device`` and ``precision`` say how it runs. Of
    cohorts that are parted, ``split`` is the part wanted. The first method that cares says how tiles are cut.
    """

    cohorts: tuple[str, ...]
    methods: tuple[str, ...] = ("vgg16",)
    weights: str | Path | None = None
    device: DeviceChoice = "auto"
    precision: PrecisionChoice = "fp32"
    first: int | None = None
    split: str | None = None


def _asymmetry(order: LocalizeOrder, threads: int | None) -> TileMethod:
    """Return the baseline: how many HU a tile is darker than its mirror place, called where its regions and marked
    where its clusters are."""
    del threads
    if order.methods == ("asymmetry",) and order.weights is not None:
        raise BadRequest("the baseline takes no weights")
    config = AsymmetryConfig()
    return TileMethod(asdict(config), partial(darker_hu, config=config), config.affected_hu, config.cluster_hu)


def _network(order: LocalizeOrder, threads: int | None) -> TileMethod:
    localizer = load_localizer(order.weights, device=order.device, precision=order.precision, threads=threads)
    used, engine, config = localizer.weights, localizer.engine, localizer.config
    return TileMethod(
        config={
            "weights": {"name": used.name, "sha256": used.sha256},
            "localizer": asdict(config),
            "engine": {name: getattr(engine, name) for name in ("name", "version", "precision", "device")},
        },
        judge=lambda prepared, places: judge(prepared.picture, places, localizer),
        threshold=config.threshold,
        whole_threshold=config.whole_threshold,
        setting=config.input,
    )


METHODS: Final[dict[str, Callable[[LocalizeOrder, int | None], TileMethod]]] = {
    "vgg16": _network,
    "asymmetry": _asymmetry,
}
"""The methods by name; each is made ready once a process, on so many threads (None: all cores)."""


def localize_evaluation(order: LocalizeOrder, *, jobs: int) -> Evaluation[LocalizeResults]:
    """Return the evaluation that an order names. Raises `BadRequest` where a cohort or the weights do not open."""
    cohorts, methods = _cohorts_of(order), open_methods(order)
    work = localize_work(cohorts, methods)
    return Evaluation(
        tasks=tasks_of(cohorts),
        settings=settings_of(order, cohorts, methods),
        form=LOCALIZE_FORM,
        begin=partial(begin_localize, order) if jobs > 1 else lambda: work,
        write_report=partial(write_localize_reports, methods=order.methods),
    )


def begin_localize(order: LocalizeOrder) -> Work[LocalizeResults]:
    """Make methods ready and open the cohorts in this process, one among others; return what evaluates one scan."""
    return localize_work(_cohorts_of(order), open_methods(order, threads=1))


def open_methods(order: LocalizeOrder, *, threads: int | None = None) -> dict[str, TileMethod]:
    """Return the methods of an order, made ready on ``threads`` threads, all cores if None.

    Raises `BadRequest` for an unknown name and one given twice, and where weights do not load.
    """
    if not order.methods or not set(order.methods) <= set(METHODS):
        raise BadRequest(f"there is no such method; methods are {', '.join(METHODS)}")
    if len(set(order.methods)) < len(order.methods):
        raise BadRequest("a method is named twice")
    return {name: METHODS[name](order, threads) for name in order.methods}


def settings_of(order: LocalizeOrder, cohorts: Sequence[Named], methods: Mapping[str, TileMethod]) -> Mapping[str, Any]:
    """Return what decides the results: two evaluations that agree in it may share one record.

    How many of the first scans are wanted is left out, so that a later run may go on with more.
    """
    return {
        "system": "localize",
        "methods": {name: dict(method.config) for name, method in methods.items()},
        "tiles": asdict(setting_of(methods)),
        "split": order.split,
        "cohorts": [one.identity for one in cohorts],
        "infarct_version": __version__,
    }


def setting_of(methods: Mapping[str, TileMethod]) -> TileSetting:
    """Return how tiles are cut for all methods: as the first wants it that cares."""
    return next((method.setting for method in methods.values() if method.setting is not None), EVERYDAY)


def localize_work(cohorts: Sequence[Named], methods: Mapping[str, TileMethod]) -> Work[LocalizeResults]:
    """Return what evaluates one scan of ``cohorts`` by ``methods``."""

    def work(task: Task) -> Evaluated[LocalizeResults]:
        case = cohorts[task.cohort].cases[task.index]
        return evaluate_labelled(case, case.load(), methods, task=task)

    return work


def evaluate_labelled(
    case: Case, labelled: LabelledScan, methods: Mapping[str, TileMethod], *, task: Task
) -> Evaluated[LocalizeResults]:
    """Return the results and the pictures of one scan.

    Raises `StepFailed` where nobody labelled the lesion, and whatever a method raises.
    """
    if labelled.lesion is None:
        raise StepFailed("the case has no lesion mask, so there is nothing to compare with")
    begin = time.perf_counter()
    prepared = prepare_tiles(labelled.scan, setting_of(methods))
    shared = time.perf_counter() - begin
    truth = tile_truth(labelled, prepared.picture)
    about = about_of(case, labelled, labelled.lesion, task)
    folders, outlined = report_folders(list(methods)), Truth(labelled.lesion, brain=labelled.intracranial)
    results, pictures = {}, {}
    for name, method in methods.items():
        judged = judge_tiles(prepared, truth, method, shared_s=shared)
        results[name] = evaluate_tiles(judged, truth, about)
        marked = marked_mask(prepared, truth.places[judged.marked])
        pictures[folders[name]] = case_picture(labelled.scan, Prediction(acute=marked), outlined)
    return Evaluated(LocalizeResults(results), pictures)


def prepare_tiles(scan: Scan, setting: TileSetting) -> PreparedTiles:
    """Return a scan with its head prepared and its picture made.

    Raises `StepFailed` where none of the brain is in the scan, and what preparing raises.
    """
    head = prepare_head(scan)
    brain = resample_mask(head.brain, head.geometry, scan.geometry)
    if not brain.any():
        raise StepFailed("there is no brain to cut tiles from")
    picture = make_picture(scan.hu, scan.geometry, brain=brain, plane=head.midplane, setting=setting)
    return PreparedTiles(scan, head, picture)


def tile_truth(labelled: LabelledScan, picture: TilePicture) -> TileTruth:
    """Return what is true of the tiles of a scan whose lesion is labelled.

    Normal tiles hold neither infarct, old or new, nor blood, as far as these were labelled.
    """
    geometry, setting, shape = labelled.scan.geometry, picture.setting, labelled.scan.hu.shape
    acute = np.zeros(shape, dtype=bool) if labelled.lesion is None else labelled.lesion
    ill = acute.copy()
    for other in (labelled.old, None if labelled.hemorrhage is None else labelled.hemorrhage > 0):
        ill |= False if other is None else other
    infarct, lesions = (mask_on_picture(mask, geometry, setting) for mask in (acute, ill))
    grid = tile_grid(picture)
    balanced = balanced_tiles(picture, infarct, lesions)
    old = None if labelled.old is None else mask_on_picture(labelled.old, geometry, setting)
    shares = tile_shares(infarct, grid, picture.tile_px)
    return TileTruth(
        places=grid,
        infarct=shares >= INFARCT_SHARE,
        touching=shares > 0,
        old=None if old is None else tile_shares(old, grid, picture.tile_px) > 0,
        balanced=np.concatenate([balanced.infarct, balanced.normal]),
        balanced_infarct=np.arange(len(balanced.infarct) + len(balanced.normal)) < len(balanced.infarct),
        tile_px=picture.tile_px,
    )


def judge_tiles(prepared: PreparedTiles, truth: TileTruth, method: TileMethod, *, shared_s: float) -> Judged:
    """Return a method's scores of the grid and of the balanced tiles.

    Its time is that of both, with the ``shared_s`` seconds that preparing the head took.
    """
    begin = time.perf_counter()
    scores = method.judge(prepared, np.concatenate([truth.places, truth.balanced]))
    seconds = shared_s + time.perf_counter() - begin
    grid, balanced = np.split(scores, [len(truth.places)])
    return Judged(grid, balanced, method.threshold, method.whole_threshold, seconds)


def darker_hu(prepared: PreparedTiles, places: Places, *, config: AsymmetryConfig) -> Float64Array:
    """Return by how many HU each tile (n,) is darker than its mirror place, on the mean."""
    head, picture = prepared.head, prepared.picture
    difference = resample(side_difference(head, config), head.geometry, picture.geometry, fill=0.0)
    return -tile_means(difference, places, picture.tile_px)


def tile_means(values: Float32Array, places: Places, tile_px: int) -> Float64Array:
    """Return the mean of ``values`` (float32, (z, y, x)) in each tile, (n,); tiles lie wholly on the grid."""
    sums = np.zeros((len(values), values.shape[1] + 1, values.shape[2] + 1))
    sums[:, 1:, 1:] = values.cumsum(axis=1, dtype=np.float64).cumsum(axis=2)
    k, top, left = places.T
    bottom, right = top + tile_px, left + tile_px
    added = sums[k, bottom, right] - sums[k, top, right] - sums[k, bottom, left] + sums[k, top, left]
    return np.asarray(added / tile_px**2, dtype=np.float64)


def marked_mask(prepared: PreparedTiles, places: Places) -> BoolArray:
    """Return the tiles at ``places`` as a mask (bool, (z, y, x)) on the scan's geometry."""
    picture, mask = prepared.picture, np.zeros(prepared.scan.hu.shape, dtype=bool)
    slabs, side = slabs_of(prepared.scan.geometry, picture.setting.slab_mm), picture.tile_px
    for k, row, column in places:
        mask[slabs[k], row : row + side, column : column + side] = True
    return mask


def about_of(case: Case, labelled: LabelledScan, lesion: BoolArray, task: Task) -> LocalizeAbout:
    """Return what is known of a scan; ``lesion`` (bool, (z, y, x)) is its infarct."""
    scan, told = labelled.scan, case.stratum
    thickness_mm = scan.acquisition.slice_thickness_mm
    ill = bool(lesion.any())
    return LocalizeAbout(
        id=case.key,
        patient=case.patient_key,
        group=task.group,
        ill=ill,
        lesion_ml=volume_ml(lesion, scan.geometry),
        lesion_mm=longest_mm(lesion, scan.geometry) if ill else None,
        onset_h=case.clinical.onset_h,
        detectability=labelled.detectability,
        region=told.get("region"),
        area=told.get("area"),
        size=told.get("size"),
        kvp=scan.acquisition.kvp,
        thickness_mm=float(scan.geometry.spacing_mm_zyx[0]) if thickness_mm is None else thickness_mm,
        fingerprint=task.fingerprint,  # from before the files were read, so that a change meanwhile is seen next time
    )


def _cohorts_of(order: LocalizeOrder) -> tuple[Named, ...]:
    return open_named(order.cohorts, first=order.first, split=order.split)
