"""Core, penumbra and regions with truths worked out by hand, and on phantom patients."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_head import GEOMETRY, SHAPE, VOXEL_MM, atlas, drawn_head, egg, slab_labels

from infarct.errors import StepFailed
from infarct.reference.alignment import Alignment
from infarct.reference.perfusion import (
    FlowMaps,
    PerfusionReference,
    flow_maps,
    judge_regions,
    read_perfusion,
    score_side,
)
from infarct.types import Float32Array
from infarct.volume import Geometry, resample, resample_labels, volume_ml

VOXEL_ML = VOXEL_MM**3 / 1000
LESION = (slice(3, 9), slice(20, 40), slice(30, 44))
"""On the patient's left: columns beyond 25."""
LESION_ML = 6 * 20 * 14 * VOXEL_ML


def flow(value: float, place: tuple[slice, ...] = LESION, normal: float = 40.0) -> Float32Array:
    """Return a flow that is ``normal`` but for one place."""
    cbf = np.where(egg(), normal, 0.0).astype(np.float32)
    cbf[place] = value
    return cbf


def read(cbf: Float32Array, tmax_s: Float32Array | None = None, **more: Float32Array) -> PerfusionReference:
    return read_perfusion(drawn_head(), flow_maps(GEOMETRY, cbf=cbf, tmax_s=tmax_s, **more), atlas())


def test_relative_flow_is_that_of_the_other_side() -> None:
    """8 of 40 is 0.2 on the left; on the right, whose other side lost its flow, the least reference holds."""
    found = read(flow(8.0))
    inner = (slice(4, 8), slice(26, 34), slice(34, 40))
    np.testing.assert_allclose(found.relative_cbf[inner], 0.2, rtol=0.02)
    right = found.relative_cbf[:, :, ::-1][inner]
    assert np.nanmin(right) > 1.0
    assert np.nanmax(right) <= 2.0 + 1e-3
    assert np.isnan(found.relative_cbf[~egg()]).all()


@pytest.mark.parametrize(("value", "is_core"), [(11.6, True), (12.4, False)])
def test_core_is_below_thirty_percent(value: float, is_core: bool) -> None:
    found = read(flow(value))
    assert found.core_ml == pytest.approx(LESION_ML if is_core else 0.0, rel=0.05)
    assert found.penumbra is None
    assert found.mismatch_ml is None
    assert found.mismatch_ratio is None


def test_core_lies_inside_delayed_tissue() -> None:
    late = flow(9.0, (slice(3, 9), slice(16, 30), slice(28, 46)), normal=2.0)
    found = read(flow(5.0), late)
    both = 6 * 10 * 14 * VOXEL_ML  # rows 20 to 29
    penumbra_ml = 6 * 14 * 18 * VOXEL_ML
    assert found.core_ml == pytest.approx(both, rel=0.03)
    assert found.penumbra_ml == pytest.approx(penumbra_ml, rel=0.03)
    assert found.mismatch_ml == pytest.approx(penumbra_ml - both, rel=0.06)
    assert found.mismatch_ratio == pytest.approx(penumbra_ml / both, rel=0.06)
    assert found.penumbra is not None
    assert not (found.core & ~found.penumbra).any()


def test_specks_are_noise() -> None:
    """Three voxels of 0.027 ml are less than half a millilitre."""
    assert read(flow(4.0, (slice(5, 6), slice(30, 31), slice(35, 38)))).core_ml == 0.0


def test_regions_are_positive_beyond_ten_percent() -> None:
    """By hand: each slab is cut at one tenth of itself."""
    labels = slab_labels(egg())
    for share, positive in ((0.09, False), (0.11, True)):
        core = np.zeros(SHAPE, dtype=bool)
        own = np.argwhere(labels == 13)
        core[tuple(own[: round(share * len(own))].T)] = True
        regions = judge_regions(core, egg(), labels, GEOMETRY)
        assert [r.affected for r in regions if r.affected] == ([True] if positive else [])
        third = regions[12]
        assert (third.region, third.side, third.affected) == ("IC", "left", positive)
        assert third.core_share == pytest.approx(share, abs=0.01)
        assert score_side(regions, "left").score == (9 if positive else 10)
        assert score_side(regions, "right").score == 10


def test_a_region_outside_the_images_is_not_judged() -> None:
    labels = slab_labels(egg())
    imaged = egg()
    imaged[:, 9:14] = False  # the second slab of both sides
    core = labels == 11
    regions = judge_regions(core, imaged, labels, GEOMETRY)
    assert [(r.region, r.side) for r in regions if r.affected is None] == [("I", "right"), ("I", "left")]
    left = score_side(regions, "left")
    assert (left.score, left.least, left.most) == (None, 8, 9)
    whole = np.full(21, 1000.0)
    assert all(r.affected is None for r in judge_regions(core, egg(), labels, GEOMETRY, whole_ml=whole.tolist()))
    assert judge_regions(core, imaged, np.zeros_like(labels), GEOMETRY) == ()


def test_flipping_the_patient_swaps_the_sides() -> None:
    cbf, tmax = flow(6.0), flow(9.0, (slice(2, 10), slice(16, 44), slice(28, 45)), normal=2.0)
    plain, flipped = read(cbf, tmax), read(cbf[:, :, ::-1], tmax[:, :, ::-1])
    assert plain.penumbra is not None
    assert flipped.penumbra is not None
    np.testing.assert_array_equal(flipped.core, plain.core[:, :, ::-1])
    np.testing.assert_array_equal(flipped.penumbra, plain.penumbra[:, :, ::-1])
    for own, other in ((plain.regions[:10], flipped.regions[10:]), (plain.regions[10:], flipped.regions[:10])):
        assert [r.affected for r in own] == [r.affected for r in other]
    assert [s.score for s in plain.scores] == [s.score for s in reversed(flipped.scores)]
    assert plain.scores[0].score == 10
    assert plain.scores[1].score is not None
    assert plain.scores[1].score < 10


def test_only_ratios_of_flow_count() -> None:
    np.testing.assert_array_equal(read(flow(6.0)).core, read(flow(6.0) * np.float32(0.013)).core)


def test_flow_follows_from_volume_and_transit_time() -> None:
    cbv = np.full(SHAPE, 4.0, dtype=np.float32)
    mtt = np.full(SHAPE, 6.0, dtype=np.float32)
    mtt[0, 0, 0], cbv[0, 0, 1], cbv[0, 0, 2] = 0.0, np.nan, -3.0
    maps = flow_maps(GEOMETRY, cbv=cbv, mtt_s=mtt)
    assert maps.cbf[5, 5, 5] == pytest.approx(40.0)
    assert maps.cbf[0, 0, :3].tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="CBV and MTT"):
        flow_maps(GEOMETRY, cbv=cbv)
    with pytest.raises(ValueError, match="does not fit"):
        FlowMaps(GEOMETRY, cbv[:3])


def test_fluid_vessels_and_old_infarcts_are_left_out() -> None:
    hu = drawn_head().hu.copy()
    hu[LESION] = 6.0  # dark on one side only: an old infarct
    head = drawn_head(hu)
    old = read_perfusion(head, flow_maps(GEOMETRY, cbf=flow(1.0)), atlas())
    assert old.core_ml == 0.0
    assert np.isnan(old.relative_cbf[5, 30, 36])
    cbf = flow(8.0)
    vessels = (slice(3, 9), slice(24, 36, 4), slice(8, 20, 4))
    cbf[vessels] = 400.0  # among the healthy tissue of the other side
    assert read(cbf).core_ml == pytest.approx(LESION_ML, rel=0.05)
    assert np.isnan(read(cbf).relative_cbf[vessels]).all()


def test_grey_matter_is_compared_with_grey_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """12.5 is a quarter of grey matter's 50 and half of white matter's 25: core in one, not in the other."""
    grey = np.zeros(SHAPE, dtype=np.float32)
    grey[:, 22:38, 8:14] = grey[:, 22:38, 37:43] = 1.0
    cbf = np.where(egg(), 25.0 + 25.0 * grey, 0.0).astype(np.float32)
    cbf[3:9, 26:34, 30:42] = 12.5
    monkeypatch.setattr("infarct.reference.perfusion._grey_share", lambda *_: grey)
    found = read(cbf)
    np.testing.assert_allclose(found.relative_cbf[4:8, 28:32, 32:36], 0.5, rtol=0.02)
    np.testing.assert_allclose(found.relative_cbf[4:8, 28:32, 38:41], 0.25, rtol=0.02)
    assert found.core[5, 30, 39]
    assert not found.core[5, 30, 33]


def test_maps_on_another_grid_are_carried_there() -> None:
    """Half the slices and coarser pixels, in a world that lies 40 mm lower."""
    coarse = Geometry.regular((7, 40, 34), (6.0, 4.5, 4.5), origin_mm=(-75.0, -88.5, 1.5))
    cbf = resample(flow(6.0), GEOMETRY, coarse, fill=0.0)
    lower = np.eye(4)
    lower[2, 3] = -40.0
    known = Alignment(lower, "rigid", 1.2, 0.0, 40.0)
    found = read_perfusion(drawn_head(), flow_maps(coarse.moved(lower), cbf=cbf), atlas(), alignment=known)
    # Between coarse voxels the flow rises slowly, so the edge lies inside the true one, by less than a coarse voxel.
    assert found.core[4:7, 23:37, 32:42].all()
    assert not found.core[:, :, :30].any()
    assert found.core_ml < LESION_ML
    assert found.imaged_brain_share == pytest.approx(1.0, abs=0.05)


def test_empty_maps_are_no_maps() -> None:
    with pytest.raises(StepFailed, match="empty"):
        read(np.zeros(SHAPE, dtype=np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 11])
def test_phantom_patients_agree_with_their_truth(index: int) -> None:
    from infarct.phantom import sample
    from infarct.phantom.assembly import Pair
    from infarct.phantom.scoring import score_aspects
    from infarct.pipeline import prepare_head

    pairs: tuple[Pair, ...] = ("perfusion",)
    made = sample("aspects", index, split="validation", pairs=pairs)
    maps, stroke = made.perfusion, made.patient.stroke
    assert maps is not None
    assert stroke is not None
    head = prepare_head(made.acute.scan("phantom"))
    given = flow_maps(maps.geometry, cbf=maps.cbf.numpy(), cbv=maps.cbv.numpy(), tmax_s=maps.tmax_s.numpy())
    found = read_perfusion(head, given, atlas())
    assert found.alignment.method == "rigid"
    to_ct = made.patient.acute.pose.matrix() @ maps.to_head
    points = head.geometry.index_to_world(np.argwhere(head.brain)[::500])
    expected, got = (p[:3, :3] @ points.T + p[:3, 3:] for p in (np.linalg.inv(to_ct), found.alignment.ct_to_image))
    assert np.linalg.norm(expected - got, axis=0).mean() < 1.5
    core_ml = volume_ml(maps.core.numpy(), maps.geometry)
    penumbra_ml = volume_ml((maps.core | maps.penumbra).numpy(), maps.geometry)
    assert found.core_ml == pytest.approx(core_ml, rel=0.25)
    assert found.penumbra_ml == pytest.approx(penumbra_ml, rel=0.15)
    labels = resample_labels(made.acute.truth["aspects"].numpy(), made.acute.geometry, head.geometry)
    regions = judge_regions(found.core, np.ones_like(found.core), labels, head.geometry)
    scores = score_aspects(made.patient, made.acute)
    own = [bool(region.affected) for region in regions if region.side == scores.side]
    assert sum(a != b for a, b in zip(own, scores.by_core, strict=True)) <= 2
    assert not any(region.affected for region in regions if region.side != scores.side)
    without = read_perfusion(head, replace(given, tmax_s=None), atlas(), alignment=found.alignment)
    assert without.core_ml == pytest.approx(found.core_ml, rel=0.15)
