import math

import pytest

from infarct.measure.strata import LESION_VOLUME, ONSET, UNKNOWN


def test_classes_are_half_open() -> None:
    assert LESION_VOLUME.labels == ("<1 ml", "1-10 ml", "10-70 ml", ">=70 ml")
    assert [LESION_VOLUME.label(value) for value in (0.0, 0.99, 1.0, 9.9, 10.0, 69.9, 70.0, 300.0)] == [
        *("<1 ml",) * 2, *("1-10 ml",) * 2, *("10-70 ml",) * 2, *(">=70 ml",) * 2,
    ]  # fmt: skip
    assert ONSET.labels == ("<3 h", "3-6 h", "6-12 h", "12-24 h", ">=24 h")


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_is_not_known_is_a_class_of_its_own(value: float | None) -> None:
    assert ONSET.label(value) == UNKNOWN
