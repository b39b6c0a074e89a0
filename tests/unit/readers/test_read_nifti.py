"""NIfTI of any layout ends on the same scan; what contradicts itself is flagged or refused."""

import gzip
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from synthetic_ct import MARKER_ZYX, fake_head, ras_affine, write_nifti

from infarct.errors import NotHeadCT, UnreadableInput
from infarct.readers import read_scan
from infarct.volume import Scan

MARKER_LPS = np.array([-63.0 + 42 * 2, -71.0 + 20 * 2, 25.0])


def codes(scan: Scan) -> set[str]:
    return {flag.code for flag in scan.flags}


def image(hu: Any = None, affine: Any = None, *, dtype: Any = np.int16) -> Any:
    data = np.asarray(fake_head() if hu is None else hu).transpose(2, 1, 0).astype(dtype)
    made = nib.Nifti1Image(data, ras_affine() if affine is None else affine)
    made.set_sform(made.affine, 1)
    made.set_qform(made.affine, 1)
    return made


def saved(made: Any, path: Path) -> Path:
    nib.save(made, path)
    return path


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product([False, True], repeat=3)))
def test_any_axis_order_and_flip_ends_on_the_same_scan(
    tmp_path: Path, order: tuple[int, ...], flips: tuple[bool, ...]
) -> None:
    turned = image().as_reoriented(
        np.array([[axis, -1 if flip else 1] for axis, flip in zip(order, flips, strict=True)])
    )
    turned.set_sform(turned.affine, 1)
    turned.set_qform(turned.affine, 1)
    scan = read_scan(saved(turned, tmp_path / "a.nii"))
    np.testing.assert_array_equal(scan.hu, fake_head())
    np.testing.assert_allclose(scan.geometry.index_to_world(MARKER_ZYX), MARKER_LPS, atol=1e-3)
    assert codes(scan) == set()


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_integers_and_floats_packed_or_not(tmp_path: Path, dtype: Any, suffix: str) -> None:
    scan = read_scan(saved(image(dtype=dtype), tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(scan.hu, fake_head())
    assert scan.hu.dtype == np.float32


def test_big_endian_and_second_version(tmp_path: Path) -> None:
    big = nib.Nifti1Image(fake_head().transpose(2, 1, 0).astype(">i2"), ras_affine(), nib.Nifti1Header(endianness=">"))
    second = nib.Nifti2Image(fake_head().transpose(2, 1, 0).astype(np.int16), ras_affine())
    for made in (big, second):
        np.testing.assert_array_equal(read_scan(saved(made, tmp_path / "a.nii.gz")).hu, fake_head())


def test_scaling_is_applied(tmp_path: Path) -> None:
    made = image(hu=fake_head() + 1024, dtype=np.uint16)
    path = saved(made, tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([1.0, -1024.0], "<f4").tobytes()
    path.write_bytes(content)
    np.testing.assert_array_equal(read_scan(path).hu, fake_head())


def test_four_dimensions_with_one_volume(tmp_path: Path) -> None:
    data = fake_head().transpose(2, 1, 0).astype(np.int16)
    made = nib.Nifti1Image(data[..., None], ras_affine())
    np.testing.assert_array_equal(read_scan(saved(made, tmp_path / "a.nii")).hu, fake_head())
    made = nib.Nifti1Image(np.stack([data, data], axis=-1), ras_affine())
    with pytest.raises(NotHeadCT, match="2 volumes"):
        read_scan(saved(made, tmp_path / "b.nii"))


@pytest.mark.parametrize("codes_set", [(1, 0), (0, 1), (2, 1)])
def test_sform_or_qform_alone_will_do(tmp_path: Path, codes_set: tuple[int, int]) -> None:
    scan = read_scan(write_nifti(tmp_path / "a.nii", fake_head(), codes=codes_set))
    np.testing.assert_allclose(scan.geometry.index_to_world(MARKER_ZYX), MARKER_LPS, atol=1e-3)
    assert codes(scan) == set()


def test_no_orientation_at_all_is_a_critical_flag(tmp_path: Path) -> None:
    scan = read_scan(write_nifti(tmp_path / "a.nii", fake_head(), codes=(0, 0)))
    assert [(f.code, f.severity) for f in scan.flags] == [("orientation_unknown", "critical")]


def test_orientations_that_disagree_are_a_critical_flag_and_sform_wins(tmp_path: Path) -> None:
    made = image()
    mirrored = ras_affine() @ np.diag([-1.0, 1, 1, 1])
    made.set_qform(mirrored, 1)
    scan = read_scan(saved(made, tmp_path / "a.nii"))
    assert [(f.code, f.severity) for f in scan.flags] == [("orientation_conflict", "critical")]
    np.testing.assert_allclose(scan.geometry.index_to_world(MARKER_ZYX), MARKER_LPS, atol=1e-3)


def test_a_voxel_size_against_the_matrix_is_flagged(tmp_path: Path) -> None:
    made = image()
    made.set_qform(None, 0)
    made.header["pixdim"][3] = 4.0
    path = saved(made, tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    content[88:92] = np.array([4.0], "<f4").tobytes()
    path.write_bytes(content)
    assert codes(read_scan(path)) == {"spacing_conflict"}


def test_oblique_volumes_keep_their_angles(tmp_path: Path) -> None:
    angle = np.radians(30)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    scan = read_scan(saved(image(affine=turn @ ras_affine()), tmp_path / "a.nii"))
    expected = (turn @ [-MARKER_LPS[0], -MARKER_LPS[1], MARKER_LPS[2], 1])[:3] * (-1, -1, 1)
    np.testing.assert_allclose(scan.geometry.index_to_world(MARKER_ZYX), expected, atol=1e-3)


def test_a_sheared_volume_keeps_an_origin_per_slice(tmp_path: Path) -> None:
    sheared = ras_affine()
    sheared[1, 2] = 1.5
    made = image(affine=sheared)
    made.set_qform(None, 0)
    scan = read_scan(saved(made, tmp_path / "a.nii"))
    assert scan.geometry.tilt_deg == pytest.approx(np.degrees(np.arctan2(1.5, 5)), abs=0.01)
    expected = MARKER_LPS + np.array([0, -1.5 * 5, 0])
    np.testing.assert_allclose(scan.geometry.index_to_world(MARKER_ZYX), expected, atol=1e-3)


def test_axes_that_are_not_square_in_plane_are_refused(tmp_path: Path) -> None:
    sheared = ras_affine()
    sheared[0, 1] = 0.6
    made = image(affine=sheared)
    made.set_qform(None, 0)
    with pytest.raises(NotHeadCT, match="right angles"):
        read_scan(saved(made, tmp_path / "a.nii"))


@pytest.mark.parametrize(("unit", "factor"), [("micron", 1000.0), ("meter", 0.001), ("mm", 1.0), ("unknown", 1.0)])
def test_units_of_length_become_mm(tmp_path: Path, unit: str, factor: float) -> None:
    made = image(affine=np.diag([factor, factor, factor, 1]) @ ras_affine())
    made.header.set_xyzt_units(unit)
    scan = read_scan(saved(made, tmp_path / "a.nii"))
    np.testing.assert_allclose(scan.geometry.spacing_mm_zyx, (5, 2, 2), rtol=1e-4)


def test_values_cut_off_at_zero_are_flagged(tmp_path: Path) -> None:
    for top in (3000, 100, 80):
        scan = read_scan(write_nifti(tmp_path / "a.nii", np.clip(fake_head(), 0, top)))
        assert codes(scan) == {"hu_clipped"}, top


@pytest.mark.parametrize("background", [0, -1024, -1000])
def test_a_stripped_brain_is_flagged(tmp_path: Path, background: int) -> None:
    brain = fake_head()
    skull = np.abs(brain - 28) > 60
    brain[skull] = background
    scan = read_scan(write_nifti(tmp_path / "a.nii", brain, affine=ras_affine()))
    assert "skull_stripped" in codes(scan)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    hu = fake_head()
    hu[3, 4, 5] = value
    with pytest.raises(NotHeadCT, match="not numbers"):
        read_scan(write_nifti(tmp_path / "a.nii.gz", hu, dtype=np.float32))


def test_windowed_pictures_are_refused(tmp_path: Path) -> None:
    picture = np.clip(fake_head() / 80 * 255, 0, 255)
    with pytest.raises(NotHeadCT, match="windowed picture"):
        read_scan(write_nifti(tmp_path / "a.nii.gz", picture, dtype=np.uint8))


def test_truncated_and_corrupt_files_are_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", fake_head())
    packed = path.read_bytes()
    raw = gzip.decompress(packed)
    wrong_checksum = packed[:-8] + bytes(4) + packed[-4:]
    for content in (
        packed[:-2000],
        packed[:40],
        wrong_checksum,
        b"",
        gzip.compress(raw[:-10]),
        gzip.compress(raw + b"1"),
    ):
        path.write_bytes(content)
        with pytest.raises(UnreadableInput):
            read_scan(path)


def test_a_size_beyond_the_file_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", fake_head())
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([32000, 32000, 32000], "<i2").tobytes()
    path.write_bytes(content)
    with pytest.raises(UnreadableInput, match="impossible size"):
        read_scan(path)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    raw = write_nifti(tmp_path / "b.nii", fake_head()).read_bytes()
    path.write_bytes(gzip.compress(raw + bytes(50_000_000)))
    with pytest.raises(UnreadableInput, match="longer"):
        read_scan(path)


def test_header_and_image_pairs_are_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(fake_head().astype(np.int16), np.eye(4)), tmp_path / "a.hdr")
    with pytest.raises(UnreadableInput, match="pair"):
        read_scan(tmp_path / "a.hdr")
