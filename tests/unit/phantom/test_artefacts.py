from dataclasses import replace

import numpy as np
import pytest
import torch

from infarct.phantom import artefacts
from infarct.phantom.patient import Pose
from infarct.phantom.rays import RASTER, STEP_MM
from unit.phantom.blank_scans import PLAIN

MIDDLE = RASTER // 2
AXIS = (torch.arange(RASTER) - (RASTER - 1) / 2) * STEP_MM


def petrous_head() -> tuple[torch.Tensor, torch.Tensor]:
    """Three slices of a head in a skull of 6 mm, dense bone left and right in the lowest; HU and brain."""
    radius = torch.hypot(AXIS[:, None], AXIS[None, :]).expand(3, -1, -1)
    hu = torch.where(radius < 75, 30.0, torch.where(radius < 81, 1000.0, -1000.0))
    for side in (-1, 1):
        hu[0, MIDDLE - 5 : MIDDLE + 5, MIDDLE + side * 22 - 9 : MIDDLE + side * 22 + 9] = 1400.0
    return hu, (hu == 30).float()


def test_without_amplitude_there_are_no_artefacts() -> None:
    hu, brain = petrous_head()
    assert not artefacts.along_rays(hu, brain, PLAIN).any()
    assert not artefacts.cupping(torch.linspace(-50, 50, 11), 0.0).any()
    assert np.array_equal(artefacts.poses(PLAIN, 4, 3), np.broadcast_to(PLAIN.pose.matrix(), (4, 3, 4, 4)))


def test_cupping_is_brightest_at_the_inner_table() -> None:
    added = artefacts.cupping(torch.tensor([0.0, 12.0, 60.0]), 2.0)
    assert added.numpy() == pytest.approx(np.array([2.0, 2 / np.e, 2 * np.exp(-5)]))


def test_a_dark_band_lies_between_dense_bones() -> None:
    hu, brain = petrous_head()
    added = artefacts.beam_hardening(hu, brain, 10.0)
    between = added[0, MIDDLE - 2 : MIDDLE + 2, MIDDLE - 8 : MIDDLE + 8].mean()
    before = added[0, MIDDLE - 25 : MIDDLE - 15, MIDDLE - 8 : MIDDLE + 8].mean()
    assert -15.0 < float(between) < -4.0
    assert float(between - before) < -4.0
    assert float(added[1:][brain[1:] > 0].abs().max()) < 1.0, "no dense bone, no band"


def test_streaks_have_their_strength_where_the_dense_bone_is() -> None:
    hu, brain = petrous_head()
    added = artefacts.streaks(hu, brain, 4.0, seed=5)
    inner = torch.hypot(AXIS[:, None], AXIS[None, :]) < 70
    inner &= ~((hu[0] > 1000) | (AXIS[:, None].abs() < 15))
    assert 1.0 < float(added[0][inner].std()) < 5.0
    assert abs(float(added[0][inner].mean())) < 1.0
    assert not added[1:].any()
    assert not torch.equal(added, artefacts.streaks(hu, brain, 4.0, seed=6))


def test_metal_makes_streaks_in_its_own_slice() -> None:
    hu, _ = petrous_head()
    hu[1, MIDDLE : MIDDLE + 4, MIDDLE : MIDDLE + 4] = 8000.0
    added = artefacts.metal_streaks(hu, seed=5)
    far = torch.hypot(AXIS[:, None], AXIS[None, :]) > 20
    assert float(added[1][far].std()) > 5.0
    assert abs(float(added[1].mean())) < 1.0
    assert not added[[0, 2]].any()


def test_the_head_jumps_between_slices_and_rests_elsewhere() -> None:
    moving = replace(PLAIN, motion_mm=3.0, pose=Pose(5.0, -3.0, 8.0, (4.0, 5.0, 6.0)))
    poses = artefacts.poses(moving, 30, 4)
    assert poses[0, 0] == pytest.approx(moving.pose.matrix(), abs=1e-9)
    assert np.linalg.det(poses[..., :3, :3]) == pytest.approx(1.0)
    steps = np.linalg.norm(np.diff(poses[:, 0, :3, 3], axis=0), axis=1)
    jumped = int((steps > 1e-9).sum())
    assert 1 <= jumped <= 12
    assert np.ptp(poses[:, :, :3, 3], axis=(0, 1)).max() > 0.5


def test_motion_grows_with_its_parameter() -> None:
    small, large = (
        artefacts.poses(replace(PLAIN, motion_mm=motion_mm), 30, 1)[-1, 0, :3, 3] for motion_mm in (1.0, 3.0)
    )
    assert large == pytest.approx(3 * small)


def test_head_rest_leaves_the_head_free() -> None:
    low, high = np.array([-75.0, -95.0, -60.0]), np.array([75.0, 95.0, 80.0])
    x, y = torch.linspace(-115, 115, 231)[None, :], torch.linspace(-115, 115, 231)[:, None]
    head = (x / 75) ** 2 + (y / 95) ** 2 < 1
    for seed in range(12):
        hu = artefacts.rest_hu(artefacts.draw_rest(seed, low, high), x, y, torch.tensor([-40.0, 0.0, 60.0]))
        assert hu.shape == (3, 231, 231)
        assert float(hu[:, head].max()) < -900
        assert hu[:, 115:].amax() > -60, "something lies behind the head"
        assert (hu[:, :30] < -990).all(), "nothing lies before the face"
