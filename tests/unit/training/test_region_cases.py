import json
from pathlib import Path

import numpy as np
import pytest

from infarct.atlas import load_atlas
from infarct.errors import BadRequest
from infarct.measure.overlap import count
from infarct.phantom import draw, render_ct
from infarct.phantom.grid import rng
from infarct.phantom.scoring import score_aspects
from infarct.preprocess.region_input import EVERYDAY, RegionSetting
from infarct.training.cases import PhantomShare, kind_of
from infarct.training.region_cases import RegionPlan, displaced, fitted_to_atlas, prepare_region_cases, true_anatomy
from infarct.training.region_store import load_region_cases, read_region_index
from infarct.training.vb_store import load_heads
from infarct.volume import Geometry, resample_labels


def test_displaced_regions_are_off_as_an_atlas_is() -> None:
    """A ball of 25 mm in 5 mm slices: most of it stays, no two draws are alike, and its size is about the same."""
    source = Geometry.regular((24, 80, 80), (5.0, 2.0, 2.0), origin_mm=(-80, -80, -60))
    target = Geometry.regular((24, 100, 100), (5.0, 1.5, 1.5), origin_mm=(-75, -75, -60))

    def ball(grid: Geometry) -> np.ndarray:
        index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape_zyx), indexing="ij"), axis=-1)
        return np.asarray(np.linalg.norm(grid.index_to_world(index), axis=-1) < 25)

    there = ball(target)
    moved = [displaced(ball(source).astype(np.uint8) * 14, source, target, random=rng(seed, "x")) for seed in range(5)]
    for labels in moved:
        assert set(np.unique(labels)) == {0, 14}
        dice = 2 * (there & (labels > 0)).sum() / (there.sum() + (labels > 0).sum())
        assert 0.75 < dice < 0.98
        assert 0.7 < (labels > 0).sum() / there.sum() < 1.4
    assert not np.array_equal(moved[0], moved[1])
    again = displaced(ball(source).astype(np.uint8) * 14, source, target, random=rng(0, "x"))
    np.testing.assert_array_equal(again, moved[0])


def affine() -> np.ndarray:
    """Return a map from a head to the atlas: turned, shifted, larger along each axis by another part."""
    matrix = np.diag([1.2, 1.1, 1.15, 1.0])
    turn = np.radians(8)
    matrix[:3, :3] = matrix[:3, :3] @ [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    matrix[:3, 3] = 3, -4, 5
    return matrix


def test_the_map_to_the_atlas_is_found_from_the_regions() -> None:
    """An affine copy of the atlas: its map comes back to a millimetre, from the whole regions alone."""
    atlas = load_atlas()
    grid = Geometry.regular((40, 60, 66), (3.0, 2.0, 2.0), origin_mm=(-66, -55, -30))
    labels = resample_labels(atlas.aspects_labels, atlas.geometry, grid, transform=affine())
    assert len(np.unique(labels)) == 21
    corners = np.array([[x, y, z, 1] for x in (-50, 50) for y in (-40, 50) for z in (-15, 50)])
    found = fitted_to_atlas(labels, grid)
    assert found is not None
    assert np.abs((corners @ (found - affine()).T)[:, :3]).max() < 1.5
    cut = int(np.flatnonzero(labels.any(axis=(1, 2)))[0])  # the lowest regions reach the first slice
    part = Geometry.regular((40 - cut, 60, 66), (3.0, 2.0, 2.0), origin_mm=(-66, -55, -30 + 3 * cut))
    again = fitted_to_atlas(labels[cut:], part)
    assert again is not None
    assert np.abs((corners @ (again - affine()).T)[:, :3]).max() < 2.5
    assert fitted_to_atlas(labels[: cut + 2], Geometry.regular((cut + 2, 60, 66), (3.0, 2.0, 2.0))) is None


def test_the_truth_lies_on_the_grid() -> None:
    """The grid is centred on x = 0, and reaches beyond the scan, where nothing is."""
    atlas = load_atlas()
    scan = Geometry.regular((40, 60, 66), (3.0, 2.0, 2.0), origin_mm=(-66, -55, -30))
    labels = resample_labels(atlas.aspects_labels, atlas.geometry, scan, transform=affine())
    grid = Geometry.regular((30, 40, 48), (5.0, 3.0, 3.0), origin_mm=(-70.5, -55, -35))
    truth = true_anatomy(labels, labels > 0, scan, grid)
    assert truth.to_atlas is not None
    assert truth.regions.shape == truth.intracranial.shape == grid.shape_zyx
    assert set(np.unique(truth.regions)) == set(range(21))
    own = np.argwhere(truth.regions == 14)
    where = np.column_stack([own, np.ones(len(own))]) @ truth.to_atlas.T
    there = atlas.geometry.index_to_world(np.argwhere(atlas.aspects_labels == 14)).mean(axis=0)
    np.testing.assert_allclose(where.mean(axis=0)[1:], there[1:], atol=2)
    assert where.mean(axis=0)[0] == pytest.approx(there[0], abs=5)  # the plane is x = 0, the atlas's is 3 mm aside


@pytest.mark.slow
def test_prepares_patients_and_goes_on(tmp_path: Path) -> None:
    plan = RegionPlan((PhantomShare("aspects", 1, 0), PhantomShare("healthy", 0, 1)), EVERYDAY)
    told: list[tuple[int, int]] = []
    prepare_region_cases(plan, tmp_path, on_done=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 2)
    assert told[-1] == (2, 2)
    index = read_region_index(tmp_path)
    assert [(case.role, bool(case.affected)) for case in index.of("validation")] == [("validation", False)]
    assert kind_of(tmp_path) == "phantoms"
    (stroke,) = load_region_cases(index, index.of("train"))
    patient = draw("aspects", 0, "train")
    scores = score_aspects(patient, render_ct(patient))
    first = 10 if scores.side == "left" else 0
    assert tuple(stroke.affected[first : first + 10]) == scores.by_core
    assert stroke.input.image.dtype == np.float16
    assert len(set(np.unique(stroke.input.regions))) == 21
    (head,) = load_heads(index, index.of("train"))
    assert len(set(np.unique(head.regions))) == 21
    assert not (head.regions[~head.intracranial] > 0).mean() > 0.01
    dice = [count(stroke.input.regions == label, head.regions == label).dice for label in range(1, 21)]
    assert 0.5 < np.mean(dice) < 0.95
    assert head.to_atlas is not None
    with np.load(tmp_path / index.of("train")[0].file) as stored:
        about = json.loads(str(stored["about"]))
    assert {"kvp", "onset_h", "patient", "core_ml", "preset", "thickness_mm", "digest", "id"} == about.keys()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    prepare_region_cases(plan, tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}


def test_refuses_a_folder_prepared_in_another_way(tmp_path: Path) -> None:
    plan = RegionPlan((), EVERYDAY)
    prepare_region_cases(plan, tmp_path)
    other = RegionSetting("other", (5.0, 2.0, 2.0), (7, 44, 37))
    with pytest.raises(BadRequest, match="another way"):
        prepare_region_cases(RegionPlan((), other), tmp_path)
