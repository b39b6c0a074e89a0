from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from stored_analyses import Stored, frames_of, write_all

from infarct.volume import Scan
from infarct.writers.key_images import draw_captioned, key_images

Make = Callable[[str], Stored]
NAMES = ("ganglionic", "supraganglionic", "lesion")


def captures(folder: Path) -> dict[str, pydicom.Dataset]:
    return {name: pydicom.dcmread(folder / "dicom" / f"sc_{name}.dcm") for name in NAMES}


@pytest.mark.parametrize("kind", ["tilted_uneven", "transposed", "two_enhanced"])
def test_pictures_are_stored_as_drawn_and_refer_to_their_slice(series_of: Make, tmp_path: Path, kind: str) -> None:
    case = series_of(kind)
    found = captures(write_all(case, tmp_path / "out", formats=("sc",)))
    maps = case.analysis.maps
    assert maps.infarct is not None
    fullest = int(maps.infarct.sum(axis=(1, 2)).argmax())
    slices = (maps.ganglionic_slice, maps.supraganglionic_slice, fullest)
    for image, k in zip(key_images(case.scan, case.analysis), slices, strict=True):
        capture = found[image.name]
        np.testing.assert_array_equal(capture.pixel_array, draw_captioned(image, case.analysis))
        (source,) = capture.SourceImageSequence
        assert k is not None
        reference = source.ReferencedSOPInstanceUID, int(source.get("ReferencedFrameNumber", 0))
        assert reference == frames_of(case.images)[k]
        assert list(capture.PatientOrientation) == ["L", "P"]
        assert (capture.BurnedInAnnotation, capture.ContentQualification) == ("NO", "RESEARCH")


def columns_of(pixels: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> npt.NDArray[np.intp]:
    near = np.abs(pixels.astype(int) - colour).max(axis=-1) < 40
    return np.flatnonzero(near.any(axis=0))


def test_what_is_on_the_left_of_the_patient_is_drawn_on_the_right(series_of: Make, tmp_path: Path) -> None:
    """However the series is stored: the infarct is on the left of the patient, and its outline is orange."""
    for kind in ("upright", "turned", "transposed"):
        found = captures(write_all(series_of(kind), tmp_path / kind, formats=("sc",)))
        pixels = found["lesion"].pixel_array
        orange = columns_of(pixels, (255, 122, 46))
        assert orange.min() > pixels.shape[1] / 2
        assert orange.max() < pixels.shape[1]


def test_the_caption_says_that_it_is_for_research(series_of: Make) -> None:
    """Its letters are burned in below the picture, and follow the words."""
    case = series_of("upright")
    image = key_images(case.scan, case.analysis)[0]
    pixels = draw_captioned(image, case.analysis)
    height = draw_captioned(replace(image, title=""), case.analysis).shape[0]
    assert pixels.shape[0] == height
    band = pixels[-40:]
    assert set(np.unique(band)) >= {0, 255}
    assert (band > 128).mean() > 0.02
    other = draw_captioned(replace(image, title="Other words"), case.analysis)
    np.testing.assert_array_equal(other[-40:], band)
    assert (other != pixels).any()


def test_a_scan_without_lesion_or_levels_has_fewer_pictures(series_of: Make, tmp_path: Path) -> None:
    case = series_of("upright")
    maps = replace(case.analysis.maps, infarct=np.zeros(case.scan.hu.shape, dtype=bool), ganglionic_slice=None)
    analysis = replace(case.analysis, maps=maps)
    assert [image.name for image in key_images(case.scan, analysis)] == ["supraganglionic"]
    folder = write_all(replace(case, analysis=analysis), tmp_path / "out", formats=("sc",))
    assert [path.name for path in (folder / "dicom").iterdir()] == ["sc_supraganglionic.dcm"]


def test_a_mirrored_scan_gives_another_picture(series_of: Make) -> None:
    case = series_of("upright")
    image = key_images(case.scan, case.analysis)[1]
    flipped = Scan(case.scan.hu[:, :, ::-1].copy(), case.scan.geometry)
    other = key_images(flipped, case.analysis)[1]
    assert (draw_captioned(image, case.analysis) != draw_captioned(other, case.analysis)).any()
