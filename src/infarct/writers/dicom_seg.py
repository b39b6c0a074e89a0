"""Masks as DICOM segmentations on the source frames, tilted and uneven ones as they are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from infarct.anatomy import REGION_NAMES, REGIONS, region_of_label
from infarct.findings import Analysis, Findings
from infarct.types import LabelArray
from infarct.writers import dicom_terms as terms
from infarct.writers.dicom_objects import (
    RESEARCH,
    ObjectSet,
    algorithm,
    described,
    own_coding_scheme,
    refer,
    save,
    source_instances,
    stand_ins,
)


@dataclass(frozen=True)
class Segment:
    """One segment: its value in the label map, what it is and where it lies; ``colour`` is for viewers."""

    value: int
    label: str
    category: Code
    kind: Code
    colour: str
    modifier: Code | None = None
    sites: tuple[Code, ...] = ()


@dataclass(frozen=True, eq=False)
class SegmentationMap:
    """A label map (uint8, (z, y, x), on the scan's geometry) with the segments in it and the method that drew it."""

    name: str
    labels: LabelArray
    segments: tuple[Segment, ...]
    method: str


@dataclass(frozen=True)
class WrittenSegment:
    """Where a segment was written: its instance and its number there (from 1), for reports to refer to."""

    sop_instance_uid: str
    number: int
    tracking_id: str
    tracking_uid: str


REGION_COLOURS: Final = (
    "#6cc0f5",
    "#2fd6a6",
    "#f0e442",
    "#cc79a7",
    "#0072b2",
    "#56b4e9",
    "#009e73",
    "#e69f00",
    "#d55e00",
    "#999999",
)
"""Colours of Okabe and Ito, one a region in their order, the same on both sides."""
INFARCT_SEGMENT: Final = Segment(1, "Infarct", terms.ABNORMAL_STRUCTURE, terms.INFARCT, "#ff7a2e", sites=(terms.BRAIN,))
OLD_INFARCT_SEGMENT: Final = Segment(
    1, "Old infarct", terms.ABNORMAL_STRUCTURE, terms.INFARCT, "#2fd6a6", terms.CHRONIC, (terms.BRAIN,)
)
HEMORRHAGE_SEGMENT: Final = Segment(
    1, "Suspected hemorrhage", terms.ABNORMAL_STRUCTURE, terms.HEMORRHAGE, "#f0e442", sites=(terms.BRAIN,)
)
DEGREES: Final = ((1, "severe", "#0072b2"), (2, "intermediate", "#56b4e9"), (3, "subtle", "#cc79a7"))
"""Degrees of darkness of an infarct in follow-up CT, as `infarct.findings.Maps` numbers them."""
FOLLOWUP_SEGMENTS: Final = (
    *(
        Segment(
            value,
            f"Infarct in follow-up CT, {degree} hypodensity",
            terms.ABNORMAL_STRUCTURE,
            terms.INFARCT,
            colour,
            terms.own(degree.upper(), f"{degree.capitalize()} hypodensity"),
            (terms.BRAIN,),
        )
        for value, degree, colour in (
            (1, "severe", "#0072b2"),
            (2, "intermediate", "#56b4e9"),
            (3, "subtle", "#cc79a7"),
        )
    ),
    Segment(
        4, "Hemorrhage in the infarct", terms.ABNORMAL_STRUCTURE, terms.HEMORRHAGE, "#f0e442", sites=(terms.BRAIN,)
    ),
)


def segmentation_maps(analysis: Analysis) -> tuple[SegmentationMap, ...]:
    """Return the label maps of an analysis that hold anything, each with the segments that are in it."""
    maps, findings = analysis.maps, analysis.findings
    drawn_by = findings.infarct.method if findings.infarct else "infarct"
    kinds = (
        ("aspects_regions", maps.aspects_regions, _region_segments(), _regions_method(findings)),
        ("infarct", maps.infarct, (INFARCT_SEGMENT,), drawn_by),
        ("old_infarct", maps.old_infarct, (OLD_INFARCT_SEGMENT,), drawn_by),
        ("hemorrhage", maps.hemorrhage, (HEMORRHAGE_SEGMENT,), _hemorrhage_method(findings)),
        ("followup_infarct", maps.followup_infarct, FOLLOWUP_SEGMENTS, _followup_method(findings)),
    )
    found = []
    for name, labels, segments, method in kinds:
        present = set() if labels is None else set(np.unique(labels).tolist())
        if labels is not None and present - {0}:
            shown = tuple(segment for segment in segments if segment.value in present)
            found.append(SegmentationMap(name, labels.astype(np.uint8), shown, method))
    return tuple(found)


def _region_segments() -> tuple[Segment, ...]:
    found = []
    for value in range(1, 21):
        region, side = region_of_label(value)
        found.append(
            Segment(
                value,
                f"{side.capitalize()} {REGION_NAMES[region]} (ASPECTS {region})",
                terms.ANATOMICAL_STRUCTURE,
                terms.REGION_CODES[region],
                REGION_COLOURS[REGIONS.index(region)],
                terms.LATERALITY[side],
                terms.REGION_SITES[region],
            )
        )
    return tuple(found)


def _regions_method(findings: Findings) -> str:
    return findings.aspects.regions_method if findings.aspects else "atlas"


def _hemorrhage_method(findings: Findings) -> str:
    return findings.hemorrhage.method if findings.hemorrhage else "hemorrhage"


def _followup_method(findings: Findings) -> str:
    return findings.followup_infarct.method if findings.followup_infarct else "follow-up"


def write_segmentations(objects: ObjectSet, analysis: Analysis, folder: Path) -> dict[tuple[str, int], WrittenSegment]:
    """Write ``seg_NAME.dcm`` for each label map into ``folder``, which exists.

    Each has one frame for each segment and slice that hold it, on the source frame as it is stored, and refers to every
    source image. Returns where each segment went, by the map's name and the label's value.
    """
    written = {}
    for number, drawn in enumerate(segmentation_maps(analysis), start=1):
        segmentation = _segmentation(objects, analysis.findings, drawn, number)
        save(segmentation, objects, folder / f"seg_{drawn.name}.dcm")
        for item, segment in zip(segmentation.SegmentSequence, drawn.segments, strict=True):
            written[drawn.name, segment.value] = WrittenSegment(
                str(segmentation.SOPInstanceUID), int(item.SegmentNumber), str(item.TrackingID), str(item.TrackingUID)
            )
    return written


def _segmentation(objects: ObjectSet, findings: Findings, drawn: SegmentationMap, number: int) -> Segmentation:
    numbers = np.zeros(256, dtype=np.uint8)
    for place, segment in enumerate(drawn.segments, start=1):
        numbers[segment.value] = place
    segmentation = Segmentation(
        source_images=stand_ins(objects),
        pixel_array=np.ascontiguousarray(objects.frames.stored(numbers[drawn.labels])),
        segmentation_type="BINARY",
        segment_descriptions=[
            _description(objects, findings, drawn, segment, place) for place, segment in enumerate(drawn.segments, 1)
        ],
        content_label=drawn.name.upper()[:16],
        content_description="Research use only, not a medical device",
        content_qualification=RESEARCH,
        coding_schemes=[own_coding_scheme()],
        **described(objects, kind="seg", number=number, description="infarct: segmentations"),
    )
    _refer_to_source(segmentation, objects)
    _name_dimensions(segmentation, objects.uid("seg", str(number), "dimensions"))
    return segmentation


def _description(
    objects: ObjectSet, findings: Findings, drawn: SegmentationMap, segment: Segment, place: int
) -> SegmentDescription:
    description = SegmentDescription(
        segment_number=place,
        segment_label=segment.label,
        segmented_property_category=segment.category,
        segmented_property_type=segment.kind,
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm(findings, drawn.method),
        tracking_uid=objects.uid("segment", drawn.name, str(segment.value)),
        tracking_id=f"{drawn.name} {segment.value}",
        anatomic_regions=segment.sites,
        display_color=CIELabColor.from_string(segment.colour),
    )
    if segment.modifier is not None:
        modifier = [CodedConcept.from_code(segment.modifier)]
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = modifier
    return description


def _refer_to_source(segmentation: Dataset, objects: ObjectSet) -> None:
    """Put the stored images in the place of their stand-ins."""
    frames = segmentation.PerFrameFunctionalGroupsSequence
    items = [frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in frames]
    slices = [int(item.ReferencedSOPInstanceUID) - 1 for item in items]  # first: segments of one slice share an item
    for item, k in zip(items, slices, strict=True):
        refer(item, objects, k)
    segmentation.SourceImageSequence = source_instances(objects)
    segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence = source_instances(objects)


def _name_dimensions(segmentation: Dataset, uid: str) -> None:
    """Give the dimensions an identifier that follows from the object, in place of a random one."""
    segmentation.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for dimension in segmentation.DimensionIndexSequence:
        dimension.DimensionOrganizationUID = uid
