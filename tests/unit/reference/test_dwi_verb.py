"""The verb: what it writes with and without a CT, however the files are stored, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from drawn_diffusion import INFARCT, boxed, drawn_diffusion
from drawn_head import GEOMETRY, drawn_head
from typer.testing import CliRunner

from infarct.cli.app import app
from infarct.errors import BadRequest, Refusal
from infarct.findings import INTENDED_USE
from infarct.readers.maps import read_map
from infarct.types import Float32Array
from infarct.volume import Geometry, Scan
from infarct.writers.nifti import write_nifti


@pytest.fixture
def ct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a CT that is read as the drawn head: finding a brain takes seconds."""
    scan = Scan(drawn_head().hu, GEOMETRY)
    monkeypatch.setattr("infarct.readers.read_scan", lambda _: scan)
    monkeypatch.setattr("infarct.pipeline.prepare_head", lambda *_: drawn_head())
    return tmp_path / "ct.nii.gz"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, ...]:
    dwi, adc = drawn_diffusion()
    return given(tmp_path, dwi, adc)


def given(folder: Path, dwi: Float32Array, adc: Float32Array, geometry: Geometry = GEOMETRY) -> tuple[str, ...]:
    paths = [write_nifti(values, geometry, folder / f"{name}.nii.gz") for name, values in (("d", dwi), ("a", adc))]
    return "--dwi", str(paths[0]), "--adc", str(paths[1])


def run(*words: str | Path) -> dict[str, Any]:
    """Return the record that the verb wrote. Raises what it raises."""
    done = CliRunner().invoke(app, ["reference", "dwi", *map(str, words), "--quiet"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    record: dict[str, Any] = json.loads(Path(done.stdout.strip()).read_text())
    return record


def test_without_a_ct(pair: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "out"
    record = run(*pair, "-o", out, "--hours-from-onset", "20")
    assert sorted(path.name for path in out.iterdir()) == ["dwi.json", "dwi.png", "infarct_dwi.nii.gz"]
    mask, geometry = read_map(out / "infarct_dwi.nii.gz")
    np.testing.assert_allclose(geometry.affine, GEOMETRY.affine, atol=1e-4)
    truth = boxed(INFARCT)
    assert 2 * ((mask > 0) & truth).sum() / ((mask > 0).sum() + truth.sum()) > 0.95
    assert record["infarct_ct_grid_ml"] is None
    assert record["timing"] == {"hours_from_onset": 20.0, "days_from_ct": None}
    assert record["intended_use"] == INTENDED_USE
    assert str(tmp_path) not in json.dumps(record)


def test_with_a_ct(ct: Path, pair: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "out"
    record = run(ct, *pair, "-o", out, "--days-from-ct", "2")
    names = ["dwi.json", "dwi.png", "infarct_ct.nii.gz", "infarct_dwi.nii.gz"]
    assert sorted(path.name for path in out.iterdir()) == names
    masks = [read_map(out / f"infarct_{grid}.nii.gz")[0] for grid in ("ct", "dwi")]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert record["alignment"]["method"] == "same_grid"
    assert record["infarct_ct_grid_ml"] == pytest.approx(record["infarct_dwi_grid_ml"])


@pytest.mark.parametrize("codes", ["LPI", "PSR"])
def test_however_it_is_stored_the_infarct_stays(pair: tuple[str, ...], tmp_path: Path, codes: str) -> None:
    stored = []
    for place in (1, 3):
        image: Any = nib.load(pair[place])
        turns: Any = nib.orientations  # its functions have no types
        turn = turns.ornt_transform(turns.io_orientation(image.affine), turns.axcodes2ornt(codes))
        stored.append(tmp_path / f"{place}_{codes}.nii.gz")
        nib.save(image.as_reoriented(turn), stored[-1])
    record = run("--dwi", stored[0], "--adc", stored[1], "-o", tmp_path / "turned")
    assert record["infarct_dwi_grid_ml"] == pytest.approx(4 * 8 * 7 * 0.027, rel=0.05)
    np.testing.assert_allclose(record["pieces"][0]["centroid_lps_mm"], (33.0, -24.0, 22.5), atol=1.0)


def test_bad_input_writes_nothing(pair: tuple[str, ...], tmp_path: Path) -> None:
    dwi, adc = drawn_diffusion()
    (tmp_path / "odd").mkdir()
    odd = given(tmp_path / "odd", dwi, adc * 37)
    moved = Geometry.regular(GEOMETRY.shape_zyx, (3, 3, 3), origin_mm=(-75, -88.5, 9))
    (tmp_path / "moved").mkdir()
    elsewhere = given(tmp_path / "moved", dwi, adc, moved)
    out = tmp_path / "out"
    for words, why in (
        ((*pair, "--days-from-ct", "20"), "20 days apart"),
        ((*pair, "--recurrent"), "recurred"),
        (odd, "none of the units"),
        ((*pair[:2], *elsewhere[2:]), "different grids"),
        ((*pair[:2], "--adc", str(tmp_path / "missing.nii")), "does not exist"),
    ):
        with pytest.raises(Refusal, match=why) as refused:
            run(*words, "-o", out)
        assert "\n" not in str(refused.value)
        assert str(tmp_path) not in str(refused.value)
        assert not out.exists()
    out.mkdir()
    (out / "kept").touch()
    with pytest.raises(BadRequest, match="not empty"):
        run(*pair, "-o", out)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".infarct")] == []


def test_the_exit_code_is_two(
    pair: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from infarct.cli import main

    words = ["infarct", "reference", "dwi", *pair, "--recurrent", "-o", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capfd.readouterr().err.startswith("infarct: an ischemic event recurred")
