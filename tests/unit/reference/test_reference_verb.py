"""The verb: what it writes on the CT's grid, and what it refuses before anything is written."""

import io
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from drawn_head import GEOMETRY, drawn_head, egg
from PIL import Image
from test_deconvolution import gamma_variate, tissue
from typer.testing import CliRunner

from infarct.cli.app import app
from infarct.errors import BadRequest, Refusal
from infarct.findings import INTENDED_USE
from infarct.readers.maps import read_map
from infarct.types import Float32Array
from infarct.volume import Geometry, Scan, volume_ml
from infarct.writers.nifti import write_nifti

LESION = (slice(3, 9), slice(20, 40), slice(30, 44))
STEP_S = 1.5


@pytest.fixture
def ct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a CT that is read as the drawn head: finding a brain takes seconds."""
    scan = Scan(drawn_head().hu, GEOMETRY)
    monkeypatch.setattr("infarct.readers.read_scan", lambda _: scan)
    monkeypatch.setattr("infarct.pipeline.prepare_head", lambda *_: drawn_head())
    return tmp_path / "ct.nii.gz"


def filled(inside: float, lesion: float) -> Float32Array:
    values = np.where(egg(), inside, 0.0).astype(np.float32)
    values[LESION] = lesion
    return values


def store(path: Path, inside: float, lesion: float, geometry: Geometry = GEOMETRY) -> Path:
    return write_nifti(filled(inside, lesion), geometry, path)


def run(*words: str | Path) -> str:
    """Return what the verb prints on stdout. Raises what it raises."""
    given = ["reference", "perfusion", *map(str, words), "--quiet"]
    done = CliRunner().invoke(app, given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def record_in(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "perfusion.json").read_text())
    return record


def test_masks_record_and_picture_are_written(ct: Path, tmp_path: Path) -> None:
    cbf, tmax = store(tmp_path / "cbf.nii.gz", 40.0, 6.0), store(tmp_path / "tmax.nii.gz", 2.0, 9.0)
    out = tmp_path / "out"
    assert run(ct, "--cbf", cbf, "--tmax", tmax, "-o", out).strip() == str(out / "perfusion.json")
    assert sorted(p.name for p in out.iterdir()) == [
        "core.nii.gz",
        "penumbra.nii.gz",
        "perfusion.json",
        "perfusion.png",
    ]
    record = record_in(out)
    mask, geometry = read_map(out / "core.nii.gz")
    np.testing.assert_allclose(geometry.affine, GEOMETRY.affine, atol=1e-4)
    assert volume_ml(mask > 0, geometry) == pytest.approx(record["core_ml"], rel=1e-6)
    assert record["core_ml"] == pytest.approx(6 * 20 * 14 * 0.027, rel=0.05)
    assert record["penumbra_ml"] - record["core_ml"] == pytest.approx(record["mismatch_ml"])
    assert record["aspects"]["right"]["score"] == 10
    assert record["aspects"]["left"]["score"] < 10
    assert [region["region"] for region in record["regions"][:4]] == ["C", "I", "IC", "L"]
    assert record["alignment"]["method"] == "same_grid"
    assert record["intended_use"] == INTENDED_USE
    assert record["deconvolution"] is None
    assert str(tmp_path) not in json.dumps(record)
    picture = np.asarray(Image.open(io.BytesIO((out / "perfusion.png").read_bytes())).convert("RGB"), dtype=int)
    orange = np.abs(picture - (255, 122, 46)).sum(axis=-1) < 60
    assert orange.sum() > 100


def test_volume_and_transit_time_stand_for_flow(ct: Path, tmp_path: Path) -> None:
    cbv, mtt = store(tmp_path / "cbv.nii.gz", 4.0, 1.0), store(tmp_path / "mtt.nii.gz", 6.0, 10.0)
    run(ct, "--cbv", cbv, "--mtt", mtt, "-o", tmp_path / "out")
    record = record_in(tmp_path / "out")
    assert record["core_ml"] > 40
    assert record["penumbra_ml"] is None
    assert not (tmp_path / "out" / "penumbra.nii.gz").exists()


def test_a_raw_scan(ct: Path, tmp_path: Path) -> None:
    """Frames of 1.5 s in a 4D file: healthy tissue, a slow and late place, two arteries and a vein."""
    times = np.arange(0, 57, STEP_S)
    healthy, slow = tissue(40.0, 6.0, 1.0, step_s=STEP_S)[: len(times)], tissue(4.0, 12.0, 8.0, step_s=STEP_S)
    volume = np.repeat(drawn_head().hu[None], len(times), axis=0)
    volume[:, egg()] += healthy[:, None].astype(np.float32)
    volume[(slice(None), *LESION)] = 33 + slow[: len(times), None, None, None]
    volume[:, :, 6:9, 23:28] = 33 + gamma_variate(times)[:, None, None, None]
    late = np.interp(times - 5, times, gamma_variate(times), left=0)
    volume[:, :, 50:54, 22:29] = 33 + late[:, None, None, None]
    image = nib.Nifti1Image(volume.transpose(3, 2, 1, 0).astype(np.int16), np.diag([-1, -1, 1, 1]) @ GEOMETRY.affine)
    nib.save(image, tmp_path / "ctp.nii.gz")
    with pytest.raises(BadRequest, match="--frame-seconds"):
        run(ct, "--ctp", tmp_path / "ctp.nii.gz", "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    run(ct, "--ctp", tmp_path / "ctp.nii.gz", "--frame-seconds", "1.5", "-o", tmp_path / "out")
    record = record_in(tmp_path / "out")
    assert record["source"] == ["ctp"]
    lesion_ml = 6 * 20 * 14 * 0.027
    # The frames were smoothed: the outermost voxels take after the healthy tissue beside them.
    assert 0.7 * lesion_ml < record["core_ml"] <= record["penumbra_ml"] <= lesion_ml
    assert record["deconvolution"]["truncation"] == 0.2
    names = {"cbf", "cbv", "mtt", "tmax", "core", "penumbra"}
    assert {path.name for path in (tmp_path / "out").glob("*.nii.gz")} == {f"{name}.nii.gz" for name in names}


def test_a_tilted_ct_comes_with_its_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lean = GEOMETRY.origins_mm + np.outer(np.arange(14), (0.0, 0.6, 0.0))
    tilted = Geometry(lean, GEOMETRY.x_direction, GEOMETRY.y_direction, (3.0, 3.0), (60, 51))
    monkeypatch.setattr("infarct.readers.read_scan", lambda _: Scan(drawn_head().hu, tilted))
    monkeypatch.setattr("infarct.pipeline.prepare_head", lambda *_: drawn_head())
    run(tmp_path / "ct", "--cbf", store(tmp_path / "cbf.nii.gz", 40.0, 6.0), "-o", tmp_path / "out")
    ct, place = read_map(tmp_path / "out" / "ct.nii.gz")
    core, same = read_map(tmp_path / "out" / "core.nii.gz")
    assert ct.shape == core.shape
    np.testing.assert_array_equal(place.affine, same.affine)


def test_bad_input_writes_nothing(ct: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cbf, tmax = store(tmp_path / "cbf.nii.gz", 40.0, 6.0), store(tmp_path / "tmax.nii.gz", 2.0, 9.0)
    empty = store(tmp_path / "empty.nii.gz", 0.0, 0.0)
    moved = Geometry.regular(GEOMETRY.shape_zyx, (3, 3, 3), origin_mm=(-75, -88.5, 9))
    other = store(tmp_path / "other.nii.gz", 2.0, 9.0, moved)
    for words, why in (
        ((), "give --cbf"),
        (("--tmax", tmax), "give --cbf"),
        (("--cbv", cbf), "give --cbf"),
        (("--cbf", cbf, "--ctp", cbf), "not both"),
        (("--cbf", cbf, "--frame-seconds", "2"), "--ctp"),
        (("--ctp", cbf), "one moment"),
        (("--cbf", cbf, "--tmax", other), "different grids"),
        (("--cbf", tmp_path / "missing.nii"), "does not exist"),
        (("--cbf", empty), "empty"),
    ):
        with pytest.raises(Refusal, match=why) as refused:
            run(ct, *words, "-o", out)
        assert "\n" not in str(refused.value)
        assert str(tmp_path) not in str(refused.value)
        assert not out.exists()
    out.mkdir()
    (out / "kept").touch()
    with pytest.raises(BadRequest, match="not empty"):
        run(ct, "--cbf", cbf, "-o", out)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".infarct")] == []


def test_the_exit_code_is_two(ct: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from infarct.cli import main

    monkeypatch.setattr("sys.argv", ["infarct", "reference", "perfusion", str(ct), "-o", str(ct.parent / "out")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capfd.readouterr().err.startswith("infarct: give --cbf")
    assert not (ct.parent / "out").exists()
