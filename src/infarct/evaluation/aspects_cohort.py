"""ASPECTS over cohorts: by which methods, what is asked of each scan, and what one scan gives.

Reading a scan and preparing its head take far longer than judging its regions, so this is done once for all methods.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from infarct import __version__
from infarct.anatomy import Side
from infarct.cohorts import Case, LabelledScan
from infarct.errors import BadRequest, StepFailed
from infarct.evaluation.aspects import (
    ASPECTS_FORM,
    Answer,
    AspectsAbout,
    RegionMaps,
    ScanResults,
    Scored,
    evaluate_regions,
)
from infarct.evaluation.aspects_gallery import aspects_picture
from infarct.evaluation.aspects_report import write_aspects_reports
from infarct.evaluation.named_cohorts import Named, open_named, tasks_of
from infarct.evaluation.report import report_folders
from infarct.evaluation.run import Evaluated, Evaluation, Task, Work
from infarct.findings import Aspects, RegionMethod
from infarct.pipeline import prepare_head
from infarct.preprocess.head import Head
from infarct.runtime.engine import DeviceChoice, PrecisionChoice
from infarct.systems.aspects import load_scorer
from infarct.systems.asymmetry import AsymmetryConfig, AsymmetryResult, compare_sides
from infarct.systems.radiomics import load_forests
from infarct.systems.region_choice import ChoiceConfig, choose_regions
from infarct.systems.regions_vbnet import RegionDrawer, load_drawer
from infarct.systems.scoring import RegionScorer, score_head
from infarct.types import LabelArray
from infarct.volume import Scan, resample_labels


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan ready to be scored: its ``head``, with the regions that are scored, and its two ``sides`` compared.

    ``side`` is the one to be scored, None where the method has to choose it.
    """

    scan: Scan
    head: Head
    sides: AsymmetryResult
    side: Side | None


@dataclass(frozen=True, eq=False)
class Method:
    """A way to score a scan: ``config`` is all that decides its answers."""

    config: Mapping[str, Any]
    score: Callable[[Prepared], Aspects]


@dataclass(frozen=True, eq=False)
class Methods:
    """The methods that are evaluated, by their names; ``drawer`` draws the regions, the atlas if None."""

    by_name: Mapping[str, Method]
    drawer: RegionDrawer | None = None

    @property
    def configs(self) -> dict[str, dict[str, Any]]:
        """All that decides the answers of each method, by its name."""
        drawn = {} if self.drawer is None else {"drawn_regions": _drawer_config(self.drawer)}
        return {name: {**method.config, **drawn} for name, method in self.by_name.items()}


def _drawer_config(drawer: RegionDrawer) -> dict[str, Any]:
    return {
        "weights": {"name": drawer.weights.name, "sha256": drawer.weights.sha256},
        "drawer": asdict(drawer.config),
        "choice": asdict(ChoiceConfig()),
    }


@dataclass(frozen=True)
class AspectsOrder:
    """What is to be evaluated: ``cohorts`` as given, the first ``first`` scans of each, by which methods.

    ``weights`` are those of trained methods by their names, the shipped ones for a method that is not named; ``device``
    and ``precision`` say how networks run. Several methods are held against the first.
    ``side_known`` tells the methods the side of the stroke; of cohorts that are parted, ``split`` is the part wanted.
    ``regions`` is what draws the regions, on ``region_weights`` where that is the network, the shipped ones if None.
    """

    cohorts: tuple[str, ...]
    methods: tuple[str, ...] = ("asymmetry",)
    weights: Mapping[str, str | Path] = field(default_factory=dict)
    device: DeviceChoice = "auto"
    precision: PrecisionChoice = "fp32"
    first: int | None = None
    split: str | None = None
    side_known: bool = False
    regions: RegionMethod = "atlas"
    region_weights: str | Path | None = None


def _asymmetry(order: AspectsOrder, threads: int | None) -> Method:
    del threads
    if "asymmetry" in order.weights:
        raise BadRequest("the baseline takes no weights")
    return Method(asdict(AsymmetryConfig()), lambda prepared: prepared.sides.aspects)


def _da_net(order: AspectsOrder, threads: int | None) -> Method:
    weights = order.weights.get("da_net")
    return _trained(load_scorer(weights, device=order.device, precision=order.precision, threads=threads))


def _radiomics(order: AspectsOrder, threads: int | None) -> Method:
    del threads
    alone = order.methods == ("radiomics",) and order.regions == "atlas"  # otherwise a network may want them
    if alone and (order.device == "cuda" or order.precision == "bf16"):
        raise BadRequest(
            "the forests of radiomics run on the processor as they are: leave out --device and --precision"
        )
    return _trained(load_forests(order.weights.get("radiomics")))


def _trained(scorer: RegionScorer) -> Method:
    """Return the method of a trained system on its weights."""

    def score(prepared: Prepared) -> Aspects:
        old = prepared.sides.old_infarct_mask
        return score_head(prepared.scan, prepared.head, scorer, old=old, symptomatic_side=prepared.side).aspects

    config: dict[str, Any] = {
        "weights": {"name": scorer.weights.name, "sha256": scorer.weights.sha256},
        "scorer": asdict(scorer.config),
    }
    if scorer.engine:
        config["engine"] = {name: getattr(scorer.engine, name) for name in ("name", "version", "precision", "device")}
    return Method(config, score)


METHODS: Final[dict[str, Callable[[AspectsOrder, int | None], Method]]] = {
    "asymmetry": _asymmetry,
    "da_net": _da_net,
    "radiomics": _radiomics,
}
"""The methods by name; each is made ready once a process, on so many threads (None: all cores)."""


def aspects_evaluation(order: AspectsOrder, *, jobs: int) -> Evaluation[ScanResults]:
    """Return the evaluation that an order names. Raises `BadRequest` where a cohort cannot be opened."""
    cohorts, methods = _cohorts_of(order), open_methods(order)
    work = aspects_work(cohorts, methods, side_known=order.side_known)
    return Evaluation(
        tasks=tasks_of(cohorts),
        settings=settings_of(order, cohorts, methods),
        form=ASPECTS_FORM,
        begin=partial(begin_aspects, order) if jobs > 1 else lambda: work,
        write_report=partial(write_aspects_reports, methods=order.methods),
    )


def begin_aspects(order: AspectsOrder) -> Work[ScanResults]:
    """Make methods ready and open the cohorts in this process, one among others; return what evaluates one scan."""
    return aspects_work(_cohorts_of(order), open_methods(order, threads=1), side_known=order.side_known)


def open_methods(order: AspectsOrder, *, threads: int | None = None) -> Methods:
    """Return the methods of an order, made ready on ``threads`` threads, all cores if None.

    Raises `BadRequest` for an unknown name and one given twice, and where weights do not load.
    """
    if not order.methods or not set(order.methods) <= set(METHODS):
        raise BadRequest(f"there is no such method; methods are {', '.join(METHODS)}")
    if len(set(order.methods)) < len(order.methods):
        raise BadRequest("a method is named twice")
    opened = {name: METHODS[name](order, threads) for name in order.methods}
    if order.regions == "atlas":
        return Methods(opened)
    return Methods(
        opened, load_drawer(order.region_weights, device=order.device, precision=order.precision, threads=threads)
    )


def settings_of(order: AspectsOrder, cohorts: Sequence[Named], methods: Methods) -> Mapping[str, Any]:
    """Return what decides the results: two evaluations that agree in it may share one record.

    How many of the first scans are wanted is left out, so that a later run may go on with more.
    """
    return {
        "system": "aspects",
        "methods": methods.configs,
        "side_known": order.side_known,
        "split": order.split,
        "cohorts": [one.identity for one in cohorts],
        "infarct_version": __version__,
    }


def aspects_work(cohorts: Sequence[Named], methods: Methods, *, side_known: bool = False) -> Work[ScanResults]:
    """Return what evaluates one scan of ``cohorts`` by all ``methods``."""

    def work(task: Task) -> Evaluated[ScanResults]:
        case = cohorts[task.cohort].cases[task.index]
        return evaluate_case_regions(case, case.load(), methods, task=task, side_known=side_known)

    return work


def evaluate_case_regions(
    case: Case, labelled: LabelledScan, methods: Methods, *, task: Task, side_known: bool
) -> Evaluated[ScanResults]:
    """Return the results and the pictures of one case.

    Raises `StepFailed` where nobody said which regions are affected, and whatever a method raises: a scan without an
    answer of one method counts for none, so that all are compared on the same scans.
    """
    truth, clinical = labelled.aspects, case.clinical
    if truth is None:
        raise StepFailed("nobody said which ASPECTS regions are affected, so there is nothing to compare with")
    answer = score_scan(labelled.scan, methods, truth.side if side_known else None)
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
    results = evaluate_regions(answer, truth, labelled.regions, about)
    folders = report_folders(list(results.by_method))
    pictures = {
        folders[name]: aspects_picture(labelled.scan, answer.regions.labels, labelled.regions, result)
        for name, result in results.by_method.items()
    }
    return Evaluated(results, pictures)


def score_scan(scan: Scan, methods: Methods, side: Side | None) -> Answer:
    """Return what ``methods`` answer about a scan; its head is prepared once, which counts in the time of each."""
    begin = time.perf_counter()
    prepared, regions = prepare_scan(scan, methods.drawer, side)
    shared = time.perf_counter() - begin
    scored = {}
    for name, method in methods.by_name.items():
        begin = time.perf_counter()
        aspects = method.score(prepared)
        scored[name] = Scored(aspects, shared + time.perf_counter() - begin)
    return Answer(scored, regions)


def prepare_scan(scan: Scan, drawer: RegionDrawer | None, side: Side | None) -> tuple[Prepared, RegionMaps]:
    """Return a scan ready to be scored, and its regions on its own geometry: the network's where that is to draw, or
    the atlas's where `choose_regions` says.
    """
    head = prepare_head(scan)
    drawn: dict[RegionMethod, LabelArray] = {"atlas": head.aspects_regions}
    used: RegionMethod = "atlas"
    disagree = False
    if drawer is not None:
        choice = choose_regions(scan, head, drawer)
        used, disagree = choice.method, bool(choice.flags)
        if choice.drawn is not None:
            drawn["vbnet"] = choice.drawn.labels
        head = replace(head, aspects_regions=choice.labels)
    maps = {name: resample_labels(labels, head.geometry, scan.geometry) for name, labels in drawn.items()}
    return Prepared(scan, head, compare_sides(head, symptomatic_side=side), side), RegionMaps(maps, used, disagree)


def _cohorts_of(order: AspectsOrder) -> tuple[Named, ...]:
    return open_named(order.cohorts, first=order.first, split=order.split)
