import numpy as np
import torch

from infarct.anatomy import REGIONS, Region, region_label
from infarct.phantom import Visit, draw
from infarct.phantom.scoring import score_aspects, score_sides
from infarct.volume import Geometry

PATIENT = draw("aspects", 3)
GEOMETRY = Geometry.regular((4, 10, 40), (5.0, 1.0, 1.0))


def visit(core: dict[Region, int], drop_hu: float = 0.0) -> Visit:
    """Return a visit with ten regions a side of 40 voxels each; ``core`` says how many of a region are core."""
    assert PATIENT.stroke is not None
    labels = torch.zeros(GEOMETRY.shape_zyx, dtype=torch.uint8)
    mask = torch.zeros(GEOMETRY.shape_zyx, dtype=torch.bool)
    for number, region in enumerate(REGIONS):
        for side, column in (("right", 0), ("left", 20)):
            labels[:, :, column + number] = region_label(region, side)
    for region, count in core.items():
        where = (labels == region_label(region, PATIENT.stroke.side)).nonzero()[:count]
        mask[tuple(where.T)] = True
    truth = {"aspects": labels, "core": mask, "infarct": mask, "intracranial": torch.ones_like(mask)}
    hu = torch.zeros(GEOMETRY.shape_zyx)
    return Visit(hu, GEOMETRY, PATIENT.acute, truth, {}, -drop_hu * mask.float())


def test_a_region_counts_above_a_tenth_of_core() -> None:
    scores = score_aspects(PATIENT, visit({"M1": 4, "M2": 5, "I": 40}))
    assert dict(zip(REGIONS, scores.by_core, strict=True)) == {r: r in ("M2", "I") for r in REGIONS}
    assert scores.core == 8


def test_readers_see_what_is_dark_and_not_what_is_not() -> None:
    everything = dict.fromkeys(REGIONS, 40)
    assert max(score_aspects(PATIENT, visit(everything, 12.0)).readers) <= 1
    assert min(score_aspects(PATIENT, visit(everything, 0.0)).readers) >= 6
    assert min(score_aspects(PATIENT, visit({}, 0.0)).readers) >= 6


def test_thick_slices_count_for_what_they_stand_for() -> None:
    """Two slices of 2 mm below two of 20 mm: a region whose thin slices are core is core by 4 of 44 mm only."""
    origins = np.c_[np.zeros((4, 2)), [0.0, 2.0, 13.0, 33.0]]
    uneven = Geometry(origins, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.0, 1.0), (10, 40))
    made = visit({})
    mask = torch.zeros_like(made.truth["core"])
    mask[:1] = made.truth["aspects"][:1] > 0
    made.truth["core"] = mask
    thin = Visit(made.hu, uneven, made.protocol, made.truth, {})
    assert score_aspects(PATIENT, thin).core == 10
    assert score_aspects(PATIENT, made).core == 0


def test_the_healthy_score_ten_by_the_truth() -> None:
    healthy = draw("healthy", 2)
    made = visit({})
    del made.truth["core"], made.truth["infarct"]
    scores = score_aspects(healthy, Visit(made.hu, GEOMETRY, healthy.acute, made.truth, {}))
    assert scores.core == 10
    assert scores.side == "right"


def test_the_side_of_the_stroke_is_scored_as_before_and_the_other_has_no_core() -> None:
    assert PATIENT.stroke is not None
    made = visit(dict.fromkeys(REGIONS, 40), 12.0)
    sides = score_sides(PATIENT, made)
    assert [one.side for one in sides] == ["right", "left"]
    own = sides[0] if PATIENT.stroke.side == "right" else sides[1]
    other = sides[1] if own is sides[0] else sides[0]
    assert own == score_aspects(PATIENT, made)
    assert (own.core, other.core) == (0, 10)
    assert min(other.readers) >= 6
    assert other == score_sides(PATIENT, made)[sides.index(other)]


def test_readers_err_on_the_other_side_too_and_in_other_ways() -> None:
    calls = []
    for index in range(40):
        healthy = draw("healthy", index)
        made = visit({})
        scan = Visit(made.hu, GEOMETRY, healthy.acute, made.truth, {})
        calls.append([one.by_readers[0] for one in score_sides(healthy, scan)])
    right, left = np.array(calls).transpose(1, 0, 2).astype(float)
    for side in (right, left):
        assert 0.02 < side.mean() < 0.3
    assert np.abs(right - left).sum() > 0
