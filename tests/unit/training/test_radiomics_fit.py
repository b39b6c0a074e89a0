"""Training forests: what scikit-learn grows is what we read, the choice on the validation, the weights, refusals."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prepared_regions import TINY, boxes, region_case, tiny_radiomics, write_regions
from sklearn.ensemble import RandomForestClassifier

from infarct.anatomy import REGIONS, region_label
from infarct.errors import BadRequest, UnreadableInput
from infarct.systems.radiomics import forest_scorer
from infarct.systems.region_forests import leaf
from infarct.training import radiomics_features
from infarct.training.calibrate import UNCALIBRATED
from infarct.training.radiomics_features import FeatureTables, measured_tables
from infarct.training.radiomics_fit import best_forests, forest_of, grown, judged_by, train_radiomics
from infarct.training.radiomics_recipe import RADIOMICS_PRESETS, RadiomicsRecipe
from infarct.training.region_store import read_region_index
from infarct.weights import card_of, load_weights, save_weights


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_regions(tmp_path_factory.mktemp("regions") / "cases", training=8, validation=4)


@pytest.fixture(scope="module")
def tables(cases: Path) -> FeatureTables:
    return measured_tables(read_region_index(cases), TINY)


@pytest.mark.parametrize("weight", ["balanced", None])
def test_our_trees_answer_as_those_of_scikit_learn(weight: str | None) -> None:
    """Also for numbers that lie on a threshold: all features are whole, so that thresholds are halves or equal them."""
    random = np.random.default_rng(1)
    rows = random.integers(0, 9, (300, 12)).astype(np.float32)
    rows[:, 6:] = random.normal(size=(300, 6))
    truth = rows[:, 0] + 3 * rows[:, 7] + random.normal(size=300) > 6
    model = RandomForestClassifier(40, min_samples_leaf=2, class_weight=weight, random_state=0).fit(rows, truth)
    forest = forest_of(model)
    forest.check(12)
    on_threshold = np.resize(forest.value[forest.feature >= 0], (500, 12)).astype(np.float32)
    for asked in (rows, random.normal(2, 3, (400, 12)).astype(np.float32), on_threshold):
        np.testing.assert_allclose(forest.share(asked), model.predict_proba(asked)[:, 1], atol=1e-7)
    assert forest.share(rows).std() > 0.05


def test_one_kind_alone_teaches_nothing() -> None:
    rows = np.zeros((4, 3), dtype=np.float32)
    for truth in (True, False):
        forest = grown(rows, np.full(4, truth), tiny_radiomics(), fewest_in_leaf=1, feature_share=0.5)
        assert forest.share(rows).tolist() == [float(truth)] * 4
    with pytest.raises(BadRequest, match="on both sides"):
        grown(rows[:0], np.zeros(0, dtype=bool), tiny_radiomics(), fewest_in_leaf=1, feature_share=0.5)


def test_the_sides_of_a_region_by_hand() -> None:
    """Two cases, the second without the left insula; affected in the first is the left one."""
    values = np.arange(2 * 20 * 2, dtype=np.float32).reshape(2, 20, 2)
    values[1, region_label("I", "left") - 1] = np.nan
    affected = np.zeros((2, 20), dtype=bool)
    affected[:, region_label("I", "left") - 1] = True
    rows, truth = FeatureTables(values, affected).sides("I")
    assert truth.tolist() == [False, True]
    assert rows.tolist() == [[2, 3, 22, 23, -20, -20], [22, 23, 2, 3, 20, 20]]


def test_features_are_measured_once(cases: Path, tables: FeatureTables, monkeypatch: pytest.MonkeyPatch) -> None:
    index = read_region_index(cases)
    assert tables.tables.shape[:2] == (12, 20)
    np.testing.assert_array_equal(tables.affected[0], region_case(0, ill=True).affected)
    told: list[tuple[int, int]] = []
    again = measured_tables(index, TINY, on_done=lambda *done: told.append(done))
    np.testing.assert_array_equal(again.tables, tables.tables)
    assert not told
    (kept,) = cases.glob("radiomics-*.npz")
    kept.write_bytes(kept.read_bytes()[:300])  # a damaged one is made again
    again = measured_tables(index, TINY, on_done=lambda *done: told.append(done))
    np.testing.assert_array_equal(again.tables, tables.tables)
    assert told[-1] == (12, 12)
    monkeypatch.setattr(radiomics_features, "_measured", lambda *_: pytest.fail("measured again"))
    with pytest.raises(pytest.fail.Exception):
        measured_tables(index, replace(TINY, level_hu=31.0))


@pytest.mark.slow
def test_processes_measure_the_same(tables: FeatureTables, tmp_path: Path) -> None:
    other = write_regions(tmp_path / "cases", training=8, validation=4)
    found = measured_tables(read_region_index(other), TINY, jobs=2)
    np.testing.assert_array_equal(found.tables, tables.tables)


def test_the_best_point_of_the_grid_is_taken(tables: FeatureTables) -> None:
    """A leaf of all sides tells the sides of a region not apart. Small leaves tell dark boxes from others."""
    recipe = tiny_radiomics(fewest_in_leaf=(500, 2), feature_shares=(0.1, 0.5))
    forests, choices = best_forests(recipe, tables, tables)
    assert [(one.fewest_in_leaf, one.feature_share) for one in choices] == [(500, 0.1), (500, 0.5), (2, 0.1), (2, 0.5)]
    assert all(0.3 < one.mean_auc < 0.7 for one in choices[:2])
    assert choices[2].mean_auc > 0.95
    assert list(forests) == [region for regions in recipe.groups.values() for region in regions]
    none = tables.at(np.zeros(12, dtype=bool))
    assert len(best_forests(recipe, tables, none)[1]) == 1
    sides = judged_by({region: leaf(0.5) for region in REGIONS}, tables, recipe)
    assert [len(judged.logits) for judged in sides["subcortical"].values()] == [24] * 4


def test_the_weights_hold_calibrated_forests(cases: Path, tmp_path: Path) -> None:
    weights = train_radiomics(tiny_radiomics(), cases, name="radiomics-tiny")
    again = train_radiomics(tiny_radiomics(), cases, name="radiomics-tiny")
    assert again.tensors.keys() == weights.tensors.keys()
    assert all((again.tensors[key] == part).all() for key, part in weights.tensors.items())
    assert again.settings == weights.settings
    loaded = load_weights(save_weights(weights, tmp_path / "w"))
    scorer = forest_scorer(loaded)
    assert (scorer.config.input, scorer.config.calibrated_on) == (TINY, "4 phantoms")
    assert loaded.card["data"]["training_cases_with_affected"] == 4
    assert loaded.card["recipe"] == json.loads(json.dumps(tiny_radiomics().as_data()))
    metrics = loaded.card["metrics"]
    assert [(row["group"], row["sides"]) for row in metrics["validation_after_calibration"]] == [
        ("cortical", 48),
        ("subcortical", 32),
    ]
    assert metrics["validation_after_calibration"][1]["auc"] > 0.8
    assert len(metrics["validation_by_region"]) == 10
    assert [one["fewest_in_leaf"] for one in metrics["choice_on_validation"]] == [1, 2]
    assert "choice on validation" in card_of(loaded).markdown()
    case = region_case(99, ill=True)
    seen = scorer.look(case.input)
    dark = [one.logit for place, one in seen.items() if case.affected[region_label(*place) - 1]]
    light = [one.logit for place, one in seen.items() if not case.affected[region_label(*place) - 1]]
    assert min(np.median(dark), 0) > np.median(light)


def test_reading_needs_no_scikit_learn(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = train_radiomics(tiny_radiomics(), cases, name="radiomics-tiny")
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert len(forest_scorer(weights).look(replace(boxes(), image=region_case(0, ill=True).input.image))) == 20


def test_without_validation_cases_nothing_is_calibrated(tmp_path: Path) -> None:
    weights = train_radiomics(tiny_radiomics(), write_regions(tmp_path / "cases", validation=0), name="x")
    assert weights.settings["calibrated_on"] == UNCALIBRATED
    assert [group["threshold"] for group in weights.settings["groups"]] == [0.5, 0.5]
    assert list(weights.card["metrics"]) == ["choice_on_validation"]


def test_refuses_cases_of_another_grid_and_shared_patients(cases: Path, tmp_path: Path) -> None:
    other = replace(tiny_radiomics().phantoms, setting=replace(TINY, level_hu=31.0))
    with pytest.raises(BadRequest, match="grid"):
        train_radiomics(tiny_radiomics(phantoms=other), cases, name="x")
    with pytest.raises(BadRequest, match="no case to train on"):
        train_radiomics(tiny_radiomics(), write_regions(tmp_path / "none", training=0), name="x")
    with pytest.raises(UnreadableInput, match="no readable index"):
        train_radiomics(tiny_radiomics(), tmp_path, name="x")


def test_presets_and_recipes_that_make_no_sense() -> None:
    assert list(RADIOMICS_PRESETS) == ["paper", "cpu", "smoke"]
    plan = tiny_radiomics().phantoms
    for wrong in ({"trees": 0}, {"fewest_in_leaf": ()}, {"fewest_in_leaf": (0,)}, {"feature_shares": (0.0,)}):
        with pytest.raises(BadRequest):
            RadiomicsRecipe("x", plan, **wrong)
