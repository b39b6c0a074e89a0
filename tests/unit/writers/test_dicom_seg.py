from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import numpy.typing as npt
import pytest
from pydicom.dataset import Dataset
from stored_analyses import KINDS, Stored, frames_of, write_all

from infarct.types import BoolArray

Make = Callable[[str], Stored]


@pytest.fixture(scope="module")
def make(series_of: Make, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Return the maker of a series with its segmentations beside it."""
    made: dict[str, Stored] = {}

    def get(kind: str) -> Stored:
        if kind not in made:
            case = series_of(kind)
            made[kind] = replace(case, folder=write_all(case, tmp_path_factory.mktemp(kind) / "out", formats=("seg",)))
        return made[kind]

    return get


def read_back(path: Path, images: tuple[tuple[Dataset, int | None], ...]) -> npt.NDArray[np.uint8]:
    """Return what highdicom reads for the source frames (frames, rows, columns, segments), none where nothing is."""
    segmentation = hd.seg.segread(path)
    options = {"ignore_spatial_locations": False, "assert_missing_frames_are_empty": True}
    if images[0][1] is None:
        uids = [image.SOPInstanceUID for image, _ in images]
        return np.asarray(segmentation.get_pixels_by_source_instance(uids, **options))
    parts = []
    for uid in dict.fromkeys(image.SOPInstanceUID for image, _ in images):
        numbers = [number for image, number in images if image.SOPInstanceUID == uid]
        parts.append(segmentation.get_pixels_by_source_frame(uid, numbers, **options))
    return np.concatenate(parts)


def in_source(mask: BoolArray, case: Stored) -> BoolArray:
    """Return where a mask lies on the stored frames, found by world positions alone: an independent way."""
    out = []
    for image, number in case.images:
        if number is None:
            position, orientation, spacing = (
                image.ImagePositionPatient,
                image.ImageOrientationPatient,
                image.PixelSpacing,
            )
        else:
            shared = image.SharedFunctionalGroupsSequence[0]
            position = image.PerFrameFunctionalGroupsSequence[number - 1].PlanePositionSequence[0].ImagePositionPatient
            orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
            spacing = shared.PixelMeasuresSequence[0].PixelSpacing
        rows, columns = np.meshgrid(np.arange(image.Rows), np.arange(image.Columns), indexing="ij")
        along, down = (np.array(orientation[part], dtype=float) for part in (slice(0, 3), slice(3, 6)))
        world = (
            np.array(position, dtype=float)
            + columns[..., None] * float(spacing[1]) * along
            + rows[..., None] * float(spacing[0]) * down
        )
        index = case.scan.geometry.world_to_index(world)
        nearest = np.round(index).astype(int)
        assert np.abs(index - nearest).max() < 1e-3
        out.append(mask[nearest[..., 0], nearest[..., 1], nearest[..., 2]])
    return np.stack(out)


@pytest.mark.parametrize("kind", KINDS)
def test_masks_come_back_voxel_for_voxel_on_the_source_frames(make: Make, kind: str) -> None:
    case = make(kind)
    for name in ("infarct", "old_infarct", "hemorrhage"):
        mask = getattr(case.analysis.maps, name)
        back = read_back(case.folder / "dicom" / f"seg_{name}.dcm", case.images)
        np.testing.assert_array_equal(back[..., 0], in_source(mask, case))
        assert back.sum() == mask.sum() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_region_comes_back_under_its_name(make: Make, kind: str) -> None:
    case = make(kind)
    path = case.folder / "dicom" / "seg_aspects_regions.dcm"
    labels, segmentation = case.analysis.maps.aspects_regions, hd.seg.segread(path)
    assert labels is not None
    back = read_back(path, case.images)
    values = [value for value in range(1, 21) if (labels == value).any()]
    assert back.shape[-1] == len(values) == 18
    for number, value in enumerate(values, start=1):
        np.testing.assert_array_equal(back[..., number - 1], in_source(labels == value, case))
        side = "Right" if value <= 10 else "Left"
        kind_of = segmentation.SegmentSequence[number - 1].SegmentedPropertyTypeCodeSequence[0]
        assert segmentation.SegmentSequence[number - 1].SegmentLabel.startswith(side)
        assert kind_of.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == side


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_image_is_referred_to_and_each_frame_to_its_own(make: Make, kind: str) -> None:
    case = make(kind)
    segmentation = hd.seg.segread(case.folder / "dicom" / "seg_infarct.dcm")
    uids = list(dict.fromkeys(uid for uid, _ in frames_of(case.images)))
    series = segmentation.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == case.scan.source.series_uid
    for items in (series.ReferencedInstanceSequence, segmentation.SourceImageSequence):
        assert [item.ReferencedSOPInstanceUID for item in items] == uids
        assert {item.ReferencedSOPClassUID for item in items} == {case.images[0][0].SOPClassUID}
    mask = case.analysis.maps.infarct
    assert mask is not None
    frames = segmentation.PerFrameFunctionalGroupsSequence
    items = [frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in frames]
    sources = [(item.ReferencedSOPInstanceUID, int(item.get("ReferencedFrameNumber", 0))) for item in items]
    expected = [frames_of(case.images)[k] for k in np.flatnonzero(mask.any(axis=(1, 2)))]
    assert sorted(sources) == sorted(expected)
    for frame, (uid, number) in zip(frames, sources, strict=True):
        image = next(image for image, _ in case.images if image.SOPInstanceUID == uid)
        if number:
            image = image.PerFrameFunctionalGroupsSequence[number - 1].PlanePositionSequence[0]
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(place, image.ImagePositionPatient, atol=1e-6)


def test_followup_degrees_and_blood_are_segments_of_one_object(series_of: Make, tmp_path: Path) -> None:
    case = series_of("tilted_uneven")
    labels = np.zeros(case.scan.hu.shape, dtype=np.uint8)
    labels[3, 20:30, 40:50], labels[4, 20:28, 40:50], labels[4, 22:25, 42:45] = 1, 3, 4  # 2 is not there
    maps = replace(case.analysis.maps, followup_infarct=labels)
    path = write_all(replace(case, analysis=replace(case.analysis, maps=maps)), tmp_path / "out", formats=("seg",))
    back = read_back(path / "dicom" / "seg_followup_infarct.dcm", case.images)
    assert back.shape[-1] == 3
    for number, value in enumerate((1, 3, 4)):
        np.testing.assert_array_equal(back[..., number], in_source(labels == value, case))
    segmentation = hd.seg.segread(path / "dicom" / "seg_followup_infarct.dcm")
    assert "subtle" in segmentation.SegmentSequence[1].SegmentLabel
    assert segmentation.SegmentSequence[2].SegmentedPropertyTypeCodeSequence[0].CodeValue == "50960005"


def test_a_mask_that_holds_nothing_gives_no_object(series_of: Make, tmp_path: Path) -> None:
    case = series_of("upright")
    nothing = np.zeros(case.scan.hu.shape, dtype=bool)
    maps = replace(case.analysis.maps, infarct=nothing, old_infarct=None, hemorrhage=nothing)
    path = write_all(replace(case, analysis=replace(case.analysis, maps=maps)), tmp_path / "out", formats=("seg",))
    assert [one.name for one in (path / "dicom").iterdir()] == ["seg_aspects_regions.dcm"]


def test_terms_are_those_of_snomed(make: Make) -> None:
    folder = make("upright").folder / "dicom"
    infarct, old = (
        hd.seg.segread(folder / f"seg_{name}.dcm").SegmentSequence[0] for name in ("infarct", "old_infarct")
    )
    for segment in (infarct, old):
        assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "55641003"
        assert segment.AnatomicRegionSequence[0].CodeValue == "12738006"
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentAlgorithmName == "infarct asymmetry"
    assert old.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == "90734009"
    regions = hd.seg.segread(folder / "seg_aspects_regions.dcm").SegmentSequence
    lentiform = regions[3]
    assert lentiform.SegmentLabel == "Right lentiform nucleus (ASPECTS L)"
    assert [site.CodeMeaning for site in lentiform.AnatomicRegionSequence] == ["Putamen", "Globus pallidus"]
