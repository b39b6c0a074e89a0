"""Classes of follow-up infarcts, by hand."""

import numpy as np
import pytest

from infarct.measure.severity import SEVERITIES, SEVERITY_HU, followup_class, in_classes, infarct_mean_hu


@pytest.mark.parametrize(
    ("mean_hu", "expected", "inside"),
    [
        (14.0, "severe", True),
        (21.99, "severe", True),
        (22.0, "intermediate", True),
        (31.99, "intermediate", True),
        (32.0, "subtle", True),
        (43.99, "subtle", True),
        (44.0, "subtle", False),
        (13.99, "severe", False),
        (-3.0, "severe", False),
        (60.0, "subtle", False),
    ],
)
def test_classes_are_half_open_and_the_nearest_beyond(mean_hu: float, expected: str, inside: bool) -> None:
    assert followup_class(mean_hu) == expected
    assert in_classes(mean_hu) == inside


def test_each_class_begins_where_the_one_before_ends() -> None:
    bounds = [SEVERITY_HU[name] for name in SEVERITIES]
    assert [low for low, _ in bounds[1:]] == [high for _, high in bounds[:-1]]


def test_no_density_has_no_class() -> None:
    with pytest.raises(ValueError, match="no class"):
        followup_class(float("nan"))
    assert not in_classes(float("nan"))


def test_mean_hu_leaves_blood_and_bone_out() -> None:
    hu = np.array([[[20.0, 30.0, 55.0, 5.0, 400.0]]], dtype=np.float32)
    infarct = np.array([[[True, True, True, False, True]]])
    blood = np.array([[[False, False, True, True, False]]])
    assert infarct_mean_hu(hu, infarct, blood) == 25.0
    assert np.isnan(infarct_mean_hu(hu, infarct & blood, blood))
