"""What one scan gives, by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from infarct.anatomy import REGIONS, SIDES, Region, Side, region_label
from infarct.cohorts import AspectsTruth
from infarct.evaluation.aspects import (
    ASPECTS_FORM,
    CORE,
    FINAL,
    SYSTEM,
    Answer,
    AspectsAbout,
    AspectsResult,
    RegionMaps,
    ScanResults,
    Scored,
    evaluate_regions,
    reader_name,
    region_dice,
)
from infarct.findings import Aspects, RegionFinding, RegionMethod
from unit.evaluation.drawn_aspects import drawn_scores

AFFECTED = ("I", "M2")
UNJUDGED = "M6"


def finding(region: Region, side: Side) -> RegionFinding:
    """Return a finding of a left stroke; M6 of the left side cannot be judged."""
    unjudged = side == "left" and region == UNJUDGED
    affected = None if unjudged else side == "left" and region in AFFECTED
    return RegionFinding(
        region=region, side=side, affected=affected, probability=None if unjudged else 0.9 if affected else 0.1,
        volume_ml=5, mean_hu=None, contralateral_mean_hu=None, net_water_uptake_pct=None, evaluable=not unjudged,
    )  # fmt: skip


FOUND = Aspects(
    score=None, score_min=7, score_max=8, side="left", side_rule="evidence", left_score=None, right_score=10,
    method="made up", regions=tuple(finding(region, side) for side in SIDES for region in REGIONS),
)  # fmt: skip
LEFT_CORE = tuple(region in ("I", "L") for region in REGIONS)
TRUTH = AspectsTruth(
    by_core=(False,) * 10 + LEFT_CORE,
    by_readers=((False,) * 9 + (True,) + LEFT_CORE, (None,) * 10 + (True,) * 10),
    side="left",
    core_ml=12.0,
)
ABOUT = AspectsAbout("a", "p", "here", side="left")
EMPTY = np.zeros((3, 4, 5), dtype=np.uint8)


def evaluated(found: np.ndarray, truth: np.ndarray | None, *, seconds: float | None = None) -> AspectsResult:
    """Return the result of one method that scored the atlas's regions."""
    answer = Answer({"mine": Scored(FOUND, seconds)}, RegionMaps({"atlas": found}))
    return evaluate_regions(answer, TRUTH, truth, ABOUT).by_method["mine"]


def test_truth_and_findings_meet_region_by_region() -> None:
    result = evaluated(EMPTY, EMPTY, seconds=2.5)
    assert result.seconds == 2.5
    found = {(one.region, one.side): one for one in result.regions}
    assert len(found) == 20
    assert [one.side for one in result.affected_side] == ["left"] * 10
    insula, capsule = found["I", "left"], found["M2", "left"]
    assert (insula.core, insula.readers, insula.affected, insula.probability) == (True, (True, True), True, 0.9)
    assert (capsule.core, capsule.affected) == (False, True)
    assert found["M6", "right"].readers == (True, None)
    assert [insula.call(judge) for judge in (CORE, SYSTEM, "reader 1", "reader 2", "reader 3")] == [True] * 4 + [None]
    assert result.not_judged == 1
    assert result.readers == ("reader 1", "reader 2")
    assert reader_name(1) == "reader 2"


def test_scores_are_of_the_side_of_the_stroke() -> None:
    result = evaluated(EMPTY, None)
    assert result.score_by(CORE) == 8
    assert result.score_by("reader 2") == 0
    assert result.score_by(SYSTEM) is None  # M6 decides it and cannot be judged
    assert result.score_by(FINAL) is None
    told = replace(result, left_score=7, right_score=10, score=10)
    assert (told.score_by(SYSTEM), told.score_by(FINAL)) == (7, 10)
    other = replace(told, about=replace(ABOUT, side="right"))
    assert (other.score_by(SYSTEM), other.score_by(CORE), other.score_by("reader 1")) == (10, 10, 9)
    assert other.score_by("reader 2") is None  # he did not look at the right side
    free = replace(told, about=replace(ABOUT, side=None))
    assert [free.score_by(judge) for judge in (CORE, SYSTEM, FINAL, "reader 1")] == [None] * 4
    assert free.affected_side == ()


def test_region_dice_by_hand() -> None:
    truth, found = EMPTY.copy(), EMPTY.copy()
    truth[0, 0, :4] = region_label("C", "right")
    truth[1, 0, :4] = region_label("M6", "left")
    found[0, 0, 2:5] = region_label("C", "right")
    found[2] = region_label("I", "left")  # not in the truth: there is nothing to overlap with
    assert region_dice(found, truth) == {1: pytest.approx(2 * 2 / (4 + 3)), 20: 0.0}
    result = evaluated(found, truth)
    assert [one.dice for one in result.regions if one.dice is not None] == [pytest.approx(4 / 7), 0.0]
    assert all(one.network_dice is None and one.atlas_dice is None for one in result.regions)
    assert region_dice(truth, truth) == {1: 1.0, 20: 1.0}
    with pytest.raises(ValueError, match="shape"):
        region_dice(found[1:], truth)


@pytest.mark.parametrize("used", ["vbnet", "atlas"])
def test_the_dice_of_network_and_atlas_stand_beside_that_of_the_scored_regions(used: RegionMethod) -> None:
    truth, half = EMPTY.copy(), EMPTY.copy()
    truth[0, 0, :4] = half[0, 0, :2] = region_label("C", "right")
    maps = RegionMaps({"atlas": half, "vbnet": truth}, used, disagree=True)
    found = evaluate_regions(Answer({"mine": Scored(FOUND)}, maps), TRUTH, truth, ABOUT).by_method["mine"]
    caudate = found.regions[0]
    assert (caudate.network_dice, caudate.atlas_dice) == (1.0, pytest.approx(2 / 3))
    assert caudate.dice == (caudate.network_dice if used == "vbnet" else caudate.atlas_dice)
    assert (found.drawn_by, found.regions_disagree) == (used, True)


def test_methods_share_truth_and_regions_and_keep_their_own_scores() -> None:
    other = FOUND.model_copy(update={"left_score": 3, "regions": tuple(reversed(FOUND.regions))})
    answer = Answer({"first": Scored(FOUND, 2.0), "second": Scored(other, 3.0)}, RegionMaps({"atlas": EMPTY}))
    found = evaluate_regions(answer, TRUTH, EMPTY, ABOUT)
    assert found.about == ABOUT
    first, second = found.by_method["first"], found.by_method["second"]
    assert first.regions == second.regions  # whatever the order of the findings
    assert (second.left_score, second.seconds, first.left_score, first.seconds) == (3, 3.0, None, 2.0)


def test_findings_without_a_region_are_refused() -> None:
    short = FOUND.model_copy(update={"regions": FOUND.regions[1:]})
    with pytest.raises(ValueError, match="lack region C of the right"):
        evaluate_regions(Answer({"mine": Scored(short)}, RegionMaps({"atlas": EMPTY})), TRUTH, None, ABOUT)


def test_results_survive_json() -> None:
    by_hand = evaluated(EMPTY, None)
    for drawn in (by_hand, *drawn_scores("here", 5, healthy=0.4)):
        result = ScanResults({"one": drawn, "two": replace(drawn, score=3, drawn_by="vbnet")})
        text = json.dumps(ASPECTS_FORM.written(result), allow_nan=False)
        assert ASPECTS_FORM.read(json.loads(text)) == result
    with pytest.raises((KeyError, TypeError)):
        ASPECTS_FORM.read({"by_method": {"one": {"about": 3}}})
    with pytest.raises(ValueError, match="no method"):
        ASPECTS_FORM.read({"by_method": {}})
