"""Tiled inference against the slow obvious way, and against MONAI's."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit, softmax

from infarct.errors import BadRequest, StepFailed
from infarct.runtime import Blending, predict_tiled
from infarct.types import Float32Array
from infarct.weights import WeightSet


class MockEngine:
    """Answers with a function of the tile, and remembers what it was given."""

    name = "torch"
    version = "0"
    precision = "fp32"
    device = "cpu"
    threads = 1

    def __init__(self, answer: Callable[[Float32Array], npt.NDArray[Any]]) -> None:
        self._answer = answer
        self.seen: list[Float32Array] = []

    def run(self, batch: Float32Array) -> Float32Array:
        self.seen.append(batch.copy())
        return np.asarray(self._answer(batch), dtype=np.float32)


def uneven(batch: Float32Array) -> npt.NDArray[Any]:
    """Two outputs that depend on the whole tile and on the place in it, so that every blending mistake shows."""
    ramp = np.indices(batch.shape[2:]).sum(axis=0) / 10
    first = batch[:, :1] * 3 - ramp + batch.mean()
    return np.concatenate([first, ramp - batch[:, -1:]], axis=1)


def slow_starts(first: int, end: int, size: int, length: int, overlap: float) -> list[int]:
    """Lay tiles one after the other until the end is reached; then move all down by half of what they reach beyond."""
    if end - first <= length:
        middle = (first + end - length) // 2
        return [min(max(middle, 0), size - length)]
    starts = [first]
    while starts[-1] + length < end:
        starts.append(starts[-1] + max(int(length * (1 - overlap)), 1))
    down = min((starts[-1] + length - end) // 2, first)
    return sorted({min(start - down, size - length) for start in starts})


def slow_prediction(
    channels: Float32Array, brain: npt.NDArray[np.bool_], tile: tuple[int, int, int], overlap: float, blending: Blending
) -> npt.NDArray[Any]:
    """Blend whole tiles into two volumes, and divide at the end. The volume is no smaller than the tile."""
    bounds = [(int(i.min()), int(i.max()) + 1) for i in np.nonzero(brain)]
    starts = [slow_starts(*bound, size, n, overlap) for bound, size, n in zip(bounds, brain.shape, tile, strict=True)]
    weight = np.ones(tile)
    if blending == "gaussian":
        centred = np.indices(tile) - (np.array(tile).reshape(3, 1, 1, 1) - 1) / 2
        weight = np.exp(-0.5 * ((centred / (np.array(tile).reshape(3, 1, 1, 1) / 8)) ** 2).sum(axis=0))
    total, weights = np.zeros((2, *brain.shape)), np.zeros(brain.shape)
    for start in itertools.product(*starts):
        place = tuple(slice(s, s + n) for s, n in zip(start, tile, strict=True))
        if not brain[place].any():
            continue
        total[:, *place] += expit(uneven(channels[:, *place][None])[0]) * weight
        weights[place] += weight
    return np.where(brain, total / np.where(brain, weights, 1), 0)


def sample_case(shape: tuple[int, int, int] = (13, 22, 31)) -> tuple[Float32Array, npt.NDArray[np.bool_]]:
    generator = np.random.default_rng(4)
    channels = generator.normal(size=(2, *shape)).astype(np.float32)
    grid = np.indices(shape)
    centre, radii = np.array(shape).reshape(3, 1, 1, 1) / 2, np.array(shape).reshape(3, 1, 1, 1) / 2.3
    brain = (((grid - centre) / radii) ** 2).sum(axis=0) < 1
    brain[:, 9:12, 9:12] = False  # a hole, and voxels beside it that many tiles share
    return channels, brain


@pytest.mark.parametrize("blending", ["average", "gaussian"])
@pytest.mark.parametrize(
    ("tile", "overlap"),
    [((5, 8, 8), 0.25), ((5, 8, 8), 0.0), ((6, 7, 9), 0.75), ((13, 22, 31), 0.25), ((4, 22, 5), 0.5), ((3, 4, 6), 0.9)],
)
def test_agrees_with_the_slow_obvious_way(tile: tuple[int, int, int], overlap: float, blending: Blending) -> None:
    channels, brain = sample_case()
    fast = predict_tiled(MockEngine(uneven), channels, brain, tile_zyx=tile, overlap=overlap, blending=blending)
    assert fast.dtype == np.float32
    np.testing.assert_allclose(fast, slow_prediction(channels, brain, tile, overlap, blending), atol=2e-6)


def test_what_does_not_depend_on_the_tile_comes_back_whole() -> None:
    """However tiles lie, the average of equal answers is that answer; outside the brain it is 0."""
    channels, brain = sample_case()
    answer = predict_tiled(MockEngine(lambda batch: batch), channels, brain, tile_zyx=(4, 9, 8), blending="gaussian")
    np.testing.assert_allclose(answer, np.where(brain, expit(channels), 0), atol=1e-6)


@pytest.mark.parametrize("both_ways", [False, True])
def test_classes_that_exclude_each_other_still_do(both_ways: bool) -> None:
    """The function that makes probabilities sees all logits of a tile at once."""
    channels, brain = sample_case()
    answer = predict_tiled(
        MockEngine(uneven),
        channels,
        brain,
        tile_zyx=(4, 9, 8),
        both_ways=both_ways,
        chances=lambda logits: np.asarray(softmax(logits, axis=0), dtype=np.float32),
    )
    np.testing.assert_allclose(answer.sum(axis=0), brain, atol=1e-6)


def test_a_grid_by_hand() -> None:
    """Tiles of 4 that share 1. Brain from 2 to 11: 2, 5, 8. To 12: one tile more reaches 2 beyond, 1 on each side."""
    brain = np.zeros((1, 1, 20), dtype=bool)
    brain[..., 2:12] = True
    engine = MockEngine(lambda batch: batch)
    predict_tiled(engine, np.arange(20, dtype=np.float32)[None, None, None], brain, tile_zyx=(1, 1, 4))
    assert [int(tile[0, 0, 0, 0, 0]) for tile in engine.seen] == [2, 5, 8]
    brain[..., 12] = True
    engine = MockEngine(lambda batch: batch)
    predict_tiled(engine, np.arange(20, dtype=np.float32)[None, None, None], brain, tile_zyx=(1, 1, 4))
    assert [int(tile[0, 0, 0, 0, 0]) for tile in engine.seen] == [1, 4, 7, 10]
    brain[..., 13:20] = True  # the volume ends here: tiles begin at the brain, and the last is moved inwards
    engine = MockEngine(lambda batch: batch)
    predict_tiled(engine, np.arange(20, dtype=np.float32)[None, None, None], brain, tile_zyx=(1, 1, 4))
    assert [int(tile[0, 0, 0, 0, 0]) for tile in engine.seen] == [2, 5, 8, 11, 14, 16]


@pytest.mark.parametrize(("voxel", "expected"), [(0, 0), (10, 8), (19, 16)])
def test_a_small_brain_lies_in_the_middle_of_a_tile_inside_the_volume(voxel: int, expected: int) -> None:
    brain = np.zeros((1, 1, 20), dtype=bool)
    brain[..., voxel] = True
    engine = MockEngine(lambda batch: batch)
    predict_tiled(engine, np.arange(20, dtype=np.float32)[None, None, None], brain, tile_zyx=(1, 1, 4))
    assert [int(tile[0, 0, 0, 0, 0]) for tile in engine.seen] == [expected]


def test_a_small_volume_lies_in_the_middle_of_zeros() -> None:
    channels = np.ones((1, 3, 4, 5), dtype=np.float32)
    engine = MockEngine(lambda batch: batch)
    answer = predict_tiled(engine, channels, np.ones((3, 4, 5), dtype=bool), tile_zyx=(6, 4, 8))
    assert answer.shape == (1, 3, 4, 5)
    np.testing.assert_allclose(answer, expit(1.0), rtol=1e-6)
    expected = np.zeros((6, 4, 8))
    expected[1:4, :, 1:6] = 1
    assert len(engine.seen) == 1
    np.testing.assert_array_equal(engine.seen[0][0, 0], expected)


def test_tiles_without_brain_are_left_out() -> None:
    """Two far corners: of the tiles between them only the two that hold a voxel of the brain are run."""
    brain = np.zeros((8, 16, 16), dtype=bool)
    brain[0, 0, 0] = brain[7, 15, 15] = True
    engine = MockEngine(lambda batch: batch)
    answer = predict_tiled(engine, np.ones((1, 8, 16, 16), np.float32), brain, tile_zyx=(4, 4, 4), overlap=0)
    assert len(engine.seen) == 2
    assert np.argwhere(answer[0]).tolist() == [[0, 0, 0], [7, 15, 15]]


def test_never_above_one() -> None:
    channels, brain = sample_case()
    sure = MockEngine(lambda batch: np.full_like(batch, 100.0))
    answer = predict_tiled(sure, channels, brain, tile_zyx=(5, 6, 7), overlap=0.6, blending="gaussian")
    assert answer.max() <= 1
    assert answer[:, brain].min() > 1 - 1e-6


def test_logits_of_any_size_overflow_nothing() -> None:
    channels, brain = sample_case()
    wild = MockEngine(lambda batch: np.where(batch > 0, 1e30, -1e30))
    answer = predict_tiled(wild, channels, brain, tile_zyx=(13, 22, 31))
    np.testing.assert_array_equal(answer, (channels > 0) & brain)


def test_bad_requests() -> None:
    channels, brain = sample_case()
    engine = MockEngine(uneven)
    with pytest.raises(StepFailed, match="no brain"):
        predict_tiled(engine, channels, np.zeros_like(brain), tile_zyx=(4, 4, 4))
    for overlap in (-0.1, 1.0, float("nan")):
        with pytest.raises(BadRequest, match="the overlap of tiles"):
            predict_tiled(engine, channels, brain, tile_zyx=(4, 4, 4), overlap=overlap)
    with pytest.raises(ValueError, match="do not fit a brain"):
        predict_tiled(engine, channels[:, 1:], brain, tile_zyx=(4, 4, 4))
    assert not engine.seen


@pytest.mark.slow
@pytest.mark.parametrize("overlap", [0.25, 0.5, 0.75])
def test_agrees_with_monai_where_every_tile_holds_brain(overlap: float) -> None:
    """MONAI runs every tile of the volume; with brain in all of it the grids are the same."""
    import torch
    from monai.inferers import SlidingWindowInferer

    channels, _ = sample_case((17, 40, 37))
    brain, tile = np.ones((17, 40, 37), dtype=bool), (8, 16, 12)

    def network(batch: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(expit(uneven(batch.numpy()).astype(np.float32)))

    oracle = SlidingWindowInferer(tile, sw_batch_size=1, overlap=overlap, mode="constant")
    expected = oracle(torch.from_numpy(channels)[None], network)[0].numpy()
    answer = predict_tiled(MockEngine(uneven), channels, brain, tile_zyx=tile, overlap=overlap)
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_a_weight_set_is_all_an_engine_needs(mock_weights: WeightSet) -> None:
    """The real thing end to end: two outputs, a brain of several tiles, the same bytes twice."""
    from infarct.runtime import make_engine

    channels, brain = sample_case()
    engine = make_engine(mock_weights, engine="torch", threads=1)
    answers = [predict_tiled(engine, channels[:1], brain, tile_zyx=(8, 16, 16)) for _ in range(2)]
    assert answers[0].shape == (2, *brain.shape)
    assert answers[0].tobytes() == answers[1].tobytes()
    assert answers[0][:, brain].std() > 0.02


@pytest.mark.parametrize("both_ways", [True, False])
def test_run_both_ways_a_mirrored_head_has_the_mirrored_answer(both_ways: bool) -> None:
    channels = np.random.default_rng(3).normal(size=(2, 8, 20, 28)).astype(np.float32)
    brain = np.ones(channels.shape[1:], dtype=bool)
    answer, mirrored = (
        predict_tiled(MockEngine(uneven), shown, brain, tile_zyx=(8, 12, 16), both_ways=both_ways)
        for shown in (channels, channels[..., ::-1])
    )
    assert np.allclose(answer, mirrored[..., ::-1], atol=1e-6) == both_ways
