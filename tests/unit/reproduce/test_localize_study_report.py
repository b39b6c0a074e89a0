"""Tables and figures of the experiments of the localize paper, from drawn answers."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from infarct.evaluation.localize_study import TileCalls
from infarct.findings import INTENDED_USE
from infarct.reproduce.localize_report import write_tile_part
from infarct.reproduce.localize_rows import Part, TileRow, study_of
from infarct.reproduce.localize_run import TileRun

STUDY = study_of(reduced=True)
NOBODY = TileCalls((), np.zeros(0, dtype=np.intp), np.zeros(0))


def drawn(seed: int, *, patients: int = 8, tiles: int = 24) -> TileCalls:
    random = np.random.default_rng(seed)
    kinds = random.integers(4, size=patients * tiles)
    logits = random.normal(0, 1, len(kinds)) + random.uniform(0.2, 2) * (kinds == 0)
    return TileCalls(tuple(f"{seed}-{place // tiles}" for place in range(len(kinds))), kinds, logits)


def drawn_runs(part: Part) -> list[TileRun]:
    return [_run(row, 10 * place) for place, row in enumerate(STUDY.of(part))]


def _run(row: TileRow, seed: int) -> TileRun:
    choice = NOBODY if row.split.choice is None else drawn(seed + 1)
    return TileRun(row, drawn(seed), choice, training_s=60.0 + seed, tile_ms=1.25)


def average_precision(calls: TileCalls) -> float:
    pairs = calls.kinds <= 1
    return float(metrics.average_precision_score(calls.kinds[pairs] == 0, calls.logits[pairs]))


def rows_of(path: Path) -> list[dict[str, str]]:
    lines = path.read_text().splitlines()
    assert INTENDED_USE in lines[0]
    return list(csv.DictReader(lines[1:]))


def stored(path: Path) -> dict[str, list[dict[str, object]]]:
    data: dict[str, list[dict[str, object]]] = json.loads(path.read_text(), parse_constant=pytest.fail)
    return data


def test_networks_and_sizes(tmp_path: Path) -> None:
    runs = drawn_runs("models")
    text = write_tile_part(STUDY, "models", runs, tmp_path, resamples=20).read_text()
    assert INTENDED_USE in text
    assert STUDY.note in text
    table = rows_of(tmp_path / "models.csv")
    assert [(row["network"], row["size_px"]) for row in table] == [
        (run.row.about["network"], str(run.row.about["size_px"])) for run in runs
    ]
    precisions = [average_precision(run.test) for run in runs]
    assert [float(row["average_precision"]) for row in table] == pytest.approx(precisions)
    assert [float(row["training_s"]) for row in table] == [run.training_s for run in runs]
    assert f"Highest AP: {runs[int(np.argmax(precisions))].row.name}," in text
    assert [row["published_ap"] for row in table if row["published_ap"]] == ["0.69", "0.55", "0.68"]
    data = stored(tmp_path / "models.json")
    assert [row["name"] for row in data["rows"]] == [run.row.name for run in runs]
    assert (tmp_path / "figures" / "models.png").stat().st_size > 10_000


def test_the_search_chooses_without_the_test(tmp_path: Path) -> None:
    runs = drawn_runs("search")
    write_tile_part(STUDY, "search", runs, tmp_path, resamples=20)
    trials, inputs = ([run for run in runs if run.row.table == table] for table in ("search", "inputs"))
    table = rows_of(tmp_path / "search.csv")
    best = int(np.argmax([average_precision(run.choice) for run in trials]))
    assert best != np.argmax([average_precision(run.test) for run in trials]), "this would not tell them apart"
    assert [row["chosen"] for row in table] == ["yes" if place == best else "no" for place in range(len(trials))]
    assert [float(row["choice_ap"]) for row in table] == pytest.approx([average_precision(r.choice) for r in trials])
    assert [float(row["average_precision"]) for row in table] == pytest.approx(
        [average_precision(run.test) for run in trials]
    )
    assert [row["input"] for row in rows_of(tmp_path / "inputs.csv")] == [run.row.name for run in inputs]
    data = stored(tmp_path / "search.json")
    assert [row["name"] for row in data["rows"] if row.get("chosen")] == [trials[best].row.name]


def test_cross_validation_has_mean_and_sd_of_folds(tmp_path: Path) -> None:
    runs = drawn_runs("crossval")
    page = write_tile_part(STUDY, "crossval", runs, tmp_path, resamples=20).read_text()
    table = rows_of(tmp_path / "crossval.csv")
    together = rows_of(tmp_path / "crossval_together.csv")
    for place, name in enumerate(("the paper's input", "our input")):
        ours = [run for run in runs if run.row.about["input"] == name]
        precisions = [average_precision(run.test) for run in ours]
        rows = [row for row in table if row["input"] == name]
        assert [row["fold"] for row in rows] == [*map(str, range(1, 5)), "mean ± SD"]
        assert [float(row["average_precision_mean"]) for row in rows[:4]] == pytest.approx(precisions)
        assert float(rows[4]["average_precision_mean"]) == pytest.approx(np.mean(precisions))
        assert float(rows[4]["average_precision_sd"]) == pytest.approx(np.std(precisions, ddof=1))
        assert int(together[place]["patients"]) == 4 * 8
        parts = [run.test for run in ours]
        kinds, logits = np.concatenate([part.kinds for part in parts]), np.concatenate([part.logits for part in parts])
        pairs = kinds <= 1
        whole = metrics.roc_auc_score(kinds[pairs] == 0, logits[pairs])
        assert float(together[place]["auc"]) == pytest.approx(whole)
    assert f"{np.mean(precisions):.3f} ± {np.std(precisions, ddof=1):.3f}" in page
