"""A synthetic head with findings: enough anatomy to draw, made up numbers that are easy to find again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from infarct.anatomy import REGIONS, SIDES, Region, Side, region_label
from infarct.findings import (
    Analysis,
    Aspects,
    Findings,
    Hemorrhage,
    HemorrhageType,
    Infarct,
    Lesion,
    Maps,
    OldInfarct,
    Provenance,
    Quality,
    RegionFinding,
    ScanSummary,
    Software,
)
from infarct.types import BoolArray, Flag, Float32Array, LabelArray
from infarct.volume import Acquisition, Geometry, Scan, Source, volume_ml
from infarct.volume.mask import centroid_mm

SHAPE_ZYX = (24, 220, 170)
SPACING_MM_ZYX = (6.0, 0.9, 1.1)  # pixels are not square, so proportions can go wrong
GANGLIONIC, SUPRAGANGLIONIC = 10, 14
AFFECTED: dict[Side, tuple[Region, ...]] = {"left": ("I", "L", "M2", "M5"), "right": ()}

# Boxes in mm from the midplane (outwards) and from the front of the head, on one of the two levels.
REGION_BOXES_MM: dict[Region, tuple[int, float, float, float, float]] = {
    "C": (GANGLIONIC, 6, 14, 62, 78),
    "IC": (GANGLIONIC, 15, 19, 70, 98),
    "L": (GANGLIONIC, 20, 31, 72, 98),
    "I": (GANGLIONIC, 34, 39, 68, 102),
    "M1": (GANGLIONIC, 20, 52, 38, 62),
    "M2": (GANGLIONIC, 41, 60, 68, 102),
    "M3": (GANGLIONIC, 30, 56, 106, 138),
    "M4": (SUPRAGANGLIONIC, 18, 50, 42, 70),
    "M5": (SUPRAGANGLIONIC, 22, 58, 72, 104),
    "M6": (SUPRAGANGLIONIC, 20, 50, 106, 138),
}


@dataclass(frozen=True)
class Head:
    """Distances of every voxel, in mm: from the centre along each axis, and from the front."""

    geometry: Geometry
    z_mm: Float32Array
    y_mm: Float32Array
    x_mm: Float32Array

    def ellipsoid(
        self, radii_mm_zyx: tuple[float, float, float], centre_mm_zyx: tuple[float, float, float]
    ) -> BoolArray:
        distances = zip((self.z_mm, self.y_mm, self.x_mm), radii_mm_zyx, centre_mm_zyx, strict=True)
        return np.asarray(sum(((axis - c) / r) ** 2 for axis, r, c in distances) < 1)


def make_head() -> Head:
    geometry = Geometry.regular(SHAPE_ZYX, SPACING_MM_ZYX, origin_mm=(-93.0, -99.0, -60.0))
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(SHAPE_ZYX, SPACING_MM_ZYX, strict=True)]
    z, y, x = np.meshgrid(*(axis.astype(np.float32) for axis in axes), indexing="ij")
    return Head(geometry, z, y, x)


def make_scan(head: Head, lesion: BoolArray) -> tuple[Scan, BoolArray]:
    """Return a head with skull, ventricles and ``lesion``, and its brain mask."""
    brain = head.ellipsoid((66, 80, 64), (0, 0, 0))
    hu = np.full(SHAPE_ZYX, -1000, dtype=np.float32)
    hu[head.ellipsoid((78, 92, 76), (0, 0, 0))] = 40
    hu[head.ellipsoid((73, 87, 71), (0, 0, 0))] = 900
    noise = np.random.default_rng(1).normal(0, 2.5, SHAPE_ZYX).astype(np.float32)
    hu[brain] = 34
    for side in (-1, 1):
        hu[head.ellipsoid((20, 30, 6), (8, -4, 11 * side))] = 8
    hu[lesion] -= 8
    hu += noise
    source = Source("phantom", series_choice="The only series.")
    return Scan(hu, head.geometry, Acquisition(kvp=120, slice_thickness_mm=6), source), brain


def make_regions(head: Head) -> LabelArray:
    labels = np.zeros(SHAPE_ZYX, dtype=np.uint8)
    for region, (k, inner, outer, front, back) in REGION_BOXES_MM.items():
        behind = head.y_mm + 92
        for side in SIDES:
            outward = head.x_mm if side == "left" else -head.x_mm
            box = (outward > inner) & (outward < outer) & (behind > front) & (behind < back)
            labels[k - 1 : k + 2][box[k - 1 : k + 2]] = region_label(region, side)
    return labels


def make_aspects(**changes: Any) -> Aspects:
    regions = tuple(region_finding(region, side) for side in SIDES for region in REGIONS)
    plain: dict[str, Any] = {
        "score": 6,
        "score_min": 6,
        "score_max": 6,
        "side": "left",
        "side_rule": "evidence",
        "left_score": 6,
        "right_score": 10,
        "method": "asymmetry",
        "regions": regions,
    }
    return Aspects(**{**plain, **changes})


def region_finding(region: Region, side: Side) -> RegionFinding:
    affected = region in AFFECTED[side]
    return RegionFinding(
        region=region,
        side=side,
        affected=affected,
        probability=0.97 if affected else 0.08,
        volume_ml=9.0,
        mean_hu=28.14 if affected else 34.21,
        contralateral_mean_hu=34.16 if affected else 33.98,
        difference_error_hu=0.37 if affected else 0.29,
        net_water_uptake_pct=17.6 if affected else 0.0,
        evaluable=True,
    )


def make_lesion(mask: BoolArray, geometry: Geometry, **changes: Any) -> Lesion:
    plain: dict[str, Any] = {
        "volume_ml": volume_ml(mask, geometry),
        "side": "left",
        "centroid_lps_mm": tuple(centroid_mm(mask, geometry).tolist()),
        "territories": ("MCA", "PCA"),
        "mean_hu": 26.4,
        "net_water_uptake_pct": 21.5,
        "stage": "undetermined",
        "probability": 0.973,
    }
    return Lesion(**{**plain, **changes})


def make_findings(**sections: Any) -> Findings:
    plain: dict[str, Any] = {
        "software": Software(name="infarct", version="0.1.0"),
        "scan": ScanSummary(
            source="phantom",
            series_uid_hash="0123456789abcdef",
            series_choice="The only series.",
            slice_positions_mm=tuple(6.0 * k for k in range(SHAPE_ZYX[0])),
            shape_zyx=SHAPE_ZYX,
            spacing_mm_zyx=SPACING_MM_ZYX,
            slice_thickness_mm=6.0,
            gantry_tilt_deg=-18.5,
            kvp=120.0,
            manufacturer="ACME",
        ),
        "quality": Quality(verdict="ok", flags=()),
        "provenance": Provenance(
            weights=(),
            config={"asymmetry": {"affected_difference_hu": 2.0}},
            seed=0,
            device="cpu",
            engine="numpy",
            engine_version="2.4",
            precision="fp32",
            threads=2,
        ),
        "timings_s": {"register": 3.21, "asymmetry": 0.84},
    }
    return Findings(**{**plain, **sections})


FLAGS = (
    Flag("late_note", "info", "Slices are 6.0 mm apart on average.", 6.0),
    Flag("gantry_tilt", "warning", "The gantry was tilted by 18.5 degrees.", 18.5),
    Flag(
        "registration_poor", "critical", "The head could not be aligned with the template; regions are not valid.", 0.2
    ),
    Flag("uneven_spacing", "warning", "Slices are between 4.0 and 8.0 mm apart.", 4.0),
)

Case: TypeAlias = tuple[Scan, Analysis]
CaseMaker: TypeAlias = Callable[[str], Case]


def lesion_case(head: Head) -> Case:
    """A left lesion of the MCA and a small one in the cerebellum, with every map."""
    main = head.ellipsoid((20, 22, 15), (5, -4, 43))
    small = head.ellipsoid((7, 8, 9), (-40, 30, -20))
    scan, brain = make_scan(head, main | small)
    lesions = (
        make_lesion(main, head.geometry),
        make_lesion(small, head.geometry, side="right", territories=("cerebellum",), probability=None),
    )
    smooth = np.where(main | small, -8.0, 0.0) + np.where(main[:, :, ::-1] | small[:, :, ::-1], 8.0, 0.0)
    total = sum(lesion.volume_ml for lesion in lesions)
    findings = make_findings(
        aspects=make_aspects(),
        infarct=Infarct(method="asymmetry", volume_ml=total, side="left", lesions=lesions),
        old_infarct=OldInfarct(volume_ml=0.0, lesions=()),
        hemorrhage=Hemorrhage(suspected=False, volume_ml=0.0, probability=None, types=()),
    )
    maps = Maps(
        brain_mask=brain,
        aspects_regions=make_regions(head),
        side_difference_hu=(smooth * brain).astype(np.float32),
        infarct=main | small,
        old_infarct=np.zeros_like(brain),
        hemorrhage=np.zeros_like(brain),
        ganglionic_slice=GANGLIONIC,
        supraganglionic_slice=SUPRAGANGLIONIC,
    )
    return scan, Analysis(findings, maps)


def normal_case(head: Head) -> Case:
    scan, analysis = lesion_case(head)
    scan, brain = make_scan(head, np.zeros_like(analysis.maps.brain_mask))
    regions = tuple(
        r.model_copy(update={"affected": False, "probability": 0.05, "mean_hu": 34.0}) for r in make_aspects().regions
    )
    aspects = make_aspects(score=10, score_min=10, score_max=10, left_score=10, side="none", regions=regions)
    findings = analysis.findings.model_copy(
        update={"aspects": aspects, "infarct": Infarct(method="asymmetry", volume_ml=0.0, side="none", lesions=())}
    )
    nothing = np.zeros_like(brain)
    flat = np.zeros(brain.shape, dtype=np.float32)
    return scan, Analysis(findings, replace(analysis.maps, infarct=nothing, side_difference_hu=flat))


def unscored_case(head: Head) -> Case:
    scan, analysis = lesion_case(head)
    blind = {"evaluable": False, "affected": None, "probability": None, "mean_hu": None, "net_water_uptake_pct": None}
    regions = tuple(
        r.model_copy(update=blind) if r.region in ("M4", "M6") and r.side == "left" else r
        for r in make_aspects().regions
    )
    aspects = make_aspects(score=None, score_min=4, score_max=6, left_score=None, regions=regions)
    findings = analysis.findings.model_copy(update={"aspects": aspects})
    return scan, Analysis(findings, analysis.maps)


def bleeding_case(head: Head) -> Case:
    scan, analysis = lesion_case(head)
    blood = head.ellipsoid((12, 10, 9), (0, 10, 25))
    hemorrhage = Hemorrhage(
        suspected=True,
        volume_ml=volume_ml(blood, head.geometry),
        probability=0.91,
        types=(HemorrhageType(type="parenchymal", volume_ml=volume_ml(blood, head.geometry)),),
    )
    old = head.ellipsoid((9, 10, 8), (20, 40, -25))
    old_infarct = OldInfarct(
        volume_ml=volume_ml(old, head.geometry),
        lesions=(make_lesion(old, head.geometry, side="right", stage="old", mean_hu=9.0),),
    )
    findings = analysis.findings.model_copy(
        update={
            "hemorrhage": hemorrhage,
            "old_infarct": old_infarct,
            "quality": Quality(verdict="flagged", flags=FLAGS[1:2]),
        }
    )
    bright = replace(scan, hu=np.where(blood, 65.0, scan.hu).astype(np.float32))
    return bright, Analysis(findings, replace(analysis.maps, hemorrhage=blood, old_infarct=old))


def make_case(name: str) -> Case:
    head = make_head()
    match name:
        case "lesion":
            return lesion_case(head)
        case "normal":
            return normal_case(head)
        case "unscored":
            return unscored_case(head)
        case "bleeding":
            return bleeding_case(head)
        case "flagged":
            scan, analysis = lesion_case(head)
            quality = Quality(verdict="flagged", flags=FLAGS)
            return scan, replace(analysis, findings=analysis.findings.model_copy(update={"quality": quality}))
        case "nothing_run":
            scan, brain = make_scan(head, np.zeros(SHAPE_ZYX, dtype=bool))
            flag = FLAGS[2]
            findings = make_findings(quality=Quality(verdict="flagged", flags=(flag,)))
            return scan, Analysis(findings, Maps(brain_mask=brain))
    raise ValueError(name)


CASES = ("lesion", "normal", "unscored", "bleeding", "flagged", "nothing_run")
