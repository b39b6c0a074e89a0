"""Where infarcts grow: territories, sides, compactness, and the second family of shapes."""

from functools import cache

import pytest
import torch
from mock_canvas import mock_stroke
from scipy import ndimage

from infarct.anatomy import TERRITORY_LABELS
from infarct.atlas import load_atlas
from infarct.phantom import growth
from infarct.phantom.grid import Grid
from infarct.phantom.patient import Stroke

OWN_TERRITORIES = {
    "ICA": ("MCA", "ACA"),
    "tandem": ("MCA", "ACA"),
    "M1": ("MCA",),
    "M2_superior": ("MCA",),
    "M2_inferior": ("MCA",),
    "ACA": ("ACA",),
    "PCA": ("PCA",),
    "basilar": ("midbrain", "pons", "medulla", "cerebellum"),
    "cerebellar": ("cerebellum",),
}


def first_ml(stroke: Stroke, volume_ml: float) -> torch.Tensor:
    """Return the tissue of the right half that dies first, on the half grid; ml of a head, not of the atlas."""
    field, tissue = growth.right_arrival(stroke), growth.right_tissue()
    count = round(volume_ml * 1.17**3 / growth.half_grid().voxel_ml)
    return tissue & (field < field[tissue].kthvalue(count + 1).values)


@cache
def atlas_on_half(name: str) -> torch.Tensor:
    """Return an array of the atlas at the voxels of the half grid."""
    atlas = load_atlas()
    x, y, z = atlas.geometry.origins_mm[0].tolist()
    source = Grid(atlas.geometry.shape_zyx, 1.0, (x, y, z))
    volume = torch.tensor(getattr(atlas, name).astype("float32"))
    return source.sample(volume, growth.half_grid().points(), nearest=True)


def test_the_grid_is_symmetric_and_its_half_ends_in_the_midline() -> None:
    points = growth.growth_grid().points()
    assert torch.equal(points[..., 0], -points[..., 0].flip(-1))
    half = growth.half_grid().points()
    assert float(half[..., 0].max()) == 0
    assert torch.equal(points[:, :, : half.shape[2]], half)


@pytest.mark.parametrize("family", ["arrival", "blobs"])
@pytest.mark.parametrize("site", list(OWN_TERRITORIES))
def test_small_infarcts_lie_in_the_territory_of_the_occlusion(site, family) -> None:
    labels = atlas_on_half("territories").round()
    own = torch.zeros_like(labels, dtype=torch.bool)
    for name in OWN_TERRITORIES[site]:
        own |= labels == TERRITORY_LABELS[name]
    dead = first_ml(mock_stroke(site=site, growth=family), 5.0) & (labels > 0)
    assert float(own[dead].float().mean()) > 0.95


@pytest.mark.parametrize(("site", "lower"), [("M2_superior", False), ("M2_inferior", True)])
def test_the_divisions_part_at_the_sylvian_fissure_and_spare_the_deep_nuclei(site, lower) -> None:
    points = growth.half_grid().points()
    lentiform_and_caudate = (atlas_on_half("aspects_labels") == 4) | (atlas_on_half("aspects_labels") == 1)
    for seed in (1, 2):
        dead = first_ml(mock_stroke(site=site, seed=seed), 15.0)
        _, y, z = points[dead].mean(dim=0).tolist()
        assert (z < -9 + 0.7 * (y + 8) or y > 36) == lower
        assert float((dead & lentiform_and_caudate).sum()) < 0.02 * float(dead.sum())


def test_cortical_and_subcortical_strokes_keep_to_their_part() -> None:
    cortical = atlas_on_half("cortical") > 0
    deep = atlas_on_half("subcortical") > 0
    for site, part, own, other in (("M1", "cortical", cortical, deep), ("M1", "subcortical", deep, cortical)):
        dead = first_ml(mock_stroke(site=site, cortical=part), 8.0)
        assert float((dead & own).sum()) > 10 * float((dead & other).sum())


def test_lacunes_are_one_compact_piece() -> None:
    for seed in range(6):
        dead = first_ml(mock_stroke(site="perforator", seed=seed), 0.8).numpy()
        _, pieces = ndimage.label(dead)
        extent_mm = [2 * (int(where.max() - where.min()) + 1) / 1.17 for where in dead.nonzero()]
        assert pieces == 1
        assert max(extent_mm) < 20


def test_good_collaterals_save_the_rim() -> None:
    poor, good = (growth.right_arrival(mock_stroke(collaterals=degree, site="M2_superior")) for degree in (0.0, 1.0))
    gained_mm, inside_mm = good - poor, torch.from_numpy(growth._part_mm("M2_superior"))
    assert float(gained_mm[(inside_mm > 0) & (inside_mm < 8)].mean()) > 6
    assert float(gained_mm[inside_mm > 30].mean()) < 2


def test_scattered_strokes_are_in_more_pieces() -> None:
    def pieces(shape: float) -> int:
        strokes = [mock_stroke(site="M2_superior", shape=shape, seed=seed) for seed in range(4)]
        return sum(int(ndimage.label(first_ml(stroke, 6.0).numpy())[1]) for stroke in strokes)

    assert pieces(1.0) > pieces(0.0)


def test_grey_matter_dies_before_white_and_blobs_do_not_care() -> None:
    white = atlas_on_half("white")
    shares = {}
    for family in ("arrival", "blobs"):
        dead = [first_ml(mock_stroke(growth=family, seed=seed, site="M2_superior"), 10.0) for seed in range(4)]
        shares[family] = sum(float(white[mask].mean()) for mask in dead) / 4
    assert shares["arrival"] < shares["blobs"] - 0.05


def test_left_is_the_mirror_image_of_right_and_the_other_side_never_dies() -> None:
    right, left = (growth.arrival(mock_stroke(side=side)) for side in ("right", "left"))
    middle = right.shape[-1] // 2
    assert torch.equal(right.flip(-1), left)
    assert bool((right[..., middle + 1 :] == growth.NEVER).all())
    assert float(right[..., : middle + 1].max()) < growth.NEVER


def test_the_three_fields_are_related_but_differ() -> None:
    fields = growth.lesion_fields(mock_stroke())
    tissue = growth.right_tissue()
    together = torch.corrcoef(fields[:, tissue])
    assert bool((together > 0.98).all())
    dead = [tissue & (field < field[tissue].kthvalue(6000).values) for field in fields]
    common = 2 * float((dead[0] & dead[1]).sum()) / float(dead[0].sum() + dead[1].sum())
    assert 0.7 < common < 0.97


def test_equal_seeds_give_equal_fields() -> None:
    first = growth.arrival(mock_stroke(seed=4))
    assert torch.equal(first, growth.arrival(mock_stroke(seed=4)))
    assert not torch.equal(first, growth.arrival(mock_stroke(seed=5)))
