"""The network's grid, mirror and normalisation, by hand-worked truths."""

import numpy as np
import pytest

from infarct.preprocess.midplane import Midplane
from infarct.preprocess.segment_input import EVERYDAY, PAPER, InputSetting, make_input, normalised, upright_grid
from infarct.volume import Geometry

GEOMETRY = Geometry.regular((12, 60, 50), (4.0, 3.0, 3.0), origin_mm=(-70.0, -90.0, 10.0))


def ball(geometry: Geometry, centre: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.shape_zyx), indexing="ij"), axis=-1)
    return np.asarray(np.linalg.norm(geometry.index_to_world(index) - centre, axis=-1) <= radius_mm)


BRAIN = ball(GEOMETRY, (5.0, 0.0, 30.0), 55.0)
STRAIGHT = Midplane(np.array([1.0, 0.0, 0.0]), 5.0)
TURNED = Midplane(np.array([np.cos(0.2), np.sin(0.2), 0.0]), 5.0 * np.cos(0.2))
CUBES = InputSetting("cubes", (4.0, 3.0, 3.0), mirror=True, strip=False, normalisation="centred")


@pytest.mark.parametrize("plane", [STRAIGHT, TURNED])
def test_reversing_x_of_the_grid_mirrors_through_the_plane(plane: Midplane) -> None:
    grid = upright_grid(GEOMETRY, BRAIN, plane, (4.0, 3.0, 3.0), margin_mm=10.0)
    columns = grid.shape_zyx[2]
    own = grid.index_to_world([(2, 5, 7)])
    other = grid.index_to_world([(2, 5, columns - 1 - 7)])
    reflected = own @ plane.reflection[:3, :3].T + plane.reflection[:3, 3]
    np.testing.assert_allclose(other, reflected, atol=1e-9)


@pytest.mark.parametrize("plane", [STRAIGHT, TURNED])
def test_the_grid_holds_all_of_the_brain(plane: Midplane) -> None:
    grid = upright_grid(GEOMETRY, BRAIN, plane, (5.0, 2.0, 2.0), margin_mm=6.0)
    index = grid.world_to_index(GEOMETRY.index_to_world(np.argwhere(BRAIN)))
    assert index.min() >= 1.0
    assert (index <= np.array(grid.shape_zyx) - 2.0).all()


def test_a_dark_spot_on_the_left_is_on_the_left_of_the_input_and_on_the_right_of_its_mirror() -> None:
    hu = np.where(BRAIN, 35.0, -1000.0).astype(np.float32)
    spot = ball(GEOMETRY, (35.0, 0.0, 30.0), 12.0)
    hu[spot] = 20.0
    found = make_input(hu, GEOMETRY, brain=BRAIN, plane=STRAIGHT, setting=CUBES)
    middle = found.channels.shape[3] / 2 - 0.5
    for channel, sign in zip(found.channels, (1, -1), strict=True):
        dark = np.argwhere(found.brain & (channel < -0.4) & (channel > -1.0))
        assert (dark[:, 2].mean() - middle) * sign * 3.0 == pytest.approx(30.0, abs=1.5)
    assert found.channels.shape[1:] == found.brain.shape == found.geometry.shape_zyx


def test_centred_takes_an_offset_of_the_scanner_away() -> None:
    random = np.random.default_rng(0)
    hu = random.uniform(25, 40, BRAIN.shape).astype(np.float32)
    same = [normalised(hu + shift, BRAIN, EVERYDAY)[BRAIN] for shift in (np.float32(0), np.float32(4))]
    np.testing.assert_allclose(*same, atol=1e-4)


def test_published_normalisation_by_hand() -> None:
    brain = np.array([[[True, True, True, False]]])
    hu = np.array([[[20.0, 30.0, 40.0, 500.0]]], dtype=np.float32)
    # mean 30, SD 8.165: standardised -1.225, 0, 1.225 and 0 outside; scaled to 0..1.
    np.testing.assert_allclose(normalised(hu, brain, PAPER)[0, 0], [0.0, 0.5, 1.0, 0.0], atol=1e-6)
    plain = InputSetting("plain", None, mirror=False, strip=True, normalisation="min_max")
    np.testing.assert_allclose(normalised(hu, brain, plain)[0, 0], [0.5, 0.75, 1.0, 0.0], atol=1e-6)
    raw = InputSetting("raw", None, mirror=False, strip=False, normalisation="none")
    np.testing.assert_allclose(normalised(hu, brain, raw)[0, 0], [0.25, 0.375, 0.5, 1.0], atol=1e-6)


def test_the_papers_input_is_the_scans_own_grid_cropped_to_the_brain() -> None:
    hu = np.where(BRAIN, 35.0, -1000.0).astype(np.float32)
    hu[ball(GEOMETRY, (5.0, 0.0, 30.0), 12.0)] = 25.0
    found = make_input(hu, GEOMETRY, brain=BRAIN, plane=STRAIGHT, setting=PAPER)
    assert found.channels.shape[0] == 1
    corners = np.argwhere(BRAIN)
    first = GEOMETRY.index_to_world(corners.min(axis=0))
    np.testing.assert_allclose(found.geometry.index_to_world((0, 0, 0)), first, atol=1e-9)
    assert found.brain.sum() == BRAIN.sum()


def test_a_tilted_and_uneven_stack_keeps_its_slices_in_the_papers_input() -> None:
    origins = GEOMETRY.origins_mm.copy()
    origins[:, 1] += 0.3 * (origins[:, 2] - 10.0)
    origins[6:, 2] += 2.0
    tilted = Geometry(origins, GEOMETRY.x_direction, GEOMETRY.y_direction, (3.0, 3.0), (60, 50))
    brain = ball(tilted, (5.0, 0.0, 32.0), 45.0)
    hu = np.where(brain, 35.0, -1000.0).astype(np.float32)
    found = make_input(hu, tilted, brain=brain, plane=STRAIGHT, setting=PAPER)
    own = np.sort(found.geometry.index_to_world(np.argwhere(found.brain)), axis=0)
    np.testing.assert_allclose(own, np.sort(tilted.index_to_world(np.argwhere(brain)), axis=0), atol=1e-9)


def test_an_empty_brain_is_refused() -> None:
    with pytest.raises(ValueError, match="empty brain"):
        make_input(
            np.zeros(BRAIN.shape, np.float32), GEOMETRY, brain=np.zeros_like(BRAIN), plane=STRAIGHT, setting=EVERYDAY
        )
