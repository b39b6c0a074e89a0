"""Figures of many scans, by hand and against independent ways to the same number."""

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from infarct.anatomy import REGIONS, Side
from infarct.evaluation.aspects import CORE, FINAL, SYSTEM, AspectsAbout, AspectsResult, RegionResult
from infarct.evaluation.aspects_summary import (
    AspectsSummary,
    Counted,
    CutFigures,
    RegionFigures,
    ScoreFigures,
    region_pairs,
    score_pairs,
    summarise_aspects,
)
from infarct.evaluation.aspects_tables import region_overlap, worst
from unit.evaluation.drawn_aspects import drawn_scores, scored

RESULTS = drawn_scores("here", 30, healthy=0.2)
SUMMARY = summarise_aspects(RESULTS, resamples=40)
READER = "reader 1"


def regions(judge: str, reference: str, counted: Counted, area: str, of: AspectsSummary = SUMMARY) -> RegionFigures:
    (found,) = (
        one
        for one in of.regions
        if (one.judge, one.reference, one.counted, one.area) == (judge, reference, counted, area)
    )
    return found


def scores(judge: str, reference: str, of: AspectsSummary = SUMMARY) -> ScoreFigures:
    (found,) = (one for one in of.scores if (one.judge, one.reference) == (judge, reference))
    return found


def known(results: list[AspectsResult], *, affected_only: bool) -> list[RegionResult]:
    rows = [one for case in results for one in (case.affected_side if affected_only else case.regions)]
    return [one for one in rows if one.affected is not None]


@pytest.mark.parametrize(("counted", "affected_only"), [("affected hemisphere", True), ("both hemispheres", False)])
def test_regions_against_sklearn(counted: Counted, affected_only: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rows = known(RESULTS, affected_only=affected_only)
    truth, calls = [one.core for one in rows], [one.affected for one in rows]
    found = regions(SYSTEM, CORE, counted, "all")
    assert found.decisions.count == len(rows)
    assert found.decisions.sensitivity.estimate == pytest.approx(metrics.recall_score(truth, calls))
    assert found.decisions.balanced_accuracy.estimate == pytest.approx(metrics.balanced_accuracy_score(truth, calls))
    assert found.auc is not None
    assert found.auc.estimate == pytest.approx(metrics.roc_auc_score(truth, [one.probability for one in rows]))
    assert found.auc.low < found.auc.estimate < found.auc.high
    strokes = sum(case.about.side is not None for case in RESULTS)
    assert found.decisions.count + found.left_out == (10 * strokes if affected_only else 20 * len(RESULTS))
    assert found.left_out > 0


def test_areas_add_up() -> None:
    for counted in get_args(Counted):
        count = {area: regions(SYSTEM, CORE, counted, area).decisions.count for area in ("all", *REGIONS)}
        assert sum(count[region] for region in REGIONS) == count["all"]
        cortical, deep, every = (
            regions(SYSTEM, CORE, counted, area).decisions.positives for area in ("cortical", "subcortical", "all")
        )
        assert cortical + deep == every


def test_judges_are_measured_by_each_other() -> None:
    assert region_pairs(["r1", "r2"]) == (
        *(("system", "core"), ("system", "r1"), ("system", "r2")),
        *(("r2", "r1"), ("r1", "core"), ("r2", "core")),
    )
    assert score_pairs(["r1"])[-2:] == ((FINAL, "core"), (FINAL, "r1"))
    assert regions("reader 2", READER, "both hemispheres", "all").auc is None


def test_scores_against_sklearn_and_numpy() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    cases = [case for case in RESULTS if case.score_by(SYSTEM) is not None]
    truth, found = ([case.score_by(judge) or 0 for case in cases] for judge in (READER, SYSTEM))
    one = scores(SYSTEM, READER)
    strokes = sum(case.about.side is not None for case in RESULTS)
    assert (one.scans, one.left_out) == (len(cases), strokes - len(cases))
    assert one.left_out > 0
    for kind, ours in (("linear", one.kappa_linear), ("quadratic", one.kappa_quadratic)):
        assert ours.estimate == pytest.approx(metrics.cohen_kappa_score(truth, found, weights=kind, labels=range(11)))
    differences = np.array(found) - truth
    assert one.difference.mean.estimate == pytest.approx(differences.mean())
    assert one.difference.high - one.difference.low == pytest.approx(2 * 1.96 * differences.std(ddof=1))
    assert one.icc_absolute.low < one.icc_absolute.estimate < one.icc_absolute.high


def case(side: Side | None, core: int, called: int, index: int, *, elsewhere: int = 0) -> AspectsResult:
    """Return a case with the first so many regions of its side affected and called; elsewhere so many are called."""
    rows = []
    for here in ("right", "left"):
        for number, region in enumerate(REGIONS):
            own = here == side
            affected = number < (called if own else elsewhere)
            truth = own and number < core
            rows.append(RegionResult(region, here, truth, (truth,), affected, float(affected), 0.8))
    about = AspectsAbout(f"{index}", f"p{index}", "hand", side=side, onset_h=2.0 if index % 2 else None)
    return scored(about, tuple(rows))


def test_scores_by_hand() -> None:
    by_hand = [case("left", 3, 3, 0), case("left", 5, 4, 1), case("right", 0, 1, 2), case(None, 0, 0, 3, elsewhere=2)]
    found = summarise_aspects(by_hand, resamples=10)
    one = scores(SYSTEM, CORE, found)
    assert (one.scans, one.left_out) == (3, 0)
    assert one.difference.mean.estimate == pytest.approx((0 + 1 - 1) / 3)
    (whole,) = found.overview
    assert (whole.scans, whole.strokes, whole.without_score, whole.regions_not_judged) == (4, 3, 0, 0)
    assert whole.side_right.estimate == 1.0
    assert whole.side_right.count == 2  # the third has no region affected by core
    assert whole.untouched.estimate == 0.0
    assert whole.points_lost.mean.estimate == 2.0
    assert found.overlap[-1].area == "all"
    assert found.overlap[-1].dice.mean.estimate == pytest.approx(0.8)
    assert [one.label for one in found.strata if one.by == "time from onset"][:1] == ["<3 h"]
    assert not [one for one in found.strata if one.by == "tube voltage"]  # known of nobody


def test_the_interval_is_held_against_the_side_that_was_scored() -> None:
    """Three regions of the left side are affected by core: 7 on the left, 10 on the right."""
    left = case("left", 3, 3, 0)

    def holds(low: int, high: int, side: str) -> bool | None:
        return replace(left, score_interval=(low, high), side=side).interval_holds

    assert (holds(7, 9, "left"), holds(8, 10, "left"), holds(5, 6, "left")) == (True, False, False)
    assert (holds(10, 10, "right"), holds(7, 9, "right")) == (True, False)
    assert (holds(7, 7, "none"), holds(8, 10, "both")) == (True, False)  # the lower side counts
    assert left.interval_holds is None
    free = replace(case(None, 0, 0, 1), score_interval=(8, 9), side="none")
    found = summarise_aspects([replace(left, score_interval=(7, 7), side="left"), left, free], resamples=10)
    (whole,) = found.overview
    assert (whole.interval_holds.estimate, whole.interval_holds.count) == (0.5, 2)
    assert (whole.interval_holds_strokes.estimate, whole.interval_holds_strokes.count) == (1.0, 1)


def cut(of: AspectsSummary, at: int, positive: str) -> CutFigures:
    (found,) = (
        one for one in of.cuts if (one.judge, one.reference, one.cut, one.positive) == (SYSTEM, CORE, at, positive)
    )
    return found


def test_dichotomised_by_hand_in_both_polarities() -> None:
    """Scores by core 7, 7, 6, 3 and by the system 8, 6, 5, 7."""
    by_hand = [case("left", core, called, n) for n, (core, called) in enumerate([(3, 2), (3, 4), (4, 5), (7, 3)])]
    found = summarise_aspects(by_hand, resamples=10)
    above, at_most = cut(found, 6, "above"), cut(found, 6, "at_most")
    assert (above.decisions.sensitivity.estimate, above.decisions.specificity.estimate) == (1 / 2, 1 / 2)
    assert above.decisions.positives == at_most.decisions.positives == 2
    assert above.auc.estimate == at_most.auc.estimate == pytest.approx(3 / 4)  # of 8, 6 above 5, 7 one pair is wrong
    four = cut(found, 4, "above")
    assert (four.decisions.sensitivity.estimate, four.decisions.specificity.estimate) == (1.0, 0.0)


def test_polarities_exchange_sensitivity_and_specificity() -> None:
    above, at_most = cut(SUMMARY, 6, "above"), cut(SUMMARY, 6, "at_most")
    assert above.decisions.sensitivity.estimate == at_most.decisions.specificity.estimate
    assert above.decisions.balanced_accuracy == at_most.decisions.balanced_accuracy
    assert above.auc.estimate == pytest.approx(at_most.auc.estimate)


def test_a_perfect_system_agrees_in_everything() -> None:
    perfect = [case("left" if n % 2 else "right", n % 8, n % 8, n) for n in range(12)]
    found = summarise_aspects(perfect, resamples=20)
    one, all_regions = scores(SYSTEM, CORE, found), regions(SYSTEM, CORE, "both hemispheres", "all", found)
    assert [one.icc_absolute.estimate, one.spearman.estimate, one.kappa_linear.low] == pytest.approx([1, 1, 1])
    assert all_regions.decisions.accuracy.estimate == 1
    assert all_regions.auc is not None
    assert all_regions.auc.low == 1


def test_clinical_values_follow_the_score() -> None:
    found = {(one.judge, one.quantity): one for one in SUMMARY.clinical}
    core = found[CORE, "core_ml"]
    assert core.spearman.estimate < -0.5
    assert core.everyone.count == core.above.count + core.at_most.count
    assert core.at_most.median.estimate > core.above.median.estimate
    assert core.kolmogorov_smirnov.p_value < 0.05
    assert {judge for judge, _ in found} == {CORE, READER, "reader 2", SYSTEM}


def test_strata_have_all_patients() -> None:
    chosen = [one for one in SUMMARY.strata if (one.judge, one.reference) == (SYSTEM, CORE)]
    strokes = len({case.about.patient for case in RESULTS if case.about.side})
    for by in ("tube voltage", "time from onset"):
        members = [one for one in chosen if one.by == by]
        assert sum(one.patients for one in members) == strokes
    assert [one.label for one in chosen if one.by == "tube voltage"] == ["100 kVp", "120 kVp"]


def test_groups_stand_apart_and_few_cases_are_no_error() -> None:
    lone = replace(RESULTS[0], about=replace(RESULTS[0].about, group="alone"))
    found = summarise_aspects([*RESULTS[:3], lone], resamples=10)
    assert [one.group for one in found.overview] == ["here", "alone"]
    assert all(math.isnan(one.icc_absolute.low) for one in found.scores)
    assert summarise_aspects([]).regions == ()


def test_strata_tell_both_hemispheres_and_the_cut() -> None:
    """One class holds all strokes, so its figures are those of all strokes."""
    strokes = [replace(one, about=replace(one.about, kvp=100.0)) for one in RESULTS if one.about.side]
    found = summarise_aspects(strokes, resamples=10)
    (one,) = (row for row in found.strata if (row.by, row.judge, row.reference) == ("tube voltage", SYSTEM, CORE))
    both = regions(SYSTEM, CORE, "both hemispheres", "all", found)
    assert (one.both, one.both_auc) == (both.decisions, both.auc)
    assert one.above_cut == cut(found, 6, "above").decisions


def test_network_and_atlas_are_held_against_each_other_scan_by_scan() -> None:
    assert all(one.network is None and one.gain is None for one in SUMMARY.overlap)
    drawn = [
        replace(
            one,
            regions=tuple(replace(region, network_dice=0.8, atlas_dice=0.5 + number / 100) for region in one.regions),
            drawn_by="vbnet" if number else "atlas",
            regions_disagree=number < 2,
        )
        for number, one in enumerate(RESULTS[:7])
    ]
    found = summarise_aspects(drawn, resamples=10)
    whole = found.overlap[-1]
    assert whole.network is not None
    assert whole.gain is not None
    assert whole.network.mean.estimate == pytest.approx(0.8)
    assert whole.gain.estimate == pytest.approx(0.3 - 0.03)
    assert whole.gain.low < whole.gain.estimate < whole.gain.high
    assert (found.overview[0].drawn_by_network, found.overview[0].regions_disagree) == (6, 2)
    titles = [column.title for column in region_overlap(found).columns]
    assert titles[-3:] == ["Network", "Atlas", "Network less atlas"]
    assert [column.title for column in region_overlap(SUMMARY).columns][-1] == "Dice"


def test_the_worst_scans_by_hand() -> None:
    """Wrong regions: none, two missed, one wrongly called and two on the other side."""
    by_hand = [case("left", 3, 3, 0), case("right", 4, 2, 1), case("left", 0, 1, 2, elsewhere=2)]
    table = worst(by_hand)
    names = [column.name for column in table.columns]
    told = [dict(zip(names, row, strict=True)) for row in table.rows]
    assert [(row["id"], row["wrong"]) for row in told] == [("2", 3), ("1", 2)]
    assert (told[0]["missed"], told[0]["wrongly_called"]) == (None, "R-C R-I L-C")
    assert (told[1]["missed"], told[1]["wrongly_called"]) == ("R-IC R-L", None)
    assert (told[1]["core_score"], told[1]["system_score"], told[1]["dice"]) == (6, 8, pytest.approx(0.8))
    assert len(worst(drawn_scores("many", 60)).rows) == 20
