"""A tube painted where the middle cerebral artery runs: what the sign makes of it."""

from dataclasses import replace

import numpy as np
import pytest

from infarct.anatomy import SIDES, Side, opposite
from infarct.preprocess.head import Head
from infarct.systems.dense_artery import ArteryConfig, find_dense_artery

FROM, TO = (-13.0, -3.0, -19.0), (-33.0, -8.0, -18.0)
"""A straight piece of the right M1 in the atlas, LPS mm, a little off its usual course."""


def away_mm(head: Head, side: Side) -> np.ndarray:
    """Return the distance of each voxel from the piece of artery, in atlas mm."""
    world = head.geometry.index_to_world(np.indices(head.geometry.shape_zyx).transpose(1, 2, 3, 0))
    matrix = head.registration.scan_to_atlas
    fold = (-1.0, 1.0, 1.0) if side == "left" else (1.0, 1.0, 1.0)
    points = (world @ matrix[:3, :3].T + matrix[:3, 3]) * fold
    start, along = np.array(FROM), np.array(TO) - FROM
    share = np.clip((points - start) @ along / (along @ along), 0, 1)
    return np.asarray(np.linalg.norm(points - start - share[..., None] * along, axis=-1))


def with_tubes(head: Head, hu_by_side: dict[Side, float], ground_hu: float = 30.0) -> Head:
    """Return a head of even density with a tube 5 mm wide (in the atlas) on each side named."""
    hu = np.where(head.brain, np.float32(ground_hu), head.hu)
    for side, tube_hu in hu_by_side.items():
        hu[away_mm(head, side) <= 2.5] = tube_hu
    return replace(head, hu=hu)


@pytest.mark.parametrize("side", SIDES)
def test_a_dense_trunk_is_found_on_its_side(still_head: Head, side: Side) -> None:
    found = find_dense_artery(with_tubes(still_head, {side: 70.0, opposite(side): 42.0}))
    assert found is not None
    assert (found.suspected, found.side) == (True, side)
    assert 50 < found.mean_hu <= 70
    assert 33 < found.contralateral_mean_hu <= 42
    assert found.ratio == pytest.approx(found.mean_hu / found.contralateral_mean_hu)


def test_no_artery_at_all_is_no_sign(still_head: Head) -> None:
    found = find_dense_artery(with_tubes(still_head, {}))
    assert found is not None
    assert not found.suspected
    assert found.mean_hu == pytest.approx(30, abs=0.1)
    assert found.ratio == pytest.approx(1, abs=0.01)


def test_two_dense_arteries_are_no_sign(still_head: Head) -> None:
    """As by a high hematocrit."""
    found = find_dense_artery(with_tubes(still_head, {"left": 70.0, "right": 70.0}))
    assert found is not None
    assert not found.suspected
    assert found.mean_hu > 50


@pytest.mark.parametrize("hu_by_side", [{"left": 42.0, "right": 32.0}, {"left": 60.0, "right": 55.0}])
def test_both_density_and_ratio_must_be_exceeded(still_head: Head, hu_by_side: dict[Side, float]) -> None:
    """42 against 32 HU is a ratio of 1.3 at too low a density; 60 against 55 a dense one at a ratio of 1.1."""
    found = find_dense_artery(with_tubes(still_head, hu_by_side, ground_hu=20.0))
    assert found is not None
    assert not found.suspected


def test_calcium_in_the_wall_is_left_out(still_head: Head) -> None:
    found = find_dense_artery(with_tubes(still_head, {"left": 300.0}))
    assert found is not None
    assert not found.suspected
    assert found.mean_hu == pytest.approx(30, abs=0.5)


def test_nothing_is_said_without_the_atlas(still_head: Head) -> None:
    lost = replace(still_head, registration=replace(still_head.registration, is_reliable=False))
    assert find_dense_artery(lost) is None


@pytest.mark.parametrize("side", SIDES)
def test_nothing_is_said_where_a_side_is_not_seen(still_head: Head, side: Side) -> None:
    unseen = still_head.brain & (away_mm(still_head, side) > 20)
    assert find_dense_artery(replace(still_head, brain=unseen)) is None
    assert find_dense_artery(replace(still_head, brain=np.zeros_like(unseen))) is None


def test_nothing_is_said_where_the_scan_ends_above(still_head: Head) -> None:
    matrix = still_head.registration.scan_to_atlas.copy()
    matrix[2, 3] += 200
    moved = replace(still_head, registration=replace(still_head.registration, scan_to_atlas=matrix))
    assert find_dense_artery(moved) is None


def test_thresholds_are_settings(still_head: Head) -> None:
    head = with_tubes(still_head, {"left": 70.0, "right": 42.0})
    for config in (ArteryConfig(dense_hu=80.0), ArteryConfig(ratio=2.0)):
        found = find_dense_artery(head, config)
        assert found is not None
        assert not found.suspected
