"""Blood: volumes, places, HU, sides, and what it does to the head around it."""

from functools import lru_cache

import pytest
import torch
from mock_canvas import mirrored, mock_canvas
from scipy import ndimage
from torch import Tensor

from infarct.anatomy import TERRITORY_LABELS, Side
from infarct.phantom import bleeds
from infarct.phantom.bleeds import KINDS, mass_source, paint_bleeds
from infarct.phantom.canvas import Canvas
from infarct.phantom.fields import atlas_fields
from infarct.phantom.patient import Bleed, BleedKind, Densities

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
EVERY_KIND = [
    Bleed(1, "parenchymal", "left", 30.0, 64.0, 5.0),
    Bleed(2, "intraventricular", "left", 3.0, 58.0, 0.0),
    Bleed(3, "subarachnoid", "left", 6.0, 54.0, 0.0),
    Bleed(4, "subdural", "left", 40.0, 66.0, 0.0),
    Bleed(1, "staining", "left", 12.0, 58.0, 5.0),
]


@lru_cache(maxsize=8)
def painted(*wanted: Bleed) -> tuple[Canvas, Tensor]:
    canvas = mock_canvas(2.0)
    return canvas, paint_bleeds(canvas, wanted, DENSITIES)


def volume_ml(canvas: Canvas, mask: Tensor) -> float:
    return int(mask.sum()) * canvas.grid.voxel_ml


def placed(place: int, volume: float, side: Side = "left", rim_mm: float = 0.0) -> Bleed:
    """Return a parenchymal bleed whose seed leads to a place, by its number in the table."""
    for seed in range(300):
        bleed = Bleed(seed, "parenchymal", side, volume, 65.0, rim_mm)
        if bleeds._place_of(bleed)[0] is bleeds._PLACES[place]:
            return bleed
    raise AssertionError("no seed leads there")


def test_no_bleed_changes_nothing() -> None:
    canvas, mask = painted()
    assert not mask.any()
    assert torch.equal(canvas.hu, mock_canvas(2.0).hu)
    assert not mass_source(()).any()


@pytest.mark.parametrize("bleed", EVERY_KIND, ids=lambda bleed: bleed.kind)
def test_bleed_has_its_volume_kind_and_side_inside_the_skull(bleed: Bleed) -> None:
    canvas, mask = painted(bleed)
    assert mask.dtype == torch.uint8
    assert mask.unique().tolist() == [0, KINDS[bleed.kind]]
    assert volume_ml(canvas, mask > 0) == pytest.approx(bleed.volume_ml, rel=0.03)
    assert bool(canvas.intracranial[mask > 0].all())
    assert float(canvas.left[mask > 0].float().mean()) > 0.95


@pytest.mark.parametrize("bleed", EVERY_KIND, ids=lambda bleed: bleed.kind)
def test_hu_rise_inside_and_nowhere_far(bleed: Bleed) -> None:
    canvas, mask = painted(bleed)
    before = mock_canvas(2.0)
    pure = mask > 0
    for axis in range(3):
        pure = pure & (mask.roll(1, axis) > 0) & (mask.roll(-1, axis) > 0)
    if bleed.kind in ("parenchymal", "subdural", "staining"):
        assert float(canvas.hu[pure].mean()) == pytest.approx(bleed.hu, abs=4)
        assert float(canvas.hu[pure].std()) < 5
    changed = (canvas.hu - before.hu).abs() > 0.01
    assert bool(canvas.intracranial[changed].all())
    assert float((canvas.hu - before.hu)[mask > 0].median()) > 15


@pytest.mark.parametrize("bleed", EVERY_KIND, ids=lambda bleed: bleed.kind)
def test_other_side_is_the_mirror_image(bleed: Bleed) -> None:
    _, left = painted(bleed)
    _, right = painted(Bleed(bleed.seed, bleed.kind, "right", bleed.volume_ml, bleed.hu, bleed.rim_mm))
    both = (mirrored(left) > 0) & (right > 0)
    assert 2 * int(both.sum()) / (int((left > 0).sum()) + int((right > 0).sum())) > 0.97


@pytest.mark.parametrize("bleed", EVERY_KIND, ids=lambda bleed: bleed.kind)
def test_same_seed_same_bytes(bleed: Bleed) -> None:
    again, mask = painted.__wrapped__(bleed)
    canvas, found = painted(bleed)
    assert torch.equal(canvas.hu, again.hu)
    assert torch.equal(found, mask)


@pytest.mark.parametrize(
    ("place", "volume", "territories"),
    [(0, 20.0, ("MCA",)), (1, 8.0, ("PCA", "midbrain", "MCA")), (6, 8.0, ("cerebellum",)), (7, 2.0, ("pons",))],
)
def test_parenchymal_bleed_lies_in_its_place(place: int, volume: float, territories: tuple[str, ...]) -> None:
    bleed = placed(place, volume)
    canvas, mask = painted(bleed)
    labels = canvas.territories[mask > 0]
    inside = sum((labels == TERRITORY_LABELS[name]).float().mean() for name in territories)
    assert float(inside) > 0.8
    assert float(canvas.ventricle[mask > 0].mean()) < 0.05
    assert volume_ml(canvas, mask > 0) == pytest.approx(volume, rel=0.03)


def test_large_bleed_never_lies_in_the_pons() -> None:
    found = {bleeds._place_of(Bleed(seed, "parenchymal", "left", 60.0, 60.0, 0.0))[0].largest_ml for seed in range(80)}
    assert min(found) >= 60


def test_oedema_darkens_a_rim_of_its_width() -> None:
    bare, wet = (painted(placed(0, 25.0, rim_mm=rim)) for rim in (0.0, 6.0))
    assert torch.equal(bare[1], wet[1])
    drop = (bare[0].hu - wet[0].hu) * (wet[1] == 0)
    distance = torch.from_numpy(ndimage.distance_transform_edt(wet[1].numpy() == 0)) * 2
    white = (bare[0].white > 0.8) & (wet[1] == 0)
    assert 4 < float(drop[white & (distance <= 2)].median()) < 13
    assert float(drop.max()) < 13
    assert not drop[distance > 12].any()


def test_staining_is_a_bleed_without_rim_and_mass() -> None:
    stain = EVERY_KIND[4]
    stained, label = painted(stain)
    bled, mask = painted(Bleed(stain.seed, "parenchymal", stain.side, stain.volume_ml, stain.hu, 0.0))
    assert torch.equal(stained.hu, bled.hu)
    assert torch.equal(label == 6, mask == 1)
    assert not mass_source((stain,)).any()


def test_intraventricular_blood_sinks_to_the_back_of_the_ventricles() -> None:
    canvas, mask = painted(EVERY_KIND[1])
    blood, clear = mask > 0, (canvas.ventricle > 0.5) & (mask == 0) & canvas.left
    assert bool((canvas.ventricle[blood] > 0.5).all())
    y = canvas.atlas_mm[..., 1]
    upper = canvas.atlas_mm[..., 2] > -10
    assert float(y[blood & upper].mean()) > float(y[clear & upper].mean()) + 15


def test_blood_that_the_ventricles_cannot_hold_is_left_out() -> None:
    canvas, mask = painted(Bleed(1, "intraventricular", "left", 500.0, 60.0, 0.0))
    assert torch.equal(mask > 0, canvas.ventricle > 0.5)


def test_subarachnoid_blood_lies_in_fluid_outside_the_ventricles() -> None:
    canvas, mask = painted(EVERY_KIND[2])
    blood = mask > 0
    assert bool((canvas.csf - canvas.ventricle)[blood].gt(0.4).all())
    assert 40 < float(canvas.hu[blood].mean()) < 65


@pytest.mark.parametrize("hu", [25.0, 65.0])
def test_subdural_bleed_is_a_crescent_along_the_skull(hu: float) -> None:
    bleed = next(
        Bleed(seed, "subdural", "right", 60.0, hu, 0.0)
        for seed in range(20)
        if bleeds.rng(seed, "falx").uniform() > 0.5
    )
    canvas, mask = painted(bleed)
    depth = canvas.depth_mm[mask > 0]
    assert float(depth.max()) < 25
    assert float(depth.min()) <= 2
    thick = [(mask[k] > 0).sum(dim=1).max() * 2 for k in range(len(mask)) if (mask[k] > 0).any()]
    assert 6 < max(int(width) for width in thick) < 30
    assert float(canvas.hu[(mask > 0) & (canvas.bone < 0.01)].mean()) == pytest.approx(hu, abs=4)


def test_mixed_subdural_bleed_is_denser_at_the_back() -> None:
    canvas, mask = painted(Bleed(4, "subdural", "left", 70.0, 45.0, 0.0))
    y = canvas.atlas_mm[..., 1]
    pure = (mask > 0) & (canvas.bone < 0.01) & (canvas.depth_mm > 2)
    back, front = pure & (y > 40), pure & (y < -10)
    assert float(canvas.hu[back].median()) > float(canvas.hu[front].median()) + 12


def test_some_subdural_bleeds_run_along_falx_or_tentorium() -> None:
    deep = []
    for seed in range(12):
        canvas, mask = painted(Bleed(seed, "subdural", "left", 50.0, 65.0, 0.0))
        assert volume_ml(canvas, mask > 0) == pytest.approx(50.0, rel=0.03)
        deep.append(float((canvas.depth_mm[mask > 0] > 22).float().mean()))
    assert 1 <= sum(share > 0.02 for share in deep) <= 8


def test_two_bleeds_in_one_place_keep_both_volumes() -> None:
    first, second = EVERY_KIND[0], Bleed(9, "subdural", "left", 50.0, 66.0, 0.0)
    canvas, mask = painted(first, second)
    assert volume_ml(canvas, mask == 1) == pytest.approx(30.0, rel=0.03)
    assert volume_ml(canvas, mask == 4) == pytest.approx(50.0, rel=0.03)


@pytest.mark.parametrize("kind", ["parenchymal", "subdural"])
def test_mass_pushes_away_and_empties_the_ventricle_of_its_side(kind: BleedKind) -> None:
    source = mass_source((Bleed(2, kind, "left", 50.0, 60.0, 0.0),))
    fields = atlas_fields("cpu")
    x = fields.coarse.points()[..., 0]
    inside, ventricles = fields.shape[0] > 0, fields.shape[1] > 1
    assert float(source[inside].max()) > 0.25
    assert float(source[ventricles & (x > 6)].mean()) < 2 * float(source[ventricles & (x < -6)].mean()) < 0
    wall = (fields.shape[0] < 0) & (fields.shape[0] > -4)
    assert float(source[wall & (x > 40)].mean()) > 0 > float(source[wall & (x < -40)].mean())


def test_mass_below_the_tentorium_leaves_the_midline() -> None:
    source = mass_source((placed(6, 15.0),))
    fields = atlas_fields("cpu")
    assert float(source.max()) > 0.25
    assert float(source[(fields.shape[0] < 2) & (fields.coarse.points()[..., 2] > 20)].abs().max()) < 0.05


def test_fluid_blood_takes_no_room() -> None:
    assert not mass_source((EVERY_KIND[1], EVERY_KIND[2])).any()
