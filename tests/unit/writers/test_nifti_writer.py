from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from acceptance.stored_scans import tilted_uneven_geometry
from infarct.readers.nifti import read_nifti
from infarct.types import Float64Array
from infarct.volume import Geometry
from infarct.writers.nifti import ras_matrix, write_nifti
from plain_head import PlainSetup, make_plain_patient

TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
GRID = Geometry.regular((3, 4, 5), (5.0, 2.0, 1.5), origin_mm=(-10.0, 20.0, 30.0))


def test_left_and_posterior_become_negative() -> None:
    expected = np.array([[-1.5, 0, 0, 10.0], [0, -2.0, 0, -20.0], [0, 0, 5.0, 30.0], [0, 0, 0, 1]])
    np.testing.assert_allclose(ras_matrix(GRID), expected)


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.uint8])
def test_values_stand_at_their_world_positions(tmp_path: Path, dtype: type) -> None:
    geometry = Geometry.regular((3, 4, 5), (5.0, 2.0, 1.5), origin_mm=(-10.0, 20.0, 30.0), directions=TURN)
    array = np.arange(60, dtype=dtype).reshape(3, 4, 5)
    image = nib.load(write_nifti(array, geometry, tmp_path / "a.nii.gz", description="counts"))
    assert image.get_data_dtype() == dtype
    assert image.header["descrip"].tobytes().startswith(b"counts\0")
    lps = geometry.index_to_world((2, 1, 3))
    ras = lps * (-1, -1, 1)
    for code in ("sform", "qform"):
        matrix, number = getattr(image, f"get_{code}")(coded=True)
        assert number == 1
        index = np.linalg.inv(matrix) @ [*ras, 1.0]
        np.testing.assert_allclose(index[:3], (3, 1, 2), atol=1e-4)
    assert np.asarray(image.dataobj)[3, 1, 2] == array[2, 1, 3]


def test_a_mask_is_stored_as_bytes(tmp_path: Path) -> None:
    mask = np.zeros(GRID.shape_zyx, dtype=bool)
    mask[1, 2, 3] = True
    image = nib.load(write_nifti(mask, GRID, tmp_path / "m.nii.gz"))
    assert image.get_data_dtype() == np.uint8
    assert np.argwhere(np.asarray(image.dataobj)).tolist() == [[3, 2, 1]]


def test_the_reader_gives_back_what_was_written(tmp_path: Path) -> None:
    scan = make_plain_patient(2, PlainSetup(pixel_spacing_mm=2.0, slice_spacing_mm=10.0)).scan
    back = read_nifti(write_nifti(scan.hu.astype(np.int16), scan.geometry, tmp_path / "ct.nii.gz"))
    np.testing.assert_array_equal(back.hu, scan.hu)
    np.testing.assert_allclose(back.geometry.origins_mm, scan.geometry.origins_mm, atol=1e-3)


def test_same_input_same_bytes(tmp_path: Path) -> None:
    array = np.ones(GRID.shape_zyx, dtype=np.int16)
    first, second = (write_nifti(array, GRID, tmp_path / name).read_bytes() for name in ("a.nii.gz", "b.nii.gz"))
    assert first == second


def shifted(origins_mm: Float64Array) -> Geometry:
    return Geometry(origins_mm, GRID.x_direction, GRID.y_direction, (2.0, 1.5), (4, 5))


@pytest.mark.parametrize(
    "geometry",
    [
        shifted(np.array([[0.0, 0, 0], [0, 0, 5], [0, 0, 9]])),
        shifted(np.array([[0.0, 0, 0], [0, 1, 5], [0, 2, 10]])),
        tilted_uneven_geometry(size=8, pixel_mm=20.0),
    ],
    ids=["uneven", "tilted", "both"],
)
def test_tilted_and_uneven_stacks_are_refused_until_rectified(tmp_path: Path, geometry: Geometry) -> None:
    with pytest.raises(ValueError, match="rectified"):
        write_nifti(np.zeros(geometry.shape_zyx, dtype=np.int16), geometry, tmp_path / "a.nii.gz")
    upright = geometry.rectified()
    assert write_nifti(np.zeros(upright.shape_zyx, dtype=np.int16), upright, tmp_path / "a.nii.gz").exists()


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        write_nifti(np.zeros((3, 4, 6), dtype=np.int16), GRID, tmp_path / "a.nii.gz")
    with pytest.raises(ValueError, match="79"):
        write_nifti(np.zeros((3, 4, 5), dtype=np.int16), GRID, tmp_path / "a.nii.gz", description="x" * 80)
    assert list(tmp_path.iterdir()) == []
