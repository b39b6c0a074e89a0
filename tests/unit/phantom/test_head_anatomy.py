"""The healthy head: tissues add up, sides and labels are right, parameters do what they say."""

from dataclasses import replace

import pytest
import torch

from infarct.anatomy import region_label
from infarct.phantom import anatomy
from infarct.phantom.canvas import Canvas
from infarct.phantom.folding import read_at
from infarct.phantom.landmarks import add_landmarks
from infarct.phantom.patient import Densities, Folding, Head

DENSITIES = Densities(37.0, 29.5, 7.0, 50.0, 48.0, 50.0, -95.0, 1100.0, 500.0, 0.8)
HEAD = Head(
    seed=123457,
    folding="labyrinth",
    scale_xyz=(1.0, 1.0, 1.0),
    atrophy=0.4,
    ventricle_ratio=1.5,
    ventricle_asymmetry=0.0,
    sulcus_mm=1.6,
    coarse_mm=3.0,
    fine_mm=2.0,
    skull_mm=6.5,
    scalp_mm=5.0,
    frontal_sinus=0.5,
    mastoid_air=0.7,
    calcified_choroid=True,
    calcified_pineal=True,
    calcified_falx=True,
    calcified_basal_ganglia=True,
)


@pytest.fixture(scope="module")
def canvas() -> Canvas:
    built = anatomy.build(HEAD, DENSITIES)
    add_landmarks(built, HEAD, DENSITIES)
    anatomy.compose(built, DENSITIES, HEAD.seed)
    return built


def _ml(share: torch.Tensor, canvas: Canvas) -> float:
    return float(share.sum()) * canvas.grid.voxel_ml


def test_fractions_lie_between_0_and_1_and_fill_the_skull(canvas: Canvas) -> None:
    total = canvas.grey + canvas.white + canvas.csf
    for share in (canvas.grey, canvas.white, canvas.csf, canvas.sulcus, canvas.ventricle, canvas.bone, total):
        assert float(share.min()) >= -1e-5
        assert float(share.max()) <= 1 + 1e-5
    deep = canvas.intracranial & (canvas.depth_mm > 3)
    assert float(total[deep].mean()) > 0.97
    assert float(total[canvas.depth_mm < -3].max()) < 1e-3
    assert bool((canvas.ventricle <= canvas.csf + 1e-5).all())


def test_volumes_are_a_human_head_s(canvas: Canvas) -> None:
    assert 900 < _ml(canvas.grey + canvas.white, canvas) < 1400
    assert 0.9 < float(canvas.grey.sum() / canvas.white.sum()) < 2.2
    assert 5 < _ml(canvas.ventricle, canvas) < 60
    assert 1050 < _ml(canvas.intracranial.float(), canvas) < 1700


def test_tissues_have_their_hu(canvas: Canvas) -> None:
    brain = canvas.depth_mm > 4
    for share, hu in ((canvas.grey, 37.0), (canvas.white, 29.5), (canvas.csf, 7.0)):
        assert float(canvas.hu[brain & (share > 0.98)].mean()) == pytest.approx(hu, abs=0.7)
    bone = canvas.hu[canvas.bone > 0.95]
    assert 500 < float(bone.median()) < 1500
    assert 1200 < float(bone.quantile(0.99)) < 2100
    corner = canvas.hu[:, :6, :6]
    assert float(corner.mean()) == pytest.approx(-1000, abs=1)


def test_labels_lie_on_their_side(canvas: Canvas) -> None:
    left = canvas.aspects > 10
    right = (canvas.aspects > 0) & ~left
    assert bool(canvas.left[left].all())
    assert not bool(canvas.left[right].any())
    x = canvas.grid.points()[..., 0]
    caudate = canvas.aspects == region_label("C", "left")
    assert float(x[caudate].mean()) > 5


def test_the_same_head_gives_the_same_tensors() -> None:
    first, second = anatomy.build(HEAD, DENSITIES), anatomy.build(HEAD, DENSITIES)
    assert torch.equal(first.grey, second.grey)
    assert torch.equal(first.hu, second.hu)


def test_another_seed_is_another_brain(canvas: Canvas) -> None:
    other = anatomy.build(replace(HEAD, seed=99), DENSITIES)
    common = torch.corrcoef(torch.stack([canvas.csf.flatten(), other.csf.flatten()]))[0, 1]
    assert float(common) < 0.9


def test_atrophy_widens_ventricles_and_sulci_together(canvas: Canvas) -> None:
    old = anatomy.build(replace(HEAD, atrophy=0.9, ventricle_ratio=3.0, sulcus_mm=3.0), DENSITIES)
    assert _ml(old.ventricle, old) > 1.4 * _ml(canvas.ventricle, canvas)
    assert _ml(old.csf * old.intracranial, old) > 1.5 * _ml(canvas.csf * canvas.intracranial, canvas)


def _over_the_convexity(canvas: Canvas) -> torch.Tensor:
    """Return fluid in a shell 4 to 10 mm below the skull, above the ventricles and beside the midline."""
    x, _, z = canvas.atlas_mm.unbind(-1)
    return canvas.csf[(canvas.depth_mm > 4) & (canvas.depth_mm < 10) & (z > 30) & (x.abs() > 15)]


@pytest.mark.parametrize("folding", ["labyrinth", "stripes"])
def test_young_heads_have_thin_sulci_and_old_ones_wider(folding: Folding) -> None:
    young = replace(HEAD, atrophy=0.1, ventricle_ratio=0.8, sulcus_mm=1.1, folding=folding)
    shares = []
    for head in (young, replace(young, atrophy=0.8, sulcus_mm=2.6)):
        fluid = _over_the_convexity(anatomy.build(head, DENSITIES))
        assert float(fluid.max()) > 0.9
        shares.append(float(fluid.mean()))
    assert 0.03 < shares[0] < 0.2
    assert 1.5 * shares[0] < shares[1] < 0.45


def test_sulci_keep_away_from_the_nuclei(canvas: Canvas) -> None:
    x, y, z = canvas.atlas_mm.unbind(-1)
    lentiform = (((x.abs() - 24) / 7) ** 2 + (y / 12) ** 2 + ((z - 2) / 6) ** 2 < 1) & (canvas.ventricle < 0.01)
    assert float(canvas.csf[lentiform].mean()) < 0.03


def test_medial_sulci_are_no_mirror_images() -> None:
    """The patterns are read on either side of the falx at places far apart."""
    right, left = (torch.tensor([[x, 10.0, 40.0]]) for x in (-4.0, 4.0))
    inwards = torch.tensor([[0.0, 0.0, -1.0]])
    places = [read_at(at, torch.tensor([30.0]), inwards)[0] for at in (right, left)]
    assert float((places[1] - places[0])[1]) > 20


def test_a_larger_left_ventricle_is_on_the_left() -> None:
    uneven = anatomy.build(replace(HEAD, ventricle_ratio=2.5, ventricle_asymmetry=0.4), DENSITIES)
    left = float((uneven.ventricle * uneven.left).sum())
    assert left > 1.1 * float((uneven.ventricle * ~uneven.left).sum())


def test_calcified_pineal_and_plexus_are_bright(canvas: Canvas) -> None:
    amid = canvas.depth_mm > 20
    assert float(canvas.hu[amid].max()) > 90
    plain = replace(
        HEAD, calcified_choroid=False, calcified_pineal=False, calcified_falx=False, calcified_basal_ganglia=False
    )
    bare = anatomy.build(plain, DENSITIES)
    add_landmarks(bare, plain, DENSITIES)
    anatomy.compose(bare, DENSITIES, plain.seed)
    assert float(bare.hu[bare.depth_mm > 20].max()) < 75
