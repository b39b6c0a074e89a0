"""Several models over the same regions: by hand, against plain loops, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.anatomy import REGIONS, SIDES
from infarct.evaluation.aspects_ablation import (
    MEASURES,
    PUBLISHED_FULL,
    RegionCall,
    RegionRun,
    change,
    measured,
    readable_tables,
    whole_table,
)
from infarct.measure.bootstrap import draws
from unit.evaluation.drawn_calls import drawn_run

FULL = drawn_run("full", skill=2.0)
WORSE = drawn_run("worse", skill=0.7)


def small(*rows: tuple[str, bool, bool, float, bool]) -> RegionRun:
    """Return calls of regions C, I, ... of the left: patient, of the stroke, affected, probability, found."""
    calls = [
        RegionCall(p, REGIONS[k], "left", stroke, ill, value, hit)
        for k, (p, stroke, ill, value, hit) in enumerate(rows)
    ]
    return RegionRun("small", tuple(calls), 1)


def test_measures_by_hand() -> None:
    """In the hemisphere: positives .9, .4, negatives .5, .1; 3 of 4 pairs in order; half found, half left."""
    run = small(
        ("a", True, True, 0.9, True),
        ("a", True, True, 0.4, False),
        ("b", True, False, 0.5, True),
        ("b", True, False, 0.1, False),
        ("b", False, False, 0.2, False),
    )
    near, both = measured([run], run, resamples=10)
    assert (near.counted, both.counted) == ("affected hemisphere", "both hemispheres")
    assert {name: value.estimate for name, value in near.values.items()} == {
        "roc_auc": 0.75,
        "balanced_accuracy": 0.5,
        "sensitivity": 0.5,
        "specificity": 0.5,
    }
    assert both.values["roc_auc"].estimate == pytest.approx(5 / 6)
    assert both.values["specificity"].estimate == pytest.approx(2 / 3)
    assert np.isnan(near.values["roc_auc"].low), "two patients have no interval"


@pytest.mark.parametrize("name", ["balanced_accuracy", "roc_auc"])
def test_a_difference_draws_the_same_patients_for_both(name: str) -> None:
    full, other = FULL.of("affected hemisphere"), WORSE.of("affected hemisphere")
    found = change(full, other, MEASURES[name], resamples=60)
    owners = np.array(full.patients)
    names = list(dict.fromkeys(full.patients))
    values = []
    for times in draws(len(names), resamples=60, seed=0):
        rows = np.concatenate([np.tile(np.flatnonzero(owners == p), n) for p, n in zip(names, times, strict=True)])
        rows = rows.astype(np.intp)
        values.append(MEASURES[name](other, rows) - MEASURES[name](full, rows))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))
    assert found.estimate < 0
    assert found.patients == 30


def test_a_model_differs_from_itself_by_nothing() -> None:
    again = replace(FULL, name="again")
    for one in measured([FULL, again], FULL, resamples=20):
        if one.run is FULL:
            assert one.changes is None
        else:
            assert one.changes is not None
            assert {(c.estimate, c.low, c.high) for c in one.changes.values()} == {(0.0, 0.0, 0.0)}


def test_other_regions_are_refused() -> None:
    fewer = replace(WORSE, calls=WORSE.calls[1:])
    with pytest.raises(ValueError, match="different regions"):
        measured([fewer], FULL, resamples=10)


def test_tables_hold_both_ways_to_count_and_the_paper() -> None:
    full = replace(FULL, published=PUBLISHED_FULL)
    table = whole_table("ablation", "Ablation", measured([full, WORSE], full, resamples=20), "A note.")
    assert [row[:5] for row in table.rows] == [
        ("affected hemisphere", "full", 8, 300, sum(call.affected for call in FULL.calls)),
        ("affected hemisphere", "worse", 8, 300, sum(call.affected for call in FULL.calls)),
        ("both hemispheres", "full", 8, 600, sum(call.affected for call in FULL.calls)),
        ("both hemispheres", "worse", 8, 600, sum(call.affected for call in FULL.calls)),
    ]
    near, near_change, both, both_change = readable_tables(table)
    assert near.title == "Ablation, affected hemisphere (ten decisions a patient)"
    assert near.rows[0][-3:] == (0.864, 0.807, 0.922)
    assert near.rows[1][-3:] == (None, None, None)
    assert not [column for column in both.columns if column.name.startswith("published")]
    assert [len(part.rows) for part in (near, near_change, both, both_change)] == [2, 1, 2, 1]
    assert [part.note for part in (near, near_change, both, both_change)] == ["", "", "", "A note."]
    assert near_change.rows[0][0] == "worse"
    assert len(SIDES) * len(REGIONS) * 30 == 600
