"""A mask of any axis order ends on the scan's grid; one that lies elsewhere is refused."""

from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from synthetic_ct import fake_head, ras_affine

from infarct.cohorts.masks import GRID_TOLERANCE_MM, check_same_grid, farthest_mm, load_files, read_mask
from infarct.errors import BadRequest, Refusal, UnreadableInput
from infarct.readers.nifti import read_nifti_labels
from infarct.volume import Geometry
from unit.cohorts.tiny_cohorts import GEOMETRY, lesion, nifti, old_lesion


def turned(path: Path, array: Any, order: tuple[int, ...], flips: tuple[bool, ...]) -> Path:
    """Write an array (z, y, x) with its voxel axes in another order, the same in the world."""
    made = nib.Nifti1Image(np.asarray(array).transpose(2, 1, 0).astype(np.uint8), ras_affine())
    axes = np.array([[axis, -1 if flip else 1] for axis, flip in zip(order, flips, strict=True)])
    made = made.as_reoriented(axes)
    made.set_sform(made.affine, 1)
    made.set_qform(made.affine, 1)
    nib.save(made, path)
    return path


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product([False, True], repeat=3)))
def test_a_mask_stored_in_any_axis_order_ends_on_the_scan(
    tmp_path: Path, order: tuple[int, ...], flips: tuple[bool, ...]
) -> None:
    mask = read_mask(turned(tmp_path / "m.nii", lesion(), order, flips), GEOMETRY, name="mask")
    np.testing.assert_array_equal(mask, lesion())


def test_scan_and_mask_in_different_orders_agree(tmp_path: Path) -> None:
    """The CT runs x, y, z; its mask z, x, y with two flips: each is turned by its own header."""
    ct = nifti(tmp_path / "ct.nii.gz")
    mask = turned(tmp_path / "m.nii.gz", lesion(), (1, 2, 0), (True, False, True))
    loaded = load_files(ct, lesion=mask, old=nifti(tmp_path / "o.nii.gz", old_lesion(), dtype=np.uint8))
    np.testing.assert_array_equal(loaded.scan.hu, fake_head())
    np.testing.assert_array_equal(loaded.lesion, lesion())
    np.testing.assert_array_equal(loaded.old, old_lesion())


def test_labels_keep_their_values(tmp_path: Path) -> None:
    labels = lesion() * 3 + old_lesion() * 200
    found, geometry = read_nifti_labels(nifti(tmp_path / "l.nii.gz", labels, dtype=np.int16))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, labels)
    assert farthest_mm(geometry, GEOMETRY) < 1e-3


@pytest.mark.parametrize("value", [1, 255, 0.9999999997, 1.0000001])
def test_any_single_value_is_a_mask(tmp_path: Path, value: float) -> None:
    path = nifti(tmp_path / "m.nii", lesion() * value, dtype=np.float64)
    np.testing.assert_array_equal(read_mask(path, GEOMETRY, name="mask"), lesion())


def test_an_empty_mask_is_empty(tmp_path: Path) -> None:
    mask = read_mask(nifti(tmp_path / "m.nii", lesion() * 0), GEOMETRY, name="mask")
    assert mask.shape == GEOMETRY.shape_zyx
    assert not mask.any()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (lesion() * 0.5, "between whole numbers"),
        (np.where(lesion(), np.nan, 0), "not numbers"),
        (np.where(lesion(), 1e30, 0), "beyond 0 to 255"),
        (lesion() * -1.0, "beyond 0 to 255"),
        (lesion() + 2.0 * old_lesion(), r"several labels \(1, 2\)"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path: Path, values: Any, words: str) -> None:
    path = nifti(tmp_path / "m.nii", values, dtype=np.float32)
    with pytest.raises(Refusal, match=f"^the mask: .*{words}"):
        read_mask(path, GEOMETRY, name="the mask")


def test_a_damaged_mask_is_refused_by_its_name_without_its_path(tmp_path: Path) -> None:
    path = nifti(tmp_path / "doe.nii.gz", lesion())
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UnreadableInput, match=r"^lesion mask: ") as refused:
        read_mask(path, GEOMETRY, name="lesion mask")
    assert "doe" not in str(refused.value)


def test_another_shape_is_refused(tmp_path: Path) -> None:
    path = nifti(tmp_path / "m.nii", lesion()[:-1])
    with pytest.raises(BadRequest, match="11 x 72 x 64 voxels and the scan 12 x 72 x 64"):
        read_mask(path, GEOMETRY, name="mask")


def test_the_same_shape_elsewhere_is_refused(tmp_path: Path) -> None:
    """One pixel aside: 2 mm."""
    shifted = ras_affine()
    shifted[0, 3] += 2.0
    with pytest.raises(BadRequest, match=r"up to 2\.0 mm"):
        read_mask(nifti(tmp_path / "m.nii", lesion(), affine=shifted), GEOMETRY, name="mask")


def moved(*, by_mm: float = 0.0, spacing_mm: float = 5.0) -> Geometry:
    return Geometry.regular(GEOMETRY.shape_zyx, (spacing_mm, 2.0, 2.0), origin_mm=(-63.0 + by_mm, -71.0, 0.0))


def test_rounded_headers_are_one_grid_and_half_a_pixel_is_not() -> None:
    check_same_grid(moved(by_mm=0.9 * GRID_TOLERANCE_MM), GEOMETRY)
    with pytest.raises(BadRequest):
        check_same_grid(moved(by_mm=0.24), GEOMETRY)  # half a pixel of 0.48 mm


def test_the_distance_is_that_of_the_farthest_corner() -> None:
    """12 slices 0.1 mm farther apart: the last lies 11 x 0.1 mm off."""
    assert farthest_mm(moved(spacing_mm=5.1), GEOMETRY) == pytest.approx(1.1)
    assert farthest_mm(moved(by_mm=3.0), GEOMETRY) == pytest.approx(3.0)
