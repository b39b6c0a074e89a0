"""Follow-up scans over cohorts: by which weights, what is asked of each scan, and what one scan gives.

A head is prepared and its blood found once for all networks. The answer is that of ``infarct analyze`` with these
weights alone: old infarcts come from the comparison of the two sides.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from infarct import __version__
from infarct.cohorts import Case, LabelledScan
from infarct.errors import BadRequest, StepFailed
from infarct.evaluation.named_cohorts import Named, open_named, tasks_of
from infarct.evaluation.run import ONLY_REPORT, Evaluated, Evaluation, Task, Work
from infarct.evaluation.volumetry import (
    FOUND_KINDS,
    METHODS,
    SINGLE,
    THREE,
    UNET,
    VOLUMETRY_FORM,
    BloodResult,
    FollowupAbout,
    FollowupResults,
    VolumeResult,
    crossed,
    labelled_blood,
    with_transformation,
)
from infarct.evaluation.volumetry_pictures import followup_picture
from infarct.evaluation.volumetry_report import write_volumetry_report
from infarct.findings import FollowupInfarct
from infarct.measure.overlap import count
from infarct.measure.severity import infarct_mean_hu
from infarct.pipeline import prepare_head
from infarct.preprocess.followup_region import without_fluid
from infarct.preprocess.head import Head
from infarct.preprocess.patch_input import PatchPicture, on_picture
from infarct.runtime import Engine
from infarct.runtime.engine import DeviceChoice, PrecisionChoice
from infarct.systems import hemorrhage, volumetry
from infarct.systems.asymmetry import compare_sides
from infarct.systems.hemorrhage import (
    HemorrhageDetector,
    HemorrhageResult,
    blood_on_scan,
    find_by_rule,
    find_hemorrhage,
    load_hemorrhage,
)
from infarct.systems.volumetry import (
    Volumetry,
    VolumetryResult,
    blood_of_infarct,
    config_of,
    label_map,
    load_volumetry,
    measure_followup,
)
from infarct.types import BoolArray, LabelArray
from infarct.volume import Scan, volume_ml
from infarct.weights import WeightSet, load_weights, shipped


@dataclass(frozen=True)
class VolumetryOrder:
    """What is to be evaluated: ``cohorts`` as given, the first ``first`` scans of each, and by which ``weights``.

    These may be the three networks for infarcts, the single one, the 3D one, and one for blood, each at most once; see
    `open_systems` for what stands in for those that are missing. ``device`` and ``precision`` say how they run. Of
    cohorts that are parted, ``split`` is the part wanted. Of phantoms at follow-up only the first ``per_class`` of each
    class of infarcts are taken.
    """

    cohorts: tuple[str, ...]
    weights: tuple[str | Path, ...] = ()
    device: DeviceChoice = "auto"
    precision: PrecisionChoice = "fp32"
    first: int | None = None
    split: str | None = None
    per_class: int | None = None


@dataclass(frozen=True, eq=False)
class FollowupSystems:
    """The networks for infarcts by their method, and that for blood; None: blood is found by density and place."""

    by_method: Mapping[str, Volumetry]
    detector: HemorrhageDetector | None


@dataclass(frozen=True, eq=False)
class Found:
    """What the systems answered about a scan; ``seconds`` by method are those of the whole scan."""

    blood: HemorrhageResult
    by_method: Mapping[str, VolumetryResult]
    seconds: Mapping[str, float]


def volumetry_evaluation(order: VolumetryOrder, *, jobs: int) -> Evaluation[FollowupResults]:
    """Return the evaluation that an order names. Raises `BadRequest` where a cohort or the weights do not open."""
    cohorts, systems = _cohorts_of(order), open_systems(order)
    work = volumetry_work(cohorts, systems)
    return Evaluation(
        tasks=tasks_of(cohorts),
        settings=settings_of(order, cohorts, systems),
        form=VOLUMETRY_FORM,
        begin=partial(begin_volumetry, order) if jobs > 1 else lambda: work,
        write_report=write_volumetry_report,
    )


def begin_volumetry(order: VolumetryOrder) -> Work[FollowupResults]:
    """Load the systems and open the cohorts in this process, one among others; return what evaluates one scan."""
    return volumetry_work(_cohorts_of(order), open_systems(order, threads=1))


def open_systems(order: VolumetryOrder, *, threads: int | None = None) -> FollowupSystems:
    """Return the systems of an order on ``threads`` threads, all cores if None.

    Without weights for infarcts the shipped ones are taken. Without weights for blood the shipped ones are, and where
    there are none the rule by density and place, as in ``infarct analyze``.

    Raises `BadRequest` where weights do not load, are for another system, or are two of one kind.
    """
    how: dict[str, Any] = {"device": order.device, "precision": order.precision, "threads": threads}
    given = weights_by_kind(order.weights)
    blood = given.pop(hemorrhage.SYSTEM, None)
    bleeding = blood is not None or any(entry.default for entry in shipped(hemorrhage.SYSTEM))
    methods: dict[str, str | Path | None] = {name: given[name] for name in METHODS if name in given}
    return FollowupSystems(
        {name: load_volumetry(path, **how) for name, path in (methods or {THREE: None}).items()},
        load_hemorrhage(blood, **how) if bleeding else None,
    )


def weights_by_kind(weights: Sequence[str | Path]) -> dict[str, str | Path]:
    """Return weights by what they are: one of `METHODS` for infarcts, "hemorrhage" for blood.

    Raises `BadRequest` where they do not load, are for another system, or are two of one kind.
    """
    found: dict[str, str | Path] = {}
    for source in weights:
        kind = _kind(load_weights(source))
        if kind in found:
            raise BadRequest(f"--weights has two weights for {kind}")
        found[kind] = source
    return found


def _kind(weights: WeightSet) -> str:
    if weights.system == hemorrhage.SYSTEM:
        return hemorrhage.SYSTEM
    if weights.system != volumetry.SYSTEM:
        raise BadRequest(f"the weights are for {weights.system[:40]!r}, not for volumetry or hemorrhage")
    config = config_of(weights.settings, weights.network_config)
    if config.tile_zyx is not None:
        return UNET
    return SINGLE if config.outputs == volumetry.SINGLE else THREE


def settings_of(order: VolumetryOrder, cohorts: Sequence[Named], systems: FollowupSystems) -> Mapping[str, Any]:
    """Return what decides the results: two evaluations that agree in it may share one record.

    How many scans are wanted is left out, so that a later run may go on with more.
    """
    detector = systems.detector
    return {
        "system": volumetry.SYSTEM,
        "methods": {name: _told(one.weights, one.engine, one.config) for name, one in systems.by_method.items()},
        "hemorrhage": hemorrhage.RULE
        if detector is None
        else _told(detector.weights, detector.engine, detector.config),
        "split": order.split,
        "cohorts": [one.identity for one in cohorts],
        "infarct_version": __version__,
    }


def _told(used: WeightSet, engine: Engine, config: Any) -> dict[str, Any]:
    return {
        "weights": {"name": used.name, "sha256": used.sha256},
        "config": asdict(config),
        "engine": {name: getattr(engine, name) for name in ("name", "version", "precision", "device")},
    }


def volumetry_work(cohorts: Sequence[Named], systems: FollowupSystems) -> Work[FollowupResults]:
    """Return what evaluates one scan of ``cohorts`` by ``systems``."""

    def work(task: Task) -> Evaluated[FollowupResults]:
        case = cohorts[task.cohort].cases[task.index]
        return evaluate_labelled(case, case.load(), systems, task=task)

    return work


def evaluate_labelled(
    case: Case, labelled: LabelledScan, systems: FollowupSystems, *, task: Task
) -> Evaluated[FollowupResults]:
    """Return the results and the picture of one scan.

    Raises `StepFailed` where nobody labelled the lesion, and whatever a system raises.
    """
    if labelled.lesion is None:
        raise StepFailed("the case has no lesion mask, so there is nothing to compare with")
    scan = labelled.scan
    found = find_followup(scan, systems)
    truth = true_infarct(labelled.lesion, labelled)
    first = next(iter(found.by_method.values()))
    labels = {name: label_map(result) for name, result in found.by_method.items()}
    results = FollowupResults(
        about=about_of(case, labelled, truth, first.marks.picture, task),
        blood=blood_result(found.blood, labelled),
        by_method={
            name: VolumeResult(
                found_ml=result.followup.volume_ml,
                counts=count(labels[name] > 0, truth),
                by_network_ml=_by_network(systems.by_method[name], result),
                seconds=found.seconds[name],
            )
            for name, result in found.by_method.items()
        },
        midline_mm=_midline(first.followup),
        true_midline_mm=labelled.midline_shift_mm,
    )
    picture = followup_picture(scan, next(iter(labels.values())), truth, labelled.intracranial)
    return Evaluated(results, {ONLY_REPORT: picture})


def _midline(followup: FollowupInfarct) -> float | None:
    """Return the shift that was told, positive to the patient's left."""
    shift_mm = followup.midline_shift_mm
    return -shift_mm if shift_mm is not None and followup.midline_shift_side == "right" else shift_mm


def find_followup(scan: Scan, systems: FollowupSystems) -> Found:
    """Return what the systems answer about a scan.

    Raises `NotHeadCT` where no brain can be found, and `StepFailed` where part of the skull is missing or open.
    """
    begin = time.perf_counter()
    head = prepare_head(scan)
    blood = _blood(scan, head, systems.detector)
    old = compare_sides(head).old_infarct_mask
    shared = time.perf_counter() - begin
    by_method, seconds = {}, {}
    for name, system in systems.by_method.items():
        begin = time.perf_counter()
        by_method[name] = measure_followup(scan, head, system, blood, old=old)
        seconds[name] = shared + time.perf_counter() - begin
    return Found(blood, by_method, seconds)


def _blood(scan: Scan, head: Head, detector: HemorrhageDetector | None) -> HemorrhageResult:
    return find_by_rule(head) if detector is None else find_hemorrhage(scan, head, detector)


def _by_network(system: Volumetry, result: VolumetryResult) -> dict[str, float]:
    masks, geometry = result.marks.masks, result.marks.picture.geometry
    return {name: volume_ml(mask, geometry) for name, mask in zip(system.config.outputs, masks, strict=True)}


def true_infarct(lesion: BoolArray, labelled: LabelledScan) -> BoolArray:
    """Return the true infarct (bool, (z, y, x)) with the parenchymal blood in it and beside it, on the scan.

    Blood counts as in the answer (`systems.volumetry.blood_of_infarct`); other blood in the ``lesion`` stays its part.
    """
    if labelled.hemorrhage is None or not labelled.hemorrhage.any():
        return lesion
    types = with_transformation(labelled.hemorrhage)
    return lesion | blood_of_infarct(types, lesion, labelled.scan.geometry)


def about_of(case: Case, labelled: LabelledScan, truth: BoolArray, picture: PatchPicture, task: Task) -> FollowupAbout:
    """Return what is known of a scan whose true infarct is ``truth`` (bool, (z, y, x)).

    The infarct's density is measured in the ``picture``, as it was when the networks' heads were sorted into classes.
    """
    geometry, blood = labelled.scan.geometry, labelled_blood(labelled.hemorrhage, labelled.scan.hu.shape)
    tissue = picture.brain & without_fluid(picture.hu, picture.brain, picture.geometry)
    counted = on_picture(picture, truth) & tissue
    mean_hu = infarct_mean_hu(picture.hu, counted, on_picture(picture, blood))
    return FollowupAbout(
        id=case.key,
        patient=case.patient_key,
        group=task.group,
        truth_ml=volume_ml(truth, geometry),
        mean_hu=None if np.isnan(mean_hu) else mean_hu,
        blood_ml=None if labelled.hemorrhage is None else volume_ml(blood, geometry),
        onset_h=case.clinical.onset_h,
        mrs90=case.clinical.mrs90,
        fingerprint=task.fingerprint,  # from before the files were read, so that a change meanwhile is seen next time
    )


def blood_result(found: HemorrhageResult, labelled: LabelledScan) -> BloodResult:
    """Return what was told of the blood of a scan, against its truth where that was labelled."""
    told = BloodResult(
        method=found.hemorrhage.method,
        suspected=found.hemorrhage.suspected,
        found_ml=found.hemorrhage.volume_ml,
        probability=found.hemorrhage.probability,
    )
    if labelled.hemorrhage is None:
        return told
    types = types_on_scan(found, labelled.scan)
    return replace(
        told,
        counts=count(types > 0, labelled.hemorrhage > 0),
        crossed_ml=crossed(labelled.hemorrhage, types, labelled.scan.geometry),
    )


def types_on_scan(found: HemorrhageResult, scan: Scan) -> LabelArray:
    """Return the types of the blood that was found (uint8, (z, y, x)) on the scan's own slices and pixels."""
    types = np.zeros(scan.hu.shape, dtype=np.uint8)
    for label in FOUND_KINDS.values():
        of_type = found.types == label
        if label and of_type.any():
            types[blood_on_scan(replace(found, mask=of_type), scan.geometry)] = label
    return types


def _cohorts_of(order: VolumetryOrder) -> tuple[Named, ...]:
    return open_named(order.cohorts, first=order.first, split=order.split, per_class=order.per_class)
