"""How regions are measured, what a method's answers become, and the score: hand-worked cases."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import ndimage, special

from infarct.anatomy import REGIONS, SIDES, Region, Side, opposite, region_label
from infarct.findings import Aspects, Override, RegionFinding
from infarct.preprocess.head import Head
from infarct.preprocess.midplane import mirrored
from infarct.preprocess.noise import Noise
from infarct.systems.regions import (
    Contrast,
    Judged,
    MeasuredRegion,
    RegionConfig,
    affected_counts,
    dense_tissue,
    measure_regions,
    overridden,
    region_findings,
    score,
)

Place = tuple[str, str]
AT = "2026-03-01T12:30:00Z"


def judged(
    darker: dict[Place, float], unjudged: tuple[Place, ...] = (), chances: dict[Place, float] | None = None
) -> tuple[RegionFinding, ...]:
    """Twenty regions of 10 ml: those in ``darker`` affected by so many HU, some not evaluable; 0 by ``chances``."""
    findings = []
    for side in SIDES:
        for region in REGIONS:
            known = (region, side) not in unjudged
            by_hu = darker.get((region, side), 0.0)
            findings.append(
                RegionFinding(
                    region=region,
                    side=side,
                    affected=by_hu > 0 if known else None,
                    probability=(chances or {}).get((region, side), 0.0) if known else None,
                    volume_ml=10.0,
                    mean_hu=34.0 - by_hu if known else None,
                    contralateral_mean_hu=34.0 if known else None,
                    net_water_uptake_pct=100 * by_hu / 34 if known else None,
                    evaluable=known,
                )
            )
    return tuple(findings)


def scored(regions: tuple[RegionFinding, ...], **how) -> Aspects:
    return score(regions, method="test", **how)


def told(aspects: Aspects) -> tuple:
    return aspects.score, aspects.score_min, aspects.score_max, aspects.side


def word(region: Region, side: Side, affected: bool, reader: str = "A. Reader") -> Override:
    return Override(region=region, side=side, affected=affected, reader=reader, at=AT)


TWO_FAINT_ONE_DARK = {("M1", "left"): 3.0, ("M2", "left"): 3.0, ("L", "right"): 8.0}


def test_score_takes_the_side_with_the_greater_evidence() -> None:
    """Two regions by 3 HU weigh less than one by 8."""
    got = scored(judged(TWO_FAINT_ONE_DARK))
    assert (got.score, got.side, got.side_rule) == (9, "right", "evidence")
    assert (got.left_score, got.right_score) == (8, 9)
    assert (got.method, got.overrides) == ("test", ())


@pytest.mark.parametrize(("side", "points"), [("left", 8), ("right", 9)])
@pytest.mark.parametrize("rule", ["evidence", "min"])
def test_score_takes_the_symptomatic_side_whatever_the_rule(side, points: int, rule) -> None:
    got = scored(judged(TWO_FAINT_ONE_DARK), symptomatic_side=side, side_rule=rule)
    assert (got.score, got.side, got.side_rule) == (points, side, "symptomatic")


def test_symptomatic_side_without_findings_scores_ten() -> None:
    got = scored(judged({("L", "right"): 8.0}), symptomatic_side="left")
    assert (got.score, got.side) == (10, "left")


@pytest.mark.parametrize("side", SIDES)
def test_score_is_null_with_its_range_where_regions_cannot_be_judged(side: Side) -> None:
    regions = judged({("M1", side): 3.0}, unjudged=(("M4", side), ("M5", side)))
    assert told(scored(regions)) == (None, 7, 9, side)
    other = scored(regions, symptomatic_side=opposite(side))
    assert told(other)[:3] == (10, 10, 10)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("rule", ["evidence", "min"])
def test_range_covers_what_cannot_be_judged_where_nothing_is_affected(side: Side, rule) -> None:
    """No side is scored then, so regions of either that cannot be judged widen the range."""
    got = scored(judged({}, unjudged=(("M4", side), ("M5", side))), side_rule=rule)
    assert told(got) == (None, 8, 10, "none")


def test_all_regions_affected_scores_nought() -> None:
    got = scored(judged({(region, "left"): 5.0 for region in REGIONS}))
    assert told(got) == (0, 0, 0, "left")


def test_min_takes_the_lower_side_whatever_the_evidence() -> None:
    got = scored(judged(TWO_FAINT_ONE_DARK), side_rule="min")
    assert told(got) == (8, 8, 8, "left")
    assert got.side_rule == "min"


def test_min_names_both_sides_where_they_are_equal() -> None:
    got = scored(judged({("M1", "left"): 3.0, ("L", "right"): 8.0}), side_rule="min")
    assert told(got) == (9, 9, 9, "both")


@pytest.mark.parametrize(
    ("unjudged", "expected"),
    [
        ((("M4", "left"),), (8, 8, 8, "right")),  # left is 9 or 10: above 8 anyhow
        ((("M4", "left"), ("M5", "left"), ("M6", "left")), (None, 7, 8, "right")),  # left may be 7
        ((("M4", "right"),), (None, 7, 8, "right")),
    ],
)
def test_min_is_null_only_where_what_cannot_be_judged_may_change_it(unjudged, expected) -> None:
    regions = judged({("M1", "right"): 3.0, ("M2", "right"): 3.0}, unjudged=unjudged)
    assert told(scored(regions, side_rule="min")) == expected


def test_regions_without_a_density_weigh_by_their_volume() -> None:
    """A reader's region that the system could not measure decides the side, also where it has no volume at all."""
    regions = judged({}, unjudged=(("M5", "right"),))
    empty = tuple(finding.model_copy(update={"volume_ml": 0.0}) for finding in regions)
    for given in (regions, empty):
        assert told(scored(given, overrides=(word("M5", "right", True),))) == (9, 9, 9, "right")


@pytest.mark.parametrize(
    ("chances", "interval"),
    [
        ({}, (10, 10)),
        ({"M1": 0.02}, (10, 10)),  # 98 % for 10
        ({"M1": 0.03}, (9, 10)),  # 97 % are not enough
        ({"M1": 0.5, "M2": 0.5}, (8, 10)),  # 1/4, 1/2, 1/4
        ({"M1": 1.0, "M2": 1.0, "M3": 0.98}, (7, 7)),
        ({"M1": 1.0, "M2": 1.0, "M3": 0.97}, (7, 8)),
        (dict.fromkeys(REGIONS, 1.0), (0, 0)),
    ],
)
@pytest.mark.parametrize("side", SIDES)
def test_interval_by_hand(side: Side, chances: dict[str, float], interval: tuple[int, int]) -> None:
    regions = judged({}, chances={(name, side): chance for name, chance in chances.items()})
    assert scored(regions, symptomatic_side=side).score_interval == interval
    assert scored(regions, symptomatic_side=opposite(side)).score_interval == (10, 10)


def enumerated(chances: list[float]) -> np.ndarray:
    """The distribution of how many of independent regions are affected, by going through every outcome."""
    mass = np.zeros(len(chances) + 1)
    for outcome in product((0, 1), repeat=len(chances)):
        mass[sum(outcome)] += np.prod([p if hit else 1 - p for p, hit in zip(chances, outcome, strict=True)])
    return mass


@pytest.mark.parametrize("seed", range(3))
def test_counts_against_every_outcome_and_against_draws(seed: int) -> None:
    random = np.random.default_rng(seed)
    chances = random.uniform(0, 1, 6).tolist()
    assert affected_counts(chances, correlation=0.0) == pytest.approx(enumerated(chances))
    shared, own = random.normal(size=(200_000, 1)), random.normal(size=(200_000, 6))
    affected = np.sqrt(0.6) * shared + np.sqrt(0.4) * own < special.ndtri(chances)
    drawn = np.bincount(affected.sum(axis=1), minlength=7) / len(affected)
    assert affected_counts(chances, correlation=0.6) == pytest.approx(drawn, abs=0.006)


@pytest.mark.parametrize("chance", [0.0, 0.01, 0.3, 0.99, 1.0])
def test_shared_counts_keep_the_mean(chance: float) -> None:
    assert affected_counts([chance] * 10) @ np.arange(11) == pytest.approx(10 * chance, abs=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_interval_of_one_side_and_of_the_lower_one(seed: int) -> None:
    drawn = np.random.default_rng(seed).uniform(0, 1, (2, 6))
    chances = {
        (region, side): float(drawn[number, k])
        for number, side in enumerate(SIDES)
        for k, region in enumerate(REGIONS[:6])
    }
    regions = judged({}, chances=chances)
    right, left = (affected_counts(row.tolist()) for row in drawn)
    lower = np.zeros(7)
    for (i, p), (j, q) in product(enumerate(right), enumerate(left)):
        lower[max(i, j)] += p * q
    assert scored(regions, symptomatic_side="left").score_interval == central(left)
    assert scored(regions, side_rule="min").score_interval == central(lower)


def central(counts: np.ndarray) -> tuple[int, int]:
    """The central 95 % of the score, one by one: what lies beyond each end is 2.5 % at most."""
    highest = 10 - min(n for n in range(len(counts)) if counts[: n + 1].sum() >= 0.025)
    lowest = 10 - min(n for n in range(len(counts)) if counts[: n + 1].sum() >= 0.975)
    return lowest, highest


def test_no_interval_where_a_probability_of_the_scored_side_is_missing() -> None:
    regions = judged({}, unjudged=(("M4", "left"),))
    assert scored(regions, symptomatic_side="left").score_interval is None
    assert scored(regions, symptomatic_side="right").score_interval == (10, 10)
    silent = tuple(finding.model_copy(update={"probability": None}) for finding in judged({}))
    assert scored(silent).score_interval is None


MEASURED = MeasuredRegion("M1", "left", 12.0, Contrast(30.0, 32.0, 0.5), old=False)


def test_a_method_s_answer_becomes_a_finding() -> None:
    (got,) = region_findings([MEASURED], [Judged(0.7, True)])
    assert (got.affected, got.probability, got.evaluable) == (True, 0.7, True)
    assert (got.mean_hu, got.contralateral_mean_hu, got.net_water_uptake_pct) == (30.0, 32.0, 6.25)
    assert got.difference_error_hu == 0.5
    assert (got.region, got.side, got.volume_ml) == ("M1", "left", 12.0)


@pytest.mark.parametrize("answer", [Judged(0.99, True), None])
def test_what_was_not_measured_is_marked_whatever_a_method_says(answer: Judged | None) -> None:
    unseen, taken = (MeasuredRegion("M1", "left", 12.0, None, old=old) for old in (False, True))
    first, second = region_findings([unseen, taken], [answer, answer])
    assert (first.affected, first.probability, first.evaluable, first.mean_hu) == (None, None, False, None)
    assert (second.affected, second.probability, second.evaluable) == (False, None, False)


def test_noise_that_was_not_measured_is_null_and_not_0() -> None:
    silent = replace(MEASURED, contrast=Contrast(30.0, 32.0, 0.0))
    assert [one.difference_error_hu for one in region_findings([silent], [Judged(0.7, True)])] == [None]
    assert [one.difference_error_hu for one in region_findings([replace(MEASURED, contrast=None)], [None])] == [None]


def test_a_region_without_an_answer_keeps_its_density_and_is_not_judged() -> None:
    (got,) = region_findings([MEASURED], [None])
    assert (got.affected, got.probability, got.evaluable, got.mean_hu) == (None, None, False, 30.0)


def test_an_answer_is_needed_for_every_region() -> None:
    with pytest.raises(ValueError, match="shorter"):
        region_findings([MEASURED], [])


def test_an_old_infarct_deducts_nothing_and_leaves_the_interval_known() -> None:
    taken = {"affected": False, "probability": None, "evaluable": False, "mean_hu": None}
    regions = tuple(
        finding.model_copy(update=taken) if (finding.region, finding.side) == ("M2", "left") else finding
        for finding in judged({("M1", "left"): 4.0}, chances={("M1", "left"): 1.0})
    )
    got = scored(regions)
    assert told(got) == (9, 9, 9, "left")
    assert got.score_interval == (9, 9)


def measured_of(head: Head, region: Region, side: Side, old: np.ndarray | None = None) -> MeasuredRegion:
    nothing = np.zeros_like(head.brain)
    (found,) = (
        one
        for one in measure_regions(head, nothing if old is None else old)
        if (one.region, one.side) == (region, side)
    )
    return found


@pytest.mark.parametrize("side", SIDES)
def test_measured_by_hand_on_a_head_without_noise(still_head: Head, side: Side) -> None:
    own = still_head.aspects_regions == region_label("M5", side)
    hu = still_head.hu - np.where(own, np.float32(5), np.float32(0))
    darker = replace(still_head, hu=hu, mirrored_hu=mirrored(hu, still_head.geometry, still_head.midplane))
    before, after = (measured_of(head, "M5", side).contrast for head in (still_head, darker))
    assert before is not None
    assert after is not None
    assert before.mean_hu - after.mean_hu == pytest.approx(5, abs=0.3)
    assert after.darker_hu - before.darker_hu == pytest.approx(5, abs=0.6)
    assert measured_of(darker, "M5", side).volume_ml == pytest.approx(own.sum() * still_head.geometry.slice_voxel_ml[0])


def test_the_error_of_a_difference_by_hand(still_head: Head) -> None:
    """Of n pixels of a mm2 on both sides, noise of 4 HU that counts once in 9 mm2: sqrt(2) 4 sqrt(9 / (n a)) HU."""
    head = replace(still_head, noise=Noise(sd_hu=4.0, correlated_area_mm2=9.0))
    counted = (head.aspects_regions == region_label("M5", "left")) & head.brain & ~dense_tissue(head, RegionConfig())
    for hu in (head.hu, head.mirrored_hu):
        counted &= (hu > 15) & (hu < 55)
    sy, sx = head.geometry.pixel_spacing_mm_yx
    found = measured_of(head, "M5", "left")
    (told,) = region_findings([found], [Judged(0.5, False)])
    assert told.difference_error_hu == pytest.approx(np.sqrt(2) * 4 * 3 / np.sqrt(counted.sum() * sy * sx))
    assert 0.1 < told.difference_error_hu < 1


@pytest.mark.slow
def test_differences_scatter_as_their_error_says(still_head: Head) -> None:
    """The same head under noise of known size and grain, many times: what differs between the times is the noise."""
    geometry, grain_mm, sd_hu = still_head.geometry, 1.0, 3.0
    sigma = (0.0, *(grain_mm / mm for mm in geometry.pixel_spacing_mm_yx))
    noise = Noise(sd_hu, correlated_area_mm2=4 * np.pi * grain_mm**2)
    darker, errors = [], []
    for seed in range(8):
        grains = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(geometry.shape_zyx), sigma)
        hu = (still_head.hu + sd_hu * grains / grains.std()).astype(np.float32)
        noisy = replace(still_head, hu=hu, mirrored_hu=mirrored(hu, geometry, still_head.midplane), noise=noise)
        found = [one.contrast for one in measure_regions(noisy, np.zeros_like(noisy.brain)) if one.contrast]
        assert len(found) == 20
        darker.append([one.darker_hu for one in found])
        errors.append([one.error_hu for one in found])
    scatter = np.std(darker, axis=0, ddof=1)
    assert np.sqrt(np.mean((scatter / np.mean(errors, axis=0)) ** 2)) == pytest.approx(1, abs=0.2)


def test_a_region_taken_by_an_old_infarct_is_known_as_such(still_head: Head) -> None:
    own = still_head.aspects_regions == region_label("M5", "left")
    taken = measured_of(still_head, "M5", "left", own)
    assert (taken.contrast, taken.old) == (None, True)
    assert not measured_of(still_head, "M5", "right", own).old


def test_dense_tissue_is_left_out_on_both_sides_and_a_mirrored_skull_is_none(still_head: Head) -> None:
    """Where a head is not symmetric its mirrored skull lies inside the brain."""
    config = RegionConfig()
    before = dense_tissue(still_head, config)
    skull = replace(still_head, mirrored_hu=np.full_like(still_head.hu, 800.0))
    assert (dense_tissue(skull, config) == before).all()
    own = still_head.aspects_regions == region_label("L", "left")
    bled = replace(still_head, hu=np.where(own, np.float32(65), still_head.hu))
    found = dense_tissue(bled, config) & ~before
    across = still_head.aspects_regions == region_label("L", "right")
    assert found[own].mean() > 0.9
    assert found[across].mean() > 0.7


def test_a_region_outside_the_scan_is_not_measured(still_head: Head) -> None:
    """Most of M5 lies above the scan: what is left of it says nothing of the region."""
    whole = list(still_head.region_ml)
    whole[region_label("M5", "left")] *= 5
    cut = replace(still_head, region_ml=tuple(whole))
    assert measured_of(cut, "M5", "left").contrast is None
    assert measured_of(cut, "M5", "right").contrast is not None


LEFT_TWO = judged({("M1", "left"): 4.0, ("M2", "left"): 4.0}, chances={("M1", "left"): 0.9, ("M2", "left"): 0.9})


def test_a_reader_s_region_replaces_the_system_s_in_the_score_alone() -> None:
    before = scored(LEFT_TWO)
    after = overridden(before, [word("M2", "left", False)])
    assert told(before) == (8, 8, 8, "left")
    assert told(after) == (9, 9, 9, "left")
    assert (after.left_score, after.right_score, after.score_interval) == (9, 10, (9, 10))
    assert after.regions == before.regions
    assert [(o.region, o.side, o.affected, o.reader, o.at) for o in after.overrides] == [
        ("M2", "left", False, "A. Reader", AT)
    ]


def test_a_reader_can_judge_what_the_system_cannot() -> None:
    before = scored(judged({("M1", "left"): 4.0}, unjudged=(("M4", "left"), ("M5", "left"))))
    one = overridden(before, [word("M4", "left", True)])
    both = overridden(one, [word("M5", "left", False, "Another")])
    assert told(before) == (None, 7, 9, "left")
    assert told(one) == (None, 7, 8, "left")
    assert told(both) == (8, 8, 8, "left")
    assert [o.reader for o in both.overrides] == ["A. Reader", "Another"]
    assert not any(
        finding.evaluable for finding in both.regions if finding.region in ("M4", "M5") and finding.side == "left"
    )


def test_the_last_word_on_a_region_counts_and_all_are_kept() -> None:
    got = overridden(scored(LEFT_TWO), [word("M2", "left", False), word("M2", "left", True, "Another")])
    assert (got.score, len(got.overrides)) == (8, 2)


def test_a_reader_can_turn_the_scored_side() -> None:
    got = overridden(scored(LEFT_TWO), [word("M1", "left", False), word("M2", "left", False), word("I", "right", True)])
    assert told(got) == (9, 9, 9, "right")


@pytest.mark.parametrize(("how", "points"), [({"symptomatic_side": "right"}, 9), ({"side_rule": "min"}, 8)])
def test_the_rule_by_which_a_side_is_scored_stays(how, points: int) -> None:
    before = scored(LEFT_TWO, **how)
    after = overridden(before, [word("I", "right", True)])
    assert (after.score, after.side, after.side_rule) == (points, before.side, before.side_rule)


def test_no_override_changes_nothing() -> None:
    before = scored(LEFT_TWO)
    assert overridden(before, []) == before
