"""Follow-up scans in few numbers, by hand: agreement of volumes, blood, and what is counted."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from infarct.evaluation.figures import png
from infarct.evaluation.result import Failure
from infarct.evaluation.tables import as_csv, as_markdown
from infarct.evaluation.volumetry import VOLUMETRY_FORM, crossed, with_transformation
from infarct.evaluation.volumetry_figures import volumetry_figures
from infarct.evaluation.volumetry_report import caption, chosen
from infarct.evaluation.volumetry_summary import (
    ALL,
    WEIGHTED,
    VolumeFigures,
    VolumePairs,
    VolumetrySummary,
    class_weights,
    limits_of_agreement,
    summarise_volumetry,
    weighted_icc,
)
from infarct.evaluation.volumetry_tables import ranked_worst, volumetry_tables
from infarct.measure.agreement import bland_altman, icc
from infarct.volume import Geometry
from unit.evaluation.followed_results import drawn_followups, followed, told

CASES = (
    followed("a", 100.0, 18.0, three=told(90.0, 0.8), single=told(40.0, 0.4), mrs90=5),
    followed("b", 50.0, 25.0, three=told(60.0, 0.6), single=told(10.0, 0.2), mrs90=3, blood_ml=0.3),
    followed("c", 30.0, 31.9, three=told(30.0, 0.4), single=told(0.0, 0.0), mrs90=1, blood_ml=1.0, suspected=True),
    followed("d", 20.0, 46.0, three=told(8.0, 0.2), single=told(0.0, 0.0), blood_ml=5.0, suspected=True),
    followed("e", 10.0, None, three=told(14.0, 0.5), single=told(5.0, 0.1), blood_ml=None),
    followed("f", 0.0, None, three=told(2.0, ill=False), single=told(9.0, ill=False), suspected=True),
    followed("g", 0.0, None, three=told(0.0, ill=False), single=told(0.0, ill=False)),
)
"""Two intermediate infarcts, one severe, one subtle (denser than the classes), one unknown; two healthy heads."""
FAILURES = (Failure("h", "here", "part of the skull is missing"), Failure("i", "there", "no brain"))


@pytest.fixture(scope="module")
def summary() -> VolumetrySummary:
    return summarise_volumetry(CASES, FAILURES, resamples=20)


def row(summary: VolumetrySummary, label: str, method: str = "three") -> VolumeFigures:
    (found,) = [one for one in summary.volumes if (one.label, one.method) == (label, method)]
    return found


def test_volumes_of_a_class_by_hand(summary: VolumetrySummary) -> None:
    """60 and 30 ml were told of 50 and 30: differences 10 and 0, means 55 and 30."""
    found = row(summary, "intermediate")
    assert (found.scans, found.patients) == (2, 2)
    assert found.dice.estimate == pytest.approx(0.5)
    assert found.bias.estimate == 5.0
    sd = math.sqrt(50)
    assert found.limits == pytest.approx((5 - 1.96 * sd, 5 + 1.96 * sd))
    rows, error, readers = 2 * 312.5, 50 / 2, 2 * 25 / 2
    assert found.icc_consistency.estimate == pytest.approx((rows - error) / (rows + error))
    assert found.icc_absolute.estimate == pytest.approx((rows - error) / (rows + error + 2 * (readers - error) / 2))
    assert found.truth_ml.median.estimate == 40.0
    assert math.isnan(found.bias.low)  # of two patients


def test_all_infarcts_by_hand(summary: VolumetrySummary) -> None:
    found = row(summary, ALL)
    assert (found.scans, found.dice.estimate) == (5, pytest.approx(0.5))
    assert found.bias.estimate == pytest.approx((-10 + 10 + 0 - 12 + 4) / 5)
    truth, volumes = [100, 50, 30, 20, 10], [90, 60, 30, 8, 14]
    assert found.icc_absolute.estimate == pytest.approx(icc(np.array([truth, volumes]).T, "absolute").estimate)
    assert found.limits == pytest.approx((bland_altman(truth, volumes).low, bland_altman(truth, volumes).high))
    assert found.bias.low < found.bias.estimate < found.bias.high


def test_the_weighted_row_gives_each_class_the_papers_share(summary: VolumetrySummary) -> None:
    """The scan without a class is left out; the subtle one is beyond 44 HU and counts as the nearest class."""
    found = row(summary, WEIGHTED)
    assert found.scans == 4
    assert found.dice.estimate == pytest.approx(0.17 * 0.8 + 0.51 * 0.5 + 0.32 * 0.2)
    assert found.bias.estimate == pytest.approx(0.17 * -10 + 0.51 * 5 + 0.32 * -12)
    assert class_weights(np.array(["severe", "subtle"], dtype=object)) is None
    weights = class_weights(np.array(["severe", "subtle", "intermediate", "subtle", None], dtype=object))
    assert weights == pytest.approx(np.array([0.17, 0.16, 0.51, 0.16, 0.0]))


@pytest.mark.parametrize("kind", ["absolute", "consistency"])
def test_with_equal_weights_the_icc_is_the_plain_one(kind: str) -> None:
    random = np.random.default_rng(3)
    truth = random.uniform(0, 100, 40)
    pairs = VolumePairs(truth, 0.8 * truth + random.normal(5, 9, 40), np.zeros(40), np.full(40, "severe", dtype=object))
    expected = icc(np.stack([pairs.truth_ml, pairs.found_ml], axis=1), kind).estimate  # type: ignore[arg-type]
    assert weighted_icc(pairs, np.full(40, 0.3), kind) == pytest.approx(expected)  # type: ignore[arg-type]
    plain = bland_altman(pairs.truth_ml, pairs.found_ml)
    assert limits_of_agreement(pairs, np.full(40, 2.0)) == pytest.approx((plain.low, plain.high))


def test_a_weight_of_none_leaves_a_scan_out_of_the_mean_and_one_scan_has_no_icc() -> None:
    pairs = VolumePairs(np.array([10.0]), np.array([12.0]), np.array([0.5]), np.array(["severe"], dtype=object))
    assert math.isnan(weighted_icc(pairs, np.ones(1), "absolute"))
    assert all(math.isnan(limit) for limit in limits_of_agreement(pairs, np.ones(1)))


def test_the_single_network_is_held_against_the_three(summary: VolumetrySummary) -> None:
    (found,) = [one for one in summary.differences if one.label == ALL]
    assert (found.method, found.first, found.scans) == ("single", "three", 5)
    assert found.dice.estimate == pytest.approx((0.4 + 0.2 + 0 + 0 + 0.1) / 5 - 0.5)
    assert found.bias.estimate == pytest.approx((-60 - 40 - 30 - 20 - 5) / 5 - -8 / 5)
    difference = row(summary, ALL, "single").icc_absolute.estimate - row(summary, ALL).icc_absolute.estimate
    assert found.icc_absolute.estimate == pytest.approx(difference)
    alone = [replace(case, by_method={"three": case.by_method["three"]}) for case in CASES]
    assert summarise_volumetry(alone, (), resamples=5).differences == ()


def test_healthy_heads_have_false_volumes_and_false_alarms(summary: VolumetrySummary) -> None:
    three, single = summary.false_volumes
    assert (three.scans, three.quiet.estimate, single.quiet.estimate) == (2, 1.0, 0.5)
    assert single.found_ml.mean.estimate == 4.5
    healthy, alone = summary.false_alarms
    assert (healthy.heads, healthy.scans, healthy.per_100.estimate) == ("healthy", 2, 50.0)
    assert (alone.scans, alone.per_100.estimate) == (1, 0.0)  # the scan whose blood nobody labelled is in none


def test_blood_by_its_volume(summary: VolumetrySummary) -> None:
    found = {one.label: (one.scans, one.suspected.estimate) for one in summary.blood}
    assert found == {"<0.5 ml": (1, 0.0), "0.5-2 ml": (1, 1.0), ">=2 ml": (1, 1.0), "all": (3, pytest.approx(2 / 3))}
    assert summary.blood[0].dice.mean.estimate == 0.5
    (kind,) = summary.blood_types
    assert (kind.kind, kind.told_ml) == ("parenchymal", {"parenchymal": 3.0, "none": 1.5})


def test_the_outcome_goes_with_the_volume(summary: VolumetrySummary) -> None:
    assert [(one.method, one.scans) for one in summary.outcomes] == [("truth", 3), ("three", 3), ("single", 3)]
    assert all(one.spearman.estimate == pytest.approx(1) for one in summary.outcomes)


def test_what_has_no_answer_is_counted(summary: VolumetrySummary) -> None:
    here, there = summary.overview
    assert (here.scans, here.refused, here.ill, here.blood, here.no_blood_label) == (7, 1, 5, 3, 1)
    assert here.by_class == {"severe": 1, "intermediate": 2, "subtle": 1}
    assert (here.outside, here.no_class) == (1, 1)
    assert here.blood_auc.estimate == pytest.approx(6 / 9)  # ties count half
    assert (here.midline_told, here.midline_error.mean.estimate) == (7, 2.5)  # told to the wrong side
    assert (there.group, there.scans, there.refused) == ("there", 0, 1)
    names = [table.name for table in volumetry_tables(summary, CASES, FAILURES)]
    assert names == [
        *("volumes", "differences", "false_volumes", "blood", "false_alarms", "blood_types", "outcomes", "overview"),
        *("worst", "without_answer", "cases"),
    ]


def test_every_table_can_be_read(summary: VolumetrySummary) -> None:
    for table in volumetry_tables(summary, CASES, FAILURES):
        assert len(as_csv(table).splitlines()) == len(table.rows) + 2
        assert table.title in as_markdown(table)
    only = summarise_volumetry((), FAILURES, resamples=5)
    assert [table.name for table in volumetry_tables(only, (), FAILURES)] == ["overview", "without_answer"]


def test_the_worst_come_first_and_none_is_shown_twice() -> None:
    assert [case.about.id for case in ranked_worst(CASES)][:3] == ["d", "a", "b"]
    shown = chosen(CASES)
    assert len({case.about.id for _, case in shown}) == len(shown)
    assert caption("worst", CASES[1]) == "worst: b, intermediate, Dice 0.60, true 50.0 ml, told 60.0 ml, blood 0.3 ml"
    assert caption("worst", CASES[5]) == "worst: f, no infarct, true 0.0 ml, told 2.0 ml"


def test_results_come_back_from_json() -> None:
    for case in CASES:
        assert VOLUMETRY_FORM.read(json.loads(json.dumps(VOLUMETRY_FORM.written(case)))) == case
    with pytest.raises(ValueError, match="no networks"):
        VOLUMETRY_FORM.read({**VOLUMETRY_FORM.written(CASES[0]), "by_method": {}})


def test_kinds_of_blood_cross_by_hand() -> None:
    """Voxels of 1 ml: two transformations told as parenchymal, one subdural missed, one ventricle made up."""
    geometry = Geometry.regular((2, 1, 5), (10.0, 10.0, 10.0))
    true = np.array([[[5, 5, 4, 0, 0]], [[1, 0, 0, 0, 0]]], dtype=np.uint8)
    found = np.array([[[1, 1, 0, 2, 0]], [[3, 0, 0, 0, 0]]], dtype=np.uint8)
    assert crossed(true, found, geometry) == {
        "transformation": {"parenchymal": 2.0},
        "subdural": {"none": 1.0},
        "none": {"intraventricular": 1.0},
        "parenchymal": {"subarachnoid": 1.0},
    }
    assert with_transformation(true).tolist() == [[[1, 1, 4, 0, 0]], [[1, 0, 0, 0, 0]]]


def test_figures_are_drawn_where_there_is_something_to_show() -> None:
    assert [drawing.name for drawing in volumetry_figures(CASES[5:])] == []
    drawings = list(volumetry_figures(drawn_followups(30)))
    assert [drawing.name for drawing in drawings] == ["densities", "volumes", "bland_altman"]
    for drawing in drawings:
        assert png(drawing.figure).startswith(b"\x89PNG")
    counts = [patch.get_height() for patch in drawings[0].figure.axes[0].patches if hasattr(patch, "get_height")]
    assert sum(counts[3:]) == 30  # after the three classes


def test_only_scans_of_a_class_stand_in_its_panel() -> None:
    cases = drawn_followups(9)
    figure = next(drawing.figure for drawing in volumetry_figures(cases) if drawing.name == "volumes")
    assert [len(axes.collections[0].get_offsets()) for axes in figure.axes] == [3, 3, 3]
    severe = [case for case in cases if case.about.severity == "severe"]
    drawn_ml = sorted(figure.axes[0].collections[0].get_offsets()[:, 0].tolist())
    assert drawn_ml == pytest.approx(sorted(case.about.truth_ml for case in severe))
