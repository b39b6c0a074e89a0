"""Chronic damage: volumes, places, HU, sides, and what scars do to the head around them."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from mock_canvas import mirrored, mock_canvas
from scipy import ndimage
from torch import Tensor

from infarct.anatomy import REGIONS, TERRITORY_LABELS, Side
from infarct.phantom import chronic
from infarct.phantom.canvas import Canvas
from infarct.phantom.chronic import Chronic, paint_chronic, retraction_source
from infarct.phantom.crop import sign
from infarct.phantom.fields import atlas_fields
from infarct.phantom.patient import Confounders, Densities, Lacune, OldInfarct, Site

HEALTHY = Confounders(seed=5, leukoaraiosis=0.0, leukoaraiosis_hu=8.0, leukoaraiosis_asymmetry=0.0, perivascular=0.0)
DENSITIES = Densities(
    grey=37.0,
    white=29.5,
    csf=7.0,
    blood=50.0,
    dura=45.0,
    muscle=55.0,
    fat=-90.0,
    bone=1100.0,
    diploe=500.0,
    variation_hu=0.5,
)


@lru_cache(maxsize=8)
def painted(confounders: Confounders, spacing_mm: float = 2.0) -> tuple[Canvas, Chronic]:
    canvas = mock_canvas(spacing_mm)
    return canvas, paint_chronic(canvas, confounders, DENSITIES)


def soft_tissue_hu(canvas: Canvas, found: Chronic) -> Tensor:
    fluid = DENSITIES.csf * canvas.csf
    return DENSITIES.grey * canvas.grey + DENSITIES.white * canvas.white + fluid + found.delta_hu


def with_infarct(site: Site, volume_ml: float, side: Side = "left", cavity: float = 0.6) -> Confounders:
    return replace(HEALTHY, old_infarcts=(OldInfarct(3, site, side, volume_ml, cavity),))


def with_lacune(place: str, radius_mm: float, side: Side = "left", seed: int = 7) -> Confounders:
    return replace(HEALTHY, lacunes=(Lacune(seed, side, place, radius_mm),))


def centre_mm(canvas: Canvas, weight: Tensor) -> list[float]:
    return ((canvas.atlas_mm * weight[..., None]).sum(dim=(0, 1, 2)) / weight.sum()).tolist()


def everything(side: Side) -> Confounders:
    return replace(
        HEALTHY,
        old_infarcts=(OldInfarct(1, "M2_superior", side, 20.0, 0.5),),
        lacunes=(Lacune(2, side, "thalamus", 5.0),),
    )


def test_healthy_brain_stays_as_it_is() -> None:
    canvas, found = painted(HEALTHY)
    before = mock_canvas(2.0)
    assert not found.old_infarct.any()
    assert not found.delta_hu.any()
    assert all(torch.equal(getattr(canvas, name), getattr(before, name)) for name in ("grey", "white", "csf", "hu"))
    assert not retraction_source(HEALTHY).any()


def test_fractions_keep_their_sum() -> None:
    worst = replace(everything("left"), leukoaraiosis=0.8, perivascular=1.0)
    canvas, _ = painted(worst)
    before = mock_canvas(2.0)
    total = canvas.grey + canvas.white + canvas.csf
    assert torch.allclose(total, before.grey + before.white + before.csf, atol=1e-5)
    assert all(
        float(part.min()) >= 0 and float(part.max()) <= 1.001 for part in (canvas.grey, canvas.white, canvas.csf)
    )


def test_same_seed_same_bytes() -> None:
    confounders = replace(everything("right"), leukoaraiosis=0.4, perivascular=0.5)
    (first, one), (second, two) = painted(confounders), painted.__wrapped__(confounders)
    assert torch.equal(first.csf, second.csf)
    assert torch.equal(one.delta_hu, two.delta_hu)


def test_other_side_is_the_mirror_image() -> None:
    left, on_left = painted(everything("left"))
    right, on_right = painted(everything("right"))
    assert torch.allclose(mirrored(left.csf), right.csf, atol=2e-3)
    assert torch.allclose(mirrored(on_left.delta_hu), on_right.delta_hu, atol=0.05)
    differing = mirrored(on_left.old_infarct) != on_right.old_infarct
    assert int(differing.sum()) <= 0.005 * int(on_right.old_infarct.sum())


@pytest.mark.parametrize(
    ("site", "volume_ml", "territory"),
    [("M1", 150.0, "MCA"), ("PCA", 20.0, "PCA"), ("ACA", 12.0, "ACA"), ("cerebellar", 6.0, "cerebellum")],
)
def test_old_infarct_has_its_volume_in_its_territory(site: Site, volume_ml: float, territory: str) -> None:
    canvas, found = painted(with_infarct(site, volume_ml))
    assert int(found.old_infarct.sum()) * canvas.grid.voxel_ml == pytest.approx(volume_ml, rel=0.02)
    assert bool(canvas.left[found.old_infarct].all())
    assert bool(canvas.intracranial[found.old_infarct].all())
    labels = canvas.territories[found.old_infarct]
    labels = labels[labels > 0]
    assert float((labels == TERRITORY_LABELS[territory]).float().mean()) > 0.9


def test_two_old_infarcts_in_one_place_keep_both_volumes() -> None:
    infarcts = (OldInfarct(1, "M1", "left", 40.0, 0.5), OldInfarct(2, "M2_superior", "left", 25.0, 0.5))
    canvas, found = painted(replace(HEALTHY, old_infarcts=infarcts))
    assert int(found.old_infarct.sum()) * canvas.grid.voxel_ml == pytest.approx(65.0, rel=0.02)


@pytest.mark.parametrize("cavity", [0.3, 0.7])
def test_old_infarct_is_cavity_and_gliotic_rim(cavity: float) -> None:
    canvas, found = painted(with_infarct("M1", 100.0, cavity=cavity))
    inside = found.old_infarct & (found.old_infarct.roll(1, 0) & found.old_infarct.roll(-1, 0))
    hu = soft_tissue_hu(canvas, found)[inside]
    fluid = canvas.csf[inside] > 0.9
    assert float(hu[fluid].min()) > 4
    assert float(hu[fluid].max()) < 13
    solid = canvas.csf[inside] < 0.05
    assert float(hu[solid].quantile(0.1)) > 14
    assert float(hu[solid].quantile(0.9)) < 29
    assert float((canvas.csf[inside] > 0.5).float().mean()) == pytest.approx(cavity, abs=0.15)


def test_cavity_keeps_away_from_living_tissue() -> None:
    canvas, found = painted(with_infarct("M1", 100.0, cavity=0.5))
    living = (canvas.grey + canvas.white > 0.5) & ~found.old_infarct
    distance = torch.from_numpy(ndimage.distance_transform_edt(~living.numpy()))[found.old_infarct]
    new = (canvas.csf - mock_canvas(2.0).csf)[found.old_infarct]
    assert float(distance[new > 0.7].mean()) > 1.5 * float(distance[new < 0.1].mean())


def test_scar_shrinks_and_fluid_of_its_side_fills_the_room() -> None:
    source = retraction_source(with_infarct("M1", 80.0))
    fields = atlas_fields("cpu")
    left = fields.coarse.points()[..., 0] > 6
    ventricles = fields.shape[1] > 1
    inside = fields.shape[0] > 0
    assert float(source[inside].min()) < -0.3
    assert float(source[ventricles & left].mean()) > 2 * float(source[ventricles & ~left].mean()) > 0
    change_ml = float((source[inside].exp() - 1).sum()) * fields.coarse.voxel_ml
    assert abs(change_ml) < 0.35 * 80


def test_retraction_mirrors() -> None:
    left, right = (retraction_source(with_infarct("PCA", 15.0, side)) for side in ("left", "right"))
    out = torch.arange(2.0, 70.0, 4.0)
    y, z = torch.full_like(out, 70.0), torch.full_like(out, 10.0)
    grid = atlas_fields("cpu").coarse
    on_left = grid.sample(left, torch.stack((out, y, z), dim=-1))
    on_right = grid.sample(right, torch.stack((-out, y, z), dim=-1))
    assert float((on_left - on_right).abs().max()) < 0.03
    assert float(on_left.abs().max()) > 0.1


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("place", sorted(chronic.LACUNE_PLACES))
def test_lacune_lies_in_its_place(place: str, side: Side) -> None:
    canvas, found = painted(with_lacune(place, 5.0, side))
    fluid = canvas.csf - mock_canvas(2.0).csf
    x, y, z = centre_mm(canvas, fluid)
    mean, spread = chronic.LACUNE_PLACES[place]
    assert abs(x * sign(side) - mean[0]) < 3 * spread[0]
    assert abs(y - mean[1]) < 3 * spread[1]
    assert abs(z - mean[2]) < 3 * spread[2]
    assert float(found.delta_hu.min()) < -2


@pytest.mark.parametrize("radius_mm", [3.0, 5.0, 7.0])
def test_lacune_holds_about_a_ball_of_fluid(radius_mm: float) -> None:
    canvas, _ = painted(with_lacune("white_matter", radius_mm))
    new_ml = float((canvas.csf - mock_canvas(2.0).csf).sum()) * canvas.grid.voxel_ml
    assert new_ml == pytest.approx(4 / 3 * np.pi * radius_mm**3 / 1000, rel=0.4)


def test_perivascular_spaces_lie_below_the_ganglia_and_grow() -> None:
    before = mock_canvas(2.0)
    added = []
    for share in (0.3, 1.0):
        canvas, _ = painted(replace(HEALTHY, perivascular=share))
        new = canvas.csf - before.csf
        at = canvas.atlas_mm[new > 0.01]
        assert float(at[:, 2].abs().max()) < 22
        assert float(at[:, 0].abs().min()) > 5
        added.append(float(new.sum()))
    assert added[1] > 2 * added[0] > 0


def drop_by_side(asymmetry: float, share: float = 0.4) -> tuple[float, float]:
    canvas, found = painted(replace(HEALTHY, leukoaraiosis=share, leukoaraiosis_asymmetry=asymmetry))
    return float(found.delta_hu[canvas.left].sum()), float(found.delta_hu[~canvas.left].sum())


def test_leukoaraiosis_leans_to_the_side_of_its_asymmetry() -> None:
    left, right = drop_by_side(0.5)
    assert left / right == pytest.approx(1.5 / 0.5, rel=0.35)
    left, right = drop_by_side(-0.5)
    assert right / left == pytest.approx(1.5 / 0.5, rel=0.35)


def test_leukoaraiosis_grows_with_its_share() -> None:
    totals = [sum(drop_by_side(0.0, share)) for share in (0.1, 0.3, 0.6, 0.9)]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] < -100


def test_leukoaraiosis_has_its_depth_and_spares_grey_matter_and_capsule() -> None:
    canvas, found = painted(replace(HEALTHY, leukoaraiosis=0.4))
    drop = -found.delta_hu
    assert float(drop.max()) < 1.5 * HEALTHY.leukoaraiosis_hu
    white = canvas.white > 0.9
    assert float(drop[white & (drop > 2)].quantile(0.8)) == pytest.approx(HEALTHY.leukoaraiosis_hu, rel=0.25)
    assert float(drop[canvas.grey > 0.8].mean()) < 0.3
    capsule = white & (canvas.aspects % 10 == REGIONS.index("IC") + 1)
    deep = white & (canvas.depth_mm > 15) & (canvas.atlas_mm[..., 2] > 18)
    assert float(drop[capsule].mean()) < 0.4 * float(drop[deep].mean())
    assert float(drop[canvas.territories >= TERRITORY_LABELS["midbrain"]].max()) < 0.1


def test_leukoaraiosis_starts_at_the_ventricles() -> None:
    canvas, found = painted(replace(HEALTHY, leukoaraiosis=0.15))
    distance = torch.from_numpy(ndimage.distance_transform_edt(canvas.ventricle.numpy() < 0.3)) * 2
    white = (canvas.white > 0.8) & (canvas.atlas_mm[..., 2] > 0)
    near, far = white & (distance < 8), white & (distance > 20)
    assert float(found.delta_hu[near].mean()) < 5 * float(found.delta_hu[far].mean())
