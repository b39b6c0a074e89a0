import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from stored_analyses import Stored, write_all

from infarct.anatomy import region_label
from infarct.findings import Maps
from infarct.readers import read_scan
from infarct.volume import volume_ml
from infarct.writers.formats import with_format_flags
from infarct.writers.nifti_maps import MAP_KINDS

Make = Callable[[str], Stored]
UPRIGHT = ("upright", "thin", "turned", "transposed", "enhanced")
LEANING = ("tilted", "uneven", "tilted_uneven")


def maps_of(case: Stored, folder: Path) -> Path:
    return write_all(case, folder / "out", formats=("nifti",)) / "nifti"


@pytest.mark.parametrize("kind", UPRIGHT)
def test_maps_come_back_voxel_for_voxel_on_the_grid_of_the_scan(series_of: Make, tmp_path: Path, kind: str) -> None:
    case = series_of(kind)
    folder = maps_of(case, tmp_path)
    assert not (folder / "ct.nii.gz").exists()
    assert json.loads((folder / "maps.json").read_text())["grid"] == "source"
    for name in MAP_KINDS:
        array = getattr(case.analysis.maps, name)
        if array is None:
            assert not (folder / f"{name}.nii.gz").exists()
            continue
        image = nib.load(folder / f"{name}.nii.gz")
        np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), array)
        for index in ((0, 0, 0), (3, 7, 11)):
            ras = image.affine @ [*index[::-1], 1.0]
            lps = case.scan.geometry.index_to_world(index)
            np.testing.assert_allclose(ras[:3] * (-1, -1, 1), lps, atol=1e-3)


@pytest.mark.parametrize("kind", LEANING)
def test_maps_of_a_leaning_scan_lie_on_one_grid_with_the_scan(series_of: Make, tmp_path: Path, kind: str) -> None:
    case = series_of(kind)
    folder = maps_of(case, tmp_path)
    assert json.loads((folder / "maps.json").read_text())["grid"] == "rectified"
    images = {path.name.split(".")[0]: nib.load(path) for path in folder.glob("*.nii.gz")}
    ct = images["ct"]
    target = case.scan.geometry.rectified()
    for image in images.values():
        assert image.shape == ct.shape == target.shape_zyx[::-1]
        np.testing.assert_array_equal(image.affine, ct.affine)
        steps = image.affine[:3, :3].T @ image.affine[:3, :3]
        np.testing.assert_allclose(steps, np.diag(np.diag(steps)), atol=1e-9)  # no shear
    infarct = np.asarray(images["infarct"].dataobj).transpose(2, 1, 0) > 0
    mask = case.analysis.maps.infarct
    assert mask is not None
    assert volume_ml(infarct, target) == pytest.approx(volume_ml(mask, case.scan.geometry), rel=0.2)
    centres = [
        geometry.index_to_world(np.argwhere(voxels)).mean(axis=0)
        for voxels, geometry in ((infarct, target), (mask, case.scan.geometry))
    ]
    np.testing.assert_allclose(*centres, atol=2.0)


@pytest.mark.parametrize("kind", LEANING)
def test_the_bright_cube_of_the_scan_stays_where_it_is(series_of: Make, tmp_path: Path, kind: str) -> None:
    """The scan that is written beside the maps shows it at its place in the world, on the patient's left alone."""
    case = series_of(kind)
    back = read_scan(maps_of(case, tmp_path) / "ct.nii.gz")
    cube = np.argwhere((case.scan.hu > 150) & (case.scan.hu < 400))
    assert len(cube) == 9
    place = case.scan.geometry.index_to_world(cube).mean(axis=0)
    assert place[0] > 15  # LPS: to the left
    for point, bright in ((place, True), (place * (-1, 1, 1), False)):
        k, row, column = np.round(back.geometry.world_to_index(point)).astype(int)
        assert (back.hu[k, row, column] > 150) == bright


def test_simpleitk_reads_them_at_the_same_place(series_of: Make, tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    for kind in ("turned", "tilted_uneven"):
        case = series_of(kind)
        folder = maps_of(case, tmp_path / kind)
        for path in sorted(folder.glob("*.nii.gz")):
            image, same = sitk.ReadImage(path), nib.load(path)
            np.testing.assert_array_equal(
                sitk.GetArrayFromImage(image), np.asarray(same.dataobj).transpose(2, 1, 0), path.name
            )
            ras = same.affine @ [5, 4, 3, 1]
            lps = image.TransformContinuousIndexToPhysicalPoint((5.0, 4.0, 3.0))
            np.testing.assert_allclose(lps, ras[:3] * (-1, -1, 1), atol=1e-3)


def test_values_have_their_meaning_beside_them(series_of: Make, tmp_path: Path) -> None:
    case = series_of("upright")
    table = json.loads((maps_of(case, tmp_path) / "maps.json").read_text())
    assert table["intended_use"].startswith("Research use only")
    labels = table["maps"]["aspects_regions"]["labels"]
    assert len(labels) == 20
    assert labels[str(region_label("M2", "left"))].startswith("left M2")
    assert labels[str(region_label("C", "right"))] == "right C, caudate"
    assert set(table["maps"]) == {name for name in MAP_KINDS if getattr(case.analysis.maps, name) is not None}
    for name, entry in table["maps"].items():
        array = getattr(case.analysis.maps, name)
        assert entry["file"] == f"{name}.nii.gz"
        if array.dtype != np.float32:
            assert set(np.unique(array).tolist()) - {0} <= {int(value) for value in entry["labels"]}


def test_every_map_of_an_analysis_is_written_but_the_attention() -> None:
    arrays = {field.name for field in fields(Maps)} - {"ganglionic_slice", "supraganglionic_slice", "reflection"}
    assert arrays - set(MAP_KINDS) == {"aspects_attention"}
    assert set(MAP_KINDS) <= arrays


def test_followup_degrees_keep_their_values(series_of: Make, tmp_path: Path) -> None:
    case = series_of("upright")
    labels = np.zeros(case.scan.hu.shape, dtype=np.uint8)
    labels[2, 10, 11], labels[3, 12, 13], labels[4, 14, 15], labels[5, 16, 17] = 1, 2, 3, 4
    changed = replace(case, analysis=replace(case.analysis, maps=replace(case.analysis.maps, followup_infarct=labels)))
    image = nib.load(maps_of(changed, tmp_path) / "followup_infarct.nii.gz")
    assert np.asarray(image.dataobj)[13, 12, 3] == 2
    np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), labels)


def test_a_flag_says_that_the_grid_is_another(series_of: Make) -> None:
    leaning, upright = series_of("tilted"), series_of("upright")
    flagged = with_format_flags(leaning.scan, leaning.analysis, {"nifti"})
    assert [flag.code for flag in flagged.findings.quality.flags] == ["maps_rectified"]
    assert flagged.findings.quality.verdict == leaning.analysis.findings.quality.verdict
    assert with_format_flags(leaning.scan, leaning.analysis, {"seg", "pdf"}) is leaning.analysis
    assert with_format_flags(upright.scan, upright.analysis, {"nifti"}) is upright.analysis
