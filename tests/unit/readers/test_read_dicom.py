"""DICOM series of every layout end on the right HU at the right place."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.datadict import tag_for_keyword as keyword_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from synthetic_ct import (
    AXIAL,
    GAP_MM,
    MARKER_HU,
    MARKER_ZYX,
    PIXEL_MM,
    SLICES,
    Series,
    datasets,
    enhanced,
    fake_head,
    recoded,
    set_pixels,
    write,
    write_nifti,
    write_series,
)

from infarct.errors import NotHeadCT, Refusal, UnreadableInput
from infarct.readers import read_scan
from infarct.volume import Geometry, Scan

ORIGIN = np.array([-63.0, -71.0, 0.0])
MARKER_MM = ORIGIN + np.array([MARKER_ZYX[2] * PIXEL_MM, MARKER_ZYX[1] * PIXEL_MM, MARKER_ZYX[0] * GAP_MM])


def codes(scan: Scan) -> set[str]:
    return {flag.code for flag in scan.flags}


def marker_mm(scan: Scan) -> Any:
    """Return where the marker's centre lies, found in the voxels."""
    found = np.argwhere(np.abs(scan.hu - MARKER_HU) < 30)
    inner = found[np.abs(scan.geometry.index_to_world(found) - MARKER_MM).max(axis=1) < 15]
    return scan.geometry.index_to_world(inner).mean(axis=0)


def same(scan: Scan, other: Scan) -> bool:
    return bool((scan.hu == other.hu).all()) and np.allclose(scan.geometry.origins_mm, other.geometry.origins_mm)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    return read_scan(write_series(tmp_path_factory.mktemp("clean")))


def test_a_plain_series_gives_its_hu_and_positions(clean: Scan) -> None:
    np.testing.assert_array_equal(clean.hu, fake_head())
    np.testing.assert_allclose(clean.geometry.slice_positions_mm, np.arange(SLICES) * GAP_MM)
    np.testing.assert_allclose(clean.geometry.origins_mm[0], ORIGIN)
    np.testing.assert_allclose(marker_mm(clean), MARKER_MM, atol=0.01)
    assert clean.flags == ()
    assert clean.acquisition.kernel == "H31s"
    assert clean.acquisition.slice_thickness_mm == 5.0
    assert [s.sop_instance_uid for s in clean.source.slices] == [f"1.2.3.4.{k + 1}" for k in range(SLICES)]


def test_slices_are_sorted_by_position_not_by_instance_number(tmp_path: Path, clean: Scan) -> None:
    def backwards(ds: Dataset, k: int) -> None:
        ds.InstanceNumber = 100 - k

    assert same(read_scan(write_series(tmp_path, Series(edit=backwards))), clean)


@pytest.mark.parametrize("seed", range(5))
def test_names_order_and_folders_of_the_files_change_nothing(tmp_path: Path, clean: Scan, seed: int) -> None:
    rng = np.random.Generator(np.random.Philox(seed))
    for number, k in enumerate(rng.permutation(SLICES)):
        sub = tmp_path / f"part{rng.integers(3)}" / "deep"
        write(sub, [datasets(Series())[k]], suffix=str(rng.choice(["", ".dcm", ".IMA"])), prefix=f"f{number}_")
    found = read_scan(tmp_path)
    assert same(found, clean)
    assert found.source == clean.source


def test_files_without_preamble_are_read(tmp_path: Path, clean: Scan) -> None:
    for path in write_series(tmp_path, suffix="").iterdir():
        path.write_bytes(path.read_bytes()[132:])
    assert same(read_scan(tmp_path), clean)


def test_other_files_are_left_aside(tmp_path: Path, clean: Scan) -> None:
    write_series(tmp_path)
    (tmp_path / "readme.txt").write_text("notes")
    (tmp_path / "Thumbs.db").write_bytes(bytes(range(200)))
    (tmp_path / "._000.dcm").write_bytes(b"\0\5\x16\7" + bytes(100))
    assert same(read_scan(tmp_path), clean)


def tilted_positions(heights: Any, degrees: float = 18.5) -> tuple[Any, tuple[float, ...]]:
    """Return origins straight above each other and the orientation of slices tilted against that line."""
    angle = np.radians(degrees)
    origins = np.stack([[-63.0, -71.0, height] for height in heights])
    return origins, (1, 0, 0, 0, float(np.cos(angle)), float(-np.sin(angle)))


def test_a_tilted_gantry_is_kept_as_an_origin_per_slice(tmp_path: Path) -> None:
    origins, orientation = tilted_positions(np.arange(SLICES) * GAP_MM)
    scan = read_scan(write_series(tmp_path, Series(positions=origins, orientation=orientation)))
    assert scan.geometry.tilt_deg == pytest.approx(18.5, abs=0.01)
    gaps = np.diff(scan.geometry.slice_positions_mm)
    np.testing.assert_allclose(gaps, GAP_MM * np.cos(np.radians(18.5)), atol=1e-3)
    np.testing.assert_allclose(scan.geometry.origins_mm, origins, atol=1e-3)
    rows, columns = np.array(orientation[3:]), np.array(orientation[:3])
    expected = origins[5] + MARKER_ZYX[1] * PIXEL_MM * rows + MARKER_ZYX[2] * PIXEL_MM * columns
    np.testing.assert_allclose(scan.geometry.index_to_world(MARKER_ZYX), expected, atol=1e-3)
    assert codes(scan) == set()


def test_two_stacks_of_different_spacing_and_thickness_are_one_scan(tmp_path: Path) -> None:
    heights = np.r_[np.arange(7) * 4.0, 24 + 5.5 + np.arange(5) * 7.0]
    origins = np.stack([[-63.0, -71.0, h] for h in heights])

    def thick(ds: Dataset, k: int) -> None:
        ds.SliceThickness = 4 if k < 7 else 7

    scan = read_scan(write_series(tmp_path, Series(positions=origins, edit=thick)))
    np.testing.assert_allclose(scan.geometry.slice_positions_mm, heights)
    assert scan.acquisition.slice_thickness_mm == 7
    assert codes(scan) == set()


def test_a_short_step_between_two_stacks_keeps_all_slices_and_is_told(tmp_path: Path) -> None:
    heights = np.r_[np.arange(7) * 4.0, 24 + 1.1 + np.arange(5) * 7.0]

    def thick(ds: Dataset, k: int) -> None:
        ds.SliceThickness = 4 if k < 7 else 7

    origins = np.stack([[-63.0, -71.0, h] for h in heights])
    scan = read_scan(write_series(tmp_path, Series(positions=origins, edit=thick)))
    assert scan.hu.shape[0] == SLICES
    assert codes(scan) == {"stacks_overlap"}


def test_stacks_that_interleave_keep_all_slices_with_shorter_intervals(tmp_path: Path) -> None:
    lower, upper = np.arange(10) * 5.0, 32 + np.arange(10) * 5.0
    heights = np.sort(np.r_[lower, upper])
    head = fake_head(len(heights))
    origins = np.stack([[-63.0, -71.0, h] for h in heights])
    scan = read_scan(write_series(tmp_path, Series(head, positions=origins)))
    np.testing.assert_allclose(scan.geometry.slice_positions_mm, heights)
    assert "stacks_overlap" in codes(scan)
    assert scan.geometry.slice_intervals_mm.sum() == pytest.approx(heights[-1] + 5, abs=0.1)


def test_copies_of_slices_are_dropped_and_told(tmp_path: Path, clean: Scan) -> None:
    images = datasets(Series())
    scan = read_scan(write(tmp_path, [*images, images[3], images[7]]))
    assert same(scan, clean)
    assert [(flag.code, flag.value) for flag in scan.flags] == [("slices_duplicate", 2.0)]


def test_two_acquisitions_in_one_series_are_told_apart(tmp_path: Path, clean: Scan) -> None:
    def second(ds: Dataset, k: int) -> None:
        ds.AcquisitionNumber, ds.SOPInstanceUID = 2, f"1.2.9.{k}"

    images = [*datasets(Series()), *datasets(Series(fake_head(seed=2), edit=second))]
    scan = read_scan(write(tmp_path, images))
    assert same(scan, clean)
    assert [(flag.code, flag.value) for flag in scan.flags] == [("acquisitions_several", SLICES)]


def test_images_that_contest_one_place_are_a_critical_flag(tmp_path: Path) -> None:
    images = datasets(Series())
    other = datasets(Series(fake_head(seed=3)))[4]
    other.SOPInstanceUID = "1.2.9.9"
    scan = read_scan(write(tmp_path, [*images, other]))
    assert [(flag.code, flag.severity) for flag in scan.flags] == [("slices_conflicting", "critical")]


@pytest.mark.parametrize("gone", [[4], [10], [3, 4], [2, 4, 6]])
def test_missing_slices_are_told(tmp_path: Path, gone: list[int]) -> None:
    images = [ds for k, ds in enumerate(datasets(Series())) if k not in gone]
    scan = read_scan(write(tmp_path, images))
    missing = [flag for flag in scan.flags if flag.code == "slices_missing"]
    assert [(flag.value, flag.severity) for flag in missing] == [(len(gone), "warning")]


def test_pixels_need_not_be_square(tmp_path: Path) -> None:
    scan = read_scan(write_series(tmp_path, Series(pixel_mm=(2.0, 1.8))))
    assert scan.geometry.pixel_spacing_mm_yx == (2.0, 1.8)
    expected = ORIGIN + np.array([42 * 1.8, 20 * 2.0, 25.0])
    np.testing.assert_allclose(scan.geometry.index_to_world(MARKER_ZYX), expected)


def stored(scan_hu: Any, axes: tuple[bool, bool, bool]) -> Any:
    """Undo ``axes`` the obvious way: flip columns, flip rows, transpose back."""
    transposed, rows_flipped, columns_flipped = axes
    slices = scan_hu[:, :, ::-1] if columns_flipped else scan_hu
    slices = slices[:, ::-1] if rows_flipped else slices
    return slices.transpose(0, 2, 1) if transposed else slices


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("rows_flipped", [False, True])
@pytest.mark.parametrize("columns_flipped", [False, True])
@pytest.mark.parametrize("downwards", [False, True])
def test_any_axes_in_the_axial_plane_end_on_the_same_scan(
    tmp_path: Path, clean: Scan, transposed: bool, rows_flipped: bool, columns_flipped: bool, downwards: bool
) -> None:
    """Prone, feet first, mirrored and rotated pictures: what the scanner says about its axes decides."""
    axes = transposed, rows_flipped, columns_flipped
    hu = stored(fake_head(), axes)
    corner = ORIGIN + np.array([63 * PIXEL_MM if columns_flipped else 0, 71 * PIXEL_MM if rows_flipped else 0, 0])
    x = np.array([-1.0 if columns_flipped else 1.0, 0, 0])
    y = np.array([0, -1.0 if rows_flipped else 1.0, 0])
    orientation = (*y, *x) if transposed else (*x, *y)
    positions = corner + np.arange(SLICES)[:, None] * [0, 0, GAP_MM]
    if downwards:
        hu, positions = hu[::-1], positions[::-1]
    scan = read_scan(write_series(tmp_path, Series(hu, positions=positions, orientation=orientation)))
    np.testing.assert_array_equal(scan.hu, clean.hu)
    np.testing.assert_allclose(scan.geometry.origins_mm, clean.geometry.origins_mm, atol=1e-4)
    np.testing.assert_allclose(marker_mm(scan), MARKER_MM, atol=0.01)
    assert scan.source.stored_axes == axes
    files = {ds.SOPInstanceUID: k for k, ds in enumerate(datasets(Series(hu)))}
    back = stored(scan.hu, scan.source.stored_axes)
    for k, reference in enumerate(scan.source.slices):
        np.testing.assert_array_equal(back[k], hu[files[reference.sop_instance_uid]])


def test_each_slice_is_rescaled_with_its_own_slope_and_intercept(tmp_path: Path, clean: Scan) -> None:
    slopes = [1.0] * 6 + [0.5] * 6
    scan = read_scan(write_series(tmp_path, Series(slope=slopes, bits=16, intercept=-1100.0)))
    np.testing.assert_allclose(scan.hu, clean.hu, atol=1e-3)
    assert codes(scan) == {"rescale_varies"}


@pytest.mark.parametrize(("signed", "bits"), [(False, 12), (False, 16), (True, 16), (True, 13)])
def test_signed_and_unsigned_values_of_any_width(tmp_path: Path, clean: Scan, signed: bool, bits: int) -> None:
    series = Series(signed=signed, bits=bits, intercept=0.0 if signed else -1024.0)
    assert same(read_scan(write_series(tmp_path, series)), clean)


def test_bits_above_the_stored_ones_are_ignored(tmp_path: Path, clean: Scan) -> None:
    def overlay(ds: Dataset, k: int) -> None:
        del k
        pixels = np.frombuffer(ds.PixelData, "<u2") | np.uint16(0x9000)
        ds.PixelData = pixels.tobytes()

    assert same(read_scan(write_series(tmp_path, Series(edit=overlay))), clean)


def test_values_left_of_the_high_bit_position_are_shifted_down(tmp_path: Path, clean: Scan) -> None:
    def raised(ds: Dataset, k: int) -> None:
        del k
        ds.HighBit = 15
        ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") << 4).astype("<u2").tobytes()

    assert same(read_scan(write_series(tmp_path, Series(edit=raised))), clean)


@pytest.mark.parametrize("limit", [None, -1990])
def test_padding_and_values_outside_the_field_become_air(tmp_path: Path, clean: Scan, limit: int | None) -> None:
    def padded(ds: Dataset, k: int) -> None:
        del k
        pixels = np.frombuffer(ds.PixelData, "<i2").copy().reshape(72, 64)
        pixels[:4] = -2000
        if limit is not None:
            pixels[1] = limit
        ds.PixelData = pixels.tobytes()
        ds.add_new("PixelPaddingValue", "SS", -2000)
        if limit is not None:
            ds.add_new("PixelPaddingRangeLimit", "SS", limit)

    scan = read_scan(write_series(tmp_path, Series(signed=True, bits=16, intercept=0, edit=padded)))
    assert (scan.hu[:, :4] == -1000).all()
    np.testing.assert_array_equal(scan.hu[:, 4:], clean.hu[:, 4:])
    assert codes(scan) == set()


def test_a_padding_value_among_tissue_is_not_used(tmp_path: Path, clean: Scan) -> None:
    def padded(ds: Dataset, k: int) -> None:
        del k
        ds.add_new("PixelPaddingValue", "US", 1059)

    scan = read_scan(write_series(tmp_path, Series(edit=padded)))
    assert same(scan, clean)
    assert codes(scan) == {"padding_implausible"}


@pytest.mark.parametrize(
    "syntax",
    [
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.57",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.90",
    ],
    ids=["implicit", "big endian", "deflated", "RLE", "JPEG 57", "JPEG 70", "JPEG-LS", "JPEG 2000"],
)
@pytest.mark.parametrize("signed", [False, True])
def test_every_transfer_syntax_gives_the_same_hu(tmp_path: Path, clean: Scan, syntax: str, signed: bool) -> None:
    series = Series(signed=signed, bits=16 if signed else 12, intercept=0 if signed else -1024)
    assert same(read_scan(recoded(write_series(tmp_path / "plain", series), syntax, tmp_path / "coded")), clean)


def test_an_enhanced_file_gives_its_frames_in_order_of_position(tmp_path: Path, clean: Scan) -> None:
    path = tmp_path / "one"
    enhanced().save_as(path, enforce_file_format=True)
    for scan in (read_scan(path), read_scan(tmp_path)):
        assert same(scan, clean)
        assert [s.frame_number for s in scan.source.slices] == list(range(SLICES, 0, -1))
        assert scan.acquisition.kernel == "H31s"


def test_missing_optional_tags_do_no_harm(tmp_path: Path, clean: Scan) -> None:
    optional = (
        "SliceThickness KVP ConvolutionKernel Manufacturer InstanceNumber AcquisitionNumber SeriesNumber "
        "PatientName PatientID PatientPosition ImageType StudyInstanceUID"
    )

    def bare(ds: Dataset, k: int) -> None:
        del k
        for keyword in optional.split():
            delattr(ds, keyword)

    scan = read_scan(write_series(tmp_path, Series(edit=bare)))
    assert same(scan, clean)
    assert codes(scan) == set()
    assert scan.acquisition.kvp is None


@pytest.mark.parametrize(
    ("tags", "years"),
    [
        ({"PatientAge": "067Y"}, 67),
        ({"PatientAge": "006M"}, 0),
        ({"PatientAge": "030M"}, 2),
        ({"PatientBirthDate": "19500615", "StudyDate": "20200614"}, 69),
        ({"PatientBirthDate": "19500615", "StudyDate": "20200615"}, 70),
        ({"PatientAge": "old"}, None),
        ({}, None),
    ],
)
def test_the_age_comes_from_the_age_or_else_the_dates(tmp_path: Path, tags: dict[str, str], years: int | None) -> None:
    def aged(ds: Dataset, k: int) -> None:
        del k
        for keyword, text in tags.items():
            tag = keyword_tag(keyword)
            ds[tag] = DataElement(tag, dictionary_VR(tag), text, validation_mode=0)

    assert read_scan(write_series(tmp_path, Series(edit=aged))).acquisition.patient_age_years == years


def test_a_contrast_agent_in_the_only_series_is_a_critical_flag(tmp_path: Path) -> None:
    def contrast(ds: Dataset, k: int) -> None:
        del k
        ds.ContrastBolusAgent = "Iodine 350"

    scan = read_scan(write_series(tmp_path, Series(edit=contrast)))
    assert [(flag.code, flag.severity) for flag in scan.flags] == [("contrast_suspected", "critical")]
    assert scan.acquisition.contrast_agent is True


def test_progress_counts_headers_and_then_slices(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    read_scan(write_series(tmp_path), progress=lambda done, total: steps.append((done, total)))
    assert steps == [(n + 1, SLICES) for n in range(SLICES)] * 2


# --- damage that flags must tell ---


def test_a_position_shifted_in_one_header_is_told(tmp_path: Path) -> None:
    for axis, code in ((0, "slices_shifted"), (2, "slice_positions_irregular")):
        origins = Series().origins.copy()
        origins[5, axis] += 1.5
        assert code in codes(read_scan(write_series(tmp_path / str(axis), Series(positions=origins))))


def test_slice_locations_that_contradict_the_positions_are_told(tmp_path: Path) -> None:
    def located(ds: Dataset, k: int) -> None:
        ds.SliceLocation = 5.0 * k + (3 if k == 6 else 0)

    assert codes(read_scan(write_series(tmp_path, Series(edit=located)))) == {"slice_positions_conflict"}


def test_exchanged_slices_are_told(tmp_path: Path) -> None:
    head = fake_head()
    head[[3, 4]] = head[[4, 3]]
    scan = read_scan(write_series(tmp_path, Series(head)))
    assert {flag.code: flag.severity for flag in scan.flags} == {"slice_inconsistent": "critical"}


def test_a_single_wild_voxel_is_told(tmp_path: Path) -> None:
    head = fake_head()
    head[6, 36, 30] += 512
    assert codes(read_scan(write_series(tmp_path, Series(head)))) == {"voxels_inconsistent"}


def test_a_slice_torn_off_into_another_series_is_told(tmp_path: Path) -> None:
    def torn(ds: Dataset, k: int) -> None:
        if k == SLICES - 1:
            ds.SeriesInstanceUID = "1.2.3.5"

    assert codes(read_scan(write_series(tmp_path, Series(edit=torn)))) == {"slices_stray"}


def test_missing_rescaling_is_told(tmp_path: Path) -> None:
    def bare(ds: Dataset, k: int) -> None:
        del k, ds.RescaleSlope, ds.RescaleIntercept

    series = Series(signed=True, bits=16, intercept=0, edit=bare)
    assert codes(read_scan(write_series(tmp_path, series))) == {"rescale_missing"}


def test_air_far_from_minus_1000_is_told(tmp_path: Path) -> None:
    series = replace(Series(fake_head() * 1.2), intercept=-2000, bits=16)
    assert "hu_offset_suspected" in codes(read_scan(write_series(tmp_path, series)))


# --- refusals ---


def refusal(path: Path, kind: type[Refusal] = UnreadableInput) -> str:
    with pytest.raises(kind) as caught:
        read_scan(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) not in text
    assert path.name not in text.split()
    return text


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nowhere")
    assert "no files" in refusal(tmp_path)


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear colleague")
    assert "no DICOM image" in refusal(tmp_path)
    assert "neither" in refusal(tmp_path / "letter.txt")


def test_a_single_slice_file_is_refused_and_the_folder_asked_for(tmp_path: Path) -> None:
    write_series(tmp_path)
    assert "folder" in refusal(tmp_path / "003.dcm")


def test_other_modalities_are_refused_by_name(tmp_path: Path) -> None:
    def magnetic(ds: Dataset, k: int) -> None:
        del k
        ds.Modality = "MR"

    assert "modality MR" in refusal(write_series(tmp_path, Series(edit=magnetic)), NotHeadCT)


def test_fewer_than_eight_slices_are_refused(tmp_path: Path) -> None:
    assert "7 slices" in refusal(write(tmp_path, datasets(Series())[:7]), NotHeadCT)


def test_pictures_of_eight_bits_are_refused(tmp_path: Path) -> None:
    def picture(ds: Dataset, k: int) -> None:
        window = np.clip((fake_head()[k] + 0) / 80 * 255, 0, 255)
        set_pixels(ds, np.round(window))
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0

    assert "windowed picture" in refusal(write_series(tmp_path, Series(edit=picture)), NotHeadCT)


def test_one_truncated_slice_refuses_the_series(tmp_path: Path) -> None:
    path = write_series(tmp_path) / "004.dcm"
    whole = path.read_bytes()
    for length in (len(whole) - 1000, len(whole) // 10, 200, 0):
        path.write_bytes(whole[:length])
        assert refusal(tmp_path)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"])
def test_a_truncated_compressed_stream_is_refused(tmp_path: Path, syntax: str) -> None:
    folder = recoded(write_series(tmp_path / "plain"), syntax, tmp_path / "coded")
    path = folder / "004.dcm"
    path.write_bytes(path.read_bytes()[:-3000])
    assert refusal(folder)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda ds: setattr(ds, "PixelSpacing", [1.9, 2.0]), "pixel spacing"),
        (lambda ds: setattr(ds, "ImageOrientationPatient", [-1, 0, 0, 0, 1, 0]), "orientation"),
        (lambda ds: setattr(ds, "ImageOrientationPatient", [1, 0, 0, 3, 1, 0]), "orientation"),
        (lambda ds: set_pixels(ds, np.zeros((64, 64))), "size"),
        (lambda ds: delattr(ds, "ImagePositionPatient"), "position"),
        (lambda ds: setattr(ds, "PatientID", "P2"), "patients"),
        (lambda ds: setattr(ds, "RescaleSlope", 0), "rescaling"),
        (lambda ds: delattr(ds, "Rows"), "size"),
    ],
)
def test_one_slice_that_contradicts_the_others_refuses_the_series(tmp_path: Path, change: Any, word: str) -> None:
    def odd(ds: Dataset, k: int) -> None:
        if k == 5:
            change(ds)

    assert word in refusal(write_series(tmp_path, Series(edit=odd)))


def test_an_impossible_size_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    def huge(ds: Dataset, k: int) -> None:
        if k == 0:
            ds.Rows = ds.Columns = 65535

    assert refusal(write_series(tmp_path, Series(edit=huge)))


def test_coronal_series_are_refused(tmp_path: Path) -> None:
    positions = np.stack([[-63.0, 5.0 * k, 60.0] for k in range(SLICES)])
    series = Series(positions=positions, orientation=(1, 0, 0, 0, 0, -1))
    assert "axial" in refusal(write_series(tmp_path, series), NotHeadCT)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.102", "1.2.840.113619.5.2"])
def test_unknown_compression_is_refused(tmp_path: Path, syntax: str) -> None:
    folder = recoded(write_series(tmp_path / "plain"), "1.2.840.10008.1.2.4.70", tmp_path / "coded")
    for path in folder.iterdir():
        old = b"1.2.840.10008.1.2.4.70"
        path.write_bytes(path.read_bytes().replace(old, syntax.encode().ljust(len(old), b"\0")[: len(old)]))
    assert refusal(folder)


def test_geometry_matches_an_upright_grid(clean: Scan) -> None:
    expected = Geometry.regular(clean.hu.shape, (GAP_MM, PIXEL_MM, PIXEL_MM), origin_mm=ORIGIN)
    np.testing.assert_allclose(clean.geometry.affine, expected.affine)
    assert AXIAL[0] == 1.0


def test_nifti_and_dicom_of_one_head_agree(tmp_path: Path, clean: Scan) -> None:
    assert same(read_scan(write_nifti(tmp_path / "head.nii.gz", fake_head())), clean)
