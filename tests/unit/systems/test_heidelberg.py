"""Heidelberg classes of blood that is drawn in a box with an infarct."""

import numpy as np
import pytest

from infarct.systems.blood_types import BLOOD_LABELS
from infarct.systems.heidelberg import heidelberg_classes
from infarct.volume import Geometry

GEOMETRY = Geometry.regular((6, 60, 60), (5.0, 1.0, 1.0))
BLOOD_HU = 65.0


def classes(blood: np.ndarray, *, hu: float = BLOOD_HU, shift_away_mm: float = 0.0) -> tuple[str, ...]:
    """Return the classes of parenchymal blood in an infarct of 40 x 40 x 20 mm, 32 ml."""
    infarct = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    infarct[1:5, 10:50, 10:50] = True
    density = np.where(blood, hu, 28.0).astype(np.float32)
    types = np.where(blood, BLOOD_LABELS["parenchymal"], 0).astype(np.uint8)
    return heidelberg_classes(density, types, blood & infarct, infarct | blood, GEOMETRY, shift_away_mm=shift_away_mm)


def box(rows: slice, columns: slice, slices: slice = slice(1, 5)) -> np.ndarray:
    blood = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    blood[slices, rows, columns] = True
    return blood


def test_specks_are_petechiae_and_streaks_are_confluent_ones() -> None:
    specks = sum((box(slice(k, k + 3), slice(k, k + 3), slice(2, 3)) for k in (15, 25, 35)), start=False)
    assert classes(np.asarray(specks, dtype=bool)) == ("1a",)
    assert classes(box(slice(15, 45), slice(20, 25), slice(2, 4))) == ("1b",)  # 1.5 ml, 5 mm wide


def test_a_faint_clot_is_confluent_petechiae() -> None:
    assert classes(box(slice(15, 30), slice(15, 30)), hu=46.0) == ("1b",)


def test_hematomas_are_told_apart_by_their_share() -> None:
    small, large = box(slice(15, 30), slice(15, 30)), box(slice(12, 42), slice(12, 42))  # 4.5 and 18 of 32 ml
    assert classes(small) == ("1c",)
    assert classes(large) == ("2",)


def test_a_large_share_of_a_small_infarct_needs_mass_effect() -> None:
    """3.6 ml of blood are half of an infarct of 7.2 ml, and too little to take room by themselves."""
    infarct = np.zeros(GEOMETRY.shape_zyx, dtype=bool)
    infarct[1:5, 10:29, 10:29] = True
    blood = np.zeros_like(infarct)
    blood[1:5, 10:24, 11:24] = True
    density = np.where(blood, BLOOD_HU, 28.0).astype(np.float32)
    types = blood.astype(np.uint8)
    assert heidelberg_classes(density, types, blood, infarct, GEOMETRY) == ("1c",)
    assert heidelberg_classes(density, types, blood, infarct, GEOMETRY, shift_away_mm=4.0) == ("2",)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("parenchymal", "3a"), ("intraventricular", "3b"), ("subarachnoid", "3c"), ("subdural", "3d")],
)
def test_blood_elsewhere_has_its_own_class(kind: str, expected: str) -> None:
    apart = box(slice(0, 5), slice(0, 40))
    infarct = box(slice(20, 50), slice(10, 50))
    types = np.where(apart, BLOOD_LABELS[kind], 0).astype(np.uint8)  # type: ignore[index]
    density = np.where(apart, BLOOD_HU, 28.0).astype(np.float32)
    nothing = np.zeros_like(infarct)
    assert heidelberg_classes(density, types, nothing, infarct, GEOMETRY) == (expected,)
    assert heidelberg_classes(density, types, nothing, nothing, GEOMETRY) == ()


def test_classes_stand_in_their_order() -> None:
    clot, layer = box(slice(15, 30), slice(15, 30)), box(slice(0, 4), slice(0, 60))
    types = np.where(clot, 1, np.where(layer, BLOOD_LABELS["subdural"], 0)).astype(np.uint8)
    density = np.where(types > 0, BLOOD_HU, 28.0).astype(np.float32)
    infarct = box(slice(10, 50), slice(10, 50))
    assert heidelberg_classes(density, types, clot, infarct, GEOMETRY) == ("1c", "3d")
