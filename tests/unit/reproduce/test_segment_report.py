"""Tables and figures of the segment paper's experiments, from drawn results."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infarct.evaluation.crossval import Fold
from infarct.evaluation.segment import CaseResult
from infarct.findings import INTENDED_USE
from infarct.measure.overlap import Counts
from infarct.reproduce.segment_report import report_tables, write_report
from infarct.reproduce.segment_rows import FULL_MODEL, Row, Study, study_of
from infarct.reproduce.segment_run import RowResult
from unit.evaluation.drawn_results import drawn_results

CASES = drawn_results("g", 30, seed=3)
BASE = np.random.default_rng(0).uniform(0.3, 0.5, 30)


def results(dice: float, seconds: float = 1.0) -> tuple[CaseResult, ...]:
    """Return results whose Dice are a fixed set moved by ``dice``."""
    parts = []
    for case, value in zip(CASES, BASE + dice, strict=True):
        tp = round(1000 * value)
        counts = Counts(tp, 1000 - tp, 1000 - tp, 10_000)
        parts.append(replace(case, counts=counts, truth_ml=1.0, seconds=seconds))
    return tuple(parts)


def row_result(row: Row, dice: float, *, folds: int) -> RowResult:
    overlaps = (25, 50, 75) if row.name == FULL_MODEL else (25,)
    by_overlap = {}
    for place, pct in enumerate(overlaps):
        parts = np.array_split(np.arange(30), folds)
        done = results(dice + 0.01 * place, seconds=1.0 + place)
        by_overlap[pct] = tuple(Fold(n, tuple(done[i] for i in part)) for n, part in enumerate(parts))
    return RowResult(row, by_overlap)


def finished(study: Study, *, step: float = 0.03, folds: int = 1) -> list[RowResult]:
    return [row_result(row, step * place, folds=folds) for place, row in enumerate(study.rows)]


def test_whether_the_order_holds_is_computed() -> None:
    study = study_of(reduced=True)
    rising = report_tables(study, finished(study))["ablation"]
    assert rising.note.startswith("The paper's rows: The order holds: every step raises the Dice")
    assert "(standardisation and weighted loss at once) changes the Dice by 0.060 (0.060 to 0.060)" in rising.note
    assert "Ours: The order holds: every step" in rising.note
    assert study.note in rising.note
    assert study.note.startswith("60 phantom patients to train on and 20 others to test on, slices averaged to 5 mm")
    one_falls = finished(study)
    one_falls[3] = row_result(study.rows[3], 0.0, folds=1)
    note = report_tables(study, one_falls)["ablation"].note
    assert "The paper's rows: The order does not hold: '+ weighted sampler' to '+ residual connections'" in note
    assert "Ours: The order holds" in note


def test_tables_show_the_paper_beside() -> None:
    study = study_of(reduced=True)
    tables = report_tables(study, finished(study))
    assert set(tables) == {"ablation", "overlap"}
    assert [row[0] for row in tables["ablation"].rows] == [row.name for row in study.rows]
    assert tables["ablation"].rows[6][-1] == 0.628
    assert [(row[0], *row[-2:]) for row in tables["overlap"].rows] == [
        (25, 45.0, 0.628),
        (50, 90.0, 0.622),
        (75, 440.0, 0.630),
    ]
    assert "Quickest: 1.0 s a scan at 25 %" in tables["overlap"].note


def test_folds_give_mean_and_sd(tmp_path: Path) -> None:
    study = study_of(reduced=True, folds=5)
    table = report_tables(study, finished(study, folds=5))["cross_validation"]
    assert [row[0] for row in table.rows] == ["1", "2", "3", "4", "5", "mean ± SD of the folds", "all scans"]
    means = [float(np.round(1000 * (BASE[part] + 0.18)).mean() / 1000) for part in np.array_split(np.arange(30), 5)]
    over = table.rows[5][2]
    assert over.mean.estimate == pytest.approx(np.mean(means))  # type: ignore[union-attr]
    assert over.sd == pytest.approx(np.std(means, ddof=1))  # type: ignore[union-attr]
    assert "80 phantom patients in 5 folds" in table.note
    write_report(study, finished(study, folds=5), tmp_path)
    assert (tmp_path / "cross_validation.md").exists()


def test_everything_written_says_what_it_is_for(tmp_path: Path) -> None:
    study = study_of(reduced=True)
    path = write_report(study, finished(study), tmp_path)
    assert path == tmp_path / "ablation.md"
    names = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    tables = {f"{name}.{kind}" for name in ("ablation", "overlap") for kind in ("md", "csv")}
    assert names == tables | {"figures/ablation.png", "figures/overlap.png"}
    assert all(INTENDED_USE in (tmp_path / name).read_text() for name in tables)
    before = {name: (tmp_path / name).read_bytes() for name in names}
    write_report(study, finished(study), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names} == before


def test_few_patients_have_no_interval_and_can_still_be_drawn(tmp_path: Path) -> None:
    study = study_of(reduced=True)
    few = [
        RowResult(one.row, {pct: (Fold(0, folds[0].results[:2]),) for pct, folds in one.folds.items()})
        for one in finished(study)
    ]
    assert write_report(study, few, tmp_path).exists()
