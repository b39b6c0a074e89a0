"""Cut-offs chosen together, by hand: a network that marks much in the other's heads gets a higher one."""

from dataclasses import replace

import numpy as np
import pytest
from prepared_patches import tiny_patches, write_patches

from infarct.training.patch_data import is_wanted, region_of
from infarct.training.patch_recipe import HEMORRHAGE_PRESETS, VOLUMETRY_PRESETS
from infarct.training.patch_scores import JudgedCase, PatchPoint, patch_point, volumetry_metrics
from infarct.training.patch_store import PatchCase, load_patch_cases, read_patch_index
from infarct.training.patch_union import united_point

RECIPE = tiny_patches(networks=("severe", "subtle"))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[PatchCase]:
    """Return a severe, an intermediate and a subtle infarct, the first two with blood, blood alone, and nothing."""
    index = read_patch_index(write_patches(tmp_path_factory.mktemp("patches") / "cases"))
    return load_patch_cases(index, index.of("train"))


def judged(case: PatchCase, *inside_and_outside: tuple[float, float]) -> JudgedCase:
    """Return a head in which each network has one probability in the infarct and one in all else."""
    truth, region = (part(case.marks, *rest) for part, rest in ((is_wanted, (case.blood, "volumetry")),
                     (region_of, ("volumetry",))))  # fmt: skip
    chances = [np.where(truth, inside, outside) * region for inside, outside in inside_and_outside]
    return JudgedCase(case, np.stack(chances).astype(np.float16))


def test_a_cut_off_that_spoils_the_others_heads_is_raised(cases: list[PatchCase]) -> None:
    """The subtle network alone takes .5, where it marks all of the severe head; at .8 both heads are right."""
    found = [judged(cases[0], (0.9, 0.15), (0.75, 0.75)), judged(cases[2], (0.15, 0.15), (0.9, 0.25))]
    own = patch_point(found, RECIPE)
    assert own.thresholds == (0.2, 0.3)
    together = united_point(found, RECIPE, own)
    assert together == replace(own, thresholds=(0.2, 0.8))
    rows = {row["heads"]: row for row in volumetry_metrics(found, RECIPE, together)["validation_union"]}
    assert (rows["severe"]["mean_dice"], rows["subtle"]["mean_dice"]) == (1.0, 1.0)
    assert rows["severe"]["median_false_ml"] == 0


def test_a_good_point_is_kept_and_without_infarcts_nothing_is_chosen(cases: list[PatchCase]) -> None:
    good = [judged(cases[0], (0.9, 0.15), (0.15, 0.15)), judged(cases[2], (0.15, 0.15), (0.9, 0.15))]
    start = PatchPoint((0.5, 0.5), (0.1, 0.0), 0.0)
    assert united_point(good, RECIPE, start) == start
    assert united_point([judged(cases[4], (0.9, 0.9), (0.9, 0.9))], RECIPE, start) == start


def test_classes_count_alike_however_many_heads_they_have(cases: list[PatchCase]) -> None:
    """Nine severe heads would have the subtle network off; it costs the one subtle head all, and counts as much."""
    recipe = tiny_patches(networks=("subtle",))
    severe, subtle = judged(cases[0], (0.9, 0.15)), judged(cases[2], (0.4, 0.15))
    start = PatchPoint((0.9,), (0.0,), 0.0)
    assert united_point([*[severe] * 9, subtle], recipe, start).thresholds == (0.2,)


def test_the_paper_and_blood_choose_alone() -> None:
    assert VOLUMETRY_PRESETS["cpu"].united
    assert VOLUMETRY_PRESETS["single"].united
    assert not VOLUMETRY_PRESETS["paper"].united
    assert not any(recipe.united for recipe in HEMORRHAGE_PRESETS.values())
