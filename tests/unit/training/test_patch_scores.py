"""Operating points on whole heads, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from prepared_patches import tiny_patches, write_patches

from infarct.training.patch_cases import STAINED
from infarct.training.patch_data import is_wanted, region_of
from infarct.training.patch_scores import (
    LEAST_ML,
    SMOOTH_MM,
    THRESHOLDS,
    JudgedCase,
    PatchPoint,
    ScanPoint,
    blood_mask,
    dice_table,
    hemorrhage_metrics,
    is_plain,
    masks_of,
    patch_point,
    scan_point,
    suspected_limit_ml,
    uncalibrated,
    volumetry_metrics,
)
from infarct.training.patch_store import PatchCase, load_patch_cases, read_patch_index
from infarct.volume import Geometry, volume_ml


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[PatchCase]:
    """Return a severe, an intermediate and a subtle infarct, the first two with blood, blood alone, and nothing."""
    index = read_patch_index(write_patches(tmp_path_factory.mktemp("patches") / "cases"))
    return load_patch_cases(index, index.of("train"))


def judged(case: PatchCase, chances: list[np.ndarray]) -> JudgedCase:
    region = region_of(case.marks, "volumetry")
    return JudgedCase(case, (np.stack(chances) * region).astype(np.float16))


def spot(case: PatchCase, at: tuple[int, int], size: int, value: float) -> np.ndarray:
    """Return a probability that is ``value`` in a square of the middle slice."""
    chance = np.zeros(case.marks.shape)
    chance[1, at[0] : at[0] + size, at[1] : at[1] + size] = value
    return chance


def test_the_table_of_dice_by_hand(cases: list[PatchCase]) -> None:
    """All of the infarct at .9, and a far speck of 0.02 ml at .96; blood does not count."""
    case = cases[0]
    truth = is_wanted(case.marks, case.blood, "volumetry")
    row, column = (int(index) for index in np.argwhere(region_of(case.marks, "volumetry") & ~truth)[0][1:])
    chance = 0.9 * truth + spot(case, (row, column), 2, 0.96) + 0.99 * (case.blood > 0)
    table = dice_table(chance.astype(np.float32), case, "volumetry")
    size = int(truth.sum())
    found = dict(zip(THRESHOLDS, table, strict=True))
    assert found[0.5][LEAST_ML.index(0.0)] == pytest.approx(2 * size / (2 * size + 4))
    assert found[0.5][LEAST_ML.index(0.1)] == 1
    assert found[0.95][LEAST_ML.index(0.0)] == 0
    assert found[0.5][LEAST_ML.index(8.0)] == 0


def test_the_best_point_is_found(cases: list[PatchCase]) -> None:
    """Infarcts at .9 amid .75 need a cut-off between; the others' networks are judged by their own heads alone."""
    recipe = tiny_patches()
    found = []
    for case in cases:
        truth = is_wanted(case.marks, case.blood, "volumetry")
        found.append(
            judged(case, [np.where(truth, 0.9, 0.75), np.where(truth, 0.6, 0.45), np.where(truth, 0.25, 0.15)])
        )
    point = patch_point(found, recipe)
    assert point == PatchPoint((0.8, 0.5, 0.2), (0.0, 0.0, 0.0), 0.0)
    metrics = volumetry_metrics(found, recipe, point)
    assert [row["mean_dice"] for row in metrics["validation_after_calibration"]] == [1.0, 1.0, 1.0]
    assert [row["heads"] for row in metrics["validation_after_calibration"]] == [1, 1, 1]
    rows = {row["heads"]: row for row in metrics["validation_union"]}
    assert (rows["severe"]["number"], rows["severe"]["mean_dice"], rows["severe"]["median_false_ml"]) == (1, 1.0, 0.0)
    assert (rows["healthy"]["mean_dice"], rows["healthy"]["median_false_ml"]) == (None, 0.0)
    assert list(rows) == ["severe", "intermediate", "subtle", "healthy", "mimics"]


def test_false_marks_in_other_heads_are_told(cases: list[PatchCase]) -> None:
    """The severe network marks the healthy head too, which no cut-off of its own class tells."""
    recipe = tiny_patches(networks=("severe",))
    healthy = np.where(region_of(cases[4].marks, "volumetry"), 0.99, 0)
    found = [
        judged(cases[0], [np.where(is_wanted(cases[0].marks, cases[0].blood, "volumetry"), 0.99, 0)]),
        judged(cases[4], [healthy]),
    ]
    point = patch_point(found, recipe)
    rows = {row["heads"]: row for row in volumetry_metrics(found, recipe, point)["validation_union"]}
    expected = volume_ml(region_of(cases[4].marks, "volumetry"), cases[4].geometry)
    assert rows["healthy"]["median_false_ml"] == rows["healthy"]["false_ml_severe"] == pytest.approx(expected, abs=1e-3)
    assert rows["severe"]["median_false_ml"] == 0
    assert rows["subtle"]["median_false_ml"] is None


def test_noise_asks_for_smoothing(cases: list[PatchCase]) -> None:
    random = np.random.default_rng(2)
    recipe = tiny_patches(networks=("severe",))
    truth = is_wanted(cases[0].marks, cases[0].blood, "volumetry")
    noisy = np.clip(np.where(truth, 0.7, 0.3) + random.normal(0, 0.25, truth.shape), 0, 1)
    assert patch_point([judged(cases[0], [noisy])], recipe).smooth_mm in SMOOTH_MM[1:]


def test_a_network_that_no_head_is_meant_for_keeps_its_point(cases: list[PatchCase]) -> None:
    recipe = tiny_patches()
    truth = is_wanted(cases[1].marks, cases[1].blood, "volumetry")
    point = patch_point([judged(cases[1], [0.4 * truth, 0.4 * truth, 0.4 * truth])], recipe)
    assert point == PatchPoint((0.5, 0.05, 0.5), (0.0, 0.0, 0.0), 0.0)
    nothing = np.zeros(cases[4].marks.shape)
    assert patch_point([judged(cases[4], [nothing] * 3)], recipe) == uncalibrated(recipe.networks)


@pytest.mark.parametrize(
    ("healthy_ml", "expected"),
    [
        ([], 1.0),
        ([0.0] * 20, 0.1),
        ([0.0] * 19 + [0.34], 0.4),
        ([0.0] * 19 + [0.3], 0.4),
        ([0.0] * 33 + [5.0], 0.1),
        ([0.0] * 32 + [5.0], 5.1),
        ([0.0] * 98 + [3.0, 4.0], 0.1),
        ([0.0] * 96 + [2.05, 2.5, 3.0, 4.0], 2.1),
    ],
)
def test_the_limit_for_suspicion(healthy_ml: list[float], expected: float) -> None:
    """At most 3 of 100 reach it; with fewer than 34 heads none, with 34 one may."""
    found = suspected_limit_ml(healthy_ml)
    assert found == pytest.approx(expected)
    assert sum(volume >= found for volume in healthy_ml) <= 0.03 * len(healthy_ml)


def test_blood_in_scans(cases: list[PatchCase]) -> None:
    """Three heads with 0.75 ml of blood found, one healthy head with 0.2 ml marked falsely."""
    recipe = tiny_patches("hemorrhage")
    found = []
    for case in cases:
        chance = np.where(case.blood > 0, 0.9, 0.0)
        if case.preset == "healthy":
            chance = spot(case, (20, 20), 7, 0.9)
        found.append(JudgedCase(case, chance[None].astype(np.float16)))
    point = PatchPoint((0.5,), (0.0,), 0.0)
    scan = scan_point(found, point)
    assert scan.suspected_ml == pytest.approx(0.3)
    assert scan.scan_temperature > 0
    sure = 1 / (1 + np.exp(-(np.log([0.1, 0.85]) / scan.scan_temperature + scan.scan_bias)))
    assert sure[0] < 0.4 < 0.8 < sure[1]
    told = hemorrhage_metrics(found, recipe, point, scan)["validation_after_calibration"]
    assert (told["heads_with_blood"], told["share_suspected"], told["mean_dice"]) == (3, 1.0, 1.0)
    assert (told["heads_without_blood"], told["healthy_heads"], told["share_suspected_of_healthy"]) == (2, 1, 0.0)
    assert hemorrhage_metrics([], recipe, point, ScanPoint())["validation_after_calibration"]["mean_dice"] is None


def test_the_threshold_for_suspicion_tells_blood_from_false_marks(cases: list[PatchCase]) -> None:
    """A large false mark of 0.6 in a healthy head, 3 ml of blood of 0.9: from 0.7 on only the blood is left."""
    recipe = tiny_patches("hemorrhage")
    blood, marks = (np.repeat(part, 4, axis=0) for part in (cases[3].blood, cases[3].marks))
    bleeding = replace(cases[3], blood=blood, marks=marks, geometry=Geometry.regular(blood.shape, (5.0, 1.0, 1.0)))
    sure = JudgedCase(bleeding, np.where(blood > 0, 0.9, 0.0)[None].astype(np.float16))
    false = JudgedCase(cases[4], np.full((1, *cases[4].marks.shape), 0.6, dtype=np.float16))
    point = PatchPoint((0.5,), (0.0,), 0.0)
    scan = scan_point([sure, false], point)
    assert scan.suspected_threshold == 0.7
    assert scan.suspected_ml == pytest.approx(0.1)
    assert blood_mask(sure, point, scan).sum() == (blood > 0).sum()
    assert not blood_mask(false, point, scan).any()
    told = hemorrhage_metrics([sure, false], recipe, point, scan)["validation_after_calibration"]
    assert (told["heads_with_2_ml"], told["share_suspected_of_2_ml"]) == (1, 1.0)


def test_stained_heads_do_not_raise_the_limit(cases: list[PatchCase]) -> None:
    """A head with contrast staining may be marked: it looks like blood. One with an infarct alone counts as free."""
    point = PatchPoint((0.5,), (0.0,), 0.0)
    marks = cases[4].marks.copy()
    marks[0, 0, 0] |= STAINED
    stained = replace(cases[4], marks=marks)
    large, small = (spot(cases[4], (15, 15), size, 0.9)[None].astype(np.float16) for size in (12, 6))
    assert (is_plain(cases[4]), is_plain(cases[2]), is_plain(stained), is_plain(cases[3])) == (True, True, False, False)
    found = [JudgedCase(stained, large), JudgedCase(cases[2], small)]
    assert scan_point(found, point).suspected_ml == pytest.approx(0.2)


def test_masks_are_those_of_the_systems(cases: list[PatchCase]) -> None:
    """Smoothed, cut off from the threshold on, without specks."""
    case = replace(cases[3], marks=np.full_like(cases[3].marks, 3))
    chance = spot(case, (20, 20), 10, 0.5) + spot(case, (5, 5), 2, 0.9)
    masks = masks_of(
        JudgedCase(case, np.stack([chance] * 2).astype(np.float16)), PatchPoint((0.5, 0.6), (0.1, 0), 0.0), "volumetry"
    )
    assert masks[0].sum() == 100
    assert masks[1].sum() == 4
