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
    evaluate_regions,
    reader_name,
    region_dice,
)
from infarct.findings import Aspects, RegionFinding
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


def test_truth_and_findings_meet_region_by_region() -> None:
    result = evaluate_regions(Answer(FOUND, EMPTY, 2.5), TRUTH, EMPTY, ABOUT)
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
    result = evaluate_regions(Answer(FOUND, EMPTY), TRUTH, None, ABOUT)
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
    result = evaluate_regions(Answer(FOUND, found), TRUTH, truth, ABOUT)
    assert [one.dice for one in result.regions if one.dice is not None] == [pytest.approx(4 / 7), 0.0]
    assert region_dice(truth, truth) == {1: 1.0, 20: 1.0}
    with pytest.raises(ValueError, match="shape"):
        region_dice(found[1:], truth)


def test_findings_without_a_region_are_refused() -> None:
    short = FOUND.model_copy(update={"regions": FOUND.regions[1:]})
    with pytest.raises(ValueError, match="lack region C of the right"):
        evaluate_regions(Answer(short, EMPTY), TRUTH, None, ABOUT)


def test_results_survive_json() -> None:
    by_hand = evaluate_regions(Answer(FOUND, EMPTY), TRUTH, None, ABOUT)
    for result in (by_hand, *drawn_scores("here", 5, healthy=0.4)):
        text = json.dumps(ASPECTS_FORM.written(result), allow_nan=False)
        assert ASPECTS_FORM.read(json.loads(text)) == result
    with pytest.raises((KeyError, TypeError)):
        ASPECTS_FORM.read({"about": 3})
