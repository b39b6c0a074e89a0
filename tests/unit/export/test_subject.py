import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from infarct.export import subject
from infarct.export.order import CohortOrder
from infarct.export.table import COLUMNS
from infarct.phantom import PAIRS, Pair, Preset, Sample, Split
from infarct.readers.dicom_files import find_images
from infarct.volume import Geometry
from unit.export.small_sample import MAPS, UPRIGHT, small_sample, tilted

NIFTI = CohortOrder("aspects", "validation", 1, 1, "nifti", PAIRS)
DICOM = CohortOrder("aspects", "validation", 1, 1, "dicom", PAIRS)


def written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, order: CohortOrder = NIFTI, *, made: Sample | None = None
) -> Path:
    made = made or small_sample()

    def fake(preset: Preset, seed: int, *, split: Split, pairs: tuple[Pair, ...]) -> Sample:
        assert (preset, seed, split, pairs) == (order.preset, order.seed, order.split, order.pairs)
        return made

    monkeypatch.setattr(subject, "sample", fake)
    subject.write_subject(order, order.seed, folder)
    return folder


def array(path: Path) -> Any:
    """Return the voxels of a file as (z, y, x)."""
    return np.asarray(nib.load(path).dataobj).transpose(2, 1, 0)


def truth_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "truth" / "truth.json").read_text())


def test_all_files_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = written(tmp_path, monkeypatch)
    names = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    raw = "raw/ses-{0}/{1}/sub-0001_ses-{0}_{2}"
    expected = {raw.format("acute", "perf", f"{name}.nii.gz") for name in ("cbf", "cbv", "mtt", "tmax")}
    expected |= {raw.format("mri", "dwi", f"{name}.nii.gz") for name in ("acq-b0_dwi", "acq-b1000_dwi", "adc")}
    expected |= {
        raw.format(session, "ct", f"ct{end}") for session in ("acute", "followup") for end in (".json", ".nii.gz")
    }
    expected |= {"truth/truth.json", "truth/ses-acute/sub-0001_ses-acute_label-core_mask.nii.gz"}
    expected |= {"truth/ses-followup/sub-0001_ses-followup_desc-hemorrhage_dseg.nii.gz"}
    expected |= {"truth/ses-mri/sub-0001_ses-mri_space-dwi_label-shinethrough_mask.nii.gz"}
    assert expected <= names
    for path in place.rglob("raw/**/*.nii.gz"):
        assert path.with_name(path.name.replace(".nii.gz", ".json")).is_file()


def test_an_upright_scan_is_stored_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = small_sample()
    place = written(tmp_path, monkeypatch, made=made)
    ct = place / "raw/ses-acute/ct/sub-0001_ses-acute_ct.nii.gz"
    np.testing.assert_array_equal(array(ct), made.acute.hu.numpy())
    sidecar = json.loads(ct.with_name("sub-0001_ses-acute_ct.json").read_text())
    assert sidecar["Rectified"] is False
    assert sidecar["Synthetic"] is True
    assert sidecar["SlicePositions"] == (np.arange(10) * 5.0 - 20).tolist()
    for name in ("label-infarct_mask", "desc-aspects_dseg"):
        path = place / f"truth/ses-acute/sub-0001_ses-acute_{name}.nii.gz"
        np.testing.assert_array_equal(array(path), made.acute.truth[name.split("-")[1].split("_")[0]].numpy())
        np.testing.assert_array_equal(nib.load(path).affine, nib.load(ct).affine)


def test_tilted_and_uneven_scans_share_one_rectified_grid_with_their_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    geometry = tilted()
    place = written(tmp_path, monkeypatch, made=small_sample(geometry=geometry))
    image = nib.load(place / "raw/ses-acute/ct/sub-0001_ses-acute_ct.nii.gz")
    assert image.shape[::-1] == geometry.rectified().shape_zyx
    assert np.asarray(image.dataobj).min() >= -1024
    sidecar = json.loads((place / "raw/ses-acute/ct/sub-0001_ses-acute_ct.json").read_text())
    assert sidecar["Rectified"] is True
    assert "upright" in sidecar["RectifiedNote"]
    assert sidecar["GantryTilt"] == pytest.approx(20, abs=0.01)
    assert truth_of(place)["sessions"]["acute"]["grid"] == "rectified"
    mask = nib.load(place / "truth/ses-acute/sub-0001_ses-acute_label-infarct_mask.nii.gz")
    np.testing.assert_array_equal(mask.affine, image.affine)
    ras = nib.affines.apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj))).mean(axis=0)
    index = small_sample(geometry=geometry).acute.truth["infarct"].nonzero().numpy()
    weights = geometry.slice_intervals_mm[index[:, 0]]
    expected = np.average(geometry.index_to_world(index), axis=0, weights=weights) * (-1, -1, 1)
    np.testing.assert_allclose(ras, expected, atol=4.0)  # the slices are 5 to 7.5 mm apart


def test_dicom_keeps_the_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = tilted()
    made = small_sample(geometry=geometry)
    place = written(tmp_path, monkeypatch, DICOM, made=made)
    images = find_images(place / "raw/ses-acute/ct/dicom").images
    positions = sorted(tuple(image.position_mm or ()) for image in images)
    np.testing.assert_allclose(positions, sorted(map(tuple, geometry.origins_mm)), atol=1e-4)
    assert {image.kvp for image in images} == {float(made.patient.acute.kvp)}
    assert {image.thickness_mm for image in images} == {made.patient.acute.thickness_mm}
    assert {image.age_years for image in images} == {int(made.patient.clinical.age)}
    assert not list(place.rglob("raw/**/*_ct.nii.gz"))
    assert (place / "truth/ses-acute/sub-0001_ses-acute_label-infarct_mask.nii.gz").is_file()


def test_both_visits_have_their_own_study_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = small_sample()
    place = written(tmp_path, monkeypatch, DICOM, made=made)
    acute, followup = (find_images(place / f"raw/ses-{name}/ct/dicom").images[0] for name in ("acute", "followup"))
    assert acute.identity.patient == followup.identity.patient
    assert acute.identity.study_uid != followup.identity.study_uid
    assert made.patient.stroke is not None
    assert acute.identity.study_date == "20000101"
    if made.patient.stroke.followup_h > 24:
        assert followup.identity.study_date > "20000101"


def test_paired_images_lie_on_their_own_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = small_sample()
    place = written(tmp_path, monkeypatch, made=made)
    assert made.perfusion is not None
    cbf = nib.load(place / "raw/ses-acute/perf/sub-0001_ses-acute_cbf.nii.gz")
    assert cbf.shape[::-1] == MAPS.shape_zyx
    np.testing.assert_array_equal(np.asarray(cbf.dataobj).transpose(2, 1, 0), made.perfusion.cbf.numpy())
    core = array(place / "truth/ses-acute/sub-0001_ses-acute_space-perf_label-core_mask.nii.gz")
    np.testing.assert_array_equal(core, made.perfusion.core.numpy())
    adc = json.loads((place / "raw/ses-mri/dwi/sub-0001_ses-mri_adc.json").read_text())
    assert (adc["Units"], adc["HoursFromOnset"]) == ("um2/s = 1e-6 mm2/s", 30.0)


def test_truth_says_where_heads_lie_and_how_large_lesions_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = small_sample()
    truth = truth_of(written(tmp_path, monkeypatch, made=made))
    acute = truth["sessions"]["acute"]
    point = np.array([20.0, -10.0, 15.0, 1.0])
    world = made.patient.acute.pose.matrix() @ point
    np.testing.assert_allclose(np.array(acute["to_head_lps"]) @ world, point, atol=1e-9)
    assert made.perfusion is not None
    in_maps = np.linalg.inv(made.perfusion.to_head) @ point
    np.testing.assert_allclose(np.array(acute["perfusion"]["to_ct_lps"]) @ in_maps, world, atol=1e-9)
    np.testing.assert_allclose(np.array(truth["sessions"]["mri"]["diffusion"]["to_ct_lps"]) @ point, world, atol=1e-9)
    assert acute["volumes_ml"]["infarct"] == 12.3456
    assert acute["midline_shift_mm"] == -2.5
    assert acute["file_volumes_ml"]["infarct"] == pytest.approx(3 * 8 * 4 * 0.36)
    assert set(truth["participant"]) == set(COLUMNS)
    assert truth["digest"] == made.patient.digest()
    assert truth["parameters"]["head"]["seed"] == made.patient.head.seed


def test_a_healthy_patient_has_empty_masks_and_no_stroke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = CohortOrder("healthy", "validation", 1, 1, "nifti", ())
    made = small_sample(healthy=True)
    place = written(tmp_path, monkeypatch, order, made=made)
    for name in ("infarct", "core", "penumbra"):
        mask = array(place / f"truth/ses-acute/sub-0001_ses-acute_label-{name}_mask.nii.gz")
        assert mask.shape == UPRIGHT.shape_zyx
        assert not mask.any()
    row = truth_of(place)["participant"]
    assert row["state"] == "healthy"
    assert row["onset_h"] is row["side"] is row["infarct_ml"] is None
    assert row["aspects_core"] == 10
    assert sorted(path.name for path in (place / "raw").iterdir()) == ["ses-acute"]


def test_same_patient_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (written(tmp_path / name, monkeypatch) for name in ("a", "b"))
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_geometry_of_the_file_keeps_the_patient_where_he_is() -> None:
    geometry: Geometry = tilted()
    corner = geometry.rectified().world_to_index(geometry.origins_mm[0])
    assert (corner > -1e-6).all()
