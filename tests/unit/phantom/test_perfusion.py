from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from infarct.phantom.canvas import Canvas
from infarct.phantom.chronic import Chronic
from infarct.phantom.ischemia import Lesions, lesion_masks
from infarct.phantom.patient import Pose, Stroke
from infarct.phantom.perfusion import PerfusionMaps, PerfusionSetup, draw_perfusion, perfusion_maps
from infarct.volume import Geometry, volume_ml
from unit.phantom.mock_canvas import mock_canvas, mock_stroke

STROKE = mock_stroke(
    seed=5, side="left", onset_h=3.0, core_ml=50.0, infarct_ml=50.0, final_ml=70.0, swelling=0.0, followup_h=24.0
)
SETUP = PerfusionSetup(
    seed=3,
    pixel_mm=1.7,
    slice_mm=5.0,
    coverage_mm=160.0,
    misalignment=Pose(1.5, -1.0, 2.0, (1.0, -2.0, 2.5)),
    fwhm_mm=4.0,
    noise=0.0,
    flow=1.0,
    volume=1.0,
    delay_s=0.0,
    residual=0.25,
    reserve=0.3,
    luxury=0.5,
)
POSE = Pose(12.0, -6.0, 9.0, (8.0, -5.0, 20.0))


@cache
def head() -> tuple[Canvas, Chronic, Lesions]:
    canvas = mock_canvas()
    chronic = Chronic(torch.zeros_like(canvas.intracranial), torch.zeros_like(canvas.hu))
    return canvas, chronic, lesion_masks(canvas, STROKE)


@cache
def maps(
    setup: PerfusionSetup = SETUP, stroke: Stroke | None = STROKE, *, lesions: Lesions | None = None
) -> PerfusionMaps:
    canvas, chronic, found = head()
    chosen = None if stroke is None else lesions or found
    return perfusion_maps(canvas, chronic, lesions=chosen, stroke=stroke, pose=POSE, setup=setup)


def dice(first: Tensor, second: Tensor) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def in_head(found: PerfusionMaps, mask: Tensor) -> np.ndarray:
    """Return the positions of a mask's voxels in the head's frame, (n, 3) as x, y, z."""
    world = found.geometry.index_to_world(mask.nonzero().numpy())
    return world @ found.to_head[:3, :3].T + found.to_head[:3, 3]


def test_the_truth_is_the_thresholds() -> None:
    found = maps()
    core = found.brain & (found.cbf < 0.3 * found.healthy_cbf)
    threatened = found.brain & (found.tmax_s > 6)
    assert dice(core, found.core) > 0.9
    assert dice(threatened, found.core | found.penumbra) > 0.9
    assert not (found.core & found.penumbra).any()
    for mask, expected_ml in ((found.core, 50.0), (found.core | found.penumbra, 110.0)):
        assert volume_ml(mask.numpy(), found.geometry) == pytest.approx(expected_ml, rel=0.08)


def test_the_truth_lies_where_the_lesion_is_in_the_head() -> None:
    canvas, _, lesions = head()
    expected = canvas.grid.points()[lesions.core].mean(dim=0).numpy()
    found = maps()
    np.testing.assert_allclose(in_head(found, found.core).mean(axis=0), expected, atol=1.0)


def test_to_head_undoes_pose_and_misalignment() -> None:
    point = np.array([10.0, -20.0, 30.0, 1.0])
    world = SETUP.misalignment.matrix() @ POSE.matrix() @ point
    np.testing.assert_allclose(maps().to_head @ world, point, atol=1e-9)


def test_a_moved_head_moves_the_maps() -> None:
    canvas, chronic, _ = head()
    points = np.array([[40.0, 0.0, 20.0], [-35.0, 20.0, 30.0], [30.0, -30.0, 15.0]])
    values = []
    for pose in (POSE, Pose(-10.0, 5.0, -8.0, (-5.0, 3.0, 0.0))):
        found = perfusion_maps(canvas, chronic, lesions=None, stroke=None, pose=pose, setup=SETUP)
        to_world = np.linalg.inv(found.to_head)
        index = found.geometry.world_to_index(points @ to_world[:3, :3].T + to_world[:3, 3])
        values.append([float(found.cbf[tuple(row)]) for row in np.round(index).astype(int)])
    np.testing.assert_allclose(values[0], values[1], rtol=0.25)


def test_grey_and_white_have_their_flow() -> None:
    found = maps(stroke=None)
    points = torch.tensor(in_head(found, found.brain), dtype=torch.float32)
    canvas = head()[0]
    grey, white = (canvas.grid.sample(volume, points) for volume in (canvas.grey, canvas.white))
    deep = canvas.grid.sample(canvas.depth_mm, points) > 25
    cbf, cbv, tmax = (volume[found.brain] for volume in (found.cbf, found.cbv, found.tmax_s))
    pure = deep & (white > 0.98)
    assert float(cbf[pure].median()) == pytest.approx(22, abs=5)
    assert float(cbv[pure].median()) == pytest.approx(2, abs=0.4)
    assert float(cbf[grey > 0.9].median()) == pytest.approx(50, abs=8)
    assert 1 < float(tmax.quantile(0.01)) < float(tmax.quantile(0.99)) < 4


def test_mtt_is_volume_over_flow() -> None:
    found = maps()
    inside = found.brain & (found.mtt_s < 25)
    torch.testing.assert_close(found.mtt_s[inside] * found.cbf[inside] / 60, found.cbv[inside], rtol=1e-4, atol=1e-4)
    healthy = maps(stroke=None)
    assert 3.5 < float(healthy.mtt_s[healthy.brain].median()) < 6.5


def test_without_a_stroke_nothing_is_threatened() -> None:
    found = maps(stroke=None)
    assert not found.core.any()
    assert not found.penumbra.any()
    assert int((found.brain & (found.tmax_s > 6)).sum()) == 0
    assert float((found.cbf[found.brain] < 0.3 * found.healthy_cbf).float().mean()) < 0.01


def test_reperfused_tissue_has_more_flow_than_its_twin() -> None:
    stroke = replace(STROKE, reperfused=True, core_ml=0.0, penumbra_ml=0.0)
    canvas = head()[0]
    lesions = lesion_masks(canvas, stroke)
    luxury = maps(stroke=stroke, lesions=lesions)
    plain = maps(replace(SETUP, luxury=0.0), stroke, lesions=lesions)
    points = torch.tensor(in_head(plain, plain.brain), dtype=torch.float32)
    inside = canvas.grid.sample(lesions.infarct.float(), points) > 0.9
    ratio = luxury.cbf[luxury.brain][inside] / plain.cbf[plain.brain][inside]
    assert 1.2 < float(ratio.median()) <= 1.5
    assert not luxury.core.any()
    assert int((luxury.brain & (luxury.tmax_s > 6)).sum()) == 0


def test_chronic_damage_and_blood_lower_the_flow() -> None:
    canvas, chronic, _ = head()
    hurt = Chronic(chronic.old_infarct, -8.0 * canvas.white * (canvas.atlas_mm[..., 0] < 0))
    bled = mock_canvas()
    bled.hu[canvas.atlas_mm[..., 0] > 0] = 70.0
    both = perfusion_maps(bled, hurt, lesions=None, stroke=None, pose=POSE, setup=SETUP)
    plain = maps(stroke=None)
    x = torch.tensor(in_head(plain, plain.brain & (plain.cbf < 25))[:, 0])
    ratio = both.cbf[plain.brain & (plain.cbf < 25)] / plain.cbf[plain.brain & (plain.cbf < 25)]
    assert float(ratio[x < -10].median()) == pytest.approx(0.6, abs=0.05)
    assert float(ratio[x > 10].median()) < 0.05


def test_noise_is_what_the_setup_says() -> None:
    clean, noisy = maps(stroke=None), maps(replace(SETUP, noise=1.0), stroke=None)
    thick = replace(SETUP, slice_mm=10.0)
    clean_thick, noisy_thick = maps(thick, stroke=None), maps(replace(thick, noise=1.0), stroke=None)
    spread = float((noisy.cbf - clean.cbf)[clean.brain].std())
    spread_thick = float((noisy_thick.cbf - clean_thick.cbf)[clean_thick.brain].std())
    assert spread == pytest.approx(0.1 * float(clean.cbf[clean.brain].mean()) + 1, rel=0.15)
    assert spread_thick == pytest.approx(spread / 2**0.5, rel=0.1)


def test_same_seed_same_bytes_and_other_seeds_differ() -> None:
    setup = replace(SETUP, noise=1.0, coverage_mm=40.0)
    first, second, other = maps(setup), maps(setup), maps(replace(setup, seed=4))
    for name in ("cbf", "cbv", "mtt_s", "tmax_s", "core", "penumbra"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    assert not torch.equal(first.cbf, other.cbf)


@pytest.mark.parametrize(("coverage_mm", "slice_mm", "slices"), [(40.0, 5.0, 8), (40.0, 10.0, 4), (160.0, 8.0, 20)])
def test_the_stack_covers_what_the_detector_does(coverage_mm: float, slice_mm: float, slices: int) -> None:
    found = maps(replace(SETUP, coverage_mm=coverage_mm, slice_mm=slice_mm))
    assert found.cbf.shape == found.geometry.shape_zyx
    assert found.geometry.shape_zyx[0] == slices
    assert found.geometry.spacing_mm_zyx == (slice_mm, 1.7, 1.7)
    heights = in_head(found, found.brain)[:, 2]
    assert heights.min() < 15 < heights.max()


def test_draws_stay_in_their_ranges() -> None:
    drawn = [draw_perfusion(seed) for seed in range(300)]
    assert draw_perfusion(7) == drawn[7]
    for setup in drawn:
        move = setup.misalignment
        assert max(abs(v) for v in (move.pitch_deg, move.roll_deg, move.yaw_deg, *move.shift_mm)) <= 3
        assert 40 <= setup.coverage_mm <= 160
        assert 3 <= setup.fwhm_mm <= 5
    assert len({setup.coverage_mm for setup in drawn}) == 5


def test_geometry_is_upright_in_the_world_of_the_ct() -> None:
    geometry: Geometry = maps().geometry
    assert geometry.is_even
    assert geometry.is_upright
    np.testing.assert_array_equal(geometry.directions, np.eye(3))
