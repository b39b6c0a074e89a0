"""The whole story on one page: a scan goes in, findings and maps come out. No disk is touched."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, TypeAlias

import numpy as np

from infarct import __version__
from infarct.anatomy import Side
from infarct.atlas import load_atlas
from infarct.atlas.registration import register
from infarct.errors import NotHeadCT, StepFailed
from infarct.findings import (
    Analysis,
    Aspects,
    EarlierScan,
    Findings,
    HyperdenseArtery,
    Maps,
    Override,
    Provenance,
    Quality,
    RegionMethod,
    ScanSummary,
    Software,
    Weights,
)
from infarct.preprocess.csf import segment_csf
from infarct.preprocess.head import Head, atlas_labels, region_volumes_ml, working_geometry, working_hu
from infarct.preprocess.intracranial import segment_intracranial, segment_open_skull, segment_stripped
from infarct.preprocess.key_levels import key_slices
from infarct.preprocess.midplane import find_midplane, midplane_of, mirrored
from infarct.preprocess.noise import measure_noise
from infarct.preprocess.quality import head_flags, scan_flags, unique_flags
from infarct.systems.agreement import (
    Mark,
    agreement_of,
    disagreement_flag,
    mark_of_artery,
    mark_of_aspects,
    mark_of_followup,
    mark_of_infarct,
)
from infarct.systems.asymmetry import AsymmetryConfig, AsymmetryResult, compare_sides
from infarct.systems.choice import ScanTime, choice_flag, unsuited
from infarct.systems.dense_artery import ArteryConfig, find_dense_artery
from infarct.systems.followup_flags import followup_flags, unmeasured_flag
from infarct.systems.hemorrhage import (
    HemorrhageDetector,
    HemorrhageResult,
    blood_on_scan,
    find_by_rule,
    find_hemorrhage,
    hemorrhage_flag,
)
from infarct.systems.localize import Localizer, LocalizeResult, localize, marked_mask, probability_map
from infarct.systems.region_choice import ChoiceConfig, choose_regions
from infarct.systems.regions import SideRule, overridden
from infarct.systems.regions_vbnet import RegionDrawer
from infarct.systems.scoring import AspectsResult, RegionScorer, score_head
from infarct.systems.segment import Drawn, Segmenter, SegmentResult, drawn_on, segment
from infarct.systems.serial import compared
from infarct.systems.volumetry import Volumetry, VolumetryResult, label_map, measure_followup
from infarct.types import BoolArray, Flag, Float32Array
from infarct.volume import Geometry, Scan, resample, resample_labels, resample_mask
from infarct.weights import card_of

STEPS: Final = (
    "brain",
    "registration",
    "midplane",
    "regions",
    "asymmetry",
    "aspects",
    "dense_artery",
    "hemorrhage",
    "segment",
    "localize",
    "volumetry",
    "maps",
    "agreement",
    "quality",
)
"""Names of the steps in order; keys of ``timings_s``. A system without a model is left out."""


Model: TypeAlias = RegionDrawer | RegionScorer | Segmenter | Localizer | HemorrhageDetector | Volumetry


@dataclass(frozen=True)
class Models:
    """The trained systems that take part; None leaves one out.

    Without ``regions`` the atlas's are used; without ``hemorrhage`` blood is looked for by density and place alone.
    """

    regions: RegionDrawer | None = None
    aspects: RegionScorer | None = None
    segment: Segmenter | None = None
    localize: Localizer | None = None
    hemorrhage: HemorrhageDetector | None = None
    volumetry: Volumetry | None = None

    def taking_part(self) -> tuple[Model, ...]:
        """Return the systems that take part, in the order of the fields."""
        held = (self.regions, self.aspects, self.segment, self.localize, self.hemorrhage, self.volumetry)
        return tuple(model for model in held if model is not None)

    def by_system(self) -> dict[str, str]:
        """Return the names of the fields that hold a model, by the name of the system that it is of."""
        held = {name: getattr(self, name) for name in (part.name for part in fields(self))}
        return {model.weights.system: name for name, model in held.items() if model is not None}


@dataclass(frozen=True)
class Request:
    """What the user says about the patient and asks for.

    ``onset_hours`` is the time from symptom onset to the scan; where the onset was not witnessed,
    ``last_known_well_hours`` stands instead. ``symptomatic_side`` is the side of the brain to be scored; without one,
    ``side_rule`` decides. ``overrides`` are regions that a reader sets. ``named`` are systems that the user asks for by
    name: they run also where they do not suit the scan. ``earlier`` is what an earlier scan of the same patient showed.
    """

    onset_hours: float | None = None
    last_known_well_hours: float | None = None
    symptomatic_side: Side | None = None
    side_rule: SideRule = "evidence"
    overrides: tuple[Override, ...] = ()
    named: tuple[str, ...] = ()
    earlier: EarlierScan | None = None


@dataclass
class Clock:
    """Times the steps; ``on_step`` is told the name of each step as it begins."""

    on_step: Callable[[str], None] = lambda _: None
    timings_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what runs inside as ``name``."""
        self.on_step(name)
        begin = time.perf_counter()
        yield
        self.timings_s[name] = round(time.perf_counter() - begin, 3)


def analyze(
    scan: Scan, request: Request | None = None, clock: Clock | None = None, *, models: Models | None = None
) -> Analysis:
    """Return the findings of a scan with the maps behind them.

    Infarcts come from the segmentation network where it takes part, otherwise from the comparison of the two sides; a
    network that fails is flagged, and its section is null. A system that does not suit the scan (`systems.choice`) is
    left out and that is flagged. ASPECTS come from a trained method where one takes part,
    otherwise from the same comparison. Every method looks at the same regions: the atlas's, or the network's where one
    takes part and the two do not disagree. Tiles are judged, and follow-up infarcts measured, where a network for them
    takes part; blood is found by a network where one does, otherwise by density and place.

    Raises `NotHeadCT` where no brain can be found in the scan.
    """
    request, clock, models = request or Request(), clock or Clock(), models or Models()
    config = AsymmetryConfig()
    head = prepare_head(scan, clock)
    models, left_out = _suited(models, scan, head, request)
    head, drawn_by, disagreement = _with_regions(scan, head, models, clock)
    with clock.step("asymmetry"):
        sides = compare_sides(head, config, symptomatic_side=request.symptomatic_side, side_rule=request.side_rule)
    scored = _scored(scan, head, sides, request, models=models, clock=clock)
    with clock.step("dense_artery"):
        artery = find_dense_artery(head)
    blood, lost_blood = _blood(scan, head, models, clock)
    lesions, lost = _lesions(scan, head, sides, models, clock)
    tiles, lost_tiles = _tiles(scan, head, models, clock)
    late, lost_late = _late(scan, head, lesions, blood, request, models=models, clock=clock)
    marks = _Marks(sides, lesions, tiles, blood, late, scored.attention)
    with clock.step("maps"):
        maps = _maps(scan, head, marks)
    with clock.step("agreement"):
        agreement = agreement_of(_places(scan, head, scored.aspects, artery, marks, maps), scan.geometry)
    with clock.step("quality"):
        answers = (*_answer_flags(lesions, blood, request), *_late_flags(late, blood, request))
        doubts = (left_out, disagreement_flag(agreement), *disagreement, *answers)
        failures = _failure_flags(lost_blood, lost, lost_tiles, lost_late)
        told = (*failures, *scan_flags(scan), *head_flags(scan, head), *doubts)
        flags = unique_flags(flag for flag in told if flag is not None)
    findings = Findings(
        software=Software(name="infarct", version=__version__),
        scan=_scan_summary(scan),
        quality=_quality(flags),
        hemorrhage=blood.hemorrhage,
        aspects=overridden(scored.aspects.model_copy(update={"regions_method": drawn_by}), request.overrides),
        hyperdense_artery=artery,
        infarct=lesions.infarct if lesions else None,
        old_infarct=lesions.old_infarct if lesions else None,
        localization=tiles.localization if tiles else None,
        followup_infarct=late.followup if late else None,
        agreement=agreement,
        provenance=_provenance(config, request, models),
        timings_s=clock.timings_s,
    )
    cards = {model.weights.sha256: card_of(model.weights) for model in models.taking_part()}
    return Analysis(findings, maps, cards)


@dataclass(frozen=True, eq=False)
class _Marks:
    """What the systems marked, before it is brought onto the scan."""

    sides: AsymmetryResult
    lesions: AsymmetryResult | SegmentResult | None
    tiles: LocalizeResult | None
    blood: HemorrhageResult
    late: VolumetryResult | None
    attention: Float32Array | None


def prepare_head(scan: Scan, clock: Clock | None = None) -> Head:
    """Return the scan made ready: working grid, brain, atlas, midsagittal plane, mirror.

    Raises `NotHeadCT` where no brain can be found.
    """
    clock = clock or Clock()
    atlas = load_atlas()
    with clock.step("brain"):
        geometry = working_geometry(scan.geometry)
        hu = working_hu(scan, geometry)
        brain, skull_closed = _brain(scan, hu, geometry)
        fluid = segment_csf(hu, brain, geometry)
        noise = measure_noise(hu, brain, geometry)
    try:
        with clock.step("registration"):
            registration = register(hu, brain, geometry, atlas)
        with clock.step("midplane"):
            plane = find_midplane(hu, brain, geometry, start=midplane_of(registration.atlas_to_scan))
            mirrored_hu = mirrored(hu, geometry, plane)
    except StepFailed as failure:
        raise NotHeadCT(f"{failure}; a scan of at least half of the brain is needed") from failure
    return Head(
        hu=hu,
        geometry=geometry,
        brain=brain,
        skull_closed=skull_closed,
        fluid=fluid,
        registration=registration,
        midplane=plane,
        mirrored_hu=mirrored_hu,
        noise=noise,
        aspects_regions=atlas_labels(atlas, atlas.aspects_labels, registration, geometry),
        region_ml=region_volumes_ml(atlas, registration),
        territories=atlas_labels(atlas, atlas.territories, registration, geometry),
    )


def _suited(models: Models, scan: Scan, head: Head, request: Request) -> tuple[Models, Flag | None]:
    """Return the models that suit the scan or that the user names, and the flag of those left out."""
    by_system = models.by_system()
    time = ScanTime(request.onset_hours, request.last_known_well_hours)
    left_out = unsuited(by_system, scan, head, time, named=request.named)
    nothing: dict[str, Any] = {by_system[name]: None for name in left_out}
    return replace(models, **nothing), choice_flag(left_out)


def _places(
    scan: Scan, head: Head, aspects: Aspects, artery: HyperdenseArtery | None, marks: _Marks, maps: Maps
) -> tuple[Mark, ...]:
    """Return where each system that ran says the infarct is."""
    found: list[Mark | None] = []
    if maps.aspects_regions is not None:
        found.append(mark_of_aspects(aspects, maps.aspects_regions))
    if marks.lesions is not None and marks.lesions.infarct is not None and maps.infarct is not None:
        found.append(mark_of_infarct(marks.lesions.infarct, maps.infarct))
    if marks.tiles is not None:
        localization = marks.tiles.localization
        territories = tuple(dict.fromkeys(patch.territory for patch in localization.patches if patch.territory))
        covered = marked_mask(marks.tiles, scan.geometry, maps.brain_mask)
        found.append(Mark("localize", localization.lesion_side, territories, mask=covered))
    if marks.late is not None and maps.followup_infarct is not None:
        territories_map = resample_labels(head.territories, head.geometry, scan.geometry)
        found.append(mark_of_followup(marks.late.followup, maps.followup_infarct > 0, territories_map))
    if artery is not None:
        found.append(mark_of_artery(artery))
    return tuple(mark for mark in found if mark is not None)


def _with_regions(scan: Scan, head: Head, models: Models, clock: Clock) -> tuple[Head, RegionMethod, tuple[Flag, ...]]:
    """Return the head with the regions that all methods look at, what drew them, and the flags of the choice."""
    if models.regions is None:
        return head, "atlas", ()
    with clock.step("regions"):
        chosen = choose_regions(scan, head, models.regions)
    return replace(head, aspects_regions=chosen.labels), chosen.method, chosen.flags


def _scored(
    scan: Scan, head: Head, sides: AsymmetryResult, request: Request, *, models: Models, clock: Clock
) -> AspectsResult:
    """Return the ASPECTS of the trained method where one takes part, otherwise of the comparison of the two sides."""
    if models.aspects is None:
        return AspectsResult(sides.aspects, attention=None)
    with clock.step("aspects"):
        return score_head(
            scan,
            head,
            models.aspects,
            old=sides.old_infarct_mask,
            symptomatic_side=request.symptomatic_side,
            side_rule=request.side_rule,
        )


def _brain(scan: Scan, hu: Float32Array, geometry: Geometry) -> tuple[BoolArray, bool]:
    """Return the intracranial region, and whether a closed skull bounds it."""
    stripped = any(flag.code == "skull_stripped" for flag in scan.flags)
    try:
        if stripped:
            return segment_stripped(hu, geometry), True
        try:
            return segment_intracranial(hu, geometry), True
        except StepFailed:
            return segment_open_skull(hu, geometry), False
    except StepFailed as failure:
        raise NotHeadCT(f"no brain found in the scan ({failure}); pass a plain CT of a whole head") from failure


def _blood(scan: Scan, head: Head, models: Models, clock: Clock) -> tuple[HemorrhageResult, str]:
    """Return the blood, by the network where one takes part and does not fail, and how it failed, otherwise nothing."""
    with clock.step("hemorrhage"):
        if models.hemorrhage is None:
            return find_by_rule(head), ""
        try:
            return find_hemorrhage(scan, head, models.hemorrhage), ""
        except StepFailed as failure:
            told = f"The search for blood did not reach an answer: {failure}; density and place alone were judged."
            return find_by_rule(head), told


def _late(
    scan: Scan,
    head: Head,
    lesions: AsymmetryResult | SegmentResult | None,
    blood: HemorrhageResult,
    request: Request,
    *,
    models: Models,
    clock: Clock,
) -> tuple[VolumetryResult | None, str]:
    """Return the follow-up infarct where networks for it take part and it is time, and how they failed."""
    if models.volumetry is None:
        return None, ""
    try:
        with clock.step("volumetry"):
            old = lesions.old_infarct_mask if lesions else None
            late = measure_followup(scan, head, models.volumetry, blood, old=old)
    except StepFailed as failure:
        return None, f"The volume of the follow-up infarct was not measured: {failure}."
    followup = compared(late.followup, request.earlier) if request.earlier else late.followup
    return replace(late, followup=followup), ""


def _late_flags(late: VolumetryResult | None, blood: HemorrhageResult, request: Request) -> tuple[Flag, ...]:
    """Return the doubts about a follow-up infarct, or that growth is not told, as it was not measured."""
    if late is not None:
        method = blood.hemorrhage.method
        return followup_flags(late, request.onset_hours, blood_method=method, earlier=request.earlier)
    return (unmeasured_flag(),) if request.earlier else ()


def _lesions(
    scan: Scan, head: Head, sides: AsymmetryResult, models: Models, clock: Clock
) -> tuple[AsymmetryResult | SegmentResult | None, str]:
    """Return the infarcts of the best system that takes part, and how one failed, otherwise nothing."""
    if models.segment is None:
        return sides, ""
    try:
        with clock.step("segment"):
            return segment(scan, head, models.segment), ""
    except StepFailed as failure:
        return None, f"The segmentation did not reach an answer: {failure}."


def _tiles(scan: Scan, head: Head, models: Models, clock: Clock) -> tuple[LocalizeResult | None, str]:
    """Return what the tiles show where a network for them takes part, and how it failed, otherwise nothing."""
    if models.localize is None:
        return None, ""
    try:
        with clock.step("localize"):
            return localize(scan, head, models.localize), ""
    except StepFailed as failure:
        return None, f"The search tile by tile did not reach an answer: {failure}."


def _failure_flags(*failures: str) -> tuple[Flag, ...]:
    """Return one flag that tells of all systems that failed; a code stands once in the findings."""
    told = " ".join(failure for failure in failures if failure)
    return (Flag("system_failed", "critical", told),) if told else ()


def _answer_flags(
    lesions: AsymmetryResult | SegmentResult | None, blood: HemorrhageResult, request: Request
) -> tuple[Flag, ...]:
    """Return the flags that come from the answers themselves and from what is known of the onset."""
    flags: list[Flag] = []
    bleeding = hemorrhage_flag(blood.hemorrhage)
    if bleeding:
        flags.append(bleeding)
    old_ml = lesions.old_infarct.volume_ml if lesions and lesions.old_infarct else 0.0
    if old_ml > 0:
        message = f"{old_ml:.1f} ml look like an old infarct; they do not count as acute."
        flags.append(Flag("old_infarct_suspected", "warning", message, old_ml))
    if request.onset_hours is None:
        flags.append(Flag("onset_unknown", "info", "The time of onset is unknown: age of lesions not judged."))
    elif request.onset_hours < 1:
        message = "Less than an hour since onset: the infarct core is underestimated."
        flags.append(Flag("onset_under_1h", "warning", message, request.onset_hours))
    return tuple(flags)


def _quality(flags: tuple[Flag, ...]) -> Quality:
    doubtful = any(flag.severity != "info" for flag in flags)
    return Quality(verdict="flagged" if doubtful else "ok", flags=flags)


def _maps(scan: Scan, head: Head, marks: _Marks) -> Maps:
    """Return the maps on the scan's own geometry."""

    def masked(mask: BoolArray) -> BoolArray:
        return resample_mask(mask, head.geometry, scan.geometry)

    def carried(values: Float32Array) -> Float32Array:
        return resample(values, head.geometry, scan.geometry, fill=0.0)

    regions = resample_labels(head.aspects_regions, head.geometry, scan.geometry)
    ganglionic, supraganglionic = key_slices(regions, scan.geometry)
    lesions = marks.lesions
    if isinstance(lesions, AsymmetryResult):
        drawn: Drawn | None = Drawn(None, masked(lesions.infarct_mask), masked(lesions.old_infarct_mask))
    else:
        drawn = drawn_on(scan.geometry, lesions, head) if lesions else None
    brain = masked(head.brain)
    return Maps(
        brain_mask=brain,
        aspects_regions=regions,
        aspects_attention=None if marks.attention is None else carried(marks.attention),
        side_difference_hu=carried(marks.sides.side_difference_hu),
        infarct=drawn.infarct if drawn else None,
        infarct_probability=drawn.probability if drawn else None,
        old_infarct=drawn.old_infarct if drawn else None,
        patch_probability=probability_map(marks.tiles, scan.geometry, brain) if marks.tiles else None,
        hemorrhage=blood_on_scan(marks.blood, scan.geometry),
        followup_infarct=label_map(marks.late) if marks.late else None,
        ganglionic_slice=ganglionic,
        supraganglionic_slice=supraganglionic,
        reflection=head.midplane.reflection,
    )


def _scan_summary(scan: Scan) -> ScanSummary:
    series_uid = scan.source.series_uid
    return ScanSummary(
        source=scan.source.kind,
        series_uid_hash=hashlib.sha256(series_uid.encode()).hexdigest()[:16] if series_uid else None,
        series_choice=scan.source.series_choice,
        slice_positions_mm=tuple(np.round(scan.geometry.slice_positions_mm, 3).tolist()),
        shape_zyx=scan.geometry.shape_zyx,
        spacing_mm_zyx=scan.geometry.spacing_mm_zyx,
        slice_thickness_mm=scan.acquisition.slice_thickness_mm,
        gantry_tilt_deg=round(scan.geometry.tilt_deg, 2),
        kvp=scan.acquisition.kvp,
        manufacturer=scan.acquisition.manufacturer,
    )


def _provenance(config: AsymmetryConfig, request: Request, models: Models) -> Provenance:
    # What a reader set, and what an earlier scan showed, stand with the answers: they are findings, no settings.
    asked = {name: value for name, value in asdict(request).items() if name not in ("overrides", "earlier")}
    settings: dict[str, Any] = {
        "asymmetry": asdict(config),
        "dense_artery": asdict(ArteryConfig()),
        "request": asked,
    }
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    weights, engine = [], None
    if models.regions:
        settings["region_choice"] = asdict(ChoiceConfig())
    for system in models.taking_part():
        used, engine = system.weights, system.engine or engine
        settings[used.system] = asdict(system.config)
        weights.append(
            Weights(system=used.system, name=used.name, sha256=used.sha256, calibrated_on=system.config.calibrated_on)
        )
    return Provenance(
        weights=tuple(weights),
        config=settings,
        seed=0,
        device=engine.device if engine else "cpu",
        engine=engine.name if engine else "numpy",
        engine_version=engine.version if engine else np.__version__,
        precision=engine.precision if engine else "fp32",
        threads=engine.threads if engine else cores,
    )
