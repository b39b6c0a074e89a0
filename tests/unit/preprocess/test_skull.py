"""Skull strips on heads made by hand and on a demo patient."""

import numpy as np
import pytest

from infarct.errors import StepFailed
from infarct.preprocess.skull import remove_bone_and_falx, strip_skull
from infarct.volume import Geometry
from plain_head import PlainPatient

GEOMETRY = Geometry.regular((3, 120, 120), (5.0, 1.0, 1.0))
STRIPS = pytest.mark.parametrize("strip", [strip_skull, lambda hu: remove_bone_and_falx(hu, GEOMETRY)])


def rings() -> tuple[np.ndarray, np.ndarray]:
    """Scalp, skull and brain as rings, and the brain's truth."""
    y, x = np.mgrid[:120, :120] - 59.5
    radius = np.hypot(y, x)
    plane = np.select([radius < 42, radius < 48, radius < 54], [35.0, 1000.0, 40.0], -1000.0)
    hu = np.stack([plane] * 3).astype(np.float32)
    return hu, np.stack([radius < 42] * 3)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())


@STRIPS
def test_rings(strip) -> None:
    hu, brain = rings()
    assert dice(strip(hu), brain) > 0.99


@STRIPS
def test_slices_of_air_are_empty(strip) -> None:
    hu, _ = rings()
    hu[2] = -1000
    got = strip(hu)
    assert not got[2].any()
    assert got[:2].any(axis=(1, 2)).all()


@STRIPS
def test_nothing_left_anywhere_fails(strip) -> None:
    with pytest.raises(StepFailed, match="no brain is left"):
        strip(np.full((3, 120, 120), -1000, dtype=np.float32))


@STRIPS
@pytest.mark.parametrize("size", [2, 4, 10])
def test_calcifications_stay_out(strip, size: int) -> None:
    hu, _ = rings()
    hu[1, 50 : 50 + size, 60 : 60 + size] = 300
    got = strip(hu)
    assert not got[1, 50 : 50 + size, 60 : 60 + size].any()
    assert got[0, 55, 60]


def test_a_calcified_falx_does_not_take_a_hemisphere_with_it() -> None:
    hu, brain = rings()
    hu[:, 20:55, 59:61] = 250
    got = remove_bone_and_falx(hu, GEOMETRY)
    assert not got[:, 22:53, 59:61].any()
    assert dice(got, brain) > 0.97


def test_a_head_rest_is_not_the_brain() -> None:
    hu, brain = rings()
    hu[:, 117:, 10:110] = 60
    assert dice(strip_skull(hu), brain) > 0.99
    assert dice(remove_bone_and_falx(hu, GEOMETRY), brain) > 0.99


@pytest.mark.parametrize("name", ["strip_skull", "remove_bone_and_falx"])
def test_demo_patient_through_the_vault(left_patient: PlainPatient, name: str) -> None:
    scan, truth = left_patient.scan, left_patient.truth.intracranial
    got = strip_skull(scan.hu) if name == "strip_skull" else remove_bone_and_falx(scan.hu, scan.geometry)
    levels = np.flatnonzero(truth.sum(axis=(1, 2)) > 0.75 * truth.sum(axis=(1, 2)).max())
    upper = levels[len(levels) // 3 :]  # above orbits and petrous bones, where slice-wise strips work
    per_slice = [dice(got[k], truth[k]) for k in upper]
    assert dice(got[upper], truth[upper]) >= 0.95
    assert min(per_slice) >= 0.93
    assert dice(got, truth) >= 0.85
