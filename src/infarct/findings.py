"""What infarct finds in a scan: frozen types that are the JSON schema of ``findings.json``.

A section that was not run is null. Lengths are mm, volumes ml, densities HU, positions LPS mm.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from infarct.anatomy import MarkedSide, Region, Side, Territory
from infarct.model_card import ModelCard
from infarct.types import BoolArray, Flag, Float32Array, Float64Array, LabelArray

SCHEMA_VERSION: Final = "1.6"
INTENDED_USE: Final = "Research use only. Not a medical device; not for diagnosis or treatment decisions."

MIDLINE_ERROR_MM: Final = 2.5
"""Nine of ten shifts of the midline are measured within this (`infarct.preprocess.midline_shift`)."""
SYSTEM_NAMES: Final = {
    "aspects": "ASPECTS",
    "segment": "the segmentation",
    "asymmetry": "the comparison of the sides",
    "localize": "the search tile by tile",
    "volumetry": "volumetry",
    "hyperdense_artery": "the dense artery sign",
}
"""How a system is named in a sentence."""
LONGEST_NAME: Final = 64
"""Characters of a reader's name."""
LEAST_EVIDENCE_HU: Final = 2.0
"""An affected region weighs at least as if it were darker by this, the difference that marks early infarction best."""

Probability: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Volume: TypeAlias = Annotated[float, Field(ge=0)]
Length: TypeAlias = Annotated[float, Field(ge=0)]
Score: TypeAlias = Annotated[int, Field(ge=0, le=10)]
Stage: TypeAlias = Literal["acute", "subacute", "old", "undetermined"]
RegionMethod: TypeAlias = Literal["vbnet", "atlas"]
BrainRegion: TypeAlias = Literal["supratentorial", "infratentorial"]
Area: TypeAlias = Literal["cortical", "subcortical"]
BloodType: TypeAlias = Literal["parenchymal", "intraventricular", "subarachnoid", "subdural"]
Heidelberg: TypeAlias = Literal["1a", "1b", "1c", "2", "3a", "3b", "3c", "3d"]
"""Heidelberg bleeding classification (von Kummer et al., Stroke 2015;46:2981): 1a HI1, 1b HI2, 1c PH1, 2 PH2, 3a remote
parenchymal hematoma, 3b intraventricular, 3c subarachnoid, 3d subdural."""


class Frozen(BaseModel):
    """Base of all findings: immutable, no unknown fields, every number finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Software(Frozen):
    """The program that made the findings."""

    name: str
    version: str


class ScanSummary(Frozen):
    """The scan that was read, without any patient identifier or path."""

    source: Literal["dicom", "nifti", "phantom"]
    series_uid_hash: str | None = Field(description="First 16 hex digits of the SHA-256 of the series UID")
    series_choice: str = Field(description="Why this series was read, and what was left aside")
    slice_positions_mm: tuple[float, ...] = Field(description="Along the slice normal, inferior to superior")
    shape_zyx: tuple[int, int, int]
    spacing_mm_zyx: tuple[float, float, float]
    slice_thickness_mm: float | None
    gantry_tilt_deg: float
    kvp: float | None
    manufacturer: str | None


class Quality(Frozen):
    """Whether the answers can be trusted, and why not."""

    verdict: Literal["ok", "flagged"]
    flags: tuple[Flag, ...]


class HemorrhageType(Frozen):
    """Volume of one type of intracranial hemorrhage."""

    type: BloodType
    volume_ml: Volume


class Hemorrhage(Frozen):
    """Intracranial hemorrhage, suspected or not; volumes are 0 where it is not."""

    suspected: bool
    volume_ml: Volume
    probability: Probability | None = Field(description="That the scan shows a hemorrhage; null of the rule")
    types: tuple[HemorrhageType, ...] = Field(description="By place and shape; largest volume first")
    method: str = Field(default="rule", description="The network that marked it, or rule: by density and place alone")


class RegionFinding(Frozen):
    """One ASPECTS region of one side."""

    region: Region
    side: Side
    affected: bool | None = Field(description="Null where the region cannot be judged")
    probability: Probability | None
    volume_ml: Volume
    mean_hu: float | None = Field(description="Robust mean without CSF")
    contralateral_mean_hu: float | None
    difference_error_hu: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="Standard error of the difference of the two means by the scan's noise alone; "
        "null where the noise was not measured",
    )
    net_water_uptake_pct: float | None
    evaluable: bool


def _printable(name: str) -> str:
    if not name.isprintable() or not name.strip():
        raise ValueError("a name holds printable characters only, and not only spaces")
    return name


class Override(Frozen):
    """A reader's correction of one region."""

    region: Region
    side: Side
    affected: bool
    reader: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_printable)]
    at: str = Field(description="ISO 8601, UTC, whole seconds")


class Aspects(Frozen):
    """The Alberta Stroke Program Early CT Score of both sides and the scored one."""

    score: Score | None = Field(description="Null where a region that decides it cannot be judged")
    score_min: Score
    score_max: Score
    score_interval: tuple[Score, Score] | None = Field(
        default=None, description="Central 95 % by the region probabilities, lower bound first"
    )
    side: MarkedSide
    side_rule: Literal["symptomatic", "evidence", "min"]
    left_score: Score | None
    right_score: Score | None
    method: str
    regions_method: RegionMethod = Field(default="atlas", description="What drew the regions: VB-Net or the atlas")
    regions: tuple[RegionFinding, ...] = Field(description="As the system judged them, whatever a reader set")
    overrides: tuple[Override, ...] = Field(
        default=(), description="In the order in which readers set them; scores follow the last word on a region"
    )


def as_counted(regions: tuple[RegionFinding, ...], overrides: tuple[Override, ...]) -> tuple[RegionFinding, ...]:
    """Return the regions as they count in the score: with what readers set, the last word on each.

    A reader can judge what the system cannot, so a set region is evaluable; its probability is 0 or 1.
    """
    last = {(override.region, override.side): override.affected for override in overrides}

    def counted(finding: RegionFinding) -> RegionFinding:
        affected = last.get((finding.region, finding.side))
        if affected is None:
            return finding
        return finding.model_copy(update={"affected": affected, "probability": float(affected), "evaluable": True})

    return tuple(counted(finding) for finding in regions)


class HyperdenseArtery(Frozen):
    """Whether the trunk of a middle cerebral artery is denser than the other: a sign of a clot in it.

    ``side`` is the denser one. Thick slices thin a clot out; a high or low hematocrit shifts both sides.
    """

    suspected: bool
    side: Side
    mean_hu: float = Field(description="Densest stretch of the artery on that side")
    contralateral_mean_hu: float = Field(description="Densest stretch of the other side's artery")
    ratio: Annotated[float, Field(ge=1)] = Field(description="Of the two densities")


class Lesion(Frozen):
    """One connected hypodense lesion."""

    volume_ml: Volume
    side: Side
    centroid_lps_mm: tuple[float, float, float]
    territories: tuple[Territory, ...] = Field(description="Largest share first")
    mean_hu: float
    net_water_uptake_pct: float | None
    stage: Stage
    probability: Probability | None


class Infarct(Frozen):
    """Acute hypodense lesions, largest first; ``volume_ml`` leaves old lesions out."""

    method: str
    volume_ml: Volume
    side: MarkedSide
    lesions: tuple[Lesion, ...]


class OldInfarct(Frozen):
    """Lesions that look old: as dark as CSF, or old by the network that marked them."""

    volume_ml: Volume
    lesions: tuple[Lesion, ...]


class Patch(Frozen):
    """One positive square of a slice."""

    slice_index: Annotated[int, Field(ge=0)] = Field(description="0-based, inferior to superior, of the scan")
    sop_uid_hash: str | None = Field(description="First 16 hex digits of the SHA-256 of the slice's SOP instance UID")
    row: Annotated[int, Field(ge=0)] = Field(description="First row, 0-based, from the front of the head backwards")
    column: Annotated[int, Field(ge=0)] = Field(description="First column, 0-based, from the patient's right to left")
    size_px: Annotated[int, Field(ge=1)]
    probability: Probability
    side: Side
    territory: Territory | None
    region: BrainRegion | None = Field(default=None, description="By the atlas; null where it does not say")
    area: Area | None = Field(default=None, description="By the atlas, of supratentorial tissue; otherwise null")


class Localization(Frozen):
    """Early infarction patch by patch."""

    method: str = Field(description="The network that judged the patches")
    patches: tuple[Patch, ...] = Field(description="The positive ones, from below upwards")
    lesion_side: MarkedSide = Field(description="Of nearly all evidence")
    key_slices: tuple[int, ...] = Field(description="Up to three slices with the most evidence, most first")


class EarlierScan(Frozen):
    """What the findings of an earlier scan of the same patient say, as the user gave them; nothing proves whose."""

    section: Literal["followup_infarct", "infarct"] | None = Field(description="Where its volume stands")
    method: str | None
    volume_ml: Volume | None
    onset_h: float | None = Field(description="Hours from onset to that scan")
    midline_shift_mm: Length | None
    midline_shift_side: Side | None
    critical: bool = Field(description="A critical flag stands with it")


class FollowupInfarct(Frozen):
    """Infarct volume in follow-up CT, by the darkness of the infarct, with hemorrhage.

    ``volume_ml`` holds infarct and the parenchymal blood in it or within 5 mm of it; the volumes of the three degrees
    of darkness are each network's own and may overlap. ``heidelberg`` are the classes that the blood suggests, by the
    Heidelberg bleeding classification (von Kummer et al., Stroke 2015;46:2981): in the infarct 1a small petechiae, 1b
    confluent petechiae, 1c hematoma in less than 30 % of it without and 2 in 30 % or more of it with mass effect;
    elsewhere 3a to 3d. A reader has to confirm them.
    """

    method: str
    volume_ml: Volume
    without_blood_ml: Volume
    severe_ml: Volume | None = Field(description="Null of a network that does not tell degrees")
    intermediate_ml: Volume | None
    subtle_ml: Volume | None
    hemorrhage_ml: Volume = Field(description="Parenchymal blood in the infarct or within 5 mm of it")
    growth_ml: float | None = Field(description="Volume less that of the earlier scan")
    midline_shift_mm: Length | None = Field(
        description="At the foramen of Monro, from the line between the ends of the midline at the skull"
    )
    midline_shift_side: Side | None = Field(default=None, description="Towards which the midline is shifted")
    midline_shift_change_mm: float | None = Field(
        default=None, description="Further towards that side than at the earlier scan; negative: back from it"
    )
    side: MarkedSide | None = None
    mean_hu: float | None = Field(default=None, description="Of the infarct without blood")
    heidelberg: tuple[Heidelberg, ...] = Field(default=(), description="Suggested classes of the blood")
    earlier: EarlierScan | None = None


class Overlap(Frozen):
    """How far the marks of two systems lie on each other."""

    systems: tuple[str, str]
    dice: Probability
    share_of_smaller: Probability = Field(description="Of the smaller mark, the part that lies in the larger")


class Agreement(Frozen):
    """How far the systems that say where an infarct is agree, whatever a reader set; by the names of the systems."""

    sides: dict[str, MarkedSide]
    territories: dict[str, tuple[Territory, ...]] = Field(description="Largest share first")
    volumes_ml: dict[str, Volume] = Field(description="Of those that outline an infarct")
    overlaps: tuple[Overlap, ...] = Field(description="Of each two that mark a place")
    disagreements: tuple[str, ...] = Field(description="In words; empty where they agree")


class Weights(Frozen):
    """A set of weights that took part."""

    system: str
    name: str
    sha256: str
    calibrated_on: str


class Provenance(Frozen):
    """What made the findings: enough to make them again."""

    weights: tuple[Weights, ...]
    config: dict[str, Any]
    seed: int
    device: str
    engine: str
    engine_version: str
    precision: str
    threads: int


class Findings(Frozen):
    """Everything infarct says about one scan: the content of ``findings.json``."""

    schema_version: Literal["1.6"] = SCHEMA_VERSION
    software: Software
    intended_use: str = INTENDED_USE
    scan: ScanSummary
    quality: Quality
    hemorrhage: Hemorrhage | None = None
    aspects: Aspects | None = None
    hyperdense_artery: HyperdenseArtery | None = None
    infarct: Infarct | None = None
    old_infarct: OldInfarct | None = None
    localization: Localization | None = None
    followup_infarct: FollowupInfarct | None = None
    agreement: Agreement | None = None
    provenance: Provenance
    timings_s: dict[str, float]


@dataclass(frozen=True, eq=False)
class Maps:
    """The arrays behind the findings, (z, y, x) on the scan's own geometry; None where a step did not run.

    ``aspects_regions`` holds the labels of `infarct.anatomy`; ``infarct`` all lesions that count, ``old_infarct``
    those that do not; ``infarct_probability`` is calibrated, 0 to 1; ``side_difference_hu`` is a voxel's HU less its
    mirror's, smoothed, 0 outside the brain. ``patch_probability`` are the calibrated probabilities of all tiles,
    smoothed, 0 outside the brain. ``aspects_attention`` is how much each voxel weighed, 0 to 1, as the method
    looked at the regions that it found affected; None where it does not tell. ``followup_infarct`` is 1 severe, 2
    intermediate, 3 subtle, 4 hemorrhage; of what several networks mark, the faintest. ``ganglionic_slice`` and
    ``supraganglionic_slice`` are the slices that a reader scores on. ``reflection`` is the 4x4 LPS mm matrix that
    mirrors the head through the midsagittal plane that the systems used, its own inverse.
    """

    brain_mask: BoolArray
    aspects_regions: LabelArray | None = None
    aspects_attention: Float32Array | None = None
    side_difference_hu: Float32Array | None = None
    infarct: BoolArray | None = None
    infarct_probability: Float32Array | None = None
    old_infarct: BoolArray | None = None
    patch_probability: Float32Array | None = None
    hemorrhage: BoolArray | None = None
    followup_infarct: LabelArray | None = None
    ganglionic_slice: int | None = None
    supraganglionic_slice: int | None = None
    reflection: Float64Array | None = None


@dataclass(frozen=True, eq=False)
class Analysis:
    """What the pipeline hands to the writers.

    ``cards`` are the model cards of the weights that took part, by the SHA-256 of the weights.
    """

    findings: Findings
    maps: Maps
    cards: Mapping[str, ModelCard] = field(default_factory=dict)


def json_schema() -> str:
    """Return the JSON Schema of ``findings.json`` as indented text."""
    return json.dumps(Findings.model_json_schema(), indent=2, sort_keys=True) + "\n"


def from_json(text: str) -> Findings:
    """Return the findings in a JSON text, of this schema or of an earlier one that differs by additions alone.

    Raises `ValueError` where it is none.
    """
    stored = json.loads(text)
    version = stored.get("schema_version") if isinstance(stored, dict) else None
    major, _, minor = version.partition(".") if isinstance(version, str) else ("", "", "")
    known_major, _, known_minor = SCHEMA_VERSION.partition(".")
    if major != known_major or not minor.isdecimal() or int(minor) > int(known_minor):
        raise ValueError(f"the findings are not of schema {known_major}.0 to {SCHEMA_VERSION}")
    return Findings.model_validate_json(json.dumps({**stored, "schema_version": SCHEMA_VERSION}))


def to_json(findings: Findings) -> str:
    """Return the findings as indented JSON text."""
    return findings.model_dump_json(indent=2) + "\n"
