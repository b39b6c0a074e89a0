"""Marks of treatment: metal, drains and missing bone, by their size, place and HU."""

from functools import lru_cache

import pytest
import torch
from mock_canvas import mock_canvas

from infarct.anatomy import Side
from infarct.phantom.canvas import Canvas
from infarct.phantom.crop import locate
from infarct.phantom.patient import Treatment
from infarct.phantom.treatment import paint_treatment

CIRCLE_OF_WILLIS_MM = (0.0, -5.0, -14.0)


@lru_cache(maxsize=6)
def painted(treatment: Treatment) -> Canvas:
    canvas = mock_canvas(2.0)
    paint_treatment(canvas, treatment)
    return canvas


def test_no_treatment_changes_nothing() -> None:
    canvas, before = painted(Treatment(3)), mock_canvas(2.0)
    assert torch.equal(canvas.hu, before.hu)
    assert torch.equal(canvas.bone, before.bone)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("mark", ["coil", "clip", "drain", "skull_defect"])
def test_marks_lie_on_the_side_of_treatment(mark: str, side: Side) -> None:
    canvas, before = painted(Treatment(7, side, **{mark: True})), mock_canvas(2.0)
    changed = (canvas.hu - before.hu).abs() > 20
    x = canvas.atlas_mm[changed][:, 0] * (1 if side == "left" else -1)
    assert float(x.mean()) > -1  # aneurysms of the midline have no side
    assert mark in ("coil", "clip") or float((x > 0).float().mean()) > 0.95


@pytest.mark.parametrize("mark", ["coil", "clip", "drain", "skull_defect"])
def test_same_seed_same_bytes_and_tissue_stays(mark: str) -> None:
    treatment = Treatment(5, **{mark: True})
    canvas, again, before = painted(treatment), painted.__wrapped__(treatment), mock_canvas(2.0)
    assert torch.equal(canvas.hu, again.hu)
    assert not torch.equal(canvas.hu, before.hu)
    assert all(torch.equal(getattr(canvas, name), getattr(before, name)) for name in ("grey", "white", "csf"))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("mark", "least_ml", "most_ml"), [("coil", 0.02, 0.5), ("clip", 0.01, 0.06)])
def test_metal_is_small_bright_and_near_the_circle_of_willis(
    mark: str, seed: int, least_ml: float, most_ml: float
) -> None:
    canvas, before = painted(Treatment(seed, **{mark: True})), mock_canvas(2.0)
    share = (canvas.hu - before.hu).clamp(min=0) / 5500
    assert least_ml < float(share.sum()) * canvas.grid.voxel_ml < most_ml
    assert float(canvas.hu.max()) > 1900  # part of a 2 mm voxel
    at = canvas.atlas_mm[share > 0.05]
    assert float((at - torch.tensor(CIRCLE_OF_WILLIS_MM)).norm(dim=-1).max()) < 55
    assert float((at.amax(dim=0) - at.amin(dim=0)).max()) < 14


def test_large_coil_is_denser_than_any_scanner_shows() -> None:
    assert max(float(painted(Treatment(seed, coil=True)).hu.max()) for seed in range(6)) > 3071


@pytest.mark.parametrize("seed", range(4))
def test_drain_leads_from_a_burr_hole_to_the_frontal_horn(seed: int) -> None:
    canvas, before = painted(Treatment(seed, drain=True)), mock_canvas(2.0)
    changed = (canvas.hu - before.hu).abs() > 20
    inside = changed & canvas.intracranial & (canvas.depth_mm > 4)
    tip = canvas.atlas_mm[inside][canvas.atlas_mm[inside][:, 2].argmin()]
    assert float((tip.abs() - torch.tensor([8.0, 8.0, 8.0])).norm()) < 12
    planes = inside.flatten(1).any(dim=1).nonzero()[:, 0]
    assert len(planes) == int(planes[-1]) - int(planes[0]) + 1  # one tube, unbroken
    assert 60 < float(canvas.hu[inside].quantile(0.9)) < 330
    hole = (before.bone > 0.5) & (canvas.bone < 0.1)
    assert 0.2 < float(hole.sum()) * canvas.grid.voxel_ml < 3
    assert len((canvas.left[hole]).unique()) == 1


@pytest.mark.parametrize("seed", range(6))
def test_flap_is_6_to_12_cm_wide_on_one_side(seed: int) -> None:
    canvas, before = painted(Treatment(seed, skull_defect=True)), mock_canvas(2.0)
    gone = (before.bone > 0.8) & (canvas.bone < 0.1)
    rows = gone.any(dim=2).any(dim=0).nonzero()[:, 0]
    assert 54 <= (int(rows[-1]) - int(rows[0]) + 1) * 2 <= 126
    assert len(canvas.left[gone].unique()) == 1
    assert 20 < float(canvas.hu[gone].mean()) < 60
    assert float(canvas.atlas_mm[gone][:, 0].abs().min()) > 15
    deep = canvas.depth_mm > 2
    assert torch.equal(canvas.hu[deep], before.hu[deep])


def test_place_of_the_entry_is_frontal() -> None:
    canvas = painted(Treatment(1, drain=True))
    hole = (mock_canvas(2.0).bone > 0.5) & (canvas.bone < 0.1)
    y = canvas.grid.points()[hole][:, 1].mean()
    assert float(y) < locate(canvas, (0, 0, 60))[1]
