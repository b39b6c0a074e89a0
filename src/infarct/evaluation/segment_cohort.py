"""The segmentation over cohorts: which scans there are, what is asked of each, and what one scan gives."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from infarct import __version__
from infarct.cohorts import Case, LabelledScan
from infarct.errors import StepFailed
from infarct.evaluation.gallery import case_picture
from infarct.evaluation.named_cohorts import Named, open_named, tasks_of
from infarct.evaluation.run import ONLY_REPORT, Evaluated, Evaluation, Task, Work
from infarct.evaluation.segment import CaseAbout, CaseResult, Prediction, Truth, evaluate_case
from infarct.evaluation.segment_form import SEGMENT_FORM
from infarct.evaluation.segment_report import write_segment_report
from infarct.evaluation.thick import thickened
from infarct.pipeline import prepare_head
from infarct.runtime.engine import DeviceChoice, PrecisionChoice
from infarct.systems.segment import Segmenter, drawn_on, load_segmenter, segment
from infarct.volume import Scan, resample_mask


@dataclass(frozen=True)
class SegmentOrder:
    """What is to be evaluated: ``cohorts`` as given, the first ``first`` scans of each, weights and how they run.

    ``slice_mm`` averages thin slices to that thickness first; of cohorts that are parted, ``split`` is the part wanted.
    """

    cohorts: tuple[str, ...]
    weights: str | Path | None = None
    device: DeviceChoice = "auto"
    precision: PrecisionChoice = "fp32"
    first: int | None = None
    slice_mm: float | None = None
    split: str | None = None


PredictCase = Callable[[Scan], Prediction]


def cohorts_of(order: SegmentOrder) -> tuple[Named, ...]:
    """Return the cohorts of an order. Raises `BadRequest` where one cannot be opened or two have one name."""
    return open_named(order.cohorts, first=order.first, split=order.split, slice_mm=order.slice_mm)


def settings_of(order: SegmentOrder, cohorts: Sequence[Named], segmenter: Segmenter) -> Mapping[str, Any]:
    """Return what decides the results: two evaluations that agree in it may share one record.

    How many of the first scans are wanted is left out, so that a later run may go on with more.
    """
    used, engine = segmenter.weights, segmenter.engine
    return {
        "system": used.system,
        "weights": {"name": used.name, "sha256": used.sha256},
        "config": asdict(segmenter.config),
        "engine": {name: getattr(engine, name) for name in ("name", "version", "precision", "device")},
        "slice_mm": order.slice_mm,
        "split": order.split,
        "cohorts": [one.identity for one in cohorts],
        "infarct_version": __version__,
    }


def segment_evaluation(order: SegmentOrder, *, jobs: int) -> Evaluation[CaseResult]:
    """Return the evaluation that an order names. Raises `BadRequest` where a cohort or the weights cannot be opened."""
    cohorts, segmenter = cohorts_of(order), open_segmenter(order)
    work = segment_work(cohorts, segmenter, slice_mm=order.slice_mm)
    return Evaluation(
        tasks=tasks_of(cohorts),
        settings=settings_of(order, cohorts, segmenter),
        form=SEGMENT_FORM,
        begin=partial(begin_segment, order) if jobs > 1 else lambda: work,
        write_report=write_segment_report,
    )


def begin_segment(order: SegmentOrder) -> Work[CaseResult]:
    """Load the system and open the cohorts in this process, one among others; return what evaluates one scan."""
    return segment_work(cohorts_of(order), open_segmenter(order, threads=1), slice_mm=order.slice_mm)


def open_segmenter(order: SegmentOrder, *, threads: int | None = None) -> Segmenter:
    """Return the system of an order on ``threads`` threads, all cores if None.

    Raises `BadRequest` where its weights do not load.
    """
    return load_segmenter(order.weights, device=order.device, precision=order.precision, threads=threads)


def segment_work(cohorts: Sequence[Named], segmenter: Segmenter, *, slice_mm: float | None = None) -> Work[CaseResult]:
    """Return what evaluates one scan of ``cohorts`` with ``segmenter``."""

    def work(task: Task) -> Evaluated[CaseResult]:
        case = cohorts[task.cohort].cases[task.index]
        labelled = case.load()
        if slice_mm is not None:
            labelled = thickened(labelled, slice_mm)
        found = evaluate_labelled(case, labelled, lambda scan: predict_scan(scan, segmenter), group=task.group)
        # The task's: taken before the files were read, so that a change meanwhile is seen the next time.
        about = replace(found.result.about, fingerprint=task.fingerprint)
        return Evaluated(replace(found.result, about=about), found.pictures)

    return work


def predict_scan(scan: Scan, segmenter: Segmenter) -> Prediction:
    """Return what `analyze` would answer about a scan, on the scan's own geometry."""
    begin = time.perf_counter()
    head = prepare_head(scan)
    result = segment(scan, head, segmenter)
    drawn = drawn_on(scan.geometry, result, head)
    return Prediction(
        acute=drawn.infarct,
        old=None if result.old_infarct is None else drawn.old_infarct,
        probability=drawn.probability,
        brain=resample_mask(head.brain, head.geometry, scan.geometry),
        seconds=time.perf_counter() - begin,
    )


def evaluate_labelled(case: Case, labelled: LabelledScan, predict: PredictCase, *, group: str) -> Evaluated[CaseResult]:
    """Return the result and the picture of one case; ``predict`` answers on the scan's geometry.

    Raises `StepFailed` where nobody labelled the lesion, and whatever ``predict`` raises.
    """
    if labelled.lesion is None:
        raise StepFailed("the case has no lesion mask, so there is nothing to compare with")
    prediction = predict(labelled.scan)
    brain = prediction.brain if labelled.intracranial is None else labelled.intracranial
    truth = Truth(labelled.lesion, labelled.old, brain)
    onset_h = case.clinical.onset_h
    about = CaseAbout(
        case.key,
        case.patient_key,
        group,
        case.target,
        onset_h=math.nan if onset_h is None else onset_h,
        detectability=math.nan if labelled.detectability is None else labelled.detectability,
    )
    result = evaluate_case(prediction, truth, labelled.scan.geometry, about)
    return Evaluated(result, {ONLY_REPORT: case_picture(labelled.scan, prediction, truth)})
