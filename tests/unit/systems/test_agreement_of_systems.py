"""Systems on one scan compared, by hand: sides, overlap, volumes, and disagreement in words."""

from itertools import permutations

import numpy as np
import pytest

from infarct.anatomy import REGIONS, SIDES, MarkedSide, Region, Side, region_label
from infarct.findings import Aspects, FollowupInfarct, HyperdenseArtery, Infarct, Lesion, RegionFinding
from infarct.systems.agreement import (
    Mark,
    agreement_of,
    disagreement_flag,
    mark_of_artery,
    mark_of_aspects,
    mark_of_followup,
    mark_of_infarct,
)
from infarct.types import BoolArray
from infarct.volume import Geometry

GRID = Geometry.regular((10, 20, 20), spacing_mm_zyx=(10.0, 5.0, 5.0))
"""A voxel is 0.25 ml."""


def box(columns: slice, rows: slice = slice(5, 10), slices: slice = slice(2, 6)) -> BoolArray:
    mask = np.zeros(GRID.shape_zyx, dtype=bool)
    mask[slices, rows, columns] = True
    return mask


def mark(system: str, side: MarkedSide, mask: BoolArray, *, outlined: bool = True) -> Mark:
    return Mark(system, side, ("MCA",), mask.sum() * 0.25 if outlined else None, mask)


def sentences(*marks: Mark) -> tuple[str, ...]:
    found = agreement_of(marks, GRID)
    assert found is not None
    return found.disagreements


LEFT, RIGHT, NOTHING = box(slice(12, 16)), box(slice(4, 8)), box(slice(0, 0))
"""Of 80 voxels, 20 ml; column 0 is at the patient's right."""


def test_one_system_alone_is_not_compared() -> None:
    assert agreement_of([], GRID) is None
    assert agreement_of([mark("segment", "left", LEFT)], GRID) is None
    assert disagreement_flag(None) is None


def test_overlap_is_told_both_ways() -> None:
    half = box(slice(14, 16))
    agreement = agreement_of([mark("segment", "left", LEFT), mark("localize", "left", half, outlined=False)], GRID)
    assert agreement is not None
    (overlap,) = agreement.overlaps
    assert overlap.systems == ("segment", "localize")
    assert overlap.dice == pytest.approx(2 * 40 / (80 + 40))
    assert overlap.share_of_smaller == 1.0
    assert agreement.volumes_ml == {"segment": 20.0}
    assert agreement.sides == {"segment": "left", "localize": "left"}
    assert agreement.disagreements == ()
    assert disagreement_flag(agreement) is None


def test_sides_that_differ_are_told_by_name() -> None:
    told = sentences(
        mark("segment", "left", LEFT),
        mark("localize", "right", RIGHT, outlined=False),
        Mark("hyperdense_artery", "left", ("MCA",)),
    )
    assert told == (
        "The segmentation and the dense artery sign mark the left side, the search tile by tile the right.",
    )
    flag = disagreement_flag(agreement_of([mark("segment", "left", LEFT), mark("localize", "right", RIGHT)], GRID))
    assert flag is not None
    assert (flag.code, flag.severity) == ("systems_disagree", "warning")
    assert "the left side" in flag.message


def test_both_sides_and_none_are_no_other_side() -> None:
    assert sentences(mark("segment", "both", LEFT | RIGHT), mark("volumetry", "left", LEFT | box(slice(4, 6)))) == ()
    assert sentences(mark("segment", "none", NOTHING), mark("localize", "none", NOTHING)) == ()


def test_a_mark_that_another_lacks_is_told_from_5_ml_on() -> None:
    small = box(slice(12, 13), slices=slice(2, 5))  # 15 voxels, 3.75 ml
    assert sentences(mark("segment", "left", small), mark("localize", "none", NOTHING, outlined=False)) == ()
    for pair in permutations([mark("segment", "left", LEFT), mark("localize", "none", NOTHING, outlined=False)]):
        assert sentences(*pair) == (
            "The segmentation marks 20 ml on the left where the search tile by tile finds nothing.",
        )


def test_what_a_system_cannot_see_it_does_not_deny() -> None:
    blind = Mark("aspects", "none", (), None, NOTHING, looks_at=RIGHT)
    assert sentences(mark("segment", "left", LEFT), blind) == ()
    seeing = Mark("aspects", "none", (), None, NOTHING, looks_at=box(slice(12, 14)))
    assert sentences(mark("segment", "left", LEFT), seeing) == (
        "The segmentation marks 10 ml on the left where ASPECTS finds nothing.",
    )


def test_other_places_of_one_side_are_told() -> None:
    beside = box(slice(16, 20))
    assert sentences(mark("segment", "left", LEFT), mark("localize", "left", beside, outlined=False)) == (
        "The segmentation and the search tile by tile mark different places.",
    )


def test_outlines_of_other_sizes_are_told() -> None:
    large = box(slice(12, 16), rows=slice(0, 15))  # 60 ml
    assert sentences(mark("segment", "left", LEFT), mark("volumetry", "left", large)) == (
        "Volumetry measures 60 ml, the segmentation 20 ml.",
    )
    assert sentences(mark("segment", "left", LEFT), mark("volumetry", "left", box(slice(12, 20)))) == ()


def aspects_of(method: str, *affected: tuple[Region, Side], blind: tuple[Region, ...] = ()) -> Aspects:
    regions = tuple(
        RegionFinding(
            region=region,
            side=side,
            affected=None if region in blind else (region, side) in affected,
            probability=None,
            volume_ml=1.0,
            mean_hu=None,
            contralateral_mean_hu=None,
            net_water_uptake_pct=None,
            evaluable=region not in blind,
        )
        for side in SIDES
        for region in REGIONS
    )
    return Aspects(
        score=None, score_min=0, score_max=10, side="none", side_rule="evidence", left_score=None, right_score=None,
        method=method, regions=regions,
    )  # fmt: skip


def test_aspects_marks_its_regions_on_their_own_side() -> None:
    labels = np.zeros(GRID.shape_zyx, dtype=np.uint8)
    labels[LEFT], labels[RIGHT] = region_label("M2", "left"), region_label("M2", "right")
    found = mark_of_aspects(aspects_of("da_net", ("M2", "left")), labels)
    assert found is not None
    assert (found.side, found.territories, found.volume_ml) == ("left", ("MCA",), None)
    np.testing.assert_array_equal(found.mask, LEFT)
    np.testing.assert_array_equal(found.looks_at, LEFT | RIGHT)
    both = mark_of_aspects(aspects_of("da_net", ("M2", "left"), ("I", "right")), labels)
    assert both is not None
    assert both.side == "both"
    none = mark_of_aspects(aspects_of("da_net", blind=("M2",)), labels)
    assert none is not None
    assert (none.side, none.territories) == ("none", ())
    assert none.looks_at is not None
    assert not none.looks_at.any()
    assert mark_of_aspects(aspects_of("asymmetry", ("M2", "left")), labels) is None
    assert mark_of_aspects(aspects_of("da_net", blind=REGIONS), labels) is None


def test_the_other_marks_say_what_the_findings_say() -> None:
    lesion = Lesion(
        volume_ml=20.0, side="left", centroid_lps_mm=(1, 2, 3), territories=("PCA", "MCA"), mean_hu=25.0,
        net_water_uptake_pct=None, stage="acute", probability=None,
    )  # fmt: skip
    named = [
        mark_of_infarct(Infarct(method=method, volume_ml=20.0, side="left", lesions=(lesion,)), LEFT).system
        for method in ("asymmetry", "se_res_unet")
    ]
    assert named == ["asymmetry", "segment"]
    late = FollowupInfarct(
        method="patch_cnn", volume_ml=30.0, without_blood_ml=30.0, severe_ml=None, intermediate_ml=None,
        subtle_ml=None, hemorrhage_ml=0.0, growth_ml=None, midline_shift_mm=None, side="left",
    )  # fmt: skip
    followup = mark_of_followup(late, LEFT, np.where(LEFT, np.uint8(3), np.uint8(2)))
    assert (followup.system, followup.side, followup.territories, followup.volume_ml) == (
        "volumetry", "left", ("PCA",), 30.0,
    )  # fmt: skip
    dense = HyperdenseArtery(suspected=True, side="right", mean_hu=60, contralateral_mean_hu=45, ratio=1.33)
    artery = mark_of_artery(dense)
    assert artery is not None
    assert artery.side == "right"
    assert mark_of_artery(dense.model_copy(update={"suspected": False})) is None
