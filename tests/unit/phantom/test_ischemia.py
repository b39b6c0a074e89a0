"""Lesions on a canvas: volumes, sides, nesting, and what they do to HU."""

import math

import pytest
import torch
from mock_canvas import mirrored, mock_canvas, mock_stroke

from infarct.phantom import growth, ischemia, kinetics
from infarct.phantom.canvas import Canvas
from infarct.phantom.fields import MNI_PER_HEAD, atlas_fields
from infarct.phantom.ischemia import Lesions, lesion_masks, paint_acute, paint_clot, paint_followup
from infarct.phantom.patient import Stroke
from infarct.phantom.warp import WARP, pull_back

SITES = ("ICA", "tandem", "M1", "M2_superior", "M2_inferior", "ACA", "PCA", "basilar", "cerebellar")
NAMES = ("core", "penumbra", "infarct", "final")


def volume_ml(canvas: Canvas, mask: torch.Tensor) -> float:
    return int(mask.sum()) * canvas.grid.voxel_ml


def painted_acute(stroke: Stroke) -> tuple[Canvas, Lesions, torch.Tensor]:
    """Return canvas, lesions and fall in HU of an acute scan."""
    canvas = mock_canvas()
    before, lesions = canvas.hu.clone(), lesion_masks(canvas, stroke)
    paint_acute(canvas, lesions, stroke)
    paint_clot(canvas, stroke)
    return canvas, lesions, before - canvas.hu


def mean_drop(canvas: Canvas, mask: torch.Tensor, drop: torch.Tensor) -> float:
    """Return the mean fall in HU of the parenchyma in a mask, fluid left out."""
    return float(drop[mask].sum() / (canvas.grey + canvas.white)[mask].sum())


def soft_infarct(lesions: Lesions, canvas: Canvas) -> torch.Tensor:
    """Return the soft share of the acute infarct as a volume."""
    share = torch.zeros(canvas.grid.shape_zyx)
    share.view(-1)[lesions.voxels] = lesions.infarct_soft
    return share


@pytest.mark.parametrize("family", ["arrival", "blobs"])
@pytest.mark.parametrize("site", SITES)
def test_volumes_are_what_the_stroke_says(site, family) -> None:
    canvas, stroke = mock_canvas(), mock_stroke(site=site, growth=family)
    lesions = lesion_masks(canvas, stroke)
    for name in NAMES:
        assert volume_ml(canvas, getattr(lesions, name)) == pytest.approx(getattr(stroke, f"{name}_ml"), rel=0.01)


def test_any_volume_up_to_the_hemisphere_is_reached_and_no_more() -> None:
    canvas = mock_canvas()
    stroke = mock_stroke(infarct_ml=350.0, final_ml=5000.0)
    lesions = lesion_masks(canvas, stroke)
    assert volume_ml(canvas, lesions.infarct) == pytest.approx(350, rel=0.01)
    brain = canvas.grey + canvas.white + canvas.sulcus >= 0.5
    own = brain & canvas.intracranial & (canvas.grey + canvas.white > 0.05) & (canvas.atlas_mm[..., 0] < 0)
    assert torch.equal(lesions.final, own)
    nothing = lesion_masks(canvas, mock_stroke(core_ml=0, penumbra_ml=0, infarct_ml=0, final_ml=0))
    assert not any(bool(getattr(nothing, name).any()) for name in NAMES)


@pytest.mark.parametrize("site", ["M1", "PCA", "basilar", "perforator"])
def test_lesions_keep_to_their_side_and_mirror_exactly(site) -> None:
    canvas = mock_canvas()
    right, left = (lesion_masks(canvas, mock_stroke(site=site, side=side)) for side in ("right", "left"))
    for name in NAMES:
        assert not bool((getattr(right, name) & canvas.left).any())
        assert torch.equal(mirrored(getattr(right, name)), getattr(left, name))


def test_scans_of_mirrored_strokes_mirror() -> None:
    scans = []
    for side in ("right", "left"):
        stroke = mock_stroke(side=side, hyperdense_hu=15.0, hemorrhage_ml=4.0, petechiae_hu=3.0, staining_hu=3.0)
        canvas, lesions, _ = painted_acute(stroke)
        later = mock_canvas()
        scans.append((canvas.hu, paint_followup(later, lesions, stroke), later.hu))
    for right, left in zip(*scans, strict=True):
        assert torch.allclose(mirrored(right).float(), left.float(), atol=1e-3)


def test_lesions_hold_no_ventricle_and_no_cistern() -> None:
    canvas = mock_canvas()
    lesions = lesion_masks(canvas, mock_stroke(final_ml=250.0))
    assert float(canvas.ventricle[lesions.final].max()) <= 0.5
    assert float((canvas.csf - canvas.sulcus)[lesions.final].max()) <= 0.5


def test_larger_lesions_hold_smaller_ones() -> None:
    canvas = mock_canvas()
    small, large = (lesion_masks(canvas, mock_stroke(core_ml=core, infarct_ml=core)) for core in (10.0, 50.0))
    assert bool((large.core | ~small.core).all())
    assert bool((large.infarct | ~small.infarct).all())
    assert not bool((small.core & small.penumbra).any())


def test_perfusion_core_and_visible_infarct_do_not_coincide() -> None:
    lesions = lesion_masks(mock_canvas(), mock_stroke(core_ml=40.0, infarct_ml=40.0))
    common = 2 * float((lesions.core & lesions.infarct).sum()) / float(lesions.core.sum() + lesions.infarct.sum())
    assert 0.6 < common < 0.97


def test_the_final_infarct_holds_the_acute_one_or_lies_in_it() -> None:
    canvas = mock_canvas()
    grown = lesion_masks(canvas, mock_stroke(infarct_ml=30.0, final_ml=80.0))
    assert bool((grown.final | ~grown.infarct).all())
    saved = lesion_masks(canvas, mock_stroke(infarct_ml=30.0, final_ml=12.0))
    assert bool((saved.infarct | ~saved.final).all())
    assert volume_ml(canvas, saved.final) == pytest.approx(12, rel=0.01)


@pytest.mark.parametrize("hours", [1.5, 3.0, 6.0, 12.0, 24.0])
def test_the_mean_drop_follows_the_curve(hours) -> None:
    stroke = mock_stroke(onset_h=hours)
    canvas, lesions, drop = painted_acute(stroke)
    assert mean_drop(canvas, lesions.infarct, drop) == pytest.approx(kinetics.median_drop_hu(hours), rel=0.02)
    assert float(drop[canvas.left].abs().max()) == 0
    assert not bool(drop[canvas.csf > 0.96].any())


def test_penumbra_falls_little() -> None:
    canvas, lesions, drop = painted_acute(mock_stroke(onset_h=12.0))
    only = lesions.penumbra & ~lesions.infarct & (soft_infarct(lesions, canvas) < 0.02)
    assert 0.3 < mean_drop(canvas, only, drop) < 1.2


def test_grey_matter_falls_more_than_white_until_they_are_alike() -> None:
    canvas, lesions, drop = painted_acute(mock_stroke(onset_h=6.0, infarct_ml=80.0))
    sure = lesions.infarct & (soft_infarct(lesions, canvas) > 0.98)
    grey, white = (sure & (part > 0.85) for part in (canvas.grey, canvas.white))
    assert float(drop[grey].mean()) > float(drop[white].mean()) + 1.5
    later, _, _ = painted_acute(mock_stroke(onset_h=48.0, infarct_ml=80.0))
    assert float(canvas.hu[grey].mean() - canvas.hu[white].mean()) > 3
    assert abs(float(later.hu[grey].mean() - later.hu[white].mean())) < 1


def test_early_core_is_nearly_invisible() -> None:
    canvas, lesions, drop = painted_acute(mock_stroke(onset_h=1.0))
    assert mean_drop(canvas, lesions.infarct, drop) < 0.6


def test_borders_are_smooth() -> None:
    canvas, lesions, _ = painted_acute(mock_stroke(site="perforator", final_ml=3.0, infarct_ml=3.0, core_ml=3.0))
    share = soft_infarct(lesions, canvas)
    between_ml = volume_ml(canvas, (share > 0.1) & (share < 0.9))
    # A ball of 3 ml has a radius of 9 mm and a surface of 1000 mm2.
    assert 1.5 < between_ml < 5


@pytest.mark.parametrize("mean_hu", [16.0, 20.0, 27.0, 33.0, 38.0])
def test_the_mean_of_the_final_infarct_is_as_prescribed(mean_hu) -> None:
    canvas, stroke = mock_canvas(), mock_stroke(mean_hu=mean_hu, hemorrhage_ml=6.0, petechiae_hu=4.0)
    lesions = lesion_masks(canvas, stroke)
    blood = paint_followup(canvas, lesions, stroke)
    counted = lesions.final & ~blood & (canvas.csf <= 0.5)
    assert float(canvas.hu[counted].mean()) == pytest.approx(mean_hu, abs=0.1)


@pytest.mark.parametrize("mean_hu", [33.0, 38.0])
def test_tissue_without_stain_is_never_brighter_than_normal(mean_hu: float) -> None:
    canvas, stroke = mock_canvas(), mock_stroke(mean_hu=mean_hu)
    lesions = lesion_masks(canvas, stroke)
    paint_followup(canvas, lesions, stroke)
    before = mock_canvas()
    counted = lesions.final & (canvas.csf <= 0.5)
    normal_hu = float(before.hu[counted].mean())
    assert bool((canvas.hu <= before.hu + 1e-4).all())
    # The mock's tissue is that dark: the mean misses what was asked for by all that is above it.
    assert normal_hu < 33
    assert float(canvas.hu[counted].mean()) == pytest.approx(normal_hu, abs=0.01)


def test_subtle_infarcts_keep_some_contrast_of_grey_and_white() -> None:
    contrasts = []
    for mean_hu in (18.0, 29.0):
        canvas, stroke = mock_canvas(), mock_stroke(mean_hu=mean_hu)
        lesions = lesion_masks(canvas, stroke)
        paint_followup(canvas, lesions, stroke)
        grey, white = (lesions.final & (part > 0.85) for part in (canvas.grey, canvas.white))
        contrasts.append(float(canvas.hu[grey].mean() - canvas.hu[white].mean()))
    assert abs(contrasts[0]) < 1
    assert contrasts[1] > 3


def test_an_unprescribed_infarct_is_dark_in_the_first_week_and_fogs_later() -> None:
    means = {}
    for hours in (96.0, 336.0):
        canvas, stroke = mock_canvas(), mock_stroke(followup_h=hours, fogging=0.9)
        lesions = lesion_masks(canvas, stroke)
        paint_followup(canvas, lesions, stroke)
        means[hours] = float(canvas.hu[lesions.final & (canvas.csf < 0.05)].mean())
    assert 14 < means[96.0] < 24
    assert 29 < means[336.0] < 34


def test_bleeding_has_its_volume_and_density_and_touches_the_infarct() -> None:
    for seed in range(2):
        canvas, stroke = mock_canvas(), mock_stroke(hemorrhage_ml=8.0, seed=seed)
        lesions = lesion_masks(canvas, stroke)
        blood = paint_followup(canvas, lesions, stroke)
        assert volume_ml(canvas, blood) == pytest.approx(8, rel=0.01)
        assert float((blood & lesions.final).sum()) > 0.6 * float(blood.sum())
        assert not bool((blood & canvas.left).any())
        assert 45 < float(canvas.hu[blood].mean()) < 75
    dry = paint_followup(mock_canvas(), lesions, mock_stroke())
    assert not bool(dry.any())


def test_petechiae_and_staining_brighten() -> None:
    means = {}
    for name, changes in (("plain", {}), ("petechiae", {"petechiae_hu": 6.0}), ("staining", {"staining_hu": 6.0})):
        canvas, stroke = mock_canvas(), mock_stroke(**changes)
        lesions = lesion_masks(canvas, stroke)
        paint_followup(canvas, lesions, stroke)
        means[name] = float(canvas.hu[lesions.final].mean())
    assert 1.5 < means["petechiae"] - means["plain"] < 9
    assert 1.5 < means["staining"] - means["plain"] < 9


@pytest.mark.parametrize("site", ["ICA", "M1", "PCA", "basilar"])
def test_a_dense_clot_is_a_thin_tube_on_its_side(site) -> None:
    canvas, _, drop = painted_acute(mock_stroke(site=site, side="left", onset_h=0.0, hyperdense_hu=20.0))
    changed = drop < -1
    # 10 to 25 mm long, 3 to 4 mm wide: 70 to 310 mm3, and its soft edge.
    assert 0.04 < volume_ml(canvas, changed) < 0.9
    assert 50 < float(canvas.hu[changed].max()) < 66
    assert float(canvas.atlas_mm[..., 0][changed].min()) >= -4


def test_vessels_run_in_fluid() -> None:
    canvas = mock_canvas()
    for course in ischemia.VESSELS.values():
        points = torch.tensor(course) / 1.17
        assert float(canvas.grid.sample(canvas.csf, points).mean()) > 0.4


def test_swelling_lies_in_the_final_infarct() -> None:
    # So little swelling leaves the midline where it is: there is no other source of volume.
    stroke = mock_stroke(swelling=1.0, final_ml=30.0)
    source = ischemia.swelling_source(stroke)
    coarse = atlas_fields("cpu").coarse
    assert tuple(source.shape) == coarse.shape_zyx
    canvas = mock_canvas()
    gained = coarse.sample(source, canvas.atlas_mm, outside="zeros") * canvas.intracranial * ~canvas.left
    swollen = gained > 0.13
    # It gains 30 % and has 30 ml then.
    assert volume_ml(canvas, swollen) == pytest.approx(30 / 1.3, rel=0.2)
    assert float(gained.clamp(min=0).sum()) * canvas.grid.voxel_ml == pytest.approx(math.log(1.3) * 30 / 1.3, rel=0.2)
    final = lesion_masks(canvas, stroke).final
    assert float((swollen & final).sum()) > 0.8 * float(swollen.sum())


def test_no_swelling_changes_nothing() -> None:
    assert not bool(ischemia.swelling_source(mock_stroke(swelling=0.0)).any())


def swollen_average(stroke: Stroke) -> tuple[float, float, float]:
    """Return the shift of the septum to the left, in mm of a head, and what is left of the right and left ventricle."""
    fields = atlas_fields("cpu")
    points = fields.coarse.points()
    moved = pull_back(fields, 1, 0.0, 0.0, ischemia.swelling_source(stroke))
    at = points + WARP.sample(moved, points).movedim(0, -1)
    upper = points[..., 2] > -12
    before, after = ((field > 0) & upper for field in (fields.shape[1], fields.coarse.sample(fields.shape[1], at)))
    right, left = (
        float((after & (sign * at[..., 0] > 0)).sum() / (before & (sign * points[..., 0] > 0)).sum())
        for sign in (-1, 1)
    )
    septum = fields.coarse.sample(at[..., 0], torch.tensor([0.0, -8.0, 8.0]))
    return -float(septum) / MNI_PER_HEAD, right, left


def test_a_large_infarct_shifts_the_midline_and_empties_its_ventricle() -> None:
    large, small = (
        mock_stroke(swelling=1.0, final_ml=ml, infarct_ml=0.7 * ml, followup_h=84.0) for ml in (150.0, 30.0)
    )
    shift_mm, right, left = swollen_average(large)
    assert 4 < shift_mm < 9
    assert right < 0.75
    assert right < left - 0.1
    shift_mm, right, left = swollen_average(small)
    assert abs(shift_mm) < 1.5
    assert min(right, left) > 0.75


def test_the_skull_stays_where_it_is() -> None:
    fields = atlas_fields("cpu")
    points, depth_mm = fields.coarse.points(), fields.shape[0]
    source = ischemia.swelling_source(mock_stroke(swelling=1.0, final_ml=150.0, infarct_ml=90.0, followup_h=84.0))
    at = points + WARP.sample(pull_back(fields, 1, 0.0, 0.0, source), points).movedim(0, -1)
    wall = ((depth_mm - 3).abs() < 1) & (points[..., 2] > -20)
    moved_mm = (fields.coarse.sample(depth_mm, at) - depth_mm)[wall]
    for side in (-1, 1):
        assert abs(float(moved_mm[side * points[..., 0][wall] > 20].mean())) < 0.4
    assert float(moved_mm.abs().quantile(0.95)) < 1.2


def test_swelling_below_the_tentorium_leaves_the_midline() -> None:
    source = ischemia.swelling_source(mock_stroke(site="cerebellar", swelling=1.0))
    assert float(source.max()) > 0.2
    fields = atlas_fields("cpu")
    assert float(source[(fields.shape[0] < 2) & (fields.coarse.points()[..., 2] > 20)].abs().max()) < 0.05


def test_equal_strokes_give_equal_scans() -> None:
    stroke = mock_stroke(hemorrhage_ml=3.0, mean_hu=24.0)
    scans = []
    for _ in range(2):
        growth._lesion_fields.cache_clear()
        canvas = mock_canvas()
        paint_followup(canvas, lesion_masks(canvas, stroke), stroke)
        scans.append(canvas.hu.numpy().tobytes())
    assert scans[0] == scans[1]
