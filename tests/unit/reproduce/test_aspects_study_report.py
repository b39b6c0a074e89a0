"""Tables and figures of the experiments on DA-Net, from drawn calls."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from infarct.evaluation.aspects_ablation import PUBLISHED_FULL, RegionRun
from infarct.findings import INTENDED_USE
from infarct.reproduce.aspects_report import write_aspects_study
from infarct.reproduce.aspects_rows import FULL_MODEL, AspectsStudy, study_of
from unit.evaluation.drawn_calls import drawn_run

SKILLS = (2.0, 1.2, 1.6, 1.9, 1.8, 2.1, 0.8, 1.3, 1.7)


def drawn_rows(study: AspectsStudy, *, patients: int = 30) -> dict[str, RegionRun]:
    runs = {
        row.name: drawn_run(row.name, skill=skill, patients=patients, training_patients=row.training_patients)
        for row, skill in zip(study.rows, SKILLS, strict=True)
    }
    return {**runs, FULL_MODEL: replace(runs[FULL_MODEL], published=PUBLISHED_FULL)}


def test_everything_is_written_and_says_what_it_is_for(tmp_path: Path) -> None:
    study = study_of(reduced=True)
    runs = drawn_rows(study)
    assert write_aspects_study(study, runs, tmp_path, resamples=10) == tmp_path / "ablation.md"
    names = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    texts = {"ablation.md", "ablation.csv", "ablation.json", "learning_curve.md", "learning_curve.csv"}
    assert names == texts | {"figures/ablation.png", "figures/learning_curve.png"}
    assert all(INTENDED_USE in (tmp_path / name).read_text() for name in texts)
    ablation, curve = ((tmp_path / f"{name}.md").read_text() for name in ("ablation", "learning_curve"))
    assert study.note in ablation
    assert [line.split("|")[1].strip() for line in curve.splitlines() if line.startswith(("| 1/", "| full"))] == [
        *("1/8 of the patients", "1/4 of the patients", "1/2 of the patients", "full model"),
        *("1/8 of the patients", "1/4 of the patients", "1/2 of the patients"),
    ] * 2
    assert "0.864" in ablation


def test_the_json_holds_every_row_with_its_recipe(tmp_path: Path) -> None:
    study = study_of(reduced=True)
    write_aspects_study(study, drawn_rows(study, patients=3), tmp_path, resamples=10)
    stored = json.loads((tmp_path / "ablation.json").read_text(), parse_constant=pytest.fail)
    assert [row["name"] for row in stored["rows"]] == [row.name for row in study.rows]
    full, other = stored["rows"][:2]
    assert full["published"] == dict(PUBLISHED_FULL)
    assert full["measures"]["affected hemisphere"]["changes"] is None
    changed = other["measures"]["both hemispheres"]["changes"]["roc_auc"]
    assert changed["low"] is None, "three patients have no interval"
    assert other["recipe"]["network_config"]["difference"] is False
