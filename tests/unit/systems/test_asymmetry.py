"""What the side comparison finds on heads changed by hand."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.anatomy import REGIONS, SIDES, TERRITORY_LABELS, opposite, region_label
from infarct.findings import RegionFinding
from infarct.preprocess.head import Head
from infarct.preprocess.midplane import Midplane, mirrored
from infarct.systems.asymmetry import AsymmetryConfig, AsymmetryResult, compare_sides, side_difference
from plain_head import PlainPatient

CONFIG = AsymmetryConfig()


def with_hu(head: Head, hu: np.ndarray) -> Head:
    hu = np.asarray(hu, dtype=np.float32)
    return replace(head, hu=hu, mirrored_hu=mirrored(hu, head.geometry, head.midplane))


def darkened(head: Head, where: np.ndarray, by_hu: float) -> Head:
    return with_hu(head, head.hu - np.where(where & head.brain, np.float32(by_hu), np.float32(0)))


def world(head: Head) -> np.ndarray:
    return head.geometry.index_to_world(np.indices(head.geometry.shape_zyx).transpose(1, 2, 3, 0))


def region_mask(head: Head, region, side) -> np.ndarray:
    return head.aspects_regions == region_label(region, side)


def ball(head: Head, radius_mm: float, side, region="M5", inwards_mm: float = 8.0) -> np.ndarray:
    points = world(head)
    middle = points[region_mask(head, region, side)].mean(axis=0)
    middle = middle + head.midplane.normal * (-inwards_mm if side == "left" else inwards_mm)
    return np.linalg.norm(points - middle, axis=-1) < radius_mm


def affected(result: AsymmetryResult) -> set[tuple[str, str]]:
    return {(finding.region, finding.side) for finding in result.aspects.regions if finding.affected}


def finding_of(result: AsymmetryResult, region, side) -> RegionFinding:
    (finding,) = (one for one in result.aspects.regions if (one.region, one.side) == (region, side))
    return finding


@pytest.fixture(scope="module")
def healthy_result(healthy_head: Head) -> AsymmetryResult:
    return compare_sides(healthy_head)


@pytest.fixture(scope="module")
def left_result(left_head: Head) -> AsymmetryResult:
    return compare_sides(left_head)


def test_a_healthy_head_has_nothing(healthy_result: AsymmetryResult) -> None:
    aspects = healthy_result.aspects
    assert affected(healthy_result) == set()
    assert (aspects.score, aspects.score_min, aspects.score_max, aspects.side) == (10, 10, 10, "none")
    assert (aspects.left_score, aspects.right_score) == (10, 10)
    assert (healthy_result.infarct.volume_ml, healthy_result.infarct.side) == (0, "none")
    assert healthy_result.infarct.lesions == healthy_result.old_infarct.lesions == ()
    assert not healthy_result.infarct_mask.any()


def test_twenty_regions_in_their_order(healthy_result: AsymmetryResult) -> None:
    names = [(finding.region, finding.side) for finding in healthy_result.aspects.regions]
    assert names == [(region, side) for side in SIDES for region in REGIONS]
    assert all(finding.evaluable for finding in healthy_result.aspects.regions)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("region", ["I", "L", "M6"])
def test_a_region_darkened_by_4_hu_is_the_one_affected(
    healthy_head: Head, healthy_result: AsymmetryResult, region, side
) -> None:
    result = compare_sides(darkened(healthy_head, region_mask(healthy_head, region, side), 4.0))
    assert affected(result) == {(region, side)}
    before, after = finding_of(healthy_result, region, side), finding_of(result, region, side)
    assert before.mean_hu is not None
    assert after.mean_hu is not None
    assert after.contralateral_mean_hu is not None
    assert after.mean_hu - before.mean_hu == pytest.approx(-4, abs=0.8)
    assert after.mean_hu - after.contralateral_mean_hu == pytest.approx(-4, abs=1.5)
    uptake = 100 * (1 - after.mean_hu / after.contralateral_mean_hu)
    assert after.net_water_uptake_pct == pytest.approx(uptake)
    assert 8 < uptake < 17
    assert after.probability is not None
    assert before.probability is not None
    assert after.probability > 0.8 > 0.2 > before.probability
    assert (result.aspects.score, result.aspects.side, result.aspects.side_rule) == (9, side, "evidence")


@pytest.mark.parametrize("side", SIDES)
def test_1_hu_is_not_enough(healthy_head: Head, side) -> None:
    head = healthy_head
    for region in ("L", "M2", "M5"):
        head = darkened(head, region_mask(healthy_head, region, side), 1.0)
    result = compare_sides(head)
    assert affected(result) == set()
    assert result.infarct.volume_ml == 0


@pytest.mark.parametrize("side", SIDES)
def test_fluid_in_a_region_is_left_out(healthy_head: Head, healthy_result: AsymmetryResult, side) -> None:
    """A wide sulcus takes a tenth of the region on one side only."""
    region = region_mask(healthy_head, "M5", side)
    points = world(healthy_head)
    middle = points[region].mean(axis=0)
    sulcus = region & (np.abs(points[..., 1] - middle[1]) < 2.6)
    assert 0.08 < sulcus.sum() / region.sum() < 0.25
    result = compare_sides(with_hu(healthy_head, np.where(sulcus, 7.0, healthy_head.hu)))
    assert affected(result) == set()
    before, after = (finding_of(one, "M5", side).mean_hu for one in (healthy_result, result))
    assert after == pytest.approx(before, abs=1.0)


@pytest.mark.parametrize("side", SIDES)
def test_an_old_infarct_costs_no_points(healthy_head: Head, side) -> None:
    hole = ball(healthy_head, 16.0, side) & healthy_head.brain
    noise = np.random.default_rng(0).normal(8, 4, healthy_head.hu.shape)
    result = compare_sides(with_hu(healthy_head, np.where(hole, noise, healthy_head.hu)))
    assert [lesion.stage for lesion in result.old_infarct.lesions] == ["old"]
    (lesion,) = result.old_infarct.lesions
    assert lesion.side == side
    assert lesion.territories[0] == "MCA"
    truth_ml = hole.sum() * healthy_head.geometry.slice_voxel_ml[0]
    assert result.old_infarct.volume_ml == pytest.approx(truth_ml, rel=0.5)  # smoothing widens what is very dark
    assert result.infarct.volume_ml == 0
    assert affected(result) == set()
    assert result.aspects.score == 10
    assert (result.old_infarct_mask & ~hole).sum() < 0.5 * hole.sum()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("density_hu", [55.0, 70.0])
def test_a_bleed_does_not_make_the_other_side_dark(healthy_head: Head, side, density_hu: float) -> None:
    blood = ball(healthy_head, 16.0, side) & healthy_head.brain
    result = compare_sides(with_hu(healthy_head, healthy_head.hu + np.where(blood, density_hu - 33, 0)))
    healthy_side = opposite(side)
    assert not [pair for pair in affected(result) if pair[1] == healthy_side]
    assert not [lesion for lesion in result.infarct.lesions if lesion.side == healthy_side]


@pytest.mark.parametrize(("territory", "side"), [("PCA", "left"), ("PCA", "right"), ("cerebellum", "left")])
def test_a_lesion_outside_the_mca_territory_is_a_cluster(healthy_head: Head, side, territory) -> None:
    left = healthy_head.midplane.left_mask(healthy_head.geometry)
    where = (healthy_head.territories == TERRITORY_LABELS[territory]) & (left if side == "left" else ~left)
    result = compare_sides(darkened(healthy_head, where, 7.0))
    assert result.infarct.side == side
    largest = result.infarct.lesions[0]
    assert largest.side == side
    assert largest.territories[0] == territory
    assert largest.stage == "undetermined"
    assert largest.volume_ml > 3
    assert (largest.centroid_lps_mm @ healthy_head.midplane.normal > healthy_head.midplane.offset_mm) == (
        side == "left"
    )
    assert (where & result.infarct_mask).sum() > 0.8 * result.infarct_mask.sum()
    assert result.aspects.score == 10


def test_clusters_stand_largest_first(healthy_head: Head) -> None:
    both = ball(healthy_head, 18.0, "left") | ball(healthy_head, 12.0, "right", "M6")
    result = compare_sides(darkened(healthy_head, both, 7.0))
    volumes = [lesion.volume_ml for lesion in result.infarct.lesions]
    assert volumes == sorted(volumes, reverse=True)
    assert len(volumes) >= 2
    assert result.infarct.volume_ml == pytest.approx(sum(volumes))
    counted = result.infarct_mask.sum() * healthy_head.geometry.slice_voxel_ml[0]
    assert result.infarct.volume_ml == pytest.approx(counted)


def test_the_lesion_of_a_demo_patient(left_result: AsymmetryResult, left_patient: PlainPatient) -> None:
    truth = left_patient.truth
    found = {region for region, side in affected(left_result) if side == "left"}
    assert not [pair for pair in affected(left_result) if pair[1] == "right"]
    assert len(found & set(truth.affected_regions)) >= 0.5 * len(truth.affected_regions)
    assert left_result.infarct.side == left_result.aspects.side == "left"
    assert left_result.infarct.lesions[0].territories[0] == "MCA"


def test_side_difference_by_hand(still_head: Head) -> None:
    """Without noise a ball 6 HU darker shows as -6 on its side, +6 on the other, and 0 far off."""
    lesion = ball(still_head, 18.0, "left")
    core = ball(still_head, 9.0, "left") & still_head.brain
    difference = side_difference(darkened(still_head, lesion, 6.0), CONFIG)
    base = side_difference(still_head, CONFIG)
    assert np.median((difference - base)[core]) == pytest.approx(-6, abs=0.5)
    mirrored_core = mirrored(core.astype(np.float32), still_head.geometry, still_head.midplane, fill=0.0) > 0.5
    assert np.median((difference - base)[mirrored_core & still_head.brain]) == pytest.approx(6, abs=0.5)
    far = still_head.brain & ~ball(still_head, 40.0, "left") & ~ball(still_head, 40.0, "right")
    np.testing.assert_allclose(difference[far], base[far], atol=0.01)
    assert not difference[~still_head.brain].any()


def flipped(head: Head) -> Head:
    """The mirrored patient: every array reversed along x, labels swapped, the plane mirrored at the grid's middle."""
    geometry = head.geometry
    centre = geometry.index_to_world((np.array(geometry.shape_zyx) - 1) / 2)
    across = np.eye(3) - 2 * np.outer(geometry.x_direction, geometry.x_direction)
    on_plane = centre - (head.midplane.normal @ centre - head.midplane.offset_mm) * head.midplane.normal
    normal = -across @ head.midplane.normal
    plane = Midplane(normal, float(normal @ (centre + across @ (on_plane - centre))), head.midplane.mismatch)
    labels = head.aspects_regions[..., ::-1].astype(int)
    swapped = np.select([labels > 10, labels > 0], [labels - 10, labels + 10]).astype(np.uint8)
    turned = replace(
        head,
        brain=head.brain[..., ::-1],
        fluid=head.fluid[..., ::-1],
        midplane=plane,
        aspects_regions=swapped,
        territories=head.territories[..., ::-1],
    )
    return with_hu(turned, head.hu[..., ::-1])


def test_the_mirrored_patient_has_mirrored_findings(left_head: Head, left_result: AsymmetryResult) -> None:
    result = compare_sides(flipped(left_head))
    assert {(region, opposite(side)) for region, side in affected(result)} == affected(left_result)
    assert result.aspects.side == "right"
    assert result.aspects.score == left_result.aspects.score
    assert result.aspects.right_score == left_result.aspects.left_score
    assert result.infarct.side == "right"
    assert result.infarct.volume_ml == pytest.approx(left_result.infarct.volume_ml, rel=0.02)
    for region in REGIONS:
        mine, other = finding_of(result, region, "right"), finding_of(left_result, region, "left")
        assert mine.mean_hu == pytest.approx(other.mean_hu, abs=0.1)
        assert mine.volume_ml == pytest.approx(other.volume_ml)


def test_a_head_without_atlas_cannot_be_scored(left_head: Head) -> None:
    empty = np.zeros_like(left_head.aspects_regions)
    result = compare_sides(replace(left_head, aspects_regions=empty, territories=empty))
    aspects = result.aspects
    assert (aspects.score, aspects.left_score, aspects.right_score) == (None, None, None)
    assert (aspects.score_min, aspects.score_max) == (0, 10)
    assert not any(finding.evaluable for finding in aspects.regions)
    assert result.infarct.side == "left"
    assert result.infarct.lesions[0].territories == ()


def test_no_brain_at_all_finds_nothing(left_head: Head) -> None:
    none = np.zeros_like(left_head.brain)
    result = compare_sides(replace(left_head, brain=none, fluid=none))
    assert result.infarct.lesions == ()
    assert result.aspects.score is None
