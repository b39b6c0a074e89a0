"""ASPECTS over cohorts: by which method, what is asked of each scan, and what one scan gives."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from infarct import __version__
from infarct.anatomy import Side
from infarct.cohorts import Case, LabelledScan
from infarct.errors import BadRequest, StepFailed
from infarct.evaluation.aspects import ASPECTS_FORM, Answer, AspectsAbout, AspectsResult, evaluate_regions
from infarct.evaluation.aspects_gallery import aspects_picture
from infarct.evaluation.aspects_report import write_aspects_report
from infarct.evaluation.named_cohorts import Named, open_named, tasks_of
from infarct.evaluation.run import Evaluated, Evaluation, Task, Work
from infarct.findings import Aspects
from infarct.pipeline import prepare_head
from infarct.preprocess.head import Head
from infarct.runtime.engine import DeviceChoice, PrecisionChoice
from infarct.systems.aspects import load_scorer, score_head
from infarct.systems.asymmetry import AsymmetryConfig, compare_sides
from infarct.volume import Scan, resample_labels


@dataclass(frozen=True, eq=False)
class Method:
    """A way to score a head: ``config`` is all that decides its answers, ``score`` takes the scan that the head was
    made of and the side to be scored too, None where the method has to choose it."""

    config: Mapping[str, Any]
    score: Callable[[Scan, Head, Side | None], Aspects]


@dataclass(frozen=True)
class AspectsOrder:
    """What is to be evaluated: ``cohorts`` as given, the first ``first`` scans of each, by which method.

    ``weights`` are those of a trained method, the shipped ones if None; ``device`` and ``precision`` say how it runs.
    ``side_known`` tells the method the side of the stroke; of cohorts that are parted, ``split`` is the part wanted.
    """

    cohorts: tuple[str, ...]
    method: str = "asymmetry"
    weights: str | Path | None = None
    device: DeviceChoice = "auto"
    precision: PrecisionChoice = "fp32"
    first: int | None = None
    split: str | None = None
    side_known: bool = False


def _asymmetry(order: AspectsOrder, threads: int | None) -> Method:
    del threads
    if order.weights is not None:
        raise BadRequest("the baseline takes no weights")
    config = AsymmetryConfig()
    return Method(asdict(config), lambda _, head, side: compare_sides(head, config, symptomatic_side=side).aspects)


def _da_net(order: AspectsOrder, threads: int | None) -> Method:
    scorer = load_scorer(order.weights, device=order.device, precision=order.precision, threads=threads)

    def score(scan: Scan, head: Head, side: Side | None) -> Aspects:
        old = compare_sides(head).old_infarct_mask
        return score_head(scan, head, scorer, old=old, symptomatic_side=side).aspects

    config = {
        "weights": {"name": scorer.weights.name, "sha256": scorer.weights.sha256},
        "scorer": asdict(scorer.config),
        "engine": {name: getattr(scorer.engine, name) for name in ("name", "version", "precision", "device")},
    }
    return Method(config, score)


METHODS: Final[dict[str, Callable[[AspectsOrder, int | None], Method]]] = {"asymmetry": _asymmetry, "da_net": _da_net}
"""The methods by name; each is made ready once a process, on so many threads (None: all cores)."""


def aspects_evaluation(order: AspectsOrder, *, jobs: int) -> Evaluation[AspectsResult]:
    """Return the evaluation that an order names. Raises `BadRequest` where a cohort cannot be opened."""
    cohorts, method = _cohorts_of(order), open_method(order)
    work = aspects_work(cohorts, method, side_known=order.side_known)
    return Evaluation(
        tasks=tasks_of(cohorts),
        settings=settings_of(order, cohorts, method),
        form=ASPECTS_FORM,
        begin=partial(begin_aspects, order) if jobs > 1 else lambda: work,
        write_report=write_aspects_report,
    )


def begin_aspects(order: AspectsOrder) -> Work[AspectsResult]:
    """Make the method ready and open the cohorts in this process, one among others; return what evaluates one scan."""
    return aspects_work(_cohorts_of(order), open_method(order, threads=1), side_known=order.side_known)


def open_method(order: AspectsOrder, *, threads: int | None = None) -> Method:
    """Return the method of an order, made ready on ``threads`` threads, all cores if None.

    Raises `BadRequest` for an unknown name, and where its weights do not load.
    """
    if order.method not in METHODS:
        raise BadRequest(f"there is no such method; methods are {', '.join(METHODS)}")
    return METHODS[order.method](order, threads)


def settings_of(order: AspectsOrder, cohorts: Sequence[Named], method: Method) -> Mapping[str, Any]:
    """Return what decides the results: two evaluations that agree in it may share one record.

    How many of the first scans are wanted is left out, so that a later run may go on with more.
    """
    return {
        "system": "aspects",
        "method": order.method,
        "config": dict(method.config),
        "side_known": order.side_known,
        "split": order.split,
        "cohorts": [one.identity for one in cohorts],
        "infarct_version": __version__,
    }


def aspects_work(cohorts: Sequence[Named], method: Method, *, side_known: bool = False) -> Work[AspectsResult]:
    """Return what evaluates one scan of ``cohorts`` by ``method``."""

    def work(task: Task) -> Evaluated[AspectsResult]:
        case = cohorts[task.cohort].cases[task.index]
        return evaluate_case_regions(case, case.load(), method, task=task, side_known=side_known)

    return work


def evaluate_case_regions(
    case: Case, labelled: LabelledScan, method: Method, *, task: Task, side_known: bool
) -> Evaluated[AspectsResult]:
    """Return the result and the picture of one case.

    Raises `StepFailed` where nobody said which regions are affected, and whatever the method raises.
    """
    truth, clinical = labelled.aspects, case.clinical
    if truth is None:
        raise StepFailed("nobody said which ASPECTS regions are affected, so there is nothing to compare with")
    answer = score_scan(labelled.scan, method, truth.side if side_known else None)
    about = AspectsAbout(
        id=case.key,
        patient=case.patient_key,
        group=task.group,
        side=truth.side,
        kvp=labelled.scan.acquisition.kvp,
        onset_h=clinical.onset_h,
        core_ml=truth.core_ml,
        age=clinical.age,
        nihss=clinical.nihss,
        mrs90=clinical.mrs90,
        fingerprint=task.fingerprint,  # from before the files were read, so that a change meanwhile is seen next time
    )
    result = evaluate_regions(answer, truth, labelled.regions, about)
    return Evaluated(result, aspects_picture(labelled.scan, answer.regions, labelled.regions, result))


def score_scan(scan: Scan, method: Method, side: Side | None) -> Answer:
    """Return what ``method`` answers about a scan, its regions on the scan's own geometry."""
    begin = time.perf_counter()
    head = prepare_head(scan)
    aspects = method.score(scan, head, side)
    regions = resample_labels(head.aspects_regions, head.geometry, scan.geometry)
    return Answer(aspects, regions, time.perf_counter() - begin)


def _cohorts_of(order: AspectsOrder) -> tuple[Named, ...]:
    return open_named(order.cohorts, first=order.first, split=order.split)
