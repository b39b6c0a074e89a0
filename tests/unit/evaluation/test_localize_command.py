"""The command for tiles: what it writes, how it goes on, what it refuses."""

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from infarct.cli.evaluate import TileMethodChoice, evaluate
from infarct.cohorts import Cohort
from infarct.errors import BadRequest
from infarct.evaluation import figures, localize_cohort, localize_report, named_cohorts
from infarct.evaluation.localize_cohort import (
    METHODS,
    LocalizeOrder,
    PreparedTiles,
    TileMethod,
    darker_hu,
    open_methods,
    prepare_tiles,
    setting_of,
)
from infarct.evaluation.localize_summary import summarise_localize
from infarct.findings import INTENDED_USE
from infarct.preprocess.head import Head
from infarct.preprocess.tile_input import EVERYDAY, tile_centres_mm, tile_grid
from infarct.systems.asymmetry import AsymmetryConfig
from infarct.volume import Scan
from infarct.weights import save_weights
from plain_head import PlainPatient
from unit.evaluation.tiled_case import CASE, HEALTHY, INFARCT, OPPOSITE, SETTING, method_of, prepared
from unit.systems.tiny_localizer import tiny_weights

BOTH = ("--method", "vgg16", "--method", "asymmetry")


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[Scan]:
    """Evaluate three scans, one of them healthy, by made-up methods; returns the scans that were prepared."""
    seen: list[Scan] = []

    def prepare(scan: Scan, _: object) -> PreparedTiles:
        seen.append(scan)
        return prepared()

    cases = (*(replace(CASE, id=f"Doe-{number}", patient=f"Jane {number}") for number in range(2)), HEALTHY)
    monkeypatch.setattr(named_cohorts, "open_cohort", lambda _: Cohort("phantom", cases))
    monkeypatch.setattr(localize_cohort, "prepare_tiles", prepare)
    monkeypatch.setattr(localize_report, "summarise_localize", partial(summarise_localize, resamples=5))
    monkeypatch.setitem(METHODS, "vgg16", lambda *_: method_of(INFARCT))
    monkeypatch.setitem(METHODS, "asymmetry", lambda *_: method_of(OPPOSITE))
    return seen


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(localize_report, "localize_figures", lambda *_: ())
    monkeypatch.setattr(localize_report, "page_of", lambda *_, **__: b"picture")
    monkeypatch.setattr(localize_cohort, "case_picture", lambda *_: b"picture")


def run(output: Path, *more: str) -> Result:
    command: Any = ["localize", "--cohort", "folder", "-o", str(output), "--quiet", *more]
    return CliRunner().invoke(evaluate, command)


def metrics_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def test_it_writes_everything_and_names_nobody(
    tmp_path: Path, scans: list[Scan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "DOTS_PER_INCH", 20)  # quicker
    done = run(tmp_path / "out", "--method", "asymmetry")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "out" / "tables.md")
    assert len(scans) == 3
    files = {str(path.relative_to(tmp_path / "out")): path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"metrics.json", "tables.md", "tables/cases.csv", "tables/balanced.csv", "tables/worst.csv"} <= set(files)
    assert {f"figures/0-phantom-{name}.png" for name in ("roc_panels", "patch_accuracy", "failures")} <= set(files)
    assert len([name for name in files if name.startswith("cases/")]) == 3
    for name, path in files.items():
        content = path.read_bytes()
        assert b"Doe" not in content, name
        assert b"Jane" not in content, name
        if not name.endswith(".png"):
            assert INTENDED_USE.encode() in content, name
    metrics = metrics_of(tmp_path / "out")
    assert metrics["settings"]["method"] == "asymmetry"
    assert metrics["groups"][2]["balanced"]["decisions"]["sensitivity"]["estimate"] == 0.0


@pytest.mark.usefixtures("no_figures")
def test_several_methods_have_a_report_each_and_stand_side_by_side(tmp_path: Path, scans: list[Scan]) -> None:
    done = run(tmp_path / "out", *BOTH)
    assert done.stdout.strip() == str(tmp_path / "out" / "comparison.md")
    assert len(scans) == 3  # prepared once for both
    accuracy = {}
    for name in ("vgg16", "asymmetry"):
        accuracy[name] = metrics_of(tmp_path / "out" / name)["groups"][2]["balanced"]["decisions"]["accuracy"][
            "estimate"
        ]
    assert accuracy == {"vgg16": 1.0, "asymmetry": 0.0}
    both = metrics_of(tmp_path / "out")
    assert both["vgg16"]["overview"][0]["ill"] == 2


@pytest.mark.usefixtures("no_figures")
def test_it_goes_on_where_it_stopped(tmp_path: Path, scans: list[Scan]) -> None:
    assert run(tmp_path / "out", "--first", "1").exit_code == 0
    assert run(tmp_path / "out").exit_code == 0
    assert len(scans) == 3
    alone = run(tmp_path / "alone")
    assert alone.exit_code == 0
    results = [(tmp_path / name / "tables" / "balanced.csv").read_text() for name in ("out", "alone")]
    assert results[0] == results[1]
    other = run(tmp_path / "out", "--method", "asymmetry")
    assert isinstance(other.exception, BadRequest)
    assert "another evaluation" in str(other.exception)


@pytest.mark.usefixtures("scans", "no_figures")
def test_a_lesion_that_nobody_outlined_has_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = replace(CASE, loader=lambda: replace(CASE.load(), lesion=None))
    monkeypatch.setattr(named_cohorts, "open_cohort", lambda _: Cohort("apis", (plain,)))
    assert run(tmp_path / "out").exit_code == 3
    assert metrics_of(tmp_path / "out")["without_answer"][0]["reason"].startswith("the case has no lesion mask")


def test_methods_have_one_name_each(tmp_path: Path) -> None:
    assert [choice.value for choice in TileMethodChoice] == list(METHODS)
    with pytest.raises(BadRequest, match="vgg16, asymmetry"):
        open_methods(LocalizeOrder(("x",), ("guessing",)))
    with pytest.raises(BadRequest, match="named twice"):
        open_methods(LocalizeOrder(("x",), ("asymmetry", "asymmetry")))
    with pytest.raises(BadRequest, match="takes no weights"):
        open_methods(LocalizeOrder(("x",), ("asymmetry",), tmp_path / "mine.safetensors"))
    with pytest.raises(BadRequest, match="no such weight file"):
        open_methods(LocalizeOrder(("x",), weights=tmp_path / "mine.safetensors"))


def test_the_first_method_that_cares_says_how_tiles_are_cut() -> None:
    plain = TileMethod({}, lambda *_: np.zeros(0), 0.5, 0.5)
    assert setting_of({"asymmetry": plain}) is EVERYDAY
    assert setting_of({"asymmetry": plain, "vgg16": method_of(INFARCT)}) is SETTING


def test_a_network_judges_tiles(tmp_path: Path) -> None:
    """Random weights: probabilities, and all that decides them in the record."""
    path = save_weights(tiny_weights(whole_threshold=0.75), tmp_path / "tiny.safetensors")
    method = open_methods(LocalizeOrder(("x",), weights=path, device="cpu"), threads=1)["vgg16"]
    assert (method.threshold, method.whole_threshold) == (0.5, 0.75)
    assert method.setting == replace(EVERYDAY, size_px=32)
    assert method.config["weights"]["name"] == "localize-tiny"
    assert method.config["localizer"]["input"] == asdict(method.setting)


@pytest.mark.slow
def test_the_baseline_is_surest_where_the_lesion_is(
    left_patient: PlainPatient, left_head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(localize_cohort, "prepare_head", lambda _: left_head)
    tiles = prepare_tiles(left_patient.scan, SETTING)
    places = tile_grid(tiles.picture)
    scores = darker_hu(tiles, places, config=AsymmetryConfig())
    best = tile_centres_mm(tiles.picture, places[scores > AsymmetryConfig().cluster_hu])
    assert len(best) > 10
    plane = left_head.midplane
    assert np.mean(best @ plane.normal > plane.offset_mm) > 0.8  # the patient's left
    inside = left_patient.truth.infarct[tuple(np.rint(left_patient.scan.geometry.world_to_index(best)).astype(int).T)]
    assert inside.mean() > 0.5
