"""Summaries: by hand on few cases, and as properties on many."""

import math
from dataclasses import replace

import numpy as np
import pytest

from infarct.evaluation.segment import CaseAbout, CaseResult
from infarct.evaluation.summary import EVERY_SCAN, QUIET_ML, spread, summarise
from unit.evaluation.drawn_results import drawn_results

RESULTS = drawn_results("ill", 50, seed=1) + drawn_results("both", 40, seed=2, healthy=0.5)
SUMMARY = summarise(RESULTS)


def lesions(group: str) -> list[CaseResult]:
    return [case for case in RESULTS if case.about.group == group and case.has_lesion]


def test_all_scans_with_a_lesion() -> None:
    ill, both = SUMMARY.by(EVERY_SCAN)
    assert (ill.group, ill.scans, ill.patients) == ("ill", 50, 50)
    assert both.scans == len(lesions("both")) < 40
    dice = np.array([case.counts.dice for case in lesions("ill")])
    assert ill.measures["dice"].mean.estimate == pytest.approx(dice.mean())
    assert ill.measures["dice"].sd == pytest.approx(dice.std(ddof=1))
    assert ill.measures["dice"].median.estimate == pytest.approx(np.median(dice))
    assert ill.measures["dice"].mean.low < dice.mean() < ill.measures["dice"].mean.high


def test_undefined_values_stay_out_of_means_and_are_counted() -> None:
    found = SUMMARY.by(EVERY_SCAN)[0].measures["precision"]
    defined = [case.counts.precision for case in lesions("ill") if not math.isnan(case.counts.precision)]
    assert found.count == len(defined)
    assert found.mean.estimate == pytest.approx(np.mean(defined))


@pytest.mark.parametrize("by", ["lesion volume", "time from onset", "detectability d'"])
def test_strata_share_out_all_scans(by: str) -> None:
    for whole in SUMMARY.by(EVERY_SCAN):
        parts = [one for one in SUMMARY.by(by) if one.group == whole.group]
        assert sum(part.scans for part in parts) == whole.scans
        weighted = sum(part.scans * part.measures["dice"].mean.estimate for part in parts) / whole.scans
        assert weighted == pytest.approx(whole.measures["dice"].mean.estimate)


def test_a_class_holds_what_its_name_says() -> None:
    middle = next(one for one in SUMMARY.by("lesion volume") if (one.group, one.label) == ("ill", "10-70 ml"))
    expected = [case for case in lesions("ill") if 10 <= case.truth_ml < 70]
    assert middle.scans == len(expected)
    assert middle.lesions.tp == sum(case.lesions.tp for case in expected)


def test_what_no_case_knows_gives_no_strata() -> None:
    unknown = [replace(case, about=replace(case.about, onset_h=math.nan, detectability=math.nan)) for case in RESULTS]
    summary = summarise(unknown)
    assert not summary.by("time from onset")
    assert not summary.by("detectability d'")
    assert summary.by("lesion volume")


def test_scans_without_lesion() -> None:
    (found,) = SUMMARY.lesion_free
    free = [case.false_positive_ml for case in RESULTS if not case.has_lesion]
    assert (found.group, found.scans) == ("both", len(free))
    assert found.false_positive_ml.median.estimate == pytest.approx(np.median(free))
    assert (found.false_positive_ml.lower_quartile, found.false_positive_ml.upper_quartile) == pytest.approx(
        tuple(np.percentile(free, [25, 75]))
    )
    assert found.quiet.estimate == pytest.approx(np.mean([volume <= QUIET_ML for volume in free]))
    assert found.untouched.estimate == pytest.approx(np.mean([volume == 0 for volume in free]))


def test_old_infarcts_one_by_one_and_together() -> None:
    for found in SUMMARY.old:
        old = [case.old for case in RESULTS if case.about.group == found.group and case.old and case.old.truth_ml]
        assert found.scans == len(old)
        assert found.called_acute_pct.mean.estimate == pytest.approx(10)
        assert found.pooled_called_acute_pct == pytest.approx(10)


def test_calibration_adds_up_over_a_group() -> None:
    first = SUMMARY.calibration[0]
    sums = [case.calibration for case in RESULTS if case.about.group == "ill" and case.calibration]
    assert first.scans == 50
    assert first.reliability.voxels == tuple(np.sum([one.voxels for one in sums], axis=0).tolist())


def test_scans_of_one_patient_are_drawn_together() -> None:
    twice = [
        replace(case, about=replace(case.about, id=f"{case.about.id}{n}")) for case in lesions("ill") for n in "ab"
    ]
    once, doubled = (summarise(cases).by(EVERY_SCAN)[0] for cases in (lesions("ill"), twice))
    assert (doubled.scans, doubled.patients) == (100, 50)
    one, two = once.measures["dice"].mean, doubled.measures["dice"].mean
    assert (two.low, two.high) == pytest.approx((one.low, one.high))


def test_nothing_gives_an_empty_summary() -> None:
    summary = summarise([])
    assert summary.strata == summary.lesion_free == summary.old == summary.calibration == ()
    empty = spread([], [])
    assert empty.count == 0
    assert math.isnan(empty.sd)


def test_same_results_same_summary() -> None:
    assert repr(summarise(RESULTS)) == repr(SUMMARY)


def test_cases_of_all_kinds_may_lack_what_is_optional() -> None:
    bare = replace(RESULTS[0], old=None, calibration=None, about=CaseAbout("a", "p", "g"))
    summary = summarise([bare])
    assert summary.old == summary.calibration == ()
    assert math.isnan(summary.by(EVERY_SCAN)[0].measures["dice"].mean.low)
